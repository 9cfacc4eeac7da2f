// Package evidence writes what a run found as in-toto predicates.
//
// Entry points are [Vulnerabilities], [Provenance], [Tests] and [Analysis];
// each gives a [Document], a predicate with its type, that nobody has signed
// yet. Predicates have the vetted types of package predicate and no others.
// The package is pure: times come in as values.
package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/coverage"
	"github.com/seed-161fc314/assay/internal/format/junit"
	"github.com/seed-161fc314/assay/internal/format/sarif"
	"github.com/seed-161fc314/assay/internal/format/trivy"
	"github.com/seed-161fc314/assay/predicate"
)

// ScannerURI names Assay's scanner in evidence.
const ScannerURI = "https://assay.sh/scanner"

// Document is a predicate with its type.
type Document struct {
	Type string
	Body json.RawMessage
}

func document(uri string, body any) (Document, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return Document{}, fmt.Errorf("writing a predicate of type %s: %w", uri, err)
	}
	return Document{Type: uri, Body: encoded}, nil
}

// Vulnerabilities writes a report as both vulnerability predicates: in-toto's
// v0.2, and cosign's with the report in Trivy's format inside, which existing
// policies read.
func Vulnerabilities(report finding.Report, toolVersion string) (vulns, cosign Document, err error) {
	db := predicate.VulnsDatabase{URI: report.Database.URI, Version: report.Database.Version, LastUpdate: report.Database.LastUpdate}
	body := predicate.Vulns{
		Scanner:  predicate.VulnsScanner{URI: ScannerURI, Version: toolVersion, DB: db, Result: []predicate.VulnsResult{}},
		Metadata: predicate.VulnsMetadata{ScanStartedOn: report.Started, ScanFinishedOn: report.Finished},
	}
	var unresolved []predicate.UnresolvedPackage
	for _, u := range report.Inventory.Unresolved {
		unresolved = append(unresolved, predicate.UnresolvedPackage{Name: u.Name, Text: u.Text, Reason: u.Reason, Path: u.Location.Path, Line: u.Location.Line})
	}
	body.Metadata.Annotations = []map[string]any{predicate.ScanAnnotation(len(report.Inventory.Components), unresolved)}
	for _, f := range report.Findings {
		body.Scanner.Result = append(body.Scanner.Result, result(f))
	}
	if vulns, err = document(predicate.TypeVulnsV02, body); err != nil {
		return Document{}, Document{}, err
	}
	inside, err := trivy.Report(report, toolVersion)
	if err != nil {
		return Document{}, Document{}, err
	}
	cosign, err = document(predicate.TypeCosignVuln, predicate.CosignVuln{
		Invocation: predicate.CosignInvocation{Parameters: []string{}, URI: report.Target},
		Scanner:    predicate.CosignScanner{URI: ScannerURI, Version: toolVersion, DB: db, Result: inside},
		Metadata:   predicate.CosignMetadata{ScanStartedOn: report.Started, ScanFinishedOn: report.Finished},
	})
	return vulns, cosign, err
}

func result(f finding.Finding) predicate.VulnsResult {
	c := f.Component
	v := predicate.Vulnerability{ID: f.ID, Aliases: f.Aliases, Package: c.Name, PURL: c.PURL, Installed: c.Version, Fixed: f.Fixed,
		Severity: f.Severity.Level.String(), Score: f.Severity.Score, Dependency: string(c.Dependency), Path: c.Locations[0].Path}
	if c.Dependency == "declared" {
		v.Line = c.Locations[0].Line
	}
	r := predicate.VulnsResult{ID: f.ID, Severity: []predicate.VulnsSeverity{}, Annotations: []map[string]any{v.Annotation()}}
	for _, rating := range f.Ratings {
		if rating.Vector != "" {
			r.Severity = append(r.Severity, predicate.VulnsSeverity{Method: rating.Source + " CVSS score", Score: fmt.Sprintf("%.1f", rating.Score)},
				predicate.VulnsSeverity{Method: rating.Source + " CVSS vector", Score: rating.Vector})
		} else {
			r.Severity = append(r.Severity, predicate.VulnsSeverity{Method: rating.Source, Score: rating.Level.String()})
		}
	}
	return r
}

// Build is what provenance says.
type Build struct {
	// BuilderID names the trust base, BuildType says how to read External.
	BuilderID, BuildType string
	// External are all parameters that whoever asked for the build controls,
	// Internal what the builder set.
	External, Internal any
	// Dependencies are what the build read.
	Dependencies []predicate.ResourceDescriptor
	// InvocationID names the run.
	InvocationID      string
	Version           string
	Started, Finished time.Time
}

