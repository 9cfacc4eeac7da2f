// Package lockfiletest is the contract of lockfile parsers, for their tests.
//
// Entry point is [Run]: every child of lockfile calls it with one good file
// and with files that are none. It tests nothing that belongs to one format.
package lockfiletest

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// Format is a parser with files for it.
type Format struct {
	Parser lockfile.Parser
	// Base is the usual name of its files, Others names that it must take,
	// Foreign ones that it must not.
	Base            string
	Others, Foreign []string
	// Good is a file with several packages. If Edges, some of them need
	// others.
	Good  string
	Edges bool
	// NewVersion is a file of a version that nobody knows, Found what it
	// says.
	NewVersion, Found string
	// Many writes a file with n packages, p0 to pn-1.
	Many func(n int) string
}

var errLine = errors.New("the line broke")

// Run holds a parser to the contract.
func Run(t *testing.T, f Format) {
	name := "dir/" + f.Base
	parse := func(content string) (lockfile.Result, error) {
		return f.Parser.Parse(strings.NewReader(content), name, requirement.DefaultEnvironment())
	}
	t.Run("names", func(t *testing.T) {
		for _, base := range append([]string{f.Base}, f.Others...) {
			if !f.Parser.Reads(base) {
				t.Errorf("does not read %s", base)
			}
		}
		for _, base := range append([]string{"", "requirements.txt", "x" + f.Base, f.Base + ".orig", "dir/" + f.Base, strings.ToUpper(f.Base)}, f.Foreign...) {
			if f.Parser.Reads(base) {
				t.Errorf("reads %q", base)
			}
		}
	})
	t.Run("good", func(t *testing.T) { good(t, f, name) })
	t.Run("bad", func(t *testing.T) {
		for what, content := range map[string]string{
			"empty": "", "blank": " \n\n", "a conflict": "<<<<<<< HEAD\n", "JSON of another kind": `{"a": 1}`, "a JSON array": "[]",
			"TOML of another kind": "a = 1\n", "half of it": f.Good[:len(f.Good)*2/3] + "\n\"", "not text": "\xff\xfe\x00", "HTML": "<html></html>",
		} {
			if result, err := parse(content); err == nil || !strings.HasPrefix(err.Error(), name) {
				t.Errorf("%s: %+v, error %v, want one that starts with the file's name", what, result, err)
			}
		}
		if _, err := f.Parser.Parse(iotest.ErrReader(errLine), name, requirement.DefaultEnvironment()); !errors.Is(err, errLine) {
			t.Errorf("a broken line: %v", err)
		}
	})
	t.Run("version", func(t *testing.T) {
		_, err := parse(f.NewVersion)
		var version *lockfile.VersionError
		if !errors.As(err, &version) || version.Found != f.Found || len(version.Known) == 0 || !strings.Contains(err.Error(), version.Known[0]) || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("a version from the future: %v", err)
		}
	})
	t.Run("bounds", func(t *testing.T) {
		var over *limit.Error
		if _, err := f.Parser.Parse(bytes.NewReader(bytes.Repeat([]byte(" "), limit.Lockfile+1)), name, requirement.DefaultEnvironment()); !errors.As(err, &over) || over.Bound != limit.Lockfile {
			t.Errorf("too many bytes: %v", err)
		}
		if _, err := parse(f.Many(limit.LockedPackages + 1)); !errors.As(err, &over) || over.Bound != limit.LockedPackages {
			t.Errorf("too many packages: %v", err)
		}
		result, err := parse(f.Many(300))
		if err != nil || len(result.Components) != 300 {
			t.Errorf("300 packages: %d, %v", len(result.Components), err)
		}
	})
}

