package trust_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
)

// The tests here are named after what went wrong in other verifiers.

// TestCVE202223649: the log's promise was held against its own entry, and the
// entry not against the signature that was verified.
func TestCVE202223649(t *testing.T) {
	w := newWorld(t)
	for _, form := range []trust.Form{trust.SimpleSigning, trust.Envelope} {
		a, b := w.older(t, form), w.older(t, form)
		accept(t, a, w.signer)
		a.LogEntry = b.LogEntry
		denied(t, trust.OtherLogEntry, a, w.signer, "another signature")
	}
	a, b := w.logged(t, false), certified(t, w.keyless, statement(t, spdxType, spdx, other))
	a.Entries = []bundle.LogEntry{w.V1.Add(told(b, w.keyless.Public()), signTime)}
	denied(t, trust.OtherLogEntry, encoded(t, a), w.signer, "another signature")
	a.Entries = []bundle.LogEntry{w.V2.Add(told(b, w.keyless.Public()), signTime)}
	denied(t, trust.OtherLogEntry, encoded(t, a), w.signer, "another signature")
}

// TestCVE202622703: the older bundle's promise alone was checked, not what its
// entry says of digest, key and signature.
func TestCVE202622703(t *testing.T) {
	w := newWorld(t)
	key := newParty(t, "key").key
	w.keyless = w.KeylessWith(key, trusttest.Template(t, release, issueTime))
	payload := simplesigning.Encode("registry.example.com/app", image, nil)
	signature, err := w.keyless.Sign(context.Background(), payload)
	if err != nil {
		t.Fatal(err)
	}
	good := trusttest.Signed{Certificate: w.keyless.Certificates()[0], Public: w.keyless.Public(), Signature: signature, Content: payload}
	e := evidence(t, trust.SimpleSigning, payload, nil)
	e.Signature = base64.StdEncoding.EncodeToString(signature)
	with := func(entry bundle.LogEntry) trust.Evidence {
		return beside(e, bundle.Split(bundle.Bundle{Certificates: w.keyless.Certificates()[:1], Entries: []bundle.LogEntry{entry}}, nil))
	}
	accept(t, with(w.V1.Add(good, signTime)), w.signer)

	another := w.Keyless(release, issueTime)
	theirs, err := another.Sign(context.Background(), payload)
	if err != nil {
		t.Fatal(err)
	}
	denied(t, trust.OtherLogEntry, with(w.V1.Add(trusttest.Signed{Certificate: another.Certificates()[0], Public: another.Public(), Signature: theirs, Content: payload}, signTime)), w.signer, "another signature")

	// The same key with another certificate of its own.
	renewed := w.KeylessWith(key, trusttest.Template(t, release, issueTime))
	certificate := good
	certificate.Certificate = renewed.Certificates()[0]
	denied(t, trust.OtherLogEntry, with(w.V1.Add(certificate, signTime)), w.signer, "another key or certificate")

	// An entry about an envelope, for what is none, and the other way round.
	b := certified(t, w.keyless, statement(t, spdxType, spdx, image))
	said := told(b, w.keyless.Public())
	said.Signature = signature
	denied(t, trust.OtherLogEntry, with(w.V1.Add(said, signTime)), w.signer, "DSSE envelope")
	content := told(b, w.keyless.Public())
	content.Envelope = &dsse.Envelope{PayloadType: dsse.InToto, Payload: []byte("another")}
	b.Entries = []bundle.LogEntry{w.V1.Add(content, signTime)}
	denied(t, trust.OtherLogEntry, encoded(t, b), w.signer, "another payload")
}

// TestCVE202235929 and CVE-2022-35930: evidence of one type was taken for
// another that was asked for.
func TestCVE202235929(t *testing.T) {
	w := newWorld(t)
	b := certified(t, w.keyless, statement(t, vulnType, vulnerabilities("a", "2026-11-20T08:00:00Z"), image))
	b.Entries = []bundle.LogEntry{w.V1.Add(told(b, w.keyless.Public()), signTime)}
	if claim := accept(t, encoded(t, b), w.signer); claim.Type() != vulnType {
		t.Errorf("scan has the type %s", claim.Type())
	}
	b.Envelope.PayloadType = spdxType
	deny(t, trust.BadSignature, encoded(t, b), w.signer)
}

// TestAttestationIsNoSignature: an image with attestations only has no
// signature (cosign 3.1.3 takes any bundle of the signer for one).
func TestAttestationIsNoSignature(t *testing.T) {
	w := newWorld(t)
	for _, e := range []trust.Evidence{encoded(t, w.logged(t, false)), encoded(t, w.logged(t, true)), w.older(t, trust.Envelope)} {
		if claim := accept(t, e, w.signer); claim.Type() == signType {
			t.Error("an SBOM counts as a signature")
		}
	}
	if claim := accept(t, w.older(t, trust.SimpleSigning), w.signer); claim.Type() != signType {
		t.Errorf("a signature has the type %s", claim.Type())
	}
}

