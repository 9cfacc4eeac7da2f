package kyverno_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-161fc314/assay/internal/engine/policy"
)

const conditionPolicy = `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences: ["*"]
      attestations:
      - type: https://example.com/t
        attestors:
        - entries:
          - keys:
              rekor: {ignoreTlog: true}
              publicKeys: |-
                @KEY@
        conditions: %s
`

// conditions loads a policy with the conditions, and judges a predicate.
func conditions(t testing.TB, s signer, conditions, predicate string) (policy.Policy, policy.Input) {
	t.Helper()
	p := mustLoad(t, withKey(fmt.Sprintf(conditionPolicy, conditions), s.pem))
	in := input(s.attest(t, "https://example.com/t", predicate))
	in.Request = policy.Request{Known: true, Kind: "Pod", Namespace: "prod", Name: "web"}
	return p, in
}

// TestProbes holds cases in which Kyverno 1.19.1 was seen to admit what its
// policy did not mean, and those around them, to what they must give here.
func TestProbes(t *testing.T) {
	ci := newSigner(t)
	one := func(key, operator, value string) string {
		return fmt.Sprintf(`[{all: [{key: %s, operator: %s, value: %s}]}]`, key, operator, value)
	}
	const old = `"2026-01-01T00:00:00Z"`
	for name, c := range map[string]struct {
		conditions, predicate string
		allow                 bool
		want                  string
	}{
		"wildcard in the data, AnyIn":          {one(`"{{ reviewers }}"`, "AnyIn", "[alice]"), `{"reviewers":["*"]}`, false, ""},
		"wildcard in the data, AllIn":          {one(`"{{ reviewers }}"`, "AllIn", "[alice]"), `{"reviewers":["*"]}`, false, ""},
		"reviewer in the data":                 {one(`"{{ reviewers }}"`, "AllIn", "[alice, bob]"), `{"reviewers":["alice"]}`, true, ""},
		"wildcard in the policy":               {one(`"{{ reviewers }}"`, "AllIn", `["al*"]`), `{"reviewers":["alice"]}`, true, ""},
		"template in the data":                 {one(`"{{ env }}"`, "Equals", "prod"), `{"env":"{{ request.namespace }}"}`, false, "{{ request.namespace }}"},
		"template in the policy":               {one(`"{{ request.namespace }}"`, "Equals", "prod"), `{}`, true, ""},
		"predicate hides request":              {one(`"{{ request.namespace }}"`, "Equals", "dev"), `{"request":{"namespace":"dev"}}`, false, `Found:"prod"`},
		"predicate hides image":                {one(`"{{ image.registry }}"`, "Equals", "trusted.example.com"), `{"image":{"registry":"trusted.example.com"}}`, false, "registry.example.com"},
		"image":                                {one(`"{{ image.registry }}"`, "Equals", "registry.example.com"), `{"image":{"registry":"trusted.example.com"}}`, true, ""},
		"quotes in nested data":                {one(`"{{ time_since('', '{{ metadata.t }}', '') }}"`, "LessThanOrEquals", "24h"), `{"metadata":{"t":"2026-01-01T00:00:00Z','2026-01-01T00:00:00Z') || time_since('','2026-03-01T11:00:00Z"}}`, false, "is no time"},
		"old time":                             {one(`"{{ time_since('', '{{ metadata.t }}', '') }}"`, "LessThanOrEquals", "24h"), `{"metadata":{"t":` + old + `}}`, false, "1428h0m0s"},
		"young time":                           {one(`"{{ time_since('', '{{ metadata.t }}', '') }}"`, "LessThanOrEquals", "24h"), `{"metadata":{"t":"2026-03-01T11:00:00Z"}}`, true, ""},
		"missing key":                          {one(`"{{ a.nope }}"`, "NotEquals", "x"), `{"a":{}}`, false, `{{ a.nope }}: Unknown key "nope" in path`},
		"missing key with a default":           {one(`"{{ a.nope || 'none' }}"`, "Equals", "none"), `{"a":{}}`, true, ""},
		"missing key in the value":             {one("x", "NotEquals", `"{{ nope }}"`), `{}`, false, "nope"},
		"predicate. before the field":          {one(`"{{ predicate.critical }}"`, "Equals", "0"), `{"critical":0}`, false, `leave out "predicate."`},
		"null is not unequal":                  {one(`"{{ a }}"`, "NotEquals", "y"), `{"a":null}`, false, ""},
		"AllIn of nothing":                     {one(`"{{ licences }}"`, "AllIn", "[MIT]"), `{"licences":[]}`, false, "an empty list proves nothing"},
		"AllNotIn of nothing":                  {one(`"{{ licences }}"`, "AllNotIn", "[GPL]"), `{"licences":[]}`, false, "an empty list proves nothing"},
		"AllNotIn":                             {one(`"{{ licences }}"`, "AllNotIn", "[GPL]"), `{"licences":["MIT"]}`, true, ""},
		"AllNotIn, one is in":                  {one(`"{{ licences }}"`, "AllNotIn", "[GPL]"), `{"licences":["MIT","GPL"]}`, false, ""},
		"AnyIn of nothing":                     {one(`"{{ licences }}"`, "AnyIn", "[MIT]"), `{"licences":[]}`, false, ""},
		"text is no number":                    {one(`"{{ n }}"`, "Equals", "0"), `{"n":"0"}`, false, ""},
		"versions":                             {one(`"{{ v }}"`, "GreaterThan", `"1.9.0"`), `{"v":"1.10.0"}`, true, ""},
		"any: []":                              {`[{any: []}]`, `{}`, false, "never holds"},
		"all: []":                              {`[{all: []}]`, `{}`, false, "never holds"},
		"no conditions":                        {`[]`, `{}`, true, ""},
		"any, one holds":                       {`[{any: [{key: "{{ a }}", operator: Equals, value: 1}, {key: "{{ a }}", operator: Equals, value: 2}]}]`, `{"a":2}`, true, ""},
		"any, none holds":                      {`[{any: [{key: "{{ a }}", operator: Equals, value: 1}, {key: "{{ a }}", operator: Equals, value: 2}]}]`, `{"a":3}`, false, "one of several"},
		"any, one holds, one broken":           {`[{any: [{key: "{{ a }}", operator: Equals, value: 1}, {key: "{{ b }}", operator: Equals, value: 2}]}]`, `{"a":1}`, false, "Unknown key"},
		"any and all are both asked":           {`[{any: [{key: 1, operator: Equals, value: 1}], all: [{key: 1, operator: Equals, value: 2}]}]`, `{}`, false, "all[0]"},
		"blocks are all asked":                 {`[{all: [{key: 1, operator: Equals, value: 1}]}, {all: [{key: 1, operator: Equals, value: 2}]}]`, `{}`, false, "conditions[1]"},
		"message with an expression":           {`[{all: [{key: "{{ a }}", operator: Equals, value: 1, message: "a is {{ a }} in {{ image.tag }}"}]}]`, `{"a":"<2>"}`, false, "a is <2> in v1"},
		"template in the data, in a message":   {`[{all: [{key: "{{ a }}", operator: Equals, value: 1, message: "a is {{ a }}"}]}]`, `{"a":"{{ image.tag }}"}`, false, "a is {{ image.tag }}"},
		"message that does not evaluate":       {`[{all: [{key: 1, operator: Equals, value: 2, message: "a is {{ nope }}"}]}]`, `{}`, false, "a is {{ nope }}"},
		"range in the policy":                  {one(`"{{ n }}"`, "AnyIn", `"1-10"`), `{"n":7}`, true, ""},
		"out of the range":                     {one(`"{{ n }}"`, "AnyIn", `"1-10"`), `{"n":11}`, false, ""},
		"pattern in the key, and a range":      {one(`["*"]`, "AnyIn", `"1-10"`), `{}`, false, ""},
		"list of a number, and its text":       {one(`"{{ a }}"`, "AllIn", `"1"`), `{"a":[1]}`, true, ""},
		"text of seconds, and a duration":      {one(`"{{ a }}"`, "GreaterThan", "5s"), `{"a":"7"}`, true, ""},
		"sorting changes nothing":              {`[{all: [{key: "{{ sort_by(l, &k)[0].k }}", operator: Equals, value: 1}, {key: "{{ l[0].k }}", operator: Equals, value: 2}]}]`, `{"l":[{"k":2},{"k":1}]}`, true, ""},
		"range in the data":                    {one("5", "AnyIn", `"{{ r }}"`), `{"r":"1-10"}`, false, ""},
		"JSON list in the policy":              {one(`"{{ n }}"`, "AnyIn", `'["a","b"]'`), `{"n":"b"}`, true, ""},
		"JSON list in the data":                {one("a", "AnyIn", `"{{ l }}"`), `{"l":"[\"a\"]"}`, true, ""},
		"JSON list of wildcards in the data":   {one("a", "AnyIn", `"{{ l }}"`), `{"l":"[\"*\"]"}`, false, ""},
		"JSON list of both":                    {one("[a]", "AnyNotIn", `'["x*","{{ l }}"]'`), `{"l":"b"}`, false, "has wildcards beside what an expression gives"},
		"JSON list, wildcards in the policy":   {one("[abc]", "AnyIn", `'["a*"]'`), `{}`, true, ""},
		"pattern in the key, list in the data": {one("a*", "AnyIn", `"{{ l }}"`), `{"l":["abc"]}`, true, ""},
		"pattern in the key, no such element":  {one("b*", "AnyIn", `"{{ l }}"`), `{"l":["abc"]}`, false, ""},
		"one of nested elements":               {one(`"{{ a }}"`, "AnyIn", "[x]"), `{"a":[{"b":1},"x"]}`, true, ""},
		"all of nested elements":               {one(`"{{ a }}"`, "AllIn", "[x]"), `{"a":[{"b":1},"x"]}`, false, ""},
		"a quantity is unequal to text":        {one(`"{{ a }}"`, "NotEquals", "x"), `{"a":"5"}`, true, ""},
		"a quantity and a wildcard":            {one(`"{{ a }}"`, "NotEquals", `"5*"`), `{"a":"5"}`, false, "which no wildcard matches"},
		"a quantity of any length":             {one(`"{{ a }}"`, "GreaterThan", `"5Gi"`), `{"a":"` + strings.Repeat("9", 65) + `"}`, false, "cannot be compared"},
		"shallow":                              {one(`"{{- env }}"`, "Equals", `'\{{ x }}'`), `{"env":"{{ x }}"}`, true, ""},
		"shallow, other data":                  {one(`"{{- env }}"`, "Equals", `'\{{ x }}'`), `{"env":"x"}`, false, ""},
		"expression in a name":                 {one(`"{{ o }}"`, "Equals", `{"{{ k }}": 1}`), `{"o":{"a":1},"k":"a"}`, true, ""},
		"expression in a name, other name":     {one(`"{{ o }}"`, "Equals", `{"{{ k }}": 1}`), `{"o":{"a":1},"k":"b"}`, false, ""},
		"two names that are one":               {one(`"{{ o }}"`, "NotEquals", `{"{{ k }}": 1, a: 1}`), `{"o":{"a":1},"k":"a"}`, false, "two fields of an object"},
		"wildcard around data":                 {one(`"{{ a }}"`, "Equals", `"*-{{ b }}"`), `{"a":"x-*","b":"*"}`, true, ""},
		"wildcard in data inside a pattern":    {one(`"{{ a }}"`, "Equals", `"x-{{ b }}"`), `{"a":"x-y","b":"*"}`, false, ""},
		"nested key":                           {one(`"{{ data.{{ image.tag }} }}"`, "Equals", "yes"), `{"data":{"v1":"yes"}}`, true, ""},
		"nested key that looks like a path":    {one(`"{{ data.{{ k }} }}"`, "Equals", "yes"), `{"k":"a.b","data":{"a":{"b":"yes"},"a.b":"no"}}`, false, `Found:"no"`},
		"nested literal":                       {one("\"{{ length(`{{ l }}`) }}\"", "Equals", "2"), `{"l":[1,2]}`, true, ""},
		"nested data with a name of ours":      {one(`"{{ to_upper('{{ a }}{{ b }}') }}"`, "Equals", "__BOUND_1_TEXT__X"), `{"a":"__bound_1_text__","b":"x"}`, true, ""},
		"null inside a text":                   {one(`"x{{ a }}"`, "NotEquals", "y"), `{"a":null}`, false, "nothing was found"},
		"list of nothing compared":             {one(`"{{ a }}"`, "NotEquals", "[]"), `{"a":{}}`, false, "cannot be compared"},
		"objects are no members":               {one(`"{{ a }}"`, "AllNotIn", "[x]"), `{"a":[{"b":1}]}`, false, "neither a string nor a number"},
		"not a number is not unequal":          {one(`"{{ a }}"`, "NotEquals", "5"), `{"a":"x"}`, false, "cannot be compared"},
		"a text that is not a number, as one":  {one(`"{{ to_number(a) }}"`, "LessThan", "5"), `{"a":"NaN"}`, false, "gives NaN, which is no number"},
		"a number that is none, in an object":  {one(`"{{ {n: to_number(a)}.n }}"`, "LessThan", "5"), `{"a":"NaN"}`, false, "gives NaN"},
		"infinity":                             {one(`"{{ a }}"`, "GreaterThan", "5"), `{"a":"Inf"}`, false, "cannot be compared"},
		"exponent of any size":                 {one(`"{{ a }}"`, "GreaterThan", `"5"`), `{"a":"1e999999999"}`, false, "cannot be compared"},
		"predicate hides a name that is asked": {one("\"{{ serviceAccountNamed || 'x' }}\"", "Equals", "x"), `{}`, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, in := conditions(t, ci, c.conditions, c.predicate)
			if c.allow {
				allowed(t, p, in)
			} else {
				denied(t, p, in, c.want)
			}
		})
	}

	t.Run("unknown workload", func(t *testing.T) {
		p, in := conditions(t, ci, one(`"{{ request.namespace || 'dev' }}"`, "Equals", "dev"), `{}`)
		in.Request = policy.Request{}
		denied(t, p, in, "asks about the workload, and none is known here")
	})
}

