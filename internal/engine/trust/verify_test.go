package trust_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
)

func TestVerify(t *testing.T) {
	p := newParty(t, "ci")
	for form, e := range p.forms(t) {
		claim := accept(t, e, newParty(t, "somebody").signer, p.signer)
		wantType, wantPredicate, wantAnnotations := spdxType, string(spdx), map[string]string(nil)
		if form == trust.SimpleSigning {
			wantType, wantPredicate, wantAnnotations = signType, "{}", map[string]string{"a": "b"}
		}
		if claim.Type() != wantType || string(claim.Predicate()) != wantPredicate {
			t.Errorf("%s: type %s, predicate %s", form, claim.Type(), claim.Predicate())
		}
		if claim.Signer() != "ci" || claim.Key() != p.id {
			t.Errorf("%s: signer %s, key %s", form, claim.Signer(), claim.Key())
		}
		if len(claim.Subjects()) != 1 || claim.Subjects()[0] != image {
			t.Errorf("%s: subjects %v", form, claim.Subjects())
		}
		if diff := cmp.Diff(wantAnnotations, claim.Annotations()); diff != "" {
			t.Errorf("%s: %s", form, diff)
		}
		named := claim.Evidence()
		if named.Digest != e.Digest || named.Signer != "ci" || named.KeyID != p.id.String() || named.Type != wantType || named.Source != "test" || named.Rejected != "" {
			t.Errorf("%s: named as %+v", form, named)
		}
	}
}

// TestImageSignature: an image signature in a bundle carries its subject's
// annotations and has the same type as one in the older layout; an
// attestation by the same key is none (cosign 3.1.3 takes it for one).
func TestImageSignature(t *testing.T) {
	p := newParty(t, "ci")
	about := intoto.SubjectOf("", image)
	about.Annotations = map[string]string{"commit": "abc"}
	payload, err := intoto.Encode(intoto.New([]intoto.Subject{about}, signType, nil))
	if err != nil {
		t.Fatal(err)
	}
	claim := accept(t, p.bundle(t, p.seal(t, dsse.InToto, payload)), p.signer)
	if claim.Type() != signType || claim.Annotations()["commit"] != "abc" {
		t.Errorf("type %s, annotations %v", claim.Type(), claim.Annotations())
	}
	if claim := accept(t, p.forms(t)[trust.Bundle], p.signer); claim.Type() == signType {
		t.Error("an SBOM counts as an image signature")
	}
}

func TestTimeAndTool(t *testing.T) {
	p := newParty(t, "ci")
	claim := accept(t, p.bundle(t, p.seal(t, dsse.InToto, statement(t, vulnType, vulnerabilities("scanner-a", "2026-02-03T04:05:06Z"), image))), p.signer)
	when, dated := claim.Time()
	if !dated || when.UTC().Format("2006-01-02T15:04:05Z07:00") != "2026-02-03T04:05:06Z" {
		t.Errorf("time %v, %v", when, dated)
	}
	if claim.Tool() == "" {
		t.Error("no tool")
	}
	if r := deny(t, trust.BadStatement, p.bundle(t, p.seal(t, dsse.InToto, statement(t, vulnType, vulnerabilities("scanner-a", "yesterday"), image))), p.signer); r.ClaimedType != vulnType {
		t.Errorf("claimed type %q", r.ClaimedType)
	}
	if _, dated := accept(t, p.forms(t)[trust.SimpleSigning], p.signer).Time(); dated {
		t.Error("an image signature has a time")
	}
}

func TestOtherKey(t *testing.T) {
	p, stranger := newParty(t, "ci"), newParty(t, "stranger")
	for form, e := range p.forms(t) {
		want := trust.BadSignature
		if form == trust.Bundle {
			want = trust.UnknownKey
		}
		r := deny(t, want, e, stranger.signer)
		if !strings.Contains(r.Detail, "stranger") || r.ClaimedType == "" {
			t.Errorf("%s: %+v", form, r)
		}
		deny(t, trust.UnknownKey, e)
		deny(t, trust.UnknownKey, e, trust.Signer{Name: "keyless"})
	}
	// A stranger who names our key in the hint.
	forged := p.bundle(t, stranger.seal(t, dsse.InToto, statement(t, spdxType, spdx, image)))
	deny(t, trust.BadSignature, forged, p.signer)
}

