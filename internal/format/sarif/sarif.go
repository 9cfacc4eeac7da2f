// Package sarif writes scan reports as SARIF 2.1.0, and reads what other tools'
// static analysis found.
//
// Entry points are [Encode] and [Read]. Written results carry what code hosts
// need: a rule for each vulnerability with its security-severity, the true
// line, and a fingerprint that stays the same from run to run. Read counts
// results by level; it checks no schema.
package sarif

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// unresolvedRule is the rule of what could not be tested.
const unresolvedRule = "assay-not-tested"

// Encode writes a report.
func Encode(w io.Writer, report finding.Report, toolVersion string) error {
	driver := sarif.NewToolComponent().WithName("assay").WithInformationURI("https://assay.sh").WithVersion(toolVersion)
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(driver))
	run.WithResults([]*sarif.Result{})
	seen := map[string]bool{}
	for _, f := range report.Findings {
		if !seen[f.ID] {
			seen[f.ID] = true
			driver.AddRule(rule(f))
		}
		run.AddResult(result(f))
	}
	if len(report.Inventory.Unresolved) > 0 {
		driver.AddRule(sarif.NewReportingDescriptor().WithID(unresolvedRule).WithName("NotTested").
			WithShortDescription(text("A package that could not be tested, because no single version of it is known")))
	}
	for _, u := range report.Inventory.Unresolved {
		run.AddResult(sarif.NewRuleResult(unresolvedRule).WithLevel("note").
			WithMessage(sarif.NewTextMessage(u.Text + " was not tested: " + u.Reason)).
			WithLocations([]*sarif.Location{place(u.Location)}).
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
	return encoder.Encode(out)
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
	var locations []*sarif.Location
	for _, l := range c.Locations {
		if c.Dependency == component.Installed {
			l.Line = 0
		}
		locations = append(locations, place(l))
	}
	return sarif.NewRuleResult(f.ID).WithLevel(level(f.Severity.Level)).WithMessage(sarif.NewTextMessage(message)).
		WithLocations(locations).WithPartialFingerprints(fingerprint(f.ID, c.Locations[0].Path, c.Name))
}

// place is a location; SARIF counts lines from 1, and a file without lines
// gets its first.
func place(l component.Location) *sarif.Location {
	return sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewArtifactLocation().WithURI(l.Path).WithURIBaseID("ROOTPATH")).
		WithRegion(sarif.NewRegion().WithStartLine(max(1, l.Line))))
}

// fingerprint stays the same when lines move and versions change.
func fingerprint(parts ...string) map[string]string {
	return map[string]string{"assay/v1": subject.Of([]byte(strings.Join(parts, "\x00"))).Hex()}
}

// Summary is what a report of static analysis says.
type Summary struct {
	// Tool names the tools, joined by ", ".
	Tool string
	// Errors, Warnings and Notes count results that are not suppressed.
	Errors, Warnings, Notes int
	// ErrorRules and WarningRules are the rules of those results, sorted,
	// each once.
	ErrorRules, WarningRules []string
}

// Read reads a report. A report without a run is an error: nothing was
// analysed. Results that are suppressed, or of a kind other than "fail", do not
// count.
func Read(r io.Reader, where string) (Summary, error) {
	content, err := limit.ReadAll(r, where, limit.TestReport)
	if err != nil {
		return Summary{}, err
	}
	var report struct {
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string `json:"name"`
					Rules []struct {
						ID            string `json:"id"`
						Configuration struct {
							Level string `json:"level"`
						} `json:"defaultConfiguration"`
					} `json:"rules"`
				} `json:"driver"`
			} `json:"tool"`
			Results []struct {
				RuleID        string `json:"ruleId"`
				Kind          string `json:"kind"`
				Level         string `json:"level"`
				BaselineState string `json:"baselineState"`
				Suppressions  []struct {
					Status string `json:"status"`
				} `json:"suppressions"`
			} `json:"results"`
		} `json:"runs"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(string(content), "\ufeff")), &report); err != nil {
		return Summary{}, fmt.Errorf("%s: this is no SARIF report: %w", where, err)
	}
	if !strings.HasPrefix(report.Version, "2.1") {
		return Summary{}, fmt.Errorf("%s: SARIF version is %q; 2.1.0 is read", where, report.Version)
	}
	if len(report.Runs) == 0 {
		return Summary{}, fmt.Errorf("%s: the report has no run, so nothing was analysed", where)
	}
	var summary Summary
	var tools []string
	for _, run := range report.Runs {
		tools = append(tools, run.Tool.Driver.Name)
		defaults := map[string]string{}
		for _, rule := range run.Tool.Driver.Rules {
			defaults[rule.ID] = rule.Configuration.Level
		}
		for _, result := range run.Results {
			// An accepted suppression is one without a status, too.
			accepted := func(s struct {
				Status string `json:"status"`
			}) bool {
				return s.Status == "" || s.Status == "accepted"
			}
			if result.Kind != "" && result.Kind != "fail" || result.BaselineState == "absent" || slices.ContainsFunc(result.Suppressions, accepted) {
				continue
			}
			switch level := cmp.Or(result.Level, defaults[result.RuleID], "warning"); level {
			case "error":
				summary.Errors++
				summary.ErrorRules = append(summary.ErrorRules, result.RuleID)
			case "warning":
				summary.Warnings++
				summary.WarningRules = append(summary.WarningRules, result.RuleID)
			case "note", "none":
				summary.Notes++
			default:
				return Summary{}, fmt.Errorf("%s: a result of rule %s has the level %q, which SARIF does not have", where, result.RuleID, level)
			}
		}
	}
	summary.Tool = strings.Join(tools, ", ")
	slices.Sort(summary.ErrorRules)
	slices.Sort(summary.WarningRules)
	summary.ErrorRules, summary.WarningRules = slices.Compact(summary.ErrorRules), slices.Compact(summary.WarningRules)
	return summary, nil
}
