package kyverno

import (
	"encoding/base64"
	"fmt"
	"path"
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

// functions are those of Kyverno's additions that are supported, each with
// Kyverno's argument types (pkg/engine/jmespath/functions.go of Kyverno 1.19).
// They replace functions of JMESPath that have the same name.
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

	"time_now":      {call: func(now time.Time, _ []any) (any, error) { return now.Format(time.RFC3339), nil }},
	"time_now_utc":  {call: func(now time.Time, _ []any) (any, error) { return now.UTC().Format(time.RFC3339), nil }},
	"time_since":    {arguments: takes(text, text, text), call: timeSince},
	"time_add":      {arguments: takes(text, text), call: onText(func(s []string) (string, error) { return shift(s, time.Time.Add) })},
	"time_truncate": {arguments: takes(text, text), call: onText(func(s []string) (string, error) { return shift(s, time.Time.Truncate) })},
	"time_parse":    {arguments: takes(text, text), call: onText(timeParse)},
	"time_utc":      {arguments: takes(text), call: onTimes(func(t []time.Time) string { return t[0].UTC().Format(time.RFC3339) })},
	"time_diff":     {arguments: takes(text, text), call: onTimes(func(t []time.Time) string { return t[1].Sub(t[0]).String() })},
	"time_before":   {arguments: takes(text, text), call: onTimes(func(t []time.Time) bool { return t[0].Before(t[1]) })},
	"time_after":    {arguments: takes(text, text), call: onTimes(func(t []time.Time) bool { return t[0].After(t[1]) })},
	"time_between":  {arguments: takes(text, text, text), call: onTimes(func(t []time.Time) bool { return t[0].After(t[1]) && t[0].Before(t[2]) })},
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
	"random":          "a verdict must be the same each time",
	"is_external_url": "it asks the network",
	"x509_decode":     "certificates are not read yet",
	"image_normalize": "it depends on the configuration of a cluster",
	"time_to_cron":    "no condition compares schedules",
}

// checkCall holds a call in a policy to what the functions take.
func checkCall(name string, arguments []jmespath.ASTNode) error {
	if f, ok := functions[name]; ok {
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

// caller gives the interpreter its functions, with the door's clock.
func caller(now time.Time) *jmespath.FunctionCaller {
	c := jmespath.NewFunctionCaller()
	for name, f := range functions {
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
	return c
}