// TestCertificate: evidence of keyless signing is refused with a reason that
// says so, also where the key in the certificate would verify.
func TestCertificate(t *testing.T) {
	p := newParty(t, "ci")
	e := p.forms(t)[trust.Bundle]
	certificate := newWorld(t).keyless.Certificates()[0]
	e.Content = bytes.Replace(e.Content, fmt.Appendf(nil, `"publicKey":{"hint":%q}`, p.id.Hint()),
		fmt.Appendf(nil, `"certificate":{"rawBytes":%q}`, base64.StdEncoding.EncodeToString(certificate)), 1)
	if r := deny(t, trust.UnknownKey, e, p.signer); !strings.Contains(r.Detail, "certificate") {
		t.Errorf("detail: %s", r.Detail)
	}
}

func TestSubjects(t *testing.T) {
	p := newParty(t, "ci")
	seal := func(digest map[string]string) trust.Evidence {
		payload, err := intoto.Encode(intoto.New([]intoto.Subject{{Name: image.String(), URI: image.Hex(), Digest: digest}}, spdxType, spdx))
		if err != nil {
			t.Fatal(err)
		}
		return p.bundle(t, p.seal(t, dsse.InToto, payload))
	}
	for name, digest := range map[string]map[string]string{
		"another image":       {"sha256": other.Hex()},
		"wrong algorithm":     {"sha512": image.Hex()},
		"algorithm's case":    {"SHA256": image.Hex()},
		"upper-case hex":      {"sha256": strings.ToUpper(image.Hex())},
		"digest with prefix":  {"sha256": image.String()},
		"only in other words": {"gitCommit": image.Hex()},
	} {
		t.Run(name, func(t *testing.T) { deny(t, trust.OtherSubject, seal(digest), p.signer) })
	}
	deny(t, trust.OtherSubject, p.simple(t, simplesigning.Encode("registry.example.com/app", other, nil)), p.signer)

	// One statement about an index and its manifests: the claim is about
	// those that were asked for.
	e := p.bundle(t, p.seal(t, dsse.InToto, statement(t, spdxType, spdx, subject.Of([]byte("index")), image, other)))
	claim, rejection := trust.Verify(e, []trust.Signer{p.signer}, []subject.Digest{other, subject.Of([]byte("absent")), image}, verifyTime)
	if rejection != nil || len(claim.Subjects()) != 2 || claim.Subjects()[0] != other || claim.Subjects()[1] != image {
		t.Errorf("subjects %v, %+v", claim.Subjects(), rejection)
	}
	for form, e := range p.forms(t) {
		for name, subjects := range map[string][]subject.Digest{"none": nil, "zero": {{}}} {
			if _, r := trust.Verify(e, []trust.Signer{p.signer}, subjects, verifyTime); r == nil || r.Reason != trust.OtherSubject {
				t.Errorf("%s, %s subjects asked for: got %+v", form, name, r)
			}
		}
	}
}

// TestSignedNonsense: what a trusted key signed is held to its form too.
func TestSignedNonsense(t *testing.T) {
	p := newParty(t, "ci")
	good := string(statement(t, spdxType, spdx, image))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the statement", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, payload := range map[string]string{
		"no JSON":            "hello",
		"a list":             "[" + good + "]",
		"a signature":        string(simplesigning.Encode("r", image, nil)),
		"no type":            replace(`"predicateType":"`+spdxType+`",`, ""),
		"empty type":         replace(spdxType, ""),
		"unknown statement":  replace("Statement/v1", "Statement/v9"),
		"two subject sets":   replace(`"subject":`, `"subject":[{"digest":{"sha256":"`+other.Hex()+`"}}],"subject":`),
		"two types":          replace(`"predicateType":`, `"predicateType":"x","predicateType":`),
		"two by escape":      replace(`"subject":`, `"s\u0075bject":[],"subject":`),
		"predicate text":     replace(string(spdx), `"text"`),
		"statement nested":   replace(`"digest"`, `"undigest"`),
		"data after it":      good + good,
		"too many subjects":  replace(`"subject":[`, `"subject":[`+strings.Repeat(`{"digest":{"sha256":"ab"}},`, limit.Subjects)),
		"nested too deeply":  replace(string(spdx), strings.Repeat(`{"a":`, limit.JSONDepth)+"1"+strings.Repeat("}", limit.JSONDepth)),
		"SPDX's other cases": replace(`"predicateType"`, `"PredicateType"`),
	} {
		t.Run(name, func(t *testing.T) {
			envelope := p.seal(t, dsse.InToto, []byte(payload))
			deny(t, trust.BadStatement, p.bundle(t, envelope), p.signer)
			deny(t, trust.BadStatement, bare(t, envelope), p.signer)
			if name != "a signature" {
				deny(t, trust.BadStatement, p.simple(t, []byte(payload)), p.signer)
			}
		})
	}
	for _, payloadType := range []string{"application/json", "text/plain", "application/vnd.in-toto", "application/vnd.in-toto+json;v=1"} {
		deny(t, trust.BadStatement, p.bundle(t, p.seal(t, payloadType, []byte(good))), p.signer)
	}
	accept(t, p.bundle(t, p.seal(t, "application/vnd.in-toto.spdx+json", []byte(good))), p.signer)
	// The statement that cosign 3 attests is of v0.1.
	accept(t, p.bundle(t, p.seal(t, dsse.InToto, []byte(replace("Statement/v1", "Statement/v0.1")))), p.signer)
}

