package advisorydb

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// chunkBytes is about how much text is compressed together: more compresses
// better, less has to be inflated for one record.
const chunkBytes = 16 << 10

// errEncoding says that a block with the right checksum is no block.
var errEncoding = errors.New("a block is not encoded as one")

// encoder appends numbers and strings.
type encoder struct{ to []byte }

func (e *encoder) number(n int)  { e.to = binary.AppendUvarint(e.to, uint64(n)) }
func (e *encoder) text(s string) { e.number(len(s)); e.to = append(e.to, s...) }
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.number(0)
		return
	}
	e.number(1)
	e.to = binary.AppendVarint(e.to, t.Unix())
	e.number(t.Nanosecond())
}

// decoder reads what an encoder wrote. Its strings share one memory. After the
// end everything is zero, and bad is set.
type decoder struct {
	from []byte
	all  string
	at   int
	bad  bool
}

func newDecoder(content []byte) *decoder { return &decoder{from: content, all: string(content)} }

func (d *decoder) fail() int {
	d.bad, d.at = true, len(d.from)
	return 0
}

func (d *decoder) number() int {
	n, length := binary.Uvarint(d.from[d.at:])
	if length <= 0 || n > 1<<40 {
		return d.fail()
	}
	d.at += length
	return int(n)
}

// count reads how many things follow, each of one byte or more.
func (d *decoder) count() int {
	n := d.number()
	if n > len(d.from)-d.at {
		return d.fail()
	}
	return n
}

func (d *decoder) text() string {
	n := d.count()
	d.at += n
	return d.all[d.at-n : d.at]
}

func (d *decoder) time() time.Time {
	if d.number() == 0 {
		return time.Time{}
	}
	seconds, length := binary.Varint(d.from[d.at:])
	if length <= 0 {
		d.fail()
		return time.Time{}
	}
	d.at += length
	return time.Unix(seconds, int64(d.number())).UTC()
}

// list reads as many things as are said to follow.
func list[T any](d *decoder, read func() T) []T {
	n := d.count()
	if n == 0 {
		return nil
	}
	all := make([]T, 0, min(n, 1024))
	for range n {
		all = append(all, read())
		if d.bad {
			return nil
		}
	}
	return all
}

// pool numbers the strings of a block in the order in which they first appear.
type pool struct {
	number map[string]int
	texts  []string
}

func (p *pool) of(s string) int {
	n, known := p.number[s]
	if !known {
		n = len(p.texts)
		p.number[s], p.texts = n, append(p.texts, s)
	}
	return n
}

// chunk is where the text of some records in a row is.
type chunk struct {
	records, length int
	sum             []byte
}

// block is what one package has: records without the text that people read,
// and where that is.
type block struct {
	records []osv.Record
	chunks  []chunk
	// text is the offset of the first chunk in the file.
	text uint64
}

// encodeBlock gives the part that matching needs, and the chunks of text that
// follow it in the file.
func encodeBlock(compressor *flate.Writer, records []osv.Record) (match, text []byte, err error) {
	p := pool{number: map[string]int{}}
	body := &encoder{}
	body.number(len(records))
	for _, r := range records {
		encodeMatch(body, &p, r)
	}
	chunks := &encoder{}
	count := 0
	for first := 0; first < len(records); count++ {
		plain, last := &encoder{}, first
		for ; last < len(records) && (last == first || len(plain.to) < chunkBytes); last++ {
			encodeText(plain, records[last])
		}
		packed, err := deflate(compressor, plain.to)
		if err != nil {
			return nil, nil, err
		}
		sum := checksum(packed)
		chunks.number(last - first)
		chunks.number(len(packed))
		chunks.to = append(chunks.to, sum[:]...)
		text = append(text, packed...)
		first = last
	}
	head := &encoder{}
	head.number(count)
	head.to = append(head.to, chunks.to...)
	head.number(len(p.texts))
	for _, s := range p.texts {
		head.text(s)
	}
	return append(head.to, body.to...), text, nil
}

func encodeMatch(e *encoder, p *pool, r osv.Record) {
	e.number(p.of(r.ID))
	for _, texts := range [][]string{r.Aliases, r.Upstream} {
		e.number(len(texts))
		for _, s := range texts {
			e.number(p.of(s))
		}
	}
	e.number(len(r.Affected))
	for _, a := range r.Affected {
		e.number(p.of(a.Package.Ecosystem))
		e.number(p.of(a.Package.Name))
		e.number(len(a.Severity))
		for _, s := range a.Severity {
			e.number(p.of(s.Type))
			e.number(p.of(s.Score))
		}
		e.number(len(a.Ranges))
		for _, ranged := range a.Ranges {
			e.number(p.of(ranged.Type))
			e.number(len(ranged.Events))
			for _, event := range ranged.Events {
				for kind, s := range []string{event.Introduced, event.Fixed, event.LastAffected, event.Limit} {
					if s != "" {
						e.number(kind)
						e.number(p.of(s))
						break // exactly one is set, by osv.Decode
					}
				}
			}
		}
		encodeVersions(e, p, a.Versions)
	}
}

