package evidence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/evidence"
	"github.com/seed-161fc314/assay/internal/format/coverage"
	"github.com/seed-161fc314/assay/internal/format/junit"
	"github.com/seed-161fc314/assay/internal/format/sarif"
	"github.com/seed-161fc314/assay/predicate"
)

var started = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sample() finding.Report {
	pillow := component.Component{Ecosystem: "PyPI", Name: "pillow", Version: "9.0.0", PURL: "pkg:pypi/pillow@9.0.0",
		Dependency: component.Declared, Locations: []component.Location{{Path: "requirements.txt", Line: 7}}}
	return finding.Report{Target: "registry.example.com/ml/model:v1", Kind: finding.Container,
		Inventory: component.Inventory{Components: []component.Component{pillow},
			Unresolved: []component.Unresolved{{Name: "numpy", Text: "numpy<2", Reason: "a range", Location: component.Location{Path: "requirements.txt", Line: 3}}}},
		Findings: []finding.Finding{
			{ID: "CVE-2023-50447", Aliases: []string{"GHSA-3f63-hfp8-52jq"}, Component: pillow, Fixed: "10.2.0",
				Severity: finding.Severity{Level: finding.High, Score: 8.1, Vector: "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H", Source: "ghsa"},
				Ratings:  []finding.Severity{{Level: finding.High, Score: 8.1, Vector: "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H", Source: "ghsa"}}},
			{ID: "PYSEC-2022-1", Component: pillow},
		},
		Suppressed: []finding.Suppressed{{Finding: finding.Finding{ID: "CVE-2020-9", Component: pillow}, Status: "ignored", Statement: "not reachable", Source: component.Location{Path: "ignore.yaml"}}},
		Database:   finding.Database{URI: "https://osv.dev", Version: "sha256:1", LastUpdate: started.AddDate(0, 0, -1)},
		Started:    started, Finished: started.Add(time.Second)}
}

func TestVulnerabilities(t *testing.T) {
	vulns, cosign, err := evidence.Vulnerabilities(sample(), "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if vulns.Type != predicate.TypeVulnsV02 || cosign.Type != predicate.TypeCosignVuln {
		t.Fatalf("types %s and %s", vulns.Type, cosign.Type)
	}
	want := predicate.VulnerabilityReport{Scanner: evidence.ScannerURI, ScannerVersion: "1.2.3", Packages: 1,
		Database: predicate.DatabaseInfo{URI: "https://osv.dev", Version: "sha256:1", LastUpdate: started.AddDate(0, 0, -1)},
		Started:  started, Finished: started.Add(time.Second),
		Unresolved: []predicate.UnresolvedPackage{{Name: "numpy", Text: "numpy<2", Reason: "a range", Path: "requirements.txt", Line: 3}},
		Vulnerabilities: []predicate.Vulnerability{
			{ID: "CVE-2023-50447", Aliases: []string{"GHSA-3f63-hfp8-52jq"}, Package: "pillow", PURL: "pkg:pypi/pillow@9.0.0", Installed: "9.0.0", Fixed: "10.2.0",
				Severity: "HIGH", Score: 8.1, Dependency: "declared", Path: "requirements.txt", Line: 7},
			{ID: "PYSEC-2022-1", Package: "pillow", PURL: "pkg:pypi/pillow@9.0.0", Installed: "9.0.0", Severity: "UNKNOWN", Dependency: "declared", Path: "requirements.txt", Line: 7},
		}}
	for _, document := range []evidence.Document{vulns, cosign} {
		got, err := predicate.ReadVulnerabilities(document.Type, document.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", document.Type, diff)
		}
		if !strings.Contains(string(document.Body), `numpy<2`) {
			t.Errorf("%s is escaped for HTML", document.Type)
		}
		// A suppressed finding is told, and does not count.
		if !strings.Contains(string(document.Body), "CVE-2020-9") || !strings.Contains(string(document.Body), "not reachable") {
			t.Errorf("%s hides what was suppressed", document.Type)
		}
	}
	var outer struct {
		Invocation struct {
			Parameters []string
			URI        string
		}
	}
	if err := json.Unmarshal(cosign.Body, &outer); err != nil || outer.Invocation.Parameters == nil || outer.Invocation.URI != sample().Target {
		t.Errorf("invocation %+v, %v", outer, err)
	}
}

