//go:build pkcs11 && cgo

package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTokens signs and verifies with a key in a token of SoftHSM, through the
// command, and rotates to it.
func TestTokens(t *testing.T) {
	for _, program := range []string{"softhsm2-util", "pkcs11-tool"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v; install Debian's softhsm2 and opensc", err)
		}
	}
	h := newHouse(t)
	const module = "/usr/lib/softhsm/libsofthsm2.so"
	h.must(t, os.Mkdir(filepath.Join(h.dir, "tokens"), 0o700))
	h.write("softhsm2.conf", []byte("directories.tokendir = "+h.dir+"/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"))
	t.Setenv("SOFTHSM2_CONF", filepath.Join(h.dir, "softhsm2.conf")) // the module reads it, once
	for _, command := range [][]string{
		{"softhsm2-util", "--init-token", "--free", "--label", "ci", "--pin", "4711", "--so-pin", "12345678"},
		{"pkcs11-tool", "--module", module, "--token-label", "ci", "--login", "--pin", "4711", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "signer", "--id", "01"},
	} {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
	}
	h.key("old")
	image, _ := h.push("app")
	const key = "pkcs11:token=ci;object=signer"
	h.env = []string{"PKCS11_MODULE_PATH=" + module}
	h.want(3, []string{"signing needs the token's PIN"}, "sign", "--key", key, image)
	h.want(3, []string{"does not take this PIN", "!9999"}, "sign", "--key", key+"?pin-value=9999", image)
	h.want(1, []string{"there is no evidence at all"}, "verify", "--key", key, image)
	h.want(0, nil, "key", "rotate", "--key", "old.key", "--new-key", key+"?pin-value=4711")
	h.env = append(h.env, "PKCS11_PIN=4711")
	h.want(0, []string{"signed"}, "sign", "--key", key, image)
	for _, who := range []string{key, "old.pub"} {
		h.want(0, []string{"VERIFIED", "!4711"}, "verify", "--offline", "--key", who, image)
	}
	h.key("stranger")
	h.want(1, []string{"unknown key"}, "verify", "--key", "stranger.pub", image)
	h.want(3, []string{"has no such private key"}, "sign", "--key", "pkcs11:token=ci;object=none", image)
	h.want(3, []string{"no token fits"}, "sign", "--key", "pkcs11:token=none;object=signer", image)
}
