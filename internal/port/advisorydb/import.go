package advisorydb

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// Config says how to import.
type Config struct {
	// Ecosystem keeps only this one ("PyPI", "Debian"); "" keeps all.
	Ecosystem string
	// SkipBroken passes over records that cannot be read, and counts them;
	// without it the first one ends the import.
	SkipBroken bool
	// Shrink lets an index lose more than half of its advisories. Without it
	// that is an error: an export of one ecosystem names packages of others in
	// passing, and would replace all that is known of those.
	Shrink bool
	// Now dates the index; it must be set.
	Now time.Time
	// AsOf is when the inputs were fetched from a source that was current;
	// zero where that is not known.
	AsOf time.Time
	// archive bounds what the inputs unpack to; 0 is limit.AdvisoryArchive.
	archive int64
	// files bounds how many files an input may hold; 0 is limit.ArchiveFiles.
	files int
	// wrap stands between an index file and the disk; nil is nothing.
	wrap func(io.Writer) io.Writer
}

// Summary is what an import did.
type Summary struct {
	// Read counts records, Withdrawn and Other those that were left out:
	// withdrawn by their authors, or of another ecosystem.
	Read, Withdrawn, Other int
	// Broken counts unreadable records, with the first reasons.
	Broken  int
	Reasons []string
	// Ecosystems are the index files that were written, Feeds the feeds.
	Ecosystems []Ecosystem
	Feeds      []Feed
}

// Writer changes the database of a directory. While it is open no other one
// can be: a second writer fails at once. Close it.
type Writer struct {
	dir    string
	unlock func()
}

// OpenWriter locks a directory, which is made if need be.
func OpenWriter(dir string) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the advisory database: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, unlock: unlock}
	w.tidy()
	return w, nil
}

// tidy removes what a writer that was killed left behind; nobody else has the
// lock.
func (w *Writer) tidy() {
	for _, pattern := range []string{".import-*", ".update-*"} {
		left, err := filepath.Glob(filepath.Join(w.dir, pattern))
		if err != nil {
			continue // a directory with a bracket in its name keeps them
		}
		for _, path := range left {
			os.Remove(path) // what stays is not read, and is tried again
		}
	}
}

// Dir is the directory.
func (w *Writer) Dir() string { return w.dir }

// Close unlocks the directory.
func (w *Writer) Close() { w.unlock() }

// Import opens a Writer for one Import.
func Import(ctx context.Context, dir string, inputs []string, config Config) (Summary, error) {
	if config.Now.IsZero() || len(inputs) == 0 {
		return Summary{}, errors.New("advisorydb: inputs and a time are needed")
	}
	w, err := OpenWriter(dir)
	if err != nil {
		return Summary{}, err
	}
	defer w.Close()
	return w.Import(ctx, inputs, config)
}

// Import reads OSV zips, directories of records, single records, KEV
// catalogues and EPSS scores, and replaces the index files of the ecosystems
// and feeds that they hold. Nothing is replaced unless everything could be
// read and written.
func (w *Writer) Import(ctx context.Context, inputs []string, config Config) (Summary, error) {
	i := newImporter(config)
	advisories := false
	for _, input := range inputs {
		found, err := i.feed(input)
		if err != nil {
			return i.summary, err
		}
		if found {
			continue
		}
		advisories = true
		if err := i.input(ctx, input); err != nil {
			return i.summary, err
		}
	}
	stage := &stage{dir: w.dir, wrap: config.wrap}
	defer stage.drop()
	var headers []Ecosystem
	if advisories {
		var err error
		if headers, err = i.write(stage); err != nil {
			return i.summary, err
		}
	}
	feeds, err := i.writeFeeds(stage)
	if err != nil {
		return i.summary, err
	}
	if err := stage.commit(); err != nil {
		return i.summary, err
	}
	i.summary.Ecosystems, i.summary.Feeds = headers, feeds
	return i.summary, nil
}

func newImporter(config Config) *importer {
	config.archive, config.files = cmp.Or(config.archive, limit.AdvisoryArchive), cmp.Or(config.files, limit.ArchiveFiles)
	return &importer{config: config, records: map[string]osv.Record{}, left: config.archive, read: map[string]*feedContent{}}
}

