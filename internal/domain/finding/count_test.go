package finding_test

import (
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
)

func TestTested(t *testing.T) {
	report := finding.Report{Inventory: component.Inventory{Components: []component.Component{{Ecosystem: "PyPI"}, {Ecosystem: "conda"}, {Ecosystem: "conda"}}}}
	for want, untested := range map[int][]string{3: {"alpine"}, 1: {"conda"}, 0: {"PyPI", "conda"}} {
		if report.Untested = untested; report.Tested() != want {
			t.Errorf("without %v %d of 3 are tested, want %d", untested, report.Tested(), want)
		}
	}
}

func TestExpired(t *testing.T) {
	e := finding.Expired{ID: "CVE-1", Scope: "of a", Ended: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Reason: "old", Owner: "me"}
	if got := e.String(); got != "CVE-1 of a, ended on 2026-01-02" {
		t.Error(got)
	}
	for findings, want := range map[int]string{
		0: "it would take out nothing any more: remove it (its reason was: old, by me)",
		1: "a finding that it took out counts again: decide anew, and heal it or give the ignore a new date (its reason was: old, by me)",
		2: "2 findings that it took out count again: decide anew, and heal them or give the ignore a new date (its reason was: old, by me)",
	} {
		if e.Findings = findings; e.Consequence() != want {
			t.Errorf("got  %s\nwant %s", e.Consequence(), want)
		}
	}
	e = finding.Expired{ID: "CVE-1", Owner: "me"}
	if got := e.String() + ": " + e.Consequence(); got != "CVE-1, ended on 0001-01-01: it would take out nothing any more: remove it (its reason was: by me)" {
		t.Error(got)
	}
}
