package kyverno

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/predicate"
)

// scan holds a vulnerability attestation to what no condition can make good:
// a scan that saw nothing, and one with the built-in sample.
func (j *judge) scan(a attestation, claim trust.Claim) []verdict.Check {
	if predicate.Family(claim.Type()) != predicate.TypeCosignVuln {
		return nil
	}
	report, err := predicate.ReadVulnerabilities(claim.Type(), claim.Predicate())
	sample := report.Database.Sample
	switch {
	case errors.Is(err, predicate.ErrForeignReport): // the conditions read it
		sample = bytes.Contains(claim.Predicate(), []byte(predicate.SampleURI))
	case err != nil:
		return []verdict.Check{{Name: a.name, Outcome: verdict.Broken, Expected: "a vulnerability report that can be read", Found: err.Error(),
			Evidence: []verdict.Evidence{claim.Evidence()}, Remedy: "scan the image again and attest what the scanner wrote"}}
	}
	var wrong []verdict.Check
	if sample && !j.policy.allowSample {
		wrong = append(wrong, verdict.Check{Name: a.name, Outcome: verdict.Failed, Expected: "a scan with real advisories",
			Found: "a scan with the sample of advisories that is built into Assay", Evidence: []verdict.Evidence{claim.Evidence()},
			Remedy: "import advisories (assay db import), scan and attest again; for a demonstration annotate the policy with " + allowSample + `: "true"`})
	}
	if err == nil && report.Packages == 0 {
		wrong = append(wrong, verdict.Check{Name: a.name, Outcome: verdict.Failed, Expected: "a scan that found packages",
			Found: "a scan that found no package, which says nothing about the image", Evidence: []verdict.Evidence{claim.Evidence()},
			Remedy: "scan the image again, and see what could not be resolved"})
	}
	return wrong
}

// levels of severity, worst first.
var levels = []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"}

// explain adds to failed conditions on a scan what the scan found, by name,
// and what would heal it: of the severities that the condition spells, or of
// all where it spells none.
func (j *judge) explain(wrong []verdict.Check, claim trust.Claim) {
	if predicate.Family(claim.Type()) != predicate.TypeCosignVuln {
		return
	}
	report, err := predicate.ReadVulnerabilities(claim.Type(), claim.Predicate())
	if err != nil {
		return
	}
	for i := range wrong {
		if wrong[i].Outcome == verdict.Failed && wrong[i].Remedy == "" {
			wrong[i].Items, wrong[i].Remedy = name(report.Vulnerabilities, wrong[i].Expected)
		}
	}
}

// name lists vulnerabilities, worst first, and the updates that heal them.
func name(found []predicate.Vulnerability, condition string) (items []string, remedy string) {
	spelled := slices.DeleteFunc(slices.Clone(levels), func(level string) bool { return !strings.Contains(condition, level) })
	if len(spelled) == 0 {
		spelled = levels
	}
	var updates []string
	more := 0
	for _, level := range spelled {
		for _, v := range found {
			switch {
			case v.Severity != level:
				continue
			case len(items) == limit.DenialItems:
				more++
				continue
			}
			items = append(items, describe(v))
			if update := v.Package + " to " + v.Fixed; v.Fixed != "" && !slices.Contains(updates, update) {
				updates = append(updates, update)
			}
		}
	}
	if more > 0 {
		items = append(items, fmt.Sprintf("and %d more", more))
	}
	if len(updates) > 0 {
		remedy = "update " + strings.Join(updates, ", ") + "; then build, scan and attest again"
	}
	return items, remedy
}

func describe(v predicate.Vulnerability) string {
	text := fmt.Sprintf("%s %s %s %s", v.ID, v.Severity, v.Package, v.Installed)
	if v.Fixed != "" {
		text += ", fixed in " + v.Fixed
	}
	return text
}
