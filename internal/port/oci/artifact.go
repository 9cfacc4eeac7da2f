package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// titleKey names a file of an artifact, as the OCI image specification has it.
const titleKey = "org.opencontainers.image.title"

// Artifact is a manifest that is no image: some files, and what they are.
type Artifact struct {
	// Type is the artifact's own media type.
	Type  string
	Files []ArtifactFile
}

// ArtifactFile is one file. Its name is the sender's word and no path.
type ArtifactFile struct {
	Name, MediaType string
	Content         []byte
}

// encode gives the manifest and the blobs that it needs.
func (a Artifact) encode() (manifest []byte, blobs [][]byte, err error) {
	empty := []byte("{}")
	m := imageManifest{SchemaVersion: 2, MediaType: string(types.OCIManifestSchema1), ArtifactType: a.Type,
		Config: descriptor{MediaType: emptyType, Size: int64(len(empty)), Digest: subject.Of(empty)}}
	blobs = [][]byte{empty}
	for _, f := range a.Files {
		m.Layers = append(m.Layers, descriptor{MediaType: f.MediaType, Size: int64(len(f.Content)), Digest: subject.Of(f.Content), Annotations: map[string]string{titleKey: f.Name}})
		blobs = append(blobs, f.Content)
	}
	manifest, err = json.Marshal(m)
	return manifest, blobs, err
}

// decodeArtifact reads the files of a manifest that was checked. read checks
// what it gives against the descriptor's digest.
func decodeArtifact(content []byte, artifactType string, read func(descriptor) ([]byte, error)) (Artifact, error) {
	var m imageManifest
	if err := json.Unmarshal(content, &m); err != nil {
		return Artifact{}, fmt.Errorf("the manifest: %w", err)
	}
	if m.ArtifactType != artifactType {
		return Artifact{}, fmt.Errorf("it is of type %.100q, want %s", m.ArtifactType, artifactType)
	}
	if len(m.Layers) > limit.ArtifactFiles {
		return Artifact{}, &limit.Error{What: "the manifest", Bound: limit.ArtifactFiles, Unit: "files"}
	}
	a := Artifact{Type: m.ArtifactType}
	for _, d := range m.Layers {
		if d.Size < 0 || d.Size > limit.AdvisoryIndex {
			return Artifact{}, &limit.Error{What: d.Digest.String(), Bound: limit.AdvisoryIndex, Unit: "bytes"}
		}
		file, err := read(d)
		if err != nil {
			return Artifact{}, err
		}
		a.Files = append(a.Files, ArtifactFile{Name: d.Annotations[titleKey], MediaType: d.MediaType, Content: file})
	}
	return a, nil
}

// PushArtifact stores an artifact by digest and without a tag.
func (c *Client) PushArtifact(ctx context.Context, repository string, a Artifact) (subject.Digest, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return subject.Digest{}, err
	}
	manifest, blobs, err := a.encode()
	if err != nil {
		return subject.Digest{}, err
	}
	for _, blob := range blobs {
		if err := c.upload(ctx, repo, blob); err != nil {
			return subject.Digest{}, fmt.Errorf("pushing to %s: %w", repository, err)
		}
	}
	digest := subject.Of(manifest)
	_, err = c.putManifest(ctx, repo, digest.String(), string(types.OCIManifestSchema1), manifest, "")
	return digest, err
}

// PullArtifact reads an artifact of a type; every byte is checked against the
// digests that lead to it.
func (c *Client) PullArtifact(ctx context.Context, repository string, digest subject.Digest, artifactType string) (Artifact, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return Artifact{}, err
	}
	manifest, err := c.manifest(ctx, repo, digest.String())
	if err != nil {
		return Artifact{}, err
	}
	a, err := decodeArtifact(manifest.content, artifactType, func(d descriptor) ([]byte, error) { return c.blob(ctx, repo, d, &budget{}) })
	if err != nil {
		return Artifact{}, fmt.Errorf("%s@%s: %w", repository, digest, err)
	}
	return a, nil
}

// ArtifactLayout is an OCI image layout on disk that holds one artifact and
// the bundles about it: a registry for where there is none.
type ArtifactLayout struct{ dir string }

// NewArtifactLayout makes a layout in a directory that is new or empty.
func NewArtifactLayout(dir string) (ArtifactLayout, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return ArtifactLayout{}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ArtifactLayout{}, err
	}
	if len(entries) > 1 {
		return ArtifactLayout{}, fmt.Errorf("%s is not empty", dir)
	}
	return ArtifactLayout{dir}, errors.Join(
		os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644),
		os.WriteFile(filepath.Join(dir, "index.json"), []byte(`{"schemaVersion":2,"manifests":[]}`), 0o644))
}

// OpenArtifactLayout opens one that is there.
func OpenArtifactLayout(dir string) (ArtifactLayout, error) {
	if !IsLayout(dir) {
		return ArtifactLayout{}, fmt.Errorf("%s is no OCI image layout", dir)
	}
	return ArtifactLayout{dir}, nil
}

func (l ArtifactLayout) index() (imageIndex, error) {
	root, err := layoutRoot(l.dir)
	if err != nil {
		return imageIndex{}, fmt.Errorf("image layout %s: %w", l.dir, err)
	}
	var index imageIndex
	if err := json.Unmarshal(root.raw, &index); err != nil {
		return imageIndex{}, fmt.Errorf("image layout %s: index.json: %w", l.dir, err)
	}
	if len(index.Manifests) > limit.Referrers {
		return imageIndex{}, &limit.Error{What: "index.json of " + l.dir, Bound: limit.Referrers, Unit: "entries"}
	}
	return index, nil
}

