package signing_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"

	"github.com/seed-161fc314/assay/internal/port/signing"
)

// TestCheck: what was asked for is taken, and no bit of anything else.
func TestCheck(t *testing.T) {
	message := []byte("message")
	var keys []crypto.Signer
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range append(keys, rsaKey, edwards) {
		digest, options, err := signing.Digest(key.Public(), message)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := key.Sign(rand.Reader, digest, options)
		if err != nil {
			t.Fatal(err)
		}
		if err := signing.Check(key.Public(), message, signature); err != nil {
			t.Errorf("%T: %v", key, err)
		}
		other := append([]byte(nil), signature...)
		other[len(other)-1] ^= 1
		for name, err := range map[string]error{
			"another message": signing.Check(key.Public(), []byte("massage"), signature),
			"another bit":     signing.Check(key.Public(), message, other),
			"nothing":         signing.Check(key.Public(), message, nil),
			"another key":     signing.Check(keys[0].Public(), message, signature),
		} {
			if !errors.Is(err, signing.ErrOtherSignature) && (name != "another key" || key != keys[0]) {
				t.Errorf("%T, %s: %v", key, name, err)
			}
		}
	}
	digest, options, err := signing.Digest(rsaKey.Public(), message)
	if err != nil {
		t.Fatal(err)
	}
	pss, err := rsa.SignPSS(rand.Reader, rsaKey, options.HashFunc(), digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := signing.Check(rsaKey.Public(), message, pss); !errors.Is(err, signing.ErrOtherSignature) {
		t.Errorf("RSA-PSS, which verifiers do not take: %v", err)
	}
	if err := signing.Check("no key", message, pss); err == nil || errors.Is(err, signing.ErrOtherSignature) {
		t.Errorf("no key: %v", err)
	}
}
