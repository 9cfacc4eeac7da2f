package rpmdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// The parts of an SQLite file that count here ("Database File Format").
const (
	sqliteMagic    = "SQLite format 3\x00"
	sqliteHead     = 100
	pageInterior   = 0x05
	pageLeaf       = 0x0d
	sqliteDepth    = 20
	sqliteSmallest = 512
)

// sqlite is an open file.
type sqlite struct {
	content []byte
	wal     map[uint32][]byte // newer pages
	page    int               // bytes, of which the first usable ones count
	usable  int
	pages   uint32
	seen    map[uint32]bool
}

// eachSQLite calls each with the header of every package: the second column of
// the table Packages.
func eachSQLite(content, wal []byte, each func([]byte) error) error {
	s, err := openSQLite(content, wal)
	if err != nil {
		return err
	}
	root, err := s.table("Packages")
	if err != nil {
		return err
	}
	return s.walk(root, 0, func(record []byte) error {
		columns, err := columns(record)
		if err != nil {
			return err
		}
		if len(columns) != 2 || columns[1].kind < 12 || columns[1].kind%2 != 0 {
			return errors.New("a row of Packages is not a number and a header")
		}
		return each(columns[1].value)
	})
}

func openSQLite(content, wal []byte) (*sqlite, error) {
	if len(content) < sqliteSmallest {
		return nil, fmt.Errorf("an SQLite file of %d bytes is cut off", len(content))
	}
	s := &sqlite{content: content, page: int(binary.BigEndian.Uint16(content[16:])), seen: map[uint32]bool{}}
	if s.page == 1 {
		s.page = 64 << 10
	}
	if s.page < sqliteSmallest || bits.OnesCount(uint(s.page)) != 1 {
		return nil, fmt.Errorf("an SQLite file with pages of %d bytes", s.page)
	}
	if len(content)%s.page != 0 {
		return nil, fmt.Errorf("an SQLite file of %d bytes, which are not whole pages of %d; it is cut off", len(content), s.page)
	}
	s.pages = uint32(len(content) / s.page)
	if len(wal) > 0 {
		var err error
		if s.wal, s.pages, err = readWAL(wal, s.page, s.pages); err != nil {
			return nil, fmt.Errorf("its write-ahead log: %w", err)
		}
	}
	head := s.bytes(1)
	if head == nil || string(head[:len(sqliteMagic)]) != sqliteMagic {
		return nil, errors.New("the first page of the SQLite file is not there")
	}
	if head[18] > 2 || head[19] > 2 {
		return nil, fmt.Errorf("an SQLite file of the format %d, which is not known", head[19])
	}
	if encoding := binary.BigEndian.Uint32(head[56:]); encoding != 1 {
		return nil, fmt.Errorf("an SQLite file with the text encoding %d; rpm writes 1", encoding)
	}
	if s.usable = s.page - int(head[20]); s.usable < 480 {
		return nil, fmt.Errorf("an SQLite file with %d usable bytes on a page", s.usable)
	}
	// The size in the header counts where it is of the last change.
	if said := binary.BigEndian.Uint32(head[28:]); said != 0 && binary.BigEndian.Uint32(head[24:]) == binary.BigEndian.Uint32(head[92:]) {
		if said > s.pages {
			return nil, fmt.Errorf("an SQLite file says that it has %d pages, and has %d; it is cut off", said, s.pages)
		}
		s.pages = said
	}
	return s, nil
}

// bytes is a page as the last commit left it, nil for one that is not there.
func (s *sqlite) bytes(number uint32) []byte {
	if number == 0 || number > s.pages {
		return nil
	}
	if newer, found := s.wal[number]; found {
		return newer
	}
	start := int(number-1) * s.page
	if start+s.page > len(s.content) {
		return nil
	}
	return s.content[start : start+s.page]
}

// take is a page that must be there and is read once: a page that two lead to
// would make a cycle.
func (s *sqlite) take(number uint32) ([]byte, error) {
	page := s.bytes(number)
	if page == nil {
		return nil, fmt.Errorf("page %d of %d is not there", number, s.pages)
	}
	if s.seen[number] {
		return nil, fmt.Errorf("page %d belongs to two things at once", number)
	}
	s.seen[number] = true
	return page, nil
}

// table is the first page of a table, as the schema says on page 1.
func (s *sqlite) table(name string) (root uint32, err error) {
	err = s.walk(1, 0, func(record []byte) error {
		columns, err := columns(record)
		if err != nil {
			return err
		}
		if len(columns) != 5 {
			return fmt.Errorf("a row of the schema has %d columns", len(columns))
		}
		if string(columns[0].value) != "table" || string(columns[1].value) != name {
			return nil
		}
		number, ok := columns[3].number()
		if !ok || number < 2 || number > int64(s.pages) || root != 0 {
			return fmt.Errorf("the schema gives no page to the table %s", name)
		}
		root = uint32(number)
		return nil
	})
	if err == nil && root == 0 {
		err = fmt.Errorf("the SQLite file has no table %s; it is not rpm's", name)
	}
	return root, err
}

