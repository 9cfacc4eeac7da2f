package lockfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// Package is one entry of a lockfile, as its format has it.
type Package struct {
	Name, Version string
	Line          int
	// Default says that it is always installed; else Groups are the words
	// that bring it in.
	Default bool
	Groups  []string
	// Hashes are "algorithm:hex"; what is no SHA-2 is left out.
	Hashes []string
	Needs  []Need
	// Index is the URL that it comes from; "" for PyPI or where the format
	// does not say.
	Index string
	// Elsewhere says in words why it is not the package of that name on an
	// index; "" if it is. At is then its URL or path: a wheel there that is
	// of this name has the version of its file name.
	Elsewhere, At string
}

// Need is one edge of the dependency graph.
type Need struct {
	Name string
	// Version is the one meant, where the format says it; else Range is the
	// specifier (PEP 440) as written, and of several versions in the file
	// those are meant that it contains.
	Version, Range string
}

// List gathers the entries of one file into its Result.
type List struct {
	name    string
	count   int
	result  Result
	at      map[string]int   // name and version to the component's place
	of      map[string][]int // name to the places of its components
	always  []bool
	needs   [][]Need
	indexes []string // other indexes than PyPI, in the order of the file
	indexed map[string]*index
}

// index is where some packages come from: the first line that says so, and
// their names.
type index struct {
	line  int
	names []string
	seen  map[string]bool
}

// NewList begins the list of one file.
func NewList(content []byte, name string) *List {
	return &List{name: name, at: map[string]int{}, of: map[string][]int{}, indexed: map[string]*index{},
		result: Result{Projects: []string{"."}, Source: component.Source{Path: name, Digest: subject.Of(content)}}}
}

// Python notes that the file is for other versions of Python than the one that
// it is read for, or that its constraint is none by PEP 440. "" and "*" are any.
func (l *List) Python(constraint string, line int, environment requirement.Environment) {
	if constraint == "" || constraint == "*" {
		return
	}
	specifiers, err := pep440.ParseSpecifiers(constraint)
	v, invalid := pep440.Parse(environment.PythonFullVersion)
	text := fmt.Sprintf("the file is for Python %s, and was read for %s", constraint, environment)
	switch {
	case err != nil || invalid != nil:
		text = fmt.Sprintf("the Python version that the file is for could not be read: %q", constraint)
	case specifiers.Contains(v):
		return
	}
	l.result.Notes = append(l.result.Notes, component.Note{Text: text, Location: component.Location{Path: l.name, Line: line}})
}

// Count counts an entry that Add and Exclude are not called for; beyond
// limit.LockedPackages it is an error, as it is for them.
func (l *List) Count() error {
	if l.count++; l.count > limit.LockedPackages {
		return &limit.Error{What: l.name, Bound: limit.LockedPackages, Unit: "packages"}
	}
	return nil
}

// Project notes a directory whose project the file locks.
func (l *List) Project(dir string) {
	if !slices.Contains(l.result.Projects, dir) {
		l.result.Projects = append(l.result.Projects, dir)
	}
}

// Exclude notes a package that is for other environments.
func (l *List) Exclude(p Package, marker string) error {
	l.result.Excluded = append(l.result.Excluded, requirement.Excluded{Name: pydist.Normalise(p.Name), Text: p.text(), Marker: marker,
		Location: component.Location{Path: l.name, Line: p.Line}})
	return l.Count()
}

func (p Package) text() string {
	if p.Version == "" {
		return p.Name
	}
	return p.Name + "==" + p.Version
}

