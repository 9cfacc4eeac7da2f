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
)

// AttachBundle stores a Sigstore bundle as a referrer of a manifest that is in
// the repository, as cosign's BUNDLE_SPEC has it, and lists it in the fallback
// tag where the registry has no referrers API. created goes into an annotation
// that nobody should believe. It returns the digest of the referrer.
func (c *Client) AttachBundle(ctx context.Context, repository string, image subject.Digest, bundle []byte, predicateType string, created time.Time) (subject.Digest, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return subject.Digest{}, err
	}
	about, err := c.head(ctx, repo, image)
	if err != nil {
		return subject.Digest{}, fmt.Errorf("attaching to %s@%s: %w", repository, image, err)
	}
	m, empty := bundleManifest(about, bundle, predicateType, created)
	for _, blob := range [][]byte{empty, bundle} {
		if err := c.upload(ctx, repo, blob); err != nil {
			return subject.Digest{}, fmt.Errorf("attaching to %s@%s: %w", repository, image, err)
		}
	}
	content, err := json.Marshal(m)
	if err != nil {
		return subject.Digest{}, err
	}
	digest := subject.Of(content)
	listed, err := c.putManifest(ctx, repo, digest.String(), m.MediaType, content, "")
	if err != nil {
		return subject.Digest{}, fmt.Errorf("attaching to %s@%s: %w", repository, image, err)
	}
	if !listed {
		if err := c.listReferrer(ctx, repo, image, descriptor{MediaType: m.MediaType, Size: int64(len(content)), Digest: digest,
			ArtifactType: m.ArtifactType, Annotations: m.Annotations}); err != nil {
			return subject.Digest{}, fmt.Errorf("listing the referrer of %s@%s: %w", repository, image, err)
		}
	}
	return digest, nil
}

// bundleManifest is the manifest of a bundle that refers to about, and the
// empty configuration that it names.
func bundleManifest(about descriptor, bundle []byte, predicateType string, created time.Time) (m imageManifest, empty []byte) {
	empty = []byte("{}")
	return imageManifest{
		SchemaVersion: 2, MediaType: string(types.OCIManifestSchema1), ArtifactType: bundleType,
		Config:  descriptor{MediaType: emptyType, Size: int64(len(empty)), Digest: subject.Of(empty)},
		Layers:  []descriptor{{MediaType: bundleType, Size: int64(len(bundle)), Digest: subject.Of(bundle)}},
		Subject: &about,
		Annotations: map[string]string{
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": predicateType,
			"org.opencontainers.image.created":  created.UTC().Format(time.RFC3339),
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
	tag := fallbackTag(image)
	return c.update(ctx, repo, tag, func(ctx context.Context) (string, []byte, subject.Digest, bool, error) {
		index, before, err := c.index(ctx, repo, tag)
		if err != nil {
			return "", nil, subject.Digest{}, false, err
		}
		if slices.ContainsFunc(index.Manifests, func(l descriptor) bool { return l.Digest == d.Digest }) {
			return "", nil, before, true, nil
		}
		if len(index.Manifests) >= limit.Referrers {
			return "", nil, before, false, &limit.Error{What: "the list of referrers with one more", Bound: limit.Referrers, Unit: "entries"}
		}
		index.SchemaVersion, index.MediaType = 2, string(types.OCIImageIndex)
		index.Manifests = append(index.Manifests, d)
		content, err := json.Marshal(index)
		return index.MediaType, content, before, false, err
	})
}

// AttachSignature appends a simple-signing payload and its base64 signature to
// the ".sig" tag, and returns the payload's digest.
func (c *Client) AttachSignature(ctx context.Context, repository string, image subject.Digest, payload []byte, signature string) (subject.Digest, error) {
	return c.attachLayer(ctx, repository, image, "sig", payload, descriptor{MediaType: simpleSigningType,
		Annotations: map[string]string{signatureKey: signature}})
}

// AttachAttestation appends a DSSE envelope to the ".att" tag, and returns the
// envelope's digest.
func (c *Client) AttachAttestation(ctx context.Context, repository string, image subject.Digest, envelope []byte, predicateType string) (subject.Digest, error) {
	return c.attachLayer(ctx, repository, image, "att", envelope, descriptor{MediaType: envelopeType,
		Annotations: map[string]string{signatureKey: "", "predicateType": predicateType}})
}

func (c *Client) attachLayer(ctx context.Context, repository string, image subject.Digest, suffix string, content []byte, layer descriptor) (subject.Digest, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return subject.Digest{}, err
	}
	layer.Size, layer.Digest = int64(len(content)), subject.Of(content)
	tag := fallbackTag(image) + "." + suffix
	if err := c.upload(ctx, repo, content); err != nil {
		return subject.Digest{}, fmt.Errorf("attaching to %s: %w", repo.Tag(tag), err)
	}
	err = c.update(ctx, repo, tag, func(ctx context.Context) (string, []byte, subject.Digest, bool, error) {
		m, before, err := c.attachments(ctx, repo, tag)
		if err != nil {
			return "", nil, subject.Digest{}, false, err
		}
		same := func(l descriptor) bool {
			return l.Digest == layer.Digest && l.Annotations[signatureKey] == layer.Annotations[signatureKey]
		}
		if slices.ContainsFunc(m.Layers, same) {
			return "", nil, before, true, nil
		}
		if len(m.Layers) >= limit.AttachmentLayers {
			return "", nil, before, false, &limit.Error{What: repo.Name() + ":" + tag + " with one more", Bound: limit.AttachmentLayers, Unit: "layers"}
		}
		m.SchemaVersion, m.MediaType = 2, string(types.OCIManifestSchema1)
		m.Layers = append(m.Layers, layer)
		if m.Config, err = c.legacyConfig(ctx, repo, m.Layers); err != nil {
			return "", nil, before, false, err
		}
		content, err := json.Marshal(m)
		return m.MediaType, content, before, false, err
	})
	if err != nil {
		return subject.Digest{}, fmt.Errorf("attaching to %s: %w", repo.Tag(tag), err)
	}
	return layer.Digest, nil
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
