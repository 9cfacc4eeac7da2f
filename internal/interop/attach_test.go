//go:build interop

package interop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// shipped builds assay as it is shipped.
func shipped(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "assay")
	command := exec.Command(program(t, "go", "golang-go"), "build", "-o", path, "github.com/seed-161fc314/assay/cmd/assay")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// keyPair writes a key pair without a password: none of the processes below
// waits for scrypt, so that they meet.
func (s *stage) keyPair() {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("ci.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	s.write("ci.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
}

// pushed pushes a small image, and gives its repository and what it is.
func pushed(t *testing.T, host string) oci.Resolved {
	t.Helper()
	resolved, err := oci.New(oci.Config{}).PushLayout(t.Context(), host+"/team/app", ocitest.Layout(t))
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// TestAttachLosesNothing has 32 processes attest one image at the same time,
// in each layout, on registries of every kind. cosign 3.1.3 keeps 4 of 8 in the
// older layout, and 6 of 8 in the fallback tag.
func TestAttachLosesNothing(t *testing.T) {
	assay := shipped(t)
	const processes = 32
	ours := func(config registry.Config) func(*testing.T) string {
		return func(t *testing.T) string { return ocitest.New(t, config).Host }
	}
	theirs := func(api bool) func(*testing.T) string {
		return func(t *testing.T) string {
			server := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(api)))
			t.Cleanup(server.Close)
			return strings.TrimPrefix(server.URL, "http://")
		}
	}
	for name, start := range map[string]func(*testing.T) string{
		"embedded":                                    ours(registry.Config{}),
		"embedded without API":                        ours(registry.Config{WithoutReferrers: true}),
		"embedded without conditions":                 ours(registry.Config{WithoutConditions: true, WithoutWholeUploads: true}),
		"embedded without API and conditions":         ours(registry.Config{WithoutReferrers: true, WithoutConditions: true}),
		"go-containerregistry":                        theirs(false),
		"go-containerregistry with the referrers API": theirs(true),
		"Debian's docker-registry":                    dockerRegistry,
	} {
		for _, layout := range []string{"bundle", "legacy"} {
			t.Run(name+", "+layout, func(t *testing.T) {
				s := newStage(t)
				s.keyPair()
				image := pushed(t, start(t))
				var group errgroup.Group
				for i := range processes {
					s.write(fmt.Sprintf("%d.json", i), fmt.Sprintf(`{"number":%d}`, i))
					group.Go(func() error {
						out, err := s.run(assay, "attest", "--key", "ci.key", "--layout", layout, "--type", "https://example.com/number", "--predicate", fmt.Sprintf("%d.json", i), image.Pinned())
						if err != nil {
							return fmt.Errorf("%w\n%s", err, out)
						}
						return nil
					})
				}
				if err := group.Wait(); err != nil {
					t.Fatal(err)
				}
				got, err := oci.New(oci.Config{}).Evidence(t.Context(), image.Name(), image.Digest)
				if err != nil || len(got) != processes {
					t.Fatalf("%d of %d are kept: %v", len(got), processes, err)
				}
				s.wants(0, nil, "verify-attestation", "--key", "ci.pub", "--type", "https://example.com/number", image.Pinned())
			})
		}
	}
}

// TestLargeEvidence attests and verifies a predicate of 16 MB in each layout,
// and bounds the memory of both.
func TestLargeEvidence(t *testing.T) {
	assay := shipped(t)
	for _, layout := range []string{"bundle", "legacy"} {
		t.Run(layout, func(t *testing.T) {
			s := newStage(t)
			s.keyPair()
			image := pushed(t, ocitest.New(t, registry.Config{WithoutWholeUploads: layout == "legacy"}).Host)
			var b strings.Builder
			b.WriteString(`{"spdxVersion":"SPDX-2.3","creationInfo":{"created":"2026-01-02T03:04:05Z","creators":["Tool: example"]},"packages":[`)
			for i := 0; b.Len() < 16<<20; i++ {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, `{"name":"package-%d","SPDXID":"SPDXRef-%d","versionInfo":"1.%d","downloadLocation":"NOASSERTION","licenseConcluded":"Apache-2.0"}`, i, i, i)
			}
			b.WriteString(`]}`)
			s.write("sbom.json", b.String())
			for _, arguments := range [][]string{
				{"attest", "--key", "ci.key", "--layout", layout, "--type", "spdx", "--predicate", "sbom.json", image.Pinned()},
				{"verify-attestation", "--key", "ci.pub", "--type", "spdx", image.Pinned()},
			} {
				command := exec.Command(assay, arguments...)
				command.Dir, command.Env = s.dir, s.env
				if out, err := command.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%.2000s", arguments[0], err, out)
				}
				usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage)
				if !ok {
					t.Fatal("the system does not say how much memory a process took")
				}
				most := usage.Maxrss >> 10
				t.Logf("%s of 16 MB (%s): %d MB at most, %v of CPU", arguments[0], layout, most, command.ProcessState.UserTime())
				if most > 600 {
					t.Errorf("%s took %d MB", arguments[0], most)
				}
			}
		})
	}
}
