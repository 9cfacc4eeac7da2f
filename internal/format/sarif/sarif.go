// Package sarif writes scan reports as SARIF 2.1.0, and reads what other tools'
// static analysis found.
//
// Entry points are [Encode] and [Read]. Written results carry what code hosts
// need: a rule for each vulnerability with its security-severity and what heals
// it, the true line, and fingerprints that stay the same from run to run. What
// other people wrote (titles, names) is text there, never a link or markup.
// Read counts results by level; it checks no schema.
package sarif

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/indent"
)

// The rules that are not about one vulnerability: what could not be tested, the
// same where pins are required, and ignores whose time is over.
const (
	unresolvedRule = "assay-not-tested"
	unpinnedRule   = "assay-not-pinned"
	expiredRule    = "assay-expired-ignore"
)

// Encode writes a report as one run, indented, with a newline at its end.
// Critical and high findings are errors, medium ones warnings, all others
// notes; so is what could not be tested, under the rule "assay-not-tested". Where
// the report requires pins, that is an error under "assay-not-pinned", and an
// ignore whose time is over always is one, under "assay-expired-ignore".
// Suppressed findings are notes with a suppression; the report's notes are
// notifications of the run. toolVersion is Assay's own,
// without a "v". An error is the writer's.
func Encode(w io.Writer, report finding.Report, toolVersion string) error {
	driver := sarif.NewToolComponent().WithName("assay").WithInformationURI("https://assay.sh").WithVersion(toolVersion)
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(driver))
	e := encoder{report: &report, place: map[string]int{}, seen: map[string]int{}}
	run.WithResults([]*sarif.Result{}).WithInvocations([]*sarif.Invocation{e.invocation(report)})
	run.WithOriginalUriBaseIds(map[string]sarif.ArtifactLocation{"ROOTPATH": *base(report)})
	for _, r := range e.rules() {
		driver.AddRule(r)
	}
	for _, f := range report.Findings {
		run.AddResult(e.result(f))
	}
	for _, s := range report.Suppressed {
		run.AddResult(e.suppressed(s))
	}
	for _, x := range report.Expired {
		run.AddResult(e.expired(x))
	}
	for _, u := range report.Inventory.Unresolved {
		run.AddResult(e.unresolved(u))
	}
	properties := sarif.NewPropertyBag().Add("target", report.Target)
	if !report.Digest.IsZero() {
		properties.Add("digest", report.Digest.String())
	}
	if report.Database.Sample {
		properties.Add("advisories", "the sample that is built into assay")
	}
	if len(report.SBOMs) > 0 {
		properties.Add("sboms", report.SBOMs)
	}
	properties.Add("packagesTested", report.Tested())
	if image := report.Image; image != nil && image.Base != "" {
		properties.Add("baseImage", plain(image.Base))
	}
	run.WithProperties(properties)
	out := sarif.NewReport()
	out.AddRun(run)
	if err := indent.Encode(w, out); err != nil {
		return fmt.Errorf("writing SARIF for %s: %w", report.Target, err)
	}
	return nil
}

// invocation says when the scan ran, in SARIF's format of times (3.9), and what
// else is to know of it.
func (e *encoder) invocation(report finding.Report) *sarif.Invocation {
	i := sarif.NewInvocation().WithExecutionSuccessful(true)
	if !report.Started.IsZero() {
		i.WithStartTimeUtc(report.Started.UTC().Format(time.RFC3339))
	}
	if !report.Finished.IsZero() {
		i.WithEndTimeUtc(report.Finished.UTC().Format(time.RFC3339))
	}
	for _, n := range report.Inventory.Notes {
		i.AddToolExecutionNotification(sarif.NewNotification().WithLevel("note").WithMessage(sarif.NewTextMessage(plain(n.Text))).AddLocation(e.located(n.Location)))
	}
	for _, text := range report.Notes {
		i.AddToolExecutionNotification(sarif.NewNotification().WithLevel("warning").WithMessage(sarif.NewTextMessage(plain(text))))
	}
	return i
}

// base says what ROOTPATH is, in words: 3.14.14 lets the producer keep the
// machine's own path to itself.
func base(report finding.Report) *sarif.ArtifactLocation {
	text := "the directory from which assay was called, or the scanned one where it is elsewhere"
	if report.Kind == finding.Container {
		text = "the root of the image's file system"
	}
	return sarif.NewArtifactLocation().WithDescription(sarif.NewTextMessage(text))
}

// encoder holds the rules' places, and how often a fingerprint was given.
type encoder struct {
	report *finding.Report
	place  map[string]int
	seen   map[string]int
}

