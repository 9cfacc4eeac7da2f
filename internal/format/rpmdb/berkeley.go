package rpmdb

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// The parts of a Berkeley DB hash file that count here (db_page.h). Numbers are
// in the byte order of the machine that made the file.
const (
	berkeleyMagic      = 0x061561
	berkeleyMeta       = 512
	berkeleyHead       = 26 // of every page
	pageInvalid        = 0
	pageHashUnsorted   = 2
	pageOverflow       = 7
	pageHash           = 13
	itemData           = 1
	itemOffPage        = 3
	itemOffPageSize    = 12
	flagChecksum       = 1
	berkeleyOldest     = 8
	berkeleyNewest     = 10
	berkeleySmallest   = 512
	berkeleyLargest    = 64 << 10
	berkeleyMetaType   = 8
	berkeleyInstanceID = 4 // bytes of a key
)

// berkeley is an open file.
type berkeley struct {
	content []byte
	order   binary.ByteOrder
	page    uint32 // bytes
	pages   uint32
	seen    []bool // overflow pages that were read
}

func isBerkeley(content []byte) bool {
	return len(content) >= berkeleyMeta && (binary.LittleEndian.Uint32(content[12:]) == berkeleyMagic || binary.BigEndian.Uint32(content[12:]) == berkeleyMagic)
}

// eachBerkeley calls each with the header of every package. It looks at every
// page; headers that do not fit a page lie on chains of overflow pages, and an
// overflow page that no chain holds is an error, since the package that it
// belongs to would be lost.
func eachBerkeley(content []byte, each func([]byte) error) error {
	b, err := openBerkeley(content)
	if err != nil {
		return err
	}
	for number := uint32(1); number < b.pages; number++ {
		page := b.at(number)
		switch kind := page[25]; kind {
		case pageInvalid, pageOverflow:
		case pageHash, pageHashUnsorted:
			if err := b.pairs(page, each); err != nil {
				return fmt.Errorf("page %d: %w", number, err)
			}
		default:
			return fmt.Errorf("page %d is of the type %d, which is not known", number, kind)
		}
	}
	for number, seen := range b.seen {
		if !seen && b.at(uint32(number))[25] == pageOverflow {
			return fmt.Errorf("page %d holds a part of a package that no entry leads to; the database is damaged", number)
		}
	}
	return nil
}

func openBerkeley(content []byte) (*berkeley, error) {
	b := &berkeley{content: content, order: binary.ByteOrder(binary.LittleEndian)}
	if binary.BigEndian.Uint32(content[12:]) == berkeleyMagic {
		b.order = binary.BigEndian
	}
	if version := b.order.Uint32(content[16:]); version < berkeleyOldest || version > berkeleyNewest {
		return nil, fmt.Errorf("a Berkeley DB hash file of version %d; %d to %d are known", version, berkeleyOldest, berkeleyNewest)
	}
	if content[25] != berkeleyMetaType {
		return nil, fmt.Errorf("the first page of the Berkeley DB file is of the type %d", content[25])
	}
	if content[24] != 0 || content[26]&flagChecksum != 0 {
		return nil, errors.New("a Berkeley DB file with encryption or checksums, which rpm never makes")
	}
	b.page = b.order.Uint32(content[20:])
	if b.page < berkeleySmallest || b.page > berkeleyLargest || b.page&(b.page-1) != 0 {
		return nil, fmt.Errorf("a Berkeley DB file with pages of %d bytes", b.page)
	}
	last := uint64(b.order.Uint32(content[32:]))
	if (last+1)*uint64(b.page) > uint64(len(content)) {
		return nil, fmt.Errorf("a Berkeley DB file of %d bytes says that it has %d pages of %d", len(content), last+1, b.page)
	}
	b.pages = uint32(last + 1)
	b.seen = make([]bool, b.pages)
	return b, nil
}

func (b *berkeley) at(number uint32) []byte {
	return b.content[uint64(number)*uint64(b.page):][:b.page]
}

// pairs reads the entries of a page: offsets from its head on, key and value in
// turn; the items lie from its end backwards.
func (b *berkeley) pairs(page []byte, each func([]byte) error) error {
	entries := int(b.order.Uint16(page[20:]))
	if entries%2 != 0 || berkeleyHead+2*entries > len(page) {
		return fmt.Errorf("it says that it has %d items", entries)
	}
	end := len(page)
	for i := range entries {
		start := int(b.order.Uint16(page[berkeleyHead+2*i:]))
		if start < berkeleyHead+2*entries || start >= end {
			return fmt.Errorf("the item %d lies at byte %d, before %d", i, start, end)
		}
		item := page[start:end]
		end = start
		if i%2 == 0 {
			if item[0] != itemData || len(item) != 1+berkeleyInstanceID {
				return fmt.Errorf("the item %d is not the number of a package", i)
			}
			continue
		}
		// The number 0 keeps the last number that was given away.
		key := page[b.order.Uint16(page[berkeleyHead+2*(i-1):])+1:][:berkeleyInstanceID]
		blob, err := b.item(item)
		if err != nil {
			return fmt.Errorf("the item %d: %w", i, err)
		}
		if b.order.Uint32(key) == 0 {
			continue
		}
		if err := each(blob); err != nil {
			return err
		}
	}
	return nil
}

// item is the value of an item, on its page or elsewhere.
func (b *berkeley) item(item []byte) ([]byte, error) {
	switch item[0] {
	case itemData:
		return item[1:], nil
	case itemOffPage:
		if len(item) < itemOffPageSize {
			return nil, errors.New("it is cut off")
		}
		return b.chain(b.order.Uint32(item[4:]), b.order.Uint32(item[8:]))
	}
	return nil, fmt.Errorf("it is of the kind %d, which is not known", item[0])
}

// chain puts together what lies on overflow pages.
func (b *berkeley) chain(number, size uint32) ([]byte, error) {
	if size > limit.RPMHeader {
		return nil, &limit.Error{What: "a package's header", Bound: limit.RPMHeader, Unit: "bytes"}
	}
	if uint64(size) > uint64(len(b.content)) {
		return nil, fmt.Errorf("it says that it has %d bytes, more than the file", size)
	}
	blob := make([]byte, 0, size)
	for number != 0 {
		if number >= b.pages || b.at(number)[25] != pageOverflow {
			return nil, fmt.Errorf("it goes on at page %d, which holds no such thing", number)
		}
		if b.seen[number] {
			return nil, fmt.Errorf("it comes to page %d, which was read before", number)
		}
		b.seen[number] = true
		page := b.at(number)
		length := int(b.order.Uint16(page[22:]))
		if berkeleyHead+length > len(page) || len(blob)+length > int(size) {
			return nil, fmt.Errorf("page %d says that it holds %d bytes", number, length)
		}
		blob = append(blob, page[berkeleyHead:][:length]...)
		number = b.order.Uint32(page[16:])
	}
	if len(blob) != int(size) {
		return nil, fmt.Errorf("it should have %d bytes, and has %d", size, len(blob))
	}
	return blob, nil
}
