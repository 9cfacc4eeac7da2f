package kyverno

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kyverno/go-jmespath"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// template is a text of the policy with expressions in double braces, parsed
// once. What an expression gives is never parsed again.
type template struct {
	source string
	parts  []part
}

// part is literal text, or an expression where that is not nil.
type part struct {
	literal    string
	expression *expression
}

// expression is one JMESPath expression. Braces nested inside it were cut out
// and are bound as data when it is evaluated.
type expression struct {
	source string
	ast    jmespath.ASTNode
	inner  []*expression
	// run is ast as it is evaluated.
	run jmespath.ASTNode
	// roots are the names that it looks up at the top level.
	roots []string
}

func parseTemplate(text string) (*template, error) {
	if strings.Contains(text, bound) {
		return nil, fmt.Errorf("%q must not contain %q", text, bound)
	}
	if strings.Contains(text, "$(") {
		return nil, fmt.Errorf("%q: references to other fields of the policy, $(...), are not supported; write the value out", text)
	}
	t := &template{source: text}
	var written strings.Builder
	flush := func() {
		if written.Len() > 0 {
			t.parts = append(t.parts, part{literal: written.String()})
			written.Reset()
		}
	}
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], `\{{`):
			written.WriteString("{{")
			i += 3
		case strings.HasPrefix(text[i:], "{{"):
			end, err := closing(text, i)
			if err != nil {
				return nil, err
			}
			e, err := parseExpression(text[i+2:end-2], 0)
			if err != nil {
				return nil, err
			}
			flush()
			t.parts = append(t.parts, part{expression: e})
			i = end
		default:
			written.WriteByte(text[i])
			i++
		}
	}
	flush()
	return t, nil
}

// closing finds the end of the braces that open at start. Single braces
// (JMESPath's multi-select hash, a count in a regular expression) must be
// balanced inside.
func closing(text string, start int) (int, error) {
	var open []byte
	for i := start; i < len(text); {
		top := byte(0)
		if len(open) > 0 {
			top = open[len(open)-1]
		}
		switch {
		case strings.HasPrefix(text[i:], "{{"):
			open = append(open, 'T')
			i += 2
		case text[i] == '{':
			open = append(open, '{')
			i++
		case text[i] == '}' && top == '{':
			open = open[:len(open)-1]
			i++
		case strings.HasPrefix(text[i:], "}}"):
			open = open[:len(open)-1]
			i += 2
			if len(open) == 0 {
				return i, nil
			}
		case text[i] == '}':
			return 0, fmt.Errorf("%q: a single } where }} should be", text[start:])
		default:
			i++
		}
	}
	return 0, fmt.Errorf("%q: {{ is not closed by }}", text[start:])
}

// bound starts the names that stand for nested braces while the text around
// them is parsed. A policy must not contain it.
const bound = "__bound_"

// boundText stands where the inner result becomes part of a text, boundValue
// where it is a whole JSON literal of its own, `{{ x }}`.
func boundText(n int) string  { return bound + strconv.Itoa(n) + "_text__" }
func boundValue(n int) string { return bound + strconv.Itoa(n) + "_value__" }

func parseExpression(text string, depth int) (*expression, error) {
	text = strings.TrimSpace(text)
	if len(text) > limit.PolicyExpression {
		return nil, &limit.Error{What: "an expression in braces", Bound: limit.PolicyExpression, Unit: "bytes"}
	}
	if depth == limit.TemplateDepth {
		return nil, fmt.Errorf("{{ %s }}: braces nest more than %d deep", text, limit.TemplateDepth)
	}
	// {{- x }} is Kyverno's way to say that what x gives is not evaluated again,
	// which holds for everything here.
	if shallow, ok := strings.CutPrefix(text, "-"); ok {
		text = strings.TrimSpace(shallow)
	}
	switch text {
	case "":
		return nil, errors.New("{{ }} is empty")
	case "@":
		return nil, errors.New("{{ @ }} stands for a field of what is mutated, and nothing is mutated here; name what is meant, such as {{ request.object }}")
	}
	e := &expression{source: text}
	outer, err := e.cut(text, depth)
	if err != nil {
		return nil, err
	}
	if e.ast, err = parseJMESPath(outer); err != nil {
		return nil, fmt.Errorf("{{ %s }}: %w", text, err)
	}
	if err := checkNode(e.ast); err != nil {
		return nil, fmt.Errorf("{{ %s }}: %w", text, err)
	}
	e.run = copying(e.ast)
	e.roots = roots(e.ast, nil)
	for _, inner := range e.inner {
		e.roots = append(e.roots, inner.roots...)
	}
	return e, e.checkRoots()
}

