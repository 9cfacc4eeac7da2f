//go:build interop

package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/seed-161fc314/assay/internal/cli"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// peer is the path of a peer's binary; one that is missing fails the test.
func peer(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("ASSAY_PEERS")
	if dir == "" {
		t.Fatal("ASSAY_PEERS is not set; run `make interop`, which builds the peers and names their directory")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; run `make interop`, which builds it", err)
	}
	return path
}

// program finds a Debian package's program.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; run `make interop`, or apt-get install %s", name, pkg)
	}
	return path
}

// stage is a working directory with a key pair, and the environment that all
// commands of a test share.
type stage struct {
	t   *testing.T
	dir string
	env []string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	dir := t.TempDir()
	s := &stage{t: t, dir: dir, env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "ASSAY_PASSWORD=secret", "COSIGN_PASSWORD=secret", "ASSAY_REGISTRY=" + filepath.Join(dir, "registry")}}
	return s
}

// assay runs a command of ours, in process.
func (s *stage) assay(arguments ...string) (string, int) {
	s.t.Helper()
	var out bytes.Buffer
	code := cli.Run(context.Background(), arguments, cli.Host{In: strings.NewReader(""), Out: &out, Err: &out, Env: s.env, Dir: s.dir, Now: time.Now, Width: 100})
	return out.String(), code
}

// wants runs a command of ours and holds it to an exit code and to words.
func (s *stage) wants(code int, words []string, arguments ...string) string {
	s.t.Helper()
	out, got := s.assay(arguments...)
	if got != code {
		s.t.Errorf("assay %s: exit code %d, want %d\n%s", strings.Join(arguments, " "), got, code, out)
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			s.t.Errorf("assay %s does not say %q:\n%s", strings.Join(arguments, " "), word, out)
		}
	}
	return out
}

// run runs a peer.
func (s *stage) run(path string, arguments ...string) (string, error) {
	command := exec.Command(path, arguments...)
	command.Dir, command.Env = s.dir, s.env
	out, err := command.CombinedOutput()
	return string(out), err
}

func (s *stage) must(path string, arguments ...string) string {
	s.t.Helper()
	out, err := s.run(path, arguments...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", filepath.Base(path), strings.Join(arguments, " "), err, out)
	}
	return out
}

func (s *stage) write(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// registries are the servers that everything is tried on.
func registries(t *testing.T) map[string]func(*testing.T) string {
	t.Helper()
	handler := func(h http.Handler) func(*testing.T) string {
		return func(t *testing.T) string {
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			return strings.TrimPrefix(server.URL, "http://")
		}
	}
	silent := ggcr.Logger(log.New(io.Discard, "", 0))
	ours, err := registry.Open(t.TempDir(), registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func(*testing.T) string{
		"embedded":             handler(ours),
		"go-containerregistry": handler(ggcr.New(silent)),
		"go-containerregistry with referrers API": handler(ggcr.New(silent, ggcr.WithReferrersSupport(true))),
		"Debian's docker-registry":                dockerRegistry,
	}
}

// dockerRegistry starts Debian's docker-registry, which has no referrers API.
func dockerRegistry(t *testing.T) string {
	t.Helper()
	path := program(t, "docker-registry", "docker-registry")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %s}\nhttp: {addr: %s}\n", dir, address)), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path, "serve", config)
	var log bytes.Buffer
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		_ = command.Wait()
	})
	client := http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		response, err := client.Get("http://" + address + "/v2/")
		if err == nil {
			response.Body.Close()
			return address
		}
	}
	t.Fatalf("docker-registry did not answer:\n%s", log.String())
	return ""
}

// image pushes a small image with crane, and gives its reference by digest.
func (s *stage) image(host, name string) string {
	s.t.Helper()
	crane := peer(s.t, "crane")
	s.write("layer.tar", string(make([]byte, 1024)))
	reference := host + "/" + name
	s.must(crane, "append", "--new_layer", "layer.tar", "--new_tag", reference+":one")
	command := exec.Command(crane, "digest", reference+":one")
	command.Env = s.env
	digest, err := command.Output()
	if err != nil {
		s.t.Fatal(err)
	}
	return reference + "@" + strings.TrimSpace(string(digest))
}

const slsa = `{"builder":{"id":"https://example.com/builder"},"buildType":"https://example.com/type"}`

