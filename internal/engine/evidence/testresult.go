package evidence

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/coverage"
	"github.com/seed-161fc314/assay/internal/format/junit"
	"github.com/seed-161fc314/assay/internal/format/sarif"
	"github.com/seed-161fc314/assay/predicate"
)

// Source is the file that a result was read from: its path as its user names
// it, and its digest.
type Source struct {
	Path   string
	Digest subject.Digest
}

func (s Source) descriptor(annotations map[string]any) predicate.ResourceDescriptor {
	return predicate.ResourceDescriptor{Name: s.Path, Digest: map[string]string{s.Digest.Algorithm(): s.Digest.Hex()}, Annotations: annotations}
}

// Suite is a JUnit report and its file.
type Suite struct {
	Source
	junit.Report
}

// Measure is a coverage report and its file.
type Measure struct {
	Source
	coverage.Report
}

// Analyses is what a SARIF report says, and its file.
type Analyses struct {
	Source
	sarif.Summary
}

// maxNames bounds the tests that one predicate names.
const maxNames = 100_000

// ErrNoTest says that reports were read and no test was in them: that is no
// result, and never a passed one.
var ErrNoTest = errors.New("the test reports hold no test that ran")

// Tests writes a test result v0.1: FAILED if any test failed or broke, else
// PASSED. Skipped tests are warnedTests and change no result, but where nothing
// ran besides them the answer is ErrNoTest. Each report stands in configuration
// with its digest and annotations: tests, or coverage (percent), linesCovered
// and linesValid.
func Tests(suites []Suite, measures []Measure) (Document, error) {
	body := predicate.TestResult{Result: predicate.ResultPassed, Configuration: []predicate.ResourceDescriptor{}}
	for _, s := range suites {
		body.Configuration = append(body.Configuration, s.descriptor(map[string]any{"tests": s.Count()}))
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

// Analysis writes static analysis as a test result v0.1: FAILED if any result
// is an error, WARNED if any is a warning, else PASSED. The rules that they
// broke are failedTests and warnedTests; each report stands in configuration
// with its digest and annotations: tool, errors, warnings, notes.
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
	if n := len(body.FailedTests) + len(body.WarnedTests); n > maxNames {
		return Document{}, fmt.Errorf("%d rules are more than the %d that one result may name", n, maxNames)
	}
	return document(predicate.TypeTestResult, body)
}
