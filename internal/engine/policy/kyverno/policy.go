// Package kyverno reads the verifyImages rules of Kyverno's ClusterPolicy and
// Policy (kyverno.io/v1 and v2beta1) and judges images by them, as Kyverno
// 1.19 would, or more strictly.
//
// The entry points are [Load], and [Denial], which words a denial as Kyverno
// does. What a policy says and is not supported here (a field, an operator, a
// function) is an error when it is loaded, never skipped; docs/kyverno.md has
// every field. A policy is also a policy.Tolerant (failurePolicy),
// policy.Elsewhere (repository), policy.Extractor (imageExtractors) and
// policy.Credentialed (imageRegistryCredentials).
//
// What fields mean at a gate that is no cluster:
//
//   - A failureAction that is not set is Enforce (Kyverno: Audit).
//   - background, useCache and timeouts have no meaning here.
//   - required: false lets Kyverno's validating phase accept an image that was
//     not verified. The verifying phase, which this is, fails all the same, so
//     that whatever attestors and attestations are listed must hold.
//   - A digest is resolved once, judged and reported; pinning it is the door's.
//     mutateDigest: false with verifyDigest denies workloads that name none.
//   - The kind Pod covers everything that asks for an image, as each such thing
//     makes pods: the rule judges the pod that is made (Kyverno: the built-in
//     controllers, and then only where Pod stands alone and no name, label or
//     annotation is asked for). The annotation that restricts this is obeyed.
//   - What is not known of a workload makes a rule apply, and never excludes.
//     So do preconditions that cannot be evaluated.
//
// Where the package is stricter than Kyverno on purpose:
//
//   - What an expression finds is data: it is not evaluated again, and its
//     wildcards and ranges mean nothing. A nested expression in quotes,
//     '{{ x }}', is bound as a string and cannot end the quotes; outside them it
//     is one name, '{{ data.{{ x }} }}', whatever dots it has.
//   - A predicate's fields stand at the top level but never hide what the
//     request, the image, the rule's context or other attestations are called.
//     The name images is refused.
//   - Keys may be looked up in config maps, and in nothing that the request says.
//   - The pattern of regex_match, pattern_match, regex_replace_all and
//     semver_compare must be written in the policy. random() is refused,
//     is_external_url() looks no name up.
//   - AllIn, AllNotIn and NotIn do not hold for an empty list; an empty any or
//     all does not hold; NotEquals and the NotIn operators do not hold for
//     things that cannot be compared; NotIn with a list is AllNotIn. Where a
//     condition denies or exempts, such doubt denies, and does not exempt.
//   - Expressions for subjects and issuers must match the whole value, and both
//     must be named.
//   - docs/divergences.md lists all differences of operators, functions and
//     templates; the oracle tests know no others.
//   - The newest attestation per signer, family of types and tool decides, and
//     one dated in the future never counts (Kyverno: all must hold, for ever;
//     the annotation assay.sh/every-attestation: "true" asks for that).
//   - An attestation without attestors is refused (Kyverno: anybody's), and so
//     is a certificate chain without a certificate.
//   - Nobody counts twice in a set of attestors, nor in the sets within it.
//   - A scan that found no package, or that was made from the built-in sample
//     of advisories, proves nothing.
//
// The package contacts nothing, reads no clock and changes no manifest.
package kyverno

import (
	"context"
	"errors"
	"slices"
	"time"

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
	// every says that older attestations must satisfy the conditions too.
	every bool
	// one says that the first rule that judges an image is the last.
	one bool
	// tolerant says that a fault does not close the door.
	tolerant bool
	// controllers are the kinds to which rules about pods apply besides pods;
	// nil for all that make pods.
	controllers []string
	rules       []rule
}

type rule struct {
	name           string
	match, exclude match
	variables      []variable
	preconditions  *guard
	extractors     map[string][]extractor
	blocks         []verifyBlock
}

// verifyBlock is one element of verifyImages.
type verifyBlock struct {
	references, skipped []glob
	action              action
	// secrets have credentials for registries.
	secrets []string
	// pinned says that a workload must name a digest itself.
	pinned       bool
	attestors    []attestorSet
	attestations []attestation
	deny         *guard
	message      *template
}

