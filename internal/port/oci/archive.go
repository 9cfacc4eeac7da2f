package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// OpenArchive opens the only image of a Docker archive (`docker save`). Its
// entries are listed once; layers are then read where they lie, several at a
// time, and nothing is copied. A layer's bytes are not checked here: whoever
// reads them holds them against the diff ID in the configuration.
func OpenArchive(path string) (Local, error) {
	local, err := openArchive(path)
	if err != nil {
		return Local{}, fmt.Errorf("docker archive %s: %w", path, err)
	}
	return local, nil
}

func openArchive(path string) (Local, error) {
	a, err := listArchive(path)
	if err != nil {
		return Local{}, err
	}
	content, err := a.read("manifest.json", limit.Manifest)
	if err != nil {
		return Local{}, err
	}
	var images []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(content, &images); err != nil {
		return Local{}, fmt.Errorf("manifest.json cannot be read: %w", err)
	}
	if len(images) != 1 {
		return Local{}, fmt.Errorf("it holds %d images; one is read", len(images))
	}
	if len(images[0].Layers) > limit.Layers {
		return Local{}, &limit.Error{What: "the image", Bound: limit.Layers, Unit: "layers"}
	}
	config, err := a.read(images[0].Config, limit.ImageConfig)
	if err != nil {
		return Local{}, err
	}
	saved, err := a.image(config, images[0].Layers)
	if err != nil {
		return Local{}, err
	}
	hash, _, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return Local{}, err
	}
	if err := a.oneImage(hash); err != nil {
		return Local{}, err
	}
	image, err := partial.CompressedToImage(saved)
	if err != nil {
		return Local{}, err
	}
	return single(image)
}

// archive is a Docker archive and where in it the entries lie. Of two entries
// of one name the first counts for a layer, which is held to its diff ID.
type archive struct {
	path    string
	entries map[string]extent
}

// extent is a regular entry's content, or the name that a link leads to.
type extent struct {
	offset, size int64
	link         string
	other        bool // no regular file
	twice        bool // another entry has the same name
}

func listArchive(name string) (*archive, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	a := &archive{path: name, entries: map[string]extent{}}
	r := tar.NewReader(file)
	for count := 0; ; count++ {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, err
		}
		if count >= limit.ArchiveEntries {
			return nil, &limit.Error{What: "it", Bound: limit.ArchiveEntries, Unit: "entries"}
		}
		entry, err := extentOf(file, header)
		if err != nil {
			return nil, err
		}
		key := clean(header.Name)
		if first, again := a.entries[key]; again {
			entry, entry.twice = first, true
		}
		a.entries[key] = entry
	}
}

// extentOf is where the content of the entry lies whose header was just read.
func extentOf(file *os.File, header *tar.Header) (extent, error) {
	switch header.Typeflag {
	case tar.TypeSymlink:
		return extent{link: clean(path.Join(path.Dir(header.Name), header.Linkname))}, nil
	case tar.TypeLink:
		return extent{link: clean(header.Linkname)}, nil
	case tar.TypeReg:
	default:
		return extent{other: true}, nil
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return extent{other: true}, nil // its content does not lie there as it is
		}
	}
	offset, err := file.Seek(0, io.SeekCurrent)
	return extent{offset: offset, size: header.Size}, err
}

func clean(name string) string { return path.Clean("/" + name) }

// find follows links inside the archive to a regular entry.
func (a *archive) find(name string) (extent, error) {
	at := clean(name)
	for range 16 {
		entry, found := a.entries[at]
		switch {
		case !found:
			return extent{}, fmt.Errorf("it has no %q", name)
		case entry.other:
			return extent{}, fmt.Errorf("%q in it is no regular file", name)
		case entry.link == "":
			return entry, nil
		}
		at = entry.link
	}
	return extent{}, fmt.Errorf("%q in it is a cycle of links", name)
}

// read gives a small entry's content. A link is not followed: the archive's own
// description has no reason to be one, nor to be there twice: some loaders take
// the first, and some the last.
func (a *archive) read(name string, bound int64) ([]byte, error) {
	entry, found := a.entries[clean(name)]
	if !found || name == "" {
		return nil, fmt.Errorf("it has no %q", name)
	}
	if entry.link != "" || entry.other {
		return nil, fmt.Errorf("%q in it is no regular file", name)
	}
	if entry.twice {
		return nil, fmt.Errorf("it has two entries called %q", name)
	}
	r, err := a.open(entry)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return limit.ReadAll(r, name, bound)
}

