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
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

// refuse imports and expects an error with words, and the database as it was.
func refuse(t *testing.T, dir string, config advisorydb.Config, words string, inputs ...string) error {
	t.Helper()
	before := map[string]string{}
	for _, name := range files(t, dir) {
		before[name] = readFile(t, filepath.Join(dir, name))
	}
	summary, err := advisorydb.Import(t.Context(), dir, inputs, config)
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("import of %v: %+v, error %v, want one with %q", inputs, summary, err, words)
	}
	if len(summary.Ecosystems) > 0 {
		t.Errorf("an error, and still written: %+v", summary.Ecosystems)
	}
	after := map[string]string{}
	for _, name := range files(t, dir) {
		after[name] = readFile(t, filepath.Join(dir, name))
	}
	if !cmp.Equal(before, after) {
		t.Errorf("import of %v failed and changed the database", inputs)
	}
	return err
}

// filled is a directory with a database in it.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	importAll(t, dir, writeFile(t, filepath.Join(t.TempDir(), "old.json"), record("OLD-1", 1, "PyPI/x")))
	return dir
}

func TestImportRefuses(t *testing.T) {
	dir := filled(t)
	config := advisorydb.Config{Now: now}
	good := member{"good.json", record("NEW-1", 2, "PyPI/x")}
	broken := member{"deeper/broken.json", `{"id":"NEW-2","affected":[{"package":{"ecosystem":"PyPI","name":"x"},"ranges":[{"type":"ECOSYSTEM","events":[{}]}]}]}`}
	single := func(name, content string) string { return writeFile(t, filepath.Join(t.TempDir(), name), content) }
	records := filepath.Dir(single("good.json", good.content))
	writeFile(t, filepath.Join(records, "deeper", "broken.json"), "{")

	refuse(t, dir, config, "inputs and a time are needed")
	refuse(t, dir, advisorydb.Config{}, "inputs and a time are needed", single("a.json", good.content))
	refuse(t, dir, config, "no such file", filepath.Join(t.TempDir(), "none.zip"))
	refuse(t, dir, config, "no complete zip file", single("all.zip", ""))
	refuse(t, dir, config, "no complete zip file", single("all.zip", good.content))
	refuse(t, dir, config, "broken.json: affected[0].ranges[0].events[0]", writeZip(t, zip.Deflate, good, broken))
	refuse(t, dir, config, filepath.Join("deeper", "broken.json"), records)
	refuse(t, dir, config, "unexpected end", single("A.JSON", "{"))
	refuse(t, dir, config, "--skip-broken", single("a.json", "{"))
	refuse(t, dir, config, "holds no OSV record", writeZip(t, zip.Deflate, member{"README.md", "x"}))
	refuse(t, dir, config, "holds no OSV record", writeZip(t, zip.Deflate))
	refuse(t, dir, config, "holds no OSV record", t.TempDir())
	refuse(t, dir, config, "holds no OSV record", single("good.json", good.content), writeZip(t, zip.Deflate, member{"x/", ""}))
	refuse(t, dir, config, "is about a package of any ecosystem", single("a.json", `{"id":"OSV-1"}`))
	refuse(t, dir, advisorydb.Config{Now: now, Ecosystem: "Go"}, "is about a package of Go", single("a.json", good.content))
	refuse(t, dir, advisorydb.Config{Now: now, Ecosystem: "pypi"}, "is about a package of pypi", single("a.json", good.content))
	// Broken records of one input do not excuse an empty one.
	skip := advisorydb.Config{Now: now, SkipBroken: true}
	refuse(t, dir, skip, "holds no OSV record", writeZip(t, zip.Deflate, good, broken), writeZip(t, zip.Deflate))
	refuse(t, dir, skip, "none of the 0 records", writeZip(t, zip.Deflate, broken))
	// All or nothing: the second input fails, and the first is not imported.
	refuse(t, dir, config, "no complete zip file", single("good.json", good.content), single("all.zip", "PK"))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, input := range []string{writeZip(t, zip.Deflate, good), records} {
		if _, err := advisorydb.Import(ctx, dir, []string{input}, config); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
	if got := ids(t, open(t, dir), "PyPI", "x"); !slices.Equal(got, []string{"OLD-1"}) {
		t.Errorf("after all that: %v", got)
	}

	summary, err := advisorydb.Import(t.Context(), dir, []string{writeZip(t, zip.Deflate, good, broken), records}, skip)
	if err != nil || summary.Broken != 2 || len(summary.Reasons) != 2 || !strings.Contains(summary.Reasons[0], "broken.json") || summary.Read != 2 {
		t.Errorf("with broken ones passed over: %+v, %v", summary, err)
	}
	if got := ids(t, open(t, dir), "PyPI", "x"); !slices.Equal(got, []string{"NEW-1"}) {
		t.Errorf("replaced: %v", got)
	}
}

// TestImportDamagedZip: a zip that was cut or flipped is an error or gives what
// the whole one gives.
func TestImportDamagedZip(t *testing.T) {
	whole := readFile(t, writeZip(t, zip.Store, members()...))
	want := func() string {
		dir := t.TempDir()
		importAll(t, dir, writeFile(t, filepath.Join(t.TempDir(), "all.zip"), whole))
		return open(t, dir).Info().Version
	}()
	dir := filled(t)
	for cut := 0; cut < len(whole); cut += 64 {
		refuse(t, dir, advisorydb.Config{Now: now}, "", writeFile(t, filepath.Join(t.TempDir(), "all.zip"), whole[:cut]))
	}
	path := filepath.Join(t.TempDir(), "all.zip")
	failed := 0
	for at := 0; at < len(whole); at += 17 {
		flipped := []byte(whole)
		flipped[at] ^= 0x10
		writeFile(t, path, string(flipped))
		target := t.TempDir()
		if _, err := advisorydb.Import(t.Context(), target, []string{path}, advisorydb.Config{Now: now}); err != nil {
			failed++
			continue
		}
		// Dates, hints and the names of members say nothing about content.
		if got := open(t, target).Info(); got.Version != want && !nameFlipped(t, flipped, whole) {
			t.Errorf("a bit flipped at %d: another database, and no error", at)
		}
	}
	if failed*17 < len(whole)/2 {
		t.Errorf("only %d of %d flips are errors", failed, len(whole)/17)
	}
}

// nameFlipped says whether a member's name changed, so that it no longer ends
// in .json or begins to: a zip has no checksum over names.
func nameFlipped(t *testing.T, flipped []byte, whole string) bool {
	t.Helper()
	names := func(content []byte) []string {
		r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, f := range r.File {
			list = append(list, f.Name)
		}
		return list
	}
	return !slices.Equal(names(flipped), names([]byte(whole)))
}

func TestImportBounds(t *testing.T) {
	dir := filled(t)
	config := advisorydb.Config{Now: now}
	var list []member
	size := 0
	records := t.TempDir()
	for i := range 10 {
		content := record(fmt.Sprintf("A-%d", i), 1, "PyPI/x")
		size += len(content)
		list = append(list, member{fmt.Sprintf("%d.json", i), content})
		writeFile(t, filepath.Join(records, fmt.Sprintf("%d.json", i)), content)
	}
	archive := writeZip(t, zip.Deflate, list...)
	for _, input := range []string{archive, records} {
		if summary, err := advisorydb.Import(t.Context(), t.TempDir(), []string{input}, config.WithBounds(int64(size), 10)); err != nil || summary.Read != 10 {
			t.Errorf("at the bounds: %+v, %v", summary, err)
		}
		for _, skip := range []bool{false, true} {
			config.SkipBroken = skip // a bound is no broken record
			var over *limit.Error
			if err := refuse(t, dir, config.WithBounds(int64(size)-1, 10), "", input); !errors.As(err, &over) || over.Unit != "bytes" {
				t.Errorf("a byte too many: %v", err)
			}
			if err := refuse(t, dir, config.WithBounds(int64(size), 9), "", input); !errors.As(err, &over) || over.Bound != 9 || over.Unit != "files" {
				t.Errorf("a file too many: %v", err)
			}
		}
	}
	// The bound on bytes is over all inputs.
	config.SkipBroken = false
	refuse(t, dir, config.WithBounds(int64(size)*2-1, 0), "unpacked advisories", archive, records)
	// A record that unpacks to far more than it is.
	bomb := `{"id":"A-1","details":"` + strings.Repeat(" ", limit.Advisory) + `"}`
	var over *limit.Error
	if err := refuse(t, dir, config, "bomb.json", writeZip(t, zip.Deflate, member{"bomb.json", bomb})); !errors.As(err, &over) || over.Bound != limit.Advisory {
		t.Errorf("a bomb: %v", err)
	}
}

// TestImportManyFiles: a zip of many more files than may be is refused before
// its directory fills the memory.
func TestImportManyFiles(t *testing.T) {
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for i := range 60_000 {
		// Stored: a compressor for each would take longer than the test.
		if _, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i), Method: zip.Store}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, filepath.Join(t.TempDir(), "all.zip"), buffer.String())
	dir := filled(t)
	var over *limit.Error
	if err := refuse(t, dir, advisorydb.Config{Now: now}.WithBounds(0, 100), "100 files", path); !errors.As(err, &over) {
		t.Error(err)
	}
	bytes := allocated(func() {
		refuse(t, dir, advisorydb.Config{Now: now}.WithBounds(0, 100), "100 files", path)
	})
	if bytes > 20<<20 {
		t.Errorf("%d bytes before it is refused", bytes)
	}
}

