package relocate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// whole copies a manifest with all that it names and all that is about it.
func (w *walk) whole(ctx context.Context, m oci.Manifest, depth int) error {
	return w.single("whole "+m.Digest.String(), func() error {
		if depth > limit.EvidenceDepth {
			return &limit.Error{What: "the nesting of indexes and of evidence on evidence", Bound: limit.EvidenceDepth, Unit: "levels"}
		}
		if err := w.content(ctx, m, depth); err != nil {
			return err
		}
		if m.Subject.IsZero() { // a referrer is stored by who knows whether it is listed
			if err := w.slot(ctx, func() error {
				how, _, err := w.order.To.PutManifest(ctx, m, false)
				w.stored(m, how, err)
				return err
			}); err != nil {
				return err
			}
		} else if err := w.referrer(ctx, m); err != nil {
			return err
		}
		return w.evidence(ctx, m, depth)
	})
}

func (w *walk) stored(m oci.Manifest, how oci.Transfer, err error) {
	if err == nil {
		w.note(func(r *Report) {
			r.Manifests.add(how)
			if how == oci.Sent {
				r.Bytes += int64(len(m.Content))
			}
		})
	}
}

// content copies what a manifest names: the manifests of an index, with what
// is about them, or layers and a configuration.
func (w *walk) content(ctx context.Context, m oci.Manifest, depth int) error {
	if err := w.meet(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, d := range m.Manifests {
		group.Go(func() error {
			child, err := w.fetch(ctx, d.Digest.String())
			if oci.IsNotFound(err) {
				return fmt.Errorf("the index %s names %s (%s), which the source does not have: an index without all of its manifests is not copied", m.Digest.Short(), d.Digest, cmp.Or(d.PlatformName(), d.MediaType))
			}
			if err != nil {
				return err
			}
			return w.whole(ctx, child, depth+1)
		})
	}
	for _, d := range m.Blobs {
		group.Go(func() error { return w.blob(ctx, d) })
	}
	return group.Wait()
}

func (w *walk) fetch(ctx context.Context, which string) (m oci.Manifest, err error) {
	err = w.slot(ctx, func() error {
		m, err = w.order.From.Manifest(ctx, which)
		return err
	})
	return m, err
}

func (w *walk) blob(ctx context.Context, d oci.Descriptor) error {
	// The size is in the key: of two descriptors of one blob, one may lie.
	return w.single(fmt.Sprintf("blob %s %d", d.Digest, d.Size), func() error {
		if d.Foreign() {
			w.note(func(r *Report) { r.Foreign = append(r.Foreign, d.Digest) })
			return nil
		}
		return w.slot(ctx, func() error {
			how, err := w.order.To.PutBlob(ctx, d, w.order.From.Origin(ctx, d))
			if err != nil {
				return err
			}
			w.note(func(r *Report) {
				r.Blobs.add(how)
				if how == oci.Sent {
					r.Bytes += d.Size
				}
			})
			return nil
		})
	})
}

// referrer stores an image or a manifest of an index that itself refers to
// something, which may not be part of the copy.
func (w *walk) referrer(ctx context.Context, m oci.Manifest) error {
	return w.slot(ctx, func() error {
		how, listed, err := w.order.To.PutManifest(ctx, m, true)
		w.stored(m, how, err)
		if err != nil || listed {
			return err
		}
		return w.order.To.List(ctx, m.Subject, []oci.Descriptor{m.Descriptor()})
	})
}

// evidence copies what is about a manifest.
func (w *walk) evidence(ctx context.Context, m oci.Manifest, depth int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.referrers(ctx, m.Digest, depth) })
	for _, suffix := range []string{"sig", "att", "sbom"} {
		group.Go(func() error { return w.tag(ctx, m.Digest, suffix, depth) })
	}
	return group.Wait()
}

func (w *walk) referrers(ctx context.Context, about subject.Digest, depth int) error {
	var list, there []oci.Descriptor
	if err := w.slot(ctx, func() (err error) {
		if list, err = w.order.From.Referrers(ctx, about); err != nil || len(list) == 0 {
			return err
		}
		there, err = w.order.To.Referrers(ctx, about)
		return err
	}); err != nil || len(list) == 0 {
		return err
	}
	if depth == limit.EvidenceDepth {
		return &limit.Error{What: "the evidence on evidence", Bound: limit.EvidenceDepth, Unit: "levels"}
	}
	var mutex sync.Mutex
	var unlisted []oci.Descriptor
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, d := range once(list) {
		group.Go(func() error {
			m, err := w.fetch(gctx, d.Digest.String())
			if oci.IsNotFound(err) {
				return fmt.Errorf("%s is listed as a referrer of %s and gone: %w", d.Digest, about, err)
			}
			if err != nil {
				return err
			}
			if m.Subject != about {
				// Only a fallback tag can say so: anybody may have written it.
				w.note(func(r *Report) {
					r.Skipped = append(r.Skipped, fmt.Sprintf("%s is listed as a referrer of %s, and does not refer to it", d.Digest, about))
				})
				return nil
			}
			known := slices.ContainsFunc(there, func(t oci.Descriptor) bool { return t.Digest == m.Digest })
			listed, err := w.attach(gctx, m, depth+1, known)
			if err == nil && !listed {
				mutex.Lock()
				defer mutex.Unlock()
				unlisted = append(unlisted, m.Descriptor())
			}
			return err
		})
	}
	if err := group.Wait(); err != nil || len(unlisted) == 0 {
		return err
	}
	slices.SortFunc(unlisted, func(a, b oci.Descriptor) int { return cmp.Compare(a.Digest.String(), b.Digest.String()) })
	return w.slot(ctx, func() error { return w.order.To.List(ctx, about, unlisted) })
}

