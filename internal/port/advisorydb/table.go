package advisorydb

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

const (
	magic    = "ASSAYDB2"
	sumBytes = 20
	// slotBytes is a place in the directory: offset, length and checksum of a
	// page.
	slotBytes    = 8 + 4 + sumBytes
	trailerBytes = 4 + 4 + sha256.Size + len(magic)
	// pageEntries is how many entries a page holds on average.
	pageEntries = 24
)

// checksum is SHA-256, cut to 160 bits.
func checksum(content []byte) [sumBytes]byte {
	sum := sha256.Sum256(content)
	return [sumBytes]byte(sum[:sumBytes])
}

// slotOf is the page that has a key, if the table has it.
func slotOf(key string, pages uint32) uint32 {
	sum := sha256.Sum256([]byte(key))
	return uint32(binary.BigEndian.Uint64(sum[:]) % uint64(pages))
}

// tableWriter writes a file that is read back by key. It only appends, so that
// a file is as large as what it holds and never kept in memory.
type tableWriter struct {
	w       *bufio.Writer
	at      int64
	entries []tableEntry
}

type tableEntry struct {
	key   string
	value []byte
}

func newTableWriter(w io.Writer) (*tableWriter, error) {
	t := &tableWriter{w: bufio.NewWriterSize(w, 1<<16)}
	_, err := t.block([]byte(magic))
	return t, err
}

// block appends bytes and gives their offset.
func (t *tableWriter) block(content []byte) (int64, error) {
	at := t.at
	n, err := t.w.Write(content)
	t.at += int64(n)
	return at, err
}

// entry adds a key, which is new, and its value.
func (t *tableWriter) entry(key string, value []byte) error {
	if len(key) > math.MaxInt16 {
		return fmt.Errorf("a package name of %d bytes", len(key))
	}
	t.entries = append(t.entries, tableEntry{key, value})
	return nil
}

// finish writes pages, directory, header and trailer. The entries must be in
// the order of their keys for the same content to give the same file.
func (t *tableWriter) finish(header []byte) (size int64, err error) {
	if len(header) > limit.AdvisoryHeader {
		return 0, &limit.Error{What: "the header of an index", Bound: limit.AdvisoryHeader, Unit: "bytes"}
	}
	pages := make([][]byte, max(1, (len(t.entries)+pageEntries-1)/pageEntries))
	for i := range pages {
		pages[i] = binary.BigEndian.AppendUint32(nil, uint32(i))
	}
	for _, e := range t.entries {
		i := slotOf(e.key, uint32(len(pages)))
		page := binary.AppendUvarint(pages[i], uint64(len(e.key)))
		page = binary.AppendUvarint(append(page, e.key...), uint64(len(e.value)))
		pages[i] = append(page, e.value...)
	}
	var directory []byte
	for _, page := range pages {
		offset, err := t.block(page)
		if err != nil {
			return 0, err
		}
		sum := checksum(page)
		directory = binary.BigEndian.AppendUint64(directory, uint64(offset))
		directory = append(binary.BigEndian.AppendUint32(directory, uint32(len(page))), sum[:]...)
	}
	trailer := binary.BigEndian.AppendUint32(nil, uint32(len(pages)))
	trailer = binary.BigEndian.AppendUint32(trailer, uint32(len(header)))
	sum := headerSum(trailer, header)
	trailer = append(append(trailer, sum[:]...), magic...)
	for _, part := range [][]byte{directory, header, trailer} {
		if _, err := t.block(part); err != nil {
			return 0, err
		}
	}
	return t.at, t.w.Flush()
}

// headerSum is over the lengths and the header.
func headerSum(lengths, header []byte) [sha256.Size]byte {
	return sha256.Sum256(append(bytes.Clone(lengths), header...))
}

// table is an open file. It keeps nothing of it in memory.
type table struct {
	path      string
	handle    *os.File
	size      int64
	directory int64 // offset; what is before it is pages and blocks
	pages     uint32
}

// damaged says that a file is not what was written, and what to do.
func (t *table) damaged(what string) error {
	return fmt.Errorf("%s is damaged (%s); import it again with `assay db import`, or fetch it with `assay db update`", t.path, what)
}

// openTable opens a file and returns its header, which was checked.
func openTable(path string) (*table, []byte, error) {
	handle, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the advisory database: %w", err)
	}
	t := &table{path: path, handle: handle}
	header, err := t.head()
	if err != nil {
		handle.Close()
		return nil, nil, t.damaged(err.Error())
	}
	return t, header, nil
}

