//go:build interop

package kyverno

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// question is one line to Kyverno's own evaluation (internal/interop/kyverno).
type question struct {
	Op         string         `json:"op"`
	Condition  *conditionSpec `json:"condition,omitempty"`
	Expression string         `json:"expression,omitempty"`
	Data       map[string]any `json:"data,omitempty"`
}

type reply struct {
	Holds bool
	Value any
	Error string
}

// oracle asks Kyverno all questions, in order.
func oracle(t *testing.T, questions []question) []reply {
	t.Helper()
	program := filepath.Join(os.Getenv("ASSAY_PEERS"), "kyverno-conditions")
	if _, err := os.Stat(program); err != nil || os.Getenv("ASSAY_PEERS") == "" {
		t.Fatalf("ASSAY_PEERS=%q has no kyverno-conditions; run `make interop`, which builds it", os.Getenv("ASSAY_PEERS"))
	}
	command := exec.CommandContext(t.Context(), program)
	command.Env, command.Stderr = append(os.Environ(), "TZ=UTC"), os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer stdin.Close()
		writer := bufio.NewWriter(stdin)
		defer writer.Flush()
		encoder := json.NewEncoder(writer)
		for _, q := range questions {
			if err := encoder.Encode(q); err != nil {
				t.Errorf("question %+v: %v", q, err)
				return
			}
		}
	}()
	replies := make([]reply, 0, len(questions))
	decoder := json.NewDecoder(bufio.NewReader(stdout))
	for range questions {
		var r reply
		if err := decoder.Decode(&r); err != nil {
			t.Fatalf("after %d answers: %v", len(replies), err)
		}
		replies = append(replies, r)
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	return replies
}

// divergence is a difference that is meant.
type divergence[T any] struct {
	// entry is how the left or the middle column of its row in
	// docs/divergences.md begins.
	entry string
	holds func(T) bool
	seen  int
}

// judgement sorts differences into those that are known and those that are not.
type judgement[T any] struct {
	known     []divergence[T]
	unknown   map[string][]string
	count     int
	divergent int
}

func (j *judgement[T]) differ(c T, group, report string) {
	for i := range j.known {
		if j.known[i].holds(c) {
			j.known[i].seen++
			j.divergent++
			return
		}
	}
	if j.unknown == nil {
		j.unknown = map[string][]string{}
	}
	j.unknown[group] = append(j.unknown[group], report)
}

// report fails the test for what is not known, shortly, and for what is said
// to be known and is not documented, or no longer so.
func (j *judgement[T]) report(t *testing.T) {
	t.Helper()
	for _, group := range slices.Sorted(maps.Keys(j.unknown)) {
		list := j.unknown[group]
		t.Errorf("%s: %d differences that are not known:\n  %s", group, len(list), strings.Join(list[:min(len(list), 8)], "\n  "))
	}
	divergences, err := os.ReadFile("../../../../docs/divergences.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range j.known {
		if !strings.Contains(string(divergences), "| "+k.entry) {
			t.Errorf("docs/divergences.md has no row with a column that begins with %q", k.entry)
		}
		if k.seen == 0 {
			t.Errorf("no case shows %q any more", k.entry)
		}
		t.Logf("%d: %s", k.seen, k.entry)
	}
	t.Logf("%d cases, of which %d differ as documented", j.count, j.divergent)
}

