package trivy_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/trivy"
)

// The key Assay holds all that counts, where packages come from and how current
// the advisories are.
func TestExtension(t *testing.T) {
	report := sample()
	report.Image.BaseLayers, report.Image.Base = 1, "a guess"
	report.Index = subject.Of([]byte("index"))
	report.Inventory.Components[2].Owner, report.Findings[1].Component.Owner = "pkg:deb/debian/python3-torch@1", "pkg:deb/debian/python3-torch@1"
	report.Inventory.Notes, report.Notes = []component.Note{{Text: "one", Location: component.Location{Path: "r.txt", Line: 1}}}, []string{"two"}
	report.Untested, report.RequirePinned = []string{"Debian:12"}, true
	report.Expired = []finding.Expired{{ID: "CVE-7", Reason: "r", Ended: finished, Source: component.Location{Path: "i.yaml", Line: 2}, Findings: 1}}
	report.Database.Current, report.Database.Feeds = finished, []finding.Feed{{Name: "KEV", Date: finished}}
	var b bytes.Buffer
	if err := trivy.Encode(&b, report, "1"); err != nil {
		t.Fatal(err)
	}
	type origin struct {
		BaseImage bool   `json:"baseImage"`
		Owner     string `json:"owner"`
	}
	var doc struct {
		Results []struct {
			Packages, Vulnerabilities []struct{ Assay origin }
		}
		Assay struct {
			Index     string
			BaseImage struct {
				Layers int
				Known  string
			}
			Database struct {
				Current string
				Feeds   []struct{ Name string }
			}
			Packages      int
			Untested      []string
			RequirePinned bool
			Expired       []struct {
				ID, Reason string
				Findings   int
				Source     struct{ Path string }
			}
			Notes []struct {
				Text, Path string
				Line       int
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	a := doc.Assay
	if a.Index != report.Index.String() || a.BaseImage.Layers != 1 || a.BaseImage.Known != "a guess" || a.Database.Current == "" || len(a.Database.Feeds) != 1 || a.Database.Feeds[0].Name != "KEV" {
		t.Errorf("%+v", a)
	}
	if a.Packages != 2 || !cmp.Equal(a.Untested, []string{"Debian:12"}) || !a.RequirePinned || len(a.Expired) != 1 || a.Expired[0].ID != "CVE-7" || a.Expired[0].Findings != 1 || a.Expired[0].Source.Path != "i.yaml" {
		t.Errorf("%+v", a)
	}
	if len(a.Notes) != 2 || a.Notes[0].Path != "r.txt" || a.Notes[1].Text != "two" {
		t.Errorf("notes %+v", a.Notes)
	}
	python := doc.Results[1]
	if want := (origin{true, "pkg:deb/debian/python3-torch@1"}); python.Packages[0].Assay != want || python.Vulnerabilities[0].Assay != want {
		t.Errorf("torch %+v", python)
	}
	if declared := doc.Results[2]; declared.Packages[0].Assay != (origin{}) || declared.Vulnerabilities[0].Assay != (origin{}) {
		t.Errorf("pillow %+v", declared)
	}
}