func TestOperators(t *testing.T) {
	ci := newSigner(t)
	opposite := map[string]string{"Equals": "NotEquals", "GreaterThan": "LessThanOrEquals", "LessThan": "GreaterThanOrEquals",
		"AllIn": "AnyNotIn", "AnyIn": "AllNotIn", "In": "", "DurationGreaterThan": "DurationLessThanOrEquals", "DurationLessThan": "DurationGreaterThanOrEquals"}
	for _, c := range []struct {
		key, operator, value string
		holds                bool
	}{
		{`"30m"`, "Equals", `"1800s"`, true},
		{`"30m"`, "Equals", "1800", true},
		{`"30m"`, "Equals", "1801", false},
		{`"1Gi"`, "Equals", `"1024Mi"`, true},
		{`"0.5"`, "Equals", `"500m"`, true},
		{`"1G"`, "Equals", `"1Gi"`, false},
		{`"1e3"`, "Equals", `"1k"`, true},
		{`1`, "Equals", `1`, true},
		{`1`, "Equals", `"1"`, true},
		{`1.5`, "Equals", `1`, false},
		{`true`, "Equals", `true`, true},
		{`true`, "Equals", `false`, false},
		{`"abc"`, "Equals", `"a?c"`, true},
		{`"abc"`, "Equals", `"a*"`, true},
		{`"ab"`, "Equals", `"a?c"`, false},
		{`[1,"a"]`, "Equals", `[1, a]`, true},
		{`[1]`, "Equals", `[1, a]`, false},
		{`{"a":{"b":[1]}}`, "Equals", `{a: {b: [1]}}`, true},
		{`{"a":1}`, "Equals", `{a: 2}`, false},
		{`2`, "GreaterThan", `1`, true},
		{`1`, "GreaterThan", `1`, false},
		{`"2"`, "GreaterThan", `1`, true},
		{`2`, "GreaterThan", `"1"`, true},
		{`"2h"`, "GreaterThan", `"90m"`, true},
		{`"2h"`, "GreaterThan", `3600`, true},
		{`"2Gi"`, "GreaterThan", `"2G"`, true},
		{`"1.10.0"`, "LessThan", `"1.10.1"`, true},
		{`"1.10.0-rc.1"`, "LessThan", `"1.10.0"`, true},
		{`3`, "LessThan", `2`, false},
		{`"a"`, "AnyIn", `[a, b]`, true},
		{`["c","b"]`, "AnyIn", `[a, b]`, true},
		{`["c"]`, "AnyIn", `[a, b]`, false},
		{`["a","b"]`, "AllIn", `[a, b, c]`, true},
		{`["a","d"]`, "AllIn", `[a, b, c]`, false},
		{`["1","5"]`, "AllIn", `"1-5"`, true},
		{`["1","6"]`, "AllIn", `"1-5"`, false},
		{`1000000`, "AllIn", `["1000000"]`, true},
		{`true`, "AllIn", `["true"]`, true},
		{`"a"`, "In", `[a]`, true},
		{`"b"`, "In", `[a]`, false},
		{`"b"`, "NotIn", `[a]`, true},
		{`"a"`, "NotIn", `[a]`, false},
		{`"2h"`, "DurationGreaterThan", `"1h"`, true},
		{`60`, "DurationLessThan", `"1h"`, true},
		{`"2h"`, "DurationLessThan", `60`, false},
	} {
		for _, operator := range []string{c.operator, strings.ToUpper(c.operator), opposite[c.operator]} {
			if operator == "" {
				continue
			}
			holds := c.holds != (operator == opposite[c.operator])
			t.Run(c.key+" "+operator+" "+c.value, func(t *testing.T) {
				p, in := conditions(t, ci, fmt.Sprintf(`[{all: [{key: "{{ k }}", operator: %s, value: %s}]}]`, operator, c.value), `{"k":`+c.key+`}`)
				if holds {
					allowed(t, p, in)
				} else {
					denied(t, p, in, operator)
				}
			})
		}
	}
}

