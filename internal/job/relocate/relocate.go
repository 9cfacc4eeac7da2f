// Package relocate moves an image with everything that is known about it from
// one place to another: registries, and OCI image layouts on disk for where
// there is no network between them.
//
// Entry point is [Copy]. It moves manifests byte for byte, so that every digest
// stays what it was: the image, or the index with all of its manifests, and on
// each of them the evidence: what refers to it by the referrers API or the
// fallback tag, of any kind, and cosign's ".sig", ".att" and ".sbom" tags; and
// the evidence on that evidence. What the destination has is kept and not sent
// again, so that a copy that was interrupted goes on where it ended. The tag is
// set last: it never names what is not whole.
//
// Nothing is verified but digests: evidence that is worthless arrives as
// worthless as it was.
package relocate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// Source is where an image is. Manifests and blobs are checked against their
// digests by who gives them.
type Source interface {
	// Manifest reads a manifest by tag or digest; oci.IsNotFound tells that
	// there is none.
	Manifest(ctx context.Context, which string) (oci.Manifest, error)
	// Referrers lists what says that it refers to a digest.
	Referrers(ctx context.Context, digest subject.Digest) ([]oci.Descriptor, error)
	// Origin is where the bytes of a blob come from.
	Origin(ctx context.Context, d oci.Descriptor) oci.Origin
}

// Destination is where an image goes.
type Destination interface {
	Manifest(ctx context.Context, which string) (oci.Manifest, error)
	Referrers(ctx context.Context, digest subject.Digest) ([]oci.Descriptor, error)
	Writer
}

// Writer is what a Destination takes.
type Writer interface {
	// PutBlob stores a blob that is not there yet.
	PutBlob(ctx context.Context, d oci.Descriptor, from oci.Origin) (oci.Transfer, error)
	// PutManifest stores a manifest by digest; again also where it is there.
	// listed says that what it refers to lists it now.
	PutManifest(ctx context.Context, m oci.Manifest, again bool) (how oci.Transfer, listed bool, err error)
	// List makes referrers findable that PutManifest did not list.
	List(ctx context.Context, about subject.Digest, referrers []oci.Descriptor) error
	// Merge makes a tag hold the layers of m beside those that it holds.
	Merge(ctx context.Context, tag string, m oci.Manifest) (added int, err error)
	// Name points a tag at m; was is what it was seen to mean, zero for
	// nothing.
	Name(ctx context.Context, m oci.Manifest, tag string, was subject.Digest) error
	// Publish does so with the image's tag, if there is one; the last call of a
	// copy.
	Publish(ctx context.Context, m oci.Manifest, tag string, was subject.Digest) error
}

// Order is what to copy where.
type Order struct {
	From Source
	// Image is the digest of what is copied.
	Image subject.Digest
	To    Destination
	// Tag is set at the destination; "" sets none.
	Tag string
	// Force moves a tag that points to something else, and replaces another
	// SBOM in a ".sbom" tag.
	Force bool
}

// TakenError says that a tag of the destination names something else.
type TakenError struct {
	Tag       string
	Was, Want subject.Digest
}

// Error names both.
func (e *TakenError) Error() string {
	return fmt.Sprintf("the tag %s is at the destination and means %s, not %s", e.Tag, e.Was, e.Want)
}

// Count says how pieces of content came to the destination.
type Count struct {
	Sent    int `json:"sent"`
	Mounted int `json:"mounted"`
	There   int `json:"alreadyThere"`
}

func (c *Count) add(how oci.Transfer) {
	switch how {
	case oci.Sent:
		c.Sent++
	case oci.Mounted:
		c.Mounted++
	case oci.There:
		c.There++
	}
}

