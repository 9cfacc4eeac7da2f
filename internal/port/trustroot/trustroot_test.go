package trustroot_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/signingconfig"
	"github.com/seed-161fc314/assay/internal/port/trustroot"
	"github.com/seed-161fc314/assay/internal/port/trustroot/trustroottest"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func material(t *testing.T) trustroot.Material {
	t.Helper()
	config, err := signingconfig.Config{Authorities: []signingconfig.Service{{URL: "https://fulcio.example.com", Version: 1}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return trustroot.Material{Root: trusttest.New(t, now).Root(), SigningConfig: config}
}

// repository is a TUF repository with trust material.
type repository struct {
	*trustroottest.Repository
	t *testing.T
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	return &repository{trustroottest.New(t, now), t}
}

func (r *repository) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// publish signs a version of the targets.
func (r *repository) publish(version int64, m trustroot.Material, expires time.Time) {
	r.t.Helper()
	r.Publish(version, map[string][]byte{"trusted_root.json": m.Root, "signing_config.v0.2.json": m.SigningConfig}, expires)
}

func (r *repository) config(mirror string) trustroot.Config {
	return trustroot.Config{Mirror: mirror, Root: r.Files["1.root.json"], Now: now, Wait: func(context.Context, time.Duration) error { return nil }}
}

func load(t *testing.T, dir string) trustroot.Material {
	t.Helper()
	m, _, err := trustroot.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// whole wants a directory to hold this and nothing half-written.
func whole(t *testing.T, dir string, want trustroot.Material) {
	t.Helper()
	if diff := cmp.Diff(want, load(t, dir)); diff != "" {
		t.Error(diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".lock" {
			t.Errorf("left behind: %s", entry.Name())
		}
	}
}

func TestFetchAndUpdate(t *testing.T) {
	r := newRepository(t)
	first, second := material(t), material(t)
	r.publish(1, first, now.AddDate(0, 0, 1))
	dir := filepath.Join(t.TempDir(), "trust")
	got, err := trustroot.Fetch(t.Context(), dir, r.config(r.Serve()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, got); diff != "" {
		t.Error(diff)
	}
	whole(t, dir, first)
	if _, source, err := trustroot.Load(dir); err != nil || !source.Fetched.Equal(now) || !strings.HasPrefix(source.Mirror, "http://") {
		t.Errorf("source %+v, %v", source, err)
	}

	// Nothing new, and then something.
	if got, old, err := trustroot.Update(t.Context(), dir, r.config("")); err != nil || cmp.Diff(got, old) != "" {
		t.Errorf("nothing new: %v", err)
	}
	r.publish(2, second, now.AddDate(0, 0, 2))
	got, old, err := trustroot.Update(t.Context(), dir, r.config(""))
	if err != nil || cmp.Diff(second, got) != "" || cmp.Diff(first, old) != "" {
		t.Errorf("something new: %v", err)
	}
	whole(t, dir, second)

	// A new root, signed by the old one's key, with another timestamp key.
	r.Root.Signed.Version = 2
	r.must(r.Root.Signed.RevokeKey(r.Root.Signed.Roles["timestamp"].KeyIDs[0], "timestamp"))
	private := r.AddKey("timestamp")
	r.Files["2.root.json"] = trustroottest.Sign(r.Repository, "root", r.Root)
	r.Keys["timestamp"] = private
	r.publish(3, first, now.AddDate(0, 0, 3))
	if _, _, err := trustroot.Update(t.Context(), dir, r.config("")); err != nil {
		t.Errorf("a rotated key: %v", err)
	}
	whole(t, dir, first)
}

func TestDirectory(t *testing.T) {
	r := newRepository(t)
	m := material(t)
	m.SigningConfig = nil
	r.publish(1, m, now.AddDate(0, 0, 1))
	mirror, dir := t.TempDir(), t.TempDir()
	r.Write(mirror)
	if _, err := trustroot.Fetch(t.Context(), dir, r.config(mirror)); err != nil {
		t.Fatal(err)
	}
	whole(t, dir, m)
	if _, _, err := trustroot.Update(t.Context(), dir, r.config("")); err != nil {
		t.Error(err)
	}
	r.must(os.RemoveAll(mirror))
	if _, _, err := trustroot.Update(t.Context(), dir, r.config("")); err == nil || !strings.Contains(err.Error(), mirror) {
		t.Errorf("the directory is gone: %v", err)
	}
	whole(t, dir, m)
}

// TestFaults breaks the repository after a first fetch: an update fails with
// the reason, and what was there stays. The twin in each case is a first
// fetch, which leaves nothing.
func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(*repository)
		want  string
	}{
		"down":    {func(r *repository) { r.Files = nil }, "http status code: 404"},
		"expired": {func(r *repository) { r.publish(2, material(r.t), now.Add(-time.Second)) }, "expired"},
		"wrong key": {func(r *repository) {
			r.Keys["targets"] = r.Keys["snapshot"]
			r.publish(2, material(r.t), now.AddDate(0, 0, 1))
		}, "targets"},
		"changed bytes":  {func(r *repository) { r.publish(2, material(r.t), now.AddDate(0, 0, 1)); spoil(r, "trusted_root.json") }, "hash"},
		"missing target": {func(r *repository) { m := material(r.t); m.Root = nil; r.publish(2, m, now.AddDate(0, 0, 1)) }, "trusted_root.json not found"},
		"lost target": {func(r *repository) {
			r.publish(2, material(r.t), now.AddDate(0, 0, 1))
			for name := range r.Files {
				if strings.HasPrefix(name, "targets/") {
					delete(r.Files, name)
				}
			}
		}, "404"},
		"no root": {func(r *repository) {
			m := material(r.t)
			m.Root = []byte(`{"mediaType":"x"}`)
			r.publish(2, m, now.AddDate(0, 0, 1))
		}, "no trusted root"},
		"no signing configuration": {func(r *repository) {
			m := material(r.t)
			m.SigningConfig = []byte("{}")
			r.publish(2, m, now.AddDate(0, 0, 1))
		}, "mediaType"},
		"half a timestamp": {func(r *repository) { r.Files["timestamp.json"] = r.Files["timestamp.json"][:100] }, "unexpected end"},
		"endless":          {func(r *repository) { r.Files["timestamp.json"] = make([]byte, 16385) }, "larger than the bound"},
		"a stranger's root": {func(r *repository) {
			stranger := newRepository(r.t)
			stranger.Root.Signed.Version = 2
			r.Files["2.root.json"] = trustroottest.Sign(stranger.Repository, "root", stranger.Root)
		}, "root"},
	} {
		r := newRepository(t)
		before := material(t)
		r.publish(1, before, now.AddDate(0, 0, 1))
		mirror, dir, fresh := r.Serve(), t.TempDir(), t.TempDir()
		if _, err := trustroot.Fetch(t.Context(), dir, r.config(mirror)); err != nil {
			t.Fatal(err)
		}
		config := r.config(mirror)
		test.fault(r)
		if _, _, err := trustroot.Update(t.Context(), dir, config); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), mirror) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		whole(t, dir, before)
		if _, err := trustroot.Fetch(t.Context(), fresh, config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, first fetch: got %v, want %q", name, err, test.want)
		}
		if _, _, err := trustroot.Load(fresh); !errors.Is(err, trustroot.ErrMissing) {
			t.Errorf("%s: a first fetch left something: %v", name, err)
		}
	}
}

// spoil flips a byte of a target that was published last.
func spoil(r *repository, target string) {
	for name, content := range r.Files {
		if strings.HasSuffix(name, "."+target) {
			content = slices.Clone(content)
			content[len(content)/2] ^= 1
			r.Files[name] = content
		}
	}
}

// TestRollback: a repository that goes back to what it said before is refused,
// also after an operator's file system lost half of what was remembered.
func TestRollback(t *testing.T) {
	r := newRepository(t)
	first, second := material(t), material(t)
	r.publish(1, first, now.AddDate(0, 0, 9))
	old := map[string][]byte{}
	for name, content := range r.Files {
		old[name] = content
	}
	r.publish(2, second, now.AddDate(0, 0, 9))
	mirror, dir := r.Serve(), t.TempDir()
	if _, err := trustroot.Fetch(t.Context(), dir, r.config(mirror)); err != nil {
		t.Fatal(err)
	}
	r.Files = old
	if _, _, err := trustroot.Update(t.Context(), dir, r.config("")); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("rolled back: %v", err)
	}
	whole(t, dir, second)
	for _, file := range []string{"timestamp.json", "snapshot.json", "root.json"} {
		path := filepath.Join(dir, "tuf", file)
		content, err := os.ReadFile(path)
		r.must(err)
		r.must(os.WriteFile(path, content[:len(content)/2], 0o644))
		if _, _, err := trustroot.Update(t.Context(), dir, r.config("")); err == nil {
			t.Errorf("%s was half-written, and the old version passed", file)
		}
		r.must(os.Remove(path))
		if _, _, err := trustroot.Update(t.Context(), dir, r.config("")); err == nil {
			t.Errorf("%s was lost, and the old version passed", file)
		}
		r.must(os.WriteFile(path, content, 0o644))
	}
	whole(t, dir, second)
	// The operator can start again.
	config := r.config(mirror)
	if _, err := trustroot.Fetch(t.Context(), dir, config); !errors.Is(err, trustroot.ErrPresent) {
		t.Errorf("fetched over what is there: %v", err)
	}
	config.Replace = true
	if _, err := trustroot.Fetch(t.Context(), dir, config); err != nil {
		t.Error(err)
	}
	whole(t, dir, first)
}

