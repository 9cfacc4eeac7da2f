// Package cel compiles and judges EvidencePolicy (api/v1alpha1), whose checks
// are written in CEL.
//
// Entry point is [Load]. Everything that can be wrong with a policy is an error
// at load, with file and line: an unknown field, an unknown signer, an
// expression that names something that evidence of that type does not have, a
// comparison that can never hold. What Load gives judges by policy.Policy.
//
// What a predicate says is data: it is never compiled, never a pattern or a
// template (an expression that would make it one does not load), and cannot
// shadow a variable. Evaluation is bounded (limit.PolicyCost), and has no clock
// and no network. The package fetches nothing and decides nothing: it makes
// checks, and the gate decides.
package cel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/predicate"
)

// Kind and APIVersion head the documents that Load reads.
const (
	Kind       = v1alpha1.KindEvidencePolicy
	APIVersion = v1alpha1.GroupVersion
)

// evidencePolicy is a compiled EvidencePolicy.
type evidencePolicy struct {
	name  string
	match v1alpha1.Match
	// namespaces and objects are the selectors of match; nil selects all.
	namespaces, objects labels.Selector
	allowSample         bool
	action              action
	exceptions          []exception
	requirements        []requirement
}

// Name is "EvidencePolicy/" and the object's name.
func (p *evidencePolicy) Name() string { return p.name }

// Patterns are the image patterns, for a denial that says what would match.
func (p *evidencePolicy) Patterns() []string { return p.match.Images }

// Match says whether any image pattern matches and no exclusion does.
func (p *evidencePolicy) Match(image policy.Image, request policy.Request) bool {
	bare := image
	bare.Tag = ""
	if !match(p.match.Images, spellings(image)...) || match(p.match.ExcludeImages, spellings(bare)...) {
		return false
	}
	if !request.Known {
		return true
	}
	if len(p.match.Namespaces) > 0 && request.Namespace != "" && !match(p.match.Namespaces, request.Namespace) {
		return false
	}
	if p.namespaces != nil && request.NamespaceLabels != nil && !p.namespaces.Matches(labels.Set(request.NamespaceLabels)) {
		return false
	}
	return p.objects == nil || request.Object == nil || p.objects.Matches(labelled(request.Object)) ||
		request.Old != nil && p.objects.Matches(labelled(request.Old))
}

// labelled are the labels of an object.
func labelled(object map[string]any) labels.Set {
	set := labels.Set{}
	metadata, _ := object["metadata"].(map[string]any)
	list, _ := metadata["labels"].(map[string]any)
	for name, value := range list {
		if text, ok := value.(string); ok {
			set[name] = text
		}
	}
	return set
}

// spellings are all the ways in which a pattern may name an image.
func spellings(image policy.Image) []string {
	list := image.Spellings()
	if image.Tag == "" {
		// So that a pinned digest does not escape "repository:*".
		list = append(list, image.Registry+"/"+image.Repository+":")
	}
	if image.Registry == "index.docker.io" {
		for _, s := range list {
			list = append(list, strings.TrimPrefix(s, "index."))
		}
	}
	return list
}

func match(patterns []string, texts ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return glob(pattern, text) })
	})
}

// glob matches text against a pattern in which * is any text and ? one
// character. It goes back to the last star only, so that its time is at most
// the product of the two lengths.
func glob(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	star, mark, i, j := -1, 0, 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// Inspects says whether any expression looks at the configuration of the image.
func (p *evidencePolicy) Inspects() bool {
	return slices.ContainsFunc(p.requirements, func(r requirement) bool {
		return r.selection.counts != nil && r.selection.counts.inspects || slices.ContainsFunc(r.checks, func(c check) bool { return c.inspects })
	})
}

// Judge makes every check for every platform of the image.
func (p *evidencePolicy) Judge(ctx context.Context, input policy.Input) ([]verdict.Check, error) {
	if len(input.Scopes) == 0 {
		return nil, errors.New("there is nothing to judge: no manifest was given")
	}
	var checks []verdict.Check
	inspects, memory := p.Inspects(), &trust.Memory{}
	for _, scope := range input.Scopes {
		if inspects && scope.Config == nil {
			return nil, errors.New("it looks at the configuration of the image, which was not read")
		}
		j := &judge{policy: p, input: input, scope: scope, verified: map[string]verified{}, memory: memory}
		for _, r := range p.requirements {
			made, err := j.require(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("requirement %q: %w", r.name, err)
			}
			for _, c := range made {
				checks = append(checks, p.settle(c, input, scope))
			}
		}
	}
	return checks, nil
}

// shortNames are the words for predicate types that policies and `assay
// attest --type` know.
var shortNames = [...]string{"signature", "provenance", "slsaprovenance", "vuln", "cyclonedx", "spdx", "test-result", "openvex", "link", "custom"}

// short names a type for people: by its short name where it has one.
func short(uri string) string {
	for _, name := range shortNames {
		if known, _ := predicate.TypeOf(name); predicate.Family(known) == predicate.Family(uri) {
			return name
		}
	}
	return uri
}
