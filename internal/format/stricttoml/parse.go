package stricttoml

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Parse reads a whole document. name stands in errors, which have the form
// "name:line: what is wrong".
func Parse(content []byte, name string) (*Document, error) {
	content = slices.Clip(bytes.TrimPrefix(content, []byte("\ufeff")))
	if !utf8.Valid(content) {
		line := 1
		for text := range bytes.Lines(content) {
			if !utf8.Valid(text) {
				break
			}
			line++
		}
		return nil, fmt.Errorf("%s:%d: not UTF-8, which TOML must be", name, line)
	}
	d := &Document{name: name}
	p := parser{document: d, content: content, line: 1, names: map[string]string{}}
	if err := p.run(); err != nil {
		return nil, err
	}
	return d, nil
}

type parser struct {
	document *Document
	unstable.Parser
	content []byte
	// line is the number of the line that at stands on.
	line, at int
	// names holds every key once; open are the parts of the keys that are
	// being read.
	names map[string]string
	open  []string
}

// name is a key as text; a document has few keys, and writes them often.
func (p *parser) name(key []byte) string {
	if name, known := p.names[string(key)]; known {
		return name
	}
	name := string(key)
	p.names[name] = name
	return name
}

func (p *parser) run() error {
	root, err := p.make(Table, headed, 1)
	if err != nil {
		return err
	}
	p.document.root = root
	p.Reset(p.content)
	current := root
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			p.open = p.open[:0]
			if current, err = p.header(root, e); err != nil {
				return err
			}
		case unstable.KeyValue:
			p.open = p.open[:0]
			if err := p.member(current, e, 0); err != nil {
				return err
			}
		}
	}
	return p.syntax(p.Error())
}

// syntax gives the library's error its place.
func (p *parser) syntax(err error) error {
	var e *unstable.ParserError
	if !errors.As(err, &e) {
		return err
	}
	at := min(max(0, cap(p.content)-cap(e.Highlight)), len(p.content))
	return fmt.Errorf("%s:%d: this is no TOML: %s", p.document.name, 1+bytes.Count(p.content[:at], []byte("\n")), e.Message)
}

func (p *parser) errorf(line int, format string, arguments ...any) error {
	return fmt.Errorf("%s:%d: %s", p.document.name, line, fmt.Sprintf(format, arguments...))
}

// make counts a value against the bound.
func (p *parser) make(kind Kind, how made, line int) (*Value, error) {
	d := p.document
	if d.values++; d.values > limit.TOMLValues {
		return nil, &limit.Error{What: d.name, Bound: limit.TOMLValues, Unit: "values"}
	}
	if len(d.slab) == cap(d.slab) {
		d.slab = make([]Value, 0, min(4096, max(64, 2*cap(d.slab))))
	}
	d.slab = append(d.slab, Value{document: d, kind: kind, made: how, line: int32(line)})
	return &d.slab[len(d.slab)-1], nil
}

// lineOf is the line of a node that lies behind all nodes asked for before.
func (p *parser) lineOf(n *unstable.Node) int {
	if offset := int(n.Raw.Offset); offset > p.at {
		p.line += bytes.Count(p.content[p.at:offset], []byte("\n"))
		p.at = offset
	}
	return p.line
}

// path is a dotted key and the line of its first part. It lies on top of open.
func (p *parser) path(n *unstable.Node) ([]string, int, error) {
	line, start := 0, len(p.open)
	for it := n.Key(); it.Next(); {
		if line == 0 {
			line = p.lineOf(it.Node())
		}
		if p.open = append(p.open, p.name(it.Node().Data)); len(p.open)-start > limit.TOMLDepth {
			return nil, 0, &limit.Error{What: p.document.name + " (nesting)", Bound: limit.TOMLDepth, Unit: "levels"}
		}
	}
	return p.open[start:len(p.open):len(p.open)], line, nil
}

