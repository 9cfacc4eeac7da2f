package trivy_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/trivy"
)

// shape is what readers of Trivy's reports decode (pkg/types/report.go and
// vulnerability.go of aquasecurity/trivy v0.74.0).
type shape struct {
	SchemaVersion                                    int
	Trivy                                            any
	ReportID, ArtifactID, ArtifactName, ArtifactType string
	CreatedAt                                        time.Time
	Metadata                                         struct {
		OS                             struct{ Family, Name string }
		ImageID, Reference             string
		DiffIDs, RepoTags, RepoDigests []string
		Layers                         []struct{ Digest, DiffID string }
		ImageConfig                    struct {
			Architecture string
			Config       struct{ Env []string }
		}
	}
	Results []shapeResult
}

type shapeResult struct {
	Target, Class, Type string
	Packages            []struct {
		ID, Name, Version, Arch, SrcName, SrcVersion, FilePath string
		Identifier                                             struct{ PURL, UID string }
		Dev                                                    bool
		Licenses, DependsOn                                    []string
		Layer                                                  struct{ Digest, DiffID string }
		Locations                                              []struct{ StartLine, EndLine int }
	}
	Vulnerabilities              []shapeVulnerability
	ExperimentalModifiedFindings []struct {
		Type, Status, Statement, Source string
		Finding                         shapeVulnerability
	}
}

type shapeVulnerability struct {
	VulnerabilityID, PkgID, PkgName, PkgPath, InstalledVersion, FixedVersion, Status, SeveritySource, PrimaryURL, Fingerprint, Title, Description, Severity string
	VendorIDs, CweIDs, References                                                                                                                           []string
	PkgIdentifier                                                                                                                                           struct{ PURL, UID string }
	Layer                                                                                                                                                   struct{ Digest, DiffID string }
	DataSource                                                                                                                                              struct{ ID, Name, URL string }
	PublishedDate, LastModifiedDate                                                                                                                         *time.Time
	Assay                                                                                                                                                   struct {
		Also      []string
		BaseImage bool
		Threat    struct{ Exploited, EPSS map[string]any }
		Until     time.Time
	}
}

