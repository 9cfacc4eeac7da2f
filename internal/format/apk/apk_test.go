package apk_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/apk"
)

const installed = `C:Q1abcdefghijklmnopqrstuvwxyz0=
P:musl
V:1.2.5-r0
A:x86_64
S:411523
I:663552
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Somebody <somebody@example.com>
t:1711216379
c:0123456789abcdef0123456789abcdef01234567
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1abcdefghijklmnopqrstuvwxyz0=

P:py3-idna-pyc
V:3.7-r0
A:noarch
L:BSD-3-Clause
o:py3-idna
D:py3-idna python3~3.12
F:usr/lib/python3.12/site-packages/idna-3.7.dist-info
R:METADATA
R:RECORD
F:
R:at-the-root
`

func TestParse(t *testing.T) {
	got, err := apk.Parse(strings.NewReader(installed), "db", func(name string) bool { return strings.HasSuffix(name, "METADATA") || !strings.Contains(name, "/") })
	if err != nil {
		t.Fatal(err)
	}
	want := []apk.Package{
		{Name: "musl", Version: "1.2.5-r0", Architecture: "x86_64", Origin: "musl", License: "MIT", Commit: "0123456789abcdef0123456789abcdef01234567", Provides: []string{"so:libc.musl-x86_64.so.1=1"}, Line: 1},
		{Name: "py3-idna-pyc", Version: "3.7-r0", Architecture: "noarch", Origin: "py3-idna", License: "BSD-3-Clause", Owned: []string{"usr/lib/python3.12/site-packages/idna-3.7.dist-info/METADATA", "at-the-root"}, Line: 20},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestComponent(t *testing.T) {
	packages, err := apk.Parse(strings.NewReader(installed), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	where := component.Location{Path: "lib/apk/db/installed", Line: 20}
	want := component.Component{
		Ecosystem: "Alpine:v3.20", Name: "py3-idna-pyc", Version: "3.7-r0", Architecture: "noarch", SourceName: "py3-idna", SourceVersion: "3.7-r0",
		PURL:       "pkg:apk/alpine/py3-idna-pyc@3.7-r0?arch=noarch&distro=alpine-3.20.3&upstream=py3-idna",
		Dependency: component.Installed, Licenses: []string{"BSD-3-Clause"}, Expression: "BSD-3-Clause", Locations: []component.Location{where},
	}
	if got := packages[1].Component(component.OperatingSystem{ID: "alpine", VersionID: "3.20.3"}, where); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if c := packages[0].Component(component.OperatingSystem{ID: "postmarketos", VersionID: "24.06"}, where); c.Ecosystem != "postmarketos" {
		t.Errorf("the ecosystem of a distribution that OSV knows nothing of is %q", c.Ecosystem)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// endless is the same text again and again.
type endless struct{ text, rest string }

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.rest = e.text
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestDamage(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no field", "P:a\nV:1\nwhat is this\n", "db:3: "},
		{"a field without a letter", "P:a\n:1\n", "db:2: "},
		{"no version", "\n\nP:a\n\nP:b\nV:1\n", "db:3: an entry without a name"},
		{"no name", "V:1\n", "db:1: an entry without a name"},
		{"an empty name", "P:\nV:1\n", "db:1: an entry without a name"},
		{"cut off in the last entry", "P:a\nV:1\n\nP:b", "db:4: an entry without a name"},
		{"two versions", "P:a\nV:1\nV:2\n", "db:3: the field V is given twice"},
		{"two names, as where an empty line is gone", "P:a\nV:1\nP:b\nV:2\n", "db:3: the field P is given twice"},
		{"a line without an end", "P:a\nD:" + strings.Repeat("x", 1<<20) + "\n", "db:2: longer than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			packages, err := apk.Parse(strings.NewReader(test.text), "db", nil)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || packages != nil {
				t.Errorf("error is %v, want one that starts with %q; %v", err, test.want, packages)
			}
		})
	}
	gone := errors.New("the layer is gone")
	if _, err := apk.Parse(io.MultiReader(strings.NewReader(installed), failing{gone}), "db", nil); !errors.Is(err, gone) {
		t.Errorf("a reader that fails: %v", err)
	}
	var bound *limit.Error
	if _, err := apk.Parse(&endless{text: "P:a\nV:1\n\n"}, "db", nil); !errors.As(err, &bound) || bound.Bound != limit.InstalledPackages {
		t.Errorf("packages without an end: %v", err)
	}
	if _, err := apk.Parse(strings.NewReader(strings.Repeat("P:a\nV:1\n\n", limit.InstalledPackages)), "db", nil); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	if _, err := apk.Parse(&endless{text: "T:" + strings.Repeat("x", 64<<10) + "\n"}, "db", nil); !errors.As(err, &bound) || bound.Bound != limit.PackageDatabase {
		t.Errorf("bytes over the bound: %v", err)
	}
}

func TestEmpty(t *testing.T) {
	for _, text := range []string{"", "\n\n", " \r\n"} {
		if packages, err := apk.Parse(strings.NewReader(text), "db", nil); err != nil || len(packages) != 0 {
			t.Errorf("%q: %v, %v", text, packages, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{installed, "", "P:a\nV:1", "P:a\r\nV:1\r\n\r\n", "F:\nR:x\nP:\xff\nV:\x00", "P:a\nP:b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		packages, err := apk.Parse(strings.NewReader(text), "db", func(string) bool { return true })
		if err != nil {
			if packages != nil || !strings.HasPrefix(err.Error(), "db") {
				t.Fatalf("%v with %d packages", err, len(packages))
			}
			return
		}
		var again strings.Builder
		for _, p := range packages {
			if p.Name == "" || p.Version == "" || p.Origin == "" || p.Line < 1 {
				t.Fatalf("read %+v", p)
			}
			fmt.Fprintf(&again, "P:%s\nV:%s\no:%s\n\n", p.Name, p.Version, p.Origin)
		}
		second, err := apk.Parse(strings.NewReader(again.String()), "db", nil)
		if err != nil || len(second) != len(packages) {
			t.Fatalf("read again: %d of %d, %v", len(second), len(packages), err)
		}
	})
}
