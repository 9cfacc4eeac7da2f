package advisorydb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/seed-161fc314/assay/internal/format/osv"
)

// UpdateState is where the increments of an ecosystem go on.
type UpdateState struct {
	// Base is the source's URL.
	Base string `json:"base"`
	// Changes and Export are what the source calls the versions of its list of
	// changes and of its whole export (ETag); "" where it calls them nothing.
	Changes string `json:"changes,omitempty"`
	Export  string `json:"export,omitempty"`
	// Since is the time of the newest change that is in, UTC; Full is when the
	// whole export was last read.
	Since time.Time `json:"since"`
	Full  time.Time `json:"full"`
}

// Update is what a source has for one ecosystem.
type Update struct {
	// Ecosystem is its name without a release.
	Ecosystem string
	// Export is the file of the whole export, which replaces all; "" for an
	// increment of what is there.
	Export string
	// Changed gives the records that changed at a time or later: that of the
	// newest record of the export, or the state's. One that was withdrawn, or is
	// about the ecosystem no more, is taken out. nil gives none.
	Changed func(ctx context.Context, since time.Time) ([]osv.Record, error)
	// State is kept for the next update; Current is when the source is known to
	// have been current, zero for its newest record's date.
	State   UpdateState
	Current time.Time
	// Source names what was fetched.
	Source string
}

// State is what the last update of an ecosystem left, nil where there was none
// or the file cannot be read.
func (w *Writer) State(ecosystem string) *UpdateState {
	f, err := openFile(filepath.Join(w.dir, fileName(ecosystem)))
	if err != nil {
		return nil
	}
	defer f.handle.Close()
	return f.header.Update
}

// Apply replaces the index file of one ecosystem by its update. The bounds and
// the guard against shrinking are those of Import.
func (w *Writer) Apply(ctx context.Context, u Update, config Config) (Summary, error) {
	if config.Now.IsZero() || u.Ecosystem == "" {
		return Summary{}, errors.New("advisorydb: an ecosystem and a time are needed")
	}
	config.Ecosystem, config.AsOf = u.Ecosystem, u.Current
	i := newImporter(config)
	e := edition{shrink: config.Shrink, changed: map[string]bool{}}
	if u.Export != "" {
		if err := i.input(ctx, u.Export); err != nil {
			return i.summary, err
		}
		i.sources[0].Name = u.Source
	} else {
		old, err := openFile(filepath.Join(w.dir, fileName(u.Ecosystem)))
		if err != nil {
			return i.summary, err
		}
		defer old.handle.Close()
		e.old, i.sources = old, old.header.Sources
	}
	u.State.Since = later(u.State.Since, i.newest())
	var changed []osv.Record
	if u.Changed != nil {
		var err error
		if changed, err = u.Changed(ctx, u.State.Since); err != nil {
			return i.summary, err
		}
	}
	for _, record := range changed {
		i.summary.Read++
		i.add(record)
		e.changed[record.ID] = true
	}
	g := i.groups()[u.Ecosystem]
	if g == nil {
		g = &group{}
	}
	if e.old == nil && len(g.packages) == 0 {
		return i.summary, fmt.Errorf("none of the %d records is about a package of %s; nothing was imported", i.summary.Read, u.Ecosystem)
	}
	if e.old != nil {
		g.newest, g.current = later(e.old.header.Newest, g.newest), later(e.old.header.Current, g.current)
	}
	e.header, e.packages = i.header(u.Ecosystem, g), g.packages
	u.State.Since = later(u.State.Since, i.newest())
	e.header.Update = &u.State
	stage := &stage{dir: w.dir, wrap: config.wrap}
	defer stage.drop()
	header, err := stage.index(e)
	if err != nil {
		return i.summary, fmt.Errorf("writing the index of %s: %w", u.Ecosystem, err)
	}
	if err := stage.commit(); err != nil {
		return i.summary, err
	}
	i.summary.Ecosystems = []Ecosystem{header}
	return i.summary, nil
}

// newest is the latest "modified" of what was read, withdrawn or not.
func (i *importer) newest() (newest time.Time) {
	for _, r := range i.records {
		newest = later(newest, r.Modified)
	}
	return newest
}
