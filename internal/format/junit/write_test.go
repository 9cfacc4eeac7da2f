package junit_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/junit"
)

func scanned() finding.Report {
	pillow := component.Component{Name: "pillow", Version: "9.0.0", PURL: "pkg:pypi/pillow@9.0.0", Dependency: component.Declared, Locations: []component.Location{{Path: "requirements.txt", Line: 7}}}
	six := pillow
	six.Name, six.PURL, six.Version = "six", "pkg:pypi/six@1.0", "1.0"
	finished := time.Date(2026, 3, 1, 12, 0, 5, 0, time.UTC)
	return finding.Report{Target: ".", Kind: finding.Filesystem, Started: finished.Add(-1500 * time.Millisecond), Finished: finished,
		Inventory: component.Inventory{Components: []component.Component{pillow, six}, Unresolved: []component.Unresolved{{Text: "numpy>=1 & <2", Reason: "a range", Location: component.Location{Path: "dev.txt"}}}},
		Findings: []finding.Finding{{ID: "CVE-2023-1", Component: pillow, Fixed: "10.2.0", Title: "Code <in> Pillow", Severity: finding.Severity{Level: finding.Critical}},
			{ID: "CVE-2023-2", Component: pillow}},
		Upgrades:   []finding.Upgrade{{Component: pillow, To: "10.3.0", All: true}},
		Suppressed: []finding.Suppressed{{Finding: finding.Finding{ID: "CVE-2020-1", Component: six}, Status: "not_affected"}}}
}

const written = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="assay ." tests="3" failures="1" errors="0" skipped="1" time="1.500">
  <testsuite name="requirements.txt" tests="2" failures="1" errors="0" skipped="0" time="0" timestamp="2026-03-01T12:00:05">
    <testcase classname="requirements.txt" name="pillow 9.0.0" time="0" file="requirements.txt" line="7">
      <failure message="CVE-2023-1, CVE-2023-2; upgrade to 10.3.0" type="vulnerability">&#xA;CRITICAL CVE-2023-1, fixed in 10.2.0: Code &lt;in&gt; Pillow&#xA;UNKNOWN CVE-2023-2&#xA;</failure>
    </testcase>
    <testcase classname="requirements.txt" name="six 1.0" time="0" file="requirements.txt" line="7">
      <system-out>suppressed: CVE-2020-1: not_affected</system-out>
    </testcase>
  </testsuite>
  <testsuite name="dev.txt" tests="1" failures="0" errors="0" skipped="1" time="0" timestamp="2026-03-01T12:00:05">
    <testcase classname="dev.txt" name="numpy&gt;=1 &amp; &lt;2" time="0" file="dev.txt">
      <skipped message="not tested: a range"></skipped>
    </testcase>
  </testsuite>
</testsuites>
`

func TestWrite(t *testing.T) {
	var b bytes.Buffer
	if err := junit.Write(&b, scanned()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(written, b.String()); diff != "" {
		t.Error(diff)
	}
	read, err := junit.Read(&b, "own")
	if err != nil {
		t.Fatal(err)
	}
	want := junit.Report{Passed: []string{"requirements.txt.six 1.0"}, Failed: []string{"requirements.txt.pillow 9.0.0"}, Skipped: []string{"dev.txt.numpy>=1 & <2"}}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Error(diff)
	}
}

// TestWriteHostile: whatever a target calls its packages, the report is well
// formed and has the same tests.
func TestWriteHostile(t *testing.T) {
	for _, text := range []string{"\x00\x1b", "]]>", "<testcase name='x'/>", "\"'&", "a\nb", "\xff", "\ufffe", ""} {
		report := scanned()
		c := &report.Inventory.Components[0]
		c.Name, c.Version, c.Locations[0].Path = text, text, text
		report.Findings[0].Component, report.Findings[0].Title, report.Target = *c, text, text
		report.Inventory.Unresolved[0].Text = "x" + text
		var b bytes.Buffer
		if err := junit.Write(&b, report); err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal(b.Bytes(), new(any)); err != nil {
			t.Errorf("%q is not well formed: %v", text, err)
		}
		if read, err := junit.Read(&b, "own"); err != nil || read.Count() != 3 || len(read.Failed) != 1 {
			t.Errorf("%q reads as %+v, %v", text, read, err)
		}
	}
}

func TestManyFindings(t *testing.T) {
	report := scanned()
	for range 6 {
		report.Findings = append(report.Findings, report.Findings[1])
	}
	var b strings.Builder
	if err := junit.Write(&b, report); err != nil || !strings.Contains(b.String(), "CVE-2023-2 and 3 more; upgrade") {
		t.Errorf("%v: %s", err, b.String())
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteFails(t *testing.T) {
	if err := junit.Write(full{}, scanned()); err == nil {
		t.Error("the writer's error is lost")
	}
}