// TestAcrossForms: a signature made for one form is worth nothing in another.
func TestAcrossForms(t *testing.T) {
	p := newParty(t, "ci")
	forms := p.forms(t)
	envelope := p.seal(t, dsse.InToto, statement(t, spdxType, spdx, image))

	// The signed bytes of an envelope as a simple-signing payload.
	asSimple := forms[trust.SimpleSigning]
	asSimple.Content = dsse.PAE(envelope.PayloadType, envelope.Payload)
	asSimple.Signature = base64.StdEncoding.EncodeToString(envelope.Signatures[0].Sig)
	deny(t, trust.BadStatement, asSimple, p.signer)

	// A simple-signing payload and its signature in an envelope.
	simple := simplesigning.Encode("r", image, nil)
	asEnvelope := dsse.Envelope{PayloadType: dsse.InToto, Payload: simple, Signatures: []dsse.Signature{{Sig: p.sign(t, simple)}}}
	deny(t, trust.BadSignature, p.bundle(t, asEnvelope), p.signer)

	// Evidence under the wrong name of its form.
	for form, e := range forms {
		for _, wrong := range []trust.Form{trust.Bundle, trust.Envelope, trust.SimpleSigning, "", "other"} {
			if wrong == form {
				continue
			}
			mislabelled := e
			mislabelled.Form = wrong
			if _, r := trust.Verify(mislabelled, []trust.Signer{p.signer}, []subject.Digest{image}, verifyTime); r == nil {
				t.Errorf("%s read as %q gives a claim", form, wrong)
			}
		}
	}
}

func TestSignatures(t *testing.T) {
	p, stranger := newParty(t, "ci"), newParty(t, "stranger")
	payload := statement(t, spdxType, spdx, image)
	envelope := stranger.seal(t, dsse.InToto, payload)
	envelope.Signatures = append(envelope.Signatures, p.seal(t, dsse.InToto, payload).Signatures...)
	if claim := accept(t, bare(t, envelope), p.signer); claim.Signer() != "ci" {
		t.Errorf("signer %s", claim.Signer())
	}
	envelope.Signatures = envelope.Signatures[:1]
	deny(t, trust.BadSignature, bare(t, envelope), p.signer)

	// CVE-2022-23649 and its kin: the signature of another statement.
	envelope.Signatures = p.seal(t, dsse.InToto, statement(t, spdxType, spdx, other)).Signatures
	deny(t, trust.BadSignature, bare(t, envelope), p.signer)
	deny(t, trust.BadSignature, p.bundle(t, envelope), p.signer)

	good := string(bare(t, p.seal(t, dsse.InToto, payload)).Content)
	one := good[strings.Index(good, `"signatures":[`)+len(`"signatures":[`) : len(good)-2]
	for name, signatures := range map[string]string{
		"none":       "",
		"empty":      `{"sig":""}`,
		"absent":     `{"keyid":"x"}`,
		"too many":   one + strings.Repeat(","+one, limit.Signatures),
		"two values": `{"sig":"YQ==",` + one[1:],
	} {
		e := evidence(t, trust.Envelope, []byte(strings.Replace(good, one, signatures, 1)), nil)
		if deny(t, trust.Unreadable, e, p.signer); t.Failed() {
			t.Fatalf("signatures: %s", name)
		}
	}
	simple := p.forms(t)[trust.SimpleSigning]
	for _, signature := range []string{"", "!", "YQ", simple.Signature + "\n", simple.Signature + "=", strings.Repeat("AAAA", 1025)} {
		simple.Signature = signature
		deny(t, trust.Unreadable, simple, p.signer)
	}
	simple.Signature = "YQ=="
	deny(t, trust.BadSignature, simple, p.signer)
}

