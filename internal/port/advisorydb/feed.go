package advisorydb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/epss"
	"github.com/seed-161fc314/assay/internal/format/kev"
)

// The names of the feeds.
const (
	KEV  = "KEV"
	EPSS = "EPSS"
)

// Feed is what one file about attacks holds.
type Feed struct {
	// Name is KEV or EPSS, Version the edition's or the model's.
	Name    string `json:"name"`
	Version string `json:"version"`
	// Date is the edition's own, UTC; Built is when the file was made.
	Date    time.Time `json:"date"`
	Built   time.Time `json:"built"`
	Entries int       `json:"entries"`
	Source  Source    `json:"source"`
	// Tag is what the source calls this edition (ETag), "" for what was imported.
	Tag string `json:"tag,omitempty"`
	// Bytes is the file's size.
	Bytes int64 `json:"bytes,omitempty"`
}

type feed struct {
	*table
	header Feed
}

// feedContent is a feed that was read: values by CVE.
type feedContent struct {
	header Feed
	values map[string][]byte
}

func feedFile(name string) string { return strings.ToLower(name) + feedSuffix }

func openFeed(path string) (*feed, error) {
	t, header, err := openTable(path)
	if err != nil {
		return nil, err
	}
	f := &feed{table: t}
	if err := json.Unmarshal(header, &f.header); err != nil {
		t.handle.Close()
		return nil, t.damaged(err.Error())
	}
	if f.header.Name != KEV && f.header.Name != EPSS {
		t.handle.Close()
		return nil, t.damaged("it names no feed")
	}
	f.header.Bytes = t.size
	return f, nil
}

func (d *Database) addFeed(path string) error {
	f, err := openFeed(path)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(d.feeds, func(g *feed) bool { return g.header.Name == f.header.Name }); i >= 0 {
		f.handle.Close()
		return fmt.Errorf("%s and %s both hold %s; remove one of them", d.feeds[i].path, f.path, f.header.Name)
	}
	d.feeds = append(d.feeds, f)
	d.info.Feeds = append(d.info.Feeds, finding.Feed{Name: f.header.Name, Version: f.header.Version, Date: f.header.Date})
	return nil
}

// Feeds lists what is known of attacks.
func (d *Database) Feeds() []Feed {
	var list []Feed
	for _, f := range d.feeds {
		list = append(list, f.header)
	}
	return list
}

// Threat is what is known of attacks on a vulnerability with these ids: its
// entry in the KEV catalogue, and the highest EPSS score of its CVEs. It is
// zero where neither feed is there or none of the ids is in them.
func (d *Database) Threat(ctx context.Context, ids []string) (finding.Threat, error) {
	var threat finding.Threat
	for _, f := range d.feeds {
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return finding.Threat{}, err
			}
			if !strings.HasPrefix(id, "CVE-") {
				continue
			}
			value, found, err := f.get(id)
			if err != nil {
				return finding.Threat{}, err
			}
			if !found {
				continue
			}
			if err := f.add(&threat, value); err != nil {
				return finding.Threat{}, err
			}
		}
	}
	return threat, nil
}

func (f *feed) add(threat *finding.Threat, value []byte) error {
	switch f.header.Name {
	case KEV:
		d := newDecoder(value)
		e := finding.Exploited{Added: d.time(), Due: d.time(), Ransomware: d.number() == 1}
		if d.bad || d.at != len(value) {
			return f.damaged("an entry is wrong")
		}
		if threat.Exploited == nil || e.Added.Before(threat.Exploited.Added) {
			threat.Exploited = &e
		}
	case EPSS:
		if len(value) != 16 {
			return f.damaged("an entry is wrong")
		}
		s := finding.EPSS{Probability: math.Float64frombits(binary.BigEndian.Uint64(value)),
			Percentile: math.Float64frombits(binary.BigEndian.Uint64(value[8:])), Date: f.header.Date}
		if threat.EPSS == nil || s.Probability > threat.EPSS.Probability {
			threat.EPSS = &s
		}
	}
	return nil
}

