package oci

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

const (
	bundleType        = "application/vnd.dev.sigstore.bundle.v0.3+json"
	bundlePrefix      = "application/vnd.dev.sigstore.bundle"
	emptyType         = "application/vnd.oci.empty.v1+json"
	simpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json"
	envelopeType      = "application/vnd.dsse.envelope.v1+json"
	signatureKey      = "dev.cosignproject.cosign/signature"
	certificateKey    = "dev.sigstore.cosign/certificate"
	chainKey          = "dev.sigstore.cosign/chain"
	logEntryKey       = "dev.sigstore.cosign/bundle"
	timestampKey      = "dev.sigstore.cosign/rfc3161timestamp"
	parallel          = 8
)

// descriptor is an OCI descriptor with all of its fields, since lists that
// others wrote are written again with one more.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Size         int64             `json:"size"`
	Digest       subject.Digest    `json:"digest"`
	ArtifactType string            `json:"artifactType,omitempty"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Data         json.RawMessage   `json:"data,omitempty"`
	Platform     json.RawMessage   `json:"platform,omitempty"`
}

// imageManifest is an OCI image manifest.
type imageManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// imageIndex is an OCI image index.
type imageIndex struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Evidence lists what is stored about a digest, in both layouts: bundles that
// refer to it, by the referrers API or the fallback tag, and the layers of its
// ".sig" and ".att" tags. Nothing is left out in silence: an answer that is
// not understood, a listing over a bound, a piece that is listed and gone are
// errors. A piece that is too large to read, or not of its form, comes back
// without content, for trust to reject by name. The order is the same for the
// same content.
func (c *Client) Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return nil, err
	}
	var referrers, signatures, attestations []trust.Evidence
	total, shared := ctx.Value(budgetKey{}).(*budget)
	if !shared {
		total = &budget{}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		referrers, err = c.referrerEvidence(gctx, repo, digest, total)
		return err
	})
	group.Go(func() (err error) {
		signatures, err = c.tagEvidence(gctx, repo, digest, "sig", total)
		return err
	})
	group.Go(func() (err error) {
		attestations, err = c.tagEvidence(gctx, repo, digest, "att", total)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("listing the evidence on %s@%s: %w", repository, digest, err)
	}
	all := slices.Concat(referrers, signatures, attestations)
	slices.SortStableFunc(all, func(a, b trust.Evidence) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Digest.String(), b.Digest.String()))
	})
	return all, nil
}

// Together makes everything that Evidence reads under the returned context
// count against one bound, limit.EvidenceTotal: one decision may be about many
// digests.
func Together(ctx context.Context) context.Context {
	return context.WithValue(ctx, budgetKey{}, &budget{})
}

type budgetKey struct{}

// budget counts the bytes of evidence.
type budget struct{ used atomic.Int64 }

func (c *Client) referrerEvidence(ctx context.Context, repo name.Repository, digest subject.Digest, total *budget) ([]trust.Evidence, error) {
	list, err := c.referrers(ctx, repo, digest)
	if err != nil {
		return nil, err
	}
	pieces := make([]*trust.Evidence, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, d := range list {
		// Older cosigns write no, or the empty, artifact type into fallback
		// indexes; then the manifest itself says what it is.
		if !strings.HasPrefix(d.ArtifactType, bundlePrefix) && d.ArtifactType != "" && d.ArtifactType != emptyType {
			continue
		}
		group.Go(func() (err error) {
			pieces[i], err = c.referrer(ctx, repo, d, total)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var evidence []trust.Evidence
	for _, piece := range pieces {
		if piece != nil {
			evidence = append(evidence, *piece)
		}
	}
	return evidence, nil
}

// referrer reads one bundle; nil is a referrer of another kind.
func (c *Client) referrer(ctx context.Context, repo name.Repository, d descriptor, total *budget) (*trust.Evidence, error) {
	if d.Digest.IsZero() {
		return nil, errors.New("the list of referrers has an entry without a digest")
	}
	source := "referrer " + d.Digest.String()
	fetched, err := c.manifest(ctx, repo, d.Digest.String())
	if IsNotFound(err) {
		return nil, fmt.Errorf("%s is listed and gone: %w", source, err)
	}
	if err != nil {
		return nil, err
	}
	var m imageManifest
	err = json.Unmarshal(fetched.content, &m) // what it could read is there also with an error
	isBundle := err == nil && len(m.Layers) == 1 && strings.HasPrefix(m.Layers[0].MediaType, bundlePrefix)
	if !isBundle && !strings.HasPrefix(m.ArtifactType, bundlePrefix) && !strings.HasPrefix(d.ArtifactType, bundlePrefix) {
		return nil, nil
	}
	piece := &trust.Evidence{Digest: d.Digest, Source: source, Form: trust.Bundle}
	if m.Subject != nil {
		piece.Attached = m.Subject.Digest
	}
	if !isBundle {
		piece.Source += " (has no bundle in it)"
		return piece, nil
	}
	return piece, c.fill(ctx, repo, m.Layers[0], piece, total)
}

// fill reads a blob into a piece of evidence.
func (c *Client) fill(ctx context.Context, repo name.Repository, layer descriptor, piece *trust.Evidence, total *budget) error {
	if layer.Size > limit.Evidence || layer.Size < 0 {
		piece.Source += fmt.Sprintf(" (over the bound of %d bytes, not read)", limit.Evidence)
		return nil
	}
	if total.used.Add(layer.Size) > limit.EvidenceTotal {
		return &limit.Error{What: "all evidence together", Bound: limit.EvidenceTotal, Unit: "bytes"}
	}
	content, err := c.blob(ctx, repo, layer)
	var size *sizeError
	if errors.As(err, &size) {
		if total.used.Add(size.extra) > limit.EvidenceTotal {
			return &limit.Error{What: "all evidence together", Bound: limit.EvidenceTotal, Unit: "bytes"}
		}
		piece.Source += " (has another size than its manifest says, not read)"
		return nil
	}
	if IsNotFound(err) {
		return fmt.Errorf("%s is listed and gone: %w", piece.Source, err)
	}
	piece.Content = content
	return err
}

// sizeError says that a blob is the right one, and its descriptor has another
// size; extra is how many bytes were read beyond that.
type sizeError struct{ extra int64 }

// Error says what is wrong.
func (*sizeError) Error() string { return "its descriptor has another size" }

// blob reads a blob of a known size and digest.
func (c *Client) blob(ctx context.Context, repo name.Repository, d descriptor) ([]byte, error) {
	response, err := c.do(ctx, repo, transport.PullScope, http.MethodGet, "blobs/"+d.Digest.String(), nil, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	what := repo.Name() + " blob " + d.Digest.String()
	if response.StatusCode != http.StatusOK {
		return nil, answer(response, what)
	}
	hash := sha256.New()
	body := io.TeeReader(response.Body, hash)
	content, err := limit.ReadAll(body, what, d.Size)
	var over *limit.Error
	if err != nil && !errors.As(err, &over) {
		return nil, err
	}
	if err == nil && int64(len(content)) == d.Size {
		if got := subject.Of(content); got != d.Digest {
			return nil, fmt.Errorf("%s: the registry sent %d bytes with digest %s", what, len(content), got)
		}
		return content, nil
	}
	// Either the registry sent something else, or it sent the blob, and what
	// is wrong is the manifest that anybody may have pushed.
	rest, readErr := io.Copy(io.Discard, io.LimitReader(body, limit.Evidence))
	if readErr != nil {
		return nil, fmt.Errorf("%s: %w", what, readErr)
	}
	if hex.EncodeToString(hash.Sum(nil)) == d.Digest.Hex() {
		return nil, &sizeError{extra: rest}
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s: the registry sent %d bytes instead of %d", what, len(content), d.Size)
}

// fallbackTag is where referrers are listed on registries without the API.
func fallbackTag(digest subject.Digest) string {
	return digest.Algorithm() + "-" + digest.Hex()
}

// referrers lists what refers to a digest, over all pages.
func (c *Client) referrers(ctx context.Context, repo name.Repository, digest subject.Digest) ([]descriptor, error) {
	list, supported, err := c.referrersAPI(ctx, repo, digest)
	if err != nil || supported {
		return list, err
	}
	index, _, err := c.index(ctx, repo, fallbackTag(digest))
	if err != nil {
		return nil, err
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
	content, err := limit.ReadAll(response.Body, what, limit.Manifest)
	if err != nil {
		return imageIndex{}, "", err
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

// tagEvidence reads the layers of a ".sig" or ".att" tag.
func (c *Client) tagEvidence(ctx context.Context, repo name.Repository, digest subject.Digest, suffix string, total *budget) ([]trust.Evidence, error) {
	tag := fallbackTag(digest) + "." + suffix
	m, _, err := c.attachments(ctx, repo, tag)
	if err != nil {
		return nil, err
	}
	pieces := make([]*trust.Evidence, len(m.Layers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, layer := range m.Layers {
		piece := &trust.Evidence{Digest: layer.Digest, Source: fmt.Sprintf("tag %s layer %d", tag, i+1), Attached: digest,
			Certificate: layer.Annotations[certificateKey], Chain: layer.Annotations[chainKey],
			LogEntry: layer.Annotations[logEntryKey], Timestamp: layer.Annotations[timestampKey]}
		switch {
		case suffix == "sig" && layer.MediaType == simpleSigningType:
			piece.Form, piece.Signature = trust.SimpleSigning, layer.Annotations[signatureKey]
		case suffix == "att" && layer.MediaType == envelopeType:
			piece.Form = trust.Envelope
		default:
			continue
		}
		pieces[i] = piece
		group.Go(func() error { return c.fill(ctx, repo, layer, piece, total) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var evidence []trust.Evidence
	for _, piece := range pieces {
		if piece != nil {
			evidence = append(evidence, *piece)
		}
	}
	return evidence, nil
}

// attachments reads a ".sig" or ".att" manifest; one that is not there is
// empty, with no digest.
func (c *Client) attachments(ctx context.Context, repo name.Repository, tag string) (imageManifest, subject.Digest, error) {
	fetched, err := c.manifest(ctx, repo, tag)
	if IsNotFound(err) {
		return imageManifest{}, subject.Digest{}, nil
	}
	if err != nil {
		return imageManifest{}, subject.Digest{}, err
	}
	var m imageManifest
	if err := json.Unmarshal(fetched.content, &m); err != nil {
		return imageManifest{}, subject.Digest{}, fmt.Errorf("%s:%s cannot be read: %w", repo, tag, err)
	}
	if m.SchemaVersion != 2 {
		return imageManifest{}, subject.Digest{}, fmt.Errorf("%s:%s cannot be read: its schemaVersion is %d, not 2", repo, tag, m.SchemaVersion)
	}
	if !types.MediaType(fetched.mediaType).IsImage() {
		return imageManifest{}, subject.Digest{}, fmt.Errorf("%s:%s should hold signatures or attestations and is a %s", repo, tag, fetched.mediaType)
	}
	if len(m.Layers) > limit.AttachmentLayers {
		return imageManifest{}, subject.Digest{}, &limit.Error{What: repo.Name() + ":" + tag, Bound: limit.AttachmentLayers, Unit: "layers"}
	}
	return m, fetched.digest, nil
}
