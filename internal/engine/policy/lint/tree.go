package lint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// place is a value of a document with the way to it. It may be one that is not
// there.
type place struct {
	value any
	path  []string
}

func read(document strictyaml.Document) (place, error) {
	value, err := document.Value()
	return place{value: value}, err
}

// at goes down by keys of mappings and numbers of elements.
func (p place) at(steps ...string) place {
	for _, step := range steps {
		var next any
		switch typed := p.value.(type) {
		case map[string]any:
			next = typed[step]
		case []any:
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(typed) {
				next = typed[i]
			}
		}
		p = place{value: next, path: append(slices.Clone(p.path), step)}
	}
	return p
}

// there says whether something stands at the place, has whether a key does.
func (p place) there() bool { return p.value != nil }

func (p place) has(key string) bool {
	fields, _ := p.value.(map[string]any)
	_, found := fields[key]
	return found
}

// list are the elements of a list.
func (p place) list() []place {
	list, _ := p.value.([]any)
	var places []place
	for i := range list {
		places = append(places, p.at(strconv.Itoa(i)))
	}
	return places
}

// keys are those of a mapping, sorted.
func (p place) keys() []string {
	fields, _ := p.value.(map[string]any)
	return slices.Sorted(maps.Keys(fields))
}

// text is a string, "" for anything else.
func (p place) text() string {
	text, _ := p.value.(string)
	return text
}

// texts are the strings of a list.
func (p place) texts() []string {
	var texts []string
	for _, element := range p.list() {
		texts = append(texts, element.text())
	}
	return texts
}

// number is a number, 0 for anything else.
func (p place) number() float64 {
	number, _ := p.value.(float64)
	return number
}

// is says whether a boolean stands there and is the one given.
func (p place) is(wanted bool) bool {
	value, isBool := p.value.(bool)
	return isBool && value == wanted
}

// json spells the value.
func (p place) json() string {
	encoded, err := json.Marshal(p.value)
	if err != nil {
		return fmt.Sprint(p.value)
	}
	return string(encoded)
}

// String is the path as errors spell it: spec.rules[0].name.
func (p place) String() string {
	var b strings.Builder
	for i, step := range p.path {
		_, err := strconv.Atoi(step)
		switch {
		case err == nil:
			b.WriteString("[" + step + "]")
		case i > 0:
			b.WriteString("." + step)
		default:
			b.WriteString(step)
		}
	}
	return b.String()
}
