package attest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// Listing finds what is stored about an image; *oci.Client is one.
type Listing interface {
	// Evidence lists all pieces about a digest in repository, in both layouts.
	Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error)
}

// superseded is what an image has, by type, that new evidence takes the place
// of: what this very signer signed about it.
type superseded map[Image]map[string][]trust.Evidence

// older lists it, before anything new is stored.
func (a *Attester) older(ctx context.Context, pieces []piece) (superseded, error) {
	found := superseded{}
	if !a.config.Replace {
		return found, nil
	}
	by := a.self
	// Whatever it had to show when it was stored: the signer is what counts.
	by.Demand = trust.Demand{WithoutLogUnsafe: true, WithoutSCTUnsafe: true}
	for _, p := range pieces {
		if found[p.image] != nil {
			continue
		}
		found[p.image] = map[string][]trust.Evidence{}
		evidence, err := a.config.Listing.Evidence(ctx, p.image.Repository, p.image.Digest)
		if err != nil {
			return nil, fmt.Errorf("listing what %s has, to replace it: %w", p.image, err)
		}
		for _, e := range evidence {
			claim, rejection := trust.Verify(e, []trust.Signer{by}, []subject.Digest{p.image.Digest}, a.config.Now())
			if rejection == nil {
				found[p.image][claim.Type()] = append(found[p.image][claim.Type()], e)
			}
		}
	}
	return found, nil
}

// supersede takes the older pieces away once the new ones are stored, and
// names them on the first new piece of their type.
func (a *Attester) supersede(ctx context.Context, pieces []piece, stored []Stored, old superseded) error {
	var failures []error
	for i := range stored {
		s := &stored[i]
		// Keys that sign the same twice alike make the same piece again.
		gone := slices.DeleteFunc(slices.Clone(old[s.Image][s.Type]), func(e trust.Evidence) bool {
			for j, p := range pieces {
				if p.image == s.Image && p.form == e.Form && stored[j].Digest == e.Digest && p.signature == e.Signature {
					return true
				}
			}
			return false
		})
		if len(gone) == 0 {
			continue
		}
		delete(old[s.Image], s.Type)
		if err := a.config.Store.Remove(ctx, s.Image.Repository, s.Image.Digest, gone); err != nil {
			failures = append(failures, fmt.Errorf("the new evidence is stored, but %d older pieces of type %s on %s are still there: %w", len(gone), s.Type, s.Image, err))
			continue
		}
		for _, e := range gone {
			s.Supersedes = append(s.Supersedes, e.Digest)
		}
	}
	return errors.Join(failures...)
}
