package kyverno

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// comparisons bounds how many pairs the set operators compare, so that two
// long lists out of a predicate do not take minutes.
const comparisons = 10_000_000

// operand is one side of a condition after its templates were evaluated.
type operand struct {
	// value is plain JSON; nil for lists that the policy writes out.
	value any
	// glob is what a string matches: wildcards only from the policy's text.
	glob glob
	// list holds the elements of a list, isList that it is one.
	list   []operand
	isList bool
	// written says that a string stands in the policy as a whole: ranges and
	// JSON lists inside strings are read only there.
	written bool
}

// data makes an operand of what an expression gave.
func data(value any) operand {
	switch typed := value.(type) {
	case string:
		return operand{value: typed, glob: literal(typed)}
	case []any:
		o := operand{value: typed, isList: true}
		for _, element := range typed {
			o.list = append(o.list, data(element))
		}
		return o
	}
	return operand{value: value}
}

// plain is the operand as JSON.
func (o operand) plain() any {
	if !o.isList || o.value != nil {
		return o.value
	}
	list := make([]any, 0, len(o.list))
	for _, element := range o.list {
		list = append(list, element.plain())
	}
	return list
}

// operator compares a key with a value. An error says why the two cannot be
// compared; the condition then does not hold, whichever operator it is.
type operator func(key any, value operand) (bool, error)

// operators by lower-case name; case does not matter in Kyverno.
var operators = map[string]operator{
	"equal": equals(true), "equals": equals(true),
	"notequal": equals(false), "notequals": equals(false),
	"anyin":    set(func(in, all int) bool { return in > 0 }),
	"allin":    set(func(in, all int) bool { return in == all }),
	"anynotin": set(func(in, all int) bool { return in < all }),
	"allnotin": set(func(in, all int) bool { return in == 0 }),
	// In and NotIn are the older names of AllIn and AllNotIn.
	"in":                          set(func(in, all int) bool { return in == all }),
	"notin":                       set(func(in, all int) bool { return in == 0 }),
	"greaterthan":                 numeric(">"),
	"greaterthanorequals":         numeric(">="),
	"lessthan":                    numeric("<"),
	"lessthanorequals":            numeric("<="),
	"durationgreaterthan":         duration(">"),
	"durationgreaterthanorequals": duration(">="),
	"durationlessthan":            duration("<"),
	"durationlessthanorequals":    duration("<="),
}

// notRange is Kyverno's "1!-10", which the set operators here do not read.
var notRange = regexp.MustCompile(`^[+-]?[0-9.]+[A-Za-z]*!-[+-]?[0-9.]+[A-Za-z]*$`)

func findOperator(name string) (operator, error) {
	if op, ok := operators[strings.ToLower(name)]; ok {
		return op, nil
	}
	return nil, fmt.Errorf("operator %q is not known; want Equals, NotEquals, AnyIn, AllIn, AnyNotIn, AllNotIn, "+
		"GreaterThan, GreaterThanOrEquals, LessThan or LessThanOrEquals", name)
}

func incomparable(key any, value operand, want string) error {
	return fmt.Errorf("%s cannot be compared with %s: want %s", brief(key), brief(value.plain()), want)
}

// equals tries, as Kyverno does, durations, then quantities, then text with
// wildcards; numbers equal numbers and strings that spell them.
func equals(want bool) operator {
	return func(key any, value operand) (bool, error) {
		equal, err := equal(key, value)
		return err == nil && equal == want, err
	}
}

func equal(key any, value operand) (bool, error) {
	switch typed := key.(type) {
	case bool:
		if other, ok := value.value.(bool); ok {
			return typed == other, nil
		}
		return false, incomparable(key, value, "true or false")
	case float64:
		return equalNumber(typed, value)
	case string:
		return equalText(typed, value)
	case []any, map[string]any:
		other := value.plain()
		if fmt.Sprintf("%T", key) != fmt.Sprintf("%T", other) {
			return false, incomparable(key, value, "two lists or two objects")
		}
		return same(key, other), nil
	}
	return false, incomparable(key, value, "a key that is not null")
}

func equalNumber(key float64, value operand) (bool, error) {
	switch other := value.value.(type) {
	case float64:
		return key == other, nil
	case string:
		if number, ok := parseNumber(other); ok {
			return key == number, nil
		}
	}
	return false, incomparable(key, value, "a number")
}

