package promote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/job/promote"
	"github.com/seed-161fc314/assay/internal/port/gitrepo"
)

var (
	digest = subject.Of([]byte("an image"))
	old    = subject.Of([]byte("an older image"))
)

const repository = "registry.example.com/ml/app"

// gate answers with a verdict about reference, or fails.
type gate struct {
	decision  verdict.Decision
	reference string
	digest    subject.Digest
	err       error
	asked     int
}

func (g *gate) Decide(_ context.Context, reference string) (verdict.Verdict, error) {
	g.asked++
	if g.err != nil {
		return verdict.Verdict{}, g.err
	}
	name := g.reference
	if name == "" {
		name = repository
	}
	checks := []verdict.Check{
		{Outcome: verdict.Passed, Evidence: []verdict.Evidence{{Digest: subject.Of([]byte("e")), Type: "https://example.com/t"}}},
		{Outcome: verdict.Skipped, Evidence: []verdict.Evidence{{Digest: subject.Of([]byte("skipped")), Type: "https://example.com/t"}}},
	}
	return verdict.Verdict{Reference: reference, Subject: g.digest, Pinned: name + "@" + g.digest.String(), Decision: g.decision,
		Policies: []string{"ClusterPolicy/p\nAssay-Forged: yes"}, Checks: checks, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, nil
}

func allow() *gate { return &gate{decision: verdict.Allow, digest: digest} }

func environment(t testing.TB) []string {
	t.Helper()
	home := t.TempDir()
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_GLOBAL=" + filepath.Join(home, "gitconfig"), "GIT_CONFIG_NOSYSTEM=1"}
}

func gitConfig(t testing.TB) gitrepo.Config {
	return gitrepo.Config{Env: environment(t), Name: "Assay", Email: "assay@example.com"}
}

func git(t testing.TB, dir string, arguments ...string) string {
	t.Helper()
	command := exec.Command("git", arguments...)
	command.Dir, command.Env = dir, environment(t)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", arguments, err, output)
	}
	return string(output)
}

