package actions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// What ends a scan with its exit code is an error in every output.
func TestWhatCountsIsShown(t *testing.T) {
	report := sample()
	report.RequirePinned = true
	report.Expired = []finding.Expired{{ID: "CVE-2019-7", Scope: "of torch", Ended: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Source: component.Location{Path: ".assayignore.yaml", Line: 4}}}
	report.Inventory.Notes = []component.Note{{Text: "another <index> is used", Location: component.Location{Path: "r.txt", Line: 1}}}
	report.Notes = []string{"a.json: fits nothing"}
	got := annotations(t, report)
	for _, want := range []string{
		"\n::error file=.assayignore.yaml,line=4,title=the ignore of CVE-2019-7 is over::CVE-2019-7 of torch, ended on 2026-01-02: it would take out nothing any more: remove it\n",
		"\n::error title=1 not tested%2C which counts::services/app/requirements.txt:3: numpy>=1: a range\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "::notice title=1 not tested") {
		t.Errorf("what counts is a notice:\n%s", got)
	}
	got = summary(t, report)
	for _, want := range []string{
		"suppressed: 1, not tested, which count: 1.",
		"\nExpired ignores, which count:\n\n- <code>.assayignore.yaml&#58;4</code>: CVE-2019-7 of torch, ended on 2026-01-02: it would",
		"\nNot tested, which count:\n\n- <code>services/app/requirements.txt",
		"\nNotes:\n\n- <code>r.txt&#58;1</code>: another &#60;index&#62; is used\n- a.json",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestBaseAndOwner(t *testing.T) {
	base := subject.Of([]byte("base"))
	report := sample()
	report.Kind, report.Image = finding.Container, &finding.Image{DiffIDs: []subject.Digest{base}, BaseLayers: 1, Base: "as --base-image says"}
	c := &report.Findings[1].Component
	c.Locations, c.Owner = []component.Location{{Path: "usr/lib/x/METADATA", Layer: base}}, "pkg:deb/debian/python3-torch@1"
	if got := annotations(t, report); !strings.Contains(got, "%0AIt came with the base image (as --base-image says).%0AIts files belong to pkg:deb/debian/python3-torch@1.\n") {
		t.Errorf("got %s", got)
	}
	if got := summary(t, report); !strings.Contains(got, "(base image), of <code>python3-torch</code>") {
		t.Errorf("got %s", got)
	}
}
