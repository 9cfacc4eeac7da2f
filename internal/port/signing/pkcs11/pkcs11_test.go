//go:build pkcs11 && cgo

package pkcs11_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed-161fc314/assay/internal/port/signing/pkcs11"
	"github.com/seed-161fc314/assay/internal/port/signing/signingtest"
)

const (
	module = "/usr/lib/softhsm/libsofthsm2.so"
	pin    = "4711-geheim"
)

// TestMain makes two tokens of SoftHSM: a module reads where they are once in a
// process.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	for _, program := range []string{"softhsm2-util", "pkcs11-tool"} {
		if _, err := exec.LookPath(program); err != nil {
			return 1, fmt.Errorf("%w; install Debian's softhsm2 and opensc", err)
		}
	}
	dir, err := os.MkdirTemp("", "softhsm")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tokens"), 0o700),
		os.WriteFile(conf, []byte("directories.tokendir = "+dir+"/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "pin"), []byte(pin+"\n"), 0o600), os.Setenv("SOFTHSM2_CONF", conf), os.Setenv("TEST_PIN_FILE", filepath.Join(dir, "pin"))); err != nil {
		return 1, err
	}
	commands := [][]string{
		{"softhsm2-util", "--init-token", "--free", "--label", "release", "--pin", pin, "--so-pin", "12345678"},
		{"softhsm2-util", "--init-token", "--free", "--label", "second", "--pin", pin, "--so-pin", "12345678"},
	}
	for i, kind := range []string{"EC:prime256v1", "EC:secp384r1", "EC:secp521r1", "rsa:2048", "rsa:3072", "EC:secp256k1"} {
		commands = append(commands, generate("release", kind, kind, i+1))
	}
	commands = append(commands, generate("release", "EC:prime256v1", "twin", 21), generate("release", "EC:prime256v1", "twin", 22))
	for _, command := range commands {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
		}
	}
	return m.Run(), nil
}

func generate(token, kind, label string, id int) []string {
	return []string{"pkcs11-tool", "--module", module, "--token-label", token, "--login", "--pin", pin, "--keypairgen", "--key-type", kind, "--label", label, "--id", fmt.Sprintf("%02x", id)}
}

func config() pkcs11.Config {
	return pkcs11.Config{Module: module, PIN: pin, ReadFile: os.ReadFile}
}

// TestContract holds tokens' keys to what every signer must hold to.
func TestContract(t *testing.T) {
	for _, kind := range []string{"EC:prime256v1", "EC:secp384r1", "EC:secp521r1", "rsa:2048", "rsa:3072"} {
		t.Run(kind, func(t *testing.T) {
			reference := "pkcs11:token=release;object=" + kind
			signer, err := pkcs11.Open(t.Context(), config(), reference)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := signer.Close(); err != nil {
					t.Error(err)
				}
			}()
			signingtest.Run(t, signer)
			without := config()
			without.PIN = ""
			public, err := pkcs11.Public(t.Context(), without, reference)
			if err != nil || len(public) != 1 || !public[0].Key.(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public()) {
				t.Errorf("public: %v, %v", public, err)
			}
			if key, ok := signer.Public().(*rsa.PublicKey); ok && !strings.HasSuffix(kind, fmt.Sprint(key.N.BitLen())) {
				t.Errorf("%d bits", key.N.BitLen())
			}
		})
	}
}

// TestWaysToName: module, PIN and key by each way that a reference has.
func TestWaysToName(t *testing.T) {
	for _, reference := range []string{
		"pkcs11:token=release;object=EC:prime256v1?module-path=" + module + "&pin-value=" + pin,
		"pkcs11:token=release;id=%01?module-path=" + module + "&pin-source=file:" + os.Getenv("TEST_PIN_FILE"),
		"pkcs11:token=release;object=EC%3Aprime256v1;type=private?module-path=" + module + "&pin-source=" + os.Getenv("TEST_PIN_FILE"),
		"pkcs11:token=release;object=twin;id=%15?module-path=" + module + "&pin-value=" + pin,
	} {
		signer, err := pkcs11.Open(t.Context(), pkcs11.Config{ReadFile: os.ReadFile}, reference)
		if err != nil {
			t.Errorf("%s: %v", reference, err)
			continue
		}
		_, err = signer.Sign(t.Context(), []byte("message"))
		if err := errors.Join(err, signer.Close()); err != nil {
			t.Errorf("%s: %v", reference, err)
		}
	}
}

// TestRefuses: what cannot be meant, and what the token does not take; the PIN
// is in no error.
func TestRefuses(t *testing.T) {
	key := "pkcs11:token=release;object=EC:prime256v1"
	for name, test := range map[string]struct {
		reference string
		change    func(*pkcs11.Config)
		want      string
	}{
		"no PIN":          {key, func(c *pkcs11.Config) { c.PIN = "" }, "signing needs the token's PIN"},
		"wrong PIN":       {key + "?pin-value=0000-falsch", nil, "does not take this PIN"},
		"no module":       {key, func(c *pkcs11.Config) { c.Module = "" }, "no module is named"},
		"no such module":  {key + "?module-path=/none.so", nil, "/none.so cannot be loaded"},
		"no library":      {key, func(c *pkcs11.Config) { c.Module = os.Args[0] }, "cannot be loaded"},
		"no such token":   {"pkcs11:token=elsewhere;object=x", nil, `no token fits; the module has "`},
		"several tokens":  {"pkcs11:object=EC:prime256v1", nil, "2 tokens fit; name one"},
		"no such key":     {"pkcs11:token=release;object=none", nil, "has no such private key"},
		"another token's": {"pkcs11:token=second;object=EC:prime256v1", nil, "has no such private key"},
		"several keys":    {"pkcs11:token=release;object=twin", nil, "has 2 such private keys; name one"},
		"curve":           {"pkcs11:token=release;object=EC:secp256k1", nil, "is not accepted; want P-256"},
		"no PIN file":     {key + "?pin-source=file:/none", nil, "reading the PIN"},
		"a program":       {key + "?pin-source=|id", nil, "names a program"},
		"unknown":         {"pkcs11:token=release;objekt=x", nil, "is not known here"},
		"wrong slot":      {key + ";slot-id=0", nil, "no token fits"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			if test.change != nil {
				test.change(&c)
			}
			_, err := pkcs11.Open(t.Context(), c, test.reference)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			for _, secret := range []string{pin, "0000-falsch"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the PIN stands in %v", err)
				}
			}
		})
	}
}

// TestManyAtOnce: a session does one thing at a time, and who waits gives up
// when it is told to.
func TestManyAtOnce(t *testing.T) {
	signer, err := pkcs11.Open(t.Context(), config(), "pkcs11:token=release;object=rsa:2048")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			if _, err := signer.Sign(t.Context(), fmt.Appendf(nil, "message %d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := signer.Sign(gone, []byte("message")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := signer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign(t.Context(), []byte("message")); err == nil {
		t.Error("it signs when the session has ended")
	}
}
