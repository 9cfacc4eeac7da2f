package kyverno

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/kyverno/go-jmespath"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/predicate"
)

// judge makes the checks of one scope.
type judge struct {
	policy    *verifier
	rule      string
	scope     policy.Scope
	now       time.Time
	context   map[string]any
	known     bool
	functions *jmespath.FunctionCaller
	// claims by the name of the signer; rejections of the same.
	claims     map[string][]trust.Claim
	rejections map[string][]trust.Rejection
	checks     []verdict.Check
}

func newJudge(p *verifier, input policy.Input, scope policy.Scope) *judge {
	j := &judge{policy: p, scope: scope, now: input.Now, known: input.Request.Known, functions: caller(input.Now),
		claims: map[string][]trust.Claim{}, rejections: map[string][]trust.Rejection{}}
	j.context = policyContext(input.Image, input.Request)
	return j
}

// policyContext is what expressions see beside the predicate.
func policyContext(image policy.Image, request policy.Request) map[string]any {
	registry := image.Registry
	if registry == "index.docker.io" {
		registry = "docker.io"
	}
	full := registry + "/" + image.Repository
	described := map[string]any{
		"registry": registry, "path": image.Repository, "name": image.Repository[strings.LastIndex(image.Repository, "/")+1:],
		"digest": image.Digest.String(), "reference": full + "@" + image.Digest.String(),
	}
	if image.Tag != "" {
		described["tag"] = image.Tag
		described["referenceWithTag"] = full + ":" + image.Tag
	}
	result := map[string]any{"image": described}
	if request.Known {
		metadata := map[string]any{"name": request.Name}
		asked := map[string]any{"kind": map[string]any{"kind": request.Kind}, "name": request.Name,
			"object": map[string]any{"kind": request.Kind, "metadata": metadata}}
		if request.Namespace != "" {
			asked["namespace"] = request.Namespace
			metadata["namespace"] = request.Namespace
		}
		result["request"] = asked
	}
	return result
}

func (j *judge) add(c verdict.Check) {
	c.Policy, c.Rule, c.Platform = j.policy.name, j.rule, j.scope.Platform
	j.checks = append(j.checks, c)
}

func (j *judge) block(ctx context.Context, b verifyBlock) error {
	for _, set := range b.attestors {
		if err := ctx.Err(); err != nil {
			return err
		}
		j.signed(set)
	}
	for _, a := range b.attestations {
		for _, set := range a.attestors {
			if err := ctx.Err(); err != nil {
				return err
			}
			j.attested(a, set)
		}
	}
	return nil
}

// verified are the claims that one signer makes about the scope.
func (j *judge) verified(signer trust.Signer) []trust.Claim {
	if claims, done := j.claims[signer.Name]; done {
		return claims
	}
	claims := []trust.Claim{}
	for _, evidence := range j.scope.Evidence {
		claim, rejection := trust.Verify(evidence, []trust.Signer{signer}, j.scope.Subjects, j.now)
		if rejection != nil {
			j.rejections[signer.Name] = append(j.rejections[signer.Name], *rejection)
			continue
		}
		claims = append(claims, claim)
	}
	j.claims[signer.Name] = claims
	return claims
}

// rejected is how much evidence of a type did not count, for hints.
const rejected = 8

// turnedAway names evidence that says it is of the type and does not count.
// The same piece is named once, however many signers were asked for.
func (j *judge) turnedAway(set attestorSet, wanted string) (list []verdict.Evidence, reasons string) {
	seen := map[string]bool{}
	var words []string
	for _, signer := range set.signers {
		for _, r := range j.rejections[signer.Name] {
			name := r.Evidence.Digest.String() + r.Evidence.Source
			if !sameType(wanted, r.ClaimedType) || seen[name] || len(list) == rejected {
				continue
			}
			seen[name] = true
			list = append(list, r.Evidence)
			words = append(words, r.Evidence.Source+": "+r.Evidence.Rejected)
		}
	}
	return list, strings.Join(words, "; ")
}