// once gives a list without its repetitions.
func once(list []oci.Descriptor) []oci.Descriptor {
	seen := map[subject.Digest]bool{}
	return slices.DeleteFunc(slices.Clone(list), func(d oci.Descriptor) bool {
		again := seen[d.Digest]
		seen[d.Digest] = true
		return again
	})
}

// attach copies a referrer with what is about it; known says that the
// destination lists it.
func (w *walk) attach(ctx context.Context, m oci.Manifest, depth int, known bool) (listed bool, err error) {
	if err := w.content(ctx, m, depth); err != nil {
		return false, err
	}
	err = w.slot(ctx, func() error {
		var how oci.Transfer
		how, listed, err = w.order.To.PutManifest(ctx, m, !known)
		w.stored(m, how, err)
		return err
	})
	if err != nil {
		return false, err
	}
	fresh := 1
	if known {
		fresh = 0
	}
	w.note(func(r *Report) {
		r.Evidence = append(r.Evidence, Piece{On: m.Subject, Place: "referrer", Digest: m.Digest, ArtifactType: m.ArtifactType, New: fresh})
	})
	return listed || known, w.evidence(ctx, m, depth)
}

// tag copies what cosign's older layout keeps about a digest.
func (w *walk) tag(ctx context.Context, about subject.Digest, suffix string, depth int) error {
	tag := oci.AttachmentTag(about, suffix)
	m, err := w.fetch(ctx, tag)
	if oci.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", tag, err)
	}
	if depth == limit.EvidenceDepth {
		return &limit.Error{What: "the evidence on evidence", Bound: limit.EvidenceDepth, Unit: "levels"}
	}
	if len(m.Manifests) > 0 || len(m.Blobs) == 0 {
		return fmt.Errorf("%s is a %s and should be a manifest with layers", tag, m.MediaType)
	}
	if len(m.Layers()) > limit.AttachmentLayers {
		return &limit.Error{What: tag, Bound: limit.AttachmentLayers, Unit: "layers"}
	}
	if err := w.content(ctx, m, depth+1); err != nil {
		return fmt.Errorf("%s: %w", tag, err)
	}
	piece := Piece{On: about, Place: suffix, Digest: m.Digest, Layers: len(m.Layers())}
	if suffix == "sbom" {
		// cosign signs such a document by its own digest.
		err = errors.Join(w.document(ctx, tag, m, &piece), w.evidence(ctx, m, depth+1))
	} else {
		err = w.slot(ctx, func() error {
			piece.New, err = w.order.To.Merge(ctx, tag, m)
			return err
		})
	}
	if err != nil {
		return err
	}
	how := oci.There
	if piece.New > 0 {
		how = oci.Sent
	}
	w.stored(m, how, nil)
	w.note(func(r *Report) {
		r.Evidence = append(r.Evidence, piece)
	})
	return nil
}

// document copies a ".sbom" tag, which holds one document: two cannot be
// merged.
func (w *walk) document(ctx context.Context, tag string, m oci.Manifest, piece *Piece) error {
	return w.slot(ctx, func() error {
		now, err := w.order.To.Manifest(ctx, tag)
		switch {
		case oci.IsNotFound(err):
			piece.New = len(m.Layers())
		case err != nil:
			return fmt.Errorf("%s: %w", tag, err)
		case now.Digest == m.Digest:
			return nil
		case !w.order.Force:
			return &TakenError{Tag: tag, Was: now.Digest, Want: m.Digest}
		}
		piece.New = len(m.Layers())
		return w.order.To.Name(ctx, m, tag, now.Digest)
	})
}

// sort makes the same copy give the same report.
func (r *Report) sort() {
	slices.SortFunc(r.Evidence, func(a, b Piece) int {
		return cmp.Or(cmp.Compare(a.On.String(), b.On.String()), cmp.Compare(a.Place, b.Place), cmp.Compare(a.Digest.String(), b.Digest.String()))
	})
	slices.SortFunc(r.Foreign, func(a, b subject.Digest) int { return strings.Compare(a.String(), b.String()) })
	slices.Sort(r.Skipped)
}
