package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
)

const (
	spdxType = "https://spdx.dev/Document"
	vulnType = "https://cosign.sigstore.dev/attestation/vuln/v1"
	signType = "https://sigstore.dev/cosign/sign/v1"
)

var (
	image = subject.Of([]byte("image"))
	other = subject.Of([]byte("other image"))
	// verifyTime is the door's clock.
	verifyTime = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	spdx       = json.RawMessage(`{"spdxVersion":"SPDX-2.3","creationInfo":{"created":"2026-01-02T03:04:05Z","creators":["Tool: example-1"]}}`)
)

// party is a private key and the signer that a policy makes of it.
type party struct {
	key    crypto.Signer
	id     identity.Key
	signer trust.Signer
}

func newParty(t testing.TB, name string) party {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return partyOf(t, name, key)
}

func partyOf(t testing.TB, name string, key crypto.Signer) party {
	t.Helper()
	public, err := cosignkey.EncodePublic(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := trust.ParseSigner(name, public)
	if err != nil {
		t.Fatal(err)
	}
	return party{key: key, id: signer.Keys[0].ID, signer: signer}
}

// sign signs with SHA-256, as P-256 and RSA do.
func (p party) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(message)
	signature, err := p.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func (p party) seal(t testing.TB, payloadType string, payload []byte) dsse.Envelope {
	t.Helper()
	return dsse.Envelope{
		PayloadType: payloadType, Payload: payload,
		Signatures: []dsse.Signature{{Sig: p.sign(t, dsse.PAE(payloadType, payload))}},
	}
}

func (p party) bundle(t testing.TB, envelope dsse.Envelope) trust.Evidence {
	t.Helper()
	content, err := bundle.Encode(envelope, p.id)
	return evidence(t, trust.Bundle, content, err)
}

func bare(t testing.TB, envelope dsse.Envelope) trust.Evidence {
	t.Helper()
	content, err := dsse.Encode(envelope)
	return evidence(t, trust.Envelope, content, err)
}

func (p party) simple(t testing.TB, payload []byte) trust.Evidence {
	t.Helper()
	e := evidence(t, trust.SimpleSigning, payload, nil)
	e.Signature = base64.StdEncoding.EncodeToString(p.sign(t, payload))
	return e
}

func evidence(t testing.TB, form trust.Form, content []byte, err error) trust.Evidence {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return trust.Evidence{Digest: subject.Of(content), Source: "test", Attached: image, Form: form, Content: content}
}

func statement(t testing.TB, predicateType string, predicate json.RawMessage, digests ...subject.Digest) []byte {
	t.Helper()
	var subjects []intoto.Subject
	for _, digest := range digests {
		subjects = append(subjects, intoto.SubjectOf("registry.example.com/app", digest))
	}
	payload, err := intoto.Encode(intoto.New(subjects, predicateType, predicate))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// forms is the same party's word about image in every form.
func (p party) forms(t testing.TB) map[trust.Form]trust.Evidence {
	t.Helper()
	envelope := p.seal(t, dsse.InToto, statement(t, spdxType, spdx, image))
	return map[trust.Form]trust.Evidence{
		trust.Bundle:        p.bundle(t, envelope),
		trust.Envelope:      bare(t, envelope),
		trust.SimpleSigning: p.simple(t, simplesigning.Encode("registry.example.com/app", image, map[string]string{"a": "b"})),
	}
}

func vulnerabilities(scanner, finished string) json.RawMessage {
	return fmt.Appendf(nil, `{"invocation":{"parameters":null,"uri":"","event_id":"","builder.id":""},`+
		`"scanner":{"uri":%q,"version":"1","db":{"uri":"","version":"","lastUpdate":%[2]q},"result":{}},`+
		`"metadata":{"scanStartedOn":%[2]q,"scanFinishedOn":%[2]q}}`, scanner, finished)
}

// accept verifies and wants a claim, deny a rejection for the reason.
func accept(t *testing.T, e trust.Evidence, signers ...trust.Signer) trust.Claim {
	t.Helper()
	claim, rejection := trust.Verify(e, signers, []subject.Digest{image}, verifyTime)
	if rejection != nil {
		t.Fatalf("rejected: %s: %s", rejection.Reason, rejection.Detail)
	}
	return claim
}

func deny(t *testing.T, want trust.Reason, e trust.Evidence, signers ...trust.Signer) *trust.Rejection {
	t.Helper()
	claim, rejection := trust.Verify(e, signers, []subject.Digest{image}, verifyTime)
	if rejection == nil {
		t.Errorf("got a claim of type %s, want %q", claim.Type(), want)
		return &trust.Rejection{}
	}
	if rejection.Reason != want {
		t.Errorf("got %q (%s), want %q", rejection.Reason, rejection.Detail, want)
	}
	if claim.Type() != "" || claim.Signer() != "" || claim.Subjects() != nil || claim.Predicate() != nil {
		t.Errorf("a claim came beside the rejection: %+v", claim)
	}
	if rejection.Detail == "" || rejection.Evidence.Rejected == "" || rejection.Evidence.Signer != "" || rejection.Evidence.Digest != e.Digest {
		t.Errorf("rejection says too little or too much: %+v", rejection)
	}
	return rejection
}
