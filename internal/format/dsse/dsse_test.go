package dsse_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

// TestPAE has the example of DSSE's protocol.md.
func TestPAE(t *testing.T) {
	got := string(dsse.PAE("http://example.com/HelloWorld", []byte("hello world")))
	if want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(dsse.PAE("", nil)); got != "DSSEv1 0  0 " {
		t.Errorf("empty: got %q", got)
	}
	if got := string(dsse.PAE("é", []byte("é"))); got != "DSSEv1 2 é 2 é" {
		t.Errorf("lengths are bytes: got %q", got)
	}
}

var whole = dsse.Envelope{
	PayloadType: dsse.InToto,
	Payload:     []byte("{\"a\":\"<\xff>\"}"),
	Signatures:  []dsse.Signature{{Sig: []byte{0xfb, 0xff, 0xfe}}, {KeyID: "k", Sig: []byte("x")}},
}

func TestRoundTrip(t *testing.T) {
	content, err := dsse.Encode(whole)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"payload":"eyJhIjoiPP8+In0=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"+//+"},{"keyid":"k","sig":"eA=="}]}`
	if string(content) != want {
		t.Errorf("got  %s\nwant %s", content, want)
	}
	// The URL-safe alphabet, with and without padding, and unknown members.
	urlSafe := strings.NewReplacer("PP8+In0=", "PP8-In0", "+//+", "-__-").Replace(want)
	urlSafe = strings.Replace(urlSafe, `{"payload"`, `{"new":{"payload":1},"payload"`, 1)
	for _, text := range []string{want, urlSafe} {
		got, err := dsse.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"two payloads":       {`{"payload":"YQ==","payload":"Yg==","payloadType":"t","signatures":[{"sig":"YQ=="}]}`, "appears twice"},
		"two types":          {`{"payload":"YQ==","payloadType":"t","payloadType":"t","signatures":[{"sig":"YQ=="}]}`, "appears twice"},
		"two signature sets": {`{"payload":"YQ==","payloadType":"t","signatures":[{"sig":"YQ=="}],"signatures":[]}`, "appears twice"},
		"two sigs":           {`{"payload":"YQ==","payloadType":"t","signatures":[{"sig":"YQ==","sig":"Yg=="}]}`, "appears twice"},
		"other case":         {`{"Payload":"YQ==","payloadType":"t","signatures":[{"sig":"YQ=="}]}`, "no payload"},
		"data after it":      {`{"payload":"YQ==","payloadType":"t","signatures":[{"sig":"YQ=="}]}{}`, "byte"},
		"no type":            {`{"payload":"YQ==","signatures":[{"sig":"YQ=="}]}`, "no payloadType"},
		"no payload":         {`{"payloadType":"t","signatures":[{"sig":"YQ=="}]}`, "no payload"},
		"no signature":       {`{"payload":"YQ==","payloadType":"t","signatures":[]}`, "no signature"},
		"null signatures":    {`{"payload":"YQ==","payloadType":"t","signatures":null}`, "no signature"},
		"empty signature":    {`{"payload":"YQ==","payloadType":"t","signatures":[{"sig":""}]}`, "signature 0 is empty"},
		"mixed alphabets":    {`{"payload":"-_+/","payloadType":"t","signatures":[{"sig":"YQ=="}]}`, "illegal base64"},
		"loose bits":         {`{"payload":"YR==","payloadType":"t","signatures":[{"sig":"YQ=="}]}`, "illegal base64"},
		"line end":           {`{"payload":"Y\nQ==","payloadType":"t","signatures":[{"sig":"YQ=="}]}`, "line end"},
		"padding inside":     {`{"payload":"YQ==YQ==","payloadType":"t","signatures":[{"sig":"YQ=="}]}`, "illegal base64"},
		"number":             {`{"payload":1,"payloadType":"t","signatures":[{"sig":"YQ=="}]}`, "want a string"},
		"signature a string": {`{"payload":"YQ==","payloadType":"t","signatures":["YQ=="]}`, "want a JSON object"},
		"signatures object":  {`{"payload":"YQ==","payloadType":"t","signatures":{"sig":"YQ=="}}`, "want an array"},
	} {
		if _, err := dsse.Decode([]byte(test.content)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
}

func TestBounds(t *testing.T) {
	signatures := func(n int) []byte {
		return fmt.Appendf(nil, `{"payload":"YQ==","payloadType":"t","signatures":[{"sig":"YQ=="}%s]}`, strings.Repeat(`,{"sig":"YQ=="}`, n-1))
	}
	if _, err := dsse.Decode(signatures(limit.Signatures)); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	var over *limit.Error
	if _, err := dsse.Decode(signatures(limit.Signatures + 1)); !errors.As(err, &over) {
		t.Errorf("signatures over the bound: %v", err)
	}
	over = nil
	if _, err := dsse.Decode(make([]byte, limit.Evidence+1)); !errors.As(err, &over) {
		t.Errorf("bytes over the bound: %v", err)
	}
	many := whole
	many.Signatures = make([]dsse.Signature, limit.Signatures+1)
	if _, err := dsse.Encode(many); err == nil {
		t.Error("wrote more signatures than are read")
	}
	if _, err := dsse.Encode(dsse.Envelope{PayloadType: "t", Payload: []byte("p")}); err == nil {
		t.Error("wrote an envelope without a signature")
	}
}

func TestInTotoPayload(t *testing.T) {
	for payloadType, want := range map[string]bool{
		"application/vnd.in-toto+json":                  true,
		"application/vnd.in-toto.provenance+json":       true,
		"application/vnd.in-toto.slsa.v1+json":          true,
		"application/vnd.in-toto.+json":                 false,
		"application/vnd.in-toto.a b+json":              false,
		"application/vnd.in-toto.a+json+json":           false,
		"application/vnd.in-toto.a/b+json":              false,
		"application/vnd.in-toto+jso":                   false,
		"application/vnd.in-toto+json;charset=utf-8":    false,
		"Application/vnd.in-toto+json":                  false,
		"application/json":                              false,
		"":                                              false,
		"application/vnd.in-totox+json":                 false,
		"xapplication/vnd.in-toto.provenance+json":      false,
		"application/vnd.in-toto.provenance+json\x00":   false,
		"application/vnd.dev.cosign.simplesigning+json": false,
	} {
		if got := dsse.InTotoPayload(payloadType); got != want {
			t.Errorf("%q: got %v, want %v", payloadType, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	seed, err := dsse.Encode(whole)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"payload":"YQ","payloadType":"t","signatures":[{"sig":"_-8"}]}`))
	f.Add([]byte(`{"payload":"` + base64.StdEncoding.EncodeToString([]byte("{}")) + `","signatures":[null]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		e, err := dsse.Decode(content)
		if err != nil {
			return
		}
		written, err := dsse.Encode(e)
		if err != nil {
			t.Fatalf("read but cannot write: %v", err)
		}
		again, err := dsse.Decode(written)
		if err != nil {
			t.Fatalf("wrote but cannot read: %v", err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
