package pyproject_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/pyproject"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

func read(t *testing.T, name, content string, more ...string) (pyproject.Result, error) {
	t.Helper()
	fsys := fstest.MapFS{"app/" + name: {Data: []byte(content)}}
	for i := 0; i+1 < len(more); i += 2 {
		fsys["app/"+more[i]] = &fstest.MapFile{Data: []byte(more[i+1])}
	}
	return pyproject.Read(fsys, "app/"+name, requirement.DefaultEnvironment())
}

func describe(r pyproject.Result) []string {
	var lines []string
	at := func(l component.Location) string {
		return fmt.Sprintf("%s:%d", strings.TrimPrefix(l.Path, "app/"), l.Line)
	}
	for _, c := range r.Components {
		line := c.Name + "==" + c.Version
		for _, l := range c.Locations {
			line += " " + at(l)
		}
		if len(c.Groups) > 0 {
			line += " [" + strings.Join(c.Groups, " ") + "]"
		}
		lines = append(lines, line)
	}
	for _, u := range r.Unresolved {
		lines = append(lines, fmt.Sprintf("? %s %s: %s: %s", u.Name, at(u.Location), u.Text, u.Reason))
	}
	for _, u := range r.Unknown {
		lines = append(lines, fmt.Sprintf("?? %s: %s: %s", at(u.Location), u.Text, u.Reason))
	}
	for _, e := range r.Excluded {
		lines = append(lines, fmt.Sprintf("- %s %s", e.Name, at(e.Location)))
	}
	for _, n := range r.Notes {
		lines = append(lines, fmt.Sprintf("! %s %s", at(n.Location), n.Text))
	}
	return lines
}

const aRange = "a range names no single version; pin it with =="

const full = `[project]
name = "My_App"
dependencies = [
  "torch==2.1.0",
  "numpy>=1.26",
  "pywin32==1; sys_platform == 'win32'",
  "-r evil.txt",
]
[project.optional-dependencies]
gpu = ["triton==2.0", "torch==2.1.0"]
all = ["my-app[gpu]", "triton==2.0"]

[dependency-groups]
test = ["pytest==8.0", {include-group = "Base"}]
base = ["six==1.16.0"]
loop = [{include-group = "loop"}, "x==1"]
ring = [{include-group = "base"}, {include-group = "base"}, {include-group = "gone"}, {set = 1}]

[build-system]
requires = ["setuptools>=61", "wheel==0.42"]

[tool.pdm.dev-dependencies]
lint = ["ruff==0.1", "-e file:///${PROJECT_ROOT}/sub", "--no-index"]

[tool.uv]
dev-dependencies = ["ipython==8.0"]
extra-index-url = ["https://u:p@example.com/simple"]
[[tool.uv.index]]
url = "https://pypi.org/simple"
[[tool.uv.index]]
name = "pytorch"
url = "https://download.pytorch.org/whl/cpu"
[tool.uv.sources]
numpy = { git = "https://example.com/numpy" }
triton = [{ index = "pytorch", marker = "x" }]
`

func TestPyproject(t *testing.T) {
	for content, want := range map[string][]string{
		full: {
			"torch==2.1.0 pyproject.toml:4 pyproject.toml:10", "triton==2.0 pyproject.toml:10 pyproject.toml:11 [all gpu]", "ipython==8.0 pyproject.toml:26 [dev]",
			"ruff==0.1 pyproject.toml:23 [lint]", "pytest==8.0 pyproject.toml:14 [test]", "six==1.16.0 pyproject.toml:15 [base ring test]", "x==1 pyproject.toml:16 [loop]", "wheel==0.42 pyproject.toml:20 [build-system]",
			"?  pyproject.toml:7: -r evil.txt: an option is no requirement in this file",
			"? numpy pyproject.toml:5: numpy>=1.26: it comes from version control (tool.uv.sources), and no index knows that version",
			"?  pyproject.toml:23: --no-index: an option is no requirement in this file",
			"?  pyproject.toml:23: -e file:///${PROJECT_ROOT}/sub: an editable install of a directory or repository has no fixed version",
			"?  pyproject.toml:16: include-group loop: the dependency group includes itself",
			"?  pyproject.toml:17: include-group gone: there is no such dependency group",
			"?  pyproject.toml:17: ring: an entry of the dependency group is neither a requirement nor an include-group",
			"- pywin32 pyproject.toml:6",
			"! pyproject.toml:30 packages may come from https://download.pytorch.org/whl/cpu: they are matched by name against the advisories for PyPI",
			"! pyproject.toml:27 packages may come from https://****@example.com/simple: they are matched by name against the advisories for PyPI",
			"! pyproject.toml:20 setuptools>=61 is chosen when the project is built, and was not tested",
		},
		"[project]\nname = \"a\"\ndynamic = [\"version\", \"dependencies\"]\n": {"?? pyproject.toml:3: dependencies: they are dynamic: known only when the project is built, which is not done here"},
		"[project]\ndynamic = [\"dependencies\", \"optional-dependencies\"]\n[tool.setuptools.dynamic]\ndependencies = {file = [\"reqs/base.txt\"]}\noptional-dependencies.x = {file = \"reqs/x.txt\"}\n": {
			"six==1.16.0 reqs/base.txt:1", "y==2 reqs/x.txt:1 [x]"},
		"[tool.black]\nline-length = 100\n": nil,
		"":                                  nil,
		"[project]\ndependencies = [\"torch @ https://example.com/torch-2.0-py3-none-any.whl\", \"w\"]\n[tool.uv.sources]\nw = {workspace = true}\n": {"torch==2.0 pyproject.toml:2"},
	} {
		result, err := read(t, "pyproject.toml", content, "reqs/base.txt", "six==1.16.0\n", "reqs/x.txt", "y==2\n")
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, describe(result)); diff != "" {
			t.Errorf("%.60s: %s", content, diff)
		}
	}
}

