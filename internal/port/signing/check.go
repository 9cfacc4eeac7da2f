package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha512"
	"errors"
)

// ErrOtherSignature says that a service or a token gave a signature that its
// public key does not verify; nothing was signed.
var ErrOtherSignature = errors.New("the signature that it gave does not verify with the key's public key; nothing was signed")

// Check holds a service or a token to what it was asked for: a signature of
// message, as Digest says or, with Ed25519, of its SHA-512 digest (Ed25519ph),
// which some give for all but short messages. Anything else is
// ErrOtherSignature. It is no verification of evidence, and makes no claim: that
// is engine/trust.
func Check(public crypto.PublicKey, message, signature []byte) error {
	digest, options, err := Digest(public, message)
	if err != nil {
		return err
	}
	good := false
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(key, digest, signature)
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(key, options.HashFunc(), digest, signature) == nil
	case ed25519.PublicKey:
		sum := sha512.Sum512(message)
		good = ed25519.Verify(key, message, signature) ||
			ed25519.VerifyWithOptions(key, sum[:], signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
	}
	if !good {
		return ErrOtherSignature
	}
	return nil
}
