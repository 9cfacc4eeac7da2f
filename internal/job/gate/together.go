package gate

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// Answer is what Decide returns.
type Answer struct {
	Verdict verdict.Verdict
	Err     error
}

// DecideAll answers many questions, in their order. Images are judged in
// parallel; each reference is resolved once and its evidence read once, however
// many questions name it, so that all of them are answered about one digest.
func (g *Gate) DecideAll(ctx context.Context, questions []Question) []Answer {
	answers := make([]Answer, len(questions))
	var order []string
	same := map[string][]int{}
	for i, q := range questions {
		key := spelling(q.Reference)
		if same[key] == nil {
			order = append(order, key)
		}
		same[key] = append(same[key], i)
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, key := range order {
		group.Go(func() error {
			once := g.remembering()
			for _, i := range same[key] {
				answers[i].Verdict, answers[i].Err = once.Decide(ctx, questions[i])
			}
			return nil
		})
	}
	_ = group.Wait() // each question has its own error
	return answers
}

// spelling is a reference as it is normalised; one that is none stands for
// itself.
func spelling(reference string) string {
	r, err := oci.Parse(reference)
	if err != nil {
		return reference
	}
	return fmt.Sprintf("%s/%s:%s@%s", r.Registry, r.Repository, r.Tag, r.Digest)
}

// remembering is the gate with a registry that is asked each thing once. It
// serves one reference and one goroutine.
func (g *Gate) remembering() *Gate {
	once := &Gate{config: g.config}
	var resolved *oci.Resolved
	var resolveErr error
	once.resolve = func(ctx context.Context, reference string) (oci.Resolved, error) {
		if resolved == nil && resolveErr == nil {
			found, err := g.resolve(ctx, reference)
			resolved, resolveErr = &found, err
		}
		return *resolved, resolveErr
	}
	type gathered struct {
		scopes []policy.Scope
		err    error
	}
	known := map[string]*gathered{}
	once.gather = func(ctx context.Context, r oci.Resolved, needed needs) ([]policy.Scope, error) {
		key := fmt.Sprintf("%t %q", needed.config, needed.elsewhere)
		if known[key] == nil {
			scopes, err := g.gather(ctx, r, needed)
			known[key] = &gathered{scopes, err}
		}
		return known[key].scopes, known[key].err
	}
	return once
}
