package kyverno

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/kyverno/go-jmespath"
)

// bind puts the results of nested braces into a copy of the tree, as data.
func bind(node jmespath.ASTNode, results []any) (jmespath.ASTNode, error) {
	switch node.NodeType {
	case jmespath.ASTLiteral, jmespath.ASTField:
		value, err := bindValue(node.Value, results)
		if err != nil {
			return node, err
		}
		node.Value = value
	}
	children := make([]jmespath.ASTNode, len(node.Children))
	for i, child := range node.Children {
		copied, err := bind(child, results)
		if err != nil {
			return node, err
		}
		children[i] = copied
	}
	node.Children = children
	return node, nil
}

func bindValue(value any, results []any) (any, error) {
	switch typed := value.(type) {
	case string:
		if !strings.Contains(typed, bound) {
			return typed, nil
		}
		for i, result := range results {
			if typed == boundValue(i) {
				return result, nil
			}
		}
		return bindText(typed, results)
	case []any:
		list := make([]any, len(typed))
		for i, element := range typed {
			copied, err := bindValue(element, results)
			if err != nil {
				return nil, err
			}
			list[i] = copied
		}
		return list, nil
	case map[string]any:
		object := make(map[string]any, len(typed))
		for key, element := range typed {
			if strings.Contains(key, bound) {
				return nil, errors.New("a key of a literal object must be written in the policy")
			}
			copied, err := bindValue(element, results)
			if err != nil {
				return nil, err
			}
			object[key] = copied
		}
		return object, nil
	}
	return value, nil
}

// bindText fills names in once, from left to right, so that data which looks
// like such a name stays data.
func bindText(text string, results []any) (string, error) {
	pairs := make([]string, 0, 4*len(results))
	for i, result := range results {
		if !strings.Contains(text, boundText(i)) {
			continue
		}
		written, err := spell(result)
		if err != nil {
			return "", err
		}
		pairs = append(pairs, boundText(i), written)
	}
	return strings.NewReplacer(pairs...).Replace(text), nil
}

// spell writes a value inside a text: a string as it is, anything else as
// JSON, with "<" as Kyverno escapes it. Null has no spelling.
func spell(value any) (string, error) {
	switch typed := value.(type) {
	case nil:
		return "", errors.New("nothing was found, and nothing cannot stand inside a text")
	case string:
		return typed, nil
	}
	encoded, err := json.Marshal(value)
	return string(encoded), err
}
