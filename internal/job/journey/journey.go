// Package journey is `assay run`: a workload's whole way from its directory to
// a pinned digest in a GitOps repository, as one list of steps.
//
// Entry points are [New] and [Journey.Run]. The list of steps is [Steps]; each
// either succeeds, denies (the source has findings, the policy is not
// satisfied) or faults, and nothing after it runs. The image is pushed by
// digest, all evidence is signed before any of it is stored, and the tag is set
// only after the gate, which reads the evidence back from the registry,
// allowed the image.
//
// The package reads no flags, chooses no default path and prints nothing.
package journey

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/format/assayfile"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/job/promote"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/builder"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// Step is one step of the journey.
type Step string

// The steps.
const (
	// Source scans the workload's own files. It fails fast: nothing is built
	// from a source with findings over the threshold.
	Source Step = "source"
	// Build makes the image, on disk.
	Build Step = "build"
	// Scan scans the image that was built.
	Scan Step = "scan"
	// SBOM lists what is in it.
	SBOM Step = "sbom"
	// Test reads the reports of tests and analysis.
	Test Step = "test"
	// Attest pushes the image by digest, signs all evidence and stores it.
	Attest Step = "attest"
	// Decide asks the gate, and tags the image that it allows.
	Decide Step = "decide"
	// Promote pins the digest in the GitOps repository.
	Promote Step = "promote"
)

// steps is the journey, top to bottom.
func steps() []struct {
	name Step
	run  func(*run, context.Context) (detail string, err error)
} {
	return []struct {
		name Step
		run  func(*run, context.Context) (string, error)
	}{
		{Source, (*run).source},
		{Build, (*run).build},
		{Scan, (*run).scan},
		{SBOM, (*run).sbom},
		{Test, (*run).test},
		{Attest, (*run).attest},
		{Decide, (*run).decide},
		{Promote, (*run).promote},
	}
}

// Steps names the steps in order.
func Steps() []Step {
	var names []Step
	for _, s := range steps() {
		names = append(names, s.name)
	}
	return names
}

// Scanner finds packages and what is wrong with them.
type Scanner interface {
	Directory(ctx context.Context, fsys fs.FS, name string) (finding.Report, error)
	Image(ctx context.Context, image v1.Image, named scan.Named) (finding.Report, error)
}

// Registry takes the image and sets its tag.
type Registry interface {
	// PushLayout copies the only image or index of an OCI layout on disk to
	// a repository, by digest, without a tag.
	PushLayout(ctx context.Context, repository, dir string) (oci.Resolved, error)
	// Tag points a tag of the repository at a manifest that is there.
	Tag(ctx context.Context, repository string, digest subject.Digest, tag string) error
}

// Gate decides whether the image may run.
type Gate interface {
	Decide(ctx context.Context, reference string) (verdict.Verdict, error)
}

// Publisher signs and stores evidence.
type Publisher interface {
	Publish(ctx context.Context, orders []attest.Order) ([]attest.Stored, error)
}

// Promoter pins a digest in a GitOps repository, after asking the gate itself.
type Promoter interface {
	Promote(ctx context.Context, reference string) (promote.Result, error)
}

// Commit is where the source comes from.
type Commit struct {
	// URI is the repository's, "" for one without a remote; ID its commit.
	URI, ID string
	// Dirty says that the directory differs from the commit.
	Dirty bool
}

// Config is everything that a journey needs.
type Config struct {
	File assayfile.File
	// FileDigest is the digest of assay.yaml as it was read.
	FileDigest subject.Digest
	// Dir is the workload's directory and Files the same as a file system
	// that does not lead out of it; State is the directory for what one
	// step leaves to the next.
	Dir   string
	Files fs.FS
	State string

	Scanner  Scanner
	Builder  builder.Builder
	Base     func(ctx context.Context, reference string, platforms []string) (*builder.Base, error)
	Registry Registry
	Evidence Publisher
	Gate     Gate
	// Promoter is nil where assay.yaml promotes nothing.
	Promoter Promoter
	// Describe names the commit of Dir; nil means that it has none.
	Describe func(ctx context.Context) (*Commit, error)

	// Version is assay's own, for provenance.
	Version string
	// Created is written into the image; zero is 1970-01-01.
	Created time.Time
	Now     func() time.Time
	// Progress, where it is set, is told when a step begins (with an empty
	// Outcome) and when it ends.
	Progress func(StepResult)
}