// rules gives one rule for each vulnerability, whatever packages have it.
func (e *encoder) rules() []*sarif.ReportingDescriptor {
	var order []string
	having := map[string][]finding.Finding{}
	add := func(f finding.Finding) {
		if having[f.ID] == nil {
			order = append(order, f.ID)
		}
		having[f.ID] = append(having[f.ID], f)
	}
	for _, f := range e.report.Findings {
		add(f)
	}
	for _, s := range e.report.Suppressed {
		add(s.Finding)
	}
	var rules []*sarif.ReportingDescriptor
	for _, id := range order {
		e.place[id] = len(rules)
		rules = append(rules, e.rule(having[id]))
	}
	own := func(id, name, level, short, help string) {
		e.place[id] = len(rules)
		rules = append(rules, sarif.NewReportingDescriptor().WithID(id).WithName(name).WithShortDescription(text(short)).WithHelp(text(help)).
			WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level)))
	}
	if len(e.report.Expired) > 0 {
		own(expiredRule, "ExpiredIgnore", "error", "An ignore whose time is over", "Decide again: heal the finding, give the ignore a new date, or remove it.")
	}
	switch {
	case len(e.report.Unpinned()) > 0:
		own(unpinnedRule, "NotPinned", "error", "Something that has no single version, so that it could not be tested", "Pin the package to one version, or scan where it is installed.")
	case len(e.report.Inventory.Unresolved) > 0:
		own(unresolvedRule, "NotTested", "note", "Something that could not be tested", "Pin the package to one version, or scan where it is installed.")
	}
	return rules
}

func text(s string) *sarif.MultiformatMessageString {
	return sarif.NewMultiformatMessageString().WithText(plain(s))
}

// plain is text that no viewer takes for a link (3.11.6) or is led astray by.
func plain(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = explain.Clean(line)
	}
	s = strings.Join(lines, "\n")
	if strings.Contains(s, "](") {
		s = strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(s)
	}
	return s
}

func level(l finding.Level) string {
	switch l {
	case finding.Critical, finding.High:
		return "error"
	case finding.Medium:
		return "warning"
	}
	return "note"
}

// securitySeverity is the CVSS score, or one inside the band of the word.
func securitySeverity(s finding.Severity) string {
	if s.Score > 0 {
		return fmt.Sprintf("%.1f", s.Score)
	}
	return [...]string{"0.0", "2.0", "5.5", "8.0", "9.5"}[s.Level]
}

// maxDescription is the longest description that code hosts show.
const maxDescription = 1000

// rule describes a vulnerability; its severity is the worst of its findings.
func (e *encoder) rule(findings []finding.Finding) *sarif.ReportingDescriptor {
	f := findings[0]
	for _, other := range findings {
		if other.Severity.Level > f.Severity.Level {
			f = other
		}
	}
	tags := []string{"vulnerability", "security", f.Severity.Level.String()}
	if f.Threat.Exploited != nil {
		tags = append(tags, "known-exploited")
	}
	properties := sarif.NewPropertyBag().Add("tags", tags).Add("precision", "very-high").Add("security-severity", securitySeverity(f.Severity))
	if len(f.Aliases) > 0 {
		properties.Add("aliases", f.Aliases)
	}
	if f.Threat.EPSS != nil {
		properties.Add("epss", f.Threat.EPSS.Probability)
	}
	details := []rune(cmp.Or(f.Details, f.Title, f.ID))
	if len(details) > maxDescription {
		details = append(details[:maxDescription-1], '…')
	}
	return sarif.NewReportingDescriptor().WithID(f.ID).WithName("VulnerablePackage").
		WithShortDescription(text(cmp.Or(f.Headline(), f.ID))).WithFullDescription(text(string(details))).
		WithHelp(text(e.help(findings))).WithHelpURI("https://osv.dev/vulnerability/" + url.PathEscape(f.ID)).
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level(f.Severity.Level))).
		WithProperties(properties)
}

