// Package lockfile says what a lockfile parser gives: the packages that a
// resolver chose, each at one version, with the place where it is written.
//
// Entry points are [Parser], which every child package implements, [Result],
// and for the children [Open] and [List]. The children read one kind of file
// each (Pipfile.lock, poetry.lock, uv.lock, pdm.lock, pylock.toml); what every
// one of them must hold to is lockfiletest. A package without one version on an
// index, such as one from version control or a local path, is an unresolved
// record and never left out.
//
// Nothing here chooses versions, follows links or contacts anything.
package lockfile

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
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
	// Notes say which packages come from another index than PyPI.
	Notes []component.Note
	// Projects are the directories, relative to the lockfile's, of the
	// projects that it locks, such as the members of a workspace. They are
	// no dependencies, and not among the packages. "." is always one.
	Projects []string
	// Source is the file with its digest.
	Source component.Source
}

// Covers says whether the lockfile decides about a package: by a version, by
// the record that it has none, or by leaving it to other environments.
func (r Result) Covers() map[string]bool {
	names := make(map[string]bool, len(r.Components))
	for _, c := range r.Components {
		names[c.Name] = true
	}
	for _, u := range r.Unresolved {
		names[u.Name] = true
	}
	for _, e := range r.Excluded {
		names[e.Name] = true
	}
	delete(names, "")
	return names
}

// Open reads a lockfile's bytes. An empty file and one beyond limit.Lockfile
// are errors that name it.
func Open(r io.Reader, name string) ([]byte, error) {
	content, err := limit.ReadAll(r, name, limit.Lockfile)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, fmt.Errorf("%s: is empty, and no lockfile", name)
	}
	return content, nil
}

// VersionError says that a lockfile is of a version of its format that is not
// known to be read right.
type VersionError struct {
	// File is the path, Field what the format calls its version.
	File, Field string
	// Found is what the file says, "" where it says nothing.
	Found string
	Known []string
}

// Error names all three, and what to do.
func (e *VersionError) Error() string {
	found := fmt.Sprintf("is %q", e.Found)
	if e.Found == "" {
		found = "is missing"
	}
	return fmt.Sprintf("%s: %s %s; known are %s; write it with a tool that knows one of these, or use a newer assay", e.File, e.Field, found, strings.Join(e.Known, ", "))
}
