package holdings_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/holdings"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

type shop struct {
	t      *testing.T
	server *ocitest.Server
}

func (s shop) ask(method, path, mediaType, body string) {
	s.t.Helper()
	request := httptest.NewRequest(method, "/v2/app/"+path, bytes.NewReader([]byte(body)))
	request.Header.Set("Content-Type", mediaType)
	recorder := httptest.NewRecorder()
	s.server.Registry.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusCreated {
		s.t.Fatalf("%s %s: %d %s", method, path, recorder.Code, recorder.Body)
	}
}

func entry(mediaType, content string, more ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q%s}`, mediaType, len(content), subject.Of([]byte(content)), strings.Join(more, ""))
}

func (s shop) blob(mediaType, content string, more ...string) string {
	s.t.Helper()
	s.ask("POST", "blobs/uploads/?digest="+subject.Of([]byte(content)).String(), "", content)
	return entry(mediaType, content, more...)
}

func (s shop) put(tag, mediaType, content string) (subject.Digest, string) {
	s.t.Helper()
	digest := subject.Of([]byte(content))
	if tag == "" {
		tag = digest.String()
	}
	s.ask("PUT", "manifests/"+tag, mediaType, content)
	return digest, entry(mediaType, content)
}

func (s shop) manifest(more string, layers ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, ociManifest, s.blob("application/vnd.oci.empty.v1+json", "{}"), strings.Join(layers, ","), more)
}

func (s shop) refer(on, artifactType, content string) (subject.Digest, string) {
	return s.put("", ociManifest, s.manifest(fmt.Sprintf(`,"artifactType":%q,"subject":%s`, artifactType, on), s.blob(artifactType, content)))
}

func (s shop) look(image subject.Digest) (holdings.Node, error) {
	s.t.Helper()
	r, err := oci.New(oci.Config{}).Repository(s.server.Host + "/app")
	if err != nil {
		s.t.Fatal(err)
	}
	return holdings.Of(s.t.Context(), r, image)
}

// certificate is one as Fulcio makes them, self-signed: nobody verifies here.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := asn1.Marshal("https://issuer.example.com")
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<31, 0), URIs: []*url.URL{{Scheme: "https", Host: "example.com", Path: "/workflow"}},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuer}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestOf(t *testing.T) {
	s := shop{t, ocitest.New(t, registry.Config{})}
	image, described := s.put("", ociManifest, s.manifest("", s.blob("layer", "x")))
	gone := entry(ociManifest, "never pushed", `,"platform":{"os":"linux","architecture":"arm64"}`)
	root, rootEntry := s.put("v1", ociIndex, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s,%s]}`, ociIndex,
		strings.TrimSuffix(described, "}")+`,"platform":{"os":"linux","architecture":"amd64"}}`, gone))
	der := certificate(t)
	payload := base64.StdEncoding.EncodeToString([]byte(`{"predicateType":"https://example.com/signed"}`))
	keyed := fmt.Sprintf(`{"verificationMaterial":{"publicKey":{"hint":"aGludA=="}},"dsseEnvelope":{"payload":%q}}`, payload)
	keyless := fmt.Sprintf(`{"verificationMaterial":{"certificate":{"rawBytes":%q}},"dsseEnvelope":{"payload":%q}}`, base64.StdEncoding.EncodeToString(der), payload)
	byKey, _ := s.refer(rootEntry, bundleType, keyed)
	sbom, sbomEntry := s.refer(described, "application/vnd.cyclonedx+json", "an SBOM")
	onSBOM, _ := s.refer(sbomEntry, bundleType, keyless)
	pemText := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	s.put("sha256-"+image.Hex()+".sig", ociManifest, s.manifest("", s.blob("application/vnd.dev.cosign.simplesigning.v1+json", "payload", fmt.Sprintf(`,"annotations":{"dev.sigstore.cosign/certificate":%q}`, pemText))))
	envelope := fmt.Sprintf(`{"payload":%q}`, payload)
	s.put("sha256-"+image.Hex()+".att", ociManifest, s.manifest("", s.blob("application/vnd.dsse.envelope.v1+json", envelope)))

	got, err := s.look(root)
	if err != nil {
		t.Fatal(err)
	}
	who := holdings.Claims{Subject: "https://example.com/workflow", Issuer: "https://issuer.example.com"}
	signed := who
	signed.PredicateType = "https://example.com/signed"
	want := holdings.Node{Digest: root, MediaType: ociIndex, Size: got.Size,
		Evidence: []holdings.Piece{{Place: "referrer", Digest: byKey, Form: trust.Bundle, ArtifactType: bundleType, Size: int64(len(keyed)), Evidence: []holdings.Piece{},
			Claims: holdings.Claims{PredicateType: "https://example.com/signed", KeyHint: "aGludA=="}}},
		Manifests: []holdings.Node{
			{Digest: image, MediaType: ociManifest, Size: got.Manifests[0].Size, Platform: "linux/amd64", Manifests: []holdings.Node{}, Evidence: []holdings.Piece{
				{Place: "referrer", Digest: sbom, ArtifactType: "application/vnd.cyclonedx+json", Size: 7, Evidence: []holdings.Piece{
					{Place: "referrer", Digest: onSBOM, Form: trust.Bundle, ArtifactType: bundleType, Size: int64(len(keyless)), Claims: signed, Evidence: []holdings.Piece{}}}},
				{Place: "sig", Digest: subject.Of([]byte("payload")), Form: trust.SimpleSigning, ArtifactType: "application/vnd.dev.cosign.simplesigning.v1+json", Size: 7, Claims: who},
				{Place: "att", Digest: subject.Of([]byte(envelope)), Form: trust.Envelope, ArtifactType: "application/vnd.dsse.envelope.v1+json", Size: int64(len(envelope)), Claims: holdings.Claims{PredicateType: "https://example.com/signed"}},
			}},
			{Digest: subject.Of([]byte("never pushed")), MediaType: ociManifest, Size: 12, Platform: "linux/arm64", Missing: true, Evidence: []holdings.Piece{}},
		}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b subject.Digest) bool { return a == b }), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// TestBroken: what is broken is shown as such and hides nothing else; what
