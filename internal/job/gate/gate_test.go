package gate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

var (
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	digest = subject.Of([]byte("image"))
	amd    = subject.Of([]byte("amd64"))
	arm    = subject.Of([]byte("arm64"))
)

func clock() time.Time { return now }

// fixed is a policy that answers what it is told, and keeps what it was asked.
type fixed struct {
	name    string
	matches func(policy.Image, policy.Request) bool
	checks  []verdict.Check
	err     error
	panics  any
	mutex   sync.Mutex
	asked   []policy.Input
}

func (p *fixed) Name() string { return p.name }

func (p *fixed) Match(image policy.Image, request policy.Request) bool {
	return p.matches == nil || p.matches(image, request)
}

func (p *fixed) Judge(_ context.Context, input policy.Input) ([]verdict.Check, error) {
	p.mutex.Lock()
	p.asked = append(p.asked, input)
	p.mutex.Unlock()
	if p.panics != nil {
		panic(p.panics)
	}
	return p.checks, p.err
}

// patterned has patterns to name.
type patterned struct{ *fixed }

func (patterned) Patterns() []string { return []string{"registry.example.com/ml/*"} }

func ended(outcomes ...verdict.Outcome) *fixed {
	p := &fixed{name: "p"}
	for _, o := range outcomes {
		p.checks = append(p.checks, verdict.Check{Policy: "p", Rule: "r", Outcome: o})
	}
	return p
}

// registry answers from memory, and keeps what it was asked.
type registry struct {
	resolved   oci.Resolved
	resolveErr error
	evidence   map[subject.Digest][]trust.Evidence
	evidenceOf func(context.Context, subject.Digest) error
	configErr  error

	mutex sync.Mutex
	calls []string
}

func (r *registry) Resolve(_ context.Context, reference string) (oci.Resolved, error) {
	r.note("resolve " + reference)
	return r.resolved, r.resolveErr
}

func (r *registry) Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error) {
	r.note("evidence " + repository + "@" + digest.Short())
	if r.evidenceOf != nil {
		if err := r.evidenceOf(ctx, digest); err != nil {
			return nil, err
		}
	}
	return r.evidence[digest], nil
}

func (r *registry) ImageConfig(_ context.Context, repository string, digest subject.Digest) (oci.ImageConfig, error) {
	r.note("config " + repository + "@" + digest.Short())
	return oci.ImageConfig{Architecture: digest.Short()}, r.configErr
}

func (r *registry) note(call string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.calls = append(r.calls, call)
}

func image(platforms ...oci.Platform) oci.Resolved {
	return oci.Resolved{Reference: "registry.example.com/ml/app:v1", Registry: "registry.example.com", Repository: "ml/app", Tag: "v1",
		Digest: digest, Index: len(platforms) > 0, Platforms: platforms}
}