// help says what heals every package that has the vulnerability.
func (e *encoder) help(findings []finding.Finding) string {
	f := findings[0]
	lines := []string{f.ID}
	if len(f.Aliases) > 0 {
		lines[0] += ", also " + strings.Join(f.Aliases, ", ")
	}
	if x := f.Threat.Exploited; x != nil {
		lines = append(lines, "Known to be exploited.")
	}
	told := map[string]bool{}
	for _, f := range findings {
		line := e.remedy(f)
		if !told[line] {
			told[line] = true
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// remedy is what to do about a finding, in a sentence.
func (e *encoder) remedy(f finding.Finding) string {
	c := f.Component
	where := ""
	if e.report.Image.InBase(c) {
		where = ", which came with the base image,"
	} else if c.Owner != "" {
		where = ", which " + c.Owner + " brought,"
	}
	u := e.report.Upgrade(c)
	switch {
	case u != nil && u.All:
		return fmt.Sprintf("Upgrade %s %s%s to %s, which heals all of its known vulnerabilities.", c.Name, c.Version, where, u.To)
	case f.Fixed != "":
		return fmt.Sprintf("Upgrade %s %s%s to %s.", c.Name, c.Version, where, f.Fixed)
	}
	return fmt.Sprintf("No version of %s%s is known to heal it.", c.Name, where)
}

func (e *encoder) result(f finding.Finding) *sarif.Result {
	c := f.Component
	message := fmt.Sprintf("%s %s has %s (%s)", c.Name, c.Version, f.ID, f.Severity.Level)
	if f.Threat.Exploited != nil {
		message += ", which is known to be exploited"
	}
	if f.Fixed != "" {
		message += "; fixed in " + f.Fixed
	}
	if u := e.report.Upgrade(c); u != nil && u.All && u.To != f.Fixed {
		message += "; " + u.To + " heals all that is known of the package"
	}
	if image := e.report.Image; image.InBase(c) {
		message += "; it came with the base image"
		if image.Base != "" {
			message += " (" + image.Base + ")"
		}
	}
	if c.Owner != "" {
		message += "; its files belong to " + c.Owner
	}
	at := ""
	if len(c.Locations) > 0 {
		at = c.Locations[0].Path
	}
	locations := []*sarif.Location{}
	for _, l := range c.Locations {
		if c.Dependency != component.Declared {
			l.Line = 0
		}
		locations = append(locations, e.located(l))
	}
	return sarif.NewRuleResult(f.ID).WithRuleIndex(e.place[f.ID]).WithLevel(level(f.Severity.Level)).WithMessage(sarif.NewTextMessage(plain(message))).
		WithLocations(locations).WithPartialFingerprints(e.fingerprint(f.ID, at, c.Name))
}

// suppressed is a result that somebody took out of what counts.
func (e *encoder) suppressed(s finding.Suppressed) *sarif.Result {
	reason := strings.Join(nonEmpty(s.Status, s.Justification, s.Statement), ": ")
	properties := sarif.NewPropertyBag().Add("source", s.Source.Path)
	if s.By != "" {
		properties.Add("by", s.By)
	}
	if !s.Until.IsZero() {
		properties.Add("until", s.Until.UTC().Format(time.RFC3339))
	}
	return e.result(s.Finding).WithLevel("note").WithSuppressions([]*sarif.Suppression{
		sarif.NewSuppression().WithKind("external").WithStatus("accepted").WithJustification(plain(reason)).WithProperties(properties)})
}

func nonEmpty(words ...string) []string {
	var list []string
	for _, word := range words {
		if word != "" {
			list = append(list, word)
		}
	}
	return list
}

func (e *encoder) unresolved(u component.Unresolved) *sarif.Result {
	level, rule := "note", unresolvedRule
	if e.report.RequirePinned {
		level, rule = "error", unpinnedRule
	}
	return sarif.NewRuleResult(rule).WithRuleIndex(e.place[rule]).WithLevel(level).
		WithMessage(sarif.NewTextMessage(plain("Not tested: " + u.String()))).
		WithLocations([]*sarif.Location{e.located(u.Location)}).
		WithPartialFingerprints(e.fingerprint(rule, u.Location.Path, u.Text))
}

// expired is an ignore that counts itself.
func (e *encoder) expired(x finding.Expired) *sarif.Result {
	return sarif.NewRuleResult(expiredRule).WithRuleIndex(e.place[expiredRule]).WithLevel("error").
		WithMessage(sarif.NewTextMessage(plain("The ignore of " + x.String() + "; " + x.Consequence()))).
		WithLocations([]*sarif.Location{e.located(x.Source)}).
		WithPartialFingerprints(e.fingerprint(expiredRule, x.Source.Path, x.ID, x.Scope))
}

// located is a location; SARIF counts lines from 1, and a file without lines
// gets its first.
func (e *encoder) located(l component.Location) *sarif.Location {
	return sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewArtifactLocation().WithURI((&url.URL{Path: l.Path}).String()).WithURIBaseID("ROOTPATH")).
		WithRegion(sarif.NewRegion().WithStartLine(max(1, l.Line))))
}

// fingerprint stays the same when lines move and versions change; two results
// of one run never share one. GitHub looks at primaryLocationLineHash alone.
func (e *encoder) fingerprint(parts ...string) map[string]string {
	hex := subject.Of([]byte(strings.Join(parts, "\x00"))).Hex()
	e.seen[hex]++
	number := strconv.Itoa(e.seen[hex])
	return map[string]string{"assay/v1": hex + ":" + number, "primaryLocationLineHash": hex[:16] + ":" + number}
}