// could not be asked is an error.
func TestBroken(t *testing.T) {
	s := shop{t, ocitest.New(t, registry.Config{WithoutReferrers: true})}
	image, described := s.put("v1", ociManifest, s.manifest("", s.blob("layer", "x")))
	_, good := s.refer(described, bundleType, `{}`)
	_, text := s.refer(described, bundleType, "no JSON")
	_, long := s.refer(described, bundleType, fmt.Sprintf(`{"verificationMaterial":{"publicKey":{"hint":%q}}}`, strings.Repeat("x", limit.ClaimText+1)))
	lying := strings.Replace(s.blob(bundleType, "short"), `"size":5`, `"size":6`, 1)
	_, lie := s.put("", ociManifest, s.manifest(`,"subject":`+described, lying))
	huge := strings.Replace(s.blob(bundleType, "short"), `"size":5`, fmt.Sprintf(`"size":%d`, limit.Evidence+1), 1)
	_, over := s.put("", ociManifest, s.manifest(`,"subject":`+described, huge))
	_, odd := s.put("", ociManifest, `{"layers":"none"}`)
	entries := []string{good, text, long, lie, over, odd, described, entry(ociManifest, "gone")}
	s.put("sha256-"+image.Hex(), ociIndex, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ociIndex, strings.Join(entries, ",")))
	got, err := s.look(image)
	if err != nil || len(got.Evidence) != len(entries) {
		t.Fatalf("%d pieces, %v", len(got.Evidence), err)
	}
	problems := map[string]string{}
	for _, p := range got.Evidence {
		problems[entryOf(p.Digest, entries)] = p.Problem
		if n := len(p.Claims.KeyHint); n > limit.ClaimText+32 {
			t.Errorf("a claim of %d bytes is shown", n)
		}
	}
	for at, word := range map[string]string{good: "", text: "cannot be read", long: "", lie: "has 5 bytes, and its descriptor says 6", over: "over a bound", odd: "cannot be read", described: "does not refer to this", entry(ociManifest, "gone"): "listed and gone"} {
		problem, shown := problems[at]
		matched := word == "" && problem == ""
		for _, w := range strings.Split(word, "|") {
			matched = matched || w != "" && strings.Contains(problem, w)
		}
		if !shown || !matched {
			t.Errorf("%s: problem %q, want %q", at, problem, word)
		}
	}
	for _, match := range []string{"/referrers/", "manifests/sha256-" + image.Hex(), ".sig", "GET /v2/app/blobs/", ".sbom"} {
		s.server.Mend()
		s.server.Break(ocitest.Fault{Match: match, Status: http.StatusForbidden})
		if _, err := s.look(image); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s refused: %v", match, err)
		}
	}
}

func entryOf(digest subject.Digest, entries []string) string {
	for _, e := range entries {
		if strings.Contains(e, digest.String()) {
			return e
		}
	}
	return ""
}

// TestDeep: evidence on evidence is followed as far as the bound.
func TestDeep(t *testing.T) {
	s := shop{t, ocitest.New(t, registry.Config{})}
	image, on := s.put("", ociManifest, s.manifest("", s.blob("layer", "x")))
	for i := range limit.EvidenceDepth {
		_, on = s.refer(on, "application/x", fmt.Sprint(i))
	}
	if _, err := s.look(image); err != nil {
		t.Fatal(err)
	}
	s.refer(on, "application/x", "one more")
	_, err := s.look(image)
	var over *limit.Error
	if !errors.As(err, &over) || over.Bound != limit.EvidenceDepth {
		t.Errorf("error %v", err)
	}
	if _, err := holdings.Of(t.Context(), nil, image); err == nil {
		t.Error("no source, and no error")
	}
}
