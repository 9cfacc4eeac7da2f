// Package strictjson reads signed JSON so that every reader sees the same
// thing.
//
// Entry point is [Object]: it takes one JSON object as RFC 8259 defines it
// and gives its [Members]. Go's encoding/json takes the last of two equal
// names, matches names in any case and replaces broken UTF-8; another
// verifier does not, and what one of them judged is then not what the other
// one sees. So equal names in one object (at any depth), invalid UTF-8, data
// after the object and nesting beyond a bound are errors here, and names are
// matched byte by byte.
//
// The package gives values no meaning and writes nothing.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// openNames bounds the member names that are remembered at one time, over all
// objects that are open, so that a document of millions of names does not
// take many times its size in memory.
const openNames = 200_000

// Bounds limit one document. The zero value is good for statements.
type Bounds struct {
	// Depth is how deeply the document may nest; 0 means limit.JSONDepth.
	Depth int
	// Values is how many values the whole document may hold; 0 means no
	// bound besides its size.
	Values int
}

// Members are the members of one object by exact name, each as its JSON text.
// The texts share memory with what was read.
type Members map[string]json.RawMessage

// Object reads content, which errors call what. The errors say what is wrong
// and at which byte; a *limit.Error says which bound was passed.
func Object(content []byte, what string, bounds Bounds) (Members, error) {
	if bounds.Depth == 0 {
		bounds.Depth = limit.JSONDepth
	}
	if !utf8.Valid(content) {
		return nil, fmt.Errorf("%s is not valid UTF-8", what)
	}
	if err := nesting(content, what, bounds.Depth); err != nil {
		return nil, err
	}
	if !json.Valid(content) {
		return nil, syntaxError(content, what)
	}
	w := walker{content: content, what: what, bounds: bounds}
	w.space()
	if w.content[w.at] != '{' {
		return nil, fmt.Errorf("%s: want a JSON object, found %s", what, Kind(content))
	}
	w.top = Members{}
	if err := w.value(1); err != nil {
		return nil, err
	}
	return w.top, nil
}