func TestServerFaults(t *testing.T) {
	r := newRepository(t)
	r.publish(1, material(t), now.AddDate(0, 0, 1))
	calls := 0
	answer := func(w http.ResponseWriter, request *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if calls++; calls <= 3 {
			answer(w, request)
			return
		}
		r.ServeHTTP(w, request)
	}))
	defer server.Close()
	if _, err := trustroot.Fetch(t.Context(), t.TempDir(), r.config(server.URL)); err == nil || !strings.Contains(err.Error(), "503") || calls != 3 {
		t.Errorf("down: %v after %d calls", err, calls)
	}
	calls = 1
	if _, err := trustroot.Fetch(t.Context(), t.TempDir(), r.config(server.URL)); err != nil {
		t.Errorf("down for two calls: %v", err)
	}
	calls, answer = 0, func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, "http://192.0.2.1/", http.StatusFound)
	}
	if _, err := trustroot.Fetch(t.Context(), t.TempDir(), r.config(server.URL)); err == nil || !strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("sent away: %v", err)
	}
	release := make(chan struct{})
	defer close(release)
	calls, answer = 0, func(http.ResponseWriter, *http.Request) { <-release }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := trustroot.Fetch(ctx, t.TempDir(), r.config(server.URL)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("slow: %v", err)
	}
}

