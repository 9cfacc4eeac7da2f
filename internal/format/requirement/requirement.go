// Package requirement reads requirements files as pip reads them.
//
// Entry points are [Read], and for requirements that stand in other files
// [Resolve] and [Holds]. What is pinned to one version becomes a component;
// everything else (a range, a URL, a local path, a line that cannot be parsed)
// becomes an unresolved record with the reason, and never a guess: the bound
// of ">=2.0" is not a version. It follows pip's "Requirements File Format" and
// PEP 508; markers are evaluated for one named [Environment].
//
// The package reads files only below the file system that it is given,
// contacts nothing, and expands no environment variables.
package requirement

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// Option is a line that changes where packages come from or how they are
// chosen, such as --index-url. Credentials in URLs are masked.
type Option struct {
	// Name is pip's long name, Value what follows it, Text both.
	Name, Value, Text string
	Location          component.Location
}

// Index is the URL of an index other than the public one that the option
// brings in, "" for all other options. What such an index calls by a name need
// not be what advisories mean by it.
func (o Option) Index() string {
	switch o.Name {
	case "--index-url", "--pypi-url", "--extra-index-url", "--find-links":
		if !pydist.IsPublicIndex(o.Value) {
			return o.Value
		}
	}
	return ""
}

// Excluded is a requirement whose marker does not hold in the environment.
type Excluded struct {
	Name, Text, Marker string
	Location           component.Location
}

// Result is what a requirements file and the files it includes ask for.
type Result struct {
	// Components are the pins, in the order of their first appearance, all
	// Declared.
	Components []component.Component
	Unresolved []component.Unresolved
	// Sources are the files that were read, Required those of them that were
	// read for their requirements and not as constraints.
	Sources  []component.Source
	Required []string
	Options  []Option
	Excluded []Excluded
}

// Notes say which other indexes the files name, and what was left to other
// environments than the one that they were read for.
func (r Result) Notes(environment Environment) []component.Note {
	var notes []component.Note
	for _, option := range r.Options {
		if index := option.Index(); index != "" {
			notes = append(notes, component.Note{Location: option.Location,
				Text: fmt.Sprintf("packages may come from %s (%s): they are matched by name against the advisories for PyPI", index, option.Name)})
		}
	}
	return append(notes, Left(r.Excluded, environment)...)
}

// Left says, for each file, what its markers left to other environments.
func Left(excluded []Excluded, environment Environment) []component.Note {
	var notes []component.Note
	names, seen := map[string][]string{}, map[[2]string]bool{}
	var first []Excluded
	for _, e := range excluded {
		if names[e.Location.Path] == nil {
			first = append(first, e)
		}
		if key := [2]string{e.Location.Path, e.Name}; !seen[key] {
			seen[key] = true
			names[e.Location.Path] = append(names[e.Location.Path], e.Name)
		}
	}
	for _, e := range first {
		notes = append(notes, component.Note{Location: component.Location{Path: e.Location.Path, Line: e.Location.Line},
			Text: fmt.Sprintf("for other environments than %s, and not tested: %s", environment, Names(names[e.Location.Path]))})
	}
	return notes
}

