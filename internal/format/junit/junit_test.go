package junit_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/junit"
)

// pytest is laid out as pytest --junitxml writes it.
const pytest = `<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.1">
<testcase classname="tests.test_model" name="test_load" time="0.01"/>
<testcase classname="tests.test_model" name="test_score" time="0.01"><failure message="assert 0.7 &gt; 0.9">trace</failure></testcase>
<testcase classname="tests.test_model" name="test_gpu" time="0"><skipped type="pytest.skip" message="no device"/></testcase>
<testcase classname="" name="tests.test_data" time="0"><error message="collection failure">ImportError</error></testcase>
<system-out>&lt;testcase name="not one"/&gt;</system-out>
</testsuite></testsuites>`

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want junit.Report
	}{
		"pytest": {pytest, junit.Report{
			Passed: []string{"tests.test_model.test_load"}, Failed: []string{"tests.test_model.test_score"},
			Errored: []string{"tests.test_data"}, Skipped: []string{"tests.test_model.test_gpu"}}},
		"suite as root": {`<testsuite tests="1"><properties><property name="a" value="b"/></properties><testcase name="a"/></testsuite>`,
			junit.Report{Passed: []string{"a"}}},
		"suites in suites": {`<testsuites failures="1"><testsuite><testsuite><testcase name="a"><failure/></testcase></testsuite><testcase name="b"/></testsuite></testsuites>`,
			junit.Report{Passed: []string{"b"}, Failed: []string{"a"}}},
		"failure beats skipped":        {`<testsuite><testcase name="a"><skipped/><failure/></testcase></testsuite>`, junit.Report{Failed: []string{"a"}}},
		"a subtest counts twice":       {`<testsuite tests="2" failures="2"><testcase name="a"><failure/><failure/></testcase></testsuite>`, junit.Report{Failed: []string{"a"}}},
		"an outcome in output is none": {`<testsuite><testcase name="a"><system-err><failure/></system-err></testcase></testsuite>`, junit.Report{Passed: []string{"a"}}},
		"empty":                        {`<testsuites/>`, junit.Report{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := junit.Read(strings.NewReader(test.text), "r.xml")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":           {"", "no element"},
		"blank":             {" \n", "no element"},
		"other root":        {`<coverage line-rate="1"/>`, "the root is <coverage>"},
		"cut":               {pytest[:len(pytest)-30], "EOF"},
		"second root":       {`<testsuites/><testsuites/>`, "follows the root"},
		"text behind":       {`<testsuites/>x`, "outside the root"},
		"no name":           {`<testsuite><testcase classname="a"/></testsuite>`, "no name"},
		"lost failure":      {`<testsuite failures="1"><testcase name="a"/></testsuite>`, "failures=1"},
		"lost error":        {`<testsuites errors="2"><testsuite><testcase name="a"/></testsuite></testsuites>`, "errors=2"},
		"lost tests":        {`<testsuite tests="3"></testsuite>`, "tests=3"},
		"count is no count": {`<testsuite failures="-1"><testcase name="a"/></testsuite>`, "want a count"},
		"test in test":      {`<testsuite><testcase name="a"><testcase name="b"/></testcase></testsuite>`, "stands inside"},
		"entity":            {`<!DOCTYPE x [<!ENTITY a "b">]><testsuite><testcase name="&a;"/></testsuite>`, "entity"},
		"deep":              {strings.Repeat("<testsuite>", 70) + strings.Repeat("</testsuite>", 70), "nest deeper"},
		"JSON":              {`{"tests": []}`, "outside the root"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := junit.Read(strings.NewReader(test.text), "r.xml")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "r.xml:") {
				t.Errorf("got %v, want an error at r.xml with %q", err, test.want)
			}
		})
	}
}

// blanks never ends.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestBound(t *testing.T) {
	var over *limit.Error
	_, err := junit.Read(io.LimitReader(blanks{}, limit.TestReport+1), "r.xml")
	if !errors.As(err, &over) || over.Bound != limit.TestReport {
		t.Errorf("got %v, want *limit.Error", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(pytest))
	f.Add([]byte(`<testsuite><testcase name="a"><skipped/></testcase></testsuite>`))
	f.Add([]byte(`<testsuites tests="1"/>`))
	f.Fuzz(func(t *testing.T, content []byte) {
		report, err := junit.Read(strings.NewReader(string(content)), "f")
		if err != nil && report.Count() != 0 {
			t.Error("an error came with tests")
		}
		if count := strings.Count(string(content), "testcase"); report.Count() > count {
			t.Errorf("%d tests out of %d test cases", report.Count(), count)
		}
	})
}
