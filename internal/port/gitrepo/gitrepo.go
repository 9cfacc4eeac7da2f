// Package gitrepo reads and changes git repositories by running git itself,
// with the user's own credentials, signing keys and proxies.
//
// Entry points are [Clone] and [Open], which give a [Repository] to commit and
// push with; [Describe], which names the commit of a source directory; and
// [Create], which makes a bare repository to try things out with. A commit
// that somebody else's push overtakes is put on top of theirs and pushed
// again, a few times; a conflict is an error, and the working tree is as it
// was.
//
// Nothing goes through a shell. Git never asks at a terminal, runs no hooks of
// its own side, fetches no submodules, and talks https, ssh and files only:
// transport helpers (ext::) and names that could be taken for options are
// refused before git sees them. The environment is what the caller passes,
// without the variables that would point git at another repository. The
// configuration of a repository that is opened is believed.
//
// The package does not read or write the files of a working tree, merge, or
// force a push.
package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says how git is run. The zero value runs nothing: without a PATH in
// Env there is no git.
type Config struct {
	// Program is git's absolute path; "" means the one on Env's PATH.
	Program string
	// Env is the environment, as "NAME=value".
	Env []string
	// Name and Email make the author and committer; "" leaves them to git's
	// configuration, and to DefaultName and DefaultEmail where that says nothing.
	Name, Email string
	// Sign signs commits, as git is configured to. Without it git's
	// configuration decides.
	Sign bool
}

// DefaultName and DefaultEmail author the commits of who has not told git a
// name: a CI job, a new machine.
const (
	DefaultName  = "Assay"
	DefaultEmail = "assay@localhost"
)

// The errors that callers tell apart.
var (
	// ErrNotRepository is what Describe and Open give for a directory that is
	// in no working tree.
	ErrNotRepository = errors.New("is in no git repository")
	// ErrNoCommit is what Describe gives for a repository without a commit.
	ErrNoCommit = errors.New("has no commit yet")
	// ErrNothing is what Commit gives where no path has changed.
	ErrNothing = errors.New("nothing to commit")
	// ErrConflict is what Push gives where somebody else changed the same
	// lines.
	ErrConflict = errors.New("somebody else changed the same lines")
	// ErrRace is what Push gives where others were faster each time.
	ErrRace = errors.New("others pushed first each time")
)

// git runs one git program in one directory.
type git struct {
	program string
	env     []string
	dir     string
	// before are options that stand before every command.
	before []string
}

// settings are given on every command line, where no configuration file
// overrides them: no hooks, no program that watches files, no submodules.
var settings = []string{
	"--no-pager",
	"-c", "core.hooksPath=/dev/null",
	"-c", "core.fsmonitor=false",
	"-c", "submodule.recurse=false",
	"-c", "protocol.ext.allow=never",
	"-c", "advice.detachedHead=false",
	"-c", "gc.auto=0",
}

// dropped are variables that would make git work on something else than the
// directory it runs in, or put hooks into it.
var dropped = []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
	"GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_TEMPLATE_DIR", "GIT_EXTERNAL_DIFF", "GIT_QUARANTINE_PATH",
	"GIT_TERMINAL_PROMPT", "GIT_ALLOW_PROTOCOL", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_TRACE", "GIT_OPTIONAL_LOCKS", "LC_ALL", "LANGUAGE"}

