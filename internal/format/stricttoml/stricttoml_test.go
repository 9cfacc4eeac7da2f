package stricttoml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/stricttoml"
)

// show writes a value with the line of every part.
func show(v *stricttoml.Value) string {
	switch {
	case v == nil:
		return "nil"
	case v.Is(stricttoml.Table):
		var parts []string
		for _, key := range v.Keys() {
			parts = append(parts, key+"="+show(v.Get(key)))
		}
		return fmt.Sprintf("{%s}@%d", strings.Join(parts, " "), v.Line())
	case v.Is(stricttoml.Array):
		var parts []string
		for _, item := range v.List() {
			parts = append(parts, show(item))
		}
		return fmt.Sprintf("[%s]@%d", strings.Join(parts, " "), v.Line())
	}
	return fmt.Sprintf("%s@%d", v.Literal(), v.Line())
}

func TestParse(t *testing.T) {
	for content, want := range map[string]string{
		"":                           "{}@1",
		"\ufeffa = 1\r\n\r\nb = 'x'": "{a=1@1 b=x@3}@1",
		"# c\n[[p]]\nn = \"a\"\n\n[[p]]\nn = '''\nb\nc'''\nm=2\n": "{p=[{n=a@3}@2 {n=b\nc@6 m=2@9}@5]@2}@1",
		"[[p]]\n[p.d]\nx = '1'\n[[p.q]]\n[[p]]\n[p.d]\n":          "{p=[{d={x=1@3}@2 q=[{}@4]@4}@1 {d={}@6}@5]@1}@1",
		"a.b.c = 1\na.b.d = true\n":                               "{a={b={c=1@1 d=true@2}@1}@1}@1",
		"[a.b]\n[a]\nx=1979-05-27\n":                              "{a={b={}@1 x=1979-05-27@3}@2}@1",
		"a = [\n {x=1},\n {x.y=2, z=[]},\n 3.5\n]\nb=1":           "{a=[{x=1@2}@2 {x={y=2@3}@3 z=[]@3}@3 3.5@4]@1 b=1@6}@1",
		"\"a b\" = \"\\u00e9\"":                                   "{a b=é@1}@1",
	} {
		d, err := stricttoml.Parse([]byte(content), "f")
		if err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		if diff := cmp.Diff(want, show(d.Root())); diff != "" || d.Err() != nil {
			t.Errorf("%q: %v\n%s", content, d.Err(), diff)
		}
	}
}

func TestLargeTable(t *testing.T) {
	var content strings.Builder
	for i := range 100 {
		fmt.Fprintf(&content, "k%d = %d\n", i, i)
	}
	d, err := stricttoml.Parse([]byte(content.String()), "f")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if v := d.Root().Get(fmt.Sprintf("k%d", i)); v.Literal() != fmt.Sprint(i) || v.Line() != i+1 {
			t.Errorf("k%d is %s", i, show(v))
		}
	}
	if _, err := stricttoml.Parse([]byte(content.String()+"k7 = 1\n"), "f"); err == nil || !strings.Contains(err.Error(), "f:101: k7 is defined twice") {
		t.Errorf("a key of a large table twice: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for content, want := range map[string]string{
		"a = 1\na = 2":                    "f:2: a is defined twice",
		"a.b = 1\na.b = 2":                "f:2: a.b is defined twice",
		"[a]\n[a]":                        "f:2: a is defined twice",
		"a = 1\n[a]":                      "f:2: a is defined twice",
		"a = 1\n[a.b]":                    "f:2: a.b is no table that a header could add to",
		"a = {}\n[a.b]":                   "f:2: a.b is no table",
		"a = {b.c=1}\n[a.b.d]":            "f:2: a.b.d is no table",
		"a = []\n[[a]]":                   "f:2: a is defined twice",
		"[a]\n[[a]]":                      "f:2: a is defined twice",
		"[[a]]\n[a]":                      "f:2: a is defined twice",
		"[a.b]\n[a]\nb.c = 1":             "f:3: b is defined elsewhere",
		"a.b = 1\n[a]":                    "f:2: a is defined twice",
		"a = {x=1, x=2}":                  "f:1: x is defined twice",
		"a = {x=1}\na.y = 2":              "f:2: a is defined elsewhere",
		"\n\na = ":                        "f:3: this is no TOML",
		"a = 1 2":                         "f:1: this is no TOML",
		"a = \"x":                         "f:1: this is no TOML",
		"{\"a\": 1}":                      "f:1: this is no TOML",
		"x=1\n\xff":                       "f:2: not UTF-8",
		"<<<<<<< HEAD\n":                  "f:1: this is no TOML",
		strings.Repeat("a.", 200) + "a=1": "f (nesting) is larger than the bound of 128 levels",
		"a=" + strings.Repeat("[", 200) + strings.Repeat("]", 200):     "f (nesting) is larger than the bound of 128 levels",
		"a=" + strings.Repeat("[", 20000) + strings.Repeat("]", 20000): "f:1: this is no TOML",
	} {
		if _, err := stricttoml.Parse([]byte(content), "f"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", content, err, want)
		}
	}
	var over *limit.Error
	if _, err := stricttoml.Parse([]byte("a=["+strings.Repeat("1,", limit.TOMLValues)+"]"), "f"); !errors.As(err, &over) || over.Bound != limit.TOMLValues {
		t.Errorf("too many values: %v", err)
	}
}

// A reader that asks for another type gets nothing, and the document says so.
func TestErr(t *testing.T) {
	d, err := stricttoml.Parse([]byte("a = 1\n[t]\nx = ['y', 2]\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	root := d.Root()
	if root.Get("t", "gone", "further").Text() != "" || root.Get("gone").List() != nil || root.Get("gone").True() || d.Err() != nil {
		t.Errorf("what is not there is an error: %v", d.Err())
	}
	if got := root.Get("t", "x").Texts(); !cmp.Equal(got, []string{"y", ""}) {
		t.Errorf("texts are %q", got)
	}
	if d.Err() == nil || d.Err().Error() != "f:3: want a string, found a number" {
		t.Errorf("error is %v", d.Err())
	}
	if root.Get("a", "b") != nil || root.Get("a").Keys() != nil || root.Get("a").List() != nil || d.Err().Error() != "f:3: want a string, found a number" {
		t.Errorf("the first error was not kept: %v", d.Err())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("[[package]]\nname = \"a\"\nfiles = [\n {file = \"x\", hash = \"sha256:00\"},\n]\n[package.dependencies]\nb = {version = \">=1\"}\n")
	f.Add("a.b.c = 1\n[a.b]\n[[x.y]]\n[x.y.z]\n")
	f.Add("a = '''\n'''\nb = \"\"\"\\\n  x\"\"\"\r\nc = 1e3 # d")
	f.Add("a=[[[1],{b=[{}]}]]")
	f.Fuzz(func(t *testing.T, content string) {
		d, err := stricttoml.Parse([]byte(content), "f")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f") {
				t.Errorf("error %q names no file", err)
			}
			return
		}
		show(d.Root())
		if d.Err() != nil {
			t.Errorf("reading each value as what it is fails: %v", d.Err())
		}
		if last := strings.Count(content, "\n") + 1; d.Root().Line() > last {
			t.Errorf("line %d of %d", d.Root().Line(), last)
		}
	})
}
