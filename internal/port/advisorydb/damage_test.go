package advisorydb_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

// answers is what a database says of some packages: the records, or "error".
// A database that cannot be opened says nothing else.
func answers(t *testing.T, dir string, names []string) []string {
	t.Helper()
	list := make([]string, len(names))
	db, err := advisorydb.Open(dir)
	if err != nil {
		if !strings.Contains(err.Error(), dir) {
			t.Errorf("which file? %v", err)
		}
		for i := range list {
			list[i] = "error"
		}
		return list
	}
	defer db.Close()
	for i, name := range names {
		records, err := db.Lookup(t.Context(), "PyPI", name)
		switch {
		case err != nil && !strings.Contains(err.Error(), "is damaged") && !strings.Contains(err.Error(), "no advisories"):
			t.Errorf("%s: %v", name, err)
			list[i] = "error"
		case err != nil:
			list[i] = "error"
		default:
			list[i] = asRecords(t, records)
		}
	}
	return list
}

// TestDamage: an index that was cut, flipped or overwritten anywhere answers
// as before or with an error, never with fewer advisories.
func TestDamage(t *testing.T) {
	var list []member
	names := []string{"absent"}
	for i := range 5 {
		name := fmt.Sprintf("package-%d", i)
		names = append(names, name)
		list = append(list, member{name + ".json", record(fmt.Sprintf("PYSEC-2024-%d", i), 1, "PyPI/"+name, "PyPI/package-0")})
	}
	dir := t.TempDir()
	importAll(t, dir, writeZip(t, zip.Deflate, list...))
	path := filepath.Join(dir, "PyPI.assaydb")
	whole := []byte(readFile(t, path))
	want := answers(t, dir, names)
	check := func(what string, content []byte, mustFail bool) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		failed := false
		for i, got := range answers(t, dir, names) {
			if got == "error" {
				failed = true
			} else if got != want[i] {
				t.Errorf("%s: %s is said to have %s, not %s", what, names[i], got, want[i])
			}
		}
		if mustFail && !failed {
			t.Errorf("%s: nobody notices", what)
		}
	}
	check("whole", whole, false)
	for cut := 0; cut < len(whole); cut += 64 {
		check(fmt.Sprintf("cut to %d of %d bytes", cut, len(whole)), whole[:cut], true)
	}
	check("without its last byte", whole[:len(whole)-1], true)
	check("with text behind", append(bytes.Clone(whole), "more"...), false)
	r := rand.New(rand.NewPCG(1, 2))
	for at := range whole {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << r.IntN(8)
		check(fmt.Sprintf("a bit flipped at %d of %d", at, len(whole)), flipped, true)
	}
	for range 200 {
		from := r.IntN(len(whole))
		blank := bytes.Clone(whole)
		clear(blank[from:min(len(blank), from+512)])
		if !bytes.Equal(blank, whole) {
			check(fmt.Sprintf("a sector of nothing at %d", from), blank, true)
		}
	}
	check("nothing", nil, true)
	check("another format", []byte("SQLite format 3\x00"+strings.Repeat("\x00", 4096)), true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if db, err := advisorydb.Open(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a directory in its place: %v, %v", db, err)
	}
}

// entry is one of a table that a test makes; its checksum fits its block.
type entry struct {
	key    string
	offset uint64
	length uint32
	block  []byte
}

// index makes an index file with right checksums, whatever is in it.
func index(header string, count uint32, entries ...entry) []byte {
	table := binary.BigEndian.AppendUint32(nil, count)
	at := uint32(4 + 4*len(entries))
	var body, blocks []byte
	for _, e := range entries {
		table = binary.BigEndian.AppendUint32(table, at+uint32(len(body)))
		sum := sha256.Sum256(e.block)
		body = binary.BigEndian.AppendUint16(body, uint16(len(e.key)))
		body = append(body, e.key...)
		body = binary.BigEndian.AppendUint64(body, e.offset)
		body = binary.BigEndian.AppendUint32(body, e.length)
		body = append(body, sum[:]...)
		blocks = append(blocks, e.block...)
	}
	table = append(table, body...)
	sum := sha256.Sum256(append([]byte(header), table...))
	file := append([]byte("ASSAYDB1"), sum[:]...)
	file = binary.BigEndian.AppendUint32(file, uint32(len(header)))
	file = binary.BigEndian.AppendUint32(file, uint32(len(table)))
	return append(append(append(file, header...), table...), blocks...)
}

func deflated(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w, err := flate.NewWriter(&buffer, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestHostileIndex: right checksums make a file no less hostile.
func TestHostileIndex(t *testing.T) {
	const header = `{"name":"PyPI","records":1,"packages":1}`
	key := "PyPI\x00x"
	good := deflated(t, strings.NewReader("["+record("A-1", 1, "PyPI/x")+"]"))
	whole := entry{key, 0, uint32(len(good)), good}
	changed := func(change func(*entry)) []byte {
		e := whole
		change(&e)
		return index(header, 1, e)
	}
	block := func(content []byte) []byte {
		return changed(func(e *entry) { e.block, e.length = content, uint32(len(content)) })
	}
	lookup := func(content []byte) (string, error) {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "PyPI.assaydb"), string(content))
		db, err := advisorydb.Open(dir)
		if err != nil {
			return "", err
		}
		defer db.Close()
		records, err := db.Lookup(t.Context(), "PyPI", "x")
		return asRecords(t, records), err
	}
	if got, err := lookup(index(header, 1, whole)); err != nil || !strings.Contains(got, "A-1") {
		t.Fatalf("the index of this test: %s, %v", got, err)
	}
	short := index(header, 1, whole)
	binary.BigEndian.PutUint32(short[44:], 1)
	for name, content := range map[string][]byte{
		"a header of no JSON":     index("{", 1, whole),
		"a header of null":        index("null", 1, whole),
		"a header without a name": index(`{"records":1}`, 1, whole),
		"more entries than table": index(header, math.MaxUint32, whole),
		"an entry too many":       index(header, 2, whole),
		"no table":                short,
		"a block beyond the end":  changed(func(e *entry) { e.offset = 1 }),
		"far beyond the end":      changed(func(e *entry) { e.offset = 1 << 40 }),
		"beyond all numbers":      changed(func(e *entry) { e.offset = math.MaxInt64 }),
		"before the beginning":    changed(func(e *entry) { e.offset = math.MaxUint64 }),
		"a block of 4 GB":         changed(func(e *entry) { e.length = math.MaxUint32 }),
		"a block cut short":       changed(func(e *entry) { e.length-- }),
		"an empty block":          block(nil),
		"a block of no deflate":   block([]byte("\xff\xff\xff\xff")),
		"a block of no JSON":      block(deflated(t, strings.NewReader("["))),
		"a block of one record":   block(deflated(t, strings.NewReader(`{"id":"A-1"}`))),
		"a block that explodes":   block(deflated(t, io.LimitReader(spaces{}, limit.AdvisoryBlock+1))),
	} {
		if got, err := lookup(content); err == nil || !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), "assay db import") {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
