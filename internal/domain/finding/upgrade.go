package finding

import (
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Upgrade is the one version that heals a component.
type Upgrade struct {
	// Component is what to upgrade, as it was found.
	Component component.Component `json:"component"`
	// To is the smallest version at which none of the component's advisories
	// applies; with All false, that at which the fewest do.
	To  string `json:"to"`
	All bool   `json:"all"`
}

// Layer is one layer of an image.
type Layer struct {
	// Digest is what the registry stores, compressed or not; DiffID is the
	// digest of the uncompressed layer. Size counts the stored bytes.
	Digest subject.Digest `json:"digest"`
	DiffID subject.Digest `json:"diffID"`
	Size   int64          `json:"size"`
}

// InBase says whether a component came with the base image: its first place
// is in one of the first BaseLayers layers. It is false where the base image
// is not known, and outside images.
func (i *Image) InBase(c component.Component) bool {
	if i == nil || len(c.Locations) == 0 || c.Locations[0].Layer.IsZero() {
		return false
	}
	return slices.Contains(i.DiffIDs[:min(max(i.BaseLayers, 0), len(i.DiffIDs))], c.Locations[0].Layer)
}