// Piece is evidence that is at the destination now.
type Piece struct {
	// On is the digest that it is about.
	On subject.Digest `json:"on"`
	// Place is "referrer", or the suffix of the tag that it is in: "sig", "att"
	// or "sbom". Digest is the referrer's manifest, or the tag's at the source.
	Place  string         `json:"place"`
	Digest subject.Digest `json:"digest"`
	// ArtifactType is what a referrer says it is; Layers is how many pieces a
	// tag holds at the source.
	ArtifactType string `json:"artifactType,omitempty"`
	Layers       int    `json:"layers,omitempty"`
	// New says how many of them the destination did not have.
	New int `json:"new"`
}

// Report is what a copy did. Bytes counts what was sent.
type Report struct {
	Digest    subject.Digest `json:"digest"`
	Tag       string         `json:"tag,omitempty"`
	Moved     subject.Digest `json:"tagWas,omitzero"`
	Manifests Count          `json:"manifests"`
	Blobs     Count          `json:"blobs"`
	Bytes     int64          `json:"bytes"`
	Evidence  []Piece        `json:"evidence"`
	// Foreign are layers that are not for distribution, and stay where they
	// are. Skipped says in words what was listed as evidence and is none.
	Foreign []subject.Digest `json:"foreignLayers,omitempty"`
	Skipped []string         `json:"skipped,omitempty"`
}

// Copy copies an image and everything that is known about it. A *TakenError
// says that the tag is taken, before anything was written. After any error the
// tag is what it was.
func Copy(ctx context.Context, order Order) (Report, error) {
	if order.From == nil || order.To == nil || order.Image.IsZero() {
		return Report{}, errors.New("relocate: a source, an image and a destination are needed")
	}
	was, err := order.tagged(ctx)
	if err != nil {
		return Report{}, err
	}
	w := &walk{order: order, slots: make(chan struct{}, parallel), once: map[string]func() error{},
		report: Report{Digest: order.Image, Tag: order.Tag, Evidence: []Piece{}}}
	root, err := order.From.Manifest(ctx, order.Image.String())
	if err != nil {
		return Report{}, err
	}
	if err := w.whole(ctx, root, 0); err != nil {
		return Report{}, err
	}
	if err := order.To.Publish(ctx, root, order.Tag, was); err != nil {
		return Report{}, err
	}
	if was != root.Digest {
		w.report.Moved = was
	}
	w.report.sort()
	return w.report, nil
}

// tagged gives what the destination's tag means now.
func (o Order) tagged(ctx context.Context) (subject.Digest, error) {
	if o.Tag == "" {
		return subject.Digest{}, nil
	}
	now, err := o.To.Manifest(ctx, o.Tag)
	switch {
	case oci.IsNotFound(err):
		return subject.Digest{}, nil
	case err != nil:
		return subject.Digest{}, fmt.Errorf("looking at the destination's tag %s: %w", o.Tag, err)
	case now.Digest != o.Image && !o.Force:
		return subject.Digest{}, &TakenError{Tag: o.Tag, Was: now.Digest, Want: o.Image}
	}
	return now.Digest, nil
}

// parallel is how many pieces of content are on their way at once.
const parallel = 8

// walk is one copy.
type walk struct {
	order Order
	slots chan struct{}
	// manifests counts those that were come across.
	manifests atomic.Int64

	mutex  sync.Mutex
	once   map[string]func() error
	report Report
}

// meet counts a manifest.
func (w *walk) meet() error {
	if w.manifests.Add(1) > limit.CopiedManifests {
		return &limit.Error{What: "the image with its evidence", Bound: limit.CopiedManifests, Unit: "manifests"}
	}
	return nil
}

// single does something once; who comes later waits, and gets the same error.
func (w *walk) single(key string, do func() error) error {
	w.mutex.Lock()
	f := w.once[key]
	if f == nil {
		f = sync.OnceValue(do)
		w.once[key] = f
	}
	w.mutex.Unlock()
	return f()
}

// slot does one thing on the wire as soon as there is room for it.
func (w *walk) slot(ctx context.Context, do func() error) error {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-w.slots }()
	return do()
}

// note changes the report.
func (w *walk) note(change func(*Report)) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	change(&w.report)
}
