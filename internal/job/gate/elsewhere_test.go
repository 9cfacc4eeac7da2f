package gate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// elsewhere looks for evidence in other repositories.
type elsewhere struct {
	*fixed
	repositories []string
}

func (p elsewhere) Elsewhere(policy.Image, policy.Request) []string { return p.repositories }

// TestElsewhere: evidence in other repositories is read for policies that name
// them, of each digest once, and is kept apart from the image's own.
func TestElsewhere(t *testing.T) {
	index := image(oci.Platform{Name: "linux/amd64", Digest: amd}, oci.Platform{Name: "linux/arm64", Digest: arm})
	piece := func(d subject.Digest) []trust.Evidence { return []trust.Evidence{{Source: d.Short()}} }
	for name, c := range map[string]struct {
		resolved oci.Resolved
		digests  []subject.Digest
	}{"an image": {image(), []subject.Digest{digest}}, "an index": {index, []subject.Digest{digest, amd, arm}}} {
		r := &registry{resolved: c.resolved, evidence: map[subject.Digest][]trust.Evidence{digest: piece(digest), amd: piece(amd), arm: piece(arm)}}
		p := elsewhere{ended(verdict.Passed), []string{"registry.example.com/signatures", "registry.example.com/signatures"}}
		if v := decide(t, newGate(t, r, p), reference); v.Decision != verdict.Allow {
			t.Errorf("%s: %s", name, v.Decision)
		}
		for _, d := range c.digests {
			for _, repository := range []string{"registry.example.com/ml/app", "registry.example.com/signatures"} {
				call := "evidence " + repository + "@" + d.Short()
				if n := len(slices.DeleteFunc(slices.Clone(r.calls), func(s string) bool { return s != call })); n != 1 {
					t.Errorf("%s: asked %d times for %s", name, n, call)
				}
			}
		}
		for _, scope := range p.asked[0].Scopes {
			if len(scope.Elsewhere["registry.example.com/signatures"]) != len(scope.Subjects) || len(scope.Evidence) != len(scope.Subjects) {
				t.Errorf("%s: %s has %+v", name, scope.Platform, scope)
			}
		}
	}
	r := &registry{resolved: image()}
	if v := decide(t, newGate(t, r, ended(verdict.Passed)), reference); v.Decision != verdict.Allow || strings.Contains(strings.Join(r.calls, " "), "signatures") {
		t.Errorf("asked elsewhere for nobody: %q", r.calls)
	}
	r = &registry{resolved: image(), evidenceOf: func(context.Context, subject.Digest) error { return errors.New("away") }}
	v, err := newGate(t, r, elsewhere{ended(verdict.Passed), []string{"registry.example.com/signatures"}}).Decide(t.Context(), gate.Question{Reference: reference})
	faulted(t, v, err, "away")
}

// TestElsewhereTogether: questions about one image that look in different
// places are not answered from each other's evidence.
func TestElsewhereTogether(t *testing.T) {
	in := func(namespace string) *fixed {
		p := ended(verdict.Passed)
		p.name = namespace
		p.matches = func(_ policy.Image, r policy.Request) bool { return r.Namespace == namespace }
		return p
	}
	a, b := elsewhere{in("a"), []string{"registry.example.com/sig-a"}}, elsewhere{in("b"), []string{"registry.example.com/sig-b"}}
	r := &registry{resolved: image(), evidence: map[subject.Digest][]trust.Evidence{digest: {{Source: "x"}}}}
	ask := func(namespace string) gate.Question {
		return gate.Question{Reference: reference, Request: policy.Request{Known: true, Kind: "Pod", Namespace: namespace}}
	}
	newGate(t, r, a, b).DecideAll(t.Context(), []gate.Question{ask("a"), ask("b"), ask("a")})
	if got := a.asked[0].Scopes[0].Elsewhere; len(got) != 1 || len(got["registry.example.com/sig-a"]) != 1 {
		t.Errorf("a: %v", got)
	}
	if got := b.asked[0].Scopes[0].Elsewhere; len(got) != 1 || len(got["registry.example.com/sig-b"]) != 1 {
		t.Errorf("b: %v", got)
	}
	if n := strings.Count(strings.Join(r.calls, " "), "sig-a@"); n != 1 {
		t.Errorf("asked %d times for a's", n)
	}
}