// TestCVE202236056: a file's log entry was not held to its signature, the
// identity not asked for, and an entry that did not verify was passed over.
func TestCVE202236056(t *testing.T) {
	w := newWorld(t)
	b, said := w.signedFile(t)
	acceptBlob(t, encoded(t, b), artifact, w.signer)
	good := b.Entries

	another, _ := w.signedFile(t)
	b.Entries = another.Entries
	denyBlob(t, trust.OtherLogEntry, encoded(t, b), artifact, w.signer, "another signature")

	entry := w.V1.Add(said, signTime)
	entry.Promise = bytes.Clone(entry.Promise)
	entry.Promise[len(entry.Promise)-1] ^= 1
	b.Entries = []bundle.LogEntry{entry}
	denyBlob(t, trust.BadLogEntry, encoded(t, b), artifact, w.signer)
	// Beside one that does verify, it is no better.
	b.Entries = append([]bundle.LogEntry{entry}, good...)
	denyBlob(t, trust.BadLogEntry, encoded(t, b), artifact, w.signer)

	b.Entries = good
	somebody := w.signer
	somebody.Identities = []identity.Pattern{patternOf(person)}
	denyBlob(t, trust.UnknownIdentity, encoded(t, b), artifact, somebody, person.Subject)
	denyBlob(t, trust.OtherSubject, encoded(t, b), trust.Artifact{Content: []byte("another file")}, w.signer)
}

// TestCVE202639395: a statement that could not be read was as
// good as one, and its type was not looked at.
func TestCVE202639395(t *testing.T) {
	w := newWorld(t)
	for name, payload := range map[string]string{
		"no JSON": "payload", "half a statement": `{"_type":"https://in-toto.io/Statement/v1","subject":[`,
		"no type":     strings.Replace(string(statement(t, spdxType, spdx, image)), spdxType, "", 1),
		"no subjects": strings.Replace(string(statement(t, spdxType, spdx, image)), "sha256", "", 1),
	} {
		b := certified(t, w.keyless, []byte(payload))
		b.Entries = []bundle.LogEntry{w.V1.Add(told(b, w.keyless.Public()), signTime)}
		if deny(t, trust.BadStatement, encoded(t, b), w.signer); t.Failed() {
			t.Fatal(name)
		}
		denyBlob(t, trust.BadStatement, encoded(t, b), byDigest, w.signer)
	}
}

// TestCVE202624122: without a log, a certificate was believed although what
// issued it had expired.
func TestCVE202624122(t *testing.T) {
	w := newWorld(t)
	expired := *w.Sigstore
	expired.CA = w.CA.Reissued(trusttest.Period{Start: signTime.AddDate(-1, 0, 0), End: signTime.Add(-time.Hour)})
	long := trusttest.Template(t, release, issueTime)
	long.NotAfter = verifyTime.AddDate(0, 1, 0)
	key := newParty(t, "key").key
	lax := w.signer
	lax.Demand = trust.Demand{WithoutLogUnsafe: true, WithoutSCTUnsafe: true}

	b := certified(t, w.KeylessWith(key, long), statement(t, spdxType, spdx, image))
	accept(t, encoded(t, b), lax)

	lax.Root = rootOf(t, &expired)
	b = certified(t, expired.KeylessWith(key, long), statement(t, spdxType, spdx, image))
	denied(t, trust.CertificateOutOfTime, encoded(t, b), lax, "the certificate of its authority", "CN=intermediate")
	b.Timestamps = [][]byte{w.TSA.Stamp(b.Envelope.Signatures[0].Sig, signTime)}
	denied(t, trust.CertificateOutOfTime, encoded(t, b), lax, "the certificate of its authority")
	// The same chain, brought along in the older layout.
	lax.Root = w.signer.Root
	e := beside(bare(t, b.Envelope), bundle.Split(b, expired.CA.Chain()))
	denied(t, trust.CertificateOutOfTime, e, lax, "the certificate of its authority")
}

// TestCVE202649834: two entries of one log counted as two logs.
func TestCVE202649834(t *testing.T) {
	w := newWorld(t)
	b := w.logged(t, false)
	twice := b
	twice.Entries = append(b.Entries[:1:1], b.Entries[0])
	denied(t, trust.BadLogEntry, encoded(t, twice), w.signer, "two entries with index")

	b.Entries = append(b.Entries, w.V1.Add(told(b, w.keyless.Public()), signTime.Add(time.Minute)))
	b.Timestamps = [][]byte{w.TSA.Stamp(b.Envelope.Signatures[0].Sig, signTime), w.TSA.Stamp(b.Envelope.Signatures[0].Sig, signTime.Add(time.Minute))}
	got := accept(t, encoded(t, b), w.signer).Witnesses()
	if len(got.Logs) != 1 || len(got.Timestamps) != 1 || !got.Logs[0].Time.Equal(signTime) || !got.Timestamps[0].Time.Equal(signTime) {
		t.Errorf("witnesses %+v", got)
	}
}

