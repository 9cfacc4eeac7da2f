package kyverno

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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
	policy *verifier
	// stopped says why nobody waits for the judgement any more, nil where somebody
	// does.
	stopped func() error
	// memory is that of all scopes.
	memory    *trust.Memory
	rule      string
	action    verdict.Action
	scope     policy.Scope
	now       time.Time
	facts     facts
	functions *jmespath.FunctionCaller
	// claims by the name of the signer; rejections of the same.
	claims     map[string][]trust.Claim
	rejections map[string][]trust.Rejection
	checks     []verdict.Check
}

func newJudge(ctx context.Context, p *verifier, input policy.Input, scope policy.Scope, memory *trust.Memory) *judge {
	return &judge{policy: p, stopped: ctx.Err, memory: memory, scope: scope, now: input.Now, functions: caller(input.Now),
		claims: map[string][]trust.Claim{}, rejections: map[string][]trust.Rejection{}}
}

func (j *judge) add(c verdict.Check) {
	c.Policy, c.Rule, c.Platform = j.policy.name, j.rule, j.scope.Platform
	if c.Outcome == verdict.Failed || c.Outcome == verdict.Broken {
		c.Action = j.action
	}
	j.checks = append(j.checks, c)
}

// judge makes the checks of one rule, if it has to do with the image.
func (j *judge) judge(ctx context.Context, r rule, input policy.Input) error {
	looked, applies := r.applies(j.policy, input.Request)
	if !applies {
		return nil
	}
	spellings := dockerSpellings(input.Image.Spellings())
	proven := dockerSpellings(input.Image.Proven().Spellings())
	j.rule, j.facts = r.name, facts{}
	for _, b := range r.blocks {
		if !matchAny(b.references, spellings) {
			continue
		}
		if j.facts.values == nil {
			j.facts = gather(r.variables, input.Image, input.Request, looked, environment{functions: j.functions})
			if r.preconditions != nil {
				if answer, outcomes := r.preconditions.holds(j.environment(nil)); answer == no {
					j.add(verdict.Check{Name: "preconditions", Outcome: verdict.Skipped, Expected: "a workload for which the preconditions hold", Found: said(outcomes)})
					return nil
				}
			}
		}
		j.action = b.action.in(input.Request)
		switch {
		case matchAny(b.skipped, proven):
			j.add(verdict.Check{Name: "skipImageReferences", Outcome: verdict.Skipped,
				Expected: "an image that the policy does not exempt", Found: "the policy's skipImageReferences exempt this image"})
			continue
		case len(b.attestors)+len(b.attestations) == 0:
			j.add(verdict.Check{Name: "verifyImages", Outcome: verdict.Skipped, Expected: "attestors or attestations to ask for",
				Found: "neither: the policy only wants images pinned to digests, which this door does, and says nothing of who made them"})
		default:
			if err := j.block(ctx, b); err != nil {
				return err
			}
		}
		if b.pinned && input.Request.Known && !input.Image.Pinned {
			j.add(verdict.Check{Name: "verifyDigest", Expected: "a reference with a digest, since the policy leaves references as they are (mutateDigest: false)",
				Found: "missing digest for " + input.Image.Registry + "/" + input.Image.Repository, Remedy: "name the image by its digest in the workload: IMAGE@" + input.Image.Digest.String()})
		}
	}
	return nil
}

// said spells what conditions found, for people.
func said(outcomes []outcome) string {
	var words []string
	for _, o := range outcomes {
		if !o.holds {
			words = append(words, o.expected+", found "+o.found)
		}
	}
	return "they do not hold: " + strings.Join(words, "; ")
}

// environment is what expressions see beside some fields of their own.
func (j *judge) environment(fields map[string]any) *environment {
	root := make(map[string]any, len(fields)+len(j.facts.values))
	maps.Copy(root, fields)
	for _, name := range given {
		delete(root, name)
	}
	for name := range j.facts.missing {
		delete(root, name)
	}
	maps.Copy(root, j.facts.values)
	return &environment{root: root, functions: j.functions, missing: j.facts.missing}
}

