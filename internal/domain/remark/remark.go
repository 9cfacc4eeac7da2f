// Package remark is what a reader of somebody's file has to say about it: at
// which place, by which rule, and what to do.
//
// Entry points are [Rule] and [Remark]. The package finds nothing and prints
// nothing.
package remark

import (
	"cmp"
	"fmt"
	"slices"
)

// Level is how much a remark matters. The zero value is a note.
type Level uint8

// The levels: a Note is to know, a Warning is probably not what was meant, an
// Error is a hole or does not work.
const (
	Note Level = iota
	Warning
	Error
)

var levelNames = [...]string{"note", "warning", "error"}

// String is the lower-case word, as SARIF has it.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// MarshalText writes String.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// LevelOf reads the word of a level; ok is false for any other word.
func LevelOf(word string) (l Level, ok bool) {
	i := slices.Index(levelNames[:], word)
	return Level(max(i, 0)), i >= 0
}

// Rule is one thing that is looked for.
type Rule struct {
	// ID is the rule's name in outputs and in ignores, such as "opt-in".
	ID    string `json:"id"`
	Level Level  `json:"level"`
	// Title says in a few words what is wrong, Help why it matters.
	Title string `json:"title"`
	Help  string `json:"help"`
}

// Remark is one thing that was found.
type Remark struct {
	Rule  string `json:"rule"`
	Level Level  `json:"level"`
	// File, Line and Column say where; Line and Column count from 1, and are 0
	// where the place is not known. Columns count characters.
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Object is what the file says about, such as "ClusterPolicy/name", and Path
	// the field of it.
	Object string `json:"object,omitempty"`
	Path   string `json:"path,omitempty"`
	// Message says what is wrong, Fix what to do.
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	// Fixable says that the tool can do it.
	Fixable bool `json:"fixable,omitempty"`
}

// Sort orders remarks by file, line and column, then by rule and message.
func Sort(list []Remark) { slices.SortStableFunc(list, Compare) }

// Compare is the order of Sort.
func Compare(a, b Remark) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
		cmp.Compare(b.Level, a.Level), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
}
