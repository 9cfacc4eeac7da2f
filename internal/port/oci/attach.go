package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// Attachment is one piece of evidence to be stored beside an image.
type Attachment struct {
	// Repository has the registry in it and neither tag nor digest. Image is
	// the digest of a manifest that is in it.
	Repository string
	Image      subject.Digest
	// MediaType and Size are those of that manifest, from Resolve; a zero Size
	// has them looked up, where they are needed.
	MediaType string
	Size      int64
	// Evidence is stored as its Form says: Content, and of the older layout
	// also Signature, Certificate, Chain, LogEntry and Timestamp.
	Evidence trust.Evidence
	// PredicateType is the statement's. Created goes into an annotation of
	// bundles that nobody should believe.
	PredicateType string
	Created       time.Time
}

// Attached names what was stored.
type Attached struct {
	// Digest is that of a bundle's manifest, or of the layer in a ".sig" or
	// ".att" tag: what Evidence gives as the piece's digest.
	Digest subject.Digest
}

// Attach stores one piece of evidence, and keeps what is stored already. A
// bundle becomes a referrer as cosign's BUNDLE_SPEC has it, and is listed in
// the fallback tag where the registry has no referrers API; an envelope is
// appended to the ".att" tag and a simple-signing payload to ".sig". What is
// there already is not stored twice.
func (c *Client) Attach(ctx context.Context, a Attachment) (Attached, error) {
	repo, err := parseRepository(a.Repository)
	if err != nil {
		return Attached{}, err
	}
	var digest subject.Digest
	switch a.Evidence.Form {
	case trust.Bundle:
		digest, err = c.attachBundle(ctx, repo, a)
	case trust.Envelope:
		layer := layerOf(envelopeType, a.Evidence)
		layer.Annotations[signatureKey], layer.Annotations["predicateType"] = "", a.PredicateType
		digest, err = layer.Digest, c.attachLayer(ctx, repo, a, "att", layer)
	case trust.SimpleSigning:
		layer := layerOf(simpleSigningType, a.Evidence)
		layer.Annotations[signatureKey] = a.Evidence.Signature
		digest, err = layer.Digest, c.attachLayer(ctx, repo, a, "sig", layer)
	default:
		err = fmt.Errorf("evidence of the form %q has no place", a.Evidence.Form)
	}
	if err != nil {
		return Attached{}, fmt.Errorf("attaching to %s@%s: %w", repo, a.Image, err)
	}
	return Attached{Digest: digest}, nil
}

// layerOf describes a piece as a layer of cosign's older layout, with what
// vouches for it.
func layerOf(mediaType string, e trust.Evidence) descriptor {
	layer := descriptor{MediaType: mediaType, Size: int64(len(e.Content)), Digest: subject.Of(e.Content), Annotations: map[string]string{}}
	for key, value := range map[string]string{certificateKey: e.Certificate, chainKey: e.Chain, logEntryKey: e.LogEntry, timestampKey: e.Timestamp} {
		if value != "" {
			layer.Annotations[key] = value
		}
	}
	return layer
}

func (c *Client) attachBundle(ctx context.Context, repo name.Repository, a Attachment) (subject.Digest, error) {
	about := descriptor{MediaType: a.MediaType, Size: a.Size, Digest: a.Image}
	if a.Size == 0 || a.MediaType == "" {
		var err error
		if about, err = c.head(ctx, repo, a.Image); err != nil {
			return subject.Digest{}, err
		}
	}
	m, empty := bundleManifest(about, a)
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.upload(gctx, repo, empty) })
	group.Go(func() error { return c.uploadAs(gctx, repo, m.Layers[0].Digest, a.Evidence.Content) })
	if err := group.Wait(); err != nil {
		return subject.Digest{}, err
	}
	content, err := json.Marshal(m)
	if err != nil {
		return subject.Digest{}, err
	}
	digest := subject.Of(content)
	listed, err := c.putReferrer(ctx, repo, a.Image, digest, content)
	if err != nil || listed {
		return digest, err
	}
	err = c.listReferrer(ctx, repo, a.Image, descriptor{MediaType: m.MediaType, Size: int64(len(content)), Digest: digest,
		ArtifactType: m.ArtifactType, Annotations: m.Annotations})
	if err != nil {
		return subject.Digest{}, fmt.Errorf("listing the referrer: %w", err)
	}
	return digest, nil
}

// bundleManifest is the manifest of a bundle that refers to about, and the
// empty configuration that it names.
func bundleManifest(about descriptor, a Attachment) (m imageManifest, empty []byte) {
	empty, bundle := []byte("{}"), a.Evidence.Content
	return imageManifest{
		SchemaVersion: 2, MediaType: string(types.OCIManifestSchema1), ArtifactType: bundleType,
		Config:  descriptor{MediaType: emptyType, Size: int64(len(empty)), Digest: subject.Of(empty)},
		Layers:  []descriptor{{MediaType: bundleType, Size: int64(len(bundle)), Digest: subject.Of(bundle)}},
		Subject: &about,
		Annotations: map[string]string{
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": a.PredicateType,
			"org.opencontainers.image.created":  a.Created.UTC().Format(time.RFC3339),
		},
	}, empty
}

