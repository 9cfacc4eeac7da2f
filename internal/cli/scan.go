package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/job/scan"
)

// exitError ends with a code that the user chose.
type exitError struct{ code int }

// Error says nothing: what was found is printed.
func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// scanFlags are the flags of `assay scan`.
type scanFlags struct {
	db, format, output, platform string
	severity, failOn             []string
	exitCode                     int
	exitCodeSet, ignoreUnfixed   bool
}

func newScan(host *Host) *cobra.Command {
	flags := scanFlags{}
	command := &cobra.Command{
		Use: "scan TARGET", Short: "Find vulnerable packages",
		Long: `Scan finds the packages of a target and the advisories that affect them. The
target is ` + targetHelp + `.

It ends with exit code 1 if a finding is at or above --fail-on. With --severity
only these severities are shown, and any of them counts. --exit-code changes the
code; 0 reports and passes. A missing or damaged advisory database, and a target
without any package, is a fault (exit code 3) and never "no vulnerabilities".
What cannot be put down to one version is listed as not tested.`,
		Example: `  assay scan . --db sample
  assay scan requirements.txt -o json
  assay scan registry.example.com/app:1.0 --severity CRITICAL,HIGH --exit-code 0
  assay scan oci:build/image -o sarif --output results.sarif`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.exitCodeSet = cmd.Flags().Changed("exit-code")
			return runScan(cmd.Context(), host, args[0], flags)
		},
	}
	command.Flags().StringVar(&flags.db, "db", "", "advisory database: a directory, or \"sample\" (default: the user's cache)")
	formatFlag(command, &flags.format, "table", scanFormats...)
	command.Flags().StringVar(&flags.output, "output", "", "write to this file instead of standard output")
	command.Flags().StringVar(&flags.platform, "platform", "", "platform of a multi-platform image (default: linux on this machine's architecture)")
	command.Flags().StringSliceVar(&flags.severity, "severity", nil, "show only these severities: unknown, low, medium, high, critical")
	command.Flags().StringSliceVar(&flags.failOn, "fail-on", []string{"critical", "high"}, "severities that end with exit code 1")
	command.Flags().IntVar(&flags.exitCode, "exit-code", 1, "exit code when something counts; 0 reports and passes")
	command.Flags().BoolVar(&flags.ignoreUnfixed, "ignore-unfixed", false, "leave out what no version heals")
	return command
}

func runScan(ctx context.Context, host *Host, name string, flags scanFlags) error {
	if err := oneOf("-o", flags.format, scanFormats...); err != nil {
		return err
	}
	shown, err := levels("--severity", flags.severity)
	if err != nil {
		return err
	}
	failing, err := levels("--fail-on", flags.failOn)
	if err != nil {
		return err
	}
	if flags.exitCode < 0 || flags.exitCode > 255 {
		return usage("--exit-code %d: want 0 to 255", flags.exitCode)
	}
	db, err := host.advisories(flags.db)
	if err != nil {
		return err
	}
	defer db.Close()
	scanner, err := scan.New(scan.Config{Advisories: db, Now: host.Now})
	if err != nil {
		return err
	}
	target, err := host.open(ctx, name, flags.platform)
	if err != nil {
		return err
	}
	defer target.close()
	report, err := scanTarget(ctx, scanner, target)
	if err != nil {
		return err
	}
	report.Findings = filter(report.Findings, shown, flags.ignoreUnfixed)
	if err := host.write(flags.output, func(w io.Writer) error {
		return host.report(ctx, w, flags.format, report, db)
	}); err != nil {
		return err
	}
	if flags.format != "table" && report.Database.Sample {
		host.warn("matched against the built-in sample of %d advisories, which knows a handful of packages", report.Database.Records)
	}
	counts := len(report.Findings) > 0
	if len(flags.severity) == 0 && !flags.exitCodeSet {
		counts = slices.ContainsFunc(report.Findings, func(f finding.Finding) bool { return slices.Contains(failing, f.Severity.Level) })
	}
	if !counts || flags.exitCode == 0 {
		return nil
	}
	if flags.exitCode == exitDenied {
		return &deniedError{}
	}
	return &exitError{flags.exitCode}
}

func scanTarget(ctx context.Context, scanner *scan.Scanner, t target) (finding.Report, error) {
	switch {
	case t.image != nil:
		return scanner.Image(ctx, t.image, t.name, t.digest)
	case t.file != "":
		report, err := scanner.File(ctx, t.files, t.file)
		report.Target = t.name
		return report, err
	}
	return scanner.Directory(ctx, t.files, t.name)
}

func levels(flag string, words []string) ([]finding.Level, error) {
	var list []finding.Level
	for _, word := range words {
		level, err := finding.ParseLevel(word)
		if err != nil {
			return nil, usage("%s: %v", flag, err)
		}
		list = append(list, level)
	}
	return list, nil
}

// filter keeps the findings that were asked for; no levels means all.
func filter(findings []finding.Finding, shown []finding.Level, ignoreUnfixed bool) []finding.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f finding.Finding) bool {
		return len(shown) > 0 && !slices.Contains(shown, f.Severity.Level) || ignoreUnfixed && f.Fixed == ""
	})
}
