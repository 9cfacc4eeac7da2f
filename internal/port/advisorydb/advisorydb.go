// Package advisorydb keeps advisories in a directory, one compact index file
// for each ecosystem, and what is known of attacks (KEV, EPSS) beside them.
//
// Entry points are [Open], [Sample], a small set that is built in, and
// [OpenWriter] with [Import] as its short form, which make index files from
// OSV exports. A file is opened without decoding it, and nothing of it is kept
// in memory; a lookup reads and checks one page and one block. What does not
// match its checksum is an error that names the file, also where the answer
// would be "none": half a database is worse than none.
//
// An index file is
//
//	"ASSAYDB2"  blocks  pages  directory  header (JSON)  trailer
//
// with numbers big endian or unsigned varints. The trailer is the number of
// pages, the header's length (both 32 bits), the SHA-256 of both and the
// header, and the magic again. The directory has 32 bytes for each page: its
// offset (64 bits), length (32 bits) and checksum, which is SHA-256 cut to 160
// bits. A page is its number (32 bits) and entries, each a key and a value with
// their lengths before them; a key (ecosystem, NUL, name) is in the page whose
// number is the first 64 bits of the key's SHA-256 modulo the number of pages.
// A value is the offset and length of a block and its checksum.
//
// A block has what matching needs of all records of one package: its chunks of
// text (records, length, checksum), a pool of strings, and records that refer
// to the pool by number, lists of versions as runs of numbers. The chunks
// follow the block: deflated, what people read of some records in a row. They
// are read for what was found, not for what was looked at.
//
// Feeds (KEV, EPSS) are files of the same kind, whose values are the entries
// themselves.
//
// The package fetches nothing and matches nothing.
package advisorydb

import (
	"bytes"
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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

const (
	suffix     = ".assaydb"
	feedSuffix = ".assayfeed"
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
	// Built is when the file was made, UTC. Current is when its source is known
	// to have been current: the source's own word where it has one, else its
	// newest record's, withdrawn ones included.
	Built   time.Time `json:"built"`
	Current time.Time `json:"current"`
	// Update is where increments go on; nil for what was imported.
	Update *UpdateState `json:"update,omitempty"`
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
	files     []*file
	feeds     []*feed
	sample    map[string][]osv.Record
	info      finding.Database
	now       time.Time
	maxAge    time.Duration
	inflaters sync.Pool
}

// file is one open index file.
type file struct {
	*table
	header Ecosystem
	last   atomic.Pointer[looked]
}

// looked is the answer to the last lookup: matching comes back for the text of
// what it found.
type looked struct {
	key   string
	block *block
}

// Open opens the index files of a directory. A directory without any is
// ErrMissing; a damaged file is an error that names it.
func Open(dir string) (*Database, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the advisory database: %w", err)
	}
	db := &Database{info: finding.Database{URI: "https://osv.dev"}}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		switch {
		case strings.HasSuffix(path, suffix):
			err = db.add(path)
		case strings.HasSuffix(path, feedSuffix):
			err = db.addFeed(path)
		}
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	if len(db.files) == 0 {
		return nil, errors.Join(fmt.Errorf("%w at %s", ErrMissing, dir), db.Close())
	}
	digest := sha256.New()
	for _, f := range db.files {
		fmt.Fprintf(digest, "%s %s\n", f.header.Name, f.header.Content)
	}
	db.info.Version = "sha256:" + hex.EncodeToString(digest.Sum(nil))
	return db, nil
}

func (d *Database) add(path string) error {
	f, err := openFile(path)
	if err != nil {
		return err
	}
	if twin := d.file(f.header.Name); twin != nil {
		f.handle.Close()
		return fmt.Errorf("%s and %s both hold %s; remove one of them", twin.path, f.path, f.header.Name)
	}
	d.files = append(d.files, f)
	count(&d.info, f.header)
	return nil
}

// count adds an ecosystem to what is said of a database.
func count(info *finding.Database, e Ecosystem) {
	info.Ecosystems = append(info.Ecosystems, e.Name)
	info.Records += e.Records
	if e.Newest.After(info.LastUpdate) {
		info.LastUpdate = e.Newest
	}
	if info.Built.IsZero() || e.Built.Before(info.Built) {
		info.Built = e.Built
	}
	if info.Current.IsZero() || e.Current.Before(info.Current) {
		info.Current = e.Current
	}
}

func openFile(path string) (*file, error) {
	t, header, err := openTable(path)
	if err != nil {
		return nil, err
	}
	f := &file{table: t}
	if err := json.Unmarshal(header, &f.header); err != nil {
		t.handle.Close()
		return nil, t.damaged(err.Error())
	}
	if f.header.Name == "" {
		t.handle.Close()
		return nil, t.damaged("it names no ecosystem")
	}
	f.header.Bytes = t.size
	return f, nil
}

// place is the value of a key: where its block is.
func (t *table) place(value []byte) (b *block, raw []byte, err error) {
	offset, n := binary.Uvarint(value)
	if n <= 0 {
		return nil, nil, t.damaged("an entry is wrong")
	}
	length, m := binary.Uvarint(value[n:])
	if m <= 0 || len(value) != n+m+sumBytes {
		return nil, nil, t.damaged("an entry is wrong")
	}
	raw, err = t.block("a block", offset, length, value[n+m:])
	if err != nil {
		return nil, nil, err
	}
	if b, err = decodeBlock(raw); err != nil {
		return nil, nil, t.damaged(err.Error())
	}
	b.text = offset + length
	return b, raw, nil
}