// nesting bounds the depth before anything recurses, and before json.Valid
// allocates for it. It needs no valid JSON.
func nesting(content []byte, what string, bound int) error {
	depth, quoted := 0, false
	for i := 0; i < len(content); i++ {
		switch c := content[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > bound {
				return &limit.Error{What: what + " (nesting)", Bound: int64(bound), Unit: "levels"}
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

func syntaxError(content []byte, what string) error {
	if len(bytes.TrimSpace(content)) == 0 {
		return fmt.Errorf("%s is empty, want a JSON object", what)
	}
	var ignored json.RawMessage
	err := json.Unmarshal(content, &ignored)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s: byte %d: %w", what, syntax.Offset, err)
	}
	return fmt.Errorf("%s is not one JSON object: %w", what, err)
}

// walker goes over content that json.Valid has accepted, so it checks no
// syntax.
type walker struct {
	content []byte
	at      int
	what    string
	bounds  Bounds
	values  int
	names   [][]byte // of the open objects, innermost last
	top     Members
}

func (w *walker) space() {
	for w.at < len(w.content) {
		switch w.content[w.at] {
		case ' ', '\t', '\r', '\n':
			w.at++
		default:
			return
		}
	}
}

func (w *walker) value(depth int) error {
	w.space()
	if w.values++; w.bounds.Values > 0 && w.values > w.bounds.Values {
		return &limit.Error{What: w.what, Bound: int64(w.bounds.Values), Unit: "values"}
	}
	switch w.content[w.at] {
	case '{':
		return w.object(depth)
	case '[':
		return w.array(depth)
	case '"':
		w.text()
	default:
		w.scalar()
	}
	return nil
}

// scalar passes a number, true, false or null.
func (w *walker) scalar() {
	for ; w.at < len(w.content); w.at++ {
		switch w.content[w.at] {
		case ' ', '\t', '\r', '\n', ',', ']', '}':
			return
		}
	}
}

// text passes a string and returns it with its quotes.
func (w *walker) text() []byte {
	start := w.at
	for w.at++; w.content[w.at] != '"'; w.at++ {
		if w.content[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
	return w.content[start:w.at]
}

func (w *walker) array(depth int) error {
	w.at++
	for w.space(); w.content[w.at] != ']'; w.space() {
		if err := w.value(depth + 1); err != nil {
			return err
		}
		if w.space(); w.content[w.at] == ',' {
			w.at++
		}
	}
	w.at++
	return nil
}

func (w *walker) object(depth int) error {
	w.at++
	first := len(w.names)
	defer func() { w.names = w.names[:first] }()
	var seen map[string]bool
	for w.space(); w.content[w.at] != '}'; w.space() {
		at := w.at
		name, err := unquote(w.text())
		if err != nil {
			return fmt.Errorf("%s: byte %d: %w", w.what, at, err)
		}
		if seen, err = w.remember(name, first, seen, at); err != nil {
			return err
		}
		w.space()
		w.at++ // the colon
		w.space()
		start := w.at
		if err := w.value(depth + 1); err != nil {
			return err
		}
		if depth == 1 {
			w.top[string(name)] = w.content[start:w.at:w.at]
		}
		if w.space(); w.content[w.at] == ',' {
			w.at++
		}
	}
	w.at++
	return nil
}

// fewNames is up to how many names of one object a plain comparison is
// cheaper than a map; nearly all objects of real evidence are below it.
const fewNames = 24

func (w *walker) remember(name []byte, first int, seen map[string]bool, at int) (map[string]bool, error) {
	duplicate := false
	own := w.names[first:]
	switch {
	case seen != nil:
		duplicate = seen[string(name)]
	default:
		for _, other := range own {
			duplicate = duplicate || bytes.Equal(other, name)
		}
	}
	if duplicate {
		return nil, fmt.Errorf("%s: byte %d: the name %.100q appears twice in one object", w.what, at, name)
	}
	if len(w.names) >= openNames {
		return nil, &limit.Error{What: w.what, Bound: openNames, Unit: "names of open objects"}
	}
	w.names = append(w.names, name)
	if seen == nil && len(own) >= fewNames {
		seen = make(map[string]bool, 4*fewNames)
		for _, other := range own {
			seen[string(other)] = true
		}
	}
	if seen != nil {
		seen[string(name)] = true
	}
	return seen, nil
}

func unquote(quoted []byte) ([]byte, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	var name string
	if err := json.Unmarshal(quoted, &name); err != nil {
		return nil, err
	}
	return []byte(name), nil
}

// Kind names the JSON type of a valid text, for errors: "an object",
// "nothing" for an empty one.
func Kind(text []byte) string {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return "nothing"
	}
	switch text[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// Has says whether a member is there and not null.
func (m Members) Has(name string) bool {
	text, found := m[name]
	return found && Kind(text) != "null"
}

// String is a member's string; "" where it is absent or null. Another type
// is an error that names the member.
func (m Members) String(name string) (string, error) {
	if !m.Has(name) {
		return "", nil
	}
	if Kind(m[name]) != "a string" {
		return "", fmt.Errorf("%q: want a string, found %s", name, Kind(m[name]))
	}
	var text string
	if err := json.Unmarshal(m[name], &text); err != nil {
		return "", fmt.Errorf("%q: %w", name, err)
	}
	return text, nil
}

// Texts reads many string members of one object, and keeps the first error.
type Texts struct {
	Members Members
	// Err is what was wrong first; nil where nothing was.
	Err error
}

// Get is Members.String with its error kept.
func (t *Texts) Get(name string) string {
	text, err := t.Members.String(name)
	if t.Err == nil {
		t.Err = err
	}
	return text
}

// List is a member's array; nil where it is absent or null. More than bound
// elements are a *limit.Error, and another type is an error.
func (m Members) List(name string, bound int) ([]json.RawMessage, error) {
	if !m.Has(name) {
		return nil, nil
	}
	if Kind(m[name]) != "an array" {
		return nil, fmt.Errorf("%q: want an array, found %s", name, Kind(m[name]))
	}
	w := walker{content: m[name], what: fmt.Sprintf("%q", name)}
	var list []json.RawMessage
	w.at++
	for w.space(); w.content[w.at] != ']'; w.space() {
		if len(list) >= bound {
			return nil, &limit.Error{What: fmt.Sprintf("%q", name), Bound: int64(bound), Unit: "elements"}
		}
		start := w.at
		if err := w.value(2); err != nil {
			return nil, err
		}
		list = append(list, w.content[start:w.at:w.at])
		if w.space(); w.content[w.at] == ',' {
			w.at++
		}
	}
	return list, nil
}

// Object is a member's object; nil where it is absent or null. Another type
// is an error.
func (m Members) Object(name string) (Members, error) {
	if !m.Has(name) {
		return nil, nil
	}
	return Object(m[name], fmt.Sprintf("%q", name), Bounds{})
}

// Strings are the string members of an object member, and nil where it is
// absent or null. Members of other types are left out.
func (m Members) Strings(name string) (map[string]string, error) {
	object, err := m.Object(name)
	if err != nil || len(object) == 0 {
		return nil, err
	}
	texts := map[string]string{}
	for key, value := range object {
		if Kind(value) != "a string" {
			continue
		}
		if texts[key], err = object.String(key); err != nil {
			return nil, err
		}
	}
	return texts, nil
}