func (j *judge) block(ctx context.Context, b verifyBlock) error {
	for _, set := range b.attestors {
		if err := ctx.Err(); err != nil {
			return err
		}
		if set, ok := j.known(set); ok {
			j.signed(set)
		}
	}
	named := map[string][]trust.Claim{}
	complete := true
	for _, a := range b.attestations {
		for _, set := range a.attestors {
			if err := ctx.Err(); err != nil {
				return err
			}
			set, ok := j.known(set)
			if !ok {
				complete = false
				continue
			}
			claims := j.attested(a, set)
			complete = complete && claims != nil
			if a.variable != "" {
				named[a.variable] = append(named[a.variable], claims...)
			}
		}
		if a.variable != "" {
			j.name(a.variable, named[a.variable])
		}
	}
	if b.deny != nil && complete {
		j.deny(b, named)
	}
	return nil
}

// name lets later conditions call a predicate by the attestation's name.
func (j *judge) name(variable string, claims []trust.Claim) {
	fields, err := map[string]any(nil), fmt.Errorf("%s is not one attestation that satisfies its conditions, but %d", variable, len(claims))
	if len(claims) == 1 {
		fields, err = fieldsOf(claims[0])
	}
	j.facts.set(variable, fields, err)
}

// verified are the claims that one party makes about the scope.
func (j *judge) verified(p party) []trust.Claim {
	if claims, done := j.claims[p.signer.Name]; done {
		return claims
	}
	claims := []trust.Claim{}
	all := j.scope.Evidence
	if p.repository != "" {
		all = j.scope.Elsewhere[p.repository]
	}
	for _, evidence := range all {
		if j.stopped() != nil {
			return nil // Judge says so
		}
		claim, rejection := j.memory.Verify(evidence, []trust.Signer{p.signer}, j.scope.Subjects, j.now)
		if rejection == nil {
			rejection = p.annotated(claim, evidence)
		}
		if rejection != nil {
			j.rejections[p.signer.Name] = append(j.rejections[p.signer.Name], *rejection)
			continue
		}
		claims = append(claims, claim)
	}
	j.claims[p.signer.Name] = claims
	return claims
}

// annotated says why a claim has not the annotations that the party must sign.
func (p party) annotated(claim trust.Claim, evidence trust.Evidence) *trust.Rejection {
	signed := claim.Annotations()
	for _, key := range slices.Sorted(maps.Keys(p.annotations)) {
		if found, has := signed[key]; !has || found != p.annotations[key] {
			detail := fmt.Sprintf("its signed annotation %q is %q, want %q", key, found, p.annotations[key])
			return &trust.Rejection{Reason: "other annotations", Detail: detail, ClaimedType: claim.Type(),
				Evidence: verdict.Evidence{Digest: evidence.Digest, Type: claim.Type(), Source: evidence.Source, Rejected: "other annotations: " + detail}}
		}
	}
	return nil
}

// rejected is how much evidence of a type did not count, for hints.
const rejected = 8