func newGate(t *testing.T, r gate.Registry, policies ...policy.Policy) *gate.Gate {
	t.Helper()
	g, err := gate.New(gate.Config{Policies: policies, Registry: r, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func decide(t *testing.T, g *gate.Gate, reference string) verdict.Verdict {
	t.Helper()
	v, err := g.Decide(t.Context(), gate.Question{Reference: reference})
	if err != nil {
		t.Fatalf("%v: %+v", err, v)
	}
	return v
}

// faulted wants a fault for a reason, in the error and in the verdict.
func faulted(t *testing.T, v verdict.Verdict, err error, want string) {
	t.Helper()
	var fault *gate.FaultError
	if !errors.As(err, &fault) || fault.Reference == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want a fault with %q", err, want)
	}
	if v.Decision != verdict.Fault || v.Decision.Admits() || !strings.Contains(v.Reason, want) || v.Time.IsZero() || v.Reference == "" {
		t.Errorf("verdict %+v, want a fault with %q", v, want)
	}
}

const reference = "registry.example.com/ml/app:v1"

func TestNew(t *testing.T) {
	r, p := &registry{}, ended(verdict.Passed)
	for name, config := range map[string]gate.Config{
		"nothing":      {},
		"no policy":    {Registry: r, Now: clock},
		"no registry":  {Policies: []policy.Policy{p}, Now: clock},
		"no clock":     {Policies: []policy.Policy{p}, Registry: r},
		"nil policy":   {Policies: []policy.Policy{nil}, Registry: r, Now: clock},
		"twice a name": {Policies: []policy.Policy{p, ended(verdict.Failed)}, Registry: r, Now: clock},
		"allow all":    {Policies: []policy.Policy{p}, Registry: r, Now: clock, WhenUnmatched: verdict.Allow},
		"fault":        {Policies: []policy.Policy{p}, Registry: r, Now: clock, WhenUnmatched: verdict.Fault},
		"unknown":      {Policies: []policy.Policy{p}, Registry: r, Now: clock, WhenUnmatched: 9},
	} {
		if g, err := gate.New(config); err == nil || g != nil {
			t.Errorf("%s: made a gate", name)
		}
	}
}

func TestDecide(t *testing.T) {
	r := &registry{resolved: image()}
	v := decide(t, newGate(t, r, ended(verdict.Passed)), reference)
	if v.Decision != verdict.Allow || v.Pinned != reference+"@"+digest.String() || v.Subject != digest || v.Reference != reference || !v.Time.Equal(now) {
		t.Errorf("%+v", v)
	}
	if !slices.Equal(v.Policies, []string{"p"}) || len(v.Checks) != 1 || len(v.Failures()) != 0 {
		t.Errorf("%+v", v)
	}
	if want := []string{"resolve " + reference, "evidence registry.example.com/ml/app@" + digest.Short()}; !slices.Equal(r.calls, want) {
		t.Errorf("asked %q", r.calls)
	}
}

func TestOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		outcomes []verdict.Outcome
		want     verdict.Decision
	}{
		"passed":             {[]verdict.Outcome{verdict.Passed, verdict.Passed}, verdict.Allow},
		"passed and skipped": {[]verdict.Outcome{verdict.Skipped, verdict.Passed}, verdict.Allow},
		"failed":             {[]verdict.Outcome{verdict.Passed, verdict.Failed}, verdict.Deny},
		"broken":             {[]verdict.Outcome{verdict.Broken, verdict.Passed}, verdict.Deny},
		"unknown":            {[]verdict.Outcome{verdict.Passed, 42}, verdict.Deny},
		"skipped":            {[]verdict.Outcome{verdict.Skipped}, verdict.Deny},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(t, newGate(t, &registry{resolved: image()}, ended(c.outcomes...)), reference)
			if v.Decision != c.want {
				t.Errorf("got %s", v.Decision)
			}
			if !v.Decision.Admits() && v.Reason == "" && len(v.Failures()) == 0 {
				t.Errorf("denied without a reason: %+v", v)
			}
		})
	}
}

// TestAllPolicies: every policy that matches must be satisfied, and one answer
// carries the failures of all.
func TestAllPolicies(t *testing.T) {
	a, b, c := ended(verdict.Passed), ended(verdict.Failed), ended(verdict.Failed)
	a.name, b.name, c.name = "a", "b", "c"
	never := ended(verdict.Passed)
	never.name, never.matches = "never", func(policy.Image, policy.Request) bool { return false }
	v := decide(t, newGate(t, &registry{resolved: image()}, a, never, b, c), reference)
	if v.Decision != verdict.Deny || len(v.Failures()) != 2 || !slices.Equal(v.Policies, []string{"a", "b", "c"}) || len(never.asked) != 0 {
		t.Errorf("%+v", v)
	}
}

func TestUnmatched(t *testing.T) {
	none := func(policy.Image, policy.Request) bool { return false }
	p := patterned{&fixed{name: "EvidencePolicy/ml", matches: none}}
	r := &registry{resolved: image()}
	v := decide(t, newGate(t, r, p), "evil.example.com/x:v1")
	if v.Decision != verdict.Deny || len(v.Checks) != 0 {
		t.Errorf("%+v", v)
	}
	for _, want := range []string{"evil.example.com/x:v1", "EvidencePolicy/ml (registry.example.com/ml/*)"} {
		if !strings.Contains(v.Reason, want) {
			t.Errorf("reason %q lacks %q", v.Reason, want)
		}
	}
	if len(r.calls) != 0 {
		t.Errorf("a registry that no policy covers was asked: %q", r.calls)
	}

	resolved, err := newGate(t, r, p).DecideResolved(t.Context(), image(), policy.Request{Known: true, Kind: "Pod", Namespace: "dev"})
	if err != nil || resolved.Decision != verdict.Deny || !strings.Contains(resolved.Reason, `namespace "dev"`) || len(r.calls) != 0 {
		t.Errorf("%+v, %v, %q", resolved, err, r.calls)
	}

	lenient, err := gate.New(gate.Config{Policies: []policy.Policy{p}, Registry: r, Now: clock, WhenUnmatched: verdict.Warn})
	if err != nil {
		t.Fatal(err)
	}
	v = decide(t, lenient, reference)
	if v.Decision != verdict.Warn || v.Pinned == "" || v.Reason == "" {
		t.Errorf("%+v", v)
	}
	skips, err := gate.New(gate.Config{Policies: []policy.Policy{ended(verdict.Skipped)}, Registry: r, Now: clock, WhenUnmatched: verdict.Warn})
	if err != nil {
		t.Fatal(err)
	}
	if v = decide(t, skips, reference); v.Decision != verdict.Warn {
		t.Errorf("%+v", v)
	}
}

