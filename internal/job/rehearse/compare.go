package rehearse

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/format/explain"
)

// Expectation is the answer that a test wants.
type Expectation struct {
	// Decision is allow, warn, deny or fault.
	Decision string
	// Failed are the checks that must not pass, as RULE or RULE/CHECK, and no
	// other may fail; without any, they are not compared.
	Failed []string
	// Message must be in the answer, as `assay check` prints it.
	Message string
}

// Differences says in which ways a verdict is not the one that is wanted; none
// where it is.
func Differences(v verdict.Verdict, want Expectation) []string {
	var list []string
	if got := v.Decision.String(); got != want.Decision {
		list = append(list, fmt.Sprintf("the decision is %s, want %s", got, want.Decision))
	}
	if len(want.Failed) > 0 {
		list = append(list, unexpected(append(v.Failures(), v.Warnings()...), want.Failed)...)
	}
	if want.Message == "" {
		return list
	}
	var text strings.Builder
	if err := explain.Write(&text, v); err != nil || !strings.Contains(text.String(), want.Message) {
		list = append(list, fmt.Sprintf("the answer does not contain %q", want.Message))
	}
	return list
}

func unexpected(failed []verdict.Check, want []string) []string {
	var list []string
	met := make([]bool, len(want))
	for _, c := range failed {
		found := false
		for i, name := range want {
			if name == c.Rule || name == c.Rule+"/"+c.Name {
				met[i], found = true, true
			}
		}
		name := c.Rule
		if c.Name != "" {
			name += "/" + c.Name
		}
		if text := fmt.Sprintf("%s failed and should not: found %s", name, c.Found); !found && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	for i, name := range want {
		if !met[i] {
			list = append(list, fmt.Sprintf("%s should fail and did not", name))
		}
	}
	return list
}

// Outcome is what one rule of a policy says, in Kyverno's words: pass, fail,
// warn or skip. warn is what fails and does not deny.
func Outcome(v verdict.Verdict, policy, rule string) string {
	outcome := "skip"
	for _, c := range v.Checks {
		if c.Policy != policy || c.Rule != rule {
			continue
		}
		switch {
		case c.Outcome == verdict.Passed && outcome == "skip":
			outcome = "pass"
		case (c.Outcome == verdict.Failed || c.Outcome == verdict.Broken) && c.Action == verdict.Enforce:
			return "fail"
		case c.Outcome == verdict.Failed || c.Outcome == verdict.Broken:
			outcome = "warn"
		}
	}
	return outcome
}
