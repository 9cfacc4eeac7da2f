// Package promote pins an image by its digest in a GitOps repository.
//
// Entry points are [New] and [Promoter.Promote]. The gate is asked first:
// where it does not admit the image, nothing is cloned and nothing changes.
// Then every place that names the image (an entry of a kustomization's
// images:, a field of Helm values, a container in a manifest) is changed in a
// clone of its own, comments and formatting kept; one commit, whose message
// carries the verdict, is pushed. Where the digest stands there already, there
// is no commit.
//
// When others push meanwhile, the commit is put on top of theirs. Where that
// does not go, because neighbouring lines changed, the change is made anew on
// what they pushed; unless they changed the very places that this promotion
// changes, which is an error.
//
// The package opens no pull request: it pushes the branch for one. It does not
// wait for the cluster, and renders nothing.
package promote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/port/gitrepo"
)

// Gate decides whether an image may run.
type Gate interface {
	// Decide judges the image that a reference names. A denial is a verdict;
	// an error means that there is none.
	Decide(ctx context.Context, reference string) (verdict.Verdict, error)
}

// Helm is a values file. One of Image, Digest and Tag is set; each is the
// dotted path of a field, as yamledit.ParsePath reads it.
type Helm struct {
	// Path is the file, from the root of the repository.
	Path string
	// Image is a field with the whole reference: "repository@sha256:…" is
	// written. It must be there, and name the image or be empty.
	Image string
	// Digest is a field with the digest alone; it is added where the mapping
	// around it is there.
	Digest string
	// Tag is a field that the chart puts behind "repository:"; its tag is
	// kept, "v1@sha256:…". It must be there and not be empty.
	Tag string
}

// Config is what a promotion needs. At least one of Kustomizations, Helm and
// Manifests names a file; paths start at the root of the repository.
type Config struct {
	Gate Gate
	// Git is how git is run and whom it commits as.
	Git gitrepo.Config
	// Repository is what gitrepo.Clone takes.
	Repository string
	// Branch is read and pushed to; "" is the repository's default. With
	// PullRequest set, that new branch is pushed instead.
	Branch      string
	PullRequest string

	// Kustomizations are kustomization.yaml files whose images: has an entry
	// for the image.
	Kustomizations []string
	Helm           []Helm
	// Manifests are files with Kubernetes objects; every image of the same
	// repository in them is pinned.
	Manifests []string
	// Name is what the files call the image where that is not its own
	// repository ("app" in a kustomization); the repository is then written
	// too.
	Name string

	// Scratch is a directory for clones. They are removed again.
	Scratch string
	// DryRun finds the changes and pushes nothing.
	DryRun bool
}

// Promoter pins digests. It may be used by several goroutines.
type Promoter struct {
	config Config
}

// New checks the configuration.
func New(config Config) (*Promoter, error) {
	switch {
	case config.Gate == nil:
		return nil, errors.New("promote: there is no gate to ask")
	case config.Repository == "":
		return nil, errors.New("promote: no repository is named")
	case config.Scratch == "":
		return nil, errors.New("promote: there is no directory for clones")
	case len(config.Kustomizations)+len(config.Helm)+len(config.Manifests) == 0:
		return nil, errors.New("promote: no file is named; want a kustomization, Helm values or manifests")
	}
	files := slices.Concat(config.Kustomizations, config.Manifests)
	for _, helm := range config.Helm {
		set := 0
		for _, field := range []string{helm.Image, helm.Digest, helm.Tag} {
			if field != "" {
				set++
			}
		}
		if set != 1 {
			return nil, fmt.Errorf("promote: %s: want one of image, digest and tag", helm.Path)
		}
		files = append(files, helm.Path)
	}
	for _, file := range files {
		if !filepath.IsLocal(file) || slices.Contains(strings.Split(path.Clean(filepath.ToSlash(file)), "/"), ".git") {
			return nil, fmt.Errorf("promote: %q is no path in the repository", file)
		}
	}
	return &Promoter{config}, nil
}

