package sarif_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/sarif"
)

func sample() finding.Report {
	pillow := component.Component{Ecosystem: "PyPI", Name: "pillow", Version: "9.0.0", Dependency: component.Declared,
		Locations: []component.Location{{Path: "requirements.txt", Line: 7}}}
	return finding.Report{Target: ".", Kind: finding.Filesystem,
		Inventory: component.Inventory{Components: []component.Component{pillow},
			Unresolved: []component.Unresolved{{Text: "numpy>=1", Reason: "a range", Location: component.Location{Path: "requirements.txt", Line: 3}}}},
		Findings: []finding.Finding{
			{ID: "CVE-2023-50447", Title: "Code <in> Pillow", Component: pillow, Fixed: "10.2.0", Severity: finding.Severity{Level: finding.Critical, Score: 9.8, Source: "ghsa"}},
			{ID: "CVE-2022-1", Component: pillow, Severity: finding.Severity{Level: finding.Medium, Source: "ghsa"}},
			{ID: "CVE-2022-2", Component: component.Component{Name: "nowhere", Version: "1"}},
		}}
}

func encode(t *testing.T, report finding.Report) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := sarif.Encode(&buffer, report, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

type written struct {
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name, Version string
				Rules         []struct {
					ID         string
					Properties map[string]any
				}
			}
		}
		Results []struct {
			RuleID, Level       string
			RuleIndex           int
			PartialFingerprints map[string]string
			Message             struct{ Text string }
			Locations           []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI string }
					Region           struct{ StartLine int }
				}
			}
		}
	}
}

func decode(t *testing.T, content []byte) written {
	t.Helper()
	var log written
	if err := json.Unmarshal(content, &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("version %q, %d runs", log.Version, len(log.Runs))
	}
	return log
}

func TestEncode(t *testing.T) {
	content := encode(t, sample())
	if !bytes.Contains(content, []byte("Code <in> Pillow")) {
		t.Error("text is escaped for HTML, or lost")
	}
	run := decode(t, content).Runs[0]
	if run.Tool.Driver.Name != "assay" || run.Tool.Driver.Version != "1.2.3" {
		t.Errorf("driver %+v", run.Tool.Driver)
	}
	var got []string
	for _, r := range run.Results {
		line := fmt.Sprintf("%s %s", r.RuleID, r.Level)
		if len(r.Locations) > 0 {
			at := r.Locations[0].PhysicalLocation
			line += fmt.Sprintf(" %s:%d", at.ArtifactLocation.URI, at.Region.StartLine)
		}
		got = append(got, line)
		if r.RuleIndex < 0 || r.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("%s has the rule index %d", r.RuleID, r.RuleIndex)
		}
		if len(r.PartialFingerprints) != 2 || r.PartialFingerprints["primaryLocationLineHash"] == "" {
			t.Errorf("%s has the fingerprints %v", r.RuleID, r.PartialFingerprints)
		}
	}
	want := []string{"CVE-2023-50447 error requirements.txt:7", "CVE-2022-1 warning requirements.txt:7", "CVE-2022-2 note", "assay-not-tested note requirements.txt:3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	rule := run.Tool.Driver.Rules[0]
	if rule.Properties["security-severity"] != "9.8" || !strings.Contains(fmt.Sprint(rule.Properties["tags"]), "security") {
		t.Errorf("properties %v", rule.Properties)
	}
	if !strings.Contains(run.Results[0].Message.Text, "10.2.0") {
		t.Errorf("message %q", run.Results[0].Message.Text)
	}
}

func TestFingerprintIsStable(t *testing.T) {
	moved := sample()
	moved.Findings[0].Component.Locations = []component.Location{{Path: "requirements.txt", Line: 99}}
	before, after := decode(t, encode(t, sample())).Runs[0].Results, decode(t, encode(t, moved)).Runs[0].Results
	if diff := cmp.Diff(before[0].PartialFingerprints, after[0].PartialFingerprints); diff != "" {
		t.Errorf("a moved line is a new finding: %s", diff)
	}
	if cmp.Equal(before[0].PartialFingerprints, before[1].PartialFingerprints) {
		t.Error("two findings have one fingerprint")
	}
}

func TestOwnReportReads(t *testing.T) {
	got, err := sarif.Read(bytes.NewReader(encode(t, sample())), "own")
	if err != nil {
		t.Fatal(err)
	}
	if got.Tool != "assay" || got.Errors != 1 || got.Warnings != 1 || got.Notes != 2 {
		t.Errorf("got %+v", got)
	}
	if _, err := sarif.Read(bytes.NewReader(encode(t, finding.Report{Target: "."})), "own"); err != nil {
		t.Errorf("a clean scan does not read: %v", err)
	}
}