// encodeVersions writes runs of numbers that follow one another: the records
// of a package list the same versions in the same order.
func encodeVersions(e *encoder, p *pool, versions []string) {
	runs := &encoder{}
	count := 0
	for i := 0; i < len(versions); count++ {
		first := p.of(versions[i])
		length := 1
		for i++; i < len(versions) && p.of(versions[i]) == first+length; i++ {
			length++
		}
		runs.number(first)
		runs.number(length)
	}
	e.number(count)
	e.to = append(e.to, runs.to...)
}

// decodeBlock reads the part that matching needs.
func decodeBlock(content []byte) (*block, error) {
	d := newDecoder(content)
	b := &block{chunks: list(d, func() chunk {
		c := chunk{records: d.number(), length: d.number()}
		if len(d.from)-d.at < sumBytes {
			d.fail()
			return c
		}
		c.sum = d.from[d.at : d.at+sumBytes]
		d.at += sumBytes
		return c
	})}
	texts := list(d, d.text)
	reference := func() string {
		n := d.number()
		if n >= len(texts) {
			d.fail()
			return ""
		}
		return texts[n]
	}
	left, count := limit.AdvisoryVersions, 0
	b.records = list(d, func() osv.Record {
		if count++; count > limit.AdvisoryRecords {
			d.fail()
			return osv.Record{}
		}
		r := osv.Record{ID: reference(), Aliases: list(d, reference), Upstream: list(d, reference)}
		r.Affected = list(d, func() osv.Affected {
			a := osv.Affected{Package: osv.Package{Ecosystem: reference(), Name: reference()}}
			a.Severity = list(d, func() osv.Severity { return osv.Severity{Type: reference(), Score: reference()} })
			a.Ranges = list(d, func() osv.Range {
				return osv.Range{Type: reference(), Events: list(d, func() osv.Event { return decodeEvent(d, reference) })}
			})
			a.Versions = decodeVersions(d, texts, &left)
			return a
		})
		return r
	})
	records := 0
	for _, c := range b.chunks {
		records += c.records
	}
	if d.bad || d.at != len(d.from) || records != len(b.records) || len(b.records) == 0 {
		return nil, errEncoding
	}
	return b, nil
}

func decodeEvent(d *decoder, reference func() string) osv.Event {
	kind, text := d.number(), reference()
	switch kind {
	case 0:
		return osv.Event{Introduced: text}
	case 1:
		return osv.Event{Fixed: text}
	case 2:
		return osv.Event{LastAffected: text}
	case 3:
		return osv.Event{Limit: text}
	}
	d.fail()
	return osv.Event{}
}

func decodeVersions(d *decoder, texts []string, left *int) []string {
	runs := list(d, func() [2]int { return [2]int{d.number(), d.number()} })
	total := 0
	for _, run := range runs {
		if run[0]+run[1] > len(texts) {
			d.fail()
			return nil
		}
		total += run[1]
	}
	if *left -= total; *left < 0 {
		d.fail()
		return nil
	}
	if len(runs) == 1 { // most often: shared with the other records
		return texts[runs[0][0] : runs[0][0]+runs[0][1] : runs[0][0]+runs[0][1]]
	}
	var versions []string
	if total > 0 {
		versions = make([]string, 0, total)
	}
	for _, run := range runs {
		versions = append(versions, texts[run[0]:run[0]+run[1]]...)
	}
	return versions
}

func encodeText(e *encoder, r osv.Record) {
	e.time(r.Modified)
	e.time(r.Published)
	e.text(r.Summary)
	e.text(r.Details)
	e.number(len(r.Severity))
	for _, s := range r.Severity {
		e.text(s.Type)
		e.text(s.Score)
	}
	e.number(len(r.References))
	for _, reference := range r.References {
		e.text(reference.Type)
		e.text(reference.URL)
	}
	e.text(r.Database.Severity)
	e.number(len(r.Database.Weaknesses))
	for _, weakness := range r.Database.Weaknesses {
		e.text(weakness)
	}
}

// decodeText fills in what encodeText wrote of some records in a row.
func decodeText(content []byte, records []osv.Record) error {
	d := newDecoder(content)
	for i := range records {
		r := &records[i]
		r.Modified, r.Published, r.Summary, r.Details = d.time(), d.time(), d.text(), d.text()
		r.Severity = list(d, func() osv.Severity { return osv.Severity{Type: d.text(), Score: d.text()} })
		r.References = list(d, func() osv.Reference { return osv.Reference{Type: d.text(), URL: d.text()} })
		r.Database.Severity = d.text()
		r.Database.Weaknesses = list(d, d.text)
	}
	if d.bad || d.at != len(d.from) {
		return errEncoding
	}
	return nil
}

// deflate compresses with a compressor that is used again: a new one takes
// most of a megabyte.
func deflate(compressor *flate.Writer, content []byte) ([]byte, error) {
	var buffer bytes.Buffer
	compressor.Reset(&buffer)
	if _, err := compressor.Write(content); err != nil {
		return nil, err
	}
	if err := compressor.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

// inflate undoes deflate, within a bound.
func inflate(reader io.Reader, packed []byte, what string) ([]byte, error) {
	if err := reader.(flate.Resetter).Reset(bytes.NewReader(packed), nil); err != nil {
		return nil, err
	}
	return limit.ReadAll(reader, what, limit.AdvisoryBlock)
}