func decode(t *testing.T, report finding.Report) shape {
	t.Helper()
	var buffer bytes.Buffer
	if err := trivy.Encode(&buffer, report, "1"); err != nil {
		t.Fatal(err)
	}
	var s shape
	if err := json.Unmarshal(buffer.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// full is sample with everything that Trivy's readers may look for.
func full() finding.Report {
	report := sample()
	base := report.Image.DiffIDs[0]
	report.Image.BaseLayers = 1
	report.Image.Layers = []finding.Layer{{Digest: subject.Of([]byte("gz")), DiffID: base, Size: 3}}
	report.Image.Config = json.RawMessage(`{"architecture":"amd64","architecture":"arm64","big":12345678901234567890,"config":{"Env":["A=` + "\xff" + `"]}}`)
	report.Findings[0].Threat = finding.Threat{Exploited: &finding.Exploited{Added: finished}, EPSS: &finding.EPSS{Probability: 0.9}}
	report.Findings[0].Component.Locations = append(report.Findings[0].Component.Locations, component.Location{Path: "dev-requirements.txt", Line: 70})
	report.Inventory.Components[1] = report.Findings[0].Component
	report.Suppressed = []finding.Suppressed{{Finding: finding.Finding{ID: "CVE-9", Component: report.Findings[1].Component}, Status: "not_affected",
		Justification: "vulnerable_code_not_present", By: "us", Source: component.Location{Path: "vex.json", Line: 3}, Until: finished}}
	return report
}

func TestEveryField(t *testing.T) {
	report := full()
	doc := decode(t, report)
	if doc.SchemaVersion != 2 || doc.Trivy != nil || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(doc.ReportID) {
		t.Errorf("head is %+v", doc)
	}
	if want := subject.Of([]byte(report.Image.ConfigDigest.String() + ":registry.example.com:5000/ml/model")).String(); doc.ArtifactID != want {
		t.Errorf("ArtifactID %s, want %s", doc.ArtifactID, want)
	}
	m := doc.Metadata
	gz := subject.Of([]byte("gz")).String()
	if !cmp.Equal(m.RepoTags, []string{"registry.example.com:5000/ml/model:v1"}) || m.Reference != report.Target || m.Layers[0].Digest != gz || m.Layers[0].DiffID != m.DiffIDs[0] {
		t.Errorf("Metadata %+v", m)
	}
	if m.ImageConfig.Architecture != "arm64" || !cmp.Equal(m.ImageConfig.Config.Env, []string{"A=\ufffd"}) {
		t.Errorf("ImageConfig %+v", m.ImageConfig)
	}
	python, pip := doc.Results[1], doc.Results[2]
	v := pip.Vulnerabilities[0]
	if want := subject.Of([]byte(doc.ArtifactID + ":app/requirements.txt:pillow@9.0.0:CVE-2023-50447")).String(); v.Fingerprint != want {
		t.Errorf("Fingerprint %s", v.Fingerprint)
	}
	if p := pip.Packages[0]; p.ID != v.PkgID || p.Identifier.UID != v.PkgIdentifier.UID || len(p.Identifier.UID) != 16 || len(p.Locations) != 1 || p.Locations[0].EndLine != 7 {
		t.Errorf("package %+v of %+v", p, v)
	}
	if !cmp.Equal(v.Assay.Also, []string{"dev-requirements.txt:70"}) || v.Assay.BaseImage || v.Assay.Threat.Exploited == nil || v.Assay.Threat.EPSS["probability"] != 0.9 {
		t.Errorf("extension %+v", v.Assay)
	}
	if torch := python.Vulnerabilities[0]; torch.Layer.Digest != gz || !torch.Assay.BaseImage || torch.PublishedDate != nil {
		t.Errorf("torch %+v", torch)
	}
	s := python.ExperimentalModifiedFindings
	if len(s) != 1 || s[0].Type != "vulnerability" || s[0].Status != "not_affected" || s[0].Statement != "vulnerable_code_not_present" || s[0].Source != "vex.json:3" ||
		s[0].Finding.VulnerabilityID != "CVE-9" || s[0].Finding.PkgID != "torch@1.13.0+cpu" || !s[0].Finding.Assay.Until.Equal(finished) {
		t.Errorf("suppressed %+v", s)
	}
	report.Finished = finished.Add(time.Hour)
	if again := decode(t, report); again.ReportID == doc.ReportID || again.Results[2].Vulnerabilities[0].Fingerprint != v.Fingerprint {
		t.Error("a later scan has the same ReportID, or other fingerprints")
	}
}

func TestGroups(t *testing.T) {
	for name, test := range map[string]struct {
		purl, ecosystem, os, file string
		dependency                component.Dependency
		want                      string
	}{
		"pip":           {"pkg:pypi/a@1", "PyPI", "", "x/requirements-dev.txt", component.Declared, "x/requirements-dev.txt lang-pkgs pip"},
		"pyproject":     {"pkg:pypi/a@1", "PyPI", "", "pyproject.toml", component.Declared, "pyproject.toml lang-pkgs pip"},
		"pipenv":        {"pkg:pypi/a@1", "PyPI", "", "Pipfile.lock", component.Declared, "Pipfile.lock lang-pkgs pipenv"},
		"poetry":        {"pkg:pypi/a@1", "PyPI", "", "poetry.lock", component.Declared, "poetry.lock lang-pkgs poetry"},
		"uv":            {"pkg:pypi/a@1", "PyPI", "", "uv.lock", component.Declared, "uv.lock lang-pkgs uv"},
		"uv script":     {"pkg:pypi/a@1", "PyPI", "", "run.py.lock", component.Declared, "run.py.lock lang-pkgs uv"},
		"pdm":           {"pkg:pypi/a@1", "PyPI", "", "pdm.lock", component.Declared, "pdm.lock lang-pkgs pdm"},
		"pylock":        {"pkg:pypi/a@1", "PyPI", "", "pylock.dev.toml", component.Declared, "pylock.dev.toml lang-pkgs pylock"},
		"pip in conda":  {"pkg:pypi/a@1", "PyPI", "", "environment.yml", component.Declared, "environment.yml lang-pkgs conda-environment"},
		"conda":         {"pkg:conda/a@1", "Conda", "", "environment.yml", component.Declared, "environment.yml lang-pkgs conda-environment"},
		"conda-meta":    {"pkg:conda/a@1", "Conda", "", "opt/conda/conda-meta/a-1.json", component.Installed, "Conda lang-pkgs conda-pkg"},
		"wheel":         {"pkg:pypi/a@1", "PyPI", "", "a-1.whl", component.Packaged, "Python lang-pkgs python-pkg"},
		"alpine":        {"pkg:apk/alpine/a@1", "Alpine:v3.20", "alpine 3.20.1", "lib/apk/db/installed", component.Installed, "i (alpine 3.20.1) os-pkgs alpine"},
		"red hat":       {"pkg:rpm/redhat/a@1", "Red Hat", "rhel 9.4", "var/lib/rpm/rpmdb.sqlite", component.Installed, "i (redhat 9.4) os-pkgs redhat"},
		"ubuntu":        {"pkg:deb/ubuntu/a@1", "Ubuntu:22.04", "ubuntu 22.04", "var/lib/dpkg/status", component.Installed, "i (ubuntu 22.04) os-pkgs ubuntu"},
		"no os-release": {"pkg:deb/debian/a@1", "Debian:12", "", "var/lib/dpkg/status", component.Installed, "i (debian 12) os-pkgs debian"},
	} {
		t.Run(name, func(t *testing.T) {
			c := component.Component{Ecosystem: test.ecosystem, Name: "a", Version: "1", PURL: test.purl, Dependency: test.dependency, Locations: []component.Location{{Path: test.file}}}
			report := finding.Report{Target: "i", Inventory: component.Inventory{Components: []component.Component{c}}}
			if id, version, found := strings.Cut(test.os, " "); found {
				report.Inventory.OperatingSystem = &component.OperatingSystem{ID: id, VersionID: version}
			}
			results := decode(t, report).Results
			if len(results) != 1 || results[0].Target+" "+results[0].Class+" "+results[0].Type != test.want {
				t.Errorf("got %+v, want %s", results, test.want)
			}
		})
	}
}

// TestUIDs: one package in two files is told apart, and edges name packages.
func TestUIDs(t *testing.T) {
	in := func(file string) component.Component {
		return component.Component{Ecosystem: "PyPI", Name: "a", Version: "1", PURL: "pkg:pypi/a@1", Dependency: component.Declared, Groups: []string{"dev"},
			DependsOn: []string{"pkg:pypi/a@1", "pkg:pypi/gone@1"}, Locations: []component.Location{{Path: file}}}
	}
	results := decode(t, finding.Report{Inventory: component.Inventory{Components: []component.Component{in("poetry.lock"), in("uv.lock")}}}).Results
	a, b := results[0].Packages[0], results[1].Packages[0]
	if a.ID != b.ID || a.Identifier.UID == b.Identifier.UID || !a.Dev || !cmp.Equal(a.DependsOn, []string{"a@1"}) {
		t.Errorf("packages %+v and %+v", a, b)
	}
}

func TestNoVulnerabilitiesNoKey(t *testing.T) {
	report := sample()
	report.Findings, report.Suppressed = nil, nil
	raw, err := trivy.Report(report, "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"Vulnerabilities", "ExperimentalModifiedFindings", `"Trivy"`, "Size"} {
		if bytes.Contains(raw, []byte(key)) {
			t.Errorf("%s is there", key)
		}
	}
}

// TestInPiecesOrWhole: the report that is written piece by piece is the one that
// evidence has inside.
func TestInPiecesOrWhole(t *testing.T) {
	for _, report := range []finding.Report{full(), sample(), {Target: "."}} {
		var pieces, compact bytes.Buffer
		if err := trivy.Encode(&pieces, report, "1"); err != nil {
			t.Fatal(err)
		}
		if err := json.Compact(&compact, pieces.Bytes()); err != nil {
			t.Fatal(err)
		}
		whole, err := trivy.Report(report, "1")
		if err != nil || compact.String() != string(whole) {
			t.Errorf("%v\n%s\nand\n%s", err, compact.String(), whole)
		}
	}
}
