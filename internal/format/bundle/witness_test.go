package bundle_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/bundle"
)

var (
	body = []byte(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{}}`)
	v1   = bundle.LogEntry{
		LogID: []byte("log"), Index: 7, IntegratedTime: 5, Kind: "hashedrekord", Version: "0.0.1", Body: body, Promise: []byte("promise"),
		Proof: &bundle.Proof{Index: 1, Size: 2, Root: []byte("root"), Hashes: [][]byte{[]byte("hash")}, Checkpoint: "checkpoint"},
	}
	v2 = bundle.LogEntry{
		LogID: []byte("log 2"), Index: 1, Kind: "hashedrekord", Version: "0.0.2", Body: []byte(`{"apiVersion":"0.0.2","kind":"hashedrekord"}`),
		Proof: &bundle.Proof{Index: 1, Size: 2, Root: []byte("root"), Checkpoint: "checkpoint"},
	}
	signed = bundle.Message{Algorithm: "sha256", Digest: []byte("digest"), Signature: []byte("signature")}
)

func TestEncodeWith(t *testing.T) {
	for name, want := range map[string]bundle.Bundle{
		"a certificate": {Version: "0.3", Envelope: envelope, Certificates: [][]byte{[]byte("leaf")}},
		"a file":        {Version: "0.3", Message: &signed, KeyHint: "hint"},
		"no hint":       {Version: "0.3", Message: &signed},
		"witnesses": {
			Version: "0.3", Envelope: envelope, Certificates: [][]byte{[]byte("leaf")},
			Entries: []bundle.LogEntry{v1, v2}, Timestamps: [][]byte{[]byte("one"), []byte("two")},
		},
		"a long digest": {Version: "0.3", Message: &bundle.Message{Algorithm: "sha512", Digest: []byte("x"), Signature: []byte("y")}},
	} {
		content, err := bundle.EncodeWith(want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := bundle.EncodeWith(want)
		if err != nil || string(again) != string(content) {
			t.Errorf("%s: not the same bytes again, %v", name, err)
		}
		got, err := bundle.Decode(content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	chain := bundle.Bundle{Envelope: envelope, Certificates: [][]byte{[]byte("leaf"), []byte("issuer")}}
	content, err := bundle.EncodeWith(chain)
	if err != nil || strings.Contains(string(content), "x509CertificateChain") {
		t.Errorf("a chain in version 0.3: %s, %v", content, err)
	}
}

func TestEncodeWithRefuses(t *testing.T) {
	entry := func(change func(*bundle.LogEntry)) bundle.Bundle {
		e, proof := v1, *v1.Proof
		e.Proof = &proof
		change(&e)
		return bundle.Bundle{Envelope: envelope, Entries: []bundle.LogEntry{e}}
	}
	for name, test := range map[string]struct {
		b    bundle.Bundle
		want string
	}{
		"nothing":               {bundle.Bundle{}, "no payloadType"},
		"unknown digest":        {bundle.Bundle{Message: &bundle.Message{Algorithm: "md5", Digest: []byte("x"), Signature: []byte("y")}}, `"md5" is not known`},
		"no digest":             {bundle.Bundle{Message: &bundle.Message{Algorithm: "sha256", Signature: []byte("y")}}, "digest is empty"},
		"no signature":          {bundle.Bundle{Message: &bundle.Message{Algorithm: "sha256", Digest: []byte("x")}}, "signature is empty"},
		"an empty certificate":  {bundle.Bundle{Envelope: envelope, Certificates: [][]byte{{}}}, "certificate 0 is empty"},
		"an empty timestamp":    {bundle.Bundle{Envelope: envelope, Timestamps: [][]byte{{}}}, "timestamp 0: is empty"},
		"no log":                {entry(func(e *bundle.LogEntry) { e.LogID = nil }), "names no log"},
		"negative index":        {entry(func(e *bundle.LogEntry) { e.Index = -1 }), "negative"},
		"negative time":         {entry(func(e *bundle.LogEntry) { e.IntegratedTime = -1 }), "negative"},
		"negative size":         {entry(func(e *bundle.LogEntry) { e.Proof.Size = -1 }), "negative"},
		"no promise nor proof":  {entry(func(e *bundle.LogEntry) { e.Promise, e.Proof = nil, nil }), "neither an inclusion promise"},
		"no proof":              {entry(func(e *bundle.LogEntry) { e.Proof = nil }), "wants log entries with an inclusion proof"},
		"no checkpoint":         {entry(func(e *bundle.LogEntry) { e.Proof.Checkpoint = "" }), "no checkpoint"},
		"no body":               {entry(func(e *bundle.LogEntry) { e.Body = nil }), "its body"},
		"a body of another":     {entry(func(e *bundle.LogEntry) { e.Kind = "dsse" }), `kindVersion says "dsse"`},
		"a body twice the same": {entry(func(e *bundle.LogEntry) { e.Body = []byte(`{"kind":"x","kind":"hashedrekord","apiVersion":"0.0.1"}`) }), "appears twice"},
	} {
		if content, err := bundle.EncodeWith(test.b); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: wrote %s, %v; want %q in it", name, content, err, test.want)
		}
	}
}

func TestWitnessBounds(t *testing.T) {
	large := func(n int) []byte { return make([]byte, n) }
	spaced := func(n int) []byte { return append(append([]byte{}, body...), strings.Repeat(" ", n-len(body))...) }
	entry := func(change func(*bundle.LogEntry, int)) func(int) bundle.Bundle {
		return func(n int) bundle.Bundle {
			e, proof := v1, *v1.Proof
			e.Proof = &proof
			change(&e, n)
			return bundle.Bundle{Envelope: envelope, Entries: []bundle.LogEntry{e}}
		}
	}
	for name, test := range map[string]struct {
		bound int
		make  func(n int) bundle.Bundle
	}{
		"log entries": {limit.LogEntries, func(n int) bundle.Bundle {
			return bundle.Bundle{Envelope: envelope, Entries: append(make([]bundle.LogEntry, 0), repeat(v1, n)...)}
		}},
		"timestamps": {limit.Timestamps, func(n int) bundle.Bundle {
			return bundle.Bundle{Envelope: envelope, Timestamps: repeat([]byte("x"), n)}
		}},
		"a certificate": {limit.Certificate, func(n int) bundle.Bundle { return bundle.Bundle{Envelope: envelope, Certificates: [][]byte{large(n)}} }},
		"a timestamp":   {limit.Timestamp, func(n int) bundle.Bundle { return bundle.Bundle{Envelope: envelope, Timestamps: [][]byte{large(n)}} }},
		"a body":        {limit.LogEntry, entry(func(e *bundle.LogEntry, n int) { e.Body = spaced(n) })},
		"a promise":     {limit.LogSignature, entry(func(e *bundle.LogEntry, n int) { e.Promise = large(n) })},
		"a checkpoint":  {limit.LogSignature, entry(func(e *bundle.LogEntry, n int) { e.Proof.Checkpoint = strings.Repeat("x", n) })},
		"hashes":        {limit.ProofHashes, entry(func(e *bundle.LogEntry, n int) { e.Proof.Hashes = repeat([]byte("x"), n) })},
		"a hash":        {64, entry(func(e *bundle.LogEntry, n int) { e.Proof.Hashes = [][]byte{large(n)} })},
		"a root":        {64, entry(func(e *bundle.LogEntry, n int) { e.Proof.Root = large(n) })},
		"a log's name":  {64, entry(func(e *bundle.LogEntry, n int) { e.LogID = large(n) })},
	} {
		if _, err := bundle.EncodeWith(test.make(test.bound)); err != nil {
			t.Errorf("%s at the bound: %v", name, err)
		}
		var over *limit.Error
		if _, err := bundle.EncodeWith(test.make(test.bound + 1)); !errors.As(err, &over) || over.Bound != int64(test.bound) {
			t.Errorf("%s over the bound: %v", name, err)
		}
	}
	certificate := `{"rawBytes":"YQ=="}`
	chain := func(n int) string {
		return strings.Replace(encode(t), `"publicKey":{"hint":"`+key(t).Hint()+`"}`,
			`"x509CertificateChain":{"certificates":[`+certificate+strings.Repeat(","+certificate, n-1)+`]}`, 1)
	}
	if _, err := bundle.Decode([]byte(chain(limit.Certificates))); err != nil {
		t.Errorf("a chain at the bound: %v", err)
	}
	var over *limit.Error
	if _, err := bundle.Decode([]byte(chain(limit.Certificates + 1))); !errors.As(err, &over) {
		t.Errorf("a chain over the bound: %v", err)
	}
}

func repeat[T any](one T, n int) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = one
	}
	return list
}

// TestVersions: what each version demands of log entries.
func TestVersions(t *testing.T) {
	good, err := bundle.EncodeWith(bundle.Bundle{Envelope: envelope, Entries: []bundle.LogEntry{v1}})
	if err != nil {
		t.Fatal(err)
	}
	promise, proof := strings.Index(string(good), `"inclusionPromise"`), strings.Index(string(good), `"inclusionProof"`)
	end := strings.Index(string(good), `"canonicalizedBody"`)
	without := func(from, to int) string { return string(good[:from]) + string(good[to:]) }
	for _, test := range []struct {
		version, content, want string
	}{
		{"0.1", string(good), ""}, {"0.2", string(good), ""}, {"0.3", string(good), ""},
		{"0.1", without(proof, end), ""}, {"0.2", without(proof, end), "inclusion proof"}, {"0.3", without(proof, end), "inclusion proof"},
		{"0.1", without(promise, proof), "signed timestamp"}, {"0.2", without(promise, proof), ""}, {"0.3", without(promise, proof), ""},
	} {
		content := strings.Replace(test.content, bundle.MediaType, "application/vnd.dev.sigstore.bundle+json;version="+test.version, 1)
		b, err := bundle.Decode([]byte(content))
		if test.want == "" && (err != nil || b.Version != test.version) {
			t.Errorf("%s: version %s, %v", test.version, b.Version, err)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q in it", test.version, err, test.want)
		}
	}
}

func TestLegacy(t *testing.T) {
	want := bundle.Bundle{Certificates: [][]byte{[]byte("leaf"), []byte("issuer"), []byte("root")}, Timestamps: [][]byte{[]byte("stamp")}}
	promised := v1
	promised.Proof = nil
	want.Entries = []bundle.LogEntry{promised}
	b := bundle.Bundle{Certificates: want.Certificates[:1], Entries: []bundle.LogEntry{v2, v1}, Timestamps: [][]byte{[]byte("stamp"), []byte("another")}}
	legacy := bundle.Split(b, want.Certificates[1:])
	got, err := legacy.Join()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// As cosign writes them.
	if wantJSON := `{"SignedEntryTimestamp":"cHJvbWlzZQ==","Payload":{"body":"eyJhcGlWZXJzaW9uIjoiMC4wLjEiLCJraW5kIjoiaGFzaGVkcmVrb3JkIiwic3BlYyI6e319","integratedTime":5,"logIndex":7,"logID":"6c6f67"}}`; legacy.LogEntry != wantJSON {
		t.Errorf("got  %s\nwant %s", legacy.LogEntry, wantJSON)
	}
	if wantJSON := `{"SignedRFC3161Timestamp":"c3RhbXA="}`; legacy.Timestamp != wantJSON {
		t.Errorf("got %s", legacy.Timestamp)
	}
	if !strings.HasPrefix(legacy.Certificate, "-----BEGIN CERTIFICATE-----\n") || strings.Count(legacy.Chain, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("certificate %s, chain %s", legacy.Certificate, legacy.Chain)
	}
	if none := bundle.Split(bundle.Bundle{Entries: []bundle.LogEntry{v2}}, nil); none != (bundle.Legacy{}) {
		t.Errorf("of a key and a log of the second kind: %+v", none)
	}
	if nothing, err := (bundle.Legacy{}).Join(); err != nil || nothing.Certificates != nil || nothing.Entries != nil {
		t.Errorf("of nothing: %+v, %v", nothing, err)
	}
}

func TestLegacyRefuses(t *testing.T) {
	good := bundle.Split(bundle.Bundle{Certificates: [][]byte{[]byte("leaf")}, Entries: []bundle.LogEntry{v1}, Timestamps: [][]byte{[]byte("stamp")}}, [][]byte{[]byte("issuer")})
	for name, test := range map[string]struct {
		change func(*bundle.Legacy)
		want   string
	}{
		"certificate, no PEM": {func(l *bundle.Legacy) { l.Certificate = "leaf" }, "cosign/certificate: is no PEM"},
		"certificate, half":   {func(l *bundle.Legacy) { l.Certificate = "-----BEGIN CERTIFICATE-----\nbGVhZg==\n" }, "is no PEM"},
		"certificate, headers": {func(l *bundle.Legacy) {
			l.Certificate = "-----BEGIN CERTIFICATE-----\nA: b\n\nbGVhZg==\n-----END CERTIFICATE-----\n"
		}, "has headers"},
		"certificate, empty":   {func(l *bundle.Legacy) { l.Certificate = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" }, "is empty"},
		"certificate, blank":   {func(l *bundle.Legacy) { l.Certificate = " " }, "found 0"},
		"chain, text behind":   {func(l *bundle.Legacy) { l.Chain += "text" }, "cosign/chain: is no PEM"},
		"entry, no JSON":       {func(l *bundle.Legacy) { l.LogEntry = "x" }, "cosign/bundle"},
		"entry, no promise":    {func(l *bundle.Legacy) { l.LogEntry = strings.Replace(l.LogEntry, `"cHJvbWlzZQ=="`, `""`, 1) }, "missing or empty"},
		"entry, no payload":    {func(l *bundle.Legacy) { l.LogEntry = `{"SignedEntryTimestamp":"YQ=="}` }, "cosign/bundle"},
		"entry, no body":       {func(l *bundle.Legacy) { l.LogEntry = strings.Replace(l.LogEntry, `"body":`, `"Body":`, 1) }, `"body" is missing`},
		"entry, body no kind":  {func(l *bundle.Legacy) { l.LogEntry = strings.Replace(l.LogEntry, `"eyJ`, `"W3J`, 1) }, "its body"},
		"entry, no time":       {func(l *bundle.Legacy) { l.LogEntry = strings.Replace(l.LogEntry, `"integratedTime":5,`, ``, 1) }, `"integratedTime" is no whole number`},
		"entry, half a second": {func(l *bundle.Legacy) { l.LogEntry = strings.Replace(l.LogEntry, `:5,`, `:5.5,`, 1) }, `"integratedTime" is no whole number`},
		"entry, index in text": {func(l *bundle.Legacy) { l.LogEntry = strings.Replace(l.LogEntry, `:7,`, `:"7",`, 1) }, `"logIndex" is no whole number`},
		"entry, negative":      {func(l *bundle.Legacy) { l.LogEntry = strings.Replace(l.LogEntry, `:7,`, `:-7,`, 1) }, "negative"},
		"entry, log not hex":   {func(l *bundle.Legacy) { l.LogEntry = strings.Replace(l.LogEntry, `"6c6f67"`, `"log"`, 1) }, "logID"},
		"entry, no log":        {func(l *bundle.Legacy) { l.LogEntry = strings.Replace(l.LogEntry, `"6c6f67"`, `""`, 1) }, "names no log"},
		"timestamp, no JSON":   {func(l *bundle.Legacy) { l.Timestamp = "x" }, "cosign/rfc3161timestamp"},
		"timestamp, empty":     {func(l *bundle.Legacy) { l.Timestamp = "{}" }, "missing or empty"},
		"timestamp, no base64": {func(l *bundle.Legacy) { l.Timestamp = `{"SignedRFC3161Timestamp":"!"}` }, "illegal base64"},
	} {
		changed := good
		test.change(&changed)
		if changed == good {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := changed.Join(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
	}
}

func FuzzLegacy(f *testing.F) {
	l := bundle.Split(bundle.Bundle{Certificates: [][]byte{[]byte("leaf")}, Entries: []bundle.LogEntry{v1}, Timestamps: [][]byte{[]byte("stamp")}}, [][]byte{[]byte("issuer")})
	f.Add(l.Certificate, l.Chain, l.LogEntry, l.Timestamp)
	f.Add("", "", l.LogEntry, "")
	f.Add(l.Certificate+l.Certificate, "-----BEGIN ", `{"Payload":{}}`, `{}`)
	f.Fuzz(func(t *testing.T, certificate, chain, entry, timestamp string) {
		b, err := bundle.Legacy{Certificate: certificate, Chain: chain, LogEntry: entry, Timestamp: timestamp}.Join()
		if err != nil {
			return
		}
		var issuers [][]byte
		if len(b.Certificates) > 0 {
			issuers = b.Certificates[1:]
		}
		again, err := bundle.Split(b, issuers).Join()
		if err != nil {
			t.Fatalf("read but not again: %v", err)
		}
		if diff := cmp.Diff(b, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
