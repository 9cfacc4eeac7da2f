package ignorefile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/ignorefile"
	"github.com/seed-161fc314/assay/internal/format/pep440"
)

const own = `# why things do not count
ignore:
  - id: CVE-2022-45907
    package: torch
    versions: "<1.13.1"
    path: services/*/requirements.txt
    reason: not called
    owner: ml-platform
    expires: 2026-12-31
  - id: GHSA-a
    purl: pkg:pypi/numpy@1.20
    reason: build time only
`

func TestOwn(t *testing.T) {
	got, err := ignorefile.Decode("dir/.assayignore.yaml", []byte(own))
	if err != nil {
		t.Fatal(err)
	}
	want := ignorefile.File{Path: "dir/.assayignore.yaml", Entries: []ignorefile.Entry{
		{ID: "CVE-2022-45907", Package: "torch", Paths: []string{"services/*/requirements.txt"}, Reason: "not called", Owner: "ml-platform", Expires: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), Line: 3},
		{ID: "GHSA-a", PURLs: []string{"pkg:pypi/numpy@1.20"}, Reason: "build time only", Line: 10},
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(pep440.Specifiers{})); diff != "" {
		t.Error(diff)
	}
	v, _ := pep440.Parse("1.13.1")
	if got.Entries[0].Versions.Contains(v) || !got.Entries[1].Versions.Empty() {
		t.Error("versions were not read")
	}
	for _, content := range []string{"", "# nothing\n", "ignore: []\n"} {
		if file, err := ignorefile.Decode("x.yml", []byte(content)); err != nil || len(file.Entries) != 0 || file.Legacy {
			t.Errorf("%q: %+v, %v", content, file, err)
		}
	}
}

