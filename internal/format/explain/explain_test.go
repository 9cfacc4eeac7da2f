package explain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/format/explain"
)

var digest = subject.Of([]byte("image"))

func denial() verdict.Verdict {
	evidence := verdict.Evidence{Digest: subject.Of([]byte("evidence")), Type: "https://cosign.sigstore.dev/attestation/vuln/v1", Signer: "ci",
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	return verdict.Verdict{
		Reference: "registry.example.com/ml/app:v1", Subject: digest, Pinned: "registry.example.com/ml/app:v1@" + digest.String(),
		Decision: verdict.Deny, Policies: []string{"EvidencePolicy/pandas"},
		Checks: []verdict.Check{
			{Policy: "EvidencePolicy/pandas", Rule: "signed", Outcome: verdict.Failed, Expected: "a signature of the image by ci", Found: "none",
				Evidence: []verdict.Evidence{{Digest: evidence.Digest, Type: "t", Rejected: "bad signature: no key fits"}}, Remedy: "assay sign"},
			{Policy: "EvidencePolicy/pandas", Rule: "scanned", Outcome: verdict.Passed, Expected: "an attestation", Found: "1 piece, signed by ci", Evidence: []verdict.Evidence{evidence}},
			{Policy: "EvidencePolicy/pandas", Rule: "scanned", Name: "no-critical", Platform: "linux/arm64", Outcome: verdict.Failed, Message: "no critical\nvulnerability",
				Expected: "nothing in x", Found: "1 violation", Items: []string{"CVE-2023-47248 (CRITICAL) pyarrow 13.0.0, fixed in 14.0.1, requirements.txt:3"},
				Evidence: []verdict.Evidence{evidence}, Remedy: "upgrade pyarrow to 14.0.1"},
			{Policy: "EvidencePolicy/pandas", Rule: "scanned", Name: "odd", Outcome: verdict.Broken, Expected: "x", Found: "the check cannot be made: no such key: x"},
		},
	}
}

const written = `DENIED  registry.example.com/ml/app:v1
  digest     sha256:@image
  policy     EvidencePolicy/pandas

  1 of 3: signed failed, in EvidencePolicy/pandas
    expected   a signature of the image by ci
    found      none
    evidence   t, @evidence does not count: bad signature: no key fits
    fix        assay sign

  2 of 3: scanned / odd could not be made, in EvidencePolicy/pandas
    expected   x
    found      the check cannot be made: no such key: x

  3 of 3: scanned / no-critical (linux/arm64) failed, in EvidencePolicy/pandas
    why        no critical vulnerability
    expected   nothing in x
    found      1 violation
               - CVE-2023-47248 (CRITICAL) pyarrow 13.0.0, fixed in 14.0.1, requirements.txt:3
    evidence   https://cosign.sigstore.dev/attestation/vuln/v1, signed by ci, 2026-03-01T12:00:00Z, @evidence
    fix        upgrade pyarrow to 14.0.1

  passed     scanned: 1 piece, signed by ci (https://cosign.sigstore.dev/attestation/vuln/v1, signed by ci, 2026-03-01T12:00:00Z, @evidence)
`

func text(t *testing.T, v verdict.Verdict, width int) string {
	t.Helper()
	var b strings.Builder
	if err := explain.Fold(&b, v, width); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite(t *testing.T) {
	var b strings.Builder
	if err := explain.Write(&b, denial()); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(written, "@image", digest.Hex())
	want = strings.ReplaceAll(want, "@evidence", subject.Of([]byte("evidence")).Short())
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFold(t *testing.T) {
	for _, width := range []int{40, 60, 100} {
		folded := text(t, denial(), width)
		for _, line := range strings.Split(folded, "\n") {
			if len(line) > width && strings.Contains(strings.TrimSpace(line[min(len(line), 17):]), " ") {
				t.Errorf("width %d: %q could be folded", width, line)
			}
		}
		if diff := cmp.Diff(strings.Fields(text(t, denial(), 0)), strings.Fields(folded)); diff != "" {
			t.Errorf("width %d changes words: %s", width, diff)
		}
	}
}

func TestDecisions(t *testing.T) {
	for decision, want := range map[verdict.Decision]string{
		verdict.Allow: "ALLOWED  r", verdict.Warn: "ALLOWED WITH A WARNING  r", verdict.Deny: "DENIED  r", verdict.Fault: "NO VERDICT, NOT ALLOWED  r", 77: "DENIED (Decision(77))  r",
	} {
		v := verdict.Verdict{Reference: "r", Pinned: "r@d", Decision: decision, Reason: "because"}
		got := text(t, v, 80)
		if !strings.HasPrefix(got, want+"\n") || !strings.Contains(got, "because") {
			t.Errorf("%s: %s", decision, got)
		}
		if strings.Contains(got, "r@d") != decision.Admits() {
			t.Errorf("%s: says what to run, or not: %s", decision, got)
		}
	}
}

// TestHostile: what evidence says cannot write a line of its own, or over one.
func TestHostile(t *testing.T) {
	hostile := "x\n  passed     all\r\x1b[2K\u202eevil\u200b\u2028y\x9b1A\xff\U000e0041"
	v := denial()
	v.Checks[2].Items = []string{hostile}
	v.Checks[2].Evidence[0].Type = hostile
	v.Reason, v.Reference = hostile, hostile
	for _, width := range []int{0, 80} {
		got := text(t, v, width)
		for _, r := range got {
			if r != '\n' && (r < 0x20 || r == 0x7f || r >= 0x80 && r <= 0x9f || r == 0x202e || r == 0x200b || r == 0x2028 || r == 0xfffd || r == 0xe0041) {
				t.Errorf("%U comes through", r)
			}
		}
		if strings.Contains(got, "\n  passed     all") {
			t.Errorf("a line was forged:\n%s", got)
		}
	}
	if got := explain.Clean("a\tb\n\u202ec"); got != `a\u0009b\u000a\u202ec` {
		t.Error(got)
	}
	if got := explain.Clean("plain é 漢字"); got != "plain é 漢字" {
		t.Error(got)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteFails(t *testing.T) {
	if err := explain.Write(full{}, denial()); err == nil {
		t.Error("the writer's error is lost")
	}
}
