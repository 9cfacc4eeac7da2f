// Package examples holds the example workloads, as files that the binary
// carries: `assay demo` plays with a copy of one.
//
// Entry point is [Pandas]. The same files lie in this directory for people to
// read and run.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed pandas
var files embed.FS

// Pandas is the pandas workload.
func Pandas() (fs.FS, error) { return fs.Sub(files, "pandas") }