func (t *table) head() ([]byte, error) {
	info, err := t.handle.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	t.size = info.Size()
	start := make([]byte, len(magic))
	if n, err := t.handle.ReadAt(start, 0); string(start[:n]) != magic {
		if bytes.HasPrefix(start, []byte("ASSAYDB")) {
			return nil, errors.New("it is no index file of this version")
		}
		return nil, errors.Join(errors.New("it is no index file"), err)
	}
	trailer := make([]byte, trailerBytes)
	if t.size < int64(len(magic)+trailerBytes) {
		return nil, errors.New("it is too short")
	}
	if _, err := t.handle.ReadAt(trailer, t.size-int64(trailerBytes)); err != nil {
		return nil, err
	}
	if string(trailer[trailerBytes-len(magic):]) != magic {
		return nil, errors.New("its end is missing")
	}
	t.pages = binary.BigEndian.Uint32(trailer)
	length := int64(binary.BigEndian.Uint32(trailer[4:]))
	at := t.size - int64(trailerBytes) - length
	t.directory = at - int64(t.pages)*slotBytes
	if length > limit.AdvisoryHeader || t.pages == 0 || t.directory < int64(len(magic)) {
		return nil, errors.New("its lengths go beyond its beginning")
	}
	header := make([]byte, length)
	if _, err := t.handle.ReadAt(header, at); err != nil {
		return nil, err
	}
	if sum := headerSum(trailer[:8], header); !bytes.Equal(sum[:], trailer[8:8+sha256.Size]) {
		return nil, errors.New("the checksum of its header is wrong")
	}
	return header, nil
}

// block reads bytes and checks them.
func (t *table) block(what string, offset uint64, length uint64, sum []byte) ([]byte, error) {
	if length > limit.AdvisoryBlock || offset > uint64(t.directory) || offset+length > uint64(t.directory) {
		return nil, t.damaged(what + " goes beyond its end")
	}
	content := make([]byte, length)
	if _, err := t.handle.ReadAt(content, int64(offset)); err != nil {
		return nil, t.damaged(what + ": " + err.Error())
	}
	if actual := checksum(content); !bytes.Equal(actual[:], sum) {
		return nil, t.damaged("the checksum of " + what + " is wrong")
	}
	return content, nil
}

// page reads one page, whose number is part of it: a slot that points to
// another page is noticed.
func (t *table) page(number uint32) ([]byte, error) {
	var slot [slotBytes]byte
	if _, err := t.handle.ReadAt(slot[:], t.directory+int64(number)*slotBytes); err != nil {
		return nil, t.damaged(err.Error())
	}
	page, err := t.block("a page", binary.BigEndian.Uint64(slot[:]), uint64(binary.BigEndian.Uint32(slot[8:])), slot[12:])
	if err != nil {
		return nil, err
	}
	if len(page) < 4 || binary.BigEndian.Uint32(page) != number {
		return nil, t.damaged("a page is not in its place")
	}
	return page[4:], nil
}

// get finds the value of a key. That there is none is as certain as a value:
// the page that would have it was checked.
func (t *table) get(key string) (value []byte, found bool, err error) {
	page, err := t.page(slotOf(key, t.pages))
	if err != nil {
		return nil, false, err
	}
	err = t.entries(page, func(k, v []byte) error {
		if string(k) == key {
			value, found = v, true
		}
		return nil
	})
	return value, found, err
}

func (t *table) entries(page []byte, visit func(key, value []byte) error) error {
	for len(page) > 0 {
		key, rest, ok := cutField(page)
		if !ok {
			return t.damaged("a page ends inside an entry")
		}
		value, rest, ok := cutField(rest)
		if !ok {
			return t.damaged("a page ends inside an entry")
		}
		if err := visit(key, value); err != nil {
			return err
		}
		page = rest
	}
	return nil
}

// cutField cuts off bytes that have their length before them.
func cutField(from []byte) (field, rest []byte, ok bool) {
	length, n := binary.Uvarint(from)
	if n <= 0 || length > uint64(len(from)-n) {
		return nil, nil, false
	}
	return from[n : n+int(length)], from[n+int(length):], true
}

// each visits all entries, page by page, and checks every page.
func (t *table) each(visit func(key, value []byte) error) error {
	for number := range t.pages {
		page, err := t.page(number)
		if err != nil {
			return err
		}
		if err := t.entries(page, visit); err != nil {
			return err
		}
	}
	return nil
}
