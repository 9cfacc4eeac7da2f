package cli

import (
	"context"
	"regexp"
	"strings"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

const envScheme = "env"

// envKeys are what a file would hold, in a variable of the environment.
func (h *Host) envKeys() keyKind {
	return keyKind{
		scheme: envScheme, form: "env://VARIABLE",
		open: func(_ context.Context, reference string, password func() ([]byte, error)) (signing.Signer, error) {
			content, err := h.variable(reference)
			if err != nil {
				return nil, err
			}
			return file.Parse(reference, content, password)
		},
		public: func(_ context.Context, reference string) (trust.Signer, error) {
			content, err := h.variable(reference)
			if err != nil {
				return trust.Signer{}, err
			}
			return trust.ParseSigner(reference, content)
		},
	}
}

// variable is the value of the variable that a reference names; what it holds
// is in no error.
func (h *Host) variable(reference string) ([]byte, error) {
	name := strings.TrimPrefix(reference, "env://")
	switch {
	case !variable.MatchString(name):
		return nil, usage("key %s: want env://VARIABLE", clean(reference))
	case !h.hasEnv(name):
		return nil, usage("key %s: the variable %s is not set", reference, name)
	}
	return []byte(h.env(name)), nil
}
