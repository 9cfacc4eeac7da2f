package requirement_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// describe puts a result on lines, so that a test reads like the file.
func describe(r requirement.Result) []string {
	var lines []string
	for _, c := range r.Components {
		line := c.Name + "==" + c.Version
		for _, l := range c.Locations {
			line += fmt.Sprintf(" %s:%d", l.Path, l.Line)
		}
		for _, h := range c.Hashes {
			line += " " + h.Short()
		}
		lines = append(lines, line)
	}
	for _, u := range r.Unresolved {
		lines = append(lines, fmt.Sprintf("? %s %s:%d %s", u.Name, u.Location.Path, u.Location.Line, u.Reason))
	}
	for _, e := range r.Excluded {
		lines = append(lines, fmt.Sprintf("- %s:%d %s", e.Name, e.Location.Line, e.Marker))
	}
	for _, o := range r.Options {
		lines = append(lines, fmt.Sprintf("o %d %s", o.Location.Line, o.Text))
	}
	return lines
}

func read(t *testing.T, files map[string]string) (requirement.Result, error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return requirement.Read(fsys, "requirements.txt", requirement.DefaultEnvironment())
}

const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    []string
	}{
		"pins":               {"numpy==1.26.4\nPandas === 2.1.4 # why\n", []string{"numpy==1.26.4 requirements.txt:1", "pandas==2.1.4 requirements.txt:2"}},
		"names are one":      {"Ruamel_Yaml.clib==0.2\n", []string{"ruamel-yaml-clib==0.2 requirements.txt:1"}},
		"versions normalise": {"torch==1.13.0+CPU\nx==v1.0-1\n", []string{"torch==1.13.0+cpu requirements.txt:1", "x==1.0.post1 requirements.txt:2"}},
		"hash, continued":    {"six==1.16.0 \\\n    --hash=sha256:" + hash + " \\\n    --hash sha256:" + strings.ToUpper(hash) + "\n", []string{"six==1.16.0 requirements.txt:1 sha256:e3b0c44298fc"}},
		"range":              {"a>=2.0\nb~=1.24\nc==1.*\nd<2,>=1\ne\n", []string{"? a requirements.txt:1 a range names no single version; pin it with ==", "? b requirements.txt:2 a range names no single version; pin it with ==", "? c requirements.txt:3 a range names no single version; pin it with ==", "? d requirements.txt:4 a range names no single version; pin it with ==", "? e requirements.txt:5 no version is given"}},
		"extras":             {"celery[redis, pytest]==4.4.7\n", []string{"celery==4.4.7 requirements.txt:1", "? celery requirements.txt:1 what the extras [redis,pytest] bring along is not written here"}},
		"markers":            {"pywin32==306; sys_platform == \"win32\"\nuvloop==0.19.0 ; sys_platform != 'win32' and (python_version >= \"3.8\" or os_name == 'nt')\nx==1; python_version < '3.9'\ny==1;'linux' in sys_platform\nz==1; extra == 'dev'\n", []string{"uvloop==0.19.0 requirements.txt:2", "y==1 requirements.txt:4", "- pywin32:1 sys_platform == \"win32\"", "- x:3 python_version < '3.9'", "- z:5 extra == 'dev'"}},
		"3.10 is after 3.9":  {"x==1; python_version > '3.9'\n", []string{"x==1 requirements.txt:1"}},
		"bad marker":         {"x==1; nonsense == '1'\n", []string{`? x requirements.txt:1 its marker cannot be read: unknown variable "nonsense"`}},
		"URLs and paths":     {"git+https://user:secret@example.com/x.git@v1#egg=Some_Thing\nhttps://example.com/a.whl\nb @ https://example.com/b.tar.gz\n./local\n-e .\n-e git+https://example.com/y#egg=y\nc.tar.gz\n", []string{"? some-thing requirements.txt:1 a version control URL names no version that could be checked", "? requirements.txt:2 a URL names no version that could be checked", "? requirements.txt:4 a local path has no fixed version", "? requirements.txt:5 an editable install of a directory or repository has no fixed version", "? y requirements.txt:6 an editable install of a directory or repository has no fixed version", "? requirements.txt:7 a local file has no fixed version", "? b requirements.txt:3 a URL names no version that could be checked"}},
		"wheels at URLs": {"torch @ https://example.com/torch-2.0.1%2Bcu118-cp310-cp310-linux_x86_64.whl#sha256=" + hash + "\nb @ https://example.com/c-1-py3-none-any.whl ; os_name == 'posix'\nhttps://example.com/D_e-1.0-py3-none-any.whl?x=1\n./wheels/f-2-py3-none-any.whl\ng @ git+https://example.com/g-1-py3-none-any.whl\nh @\ni @ https://example.com/i-1-py3-none-any.whl ; os_name == 'nt'\n",
			[]string{"torch==2.0.1+cu118 requirements.txt:1 sha256:e3b0c44298fc", "d-e==1.0 requirements.txt:3", "f==2 requirements.txt:4",
				"? h requirements.txt:6 a URL is wanted after @", "? b requirements.txt:2 the wheel at its URL is one of c", "? g requirements.txt:5 a version control URL names no version that could be checked", "- i:7 os_name == 'nt'"}},
		"arbitrary equality": {"x===2004d --hash=sha256:" + hash + "\ny === 1.0\n", []string{"x==2004d requirements.txt:1 sha256:e3b0c44298fc", "y==1.0 requirements.txt:2"}},
		"option words": {"x==1 --config-settings=\"--build-option=--a b\" --hash='sha256:" + hash + "'\ny==1 -C k=v --global-option x\nz==1 --index-url https://example.com\nu==1 --no-such\nv==1 --hash\nw==1 --hash='x\n--index https://example.com/i --no-idx\n--extra https://e.example/\n",
			[]string{"x==1 requirements.txt:1 sha256:e3b0c44298fc", "y==1 requirements.txt:2", "z==1 requirements.txt:3",
				"? requirements.txt:4 pip has no option --no-such in a requirements file", "? requirements.txt:5 --hash has no value", "? requirements.txt:6 a quotation among its options is not closed",
				"? requirements.txt:7 pip has no option --no-idx in a requirements file", "o 8 --extra-index-url https://e.example/"}},
		"options on one line": {"--no-index -f https://u:p@w@example.com/x -e ./src\n-ihttps://${TOKEN}@example.com/simple\n-r ${FILE}\n-x\n", []string{"? requirements.txt:1 an editable install of a directory or repository has no fixed version", "? requirements.txt:3 an environment variable is not expanded here", "? requirements.txt:4 \"-x\" is no option that pip has in a requirements file", "o 1 --no-index", "o 1 --find-links https://****@example.com/x", "o 2 --index-url https://****@example.com/simple"}},
		"ends of lines":       {"# a\u2028w==1\nx==1\rY==2\r\n\r\n# \fz==3\nv==4", []string{"w==1 requirements.txt:1", "x==1 requirements.txt:2", "y==2 requirements.txt:3", "z==3 requirements.txt:5", "v==4 requirements.txt:6"}},
		"backslashes":         {"x==1 \\\\\n --hash=sha256:" + hash + "\ny==2\\", []string{"x==1 requirements.txt:1 sha256:e3b0c44298fc", "y==2 requirements.txt:3"}},
		"coding":              {"#!x\n# -*- coding: latin-1 -*-\nx==1 # \xe9\n", []string{"x==1 requirements.txt:3"}},
		"options":             {"--index-url https://user:pw@example.com/simple\n-i https://example.com\n--no-index\n", []string{"o 1 --index-url https://****@example.com/simple", "o 2 --index-url https://example.com", "o 3 --no-index"}},
		"variables":           {"x==${VERSION}\n", []string{"? requirements.txt:1 an environment variable is not expanded here"}},
		"nonsense":            {"==1.0\n!!!\na==1.0==2\n", []string{"? requirements.txt:1 this is no requirement that pip could read", "? requirements.txt:2 this is no requirement that pip could read", `? a requirements.txt:3 "==1.0==2": "1.0==2" is no version by PEP 440`}},
		"hash that is none":   {"x==1 --hash=sha256:12\n", []string{`? x requirements.txt:1 its hash cannot be read: digest "sha256:12": sha256 has 64 hex digits, found 2`}},
		"comments, CRLF":      {"# a\r\nx==1 # b\r\n\r\ny==2\r\n", []string{"x==1 requirements.txt:2", "y==2 requirements.txt:4"}},
		"comment ends a line": {"x==1 \\\n# nothing\ny==2\n", []string{"x==1 requirements.txt:1", "y==2 requirements.txt:3"}},
		"byte order mark":     {"\ufeffx==1\n", []string{"x==1 requirements.txt:1"}},
		"same pin twice":      {"x==1\nX==1.0\nx==2\n", []string{"x==1 requirements.txt:1", "x==1.0 requirements.txt:2", "x==2 requirements.txt:3"}},
		"no line break":       {"x==1", []string{"x==1 requirements.txt:1"}},
		"fragment in name":    {"x==1#2\n", []string{`? x requirements.txt:1 "==1#2": "1#2" is no version by PEP 440`}},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := read(t, map[string]string{"requirements.txt": c.content})
			if err != nil {
				t.Fatal(err)
			}
			got := describe(result)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], "?  ", "? ")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIncludes(t *testing.T) {
	result, err := read(t, map[string]string{
		"requirements.txt": "-r base/a.txt\n-c constraints.txt\n--requirement=base/a.txt\nflask\nurllib3>=1.25\nzope==5\n-r https://example.com/r.txt\n-r ../out.txt\n",
		"base/a.txt":       "-r b.txt\nx==1\n",
		"base/b.txt":       "-r a.txt\ny==2\n",
		"constraints.txt":  "flask==3.0.0\nurllib3==1.24\nzope<5\nunused==1\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"y==2 base/b.txt:2", "x==1 base/a.txt:2", "flask==3.0.0 requirements.txt:4 constraints.txt:1",
		"?  requirements.txt:7 a requirements file at a URL is not fetched",
		"?  requirements.txt:8 the included file is outside the scanned directory",
		"? urllib3 requirements.txt:5 it contradicts the constraint at constraints.txt:2",
		"? zope requirements.txt:6 it contradicts the constraint at constraints.txt:3",
	}
	if diff := cmp.Diff(want, describe(result)); diff != "" {
		t.Error(diff)
	}
	var sources []string
	for _, s := range result.Sources {
		sources = append(sources, s.Path)
	}
	if diff := cmp.Diff([]string{"requirements.txt", "base/a.txt", "base/b.txt", "constraints.txt"}, sources); diff != "" {
		t.Error(diff)
	}
}

func TestUTF16(t *testing.T) {
	for _, order := range []string{"little", "big"} {
		units := utf16.Encode([]rune("\ufeffx==1\n"))
		var content []byte
		for _, u := range units {
			if order == "little" {
				content = append(content, byte(u), byte(u>>8))
			} else {
				content = append(content, byte(u>>8), byte(u))
			}
		}
		result, err := read(t, map[string]string{"requirements.txt": string(content)})
		if err != nil || len(result.Components) != 1 || result.Components[0].Name != "x" {
			t.Errorf("%s endian: %+v, %v", order, result.Components, err)
		}
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"missing":         {map[string]string{}, "requirements.txt"},
		"missing include": {map[string]string{"requirements.txt": "x==1\n-r gone.txt\n"}, "requirements.txt:2: gone.txt: file does not exist"},
		"NUL":             {map[string]string{"requirements.txt": "x==1\n\x00"}, "requirements.txt:2: a NUL byte"},
		"not UTF-8":       {map[string]string{"requirements.txt": "\xff\n"}, "requirements.txt:1: not UTF-8"},
		"coding":          {map[string]string{"requirements.txt": "# vim: fileencoding=cp1251\nx==1\n"}, `requirements.txt:1: the encoding "cp1251" is not read`},
		"coding too late": {map[string]string{"requirements.txt": "\n\n# coding: latin-1\nx==1 # \xe9\n"}, "requirements.txt:4: not UTF-8"},
		"UTF-32":          {map[string]string{"requirements.txt": "\xff\xfe\x00\x00x\x00\x00\x00"}, "a NUL byte"},
		"odd UTF-16":      {map[string]string{"requirements.txt": "\xff\xfea"}, "odd number of bytes"},
		"a directory":     {map[string]string{"requirements.txt/x": ""}, "no regular file"},
		"too large":       {map[string]string{"requirements.txt": strings.Repeat("#", limit.Lockfile+1)}, "larger than the bound"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := read(t, c.files); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	files := map[string]string{}
	for i := range limit.RequirementIncludes + 1 {
		files[fmt.Sprintf("r%d.txt", i)] = fmt.Sprintf("-r r%d.txt\n", i+1)
	}
	files["requirements.txt"] = "-r r0.txt\n"
	if _, err := read(t, files); err == nil || !strings.Contains(err.Error(), "larger than the bound of 256 files") {
		t.Errorf("a long chain of includes: %v", err)
	}
}

// Files that are large on purpose end within their bounds, and in a time that
// grows with their size.
func TestHostile(t *testing.T) {
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format+"\n", i)
		}
		return b.String()
	}
	result, err := read(t, map[string]string{"requirements.txt": strings.Repeat("x==1\n", 100_000)})
	if err != nil || len(result.Components) != 1 || len(result.Components[0].Locations) != 100_000 {
		t.Errorf("one pin many times: %d, %v", len(result.Components), err)
	}
	var most *limit.Error
	for _, files := range []map[string]string{
		{"requirements.txt": strings.Repeat("x==1\n", limit.Requirements+1)},
		{"requirements.txt": strings.Repeat("x\n", limit.Requirements/2) + "-r more.txt\n", "more.txt": strings.Repeat("-e .\n", limit.Requirements/2)},
		{"requirements.txt": "-c more.txt\n", "more.txt": strings.Repeat("x<2; os_name == 'nt'\n", limit.Requirements)},
	} {
		if _, err := read(t, files); !errors.As(err, &most) || most.Bound != limit.Requirements {
			t.Errorf("too many lines: %v", err)
		}
	}
	result, err = read(t, map[string]string{"requirements.txt": "x==1" + strings.Repeat(" --hash=sha256:"+hash, 50_000)})
	if err != nil || len(result.Components) != 1 || len(result.Components[0].Hashes) != 1 {
		t.Errorf("one hash many times: %v", err)
	}
	var over *limit.Error
	_, err = read(t, map[string]string{"requirements.txt": "-c c.txt\n" + strings.Repeat("x\n", 1001), "c.txt": many("x<%d", limit.ConstraintChecks/1000)})
	if !errors.As(err, &over) || over.Bound != limit.ConstraintChecks {
		t.Errorf("many constraints: %v", err)
	}
	if _, err = read(t, map[string]string{"requirements.txt": "-c c.txt\n" + strings.Repeat("x\n", 999), "c.txt": many("x<%d", limit.ConstraintChecks/1000)}); err != nil {
		t.Errorf("as many constraints as may be: %v", err)
	}
	marker := "os_name == 'posix'" + strings.Repeat(" and os_name == 'posix'", limit.Marker/23)
	if _, err := requirement.Holds(marker, requirement.DefaultEnvironment()); !errors.As(err, &over) || over.Bound != limit.Marker {
		t.Errorf("a long marker: %.100v", err)
	}
	if holds, err := requirement.Holds(marker[:limit.Marker/2/23*23-5], requirement.DefaultEnvironment()); err != nil || !holds {
		t.Errorf("half of it: %v, %.100v", holds, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("numpy==1.26.4 ; python_version >= '3.8' --hash=sha256:" + hash)
	f.Add("-r requirements.txt\n-c requirements.txt\nx>=1")
	f.Add("a[b]==1 \\\n#\n(x)")
	f.Add("x @ https://e/x ; os_name == 'nt'")
	f.Fuzz(func(t *testing.T, content string) {
		result, err := requirement.Read(fstest.MapFS{"r": {Data: []byte(content)}}, "r", requirement.DefaultEnvironment())
		if err != nil {
			return
		}
		for _, c := range result.Components {
			if c.Name == "" || c.Version == "" || strings.ContainsAny(c.Version, "<>*~ ") || len(c.Locations) == 0 {
				t.Errorf("component %+v of %q", c, content)
			}
		}
	})
}

func TestResolve(t *testing.T) {
	at := func(line int) component.Location { return component.Location{Path: "env/environment.yml", Line: line} }
	fsys := fstest.MapFS{"env/more.txt": {Data: []byte("six==1.16.0\n")}}
	lines := []requirement.Line{
		{Text: "torch==2.1.0", Location: at(3)}, {Text: " numpy>=1 ", Location: at(4)}, {Text: "-r more.txt", Location: at(5)},
		{Text: "pywin32==1; sys_platform=='win32'", Location: at(6)}, {Text: "", Location: at(7)},
	}
	result, err := requirement.Resolve(fsys, lines, requirement.DefaultEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range result.Components {
		got = append(got, fmt.Sprintf("%s %s %s:%d", c.Name, c.Version, c.Locations[0].Path, c.Locations[0].Line))
	}
	if diff := cmp.Diff([]string{"torch 2.1.0 env/environment.yml:3", "six 1.16.0 env/more.txt:1"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(result.Unresolved) != 1 || result.Unresolved[0].Name != "numpy" || result.Unresolved[0].Location.Line != 4 || len(result.Excluded) != 1 {
		t.Errorf("unresolved %+v, excluded %+v", result.Unresolved, result.Excluded)
	}
	if _, err := requirement.Resolve(fsys, []requirement.Line{{Text: "-r gone.txt", Location: at(9)}}, requirement.DefaultEnvironment()); err == nil || !strings.Contains(err.Error(), "env/environment.yml:9") {
		t.Errorf("an included file that is not there: %v", err)
	}
	result, err = requirement.Resolve(nil, []requirement.Line{{Text: "-r more.txt", Location: at(5)}}, requirement.DefaultEnvironment())
	if err != nil || len(result.Unresolved) != 1 {
		t.Errorf("without files: %+v, %v", result, err)
	}
}

// An option of the same line must not hide what the line includes.
func TestIncludeBesideOptions(t *testing.T) {
	result, err := read(t, map[string]string{"requirements.txt": "--no-index --requirement 'my file.txt'\n", "my file.txt": "x==1\n"})
	if err != nil || len(result.Components) != 1 || len(result.Options) != 1 {
		t.Errorf("%v, %v", describe(result), err)
	}
}

func TestIndex(t *testing.T) {
	for content, want := range map[string]string{
		"-i https://pypi.org/simple/\n":                              "",
		"--index-url https://files.pythonhosted.org/x\n":             "",
		"--extra-index-url https://download.pytorch.org/whl/cu118\n": "https://download.pytorch.org/whl/cu118",
		"--index-url https://pypi.org.example.com/simple\n":          "https://pypi.org.example.com/simple",
		"-f ./wheels\n":              "./wheels",
		"--trusted-host a.example\n": "",
	} {
		result, err := read(t, map[string]string{"requirements.txt": content})
		if err != nil || len(result.Options) != 1 || result.Options[0].Index() != want {
			t.Errorf("%q: %+v, %v", content, result.Options, err)
		}
	}
}

func TestMarker(t *testing.T) {
	scope := requirement.Scope{Environment: requirement.DefaultEnvironment(), Extras: []string{"gpu", "a-b"}, Groups: []string{"dev"}}
	for text, want := range map[string]bool{
		"": true, "extra == 'gpu'": true, "'A_b' == extra": true, "extra != 'gpu'": false, "extra == 'x'": false, "extra == ''": false,
		"'gpu' in extras": true, "'x' in extras": false, "'dev' not in dependency_groups": false,
		"'dev' in dependency_groups and python_version >= '3.9'": true, "'x' in dependency_groups or os_name == 'nt'": false,
	} {
		m, err := requirement.ParseMarker(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := m.Holds(&scope); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"extras == 'x'", "extras in 'x'", "extra < 'x'", "extra == extra", "'x' == dependency_groups"} {
		m, err := requirement.ParseMarker(text)
		if err == nil {
			_, err = m.Holds(&scope)
		}
		if err == nil {
			t.Errorf("%s is no error", text)
		}
	}
	if _, err := requirement.Holds("'x' in extras", requirement.DefaultEnvironment()); err == nil {
		t.Error("a requirements file has no variable extras")
	}
	m, err := requirement.ParseMarker("('Dev_x' in dependency_groups or 'gpu' in extras) and extra != 'Y' and os_name == 'nt'")
	if err != nil {
		t.Fatal(err)
	}
	if extras, groups := m.Names(); !cmp.Equal(extras, []string{"gpu", "y"}) || !cmp.Equal(groups, []string{"dev-x"}) {
		t.Errorf("names are %q, %q", extras, groups)
	}
}

func TestEnvironmentOf(t *testing.T) {
	for arguments, want := range map[[2]string]string{
		{"", ""}:                      "CPython 3.11 on linux, x86_64",
		{"3.12", "linux/arm64"}:       "CPython 3.12 on linux, aarch64",
		{"3.13.1", "windows/amd64"}:   "CPython 3.13 on win32, AMD64",
		{"3.14.0rc1", "darwin/arm64"}: "CPython 3.14 on darwin, arm64",
		{"3.9", "linux/arm/v6"}:       "CPython 3.9 on linux, armv6l",
	} {
		e, err := requirement.EnvironmentOf(arguments[0], arguments[1])
		if err != nil || e.String() != want {
			t.Errorf("%q: %s, %v", arguments, e, err)
		}
	}
	e, err := requirement.EnvironmentOf("3.12", "")
	if err != nil || e.PythonFullVersion != "3.12.0" {
		t.Errorf("%+v, %v", e, err)
	}
	for _, arguments := range [][2]string{{"3", ""}, {"3.12-dev", ""}, {"x", ""}, {"", "linux"}, {"", "plan9/amd64"}, {"", "linux/"}} {
		if e, err := requirement.EnvironmentOf(arguments[0], arguments[1]); err == nil {
			t.Errorf("%q: %s, want an error", arguments, e)
		}
	}
}

func TestHolds(t *testing.T) {
	for text, want := range map[string]bool{"sys_platform == 'linux'": true, "python_version < '3'": false, " os_name=='posix' and extra != 'x'": true} {
		if got, err := requirement.Holds(text, requirement.DefaultEnvironment()); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "sys_platform", "os == 'x'", "'a' == 'a'", "python_version ~= 'x'"} {
		if got, err := requirement.Holds(text, requirement.DefaultEnvironment()); err == nil {
			t.Errorf("%s holds is %v, want an error", text, got)
		}
	}
}
