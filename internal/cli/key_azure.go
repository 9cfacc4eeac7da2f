package cli

import (
	"context"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/azurekms"
)

// azureKeys are keys of Azure Key Vault; its SDK reads its own variables.
func (h *Host) azureKeys() keyKind {
	config := azurekms.Config{Method: azurekms.Method(h.env("AZURE_AUTH_METHOD"))}
	return keyKind{
		scheme: azurekms.Scheme, form: "azurekms://VAULT.vault.azure.net/KEY[/VERSION]",
		open: func(ctx context.Context, reference string, _ func() ([]byte, error)) (signing.Signer, error) {
			return azurekms.Open(ctx, config, reference)
		},
		public: func(ctx context.Context, reference string) (trust.Signer, error) {
			keys, err := azurekms.Public(ctx, config, reference)
			return serviceSigner(reference, keys, err)
		},
	}
}
