package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/trustroot"
)

// material gives policies what they name: keys, trusted roots, config maps. A
// key of a service is fetched once, when the policy is loaded.
type material struct {
	ctx  context.Context
	host *Host
	// dir is the policy's directory, which its paths are relative to.
	dir string
	// configMaps are by "NAMESPACE/NAME".
	configMaps map[string]map[string]string
}

// Signer gives the public keys that a reference speaks for.
func (m *material) Signer(reference string) (trust.Signer, error) {
	if keyScheme(reference) == "" {
		reference = m.path(reference)
	}
	return m.host.trusted(m.ctx, "public key", reference)
}

// Root gives a trusted root; "" is what `assay trust init` keeps.
func (m *material) Root(reference string) (*trust.Root, error) {
	if reference != "" {
		content, err := m.host.readFile(m.path(reference), limit.TrustedRoot)
		if err != nil {
			return nil, err
		}
		return trust.ParseRoot(reference, content)
	}
	dir, kept, err := m.host.trustMaterial()
	if errors.Is(err, trustroot.ErrMissing) {
		return nil, errors.New("certificates, log entries and timestamps need a trusted root: name one in the policy, or keep one with `assay trust init`")
	}
	if err != nil {
		return nil, err
	}
	return trust.ParseRoot(filepath.Join(dir, trustroot.RootFile), kept.Root)
}

// ConfigMap gives the data of a config map that the command was given.
func (m *material) ConfigMap(namespace, name string) (map[string]string, error) {
	data, has := m.configMaps[namespace+"/"+name]
	if !has {
		return nil, fmt.Errorf("config map %s/%s is not among the manifests that were given", namespace, name)
	}
	return data, nil
}

func (m *material) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(m.dir, path)
}
