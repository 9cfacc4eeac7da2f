package rpmdb_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/rpmdb"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.Open("testdata/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// wanted is what rpm itself says of the fixtures.
func wanted(t testing.TB, late bool) []string {
	t.Helper()
	content, err := os.ReadFile("testdata/list.txt")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(content)), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "gpg-pubkey|") || !late && strings.HasPrefix(line, "late|")
	})
}

// listed spells packages as rpm's list does.
func listed(packages []rpmdb.Package) []string {
	var list []string
	for _, p := range packages {
		fields := []string{p.Name, fmt.Sprint(p.Epoch), p.Version, p.Release, p.Architecture, p.SourceRPM, p.License, p.Vendor, p.Modularity}
		for i := range fields {
			if fields[i] == "" {
				fields[i] = "(none)"
			}
		}
		list = append(list, strings.Join(fields, "|"))
	}
	slices.Sort(list)
	return list
}

func TestRealDatabases(t *testing.T) {
	sqlite := fixture(t, "sqlite")
	for _, test := range []struct {
		name         string
		content, wal []byte
		late         bool
	}{
		{"SQLite", sqlite, nil, false},
		{"SQLite with a log", sqlite, fixture(t, "wal"), true},
		{"Berkeley DB, little-endian", fixture(t, "bdb"), nil, false},
		{"Berkeley DB, big-endian", fixture(t, "bdb-big"), nil, false},
		{"NDB", ndb(headers(t)...), nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			packages, err := rpmdb.Parse(test.content, "db", rpmdb.Config{WAL: test.wal, Owns: func(name string) bool { return strings.Contains(name, ".dist-info/") }})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted(t, test.late), listed(packages)); diff != "" {
				t.Errorf("(-rpm +assay)\n%s", diff)
			}
			for _, p := range packages {
				want := []string(nil)
				if p.Name == "beta" {
					want = []string{"usr/lib/python3.9/site-packages/beta-2.5.dist-info/METADATA"}
				}
				if diff := cmp.Diff(want, p.Owned); diff != "" {
					t.Errorf("files of %s (-want +got)\n%s", p.Name, diff)
				}
			}
		})
	}
}

