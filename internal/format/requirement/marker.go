package requirement

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// Scope is what a marker is evaluated in: an environment, and the names that
// were asked for. In a requirements file nobody asks for any.
type Scope struct {
	Environment
	// Extras and Groups (dependency groups, PEP 735) are normalised names.
	Extras, Groups []string
}

// Marker is a parsed environment marker. The zero value holds everywhere.
type Marker struct{ marker marker }

// ParseMarker reads a marker as lockfiles have it: by PEP 508, and with the
// variables "extras" and "dependency_groups" of PEP 751. An empty text holds
// everywhere. Errors have no place; the caller knows it.
func ParseMarker(text string) (Marker, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Marker{}, nil
	}
	m, err := parseMarker(text, true)
	if err != nil {
		return Marker{}, fmt.Errorf("marker %.200q: %w", text, err)
	}
	return Marker{m}, nil
}

// Holds says whether the marker holds. A comparison that has no meaning is an
// error.
func (m Marker) Holds(scope *Scope) (bool, error) {
	if m.marker == nil {
		return true, nil
	}
	return m.marker.evaluate(scope)
}

// Names are the names that the marker compares with extra, extras and
// dependency_groups, in its order.
func (m Marker) Names() (extras, groups []string) {
	switch m := m.marker.(type) {
	case markerAnd:
		extras, groups = Marker{m.a}.Names()
		e, g := Marker{m.b}.Names()
		return append(extras, e...), append(groups, g...)
	case markerOr:
		return Marker{markerAnd(m)}.Names()
	case comparison:
		switch name := m.variable(); name {
		case "extra", "extras":
			return []string{pydist.Normalise(m.literal())}, nil
		case "dependency_groups":
			return nil, []string{pydist.Normalise(m.literal())}
		}
	}
	return nil, nil
}

// Holds says whether a marker (PEP 508) holds in an environment. A marker that
// cannot be read or evaluated is an error.
func Holds(text string, environment Environment) (bool, error) {
	m, err := parseMarker(strings.TrimSpace(text), false)
	if err != nil {
		return false, fmt.Errorf("marker %q: %w", text, err)
	}
	holds, err := m.evaluate(&Scope{Environment: environment})
	if err != nil {
		return false, fmt.Errorf("marker %q: %w", text, err)
	}
	return holds, nil
}

// marker is a parsed environment marker.
type marker interface {
	evaluate(*Scope) (bool, error)
}

type markerAnd struct{ a, b marker }
type markerOr struct{ a, b marker }
type comparison struct {
	left, right operand
	operator    string
}
type operand struct {
	text    string
	literal bool
}

func (m markerAnd) evaluate(e *Scope) (bool, error) {
	a, err := m.a.evaluate(e)
	if err != nil {
		return false, err
	}
	b, err := m.b.evaluate(e)
	return a && b, err
}

func (m markerOr) evaluate(e *Scope) (bool, error) {
	a, err := m.a.evaluate(e)
	if err != nil {
		return false, err
	}
	b, err := m.b.evaluate(e)
	return a || b, err
}

// name is the variable's, "" for a literal.
func (o operand) name() string {
	if o.literal {
		return ""
	}
	return o.text
}

// sets are the variables that stand for names that were asked for.
var sets = map[string]bool{"extra": true, "extras": true, "dependency_groups": true}

func (o operand) value(e *Scope) (string, error) {
	if o.literal {
		return o.text, nil
	}
	value, known := e.lookup(o.text)
	if !known {
		return "", fmt.Errorf("unknown variable %q", o.text)
	}
	return value, nil
}

// variable is the side that is no literal, literal the other one.
func (c comparison) variable() string {
	if c.left.literal {
		return c.right.text
	}
	return c.left.text
}

func (c comparison) literal() string {
	if c.left.literal {
		return c.left.text
	}
	return c.right.text
}

// asked evaluates a comparison with the names that were asked for: with
// "extra" as PEP 508 has it, of which any may be meant, and with the sets of
// PEP 751.
func (c comparison) asked(e *Scope) (bool, error) {
	names := e.Extras
	if c.variable() == "dependency_groups" {
		names = e.Groups
	}
	wanted := pydist.Normalise(c.literal())
	has := slices.Contains(names, wanted) || wanted == "" && len(names) == 0
	switch {
	case !c.left.literal && !c.right.literal:
	case c.variable() == "extra" && (c.operator == "==" || c.operator == "==="):
		return has, nil
	case c.variable() == "extra" && c.operator == "!=":
		return !has, nil
	case c.variable() != "extra" && c.left.literal && c.operator == "in":
		return has, nil
	case c.variable() != "extra" && c.left.literal && c.operator == "not in":
		return !has, nil
	}
	return false, fmt.Errorf("%s is not compared like that", c.variable())
}

