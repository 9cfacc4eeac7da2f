package actions_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/actions"
)

func sample() finding.Report {
	pillow := component.Component{Ecosystem: "PyPI", Name: "pillow", Version: "9.0.0", PURL: "pkg:pypi/pillow@9.0.0", Dependency: component.Declared,
		Locations: []component.Location{{Path: "requirements.txt", Line: 7}, {Path: "dev-requirements.txt", Line: 2}}}
	torch := component.Component{Ecosystem: "PyPI", Name: "torch", Version: "1.0", PURL: "pkg:pypi/torch@1.0", Dependency: component.Installed,
		Locations: []component.Location{{Path: "venv/torch.dist-info/METADATA", Line: 3}}}
	return finding.Report{Target: "services/app", Kind: finding.Filesystem,
		Inventory: component.Inventory{Components: []component.Component{pillow, torch},
			Unresolved: []component.Unresolved{{Text: "numpy>=1", Reason: "a range", Location: component.Location{Path: "requirements.txt", Line: 3}}}},
		Findings: []finding.Finding{
			{ID: "CVE-2023-1", Component: pillow, Fixed: "10.2.0", Title: "Code", Severity: finding.Severity{Level: finding.Critical}},
			{ID: "CVE-2023-2", Component: torch, Severity: finding.Severity{Level: finding.Medium},
				Threat: finding.Threat{Exploited: &finding.Exploited{}, EPSS: &finding.EPSS{Probability: 0.941}}},
			{ID: "CVE-2023-3", Component: pillow, Severity: finding.Severity{}},
		},
		Upgrades: []finding.Upgrade{{Component: pillow, To: "10.3.0", All: true}},
		Suppressed: []finding.Suppressed{{Finding: finding.Finding{ID: "CVE-2020-9", Component: pillow}, Status: "ignored", Statement: "not reachable",
			Source: component.Location{Path: ".assayignore"}, Until: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)}},
		Database: finding.Database{Records: 12, Ecosystems: []string{"PyPI"}, LastUpdate: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}}.Below("services/app")
}

