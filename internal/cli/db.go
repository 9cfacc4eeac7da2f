package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

func newDB(host *Host) *cobra.Command {
	command := &cobra.Command{
		Use: "db", Short: "Keep the advisory database",
		Long: `Advisories are kept in a directory, one index file for each ecosystem. The
default is the user's cache directory; ASSAY_DB or --db names another.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newDBImport(host), newDBStatus(host))
	return command
}

func newDBImport(host *Host) *cobra.Command {
	var dir, ecosystem, format string
	var skipBroken, shrink bool
	command := &cobra.Command{
		Use: "import PATH…", Short: "Import OSV zips, directories or records",
		Long: `Import reads OSV records from zip files (the all.zip of an OSV export),
directories and single .json files, and replaces the index of every ecosystem
that they hold. Give all sources of an ecosystem in one call, and name it with
--ecosystem where they hold others in passing. Nothing is replaced unless
everything could be read, and none by one with less than half of its advisories
unless --shrink says so.`,
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
			summary, err := advisorydb.Import(cmd.Context(), target, inputs, advisorydb.Config{Ecosystem: ecosystem, SkipBroken: skipBroken, Shrink: shrink, Now: began})
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(host.Out, map[string]any{"dir": target, "read": summary.Read, "withdrawn": summary.Withdrawn, "other": summary.Other, "broken": summary.Broken, "ecosystems": summary.Ecosystems})
			}
			for _, reason := range summary.Reasons {
				host.warn("passed over: %s", reason)
			}
			fmt.Fprintf(host.Out, "read %d records in %s: %d withdrawn and %d of other ecosystems left out\n", summary.Read, host.Now().Sub(began).Round(time.Millisecond), summary.Withdrawn, summary.Other)
			if summary.Broken > 0 {
				fmt.Fprintf(host.Out, "passed over %d records that could not be read\n", summary.Broken)
			}
			return host.ecosystemTable(target, summary.Ecosystems)
		},
	}
	command.Flags().StringVar(&dir, "db", "", "directory of the database (default: the user's cache)")
	command.Flags().StringVar(&ecosystem, "ecosystem", "", "import only this ecosystem, such as PyPI or Debian")
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
				return writeJSON(host.Out, map[string]any{"dir": where, "sample": db.Info().Sample, "version": db.Info().Version, "ecosystems": db.Ecosystems()})
			}
			return host.ecosystemTable(where, db.Ecosystems())
		},
	}
	command.Flags().StringVar(&dir, "db", "", "directory of the database, or \"sample\" (default: the user's cache)")
	formatFlag(command, &format, "text", "text", "json")
	return command
}

func (h *Host) ecosystemTable(where string, ecosystems []advisorydb.Ecosystem) error {
	if len(ecosystems) == 0 {
		return errors.New("the database is empty")
	}
	fmt.Fprintf(h.Out, "%s\n", where)
	var rows [][]string
	for _, e := range ecosystems {
		age := h.Now().Sub(e.Newest).Truncate(time.Hour)
		rows = append(rows, []string{e.Name, fmt.Sprint(e.Records), fmt.Sprint(e.Packages), e.Newest.Format("2006-01-02"), fmt.Sprintf("%d days", int(age.Hours())/24), fmt.Sprintf("%d KiB", (e.Bytes+1023)/1024)})
	}
	return h.table(h.Out, []string{"ECOSYSTEM", "ADVISORIES", "PACKAGES", "NEWEST", "AGE", "SIZE"}, rows, nil)
}
