package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

func TestObject(t *testing.T) {
	members, err := strictjson.Object([]byte(" {\"a\": \"x\\n\\u00e9\", \"b\":[1, {\"a\":2},\"]\"] ,\"A\":null,\"d\":{\"e\":\"}\",\"n\":-1.5e3}, \"\":true}\n"), "thing", strictjson.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, text := range members {
		got[name] = string(text)
	}
	want := map[string]string{"a": `"x\n\u00e9"`, "b": `[1, {"a":2},"]"]`, "A": "null", "d": `{"e":"}","n":-1.5e3}`, "": "true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if text, err := members.String("a"); err != nil || text != "x\né" {
		t.Errorf("String: %q, %v", text, err)
	}
	if text, err := members.String("A"); err != nil || text != "" {
		t.Errorf("String of null: %q, %v", text, err)
	}
	list, err := members.List("b", 3)
	if err != nil || len(list) != 3 || string(list[1]) != `{"a":2}` {
		t.Errorf("List: %s, %v", list, err)
	}
	texts, err := members.Strings("d")
	if diff := cmp.Diff(map[string]string{"e": "}"}, texts); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestObjectRefuses(t *testing.T) {
	manyNames := strings.Builder{}
	for i := range 100 {
		fmt.Fprintf(&manyNames, `"n%d":0,`, i)
	}
	for name, test := range map[string]struct{ content, want string }{
		"equal names":         {`{"a":1,"a":2}`, `the name "a" appears twice`},
		"equal by escape":     {`{"payload":1,"p\u0061yload":2}`, `the name "payload" appears twice`},
		"equal far down":      {`{"a":[{"b":{"c":1,"d":2,"c":3}}]}`, `the name "c" appears twice`},
		"equal among many":    {`{` + manyNames.String() + `"n7":1}`, `the name "n7" appears twice`},
		"data after it":       {`{} {}`, "byte 4"},
		"text after it":       {`{}x`, "byte 3"},
		"array":               {`[]`, "want a JSON object, found an array"},
		"string":              {`"{}"`, "want a JSON object, found a string"},
		"number":              {`12`, "want a JSON object, found a number"},
		"null":                {`null`, "want a JSON object, found null"},
		"nothing":             {"", "is empty"},
		"space":               {" \n", "is empty"},
		"broken":              {`{"a":`, "byte 5"},
		"comment":             {`{"a":1 /* */}`, "byte 8"},
		"trailing comma":      {`{"a":1,}`, "byte 8"},
		"broken UTF-8":        {"{\"a\":\"\xff\"}", "not valid UTF-8"},
		"byte order mark":     {"\ufeff{}", "byte 1"},
		"deeper than allowed": {strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9), "bound of 8 levels"},
		"arrays in arrays":    {`{"a":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + "}", "bound of 8 levels"},
		"too many values":     {`{"a":[` + strings.Repeat("0,", 500) + `0]}`, "bound of 400 values"},
	} {
		_, err := strictjson.Object([]byte(test.content), "thing", strictjson.Bounds{Depth: 8, Values: 400})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "thing") {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
	if _, err := strictjson.Object([]byte(strings.Repeat(`{"a":`, 8)+"1"+strings.Repeat("}", 8)), "thing", strictjson.Bounds{Depth: 8}); err != nil {
		t.Errorf("at the bound: %v", err)
	}
}

func TestDefaultDepth(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)) }
	if _, err := strictjson.Object(nested(limit.JSONDepth), "thing", strictjson.Bounds{}); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	var over *limit.Error
	if _, err := strictjson.Object(nested(limit.JSONDepth+1), "thing", strictjson.Bounds{}); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
}

func TestOpenNames(t *testing.T) {
	var content strings.Builder
	content.WriteByte('{')
	for i := range 200_001 {
		fmt.Fprintf(&content, "\"%x\":0,", i)
	}
	content.WriteString(`"":0}`)
	var over *limit.Error
	if _, err := strictjson.Object([]byte(content.String()), "thing", strictjson.Bounds{}); !errors.As(err, &over) {
		t.Errorf("got %v, want the bound on names", err)
	}
}

func TestMembersRefuse(t *testing.T) {
	members, err := strictjson.Object([]byte(`{"text":"x","list":[1,2],"number":1,"object":{}}`), "thing", strictjson.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := members.String("number"); err == nil || err.Error() != `"number": want a string, found a number` {
		t.Errorf("String of a number: %v", err)
	}
	if _, err := members.List("text", 9); err == nil {
		t.Error("List of a string: no error")
	}
	if _, err := members.Object("list"); err == nil {
		t.Error("Object of a list: no error")
	}
	if _, err := members.Strings("list"); err == nil {
		t.Error("Strings of a list: no error")
	}
	var over *limit.Error
	if _, err := members.List("list", 1); !errors.As(err, &over) {
		t.Errorf("List over its bound: %v", err)
	}
	// Names are exact: encoding/json would take "TEXT" for "text".
	if text, err := members.String("TEXT"); text != "" || err != nil {
		t.Errorf("String of a name in another case: %q, %v", text, err)
	}
}

func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,{"b":null}],"c":"\u0061\""}`, `{"a":1,"a":1}`, `{"a":-0.5e+7 , "":[[]]}`, ` {"x" :true}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		members, err := strictjson.Object(content, "fuzz", strictjson.Bounds{})
		if err != nil {
			return
		}
		// What is accepted is what encoding/json sees too.
		var other map[string]json.RawMessage
		if err := json.Unmarshal(content, &other); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if len(other) != len(members) {
			t.Fatalf("%d members, encoding/json has %d", len(members), len(other))
		}
		for name, text := range members {
			if string(other[name]) != string(text) {
				t.Fatalf("member %q is %s, encoding/json has %s", name, text, other[name])
			}
			members.List(name, 10)
			members.Strings(name)
			members.String(name)
		}
	})
}

func TestTexts(t *testing.T) {
	members, err := strictjson.Object([]byte(`{"a":"x","b":1,"c":true}`), "x", strictjson.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	texts := strictjson.Texts{Members: members}
	if texts.Get("a") != "x" || texts.Get("none") != "" || texts.Err != nil {
		t.Errorf("got %v", texts.Err)
	}
	if texts.Get("b") != "" || texts.Get("c") != "" || texts.Err == nil || !strings.Contains(texts.Err.Error(), `"b"`) {
		t.Errorf("the first error is not kept: %v", texts.Err)
	}
}
