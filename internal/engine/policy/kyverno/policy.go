// Package kyverno reads the verifyImages rules of Kyverno's ClusterPolicy and
// Policy (kyverno.io/v1 and v2beta1) and judges images by them, as Kyverno
// 1.19 would, or more strictly.
//
// The entry point is [Load]. What a policy says and is not supported here (a
// field, an operator, a function) is an error when it is loaded, never
// skipped. Supported are: match.any and match.all with kinds and namespaces;
// imageReferences and skipImageReferences; attestors with count and public
// keys in PEM that need no transparency log; attestations with type,
// attestors and conditions. Annotations and labels are metadata, except
// assay.sh/allow-sample: "true".
//
// What fields mean at a gate that is no cluster:
//
//   - A failureAction that is not set is Enforce (Kyverno: Audit).
//   - background is for scans of a cluster and has no meaning here.
//   - required: false lets Kyverno's validating phase accept an image that was
//     not verified. The verifying phase, which this is, fails all the same, so
//     that whatever attestors and attestations are listed must hold.
//   - mutateDigest and verifyDigest are about what stands in a manifest. Here a
//     digest is resolved once, judged and reported; pinning it is the door's.
//   - The kind Pod covers everything that asks for an image, as each such
//     thing makes pods (Kyverno: the built-in controllers, and then only where
//     Pod stands alone). The annotation that turns this off is ignored.
//   - A workload that is not known, or whose namespace is not, matches.
//
// Where the package is stricter than Kyverno on purpose:
//
//   - What an expression finds is data: it is not evaluated again, and its
//     wildcards and ranges mean nothing. A nested expression in quotes,
//     '{{ x }}', is bound as a string and cannot end the quotes; outside them it
//     is one name, '{{ data.{{ x }} }}', whatever dots it has.
//   - A predicate's fields stand at the top level but never hide request and
//     image. The names images, serviceAccountName and serviceAccountNamespace
//     are refused.
//   - The pattern of regex_match, pattern_match, regex_replace_all and
//     semver_compare must be written in the policy. random() is refused,
//     is_external_url() looks no name up.
//   - AllIn, AllNotIn and NotIn do not hold for an empty list; an empty any or
//     all does not hold; NotEquals and the NotIn operators do not hold for
//     things that cannot be compared; NotIn with a list is AllNotIn.
//   - docs/divergences.md lists all differences of operators, functions and
//     templates; the oracle tests know no others.
//   - The newest attestation per signer, family of types and tool decides, and
//     one dated in the future never counts (Kyverno: all must hold, for ever).
//   - An attestation without attestors is refused (Kyverno: anybody's).
//   - A key that stands twice in a set is refused (Kyverno: counts twice).
//   - A scan that found no package, or that was made from the built-in sample
//     of advisories, proves nothing.
//
// The package contacts nothing, reads no clock, verifies no certificates and
// no logs, and changes no manifest.
package kyverno

import (
	"context"
	"errors"
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// verifier is one compiled policy.
type verifier struct {
	name string
	// namespace is that of a Policy, "" for a ClusterPolicy.
	namespace   string
	allowSample bool
	rules       []rule
}

type rule struct {
	name   string
	match  match
	blocks []verifyBlock
}

type match struct {
	all     bool
	filters []filter
}

type filter struct {
	kinds      []string
	namespaces []glob
}

// verifyBlock is one element of verifyImages.
type verifyBlock struct {
	references, skipped []glob
	attestors           []attestorSet
	attestations        []attestation
}

// attestorSet is satisfied when required of its signers, each with one key,
// vouch.
type attestorSet struct {
	name     string
	signers  []trust.Signer
	required int
}

type attestation struct {
	name          string
	predicateType string
	attestors     []attestorSet
	blocks        []block
}

// Name is kind and name, with the namespace of a Policy between them.
func (p *verifier) Name() string { return p.name }

// Match says whether a rule matches the workload and one of its blocks the
// image. An image that skipImageReferences exempts matches too: the policy
// has judged it.
func (p *verifier) Match(image policy.Image, request policy.Request) bool {
	spellings := dockerSpellings(image.Spellings())
	for _, r := range p.rules {
		if p.covers(r, request) && slices.ContainsFunc(r.blocks, func(b verifyBlock) bool { return matchAny(b.references, spellings) }) {
			return true
		}
	}
	return false
}

func (p *verifier) covers(r rule, request policy.Request) bool {
	if !request.Known {
		return true
	}
	if p.namespace != "" && request.Namespace != "" && request.Namespace != p.namespace {
		return false
	}
	for _, f := range r.match.filters {
		if f.covers(request) != r.match.all {
			return !r.match.all
		}
	}
	return r.match.all
}

func (f filter) covers(request policy.Request) bool {
	if !slices.Contains(f.kinds, "Pod") && !slices.Contains(f.kinds, request.Kind) {
		return false
	}
	return len(f.namespaces) == 0 || request.Namespace == "" || matchAny(f.namespaces, []string{request.Namespace})
}

// Judge checks every matching block of every matching rule for every scope,
// and returns all checks. The error is for input that cannot be judged at
// all.
func (p *verifier) Judge(ctx context.Context, input policy.Input) ([]verdict.Check, error) {
	if len(input.Scopes) == 0 {
		return nil, errors.New(p.name + ": there is no manifest to judge")
	}
	spellings := dockerSpellings(input.Image.Spellings())
	proven := dockerSpellings(input.Image.Proven().Spellings())
	var checks []verdict.Check
	for _, scope := range input.Scopes {
		j := newJudge(p, input, scope)
		for _, r := range p.rules {
			if !p.covers(r, input.Request) {
				continue
			}
			for _, b := range r.blocks {
				if !matchAny(b.references, spellings) {
					continue
				}
				j.rule = r.name
				if matchAny(b.skipped, proven) {
					j.add(verdict.Check{Name: "skipImageReferences", Outcome: verdict.Skipped,
						Expected: "an image that the policy does not exempt", Found: "the policy's skipImageReferences exempt this image"})
					continue
				}
				if err := j.block(ctx, b); err != nil {
					return nil, err
				}
			}
		}
		checks = append(checks, j.checks...)
	}
	if len(checks) == 0 {
		return nil, errors.New(p.name + ": judges an image that it does not match")
	}
	return checks, nil
}
