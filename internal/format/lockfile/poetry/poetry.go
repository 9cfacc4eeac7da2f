// Package poetry reads poetry.lock, as Poetry 1.x and 2.x write it.
//
// Entry point is [Parser]. Lock versions 1.0, 1.1, 2.0 and 2.1 are known: with
// hashes in each package or in [metadata.files], with "category", with "groups"
// and "markers", or with neither. Versions 2.0 and before do not say which
// package is for which group unless they have a category; their optional
// packages are known by the extras that name them.
//
// Poetry's own version constraints ("^1.2") are not evaluated: where a file
// holds several versions of a name, an edge leads to all that the environment
// has.
package poetry

import (
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/stricttoml"
)

// Parser reads poetry.lock.
type Parser struct{}

// Reads says whether a base name is poetry.lock.
func (Parser) Reads(base string) bool { return base == "poetry.lock" }

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
	if found := root.Get("metadata", "lock-version").Text(); !slices.Contains(known, found) {
		return lockfile.Result{}, &lockfile.VersionError{File: name, Field: "metadata.lock-version", Found: found, Known: known}
	}
	f := file{root: root, list: lockfile.NewList(content, name), environment: environment, extras: map[string][]string{}}
	for _, extra := range root.Get("extras").Keys() {
		for _, text := range root.Get("extras", extra).Texts() {
			name, _, _ := strings.Cut(text, " ")
			name = pydist.Normalise(name)
			f.extras[name] = append(f.extras[name], extra)
		}
	}
	// Poetry's own operators are left alone.
	if versions := root.Get("metadata", "python-versions"); !caret.MatchString(versions.Text()) {
		f.list.Python(versions.Text(), versions.Line(), environment)
	}
	for _, p := range root.Get("package").List() {
		if err := f.add(p); err != nil {
			return lockfile.Result{}, err
		}
	}
	if err := d.Err(); err != nil {
		return lockfile.Result{}, err
	}
	return f.list.Result()
}

var caret = regexp.MustCompile(`\^|\||~([^=]|$)|\s[<>=!]`)

var known = []string{"1.0", "1.1", "2.0", "2.1"}

type file struct {
	root        *stricttoml.Value
	list        *lockfile.List
	environment requirement.Environment
	// extras are the extras of the project that name a package.
	extras map[string][]string
}

func (f *file) add(p *stricttoml.Value) error {
	entry := lockfile.Package{Name: p.Get("name").Text(), Version: p.Get("version").Text(), Line: p.Line()}
	elsewhere(p.Get("source"), &entry)
	entry.Hashes = f.hashes(p, entry.Name)
	entry.Needs = needs(p.Get("dependencies"))
	groups := p.Get("groups").Texts()
	if category := p.Get("category").Text(); category != "" {
		groups = []string{category}
	}
	groups, marker, err := f.hold(p, groups)
	if err != nil {
		entry.Elsewhere, entry.At = err.Error(), ""
	} else if marker != "" {
		return f.list.Exclude(entry, marker)
	}
	for _, group := range groups {
		if group != "main" {
			entry.Groups = append(entry.Groups, group)
		}
	}
	entry.Default = len(groups) == 0 || slices.Contains(groups, "main")
	if entry.Default && p.Get("optional").True() {
		entry.Default = false
		extras := f.extras[pydist.Normalise(entry.Name)]
		if len(extras) == 0 {
			extras = []string{"optional"} // needed by what an extra names
		}
		entry.Groups = append(entry.Groups, extras...)
	}
	return f.list.Add(entry)
}

// hold gives the groups whose marker holds, or a marker if none does. A marker
// is one for all groups or one for each; those on extras of the project hold
// for somebody who asks for them.
func (f *file) hold(p *stricttoml.Value, groups []string) (held []string, failed string, err error) {
	markers := p.Get("markers")
	if markers == nil {
		markers = p.Get("marker") // lock version 1.0
	}
	if !markers.Is(stricttoml.Table) {
		holds, err := f.holds(markers.Text())
		if err != nil || holds {
			return groups, "", err
		}
		return nil, markers.Text(), nil
	}
	for _, group := range groups {
		text := markers.Get(group).Text()
		holds, err := f.holds(text)
		if err != nil {
			return groups, "", err
		}
		if holds {
			held = append(held, group)
		} else {
			failed = text
		}
	}
	if len(held) > 0 || failed == "" {
		return held, "", nil
	}
	return nil, failed, nil
}

func (f *file) holds(text string) (bool, error) {
	m, err := requirement.ParseMarker(text)
	if err != nil {
		return false, err
	}
	extras, _ := m.Names()
	if holds, err := m.Holds(&requirement.Scope{Environment: f.environment, Extras: extras}); err != nil || holds {
		return holds, err
	}
	return m.Holds(&requirement.Scope{Environment: f.environment}) // "extra != ..."
}

// hashes are those of the package, or by its name in [metadata.files] or
// [metadata.hashes].
func (f *file) hashes(p *stricttoml.Value, name string) []string {
	var hashes []string
	files := p.Get("files")
	if files == nil {
		files = f.root.Get("metadata", "files", name)
	}
	for _, file := range files.List() {
		hashes = append(hashes, file.Get("hash").Text())
	}
	for _, hash := range f.root.Get("metadata", "hashes", name).Texts() {
		hashes = append(hashes, "sha256:"+hash)
	}
	return hashes
}

func elsewhere(source *stricttoml.Value, entry *lockfile.Package) {
	at := source.Get("url").Text()
	switch kind := source.Get("type").Text(); kind {
	case "":
	case "legacy", "pypi":
		entry.Index = at
	case "git", "hg", "svn":
		entry.Elsewhere, entry.At = "it comes from version control, and no index knows that version", kind+"+"+at
	case "file", "url":
		entry.Elsewhere, entry.At = "it comes from a file at a URL or path, which names no version that could be checked", at
	case "directory":
		entry.Elsewhere, entry.At = "a local directory has no fixed version", at
	default:
		entry.Elsewhere, entry.At = "its source is of the unknown type "+kind, at
	}
}

// needs reads [package.dependencies]: a constraint, a table with one, or an
// array of either. Optional ones are only there when an extra asks for them,
// and an edge to something that is not in the file is none.
func needs(dependencies *stricttoml.Value) []lockfile.Need {
	var list []lockfile.Need
	for _, name := range dependencies.Keys() {
		list = append(list, lockfile.Need{Name: name})
	}
	return list
}