// Result is how a promotion ended.
type Result struct {
	Verdict verdict.Verdict `json:"verdict"`
	// Denied says that the gate did not admit the image; nothing was changed.
	Denied bool `json:"denied"`
	// Changed is false where the digest was pinned already; in a dry run true
	// says that it would change.
	Changed bool `json:"changed"`
	// Commit is the full hash at the end of Branch, Files what was changed.
	Commit string   `json:"commit,omitempty"`
	Branch string   `json:"branch,omitempty"`
	Files  []string `json:"files,omitempty"`
	// Changes are the places, with what stood there.
	Changes []Change `json:"changes,omitempty"`
}

// Change is one place in one file.
type Change struct {
	File string `json:"file"`
	// Place is the document, counted from 0, and the path in it.
	Place string `json:"place"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// tries bounds how often the change is made anew on what others pushed.
const tries = 5

// Promote asks the gate about the image that reference names, and pins the
// digest that it judged. A denial is a result; an error means that nothing was
// pushed.
func (p *Promoter) Promote(ctx context.Context, reference string) (Result, error) {
	judged, err := p.config.Gate.Decide(ctx, reference)
	if err != nil {
		return Result{}, err
	}
	result := Result{Verdict: judged}
	if !judged.Decision.Admits() {
		result.Denied = true
		return result, nil
	}
	image, err := imageOf(judged, p.config.Name)
	if err != nil {
		return Result{}, err
	}
	var first []Change
	for attempt := range tries {
		again, err := p.attempt(ctx, image, &result, first)
		if err == nil {
			return result, nil
		}
		if !again || attempt == tries-1 {
			return Result{}, err
		}
		first = result.Changes
	}
	return Result{}, gitrepo.ErrRace
}

// attempt makes the change in a fresh clone and pushes it. Again says that
// the push met other changes nearby and is worth another attempt.
func (p *Promoter) attempt(ctx context.Context, image image, result *Result, first []Change) (again bool, err error) {
	scratch, err := os.MkdirTemp(p.config.Scratch, "promote-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	repository, err := gitrepo.Clone(ctx, p.config.Repository, filepath.Join(scratch, "clone"), p.config.Branch, p.config.Git)
	if err != nil {
		return false, err
	}
	if result.Branch, err = repository.Branch(ctx); err != nil {
		return false, err
	}
	tree, err := openTree(repository.Dir())
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, tree.root.Close()) }()
	if err := p.edit(tree, image); err != nil {
		return false, err
	}
	if first != nil && !slices.Equal(first, tree.changes) {
		return false, fmt.Errorf("%w: %s; look at what they changed, and promote again", gitrepo.ErrConflict, strings.Join(tree.files(), ", "))
	}
	result.Changes, result.Files, result.Changed = tree.changes, tree.files(), false
	if len(tree.changes) == 0 {
		result.Commit, err = repository.Head(ctx)
		return false, err
	}
	if p.config.DryRun {
		result.Changed = true
		return false, nil
	}
	if err := tree.write(); err != nil {
		return false, err
	}
	if p.config.PullRequest != "" {
		if err := repository.NewBranch(ctx, p.config.PullRequest); err != nil {
			return false, err
		}
		result.Branch = p.config.PullRequest
	}
	if _, err := repository.Commit(ctx, result.Files, message(result.Verdict, image)); err != nil {
		return false, err
	}
	pushed, err := repository.Push(ctx, result.Branch)
	if err != nil {
		return errors.Is(err, gitrepo.ErrConflict) && p.config.PullRequest == "", err
	}
	result.Commit, result.Changed = pushed.Commit, !pushed.Dropped
	return false, nil
}

func (p *Promoter) edit(tree *tree, image image) error {
	for _, file := range p.config.Kustomizations {
		if err := tree.kustomize(file, image); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, helm := range p.config.Helm {
		if err := tree.helm(helm, image); err != nil {
			return fmt.Errorf("%s: %w", helm.Path, err)
		}
	}
	for _, file := range p.config.Manifests {
		if err := tree.manifest(file, image); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}
