package junit

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/explain"
)

type xmlSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Time     string     `xml:"time,attr"`
	Suites   []xmlSuite `xml:"testsuite"`
}

type xmlSuite struct {
	Name      string    `xml:"name,attr"`
	Tests     int       `xml:"tests,attr"`
	Failures  int       `xml:"failures,attr"`
	Errors    int       `xml:"errors,attr"`
	Skipped   int       `xml:"skipped,attr"`
	Time      string    `xml:"time,attr"`
	Timestamp string    `xml:"timestamp,attr,omitempty"`
	Cases     []xmlCase `xml:"testcase"`
}

type xmlCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Time    string      `xml:"time,attr"`
	File    string      `xml:"file,attr,omitempty"`
	Line    int         `xml:"line,attr,omitempty"`
	Failure *xmlOutcome `xml:"failure"`
	Skipped *xmlOutcome `xml:"skipped"`
	Output  string      `xml:"system-out,omitempty"`
}

type xmlOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// Write writes a scan as a JUnit report: a suite for each file that packages
// stand in, a test case for each package, which fails where it has findings.
// An ignore whose time is over is a test case that fails. What could not be
// tested is skipped, and fails where the report requires pins; suppressed
// findings are output of a test case. The same report gives
// the same bytes; the error is w's.
func Write(w io.Writer, report finding.Report) error {
	suites := xmlSuites{Name: "assay " + explain.Clean(report.Target), Time: seconds(report.Finished.Sub(report.Started))}
	at := map[string]int{}
	add := func(l component.Location, c xmlCase) {
		file := explain.Clean(l.Path)
		i, found := at[file]
		if !found {
			i = len(suites.Suites)
			at[file] = i
			suites.Suites = append(suites.Suites, xmlSuite{Name: file, Time: "0"})
			if !report.Finished.IsZero() {
				suites.Suites[i].Timestamp = report.Finished.UTC().Format("2006-01-02T15:04:05")
			}
		}
		c.Class, c.Time = file, "0"
		if report.Kind == finding.Filesystem {
			c.File, c.Line = file, l.Line
		}
		s := &suites.Suites[i]
		s.Cases = append(s.Cases, c)
		s.Tests++
		suites.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
			suites.Failures++
		case c.Skipped != nil:
			s.Skipped++
			suites.Skipped++
		}
	}
	for _, c := range report.Inventory.Components {
		var l component.Location
		if len(c.Locations) > 0 {
			l = c.Locations[0]
		}
		add(l, testcase(report, c))
	}
	for _, x := range report.Expired {
		add(x.Source, xmlCase{Name: explain.Clean("ignore of " + strings.TrimSuffix(x.ID+" "+x.Scope, " ")),
			Failure: &xmlOutcome{Message: explain.Clean("the ignore of " + x.String()), Type: "expired-ignore", Text: explain.Clean(x.Consequence())}})
	}
	for _, u := range report.Inventory.Unresolved {
		c := xmlCase{Name: cmp.Or(strings.TrimSpace(explain.Clean(u.Text)), "unnamed")}
		outcome := &xmlOutcome{Message: "not tested: " + explain.Clean(u.Reason)}
		if c.Skipped = outcome; report.RequirePinned {
			c.Skipped, c.Failure, outcome.Type = nil, outcome, "not-pinned"
		}
		add(u.Location, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("writing the JUnit report of %s: %w", report.Target, err)
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suites); err != nil {
		return fmt.Errorf("writing the JUnit report of %s: %w", report.Target, err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// testcase is one package; nothing wrong with it is a passed test.
func testcase(report finding.Report, c component.Component) xmlCase {
	out := xmlCase{Name: cmp.Or(strings.TrimSpace(explain.Clean(c.Name+" "+c.Version)), "unnamed")}
	same := func(o component.Component) bool {
		return o.PURL == c.PURL && o.Name == c.Name && o.Version == c.Version && o.Dependency == c.Dependency && slices.Equal(o.Locations, c.Locations)
	}
	var ids, lines []string
	for _, f := range report.Findings {
		if !same(f.Component) {
			continue
		}
		ids, lines = append(ids, f.ID), append(lines, explain.Clean(f.Line()))
	}
	if len(ids) > 0 {
		message := strings.Join(ids[:min(len(ids), 5)], ", ")
		if over := len(ids) - 5; over > 0 {
			message += fmt.Sprintf(" and %d more", over)
		}
		if u := report.Upgrade(c); u != nil {
			message += "; upgrade to " + u.To
		}
		out.Failure = &xmlOutcome{Message: explain.Clean(message), Type: "vulnerability", Text: "\n" + strings.Join(lines, "\n") + "\n"}
	}
	if slices.Contains(report.Untested, c.Ecosystem) {
		out.Skipped = &xmlOutcome{Message: "not tested: there are no advisories of " + explain.Clean(c.Ecosystem)}
	}
	lines = nil
	for _, s := range report.Suppressed {
		if same(s.Finding.Component) {
			lines = append(lines, explain.Clean(strings.TrimSuffix(fmt.Sprintf("suppressed: %s: %s, %s", s.Finding.ID, s.Status, cmp.Or(s.Statement, s.Justification)), ", ")))
		}
	}
	out.Output = strings.Join(lines, "\n")
	return out
}
