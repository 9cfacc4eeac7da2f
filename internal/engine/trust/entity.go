package trust

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"

	intotov1 "github.com/in-toto/attestation/go/v1"
	sslib "github.com/secure-systems-lab/go-securesystemslib/dsse"
	sigstorebundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// party is whose signature it is: that of a certificate, or of a key.
type party struct {
	leaf   *x509.Certificate
	public crypto.PublicKey
}

// is says whether a log entry names this party.
func (p party) is(found any) bool {
	if p.leaf != nil {
		certificate, ok := found.(*x509.Certificate)
		return ok && p.leaf.Equal(certificate)
	}
	comparable, ok := found.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(p.public)
}

// entity is one signature with one log entry, as sigstore-go wants to see it.
// It is made for each entry, so that each is judged by itself.
type entity struct {
	party party
	entry *tlog.Entry
	// content is an envelope, or a message signature.
	content verify.SignatureContent
}

var (
	_ verify.SignedEntity        = (*entity)(nil)
	_ verify.VerificationContent = keyContent{}
	_ verify.EnvelopeContent     = rawEnvelope{}
)

// HasInclusionPromise and the methods below are verify.SignedEntity.
func (e *entity) HasInclusionPromise() bool                          { return e.entry.HasInclusionPromise() }
func (e *entity) HasInclusionProof() bool                            { return e.entry.HasInclusionProof() }
func (e *entity) SignatureContent() (verify.SignatureContent, error) { return e.content, nil }
func (e *entity) Timestamps() ([][]byte, error)                      { return nil, nil }
func (e *entity) TlogEntries() ([]*tlog.Entry, error)                { return []*tlog.Entry{e.entry}, nil }
func (e *entity) Version() (string, error)                           { return "v0.3", nil }

func (e *entity) VerificationContent() (verify.VerificationContent, error) {
	if e.party.leaf != nil {
		return certificateContent{sigstorebundle.NewCertificate(e.party.leaf), e.entry.HasInclusionPromise()}, nil
	}
	return keyContent{e.party}, nil
}

// certificateContent is the verification content of a certificate. Where the
// log signed its time, Root.chain asks whether the certificate and all that
// issued it were valid then, and says what was not.
type certificateContent struct {
	verify.VerificationContent
	promised bool
}

func (c certificateContent) ValidAtTime(at time.Time, r root.TrustedMaterial) bool {
	return c.promised || c.VerificationContent.ValidAtTime(at, r)
}

// keyContent is the verification content of a key. When the key was valid is
// not asked here: Key.valid says so, of all trusted times.
type keyContent struct{ party party }

func (k keyContent) CompareKey(found any, _ root.TrustedMaterial) bool { return k.party.is(found) }
func (k keyContent) ValidAtTime(time.Time, root.TrustedMaterial) bool  { return true }
func (k keyContent) Certificate() *x509.Certificate                    { return nil }
func (k keyContent) Intermediates() []*x509.Certificate                { return nil }
func (k keyContent) PublicKey() verify.PublicKeyProvider               { return k }
func (k keyContent) Hint() string                                      { return "" }

// rawEnvelope shows sigstore-go an envelope without its statement, which is
// never asked for: a predicate of many megabytes would become as many objects.
type rawEnvelope struct{ envelope *sslib.Envelope }

var errNoStatement = errors.New("the statement is not read here")

func (r rawEnvelope) RawEnvelope() *sslib.Envelope            { return r.envelope }
func (r rawEnvelope) Statement() (*intotov1.Statement, error) { return nil, errNoStatement }

// envelopeContent is verify.SignatureContent of an envelope.
type envelopeContent struct {
	rawEnvelope
	signature []byte
}

func (e envelopeContent) Signature() []byte                                       { return e.signature }
func (e envelopeContent) EnvelopeContent() verify.EnvelopeContent                 { return e.rawEnvelope }
func (e envelopeContent) MessageSignatureContent() verify.MessageSignatureContent { return nil }

func newEnvelopeContent(o *opened, signature []byte) envelopeContent {
	return envelopeContent{rawEnvelope{&sslib.Envelope{
		PayloadType: o.payloadType, Payload: base64.StdEncoding.EncodeToString(o.payload),
		Signatures: []sslib.Signature{{Sig: base64.StdEncoding.EncodeToString(signature)}},
	}}, signature}
}

// material is a root that also knows the key that a signature verified with.
type material struct {
	root.TrustedMaterial
	public crypto.PublicKey
}

// PublicKeyVerifier gives the key, whatever it is called.
func (m material) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	if m.public == nil {
		return nil, errors.New("no key")
	}
	verifier, err := signature.LoadDefaultVerifier(m.public)
	if err != nil {
		return nil, err
	}
	return root.NewExpiringKey(verifier, time.Time{}, time.Time{}), nil
}
