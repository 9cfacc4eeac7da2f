// Package keyservice is what signing with a key service has in common,
// whichever service it is: the private key stays there, one request makes one
// signature, and everything else is local.
//
// Entry points are [New], which makes the signer that the services' packages
// return, and [Reach], which says how a service is reached.
//
// A service is not believed: what it calls a signature is verified with the
// public key that was fetched when the signer was opened, before anybody gets
// it. The package knows no service and reads no environment.
package keyservice

import (
	"context"
	"crypto"
	"encoding/pem"
	"fmt"
	"strings"
	"unicode"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// PublicKey is the public key of one version of a key.
type PublicKey struct {
	Key crypto.PublicKey
	// Version is the service's own name of what the key is: an ARN, a resource
	// name, a URL. It never means another key later.
	Version string
}

// Request is what one signature is asked for with.
type Request struct {
	// Public and Version are the key, as PublicKey has it.
	Public  crypto.PublicKey
	Version string
	// Message is the whole message; Digest is what signing.Digest makes of it,
	// by Hash. For Ed25519 Digest is the message, and Hash 0.
	Message, Digest []byte
	Hash            crypto.Hash
}

// Ask has a service make one signature, in the form that signing.Signer has.
type Ask func(ctx context.Context, request Request) (signature []byte, err error)

// Signer signs with a key that a service keeps.
type Signer struct {
	reference string
	public    PublicKey
	id        identity.Key
	ask       Ask
}

var _ signing.Signer = (*Signer)(nil)

// New makes a signer of a public key and of what asks for signatures; the
// reference names it in errors.
func New(reference string, public PublicKey, ask Ask) (*Signer, error) {
	id, err := identity.KeyOf(public.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	return &Signer{reference: reference, public: public, id: id, ask: ask}, nil
}

// Public is the key that verifies, as it was when the signer was opened.
func (s *Signer) Public() crypto.PublicKey { return s.public.Key }

// KeyID is the fingerprint of Public.
func (s *Signer) KeyID() identity.Key { return s.id }

// Version is the service's name of the one version of the key that signs.
func (s *Signer) Version() string { return s.public.Version }

// ReferenceError says that a reference is not written as its kind is.
type ReferenceError struct{ Reference, Want string }

// Error shows how it is written.
func (e *ReferenceError) Error() string {
	return fmt.Sprintf("%s: want %s", Said(e.Reference), e.Want)
}

// Sign has the service sign message as signing.Signer says: one request. The
// errors name the reference.
func (s *Signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing with %s: %w", s.reference, err)
	}
	digest, options, err := signing.Digest(s.public.Key, message)
	if err != nil {
		return nil, err
	}
	signature, err := s.ask(ctx, Request{Public: s.public.Key, Version: s.public.Version, Message: message, Digest: digest, Hash: options.HashFunc()})
	if ended := ctx.Err(); ended != nil { // what still comes then counts for nothing
		err = ended
	}
	if err != nil {
		return nil, fmt.Errorf("signing with %s: %w", s.reference, err)
	}
	if err := signing.Check(s.public.Key, message, signature); err != nil {
		return nil, fmt.Errorf("signing with %s: %w", s.reference, err)
	}
	return signature, nil
}

// ParseDER reads a public key in PKIX DER, and holds it to what is accepted
// of a key file.
func ParseDER(der []byte) (crypto.PublicKey, error) {
	return ParsePEM(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// ParsePEM reads the one public key in PKIX PEM.
func ParsePEM(content []byte) (crypto.PublicKey, error) {
	keys, err := cosignkey.ReadPublic(content)
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("public key: %d PEM blocks, want one", len(keys))
	}
	return keys[0].Key, nil
}

// Said is a service's own words for an error message: the first line, at most
// as long as people read. What comes after it may echo the request, with its
// credentials.
func Said(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, line)
	if runes := []rune(line); len(runes) > limit.ServiceWords {
		line = string(runes[:limit.ServiceWords]) + "…"
	}
	return line
}
