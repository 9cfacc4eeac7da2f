package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

func newDB(host *Host) *cobra.Command {
	command := &cobra.Command{
		Use: "db", Short: "Keep the advisory database",
		Long: `Advisories are kept in a directory, one index file for each ecosystem, with what
is known of attacks (CISA's KEV catalogue, EPSS scores) beside them. The default
is the user's cache directory; ASSAY_DB or --db names another. Nothing but update,
export and pull contacts anybody.

Every file is replaced whole, after everything that goes into it was read and
checked. A second writer fails at once. Advisories that are missing, damaged or
older than ASSAY_DB_MAX_AGE (such as 7d) end a scan with exit code 3.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newDBUpdate(host), newDBImport(host), newDBExport(host), newDBPull(host), newDBStatus(host))
	return command
}

func newDBImport(host *Host) *cobra.Command {
	var dir, ecosystem, format, asOf string
	var skipBroken, shrink bool
	command := &cobra.Command{
		Use: "import PATH…", Short: "Import OSV zips, directories or records, KEV and EPSS",
		Long: `Import reads OSV records from zip files (the all.zip of an OSV export),
directories and single .json files, and replaces the index of every ecosystem
that they hold. A KEV catalogue (JSON) and EPSS scores (CSV, gzipped or not) are
known by their content. Give all sources of an ecosystem in one call, and name it with
--ecosystem where they hold others in passing. Nothing is replaced unless
everything could be read, and none by one with less than half of its advisories
unless --shrink says so.

The age of an import is that of its newest record, unless --as-of says when it
was fetched from a source that was current.`,
		Example: "  assay db import PyPI/all.zip Debian/all.zip\n  assay db import all.zip ghsa/ --ecosystem PyPI",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("-o", format, "text", "json"); err != nil {
				return err
			}
			target, err := host.databaseDir(dir)
			if err != nil {
				return err
			}
			var inputs []string
			for _, arg := range args {
				inputs = append(inputs, host.path(arg))
			}
			began := host.Now()
			fetched, err := parseDay(asOf, began)
			if err != nil {
				return err
			}
			base, _, _ := strings.Cut(ecosystem, ":")
			summary, err := advisorydb.Import(cmd.Context(), target, inputs, advisorydb.Config{Ecosystem: base, SkipBroken: skipBroken, Shrink: shrink, Now: began, AsOf: fetched})
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(host.Out, map[string]any{"dir": target, "read": summary.Read, "withdrawn": summary.Withdrawn, "other": summary.Other, "broken": summary.Broken, "ecosystems": summary.Ecosystems, "feeds": summary.Feeds})
			}
			for _, reason := range summary.Reasons {
				host.warn("passed over: %s", reason)
			}
			if summary.Read+summary.Broken == 0 {
				return host.databaseTable(target, nil, summary.Feeds)
			}
			fmt.Fprintf(host.Out, "read %d records in %s: %d withdrawn and %d of other ecosystems left out\n", summary.Read, host.Now().Sub(began).Round(time.Millisecond), summary.Withdrawn, summary.Other)
			if summary.Broken > 0 {
				fmt.Fprintf(host.Out, "passed over %d records that could not be read\n", summary.Broken)
			}
			return host.databaseTable(target, summary.Ecosystems, summary.Feeds)
		},
	}
	command.Flags().StringVar(&dir, "db", "", "directory of the database (default: the user's cache)")
	command.Flags().StringVar(&ecosystem, "ecosystem", "", "import only this ecosystem, such as PyPI or Debian")
	command.Flags().StringVar(&asOf, "as-of", "", "when the inputs were fetched: a day or RFC 3339 time (default: their newest record's)")
	command.Flags().BoolVar(&skipBroken, "skip-broken", false, "pass over records that cannot be read, and say so")
	command.Flags().BoolVar(&shrink, "shrink", false, "let an index lose more than half of its advisories")
	formatFlag(command, &format, "text", "text", "json")
	return command
}

func newDBStatus(host *Host) *cobra.Command {
	var dir, format string
	command := &cobra.Command{
		Use: "status", Short: "Say what the advisory database holds and how old it is", Args: cobra.NoArgs,
		Example: "  assay db status -o json",
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("-o", format, "text", "json"); err != nil {
				return err
			}
			db, err := host.advisories(dir)
			if err != nil {
				return err
			}
			defer db.Close()
			where, err := host.databaseDir(dir)
			if err != nil {
				return err
			}
			if db.Info().Sample {
				where = "built into this binary: a SAMPLE, for trying things out"
			}
			if format == "json" {
				return writeJSON(host.Out, map[string]any{"dir": where, "sample": db.Info().Sample, "version": db.Info().Version, "ecosystems": db.Ecosystems(), "feeds": db.Feeds()})
			}
			return host.databaseTable(where, db.Ecosystems(), db.Feeds())
		},
	}
	command.Flags().StringVar(&dir, "db", "", "directory of the database, or \"sample\" (default: the user's cache)")
	formatFlag(command, &format, "text", "text", "json")
	return command
}

// parseDay reads a day or a time, which is not after now; "" is none.
func parseDay(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse(time.DateOnly, text)
	}
	if err != nil || at.After(now) {
		return time.Time{}, usage("--as-of %s: want a day such as 2026-01-31 or an RFC 3339 time, not in the future", text)
	}
	return at, nil
}

// databaseTable prints what a database holds, its age and where it came from.
func (h *Host) databaseTable(where string, ecosystems []advisorydb.Ecosystem, feeds []advisorydb.Feed) error {
	if len(ecosystems)+len(feeds) == 0 {
		return errors.New("the database is empty")
	}
	fmt.Fprintf(h.Out, "%s\n", where)
	size := func(bytes int64) string { return fmt.Sprintf("%d KiB", (bytes+1023)/1024) }
	if len(ecosystems) > 0 {
		var rows [][]string
		for _, e := range ecosystems {
			source := ""
			if len(e.Sources) > 0 {
				source = e.Sources[0].Name
			}
			if len(e.Sources) > 1 {
				source += fmt.Sprintf(" and %d more", len(e.Sources)-1)
			}
			rows = append(rows, []string{clean(e.Name), fmt.Sprint(e.Records), fmt.Sprint(e.Packages), e.Newest.Format(time.DateOnly),
				e.Current.Format(time.DateOnly), advisorydb.Days(h.Now().Sub(e.Current)), size(e.Bytes), clean(source)})
		}
		if err := h.table(h.Out, []string{"ECOSYSTEM", "ADVISORIES", "PACKAGES", "NEWEST", "CURRENT", "AGE", "SIZE", "SOURCE"}, rows, nil); err != nil {
			return err
		}
	}
	if len(feeds) == 0 {
		return nil
	}
	var rows [][]string
	for _, f := range feeds {
		rows = append(rows, []string{f.Name, fmt.Sprint(f.Entries), clean(f.Version), f.Date.Format(time.DateOnly), advisorydb.Days(h.Now().Sub(f.Date)), size(f.Bytes), clean(f.Source.Name)})
	}
	if len(ecosystems) > 0 {
		fmt.Fprintln(h.Out)
	}
	return h.table(h.Out, []string{"FEED", "ENTRIES", "VERSION", "DATE", "AGE", "SIZE", "SOURCE"}, rows, nil)
}
