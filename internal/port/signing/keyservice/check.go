package keyservice

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha512"

	"github.com/seed-161fc314/assay/internal/port/signing"
)

// check says whether a service made the signature that was asked for. It is
// no verification of evidence, and makes no claim: that is engine/trust.
func check(public crypto.PublicKey, message, signature []byte) error {
	digest, options, err := signing.Digest(public, message)
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
		good = ed25519.Verify(key, message, signature) || checkPrehashed(key, message, signature)
	}
	if !good {
		return ErrOtherSignature
	}
	return nil
}

// checkPrehashed is Ed25519ph, which engine/trust accepts too: some services
// take no long message any other way.
func checkPrehashed(key ed25519.PublicKey, message, signature []byte) bool {
	sum := sha512.Sum512(message)
	return ed25519.VerifyWithOptions(key, sum[:], signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
}
