package cel

import (
	"context"
	"maps"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// scene is what an expression may look at: a celgo.Activation that makes each
// variable when it is asked for.
type scene struct {
	judge *judge
	// view is the piece of evidence, nil where the expression is about all; views
	// are all that decide.
	view  *view
	views []*view
	// made are the variables that were asked for.
	made map[string]any
	// meter counts the evaluation that runs, and adapter makes values for it.
	meter   *meter
	adapter types.Adapter
	// shared has what is the same for all pieces.
	shared *scene
}

// of is the scene of one piece of evidence.
func (s *scene) of(v *view) *scene { return &scene{judge: s.judge, view: v, views: s.views, shared: s} }

// Parent is none.
func (s *scene) Parent() celgo.Activation { return nil }

// ResolveName gives a variable. What does not exist was an error at load.
func (s *scene) ResolveName(name string) (any, bool) {
	if name == meterName {
		return s.meter, true
	}
	if value, known := s.made[name]; known {
		return value, true
	}
	value, has := s.one(name)
	if !has {
		if s.shared != nil {
			s.shared.adapter = s.adapter
			return s.shared.ResolveName(name)
		}
		if value, has = s.all(name); !has {
			return nil, false
		}
	}
	if s.made == nil {
		s.made = map[string]any{}
	}
	s.made[name] = s.value(value)
	return s.made[name], true
}

// value makes the entries of our lists once for all checks: cel-go would make
// them for each.
func (s *scene) value(native any) ref.Val {
	switch list := native.(type) {
	case []Finding:
		return entriesOf(s.adapter, list)
	case []Component:
		return entriesOf(s.adapter, list)
	}
	return s.adapter.NativeToValue(native)
}

func entriesOf[T any](adapter types.Adapter, list []T) ref.Val {
	values := make([]ref.Val, len(list))
	for i, entry := range list {
		values[i] = adapter.NativeToValue(entry)
	}
	return types.NewRefValList(adapter, values)
}

// one are the variables of one piece of evidence.
func (s *scene) one(name string) (any, bool) {
	v := s.view
	if v == nil {
		return nil, false
	}
	switch name {
	case "predicate":
		return v.predicate(), true
	case "claim":
		return claimOf(v.claim), true
	case "findings":
		return v.findings, true
	case "scan":
		return v.scan, true
	case "components":
		return v.components, true
	case "provenance":
		return v.build, true
	case "tests":
		return v.tests, true
	}
	return nil, false
}

// all are the variables that are the same for all pieces.
func (s *scene) all(name string) (any, bool) {
	input := s.judge.input
	switch name {
	case "image":
		return imageOf(input.Image, s.judge.scope), true
	case "request":
		r := input.Request
		return Request{Operation: r.Operation, Group: r.Group, Version: r.Version, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, Path: r.Path,
			NamespaceLabels: r.NamespaceLabels, User: User{r.User.Name, r.User.Groups}}, true
	case "object":
		return present(input.Request.Object), true
	case "oldObject":
		return present(input.Request.Old), true
	case "pod":
		return present(input.Request.Pod), true
	case "now":
		return input.Now, true
	case "evidence":
		list := []Evidence{}
		for _, v := range s.views {
			list = append(list, Evidence{claimOf(v.claim), v.findings, v.scan, v.components, v.build, v.tests})
		}
		return list, true
	case "predicates":
		list := []any{}
		for _, v := range s.views {
			list = append(list, v.predicate())
		}
		return list, true
	}
	return nil, false
}

// present is an object, or an empty one where it is not known.
func present(object map[string]any) map[string]any {
	if object == nil {
		return map[string]any{}
	}
	return object
}

func claimOf(claim trust.Claim) Claim {
	made, _ := claim.Time()
	c := Claim{Type: claim.Type(), Signer: claim.Signer(), Tool: claim.Tool(), Time: made, Digest: claim.Evidence().Digest.String(),
		Key: claim.Key().String(), Subject: claim.Certificate().Subject, Issuer: claim.Certificate().Issuer,
		Extensions: maps.Clone(claim.Certificate().Extensions), Annotations: maps.Clone(claim.Annotations()), Logs: []LogEntry{}, Timestamps: []Timestamp{}}
	for _, digest := range claim.Subjects() {
		c.Subjects = append(c.Subjects, digest.String())
	}
	for _, entry := range claim.Witnesses().Logs {
		c.Logs = append(c.Logs, LogEntry(entry))
	}
	for _, stamp := range claim.Witnesses().Timestamps {
		c.Timestamps = append(c.Timestamps, Timestamp(stamp))
	}
	return c
}

func imageOf(image policy.Image, scope policy.Scope) Image {
	made := Image{Reference: image.Registry + "/" + image.Repository, Registry: image.Registry, Repository: image.Repository,
		Tag: image.Tag, Digest: image.Digest.String(), Platform: scope.Platform}
	if c := scope.Config; c != nil {
		made.Labels = c.Labels
		made.Config = Config{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, Created: c.Created, Env: c.Env, User: c.User, Entrypoint: c.Entrypoint, Cmd: c.Cmd}
	}
	return made
}

// evaluate gives the value of an expression.
func (e expression) evaluate(ctx context.Context, s *scene) (ref.Val, error) {
	return e.program.evaluate(ctx, s)
}

// evaluate runs a program once, with a meter of its own.
func (m metric) evaluate(ctx context.Context, s *scene) (ref.Val, error) {
	s.adapter = m.adapter
	s.meter = &meter{cost: newCost(), dearness: m.dearness, values: make([]ref.Val, m.nodes)}
	value, _, err := m.ContextEval(ctx, s)
	return value, spent(err)
}
