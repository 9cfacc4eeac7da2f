package imagefs_test

import (
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/port/imagefs"
)

// database is one of format/rpmdb's real databases.
func database(t *testing.T, name string) string {
	t.Helper()
	packed, err := os.Open("../../format/rpmdb/testdata/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// rpm's databases are read at each of their places, and a log beside one of
// them counts.
func TestRPM(t *testing.T) {
	sqlite, wal, bdb := database(t, "sqlite"), database(t, "wal"), database(t, "bdb")
	four := []string{"alpha 1.0-1.el9", "beta 2:2.5~rc1-3.el9_2", "beta-docs 2.5~rc1-3.el9_2", "beta-libs 1:7.0-3.el9_2"}
	five := append(append([]string{}, four...), "late 1-1")
	for _, test := range []struct {
		name    string
		entries []entry
		want    []string
	}{
		{"SQLite", []entry{file("var/lib/rpm/rpmdb.sqlite", sqlite)}, four},
		{"SQLite, in /usr", []entry{file("usr/lib/sysimage/rpm/rpmdb.sqlite", sqlite), file("usr/lib/sysimage/rpm/rpmdb.sqlite-wal", ""), file("usr/lib/sysimage/rpm/rpmdb.sqlite-shm", "x")}, four},
		{"SQLite with a log", []entry{file("var/lib/rpm/rpmdb.sqlite", sqlite), file("var/lib/rpm/rpmdb.sqlite-wal", wal)}, five},
		{"a log beside another database", []entry{file("var/lib/rpm/rpmdb.sqlite", sqlite), file("usr/lib/sysimage/rpm/rpmdb.sqlite-wal", wal)}, four},
		{"SQLite in the middle of a change is said", []entry{file("var/lib/rpm/rpmdb.sqlite", sqlite), file("var/lib/rpm/rpmdb.sqlite-journal", "x")}, []string{"? var/lib/rpm/rpmdb.sqlite"}},
		{"an empty journal", []entry{file("var/lib/rpm/rpmdb.sqlite", sqlite), file("var/lib/rpm/rpmdb.sqlite-journal", "")}, four},
		{"Berkeley DB", []entry{file("var/lib/rpm/Packages", bdb)}, four},
		{"elsewhere it is only a file", []entry{file("srv/lib/rpm/Packages", bdb), file("etc/os-release", "ID=x\n")}, []string{"? etc/os-release"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			entries := append([]entry{file("etc/os-release", rhel)}, test.entries...)
			if diff := cmp.Diff(test.want, listed(read(t, image(t, layer(t, entries...))))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	// Removed in a later layer, log and all.
	above := layer(t, file("var/lib/rpm/.wh.rpmdb.sqlite-wal", ""))
	below := layer(t, file("etc/os-release", rhel), file("var/lib/rpm/rpmdb.sqlite", sqlite), file("var/lib/rpm/rpmdb.sqlite-wal", wal))
	if diff := cmp.Diff(four, listed(read(t, image(t, below, above)))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	damaged := layer(t, file("etc/os-release", rhel), file("var/lib/rpm/rpmdb.sqlite", sqlite[:8192]))
	if _, _, err := imagefs.Read(t.Context(), image(t, damaged), imagefs.Config{}); err == nil || !strings.Contains(err.Error(), "var/lib/rpm/rpmdb.sqlite: ") {
		t.Errorf("a database that was cut off: %v", err)
	}
}

// Packages are of the image's distribution, unless that one uses another
// package manager.
func TestWhoseDatabase(t *testing.T) {
	for _, test := range []struct {
		name    string
		entries []entry
		want    map[string]string
	}{
		{"one for each", []entry{file("etc/os-release", debian), file(status, bash), file("var/lib/rpm/Packages", database(t, "bdb"))}, map[string]string{"bash": "Debian:12", "alpha": "unknown"}},
		{"of one that OSV knows nothing of", []entry{file("etc/os-release", "ID=fedora\nVERSION_ID=40\n"), file("var/lib/rpm/Packages", database(t, "bdb"))}, map[string]string{"alpha": "fedora"}},
		{"of none", []entry{file("lib/apk/db/installed", "P:musl\nV:1\n")}, map[string]string{"musl": "unknown"}},
		{"of Alpine", []entry{file("etc/os-release", alpine), file("lib/apk/db/installed", "P:musl\nV:1\n")}, map[string]string{"musl": "Alpine:v3.20"}},
	} {
		got := map[string]string{}
		for _, c := range read(t, image(t, layer(t, test.entries...))).Components {
			if test.want[c.Name] != "" {
				got[c.Name] = c.Ecosystem
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.name, diff)
		}
	}
}

func TestWheelFiles(t *testing.T) {
	got := read(t, image(t, layer(t, file("srv/torch-2.1.0+cpu-cp311-cp311-linux_x86_64.whl", "PK"), file("srv/not_a_wheel.whl", "x"))))
	if diff := cmp.Diff([]string{"? srv/not_a_wheel.whl", "torch 2.1.0+cpu"}, listed(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if c := got.Components[0]; c.Dependency != component.Packaged {
		t.Errorf("the wheel is %s", c.Dependency)
	}
}

// A Python package that the distribution brought says who owns it; one that
// somebody put over it does not.
func TestOwner(t *testing.T) {
	const (
		pandas = "Package: python3-pandas\nStatus: install ok installed\nArchitecture: all\nVersion: 1:1.5.3+dfsg-2\n\n"
		path   = site + "pandas-1.5.3.dist-info/METADATA"
		list   = "/.\n/usr\n/" + path + "\n/usr/share/doc\n"
		deb    = "pkg:deb/debian/python3-pandas@1:1.5.3%2Bdfsg-2?arch=all&distro=debian-12"
	)
	distro := []entry{file("etc/os-release", debian), file(status, bash+pandas)}
	with := func(entries ...entry) []entry { return append(append([]entry{}, distro...), entries...) }
	for _, test := range []struct {
		name   string
		layers [][]entry
		want   string
	}{
		{"dpkg", [][]entry{with(file("var/lib/dpkg/info/python3-pandas.list", list), file(path, metadata("pandas", "1.5.3")))}, deb},
		{"dpkg, by name and architecture", [][]entry{with(file("var/lib/dpkg/info/python3-pandas:all.list", list), file(path, metadata("pandas", "1.5.3")))}, deb},
		{"an egg-info that is a file", [][]entry{with(file("var/lib/dpkg/info/python3-pandas.list", "/"+site+"pandas.egg-info\n"), file(site+"pandas.egg-info", metadata("pandas", "1.5.3")))}, deb},
		{"distroless", [][]entry{{file("etc/os-release", debian), file("var/lib/dpkg/status.d/p", strings.Replace(pandas, "Status: install ok installed\n", "", 1)), file("var/lib/dpkg/status.d/p.md5sums", "00  "+path+"\n"), file(path, metadata("pandas", "1.5.3"))}}, deb},
		{"the list comes in a later layer", [][]entry{with(file(path, metadata("pandas", "1.5.3"))), {file("var/lib/dpkg/info/python3-pandas.list", list)}}, deb},
		{"listed by nobody", [][]entry{with(file("var/lib/dpkg/info/python3-pandas.list", "/.\n"), file(path, metadata("pandas", "1.5.3")))}, ""},
		{"listed by one that is not installed", [][]entry{with(file("var/lib/dpkg/info/python3-other.list", list), file(path, metadata("pandas", "1.5.3")))}, ""},
		{"another version was put over it", [][]entry{with(file("var/lib/dpkg/info/python3-pandas.list", list), file(path, metadata("pandas", "1.5.2")))}, ""},
		{"a version that only begins alike", [][]entry{with(file("var/lib/dpkg/info/python3-pandas.list", list), file(path, metadata("pandas", "1.5")))}, ""},
		{"it was put there in a later layer", [][]entry{with(file("var/lib/dpkg/info/python3-pandas.list", list), file(path, metadata("pandas", "1.5.3"))), {file(path, metadata("pandas", "1.5.3"))}}, ""},
		{"the list was removed", [][]entry{with(file("var/lib/dpkg/info/python3-pandas.list", list), file(path, metadata("pandas", "1.5.3"))), {file("var/lib/dpkg/info/.wh.python3-pandas.list", "")}}, ""},
		{"apk", [][]entry{{file("etc/os-release", alpine), file("lib/apk/db/installed", "P:py3-pandas\nV:1.5.3-r1\nF:"+strings.TrimSuffix(path, "/METADATA")+"\nR:METADATA\n"), file(path, metadata("pandas", "1.5.3"))}}, "pkg:apk/alpine/py3-pandas@1.5.3-r1?distro=alpine-3.20.3"},
		{"rpm", [][]entry{{file("etc/os-release", rhel), file("var/lib/rpm/Packages", database(t, "bdb")), file("usr/lib/python3.9/site-packages/beta-2.5.dist-info/METADATA", metadata("pandas", "2.5rc1"))}}, "pkg:rpm/redhat/beta@2.5~rc1-3.el9_2?arch=noarch&distro=rhel-9.4&epoch=2&upstream=beta-2.5~rc1-3.el9_2.src.rpm"},
		{"rpm, another version", [][]entry{{file("etc/os-release", rhel), file("var/lib/rpm/Packages", database(t, "bdb")), file("usr/lib/python3.9/site-packages/beta-2.5.dist-info/METADATA", metadata("pandas", "2.4"))}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			made := image(t)
			for _, entries := range test.layers {
				made = stack(t, made, layer(t, entries...))
			}
			found := false
			for _, c := range read(t, made).Components {
				if c.Name != "pandas" {
					continue
				}
				found = true
				if c.Owner != test.want {
					t.Errorf("it is owned by %q, want %q", c.Owner, test.want)
				}
			}
			if !found {
				t.Error("the Python package itself is not there")
			}
		})
	}
}

// Licences come from the copyright file, through the links that Debian has
// between packages of one source.
func TestLicences(t *testing.T) {
	const (
		machine = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: x\nLicense: Expat\n"
		doc     = "usr/share/doc/"
	)
	for _, test := range []struct {
		name    string
		entries []entry
		want    string
	}{
		{"its own", []entry{file(doc+"bash/copyright", machine)}, "MIT"},
		{"through a link of directories", []entry{file(doc+"zlib/copyright", machine), symlink(doc+"bash", "zlib")}, "MIT"},
		{"through a link of files", []entry{file(doc+"zlib/copyright", machine), symlink(doc+"bash/copyright", "../zlib/copyright")}, "MIT"},
		{"a link to itself", []entry{symlink(doc+"bash", "bash")}, ""},
		{"none", nil, ""},
		{"of another", []entry{file(doc+"zlib/copyright", machine)}, ""},
		{"of no known form", []entry{file(doc+"bash/copyright", "All yours.\n")}, ""},
	} {
		entries := append([]entry{file("etc/os-release", debian), file(status, bash)}, test.entries...)
		inventory := read(t, image(t, layer(t, entries...)))
		if len(inventory.Components) != 1 || inventory.Components[0].Expression != test.want || len(inventory.Unresolved) != 0 {
			t.Errorf("%s: %q, want %q; %v", test.name, inventory.Components[0].Expression, test.want, listed(inventory))
		}
	}
}
