package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/imagefs"
)

// exitError ends with a code that the user chose.
type exitError struct{ code int }

// Error says nothing: what was found is printed.
func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// scanFlags are the flags of `assay scan`.
type scanFlags struct {
	db, maxAge, format, output string
	platform, python           string
	baseImage                  string
	severity, failOn           []string
	exitCode                   int
	exitCodeSet, failOnSet     bool
	ignoreUnfixed              bool
	// fromSBOM reads the packages from what key signed about the image.
	fromSBOM bool
	key      string
	rules    ruleFlags
}

func newScan(host *Host) *cobra.Command {
	flags := scanFlags{}
	command := &cobra.Command{
		Use: "scan TARGET", Short: "Find vulnerable packages",
		Long: `Scan finds the packages of a target and the advisories that affect them. The
target is ` + targetHelp + `.

It ends with exit code 1 if a finding is at or above --fail-on: "high" stands for
high and critical, "unknown" counts only where it is named, "none" never fails.
--severity and --ignore-unfixed leave findings out; --severity or --exit-code
without --fail-on makes any finding that is shown count, as in Trivy. --exit-code
changes the code; 0 reports and passes. A missing or damaged advisory database,
a target without any package, and one of which nothing could be tested, is a
fault (exit code 3) and never "no vulnerabilities". What cannot be put down to
one version is listed as not tested; with --require-pinned each of these counts
as a finding.

VEX documents (--vex) and ignore files (--ignorefile) take findings out of what
counts; they are reported all the same. Without --ignorefile, .assayignore.yaml of
the current directory is read, and never one of the target. An ignore whose date is
over counts as a finding. docs/vex-and-ignores.md has the rules.

-o json is Trivy's format. -o github marks lines of a pull request, and appends
-o markdown to $GITHUB_STEP_SUMMARY. -o cosign-vuln and -o vulns are predicates
for ` + "`assay attest` or `cosign attest`" + `.

With --from-sbom an image is not pulled: its packages are those of the SBOMs that
--key signed about it, of which the newest counts.`,
		Example: `  assay scan . --db sample
  assay scan requirements.txt -o json
  assay scan uv.lock --python-version 3.12 --platform linux/arm64
  assay scan registry.example.com/app:1.0 --severity CRITICAL,HIGH --exit-code 0
  assay scan oci:build/image -o sarif --output results.sarif
  assay scan . --fail-on medium,unknown --ignore-unfixed
  assay scan sbom.cdx.json
  assay scan registry.example.com/app:1.0 --from-sbom --key assay.pub`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.exitCodeSet, flags.failOnSet = cmd.Flags().Changed("exit-code"), cmd.Flags().Changed("fail-on")
			flags.rules.ignoresSet = cmd.Flags().Changed("ignorefile")
			return runScan(cmd.Context(), host, args[0], flags)
		},
	}
	command.Flags().StringVar(&flags.db, "db", "", "advisory database: a directory, or \"sample\" (default: the user's cache)")
	command.Flags().StringVar(&flags.maxAge, "max-age", "", "end with exit code 3 if advisories that are needed are older, such as 36h or 7d")
	formatFlag(command, &flags.format, "table", scanFormats...)
	command.Flags().BoolVar(&flags.fromSBOM, "from-sbom", false, "scan an image from its signed SBOMs, without pulling it")
	command.Flags().StringVar(&flags.key, "key", "", "public key file: who must have signed the SBOM of --from-sbom")
	command.Flags().StringVar(&flags.output, "output", "", "write to this file instead of standard output")
	command.Flags().StringVar(&flags.platform, "platform", "", platformHelp)
	command.Flags().StringVar(&flags.python, "python-version", "", pythonHelp)
	command.Flags().StringVar(&flags.baseImage, "base-image", "", baseHelp)
	command.Flags().StringSliceVar(&flags.severity, "severity", nil, "show only these severities: unknown, low, medium, high, critical")
	command.Flags().StringSliceVar(&flags.failOn, "fail-on", []string{"high"}, "least severity that ends with exit code 1; unknown counts only if named; none")
	command.Flags().IntVar(&flags.exitCode, "exit-code", 1, "exit code when something counts; 0 reports and passes")
	command.Flags().BoolVar(&flags.ignoreUnfixed, "ignore-unfixed", false, "leave out what no version heals, but no malicious package")
	flags.rules.add(command)
	return command
}

// check refuses flags that contradict each other before anything is read.
func (f scanFlags) check() error {
	if err := oneOf("-o", f.format, scanFormats...); err != nil {
		return err
	}
	if f.exitCode < 0 || f.exitCode > 255 {
		return usage("--exit-code %d: want 0 to 255", f.exitCode)
	}
	if f.fromSBOM != (f.key != "") {
		return usage("--from-sbom and --key go together: what nobody signed is nobody's word").withHint("name the public key, such as --key assay.pub; an SBOM in a file is scanned without either")
	}
	if isPredicate(f.format) && (len(f.severity) > 0 || f.ignoreUnfixed) {
		return usage("-o %s: --severity and --ignore-unfixed leave findings out, and evidence holds all of them", f.format).
			withHint("leave it to the policy what counts")
	}
	return nil
}

