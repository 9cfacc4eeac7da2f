package cel

import (
	"testing"

	"github.com/google/cel-go/common/types"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// Decide is for BenchmarkDecide: the checks of a loaded policy on evidence that
// was verified and read before, of one scope.
func Decide(t testing.TB, p policy.Policy, input policy.Input) func() []verdict.Check {
	t.Helper()
	own, ok := p.(*evidencePolicy)
	if !ok {
		t.Fatalf("%T is no EvidencePolicy", p)
	}
	j := &judge{policy: own, input: input, scope: input.Scopes[0], verified: map[string]verified{}}
	var views [][]*view
	for _, r := range own.requirements {
		var of []*view
		for _, evidence := range j.scope.Evidence {
			claim, rejection := trust.Verify(evidence, r.parties(), j.scope.Subjects, input.Now)
			if rejection != nil {
				t.Fatal(rejection.Detail)
			}
			if claim.Type() != r.uri {
				continue
			}
			v, err := look(r.family, claim)
			if err != nil {
				t.Fatal(err)
			}
			of = append(of, v)
		}
		views = append(views, of)
	}
	return func() (made []verdict.Check) {
		for i, r := range own.requirements {
			shared := &scene{judge: j, views: views[i]}
			for _, v := range views[i] {
				one := shared.of(v)
				for _, c := range r.checks {
					result, err := c.make(t.Context(), one, verdict.Check{Policy: own.name, Rule: r.name})
					if err != nil {
						t.Fatal(err)
					}
					made = append(made, result)
				}
			}
		}
		return made
	}
}

// TestMeterIsLinear: a loop over a list that is ten times as long is charged ten
// times as much, and not more.
func TestMeterIsLinear(t *testing.T) {
	documents, err := strictyaml.Documents("p", []byte("apiVersion: assay.sh/v1alpha1\nkind: EvidencePolicy\nmetadata: {name: p}\nspec:\n  match: {images: ['*']}\n  signers: [{name: ci, keys: [{file: k}]}]\n  requirements:\n  - {name: r, type: custom, signers: [ci], checks: [{name: c, expr: 'predicates.all(a, a != 1)'}]}"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Load(documents[0], standIn{})
	if err != nil {
		t.Fatal(err)
	}
	spent := func(n int) uint64 {
		s := &scene{judge: &judge{}, made: map[string]any{"predicates": types.DefaultTypeAdapter.NativeToValue(make([]int64, n))}}
		if value, err := p.(*evidencePolicy).requirements[0].checks[0].evaluate(t.Context(), s); err != nil || value.Value() != true {
			t.Fatal(value, err)
		}
		return s.meter.spent
	}
	small, large := spent(1000), spent(10_000)
	if large < 9*small || large > 11*small {
		t.Errorf("1,000 entries cost %d, 10,000 cost %d", small, large)
	}
}

// standIn plays every signer.
type standIn struct{ policytest.Material }

// Signer has no key that matters.
func (standIn) Signer(reference string) (trust.Signer, error) {
	return trust.Signer{Name: reference, Keys: []trust.Key{{}}}, nil
}
