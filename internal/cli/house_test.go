package cli_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/cli"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// house is a directory and a registry that commands run in.
type house struct {
	t      *testing.T
	server *ocitest.Server
	dir    string
	now    time.Time
	stdin  string
	width  int // of the terminal; 0 is none
	env    []string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	return &house{t: t, server: ocitest.New(t, registry.Config{}), dir: t.TempDir(), now: time.Now()}
}

// ran is what a command said.
type ran struct {
	code     int
	out, err string
}

// run runs one command in the house.
func (h *house) run(arguments ...string) ran {
	h.t.Helper()
	var out, err bytes.Buffer
	code := cli.Run(context.Background(), arguments, cli.Host{
		In: strings.NewReader(h.stdin), Out: &out, Err: &err, Dir: h.dir, Now: func() time.Time { return h.now },
		Env:         append([]string{"HOME=" + h.dir, "ASSAY_REGISTRY=" + filepath.Join(h.dir, "registry")}, h.env...),
		OutTerminal: h.width > 0, Width: h.width,
	})
	return ran{code, out.String(), err.String()}
}

// want holds a command to its exit code and to words on the two streams
// together; a word that begins with ! must not be there.
func (h *house) want(code int, words []string, arguments ...string) ran {
	h.t.Helper()
	got := h.run(arguments...)
	if got.code != code {
		h.t.Fatalf("assay %s: exit code %d, want %d\n%s%s", strings.Join(arguments, " "), got.code, code, got.out, got.err)
	}
	for _, word := range words {
		if absent, negated := strings.CutPrefix(word, "!"); negated == strings.Contains(got.out+got.err, strings.TrimPrefix(absent, "!")) {
			h.t.Errorf("assay %s: %q\n%s%s", strings.Join(arguments, " "), word, got.out, got.err)
		}
	}
	return got
}

func (h *house) write(name string, content []byte) string {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), content, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return name
}

// key writes NAME.key, not encrypted, and NAME.pub.
func (h *house) key(name string) crypto.Signer {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	h.keep(name, key)
	return key
}

func (h *house) keep(name string, key crypto.Signer) {
	h.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		h.t.Fatal(err)
	}
	public, err := cosignkey.EncodePublic(key.Public())
	if err != nil {
		h.t.Fatal(err)
	}
	h.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	h.write(name+".pub", public)
}

// push pushes an image, or with several platforms an index, and gives its
// reference by tag.
func (h *house) push(name string, platforms ...string) (reference string, resolved oci.Resolved) {
	h.t.Helper()
	ctx := h.t.Context()
	client := oci.New(oci.Config{})
	repository := h.server.Host + "/" + name
	resolved, err := client.PushLayout(ctx, repository, ocitest.Layout(h.t, platforms...))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := client.Tag(ctx, repository, resolved.Digest, "1.0"); err != nil {
		h.t.Fatal(err)
	}
	return repository + ":1.0", resolved
}
