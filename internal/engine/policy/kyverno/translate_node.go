package kyverno

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kyverno/go-jmespath"
)

// translator writes JMESPath as CEL. Each list that is gone through has a
// variable of its own; what is looked up in its elements may not be there, and
// is asked for first: JMESPath leaves such elements out.
type translator struct {
	variables int
	// guards ask whether what was looked up in elements is there, in order.
	guards []string
	// lists ask whether what is gone through is a list, outside of elements.
	lists []string
}

// through has a value be a list, or not be gone through.
func (t *translator) through(value celValue) {
	text := "type(" + value.text + ") == list"
	switch {
	case value.list:
	case element.MatchString(value.text):
		t.guard(text)
	case !slices.Contains(t.lists, text):
		t.lists = append(t.lists, text)
	}
}

// guarding gives what f translates, and the guards that it needs.
func (t *translator) guarding(f func() (celValue, error)) (celValue, []string, error) {
	outer := t.guards
	t.guards = nil
	value, err := f()
	guards := t.guards
	t.guards = outer
	return value, guards, err
}

func (t *translator) variable() string {
	t.variables++
	if t.variables == 1 {
		return "x"
	}
	return "x" + strconv.Itoa(t.variables)
}

// celName is what stands after a dot in CEL.
var celName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// imageNames are Kyverno's names of what an EvidencePolicy calls otherwise.
var imageNames = map[string]string{"image.registry": "image.registry", "image.path": "image.repository", "image.tag": "image.tag", "image.digest": "image.digest"}

// requestNames are what both see of a request.
var requestNames = map[string]string{"request.namespace": "request.namespace", "request.name": "request.name", "request.operation": "request.operation"}

var errNode = errors.New("has no translation into CEL")

// node translates what a node makes of current.
func (t *translator) node(n jmespath.ASTNode, current celValue) (celValue, error) {
	switch n.NodeType {
	case jmespath.ASTCurrentNode, jmespath.ASTIdentity:
		return current, nil
	case jmespath.ASTField:
		return t.field(n, current)
	case jmespath.ASTLiteral:
		text, err := celLiteral(n.Value)
		_, list := n.Value.([]any)
		if written, ok := n.Value.(string); ok { // in JMESPath it means itself
			text, err = strconv.Quote(written), nil
		}
		return celValue{text: text, list: list}, err
	case jmespath.ASTSubexpression, jmespath.ASTPipe:
		left, err := t.node(n.Children[0], current)
		if err != nil {
			return celValue{}, err
		}
		return t.node(n.Children[1], left)
	case jmespath.ASTIndexExpression:
		return t.index(n, current)
	case jmespath.ASTProjection, jmespath.ASTFilterProjection:
		return t.projection(n, current)
	case jmespath.ASTFlatten:
		return t.flatten(n, current)
	case jmespath.ASTComparator, jmespath.ASTAndExpression, jmespath.ASTOrExpression, jmespath.ASTNotExpression:
		return t.logic(n, current)
	case jmespath.ASTFunctionExpression:
		return t.function(n, current)
	}
	return celValue{}, errNode
}

func (t *translator) field(n jmespath.ASTNode, current celValue) (celValue, error) {
	name, ok := n.Value.(string)
	if !ok || current.list {
		return celValue{}, errNode
	}
	if current.text == "predicate" && (name == "request" || name == "image") {
		return celValue{text: name}, nil
	}
	if strings.HasPrefix(current.text, "image") || strings.HasPrefix(current.text, "request") {
		for _, names := range []map[string]string{imageNames, requestNames} {
			if known, found := names[current.text+"."+name]; found {
				return celValue{text: known}, nil
			}
		}
		return celValue{}, fmt.Errorf("%s.%s %w", current.text, name, errNode)
	}
	inElement := element.MatchString(current.text)
	if celName.MatchString(name) {
		selected := current.text + "." + name
		if inElement {
			t.guard("has(" + selected + ")")
		}
		return celValue{text: selected}, nil
	}
	if inElement {
		t.guard(strconv.Quote(name) + " in " + current.text)
	}
	return celValue{text: current.text + "[" + strconv.Quote(name) + "]"}, nil
}

// element is a variable, and what is looked up in it.
var element = regexp.MustCompile(`^x[0-9]*(\.[A-Za-z_][A-Za-z0-9_]*|\["[^"]*"\])*$`)

func (t *translator) guard(text string) {
	if !slices.Contains(t.guards, text) {
		t.guards = append(t.guards, text)
	}
}

func (t *translator) index(n jmespath.ASTNode, current celValue) (celValue, error) {
	left, err := t.node(n.Children[0], current)
	if err != nil {
		return celValue{}, err
	}
	position, ok := n.Children[1].Value.(int)
	if n.Children[1].NodeType != jmespath.ASTIndex || !ok || position < 0 {
		return celValue{}, errNode
	}
	return celValue{text: fmt.Sprintf("%s[%d]", left.text, position)}, nil
}