func equalText(key string, value operand) (bool, error) {
	if a, b, ok := durations(key, value.value); ok {
		return a == b, nil
	}
	text, ok := value.value.(string)
	if !ok {
		return false, incomparable(key, value, "a string")
	}
	if amount, ok := parseQuantity(key); ok {
		other, ok := parseQuantity(text)
		if !ok {
			return false, incomparable(key, value, "a quantity")
		}
		return amount.amount.Cmp(other.amount) == 0, nil
	}
	if value.glob.wild && len(key) > wildcardBytes {
		return false, fmt.Errorf("a text of %d bytes is not held against wildcards; the bound is %d", len(key), wildcardBytes)
	}
	return value.glob.match(key), nil
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

// durations reads both sides as durations in seconds, if at least one is
// written as one ("30m"; "0" is a number) and the other can be taken as one:
// a number is whole seconds.
func durations(key, value any) (a, b float64, ok bool) {
	a, aWritten, aOK := seconds(key)
	b, bWritten, bOK := seconds(value)
	return a, b, aOK && bOK && (aWritten || bWritten)
}

func seconds(value any) (amount float64, written, ok bool) {
	switch typed := value.(type) {
	case string:
		d, err := time.ParseDuration(typed)
		if err != nil || typed == "0" {
			return 0, false, false
		}
		return d.Seconds(), true, true
	case float64:
		return math.Trunc(typed), false, true
	}
	return 0, false, false
}

// parseNumber reads a finite decimal number.
func parseNumber(text string) (float64, bool) {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(number) || math.IsInf(number, 0) || strings.ContainsAny(text, "xXpP_") {
		return 0, false
	}
	return number, true
}

// numeric orders, as Kyverno does, durations, quantities where both are
// strings, numbers, and semantic versions, whichever reads both first.
func numeric(symbol string) operator {
	return func(key any, value operand) (bool, error) {
		order, err := compare(key, value)
		return err == nil && ordered(symbol, order), err
	}
}

func compare(key any, value operand) (int, error) {
	if a, b, ok := durations(key, value.value); ok {
		return orderOf(a, b), nil
	}
	keyText, keyIsText := key.(string)
	valueText, valueIsText := value.value.(string)
	if keyIsText && valueIsText {
		a, aOK := parseQuantity(keyText)
		b, bOK := parseQuantity(valueText)
		if aOK && bOK {
			return a.amount.Cmp(b.amount), nil
		}
	}
	a, aOK := number(key)
	b, bOK := number(value.value)
	if aOK && bOK {
		return orderOf(a, b), nil
	}
	if keyIsText && valueIsText && !aOK {
		a, aOK := parseVersion(keyText)
		b, bOK := parseVersion(valueText)
		if aOK && bOK {
			return semver.Compare(a, b), nil
		}
	}
	return 0, incomparable(key, value, "two numbers, durations, quantities or versions")
}

func number(value any) (float64, bool) {
	switch typed := value.(type) {
	case float64:
		return typed, true
	case string:
		return parseNumber(typed)
	}
	return 0, false
}

func orderOf(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// duration orders durations alone; numbers are whole seconds.
func duration(symbol string) operator {
	return func(key any, value operand) (bool, error) {
		a, _, aOK := seconds(key)
		b, _, bOK := seconds(value.value)
		if key == "0" { // a whole duration in Go, and only in these operators
			a, aOK = 0, true
		}
		if value.value == "0" {
			b, bOK = 0, true
		}
		if !aOK || !bOK {
			return false, incomparable(key, value, "two durations")
		}
		return ordered(symbol, orderOf(a, b)), nil
	}
}

// scalarText spells a string, a number or a bool.
func scalarText(value any) (string, bool) {
	switch typed := value.(type) {
	case string:
		return typed, true
	case float64:
		return strconv.FormatFloat(typed, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(typed), true
	}
	return "", false
}

// briefBytes is how much of a value an answer shows.
const briefBytes = 512

// brief spells a value for people, and says how much it leaves out.
func brief(value any) string {
	encoded, err := compact(value)
	if err != nil {
		return fmt.Sprintf("a %T", value)
	}
	return shorten(encoded, briefBytes)
}

func shorten(text string, bound int) string {
	if len(text) <= bound {
		return text
	}
	return strings.ToValidUTF8(text[:bound], "") + fmt.Sprintf("… (%d more bytes)", len(text)-bound)
}

// compact is JSON on one line, with "<" as "<".
func compact(value any) (string, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(b.String(), "\n"), err
}
