package remedy_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/remedy"
)

func upgrade(kind, name, from, to string, dependency component.Dependency, places ...component.Location) finding.Upgrade {
	return finding.Upgrade{To: to, All: true, Component: component.Component{Name: name, Version: from,
		PURL: "pkg:" + kind + "/" + name + "@" + from, Dependency: dependency, Locations: places}}
}

// torch is conda's package of the project.
func torch(dependency component.Dependency, places ...component.Location) finding.Upgrade {
	u := upgrade("conda", "pytorch", "1.13.0", "2.2.0", dependency, places...)
	u.Component.Ecosystem, u.Component.Name = "PyPI", "torch"
	return u
}

func ownedBy(purl string) finding.Upgrade {
	u := upgrade("pypi", "pandas", "1.5.3", "2.2.0", component.Installed, at("usr/lib/python3/dist-packages/pandas-1.5.3.egg-info/PKG-INFO", 0))
	u.Component.Owner = purl
	return u
}

func at(path string, line int) component.Location { return component.Location{Path: path, Line: line} }

func TestSteps(t *testing.T) {
	most := upgrade("pypi", "gradio", "3.0", "4.0", component.Declared, at("requirements.txt", 9))
	most.All = false
	hashed := upgrade("pypi", "pillow", "9.0.0", "10.2.0", component.Declared, at("requirements.txt", 7), at("sub/requirements-dev.txt", 2))
	hashed.Component.Hashes = []subject.Digest{subject.Of(nil)}
	for name, test := range map[string]struct {
		upgrades []finding.Upgrade
		want     []remedy.Step
	}{
		"requirements": {[]finding.Upgrade{hashed, most}, []remedy.Step{{
			Edits: []string{"requirements.txt:7: pillow==9.0.0 -> pillow==10.2.0 (and its hashes)", "sub/requirements-dev.txt:2: pillow==9.0.0 -> pillow==10.2.0 (and its hashes)",
				"requirements.txt:9: gradio==3.0 -> gradio==4.0"},
			Notes: []string{"gradio 4.0 heals the most; no one version heals all"}}}},
		"conda": {[]finding.Upgrade{upgrade("conda", "openssl", "1.1.1k", "1.1.1w", component.Declared, at("environment.yml", 5))},
			[]remedy.Step{{Edits: []string{"environment.yml:5: openssl=1.1.1k -> openssl=1.1.1w"}}}},
		"conda, by its own name": {[]finding.Upgrade{
			torch(component.Declared, at("environment.yml", 5), at("spec-file.txt", 3), at("conda-linux-64.lock", 4), at("nb.ipynb", 1)),
			torch(component.Installed, at("opt/conda/conda-meta/pytorch-1.13.0-py310.json", 0)),
		}, []remedy.Step{
			{Edits: []string{"environment.yml:5: pytorch=1.13.0 -> pytorch=2.2.0", "nb.ipynb:1: pytorch=1.13.0 -> pytorch=2.2.0"}},
			{Edits: []string{"spec-file.txt:3: pytorch 1.13.0 -> 2.2.0; lock it again with the tool that wrote it", "conda-linux-64.lock:4: pytorch 1.13.0 -> 2.2.0; lock it again with the tool that wrote it"}},
			{Place: "opt/conda", Command: "conda install 'pytorch=2.2.0'"},
		}},
		"what a distribution brought": {[]finding.Upgrade{ownedBy("pkg:deb/debian/python3-pandas@1.5.3")},
			[]remedy.Step{{Edits: []string{"pandas 1.5.3 belongs to pkg:deb/debian/python3-pandas@1.5.3: upgrade that with its package manager if it has the fix, or install pandas 2.2.0 into an environment of its own"}}}},
		"lockfiles": {[]finding.Upgrade{
			upgrade("pypi", "torch", "1.0", "2.2.0", component.Declared, at("uv.lock", 5), at("my app/poetry.lock", 8)),
			upgrade("pypi", "pyarrow", "13.0.0", "14.0.1", component.Declared, at("uv.lock", 50), at("Pipfile.lock", 0), at("-x/pdm.lock", 0), at("pylock.dev.toml", 3)),
		}, []remedy.Step{
			{Command: "uv lock --upgrade-package 'pyarrow==14.0.1' --upgrade-package 'torch==2.2.0'"},
			{Command: "cd 'my app' && poetry update torch", Notes: []string{"pyproject.toml must allow torch>=2.2.0"}},
			{Command: "pipenv upgrade 'pyarrow==14.0.1'"},
			{Command: "cd './-x' && pdm update pyarrow", Notes: []string{"pyproject.toml must allow pyarrow>=14.0.1"}},
			{Edits: []string{"pylock.dev.toml:3: pyarrow 13.0.0 -> 14.0.1; lock it again with the tool that wrote it"}},
		}},
		"installed": {[]finding.Upgrade{
			upgrade("pypi", "torch", "1.13.0+cpu", "2.2.0", component.Installed, at("venv/lib/python3.12/site-packages/torch-1.13.0.dist-info/METADATA", 0)),
			upgrade("pypi", "pyarrow", "13.0.0", "14.0.1", component.Installed, at("venv/lib/python3.12/site-packages/pyarrow-13.0.0.dist-info/METADATA", 0)),
			upgrade("pypi", "pip", "1", "2", component.Packaged, at("wheels/pip-1-py3-none-any.whl", 0)),
			upgrade("conda", "zlib", "1.2", "1.3", component.Installed, at("opt/conda/conda-meta/zlib-1.2.json", 0)),
		}, []remedy.Step{
			{Place: "venv", Command: "pip install 'pyarrow==14.0.1' 'torch==2.2.0'", Notes: []string{`torch is the build "cpu": take it from the index that has such builds`}},
			{Edits: []string{"wheels/pip-1-py3-none-any.whl: replace it by pip 2"}},
			{Place: "opt/conda", Command: "conda install 'zlib=1.3'"},
		}},
		"distributions": {[]finding.Upgrade{
			upgrade("deb/debian", "libssl3", "3.0.11-1", "3.0.15-1", component.Installed, at("var/lib/dpkg/status", 0)),
			upgrade("deb/debian", "curl", "7", "8", component.Installed, at("var/lib/dpkg/status", 0)),
			upgrade("apk/alpine", "musl", "1", "2", component.Installed, at("lib/apk/db/installed", 0)),
			upgrade("rpm/redhat", "bash", "1", "2", component.Installed, at("var/lib/rpm/rpmdb.sqlite", 0)),
			upgrade("rpm/opensuse", "bash", "1", "2", component.Installed, at("var/lib/rpm/rpmdb.sqlite", 0)),
		}, []remedy.Step{
			{Command: "apt-get install --only-upgrade curl libssl3"}, {Command: "apk add --upgrade musl"}, {Command: "dnf upgrade bash"}, {Command: "zypper update bash"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, remedy.Steps(finding.Report{Upgrades: test.upgrades})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBaseImage(t *testing.T) {
	low, own := subject.Of([]byte("base")), subject.Of([]byte("own"))
	in := func(name string, layer subject.Digest) finding.Upgrade {
		return upgrade("deb/debian", name, "1", "2", component.Installed, component.Location{Path: "var/lib/dpkg/status", Layer: layer})
	}
	report := finding.Report{Image: &finding.Image{DiffIDs: []subject.Digest{low, own}, BaseLayers: 1, Base: "python:3.12-slim, by label"},
		Upgrades: []finding.Upgrade{in("libssl3", low), in("curl", own), in("zlib1g", low)}}
	want := []remedy.Step{
		{Edits: []string{"update the base image (python:3.12-slim, by label), which brings libssl3, zlib1g"}},
		{Place: "the image's own layers", Command: "apt-get install --only-upgrade curl"},
	}
	if diff := cmp.Diff(want, remedy.Steps(report)); diff != "" {
		t.Error(diff)
	}
}

func TestUnhealed(t *testing.T) {
	u := upgrade("pypi", "a", "1", "2", component.Declared, at("requirements.txt", 1))
	report := finding.Report{Upgrades: []finding.Upgrade{u}, Findings: []finding.Finding{{ID: "CVE-1", Component: u.Component}}}
	for _, name := range strings.Split("b b c d e f g h i j k l", " ") {
		report.Findings = append(report.Findings, finding.Finding{ID: "CVE-2", Component: component.Component{Name: name, Version: "1"}})
	}
	steps := remedy.Steps(report)
	want := []string{"no version is known to heal b 1, c 1, d 1, e 1, f 1, g 1, h 1, i 1 and 3 more"}
	if len(steps) != 2 || !cmp.Equal(steps[1].Notes, want) {
		t.Errorf("got %q", steps)
	}
}

// TestHostileNames: what a target calls its packages never becomes a word of
// a command that means something else, and a directory stays one word.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{"-rhttp://evil", "a b", "a;id", "$(id)", "`id`", "a'b", "a\nb", "", "a|b", "a>b", "é"} {
		for _, dependency := range []component.Dependency{component.Installed, component.Declared} {
			hostile := upgrade("pypi", name, "1", "2", dependency, at("uv.lock", 1))
			version := upgrade("pypi", "good", "1", name, dependency, at("uv.lock", 1))
			for _, step := range remedy.Steps(finding.Report{Upgrades: []finding.Upgrade{hostile, version}}) {
				if step.Command != "" {
					t.Errorf("%q gives the command %q", name, step.Command)
				}
				if len(step.Edits) != 2 {
					t.Errorf("%q is not told: %+v", name, step)
				}
			}
		}
	}
	for _, dir := range []string{"a b", "-e", "it's", "$(touch pwned)", "a;touch pwned", "`x`", "a\nb", "~", "é"} {
		steps := remedy.Steps(finding.Report{Upgrades: []finding.Upgrade{upgrade("pypi", "good", "1", "2", component.Declared, at(dir+"/uv.lock", 1))}})
		word, rest, found := strings.Cut(strings.TrimPrefix(steps[0].Command, "cd "), " && uv lock")
		if !found || rest != " --upgrade-package 'good==2'" {
			t.Fatalf("command %q", steps[0].Command)
		}
		output, err := exec.Command("sh", "-c", "printf %s "+word).Output()
		if want := dir; err != nil || strings.TrimPrefix(string(output), "./") != want {
			t.Errorf("a shell reads %q as %q (%v)", word, output, err)
		}
	}
}

func TestLines(t *testing.T) {
	got := remedy.Step{Place: "venv", Command: "pip install 'a==2'", Edits: []string{"x"}, Notes: []string{"y"}}.Lines()
	if want := []string{"in venv:", "  pip install 'a==2'", "  - x", "  - y"}; !cmp.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := (remedy.Step{Edits: []string{"::error::x"}}).Lines(); !cmp.Equal(got, []string{"- ::error::x"}) {
		t.Errorf("got %q", got)
	}
}

// An SBOM is nothing to edit: what it lists is built elsewhere.
func TestSBOM(t *testing.T) {
	report := finding.Report{SBOMs: []finding.SBOM{{Source: "dir/app.cdx.json"}}, Upgrades: []finding.Upgrade{torch(component.Installed, at("dir/app.cdx.json", 0)), torch(component.Declared, at("environment.yml", 5))}}
	want := []remedy.Step{{Edits: []string{"pytorch 1.13.0 -> 2.2.0, where what dir/app.cdx.json lists is built"}}, {Edits: []string{"environment.yml:5: pytorch=1.13.0 -> pytorch=2.2.0"}}}
	if diff := cmp.Diff(want, remedy.Steps(report)); diff != "" {
		t.Error(diff)
	}
}