// lookup finds the block of a key; nil where there is none.
func (f *file) lookup(key string) (*block, error) {
	if last := f.last.Load(); last != nil && last.key == key {
		return last.block, nil
	}
	value, found, err := f.get(key)
	if err != nil {
		return nil, err
	}
	var b *block
	if found {
		if b, _, err = f.place(value); err != nil {
			return nil, err
		}
	}
	f.last.Store(&looked{key, b})
	return b, nil
}

// texts reads the chunks of a block that hold a record that is wanted, and
// visits the records of these chunks.
func (d *Database) texts(t *table, b *block, wanted func(id string) bool, visit func(osv.Record)) error {
	first, at := 0, b.text
	for _, c := range b.chunks {
		records := b.records[first : first+c.records]
		if slices.ContainsFunc(records, func(r osv.Record) bool { return wanted(r.ID) }) {
			packed, err := t.block("a text", at, uint64(c.length), c.sum)
			if err != nil {
				return err
			}
			full := slices.Clone(records)
			if err := d.inflate(packed, full); err != nil {
				return t.damaged(err.Error())
			}
			for _, r := range full {
				visit(r)
			}
		}
		first += c.records
		at += uint64(c.length)
	}
	return nil
}

func (d *Database) inflate(packed []byte, records []osv.Record) error {
	inflater, ok := d.inflaters.Get().(io.Reader)
	if !ok {
		inflater = flate.NewReader(bytes.NewReader(nil))
	}
	defer d.inflaters.Put(inflater)
	plain, err := inflate(inflater, packed, "a text")
	if err != nil {
		return err
	}
	return decodeText(plain, records)
}

// Info says what the whole database is.
func (d *Database) Info() finding.Database { return d.info }

// Used says what the database is to a scan that asked for these ecosystems, with
// or without releases: counts and dates are of these alone, so that a neighbour
// that nobody asked makes them neither older nor newer. The version stays that of
// the whole. With the sample, or where none of them is there, it is Info.
func (d *Database) Used(ecosystems []string) finding.Database {
	used := d.info
	used.Ecosystems, used.Records = nil, 0
	used.LastUpdate, used.Built, used.Current = time.Time{}, time.Time{}, time.Time{}
	for _, f := range d.files {
		if slices.ContainsFunc(ecosystems, func(e string) bool { return d.file(e) == f }) {
			count(&used, f.header)
		}
	}
	if len(used.Ecosystems) == 0 {
		return d.info
	}
	return used
}

// Ecosystems lists what is in it, one entry for each index file.
func (d *Database) Ecosystems() []Ecosystem {
	var list []Ecosystem
	for _, f := range d.files {
		list = append(list, f.header)
	}
	if d.sample != nil {
		list = append(list, Ecosystem{Name: pydist.Ecosystem, Records: d.info.Records, Packages: len(d.sample),
			Newest: d.info.LastUpdate, Content: d.info.Version, Built: d.info.Built, Current: d.info.Current})
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
	records, err := d.Brief(ctx, ecosystem, name)
	if err != nil {
		return nil, err
	}
	return records, d.Describe(ctx, ecosystem, name, records)
}

// Brief is Lookup without what Describe fills in: it has what matching needs.
// An ecosystem that is older than Bound allows is an *AgeError.
func (d *Database) Brief(ctx context.Context, ecosystem, name string) ([]osv.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.tooOld(ecosystem); err != nil {
		return nil, err
	}
	if d.sample != nil {
		return slices.Clone(d.sample[key(ecosystem, name)]), nil
	}
	f := d.file(ecosystem)
	if f == nil {
		return nil, fmt.Errorf("no advisories of %s are there", ecosystem)
	}
	var records []osv.Record
	for _, k := range keys(ecosystem, name) {
		b, err := f.lookup(k)
		if err != nil {
			return nil, err
		}
		if b != nil {
			records = append(records, b.records...)
		}
	}
	return records, nil
}

// Describe fills in the dates, texts, references and ratings of records that
// Brief listed for the package.
func (d *Database) Describe(ctx context.Context, ecosystem, name string, records []osv.Record) error {
	if d.sample != nil || len(records) == 0 {
		return ctx.Err()
	}
	f := d.file(ecosystem)
	if f == nil {
		return fmt.Errorf("no advisories of %s are there", ecosystem)
	}
	missing := map[string][]int{}
	for i, r := range records {
		missing[r.ID] = append(missing[r.ID], i)
	}
	wanted := func(id string) bool { return len(missing[id]) > 0 }
	for _, k := range keys(ecosystem, name) {
		if len(missing) == 0 {
			break
		}
		b, err := f.lookup(k)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		if err := d.texts(f.table, b, wanted, func(full osv.Record) {
			for _, i := range missing[full.ID] {
				full.Affected = records[i].Affected
				records[i] = full
			}
			delete(missing, full.ID)
		}); err != nil {
			return err
		}
	}
	for id := range missing {
		return fmt.Errorf("no advisory %s of %s %s is there", id, ecosystem, name)
	}
	return ctx.Err()
}

// Close closes the files.
func (d *Database) Close() error {
	var errs []error
	for _, f := range d.files {
		errs = append(errs, f.handle.Close())
	}
	for _, f := range d.feeds {
		errs = append(errs, f.handle.Close())
	}
	return errors.Join(errs...)
}

func key(ecosystem, name string) string { return ecosystem + "\x00" + name }

// keys are where advisories of a package may be: those of its release, and
// those that are for all releases.
func keys(ecosystem, name string) []string {
	list := []string{key(ecosystem, name)}
	if base, _, released := strings.Cut(ecosystem, ":"); released {
		list = append(list, key(base, name))
	}
	return list
}

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
