//go:build interop

package interop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// keyKinds are the kinds of key that both sides know. Both sign with the hash
// of Sigstore's algorithm registry; cosign verifies with SHA-256 whatever the
// key is, also what it signed itself, unless it is told the hash.
var keyKinds = []struct {
	name, hash string
	make       func() (crypto.Signer, error)
}{
	{"ecdsa-p256", "sha256", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	{"ecdsa-p384", "sha384", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) }},
	{"ecdsa-p521", "sha512", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) }},
	{"rsa-2048", "sha256", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }},
	{"rsa-4096", "sha256", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 4096) }},
	{"ed25519", "sha256", func() (crypto.Signer, error) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}},
}

// keyFile writes a key as PKCS#8, and has cosign make NAME.key and NAME.pub of it.
func (s *stage) keyFile(cosign, name string, make func() (crypto.Signer, error)) {
	s.t.Helper()
	key, err := make()
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	s.must(cosign, "import-key-pair", "--key", name+".pem", "--output-key-prefix", name)
}

// push pushes an image that no other test has, and gives its reference by digest.
func (s *stage) push(repository string) string {
	s.t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	tag, err := name.NewTag(repository + ":one")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		s.t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		s.t.Fatal(err)
	}
	return repository + "@" + digest.String()
}

// TestKeysBothWays: every kind of key, in both layouts, on every registry,
// signed by one side and verified by the other, signature and attestation; and
// never for another key of the same kind.
func TestKeysBothWays(t *testing.T) {
	cosign, assay := peer(t, "cosign"), static(t)
	s := newStage(t)
	s.must(cosign, "signing-config", "create", "--out", "none.json")
	s.write("predicate.json", slsa)
	for _, kind := range keyKinds {
		s.keyFile(cosign, kind.name, kind.make)
		s.keyFile(cosign, "other-"+kind.name, kind.make)
	}
	slots := make(chan struct{}, 3)
	for where, start := range registries(t) {
		host := start(t)
		for _, kind := range keyKinds {
			for _, layout := range []string{"bundle", "legacy"} {
				for _, by := range []string{"assay", "cosign"} {
					t.Run(strings.Join([]string{where, kind.name, layout, "by " + by}, "/"), func(t *testing.T) {
						t.Parallel()
						slots <- struct{}{}
						defer func() { <-slots }()
						cell := &stage{t: t, dir: s.dir, env: s.env}
						image := cell.push(fmt.Sprintf("%s/keys/%s-%s-%s", host, kind.name, layout, by))
						format := "--new-bundle-format=" + fmt.Sprint(layout == "bundle")
						if by == "assay" {
							private := kind.name + ".key"
							if where != "embedded" {
								private = kind.name + ".pem" // without a password, which takes its time
							}
							cell.must(assay, "sign", "--key", private, "--layout", layout, image)
							cell.must(assay, "attest", "--key", private, "--layout", layout, "--type", "slsaprovenance", "--predicate", "predicate.json", image)
							check := func(key string, rest ...string) (string, error) {
								return cell.run(cosign, slices.Concat(rest, []string{"--key", key + ".pub", "--insecure-ignore-tlog", "--signature-digest-algorithm", kind.hash, format, image})...)
							}
							cell.accepts(kind.name, check)
							if out, err := check("other-"+kind.name, "verify"); err == nil {
								t.Errorf("cosign accepts another key\n%s", out)
							}
							return
						}
						flags := []string{"--yes", "--key", kind.name + ".key", "--signing-config", "none.json", image}
						if layout == "legacy" {
							flags = []string{"--yes", "--key", kind.name + ".key", "--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false", image}
						}
						cell.must(cosign, slices.Concat([]string{"sign"}, flags)...)
						cell.must(cosign, slices.Concat([]string{"attest", "--type", "slsaprovenance", "--predicate", "predicate.json"}, flags)...)
						check := func(key string, rest ...string) (string, error) {
							return cell.run(assay, slices.Concat(rest, []string{"--key", key + ".pub", image})...)
						}
						cell.accepts(kind.name, check)
						for _, command := range [][]string{{"verify"}, attestationOf} {
							if out, err := check("other-"+kind.name, command...); err == nil || !strings.Contains(out, "none that counts") {
								t.Errorf("%q with another key: %v\n%s", command, err, out)
							}
						}
					})
				}
			}
		}
	}
}

var attestationOf = []string{"verify-attestation", "--type", "slsaprovenance"}

// accepts holds a verifier to the signature and the attestation of a key.
func (s *stage) accepts(key string, check func(key string, command ...string) (string, error)) {
	s.t.Helper()
	for _, command := range [][]string{{"verify"}, attestationOf} {
		if out, err := check(key, command...); err != nil {
			s.t.Errorf("%q: %v\n%s", command, err, out)
		}
	}
}
