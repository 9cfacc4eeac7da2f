package pydist_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// archive makes a zip of names and contents, given in turn.
func archive(t testing.TB, files ...string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for i := 0; i+1 < len(files); i += 2 {
		entry, err := w.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func readArchive(content []byte, name string) (pydist.Contents, error) {
	return pydist.ReadArchive(bytes.NewReader(content), int64(len(content)), component.Location{Path: "wheels/" + name})
}

func describe(c pydist.Contents) []string {
	lines := []string{}
	for _, c := range c.Components {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", c.PURL, c.Dependency, c.Expression, c.Locations[0].Path))
	}
	for _, u := range c.Unresolved {
		lines = append(lines, "? "+u.Text+": "+u.Reason)
	}
	return lines
}

const wheel = "six-1.16.0-py2.py3-none-any.whl"

func TestReadArchive(t *testing.T) {
	const six = "Name: six\nVersion: 1.16.0\nLicense: MIT\n"
	for name, c := range map[string]struct {
		file    string
		content []byte
		want    []string
	}{
		"wheel": {wheel, archive(t, "six.py", "x", "six-1.16.0.dist-info/METADATA", six), []string{"pkg:pypi/six@1.16.0 packaged MIT wheels/" + wheel}},
		"carries along": {wheel, archive(t, "x/_vendor/y-1.dist-info/METADATA", "Name: y\nVersion: 1\n", "six-1.16.0.dist-info/METADATA", six),
			[]string{"pkg:pypi/y@1 packaged  wheels/" + wheel, "pkg:pypi/six@1.16.0 packaged MIT wheels/" + wheel}},
		"egg":                   {"six-1.16.0-py3.11.egg", archive(t, "EGG-INFO/PKG-INFO", six), []string{"pkg:pypi/six@1.16.0 packaged MIT wheels/six-1.16.0-py3.11.egg"}},
		"no zip":                {wheel, []byte("nothing"), []string{"pkg:pypi/six@1.16.0 packaged  wheels/" + wheel, "? wheels/" + wheel + ": it cannot be read: zip: not a valid zip file"}},
		"empty":                 {wheel, nil, []string{"pkg:pypi/six@1.16.0 packaged  wheels/" + wheel, "? wheels/" + wheel + ": it cannot be read: zip: not a valid zip file"}},
		"no name":               {"some.whl", []byte("nothing"), []string{"? wheels/some.whl: it cannot be read: zip: not a valid zip file", "? wheels/some.whl: some.whl: want name-version-python-abi-platform.whl"}},
		"by its metadata alone": {"some.egg", archive(t, "EGG-INFO/PKG-INFO", six), []string{"pkg:pypi/six@1.16.0 packaged MIT wheels/some.egg"}},
		"no metadata":           {wheel, archive(t, "six.py", "x"), []string{"pkg:pypi/six@1.16.0 packaged  wheels/" + wheel, "? wheels/" + wheel + ": it holds no metadata of its own"}},
		"broken metadata": {wheel, archive(t, "six-1.16.0.dist-info/METADATA", "x"), []string{"pkg:pypi/six@1.16.0 packaged  wheels/" + wheel,
			"? wheels/" + wheel + "/six-1.16.0.dist-info/METADATA: wheels/" + wheel + `/six-1.16.0.dist-info/METADATA: no usable Name and Version in the package's metadata (found "", "")`,
			"? wheels/" + wheel + ": it holds no metadata of its own"}},
		"another name": {wheel, archive(t, "six-1.16.0.dist-info/METADATA", "Name: torch\nVersion: 1\n"),
			[]string{"pkg:pypi/torch@1 packaged  wheels/" + wheel, "? wheels/" + wheel + ": its metadata says torch 1, and its name something else"}},
	} {
		got, err := readArchive(c.content, c.file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, describe(got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestHostileArchives: bombs, many files and lying sizes end at a bound.
func TestHostileArchives(t *testing.T) {
	var over *limit.Error
	bomb := archive(t, "six-1.16.0.dist-info/METADATA", "Name: six\nVersion: 1.16.0\nX: "+strings.Repeat("a", limit.PackageMetadata)+"\n")
	if len(bomb) > limit.PackageMetadata/100 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	if _, err := readArchive(bomb, wheel); !errors.As(err, &over) {
		t.Errorf("a bomb: %v", err)
	}
	// The same with a size of 10 in the list of files.
	at := bytes.LastIndex(bomb, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(bomb[at+24:], 10)
	if got, err := readArchive(bomb, wheel); err != nil || len(got.Unresolved) != 2 || len(got.Components) != 1 || got.Components[0].Expression != "" {
		t.Errorf("a bomb with a small size: %+v, %v", got, err)
	}
	// Together too much, each under the bound.
	half := "Name: six\nVersion: 1.16.0\nX: " + strings.Repeat("a", limit.PackageMetadata/2) + "\n"
	if _, err := readArchive(archive(t, "six-1.dist-info/METADATA", half, "b-1.dist-info/METADATA", half), wheel); !errors.As(err, &over) {
		t.Errorf("two halves: %v", err)
	}
	var many []string
	for i := range limit.WheelMetadata {
		many = append(many, fmt.Sprintf("v/p%d-1.dist-info/METADATA", i), fmt.Sprintf("Name: p%d\nVersion: 1\n", i))
	}
	if got, err := readArchive(archive(t, many...), wheel); err != nil || len(got.Components) != limit.WheelMetadata+1 {
		t.Errorf("at the bound of metadata: %d, %v", len(got.Components), err)
	}
	if _, err := readArchive(archive(t, append(many, "v/one-1.dist-info/METADATA", "Name: one\nVersion: 1\n")...), wheel); !errors.As(err, &over) || over.Bound != limit.WheelMetadata {
		t.Errorf("over the bound of metadata: %v", err)
	}
	long := strings.Repeat("n", 60_000)
	many = nil
	for i := range limit.WheelDirectory/60_000 + 8 {
		many = append(many, fmt.Sprintf("%s%d", long, i), "")
	}
	if _, err := readArchive(archive(t, many...), wheel); !errors.As(err, &over) || over.Bound != limit.WheelDirectory {
		t.Errorf("a long list of files: %v", err)
	}
}

func TestArchiveName(t *testing.T) {
	for name, want := range map[string]string{wheel: "six 1.16.0", "Foo_Bar-1.0rc1-py3.11-linux-x86_64.egg": "Foo_Bar 1.0rc1", "a-1.egg": "a 1", "a-1_1.egg": "a 1.post1"} {
		m, err := pydist.ArchiveName(name)
		if err != nil || m.Name+" "+m.Version != want {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	for _, name := range []string{"a.egg", "-1.egg", "a-x.egg", "a-1.whl", "a-1.tar.gz", ""} {
		if m, err := pydist.ArchiveName(name); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	for name, want := range map[string]bool{"lib/ensurepip/_bundled/pip-23.0-py3-none-any.whl": true, "x.egg": true, "x.egg/EGG-INFO/PKG-INFO": false, "x.zip": false} {
		if pydist.IsArchive(name) != want {
			t.Errorf("IsArchive(%q) is not %v", name, want)
		}
	}
}

func TestNamedArchive(t *testing.T) {
	got := pydist.NamedArchive(component.Location{Path: "w/" + wheel})
	if diff := cmp.Diff([]string{"pkg:pypi/six@1.16.0 packaged  w/" + wheel}, describe(got)); diff != "" {
		t.Error(diff)
	}
	got = pydist.NamedArchive(component.Location{Path: "w/x.whl"})
	if diff := cmp.Diff([]string{"? w/x.whl: x.whl: want name-version-python-abi-platform.whl"}, describe(got)); diff != "" {
		t.Error(diff)
	}
}

func TestOrigin(t *testing.T) {
	where := component.Location{Path: "lib/Foo_Bar-1.0.dist-info/direct_url.json"}
	for content, want := range map[string]string{
		`{"url": "https://u:p@example.com/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}`: "foo-bar https://****@example.com/x.git it was installed from version control (git, commit abc), and only its version was tested",
		`{"url": "file:///src", "dir_info": {"editable": true}}`:                                   "foo-bar file:///src it is an editable install of a directory, and only its version was tested",
		`{"url": "file:///src", "dir_info": {}}`:                                                   "foo-bar file:///src it was installed from a directory, and only its version was tested",
		`{"url": "https://example.com/x.whl", "archive_info": {}}`:                                 "",
	} {
		u, found, err := pydist.Origin(strings.NewReader(content), where)
		if err != nil || found != (want != "") || found && u.Name+" "+u.Text+" "+u.Reason != want {
			t.Errorf("%s: %+v, %v, %v", content, u, found, err)
		}
	}
	if _, _, err := pydist.Origin(strings.NewReader("x"), where); err == nil || !strings.HasPrefix(err.Error(), where.Path) {
		t.Errorf("no JSON: %v", err)
	}
	var over *limit.Error
	if _, _, err := pydist.Origin(strings.NewReader(strings.Repeat(" ", limit.PackageMetadata+1)), where); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
	if !pydist.IsOrigin(where.Path) || pydist.IsOrigin("x/direct_url.json") {
		t.Error("IsOrigin is wrong")
	}
}

func TestLink(t *testing.T) {
	u, err := pydist.Link(strings.NewReader("/src/foo\n.\n"), component.Location{Path: "lib/Foo.Bar.egg-link"})
	if err != nil || u.Name != "foo-bar" || u.Text != "/src/foo" || u.Reason == "" {
		t.Errorf("%+v, %v", u, err)
	}
	var over *limit.Error
	if _, err := pydist.Link(strings.NewReader(strings.Repeat(" ", limit.PackageMetadata+1)), component.Location{}); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
	if !pydist.IsLink("a/b.egg-link") || pydist.IsLink("a/b.egg") {
		t.Error("IsLink is wrong")
	}
}

// FuzzArchive: nothing panics, and nothing is passed over: there is a component
// or a record for every archive.
func FuzzArchive(f *testing.F) {
	f.Add(archive(f, "six-1.16.0.dist-info/METADATA", "Name: six\nVersion: 1.16.0\n"), wheel)
	f.Add(archive(f, "EGG-INFO/PKG-INFO", "Name: six\nVersion: 1\n"), "six-1-py3.egg")
	f.Add([]byte("PK"), "x")
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		got, err := readArchive(content, name)
		if err == nil && len(got.Components)+len(got.Unresolved) == 0 {
			t.Error("nothing was said")
		}
		pydist.Origin(bytes.NewReader(content), component.Location{Path: name})
		pydist.Link(bytes.NewReader(content), component.Location{Path: name})
	})
}
