package scan

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// stored adds what the image's manifest and configuration say, which readers
// of reports look for: layers as they are stored, and the configuration.
func stored(image v1.Image, description *finding.Image) error {
	manifest, err := image.Manifest()
	if err != nil {
		return fmt.Errorf("reading the image's manifest: %w", err)
	}
	if len(manifest.Layers) == len(description.DiffIDs) {
		for i, layer := range manifest.Layers {
			digest, err := subject.Parse(layer.Digest.String())
			if err != nil {
				return fmt.Errorf("reading the image's manifest: %w", err)
			}
			description.Layers = append(description.Layers, finding.Layer{Digest: digest, DiffID: description.DiffIDs[i], Size: layer.Size})
		}
	}
	if description.Config, err = image.RawConfigFile(); err != nil {
		return fmt.Errorf("reading the image's configuration: %w", err)
	}
	if len(description.Config) > limit.ImageConfig {
		return &limit.Error{What: "the image's configuration", Bound: limit.ImageConfig, Unit: "bytes"}
	}
	return nil
}
