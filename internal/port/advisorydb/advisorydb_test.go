package advisorydb_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

var now = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// record is an advisory about packages, written "ecosystem/name"; day dates
// its last change.
func record(id string, day int, packages ...string) string {
	var affected []string
	for _, p := range packages {
		ecosystem, name, _ := strings.Cut(p, "/")
		affected = append(affected, fmt.Sprintf(`{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.0"}]}]}`, ecosystem, name))
	}
	return fmt.Sprintf(`{"id":%q,"modified":"2024-01-%02dT00:00:00Z","summary":"about %s","affected":[%s]}`, id, day, id, strings.Join(affected, ","))
}

// member is a file of a zip.
type member struct{ name, content string }

func writeZip(t testing.TB, method uint16, members ...member) string {
	t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(m.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, filepath.Join(t.TempDir(), "all.zip"), buffer.String())
}

func writeFile(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func importAll(t testing.TB, dir string, inputs ...string) advisorydb.Summary {
	t.Helper()
	summary, err := advisorydb.Import(t.Context(), dir, inputs, advisorydb.Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

func open(t testing.TB, dir string) *advisorydb.Database {
	t.Helper()
	db, err := advisorydb.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// ids are the advisories of a package.
func ids(t testing.TB, db *advisorydb.Database, ecosystem, name string) []string {
	t.Helper()
	records, err := db.Lookup(t.Context(), ecosystem, name)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, r := range records {
		list = append(list, r.ID)
	}
	return list
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func members() []member {
	return []member{
		{"PYSEC-2024-1.json", record("PYSEC-2024-1", 1, "PyPI/Ruamel_Yaml.clib")},
		{"PYSEC-2024-2.json", record("PYSEC-2024-2", 7, "PyPI/torch", "PyPI/Torch", "npm/torch")},
		{"deeper/GHSA-a.json", record("GHSA-a", 3, "PyPI/torch")},
		{"DEBIAN-CVE-2024-1.json", record("DEBIAN-CVE-2024-1", 4, "Debian:12/glibc", "Debian:11/glibc")},
		{"DSA-1-1.json", record("DSA-1-1", 5, "Debian/glibc")},
		{"UBUNTU-CVE-2024-1.json", record("UBUNTU-CVE-2024-1", 6, "Ubuntu:22.04:LTS/openssl", "Ubuntu:23.10/openssl", "Ubuntu:Pro:18.04:LTS/openssl")},
		{"OSV-2020-1.json", `{"id":"OSV-2020-1","affected":[{"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]}]}`},
		{"README.md", "no record"},
	}
}

func TestImportAndLookup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	summary := importAll(t, dir, writeZip(t, zip.Deflate, members()...))
	if summary.Read != 7 || summary.Other != 1 || summary.Withdrawn != 0 || summary.Broken != 0 || len(summary.Ecosystems) != 4 {
		t.Errorf("summary is %+v", summary)
	}
	if diff := cmp.Diff([]string{".lock", "Debian.assaydb", "PyPI.assaydb", "Ubuntu.assaydb", "npm.assaydb"}, files(t, dir)); diff != "" {
		t.Error(diff)
	}
	db := open(t, dir)
	for place, want := range map[string][]string{
		"PyPI/torch":            {"GHSA-a", "PYSEC-2024-2"},
		"PyPI/ruamel-yaml-clib": {"PYSEC-2024-1"},
		"npm/torch":             {"PYSEC-2024-2"},
		"Debian:12/glibc":       {"DEBIAN-CVE-2024-1", "DSA-1-1"}, // and what is said of no release
		"Debian:11/glibc":       {"DEBIAN-CVE-2024-1", "DSA-1-1"},
		"Ubuntu:22.04/openssl":  {"UBUNTU-CVE-2024-1"}, // without :LTS, as os-release says it
		"Ubuntu:23.10/openssl":  {"UBUNTU-CVE-2024-1"},
		"Ubuntu:18.04/openssl":  nil, // Pro is something else
		"PyPI/aaa":              nil,
		"PyPI/tor":              nil,
		"PyPI/torch2":           nil,
		"PyPI/zzz":              nil,
		"PyPI/":                 nil,
	} {
		ecosystem, name, _ := strings.Cut(place, "/")
		if diff := cmp.Diff(want, ids(t, db, ecosystem, name)); diff != "" {
			t.Errorf("%s: %s", place, diff)
		}
	}
	// Both spellings of one name in one record are one package with two entries.
	records, err := db.Lookup(t.Context(), "PyPI", "torch")
	if err != nil || len(records) != 2 || len(records[1].Affected) != 2 || records[1].Affected[0].Package.Ecosystem != "PyPI" {
		t.Errorf("%+v, %v", records, err)
	}
	for ecosystem, want := range map[string]bool{
		"PyPI": true, "npm": true, "Debian:12": true, "Debian:11": true, "Ubuntu:22.04": true,
		"Debian:13": false, "Debian:": false, "Ubuntu:18.04": false, "Go": false, "pypi": false, "": false, "Alpine:v3.19": false,
	} {
		if got := db.Covers(ecosystem); got != want {
			t.Errorf("covers %q: %v", ecosystem, got)
		}
	}
	if records, err := db.Lookup(t.Context(), "Go", "x"); err == nil {
		t.Errorf("an ecosystem that is not there: %v", records)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Lookup(ctx, "PyPI", "torch"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestInfo(t *testing.T) {
	dir := t.TempDir()
	importAll(t, dir, writeZip(t, zip.Deflate, members()...))
	db := open(t, dir)
	info := db.Info()
	if !strings.HasPrefix(info.Version, "sha256:") || len(info.Version) != 71 {
		t.Errorf("version %q", info.Version)
	}
	info.Version = ""
	want := finding.Database{URI: "https://osv.dev", Ecosystems: []string{"Debian", "PyPI", "Ubuntu", "npm"}, Records: 7, LastUpdate: time.Date(2024, 1, 7, 0, 0, 0, 0, time.UTC), Built: now,
		Current: time.Date(2024, 1, 5, 0, 0, 0, 0, time.UTC)} // Debian's
	if diff := cmp.Diff(want, info); diff != "" {
		t.Error(diff)
	}
	debian := db.Ecosystems()[0]
	if len(debian.Sources) != 1 || debian.Sources[0].Name != "all.zip" || len(debian.Sources[0].SHA256) != 64 {
		t.Errorf("sources %+v", debian.Sources)
	}
	if !slices.Equal(debian.Releases, []string{"Debian:11", "Debian:12"}) || debian.Records != 2 || debian.Packages != 3 || debian.Newest.Day() != 5 || debian.Bytes != int64(len(readFile(t, filepath.Join(dir, "Debian.assaydb")))) {
		t.Errorf("%+v", debian)
	}
}

// What nobody asked makes what was asked neither older nor newer.
func TestUsed(t *testing.T) {
	dir := t.TempDir()
	importAll(t, dir, writeZip(t, zip.Deflate, members()...))
	db := open(t, dir)
	all := db.Info()
	python := db.Ecosystems()[1]
	want := finding.Database{URI: all.URI, Version: all.Version, Ecosystems: []string{"PyPI"}, Records: python.Records, LastUpdate: python.Newest, Built: now, Current: python.Current}
	if diff := cmp.Diff(want, db.Used([]string{"PyPI", "conda"})); diff != "" {
		t.Error(diff)
	}
	if python.Current.Equal(all.Current) || python.Records == all.Records {
		t.Error("the data does not tell PyPI from all")
	}
	if got := db.Used([]string{"Debian:12", "PyPI", "Debian:11"}); !slices.Equal(got.Ecosystems, []string{"Debian", "PyPI"}) || !got.Current.Equal(all.Current) || got.Records != 2+python.Records {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(all, db.Used([]string{"conda"})); diff != "" {
		t.Error(diff)
	}
}

func TestOpenNothing(t *testing.T) {
	empty := t.TempDir()
	for name, dir := range map[string]string{
		"no directory":   filepath.Join(empty, "none"),
		"empty":          empty,
		"only leftovers": filepath.Dir(writeFile(t, filepath.Join(t.TempDir(), ".import-123"), "x")),
		"a hidden index": filepath.Dir(writeFile(t, filepath.Join(t.TempDir(), ".PyPI.assaydb"), "x")),
		"something else": filepath.Dir(writeFile(t, filepath.Join(t.TempDir(), "all.zip"), "x")),
	} {
		if db, err := advisorydb.Open(dir); !errors.Is(err, advisorydb.ErrMissing) || !strings.Contains(err.Error(), dir) || db != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if db, err := advisorydb.Open(writeFile(t, filepath.Join(t.TempDir(), "file"), "x")); err == nil || errors.Is(err, advisorydb.ErrMissing) {
		t.Errorf("a file for a directory: %v, %v", db, err)
	}
}

// TestTwins: a copy beside the index must not hide what the index knows.
func TestTwins(t *testing.T) {
	dir := t.TempDir()
	importAll(t, dir, writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("A-1", 1, "PyPI/x")))
	old := readFile(t, filepath.Join(dir, "PyPI.assaydb"))
	importAll(t, dir, writeZip(t, zip.Deflate, member{"a.json", record("A-1", 1, "PyPI/x")}, member{"b.json", record("B-1", 1, "PyPI/x")}))
	for _, name := range []string{"PyPI-old.assaydb", "a.assaydb", "zzz.assaydb"} {
		path := writeFile(t, filepath.Join(dir, name), old)
		if db, err := advisorydb.Open(dir); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "both hold PyPI") {
			t.Errorf("with %s: %v, %v", name, db, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(t, open(t, dir), "PyPI", "x"); !slices.Equal(got, []string{"A-1", "B-1"}) {
		t.Errorf("without: %v", got)
	}
}

// TestVersion: the same advisories give the same version, however they came.
func TestVersion(t *testing.T) {
	version := func(config advisorydb.Config, inputs ...string) string {
		dir := t.TempDir()
		if _, err := advisorydb.Import(t.Context(), dir, inputs, config); err != nil {
			t.Fatal(err)
		}
		return open(t, dir).Info().Version
	}
	config := advisorydb.Config{Now: now}
	all := members()
	want := version(config, writeZip(t, zip.Deflate, all...))
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	records := t.TempDir()
	for i, m := range all {
		writeFile(t, filepath.Join(records, fmt.Sprint(i), filepath.Base(m.name)), m.content)
	}
	later := advisorydb.Config{Now: now.Add(time.Hour), SkipBroken: true}
	for name, got := range map[string]string{
		"again":             version(config, writeZip(t, zip.Deflate, all...)),
		"stored":            version(config, writeZip(t, zip.Store, all...)),
		"another order":     version(config, writeZip(t, zip.Deflate, backwards...)),
		"a directory":       version(config, records),
		"twice":             version(config, records, writeZip(t, zip.Deflate, all...)),
		"two halves":        version(config, writeZip(t, zip.Deflate, all[3:]...), writeZip(t, zip.Deflate, all[:3]...)),
		"later, one broken": version(later, writeZip(t, zip.Deflate, append(backwards, member{"x.json", "{"})...)),
	} {
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for name, changed := range map[string][]member{
		"one less":      all[1:],
		"one more":      append(slices.Clone(all), member{"x.json", record("PYSEC-2024-3", 1, "PyPI/x")}),
		"another range": append(slices.Clone(all[1:]), member{"x.json", strings.Replace(all[0].content, `"2.0"`, `"2.1"`, 1)}),
	} {
		if version(config, writeZip(t, zip.Deflate, changed...)) == want {
			t.Errorf("%s: the version is the same", name)
		}
	}
}

func TestSample(t *testing.T) {
	db, err := advisorydb.Sample()
	if err != nil {
		t.Fatal(err)
	}
	info := db.Info()
	if !info.Sample || info.URI != finding.SampleURI || !slices.Equal(info.Ecosystems, []string{"PyPI"}) || info.Records < 10 || !strings.HasPrefix(info.Version, "sha256:") || info.LastUpdate.IsZero() {
		t.Errorf("the sample says of itself %+v", info)
	}
	if again, err := advisorydb.Sample(); err != nil || again.Info().Version != info.Version {
		t.Errorf("its version changes: %v, %v", again, err)
	}
	for ecosystem, want := range map[string]bool{"PyPI": true, "PyPI:": false, "Debian:12": false, "Debian": false, "": false} {
		if db.Covers(ecosystem) != want {
			t.Errorf("covers %q: %v", ecosystem, !want)
		}
	}
	records, err := db.Lookup(t.Context(), "PyPI", "torch")
	if err != nil || len(records) == 0 {
		t.Fatalf("torch: %v, %v", records, err)
	}
	for _, r := range records {
		if r.ID == "" || len(r.Ratings()) == 0 || len(r.Affected) == 0 || len(r.Aliases) == 0 {
			t.Errorf("a sample advisory is thin: %+v", r)
		}
	}
	// A caller may do with the list what it likes.
	clear(records)
	if again := ids(t, db, "PyPI", "torch"); len(again) != len(records) || again[0] == "" {
		t.Errorf("a second lookup gives %v", again)
	}
	list := db.Ecosystems()
	if len(list) != 1 || list[0].Name != "PyPI" || list[0].Records != info.Records || list[0].Packages == 0 {
		t.Errorf("ecosystems %+v", list)
	}
	// A database that was imported never says that it is the sample.
	dir := t.TempDir()
	importAll(t, dir, "sample")
	if imported := open(t, dir).Info(); imported.Sample || imported.URI == finding.SampleURI || imported.Records != info.Records {
		t.Errorf("imported: %+v", imported)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// synthetic is a database of many records of half as many packages.
func synthetic(b testing.TB, records int) string {
	b.Helper()
	var list []member
	for i := range records {
		list = append(list, member{fmt.Sprintf("%d.json", i), record(fmt.Sprintf("PYSEC-2024-%d", i), 1, fmt.Sprintf("PyPI/package-%d", i/2))})
	}
	dir := b.TempDir()
	importAll(b, dir, writeZip(b, zip.Store, list...))
	return dir
}

func benchmarkOpen(b *testing.B, records int) {
	dir := synthetic(b, records)
	b.ReportAllocs()
	for b.Loop() {
		db, err := advisorydb.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		db.Close()
	}
}

func BenchmarkOpen(b *testing.B)     { benchmarkOpen(b, 3000) }
func BenchmarkOpen200k(b *testing.B) { benchmarkOpen(b, 200_000) }

// BenchmarkLookup looks up 300 packages, as many as a large workload pins, one
// in three of them without an advisory.
func BenchmarkLookup(b *testing.B) {
	dir := synthetic(b, 3000)
	b.ReportAllocs()
	for b.Loop() {
		db, err := advisorydb.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		for i := range 300 {
			name := fmt.Sprintf("package-%d", i)
			if i%3 == 0 {
				name = "absent-" + name
			}
			if records, err := db.Lookup(b.Context(), "PyPI", name); err != nil || len(records) != 2*min(1, i%3) {
				b.Fatalf("%d records of %s, %v", len(records), name, err)
			}
		}
		db.Close()
	}
}

// allocated is how many bytes some work takes, whether they are freed or not.
func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestOpenReadsLittle: what opening and a lookup allocate does not grow with
// the file.
func TestOpenReadsLittle(t *testing.T) {
	take := func(records int) uint64 {
		dir := synthetic(t, records)
		return allocated(func() {
			db := open(t, dir)
			if got := ids(t, db, "PyPI", "package-1"); len(got) != 2 {
				t.Errorf("package-1 has %v", got)
			}
			if got := ids(t, db, "PyPI", "absent"); len(got) != 0 {
				t.Errorf("absent has %v", got)
			}
		})
	}
	few, many := take(200), take(5000)
	if many > few+16<<10 {
		t.Errorf("with 200 records %d bytes, with 5,000 %d", few, many)
	}
}

func BenchmarkImport(b *testing.B) {
	var list []member
	for i := range 3000 {
		list = append(list, member{fmt.Sprintf("%d.json", i), record(fmt.Sprintf("PYSEC-2024-%d", i), 1, fmt.Sprintf("PyPI/package-%d", i%1000))})
	}
	archive := writeZip(b, zip.Deflate, list...)
	for b.Loop() {
		if summary := importAll(b, b.TempDir(), archive); summary.Read != 3000 {
			b.Fatalf("%+v", summary)
		}
	}
}

// asRecords checks that JSON in a test is what it means to be.
func asRecords(t testing.TB, records []osv.Record) string {
	t.Helper()
	content, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
