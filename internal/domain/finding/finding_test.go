package finding_test

import (
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

func TestLevel(t *testing.T) {
	for level, word := range map[finding.Level]string{finding.Unknown: "UNKNOWN", finding.Low: "LOW", finding.Medium: "MEDIUM", finding.High: "HIGH", finding.Critical: "CRITICAL"} {
		text, err := level.MarshalText()
		if err != nil || string(text) != word || level.String() != word {
			t.Errorf("level %d is %q, %v; want %q", level, text, err, word)
		}
		var read finding.Level
		if err := read.UnmarshalText([]byte(" " + word + " ")); err != nil || read != level {
			t.Errorf("%q reads as %v, %v", word, read, err)
		}
	}
	if !(finding.Unknown < finding.Low && finding.Low < finding.Medium && finding.Medium < finding.High && finding.High < finding.Critical) {
		t.Error("the levels are not in order")
	}
	if level, err := finding.ParseLevel("Moderate"); err != nil || level != finding.Medium {
		t.Errorf("moderate reads as %v, %v", level, err)
	}
	for _, word := range []string{"", "none", "negligible", "HIGH,CRITICAL", "5"} {
		if level, err := finding.ParseLevel(word); err == nil {
			t.Errorf("%q reads as %v, want an error", word, level)
		}
	}
	if got := finding.Level(9).String(); got != "Level(9)" {
		t.Errorf("a level that is none is %q", got)
	}
}

func TestHeadline(t *testing.T) {
	for want, f := range map[string]finding.Finding{"title": {Title: " title\nmore", Details: "x"}, "first": {Details: "\nfirst \r\nsecond"}, "": {}} {
		if got := f.Headline(); got != want {
			t.Errorf("%+v gives %q, want %q", f, got, want)
		}
	}
}

// The bounds of CVSS v3.1, section 5, at and beside each.
func TestLevelOf(t *testing.T) {
	for score, want := range map[float64]finding.Level{
		-1: finding.Unknown, 0: finding.Unknown, 0.1: finding.Low, 3.9: finding.Low, 4: finding.Medium, 6.9: finding.Medium,
		7: finding.High, 8.9: finding.High, 9: finding.Critical, 10: finding.Critical,
	} {
		if got := finding.LevelOf(score); got != want {
			t.Errorf("LevelOf(%v) = %v, want %v", score, got, want)
		}
	}
}

func TestSBOMString(t *testing.T) {
	digest := subject.Of([]byte("a"))
	for want, sbom := range map[string]finding.SBOM{
		"SPDX 2.3, bom.json (sha256:ca978112ca1b), signed by nobody": {Format: "SPDX 2.3", Digest: digest, Source: "bom.json"},
		"CycloneDX 1.6 by syft 1, dated 2026-01-02T03:04:05Z, referrer (sha256:ca978112ca1b), signed by ci (sha256:k)": {Format: "CycloneDX 1.6", Tool: "syft 1",
			Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Digest: digest, Source: "referrer", Signer: "ci", KeyID: "sha256:k"},
	} {
		if got := sbom.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// To wait for a version that heals is no answer to a malicious package.
func TestUnfixed(t *testing.T) {
	for name, c := range map[string]struct {
		f    finding.Finding
		want bool
	}{
		"no version":           {finding.Finding{ID: "CVE-2024-1"}, true},
		"a version":            {finding.Finding{ID: "CVE-2024-1", Fixed: "2"}, false},
		"malicious":            {finding.Finding{ID: "MAL-2024-1"}, false},
		"malicious, by alias":  {finding.Finding{ID: "CVE-2024-1", Aliases: []string{"GHSA-a", "MAL-2024-1"}}, false},
		"an id that only ends": {finding.Finding{ID: "X-MAL-1"}, true},
	} {
		if got := c.f.Unfixed(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