func TestImport(t *testing.T) {
	first, second := material(t), material(t)
	second.SigningConfig = nil
	dir := filepath.Join(t.TempDir(), "a", "b")
	if _, _, err := trustroot.Load(dir); !errors.Is(err, trustroot.ErrMissing) {
		t.Errorf("nothing there: %v", err)
	}
	if err := trustroot.Import(dir, first, false); err != nil {
		t.Fatal(err)
	}
	whole(t, dir, first)
	if err := trustroot.Import(dir, second, false); !errors.Is(err, trustroot.ErrPresent) {
		t.Errorf("replaced unasked: %v", err)
	}
	whole(t, dir, first)
	if err := trustroot.Import(dir, second, true); err != nil {
		t.Error(err)
	}
	whole(t, dir, second)
	for name, m := range map[string]trustroot.Material{
		"no root": {Root: []byte("{}")}, "no configuration": {Root: first.Root, SigningConfig: []byte("[]")},
		"large": {Root: make([]byte, limit.TrustedRoot+1)},
	} {
		if err := trustroot.Import(dir, m, true); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	whole(t, dir, second)
	if _, _, err := trustroot.Update(t.Context(), dir, trustroot.Config{Now: now}); err == nil || !strings.Contains(err.Error(), "handed over") {
		t.Errorf("updated files: %v", err)
	}
	// Files take the place of what a repository said, which counts no more.
	r := newRepository(t)
	r.publish(1, first, now.AddDate(0, 0, 1))
	config := r.config(r.Serve())
	config.Replace = true
	if _, err := trustroot.Fetch(t.Context(), dir, config); err != nil {
		t.Fatal(err)
	}
	if err := trustroot.Import(dir, second, true); err != nil {
		t.Fatal(err)
	}
	if _, source, err := trustroot.Load(dir); err != nil || source.Mirror != "" {
		t.Errorf("source %+v, %v", source, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		config trustroot.Config
		want   string
	}{
		"no root":     {trustroot.Config{Mirror: "https://tuf.example.com", Now: now}, "needs its root.json"},
		"no clock":    {trustroot.Config{Mirror: "https://tuf.example.com", Root: []byte("{}")}, "clock"},
		"a bad root":  {trustroot.Config{Mirror: "https://tuf.example.com", Root: []byte("{}"), Now: now}, "root.json"},
		"a password":  {trustroot.Config{Mirror: "https://a:b@tuf.example.com", Root: []byte("{}"), Now: now}, "without a password"},
		"another way": {trustroot.Config{Mirror: "ftp://tuf.example.com", Root: []byte("{}"), Now: now}, "want https"},
	} {
		if _, err := trustroot.Fetch(t.Context(), t.TempDir(), test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
