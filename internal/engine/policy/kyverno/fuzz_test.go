package kyverno

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// opposites are operators of which no two hold for the same key and value.
var opposites = [][2]string{
	{"Equals", "NotEquals"}, {"AnyIn", "AllNotIn"}, {"AllIn", "AnyNotIn"}, {"In", "NotIn"},
	{"GreaterThan", "LessThanOrEquals"}, {"LessThan", "GreaterThanOrEquals"}, {"GreaterThan", "LessThan"},
	{"DurationGreaterThan", "DurationLessThanOrEquals"}, {"DurationLessThan", "DurationGreaterThanOrEquals"},
}

// FuzzOperators holds operators to what is true of any two operands, written in
// the policy or found by an expression.
func FuzzOperators(f *testing.F) {
	for _, seed := range [][2]string{
		{`"1h"`, `3600`}, {`"1Gi"`, `"1024Mi"`}, {`5`, `"0x10"`}, {`"1.10.0-rc.1"`, `"1.9.0"`}, {`"alice"`, `"a*"`}, {`["*"]`, `["alice"]`},
		{`["5","7h"]`, `"1-10"`}, {`["-7"]`, `"-5-5"`}, {`"a"`, `"[\"a\",\"b*\"]"`}, {`[]`, `[]`}, {`[null,{"a":1}]`, `["x"]`}, {`1000000`, `["1e+06"]`},
		{`{"a":[1]}`, `{"a":[1]}`}, {`true`, `"true"`}, {`null`, `null`}, {`"1e999"`, `"1e-999"`}, {`["a"]`, `"a"`}, {`1e300`, `"1h"`},
	} {
		for _, found := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
			f.Add(seed[0], seed[1], found[0], found[1])
		}
	}
	f.Fuzz(func(t *testing.T, key, value string, keyFound, valueFound bool) {
		k, err := decode(json.RawMessage(key))
		v, err2 := decode(json.RawMessage(value))
		if err != nil || err2 != nil {
			return
		}
		env := &environment{root: map[string]any{"k": k, "v": v}, functions: caller(time.Unix(1_700_000_000, 0))}
		holds := func(operator string) bool {
			s := conditionSpec{Key: json.RawMessage(key), Operator: operator, Value: json.RawMessage(value)}
			if keyFound {
				s.Key = json.RawMessage(`"{{ k }}"`)
			}
			if valueFound {
				s.Value = json.RawMessage(`"{{ v }}"`)
			}
			c, err := parseCondition("c", s)
			if err != nil {
				return false
			}
			o := c.evaluate(env)
			return o.holds && o.broken == nil
		}
		for _, pair := range opposites {
			if holds(pair[0]) && holds(pair[1]) {
				t.Errorf("%s is both %s and %s %s", key, pair[0], pair[1], value)
			}
		}
		for _, pair := range [][2]string{{"AllIn", "AnyIn"}, {"GreaterThan", "GreaterThanOrEquals"}, {"LessThan", "LessThanOrEquals"}} {
			if holds(pair[0]) && !holds(pair[1]) {
				t.Errorf("%s is %s %s, and not %s", key, pair[0], value, pair[1])
			}
		}
		elements, isList := k.([]any)
		for name := range operators {
			if isList && len(elements) == 0 && strings.HasSuffix(name, "in") && holds(name) {
				t.Errorf("nothing is %s %s", name, value)
			}
		}
		if text, ok := k.(string); ok && keyFound && valueFound {
			list, _ := v.([]any)
			if in := holds("AnyIn"); list != nil && in != slices.Contains(list, any(text)) && !slices.ContainsFunc(list, notText) {
				t.Errorf("%s AnyIn %s, both found: %t", key, value, in)
			}
		}
	})
}

func notText(value any) bool {
	_, ok := value.(string)
	return !ok
}

// FuzzTemplate: any text is refused or evaluated, and what an expression finds
// stands in what comes out as it is, whatever it looks like.
func FuzzTemplate(f *testing.F) {
	for _, seed := range [][2]string{
		{"a", "{{ k }}"}, {`\{{ x }}`, "b"}, {"{{ k.{{ d }} }}", "a"}, {"{{- d }}", `\{{`}, {"{{ to_upper('{{ d }}') }}{", "'"}, {"x*", "*?"},
		{"{{ length(`{{ d }}`) }}", "`"}, {"{{ {a: {b: d}}.a.b }}", `"`}, {"{{ regex_match('^[a-z]{2}$', d) }}", "}}"}, {"{{ @ }}", "__bound_0_text__"},
		{"$(./../x)", "$(x)"}, {"{{ d", "{{"}, {"}}", "}}"}, {"{{ \"{{ d }}\" }}", `\`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, found string) {
		env := &environment{root: map[string]any{"d": found, "k": map[string]any{"a": 1.0}}, functions: caller(time.Unix(1_700_000_000, 0))}
		if parsed, err := parseTemplate(text); err == nil {
			if o, err := parsed.evaluate(env); err == nil {
				if _, err := compact(o.plain()); err != nil {
					t.Errorf("%q gives what is not JSON: %v", text, err)
				}
			}
		}
		if !utf8.ValidString(found) {
			return
		}
		around := func(braces string) {
			t.Helper()
			before, after := text, text
			if strings.ContainsAny(text, "{}$\\") || strings.Contains(text, bound) {
				before, after = "<", ">"
			}
			parsed, err := parseTemplate(before + braces + after)
			if err != nil {
				t.Fatal(err)
			}
			o, err := parsed.evaluate(env)
			if want := before + found + after; err != nil || o.value != want {
				t.Errorf("%s on %q: %v, %v, want %q", braces, found, o.value, err, want)
			}
			if o.value == before+found+after && !o.glob.match(before+found+after) {
				t.Errorf("%s on %q does not match itself", braces, found)
			}
		}
		around("{{ d }}")
		around("{{- d }}")
		around("{{ to_string('{{ d }}') }}")
		around("{{ [d, `1`][0] }}")
	})
}
