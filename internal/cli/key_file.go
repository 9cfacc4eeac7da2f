package cli

import (
	"context"
	"crypto"
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

// fileKeys are PEM files.
func (h *Host) fileKeys() keyKind {
	return keyKind{
		form: "a file",
		open: func(_ context.Context, reference string, password func() ([]byte, error)) (signing.Signer, error) {
			return file.Open(h.path(reference), password)
		},
		public: func(_ context.Context, reference string) ([]crypto.PublicKey, error) {
			pem, err := h.readFile(reference, limit.KeyFile)
			if err != nil {
				return nil, err
			}
			return readPublic(reference, pem)
		},
	}
}

func readPublic(name string, pem []byte) ([]crypto.PublicKey, error) {
	keys, err := cosignkey.ReadPublic(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return keys, nil
}
