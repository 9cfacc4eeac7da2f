package evidence

import (
	"errors"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/predicate"
)

// VerifierURI names Assay's gate in verification summaries.
const VerifierURI = "https://assay.sh/gate"

// What a summary says in verifiedLevels. Assay claims no SLSA level: a policy
// can ask for one, and the summary names the policy.
const (
	LevelAllowed = "ASSAY_ALLOWED"
	LevelWarned  = "ASSAY_ALLOWED_WITH_WARNING"
	levelFailed  = "FAILED"
)

// Summary writes a verdict as SLSA's verification summary v1. policies are the
// files of those that judged, with their digests; where there are several, the
// summary's policy is the first and its annotation "policies" has all. A fault
// is no verdict, and an error.
func Summary(v verdict.Verdict, policies []predicate.ResourceDescriptor, toolVersion string) (Document, error) {
	body := predicate.VerificationSummary{
		Verifier:     predicate.Verifier{ID: VerifierURI, Version: map[string]string{"assay": toolVersion}},
		TimeVerified: v.Time.UTC(), ResourceURI: v.Reference,
	}
	switch v.Decision {
	case verdict.Allow:
		body.VerificationResult, body.VerifiedLevels = predicate.VerificationPassed, []string{LevelAllowed}
	case verdict.Warn:
		body.VerificationResult, body.VerifiedLevels = predicate.VerificationPassed, []string{LevelWarned}
	case verdict.Deny:
		body.VerificationResult, body.VerifiedLevels = predicate.VerificationFailed, []string{levelFailed}
	default:
		return Document{}, errors.New("there is no verdict to summarise: " + v.Reason)
	}
	if v.Subject.IsZero() || v.Time.IsZero() {
		return Document{}, errors.New("a verdict without a digest or a time cannot be summarised")
	}
	if len(policies) > 0 {
		body.Policy = policies[0]
	}
	if len(policies) > 1 {
		body.Policy.Annotations = map[string]any{"policies": policies}
	}
	type piece struct {
		digest subject.Digest
		uri    string
	}
	seen := map[piece]bool{}
	for _, c := range v.Checks {
		for _, e := range c.Evidence {
			if e.Rejected != "" || seen[piece{e.Digest, e.Type}] {
				continue
			}
			seen[piece{e.Digest, e.Type}] = true
			body.InputAttestations = append(body.InputAttestations, predicate.ResourceDescriptor{URI: e.Type, Digest: map[string]string{e.Digest.Algorithm(): e.Digest.Hex()}})
		}
	}
	return document(predicate.TypeVSA, body)
}