// header opens the table of "[a.b]" or a new one of "[[a.b]]".
func (p *parser) header(table *Value, n *unstable.Node) (*Value, error) {
	keys, line, err := p.path(n)
	if err != nil {
		return nil, err
	}
	for _, key := range keys[:len(keys)-1] {
		next := table.find(key)
		switch {
		case next == nil:
			if next, err = p.make(Table, implied, line); err != nil {
				return nil, err
			}
			table.set(key, next)
		case next.made == repeated:
			next = next.items[len(next.items)-1]
		case next.kind != Table || next.made == closed:
			return nil, p.errorf(line, "%s is no table that a header could add to", strings.Join(keys, "."))
		}
		table = next
	}
	key := keys[len(keys)-1]
	known := table.find(key)
	if n.Kind == unstable.ArrayTable {
		if known == nil {
			if known, err = p.make(Array, repeated, line); err != nil {
				return nil, err
			}
			table.set(key, known)
		}
		if known.made != repeated || known.kind != Array {
			return nil, p.errorf(line, "%s is defined twice, and not both times as [[...]]", strings.Join(keys, "."))
		}
		entry, err := p.make(Table, headed, line)
		if err != nil {
			return nil, err
		}
		known.items = append(known.items, entry)
		return entry, nil
	}
	if known != nil {
		if known.kind != Table || known.made != implied {
			return nil, p.errorf(line, "%s is defined twice", strings.Join(keys, "."))
		}
		known.made, known.line = headed, int32(line)
		return known, nil
	}
	opened, err := p.make(Table, headed, line)
	if err != nil {
		return nil, err
	}
	table.set(key, opened)
	return opened, nil
}

// member puts "a.b = value" into a table.
func (p *parser) member(table *Value, n *unstable.Node, depth int) error {
	before := len(p.open)
	keys, line, err := p.path(n)
	if err != nil {
		return err
	}
	defer func() { p.open = p.open[:before] }()
	for _, key := range keys[:len(keys)-1] {
		next := table.find(key)
		switch {
		case next == nil:
			if next, err = p.make(Table, dotted, line); err != nil {
				return err
			}
			table.set(key, next)
		case next.kind != Table || next.made != dotted:
			return p.errorf(line, "%s is defined elsewhere, and a dotted key cannot add to it", key)
		}
		table = next
	}
	key := keys[len(keys)-1]
	if table.find(key) != nil {
		return p.errorf(line, "%s is defined twice", strings.Join(keys, "."))
	}
	value, err := p.value(n.Value(), line, depth)
	if err != nil {
		return err
	}
	table.set(key, value)
	return nil
}

func (p *parser) value(n *unstable.Node, line, depth int) (*Value, error) {
	if depth > limit.TOMLDepth {
		return nil, &limit.Error{What: p.document.name + " (nesting)", Bound: limit.TOMLDepth, Unit: "levels"}
	}
	kind, known := kinds[n.Kind]
	if !known {
		return nil, p.errorf(line, "a value of an unknown kind")
	}
	if kind != Array { // arrays do not say where they are
		line = p.lineOf(n)
	}
	v, err := p.make(kind, closed, line)
	if err != nil {
		return nil, err
	}
	if kind == Array || kind == Table {
		count := 0
		for it := n.Children(); it.Next(); {
			count++
		}
		if v.items = make([]*Value, 0, count); kind == Table {
			v.keys = make([]string, 0, count)
		}
	}
	switch kind {
	case Array:
		for it := n.Children(); it.Next(); {
			item, err := p.value(it.Node(), p.line, depth+1)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
		}
	case Table:
		for it := n.Children(); it.Next(); {
			if err := p.member(v, it.Node(), depth+1); err != nil {
				return nil, err
			}
		}
		p.seal(v)
	default:
		v.text = n.Data
	}
	return v, nil
}

// seal closes the tables that dotted keys made inside an inline table.
func (p *parser) seal(table *Value) {
	for _, item := range table.items {
		if item.kind == Table && item.made == dotted {
			item.made = closed
			p.seal(item)
		}
	}
}

var kinds = map[unstable.Kind]Kind{
	unstable.String: String, unstable.Bool: Bool, unstable.Integer: Number, unstable.Float: Number,
	unstable.LocalDate: Date, unstable.LocalTime: Date, unstable.LocalDateTime: Date, unstable.DateTime: Date,
	unstable.Array: Array, unstable.InlineTable: Table,
}
