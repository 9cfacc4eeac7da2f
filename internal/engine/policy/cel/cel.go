// Package cel compiles and judges EvidencePolicy (api/v1alpha1), whose checks
// are written in CEL.
//
// Entry point is [Load]. Everything that can be wrong with a policy is an error
// at load, with file and line: an unknown field, an unknown signer, an
// expression that names something that evidence of that type does not have. A
// loaded policy judges by [Policy.Judge].
//
// What a predicate says is data: it is never compiled, never a pattern, and
// cannot shadow a variable. Evaluation is bounded (limit.PolicyCost) and has
// no clock and no network.
package cel

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// Policy is a compiled EvidencePolicy.
type Policy struct {
	name         string
	match        v1alpha1.Match
	allowSample  bool
	requirements []requirement
}

var _ policy.Policy = (*Policy)(nil)

// requirement is one kind of evidence, compiled.
type requirement struct {
	name    string
	uri     string
	family  string
	signers []trust.Signer
	maxAge  time.Duration
	checks  []check
}

// Load compiles one document. readKey gives the content of a key file by the
// path that the policy has; it resolves it against the policy's own file.
func Load(document strictyaml.Document, readKey func(path string) ([]byte, error)) (*Policy, error) {
	var object v1alpha1.EvidencePolicy
	if err := document.Decode(&object); err != nil {
		return nil, err
	}
	p, err := compile(object, readKey)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %s %q: %w", document.File, document.Line, v1alpha1.KindEvidencePolicy, object.Name, err)
	}
	return p, nil
}

func compile(object v1alpha1.EvidencePolicy, readKey func(string) ([]byte, error)) (*Policy, error) {
	spec := object.Spec
	var wrong []error
	add := func(format string, arguments ...any) { wrong = append(wrong, fmt.Errorf(format, arguments...)) }
	if object.APIVersion != v1alpha1.GroupVersion || object.Kind != v1alpha1.KindEvidencePolicy {
		add("want apiVersion %s and kind %s, found %q and %q", v1alpha1.GroupVersion, v1alpha1.KindEvidencePolicy, object.APIVersion, object.Kind)
	}
	if object.Name == "" {
		add("metadata.name is missing")
	}
	if len(spec.Match.Images) == 0 {
		add("spec.match.images is empty, so the policy would judge nothing; \"*\" judges everything")
	}
	for _, pattern := range slices.Concat(spec.Match.Images, spec.Match.ExcludeImages, spec.Match.Namespaces) {
		if strings.TrimSpace(pattern) == "" {
			add("spec.match has an empty pattern")
		}
	}
	if len(spec.Requirements) == 0 {
		add("spec.requirements is empty, so the policy would allow everything")
	}
	signers, err := loadSigners(spec.Signers, readKey)
	wrong = append(wrong, err)
	p := &Policy{name: v1alpha1.KindEvidencePolicy + "/" + object.Name, match: spec.Match, allowSample: spec.AllowSample}
	seen := map[string]bool{}
	for i, r := range spec.Requirements {
		if r.Name == "" || seen[r.Name] {
			add("spec.requirements[%d]: name %q is missing or given twice", i, r.Name)
		}
		seen[r.Name] = true
		compiled, err := compileRequirement(r, signers)
		if err != nil {
			add("requirement %q: %w", r.Name, err)
		}
		p.requirements = append(p.requirements, compiled)
	}
	return p, errors.Join(wrong...)
}

func loadSigners(list []v1alpha1.Signer, readKey func(string) ([]byte, error)) (map[string]trust.Signer, error) {
	signers := map[string]trust.Signer{}
	var wrong []error
	if len(list) == 0 {
		wrong = append(wrong, errors.New("spec.signers is empty: evidence that anybody could sign proves nothing"))
	}
	for i, s := range list {
		if _, twice := signers[s.Name]; s.Name == "" || twice {
			wrong = append(wrong, fmt.Errorf("spec.signers[%d]: name %q is missing or given twice", i, s.Name))
			continue
		}
		signer := trust.Signer{Name: s.Name}
		if len(s.Keys) == 0 {
			wrong = append(wrong, fmt.Errorf("signer %q has no keys", s.Name))
		}
		for j, k := range s.Keys {
			pem := []byte(k.PublicKey)
			where := fmt.Sprintf("signer %q, keys[%d]", s.Name, j)
			if (k.File == "") == (k.PublicKey == "") {
				wrong = append(wrong, fmt.Errorf("%s: want exactly one of file and publicKey", where))
				continue
			}
			if k.File != "" {
				content, err := readKey(k.File)
				if err != nil {
					wrong = append(wrong, fmt.Errorf("%s: %w", where, err))
					continue
				}
				pem, where = content, where+" ("+k.File+")"
			}
			parsed, err := trust.ParseSigner(s.Name, pem)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", where, err))
				continue
			}
			signer.Keys = append(signer.Keys, parsed.Keys...)
		}
		signers[s.Name] = signer
	}
	return signers, errors.Join(wrong...)
}

