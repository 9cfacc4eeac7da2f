package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/job/advisories"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
	"github.com/seed-161fc314/assay/internal/port/osvexport"
)

// Where attacks are published.
const (
	kevURL  = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
	epssURL = "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz"
	noFeed  = "none"
)

// updateFlags are the flags of `assay db update`.
type updateFlags struct {
	db, url, kev, epss, format string
	ecosystems                 []string
	whole, shrink, skipBroken  bool
}

func newDBUpdate(host *Host) *cobra.Command {
	flags := updateFlags{}
	command := &cobra.Command{
		Use: "update", Short: "Fetch advisories that are new", Args: cobra.NoArgs,
		Long: `Update fetches the OSV export of each ecosystem that the database holds (PyPI
where it holds none) and of those that --ecosystem adds, then KEV and EPSS.

An ecosystem is fetched whole the first time and by what changed afterwards;
whole again where much changed, and at least every seven days, because only a
whole export shows that a record was deleted. Nothing is replaced unless all of
an ecosystem was fetched, checked and read.

--url names a mirror laid out like OSV's bucket (ECOSYSTEM/all.zip,
ECOSYSTEM/modified_id.csv, ECOSYSTEM/ID.json): an http, https or file URL or a
directory. With one, KEV and EPSS are fetched only from where --kev and --epss
say. The variables ASSAY_DB_URL, ASSAY_KEV_URL and ASSAY_EPSS_URL do the same.`,
		Example: "  assay db update --ecosystem Debian:12\n  assay db update --url https://mirror.example.com/osv --kev none --epss none\n  assay db update --url /media/osv-mirror",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDBUpdate(cmd.Context(), host, flags)
		},
	}
	command.Flags().StringVar(&flags.db, "db", "", "directory of the database (default: the user's cache)")
	command.Flags().StringVar(&flags.url, "url", "", "OSV exports: a URL or a directory (default "+osvexport.Default+")")
	command.Flags().StringVar(&flags.kev, "kev", "", "KEV catalogue: a URL, a file, or \"none\" (default: CISA's)")
	command.Flags().StringVar(&flags.epss, "epss", "", "EPSS scores: a URL, a file, or \"none\" (default: FIRST's)")
	command.Flags().StringSliceVar(&flags.ecosystems, "ecosystem", nil, "fetch this ecosystem too, such as PyPI or Debian:12; may be repeated")
	command.Flags().BoolVar(&flags.whole, "whole", false, "fetch whole exports, whatever changed")
	command.Flags().BoolVar(&flags.skipBroken, "skip-broken", false, "pass over records that cannot be read, and say so")
	command.Flags().BoolVar(&flags.shrink, "shrink", false, "let an index lose more than half of its advisories")
	formatFlag(command, &flags.format, "text", "text", "json")
	return command
}

// location makes a source that is no URL absolute.
func (h *Host) location(name string) string {
	if name == "" || name == noFeed || strings.Contains(name, "://") {
		return name
	}
	return h.path(name)
}

func runDBUpdate(ctx context.Context, host *Host, flags updateFlags) error {
	if err := oneOf("-o", flags.format, "text", "json"); err != nil {
		return err
	}
	base := host.location(cmp.Or(flags.url, host.env("ASSAY_DB_URL")))
	kev, epss := host.location(cmp.Or(flags.kev, host.env("ASSAY_KEV_URL"))), host.location(cmp.Or(flags.epss, host.env("ASSAY_EPSS_URL")))
	if base == "" {
		kev, epss = cmp.Or(kev, kevURL), cmp.Or(epss, epssURL)
	}
	source, err := osvexport.New(osvexport.Config{Base: base, UserAgent: "assay/" + versionString(), Progress: host.downloads()})
	if err != nil {
		return err
	}
	dir, err := host.databaseDir(flags.db)
	if err != nil {
		return err
	}
	writer, err := advisorydb.OpenWriter(dir)
	if err != nil {
		return err
	}
	defer writer.Close()
	updater, err := advisories.New(advisories.Config{Source: source, Writer: writer, Now: host.Now, Whole: flags.whole, Shrink: flags.shrink, SkipBroken: flags.skipBroken})
	if err != nil {
		return err
	}
	var outcomes []advisories.Outcome
	var faults []error // of one ecosystem, which leaves it as it was
	done := func(outcome advisories.Outcome, err error) {
		if err != nil {
			faults = append(faults, err)
			return
		}
		outcomes = append(outcomes, outcome)
		host.sayOutcome(flags.format, outcome)
	}
	for _, ecosystem := range ecosystemsOf(dir, flags.ecosystems) {
		done(updater.Ecosystem(ctx, ecosystem))
	}
	for _, feed := range [][2]string{{advisorydb.KEV, kev}, {advisorydb.EPSS, epss}} {
		if feed[1] != "" && feed[1] != noFeed {
			done(updater.Feed(ctx, feed[0], feed[1]))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	db, err := advisorydb.Open(dir)
	if err != nil {
		return err
	}
	defer db.Close()
	if flags.format == "json" {
		return writeJSON(host.Out, map[string]any{"dir": dir, "updates": outcomes, "ecosystems": db.Ecosystems(), "feeds": db.Feeds()})
	}
	return host.databaseTable(dir, db.Ecosystems(), db.Feeds())
}

// ecosystemsOf are those of the database and those that are asked for; PyPI
// where there are none. What is damaged is fetched again by being asked for.
func ecosystemsOf(dir string, asked []string) []string {
	var list []string
	if db, err := advisorydb.Open(dir); err == nil {
		for _, e := range db.Ecosystems() {
			list = append(list, e.Name)
		}
		db.Close()
	}
	for _, ecosystem := range asked {
		base, _, _ := strings.Cut(ecosystem, ":")
		if !slices.Contains(list, base) {
			list = append(list, base)
		}
	}
	if len(list) == 0 {
		list = append(list, pydist.Ecosystem)
	}
	return list
}

func (h *Host) sayOutcome(format string, o advisories.Outcome) {
	for _, reason := range o.Reasons {
		h.warn("passed over: %s", reason)
	}
	if format == "json" {
		return
	}
	switch {
	case o.Unchanged:
		fmt.Fprintf(h.Out, "%s: nothing new\n", clean(o.Name))
	case o.Why != "":
		fmt.Fprintf(h.Out, "%s: fetched whole, because %s\n", clean(o.Name), clean(o.Why))
	case o.Whole:
		fmt.Fprintf(h.Out, "%s: fetched\n", clean(o.Name))
	default:
		fmt.Fprintf(h.Out, "%s: %s changed\n", clean(o.Name), explain.Count(o.Changed, "record", "records"))
	}
}

// downloads says every second how much of a download came, once it has taken
// longer than one.
func (h *Host) downloads() func(what string, done, total int64) {
	var mutex sync.Mutex
	last, current := h.Now(), ""
	return func(what string, done, total int64) {
		mutex.Lock()
		defer mutex.Unlock()
		now := h.Now()
		if what != current {
			current = what
			return
		}
		if now.Sub(last) < time.Second {
			return
		}
		last = now
		of := ""
		if total > 0 {
			of = fmt.Sprintf(" of %d", total>>20)
		}
		h.say("fetching %s: %d%s MiB", path.Base(what), done>>20, of)
	}
}