// What is known of attacks, how current the advisories are and which ignores are
// over stand in both predicates.
func TestThreatAndCurrency(t *testing.T) {
	report := sample()
	day := started.AddDate(0, 0, -2)
	report.Findings[0].Threat = finding.Threat{Exploited: &finding.Exploited{Added: day}, EPSS: &finding.EPSS{Probability: 0.25, Date: day}}
	report.Database.Current = day
	report.Database.Feeds = []finding.Feed{{Name: "EPSS", Version: "v4", Date: day.AddDate(0, 0, -1)}, {Name: "KEV", Date: day.AddDate(0, 0, -2)}, {Name: "other", Date: started}}
	report.Expired = []finding.Expired{{ID: "CVE-2019-7", Reason: "until the move", Ended: day, Findings: 1}}
	report.Inventory.Components = append(report.Inventory.Components, component.Component{Ecosystem: "conda", Name: "zlib", Version: "1", PURL: "pkg:conda/zlib@1", Dependency: component.Installed})
	report.Untested = []string{"conda"}
	vulns, cosign, err := evidence.Vulnerabilities(report, "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range []evidence.Document{vulns, cosign} {
		got, err := predicate.ReadVulnerabilities(document.Type, document.Body)
		if err != nil {
			t.Fatal(err)
		}
		first, second := got.Vulnerabilities[0], got.Vulnerabilities[1]
		if !first.KnownExploited || first.EPSS != 0.25 || second.KnownExploited || second.EPSS != 0 {
			t.Errorf("%s: threats are %+v and %+v", document.Type, first, second)
		}
		if db := got.Database; !db.Current.Equal(day) || !db.EPSS.Equal(day.AddDate(0, 0, -1)) || !db.KEV.Equal(day.AddDate(0, 0, -2)) {
			t.Errorf("%s: the database is %+v", document.Type, db)
		}
		if got.Packages != 1 {
			t.Errorf("%s: %d packages were tested, want 1", document.Type, got.Packages)
		}
		if text := string(document.Body); !strings.Contains(text, "CVE-2019-7") || !strings.Contains(text, "until the move") {
			t.Errorf("%s hides what expired", document.Type)
		}
	}
}

func TestSampleIsMarkedInBoth(t *testing.T) {
	report := sample()
	report.Database = finding.Database{Sample: true, URI: finding.SampleURI}
	vulns, cosign, err := evidence.Vulnerabilities(report, "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range []evidence.Document{vulns, cosign} {
		got, err := predicate.ReadVulnerabilities(document.Type, document.Body)
		if err != nil || !got.Database.Sample {
			t.Errorf("%s does not say that the sample was used (%v)", document.Type, err)
		}
	}
}

func TestCleanScanHasAList(t *testing.T) {
	report := sample()
	report.Findings = nil
	vulns, _, err := evidence.Vulnerabilities(report, "1")
	if err != nil || !strings.Contains(string(vulns.Body), `"result":[]`) {
		t.Errorf("%s, %v", vulns.Body, err)
	}
}

func TestFindingWithoutLocation(t *testing.T) {
	report := sample()
	report.Findings[0].Component.Locations = nil
	if _, _, err := evidence.Vulnerabilities(report, "1"); err != nil {
		t.Error(err)
	}
}

