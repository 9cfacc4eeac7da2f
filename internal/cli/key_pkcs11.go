package cli

import (
	"context"
	"os"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/pkcs11uri"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
	"github.com/seed-161fc314/assay/internal/port/signing/pkcs11"
)

// tokenScheme is what references to keys in tokens begin with, before the colon.
const tokenScheme = "pkcs11"

// tokenKeys are keys in PKCS#11 tokens. A reference may have a PIN in it, and is
// shown without.
func (h *Host) tokenKeys() keyKind {
	return keyKind{
		scheme: tokenScheme, form: "pkcs11:URI",
		open: func(ctx context.Context, reference string, _ func() ([]byte, error)) (signing.Signer, error) {
			return pkcs11.Open(ctx, h.tokenConfig(), reference)
		},
		public: func(ctx context.Context, reference string) (trust.Signer, error) {
			found, err := pkcs11.Public(ctx, h.tokenConfig(), reference)
			var keys []keyservice.PublicKey
			for _, key := range found {
				keys = append(keys, keyservice.PublicKey{Key: key.Key})
			}
			return serviceSigner(pkcs11uri.Redact(reference), keys, err)
		},
	}
}

// tokenConfig is what a pkcs11: reference may leave out: PKCS11_MODULE_PATH is
// the module, PKCS11_PIN the PIN, as in other programs.
func (h *Host) tokenConfig() pkcs11.Config {
	return pkcs11.Config{
		Module: h.path(h.env("PKCS11_MODULE_PATH")), PIN: h.env("PKCS11_PIN"),
		ReadFile: func(path string) ([]byte, error) {
			f, err := os.Open(h.path(path))
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return limit.ReadAll(f, path, limit.KeyFile)
		},
	}
}
