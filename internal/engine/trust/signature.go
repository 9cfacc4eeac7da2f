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

var (
	errSignature = errors.New("signature does not verify")
	errContent   = errors.New("what the key signs is not known")
)

// message is what signatures are over. It is hashed once per algorithm,
// however many signatures and keys are tried.
type message struct {
	content []byte
	sums    map[crypto.Hash][]byte
	// absent says that there is no content, only the sums.
	absent bool
	// pure and prehashed say which of Ed25519's two ways are tried.
	pure, prehashed bool
}

// sum is nil where it cannot be known.
func (m *message) sum(hash crypto.Hash) []byte {
	if sum, done := m.sums[hash]; done {
		return sum
	}
	if m.absent {
		return nil
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
// for logs that take no plain Ed25519). The error is errContent where none of
// them could be tried.
func (m *message) check(public crypto.PublicKey, signature []byte) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return m.checkECDSA(key, signature)
	case *rsa.PublicKey:
		if key == nil || key.N == nil {
			return errSignature
		}
		return m.try(crypto.SHA256, func(sum []byte) bool {
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature) == nil
		})
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return errSignature
		}
		if m.pure && !m.absent && ed25519.Verify(key, m.content, signature) {
			return nil
		}
		err := errSignature
		if m.prehashed {
			err = m.try(crypto.SHA512, func(sum []byte) bool {
				return ed25519.VerifyWithOptions(key, sum, signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
			})
		}
		if err != nil && m.pure && m.absent {
			return errContent
		}
		return err
	}
	return fmt.Errorf("keys of type %T verify nothing", public)
}

// checkWith verifies one signature with a key of a signer.
func (m *message) checkWith(key Key, signature []byte) error {
	if key.Digest == 0 {
		return m.check(key.Public, signature)
	}
	if !key.Digest.Available() {
		return fmt.Errorf("digest algorithm %s is not known", key.Digest)
	}
	switch public := key.Public.(type) {
	case *ecdsa.PublicKey:
		if err := m.checkECDSA(public, nil); !errors.Is(err, errSignature) && !errors.Is(err, errContent) {
			return err // a curve or a key that verifies nothing
		}
		return m.try(key.Digest, func(sum []byte) bool { return ecdsa.VerifyASN1(public, sum, signature) })
	case *rsa.PublicKey:
		if public == nil || public.N == nil {
			return errSignature
		}
		return m.try(key.Digest, func(sum []byte) bool { return rsa.VerifyPKCS1v15(public, key.Digest, sum, signature) == nil })
	}
	return m.check(key.Public, signature)
}

func (m *message) try(hash crypto.Hash, verifies func(sum []byte) bool) error {
	sum := m.sum(hash)
	switch {
	case sum == nil:
		return errContent
	case verifies(sum):
		return nil
	}
	return errSignature
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
	result := errSignature
	for _, hash := range hashes {
		err := m.try(hash, func(sum []byte) bool { return ecdsa.VerifyASN1(key, sum, signature) })
		if err == nil {
			return nil
		}
		if errors.Is(err, errContent) {
			result = err
		}
	}
	return result
}

// certified stops where a certificate's key is of a type that Sigstore does
// not verify certificates' signatures with.
func certified(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits != 2048 && bits != 3072 && bits != 4096 {
			return fmt.Errorf("RSA key of %d bits; want 2048, 3072 or 4096", bits)
		}
		return nil
	}
	return fmt.Errorf("key of type %T", public)
}
