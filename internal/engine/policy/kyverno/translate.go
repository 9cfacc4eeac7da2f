package kyverno

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kyverno/go-jmespath"
)

// Translated is what became of one condition, or of the alternatives of an any,
// in CEL for an EvidencePolicy.
type Translated struct {
	// Expr must be true; "" where MaxAge says it all.
	Expr string
	// Message is the author's, without its expressions.
	Message string
	// MaxAge is how old the evidence may be.
	MaxAge time.Duration
	// Lost says why there is neither.
	Lost error
}

// Translate gives the conditions of an attestation (JSON: a list of any and all)
// as checks that must all hold. timeField is where evidence of the type says
// when it was made ("metadata.scanFinishedOn"), "" where it does not. What has
// no translation is said, and never left out.
func Translate(conditions json.RawMessage, timeField string) ([]Translated, error) {
	var blocks []blockSpec
	if len(conditions) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(conditions, &blocks); err != nil {
		return nil, err
	}
	var list []Translated
	for _, b := range blocks {
		if b.All != nil {
			for _, c := range *b.All {
				list = append(list, translate(c, timeField))
			}
		}
		if b.Any != nil {
			list = append(list, alternatives(*b.Any))
		}
	}
	return list, nil
}

// alternatives joins the conditions of an any.
func alternatives(conditions []conditionSpec) Translated {
	if len(conditions) == 1 {
		return translate(conditions[0], "")
	}
	var joined Translated
	var expressions, messages []string
	for _, c := range conditions {
		one := translate(c, "")
		if one.Lost != nil {
			joined.Lost = errors.Join(joined.Lost, one.Lost)
			continue
		}
		expressions = append(expressions, "("+one.Expr+")")
		if one.Message != "" && !slices.Contains(messages, one.Message) {
			messages = append(messages, one.Message)
		}
	}
	joined.Expr, joined.Message = strings.Join(expressions, " || "), strings.Join(messages, "; or ")
	if len(conditions) == 0 {
		joined.Lost = errors.New("an empty any")
	}
	return joined
}

func translate(s conditionSpec, timeField string) Translated {
	t := Translated{Message: strings.Join(strings.Fields(braces.ReplaceAllString(s.Message, "…")), " ")}
	t.Lost = func() error {
		c, err := parseCondition("", s)
		if err != nil {
			return err
		}
		if t.MaxAge = maxAge(c, timeField); t.MaxAge > 0 {
			return nil
		}
		key, lists, err := celOf(c.key)
		if err != nil {
			return fmt.Errorf("key %s: %w", c.keyText, err)
		}
		t.Expr, err = comparison(key, strings.ToLower(c.opText), c.value)
		if len(lists) > 0 && strings.Contains(t.Expr, " ? ") {
			t.Expr = "(" + t.Expr + ")"
		}
		t.Expr = strings.Join(append(lists, t.Expr), " && ")
		return err
	}()
	return t
}

var braces = regexp.MustCompile(`\{\{[^{}]*(?:\{\{[^{}]*\}\}[^{}]*)*\}\}`)

// maxAge recognises an age of the evidence: time_since of its own time.
func maxAge(c condition, timeField string) time.Duration {
	if timeField == "" || c.key.kind != isTemplate || len(c.key.template.parts) != 1 || c.key.template.parts[0].expression == nil {
		return 0
	}
	e := c.key.template.parts[0].expression
	if e.ast.NodeType != jmespath.ASTFunctionExpression || e.ast.Value != "time_since" || len(e.inner) != 1 || e.inner[0].source != timeField {
		return 0
	}
	for i, want := range []string{"", boundText(0), ""} {
		if written, ok := e.ast.Children[i].Value.(string); !ok || written != want {
			return 0
		}
	}
	text, ok := literalOf(c.value)
	written, isText := text.(string)
	if op := strings.ToLower(c.opText); !ok || !isText || op != "lessthan" && op != "lessthanorequals" && op != "durationlessthan" && op != "durationlessthanorequals" {
		return 0
	}
	age, err := time.ParseDuration(written)
	if err != nil {
		return 0
	}
	return age
}

// celValue is an expression in CEL.
type celValue struct {
	text string
	// list says that it is one; typed is its type where that is known otherwise.
	list  bool
	typed string
}

// celOf translates the key of a condition. lists are the conditions under which
// what it goes through is a list: of anything else, JMESPath makes null.
func celOf(t tree) (key celValue, lists []string, err error) {
	if t.kind != isTemplate || len(t.template.parts) != 1 || t.template.parts[0].expression == nil {
		return celValue{}, nil, errors.New("is no single expression in braces")
	}
	e := t.template.parts[0].expression
	if len(e.inner) > 0 {
		return celValue{}, nil, errors.New("has braces in braces")
	}
	writer := &translator{}
	key, err = writer.node(e.ast, celValue{text: "predicate"})
	return key, writer.lists, err
}

