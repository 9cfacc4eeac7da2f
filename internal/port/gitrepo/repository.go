package gitrepo

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Repository is a working tree with its repository. It is used by one
// goroutine at a time.
type Repository struct {
	git    git
	config Config
}

// Open takes a directory inside a working tree. Paths are then relative to
// that directory.
func Open(ctx context.Context, dir string, config Config) (*Repository, error) {
	g, err := config.git(dir)
	if err != nil {
		return nil, err
	}
	if _, err := g.run(ctx, "rev-parse", "--is-inside-work-tree"); err != nil {
		if says(err, "not a git repository") {
			return nil, fmt.Errorf("%s %w", dir, ErrNotRepository)
		}
		return nil, err
	}
	return &Repository{g, config}, nil
}

// Clone checks out a branch of a repository into dir, which must be empty or
// not exist; branch "" is the remote's default. Only the newest commit is
// fetched. The url is https, ssh, git's short form of ssh, file or a path.
func Clone(ctx context.Context, url, dir, branch string, config Config) (*Repository, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	g, err := config.git("")
	if err != nil {
		return nil, err
	}
	arguments := []string{"clone", "--quiet", "--template=", "--no-tags", "--no-recurse-submodules", "--single-branch", "--no-hardlinks"}
	if strings.Contains(url, "://") {
		arguments = append(arguments, "--depth=1") // git ignores it for paths, and says so
	}
	if branch != "" {
		if err := g.checkBranch(ctx, branch); err != nil {
			return nil, err
		}
		arguments = append(arguments, "--branch="+branch)
	}
	if _, err := g.run(ctx, append(arguments, "--", url, dir)...); err != nil {
		return nil, err
	}
	g.dir = dir
	return &Repository{g.named(ctx), config}, nil
}

// Dir is the directory that paths are relative to.
func (r *Repository) Dir() string { return r.git.dir }

// Head is the full hash of the commit that is checked out.
func (r *Repository) Head(ctx context.Context) (string, error) {
	commit, err := r.git.run(ctx, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if differs(err) {
		return "", fmt.Errorf("%s %w", r.git.dir, ErrNoCommit)
	}
	return commit, err
}

// Branch is the name of the branch that is checked out; "" for none.
func (r *Repository) Branch(ctx context.Context) (string, error) {
	return r.git.run(ctx, "branch", "--show-current")
}

// NewBranch makes a branch at the commit that is checked out, and checks it
// out. A branch of that name that is there already is an error.
func (r *Repository) NewBranch(ctx context.Context, name string) error {
	if err := r.git.checkBranch(ctx, name); err != nil {
		return err
	}
	_, err := r.git.run(ctx, "checkout", "--quiet", "--no-track", "-b", name)
	return err
}

// Remote is the URL of the remote "origin", without user and password; ""
// where there is none.
func (r *Repository) Remote(ctx context.Context) (string, error) {
	url, err := r.git.run(ctx, "config", "--get", "remote.origin.url")
	if err != nil {
		if differs(err) {
			return "", nil
		}
		return "", err
	}
	return withoutPassword(url), nil
}

// Commit makes one commit of the paths as they are in the working tree, and
// gives its full hash. What else is staged stays staged. Where no path has
// changed the error is ErrNothing.
func (r *Repository) Commit(ctx context.Context, paths []string, message string) (string, error) {
	if strings.TrimSpace(message) == "" {
		return "", fmt.Errorf("a commit without a message")
	}
	for _, path := range paths {
		if !filepath.IsLocal(path) || slices.Contains(strings.Split(filepath.ToSlash(path), "/"), ".git") {
			return "", fmt.Errorf("%q is no path of the repository", path)
		}
	}
	if len(paths) == 0 {
		return "", ErrNothing
	}
	if _, err := r.git.run(ctx, append([]string{"--literal-pathspecs", "add", "--"}, paths...)...); err != nil {
		return "", err
	}
	_, err := r.git.run(ctx, append([]string{"--literal-pathspecs", "diff", "--cached", "--quiet", "--"}, paths...)...)
	if err == nil {
		return "", ErrNothing
	}
	if !differs(err) {
		return "", err
	}
	arguments := append([]string{"--literal-pathspecs"}, commitArguments(r.config)...)
	arguments = append(append(arguments, "--only", "--"), paths...)
	if _, err := r.git.feed(ctx, strings.NewReader(message), arguments...); err != nil {
		return "", err
	}
	return r.Head(ctx)
}

// Pushed is what became of a push.
type Pushed struct {
	// Commit is the full hash that the branch has now.
	Commit string
	// Rebased is how often the commit was put on top of somebody else's.
	Rebased int
	// Dropped says that somebody else had pushed the very same change, so
	// that nothing was left to push.
	Dropped bool
}

// tries bounds how often a push that lost a race is tried again.
const tries = 10

// Push pushes the newest commit to a branch of "origin". If others have
// pushed meanwhile, it is put on top of what they pushed and pushed again;
// after a few times the error is ErrRace. Where they changed the same lines
// the error is ErrConflict, and commit and working tree are as before.
func (r *Repository) Push(ctx context.Context, branch string) (Pushed, error) {
	if err := r.git.checkBranch(ctx, branch); err != nil {
		return Pushed{}, err
	}
	var pushed Pushed
	for range tries {
		var err error
		if pushed.Commit, err = r.Head(ctx); err != nil {
			return Pushed{}, err
		}
		_, err = r.git.run(ctx, "push", "--porcelain", "--no-follow-tags", "origin", "HEAD:refs/heads/"+branch)
		if err == nil {
			return pushed, nil
		}
		if !says(err, "(fetch first)", "(non-fast-forward)", "cannot lock ref", "failed to update ref", "incorrect old value") {
			return Pushed{}, err
		}
		onto, err := r.rebase(ctx, branch)
		if err != nil {
			return Pushed{}, err
		}
		pushed.Rebased++
		now, err := r.Head(ctx)
		if err != nil {
			return Pushed{}, err
		}
		if now == onto {
			pushed.Commit, pushed.Dropped = onto, true
			return pushed, nil
		}
	}
	return Pushed{}, fmt.Errorf("pushing to %s %d times: %w", branch, tries, ErrRace)
}

// rebase puts the newest commit, and no other, on what the branch has now.
func (r *Repository) rebase(ctx context.Context, branch string) (onto string, err error) {
	if _, err := r.git.run(ctx, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "origin", "+refs/heads/"+branch); err != nil {
		return "", err
	}
	if onto, err = r.git.run(ctx, "rev-parse", "--verify", "FETCH_HEAD^{commit}"); err != nil {
		return "", err
	}
	arguments := []string{"rebase", "--quiet", "--no-autostash", "--no-rebase-merges", "--empty=drop"}
	if r.config.Sign {
		arguments = append(arguments, "--gpg-sign")
	}
	_, failed := r.git.run(ctx, append(arguments, "--onto", onto, "HEAD~1")...)
	if failed == nil {
		return onto, nil
	}
	files, err := r.git.run(ctx, "diff", "--name-only", "--diff-filter=U")
	// The tree is put back also where the caller has stopped waiting.
	if _, aborted := r.git.run(context.WithoutCancel(ctx), "rebase", "--abort"); aborted != nil && err == nil {
		err = aborted
	}
	if err != nil || files == "" {
		return "", failed
	}
	return "", fmt.Errorf("%s on branch %s: %w; look at what they changed, and promote again", strings.ReplaceAll(files, "\n", ", "), branch, ErrConflict)
}
