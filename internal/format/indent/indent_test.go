package indent_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/indent"
)

// standard is what encoding/json writes.
func standard(t *testing.T, value any) string {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEncode(t *testing.T) {
	for _, value := range []any{
		nil, true, 1.5, "", "a\"b\\", `\`, "<a & b>", []int{}, []int{1}, map[string]int{}, struct{}{},
		map[string]any{"a": []any{1, "x:,{}[]\"\\", nil, map[string]any{}, []any{}, []any{[]any{}}}, "b": map[string]any{"c": false}},
		json.RawMessage(` { "a" : [ ] , "b":[ 1 ,2]} `),
	} {
		var b bytes.Buffer
		if err := indent.Encode(&b, value); err != nil || b.String() != standard(t, value) {
			t.Errorf("%#v: %v\n%s\nwant\n%s", value, err, b.String(), standard(t, value))
		}
	}
	if err := indent.Encode(&bytes.Buffer{}, make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
	if err := indent.Encode(full{}, "text"); err == nil || err.Error() != "disk full" {
		t.Errorf("a writer that fails: %v", err)
	}
}

func TestWriter(t *testing.T) {
	type head struct {
		A int
		B string `json:",omitempty"`
	}
	type whole struct {
		head
		C []any
		D map[string]int
		E []any
	}
	want := whole{head: head{A: 1, B: "<"}, C: []any{1, "x", []int{}, []int{2, 3}}, D: map[string]int{"y": 1}, E: []any{}}
	var b bytes.Buffer
	out := indent.NewWriter(&b)
	out.Object(func() {
		out.Members(want.head)
		out.Members(struct{}{})
		out.Name("C")
		out.Array(func() {
			out.Value(1)
			out.Value("x")
			out.Array(func() {})
			out.Array(func() { out.Value(2); out.Value(3) })
		})
		out.Name("D")
		out.Value(want.D)
		out.Name("E")
		out.Array(func() {})
	})
	if err := out.Close(); err != nil || b.String() != standard(t, want) {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), standard(t, want))
	}
	out = indent.NewWriter(&b)
	out.Members(1)
	if err := out.Close(); err == nil {
		t.Error("a number has no members, and no error")
	}
}

// full is a writer without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func FuzzEncode(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{},[],"\"\\u0000"],"b":{"c":null}}`, `[]`, `"\\"`, `{"":[{}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var value any
		if json.Unmarshal(content, &value) != nil {
			return
		}
		var b bytes.Buffer
		if err := indent.Encode(&b, value); err != nil || b.String() != standard(t, value) {
			t.Errorf("%q: %v\n%s", content, err, b.String())
		}
	})
}