// TestDigestPattern: a policy for any digest of a repository covers a
// reference by tag before the digest is known.
func TestDigestPattern(t *testing.T) {
	p := ended(verdict.Passed)
	p.matches = func(image policy.Image, _ policy.Request) bool {
		return slices.ContainsFunc(image.Spellings(), func(s string) bool { return strings.HasPrefix(s, "registry.example.com/ml/app@sha256:") })
	}
	if v := decide(t, newGate(t, &registry{resolved: image()}, p), reference); v.Decision != verdict.Allow {
		t.Errorf("%+v", v)
	}
	v, err := newGate(t, &registry{resolved: image()}, p).Decide(t.Context(), gate.Question{Reference: "registry.example.com/ml/app:v1@" + digest.String()})
	if err != nil || v.Decision != verdict.Allow {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestMatchAgain: what a policy says before the digest is known admits nothing.
func TestMatchAgain(t *testing.T) {
	p := ended(verdict.Passed)
	p.matches = func(image policy.Image, _ policy.Request) bool { return image.Digest != digest }
	if v := decide(t, newGate(t, &registry{resolved: image()}, p), reference); v.Decision != verdict.Deny {
		t.Errorf("%+v", v)
	}
}

func TestFaults(t *testing.T) {
	down := errors.New("the registry answered 503")
	for name, c := range map[string]struct {
		registry *registry
		policy   *fixed
		want     string
	}{
		"resolving":            {&registry{resolveErr: down}, ended(verdict.Passed), "503"},
		"no digest":            {&registry{}, ended(verdict.Passed), "no digest"},
		"evidence":             {&registry{resolved: image(), evidenceOf: func(context.Context, subject.Digest) error { return down }}, ended(verdict.Passed), "503"},
		"evidence of platform": {&registry{resolved: image(oci.Platform{Name: "linux/arm64", Digest: arm}), evidenceOf: only(arm, down)}, ended(verdict.Passed), "503"},
		"evidence of index":    {&registry{resolved: image(oci.Platform{Name: "linux/arm64", Digest: arm}), evidenceOf: only(digest, down)}, ended(verdict.Passed), "503"},
		"registry panics":      {&registry{resolved: image(), evidenceOf: func(context.Context, subject.Digest) error { panic("bug") }}, ended(verdict.Passed), "internal error: bug"},
		"policy":               {&registry{resolved: image()}, &fixed{name: "p", err: errors.New("cannot be evaluated"), checks: ended(verdict.Passed).checks}, "p: cannot be evaluated"},
		"policy panics":        {&registry{resolved: image()}, &fixed{name: "p", panics: "bug"}, "p: internal error: bug"},
		"match panics":         {&registry{resolved: image()}, &fixed{name: "p", matches: func(policy.Image, policy.Request) bool { panic("bug") }}, "internal error: bug"},
		"no check":             {&registry{resolved: image()}, ended(), "no check"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := newGate(t, c.registry, c.policy).Decide(t.Context(), gate.Question{Reference: reference})
			faulted(t, v, err, c.want)
			if c.registry.resolveErr != nil && !errors.Is(err, down) {
				t.Error("the cause is lost")
			}
			healthy := &registry{resolved: image()}
			if v := decide(t, newGate(t, healthy, ended(verdict.Passed)), reference); v.Decision != verdict.Allow {
				t.Errorf("the twin without the fault: %+v", v)
			}
		})
	}
	for _, bad := range []string{"", "UPPER/case", "a b", "x@sha256:short", "x@md5:d41d8cd98f00b204e9800998ecf8427e"} {
		r := &registry{resolved: image()}
		v, err := newGate(t, r, ended(verdict.Passed)).Decide(t.Context(), gate.Question{Reference: bad})
		if err == nil || v.Decision != verdict.Fault || len(r.calls) != 0 {
			t.Errorf("%q: %+v, %v, %q", bad, v, err, r.calls)
		}
	}
	// A fault after another policy has passed leaves no allow behind.
	later := &fixed{name: "later", err: errors.New("broken")}
	v, err := newGate(t, &registry{resolved: image()}, ended(verdict.Passed), later).Decide(t.Context(), gate.Question{Reference: reference})
	faulted(t, v, err, "later: broken")
}

func only(which subject.Digest, err error) func(context.Context, subject.Digest) error {
	return func(_ context.Context, digest subject.Digest) error {
		if digest == which {
			return err
		}
		return nil
	}
}

func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hangs := &registry{resolved: image(), evidenceOf: func(ctx context.Context, _ subject.Digest) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}
	v, err := newGate(t, hangs, ended(verdict.Passed)).Decide(ctx, gate.Question{Reference: reference})
	faulted(t, v, err, "context canceled")

	// A policy that ignores the stop and passes does not admit.
	ctx, cancel = context.WithCancel(t.Context())
	deaf := ended(verdict.Passed)
	deaf.matches = func(policy.Image, policy.Request) bool { cancel(); return true }
	v, err = newGate(t, &registry{resolved: image()}, deaf).Decide(ctx, gate.Question{Reference: reference})
	faulted(t, v, err, "context canceled")
	if !errors.Is(err, context.Canceled) {
		t.Error("the cause is lost")
	}
}