// turnedAway names evidence that says it is of the type and does not count.
// The same piece is named once, however many signers were asked for.
func (j *judge) turnedAway(parties []party, wanted string) (list []verdict.Evidence, reasons string) {
	seen := map[string]bool{}
	var words []string
	for _, p := range parties {
		for _, r := range j.rejections[p.signer.Name] {
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

// signed checks that enough parties of a set signed the image itself.
func (j *judge) signed(set attestorSet) {
	check := verdict.Check{Name: set.name, Expected: "a signature of the image by " + set.describe()}
	composed := set.compose(func(p party) []trust.Claim {
		var mine []trust.Claim
		for _, claim := range j.verified(p) {
			if claim.Type() == predicate.TypeCosignSign {
				mine = append(mine, claim)
			}
		}
		deciding, _, _ := trust.Newest(mine, j.now)
		return deciding
	})
	if counted := trust.Compose(composed); counted != nil {
		check.Evidence, check.Outcome = evidenceOf(counted), verdict.Passed
		check.Found = fmt.Sprintf("%d of %d signatures that count", set.required, set.required)
		j.add(check)
		return
	}
	check.Found = fmt.Sprintf("%d of %d signatures that count", most(composed), set.required)
	turned, reasons := j.turnedAway(set.all(), predicate.TypeCosignSign)
	check.Evidence = turned
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

// attested checks that for enough parties of a set the attestations that decide
// satisfy the conditions, and gives those; nil where they do not.
func (j *judge) attested(a attestation, set attestorSet) []trust.Claim {
	passed := verdict.Check{Name: set.name, Outcome: verdict.Passed, Expected: wantsType + a.predicateType + " by " + set.describe() + " that satisfies the conditions"}
	var failures []verdict.Check
	satisfying := map[string][]trust.Claim{}
	composed := set.compose(func(p party) []trust.Claim {
		claims, missing := j.deciding(a, set.name, p)
		if missing != nil {
			failures = append(failures, *missing)
			return nil
		}
		var wrong []verdict.Check
		for _, claim := range claims {
			wrong = append(wrong, j.satisfies(a, claim)...)
		}
		failures = append(failures, wrong...)
		if len(wrong) > 0 {
			return nil
		}
		satisfying[p.signer.Name] = claims
		return claims
	})
	counted := trust.Compose(composed)
	if counted != nil {
		var all []trust.Claim
		for _, claim := range counted {
			all = append(all, satisfying[claim.Signer()]...)
		}
		passed.Evidence = evidenceOf(all)
		passed.Found = fmt.Sprintf("%d of %d that count", set.required, set.required)
		j.add(passed)
		return all
	}
	for _, failure := range failures {
		j.add(failure)
	}
	if len(failures) == 0 {
		passed.Outcome = verdict.Failed
		passed.Found = fmt.Sprintf("%d of %d that count: nobody counts twice", most(composed), set.required)
		passed.Remedy = "have another one of those whom the policy names attest it too"
		j.add(passed)
	}
	return nil
}

// deciding are the claims of the type by one party that decide, or the check
// that fails because there are none. Newer evidence of another type of the
// same family replaces older evidence of the type asked for.
func (j *judge) deciding(a attestation, name string, p party) ([]trust.Claim, *verdict.Check) {
	var family []trust.Claim
	for _, claim := range j.verified(p) {
		if sameType(a.predicateType, claim.Type()) || predicate.Family(claim.Type()) == predicate.Family(a.predicateType) {
			family = append(family, claim)
		}
	}
	current, superseded, future := trust.Newest(family, j.now)
	if j.policy.every {
		current, superseded = append(current, superseded...), nil
	}
	var wanted []trust.Claim
	for _, claim := range current {
		if sameType(a.predicateType, claim.Type()) {
			wanted = append(wanted, claim)
		}
	}
	if len(wanted) > 0 {
		return wanted, nil
	}
	check := verdict.Check{Name: name, Expected: wantsType + a.predicateType + " by " + p.describe()}
	turned, reasons := j.turnedAway([]party{p}, a.predicateType)
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
	fields, err := fieldsOf(claim)
	if err != nil {
		return []verdict.Check{{Name: a.name, Outcome: verdict.Broken, Expected: "a predicate that is a JSON object",
			Found: err.Error(), Evidence: []verdict.Evidence{claim.Evidence()}}}
	}
	wrong := j.scan(a, claim)
	env := j.environment(fields)
	if a.variable != "" {
		env.root[a.variable] = fields
	}
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

// fieldsOf are the fields of a predicate, which conditions see at the top level
// beside what the policy and the request say, and never instead of it.
func fieldsOf(claim trust.Claim) (map[string]any, error) {
	var fields map[string]any
	if err := json.Unmarshal(claim.Predicate(), &fields); err != nil {
		return nil, fmt.Errorf("the predicate is no JSON object: %w", err)
	}
	return fields, nil
}