func TestBadOwn(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"no reason":          {"    reason: not called\n", "", "x.yaml:3: reason is missing: CVE-2022-45907"},
		"an empty reason":    {"reason: not called", "reason: '  '", "x.yaml:3: reason is missing"},
		"no id":              {"id: GHSA-a", "id: ''", "x.yaml:10: id is missing"},
		"a misspelt field":   {"expires:", "expire:", `x.yaml:9: unknown field "expire" under ignore[0]; did you mean "expires"?`},
		"a stranger":         {"ignore:", "ignored:", `did you mean "ignore"?`},
		"no date":            {"2026-12-31", "in a year", "expires: "},
		"half a date":        {"2026-12-31", "2026-13-01", "x.yaml:3: expires: "},
		"versions of what":   {"    package: torch\n", "", "neither package nor purl"},
		"a broken specifier": {`"<1.13.1"`, `"1.13.1 or so"`, "versions: "},
		"both":               {"purl: pkg", "package: numpy\n    purl: pkg", "one is enough"},
		"a broken purl":      {"pkg:pypi/numpy@1.20", "pkg:pypi/", "package URL"},
		"no purl":            {"pkg:pypi/numpy@1.20", "numpy", "package URL"},
		"an absolute path":   {"services/*", "/services/*", "relative to the scanned target"},
		"a list of lists":    {"  - id: GHSA-a\n    purl: pkg:pypi/numpy@1.20\n    reason: build time only\n", "  - [a]\n", "x.yaml"},
		"two documents":      {"# why things do not count\n", "a: 1\n---\n", "found 2"},
		"a list":             {own, "- id: CVE-1\n", "want a mapping with the key ignore"},
	} {
		content := strings.Replace(own, c.old, c.new, 1)
		if content == own {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := ignorefile.Decode("x.yaml", []byte(content)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	// All that is wrong is said at once.
	_, err := ignorefile.Decode("x.yaml", []byte("ignore:\n  - {id: A-1}\n  - {id: A-2}\n"))
	if err == nil || !strings.Contains(err.Error(), "x.yaml:2") || !strings.Contains(err.Error(), "x.yaml:3") {
		t.Errorf("two without a reason: %v", err)
	}
}

func TestTrivy(t *testing.T) {
	plain := "\ufeff# accepted\r\nCVE-2022-45907 # until the update\n\n  GHSA-a exp:2026-01-31\n"
	want := ignorefile.File{Path: ".trivyignore", Legacy: true, Entries: []ignorefile.Entry{
		{ID: "CVE-2022-45907", Line: 2}, {ID: "GHSA-a", Expires: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), Line: 4}}}
	got, err := ignorefile.Decode(".trivyignore", []byte(plain))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(pep440.Specifiers{})); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range []string{"CVE-1 CVE-2\n", "CVE-1 exp:\n", "CVE-1 exp:soon\n", "CVE-1 exp:2026-01-01 exp:2027-01-01\n"} {
		if _, err := ignorefile.Decode(".trivyignore", []byte(bad)); err == nil || !strings.Contains(err.Error(), ".trivyignore:1") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	yaml := "vulnerabilities:\n  - id: CVE-1\n    paths: [usr/lib/**]\n    purls: [\"pkg:deb/debian/libssl3\"]\n    expired_at: 2026-01-31\n    statement: accepted\n  - id: CVE-2\nmisconfigurations:\n  - id: AVD-1\nsecrets:\n"
	want = ignorefile.File{Path: "t.yaml", Legacy: true, Notes: []string{"t.yaml: 1 entries are not about vulnerabilities and were passed over"}, Entries: []ignorefile.Entry{
		{ID: "CVE-1", PURLs: []string{"pkg:deb/debian/libssl3"}, Paths: []string{"usr/lib/**"}, Reason: "accepted", Expires: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), Line: 2}, {ID: "CVE-2", Line: 7}}}
	got, err = ignorefile.Decode("t.yaml", []byte(yaml))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(pep440.Specifiers{})); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range []string{"vulnerabilities:\n  - statement: x\n", "vulnerabilities:\n  - {id: A, expired_at: soon}\n", "vulnerabilities:\n  - {id: A, purls: [x]}\n", "vulnerabilities:\n  - {id: A, reason: x}\n"} {
		if _, err := ignorefile.Decode("t.yaml", []byte(bad)); err == nil || !strings.Contains(err.Error(), "t.yaml:2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestBounds(t *testing.T) {
	var over *limit.Error
	if _, err := ignorefile.Decode(".trivyignore", []byte(strings.Repeat("C\n", limit.IgnoreEntries+1))); !errors.As(err, &over) || over.Bound != limit.IgnoreEntries {
		t.Errorf("lines: %v", err)
	}
	if file, err := ignorefile.Decode(".trivyignore", []byte(strings.Repeat("C\n", limit.IgnoreEntries))); err != nil || len(file.Entries) != limit.IgnoreEntries {
		t.Errorf("at the bound: %v", err)
	}
	if _, err := ignorefile.Decode(".trivyignore", []byte(strings.Repeat("#", limit.Policy+1))); !errors.As(err, &over) || over.Bound != limit.Policy {
		t.Errorf("bytes: %v", err)
	}
	for _, head := range []string{"ignore:\n", "vulnerabilities:\n"} {
		if _, err := ignorefile.Decode("x.yaml", []byte(head+strings.Repeat("- {id: C}\n", limit.IgnoreEntries+1))); !errors.As(err, &over) || over.Bound != limit.IgnoreEntries {
			t.Errorf("%s: %v", head, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(".assayignore.yaml", []byte(own))
	f.Add(".trivyignore", []byte("# x\nCVE-1 exp:2026-01-01\n"))
	f.Add("t.yaml", []byte("vulnerabilities:\n  - id: CVE-1\n"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		file, err := ignorefile.Decode(name, content)
		if err != nil {
			return
		}
		for _, e := range file.Entries {
			if e.ID == "" || e.Line < 1 || !file.Legacy && e.Reason == "" {
				t.Fatalf("half an entry: %+v", e)
			}
		}
	})
}
