// Package sarif writes scan reports as SARIF 2.1.0, and reads what other tools'
// static analysis found.
//
// Entry points are [Encode] and [Read]. Written results carry what code hosts
// need: a rule for each vulnerability with its security-severity, the true
// line, and a fingerprint that stays the same from run to run. Read counts
// results by level; it checks no schema.
package sarif

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// unresolvedRule is the rule of what could not be tested.
const unresolvedRule = "assay-not-tested"

// Encode writes a report as one run, indented, with a newline at its end.
// Critical and high findings are errors, medium ones warnings, all others
// notes; so is what could not be tested, under the rule "assay-not-tested".
// toolVersion is Assay's own, without a "v". An error is the writer's.
func Encode(w io.Writer, report finding.Report, toolVersion string) error {
	driver := sarif.NewToolComponent().WithName("assay").WithInformationURI("https://assay.sh").WithVersion(toolVersion)
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(driver))
	run.WithResults([]*sarif.Result{})
	place := map[string]int{}
	for _, f := range report.Findings {
		if _, seen := place[f.ID]; !seen {
			place[f.ID] = len(driver.Rules)
			driver.AddRule(rule(f))
		}
		run.AddResult(result(f).WithRuleIndex(place[f.ID]))
	}
	if len(report.Inventory.Unresolved) > 0 {
		driver.AddRule(sarif.NewReportingDescriptor().WithID(unresolvedRule).WithName("NotTested").
			WithShortDescription(text("A package that could not be tested, because no single version of it is known")))
	}
	for _, u := range report.Inventory.Unresolved {
		run.AddResult(sarif.NewRuleResult(unresolvedRule).WithRuleIndex(len(driver.Rules) - 1).WithLevel("note").
			WithMessage(sarif.NewTextMessage(u.Text + " was not tested: " + u.Reason)).
			WithLocations([]*sarif.Location{located(u.Location)}).
			WithPartialFingerprints(fingerprint(unresolvedRule, u.Location.Path, u.Text)))
	}
	if report.Database.Sample {
		run.WithProperties(sarif.NewPropertyBag().Add("advisories", "the sample that is built into assay"))
	}
	out := sarif.NewReport()
	out.AddRun(run)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(out); err != nil {
		return fmt.Errorf("writing SARIF for %s: %w", report.Target, err)
	}
	return nil
}

func text(s string) *sarif.MultiformatMessageString {
	return sarif.NewMultiformatMessageString().WithText(s)
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

func rule(f finding.Finding) *sarif.ReportingDescriptor {
	title := f.Title
	if title == "" {
		title = f.ID
	}
	properties := sarif.NewPropertyBag().Add("tags", []string{"vulnerability", "security", f.Severity.Level.String()}).
		Add("precision", "very-high").Add("security-severity", securitySeverity(f.Severity))
	return sarif.NewReportingDescriptor().WithID(f.ID).WithName("VulnerablePackage").
		WithShortDescription(text(title)).WithHelpURI("https://osv.dev/vulnerability/" + f.ID).
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level(f.Severity.Level))).
		WithProperties(properties)
}

func result(f finding.Finding) *sarif.Result {
	c := f.Component
	message := fmt.Sprintf("%s %s has %s (%s)", c.Name, c.Version, f.ID, f.Severity.Level)
	if f.Fixed != "" {
		message += "; fixed in " + f.Fixed
	}
	at := ""
	if len(c.Locations) > 0 {
		at = c.Locations[0].Path
	}
	locations := []*sarif.Location{}
	for _, l := range c.Locations {
		if c.Dependency == component.Installed {
			l.Line = 0
		}
		locations = append(locations, located(l))
	}
	return sarif.NewRuleResult(f.ID).WithLevel(level(f.Severity.Level)).WithMessage(sarif.NewTextMessage(message)).
		WithLocations(locations).WithPartialFingerprints(fingerprint(f.ID, at, c.Name))
}

// located is a location; SARIF counts lines from 1, and a file without lines
// gets its first.
func located(l component.Location) *sarif.Location {
	return sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewArtifactLocation().WithURI((&url.URL{Path: l.Path}).String()).WithURIBaseID("ROOTPATH")).
		WithRegion(sarif.NewRegion().WithStartLine(max(1, l.Line))))
}

// fingerprint stays the same when lines move and versions change.
func fingerprint(parts ...string) map[string]string {
	return map[string]string{"assay/v1": subject.Of([]byte(strings.Join(parts, "\x00"))).Hex()}
}
