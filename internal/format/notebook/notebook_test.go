package notebook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/notebook"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

func describe(r requirement.Result) []string {
	lines := []string{}
	for _, c := range r.Components {
		for _, l := range c.Locations {
			lines = append(lines, fmt.Sprintf("%s %s:%d", c.PURL, l.Path, l.Line))
		}
	}
	for _, u := range r.Unresolved {
		lines = append(lines, fmt.Sprintf("? %d %s: %s", u.Location.Line, u.Text, u.Reason))
	}
	for _, o := range r.Options {
		lines = append(lines, fmt.Sprintf("o %d %s", o.Location.Line, o.Text))
	}
	return lines
}

func read(t *testing.T, content string, others map[string]string) (requirement.Result, error) {
	t.Helper()
	fsys := fstest.MapFS{"nb/train.ipynb": {Data: []byte(content)}}
	for name, text := range others {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return notebook.Read(fsys, "nb/train.ipynb", requirement.DefaultEnvironment())
}

// cell is a notebook with one code cell, its source on line 1.
func cell(t *testing.T, source string) string {
	t.Helper()
	content, err := json.Marshal(map[string]any{"nbformat": 4, "cells": []any{map[string]any{"cell_type": "code", "source": source}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestLines(t *testing.T) {
	const (
		six   = "pkg:pypi/six@1.16.0 nb/train.ipynb:1"
		numpy = "pkg:conda/numpy@1.26.4 nb/train.ipynb:1"
		open  = "? 1 six: no version is given"
	)
	for source, want := range map[string][]string{
		"%pip install six==1.16.0":                                        {six},
		"!pip install six==1.16.0":                                        {six},
		"    !pip3 install -q six==1.16.0":                                {six},
		"!!pip install six==1.16.0":                                       {six},
		"! pip install six==1.16.0 # why":                                 {six},
		"!pip3.11 --quiet install -qU 'six==1.16.0'":                      {six},
		"pip install six==1.16.0":                                         {six},
		"!{sys.executable} -m pip install six==1.16.0":                    {six},
		"!python3 -m pip install \"six==1.16.0\"":                         {six},
		"!/opt/venv/bin/pip install six==1.16.0":                          {six},
		"!uv pip install --system six==1.16.0":                            {six},
		"%uv pip install six==1.16.0":                                     {six},
		"out = !pip install six==1.16.0":                                  {six},
		"%sx pip install six==1.16.0":                                     {six},
		"%time !pip install six==1.16.0":                                  {six},
		"%%capture out\n!pip install six==1.16.0":                         {six},
		"\n%%bash\nset -e\npip install six==1.16.0 >/dev/null 2>&1 && ls": {six},
		"%%sh\nFOO=1 sudo -H pip install six==1.16.0":                     {six},
		"!cd x && pip install six==1.16.0; echo pip install no==1":        {six},
		"%pip install \\\n  -U \\\n  six==1.16.0":                         {six},
		"%pip install --upgrade-strategy eager -t dir six==1.16.0":        {six},
		"%pip install six>=1.0":                                           {open}, // the shell takes >=1.0 for a file
		"%pip install 'six>=1.0'":                                         {"? 1 six>=1.0: a range names no single version; pin it with =="},
		"%pip install six==1.*":                                           {"? 1 six==1.*: a range names no single version; pin it with =="},
		"%pip install six==$VERSION":                                      {"? 1 six==$VERSION: a variable is not expanded here"},
		"%pip install {package}":                                          {"? 1 {package}: a variable is not expanded here"},
		"%pip install git+https://example.com/x":                          {"? 1 git+https://example.com/x: a version control URL names no version that could be checked"},
		"%pip install -e .":                                               {"? 1 -e .: an editable install of a directory or repository has no fixed version"},
		"%pip install -i https://u:p@example.com/simple six==1.16.0":      {six, "o 1 --index-url https://****@example.com/simple"},
		"%pip install --extra-index-url=https://example.com six==1.16.0":  {six, "o 1 --extra-index-url https://example.com"},
		"%pip install -r ../req.txt":                                      {"pkg:pypi/flask@3.0.0 req.txt:1"},
		"%pip install -qr../req.txt":                                      {"pkg:pypi/flask@3.0.0 req.txt:1"},
		"%pip install -c ../req.txt flask":                                {"pkg:pypi/flask@3.0.0 nb/train.ipynb:1", "pkg:pypi/flask@3.0.0 req.txt:1"},
		"%pip install -r gone.txt":                                        {"? 1 -r gone.txt: the included file is not there"},
		"%pip install -r ../../../etc/passwd":                             {"? 1 -r ../../../etc/passwd: the included file is outside the scanned directory"},
		"!pip install \"six==1.16.0":                                      {`? 1 pip install "six==1.16.0: this command cannot be read: a quotation is not closed`},
		"%conda install -y -c conda-forge numpy=1.26.4":                   {numpy},
		"!mamba create -n x numpy==1.26.4":                                {numpy},
		"!conda install numpy=1.26":                                       {"? 1 numpy=1.26: a range names no single version; pin it with =="},
		"!conda install --file x.txt numpy==1.26.4":                       {numpy, "? 1 --file x.txt: a file of specifications is not followed"},
		"!conda run -n x pip install six==1.16.0":                         {"? 1 conda run -n x pip install six==1.16.0: what this command installs is not known"},
		"os.system('pip install six==1.16.0')":                            {"? 1 os.system('pip install six==1.16.0'): Python code runs pip here, and what it installs is not known"},
		`subprocess.run([sys.executable, "-m", "pip", "install", "six"])`: {`? 1 subprocess.run([sys.executable, "-m", "pip", "install", "six"]): Python code runs pip here, and what it installs is not known`},
		// nothing is installed
		"# !pip install six==1.16.0":            {},
		"import pip\nprint('install')":          {},
		"!pip list; pip uninstall -y six":       {},
		"%%html\n!pip install six==1.16.0":      {},
		"%%writefile r.txt\npip install six==1": {},
		"!echo pip install six==1.16.0":         {},
		"%matplotlib inline":                    {},
		"":                                      {},
	} {
		result, err := read(t, cell(t, source), map[string]string{"req.txt": "flask==3.0.0\n"})
		if err != nil {
			t.Errorf("%q: %v", source, err)
			continue
		}
		if diff := cmp.Diff(want, describe(result)); diff != "" {
			t.Errorf("%q:\n%s", source, diff)
		}
	}
}

const formatFour = `{
 "cells": [
  {
   "cell_type": "markdown",
   "source": ["%pip install no==1\n"]
  },
  {
   "outputs": [{"text": ["%pip install no==2\n"]}],
   "source": [
    "import os\n",
    "%pip install \\\n",
    "  six==1.16.0 \\\n",
    "  flask==3.0.0\n",
    "!pip install ",
    "tqdm==4.66.1\n",
    "!pip install -r req.txt"
   ],
   "cell_type": "code"
  },
  {"cell_type": "code", "source": "a = 1\n%pip install torch==1.13.0+cpu\n"}
 ],
 "metadata": {"cells": [{"cell_type": "code", "source": "%pip install no==3"}]},
 "nbformat": 4
}
`

func TestPlaces(t *testing.T) {
	result, err := read(t, formatFour, map[string]string{"nb/req.txt": "numpy==1.26.4\n"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"pkg:pypi/six@1.16.0 nb/train.ipynb:11", "pkg:pypi/flask@3.0.0 nb/train.ipynb:11", "pkg:pypi/tqdm@4.66.1 nb/train.ipynb:14", "pkg:pypi/numpy@1.26.4 nb/req.txt:1",
		"pkg:pypi/torch@1.13.0%2Bcpu nb/train.ipynb:20"}
	got := describe(result)
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Error(diff)
	}
	if len(result.Sources) != 2 || result.Sources[0].Path != "nb/train.ipynb" {
		t.Errorf("sources are %+v", result.Sources)
	}
}

func sorted(lines []string) map[string]bool {
	set := map[string]bool{}
	for _, line := range lines {
		set[line] = true
	}
	return set
}

func TestFormatThree(t *testing.T) {
	result, err := read(t, "{\"nbformat\": 3, \"worksheets\": [{\"cells\": [\n{\"cell_type\": \"code\", \"input\": [\n\"!pip install six==1.16.0\"], \"language\": \"python\"}]}]}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"pkg:pypi/six@1.16.0 nb/train.ipynb:3"}, describe(result)); diff != "" {
		t.Error(diff)
	}
}

// TestNoNotebook: what cannot be read is said, and what was read before it
// stays.
func TestNoNotebook(t *testing.T) {
	for _, content := range []string{"", "[]", "version https://git-lfs.github.com/spec/v1\n", `{"cells": [`, "{}", `{"cells": []} x`, `{"cells": [{"cell_type": 1}]}`, `{"cells": [{"cell_type": "code", "source": 7}]}`} {
		result, err := read(t, content, nil)
		if err != nil || len(result.Unresolved) != 1 || !strings.HasPrefix(result.Unresolved[0].Reason, "this is no notebook that can be read: ") || len(result.Sources) != 1 {
			t.Errorf("%q: %+v, %v", content, result, err)
		}
	}
	result, err := read(t, `{"cells": [{"cell_type": "code", "source": "%pip install six==1.16.0"}, {"cell_type": "code", "source": {}}]}`, nil)
	if err != nil || len(result.Unresolved) != 1 || len(result.Components) != 1 {
		t.Errorf("half a notebook: %+v, %v", result, err)
	}
	result, err = read(t, `{"cells": []}`, nil)
	if err != nil || len(result.Unresolved)+len(result.Sources) != 0 {
		t.Errorf("an empty notebook: %+v, %v", result, err)
	}
}

func TestBounds(t *testing.T) {
	var over *limit.Error
	if _, err := read(t, "{"+strings.Repeat(" ", limit.Notebook), nil); !errors.As(err, &over) {
		t.Errorf("over the bound of bytes: %v", err)
	}
	at := cell(t, "%pip install"+strings.Repeat(" x", limit.NotebookLines))
	if result, err := read(t, at, nil); err != nil || len(result.Unresolved) != limit.NotebookLines {
		t.Errorf("at the bound of requirements: %d, %v", len(result.Unresolved), err)
	}
	if _, err := read(t, cell(t, "%pip install"+strings.Repeat(" $x", limit.NotebookLines+1)), nil); !errors.As(err, &over) {
		t.Errorf("over the bound of requirements: %v", err)
	}
	if result, err := read(t, `{"cells": `+strings.Repeat("[", 100_000), nil); err != nil || len(result.Unresolved) != 1 {
		t.Errorf("deeply nested: %v", err)
	}
}

// FuzzRead: nothing panics, and every place is a line of the file.
func FuzzRead(f *testing.F) {
	f.Add(formatFour)
	f.Add(`{"worksheets": [{"cells": [{"cell_type": "code", "input": "%%bash\npip install 'a==1' > x && conda install b=1.2.3"}]}]}`)
	f.Add(`{"cells": [{"cell_type": "code", "source": ["a = !pip install -r x -c y -e . \\", "\n z"]}]}`)
	f.Fuzz(func(t *testing.T, content string) {
		result, err := read(t, content, nil)
		if err != nil {
			return
		}
		lines := strings.Count(content, "\n") + 1
		for _, c := range result.Components {
			if c.Version == "" || c.Locations[0].Line < 1 || c.Locations[0].Line > lines {
				t.Errorf("%+v", c)
			}
		}
		for _, u := range result.Unresolved {
			if u.Reason == "" || u.Location.Line > lines {
				t.Errorf("%+v", u)
			}
		}
	})
}