func lock(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, ".lock")
	handle, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the advisory database: %w", err)
	}
	if err := syscall.Flock(int(handle.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		handle.Close()
		return nil, fmt.Errorf("another import is writing to %s; wait for it to end", dir)
	}
	return func() { handle.Close() }, nil // closing releases the lock
}

type importer struct {
	config  Config
	records map[string]osv.Record // by id; the later "modified" wins, a withdrawn one too
	sources []Source
	read    map[string]*feedContent // by the feed's name
	summary Summary
	left    int64
	files   int
}

func (i *importer) input(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return i.directory(ctx, path)
	}
	handle, err := os.Open(path)
	if err != nil {
		return err
	}
	defer handle.Close()
	sum := sha256.New()
	if strings.HasSuffix(strings.ToLower(path), ".json") {
		if err := i.record(io.TeeReader(handle, sum), path); err != nil {
			return err
		}
	} else {
		if _, err := io.Copy(sum, handle); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		if err := i.zip(ctx, handle, info.Size(), path); err != nil {
			return err
		}
	}
	i.source(filepath.Base(path), sum)
	return nil
}

func (i *importer) source(name string, sum hash.Hash) {
	i.sources = append(i.sources, Source{Name: name, SHA256: hex.EncodeToString(sum.Sum(nil))})
}

func (i *importer) zip(ctx context.Context, handle io.ReaderAt, size int64, path string) error {
	counted := &directoryReader{r: handle, left: int64(i.config.files) * directoryBytes, what: path, files: i.config.files}
	archive, err := zip.NewReader(counted, size)
	var over *limit.Error
	if errors.As(err, &over) {
		return err
	}
	counted.done = true
	if err != nil {
		return fmt.Errorf("%s is no complete zip file: %w; fetch it again, or name a zip, a .json record, a directory, or KEV or EPSS", path, err)
	}
	if len(archive.File) > i.config.files {
		return &limit.Error{What: path, Bound: int64(i.config.files), Unit: "files"}
	}
	before := i.summary.Read + i.summary.Broken
	for _, member := range archive.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !strings.HasSuffix(member.Name, ".json") {
			continue
		}
		where := path + ": " + member.Name
		reader, err := member.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		err = i.record(reader, where)
		reader.Close()
		if err != nil {
			return err
		}
	}
	if i.summary.Read+i.summary.Broken == before {
		return fmt.Errorf("%s holds no OSV record (files that end in .json)", path)
	}
	return nil
}

func (i *importer) directory(ctx context.Context, dir string) error {
	sum := sha256.New()
	before := i.summary.Read + i.summary.Broken
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, ".json") {
			return nil
		}
		if i.files++; i.files > i.config.files {
			return &limit.Error{What: dir, Bound: int64(i.config.files), Unit: "files"}
		}
		if kind := d.Type(); !kind.IsRegular() && kind != fs.ModeSymlink {
			return fmt.Errorf("%s is no file", path) // opening a pipe would wait for ever
		}
		handle, err := os.Open(path)
		if err != nil {
			return err
		}
		defer handle.Close()
		return i.record(io.TeeReader(handle, sum), path)
	})
	if err != nil {
		return err
	}
	if i.summary.Read+i.summary.Broken == before {
		return fmt.Errorf("%s holds no OSV record (files that end in .json)", dir)
	}
	i.source(filepath.Base(dir)+"/", sum)
	return nil
}

func (i *importer) record(r io.Reader, where string) error {
	counted := &counter{r: r}
	record, err := osv.Decode(limit.Reader(counted, "the unpacked advisories", i.left), where)
	i.left -= counted.n
	var over *limit.Error
	if errors.As(err, &over) && i.left <= 0 {
		return err
	}
	if err != nil {
		if !i.config.SkipBroken {
			return fmt.Errorf("%w; nothing was imported (--skip-broken passes over such records)", err)
		}
		if i.summary.Broken++; len(i.summary.Reasons) < 5 {
			i.summary.Reasons = append(i.summary.Reasons, err.Error())
		}
		return nil
	}
	i.summary.Read++
	i.add(record)
	return nil
}

