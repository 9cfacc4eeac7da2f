package trust

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
)

// ParseSigner makes a signer of the public keys in PEM (PKIX), one or more:
// any of them speaks for it, within the times that its block's headers
// Not-Before and Not-After give, so that a key can be rotated. See
// cosignkey.ReadPublic for what is accepted. The errors name the signer.
func ParseSigner(name string, pem []byte) (Signer, error) {
	if name == "" {
		return Signer{}, errors.New("signer without a name")
	}
	publics, err := cosignkey.ReadPublic(pem)
	if err != nil {
		return Signer{}, fmt.Errorf("signer %q: %w", name, err)
	}
	signer := Signer{Name: name}
	for _, public := range publics {
		id, err := identity.KeyOf(public.Key)
		if err != nil {
			return Signer{}, fmt.Errorf("signer %q: %w", name, err)
		}
		// Of two windows nobody could say which counts, and in a set that is
		// counted the key would count twice.
		if slices.ContainsFunc(signer.Keys, func(k Key) bool { return k.ID == id }) {
			return Signer{}, fmt.Errorf("signer %q: key %s is given twice", name, id)
		}
		signer.Keys = append(signer.Keys, Key{ID: id, Public: public.Key, NotBefore: public.NotBefore, NotAfter: public.NotAfter})
	}
	return signer, nil
}
