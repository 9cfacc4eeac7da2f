// Package component holds what a scan found in a target: packages with a
// version, things that could not be resolved to one, and the operating system.
//
// Entry point is [Inventory], which extractors fill and which SBOM writers and
// the advisory matcher read. What has no version is an [Unresolved] record and
// never a [Component]; nothing in this package guesses.
package component

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Dependency says how an inventory knows of a component.
type Dependency string

// The ways to know of a component. Evidence carries the word, so that a policy
// can demand Installed.
const (
	// Installed was found on disk with its own metadata (a dist-info
	// directory, an entry of the dpkg database).
	Installed Dependency = "installed"
	// Declared is asked for by a file such as requirements.txt; nobody
	// looked whether it is there.
	Declared Dependency = "declared"
	// Packaged lies there as a file to install from: a wheel, an egg.
	Packaged Dependency = "packaged"
)

// Component is one package at one version.
type Component struct {
	// Ecosystem is OSV's name: "PyPI", "Debian:12", "Ubuntu:22.04".
	Ecosystem string `json:"ecosystem"`
	// Name is spelled as the ecosystem normalises it (PEP 503 for PyPI).
	Name string `json:"name"`
	// Version is never empty and never a range.
	Version string `json:"version"`
	// Architecture is dpkg's word ("amd64", "all"), empty for PyPI.
	Architecture string `json:"architecture,omitempty"`
	// SourceName and SourceVersion are the source package that a binary
	// distribution package was built from; empty where it has none.
	SourceName    string `json:"sourceName,omitempty"`
	SourceVersion string `json:"sourceVersion,omitempty"`
	// PURL is the package URL, such as "pkg:pypi/torch@1.13.0%2Bcpu".
	PURL string `json:"purl"`
	// Dependency says whether it was found installed or only declared.
	Dependency Dependency `json:"dependency"`
	// Owner is the PURL of the distribution's package that brought this one's
	// files, empty for what no package manager but its own put there.
	Owner string `json:"owner,omitempty"`
	// Licenses are licence texts or SPDX expressions as the package's own
	// metadata states them.
	Licenses []string `json:"licenses,omitempty"`
	// Expression is the SPDX licence expression that Licenses come to; empty
	// where they could not be read as one.
	Expression string `json:"expression,omitempty"`
	// DependsOn are the PURLs of components of the same inventory that this one
	// needs, sorted; empty where it needs none or nobody wrote it down.
	DependsOn []string `json:"dependsOn,omitempty"`
	// Groups are the lockfile's words for dependencies that are not installed
	// by default ("dev", "test", an extra), sorted; empty for what always is.
	Groups []string `json:"groups,omitempty"`
	// Hashes are the digests that a lockfile pins the package's files to.
	Hashes []subject.Digest `json:"hashes,omitempty"`
	// Locations are where it was found, in order; at least one.
	Locations []Location `json:"locations"`
}

// OwnerName is the name in Owner, such as "python3-pandas"; empty without one.
func (c Component) OwnerName() string {
	name, _, _ := strings.Cut(c.Owner, "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	if plain, err := url.PathUnescape(name); err == nil {
		return plain
	}
	return name
}

// Location is a place in the target.
type Location struct {
	// Path is slash-separated and relative to the target's root.
	Path string `json:"path"`
	// Line counts from 1; 0 where the format has no lines.
	Line int `json:"line,omitempty"`
	// Layer is the uncompressed digest (diff ID) of the image layer that
	// brought it, zero outside images.
	Layer subject.Digest `json:"layer,omitzero"`
}

// String is the place for people: "path:line", or the path alone where there
// are no lines.
func (l Location) String() string {
	if l.Line > 0 {
		return fmt.Sprintf("%s:%d", l.Path, l.Line)
	}
	return l.Path
}

// Unresolved is something that the target asks for and that cannot be put down
// to one version: a range, a URL, a file that could not be read.
type Unresolved struct {
	// Name is the normalised package name, empty where none is known.
	Name string `json:"name,omitempty"`
	// Text is the requirement as it was written.
	Text string `json:"text"`
	// Reason says in words why there is no version.
	Reason string `json:"reason"`
	// Location is where it was written.
	Location Location `json:"location"`
}

// String is the text and the reason; the reason alone where the text is only the
// path, which stands in Location.
func (u Unresolved) String() string {
	if u.Text == "" || u.Location.Path == u.Text || strings.HasSuffix(u.Location.Path, "/"+u.Text) {
		return u.Reason
	}
	return u.Text + ": " + u.Reason
}

// Note is something to know about how the inventory came to be that leaves
// nothing untested: another index, packages that are for other environments.
type Note struct {
	// Text is a sentence.
	Text     string   `json:"text"`
	Location Location `json:"location"`
}

// OperatingSystem is what /etc/os-release says of an image's distribution.
type OperatingSystem struct {
	// ID is the lower-case name, such as "debian" or "ubuntu".
	ID string `json:"id"`
	// VersionID is the release, such as "12" or "24.04"; empty where the
	// file has none.
	VersionID string `json:"versionID,omitempty"`
	// PrettyName is for people, and what OSV names SUSE's products by.
	PrettyName string `json:"prettyName,omitempty"`
	// Codename is the release's name in lower case ("trixie"); the only one
	// that Debian's testing has.
	Codename string `json:"codename,omitempty"`
	// Location is the file that says so.
	Location Location `json:"location"`
}

// Source is a file that the inventory was read from, by digest, so that
// evidence can name its inputs.
type Source struct {
	Path   string         `json:"path"`
	Digest subject.Digest `json:"digest"`
}

// Inventory is everything that was found in one target.
type Inventory struct {
	// Components are sorted by ecosystem, name, version, dependency and
	// first location; see Sort.
	Components []Component `json:"components"`
	// Unresolved are sorted by location and text.
	Unresolved []Unresolved `json:"unresolved"`
	// Notes are sorted like Unresolved.
	Notes []Note `json:"notes,omitempty"`
	// OperatingSystem is nil outside images and in images without one.
	OperatingSystem *OperatingSystem `json:"operatingSystem,omitempty"`
	// Sources are the lockfiles and package databases that were read.
	Sources []Source `json:"sources,omitempty"`
}

// Sort puts every list into its documented order, so that the same target
// gives the same bytes in every output.
func (i *Inventory) Sort() {
	slices.SortStableFunc(i.Components, func(a, b Component) int {
		return cmp.Or(
			cmp.Compare(a.Ecosystem, b.Ecosystem), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Version, b.Version), cmp.Compare(a.Architecture, b.Architecture),
			cmp.Compare(a.Dependency, b.Dependency), compareFirst(a.Locations, b.Locations))
	})
	slices.SortStableFunc(i.Unresolved, func(a, b Unresolved) int {
		return cmp.Or(compareLocation(a.Location, b.Location), cmp.Compare(a.Text, b.Text))
	})
	slices.SortStableFunc(i.Notes, func(a, b Note) int {
		return cmp.Or(compareLocation(a.Location, b.Location), cmp.Compare(a.Text, b.Text))
	})
	slices.SortStableFunc(i.Sources, func(a, b Source) int { return cmp.Compare(a.Path, b.Path) })
}

func compareFirst(a, b []Location) int {
	if len(a) == 0 || len(b) == 0 {
		return cmp.Compare(len(a), len(b))
	}
	return compareLocation(a[0], b[0])
}

func compareLocation(a, b Location) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Layer.String(), b.Layer.String()))
}
