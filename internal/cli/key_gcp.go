package cli

import (
	"context"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/gcpkms"
)

// gcpKeys are keys of Google Cloud's key management service; Google's library
// looks for the credentials, the endpoint is overridden as gcloud's is.
func (h *Host) gcpKeys() keyKind {
	config := gcpkms.Config{Endpoint: h.env("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS")}
	return keyKind{
		scheme: gcpkms.Scheme, form: "gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]",
		open: func(ctx context.Context, reference string, _ func() ([]byte, error)) (signing.Signer, error) {
			return gcpkms.Open(ctx, config, reference)
		},
		public: func(ctx context.Context, reference string) (trust.Signer, error) {
			keys, err := gcpkms.Public(ctx, config, reference)
			return serviceSigner(reference, keys, err)
		},
	}
}
