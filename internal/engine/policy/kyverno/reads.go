package kyverno

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/kyverno/go-jmespath"

	"github.com/seed-161fc314/assay/internal/engine/policy/shape"
)

// Looked is what one condition reads of a predicate.
type Looked struct {
	// Block is the element of conditions, Alternative says that the condition is
	// in its any, Index which one it is there.
	Block       int
	Alternative bool
	Index       int
	Reads       []shape.Read
	// Said are the reads of its message.
	Said []shape.Read
	// Constant says that the condition looks at nothing outside of the policy,
	// and Holds what it then always gives.
	Constant, Holds bool
	// Dated says that it asks how old something is.
	Dated bool
	// Patterns are the regular expressions that regex_match is given.
	Patterns []string
}

// Reads says which paths of a predicate the conditions of an attestation read
// (JSON: a list of any and all). Names that the policy defines itself, and those
// of Kyverno's context, are no paths of the predicate. What cannot be parsed is
// left out: Load says what is wrong with it.
func Reads(conditions json.RawMessage, defined []string) []Looked {
	var blocks []struct {
		Any []json.RawMessage `json:"any"`
		All []json.RawMessage `json:"all"`
	}
	if json.Unmarshal(conditions, &blocks) != nil {
		return nil
	}
	var list []Looked
	for i, b := range blocks {
		for n, raw := range b.All {
			list = append(list, look(raw, Looked{Block: i, Index: n}, defined))
		}
		for n, raw := range b.Any {
			list = append(list, look(raw, Looked{Block: i, Alternative: true, Index: n}, defined))
		}
	}
	return list
}

func look(raw json.RawMessage, l Looked, defined []string) Looked {
	var s conditionSpec
	if json.Unmarshal(raw, &s) != nil {
		return l
	}
	r := &reader{defined: defined}
	key := r.operand(s.Key)
	value := r.operand(s.Value)
	l.Reads, l.Dated, l.Patterns = r.reads, r.dated, r.patterns
	if said, err := parseTemplate(s.Message); err == nil {
		m := &reader{defined: defined}
		m.tree(tree{kind: isTemplate, template: said})
		l.Said = m.reads
	}
	c, err := parseCondition("", s)
	if err == nil && !r.evaluates {
		o := c.evaluate(&environment{})
		l.Constant, l.Holds = true, o.holds && o.broken == nil
	}
	if err == nil && key.known && equality[strings.ToLower(s.Operator)] {
		r.compare(key, writtenTexts(c.value))
		l.Reads = r.reads
	}
	if err == nil && value.known && equality[strings.ToLower(s.Operator)] {
		r.compare(value, writtenTexts(c.key))
		l.Reads = r.reads
	}
	return l
}

// equality are the operators that hold by values being equal.
var equality = map[string]bool{"equal": true, "equals": true, "notequal": true, "notequals": true, "in": true, "anyin": true, "allin": true,
	"notin": true, "anynotin": true, "allnotin": true}

// writtenTexts are the texts that an operand writes out and that mean themselves.
func writtenTexts(t tree) []string {
	value, ok := literalOf(t)
	if !ok {
		return nil
	}
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	var words []string
	for _, element := range list {
		if text, isText := element.(string); isText {
			if _, err := celLiteral(text); err == nil {
				words = append(words, text)
			}
		}
	}
	return words
}

// reader gathers what expressions read.
type reader struct {
	defined []string
	reads   []shape.Read
	// evaluates says that there is an expression at all.
	evaluates, dated bool
	patterns         []string
	// optional counts the places around that say what holds where nothing is.
	optional int
}

// found is what an expression gives: a place of the predicate, in so many lists;
// or, where known is false, anything.
type found struct {
	known bool
	path  shape.Path
	lists int
}

// operand reads what a key or a value of a condition is.
func (r *reader) operand(raw json.RawMessage) found {
	value, err := decode(raw)
	if err != nil {
		return found{}
	}
	t, err := parseTree(value)
	if err != nil {
		return found{}
	}
	return r.tree(t)
}

func (r *reader) tree(t tree) found {
	var f found
	switch t.kind {
	case isTemplate:
		for _, p := range t.template.parts {
			if p.expression != nil {
				f = r.expression(p.expression)
			}
		}
		if len(t.template.parts) > 1 {
			f = found{}
		}
	case isList:
		for _, child := range t.list {
			r.tree(child)
		}
	case isObject:
		for _, child := range t.object {
			r.tree(tree{kind: isTemplate, template: child.name})
			r.tree(child.value)
		}
	}
	return f
}

func (r *reader) expression(e *expression) found {
	r.evaluates = true
	for _, inner := range e.inner {
		r.expression(inner)
	}
	return r.node(e.ast, found{known: true})
}

// contextNames are those at the top level that are not the predicate's.
var contextNames = []string{"request", "image", "images", "serviceAccountName", "serviceAccountNamespace", "element", "elementIndex", "target"}

// note notes that a place is read. Longer paths say more than their beginnings.
func (r *reader) note(path shape.Path) {
	if name := path.Name(); len(path) == 0 || slices.Contains(contextNames, name) || slices.Contains(r.defined, name) {
		return
	}
	for i, read := range r.reads {
		if n := len(read.Path); n < len(path) && slices.Equal(read.Path, path[:n]) && read.Compared == nil {
			r.reads[i].Path, r.reads[i].Optional = path, r.optional > 0
			return
		}
	}
	if !slices.ContainsFunc(r.reads, func(read shape.Read) bool { return slices.Equal(read.Path, path) }) {
		r.reads = append(r.reads, shape.Read{Path: path, Optional: r.optional > 0})
	}
}