// literalOf is the value of a condition where the policy writes it out.
func literalOf(t tree) (any, bool) {
	switch t.kind {
	case isPlain:
		return t.plain, true
	case isTemplate:
		var b strings.Builder
		for _, p := range t.template.parts {
			if p.expression != nil {
				return nil, false
			}
			b.WriteString(p.literal)
		}
		return b.String(), true
	case isList:
		list := []any{}
		for _, element := range t.list {
			value, ok := literalOf(element)
			if !ok {
				return nil, false
			}
			list = append(list, value)
		}
		return list, true
	}
	return nil, false
}

var errValue = errors.New("the value is computed, or has wildcards, ranges, durations or quantities, which have no translation")

func comparison(key celValue, operator string, value tree) (string, error) {
	written, ok := literalOf(value)
	if !ok {
		return "", errValue
	}
	symbols := map[string]string{"greaterthan": ">", "greaterthanorequals": ">=", "lessthan": "<", "lessthanorequals": "<=", "equal": "==", "equals": "==", "notequal": "!=", "notequals": "!="}
	if symbol, known := symbols[operator]; known {
		text, err := celLiteral(written)
		if _, number := written.(float64); err == nil && !number && symbol[0] != '=' && symbol != "!=" {
			err = errValue
		}
		guard := typeGuard(key.text, written)
		switch {
		case err == nil && !key.takes(guard):
			err = errValue
		case symbol == "!=" && key.typed == "":
			return guard + " && " + key.text + " != " + text, err
		}
		return key.text + " " + symbol + " " + text, err
	}
	list, isList := written.([]any)
	if !isList {
		// A text is read as JSON where it is some, and In and NotIn want nothing else.
		text, isText := written.(string)
		if isText && (json.Valid([]byte(text)) || operator == "in" || operator == "notin") {
			return "", errValue
		}
		list = []any{written}
	}
	members, err := celLiteral(list)
	if err != nil {
		return "", err
	}
	same := func(name string) string {
		if key.typed != "" {
			return ""
		}
		return typeGuard(name, list...) + " && "
	}
	if guard := typeGuard("", list...); !key.takes(guard) && (key.typed != "" || strings.HasSuffix(operator, "notin")) {
		return "", errors.New("the values are of several types, or none is there")
	}
	many, one := "", ""
	switch operator {
	case "anyin":
		many, one = "%[1]s.exists(k, k in %[2]s)", "%[1]s in %[2]s"
	case "allin", "in":
		many, one = "size(%[1]s) > 0 && %[1]s.all(k, k in %[2]s)", "%[1]s in %[2]s"
	case "anynotin":
		many, one = "%[1]s.exists(k, "+same("k")+"!(k in %[2]s))", same("%[1]s")+"!(%[1]s in %[2]s)"
	case "allnotin", "notin":
		many, one = "size(%[1]s) > 0 && %[1]s.all(k, "+same("k")+"!(k in %[2]s))", same("%[1]s")+"!(%[1]s in %[2]s)"
	default:
		return "", fmt.Errorf("operator %s has no translation", operator)
	}
	switch {
	case key.typed != "":
		many = one
	case !key.list: // a field may be a list or not
		many = "type(%[1]s) == list ? " + many + " : " + one
	}
	return fmt.Sprintf(many, key.text, members), nil
}

// typeGuard says in CEL that a key is of the type of what is written; "" where that
// is of several types, or null. Kyverno compares nothing that is of different
// types, or compares their texts: what is not equal then is no translation.
func typeGuard(key string, written ...any) string {
	guards := map[string]bool{}
	for _, value := range written {
		switch value.(type) {
		case string:
			guards["type("+key+") == string"] = true
		case bool:
			guards["type("+key+") == bool"] = true
		case float64:
			guards["(type("+key+") == int || type("+key+") == double)"] = true
		default:
			return ""
		}
	}
	for guard := range guards {
		if len(guards) == 1 {
			return guard
		}
	}
	return ""
}

// takes says whether what has this guard can be compared with the value.
func (v celValue) takes(guard string) bool {
	return guard != "" && (v.typed == "" || strings.Contains(guard, "== "+v.typed))
}

// celLiteral writes a value that means itself.
func celLiteral(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "null", nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case string:
		_, quantity := parseQuantity(v)
		_, err := time.ParseDuration(v)
		if quantity || err == nil || strings.ContainsAny(v, "*?") || rangeText.MatchString(v) {
			return "", errValue
		}
		return strconv.Quote(v), nil
	case []any:
		var elements []string
		for _, element := range v {
			text, err := celLiteral(element)
			if err != nil {
				return "", err
			}
			elements = append(elements, text)
		}
		return "[" + strings.Join(elements, ", ") + "]", nil
	}
	return "", errValue
}
