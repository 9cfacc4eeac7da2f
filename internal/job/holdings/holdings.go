// Package holdings shows what is attached to an image: the evidence on it, on
// the manifests of an index, and on that evidence.
//
// Entry point is [Of]. Everything is shown, of any kind, also what cannot be
// read and what is broken. Nothing is verified and nothing is decided: what a
// piece says of itself and of who signed it is called what it claims.
package holdings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// Source is where an image is. What it gives is checked against its digest.
type Source interface {
	// Manifest reads a manifest by tag or digest; oci.IsNotFound tells that
	// there is none, an *oci.ContentError that it cannot be understood.
	Manifest(ctx context.Context, which string) (oci.Manifest, error)
	// Referrers lists what says that it refers to a digest.
	Referrers(ctx context.Context, digest subject.Digest) ([]oci.Descriptor, error)
	// Blob reads a blob.
	Blob(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error)
}

// Node is an image, or an index with its manifests.
type Node struct {
	Digest    subject.Digest `json:"digest"`
	MediaType string         `json:"mediaType"`
	// Size is the manifest's, in bytes. Platform is what the index says.
	Size     int64  `json:"size"`
	Platform string `json:"platform,omitempty"`
	// Missing says that the index names it and the source does not have it.
	Missing   bool    `json:"missing,omitempty"`
	Evidence  []Piece `json:"evidence"`
	Manifests []Node  `json:"manifests,omitempty"`
}

// Piece is one thing that is attached.
type Piece struct {
	// Place is "referrer", or the suffix of the tag that it is a layer of:
	// "sig", "att" or "sbom".
	Place string `json:"place"`
	// Digest is that of a referrer's manifest, or of the layer.
	Digest subject.Digest `json:"digest"`
	// Form is empty where it is no evidence that assay verifies. ArtifactType is
	// a referrer's, or the layer's media type; Size counts the bytes of what is
	// in it.
	Form         trust.Form `json:"form,omitempty"`
	ArtifactType string     `json:"artifactType,omitempty"`
	Size         int64      `json:"size"`
	// Claims are unverified.
	Claims Claims `json:"claimsUnverified,omitzero"`
	// Problem says in words why it could not be read.
	Problem string `json:"problem,omitempty"`
	// Evidence is what is attached to it.
	Evidence []Piece `json:"evidence,omitempty"`
}

// Claims are what a piece says of itself. Whoever pushed it could write
// anything.
type Claims struct {
	PredicateType string `json:"predicateType,omitempty"`
	// KeyHint names a public key, as a Sigstore bundle does.
	KeyHint string `json:"keyHint,omitempty"`
	// Subject and Issuer are those of the certificate in it.
	Subject string `json:"certificateSubject,omitempty"`
	Issuer  string `json:"certificateIssuer,omitempty"`
}

// Of lists what is attached to the manifest with a digest.
func Of(ctx context.Context, source Source, image subject.Digest) (Node, error) {
	if source == nil || image.IsZero() {
		return Node{}, errors.New("holdings: a source and an image are needed")
	}
	m, err := source.Manifest(ctx, image.String())
	if err != nil {
		return Node{}, err
	}
	return (&look{source: source}).node(ctx, m, 0)
}

const parallel = 8

// look is one listing.
type look struct {
	source    Source
	manifests atomic.Int64
	read      atomic.Int64 // bytes of evidence
}

func (l *look) meet(depth int) error {
	if l.manifests.Add(1) > limit.CopiedManifests {
		return &limit.Error{What: "the image with its evidence", Bound: limit.CopiedManifests, Unit: "manifests"}
	}
	if depth > limit.EvidenceDepth {
		return &limit.Error{What: "the nesting of indexes and of evidence on evidence", Bound: limit.EvidenceDepth, Unit: "levels"}
	}
	return nil
}

func (l *look) node(ctx context.Context, m oci.Manifest, depth int) (Node, error) {
	if err := l.meet(depth); err != nil {
		return Node{}, err
	}
	n := Node{Digest: m.Digest, MediaType: m.MediaType, Size: int64(len(m.Content)), Manifests: make([]Node, len(m.Manifests))}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	group.Go(func() (err error) {
		n.Evidence, err = l.evidence(ctx, m.Digest, depth)
		return err
	})
	for i, d := range m.Manifests {
		group.Go(func() error {
			child, err := l.source.Manifest(ctx, d.Digest.String())
			if oci.IsNotFound(err) {
				n.Manifests[i] = Node{Digest: d.Digest, MediaType: d.MediaType, Size: d.Size, Platform: d.PlatformName(), Missing: true, Evidence: []Piece{}}
				return nil
			}
			if err != nil {
				return err
			}
			n.Manifests[i], err = l.node(ctx, child, depth+1)
			n.Manifests[i].Platform = d.PlatformName()
			return err
		})
	}
	return n, group.Wait()
}

