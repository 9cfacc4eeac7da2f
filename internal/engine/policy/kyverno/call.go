package kyverno

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

func split(s []string) ([]any, error) {
	if n := strings.Count(s[0], s[1]); n > limit.YAMLNodes {
		return nil, &limit.Error{What: "the list that split() makes", Bound: limit.YAMLNodes, Unit: "elements"}
	}
	parts := strings.Split(s[0], s[1])
	list := make([]any, len(parts))
	for i, part := range parts {
		list[i] = part
	}
	return list, nil
}

func replace(arguments []any) (any, error) {
	count := arguments[3].(float64)
	if math.Abs(count) > math.MaxInt32 {
		return nil, errRange
	}
	return replaceText(arguments[0].(string), arguments[1].(string), arguments[2].(string), int(count))
}

// replaceText bounds what comes out: a long text in a predicate times a long
// replacement would be of any size.
func replaceText(s, old, replacement string, count int) (string, error) {
	found := strings.Count(s, old)
	if count >= 0 {
		found = min(found, count)
	}
	if len(s)+found*len(replacement) > limit.Evidence {
		return "", &limit.Error{What: "the text that replace() makes", Bound: limit.Evidence, Unit: "bytes"}
	}
	return strings.Replace(s, old, replacement, count), nil
}

func truncate(arguments []any) (any, error) {
	s, length := arguments[0].(string), arguments[1].(float64)
	runes := []rune(s)
	if length >= float64(len(runes)) {
		return s, nil
	}
	return string(runes[:int(max(length, 0))]), nil
}

func toBoolean(s []string) (bool, error) {
	switch strings.ToLower(s[0]) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%s is neither true nor false", brief(s[0]))
}

func checkRegexp(text string) error {
	_, err := regexp.Compile(text)
	return err
}

// spelled is a string or a bool, or a number as Kyverno spells it.
func spelled(value any) string {
	if number, ok := value.(float64); ok {
		return strconv.FormatFloat(number, 'f', -1, 32)
	}
	s, _ := scalarText(value)
	return s
}

func regexMatch(arguments []any) (any, error) {
	expression, err := regexp.Compile(arguments[0].(string))
	if err != nil {
		return nil, err
	}
	return expression.MatchString(spelled(arguments[1])), nil
}

func regexReplace(asIs bool) func([]any) (any, error) {
	return func(arguments []any) (any, error) {
		expression, err := regexp.Compile(arguments[0].(string))
		if err != nil {
			return nil, err
		}
		s, replacement := spelled(arguments[1]), spelled(arguments[2])
		// A replacement may name the match ($0) for each of its bytes.
		found := len(expression.FindAllStringIndex(s, -1))
		if len(s)+found*len(replacement) > limit.Evidence || !asIs && len(replacement)*len(s) > limit.Evidence {
			return nil, &limit.Error{What: "the text that it makes", Bound: limit.Evidence, Unit: "bytes"}
		}
		if asIs {
			return expression.ReplaceAllLiteralString(s, replacement), nil
		}
		return expression.ReplaceAllString(s, replacement), nil
	}
}

func patternMatch(arguments []any) (any, error) {
	s := spelled(arguments[1])
	if len(s) > limit.WildcardText {
		return nil, &limit.Error{What: "the text", Bound: limit.WildcardText, Unit: "bytes"}
	}
	return pattern(arguments[0].(string)).match(s), nil
}

func labelMatch(arguments []any) (any, error) {
	wanted, found := arguments[0].(map[string]any), arguments[1].(map[string]any)
	for key, value := range wanted {
		other, ok := found[key]
		if !ok || !same(value, other) {
			return false, nil
		}
	}
	return true, nil
}

func semverCompare(s []string) (bool, error) {
	version, ok := parseVersion(s[0])
	if !ok {
		return false, fmt.Errorf("%s is no semantic version", brief(s[0]))
	}
	versions, err := parseRange(s[1])
	if err != nil {
		return false, err
	}
	return versions(version), nil
}

// digest spells a hash of a text.
func digest(sum func([]byte) []byte) func([]string) (string, error) {
	return func(s []string) (string, error) { return hex.EncodeToString(sum([]byte(s[0]))), nil }
}

func decodeBase64(s []string) (string, error) {
	decoded, err := base64.StdEncoding.DecodeString(s[0])
	return string(decoded), err
}

func lookup(arguments []any) (any, error) {
	if from, ok := arguments[0].(map[string]any); ok {
		key, ok := arguments[1].(string)
		if !ok {
			return nil, errors.New("the key of an object is a string")
		}
		return from[key], nil
	}
	list, _ := arguments[0].([]any)
	number, _ := arguments[1].(float64)
	index, ok := wholePart(number)
	if _, isNumber := arguments[1].(float64); !ok || !isNumber {
		return nil, errors.New("the index of a list is a whole number")
	}
	if index < 0 || index >= int64(len(list)) {
		return nil, nil
	}
	return list[index], nil
}

// keys and values replace JMESPath's, whose order differs from call to call.
func keys(arguments []any) (any, error) {
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(arguments[0].(map[string]any))) {
		list = append(list, name)
	}
	return list, nil
}

func values(arguments []any) (any, error) {
	from, list := arguments[0].(map[string]any), []any{}
	for _, name := range slices.Sorted(maps.Keys(from)) {
		list = append(list, from[name])
	}
	return list, nil
}

func items(arguments []any) (any, error) {
	key, value := arguments[1].(string), arguments[2].(string)
	var result []any
	if from, ok := arguments[0].(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(from)) {
			result = append(result, map[string]any{key: name, value: from[name]})
		}
	}
	list, _ := arguments[0].([]any)
	for i, element := range list {
		result = append(result, map[string]any{key: float64(i), value: element})
	}
	if result == nil {
		result = []any{}
	}
	return result, nil
}

func objectFromLists(arguments []any) (any, error) {
	keys, _ := arguments[0].([]any)
	values, _ := arguments[1].([]any)
	result := make(map[string]any, len(keys))
	for i, key := range keys {
		if _, ok := scalarText(key); !ok {
			return nil, fmt.Errorf("%s cannot be a key", brief(key))
		}
		name := spelled(key)
		if result[name] = nil; i < len(values) {
			result[name] = values[i]
		}
	}
	return result, nil
}