func (c Config) git(dir string) (git, error) {
	program := c.Program
	if program == "" {
		var err error
		if program, err = look(c.Env); err != nil {
			return git{}, err
		}
	}
	g := git{program: program, dir: dir, before: slices.Clone(settings)}
	if c.Name != "" {
		g.before = append(g.before, "-c", "user.name="+c.Name)
	}
	if c.Email != "" {
		g.before = append(g.before, "-c", "user.email="+c.Email)
	}
	for _, variable := range c.Env {
		name, _, _ := strings.Cut(variable, "=")
		if !slices.Contains(dropped, name) {
			g.env = append(g.env, variable)
		}
	}
	g.env = append(g.env, "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=https:ssh:file", "GIT_EDITOR=:", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	return g, nil
}

// look finds git on the PATH of env, which may not be that of this process.
func look(env []string) (string, error) {
	for _, variable := range slices.Backward(env) {
		list, found := strings.CutPrefix(variable, "PATH=")
		if !found {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			if !filepath.IsAbs(dir) {
				continue
			}
			if program, err := exec.LookPath(filepath.Join(dir, "git")); err == nil {
				return program, nil
			}
		}
		break
	}
	return "", errors.New("git is not on the PATH; install it (apt-get install git)")
}

// outputBytes is how much of git's output is read; more is an error.
const outputBytes = 16 << 20

// patience is how long git may take to end once it is told to stop.
const patience = 5 * time.Second

// run runs one command and gives its output without the last line end.
func (g git) run(ctx context.Context, arguments ...string) (string, error) {
	return g.feed(ctx, nil, arguments...)
}

func (g git) feed(ctx context.Context, stdin io.Reader, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, g.program, slices.Concat(g.before, arguments)...)
	command.Dir, command.Env, command.Stdin, command.WaitDelay = g.dir, g.env, stdin, patience
	stdout, stderr := &bounded{bound: outputBytes}, &bounded{bound: outputBytes}
	command.Stdout, command.Stderr = stdout, stderr
	err := command.Run()
	if stopped := ctx.Err(); stopped != nil {
		return "", fmt.Errorf("git %s: %w", arguments[0], stopped)
	}
	if err != nil {
		return stdout.text(), &commandError{arguments[0], strings.TrimSpace(stderr.text()), stdout.text(), err}
	}
	if stdout.over {
		return "", fmt.Errorf("git %s: more than %d bytes of output", arguments[0], outputBytes)
	}
	return stdout.text(), nil
}

// bounded keeps the first bytes of what is written.
type bounded struct {
	buffer bytes.Buffer
	bound  int
	over   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), b.bound-b.buffer.Len())
	b.over = b.over || keep < len(p)
	b.buffer.Write(p[:keep])
	return len(p), nil
}

func (b *bounded) text() string { return strings.TrimSuffix(b.buffer.String(), "\n") }

// commandError is what git says when it fails.
type commandError struct {
	command, stderr, stdout string
	err                     error
}

// errorBytes is how much of git's words an error repeats.
const errorBytes = 2000

// Error repeats git's words, without passwords that stand in URLs.
func (e *commandError) Error() string {
	said := e.stderr
	if said == "" {
		said = e.stdout
	}
	if len(said) > errorBytes {
		said = strings.ToValidUTF8(said[:errorBytes], "") + "…"
	}
	if said == "" {
		said = e.err.Error()
	}
	return fmt.Sprintf("git %s: %s", e.command, withoutPassword(said))
}

// Unwrap is the error of running git.
func (e *commandError) Unwrap() error { return e.err }

// says looks for a phrase in what git said.
func says(err error, phrases ...string) bool {
	var failed *commandError
	return errors.As(err, &failed) && slices.ContainsFunc(phrases, func(phrase string) bool {
		return strings.Contains(failed.stderr, phrase) || strings.Contains(failed.stdout, phrase)
	})
}

// differs says that git ended with 1 and no words: how it answers no.
func differs(err error) bool {
	var failed *commandError
	var exit *exec.ExitError
	return errors.As(err, &failed) && errors.As(err, &exit) && exit.ExitCode() == 1 && failed.stderr == ""
}

var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s]+@`)

// withoutPassword drops user and password from URLs in a text.
func withoutPassword(text string) string { return userinfo.ReplaceAllString(text, "$1") }

// scpLike is git's short form of an ssh address.
var scpLike = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9_\[][A-Za-z0-9_.:\]-]*:`)