func annotations(t *testing.T, report finding.Report) string {
	t.Helper()
	var b strings.Builder
	if err := actions.Annotate(&b, report); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func summary(t *testing.T, report finding.Report) string {
	t.Helper()
	var b strings.Builder
	if err := actions.Summarise(&b, report); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAnnotate(t *testing.T) {
	want := `::warning file=services/app/venv/torch.dist-info/METADATA,title=torch 1.0 is vulnerable::MEDIUM CVE-2023-2 (known to be exploited)
::error file=services/app/requirements.txt,line=7,title=pillow 9.0.0%3A upgrade to 10.3.0::CRITICAL CVE-2023-1, fixed in 10.2.0: Code%0AUNKNOWN CVE-2023-3
::error file=services/app/dev-requirements.txt,line=2,title=pillow 9.0.0%3A upgrade to 10.3.0::CRITICAL CVE-2023-1, fixed in 10.2.0: Code%0AUNKNOWN CVE-2023-3
::notice title=1 not tested::services/app/requirements.txt:3: numpy>=1: a range
`
	if got := annotations(t, sample()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := annotations(t, finding.Report{}); got != "" {
		t.Errorf("an empty report gives %q", got)
	}
}

func TestImageMarksNoFile(t *testing.T) {
	base := subject.Of([]byte("base"))
	report := sample()
	report.Kind, report.Image = finding.Container, &finding.Image{DiffIDs: []subject.Digest{base}, BaseLayers: 1}
	report.Findings[1].Component.Locations = []component.Location{{Path: "usr/lib/x/METADATA", Layer: base}}
	got := annotations(t, report)
	if strings.Contains(got, "file=") || !strings.Contains(got, "exploited)%0AIt came with the base image.") {
		t.Errorf("got %s", got)
	}
}

// hostile puts text into everything that a target or an advisory names.
func hostile(text string) finding.Report {
	c := component.Component{Name: text, Version: text, PURL: text, Dependency: component.Declared, Locations: []component.Location{{Path: text, Line: 1}}}
	f := finding.Finding{ID: text, Title: text, Fixed: text, Component: c}
	return finding.Report{Target: text, Kind: finding.Filesystem,
		Inventory:  component.Inventory{Components: []component.Component{c}, Unresolved: []component.Unresolved{{Text: text, Reason: text, Location: component.Location{Path: text}}}},
		Findings:   []finding.Finding{f},
		Upgrades:   []finding.Upgrade{{Component: c, To: text, All: true}},
		Suppressed: []finding.Suppressed{{Finding: f, Status: text, Statement: text, Justification: text, Source: component.Location{Path: text}}}}
}

var attacks = []string{
	"x\n::set-env name=PATH::/evil", "x\r::add-mask::a", "x%0A::error::y", "a,line=9,title=fooled", "a::error file=b::c", "x\u2028::warning::y", "##[command]x",
	"a|b", "<img src=x onerror=alert(1)>", "</pre><script>", "[x](javascript:alert(1))", "![x](http://evil.example/x.png)", "`x`", "http://evil.example", "@everyone", "\x1b[2J",
}

// TestNoCommandIsInjected reads the output as GitHub's runner does: one command
// a line, its parameters split at commas.
func TestNoCommandIsInjected(t *testing.T) {
	for _, text := range attacks {
		output := annotations(t, hostile(text))
		lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
		if len(lines) != 2 || strings.ContainsAny(output, "\r\u2028\x1b") {
			t.Errorf("%q gives %q", text, output)
			continue
		}
		head, _, found := strings.Cut(strings.TrimPrefix(lines[0], "::notice "), "::")
		parameters := strings.Split(head, ",")
		if !found || len(parameters) != 3 || !strings.HasPrefix(parameters[0], "file=") || parameters[1] != "line=1" || !strings.HasPrefix(parameters[2], "title=") {
			t.Errorf("%q gives the parameters %q", text, parameters)
		}
		if !strings.HasPrefix(lines[1], "::notice title=1 not tested::") {
			t.Errorf("%q gives %q", text, lines[1])
		}
	}
}

func TestSummarise(t *testing.T) {
	want := `### assay: services/app

Packages tested: 2, vulnerabilities: 3, suppressed: 1, not tested: 1.
Advisories: 12 of PyPI, the newest of 2026-03-01.

| Severity | Vulnerability | Package | Installed | Fixed in | Where |
|---|---|---|---|---|---|
| MEDIUM, **exploited**, EPSS 94% | [CVE-2023-2](https://osv.dev/vulnerability/CVE-2023-2) | torch | 1.0 |  | <code>services/app/venv/torch.dist-info/METADATA&#58;3</code> |
| CRITICAL | [CVE-2023-1](https://osv.dev/vulnerability/CVE-2023-1) | pillow | 9.0.0 | 10.2.0 | <code>services/app/requirements.txt&#58;7</code> and 1 more |
| UNKNOWN | [CVE-2023-3](https://osv.dev/vulnerability/CVE-2023-3) | pillow | 9.0.0 |  | <code>services/app/requirements.txt&#58;7</code> and 1 more |

What heals it:

<pre>- services/app/requirements.txt:7: pillow==9.0.0 -&gt; pillow==10.3.0
- services/app/dev-requirements.txt:2: pillow==9.0.0 -&gt; pillow==10.3.0
- no version is known to heal torch 1.0</pre>

Suppressed:

- [CVE-2020-9](https://osv.dev/vulnerability/CVE-2020-9) in pillow 9.0.0 at <code>services/app/requirements.txt&#58;7</code>: ignored, not reachable (.assayignore, until 2027-01-02)

Not tested:

- <code>services/app/requirements.txt&#58;3</code>: <code>numpy&#62;&#61;1</code>: a range
`
	if got := summary(t, sample()); got != strings.ReplaceAll(want, "&#61;", "=") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	report := sample()
	report.Database.Sample = true
	if !strings.Contains(summary(t, report), "built-in sample of 12") {
		t.Error("the sample is not told")
	}
}

func TestNoMarkupIsInjected(t *testing.T) {
	for _, text := range attacks {
		output := summary(t, hostile(text))
		if strings.Count(output, "<pre>") != 1 || strings.Count(output, "</pre>") != 1 {
			t.Errorf("%q leaves the block: %s", text, output)
		}
		// Inside of it nothing but the end has a meaning.
		before, rest, _ := strings.Cut(output, "<pre>")
		block, after, _ := strings.Cut(rest, "</pre>")
		if strings.ContainsAny(block, "<\r\x1b") {
			t.Errorf("%q gives the block %q", text, block)
		}
		output = before + after
		for _, bad := range []string{"<img", "<script", "](javascript", "](http://", " http://evil", ">http://evil", "@everyone</", "\r", "\x1b", "`x`"} {
			for _, line := range strings.Split(output, "\n") {
				if strings.Contains(line, bad) {
					t.Errorf("%q gives %q", text, line)
				}
			}
		}
		for _, line := range strings.Split(output, "\n") {
			if strings.HasPrefix(line, "| UNKNOWN") && strings.Count(line, "|") != 7 {
				t.Errorf("%q gives the row %q", text, line)
			}
		}
	}
}

func TestLongListsSayWhatTheyLeaveOut(t *testing.T) {
	report := sample()
	f := report.Findings[0]
	report.Findings = nil
	for i := range 400 {
		f.ID = fmt.Sprintf("CVE-2023-%d", 1000+i)
		report.Findings = append(report.Findings, f)
		report.Inventory.Unresolved = append(report.Inventory.Unresolved, report.Inventory.Unresolved[0])
	}
	got := annotations(t, report)
	if !strings.Contains(got, "%0Aand 390 more\n") || !strings.Contains(got, "%0Aand 391 more\n") {
		t.Errorf("got %s", got)
	}
	text := summary(t, report)
	if !strings.Contains(text, "\nand 100 more.\n") || !strings.Contains(text, "\nand 101 more.\n") {
		t.Error("the summary does not say what it leaves out")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriterError(t *testing.T) {
	if actions.Annotate(full{}, sample()) == nil || actions.Summarise(full{}, sample()) == nil {
		t.Error("the writer's error is lost")
	}
}