func TestScopes(t *testing.T) {
	piece := func(text string) []trust.Evidence { return []trust.Evidence{{Source: text}} }
	evidence := map[subject.Digest][]trust.Evidence{digest: piece("index"), amd: piece("amd"), arm: piece("arm")}
	sources := func(s policy.Scope) string {
		text := s.Platform + ":"
		for _, e := range s.Evidence {
			text += " " + e.Source
		}
		for _, d := range s.Subjects {
			text += " " + d.Short()
		}
		return text
	}
	for name, c := range map[string]struct {
		resolved oci.Resolved
		want     []string
		calls    int
	}{
		"image":                 {image(), []string{": index " + digest.Short()}, 1},
		"index":                 {image(oci.Platform{Name: "linux/amd64", Digest: amd}, oci.Platform{Name: "linux/arm64", Digest: arm}), []string{"linux/amd64: amd index " + amd.Short() + " " + digest.Short(), "linux/arm64: arm index " + arm.Short() + " " + digest.Short()}, 3},
		"a manifest twice":      {image(oci.Platform{Name: "linux/amd64", Digest: amd}, oci.Platform{Name: "linux/386", Digest: amd}), []string{"linux/amd64: amd index " + amd.Short() + " " + digest.Short(), "linux/386: amd index " + amd.Short() + " " + digest.Short()}, 2},
		"index without a thing": {oci.Resolved{Registry: "registry.example.com", Repository: "ml/app", Digest: digest, Index: true}, []string{": index " + digest.Short()}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, p := &registry{resolved: c.resolved, evidence: evidence}, ended(verdict.Passed)
			decide(t, newGate(t, r, p), reference)
			var got []string
			for _, s := range p.asked[0].Scopes {
				got = append(got, sources(s))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q", got)
			}
			if asked := len(r.calls) - 1; asked != c.calls {
				t.Errorf("asked for evidence %d times: %q", asked, r.calls)
			}
			if !p.asked[0].Now.Equal(now) || p.asked[0].Image.Digest != digest {
				t.Errorf("%+v", p.asked[0])
			}
		})
	}
}

// TestParallel: the manifests of an index are asked about at once, and no more
// than eight of them.
func TestParallel(t *testing.T) {
	var platforms []oci.Platform
	for i := range 40 {
		platforms = append(platforms, oci.Platform{Name: fmt.Sprint(i), Digest: subject.Of(fmt.Append(nil, i))})
	}
	var mutex sync.Mutex
	running, most, eight := 0, 0, make(chan struct{})
	r := &registry{resolved: image(platforms...), evidenceOf: func(context.Context, subject.Digest) error {
		mutex.Lock()
		running++
		if most = max(most, running); running == 8 && most == 8 {
			select {
			case <-eight:
			default:
				close(eight)
			}
		}
		mutex.Unlock()
		<-eight // nobody ends before eight have begun
		mutex.Lock()
		running--
		mutex.Unlock()
		return nil
	}}
	p := ended(verdict.Passed)
	decide(t, newGate(t, r, p), reference)
	if most != 8 || len(p.asked[0].Scopes) != 40 {
		t.Errorf("%d at once, %d scopes", most, len(p.asked[0].Scopes))
	}
}

// TestSeveralAtOnce is for the race detector.
func TestSeveralAtOnce(t *testing.T) {
	r := &registry{resolved: image(), evidence: map[subject.Digest][]trust.Evidence{}}
	g := newGate(t, r, allowing{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if v, err := g.Decide(t.Context(), gate.Question{Reference: reference}); err != nil || v.Decision != verdict.Allow {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
	group.Wait()
}

type allowing struct{}

func (allowing) Name() string                            { return "p" }
func (allowing) Match(policy.Image, policy.Request) bool { return true }
func (allowing) Judge(context.Context, policy.Input) ([]verdict.Check, error) {
	return ended(verdict.Passed).checks, nil
}
