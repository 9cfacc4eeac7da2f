package advisorydb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// File is an index file or a feed as it is shipped.
type File struct {
	// Name is the file's name without a directory; Feed says what it is.
	Name    string
	Feed    bool
	Content []byte
}

// Files reads every file of a database, and checks every byte of it.
func (d *Database) Files(ctx context.Context) ([]File, error) {
	var list []File
	read := func(t *table, feed bool, check func() error) error {
		if err := errors.Join(ctx.Err(), check()); err != nil {
			return err
		}
		content, err := limit.ReadAll(io.NewSectionReader(t.handle, 0, t.size), t.path, limit.AdvisoryIndex)
		if err != nil {
			return err
		}
		list = append(list, File{Name: filepath.Base(t.path), Feed: feed, Content: content})
		return nil
	}
	for _, f := range d.files {
		if err := read(f.table, false, func() error { return d.check(f) }); err != nil {
			return nil, err
		}
	}
	for _, f := range d.feeds {
		if err := read(f.table, true, f.check); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, errors.New("there are no index files to ship")
	}
	return list, nil
}

// check reads all of an index file, and counts what the header counts.
func (d *Database) check(f *file) error {
	packages, ids := 0, map[string]bool{}
	err := f.each(func(_, value []byte) error {
		packages++
		b, _, err := f.place(value)
		if err != nil {
			return err
		}
		return d.texts(f.table, b, func(string) bool { return true }, func(r osv.Record) { ids[r.ID] = true })
	})
	if err == nil && (packages != f.header.Packages || len(ids) != f.header.Records) {
		err = f.damaged(fmt.Sprintf("it holds %d advisories of %d packages, and says %d of %d", len(ids), packages, f.header.Records, f.header.Packages))
	}
	return err
}

// check reads all of a feed.
func (f *feed) check() error {
	entries := 0
	err := f.each(func(_, value []byte) error {
		entries++
		return f.add(&finding.Threat{}, value)
	})
	if err == nil && entries != f.header.Entries {
		err = f.damaged(fmt.Sprintf("it holds %d entries, and says %d", entries, f.header.Entries))
	}
	return err
}

// OlderError says that a file is older than the one that it would replace.
type OlderError struct {
	Name      string
	Has, Came time.Time
}

// Error names the ecosystem and both times.
func (e *OlderError) Error() string {
	return fmt.Sprintf("what came of %s is of %s, and the database's is of %s: nothing was replaced", e.Name, e.Came.Format(time.RFC3339), e.Has.Format(time.RFC3339))
}

// Install replaces index files and feeds by others that were shipped. Every
// byte is checked first; one that is older than what is there is an
// *OlderError, one with less than half of its advisories a *ShrinkError,
// unless the configuration's Shrink says otherwise. What did not come stays.
func (w *Writer) Install(ctx context.Context, files []File, config Config) (Summary, error) {
	if config.Now.IsZero() || len(files) == 0 {
		return Summary{}, errors.New("advisorydb: files and a time are needed")
	}
	stage := &stage{dir: w.dir, wrap: config.wrap}
	defer stage.drop()
	var summary Summary
	names := map[string]bool{}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return Summary{}, err
		}
		name, err := stage.install(f, config, &summary)
		if err != nil {
			return Summary{}, fmt.Errorf("%.100q: %w", f.Name, err)
		}
		if names[name] {
			return Summary{}, fmt.Errorf("%.100q: another file holds the same", f.Name)
		}
		names[name] = true
	}
	return summary, stage.commit()
}

// install stages one file, under the name that its header gives it, and checks
// what was written.
func (s *stage) install(f File, config Config, summary *Summary) (name string, err error) {
	write := func(w io.Writer) error {
		_, err := w.Write(f.Content)
		return err
	}
	if err := s.file("", write); err != nil {
		return "", err
	}
	path := s.files[len(s.files)-1].temporary
	old := func(name string) string { return filepath.Join(s.dir, name) }
	var came, has Ecosystem
	if f.Feed {
		opened, err := openFeed(path)
		if err != nil {
			return "", err
		}
		defer opened.handle.Close()
		if err := opened.check(); err != nil {
			return "", err
		}
		h := opened.header
		name, came = feedFile(h.Name), Ecosystem{Name: h.Name, Records: h.Entries, Current: h.Date, Built: h.Built}
		if was, err := openFeed(old(name)); err == nil {
			has = Ecosystem{Records: was.header.Entries, Current: was.header.Date}
			was.handle.Close()
		}
		summary.Feeds = append(summary.Feeds, h)
	} else {
		opened, err := openFile(path)
		if err != nil {
			return "", err
		}
		defer opened.handle.Close()
		var d Database
		if err := d.check(opened); err != nil {
			return "", err
		}
		name, came = fileName(opened.header.Name), opened.header
		if was, err := openFile(old(name)); err == nil {
			has = was.header
			was.handle.Close()
		}
		summary.Ecosystems = append(summary.Ecosystems, came)
	}
	s.files[len(s.files)-1].target = old(name)
	switch {
	case came.Built.Sub(config.Now) > clockSlack:
		return "", &AgeError{Ecosystem: came.Name, Age: config.Now.Sub(came.Built)}
	case config.Shrink:
	case came.Current.Before(has.Current):
		return "", &OlderError{Name: came.Name, Has: has.Current, Came: came.Current}
	case 2*came.Records < has.Records:
		return "", &ShrinkError{Ecosystem: came.Name, Had: has.Records, Has: came.Records}
	}
	return name, nil
}
