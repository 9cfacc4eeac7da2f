// Package gate is the only place that decides whether an image may run. Every
// door calls it: the command line, promotion, and later admission.
//
// Entry points are [New], [Gate.Decide] and [Gate.DecideResolved]. The zero
// verdict denies; an image that no policy judges is denied; a check that could
// not be made denies. What made a verdict impossible (a registry that is away,
// a policy that cannot be evaluated) is a fault: an error, beside a verdict
// whose decision says so, and admits nothing.
//
// The gate resolves a tag once; the digest that it found is what is judged,
// and what the verdict's Pinned names. It knows no policy language.
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
	Resolve(ctx context.Context, reference string) (oci.Resolved, error)
	Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error)
}

// Config is what a gate works with; everything must be there.
type Config struct {
	// Policies judge; all whose match covers an image must be satisfied.
	Policies []policy.Policy
	Registry Registry
	Now      func() time.Time
}

// Gate decides. It may be used by several goroutines.
type Gate struct {
	config Config
}

// New checks the configuration: a gate without policies would deny everything
// for no reason that it could give, and is an error.
func New(config Config) (*Gate, error) {
	if config.Registry == nil || config.Now == nil {
		return nil, errors.New("gate: a registry and a clock are needed")
	}
	if len(config.Policies) == 0 {
		return nil, errors.New("gate: no policy is loaded, so nothing could be allowed")
	}
	seen := map[string]bool{}
	for _, p := range config.Policies {
		if p == nil || seen[p.Name()] {
			return nil, fmt.Errorf("gate: two policies are called %q", p.Name())
		}
		seen[p.Name()] = true
	}
	return &Gate{config: config}, nil
}

// FaultError says that no verdict was possible.
type FaultError struct {
	// Reference is what was asked about.
	Reference string
	Err       error
}

// Error is the reason.
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
// filled also beside an error, which is a *FaultError.
func (g *Gate) Decide(ctx context.Context, question Question) (verdict.Verdict, error) {
	resolved, err := g.config.Registry.Resolve(ctx, question.Reference)
	if err != nil {
		return g.fault(verdict.Verdict{Reference: question.Reference}, err)
	}
	return g.DecideResolved(ctx, resolved, question.Request)
}

// DecideResolved judges an image whose digest is known.
func (g *Gate) DecideResolved(ctx context.Context, resolved oci.Resolved, request policy.Request) (v verdict.Verdict, err error) {
	v = verdict.Verdict{Reference: resolved.Reference, Subject: resolved.Digest, Pinned: resolved.Pinned(), Time: g.config.Now().UTC(), Policies: []string{}, Checks: []verdict.Check{}}
	if resolved.Digest.IsZero() {
		return g.fault(v, errors.New("the image has no digest"))
	}
	image := policy.Image{Registry: resolved.Registry, Repository: resolved.Repository, Tag: resolved.Tag, Digest: resolved.Digest}
	matching := slices.DeleteFunc(slices.Clone(g.config.Policies), func(p policy.Policy) bool { return !p.Match(image, request) })
	if len(matching) == 0 {
		v.Reason = g.unmatched(image, request)
		return v, nil
	}
	scopes, err := g.scopes(ctx, resolved)
	if err != nil {
		return g.fault(v, err)
	}
	input := policy.Input{Image: image, Request: request, Scopes: scopes, Now: v.Time}
	for _, p := range matching {
		v.Policies = append(v.Policies, p.Name())
		checks, err := judge(ctx, p, input)
		if err != nil {
			return g.fault(v, err)
		}
		v.Checks = append(v.Checks, checks...)
	}
	if err := ctx.Err(); err != nil {
		return g.fault(v, err)
	}
	v.Decision = decide(v.Checks)
	if len(v.Checks) == 0 {
		v.Reason = "the policies that match the image made no check"
	}
	return v, nil
}

// judge asks one policy, and turns a panic in it into an error: a bug in a
// policy engine must not take a door down, and must not open it.
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
	return checks, nil
}

// decide allows only if there is a check, and no check that is anything but
// passed or skipped, and one that passed.
func decide(checks []verdict.Check) verdict.Decision {
	passed := false
	for _, c := range checks {
		switch c.Outcome {
		case verdict.Passed:
			passed = true
		case verdict.Skipped:
		default:
			return verdict.Deny
		}
	}
	if !passed {
		return verdict.Deny
	}
	return verdict.Allow
}

func (g *Gate) fault(v verdict.Verdict, err error) (verdict.Verdict, error) {
	v.Decision, v.Reason = verdict.Fault, err.Error()
	if v.Time.IsZero() {
		v.Time = g.config.Now().UTC()
	}
	return v, &FaultError{Reference: v.Reference, Err: err}
}

func (g *Gate) unmatched(image policy.Image, request policy.Request) string {
	var names []string
	for _, p := range g.config.Policies {
		names = append(names, p.Name())
	}
	where := ""
	if request.Known {
		where = fmt.Sprintf(" in a %s of namespace %q", request.Kind, request.Namespace)
	}
	return fmt.Sprintf("no policy judges %s/%s%s, and what no policy judges is denied; loaded are %s", image.Registry, image.Repository, where, strings.Join(names, ", "))
}

// parallel is how many manifests of an index are asked about at once.
const parallel = 8

// scopes gathers the evidence: for a single image its own; for an index, for
// each platform, that of the platform's manifest and of the index.
func (g *Gate) scopes(ctx context.Context, resolved oci.Resolved) ([]policy.Scope, error) {
	digests := []subject.Digest{resolved.Digest}
	for _, p := range resolved.Platforms {
		if !slices.Contains(digests, p.Digest) {
			digests = append(digests, p.Digest)
		}
	}
	found := make([][]trust.Evidence, len(digests))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, digest := range digests {
		group.Go(func() (err error) {
			found[i], err = g.config.Registry.Evidence(ctx, resolved.Name(), digest)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(resolved.Platforms) == 0 {
		return []policy.Scope{{Subjects: digests, Evidence: found[0]}}, nil
	}
	var scopes []policy.Scope
	for _, p := range resolved.Platforms {
		i := slices.Index(digests, p.Digest)
		scopes = append(scopes, policy.Scope{Platform: p.Name, Subjects: []subject.Digest{p.Digest, resolved.Digest},
			Evidence: slices.Concat(found[i], found[0])})
	}
	return scopes, nil
}
