package advisory_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-161fc314/assay/internal/domain/component"
	domain "github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

func inventory(components ...component.Component) component.Inventory {
	return component.Inventory{Components: components}
}

// broken covers everything and finds nothing out.
type broken struct{ err error }

func (broken) Covers(string) bool { return true }

func (b broken) Lookup(context.Context, string, string) ([]osv.Record, error) { return nil, b.err }

func TestMissingEcosystem(t *testing.T) {
	evil := ranged("GHSA-a", "introduced 0")
	db := source{"PyPI": {"x": {evil}}}
	debian := component.Component{Ecosystem: "Debian:12", Name: "libc6", Version: "2.36"}
	for name, c := range map[string]struct {
		inventory component.Inventory
		missing   string
		packages  int
	}{
		"alone":           {inventory(debian), "Debian:12", 1},
		"beside another":  {inventory(python("x", "1.0"), debian, debian, python("y", "1.0")), "Debian:12", 2},
		"another release": {inventory(component.Component{Ecosystem: "PyPI:3", Name: "x", Version: "1.0"}), "PyPI:3", 1},
		"no ecosystem":    {inventory(component.Component{Name: "x", Version: "1.0"}), "", 1},
	} {
		findings, err := advisory.Match(t.Context(), c.inventory, db)
		var missing *advisory.MissingEcosystemError
		if !errors.As(err, &missing) || missing.Ecosystem != c.missing || missing.Packages != c.packages || findings != nil {
			t.Errorf("%s: %d findings, error %v", name, len(findings), err)
			continue
		}
		if text := err.Error(); !strings.Contains(text, c.missing) || !strings.Contains(text, "assay db import") || !strings.Contains(text, "nothing was decided") {
			t.Errorf("%s: %s", name, text)
		}
	}
	// The twin: covered, and nothing found, is an empty list.
	findings, err := advisory.Match(t.Context(), inventory(python("harmless", "1.0")), db)
	if err != nil || findings == nil || len(findings) != 0 {
		t.Errorf("covered: %v, %v", findings, err)
	}
}

