// Package advisories brings the advisory database up to date.
//
// Entry points are [New], and of an [Updater] Ecosystem and Feed. An ecosystem
// is fetched whole the first time, and by what changed since afterwards; whole
// again where much changed, where the list of changes does not reach back or is
// in no order, and after seven days, because only a whole export shows that a
// record was deleted. Nothing is replaced unless everything was fetched and
// read.
//
// The package speaks no HTTP and knows no file format; it joins a source with
// the database.
package advisories

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
	"github.com/seed-161fc314/assay/internal/port/osvexport"
)

const (
	// wholeEvery is how long increments go on without a whole export.
	wholeEvery = 7 * 24 * time.Hour
	// parallel is how many records are fetched at once.
	parallel = 8
)

// Source is where advisories are published. A missing thing is a
// *osvexport.NotFoundError.
type Source interface {
	// Base names it.
	Base() string
	// Changes, Export and Record give an ecosystem's list of changes, the zip
	// of all records, and one record; Feed what is at another URL.
	Changes(ctx context.Context, ecosystem, tag string) (osv.Changes, osvexport.Answer, error)
	Export(ctx context.Context, ecosystem, tag string, file *os.File) (osvexport.Answer, error)
	Record(ctx context.Context, ecosystem, id string) (osv.Record, error)
	Feed(ctx context.Context, source, tag string, file *os.File) (osvexport.Answer, error)
}

// Config is what an Updater works with; Source, Writer and Now must be there.
type Config struct {
	Source Source
	// Writer holds the database's lock.
	Writer *advisorydb.Writer
	Now    func() time.Time
	// Whole fetches whole exports whatever changed; Shrink and SkipBroken are
	// those of an import.
	Whole, Shrink, SkipBroken bool
}

// Updater updates one database.
type Updater struct{ config Config }

// New checks the configuration.
func New(config Config) (*Updater, error) {
	if config.Source == nil || config.Writer == nil || config.Now == nil {
		return nil, errors.New("advisories: a source, a database and a clock are needed")
	}
	return &Updater{config}, nil
}

