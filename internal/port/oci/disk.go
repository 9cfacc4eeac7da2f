package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Local is an image or an index that lies on disk.
type Local struct {
	// Digest is the manifest's; for a Docker archive, which has none, that
	// of a manifest that describes its layers as they lie there.
	Digest subject.Digest
	Index  bool
	// Images are the image, or the index's images with their platforms; there
	// is at least one.
	Images []LocalImage
}

// LocalImage is one image of a Local.
type LocalImage struct {
	Platform string
	Digest   subject.Digest
	Image    v1.Image
}

// IsLayout says whether a directory is an OCI image layout.
func IsLayout(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "oci-layout"))
	return err == nil
}

// Besides names an entry of a layout's directory that is no part of an image
// layout, nor of the Docker archive that one may be unpacked from; "" where there
// is none.
func Besides(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		switch entry.Name() {
		case "oci-layout", "index.json", "blobs", "ingest", "manifest.json", "repositories":
		default:
			return entry.Name(), nil
		}
	}
	return "", nil
}

// OpenLayout opens the only image or index of an OCI image layout on disk.
// Manifests are checked against their digests at once, the configuration and
// layers when they are read. An index without an image is an error. With several entries,
// which names one by digest or by its org.opencontainers.image.ref.name.
func OpenLayout(dir, which string) (Local, error) {
	d, index, err := layoutEntry(dir, which)
	if err != nil {
		return Local{}, fmt.Errorf("image layout %s: %w", dir, err)
	}
	digest, err := subject.Parse(d.Digest.String())
	if err != nil {
		return Local{}, err
	}
	if !d.MediaType.IsIndex() {
		image, err := index.Image(d.Digest)
		if err != nil {
			return Local{}, fmt.Errorf("image layout %s: %w", dir, err)
		}
		return single(image)
	}
	child, err := index.ImageIndex(d.Digest)
	if err != nil {
		return Local{}, fmt.Errorf("image layout %s: %w", dir, err)
	}
	raw, err := child.RawManifest()
	if err != nil {
		return Local{}, fmt.Errorf("image layout %s: %w", dir, err)
	}
	list, err := platforms(raw)
	if err != nil {
		return Local{}, fmt.Errorf("image layout %s: %w", dir, err)
	}
	if len(list) == 0 {
		return Local{}, fmt.Errorf("image layout %s: the index %s lists no image", dir, digest)
	}
	local := Local{Digest: digest, Index: true}
	for _, p := range list {
		hash, err := v1.NewHash(p.Digest.String())
		if err != nil {
			return Local{}, err
		}
		image, err := child.Image(hash)
		if err != nil {
			return Local{}, fmt.Errorf("image layout %s: %w", dir, err)
		}
		local.Images = append(local.Images, LocalImage{Platform: p.Name, Digest: p.Digest, Image: image})
	}
	return local, nil
}

func layoutEntry(dir, which string) (v1.Descriptor, v1.ImageIndex, error) {
	index, err := layoutRoot(dir)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	if which == "" && len(manifest.Manifests) > 1 {
		// Evidence may lie beside the only image.
		if s, err := openShelf(dir); err == nil {
			if only, _, err := s.choose(""); err == nil {
				which = only.String()
			}
		}
	}
	var found []v1.Descriptor
	var names []string
	for _, d := range manifest.Manifests {
		label := d.Annotations["org.opencontainers.image.ref.name"]
		names = append(names, strings.TrimSpace(label+" "+d.Digest.String()))
		if which == "" || which == d.Digest.String() || which == label {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], index, nil
	case len(names) == 0:
		return v1.Descriptor{}, nil, errors.New("it holds no image")
	case len(found) == 0:
		return v1.Descriptor{}, nil, fmt.Errorf("it holds no %q; it holds %s", which, strings.Join(names, ", "))
	}
	return v1.Descriptor{}, nil, fmt.Errorf("it holds %d images; name one as oci:DIR@DIGEST: %s", len(names), strings.Join(names, ", "))
}

func single(image v1.Image) (Local, error) {
	raw, err := image.RawManifest()
	if err != nil {
		return Local{}, err
	}
	digest := subject.Of(raw)
	local := LocalImage{Digest: digest, Image: image}
	if config, err := image.ConfigFile(); err == nil && config.OS != "" {
		local.Platform = config.Platform().String()
	}
	return Local{Digest: digest, Images: []LocalImage{local}}, nil
}

// PushLayout copies the only image or index of an OCI image layout to a
// repository, by digest and without a tag.
func (c *Client) PushLayout(ctx context.Context, repository, dir string) (Resolved, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return Resolved{}, err
	}
	d, index, err := layoutEntry(dir, "")
	if err != nil {
		return Resolved{}, fmt.Errorf("image layout %s: %w", dir, err)
	}
	target := repo.Digest(d.Digest.String())
	if d.MediaType.IsIndex() {
		child, err := index.ImageIndex(d.Digest)
		if err != nil {
			return Resolved{}, err
		}
		err = remote.WriteIndex(target, child, c.options(ctx, target.Context())...)
		if err != nil {
			return Resolved{}, fmt.Errorf("pushing to %s: %w", repository, err)
		}
	} else {
		image, err := index.Image(d.Digest)
		if err != nil {
			return Resolved{}, err
		}
		if err := remote.Write(target, image, c.options(ctx, target.Context())...); err != nil {
			return Resolved{}, fmt.Errorf("pushing to %s: %w", repository, err)
		}
	}
	return c.Resolve(ctx, target.String())
}
