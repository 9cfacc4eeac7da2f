// Package trustroottest makes TUF repositories with trust material, for tests.
//
// Entry point is [New]. A test breaks a [Repository] by its exported fields.
// What it holds is what a server or a directory would.
package trustroottest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Repository is a TUF repository.
type Repository struct {
	t testing.TB
	// Keys sign, by role: root, timestamp, snapshot, targets.
	Keys map[string]ed25519.PrivateKey
	Root *metadata.Metadata[metadata.RootType]
	// Files are what it serves, by path.
	Files map[string][]byte
}

// New makes one with a root that is valid for a year, and nothing published.
func New(t testing.TB, now time.Time) *Repository {
	t.Helper()
	r := &Repository{t: t, Keys: map[string]ed25519.PrivateKey{}, Root: metadata.Root(now.AddDate(1, 0, 0)), Files: map[string][]byte{}}
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		r.Keys[role] = r.AddKey(role)
	}
	r.Files["1.root.json"] = Sign(r, "root", r.Root)
	return r
}

// AddKey makes a key that the root, once it is signed again, has for a role.
func (r *Repository) AddKey(role string) ed25519.PrivateKey {
	r.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	r.must(err)
	key, err := metadata.KeyFromPublicKey(private.Public())
	r.must(err)
	r.must(r.Root.Signed.AddKey(key, role))
	return private
}

func (r *Repository) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// Sign signs metadata with a role's key, in JSON.
func Sign[T metadata.Roles](r *Repository, role string, m *metadata.Metadata[T]) []byte {
	r.t.Helper()
	signer, err := signature.LoadSigner(r.Keys[role], crypto.Hash(0))
	r.must(err)
	m.ClearSignatures()
	_, err = m.Sign(signer)
	r.must(err)
	content, err := m.ToBytes(false)
	r.must(err)
	return content
}

// Publish signs a version of the targets, by name; nil ones are left out.
func (r *Repository) Publish(version int64, targets map[string][]byte, expires time.Time) {
	r.t.Helper()
	list := metadata.Targets(expires)
	list.Signed.Version = version
	for name, content := range targets {
		if content == nil {
			continue
		}
		info, err := metadata.TargetFile().FromBytes(name, content, "sha256")
		r.must(err)
		list.Signed.Targets[name] = info
		sum := sha256.Sum256(content)
		r.Files["targets/"+hex.EncodeToString(sum[:])+"."+name] = content
	}
	snapshot := metadata.Snapshot(expires)
	snapshot.Signed.Version = version
	snapshot.Signed.Meta["targets.json"].Version = version
	timestamp := metadata.Timestamp(expires)
	timestamp.Signed.Version = version
	timestamp.Signed.Meta["snapshot.json"].Version = version
	r.Files[fmt.Sprintf("%d.targets.json", version)] = Sign(r, "targets", list)
	r.Files[fmt.Sprintf("%d.snapshot.json", version)] = Sign(r, "snapshot", snapshot)
	r.Files["timestamp.json"] = Sign(r, "timestamp", timestamp)
}

// ServeHTTP serves the files.
func (r *Repository) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	content, found := r.Files[strings.TrimPrefix(request.URL.Path, "/")]
	if !found {
		http.NotFound(w, request)
		return
	}
	_, _ = w.Write(content) // who went away does not want it
}

// Serve gives the URL of a server that stops with the test.
func (r *Repository) Serve() string {
	server := httptest.NewServer(r)
	r.t.Cleanup(server.Close)
	return server.URL
}

// Write puts all files into a directory.
func (r *Repository) Write(dir string) {
	r.t.Helper()
	for name, content := range r.Files {
		path := filepath.Join(dir, name)
		r.must(os.MkdirAll(filepath.Dir(path), 0o755))
		r.must(os.WriteFile(path, content, 0o644))
	}
}
