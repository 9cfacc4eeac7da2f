package keyless_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/port/signing/keyless"
	"github.com/seed-161fc314/assay/internal/port/signing/keyless/keylesstest"
)

// TestSignDigest: the signature is one of the message, and other digests are
// refused.
func TestSignDigest(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC) }
	server := keylesstest.New(t, now)
	signer, err := keyless.Certify(t.Context(), keyless.Config{URL: server.URL(keylesstest.Fulcio), Now: now,
		Token: func(context.Context) (string, error) { return server.Token("dev@example.com"), nil }})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("hello"))
	signature, err := signer.SignDigest(t.Context(), sum[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), sum[:], signature) {
		t.Errorf("%x, %v", signature, err)
	}
	for name, sign := range map[string]func() ([]byte, error){
		"short":      func() ([]byte, error) { return signer.SignDigest(t.Context(), sum[1:], crypto.SHA256) },
		"other hash": func() ([]byte, error) { return signer.SignDigest(t.Context(), sum[:], crypto.SHA512_256) },
	} {
		if signature, err := sign(); err == nil || signature != nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := signer.SignDigest(ctx, sum[:], crypto.SHA256); !errors.Is(err, context.Canceled) {
		t.Errorf("a done context: %v", err)
	}
}