// TestImportNames: what files, ecosystems and packages are called leads nowhere.
func TestImportNames(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "db")
	var list []member
	for i, name := range []string{"../../evil.json", "/etc/evil.json", `..\evil.json`, "C:/evil.json", "a/../../evil.json", ".json", "a\x00b.json"} {
		list = append(list, member{name, record(fmt.Sprintf("EVIL-%d", i), 1, "PyPI/x")})
	}
	evil := []string{"../../../etc", "/abs", "..", ".", "a/b", `a\b`, "PyPI.assaydb", ".import-1", "nul\u0000nul", "Ünïcode", "_2e_", "a b", "PyPI\u202e"}
	for i, ecosystem := range evil {
		name, err := json.Marshal(ecosystem)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, member{fmt.Sprintf("%d.json", i), fmt.Sprintf(`{"id":"ECO-%d","affected":[{"package":{"ecosystem":%s,"name":"../x"}}]}`, i, name)})
	}
	summary := importAll(t, dir, writeZip(t, zip.Deflate, list...))
	if len(summary.Ecosystems) != len(evil)+1 {
		t.Errorf("%d ecosystems", len(summary.Ecosystems))
	}
	if got := files(t, parent); !slices.Equal(got, []string{"db"}) {
		t.Errorf("files beside the database: %v", got)
	}
	indexes := 0
	for _, name := range files(t, dir) {
		if strings.Trim(strings.TrimSuffix(name, ".assaydb"), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" && name != ".lock" {
			t.Errorf("a file called %q", name)
		}
		if strings.HasSuffix(name, ".assaydb") {
			indexes++
		}
	}
	if indexes != len(evil)+1 {
		t.Errorf("%d index files for %d ecosystems", indexes, len(evil)+1)
	}
	db := open(t, dir)
	if got := ids(t, db, "PyPI", "x"); len(got) != 7 {
		t.Errorf("the records of ill-named members: %v", got)
	}
	for i, ecosystem := range evil {
		if got := ids(t, db, ecosystem, "../x"); !slices.Equal(got, []string{fmt.Sprintf("ECO-%d", i)}) {
			t.Errorf("ecosystem %q: %v", ecosystem, got)
		}
	}
	refuse(t, dir, advisorydb.Config{Now: now}, "a package name of", writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("A-1", 1, "npm/"+strings.Repeat("x", 40_000))))
	refuse(t, dir, advisorydb.Config{Now: now}, "writing the index of", writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("A-1", 1, strings.Repeat("e", 300)+"/x")))
}

