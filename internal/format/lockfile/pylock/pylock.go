// Package pylock reads pylock.toml (PEP 751, "pylock.toml Specification" of the
// Python Packaging Authority).
//
// Entry point is [Parser]. Lock version 1.0 is known. Markers are evaluated
// with the default groups and no extras; what only an extra or another group
// brings in carries their names as groups. A file that says that it is for
// other environments than the one asked for has a note that says so.
package pylock

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/stricttoml"
)

// Parser reads pylock.toml.
type Parser struct{}

var named = regexp.MustCompile(`^pylock\.([^.]+\.)?toml$`)

// Reads says whether a base name is pylock.toml or pylock.NAME.toml.
func (Parser) Reads(base string) bool {
	return strings.HasPrefix(base, "pylock.") && named.MatchString(base)
}

var known = []string{"1.0"}

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
	if version := root.Get("lock-version").Text(); !slices.Contains(known, version) {
		return lockfile.Result{}, &lockfile.VersionError{File: name, Field: "lock-version", Found: version, Known: known}
	}
	f := file{name: name, list: lockfile.NewList(content, name), environment: environment,
		extras: normalised(root.Get("extras")), groups: normalised(root.Get("dependency-groups")), defaults: normalised(root.Get("default-groups"))}
	if len(f.extras)+len(f.groups) > limit.LockedGroups {
		return lockfile.Result{}, &limit.Error{What: name, Bound: limit.LockedGroups, Unit: "extras and dependency groups"}
	}
	for _, p := range root.Get("packages").List() {
		if err := f.add(p); err != nil {
			return lockfile.Result{}, err
		}
	}
	note, err := f.elsewhere(root)
	if err == nil {
		err = d.Err()
	}
	if err != nil {
		return lockfile.Result{}, err
	}
	result, err := f.list.Result()
	if note != nil && err == nil {
		result.Notes = append(result.Notes, *note)
	}
	return result, err
}

func normalised(names *stricttoml.Value) []string {
	var list []string
	for _, name := range names.Texts() {
		list = append(list, pydist.Normalise(name))
	}
	return list
}

type file struct {
	name                     string
	list                     *lockfile.List
	environment              requirement.Environment
	extras, groups, defaults []string
}

// elsewhere is a note where the file is not meant for the environment: an
// installer would refuse it.
func (f *file) elsewhere(root *stricttoml.Value) (*component.Note, error) {
	requires := root.Get("requires-python")
	f.list.Python(requires.Text(), requires.Line(), f.environment)
	environments := root.Get("environments")
	for _, item := range environments.List() {
		holds, err := requirement.Holds(item.Text(), f.environment)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: environments: %w", f.name, item.Line(), err)
		}
		if holds {
			return nil, nil
		}
	}
	if len(environments.List()) > 0 {
		return &component.Note{Location: component.Location{Path: f.name, Line: environments.Line()},
			Text: fmt.Sprintf("the file names its environments, and %s is none of them", f.environment)}, nil
	}
	return nil, nil
}

func (f *file) add(p *stricttoml.Value) error {
	entry := lockfile.Package{Name: p.Get("name").Text(), Version: p.Get("version").Text(), Line: p.Line(), Index: p.Get("index").Text()}
	source(p, &entry)
	for _, place := range append(slices.Clone(p.Get("wheels").List()), p.Get("sdist"), p.Get("archive")) {
		for _, algorithm := range place.Get("hashes").Keys() {
			entry.Hashes = append(entry.Hashes, algorithm+":"+place.Get("hashes", algorithm).Text())
		}
	}
	for _, need := range p.Get("dependencies").List() {
		entry.Needs = append(entry.Needs, lockfile.Need{Name: need.Get("name").Text(), Version: need.Get("version").Text()})
	}
	marker := p.Get("marker").Text()
	m, err := requirement.ParseMarker(marker)
	if err == nil {
		entry.Default, entry.Groups, err = f.holds(m)
	}
	if err != nil {
		entry.Elsewhere, entry.At = err.Error(), ""
	} else if !entry.Default && len(entry.Groups) == 0 {
		return f.list.Exclude(entry, marker)
	}
	return f.list.Add(entry)
}

// holds says whether a marker holds by default, else which extras and groups
// make it hold: each alone, or, where that is not enough, all that it names.
func (f *file) holds(m requirement.Marker) (always bool, groups []string, err error) {
	scope := requirement.Scope{Environment: f.environment, Groups: f.defaults}
	if always, err = m.Holds(&scope); err != nil || always {
		return always, nil, err
	}
	extras, dependencyGroups := m.Names()
	extras, dependencyGroups = declared(extras, f.extras), declared(dependencyGroups, f.groups)
	try := func(extras, groups []string) (bool, error) {
		return m.Holds(&requirement.Scope{Environment: f.environment, Extras: extras, Groups: append(slices.Clone(f.defaults), groups...)})
	}
	for _, extra := range extras {
		if holds, err := try([]string{extra}, nil); err != nil {
			return false, nil, err
		} else if holds {
			groups = append(groups, extra)
		}
	}
	for _, group := range dependencyGroups {
		if holds, err := try(nil, []string{group}); err != nil {
			return false, nil, err
		} else if holds {
			groups = append(groups, group)
		}
	}
	if len(groups) == 0 {
		if holds, err := try(extras, dependencyGroups); err != nil || !holds {
			return false, nil, err
		}
		groups = slices.Concat(extras, dependencyGroups)
	}
	return false, groups, nil
}

// declared are those of names that the file declares, once each.
func declared(names, all []string) []string {
	var list []string
	for _, name := range names {
		if slices.Contains(all, name) && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

func source(p *stricttoml.Value, entry *lockfile.Package) {
	where := func(kind string) string {
		if at := p.Get(kind, "url").Text(); at != "" {
			return at
		}
		return p.Get(kind, "path").Text()
	}
	switch {
	case p.Get("vcs") != nil:
		entry.Elsewhere, entry.At = "it comes from version control, and no index knows that version", p.Get("vcs", "type").Text()+"+"+where("vcs")
	case p.Get("directory") != nil:
		entry.Elsewhere, entry.At = "a local directory has no fixed version", where("directory")
	case p.Get("archive") != nil:
		entry.Elsewhere, entry.At = "it comes from a file at a URL or path, which names no version that could be checked", where("archive")
	}
}
