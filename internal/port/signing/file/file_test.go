package file_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
	"github.com/seed-161fc314/assay/internal/port/signing/signingtest"
)

func password(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

func TestContract(t *testing.T) {
	keys := map[string]func() (crypto.Signer, error){
		"P-256":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"P-384":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"P-521":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
		"RSA":     func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"Ed25519": func() (crypto.Signer, error) { return ed25519.NewKeyFromSeed(make([]byte, 32)), nil },
	}
	for name, generate := range keys {
		t.Run(name, func(t *testing.T) {
			key, err := generate()
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
				t.Fatal(err)
			}
			signer, err := file.Open(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			signingtest.Run(t, signer)
		})
	}
}

func TestWriteOpen(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "team")
	private, public, err := cosignkey.Generate([]byte("pass"))
	if err != nil {
		t.Fatal(err)
	}
	privatePath, publicPath, err := file.Write(prefix, private, public)
	if err != nil {
		t.Fatal(err)
	}
	if privatePath != prefix+".key" || publicPath != prefix+".pub" {
		t.Errorf("wrote %s and %s", privatePath, publicPath)
	}
	for path, want := range map[string]fs.FileMode{privatePath: 0o600, publicPath: 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	signer, err := file.Open(privatePath, password("pass"))
	if err != nil {
		t.Fatal(err)
	}
	signingtest.Run(t, signer)
	content, err := os.ReadFile(publicPath)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := trust.ParseSigner("team", content)
	if err != nil || parsed.Keys[0].ID != signer.KeyID() {
		t.Errorf("the public file has key %v, %v", parsed, err)
	}

	if _, err := file.Open(privatePath, password("other")); !errors.Is(err, cosignkey.ErrPassword) || !strings.Contains(err.Error(), privatePath) {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := file.Open(privatePath, nil); err == nil || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("no password: %v", err)
	}
	refusal := errors.New("no terminal")
	if _, err := file.Open(privatePath, func() ([]byte, error) { return nil, refusal }); !errors.Is(err, refusal) {
		t.Errorf("password refused: %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, there := range []string{"team.key", "team.pub"} {
		directory := t.TempDir()
		if err := os.WriteFile(filepath.Join(directory, there), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := file.Write(filepath.Join(directory, "team"), []byte("private"), []byte("public"))
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), there) {
			t.Errorf("%s is there: got %v", there, err)
		}
		entries, err := os.ReadDir(directory)
		if err != nil || len(entries) != 1 {
			t.Errorf("%s was there: left %v, %v", there, entries, err)
		}
		if content, err := os.ReadFile(filepath.Join(directory, there)); err != nil || string(content) != "precious" {
			t.Errorf("%s now has %q, %v", there, content, err)
		}
	}
	// A dangling link is not followed.
	directory := t.TempDir()
	if err := os.Symlink(filepath.Join(directory, "elsewhere"), filepath.Join(directory, "team.key")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := file.Write(filepath.Join(directory, "team"), []byte("private"), []byte("public")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("link: got %v", err)
	}
	if _, err := os.Lstat(filepath.Join(directory, "elsewhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link was followed: %v", err)
	}
	if _, _, err := file.Write(filepath.Join(directory, "none", "team"), []byte("private"), []byte("public")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: got %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	directory := t.TempDir()
	large := filepath.Join(directory, "large")
	if err := os.WriteFile(large, make([]byte, limit.KeyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	var over *limit.Error
	if _, err := file.Open(large, nil); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
	if _, err := file.Open(filepath.Join(directory, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := file.Open(directory, nil); err == nil {
		t.Error("opened a directory")
	}
}

func TestDigestRefuses(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, public := range []crypto.PublicKey{p224.Public(), "key", nil} {
		if digest, _, err := signing.Digest(public, []byte("m")); err == nil {
			t.Errorf("%T: got digest %x", public, digest)
		}
	}
}

// TestSignDigest: the signature is one of the message, and a digest that the
// key does not sign is refused.
func TestSignDigest(t *testing.T) {
	message := []byte("hello")
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer := opened(t, key)
		digest, options, err := signing.Digest(key.Public(), message)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := signer.SignDigest(t.Context(), digest, options)
		if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest, signature) {
			t.Errorf("%s: %x, %v", name, signature, err)
		}
		for wrong, sign := range map[string]func() ([]byte, error){
			"short":       func() ([]byte, error) { return signer.SignDigest(t.Context(), digest[1:], options) },
			"other hash":  func() ([]byte, error) { return signer.SignDigest(t.Context(), digest, crypto.SHA1) },
			"the message": func() ([]byte, error) { return signer.SignDigest(t.Context(), message, options) },
		} {
			if signature, err := sign(); err == nil || signature != nil {
				t.Errorf("%s, %s: no error", name, wrong)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := signer.SignDigest(ctx, digest, options); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, a done context: %v", name, err)
		}
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, key).SignDigest(t.Context(), make([]byte, 64), crypto.SHA512); err == nil {
		t.Error("an Ed25519 key signs a digest")
	}
}

// opened is a signer of a key that was written to a file.
func opened(t *testing.T, key crypto.Signer) *file.Signer {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := file.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}