// TestCVE202654787: a key's period was not held to the timestamp.
func TestCVE202654787(t *testing.T) {
	w, p := newWorld(t), newParty(t, "ci")
	b := message(t, p.sign(t, file))
	b.KeyHint = p.id.Hint()
	b.Timestamps = [][]byte{w.TSA.Stamp(b.Message.Signature, signTime)}
	signer := p.signer
	signer.Root = w.signer.Root
	acceptBlob(t, encoded(t, b), artifact, signer)
	signer.Keys = []trust.Key{{ID: p.id, Public: p.key.Public(), NotAfter: signTime.Add(-time.Hour)}}
	denyBlob(t, trust.KeyOutOfTime, encoded(t, b), artifact, signer, "was retired at", "a trusted timestamp says")
}

// TestCVE202639984: a timestamp signed by a certificate of the authority that
// may not stamp, behind one that may.
func TestCVE202639984(t *testing.T) {
	w := newWorld(t)
	for _, unnamed := range []bool{false, true} {
		tsa := *w.TSA
		tsa.Unnamed = unnamed
		sigstore := *w.Sigstore
		sigstore.TSA = &tsa
		signer := w.signer
		signer.Root = rootOf(t, &sigstore)
		b := certified(t, w.keyless, statement(t, spdxType, spdx, image))
		b.Entries = []bundle.LogEntry{w.V2.Add(told(b, w.keyless.Public()), signTime)}
		signature := b.Envelope.Signatures[0].Sig
		b.Timestamps = [][]byte{tsa.Stamp(signature, signTime)}
		accept(t, encoded(t, b), signer)

		usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 3}})
		if err != nil {
			t.Fatal(err)
		}
		key := newParty(t, "thief").key
		for name, extensions := range map[string][]pkix.Extension{
			"for code": {{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: usage}}, "for anything": nil,
		} {
			thief := tsa.Issue(key.Public(), extensions...)
			for _, before := range [][]*x509.Certificate{nil, {tsa.Leaf()}} {
				b.Timestamps = [][]byte{tsa.StampBy(thief, key, signature, signTime, before...)}
				want := map[string]string{"for code": "incompatible key usage", "for anything": "must set EKU to critical"}[name]
				if !unnamed {
					want = "does not match the provided TSA certificate"
				}
				if denied(t, trust.BadTimestamp, encoded(t, b), signer, "test root", want); t.Failed() {
					t.Fatal(name)
				}
			}
		}
	}
}

