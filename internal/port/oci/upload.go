package oci

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// wholeUpload is the largest blob that is sent with the first request to a
// registry that is not known to take it there, in bytes: many do not, and then
// it is sent twice.
const wholeUpload = 1 << 20

// upload writes a blob. The specification lets a registry take it with the
// first request; one that does not answers with where to send it. What is
// large is looked for first.
func (c *Client) upload(ctx context.Context, repo name.Repository, content []byte) error {
	return c.uploadAs(ctx, repo, subject.Of(content), content)
}

// uploadAs writes a blob whose digest is known.
func (c *Client) uploadAs(ctx context.Context, repo name.Repository, digest subject.Digest, content []byte) error {
	var whole, plain bool
	c.know(repo, func(h *host) { whole, plain = h.wholeUploads, h.plainUploads })
	if len(content) > wholeUpload {
		there, err := c.hasBlob(ctx, repo, digest)
		if err != nil || there {
			return err
		}
	}
	var location *url.URL
	var err error
	if whole || !plain && len(content) <= wholeUpload {
		if location, err = c.uploadWhole(ctx, repo, digest, content); err != nil || location == nil {
			return err
		}
	}
	for try := 1; ; try++ {
		if location == nil {
			if location, err = c.beginUpload(ctx, repo); err != nil {
				return err
			}
		}
		// An upload that broke is begun anew: nobody knows how much came.
		if err = c.finishUpload(ctx, repo, location, digest, content); !mayPass(err) || try == tries || ctx.Err() != nil {
			return err
		}
		location = nil
	}
}

func (c *Client) hasBlob(ctx context.Context, repo name.Repository, digest subject.Digest) (bool, error) {
	response, err := c.do(ctx, repo, transport.PushScope, http.MethodHead, "blobs/"+digest.String(), nil, nil)
	if err != nil {
		return false, err
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK, nil // else the upload says why
}

// uploadWhole sends a blob with one request, and gives where else to send it
// when the registry did not take it.
func (c *Client) uploadWhole(ctx context.Context, repo name.Repository, digest subject.Digest, content []byte) (*url.URL, error) {
	response, err := c.do(ctx, repo, transport.PushScope, http.MethodPost, "blobs/uploads/?digest="+url.QueryEscape(digest.String()),
		map[string]string{"Content-Type": "application/octet-stream"}, content)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusCreated:
		c.know(repo, func(h *host) { h.wholeUploads = true })
		return nil, stored(response, repo, digest)
	case http.StatusAccepted:
		c.know(repo, func(h *host) { h.plainUploads = true })
		return uploadLocation(response, repo)
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusLengthRequired,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		// It may not know this way of uploading; the other one tells.
		location, err := c.beginUpload(ctx, repo)
		if err == nil {
			c.know(repo, func(h *host) { h.plainUploads = true })
		}
		return location, err
	}
	return nil, answer(response, "uploading to "+repo.Name())
}

// stored holds a registry to the digest of what it says that it stored.
func stored(response *http.Response, repo name.Repository, digest subject.Digest) error {
	said := response.Header.Get("Docker-Content-Digest")
	if got, err := subject.Parse(said); err == nil && got.Algorithm() == digest.Algorithm() && got != digest {
		return fmt.Errorf("uploading to %s: the registry stored %s instead of %s", repo.Name(), got, digest)
	}
	return nil
}

func (c *Client) beginUpload(ctx context.Context, repo name.Repository) (*url.URL, error) {
	response, err := c.do(ctx, repo, transport.PushScope, http.MethodPost, "blobs/uploads/", nil, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return nil, answer(response, "beginning an upload to "+repo.Name())
	}
	return uploadLocation(response, repo)
}

func uploadLocation(response *http.Response, repo name.Repository) (*url.URL, error) {
	location, err := response.Request.URL.Parse(response.Header.Get("Location"))
	if err != nil || response.Header.Get("Location") == "" {
		return nil, fmt.Errorf("beginning an upload to %s: the registry sent no usable Location", repo.Name())
	}
	return location, nil
}

func (c *Client) finishUpload(ctx context.Context, repo name.Repository, location *url.URL, digest subject.Digest, content []byte) error {
	query := location.Query()
	query.Set("digest", digest.String())
	target := *location
	target.RawQuery = query.Encode()
	response, err := c.send(ctx, repo, transport.PushScope, http.MethodPut, target.String(), map[string]string{"Content-Type": "application/octet-stream"}, content)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return answer(response, "uploading to "+repo.Name())
	}
	return stored(response, repo, digest)
}

// putReferrer writes a manifest that refers to another; listed says that the
// registry lists it among that one's referrers.
func (c *Client) putReferrer(ctx context.Context, repo name.Repository, about, digest subject.Digest, content []byte) (listed bool, err error) {
	for try := 1; ; try++ {
		said, err := c.putManifest(ctx, repo, digest.String(), string(types.OCIManifestSchema1), content, "")
		if try == tries || !mayPass(err) || ctx.Err() != nil {
			return said == about.String(), err
		}
		if err := sleep(ctx, time.Duration(try)*200*time.Millisecond); err != nil {
			return false, err
		}
	}
}

// putManifest writes a manifest, and gives what the registry says of the
// subject that it refers to. condition asks for the write only if the tag still
// is what it was ("*": is not there): registries that know If-Match answer
// 412, which is errLost, and others ignore it.
func (c *Client) putManifest(ctx context.Context, repo name.Repository, which, mediaType string, content []byte, condition string) (about string, err error) {
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
		return "", err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusPreconditionFailed && condition != "":
		return "", errLost
	case response.StatusCode == http.StatusCreated || response.StatusCode == http.StatusOK || response.StatusCode == http.StatusAccepted:
		return response.Header.Get("OCI-Subject"), stored(response, repo, subject.Of(content))
	}
	return "", answer(response, "pushing "+repo.Name()+" "+which)
}
