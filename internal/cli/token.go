package cli

import (
	"os"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/signing/pkcs11"
)

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