// listReferrer makes a referrer findable on a registry that did not say that
// it lists referrers itself.
func (c *Client) listReferrer(ctx context.Context, repo name.Repository, image subject.Digest, d descriptor) error {
	list, supported, err := c.referrersAPI(ctx, repo, image)
	if err != nil {
		return err
	}
	if supported {
		if slices.ContainsFunc(list, func(l descriptor) bool { return l.Digest == d.Digest }) {
			return nil
		}
		return errors.New("the registry has a referrers API and does not list what was just pushed")
	}
	return c.updateIndex(ctx, repo, fallbackTag(image), func(list []descriptor) ([]descriptor, error) {
		if slices.ContainsFunc(list, func(l descriptor) bool { return l.Digest == d.Digest }) {
			return list, nil
		}
		if len(list) >= limit.Referrers {
			return nil, &limit.Error{What: "the list of referrers with one more", Bound: limit.Referrers, Unit: "entries"}
		}
		return append(slices.Clip(list), d), nil
	})
}

// updateIndex changes the list in a fallback tag; a change that gives as many
// entries as there were changes nothing.
func (c *Client) updateIndex(ctx context.Context, repo name.Repository, tag string, change func([]descriptor) ([]descriptor, error)) error {
	return c.update(ctx, repo, tag, func(ctx context.Context) (revision, error) {
		index, before, err := c.index(ctx, repo, tag)
		if err != nil {
			return revision{}, err
		}
		list, err := change(index.Manifests)
		if err != nil || len(list) == len(index.Manifests) {
			return revision{before: before, done: true}, err
		}
		index.SchemaVersion, index.MediaType, index.Manifests = 2, string(types.OCIImageIndex), list
		content, err := json.Marshal(index)
		return revision{mediaType: index.MediaType, content: content, before: before}, err
	})
}

// attachLayer appends a layer to the ".sig" or ".att" tag.
func (c *Client) attachLayer(ctx context.Context, repo name.Repository, a Attachment, suffix string, layer descriptor) error {
	tag := fallbackTag(a.Image) + "." + suffix
	if err := c.uploadAs(ctx, repo, layer.Digest, a.Evidence.Content); err != nil {
		return fmt.Errorf("%s: %w", tag, err)
	}
	return c.updateLayers(ctx, repo, tag, func(layers []descriptor) ([]descriptor, error) {
		if slices.ContainsFunc(layers, func(l descriptor) bool { return sameLayer(l, layer) }) {
			return layers, nil
		}
		if len(layers) >= limit.AttachmentLayers {
			return nil, &limit.Error{What: repo.Name() + ":" + tag + " with one more", Bound: limit.AttachmentLayers, Unit: "layers"}
		}
		return append(slices.Clip(layers), layer), nil
	})
}

// sameLayer says whether two layers hold the same piece: one payload may have
// been signed by several, and one signature have other witnesses, or be made
// worthless by what somebody wrote beside it.
func sameLayer(a, b descriptor) bool { return pieceOf(a) == pieceOf(b) }

// layerPiece is what evidence in a layer consists of.
type layerPiece struct {
	digest                                             subject.Digest
	signature, certificate, chain, logEntry, timestamp string
}

func pieceOf(d descriptor) layerPiece {
	a := d.Annotations
	return layerPiece{d.Digest, a[signatureKey], a[certificateKey], a[chainKey], a[logEntryKey], a[timestampKey]}
}

// updateLayers changes the layers of a ".sig" or ".att" tag; a change that
// gives as many as there were changes nothing.
func (c *Client) updateLayers(ctx context.Context, repo name.Repository, tag string, change func([]descriptor) ([]descriptor, error)) error {
	return c.update(ctx, repo, tag, func(ctx context.Context) (revision, error) {
		m, before, err := c.attachments(ctx, repo, tag)
		if err != nil {
			return revision{}, err
		}
		layers, err := change(m.Layers)
		if err != nil || len(layers) == len(m.Layers) {
			return revision{before: before, done: true}, err
		}
		m.SchemaVersion, m.MediaType, m.Layers = 2, string(types.OCIManifestSchema1), layers
		if m.Config, err = c.legacyConfig(ctx, repo, m.Layers); err != nil {
			return revision{}, err
		}
		content, err := json.Marshal(m)
		return revision{mediaType: m.MediaType, content: content, before: before}, err
	})
}

// legacyConfig uploads the configuration of a ".sig" or ".att" manifest.
func (c *Client) legacyConfig(ctx context.Context, repo name.Repository, layers []descriptor) (descriptor, error) {
	described, config, err := configOf(layers)
	if err != nil {
		return descriptor{}, err
	}
	return described, c.upload(ctx, repo, config)
}

// head describes a manifest that is in the repository.
func (c *Client) head(ctx context.Context, repo name.Repository, digest subject.Digest) (descriptor, error) {
	m, err := c.manifest(ctx, repo, digest.String())
	if err != nil {
		return descriptor{}, err
	}
	return descriptor{MediaType: m.mediaType, Size: int64(len(m.content)), Digest: digest}, nil
}