// add stores a manifest with its blobs, and lists it last.
func (l ArtifactLayout) add(manifest []byte, artifactType string, blobs ...[]byte) (subject.Digest, error) {
	for _, blob := range append(slices.Clone(blobs), manifest) {
		if err := os.WriteFile(filepath.Join(l.dir, "blobs", "sha256", subject.Of(blob).Hex()), blob, 0o644); err != nil {
			return subject.Digest{}, err
		}
	}
	index, err := l.index()
	if err != nil {
		return subject.Digest{}, err
	}
	digest := subject.Of(manifest)
	index.SchemaVersion, index.MediaType = 2, string(types.OCIImageIndex)
	index.Manifests = append(index.Manifests, descriptor{MediaType: string(types.OCIManifestSchema1), Size: int64(len(manifest)), Digest: digest, ArtifactType: artifactType})
	content, err := json.Marshal(index)
	if err != nil {
		return subject.Digest{}, err
	}
	return digest, os.WriteFile(filepath.Join(l.dir, "index.json"), content, 0o644)
}

func (l ArtifactLayout) blob(d descriptor, bound int64) ([]byte, error) {
	hash, err := v1.NewHash(d.Digest.String())
	if err != nil {
		return nil, err
	}
	content, err := layoutFile(layout.Path(l.dir), hash, "the file", min(bound, d.Size))
	if err != nil {
		return nil, fmt.Errorf("image layout %s: %w", l.dir, err)
	}
	return content, nil
}

// PushArtifact stores an artifact; repository means nothing here.
func (l ArtifactLayout) PushArtifact(_ context.Context, _ string, a Artifact) (subject.Digest, error) {
	manifest, blobs, err := a.encode()
	if err != nil {
		return subject.Digest{}, err
	}
	return l.add(manifest, a.Type, blobs...)
}

// Artifact is the digest of the only artifact of a type.
func (l ArtifactLayout) Artifact(artifactType string) (subject.Digest, error) {
	index, err := l.index()
	if err != nil {
		return subject.Digest{}, err
	}
	var found []subject.Digest
	for _, d := range index.Manifests {
		if d.ArtifactType == artifactType {
			found = append(found, d.Digest)
		}
	}
	if len(found) != 1 {
		return subject.Digest{}, fmt.Errorf("image layout %s holds %d artifacts of type %s, want one", l.dir, len(found), artifactType)
	}
	return found[0], nil
}

// PullArtifact reads an artifact of a type, as a Client does.
func (l ArtifactLayout) PullArtifact(_ context.Context, _ string, digest subject.Digest, artifactType string) (Artifact, error) {
	manifest, err := l.blob(descriptor{Digest: digest, Size: limit.Manifest}, limit.Manifest)
	if err != nil {
		return Artifact{}, err
	}
	a, err := decodeArtifact(manifest, artifactType, func(d descriptor) ([]byte, error) { return l.blob(d, limit.AdvisoryIndex) })
	if err != nil {
		return Artifact{}, fmt.Errorf("image layout %s: %w", l.dir, err)
	}
	return a, nil
}

// Attach stores a bundle that refers to the artifact. Other forms are an
// error: they live in tags, and an image layout has none.
func (l ArtifactLayout) Attach(_ context.Context, a Attachment) (Attached, error) {
	if a.Evidence.Form != trust.Bundle {
		return Attached{}, fmt.Errorf("an image layout has no place for cosign's tags, where evidence of the form %q lives", a.Evidence.Form)
	}
	subjectManifest, err := l.blob(descriptor{Digest: a.Image, Size: limit.Manifest}, limit.Manifest)
	if err != nil {
		return Attached{}, err
	}
	m, empty := bundleManifest(descriptor{MediaType: string(types.OCIManifestSchema1), Size: int64(len(subjectManifest)), Digest: a.Image}, a)
	manifest, err := json.Marshal(m)
	if err != nil {
		return Attached{}, err
	}
	digest, err := l.add(manifest, m.ArtifactType, empty, a.Evidence.Content)
	return Attached{Digest: digest}, err
}

// Remove takes bundles out of the list; their files stay.
func (l ArtifactLayout) Remove(_ context.Context, _ string, about subject.Digest, evidence []trust.Evidence) error {
	index, err := l.index()
	if err != nil {
		return err
	}
	for _, e := range evidence {
		at := slices.IndexFunc(index.Manifests, func(d descriptor) bool { return d.Digest == e.Digest })
		if e.Form != trust.Bundle || e.Attached != about || at < 0 {
			return fmt.Errorf("image layout %s: removing %s: it is no evidence on %s here", l.dir, e.Source, about)
		}
		index.Manifests = slices.Delete(index.Manifests, at, at+1)
	}
	content, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, "index.json"), content, 0o644)
}

// Evidence lists the bundles that refer to a digest.
func (l ArtifactLayout) Evidence(_ context.Context, _ string, about subject.Digest) ([]trust.Evidence, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	var evidence []trust.Evidence
	for _, d := range index.Manifests {
		if d.ArtifactType != bundleType {
			continue
		}
		content, err := l.blob(d, limit.Manifest)
		if err != nil {
			return nil, err
		}
		var m imageManifest
		if err := json.Unmarshal(content, &m); err != nil {
			return nil, fmt.Errorf("image layout %s: %s: %w", l.dir, d.Digest, err)
		}
		if m.Subject == nil || m.Subject.Digest != about || len(m.Layers) != 1 {
			continue
		}
		bundle, err := l.blob(m.Layers[0], limit.Evidence)
		if err != nil {
			return nil, err
		}
		evidence = append(evidence, trust.Evidence{Digest: d.Digest, Source: "referrer " + d.Digest.String(), Attached: about, Form: trust.Bundle, Content: bundle})
	}
	return evidence, nil
}