// TestImportNewest: of records with one id the last one changed counts, also
// where it withdraws.
func TestImportNewest(t *testing.T) {
	withdraw := func(text string) string {
		return strings.Replace(text, `{"id"`, `{"withdrawn":"2024-02-01T00:00:00Z","id"`, 1)
	}
	older, newer := record("A-1", 1, "PyPI/x"), record("A-1", 2, "PyPI/x", "PyPI/y")
	other := record("B-1", 1, "PyPI/x")
	for name, c := range map[string]struct {
		contents  []string
		x, y      []string
		withdrawn int
	}{
		"the newer":              {[]string{older, newer, other}, []string{"A-1", "B-1"}, []string{"A-1"}, 0},
		"the older":              {[]string{newer, older, other}, []string{"A-1", "B-1"}, []string{"A-1"}, 0},
		"withdrawn":              {[]string{withdraw(newer), other}, []string{"B-1"}, nil, 1},
		"withdrawn since":        {[]string{older, withdraw(newer), other}, []string{"B-1"}, nil, 1},
		"withdrawn since, first": {[]string{withdraw(newer), older, other}, []string{"B-1"}, nil, 1},
		"not withdrawn any more": {[]string{withdraw(older), newer, other}, []string{"A-1", "B-1"}, []string{"A-1"}, 0},
	} {
		var list []member
		for i, content := range c.contents {
			list = append(list, member{fmt.Sprintf("%d.json", i), content})
		}
		dir := t.TempDir()
		summary := importAll(t, dir, writeZip(t, zip.Deflate, list...))
		db := open(t, dir)
		if got := ids(t, db, "PyPI", "x"); !slices.Equal(got, c.x) {
			t.Errorf("%s: x has %v", name, got)
		}
		if got := ids(t, db, "PyPI", "y"); !slices.Equal(got, c.y) {
			t.Errorf("%s: y has %v", name, got)
		}
		if summary.Withdrawn != c.withdrawn || summary.Read != len(c.contents) {
			t.Errorf("%s: %+v", name, summary)
		}
	}
}

