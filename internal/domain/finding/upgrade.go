package finding

import (
	"path"
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

// InBase says whether a component came with the base image alone: whether each
// of its places is in one of the first BaseLayers layers. It is false where the
// base image is not known, and outside images.
func (i *Image) InBase(c component.Component) bool {
	if i == nil || len(c.Locations) == 0 {
		return false
	}
	base := i.DiffIDs[:min(max(i.BaseLayers, 0), len(i.DiffIDs))]
	return !slices.ContainsFunc(c.Locations, func(l component.Location) bool { return l.Layer.IsZero() || !slices.Contains(base, l.Layer) })
}

// Below is the report with every path put below a directory, for outputs whose
// readers resolve paths there; ignores that are over stand elsewhere, and keep
// theirs. The report itself is left as it is.
func (r Report) Below(root string) Report {
	if root == "" {
		return r
	}
	place := func(l component.Location) component.Location {
		l.Path = path.Join(root, l.Path)
		return l
	}
	move := func(c component.Component) component.Component {
		c.Locations = slices.Clone(c.Locations)
		for i, l := range c.Locations {
			c.Locations[i] = place(l)
		}
		return c
	}
	r.Inventory.Components = slices.Clone(r.Inventory.Components)
	for i, c := range r.Inventory.Components {
		r.Inventory.Components[i] = move(c)
	}
	r.Inventory.Unresolved = slices.Clone(r.Inventory.Unresolved)
	for i, u := range r.Inventory.Unresolved {
		r.Inventory.Unresolved[i].Location = place(u.Location)
	}
	r.Inventory.Notes = slices.Clone(r.Inventory.Notes)
	for i, n := range r.Inventory.Notes {
		r.Inventory.Notes[i].Location = place(n.Location)
	}
	r.Findings = slices.Clone(r.Findings)
	for i, f := range r.Findings {
		r.Findings[i].Component = move(f.Component)
	}
	r.Suppressed = slices.Clone(r.Suppressed)
	for i, s := range r.Suppressed {
		r.Suppressed[i].Finding.Component = move(s.Finding.Component)
	}
	r.Upgrades = slices.Clone(r.Upgrades)
	for i, u := range r.Upgrades {
		r.Upgrades[i].Component = move(u.Component)
	}
	return r
}