// evaluate compares as versions where the right side is a valid specifier for
// the operator and the left one a version, else as text, as PEP 508 says.
func (c comparison) evaluate(e *Scope) (bool, error) {
	if sets[c.left.name()] || sets[c.right.name()] {
		return c.asked(e)
	}
	left, err := c.left.value(e)
	if err != nil {
		return false, err
	}
	right, err := c.right.value(e)
	if err != nil {
		return false, err
	}
	switch c.operator {
	case "in":
		return strings.Contains(right, left), nil
	case "not in":
		return !strings.Contains(right, left), nil
	}
	if set, err := pep440.ParseSpecifiers(c.operator + right); err == nil {
		if v, err := pep440.Parse(left); err == nil {
			return set.Contains(v), nil
		}
	}
	switch c.operator {
	case "==", "===":
		return left == right, nil
	case "!=":
		return left != right, nil
	case "<":
		return left < right, nil
	case "<=":
		return left <= right, nil
	case ">":
		return left > right, nil
	case ">=":
		return left >= right, nil
	}
	return false, fmt.Errorf("%q compares versions, and %q or %q is none", c.operator, left, right)
}

// markerDepth bounds parentheses.
const markerDepth = 64

type markerParser struct {
	rest  string
	depth int
	// locked allows the variables that only lockfiles have.
	locked bool
}

func parseMarker(text string, locked bool) (marker, error) {
	if len(text) > limit.Marker {
		return nil, &limit.Error{What: "it", Bound: limit.Marker, Unit: "bytes"}
	}
	p := &markerParser{rest: text, locked: locked}
	m, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.skip(); p.rest != "" {
		return nil, fmt.Errorf("%q is left over", p.rest)
	}
	return m, nil
}

func (p *markerParser) skip() { p.rest = strings.TrimLeft(p.rest, " \t") }

// word takes a keyword that is not part of a longer name.
func (p *markerParser) word(w string) bool {
	p.skip()
	rest, found := strings.CutPrefix(p.rest, w)
	if !found || rest != "" && isName(rest[0]) {
		return false
	}
	p.rest = rest
	return true
}

func isName(c byte) bool {
	return c == '_' || c == '.' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func (p *markerParser) or() (marker, error) {
	m, err := p.and()
	for err == nil && p.word("or") {
		var b marker
		b, err = p.and()
		m = markerOr{m, b}
	}
	return m, err
}

func (p *markerParser) and() (marker, error) {
	m, err := p.term()
	for err == nil && p.word("and") {
		var b marker
		b, err = p.term()
		m = markerAnd{m, b}
	}
	return m, err
}

func (p *markerParser) term() (marker, error) {
	p.skip()
	if rest, found := strings.CutPrefix(p.rest, "("); found {
		if p.depth++; p.depth > markerDepth {
			return nil, fmt.Errorf("more than %d parentheses", markerDepth)
		}
		p.rest = rest
		m, err := p.or()
		if err != nil {
			return nil, err
		}
		p.skip()
		if p.rest, found = strings.CutPrefix(p.rest, ")"); !found {
			return nil, errors.New("a parenthesis is not closed")
		}
		p.depth--
		return m, nil
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	operator, err := p.operator()
	if err != nil {
		return nil, err
	}
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	if left.literal && right.literal {
		return nil, errors.New("two literals are compared")
	}
	return comparison{left, right, operator}, nil
}

func (p *markerParser) operand() (operand, error) {
	p.skip()
	if p.rest == "" {
		return operand{}, errors.New("it ends too early")
	}
	if quote := p.rest[0]; quote == '"' || quote == '\'' {
		end := strings.IndexByte(p.rest[1:], quote)
		if end < 0 {
			return operand{}, errors.New("a quotation is not closed")
		}
		o := operand{text: p.rest[1 : 1+end], literal: true}
		p.rest = p.rest[end+2:]
		return o, nil
	}
	end := 0
	for end < len(p.rest) && isName(p.rest[end]) {
		end++
	}
	if end == 0 {
		return operand{}, fmt.Errorf("a variable or a quoted text is wanted at %q", p.rest)
	}
	o := operand{text: p.rest[:end]}
	p.rest = p.rest[end:]
	_, known := (Environment{}).lookup(o.text)
	if !known && o.text != "extra" && (!p.locked || !sets[o.text]) {
		return operand{}, fmt.Errorf("unknown variable %q", o.text)
	}
	return o, nil
}

func (p *markerParser) operator() (string, error) {
	p.skip()
	for _, operator := range []string{"===", "~=", "==", "!=", "<=", ">=", "<", ">"} {
		if rest, found := strings.CutPrefix(p.rest, operator); found {
			p.rest = rest
			return operator, nil
		}
	}
	if p.word("in") {
		return "in", nil
	}
	if p.word("not") && p.word("in") {
		return "not in", nil
	}
	return "", fmt.Errorf("an operator is wanted at %q", p.rest)
}
