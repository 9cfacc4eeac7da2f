package identity_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/identity"
)

func TestKeyOf(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.KeyOf(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	again, err := identity.KeyOf(private.Public())
	if err != nil || again != key {
		t.Errorf("the same key is %v and %v, %v", key, again, err)
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := identity.KeyOf(public); err != nil || other == key {
		t.Errorf("another key is %v too, %v", other, err)
	}
	sum, err := base64.StdEncoding.DecodeString(key.Hint())
	text, textErr := key.MarshalText()
	if err != nil || len(sum) != 32 || textErr != nil || string(text) != key.String() || !strings.HasPrefix(key.String(), "sha256:") || key.IsZero() {
		t.Errorf("hint %q, text %q, %v, %v", key.Hint(), text, err, textErr)
	}
}

func TestNoKey(t *testing.T) {
	var zero identity.Key
	if !zero.IsZero() || zero.Hint() != "" || zero.String() != "" {
		t.Errorf("the zero value is %q, %q", zero.Hint(), zero)
	}
	for name, public := range map[string]any{"nothing": nil, "text": "key", "a private key": ed25519.PrivateKey(make([]byte, ed25519.PrivateKeySize))} {
		if key, err := identity.KeyOf(public); err == nil || !key.IsZero() {
			t.Errorf("%s: fingerprint %v, %v; want an error", name, key, err)
		}
	}
}