type attestation struct {
	name string
	// variable is what later conditions call its predicate, "" for nothing.
	variable      string
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
	return len(p.blocks(image, request)) > 0
}

// blocks are those that judge an image for a request.
func (p *verifier) blocks(image policy.Image, request policy.Request) []verifyBlock {
	var list []verifyBlock
	spellings := dockerSpellings(image.Spellings())
	for _, r := range p.rules {
		if _, applies := r.applies(p, request); !applies {
			continue
		}
		for _, b := range r.blocks {
			if matchAny(b.references, spellings) {
				list = append(list, b)
			}
		}
	}
	return list
}

// Elsewhere are the repositories that attestors name.
func (p *verifier) Elsewhere(image policy.Image, request policy.Request) []string {
	var names []string
	for _, b := range p.blocks(image, request) {
		sets := slices.Clone(b.attestors)
		for _, a := range b.attestations {
			sets = append(sets, a.attestors...)
		}
		for _, set := range sets {
			for _, party := range set.all() {
				if party.repository != "" && !slices.Contains(names, party.repository) {
					names = append(names, party.repository)
				}
			}
		}
	}
	return names
}

// OnFault admits with a warning where failurePolicy is Ignore, as Kyverno then
// does where a registry is away.
func (p *verifier) OnFault(policy.Fault, time.Time) verdict.Action {
	if p.tolerant {
		return verdict.WarnOnly
	}
	return verdict.Enforce
}

// applies says whether a rule judges what a request asks for, and by what: the
// object, or the pod that it makes.
func (r rule) applies(p *verifier, request policy.Request) (view, bool) {
	if !request.Known {
		return view{}, true
	}
	if p.namespace != "" && request.Namespace != "" && request.Namespace != p.namespace {
		return view{}, false
	}
	views := []view{{group: request.Group, version: request.Version, kind: request.Kind, object: request.Object}}
	if p.madeOfPods(request) {
		views = append(views, view{version: "v1", kind: "Pod", object: request.Pod, pod: true})
	}
	for _, v := range views {
		if r.match.holds(v, request) != no {
			return v, r.exclude.holds(v, request) != yes
		}
	}
	return view{}, false
}

// madeOfPods says whether rules about pods judge an object that is none. A kind
// that is not known makes pods: it names images. Where the policy is for pods
// alone, their makers are left to it.
func (p *verifier) madeOfPods(request policy.Request) bool {
	switch {
	case request.Kind == "Pod" && request.Group == "":
		return false
	case p.controllers == nil:
		return true
	case slices.Contains(controllers, request.Kind):
		return slices.Contains(p.controllers, request.Kind)
	}
	return len(p.controllers) > 0
}

// names are those of the rule's variables, configMaps those that have data.
func (r rule) names() []string {
	var list []string
	for _, v := range r.variables {
		list = append(list, v.name)
	}
	return list
}

func (r rule) configMaps() []string {
	var list []string
	for _, v := range r.variables {
		if v.data != nil {
			list = append(list, v.name)
		}
	}
	return list
}

// Judge checks every matching block of every matching rule for every scope,
// and returns all checks. The error is for input that cannot be judged at
// all.
func (p *verifier) Judge(ctx context.Context, input policy.Input) ([]verdict.Check, error) {
	if len(input.Scopes) == 0 {
		return nil, errors.New(p.name + ": there is no manifest to judge")
	}
	var checks []verdict.Check
	memory := &trust.Memory{}
	for _, scope := range input.Scopes {
		j := newJudge(ctx, p, input, scope, memory)
		for _, r := range p.rules {
			if err := j.judge(ctx, r, input); err != nil {
				return nil, err
			}
			if p.one && slices.ContainsFunc(j.checks, func(c verdict.Check) bool { return c.Outcome != verdict.Skipped }) {
				break
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		checks = append(checks, j.checks...)
	}
	if len(checks) == 0 {
		return nil, errors.New(p.name + ": judges an image that it does not match")
	}
	return checks, nil
}