func TestSourceFails(t *testing.T) {
	gone := errors.New("the disk is gone")
	findings, err := advisory.Match(t.Context(), inventory(python("x", "1.0")), broken{gone})
	if !errors.Is(err, gone) || !strings.Contains(err.Error(), "PyPI x") || findings != nil {
		t.Errorf("%v, %v", findings, err)
	}
	if version, all, err := advisory.Upgrade(t.Context(), python("x", "1.0"), broken{gone}); !errors.Is(err, gone) || version != "" || all {
		t.Errorf("upgrade: %q, %v, %v", version, all, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if findings, err := advisory.Match(ctx, inventory(python("x", "1.0")), broken{}); !errors.Is(err, context.Canceled) || findings != nil {
		t.Errorf("cancelled: %v, %v", findings, err)
	}
}

func TestSeverity(t *testing.T) {
	const (
		low      = "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
		high     = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"
		critical = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
		four     = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
	)
	rated := func(id, word string, vectors ...string) osv.Record {
		r := aliased(ranged(id, "introduced 0"), "CVE-2024-1")
		r.Database.Severity = word
		for _, v := range vectors {
			r.Severity = append(r.Severity, osv.Severity{Type: "CVSS", Score: v})
		}
		return r
	}
	for name, c := range map[string]struct {
		records []osv.Record
		want    domain.Severity
		ratings int
	}{
		"nobody rated it":         {[]osv.Record{rated("PYSEC-1", "")}, domain.Severity{}, 0},
		"only a word":             {[]osv.Record{rated("GHSA-a", "MODERATE")}, domain.Severity{Level: domain.Medium, Source: "ghsa"}, 1},
		"joined by alias":         {[]osv.Record{rated("PYSEC-1", ""), rated("GHSA-a", "HIGH")}, domain.Severity{Level: domain.High, Source: "ghsa"}, 1},
		"GitHub before PyPA":      {[]osv.Record{rated("GHSA-a", "LOW"), rated("PYSEC-1", "", critical)}, domain.Severity{Level: domain.Low, Source: "ghsa"}, 2},
		"GitHub before NVD":       {[]osv.Record{rated("GHSA-a", "", high), rated("CVE-2024-1", "", critical)}, domain.Severity{Level: domain.High, Score: 7.5, Vector: high, Source: "ghsa"}, 2},
		"NVD before PyPA":         {[]osv.Record{rated("PYSEC-1", "", high), rated("CVE-2024-1", "", critical)}, domain.Severity{Level: domain.Critical, Score: 9.8, Vector: critical, Source: "nvd"}, 2},
		"a vector before a word":  {[]osv.Record{rated("GHSA-a", "LOW", high)}, domain.Severity{Level: domain.High, Score: 7.5, Vector: high, Source: "ghsa"}, 2},
		"version 3 before 4":      {[]osv.Record{rated("GHSA-a", "", four, high)}, domain.Severity{Level: domain.High, Score: 7.5, Vector: high, Source: "ghsa"}, 2},
		"the worse of equals":     {[]osv.Record{rated("GHSA-a", "", low), rated("GHSA-b", "", critical), rated("GHSA-c", "", high)}, domain.Severity{Level: domain.Critical, Score: 9.8, Vector: critical, Source: "ghsa"}, 3},
		"malicious before all":    {[]osv.Record{rated("GHSA-a", "LOW", low), rated("MAL-2024-1", "")}, domain.Severity{Level: domain.Critical, Source: "malicious-packages"}, 3},
		"malicious by an alias":   {[]osv.Record{aliased(rated("GHSA-a", "LOW", low), "MAL-2024-1")}, domain.Severity{Level: domain.Critical, Source: "malicious-packages"}, 2},
		"malicious, well rated":   {[]osv.Record{rated("MAL-2024-1", "LOW", low)}, domain.Severity{Level: domain.Critical, Source: "malicious-packages"}, 1},
		"some rating before none": {[]osv.Record{rated("GHSA-a", ""), rated("OSV-2020-1", "", low)}, domain.Severity{Level: domain.Low, Score: 1.6, Vector: low, Source: "osv"}, 1},
		"said twice":              {[]osv.Record{rated("GHSA-a", "HIGH"), rated("GHSA-b", "HIGH")}, domain.Severity{Level: domain.High, Source: "ghsa"}, 1},
	} {
		for turn := range 6 {
			rand.New(rand.NewPCG(uint64(turn), 4)).Shuffle(len(c.records), func(i, j int) { c.records[i], c.records[j] = c.records[j], c.records[i] })
			findings := match(t, python("x", "1.0"), c.records...)
			if len(findings) != 1 {
				t.Fatalf("%s: %d findings", name, len(findings))
			}
			if diff := cmp.Diff(c.want, findings[0].Severity); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
			if len(findings[0].Ratings) != c.ratings {
				t.Errorf("%s: ratings %+v", name, findings[0].Ratings)
			}
		}
	}
}

// TestSeverityOfTheFamily: a record whose range does not reach the version still
// knows how bad the vulnerability is, and what it is called.
func TestSeverityOfTheFamily(t *testing.T) {
	pypa := aliased(ranged("PYSEC-1", "introduced 0, fixed 9"), "CVE-2024-1")
	github := aliased(ranged("GHSA-a", "introduced 5, fixed 9"), "CVE-2024-1")
	github.Database.Severity, github.Summary = "HIGH", "A title."
	stranger := aliased(ranged("GHSA-b", "introduced 5"), "CVE-2024-2")
	stranger.Database.Severity = "CRITICAL"
	findings := match(t, python("x", "1.0"), stranger, github, pypa)
	if len(findings) != 1 || findings[0].Severity != (domain.Severity{Level: domain.High, Source: "ghsa"}) || findings[0].Title != "A title." {
		t.Fatalf("%+v", findings)
	}
	if !slices.Equal(findings[0].Aliases, []string{"PYSEC-1"}) || findings[0].Fixed != "9" {
		t.Errorf("the record that does not apply is no source of the finding: %v, fixed %q", findings[0].Aliases, findings[0].Fixed)
	}
	// Its title comes after that of a record that applies.
	pypa.Summary = "The other."
	if findings = match(t, python("x", "1.0"), github, pypa); findings[0].Title != "The other." {
		t.Errorf("title %q", findings[0].Title)
	}
}

func TestMerged(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
	a := aliased(ranged("GHSA-a", "introduced 0, fixed 2.0"), "CVE-2024-1")
	a.Published, a.Modified, a.Summary = day(5), day(6), "A title."
	a.References = []osv.Reference{{URL: "https://example.com/b"}, {URL: "https://example.com/a"}}
	a.Database.Weaknesses = []string{"CWE-94", "CWE-20"}
	b := aliased(ranged("PYSEC-2024-1", "introduced 0, fixed 2.0"), "CVE-2024-1")
	b.Published, b.Modified, b.Details = day(3), day(9), "More text."
	b.References = []osv.Reference{{URL: "https://example.com/a"}}
	b.Database.Weaknesses = []string{"CWE-20"}
	undated := aliased(ranged("PYSEC-2024-2", "introduced 0, fixed 2.0"), "CVE-2024-1")
	want := []finding{{
		ID: "CVE-2024-1", Aliases: []string{"GHSA-a", "PYSEC-2024-1", "PYSEC-2024-2"}, Title: "A title.", Details: "More text.",
		Component: python("x", "1.0"), Fixed: "2.0", Weaknesses: []string{"CWE-20", "CWE-94"},
		References: []string{"https://example.com/a", "https://example.com/b"}, Published: day(3), Modified: day(9),
	}}
	for _, records := range [][]osv.Record{{a, b, undated}, {undated, b, a}} {
		if diff := cmp.Diff(want, match(t, python("x", "1.0"), records...), cmpopts.EquateComparable(component.Location{})); diff != "" {
			t.Error(diff)
		}
	}
}

// TestOrder: worst first, and the same whatever the order of the inventory.
func TestOrder(t *testing.T) {
	rated := func(id, word string) osv.Record {
		r := ranged(id, "introduced 0")
		r.Database.Severity = word
		return r
	}
	db := source{
		"PyPI":      {"a": {rated("GHSA-low", "LOW"), rated("GHSA-none", "")}, "b": {rated("GHSA-z", "CRITICAL"), rated("GHSA-y", "CRITICAL")}},
		"Debian:12": {"c": {rated("DSA-1", "HIGH")}},
	}
	at := func(c component.Component, path string, line int) component.Component {
		c.Locations = []component.Location{{Path: path, Line: line}}
		return c
	}
	debian := component.Component{Ecosystem: "Debian:12", Name: "c", Version: "1", Architecture: "amd64"}
	foreign := debian
	foreign.Architecture = "i386"
	components := []component.Component{
		at(python("a", "1.0"), "requirements.txt", 1), at(python("b", "1.0"), "requirements.txt", 10), at(python("b", "1.0"), "requirements.txt", 9),
		at(python("b", "1.0"), "old/requirements.txt", 20), at(python("b", "2.0"), "requirements.txt", 3), at(debian, "status", 1), at(foreign, "status", 2),
	}
	want := []string{
		"GHSA-y b 1.0 old/requirements.txt:20", "GHSA-y b 1.0 requirements.txt:9", "GHSA-y b 1.0 requirements.txt:10",
		"GHSA-z b 1.0 old/requirements.txt:20", "GHSA-z b 1.0 requirements.txt:9", "GHSA-z b 1.0 requirements.txt:10",
		"GHSA-y b 2.0 requirements.txt:3", "GHSA-z b 2.0 requirements.txt:3",
		"DSA-1 c 1 status:1", "DSA-1 c 1 status:2", "GHSA-low a 1.0 requirements.txt:1", "GHSA-none a 1.0 requirements.txt:1",
	}
	for turn := range 20 {
		rand.New(rand.NewPCG(uint64(turn), 5)).Shuffle(len(components), func(i, j int) { components[i], components[j] = components[j], components[i] })
		findings, err := advisory.Match(t.Context(), inventory(components...), db)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range findings {
			l := f.Component.Locations[0]
			got = append(got, fmt.Sprintf("%s %s %s %s:%d", f.ID, f.Component.Name, f.Component.Version, l.Path, l.Line))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

// tensorflow is shaped like the package with the most advisories: hundreds of
// records, each with hundreds of listed versions.
func tensorflow() []osv.Record {
	var versions []string
	for i := range 150 {
		versions = append(versions, fmt.Sprintf("%d.%d.%d", i/50, i/5%10, i%5))
	}
	var records []osv.Record
	for i := range 300 {
		r := ranged(fmt.Sprintf("PYSEC-2021-%d", i), "GIT introduced 0", fmt.Sprintf("introduced 0, fixed 2.%d.%d, introduced 2.9, fixed 2.9.%d", i%8, i%5, i%40))
		r.Affected[0].Versions = slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return strings.HasPrefix(v, "2") })
		records = append(records, aliased(r, fmt.Sprintf("CVE-2021-%d", i/2)))
	}
	return records
}

func BenchmarkMatch(b *testing.B) {
	db := source{"PyPI": {"x": tensorflow()}}
	for b.Loop() {
		findings, err := advisory.Match(b.Context(), inventory(python("x", "1.9.0+cpu")), db)
		if err != nil || len(findings) != 150 {
			b.Fatalf("%d findings, %v", len(findings), err)
		}
	}
}

func BenchmarkUpgrade(b *testing.B) {
	db := source{"PyPI": {"x": tensorflow()}}
	for b.Loop() {
		version, all, err := advisory.Upgrade(b.Context(), python("x", "1.9.0"), db)
		if err != nil || version != "2.7.4" || !all {
			b.Fatalf("%q, %v, %v", version, all, err)
		}
	}
}

// FuzzMatch: whatever the versions, nothing panics, and what must be affected
// is.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][3]string{
		{"1.0", "2.0", "1.0"}, {"1.13.0+cpu", "1.13.1", "1.13.0"}, {"2019-09-12", ">=3.8.2", ""}, {"1!1.0.post1.dev2", "1!1.0", "0"},
		{"1:2.3-4~rc1", "1:2.3-4", "a:1"}, {"~", "-", ":"}, {"\xff", "\x00", "99999999999999999999999999"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, installed, fixed, last string) {
		for _, ecosystem := range []string{"PyPI", "Debian:12", "Ubuntu:22.04", "unheard-of"} {
			count := func(events ...osv.Event) int {
				r := osv.Record{ID: "X-1", Affected: []osv.Affected{{Package: osv.Package{Ecosystem: ecosystem, Name: "x"}, Ranges: []osv.Range{{Type: "ECOSYSTEM", Events: events}}}}}
				return len(match(t, component.Component{Ecosystem: ecosystem, Name: "x", Version: installed}, r))
			}
			if count(osv.Event{Introduced: "0"}) != 1 || installed != "" && (count(osv.Event{Introduced: installed}) != 1 || count(osv.Event{Introduced: "0"}, osv.Event{LastAffected: installed}) != 1) {
				t.Fatalf("%s: %q is not affected by itself", ecosystem, installed)
			}
			if count(osv.Event{Fixed: fixed}, osv.Event{LastAffected: last}) != 0 {
				t.Fatalf("%s: affected by what nothing introduced", ecosystem)
			}
			a, b := count(osv.Event{Introduced: "0"}, osv.Event{Fixed: fixed}, osv.Event{LastAffected: last}), count(osv.Event{LastAffected: last}, osv.Event{Fixed: fixed}, osv.Event{Introduced: "0"})
			if a != b {
				t.Fatalf("%s: the order of events counts: %d and %d", ecosystem, a, b)
			}
		}
	})
}
