package sarif_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// What ends a scan with its exit code is an error under a rule of its own; what
// else is to know is a notification.
func TestWhatCountsIsAnError(t *testing.T) {
	base := subject.Of([]byte("base"))
	report := sample()
	report.Kind, report.RequirePinned = finding.Container, true
	report.Image = &finding.Image{DiffIDs: []subject.Digest{base}, BaseLayers: 1, Base: "as --base-image says"}
	report.Expired = []finding.Expired{{ID: "CVE-2019-7", Ended: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Findings: 2, Source: component.Location{Path: ".assayignore.yaml", Line: 4}}}
	report.Inventory.Notes = []component.Note{{Text: "another index is used", Location: component.Location{Path: "r.txt", Line: 1}}}
	report.Notes = []string{"a.json fits nothing"}
	c := &report.Findings[2].Component
	c.Owner, c.Locations = "pkg:deb/debian/python3-nowhere@1", []component.Location{{Path: "x", Layer: base}}
	content := encode(t, report)
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(instance); err != nil {
		t.Error(err)
	}
	run := decode(t, content).Runs[0]
	got := map[string]string{}
	for _, r := range run.Results {
		got[r.RuleID] = r.Level + ": " + r.Message.Text
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("%s has the rule index %d", r.RuleID, r.RuleIndex)
		}
	}
	delete(got, "CVE-2023-50447")
	delete(got, "CVE-2022-1")
	want := map[string]string{
		"CVE-2022-2":           "note: nowhere 1 has CVE-2022-2 (UNKNOWN); it came with the base image (as --base-image says); its files belong to pkg:deb/debian/python3-nowhere@1",
		"assay-expired-ignore": "error: The ignore of CVE-2019-7, ended on 2026-01-02; 2 findings that it took out count again: decide anew, and heal them or give the ignore a new date",
		"assay-not-pinned":     "error: Not tested: numpy>=1: a range",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{`"text": "another index is used"`, `"text": "a.json fits nothing"`, `"toolExecutionNotifications"`, `"baseImage": "as --base-image says"`} {
		if !strings.Contains(string(content), text) {
			t.Errorf("no %s in\n%s", text, content)
		}
	}
}
