package bundle_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

var envelope = dsse.Envelope{
	PayloadType: dsse.InToto, Payload: []byte(`{"a":"<>"}`), Signatures: []dsse.Signature{{Sig: []byte("signature")}},
}

// entry is a log entry of a form that can be read.
const entry = `{"logIndex":"1","logId":{"keyId":"YQ=="},"kindVersion":{"kind":"dsse","version":"0.0.1"},"integratedTime":"5","inclusionPromise":{"signedEntryTimestamp":"YQ=="},` +
	`"inclusionProof":{"logIndex":"1","rootHash":"YQ==","treeSize":"2","hashes":["YQ=="],"checkpoint":{"envelope":"x"}},"canonicalizedBody":"eyJhcGlWZXJzaW9uIjoiMC4wLjEiLCJraW5kIjoiZHNzZSJ9"}`

func key(t testing.TB) identity.Key {
	t.Helper()
	id, err := identity.KeyOf(ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func encode(t testing.TB) string {
	t.Helper()
	content, err := bundle.Encode(envelope, key(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestRoundTrip(t *testing.T) {
	want := `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"` + key(t).Hint() +
		`"}},"dsseEnvelope":{"payload":"eyJhIjoiPD4ifQ==","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"c2lnbmF0dXJl"}]}}`
	content := encode(t)
	if content != want {
		t.Errorf("got  %s\nwant %s", content, want)
	}
	got, err := bundle.Decode([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bundle.Bundle{Version: "0.3", Envelope: envelope, KeyHint: key(t).Hint()}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeForms(t *testing.T) {
	good := encode(t)
	hint := `"publicKey":{"hint":"` + key(t).Hint() + `"}`
	for name, test := range map[string]struct {
		old, new string
		check    func(bundle.Bundle) bool
	}{
		"older media type": {"bundle.v0.3+json", "bundle+json;version=0.3", func(b bundle.Bundle) bool { return b.KeyHint != "" }},
		"no hint":          {hint, `"publicKey":{}`, func(b bundle.Bundle) bool { return b.KeyHint == "" && len(b.Certificates) == 0 }},
		"certificate":      {hint, `"certificate":{"rawBytes":"YQ=="}`, func(b bundle.Bundle) bool { return string(b.Certificates[0]) == "a" }},
		"chain":            {hint, `"x509CertificateChain":{"certificates":[{"rawBytes":"YQ=="}]}`, func(b bundle.Bundle) bool { return len(b.Certificates) == 1 }},
		"log and time": {hint, hint + `,"tlogEntries":[` + entry + `],"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"YQ=="}]}`,
			func(b bundle.Bundle) bool {
				return len(b.Entries) == 1 && b.Entries[0].Index == 1 && string(b.Timestamps[0]) == "a"
			}},
		"equal key ids": {`{"sig"`, `{"keyid":"` + key(t).Hint() + `","sig"`, func(b bundle.Bundle) bool { return b.Envelope.Signatures[0].KeyID == b.KeyHint }},
		"snake case":    {"dsseEnvelope", "dsse_envelope", func(b bundle.Bundle) bool { return string(b.Envelope.Payload) == string(envelope.Payload) }},
	} {
		got, err := bundle.Decode([]byte(strings.Replace(good, test.old, test.new, 1)))
		if err != nil || !test.check(got) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := encode(t)
	hint := `"publicKey":{"hint":"` + key(t).Hint() + `"}`
	start := strings.Index(good, `"dsseEnvelope"`)
	for name, test := range map[string]struct{ content, want string }{
		"version 0.0":        {strings.Replace(good, "bundle.v0.3+json", "bundle+json;version=0.0", 1), "mediaType: want"},
		"version 0.4":        {strings.Replace(good, "v0.3", "v0.4", 1), "mediaType: want"},
		"no media type":      {strings.Replace(good, `"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",`, "", 1), "mediaType: want"},
		"message signature":  {good[:start] + `"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"YQ=="}}}`, "message signature is empty"},
		"both contents":      {good[:start] + `"messageSignature":{"signature":"YQ=="},` + good[start:], "oneof"},
		"no content":         {good[:start-1] + "}", "neither a DSSE envelope"},
		"no material":        {strings.Replace(good, hint, "", 1), "neither a public key nor a certificate"},
		"both materials":     {strings.Replace(good, hint, hint+`,"certificate":{"rawBytes":"YQ=="}`, 1), "oneof"},
		"two signatures":     {strings.Replace(good, `[{"sig"`, `[{"sig":"YQ=="},{"sig"`, 1), "2 signatures"},
		"no signatures":      {strings.Replace(good, `[{"sig":"c2lnbmF0dXJl"}]`, `[]`, 1), "no signature"},
		"empty signature":    {strings.Replace(good, `c2lnbmF0dXJl`, ``, 1), "signature 0 is empty"},
		"other key id":       {strings.Replace(good, `{"sig"`, `{"keyid":"other","sig"`, 1), "differ"},
		"two envelopes":      {good[:len(good)-1] + "," + good[start:], "appears twice"},
		"two by other names": {good[:len(good)-1] + "," + strings.Replace(good[start:], "dsseEnvelope", "dsse_envelope", 1), "dsse_envelope"},
		"two payloads":       {strings.Replace(good, `"payload":`, `"payload":"YQ==","payload":`, 1), "appears twice"},
		"unknown member":     {strings.Replace(good, `{"mediaType"`, `{"more":1,"mediaType"`, 1), "unknown field"},
		"data after it":      {good + "{}", "byte"},
		"a bare envelope":    {good[start+len(`"dsseEnvelope":`) : len(good)-1], "unknown field"},
		"not JSON":           {"bundle", "byte"},
		"cosign's own form":  {`{"base64Signature":"c2ln","cert":""}`, "before there were Sigstore bundles"},
		"a signature":        {base64.StdEncoding.EncodeToString(make([]byte, 64)) + "\n", "a signature alone"},
		"a binary signature": {"\x30\x06\x02\x01\x01\x02\x01\x01", "a signature alone"},
		"not quite binary":   {"\x30\x07\x02\x01\x01\x02\x01\x01", "byte"},
	} {
		if test.content == good {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := bundle.Decode([]byte(test.content)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
}

func TestBounds(t *testing.T) {
	good := encode(t)
	hint := `"publicKey":{"hint":"` + key(t).Hint() + `"}`
	entries := func(n int) string {
		return strings.Replace(good, hint, hint+`,"tlogEntries":[`+entry+strings.Repeat(`,`+entry, n-1)+`]`, 1)
	}
	timestamps := func(n int) string {
		return strings.Replace(good, hint, hint+`,"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"YQ=="}`+strings.Repeat(`,{"signedTimestamp":"YQ=="}`, n-1)+`]}`, 1)
	}
	for _, content := range []string{entries(32), timestamps(32)} {
		if _, err := bundle.Decode([]byte(content)); err != nil {
			t.Errorf("at the bound: %v", err)
		}
	}
	for name, content := range map[string]string{
		"log entries": entries(33), "timestamps": timestamps(33), "values": entries(20000),
		"bytes": strings.Repeat(" ", limit.Evidence+1),
	} {
		var over *limit.Error
		if _, err := bundle.Decode([]byte(content)); !errors.As(err, &over) {
			t.Errorf("%s over the bound: got %v", name, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	two := envelope
	two.Signatures = append(two.Signatures, dsse.Signature{Sig: []byte("x")})
	for name, e := range map[string]dsse.Envelope{"two signatures": two, "nothing": {}} {
		if content, err := bundle.Encode(e, key(t)); err == nil {
			t.Errorf("%s: wrote %s", name, content)
		}
	}
	if content, err := bundle.Encode(envelope, identity.Key{}); err == nil {
		t.Errorf("no key: wrote %s", content)
	}
}

func FuzzDecode(f *testing.F) {
	good := encode(f)
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, `"publicKey":{`, `"tlogEntries":[`+entry+`],"publicKey":{`, 1)))
	f.Add([]byte(strings.Replace(good, "dsseEnvelope", "dsse_envelope", 1)))
	for _, b := range []bundle.Bundle{
		{Message: &signed, KeyHint: "hint"},
		{Envelope: envelope, Certificates: [][]byte{[]byte("leaf")}, Entries: []bundle.LogEntry{v1, v2}, Timestamps: [][]byte{[]byte("stamp")}},
	} {
		content, err := bundle.EncodeWith(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
		f.Add([]byte(strings.Replace(string(content), "bundle.v0.3+json", "bundle+json;version=0.1", 1)))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		b, err := bundle.Decode(content)
		if err != nil {
			return
		}
		if b.Version == "0.1" {
			// Its log entries may lack what version 0.3 demands.
			b.Entries = nil
		}
		if len(b.Certificates) > 1 {
			b.Certificates = b.Certificates[:1]
		}
		b.Version = "0.3"
		written, err := bundle.EncodeWith(b)
		if err != nil {
			t.Fatalf("read but cannot write: %v", err)
		}
		again, err := bundle.Decode(written)
		if err != nil {
			t.Fatalf("wrote but cannot read: %v", err)
		}
		if diff := cmp.Diff(b, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}