// Outcome is what an update did.
type Outcome struct {
	// Name is the ecosystem or feed.
	Name string `json:"name"`
	// Whole says that all was fetched, and Why; else Changed records were.
	Whole   bool   `json:"whole"`
	Why     string `json:"why,omitempty"`
	Changed int    `json:"changed"`
	// Unchanged says that the source has nothing new.
	Unchanged bool `json:"unchanged"`
	// Broken counts records that were passed over, with the first reasons.
	Broken  int      `json:"broken,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
}

// Ecosystem updates one ecosystem; a release in its name ("Debian:12") is left
// off, as OSV publishes the whole distribution.
func (u *Updater) Ecosystem(ctx context.Context, name string) (Outcome, error) {
	name, _, _ = strings.Cut(name, ":")
	outcome, err := u.ecosystem(ctx, name)
	outcome.Name = name
	if err != nil {
		return outcome, fmt.Errorf("updating %s: %w", name, err)
	}
	return outcome, nil
}

func (u *Updater) ecosystem(ctx context.Context, name string) (Outcome, error) {
	state := u.config.Writer.State(name)
	why := u.whyWhole(state)
	tag := ""
	if why == "" {
		tag = state.Changes
	}
	changes, answer, err := u.config.Source.Changes(ctx, name, tag)
	var missing *osvexport.NotFoundError
	listed := !errors.As(err, &missing)
	switch {
	case err != nil && listed:
		return Outcome{}, err
	case answer.Unchanged:
		return Outcome{Unchanged: true}, nil
	case why == "" && !listed:
		why = "the source has no list of changes"
	}
	if why == "" {
		list, complete := changes.Since(state.Since)
		switch {
		case !changes.Ordered:
			why = "the list of changes is in no order"
		case !complete:
			why = "the list of changes does not reach back"
		case len(list) > limit.Increment:
			why = explain.Count(len(list), "record", "records") + " changed"
		default:
			outcome, err := u.increment(ctx, name, *state, changes, answer)
			if !errors.As(err, &missing) {
				return outcome, err
			}
			why = "a record that is listed is not there"
		}
	}
	return u.whole(ctx, name, changes, answer, why)
}

// whyWhole is a reason to fetch everything, "" for none.
func (u *Updater) whyWhole(state *advisorydb.UpdateState) string {
	now := u.config.Now()
	switch {
	case u.config.Whole:
		return "it was asked for"
	case state == nil:
		return "nothing was fetched before"
	case state.Base != u.config.Source.Base():
		return "the source is another one"
	case now.Sub(state.Full) > wholeEvery || state.Full.After(now):
		return "the last whole export is older than seven days"
	}
	return ""
}

func (u *Updater) importing() advisorydb.Config {
	return advisorydb.Config{Now: u.config.Now(), Shrink: u.config.Shrink, SkipBroken: u.config.SkipBroken}
}

func (u *Updater) increment(ctx context.Context, name string, state advisorydb.UpdateState, changes osv.Changes, answer osvexport.Answer) (Outcome, error) {
	outcome := Outcome{}
	state.Changes = answer.Tag
	summary, err := u.config.Writer.Apply(ctx, advisorydb.Update{Ecosystem: name, State: state, Current: answer.Modified,
		Changed: func(ctx context.Context, since time.Time) ([]osv.Record, error) {
			list, _ := changes.Since(since)
			return u.records(ctx, name, list, &outcome)
		}}, u.importing())
	outcome.Broken, outcome.Reasons = outcome.Broken+summary.Broken, append(outcome.Reasons, summary.Reasons...)
	return outcome, err
}

// whole fetches the export, and then what changed after it was made.
func (u *Updater) whole(ctx context.Context, name string, changes osv.Changes, listed osvexport.Answer, why string) (Outcome, error) {
	outcome := Outcome{Whole: true, Why: why}
	file, err := os.CreateTemp(u.config.Writer.Dir(), ".update-*.zip")
	if err != nil {
		return outcome, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	answer, err := u.config.Source.Export(ctx, name, "", file)
	if err != nil {
		return outcome, err
	}
	current := answer.Modified
	if listed.Modified.After(current) {
		current = listed.Modified
	}
	update := advisorydb.Update{Ecosystem: name, Export: file.Name(), Current: current, Source: u.config.Source.Base() + "/" + name + "/all.zip",
		State: advisorydb.UpdateState{Base: u.config.Source.Base(), Changes: listed.Tag, Full: u.config.Now().UTC()}}
	update.Changed = func(ctx context.Context, since time.Time) ([]osv.Record, error) {
		list, _ := changes.Since(since)
		if len(list) > limit.Increment {
			return nil, fmt.Errorf("the export is older than %d changes that are listed: the source is half updated; try again later", len(list))
		}
		return u.records(ctx, name, list, &outcome)
	}
	summary, err := u.config.Writer.Apply(ctx, update, u.importing())
	outcome.Broken, outcome.Reasons = outcome.Broken+summary.Broken, append(outcome.Reasons, summary.Reasons...)
	return outcome, err
}

// records fetches single records, and counts them. One that is older than
// listed comes from a source that is half updated.
func (u *Updater) records(ctx context.Context, ecosystem string, list []osv.Change, outcome *Outcome) ([]osv.Record, error) {
	records := make([]osv.Record, len(list))
	broken := make([]error, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, change := range list {
		group.Go(func() error {
			record, err := u.config.Source.Record(ctx, ecosystem, change.ID)
			var unreadable *osvexport.BrokenError
			if u.config.SkipBroken && errors.As(err, &unreadable) {
				broken[i] = err
				return nil
			}
			if err != nil {
				return err
			}
			if record.Modified.Truncate(time.Second).Before(change.Modified.Truncate(time.Second)) {
				return fmt.Errorf("%s is listed as changed on %s, and what is there is of %s: the source is half updated; try again later",
					change.ID, change.Modified.Format(time.RFC3339), record.Modified.Format(time.RFC3339))
			}
			records[i] = record
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, err := range broken {
		if err != nil {
			outcome.Broken++
			outcome.Reasons = append(outcome.Reasons, err.Error())
		} else {
			outcome.Changed++
			records[outcome.Changed-1] = records[i]
		}
	}
	return records[:outcome.Changed], nil
}

// Feed updates KEV or EPSS from a URL or a file.
func (u *Updater) Feed(ctx context.Context, name, source string) (Outcome, error) {
	outcome := Outcome{Name: name, Whole: true}
	file, err := os.CreateTemp(u.config.Writer.Dir(), ".update-*")
	if err != nil {
		return outcome, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	answer, err := u.config.Source.Feed(ctx, source, u.config.Writer.FeedTag(name), file)
	if err != nil {
		return outcome, fmt.Errorf("updating %s: %w", name, err)
	}
	if answer.Unchanged {
		return Outcome{Name: name, Unchanged: true}, nil
	}
	if _, err := u.config.Writer.ApplyFeed(name, file.Name(), osvexport.Public(source), answer.Tag, u.importing()); err != nil {
		return outcome, fmt.Errorf("updating %s: %w", name, err)
	}
	return outcome, nil
}
