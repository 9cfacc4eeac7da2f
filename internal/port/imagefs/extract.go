package imagefs

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/apk"
	"github.com/seed-161fc314/assay/internal/format/conda"
	"github.com/seed-161fc314/assay/internal/format/dpkg"
	"github.com/seed-161fc314/assay/internal/format/osrelease"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/rpmdb"
)

// extraction turns the wanted files of an image into its inventory.
type extraction struct {
	files     map[string]node
	names     []string // sorted
	inventory component.Inventory
	owners    owners
}

func newExtraction(files map[string]node, layers []subject.Digest) *extraction {
	e := &extraction{files: files, owners: newOwners(layers)}
	for name := range files {
		e.names = append(e.names, name)
	}
	slices.Sort(e.names)
	return e
}

// packages reads the operating system, and all that lists packages.
func (e *extraction) packages() error {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if n, ok := resolve(e.files, name); ok && e.inventory.OperatingSystem == nil {
			os, err := osrelease.Parse(bytes.NewReader(n.content), name)
			if err != nil {
				return err
			}
			os.Location.Layer = n.layer
			e.inventory.OperatingSystem = &os
		}
	}
	for _, name := range e.names {
		n, read := e.node(name)
		if !read {
			continue
		}
		where := component.Location{Path: name, Layer: e.files[name].layer}
		if n.missing != "" {
			e.unresolved(name, n.missing, where)
			continue
		}
		if err := e.file(name, n, where); err != nil {
			return err
		}
	}
	e.noteMissingDatabase()
	e.owners.give(&e.inventory)
	conda.Settle(&e.inventory)
	return nil
}

// node is what is to be read at a path, behind symbolic links; read is false
// where there is nothing, or where it is read at the place that they lead to.
func (e *extraction) node(name string) (n node, read bool) {
	n = e.files[name]
	if n.link == "" {
		return n, true
	}
	target, ok := follow(e.files, name)
	switch {
	case !packages(name):
		return n, false
	case ok && packages(target):
		return n, false
	case distribution(name) && (e.files[path.Join(target, "METADATA")].content != nil || e.files[path.Join(target, "PKG-INFO")].content != nil):
		return n, false
	case ok:
		return e.files[target], true
	}
	n.missing = "it is a symbolic link that leads nowhere that is read"
	return n, true
}

func (e *extraction) unresolved(text, reason string, where component.Location) {
	e.inventory.Unresolved = append(e.inventory.Unresolved, component.Unresolved{Text: text, Reason: reason, Location: where})
}

// file reads one file. A distribution's database that cannot be read is an
// error; one Python package that cannot be is an unresolved record.
func (e *extraction) file(name string, n node, where component.Location) error {
	switch {
	case isFileList(name):
		e.owners.list(name, n)
	case isStatus(name):
		return e.dpkg(n.content, where)
	case apk.IsDatabase(name):
		return e.apk(n.content, where)
	case rpmdb.IsDatabase(name):
		return e.rpm(n.content, where)
	case conda.IsMeta(name):
		e.conda(n.components, where)
	case pydist.IsMetadata(name):
		e.metadata(n.content, where)
	case pydist.IsArchive(name):
		contents := pydist.NamedArchive(where)
		e.inventory.Components = append(e.inventory.Components, contents.Components...)
		e.inventory.Unresolved = append(e.inventory.Unresolved, contents.Unresolved...)
	case pydist.IsOrigin(name):
		record, found, err := pydist.Origin(bytes.NewReader(n.content), where)
		e.said(record, found, err)
	case pydist.IsLink(name):
		record, err := pydist.Link(bytes.NewReader(n.content), where)
		e.said(record, true, err)
	}
	return nil
}

// said keeps a record of what a file says is untested, or why it cannot be
// read.
func (e *extraction) said(record component.Unresolved, found bool, err error) {
	switch {
	case err != nil:
		e.unresolved(record.Location.Path, err.Error(), record.Location)
	case found:
		e.inventory.Unresolved = append(e.inventory.Unresolved, record)
	}
}

