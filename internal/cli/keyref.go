package cli

import (
	"context"
	"crypto"
	"fmt"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
	"github.com/seed-161fc314/assay/internal/port/signing/pkcs11"
	"github.com/seed-161fc314/assay/internal/port/signing/vault"
)

// keyScheme is the part of a key reference before "://"; "" is a file. A
// token's key is a URI without slashes (RFC 7512), and has "pkcs11".
func keyScheme(reference string) string {
	if strings.HasPrefix(reference, "pkcs11:") {
		return "pkcs11"
	}
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
	case "hashivault", "openbao":
		config, err := h.vaultConfig(scheme)
		if err != nil {
			return nil, err
		}
		return vault.Open(ctx, config, reference)
	case "pkcs11":
		return pkcs11.Open(ctx, h.tokenConfig(), reference)
	default:
		return nil, usage("--key %s: keys of kind %s:// are not known", reference, scheme)
	}
}

// serviceKeys gives the public keys of all versions of a key that is in no
// file, the latest first.
func (h *Host) serviceKeys(ctx context.Context, flag, reference string) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	switch scheme := keyScheme(reference); scheme {
	case "hashivault", "openbao":
		config, err := h.vaultConfig(scheme)
		if err != nil {
			return nil, err
		}
		versions, err := vault.Public(ctx, config, reference)
		if err != nil {
			return nil, err
		}
		for _, version := range versions {
			keys = append(keys, version.Key)
		}
	case "pkcs11":
		found, err := pkcs11.Public(ctx, h.tokenConfig(), reference)
		if err != nil {
			return nil, err
		}
		for _, one := range found {
			keys = append(keys, one.Key)
		}
	default:
		return nil, usage("%s %s: keys of kind %s:// are not known", flag, reference, scheme)
	}
	return keys, nil
}

// trusted gives the signer that the public key of a reference speaks for;
// flag is where the reference was written. A key service is asked once, for
// all versions of the key; everything after that is local.
func (h *Host) trusted(ctx context.Context, flag, reference string) (trust.Signer, error) {
	if keyScheme(reference) != "" {
		keys, err := h.serviceKeys(ctx, flag, reference)
		if err != nil {
			return trust.Signer{}, err
		}
		signer := trust.Signer{Name: reference}
		for _, key := range keys {
			id, err := identity.KeyOf(key)
			if err != nil {
				return trust.Signer{}, fmt.Errorf("%s %s: %w", flag, reference, err)
			}
			signer.Keys = append(signer.Keys, trust.Key{ID: id, Public: key})
		}
		return signer, nil
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
