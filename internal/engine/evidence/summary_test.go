package evidence_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/evidence"
	"github.com/seed-161fc314/assay/predicate"
)

func TestSummary(t *testing.T) {
	image, scan, bad := subject.Of([]byte("image")), subject.Of([]byte("scan")), subject.Of([]byte("bad"))
	judged := verdict.Verdict{Reference: "registry.example.com/app:1", Subject: image, Decision: verdict.Allow, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Policies: []string{"EvidencePolicy/a"}, Checks: []verdict.Check{
			{Outcome: verdict.Passed, Evidence: []verdict.Evidence{{Digest: scan, Type: predicate.TypeCosignVuln, Signer: "ci"}, {Digest: bad, Type: "t", Rejected: "bad signature"}}},
			{Outcome: verdict.Passed, Evidence: []verdict.Evidence{{Digest: scan, Type: predicate.TypeCosignVuln, Signer: "other"}}},
		}}
	one := predicate.ResourceDescriptor{Name: "EvidencePolicy/a", URI: "policy.yaml", Digest: map[string]string{"sha256": "aa"}}
	two := predicate.ResourceDescriptor{Name: "EvidencePolicy/b", URI: "b.yaml", Digest: map[string]string{"sha256": "bb"}}
	for name, c := range map[string]struct {
		decision      verdict.Decision
		policies      []predicate.ResourceDescriptor
		result, level string
	}{
		"allowed": {verdict.Allow, []predicate.ResourceDescriptor{one}, "PASSED", evidence.LevelAllowed},
		"warned":  {verdict.Warn, []predicate.ResourceDescriptor{one, two}, "PASSED", evidence.LevelWarned},
		"denied":  {verdict.Deny, []predicate.ResourceDescriptor{one}, "FAILED", "FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			v := judged
			v.Decision = c.decision
			d, err := evidence.Summary(v, c.policies, "1.2.3")
			if err != nil || d.Type != predicate.TypeVSA {
				t.Fatalf("%s, %v", d.Type, err)
			}
			var got predicate.VerificationSummary
			if err := json.Unmarshal(d.Body, &got); err != nil {
				t.Fatal(err)
			}
			if got.VerificationResult != c.result || !cmp.Equal(got.VerifiedLevels, []string{c.level}) || got.ResourceURI != v.Reference || got.Verifier.ID != evidence.VerifierURI || got.Verifier.Version["assay"] != "1.2.3" {
				t.Errorf("%s", d.Body)
			}
			if diff := cmp.Diff([]predicate.ResourceDescriptor{{URI: predicate.TypeCosignVuln, Digest: map[string]string{"sha256": scan.Hex()}}}, got.InputAttestations); diff != "" {
				t.Errorf("evidence that was looked at, each piece once and none that was rejected: %s", diff)
			}
			if listed, _ := got.Policy.Annotations["policies"].([]any); got.Policy.Digest["sha256"] != "aa" || (len(c.policies) > 1) != (len(listed) == len(c.policies)) {
				t.Errorf("policy %+v", got.Policy)
			}
			if when, has, err := predicate.Time(d.Type, d.Body); err != nil || !has || !when.Equal(v.Time) {
				t.Errorf("time %v %v %v", when, has, err)
			}
		})
	}
	fault := judged
	fault.Decision, fault.Reason = verdict.Fault, "the registry is away"
	if _, err := evidence.Summary(fault, nil, "1"); err == nil || !strings.Contains(err.Error(), "the registry is away") {
		t.Errorf("a fault was summarised: %v", err)
	}
	unresolved := judged
	unresolved.Decision, unresolved.Subject = verdict.Deny, subject.Digest{}
	if _, err := evidence.Summary(unresolved, nil, "1"); err == nil {
		t.Error("a verdict about nothing was summarised")
	}
	strange := judged
	strange.Decision = 9
	if _, err := evidence.Summary(strange, nil, "1"); err == nil {
		t.Error("an unknown decision was summarised")
	}
}