// Add puts a package into the list; entries of one name and version are one
// component. What lies in the lockfile's own directory is the project, which is
// no dependency.
func (l *List) Add(p Package) error {
	if err := l.Count(); err != nil || p.Elsewhere != "" && p.At == "." {
		return err
	}
	where := component.Location{Path: l.name, Line: p.Line}
	name := pydist.Normalise(p.Name)
	unresolved := func(reason string) error {
		text := requirement.Mask(p.text())
		if p.Elsewhere != "" && p.At != "" {
			text = p.Name + " @ " + requirement.Mask(p.At)
		}
		l.result.Unresolved = append(l.result.Unresolved, component.Unresolved{Name: name, Text: text, Reason: reason, Location: where})
		return nil
	}
	if !pydist.ValidName(p.Name) {
		name = ""
		return unresolved(fmt.Sprintf("%q is no name that a package can have", p.Name))
	}
	if p.Elsewhere != "" {
		version, reason := requirement.WheelVersion(name, p.At)
		if reason != "" {
			return unresolved(p.Elsewhere)
		}
		p.Version = version
	}
	if p.Version == "" {
		return unresolved("no version is given")
	}
	version, err := pep440.Parse(p.Version)
	if err != nil {
		return unresolved(err.Error())
	}
	if p.Index != "" && !pydist.IsPublicIndex(p.Index) {
		l.from(p, name)
	}
	key := name + "==" + version.String()
	at, known := l.at[key]
	if !known {
		at = len(l.result.Components)
		l.at[key], l.of[name] = at, append(l.of[name], at)
		l.always, l.needs = append(l.always, false), append(l.needs, nil)
		l.result.Components = append(l.result.Components, component.Component{
			Ecosystem: pydist.Ecosystem, Name: name, Version: version.String(), PURL: pydist.PURL(name, version.String()),
			Dependency: component.Declared, Locations: []component.Location{where},
		})
	}
	c := &l.result.Components[at]
	if known && !slices.Contains(c.Locations, where) {
		c.Locations = append(c.Locations, where)
	}
	l.always[at] = l.always[at] || p.Default
	c.Groups = append(c.Groups, p.Groups...)
	c.Hashes = appendHashes(c.Hashes, p.Hashes)
	l.needs[at] = append(l.needs[at], p.Needs...)
	return nil
}

func appendHashes(list []subject.Digest, texts []string) []subject.Digest {
	if list == nil {
		list = make([]subject.Digest, 0, len(texts))
	}
	for _, text := range texts {
		if digest, err := subject.Parse(strings.ToLower(text)); err == nil {
			list = append(list, digest)
		}
	}
	return list
}

func (l *List) from(p Package, name string) {
	known := l.indexed[p.Index]
	if known == nil {
		known = &index{line: p.Line, seen: map[string]bool{}}
		l.indexed[p.Index] = known
		l.indexes = append(l.indexes, p.Index)
	}
	if !known.seen[name] {
		known.seen[name] = true
		known.names = append(known.names, name)
	}
}

// Result links the components and sorts what has an order. More than
// limit.LockedEdges edges are an error.
func (l *List) Result() (Result, error) {
	edges := 0
	for at := range l.result.Components {
		c := &l.result.Components[at]
		if l.always[at] {
			c.Groups = nil
		}
		slices.Sort(c.Groups)
		c.Groups = slices.Clip(slices.Compact(c.Groups))
		c.Hashes = unique(c.Hashes)
		for _, need := range l.needs[at] {
			if edges += 1 + len(l.of[pydist.Normalise(need.Name)]); edges > limit.LockedEdges {
				return Result{}, &limit.Error{What: l.name, Bound: limit.LockedEdges, Unit: "dependencies between packages"}
			}
			for _, to := range l.meant(need) {
				if to != at {
					c.DependsOn = append(c.DependsOn, l.result.Components[to].PURL)
				}
			}
		}
		slices.Sort(c.DependsOn)
		c.DependsOn = slices.Compact(c.DependsOn)
	}
	for _, url := range l.indexes {
		l.result.Notes = append(l.result.Notes, component.Note{Location: component.Location{Path: l.name, Line: l.indexed[url].line},
			Text: fmt.Sprintf("%s from the index %s: matched by name against the advisories for PyPI", requirement.Names(l.indexed[url].names), requirement.Mask(url))})
	}
	return l.result, nil
}

// unique keeps the first of equal digests.
func unique(list []subject.Digest) []subject.Digest {
	if len(list) == 0 {
		return nil
	}
	seen := make(map[subject.Digest]bool, len(list))
	return slices.DeleteFunc(list, func(d subject.Digest) bool {
		twice := seen[d]
		seen[d] = true
		return twice
	})
}

// meant are the places of the components that an edge leads to.
func (l *List) meant(need Need) []int {
	name := pydist.Normalise(need.Name)
	if need.Version != "" {
		if at, known := l.at[name+"=="+need.Version]; known {
			return []int{at}
		}
		if v, err := pep440.Parse(need.Version); err == nil {
			if at, known := l.at[name+"=="+v.String()]; known {
				return []int{at}
			}
		}
		return nil
	}
	places := l.of[name]
	if len(places) < 2 || need.Range == "" {
		return places
	}
	specifiers, err := pep440.ParseSpecifiers(need.Range)
	if err != nil {
		return places
	}
	var inside []int
	for _, at := range places {
		if v, err := pep440.Parse(l.result.Components[at].Version); err == nil && specifiers.Contains(v) {
			inside = append(inside, at)
		}
	}
	return inside
}