// operands by their kind: what stands in conditions.
var oracleOperands = map[string][]any{
	"null":     {nil},
	"bool":     {true, false},
	"int":      {0.0, 1.0, -3.0, 7.0, 3600.0, 1000000.0, 123456789012.0},
	"float":    {0.5, -1.5, 1e21, 2.0000001},
	"text":     {"alice", "bob", "ALICE", "a b", "naïve", "true", "null", "[a b]", "map[a:1]", "<nil>"},
	"number":   {"0", "1", "-3", "7", "7.0", "0.5", "1e3", "1e+06", "1000000", "+7", " 7", "0x10", "Inf", "NaN", "1_000"},
	"duration": {"1h", "60m", "3600s", "0s", "-5m", "1h30m", "500ms"},
	"quantity": {"1Gi", "1024Mi", "500m", "0.5Gi", "1k", "5M", "1E", "100n"},
	"semver":   {"1.2.3", "1.10.0", "1.9.0", "v1.2.3", "1.2.3-rc.1", "1.2.3+x", "1.2"},
	"wildcard": {"*", "a*", "?", "al?ce", "*b*", "7*", "1?", "??", "1.*.0"},
	"range":    {"1-10", "0.5-7", "1Mi-2Gi", "1h-2h", "-5-5", "10-1", "1!-10", "+1-+9", "1-1h", "a-b"},
	"operator": {">5", "!alice", "alice | bob", "<=7"},
	"empty":    {"", " "},
	"texts":    {[]any{"alice"}, []any{"alice", "bob"}, []any{"a*"}, []any{"1h", "7"}, []any{"1-10"}, []any{""}, []any{"*", "x"}, []any{"5Mi", "3Gi"}, []any{"1.2.3", "2.0.0"}, []any{"[a b]"}},
	"numbers":  {[]any{1.0}, []any{1.0, 7.0}, []any{0.5}, []any{1000000.0, -3.0}, []any{11.0, 12.0}},
	"mixed":    {[]any{1.0, "alice", true}, []any{nil, "bob"}, []any{"7", 7.0}, []any{false}, []any{nil}},
	"none":     {[]any{}},
	"map":      {map[string]any{}, map[string]any{"a": 1.0}, map[string]any{"a": []any{"b", nil}}},
	"nested":   {[]any{[]any{"a", "b"}}, []any{map[string]any{"a": 1.0}, "alice"}, []any{[]any{}}},
	"json":     {`["alice"]`, `["alice","bob"]`, `["a*"]`, `[]`, `[1,7]`, `{"a":1}`, `["1-10"]`, `"alice"`},
}

// oracleOperators are all of them, with each name that Kyverno has.
var oracleOperators = []string{
	"Equal", "Equals", "NotEqual", "NotEquals", "In", "NotIn", "AnyIn", "AllIn", "AnyNotIn", "AllNotIn",
	"GreaterThan", "GreaterThanOrEquals", "LessThan", "LessThanOrEquals",
	"DurationGreaterThan", "DurationGreaterThanOrEquals", "DurationLessThan", "DurationLessThanOrEquals",
}

// pairing is one condition: each side is written in the policy, or found by
// an expression.
type pairing struct {
	operator                string
	keyKind, valueKind      string
	key, value              any
	keyFound, valueFound    bool
	ours, theirs            bool
	oursDoubts, oursRefuses bool
}

func (c pairing) among() bool { return strings.HasSuffix(strings.ToLower(c.operator), "in") }

func (c pairing) question(t *testing.T) question {
	spec := conditionSpec{Operator: c.operator}
	data := map[string]any{"k": c.key, "v": c.value}
	if spec.Key = raw(t, c.key); c.keyFound {
		spec.Key = raw(t, "{{ k }}")
	}
	if spec.Value = raw(t, c.value); c.valueFound {
		spec.Value = raw(t, "{{ v }}")
	}
	return question{Op: "condition", Condition: &spec, Data: data}
}

