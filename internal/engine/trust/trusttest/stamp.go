package trusttest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

// TSA makes timestamps.
type TSA struct {
	t      testing.TB
	URL    string
	Period Period
	// Unnamed leaves the certificate that stamps out of the trusted root.
	Unnamed    bool
	root, leaf *x509.Certificate
	rootKey    *ecdsa.PrivateKey
	key        *ecdsa.PrivateKey
}

// NewTSA makes a timestamp authority with a root certificate of its own.
func NewTSA(t testing.TB, period Period) *TSA {
	t.Helper()
	tsa := &TSA{t: t, URL: "https://timestamp.test", Period: period, rootKey: newKey(t), key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "timestamp root " + serial(t).String(), Organization: []string{"trusttest"}},
		NotBefore: period.Start, NotAfter: period.End,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
	}
	tsa.root = create(t, template, template, tsa.rootKey.Public(), tsa.rootKey)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	must(t, err)
	tsa.leaf = tsa.Issue(tsa.key.Public(), pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage})
	return tsa
}

// Issue issues a certificate by the authority's root, with any extensions.
func (a *TSA) Issue(public crypto.PublicKey, extensions ...pkix.Extension) *x509.Certificate {
	a.t.Helper()
	return create(a.t, &x509.Certificate{
		SerialNumber: serial(a.t), Subject: pkix.Name{CommonName: "timestamp", Organization: []string{"trusttest"}},
		NotBefore: a.Period.Start, NotAfter: a.Period.End, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: extensions,
	}, a.root, public, a.rootKey)
}

// Chain is the certificate that stamps and the root's, in DER.
func (a *TSA) Chain() [][]byte { return [][]byte{a.leaf.Raw, a.root.Raw} }

// Leaf is the certificate that stamps.
func (a *TSA) Leaf() *x509.Certificate { return a.leaf }

// Stamp says that a signature existed at a time: a response in DER, with the
// certificate in it.
func (a *TSA) Stamp(signature []byte, at time.Time) []byte {
	a.t.Helper()
	return a.StampBy(a.leaf, a.key, signature, at)
}

// StampBy stamps with another certificate and key; the certificates of more
// are put before it.
func (a *TSA) StampBy(leaf *x509.Certificate, key crypto.Signer, signature []byte, at time.Time, more ...*x509.Certificate) []byte {
	a.t.Helper()
	sum := sha256.Sum256(signature)
	stamp := timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: at, SerialNumber: serial(a.t),
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: true,
	}
	response, err := stamp.CreateResponseWithOpts(leaf, key, crypto.SHA256)
	must(a.t, err)
	if len(more) == 0 {
		return response
	}
	// TimeStampResp, its token, the content in that, and the certificates in
	// the signed data (RFC 5652 section 5.1).
	return a.inside(response, []int{1, 1, 0, 3}, func(certificates []byte) []byte {
		var before []byte
		for _, certificate := range more {
			before = append(before, certificate.Raw...)
		}
		return append(before, certificates...)
	})
}

// inside changes the content of one value in DER, and the lengths around it.
func (a *TSA) inside(der []byte, path []int, change func([]byte) []byte) []byte {
	a.t.Helper()
	var value asn1.RawValue
	_, err := asn1.Unmarshal(der, &value)
	must(a.t, err)
	if len(path) == 0 {
		value.Bytes = change(value.Bytes)
	} else {
		var content []byte
		rest := value.Bytes
		for i := 0; len(rest) > 0; i++ {
			var child asn1.RawValue
			after, err := asn1.Unmarshal(rest, &child)
			must(a.t, err)
			if i == path[0] {
				child.FullBytes = a.inside(child.FullBytes, path[1:], change)
			}
			content, rest = append(content, child.FullBytes...), after
		}
		value.Bytes = content
	}
	value.FullBytes = nil
	out, err := asn1.Marshal(value)
	must(a.t, err)
	return out
}

// Notary has bundles witnessed by a Sigstore at a time, as signing.Notary
// wants it.
type Notary struct {
	Sigstore *Sigstore
	At       time.Time
	// V2 takes the second log instead of the first; Stamped has a timestamp
	// made too.
	V2, Stamped bool
}

// Witness adds a log entry, and a timestamp where that is wanted.
func (n Notary) Witness(ctx context.Context, content []byte, public crypto.PublicKey) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := bundle.Decode(content)
	if err != nil {
		return nil, err
	}
	signed := Signed{Public: public}
	if b.Message != nil {
		signed.Signature, signed.Digest = b.Message.Signature, b.Message.Digest
	} else {
		signed.Signature, signed.Envelope = b.Envelope.Signatures[0].Sig, &b.Envelope
		signed.Content = dsse.PAE(b.Envelope.PayloadType, b.Envelope.Payload)
	}
	if len(b.Certificates) > 0 {
		signed.Certificate = b.Certificates[0]
	}
	log := n.Sigstore.V1
	if n.V2 {
		log = n.Sigstore.V2
	}
	b.Entries = append(b.Entries, log.Add(signed, n.At))
	if n.Stamped {
		b.Timestamps = append(b.Timestamps, n.Sigstore.TSA.Stamp(signed.Signature, n.At))
	}
	return bundle.EncodeWith(b)
}
