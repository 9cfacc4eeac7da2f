package rpmdb

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The parts of a write-ahead log ("WAL-mode File Format").
const (
	walMagic   = 0x377f0682 // the last bit says that checksums are big-endian
	walVersion = 3007000
	walHead    = 32
	frameHead  = 24
)

// readWAL gives the pages that the log holds, up to the last commit, and how
// many pages the database has after it. As SQLite does it, the log ends at the
// first frame that is not of this log or whose checksum is wrong: what comes
// after was never committed.
func readWAL(log []byte, page int, pages uint32) (map[uint32][]byte, uint32, error) {
	if len(log) < walHead {
		return nil, 0, errors.New("it is cut off")
	}
	magic := binary.BigEndian.Uint32(log)
	if magic&^1 != walMagic || binary.BigEndian.Uint32(log[4:]) != walVersion {
		return nil, 0, errors.New("it is not one of SQLite")
	}
	if size := binary.BigEndian.Uint32(log[8:]); size != uint32(page) {
		return nil, 0, fmt.Errorf("it has pages of %d bytes, and the database of %d", size, page)
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if magic&1 == 1 {
		order = binary.BigEndian
	}
	var sum walSum
	sum.add(order, log[:24])
	if !sum.is(log[24:]) {
		return nil, 0, errors.New("the checksum of its head is wrong")
	}
	salts := string(log[16:24])
	committed, pending := map[uint32][]byte{}, map[uint32][]byte{}
	for rest := log[walHead:]; len(rest) >= frameHead+page; rest = rest[frameHead+page:] {
		head, content := rest[:frameHead], rest[frameHead:][:page]
		sum.add(order, head[:8])
		sum.add(order, content)
		if string(head[8:16]) != salts || !sum.is(head[16:]) {
			break
		}
		pending[binary.BigEndian.Uint32(head)] = content
		if size := binary.BigEndian.Uint32(head[4:]); size != 0 {
			for number, content := range pending {
				committed[number] = content
			}
			clear(pending)
			pages = size
		}
	}
	return committed, pages, nil
}

// walSum is the checksum that runs over a log.
type walSum struct{ a, b uint32 }

// add takes 8 bytes at a time.
func (s *walSum) add(order binary.ByteOrder, content []byte) {
	for ; len(content) >= 8; content = content[8:] {
		s.a += order.Uint32(content) + s.b
		s.b += order.Uint32(content[4:]) + s.a
	}
}

func (s *walSum) is(written []byte) bool {
	return s.a == binary.BigEndian.Uint32(written) && s.b == binary.BigEndian.Uint32(written[4:])
}