// TestCVE202445395 and CVE-2024-29902: endless entries, timestamps, subjects,
// and values of any size.
func TestCVE202445395(t *testing.T) {
	w := newWorld(t)
	good := w.logged(t, true)
	content := encoded(t, good).Content
	var document map[string]any
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	repeated := func(path string, n int) trust.Evidence {
		t.Helper()
		text := string(content)
		start := strings.Index(text, path) + len(path)
		depth, end := 0, start
		for ; ; end++ {
			switch text[end] {
			case '{':
				depth++
			case '}':
				depth--
			}
			if depth == 0 {
				break
			}
		}
		one := text[start : end+1]
		return evidence(t, trust.Bundle, []byte(strings.Replace(text, one, one+strings.Repeat(","+one, n-1), 1)), nil)
	}
	denied(t, trust.Unreadable, repeated(`"tlogEntries":[`, limit.LogEntries+1), w.signer, "bound of 32 log entries")
	denied(t, trust.Unreadable, repeated(`"rfc3161Timestamps":[`, limit.Timestamps+1), w.signer, "bound of 32 timestamps")
	accept(t, repeated(`"rfc3161Timestamps":[`, limit.Timestamps), w.signer)

	var subjects []intoto.Subject
	for range limit.Subjects + 1 {
		subjects = append(subjects, intoto.SubjectOf("", image))
	}
	payload, err := json.Marshal(map[string]any{"_type": intoto.V1, "subject": subjects, "predicateType": spdxType, "predicate": spdx})
	if err != nil {
		t.Fatal(err)
	}
	b := certified(t, w.keyless, payload)
	b.Entries = []bundle.LogEntry{w.V1.Add(told(b, w.keyless.Public()), signTime)}
	denied(t, trust.BadStatement, encoded(t, b), w.signer, "1024")

	older := w.older(t, trust.SimpleSigning)
	for name, change := range map[string]struct {
		to   func(*trust.Evidence)
		want string
	}{
		"a certificate": {func(e *trust.Evidence) { e.Certificate += strings.Repeat("\n", limit.Annotation) }, "dev.sigstore.cosign/certificate is larger"},
		"a chain":       {func(e *trust.Evidence) { e.Chain += strings.Repeat("\n", limit.Annotation) }, "dev.sigstore.cosign/chain is larger"},
		"a long chain":  {func(e *trust.Evidence) { e.Chain = strings.Repeat(e.Certificate, limit.Certificates) }, "16 certificates"},
		"a log entry":   {func(e *trust.Evidence) { e.LogEntry += strings.Repeat(" ", limit.Annotation) }, "dev.sigstore.cosign/bundle is larger"},
		"a huge promise": {func(e *trust.Evidence) {
			e.LogEntry = strings.Replace(e.LogEntry, `Timestamp":"`, `Timestamp":"`+strings.Repeat("AAAA", limit.LogSignature/3+1), 1)
		}, "inclusion promise is larger"},
		"a huge body": {func(e *trust.Evidence) {
			e.LogEntry = strings.Replace(e.LogEntry, `"body":"`, `"body":"`+strings.Repeat("ICAg", limit.LogEntry/3+1), 1)
		}, "body is larger"},
		"a timestamp": {func(e *trust.Evidence) { e.Timestamp += strings.Repeat(" ", limit.Annotation) }, "dev.sigstore.cosign/rfc3161timestamp is larger"},
		"a huge timestamp": {func(e *trust.Evidence) {
			e.Timestamp = `{"SignedRFC3161Timestamp":"` + strings.Repeat("AAAA", limit.Timestamp/3+1) + `"}`
		}, "bound of 65536 bytes"},
		"a member twice": {func(e *trust.Evidence) {
			e.LogEntry = strings.Replace(e.LogEntry, `"Payload":`, `"Payload":{},"Payload":`, 1)
		}, "appears twice"},
		"a promise twice": {func(e *trust.Evidence) {
			e.LogEntry = strings.Replace(e.LogEntry, `{"Signed`, `{"SignedEntryTimestamp":"YQ==","Signed`, 1)
		}, "appears twice"},
		"a timestamp twice": {func(e *trust.Evidence) {
			e.Timestamp = strings.Replace(e.Timestamp, `{`, `{"SignedRFC3161Timestamp":"YQ==",`, 1)
		}, "appears twice"},
		"two certificates":   {func(e *trust.Evidence) { e.Certificate += e.Certificate }, "want one certificate, found 2"},
		"a key for a chain":  {func(e *trust.Evidence) { e.Chain = strings.ReplaceAll(e.Chain, "CERTIFICATE", "PUBLIC KEY") }, "want CERTIFICATE"},
		"text between a PEM": {func(e *trust.Evidence) { e.Certificate = "text\n" + e.Certificate }, "between its blocks"},
		"a time in text": {func(e *trust.Evidence) {
			e.LogEntry = strings.Replace(e.LogEntry, `"integratedTime":`, `"integratedTime":"x","time":`, 1)
		}, "no whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			e := older
			change.to(&e)
			denied(t, trust.Unreadable, e, w.signer, change.want)
		})
	}
}

// TestForgedReferrer: an envelope in a referrer of the right type counted
// without a look at its signature (policy-controller#1971).
func TestForgedReferrer(t *testing.T) {
	w, p, thief := newWorld(t), newParty(t, "ci"), newParty(t, "thief")
	forged := bare(t, thief.seal(t, dsse.InToto, statement(t, spdxType, spdx, image)))
	deny(t, trust.BadSignature, forged, p.signer)
	deny(t, trust.UnknownKey, forged, w.signer)
	junk := bare(t, dsse.Envelope{PayloadType: dsse.InToto, Payload: statement(t, spdxType, spdx, image), Signatures: []dsse.Signature{{Sig: []byte("junk")}}})
	deny(t, trust.BadSignature, junk, p.signer)
	// With somebody's certificate beside it, it is still not theirs.
	forged.Certificate = w.older(t, trust.Envelope).Certificate
	deny(t, trust.BadSignature, forged, w.signer)
}

// TestDuplicateMembers: other readers take the first of two members, or the
// last.
func TestDuplicateMembers(t *testing.T) {
	w := newWorld(t)
	for _, v2 := range []bool{false, true} {
		good := encoded(t, w.logged(t, v2))
		for _, member := range []string{"certificate", "rawBytes", "tlogEntries", "canonicalizedBody", "logId", "payload", "sig", "verificationMaterial", "inclusionProof"} {
			e := good
			e.Content = bytes.Replace(good.Content, []byte(`"`+member+`":`), []byte(`"`+member+`":null,"`+member+`":`), 1)
			denied(t, trust.Unreadable, e, w.signer, "appears twice")
		}
	}
}
