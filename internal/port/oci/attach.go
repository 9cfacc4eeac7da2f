package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

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
	for _, blob := range [][]byte{empty, a.Evidence.Content} {
		if err := c.upload(ctx, repo, blob); err != nil {
			return subject.Digest{}, err
		}
	}
	content, err := json.Marshal(m)
	if err != nil {
		return subject.Digest{}, err
	}
	digest := subject.Of(content)
	listed, err := c.putManifest(ctx, repo, digest.String(), m.MediaType, content, "")
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
	return c.update(ctx, repo, tag, func(ctx context.Context) (string, []byte, subject.Digest, bool, error) {
		index, before, err := c.index(ctx, repo, tag)
		if err != nil {
			return "", nil, subject.Digest{}, false, err
		}
		list, err := change(index.Manifests)
		if err != nil || len(list) == len(index.Manifests) {
			return "", nil, before, true, err
		}
		index.SchemaVersion, index.MediaType, index.Manifests = 2, string(types.OCIImageIndex), list
		content, err := json.Marshal(index)
		return index.MediaType, content, before, false, err
	})
}

// attachLayer appends a layer to the ".sig" or ".att" tag.
func (c *Client) attachLayer(ctx context.Context, repo name.Repository, a Attachment, suffix string, layer descriptor) error {
	tag := fallbackTag(a.Image) + "." + suffix
	if err := c.upload(ctx, repo, a.Evidence.Content); err != nil {
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
// been signed by several.
func sameLayer(a, b descriptor) bool {
	return a.Digest == b.Digest && a.Annotations[signatureKey] == b.Annotations[signatureKey]
}

// updateLayers changes the layers of a ".sig" or ".att" tag; a change that
// gives as many as there were changes nothing.
func (c *Client) updateLayers(ctx context.Context, repo name.Repository, tag string, change func([]descriptor) ([]descriptor, error)) error {
	return c.update(ctx, repo, tag, func(ctx context.Context) (string, []byte, subject.Digest, bool, error) {
		m, before, err := c.attachments(ctx, repo, tag)
		if err != nil {
			return "", nil, subject.Digest{}, false, err
		}
		layers, err := change(m.Layers)
		if err != nil || len(layers) == len(m.Layers) {
			return "", nil, before, true, err
		}
		m.SchemaVersion, m.MediaType, m.Layers = 2, string(types.OCIManifestSchema1), layers
		if m.Config, err = c.legacyConfig(ctx, repo, m.Layers); err != nil {
			return "", nil, before, false, err
		}
		content, err := json.Marshal(m)
		return m.MediaType, content, before, false, err
	})
}

// legacyConfig uploads the image configuration that cosign's older layout
// wants: one diff ID for each layer.
func (c *Client) legacyConfig(ctx context.Context, repo name.Repository, layers []descriptor) (descriptor, error) {
	diffs := make([]subject.Digest, 0, len(layers))
	for _, layer := range layers {
		diffs = append(diffs, layer.Digest)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs}, "history": []any{},
	})
	if err != nil {
		return descriptor{}, err
	}
	return descriptor{MediaType: string(types.OCIConfigJSON), Size: int64(len(config)), Digest: subject.Of(config)}, c.upload(ctx, repo, config)
}

// errLost says that somebody else wrote a tag between our read and our write.
var errLost = errors.New("another writer was faster")

// update reads a tag, writes it with one more entry, and reads it again until
// the entry is there. change gives the new manifest, the digest that it is
// based on, and whether nothing is left to do.
func (c *Client) update(ctx context.Context, repo name.Repository, tag string, change func(context.Context) (mediaType string, content []byte, before subject.Digest, done bool, err error)) error {
	lock := c.lockOf(repo, tag)
	lock.Lock()
	defer lock.Unlock()
	const tries = 12
	for try := range tries {
		mediaType, content, before, done, err := change(ctx)
		if err != nil || done {
			return err
		}
		condition := "*"
		if !before.IsZero() {
			condition = before.String()
		}
		if _, err = c.putManifest(ctx, repo, tag, mediaType, content, condition); err != nil && !errors.Is(err, errLost) {
			return err
		}
		if err == nil {
			// The next change sees whether the entry is there.
			continue
		}
		pause := time.Duration(rand.Int64N(int64(20*time.Millisecond)<<min(try, 5))) + time.Millisecond
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
	return fmt.Errorf("%s:%s is written by others all the time; gave up after %d tries", repo, tag, tries)
}

func (c *Client) lockOf(repo name.Repository, tag string) *sync.Mutex {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	key := repo.Name() + ":" + tag
	if c.tagLock[key] == nil {
		c.tagLock[key] = &sync.Mutex{}
	}
	return c.tagLock[key]
}

// head describes a manifest that is in the repository.
func (c *Client) head(ctx context.Context, repo name.Repository, digest subject.Digest) (descriptor, error) {
	m, err := c.manifest(ctx, repo, digest.String())
	if err != nil {
		return descriptor{}, err
	}
	return descriptor{MediaType: m.mediaType, Size: int64(len(m.content)), Digest: digest}, nil
}

// putManifest writes a manifest; listed says that the registry lists it among
// its subject's referrers. condition asks for the write only if the tag still
// is what it was ("*": is not there): registries that know If-Match answer
// 412, which is errLost, and others ignore it.
func (c *Client) putManifest(ctx context.Context, repo name.Repository, which, mediaType string, content []byte, condition string) (listed bool, err error) {
	header := map[string]string{"Content-Type": mediaType}
	switch condition {
	case "":
	case "*":
		header["If-None-Match"] = "*"
	default:
		header["If-Match"] = `"` + condition + `"`
	}
	response, err := c.do(ctx, repo, transport.PushScope, http.MethodPut, "manifests/"+which, header, content)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusPreconditionFailed && condition != "" {
		return false, errLost
	}
	if response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted {
		return false, answer(response, "pushing "+repo.Name()+" "+which)
	}
	return response.Header.Get("OCI-Subject") != "", nil
}

// upload writes a blob that is not there yet.
func (c *Client) upload(ctx context.Context, repo name.Repository, content []byte) error {
	digest := subject.Of(content)
	response, err := c.do(ctx, repo, transport.PullScope, http.MethodHead, "blobs/"+digest.String(), nil, nil)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	response, err = c.do(ctx, repo, transport.PushScope, http.MethodPost, "blobs/uploads/", nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return answer(response, "beginning an upload to "+repo.Name())
	}
	location, err := response.Request.URL.Parse(response.Header.Get("Location"))
	if err != nil || response.Header.Get("Location") == "" {
		return fmt.Errorf("beginning an upload to %s: the registry sent no usable Location", repo.Name())
	}
	query := location.Query()
	query.Set("digest", digest.String())
	location.RawQuery = query.Encode()
	return c.finishUpload(ctx, repo, location, content)
}

func (c *Client) finishUpload(ctx context.Context, repo name.Repository, location *url.URL, content []byte) error {
	response, err := c.send(ctx, repo, transport.PushScope, http.MethodPut, location.String(), map[string]string{"Content-Type": "application/octet-stream"}, bytes.Clone(content))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return answer(response, "uploading to "+repo.Name())
	}
	return nil
}