func TestProvenance(t *testing.T) {
	build := evidence.Build{BuilderID: "https://builder.example.com", BuildType: "https://assay.sh/buildtypes/layer/v1", InvocationID: "run-1", Version: "1.2.3",
		External:     map[string]any{"image": "a"},
		Dependencies: []predicate.ResourceDescriptor{{Name: "requirements.txt", Digest: map[string]string{"sha256": "aa"}}},
		Started:      started, Finished: started.Add(time.Minute)}
	document, err := evidence.Provenance(build)
	if err != nil {
		t.Fatal(err)
	}
	var got predicate.Provenance
	if err := json.Unmarshal(document.Body, &got); err != nil {
		t.Fatal(err)
	}
	want := predicate.Provenance{
		BuildDefinition: predicate.BuildDefinition{BuildType: build.BuildType, ExternalParameters: map[string]any{"image": "a"}, ResolvedDependencies: build.Dependencies},
		RunDetails: predicate.RunDetails{Builder: predicate.Builder{ID: build.BuilderID, Version: map[string]string{"assay": "1.2.3"}},
			Metadata: &predicate.BuildMetadata{InvocationID: "run-1", StartedOn: started, FinishedOn: started.Add(time.Minute)}}}
	if diff := cmp.Diff(want, got); diff != "" || document.Type != predicate.TypeProvenanceV1 {
		t.Errorf("%s: %s", document.Type, diff)
	}
	for name, spoil := range map[string]func(*evidence.Build){
		"builder":  func(b *evidence.Build) { b.BuilderID = "" },
		"type":     func(b *evidence.Build) { b.BuildType = "" },
		"external": func(b *evidence.Build) { b.External = nil },
		"times":    func(b *evidence.Build) { b.Finished = started.Add(-time.Second) },
	} {
		bad := build
		spoil(&bad)
		if _, err := evidence.Provenance(bad); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

func source(path string) evidence.Source {
	return evidence.Source{Path: path, Digest: subject.Of([]byte(path))}
}

func read(t *testing.T, document evidence.Document) predicate.TestResult {
	t.Helper()
	result, err := predicate.ReadTestResult(document.Body)
	if err != nil || document.Type != predicate.TypeTestResult {
		t.Fatalf("%s: %v", document.Type, err)
	}
	return result
}

func TestTests(t *testing.T) {
	good := evidence.Suite{Source: source("good.xml"), Report: junit.Report{Passed: []string{"b", "a"}, Skipped: []string{"s"}}}
	document, err := evidence.Tests([]evidence.Suite{good}, []evidence.Measure{{Source: source("c.xml"), Report: coverage.Report{Percent: 87.5, Covered: 7, Valid: 8}}})
	if err != nil {
		t.Fatal(err)
	}
	want := predicate.TestResult{Result: "PASSED", PassedTests: []string{"a", "b"}, WarnedTests: []string{"s"},
		Configuration: []predicate.ResourceDescriptor{
			{Name: "good.xml", Digest: map[string]string{"sha256": subject.Of([]byte("good.xml")).Hex()}, Annotations: map[string]any{"tests": 3.0}},
			{Name: "c.xml", Digest: map[string]string{"sha256": subject.Of([]byte("c.xml")).Hex()}, Annotations: map[string]any{"coverage": 87.5, "linesCovered": 7.0, "linesValid": 8.0}},
		}}
	if diff := cmp.Diff(want, read(t, document)); diff != "" {
		t.Error(diff)
	}
	if good.Passed[0] != "b" {
		t.Error("the caller's list was sorted")
	}
	for name, bad := range map[string]junit.Report{"failed": {Failed: []string{"x"}}, "errored": {Errored: []string{"x"}}} {
		document, err := evidence.Tests([]evidence.Suite{good, {Source: source("bad.xml"), Report: bad}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, document); got.Result != "FAILED" || !cmp.Equal(got.FailedTests, []string{"x"}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestNoTestIsNoResult(t *testing.T) {
	for name, suites := range map[string][]evidence.Suite{
		"none":         nil,
		"empty":        {{Source: source("e.xml")}},
		"skipped only": {{Source: source("s.xml"), Report: junit.Report{Skipped: []string{"a"}}}},
	} {
		_, err := evidence.Tests(suites, []evidence.Measure{{Source: source("c.xml"), Report: coverage.Report{Percent: 100}}})
		if !errors.Is(err, evidence.ErrNoTest) {
			t.Errorf("%s: got %v, want ErrNoTest", name, err)
		}
	}
}

func TestNamesAreBounded(t *testing.T) {
	names := make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	suite := evidence.Suite{Source: source("many.xml"), Report: junit.Report{Passed: names}}
	if _, err := evidence.Tests([]evidence.Suite{suite}, nil); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	suite.Failed = []string{"one more"}
	if _, err := evidence.Tests([]evidence.Suite{suite}, nil); err == nil || !strings.Contains(err.Error(), "100001") {
		t.Errorf("over the bound: %v", err)
	}
	rules := evidence.Analyses{Source: source("many.sarif"), Summary: sarif.Summary{Warnings: 1, WarningRules: append(names, "one more")}}
	if _, err := evidence.Analysis([]evidence.Analyses{rules}); err == nil {
		t.Error("rules over the bound are taken")
	}
}

func TestAnalysis(t *testing.T) {
	clean := evidence.Analyses{Source: source("clean.sarif"), Summary: sarif.Summary{Tool: "a", Notes: 2}}
	warned := evidence.Analyses{Source: source("w.sarif"), Summary: sarif.Summary{Tool: "b", Warnings: 1, WarningRules: []string{"W"}}}
	failed := evidence.Analyses{Source: source("f.sarif"), Summary: sarif.Summary{Tool: "c", Errors: 1, ErrorRules: []string{"E"}}}
	for want, list := range map[string][]evidence.Analyses{
		"PASSED": {clean}, "WARNED": {warned, clean}, "FAILED": {failed, warned, clean},
	} {
		document, err := evidence.Analysis(list)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, document)
		if got.Result != want || len(got.Configuration) != len(list) {
			t.Errorf("want %s, got %+v", want, got)
		}
	}
	document, err := evidence.Analysis([]evidence.Analyses{warned, failed})
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, document)
	if got.Result != "FAILED" || !cmp.Equal(got.FailedTests, []string{"E"}) || !cmp.Equal(got.WarnedTests, []string{"W"}) || got.Configuration[1].Annotations["tool"] != "c" {
		t.Errorf("got %+v", got)
	}
	if _, err := evidence.Analysis(nil); err == nil {
		t.Error("no report is a result")
	}
}
