package kyverno

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
)

// Denial words what denies a resource (KIND/NAMESPACE/NAME) as Kyverno's webhook
// does, for scripts that read its answers: the resource, and below it YAML with a
// text for each policy and rule. policies are those that judged. Of each rule
// Kyverno names the first cause; here all are named, joined by "; ". It is "" for
// verdicts that admit.
func Denial(resource string, verdicts []verdict.Verdict, policies []policy.Policy) string {
	texts := map[string]map[string][]string{}
	add := func(policy, rule, text string) {
		if texts[policy] == nil {
			texts[policy] = map[string][]string{}
		}
		if !slices.Contains(texts[policy][rule], text) {
			texts[policy][rule] = append(texts[policy][rule], text)
		}
	}
	for _, v := range verdicts {
		if v.Decision.Admits() {
			continue
		}
		failures := v.Failures()
		for _, group := range grouped(failures) {
			add(bare(group[0].Policy), group[0].Rule, say(v.Reference, group, policies))
		}
		if len(failures) == 0 { // no policy judges it, or no judgement was possible
			add("assay", v.Decision.String(), fmt.Sprintf("failed to verify image %s: %s", v.Reference, v.Reason))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	joined := map[string]map[string]string{}
	for name, rules := range texts {
		joined[name] = map[string]string{}
		for rule, list := range rules {
			joined[name][rule] = strings.Join(list, "; ")
		}
	}
	var body bytes.Buffer
	encoder := yaml.NewEncoder(&body)
	encoder.SetIndent(2)
	if err := encoder.Encode(joined); err != nil { // texts always have a spelling
		fmt.Fprintf(&body, "%v\n", err)
	}
	return fmt.Sprintf("resource %s was blocked due to the following policies\n\n%s", resource, body.String())
}

// Warnings are what Kyverno says to whoever asks of checks that do not deny.
func Warnings(v verdict.Verdict) []string {
	var list []string
	for _, group := range grouped(v.Warnings()) {
		list = append(list, fmt.Sprintf("policy %s.%s: %s", bare(group[0].Policy), group[0].Rule, say(v.Reference, group, nil)))
	}
	return list
}

// bare is a policy's name as Kyverno has it: without its kind and namespace.
func bare(name string) string { return name[strings.LastIndex(name, "/")+1:] }

// subjectOf finds what a check is about: one set of attestors of the image, one
// attestation, or the whole of one verifyImages.
var subjectOf = regexp.MustCompile(`^(?:verifyImages\[\d+\]\.)?(attestors|attestations)\[\d+\]`)

// grouped puts together the checks about one part.
func grouped(checks []verdict.Check) [][]verdict.Check {
	var groups [][]verdict.Check
	position := map[string]int{}
	for _, c := range checks {
		key := c.Policy + "\x00" + c.Rule + "\x00" + c.Platform + "\x00"
		if of := subjectOf.FindString(c.Name); of != "" {
			key += of
		} else {
			key += c.Name
		}
		i, known := position[key]
		if !known {
			i = len(groups)
			position[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// say words the checks about one part that do not hold.
func say(reference string, group []verdict.Check, policies []policy.Policy) string {
	first := group[0]
	of := subjectOf.FindStringSubmatch(first.Name)
	switch {
	case of != nil && of[1] == "attestors":
		return fmt.Sprintf("failed to verify image %s: %s", reference, unsigned(first))
	case of != nil:
		var causes []string
		for _, c := range group {
			if text := unattested(reference, of[0], c); !slices.Contains(causes, text) {
				causes = append(causes, text)
			}
		}
		verified, required := counts(of[0], group, policies)
		return fmt.Sprintf("image attestations verification failed, verifiedCount: %d, requiredCount: %d, error: %s", verified, required, strings.Join(causes, "; "))
	case first.Name == "validate.deny":
		return "validation in verifyImages failed: " + message(first)
	case first.Name == "verifyDigest":
		return first.Found
	}
	return fmt.Sprintf("failed to verify image %s: %s: %s", reference, first.Name, message(first))
}

// message is the author's sentence, or what was found.
func message(c verdict.Check) string {
	if c.Message != "" {
		return c.Message
	}
	return fmt.Sprintf("want %s, found %s", c.Expected, c.Found)
}

func unsigned(c verdict.Check) string {
	var reasons []string
	for _, e := range c.Evidence {
		if e.Rejected != "" {
			reasons = append(reasons, e.Rejected)
		}
	}
	if len(reasons) == 0 {
		return "." + c.Name + ": no signatures found"
	}
	return "." + c.Name + ": no matching signatures: " + strings.Join(reasons, ", ")
}

// unattested words why one attestation does not do. That none was found has
// Kyverno's own spelling, which scripts look for.
func unattested(reference, of string, c verdict.Check) string {
	path := c.Name
	predicateType := typeOf(c)
	for _, e := range c.Evidence {
		if e.Signer == "" {
			continue
		}
		_, path, _ = strings.Cut(e.Signer, "/")
		path, _, _ = strings.Cut(path, " key ")
		if path += ".keys"; e.Identity != "" {
			path = strings.TrimSuffix(path, ".keys") + ".keyless"
		}
	}
	if strings.HasPrefix(c.Expected, wantsType) {
		return fmt.Sprintf(".%s: attestions not found for predicate type %s", path, predicateType)
	}
	return fmt.Sprintf(".%s: attestation checks failed for %s and predicate %s: %s", path, reference, predicateType, message(c))
}

// wantsType begins what is expected where an attestation is missing.
const wantsType = "an attestation of type "

func typeOf(c verdict.Check) string {
	if rest, missing := strings.CutPrefix(c.Expected, wantsType); missing {
		rest, _, _ = strings.Cut(rest, " ")
		return rest
	}
	for _, e := range c.Evidence {
		if e.Type != "" {
			return e.Type
		}
	}
	return ""
}

// counts are how many entries of the set that failed are satisfied, and how
// many must be. Without the policy it is one, as in most.
func counts(of string, group []verdict.Check, policies []policy.Policy) (verified, required int) {
	required = 1
	failing := map[string]bool{}
	for _, c := range group {
		for _, e := range c.Evidence {
			failing[e.Signer] = true
		}
		if len(c.Evidence) == 0 {
			failing[c.Expected] = true
		}
	}
	for _, p := range policies {
		v, ok := p.(*verifier)
		if !ok || v.name != group[0].Policy {
			continue
		}
		for _, r := range v.rules {
			for _, b := range r.blocks {
				for _, a := range b.attestations {
					if r.name != group[0].Rule || a.name != of || len(a.attestors) == 0 {
						continue
					}
					set := a.attestors[0]
					return max(0, min(set.required-1, len(set.parties)-len(failing))), max(1, set.required)
				}
			}
		}
	}
	return 0, required
}