func TestImportOneEcosystem(t *testing.T) {
	dir := t.TempDir()
	importAll(t, dir, writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("DSA-1", 1, "Debian:12/x")))
	summary, err := advisorydb.Import(t.Context(), dir, []string{writeZip(t, zip.Deflate, members()...)}, advisorydb.Config{Now: now, Ecosystem: "PyPI"})
	if err != nil || len(summary.Ecosystems) != 1 || summary.Other != 4 {
		t.Errorf("%+v, %v", summary, err)
	}
	db := open(t, dir)
	if got := ids(t, db, "Debian:12", "x"); !slices.Equal(got, []string{"DSA-1"}) || db.Covers("npm") {
		t.Errorf("other ecosystems must stay as they were: %v", got)
	}
	if got := ids(t, db, "PyPI", "torch"); len(got) != 2 {
		t.Errorf("torch: %v", got)
	}
}

// TestImportShrinks: an export that names packages of another ecosystem in
// passing does not replace what is known of that one.
func TestImportShrinks(t *testing.T) {
	dir := t.TempDir()
	var full []member
	for i := range 5 {
		full = append(full, member{fmt.Sprintf("%d.json", i), record(fmt.Sprintf("P-%d", i), 1, "PyPI/x")})
	}
	importAll(t, dir, writeZip(t, zip.Deflate, full...))
	passing := writeZip(t, zip.Deflate, member{"a.json", record("N-1", 1, "npm/y", "PyPI/x")}, member{"b.json", record("N-2", 1, "npm/y", "PyPI/x")}, member{"c.json", record("N-3", 1, "npm/y")})
	err := refuse(t, dir, advisorydb.Config{Now: now}, "hold 2 advisories of PyPI, and the database has 5: nothing was imported", passing)
	var shrinks *advisorydb.ShrinkError
	if !errors.As(err, &shrinks) || shrinks.Ecosystem != "PyPI" || open(t, dir).Covers("npm") {
		t.Errorf("error %#v", err)
	}
	if _, err := advisorydb.Import(t.Context(), dir, []string{passing}, advisorydb.Config{Now: now, Ecosystem: "npm"}); err != nil {
		t.Error(err)
	}
	if got := ids(t, open(t, dir), "PyPI", "x"); len(got) != 5 {
		t.Errorf("x has %v", got)
	}
	importAll(t, dir, writeZip(t, zip.Deflate, full[:3]...)) // more than half
	if _, err := advisorydb.Import(t.Context(), dir, []string{writeZip(t, zip.Deflate, full[0])}, advisorydb.Config{Now: now, Shrink: true}); err != nil {
		t.Error(err)
	}
	if got := ids(t, open(t, dir), "PyPI", "x"); len(got) != 1 {
		t.Errorf("x has %v", got)
	}
}