// feed reads an input that is a feed, by its content; found is false for
// everything else.
func (i *importer) feed(path string) (found bool, err error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > limit.Feed {
		return false, err
	}
	handle, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer handle.Close()
	start := make([]byte, 64)
	n, err := handle.ReadAt(start, 0)
	if err != nil && n == 0 {
		return false, nil // empty: whoever reads it says so
	}
	start = bytes.TrimLeft(start[:n], " \t\r\n")
	name := EPSS
	if bytes.HasPrefix(start, []byte("{")) {
		content, err := limit.ReadAll(handle, path, limit.Feed)
		if err != nil || !kev.Recognise(content) {
			return false, err
		}
		name = KEV
	} else if !epss.Recognise(start) {
		return false, nil
	}
	content, err := readFeed(name, path, path)
	if err != nil {
		return true, err
	}
	content.header.Source.Name = filepath.Base(path)
	i.read[name] = content
	return true, nil
}

// readFeed reads a feed's file; where names it in errors.
func readFeed(name, path, where string) (*feedContent, error) {
	handle, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	sum := sha256.New()
	r := io.TeeReader(handle, sum)
	c := &feedContent{values: map[string][]byte{}, header: Feed{Name: name}}
	if name == KEV {
		catalogue, err := kev.Decode(r, where)
		if err != nil {
			return nil, err
		}
		c.header.Version, c.header.Date = catalogue.Version, catalogue.Released
		for _, e := range catalogue.Entries {
			value := &encoder{}
			value.time(e.Added)
			value.time(e.Due)
			value.number(0)
			if e.Ransomware {
				value.to[len(value.to)-1] = 1
			}
			c.values[e.ID] = value.to
		}
	} else {
		scores, err := epss.Decode(r, where)
		if err != nil {
			return nil, err
		}
		c.header.Version, c.header.Date = scores.Model, scores.Date
		for _, s := range scores.List {
			value := binary.BigEndian.AppendUint64(nil, math.Float64bits(s.Probability))
			c.values[s.ID] = binary.BigEndian.AppendUint64(value, math.Float64bits(s.Percentile))
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // the rest counts for the checksum
		return nil, fmt.Errorf("reading %s: %w", where, err)
	}
	c.header.Entries, c.header.Source.SHA256 = len(c.values), hex.EncodeToString(sum.Sum(nil))
	return c, nil
}

// writeFeeds stages what was read.
func (i *importer) writeFeeds(stage *stage) ([]Feed, error) {
	var written []Feed
	for _, name := range []string{EPSS, KEV} {
		c := i.read[name]
		if c == nil {
			continue
		}
		c.header.Built = i.config.Now.UTC()
		if old, err := openFeed(filepath.Join(stage.dir, feedFile(name))); err == nil {
			had := old.header.Entries
			old.handle.Close()
			if !i.config.Shrink && 2*c.header.Entries < had {
				return nil, &ShrinkError{Ecosystem: name, Had: had, Has: c.header.Entries}
			}
		}
		err := stage.file(feedFile(name), func(w io.Writer) (err error) {
			c.header.Bytes, err = c.encode(w)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("writing the index of %s: %w", name, err)
		}
		written = append(written, c.header)
	}
	return written, nil
}

func (c *feedContent) encode(w io.Writer) (int64, error) {
	t, err := newTableWriter(w)
	if err != nil {
		return 0, err
	}
	ids := make([]string, 0, len(c.values))
	for id := range c.values {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := t.entry(id, c.values[id]); err != nil {
			return 0, err
		}
	}
	head, err := json.Marshal(c.header)
	if err != nil {
		return 0, err
	}
	return t.finish(head)
}

// FeedTag is what the source called the edition of a feed that is there; ""
// where none is, or it cannot be read.
func (w *Writer) FeedTag(name string) string {
	f, err := openFeed(filepath.Join(w.dir, feedFile(name)))
	if err != nil {
		return ""
	}
	defer f.handle.Close()
	return f.header.Tag
}

// ApplyFeed replaces a feed by a file that was fetched from source, which
// calls this edition tag.
func (w *Writer) ApplyFeed(name, path, source, tag string, config Config) (Feed, error) {
	content, err := readFeed(name, path, source)
	if err != nil {
		return Feed{}, err
	}
	content.header.Source.Name, content.header.Tag = source, tag
	i := newImporter(config)
	i.read[name] = content
	stage := &stage{dir: w.dir, wrap: config.wrap}
	defer stage.drop()
	written, err := i.writeFeeds(stage)
	if err != nil {
		return Feed{}, err
	}
	return written[0], stage.commit()
}
