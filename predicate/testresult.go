package predicate

import (
	"fmt"
)

// The results that a TestResult may have.
const (
	ResultPassed = "PASSED"
	ResultWarned = "WARNED"
	ResultFailed = "FAILED"
)

// TestResult is the in-toto test result v0.1. Configuration names the reports
// that it was read from; their annotations carry figures such as coverage.
type TestResult struct {
	Result        string               `json:"result"`
	Configuration []ResourceDescriptor `json:"configuration"`
	URL           string               `json:"url,omitempty"`
	PassedTests   []string             `json:"passedTests,omitempty"`
	WarnedTests   []string             `json:"warnedTests,omitempty"`
	FailedTests   []string             `json:"failedTests,omitempty"`
}

// ReadTestResult reads a test result; a result that is none of the three words
// is an error.
func ReadTestResult(raw []byte) (TestResult, error) {
	var result TestResult
	if err := decode(raw, &result); err != nil {
		return TestResult{}, fmt.Errorf("reading a test result: %w", err)
	}
	switch result.Result {
	case ResultPassed, ResultWarned, ResultFailed:
		return result, nil
	}
	return TestResult{}, fmt.Errorf("reading a test result: result is %q, want PASSED, WARNED or FAILED", result.Result)
}
