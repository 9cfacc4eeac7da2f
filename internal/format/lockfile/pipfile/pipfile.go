// Package pipfile reads Pipfile.lock, as Pipenv writes it.
//
// Entry point is [Parser]. Version 6 of the format is known (its field
// "pipfile-spec"). The file has no edges; its section "default" is what is
// always installed, every other one is a group.
package pipfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// Parser reads Pipfile.lock.
type Parser struct{}

// Reads says whether a base name is Pipfile.lock.
func (Parser) Reads(base string) bool { return base == "Pipfile.lock" }

var known = []string{"6"}

type meta struct {
	Spec    json.Number `json:"pipfile-spec"`
	Sources []struct{ Name, URL string }
	// Requires is the Pipfile's.
	Requires struct {
		Python string `json:"python_version"`
	}
}

// entry is one package of a section.
type entry struct {
	Version, Markers, Index string
	Hashes                  []string
	Git, Hg, Svn, Bzr       string
	Path, File, URL         string
	Editable                bool
}

// Parse is lockfile.Parser's.
func (Parser) Parse(r io.Reader, name string, environment requirement.Environment) (lockfile.Result, error) {
	content, err := lockfile.Open(r, name)
	if err != nil {
		return lockfile.Result{}, err
	}
	top, err := strictjson.Object(content, name, strictjson.Bounds{})
	if err != nil {
		return lockfile.Result{}, err
	}
	var m meta
	if raw, found := top["_meta"]; found {
		if err := json.Unmarshal(raw, &m); err != nil {
			return lockfile.Result{}, fmt.Errorf("%s: _meta: %w", name, err)
		}
	}
	if !slices.Contains(known, m.Spec.String()) {
		return lockfile.Result{}, &lockfile.VersionError{File: name, Field: "_meta.pipfile-spec", Found: m.Spec.String(), Known: known}
	}
	indexes := map[string]string{}
	for _, source := range m.Sources {
		indexes[source.Name] = source.URL
	}
	list := lockfile.NewList(content, name)
	if python := m.Requires.Python; python != "" {
		list.Python("=="+python+".*", 1, environment)
	}
	sections := map[string]strictjson.Members{}
	for _, k := range keys(content) {
		if k.section == "_meta" {
			continue
		}
		if sections[k.section] == nil {
			if sections[k.section], err = strictjson.Object(top[k.section], name+": "+k.section, strictjson.Bounds{}); err != nil {
				return lockfile.Result{}, err
			}
		}
		if k.name == "" && k.empty {
			continue
		}
		var e entry
		if err := json.Unmarshal(sections[k.section][k.name], &e); err != nil {
			return lockfile.Result{}, fmt.Errorf("%s:%d: %s: %w", name, k.line, k.name, err)
		}
		if err := e.list(list, k, indexes, environment); err != nil {
			return lockfile.Result{}, err
		}
	}
	return list.Result()
}

func (e entry) list(list *lockfile.List, k key, indexes map[string]string, environment requirement.Environment) error {
	p := lockfile.Package{Name: k.name, Line: k.line, Hashes: e.Hashes, Index: indexes[e.Index], Default: k.section == "default"}
	if !p.Default {
		p.Groups = []string{k.section}
	}
	e.source(&p)
	if e.Version != "" && p.Elsewhere == "" {
		specifiers, err := pep440.ParseSpecifiers(e.Version)
		version, pinned := specifiers.Pin()
		if p.Version = version; err != nil || !pinned {
			p.Version = e.Version // said to be no version, as it is written
		}
	}
	if e.Markers != "" {
		holds, err := requirement.Holds(e.Markers, environment)
		if err != nil {
			p.Elsewhere, p.At = err.Error(), ""
		} else if !holds {
			return list.Exclude(p, e.Markers)
		}
	}
	return list.Add(p)
}

func (e entry) source(p *lockfile.Package) {
	for kind, at := range map[string]string{"git": e.Git, "hg": e.Hg, "svn": e.Svn, "bzr": e.Bzr} {
		if at != "" {
			p.Elsewhere, p.At = "it comes from version control, and no index knows that version", kind+"+"+at
			return
		}
	}
	switch {
	case e.File != "" || e.URL != "":
		p.Elsewhere, p.At = "it comes from a file at a URL or path, which names no version that could be checked", e.File+e.URL
	case e.Path != "":
		p.Elsewhere, p.At = "a local path has no fixed version", e.Path
	case e.Editable:
		p.Elsewhere = "an editable install has no fixed version"
	}
}

// key is where a package's name stands.
type key struct {
	section, name string
	line          int
	// empty says that the key is a section itself.
	empty bool
}

// keys are the names of the sections and of their packages, in the order of
// the file. The content is JSON already.
func keys(content []byte) []key {
	var list []key
	section, depth, line, wanted := "", 0, 1, true // wanted: the next string is a key
	for i := 0; i < len(content); i++ {
		switch content[i] {
		case '\n':
			line++
		case '{', '[':
			depth++
			wanted = content[i] == '{'
		case '}', ']':
			depth--
		case ',':
			wanted = true
		case ':':
			wanted = false
		case '"':
			end := i + 1
			for content[end] != '"' {
				if content[end] == '\\' {
					end++
				}
				end++
			}
			switch text := content[i : end+1]; {
			case !wanted || depth > 2:
			case depth == 1:
				section = unquote(text)
				list = append(list, key{section: section, line: line, empty: true})
			case section != "_meta":
				list = append(list, key{section: section, name: unquote(text), line: line})
			}
			i = end
		}
	}
	return list
}

func unquote(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return strings.Trim(string(text), `"`)
	}
	var s string
	if json.Unmarshal(text, &s) != nil {
		return ""
	}
	return s
}
