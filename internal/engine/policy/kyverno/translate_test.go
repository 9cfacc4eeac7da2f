package kyverno_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
)

func translated(t *testing.T, key, operator, value string) kyverno.Translated {
	t.Helper()
	quoted, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	list, err := kyverno.Translate(json.RawMessage(fmt.Sprintf(`[{"all":[{"key":%s,"operator":%q,"value":%s}]}]`, quoted, operator, value)), "metadata.scanFinishedOn")
	if err != nil || len(list) != 1 {
		t.Fatalf("%d checks, %v", len(list), err)
	}
	return list[0]
}

func TestTranslate(t *testing.T) {
	for _, c := range [][4]string{
		{"{{ builder.id }}", "Equals", `"https://example.com/b"`, `predicate.builder.id == "https://example.com/b"`},
		{"{{ a.\"b-c\" }}", "NotEquals", `true`, `type(predicate.a["b-c"]) == bool && predicate.a["b-c"] != true`},
		{"{{ a[1].b }}", "GreaterThanOrEquals", `2.5`, `predicate.a[1].b >= 2.5`},
		{"{{ length(components) }}", "GreaterThan", `0`, `size(predicate.components) > 0`},
		{"{{ components[].name }}", "AllIn", `["a","b"]`, `type(predicate.components) == list && size(predicate.components.filter(x, has(x.name)).map(x, x.name)) > 0 && predicate.components.filter(x, has(x.name)).map(x, x.name).all(k, k in ["a", "b"])`},
		{"{{ a }}", "AnyNotIn", `["x"]`, `type(predicate.a) == list ? predicate.a.exists(k, type(k) == string && !(k in ["x"])) : type(predicate.a) == string && !(predicate.a in ["x"])`},
		{"{{ list[?a=='1' || starts_with(b, '2')] | length(@) }}", "Equals", `0`, `type(predicate.list) == list && size(predicate.list.filter(x, ((has(x.a) && x.a == "1") || x.b.startsWith("2")))) == 0`},
		{"{{ list[?a!='1'].b.c }}", "AnyIn", `["y"]`, `type(predicate.list) == list && predicate.list.filter(x, x.a != "1").filter(x2, has(x2.b) && has(x2.b.c)).map(x2, x2.b.c).exists(k, k in ["y"])`},
		{"{{ r[].v[?s=='C'][] | length(@) }}", "Equals", `0`, `type(predicate.r) == list && size(predicate.r.filter(x, has(x.v) && type(x.v) == list).map(x, x.v.filter(x2, (has(x2.s) && x2.s == "C"))).flatten()) == 0`},
		{"{{ image.path }}", "Equals", `"app"`, `image.repository == "app"`},
		{"{{ request.namespace }}", "Equals", `"ml"`, `request.namespace == "ml"`},
		{"{{ regex_match('^a.c$', x) }}", "Equals", `true`, `predicate.x.matches("^a.c$") == true`},
	} {
		if got := translated(t, c[0], c[1], c[2]); got.Lost != nil || got.Expr != c[3] || got.MaxAge != 0 {
			t.Errorf("%s %s %s\ngot  %s (%v)\nwant %s", c[0], c[1], c[2], got.Expr, got.Lost, c[3])
		}
	}
	for _, operator := range []string{"LessThan", "LessThanOrEquals"} {
		if got := translated(t, "{{ time_since('','{{metadata.scanFinishedOn}}','') }}", operator, `"168h"`); got.Lost != nil || got.MaxAge != 168*time.Hour || got.Expr != "" {
			t.Errorf("an age: %+v", got)
		}
	}
}

// TestTranslateLost: what means something else in CEL is said, and is no check.
func TestTranslateLost(t *testing.T) {
	for _, c := range [][3]string{
		{"{{ a }}", "Equals", `"x*"`}, {"{{ a }}", "Equals", `"5Gi"`}, {"{{ a }}", "Equals", `"30m"`}, {"{{ a }}", "AnyIn", `["1-10"]`},
		{"{{ a }}", "GreaterThan", `"1.2.3"`}, {"{{ a }}", "LessThan", `"30m"`}, {"{{ a }}", "Equals", `"{{ b }}"`}, {"{{ a || b }}", "Equals", `1`},
		{"{{ a }}-{{ b }}", "Equals", `"x"`}, {"x", "Equals", `"x"`}, {"{{ max(a) }}", "Equals", `1`}, {"{{ a[-1] }}", "Equals", `1`}, {"{{ a.* }}", "AnyIn", `["x"]`},
		{"{{ request.object.spec }}", "Equals", `"x"`}, {"{{ time_since('','{{metadata.other}}','') }}", "LessThan", `"1h"`},
		{"{{ time_since('','{{metadata.scanFinishedOn}}','') }}", "GreaterThan", `"1h"`}, {"{{ !a }}", "Equals", `true`}, {"{{ list[?a] }}", "AnyIn", `["x"]`},
		{"{{ a }}", "Sometimes", `1`},
	} {
		if got := translated(t, c[0], c[1], c[2]); got.Lost == nil || got.MaxAge != 0 {
			t.Errorf("%s %s %s became %q", c[0], c[1], c[2], got.Expr)
		}
	}
	if _, err := kyverno.Translate(json.RawMessage(`{`), ""); err == nil {
		t.Error("translated what is no list")
	}
	list, err := kyverno.Translate(json.RawMessage(`[{"any":[]}]`), "")
	if err != nil || len(list) != 1 || list[0].Lost == nil {
		t.Errorf("an empty any: %+v, %v", list, err)
	}
}

func TestTranslateAny(t *testing.T) {
	list, err := kyverno.Translate(json.RawMessage(`[{"any":[{"key":"{{ a }}","operator":"Equals","value":"x","message":"want x, not {{ a }}"},{"key":"{{ b }}","operator":"Equals","value":"y"}],
		"all":[{"key":"{{ c }}","operator":"Equals","value":"z"}]}]`), "")
	if err != nil || len(list) != 2 || list[0].Expr != `predicate.c == "z"` || list[1].Expr != `(predicate.a == "x") || (predicate.b == "y")` || list[1].Message != "want x, not …" {
		t.Errorf("%+v, %v", list, err)
	}
	list, err = kyverno.Translate(json.RawMessage(`[{"any":[{"key":"{{ a }}","operator":"Equals","value":"x"},{"key":"{{ b }}","operator":"Equals","value":"y*"}]}]`), "")
	if err != nil || len(list) != 1 || list[0].Lost == nil || !strings.Contains(list[0].Lost.Error(), "wildcards") {
		t.Errorf("an alternative that is lost loses the whole: %+v, %v", list, err)
	}
}
