package sarif

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// maxMessages is how many results a Summary quotes.
const maxMessages = 50

// Summary is what a report of static analysis says.
type Summary struct {
	// Tool names the tools, joined by ", ".
	Tool string
	// Errors, Warnings and Notes count results that are not suppressed.
	Errors, Warnings, Notes int
	// ErrorRules and WarningRules are the rules of those results, sorted,
	// each once; a result without a rule counts as "unnamed".
	ErrorRules, WarningRules []string
	// Messages quote the first 50 errors and warnings: "rule: text".
	Messages []string
}

type log struct {
	Version string `json:"version"`
	Runs    []run  `json:"runs"`
}

type run struct {
	Tool struct {
		Driver     toolComponent   `json:"driver"`
		Extensions []toolComponent `json:"extensions"`
	} `json:"tool"`
	Invocations []struct {
		Successful *bool `json:"executionSuccessful"`
	} `json:"invocations"`
	Results *[]outcome `json:"results"`
}

type toolComponent struct {
	Name  string `json:"name"`
	Rules []struct {
		ID            string `json:"id"`
		Configuration struct {
			Level string `json:"level"`
		} `json:"defaultConfiguration"`
	} `json:"rules"`
}

type outcome struct {
	RuleID string `json:"ruleId"`
	// Rule and RuleIndex name a rule by its place; see level.
	Rule struct {
		ID            string `json:"id"`
		Index         *int   `json:"index"`
		ToolComponent struct {
			Index *int `json:"index"`
		} `json:"toolComponent"`
	} `json:"rule"`
	RuleIndex *int   `json:"ruleIndex"`
	Kind      string `json:"kind"`
	Level     string `json:"level"`
	Baseline  string `json:"baselineState"`
	Message   struct {
		Text string `json:"text"`
	} `json:"message"`
	Suppressions []struct {
		Status string `json:"status"`
	} `json:"suppressions"`
}

// Read reads a SARIF 2.1.0 report of at most limit.TestReport bytes. where
// names the file in errors. A report that shows no analysis is an error: no
// run, a run without results (an empty list is fine), a run whose tool says
// that it did not succeed. Results count unless they are suppressed (3.27.23:
// all suppressions accepted), absent now, or of a kind that is no failure; what
// is open or under review counts as a note.
func Read(r io.Reader, where string) (Summary, error) {
	content, err := limit.ReadAll(r, where, limit.TestReport)
	if err != nil {
		return Summary{}, err
	}
	var report log
	if err := json.Unmarshal(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), &report); err != nil {
		return Summary{}, fmt.Errorf("%s: this is no SARIF report: %w", where, err)
	}
	if report.Version != "2.1.0" {
		return Summary{}, fmt.Errorf("%s: SARIF version is %q; 2.1.0 is read", where, report.Version)
	}
	if len(report.Runs) == 0 {
		return Summary{}, fmt.Errorf("%s: the report has no run, so nothing was analysed", where)
	}
	var summary Summary
	var tools []string
	for i, run := range report.Runs {
		if err := summary.add(run); err != nil {
			return Summary{}, fmt.Errorf("%s: runs[%d]: %w", where, i, err)
		}
		if name := run.Tool.Driver.Name; !slices.Contains(tools, name) {
			tools = append(tools, name)
		}
	}
	summary.Tool = strings.Join(tools, ", ")
	slices.Sort(summary.ErrorRules)
	slices.Sort(summary.WarningRules)
	summary.ErrorRules, summary.WarningRules = slices.Compact(summary.ErrorRules), slices.Compact(summary.WarningRules)
	return summary, nil
}

func (s *Summary) add(run run) error {
	if run.Tool.Driver.Name == "" {
		return errors.New("tool.driver.name is missing")
	}
	if run.Results == nil {
		return errors.New("results is missing: the tool did not analyse anything")
	}
	for _, invocation := range run.Invocations {
		if invocation.Successful != nil && !*invocation.Successful {
			return fmt.Errorf("%s says that it did not succeed (executionSuccessful is false)", run.Tool.Driver.Name)
		}
	}
	defaults := map[string]string{}
	for _, tool := range append([]toolComponent{run.Tool.Driver}, run.Tool.Extensions...) {
		for _, rule := range tool.Rules {
			if _, seen := defaults[rule.ID]; !seen {
				defaults[rule.ID] = rule.Configuration.Level
			}
		}
	}
	for i, result := range *run.Results {
		rule, level := result.level(run, defaults)
		if result.Baseline == "absent" || result.suppressed() {
			continue
		}
		switch result.Kind {
		case "", "fail":
		case "pass", "notApplicable", "informational":
			continue
		case "open", "review": // not decided: neither good nor bad
			level = "note"
		default:
			return fmt.Errorf("results[%d] of rule %s has the kind %q, which SARIF does not have", i, rule, result.Kind)
		}
		switch level {
		case "error":
			s.Errors++
			s.ErrorRules = append(s.ErrorRules, rule)
		case "warning":
			s.Warnings++
			s.WarningRules = append(s.WarningRules, rule)
		case "note", "none":
			s.Notes++
			continue
		default:
			return fmt.Errorf("results[%d] of rule %s has the level %q, which SARIF does not have", i, rule, level)
		}
		if len(s.Messages) < maxMessages {
			s.Messages = append(s.Messages, fmt.Sprintf("%s: %.500s", rule, result.Message.Text))
		}
	}
	return nil
}

// suppressed follows 3.27.23: one that is under review or was rejected leaves
// the result in force.
func (o outcome) suppressed() bool {
	for _, s := range o.Suppressions {
		if s.Status != "" && s.Status != "accepted" {
			return false
		}
	}
	return len(o.Suppressions) > 0
}

// level is a result's rule, and its own level or else its rule's, which it
// names by id or by place (3.27.5 to 3.27.7, 3.27.10); "warning" by default.
func (o outcome) level(run run, defaults map[string]string) (rule, level string) {
	rule = cmp.Or(o.RuleID, o.Rule.ID)
	tool := run.Tool.Driver
	if at := o.Rule.ToolComponent.Index; at != nil && *at >= 0 && *at < len(run.Tool.Extensions) {
		tool = run.Tool.Extensions[*at]
	}
	byPlace := ""
	for _, at := range []*int{o.RuleIndex, o.Rule.Index} {
		if at != nil && *at >= 0 && *at < len(tool.Rules) {
			rule = cmp.Or(rule, tool.Rules[*at].ID)
			byPlace = tool.Rules[*at].Configuration.Level
		}
	}
	return cmp.Or(rule, "unnamed"), cmp.Or(o.Level, byPlace, defaults[rule], "warning")
}
