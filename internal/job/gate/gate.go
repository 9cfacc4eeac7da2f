// Package gate is the only place that decides whether an image may run. Every
// door calls it: the command line, promotion, and later admission.
//
// Entry points are [New], [Gate.Decide], [Gate.DecideAll] and
// [Gate.DecideResolved]. The zero verdict denies; an image that no policy judges
// is denied, unless the door's configuration says otherwise, and then admitted
// with a warning; a check that could not be made denies. What made a verdict
// impossible (a registry that is away, a policy that cannot be evaluated, a
// deadline) is a [FaultError], beside a verdict whose decision is Fault, and
// admits nothing, unless every policy that judges the image names that fault.
//
// The gate resolves a tag once; the digest that it found is what is judged, and
// what the verdict's Pinned names. A registry that no policy covers is not
// contacted. The gate knows no policy language, caches nothing and writes
// nothing.
package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// Registry is where images and their evidence are.
type Registry interface {
	// Resolve finds the digest that a reference means now.
	Resolve(ctx context.Context, reference string) (oci.Resolved, error)
	// Evidence lists what is stored about a digest; none is no error.
	Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error)
	// ImageConfig reads the configuration of a manifest.
	ImageConfig(ctx context.Context, repository string, digest subject.Digest) (oci.ImageConfig, error)
}

// Config is what a gate works with.
type Config struct {
	// Policies judge; all whose match covers an image must be satisfied. At
	// least one, and their names are unique.
	Policies []policy.Policy
	// Registry and Now may not be nil.
	Registry Registry
	Now      func() time.Time
	// WhenUnmatched is the decision on an image that no policy judges:
	// verdict.Deny, the zero value, or verdict.Warn, which admits it.
	WhenUnmatched verdict.Decision
}

// Gate decides. It may be used by several goroutines.
type Gate struct {
	config Config
	// resolve and gather ask the registry: for the digest, and for the evidence.
	resolve func(ctx context.Context, reference string) (oci.Resolved, error)
	gather  func(ctx context.Context, resolved oci.Resolved, needed needs) ([]policy.Scope, error)
}

// New checks the configuration: a gate without policies would deny everything
// for no reason that it could give, and is an error.
func New(config Config) (*Gate, error) {
	switch {
	case config.Registry == nil || config.Now == nil:
		return nil, errors.New("gate: a registry and a clock are needed")
	case len(config.Policies) == 0:
		return nil, errors.New("gate: no policy is loaded, so nothing could be allowed")
	case config.WhenUnmatched != verdict.Deny && config.WhenUnmatched != verdict.Warn:
		return nil, fmt.Errorf("gate: what no policy judges can be denied or admitted with a warning, and not %q", config.WhenUnmatched)
	}
	seen := map[string]bool{}
	for i, p := range config.Policies {
		if p == nil {
			return nil, fmt.Errorf("gate: policy %d is nil", i+1)
		}
		if seen[p.Name()] {
			return nil, fmt.Errorf("gate: two policies are called %q", p.Name())
		}
		seen[p.Name()] = true
	}
	config.Policies = slices.Clone(config.Policies)
	g := &Gate{config: config, resolve: config.Registry.Resolve}
	g.gather = g.scopes
	return g, nil
}

// FaultError says that no verdict was possible. Nothing is admitted by it.
type FaultError struct {
	// Reference is what was asked about, Err why there is no verdict.
	Reference string
	Err       error
}

// Error is the reason in one sentence.
func (e *FaultError) Error() string { return fmt.Sprintf("no verdict on %s: %v", e.Reference, e.Err) }

// Unwrap gives the cause.
func (e *FaultError) Unwrap() error { return e.Err }

// Question is what a door asks about.
type Question struct {
	// Reference is an image reference as people write it.
	Reference string
	// Request is the workload that wants it; the zero value is none.
	Request policy.Request
}

