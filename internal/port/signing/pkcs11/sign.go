//go:build pkcs11 && cgo

package pkcs11

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// Public is the key that verifies.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// KeyID is the fingerprint of Public.
func (s *Signer) KeyID() identity.Key { return s.id }

// Close ends the session.
func (s *Signer) Close() error { return s.session.close() }

// Sign has the token sign message as signing.Signer says. Whoever waits for
// its turn gives up when the context is done; a token that signs is not
// interrupted.
func (s *Signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	digest, _, err := signing.Digest(s.public, message)
	if err != nil {
		return nil, err
	}
	select {
	case s.session.turn <- struct{}{}:
		defer func() { <-s.session.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("signing: %w", ctx.Err())
	}
	signature, err := s.ask(digest)
	if err == nil {
		err = signing.Check(s.public, message, signature)
	}
	if err != nil {
		return nil, fmt.Errorf("signing with %s: the token: %w", s.name, err)
	}
	return signature, nil
}

// sha256Prefix is the DER before a SHA-256 digest in a DigestInfo (RFC 8017,
// section 9.2): the token pads, and does not hash.
var sha256Prefix = [...]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

func (s *Signer) ask(digest []byte) ([]byte, error) {
	var mechanism uint
	input := digest
	switch s.public.(type) {
	case *ecdsa.PublicKey:
		mechanism = pkcs11.CKM_ECDSA
	case *rsa.PublicKey:
		if len(digest) != sha256.Size {
			return nil, errors.New("RSA signs SHA-256 digests only")
		}
		mechanism, input = pkcs11.CKM_RSA_PKCS, append(sha256Prefix[:], digest...)
	case ed25519.PublicKey:
		mechanism = signEdDSA
	}
	module, session := s.session.module, s.session.handle
	if err := module.SignInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, s.key); err != nil {
		return nil, err
	}
	signature, err := module.Sign(session, input)
	if err != nil {
		return nil, err
	}
	if _, ok := s.public.(*ecdsa.PublicKey); ok {
		return joined(signature)
	}
	return signature, nil
}

// joined makes ASN.1 DER of the two numbers that a token puts one after the
// other.
func joined(raw []byte) ([]byte, error) {
	if len(raw) == 0 || len(raw)%2 != 0 {
		return nil, fmt.Errorf("%d bytes are not two numbers", len(raw))
	}
	half := len(raw) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
}