// sameType compares predicate types; cosign's vulnerability type is written
// with and without its scheme.
func sameType(wanted, found string) bool {
	bare := func(uri string) string {
		if uri == predicate.TypeCosignVulnBare {
			return predicate.TypeCosignVuln
		}
		return uri
	}
	return bare(wanted) == bare(found)
}

func (s attestorSet) describe() string {
	keys := make([]string, 0, len(s.signers))
	for _, signer := range s.signers {
		keys = append(keys, signer.Keys[0].ID.String())
	}
	if len(keys) == 1 {
		return "the key " + keys[0]
	}
	return fmt.Sprintf("%d of the %d keys %s", s.required, len(keys), strings.Join(keys, ", "))
}

// signed checks that enough signers of a set signed the image itself.
func (j *judge) signed(set attestorSet) {
	check := verdict.Check{Name: set.name, Expected: "a signature of the image by " + set.describe()}
	count := 0
	for _, signer := range set.signers {
		var mine []trust.Claim
		for _, claim := range j.verified(signer) {
			if claim.Type() == predicate.TypeCosignSign {
				mine = append(mine, claim)
			}
		}
		deciding, _, _ := trust.Newest(mine, j.now)
		if len(deciding) > 0 {
			count++
			check.Evidence = append(check.Evidence, evidenceOf(deciding)...)
		}
	}
	check.Found = fmt.Sprintf("%d of %d signatures that count", count, set.required)
	if count >= set.required {
		check.Outcome = verdict.Passed
		j.add(check)
		return
	}
	turned, reasons := j.turnedAway(set, predicate.TypeCosignSign)
	check.Evidence = append(check.Evidence, turned...)
	if reasons != "" {
		check.Found += "; not counted: " + reasons
	}
	check.Remedy = "sign the image by its digest with the key that the policy names: assay sign --key KEY IMAGE@DIGEST"
	j.add(check)
}

func evidenceOf(claims []trust.Claim) []verdict.Evidence {
	list := make([]verdict.Evidence, 0, len(claims))
	for _, claim := range claims {
		list = append(list, claim.Evidence())
	}
	return list
}

// attested checks that for enough signers of a set the attestations that
// decide satisfy the conditions.
func (j *judge) attested(a attestation, set attestorSet) {
	passed := verdict.Check{Name: set.name, Outcome: verdict.Passed, Expected: "an attestation of type " + a.predicateType + " by " + set.describe() + " that satisfies the conditions"}
	var failures []verdict.Check
	count := 0
	for _, signer := range set.signers {
		claims, missing := j.deciding(a, set, signer)
		if missing != nil {
			failures = append(failures, *missing)
			continue
		}
		var wrong []verdict.Check
		for _, claim := range claims {
			wrong = append(wrong, j.satisfies(a, claim)...)
		}
		if len(wrong) > 0 {
			failures = append(failures, wrong...)
			continue
		}
		count++
		passed.Evidence = append(passed.Evidence, evidenceOf(claims)...)
	}
	if count >= set.required {
		passed.Found = fmt.Sprintf("%d of %d that count", count, set.required)
		j.add(passed)
		return
	}
	for _, failure := range failures {
		j.add(failure)
	}
}

