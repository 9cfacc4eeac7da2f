// Package policy owns the interface that every policy language implements:
// engine/policy/cel for EvidencePolicy, engine/policy/kyverno for the
// verifyImages rules of Kyverno's ClusterPolicy.
//
// Entry points are [Policy] and [Input]. A policy is compiled before it
// exists: a value of the interface is known to be well-formed, and what it
// uses that is not supported was an error at load. Evaluating has no side
// effects, reads no clock and contacts nothing.
package policy

import (
	"context"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// Image is what is being judged, with its digest already resolved, once.
type Image struct {
	// Registry and Repository are normalised ("index.docker.io",
	// "library/python"); Tag is "" where the reference had none.
	Registry   string
	Repository string
	Tag        string
	Digest     subject.Digest
	// Pinned says that the reference named the digest itself. A tag beside it
	// is then what somebody wrote, and nobody asked the registry whether it
	// is so: it may make a policy apply, but never exempt from one.
	Pinned bool
}

// Proven is the image without a tag that nobody checked.
func (i Image) Proven() Image {
	if i.Pinned {
		i.Tag = ""
	}
	return i
}

// Spellings are the ways a pattern may name the image: with its tag where it
// has one, with its digest, and bare. A pattern that matches any of them
// matches the image, so that pinning a digest does not escape "repo:*".
func (i Image) Spellings() []string {
	repository := i.Registry + "/" + i.Repository
	spellings := []string{repository, repository + "@" + i.Digest.String()}
	if i.Tag != "" {
		spellings = append(spellings, repository+":"+i.Tag, repository+":"+i.Tag+"@"+i.Digest.String())
	}
	return spellings
}

// Request is the workload that asks for the image. The zero value means that
// no workload is known (an image is judged on its own, in CI): policies
// then apply as if the workload matched.
type Request struct {
	Known     bool
	Kind      string
	Namespace string
	Name      string
}

// Scope is one manifest that may run, with all evidence that counts for it:
// that of its own digest and that of the index it came through.
type Scope struct {
	// Platform is "linux/amd64" and the like inside an index, "" otherwise.
	Platform string
	// Subjects are the digests that evidence may be about: the manifest's,
	// and the index's where there is one.
	Subjects []subject.Digest
	Evidence []trust.Evidence
}

// Input is everything that a policy may look at.
type Input struct {
	Image   Image
	Request Request
	// Scopes has one entry for a single image, one per platform for an
	// index. Every scope must satisfy the policy.
	Scopes []Scope
	// Now is the door's clock.
	Now time.Time
}

// Policy is one loaded policy.
type Policy interface {
	// Name is unique among the policies of one door: kind and name.
	Name() string
	// Match says whether the policy judges this image for this workload.
	Match(Image, Request) bool
	// Judge makes every check that the policy has, and returns them all.
	// A check that does not hold is a value (Outcome Failed or Broken); an
	// error means that no judgement was possible, and admits nothing.
	Judge(context.Context, Input) ([]verdict.Check, error)
}