// Outcome is how a step ended.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Skipped Outcome = "skipped"
	Denied  Outcome = "denied"
	Faulted Outcome = "fault"
)

// StepResult is how one step went.
type StepResult struct {
	Step    Step    `json:"step"`
	Outcome Outcome `json:"outcome"`
	// Detail is one line about what was found or made.
	Detail string `json:"detail,omitempty"`
	// Milliseconds is how long it took.
	Milliseconds int64 `json:"milliseconds"`
}

// Result is how a journey ended, as far as it came.
type Result struct {
	Steps []StepResult `json:"steps"`
	// Source is the report on the source, where that step ran; Over are its
	// findings over the threshold.
	Source *finding.Report   `json:"source,omitempty"`
	Over   []finding.Finding `json:"over,omitempty"`
	// Image is the reference by digest, once it is pushed.
	Image string `json:"image,omitempty"`
	// Stored is the evidence that was stored.
	Stored    []attest.Stored  `json:"stored,omitempty"`
	Verdict   *verdict.Verdict `json:"verdict,omitempty"`
	Promotion *promote.Result  `json:"promotion,omitempty"`
}

// DeniedError says that a step ended in a denial: the journey worked, and its
// answer is no. Result says why.
type DeniedError struct {
	Step   Step
	Reason string
}

// Error is one sentence.
func (e *DeniedError) Error() string { return e.Reason }

// errSkip ends a step that had nothing to do.
var errSkip = errors.New("nothing to do")

// Journey is one workload's way.
type Journey struct {
	config Config
}

// New checks the configuration; what may not be missing and is, is an error.
func New(config Config) (*Journey, error) {
	switch {
	case config.Files == nil || config.Dir == "" || config.State == "":
		return nil, errors.New("journey: the source directory and a state directory are needed")
	case config.Scanner == nil || config.Builder == nil || config.Registry == nil || config.Evidence == nil || config.Gate == nil || config.Now == nil:
		return nil, errors.New("journey: a scanner, a builder, a registry, a publisher, a gate and a clock are needed")
	case (config.Promoter == nil) != (config.File.Promote == nil):
		return nil, errors.New("journey: a promoter is needed exactly where assay.yaml asks for a promotion")
	}
	return &Journey{config: config}, nil
}

// run is one run of a journey.
type run struct {
	Config
	state  state
	result Result
}

// Run takes the steps, beginning with from ("" is the first one). What earlier
// steps made is read from the state directory then, and must be from the same
// assay.yaml. The Result is filled as far as the journey came, also beside an
// error; a denial is a *DeniedError, every other error a fault.
func (j *Journey) Run(ctx context.Context, from Step) (Result, error) {
	r := &run{Config: j.config}
	list := steps()
	first, err := r.resume(from)
	if err != nil {
		return r.result, err
	}
	for _, step := range list[first:] {
		if err := ctx.Err(); err != nil {
			return r.result, err
		}
		r.tell(StepResult{Step: step.name})
		began := r.Now()
		detail, err := step.run(r, ctx)
		ended := StepResult{Step: step.name, Outcome: Done, Detail: detail, Milliseconds: r.Now().Sub(began).Milliseconds()}
		var denied *DeniedError
		switch {
		case errors.Is(err, errSkip):
			ended.Outcome, err = Skipped, nil
		case errors.As(err, &denied):
			ended.Outcome, ended.Detail = Denied, denied.Reason
		case err != nil:
			ended.Outcome, ended.Detail = Faulted, err.Error()
			err = fmt.Errorf("step %s: %w", step.name, err)
		}
		if err == nil {
			r.state.Done = append(r.state.Done, step.name)
			err = r.save()
		}
		r.result.Steps = append(r.result.Steps, ended)
		r.tell(ended)
		if err != nil {
			return r.result, err
		}
	}
	return r.result, nil
}

func (r *run) tell(s StepResult) {
	if r.Progress != nil {
		r.Progress(s)
	}
}
