package conda

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// Lock reads conda-lock's lockfile of several platforms, version 1
// (conda-lock.yml); it is a lockfile.Parser. Packages of other platforms than
// the environment's are Excluded. A file that has none for the environment's is
// an unresolved record: nothing in it can be tested. Its project is the
// directory's, if the file says that it was made from pyproject.toml.
type Lock struct{}

// Reads says whether the name is conda-lock.yml, or ends in .conda-lock.yml.
func (Lock) Reads(base string) bool {
	stem, found := strings.CutSuffix(strings.TrimSuffix(base, ".yaml"), ".yml")
	if !found && !strings.HasSuffix(base, ".yaml") {
		return false
	}
	return stem == "conda-lock" || strings.HasSuffix(stem, ".conda-lock") || strings.HasSuffix(stem, "-conda-lock")
}

type lockEntry struct {
	Name         string            `json:"name"`
	Version      any               `json:"version"` // a number where somebody took the quotes away
	Manager      string            `json:"manager"`
	Platform     string            `json:"platform"`
	Dependencies map[string]string `json:"dependencies"`
	URL          string            `json:"url"`
	Hash         map[string]string `json:"hash"`
	Category     string            `json:"category"`
	Categories   []string          `json:"categories"`
}

// Parse reads the file; see lockfile.Parser.
func (Lock) Parse(r io.Reader, name string, environment requirement.Environment) (lockfile.Result, error) {
	content, err := lockfile.Open(r, name)
	if err != nil {
		return lockfile.Result{}, err
	}
	documents, err := strictyaml.DocumentsWithin(name, content, limit.Lockfile)
	if err != nil {
		return lockfile.Result{}, err
	}
	if len(documents) != 1 {
		return lockfile.Result{}, fmt.Errorf("%s: want one YAML document, found %d", name, len(documents))
	}
	text, err := documents[0].JSON()
	if err != nil {
		return lockfile.Result{}, err
	}
	var file struct {
		Version  any `json:"version"`
		Metadata struct {
			Sources []string `json:"sources"`
		} `json:"metadata"`
		Package []lockEntry `json:"package"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return lockfile.Result{}, fmt.Errorf("%s:%d: this is no lockfile of conda-lock: %w", name, documents[0].Line, err)
	}
	if version, ok := file.Version.(float64); !ok || version != 1 {
		found := ""
		if file.Version != nil {
			found = fmt.Sprint(file.Version)
		}
		return lockfile.Result{}, &lockfile.VersionError{File: name, Field: "version", Found: found, Known: []string{"1"}}
	}
	if len(file.Package) > limit.LockedPackages {
		return lockfile.Result{}, &limit.Error{What: name, Bound: limit.LockedPackages, Unit: "packages"}
	}
	result := lockfile.Result{Source: component.Source{Path: name, Digest: subject.Of(content)}}
	if slices.Contains(file.Metadata.Sources, "pyproject.toml") {
		result.Projects = []string{"."}
	}
	own := platform(environment)
	var included []lockEntry
	for i, entry := range file.Package {
		where := component.Location{Path: name, Line: documents[0].LineOf("package", strconv.Itoa(i))}
		if entry.Platform != own {
			result.Excluded = append(result.Excluded, requirement.Excluded{Name: pydist.Normalise(entry.Name), Text: fmt.Sprintf("%s %v", entry.Name, entry.Version), Marker: entry.Platform, Location: where})
			continue
		}
		components, reason := entry.components(where)
		if reason != "" {
			result.Unresolved = append(result.Unresolved, component.Unresolved{Name: pydist.Normalise(entry.Name), Text: fmt.Sprintf("%s %v", entry.Name, entry.Version), Reason: reason, Location: where})
			continue
		}
		result.Components, included = append(result.Components, components...), append(included, entry)
	}
	if len(file.Package) > 0 && len(included)+len(result.Unresolved) == 0 {
		result.Unresolved = append(result.Unresolved, component.Unresolved{Text: name, Location: component.Location{Path: name, Line: documents[0].LineOf("package")},
			Reason: fmt.Sprintf("it has no packages for %s, only for other platforms", cmp.Or(own, "this environment"))})
	}
	connect(result.Components, included)
	return result, nil
}

// components of an entry; conda's are one each, since a lockfile proves no more
// than one project.
func (e lockEntry) components(where component.Location) (list []component.Component, reason string) {
	version, ok := e.Version.(string)
	if !ok || version == "" {
		return nil, "its version is not written as text"
	}
	switch e.Manager {
	case "pip":
		if reason := lockfileOrigin(e.URL); reason != "" {
			return nil, reason
		}
		if !pydist.ValidName(e.Name) {
			return nil, "this is no name of a Python project"
		}
		if v, err := pep440.Parse(version); err == nil {
			version = v.String()
		}
		name := pydist.Normalise(e.Name)
		list = []component.Component{{Ecosystem: pydist.Ecosystem, Name: name, Version: version, PURL: pydist.PURL(name, version),
			Dependency: component.Declared, Locations: []component.Location{where}}}
	case "conda":
		r, err := location(e.URL)
		if err != nil {
			r = record{}
		}
		r.name, r.version, r.dependsKnown = strings.ToLower(e.Name), version, true
		for name := range e.Dependencies {
			r.depends = append(r.depends, name)
		}
		if err := r.check(); err != nil {
			return nil, err.Error()
		}
		list = r.components(component.Declared, where)
	default:
		return nil, fmt.Sprintf("its manager %.50q is not known", e.Manager)
	}
	for i := range list {
		if sum := e.Hash["sha256"]; sum != "" {
			list[i].Hashes = digest("sha256:" + sum)
		}
		list[i].Groups = e.groups()
	}
	return list, ""
}

// groups are the categories of an entry that is not in the main one.
func (e lockEntry) groups() []string {
	all := e.Categories
	if e.Category != "" {
		all = append(all, e.Category)
	}
	if slices.Contains(all, "main") {
		return nil
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// lockfileOrigin says why a pip entry is none of an index.
func lockfileOrigin(url string) string {
	switch {
	case strings.HasPrefix(url, "git+") || strings.HasPrefix(url, "hg+") || strings.HasPrefix(url, "svn+") || strings.HasPrefix(url, "bzr+"):
		return "it comes from version control, not from an index"
	case strings.HasPrefix(url, "file:") || strings.HasPrefix(url, "/") || strings.HasPrefix(url, "."):
		return "it comes from a local path, not from an index"
	}
	return ""
}

// connect fills in what depends on what; entries and components go together one
// to one. Names that the platform does not have, such as virtual packages, are
// left out.
func connect(components []component.Component, entries []lockEntry) {
	purls := map[string]string{}
	for i, e := range entries {
		if _, twice := purls[pydist.Normalise(e.Name)]; !twice || e.Manager == "conda" {
			purls[pydist.Normalise(e.Name)] = components[i].PURL
		}
	}
	for i, e := range entries {
		var list []string
		for name := range e.Dependencies {
			if purl := purls[pydist.Normalise(name)]; purl != "" && purl != components[i].PURL {
				list = append(list, purl)
			}
		}
		slices.Sort(list)
		components[i].DependsOn = slices.Compact(list)
	}
}
