// Package verify asks whether images and files are signed, or have an
// attestation of a type, by those who were named.
//
// Entry points are [New], and of a [Verifier] Image and Blob. A [Result] says
// for each digest which claims count and who signed them, and what else was
// found and why it does not count; its zero value denies. An attestation of
// another type is no signature, nor the other way round.
//
// The package parses no flag and prints nothing, applies no policy and chooses
// no newest evidence; what turns evidence into claims is engine/trust alone.
// It contacts nothing but the [Source] that it is handed.
package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// parallel is how many manifests of an index are asked about at once.
const parallel = 8

// Source is where evidence on images is: a registry or an image layout.
type Source interface {
	// Resolve finds the digest that a reference means now.
	Resolve(ctx context.Context, reference string) (oci.Resolved, error)
	// Evidence lists everything that is stored about a digest. Anything that
	// could not be read is an error, never less evidence.
	Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error)
}

// Want is what must be found.
type Want struct {
	// Signers are those who may have signed; none is an error of New.
	Signers []trust.Signer
	// Types are the claim types that count; one of them is enough.
	Types []string
	// Annotations must be signed along, each with this value.
	Annotations map[string]string
	// Threshold is how many different signers must have signed; 0 is one.
	Threshold int
	// Recursive asks for the same of each manifest in an image index.
	Recursive bool
}

// Verifier looks for what is wanted. It may be used by several goroutines.
type Verifier struct {
	want Want
	now  func() time.Time
}

// New checks what is wanted; now is the door's clock.
func New(want Want, now func() time.Time) (*Verifier, error) {
	switch {
	case now == nil:
		return nil, errors.New("verify: a clock is needed")
	case len(want.Signers) == 0:
		return nil, errors.New("verify: nobody was named whose signature would count")
	case len(want.Types) == 0 || slices.Contains(want.Types, ""):
		return nil, errors.New("verify: a type that counts is needed")
	case want.Threshold < 0:
		return nil, fmt.Errorf("verify: %d signers cannot be demanded", want.Threshold)
	}
	want.Threshold = max(1, want.Threshold)
	return &Verifier{want: want, now: now}, nil
}

// Result is the answer about one reference. The zero value denies.
type Result struct {
	// Decision is verdict.Allow where every part holds, else verdict.Deny.
	Decision verdict.Decision
	// Reference is what was asked about; Pinned is it with the digest that it
	// means, "" for files.
	Reference, Pinned string
	// Parts are the digests that were looked at: one, or an index and its
	// manifests.
	Parts []Part
}

// Part is the answer about one digest.
type Part struct {
	// Name is "index" or the platform where several digests were looked at.
	Name     string
	Digest   subject.Digest
	Decision verdict.Decision
	// Claims are those that count, in the order of the evidence. Signers is
	// how many different parties they are by.
	Claims  []trust.Claim
	Signers int
	// Pieces is how many pieces of evidence were looked at.
	Pieces int
	// Others are claims by the named signers that do not count.
	Others []Other
	// Rejections are of evidence that may have been meant for what is wanted,
	// the nearest first.
	Rejections []trust.Rejection
	// Strangers are claims of a wanted type about this digest by certificate
	// identities that nobody named: verified, and worth a hint only.
	Strangers []trust.Claim
}

// Other is a claim that does not count, and why.
type Other struct {
	Claim trust.Claim
	Why   string
}

// Image resolves a reference once and looks at the digest found, and with
// Want.Recursive at every manifest of an index. A registry that does not
// answer, or not well, is an error.
func (v *Verifier) Image(ctx context.Context, source Source, reference string) (Result, error) {
	resolved, err := source.Resolve(ctx, reference)
	if err != nil {
		return Result{}, err
	}
	result := Result{Reference: reference, Pinned: resolved.Pinned(), Parts: []Part{{Digest: resolved.Digest}}}
	if v.want.Recursive && resolved.Index {
		if len(resolved.Platforms) == 0 {
			return Result{}, fmt.Errorf("%s is an index of nothing that could run", result.Pinned)
		}
		result.Parts[0].Name = "index"
		for _, platform := range resolved.Platforms {
			result.Parts = append(result.Parts, Part{Name: platform.Name, Digest: platform.Digest})
		}
	}
	group, ctx := errgroup.WithContext(oci.Together(ctx))
	group.SetLimit(parallel)
	for i := range result.Parts {
		group.Go(func() error {
			evidence, err := source.Evidence(ctx, resolved.Name(), result.Parts[i].Digest)
			if err != nil {
				return err
			}
			about := []subject.Digest{result.Parts[i].Digest}
			return v.judge(ctx, &result.Parts[i], evidence, func(e trust.Evidence, signers []trust.Signer) (trust.Claim, *trust.Rejection) {
				return trust.Verify(e, signers, about, v.now())
			})
		})
	}
	if err := group.Wait(); err != nil {
		return Result{}, err
	}
	return result.decide(), nil
}

