package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

// keyScheme is the part of a key reference before "://"; "" is a file.
func keyScheme(reference string) string {
	scheme, _, found := strings.Cut(reference, "://")
	if !found {
		return ""
	}
	return scheme
}

// signerOf opens the private key that a reference names.
func (h *Host) signerOf(ctx context.Context, reference string, password func() ([]byte, error)) (signing.Signer, error) {
	switch scheme := keyScheme(reference); scheme {
	case "":
		return file.Open(h.path(reference), password)
	default:
		return nil, usage("--key %s: keys of kind %s:// are not known", reference, scheme)
	}
}

// trusted gives the signer that the public key of a reference speaks for;
// flag is where the reference was written.
func (h *Host) trusted(ctx context.Context, flag, reference string) (trust.Signer, error) {
	switch scheme := keyScheme(reference); scheme {
	case "":
	default:
		return trust.Signer{}, usage("%s %s: keys of kind %s:// are not known", flag, reference, scheme)
	}
	pem, err := h.readFile(reference, limit.KeyFile)
	if err != nil {
		return trust.Signer{}, err
	}
	signer, err := trust.ParseSigner(reference, pem)
	if err != nil {
		return trust.Signer{}, fmt.Errorf("%s %s: %w", flag, reference, err)
	}
	return signer, nil
}
