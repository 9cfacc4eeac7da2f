package advisorydb_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

// install installs files in a directory that is locked for it.
func install(t *testing.T, dir string, config advisorydb.Config, list ...advisorydb.File) error {
	t.Helper()
	w, err := advisorydb.OpenWriter(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	summary, err := w.Install(t.Context(), list, config)
	if err != nil && len(summary.Ecosystems)+len(summary.Feeds) > 0 {
		t.Errorf("an error, and still installed: %+v", summary)
	}
	return err
}

func shipped(t *testing.T, dir string) []advisorydb.File {
	t.Helper()
	list, err := open(t, dir).Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestInstall(t *testing.T) {
	from := synthetic(t, 200)
	importAll(t, from, kevFile(t, exploited), epssFile(t, 10))
	list := shipped(t, from)
	if len(list) != 3 {
		t.Fatalf("%d files", len(list))
	}
	list[0].Name = "../../evil" // a name is the sender's word
	parent := t.TempDir()
	dir := filepath.Join(parent, "db")
	if err := install(t, dir, advisorydb.Config{Now: now}, list...); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); !slices.Equal(got, []string{".lock", "PyPI.assaydb", "epss.assayfeed", "kev.assayfeed"}) || len(files(t, parent)) != 1 {
		t.Errorf("installed %v", got)
	}
	if readFile(t, filepath.Join(dir, "PyPI.assaydb")) != readFile(t, filepath.Join(from, "PyPI.assaydb")) {
		t.Error("the index changed on its way")
	}
	// What did not come stays.
	importAll(t, dir, writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("G-1", 1, "Go/x")))
	if err := install(t, dir, advisorydb.Config{Now: now}, list[0]); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, open(t, dir), "Go", "x"); !slices.Equal(got, []string{"G-1"}) {
		t.Errorf("Go: %v", got)
	}
}

// TestInstallRefuses: what is damaged, older, smaller or of tomorrow replaces
// nothing, and neither does what came with it.
func TestInstallRefuses(t *testing.T) {
	good := shipped(t, synthetic(t, 200))[0]
	content := func(content []byte) advisorydb.File { return advisorydb.File{Name: "f", Content: content} }
	made := func(config advisorydb.Config, input string) advisorydb.File {
		dir := t.TempDir()
		if _, err := advisorydb.Import(t.Context(), dir, []string{input}, config); err != nil {
			t.Fatal(err)
		}
		return shipped(t, dir)[0]
	}
	single := func(text string) string { return writeFile(t, filepath.Join(t.TempDir(), "a.json"), text) }
	dir := t.TempDir()
	importAll(t, dir, single(record("G-1", 5, "Go/x")), single(record("G-2", 5, "Go/x")), single(record("G-3", 5, "Go/x")))
	importAll(t, dir, kevFile(t, exploited))
	feed := shipped(t, dir)[1]
	before := map[string]string{}
	for _, name := range files(t, dir) {
		before[name] = readFile(t, filepath.Join(dir, name))
	}
	for words, bad := range map[string]advisorydb.File{
		"is no index file":        content([]byte("PK\x03\x04")),
		"its end is missing":      content(good.Content[:len(good.Content)-1]),
		"checksum of its header":  content(bytes.Replace(good.Content, []byte(`"records":200`), []byte(`"records":201`), 1)),
		"it names no feed":        {Name: "f", Feed: true, Content: good.Content},
		"it names no ecosystem":   {Name: "f", Content: renamed(t, feed.Content)},
		"another file holds":      good,
		"is of 2024-01-04":        made(advisorydb.Config{Now: now}, single(record("G-1", 4, "Go/x"))),
		"hold 1 advisories of Go": made(advisorydb.Config{Now: now}, single(record("G-1", 6, "Go/x"))),
		"in the future":           made(advisorydb.Config{Now: now.Add(2 * time.Hour)}, single(record("N-1", 6, "npm/x"))),
	} {
		if err := install(t, dir, advisorydb.Config{Now: now}, good, bad); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q: %v", words, err)
		}
	}
	// Every bit counts: also of a block that nobody has looked up yet.
	for at := 8; at < len(good.Content); at += 41 {
		flipped := bytes.Clone(good.Content)
		flipped[at] ^= 2
		if err := install(t, dir, advisorydb.Config{Now: now}, content(flipped)); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("a bit flipped at %d of %d: %v", at, len(flipped), err)
		}
	}
	for name, want := range before {
		if readFile(t, filepath.Join(dir, name)) != want {
			t.Errorf("%s changed", name)
		}
	}
	if got := files(t, dir); len(got) != len(before) {
		t.Errorf("left behind: %v", got)
	}
	if err := install(t, dir, advisorydb.Config{Now: now}); err == nil {
		t.Error("nothing was installed, and no error")
	}
	older := made(advisorydb.Config{Now: now}, single(record("G-1", 4, "Go/x")))
	if err := install(t, dir, advisorydb.Config{Now: now, Shrink: true}, older); err != nil {
		t.Errorf("forced: %v", err)
	}
}

// renamed makes a feed's header name nothing, with a checksum that fits.
func renamed(t *testing.T, content []byte) []byte {
	t.Helper()
	start := bytes.LastIndex(content, []byte(`{"name":"KEV"`))
	header := bytes.Replace(content[start:len(content)-48], []byte(`"KEV"`), []byte(`""`), 1)
	return append(bytes.Clone(content[:start]), ending(content, header)...)
}

// TestFilesOfDamage: a database with a flipped bit is not shipped.
func TestFilesOfDamage(t *testing.T) {
	dir := synthetic(t, 100)
	path := filepath.Join(dir, "PyPI.assaydb")
	whole := []byte(readFile(t, path))
	for at := 8; at < len(whole)-600; at += 53 {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1
		writeFile(t, path, string(flipped))
		db := open(t, dir)
		if list, err := db.Files(t.Context()); err == nil || list != nil {
			t.Errorf("a bit flipped at %d is shipped", at)
		}
	}
}

// TestLeftovers: what a writer that was killed left is not read, and goes with
// the next one.
func TestLeftovers(t *testing.T) {
	dir := filled(t)
	for _, name := range []string{".import-1", ".update-2.zip"} {
		writeFile(t, filepath.Join(dir, name), "half")
	}
	if got := ids(t, open(t, dir), "PyPI", "x"); !slices.Equal(got, []string{"OLD-1"}) {
		t.Errorf("%v", got)
	}
	importAll(t, dir, writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("A-1", 1, "PyPI/x")))
	if _, err := os.Stat(filepath.Join(dir, ".import-1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", files(t, dir))
	}
}
