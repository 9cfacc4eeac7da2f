package cyclonedx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/cyclonedx"
)

// scanned is a report with everything that one can hold.
func scanned() finding.Report {
	inventory := sample().Inventory
	pillow, torch, again := inventory.Components[1], inventory.Components[2], inventory.Components[3]
	again.Dependency = component.Packaged
	inventory.Components[3] = again
	day := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	flaw := finding.Finding{ID: "CVE-2022-45907", Aliases: []string{"GHSA-47fc-vmwq-366v"}, Title: "torch: <eval> & co", Details: "long\ntext",
		Severity:   finding.Severity{Level: finding.Critical, Score: 9.8, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Source: "ghsa"},
		Weaknesses: []string{"CWE-94", "NVD-CWE-noinfo"}, References: []string{"https://example.com/a?b=c&d"}, Published: day, Modified: day.Add(time.Hour),
		Fixed: "1.13.1", Component: torch, Threat: finding.Threat{Exploited: &finding.Exploited{Added: day, Ransomware: true}, EPSS: &finding.EPSS{Probability: 0.5, Percentile: 0.97, Date: day}}}
	flaw.Ratings = []finding.Severity{{Level: finding.High, Vector: "CVSS:4.0/AV:N", Score: 8.7, Source: "nvd"}, flaw.Severity,
		{Level: finding.Medium, Vector: "AV:N/AC:L/Au:N/C:P/I:P/A:P", Score: 5, Source: "nvd"}, {Level: finding.High, Vector: "CVSS:3.0/AV:N", Source: "x"}, {Level: finding.Low, Source: "debian"}}
	twin := flaw
	twin.Component, twin.Fixed = again, ""
	unrated := finding.Finding{ID: "PYSEC-1", Component: pillow}
	suppressed := func(status, justification string) finding.Suppressed {
		return finding.Suppressed{Finding: flaw, Status: status, Justification: justification, Statement: "we " + status, By: "team",
			Source: component.Location{Path: "vex.json", Line: 3}, Until: day}
	}
	return finding.Report{Target: "registry.example.com/ml/model", Kind: finding.Container, Digest: sample().Digest, Inventory: inventory,
		Findings: []finding.Finding{flaw, twin, unrated},
		Suppressed: []finding.Suppressed{suppressed("not_affected", "vulnerable_code_not_in_execute_path"), suppressed("fixed", ""),
			suppressed("ignored", ""), suppressed("not_affected", "vulnerable_code_cannot_be_controlled_by_adversary"), suppressed("not_affected", "protected_by_compiler")},
		SBOMs:    []finding.SBOM{{Format: "SPDX 2.3", Source: "referrer", Digest: sample().Digest}},
		Database: finding.Database{URI: "https://osv.dev", Records: 7, LastUpdate: day}, Started: day, Finished: day.Add(time.Minute)}
}

func encodeReport(t *testing.T, report finding.Report, version cyclonedx.Version) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := cyclonedx.EncodeReport(&buffer, report, "1.2.3", version); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func TestReportSchema(t *testing.T) {
	clean := scanned()
	clean.Findings, clean.Suppressed, clean.SBOMs = nil, nil, nil
	clean.Database.Sample = true
	for _, version := range []cyclonedx.Version{cyclonedx.V16, cyclonedx.V17} {
		compiled := schema(t, string(version))
		for name, report := range map[string]finding.Report{"full": scanned(), "clean": clean} {
			content := encodeReport(t, report, version)
			if err := validate(t, compiled, content); err != nil {
				t.Errorf("%s, %s: %v", version, name, err)
			}
			if !bytes.Equal(content, encodeReport(t, report, version)) {
				t.Errorf("%s, %s: the same report gives other bytes", version, name)
			}
		}
	}
	if content := encodeReport(t, clean, cyclonedx.V16); !bytes.Contains(content, []byte(`"vulnerabilities": []`)) {
		t.Error("a scan that found nothing does not say so")
	}
}

