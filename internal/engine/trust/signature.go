package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"errors"
	"fmt"
)

var errSignature = errors.New("signature does not verify")

// message is what signatures are over. It is hashed once per algorithm,
// however many signatures and keys are tried.
type message struct {
	content []byte
	sums    map[crypto.Hash][]byte
}

func (m *message) sum(hash crypto.Hash) []byte {
	if sum, done := m.sums[hash]; done {
		return sum
	}
	h := hash.New()
	h.Write(m.content)
	if m.sums == nil {
		m.sums = map[crypto.Hash][]byte{}
	}
	m.sums[hash] = h.Sum(nil)
	return m.sums[hash]
}

// check verifies one signature with one key, by the algorithms that cosign
// uses for keys of its type: the defaults of Sigstore's algorithm registry,
// SHA-256 on the larger curves (cosign before 3), and Ed25519ph (cosign 3,
// for logs that take no plain Ed25519).
func (m *message) check(public crypto.PublicKey, signature []byte) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return m.checkECDSA(key, signature)
	case *rsa.PublicKey:
		if key == nil || key.N == nil {
			return errSignature
		}
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, m.sum(crypto.SHA256), signature) != nil {
			return errSignature
		}
		return nil
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return errSignature
		}
		if ed25519.Verify(key, m.content, signature) {
			return nil
		}
		if ed25519.VerifyWithOptions(key, m.sum(crypto.SHA512), signature, &ed25519.Options{Hash: crypto.SHA512}) != nil {
			return errSignature
		}
		return nil
	}
	return fmt.Errorf("keys of type %T verify nothing", public)
}

func (m *message) checkECDSA(key *ecdsa.PublicKey, signature []byte) error {
	//lint:ignore SA1019 the coordinates are only looked at: a key without them panics in every function that would look for us
	if key == nil || key.Curve == nil || key.X == nil || key.Y == nil {
		return errSignature
	}
	hashes := []crypto.Hash{crypto.SHA256}
	switch key.Curve {
	case elliptic.P256():
	case elliptic.P384():
		hashes = []crypto.Hash{crypto.SHA384, crypto.SHA256}
	case elliptic.P521():
		hashes = []crypto.Hash{crypto.SHA512, crypto.SHA256}
	default:
		return fmt.Errorf("ECDSA on %s verifies nothing", key.Curve.Params().Name)
	}
	for _, hash := range hashes {
		if ecdsa.VerifyASN1(key, m.sum(hash), signature) {
			return nil
		}
	}
	return errSignature
}
