package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// Remove takes away pieces that Evidence listed about an image: a bundle's
// manifest, its entry in a fallback tag, layers of the ".sig" and ".att" tags.
// A piece that somebody else took away is no error; one that is still listed
// afterwards is, with what the registry answered. Blobs stay for the
// registry's own collector.
func (c *Client) Remove(ctx context.Context, repository string, image subject.Digest, evidence []trust.Evidence) error {
	repo, err := parseRepository(repository)
	if err != nil {
		return err
	}
	var bundles []subject.Digest
	layers := map[string][]descriptor{}
	for _, e := range evidence {
		switch e.Form {
		case trust.Bundle:
			bundles = append(bundles, e.Digest)
		case trust.SimpleSigning:
			if strings.HasPrefix(e.Source, "referrer ") {
				return fmt.Errorf("removing %s from %s@%s: it is a signature of cosign's experimental mode for OCI 1.1, which is only read here; delete that manifest in the registry", e.Source, repo, image)
			}
			layers["sig"] = append(layers["sig"], layerKey(e))
		case trust.Envelope:
			layers["att"] = append(layers["att"], layerKey(e))
		default:
			return fmt.Errorf("removing %s from %s@%s: evidence of the form %q has no place", e.Source, repo, image, e.Form)
		}
	}
	if len(bundles) > 0 {
		if err := c.removeReferrers(ctx, repo, image, bundles); err != nil {
			return fmt.Errorf("removing evidence from %s@%s: %w", repo, image, err)
		}
	}
	for _, suffix := range []string{"att", "sig"} {
		if len(layers[suffix]) == 0 {
			continue
		}
		if err := c.removeLayers(ctx, repo, fallbackTag(image)+"."+suffix, layers[suffix]); err != nil {
			return fmt.Errorf("removing evidence from %s@%s: %w", repo, image, err)
		}
	}
	return nil
}

// layerKey is what sameLayer compares.
func layerKey(e trust.Evidence) descriptor {
	return descriptor{Digest: e.Digest, Annotations: map[string]string{signatureKey: e.Signature, certificateKey: e.Certificate, chainKey: e.Chain,
		logEntryKey: e.LogEntry, timestampKey: e.Timestamp}}
}

func (c *Client) removeLayers(ctx context.Context, repo name.Repository, tag string, gone []descriptor) error {
	return c.updateLayers(ctx, repo, tag, func(layers []descriptor) ([]descriptor, error) {
		return slices.DeleteFunc(slices.Clone(layers), func(l descriptor) bool {
			return slices.ContainsFunc(gone, func(g descriptor) bool { return sameLayer(l, g) })
		}), nil
	})
}

func (c *Client) removeReferrers(ctx context.Context, repo name.Repository, image subject.Digest, gone []subject.Digest) error {
	_, native, err := c.referrersAPI(ctx, repo, image)
	if err != nil {
		return err
	}
	if !native {
		// The entry goes first: what is listed must be there.
		err := c.updateIndex(ctx, repo, fallbackTag(image), func(list []descriptor) ([]descriptor, error) {
			return slices.DeleteFunc(slices.Clone(list), func(d descriptor) bool { return slices.Contains(gone, d.Digest) }), nil
		})
		if err != nil {
			return err
		}
		for _, digest := range gone {
			if _, err := c.deleteManifest(ctx, repo, digest); err != nil {
				return err
			}
		}
		return nil
	}
	answers := map[subject.Digest]string{}
	for _, digest := range gone {
		if answers[digest], err = c.deleteManifest(ctx, repo, digest); err != nil {
			return err
		}
	}
	// What counts is what is listed now, whatever the registry answered.
	list, _, err := c.referrersAPI(ctx, repo, image)
	if err != nil {
		return err
	}
	var left []string
	for _, d := range list {
		if slices.Contains(gone, d.Digest) {
			left = append(left, fmt.Sprintf("referrer %s (DELETE was answered %s)", d.Digest, answers[d.Digest]))
		}
	}
	if len(left) > 0 {
		return errors.New("the registry still lists " + strings.Join(left, ", ") + "; deletion may have to be allowed there")
	}
	return nil
}

// deleteManifest asks for a manifest to be deleted, and gives the answer's
// status.
func (c *Client) deleteManifest(ctx context.Context, repo name.Repository, digest subject.Digest) (string, error) {
	response, err := c.do(ctx, repo, transport.DeleteScope, http.MethodDelete, "manifests/"+digest.String(), nil, nil)
	if err != nil {
		return "", err
	}
	response.Body.Close()
	return response.Status, nil
}
