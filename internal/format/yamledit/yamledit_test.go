package yamledit_test

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/yamledit"
)

func path(t testing.TB, text string) yamledit.Path {
	t.Helper()
	p, err := yamledit.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	if p.String() != text {
		t.Errorf("%q is spelled %q", text, p)
	}
	return p
}

func TestParsePath(t *testing.T) {
	for _, text := range []string{"", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[-1]", "a[0]b", `a\`, "a.[0]", "a[99999999999]"} {
		if p, err := yamledit.ParsePath(text); err == nil {
			t.Errorf("%q was read as %v", text, p)
		}
	}
	for _, text := range []string{"a", "a.b", "a[0].b", "[0]", "[0][1]", `a\.b.c`, `a\[0]`, `a\\`} {
		path(t, text)
	}
}

const deployment = `# what runs
apiVersion: apps/v1   # a comment
kind: Deployment
---
# second
spec:
    template:
      spec:
        containers:
          # first
          - name: "a"
            image:   registry.example.com/a:v1   # pinned later
          - {name: b, image: 'registry.example.com/b:v1', tag: 1}

        empty:
        text: |
          image: x
        long: a
          b
        anchored: &x y
        alias: *x
        tagged: !!str 1
        double: "q\"\u00e9"
        unicode: [é, "é", target]
`

