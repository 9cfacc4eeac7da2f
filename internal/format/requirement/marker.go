package requirement

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/pep440"
)

// Environment is what markers are evaluated for: the variables of PEP 508,
// "Environment Markers".
type Environment struct {
	// PythonVersion is "3.11", PythonFullVersion "3.11.9".
	PythonVersion, PythonFullVersion string
	// OSName is os.name ("posix"), SysPlatform sys.platform ("linux").
	OSName, SysPlatform string
	// PlatformMachine is "x86_64", PlatformSystem "Linux".
	PlatformMachine, PlatformSystem string
	// PlatformRelease and PlatformVersion are the kernel's; often "".
	PlatformRelease, PlatformVersion string
	// PlatformPythonImplementation is "CPython", ImplementationName
	// "cpython", ImplementationVersion its version.
	PlatformPythonImplementation, ImplementationName, ImplementationVersion string
}

// DefaultEnvironment is CPython 3.11 on Linux, x86_64: what most workload
// images run. PlatformRelease and PlatformVersion are empty.
func DefaultEnvironment() Environment {
	return Environment{
		PythonVersion: "3.11", PythonFullVersion: "3.11.9", OSName: "posix", SysPlatform: "linux",
		PlatformMachine: "x86_64", PlatformSystem: "Linux",
		PlatformPythonImplementation: "CPython", ImplementationName: "cpython", ImplementationVersion: "3.11.9",
	}
}

func (e Environment) lookup(name string) (string, bool) {
	switch strings.ReplaceAll(name, ".", "_") {
	case "python_version":
		return e.PythonVersion, true
	case "python_full_version":
		return e.PythonFullVersion, true
	case "os_name":
		return e.OSName, true
	case "sys_platform":
		return e.SysPlatform, true
	case "platform_machine":
		return e.PlatformMachine, true
	case "platform_system":
		return e.PlatformSystem, true
	case "platform_release":
		return e.PlatformRelease, true
	case "platform_version":
		return e.PlatformVersion, true
	case "platform_python_implementation", "python_implementation":
		return e.PlatformPythonImplementation, true
	case "implementation_name":
		return e.ImplementationName, true
	case "implementation_version":
		return e.ImplementationVersion, true
	case "extra":
		return "", true // no extra is asked for in a requirements file
	}
	return "", false
}

// marker is a parsed environment marker.
type marker interface {
	evaluate(Environment) (bool, error)
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

func (m markerAnd) evaluate(e Environment) (bool, error) {
	a, err := m.a.evaluate(e)
	if err != nil {
		return false, err
	}
	b, err := m.b.evaluate(e)
	return a && b, err
}

func (m markerOr) evaluate(e Environment) (bool, error) {
	a, err := m.a.evaluate(e)
	if err != nil {
		return false, err
	}
	b, err := m.b.evaluate(e)
	return a || b, err
}

func (o operand) value(e Environment) (string, error) {
	if o.literal {
		return o.text, nil
	}
	value, known := e.lookup(o.text)
	if !known {
		return "", fmt.Errorf("unknown variable %q", o.text)
	}
	return value, nil
}

// evaluate compares as versions where the right side is a valid specifier for
// the operator and the left one a version, else as text, as PEP 508 says.
func (c comparison) evaluate(e Environment) (bool, error) {
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
}

func parseMarker(text string) (marker, error) {
	p := &markerParser{rest: text}
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
	if _, known := (Environment{}).lookup(o.text); !known {
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
