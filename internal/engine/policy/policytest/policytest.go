// Package policytest gives tests what policies name.
//
// Entry points are [Material] and [Keys]. Only tests import it.
package policytest

import (
	"fmt"
	"io/fs"

	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// Keys is a policy.Material of public keys in PEM, by reference.
type Keys func(reference string) ([]byte, error)

// Signer gives the keys.
func (k Keys) Signer(reference string) (trust.Signer, error) {
	pem, err := k(reference)
	if err != nil {
		return trust.Signer{}, err
	}
	return trust.ParseSigner(reference, pem)
}

// Root has none.
func (k Keys) Root(reference string) (*trust.Root, error) { return Material{}.Root(reference) }

// ConfigMap has none.
func (k Keys) ConfigMap(namespace, name string) (map[string]string, error) {
	return Material{}.ConfigMap(namespace, name)
}

// Material is a policy.Material of values.
type Material struct {
	// PEM are public keys by reference.
	PEM map[string][]byte
	// Roots are trusted roots by reference; "" is the door's own.
	Roots map[string]*trust.Root
	// ConfigMaps are the data of config maps by "NAMESPACE/NAME".
	ConfigMaps map[string]map[string]string
}

// Signer gives the keys of PEM.
func (m Material) Signer(reference string) (trust.Signer, error) {
	return Keys(func(string) ([]byte, error) {
		if pem, has := m.PEM[reference]; has {
			return pem, nil
		}
		return nil, &fs.PathError{Op: "open", Path: reference, Err: fs.ErrNotExist}
	}).Signer(reference)
}

// Root gives one of Roots.
func (m Material) Root(reference string) (*trust.Root, error) {
	root, has := m.Roots[reference]
	if !has {
		return nil, fmt.Errorf("there is no trusted root %q", reference)
	}
	return root, nil
}

// ConfigMap gives one of ConfigMaps.
func (m Material) ConfigMap(namespace, name string) (map[string]string, error) {
	data, has := m.ConfigMaps[namespace+"/"+name]
	if !has {
		return nil, fmt.Errorf("there is no config map %s/%s", namespace, name)
	}
	return data, nil
}
