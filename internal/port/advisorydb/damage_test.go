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

// page is one of an index that a test makes.
type page struct {
	number  uint32
	content []byte
}

// put appends numbers (int) and strings with their length before them.
func put(to []byte, parts ...any) []byte {
	for _, part := range parts {
		switch v := part.(type) {
		case int:
			to = binary.AppendUvarint(to, uint64(v))
		case string:
			to = append(binary.AppendUvarint(to, uint64(len(v))), v...)
		case []byte:
			to = append(to, v...)
		}
	}
	return to
}

func sum20(content []byte) []byte {
	sum := sha256.Sum256(content)
	return sum[:20]
}

// index makes an index file with right checksums, whatever is in it.
func index(header string, pages uint32, blocks []byte, list ...page) []byte {
	file := append([]byte("ASSAYDB2"), blocks...)
	var directory []byte
	for _, p := range list {
		content := append(binary.BigEndian.AppendUint32(nil, p.number), p.content...)
		directory = binary.BigEndian.AppendUint64(directory, uint64(len(file)))
		directory = append(binary.BigEndian.AppendUint32(directory, uint32(len(content))), sum20(content)...)
		file = append(file, content...)
	}
	lengths := binary.BigEndian.AppendUint32(nil, pages)
	lengths = binary.BigEndian.AppendUint32(lengths, uint32(len(header)))
	sum := sha256.Sum256(append(bytes.Clone(lengths), header...))
	file = append(append(file, directory...), header...)
	return append(append(append(file, lengths...), sum[:]...), "ASSAYDB2"...)
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
	const key = "PyPI\x00x"
	texts := []any{4, "A-1", "PyPI", "x", "1.0"}
	match := []any{1, 0, 0, 0, 1, 1, 2, 0, 0, 1, 3, 1} // A-1 about x, of which 1.0 is affected
	text := deflated(t, bytes.NewReader(put(nil, 0, 0, "summary", "", 0, 0, "", 0)))
	chunks := func(records int, text []byte) []any { return []any{1, records, len(text), sum20(text)} }
	block := func(parts ...[]any) []byte {
		var all []byte
		for _, p := range parts {
			all = put(all, p...)
		}
		return all
	}
	value := func(offset, length int, block []byte) string {
		return string(put(nil, offset, length, sum20(block)))
	}
	// of makes an index whose only package has this block and this text.
	of := func(block, text []byte) []byte {
		return index(header, 1, append(bytes.Clone(block), text...), page{0, put(nil, key, value(8, len(block), block))})
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
	good := block(chunks(1, text), texts, match)
	want := `[{"id":"A-1","summary":"summary","affected":[{"package":{"ecosystem":"PyPI","name":"x"},"versions":["1.0"]}]}]`
	if got, err := lookup(of(good, text)); err != nil || got != want {
		t.Fatalf("the index of this test: %s, %v", got, err)
	}
	at := func(offset, length int) []byte {
		return index(header, 1, good, page{0, put(nil, key, value(offset, length, good))})
	}
	withText := func(text []byte) []byte { return of(block(chunks(1, text), texts, match), text) }
	changed := func(i int, to any) []byte {
		parts := append([]any{}, match...)
		parts[i] = to
		return of(block(chunks(1, text), texts, parts), text)
	}
	bomb := deflated(t, io.LimitReader(spaces{}, limit.AdvisoryBlock+1))
	many, most := []any{1000, "A-1", "PyPI", "x"}, limit.AdvisoryVersions/1000+1
	for len(many) <= 1000 {
		many = append(many, "1.0")
	}
	runs := []any{1, 0, 0, 0, 1, 1, 2, 0, 0, most}
	for range most {
		runs = append(runs, 0, 1000)
	}
	crowd := []any{limit.AdvisoryRecords + 1}
	for range limit.AdvisoryRecords + 1 {
		crowd = append(crowd, []byte{0, 0, 0, 0})
	}
	for name, content := range map[string][]byte{
		"more records than allowed":  of(block(chunks(limit.AdvisoryRecords+1, text), texts, crowd), text),
		"a header of no JSON":        index("{", 1, nil, page{0, nil}),
		"a header of null":           index("null", 1, nil, page{0, nil}),
		"a header without a name":    index(`{"records":1}`, 1, nil, page{0, nil}),
		"a header of 2 MB":           index(`{"name":"PyPI","content":"`+strings.Repeat("x", limit.AdvisoryHeader)+`"}`, 1, nil, page{0, nil}),
		"no page":                    index(header, 0, good),
		"more pages than file":       index(header, math.MaxUint32, good, page{0, nil}),
		"a page more than there is":  index(header, 2, nil, page{0, nil}),
		"a page of another number":   index(header, 1, nil, page{1, nil}),
		"an entry cut in its key":    index(header, 1, nil, page{0, []byte("\x30x")}),
		"an entry without a value":   index(header, 1, nil, page{0, put(nil, key)}),
		"a value of nothing":         index(header, 1, nil, page{0, put(nil, key, "")}),
		"a value too long":           index(header, 1, good, page{0, put(nil, key, value(8, len(good), good)+"x")}),
		"a block beyond the end":     at(9, len(good)+64),
		"far beyond the end":         at(1<<40, len(good)),
		"beyond all numbers":         at(math.MaxInt64, len(good)),
		"before the beginning":       at(-1, len(good)),
		"a block of 4 GB":            at(8, math.MaxUint32),
		"a block cut short":          at(8, len(good)-1),
		"a block of others":          at(9, len(good)-1),
		"an empty block":             of(nil, nil),
		"a block of no record":       of(block([]any{0, 0, 0}), nil),
		"more records than bytes":    changed(0, 1<<30),
		"a string too many":          changed(1, 4),
		"a string of all numbers":    changed(1, 1<<62),
		"aliases without end":        changed(2, 1<<20),
		"a run beyond the strings":   changed(11, 2),
		"bytes behind the record":    of(append(bytes.Clone(good), 0), text),
		"fewer records than texts":   of(block(chunks(2, text), texts, match), text),
		"more versions than allowed": of(block(chunks(1, text), many, runs), text),
		"a kind of event that is none": of(block(chunks(1, text), texts,
			[]any{1, 0, 0, 0, 1, 1, 2, 0, 1, 3, 1, 9, 3, 0}), text),
		"a text that is missing":   of(block(chunks(1, make([]byte, 999)), texts, match), nil),
		"a text of no deflate":     withText([]byte("\xff\xff\xff\xff")),
		"a text of another record": withText(deflated(t, strings.NewReader("xx"))),
		"a text with more behind":  withText(deflated(t, bytes.NewReader(put(nil, 0, 0, "", "", 0, 0, "", 0, 0)))),
		"a text that ends early":   withText(deflated(t, bytes.NewReader(put(nil, 0, 0, "", 9)))),
		"a text that explodes":     withText(bomb),
		"an index of version 1":    []byte("ASSAYDB1" + strings.Repeat("x", 400)),
		"a trailer without a file": of(nil, nil)[8:],
		"a magic and nothing more": []byte("ASSAYDB2"),
	} {
		if got, err := lookup(content); err == nil || !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), "assay db import") {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// TestMisplacedPages: a directory whose places are swapped, each with its own
// right checksum, does not make a package look clean.
func TestMisplacedPages(t *testing.T) {
	dir := synthetic(t, 200)
	path := filepath.Join(dir, "PyPI.assaydb")
	whole := []byte(readFile(t, path))
	trailer := whole[len(whole)-48:]
	pages, header := int(binary.BigEndian.Uint32(trailer)), int(binary.BigEndian.Uint32(trailer[4:]))
	directory := len(whole) - 48 - header - 32*pages
	if pages < 4 {
		t.Fatalf("%d pages", pages)
	}
	swapped := bytes.Clone(whole)
	copy(swapped[directory:], whole[directory+32:directory+64])
	copy(swapped[directory+32:], whole[directory:directory+32])
	writeFile(t, path, string(swapped))
	db := open(t, dir)
	failed := 0
	for i := range 100 {
		records, err := db.Lookup(t.Context(), "PyPI", fmt.Sprintf("package-%d", i))
		if err != nil {
			failed++
		} else if len(records) != 2 {
			t.Errorf("package-%d has %d records", i, len(records))
		}
	}
	if failed == 0 || failed == 100 {
		t.Errorf("%d of 100 lookups notice", failed)
	}
}

// ending is the header and trailer for a header that replaces a file's own.
func ending(content, header []byte) []byte {
	lengths := bytes.Clone(content[len(content)-48 : len(content)-40])
	binary.BigEndian.PutUint32(lengths[4:], uint32(len(header)))
	sum := sha256.Sum256(append(bytes.Clone(lengths), header...))
	return append(append(append(bytes.Clone(header), lengths...), sum[:]...), "ASSAYDB2"...)
}

// FuzzBlock: whatever a block holds, it is read or refused, within bounds.
func FuzzBlock(f *testing.F) {
	f.Add(put(nil, 1, 1, 9, make([]byte, 20), 4, "A-1", "PyPI", "x", "1.0", 1, 0, 0, 0, 1, 1, 2, 0, 0, 1, 3, 1), []byte{})
	f.Add(put(nil, 0, 0, 0), put(nil, 1, 2, 0, 1, 2, 0, "summary", "details", 1, "CVSS_V3", "CVSS:3.1", 0, "HIGH", 1, "CWE-1"))
	f.Fuzz(func(t *testing.T, block, text []byte) {
		records, err := advisorydb.DecodeBlock(block, text)
		if err == nil && len(records) == 0 {
			t.Error("a block without a record")
		}
	})
}
