// Package advisorydb keeps advisories in a directory, one compact index file
// for each ecosystem.
//
// Entry points are [Import], which makes index files from OSV exports, [Open],
// and [Sample], a small set that is built in. A file is opened without decoding
// it; a lookup reads and checks one block. What does not match its checksum is
// an error that names the file: half a database is worse than none.
//
// An index file is
//
//	"ASSAYDB1"  SHA-256 of all up to the blocks  header length  table length
//	header (JSON)  table of names  blocks
//
// where lengths are 32 bits, big endian. The table is a count, an offset for
// each entry, and the entries in order of their key (ecosystem, NUL, name):
// key length, key, block offset (64 bits), block length, and the block's
// SHA-256. A block is a deflated JSON list of OSV records.
//
// The package fetches nothing and matches nothing.
package advisorydb

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

const (
	magic     = "ASSAYDB1"
	suffix    = ".assaydb"
	headBytes = len(magic) + sha256.Size + 8
	// maxHead bounds header and table, in bytes.
	maxHead = 256 << 20
)

// ErrMissing says that there is no database at all.
var ErrMissing = errors.New("no advisory database")

// Ecosystem is what one index file holds.
type Ecosystem struct {
	// Name is the ecosystem without its release: "PyPI", "Debian".
	Name string `json:"name"`
	// Releases are the ecosystems with their releases, where it has any.
	Releases []string `json:"releases,omitempty"`
	Records  int      `json:"records"`
	Packages int      `json:"packages"`
	// Newest is the latest "modified" of any record, UTC.
	Newest time.Time `json:"newest"`
	// Content is a digest that is the same for the same advisories.
	Content string `json:"content"`
	// Sources are the files that it was made from, with their digests.
	Sources []Source `json:"sources"`
	// Built is when.
	Built time.Time `json:"built"`
	// Bytes is the file's size.
	Bytes int64 `json:"bytes,omitempty"`
}

// Source is an input of an import.
type Source struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Database is an open set of advisories. It may be used by several goroutines.
type Database struct {
	files  []*file
	sample map[string][]osv.Record
	info   finding.Database
}

// file is one index file with its table in memory.
type file struct {
	path   string
	handle *os.File
	header Ecosystem
	table  []byte
	count  int
	blocks int64
}

// Open opens the index files of a directory. A directory without any is
// ErrMissing; a damaged file is an error that names it.
func Open(dir string) (*Database, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the advisory database: %w", err)
	}
	db := &Database{info: finding.Database{URI: "https://osv.dev"}}
	digest := sha256.New()
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), suffix) || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		f, err := openFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			db.Close()
			return nil, err
		}
		if twin := db.file(f.header.Name); twin != nil {
			f.handle.Close()
			db.Close()
			return nil, fmt.Errorf("%s and %s both hold %s; remove one of them", twin.path, f.path, f.header.Name)
		}
		db.files = append(db.files, f)
		fmt.Fprintf(digest, "%s %s\n", f.header.Name, f.header.Content)
		db.info.Ecosystems = append(db.info.Ecosystems, f.header.Name)
		db.info.Records += f.header.Records
		if f.header.Newest.After(db.info.LastUpdate) {
			db.info.LastUpdate = f.header.Newest
		}
		if db.info.Built.IsZero() || f.header.Built.Before(db.info.Built) {
			db.info.Built = f.header.Built
		}
	}
	if len(db.files) == 0 {
		return nil, fmt.Errorf("%w at %s", ErrMissing, dir)
	}
	db.info.Version = "sha256:" + hex.EncodeToString(digest.Sum(nil))
	return db, nil
}

func openFile(path string) (*file, error) {
	handle, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the advisory database: %w", err)
	}
	f, err := readHead(handle, path)
	if err != nil {
		handle.Close()
		return nil, fmt.Errorf("%s is damaged (%w); import it again with `assay db import`", path, err)
	}
	return f, nil
}