// evidence lists what is attached to a digest: referrers first, then the tags.
func (l *look) evidence(ctx context.Context, about subject.Digest, depth int) ([]Piece, error) {
	suffixes := []string{"sig", "att", "sbom"}
	lists := make([][]Piece, 1+len(suffixes))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		lists[0], err = l.referrers(ctx, about, depth)
		return err
	})
	for i, suffix := range suffixes {
		group.Go(func() (err error) {
			lists[i+1], err = l.layers(ctx, about, suffix, depth)
			return err
		})
	}
	err := group.Wait()
	return slices.Concat([]Piece{}, lists[0], lists[1], lists[2], lists[3]), err
}

func (l *look) referrers(ctx context.Context, about subject.Digest, depth int) ([]Piece, error) {
	list, err := l.source.Referrers(ctx, about)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b oci.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	list = slices.CompactFunc(list, func(a, b oci.Descriptor) bool { return a.Digest == b.Digest })
	pieces := make([]Piece, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, d := range list {
		group.Go(func() (err error) {
			pieces[i], err = l.referrer(ctx, about, d, depth+1)
			return err
		})
	}
	return pieces, group.Wait()
}

func (l *look) referrer(ctx context.Context, about subject.Digest, d oci.Descriptor, depth int) (Piece, error) {
	p := Piece{Place: "referrer", Digest: d.Digest, ArtifactType: d.ArtifactType}
	if err := l.meet(depth); err != nil {
		return p, err
	}
	m, err := l.source.Manifest(ctx, d.Digest.String())
	if problem, err := problemOf(err); problem != "" || err != nil {
		p.Problem = problem
		return p, err
	}
	p.ArtifactType = m.ArtifactType
	for _, layer := range m.Layers() {
		p.Size += layer.Size
	}
	p.Claims.PredicateType = m.Annotations["dev.sigstore.bundle.predicateType"]
	if m.Subject != about {
		// It may be evidence on something else, and so be listed for ever.
		p.Problem, p.Claims = "it is listed here and does not refer to this", p.Claims.clipped()
		return p, nil
	}
	if layers := m.Layers(); len(layers) == 1 && strings.HasPrefix(layers[0].MediaType, bundlePrefix) {
		p.Form = trust.Bundle
		content, problem, err := l.content(ctx, layers[0])
		if err != nil {
			return p, err
		}
		if p.Problem = problem; problem == "" {
			p.Claims, p.Problem = bundleClaims(content, p.Claims)
		}
	}
	p.Claims = p.Claims.clipped()
	p.Evidence, err = l.evidence(ctx, m.Digest, depth)
	return p, err
}

// problemOf tells what a piece is like from what kept it from being read.
func problemOf(err error) (string, error) {
	var wrong *oci.ContentError
	switch {
	case oci.IsNotFound(err):
		return "it is listed and gone", nil
	case errors.As(err, &wrong):
		return wrong.Error(), nil
	}
	return "", err
}

// content reads what is in a piece, up to the bounds.
func (l *look) content(ctx context.Context, d oci.Descriptor) (content []byte, problem string, err error) {
	if d.Size > limit.Evidence || l.read.Add(d.Size) > limit.EvidenceTotal {
		return nil, fmt.Sprintf("it has %d bytes, which is over a bound (%d each, %d together), and was not read", d.Size, limit.Evidence, int64(limit.EvidenceTotal)), nil
	}
	r, err := l.source.Blob(ctx, d)
	if err == nil {
		defer r.Close()
		content, err = limit.ReadAll(r, d.Digest.String(), limit.Evidence)
	}
	problem, err = problemOf(err)
	return content, problem, err
}

// layers lists the layers of a tag of cosign's older layout.
func (l *look) layers(ctx context.Context, about subject.Digest, suffix string, depth int) ([]Piece, error) {
	tag := oci.AttachmentTag(about, suffix)
	m, err := l.source.Manifest(ctx, tag)
	if oci.IsNotFound(err) {
		return nil, nil
	}
	if problem, err := problemOf(err); problem != "" || err != nil {
		return []Piece{{Place: suffix, Digest: about, Problem: "the tag " + tag + " cannot be read: " + problem}}, err
	}
	var pieces []Piece
	for _, layer := range m.Layers() {
		p := Piece{Place: suffix, Digest: layer.Digest, ArtifactType: layer.MediaType, Size: layer.Size}
		switch {
		case suffix == "sig" && layer.MediaType == simpleSigningType:
			p.Form = trust.SimpleSigning
			p.Claims = certificateClaims(layer.Annotations["dev.sigstore.cosign/certificate"], p.Claims)
		case suffix == "att" && layer.MediaType == envelopeType:
			p.Form = trust.Envelope
			p.Claims = certificateClaims(layer.Annotations["dev.sigstore.cosign/certificate"], p.Claims)
			if p.Claims.PredicateType = layer.Annotations["predicateType"]; p.Claims.PredicateType == "" {
				content, problem, err := l.content(ctx, layer)
				if err != nil {
					return nil, err
				}
				p.Problem = cmp.Or(problem, p.Problem)
				p.Claims.PredicateType = predicateTypeOf(content)
			}
		}
		p.Claims = p.Claims.clipped()
		pieces = append(pieces, p)
	}
	if suffix == "sbom" && len(pieces) > 0 {
		if err := l.meet(depth + 1); err != nil {
			return nil, err
		}
		pieces[0].Evidence, err = l.evidence(ctx, m.Digest, depth+1)
	}
	return pieces, err
}