func compileRequirement(r v1alpha1.Requirement, signers map[string]trust.Signer) (requirement, error) {
	var wrong []error
	uri, ok := predicate.TypeOf(r.Type)
	if !ok {
		wrong = append(wrong, fmt.Errorf("type %q: want a predicate type's URI, or one of signature, provenance, vuln, cyclonedx, spdx, test-result", r.Type))
	}
	compiled := requirement{name: r.Name, uri: uri, family: predicate.Family(uri)}
	if len(r.Signers) == 0 {
		wrong = append(wrong, errors.New("signers is empty: evidence that anybody could sign proves nothing"))
	}
	for _, name := range r.Signers {
		signer, known := signers[name]
		if !known {
			wrong = append(wrong, fmt.Errorf("signer %q is not among spec.signers", name))
		}
		compiled.signers = append(compiled.signers, signer)
	}
	if r.MaxAge != "" {
		age, err := time.ParseDuration(r.MaxAge)
		if err != nil || age <= 0 {
			wrong = append(wrong, fmt.Errorf("maxAge %q: want a positive duration such as 168h", r.MaxAge))
		}
		compiled.maxAge = age
	}
	seen := map[string]bool{}
	for i, c := range r.Checks {
		if c.Name == "" || seen[c.Name] {
			wrong = append(wrong, fmt.Errorf("checks[%d]: name %q is missing or given twice", i, c.Name))
		}
		seen[c.Name] = true
		check, err := compileCheck(c, compiled.family)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("check %q: %w", c.Name, err))
		}
		compiled.checks = append(compiled.checks, check)
	}
	return compiled, errors.Join(wrong...)
}

// Name is "EvidencePolicy/" and the object's name.
func (p *Policy) Name() string { return p.name }

// Match says whether any image pattern matches and no exclusion does.
func (p *Policy) Match(image policy.Image, request policy.Request) bool {
	spellings := image.Spellings()
	matches := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			return slices.ContainsFunc(spellings, func(s string) bool { return Glob(pattern, s) })
		})
	}
	if !matches(p.match.Images) || matches(p.match.ExcludeImages) {
		return false
	}
	if len(p.match.Namespaces) == 0 || !request.Known {
		return true
	}
	return slices.ContainsFunc(p.match.Namespaces, func(pattern string) bool { return Glob(pattern, request.Namespace) })
}

// Glob matches text against a pattern in which * is any text and ? one
// character, in time linear in both.
func Glob(pattern, text string) bool {
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

// Patterns are the image patterns, for a denial that says what would match.
func (p *Policy) Patterns() []string { return p.match.Images }

// Judge makes every check for every platform of the image.
func (p *Policy) Judge(ctx context.Context, input policy.Input) ([]verdict.Check, error) {
	var checks []verdict.Check
	for _, scope := range input.Scopes {
		for _, r := range p.requirements {
			made, err := p.require(ctx, input, scope, r)
			if err != nil {
				return nil, fmt.Errorf("%s: requirement %q: %w", p.name, r.name, err)
			}
			checks = append(checks, made...)
		}
	}
	return checks, nil
}

// short names a type for people: its short name where it has one.
func short(uri string) string {
	for _, name := range []string{"signature", "provenance", "vuln", "cyclonedx", "spdx", "test-result"} {
		if known, _ := predicate.TypeOf(name); predicate.Family(known) == predicate.Family(uri) {
			return name
		}
	}
	return path.Base(uri)
}
