// Package strictyaml reads YAML that people write, and says where it is wrong.
//
// Entry points are [Documents], which splits a file, [Value], and [Document.Decode],
// which fills a Go value through its json tags. A field that the value does
// not have is an error with file, line and the nearest name that it does have;
// a key given twice is an error; a file over [limit.Policy] bytes (or the bound
// that [DocumentsWithin] is given) or over
// [limit.YAMLNodes] nodes after aliases is an error. The package follows YAML
// 1.2 core as go.yaml.in/yaml/v3 reads it, and the field rules of
// encoding/json.
//
// It does not write YAML; format/yamledit changes it in place.
package strictyaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Document is one YAML document of a file.
type Document struct {
	// File and Line say where it starts; lines count from 1.
	File string
	Line int
	node *yaml.Node
}

// Documents splits content at its document markers. Empty documents are left
// out. The name is used in errors only.
func Documents(name string, content []byte) ([]Document, error) {
	return DocumentsWithin(name, content, limit.Policy)
}

// DocumentsWithin is Documents for files that may be larger than a policy, such
// as lockfiles; bound is in bytes.
func DocumentsWithin(name string, content []byte, bound int64) ([]Document, error) {
	if int64(len(content)) > bound {
		return nil, &limit.Error{What: name, Bound: bound, Unit: "bytes"}
	}
	var documents []Document
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if len(node.Content) == 0 || node.Content[0].Tag == "!!null" {
			continue
		}
		if len(documents) == limit.Manifests {
			return nil, &limit.Error{What: name, Bound: limit.Manifests, Unit: "documents"}
		}
		budget := limit.YAMLNodes
		if err := check(name, node.Content[0], &budget, 0); err != nil {
			return nil, err
		}
		documents = append(documents, Document{File: name, Line: node.Content[0].Line, node: node.Content[0]})
	}
}

// Decode reads content, which must be exactly one document, into the value
// that into points to.
func Decode(name string, content []byte, into any) error {
	documents, err := Documents(name, content)
	if err != nil {
		return err
	}
	if len(documents) != 1 {
		return fmt.Errorf("%s: want one YAML document, found %d", name, len(documents))
	}
	return documents[0].Decode(into)
}

// Field is the scalar at a path of mapping keys ("metadata", "name"), or "".
func (d Document) Field(path ...string) string {
	node := d.node
	for _, key := range path {
		node = lookup(resolve(node), key)
		if node == nil {
			return ""
		}
	}
	if node = resolve(node); node.Kind == yaml.ScalarNode {
		return node.Value
	}
	return ""
}

// Value is what stands at a path of mapping keys, as the function Value gives
// it; nil where there is nothing.
func (d Document) Value(path ...string) (any, error) {
	node := d.node
	for _, key := range path {
		if node = lookup(resolve(node), key); node == nil {
			return nil, nil
		}
	}
	return Value(d.File, node)
}

// LineOf is the line of the value at a path of mapping keys and list indexes
// ("rules", "0", "name"), or of the nearest value above it that is there.
func (d Document) LineOf(path ...string) int {
	node := d.node
	for _, key := range path {
		next := lookup(resolve(node), key)
		if list := resolve(node); list.Kind == yaml.SequenceNode {
			if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(list.Content) {
				next = list.Content[i]
			}
		}
		if next == nil {
			break
		}
		node = next
	}
	return node.Line
}

