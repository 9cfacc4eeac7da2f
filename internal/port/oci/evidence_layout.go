package oci

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// layoutHost is where a layout is served, inside the process and nowhere else.
const layoutHost = "oci-layout.localhost"

// EvidenceLayout is an OCI image layout on disk with the evidence on its
// images: a registry for where there is none. It only reads, holds every file
// to the digest that it lies under, and contacts nothing. It reads what `assay
// copy` writes, and what `cosign save` does.
type EvidenceLayout struct {
	dir    string
	shelf  *shelf
	client *Client
}

// OpenEvidenceLayout opens a layout that is there. What index.json lists must
// be there too.
func OpenEvidenceLayout(dir string) (*EvidenceLayout, error) {
	if !IsLayout(dir) {
		return nil, fmt.Errorf("%s is no OCI image layout: it has no oci-layout", dir)
	}
	s, err := openShelf(dir)
	if err != nil {
		return nil, err
	}
	return &EvidenceLayout{dir: dir, shelf: s, client: New(Config{
		Embedded: map[string]http.Handler{layoutHost: s}, Keychain: authn.NewMultiKeychain()})}, nil
}

// Resolve finds what a reference means: a digest, a name in index.json
// (org.opencontainers.image.ref.name), or "" for the only image; "oci:DIR" and
// "oci:DIR@WHICH" mean the same. The Resolved's Name is "oci:" and the
// directory.
func (l *EvidenceLayout) Resolve(ctx context.Context, reference string) (Resolved, error) {
	which := reference
	if rest, found := strings.CutPrefix(reference, "oci:"); found {
		_, which, _ = strings.Cut(rest, "@")
	}
	digest, label, err := l.shelf.choose(which)
	if err != nil {
		return Resolved{}, fmt.Errorf("image layout %s: %w", l.dir, err)
	}
	resolved, err := l.client.Resolve(ctx, layoutHost+"/"+shelfName+"@"+digest.String())
	if err != nil {
		return Resolved{}, fmt.Errorf("image layout %s: %w", l.dir, err)
	}
	resolved.Reference, resolved.Registry, resolved.Repository, resolved.Tag = reference, "oci:", strings.TrimPrefix(l.dir, "/"), label
	return resolved, nil
}

// Evidence lists what is stored about a digest, as a Client does; repository
// means nothing here.
func (l *EvidenceLayout) Evidence(ctx context.Context, _ string, digest subject.Digest) ([]trust.Evidence, error) {
	evidence, err := l.client.Evidence(ctx, layoutHost+"/"+shelfName, digest)
	if err != nil {
		return nil, fmt.Errorf("image layout %s: %w", l.dir, err)
	}
	return evidence, nil
}

// Which gives the digest and the name, "" where it has none, of what a
// reference means, as Resolve does, and also where that is an index of indexes
// or no image.
func (l *EvidenceLayout) Which(reference string) (subject.Digest, string, error) {
	digest, label, err := l.shelf.choose(reference)
	if err != nil {
		return subject.Digest{}, "", fmt.Errorf("image layout %s: %w", l.dir, err)
	}
	return digest, label, nil
}

// Repository gives the layout as a place to copy from.
func (l *EvidenceLayout) Repository() (*Repository, error) {
	r, err := l.client.Repository(layoutHost + "/" + shelfName)
	if err != nil {
		return nil, err
	}
	r.label = "oci:" + l.dir
	return r, nil
}
