// Package signing is where signatures come from: a key file, a key service, a
// token. Each way is a package below this one, and exports a concrete type.
//
// Entry points are [Signer], which all of them satisfy, and [Digest], which
// says what an algorithm signs of a message, so that they agree. A
// [DigestSigner] signs what is larger than memory. What a
// Signer must hold to is tested by signingtest, which every child runs. A
// [Certified] signer's key is vouched for by a certificate authority, and a
// [Notary] has logs and timestamp authorities vouch for a signature.
//
// A Signer says nothing about who may be trusted, and verifies nothing; that
// is engine/trust.
package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/identity"
)

// Signer signs with one key. It may be used by several goroutines at once.
type Signer interface {
	// Public is the key that verifies: *ecdsa.PublicKey, *rsa.PublicKey or
	// ed25519.PublicKey.
	Public() crypto.PublicKey
	// KeyID is the fingerprint of Public.
	KeyID() identity.Key
	// Sign signs the whole message, hashed as Digest says: ECDSA gives
	// ASN.1 DER, RSA PKCS#1 v1.5, Ed25519 64 bytes. A done context is an
	// error.
	Sign(ctx context.Context, message []byte) (signature []byte, err error)
}

// DigestSigner is a Signer that can sign what it is not given, by its digest:
// files are larger than memory.
type DigestSigner interface {
	Signer
	// SignDigest signs a digest of the message by the hash of options, which
	// must be what Digest gives for the key: the signature is the one that
	// Sign makes of the message. Ed25519 keys sign no digest, which is an
	// error.
	SignDigest(ctx context.Context, digest []byte, options crypto.SignerOpts) (signature []byte, err error)
}

// Certified is a Signer whose key a certificate authority vouches for.
type Certified interface {
	Signer
	// Certificates are in DER: the leaf, then what it was issued by, without
	// the root.
	Certificates() [][]byte
}

// Notary has transparency logs and timestamp authorities vouch for
// signatures. It may be used by several goroutines at once.
type Notary interface {
	// Witness adds log entries and timestamps to a Sigstore bundle in JSON,
	// whose signature public made. Anything that could not be had is an
	// error: a bundle never comes back with less than was configured.
	Witness(ctx context.Context, bundle []byte, public crypto.PublicKey) ([]byte, error)
}

// Digest is what a key of this type signs of a message, with the options that
// crypto.Signer wants for it. The choices are the defaults of Sigstore's
// algorithm registry, as cosign verifies them: SHA-256 for RSA (PKCS#1 v1.5)
// and P-256, SHA-384 for P-384, SHA-512 for P-521, and for Ed25519 the
// message itself.
func Digest(public crypto.PublicKey, message []byte) (digest []byte, options crypto.SignerOpts, err error) {
	var hash crypto.Hash
	switch key := public.(type) {
	case ed25519.PublicKey:
		return message, crypto.Hash(0), nil
	case *rsa.PublicKey:
		hash = crypto.SHA256
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			hash = crypto.SHA256
		case elliptic.P384():
			hash = crypto.SHA384
		case elliptic.P521():
			hash = crypto.SHA512
		default:
			return nil, nil, fmt.Errorf("signing with ECDSA on %s: want P-256, P-384 or P-521", key.Curve.Params().Name)
		}
	default:
		return nil, nil, fmt.Errorf("signing with a %T: want ECDSA, RSA or Ed25519", public)
	}
	h := hash.New()
	h.Write(message)
	return h.Sum(nil), hash, nil
}
