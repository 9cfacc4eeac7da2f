package sarif

import (
	"cmp"
	"fmt"
	"io"
	"net/url"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/format/indent"
)

// EncodeRemarks writes remarks about files as one run, as Encode writes a report.
// The rules are all that were looked for, whether they found something or not.
func EncodeRemarks(w io.Writer, rules []remark.Rule, remarks []remark.Remark, toolVersion string) error {
	driver := sarif.NewToolComponent().WithName("assay").WithInformationURI("https://assay.sh").WithVersion(toolVersion)
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(driver))
	e := encoder{report: &finding.Report{}, place: map[string]int{}, seen: map[string]int{}}
	run.WithResults([]*sarif.Result{}).WithInvocations([]*sarif.Invocation{sarif.NewInvocation().WithExecutionSuccessful(true)})
	run.WithOriginalUriBaseIds(map[string]sarif.ArtifactLocation{"ROOTPATH": *base(*e.report)})
	for i, r := range rules {
		e.place[r.ID] = i
		driver.AddRule(sarif.NewReportingDescriptor().WithID(r.ID).WithShortDescription(text(r.Title)).WithFullDescription(text(r.Help)).WithHelp(text(r.Help)).
			WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(r.Level.String())))
	}
	for _, r := range remarks {
		message := r.Message
		if r.Fix != "" {
			message += ". Fix: " + r.Fix
		}
		region := sarif.NewRegion().WithStartLine(max(1, r.Line))
		if r.Column > 0 {
			region.WithStartColumn(r.Column)
		}
		location := sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().
			WithArtifactLocation(sarif.NewArtifactLocation().WithURI((&url.URL{Path: r.File}).String()).WithURIBaseID("ROOTPATH")).WithRegion(region))
		result := sarif.NewRuleResult(r.Rule).WithLevel(r.Level.String()).WithMessage(sarif.NewTextMessage(plain(message))).
			WithLocations([]*sarif.Location{location}).WithPartialFingerprints(e.fingerprint(r.Rule, r.File, r.Object, cmp.Or(r.Path, r.Message)))
		if place, listed := e.place[r.Rule]; listed {
			result.WithRuleIndex(place)
		}
		run.AddResult(result)
	}
	out := sarif.NewReport()
	out.AddRun(run)
	if err := indent.Encode(w, out); err != nil {
		return fmt.Errorf("writing SARIF: %w", err)
	}
	return nil
}