// cut takes nested braces out of an expression, and puts names in their place
// that the parser reads as part of a literal or of an identifier.
func (e *expression) cut(text string, depth int) (string, error) {
	var outer strings.Builder
	quote := byte(0)
	for i := 0; i < len(text); {
		c := text[i]
		if strings.HasPrefix(text[i:], "{{") {
			end, err := closing(text, i)
			if err != nil {
				return "", err
			}
			inner, err := parseExpression(text[i+2:end-2], depth+1)
			if err != nil {
				return "", err
			}
			n := len(e.inner)
			e.inner = append(e.inner, inner)
			if quote == '`' && text[i-1] == '`' && end < len(text) && text[end] == '`' {
				outer.WriteString(`"` + boundValue(n) + `"`)
			} else {
				outer.WriteString(boundText(n))
			}
			i = end
			continue
		}
		switch {
		case quote != 0 && c == '\\' && i+1 < len(text):
			outer.WriteByte(c)
			i++
			c = text[i]
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"' || c == '`'):
			quote = c
		}
		outer.WriteByte(c)
		i++
	}
	return outer.String(), nil
}

// copying gives sort_by() a copy of its list: it sorts in place, and the list
// may be a predicate's, which other conditions and policies read.
func copying(node jmespath.ASTNode) jmespath.ASTNode {
	children := make([]jmespath.ASTNode, len(node.Children))
	for i, child := range node.Children {
		children[i] = copying(child)
	}
	node.Children = children
	if node.NodeType == jmespath.ASTFunctionExpression && node.Value == "sort_by" && len(children) > 0 {
		children[0] = jmespath.ASTNode{NodeType: jmespath.ASTFunctionExpression, Value: copyFunction, Children: []jmespath.ASTNode{children[0]}}
	}
	return node
}

// parseJMESPath guards against a panic in the parser, which is not ours.
func parseJMESPath(text string) (ast jmespath.ASTNode, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the expression cannot be parsed: %v", r)
		}
	}()
	return jmespath.NewParser().Parse(text)
}

// reserved are names of Kyverno's policy context that are not given here. A
// predicate could answer to them if an expression were allowed to ask.
var reserved = map[string]string{
	"images": "a gate judges one image at a time; use image",
}

func (e *expression) checkRoots() error {
	for _, root := range e.roots {
		if why, ok := reserved[root]; ok {
			return fmt.Errorf("{{ %s }}: %s is not supported yet: %s", e.source, root, why)
		}
	}
	return nil
}

// roots adds to found the fields that a node looks up in what it is given.
func roots(node jmespath.ASTNode, found []string) []string {
	switch node.NodeType {
	case jmespath.ASTField:
		if name, ok := node.Value.(string); ok {
			found = append(found, name)
		}
	case jmespath.ASTSubexpression, jmespath.ASTIndexExpression, jmespath.ASTPipe, jmespath.ASTProjection,
		jmespath.ASTFilterProjection, jmespath.ASTValueProjection:
		if len(node.Children) > 0 {
			left := node.Children[0]
			found = roots(left, found)
			if left.NodeType != jmespath.ASTCurrentNode && left.NodeType != jmespath.ASTIdentity {
				return found
			}
			for _, child := range node.Children[1:] {
				found = roots(child, found)
			}
		}
	default:
		for _, child := range node.Children {
			found = roots(child, found)
		}
	}
	return found
}