func TestSetScalar(t *testing.T) {
	for name, c := range map[string]struct {
		at, value, old, new string
	}{
		"plain":            {"spec.template.spec.containers[0].image", "r@sha256:00", "image:   registry.example.com/a:v1   #", "image:   r@sha256:00   #"},
		"single quoted":    {"spec.template.spec.containers[1].image", "it's", "'registry.example.com/b:v1'", "'it''s'"},
		"double quoted":    {"spec.template.spec.containers[0].name", `x"\`, `"a"`, `"x\"\\"`},
		"escapes":          {"spec.template.spec.double", "z\n", `"q\"\u00e9"`, `"z\x0a"`},
		"a number":         {"spec.template.spec.containers[1].tag", "v2", "tag: 1}", "tag: v2}"},
		"stays a string":   {"spec.template.spec.containers[1].tag", "2", "tag: 1}", `tag: "2"}`},
		"a word of old":    {"spec.template.spec.containers[1].tag", "on", "tag: 1}", `tag: "on"}`},
		"a flow separator": {"spec.template.spec.containers[1].name", "a,b", "name: b,", `name: "a,b",`},
		"a comment sign":   {"spec.template.spec.containers[0].image", "a #b", "registry.example.com/a:v1", `"a #b"`},
		"colon at the end": {"spec.template.spec.containers[0].image", "a:", "registry.example.com/a:v1", `"a:"`},
		"empty place":      {"spec.template.spec.empty", "v", "empty:", "empty: v"},
		"empty value":      {"spec.template.spec.containers[0].name", "", `"a"`, `""`},
		"after wide signs": {"spec.template.spec.unicode[2]", "x", "target", "x"},
		"the same":         {"spec.template.spec.containers[0].name", "a", `"a"`, `"a"`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, content := range []string{deployment, strings.ReplaceAll(deployment, "\n", "\r\n"), strings.TrimSuffix(deployment, "\n")} {
				got, err := yamledit.SetScalar([]byte(content), 1, path(t, c.at), c.value)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.Replace(content, c.old, c.new, 1), string(got)); diff != "" {
					t.Error(diff)
				}
				if value, found, err := yamledit.Scalar(got, 1, path(t, c.at)); err != nil || !found || value != c.value {
					t.Errorf("reads as %q, %v, %v", value, found, err)
				}
			}
		})
	}
	if got, err := yamledit.SetScalar([]byte(deployment), 0, path(t, "kind"), "Job"); err != nil || !strings.Contains(string(got), "kind: Job\n") {
		t.Errorf("first document: %s, %v", got, err)
	}
}

func TestSetScalarRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		content  string
		document int
		at, want string
	}{
		"block":            {deployment, 1, "spec.template.spec.text", "block of text"},
		"several lines":    {deployment, 1, "spec.template.spec.long", "does not stand on one line"},
		"anchor":           {deployment, 1, "spec.template.spec.anchored", "has an anchor"},
		"alias":            {deployment, 1, "spec.template.spec.alias", "is an alias"},
		"through an alias": {"a: &a {b: c}\nd: *a\n", 0, "d.b", "d is an alias"},
		"tag":              {deployment, 1, "spec.template.spec.tagged", "has a tag"},
		"mapping":          {deployment, 1, "spec.template", "not a single value"},
		"missing":          {deployment, 1, "spec.nope", "spec.nope is not there"},
		"index":            {deployment, 1, "spec.template.spec.containers[2].image", "containers[2] is not there"},
		"no list":          {deployment, 1, "spec[0]", "spec is no list"},
		"no mapping":       {deployment, 1, "spec.template.spec.containers.image", "is no mapping"},
		"document":         {deployment, 2, "spec", "has no document 2"},
		"quoted, several":  {"a: \"b\n  c\"\n", 0, "a", "does not stand on one line"},
		"twice":            {"a: 1\na: 2\n", 0, "a", "given twice"},
		"merge key":        {"x: &x {a: 1}\nb:\n  <<: *x\n", 0, "b.a", "merge keys"},
		"lone return":      {"a: 1\rb: 2\n", 0, "a", "carriage return"},
		"odd line end":     {"a: \"x\u2028y\"\nb: 2\n", 0, "b", "U+2028"},
		"byte order mark":  {"\ufeffa: 1\n", 0, "a", "U+FEFF"},
		"not UTF-8":        {"a: \xff\n", 0, "a", "UTF-8"},
		"not YAML":         {"a: [\n", 0, "a", "the file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := yamledit.SetScalar([]byte(c.content), c.document, path(t, c.at), "v")
			if err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
				t.Errorf("got %q, %v; want an error with %q", got, err, c.want)
			}
		})
	}
	for _, value := range []string{"\xff", "a\x00", "\u2028"} {
		if got, err := yamledit.SetScalar([]byte("a: 1\n"), 0, path(t, "a"), value); err == nil {
			t.Errorf("wrote %q", got)
		}
	}
	if _, err := yamledit.SetScalar(make([]byte, limit.Policy+1), 0, path(t, "a"), "v"); err == nil {
		t.Error("edited a file over the bound")
	}
	if _, err := yamledit.SetScalar([]byte("a"), 0, nil, "v"); err == nil {
		t.Error("edited without a path")
	}
}

const kustomization = `images:
- name: registry.example.com/a # ours
  newTag: v1 # old

- newTag: v2
  name: b
- {name: c, newTag: v3}
- { newTag: v4, name: d }
other:
  nested: {a: b}
`

func TestEnsureScalar(t *testing.T) {
	for name, c := range map[string]struct{ at, old, new string }{
		"added":           {"images[0].digest", "newTag: v1 # old\n", "newTag: v1 # old\n  digest: sha256:00\n"},
		"added after":     {"images[1].digest", "  name: b\n", "  name: b\n  digest: sha256:00\n"},
		"flow":            {"images[2].digest", "{name: c", "{digest: sha256:00, name: c"},
		"set":             {"images[0].newTag", "newTag: v1 #", "newTag: sha256:00 #"},
		"before a nested": {"other.digest", "  nested:", "  digest: sha256:00\n  nested:"},
		"at the root":     {"digest", "images:", "digest: sha256:00\nimages:"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := yamledit.EnsureScalar([]byte(kustomization), 0, path(t, c.at), "sha256:00")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Replace(kustomization, c.old, c.new, 1), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	got, err := yamledit.EnsureScalar([]byte("a:\r\n- b: c"), 0, path(t, "a[0].d"), "e")
	if err != nil || string(got) != "a:\r\n- b: c\r\n  d: e" {
		t.Errorf("without a line end: %q, %v", got, err)
	}
	for at, content := range map[string]string{"a.b": "a: {}\n", "a.c": "a:\n", "x.y": "a: b\n", "a[0]": "a: []\n"} {
		if got, err := yamledit.EnsureScalar([]byte(content), 0, path(t, at), "v"); err == nil {
			t.Errorf("%s in %q: %q", at, content, got)
		}
	}
}

func TestRemove(t *testing.T) {
	for name, c := range map[string]struct{ at, old, new string }{
		"a line":        {"images[0].newTag", "  newTag: v1 # old\n", ""},
		"first of item": {"images[1].newTag", "newTag: v2\n  name", "name"},
		"last in flow":  {"images[2].newTag", ", newTag: v3", ""},
		"first in flow": {"images[3].newTag", "newTag: v4, ", ""},
		"not there":     {"images[0].digest", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := yamledit.Remove([]byte(kustomization), 0, path(t, c.at))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Replace(kustomization, c.old, c.new, 1), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for at, content := range map[string]string{"other.nested": kustomization, "a.b": "a: {b: c}\n", "images": kustomization,
		"a[0].b": "a:\n- b: c # keep\n  d: e\n", "a[0]": "a: [b]\n"} {
		if got, err := yamledit.Remove([]byte(content), 0, path(t, at)); err == nil {
			t.Errorf("%s: %q", at, got)
		}
	}
}

func TestLook(t *testing.T) {
	if n, err := yamledit.Len([]byte(kustomization), 0, path(t, "images")); err != nil || n != 4 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := yamledit.Len([]byte(kustomization), 0, path(t, "resources")); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := yamledit.Len([]byte(kustomization), 0, path(t, "other")); err == nil {
		t.Error("a mapping has a length")
	}
	if _, found, err := yamledit.Scalar([]byte(kustomization), 0, path(t, "images[9].name")); err != nil || found {
		t.Errorf("%v, %v", found, err)
	}
	if _, _, err := yamledit.Scalar([]byte(kustomization), 0, path(t, "other")); err == nil {
		t.Error("a mapping is a scalar")
	}
}

// values are all documents as plain values, each element of which put may
// replace.
func values(t testing.TB, content []byte, put func(document int, root *any)) []any {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var all []any
	for n := 0; ; n++ {
		var value any
		if err := decoder.Decode(&value); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%q does not parse: %v", content, err)
		}
		put(n, &value)
		all = append(all, value)
	}
}

// assign puts a value at a path of plain values, whatever is there.
func assign(root *any, text string, value string) {
	if text != "" {
		if index, rest, found := strings.Cut(strings.TrimPrefix(text, "["), "]"); found && text[0] == '[' {
			n, _ := strconv.Atoi(index)
			list := (*root).([]any)
			element := list[n]
			assign(&element, strings.TrimPrefix(rest, "."), value)
			list[n] = element
			return
		}
		end := strings.IndexAny(text, ".[")
		key, rest := text, ""
		if end >= 0 {
			key, rest = text[:end], strings.TrimPrefix(text[end:], ".")
		}
		object := (*root).(map[string]any)
		element := object[key]
		assign(&element, rest, value)
		object[key] = element
		return
	}
	*root = value
}

// FuzzSetScalar holds every edit to its promise: what is not at the path has
// the same value, and every byte outside one stretch is kept.
func FuzzSetScalar(f *testing.F) {
	for _, value := range []string{"v", "a: b", "1", "\t", "é\"'"} {
		f.Add([]byte(deployment), 1, "spec.template.spec.containers[0].image", value)
		f.Add([]byte("a: {b: 'c', d: [1, e]}\r\n"), 0, "a.d[1]", value)
		f.Add([]byte("- x:\n- y\n"), 0, "[0].x", value)
	}
	f.Fuzz(func(t *testing.T, content []byte, document int, at, value string) {
		p, err := yamledit.ParsePath(at)
		if err != nil {
			return
		}
		for _, edit := range []func() ([]byte, error){
			func() ([]byte, error) { return yamledit.SetScalar(content, document, p, value) },
			func() ([]byte, error) { return yamledit.EnsureScalar(content, document, p, value) },
		} {
			got, err := edit()
			if err != nil {
				continue
			}
			if read, found, err := yamledit.Scalar(got, document, p); err != nil || !found || read != value {
				t.Fatalf("%q at %s in %q gives %q: reads %q, %v, %v", value, at, content, got, read, found, err)
			}
			if strings.ContainsAny(at, `\\~:"'`) || bytes.ContainsAny(content, "?!<") || strings.Contains(at, "0") && !strings.Contains(at, "[") {
				continue // keys that are no strings, or are escaped, and tags
			}
			assigned := false
			want := values(t, content, func(n int, root *any) {
				if n == document {
					defer func() { assigned = recover() == nil }() // a panic: keys that are no strings
					assign(root, at, value)
				}
			})
			if !assigned {
				continue
			}
			if diff := cmp.Diff(want, values(t, got, func(int, *any) {}), cmpopts.EquateNaNs()); diff != "" {
				t.Fatalf("%q at %s in %q gives %q:\n%s", value, at, content, got, diff)
			}
		}
		if got, err := yamledit.Remove(content, document, p); err == nil {
			if _, found, err := yamledit.Scalar(got, document, p); found || err != nil {
				t.Fatalf("%s is still in %q: %v", at, got, err)
			}
		}
	})
}