// system is the distribution that a package manager's packages are of: the
// image's own, unless that one is known to use another (rpm's database in an
// image of Debian).
func (e *extraction) system(manager string) component.OperatingSystem {
	os := e.inventory.OperatingSystem
	if os == nil {
		return component.OperatingSystem{ID: "unknown"}
	}
	if used := component.Manager(os.Ecosystem()); used != "" && used != manager {
		return component.OperatingSystem{ID: "unknown"}
	}
	return *os
}

func (e *extraction) dpkg(content []byte, where component.Location) error {
	packages, err := dpkg.Parse(bytes.NewReader(content), where.Path)
	if err != nil {
		return err
	}
	os := e.system("dpkg")
	for _, p := range packages {
		place := where
		place.Line = p.Line
		c := p.Component(os, place)
		c.Licenses, c.Expression = e.licences(p.Name)
		e.owners.dpkg(c)
		e.inventory.Components = append(e.inventory.Components, c)
	}
	e.source(content, where)
	return nil
}

func (e *extraction) apk(content []byte, where component.Location) error {
	packages, err := apk.Parse(bytes.NewReader(content), where.Path, ownable)
	if err != nil {
		return err
	}
	os := e.system("apk")
	for _, p := range packages {
		place := where
		place.Line = p.Line
		c := p.Component(os, place)
		e.owners.files(c, p.Owned, where.Layer)
		e.inventory.Components = append(e.inventory.Components, c)
	}
	e.source(content, where)
	return nil
}

func (e *extraction) rpm(content []byte, where component.Location) error {
	if len(content) == 0 {
		e.unresolved(where.Path, "rpm's database is empty, and its packages were not tested", where)
		return nil
	}
	if hot, found := e.files[where.Path+journal]; found && (len(hot.content) > 0 || hot.missing != "") {
		e.unresolved(where.Path, "rpm's database was being changed when the image was made ("+where.Path+journal+" is not empty), and its packages were not tested", where)
		return nil
	}
	packages, err := rpmdb.Parse(content, where.Path, rpmdb.Config{WAL: e.files[where.Path+walSuffix].content, Owns: ownable})
	if err != nil {
		return err
	}
	for i, c := range rpmdb.Components(packages, e.system("rpm"), where) {
		e.owners.files(c, packages[i].Owned, where.Layer)
		e.inventory.Components = append(e.inventory.Components, c)
	}
	e.source(content, where)
	return nil
}

func (e *extraction) source(content []byte, where component.Location) {
	e.inventory.Sources = append(e.inventory.Sources, component.Source{Path: where.Path, Digest: subject.Of(content)})
}

func (e *extraction) metadata(content []byte, where component.Location) {
	m, err := pydist.ParseMetadata(bytes.NewReader(content), where.Path)
	if err != nil {
		e.unresolved(where.Path, err.Error(), where)
		return
	}
	e.inventory.Components = append(e.inventory.Components, pydist.Component(m, where))
}

// conda takes what was read of conda's record of a package.
func (e *extraction) conda(list []component.Component, where component.Location) {
	for _, c := range list {
		c.Locations = []component.Location{where}
		e.inventory.Components = append(e.inventory.Components, c)
	}
}

// licences are those in a package's copyright file. Its directory may be a link
// to that of the package that it was built with.
func (e *extraction) licences(name string) (statements []string, expression string) {
	dir := docDir + "/" + name
	if target, _ := follow(e.files, dir); target != "" {
		dir = target
	}
	n, _ := resolve(e.files, dir+"/copyright")
	return n.licences, n.expression
}

// noteMissingDatabase says so where there is a distribution and nothing that
// lists its packages: they may be there all the same.
func (e *extraction) noteMissingDatabase() {
	os := e.inventory.OperatingSystem
	if os == nil {
		return
	}
	for _, c := range e.inventory.Components {
		if c.Ecosystem != pydist.Ecosystem && c.Ecosystem != conda.Ecosystem {
			return
		}
	}
	for _, u := range e.inventory.Unresolved {
		if name := u.Text; isStatus(name) || apk.IsDatabase(name) || rpmdb.IsDatabase(name) {
			return // that is said already
		}
	}
	e.unresolved(os.Location.Path, fmt.Sprintf("it says that this is %s, and no database lists a package of the distribution; they were not tested", cmp.Or(os.PrettyName, os.ID)), os.Location)
}