// Decide resolves the reference and judges what it finds. The verdict is
// filled also beside an error, which is a *FaultError; a denial is no error.
func (g *Gate) Decide(ctx context.Context, question Question) (v verdict.Verdict, err error) {
	v = verdict.Verdict{Reference: question.Reference, Time: g.config.Now().UTC(), Policies: []string{}, Checks: []verdict.Check{}}
	defer g.rescue(&v, &err)
	image, err := parse(question.Reference)
	if err != nil {
		return fault(v, err)
	}
	if g.config.WhenUnmatched == verdict.Deny && len(g.matching(image, question.Request)) == 0 {
		v.Reason = g.unmatched(image, question.Request) + "; its registry was not asked"
		return v, nil
	}
	resolved, err := g.resolve(ctx, question.Reference)
	if err != nil {
		return fault(v, err)
	}
	resolved.Reference = question.Reference
	return g.DecideResolved(ctx, resolved, question.Request)
}

// parse reads a reference without asking anybody. Where it has no digest one
// stands in that no image has, so that patterns for any digest match.
func parse(reference string) (policy.Image, error) {
	r, err := oci.Parse(reference)
	if err != nil {
		return policy.Image{}, err
	}
	image := policy.Image{Registry: r.Registry, Repository: r.Repository, Tag: r.Tag, Digest: r.Digest, Pinned: !r.Digest.IsZero()}
	if !image.Pinned {
		image.Digest, err = subject.Parse("sha256:" + strings.Repeat("0", 64))
	}
	return image, err
}

// DecideResolved judges an image whose digest is known, for doors that have
// resolved the tag themselves. It returns what Decide returns.
func (g *Gate) DecideResolved(ctx context.Context, resolved oci.Resolved, request policy.Request) (v verdict.Verdict, err error) {
	v = verdict.Verdict{Reference: resolved.Reference, Subject: resolved.Digest, Time: g.config.Now().UTC(), Policies: []string{}, Checks: []verdict.Check{}}
	defer g.rescue(&v, &err)
	if resolved.Digest.IsZero() {
		return fault(v, errors.New("the image has no digest"))
	}
	v.Pinned = resolved.Pinned()
	image := policy.Image{Registry: resolved.Registry, Repository: resolved.Repository, Tag: resolved.Tag, Digest: resolved.Digest,
		Pinned: strings.Contains(resolved.Reference, "@")}
	matching := g.matching(image, request)
	if len(matching) == 0 {
		v.Decision, v.Reason = g.config.WhenUnmatched, g.unmatched(image, request)
		return v, nil
	}
	scopes, err := g.gather(ctx, resolved, needsOf(matching, image, request))
	if err != nil {
		return g.unavailable(v, matching, err)
	}
	input := policy.Input{Image: image, Request: request, Scopes: scopes, Now: v.Time}
	for _, p := range matching {
		v.Policies = append(v.Policies, p.Name())
		checks, err := judge(ctx, p, input)
		if err != nil {
			return fault(v, err)
		}
		v.Checks = append(v.Checks, checks...)
	}
	if err := ctx.Err(); err != nil {
		return fault(v, err)
	}
	v.Decision, v.Reason = g.decide(v.Checks)
	return v, nil
}

// unavailable is the verdict where the digest is known and its evidence cannot
// be read: a fault, unless every policy that judges the image names it. Evidence
// that is wrong, or too much, is never excused: strangers could make it so.
func (g *Gate) unavailable(v verdict.Verdict, matching []policy.Policy, err error) (verdict.Verdict, error) {
	if !oci.IsUnavailable(err) {
		return fault(v, err)
	}
	for _, p := range matching {
		v.Policies = append(v.Policies, p.Name())
		if tolerant, ok := p.(policy.Tolerant); !ok || tolerant.OnFault(policy.EvidenceUnavailable, v.Time) == verdict.Enforce {
			return fault(v, err)
		}
	}
	v.Decision, v.Reason = verdict.Warn, fmt.Sprintf("admitted by fault (%s): the evidence could not be read, and the policies name this fault: %v", policy.EvidenceUnavailable, err)
	return v, nil
}

