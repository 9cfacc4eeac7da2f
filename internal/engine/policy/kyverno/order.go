package kyverno

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

// numeric orders, as Kyverno does, durations, quantities where both are
// strings, numbers, and semantic versions, whichever reads both first.
func numeric(symbol string) operator {
	return func(key, value operand) (bool, error) {
		order, ok := compare(key.value, value.value)
		if !ok {
			return false, incomparable(key, value, "two numbers, durations, quantities or versions")
		}
		return ordered(symbol, order), nil
	}
}

func compare(key, value any) (order int, ok bool) {
	if a, b, ok := durations(key, value); ok {
		return cmp.Compare(a.Seconds(), b.Seconds()), true
	}
	keyText, keyIsText := key.(string)
	valueText, valueIsText := value.(string)
	if keyIsText && valueIsText {
		a, aOK := parseQuantity(keyText)
		b, bOK := parseQuantity(valueText)
		if aOK && bOK {
			return a.Cmp(b), true
		}
	}
	a, aOK := number(key)
	if aOK && keyIsText { // a key that spells a number is one, also of seconds
		if a, b, ok := durations(a, value); ok {
			return cmp.Compare(a.Seconds(), b.Seconds()), true
		}
	}
	b, bOK := number(value)
	if aOK && bOK {
		return cmp.Compare(a, b), true
	}
	if keyIsText && valueIsText && !aOK {
		a, aOK := parseVersion(keyText)
		b, bOK := parseVersion(valueText)
		if aOK && bOK {
			return a.Compare(b), true
		}
	}
	return 0, false
}

// ordered says whether an order (-1, 0, 1) satisfies >, >=, < or <=.
func ordered(symbol string, order int) bool {
	switch symbol {
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	}
	return false
}

// number reads a number, or a string that spells one.
func number(value any) (float64, bool) {
	switch typed := value.(type) {
	case float64:
		return typed, !math.IsNaN(typed) && !math.IsInf(typed, 0)
	case string:
		return parseNumber(typed)
	}
	return 0, false
}

// parseNumber reads a finite decimal number.
func parseNumber(text string) (float64, bool) {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(number) || math.IsInf(number, 0) || strings.ContainsAny(text, "xXpP_") {
		return 0, false
	}
	return number, true
}

// durations reads both sides as durations, if at least one is written as one
// ("30m"; "0" is a number) and the other can be taken as one: a number is
// whole seconds.
func durations(key, value any) (a, b time.Duration, ok bool) {
	a, aWritten, aOK := asDuration(key)
	b, bWritten, bOK := asDuration(value)
	return a, b, aOK && bOK && (aWritten || bWritten)
}

func asDuration(value any) (d time.Duration, written, ok bool) {
	switch typed := value.(type) {
	case string:
		d, err := time.ParseDuration(typed)
		return d, true, err == nil && typed != "0"
	case float64:
		return wholeSeconds(typed), false, true
	}
	return 0, false, false
}

// wholeSeconds leaves fractions away, and stops at the longest duration.
func wholeSeconds(number float64) time.Duration {
	const most = math.MaxInt64 / int64(time.Second)
	return time.Duration(math.Trunc(min(max(number, float64(-most)), float64(most)))) * time.Second
}

// duration orders durations alone; numbers are whole seconds, and "0" is a
// whole duration.
func duration(symbol string) operator {
	return func(key, value operand) (bool, error) {
		a, _, aOK := asDuration(key.value)
		b, _, bOK := asDuration(value.value)
		if aOK = aOK || key.value == "0"; !aOK {
			return false, incomparable(key, value, "two durations")
		}
		if bOK = bOK || value.value == "0"; !bOK {
			return false, incomparable(key, value, "two durations")
		}
		return ordered(symbol, cmp.Compare(a, b)), nil
	}
}
