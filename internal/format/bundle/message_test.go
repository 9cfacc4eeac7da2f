package bundle_test

import (
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/bundle"
)

// TestMessageWithoutDigest reads what cosign 3.1.3 writes for a file signed
// with an Ed25519 key: a digest that is there and says nothing.
func TestMessageWithoutDigest(t *testing.T) {
	const head = `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"aA=="}},"messageSignature":{`
	b, err := bundle.Decode([]byte(head + `"messageDigest":{},"signature":"c2ln"}}`))
	if err != nil || b.Message == nil || b.Message.Algorithm != "" || b.Message.Digest != nil || string(b.Message.Signature) != "sig" {
		t.Fatalf("%+v, %v", b.Message, err)
	}
	again, err := bundle.EncodeWith(b)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := bundle.Decode(again); err != nil || c.Message.Digest != nil || string(c.Message.Signature) != "sig" {
		t.Errorf("%+v, %v", c.Message, err)
	}
	for message, want := range map[string]string{
		`"signature":"c2ln"`: "names no digest",
		`"messageDigest":{"digest":"c3Vt"},"signature":"c2ln"`:                    "is not known",
		`"messageDigest":{"algorithm":"SHA2_256"},"signature":"c2ln"`:             "its digest is empty",
		`"messageDigest":{"algorithm":"SHA1","digest":"c3Vt"},"signature":"c2ln"`: "",
		`"messageDigest":{}`: "message signature is empty",
	} {
		if _, err := bundle.Decode([]byte(head + message + "}}")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", message, err, want)
		}
	}
}