func TestComponents(t *testing.T) {
	packages, err := rpmdb.Parse(fixture(t, "sqlite"), "db", rpmdb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	os := component.OperatingSystem{ID: "rhel", VersionID: "9.4"}
	got := map[string]string{}
	for _, c := range rpmdb.Components(packages, os, component.Location{Path: "db"}) {
		got[c.Name] = strings.Join([]string{c.Ecosystem, c.Version, c.SourceName, c.SourceVersion, c.PURL}, " ")
	}
	want := map[string]string{
		"alpha": "Red Hat:enterprise_linux:9 1.0-1.el9 alpha 1.0-1.el9 pkg:rpm/redhat/alpha@1.0-1.el9?arch=noarch&distro=rhel-9.4&upstream=alpha-1.0-1.el9.src.rpm",
		"beta":  "Red Hat:enterprise_linux:9 2:2.5~rc1-3.el9_2 beta 2:2.5~rc1-3.el9_2 pkg:rpm/redhat/beta@2.5~rc1-3.el9_2?arch=noarch&distro=rhel-9.4&epoch=2&upstream=beta-2.5~rc1-3.el9_2.src.rpm",
		// Its own version is another than its source's, whose epoch beta tells.
		"beta-libs": "Red Hat:enterprise_linux:9 1:7.0-3.el9_2 beta 2:2.5~rc1-3.el9_2 pkg:rpm/redhat/beta-libs@7.0-3.el9_2?arch=noarch&distro=rhel-9.4&epoch=1&upstream=beta-2.5~rc1-3.el9_2.src.rpm",
	}
	delete(got, "beta-docs")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// tag is an entry of a header: a string, strings, or numbers.
type tag struct {
	number uint32
	value  any
}

// header makes a header as rpm's database holds it.
func header(tags ...tag) []byte {
	var index, data []byte
	for _, t := range tags {
		kind, count := uint32(6), 1
		start := len(data)
		switch value := t.value.(type) {
		case string:
			data = append(append(data, value...), 0)
		case []string:
			kind, count = 8, len(value)
			for _, v := range value {
				data = append(append(data, v...), 0)
			}
		case []uint32:
			kind, count = 4, len(value)
			for _, v := range value {
				data = binary.BigEndian.AppendUint32(data, v)
			}
		}
		for _, v := range []uint32{t.number, kind, uint32(start), uint32(count)} {
			index = binary.BigEndian.AppendUint32(index, v)
		}
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(tags)))
	return slices.Concat(binary.BigEndian.AppendUint32(head, uint32(len(data))), index, data)
}

func minimal(name string, more ...tag) []byte {
	return header(append([]tag{{1000, name}, {1001, "1"}, {1002, "2"}}, more...)...)
}

// headers are made anew from what rpm lists of the fixtures.
func headers(t testing.TB) [][]byte {
	t.Helper()
	var list [][]byte
	for _, line := range wanted(t, false) {
		f := strings.Split(line, "|")
		tags := []tag{{1000, f[0]}, {1001, f[2]}, {1002, f[3]}, {1014, f[6]}, {1022, f[4]}, {1044, f[5]}}
		if f[1] != "0" {
			tags = append(tags, tag{1003, []uint32{uint32(f[1][0] - '0')}})
		}
		if f[7] != "(none)" {
			tags = append(tags, tag{1011, f[7]})
		}
		if f[8] != "(none)" {
			tags = append(tags, tag{5096, f[8]})
		}
		if f[0] == "beta" {
			tags = append(tags, tag{1116, []uint32{0, 1}}, tag{1117, []string{"beta", "METADATA"}}, tag{1118, []string{"/usr/share/", "/usr/lib/python3.9/site-packages/beta-2.5.dist-info/"}})
		}
		list = append(list, header(tags...))
	}
	return list
}

// ndb makes an NDB file of one page of slots.
func ndb(blobs ...[]byte) []byte {
	le := binary.LittleEndian
	content := make([]byte, 4096)
	copy(content, "RpmP")
	le.PutUint32(content[8:], 7)
	le.PutUint32(content[12:], 1)
	for at := 32; at < 4096; at += 16 {
		copy(content[at:], "Slot")
	}
	for i, blob := range blobs {
		b := append(le.AppendUint32(nil, 0), 0, 0, 0, 0, 7, 0, 0, 0)
		copy(b, "BlbS")
		le.PutUint32(b[4:], uint32(i+1))
		b = append(le.AppendUint32(b, uint32(len(blob))), blob...)
		for (len(b)+12)%16 != 0 {
			b = append(b, 0)
		}
		b = le.AppendUint32(b, adler32.Checksum(b))
		b = append(le.AppendUint32(b, uint32(len(blob))), "BlbE"...)
		slot := content[32+16*i:]
		le.PutUint32(slot[4:], uint32(i+1))
		le.PutUint32(slot[8:], uint32(len(content)/16))
		le.PutUint32(slot[12:], uint32(len(b)/16))
		content = append(content, b...)
	}
	return content
}

func TestHeaders(t *testing.T) {
	files := func(indexes []uint32, names, dirs []string) []byte {
		return minimal("a", tag{1116, indexes}, tag{1117, names}, tag{1118, dirs})
	}
	cut := func(blob []byte, at int, value uint32) []byte {
		blob = slices.Clone(blob)
		binary.BigEndian.PutUint32(blob[at:], value)
		return blob
	}
	for _, test := range []struct {
		name string
		blob []byte
		want string // an error, or the files
	}{
		{"old names", minimal("a", tag{1027, []string{"/x/y", "/z"}}), "[x/y z]"},
		{"names and directories", files([]uint32{1, 0}, []string{"b", "c"}, []string{"/d/", "/"}), "[b]"},
		{"no files", minimal("a"), "[]"},
		{"empty", nil, "cut off"},
		{"no name", header(tag{1001, "1"}, tag{1002, "1"}), "no name, version or release"},
		{"no release", header(tag{1000, "a"}, tag{1001, "1"}), "no name, version or release"},
		{"a name twice", minimal("a", tag{1000, "b"}), "the tag 1000 twice"},
		{"a name of numbers", header(tag{1000, []uint32{1}}, tag{1001, "1"}, tag{1002, "1"}), "has the type 4"},
		{"an epoch of words", minimal("a", tag{1003, "1"}), "has the type 6"},
		{"more tags than there are", cut(minimal("a"), 0, 4), "says that it has 4 tags"},
		{"more tags than may be", cut(minimal("a"), 0, limit.RPMTags+1), fmt.Sprint(limit.RPMTags)},
		{"more data than there is", cut(minimal("a"), 4, 1<<31), "bytes of data"},
		{"a name outside", cut(minimal("a"), 16, 1<<30), "lies outside"},
		{"a name at the last byte", cut(minimal("a"), 16, 6), "lies outside"},
		{"a release without an end", cut(minimal("a"), 4, 5)[:8+3*16+5], "the tag 1002 of its header is cut off"},
		{"an epoch outside", cut(minimal("a", tag{1003, []uint32{1}}), 8+3*16+8, 8), "lies outside"},
		{"more epochs than there are", cut(minimal("a", tag{1003, []uint32{1}}), 8+3*16+12, 1<<31), "lies outside"},
		{"a directory that is not there", files([]uint32{0, 2}, []string{"b", "c"}, []string{"/d/", "/"}), "names the directory 2 of 2"},
		{"more files than directories of files", files([]uint32{0}, []string{"b", "c"}, []string{"/d/"}), "2 files in 1 directories"},
		{"a header over the bound", make([]byte, limit.RPMHeader+1), fmt.Sprint(limit.RPMHeader)},
	} {
		t.Run(test.name, func(t *testing.T) {
			content := ndb(test.blob)
			packages, err := rpmdb.Parse(content, "db", rpmdb.Config{Owns: func(name string) bool { return !strings.HasPrefix(name, "d/") }})
			if err != nil {
				if !strings.Contains(err.Error(), test.want) || strings.HasPrefix(test.want, "[") || !strings.HasPrefix(err.Error(), "db: package 1: ") {
					t.Errorf("error is %v, want %q", err, test.want)
				}
				return
			}
			if got := fmt.Sprint(packages[0].Owned); got != test.want {
				t.Errorf("files are %s, want %s", got, test.want)
			}
		})
	}
}

// Whatever is cut off, no package may be missing without a word.
func TestTruncatedIsAnError(t *testing.T) {
	for name, content := range map[string][]byte{"sqlite": fixture(t, "sqlite"), "bdb": fixture(t, "bdb"), "ndb": ndb(headers(t)...)} {
		step := len(content)/97 + 1
		for size := 0; size < len(content); size += step {
			if packages, err := rpmdb.Parse(content[:size], "db", rpmdb.Config{}); err == nil {
				t.Errorf("%s cut off after %d of %d bytes gives %d packages", name, size, len(content), len(packages))
			}
		}
	}
}

func put(order binary.ByteOrder, content []byte, at int, value uint32) []byte {
	content = slices.Clone(content)
	order.PutUint32(content[at:], value)
	return content
}

func TestDamage(t *testing.T) {
	be, le := binary.BigEndian, binary.LittleEndian
	sqlite, bdb, made := fixture(t, "sqlite"), fixture(t, "bdb"), ndb(minimal("a"), minimal("b"))
	set := func(content []byte, at int, value ...byte) []byte {
		content = slices.Clone(content)
		copy(content[at:], value)
		return content
	}
	page := int(le.Uint32(bdb[20:]))
	overflow, bucket := 0, 0
	for at := len(bdb) - page; at > 0; at -= page {
		switch bdb[at+25] {
		case 7:
			if le.Uint32(bdb[at+16:]) != 0 {
				overflow = at
			}
		case 13:
			if le.Uint16(bdb[at+20:]) > 0 {
				bucket = at
			}
		}
	}
	if overflow == 0 || bucket == 0 {
		t.Fatal("the Berkeley DB fixture has no chain or no bucket")
	}
	for _, test := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"no database", []byte("Name: alpha"), "neither an SQLite"},
		{"nothing", nil, "neither an SQLite"},
		{"Berkeley DB of another version", put(le, bdb, 16, 7), "version 7"},
		{"Berkeley DB with checksums", set(bdb, 26, 1), "checksums"},
		{"Berkeley DB that is encrypted", set(bdb, 24, 1), "encryption"},
		{"Berkeley DB of a tree", set(bdb, 25, 9), "type 9"},
		{"Berkeley DB with pages of nothing", put(le, bdb, 20, 0), "pages of 0 bytes"},
		{"Berkeley DB with odd pages", put(le, bdb, 20, 4095), "pages of 4095 bytes"},
		{"Berkeley DB with more pages than it has", put(le, bdb, 32, 1<<32-1), "says that it has"},
		{"a page of no known type", set(bdb, bucket+25, 99), "type 99"},
		{"a bucket that was emptied", set(bdb, bucket+25, 0), "no entry leads to"},
		{"a bucket with an odd item", set(bdb, bucket+20, 1), "items"},
		{"a bucket with too many items", set(bdb, bucket+20, 0xfe, 0xff), "items"},
		{"an item that lies in the head", set(bdb, bucket+26, 1, 0), "lies at byte 1"},
		{"a chain that comes back to itself", put(le, bdb, overflow+16, uint32(overflow/page)), "which was read before"},
		{"a chain that leads nowhere", put(le, bdb, overflow+16, 1<<31), "holds no such thing"},
		{"a chain that ends early", put(le, bdb, overflow+16, 0), "should have"},
		{"a page that holds more than a page", set(bdb, overflow+22, 0xff, 0xff), "says that it holds"},
		{"NDB of another version", put(le, made, 4, 1), "version 1"},
		{"NDB with no slots", put(le, made, 12, 0), "0 pages of slots"},
		{"NDB with more slots than bytes", put(le, made, 12, 1<<32-1), "pages of slots"},
		{"NDB with a broken slot", set(made, 32, 'X'), "the slot at byte 32"},
		{"NDB with a slot outside", put(le, made, 32+8, 1<<31), "which are not there"},
		{"NDB with a slot in the slots", put(le, made, 32+8, 1), "which are not there"},
		{"NDB with a slot of too many blocks", put(le, made, 32+12, 1<<32-1), "lie over each other"},
		{"NDB with another number", put(le, made, 32+4, 9), "does not start as the package 9"},
		{"NDB with a flipped bit", set(made, 4096+40, made[4096+40]^1), "its checksum is"},
		{"NDB with a wrong length", put(le, made, 4096+12, 1<<31), "blocks"},
		{"NDB with a broken end", set(made, len(made)-1, 'X'), "does not end"},
		{"SQLite with odd pages", set(sqlite, 16, 0x0f, 0xff), "pages of 4095 bytes"},
		{"SQLite of a later format", set(sqlite, 19, 3), "the format 3"},
		{"SQLite in UTF-16", put(be, sqlite, 56, 2), "text encoding 2"},
		{"SQLite with no room", set(sqlite, 20, 255), "damaged"},
		{"SQLite with more pages than it has", put(be, sqlite, 28, 1<<30), "it is cut off"},
		{"SQLite whose first page is an index", set(sqlite, 100, 10), "the type 10"},
		{"SQLite with too many cells", set(sqlite, 103, 0xff, 0xff), "65535 cells"},
		{"SQLite without rpm's table", bytes.ReplaceAll(sqlite, []byte("tablePackagesPackages"), []byte("tablePuckagesPuckages")), "no table Packages"},
	} {
		t.Run(test.name, func(t *testing.T) {
			packages, err := rpmdb.Parse(test.content, "db", rpmdb.Config{})
			if err == nil || test.want != "damaged" && !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "db: ") || packages != nil {
				t.Errorf("error is %v, want one with %q; %d packages", err, test.want, len(packages))
			}
		})
	}
}

