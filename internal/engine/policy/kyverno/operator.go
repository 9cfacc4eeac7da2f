package kyverno

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// operator compares a key with a value, as Kyverno 1.19's
// pkg/engine/variables/operator does except where the package comment says
// otherwise. An error says why the two cannot be compared; the condition then
// does not hold, whichever operator it is.
type operator func(key, value operand) (bool, error)

// operators by lower-case name; case does not matter.
var operators = map[string]operator{
	"equal": equals(true), "equals": equals(true),
	"notequal": equals(false), "notequals": equals(false),
	"anyin":    set{holds: func(in, _, _ int) bool { return in > 0 }, takesScalar: true}.compare,
	"allin":    set{holds: func(in, _, all int) bool { return in == all }}.compare,
	"anynotin": set{holds: func(_, out, _ int) bool { return out > 0 }, takesScalar: true, negative: true}.compare,
	"allnotin": set{holds: func(in, _, _ int) bool { return in == 0 }, negative: true}.compare,
	// In and NotIn are older than AllIn and AllNotIn, and narrower.
	"in":                          set{holds: func(in, _, all int) bool { return in == all }, older: true}.compare,
	"notin":                       set{holds: func(in, _, _ int) bool { return in == 0 }, older: true, negative: true}.compare,
	"greaterthan":                 numeric(">"),
	"greaterthanorequals":         numeric(">="),
	"lessthan":                    numeric("<"),
	"lessthanorequals":            numeric("<="),
	"durationgreaterthan":         duration(">"),
	"durationgreaterthanorequals": duration(">="),
	"durationlessthan":            duration("<"),
	"durationlessthanorequals":    duration("<="),
}

// notRange is "1!-10", which Kyverno's patterns read and its operators do not.
var notRange = regexp.MustCompile(`^[+-]?[0-9]+(?:\.[0-9]+)?[A-Za-z]*!-[+-]?[0-9]+(?:\.[0-9]+)?[A-Za-z]*$`)

func findOperator(name string) (operator, error) {
	if op, ok := operators[strings.ToLower(name)]; ok {
		return op, nil
	}
	return nil, fmt.Errorf("operator %q is not known; want Equals, NotEquals, AnyIn, AllIn, AnyNotIn, AllNotIn, "+
		"GreaterThan, GreaterThanOrEquals, LessThan or LessThanOrEquals", name)
}

func incomparable(key, value operand, want string) error {
	return fmt.Errorf("%s cannot be compared with %s: want %s", brief(key.plain()), brief(value.plain()), want)
}

// equals tries, as Kyverno does, durations, then quantities, then text with
// wildcards; numbers equal numbers and strings that spell them.
func equals(want bool) operator {
	return func(key, value operand) (bool, error) {
		equal, err := equal(key, value)
		return err == nil && equal == want, err
	}
}

func equal(key, value operand) (bool, error) {
	plain := key.plain()
	switch typed := plain.(type) {
	case bool:
		if other, ok := value.value.(bool); ok {
			return typed == other, nil
		}
		return false, incomparable(key, value, "true or false")
	case float64:
		if number, ok := number(value.value); ok {
			return typed == number, nil
		}
		return false, incomparable(key, value, "a number")
	case string:
		return equalText(typed, key, value)
	case []any, map[string]any:
		other := value.plain()
		if fmt.Sprintf("%T", plain) != fmt.Sprintf("%T", other) {
			return false, incomparable(key, value, "two lists or two objects")
		}
		return same(plain, other), nil
	}
	return false, incomparable(key, value, "a key that is not null")
}

// equalText: a key that is a quantity equals nothing but quantities. A pattern
// that its text matches neither equals it nor is unequal to it.
func equalText(text string, key, value operand) (bool, error) {
	if a, b, ok := durations(text, value.value); ok {
		return a.Seconds() == b.Seconds(), nil
	}
	other, ok := value.value.(string)
	if !ok {
		return false, incomparable(key, value, "a string")
	}
	if !value.glob.fits(text) {
		return false, fmt.Errorf("a text of %d bytes is not held against wildcards; the bound is %d", len(text), limit.WildcardText)
	}
	matches := value.glob.match(text)
	if amount, ok := parseQuantity(text); ok {
		second, ok := parseQuantity(other)
		switch {
		case ok:
			return amount.Equal(second), nil
		case matches:
			return false, incomparable(key, value, "a quantity, as the key is one, which no wildcard matches")
		}
		return false, nil
	}
	return matches, nil
}

// same compares JSON values.
func same(a, b any) bool {
	switch typed := a.(type) {
	case []any:
		other, ok := b.([]any)
		if !ok || len(typed) != len(other) {
			return false
		}
		for i := range typed {
			if !same(typed[i], other[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		other, ok := b.(map[string]any)
		if !ok || len(typed) != len(other) {
			return false
		}
		for key, value := range typed {
			second, found := other[key]
			if !found || !same(value, second) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case []any, map[string]any:
		return false
	}
	return a == b
}
