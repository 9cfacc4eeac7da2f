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
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// Option is a line that changes where packages come from or how they are
// chosen, such as --index-url. Credentials in URLs are masked.
type Option struct {
	Text     string
	Location component.Location
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

// Read reads a requirements file and what it includes by -r and -c. Paths are
// slash-separated and relative to fsys. A file that cannot be read, is no text
// or goes over a bound is an error that names it; a line that cannot be
// understood is an unresolved record.
func Read(fsys fs.FS, name string, environment Environment) (Result, error) {
	r := &reader{fsys: fsys, environment: environment, read: map[string]bool{}, constraints: map[string][]wanted{}}
	if err := r.file(path.Clean(name), false, ""); err != nil {
		return Result{}, err
	}
	r.resolve()
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
	r.resolve()
	return r.result, nil
}

// Holds says whether a marker (PEP 508) holds in an environment. A marker that
// cannot be read or evaluated is an error.
func Holds(text string, environment Environment) (bool, error) {
	m, err := parseMarker(strings.TrimSpace(text))
	if err != nil {
		return false, fmt.Errorf("marker %q: %w", text, err)
	}
	holds, err := m.evaluate(environment)
	if err != nil {
		return false, fmt.Errorf("marker %q: %w", text, err)
	}
	return holds, nil
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
	result      Result
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
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is no regular file", name)
	}
	return limit.ReadAll(file, name, limit.Lockfile)
}

