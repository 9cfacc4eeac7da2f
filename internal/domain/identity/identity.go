// Package identity names who signed something.
//
// Entry points are [Key], the fingerprint of a public key, and [Pattern], which
// says which [Certificate] identities are meant. An identity here is a name,
// not a proof: only engine/trust says that somebody signed.
package identity

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// Key is a public key's fingerprint: SHA-256 over its PKIX DER encoding
// (SubjectPublicKeyInfo). Comparable with ==; the zero value is no key.
type Key struct {
	sum [sha256.Size]byte
	set bool
}

// KeyOf fingerprints a public key of any type that PKIX can hold.
func KeyOf(public crypto.PublicKey) (Key, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("fingerprinting public key: %w", err)
	}
	return Key{sum: sha256.Sum256(der), set: true}, nil
}

// Hint is the spelling of the Sigstore bundle's publicKey.hint as cosign
// writes it: standard base64 of the fingerprint.
func (k Key) Hint() string {
	if !k.set {
		return ""
	}
	return base64.StdEncoding.EncodeToString(k.sum[:])
}

// String is "sha256:<hex>", for people and logs; "" for the zero value.
func (k Key) String() string {
	if !k.set {
		return ""
	}
	return "sha256:" + hex.EncodeToString(k.sum[:])
}

// IsZero says whether this is no key.
func (k Key) IsZero() bool { return !k.set }

// MarshalText writes String.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
