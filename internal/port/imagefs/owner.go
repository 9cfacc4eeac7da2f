package imagefs

import (
	"path"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// owners knows which package of the distribution brought a file that tells of
// a Python package.
type owners struct {
	// rank is a layer's place, from 0.
	rank map[subject.Digest]int
	// byFile is by path.
	byFile map[string]owner
	// byName are dpkg's packages, by the names that their lists of files may
	// have; lists are those lists, by the same name.
	byName map[string]component.Component
	lists  map[string]node
}

// owner is a package, and the layer that says that it has the file.
type owner struct {
	component component.Component
	layer     subject.Digest
}

func newOwners(layers []subject.Digest) owners {
	o := owners{rank: map[subject.Digest]int{}, byFile: map[string]owner{}, byName: map[string]component.Component{}, lists: map[string]node{}}
	for i, layer := range layers {
		o.rank[layer] = i
	}
	return o
}

// files notes the files of a package that lists them itself.
func (o *owners) files(c component.Component, names []string, layer subject.Digest) {
	for _, name := range names {
		o.byFile[clean(name)] = owner{c, layer}
	}
}

// dpkg notes a package whose files are listed elsewhere: under its name, under
// its name and architecture, or in status.d under the name of its own file.
func (o *owners) dpkg(c component.Component) {
	names := []string{c.Name, c.Name + ":" + c.Architecture}
	if file, found := strings.CutPrefix(c.Locations[0].Path, statusDir); found {
		names = []string{file}
	}
	for _, name := range names {
		o.byName[name] = c
	}
}

// list notes a list of files; its lines were chosen when it was read.
func (o *owners) list(name string, n node) {
	stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".list"), ".md5sums")
	o.lists[stem] = n
}

// give says of every Python package who owns it. A package owns one that it
// lists and whose version is its own upstream's: where somebody installed
// another version over it, what the distribution knows of its own says nothing.
func (o *owners) give(inventory *component.Inventory) {
	for name, n := range o.lists {
		c, found := o.byName[name]
		if !found {
			continue
		}
		for line := range strings.Lines(string(n.content)) {
			o.files(c, []string{listedFile(line)}, n.layer)
		}
	}
	for i := range inventory.Components {
		c := &inventory.Components[i]
		if c.Ecosystem != pydist.Ecosystem || len(c.Locations) != 1 {
			continue
		}
		by, found := o.byFile[c.Locations[0].Path]
		if found && o.rank[c.Locations[0].Layer] <= o.rank[by.layer] && component.Repackages(by.component.Version, c.Version) {
			c.Owner = by.component.PURL
		}
	}
}

// listedFile is the path in a line: alone, or behind a checksum.
func listedFile(line string) string {
	line = strings.TrimRight(line, "\r\n")
	if _, after, found := strings.Cut(line, "  "); found && !strings.HasPrefix(line, "/") {
		return after
	}
	return line
}
