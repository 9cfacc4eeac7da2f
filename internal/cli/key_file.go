package cli

import (
	"context"
	"os"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

// fileKeys are PEM files.
func (h *Host) fileKeys() keyKind {
	return keyKind{
		form: "a file",
		open: func(_ context.Context, reference string, password func() ([]byte, error)) (signing.Signer, error) {
			if info, err := os.Stat(h.path(reference)); err == nil {
				h.read.add(reference, info)
			}
			return file.Open(h.path(reference), password)
		},
		public: func(_ context.Context, reference string) (trust.Signer, error) {
			pem, err := h.readFile(reference, limit.KeyFile)
			if err != nil {
				return trust.Signer{}, err
			}
			return trust.ParseSigner(reference, pem)
		},
	}
}
