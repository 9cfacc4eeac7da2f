package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

// lookalike is a bundle as one in sigstore-conformance's test_verify, minted
// here: what verify-bundle must say of it, "" for that it verifies.
type lookalike struct {
	make   func() []byte
	reason string
	root   []byte   // instead of the mint's
	who    []string // instead of the mint's identity
	code   int      // instead of what reason says
}

// TestVerifyBundle holds verify-bundle to the kinds of bundles that
// sigstore-conformance has, by path and by digest.
func TestVerifyBundle(t *testing.T) {
	h := newHouse(t)
	m := newMint(t, h)
	hello := []byte("hello")
	about := subject.Of(hello)
	h.write("a.txt", hello)
	h.key("managed")
	h.key("another")
	managed, err := file.Open(h.dir+"/managed.key", nil)
	m.must(err)
	key := []string{"--key", "managed.pub", "--trusted-root", "root.json"}
	m.must(err)
	both := func(name string, v1, v2 lookalike) map[string]lookalike {
		return map[string]lookalike{name: v1, "rekor2-" + name: v2}
	}
	// blob and dsse are whole bundles of one generation; each case breaks one.
	notary := func(v2 bool) trusttest.Notary {
		if v2 {
			return m.v2()
		}
		return m.v1()
	}
	edit := func(content []byte, change func(*bundle.Bundle)) []byte {
		b, err := bundle.Decode(content)
		m.must(err)
		change(&b)
		out, err := bundle.EncodeWith(b)
		m.must(err)
		return out
	}
	blob := func(v2 bool, change func(*bundle.Bundle)) func() []byte {
		return func() []byte { return edit(m.blob(m.who, hello, notary(v2)), change) }
	}
	dsse := func(v2 bool, change func(*bundle.Bundle)) func() []byte {
		return func() []byte { return edit(m.statement(m.who, otherType, about, notary(v2)), change) }
	}
	plain := func(*bundle.Bundle) {}
	cases := []map[string]lookalike{
		both("happy-path", lookalike{make: blob(false, plain)}, lookalike{make: blob(true, plain)}),
		both("dsse-happy-path", lookalike{make: dsse(false, plain)}, lookalike{make: dsse(true, plain)}),
	}
	for _, v2 := range []bool{false, true} {
		generation := map[bool]string{true: "rekor2-"}[v2]
		cases = append(cases, m.broken(generation, v2, hello, about, blob, dsse))
	}
	cases = append(cases, m.othersRoots(hello), map[string]lookalike{
		"managed-key-happy-path":               {make: func() []byte { return m.blob(managed, hello, m.v1()) }, who: key},
		"managed-key-dsse":                     {make: func() []byte { return m.statement(managed, otherType, about, m.v1()) }, who: key},
		"managed-key-rekor2":                   {make: func() []byte { return m.blob(managed, hello, m.v2()) }, who: key},
		"managed-key-and-trusted-root":         {make: func() []byte { return m.blob(managed, hello, nil) }, who: key, root: []byte(`{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)},
		"managed-key-without-log_fail":         {make: func() []byte { return m.blob(managed, hello, nil) }, who: key, reason: "no log entry"},
		"managed-key-wrong-key_fail":           {make: func() []byte { return m.blob(managed, hello, m.v1()) }, who: []string{"--key", "another.pub", "--trusted-root", "root.json"}, reason: "unknown key"},
		"managed-key-and-certificate_fail":     {make: blob(false, plain), who: key, reason: "unknown key"},
		"managed-key-and-client-identity_fail": {make: blob(false, plain), who: asked(workflow, issuer, "--key", "managed.pub"), code: 2, reason: "exclude each other"},
		"wrong-identity_fail":                  {make: blob(false, plain), who: asked("https://github.com/example/other@refs/heads/main", issuer), reason: "unknown identity"},
		"wrong-issuer_fail":                    {make: blob(false, plain), who: asked(workflow, "https://issuer.example.com"), reason: "unknown identity"},
		"identity-of-a-key-signed-bundle_fail": {make: func() []byte { return m.blob(managed, hello, m.v1()) }, reason: "unknown key"},
		"no-bundle_fail":                       {make: func() []byte { return []byte("{}") }, reason: "unreadable"},
		"unknown-media-type_fail":              {make: func() []byte { return []byte(strings.Replace(string(m.blob(m.who, hello, m.v1())), "v0.3", "v0.9", 1)) }, reason: "unreadable"},
		"unknown-member_fail":                  {make: func() []byte { return append([]byte(`{"x":1,`), m.blob(m.who, hello, m.v1())[1:]...) }, reason: "unreadable"},
		"repeated-member_fail":                 {make: func() []byte { return append([]byte(`{"mediaType":"x",`), m.blob(m.who, hello, m.v1())[1:]...) }, reason: "unreadable"},
	})
	count := 0
	for _, list := range cases {
		for name, test := range list {
			for _, subject := range []string{"a.txt", about.String()} {
				count++
				t.Run(name+"/"+subject[:5], func(t *testing.T) {
					h.t = t
					h.verifyBundle(m, test, subject)
				})
			}
		}
	}
	if count < 2*60 {
		t.Errorf("%d invocations", count)
	}
}

func (h *house) verifyBundle(m mint, test lookalike, subject string) {
	h.t.Helper()
	h.write("root.json", m.Root())
	if test.root != nil {
		h.write("root.json", test.root)
	}
	h.write("bundle.json", test.make())
	code, words := 0, []string{"VERIFIED  " + subject, "!NOT VERIFIED"}
	if test.reason != "" {
		code, words = 1, []string{"does not count: " + test.reason + ": "}
	}
	if test.code != 0 {
		code, words = test.code, []string{test.reason}
	}
	who := test.who
	if who == nil {
		who = asked(workflow, issuer)
	}
	h.want(code, words, append(append([]string{"verify-bundle", "--bundle", "bundle.json"}, who...), subject)...)
}

type editing func(v2 bool, change func(*bundle.Bundle)) func() []byte

// broken are bundles with one thing wrong.
func (m mint) broken(generation string, v2 bool, hello []byte, about subject.Digest, blob, dsse editing) map[string]lookalike {
	flip := func(content []byte) []byte {
		content = append([]byte(nil), content...)
		content[len(content)/2] ^= 1
		return content
	}
	later := trusttest.Notary{Sigstore: m.Sigstore, At: m.at.Add(time.Hour), V2: v2, Stamped: v2}
	payload := func(text string) func() []byte {
		return func() []byte {
			return m.sealed(m.who, []byte(text), map[bool]signing.Notary{false: m.v1(), true: m.v2()}[v2])
		}
	}
	other := func() bundle.Bundle {
		b, err := bundle.Decode(blob(v2, func(*bundle.Bundle) {})())
		m.must(err)
		return b
	}
	otherDSSE := func() bundle.Bundle {
		b, err := bundle.Decode(m.statement(m.who, signType, about, map[bool]signing.Notary{false: m.v1(), true: m.v2()}[v2]))
		m.must(err)
		return b
	}
	list := map[string]lookalike{
		"invalid-signature_fail":       {make: blob(v2, func(b *bundle.Bundle) { b.Message.Signature = flip(b.Message.Signature) }), reason: "bad signature"},
		"message-digest-mismatch_fail": {make: blob(v2, func(b *bundle.Bundle) { b.Message.Digest = flip(b.Message.Digest) }), reason: "other subject"},
		"other-artifact_fail":          {make: func() []byte { return m.blob(m.who, []byte("hullo"), m.v1()) }, reason: "other subject"},
		"swapped-tlog-entry_fail":      {make: blob(v2, func(b *bundle.Bundle) { b.Entries = other().Entries }), reason: "log entry of another signature"},
		"tlog-entry-of-envelope_fail":  {make: blob(v2, func(b *bundle.Bundle) { b.Entries = otherDSSE().Entries }), reason: "log entry of another signature"},
		"no-tlog-entry_fail":           {make: blob(v2, func(b *bundle.Bundle) { b.Entries = nil }), reason: "no log entry"},
		"invalid-inclusion-proof_fail": {make: blob(v2, func(b *bundle.Bundle) { b.Entries[0].Proof.Hashes[0] = flip(b.Entries[0].Proof.Hashes[0]) }), reason: "bad log entry"},
		"invalid-root-hash_fail":       {make: blob(v2, func(b *bundle.Bundle) { b.Entries[0].Proof.Root = flip(b.Entries[0].Proof.Root) }), reason: "bad log entry"},
		"invalid-checkpoint-signature_fail": {make: blob(v2, func(b *bundle.Bundle) {
			text := []byte(b.Entries[0].Proof.Checkpoint)
			at := len(text) - 10
			text[at] = map[bool]byte{true: 'A', false: 'B'}[text[at] != 'A']
			b.Entries[0].Proof.Checkpoint = string(text)
		}), reason: "bad log entry"},
		"checkpoint-of-another-tree_fail":  {make: blob(v2, func(b *bundle.Bundle) { b.Entries[0].Proof.Checkpoint = other().Entries[0].Proof.Checkpoint }), reason: "bad log entry"},
		"wrong-log-index_fail":             {make: blob(v2, func(b *bundle.Bundle) { b.Entries[0].Proof.Index-- }), reason: "bad log entry"},
		"unknown-log_fail":                 {make: blob(v2, func(b *bundle.Bundle) { b.Entries[0].LogID = flip(b.Entries[0].LogID) }), reason: "no log entry"},
		"entry-twice_fail":                 {make: blob(v2, func(b *bundle.Bundle) { b.Entries = append(b.Entries, b.Entries[0]) }), reason: "bad log entry"},
		"certificate-of-another_fail":      {make: blob(v2, func(b *bundle.Bundle) { b.Certificates = m.again().Certificates()[:1] }), reason: "bad signature"},
		"signed-after-certificate_fail":    {make: func() []byte { return m.blob(m.who, hello, later) }, reason: "certificate out of time"},
		"dsse-invalid-sig_fail":            {make: dsse(v2, func(b *bundle.Bundle) { b.Envelope.Signatures[0].Sig = flip(b.Envelope.Signatures[0].Sig) }), reason: "bad signature"},
		"dsse-mismatch-sig_fail":           {make: dsse(v2, func(b *bundle.Bundle) { b.Entries = otherDSSE().Entries }), reason: "log entry of another signature"},
		"dsse-mismatch-envelope_fail":      {make: dsse(v2, func(b *bundle.Bundle) { b.Envelope = otherDSSE().Envelope }), reason: "log entry of another signature"},
		"dsse-other-subject_fail":          {make: func() []byte { return m.statement(m.who, otherType, subject.Of([]byte("x")), m.v1()) }, reason: "other subject"},
		"dsse-payload-type_fail":           {make: dsse(v2, func(b *bundle.Bundle) { b.Envelope.PayloadType = "text/plain" }), reason: "bad signature"},
		"dsse-statement-missing-type_fail": {make: payload(fmt.Sprintf(`{"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, about.Hex(), otherType)), reason: "bad statement"},
		"dsse-statement-unknown-type_fail": {make: payload(fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v9","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, about.Hex(), otherType)), reason: "bad statement"},
		"dsse-statement-malformed_fail":    {make: payload(`{"_type":`), reason: "bad statement"},
		"dsse-two-signatures_fail": {make: func() []byte {
			return []byte(strings.Replace(string(dsse(v2, func(*bundle.Bundle) {})()), `"signatures":[`, `"signatures":[{"sig":"YQ=="},`, 1))
		}, reason: "unreadable"},
	}
	if v2 {
		stamp := func(at time.Time) func(*bundle.Bundle) {
			return func(b *bundle.Bundle) { b.Timestamps = append(b.Timestamps, m.TSA.Stamp(b.Message.Signature, at)) }
		}
		list["no-timestamp_fail"] = lookalike{make: blob(true, func(b *bundle.Bundle) { b.Timestamps = nil }), reason: "no trusted time"}
		list["timestamp-of-another-signature_fail"] = lookalike{make: blob(true, func(b *bundle.Bundle) { b.Timestamps = [][]byte{m.TSA.Stamp([]byte("x"), m.at)} }), reason: "bad timestamp"}
		list["multiple-timestamps"] = lookalike{make: blob(true, stamp(m.at.Add(time.Minute)))}
		list["multiple-timestamps-one-outside-cert-validity_fail"] = lookalike{make: blob(true, stamp(m.at.Add(time.Hour))), reason: "certificate out of time"}
		list["timestamp-outside-cert-validity_fail"] = lookalike{make: blob(true, func(b *bundle.Bundle) { b.Timestamps = nil; stamp(m.at.Add(time.Hour))(b) }), reason: "certificate out of time"}
		list["timestamp-of-stranger_fail"] = lookalike{make: blob(true, func(b *bundle.Bundle) {
			b.Timestamps = [][]byte{trusttest.NewTSA(m.t, trusttest.Period{Start: m.at.AddDate(-1, 0, 0)}).Stamp(b.Message.Signature, m.at)}
		}), reason: "bad timestamp"}
	} else {
		list["invalid-set_fail"] = lookalike{make: blob(false, func(b *bundle.Bundle) { b.Entries[0].Promise = flip(b.Entries[0].Promise) }), reason: "bad log entry"}
		list["integrated-time_fail"] = lookalike{make: blob(false, func(b *bundle.Bundle) { b.Entries[0].IntegratedTime++ }), reason: "bad log entry"}
	}
	named := map[string]lookalike{}
	for name, test := range list {
		named[generation+name] = test
	}
	return named
}

// again is the same identity with another key and certificate.
func (m mint) again() *trusttest.Keyless {
	return m.Keyless(identity.Certificate{Subject: workflow, Issuer: issuer}, m.at.Add(-time.Minute))
}

// othersRoots are good bundles under roots that do not have, or no longer, what
// they need.
func (m mint) othersRoots(hello []byte) map[string]lookalike {
	root := func(change func(*trusttest.Sigstore)) []byte {
		changed := *m.Sigstore
		change(&changed)
		return changed.Root()
	}
	v1 := func() []byte { return m.blob(m.who, hello, m.v1()) }
	v2 := func() []byte { return m.blob(m.who, hello, m.v2()) }
	// Its time ends at, or a second before, the signature.
	until := func(log *trusttest.Log, at time.Time) *trusttest.Log {
		ended := *log
		ended.Period.End = at
		return &ended
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	m.must(err)
	bare := *m.Sigstore
	bare.CertificateLog = nil
	unpromised := bare.Keyless(identity.Certificate{Subject: workflow, Issuer: issuer}, m.at.Add(-time.Minute))
	curve := m.KeylessWith(p384, trusttest.Template(m.t, identity.Certificate{Subject: workflow, Issuer: issuer}, m.at.Add(-time.Minute)))
	stranger := trusttest.New(m.t, m.at)
	var untimed map[string]any
	m.must(json.Unmarshal(m.Root(), &untimed))
	for _, log := range untimed["tlogs"].([]any) {
		delete(log.(map[string]any)["publicKey"].(map[string]any)["validFor"].(map[string]any), "start")
	}
	missing, err := json.Marshal(untimed)
	m.must(err)
	return map[string]lookalike{
		"trust-root-without-ca_fail":                            {make: v1, root: root(func(s *trusttest.Sigstore) { s.CA = nil }), reason: "untrusted certificate"},
		"trust-root-other-ca_fail":                              {make: v1, root: root(func(s *trusttest.Sigstore) { s.CA = stranger.CA }), reason: "untrusted certificate"},
		"trust-root-without-tlog_fail":                          {make: v1, root: root(func(s *trusttest.Sigstore) { s.V1 = nil }), reason: "no log entry"},
		"trust-root-other-ctlog_fail":                           {make: v1, root: root(func(s *trusttest.Sigstore) { s.CertificateLog = stranger.CertificateLog }), reason: "bad certificate timestamp"},
		"sct-missing_fail":                                      {make: func() []byte { return m.blob(unpromised, hello, m.v1()) }, reason: "no certificate timestamp"},
		"trust-root-tlog-validity-end-inclusive":                {make: v1, root: root(func(s *trusttest.Sigstore) { s.V1 = until(s.V1, m.at) })},
		"trust-root-tlog-ended_fail":                            {make: v1, root: root(func(s *trusttest.Sigstore) { s.V1 = until(s.V1, m.at.Add(-time.Second)) }), reason: "bad log entry"},
		"trust-root-tlog-missing-validity-start_fail":           {make: v1, root: missing, code: 3, reason: "is no trusted root: tlog missing public key validity period start"},
		"rekor2-trust-root-tlog-ended_fail":                     {make: v2, root: root(func(s *trusttest.Sigstore) { s.V2 = until(s.V2, m.at.Add(-time.Second)) }), reason: "bad log entry"},
		"rekor2-trust-root-without-tsa_fail":                    {make: v2, root: root(func(s *trusttest.Sigstore) { s.TSA = nil }), reason: "no trusted time"},
		"rekor2-trust-root-tsa-validity-end-inclusive":          {make: v2, root: root(func(s *trusttest.Sigstore) { tsa := *s.TSA; tsa.Period.End = m.at; s.TSA = &tsa })},
		"rekor2-timestamp-outside-trust-root-tsa-validity_fail": {make: v2, root: root(func(s *trusttest.Sigstore) { tsa := *s.TSA; tsa.Period.End = m.at.Add(-time.Second); s.TSA = &tsa }), reason: "bad timestamp"},
		"trust-root-other-everything_fail":                      {make: v1, root: stranger.Root(), reason: "no log entry"},
		"curve-p384-by-path":                                    {make: func() []byte { return m.statement(curve, otherType, subject.Of(hello), m.v2()) }},
	}
}

// TestRealBundles verifies what the public Sigstore witnessed, by bundles that
// sigstore-go tests itself with.
func TestRealBundles(t *testing.T) {
	h := newHouse(t)
	const (
		name  = "sigstore.js@2.0.0-provenance.sigstore.json"
		who   = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
		about = "sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c"
	)
	for file, content := range map[string]json.Marshaler{name: data.Bundle(t, name), "root.json": data.TrustedRoot(t, "public-good.json"), "other.json": data.TrustedRoot(t, "scaffolding.json")} {
		text, err := content.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		h.write(file, text)
	}
	flags := []string{"--type", "slsaprovenance1", "--bundle", name, "--certificate-github-workflow-repository", "sigstore/sigstore-js"}
	verify := func(code int, words []string, subject string, flags ...string) {
		t.Helper()
		h.want(code, words, append(append([]string{"verify-attestation"}, flags...), subject)...)
	}
	verify(0, []string{"by   " + who, "log  https://rekor.sigstore.dev entry", "the SCT"}, about, append(asked(who, issuer), flags...)...)
	verify(1, []string{"unknown identity", who + `" of issuer "` + issuer + `", truly`}, about, append(asked("https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/dev", issuer), flags...)...)
	verify(1, []string{"other subject"}, strings.Replace(about, "46d4", "46d5", 1), append(asked(who, issuer), flags...)...)
	verify(1, []string{"no log entry"}, about, append(append(asked(who, issuer), flags...), "--trusted-root", "other.json")...)
	h.want(0, nil, append(append([]string{"verify-bundle", "--bundle", name}, asked(who, issuer)...), about)...)
}
