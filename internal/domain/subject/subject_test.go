package subject_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
)

var (
	hex64  = strings.Repeat("0123456789abcdef", 4)
	hex128 = strings.Repeat("0123456789abcdef", 8)
)

func TestParse(t *testing.T) {
	for _, text := range []string{"sha256:" + hex64, "sha512:" + hex128} {
		digest, err := subject.Parse(text)
		if err != nil || digest.String() != text || digest.IsZero() || digest.Algorithm()+":"+digest.Hex() != text || digest.Short() != text[:19] {
			t.Errorf("Parse(%q) = %v (%s), %v", text, digest, digest.Short(), err)
		}
	}
	for _, text := range []string{
		"", "sha256", "sha256:", ":" + hex64, hex64, "sha256:" + hex64[1:], "sha256:" + hex64 + "0", "sha512:" + hex64,
		"SHA256:" + hex64, "sha256:" + strings.ToUpper(hex64), "sha256:" + hex64[:63] + "g", "sha1:" + hex64[:40],
		" sha256:" + hex64, "sha256:" + hex64 + "\n", "sha256:sha256:" + hex64[:57], "sha256:../" + hex64[3:],
	} {
		if digest, err := subject.Parse(text); err == nil || !digest.IsZero() {
			t.Errorf("Parse(%q) = %v, %v; want no digest and an error", text, digest, err)
		}
	}
}

func TestOf(t *testing.T) {
	const want = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // FIPS 180-4, the empty message
	if got := subject.Of(nil).String(); got != want {
		t.Errorf("Of(nil) = %s, want %s", got, want)
	}
}

func TestZero(t *testing.T) {
	var zero subject.Digest
	if !zero.IsZero() || zero.String()+zero.Algorithm()+zero.Hex()+zero.Short() != "" || zero == subject.Of(nil) {
		t.Errorf("the zero value is %q", zero)
	}
}

func TestJSON(t *testing.T) {
	type document struct {
		Digest subject.Digest `json:"digest,omitzero"`
	}
	for _, want := range []document{{subject.Of([]byte("x"))}, {}} {
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got document
		if err := json.Unmarshal(raw, &got); err != nil || got != want {
			t.Errorf("%s reads as %v, %v", raw, got, err)
		}
	}
	var got document
	if err := json.Unmarshal([]byte(`{"digest":"sha256:abc"}`), &got); err == nil || !got.Digest.IsZero() {
		t.Errorf("a wrong digest reads as %v, %v", got, err)
	}
}