// Names is a list of names for people, "a, b, c, d, e and 3 more".
func Names(names []string) string {
	if most := 5; len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// Read reads a requirements file and what it includes by -r and -c. Paths are
// slash-separated and relative to fsys. A file that cannot be read, is no text
// or goes over a bound is an error that names it; a line that cannot be
// understood is an unresolved record.
func Read(fsys fs.FS, name string, environment Environment) (Result, error) {
	r := &reader{fsys: fsys, environment: environment, read: map[string]bool{}, constraints: map[string][]wanted{}}
	if err := r.file(path.Clean(name), false, ""); err != nil {
		return Result{}, err
	}
	if err := r.resolve(); err != nil {
		return Result{}, err
	}
	return r.result, nil
}

// Line is one requirement that stands in another kind of file, as a line of a
// requirements file would: in pyproject.toml, in a conda environment, in a
// notebook.
type Line struct {
	Text     string
	Location component.Location
}

// Resolve reads lines of another kind of file. Files that they include by -r
// and -c are read below fsys, relative to the place of the line; with a nil
// fsys they are unresolved. Errors and results are as Read has them, without
// the file of the lines among the sources.
func Resolve(fsys fs.FS, lines []Line, environment Environment) (Result, error) {
	r := &reader{fsys: fsys, environment: environment, read: map[string]bool{}, constraints: map[string][]wanted{}}
	for _, line := range lines {
		text := strings.TrimSpace(line.Text)
		if text == "" {
			continue
		}
		if err := r.line(line.Location.Path, physical{text, line.Location.Line}, false); err != nil {
			return Result{}, err
		}
	}
	if err := r.resolve(); err != nil {
		return Result{}, err
	}
	return r.result, nil
}

// wanted is one requirement that was understood.
type wanted struct {
	requirement parsed
	location    component.Location
}

type reader struct {
	fsys        fs.FS
	environment Environment
	// read holds "r:" or "c:" and the path of every file begun.
	read        map[string]bool
	files       int
	wanted      []wanted
	constraints map[string][]wanted
	// lines counts what asks for something.
	lines int
	// checks counts how often a requirement was held against a constraint.
	checks int
	result Result
}

// file reads one file. from says where it was included, for errors.
func (r *reader) file(name string, constraint bool, from string) error {
	key := "r:" + name
	if constraint {
		key = "c:" + name
	}
	if r.read[key] {
		return nil
	}
	r.read[key] = true
	if r.files++; r.files > limit.RequirementIncludes {
		return &limit.Error{What: "the files included by -r and -c", Bound: limit.RequirementIncludes, Unit: "files"}
	}
	content, err := r.content(name)
	if err != nil {
		if from != "" {
			return fmt.Errorf("%s: %w", from, err)
		}
		return err
	}
	if !constraint {
		r.result.Required = append(r.result.Required, name)
	}
	if !r.read["r:"+name] || !r.read["c:"+name] { // read once, whichever way
		r.result.Sources = append(r.result.Sources, component.Source{Path: name, Digest: subject.Of(content)})
	}
	text, err := decode(name, content)
	if err != nil {
		return err
	}
	for _, line := range logical(text) {
		if err := r.line(name, line, constraint); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) content(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("%s: leads out of the scanned directory", name)
	}
	file, err := r.fsys.Open(name)
	if err != nil {
		var opening *fs.PathError
		if errors.As(err, &opening) { // the call that failed is nothing to a user
			err = opening.Err
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is no regular file", name)
	}
	return limit.ReadAll(file, name, limit.Lockfile)
}

func (r *reader) line(file string, line physical, constraint bool) error {
	if r.lines++; r.lines > limit.Requirements {
		return &limit.Error{What: file + " with what it includes", Bound: limit.Requirements, Unit: "requirements"}
	}
	where := component.Location{Path: file, Line: line.number}
	unresolved := func(name, reason string) {
		r.result.Unresolved = append(r.result.Unresolved, component.Unresolved{Name: name, Text: Mask(line.text), Reason: reason, Location: where})
	}
	body, flags, err := splitFlags(line.text)
	if err != nil {
		unresolved("", err.Error())
		return nil
	}
	if body == "" {
		for _, f := range flags {
			if err := r.option(file, line, f, constraint, unresolved); err != nil {
				return err
			}
		}
		return nil
	}
	if variable.MatchString(line.text) {
		unresolved("", "an environment variable is not expanded here")
		return nil
	}
	requirement, err := parse(body, flags)
	if err != nil {
		var e *parseError
		if errors.As(err, &e) {
			unresolved(e.name, e.reason)
			return nil
		}
		unresolved("", err.Error())
		return nil
	}
	if requirement.marker != nil {
		holds, err := requirement.marker.evaluate(&Scope{Environment: r.environment})
		if err != nil {
			unresolved(requirement.name, "its marker cannot be evaluated: "+err.Error())
			return nil
		}
		if !holds {
			r.result.Excluded = append(r.result.Excluded, Excluded{Name: requirement.name, Text: Mask(line.text), Marker: requirement.markerText, Location: where})
			return nil
		}
	}
	w := wanted{requirement: requirement, location: where}
	if constraint {
		r.constraints[requirement.name] = append(r.constraints[requirement.name], w)
	} else {
		r.wanted = append(r.wanted, w)
	}
	return nil
}

// variable is how pip writes environment variables in requirements files.
var variable = regexp.MustCompile(`\$\{[A-Z0-9_]+\}`)

// credentials in a URL: up to the last @ before its path.
var credentials = regexp.MustCompile(`(://)[^/\s]*@`)

// Mask hides user names and passwords in the URLs of a text.
func Mask(text string) string { return credentials.ReplaceAllString(text, "${1}****@") }

var egg = regexp.MustCompile(`[#&]egg=([A-Za-z0-9._-]+)`)

func eggName(text string) string {
	if m := egg.FindStringSubmatch(text); m != nil {
		return pydist.Normalise(m[1])
	}
	return ""
}

// resolve turns what is wanted, under its constraints, into components.
func (r *reader) resolve() error {
	index := map[string]int{} // name and version to the component's place
	for _, w := range r.wanted {
		if r.checks += len(r.constraints[w.requirement.name]); r.checks > limit.ConstraintChecks {
			return &limit.Error{What: w.location.Path + " with its constraints", Bound: limit.ConstraintChecks, Unit: "requirements held against constraints"}
		}
		version, locations, reason := r.pin(w)
		q := w.requirement
		if len(q.extras) > 0 {
			r.result.Unresolved = append(r.result.Unresolved, component.Unresolved{Name: q.name, Text: q.text, Location: w.location,
				Reason: "what the extras [" + strings.Join(q.extras, ",") + "] bring along is not written here"})
		}
		if reason != "" {
			r.result.Unresolved = append(r.result.Unresolved, component.Unresolved{Name: q.name, Text: q.text, Reason: reason, Location: w.location})
			continue
		}
		key := q.name + "==" + version
		if at, twice := index[key]; twice {
			c := &r.result.Components[at]
			c.Locations, c.Hashes = append(c.Locations, locations...), append(c.Hashes, q.hashes...)
			continue
		}
		index[key] = len(r.result.Components)
		r.result.Components = append(r.result.Components, component.Component{
			Ecosystem: pydist.Ecosystem, Name: q.name, Version: version, PURL: pydist.PURL(q.name, version),
			Dependency: component.Declared, Hashes: slices.Clone(q.hashes), Locations: locations,
		})
	}
	for at := range r.result.Components {
		c := &r.result.Components[at]
		c.Locations, c.Hashes = once(c.Locations), once(c.Hashes)
	}
	return nil
}

// once keeps the first of equal things.
func once[T comparable](list []T) []T {
	if len(list) < 2 {
		return list
	}
	seen := make(map[T]bool, len(list))
	return slices.DeleteFunc(list, func(item T) bool {
		twice := seen[item]
		seen[item] = true
		return twice
	})
}

// pin finds the one version of a requirement, or the reason why there is none.
func (r *reader) pin(w wanted) (version string, locations []component.Location, reason string) {
	q := w.requirement
	own, pinned := q.specifiers.Pin()
	if q.url != "" {
		if own, reason = WheelVersion(q.name, q.url); reason != "" {
			return "", nil, reason
		}
		pinned = true
	}
	locations = []component.Location{w.location}
	for _, c := range r.constraints[q.name] {
		if c.requirement.url != "" {
			return "", nil, fmt.Sprintf("the constraint at %s is a URL", c.location)
		}
		bound, exact := c.requirement.specifiers.Pin()
		switch {
		case pinned:
			if v, err := pep440.Parse(own); err == nil && !c.requirement.specifiers.Contains(v) {
				return "", nil, fmt.Sprintf("it contradicts the constraint at %s", c.location)
			}
		case exact:
			v, err := pep440.Parse(bound)
			if err != nil || !q.specifiers.Contains(v) {
				return "", nil, fmt.Sprintf("it contradicts the constraint at %s", c.location)
			}
			own, pinned = bound, true
			locations = append(locations, c.location)
		}
	}
	switch {
	case pinned:
	case q.specifiers.Empty():
		return "", nil, "no version is given"
	default:
		return "", nil, "a range names no single version; pin it with =="
	}
	if v, err := pep440.Parse(own); err == nil {
		own = v.String()
	}
	return own, locations, ""
}