func TestPoetry(t *testing.T) {
	const lockHint = "a range names no single version; a lockfile beside it would"
	result, err := read(t, "pyproject.toml", `[tool.poetry]
name = "app"
[tool.poetry.dependencies]
python = "^3.9"
exact = "1.2.3"
equal = {version = "==2.0", extras = ["x"]}
Caret = "^1.2"
any = "*"
both = [{version = "1.0", python = "<3.8"}, {version = "2.0", python = ">=3.8"}]
repo = {git = "https://u:p@example.com/x.git", rev = "1"}
near = {path = "../near", develop = true}
wheel = {url = "https://example.com/wheel-0.42-py3-none-any.whl"}
gpu = {version = "1.0", optional = true}
lost = {version = "1.0", optional = true}
win = {version = "^1", platform = "win32"}
win2 = {version = "1", markers = "os_name == 'nt'"}
[tool.poetry.dev-dependencies]
old = "1.0"
[tool.poetry.group.test.dependencies]
pytest = "8.0"
[tool.poetry.extras]
fast = ["gpu"]
[[tool.poetry.source]]
name = "pytorch"
url = "https://download.pytorch.org/whl/cpu"
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"exact==1.2.3 pyproject.toml:5", "equal==2.0 pyproject.toml:6", "both==2.0 pyproject.toml:9", "wheel==0.42 pyproject.toml:12",
		"gpu==1.0 pyproject.toml:13 [fast]", "lost==1.0 pyproject.toml:14 [optional]", "old==1.0 pyproject.toml:18 [dev]", "pytest==8.0 pyproject.toml:20 [test]",
		"? equal pyproject.toml:6: equal[x]==2.0: what the extras [x] bring along is not written here",
		`? caret pyproject.toml:7: Caret = "^1.2": ` + lockHint, `? any pyproject.toml:8: any = "*": ` + lockHint,
		"? repo pyproject.toml:10: repo @ git+https://****@example.com/x.git: it comes from version control, and no index knows that version",
		"? near pyproject.toml:11: near @ ../near: a local path has no fixed version",
		"- both pyproject.toml:9", "- win pyproject.toml:15", "- win2 pyproject.toml:16",
		"! pyproject.toml:23 packages may come from https://download.pytorch.org/whl/cpu: they are matched by name against the advisories for PyPI",
	}
	if diff := cmp.Diff(want, describe(result)); diff != "" {
		t.Error(diff)
	}
}

func TestPipfile(t *testing.T) {
	result, err := read(t, "Pipfile", `[[source]]
url = "https://example.com/simple"
[packages]
requests = "==2.31.0"
flask = "*"
bare = "1.0"
win = {version = "==1.0", sys_platform = "== 'win32'"}
[dev-packages]
pytest = {version = "==8.0", markers = "python_version > '3'"}
[docs]
sphinx = "==7.0"
[requires]
python_version = "3.11"
`)
	if err != nil {
		t.Fatal(err)
	}
	const lockHint = "a range names no single version; a lockfile beside it would"
	want := []string{"requests==2.31.0 Pipfile:4", "pytest==8.0 Pipfile:9 [develop]", "sphinx==7.0 Pipfile:11 [docs]",
		`? flask Pipfile:5: flask = "*": ` + lockHint, `? bare Pipfile:6: bare = "1.0": ` + lockHint, "- win Pipfile:7",
		"! Pipfile:1 packages may come from https://example.com/simple: they are matched by name against the advisories for PyPI"}
	if diff := cmp.Diff(want, describe(result)); diff != "" {
		t.Error(diff)
	}
}

func TestSetup(t *testing.T) {
	for _, c := range []struct {
		name, content string
		want          []string
	}{
		{"setup.cfg", "[metadata]\nname = app\n[options]\ninstall-requires =\n  torch==2.1.0\n  # no\n\n  numpy>=1 # why\n  -r x\n  y==1; os_name == 'nt'\n[options.extras_require]\nall = app[dev]; z==1\nfiles = file: more.txt, more.txt\n[flake8]\nignore = E1\n\tE2\n",
			[]string{"torch==2.1.0 setup.cfg:5", "z==1 setup.cfg:12 [all]", "six==1.16.0 more.txt:1 [files]", "?  setup.cfg:9: -r x: an option is no requirement in this file", "? numpy setup.cfg:8: numpy>=1: " + aRange, "- y setup.cfg:10"}},
		{"setup.cfg", "[options]\nsetup_requires = wheel==0.4\ntests_require: pytest==8\ninstall_requires =\n", []string{"wheel==0.4 setup.cfg:2 [build-system]", "pytest==8 setup.cfg:3 [tests_require]"}},
		{"setup.py", "from setuptools import setup\n# install_requires=[]\nsetup(\n  install_requires=['x==1'],\n)\n", []string{"?? setup.py:4: install_requires: setup.py is code, which is not run: what it asks for is not known"}},
		{"setup.py", "from setuptools import setup\nsetup()\n", nil},
	} {
		result, err := read(t, c.name, c.content, "more.txt", "six==1.16.0\n")
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c.want, describe(result)); diff != "" {
			t.Errorf("%s: %s", c.content, diff)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"pyproject.toml", "[project]\ndependencies = 1\n", "app/pyproject.toml:2: want an array, found a number"},
		{"pyproject.toml", "[project\n", "app/pyproject.toml:1: this is no TOML"},
		{"Pipfile", "packages = 1\n", "app/Pipfile:1: want a table, found a number"},
		{"setup.cfg", "[options\n", "app/setup.cfg:1: a section's name"},
		{"setup.cfg", " x = 1\n", "app/setup.cfg:1: an indented line"},
		{"setup.cfg", "[a]\nx\n", "app/setup.cfg:2: neither a section"},
		{"setup.cfg", "x = 1\n", "app/setup.cfg:1: neither a section"},
		{"setup.cfg", "[a]\nx=\xff\n", "app/setup.cfg:2: not UTF-8"},
		{"setup.cfg", "[options]\ninstall_requires = file: gone.txt\n", "app/setup.cfg:2: app/gone.txt"},
		{"other.toml", "", "is no project file"},
		{"setup.py", strings.Repeat(" ", limit.Lockfile+1), "larger than the bound"},
	} {
		if _, err := read(t, c.name, c.content); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.40q: %v, want %s", c.name, c.content, err, c.want)
		}
	}
	var groups strings.Builder
	groups.WriteString("[dependency-groups]\n")
	for i := range limit.LockedGroups + 1 {
		fmt.Fprintf(&groups, "g%d = []\n", i)
	}
	for content, bound := range map[string]int64{
		groups.String(): limit.LockedGroups,
		"[project]\ndependencies = [" + strings.Repeat("'x==1',", limit.LockedPackages+1) + "]\n":             limit.LockedPackages,
		"[tool.poetry.dependencies]\nx = [" + strings.Repeat("'1',", limit.LockedPackages+1) + "]\n":          limit.LockedPackages,
		"[dependency-groups]\nx = [" + strings.Repeat("{include-group='y'},", limit.LockedPackages+1) + "]\n": limit.LockedPackages,
	} {
		var over *limit.Error
		if _, err := read(t, "pyproject.toml", content); !errors.As(err, &over) || over.Bound != bound {
			t.Errorf("%.60q: %v", content, err)
		}
	}
}

func TestReads(t *testing.T) {
	for base, want := range map[string]bool{"pyproject.toml": true, "setup.cfg": true, "setup.py": true, "Pipfile": true, "Pipfile.lock": false, "x": false} {
		if pyproject.Reads(base) != want {
			t.Errorf("%s: %v", base, !want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("pyproject.toml", full)
	f.Add("Pipfile", "[packages]\na = {version = '==1', markers = 'x'}\n")
	f.Add("setup.cfg", "[options]\ninstall_requires =\n  a==1\n  b>1; c\n")
	f.Add("setup.py", "install_requires")
	f.Fuzz(func(t *testing.T, name, content string) {
		result, err := pyproject.Read(fstest.MapFS{"pyproject.toml": {Data: []byte(content)}, "Pipfile": {Data: []byte(content)}, "setup.cfg": {Data: []byte(content)}, "setup.py": {Data: []byte(content)}}, name, requirement.DefaultEnvironment())
		if err != nil {
			return
		}
		for _, c := range result.Components {
			if c.Name == "" || c.Version == "" || strings.ContainsAny(c.Version, "<>*~ ") || len(c.Locations) == 0 || c.Locations[0].Line < 1 {
				t.Errorf("component %+v of %q", c, content)
			}
		}
		for _, u := range result.Unresolved {
			if u.Reason == "" || u.Location.Line < 1 {
				t.Errorf("unresolved %+v of %q", u, content)
			}
		}
	})
}