func TestReportContent(t *testing.T) {
	var bom struct {
		Metadata struct {
			Timestamp  string
			Properties []struct{ Name, Value string }
		}
		Vulnerabilities []struct {
			ID, Description, Detail, Recommendation, Published string
			Source                                             struct{ Name, URL string }
			References                                         []struct{ ID string }
			CWEs                                               []int
			Advisories                                         []struct{ URL string }
			Ratings                                            []struct {
				Source                   struct{ Name string }
				Score                    float64
				Severity, Method, Vector string
			}
			Affects []struct {
				Ref      string
				Versions []struct{ Version, Status string }
			}
			Analysis struct {
				State, Justification, Detail string
				Response                     []string
			}
			Properties []struct{ Name, Value string }
		}
	}
	content := encodeReport(t, scanned(), cyclonedx.V16)
	if err := json.Unmarshal(content, &bom); err != nil {
		t.Fatal(err)
	}
	if len(bom.Vulnerabilities) != 7 {
		t.Fatalf("%d entries", len(bom.Vulnerabilities))
	}
	v := bom.Vulnerabilities[0]
	got := fmt.Sprint(v.ID, v.Source, v.Description, v.Recommendation, v.Published, v.References, v.CWEs, v.Advisories, v.Properties, v.Analysis)
	want := "CVE-2022-45907{OSV https://osv.dev/vulnerability/CVE-2022-45907}torch: <eval> & coupgrade torch to 1.13.12026-02-01T00:00:00Z" +
		"[{GHSA-47fc-vmwq-366v}] [94] [{https://example.com/a?b=c&d}]" +
		" [{assay:exploited known to be exploited since 2026-02-01, by ransomware too} {assay:epss 0.5 (percentile 0.97) of 2026-02-01}] {   []}"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var rated []string
	for _, r := range v.Ratings {
		rated = append(rated, fmt.Sprint(r.Source.Name, " ", r.Severity, " ", r.Method, " ", r.Score))
	}
	if text := strings.Join(rated, ", "); text != "ghsa critical CVSSv31 9.8, nvd high CVSSv4 8.7, nvd medium CVSSv2 5, x high CVSSv3 0, debian low other 0" {
		t.Errorf("ratings %s", text)
	}
	if len(v.Affects) != 2 || v.Affects[0].Ref == v.Affects[1].Ref || v.Affects[0].Versions[0].Version != "1.13.0+cpu" || v.Affects[0].Versions[0].Status != "affected" {
		t.Errorf("affects %+v", v.Affects)
	}
	for _, a := range v.Affects {
		if !bytes.Contains(content, []byte(`"bom-ref": "`+a.Ref+`"`)) {
			t.Errorf("%s leads nowhere", a.Ref)
		}
	}
	if u := bom.Vulnerabilities[1]; u.ID != "PYSEC-1" || u.Ratings[0].Severity != "unknown" || u.Recommendation != "" {
		t.Errorf("unrated %+v", u)
	}
	var analysed []string
	for _, s := range bom.Vulnerabilities[2:] {
		analysed = append(analysed, fmt.Sprint(s.Analysis.State, " ", s.Analysis.Justification, " ", s.Analysis.Response, " ", s.Affects[0].Versions[0].Status, " ", s.Analysis.Detail))
	}
	tail := "; by team; in vex.json:3; until 2026-02-01T00:00:00Z"
	if text := strings.Join(analysed, "\n"); text != "not_affected code_not_reachable [] unaffected we not_affected; justification: vulnerable_code_not_in_execute_path"+tail+
		"\nresolved  [] unaffected we fixed"+tail+
		"\n  [will_not_fix] affected we ignored"+tail+
		"\nnot_affected  [] unaffected we not_affected; justification: vulnerable_code_cannot_be_controlled_by_adversary"+tail+
		"\nnot_affected protected_by_compiler [] unaffected we not_affected"+tail {
		t.Errorf("analyses\n%s", text)
	}
	properties := fmt.Sprint(bom.Metadata.Properties)
	if bom.Metadata.Timestamp != "2026-02-01T00:01:00Z" || !strings.Contains(properties, `{assay:sboms [{"format":"SPDX 2.3"`) || !strings.Contains(properties, `"records":7`) || !strings.Contains(properties, "numpy>=1") {
		t.Errorf("metadata %+v", bom.Metadata)
	}
}

// TestReportIsAnInventory: the document is an SBOM all the same.
func TestReportIsAnInventory(t *testing.T) {
	got := decode(t, string(encodeReport(t, scanned(), cyclonedx.V17)))
	if len(got.Inventory.Components) != 4 || len(got.Inventory.Unresolved) != 1 || got.Inventory.OperatingSystem == nil {
		t.Errorf("got %+v", got.Inventory)
	}
}

func TestReportRefuses(t *testing.T) {
	report := scanned()
	report.Findings[0].Component.Version = "9"
	if err := cyclonedx.EncodeReport(&bytes.Buffer{}, report, "1", cyclonedx.V16); err == nil || !strings.Contains(err.Error(), "CVE-2022-45907: its component torch 9 is not in the inventory") {
		t.Errorf("got %v", err)
	}
	if err := cyclonedx.EncodeReport(broken{}, scanned(), "1", cyclonedx.V16); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}

// What counts besides findings, and the one upgrade, stand in the document.
func TestReportSaysWhatCounts(t *testing.T) {
	report := scanned()
	flaw := report.Findings[0]
	report.Upgrades = []finding.Upgrade{{Component: flaw.Component, To: "99.1", All: true}}
	report.Expired = []finding.Expired{{ID: "CVE-2019-7", Reason: "until the move"}}
	report.RequirePinned, report.Untested, report.Notes = true, []string{"conda"}, []string{"a.json fits nothing"}
	content := string(encodeReport(t, report, cyclonedx.V16))
	for _, want := range []string{`"name": "assay:expired"`, `CVE-2019-7`, `"name": "assay:require-pinned"`, `"name": "assay:untested"`, `conda`, `a.json fits nothing`, `upgrade ` + flaw.Component.Name + ` to 99.1 (this one is fixed in ` + flaw.Fixed + `)`} {
		if !strings.Contains(content, want) {
			t.Errorf("no %s in\n%s", want, content)
		}
	}
	content = string(encodeReport(t, scanned(), cyclonedx.V16))
	for _, name := range []string{"assay:expired", "assay:require-pinned", "assay:untested", "assay:notes"} {
		if strings.Contains(content, name) {
			t.Errorf("%s is there, and nothing is to be said", name)
		}
	}
}
