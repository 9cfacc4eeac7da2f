package advisorydb

import (
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// stage holds files that are complete beside those that they will replace.
// Each is replaced whole, by rename; before commit nothing is.
type stage struct {
	dir   string
	wrap  func(io.Writer) io.Writer
	files []staged
}

type staged struct{ temporary, target string }

// file writes one file of the stage.
func (s *stage) file(name string, write func(io.Writer) error) error {
	if len(name) > 255 { // Linux's NAME_MAX, before anything is replaced
		return fmt.Errorf("the file name %.40s… is too long", name)
	}
	temporary, err := os.CreateTemp(s.dir, ".import-*")
	if err != nil {
		return err
	}
	s.files = append(s.files, staged{temporary.Name(), filepath.Join(s.dir, name)})
	var w io.Writer = temporary
	if s.wrap != nil {
		w = s.wrap(w)
	}
	return errors.Join(write(w), temporary.Chmod(0o644), temporary.Sync(), temporary.Close())
}

// commit renames all files. A crash between two of them leaves whole files,
// each the old or the new one.
func (s *stage) commit() error {
	for _, f := range s.files {
		if err := os.Rename(f.temporary, f.target); err != nil {
			return fmt.Errorf("replacing %s: %w", f.target, err)
		}
	}
	s.files = nil
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// drop removes what was not committed.
func (s *stage) drop() {
	for _, f := range s.files {
		os.Remove(f.temporary) // a file that is left begins with a dot and is not read
	}
}

// edition is what an index file is made of: the packages, and where there is
// an old file all of its packages too, without the records that changed.
type edition struct {
	header   Ecosystem
	packages map[string][]osv.Record
	old      *file
	changed  map[string]bool
	shrink   bool
}

// index stages an index file. The header's counts and its content digest are
// filled in here.
func (s *stage) index(e edition) (Ecosystem, error) {
	name := fileName(e.header.Name)
	had := records(filepath.Join(s.dir, name))
	var header Ecosystem
	err := s.file(name, func(w io.Writer) (err error) {
		header, err = encode(w, e)
		return err
	})
	if err != nil {
		return Ecosystem{}, err
	}
	if !e.shrink && 2*header.Records < had {
		return Ecosystem{}, &ShrinkError{Ecosystem: header.Name, Had: had, Has: header.Records}
	}
	return header, nil
}

// encode writes an index file.
func encode(w io.Writer, e edition) (Ecosystem, error) {
	t, err := newTableWriter(w)
	if err != nil {
		return Ecosystem{}, err
	}
	compressor, err := flate.NewWriter(io.Discard, flate.BestCompression)
	if err != nil {
		return Ecosystem{}, err
	}
	places, err := e.places()
	if err != nil {
		return Ecosystem{}, err
	}
	content, ids, releases := sha256.New(), map[string]bool{}, map[string]bool{}
	header := e.header
	header.Packages = 0
	for _, k := range places.keys {
		found, match, text, err := e.block(k, places.old[k], compressor)
		if err != nil {
			return Ecosystem{}, err
		}
		if len(found) == 0 {
			continue
		}
		for _, r := range found {
			ids[r.ID] = true
		}
		if ecosystem, _, _ := strings.Cut(k, "\x00"); ecosystem != header.Name {
			releases[ecosystem] = true
		}
		header.Packages++
		offset, err := t.block(match)
		if err != nil {
			return Ecosystem{}, err
		}
		if _, err := t.block(text); err != nil {
			return Ecosystem{}, err
		}
		sum := checksum(match)
		value := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(offset)), uint64(len(match)))
		if err := t.entry(k, append(value, sum[:]...)); err != nil {
			return Ecosystem{}, err
		}
		fmt.Fprintf(content, "%d %s %x\n", len(k), k, sum)
	}
	header.Records, header.Releases, header.Bytes = len(ids), nil, 0
	for release := range releases {
		header.Releases = append(header.Releases, release)
	}
	slices.Sort(header.Releases)
	header.Content = "sha256:" + hex.EncodeToString(content.Sum(nil))
	head, err := json.Marshal(header)
	if err != nil {
		return Ecosystem{}, err
	}
	header.Bytes, err = t.finish(head)
	return header, err
}

// places are the keys of an edition in order, with the old file's values.
type places struct {
	keys []string
	old  map[string][]byte
}

func (e edition) places() (places, error) {
	p := places{old: map[string][]byte{}}
	for k := range e.packages {
		p.keys = append(p.keys, k)
	}
	if e.old != nil {
		if err := e.old.each(func(k, value []byte) error {
			p.old[string(k)] = value
			if _, twice := e.packages[string(k)]; !twice {
				p.keys = append(p.keys, string(k))
			}
			return nil
		}); err != nil {
			return places{}, err
		}
	}
	slices.Sort(p.keys)
	return p, nil
}

// block makes the block of one package. One that nothing changed in is copied,
// and still checked.
func (e edition) block(k string, value []byte, compressor *flate.Writer) (found []osv.Record, match, text []byte, err error) {
	found = e.packages[k]
	if value != nil {
		old, raw, err := e.old.place(value)
		if err != nil {
			return nil, nil, nil, err
		}
		touched := len(found) > 0 || slices.ContainsFunc(old.records, func(r osv.Record) bool { return e.changed[r.ID] })
		if !touched {
			at := old.text
			for _, c := range old.chunks {
				packed, err := e.old.block("a text", at, uint64(c.length), c.sum)
				if err != nil {
					return nil, nil, nil, err
				}
				text = append(text, packed...)
				at += uint64(c.length)
			}
			return old.records, raw, text, nil
		}
		var d Database
		all := func(string) bool { return true }
		if err := d.texts(e.old.table, old, all, func(r osv.Record) {
			if !e.changed[r.ID] {
				found = append(found, r)
			}
		}); err != nil {
			return nil, nil, nil, err
		}
	}
	if len(found) == 0 {
		return nil, nil, nil, nil
	}
	slices.SortFunc(found, func(a, b osv.Record) int { return strings.Compare(a.ID, b.ID) })
	if match, text, err = encodeBlock(compressor, found); err != nil {
		return nil, nil, nil, err
	}
	// What is too large to be read must not be written.
	if _, err := decodeBlock(match); err != nil || len(match) > limit.AdvisoryBlock {
		return nil, nil, nil, &limit.Error{What: fmt.Sprintf("what %d advisories say of %q", len(found), k), Bound: limit.AdvisoryVersions, Unit: "versions"}
	}
	return found, match, text, nil
}