// Blob looks at evidence about a file, which is called name.
func (v *Verifier) Blob(ctx context.Context, name string, artifact trust.Artifact, evidence []trust.Evidence) (Result, error) {
	part := Part{Digest: artifact.Digest}
	if part.Digest.IsZero() && artifact.Content != nil {
		part.Digest = subject.Of(artifact.Content)
	}
	err := v.judge(ctx, &part, evidence, func(e trust.Evidence, signers []trust.Signer) (trust.Claim, *trust.Rejection) {
		return trust.VerifyBlob(e, artifact, signers, v.now())
	})
	if err != nil {
		return Result{}, err
	}
	return Result{Reference: name, Parts: []Part{part}}.decide(), nil
}

// decide allows where there are parts and all of them hold.
func (r Result) decide() Result {
	r.Decision = verdict.Deny
	if len(r.Parts) > 0 && !slices.ContainsFunc(r.Parts, func(p Part) bool { return p.Decision != verdict.Allow }) {
		r.Decision = verdict.Allow
	}
	return r
}

// look verifies one piece of evidence against some signers.
type look func(e trust.Evidence, signers []trust.Signer) (trust.Claim, *trust.Rejection)

// judge fills a part from its evidence, unless nobody waits for it any more.
func (v *Verifier) judge(ctx context.Context, part *Part, evidence []trust.Evidence, look look) error {
	part.Pieces = len(evidence)
	var unmatched []trust.Evidence
	for _, piece := range evidence {
		if err := ctx.Err(); err != nil {
			return err
		}
		claim, rejection := look(piece, v.want.Signers)
		if rejection != nil {
			if rejection.ClaimedType == "" || slices.Contains(v.want.Types, rejection.ClaimedType) {
				part.Rejections = append(part.Rejections, *rejection)
				if rejection.Reason == trust.UnknownIdentity {
					unmatched = append(unmatched, piece)
				}
			}
			continue
		}
		for _, claim := range v.everyone(piece, claim, look) {
			if why := v.short(claim); why != "" {
				part.Others = append(part.Others, Other{claim, why})
			} else {
				part.Claims = append(part.Claims, claim)
			}
		}
	}
	part.Signers = parties(part.Claims)
	if part.Signers >= v.want.Threshold {
		part.Decision = verdict.Allow
		return nil
	}
	slices.SortStableFunc(part.Rejections, func(a, b trust.Rejection) int { return distance(a.Reason) - distance(b.Reason) })
	part.Strangers = v.strangers(unmatched, look)
	return nil
}

// everyone gives the claims of all signers that made one piece, of which
// claim is the first. One envelope of the older layout may have several
// signatures.
func (v *Verifier) everyone(piece trust.Evidence, claim trust.Claim, look look) []trust.Claim {
	if v.want.Threshold == 1 {
		return []trust.Claim{claim}
	}
	var claims []trust.Claim
	for _, signer := range v.want.Signers {
		if one, rejection := look(piece, []trust.Signer{signer}); rejection == nil {
			claims = append(claims, one)
		}
	}
	return claims
}

// short says what a claim lacks to be what is wanted, "" where nothing.
func (v *Verifier) short(claim trust.Claim) string {
	if !slices.Contains(v.want.Types, claim.Type()) {
		return "it is of type " + claim.Type()
	}
	have := claim.Annotations()
	for _, name := range slices.Sorted(maps.Keys(v.want.Annotations)) {
		if value, found := have[name]; !found {
			return fmt.Sprintf("it has no annotation %s", name)
		} else if value != v.want.Annotations[name] {
			return fmt.Sprintf("its annotation %s is %.200q, not %.200q", name, value, v.want.Annotations[name])
		}
	}
	return ""
}

// hints bounds how many pieces are verified once more, only to say by whom
// they are.
const hints = 8

// strangers verifies evidence that is by nobody who was named for anybody at
// all, so that a denial can say who really signed.
func (v *Verifier) strangers(evidence []trust.Evidence, look look) []trust.Claim {
	var anybody []trust.Signer
	for _, signer := range v.want.Signers {
		if len(signer.Identities) > 0 && signer.Root != nil {
			signer.Keys, signer.Name, signer.Identities = nil, "anybody", anyone()
			anybody = append(anybody, signer)
			break
		}
	}
	if anybody == nil {
		return nil
	}
	var found []trust.Claim
	for _, piece := range evidence[:min(hints, len(evidence))] {
		if claim, rejection := look(piece, anybody); rejection == nil {
			found = append(found, claim)
		}
	}
	return found
}
