package oci

import (
	"encoding/json"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// missingLayers are the layers of more that hold no piece of have: one payload
// may have been signed by several.
func missingLayers(have []descriptor, more []Descriptor) []descriptor {
	var missing []descriptor
	for _, d := range more {
		same := func(l descriptor) bool { return sameLayer(l, descriptor(d)) }
		if !slices.ContainsFunc(have, same) && !slices.ContainsFunc(missing, same) {
			missing = append(missing, descriptor(d))
		}
	}
	return missing
}

// withLayers is a ".sig" or ".att" manifest with some layers more, and the
// configuration that it then wants: one diff ID for each layer.
func withLayers(m imageManifest, more []descriptor, tag string) (merged fetched, config []byte, err error) {
	m.SchemaVersion, m.MediaType = 2, string(types.OCIManifestSchema1)
	if m.Layers = append(slices.Clip(m.Layers), more...); len(m.Layers) > limit.AttachmentLayers {
		return fetched{}, nil, &limit.Error{What: tag + " with what is copied", Bound: limit.AttachmentLayers, Unit: "layers"}
	}
	if m.Config, config, err = configOf(m.Layers); err != nil {
		return fetched{}, nil, err
	}
	content, err := encodeBounded(m, tag+" with what is copied")
	return fetched{content: content, mediaType: m.MediaType, digest: subject.Of(content)}, config, err
}

// configOf is the image configuration that cosign's older layout wants: one
// diff ID for each layer.
func configOf(layers []descriptor) (descriptor, []byte, error) {
	diffs := make([]subject.Digest, 0, len(layers))
	for _, layer := range layers {
		diffs = append(diffs, layer.Digest)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs}, "history": []any{},
	})
	return descriptor{MediaType: string(types.OCIConfigJSON), Size: int64(len(config)), Digest: subject.Of(config)}, config, err
}

// encodeBounded is JSON that readers of manifests will read.
func encodeBounded(value any, what string) ([]byte, error) {
	content, err := json.Marshal(value)
	if err == nil && len(content) > limit.Manifest {
		err = &limit.Error{What: what, Bound: limit.Manifest, Unit: "bytes"}
	}
	return content, err
}
