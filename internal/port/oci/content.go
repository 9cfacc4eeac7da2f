package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Descriptor is an OCI content descriptor (image specification,
// descriptor.md): what a manifest, an index or a list of referrers says of
// another piece of content. Size is in bytes.
type Descriptor struct {
	MediaType    string
	Size         int64
	Digest       subject.Digest
	ArtifactType string
	URLs         []string
	Annotations  map[string]string
	Data         json.RawMessage
	Platform     json.RawMessage
}

// Foreign says that the content is not for distribution: it stays where its
// URLs lead, and registries need not have it.
func (d Descriptor) Foreign() bool {
	return d.MediaType != "" && !types.MediaType(d.MediaType).IsDistributable()
}

// PlatformName is "linux/arm/v7", or "" where the descriptor names none.
func (d Descriptor) PlatformName() string {
	var p struct{ OS, Architecture, Variant string }
	if json.Unmarshal(d.Platform, &p) != nil { // also where it has none
		return ""
	}
	return strings.Trim(strings.Join([]string{p.OS, p.Architecture, p.Variant}, "/"), "/")
}

// Manifest is a manifest or an index whose bytes have its digest.
type Manifest struct {
	Digest    subject.Digest
	MediaType string
	Content   []byte
	// ArtifactType is the manifest's own, or the media type of its
	// configuration, as lists of referrers have it.
	ArtifactType string
	Annotations  map[string]string
	// Subject is what it refers to, zero where it refers to nothing.
	Subject subject.Digest
	// Manifests are an index's entries. Blobs are the layers of a manifest, and
	// behind them its configuration.
	Manifests, Blobs []Descriptor
}

// Layers are the blobs without the configuration.
func (m Manifest) Layers() []Descriptor { return m.Blobs[:max(0, len(m.Blobs)-1)] }

// Descriptor is how a list of referrers describes the manifest.
func (m Manifest) Descriptor() Descriptor {
	return Descriptor{MediaType: m.MediaType, Size: int64(len(m.Content)), Digest: m.Digest, ArtifactType: m.ArtifactType, Annotations: m.Annotations}
}

// parseManifest reads what a manifest refers to. What it cannot read of it is
// an error: a copy would not be whole.
func parseManifest(f fetched) (Manifest, error) {
	var raw struct {
		imageManifest
		Manifests []descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(f.content, &raw); err != nil {
		return Manifest{}, fmt.Errorf("the manifest %s cannot be read: %w", f.digest, err)
	}
	m := Manifest{Digest: f.digest, MediaType: f.mediaType, Content: f.content, ArtifactType: raw.ArtifactType, Annotations: raw.Annotations}
	if raw.Subject != nil {
		if raw.Subject.Digest.IsZero() {
			return Manifest{}, fmt.Errorf("the manifest %s has a subject without a digest", f.digest)
		}
		m.Subject = raw.Subject.Digest
	}
	// A ".sig" tag may have more layers than an image.
	list, bound, unit := raw.Layers, max(limit.Layers, limit.AttachmentLayers), "layers"
	switch kind := types.MediaType(f.mediaType); {
	case kind.IsIndex():
		// What is listed and means nothing to an index is not followed, and must
		// not be lost in silence.
		if len(raw.Layers) > 0 || !raw.Config.Digest.IsZero() {
			return Manifest{}, fmt.Errorf("%s is an index with layers, which could be taken for either", f.digest)
		}
		list, bound, unit = raw.Manifests, limit.Platforms, "manifests"
	case kind.IsImage():
		if len(raw.Manifests) > 0 {
			return Manifest{}, fmt.Errorf("%s is a manifest with manifests, which could be taken for either", f.digest)
		}
		if raw.Config.Digest.IsZero() {
			return Manifest{}, fmt.Errorf("the manifest %s has no configuration", f.digest)
		}
		if m.ArtifactType == "" {
			m.ArtifactType = raw.Config.MediaType
		}
	default:
		return Manifest{}, fmt.Errorf("%s is a %.100q, which is neither an image manifest nor an index", f.digest, f.mediaType)
	}
	if len(list) > bound {
		return Manifest{}, &limit.Error{What: "the manifest " + f.digest.String(), Bound: int64(bound), Unit: unit}
	}
	described := make([]Descriptor, 0, len(list)+1)
	for _, d := range list {
		if err := checkDescriptor(d); err != nil {
			return Manifest{}, fmt.Errorf("the manifest %s: %w", f.digest, err)
		}
		described = append(described, Descriptor(d))
	}
	if unit == "manifests" {
		m.Manifests = described
		return m, nil
	}
	if err := checkDescriptor(raw.Config); err != nil {
		return Manifest{}, fmt.Errorf("the manifest %s: %w", f.digest, err)
	}
	m.Blobs = append(described, Descriptor(raw.Config))
	return m, nil
}

func checkDescriptor(d descriptor) error {
	switch {
	case d.Digest.IsZero():
		return errors.New("it has an entry without a digest")
	case d.Digest.Algorithm() != "sha256":
		return fmt.Errorf("%s: only sha256 digests can be checked here", d.Digest)
	case d.Size < 0:
		return fmt.Errorf("%s has a size below zero", d.Digest)
	}
	return nil
}

// describe turns a list that was read into what is passed on.
func describe(list []descriptor) []Descriptor {
	described := make([]Descriptor, 0, len(list))
	for _, d := range list {
		described = append(described, Descriptor(d))
	}
	return described
}

// missingFrom are those of more that list has no entry of the same digest for.
func missingFrom(list []descriptor, more []Descriptor) []descriptor {
	var missing []descriptor
	for _, d := range more {
		if !slices.ContainsFunc(list, func(l descriptor) bool { return l.Digest == d.Digest }) {
			missing = append(missing, descriptor(d))
		}
	}
	return missing
}

// AttachmentTag is where cosign's older layout keeps what is about a digest:
// suffix is "sig", "att" or "sbom".
func AttachmentTag(digest subject.Digest, suffix string) string {
	return fallbackTag(digest) + "." + suffix
}
