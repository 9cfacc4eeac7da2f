package pydist_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

func TestMetadata(t *testing.T) {
	m, err := pydist.ParseMetadata(strings.NewReader("Metadata-Version: 2.1\r\nName: Ruamel.YAML\r\nVersion: 0.18\r\nLicense: MIT\r\nClassifier: License :: OSI Approved :: MIT License\r\nRequires-Dist: x>=1\r\n\r\nName: other\r\n"), "METADATA")
	if err != nil {
		t.Fatal(err)
	}
	want := pydist.Metadata{Name: "Ruamel.YAML", Version: "0.18", Licenses: []string{"MIT"}, Expression: "MIT", Requires: []string{"x>=1"}}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	c := pydist.Component(m, component.Location{Path: "x/METADATA"})
	if c.Name != "ruamel-yaml" || c.PURL != "pkg:pypi/ruamel-yaml@0.18" || c.Dependency != component.Installed || c.Ecosystem != "PyPI" {
		t.Errorf("component is %+v", c)
	}
}

func TestLicences(t *testing.T) {
	for name, c := range map[string]struct{ lines, want, expression string }{
		"expression first":  {"License-Expression: apache-2.0 OR MIT\nLicense: x", "apache-2.0 OR MIT", "Apache-2.0 OR MIT"},
		"broken expression": {"License-Expression: Mine\nClassifier: License :: OSI Approved :: MIT License", "Mine", ""},
		"a text":            {"License: Copyright\n  all\n  rights\nClassifier: License :: OSI Approved :: BSD License", "BSD License", ""},
		"classifier":        {"Classifier: License :: OSI Approved :: MIT License", "MIT License", "MIT"},
		"a file's name":     {"License: LICENSE.txt\nClassifier: License :: OSI Approved :: MIT License", "LICENSE.txt", "MIT"},
		"words":             {"License: Apache 2.0", "Apache 2.0", "Apache-2.0"},
		"unknown":           {"License: UNKNOWN", "", ""},
	} {
		m, err := pydist.ParseMetadata(strings.NewReader("Name: x\nVersion: 1\n"+c.lines+"\n"), "METADATA")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(m.Licenses, ","); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if got := pydist.Component(m, component.Location{}).Expression; got != c.expression {
			t.Errorf("%s: expression %q, want %q", name, got, c.expression)
		}
	}
}

func TestBadMetadata(t *testing.T) {
	for name, content := range map[string]string{
		"empty":      "",
		"no version": "Name: x\n",
		"no name":    "Version: 1\n",
		"evil name":  "Name: ../x\nVersion: 1\n",
		"not text":   "\x00\xff",
		"in body":    "\nName: x\nVersion: 1\n",
	} {
		if m, err := pydist.ParseMetadata(strings.NewReader(content), "METADATA"); err == nil {
			t.Errorf("%s: read as %+v", name, m)
		}
	}
	long := strings.NewReader("Name: x\nVersion: 1\nX: " + strings.Repeat("a", limit.PackageMetadata))
	if _, err := pydist.ParseMetadata(long, "METADATA"); err == nil || !strings.Contains(err.Error(), "larger than the bound") {
		t.Errorf("too large: %v", err)
	}
}

func TestLocalVersion(t *testing.T) {
	m, err := pydist.ParseMetadata(strings.NewReader("Name: torch\nVersion: 1.13.0+CPU\n"), "METADATA")
	if err != nil {
		t.Fatal(err)
	}
	if got := pydist.Component(m, component.Location{}).PURL; got != "pkg:pypi/torch@1.13.0%2Bcpu" {
		t.Errorf("purl is %s", got)
	}
}

func TestIsMetadata(t *testing.T) {
	for path, want := range map[string]bool{
		"usr/lib/python3/dist-packages/six-1.16.dist-info/METADATA": true,
		"x.egg-info/PKG-INFO": true, "a/EGG-INFO/PKG-INFO": true, "a/x-1.0.egg-info": true, "x.dist-info/PKG-INFO": true, "x.egg-info/METADATA": true,
		"METADATA": false, "a/METADATA": false, "x.dist-info/RECORD": false, "x.dist-info/licenses/METADATA": false, "PKG-INFO": false,
	} {
		if got := pydist.IsMetadata(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestRecord(t *testing.T) {
	entries, err := pydist.ParseRecord(strings.NewReader("a.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\"b,c.py\",,\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []pydist.RecordEntry{
		{Path: "a.py", Algorithm: "sha256", Hex: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Size: 0},
		{Path: "b,c.py", Size: -1},
	}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"a.py\n", ",x,1\n", "a,sha256,1\n", "a,sha256=!,1\n", "a,,x\n", "a,,-1\n", "\"a\n"} {
		if entries, err := pydist.ParseRecord(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read as %+v", bad, entries)
		}
	}
}

func TestWheelName(t *testing.T) {
	w, err := pydist.ParseWheelName("Foo_Bar-1.0+cpu-1-cp311.cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
	if err != nil {
		t.Fatal(err)
	}
	want := pydist.WheelName{Name: "foo-bar", Version: "1.0+cpu", Build: "1", PythonTags: []string{"cp311", "cp312"}, ABITags: []string{"abi3"},
		PlatformTags: []string{"manylinux_2_17_x86_64", "manylinux2014_x86_64"}}
	if diff := cmp.Diff(want, w); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"x.whl", "x-1-py3-none-any.zip", "x-y-py3-none-any.whl", "x-1-a-py3-none-any.whl", "x-1-1-2-py3-none-any.whl", "x-1--none-any.whl", "-1-py3-none-any.whl"} {
		if w, err := pydist.ParseWheelName(bad); err == nil {
			t.Errorf("%s was read as %+v", bad, w)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add("Name: x\nVersion: 1\nLicense: a\n b\n\nbody")
	f.Fuzz(func(t *testing.T, content string) {
		m, err := pydist.ParseMetadata(strings.NewReader(content), "METADATA")
		if err == nil && (m.Name == "" || m.Version == "") {
			t.Errorf("%q gives %+v", content, m)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add("a.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n")
	f.Fuzz(func(t *testing.T, content string) {
		entries, err := pydist.ParseRecord(strings.NewReader(content))
		if err == nil {
			for _, e := range entries {
				if e.Path == "" {
					t.Errorf("%q gives %+v", content, e)
				}
			}
		}
	})
}

func FuzzWheelName(f *testing.F) {
	f.Add("x-1.0-py3-none-any.whl")
	f.Fuzz(func(t *testing.T, name string) {
		w, err := pydist.ParseWheelName(name)
		if err == nil && (w.Name == "" || w.Version == "" || len(w.PlatformTags) == 0) {
			t.Errorf("%q gives %+v", name, w)
		}
	})
}