func readHead(handle *os.File, path string) (*file, error) {
	info, err := handle.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, headBytes)
	if _, err := io.ReadFull(handle, head); err != nil {
		return nil, fmt.Errorf("it is too short: %w", err)
	}
	if string(head[:len(magic)]) != magic {
		return nil, errors.New("it is no index file of this version")
	}
	sum := head[len(magic) : len(magic)+sha256.Size]
	headerLength := int64(binary.BigEndian.Uint32(head[headBytes-8:]))
	tableLength := int64(binary.BigEndian.Uint32(head[headBytes-4:]))
	if headerLength+tableLength > min(maxHead, info.Size()-int64(headBytes)) {
		return nil, errors.New("its lengths go beyond its end")
	}
	body := make([]byte, headerLength+tableLength)
	if _, err := io.ReadFull(handle, body); err != nil {
		return nil, err
	}
	if actual := sha256.Sum256(body); !bytes.Equal(actual[:], sum) {
		return nil, errors.New("its checksum is wrong")
	}
	f := &file{path: path, handle: handle, table: body[headerLength:], blocks: int64(headBytes) + headerLength + tableLength}
	if err := json.Unmarshal(body[:headerLength], &f.header); err != nil {
		return nil, err
	}
	if f.header.Name == "" {
		return nil, errors.New("it names no ecosystem")
	}
	f.header.Bytes = info.Size()
	if len(f.table) < 4 {
		return nil, errors.New("its table is too short")
	}
	f.count = int(binary.BigEndian.Uint32(f.table))
	if int64(f.count)*4+4 > tableLength {
		return nil, errors.New("its table is too short")
	}
	return f, nil
}

// entry is the i-th entry of the table; ok is false where the table is wrong,
// which its checksum makes a bug and not an accident.
func (f *file) entry(i int) (key []byte, offset int64, length uint32, sum []byte, ok bool) {
	at := int(binary.BigEndian.Uint32(f.table[4+4*i:]))
	if at+2 > len(f.table) {
		return nil, 0, 0, nil, false
	}
	size := int(binary.BigEndian.Uint16(f.table[at:]))
	rest := f.table[at+2:]
	if len(rest) < size+12+sha256.Size {
		return nil, 0, 0, nil, false
	}
	key, rest = rest[:size], rest[size:]
	return key, int64(binary.BigEndian.Uint64(rest)), binary.BigEndian.Uint32(rest[8:]), rest[12 : 12+sha256.Size], true
}

func (f *file) lookup(key string) ([]osv.Record, error) {
	damaged := func(what string) error {
		return fmt.Errorf("%s is damaged (%s); import it again with `assay db import`", f.path, what)
	}
	wrong := false
	i := sort.Search(f.count, func(i int) bool {
		found, _, _, _, ok := f.entry(i)
		wrong = wrong || !ok
		return string(found) >= key
	})
	if wrong {
		return nil, damaged("its table is wrong")
	}
	if i == f.count {
		return nil, nil
	}
	found, offset, length, sum, ok := f.entry(i)
	if !ok {
		return nil, damaged("its table is wrong")
	}
	if string(found) != key {
		return nil, nil
	}
	if int64(length) > f.header.Bytes || offset < 0 || f.blocks+offset+int64(length) > f.header.Bytes {
		return nil, damaged("a block goes beyond its end")
	}
	block := make([]byte, length)
	if _, err := f.handle.ReadAt(block, f.blocks+offset); err != nil {
		return nil, damaged(err.Error())
	}
	if actual := sha256.Sum256(block); !bytes.Equal(actual[:], sum) {
		return nil, damaged("the checksum of a block is wrong")
	}
	content, err := limit.ReadAll(flate.NewReader(bytes.NewReader(block)), f.path, limit.AdvisoryBlock)
	if err != nil {
		return nil, damaged(err.Error())
	}
	var records []osv.Record
	if err := json.Unmarshal(content, &records); err != nil {
		return nil, damaged(err.Error())
	}
	return records, nil
}

// Info says what the database is, for reports and evidence.
func (d *Database) Info() finding.Database { return d.info }

// Ecosystems lists what is in it, one entry for each index file.
func (d *Database) Ecosystems() []Ecosystem {
	var list []Ecosystem
	for _, f := range d.files {
		list = append(list, f.header)
	}
	if d.sample != nil {
		list = append(list, Ecosystem{Name: pydist.Ecosystem, Records: d.info.Records, Packages: len(d.sample),
			Newest: d.info.LastUpdate, Content: d.info.Version, Built: d.info.Built})
	}
	return list
}

// Covers says whether an ecosystem, with its release, is there.
func (d *Database) Covers(ecosystem string) bool {
	if d.sample != nil {
		return ecosystem == pydist.Ecosystem
	}
	f := d.file(ecosystem)
	return f != nil && (len(f.header.Releases) == 0 || slices.Contains(f.header.Releases, ecosystem))
}

func (d *Database) file(ecosystem string) *file {
	base, _, _ := strings.Cut(ecosystem, ":")
	for _, f := range d.files {
		if f.header.Name == base {
			return f
		}
	}
	return nil
}

