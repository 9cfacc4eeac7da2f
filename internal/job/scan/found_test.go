package scan_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/job/scan"
)

func wheel(t *testing.T, name, metadata string) string {
	t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	entry, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write([]byte(metadata)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.String()
}

// TestEveryKind: each kind of file is read, and none is counted twice.
func TestEveryKind(t *testing.T) {
	report, err := scanner(t).Directory(context.Background(), files(map[string]string{
		"environment.yml":                          "dependencies:\n- pyarrow=13.0.0\n- openssl=3.0.8=h1_0\n- pip:\n  - -r more-requirements.txt\n",
		"more-requirements.txt":                    "six>=1\n",
		"conda-lock.yml":                           "version: 1\npackage:\n- {name: numpy, version: 1.26.4, manager: conda, platform: linux-64, dependencies: {python: x}, url: 'https://c/linux-64/numpy-1.26.4-py311_0.conda'}\n",
		"conda-linux-64.lock":                      "@EXPLICIT\nhttps://c/forge/linux-64/numpy-1.26.4-py311_0.conda\n",
		"train.ipynb":                              `{"cells": [{"cell_type": "code", "source": "%pip install torch==1.13.0"}]}`,
		"env/conda-meta/numpy.json":                `{"name":"numpy","version":"1.20.0","files":["lib/site-packages/numpy-1.20.0.dist-info/METADATA"]}`,
		"env/conda-meta/zlib.json":                 `{"name":"zlib","version":"1.2"}`,
		"env/conda-meta/bad.json":                  `{}`,
		"env/lib/numpy-1.20.0.dist-info/METADATA":  "Name: numpy\nVersion: 1.20.0\n",
		"env/lib/mine-1.dist-info/METADATA":        "Name: mine\nVersion: 1\n",
		"env/lib/mine-1.dist-info/direct_url.json": `{"url": "file:///src", "dir_info": {"editable": true}}`,
		"env/lib/foo.egg-link":                     "/src/foo\n",
		"wheels/pyarrow-13.0.0-cp311-none-any.whl": wheel(t, "pyarrow-13.0.0.dist-info/METADATA", "Name: pyarrow\nVersion: 13.0.0\n"),
	}), "w")
	if err != nil {
		t.Fatal(err)
	}
	var components, unresolved, findings []string
	for _, c := range report.Inventory.Components {
		components = append(components, c.Ecosystem+" "+c.Name+" "+c.Version+" "+string(c.Dependency)+" "+c.Locations[0].Path)
	}
	for _, u := range report.Inventory.Unresolved {
		unresolved = append(unresolved, u.Location.Path+" "+u.Text)
	}
	for _, f := range report.Findings {
		findings = append(findings, f.ID+" "+f.Component.PURL+" "+string(f.Component.Dependency))
	}
	want := []string{
		"PyPI mine 1 installed env/lib/mine-1.dist-info/METADATA",
		"PyPI numpy 1.20.0 installed env/lib/numpy-1.20.0.dist-info/METADATA",
		"PyPI numpy 1.26.4 declared conda-linux-64.lock",
		"PyPI numpy 1.26.4 declared conda-lock.yml",
		"PyPI pyarrow 13.0.0 declared environment.yml",
		"PyPI pyarrow 13.0.0 packaged wheels/pyarrow-13.0.0-cp311-none-any.whl",
		"PyPI torch 1.13.0 declared train.ipynb",
		"conda openssl 3.0.8 declared environment.yml",
		"conda zlib 1.2 installed env/conda-meta/zlib.json",
	}
	if !slices.Equal(components, want) {
		t.Errorf("components\n%s", strings.Join(components, "\n"))
	}
	want = []string{
		"env/conda-meta/bad.json env/conda-meta/bad.json", "env/lib/foo.egg-link /src/foo", "env/lib/mine-1.dist-info/direct_url.json file:///src",
		"environment.yml 2 packages of conda", "more-requirements.txt six>=1",
	}
	if !slices.Equal(unresolved, want) {
		t.Errorf("unresolved\n%s", strings.Join(unresolved, "\n"))
	}
	for _, want := range []string{"CVE-2023-47248 pkg:conda/pyarrow@13.0.0 declared", "CVE-2023-47248 pkg:pypi/pyarrow@13.0.0 packaged", "CVE-2022-45907 pkg:pypi/torch@1.13.0 declared", "CVE-2021-34141 pkg:pypi/numpy@1.20.0 installed"} {
		if !slices.Contains(findings, want) {
			t.Errorf("no %s among\n%s", want, strings.Join(findings, "\n"))
		}
	}
}

// TestOnlyConda: packages that no advisories can be had of are said, and no
// fault.
func TestOnlyConda(t *testing.T) {
	for name, content := range map[string]string{"environment.yml": "dependencies:\n- openssl=3.0.8\n- zlib=1.2.3\n", "conda-meta/zlib.json": `{"name":"zlib","version":"1.2"}`} {
		report, err := scanner(t).Directory(context.Background(), files(map[string]string{name: content}), "w")
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Findings) != 0 || len(report.Inventory.Unresolved) != 1 || !strings.Contains(report.Inventory.Unresolved[0].Reason, "OSV has no advisories of conda packages") {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

func TestOneFile(t *testing.T) {
	fsys := files(map[string]string{
		"a.ipynb":                     `{"cells": [{"cell_type": "code", "source": "%pip install six==1.16.0"}]}`,
		"six-1.16.0-py3-none-any.whl": "no zip", "deps.in": "six==1.16.0\n", "environment.yml": "dependencies: [six=1.16.0]\n",
		"six-1.16.0.dist-info/METADATA": "Name: six\nVersion: 1.16.0\n",
	})
	for name := range fsys {
		inventory, err := scan.FileInventory(fsys, name, requirement.Environment{})
		if err != nil || len(inventory.Components) != 1 || inventory.Components[0].Name != "six" {
			t.Errorf("%s: %+v, %v", name, inventory, err)
		}
	}
}

// TestBoundsEndAScan: a file over a bound is an error, and not passed over.
func TestBoundsEndAScan(t *testing.T) {
	huge := strings.Repeat(" ", limit.PackageMetadata+1)
	for _, name := range []string{"conda-meta/x.json", "a-1.dist-info/direct_url.json", "a.egg-link", "environment.yml"} {
		_, err := scan.DirectoryInventory(context.Background(), fstest.MapFS{name: {Data: []byte(huge)}}, requirement.Environment{})
		var over *limit.Error
		if !errors.As(err, &over) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
