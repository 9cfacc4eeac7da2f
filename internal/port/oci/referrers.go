package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// fallbackTag is where referrers are listed on registries without the API.
func fallbackTag(digest subject.Digest) string {
	return digest.Algorithm() + "-" + digest.Hex()
}

// referrers lists what refers to a digest, over all pages.
func (c *Client) referrers(ctx context.Context, repo name.Repository, digest subject.Digest) ([]descriptor, error) {
	var list []descriptor
	var supported, without bool
	var index imageIndex
	tag := func(ctx context.Context) (err error) {
		index, _, err = c.index(ctx, repo, fallbackTag(digest))
		return err
	}
	// A registry that was seen to lack the API is asked for both at once. That
	// it has it after all is not ruled out.
	c.know(repo, func(h *host) { without = h.withoutAPI })
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		list, supported, err = c.referrersAPI(gctx, repo, digest)
		return err
	})
	if without {
		group.Go(func() error { return tag(gctx) })
	}
	if err := group.Wait(); err != nil || supported {
		return list, err
	}
	if !without {
		if err := tag(ctx); err != nil {
			return nil, err
		}
	}
	if len(index.Manifests) > limit.Referrers {
		return nil, &limit.Error{What: "the list of referrers", Bound: limit.Referrers, Unit: "entries"}
	}
	return index.Manifests, nil
}

// index reads an index by tag; one that is not there is empty, with no digest.
func (c *Client) index(ctx context.Context, repo name.Repository, tag string) (imageIndex, subject.Digest, error) {
	fetched, err := c.manifest(ctx, repo, tag)
	if IsNotFound(err) {
		return imageIndex{}, subject.Digest{}, nil
	}
	if err != nil {
		return imageIndex{}, subject.Digest{}, err
	}
	var index imageIndex
	if err := json.Unmarshal(fetched.content, &index); err != nil {
		return imageIndex{}, subject.Digest{}, fmt.Errorf("the referrers index at %s:%s cannot be read: %w", repo, tag, err)
	}
	if index.SchemaVersion != 2 {
		return imageIndex{}, subject.Digest{}, fmt.Errorf("the referrers index at %s:%s cannot be read: its schemaVersion is %d, not 2", repo, tag, index.SchemaVersion)
	}
	if !strings.Contains(fetched.mediaType, "index") && !strings.Contains(fetched.mediaType, "manifest.list") {
		return imageIndex{}, subject.Digest{}, fmt.Errorf("%s:%s should list referrers and is a %s", repo, tag, fetched.mediaType)
	}
	return index, fetched.digest, nil
}

// referrersAPI asks the referrers API; supported is false where the registry
// has none.
func (c *Client) referrersAPI(ctx context.Context, repo name.Repository, digest subject.Digest) (list []descriptor, supported bool, err error) {
	path := "referrers/" + digest.String()
	next := ""
	for page := 0; ; page++ {
		if page == limit.ReferrerPages {
			return nil, true, &limit.Error{What: "the list of referrers", Bound: limit.ReferrerPages, Unit: "pages"}
		}
		target := fmt.Sprintf("%s://%s/v2/%s/%s", repo.Scheme(), repo.RegistryStr(), repo.RepositoryStr(), path)
		if next != "" {
			target = next
		}
		index, link, err := c.referrersPage(ctx, repo, target)
		if page == 0 && IsNotFound(err) {
			c.know(repo, func(h *host) { h.withoutAPI = true })
			return nil, false, nil
		}
		if err != nil {
			return nil, true, err
		}
		if len(list)+len(index.Manifests) > limit.Referrers {
			return nil, true, &limit.Error{What: "the list of referrers", Bound: limit.Referrers, Unit: "entries"}
		}
		list = append(list, index.Manifests...)
		if link == "" {
			return list, true, nil
		}
		if next, err = follow(target, link); err != nil {
			return nil, true, err
		}
	}
}

func (c *Client) referrersPage(ctx context.Context, repo name.Repository, target string) (imageIndex, string, error) {
	response, err := c.send(ctx, repo, transport.PullScope, http.MethodGet, target, map[string]string{"Accept": "application/vnd.oci.image.index.v1+json"}, nil)
	if err != nil {
		return imageIndex{}, "", err
	}
	defer response.Body.Close()
	what := "the list of referrers at " + repo.Name()
	if response.StatusCode != http.StatusOK {
		return imageIndex{}, "", answer(response, what)
	}
	if filtered := response.Header.Get("OCI-Filters-Applied"); filtered != "" {
		return imageIndex{}, "", fmt.Errorf("%s was filtered by %.100q, which nobody asked for: something may be missing in it", what, filtered)
	}
	content, err := limit.ReadAll(response.Body, what, limit.ReferrersPage)
	if err != nil {
		return imageIndex{}, "", err
	}
	if response.ContentLength >= 0 && int64(len(content)) != response.ContentLength {
		return imageIndex{}, "", fmt.Errorf("%s ends early: %d bytes of %d", what, len(content), response.ContentLength)
	}
	var index imageIndex
	if err := json.Unmarshal(content, &index); err != nil || index.SchemaVersion != 2 {
		return imageIndex{}, "", fmt.Errorf("%s cannot be read: it is no image index", what)
	}
	return index, response.Header.Get("Link"), nil
}

// follow gives the next page of a Link header, on the same host.
func follow(current, link string) (string, error) {
	rest, found := strings.CutPrefix(strings.TrimSpace(link), "<")
	target, parameters, closed := strings.Cut(rest, ">")
	if !found || !closed || !strings.Contains(strings.ReplaceAll(parameters, `"`, ""), "rel=next") {
		return "", fmt.Errorf("the registry sent a Link header that cannot be followed: %.200q", link)
	}
	base, err := url.Parse(current)
	if err != nil {
		return "", err
	}
	next, err := base.Parse(target)
	if err != nil || next.Host != base.Host || next.Scheme != base.Scheme {
		return "", fmt.Errorf("the registry sent a Link to another place: %.200q", link)
	}
	return next.String(), nil
}
