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
	// experimentalType is the artifact type of a manifest with simple-signing
	// layers that refers to an image, as cosign's experimental mode for OCI 1.1
	// wrote it.
	experimentalType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	// parallel is how many requests one listing of evidence has under way.
	parallel = 32
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
	pieces := make([][]trust.Evidence, len(list))
	var layers atomic.Int64
	seen := map[string]bool{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, d := range list {
		// Older cosigns write no, or the empty, artifact type into fallback
		// indexes; then the manifest itself says what it is. So it is where a
		// registry lists the configuration's type instead.
		switch {
		case strings.HasPrefix(d.ArtifactType, bundlePrefix), d.ArtifactType == experimentalType, d.ArtifactType == "", d.ArtifactType == emptyType:
		default:
			continue
		}
		key := d.Digest.String() + d.ArtifactType
		if seen[key] {
			continue // listed twice is there once
		}
		seen[key] = true
		group.Go(func() (err error) {
			pieces[i], err = c.referrer(ctx, repo, d, total, &layers)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(pieces...), nil
}

// referrer reads one bundle, or the signatures of cosign's experimental mode;
// nil is a referrer of another kind.
func (c *Client) referrer(ctx context.Context, repo name.Repository, d descriptor, total *budget, layers *atomic.Int64) ([]trust.Evidence, error) {
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
	var attached subject.Digest
	if m.Subject != nil {
		attached = m.Subject.Digest
	}
	if d.ArtifactType == experimentalType || m.ArtifactType == experimentalType || m.Config.MediaType == experimentalType {
		whole := trust.Evidence{Digest: d.Digest, Source: source, Attached: attached, Form: trust.SimpleSigning}
		switch {
		case err != nil:
			whole.Source += " (has no signatures in it)"
			return []trust.Evidence{whole}, nil
		case layers.Add(int64(len(m.Layers))) > limit.AttachmentLayers:
			// A signature that is not looked at can only be missed.
			whole.Source += fmt.Sprintf(" (more than %d signatures refer to the image, not read)", limit.AttachmentLayers)
			return []trust.Evidence{whole}, nil
		}
		return c.layers(ctx, repo, m.Layers, whole, total)
	}
	isBundle := err == nil && len(m.Layers) == 1 && strings.HasPrefix(m.Layers[0].MediaType, bundlePrefix)
	if !isBundle && !strings.HasPrefix(m.ArtifactType, bundlePrefix) && !strings.HasPrefix(d.ArtifactType, bundlePrefix) {
		return nil, nil
	}
	piece := trust.Evidence{Digest: d.Digest, Source: source, Attached: attached, Form: trust.Bundle}
	if !isBundle {
		piece.Source += " (has no bundle in it)"
		return []trust.Evidence{piece}, nil
	}
	err = c.fill(ctx, repo, m.Layers[0], &piece, total)
	return []trust.Evidence{piece}, err
}

// fill reads a blob into a piece of evidence.
func (c *Client) fill(ctx context.Context, repo name.Repository, layer descriptor, piece *trust.Evidence, total *budget) error {
	if layer.Size > limit.Evidence || layer.Size < 0 {
		piece.Source += fmt.Sprintf(" (over the bound of %d bytes, not read)", limit.Evidence)
		return nil
	}
	if layer.Digest.Algorithm() != "sha256" {
		piece.Source += " (named by another digest than SHA-256, not read)"
		return nil
	}
	content, err := c.blob(ctx, repo, layer, total)
	var size *sizeError
	if errors.As(err, &size) {
		piece.Source += " (has another size than its manifest says, not read)"
		return nil
	}
	if IsNotFound(err) {
		return fmt.Errorf("%s is listed and gone: %w", piece.Source, err)
	}
	piece.Content = content
	return err
}

// sizeError says that a descriptor has another size than its blob.
type sizeError struct{}

// Error says what is wrong.
func (*sizeError) Error() string { return "its descriptor has another size" }

// charge counts n bytes more.
func (b *budget) charge(n int64) error {
	if b.used.Add(n) > limit.EvidenceTotal {
		return &limit.Error{What: "all evidence together", Bound: limit.EvidenceTotal, Unit: "bytes"}
	}
	return nil
}

// blob reads a blob of a known size and digest. What is sent counts, and not
// what a descriptor says.
func (c *Client) blob(ctx context.Context, repo name.Repository, d descriptor, total *budget) ([]byte, error) {
	response, err := c.do(ctx, repo, transport.PullScope, http.MethodGet, "blobs/"+d.Digest.String(), nil, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	what := repo.Name() + " blob " + d.Digest.String()
	if response.StatusCode != http.StatusOK {
		return nil, answer(response, what)
	}
	sent := response.ContentLength
	if sent > d.Size+limit.Told {
		return nil, &sizeError{} // far too long to be read for nothing, and no blob of this size that was cut off
	}
	if sent < 0 {
		sent = d.Size
	}
	if err := total.charge(min(sent, d.Size)); err != nil {
		return nil, err
	}
	hash := sha256.New()
	body := io.TeeReader(response.Body, hash)
	var content []byte
	if response.ContentLength == d.Size && d.Size <= limit.Evidence {
		// The registry vouches for the size, so that the room can be made at once.
		content = make([]byte, d.Size)
		if _, err := io.ReadFull(body, content); err != nil {
			return nil, fmt.Errorf("reading %s: %w", what, err)
		}
		if n, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1)); err != nil || n > 0 {
			return nil, fmt.Errorf("reading %s: it does not end after %d bytes: %w", what, d.Size, cmp.Or(err, error(&limit.Error{What: what, Bound: d.Size, Unit: "bytes"})))
		}
	} else if content, err = limit.ReadAll(body, what, d.Size); err != nil {
		var over *limit.Error
		if !errors.As(err, &over) {
			return nil, err
		}
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if err == nil && int64(len(content)) == d.Size {
		if sum != d.Digest.Hex() {
			return nil, fmt.Errorf("%s: the registry sent %d bytes with digest sha256:%s", what, len(content), sum)
		}
		return content, nil
	}
	// Either the registry sent something else, or it sent the blob, and what
	// is wrong is the manifest that anybody may have pushed.
	if _, err := io.Copy(io.Discard, io.LimitReader(body, limit.Told)); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if hex.EncodeToString(hash.Sum(nil)) == d.Digest.Hex() {
		total.used.Add(-min(sent, d.Size)) // none of it is kept
		return nil, &sizeError{}
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s: the registry sent %d bytes instead of %d", what, len(content), d.Size)
}

// tagEvidence reads the layers of a ".sig" or ".att" tag.
func (c *Client) tagEvidence(ctx context.Context, repo name.Repository, digest subject.Digest, suffix string, total *budget) ([]trust.Evidence, error) {
	tag := fallbackTag(digest) + "." + suffix
	m, _, err := c.attachments(ctx, repo, tag)
	if err != nil {
		return nil, err
	}
	form := trust.SimpleSigning
	if suffix == "att" {
		form = trust.Envelope
	}
	return c.layers(ctx, repo, m.Layers, trust.Evidence{Source: "tag " + tag, Attached: digest, Form: form}, total)
}

// layers reads the layers that are of a form. whole says where they are.
func (c *Client) layers(ctx context.Context, repo name.Repository, list []descriptor, whole trust.Evidence, total *budget) ([]trust.Evidence, error) {
	pieces := make([]*trust.Evidence, len(list))
	seen := map[layerPiece]bool{}
	first := map[descriptorKey]int{} // one payload may have been signed by several
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, layer := range list {
		piece := &trust.Evidence{Digest: layer.Digest, Source: fmt.Sprintf("%s layer %d", whole.Source, i+1), Attached: whole.Attached, Form: whole.Form,
			Certificate: layer.Annotations[certificateKey], Chain: layer.Annotations[chainKey],
			LogEntry: layer.Annotations[logEntryKey], Timestamp: layer.Annotations[timestampKey]}
		switch {
		case whole.Form == trust.SimpleSigning && layer.MediaType == simpleSigningType:
			piece.Signature = layer.Annotations[signatureKey]
		case whole.Form == trust.Envelope && layer.MediaType == envelopeType:
		default:
			continue
		}
		// The same piece again is work for nothing.
		one := pieceOf(layer)
		if seen[one] {
			continue
		}
		seen[one] = true
		pieces[i] = piece
		key := descriptorKey{layer.Digest, layer.Size}
		if _, again := first[key]; again {
			continue
		}
		first[key] = i
		group.Go(func() error { return c.fill(ctx, repo, layer, piece, total) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var evidence []trust.Evidence
	for i, piece := range pieces {
		if piece == nil {
			continue
		}
		if one := first[descriptorKey{list[i].Digest, list[i].Size}]; one != i {
			piece.Content = pieces[one].Content
			if err := total.charge(int64(len(piece.Content))); err != nil { // each is read and verified by itself
				return nil, err
			}
			_, note, _ := strings.Cut(pieces[one].Source, " (") // why it was not read
			if note != "" {
				piece.Source += " (" + note
			}
		}
		evidence = append(evidence, *piece)
	}
	return evidence, nil
}

// descriptorKey names a blob and the size that it is said to have.
type descriptorKey struct {
	digest subject.Digest
	size   int64
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