func TestBounds(t *testing.T) {
	p := newParty(t, "ci")
	large := make([]byte, limit.Evidence+1)
	for form := range p.forms(t) {
		deny(t, trust.Unreadable, trust.Evidence{Form: form, Content: large, Signature: "YQ=="}, p.signer)
		deny(t, map[bool]trust.Reason{true: trust.BadSignature, false: trust.Unreadable}[form == trust.SimpleSigning],
			trust.Evidence{Form: form, Signature: "YQ=="}, p.signer)
	}
	// CVE-2024-45395: endless log entries.
	e := p.forms(t)[trust.Bundle]
	e.Content = bytes.Replace(e.Content, []byte(`"verificationMaterial":{`), []byte(`"verificationMaterial":{"tlogEntries":[{}`+strings.Repeat(",{}", 32)+`],`), 1)
	deny(t, trust.Unreadable, e, p.signer)
}

// TestSmuggling: two members of one name, which other readers take the other
// one of.
func TestSmuggling(t *testing.T) {
	p := newParty(t, "ci")
	hidden := base64.StdEncoding.EncodeToString(statement(t, spdxType, json.RawMessage(`{"x":1}`), image))
	for form, e := range p.forms(t) {
		if form == trust.SimpleSigning {
			continue
		}
		for _, name := range []string{"payload", "payloadType", "signatures"} {
			for _, again := range []string{name, strings.Replace(name, "a", `\u0061`, 1)} {
				smuggled := e
				smuggled.Content = bytes.Replace(e.Content, fmt.Appendf(nil, "%q:", name), fmt.Appendf(nil, "\"%s\":%q,%q:", again, hidden, name), 1)
				deny(t, trust.Unreadable, smuggled, p.signer)
			}
		}
	}
}

func TestAlgorithms(t *testing.T) {
	payload := statement(t, spdxType, spdx, image)
	pae := dsse.PAE(dsse.InToto, payload)
	sum256, sum384, sum512 := sha256.Sum256(pae), sha512.Sum384(pae), sha512.Sum512(pae)
	ed := ed25519.NewKeyFromSeed(make([]byte, 32))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	for name, test := range map[string]struct {
		key     crypto.Signer
		digest  []byte
		options crypto.SignerOpts
		want    trust.Reason
	}{
		"P-256 SHA-256":     {curve(elliptic.P256()), sum256[:], crypto.SHA256, ""},
		"P-256 SHA-512":     {curve(elliptic.P256()), sum512[:], crypto.SHA512, trust.BadSignature},
		"P-384 SHA-384":     {curve(elliptic.P384()), sum384[:], crypto.SHA384, ""},
		"P-384 SHA-256":     {curve(elliptic.P384()), sum256[:], crypto.SHA256, ""},
		"P-384 SHA-512":     {curve(elliptic.P384()), sum512[:], crypto.SHA512, trust.BadSignature},
		"P-521 SHA-512":     {curve(elliptic.P521()), sum512[:], crypto.SHA512, ""},
		"P-521 SHA-256":     {curve(elliptic.P521()), sum256[:], crypto.SHA256, ""},
		"RSA SHA-256":       {rsaKey, sum256[:], crypto.SHA256, ""},
		"RSA SHA-512":       {rsaKey, sum512[:], crypto.SHA512, trust.BadSignature},
		"RSA-PSS":           {rsaKey, sum256[:], &rsa.PSSOptions{Hash: crypto.SHA256}, trust.BadSignature},
		"Ed25519":           {ed, pae, crypto.Hash(0), ""},
		"Ed25519ph":         {ed, sum512[:], crypto.SHA512, ""},
		"Ed25519 of digest": {ed, sum256[:], crypto.Hash(0), trust.BadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			p := partyOf(t, name, test.key)
			signature, err := test.key.Sign(rand.Reader, test.digest, test.options)
			if err != nil {
				t.Fatal(err)
			}
			e := p.bundle(t, dsse.Envelope{PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: signature}}})
			if test.want == "" {
				accept(t, e, p.signer)
			} else {
				deny(t, test.want, e, p.signer)
			}
		})
	}
}