func good(t *testing.T, f Format, name string) {
	environment := requirement.DefaultEnvironment()
	result, err := f.Parser.Parse(strings.NewReader(f.Good), name, environment)
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.Parser.Parse(iotest.OneByteReader(strings.NewReader(f.Good)), name, environment)
	if diff := cmp.Diff(result, again, cmp.Comparer(func(a, b subject.Digest) bool { return a == b })); err != nil || diff != "" {
		t.Errorf("the second time differs: %v\n%s", err, diff)
	}
	if want := (component.Source{Path: name, Digest: subject.Of([]byte(f.Good))}); result.Source != want {
		t.Errorf("source is %+v, want %+v", result.Source, want)
	}
	if len(result.Projects) == 0 || result.Projects[0] != "." {
		t.Errorf("projects are %q", result.Projects)
	}
	lines := strings.Split(f.Good, "\n")
	at := func(what string, location component.Location) {
		if location.Path != name || location.Line < 1 || location.Line > len(lines) {
			t.Errorf("%s is at %+v", what, location)
			return
		}
		// The entry begins there: its name stands on this line or the next.
		text := strings.Join(lines[location.Line-1:min(location.Line+1, len(lines))], "\n")
		if what != "" && !strings.Contains(pydist.Normalise(text), what) {
			t.Errorf("%s is not at line %d: %q", what, location.Line, text)
		}
	}
	known, edges := map[string]bool{}, 0
	for _, c := range result.Components {
		known[c.PURL] = true
	}
	if len(known) < 2 || len(known) != len(result.Components) {
		t.Errorf("%d components with %d PURLs", len(result.Components), len(known))
	}
	for _, c := range result.Components {
		if c.Name == "" || c.Name != pydist.Normalise(c.Name) || c.Version == "" || c.PURL != pydist.PURL(c.Name, c.Version) ||
			c.Ecosystem != pydist.Ecosystem || c.Dependency != component.Declared || len(c.Locations) == 0 {
			t.Errorf("component %+v", c)
		}
		for _, location := range c.Locations {
			at(c.Name, location)
		}
		if !slices.IsSorted(c.DependsOn) || !slices.IsSorted(c.Groups) || len(slices.Compact(slices.Clone(c.DependsOn))) != len(c.DependsOn) {
			t.Errorf("%s: edges %q, groups %q", c.Name, c.DependsOn, c.Groups)
		}
		for _, purl := range c.DependsOn {
			if edges++; !known[purl] || purl == c.PURL {
				t.Errorf("%s needs %s, which is no other component", c.Name, purl)
			}
		}
	}
	if f.Edges != (edges > 0) {
		t.Errorf("%d edges", edges)
	}
	for _, u := range result.Unresolved {
		if u.Text == "" || u.Reason == "" {
			t.Errorf("unresolved %+v", u)
		}
		at(u.Name, u.Location)
	}
	for _, e := range result.Excluded {
		if e.Marker == "" {
			t.Errorf("excluded %+v", e)
		}
		at(e.Name, e.Location)
	}
}

// Describe puts a result on lines, so that a test reads like the file:
// "name==version:line [groups] -> needs", "? name:line reason",
// "- name:line marker", "! line note".
func Describe(r lockfile.Result) []string {
	var out []string
	for _, c := range r.Components {
		line := c.Name + "==" + c.Version
		for _, l := range c.Locations {
			line += ":" + strconv.Itoa(l.Line)
		}
		if len(c.Groups) > 0 {
			line += " [" + strings.Join(c.Groups, " ") + "]"
		}
		for _, h := range c.Hashes {
			line += " " + h.Short()
		}
		for i, purl := range c.DependsOn {
			if i == 0 {
				line += " ->"
			}
			line += " " + strings.TrimPrefix(purl, "pkg:pypi/")
		}
		out = append(out, line)
	}
	for _, u := range r.Unresolved {
		out = append(out, "? "+u.Text+":"+strconv.Itoa(u.Location.Line)+" "+u.Reason)
	}
	for _, e := range r.Excluded {
		out = append(out, "- "+e.Name+":"+strconv.Itoa(e.Location.Line)+" "+e.Marker)
	}
	for _, n := range r.Notes {
		out = append(out, "! "+strconv.Itoa(n.Location.Line)+" "+n.Text)
	}
	return out
}

// Fuzz holds what a parser makes of any content to what must always be true.
func Fuzz(t *testing.T, parser lockfile.Parser, content string) {
	result, err := parser.Parse(strings.NewReader(content), "lock", requirement.DefaultEnvironment())
	if err != nil {
		if !strings.HasPrefix(err.Error(), "lock") {
			t.Errorf("error %q names no file", err)
		}
		return
	}
	known := map[string]bool{}
	for _, c := range result.Components {
		if c.Name == "" || c.Version == "" || strings.ContainsAny(c.Version, "<>=*~ ") || len(c.Locations) == 0 || c.Locations[0].Line < 1 {
			t.Errorf("component %+v", c)
		}
		known[c.PURL] = true
	}
	for _, c := range result.Components {
		for _, purl := range c.DependsOn {
			if !known[purl] {
				t.Errorf("%s needs %s, which is no component", c.Name, purl)
			}
		}
	}
	for _, u := range result.Unresolved {
		if u.Reason == "" || u.Location.Line < 1 {
			t.Errorf("unresolved %+v", u)
		}
	}
}