func (g *Gate) matching(image policy.Image, request policy.Request) []policy.Policy {
	var matching []policy.Policy
	for _, p := range g.config.Policies {
		if p.Match(image, request) {
			matching = append(matching, p)
		}
	}
	return matching
}

// judge asks one policy. A bug in a policy engine must not take a door down,
// and must not open it: a panic becomes an error.
func judge(ctx context.Context, p policy.Policy, input policy.Input) (checks []verdict.Check, err error) {
	defer func() {
		if r := recover(); r != nil {
			checks, err = nil, fmt.Errorf("%s: internal error: %v", p.Name(), r)
		}
	}()
	checks, err = p.Judge(ctx, input)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name(), err)
	}
	if len(checks) == 0 {
		return nil, fmt.Errorf("%s: it matches the image and made no check", p.Name())
	}
	return checks, nil
}

// decide allows only if some check passed, and every other one passed or was
// skipped. What fails and does not deny admits with a warning; a failed check
// that is only for the record leaves a decision alone that something else
// proved. An image that every policy skips is one that no policy judges.
func (g *Gate) decide(checks []verdict.Check) (verdict.Decision, string) {
	passed, warned, recorded := false, false, false
	for _, c := range checks {
		switch c.Outcome {
		case verdict.Passed:
			passed = true
		case verdict.Skipped:
		case verdict.Failed, verdict.Broken:
			switch c.Action {
			case verdict.WarnOnly:
				warned = true
			case verdict.AuditOnly:
				recorded = true
			default:
				return verdict.Deny, ""
			}
		default:
			return verdict.Deny, fmt.Sprintf("check %s of %s ended as %s, which is no outcome", c.Rule, c.Policy, c.Outcome)
		}
	}
	switch {
	case warned:
		return verdict.Warn, "what failed does not deny: its policy warns, or makes an exception"
	case passed:
		return verdict.Allow, ""
	case recorded:
		return verdict.Warn, "nothing was proven: the policies that judge the image only keep a record"
	}
	return g.config.WhenUnmatched, "every policy that matches the image leaves it alone, so that none judges it"
}

// fault turns a verdict into one that says why there is none.
func fault(v verdict.Verdict, err error) (verdict.Verdict, error) {
	v.Decision, v.Reason = verdict.Fault, err.Error()
	return v, &FaultError{Reference: v.Reference, Err: err}
}

// rescue turns a panic into a fault.
func (g *Gate) rescue(v *verdict.Verdict, err *error) {
	if r := recover(); r != nil {
		*v, *err = fault(*v, fmt.Errorf("internal error: %v", r))
	}
}

// unmatched says that no policy judges an image, and what the policies that
// are loaded would judge.
func (g *Gate) unmatched(image policy.Image, request policy.Request) string {
	var loaded []string
	for _, p := range g.config.Policies {
		text := p.Name()
		if spelled, ok := p.(interface{ Patterns() []string }); ok {
			text += " (" + strings.Join(spelled.Patterns(), ", ") + ")"
		}
		loaded = append(loaded, text)
	}
	if len(loaded) > 10 {
		loaded = append(loaded[:10], fmt.Sprintf("and %d more", len(loaded)-10))
	}
	what := image.Registry + "/" + image.Repository
	if image.Tag != "" {
		what += ":" + image.Tag
	}
	if request.Known {
		what += fmt.Sprintf(" in %s %q of namespace %q", request.Kind, request.Name, request.Namespace)
	}
	return fmt.Sprintf("no policy judges %s; loaded: %s", what, strings.Join(loaded, ", "))
}

// parallel is how many manifests of an index are asked about at once.
const parallel = 8

// needs is what policies look at besides the evidence in the image's repository.
type needs struct {
	// config says that some look at the configuration of the image.
	config bool
	// elsewhere are other repositories that have evidence, sorted.
	elsewhere []string
}

