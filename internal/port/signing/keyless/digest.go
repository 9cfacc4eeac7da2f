package keyless

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"

	"github.com/seed-161fc314/assay/internal/port/signing"
)

var _ signing.DigestSigner = (*Signer)(nil)

// SignDigest signs a SHA-256 digest as signing.DigestSigner says, and renews
// the certificate as Sign does.
func (s *Signer) SignDigest(ctx context.Context, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if options.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, fmt.Errorf("keyless: the run's key signs no digest of %d bytes by %s", len(digest), options.HashFunc())
	}
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	return s.key.Sign(rand.Reader, digest, options)
}
