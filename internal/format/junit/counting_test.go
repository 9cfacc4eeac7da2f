package junit_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/junit"
)

// What ends a scan with its exit code is a failure.
func TestWhatCountsFails(t *testing.T) {
	report := scanned()
	report.RequirePinned, report.Untested = true, []string{"conda"}
	zlib := report.Inventory.Components[1]
	zlib.Ecosystem, zlib.Name, zlib.PURL = "conda", "zlib", "pkg:conda/zlib@1.0"
	report.Inventory.Components = append(report.Inventory.Components, zlib)
	report.Expired = []finding.Expired{{ID: "CVE-2019-7", Ended: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Source: component.Location{Path: ".assayignore.yaml", Line: 4}}}
	var b bytes.Buffer
	if err := junit.Write(&b, report); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<testsuites name="assay ." tests="5" failures="3" errors="0" skipped="1"`,
		`<testcase classname=".assayignore.yaml" name="ignore of CVE-2019-7" time="0" file=".assayignore.yaml" line="4">`,
		`<failure message="the ignore of CVE-2019-7, ended on 2026-01-02" type="expired-ignore">it would take out nothing any more: remove it</failure>`,
		`<skipped message="not tested: there are no advisories of conda"></skipped>`,
		`<failure message="not tested: a range" type="not-pinned"></failure>`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
}