func needsOf(policies []policy.Policy, image policy.Image, request policy.Request) needs {
	var n needs
	for _, p := range policies {
		if inspector, ok := p.(policy.Inspector); ok && inspector.Inspects() {
			n.config = true
		}
		if e, ok := p.(policy.Elsewhere); ok {
			n.elsewhere = append(n.elsewhere, e.Elsewhere(image, request)...)
		}
	}
	slices.Sort(n.elsewhere)
	n.elsewhere = slices.Compact(n.elsewhere)
	return n
}

// found is what a registry has about one digest.
type found struct {
	evidence  []trust.Evidence
	elsewhere map[string][]trust.Evidence
	config    *policy.ImageConfig
}

// scopes gathers the evidence: for a single image its own; for an index, for
// each platform, that of the platform's manifest and of the index. Each digest
// is asked about once. The configuration is read of what runs, if at all.
func (g *Gate) scopes(ctx context.Context, resolved oci.Resolved, needed needs) ([]policy.Scope, error) {
	digests := []subject.Digest{resolved.Digest}
	position := map[subject.Digest]int{resolved.Digest: 0}
	for _, p := range resolved.Platforms {
		if _, known := position[p.Digest]; !known {
			position[p.Digest] = len(digests)
			digests = append(digests, p.Digest)
		}
	}
	about := make([]found, len(digests))
	group, groupCtx := errgroup.WithContext(oci.Together(ctx))
	group.SetLimit(parallel)
	for i, digest := range digests {
		group.Go(func() (err error) {
			defer func() {
				if r := recover(); r != nil {
					err = fmt.Errorf("reading evidence: internal error: %v", r)
				}
			}()
			if err := g.evidence(groupCtx, resolved.Name(), digest, needed, &about[i]); err != nil {
				return err
			}
			if runs := i > 0 || len(resolved.Platforms) == 0; needed.config && runs {
				about[i].config, err = g.inspect(groupCtx, resolved.Name(), digest)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(resolved.Platforms) == 0 {
		return []policy.Scope{{Subjects: digests, Evidence: about[0].evidence, Elsewhere: about[0].elsewhere, Config: about[0].config}}, nil
	}
	var scopes []policy.Scope
	for _, p := range resolved.Platforms {
		scope := policy.Scope{Platform: p.Name, Subjects: []subject.Digest{resolved.Digest}, Evidence: about[0].evidence, Elsewhere: about[0].elsewhere}
		if i := position[p.Digest]; i > 0 {
			scope.Subjects = []subject.Digest{p.Digest, resolved.Digest}
			scope.Evidence = slices.Concat(about[i].evidence, about[0].evidence)
			scope.Elsewhere = map[string][]trust.Evidence{}
			for _, repository := range needed.elsewhere {
				scope.Elsewhere[repository] = slices.Concat(about[i].elsewhere[repository], about[0].elsewhere[repository])
			}
			scope.Config = about[i].config
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

// evidence lists what there is about a digest, in the image's repository and in
// those that policies name besides.
func (g *Gate) evidence(ctx context.Context, repository string, digest subject.Digest, needed needs, about *found) (err error) {
	if about.evidence, err = g.config.Registry.Evidence(ctx, repository, digest); err != nil {
		return err
	}
	about.elsewhere = map[string][]trust.Evidence{}
	for _, other := range needed.elsewhere {
		if about.elsewhere[other], err = g.config.Registry.Evidence(ctx, other, digest); err != nil {
			return err
		}
	}
	return nil
}

// inspect reads the configuration of a manifest.
func (g *Gate) inspect(ctx context.Context, repository string, digest subject.Digest) (*policy.ImageConfig, error) {
	c, err := g.config.Registry.ImageConfig(ctx, repository, digest)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of the image: %w", err)
	}
	return &policy.ImageConfig{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, Created: c.Created, Labels: c.Labels, Env: c.Env,
		User: c.User, Entrypoint: c.Entrypoint, Cmd: c.Cmd}, nil
}