// decode gives text in UTF-8: UTF-16 by its byte order mark, else UTF-8.
func decode(name string, content []byte) (string, error) {
	if len(content) >= 2 && (bytes.HasPrefix(content, []byte{0xff, 0xfe}) || bytes.HasPrefix(content, []byte{0xfe, 0xff})) {
		if len(content)%2 != 0 {
			return "", fmt.Errorf("%s: begins as UTF-16 and has an odd number of bytes", name)
		}
		big := content[0] == 0xfe
		units := make([]uint16, 0, len(content)/2-1)
		for i := 2; i < len(content); i += 2 {
			if big {
				units = append(units, uint16(content[i])<<8|uint16(content[i+1]))
			} else {
				units = append(units, uint16(content[i+1])<<8|uint16(content[i]))
			}
		}
		content = []byte(string(utf16.Decode(units)))
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	for number, line := range bytes.Split(content, []byte("\n")) {
		if bytes.IndexByte(line, 0) >= 0 {
			return "", fmt.Errorf("%s:%d: a NUL byte; this is no requirements file", name, number+1)
		}
		if !utf8.Valid(line) {
			return "", fmt.Errorf("%s:%d: not UTF-8; save the file as UTF-8", name, number+1)
		}
	}
	return string(content), nil
}

// physical is a logical line and the number of its first physical line.
type physical struct {
	text   string
	number int
}

// comment is a # at the start of a line or after white space.
var comment = regexp.MustCompile(`(^|\s+)#.*$`)

// logical joins continuation lines and removes comments, in pip's order: a
// comment line ends a continuation.
func logical(text string) []physical {
	var lines []physical
	var current strings.Builder
	start := 0
	flush := func() {
		if start > 0 {
			joined := strings.TrimSpace(comment.ReplaceAllString(current.String(), ""))
			if joined != "" {
				lines = append(lines, physical{joined, start})
			}
		}
		current.Reset()
		start = 0
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for i, line := range strings.FieldsFunc(strings.ReplaceAll(text, "\n", "\n\x00"), func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimPrefix(line, "\x00")
		if start == 0 {
			start = i + 1
		}
		isComment := strings.HasPrefix(strings.TrimSpace(line), "#")
		if continued, found := strings.CutSuffix(line, "\\"); found && !isComment {
			current.WriteString(continued)
			continue
		}
		if isComment {
			line = " " + line // ends the continuation, and is no part of a word
		}
		current.WriteString(line)
		flush()
	}
	flush()
	return lines
}

func (r *reader) line(file string, line physical, constraint bool) error {
	where := component.Location{Path: file, Line: line.number}
	unresolved := func(name, reason string) {
		r.result.Unresolved = append(r.result.Unresolved, component.Unresolved{Name: name, Text: mask(line.text), Reason: reason, Location: where})
	}
	if variable.MatchString(line.text) {
		unresolved("", "an environment variable is not expanded here")
		return nil
	}
	if strings.HasPrefix(line.text, "-") {
		return r.option(file, line, constraint, unresolved)
	}
	requirement, err := parse(line.text)
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
		holds, err := requirement.marker.evaluate(r.environment)
		if err != nil {
			unresolved(requirement.name, "its marker cannot be evaluated: "+err.Error())
			return nil
		}
		if !holds {
			r.result.Excluded = append(r.result.Excluded, Excluded{Name: requirement.name, Text: line.text, Marker: requirement.markerText, Location: where})
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

// credentials in a URL.
var credentials = regexp.MustCompile(`(://)[^/@\s]+@`)

// mask hides user names and passwords in URLs.
func mask(text string) string { return credentials.ReplaceAllString(text, "${1}****@") }

func (r *reader) option(file string, line physical, constraint bool, unresolved func(name, reason string)) error {
	flag, value := splitOption(line.text)
	where := fmt.Sprintf("%s:%d", file, line.number)
	switch flag {
	case "-r", "--requirement", "-c", "--constraint":
		if value == "" {
			unresolved("", flag+" names no file")
			return nil
		}
		if r.fsys == nil {
			unresolved("", "what it includes is not read here")
			return nil
		}
		if strings.Contains(value, "://") {
			unresolved("", "a requirements file at a URL is not fetched")
			return nil
		}
		target := path.Join(path.Dir(file), value)
		if path.IsAbs(value) || target == ".." || strings.HasPrefix(target, "../") {
			unresolved("", "the included file is outside the scanned directory")
			return nil
		}
		return r.file(target, constraint || flag == "-c" || flag == "--constraint", where)
	case "-e", "--editable":
		unresolved(eggName(value), "an editable install of a directory or repository has no fixed version")
		return nil
	}
	r.result.Options = append(r.result.Options, Option{Text: mask(line.text), Location: component.Location{Path: file, Line: line.number}})
	return nil
}

// splitOption splits "-rfile", "-r file", "--requirement=file".
func splitOption(text string) (flag, value string) {
	if strings.HasPrefix(text, "--") {
		end := strings.IndexAny(text, "= \t")
		if end < 0 {
			return text, ""
		}
		return text[:end], strings.TrimSpace(strings.TrimLeft(text[end:], "= \t"))
	}
	if len(text) < 2 {
		return text, ""
	}
	return text[:2], strings.TrimSpace(strings.TrimPrefix(text[2:], "="))
}

var egg = regexp.MustCompile(`[#&]egg=([A-Za-z0-9._-]+)`)

func eggName(text string) string {
	if m := egg.FindStringSubmatch(text); m != nil {
		return pydist.Normalise(m[1])
	}
	return ""
}

// resolve turns what is wanted, under its constraints, into components.
func (r *reader) resolve() {
	index := map[string]int{} // name and version to the component's place
	for _, w := range r.wanted {
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
			for _, location := range locations {
				if !slices.Contains(c.Locations, location) {
					c.Locations = append(c.Locations, location)
				}
			}
			for _, hash := range q.hashes {
				if !slices.Contains(c.Hashes, hash) {
					c.Hashes = append(c.Hashes, hash)
				}
			}
			continue
		}
		index[key] = len(r.result.Components)
		r.result.Components = append(r.result.Components, component.Component{
			Ecosystem: pydist.Ecosystem, Name: q.name, Version: version, PURL: pydist.PURL(q.name, version),
			Dependency: component.Declared, Hashes: slices.Clone(q.hashes), Locations: locations,
		})
	}
}

// pin finds the one version of a requirement, or the reason why there is none.
func (r *reader) pin(w wanted) (version string, locations []component.Location, reason string) {
	q := w.requirement
	if q.url != "" {
		return "", nil, "a URL names no version that could be checked"
	}
	own, pinned := q.specifiers.Pin()
	locations = []component.Location{w.location}
	for _, c := range r.constraints[q.name] {
		if c.requirement.url != "" {
			return "", nil, fmt.Sprintf("the constraint at %s:%d is a URL", c.location.Path, c.location.Line)
		}
		bound, exact := c.requirement.specifiers.Pin()
		switch {
		case pinned:
			if v, err := pep440.Parse(own); err == nil && !c.requirement.specifiers.Contains(v) {
				return "", nil, fmt.Sprintf("it contradicts the constraint at %s:%d", c.location.Path, c.location.Line)
			}
		case exact:
			v, err := pep440.Parse(bound)
			if err != nil || !q.specifiers.Contains(v) {
				return "", nil, fmt.Sprintf("it contradicts the constraint at %s:%d", c.location.Path, c.location.Line)
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
