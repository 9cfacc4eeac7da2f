package trustedroot_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"

	"github.com/seed-161fc314/assay/internal/format/trustedroot"
)

// material is real certificates and keys for one private Sigstore.
type material struct {
	top, fulcio, stamper, stamp *x509.Certificate
	log1, log2, certificates    crypto.PublicKey
}

func newMaterial(t *testing.T) material {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	top, topKey, err := ca.GenerateRootCa()
	must(err)
	fulcio, _, err := ca.GenerateFulcioIntermediate(top, topKey)
	must(err)
	stamper, stamperKey, err := ca.GenerateTSAIntermediate(top, topKey)
	must(err)
	stampKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	stamp, err := ca.GenerateTSALeafCert(time.Now().Add(time.Hour), stampKey, stamper, stamperKey)
	must(err)
	log1, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	log2, _, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	certificates, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	return material{top, fulcio, stamper, stamp, log1.Public(), log2, certificates.Public()}
}

var from = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (m material) pieces() []trustedroot.Piece {
	return []trustedroot.Piece{
		{Kind: trustedroot.CertificateAuthority, URL: "https://fulcio", Certificates: []*x509.Certificate{m.fulcio, m.top}},
		{Kind: trustedroot.Log, URL: "https://rekor", Key: m.log1, From: from, Until: from.AddDate(1, 0, 0)},
		{Kind: trustedroot.Log, URL: "https://rekor2", Key: m.log2, Origin: "rekor2", From: from.AddDate(0, 1, 0)},
		{Kind: trustedroot.CertificateLog, URL: "https://ct", Key: m.certificates, From: from},
		{Kind: trustedroot.TimestampAuthority, URL: "https://tsa", Certificates: []*x509.Certificate{m.stamp, m.stamper, m.top}},
	}
}

// TestBuildAsCosign builds the same root with the calls that `cosign
// trusted-root create` makes.
func TestBuildAsCosign(t *testing.T) {
	m := newMaterial(t)
	content, err := trustedroot.Build(m.pieces())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := trustedroot.Build(m.pieces()); err != nil || !bytes.Equal(content, again) {
		t.Errorf("not the same bytes: %v", err)
	}
	log := func(url, origin string, key crypto.PublicKey, from, until time.Time) *root.TransparencyLog {
		_, id, err := note.KeyHash(origin, key)
		if err != nil {
			t.Fatal(err)
		}
		if origin == "" {
			if id, err = trustedroot.LogID("", key); err != nil {
				t.Fatal(err)
			}
		}
		return &root.TransparencyLog{BaseURL: url, ID: id, HashFunc: crypto.SHA256, PublicKey: key, ValidityPeriodStart: from, ValidityPeriodEnd: until}
	}
	theirs, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: m.top, Intermediates: []*x509.Certificate{m.fulcio}, ValidityPeriodStart: m.top.NotBefore, URI: "https://fulcio"}},
		map[string]*root.TransparencyLog{"c": log("https://ct", "", m.certificates, from, time.Time{})},
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{Root: m.top, Intermediates: []*x509.Certificate{m.stamper}, Leaf: m.stamp, ValidityPeriodStart: m.stamp.NotBefore, URI: "https://tsa"}},
		map[string]*root.TransparencyLog{"1": log("https://rekor", "", m.log1, from, from.AddDate(1, 0, 0)), "2": log("https://rekor2", "rekor2", m.log2, from.AddDate(0, 1, 0), time.Time{})})
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := theirs.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := errors.Join(json.Unmarshal(content, &got), json.Unmarshal(wanted, &want)); err != nil {
		t.Fatal(err)
	}
	// Both spellings of the media type are in use.
	delete(got, "mediaType")
	delete(want, "mediaType")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := root.NewTrustedRootFromJSON(content); err != nil {
		t.Errorf("Sigstore's client does not read it: %v", err)
	}
}

func TestLogID(t *testing.T) {
	m := newMaterial(t)
	for name, key := range map[string]crypto.PublicKey{"ECDSA": m.log1, "Ed25519": m.log2, "RSA": m.certificates} {
		_, want, err := note.KeyHash("rekor.example.com", key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := trustedroot.LogID("rekor.example.com", key)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x (%v), want %x", name, got, err, want)
		}
		plain, err := trustedroot.LogID("", key)
		if err != nil || bytes.Equal(plain, want) != (name == "ECDSA") {
			t.Errorf("%s without an origin: %x (%v)", name, plain, err)
		}
	}
	for _, origin := range []string{"a b", "a+b", "a\n"} {
		if _, err := trustedroot.LogID(origin, m.log2); err == nil {
			t.Errorf("origin %q: no error", origin)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	m := newMaterial(t)
	other := newMaterial(t)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		piece trustedroot.Piece
		want  string
	}{
		"no certificate":    {trustedroot.Piece{Kind: trustedroot.CertificateAuthority}, "has no certificate"},
		"a leaf":            {trustedroot.Piece{Kind: trustedroot.CertificateAuthority, Certificates: []*x509.Certificate{m.stamp}}, "not one of a certificate authority"},
		"wrong order":       {trustedroot.Piece{Kind: trustedroot.CertificateAuthority, Certificates: []*x509.Certificate{m.top, m.fulcio}}, "was not issued by the next one"},
		"of another root":   {trustedroot.Piece{Kind: trustedroot.CertificateAuthority, Certificates: []*x509.Certificate{m.fulcio, other.top}}, "was not issued by the next one"},
		"stamp without own": {trustedroot.Piece{Kind: trustedroot.TimestampAuthority, Certificates: []*x509.Certificate{m.stamper, m.top}}, "begin with its own certificate"},
		"stamp alone":       {trustedroot.Piece{Kind: trustedroot.TimestampAuthority, Certificates: []*x509.Certificate{m.stamp}}, "end with a root"},
		"no key":            {trustedroot.Piece{Kind: trustedroot.Log}, "its key is a"},
		"a curve":           {trustedroot.Piece{Kind: trustedroot.Log, Key: p224.Public()}, "P-224"},
		"an origin":         {trustedroot.Piece{Kind: trustedroot.Log, Key: m.log2, Origin: "a b"}, "origin"},
		"no kind":           {trustedroot.Piece{Key: m.log2}, "kind"},
		"backwards":         {trustedroot.Piece{Kind: trustedroot.Log, Key: m.log2, From: from, Until: from.Add(-1)}, "ends before"},
	} {
		if _, err := trustedroot.Build([]trustedroot.Piece{test.piece}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if _, err := trustedroot.Build(nil); err == nil || !strings.Contains(err.Error(), "no authority") {
		t.Errorf("nothing: %v", err)
	}
}
