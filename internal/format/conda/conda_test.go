package conda_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/conda"
	"github.com/seed-161fc314/assay/internal/format/lockfile/lockfiletest"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

func describe(components []component.Component, unresolved []component.Unresolved, excluded []requirement.Excluded) []string {
	lines := []string{}
	for _, c := range components {
		line := fmt.Sprintf("%s %s %s %s", c.Ecosystem, c.Name, c.Version, c.PURL)
		for _, l := range c.Locations {
			line += fmt.Sprintf(" %s:%d", l.Path, l.Line)
		}
		lines = append(lines, line)
	}
	for _, u := range unresolved {
		lines = append(lines, fmt.Sprintf("? %s:%d [%s] %s: %s", u.Location.Path, u.Location.Line, u.Name, u.Text, u.Reason))
	}
	for _, e := range excluded {
		lines = append(lines, fmt.Sprintf("- %d %s (%s)", e.Location.Line, e.Text, e.Marker))
	}
	return lines
}

func environment(t *testing.T, content string, others map[string]string) (requirement.Result, error) {
	t.Helper()
	fsys := fstest.MapFS{"env/environment.yml": {Data: []byte(content)}}
	for name, text := range others {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return conda.ReadEnvironment(fsys, "env/environment.yml", requirement.DefaultEnvironment())
}

func TestSpecifications(t *testing.T) {
	const (
		isRange = "a range names no single version; pin it with =="
		none    = "no version is given"
		broken  = "this is no specification that conda could read"
	)
	for spec, want := range map[string]string{
		// exact
		"numpy==1.26.4":                           "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4",
		"numpy == 1.26.4":                         "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4",
		"numpy 1.26.4":                            "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4",
		"numpy 1.26":                              "PyPI numpy 1.26 pkg:conda/numpy@1.26",
		"numpy=1.26.4":                            "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4",
		"numpy=1.26=py311h64a7726_0":              "PyPI numpy 1.26 pkg:conda/numpy@1.26?build=py311h64a7726_0",
		"numpy 1.26.4 py311h64a7726_0":            "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4?build=py311h64a7726_0",
		"numpy==1.26.4=py311*":                    "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4",
		"conda-forge::numpy=1.26.4":               "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4?channel=conda-forge",
		"conda-forge/linux-64::numpy==1.26.4":     "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4?channel=conda-forge&subdir=linux-64",
		"https://u:p@example.com/t/x/c::numpy==1": "PyPI numpy 1 pkg:conda/numpy@1?channel=c",
		"numpy[version='1.26.4', build=py311_0]":  "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4?build=py311_0",
		`numpy=1.2[version="==1.26",channel=main,subdir=linux-64]`:                     "PyPI numpy 1.26 pkg:conda/numpy@1.26?channel=main&subdir=linux-64",
		"https://conda.anaconda.org/conda-forge/noarch/tqdm-4.66.1-pyhd8ed1ab_0.conda": "PyPI tqdm 4.66.1 pkg:conda/tqdm@4.66.1?build=pyhd8ed1ab_0&channel=conda-forge&subdir=noarch&type=conda",
		"https://conda.anaconda.org/conda-forge/linux-64/zlib-ng-2.1-h1_0.tar.bz2":     "conda zlib-ng 2.1 pkg:conda/zlib-ng@2.1?build=h1_0&channel=conda-forge&subdir=linux-64&type=tar.bz2",
		"pytorch=1.13.0":                "PyPI torch 1.13.0 pkg:conda/pytorch@1.13.0",
		"ruamel.yaml=0.17.21":           "PyPI ruamel-yaml 0.17.21 pkg:conda/ruamel.yaml@0.17.21",
		"Pillow=9.0.0":                  "PyPI pillow 9.0.0 pkg:conda/pillow@9.0.0",
		"python=3.11.4":                 "conda python 3.11.4 pkg:conda/python@3.11.4",
		"openssl=3.0.8=h0b41bf4_0":      "conda openssl 3.0.8 pkg:conda/openssl@3.0.8?build=h0b41bf4_0",
		"somelib=1.2.3=h0b41bf4_0":      "conda somelib 1.2.3 pkg:conda/somelib@1.2.3?build=h0b41bf4_0",
		"libfoo==1.2":                   "conda libfoo 1.2 pkg:conda/libfoo@1.2",
		"librosa==0.10.1":               "PyPI librosa 0.10.1 pkg:conda/librosa@0.10.1",
		"_libgcc_mutex=0.1=conda_forge": "conda _libgcc_mutex 0.1 pkg:conda/_libgcc_mutex@0.1?build=conda_forge",
		"numpy=1.26.4 # [linux]":        "PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4",
		// no version
		"numpy=1.26":                  "? [numpy] " + isRange,
		"numpy=1.26.*":                "? [numpy] " + isRange,
		"numpy==1.26.*":               "? [numpy] " + isRange,
		"numpy>=1.26":                 "? [numpy] " + isRange,
		"numpy >=1.26,<2":             "? [numpy] " + isRange,
		"numpy~=1.26.4":               "? [numpy] " + isRange,
		"numpy!=1.26.4":               "? [numpy] " + isRange,
		"numpy=1.26.4|1.26.5":         "? [numpy] " + isRange,
		"numpy[version='>=1.26.4']":   "? [numpy] " + isRange,
		"pytorch":                     "? [torch] " + none,
		"numpy=*":                     "? [numpy] " + none,
		"numpy * py311*":              "? [numpy] " + none,
		"numpy[version='1.2'":         "? [] a bracket is not closed",
		"numpy[what]":                 `? [] "what" in brackets is no key=value`,
		"==1.0":                       "? [] " + broken,
		"nümpy==1":                    "? [] " + broken,
		"numpy==1.0/../x":             `? [numpy] "1.0/../x" is no version of a conda package`,
		"https://example.com/x.conda": `? [] "x.conda" is no file name of a conda package (name-version-build.conda)`,
	} {
		result, err := environment(t, fmt.Sprintf("dependencies:\n  - %q\n", spec), nil)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		var got []string
		for _, c := range result.Components {
			got = append(got, fmt.Sprintf("%s %s %s %s", c.Ecosystem, c.Name, c.Version, c.PURL))
		}
		for _, u := range result.Unresolved {
			got = append(got, fmt.Sprintf("? [%s] %s", u.Name, u.Reason))
		}
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("%s:\n%s", spec, diff)
		}
	}
}

