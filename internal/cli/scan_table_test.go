package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// tired is an image as an operator meets it: a base and own layers, something
// exploited, something without a fix, something suppressed.
func tired() finding.Report {
	base, own := subject.Of([]byte("base")), subject.Of([]byte("own"))
	installed := func(kind, name, version, path string, layer subject.Digest) component.Component {
		return component.Component{Name: name, Version: version, PURL: "pkg:" + kind + "/" + name + "@" + version, Dependency: component.Installed,
			Locations: []component.Location{{Path: path, Layer: layer}}}
	}
	ssl := installed("deb/debian", "libssl3", "3.0.11-1", "var/lib/dpkg/status", base)
	torch := installed("pypi", "torch", "1.13.0", "usr/lib/python3/site-packages/torch-1.13.0.dist-info/METADATA", own)
	arrow := installed("pypi", "pyarrow", "13.0.0", "usr/lib/python3/site-packages/pyarrow-13.0.0.dist-info/METADATA", own)
	dev := component.Component{Name: "black", Version: "22.0", PURL: "pkg:pypi/black@22.0", Dependency: component.Declared, Groups: []string{"dev"}, Locations: []component.Location{{Path: "app/uv.lock", Line: 7}}}
	rated := func(level finding.Level) finding.Severity { return finding.Severity{Level: level, Source: "ghsa"} }
	return finding.Report{Target: "registry.example.com/app:1", Kind: finding.Container,
		Image: &finding.Image{DiffIDs: []subject.Digest{base, own}, BaseLayers: 1, Base: "python:3.12-slim"},
		Inventory: component.Inventory{Components: []component.Component{ssl, torch, arrow, dev},
			Unresolved: []component.Unresolved{{Text: "numpy>=1", Reason: "a range names no single version", Location: component.Location{Path: "app/requirements.txt", Line: 3}}}},
		Findings: []finding.Finding{
			{ID: "CVE-1", Component: arrow, Fixed: "14.0.1", Severity: rated(finding.Critical), Title: "Reading an untrusted file runs code, which is long to tell and does not end here"},
			{ID: "CVE-2", Component: ssl, Fixed: "3.0.15-1", Severity: rated(finding.Critical), Title: "TLS"},
			{ID: "CVE-3", Component: torch, Severity: rated(finding.Low), Title: "Old and quiet"},
			{ID: "CVE-4", Component: torch, Fixed: "2.2.0", Severity: rated(finding.Medium), Title: "Used by attackers",
				Threat: finding.Threat{Exploited: &finding.Exploited{Ransomware: true}, EPSS: &finding.EPSS{Probability: 0.941}}},
			{ID: "CVE-5", Component: dev, Fixed: "24.3.0", Title: "ReDoS"},
		},
		Upgrades: []finding.Upgrade{{Component: arrow, To: "14.0.1", All: true}, {Component: ssl, To: "3.0.15-1", All: true}, {Component: torch, To: "2.2.0"}, {Component: dev, To: "24.3.0", All: true}},
		Suppressed: []finding.Suppressed{{Finding: finding.Finding{ID: "CVE-9", Component: torch, Severity: rated(finding.High)}, Status: "not_affected", Justification: "vulnerable_code_not_present",
			Source: component.Location{Path: "vex.json"}, By: "us", Until: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)}},
		Database: finding.Database{Records: 17000, Ecosystems: []string{"Debian", "PyPI"}, LastUpdate: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}}
}