// Provenance writes SLSA provenance v1.
func Provenance(b Build) (Document, error) {
	if b.BuilderID == "" || b.BuildType == "" {
		return Document{}, errors.New("provenance: a builder id and a build type are needed")
	}
	return document(predicate.TypeProvenanceV1, predicate.Provenance{
		BuildDefinition: predicate.BuildDefinition{BuildType: b.BuildType, ExternalParameters: b.External,
			InternalParameters: b.Internal, ResolvedDependencies: b.Dependencies},
		RunDetails: predicate.RunDetails{
			Builder:  predicate.Builder{ID: b.BuilderID, Version: map[string]string{"assay": b.Version}},
			Metadata: &predicate.BuildMetadata{InvocationID: b.InvocationID, StartedOn: b.Started.UTC(), FinishedOn: b.Finished.UTC()},
		},
	})
}

// Source is the file that a result was read from.
type Source struct {
	Path   string
	Digest subject.Digest
}

func (s Source) descriptor(annotations map[string]any) predicate.ResourceDescriptor {
	return predicate.ResourceDescriptor{Name: s.Path, Digest: map[string]string{s.Digest.Algorithm(): s.Digest.Hex()}, Annotations: annotations}
}

// Suite is a JUnit report and its file, Measure a coverage report, Finding a
// SARIF report.
type (
	Suite struct {
		Source
		junit.Report
	}
	Measure struct {
		Source
		coverage.Report
	}
	Analyses struct {
		Source
		sarif.Summary
	}
)

// maxNames bounds the tests that one predicate names.
const maxNames = 100_000

// ErrNoTest says that reports were read and no test was in them: that is no
// result, and never a passed one.
var ErrNoTest = errors.New("the test reports hold no test that ran")

// Tests writes a test result: FAILED if any test failed or broke, else PASSED.
// Skipped tests are warnedTests. Coverage stands in the annotations of its
// report: coverage (percent), linesCovered and linesValid.
func Tests(suites []Suite, measures []Measure) (Document, error) {
	body := predicate.TestResult{Result: predicate.ResultPassed, Configuration: []predicate.ResourceDescriptor{}}
	for _, s := range suites {
		body.Configuration = append(body.Configuration, s.descriptor(map[string]any{"tests": len(s.Passed) + len(s.Failed) + len(s.Errored) + len(s.Skipped)}))
		body.PassedTests = append(body.PassedTests, s.Passed...)
		body.WarnedTests = append(body.WarnedTests, s.Skipped...)
		body.FailedTests = append(append(body.FailedTests, s.Failed...), s.Errored...)
	}
	for _, m := range measures {
		annotations := map[string]any{"coverage": m.Percent}
		if m.Valid > 0 {
			annotations["linesCovered"], annotations["linesValid"] = m.Covered, m.Valid
		}
		body.Configuration = append(body.Configuration, m.descriptor(annotations))
	}
	if len(body.PassedTests)+len(body.FailedTests) == 0 {
		return Document{}, ErrNoTest
	}
	if n := len(body.PassedTests) + len(body.FailedTests) + len(body.WarnedTests); n > maxNames {
		return Document{}, fmt.Errorf("%d tests are more than the %d that one result may name", n, maxNames)
	}
	if len(body.FailedTests) > 0 {
		body.Result = predicate.ResultFailed
	}
	for _, list := range [][]string{body.PassedTests, body.WarnedTests, body.FailedTests} {
		slices.Sort(list)
	}
	return document(predicate.TypeTestResult, body)
}

// Analysis writes static analysis as a test result: FAILED if any result is an
// error, WARNED if any is a warning, else PASSED. The results themselves are
// failedTests and warnedTests.
func Analysis(reports []Analyses) (Document, error) {
	if len(reports) == 0 {
		return Document{}, errors.New("no report of static analysis")
	}
	body := predicate.TestResult{Result: predicate.ResultPassed, Configuration: []predicate.ResourceDescriptor{}}
	for _, r := range reports {
		body.Configuration = append(body.Configuration, r.descriptor(map[string]any{"tool": r.Tool, "errors": r.Errors, "warnings": r.Warnings, "notes": r.Notes}))
		switch {
		case r.Errors > 0:
			body.Result = predicate.ResultFailed
		case r.Warnings > 0 && body.Result == predicate.ResultPassed:
			body.Result = predicate.ResultWarned
		}
		body.FailedTests = append(body.FailedTests, r.ErrorRules...)
		body.WarnedTests = append(body.WarnedTests, r.WarningRules...)
	}
	return document(predicate.TypeTestResult, body)
}
