package kyverno_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

func TestDenial(t *testing.T) {
	ci, other := newSigner(t), newSigner(t)
	base, pandas := mustLoad(t, withKey(file(t, "base-image.yaml"), ci.pem)), mustLoad(t, withKey(file(t, "pandas.yaml"), ci.pem))
	both := mustLoad(t, attestors("", "{entries: ["+ci.entry()+", "+other.entry()+"]}"))
	said := func(p policy.Policy, evidence ...trust.Evidence) string {
		v := verdict.Verdict{Reference: "registry.example.com/test/demo-5:latest", Checks: judge(t, p, input(evidence...))}
		return kyverno.Denial("Pod/policy/deny-base-image", []verdict.Verdict{v}, []policy.Policy{p})
	}
	const head = "resource Pod/policy/deny-base-image was blocked due to the following policies\n\n"
	ubuntu := ci.attest(t, bomType, `{"components":[{"type":"operating-system","name":"debian","version":"12"}]}`)
	for name, c := range map[string]struct{ got, want string }{
		"conditions": {said(base, ubuntu), head + "verify-base-image:\n  check-image: 'image attestations verification failed, verifiedCount: 0, requiredCount: 1, error: " +
			".attestations[0].attestors[0].entries[0].keys: attestation checks failed for registry.example.com/test/demo-5:latest and predicate https://cyclonedx.org/bom: " +
			`the operating system must be Ubuntu 22.04 or 24.04, not ["debian"] ["12"]; ` +
			".attestations[0].attestors[0].entries[0].keys: attestation checks failed for registry.example.com/test/demo-5:latest and predicate https://cyclonedx.org/bom: " +
			`the operating system must be Alpine 3.18 or 3.20, not ["debian"] ["12"]'` + "\n"},
		"nothing is there": {said(pandas), head + "check-pandas-workload-attestation:\n  verify-image-attestation: 'failed to verify image registry.example.com/test/demo-5:latest: " +
			".attestors[0]: no signatures found; image attestations verification failed, verifiedCount: 0, requiredCount: 1, error: " +
			".attestations[0].attestors[0]: attestions not found for predicate type " + vulnType + "'\n"},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, c.got, c.want)
		}
	}
	if got := said(both, ci.attest(t, "https://example.com/t", `{}`)); !strings.Contains(got, "verifiedCount: 1, requiredCount: 2, error: ") {
		t.Errorf("one of two: %s", got)
	}
	if got := said(pandas, other.image(t)); !strings.Contains(got, ".attestors[0]: no matching signatures: bad signature") {
		t.Errorf("another key: %s", got)
	}
	if got := said(base, ci.attest(t, bomType, `{"components":[{"type":"operating-system","name":"alpine","version":"3.20"}]}`)); strings.Contains(got, "check-image") {
		t.Errorf("what holds is said to deny: %s", got)
	}
	admitted := []verdict.Verdict{{Reference: "a", Decision: verdict.Allow, Checks: []verdict.Check{{Policy: "ClusterPolicy/p", Rule: "r"}}}}
	if got := kyverno.Denial("Pod/a/b", admitted, nil); got != "" {
		t.Errorf("of what is admitted: %s", got)
	}
	closed := []verdict.Verdict{{Reference: "a", Reason: "no policy judges it"}, {Reference: "b", Decision: verdict.Fault, Reason: "the registry is away"}}
	if got := kyverno.Denial("Pod/a/b", closed, nil); !strings.Contains(got, "deny: 'failed to verify image a: no policy judges it'") || !strings.Contains(got, "fault: 'failed to verify image b: the registry is away'") {
		t.Errorf("without checks: %s", got)
	}
}

func TestWarnings(t *testing.T) {
	ci := newSigner(t)
	p := mustLoad(t, ruled{spec: "validationFailureAction: Audit"}.yaml(ci.pem))
	v := verdict.Verdict{Reference: "app:1", Decision: verdict.Warn, Checks: judge(t, p, input())}
	if got := fmt.Sprint(kyverno.Warnings(v)); got != "[policy p.r: failed to verify image app:1: .attestors[0]: no signatures found]" {
		t.Error(got)
	}
	v.Checks = judge(t, p, input(ci.image(t)))
	if got := kyverno.Warnings(v); got != nil {
		t.Errorf("of what holds: %q", got)
	}
}
