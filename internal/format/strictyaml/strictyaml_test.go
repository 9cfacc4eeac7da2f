package strictyaml_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

type embedded struct {
	Inlined string `json:"inlined,omitempty"`
}

type target struct {
	embedded `json:",inline"`
	Name     string            `json:"name"`
	Count    int               `json:"count,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Items    []item            `json:"items,omitempty"`
	Pointer  *item             `json:"pointer,omitempty"`
}

type item struct {
	Value string `json:"value"`
}

func TestDecode(t *testing.T) {
	var got target
	err := strictyaml.Decode("f.yaml", []byte("name: a\ncount: 2\nlabels: {x: y}\nitems:\n- value: \"1\"\npointer: {value: p}\n"), &got)
	if err != nil {
		t.Fatal(err)
	}
	want := target{Name: "a", Count: 2, Labels: map[string]string{"x": "y"}, Items: []item{{"1"}}, Pointer: &item{"p"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(target{})); diff != "" {
		t.Error(diff)
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	var got target
	if err := strictyaml.Decode("f.yaml", []byte("name: &n a\nitems:\n- value: *n\n"), &got); err != nil {
		t.Fatal(err)
	}
	if got.Items[0].Value != "a" {
		t.Errorf("got %+v", got)
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"unknown":          {"nmae: a", `f.yaml:1: unknown field "nmae" at the top level; did you mean "name"?`},
		"unknown, far":     {"completelyelse: a", `f.yaml:1: unknown field "completelyelse" at the top level`},
		"unknown, nested":  {"name: a\nitems:\n- valeu: b", `f.yaml:3: unknown field "valeu" under items[0]; did you mean "value"?`},
		"case matters":     {"Name: a", `unknown field "Name" at the top level; did you mean "name"?`},
		"twice":            {"name: a\nname: b", `f.yaml:2: "name" is given twice`},
		"twice, by alias":  {"name: &k name\n*k : b", `"name" is given twice`},
		"wrong type":       {"name: a\ncount: many", "f.yaml:2: count: want a number, found a string"},
		"merge key":        {"labels: &l {a: b}\npointer:\n  <<: *l", "merge keys"},
		"not yaml":         {"name: [", "f.yaml: "},
		"mapping as a key": {"? {a: b}\n: c", "a mapping key is not a plain word"},
		"empty":            {"", "want one YAML document, found 0"},
		"not a number":     {"count: .nan", "not a number that can be compared"},
	} {
		t.Run(name, func(t *testing.T) {
			err := strictyaml.Decode("f.yaml", []byte(c.content), &target{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	var over *limit.Error
	if err := strictyaml.Decode("f", make([]byte, limit.Policy+1), &target{}); !errors.As(err, &over) {
		t.Errorf("a file over the bound: %v", err)
	}
	if err := strictyaml.Decode("f", []byte(strings.Repeat("[", limit.JSONDepth+2)+strings.Repeat("]", limit.JSONDepth+2)), &target{}); !errors.As(err, &over) {
		t.Errorf("nesting over the bound: %v", err)
	}
	var bomb strings.Builder // ten levels of ten aliases each are over a million nodes
	bomb.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 8; i++ {
		alias := "*a" + string(rune('0'+i-1))
		bomb.WriteString("a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.TrimSuffix(strings.Repeat(alias+",", 10), ",") + "]\n")
	}
	if err := strictyaml.Decode("f", []byte(bomb.String()), &target{}); err == nil {
		t.Error("an alias bomb was accepted")
	}
	documents := strings.Repeat("a: b\n---\n", limit.Manifests+1)
	if _, err := strictyaml.Documents("f", []byte(documents)); !errors.As(err, &over) {
		t.Errorf("documents over the bound: %v", err)
	}
}

func TestDocuments(t *testing.T) {
	documents, err := strictyaml.Documents("f", []byte("# nothing\n---\nkind: A\n---\n---\nkind: B\nmetadata: {name: n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(documents) != 2 || documents[0].Field("kind") != "A" || documents[1].Field("metadata", "name") != "n" || documents[1].Line != 6 {
		t.Errorf("got %+v", documents)
	}
	if line := documents[1].LineOf("metadata", "name"); line != 7 {
		t.Errorf("line of metadata.name is %d", line)
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte("name: a\nitems:\n- value: b\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("a: &a b\n*a : c"))
	f.Add([]byte("!!binary x: 1"))
	f.Fuzz(func(t *testing.T, content []byte) {
		documents, err := strictyaml.Documents("f", content)
		if err != nil {
			return
		}
		for _, document := range documents {
			if _, err := document.JSON(); err != nil {
				continue
			}
			var got target
			_ = document.Decode(&got)
		}
	})
}

func TestPosition(t *testing.T) {
	documents, err := strictyaml.Documents("f", []byte("a:\n  b:\n  - c: one\n    d: [two, three]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path         []string
		line, column int
		found        bool
	}{
		{nil, 1, 1, true},
		{[]string{"a"}, 1, 1, true},
		{[]string{"a", "b"}, 2, 3, true},
		{[]string{"a", "b", "0"}, 3, 5, true},
		{[]string{"a", "b", "0", "c"}, 3, 8, true},
		{[]string{"a", "b", "0", "d"}, 4, 5, true},
		{[]string{"a", "b", "0", "d", "1"}, 4, 14, true},
		{[]string{"a", "b", "1", "d"}, 2, 3, false},
		{[]string{"a", "x"}, 1, 1, false},
	} {
		line, column, found := documents[0].Position(test.path...)
		if line != test.line || column != test.column || found != test.found {
			t.Errorf("%q is at %d:%d, %v; want %d:%d, %v", test.path, line, column, found, test.line, test.column, test.found)
		}
	}
	if line, column, found := documents[0].KeyPosition("a", "b", "0", "c"); line != 3 || column != 5 || !found {
		t.Errorf("the key c is at %d:%d, %v", line, column, found)
	}
	if _, _, found := documents[0].KeyPosition("a", "b", "0"); found {
		t.Error("an element has a key")
	}
}