// TestCosignVerifiesOurs: what assay signs and attests, cosign 3 accepts, in
// both layouts and on every registry; with another key it does not.
func TestCosignVerifiesOurs(t *testing.T) {
	cosign := peer(t, "cosign")
	for name, start := range registries(t) {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			host := start(t)
			s.wants(0, nil, "key", "generate", "--output-key-prefix", "ci")
			s.wants(0, nil, "key", "generate", "--output-key-prefix", "eve")
			s.write("predicate.json", slsa)
			for _, layout := range []string{"bundle", "legacy", "both"} {
				image := s.image(host, "ours/"+layout)
				s.wants(0, []string{"signed"}, "sign", "--key", "ci.key", "--layout", layout, "-a", "commit=abc", image)
				s.wants(0, []string{"attested"}, "attest", "--key", "ci.key", "--layout", layout, "--type", "slsaprovenance", "--predicate", "predicate.json", image)
				formats := []string{"--new-bundle-format=true", "--new-bundle-format=false"}
				switch layout {
				case "bundle":
					formats = formats[:1]
				case "legacy":
					formats = formats[1:]
				}
				for _, format := range formats {
					s.must(cosign, "verify", "--key", "ci.pub", "--insecure-ignore-tlog", format, image)
					s.must(cosign, "verify", "--key", "ci.pub", "--insecure-ignore-tlog", "-a", "commit=abc", format, image)
					s.must(cosign, "verify-attestation", "--key", "ci.pub", "--insecure-ignore-tlog", "--type", "slsaprovenance", format, image)
					for what, arguments := range map[string][]string{
						"another key":        {"verify", "--key", "eve.pub", "--insecure-ignore-tlog", format, image},
						"another annotation": {"verify", "--key", "ci.pub", "--insecure-ignore-tlog", "-a", "commit=xyz", format, image},
						"another type":       {"verify-attestation", "--key", "ci.pub", "--insecure-ignore-tlog", "--type", "spdx", format, image},
						"another key, att":   {"verify-attestation", "--key", "eve.pub", "--insecure-ignore-tlog", "--type", "slsaprovenance", format, image},
					} {
						if out, err := s.run(cosign, arguments...); err == nil {
							t.Errorf("%s, %s, %s: cosign accepts it\n%s", layout, format, what, out)
						}
					}
				}
			}
		})
	}
}

// TestWeVerifyCosigns: what cosign 3 signs and attests, in both layouts, assay
// accepts; with another key, and for another type, it does not.
func TestWeVerifyCosigns(t *testing.T) {
	cosign := peer(t, "cosign")
	for name, start := range registries(t) {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			host := start(t)
			s.must(cosign, "generate-key-pair", "--output-key-prefix", "ci")
			s.wants(0, nil, "key", "generate", "--output-key-prefix", "eve")
			s.must(cosign, "signing-config", "create", "--out", "none.json")
			s.write("predicate.json", slsa)
			for layout, flags := range map[string][]string{
				"bundle": {"--signing-config", "none.json"},
				"legacy": {"--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false"},
			} {
				image := s.image(host, "theirs/"+layout)
				s.wants(1, []string{"NOT VERIFIED", "none that counts"}, "verify", "--key", "ci.pub", image)
				s.must(cosign, slices.Concat([]string{"attest", "--yes", "--key", "ci.key", "--type", "slsaprovenance", "--predicate", "predicate.json"}, flags, []string{image})...)
				// An attestation is no signature.
				s.wants(1, []string{"NOT VERIFIED"}, "verify", "--key", "ci.pub", image)
				s.must(cosign, slices.Concat([]string{"sign", "--yes", "--key", "ci.key", "-a", "commit=abc"}, flags, []string{image})...)
				s.wants(0, []string{"VERIFIED"}, "verify", "--key", "ci.pub", image)
				s.wants(0, []string{"VERIFIED"}, "verify", "--key", "ci.pub", "-a", "commit=abc", image)
				s.wants(1, []string{"NOT VERIFIED"}, "verify", "--key", "ci.pub", "-a", "commit=xyz", image)
				s.wants(1, []string{"NOT VERIFIED", "does not count"}, "verify", "--key", "eve.pub", image)
				out := s.wants(0, []string{"https://example.com/builder"}, "verify-attestation", "--key", "ci.pub", "--type", "slsaprovenance", "-o", "json", image)
				var list []struct {
					Digests []struct {
						Claims []struct {
							Type string `json:"predicateType"`
						}
					}
				}
				if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || len(list[0].Digests) != 1 ||
					len(list[0].Digests[0].Claims) != 1 || list[0].Digests[0].Claims[0].Type != "https://slsa.dev/provenance/v0.2" {
					t.Errorf("%s: %v in\n%s", layout, err, out)
				}
				s.wants(1, []string{"NOT VERIFIED"}, "verify-attestation", "--key", "ci.pub", "--type", "spdx", image)
				s.wants(1, []string{"NOT VERIFIED"}, "verify-attestation", "--key", "eve.pub", "--type", "slsaprovenance", image)
			}
		})
	}
}