func TestReadEnvironment(t *testing.T) {
	result, err := environment(t, `# made by hand
name: train
channels: [conda-forge, defaults]
dependencies:
  - python=3.11
  - conda-forge::numpy=1.26.4   # [linux]
  - pip
  - https://conda.anaconda.org/t/secret/forge/osx-64/x-1-py311_0.conda
  - sel(win): pywin32=306.0.0
  - sel(linux): tqdm=4.66.1
  - sel(mars): rover=1.0.0
  - 17
  - other: [x]
  - pip:
      - -r ../requirements.txt
      - torch==1.13.0+cpu  # local
      - pywin32==306; sys_platform == "win32"
      - requests>=2
      - {}
`, map[string]string{"requirements.txt": "flask==3.0.0\n"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4?channel=conda-forge env/environment.yml:6",
		"PyPI tqdm 4.66.1 pkg:conda/tqdm@4.66.1 env/environment.yml:10",
		"PyPI flask 3.0.0 pkg:pypi/flask@3.0.0 requirements.txt:1",
		"PyPI torch 1.13.0+cpu pkg:pypi/torch@1.13.0%2Bcpu env/environment.yml:16",
		"? env/environment.yml:5 [python] python=3.11: a range names no single version; pin it with ==",
		"? env/environment.yml:7 [pip] pip: no version is given",
		"? env/environment.yml:11 [] sel(mars): this selector is not known",
		"? env/environment.yml:12 [] 17: this is no specification that conda could read",
		"? env/environment.yml:13 [] other: this is no list of pip requirements, and nothing else is known to stand here",
		"? env/environment.yml:19 [] map[]: this is no requirement that pip could read",
		"? env/environment.yml:18 [requests] requests>=2: a range names no single version; pin it with ==",
		"- 8 https://conda.anaconda.org/t/****/forge/osx-64/x-1-py311_0.conda (osx-64)",
		"- 9 pywin32=306.0.0 (sel(win))",
		"- 17 pywin32==306; sys_platform == \"win32\" (sys_platform == \"win32\")",
	}
	if diff := cmp.Diff(want, describe(result.Components, result.Unresolved, result.Excluded)); diff != "" {
		t.Error(diff)
	}
	if len(result.Sources) != 2 || result.Sources[0].Path != "env/environment.yml" || len(result.Required) != 1 {
		t.Errorf("sources %+v, required %v", result.Sources, result.Required)
	}
}

// TestExport: only an export has a prefix, and its "=" are exact.
func TestExport(t *testing.T) {
	const body = "dependencies:\n- pip=23.3\n"
	result, err := environment(t, body+"prefix: /opt/conda/envs/x\n", nil)
	if err != nil || len(result.Components) != 1 || result.Components[0].Version != "23.3" {
		t.Errorf("with a prefix: %+v, %v", result, err)
	}
	result, err = environment(t, body, nil)
	if err != nil || len(result.Components) != 0 || len(result.Unresolved) != 1 {
		t.Errorf("without: %+v, %v", result, err)
	}
}

func TestBadEnvironments(t *testing.T) {
	for content, want := range map[string]string{
		"":                                       "the file is empty",
		"- a\n- b\n":                             "it is not a mapping",
		"spec: {}\n":                             "it has no list of dependencies",
		"dependencies: numpy==1.0\n":             "it has no list of dependencies",
		"dependencies: [":                        "environment.yml",
		"{{ if .x }}\na: b\n":                    "environment.yml",
		"dependencies: [a]\ndependencies: [b]\n": "given twice",
		"dependencies: []\n---\ndependencies: [numpy==1]\n": "several YAML documents",
	} {
		result, err := environment(t, content, nil)
		if err != nil || len(result.Unresolved) != 1 || !strings.Contains(result.Unresolved[0].Reason, want) {
			t.Errorf("%q: %+v, %v", content, result, err)
		}
	}
	if _, err := environment(t, "dependencies:\n- pip: ['-r missing.txt']\n", nil); err == nil || !strings.Contains(err.Error(), "env/environment.yml:2") {
		t.Errorf("a missing file: %v", err)
	}
	_, err := environment(t, "dependencies: []\n#"+strings.Repeat("x", limit.Policy), nil)
	var over *limit.Error
	if !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
}

const numpyMeta = `{"name": "numpy", "version": "1.26.4", "build": "py311h64a7726_0", "channel": "https://conda.anaconda.org/conda-forge/linux-64",
"subdir": "linux-64", "fn": "numpy-1.26.4-py311h64a7726_0.conda", "depends": ["python >=3.11,<3.12.0a0", "libblas >=3.9.0"], "license": "BSD-3-Clause",
"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
"files": ["bin/f2py", "lib/python3.11/site-packages/numpy-1.26.4.dist-info/METADATA", "lib/python3.11/site-packages/numpy/_vendor/x-1.dist-info/METADATA"]}`

func TestReadMeta(t *testing.T) {
	for content, want := range map[string][]string{
		numpyMeta: {"PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4?build=py311h64a7726_0&channel=conda-forge&subdir=linux-64&type=conda conda-meta/x.json:0"},
		`{"name":"pytorch","version":"2.1.0","files":["lib/python3.11/site-packages/torch-2.1.0-py3.11.egg-info/PKG-INFO"]}`:   {"PyPI torch 2.1.0 pkg:conda/pytorch@2.1.0 conda-meta/x.json:0"},
		`{"name":"openssl","version":"3.0.8","files":["lib/libssl.so"]}`:                                                       {"conda openssl 3.0.8 pkg:conda/openssl@3.0.8 conda-meta/x.json:0"},
		`{"name":"thing","version":"1","depends":["libgcc"]}`:                                                                  {"conda thing 1 pkg:conda/thing@1 conda-meta/x.json:0"},
		`{"name":"thing","version":"1","depends":["python"]}`:                                                                  {"PyPI thing 1 pkg:conda/thing@1 conda-meta/x.json:0"},
		`{"name":"two","version":"1","files":["Lib/site-packages/a-1.dist-info/METADATA","Lib/site-packages/B_b-2.egg-info"]}`: {"PyPI a 1 pkg:conda/two@1 conda-meta/x.json:0", "PyPI b-b 2 pkg:conda/two@1 conda-meta/x.json:0"},
		`{"name":"odd","version":"1","purls":["pkg:pypi/even@2.0","pkg:generic/x@1"]}`:                                         {"PyPI even 2.0 pkg:conda/odd@1 conda-meta/x.json:0"},
	} {
		list, err := conda.ReadMeta(strings.NewReader(content), "conda-meta/x.json")
		if err != nil {
			t.Errorf("%s: %v", content, err)
			continue
		}
		if diff := cmp.Diff(want, describe(list, nil, nil)); diff != "" {
			t.Errorf("%s:\n%s", content, diff)
		}
		for _, c := range list {
			if c.Dependency != component.Installed {
				t.Errorf("%s is %s", c.Name, c.Dependency)
			}
		}
	}
	list, err := conda.ReadMeta(strings.NewReader(numpyMeta), "x")
	if err != nil || list[0].Expression != "BSD-3-Clause" || len(list[0].Hashes) != 1 {
		t.Errorf("licence and hashes: %+v, %v", list, err)
	}
	for _, content := range []string{"", "[]", "{}", `{"name":"a"}`, `{"name":"../a","version":"1"}`, `{"name":"a","version":"1 2"}`, `{"name":1}`} {
		if list, err := conda.ReadMeta(strings.NewReader(content), "conda-meta/x.json"); err == nil || !strings.HasPrefix(err.Error(), "conda-meta/x.json: ") {
			t.Errorf("%q: %+v, %v", content, list, err)
		}
	}
	_, err = conda.ReadMeta(strings.NewReader(`{"name":"a","version":"1","x":"`+strings.Repeat("x", limit.PackageMetadata)+`"}`), "x")
	var over *limit.Error
	if !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
}

func TestSettle(t *testing.T) {
	of := func(purl, name, version, place string) component.Component {
		return component.Component{Ecosystem: "PyPI", Name: name, Version: version, PURL: purl, Dependency: component.Installed, Locations: []component.Location{{Path: place}}}
	}
	declared := of("pkg:conda/numpy@1.26.4", "numpy", "1.26.4", "environment.yml")
	declared.Dependency = component.Declared
	inventory := component.Inventory{Components: []component.Component{
		of("pkg:conda/numpy@1.26.4", "numpy", "1.26.4", "opt/conda/conda-meta/numpy.json"),
		of("pkg:conda/torch@2", "torch", "2", "opt/conda/conda-meta/torch.json"), // its files are gone
		of("pkg:pypi/numpy@1.26.4", "numpy", "1.26.4", "opt/conda/lib/numpy-1.26.4.dist-info/METADATA"),
		of("pkg:conda/tqdm@1", "tqdm", "1", "opt/conda/conda-meta/tqdm.json"), // the environment inside has it
		of("pkg:conda/tqdm@1", "tqdm", "1", "opt/conda/envs/x/conda-meta/tqdm.json"),
		of("pkg:pypi/tqdm@1", "tqdm", "1", "opt/conda/envs/x/lib/tqdm-1.dist-info/METADATA"),
		of("pkg:conda/six@1", "six", "1", "opt/other/conda-meta/six.json"),
		of("pkg:pypi/six@1", "six", "1", "opt/conda/lib/six-1.dist-info/METADATA"), // of another environment
		declared,
	}}
	conda.Settle(&inventory)
	want := []string{
		"PyPI torch 2 pkg:conda/torch@2 opt/conda/conda-meta/torch.json:0",
		"PyPI numpy 1.26.4 pkg:pypi/numpy@1.26.4 opt/conda/lib/numpy-1.26.4.dist-info/METADATA:0 opt/conda/conda-meta/numpy.json:0",
		"PyPI tqdm 1 pkg:conda/tqdm@1 opt/conda/conda-meta/tqdm.json:0",
		"PyPI tqdm 1 pkg:pypi/tqdm@1 opt/conda/envs/x/lib/tqdm-1.dist-info/METADATA:0 opt/conda/envs/x/conda-meta/tqdm.json:0",
		"PyPI six 1 pkg:conda/six@1 opt/other/conda-meta/six.json:0",
		"PyPI six 1 pkg:pypi/six@1 opt/conda/lib/six-1.dist-info/METADATA:0",
		"PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4 environment.yml:0",
	}
	if diff := cmp.Diff(want, describe(inventory.Components, nil, nil)); diff != "" {
		t.Error(diff)
	}
	// An environment that is the scanned directory itself.
	inventory = component.Inventory{Components: []component.Component{
		of("pkg:pypi/six@1", "six", "1", "lib/six-1.dist-info/METADATA"), of("pkg:conda/six@1", "six", "1", "conda-meta/six.json")}}
	conda.Settle(&inventory)
	if diff := cmp.Diff([]string{"PyPI six 1 pkg:pypi/six@1 lib/six-1.dist-info/METADATA:0 conda-meta/six.json:0"}, describe(inventory.Components, nil, nil)); diff != "" {
		t.Error(diff)
	}
}

const lock = `version: 1
metadata:
  channels:
  - url: conda-forge
package:
- name: numpy
  version: 1.26.4
  manager: conda
  platform: linux-64
  dependencies:
    python: '>=3.11'
    libblas: '*'
    __glibc: '>=2.17'
  url: https://conda.anaconda.org/conda-forge/linux-64/numpy-1.26.4-py311h64a7726_0.conda
  hash:
    md5: a502d7aad449a1206efb366d6a12c52d
    sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  category: main
- name: numpy
  version: 1.26.4
  manager: conda
  platform: osx-64
  url: https://conda.anaconda.org/conda-forge/osx-64/numpy-1.26.4-py311hc43a94b_0.conda
- name: libblas
  version: 3.9.0
  manager: conda
  platform: linux-64
  url: https://conda.anaconda.org/conda-forge/linux-64/libblas-3.9.0-20_linux64_openblas.conda
- name: torch
  version: 1.13.0
  manager: pip
  platform: linux-64
  dependencies:
    numpy: '>=1'
  url: https://files.example.com/torch-1.13.0-cp311-none-any.whl
  category: dev
- name: mine
  version: 0.1.0
  manager: pip
  platform: linux-64
  url: git+https://example.com/mine
- name: short
  version: 1.10
  manager: pip
  platform: linux-64
  url: https://files.example.com/short.whl
- name: odd
  version: "1"
  manager: brew
  platform: linux-64
`

func TestLock(t *testing.T) {
	result, err := conda.Lock{}.Parse(strings.NewReader(lock), "conda-lock.yml", requirement.DefaultEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4?build=py311h64a7726_0&channel=conda-forge&subdir=linux-64&type=conda conda-lock.yml:6",
		"conda libblas 3.9.0 pkg:conda/libblas@3.9.0?build=20_linux64_openblas&channel=conda-forge&subdir=linux-64&type=conda conda-lock.yml:24",
		"PyPI torch 1.13.0 pkg:pypi/torch@1.13.0 conda-lock.yml:29",
		"? conda-lock.yml:37 [mine] mine 0.1.0: it comes from version control, not from an index",
		"? conda-lock.yml:42 [short] short 1.1: its version is not written as text",
		"? conda-lock.yml:47 [odd] odd 1: its manager \"brew\" is not known",
		"- 19 numpy 1.26.4 (osx-64)",
	}
	if diff := cmp.Diff(want, describe(result.Components, result.Unresolved, result.Excluded)); diff != "" {
		t.Error(diff)
	}
	numpy, torch := result.Components[0], result.Components[2]
	if diff := cmp.Diff([]string{result.Components[1].PURL}, numpy.DependsOn); diff != "" || len(numpy.Hashes) != 1 || numpy.Groups != nil {
		t.Errorf("numpy is %+v", numpy)
	}
	if diff := cmp.Diff([]string{numpy.PURL}, torch.DependsOn); diff != "" || !cmp.Equal(torch.Groups, []string{"dev"}) {
		t.Errorf("torch is %+v", torch)
	}
	arm := requirement.DefaultEnvironment()
	arm.PlatformMachine = "aarch64"
	result, err = conda.Lock{}.Parse(strings.NewReader(lock), "conda-lock.yml", arm)
	if err != nil || len(result.Components) != 0 || len(result.Unresolved) != 1 || !strings.Contains(result.Unresolved[0].Reason, "no packages for linux-aarch64") {
		t.Errorf("on another platform: %+v, %v", result, err)
	}
}

// TestLockContract holds Lock to what every lockfile parser must hold to.
func TestLockContract(t *testing.T) {
	const entry = "- name: %s\n  version: 1.0.0\n  manager: pip\n  platform: linux-64\n  url: https://files.example.com/x.whl\n"
	lockfiletest.Run(t, lockfiletest.Format{
		Parser: conda.Lock{}, Base: "conda-lock.yml", Others: []string{"conda-lock.yaml", "gpu.conda-lock.yml"}, Foreign: []string{"conda-lock.json", "lock.yml"},
		Good: "version: 1\nmetadata:\n  sources:\n  - pyproject.toml\npackage:\n" + fmt.Sprintf(entry, "six") + fmt.Sprintf(entry, "torch") + "  dependencies:\n    six: '*'\n" +
			fmt.Sprintf(strings.Replace(entry, "linux-64", "osx-64", 1), "numpy") + fmt.Sprintf(strings.Replace(entry, "https", "git+https", 1), "mine"),
		Edges: true, NewVersion: "version: 2\npackage: []\n", Found: "2",
		Many: func(n int) string {
			var b strings.Builder
			b.WriteString("version: 1\npackage:\n")
			for i := range n {
				fmt.Fprintf(&b, entry, fmt.Sprintf("p%d", i))
			}
			return b.String()
		},
	})
}

func TestBadLocks(t *testing.T) {
	for content, want := range map[string]string{
		"- a":                           "no lockfile",
		"version: 1\npackage: x\n":      "no lockfile",
		"version: 1\n---\nversion: 1\n": "want one YAML document, found 2",
		"version: 1\nversion: 1\n":      "given twice",
		"package: []":                   "version is missing",
	} {
		if _, err := (conda.Lock{}).Parse(strings.NewReader(content), "conda-lock.yml", requirement.DefaultEnvironment()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
	_, err := conda.Explicit{}.Parse(strings.NewReader("#"+strings.Repeat("x", limit.Lockfile)), "x", requirement.DefaultEnvironment())
	var over *limit.Error
	if !errors.As(err, &over) {
		t.Errorf("a list over the bound: %v", err)
	}
}

func TestExplicit(t *testing.T) {
	const content = `# platform: linux-64
@EXPLICIT
https://conda.anaconda.org/conda-forge/linux-64/numpy-1.26.4-py311h64a7726_0.conda#a502d7aad449a1206efb366d6a12c52d
https://conda.anaconda.org/conda-forge/noarch/tqdm-4.66.1-pyhd8ed1ab_0.tar.bz2#sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
https://repo.anaconda.com/pkgs/main/linux-64/openssl-3.0.8-h7f8727e_0.conda
https://conda.anaconda.org/t/secret/c/osx-64/x-1-py311_0.conda
https://example.com/nothing
# pip torch @ https://files.example.com/torch-1.13.0-cp311-cp311-linux_x86_64.whl --hash=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
# pip mine @ git+https://example.com/mine
`
	result, err := conda.Explicit{}.Parse(strings.NewReader(content), "conda-linux-64.lock", requirement.DefaultEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PyPI numpy 1.26.4 pkg:conda/numpy@1.26.4?build=py311h64a7726_0&channel=conda-forge&subdir=linux-64&type=conda conda-linux-64.lock:3",
		"PyPI tqdm 4.66.1 pkg:conda/tqdm@4.66.1?build=pyhd8ed1ab_0&channel=conda-forge&subdir=noarch&type=tar.bz2 conda-linux-64.lock:4",
		"conda openssl 3.0.8 pkg:conda/openssl@3.0.8?build=h7f8727e_0&channel=main&subdir=linux-64&type=conda conda-linux-64.lock:5",
		"PyPI torch 1.13.0 pkg:pypi/torch@1.13.0 conda-linux-64.lock:8",
		"? conda-linux-64.lock:7 [] https://example.com/nothing: \"nothing\" is no file name of a conda package (name-version-build.conda)",
		"? conda-linux-64.lock:9 [mine] # pip mine @ git+https://example.com/mine: a URL that ends in no wheel of that name says no version",
		"- 6 https://conda.anaconda.org/t/****/c/osx-64/x-1-py311_0.conda (osx-64)",
	}
	if diff := cmp.Diff(want, describe(result.Components, result.Unresolved, result.Excluded)); diff != "" {
		t.Error(diff)
	}
	if len(result.Components[1].Hashes) != 1 || len(result.Components[3].Hashes) != 1 || len(result.Components[0].Hashes) != 0 {
		t.Errorf("hashes of %+v", result.Components)
	}
	for _, bad := range []string{"", "# nothing\n", "numpy=1.26.4\n", "https://x/y\n@EXPLICIT\n"} {
		if _, err := (conda.Explicit{}).Parse(strings.NewReader(bad), "conda-x.lock", requirement.DefaultEnvironment()); err == nil || !strings.Contains(err.Error(), "@EXPLICIT") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	result, err = conda.Explicit{}.Parse(strings.NewReader("@EXPLICIT\nhttps://c/osx-64/x-1-py311_0.conda\n"), "conda-osx-64.lock", requirement.DefaultEnvironment())
	if err != nil || len(result.Unresolved) != 1 || !strings.Contains(result.Unresolved[0].Reason, "only for other platforms") {
		t.Errorf("of another platform: %+v, %v", result, err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"environment.yml": true, "environment.yaml": true, "environment-gpu.yml": true, "dev-environment.yml": true, "conda.yaml": true, "conda_env.yml": true,
		"environments.yml": false, "environment.json": false, "conda-lock.yml": false, "conda_build_config.yaml": false, "myenvironment.yml": false} {
		if conda.IsEnvironment(name) != want {
			t.Errorf("IsEnvironment(%q) is not %v", name, want)
		}
	}
	for name, want := range map[string]bool{"conda-lock.yml": true, "conda-lock.yaml": true, "gpu.conda-lock.yml": true, "conda-lock.json": false, "lock.yml": false} {
		if (conda.Lock{}).Reads(name) != want {
			t.Errorf("Lock reads %q is not %v", name, want)
		}
	}
	for name, want := range map[string]bool{"conda-linux-64.lock": true, "spec-file.txt": true, "conda-explicit.txt": true, "explicit.txt": false, "spec.txt": false, "spec-file-linux.txt": true, "requirements.txt": false, "poetry.lock": false} {
		if (conda.Explicit{}).Reads(name) != want {
			t.Errorf("Explicit reads %q is not %v", name, want)
		}
	}
	for name, want := range map[string]bool{"opt/conda/conda-meta/x-1-0.json": true, "conda-meta/x.json": true, "conda-meta/history": false, "x.json": false} {
		if conda.IsMeta(name) != want {
			t.Errorf("IsMeta(%q) is not %v", name, want)
		}
	}
	if name, python := conda.Project("PyTorch", ""); name != "torch" || !python {
		t.Errorf("pytorch is %q, %v", name, python)
	}
	if name, python := conda.Project("openssl", ""); python {
		t.Errorf("openssl is %q", name)
	}
	if _, python := conda.Project("mystery", "h123_0"); python {
		t.Error("a build for no Python makes a Python project")
	}
}

// FuzzRead: nothing panics, and what is found has a name, one version, a
// package URL and a place.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"dependencies:\n- numpy=1.26.4\n- pip:\n  - torch==1.13.0\n- 'a[version=\"1\"]'\n", numpyMeta, lock, "@EXPLICIT\nhttps://c/linux-64/numpy-1-py311_0.conda#x\n# pip a @ x/a-1-py3-none-any.whl", "dependencies:\n- sel(linux): x=1.0.0\nprefix: /x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e := requirement.DefaultEnvironment()
		fsys := fstest.MapFS{"environment.yml": {Data: []byte(text)}}
		environment, _ := conda.ReadEnvironment(fsys, "environment.yml", e)
		meta, _ := conda.ReadMeta(strings.NewReader(text), "m")
		locked, _ := conda.Lock{}.Parse(strings.NewReader(text), "l", e)
		lockfiletest.Fuzz(t, conda.Lock{}, text)
		explicit, _ := conda.Explicit{}.Parse(strings.NewReader(text), "e", e)
		inventory := component.Inventory{}
		for _, list := range [][]component.Component{environment.Components, meta, locked.Components, explicit.Components} {
			inventory.Components = append(inventory.Components, list...)
		}
		for _, c := range inventory.Components {
			if c.Name == "" || c.Version == "" || c.PURL == "" || len(c.Locations) == 0 || c.Ecosystem == "" {
				t.Errorf("%+v", c)
			}
		}
		conda.Settle(&inventory)
	})
}
