// Package stricttoml reads TOML into values that know their lines.
//
// Entry point is [Parse], which gives a [Document]; its Root is a table, and
// every [Value] below it says on which line its key or its header stands.
// Keys and tables that are defined twice, text that is not UTF-8 and documents
// beyond a bound are errors, as TOML 1.0 (https://toml.io/en/v1.0.0) demands.
//
// A reader asks for what it needs ([Value.Get], [Value.Text], ...) without
// checking each step: what is not there is nil and reads as empty, and what is
// there with another type is kept as the document's first error, which
// [Document.Err] gives once the reader is done.
//
// The package gives values no meaning, turns no dates or numbers into Go's, and
// writes nothing.
package stricttoml

import (
	"fmt"
	"slices"
)

// Kind is the type of a value.
type Kind uint8

// The kinds of value. A Number is an integer or a float, a Date any of TOML's
// four kinds of date and time.
const (
	String Kind = iota
	Number
	Bool
	Date
	Array
	Table
)

// String is the word that errors use.
func (k Kind) String() string {
	return [...]string{"a string", "a number", "true or false", "a date", "an array", "a table"}[k]
}

// Document is one file.
type Document struct {
	name   string
	root   *Value
	err    error
	values int
	slab   []Value
}

// Root is the document's top table.
func (d *Document) Root() *Value { return d.root }

// Err is the first value that was asked for as what it is not, with file, line
// and both types; nil where there was none.
func (d *Document) Err() error { return d.err }

// Value is one value of a document. A nil Value is one that is not there.
type Value struct {
	document *Document
	kind     Kind
	made     made
	line     int32
	text     []byte // turned into a string only for who asks
	keys     []string
	items    []*Value       // of an array, or a table's in the order of keys
	index    map[string]int // of large tables
}

// made says how a table came to be, which decides what may be added to it.
type made uint8

const (
	implied  made = iota // by a header below it; may get its own
	headed               // by its own header
	dotted               // by a dotted key
	closed               // inline
	repeated             // an array of tables
)

// few is up to how many keys of a table a plain comparison is cheaper than a
// map.
const few = 12

func (v *Value) find(key string) *Value {
	if v.index != nil {
		if at, found := v.index[key]; found {
			return v.items[at]
		}
		return nil
	}
	if at := slices.Index(v.keys, key); at >= 0 {
		return v.items[at]
	}
	return nil
}

func (v *Value) set(key string, value *Value) {
	if v.index == nil && len(v.keys) >= few {
		v.index = make(map[string]int, 2*few)
		for at, known := range v.keys {
			v.index[known] = at
		}
	}
	if v.index != nil {
		v.index[key] = len(v.keys)
	}
	v.keys = append(v.keys, key)
	v.items = append(v.items, value)
}

// Line is where the value's key or header stands, from 1; 0 for nil.
func (v *Value) Line() int {
	if v == nil {
		return 0
	}
	return int(v.line)
}

// Is says whether the value is there and of a kind.
func (v *Value) Is(kind Kind) bool { return v != nil && v.kind == kind }

// Get follows keys through tables; nil where one of them is not there. A step
// that is no table is an error of the document.
func (v *Value) Get(keys ...string) *Value {
	for _, key := range keys {
		if !v.want(Table) {
			return nil
		}
		v = v.find(key)
	}
	return v
}

// want says whether the value is there as a kind, and keeps an error if it is
// there as another.
func (v *Value) want(kind Kind) bool {
	if v == nil || v.kind == kind {
		return v != nil
	}
	if v.document.err == nil {
		v.document.err = fmt.Errorf("%s:%d: want %s, found %s", v.document.name, v.line, kind, v.kind)
	}
	return false
}

// Text is a string's content, "" for nil.
func (v *Value) Text() string {
	if !v.want(String) {
		return ""
	}
	return string(v.text)
}

// Literal is a number, a date or a Bool as it is written, a string's content,
// and "" for everything else.
func (v *Value) Literal() string {
	if v == nil {
		return ""
	}
	return string(v.text)
}

// True says whether the value is there and true.
func (v *Value) True() bool { return v.want(Bool) && string(v.text) == "true" }

// List is an array's values, nil for nil.
func (v *Value) List() []*Value {
	if !v.want(Array) {
		return nil
	}
	return v.items
}

// Texts is an array of strings.
func (v *Value) Texts() []string {
	var texts []string
	for _, item := range v.List() {
		texts = append(texts, item.Text())
	}
	return texts
}

// Keys are a table's keys in the order of the file, nil for nil.
func (v *Value) Keys() []string {
	if !v.want(Table) {
		return nil
	}
	return v.keys
}
