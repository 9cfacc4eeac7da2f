package kyverno

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tree is a value of the policy with templates in it.
type tree struct {
	template *template
	list     []tree
	object   []member
	plain    any
	kind     treeKind
}

// member is a field of an object; expressions may stand in its name too.
type member struct {
	name  *template
	value tree
}

type treeKind uint8

const (
	isPlain treeKind = iota
	isTemplate
	isList
	isObject
)

func parseTree(value any) (tree, error) {
	switch typed := value.(type) {
	case string:
		t, err := parseTemplate(typed)
		return tree{kind: isTemplate, template: t}, err
	case []any:
		result := tree{kind: isList}
		for _, element := range typed {
			child, err := parseTree(element)
			if err != nil {
				return tree{}, err
			}
			result.list = append(result.list, child)
		}
		return result, nil
	case map[string]any:
		result := tree{kind: isObject}
		for _, key := range slices.Sorted(maps.Keys(typed)) {
			name, err := parseTemplate(key)
			if err != nil {
				return tree{}, err
			}
			child, err := parseTree(typed[key])
			if err != nil {
				return tree{}, err
			}
			result.object = append(result.object, member{name, child})
		}
		return result, nil
	}
	return tree{plain: value}, nil
}

func (t tree) evaluate(env *environment) (operand, error) {
	switch t.kind {
	case isTemplate:
		return t.template.evaluate(env)
	case isList:
		result := operand{isList: true, written: true}
		for _, child := range t.list {
			element, err := child.evaluate(env)
			if err != nil {
				return operand{}, err
			}
			result.list = append(result.list, element)
		}
		return result, nil
	case isObject:
		object := make(map[string]any, len(t.object))
		for _, m := range t.object {
			name, err := m.name.text(env)
			if err != nil {
				return operand{}, err
			}
			element, err := m.value.evaluate(env)
			if err != nil {
				return operand{}, err
			}
			if _, twice := object[name]; twice {
				return operand{}, fmt.Errorf("two fields of an object have the name %q", name)
			}
			object[name] = element.plain()
		}
		return operand{value: object}, nil
	}
	return operand{value: t.plain}, nil
}

// condition is one key, operator and value.
type condition struct {
	name     string
	key      tree
	keyText  string
	operator operator
	opText   string
	value    tree
	message  *template
}

func parseCondition(name string, s conditionSpec) (condition, error) {
	c := condition{name: name, opText: s.Operator}
	if len(s.Key) == 0 || len(s.Value) == 0 {
		return c, errors.New("a condition needs key, operator and value")
	}
	key, err := decode(s.Key)
	if err == nil {
		c.key, err = parseTree(key)
	}
	if err != nil {
		return c, fmt.Errorf("key: %w", err)
	}
	c.keyText = scalarOrJSON(key)
	value, err := decode(s.Value)
	if err == nil {
		c.value, err = parseTree(value)
	}
	if err != nil {
		return c, fmt.Errorf("value: %w", err)
	}
	if c.operator, err = findOperator(s.Operator); err != nil {
		return c, err
	}
	if written, ok := value.(string); ok && notRange.MatchString(written) && strings.HasSuffix(strings.ToLower(s.Operator), "in") {
		return c, fmt.Errorf("value: Kyverno's operators read the range %q as a text; use AnyNotIn or AllNotIn with %q", written, strings.Replace(written, "!-", "-", 1))
	}
	if s.Message != "" {
		if c.message, err = parseTemplate(s.Message); err != nil {
			return c, fmt.Errorf("message: %w", err)
		}
	}
	return c, nil
}

func decode(raw json.RawMessage) (any, error) {
	var value any
	err := json.Unmarshal(raw, &value)
	return value, err
}

func scalarOrJSON(value any) string {
	if written, ok := value.(string); ok {
		return written
	}
	return brief(value)
}

// outcome is how one condition ended.
type outcome struct {
	condition condition
	holds     bool
	// found is what the key gave, expected the operator and the value.
	found, expected string
	message         string
	// broken is an expression that does not evaluate, doubt why two things
	// cannot be compared: the condition then does not hold, nor does its
	// opposite.
	broken, doubt error
}

func (c condition) evaluate(env *environment) outcome {
	o := outcome{condition: c, expected: shorten(c.keyText, briefBytes) + " " + c.opText}
	value, err := c.value.evaluate(env)
	if err != nil {
		o.broken = err
		return o
	}
	o.expected += " " + brief(value.plain())
	key, err := c.key.evaluate(env)
	if err != nil {
		o.broken = err
		return o
	}
	o.found = brief(key.plain())
	o.holds, err = c.operator(key, value)
	if err != nil {
		o.found += ": " + err.Error()
		o.doubt = err
	}
	if !o.holds {
		o.message = c.say(env)
	}
	return o
}

// messageBytes is how much of an author's message an answer carries.
const messageBytes = 4096

// say is the author's message. A message that does not evaluate never hides
// why the condition failed.
func (c condition) say(env *environment) string {
	if c.message == nil {
		return ""
	}
	said, err := c.message.evaluate(env)
	if err != nil {
		return shorten(c.message.source, messageBytes)
	}
	return shorten(scalarOrJSON(said.plain()), messageBytes)
}

// block is one element of conditions: any and all are both asked where both
// stand. A list that stands there empty does not hold.
type block struct {
	any, all       []condition
	hasAny, hasAll bool
}

// evaluate gives the outcomes of the conditions, and whether the block holds.
func (b block) evaluate(env *environment) (outcomes []outcome, holds bool) {
	holds = true
	if b.hasAll {
		for _, c := range b.all {
			o := c.evaluate(env)
			outcomes = append(outcomes, o)
			holds = holds && o.holds && o.broken == nil
		}
		holds = holds && len(b.all) > 0
	}
	if b.hasAny {
		one := false
		for _, c := range b.any {
			o := c.evaluate(env)
			outcomes = append(outcomes, o)
			one = one || o.holds
			holds = holds && o.broken == nil
		}
		holds = holds && one
	}
	return outcomes, holds
}
