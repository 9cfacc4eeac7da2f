package rpmdb

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
)

// The parts of an NDB file: a header of two slots, the pages of slots, and
// blobs in blocks. All numbers are little-endian.
const (
	ndbMagic     = "RpmP"
	ndbSlotMagic = "Slot"
	ndbBlobStart = "BlbS"
	ndbBlobEnd   = "BlbE"
	ndbPage      = 4096
	ndbBlock     = 16 // of a slot too
	ndbTail      = 12
)

// eachNDB calls each with the header of every package.
func eachNDB(content []byte, each func([]byte) error) error {
	if len(content) < ndbPage {
		return fmt.Errorf("an NDB file of %d bytes is cut off", len(content))
	}
	if version := binary.LittleEndian.Uint32(content[4:]); version != 0 {
		return fmt.Errorf("an NDB file of version %d; only 0 is known", version)
	}
	pages := uint64(binary.LittleEndian.Uint32(content[12:]))
	if pages == 0 || pages*ndbPage > uint64(len(content)) {
		return fmt.Errorf("an NDB file of %d bytes says that it has %d pages of slots", len(content), pages)
	}
	left := uint64(len(content)) // blobs that lie over each other would be read for ever
	for at := uint64(2 * ndbBlock); at < pages*ndbPage; at += ndbBlock {
		slot := content[at : at+ndbBlock]
		if string(slot[:4]) != ndbSlotMagic {
			return fmt.Errorf("the slot at byte %d is damaged", at)
		}
		number, block, count := binary.LittleEndian.Uint32(slot[4:]), uint64(binary.LittleEndian.Uint32(slot[8:])), uint64(binary.LittleEndian.Uint32(slot[12:]))
		if number == 0 && block == 0 {
			continue // free
		}
		if count*ndbBlock > left {
			return fmt.Errorf("the packages of the slots up to byte %d lie over each other", at)
		}
		left -= count * ndbBlock
		if block*ndbBlock < pages*ndbPage || (block+count)*ndbBlock > uint64(len(content)) {
			return fmt.Errorf("the slot at byte %d leads to the blocks %d to %d, which are not there", at, block, block+count)
		}
		blob, err := ndbBlob(content[block*ndbBlock:(block+count)*ndbBlock], number)
		if err != nil {
			return fmt.Errorf("the blob at byte %d: %w", block*ndbBlock, err)
		}
		if err := each(blob); err != nil {
			return err
		}
	}
	return nil
}

// ndbBlob takes a blob out of its blocks: a start of 16 bytes, the header,
// zeroes, and an end of 12 with a checksum over all before it.
func ndbBlob(blocks []byte, number uint32) ([]byte, error) {
	if len(blocks) < ndbBlock+ndbTail || string(blocks[:4]) != ndbBlobStart || binary.LittleEndian.Uint32(blocks[4:]) != number {
		return nil, fmt.Errorf("it does not start as the package %d", number)
	}
	size := uint64(binary.LittleEndian.Uint32(blocks[12:]))
	if (ndbBlock+size+ndbTail+ndbBlock-1)/ndbBlock*ndbBlock != uint64(len(blocks)) {
		return nil, fmt.Errorf("it has %d bytes, and %d blocks", size, len(blocks)/ndbBlock)
	}
	tail := blocks[len(blocks)-ndbTail:]
	if string(tail[8:]) != ndbBlobEnd || uint64(binary.LittleEndian.Uint32(tail[4:])) != size {
		return nil, fmt.Errorf("it does not end as a package of %d bytes", size)
	}
	if sum := adler32.Checksum(blocks[:len(blocks)-ndbTail]); sum != binary.LittleEndian.Uint32(tail) {
		return nil, fmt.Errorf("its checksum is %08x, and should be %08x", sum, binary.LittleEndian.Uint32(tail))
	}
	return blocks[ndbBlock : ndbBlock+size], nil
}