// TestBrokenKeys: a signer that was not made by ParseSigner verifies nothing
// and breaks nothing.
func TestBrokenKeys(t *testing.T) {
	p := newParty(t, "ci")
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, public := range []crypto.PublicKey{
		nil, (*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}, (*rsa.PublicKey)(nil), &rsa.PublicKey{},
		ed25519.PublicKey(nil), ed25519.PublicKey("short"), "text", p.key, p224.Public(), &ecdsa.PublicKey{Curve: elliptic.P256()},
	} {
		for _, e := range p.forms(t) {
			deny(t, trust.BadSignature, e, trust.Signer{Name: "broken", Keys: []trust.Key{{ID: p.id, Public: public}}})
		}
	}
}

func TestParseSigner(t *testing.T) {
	p, q := newParty(t, "a"), newParty(t, "b")
	var both []byte
	for _, key := range []crypto.Signer{p.key, q.key} {
		content, err := cosignkey.EncodePublic(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, content...)
	}
	rotated, err := trust.ParseSigner("rotated", both)
	if err != nil {
		t.Fatal(err)
	}
	for _, signed := range []party{p, q} {
		for _, e := range signed.forms(t) {
			if claim := accept(t, e, rotated); claim.Signer() != "rotated" || claim.Key() != signed.id {
				t.Errorf("signer %s, key %s", claim.Signer(), claim.Key())
			}
		}
	}
	if _, err := trust.ParseSigner("", both); err == nil {
		t.Error("a signer without a name")
	}
	if _, err := trust.ParseSigner("ci", []byte("x")); err == nil || !strings.Contains(err.Error(), `"ci"`) {
		t.Errorf("no key: %v", err)
	}
}

// TestClaimedType: the word of unverified evidence reaches people only if it
// is a plain short one.
func TestClaimedType(t *testing.T) {
	p, stranger := newParty(t, "ci"), newParty(t, "stranger")
	for claimed, want := range map[string]string{
		spdxType: spdxType, "evil\x1b[2J": "", strings.Repeat("x", 257): "", "a\nb": "",
	} {
		e := bare(t, stranger.seal(t, dsse.InToto, statement(t, claimed, spdx, image)))
		if r := deny(t, trust.BadSignature, e, p.signer); r.ClaimedType != want || r.Evidence.Type != want {
			t.Errorf("%q: claimed type %q", claimed, r.ClaimedType)
		}
	}
}

func FuzzVerify(f *testing.F) {
	p := newParty(f, "ci")
	for form, e := range p.forms(f) {
		f.Add(string(form), e.Content, e.Signature)
	}
	f.Add(string(trust.Envelope), []byte(`{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"YQ=="}]}`), "")
	f.Fuzz(func(t *testing.T, form string, content []byte, signature string) {
		e := trust.Evidence{Form: trust.Form(form), Content: content, Signature: signature}
		claim, rejection := trust.Verify(e, []trust.Signer{p.signer}, []subject.Digest{image}, verifyTime)
		if (rejection == nil) != (claim.Type() != "" && claim.Signer() == "ci" && len(claim.Subjects()) == 1) {
			t.Fatalf("claim %+v and rejection %+v", claim, rejection)
		}
		if rejection == nil {
			same(t, claim, p)
		}
	})
}

// same wants the claim that the evidence of party.forms gives.
func same(t *testing.T, claim trust.Claim, p party) {
	t.Helper()
	wantType, wantPredicate := spdxType, string(spdx)
	if claim.Type() == signType {
		wantType, wantPredicate = signType, "{}"
	}
	if claim.Type() != wantType || string(claim.Predicate()) != wantPredicate || claim.Key() != p.id || claim.Subjects()[0] != image {
		t.Errorf("another claim: %+v", claim)
	}
}
