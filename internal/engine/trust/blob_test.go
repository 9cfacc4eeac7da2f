package trust_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
)

var (
	file     = []byte("a file that somebody signs\n")
	artifact = trust.Artifact{Content: file}
	byDigest = trust.Artifact{Digest: subject.Of(file)}
)

func acceptBlob(t *testing.T, e trust.Evidence, a trust.Artifact, signer trust.Signer) trust.Claim {
	t.Helper()
	claim, rejection := trust.VerifyBlob(e, a, []trust.Signer{signer}, verifyTime)
	if rejection != nil {
		t.Fatalf("%s: %s", rejection.Reason, rejection.Detail)
	}
	return claim
}

func denyBlob(t *testing.T, want trust.Reason, e trust.Evidence, a trust.Artifact, signer trust.Signer, words ...string) {
	t.Helper()
	claim, rejection := trust.VerifyBlob(e, a, []trust.Signer{signer}, verifyTime)
	if rejection == nil || rejection.Reason != want || claim.Type() != "" {
		t.Fatalf("want %q, got %+v and claim %+v", want, rejection, claim)
	}
	for _, word := range words {
		if !strings.Contains(rejection.Detail, word) {
			t.Errorf("%q is not in the detail: %s", word, rejection.Detail)
		}
	}
}

// message makes a bundle with a signature over the file.
func message(t testing.TB, signature []byte) bundle.Bundle {
	t.Helper()
	sum := sha256.Sum256(file)
	return bundle.Bundle{Version: "0.3", Message: &bundle.Message{Algorithm: "sha256", Digest: sum[:], Signature: signature}}
}

// signedFile is a keyless signer's bundle over the file, in the first log.
func (w world) signedFile(t testing.TB) (bundle.Bundle, trusttest.Signed) {
	t.Helper()
	signature, err := w.keyless.Sign(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	b := message(t, signature)
	b.Certificates = w.keyless.Certificates()[:1]
	said := trusttest.Signed{Certificate: b.Certificates[0], Public: w.keyless.Public(), Signature: signature, Content: file}
	b.Entries = []bundle.LogEntry{w.V1.Add(said, signTime)}
	return b, said
}

func TestVerifyBlob(t *testing.T) {
	w, p := newWorld(t), newParty(t, "ci")
	keyed := message(t, p.sign(t, file))
	keyed.KeyHint = p.id.Hint()
	certified, _ := w.signedFile(t)
	second, said := w.signedFile(t)
	second.Entries = []bundle.LogEntry{w.V2.Add(said, signTime)}
	second.Timestamps = [][]byte{w.TSA.Stamp(said.Signature, signTime)}
	older := beside(trust.Evidence{Form: trust.BareSignature, Signature: base64.StdEncoding.EncodeToString(said.Signature)}, bundle.Split(certified, nil))
	older.Signature = base64.StdEncoding.EncodeToString(certified.Message.Signature)
	plain := trust.Evidence{Form: trust.BareSignature, Signature: base64.StdEncoding.EncodeToString(p.sign(t, file))}
	for name, test := range map[string]struct {
		e      trust.Evidence
		signer trust.Signer
	}{
		"bundle of a key":       {encoded(t, keyed), p.signer},
		"bundle, log v1":        {encoded(t, certified), w.signer},
		"bundle, log v2":        {encoded(t, second), w.signer},
		"signature of a key":    {plain, p.signer},
		"signature and its log": {older, w.signer},
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range []trust.Artifact{artifact, byDigest, {Digest: subject.Of(file), Content: file}} {
				claim := acceptBlob(t, test.e, a, test.signer)
				if claim.Type() != trust.TypeMessage || string(claim.Predicate()) != "{}" {
					t.Errorf("type %s, predicate %s", claim.Type(), claim.Predicate())
				}
				if diff := cmp.Diff([]string{subject.Of(file).String()}, []string{claim.Subjects()[0].String()}); diff != "" {
					t.Error(diff)
				}
			}
			denyBlob(t, map[bool]trust.Reason{true: trust.OtherSubject, false: trust.BadSignature}[test.e.Form == trust.Bundle], test.e, trust.Artifact{Content: []byte("another file")}, test.signer)
			denyBlob(t, map[bool]trust.Reason{true: trust.OtherSubject, false: trust.BadSignature}[test.e.Form == trust.Bundle], test.e, trust.Artifact{Digest: other}, test.signer)
			denyBlob(t, trust.OtherSubject, test.e, trust.Artifact{}, test.signer)
			denyBlob(t, trust.OtherSubject, test.e, trust.Artifact{Digest: other, Content: file}, test.signer, "not "+other.String())
			// A signature over a file is nothing about an image.
			deny(t, trust.Unreadable, test.e, test.signer)
		})
	}
	sum := sha512.Sum512(file)
	digest, err := subject.Parse("sha512:" + hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	denyBlob(t, trust.NeedsContent, encoded(t, keyed), trust.Artifact{Digest: digest}, p.signer, "names the sha256 digest")
	acceptBlob(t, encoded(t, keyed), trust.Artifact{Digest: digest, Content: file}, p.signer)
	denyBlob(t, trust.NeedsContent, plain, trust.Artifact{Digest: digest}, p.signer, "verify with the file")
}

