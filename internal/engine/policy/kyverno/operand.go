package kyverno

import (
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// operand is one side of a condition after its templates were evaluated.
type operand struct {
	// value is plain JSON; nil for lists that the policy writes out.
	value any
	// glob is what a string matches: wildcards only from the policy's text.
	glob glob
	// list holds the elements of a list that the policy writes out, isList
	// says that it is a list, written out or found.
	list   []operand
	isList bool
	// written says that a string stands in the policy as a whole: ranges are
	// read only there.
	written bool
}

// data makes an operand of what an expression gave.
func data(value any) operand {
	switch typed := value.(type) {
	case string:
		if !utf8.ValidString(typed) { // base64_decode() gives any bytes, and conditions compare JSON
			typed = string([]rune(typed))
		}
		return operand{value: typed, glob: literal(typed)}
	case []any:
		return operand{value: typed, isList: true}
	}
	return operand{value: value}
}

// elements goes through a list.
func (o operand) elements() iter.Seq[operand] {
	return func(yield func(operand) bool) {
		for _, element := range o.list {
			if !yield(element) {
				return
			}
		}
		found, _ := o.value.([]any)
		for _, element := range found {
			if !yield(data(element)) {
				return
			}
		}
	}
}

// length is how many elements a list has.
func (o operand) length() int {
	found, _ := o.value.([]any)
	return len(o.list) + len(found)
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