// compare notes what a place is compared with.
func (r *reader) compare(f found, words []string) {
	path := f.path
	for i, read := range r.reads {
		if slices.Equal(read.Path, path) {
			r.reads[i].Compared = append(r.reads[i].Compared, words...)
		}
	}
}

// element is one element of what was found.
func (f found) element() found {
	switch {
	case !f.known:
		return found{}
	case f.lists > 0:
		return found{known: true, path: f.path, lists: f.lists - 1}
	}
	return found{known: true, path: f.path.With(shape.Each())}
}

// listOf is a list of what was found.
func listOf(f found) found {
	f.lists++
	return f
}

// node says what a node makes of current.
func (r *reader) node(n jmespath.ASTNode, current found) found {
	switch n.NodeType {
	case jmespath.ASTCurrentNode, jmespath.ASTIdentity:
		return current
	case jmespath.ASTField:
		return r.field(n, current)
	case jmespath.ASTSubexpression, jmespath.ASTPipe:
		return r.node(n.Children[1], r.node(n.Children[0], current))
	case jmespath.ASTIndexExpression:
		left := r.node(n.Children[0], current)
		if n.Children[1].NodeType == jmespath.ASTIndex {
			r.noteElement(left)
			return left.element()
		}
		return left
	case jmespath.ASTProjection:
		return listOf(r.node(n.Children[1], r.elements(n.Children[0], current)))
	case jmespath.ASTFilterProjection:
		element := r.elements(n.Children[0], current)
		if len(n.Children) > 2 {
			r.optional++ // elements without the field are left out
			r.node(n.Children[2], element)
			r.optional--
		}
		return listOf(r.node(n.Children[1], element))
	case jmespath.ASTValueProjection:
		left := r.node(n.Children[0], current)
		if left.known && left.lists == 0 {
			left.path = left.path.With(shape.Whichever())
			return listOf(r.node(n.Children[1], left))
		}
		return found{}
	case jmespath.ASTFlatten:
		return flatten(r.node(n.Children[0], current))
	case jmespath.ASTOrExpression:
		r.optional++
		left := r.node(n.Children[0], current)
		r.optional--
		r.node(n.Children[1], current)
		return left
	case jmespath.ASTComparator:
		left, right := r.node(n.Children[0], current), r.node(n.Children[1], current)
		r.equal(n, left, n.Children[1])
		r.equal(n, right, n.Children[0])
		return found{}
	case jmespath.ASTFunctionExpression:
		return r.call(n, current)
	}
	for _, child := range n.Children {
		r.node(child, current)
	}
	return found{}
}

// elements are those of the list that a node gives.
func (r *reader) elements(n jmespath.ASTNode, current found) found {
	left := r.node(n, current)
	r.noteElement(left)
	return left.element()
}

func (r *reader) noteElement(left found) {
	if element := left.element(); element.known && element.lists == 0 && left.lists == 0 && len(left.path) > 0 {
		r.note(element.path)
	}
}

func flatten(f found) found {
	switch {
	case !f.known:
		return found{}
	case f.lists == 0:
		return found{known: true, path: f.path.With(shape.Each(), shape.Merge()), lists: 1}
	case f.lists == 1:
		return found{known: true, path: f.path.With(shape.Merge()), lists: 1}
	}
	f.lists--
	return f
}

func (r *reader) field(n jmespath.ASTNode, current found) found {
	name, ok := n.Value.(string)
	if !ok || !current.known {
		return found{}
	}
	if current.lists > 0 {
		// A field of a list that the expression made: nothing has it.
		return found{}
	}
	path := current.path.With(shape.Field(name))
	r.note(path)
	return found{known: true, path: path}
}

// equal notes that what was found is compared with a literal for being equal.
func (r *reader) equal(n jmespath.ASTNode, f found, other jmespath.ASTNode) {
	text, isText := other.Value.(string)
	if !f.known || f.lists > 0 || other.NodeType != jmespath.ASTLiteral || !isText || !comparesEqual(n) {
		return
	}
	r.compare(f, []string{text})
}

// comparesEqual says whether a comparator is == or !=.
func comparesEqual(n jmespath.ASTNode) bool {
	probe := func(text string) any {
		ast, err := parseJMESPath(text)
		if err != nil {
			return nil
		}
		return ast.Value
	}
	return n.Value == probe("a == b") || n.Value == probe("a != b")
}

// call follows functions that give what they are given.
func (r *reader) call(n jmespath.ASTNode, current found) found {
	name, _ := n.Value.(string)
	if name == "time_since" {
		r.dated = true
	}
	if pattern, isText := patternOf(n); isText && name == "regex_match" {
		r.patterns = append(r.patterns, pattern)
	}
	var arguments []found
	for _, child := range n.Children {
		if child.NodeType == jmespath.ASTExpRef {
			continue
		}
		if name == "not_null" {
			r.optional++
		}
		arguments = append(arguments, r.node(child, current))
		if name == "not_null" {
			r.optional--
		}
	}
	for i, child := range n.Children {
		if child.NodeType != jmespath.ASTExpRef || len(arguments) == 0 {
			continue
		}
		made := r.node(child.Children[0], arguments[0].element())
		if name == "map" && i == 0 && made.known {
			return listOf(made)
		}
	}
	switch name {
	case "sort", "sort_by", "reverse", "to_array":
		return first(arguments)
	case "max_by", "min_by":
		return first(arguments).element()
	}
	return found{}
}

// patternOf is the first argument of a call, where the policy writes it out.
func patternOf(n jmespath.ASTNode) (string, bool) {
	if len(n.Children) == 0 || n.Children[0].NodeType != jmespath.ASTLiteral {
		return "", false
	}
	text, isText := n.Children[0].Value.(string)
	return text, isText
}

func first(list []found) found {
	if len(list) == 0 {
		return found{}
	}
	return list[0]
}