// Lookup lists the advisories of one package, by its normalised name, those of
// the ecosystem without a release included. None is no error.
func (d *Database) Lookup(ctx context.Context, ecosystem, name string) ([]osv.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.sample != nil {
		return slices.Clone(d.sample[key(ecosystem, name)]), nil
	}
	f := d.file(ecosystem)
	if f == nil {
		return nil, fmt.Errorf("no advisories of %s are there", ecosystem)
	}
	records, err := f.lookup(key(ecosystem, name))
	if err != nil {
		return nil, err
	}
	if base, _, released := strings.Cut(ecosystem, ":"); released {
		more, err := f.lookup(key(base, name))
		if err != nil {
			return nil, err
		}
		records = append(records, more...)
	}
	return records, nil
}

// Close closes the files.
func (d *Database) Close() error {
	var errs []error
	for _, f := range d.files {
		errs = append(errs, f.handle.Close())
	}
	return errors.Join(errs...)
}

func key(ecosystem, name string) string { return ecosystem + "\x00" + name }

// normalise spells an ecosystem and a name as lookups do.
func normalise(p osv.Package) (ecosystem, name string) {
	ecosystem, name = p.Ecosystem, p.Name
	base, release, _ := strings.Cut(ecosystem, ":")
	switch base {
	case pydist.Ecosystem:
		return base, pydist.Normalise(name)
	case "Ubuntu": // "Ubuntu:22.04:LTS"
		if release, found := strings.CutSuffix(release, ":LTS"); found {
			return base + ":" + release, name
		}
	}
	return ecosystem, name
}

// encode writes an index file: the header's counts and content digest are
// filled in here.
func encode(w io.Writer, header Ecosystem, packages map[string][]osv.Record) (Ecosystem, error) {
	keys := make([]string, 0, len(packages))
	for k := range packages {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	compressor, err := flate.NewWriter(io.Discard, flate.BestCompression)
	if err != nil {
		return Ecosystem{}, err
	}
	var blocks, entries bytes.Buffer
	offsets := make([]byte, 0, 4*len(keys))
	base := 4 + 4*len(keys)
	for _, k := range keys {
		if len(k) > 1<<15 {
			return Ecosystem{}, fmt.Errorf("a package name of %d bytes", len(k))
		}
		records := packages[k]
		slices.SortFunc(records, func(a, b osv.Record) int { return cmp.Compare(a.ID, b.ID) })
		block, err := deflate(compressor, records)
		if err != nil {
			return Ecosystem{}, err
		}
		sum := sha256.Sum256(block)
		offsets = binary.BigEndian.AppendUint32(offsets, uint32(base+entries.Len()))
		var entry []byte
		entry = binary.BigEndian.AppendUint16(entry, uint16(len(k)))
		entry = append(entry, k...)
		entry = binary.BigEndian.AppendUint64(entry, uint64(blocks.Len()))
		entry = binary.BigEndian.AppendUint32(entry, uint32(len(block)))
		entries.Write(append(entry, sum[:]...))
		blocks.Write(block)
	}
	table := binary.BigEndian.AppendUint32(nil, uint32(len(keys)))
	table = append(append(table, offsets...), entries.Bytes()...)
	content := sha256.Sum256(table)
	header.Content, header.Packages = "sha256:"+hex.EncodeToString(content[:]), len(keys)
	head, err := json.Marshal(header)
	if err != nil {
		return Ecosystem{}, err
	}
	body := append(slices.Clone(head), table...)
	if len(body) > maxHead {
		return Ecosystem{}, &limit.Error{What: "the index of " + header.Name, Bound: maxHead, Unit: "bytes"}
	}
	sum := sha256.Sum256(body)
	start := append([]byte(magic), sum[:]...)
	start = binary.BigEndian.AppendUint32(start, uint32(len(head)))
	start = binary.BigEndian.AppendUint32(start, uint32(len(table)))
	for _, part := range [][]byte{start, body, blocks.Bytes()} {
		if _, err := w.Write(part); err != nil {
			return Ecosystem{}, err
		}
	}
	return header, nil
}

// deflate compresses with a compressor that is used again: a new one takes
// most of a megabyte.
func deflate(compressor *flate.Writer, records []osv.Record) ([]byte, error) {
	content, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	var buffer bytes.Buffer
	compressor.Reset(&buffer)
	if _, err := compressor.Write(content); err != nil {
		return nil, err
	}
	if err := compressor.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}
