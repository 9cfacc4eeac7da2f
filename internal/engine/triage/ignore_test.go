package triage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/vex"
	"github.com/seed-161fc314/assay/internal/engine/triage"
	"github.com/seed-161fc314/assay/internal/format/ignorefile"
)

func ignores(t *testing.T, name, content string) triage.Rules {
	t.Helper()
	file, err := ignorefile.Decode(name, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return triage.Rules{Ignores: []ignorefile.File{file}}
}

func TestIgnore(t *testing.T) {
	twice := torch()
	twice.Component.Locations = append(twice.Component.Locations, component.Location{Path: "tools/requirements.txt"})
	nowhere := torch()
	nowhere.Component.Locations = nil
	for name, c := range map[string]struct {
		f      finding.Finding
		fields string
		want   bool
	}{
		"its id":                {torch(), "id: CVE-2022-45907", true},
		"an alias":              {torch(), "id: ghsa-47fc-vmwq-366v", true},
		"another":               {torch(), "id: CVE-2022-45908", false},
		"a part of it":          {torch(), "id: CVE-2022", false},
		"the package":           {torch(), "id: CVE-2022-45907, package: Torch", true},
		"another package":       {torch(), "id: CVE-2022-45907, package: torchvision", false},
		"the purl":              {torch(), "id: CVE-2022-45907, purl: 'pkg:pypi/torch'", true},
		"the purl's version":    {torch(), "id: CVE-2022-45907, purl: 'pkg:pypi/torch@1.13.0+cpu'", true},
		"another version":       {torch(), "id: CVE-2022-45907, purl: 'pkg:pypi/torch@1.13.0'", false},
		"a range":               {torch(), "id: CVE-2022-45907, package: torch, versions: '<1.13.1'", true},
		"another range":         {torch(), "id: CVE-2022-45907, package: torch, versions: '<1.13'", false},
		"a range of Debian":     {ssl(), "id: CVE-2024-1, package: libssl3, versions: '<9'", false},
		"the path":              {torch(), "id: CVE-2022-45907, path: services/a/requirements.txt", true},
		"a pattern":             {torch(), "id: CVE-2022-45907, path: 'services/*/requirements.txt'", true},
		"any depth":             {torch(), "id: CVE-2022-45907, path: '**/requirements.txt'", true},
		"any depth, and none":   {torch(), "id: CVE-2022-45907, path: '**/services/a/*'", true},
		"below":                 {torch(), "id: CVE-2022-45907, path: 'services/**'", true},
		"not across":            {torch(), "id: CVE-2022-45907, path: 'services/*'", false},
		"one letter":            {torch(), "id: CVE-2022-45907, path: 'services/?/requirements.txt'", true},
		"a dot is a dot":        {torch(), "id: CVE-2022-45907, path: 'services/a/requirements?txt'", true},
		"a word, not a pattern": {torch(), "id: CVE-2022-45907, path: 'services/[ab]/requirements.txt'", false},
		"another path":          {torch(), "id: CVE-2022-45907, path: 'a/requirements.txt'", false},
		"one of two places":     {twice, "id: CVE-2022-45907, path: 'services/**'", false},
		"both places":           {twice, "id: CVE-2022-45907, path: '**'", true},
		"no place":              {nowhere, "id: CVE-2022-45907, path: '**'", false},
		"until tomorrow":        {torch(), "id: CVE-2022-45907, expires: 2026-01-03", true},
	} {
		rules := ignores(t, "i.yaml", "ignore:\n  - {"+c.fields+", reason: because, owner: me}\n")
		got := triage.Apply(image(c.f), rules, now)
		if (len(got.Suppressed) == 1) != c.want || len(got.Findings) != 1-len(got.Suppressed) {
			t.Errorf("%s: %d suppressed, want %v", name, len(got.Suppressed), c.want)
			continue
		}
		if !c.want {
			if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "i.yaml:2: ") || !strings.Contains(got.Notes[0], "fits no finding") {
				t.Errorf("%s: notes %q", name, got.Notes)
			}
			continue
		}
		if s := got.Suppressed[0]; s.Status != "ignored" || s.Statement != "because" || s.By != "me" || s.Source != (component.Location{Path: "i.yaml", Line: 2}) || len(got.Notes) != 0 {
			t.Errorf("%s: %+v, notes %q", name, s, got.Notes)
		}
	}
}

