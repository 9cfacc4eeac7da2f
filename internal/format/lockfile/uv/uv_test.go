package uv_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/lockfile/lockfiletest"
	"github.com/seed-161fc314/assay/internal/format/lockfile/uv"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

const good = `version = 1
revision = 2
requires-python = ">=3.10"
resolution-markers = ["python_full_version >= '3.12'", "python_full_version < '3.12'"]

[manifest]
members = ["app", "Lib_One"]

[[package]]
name = "app"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "lib-one" },
    { name = "fastapi", extra = ["all"] },
    { name = "numpy", version = "1.26.4", source = { registry = "https://pypi.org/simple" }, marker = "python_full_version < '3.12'" },
    { name = "numpy", version = "2.1.0", source = { registry = "https://pypi.org/simple" }, marker = "python_full_version >= '3.12' and extra == 'project-3-app'" },
]

[package.optional-dependencies]
gpu = [
    { name = "torch" },
]
cpu = [
    { name = "tf", marker = "extra == 'extra-3-app-cpu'" },
    { name = "never", marker = "extra == 'extra-3-app-gpu'" },
]

[package.dev-dependencies]
dev = [
    { name = "pytest" },
    { name = "sniffio" },
]
test = [
    { name = "pytest" },
]

[[package]]
name = "lib-one"
version = "0.2.0"
source = { editable = "packages/lib-one" }
dependencies = [
    { name = "sniffio" },
]

[[package]]
name = "fastapi"
version = "0.111.1"
source = { registry = "https://pypi.org/simple" }
dependencies = [
    { name = "sniffio" },
]
sdist = { url = "https://files.pythonhosted.org/fastapi.tar.gz", hash = "sha256:` + hash + `", size = 1 }
wheels = [
    { url = "https://files.pythonhosted.org/fastapi.whl", hash = "sha256:` + hash + `", size = 1 },
]

[package.optional-dependencies]
all = [
    { name = "email-validator" },
]

[[package]]
name = "email-validator"
version = "2.2.0"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "sniffio"
version = "1.3.1"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "numpy"
version = "1.26.4"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "numpy"
version = "2.1.0"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "torch"
version = "2.1.0+cu118"
source = { registry = "https://download.pytorch.org/whl/cu118" }
dependencies = [
    { name = "triton", marker = "sys_platform == 'win32'" },
    { name = "sniffio" },
]

[[package]]
name = "triton"
version = "3"
source = { registry = "https://pypi.org/simple" }
dependencies = [
    { name = "tridep" },
]

[[package]]
name = "tridep"
version = "3"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "tf"
version = "2"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "never"
version = "2"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "pytest"
version = "8.0"
source = { registry = "https://pypi.org/simple" }
dependencies = [
    { name = "repo" },
    { name = "near" },
]

[[package]]
name = "repo"
version = "1"
source = { git = "https://u:p@example.com/repo?rev=1#abc" }

[[package]]
name = "near"
version = "1"
source = { directory = "../near" }

[[package]]
name = "orphan"
version = "1"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "direct"
version = "1.5"
source = { url = "https://example.com/direct-1.5-py3-none-any.whl" }
`

func many(n int) string {
	var b strings.Builder
	b.WriteString("version = 1\n")
	for i := range n {
		fmt.Fprintf(&b, "[[package]]\nname = \"p%d\"\nversion = \"1.%d\"\n", i, i)
	}
	return b.String()
}

func TestContract(t *testing.T) {
	lockfiletest.Run(t, lockfiletest.Format{Parser: uv.Parser{}, Base: "uv.lock", Others: []string{"script.py.lock"}, Foreign: []string{".py.lock", "poetry.lock"},
		Good: good, Edges: true, NewVersion: "version = 2\n", Found: "2", Many: many})
}

