package kyverno

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// set is an operator that asks how many of the key's elements are in the
// value. A key that is no list is a list of one. An empty key never holds: a
// list in which nothing was found proves nothing.
type set struct {
	// holds is given how many elements are in, how many are out, and how many
	// there are. What cannot be compared with a range is neither.
	holds func(in, out, all int) bool
	// negative asks for what is not in: an element that is no text, number or
	// bool then makes the condition fail, and else it is not in.
	negative bool
	// takesScalar lets a list be held against one number or bool.
	takesScalar bool
	// older is In and NotIn: no ranges, and texts only as lists in JSON.
	older bool
}

func (s set) compare(key, value operand) (bool, error) {
	if !key.isList {
		switch key.value.(type) {
		case nil, map[string]any:
			return false, incomparable(key, value, "a key that is a string, a number, true, false or a list of them")
		}
	}
	if key.isList && key.length() == 0 {
		return false, errors.New("the list is empty, and an empty list proves nothing")
	}
	m, err := s.members(key, value)
	if err != nil {
		return false, err
	}
	if !key.isList {
		in, err := m.has(key)
		if err != nil {
			return false, err
		}
		if in {
			return s.holds(1, 0, 1), nil
		}
		return s.holds(0, 1, 1), nil
	}
	if len(m.wild) > 0 && key.length() > limit.Comparisons/len(m.wild) {
		return false, &limit.Error{What: "what is held against wildcards", Bound: limit.Comparisons, Unit: "comparisons"}
	}
	in, out := 0, 0
	for element := range key.elements() {
		if _, ok := scalarText(element.value); !ok || element.isList {
			if s.negative {
				return false, fmt.Errorf("%s is neither a string nor a number, true or false", brief(element.plain()))
			}
			out++
			continue
		}
		if _, ok := element.value.(string); s.older && !ok {
			return false, fmt.Errorf("%s: this operator takes strings only; use AllIn or AllNotIn", brief(element.value))
		}
		holds, err := m.has(element)
		switch {
		case err != nil:
			return false, err
		case holds:
			in++
		case m.low == "" || m.beyond(element):
			out++
		}
	}
	return s.holds(in, out, key.length()), nil
}

// members is what a key may be one of.
type members struct {
	// exact are the texts that are members, wild the patterns among them.
	exact map[string]bool
	wild  []glob
	// low and high are the ends of a range, both included; "" for none.
	low, high string
	// forward says that a pattern in the key matches nothing.
	forward bool
}

// add makes a member of an element, with all its spellings.
func (m *members) add(element operand) error {
	text, ok := scalarText(element.value)
	if !ok || element.isList {
		return fmt.Errorf("%s is neither a string nor a number, true or false", brief(element.plain()))
	}
	m.exact[text], m.exact[scientific(element.value, text)] = true, true
	if element.glob.wild {
		m.wild = append(m.wild, element.glob)
	}
	return nil
}

// scientific is how Kyverno spells a number: 1e+06 from a million on.
func scientific(value any, text string) string {
	if number, ok := value.(float64); ok {
		return fmt.Sprint(number)
	}
	return text
}

// has says whether a string, a number or a bool is a member. A pattern that
// the policy writes matches from either side.
func (m members) has(element operand) (bool, error) {
	text, _ := scalarText(element.value)
	if m.exact[text] || m.exact[scientific(element.value, text)] || m.within(text) {
		return true, nil
	}
	if len(m.wild) > 0 && len(text) > limit.WildcardText {
		return false, &limit.Error{What: "a text that is held against wildcards", Bound: limit.WildcardText, Unit: "bytes"}
	}
	for _, g := range m.wild {
		if g.match(text) {
			return true, nil
		}
	}
	if element.glob.wild && !m.forward {
		for member := range m.exact {
			if element.glob.match(member) {
				return true, nil
			}
		}
	}
	return false, nil
}

// rangeText is Kyverno's range, "1-10" or "128Mi-1Gi".
var rangeText = regexp.MustCompile(`^([+-]?[0-9]+(?:\.[0-9]+)?[A-Za-z]*)-([+-]?[0-9]+(?:\.[0-9]+)?[A-Za-z]*)$`)

// within and beyond hold a text against a range. What cannot be compared with
// its ends is neither.
func (m members) within(text string) bool {
	if m.low == "" {
		return false
	}
	low, lowOK := compareEnd(text, m.low)
	high, highOK := compareEnd(text, m.high)
	return lowOK && highOK && low >= 0 && high <= 0
}

func (m members) beyond(element operand) bool {
	text, _ := scalarText(element.value)
	low, lowOK := compareEnd(text, m.low)
	high, highOK := compareEnd(text, m.high)
	return lowOK && low < 0 || highOK && high > 0
}

// compareEnd orders two durations or two quantities.
func compareEnd(text, end string) (order int, ok bool) {
	a, errA := time.ParseDuration(text)
	b, errB := time.ParseDuration(end)
	if errA == nil && errB == nil {
		return cmp.Compare(a, b), true
	}
	first, aOK := parseQuantity(text)
	second, bOK := parseQuantity(end)
	if !aOK || !bOK {
		return 0, false
	}
	return first.Cmp(second), true
}

func (s set) members(key, value operand) (members, error) {
	m := members{exact: map[string]bool{}}
	if value.isList {
		for element := range value.elements() {
			if _, ok := element.value.(string); s.older && key.isList && !ok {
				return m, fmt.Errorf("%s: this operator takes strings only; use AllIn or AllNotIn", brief(element.plain()))
			}
			if s.older && key.isList && !s.negative {
				element.glob = literal(element.glob.text)
			}
			if err := m.add(element); err != nil {
				return m, err
			}
		}
		m.forward = s.older && key.isList && !s.negative
		return m, nil
	}
	text, ok := value.value.(string)
	if !ok {
		if _, ok := scalarText(value.value); ok && s.takesScalar && key.isList {
			return m, m.add(value)
		}
		return m, incomparable(key, value, "a list")
	}
	return m, s.textMembers(&m, key, value, text)
}

// textMembers reads a text: a range, a list in JSON, or itself.
func (s set) textMembers(m *members, key, value operand, text string) error {
	if !key.isList {
		m.forward = true
		if found, _ := scalarText(key.value); value.glob.match(found) {
			m.exact[found] = true
			return nil
		}
	} else if key.length() == 1 {
		for element := range key.elements() {
			if found, ok := scalarText(element.value); ok && (found == text || scientific(element.value, found) == text) {
				m.exact[text] = true
				return nil
			}
		}
	}
	if ends := rangeText.FindStringSubmatch(text); ends != nil && value.written && !s.older {
		m.low, m.high, m.forward = ends[1], ends[2], true
		m.exact[text] = true
		return nil
	}
	var list []string
	switch {
	case json.Unmarshal([]byte(text), &list) == nil:
	case s.older || json.Valid([]byte(text)):
		return incomparable(key, value, "a list")
	default:
		return m.add(value)
	}
	if value.glob.wild && !value.written {
		return errors.New("a list in JSON has wildcards beside what an expression gives; write it as a list of the policy")
	}
	for _, element := range list {
		o := operand{value: element, glob: literal(element)}
		if value.glob.wild && key.isList && !(s.older && !s.negative) {
			o.glob = pattern(element)
		}
		if err := m.add(o); err != nil {
			return err
		}
	}
	m.forward = m.forward || s.older && !s.negative
	return nil
}
