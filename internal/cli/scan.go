package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/sarif"
	"github.com/seed-161fc314/assay/internal/format/trivy"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/imagefs"
)

// exitError ends with a code that the user chose.
type exitError struct{ code int }

// Error says nothing: what was found is printed.
func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// scanFlags are the flags of `assay scan`.
type scanFlags struct {
	db, format, output         string
	platform, python           string
	baseImage                  string
	severity, failOn           []string
	exitCode                   int
	exitCodeSet, ignoreUnfixed bool
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
  assay scan uv.lock --python-version 3.12 --platform linux/arm64
  assay scan registry.example.com/app:1.0 --severity CRITICAL,HIGH --exit-code 0
  assay scan oci:build/image -o sarif --output results.sarif`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.exitCodeSet = cmd.Flags().Changed("exit-code")
			return runScan(cmd.Context(), host, args[0], flags)
		},
	}
	command.Flags().StringVar(&flags.db, "db", "", "advisory database: a directory, or \"sample\" (default: the user's cache)")
	formatFlag(command, &flags.format, "table", "table", "json", "sarif")
	command.Flags().StringVar(&flags.output, "output", "", "write to this file instead of standard output")
	command.Flags().StringVar(&flags.platform, "platform", "", platformHelp)
	command.Flags().StringVar(&flags.python, "python-version", "", pythonHelp)
	command.Flags().StringVar(&flags.baseImage, "base-image", "", "the image that this one was built on; its layers are told from the image's own (default: guessed from the history)")
	command.Flags().StringSliceVar(&flags.severity, "severity", nil, "show only these severities: unknown, low, medium, high, critical")
	command.Flags().StringSliceVar(&flags.failOn, "fail-on", []string{"critical", "high"}, "severities that end with exit code 1")
	command.Flags().IntVar(&flags.exitCode, "exit-code", 1, "exit code when something counts; 0 reports and passes")
	command.Flags().BoolVar(&flags.ignoreUnfixed, "ignore-unfixed", false, "leave out what no version heals")
	return command
}

func runScan(ctx context.Context, host *Host, name string, flags scanFlags) error {
	if err := oneOf("-o", flags.format, "table", "json", "sarif"); err != nil {
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
	environment, err := environmentOf(flags.python, flags.platform)
	if err != nil {
		return err
	}
	base, err := host.baseLayers(ctx, flags.baseImage, flags.platform)
	if err != nil {
		return err
	}
	scanner, err := scan.New(scan.Config{Advisories: db, Now: host.Now, Environment: environment, BaseDiffIDs: base})
	if err != nil {
		return err
	}
	target, err := host.open(ctx, name, flags.platform)
	if err != nil {
		return err
	}
	defer target.close()
	if target.image == nil && flags.baseImage != "" {
		return usage("--base-image goes with an image, and %s is none", name)
	}
	report, err := scanTarget(ctx, scanner, target)
	if err != nil {
		return err
	}
	report.Findings = filter(report.Findings, shown, flags.ignoreUnfixed)
	if err := host.write(flags.output, func(w io.Writer) error {
		switch flags.format {
		case "json":
			return trivy.Encode(w, report, versionString())
		case "sarif":
			return sarif.Encode(w, report, versionString())
		}
		return host.reportTable(ctx, w, report, db)
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

// baseLayers are the layers of the image that another was built on; none where
// no such image is named.
func (h *Host) baseLayers(ctx context.Context, name, platform string) ([]subject.Digest, error) {
	if name == "" {
		return nil, nil
	}
	base, err := h.open(ctx, name, platform)
	if err != nil {
		return nil, fmt.Errorf("--base-image: %w", err)
	}
	defer base.close()
	if base.image == nil {
		return nil, usage("--base-image %s: this is no image", name)
	}
	config, err := base.image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("--base-image %s: %w", name, err)
	}
	return imagefs.DiffIDs(config)
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

// where is a component's place for people, with the line where there is one.
func where(c component.Component) string {
	var places []string
	for _, l := range c.Locations {
		place := l.Path
		if l.Line > 0 && c.Dependency == component.Declared {
			place = fmt.Sprintf("%s:%d", l.Path, l.Line)
		}
		places = append(places, place)
	}
	if len(places) > 2 {
		places = append(places[:2], fmt.Sprintf("and %d more", len(places)-2))
	}
	return strings.Join(places, ", ") + inGroups(c)
}

// reportTable prints a report for people: worst first, then what to do.
func (h *Host) reportTable(ctx context.Context, w io.Writer, report finding.Report, advisories advisory.Source) error {
	declared := 0
	for _, c := range report.Inventory.Components {
		if c.Dependency == component.Declared {
			declared++
		}
	}
	fmt.Fprintf(w, "%s: %d packages tested (%d declared, %d installed)\n", clean(report.Target), len(report.Inventory.Components), declared, len(report.Inventory.Components)-declared)
	if report.Database.Sample {
		fmt.Fprintf(w, "advisories: the built-in SAMPLE of %d, which knows a handful of packages; import real ones with `assay db import`\n", report.Database.Records)
	} else {
		fmt.Fprintf(w, "advisories: %d, newest of %s\n", report.Database.Records, report.Database.LastUpdate.Format("2006-01-02"))
	}
	if len(report.Findings) > 0 {
		fmt.Fprintln(w)
		if err := h.findingTable(w, report.Findings); err != nil {
			return err
		}
	}
	if err := h.upgrades(ctx, w, report.Findings, advisories); err != nil {
		return err
	}
	notTested(w, report.Inventory.Unresolved)
	noted(w, report.Inventory.Notes)
	fmt.Fprintf(w, "\n%s\n", summary(report.Findings))
	return nil
}

func (h *Host) findingTable(w io.Writer, findings []finding.Finding) error {
	var rows [][]string
	for _, f := range findings {
		fixed := f.Fixed
		if fixed == "" {
			fixed = "-"
		}
		title := clean(f.Title)
		if most := 60; len([]rune(title)) > most {
			title = string([]rune(title)[:most-1]) + "…"
		}
		rows = append(rows, []string{f.Severity.Level.String(), f.ID, f.Component.Name, clean(f.Component.Version), fixed, clean(where(f.Component)), title})
	}
	return h.table(w, []string{"SEVERITY", "ID", "PACKAGE", "INSTALLED", "FIXED IN", "WHERE", "TITLE"}, rows, func(row, column int, cell string) string {
		if column == 0 {
			return h.paintLevel(findings[row].Severity.Level, cell)
		}
		return cell
	})
}

// proposal is an edit that heals a package.
type proposal struct {
	Location component.Location
	Name     string
	From, To string
	// All says that To heals every finding of the package.
	All bool
}

// String is the edit in one line.
func (p proposal) String() string {
	text := fmt.Sprintf("%s %s -> %s", p.Name, p.From, p.To)
	if p.Location.Line > 0 {
		text = fmt.Sprintf("%s:%d: %s==%s -> %s==%s", clean(p.Location.Path), p.Location.Line, p.Name, clean(p.From), p.Name, p.To)
	}
	if !p.All {
		text += " (heals the most; no one version heals all)"
	}
	return text
}

// proposals finds, for every affected package, the smallest version that heals
// all of its findings.
func proposals(ctx context.Context, findings []finding.Finding, advisories advisory.Source) ([]proposal, error) {
	var list []proposal
	seen := map[string]bool{}
	for _, f := range findings {
		c := f.Component
		if key := c.PURL + string(c.Dependency); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		version, all, err := advisory.Upgrade(ctx, c, advisories)
		if err != nil {
			return nil, err
		}
		if version == "" {
			continue
		}
		for _, location := range c.Locations {
			if c.Dependency != component.Declared {
				location.Line = 0
			}
			list = append(list, proposal{Location: location, Name: c.Name, From: c.Version, To: version, All: all})
			if c.Dependency != component.Declared {
				break
			}
		}
	}
	return list, nil
}

func (h *Host) upgrades(ctx context.Context, w io.Writer, findings []finding.Finding, advisories advisory.Source) error {
	list, err := proposals(ctx, findings, advisories)
	if err != nil || len(list) == 0 {
		return err
	}
	fmt.Fprintln(w, "\nwhat heals it:")
	for _, p := range list {
		fmt.Fprintf(w, "  %s\n", p)
	}
	return nil
}

func notTested(w io.Writer, unresolved []component.Unresolved) {
	if len(unresolved) == 0 {
		return
	}
	fmt.Fprintf(w, "\nnot tested (%d):\n", len(unresolved))
	for _, u := range unresolved {
		place := u.Location.Path
		if u.Location.Line > 0 {
			place = fmt.Sprintf("%s:%d", place, u.Location.Line)
		}
		fmt.Fprintf(w, "  %s: %s: %s\n", clean(place), clean(u.Text), clean(u.Reason))
	}
}

func summary(findings []finding.Finding) string {
	if len(findings) == 0 {
		return "no known vulnerability in what was tested"
	}
	var counts [5]int
	for _, f := range findings {
		counts[f.Severity.Level]++
	}
	var parts []string
	for level := finding.Critical; ; level-- {
		if counts[level] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[level], strings.ToLower(level.String())))
		}
		if level == finding.Unknown {
			break
		}
	}
	word := "vulnerabilities"
	if len(findings) == 1 {
		word = "vulnerability"
	}
	return fmt.Sprintf("%d %s: %s", len(findings), word, strings.Join(parts, ", "))
}
