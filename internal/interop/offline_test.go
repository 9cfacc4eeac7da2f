//go:build interop

package interop_test

import (
	"slices"
	"strings"
	"testing"
)

// TestOffline: --offline asks a registry and nobody else where an image is
// verified, and nobody at all where a file and its bundle, or an image layout,
// are, with keys and with certificates. cosign's does ask: the control.
func TestOffline(t *testing.T) {
	if !isolated(t) {
		return
	}
	w := tap(t)
	assay, cosign, stack := static(t), peer(t, "cosign"), private(t)
	s := newStage(t)
	host := registries(t)["embedded"](t)
	image := s.push(host + "/wire/offline")
	mine := identity(stack.RootFile, alice, stack.EmailIssuer())
	s.write("file.txt", "hello")
	s.must(assay, "key", "generate", "--output-key-prefix", "ci")
	s.must(assay, "sign", "--key", "ci.key", image)
	s.must(assay, "sign", "--key", "ci.key", "--bundle", "keyed.json", "file.txt")
	s.must(cosign, slices.Concat([]string{"sign"}, keylessly(token(t, stack.Email, alice), stack.ConfigFile, stack.RootFile), []string{image})...)
	s.must(cosign, slices.Concat([]string{"sign-blob", "--bundle", "keyless.json"}, keylessly(token(t, stack.Email, alice), stack.ConfigFile, stack.RootFile), []string{"file.txt"})...)
	s.must(assay, "copy", image, "oci:layout")
	for _, step := range []struct {
		contacts  []string
		arguments []string
	}{
		{[]string{host}, []string{"--key", "ci.pub", image}},
		{[]string{host}, append(slices.Clone(mine), image)},
		{nil, []string{"--key", "ci.pub", "--bundle", "keyed.json", "file.txt"}},
		{nil, append(slices.Clone(mine), "--bundle", "keyless.json", "file.txt")},
		{nil, []string{"--key", "ci.pub", "oci:layout"}},
		{nil, append(slices.Clone(mine), "oci:layout")},
	} {
		out, sent, err := s.sends(w, step.contacts, assay, append([]string{"verify", "--offline"}, step.arguments...)...)
		if err != nil || !strings.Contains(out, "VERIFIED") {
			t.Errorf("assay verify --offline %q: %v\n%s", step.arguments, err, out)
		}
		if len(sent) > 0 {
			t.Errorf("assay verify --offline %q contacts %q", step.arguments, sent)
		}
	}
	_, sent, _ := s.sends(w, nil, cosign, "verify-blob", "--offline", "--key", "ci.pub", "--bundle", "keyed.json", "file.txt")
	if want := "name tuf-repo-cdn.sigstore.dev"; !slices.Contains(sent, want) {
		t.Errorf("the tap does not see cosign's look-up: %q, want %q among it", sent, want)
	}
	t.Logf("cosign verify-blob --offline --key contacts %q", sent)
}