func TestFunctions(t *testing.T) {
	ci := newSigner(t)
	const predicate = `{"s":"Hello World","n":7,"l":[1,2,3],"q":["1Gi","1Gi"],"d":"1h30m","o":{"b":2,"a":1},"t":"2026-02-28T12:00:00Z","j":"{\"x\":[1]}","v":"1.4.2","big":1e300}`
	for expression, want := range map[string]string{
		"compare('a', 'b')":                        "-1",
		"equal_fold(s, 'hello world')":             "true",
		"replace(s, 'l', 'L', `2`)":                `"HeLLo World"`,
		"replace_all(s, 'l', 'L')":                 `"HeLLo WorLd"`,
		"to_upper(s)":                              `"HELLO WORLD"`,
		"to_lower(s)":                              `"hello world"`,
		"trim(s, 'Hd')":                            `"ello Worl"`,
		"trim_prefix(s, 'Hello ')":                 `"World"`,
		"split(s, ' ')":                            `["Hello","World"]`,
		"truncate(s, `5`)":                         `"Hello"`,
		"truncate(s, `-1`)":                        `""`,
		"to_boolean('TRUE')":                       "true",
		"regex_match('^H.*d$', s)":                 "true",
		"regex_match('^[a-z]{5}$', s)":             "false",
		"regex_replace_all('(l+)', s, '<$1>')":     `"He<ll>o Wor<l>d"`,
		"regex_replace_all_literal('l+', s, '$1')": `"He$1o Wor$1d"`,
		"pattern_match('Hello*', s)":               "true",
		"pattern_match('?', n)":                    "true",
		"label_match(`{\"a\":1}`, o)":              "true",
		"add(n, `1`)":                              "8",
		"add('1Gi', '512Mi')":                      `"1536Mi"`,
		"add('0.5', '500m')":                       `"1"`,
		"subtract(d, '1800s')":                     `"1h0m0s"`,
		"multiply(`2`, '1.5Gi')":                   `"3Gi"`,
		"multiply(d, `2`)":                         `"3h0m0s"`,
		"divide('3', '2')":                         "1.5",
		"divide(d, '1800s')":                       "3",
		"divide('1Gi', `2`)":                       `"512Mi"`,
		"add('90m', '30m')":                        `"120m"`, // both are quantities, of a thousandth each, before they are minutes
		"modulo(n, `4`)":                           "3",
		"modulo(d, '1h')":                          `"30m0s"`,
		"sum(l)":                                   "6",
		"sum(q)":                                   `"2Gi"`,
		"round(`3.14159`, `2`)":                    "3.14",
		"base64_encode(s)":                         `"SGVsbG8gV29ybGQ="`,
		"base64_decode('SGk=')":                    `"Hi"`,
		"parse_json(j).x[0]":                       "1",
		"parse_yaml('a: [1]').a[0]":                "1",
		"path_canonicalize('/a//b/../c')":          `"/a/c"`,
		"lookup(o, 'a')":                           "1",
		"lookup(l, `2`)":                           "3",
		"items(o, 'k', 'v')":                       `[{"k":"a","v":1},{"k":"b","v":2}]`,
		"object_from_lists(`[\"x\"]`, `[1]`)":      `{"x":1}`,
		"keys(o)":                                  `["a","b"]`,
		"values(o)":                                `[1,2]`,
		"time_since('', t, '')":                    `"24h0m0s"`,
		"time_since('2006-01-02', '2026-01-01', '2026-01-02')": `"24h0m0s"`,
		"time_now_utc()":                                                  `"2026-03-01T12:00:00Z"`,
		"time_now()":                                                      `"2026-03-01T12:00:00Z"`,
		"time_add(t, '1h')":                                               `"2026-02-28T13:00:00Z"`,
		"time_truncate(t, '24h')":                                         `"2026-02-28T00:00:00Z"`,
		"time_parse('2006-01-02', '2026-01-02')":                          `"2026-01-02T00:00:00Z"`,
		"time_parse('1', '86400')":                                        `"1970-01-02T00:00:00Z"`,
		"time_utc('2026-01-01T01:00:00+01:00')":                           `"2026-01-01T00:00:00Z"`,
		"time_diff(t, '2026-02-28T13:00:00Z')":                            `"1h0m0s"`,
		"time_before(t, '2027-01-01T00:00:00Z')":                          "true",
		"time_after(t, '2027-01-01T00:00:00Z')":                           "false",
		"time_between(t, '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z')": "true",
		"semver_compare(v, '>=1.2.0 <2.0.0')":                             "true",
		"semver_compare(v, '1.x')":                                        "true",
		"semver_compare(v, '1.5.x || 2.x')":                               "false",
		"semver_compare(v, '> 1.4.2 || !1.4.2')":                          "false",
		"time_to_cron(t)":                                                 `"0 12 28 2 6"`,
		"sha256(s)":                                                       `"a591a6d40bf420404a011733cfb7b190d62c65bf0bcda32b57b277d9ad9f146e"`,
		"sha1(s)":                                                         `"0a4d55a8d778e5022fab701977c5d840bbc486d0"`,
		"md5(s)":                                                          `"b10a8db164e0754105b7a99be72e3fe5"`,
		"image_normalize('nginx')":                                        `"docker.io/nginx:latest"`,
		"image_normalize('r.example.com:5000/a/b:v1')":                    `"r.example.com:5000/a/b:v1"`,
		"is_external_url('https://203.0.113.9/x')":                        "true",
		"is_external_url('https://10.0.0.9:8443/')":                       "false",
		"is_external_url('http://[::1]/')":                                "false",
		"sum(`[\"1024Mi\"]`)":                                             `"1024Mi"`,
		"divide('10', `3`)":                                               `"3"`,
		"modulo('5Gi', '2Gi')":                                            `"1Gi"`,
		"truncate(base64_decode('/w=='), `9`)":                            "\"\ufffd\"",
		"l | length(@)":                                                   "3",
		"sort_by(l, &@)[-1]":                                              "3",
		"{a: o.a, b: {c: n}} | b.c":                                       "7",
	} {
		t.Run(expression, func(t *testing.T) {
			key := strings.ReplaceAll(expression, `"`, `\"`)
			p, in := conditions(t, ci, fmt.Sprintf(`[{all: [{key: "{{ %s }}", operator: Equals, value: no such value}]}]`, key), predicate)
			denied(t, p, in, "Found:"+want)
		})
	}
	for expression, want := range map[string]string{
		"add(n, d)":                        "do not fit together",
		"add(s, `1`)":                      "neither a number",
		"add(`9223372036`, '1h')":          "do not fit together",
		"multiply(big, big)":               "too large",
		"multiply('100000h', `100000000`)": "too large",
		"divide(n, `0`)":                   "division by zero",
		"divide('1Gi', '0')":               "division by zero",
		"modulo(`1.5`, `1`)":               "whole numbers",
		"modulo('1h', '0s')":               "division by zero",
		"sum(`[]`)":                        "at least one element",
		"round(n, `-1`)":                   "whole number of places",
		"to_boolean('yes')":                "neither true nor false",
		"base64_decode('!')":               "illegal base64",
		"parse_json('x')":                  "parse_json()",
		"parse_yaml('a: b: c')":            "parse_yaml()",
		"semver_compare('v1.4', '1.x')":    "no semantic version",
		"lookup(o, `1`)":                   "is a string",
		"to_upper(n)":                      "Invalid type",
		"time_since('', s, '')":            "is no time",
		"replace_all('aaaaaaaaaa', '', join('', [to_string(big), to_string(big)]))": "Found:",
		"&s":                                     "which is no value",
		"is_external_url('https://example.com')": "is no address",
		"image_normalize('A B')":                 "is no image",
		"x509_decode(s)":                         "want a certificate in PEM",
		"parse_json('1]')":                       "invalid character",
		"time_to_cron(s)":                        "is no time",
		"lookup(l, `1.5`)":                       "whole number",
		"modulo('1.5', '1')":                     "whole numbers",
	} {
		t.Run(expression, func(t *testing.T) {
			p, in := conditions(t, ci, fmt.Sprintf(`[{all: [{key: "{{ %s }}", operator: NotEquals, value: no such value}]}]`, expression), predicate)
			if expression == "replace_all('aaaaaaaaaa', '', join('', [to_string(big), to_string(big)]))" {
				allowed(t, p, in) // far under the bound
				return
			}
			denied(t, p, in, want)
		})
	}
	t.Run("a text of any size", func(t *testing.T) {
		p, in := conditions(t, ci, `[{all: [{key: "{{ replace_all(x, 'a', x) }}", operator: NotEquals, value: y}]}]`, `{"x":"`+strings.Repeat("a", 9000)+`"}`)
		denied(t, p, in, "larger than the bound")
	})
}

