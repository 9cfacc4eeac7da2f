package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/port/signing/keyless/keylesstest"
	"github.com/seed-161fc314/assay/internal/port/signing/vault/vaulttest"
)

func (h *house) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRotateFile: evidence of a retired key counts until the retirement, and
// after it only with a trusted timestamp of a time before.
func TestRotateFile(t *testing.T) {
	s := newSky(t, false)
	s.env = []string{"ASSAY_PASSWORD=secret"}
	s.want(0, nil, "key", "generate", "--output-key-prefix", "ci")
	early, _ := s.push("early")
	stamped, _ := s.push("stamped")
	late, _ := s.push("late")
	cheat, _ := s.push("cheat")
	stamp := []string{"--timestamp-server-url", s.server.URL(keylesstest.TSA), "--trusted-root", "root.json"}
	s.want(0, nil, "sign", "--key", "ci.key", early)
	s.want(0, nil, append([]string{"sign", "--key", "ci.key", stamped}, stamp...)...)

	s.now = s.now.Add(time.Hour)
	got := s.want(0, []string{"new key ", "old key ", "counts until ", "ci.pub, 2 keys", "Next: give ci.pub"}, "key", "rotate", "--key", "ci.key", "--overlap", "1d")
	kept := got.out[strings.Index(got.out, "ci.key."):]
	kept = kept[:len("ci.key.")+12]
	for _, private := range []string{"ci.key", kept} {
		info, err := os.Stat(filepath.Join(s.dir, private))
		s.must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", private, info.Mode().Perm())
		}
	}
	s.want(0, nil, "sign", "--key", "ci.key", late)
	verify := func(image string, more ...string) []string {
		return append([]string{"verify", "--key", "ci.pub", image}, more...)
	}
	for _, image := range []string{early, stamped, late} {
		s.want(0, []string{"VERIFIED"}, verify(image)...)
	}

	s.now = s.now.Add(25 * time.Hour)
	s.want(0, []string{"VERIFIED"}, verify(late)...)
	s.want(1, []string{"key out of time", "fix       sign it again with the key that is in use now"}, verify(early)...)
	s.want(1, []string{"key out of time"}, verify(stamped)...) // no root, no trusted time
	s.want(0, []string{"VERIFIED", "the timestamp"}, verify(stamped, "--trusted-root", "root.json")...)
	// The retired key signs on, with an honest timestamp: too late.
	s.want(0, nil, append([]string{"sign", "--key", kept, cheat}, stamp...)...)
	s.want(1, []string{"key out of time"}, verify(cheat, "--trusted-root", "root.json")...)

	// A second rotation leaves the first retirement as it was.
	s.want(0, []string{"ci.pub, 3 keys"}, "key", "rotate", "--key", "ci.key", "--type", "ed25519", "--overlap", "0s")
	s.want(1, []string{"key out of time"}, verify(early)...)
	s.want(0, nil, "sign", "--key", "ci.key", early)
	s.want(0, []string{"VERIFIED"}, verify(early)...)
}

