package trust

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

// opened is evidence after it was read, with nothing of it verified.
type opened struct {
	message    message
	signatures [][]byte
	hint       string
	// payloadType and payload are those of the envelope; empty for simple
	// signing and for files.
	payloadType string
	payload     []byte
	// blob is a bundle's signature over a file.
	blob *bundle.Message
	// leaf is the certificate that signed, nil where a key did; issuers are
	// what it brought along. identity is what it says.
	leaf       *x509.Certificate
	issuers    []*x509.Certificate
	identity   identity.Certificate
	entries    []bundle.LogEntry
	timestamps [][]byte
}

func open(evidence Evidence) (*opened, *failure) {
	if len(evidence.Content) > limit.Evidence {
		return nil, fail(Unreadable, "%s", &limit.Error{What: "evidence", Bound: limit.Evidence, Unit: "bytes"})
	}
	var o *opened
	var err error
	switch evidence.Form {
	case Bundle:
		o, err = openBundle(evidence.Content)
	case Envelope, SimpleSigning, BareSignature:
		o, err = openOlder(evidence)
	default:
		return nil, fail(Unreadable, "form %.60q is not known; want %s, %s, %s or %s", evidence.Form, Bundle, Envelope, SimpleSigning, BareSignature)
	}
	if err != nil {
		return nil, fail(Unreadable, "%s", err)
	}
	return o, nil
}

func openBundle(content []byte) (*opened, error) {
	b, err := bundle.Decode(content)
	if err != nil {
		return nil, err
	}
	o := &opened{blob: b.Message}
	if b.Message != nil {
		o.signatures = [][]byte{b.Message.Signature}
	} else {
		o.envelope(b.Envelope)
	}
	o.hint = b.KeyHint
	if b.Version != "0.3" && len(b.Certificates) > 1 {
		// What older bundles say of issuers is not used: the root has them.
		b.Certificates = b.Certificates[:1]
	}
	return o, o.witnessed(b, false)
}

// openOlder reads a layer of cosign's older layout with its annotations, and
// the signature of a file with what is kept beside it.
func openOlder(evidence Evidence) (*opened, error) {
	o := &opened{}
	switch evidence.Form {
	case Envelope:
		envelope, err := dsse.Decode(evidence.Content)
		if err != nil {
			return nil, err
		}
		o.envelope(envelope)
	default:
		signature, err := decodeSignature(evidence.Signature)
		if err != nil {
			return nil, fmt.Errorf("signature beside the payload: %w", err)
		}
		o.message = message{content: evidence.Content, pure: true, prehashed: true}
		o.signatures = [][]byte{signature}
	}
	if evidence.Form == BareSignature {
		o.blob = &bundle.Message{Signature: o.signatures[0]}
	}
	if evidence.Certificate == "" && evidence.Chain == "" && evidence.LogEntry == "" && evidence.Timestamp == "" {
		return o, nil
	}
	b, err := bundle.Legacy{
		Certificate: evidence.Certificate, Chain: evidence.Chain, LogEntry: evidence.LogEntry, Timestamp: evidence.Timestamp,
	}.Join()
	if err != nil {
		return nil, err
	}
	return o, o.witnessed(b, true)
}

func (o *opened) envelope(envelope dsse.Envelope) {
	o.message = message{content: dsse.PAE(envelope.PayloadType, envelope.Payload), pure: true, prehashed: true}
	o.payloadType, o.payload = envelope.PayloadType, envelope.Payload
	for _, signature := range envelope.Signatures {
		o.signatures = append(o.signatures, signature.Sig)
	}
}

// witnessed takes over certificate, log entries and timestamps. The older
// layout's chain ends with the root's certificate, which vouches for nothing
// here and is left out; in a bundle it has no place.
func (o *opened) witnessed(b bundle.Bundle, older bool) error {
	o.entries, o.timestamps = b.Entries, b.Timestamps
	if len(b.Certificates) == 0 {
		return nil
	}
	var err error
	if o.leaf, err = x509.ParseCertificate(b.Certificates[0]); err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	for i, der := range b.Certificates[1:] {
		issuer, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate %d of its chain: %w", i+1, err)
		}
		if selfSigned(issuer) {
			if older {
				continue
			}
			return fmt.Errorf("certificate %d of its chain is self-signed: a bundle brings no root of its own", i+1)
		}
		if !issuer.IsCA {
			return fmt.Errorf("certificate %d of its chain is no certificate authority's", i+1)
		}
		o.issuers = append(o.issuers, issuer)
	}
	if o.identity, err = identify(o.leaf); err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	if err := certified(o.leaf.PublicKey); err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	// As sigstore-go: Ed25519 signs envelopes as they are, and files prehashed.
	o.message.pure, o.message.prehashed = o.payloadType != "", o.payloadType == ""
	return nil
}

// signatureBytes bounds a signature in base64; RSA of 8192 bits takes 1,368.
const signatureBytes = 4096

func decodeSignature(text string) ([]byte, error) {
	if len(text) > signatureBytes {
		return nil, &limit.Error{What: "signature", Bound: signatureBytes, Unit: "bytes of base64"}
	}
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("line end in the base64")
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && len(signature) == 0 {
		err = errors.New("is empty")
	}
	return signature, err
}