// TestStatementsAboutBlobs: an envelope counts for a file by its statement, and
// is no signature of it.
func TestStatementsAboutBlobs(t *testing.T) {
	p := newParty(t, "ci")
	e := p.bundle(t, p.seal(t, dsse.InToto, statement(t, spdxType, spdx, subject.Of(file))))
	for _, a := range []trust.Artifact{artifact, byDigest} {
		if claim := acceptBlob(t, e, a, p.signer); claim.Type() != spdxType {
			t.Errorf("type %s", claim.Type())
		}
	}
	denyBlob(t, trust.OtherSubject, e, trust.Artifact{Content: []byte("another")}, p.signer)
	denyBlob(t, trust.BadStatement, p.bundle(t, p.seal(t, "text/plain", []byte("x"))), artifact, p.signer)
	denyBlob(t, trust.Unreadable, p.simple(t, simplesigning.Encode("r", subject.Of(file), nil)), artifact, p.signer, "about no file")
}

// TestDigestAlone: what a digest is enough for, by kind of key.
func TestDigestAlone(t *testing.T) {
	w := newWorld(t)
	curve := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	ed := ed25519.NewKeyFromSeed(make([]byte, 32))
	for name, test := range map[string]struct {
		key              crypto.Signer
		hash             crypto.Hash
		by256, by512     trust.Reason
		whole, certified trust.Reason
	}{
		"P-256":     {curve(elliptic.P256()), crypto.SHA256, "", trust.NeedsContent, "", ""},
		"P-384":     {curve(elliptic.P384()), crypto.SHA384, trust.NeedsContent, trust.NeedsContent, "", ""},
		"P-384/256": {curve(elliptic.P384()), crypto.SHA256, "", trust.NeedsContent, "", ""},
		"P-521":     {curve(elliptic.P521()), crypto.SHA512, trust.NeedsContent, "", "", ""},
		"Ed25519":   {ed, 0, trust.NeedsContent, trust.NeedsContent, "", trust.BadSignature},
		"Ed25519ph": {ed, crypto.SHA512, trust.NeedsContent, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			digest := file
			if test.hash != 0 {
				h := test.hash.New()
				h.Write(file)
				digest = h.Sum(nil)
			}
			signature, err := test.key.Sign(rand.Reader, digest, test.hash)
			if err != nil {
				t.Fatal(err)
			}
			e := trust.Evidence{Form: trust.BareSignature, Signature: base64.StdEncoding.EncodeToString(signature)}
			p := partyOf(t, name, test.key)
			sum := sha512.Sum512(file)
			long, err := subject.Parse("sha512:" + hex.EncodeToString(sum[:]))
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range []struct {
				artifact trust.Artifact
				want     trust.Reason
			}{{artifact, test.whole}, {byDigest, test.by256}, {trust.Artifact{Digest: long}, test.by512}} {
				if one.want == "" {
					acceptBlob(t, e, one.artifact, p.signer)
				} else {
					denyBlob(t, one.want, e, one.artifact, p.signer, "verify with the file")
				}
			}
			// The same key in a certificate, as sigstore-go has it.
			k := w.KeylessWith(test.key, trusttest.Template(t, release, issueTime))
			b := message(t, signature)
			b.Certificates = k.Certificates()[:1]
			b.Entries = []bundle.LogEntry{w.V1.Add(trusttest.Signed{Certificate: b.Certificates[0], Public: k.Public(), Signature: signature, Content: file, Hash: test.hash}, signTime)}
			if test.certified == "" {
				acceptBlob(t, encoded(t, b), artifact, w.signer)
			} else {
				denyBlob(t, test.certified, encoded(t, b), artifact, w.signer)
			}
		})
	}
}