// TestRotateBrokenOff: what was broken off is finished with the same new key.
func TestRotateBrokenOff(t *testing.T) {
	h := newHouse(t)
	h.env = []string{"ASSAY_PASSWORD="}
	got := h.want(0, nil, "key", "generate", "--output-key-prefix", "ci")
	_, id, _ := strings.Cut(got.out, "sha256:")
	kept := filepath.Join(h.dir, "ci.key."+id[:12])
	h.must(t, os.Mkdir(kept, 0o700)) // the old key cannot be kept
	before, err := os.ReadFile(filepath.Join(h.dir, "ci.key"))
	h.must(t, err)
	h.want(3, nil, "key", "rotate", "--key", "ci.key")
	after, err := os.ReadFile(filepath.Join(h.dir, "ci.key"))
	h.must(t, err)
	if string(before) != string(after) {
		t.Error("the old key is gone")
	}
	staged, err := os.ReadFile(filepath.Join(h.dir, "ci.key.new"))
	h.must(t, err)
	h.must(t, os.Remove(kept))
	h.want(0, []string{"an earlier rotation was broken off", "ci.pub, 2 keys"}, "key", "rotate", "--key", "ci.key")
	if after, err = os.ReadFile(filepath.Join(h.dir, "ci.key")); err != nil || string(after) != string(staged) {
		t.Errorf("another key than the one that waited: %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "ci.key.new")); !os.IsNotExist(err) {
		t.Errorf("the staged key is still there: %v", err)
	}
}

// TestRotateVault: a version is made there, and verifiers' file follows.
func TestRotateVault(t *testing.T) {
	h := newHouse(t)
	v := vaulttest.New(t)
	v.Create(t, "release", "rsa-2048")
	h.env = []string{"VAULT_ADDR=" + v.URL, "VAULT_TOKEN=" + v.Token, "ASSAY_PASSWORD="}
	image, _ := h.push("app")
	other, _ := h.push("other")
	h.want(0, nil, "sign", "--key", "hashivault://release", image)
	h.want(0, nil, "key", "public", "--key", "hashivault://release", "--output", "release.pub")
	h.want(0, []string{"signs as hashivault://release", "release.pub, 2 keys"}, "key", "rotate", "--key", "hashivault://release", "--public", "release.pub", "--overlap", "1h")
	h.want(0, nil, "sign", "--key", "hashivault://release", other)
	for _, who := range []string{"release.pub", "hashivault://release"} {
		h.want(0, []string{"VERIFIED"}, "verify", "--key", who, image)
		h.want(0, []string{"VERIFIED"}, "verify", "--key", who, other)
	}
	v.Asked()
	h.want(0, nil, "verify", "--offline", "--key", "release.pub", image)
	h.want(2, []string{"--offline contacts no key service"}, "verify", "--offline", "--key", "hashivault://release", image)
	if asked := v.Asked(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
	h.now = h.now.Add(2 * time.Hour)
	h.want(1, []string{"key out of time"}, "verify", "--key", "release.pub", image)
	h.want(0, []string{"VERIFIED"}, "verify", "--key", "release.pub", other)

	// To another kind of key, and back to a file that is not of this key.
	h.key("file")
	h.want(0, []string{"signs as file.key", "release.pub, 3 keys"}, "key", "rotate", "--key", "hashivault://release", "--public", "release.pub", "--new-key", "file.key")
	h.want(2, []string{"does not hold the public key"}, "key", "rotate", "--key", "hashivault://release", "--public", "file.pub")
	h.env = h.env[:1]
	h.want(3, []string{"VAULT_TOKEN"}, "sign", "--key", "hashivault://release", image)
}

// TestRotateUsage: what cannot be meant is said before a key is made.
func TestRotateUsage(t *testing.T) {
	h := newHouse(t)
	h.key("ci")
	h.key("other")
	for _, test := range []struct {
		want  string
		flags []string
	}{
		{"--key is missing", nil},
		{"want a duration of 0 or more", []string{"--key", "ci.key", "--overlap", "-1h"}},
		{"want a duration of 0 or more", []string{"--key", "ci.key", "--overlap", "d"}},
		{"--type is for key files", []string{"--key", "ci.key", "--type", "ed25519", "--new-key", "other.key"}},
		{"not made here", []string{"--key", "awskms:///alias/x"}},
		{"want the private key, which signs until now", []string{"--key", "ci.pub"}},
		{"--public is missing", []string{"--key", "hashivault://x"}},
		{"does not hold", []string{"--key", "ci.key", "--public", "other.pub"}},
		{"are the same key", []string{"--key", "ci.key", "--new-key", "ci.key"}},
		{"want one of", []string{"--key", "ci.key", "--type", "dsa"}},
		{"needs a password", []string{"--key", "ci.key"}},
	} {
		h.want(2, []string{test.want}, append([]string{"key", "rotate"}, test.flags...)...)
	}
	h.want(2, []string{"want one of"}, "key", "generate", "--type", "dsa")
	left, err := filepath.Glob(filepath.Join(h.dir, "ci.key.*"))
	h.must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestVaultFamilies: address and token are of one family, and the token of one
// is not sent to the other.
func TestVaultFamilies(t *testing.T) {
	h := newHouse(t)
	v := vaulttest.New(t)
	v.Create(t, "release", "ecdsa-p256")
	h.write("f", []byte("content"))
	for _, test := range []struct {
		scheme string
		env    []string
		code   int
	}{
		{"hashivault", []string{"VAULT_ADDR=" + v.URL, "VAULT_TOKEN=" + v.Token}, 0},
		{"hashivault", []string{"BAO_ADDR=" + v.URL, "BAO_TOKEN=" + v.Token}, 0},
		{"openbao", []string{"BAO_ADDR=" + v.URL, "BAO_TOKEN=" + v.Token}, 0},
		{"openbao", []string{"VAULT_ADDR=" + v.URL, "VAULT_TOKEN=" + v.Token}, 0},
		{"openbao", []string{"BAO_ADDR=" + v.URL, "BAO_TOKEN=" + v.Token, "VAULT_ADDR=http://127.0.0.1:1", "VAULT_TOKEN=other"}, 0},
		{"hashivault", []string{"VAULT_ADDR=" + v.URL, "BAO_TOKEN=" + v.Token}, 3},
		{"openbao", []string{"BAO_ADDR=" + v.URL, "VAULT_TOKEN=" + v.Token}, 3},
		{"hashivault", []string{"VAULT_ADDR=" + v.URL, "BAO_ADDR=" + v.URL, "BAO_TOKEN=" + v.Token}, 3},
	} {
		h.env = test.env
		v.Asked()
		h.want(test.code, nil, "sign", "--key", test.scheme+"://release", "--bundle", "f.sig", "f")
		if asked := v.Asked(); test.code != 0 && len(asked) > 0 {
			t.Errorf("%s with %q: asked %q", test.scheme, test.env, asked)
		}
	}
}
