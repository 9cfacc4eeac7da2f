package gate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// moving is a registry whose tags name another digest each time, and which
// counts what it is asked.
type moving struct {
	resolved, read, inspected atomic.Int64
	away                      string
}

func (r *moving) Resolve(_ context.Context, reference string) (oci.Resolved, error) {
	if strings.Contains(reference, r.away) && r.away != "" {
		r.resolved.Add(1)
		return oci.Resolved{}, errors.New("away")
	}
	parsed, err := oci.Parse(reference)
	if err != nil {
		return oci.Resolved{}, err
	}
	return oci.Resolved{Reference: reference, Registry: parsed.Registry, Repository: parsed.Repository, Tag: parsed.Tag,
		Digest: subject.Of([]byte{byte(r.resolved.Add(1))})}, nil
}

func (r *moving) Evidence(context.Context, string, subject.Digest) ([]trust.Evidence, error) {
	r.read.Add(1)
	return nil, nil
}

func (r *moving) ImageConfig(context.Context, string, subject.Digest) (oci.ImageConfig, error) {
	r.inspected.Add(1)
	return oci.ImageConfig{User: "1000"}, nil
}

// TestDecideAll: what names one image is answered about one digest, though the
// tag moves meanwhile; each question keeps its place, its own request and its
// own error.
func TestDecideAll(t *testing.T) {
	r := &moving{away: "gone"}
	p := ended(verdict.Passed)
	in := func(namespace string) policy.Request {
		return policy.Request{Known: true, Kind: "Pod", Namespace: namespace}
	}
	answers := newGate(t, r, p).DecideAll(t.Context(), []gate.Question{
		{Reference: "registry.example.com/a:v1", Request: in("one")},
		{Reference: "registry.example.com/gone:v1"},
		{Reference: "registry.example.com/b:v1"},
		{Reference: "no reference!"},
		{Reference: "registry.example.com/a:v1", Request: in("two")},
		{Reference: "registry.example.com/gone:v1"},
	})
	var decisions []verdict.Decision
	for _, a := range answers {
		decisions = append(decisions, a.Verdict.Decision)
		if (a.Err == nil) != (a.Verdict.Decision == verdict.Allow) {
			t.Errorf("%s: %s and %v", a.Verdict.Reference, a.Verdict.Decision, a.Err)
		}
	}
	if want := []verdict.Decision{verdict.Allow, verdict.Fault, verdict.Allow, verdict.Fault, verdict.Allow, verdict.Fault}; !slices.Equal(decisions, want) {
		t.Errorf("got %v, want %v", decisions, want)
	}
	if answers[0].Verdict.Subject != answers[4].Verdict.Subject || answers[0].Verdict.Subject == answers[2].Verdict.Subject {
		t.Error("one tag was answered about two digests, or two tags about one")
	}
	if r.resolved.Load() != 3 || r.read.Load() != 2 {
		t.Errorf("resolved %d references and read the evidence of %d, want 3 and 2", r.resolved.Load(), r.read.Load())
	}
	var asked []string
	for _, input := range p.asked {
		asked = append(asked, input.Request.Namespace)
	}
	if slices.Sort(asked); !slices.Equal(asked, []string{"", "one", "two"}) {
		t.Errorf("judged for namespaces %q", asked)
	}
}
