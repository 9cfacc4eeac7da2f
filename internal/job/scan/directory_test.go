package scan_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/job/scan"
)

// say puts an inventory on lines.
func say(inventory component.Inventory) []string {
	var lines []string
	at := func(l component.Location) string { return fmt.Sprintf("%s:%d", l.Path, l.Line) }
	for _, c := range inventory.Components {
		line := c.Name + "==" + c.Version
		for _, l := range c.Locations {
			line += " " + at(l)
		}
		if len(c.Groups) > 0 {
			line += " [" + strings.Join(c.Groups, " ") + "]"
		}
		lines = append(lines, line)
	}
	for _, u := range inventory.Unresolved {
		lines = append(lines, "? "+at(u.Location)+" "+u.Text)
	}
	for _, n := range inventory.Notes {
		lines = append(lines, "! "+at(n.Location)+" "+n.Text)
	}
	return lines
}

const (
	uvLock = "version = 1\n[manifest]\nmembers = [\"app\", \"lib\"]\n" +
		"[[package]]\nname = \"app\"\nversion = \"0\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"lib\" }, { name = \"torch\" }, { name = \"pywin32\", marker = \"sys_platform == 'win32'\" }]\n" +
		"[package.dev-dependencies]\ndev = [{ name = \"pytest\" }]\n" +
		"[[package]]\nname = \"lib\"\nversion = \"0\"\nsource = { editable = \"packages/lib\" }\ndependencies = [{ name = \"numpy\" }]\n" +
		"[[package]]\nname = \"torch\"\nversion = \"2.1.0\"\nsource = { registry = \"https://pypi.org/simple\" }\n" +
		"[[package]]\nname = \"numpy\"\nversion = \"1.26.4\"\nsource = { registry = \"https://pypi.org/simple\" }\n" +
		"[[package]]\nname = \"pywin32\"\nversion = \"306\"\nsource = { registry = \"https://pypi.org/simple\" }\n" +
		"[[package]]\nname = \"pytest\"\nversion = \"8.0\"\nsource = { registry = \"https://pypi.org/simple\" }\n"
	ranges = "[project]\nname = \"x\"\ndependencies = [\n\"torch>=2\",\n\"numpy\",\n\"absent>1\",\n\"pytest==7.0\",\n]\ndynamic = [\"optional-dependencies\"]\n"
)