// walk calls row with every record of a table, in the order of their numbers.
func (s *sqlite) walk(number uint32, depth int, row func([]byte) error) error {
	if depth > sqliteDepth {
		return fmt.Errorf("page %d lies %d deep", number, depth)
	}
	page, err := s.take(number)
	if err != nil {
		return err
	}
	start := 0
	if number == 1 {
		start = sqliteHead
	}
	head := 8
	kind := page[start]
	switch kind {
	case pageInterior:
		head = 12
	case pageLeaf:
	default:
		return fmt.Errorf("page %d is of the type %d, and should be of a table", number, kind)
	}
	cells := int(binary.BigEndian.Uint16(page[start+3:]))
	first := start + head
	if first+2*cells > s.usable {
		return fmt.Errorf("page %d says that it has %d cells", number, cells)
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(page[first+2*i:]))
		if at < first+2*cells || at+4 > s.usable {
			return fmt.Errorf("page %d: the cell %d lies at byte %d", number, i, at)
		}
		cell := page[at:s.usable]
		if kind == pageInterior {
			if err := s.walk(binary.BigEndian.Uint32(cell), depth+1, row); err != nil {
				return err
			}
			continue
		}
		record, err := s.record(cell)
		if err != nil {
			return fmt.Errorf("page %d: the cell %d: %w", number, i, err)
		}
		if err := row(record); err != nil {
			return fmt.Errorf("page %d: the cell %d: %w", number, i, err)
		}
	}
	if kind == pageInterior {
		return s.walk(binary.BigEndian.Uint32(page[start+8:]), depth+1, row)
	}
	return nil
}

// record is what a cell of a leaf holds: its size, its number, as much of it as
// fits there, and the first of its overflow pages.
func (s *sqlite) record(cell []byte) ([]byte, error) {
	size, n := varint(cell)
	_, m := varint(cell[n:])
	if n == 0 || m == 0 {
		return nil, errors.New("it is cut off")
	}
	if size > limit.RPMHeader {
		return nil, &limit.Error{What: "a row", Bound: limit.RPMHeader, Unit: "bytes"}
	}
	cell = cell[n+m:]
	total := int(size)
	local := total
	if most := s.usable - 35; total > most {
		least := (s.usable-12)*32/255 - 23
		if local = least + (total-least)%(s.usable-4); local > most {
			local = least
		}
	}
	if local == total {
		if total > len(cell) {
			return nil, errors.New("it is cut off")
		}
		return cell[:total], nil
	}
	if local+4 > len(cell) {
		return nil, errors.New("it is cut off")
	}
	if uint64(total) > uint64(s.pages)*uint64(s.page) {
		return nil, fmt.Errorf("it says that it has %d bytes, more than the file", total)
	}
	record := append(make([]byte, 0, total), cell[:local]...)
	for next := binary.BigEndian.Uint32(cell[local:]); len(record) < total; {
		page, err := s.take(next)
		if err != nil {
			return nil, err
		}
		record = append(record, page[4:4+min(s.usable-4, total-len(record))]...)
		next = binary.BigEndian.Uint32(page)
	}
	return record, nil
}

// column is one value of a record, with its serial type.
type column struct {
	kind  uint64
	value []byte
}

// columns splits a record: the size of its head, the serial types, the values.
func columns(record []byte) ([]column, error) {
	size, n := varint(record)
	if n == 0 || size < uint64(n) || size > uint64(len(record)) {
		return nil, errors.New("the head of a row is damaged")
	}
	types, values := record[n:size], record[size:]
	var list []column
	for len(types) > 0 {
		kind, n := varint(types)
		if n == 0 {
			return nil, errors.New("the head of a row is cut off")
		}
		types = types[n:]
		var length uint64
		switch {
		case kind >= 12:
			length = (kind - 12) / 2
		case kind < 10:
			length = [...]uint64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}[kind]
		default:
			return nil, fmt.Errorf("a row has a value of the type %d", kind)
		}
		if length > uint64(len(values)) {
			return nil, errors.New("a row is cut off")
		}
		list = append(list, column{kind, values[:length]})
		values = values[length:]
	}
	return list, nil
}

// number is the value of an integer.
func (c column) number() (int64, bool) {
	switch {
	case c.kind == 8 || c.kind == 9:
		return int64(c.kind - 8), true
	case c.kind < 1 || c.kind > 6:
		return 0, false
	}
	value := int64(int8(c.value[0]))
	for _, b := range c.value[1:] {
		value = value<<8 | int64(b)
	}
	return value, true
}

// varint is SQLite's: big-endian, seven bits to a byte, eight in the ninth; n
// is 0 where it is cut off.
func varint(b []byte) (value uint64, n int) {
	for i, c := range b {
		if i == 8 {
			return value<<8 | uint64(c), 9
		}
		value = value<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return value, i + 1
		}
	}
	return 0, 0
}