func TestLongAnswersAreCutAloud(t *testing.T) {
	ci := newSigner(t)
	p, in := conditions(t, ci, `[{all: [{key: "{{ x }}", operator: Equals, value: y, message: "x is {{ x }}"}]}]`, `{"x":"`+strings.Repeat("a", 9000)+`"}`)
	denied(t, p, in, "more bytes)")
	for _, check := range failures(judge(t, p, in)) {
		if len(check.Message)+len(check.Found) > 6000 {
			t.Errorf("an answer of %d bytes", len(check.Message)+len(check.Found))
		}
	}
}

func FuzzExpression(f *testing.F) {
	ci := newSigner(f)
	f.Add("scanner.result.Results[].Vulnerabilities[?Severity=='CRITICAL'][] | length(@)", `{"scanner":{"result":{"Results":[{"Vulnerabilities":[{"Severity":"CRITICAL"}]}]}}}`)
	f.Add("time_since('','{{ a.b }}','')", `{"a":{"b":"2026-01-01T00:00:00Z"}}`)
	f.Add("length(`{{ l }}`)", `{"l":[1]}`)
	f.Add("data.{{ k }}.x", `{"k":"a","data":{"a":{"x":1}}}`)
	f.Add("sort_by(l, &x)[0].{a: x, b: `2`}", `{"l":[{"x":1}]}`)
	f.Fuzz(func(t *testing.T, expression, predicate string) {
		if strings.ContainsFunc(expression+predicate, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return
		}
		quoted := "'" + strings.ReplaceAll("{{ "+expression+" }}", "'", "''") + "'"
		p, err := load(withKey(fmt.Sprintf(conditionPolicy, "[{all: [{key: "+quoted+", operator: Equals, value: no such value}]}]"), ci.pem))
		if err != nil {
			return
		}
		in := input(ci.attest(t, "https://example.com/t", predicate))
		denied(t, p, in)
	})
}