// A lockfile decides about the names in the project files of its projects, and
// about no other.
func TestLockBesideProject(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"no lockfile": {map[string]string{"pyproject.toml": ranges, "setup.py": "setup(install_requires=[])"},
			[]string{"pytest==7.0 pyproject.toml:7", "? pyproject.toml:4 torch>=2", "? pyproject.toml:5 numpy", "? pyproject.toml:6 absent>1", "? pyproject.toml:9 optional-dependencies", "? setup.py:1 install_requires"}},
		"a lockfile": {map[string]string{"pyproject.toml": ranges, "uv.lock": uvLock, "packages/lib/pyproject.toml": "[project]\ndependencies = [\"numpy>1\"]\n", "packages/lib/setup.py": "install_requires", "other/pyproject.toml": "[project]\ndependencies = [\"numpy>1\"]\n"},
			[]string{"numpy==1.26.4 uv.lock:20", "pytest==7.0 pyproject.toml:7", "pytest==8.0 uv.lock:28 [dev]", "torch==2.1.0 uv.lock:16", "? other/pyproject.toml:2 numpy>1", "? pyproject.toml:6 absent>1",
				"! uv.lock:24 for other environments than CPython 3.11 on linux, x86_64, and not tested: pywin32"}},
		"a Pipfile": {map[string]string{"Pipfile": "[packages]\nsix = \"*\"\n[dev-packages]\ntox = \"==4.0\"\n", "Pipfile.lock": `{"_meta": {"pipfile-spec": 6}, "default": {"six": {"version": "==1.16.0"}}, "develop": {"tox": {"version": "==4.0"}}}`},
			[]string{"six==1.16.0 Pipfile.lock:1", "tox==4.0 Pipfile.lock:1 Pipfile:4 [develop]"}},
		"always and in a group": {map[string]string{"requirements.txt": "six==1.16.0\n", "poetry.lock": "[[package]]\nname=\"six\"\nversion=\"1.16.0\"\ngroups=[\"dev\"]\n[metadata]\nlock-version=\"2.1\"\n"},
			[]string{"six==1.16.0 requirements.txt:1 poetry.lock:1"}},
		"installed packages speak for themselves": {map[string]string{"venv/lib/site-packages/x/pyproject.toml": ranges, "venv/lib/site-packages/x/poetry.lock": "nonsense", "pylock.toml": "lock-version = '1.0'\n[[packages]]\nname = 'six'\nversion = '1.16.0'\n"},
			[]string{"six==1.16.0 pylock.toml:2"}},
		"a template": {map[string]string{"template/pyproject.toml": "[project]\nname = {{ name }}\n", "pdm.lock": "[metadata]\nlock_version = \"4.5.0\"\n[[package]]\nname = \"six\"\nversion = \"1.16.0\"\n"},
			[]string{"six==1.16.0 pdm.lock:3", "? template/pyproject.toml:0 template/pyproject.toml"}},
		"another index": {map[string]string{"requirements.txt": "--extra-index-url https://u:p@download.pytorch.org/whl/cpu\ntorch==2.1.0+cpu\nx==1; os_name == 'nt'\n"},
			[]string{"torch==2.1.0+cpu requirements.txt:2", "! requirements.txt:1 packages may come from https://****@download.pytorch.org/whl/cpu (--extra-index-url): they are matched by name against the advisories for PyPI",
				"! requirements.txt:3 for other environments than CPython 3.11 on linux, x86_64, and not tested: x"}},
	} {
		t.Run(name, func(t *testing.T) {
			inventory, err := scan.DirectoryInventory(context.Background(), files(c.files), requirement.Environment{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, say(inventory)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A lockfile that cannot be read is a fault, and never an empty list.
func TestUnreadableLock(t *testing.T) {
	for name, content := range map[string]string{"poetry.lock": "", "uv.lock": "version = 9\n", "Pipfile.lock": "{", "pdm.lock": "x", "pylock.dev.toml": "lock-version = '3'"} {
		_, err := scan.DirectoryInventory(context.Background(), files(map[string]string{"sub/" + name: content, "requirements.txt": "six==1\n"}), requirement.Environment{})
		if err == nil || !strings.HasPrefix(err.Error(), "sub/"+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One file is read as what its name says.
func TestFile(t *testing.T) {
	fsys := files(map[string]string{"uv.lock": uvLock, "pyproject.toml": ranges, "deps.in": "six==1.16.0\n", "bad/pyproject.toml": "["})
	for name, want := range map[string][]string{
		"uv.lock":        {"numpy==1.26.4 uv.lock:20", "pytest==8.0 uv.lock:28 [dev]", "torch==2.1.0 uv.lock:16"},
		"pyproject.toml": {"pytest==7.0 pyproject.toml:7", "? pyproject.toml:4 torch>=2", "? pyproject.toml:5 numpy", "? pyproject.toml:6 absent>1", "? pyproject.toml:9 optional-dependencies"},
		"deps.in":        {"six==1.16.0 deps.in:1"},
	} {
		inventory, err := scan.FileInventory(fsys, name, requirement.Environment{})
		got := slices.DeleteFunc(say(inventory), func(line string) bool { return line[0] == '!' })
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	for _, name := range []string{"bad/pyproject.toml", "gone.lock", "gone/poetry.lock"} {
		if _, err := scan.FileInventory(fsys, name, requirement.Environment{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	windows, err := requirement.EnvironmentOf("3.12", "windows/amd64")
	if err != nil {
		t.Fatal(err)
	}
	inventory, err := scan.FileInventory(fsys, "uv.lock", windows)
	if err != nil || len(inventory.Components) != 4 || len(inventory.Notes) != 0 {
		t.Errorf("on Windows: %v, %v", say(inventory), err)
	}
}

func TestReads(t *testing.T) {
	for name, want := range map[string]bool{"a/poetry.lock": true, "requirements/x.txt": true, "x.txt": false, "setup.py": true, "site-packages/x/setup.py": false, "environment.yml": true} {
		if scan.Reads(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
