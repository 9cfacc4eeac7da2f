package kyverno

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// combinations is how many ways of one attestation for each name are looked at.
const combinations = 256

// deny checks what must not be so of all named attestations together, of every
// combination of those that decide.
func (j *judge) deny(b verifyBlock, named map[string][]trust.Claim) {
	check := verdict.Check{Name: "validate.deny", Expected: "that the conditions of deny do not hold"}
	names := slices.Sorted(maps.Keys(named))
	ways := 1
	for _, name := range names {
		ways *= len(named[name])
		if ways > combinations {
			check.Outcome, check.Found = verdict.Broken, fmt.Sprintf("more than %d combinations of attestations", combinations)
			check.Remedy = "delete evidence that is out of date"
			j.add(check)
			return
		}
	}
	for way := range ways {
		rest := way
		for _, name := range names {
			claim := named[name][rest%len(named[name])]
			rest /= len(named[name])
			check.Evidence = append(check.Evidence, claim.Evidence())
			fields, err := fieldsOf(claim)
			j.facts.set(name, fields, err)
		}
		env := j.environment(nil)
		answer, outcomes := b.deny.holds(env)
		if answer == no {
			check.Evidence = nil
			continue
		}
		var words []string
		for _, o := range outcomes {
			if o.broken != nil {
				check.Outcome = verdict.Broken
				words = append(words, o.expected+": "+o.broken.Error())
			} else {
				words = append(words, o.expected+", found "+o.found)
			}
		}
		check.Found = strings.Join(words, "; ")
		if b.message != nil {
			if said, err := b.message.evaluate(env); err == nil {
				check.Message = shorten(scalarOrJSON(said.plain()), messageBytes)
			} else {
				check.Message = shorten(b.message.source, messageBytes)
			}
		}
		j.add(check)
		return
	}
	check.Outcome, check.Found = verdict.Passed, "they do not hold"
	j.add(check)
}
