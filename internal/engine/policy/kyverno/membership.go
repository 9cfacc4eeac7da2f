package kyverno

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// set counts how many of the key's elements are in the value, and asks holds.
// A key that is no list is a list of one. An empty key never holds: a list in
// which nothing was found proves nothing.
func set(holds func(in, all int) bool) operator {
	return func(key any, value operand) (bool, error) {
		elements, isList := key.([]any)
		if !isList {
			elements = []any{key}
		}
		if len(elements) == 0 {
			return false, fmt.Errorf("the list is empty, and an empty list proves nothing")
		}
		members, err := membership(value)
		if err != nil {
			return false, err
		}
		if len(elements)*max(1, len(members.globs)) > comparisons {
			return false, fmt.Errorf("%d times %d comparisons, over the bound of %d", len(elements), len(members.globs), comparisons)
		}
		in := 0
		for _, element := range elements {
			text, ok := scalarText(element)
			if !ok {
				return false, fmt.Errorf("%s is neither a string nor a number, true or false", brief(element))
			}
			if len(text) > wildcardBytes {
				return false, fmt.Errorf("a text of %d bytes is not compared; the bound is %d", len(text), wildcardBytes)
			}
			if members.has(text) {
				in++
			}
		}
		return holds(in, len(elements)), nil
	}
}

// members is what a key may be one of.
type members struct {
	globs []glob
	// low and high are the ends of a range, both included.
	low, high string
	isRange   bool
}

// rangeText is Kyverno's range, "1-10" or "128Mi-1Gi".
var rangeText = regexp.MustCompile(`^([+-]?[0-9]+(?:\.[0-9]+)?[A-Za-z]*)-([+-]?[0-9]+(?:\.[0-9]+)?[A-Za-z]*)$`)

func membership(value operand) (members, error) {
	var m members
	if value.isList {
		for _, element := range value.list {
			text, ok := scalarText(element.value)
			if !ok || element.isList {
				return m, fmt.Errorf("%s is neither a string nor a number, true or false", brief(element.plain()))
			}
			g := element.glob
			if _, isText := element.value.(string); !isText {
				g = literal(text)
			}
			m.globs = append(m.globs, g)
		}
		return m, nil
	}
	text, ok := scalarText(value.value)
	if !ok {
		return m, fmt.Errorf("%s: want a list", brief(value.value))
	}
	if _, isText := value.value.(string); !isText {
		m.globs = []glob{literal(text)}
		return m, nil
	}
	m.globs = []glob{value.glob}
	if !value.written {
		return m, nil
	}
	if ends := rangeText.FindStringSubmatch(text); ends != nil {
		m.low, m.high, m.isRange = ends[1], ends[2], true
	}
	var list []string
	if json.Unmarshal([]byte(text), &list) == nil {
		for _, element := range list {
			m.globs = append(m.globs, literal(element))
		}
	}
	return m, nil
}

func (m members) has(text string) bool {
	if m.isRange {
		low, err := compare(text, operand{value: m.low})
		high, err2 := compare(text, operand{value: m.high})
		return err == nil && err2 == nil && low >= 0 && high <= 0
	}
	for _, g := range m.globs {
		if g.match(text) {
			return true
		}
	}
	return false
}
