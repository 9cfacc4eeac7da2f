// Package lockfile says what a lockfile parser gives: the packages that a
// resolver chose, each at one version, with the place where it is written.
//
// Entry points are [Parser], which every child package implements, and
// [Result]. The children read one kind of file each (Pipfile.lock, poetry.lock,
// uv.lock, pdm.lock, pylock.toml); what every one of them must hold to is
// lockfiletest. A package without one version on an index, such as one from
// version control or a local path, is an unresolved record and never left out.
//
// Nothing here chooses versions, follows links or contacts anything.
package lockfile

import (
	"io"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// Parser reads one kind of lockfile.
type Parser interface {
	// Reads says whether a file's base name is of this kind.
	Reads(base string) bool
	// Parse reads a file to its end, at most limit.Lockfile bytes. name is
	// its path, for locations and errors. Packages that the markers in the
	// file leave out of the environment are Excluded. A file that is no
	// lockfile of this kind, or of a version that is not known to be read
	// right, is an error that names it and the place.
	Parse(r io.Reader, name string, environment requirement.Environment) (Result, error)
}

// Result is what a lockfile holds.
type Result struct {
	// Components are Declared, in the order of the file, with the line of
	// their entry, their groups, hashes and, where the file has them, edges.
	Components []component.Component
	Unresolved []component.Unresolved
	// Excluded are packages that are for other environments.
	Excluded []requirement.Excluded
	// Source is the file with its digest.
	Source component.Source
}
