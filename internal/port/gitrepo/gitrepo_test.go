package gitrepo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed-161fc314/assay/internal/port/gitrepo"
)

// environment is a HOME of its own, so that the user's git has no say.
func environment(t testing.TB) []string {
	t.Helper()
	home := t.TempDir()
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_GLOBAL=" + filepath.Join(home, "gitconfig"), "GIT_CONFIG_NOSYSTEM=1"}
}

func config(t testing.TB) gitrepo.Config {
	t.Helper()
	return gitrepo.Config{Env: environment(t), Name: "Assay", Email: "assay@example.com"}
}

// git runs git as a stranger would.
func git(t testing.TB, dir string, arguments ...string) string {
	t.Helper()
	command := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, arguments...)...)
	command.Dir, command.Env = dir, environment(t)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", arguments, err, output)
	}
	return strings.TrimSpace(string(output))
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// bare makes a bare repository with one file of two far apart lines.
func bare(t testing.TB) string {
	t.Helper()
	from, dir := t.TempDir(), filepath.Join(t.TempDir(), "gitops.git")
	write(t, filepath.Join(from, "a.yaml"), "a: 1\n\n\n\n\n\n\n\nb: 1\n")
	write(t, filepath.Join(from, "sub", "c.yaml"), "c: 1\n")
	if err := gitrepo.Create(t.Context(), dir, from, "main", "begin\n", config(t)); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(from); err != nil || len(entries) != 2 {
		t.Fatalf("the directory it was made from has changed: %v, %v", entries, err)
	}
	return dir
}

