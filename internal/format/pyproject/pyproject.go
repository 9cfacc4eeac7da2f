// Package pyproject reads what a Python project asks for in its own files:
// pyproject.toml (PEP 621, PEP 735, and the tables of Poetry, PDM and uv),
// setup.cfg, Pipfile and setup.py.
//
// Entry points are [Reads] and [Read]. Such a file names what it wants, and
// seldom one version: what is pinned with == becomes a component, all else an
// unresolved record, as in package requirement. What a lockfile beside it says
// of the same name is better; who has one drops these records (see job/scan).
//
// The package runs nothing: setup.py is code, and what it would ask for is one
// unresolved record. It calls no build backend for "dynamic" fields and expands
// no ranges.
package pyproject

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// Result is what a project file asks for. Components have the groups (extras,
// dependency groups, "build-system") that bring them in.
type Result struct {
	Components []component.Component
	Unresolved []component.Unresolved
	Excluded   []requirement.Excluded
	// Notes name other indexes, and what is chosen when the project is
	// built.
	Notes []component.Note
	// Sources are the file and those that it includes.
	Sources []component.Source
	// Unknown says that all that is asked for is known only to code that is
	// not run: setup.py, a "dynamic" field. A lockfile beside it knows.
	Unknown []component.Unresolved
}

// Reads says whether a base name is that of a project file.
func Reads(base string) bool {
	switch base {
	case "pyproject.toml", "setup.cfg", "setup.py", "Pipfile":
		return true
	}
	return false
}

// Read reads the project file at a slash-separated path of fsys, and the
// requirements files that it includes. A file that cannot be parsed or goes
// over a bound is an error with its name and line.
func Read(fsys fs.FS, name string, environment requirement.Environment) (Result, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return Result{}, err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		return Result{}, fmt.Errorf("%s: is no regular file", name)
	}
	content, err := limit.ReadAll(file, name, limit.Lockfile)
	if err != nil {
		return Result{}, err
	}
	c := &collector{fsys: fsys, name: name, environment: environment, at: map[string]int{}, always: map[int]bool{}, elsewhere: map[string]string{}}
	c.result.Sources = []component.Source{{Path: name, Digest: subject.Of(content)}}
	switch base := name[strings.LastIndexByte(name, '/')+1:]; base {
	case "pyproject.toml":
		err = c.pyproject(content)
	case "Pipfile":
		err = c.pipfile(content)
	case "setup.cfg":
		err = c.setupCfg(content)
	case "setup.py":
		c.setupPy(content)
	default:
		err = fmt.Errorf("%s: is no project file that is read here", name)
	}
	if err != nil {
		return Result{}, err
	}
	for i := range c.result.Components {
		if groups := &c.result.Components[i].Groups; c.always[i] {
			*groups = nil
		} else {
			slices.Sort(*groups)
		}
	}
	return c.result, nil
}

// collector gathers the requirements of one file.
type collector struct {
	fsys        fs.FS
	name        string
	environment requirement.Environment
	result      Result
	// own is the project's name: what asks for itself with an extra asks for
	// nothing new.
	own string
	// elsewhere says why a name is not the one on an index.
	elsewhere map[string]string
	at        map[string]int // name and version to the component's place
	always    map[int]bool
	count     int
}

func (c *collector) where(line int) component.Location {
	return component.Location{Path: c.name, Line: line}
}

// counted bounds the requirements of one file.
func (c *collector) counted() error {
	if c.count++; c.count > limit.LockedPackages {
		return &limit.Error{What: c.name, Bound: limit.LockedPackages, Unit: "requirements"}
	}
	return nil
}

func (c *collector) unresolved(name, text, reason string, line int) {
	record := component.Unresolved{Name: name, Text: requirement.Mask(text), Reason: reason, Location: c.where(line)}
	if !slices.Contains(c.result.Unresolved, record) {
		c.result.Unresolved = append(c.result.Unresolved, record)
	}
}

func (c *collector) unknown(text, reason string, line int) {
	c.result.Unknown = append(c.result.Unknown, component.Unresolved{Text: text, Reason: reason, Location: c.where(line)})
}

func (c *collector) note(line int, format string, arguments ...any) {
	c.result.Notes = append(c.result.Notes, component.Note{Text: fmt.Sprintf(format, arguments...), Location: c.where(line)})
}

func (c *collector) index(location string, line int) {
	if location != "" && !pydist.IsPublicIndex(location) {
		c.note(line, "packages may come from %s: they are matched by name against the advisories for PyPI", requirement.Mask(location))
	}
}

var leading = regexp.MustCompile(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)`)

// nameOf is the normalised name that a requirement begins with.
func nameOf(text string) string {
	if m := leading.FindStringSubmatch(text); m != nil {
		return pydist.Normalise(m[1])
	}
	return ""
}

// resolve reads requirements of a group, "" for those that are always wanted.
func (c *collector) resolve(group string, lines []requirement.Line) error {
	var asked []requirement.Line
	for _, line := range lines {
		if err := c.counted(); err != nil {
			return err
		}
		name := nameOf(line.Text)
		switch reason, local := c.elsewhere[name]; {
		case name != "" && name == c.own, local && reason == "":
		case local:
			c.unresolved(name, line.Text, reason, line.Location.Line)
		default:
			asked = append(asked, line)
		}
	}
	result, err := requirement.Resolve(c.fsys, asked, c.environment)
	if err != nil {
		return err
	}
	c.merge(group, result)
	return nil
}

// merge adds what a group asks for; what several groups ask for has all of
// them, and what is always wanted none.
func (c *collector) merge(group string, result requirement.Result) {
	for _, found := range result.Components {
		key := found.Name + "==" + found.Version
		at, known := c.at[key]
		if !known {
			at = len(c.result.Components)
			c.at[key] = at
			c.result.Components = append(c.result.Components, found)
		}
		to := &c.result.Components[at]
		for _, location := range found.Locations {
			if !slices.Contains(to.Locations, location) {
				to.Locations = append(to.Locations, location)
			}
		}
		if group == "" {
			c.always[at] = true
		} else if !slices.Contains(to.Groups, group) {
			to.Groups = append(to.Groups, group)
		}
	}
	for _, u := range result.Unresolved {
		if !slices.Contains(c.result.Unresolved, u) {
			c.result.Unresolved = append(c.result.Unresolved, u)
		}
	}
	c.result.Excluded = append(c.result.Excluded, result.Excluded...)
	for _, option := range result.Options {
		c.index(option.Index(), option.Location.Line)
	}
	for _, source := range result.Sources {
		if !slices.Contains(c.result.Sources, source) {
			c.result.Sources = append(c.result.Sources, source)
		}
	}
}

// include asks for the requirements files that a field names.
func (c *collector) include(group string, files []string, line int) error {
	var lines []requirement.Line
	for _, file := range files {
		if file = strings.TrimSpace(file); file == "" {
			continue
		}
		if strings.ContainsAny(file, "\"'\\\n") {
			c.unresolved("", file, "it is no path that could be read", line)
			continue
		}
		lines = append(lines, requirement.Line{Text: `--requirement="` + file + `"`, Location: c.where(line)})
	}
	return c.resolve(group, lines)
}

var code = regexp.MustCompile(`(?m)^[^#\n]*\binstall_requires\b`)

// setupPy says that setup.py asks for something, and reads no further.
func (c *collector) setupPy(content []byte) {
	if at := code.FindIndex(content); at != nil {
		c.unknown("install_requires", "setup.py is code, which is not run: what it asks for is not known", 1+strings.Count(string(content[:at[1]]), "\n"))
	}
}