func printed(t *testing.T, host *Host, report finding.Report) string {
	t.Helper()
	var b strings.Builder
	if err := host.reportTable(&b, view{Report: report, hidden: 2, counted: 2, threshold: finding.DefaultThreshold()}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const piped = `registry.example.com/app:1: 4 packages tested (1 declared, 3 installed)
advisories: 17000 of Debian, PyPI, newest of 2026-03-01

in this image's own layers:
SEVERITY  ID     KEV              EPSS   PACKAGE  INSTALLED  FIXED IN  WHERE                          TITLE
MEDIUM    CVE-4  KEV, ransomware  94.1%  torch    1.13.0     2.2.0     usr/lib/python3/site-packages  Used by attackers
LOW       CVE-3                          torch    1.13.0     -         usr/lib/python3/site-packages  Old and quiet
CRITICAL  CVE-1                          pyarrow  13.0.0     14.0.1    usr/lib/python3/site-packages  Reading an untrusted file runs code, which is long to tell and does not end here
UNKNOWN   CVE-5                          black    22.0       24.3.0    app/uv.lock:7 (dev)            ReDoS

from the base image (python:3.12-slim):
SEVERITY  ID     PACKAGE  INSTALLED  FIXED IN  WHERE                TITLE
CRITICAL  CVE-2  libssl3  3.0.11-1   3.0.15-1  var/lib/dpkg/status  TLS

suppressed (1):
  - HIGH CVE-9 in torch 1.13.0 at usr/lib/python3/site-packages: not_affected, vulnerable_code_not_present (vex.json, us, until 2027-01-02)

not tested (1):
  - app/requirements.txt:3: numpy>=1: a range names no single version

what heals it:
  in the image's own layers:
    pip install 'pyarrow==14.0.1' 'torch==2.2.0'
    - torch 2.2.0 heals the most; no one version heals all
  - update the base image (python:3.12-slim), which brings libssl3
  cd app && uv lock --upgrade-package 'black==24.3.0'

5 vulnerabilities: 2 critical, 1 medium, 1 low, 1 unknown; 1 known to be exploited; 2 left out by --severity or --ignore-unfixed; 1 suppressed; 1 not tested
`

func TestTable(t *testing.T) {
	if diff := cmp.Diff(piped, printed(t, &Host{Width: 60}, tired())); diff != "" {
		t.Error(diff)
	}
}

// TestTableFits: on a terminal no row of a table is wider than it, down to
// what the columns need, and what is cut has a mark.
func TestTableFits(t *testing.T) {
	for _, width := range []int{200, 120, 110, 100, 90} {
		text := printed(t, &Host{OutTerminal: true, Width: width, Env: []string{"NO_COLOR=1"}}, tired())
		for _, line := range strings.Split(text, "\n") {
			if severity := strings.Fields(line + " x")[0]; (severity == "CRITICAL" || severity == "MEDIUM") && len([]rune(line)) > width {
				t.Errorf("at %d columns: %s", width, line)
			}
		}
		if width <= 120 && !strings.Contains(text, "…") {
			t.Errorf("at %d columns something was cut without a mark:\n%s", width, text)
		}
		if strings.Count(text, "torch  ") != 1 {
			t.Errorf("at %d columns a package is repeated:\n%s", width, text)
		}
	}
}

func TestTableColour(t *testing.T) {
	terminal := &Host{OutTerminal: true, Width: 100}
	if text := printed(t, terminal, tired()); !strings.Contains(text, "\x1b[1;31mCRITICAL\x1b[0m") || !strings.Contains(text, "\x1b[1;31mKEV, ransomware\x1b[0m") {
		t.Errorf("no colour in\n%s", text)
	}
	if text := printed(t, terminal.to("report.txt"), tired()); strings.Contains(text, "\x1b") || text != piped {
		t.Errorf("a file gets\n%s", text)
	}
	if terminal.to("-") != terminal || terminal.to("") != terminal {
		t.Error("standard output is not the terminal")
	}
}

// TestTableHostile: a name writes no escape sequence, and no line begins with
// text from outside, which GitHub's runner takes for a command.
func TestTableHostile(t *testing.T) {
	for _, text := range []string{"::add-mask::x", "\x1b[2J", "a\n::error::b", "\u202e"} {
		c := component.Component{Name: text, Version: text, PURL: text, Dependency: component.Installed, Groups: []string{text}, Locations: []component.Location{{Path: text}}}
		f := finding.Finding{ID: text, Title: text, Fixed: text, Component: c}
		output := printed(t, &Host{}, finding.Report{Target: "t", Findings: []finding.Finding{f}, Upgrades: []finding.Upgrade{{Component: c, To: text}},
			Inventory:  component.Inventory{Unresolved: []component.Unresolved{{Text: text, Reason: text, Location: component.Location{Path: text}}}},
			Suppressed: []finding.Suppressed{{Finding: f, Status: text, Statement: text, Source: component.Location{Path: text}}}})
		if strings.ContainsAny(output, "\x1b\u202e") {
			t.Errorf("%q is written as it is:\n%s", text, output)
		}
		for _, line := range strings.Split(output, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "::") {
				t.Errorf("%q begins the line %q", text, line)
			}
		}
	}
}

func TestLongListIsCounted(t *testing.T) {
	report := tired()
	for range 99 {
		report.Inventory.Unresolved = append(report.Inventory.Unresolved, report.Inventory.Unresolved[0])
	}
	if text := printed(t, &Host{}, report); !strings.Contains(text, "not tested (100):") || !strings.Contains(text, "  - and 60 more; -o json lists all\n") {
		t.Error(text)
	}
}

func TestCounted(t *testing.T) {
	findings := []finding.Finding{{Severity: finding.Severity{Level: finding.Critical}}, {Severity: finding.Severity{Level: finding.Low}}, {}}
	high := finding.DefaultThreshold()
	for name, test := range map[string]struct {
		flags scanFlags
		want  int
	}{
		"the default":          {scanFlags{}, 1},
		"--exit-code":          {scanFlags{exitCodeSet: true, exitCode: 5}, 3},
		"--severity":           {scanFlags{severity: []string{"low"}}, 3},
		"--fail-on decides":    {scanFlags{severity: []string{"low"}, exitCodeSet: true, failOnSet: true}, 1},
		"--ignore-unfixed too": {scanFlags{ignoreUnfixed: true}, 1},
	} {
		if got := counted(findings, high, test.flags); got != test.want {
			t.Errorf("%s: %d count, want %d", name, got, test.want)
		}
	}
}