func raw(t *testing.T, value any) json.RawMessage {
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// TestOracleOperators holds each operator to Kyverno's for each pair of
// operands, written in the policy or found in a predicate.
func TestOracleOperators(t *testing.T) {
	if len(operators) != len(oracleOperators) {
		t.Fatalf("%d operators are compared, of %d", len(oracleOperators), len(operators))
	}
	var cases []pairing
	var questions []question
	for _, keyKind := range slices.Sorted(maps.Keys(oracleOperands)) {
		for _, valueKind := range slices.Sorted(maps.Keys(oracleOperands)) {
			for _, operator := range oracleOperators {
				n := 0
				for _, key := range oracleOperands[keyKind] {
					for _, value := range oracleOperands[valueKind] {
						for found := range 4 {
							// Both written is asked for each pair; of the three ways to
							// find one, one each, in turn: all of it takes a minute.
							if n++; found != 0 && n%3 != 0 {
								continue
							}
							c := pairing{operator: operator, keyKind: keyKind, valueKind: valueKind, key: key, value: value, keyFound: found&1 != 0, valueFound: found&2 != 0}
							cases = append(cases, c)
							questions = append(questions, c.question(t))
						}
					}
				}
			}
		}
	}
	j := judgement[pairing]{known: knownPairings, count: len(cases)}
	for i, r := range oracle(t, questions) {
		c, q := cases[i], questions[i]
		parsed, err := parseCondition("c", *q.Condition)
		if c.oursRefuses = err != nil; err == nil {
			o := parsed.evaluate(&environment{root: q.Data, functions: caller(time.Now())})
			c.ours, c.oursDoubts = o.holds, o.doubt != nil || o.broken != nil
		}
		c.theirs = r.Holds && r.Error == ""
		if c.ours != c.theirs {
			j.differ(c, fmt.Sprintf("%s %s %s", c.keyKind, c.operator, c.valueKind),
				fmt.Sprintf("%s %s %s, found %t %t: ours %t (doubt %t, refused %t), Kyverno's %t %s", brief(c.key), c.operator, brief(c.value), c.keyFound, c.valueFound, c.ours, c.oursDoubts, c.oursRefuses, r.Holds, r.Error))
		}
	}
	j.report(t)
}

var knownPairings = []divergence[pairing]{
	{entry: "`AllIn` and `AllNotIn` hold for an empty list", holds: func(c pairing) bool {
		return c.among() && c.keyKind == "none" && c.theirs
	}},
	{entry: "a predicate's text is substituted as a template", holds: func(c pairing) bool {
		wild := func(value any) bool { return strings.ContainsAny(brief(value), "*?") }
		ranges := false
		if text, ok := c.value.(string); ok {
			ranges = c.valueFound && c.among() && (rangeText.MatchString(text) || notRange.MatchString(text))
		}
		return c.keyFound && wild(c.key) || c.valueFound && wild(c.value) || ranges
	}},
	{entry: "the range `1!-10` is a text", holds: func(c pairing) bool { return c.among() && c.oursRefuses && c.value == "1!-10" }},
	{entry: "`NotEquals` holds for a bool and a text", holds: func(c pairing) bool {
		_, text := c.value.(string)
		_, number := c.key.(float64)
		return strings.HasPrefix(c.operator, "NotEqual") && c.oursDoubts && c.theirs && (fmt.Sprintf("%T", c.key) != fmt.Sprintf("%T", c.value) || number && text)
	}},
	{entry: "no wildcard matches a text that is a quantity", holds: func(c pairing) bool {
		key, _ := c.key.(string)
		value, _ := c.value.(string)
		_, quantity := parseQuantity(key)
		return strings.HasPrefix(c.operator, "NotEqual") && c.oursDoubts && c.theirs && quantity && strings.ContainsAny(value, "*?")
	}},
	{entry: "numbers of seconds wrap around", holds: func(c pairing) bool {
		long := func(value any) bool {
			number, ok := value.(float64)
			return ok && math.Abs(number) > math.MaxInt64/1e9
		}
		return !c.among() && (long(c.key) || long(c.value))
	}},
	{entry: "`Inf`, `1_000` and `0x10p0` are numbers", holds: func(c pairing) bool {
		odd := func(value any) bool { return value == "Inf" || value == "NaN" || value == "1_000" || value == "0x10" }
		return c.oursDoubts && (odd(c.key) || odd(c.value))
	}},
	{entry: "a number is spelled `1e+06`", holds: func(c pairing) bool {
		var big func(value any) bool
		big = func(value any) bool {
			list, _ := value.([]any)
			number, _ := value.(float64)
			return number >= 1e6 || slices.ContainsFunc(list, big)
		}
		return c.among() && (big(c.key) || big(c.value))
	}},
	{entry: "`NotIn` holds for a list when one", holds: func(c pairing) bool {
		_, list := c.key.([]any)
		return c.operator == "NotIn" && list && c.theirs
	}},
	{entry: "`AnyNotIn` misreads a range", holds: func(c pairing) bool { return c.operator == "AnyNotIn" && c.value == "-5-5" && c.theirs }},
	{entry: "`[1]` in the policy is unequal to `[1]`", holds: func(c pairing) bool {
		_, scalar := scalarText(c.key)
		return strings.Contains(c.operator, "Equal") && !scalar && c.keyFound != c.valueFound && same(c.key, c.value)
	}},
	{entry: "lists and objects in a list are spelled as Go spells them", holds: func(c pairing) bool {
		odd := func(value any) bool {
			list, _ := value.([]any)
			return slices.ContainsFunc(list, func(element any) bool { _, ok := scalarText(element); return !ok })
		}
		return c.among() && c.theirs && (odd(c.key) || odd(c.value))
	}},
}

// call is an expression on generated data.
type call struct {
	name, expression string
	data             map[string]any
	value            any
	err              error
	reply            reply
}

// oracleTexts are arguments by what they look like.
var oracleTexts = map[string][]any{
	"text":     {"", "a", "alice", "Alice", "a-b-c", "a b", "naïve", "/a/../b//c", "aaa", "true", "FALSE", "1", "-1", " x ", "x", "alice@example.com", "a/b:c", "日本語", "\u212a", "\n"},
	"time":     {"2026-01-01T00:00:00Z", "2026-03-01T11:30:15Z", "2026-03-01T11:30:15+02:00", "2023-02-29T00:00:00Z", "2020-12-31T23:59:59.5Z", "1970-01-01T00:00:00Z", "2026-01-01", "", "x", "9999-12-31T23:59:59Z"},
	"end":      {"2026-01-01T00:00:00Z", "2020-12-31T23:59:59.5Z", "1970-01-01T00:00:00+01:00", "x"},
	"layout":   {"", "2006-01-02", "2006-01-02T15:04:05Z07:00", "Mon Jan _2 15:04:05 2006", "1", "1672531200", "x"},
	"day":      {"2026-01-01", "2023-12-31", "1672531200", "-5", "Thu Jan  1 15:04:05 2026", "2026-01-01T00:00:00Z", "x", ""},
	"duration": {"1h", "-30m", "1h30m15s", "0s", "500ms", "24h", "x", "", "1000000h"},
	"amount":   {"1Gi", "1024Mi", "500m", "7", "0", "-2", "1h", "90m", "-5s", "0.1", "1e3", "100n", "x", "", "3k", "0s", "10", "1.5Gi"},
	"version":  {"1.2.3", "1.10.0", "v1.2.3", "1.2.3-rc.1", "2.0.0", "1.2", "1.2.3+b", "0.0.0"},
	"versions": {">=1.2.0", "<2.0.0", ">1.0.0 <2.0.0", "1.x", ">=1.2.3 || <0.5.0", "!1.2.3", "1.2.3", "x", "", ">=1.2.3-rc.1", "=1.10.0"},
	"regexp":   {"^a", "[a-z]+", "(a)(l)", "b$", ".*", "", "(", "\\d+", "(?i)ALICE", "a|b", "[[:space:]]"},
	"replace":  {"$1", "x", "", "$0$0", "${1}y", "$$", "z$2"},
	"glob":     {"*", "a*", "?", "al?ce", "*b*", "", "1*", "a-*-c", "*.*"},
	"base64":   {"YWxpY2U=", "YQ==", "", "a", "YWxpY2U", "eyJhIjoxfQ==", "/w==", "_w==", "YWxp\nY2U="},
	"json":     {`{"a":1}`, `[1,"x",null]`, `"a"`, "1", "null", "", "{", `{"a":{"b":[true]}}`, "1e400", `{"a":1,"a":2}`, " 1 "},
	"yaml":     {"a: 1", "- x\n- 2", "a: [1, b]", "x", "", "a: 0x10", "a: yes", "a: 2026-01-01", "1: b", "a: ~", "a: &x 1\nb: *x", "{", "a: 1\n---\nb: 2", "a: 1.5", "'7'", "a: 010", "a: |\n  t"},
	"image":    {"alpine", "alpine:3.20", "library/alpine", "ghcr.io/acme/app:v1", "localhost/app", "localhost:5000/app@sha256:" + strings.Repeat("a", 64), "app:v1@sha256:" + strings.Repeat("0", 64), "UPPER/app", "a b", "", "docker.io/acme/app", "app@sha256:abc"},
	"url":      {"http://10.0.0.1/x", "https://8.8.8.8", "http://127.0.0.1:80", "http://[::1]/", "http://192.168.1.1", "https://[2606:4700::1111]/a", "http://172.16.0.1", "http://169.254.169.254/", "http://0.0.0.0", "http://[::ffff:10.0.0.1]", "http://[fd00::1]", "http://[fe80::1]", "http://224.0.0.1"},
	"number":   {0.0, 1.0, -1.0, 2.0, 3.7, -2.5, 10.0, 1e6, 123456789.0, 0.1, 1e15, 2.345},
	"count":    {0.0, 1.0, 2.0, 3.0, -1.0, 10.0, 1.5},
	"list":     {[]any{}, []any{1.0}, []any{3.0, 1.0, 2.0}, []any{"b", "a"}, []any{"a", 1.0, nil}, []any{nil}, []any{true, false}, []any{[]any{1.0}}, []any{map[string]any{"k": 2.0}, map[string]any{"k": 1.0}}},
	"numbers":  {[]any{1.0, 2.0}, []any{0.1, 0.2}, []any{-5.0}, []any{}, []any{1e6, 0.5, 3.0}},
	"amounts":  {[]any{"1Gi", "1Mi"}, []any{1.0, 2.0}, []any{"1h", "30m"}, []any{}, []any{"x"}, []any{1.0, "1h"}, []any{0.1, 0.2}, []any{"1", 2.0}},
	"names":    {[]any{"a", "b"}, []any{"a"}, []any{}, []any{1.0, 1.5, 1e6}, []any{true, "x"}, []any{"a", "a"}, []any{nil}, []any{[]any{}}, []any{"c", "b", "a"}},
	"object":   {map[string]any{}, map[string]any{"a": 1.0}, map[string]any{"a": "x", "b": "y"}, map[string]any{"b": nil, "a": []any{1.0}}, map[string]any{"k": map[string]any{"z": true}}},
	"labels":   {map[string]any{}, map[string]any{"app": "web"}, map[string]any{"app": "web", "tier": "db"}, map[string]any{"app": "*"}, map[string]any{"app": 1.0}},
	"odd":      {nil, true, "x", 1.0, []any{}, map[string]any{}},
}

// oracleCalls are the functions, with the kinds of their arguments; those of
// which a part is not an argument are written out.
var oracleCalls = map[string][]string{
	"compare": {"text text"}, "equal_fold": {"text text"}, "to_upper": {"text"}, "to_lower": {"text"},
	"trim": {"text text"}, "trim_prefix": {"text text"}, "split": {"text text"}, "replace": {"text text text count"},
	"replace_all": {"text text text"}, "truncate": {"text count"}, "to_boolean": {"text"},
	"regex_match": {"regexp text", "regexp number"}, "regex_replace_all": {"regexp text replace", "regexp number replace"},
	"regex_replace_all_literal": {"regexp text replace", "regexp number number"},
	"pattern_match":             {"glob text", "glob number"}, "label_match": {"labels labels"}, "semver_compare": {"version versions"},
	"add": {"amount amount", "number number", "amount number"}, "subtract": {"amount amount", "number number", "number amount"},
	"multiply": {"amount amount", "number number", "amount number"}, "divide": {"amount amount", "number number", "amount number"},
	"modulo": {"amount amount", "number number", "amount number"}, "sum": {"amounts", "numbers"}, "round": {"number count"},
	"base64_encode": {"text"}, "base64_decode": {"base64"}, "parse_json": {"json"}, "parse_yaml": {"yaml", "json"}, "path_canonicalize": {"text"},
	"lookup": {"list count", "object text", "list number", "labels text"}, "keys": {"=sort(keys(a)) object", "=keys(a) text"},
	"values": {"=sort(map(&to_string(@),values(a))) object", "=values(a) text"},
	"items":  {"object text text", "list text text"}, "object_from_lists": {"names list", "names names"},
	"sha256": {"text"}, "sha1": {"text"}, "md5": {"text"}, "x509_decode": {"certificate", "text"}, "image_normalize": {"image", "text"}, "is_external_url": {"url"},
	"time_now": {"=time_before(a,time_now()) time", "=type(time_now()) text"}, "time_now_utc": {"=time_after(time_now_utc(),a) time", "=length(time_now_utc()) text"},
	"time_since": {"layout day day", "=type(time_since(a,b,'')) layout day", "=time_since('',a,b) time end"}, "time_to_cron": {"time"}, "time_add": {"time duration"},
	"time_truncate": {"time duration"}, "time_parse": {"layout day"}, "time_utc": {"time"}, "time_diff": {"time time"},
	"time_before": {"time time"}, "time_after": {"time time"}, "time_between": {"time time time"},
	"abs": {"number"}, "avg": {"numbers", "list"}, "ceil": {"number"}, "contains": {"text text", "list text", "list number"},
	"ends_with": {"text text"}, "floor": {"number"}, "join": {"text names"}, "length": {"text", "list", "object"},
	"map": {"=map(&to_string(@),a) list", "=map(&k,a) list"}, "max": {"numbers", "list"}, "max_by": {"=max_by(a,&k) list", "=max_by(a,&@) numbers"},
	"merge": {"object object", "object labels"}, "min": {"numbers", "list"}, "min_by": {"=min_by(a,&k) list", "=min_by(a,&@) numbers"},
	"not_null": {"odd odd", "odd text"}, "reverse": {"list", "text"}, "sort": {"numbers", "names", "list"},
	"sort_by": {"=sort_by(a,&k) list", "=sort_by(a,&@) numbers", "=sort_by(a,&@) names"}, "starts_with": {"text text"}, "to_array": {"odd", "list"},
	"to_number": {"text", "amount", "number"}, "to_string": {"odd", "number", "list", "object"}, "type": {"odd", "text"},
}

// oracleTuples is how many tuples of arguments each function gets.
const oracleTuples = 240

// TestOracleFunctions holds each function to Kyverno's on generated arguments.
func TestOracleFunctions(t *testing.T) {
	names := slices.Concat(slices.Collect(maps.Keys(functions)), slices.Collect(maps.Keys(clockFunctions)), slices.Collect(maps.Keys(builtin)))
	slices.Sort(names)
	names = slices.Compact(names)
	oracleTexts["certificate"] = certificates(t)
	random := rand.New(rand.NewPCG(5, 19))
	var calls []call
	var questions []question
	for _, name := range names {
		shapes := oracleCalls[name]
		if len(shapes) == 0 {
			t.Errorf("%s() is compared with nothing", name)
			continue
		}
		f, _ := find(name)
		for n := range oracleTuples {
			form, kinds, written := strings.Cut(shapes[n%len(shapes)], " ")
			if !strings.HasPrefix(form, "=") {
				form, kinds, written = "", shapes[n%len(shapes)], false
			}
			c := call{name: name, data: map[string]any{}, expression: strings.TrimPrefix(form, "=")}
			var arguments []string
			for i, kind := range strings.Fields(kinds) {
				field := string(rune('a' + i))
				pool := oracleTexts[kind]
				if random.IntN(12) == 0 && i+1 != f.pattern {
					pool = oracleTexts["odd"]
				}
				c.data[field] = pool[random.IntN(len(pool))]
				if text, ok := c.data[field].(string); ok && i+1 == f.pattern {
					field = "'" + strings.ReplaceAll(text, "'", `\'`) + "'"
				}
				arguments = append(arguments, field)
			}
			if !written {
				c.expression = name + "(" + strings.Join(arguments, ", ") + ")"
			}
			calls = append(calls, c)
			questions = append(questions, question{Op: "search", Expression: c.expression, Data: c.data})
		}
	}
	j := judgement[call]{known: knownCalls, count: len(calls)}
	for i, r := range oracle(t, questions) {
		c := calls[i]
		c.reply = r
		e, err := parseExpression(c.expression, 0)
		if err == nil {
			c.value, err = e.evaluate(&environment{root: c.data, functions: caller(time.Now())})
		}
		if err == nil { // as the answer comes, too
			var encoded []byte
			if encoded, err = json.Marshal(c.value); err == nil {
				err = json.Unmarshal(encoded, &c.value)
			}
		}
		c.err = err
		if (c.err == nil) != (r.Error == "") || c.err == nil && !same(c.value, r.Value) {
			j.differ(c, c.name, fmt.Sprintf("%s on %s: ours %s %v; Kyverno's %s %s", c.expression, brief(c.data), brief(c.value), c.err, brief(r.Value), r.Error))
		}
	}
	j.report(t)
}

func certificates(t *testing.T) []any {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(crand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var list []any
	for _, key := range []crypto.Signer{rsaKey, ecKey} {
		template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ci", Organization: []string{"acme"}}, DNSNames: []string{"ci.example.com"},
			NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(1900000000, 0), KeyUsage: x509.KeyUsageDigitalSignature}
		certificate, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		request, err := x509.CreateCertificateRequest(crand.Reader, &x509.CertificateRequest{Subject: template.Subject, DNSNames: template.DNSNames}, key)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})),
			string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})))
	}
	return list
}

var knownCalls = []divergence[call]{
	{entry: "`semver_compare` takes what is no version for 0.0.0", holds: func(c call) bool {
		version, ok := c.data["a"].(string)
		_, isVersion := parseVersion(version)
		return c.name == "semver_compare" && ok && !isVersion && c.err != nil
	}},
	{entry: "numbers of seconds wrap around", holds: func(c call) bool {
		return c.name == "multiply" && c.err != nil && strings.HasSuffix(c.err.Error(), errRange.Error())
	}},
	{entry: "`parse_yaml` reads the first", holds: func(c call) bool {
		return c.name == "parse_yaml" && slices.Contains([]any{"a: yes", "null", "", `{"a":1,"a":2}`, "a: 1\n---\nb: 2"}, c.data["a"])
	}},
}