// TestCosignFindsTheJourneysEvidence: after `assay run`, cosign verifies every
// attestation that the journey wrote.
func TestCosignFindsTheJourneysEvidence(t *testing.T) {
	cosign := peer(t, "cosign")
	s := newStage(t)
	host := registries(t)["embedded"](t)
	if err := os.CopyFS(s.dir, os.DirFS(filepath.Join("..", "..", "examples", "pandas"))); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(s.dir, "requirements.txt"), "pyarrow==13.0.0", "pyarrow==14.0.1")
	replace(t, filepath.Join(s.dir, "assay.yaml"), "image: assay.localhost/", "image: "+host+"/")
	replace(t, filepath.Join(s.dir, "gitops", "deployment.yaml"), "image: assay.localhost/", "image: "+host+"/")
	s.env = append(s.env, "GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com")
	s.wants(0, []string{"ALLOWED"}, "run")
	image := host + "/pandas-processor:v1.0.0"
	for _, format := range []string{"--new-bundle-format=true", "--new-bundle-format=false"} {
		s.must(cosign, "verify", "--key", ".assay/development.pub", "--insecure-ignore-tlog", format, image)
		for _, kind := range []string{"slsaprovenance1", "vuln", "cyclonedx", "spdxjson", "https://in-toto.io/attestation/vulns/v0.2", "https://in-toto.io/attestation/test-result/v0.1"} {
			s.must(cosign, "verify-attestation", "--key", ".assay/development.pub", "--insecure-ignore-tlog", "--type", kind, format, image)
		}
	}
}

func replace(t *testing.T, path, from, to string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte(from)) {
		t.Fatalf("%s has no %q", path, from)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(content, []byte(from), []byte(to)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBuildah builds a Dockerfile with the real buildah, through `assay run`.
func TestBuildah(t *testing.T) {
	program(t, "buildah", "buildah")
	s := newStage(t)
	s.wants(0, nil, "key", "generate", "--output-key-prefix", "assay")
	s.write("requirements.txt", "six==1.16.0\n")
	s.write("app.py", "print('hello')\n")
	s.write("Dockerfile", "FROM scratch\nCOPY requirements.txt app.py /app/\nLABEL sh.assay.dependencies.declared=/app/requirements.txt\nENTRYPOINT [\"python\", \"/app/app.py\"]\n")
	s.write("policy.yaml", `apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata: {name: built}
spec:
  match: {images: ["assay.localhost/built*"]}
  allowSample: true
  signers: [{name: ci, keys: [{file: assay.pub}]}]
  requirements:
  - name: provenance
    type: provenance
    signers: [ci]
    checks:
    - name: buildah
      expr: predicate.buildDefinition.buildType == "https://assay.sh/buildtypes/buildah/v1"
  - name: scanned
    type: vuln
    signers: [ci]
    checks:
    - name: six-was-tested
      expr: scan.packages == 1
`)
	storage := filepath.Join(s.dir, "storage")
	s.write("assay.yaml", fmt.Sprintf(`apiVersion: assay.sh/v1alpha1
kind: Journey
name: built
image: assay.localhost/built
advisories: sample
build:
  builder: buildah
  isolation: chroot
  programArguments: [--storage-driver, vfs, --root, %s/root, --runroot, %s/run]
sign: {key: assay.key}
policies: [policy.yaml]
`, storage, storage))
	out := s.wants(0, []string{"ALLOWED", "by buildah"}, "run", "-v")
	if !strings.Contains(out, "COPY") {
		t.Errorf("-v does not show what buildah prints:\n%s", out)
	}
	s.write("Dockerfile", "FROM scratch\nCOPY missing.py /app/\n")
	s.wants(3, []string{"missing.py"}, "run")
}