func TestSameBytes(t *testing.T) {
	if !bytes.Equal(encode(t, sample()), encode(t, sample())) {
		t.Error("the same report gives other bytes")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriterError(t *testing.T) {
	if err := sarif.Encode(broken{}, sample(), "1"); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}

// oneRun is a report with the given results; rule R0 is an error by default.
func oneRun(results string) string {
	return `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint","rules":[{"id":"R0","defaultConfiguration":{"level":"error"}},{"id":"R1"}]},
		"extensions":[{"name":"x","rules":[{"id":"X0","defaultConfiguration":{"level":"note"}}]}]},"results":` + results + `}]}`
}

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want sarif.Summary
	}{
		"clean":     {oneRun(`[]`), sarif.Summary{}},
		"own level": {oneRun(`[{"ruleId":"R1","level":"error","message":{"text":"bad"}}]`), sarif.Summary{Errors: 1, ErrorRules: []string{"R1"}, Messages: []string{"R1: bad"}}},
		"level of the rule": {oneRun(`[{"ruleId":"R0"},{"ruleIndex":0},{"rule":{"index":0}},{"rule":{"index":0,"toolComponent":{"index":0}}}]`),
			sarif.Summary{Errors: 3, Notes: 1, ErrorRules: []string{"R0"}, Messages: []string{"R0: ", "R0: ", "R0: "}}},
		"warning by default": {oneRun(`[{"ruleId":"R1"},{}]`), sarif.Summary{Warnings: 2, WarningRules: []string{"R1", "unnamed"}, Messages: []string{"R1: ", "unnamed: "}}},
		"suppressed":         {oneRun(`[{"ruleId":"R0","suppressions":[{"kind":"inSource"}]},{"ruleId":"R0","suppressions":[{"status":"accepted"}]}]`), sarif.Summary{}},
		"not suppressed": {oneRun(`[{"ruleId":"R0","suppressions":[]},{"ruleId":"R0","suppressions":[{"status":"rejected"}]},{"ruleId":"R0","suppressions":[{"status":"accepted"},{"status":"underReview"}]}]`),
			sarif.Summary{Errors: 3, ErrorRules: []string{"R0"}, Messages: []string{"R0: ", "R0: ", "R0: "}}},
		"no failures":        {oneRun(`[{"ruleId":"R0","kind":"pass"},{"ruleId":"R0","kind":"notApplicable"},{"ruleId":"R0","kind":"informational"},{"ruleId":"R0","baselineState":"absent"}]`), sarif.Summary{}},
		"undecided":          {oneRun(`[{"ruleId":"R0","kind":"review"},{"ruleId":"R0","kind":"open"}]`), sarif.Summary{Notes: 2}},
		"place out of range": {oneRun(`[{"ruleIndex":9},{"rule":{"index":-1,"toolComponent":{"index":-7}}}]`), sarif.Summary{Warnings: 2, WarningRules: []string{"unnamed"}, Messages: []string{"unnamed: ", "unnamed: "}}},
	} {
		t.Run(name, func(t *testing.T) {
			test.want.Tool = "lint"
			got, err := sarif.Read(strings.NewReader(test.text), "s")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	got, err := sarif.Read(strings.NewReader(oneRun(`[{}`+strings.Repeat(`,{}`, 50)+`]`)), "s")
	if err != nil || got.Warnings != 51 || len(got.Messages) != 50 {
		t.Errorf("%d warnings, %d messages, %v", got.Warnings, len(got.Messages), err)
	}
}

func TestRefuse(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":       {"", "no SARIF report"},
		"a list":        {"[]", "no SARIF report"},
		"null":          {"null", `version is ""`},
		"old version":   {`{"version":"2.0.0","runs":[]}`, `version is "2.0.0"`},
		"no run":        {`{"version":"2.1.0","runs":[]}`, "no run"},
		"no results":    {`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}}}]}`, "results is missing"},
		"null results":  {oneRun("null"), "results is missing"},
		"no tool":       {`{"version":"2.1.0","runs":[{"results":[]}]}`, "driver.name"},
		"failed run":    {`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}`, "did not succeed"},
		"unknown level": {oneRun(`[{"level":"fatal"}]`), `level "fatal"`},
		"unknown kind":  {oneRun(`[{"kind":"fine"}]`), `kind "fine"`},
		"behind":        {oneRun(`[]`) + "{}", "after top-level value"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sarif.Read(strings.NewReader(test.text), "s")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "s: ") {
				t.Errorf("got %+v, %v; want an error with %q", got, err, test.want)
			}
		})
	}
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestBound(t *testing.T) {
	var over *limit.Error
	if _, err := sarif.Read(io.LimitReader(blanks{}, limit.TestReport+1), "s"); !errors.As(err, &over) {
		t.Errorf("got %v, want *limit.Error", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(oneRun(`[{"ruleIndex":0},{"rule":{"index":0,"toolComponent":{"index":0}}}]`)))
	f.Add([]byte(oneRun(`[{"kind":"pass"},{"suppressions":[{"status":"rejected"}]}]`)))
	f.Add([]byte(`{"version":"2.1.0","runs":[]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := sarif.Read(bytes.NewReader(content), "f")
		if err != nil {
			return
		}
		if len(s.Messages) > 50 || (s.Errors > 0) != (len(s.ErrorRules) > 0) || (s.Warnings > 0) != (len(s.WarningRules) > 0) {
			t.Errorf("%+v contradicts itself", s)
		}
	})
}
