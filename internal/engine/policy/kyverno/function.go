package kyverno

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kyverno/go-jmespath"
)

// Kinds of arguments.
const (
	text   = jmespath.JpString
	num    = jmespath.JpNumber
	array  = jmespath.JpArray
	object = jmespath.JpObject
	any_   = jmespath.JpAny
)

// function is one of Kyverno's additions to JMESPath.
type function struct {
	arguments [][]jmespath.JpType
	call      func(now time.Time, arguments []any) (any, error)
	// pattern is 1 plus the index of an argument that must be written in the
	// policy and is checked at load; 0 for none.
	pattern int
	check   func(string) error
}

func takes(kinds ...jmespath.JpType) [][]jmespath.JpType {
	list := make([][]jmespath.JpType, 0, len(kinds))
	for _, kind := range kinds {
		list = append(list, []jmespath.JpType{kind})
	}
	return list
}

// pure makes a call of a function that needs no clock.
func pure(f func([]any) (any, error)) func(time.Time, []any) (any, error) {
	return func(_ time.Time, arguments []any) (any, error) { return f(arguments) }
}

// onText makes a call of a function on strings.
func onText[T any](f func(s []string) (T, error)) func(time.Time, []any) (any, error) {
	return func(_ time.Time, arguments []any) (any, error) {
		strings := make([]string, len(arguments))
		for i, argument := range arguments {
			strings[i], _ = argument.(string)
		}
		return f(strings)
	}
}

// onTimes makes a call of a function on RFC 3339 times.
func onTimes[T any](f func(t []time.Time) T) func(time.Time, []any) (any, error) {
	return func(_ time.Time, arguments []any) (any, error) {
		times := make([]time.Time, len(arguments))
		for i, argument := range arguments {
			t, err := parseTime("", argument.(string))
			if err != nil {
				return nil, err
			}
			times[i] = t
		}
		return f(times), nil
	}
}

// functions are Kyverno's additions, except those of [clockFunctions] and what
// is refused, each with Kyverno's argument types
// (pkg/engine/jmespath/functions.go of Kyverno 1.19.1). They replace functions
// of JMESPath that have the same name.
var functions = map[string]function{
	"compare":     {arguments: takes(text, text), call: onText(func(s []string) (float64, error) { return float64(strings.Compare(s[0], s[1])), nil })},
	"equal_fold":  {arguments: takes(text, text), call: onText(func(s []string) (bool, error) { return strings.EqualFold(s[0], s[1]), nil })},
	"to_upper":    {arguments: takes(text), call: onText(func(s []string) (string, error) { return strings.ToUpper(s[0]), nil })},
	"to_lower":    {arguments: takes(text), call: onText(func(s []string) (string, error) { return strings.ToLower(s[0]), nil })},
	"trim":        {arguments: takes(text, text), call: onText(func(s []string) (string, error) { return strings.Trim(s[0], s[1]), nil })},
	"trim_prefix": {arguments: takes(text, text), call: onText(func(s []string) (string, error) { return strings.TrimPrefix(s[0], s[1]), nil })},
	"split":       {arguments: takes(text, text), call: onText(split)},
	"replace":     {arguments: takes(text, text, text, num), call: pure(replace)},
	"replace_all": {arguments: takes(text, text, text), call: onText(func(s []string) (string, error) { return replaceText(s[0], s[1], s[2], -1) })},
	"truncate":    {arguments: takes(text, num), call: pure(truncate)},
	"to_boolean":  {arguments: takes(text), call: onText(toBoolean)},

	"regex_match":               {arguments: [][]jmespath.JpType{{text}, {text, num}}, call: pure(regexMatch), pattern: 1, check: checkRegexp},
	"regex_replace_all":         {arguments: [][]jmespath.JpType{{text}, {text, num}, {text, num}}, call: pure(regexReplace(false)), pattern: 1, check: checkRegexp},
	"regex_replace_all_literal": {arguments: [][]jmespath.JpType{{text}, {text, num}, {text, num}}, call: pure(regexReplace(true)), pattern: 1, check: checkRegexp},
	"pattern_match":             {arguments: [][]jmespath.JpType{{text}, {text, num}}, call: pure(patternMatch), pattern: 1, check: func(string) error { return nil }},
	"label_match":               {arguments: takes(object, object), call: pure(labelMatch)},
	"semver_compare": {arguments: takes(text, text), call: onText(semverCompare), pattern: 2,
		check: func(s string) error { _, err := parseRange(s); return err }},

	"add":      {arguments: takes(any_, any_), call: pure(arithmetic(add))},
	"subtract": {arguments: takes(any_, any_), call: pure(arithmetic(subtract))},
	"multiply": {arguments: takes(any_, any_), call: pure(arithmetic(multiply))},
	"divide":   {arguments: takes(any_, any_), call: pure(arithmetic(divide))},
	"modulo":   {arguments: takes(any_, any_), call: pure(arithmetic(modulo))},
	"sum":      {arguments: takes(array), call: pure(sum)},
	"round":    {arguments: takes(num, num), call: pure(round)},

	"base64_encode":     {arguments: takes(text), call: onText(func(s []string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s[0])), nil })},
	"base64_decode":     {arguments: takes(text), call: onText(decodeBase64)},
	"parse_json":        {arguments: takes(text), call: onText(parseJSON)},
	"parse_yaml":        {arguments: takes(text), call: onText(parseYAML)},
	"path_canonicalize": {arguments: takes(text), call: onText(func(s []string) (string, error) { return path.Join(s[0]), nil })},
	"lookup":            {arguments: [][]jmespath.JpType{{object, array}, {text, num}}, call: pure(lookup)},
	"keys":              {arguments: takes(object), call: pure(keys)},
	"values":            {arguments: takes(object), call: pure(values)},
	"items":             {arguments: [][]jmespath.JpType{{object, array}, {text}, {text}}, call: pure(items)},
	"object_from_lists": {arguments: takes(array, array), call: pure(objectFromLists)},

	"sha256":          {arguments: takes(text), call: onText(digest(func(b []byte) []byte { sum := sha256.Sum256(b); return sum[:] }))},
	"sha1":            {arguments: takes(text), call: onText(digest(func(b []byte) []byte { sum := sha1.Sum(b); return sum[:] }))},
	"md5":             {arguments: takes(text), call: onText(digest(func(b []byte) []byte { sum := md5.Sum(b); return sum[:] }))},
	"x509_decode":     {arguments: takes(text), call: onText(decodeX509)},
	"image_normalize": {arguments: takes(text), call: onText(normalizeImage)},
	"is_external_url": {arguments: takes(text), call: onText(externalURL)},
}