// A tree whose pages lead back to themselves ends.
func TestCyclicTree(t *testing.T) {
	content := slices.Clone(fixture(t, "sqlite"))
	page := int(binary.BigEndian.Uint16(content[16:]))
	for number := 2; number <= len(content)/page; number++ {
		at := (number - 1) * page
		if content[at] != 0x0d {
			continue
		}
		content[at] = 0x05 // an interior page whose last child is itself
		binary.BigEndian.PutUint16(content[at+3:], 0)
		binary.BigEndian.PutUint32(content[at+8:], uint32(number))
	}
	if _, err := rpmdb.Parse(content, "db", rpmdb.Config{}); err == nil || !strings.Contains(err.Error(), "two things at once") {
		t.Errorf("error is %v, want that a page is met again", err)
	}
}

// The log counts up to its last whole commit, and is refused where it is none.
func TestLog(t *testing.T) {
	sqlite, wal := fixture(t, "sqlite"), fixture(t, "wal")
	flipped := slices.Clone(wal)
	flipped[len(flipped)-1] ^= 1
	foreign := slices.Clone(wal)
	foreign[8]++
	head := slices.Clone(wal)
	head[12] ^= 1
	for _, test := range []struct {
		name string
		wal  []byte
		late bool
		want string
	}{
		{"none", nil, false, ""},
		{"whole", wal, true, ""},
		{"its head alone", wal[:32], false, ""},
		{"a last frame that was not committed", append(slices.Clone(wal), wal[32:32+24+4096]...), true, ""},
		{"cut in its first frame", wal[:100], false, ""},
		{"a wrong checksum in its last frame", flipped, false, ""},
		{"cut in its head", wal[:20], false, "cut off"},
		{"another file", bytes.Repeat([]byte("x"), 64), false, "not one of SQLite"},
		{"pages of another size", foreign, false, "pages of"},
		{"a wrong checksum of its head", head, false, "checksum of its head"},
	} {
		t.Run(test.name, func(t *testing.T) {
			packages, err := rpmdb.Parse(sqlite, "db", rpmdb.Config{WAL: test.wal})
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error is %v, want one with %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted(t, test.late), listed(packages)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	var bound *limit.Error
	if _, err := rpmdb.Parse(make([]byte, limit.PackageDatabase+1), "db", rpmdb.Config{}); !errors.As(err, &bound) || bound.Bound != limit.PackageDatabase {
		t.Errorf("error is %v, want the bound on the database", err)
	}
}

func TestIsDatabase(t *testing.T) {
	for name, want := range map[string]bool{
		"var/lib/rpm/Packages": true, "var/lib/rpm/Packages.db": true, "usr/lib/sysimage/rpm/rpmdb.sqlite": true, "usr/share/rpm/rpmdb.sqlite": true,
		"var/lib/rpm/Name": false, "var/lib/rpm/rpmdb.sqlite-wal": false, "srv/var/lib/rpm/Packages": false, "Packages": false,
	} {
		if got := rpmdb.IsDatabase(name); got != want {
			t.Errorf("IsDatabase(%q) is %v", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ndb(minimal("a"), minimal("b", tag{1003, []uint32{1}})), []byte{})
	f.Add(ndb(), []byte{})
	f.Add(fixture(f, "bdb")[:3*4096], []byte{})
	f.Add(fixture(f, "sqlite")[:2*4096], fixture(f, "wal")[:32+2*(24+4096)])
	f.Fuzz(func(t *testing.T, content, wal []byte) {
		packages, err := rpmdb.Parse(content, "db", rpmdb.Config{WAL: wal, Owns: func(string) bool { return true }})
		if err != nil && (packages != nil || !strings.HasPrefix(err.Error(), "db")) {
			t.Fatalf("%v with %d packages", err, len(packages))
		}
		for _, p := range packages {
			if p.Name == "" || p.Version == "" || p.Release == "" || p.Name == "gpg-pubkey" {
				t.Fatalf("read %+v", p)
			}
		}
	})
}