// add keeps a record, unless a later one with its id is there.
func (i *importer) add(record osv.Record) {
	if known, twice := i.records[record.ID]; !twice || record.Modified.After(known.Modified) {
		i.records[record.ID] = record.Slim(func(osv.Package) bool { return true })
	}
}

// group is what is known of one ecosystem.
type group struct {
	newest, current time.Time
	packages        map[string][]osv.Record
}

// groups sorts the records by ecosystem and package, and leaves out those that
// were withdrawn.
func (i *importer) groups() map[string]*group {
	groups := map[string]*group{}
	ids := make([]string, 0, len(i.records))
	for id := range i.records {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		record := i.records[id]
		withdrawn := !record.Withdrawn.IsZero()
		seen, known := map[string]bool{}, false
		for _, affected := range record.Affected {
			ecosystem, name := normalise(affected.Package)
			base, _, _ := strings.Cut(ecosystem, ":")
			k := key(ecosystem, name)
			if base == "" || name == "" || i.config.Ecosystem != "" && base != i.config.Ecosystem || seen[k] {
				continue
			}
			seen[k], known = true, true
			g := groups[base]
			if g == nil {
				g = &group{packages: map[string][]osv.Record{}}
				groups[base] = g
			}
			g.current = later(g.current, record.Modified)
			if withdrawn {
				continue
			}
			g.newest = later(g.newest, record.Modified)
			g.packages[k] = append(g.packages[k], record.Slim(func(p osv.Package) bool {
				e, n := normalise(p)
				return e == ecosystem && n == name
			}))
		}
		switch {
		case withdrawn:
			i.summary.Withdrawn++
		case !known:
			i.summary.Other++
		}
	}
	return groups
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b.UTC()
	}
	return a
}

// write stages the index files of what was read.
func (i *importer) write(stage *stage) ([]Ecosystem, error) {
	groups := i.groups()
	var names []string
	for name, g := range groups {
		if len(g.packages) > 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		what := "any ecosystem"
		if i.config.Ecosystem != "" {
			what = i.config.Ecosystem
		}
		return nil, fmt.Errorf("none of the %d records is about a package of %s; nothing was imported", i.summary.Read, what)
	}
	slices.Sort(names)
	var headers []Ecosystem
	for _, name := range names {
		g := groups[name]
		header, err := stage.index(edition{header: i.header(name, g), packages: g.packages, shrink: i.config.Shrink})
		if err != nil {
			return nil, fmt.Errorf("writing the index of %s: %w", name, err)
		}
		headers = append(headers, header)
	}
	return headers, nil
}

func (i *importer) header(name string, g *group) Ecosystem {
	header := Ecosystem{Name: name, Built: i.config.Now.UTC(), Newest: g.newest, Current: g.current, Sources: i.sources}
	if !i.config.AsOf.IsZero() {
		header.Current = i.config.AsOf.UTC()
	}
	if header.Current.After(header.Built) {
		header.Current = header.Built // a record dated in advance proves nothing
	}
	return header
}

// ShrinkError says that an import would replace an index by one with less than
// half of its advisories. Nothing was replaced.
type ShrinkError struct {
	Ecosystem string
	Had, Has  int
}

// Error names the ecosystem and both numbers.
func (e *ShrinkError) Error() string {
	return fmt.Sprintf("these inputs hold %d advisories of %s, and the database has %d: nothing was imported", e.Has, e.Ecosystem, e.Had)
}

// records is how many advisories an index file holds; 0 for none that can be
// read, which may be replaced.
func records(path string) int {
	f, err := openFile(path)
	if err != nil {
		return 0
	}
	defer f.handle.Close()
	return f.header.Records
}

// fileName spells an ecosystem so that it cannot lead anywhere: what is no
// letter, digit or dash becomes its number.
func fileName(ecosystem string) string {
	var b strings.Builder
	for _, r := range ecosystem {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "_%x_", r)
		}
	}
	return b.String() + suffix
}
