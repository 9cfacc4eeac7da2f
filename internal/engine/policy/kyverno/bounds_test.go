package kyverno_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// TestBoundsOfPolicies: what is just over a bound is refused when the policy
// is loaded, and what is just within is not.
func TestBoundsOfPolicies(t *testing.T) {
	ci := newSigner(t)
	nested := func(depth int) string {
		return strings.Repeat("{{ to_string('", depth) + "x" + strings.Repeat("') }}", depth)
	}
	for name, c := range map[string]struct{ within, over, want string }{
		"an expression": {"{{ " + strings.Repeat("a", limit.PolicyExpression) + " }}", "{{ " + strings.Repeat("a", limit.PolicyExpression+1) + " }}", "larger than the bound"},
		"braces":        {nested(limit.TemplateDepth), nested(limit.TemplateDepth + 1), "nest more than 8 deep"},
		"a version range": {"{{ semver_compare('1.2.3', '" + strings.Repeat(" ", limit.Version-5) + "1.2.3') }}",
			"{{ semver_compare('1.2.3', '" + strings.Repeat(" ", limit.Version-4) + "1.2.3') }}", "larger than the bound"},
	} {
		t.Run(name, func(t *testing.T) {
			const condition = `[{all: [{key: "%s", operator: Equals, value: x}]}]`
			if _, err := load(withKey(fmt.Sprintf(conditionPolicy, fmt.Sprintf(condition, c.within)), ci.pem)); err != nil {
				t.Errorf("within the bound: %v", err)
			}
			_, err := load(withKey(fmt.Sprintf(conditionPolicy, fmt.Sprintf(condition, c.over)), ci.pem))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("over the bound: %v, want %q", err, c.want)
			}
		})
	}
}

// TestBoundsOfData: what a predicate says over a bound denies, with the reason.
func TestBoundsOfData(t *testing.T) {
	ci := newSigner(t)
	long := strings.Repeat("a", limit.WildcardText)
	many := func(n int) string {
		return `{"l":["x` + strings.Repeat(`","x`, n-1) + `"]}`
	}
	wild := `["y*"` + strings.Repeat(`,"y*"`, 9_999) + `]`
	for name, c := range map[string]struct {
		key, operator, value string
		within, over, want   string
	}{
		"a text and a wildcard":      {"{{ a }}", "Equals", `"*a"`, `{"a":"` + long + `"}`, `{"a":"` + long + `a"}`, "is not held against wildcards"},
		"an element and a wildcard":  {"{{ a }}", "AllNotIn", `["b*"]`, `{"a":["` + long + `"]}`, `{"a":["` + long + `a"]}`, "larger than the bound"},
		"pattern_match":              {"{{ pattern_match('*a', a) }}", "Equals", `true`, `{"a":"` + long + `"}`, `{"a":"` + long + `a"}`, "larger than the bound"},
		"elements and wildcards":     {"{{ l }}", "AllNotIn", wild, many(limit.Comparisons / 10_000), many(limit.Comparisons/10_000 + 1), "larger than the bound"},
		"the digits of a quantity":   {"{{ a }}", "LessThan", `"1Gi"`, `{"a":"` + strings.Repeat("0", limit.Quantity-1) + `k"}`, `{"a":"` + strings.Repeat("0", limit.Quantity) + `k"}`, "cannot be compared"},
		"the exponent of a quantity": {"{{ a }}", "GreaterThan", `"1Gi"`, `{"a":"1e999"}`, `{"a":"1e1000"}`, "cannot be compared"},
		"a version": {"{{ a }}", "GreaterThan", `"1.2.3"`, `{"a":"2.0.0-` + strings.Repeat("a", limit.Version-6) + `"}`,
			`{"a":"2.0.0-` + strings.Repeat("a", limit.Version-5) + `"}`, "cannot be compared"},
	} {
		t.Run(name, func(t *testing.T) {
			condition := fmt.Sprintf(`[{all: [{key: "%s", operator: %s, value: %s}]}]`, c.key, c.operator, c.value)
			p, in := conditions(t, ci, condition, c.within)
			allowed(t, p, in)
			p, in = conditions(t, ci, condition, c.over)
			denied(t, p, in, c.want)
		})
	}
}