func runScan(ctx context.Context, host *Host, name string, flags scanFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	shown, err := levels("--severity", flags.severity)
	if err != nil {
		return err
	}
	threshold, err := finding.ParseThreshold(flags.failOn)
	if err != nil {
		return usage("--fail-on: %v", err)
	}
	if err := host.present(name); err != nil {
		return err
	}
	rules, err := flags.rules.read(host)
	if err != nil {
		return err
	}
	db, err := host.advisories(flags.db)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := host.bound(db, flags.maxAge); err != nil {
		return err
	}
	environment, err := environmentOf(flags.python, flags.platform)
	if err != nil {
		return err
	}
	base, err := host.baseLayers(ctx, flags.baseImage, flags.platform)
	if err != nil {
		return err
	}
	scanner, err := scan.New(scan.Config{Advisories: db, Now: host.Now, Environment: environment, BaseDiffIDs: base,
		Rules: rules, RequirePinned: flags.rules.requirePinned})
	if err != nil {
		return err
	}
	done := host.busy("scanning " + name)
	defer done()
	report, root, err := host.scan(ctx, scanner, name, flags)
	if err != nil {
		return err
	}
	all := len(report.Findings)
	report.Findings = filter(report.Findings, shown, flags.ignoreUnfixed)
	if proposes(flags.format) {
		if report.Upgrades, err = advisory.Upgrades(ctx, report.Findings, db); err != nil {
			return err
		}
	}
	done()
	v := view{Report: report, root: root, hidden: all - len(report.Findings), counted: counted(report.Findings, threshold, flags) + len(report.Expired) + len(report.Unpinned()), threshold: threshold}
	if err := host.write(flags.output, func(w io.Writer) error {
		return host.to(flags.output).report(w, flags.format, v)
	}); err != nil {
		return err
	}
	if flags.format == "github" {
		host.stepSummary(v)
		host.say("assay: %s: %s; %s", name, packages(report), v.summary())
	}
	if flags.format != "table" && report.Database.Sample {
		host.warn("matched against the built-in sample of %d advisories, which knows a handful of packages", report.Database.Records)
	}
	if flags.format != "table" { // which has all of it
		host.remarks(report)
	}
	host.warnOld(db, report)
	switch {
	case v.counted == 0 && report.Tested() == 0:
		return fmt.Errorf("%s: nothing was tested, so nothing can be said; what is in it is listed as not tested", name)
	case v.counted == 0 || flags.exitCode == 0:
		return nil
	case flags.exitCode == exitDenied:
		return &deniedError{}
	}
	return &exitError{flags.exitCode}
}

// counted is how many findings end with the exit code: those at or above
// --fail-on, or every one that is shown where only --severity or --exit-code
// says what is wanted.
func counted(findings []finding.Finding, threshold finding.Threshold, flags scanFlags) int {
	if !flags.failOnSet && (len(flags.severity) > 0 || flags.exitCodeSet) {
		return len(findings)
	}
	n := 0
	for _, f := range findings {
		if threshold.Reached(f.Severity.Level) {
			n++
		}
	}
	return n
}

// root is a scanned directory seen from the working directory, for outputs
// that other tools resolve there; "" where it is the same, or elsewhere.
func (h *Host) root(t target) string {
	if t.files == nil {
		return ""
	}
	dir := h.path(t.name)
	if t.file != "" {
		dir = filepath.Dir(dir)
	}
	relative, err := filepath.Rel(h.Dir, dir)
	if err != nil || !filepath.IsLocal(relative) || relative == "." {
		return ""
	}
	return filepath.ToSlash(relative)
}

// scan scans the target that a name means; root is where its paths lie.
func (h *Host) scan(ctx context.Context, scanner *scan.Scanner, name string, flags scanFlags) (report finding.Report, root string, err error) {
	if flags.fromSBOM {
		report, err = h.scanSigned(ctx, scanner, name, flags)
		return report, "", err
	}
	target, err := h.open(ctx, name, flags.platform)
	if err != nil {
		return finding.Report{}, "", err
	}
	defer target.close()
	if target.image == nil && flags.baseImage != "" {
		return finding.Report{}, "", usage("--base-image goes with an image, and %s is none", name)
	}
	report, err = scanTarget(ctx, scanner, target)
	if report.Image != nil && flags.baseImage != "" {
		report.Image.Base = named(flags.baseImage)
	}
	return report, h.root(target), err
}

// named says how the base image of --base-image is known to be one: an image
// that does not begin with its layers is an error.
func named(base string) string { return base + ", with whose layers it begins" }

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
	case t.document != nil:
		return scanner.Listed(ctx, t.listed())
	case t.image != nil:
		return scanner.Image(ctx, t.image, scan.Named{Reference: t.name, Digest: t.digest, Index: t.index})
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
		return len(shown) > 0 && !slices.Contains(shown, f.Severity.Level) || ignoreUnfixed && f.Unfixed()
	})
}
