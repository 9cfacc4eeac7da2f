//go:build interop

package interop_test

import (
	"testing"

	"github.com/seed-161fc314/assay/internal/interop/sigstore"
)

const alice = "alice@example.com"

// token gives what a mint of the stack makes.
func token(t *testing.T, mint func(string) (string, error), address string) string {
	t.Helper()
	signed, err := mint(address)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// root writes a trusted root of the stack into the stage and gives its path.
func (s *stage) root(stack *sigstore.Stack, name string, with sigstore.Root) string {
	s.t.Helper()
	content, err := stack.TrustedRoot(with)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.write(name, string(content))
}

// config writes a signing config of the stack into the stage.
func (s *stage) config(stack *sigstore.Stack, name string, with sigstore.Signing) string {
	s.t.Helper()
	content, err := stack.SigningConfig(with)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.write(name, string(content))
}

// TestStackIsSigstore: cosign signs keyless against the stack, and verifies
// against its root, for the identity that signed and for no other.
func TestStackIsSigstore(t *testing.T) {
	cosign, stack := peer(t, "cosign"), private(t)
	s := newStage(t)
	image := s.image(registries(t)["embedded"](t), "stack/cosign")
	s.must(cosign, "sign", "--yes", "--identity-token", token(t, stack.Email, alice), "--signing-config", stack.ConfigFile, "--trusted-root", stack.RootFile, image)
	s.must(cosign, "verify", "--trusted-root", stack.RootFile, "--certificate-identity", alice, "--certificate-oidc-issuer", stack.EmailIssuer(), image)
	if out, err := s.run(cosign, "verify", "--trusted-root", stack.RootFile, "--certificate-identity", "eve@example.com", "--certificate-oidc-issuer", stack.EmailIssuer(), image); err == nil {
		t.Errorf("cosign takes alice for eve\n%s", out)
	}
}
