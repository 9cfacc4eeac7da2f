// Package uv reads uv.lock, and the lockfiles that uv writes beside scripts.
//
// Entry point is [Parser]. Version 1 of the format is known, in all its
// revisions, which uv defines as readable by every reader of the version.
//
// A uv.lock is for every platform at once: which packages are for one
// environment follows from the edges and their markers. The walk begins at the
// projects that the file locks (the members of a workspace, or the requirements
// of a script), which are no dependencies themselves. What only an extra or a
// dependency group of a project brings in carries its name as a group; "dev" is
// one, although uv installs it unless it is told not to.
package uv

import (
	"io"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/stricttoml"
)

// Parser reads uv.lock.
type Parser struct{}

// Reads says whether a base name is uv.lock or that of a script's lockfile.
func (Parser) Reads(base string) bool {
	return base == "uv.lock" || strings.HasSuffix(base, ".py.lock") && len(base) > len(".py.lock")
}

var known = []string{"1"}

// Parse is lockfile.Parser's.
func (Parser) Parse(r io.Reader, name string, environment requirement.Environment) (lockfile.Result, error) {
	content, err := lockfile.Open(r, name)
	if err != nil {
		return lockfile.Result{}, err
	}
	d, err := stricttoml.Parse(content, name)
	if err != nil {
		return lockfile.Result{}, err
	}
	root := d.Root()
	if version := root.Get("version").Literal(); !slices.Contains(known, version) {
		return lockfile.Result{}, &lockfile.VersionError{File: name, Field: "version", Found: version, Known: known}
	}
	g, err := newGraph(root, name, environment)
	if err != nil {
		return lockfile.Result{}, err
	}
	list := lockfile.NewList(content, name)
	requires := root.Get("requires-python")
	list.Python(requires.Text(), requires.Line(), environment)
	g.walk()
	for _, p := range g.packages {
		if err := p.list(list); err != nil {
			return lockfile.Result{}, err
		}
	}
	if err := d.Err(); err != nil {
		return lockfile.Result{}, err
	}
	return list.Result()
}

// list puts a package where the walk says that it belongs.
func (p *node) list(list *lockfile.List) error {
	v := p.value
	entry := lockfile.Package{Name: p.name, Version: v.Get("version").Text(), Line: v.Line(), Default: p.always, Groups: p.groups}
	local := source(v.Get("source"), &entry)
	if p.project {
		list.Project(local)
		return list.Count()
	}
	for _, wheel := range append(slices.Clone(v.Get("wheels").List()), v.Get("sdist")) {
		entry.Hashes = append(entry.Hashes, wheel.Get("hash").Text())
	}
	for _, to := range p.needs {
		if !to.project {
			entry.Needs = append(entry.Needs, lockfile.Need{Name: to.name, Version: to.value.Get("version").Text()})
		}
	}
	switch {
	case p.broken != "":
		entry.Elsewhere, entry.At = p.broken, ""
	case !p.always && len(p.groups) == 0 && p.marker != "":
		return list.Exclude(entry, p.marker)
	case !p.always && len(p.groups) == 0:
		entry.Default = true // nothing in the file says who needs it
	}
	return list.Add(entry)
}

// source fills in where a package comes from; local is the directory of one
// that is not from elsewhere.
func source(source *stricttoml.Value, entry *lockfile.Package) (local string) {
	for _, kind := range source.Keys() {
		at := source.Get(kind)
		switch kind {
		case "registry":
			entry.Index = at.Text()
		case "git":
			entry.Elsewhere, entry.At = "it comes from version control, and no index knows that version", "git+"+at.Text()
		case "url", "path":
			entry.Elsewhere, entry.At = "it comes from a file at a URL or path, which names no version that could be checked", at.Text()
		case "directory", "editable", "virtual":
			entry.Elsewhere, entry.At = "a local directory has no fixed version", at.Text()
			return at.Text()
		case "subdirectory":
		default:
			entry.Elsewhere = "its source is of the unknown kind " + kind
		}
	}
	return ""
}