// Position is the line and column, both from 1, of what stands at a path of
// mapping keys and list indexes: of a plain value itself, and of the key or the
// element where a mapping or a list stands there. Where the path ends early,
// they are those of what is nearest above it, and found is false.
func (d Document) Position(path ...string) (line, column int, found bool) {
	node, place := d.node, d.node
	for _, step := range path {
		key, next := (*yaml.Node)(nil), (*yaml.Node)(nil)
		switch list := resolve(node); list.Kind {
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(list.Content) {
				next = list.Content[i]
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(list.Content); i += 2 {
				if resolve(list.Content[i]).Value == step {
					key, next = list.Content[i], list.Content[i+1]
				}
			}
		}
		if next == nil {
			return place.Line, place.Column, false
		}
		node, place = next, next
		if key != nil && resolve(next).Kind != yaml.ScalarNode {
			place = key
		}
	}
	return place.Line, place.Column, true
}

// KeyPosition is the line and column of the last key of a path itself.
func (d Document) KeyPosition(path ...string) (line, column int, found bool) {
	node := d.node
	for i, step := range path {
		list := resolve(node)
		var next *yaml.Node
		switch list.Kind {
		case yaml.SequenceNode:
			if n, err := strconv.Atoi(step); err == nil && n >= 0 && n < len(list.Content) {
				next = list.Content[n]
			}
		case yaml.MappingNode:
			for n := 0; n+1 < len(list.Content); n += 2 {
				if resolve(list.Content[n]).Value != step {
					continue
				}
				if i == len(path)-1 {
					return list.Content[n].Line, list.Content[n].Column, true
				}
				next = list.Content[n+1]
			}
		}
		if next == nil {
			return 0, 0, false
		}
		node = next
	}
	return 0, 0, false
}

// JSON is the document as JSON, with every mapping key as a string.
func (d Document) JSON() ([]byte, error) {
	value, err := plain(d.File, d.node)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// Decode fills the value that into points to. Fields are matched by json tag,
// exactly; what the value has no field for is an error. A type that
// implements json.Unmarshaler reads its own part.
func (d Document) Decode(into any) error {
	target := reflect.TypeOf(into)
	if target == nil || target.Kind() != reflect.Pointer {
		return fmt.Errorf("%s: decoding into %T, want a pointer", d.File, into)
	}
	if err := fields(d.File, d.node, target.Elem(), ""); err != nil {
		return err
	}
	value, err := plain(d.File, d.node)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s:%d: %w", d.File, d.Line, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			path := strings.Split(kind.Field, ".")
			return fmt.Errorf("%s:%d: %s: want %s, found a %s", d.File, d.LineOf(path...), kind.Field, kindName(kind.Type), kind.Value)
		}
		return fmt.Errorf("%s:%d: %s", d.File, d.Line, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a mapping"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint, reflect.Uint64, reflect.Float64:
		return "a number"
	}
	return t.String()
}

// check walks a document once, with aliases followed, against the node bound,
// and refuses keys that are given twice and merge keys ("<<"): what a policy
// says must stand where it is read.
func check(name string, node *yaml.Node, budget *int, depth int) error {
	*budget--
	if *budget < 0 {
		return &limit.Error{What: name, Bound: limit.YAMLNodes, Unit: "YAML nodes"}
	}
	if depth > limit.JSONDepth {
		return &limit.Error{What: fmt.Sprintf("%s:%d: nesting", name, node.Line), Bound: limit.JSONDepth, Unit: "levels"}
	}
	if node.Kind == yaml.AliasNode {
		return check(name, node.Alias, budget, depth+1)
	}
	if node.Kind == yaml.MappingNode {
		seen := map[string]int{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := resolve(node.Content[i])
			if key.Tag == "!!merge" {
				return fmt.Errorf("%s:%d: merge keys (<<) are not read; write the fields out", name, key.Line)
			}
			if key.Kind != yaml.ScalarNode {
				return fmt.Errorf("%s:%d: a mapping key is not a plain word", name, key.Line)
			}
			if first, twice := seen[key.Value]; twice {
				return fmt.Errorf("%s:%d: %q is given twice (first on line %d)", name, key.Line, key.Value, first)
			}
			seen[key.Value] = key.Line
		}
	}
	for _, child := range node.Content {
		if err := check(name, child, budget, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

func lookup(node *yaml.Node, key string) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// plain turns a node into maps, slices and scalars that encoding/json writes.
func plain(name string, node *yaml.Node) (any, error) {
	node = resolve(node)
	switch node.Kind {
	case yaml.MappingNode:
		object := make(map[string]any, len(node.Content)/2)
		for i := 0; i+1 < len(node.Content); i += 2 {
			value, err := plain(name, node.Content[i+1])
			if err != nil {
				return nil, err
			}
			object[resolve(node.Content[i]).Value] = value
		}
		return object, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, child := range node.Content {
			value, err := plain(name, child)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	}
	if node.Tag == "!!timestamp" {
		return node.Value, nil
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, fmt.Errorf("%s:%d: %s", name, node.Line, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if number, ok := value.(float64); ok && (number != number || number-number != 0) {
		return nil, fmt.Errorf("%s:%d: %s is not a number that can be compared", name, node.Line, node.Value)
	}
	return value, nil
}

// Value is a node as JSON values: nil, bool, float64, string, []any and
// map[string]any. The file's name stands in errors. The node is one of a file
// that Documents accepted.
func Value(name string, node *yaml.Node) (any, error) {
	value, err := plain(name, node)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, node.Line, err)
	}
	var decoded any
	err = json.Unmarshal(encoded, &decoded)
	return decoded, err
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// fields refuses mapping keys that the type has no field for.
func fields(name string, node *yaml.Node, t reflect.Type, path string) error {
	node = resolve(node)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	switch {
	case node.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		known := tags(t)
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := resolve(node.Content[i])
			field, ok := known[key.Value]
			if !ok {
				return unknown(name, key, path, known)
			}
			if err := fields(name, node.Content[i+1], field, join(path, key.Value)); err != nil {
				return err
			}
		}
	case node.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if err := fields(name, node.Content[i+1], t.Elem(), join(path, node.Content[i].Value)); err != nil {
				return err
			}
		}
	case node.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, child := range node.Content {
			if err := fields(name, child, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func tags(t reflect.Type) map[string]reflect.Type {
	known := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(t) {
		if !field.IsExported() || field.Anonymous && field.Tag.Get("json") == "" {
			continue
		}
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == "-" {
			continue
		}
		if tag == "" && strings.Contains(options, "inline") {
			continue
		}
		if tag == "" {
			tag = field.Name
		}
		known[tag] = field.Type
	}
	return known
}

func unknown(name string, key *yaml.Node, path string, known map[string]reflect.Type) error {
	where := "at the top level"
	if path != "" {
		where = "under " + path
	}
	return &UnknownFieldError{File: name, Line: key.Line, Field: key.Value, Path: join(path, key.Value),
		text: fmt.Sprintf("%s:%d: unknown field %q %s%s", name, key.Line, key.Value, where, Suggest(key.Value, slices.Collect(maps.Keys(known))))}
}

// UnknownFieldError is a mapping key that the target has no field for.
type UnknownFieldError struct {
	File string
	Line int
	// Field is the key, Path the key with the keys above it.
	Field, Path string
	text        string
}

// Error names file, line, field and the nearest known name.
func (e *UnknownFieldError) Error() string { return e.text }

// Suggest is "; did you mean …?" with the nearest of some words, to append to an
// error; "" where none is near. Of several, the first by the alphabet is taken.
func Suggest(word string, words []string) string {
	nearest, distance := "", 4
	for _, candidate := range words {
		if d := edits(word, candidate); d < distance || d == distance && candidate < nearest {
			nearest, distance = candidate, d
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", nearest)
}

// edits is the Levenshtein distance, cut off for long words.
func edits(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			next := min(row[j]+1, row[j-1]+1, diagonal+1)
			if a[i-1] == b[j-1] {
				next = min(next, diagonal)
			}
			diagonal, row[j] = row[j], next
		}
	}
	return row[len(b)]
}
