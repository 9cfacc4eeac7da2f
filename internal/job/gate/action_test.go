package gate_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// TestActions: only what enforces denies, and what was admitted in spite of a
// failure is never called allowed, unless something else proved the image.
func TestActions(t *testing.T) {
	made := func(outcome verdict.Outcome, action verdict.Action) verdict.Check {
		return verdict.Check{Policy: "p", Rule: "r", Outcome: outcome, Action: action}
	}
	passed := made(verdict.Passed, verdict.Enforce)
	for name, c := range map[string]struct {
		checks []verdict.Check
		want   verdict.Decision
	}{
		"warned":                  {[]verdict.Check{passed, made(verdict.Failed, verdict.WarnOnly)}, verdict.Warn},
		"warned, broken":          {[]verdict.Check{passed, made(verdict.Broken, verdict.WarnOnly)}, verdict.Warn},
		"warned and nothing else": {[]verdict.Check{made(verdict.Failed, verdict.WarnOnly)}, verdict.Warn},
		"recorded":                {[]verdict.Check{passed, made(verdict.Failed, verdict.AuditOnly)}, verdict.Allow},
		"recorded and no proof":   {[]verdict.Check{made(verdict.Failed, verdict.AuditOnly)}, verdict.Warn},
		"warned and enforced":     {[]verdict.Check{made(verdict.Failed, verdict.WarnOnly), made(verdict.Failed, verdict.Enforce)}, verdict.Deny},
		"recorded and enforced":   {[]verdict.Check{made(verdict.Failed, verdict.AuditOnly), made(verdict.Broken, verdict.Enforce)}, verdict.Deny},
		"no known action":         {[]verdict.Check{passed, made(verdict.Failed, 9)}, verdict.Deny},
		"no known outcome":        {[]verdict.Check{passed, made(9, verdict.AuditOnly)}, verdict.Deny},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(t, newGate(t, &registry{resolved: image()}, &fixed{name: "p", checks: c.checks}), reference)
			if v.Decision != c.want {
				t.Errorf("got %s, want %s", v.Decision, c.want)
			}
			if v.Decision == verdict.Warn && (v.Reason == "" || len(v.Warnings()) == 0) {
				t.Errorf("a warning that says nothing: %+v", v)
			}
		})
	}
}

// tolerant admits with a warning what cannot be read.
type tolerant struct {
	*fixed
	action verdict.Action
}

func (p tolerant) OnFault(fault policy.Fault, at time.Time) verdict.Action {
	if fault != policy.EvidenceUnavailable || !at.Equal(now) {
		return verdict.Enforce
	}
	return p.action
}

// TestTolerance: evidence that cannot be read is excused only where every
// policy says so, and only where the registry is away; never what is wrong with
// the evidence, and never a tag that was not resolved.
func TestTolerance(t *testing.T) {
	away := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	lenient := tolerant{ended(verdict.Passed), verdict.WarnOnly}
	strict := ended(verdict.Passed)
	strict.name = "strict"
	for name, c := range map[string]struct {
		evidence, resolve error
		policies          []policy.Policy
		want              verdict.Decision
	}{
		"all tolerate":        {away, nil, []policy.Policy{lenient}, verdict.Warn},
		"timeout":             {context.DeadlineExceeded, nil, []policy.Policy{lenient}, verdict.Warn},
		"one does not":        {away, nil, []policy.Policy{lenient, strict}, verdict.Fault},
		"none does":           {away, nil, []policy.Policy{strict}, verdict.Fault},
		"says it enforces":    {away, nil, []policy.Policy{tolerant{ended(verdict.Passed), verdict.Enforce}}, verdict.Fault},
		"too much evidence":   {&limit.Error{What: "the list", Bound: 1, Unit: "entries"}, nil, []policy.Policy{lenient}, verdict.Fault},
		"wrong evidence":      {&oci.ContentError{}, nil, []policy.Policy{lenient}, verdict.Fault},
		"refused":             {errors.New("the registry answered 403 Forbidden"), nil, []policy.Policy{lenient}, verdict.Fault},
		"tag is not resolved": {nil, away, []policy.Policy{lenient}, verdict.Fault},
	} {
		t.Run(name, func(t *testing.T) {
			r := &registry{resolved: image(), resolveErr: c.resolve}
			r.evidenceOf = func(context.Context, subject.Digest) error { return c.evidence }
			v, err := newGate(t, r, c.policies...).Decide(t.Context(), gate.Question{Reference: reference})
			if v.Decision != c.want || (err == nil) != (c.want == verdict.Warn) {
				t.Fatalf("got %s and %v, want %s", v.Decision, err, c.want)
			}
			if c.want == verdict.Warn && (!strings.Contains(v.Reason, "admitted by fault (EvidenceUnavailable)") || v.Pinned == "" || len(v.Policies) == 0) {
				t.Errorf("%+v", v)
			}
		})
	}
}