// checkURL refuses what git would take for an option or a program.
func checkURL(url string) error {
	scheme, rest, hasScheme := strings.Cut(url, "://")
	switch {
	case url == "" || strings.HasPrefix(url, "-") || strings.ContainsFunc(url, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q is no repository", url)
	case hasScheme && !slices.Contains([]string{"https", "ssh", "file"}, scheme):
		return fmt.Errorf("repository %s: %s is not allowed; want https, ssh, file or a path", withoutPassword(url), scheme)
	case hasScheme && strings.HasPrefix(rest[strings.LastIndex(rest[:hostEnd(rest)], "@")+1:], "-"):
		return fmt.Errorf("repository %q: the host begins with a dash", url)
	case !hasScheme && strings.Contains(url, "::"):
		return fmt.Errorf("repository %q: transport helpers are not allowed; want https, ssh, file or a path", url)
	case !hasScheme && strings.Contains(url, ":") && !filepath.IsAbs(url) && !strings.HasPrefix(url, "./") && !strings.HasPrefix(url, "../") && !scpLike.MatchString(url):
		return fmt.Errorf("repository %q: want https, ssh, file or a path", url)
	}
	return nil
}

// hostEnd is where the host of a URL ends.
func hostEnd(rest string) int {
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return i
	}
	return len(rest)
}

// checkBranch refuses what git would take for an option or another ref.
func (g git) checkBranch(ctx context.Context, branch string) error {
	if strings.HasPrefix(branch, "-") || strings.HasPrefix(branch, "@") || strings.HasPrefix(branch, "refs/") {
		return fmt.Errorf("%q is no name for a branch", branch)
	}
	if _, err := g.run(ctx, "check-ref-format", "refs/heads/"+branch); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%q is no name for a branch", branch)
	}
	return nil
}

// Source is where the files of a directory come from.
type Source struct {
	// Commit is the full hash of the commit that is checked out.
	Commit string
	// Dirty says that files in the directory differ from it, or are unknown
	// to it and not ignored.
	Dirty bool
	// RemoteURL is that of the remote "origin", without user and password;
	// "" where there is none.
	RemoteURL string
}

// Describe names the commit that a directory is checked out from. A directory
// in no repository is ErrNotRepository, one without a commit ErrNoCommit.
func Describe(ctx context.Context, dir string, config Config) (Source, error) {
	repository, err := Open(ctx, dir, config)
	if err != nil {
		return Source{}, err
	}
	var source Source
	if source.Commit, err = repository.Head(ctx); err != nil {
		return Source{}, err
	}
	changed, err := repository.git.run(ctx, "status", "--porcelain", "--untracked-files=normal", "--", ".")
	if err != nil {
		return Source{}, err
	}
	source.Dirty = changed != ""
	source.RemoteURL, err = repository.Remote(ctx)
	return source, err
}

// Create makes a bare repository at dir, where nothing may be yet, with one
// commit on a branch that holds the files of the directory from.
func Create(ctx context.Context, dir, from, branch, message string, config Config) error {
	g, err := config.git(from)
	if err != nil {
		return err
	}
	if err := g.checkBranch(ctx, branch); err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	g = g.named(ctx)
	if _, err := g.run(ctx, "init", "--quiet", "--bare", "--template=", "--initial-branch="+branch, "--", dir); err != nil {
		return err
	}
	g.before = append(g.before, "--git-dir="+dir, "--work-tree=.")
	if _, err := g.run(ctx, "add", "--all", "--", "."); err != nil {
		return err
	}
	_, err = g.feed(ctx, strings.NewReader(message), commitArguments(config)...)
	return err
}

// named is git with a name for who commits, where its configuration has none.
func (g git) named(ctx context.Context) git {
	if _, err := g.run(ctx, "var", "GIT_COMMITTER_IDENT"); err != nil && ctx.Err() == nil {
		g.before = append(slices.Clone(g.before), "-c", "user.name="+DefaultName, "-c", "user.email="+DefaultEmail)
	}
	return g
}

func commitArguments(config Config) []string {
	arguments := []string{"commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--file=-"}
	if config.Sign {
		arguments = append(arguments, "--gpg-sign")
	}
	return arguments
}
