package shape

import (
	"fmt"
	"strings"
	"unicode"
)

// The shapes are written in a small language. Fields stand one after another,
// apart by spaces:
//
//	name          a plain value          name{...}   an object
//	name[...]     a list of objects      name[]      a list of plain values
//	name[&x]      a list of what @x is   name&x      what @x is
//	name*         anything               *           any other field, anything
//	*{...} *:     any other field, an object or a plain value
//	name=a|b      one of these words
//
// "!" before a name: other tools write it, and Assay does not. "~" before one:
// the type leaves the content to the tool. Quotes hold names with other
// characters. Lines "@x = ..." are definitions.

type parser struct {
	text string
	at   int
}

// parse reads a shape. A mistake in it is one in this package, and panics; the
// tests read all of them.
func parse(text string) (root *node, definitions map[string]*node) {
	definitions = map[string]*node{}
	for _, block := range strings.Split(text, "\n@") {
		name, body, isDefinition := strings.Cut(block, " = ")
		if !isDefinition || strings.ContainsAny(name, " {[\n") {
			p := &parser{text: block}
			root = p.fields()
			p.end()
			continue
		}
		p := &parser{text: body}
		definitions[strings.TrimPrefix(name, "@")] = p.fields()
		p.end()
	}
	return root, definitions
}

func (p *parser) fail(what string) {
	panic(fmt.Sprintf("shape: %s at %q", what, p.text[p.at:min(len(p.text), p.at+30)]))
}

func (p *parser) space() {
	for p.at < len(p.text) && unicode.IsSpace(rune(p.text[p.at])) {
		p.at++
	}
}

func (p *parser) end() {
	p.space()
	if p.at < len(p.text) {
		p.fail("more than one shape")
	}
}

func (p *parser) take(prefix string) bool {
	if strings.HasPrefix(p.text[p.at:], prefix) {
		p.at += len(prefix)
		return true
	}
	return false
}

func (p *parser) word() string {
	start := p.at
	if p.take(`"`) {
		end := strings.IndexByte(p.text[p.at:], '"')
		if end < 0 {
			p.fail("an open quote")
		}
		p.at += end + 1
		return p.text[start+1 : p.at-1]
	}
	for p.at < len(p.text) && (plainName("x"+p.text[p.at:p.at+1]) || p.text[p.at] == '-') {
		p.at++
	}
	return p.text[start:p.at]
}

// fields reads the fields of an object, up to what closes it.
func (p *parser) fields() *node {
	n := &node{kind: object, fields: map[string]*node{}}
	for p.space(); p.at < len(p.text) && p.text[p.at] != '}' && p.text[p.at] != ']'; p.space() {
		if p.take("*") {
			n.rest = p.rest()
			continue
		}
		foreign, loose := p.take("!"), p.take("~")
		name := p.word()
		if name == "" {
			p.fail("no name")
		}
		value := p.value()
		value.foreign, value.loose = foreign, loose
		n.fields[name] = value
	}
	return n
}

func (p *parser) rest() *node {
	switch {
	case p.take(":"):
		return &node{}
	case p.take("{"):
		return p.closed("}")
	}
	return &node{kind: anything}
}

func (p *parser) closed(by string) *node {
	n := p.fields()
	if !p.take(by) {
		p.fail("not closed by " + by)
	}
	return n
}

func (p *parser) value() *node {
	switch {
	case p.take("{"):
		return p.closed("}")
	case p.take("*"):
		return &node{kind: anything}
	case p.take("&"):
		return &node{link: p.word()}
	case p.take("="):
		n := &node{words: []string{p.word()}}
		for p.take("|") {
			n.words = append(n.words, p.word())
		}
		return n
	case p.take("[]"):
		return &node{kind: list, element: &node{}}
	case p.take("[&"):
		n := &node{kind: list, element: &node{link: p.word()}}
		if !p.take("]") {
			p.fail("not closed by ]")
		}
		return n
	case p.take("[*]"):
		return &node{kind: list, element: &node{kind: anything}}
	case p.take("["):
		return &node{kind: list, element: p.closed("]")}
	}
	return &node{}
}