// TestTwoWriters: the second one fails, at once and with a reason.
func TestTwoWriters(t *testing.T) {
	dir := filled(t)
	pipe := filepath.Join(t.TempDir(), "slow.json")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := advisorydb.Import(t.Context(), dir, []string{pipe}, advisorydb.Config{Now: now})
		done <- err
	}()
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // opens once the first import reads
	if err != nil {
		t.Fatal(err)
	}
	fast := writeFile(t, filepath.Join(t.TempDir(), "fast.json"), record("FAST-1", 1, "PyPI/x"))
	refuse(t, dir, advisorydb.Config{Now: now}, "another import is writing to "+dir, fast)
	if got := ids(t, open(t, dir), "PyPI", "x"); !slices.Equal(got, []string{"OLD-1"}) {
		t.Errorf("while one imports: %v", got)
	}
	reader := open(t, dir)
	if _, err := writer.WriteString(record("SLOW-1", 1, "PyPI/x")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writer.Close(), <-done); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, open(t, dir), "PyPI", "x"); !slices.Equal(got, []string{"SLOW-1"}) {
		t.Errorf("after the first: %v", got)
	}
	if got := ids(t, reader, "PyPI", "x"); !slices.Equal(got, []string{"OLD-1"}) {
		t.Errorf("who had it open keeps what was there: %v", got)
	}
	importAll(t, dir, fast)
	if got := ids(t, open(t, dir), "PyPI", "x"); !slices.Equal(got, []string{"FAST-1"}) {
		t.Errorf("after the second: %v", got)
	}
}

// TestReadersAndWriters: whoever opens the database finds one whole import.
func TestReadersAndWriters(t *testing.T) {
	dir := filled(t)
	var inputs []string
	for i := range 4 {
		var list []member
		for j := range 20 {
			list = append(list, member{fmt.Sprintf("%d.json", j), record(fmt.Sprintf("W%d-%02d", i, j), 1, "PyPI/x", "PyPI/y")})
		}
		inputs = append(inputs, writeZip(t, zip.Deflate, list...))
	}
	var wait sync.WaitGroup
	wrote := make([]int, len(inputs))
	for i, input := range inputs {
		wait.Go(func() {
			for range 20 {
				_, err := advisorydb.Import(t.Context(), dir, []string{input}, advisorydb.Config{Now: now})
				switch {
				case err == nil:
					wrote[i]++
				case !strings.Contains(err.Error(), "another import is writing"):
					t.Errorf("writer %d: %v", i, err)
				}
			}
		})
		wait.Go(func() {
			for range 50 {
				db, err := advisorydb.Open(dir)
				if err != nil {
					t.Errorf("a reader: %v", err)
					return
				}
				x, errX := db.Lookup(t.Context(), "PyPI", "x")
				y, errY := db.Lookup(t.Context(), "PyPI", "y")
				db.Close()
				if errX != nil || errY != nil {
					t.Errorf("a reader: %v, %v", errX, errY)
					return
				}
				if len(x) == 1 && x[0].ID == "OLD-1" && len(y) == 0 {
					continue
				}
				if len(x) != 20 || len(y) != 20 || x[0].ID[:2] != x[19].ID[:2] || x[0].ID != y[0].ID {
					t.Errorf("half an import: %d and %d records", len(x), len(y))
				}
			}
		})
	}
	wait.Wait()
	if total := wrote[0] + wrote[1] + wrote[2] + wrote[3]; total == 0 {
		t.Error("nobody could write")
	}
	if got := files(t, dir); !slices.Equal(got, []string{".lock", "PyPI.assaydb"}) {
		t.Errorf("left behind: %v", got)
	}
}

// TestImportPipe: a pipe in a directory is an error, not a wait.
func TestImportPipe(t *testing.T) {
	records := filepath.Dir(writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("A-1", 1, "PyPI/x")))
	if err := syscall.Mkfifo(filepath.Join(records, "b.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		refuse(t, filled(t), advisorydb.Config{Now: now}, "b.json is no file", records)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("the import waits for a pipe")
	}
}
