package trivy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/trivy"
	"github.com/seed-161fc314/assay/predicate"
)

var finished = time.Date(2026, 3, 1, 12, 0, 5, 0, time.UTC)

// sample is an image with one package of each kind, and findings in all.
func sample() finding.Report {
	base := subject.Of([]byte("base layer"))
	declared := component.Component{Ecosystem: "PyPI", Name: "pillow", Version: "9.0.0", PURL: "pkg:pypi/pillow@9.0.0",
		Dependency: component.Declared, Locations: []component.Location{{Path: "app/requirements.txt", Line: 7}}}
	installed := component.Component{Ecosystem: "PyPI", Name: "torch", Version: "1.13.0+cpu", PURL: "pkg:pypi/torch@1.13.0%2Bcpu",
		Dependency: component.Installed, Licenses: []string{"BSD-3-Clause"},
		Locations: []component.Location{{Path: "usr/lib/python3/torch-1.13.0.dist-info/METADATA", Layer: base}}}
	deb := component.Component{Ecosystem: "Debian:12", Name: "libssl3", Version: "3.0.11-1", Architecture: "amd64",
		SourceName: "openssl", SourceVersion: "3.0.11-1", PURL: "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64",
		Dependency: component.Installed, Locations: []component.Location{{Path: "var/lib/dpkg/status", Layer: base}}}
	return finding.Report{
		Target: "registry.example.com:5000/ml/model:v1", Kind: finding.Container, Digest: subject.Of([]byte("manifest")),
		Image: &finding.Image{ConfigDigest: subject.Of([]byte("config")), DiffIDs: []subject.Digest{base}},
		Inventory: component.Inventory{
			Components:      []component.Component{deb, declared, installed},
			Unresolved:      []component.Unresolved{{Name: "numpy", Text: "numpy>=1 <2 & more", Reason: "a range", Location: component.Location{Path: "app/requirements.txt", Line: 3}}},
			OperatingSystem: &component.OperatingSystem{ID: "debian", VersionID: "12"},
		},
		Findings: []finding.Finding{
			{ID: "CVE-2023-50447", Aliases: []string{"GHSA-3f63-hfp8-52jq"}, Title: "Arbitrary code <in> Pillow", Component: declared, Fixed: "10.2.0",
				Severity: finding.Severity{Level: finding.Critical, Score: 9.8, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Source: "ghsa"},
				Ratings: []finding.Severity{{Level: finding.High, Score: 8.1, Vector: "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H", Source: "nvd"},
					{Level: finding.Critical, Score: 9.3, Vector: "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Source: "ghsa"}},
				Weaknesses: []string{"CWE-94"}, References: []string{"https://example.com/a"}, Published: finished.AddDate(-2, 0, 0)},
			{ID: "PYSEC-2022-1", Component: installed, Severity: finding.Severity{}},
			{ID: "CVE-2023-5678", Component: deb, Severity: finding.Severity{Level: finding.Medium, Source: "debian"}},
		},
		Database: finding.Database{URI: "https://osv.dev", Version: "sha256:1", Records: 12, LastUpdate: finished.AddDate(0, 0, -1)},
		Started:  finished.Add(-5 * time.Second), Finished: finished,
	}
}

func wrapped(t *testing.T, report finding.Report) predicate.VulnerabilityReport {
	t.Helper()
	raw, err := trivy.Report(report, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	outer, err := json.Marshal(predicate.CosignVuln{Scanner: predicate.CosignScanner{URI: "u", Version: "1.2.3", Result: raw}})
	if err != nil {
		t.Fatal(err)
	}
	read, err := predicate.ReadVulnerabilities(predicate.TypeCosignVuln, outer)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestRoundTrip(t *testing.T) {
	report := sample()
	read := wrapped(t, report)
	want := predicate.VulnerabilityReport{
		Scanner: "u", ScannerVersion: "1.2.3", Packages: 3,
		Database:   predicate.DatabaseInfo{URI: "https://osv.dev", Version: "sha256:1", LastUpdate: report.Database.LastUpdate},
		Unresolved: []predicate.UnresolvedPackage{{Name: "numpy", Text: "numpy>=1 <2 & more", Reason: "a range", Path: "app/requirements.txt", Line: 3}},
		Vulnerabilities: []predicate.Vulnerability{
			{ID: "CVE-2023-5678", Package: "libssl3", PURL: "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64", Installed: "3.0.11-1", Severity: "MEDIUM", Dependency: "installed", Path: "var/lib/dpkg/status"},
			{ID: "PYSEC-2022-1", Package: "torch", PURL: "pkg:pypi/torch@1.13.0%2Bcpu", Installed: "1.13.0+cpu", Severity: "UNKNOWN", Dependency: "installed", Path: "usr/lib/python3/torch-1.13.0.dist-info/METADATA"},
			{ID: "CVE-2023-50447", Aliases: []string{"GHSA-3f63-hfp8-52jq"}, Package: "pillow", PURL: "pkg:pypi/pillow@9.0.0", Installed: "9.0.0", Fixed: "10.2.0",
				Severity: "CRITICAL", Score: 9.8, Dependency: "declared", Path: "app/requirements.txt", Line: 7},
		},
	}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Error(diff)
	}
}

func TestSampleDatabaseIsMarked(t *testing.T) {
	report := sample()
	report.Database = finding.Database{Sample: true, URI: finding.SampleURI}
	if read := wrapped(t, report); !read.Database.Sample {
		t.Error("the sample is not marked as one")
	}
	if read := wrapped(t, sample()); read.Database.Sample {
		t.Error("a real database is marked as the sample")
	}
}

func TestShape(t *testing.T) {
	var buffer bytes.Buffer
	if err := trivy.Encode(&buffer, sample(), "1.2.3"); err != nil {
		t.Fatal(err)
	}
	if text := buffer.String(); !strings.Contains(text, "<in>") || !strings.HasSuffix(text, "}\n") || !strings.Contains(text, "\n  \"SchemaVersion\": 2") {
		t.Error("want indented JSON without HTML escapes and with a newline at its end")
	}
	var doc struct {
		SchemaVersion              int
		CreatedAt                  time.Time
		ArtifactName, ArtifactType string
		Metadata                   struct {
			OS          struct{ Family, Name string }
			ImageID     string
			DiffIDs     []string
			RepoDigests []string
		}
		Results []struct {
			Target, Class, Type string
			Packages            []struct {
				ID        string
				Licenses  []string
				Layer     struct{ DiffID string }
				Locations []struct{ StartLine, EndLine int }
			}
			Vulnerabilities []struct {
				PkgID, PkgPath, Status, PrimaryURL string
				VendorSeverity                     map[string]int
				CVSS                               map[string]struct{ V3Score, V40Score float64 }
			}
		}
		Assay struct {
			Version      string
			Database     struct{ Records int }
			Dependencies struct{ Installed, Declared int }
		}
	}
	if err := json.Unmarshal(buffer.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	report := sample()
	if doc.ArtifactName != report.Target || doc.ArtifactType != "container_image" || !doc.CreatedAt.Equal(finished) {
		t.Errorf("head is %q %q %v", doc.ArtifactName, doc.ArtifactType, doc.CreatedAt)
	}
	if want := []string{"registry.example.com:5000/ml/model@" + report.Digest.String()}; !cmp.Equal(doc.Metadata.RepoDigests, want) {
		t.Errorf("RepoDigests %v, want %v", doc.Metadata.RepoDigests, want)
	}
	if doc.Metadata.OS.Family != "debian" || doc.Metadata.OS.Name != "12" || doc.Metadata.ImageID != report.Image.ConfigDigest.String() || len(doc.Metadata.DiffIDs) != 1 {
		t.Errorf("Metadata %+v", doc.Metadata)
	}
	var heads []string
	for _, r := range doc.Results {
		heads = append(heads, r.Target+"|"+r.Class+"|"+r.Type)
	}
	want := []string{report.Target + " (debian 12)|os-pkgs|debian", "Python|lang-pkgs|python-pkg", "app/requirements.txt|lang-pkgs|pip"}
	if diff := cmp.Diff(want, heads); diff != "" {
		t.Fatal(diff)
	}
	python, pip := doc.Results[1], doc.Results[2]
	if python.Packages[0].ID != "torch@1.13.0+cpu" || python.Packages[0].Layer.DiffID != subject.Of([]byte("base layer")).String() || !cmp.Equal(python.Packages[0].Licenses, []string{"BSD-3-Clause"}) {
		t.Errorf("python package %+v", python.Packages[0])
	}
	if python.Vulnerabilities[0].Status != "affected" || python.Vulnerabilities[0].PkgPath == "" || python.Vulnerabilities[0].VendorSeverity != nil {
		t.Errorf("an unrated finding without a fix: %+v", python.Vulnerabilities[0])
	}
	v := pip.Vulnerabilities[0]
	if v.Status != "fixed" || v.PrimaryURL != "https://osv.dev/vulnerability/CVE-2023-50447" || v.CVSS["ghsa"].V3Score != 9.8 || v.CVSS["ghsa"].V40Score != 9.3 || v.CVSS["nvd"].V3Score != 8.1 || v.VendorSeverity["nvd"] != 3 {
		t.Errorf("rated finding: %+v", v)
	}
	if len(pip.Packages[0].Locations) != 1 || pip.Packages[0].Locations[0].StartLine != 7 {
		t.Errorf("locations %+v", pip.Packages[0].Locations)
	}
	if doc.Assay.Version != "1.2.3" || doc.Assay.Database.Records != 12 || doc.Assay.Dependencies.Installed != 2 || doc.Assay.Dependencies.Declared != 1 {
		t.Errorf("Assay %+v", doc.Assay)
	}
}

func TestFileTargetHasNoRepoDigest(t *testing.T) {
	for _, target := range []string{"./image.tar", "/srv/layout", "images/layout", "layout", "docker-archive:/srv/image.tar", "docker-archive:image.tar", "oci:build/image", "oci:/srv/layout", "oci:8080/layout"} {
		report := sample()
		report.Target = target
		raw, err := trivy.Report(report, "")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("RepoDigests")) || bytes.Contains(raw, []byte("RepoTags")) || bytes.Contains(raw, []byte("Reference\"")) {
			t.Errorf("%s is taken for a repository", target)
		}
	}
}

func TestSameBytes(t *testing.T) {
	first, err := trivy.Report(sample(), "1")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := trivy.Report(sample(), "1")
		if err != nil || !bytes.Equal(first, again) {
			t.Fatalf("two encodings differ (%v)", err)
		}
	}
}

func TestEmptyReportHasLists(t *testing.T) {
	raw, err := trivy.Report(finding.Report{Target: "."}, "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"Results":[]`, `"unresolved":[]`, `"packages":0`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s is not in %s", want, raw)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriterError(t *testing.T) {
	if err := trivy.Encode(broken{}, sample(), "1"); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}