func clone(t testing.TB, url, branch string) *gitrepo.Repository {
	t.Helper()
	r, err := gitrepo.Clone(t.Context(), url, filepath.Join(t.TempDir(), "clone"), branch, config(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func replace(t testing.TB, r *gitrepo.Repository, old, new string) {
	t.Helper()
	path := filepath.Join(r.Dir(), "a.yaml")
	write(t, path, strings.Replace(read(t, path), old, new, 1))
}

func commit(t testing.TB, r *gitrepo.Repository) string {
	t.Helper()
	hash, err := r.Commit(t.Context(), []string{"a.yaml"}, "change\n\nTrailer: yes\n")
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestCommitAndPush(t *testing.T) {
	for _, scheme := range []string{"", "file://"} {
		origin := bare(t)
		before := git(t, origin, "rev-parse", "main")
		r := clone(t, scheme+origin, "main")
		replace(t, r, "a: 1", "a: 2")
		write(t, filepath.Join(r.Dir(), "not asked for.txt"), "x")
		hash := commit(t, r)
		pushed, err := r.Push(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		if pushed != (gitrepo.Pushed{Commit: hash}) || git(t, origin, "rev-parse", "main") != hash {
			t.Errorf("pushed %+v, want %s", pushed, hash)
		}
		if count := git(t, origin, "rev-list", "--count", before+"..main"); count != "1" {
			t.Errorf("%s commits", count)
		}
		if body := git(t, origin, "log", "-1", "--format=%an <%ae> %cn|%B", "main"); body != "Assay <assay@example.com> Assay|change\n\nTrailer: yes" {
			t.Errorf("commit %q", body)
		}
		if files := git(t, origin, "diff", "--name-only", before, "main"); files != "a.yaml" {
			t.Errorf("changed %s", files)
		}
		if branch, err := r.Branch(t.Context()); err != nil || branch != "main" {
			t.Errorf("branch %q, %v", branch, err)
		}
	}
}

func TestCommitRefuses(t *testing.T) {
	r := clone(t, bare(t), "")
	head, err := r.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Commit(t.Context(), []string{"a.yaml"}, "m"); !errors.Is(err, gitrepo.ErrNothing) {
		t.Errorf("nothing has changed: %v", err)
	}
	if _, err := r.Commit(t.Context(), nil, "m"); !errors.Is(err, gitrepo.ErrNothing) {
		t.Errorf("no paths: %v", err)
	}
	replace(t, r, "a: 1", "a: 2")
	for _, path := range []string{"../x", "/etc/passwd", ".git/config", "sub/.git/hooks/x", "nope.yaml", "*.yaml", ":/a.yaml", "-A"} {
		if _, err := r.Commit(t.Context(), []string{path}, "m"); err == nil {
			t.Errorf("committed %q", path)
		}
	}
	if _, err := r.Commit(t.Context(), []string{"a.yaml"}, " \n"); err == nil {
		t.Error("committed without a message")
	}
	if now, _ := r.Head(t.Context()); now != head {
		t.Errorf("the head has moved to %s", now)
	}
	write(t, filepath.Join(r.Dir(), "staged.txt"), "x")
	git(t, r.Dir(), "add", "staged.txt")
	commit(t, r)
	if files := git(t, r.Dir(), "show", "--name-only", "--format=", "HEAD"); files != "a.yaml" {
		t.Errorf("committed %q", files)
	}
}

func TestRace(t *testing.T) {
	origin := bare(t)
	first, second, third := clone(t, origin, "main"), clone(t, origin, "main"), clone(t, origin, "main")
	replace(t, first, "a: 1", "a: 2")
	replace(t, second, "b: 1", "b: 2")
	replace(t, third, "a: 1", "a: 3")
	same := clone(t, "file://"+origin, "main")
	replace(t, same, "a: 1", "a: 2")
	commit(t, first)
	commit(t, second)
	mine := commit(t, third)
	commit(t, same)

	if _, err := first.Push(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	pushed, err := second.Push(t.Context(), "main")
	if err != nil || pushed.Rebased != 1 || pushed.Dropped || pushed.Commit != git(t, origin, "rev-parse", "main") {
		t.Errorf("the second: %+v, %v", pushed, err)
	}
	if content := git(t, origin, "show", "main:a.yaml"); !strings.Contains(content, "a: 2") || !strings.Contains(content, "b: 2") {
		t.Errorf("both changes are not there: %q", content)
	}

	if _, err := third.Push(t.Context(), "main"); !errors.Is(err, gitrepo.ErrConflict) || !strings.Contains(err.Error(), "a.yaml") {
		t.Errorf("a conflict: %v", err)
	}
	if head, _ := third.Head(t.Context()); head != mine {
		t.Errorf("the head has moved to %s", head)
	}
	if status := git(t, third.Dir(), "status", "--porcelain=2", "--branch"); strings.Contains(status, "u ") || !strings.Contains(read(t, filepath.Join(third.Dir(), "a.yaml")), "a: 3") {
		t.Errorf("the working tree is not as before: %s", status)
	}

	pushed, err = same.Push(t.Context(), "main")
	if err != nil || !pushed.Dropped || pushed.Commit != git(t, origin, "rev-parse", "main") {
		t.Errorf("the same change: %+v, %v", pushed, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	const promoters = 4
	from, origin := t.TempDir(), filepath.Join(t.TempDir(), "o.git")
	for i := range promoters {
		write(t, filepath.Join(from, fmt.Sprintf("%d.yaml", i)), "x: 1\n")
	}
	if err := gitrepo.Create(t.Context(), origin, from, "main", "begin", config(t)); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	failed := make([]error, promoters)
	for i := range promoters {
		r := clone(t, origin, "main")
		name := fmt.Sprintf("%d.yaml", i)
		write(t, filepath.Join(r.Dir(), name), "x: 2\n")
		if _, err := r.Commit(t.Context(), []string{name}, name); err != nil {
			t.Fatal(err)
		}
		wait.Go(func() { _, failed[i] = r.Push(t.Context(), "main") })
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	if count := git(t, origin, "rev-list", "--count", "main"); count != fmt.Sprint(promoters+1) {
		t.Errorf("%s commits, want %d", count, promoters+1)
	}
}

func TestNewBranch(t *testing.T) {
	origin := bare(t)
	r := clone(t, origin, "main")
	if err := r.NewBranch(t.Context(), "assay/promote"); err != nil {
		t.Fatal(err)
	}
	if err := r.NewBranch(t.Context(), "main"); err == nil {
		t.Error("made a branch that is there")
	}
	replace(t, r, "a: 1", "a: 2")
	hash := commit(t, r)
	if _, err := r.Push(t.Context(), "assay/promote"); err != nil {
		t.Fatal(err)
	}
	if git(t, origin, "rev-parse", "assay/promote") != hash || git(t, origin, "rev-parse", "main") == hash {
		t.Error("the branch is not where it should be")
	}
	for _, name := range []string{"-x", "--upload-pack=x", "a..b", "", "a b", "@", "refs/heads/x", "x.lock"} {
		if err := r.NewBranch(t.Context(), name); err == nil {
			t.Errorf("made branch %q", name)
		}
		if _, err := r.Push(t.Context(), name); err == nil {
			t.Errorf("pushed branch %q", name)
		}
	}
}

func TestCloneRefuses(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	for _, url := range []string{"", "-x", "--upload-pack=touch " + marker, "ext::sh -c touch% " + marker, "fd::17", "http://registry.example.com/x",
		"git://registry.example.com/x", "ssh://-oProxyCommand=touch/x", "ssh://u@-oProxyCommand=touch/x", "ftp://x/y", "a\nb", "-oProxyCommand=x:y", "::"} {
		if r, err := gitrepo.Clone(t.Context(), url, filepath.Join(t.TempDir(), "c"), "", config(t)); err == nil {
			t.Errorf("cloned %q: %v", url, r)
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a program ran")
	}
	origin := bare(t)
	for _, branch := range []string{"nope", "-x", "a b"} {
		if _, err := gitrepo.Clone(t.Context(), origin, filepath.Join(t.TempDir(), "c"), branch, config(t)); err == nil {
			t.Errorf("cloned branch %q", branch)
		}
	}
	if _, err := gitrepo.Clone(t.Context(), origin, filepath.Join(t.TempDir(), "c"), "", gitrepo.Config{}); err == nil {
		t.Error("ran a git that is nowhere")
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := gitrepo.Clone(stopped, origin, filepath.Join(t.TempDir(), "c"), "", config(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	secret := "https://user:hunter2@127.0.0.1:1/x"
	if _, err := gitrepo.Clone(t.Context(), secret, filepath.Join(t.TempDir(), "c"), "", config(t)); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password in an error: %v", err)
	}
}

// TestHooks plants hooks wherever git looks for them, and sees none run. (The
// hooks of the side that is pushed to are that side's, also on this machine.)
func TestHooks(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	hooks := t.TempDir()
	for _, name := range []string{"post-checkout", "pre-commit", "commit-msg", "post-commit", "pre-push", "pre-rebase", "post-rewrite", "fsmonitor"} {
		write(t, filepath.Join(hooks, name), "#!/bin/sh\ntouch "+marker+"\n")
		if err := os.Chmod(filepath.Join(hooks, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := config(t)
	template := t.TempDir()
	if err := os.CopyFS(filepath.Join(template, "hooks"), os.DirFS(hooks)); err != nil {
		t.Fatal(err)
	}
	c.Env = append(c.Env, "GIT_TEMPLATE_DIR="+template, "GIT_DIR=/nowhere", "GIT_ALLOW_PROTOCOL=ext")
	for _, variable := range c.Env {
		if path, found := strings.CutPrefix(variable, "GIT_CONFIG_GLOBAL="); found {
			write(t, path, "[core]\n\thooksPath = "+hooks+"\n\tfsmonitor = "+filepath.Join(hooks, "fsmonitor")+"\n[init]\n\ttemplateDir = "+template+"\n")
		}
	}
	origin := bare(t)
	plain := exec.Command("git", "clone", "--quiet", origin, filepath.Join(t.TempDir(), "plain"))
	for _, variable := range c.Env {
		if !strings.HasPrefix(variable, "GIT_DIR=") && !strings.HasPrefix(variable, "GIT_ALLOW_PROTOCOL=") {
			plain.Env = append(plain.Env, variable)
		}
	}
	if output, err := plain.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if err := os.Remove(marker); err != nil {
		t.Fatalf("the planted hooks do not run at all: %v", err)
	}

	r, err := gitrepo.Clone(t.Context(), origin, filepath.Join(t.TempDir(), "c"), "main", c)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, r, "a: 1", "a: 2")
	commit(t, r)
	if _, err := r.Push(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if _, err := gitrepo.Describe(t.Context(), r.Dir(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a hook ran")
	}
}

func TestDescribe(t *testing.T) {
	origin := bare(t)
	r := clone(t, origin, "main")
	head, err := r.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := gitrepo.Source{Commit: head, RemoteURL: origin}
	sub := filepath.Join(r.Dir(), "sub")
	describe := func(dir string) gitrepo.Source {
		t.Helper()
		got, err := gitrepo.Describe(t.Context(), dir, config(t))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := describe(sub); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	replace(t, r, "a: 1", "a: 2")
	if got := describe(sub); got.Dirty {
		t.Error("a change beside the directory makes it dirty")
	}
	if got := describe(r.Dir()); !got.Dirty {
		t.Error("a change does not make it dirty")
	}
	write(t, filepath.Join(sub, "new"), "x")
	if got := describe(sub); !got.Dirty {
		t.Error("an unknown file does not make it dirty")
	}
	git(t, r.Dir(), "config", "remote.origin.url", "https://user:hunter2@git.example.com/x")
	if got := describe(sub); got.RemoteURL != "https://git.example.com/x" {
		t.Errorf("remote %q", got.RemoteURL)
	}
	git(t, r.Dir(), "remote", "remove", "origin")
	if got := describe(sub); got.RemoteURL != "" {
		t.Errorf("remote %q", got.RemoteURL)
	}
	if _, err := gitrepo.Describe(t.Context(), t.TempDir(), config(t)); !errors.Is(err, gitrepo.ErrNotRepository) {
		t.Errorf("no repository: %v", err)
	}
	empty := t.TempDir()
	git(t, empty, "init", "--quiet")
	if _, err := gitrepo.Describe(t.Context(), empty, config(t)); !errors.Is(err, gitrepo.ErrNoCommit) {
		t.Errorf("no commit: %v", err)
	}
	if _, err := gitrepo.Open(t.Context(), filepath.Join(empty, "nope"), config(t)); err == nil {
		t.Error("opened what is not there")
	}
}

func TestSign(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Log("no ssh-keygen here: signing is seen to fail instead")
	}
	c := config(t)
	c.Sign = true
	key := filepath.Join(t.TempDir(), "key")
	generated := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).Run()
	for _, variable := range c.Env {
		if path, found := strings.CutPrefix(variable, "GIT_CONFIG_GLOBAL="); found {
			write(t, path, "[gpg]\n\tformat = ssh\n[user]\n\tsigningKey = "+key+"\n")
		}
	}
	r, err := gitrepo.Clone(t.Context(), bare(t), filepath.Join(t.TempDir(), "c"), "main", c)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, r, "a: 1", "a: 2")
	hash, err := r.Commit(t.Context(), []string{"a.yaml"}, "signed")
	if generated != nil {
		if err == nil {
			t.Error("a commit that should be signed was made without a key")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if object := git(t, r.Dir(), "cat-file", "-p", hash); !bytes.Contains([]byte(object), []byte("BEGIN SSH SIGNATURE")) {
		t.Errorf("the commit is not signed: %s", object)
	}
}

func TestCreateRefuses(t *testing.T) {
	if err := gitrepo.Create(t.Context(), filepath.Join(t.TempDir(), "x"), t.TempDir(), "-b", "m", config(t)); err == nil {
		t.Error("made a repository with a branch that is an option")
	}
	if err := gitrepo.Create(t.Context(), filepath.Join(t.TempDir(), "x"), t.TempDir(), "main", "m", config(t)); err == nil {
		t.Error("made a repository of nothing")
	}
}

// TestNameless: where nobody told git a name, commits have one all the same;
// where somebody did, it is theirs.
func TestNameless(t *testing.T) {
	for name, c := range map[string]struct {
		variables []string
		want      string
	}{
		"nobody":   {nil, gitrepo.DefaultName + " <" + gitrepo.DefaultEmail + ">"},
		"somebody": {[]string{"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com"}, "A <a@example.com>"},
	} {
		t.Run(name, func(t *testing.T) {
			from, bare := t.TempDir(), filepath.Join(t.TempDir(), "bare.git")
			write(t, filepath.Join(from, "f"), "1")
			// A host without a domain: git does not guess an address from it.
			config := gitrepo.Config{Env: append(environment(t), append(c.variables, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=user.useConfigOnly", "GIT_CONFIG_VALUE_0=true")...)}
			if err := gitrepo.Create(t.Context(), bare, from, "main", "begin", config); err != nil {
				t.Fatal(err)
			}
			repository, err := gitrepo.Clone(t.Context(), bare, filepath.Join(t.TempDir(), "clone"), "main", config)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(repository.Dir(), "f"), "2")
			if _, err := repository.Commit(t.Context(), []string{"f"}, "go on"); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{bare, repository.Dir()} {
				if who := git(t, dir, "log", "-1", "--format=%an <%ae>"); who != c.want {
					t.Errorf("%s: committed by %s, want %s", dir, who, c.want)
				}
			}
		})
	}
}