// deciding are the claims of the type by one signer that decide, or the check
// that fails because there are none. Newer evidence of another type of the
// same family replaces older evidence of the type asked for.
func (j *judge) deciding(a attestation, set attestorSet, signer trust.Signer) ([]trust.Claim, *verdict.Check) {
	var family []trust.Claim
	for _, claim := range j.verified(signer) {
		if sameType(a.predicateType, claim.Type()) || predicate.Family(claim.Type()) == predicate.Family(a.predicateType) {
			family = append(family, claim)
		}
	}
	current, superseded, future := trust.Newest(family, j.now)
	var wanted []trust.Claim
	for _, claim := range current {
		if sameType(a.predicateType, claim.Type()) {
			wanted = append(wanted, claim)
		}
	}
	if len(wanted) > 0 {
		return wanted, nil
	}
	check := verdict.Check{Name: set.name, Expected: "an attestation of type " + a.predicateType + " by the key " + signer.Keys[0].ID.String()}
	turned, reasons := j.turnedAway(attestorSet{signers: []trust.Signer{signer}}, a.predicateType)
	switch {
	case len(future) > 0:
		check.Found = "only one that is dated in the future"
		check.Evidence = evidenceOf(future)
	case len(superseded) > 0:
		check.Found = "only older ones, replaced by newer evidence of type " + current[0].Type()
		check.Evidence = append(evidenceOf(current), evidenceOf(superseded)...)
	case reasons != "":
		check.Found = "none that counts: " + reasons
		check.Evidence = turned
	default:
		check.Found = "none among " + explain.Count(len(j.scope.Evidence), "piece", "pieces") + " of evidence"
	}
	check.Remedy = "make one with the key that the policy names: assay attest --key KEY --type " + a.predicateType + " --predicate FILE IMAGE@DIGEST"
	return nil, &check
}

// satisfies gives a check for each reason why a claim does not satisfy the
// conditions.
func (j *judge) satisfies(a attestation, claim trust.Claim) []verdict.Check {
	root, err := j.root(claim)
	if err != nil {
		return []verdict.Check{{Name: a.name, Outcome: verdict.Broken, Expected: "a predicate that is a JSON object",
			Found: err.Error(), Evidence: []verdict.Evidence{claim.Evidence()}}}
	}
	wrong := j.scan(a, claim)
	env := &environment{root: root, functions: j.functions, known: j.known}
	for i, b := range a.blocks {
		outcomes, holds := b.evaluate(env)
		if holds {
			continue
		}
		before := len(wrong)
		for n, o := range outcomes {
			if o.broken == nil && (o.holds || b.hasAny && n >= len(b.all) && someHold(outcomes[len(b.all):])) {
				continue
			}
			wrong = append(wrong, o.check(claim, b.hasAny && n >= len(b.all) && len(b.any) > 1))
		}
		if len(wrong) == before {
			wrong = append(wrong, verdict.Check{Name: fmt.Sprintf("%s.conditions[%d]", a.name, i), Outcome: verdict.Failed,
				Expected: "a condition that holds", Found: "an empty list of conditions, which never holds",
				Evidence: []verdict.Evidence{claim.Evidence()}, Remedy: "write the condition into the policy, or leave the list out"})
		}
	}
	if len(wrong) > 0 {
		j.explain(wrong, claim)
	}
	return wrong
}

func someHold(outcomes []outcome) bool {
	for _, o := range outcomes {
		if o.holds {
			return true
		}
	}
	return false
}

func (o outcome) check(claim trust.Claim, alternative bool) verdict.Check {
	c := verdict.Check{Name: o.condition.name, Outcome: verdict.Failed, Message: o.message, Expected: o.expected, Found: o.found,
		Evidence: []verdict.Evidence{claim.Evidence()}}
	if alternative {
		c.Expected = "one of several: " + c.Expected
	}
	if o.broken != nil {
		c.Outcome, c.Found = verdict.Broken, o.broken.Error()
	}
	return c
}

// root is the policy's context with the predicate's fields beside it. The
// predicate never hides the context.
func (j *judge) root(claim trust.Claim) (map[string]any, error) {
	var fields map[string]any
	if err := json.Unmarshal(claim.Predicate(), &fields); err != nil {
		return nil, fmt.Errorf("the predicate is no JSON object: %w", err)
	}
	root := make(map[string]any, len(fields)+2)
	maps.Copy(root, fields)
	delete(root, "request")
	for name := range reserved {
		delete(root, name)
	}
	maps.Copy(root, j.context)
	return root, nil
}
