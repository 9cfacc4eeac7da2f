package dpkg_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/dpkg"
)

// status has the shape of var/lib/dpkg/status in a Debian image.
const status = `Package: adduser
Status: install ok installed
Priority: important
Section: admin
Maintainer: Nobody <nobody@example.com>
Architecture: all
Multi-Arch: foreign
Version: 3.134
Depends: passwd (>= 1:4.13+dfsg1-1)
Conffiles:
 /etc/adduser.conf 0000000000000000000000000000000000000000
 /etc/deluser.conf 0000000000000000000000000000000000000000
Description: add and remove users and groups
 This text has lines that look like fields:
 Package: not-a-package
 .
	Version: 0
Homepage: https://example.com

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u4

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Source: gcc-12 (12.2.0-14)
Version: 12.2.0-14+b1

Package: zlib1g
Status: hold ok installed
Architecture: amd64
Source: zlib
Version: 1:1.2.13.dfsg-1
`

func parse(t *testing.T, text string) []dpkg.Package {
	t.Helper()
	packages, err := dpkg.Parse(strings.NewReader(text), "status")
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return packages
}

func TestParse(t *testing.T) {
	want := []dpkg.Package{
		{Name: "adduser", Version: "3.134", Architecture: "all", SourceName: "adduser", SourceVersion: "3.134", Line: 1},
		{Name: "libc6", Version: "2.36-9+deb12u4", Architecture: "amd64", SourceName: "glibc", SourceVersion: "2.36-9+deb12u4", Line: 20},
		{Name: "libstdc++6", Version: "12.2.0-14+b1", Architecture: "amd64", SourceName: "gcc-12", SourceVersion: "12.2.0-14", Line: 26},
		{Name: "zlib1g", Version: "1:1.2.13.dfsg-1", Architecture: "amd64", SourceName: "zlib", SourceVersion: "1:1.2.13.dfsg-1", Line: 32},
	}
	for name, text := range map[string]string{
		"as dpkg writes it":    status,
		"line ends of DOS":     strings.ReplaceAll(status, "\n", "\r\n"),
		"an empty line more":   status + "\n",
		"many empty lines":     status + "\n\n\n",
		"no last line end":     strings.TrimSuffix(status, "\n"),
		"fields in any case":   strings.NewReplacer("\nPackage:", "\npackage:", "\nVersion:", "\nVERSION:", "\nSource:", "\nsOURCE:").Replace(status),
		"no space, much space": strings.NewReplacer("Version: ", "Version:", "Status: ", "Status: \t ", "all\n", "all \t\n").Replace(status),
	} {
		if diff := cmp.Diff(want, parse(t, text)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, text := range []string{"", "\n", "\n\r\n \n\t\n"} {
		if got := parse(t, text); len(got) != 0 {
			t.Errorf("%q holds %+v", text, got)
		}
	}
}

// TestParseLast: the entry that the end of the file ends counts, alone too.
func TestParseLast(t *testing.T) {
	for _, text := range []string{"Package: a\nVersion: 1", "Package: a\nVersion: 1\n", "Version: 1\nPackage: a", "\n\nPackage: a\nVersion: 1\r"} {
		if got := parse(t, text); len(got) != 1 || got[0].Name != "a" || got[0].Version != "1" {
			t.Errorf("%q read as %+v", text, got)
		}
	}
}

func TestParseStates(t *testing.T) {
	for state, there := range map[string]bool{
		"install ok installed":             true,
		"hold ok installed":                true,
		"deinstall ok installed":           true, // to be removed, not removed
		"install reinstreq installed":      true,
		"install ok unpacked":              true,
		"install ok half-configured":       true,
		"install ok triggers-awaited":      true,
		"install ok triggers-pending":      true,
		"install ok":                       true, // unknown words never hide a package
		"install ok no-such-state":         true,
		"config-files ok installed":        true,
		"":                                 true,
		"deinstall ok config-files":        false,
		"purge ok not-installed":           false,
		"unknown ok not-installed":         false,
		"install reinstreq half-installed": true,
		"install ok half-installed":        true,
	} {
		got := parse(t, "Package: a\nStatus: "+state+"\nVersion: 1\n\nPackage: b\nStatus: install ok installed\nVersion: 2\n")
		if want := 1 + map[bool]int{true: 1}[there]; len(got) != want || got[len(got)-1].Name != "b" {
			t.Errorf("state %q: %+v, want the package there: %v", state, got, there)
		}
	}
	// What is not there needs no version; the state of one entry is not the next one's.
	got := parse(t, "Package: gone\nStatus: purge ok not-installed\n\nPackage: here\nVersion: 1\n")
	if len(got) != 1 || got[0].Name != "here" {
		t.Errorf("%+v", got)
	}
}

// TestParseStatusD reads a file of status.d, as distroless images have them.
func TestParseStatusD(t *testing.T) {
	got := parse(t, "Package: base-files\nVersion: 12.4+deb12u5\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.com>\nDescription: Debian base system miscellaneous files\n")
	want := []dpkg.Package{{Name: "base-files", Version: "12.4+deb12u5", Architecture: "amd64", SourceName: "base-files", SourceVersion: "12.4+deb12u5", Line: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseSource(t *testing.T) {
	for value, want := range map[string][2]string{
		"glibc":                  {"glibc", "1-2"},
		"glibc (2.31-0ubuntu9)":  {"glibc", "2.31-0ubuntu9"},
		"glibc(2.31)":            {"glibc", "2.31"},
		"glibc   (  1:2.31  )  ": {"glibc", "1:2.31"},
		"glibc ()":               {"glibc", "1-2"},
		"(2.31)":                 {"a", "2.31"},
		"":                       {"a", "1-2"},
		"glibc (2.31":            {"glibc", "2.31"},
	} {
		got := parse(t, "Package: a\nSource: "+value+"\nVersion: 1-2\n")
		if len(got) != 1 || got[0].SourceName != want[0] || got[0].SourceVersion != want[1] {
			t.Errorf("Source: %s read as %+v, want %v", value, got, want)
		}
	}
}

func TestParseDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"no version":         {"Package: a\nStatus: install ok installed\n", 1},
		"no package":         {"Status: install ok installed\nVersion: 1\n", 1},
		"an empty version":   {"Package: a\nVersion:\n", 1},
		"an empty package":   {"Package: \nVersion: 1\n", 1},
		"later in the file":  {status + "\n\nPackage: a\n\n" + status, 39},
		"the last":           {status + "\nPackage: a", 38},
		"not a control file": {"\x7fELF\x02\x01\x01\n", 1},
		"only continuations": {" Package: a\n Version: 1\n", 1},
		"a space in the key": {"Package : a\nVersion: 1\n", 1},
		"split by air":       {"Package: a\n \nVersion: 1\n", 1},
		"split by much air":  {"Package: a\n" + strings.Repeat(" ", 5000) + "x\nVersion: 1\n", 1},
	} {
		got, err := dpkg.Parse(strings.NewReader(c.text), "var/lib/dpkg/status")
		want := fmt.Sprintf("var/lib/dpkg/status:%d: ", c.line)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: error %v, want one that starts %q", name, err, want)
		}
		if got != nil {
			t.Errorf("%s: an error, and still %+v", name, got)
		}
	}
}

// TestParseTwice: dpkg refuses a field that stands there twice, and so does a
// reader that must not be told another state than dpkg's.
func TestParseTwice(t *testing.T) {
	for _, field := range []string{"Package: b", "Version: 2", "Status: purge ok not-installed", "status: purge ok not-installed"} {
		text := "Package: a\nStatus: install ok installed\nVersion: 1\n" + field + "\n"
		if got, err := dpkg.Parse(strings.NewReader(text), "status"); err == nil || !strings.HasPrefix(err.Error(), "status:4: ") || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%s: %+v, error %v", field, got, err)
		}
	}
	if got := parse(t, "Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\n"); len(got) != 2 {
		t.Errorf("two entries read as %+v", got)
	}
}

func TestParseLongLines(t *testing.T) {
	const most = 4096 // of a line that is kept, with its end
	for _, field := range []string{"Package", "Version", "Architecture", "Source", "Status"} {
		entry := strings.Join(slices.DeleteFunc([]string{"Package: a\n", "Version: 1\n", "Section: x\n"}, func(line string) bool { return strings.HasPrefix(line, field) })[:2], "")
		fit := field + ": " + strings.Repeat("x", most-len(field)-3) + "\n"
		if _, err := dpkg.Parse(strings.NewReader(entry+fit), "status"); err != nil {
			t.Errorf("%s of %d bytes: %v", field, len(fit), err)
		}
		for _, extra := range []int{1, 70_000} { // more than the reader's buffer, too
			long := field + ": " + strings.Repeat("x", most-len(field)-3+extra) + "\n"
			if got, err := dpkg.Parse(strings.NewReader(entry+long), "status"); err == nil || !strings.HasPrefix(err.Error(), "status:3: ") || !strings.Contains(err.Error(), "longer than 4096 bytes") {
				t.Errorf("%s of %d bytes: %v, error %v", field, len(long), got, err)
			}
		}
	}
	long := strings.Repeat("x", 200_000)
	got := parse(t, "Package: a\nDescription: "+long+"\n "+long+":\n"+long+"\n"+long+": Package\nVersion: 1\n")
	if len(got) != 1 || got[0].Version != "1" {
		t.Errorf("long lines that nobody keeps: %+v", got)
	}
}

// endless repeats a byte, so that the bound is met without the memory.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestParseBound(t *testing.T) {
	var over *limit.Error
	endlessLine := io.MultiReader(strings.NewReader(status+"Description: "), endless('x'))
	if got, err := dpkg.Parse(endlessLine, "status"); !errors.As(err, &over) || over.Bound != limit.PackageDatabase || got != nil {
		t.Errorf("a line without end: %d packages, error %v", len(got), err)
	}
	const most = 200_000
	many := strings.Repeat("Package:a\nVersion:1\n\n", most)
	if got := parse(t, many); len(got) != most {
		t.Errorf("%d packages, want %d", len(got), most)
	}
	if got, err := dpkg.Parse(strings.NewReader(many+"Package:b\nVersion:1"), "status"); !errors.As(err, &over) || over.Bound != most || got != nil {
		t.Errorf("too many: %d packages, error %v", len(got), err)
	}
	gone := errors.New("the layer is gone")
	if got, err := dpkg.Parse(io.MultiReader(strings.NewReader(status), failing{gone}), "status"); !errors.Is(err, gone) || got != nil {
		t.Errorf("a reader that fails: %+v, %v", got, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestComponent(t *testing.T) {
	where := component.Location{Path: "var/lib/dpkg/status", Line: 7}
	p := dpkg.Package{Name: "libstdc++6", Version: "1:12.2.0-14+b1", Architecture: "amd64", SourceName: "gcc-12", SourceVersion: "12.2.0-14"}
	for _, c := range []struct {
		os              component.OperatingSystem
		ecosystem, purl string
	}{
		{component.OperatingSystem{ID: "debian", VersionID: "12"}, "Debian:12", "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bb1?arch=amd64&distro=debian-12"},
		{component.OperatingSystem{ID: "ubuntu", VersionID: "22.04"}, "Ubuntu:22.04", "pkg:deb/ubuntu/libstdc%2B%2B6@1:12.2.0-14%2Bb1?arch=amd64&distro=ubuntu-22.04"},
		// Which release it is, nobody says: OSV has no advisories of that.
		{component.OperatingSystem{ID: "debian"}, "debian", "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bb1?arch=amd64&distro=debian"},
		// Nobody has advisories of it: its own name, never that of a relative.
		{component.OperatingSystem{ID: "linuxmint", VersionID: "21"}, "linuxmint", "pkg:deb/linuxmint/libstdc%2B%2B6@1:12.2.0-14%2Bb1?arch=amd64&distro=linuxmint-21"},
	} {
		got := p.Component(c.os, where)
		if got.Ecosystem != c.ecosystem || got.PURL != c.purl {
			t.Errorf("%s %s: %s, %s; want %s, %s", c.os.ID, c.os.VersionID, got.Ecosystem, got.PURL, c.ecosystem, c.purl)
		}
		if got.Name != p.Name || got.Version != p.Version || got.SourceName != "gcc-12" || got.SourceVersion != "12.2.0-14" || got.Architecture != "amd64" ||
			got.Dependency != component.Installed || len(got.Locations) != 1 || got.Locations[0] != where {
			t.Errorf("component is %+v", got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		status, "", "\r\n", "Package: a\nVersion: 1", "Package:\x00\nVersion:\xff\n\n", "Package: a\nStatus: x half-installed\n",
		"Package: a\nSource: (((\nVersion: )\n", "Package: a\nVersion: 1\nPackage: b\n\nVersion: 2", ":\n::\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		packages, err := dpkg.Parse(strings.NewReader(text), "where")
		if err != nil {
			if packages != nil || !strings.HasPrefix(err.Error(), "where:") {
				t.Fatalf("%+v, %v", packages, err)
			}
			return
		}
		line := 0
		for _, p := range packages {
			if p.Name == "" || p.Version == "" || p.SourceName == "" || p.SourceVersion == "" || p.Line <= line {
				t.Fatalf("%+v after line %d", p, line)
			}
			if strings.Contains(p.Name+p.Version+p.Architecture+p.SourceName+p.SourceVersion, "\n") {
				t.Fatalf("a line break in %+v", p)
			}
			line = p.Line
			if c := p.Component(component.OperatingSystem{ID: "debian", VersionID: "12"}, component.Location{Path: "x"}); !strings.HasPrefix(c.PURL, "pkg:deb/debian/") {
				t.Fatalf("package URL %q", c.PURL)
			}
		}
	})
}