// checkNode refuses functions that are not known or not supported, with the
// wrong number of arguments, or whose pattern is not written in the policy.
func checkNode(node jmespath.ASTNode) error {
	switch node.NodeType {
	case jmespath.ASTFunctionExpression:
		name, _ := node.Value.(string)
		if err := checkCall(name, node.Children); err != nil {
			return err
		}
	case jmespath.ASTKeyValPair:
		if name, _ := node.Value.(string); strings.Contains(name, bound) {
			return errors.New("the name of a field of a multi-select hash must be written in the policy")
		}
	}
	for _, child := range node.Children {
		if err := checkNode(child); err != nil {
			return err
		}
	}
	return nil
}

// environment is what expressions see.
type environment struct {
	root      map[string]any
	functions *jmespath.FunctionCaller
	// missing are names that root would have if more were known, with why it
	// has not.
	missing map[string]error
}

// evaluate gives nil, bool, float64, string, []any or map[string]any.
func (e *expression) evaluate(env *environment) (value any, err error) { return e.apply(env, env.root) }

// apply evaluates the expression on something else than the environment's root,
// which nested braces go on seeing.
func (e *expression) apply(env *environment, on any) (value any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("{{ %s }}: cannot be evaluated: %v", e.source, r)
		}
	}()
	for _, root := range e.roots {
		if why, gone := env.missing[root]; gone {
			return nil, fmt.Errorf("{{ %s }}: %w", e.source, why)
		}
	}
	ast := e.run
	if len(e.inner) > 0 {
		results := make([]any, len(e.inner))
		for i, inner := range e.inner {
			if results[i], err = inner.evaluate(env); err != nil {
				return nil, err
			}
		}
		if ast, err = bind(ast, results); err != nil {
			return nil, fmt.Errorf("{{ %s }}: %w", e.source, err)
		}
	}
	value, err = jmespath.NewInterpreter().Execute(ast, on, jmespath.WithFunctionCaller(env.functions))
	if err != nil {
		return nil, fmt.Errorf("{{ %s }}: %w%s", e.source, err, e.hint(env, err))
	}
	if err := plain(value); err != nil {
		return nil, fmt.Errorf("{{ %s }}: %w", e.source, err)
	}
	return value, nil
}

// hint explains the commonest mistake with a missing key.
func (e *expression) hint(env *environment, err error) string {
	if missing := (jmespath.NotFoundError{}); !errors.As(err, &missing) {
		return ""
	}
	for _, root := range e.roots {
		if _, found := env.root[root]; root == "predicate" && !found {
			return `: the fields of the predicate stand at the top level; leave out "predicate."`
		}
	}
	return ""
}

// plain refuses what is not JSON, such as a bare expression reference.
func plain(value any) error {
	switch typed := value.(type) {
	case nil, bool, string, map[string]any:
		return nil
	case float64: // to_number() reads "NaN", which is below, above and unequal to everything
		if math.IsNaN(typed) || math.IsInf(typed, 0) {
			return fmt.Errorf("gives %v, which is no number", typed)
		}
		return nil
	case []any:
		for _, element := range typed {
			if err := plain(element); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("gives a %T, which is no value", value)
}

// evaluate gives the operand that a template makes.
func (t *template) evaluate(env *environment) (operand, error) {
	if len(t.parts) == 1 && t.parts[0].expression != nil {
		value, err := t.parts[0].expression.evaluate(env)
		return data(value), err
	}
	result := operand{written: true}
	var text strings.Builder
	for _, p := range t.parts {
		if p.expression == nil {
			text.WriteString(p.literal)
			result.glob.add(p.literal, true)
			continue
		}
		value, err := p.expression.evaluate(env)
		if err != nil {
			return operand{}, err
		}
		written, err := spell(value)
		if err != nil {
			return operand{}, fmt.Errorf("{{ %s }}: %w", p.expression.source, err)
		}
		text.WriteString(written)
		result.glob.add(written, false)
		result.written = false
	}
	result.value = text.String()
	return result, nil
}

// text gives what a template makes where only a text can stand.
func (t *template) text(env *environment) (string, error) {
	o, err := t.evaluate(env)
	if err != nil {
		return "", err
	}
	text, err := spell(o.plain())
	if err != nil {
		return "", fmt.Errorf("%s: %w", t.source, err)
	}
	return text, nil
}