func parse(t *testing.T, content, python string) lockfile.Result {
	t.Helper()
	environment, err := requirement.EnvironmentOf(python, "")
	if err != nil {
		t.Fatal(err)
	}
	result, err := uv.Parser{}.Parse(strings.NewReader(content), "uv.lock", environment)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestParse(t *testing.T) {
	result := parse(t, good, "3.11")
	want := []string{
		"fastapi==0.111.1:46 sha256:e3b0c44298fc -> email-validator@2.2.0 sniffio@1.3.1", "email-validator==2.2.0:63", "sniffio==1.3.1:68", "numpy==1.26.4:73",
		"torch==2.1.0+cu118:83 [gpu] -> sniffio@1.3.1", "tf==2:105 [cpu]", "pytest==8.0:115 [dev test]", "orphan==1:134", "direct==1.5:139",
		"? repo @ git+https://****@example.com/repo?rev=1#abc:124 it comes from version control, and no index knows that version",
		"? near @ ../near:129 a local directory has no fixed version",
		"- numpy:78 python_full_version >= '3.12' and extra == 'project-3-app'", "- triton:92 sys_platform == 'win32'", "- tridep:100 only packages that are left out need it",
		"- never:110 extra == 'extra-3-app-gpu'",
		"! 83 torch from the index https://download.pytorch.org/whl/cu118: matched by name against the advisories for PyPI",
	}
	if diff := cmp.Diff(want, lockfiletest.Describe(result)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{".", "packages/lib-one"}, result.Projects); diff != "" {
		t.Error(diff)
	}
	var numpy []string
	for _, c := range parse(t, good, "3.12").Components {
		if c.Name == "numpy" {
			numpy = append(numpy, c.Version)
		}
	}
	if diff := cmp.Diff([]string{"2.1.0"}, numpy); diff != "" {
		t.Errorf("for Python 3.12: %s", diff)
	}
}

// A file for another Python is read, and the report says so.
func TestPython(t *testing.T) {
	result := parse(t, "version = 1\nrequires-python = \">=3.12\"\n", "3.11")
	if diff := cmp.Diff([]string{"! 2 the file is for Python >=3.12, and was read for CPython 3.11 on linux, x86_64"}, lockfiletest.Describe(result)); diff != "" {
		t.Error(diff)
	}
	if result := parse(t, "version = 1\nrequires-python = \">=3.12\"\n", "3.12"); result.Notes != nil {
		t.Errorf("notes are %+v", result.Notes)
	}
}

// A script has requirements and no project.
func TestScript(t *testing.T) {
	result := parse(t, "version = 1\n[manifest]\nrequirements = [{ name = \"a\" }, { name = \"w\", marker = \"os_name == 'nt'\" }]\n"+
		"[manifest.dependency-groups]\ndev = [{ name = \"d\" }]\n"+
		"[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { registry = \"https://pypi.org/simple\" }\n[[package]]\nname = \"w\"\nversion = \"1\"\n[[package]]\nname = \"d\"\nversion = \"1\"\n", "")
	if diff := cmp.Diff([]string{"a==1:6", "d==1:13 [dev]", "- w:10 os_name == 'nt'"}, lockfiletest.Describe(result)); diff != "" {
		t.Error(diff)
	}
}

func TestBounds(t *testing.T) {
	var groups, edges strings.Builder
	groups.WriteString("version = 1\n[manifest.dependency-groups]\n")
	for i := range limit.LockedGroups + 1 {
		fmt.Fprintf(&groups, "g%d = []\n", i)
	}
	edges.WriteString(many(0))
	for i := range 2000 {
		fmt.Fprintf(&edges, "[[package]]\nname = \"same\"\nversion = \"%d\"\n", i)
	}
	edges.WriteString("dependencies = [" + strings.Repeat("{name=\"same\"},", limit.LockedEdges/2000) + "]\n")
	for content, bound := range map[string]int64{groups.String(): limit.LockedGroups, edges.String(): limit.LockedEdges} {
		var over *limit.Error
		if _, err := (uv.Parser{}).Parse(strings.NewReader(content), "uv.lock", requirement.DefaultEnvironment()); !errors.As(err, &over) || over.Bound != bound {
			t.Errorf("over %d: %v", bound, err)
		}
	}
}

func TestBrokenMarker(t *testing.T) {
	result := parse(t, "version = 1\n[manifest]\nrequirements = [{ name = \"a\", marker = \"x\" }]\n[[package]]\nname = \"a\"\nversion = \"1\"\n", "")
	if diff := cmp.Diff([]string{`? a==1:4 marker "x": unknown variable "x"`}, lockfiletest.Describe(result)); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Fuzz(func(t *testing.T, content string) { lockfiletest.Fuzz(t, uv.Parser{}, content) })
}
