package oci

import (
	"bytes"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// archiveIndexes is how many indexes of an archive are read at most: one, and
// one for each that it lists.
const archiveIndexes = 64

// oneImage refuses an archive that is an image layout too, as Docker saves it,
// and as a layout holds another image: containerd loads what index.json lists,
// others what manifest.json does. What it lists and does not hold, such as
// other platforms, nobody loads; attestations are no images.
func (a *archive) oneImage(config v1.Hash) error {
	if _, found := a.entries[clean("oci-layout")]; !found {
		return nil
	}
	names := []string{"index.json"}
	for at := 0; at < len(names); at++ {
		if at == archiveIndexes {
			return fmt.Errorf("its index.json leads to more than %d indexes", archiveIndexes)
		}
		content, err := a.read(names[at], limit.Manifest)
		if err != nil {
			return err
		}
		index, err := v1.ParseIndexManifest(bytes.NewReader(content))
		if err != nil {
			return fmt.Errorf("%s cannot be read: %w", names[at], err)
		}
		for _, d := range index.Manifests {
			blob := "blobs/" + d.Digest.Algorithm + "/" + d.Digest.Hex
			_, found := a.entries[clean(blob)]
			switch {
			case !found || d.Platform != nil && d.Platform.OS == "unknown":
				continue
			case d.MediaType.IsIndex():
				names = append(names, blob)
				continue
			}
			content, err := a.read(blob, limit.Manifest)
			if err != nil {
				return err
			}
			manifest, err := v1.ParseManifest(bytes.NewReader(content))
			if err != nil {
				return fmt.Errorf("%s cannot be read: %w", blob, err)
			}
			if manifest.Config.Digest != config {
				return fmt.Errorf("its index.json lists the image %s, and its manifest.json names another one: which of the two is loaded depends on who loads it; unpack it, and name the one that is meant (oci:DIR@%s)", d.Digest, d.Digest)
			}
		}
	}
	return nil
}
