package explain_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/format/explain"
)

func TestBrief(t *testing.T) {
	want := `DENIED registry.example.com/ml/app:v1: signed: there is no signature of the image by ci; fix: assay sign (1 of 3 problems)
1. signed, in EvidencePolicy/pandas: there is no signature of the image by ci; fix: assay sign
2. scanned / odd, in EvidencePolicy/pandas: the check cannot be made: no such key: x
3. scanned / no-critical (linux/arm64), in EvidencePolicy/pandas: CVE-2023-47248 (CRITICAL) pyarrow 13.0.0, fixed in 14.0.1, requirements.txt:3 (no critical vulnerability); fix: upgrade pyarrow to 14.0.1`
	if diff := cmp.Diff(want, explain.Brief(denial(), 4096)); diff != "" {
		t.Error(diff)
	}
	fault := verdict.Verdict{Reference: "r", Decision: verdict.Fault, Reason: "the registry is away"}
	if got := explain.Brief(fault, 4096); got != "NO VERDICT, NOT ALLOWED r: the registry is away" {
		t.Error(got)
	}
	warned := denial()
	warned.Decision, warned.Reason = verdict.Warn, "only a warning"
	for i := range warned.Checks {
		warned.Checks[i].Action = verdict.WarnOnly
	}
	if got := explain.Brief(warned, 4096); !strings.HasPrefix(got, "ALLOWED WITH A WARNING registry.example.com/ml/app:v1: signed: ") {
		t.Error(got)
	}
}

// TestBriefBounds: whatever is in a verdict, the first line says the essentials
// in its bound, the whole keeps its own, and says what it leaves out.
func TestBriefBounds(t *testing.T) {
	v := denial()
	v.Reference = "registry.example.com/" + strings.Repeat("long/", 60) + "app:v1"
	for i := range v.Checks {
		v.Checks[i].Rule = strings.Repeat("rule ", 40)
		v.Checks[i].Items = []string{strings.Repeat("é", 300), "b", "c"}
		v.Checks[i].Remedy = strings.Repeat("do this ", 40)
		v.Checks[i].Evidence = nil
	}
	for _, most := range []int{0, 1, 40, 300, 1000, 1 << 20} {
		got := explain.Brief(v, most)
		first, _, _ := strings.Cut(got, "\n")
		if len(got) > max(most, len("…")) || utf8.RuneCountInString(first) > explain.Essentials || !utf8.ValidString(got) {
			t.Errorf("%d bytes for a bound of %d, %d characters in the first line", len(got), most, utf8.RuneCountInString(first))
		}
		if most >= 300 && (!strings.Contains(first, "app:v1: ") || !strings.Contains(first, "fix: do this") || !strings.Contains(first, "(1 of 3 problems)")) {
			t.Errorf("the essentials are not in %q", first)
		}
		if most == 1000 && !strings.Contains(got, "more lines; `assay check` shows everything") {
			t.Errorf("does not say what it leaves out: %q", got)
		}
	}
}

// TestWarnings: what does not deny stands after what does, with its action and
// by which exception.
func TestWarnings(t *testing.T) {
	v := denial()
	v.Checks[0].Action, v.Checks[0].Exception = verdict.WarnOnly, "migrating, owner ml-platform, until 2026-12-31"
	v.Checks[3].Action = verdict.AuditOnly
	got := text(t, v, 0)
	for _, want := range []string{"\n  1 of 1: scanned / no-critical", "\n  warn: signed failed, in EvidencePolicy/pandas\n",
		"\n    exception  migrating, owner ml-platform, until 2026-12-31\n", "\n  audit: scanned / odd could not be made"} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in\n%s", want, got)
		}
	}
}
