package oci

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// layoutIndex is an index of an OCI image layout: index.json, or one that it
// lists. It is go-containerregistry's own with each file held to the digest
// that it lies under, which that package leaves to its caller.
type layoutIndex struct {
	dir       layout.Path
	mediaType types.MediaType
	raw       []byte
}

// layoutRoot reads index.json.
func layoutRoot(dir string) (*layoutIndex, error) {
	file, err := os.Open(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := limit.ReadAll(file, "index.json", limit.Manifest)
	return &layoutIndex{dir: layout.Path(dir), mediaType: types.OCIImageIndex, raw: raw}, err
}

// layoutFile reads a whole file of a layout and checks it.
func layoutFile(dir layout.Path, digest v1.Hash, what string, bound int64) ([]byte, error) {
	file, err := dir.Blob(digest)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := limit.ReadAll(file, what+" "+digest.String(), bound)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(content); digest.Algorithm != "sha256" || hex.EncodeToString(sum[:]) != digest.Hex {
		return nil, fmt.Errorf("%s listed as %s hashes to sha256:%x", what, digest, sum)
	}
	return content, nil
}

// MediaType is the index's.
func (i *layoutIndex) MediaType() (types.MediaType, error) { return i.mediaType, nil }

// Digest is computed.
func (i *layoutIndex) Digest() (v1.Hash, error) { return partial.Digest(i) }

// Size is in bytes.
func (i *layoutIndex) Size() (int64, error) { return partial.Size(i) }

// RawManifest is the index as it lies on disk, checked.
func (i *layoutIndex) RawManifest() ([]byte, error) { return i.raw, nil }

// IndexManifest is the index.
func (i *layoutIndex) IndexManifest() (*v1.IndexManifest, error) {
	return v1.ParseIndexManifest(bytes.NewReader(i.raw))
}

func (i *layoutIndex) find(digest v1.Hash) (v1.Descriptor, error) {
	manifest, err := i.IndexManifest()
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("reading the image index: %w", err)
	}
	for _, d := range manifest.Manifests {
		if d.Digest == digest {
			return d, nil
		}
	}
	return v1.Descriptor{}, fmt.Errorf("the index does not list %s", digest)
}

// Image opens an image that the index lists.
func (i *layoutIndex) Image(digest v1.Hash) (v1.Image, error) {
	d, err := i.find(digest)
	if err != nil {
		return nil, err
	}
	if !d.MediaType.IsImage() {
		return nil, fmt.Errorf("%s has the media type %q, which is no image's", digest, d.MediaType)
	}
	raw, err := layoutFile(i.dir, digest, "the manifest", limit.Manifest)
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading the manifest %s: %w", digest, err)
	}
	return partial.CompressedToImage(&layoutImage{dir: i.dir, mediaType: d.MediaType, raw: raw, manifest: manifest})
}

// ImageIndex opens an index that the index lists.
func (i *layoutIndex) ImageIndex(digest v1.Hash) (v1.ImageIndex, error) {
	d, err := i.find(digest)
	if err != nil {
		return nil, err
	}
	raw, err := layoutFile(i.dir, digest, "the index", limit.Manifest)
	if err != nil {
		return nil, err
	}
	return &layoutIndex{dir: i.dir, mediaType: d.MediaType, raw: raw}, nil
}

// layoutImage is an image of a layout.
type layoutImage struct {
	dir       layout.Path
	mediaType types.MediaType
	raw       []byte
	manifest  *v1.Manifest
}

// MediaType is the manifest's.
func (i *layoutImage) MediaType() (types.MediaType, error) { return i.mediaType, nil }

// RawManifest is the manifest as it lies on disk, checked.
func (i *layoutImage) RawManifest() ([]byte, error) { return i.raw, nil }

// RawConfigFile is the image's configuration, checked.
func (i *layoutImage) RawConfigFile() ([]byte, error) {
	return layoutFile(i.dir, i.manifest.Config.Digest, "the configuration", limit.ImageConfig)
}

// LayerByDigest gives a layer that is checked while it is read.
func (i *layoutImage) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	for _, d := range append(i.manifest.Layers[:len(i.manifest.Layers):len(i.manifest.Layers)], i.manifest.Config) {
		if d.Digest == digest {
			return &layoutLayer{dir: i.dir, descriptor: d}, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", digest)
}

// layoutLayer is a layer of a layout.
type layoutLayer struct {
	dir        layout.Path
	descriptor v1.Descriptor
}

// Digest is what the manifest says.
func (l *layoutLayer) Digest() (v1.Hash, error) { return l.descriptor.Digest, nil }

// Size is what the manifest says, in bytes.
func (l *layoutLayer) Size() (int64, error) { return l.descriptor.Size, nil }

// MediaType is what the manifest says.
func (l *layoutLayer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }

// Compressed reads the file; its end is an error unless the bytes were those
// of the digest.
func (l *layoutLayer) Compressed() (io.ReadCloser, error) {
	// What lies behind the listed size would be found too late: a registry may
	// have answered by then.
	name := filepath.Join(string(l.dir), "blobs", l.descriptor.Digest.Algorithm, l.descriptor.Digest.Hex)
	if info, err := os.Stat(name); err == nil && info.Size() != l.descriptor.Size {
		return nil, fmt.Errorf("the layer listed as %s has %d bytes, and the manifest says %d", l.descriptor.Digest, info.Size(), l.descriptor.Size)
	}
	file, err := l.dir.Blob(l.descriptor.Digest)
	if err != nil {
		return nil, err
	}
	return &layoutReader{ReadCloser: file, hash: sha256.New(), want: l.descriptor.Digest}, nil
}

type layoutReader struct {
	io.ReadCloser
	hash hash.Hash
	want v1.Hash
}

// Read passes on what was read, and at the end compares.
func (r *layoutReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.hash.Write(p[:n])
	if err == io.EOF {
		if sum := hex.EncodeToString(r.hash.Sum(nil)); r.want.Algorithm != "sha256" || sum != r.want.Hex {
			return n, fmt.Errorf("the layer listed as %s hashes to sha256:%s", r.want, sum)
		}
	}
	return n, err
}