// section reads one entry through a file of its own, so that several can be
// read at once.
type section struct {
	*io.SectionReader
	io.Closer
	left int64
}

func (a *archive) open(entry extent) (io.ReadCloser, error) {
	file, err := os.Open(a.path)
	if err != nil {
		return nil, err
	}
	return &section{io.NewSectionReader(file, entry.offset, entry.size), file, entry.size}, nil
}

// Read fails where the file ends before the entry does.
func (s *section) Read(p []byte) (int, error) {
	n, err := s.SectionReader.Read(p)
	if s.left -= int64(n); err == io.EOF && s.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// image describes the image by a manifest of its layers as they lie there.
func (a *archive) image(config []byte, names []string) (*savedImage, error) {
	file, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return nil, fmt.Errorf("the image's configuration cannot be read: %w", err)
	}
	if len(file.RootFS.DiffIDs) != len(names) {
		return nil, fmt.Errorf("the image's configuration has %d diff_ids, and manifest.json names %d layers", len(file.RootFS.DiffIDs), len(names))
	}
	hash, size, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return nil, err
	}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2,
		Config: v1.Descriptor{MediaType: types.DockerConfigJSON, Size: size, Digest: hash}}
	saved := &savedImage{config: config, layers: map[v1.Hash]*savedLayer{}}
	for i, name := range names {
		layer, err := a.layer(name, file.RootFS.DiffIDs[i])
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		saved.layers[layer.descriptor.Digest] = layer
		manifest.Layers = append(manifest.Layers, layer.descriptor)
	}
	saved.manifest, err = json.Marshal(manifest)
	return saved, err
}

// layer describes a layer. One that is not compressed is known by its diff ID;
// the digest of a compressed one must be computed.
func (a *archive) layer(name string, diffID v1.Hash) (*savedLayer, error) {
	entry, err := a.find(name)
	if err != nil {
		return nil, err
	}
	layer := &savedLayer{archive: a, entry: entry, diffID: diffID,
		descriptor: v1.Descriptor{MediaType: types.DockerUncompressedLayer, Size: entry.size, Digest: diffID}}
	r, err := a.open(entry)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%q in it: %w", name, err)
	}
	if bytes.HasPrefix(head[:], []byte{0x1f, 0x8b}) || bytes.Equal(head[:], []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		layer.descriptor.MediaType = types.DockerLayer
		layer.descriptor.Digest, _, err = v1.SHA256(io.MultiReader(bytes.NewReader(head[:]), r))
	}
	return layer, err
}

// savedImage is the image of a Docker archive.
type savedImage struct {
	config, manifest []byte
	layers           map[v1.Hash]*savedLayer
}

// MediaType is that of the manifest that was made.
func (i *savedImage) MediaType() (types.MediaType, error) { return types.DockerManifestSchema2, nil }

// RawManifest is the manifest that was made.
func (i *savedImage) RawManifest() ([]byte, error) { return i.manifest, nil }

// RawConfigFile is the configuration as it lies in the archive.
func (i *savedImage) RawConfigFile() ([]byte, error) { return i.config, nil }

// LayerByDigest gives a layer of the manifest that was made.
func (i *savedImage) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	if layer := i.layers[digest]; layer != nil {
		return layer, nil
	}
	return nil, fmt.Errorf("the image has no layer %s", digest)
}

// savedLayer is a layer of a Docker archive.
type savedLayer struct {
	archive    *archive
	entry      extent
	diffID     v1.Hash
	descriptor v1.Descriptor
}

// Digest is the one in the manifest that was made.
func (l *savedLayer) Digest() (v1.Hash, error) { return l.descriptor.Digest, nil }

// DiffID is what the configuration says.
func (l *savedLayer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Size is the entry's, in bytes.
func (l *savedLayer) Size() (int64, error) { return l.descriptor.Size, nil }

// MediaType says whether it is compressed.
func (l *savedLayer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }

// Compressed reads the layer as it lies in the archive.
func (l *savedLayer) Compressed() (io.ReadCloser, error) { return l.archive.open(l.entry) }