// origin is a bare repository with files.
func origin(t testing.TB, files map[string]string) string {
	t.Helper()
	from, dir := t.TempDir(), filepath.Join(t.TempDir(), "gitops.git")
	for name, content := range files {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, link := strings.CutPrefix(content, "-> "); link {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := gitrepo.Create(t.Context(), dir, from, "main", "begin", gitConfig(t)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func promoter(t testing.TB, config promote.Config) *promote.Promoter {
	t.Helper()
	config.Git = gitConfig(t)
	if config.Scratch == "" {
		config.Scratch = t.TempDir()
	}
	p, err := promote.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	kustomization = `resources: [deployment.yaml]
images:
# the workload
- name: registry.example.com/ml/app # ours
  newTag: v1 # old
- name: other
  newTag: v1
`
	values = `# values
image:
  repository: registry.example.com/ml/app
  tag: "v1"   # behind the colon
  digest: ''
whole: registry.example.com/ml/app:v1 # all of it
else: registry.example.com/ml/other:v1
`
	deployment = `# what runs
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  template:
    spec:
      initContainers:
      - {name: init, image: "registry.example.com/ml/app:v0"}
      containers:
      - name: app
        image: registry.example.com/ml/app:v1 # pinned by assay
      - name: side
        image: registry.example.com/ml/side:v1
---
---
apiVersion: v1
kind: List
items:
- apiVersion: batch/v1
  kind: CronJob
  spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: registry.example.com/ml/app}]}}}}}
`
)

func TestPromote(t *testing.T) {
	pinned := repository + "@" + digest.String()
	for name, c := range map[string]struct {
		file, content string
		config        promote.Config
		replacements  []string
	}{
		"kustomization": {"k/kustomization.yaml", kustomization, promote.Config{Kustomizations: []string{"k/kustomization.yaml"}},
			[]string{"  newTag: v1 # old\n", "  digest: " + digest.String() + "\n"}},
		"kustomization with a name": {"kustomization.yaml", strings.ReplaceAll(kustomization, "name: registry.example.com/ml/app", "name: app"), promote.Config{Kustomizations: []string{"kustomization.yaml"}, Name: "app"},
			[]string{"  newTag: v1 # old\n", "  newName: " + repository + "\n  digest: " + digest.String() + "\n"}},
		"kustomization that is pinned to another": {"kustomization.yaml", "images:\n- {name: registry.example.com/ml/app, digest: \"" + old.String() + "\"}\n", promote.Config{Kustomizations: []string{"kustomization.yaml"}},
			[]string{old.String(), digest.String()}},
		"helm, whole":  {"values.yaml", values, promote.Config{Helm: []promote.Helm{{Path: "values.yaml", Image: "whole"}}}, []string{"registry.example.com/ml/app:v1 #", pinned + " #"}},
		"helm, digest": {"values.yaml", values, promote.Config{Helm: []promote.Helm{{Path: "values.yaml", Digest: "image.digest"}}}, []string{"digest: ''", "digest: '" + digest.String() + "'"}},
		"helm, digest that is not there": {"values.yaml", strings.Replace(values, "  digest: ''\n", "", 1), promote.Config{Helm: []promote.Helm{{Path: "values.yaml", Digest: "image.digest"}}},
			[]string{"# behind the colon\n", "# behind the colon\n  digest: " + digest.String() + "\n"}},
		"helm, tag":            {"values.yaml", values, promote.Config{Helm: []promote.Helm{{Path: "values.yaml", Tag: "image.tag"}}}, []string{`"v1"`, `"v1@` + digest.String() + `"`}},
		"manifest":             {"deployment.yaml", deployment, promote.Config{Manifests: []string{"deployment.yaml"}}, []string{"\"registry.example.com/ml/app:v0\"", "\"" + pinned + "\"", "registry.example.com/ml/app:v1 #", pinned + " #", "{image: registry.example.com/ml/app}", "{image: " + pinned + "}"}},
		"manifest with a name": {"deployment.yaml", strings.ReplaceAll(deployment, "ml/app", "ml/old"), promote.Config{Manifests: []string{"deployment.yaml"}, Name: "registry.example.com/ml/side"}, []string{"registry.example.com/ml/side:v1", pinned}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := origin(t, map[string]string{c.file: c.content, "untouched": "x"})
			c.config.Gate, c.config.Repository, c.config.Scratch = allow(), dir, t.TempDir()
			p := promoter(t, c.config)
			result, err := p.Promote(t.Context(), repository+":v2")
			if err != nil {
				t.Fatal(err)
			}
			if result.Denied || !result.Changed || result.Branch != "main" || !cmp.Equal(result.Files, []string{c.file}) || len(result.Changes) == 0 {
				t.Errorf("result %+v", result)
			}
			want := strings.NewReplacer(c.replacements...).Replace(c.content)
			if diff := cmp.Diff(want, git(t, dir, "show", "main:"+c.file)); diff != "" {
				t.Error(diff)
			}
			if count := strings.TrimSpace(git(t, dir, "rev-list", "--count", "main")); count != "2" {
				t.Errorf("%s commits", count)
			}
			if head := strings.TrimSpace(git(t, dir, "rev-parse", "main")); head != result.Commit {
				t.Errorf("commit %s, want %s", result.Commit, head)
			}

			again, err := p.Promote(t.Context(), repository+":v2")
			if err != nil || again.Changed || again.Denied || again.Commit != result.Commit || len(again.Files) != 0 {
				t.Errorf("again: %+v, %v", again, err)
			}
			if left, err := os.ReadDir(c.config.Scratch); err != nil || len(left) != 0 {
				t.Errorf("clones are left: %v, %v", left, err)
			}
		})
	}
}

func TestMessage(t *testing.T) {
	dir := origin(t, map[string]string{"k.yaml": kustomization})
	p := promoter(t, promote.Config{Gate: allow(), Repository: dir, Kustomizations: []string{"k.yaml"}})
	if _, err := p.Promote(t.Context(), repository+":v2"); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`Pin registry.example.com/ml/app to %s

The gate said allow after 1 passed checks of 2.

Assay-Subject: registry.example.com/ml/app@%s
Assay-Reference: registry.example.com/ml/app:v2
Assay-Decision: allow
Assay-Verdict-Time: 2026-03-01T12:00:00Z
Assay-Policy: ClusterPolicy/p Assay-Forged: yes
Assay-Evidence: %s https://example.com/t

`, digest.Short(), digest, subject.Of([]byte("e")))
	if diff := cmp.Diff(want, git(t, dir, "log", "-1", "--format=%B", "main")); diff != "" {
		t.Error(diff)
	}
	trailers := git(t, dir, "log", "-1", "--format=%(trailers:only,key=Assay-Subject,key=Assay-Forged)", "main")
	if strings.TrimSpace(trailers) != "Assay-Subject: "+repository+"@"+digest.String() {
		t.Errorf("trailers %q", trailers)
	}
}

func TestPullRequest(t *testing.T) {
	dir := origin(t, map[string]string{"k.yaml": kustomization})
	p := promoter(t, promote.Config{Gate: allow(), Repository: dir, Branch: "main", PullRequest: "assay/app", Kustomizations: []string{"k.yaml"}})
	result, err := p.Promote(t.Context(), repository)
	if err != nil || result.Branch != "assay/app" {
		t.Fatalf("%+v, %v", result, err)
	}
	if strings.TrimSpace(git(t, dir, "rev-parse", "assay/app")) != result.Commit || strings.TrimSpace(git(t, dir, "rev-list", "--count", "main")) != "1" {
		t.Error("the branches are not where they should be")
	}
}

// TestDenied holds denials and faults to changing nothing at all.
func TestDenied(t *testing.T) {
	dir := origin(t, map[string]string{"k.yaml": kustomization})
	before := git(t, dir, "for-each-ref")
	fault := errors.New("the registry is away")
	for name, g := range map[string]*gate{
		"denied":              {decision: verdict.Deny, digest: digest},
		"zero":                {digest: digest},
		"fault as a decision": {decision: verdict.Fault, digest: digest},
		"fault":               {err: fault},
		"no digest":           {decision: verdict.Allow},
	} {
		t.Run(name, func(t *testing.T) {
			scratch := t.TempDir()
			// A repository that cannot be cloned: to touch it would be an error.
			p := promoter(t, promote.Config{Gate: g, Repository: dir + ".nowhere", Kustomizations: []string{"k.yaml"}, Scratch: scratch})
			result, err := p.Promote(t.Context(), repository)
			if g.err != nil && !errors.Is(err, fault) || g.asked != 1 {
				t.Errorf("got %v after %d questions", err, g.asked)
			}
			if err == nil && (!result.Denied || result.Changed) || result.Commit != "" {
				t.Errorf("result %+v, %v", result, err)
			}
			if left, _ := os.ReadDir(scratch); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
	if after := git(t, dir, "for-each-ref"); after != before {
		t.Errorf("refs changed: %s", after)
	}
}

func TestWarnAdmits(t *testing.T) {
	dir := origin(t, map[string]string{"k.yaml": kustomization})
	p := promoter(t, promote.Config{Gate: &gate{decision: verdict.Warn, digest: digest, reference: repository + ":v2"}, Repository: dir, Kustomizations: []string{"k.yaml"}})
	if result, err := p.Promote(t.Context(), repository); err != nil || !result.Changed {
		t.Errorf("%+v, %v", result, err)
	}
	if !strings.Contains(git(t, dir, "log", "-1", "--format=%B", "main"), "Assay-Decision: warn") {
		t.Error("the commit does not say warn")
	}
}

func TestRefuses(t *testing.T) {
	files := map[string]string{
		"k.yaml": kustomization, "none.yaml": "resources: []\n", "suffix.yaml": strings.Replace(kustomization, "newTag: v1 # old", "tagSuffix: -x", 1),
		"values.yaml": values, "deployment.yaml": deployment, "link.yaml": "-> k.yaml", "hooks": "-> .git", "empty.yaml": "tag: ''\n",
		"alias.yaml":  "x: &i registry.example.com/ml/app:v1\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: *i}]}\n",
		"side.yaml":   "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: side}]}\n",
		"broken.yaml": "a: [\n", "config.yaml": "apiVersion: v1\nkind: ConfigMap\n",
	}
	dir := origin(t, files)
	before := git(t, dir, "for-each-ref")
	for name, c := range map[string]struct {
		config promote.Config
		want   string
	}{
		"no entry":            {promote.Config{Kustomizations: []string{"none.yaml"}}, "images: has no entry for " + repository},
		"suffix":              {promote.Config{Kustomizations: []string{"suffix.yaml"}}, "tagSuffix"},
		"no file":             {promote.Config{Kustomizations: []string{"nope.yaml"}}, "nope.yaml"},
		"link":                {promote.Config{Kustomizations: []string{"link.yaml"}}, "is a symbolic link"},
		"link to git's own":   {promote.Config{Kustomizations: []string{"hooks/config"}}, "hooks is a symbolic link"},
		"not YAML":            {promote.Config{Kustomizations: []string{"broken.yaml"}}, "broken.yaml: "},
		"another image":       {promote.Config{Helm: []promote.Helm{{Path: "values.yaml", Image: "else"}}}, "which is not " + repository},
		"no field":            {promote.Config{Helm: []promote.Helm{{Path: "values.yaml", Image: "nope"}}}, "nope is not there"},
		"no tag":              {promote.Config{Helm: []promote.Helm{{Path: "empty.yaml", Tag: "tag"}}}, "tag is empty"},
		"no path":             {promote.Config{Helm: []promote.Helm{{Path: "values.yaml", Image: "a..b"}}}, "a key is empty"},
		"nothing uses it":     {promote.Config{Manifests: []string{"side.yaml"}, Name: "nope"}, "nothing in it uses nope; it uses: side"},
		"no workload":         {promote.Config{Manifests: []string{"config.yaml"}}, "nothing in it uses"},
		"alias":               {promote.Config{Manifests: []string{"alias.yaml"}}, "is an alias"},
		"one of two":          {promote.Config{Kustomizations: []string{"k.yaml", "none.yaml"}}, "none.yaml"},
		"branch":              {promote.Config{Kustomizations: []string{"k.yaml"}, Branch: "nope"}, "nope"},
		"branch as an option": {promote.Config{Kustomizations: []string{"k.yaml"}, PullRequest: "--force"}, "is no name for a branch"},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Gate, c.config.Repository = allow(), dir
			result, err := promoter(t, c.config).Promote(t.Context(), repository)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want an error with %q", result, err, c.want)
			}
		})
	}
	if after := git(t, dir, "for-each-ref"); after != before {
		t.Errorf("refs changed: %s", after)
	}
}

func TestNewRefuses(t *testing.T) {
	good := promote.Config{Gate: allow(), Repository: "r", Scratch: "s", Manifests: []string{"m"}}
	if _, err := promote.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*promote.Config){
		"no gate":       func(c *promote.Config) { c.Gate = nil },
		"no repository": func(c *promote.Config) { c.Repository = "" },
		"no scratch":    func(c *promote.Config) { c.Scratch = "" },
		"no files":      func(c *promote.Config) { c.Manifests = nil },
		"outside":       func(c *promote.Config) { c.Manifests = []string{"../m"} },
		"git's own":     func(c *promote.Config) { c.Kustomizations = []string{"a/../.git/config"} },
		"no field":      func(c *promote.Config) { c.Helm = []promote.Helm{{Path: "v"}} },
		"two fields":    func(c *promote.Config) { c.Helm = []promote.Helm{{Path: "v", Image: "a", Digest: "b"}} },
	} {
		config := good
		change(&config)
		if _, err := promote.New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRace lets promoters of different images write neighbouring lines of one
// file at once: git alone would call that a conflict.
func TestRace(t *testing.T) {
	const promoters = 3
	content := "images:\n"
	for i := range promoters {
		content += fmt.Sprintf("- name: registry.example.com/ml/app%d\n  newTag: v1\n", i)
	}
	dir := origin(t, map[string]string{"k.yaml": content})
	var wait sync.WaitGroup
	failed := make([]error, promoters)
	for i := range promoters {
		g := &gate{decision: verdict.Allow, digest: digest, reference: fmt.Sprintf("registry.example.com/ml/app%d", i)}
		p := promoter(t, promote.Config{Gate: g, Repository: dir, Kustomizations: []string{"k.yaml"}})
		wait.Go(func() { _, failed[i] = p.Promote(t.Context(), "x") })
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	if got := git(t, dir, "show", "main:k.yaml"); got != strings.ReplaceAll(content, "newTag: v1", "digest: "+digest.String()) {
		t.Errorf("got %s", got)
	}
	if count := strings.TrimSpace(git(t, dir, "rev-list", "--count", "main")); count != fmt.Sprint(promoters+1) {
		t.Errorf("%s commits", count)
	}
}

// overtaken pushes other content between the promoter's clone and its push,
// through the hook that the pushed-to side runs first.
func overtaken(t *testing.T, dir, replacement string) {
	t.Helper()
	from := t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "k.yaml"), []byte(replacement), 0o644); err != nil {
		t.Fatal(err)
	}
	hook := fmt.Sprintf(`#!/bin/sh
test -e %[1]s/done && exit 0
touch %[1]s/done
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
blob=$(git hash-object -w %[1]s/k.yaml)
tree=$(printf '100644 blob %%s\tk.yaml\n' "$blob" | git mktree)
commit=$(git -c user.name=x -c user.email=x@example.com commit-tree -p main -m theirs "$tree")
git update-ref refs/heads/main "$commit"
`, from)
	path := filepath.Join(dir, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestOvertaken(t *testing.T) {
	mine := strings.Replace(kustomization, "  newTag: v1 # old\n", "  digest: "+digest.String()+"\n", 1)
	for name, c := range map[string]struct {
		theirs, want string
		conflict     bool
		changed      bool
	}{
		"a line nearby":  {strings.Replace(kustomization, "other\n", "another\n", 1), strings.Replace(mine, "other\n", "another\n", 1), false, true},
		"the same place": {strings.Replace(kustomization, "newTag: v1 # old", "newTag: v2 # new", 1), "", true, false},
		"another digest": {strings.Replace(kustomization, "newTag: v1 # old", "digest: "+old.String(), 1), "", true, false},
		"the same":       {mine, mine, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := origin(t, map[string]string{"k.yaml": kustomization})
			overtaken(t, dir, c.theirs)
			p := promoter(t, promote.Config{Gate: allow(), Repository: dir, Kustomizations: []string{"k.yaml"}})
			result, err := p.Promote(t.Context(), repository)
			if c.conflict {
				if !errors.Is(err, gitrepo.ErrConflict) || !strings.Contains(err.Error(), "k.yaml") {
					t.Errorf("got %+v, %v", result, err)
				}
				if got := git(t, dir, "show", "main:k.yaml"); got != c.theirs {
					t.Errorf("their change is gone: %s", got)
				}
				return
			}
			if err != nil || result.Changed != c.changed {
				t.Fatalf("%+v, %v", result, err)
			}
			if diff := cmp.Diff(c.want, git(t, dir, "show", "main:k.yaml")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDockerHub(t *testing.T) {
	for _, spelled := range []string{"python:3.12", "docker.io/library/python", "index.docker.io/library/python:x", "library/python"} {
		dir := origin(t, map[string]string{"p.yaml": "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: \"" + spelled + "\"}]}\n"})
		g := &gate{decision: verdict.Allow, digest: digest, reference: "index.docker.io/library/python"}
		p := promoter(t, promote.Config{Gate: g, Repository: dir, Manifests: []string{"p.yaml"}})
		result, err := p.Promote(t.Context(), "python")
		if err != nil || !result.Changed {
			t.Errorf("%s: %+v, %v", spelled, result, err)
			continue
		}
		name, _, _ := strings.Cut(spelled, ":")
		if got := git(t, dir, "show", "main:p.yaml"); !strings.Contains(got, `"`+name+"@"+digest.String()+`"`) {
			t.Errorf("%s: %s", spelled, got)
		}
	}
}
