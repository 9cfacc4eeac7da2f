package scan_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/job/scan"
)

// A symbolic link hides nothing: what it leads to is read under its name, or
// said not to be.
func TestLinks(t *testing.T) {
	const torch = "Name: torch\nVersion: 1.13.0\n"
	for name, c := range map[string]struct {
		files, links map[string]string
		want         []string
	}{
		"to a file of another name": {map[string]string{"deps/prod.pins": "torch==1.13.0\n"}, map[string]string{"requirements.txt": "deps/prod.pins"}, []string{"torch==1.13.0 requirements.txt:1"}},
		"a lockfile":                {map[string]string{"deps/lock": "[[package]]\nname=\"torch\"\nversion=\"1.13.0\"\n[metadata]\nlock-version=\"2.1\"\n"}, map[string]string{"poetry.lock": "deps/lock"}, []string{"torch==1.13.0 poetry.lock:1"}},
		"out of it":                 {nil, map[string]string{"requirements.txt": "../outside/requirements.txt"}, []string{"? requirements.txt:0 requirements.txt"}},
		"nowhere":                   {nil, map[string]string{"requirements.txt": "nothing", "other": "nothing"}, []string{"? requirements.txt:0 requirements.txt"}},
		"round and round":           {nil, map[string]string{"requirements.txt": "requirements.txt"}, []string{"? requirements.txt:0 requirements.txt"}},
		"installed, out of it":      {nil, map[string]string{"lib/torch-1.13.0.dist-info": "../../outside/torch"}, []string{"? lib/torch-1.13.0.dist-info:0 lib/torch-1.13.0.dist-info"}},
		"installed metadata, out of it": {map[string]string{"lib/torch-1.13.0.dist-info/RECORD": ""}, map[string]string{"lib/torch-1.13.0.dist-info/METADATA": "../../../outside/torch/METADATA"},
			[]string{"? lib/torch-1.13.0.dist-info/METADATA:0 lib/torch-1.13.0.dist-info/METADATA"}},
		"installed":                {map[string]string{"store/1/METADATA": torch}, map[string]string{"lib/torch-1.13.0.dist-info": "../store/1"}, []string{"torch==1.13.0 lib/torch-1.13.0.dist-info/METADATA:0"}},
		"a directory of files":     {map[string]string{"pins/prod.txt": "torch==1.13.0\n"}, map[string]string{"requirements": "pins"}, []string{"torch==1.13.0 requirements/prod.txt:1"}},
		"a directory, once":        {map[string]string{"lib/torch-1.13.0.dist-info/METADATA": torch}, map[string]string{"lib64": "lib"}, []string{"torch==1.13.0 lib/torch-1.13.0.dist-info/METADATA:0"}},
		"site-packages, out of it": {nil, map[string]string{"venv/site-packages": "../../outside"}, []string{"? venv/site-packages:0 venv/site-packages"}},
		"another, out of it":       {nil, map[string]string{"libs": "../outside", "more": "/", "bin/python": "/"}, []string{"! libs:0 2 symbolic links lead out of what is scanned, and what lies there was not tested"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put := func(path string) string {
				path = filepath.Join(dir, "in", path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				return path
			}
			if err := os.MkdirAll(filepath.Join(dir, "outside", "torch"), 0o755); err != nil {
				t.Fatal(err)
			}
			for path, content := range c.files {
				if err := os.WriteFile(put(path), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for path, to := range c.links {
				if err := os.Symlink(to, put(path)); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.want, say(list(t, filepath.Join(dir, "in")))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A pipe of a telling name is neither opened nor passed over.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "requirements.txt"), 0o644); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"? requirements.txt:0 requirements.txt"}, say(list(t, dir))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func list(t *testing.T, dir string) component.Inventory {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	inventory, err := scan.DirectoryInventory(context.Background(), root.FS(), requirement.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	return inventory
}

// Nobody's report is filled by one line.
func TestLongText(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	for name, content := range map[string]string{"requirements.txt": "torch==1.13.0 " + long + "\n--extra-index-url https://example.com/" + long + "\n", "pyproject.toml": "[project]\ndependencies = [\"" + long + "\"]\n",
		"Pipfile.lock": `{"_meta": {"pipfile-spec": 6}, "default": {"six": {"version": "==` + long + `"}}}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		inventory := list(t, dir)
		if len(inventory.Unresolved) != 1 {
			t.Errorf("%s: %d records", name, len(inventory.Unresolved))
		}
		for _, u := range inventory.Unresolved {
			if len(u.Text) > limit.RecordText+3 || len(u.Reason) > limit.RecordText+3 || !utf8.ValidString(u.Text) {
				t.Errorf("%s: %d bytes of text, %d of reason", name, len(u.Text), len(u.Reason))
			}
		}
		for _, n := range inventory.Notes {
			if len(n.Text) > limit.RecordText+3 {
				t.Errorf("%s: a note of %d bytes", name, len(n.Text))
			}
		}
	}
}