func TestExpired(t *testing.T) {
	const content = "ignore:\n  - {id: CVE-2022-45907, package: torch, path: '**', reason: later, owner: me, expires: 2026-01-02}\n"
	ends := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	// The moment before it ends, and the moment itself.
	got := triage.Apply(image(torch()), ignores(t, "i.yaml", content), ends.Add(-time.Second))
	if len(got.Suppressed) != 1 || !got.Suppressed[0].Until.Equal(ends) || len(got.Expired) != 0 {
		t.Errorf("before: %+v", got)
	}
	got = triage.Apply(image(torch(), torch()), ignores(t, "i.yaml", content), ends)
	if len(got.Suppressed) != 0 || len(got.Findings) != 2 || len(got.Expired) != 1 {
		t.Fatalf("after: %+v", got)
	}
	want := finding.Expired{ID: "CVE-2022-45907", Scope: "of torch in **", Reason: "later", Owner: "me", Ended: ends, Source: component.Location{Path: "i.yaml", Line: 2}, Findings: 2}
	if got.Expired[0] != want || len(got.Notes) != 0 {
		t.Errorf("expired is %+v, notes %q", got.Expired[0], got.Notes)
	}
	// One that would fit nothing has expired all the same; another entry may
	// still hold.
	got = triage.Apply(image(torch()), ignores(t, "t", "CVE-1 exp:2025-01-01\nCVE-2022-45907 exp:2025-01-01\nCVE-2022-45907\n"), now)
	if len(got.Suppressed) != 1 || len(got.Expired) != 2 || got.Expired[0].Findings != 0 || got.Expired[0].Scope != "" || got.Expired[1].Findings != 1 {
		t.Errorf("%+v", got)
	}
}

func TestLegacyIsSaid(t *testing.T) {
	got := triage.Apply(image(torch()), ignores(t, ".trivyignore", "CVE-2022-45907\n"), now)
	if len(got.Suppressed) != 1 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], ".trivyignore: 1 entry says no reason") {
		t.Errorf("%d suppressed, notes %q", len(got.Suppressed), got.Notes)
	}
	got = triage.Apply(image(torch()), ignores(t, "t.yaml", "vulnerabilities:\n  - {id: CVE-2022-45907, statement: accepted}\nsecrets: [{id: x}]\n"), now)
	if len(got.Suppressed) != 1 || got.Suppressed[0].Statement != "accepted" || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "not about vulnerabilities") {
		t.Errorf("%d suppressed, notes %q", len(got.Suppressed), got.Notes)
	}
	got = triage.Apply(image(torch(), ssl()), ignores(t, "t.yaml", "vulnerabilities:\n  - {id: CVE-2022-45907, purls: ['pkg:pypi/x', 'pkg:pypi/torch'], paths: [x, '**'], statement: a}\n"), now)
	if len(got.Suppressed) != 1 || len(got.Findings) != 1 {
		t.Errorf("one of several: %d suppressed", len(got.Suppressed))
	}
}

func TestMaliciousIsIgnoredByName(t *testing.T) {
	evil := torch()
	evil.ID, evil.Aliases = "MAL-2024-1", nil
	for content, want := range map[string]bool{
		"ignore:\n  - {id: MAL-2024-1, reason: ours}\n":                                     false,
		"ignore:\n  - {id: MAL-2024-1, path: '**', reason: ours}\n":                         false,
		"ignore:\n  - {id: MAL-2024-1, package: torch, reason: ours}\n":                     true,
		"ignore:\n  - {id: MAL-2024-1, purl: 'pkg:pypi/torch', reason: ours}\n":             true,
		"ignore:\n  - {id: MAL-2024-1, package: other, reason: ours}\n":                     false,
		"vulnerabilities:\n  - {id: MAL-2024-1, purls: ['pkg:pypi/torch'], statement: x}\n": false,
	} {
		got := triage.Apply(image(evil), ignores(t, "i.yaml", content), now)
		if (len(got.Suppressed) == 1) != want || !want && len(got.Notes) == 0 {
			t.Errorf("%s: %d suppressed, notes %q", content, len(got.Suppressed), got.Notes)
		}
	}
}

// TestBoth: an ignore that a VEX statement makes superfluous is not called
// useless, and a statement that one is affected does not overrule an ignore.
func TestBoth(t *testing.T) {
	rules := ignores(t, "i.yaml", "ignore:\n  - {id: CVE-2022-45907, reason: because}\n")
	rules.Documents = []vex.Document{document("a.json", statement("CVE-2022-45907", product("pkg:pypi/torch")))}
	got := triage.Apply(image(torch()), rules, now)
	if len(got.Suppressed) != 1 || got.Suppressed[0].Status != "not_affected" || len(got.Notes) != 0 {
		t.Errorf("%+v", got)
	}
	rules.Documents[0].Statements[0].Status = vex.Affected
	got = triage.Apply(image(torch()), rules, now)
	if len(got.Suppressed) != 1 || got.Suppressed[0].Status != "ignored" {
		t.Errorf("%+v", got)
	}
}