// projection goes through a list; elements without the field that is asked for
// are left out, as in JMESPath.
func (t *translator) projection(n jmespath.ASTNode, current celValue) (celValue, error) {
	list, err := t.node(n.Children[0], current)
	if err != nil {
		return celValue{}, err
	}
	t.through(list)
	if n.NodeType == jmespath.ASTFilterProjection {
		variable := t.variable()
		condition, _, err := t.guarding(func() (celValue, error) { return t.node(n.Children[2], celValue{text: variable}) })
		if err != nil {
			return celValue{}, err
		}
		if !boolean(n.Children[2]) {
			return celValue{}, errNode
		}
		list = celValue{text: fmt.Sprintf("%s.filter(%s, %s)", list.text, variable, condition.text), list: true}
	}
	right := n.Children[1]
	if right.NodeType == jmespath.ASTIdentity || right.NodeType == jmespath.ASTCurrentNode {
		return celValue{text: list.text, list: true}, nil
	}
	variable := t.variable()
	value, guards, err := t.guarding(func() (celValue, error) { return t.node(right, celValue{text: variable}) })
	if err != nil {
		return celValue{}, err
	}
	text := list.text
	if len(guards) > 0 {
		text += fmt.Sprintf(".filter(%s, %s)", variable, strings.Join(guards, " && "))
	}
	return celValue{text: fmt.Sprintf("%s.map(%s, %s)", text, variable, value.text), list: true}, nil
}

// flatten: where lists are lists of lists, one level of them is taken away.
func (t *translator) flatten(n jmespath.ASTNode, current celValue) (celValue, error) {
	list, err := t.node(n.Children[0], current)
	if err != nil {
		return celValue{}, err
	}
	if list.list {
		list.text += ".flatten()"
	}
	t.through(list)
	return celValue{text: list.text, list: true}, nil
}

// logic guards each comparison by itself, so that an alternative that looks at
// something else is not lost with it. What is not equal is not guarded: an
// element without the field then ends the evaluation, and nothing is admitted.
func (t *translator) logic(n jmespath.ASTNode, current celValue) (celValue, error) {
	var parts []string
	var guards []string
	for _, child := range n.Children {
		part, needed, err := t.guarding(func() (celValue, error) { return t.node(child, current) })
		if err != nil {
			return celValue{}, err
		}
		parts, guards = append(parts, part.text), append(guards, needed...)
	}
	switch {
	case n.NodeType == jmespath.ASTAndExpression && boolean(n):
		return celValue{text: "(" + strings.Join(parts, " && ") + ")"}, nil
	case n.NodeType == jmespath.ASTOrExpression && boolean(n):
		return celValue{text: "(" + strings.Join(parts, " || ") + ")"}, nil
	case n.NodeType == jmespath.ASTNotExpression && boolean(n.Children[0]):
		return celValue{text: "!(" + parts[0] + ")"}, nil
	case n.NodeType == jmespath.ASTComparator:
		symbol, ok := symbols[fmt.Sprint(n.Value)]
		if !ok {
			return celValue{}, errNode
		}
		text := parts[0] + " " + symbol + " " + parts[1]
		if symbol != "!=" && len(guards) > 0 {
			text = "(" + strings.Join(guards, " && ") + " && " + text + ")"
		}
		return celValue{text: text}, nil
	}
	return celValue{}, errNode
}

// boolean says whether a node gives true or false: JMESPath's || and ! take
// other values too, and then mean something else.
func boolean(n jmespath.ASTNode) bool {
	switch n.NodeType {
	case jmespath.ASTComparator:
		return true
	case jmespath.ASTNotExpression:
		return boolean(n.Children[0])
	case jmespath.ASTAndExpression, jmespath.ASTOrExpression:
		return boolean(n.Children[0]) && boolean(n.Children[1])
	case jmespath.ASTFunctionExpression:
		return n.Value == "starts_with" || n.Value == "ends_with" || n.Value == "regex_match"
	}
	return false
}

// symbols are JMESPath's comparators by the names of its tokens.
var symbols = map[string]string{"tEQ": "==", "tNE": "!=", "tLT": "<", "tLTE": "<=", "tGT": ">", "tGTE": ">="}

func (t *translator) function(n jmespath.ASTNode, current celValue) (celValue, error) {
	name, _ := n.Value.(string)
	var arguments []celValue
	for _, child := range n.Children {
		argument, err := t.node(child, current)
		if err != nil {
			return celValue{}, err
		}
		arguments = append(arguments, argument)
	}
	switch {
	case name == "length" && len(arguments) == 1:
		return celValue{text: "size(" + arguments[0].text + ")", typed: "int"}, nil
	case name == "starts_with" && len(arguments) == 2:
		return celValue{text: arguments[0].text + ".startsWith(" + arguments[1].text + ")", typed: "bool"}, nil
	case name == "ends_with" && len(arguments) == 2:
		return celValue{text: arguments[0].text + ".endsWith(" + arguments[1].text + ")", typed: "bool"}, nil
	case name == "to_lower" && len(arguments) == 1:
		return celValue{text: arguments[0].text + ".lowerAscii()", typed: "string"}, nil
	case name == "to_upper" && len(arguments) == 1:
		return celValue{text: arguments[0].text + ".upperAscii()", typed: "string"}, nil
	case name == "regex_match" && len(arguments) == 2:
		return celValue{text: arguments[1].text + ".matches(" + arguments[0].text + ")", typed: "bool"}, nil
	}
	return celValue{}, fmt.Errorf("%s() %w", name, errNode)
}