// builtin are the functions of JMESPath itself and how many arguments each
// takes at least and at most; -1 is any number.
var builtin = map[string][2]int{
	"abs": {1, 1}, "avg": {1, 1}, "ceil": {1, 1}, "contains": {2, 2}, "ends_with": {2, 2}, "floor": {1, 1}, "join": {2, 2},
	"length": {1, 1}, "map": {2, 2}, "max": {1, 1}, "max_by": {2, 2}, "merge": {1, -1}, "min": {1, 1},
	"min_by": {2, 2}, "not_null": {1, -1}, "reverse": {1, 1}, "sort": {1, 1}, "sort_by": {2, 2}, "starts_with": {2, 2},
	"to_array": {1, 1}, "to_number": {1, 1}, "to_string": {1, 1}, "type": {1, 1},
}

// refused are functions of Kyverno that are not supported, with the reason.
var refused = map[string]string{
	"random": "a verdict must be the same each time",
}

func find(name string) (function, bool) {
	if f, ok := functions[name]; ok {
		return f, true
	}
	f, ok := clockFunctions[name]
	return f, ok
}

// checkCall holds a call in a policy to what the functions take.
func checkCall(name string, arguments []jmespath.ASTNode) error {
	if f, ok := find(name); ok {
		if len(arguments) != len(f.arguments) {
			return fmt.Errorf("%s() takes %d arguments, found %d", name, len(f.arguments), len(arguments))
		}
		if f.pattern == 0 {
			return nil
		}
		written, ok := arguments[f.pattern-1].Value.(string)
		if !ok || arguments[f.pattern-1].NodeType != jmespath.ASTLiteral || strings.Contains(written, bound) {
			return fmt.Errorf("%s(): argument %d is a pattern, and a pattern must be written in the policy as text, not computed from data", name, f.pattern)
		}
		if err := f.check(written); err != nil {
			return fmt.Errorf("%s(): %w", name, err)
		}
		return nil
	}
	if takes, ok := builtin[name]; ok {
		if len(arguments) < takes[0] || takes[1] >= 0 && len(arguments) > takes[1] {
			return fmt.Errorf("%s() takes %d arguments, found %d", name, takes[0], len(arguments))
		}
		return nil
	}
	if why, ok := refused[name]; ok {
		return fmt.Errorf("%s() is not supported: %s", name, why)
	}
	return fmt.Errorf("%s() is not supported", name)
}

// copyFunction copies a list. No policy can call it: the name is none.
const copyFunction = "copy of"

func copyList(_ time.Time, arguments []any) (any, error) {
	if list, ok := arguments[0].([]any); ok {
		return slices.Clone(list), nil
	}
	return arguments[0], nil
}

// caller gives the interpreter its functions, with the door's clock.
func caller(now time.Time) *jmespath.FunctionCaller {
	c := jmespath.NewFunctionCaller()
	for _, table := range []map[string]function{functions, clockFunctions} {
		for name, f := range table {
			register(c, name, f, now)
		}
	}
	register(c, copyFunction, function{arguments: takes(any_), call: copyList}, now)
	return c
}

func register(c *jmespath.FunctionCaller, name string, f function, now time.Time) {
	entry := jmespath.FunctionEntry{Name: name, Handler: func(arguments []any) (any, error) {
		value, err := f.call(now, arguments)
		if err != nil {
			return nil, fmt.Errorf("%s(): %w", name, err)
		}
		return value, nil
	}}
	for _, kinds := range f.arguments {
		entry.Arguments = append(entry.Arguments, jmespath.ArgSpec{Types: kinds})
	}
	c.Register(entry)
}
