package advisorydb

import (
	"archive/zip"
	"bytes"
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
	// archive bounds what the inputs unpack to; 0 is limit.AdvisoryArchive.
	archive int64
	// files bounds how many files an input may hold; 0 is limit.ArchiveFiles.
	files int
}

// Summary is what an import did.
type Summary struct {
	// Read counts records, Withdrawn and Other those that were left out:
	// withdrawn by their authors, or of another ecosystem.
	Read, Withdrawn, Other int
	// Broken counts unreadable records, with the first reasons.
	Broken  int
	Reasons []string
	// Ecosystems are the index files that were written.
	Ecosystems []Ecosystem
}

// Import reads OSV zips, directories of records and single records, and
// replaces the index files of the ecosystems that they hold. Nothing is
// replaced unless everything could be read. An import that is already running
// in the same directory is an error.
func Import(ctx context.Context, dir string, inputs []string, config Config) (Summary, error) {
	if config.Now.IsZero() || len(inputs) == 0 {
		return Summary{}, errors.New("advisorydb: inputs and a time are needed")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Summary{}, fmt.Errorf("making the advisory database: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return Summary{}, err
	}
	defer unlock()
	config.archive, config.files = cmp.Or(config.archive, limit.AdvisoryArchive), cmp.Or(config.files, limit.ArchiveFiles)
	i := &importer{config: config, records: map[string]osv.Record{}, left: config.archive}
	for _, input := range inputs {
		if err := i.input(ctx, input); err != nil {
			return i.summary, err
		}
	}
	return i.summary, i.write(dir)
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
	archive, err := zip.NewReader(handle, size)
	if err != nil {
		return fmt.Errorf("%s is no complete zip file: %w; fetch it again", path, err)
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
	if known, twice := i.records[record.ID]; !twice || record.Modified.After(known.Modified) {
		i.records[record.ID] = record
	}
	return nil
}

type counter struct {
	r io.Reader
	n int64
}

// Read counts what passes.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// write groups the records and replaces the index files.
func (i *importer) write(dir string) error {
	type group struct {
		header   Ecosystem
		packages map[string][]osv.Record
	}
	groups := map[string]*group{}
	ids := make([]string, 0, len(i.records))
	for id := range i.records {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		record := i.records[id]
		if !record.Withdrawn.IsZero() {
			i.summary.Withdrawn++
			continue
		}
		seen := map[string]bool{}
		counted := map[string]bool{}
		for _, affected := range record.Affected {
			ecosystem, name := normalise(affected.Package)
			base, _, released := strings.Cut(ecosystem, ":")
			if base == "" || name == "" || i.config.Ecosystem != "" && base != i.config.Ecosystem || seen[key(ecosystem, name)] {
				continue
			}
			seen[key(ecosystem, name)] = true
			g := groups[base]
			if g == nil {
				g = &group{header: Ecosystem{Name: base, Built: i.config.Now.UTC(), Sources: i.sources}, packages: map[string][]osv.Record{}}
				groups[base] = g
			}
			if !counted[base] {
				counted[base] = true
				g.header.Records++
			}
			if released && !slices.Contains(g.header.Releases, ecosystem) {
				g.header.Releases = append(g.header.Releases, ecosystem)
			}
			if record.Modified.After(g.header.Newest) {
				g.header.Newest = record.Modified.UTC()
			}
			k := key(ecosystem, name)
			g.packages[k] = append(g.packages[k], record.Slim(func(p osv.Package) bool {
				e, n := normalise(p)
				return e == ecosystem && n == name
			}))
		}
		if len(counted) == 0 {
			i.summary.Other++
		}
	}
	if len(groups) == 0 {
		what := "any ecosystem"
		if i.config.Ecosystem != "" {
			what = i.config.Ecosystem
		}
		return fmt.Errorf("none of the %d records is about a package of %s; nothing was imported", i.summary.Read, what)
	}
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if had := records(filepath.Join(dir, fileName(name))); !i.config.Shrink && 2*groups[name].header.Records < had {
			return &ShrinkError{Ecosystem: name, Had: had, Has: groups[name].header.Records}
		}
	}
	for _, name := range names {
		slices.Sort(groups[name].header.Releases)
		header, err := replace(dir, groups[name].header, groups[name].packages)
		if err != nil {
			return fmt.Errorf("writing the index of %s: %w", name, err)
		}
		i.summary.Ecosystems = append(i.summary.Ecosystems, header)
	}
	return nil
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
	handle, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer handle.Close()
	f, err := readHead(handle, path)
	if err != nil {
		return 0
	}
	return f.header.Records
}

// replace writes a file beside the old one and renames it.
func replace(dir string, header Ecosystem, packages map[string][]osv.Record) (Ecosystem, error) {
	var buffer bytes.Buffer
	header, err := encode(&buffer, header, packages)
	if err != nil {
		return Ecosystem{}, err
	}
	header.Bytes = int64(buffer.Len())
	target := filepath.Join(dir, fileName(header.Name))
	temporary, err := os.CreateTemp(dir, ".import-*")
	if err != nil {
		return Ecosystem{}, err
	}
	defer os.Remove(temporary.Name())
	if _, err := temporary.Write(buffer.Bytes()); err != nil {
		temporary.Close()
		return Ecosystem{}, err
	}
	if err := errors.Join(temporary.Chmod(0o644), temporary.Sync(), temporary.Close()); err != nil {
		return Ecosystem{}, err
	}
	return header, os.Rename(temporary.Name(), target)
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
