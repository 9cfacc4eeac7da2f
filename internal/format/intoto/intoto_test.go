package intoto_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/intoto"
)

var hello = subject.Of([]byte("hello"))

func TestRoundTrip(t *testing.T) {
	about := intoto.SubjectOf("registry.example.com/app", hello)
	about.Digest["sha1"] = "aaf4"
	about.Annotations = map[string]string{"b": "<2>", "a": "1"}
	statement := intoto.New([]intoto.Subject{about}, "https://example.com/p/v1", json.RawMessage("{ \"x\": [1, \"<>\"] }"))
	content, err := intoto.Encode(statement)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"registry.example.com/app","digest":{"sha1":"aaf4","sha256":"` +
		hello.Hex() + `"},"annotations":{"a":"1","b":"<2>"}}],"predicateType":"https://example.com/p/v1","predicate":{"x":[1,"<>"]}}`
	if string(content) != want {
		t.Errorf("got  %s\nwant %s", content, want)
	}
	got, err := intoto.Decode(content)
	if err != nil {
		t.Fatal(err)
	}
	statement.Predicate = json.RawMessage(`{"x":[1,"<>"]}`)
	if diff := cmp.Diff(statement, got); diff != "" {
		t.Error(diff)
	}
}

// TestDecodeOld has a statement as cosign 3 attests it, and one of v1 with
// all that a resource descriptor may hold and no predicate.
func TestDecodeOld(t *testing.T) {
	got, err := intoto.Decode([]byte(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","subject":[{"name":"r","digest":{"sha256":"` + hello.Hex() + `"}}],"predicate":{"spdxVersion":"SPDX-2.3"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Type != intoto.V01 || !got.Subjects[0].Is(hello) {
		t.Errorf("got %+v", got)
	}
	got, err = intoto.Decode([]byte(`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","extra":1,"subject":[{"uri":"u","content":"YQ==","mediaType":"m","downloadLocation":"d","annotations":{"s":"x","n":1},"digest":{"gitCommit":"ab"}}],"predicate":null}`))
	if err != nil {
		t.Fatal(err)
	}
	want := intoto.Statement{
		Type: intoto.V1, PredicateType: "t", Predicate: json.RawMessage("{}"),
		Subjects: []intoto.Subject{{URI: "u", Digest: map[string]string{"gitCommit": "ab"}, Annotations: map[string]string{"s": "x"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestIs(t *testing.T) {
	for name, test := range map[string]struct {
		digest map[string]string
		want   bool
	}{
		"same":             {map[string]string{"sha256": hello.Hex()}, true},
		"beside another":   {map[string]string{"sha1": "00", "sha256": hello.Hex()}, true},
		"wrong algorithm":  {map[string]string{"sha512": hello.Hex()}, false},
		"algorithm's case": {map[string]string{"SHA256": hello.Hex()}, false},
		"upper-case hex":   {map[string]string{"sha256": strings.ToUpper(hello.Hex())}, false},
		"with its prefix":  {map[string]string{"sha256": hello.String()}, false},
		"shortened":        {map[string]string{"sha256": hello.Hex()[:12]}, false},
	} {
		if got := (intoto.Subject{Digest: test.digest}).Is(hello); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if (intoto.Subject{Digest: map[string]string{"": ""}}).Is(subject.Digest{}) {
		t.Error("the zero digest matched")
	}
}

func TestDecodeRefuses(t *testing.T) {
	one := `{"digest":{"sha256":"ab"}}`
	digests := strings.Builder{}
	for i := range 33 {
		fmt.Fprintf(&digests, `,"a%d":"ab"`, i)
	}
	for name, test := range map[string]struct{ content, want string }{
		"no type":           {`{"predicateType":"t","subject":[` + one + `]}`, `"_type": want`},
		"other version":     {`{"_type":"https://in-toto.io/Statement/v2","predicateType":"t","subject":[` + one + `]}`, "Statement/v2"},
		"no predicate type": {`{"_type":"https://in-toto.io/Statement/v1","subject":[` + one + `]}`, `"predicateType" is missing`},
		"no subject":        {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[]}`, `"subject" is empty`},
		"subject absent":    {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t"}`, `"subject" is empty`},
		"no digest":         {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[` + one + `,{"name":"x"}]}`, "subject 1: has no digest"},
		"empty digest":      {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"digest":{}}]}`, "has no digest"},
		"empty value":       {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"digest":{"sha256":""}}]}`, "empty algorithm or value"},
		"digest a list":     {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"digest":["sha256"]}]}`, "want a JSON object"},
		"value a number":    {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"digest":{"sha256":1}}]}`, "want a string"},
		"many digests":      {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"digest":{"sha256":"ab"` + digests.String() + `}}]}`, "bound of 32"},
		"predicate a list":  {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[` + one + `],"predicate":[]}`, "want an object"},
		"predicate text":    {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[` + one + `],"predicate":"{}"}`, "want an object"},
		"two subjects sets": {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[` + one + `],"subject":[` + one + `]}`, "appears twice"},
		"two types":         {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","predicateType":"u","subject":[` + one + `]}`, "appears twice"},
		"two in predicate":  {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[` + one + `],"predicate":{"result":[],"result":[1]}}`, "appears twice"},
		"type in a list":    {`{"_type":["https://in-toto.io/Statement/v1"],"predicateType":"t","subject":[` + one + `]}`, "want a string"},
		"data after it":     {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[` + one + `]}]`, "byte"},
	} {
		if _, err := intoto.Decode([]byte(test.content)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
}

func TestBounds(t *testing.T) {
	subjects := func(n int) []byte {
		return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"digest":{"sha256":"ab"}}%s]}`,
			strings.Repeat(`,{"digest":{"sha256":"ab"}}`, n-1))
	}
	if _, err := intoto.Decode(subjects(limit.Subjects)); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	deep := `{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"digest":{"sha256":"ab"}}],"predicate":` +
		strings.Repeat(`{"a":`, limit.JSONDepth) + "1" + strings.Repeat("}", limit.JSONDepth) + "}"
	for name, content := range map[string][]byte{
		"subjects": subjects(limit.Subjects + 1), "depth": []byte(deep), "bytes": make([]byte, limit.Evidence+1),
	} {
		var over *limit.Error
		if _, err := intoto.Decode(content); !errors.As(err, &over) {
			t.Errorf("%s over the bound: got %v", name, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	about := []intoto.Subject{intoto.SubjectOf("", hello)}
	for name, statement := range map[string]intoto.Statement{
		"no subject":     intoto.New(nil, "t", nil),
		"no digest":      intoto.New([]intoto.Subject{{Name: "x"}}, "t", nil),
		"no type":        intoto.New(about, "", nil),
		"list":           intoto.New(about, "t", json.RawMessage("[]")),
		"broken":         intoto.New(about, "t", json.RawMessage("{")),
		"zero statement": {},
	} {
		if content, err := intoto.Encode(statement); err == nil {
			t.Errorf("%s: wrote %s", name, content)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"name":"n","digest":{"sha256":"ab"},"annotations":{"a":"b"}}],"predicate":{"a":[1]}}`))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"t","subject":[{"digest":{"a":"b"}}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := intoto.Decode(content)
		if err != nil {
			return
		}
		written, err := intoto.Encode(s)
		if err != nil {
			t.Fatalf("read but cannot write: %v", err)
		}
		if _, err := intoto.Decode(written); err != nil {
			t.Fatalf("wrote but cannot read: %v", err)
		}
	})
}
