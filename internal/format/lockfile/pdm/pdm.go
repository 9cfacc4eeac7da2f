// Package pdm reads pdm.lock, as PDM 2 writes it.
//
// Entry point is [Parser]. Lock versions 4.0 to 4.5 are known. PDM writes one
// entry for each set of extras of a package; they are one component here. A
// file from before lock version 4.4 has no groups in its packages, and all of
// them then count as installed by default.
package pdm

import (
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/stricttoml"
)

// Parser reads pdm.lock.
type Parser struct{}

// named is pdm.lock, or the lockfile of another group ("pdm.dev.lock").
var named = regexp.MustCompile(`^pdm(\.[a-z0-9_-]+)?\.lock$`)

// Reads says whether a base name is pdm.lock or pdm.NAME.lock.
func (Parser) Reads(base string) bool {
	return strings.HasPrefix(base, "pdm.") && named.MatchString(base)
}

var known = []string{"4.0", "4.1", "4.2", "4.3", "4.4", "4.5"}

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
	metadata := d.Root().Get("metadata")
	version := metadata.Get("lock_version").Text()
	if parts := strings.SplitN(version, ".", 3); !slices.Contains(known, version) && (len(parts) < 3 || !slices.Contains(known, parts[0]+"."+parts[1])) {
		return lockfile.Result{}, &lockfile.VersionError{File: name, Field: "metadata.lock_version", Found: version, Known: known}
	}
	list := lockfile.NewList(content, name)
	// A file for several targets is for any of them.
	if targets := metadata.Get("targets").List(); len(targets) == 1 {
		requires := targets[0].Get("requires_python")
		list.Python(requires.Text(), requires.Line(), environment)
	}
	for _, p := range d.Root().Get("package").List() {
		if err := add(list, p, metadata, environment); err != nil {
			return lockfile.Result{}, err
		}
	}
	if err := d.Err(); err != nil {
		return lockfile.Result{}, err
	}
	return list.Result()
}

func add(list *lockfile.List, p, metadata *stricttoml.Value, environment requirement.Environment) error {
	entry := lockfile.Package{Name: p.Get("name").Text(), Version: p.Get("version").Text(), Line: p.Line()}
	elsewhere(p, &entry)
	for _, group := range p.Get("groups").Texts() {
		if group == "default" {
			entry.Default = true
		} else {
			entry.Groups = append(entry.Groups, group)
		}
	}
	entry.Default = entry.Default || len(entry.Groups) == 0
	files := p.Get("files")
	if files == nil { // before 4.3, or the static_urls strategy of old
		files = metadata.Get("files", entry.Name+" "+entry.Version)
	}
	for _, file := range files.List() {
		entry.Hashes = append(entry.Hashes, file.Get("hash").Text())
	}
	for _, text := range p.Get("dependencies").Texts() {
		if need, holds := needOf(text, environment); holds {
			entry.Needs = append(entry.Needs, need)
		}
	}
	marker := p.Get("marker").Text()
	m, err := requirement.ParseMarker(marker)
	holds := true
	if err == nil {
		holds, err = m.Holds(&requirement.Scope{Environment: environment})
	}
	if err != nil {
		entry.Elsewhere, entry.At = err.Error(), ""
	} else if !holds {
		return list.Exclude(entry, marker)
	}
	return list.Add(entry)
}

func elsewhere(p *stricttoml.Value, entry *lockfile.Package) {
	for _, kind := range []string{"git", "hg", "svn", "bzr"} {
		if at := p.Get(kind).Text(); at != "" {
			entry.Elsewhere, entry.At = "it comes from version control, and no index knows that version", kind+"+"+at
			return
		}
	}
	switch at, path := p.Get("url").Text(), p.Get("path").Text(); {
	case at != "":
		entry.Elsewhere, entry.At = "it comes from a file at a URL, which names no version that could be checked", at
	case path != "":
		entry.Elsewhere, entry.At = "a local path has no fixed version", path
	}
}

var dependency = regexp.MustCompile(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;]*)(?:;(.*))?$`)

// needOf reads a PEP 508 requirement as far as an edge needs it. One that its
// marker leaves out is no edge; one that cannot be read names nothing.
func needOf(text string, environment requirement.Environment) (lockfile.Need, bool) {
	m := dependency.FindStringSubmatch(text)
	if m == nil {
		return lockfile.Need{}, false
	}
	if marker := strings.TrimSpace(m[3]); marker != "" {
		if holds, err := requirement.Holds(marker, environment); err == nil && !holds {
			return lockfile.Need{}, false
		}
	}
	return lockfile.Need{Name: m[1], Range: strings.TrimSpace(m[2])}, true
}
