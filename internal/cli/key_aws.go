package cli

import (
	"context"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/awskms"
)

// awsKeys are keys of AWS's key management service; its SDK reads its own
// variables and files.
func (h *Host) awsKeys() keyKind {
	config := awskms.Config{}
	return keyKind{
		scheme: awskms.Scheme, form: "awskms://[ENDPOINT]/KEY",
		open: func(ctx context.Context, reference string, _ func() ([]byte, error)) (signing.Signer, error) {
			return awskms.Open(ctx, config, reference)
		},
		public: func(ctx context.Context, reference string) (trust.Signer, error) {
			keys, err := awskms.Public(ctx, config, reference)
			return serviceSigner(reference, keys, err)
		},
	}
}
