package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// ImageConfig is what an image says of itself: the part of its configuration that
// says how it runs (OCI image specification, "Image Configuration"). It is as
// true as who made the image.
type ImageConfig struct {
	OS           string
	Architecture string
	Variant      string
	Created      time.Time
	Labels       map[string]string
	Env          []string
	User         string
	Entrypoint   []string
	Cmd          []string
}

// ImageConfig reads the configuration of an image manifest, which its digest vouches
// for. What is no image has none, and is an error.
func (c *Client) ImageConfig(ctx context.Context, repository string, digest subject.Digest) (ImageConfig, error) {
	place, err := c.Repository(repository)
	if err != nil {
		return ImageConfig{}, err
	}
	m, err := place.Manifest(ctx, digest.String())
	if err != nil {
		return ImageConfig{}, err
	}
	if len(m.Blobs) == 0 {
		return ImageConfig{}, &ContentError{fmt.Errorf("%s@%s is an index, and has no configuration", place, digest)}
	}
	d := m.Blobs[len(m.Blobs)-1]
	if d.Size > limit.ImageConfig {
		return ImageConfig{}, &limit.Error{What: fmt.Sprintf("the configuration of %s@%s", place, digest), Bound: limit.ImageConfig, Unit: "bytes"}
	}
	body, err := place.Blob(ctx, d)
	if err != nil {
		return ImageConfig{}, err
	}
	defer body.Close()
	content, err := limit.ReadAll(body, fmt.Sprintf("the configuration of %s@%s", place, digest), limit.ImageConfig)
	if err != nil {
		return ImageConfig{}, err
	}
	var raw struct {
		OS, Architecture, Variant string
		Created                   time.Time
		Config                    struct {
			Labels          map[string]string
			Env             []string
			User            string
			Entrypoint, Cmd []string
		}
	}
	if err := json.Unmarshal(content, &raw); err != nil {
		return ImageConfig{}, &ContentError{fmt.Errorf("the configuration of %s@%s: %w", place, digest, err)}
	}
	return ImageConfig{OS: raw.OS, Architecture: raw.Architecture, Variant: raw.Variant, Created: raw.Created, Labels: raw.Config.Labels,
		Env: raw.Config.Env, User: raw.Config.User, Entrypoint: raw.Config.Entrypoint, Cmd: raw.Config.Cmd}, nil
}
