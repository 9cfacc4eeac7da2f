package kyverno

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// known finds the keys of a set that a config map has.
func (j *judge) known(set attestorSet) (attestorSet, bool) {
	found := set
	found.parties = nil
	changed := false
	for _, p := range set.parties {
		switch {
		case p.set != nil:
			within, ok := j.known(*p.set)
			if !ok {
				return set, false
			}
			p.set = &within
			found.parties = append(found.parties, p)
		case p.keys != nil:
			changed = true
			signers, err := p.keys.find(j.environment(nil))
			if err != nil {
				j.add(verdict.Check{Name: p.name, Outcome: verdict.Broken, Expected: "public keys in PEM at " + p.keys.text.source, Found: err.Error(),
					Remedy: "put the keys into the config map that the policy names"})
				return set, false
			}
			for _, signer := range signers {
				one := p
				one.signer, one.keys = signer, nil
				found.parties = append(found.parties, one)
			}
		default:
			found.parties = append(found.parties, p)
		}
	}
	if !changed && set.required > 0 {
		return found, true
	}
	if err := found.close(); err != nil {
		j.add(verdict.Check{Name: set.name, Outcome: verdict.Broken, Expected: "as many different keys as the policy counts", Found: err.Error(),
			Remedy: "correct the keys in the config map that the policy names, or the policy's count"})
		return set, false
	}
	return found, true
}

// find gives the signers of keys that stand in a config map.
func (k keyTemplate) find(env *environment) ([]trust.Signer, error) {
	value, err := k.text.evaluate(env)
	if err != nil {
		return nil, err
	}
	text, ok := value.plain().(string)
	if !ok {
		return nil, fmt.Errorf("found %s, want text", brief(value.plain()))
	}
	return parseKeys(k.signer, k.digest, text)
}

// describe names whoever may sign.
func (p party) describe() string {
	var words []string
	switch {
	case p.set != nil:
		return "(" + p.set.describe() + ")"
	case len(p.signer.Keys) > 1:
		for _, key := range p.signer.Keys {
			words = append(words, key.ID.String())
		}
		return "one of the keys " + strings.Join(words, ", ")
	case len(p.signer.Keys) == 1:
		words = append(words, "the key "+p.signer.Keys[0].ID.String())
	}
	for _, pattern := range p.signer.Identities {
		words = append(words, pattern.String())
	}
	text := strings.Join(words, " or ")
	for _, key := range slices.Sorted(maps.Keys(p.annotations)) {
		text += fmt.Sprintf(" with the annotation %s=%s", key, p.annotations[key])
	}
	if p.repository != "" {
		text += " in " + p.repository
	}
	return text
}

func (s attestorSet) describe() string {
	words := make([]string, 0, len(s.parties))
	for _, p := range s.parties {
		words = append(words, p.describe())
	}
	if len(words) == 1 {
		return words[0]
	}
	return fmt.Sprintf("%d of these %d: %s", s.required, len(words), strings.Join(words, ", "))
}

// compose gives a set of what each party claims that counts.
func (s attestorSet) compose(claims func(party) []trust.Claim) trust.Set {
	composed := trust.Set{Required: s.required}
	for _, p := range s.parties {
		if p.set != nil {
			within := p.set.compose(claims)
			composed.Members = append(composed.Members, trust.Member{Set: &within})
			continue
		}
		composed.Members = append(composed.Members, trust.Member{Claims: claims(p)})
	}
	return composed
}

// most is how many members of a set that is not met count together.
func most(set trust.Set) int {
	for set.Required--; set.Required > 0; set.Required-- {
		if trust.Compose(set) != nil {
			return set.Required
		}
	}
	return 0
}
