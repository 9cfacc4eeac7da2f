//go:build !pkcs11 || !cgo

package pkcs11

import (
	"context"
	"crypto"
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/format/pkcs11uri"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// Signer signs with a key in a token; there is none in this build.
type Signer struct{}

var _ signing.Signer = (*Signer)(nil)

// Open reads the reference, and is ErrAbsent.
func Open(_ context.Context, config Config, reference string) (*Signer, error) {
	return nil, absent(config, reference)
}

// Public reads the reference, and is ErrAbsent.
func Public(_ context.Context, config Config, reference string) ([]PublicKey, error) {
	return nil, absent(config, reference)
}

// absent says what is wrong with the reference first: that needs no module.
func absent(config Config, reference string) error {
	u, err := pkcs11uri.Parse(reference)
	if err == nil {
		_, err = config.pin(u)
	}
	if err == nil {
		err = ErrAbsent
	}
	return fmt.Errorf("%s: %w", pkcs11uri.Redact(reference), err)
}

// Public is nothing: no Signer is ever made.
func (*Signer) Public() crypto.PublicKey { return nil }

// KeyID is no key.
func (*Signer) KeyID() identity.Key { return identity.Key{} }

// Sign is ErrAbsent.
func (*Signer) Sign(context.Context, []byte) ([]byte, error) { return nil, ErrAbsent }
