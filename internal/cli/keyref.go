package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/pkcs11uri"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
)

// keyKind is one way to say where a key is.
type keyKind struct {
	// scheme is the part of a reference before "://"; "" is a file.
	scheme string
	// form shows how references of this kind are written.
	form string
	// open opens the private key; password is asked for where the key has one.
	open func(ctx context.Context, reference string, password func() ([]byte, error)) (signing.Signer, error)
	// public fetches the public keys that the reference speaks for, as a signer
	// of the reference's name.
	public func(ctx context.Context, reference string) (trust.Signer, error)
}

// keyKinds are all kinds of keys, in the order that help lists them. Nothing
// of a kind is set up, and nobody contacted, until a reference is of that kind.
func (h *Host) keyKinds() []keyKind {
	return []keyKind{
		h.fileKeys(),
		h.envKeys(),
		h.kubeKeys(),
		h.awsKeys(),
		h.gcpKeys(),
		h.azureKeys(),
		h.vaultKeys("hashivault"),
		h.vaultKeys("openbao"),
		h.tokenKeys(),
	}
}

// keyScheme is the part of a key reference before "://"; "" is a file. A
// token's key is a URI without slashes (RFC 7512).
func keyScheme(reference string) string {
	if pkcs11uri.Is(reference) {
		return tokenScheme
	}
	scheme, _, found := strings.Cut(reference, "://")
	if !found {
		return ""
	}
	return scheme
}

// keyKind finds the kind of a reference.
func (h *Host) keyKind(reference string) (keyKind, error) {
	scheme := keyScheme(reference)
	var forms []string
	for _, kind := range h.keyKinds() {
		if kind.scheme == scheme {
			return kind, nil
		}
		forms = append(forms, kind.form)
	}
	return keyKind{}, usage("key %s: keys of kind %s:// are not known", clean(reference), clean(scheme)).
		withHint("a key is %s", strings.Join(forms, ", "))
}

// signerOf opens the private key that a reference names.
func (h *Host) signerOf(ctx context.Context, reference string, password func() ([]byte, error)) (signing.Signer, error) {
	kind, err := h.keyKind(reference)
	if err != nil {
		return nil, err
	}
	signer, err := kind.open(ctx, reference, password)
	return signer, wellWritten(err)
}

// wellWritten makes a usage error of a reference that is not written as its
// kind is.
func wellWritten(err error) error {
	var wrong *keyservice.ReferenceError
	if errors.As(err, &wrong) {
		return usage("key %s", wrong)
	}
	return err
}

// keyring is what one run fetched of public keys: a reference is asked about
// once.
type keyring struct {
	mu      sync.Mutex
	signers map[string]trust.Signer
}

// trusted gives the signer that the public keys of a reference speak for; flag
// is where the reference was written.
func (h *Host) trusted(ctx context.Context, flag, reference string) (trust.Signer, error) {
	kind, err := h.keyKind(reference)
	if err != nil {
		return trust.Signer{}, err
	}
	h.keys.mu.Lock()
	defer h.keys.mu.Unlock()
	if signer, fetched := h.keys.signers[reference]; fetched {
		return signer, nil
	}
	signer, err := kind.public(ctx, reference)
	if err != nil {
		return trust.Signer{}, fmt.Errorf("%s: %w", flag, wellWritten(err))
	}
	h.keys.signers[reference] = signer
	return signer, nil
}

// serviceSigner makes a signer of what a key service's package gives.
func serviceSigner(reference string, keys []keyservice.PublicKey, err error) (trust.Signer, error) {
	if err != nil {
		return trust.Signer{}, err
	}
	signer := trust.Signer{Name: reference}
	for _, key := range keys {
		id, err := identity.KeyOf(key.Key)
		if err != nil {
			return trust.Signer{}, fmt.Errorf("%s: %w", reference, err)
		}
		signer.Keys = append(signer.Keys, trust.Key{ID: id, Public: key.Key})
	}
	return signer, nil
}
