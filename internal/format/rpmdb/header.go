package rpmdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// The tags of a header that count here (rpmtag.h).
const (
	tagName        = 1000
	tagVersion     = 1001
	tagRelease     = 1002
	tagEpoch       = 1003
	tagVendor      = 1011
	tagLicense     = 1014
	tagArch        = 1022
	tagOldNames    = 1027
	tagSourceRPM   = 1044
	tagDirIndexes  = 1116
	tagBaseNames   = 1117
	tagDirNames    = 1118
	tagModularity  = 5096
	entrySize      = 16
	typeInt32      = 4
	typeString     = 6
	typeStrings    = 8
	typeTranslated = 9
)

// header is a header's index by tag, over its data.
type header struct {
	data    []byte
	entries map[uint32]entry
}

type entry struct{ kind, offset, count uint32 }

// parseHeader reads a header as the database holds it: the count of entries,
// the length of the data, the entries, the data, all big-endian.
func parseHeader(blob []byte, owns func(string) bool) (Package, error) {
	if len(blob) > limit.RPMHeader {
		return Package{}, &limit.Error{What: "its header", Bound: limit.RPMHeader, Unit: "bytes"}
	}
	if len(blob) < 8 {
		return Package{}, errors.New("its header is cut off")
	}
	tags, size := uint64(binary.BigEndian.Uint32(blob)), uint64(binary.BigEndian.Uint32(blob[4:]))
	if tags > limit.RPMTags {
		return Package{}, &limit.Error{What: "its header", Bound: limit.RPMTags, Unit: "tags"}
	}
	if 8+tags*entrySize+size != uint64(len(blob)) {
		return Package{}, fmt.Errorf("its header of %d bytes says that it has %d tags and %d bytes of data", len(blob), tags, size)
	}
	index, data := blob[8:8+tags*entrySize], blob[8+tags*entrySize:]
	h := header{data: data, entries: map[uint32]entry{}}
	for ; len(index) > 0; index = index[entrySize:] {
		tag := binary.BigEndian.Uint32(index)
		switch tag {
		case tagName, tagVersion, tagRelease, tagEpoch, tagVendor, tagLicense, tagArch, tagOldNames, tagSourceRPM, tagDirIndexes, tagBaseNames, tagDirNames, tagModularity:
			if _, twice := h.entries[tag]; twice {
				return Package{}, fmt.Errorf("its header has the tag %d twice", tag)
			}
			h.entries[tag] = entry{binary.BigEndian.Uint32(index[4:]), binary.BigEndian.Uint32(index[8:]), binary.BigEndian.Uint32(index[12:])}
		}
	}
	return h.read(owns)
}

func (h header) read(owns func(string) bool) (p Package, err error) {
	for _, field := range []struct {
		tag  uint32
		into *string
	}{{tagName, &p.Name}, {tagVersion, &p.Version}, {tagRelease, &p.Release}, {tagArch, &p.Architecture}, {tagSourceRPM, &p.SourceRPM}, {tagLicense, &p.License}, {tagVendor, &p.Vendor}, {tagModularity, &p.Modularity}} {
		list, err := h.strings(field.tag, 1)
		if err != nil {
			return Package{}, err
		}
		if len(list) > 0 {
			*field.into = strings.TrimSpace(list[0])
		}
	}
	if p.Name == "" || p.Version == "" || p.Release == "" {
		return Package{}, fmt.Errorf("its header has no name, version or release (found %.100q, %.100q, %.100q)", p.Name, p.Version, p.Release)
	}
	epoch, err := h.numbers(tagEpoch)
	if err != nil {
		return Package{}, err
	}
	if len(epoch) > 0 {
		p.Epoch = epoch[0]
	}
	if p.SourceRPM == "(none)" {
		p.SourceRPM = ""
	}
	if owns != nil && p.Name != "gpg-pubkey" {
		p.Owned, err = h.owned(owns)
	}
	return p, err
}

// strings reads the first strings of a tag, at most as many as are asked for.
func (h header) strings(tag uint32, most int) ([]string, error) {
	e, found := h.entries[tag]
	if !found {
		return nil, nil
	}
	if e.kind != typeString && e.kind != typeStrings && e.kind != typeTranslated || e.kind == typeString && e.count != 1 {
		return nil, fmt.Errorf("the tag %d of its header has the type %d", tag, e.kind)
	}
	if uint64(e.offset)+uint64(e.count) > uint64(len(h.data)) { // each string has its zero at least
		return nil, fmt.Errorf("the tag %d of its header lies outside of it", tag)
	}
	list := make([]string, 0, min(int(e.count), most))
	for rest := h.data[e.offset:]; len(list) < cap(list); {
		text, after, terminated := bytes.Cut(rest, []byte{0})
		if !terminated {
			return nil, fmt.Errorf("the tag %d of its header is cut off", tag)
		}
		if !utf8.Valid(text) {
			text = bytes.ToValidUTF8(text, []byte("\ufffd"))
		}
		list, rest = append(list, string(text)), after
	}
	return list, nil
}

func (h header) numbers(tag uint32) ([]uint32, error) {
	e, found := h.entries[tag]
	if !found {
		return nil, nil
	}
	if e.kind != typeInt32 {
		return nil, fmt.Errorf("the tag %d of its header has the type %d", tag, e.kind)
	}
	if uint64(e.offset)+4*uint64(e.count) > uint64(len(h.data)) {
		return nil, fmt.Errorf("the tag %d of its header lies outside of it", tag)
	}
	list := make([]uint32, e.count)
	for i := range list {
		list[i] = binary.BigEndian.Uint32(h.data[int(e.offset)+4*i:])
	}
	return list, nil
}

// owned lists the files that were asked for: the base names, each with the
// number of its directory, or whole paths in headers of before rpm 4.
func (h header) owned(owns func(string) bool) ([]string, error) {
	old, err := h.strings(tagOldNames, len(h.data))
	if err != nil {
		return nil, err
	}
	var kept []string
	keep := func(name string) {
		if name = strings.TrimPrefix(name, "/"); owns(name) {
			kept = append(kept, name)
		}
	}
	for _, name := range old {
		keep(name)
	}
	dirs, err := h.strings(tagDirNames, len(h.data))
	if err != nil {
		return nil, err
	}
	names, err := h.strings(tagBaseNames, len(h.data))
	if err != nil {
		return nil, err
	}
	indexes, err := h.numbers(tagDirIndexes)
	if err != nil {
		return nil, err
	}
	if len(names) != len(indexes) {
		return nil, fmt.Errorf("its header has %d files in %d directories", len(names), len(indexes))
	}
	for i, name := range names {
		if uint64(indexes[i]) >= uint64(len(dirs)) {
			return nil, fmt.Errorf("its header names the directory %d of %d", indexes[i], len(dirs))
		}
		keep(dirs[indexes[i]] + name)
	}
	return kept, nil
}
