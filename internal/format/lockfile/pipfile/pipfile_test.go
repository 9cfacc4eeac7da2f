package pipfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/format/lockfile/lockfiletest"
	"github.com/seed-161fc314/assay/internal/format/lockfile/pipfile"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

const good = `{
    "_meta": {
        "hash": {"sha256": "x"},
        "pipfile-spec": 6, "requires": {"python_version": "3.8"},
        "sources": [
            {"name": "pypi", "url": "https://pypi.org/simple", "verify_ssl": true},
            {"name": "ours", "url": "https://u:p@example.com/simple", "verify_ssl": true}
        ]
    },
    "default": {
        "Aio_HTTP": {
            "extras": ["speedups"],
            "hashes": ["sha256:` + hash + `", "md5:00"],
            "index": "ours",
            "version": "==3.7.4.post0"
        },
        "colorama": {"markers": "sys_platform == 'win32'", "version": "==0.4.6"},
        "e1839a8": {"editable": true, "path": "."},
        "other": {"editable": true, "path": "./other"},
        "repo": {"git": "https://u:p@example.com/repo.git", "ref": "abc"},
        "sharp": {"file": "https://example.com/sharp-1.0-py3-none-any.whl"},
        "star": {"version": "*"},
        "range": {"version": ">=1"},
        "m": {"version": "==1", "markers": "what"},
        "\u0073ix": {"version": "==1.16.0"}
    },
    "develop": {
        "six": {"version": "==1.16"},
        "pytest": {"version": "==8.0"}
    },
    "docs": {"pytest": {"version": "===8.0"}}
}
`

func many(n int) string {
	var b strings.Builder
	b.WriteString(`{"_meta": {"pipfile-spec": 6}, "default": {`)
	for i := range n {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `"p%d": {"version": "==1.%d"}`, i, i)
	}
	return b.String() + "}}"
}

func TestContract(t *testing.T) {
	lockfiletest.Run(t, lockfiletest.Format{Parser: pipfile.Parser{}, Base: "Pipfile.lock", Foreign: []string{"Pipfile"}, Good: strings.Replace(good, `\u0073`, "s", 1),
		NewVersion: `{"_meta": {"pipfile-spec": 7}, "default": {}}`, Found: "7", Many: many})
}

func TestParse(t *testing.T) {
	result, err := pipfile.Parser{}.Parse(strings.NewReader(good), "Pipfile.lock", requirement.DefaultEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"aio-http==3.7.4.post0:11 sha256:e3b0c44298fc", "sharp==1.0:21", "six==1.16.0:25", "six==1.16:28 [develop]", "pytest==8.0:29:31 [develop docs]",
		"? other @ ./other:19 a local path has no fixed version",
		"? repo @ git+https://****@example.com/repo.git:20 it comes from version control, and no index knows that version",
		"? star==*:22 \"*\" is no version by PEP 440", "? range==>=1:23 \">=1\" is no version by PEP 440", "? m==1:24 marker \"what\": unknown variable \"what\"",
		"- colorama:17 sys_platform == 'win32'",
		"! 1 the file is for Python ==3.8.*, and was read for CPython 3.11 on linux, x86_64",
		"! 11 aio-http from the index https://****@example.com/simple: matched by name against the advisories for PyPI",
	}
	if diff := cmp.Diff(want, lockfiletest.Describe(result)); diff != "" {
		t.Error(diff)
	}
}

func TestErrors(t *testing.T) {
	for content, want := range map[string]string{
		`{"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "==1"}, "a": {}}}`: "Pipfile.lock: byte 68: the name \"a\" appears twice",
		`{"_meta": {"pipfile-spec": 6}, "default": {}, "default": {}}`:                  "the name \"default\" appears twice",
		`{"_meta": {"pipfile-spec": 6}, "default": ["a", "b"]}`:                         "Pipfile.lock: default: want a JSON object",
		`{"_meta": {"pipfile-spec": 6},` + "\n" + `"default": {"a": "==1"}}`:            "Pipfile.lock:2: a: json: cannot unmarshal",
		`{"_meta": {"pipfile-spec": "x"}}`:                                              "Pipfile.lock: _meta: ",
		`{"_meta": {"pipfile-spec": 6}, "default": ` + strings.Repeat("[", 300) + `}`:   "nesting",
		`{"default": {"a": {"version": "==1"}}}`:                                        "_meta.pipfile-spec is missing; known are 6",
	} {
		if _, err := (pipfile.Parser{}).Parse(strings.NewReader(content), "Pipfile.lock", requirement.DefaultEnvironment()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %s", content, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Fuzz(func(t *testing.T, content string) { lockfiletest.Fuzz(t, pipfile.Parser{}, content) })
}
