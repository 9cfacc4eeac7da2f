package attest_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

const (
	repository = "registry.example.com/team/app"
	spdxType   = "https://spdx.dev/Document"
	signType   = "https://sigstore.dev/cosign/sign/v1"
	customType = "https://cosign.sigstore.dev/attestation/v1"
)

var (
	index    = attest.Image{Repository: repository, Digest: subject.Of([]byte("index")), MediaType: "application/vnd.oci.image.index.v1+json", Size: 5}
	platform = attest.Image{Repository: repository, Digest: subject.Of([]byte("platform"))}
	spdx     = json.RawMessage(`{"spdxVersion":"SPDX-2.3","creationInfo":{"created":"2026-01-02T03:04:05Z","creators":["Tool: example-1"]}}`)
	now      = time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("east", 3600))
)

// memory is a store that keeps evidence in the order it came. It stops
// working at its failing-th call, if that is not 0.
type memory struct {
	kept    []kept
	created []time.Time
	failing int
	// blind and sticky are why nothing can be listed or removed.
	blind, sticky error
}

type kept struct {
	Image         attest.Image
	PredicateType string
	Evidence      trust.Evidence
}

var errFull = errors.New("registry is full")

// Attach keeps a piece.
func (m *memory) Attach(_ context.Context, a oci.Attachment) (oci.Attached, error) {
	if len(m.kept)+1 == m.failing {
		return oci.Attached{}, errFull
	}
	if a.Evidence.Form == trust.Bundle {
		m.created = append(m.created, a.Created)
	}
	if a.Evidence.Form == trust.SimpleSigning {
		a.PredicateType = "" // it has no place there
	}
	e := a.Evidence
	e.Digest, e.Attached = subject.Of(e.Content), a.Image
	for _, k := range m.kept { // the same piece again is the same piece
		if k.Image.Digest == a.Image && k.Evidence.Form == e.Form && known(k.Evidence) == known(e) && k.Evidence.Signature == e.Signature {
			return oci.Attached{Digest: known(e)}, nil
		}
	}
	m.kept = append(m.kept, kept{attest.Image{Repository: a.Repository, Digest: a.Image, MediaType: a.MediaType, Size: a.Size}, a.PredicateType, e})
	return oci.Attached{Digest: known(e)}, nil
}

// known is what a registry knows a piece by: a bundle by its manifest, others
// by their layer.
func known(e trust.Evidence) subject.Digest {
	if e.Form == trust.Bundle {
		return subject.Of([]byte("manifest of " + e.Digest.String()))
	}
	return e.Digest
}

// Remove takes pieces away.
func (m *memory) Remove(_ context.Context, repository string, image subject.Digest, evidence []trust.Evidence) error {
	if m.sticky != nil {
		return m.sticky
	}
	for _, e := range evidence {
		m.kept = slices.DeleteFunc(m.kept, func(k kept) bool {
			return k.Image.Repository == repository && k.Image.Digest == image && k.Evidence.Form == e.Form && known(k.Evidence) == e.Digest && k.Evidence.Signature == e.Signature
		})
	}
	return nil
}

// order is what was kept, in short.
func (m *memory) order() []string {
	names := map[subject.Digest]string{index.Digest: "index", platform.Digest: "platform"}
	var list []string
	for _, k := range m.kept {
		list = append(list, fmt.Sprintf("%s %s %s", names[k.Image.Digest], k.Evidence.Form, filepath.Base(k.PredicateType)))
	}
	return list
}

func newSigner(t *testing.T) signing.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
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
	return signer
}

func newAttester(t *testing.T, signer signing.Signer, store attest.Store, layout attest.Layout) *attest.Attester {
	t.Helper()
	a, err := attest.New(attest.Config{Signer: signer, Store: store, Now: func() time.Time { return now }, Layout: layout})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func verify(t *testing.T, signer signing.Signer, k kept) trust.Claim {
	t.Helper()
	claim, rejection := trust.Verify(k.Evidence, []trust.Signer{{Name: "ci", Keys: []trust.Key{{ID: signer.KeyID(), Public: signer.Public()}}}}, []subject.Digest{k.Image.Digest}, now)
	if rejection != nil {
		t.Fatalf("%s: %s: %s", k.Evidence.Form, rejection.Reason, rejection.Detail)
	}
	return claim
}

func TestSign(t *testing.T) {
	signer := newSigner(t)
	annotations := map[string]string{"commit": "abc"}
	for layout, forms := range map[attest.Layout][]trust.Form{
		attest.LayoutBoth: {trust.Bundle, trust.SimpleSigning}, attest.LayoutBundle: {trust.Bundle}, attest.LayoutLegacy: {trust.SimpleSigning},
	} {
		store := &memory{}
		stored, err := newAttester(t, signer, store, layout).Sign(t.Context(), index, annotations)
		if err != nil {
			t.Fatal(err)
		}
		if len(stored) != len(forms) || len(store.kept) != len(forms) {
			t.Fatalf("layout %d: stored %v", layout, stored)
		}
		for i, form := range forms {
			k := store.kept[i]
			claim := verify(t, signer, k)
			if k.Evidence.Form != form || claim.Type() != signType || string(claim.Predicate()) != "{}" || k.Image != index {
				t.Errorf("layout %d: kept %+v, claim %s", layout, k, claim.Type())
			}
			if diff := cmp.Diff(annotations, claim.Annotations()); diff != "" {
				t.Errorf("%s: %s", form, diff)
			}
			want := attest.Stored{Image: index, Type: signType, Form: form, Digest: known(k.Evidence)}
			if diff := cmp.Diff(want, stored[i], cmp.Comparer(func(a, b subject.Digest) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// TestSignSpelling holds the two forms of a signature to what cosign writes.
func TestSignSpelling(t *testing.T) {
	store := &memory{}
	if _, err := newAttester(t, newSigner(t), store, attest.LayoutBoth).Sign(t.Context(), index, nil); err != nil {
		t.Fatal(err)
	}
	decoded, err := bundle.Decode(store.kept[0].Evidence.Content)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + index.Digest.Hex() + `"}}],"predicateType":"` + signType + `","predicate":{}}`
	if got := string(decoded.Envelope.Payload); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want = `{"critical":{"identity":{"docker-reference":"` + repository + `"},"image":{"docker-manifest-digest":"` + index.Digest.String() +
		`"},"type":"cosign container image signature"},"optional":null}`
	if got := string(store.kept[1].Evidence.Content); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !store.created[0].Equal(now) {
		t.Errorf("created %v", store.created[0])
	}
}

func TestAttest(t *testing.T) {
	signer, store := newSigner(t), &memory{}
	if _, err := newAttester(t, signer, store, attest.LayoutBoth).Attest(t.Context(), platform, spdxType, spdx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"platform bundle Document", "platform envelope Document"}, store.order()); diff != "" {
		t.Error(diff)
	}
	for _, k := range store.kept {
		if claim := verify(t, signer, k); claim.Type() != spdxType || string(claim.Predicate()) != string(spdx) {
			t.Errorf("claim %s: %s", claim.Type(), claim.Predicate())
		}
	}
	short := &memory{}
	if _, err := newAttester(t, signer, short, attest.LayoutBundle).Attest(t.Context(), platform, "spdxjson", spdx); err != nil {
		t.Fatal(err)
	}
	if claim := verify(t, signer, short.kept[0]); claim.Type() != spdxType || short.kept[0].PredicateType != spdxType {
		t.Errorf("by its short name: type %s", claim.Type())
	}
	// One signature serves both layouts.
	decoded, err := bundle.Decode(store.kept[0].Evidence.Content)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := dsse.Decode(store.kept[1].Evidence.Content)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decoded.Envelope, envelope); diff != "" {
		t.Error(diff)
	}
	statement, err := intoto.Decode(envelope.Payload)
	if err != nil || statement.Type != intoto.V1 || statement.Subjects[0].Name != repository {
		t.Errorf("statement %+v, %v", statement, err)
	}
}

func TestCustom(t *testing.T) {
	signer := newSigner(t)
	for _, predicateType := range []string{"custom", customType} {
		for _, text := range []string{"plain text, 5 < 6\n", `{"looks":"like JSON"}`, ""} {
			store := &memory{}
			if _, err := newAttester(t, signer, store, attest.LayoutBundle).Attest(t.Context(), index, predicateType, json.RawMessage(text)); err != nil {
				t.Fatal(err)
			}
			claim := verify(t, signer, store.kept[0])
			var got struct{ Data, Timestamp string }
			if err := json.Unmarshal(claim.Predicate(), &got); err != nil {
				t.Fatal(err)
			}
			if claim.Type() != customType || got.Data != text || got.Timestamp != "2026-03-04T04:06:07Z" {
				t.Errorf("type %s, %+v", claim.Type(), got)
			}
		}
	}
	if _, err := newAttester(t, signer, &memory{}, attest.LayoutBundle).Attest(t.Context(), index, "custom", json.RawMessage("\xff")); err == nil {
		t.Error("wrapped what is no text")
	}
}

// TestWholeStatement has the mistake of attesting a statement inside a
// statement, in which no policy finds its fields.
func TestWholeStatement(t *testing.T) {
	store := &memory{}
	a := newAttester(t, newSigner(t), store, attest.LayoutBoth)
	for content, found := range map[string]string{
		`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v0.2","subject":[],"predicate":{}}`: "https://slsa.dev/provenance/v0.2",
		`{"_type":"https://in-toto.io/Statement/v1"}`:                                "",
		`{"predicateType":"cosign.sigstore.dev/attestation/vuln/v1","subject":[{}]}`: "cosign.sigstore.dev/attestation/vuln/v1",
	} {
		for _, predicateType := range []string{spdxType, "custom"} {
			_, err := a.Attest(t.Context(), index, predicateType, json.RawMessage(content))
			var whole *attest.StatementError
			if !errors.As(err, &whole) || whole.Found != found || !strings.Contains(err.Error(), found) || !strings.Contains(err.Error(), "--predicate wants only") {
				t.Errorf("%s as %s: got %v", content, predicateType, err)
			}
		}
	}
	if len(store.kept) != 0 {
		t.Errorf("stored %v", store.order())
	}
	// Each of the words alone is no statement.
	for _, content := range []string{`{"_type":"link"}`, `{"subject":"x"}`, `{"predicateType":"x"}`} {
		if _, err := a.Attest(t.Context(), index, "https://example.com/t", json.RawMessage(content)); err != nil {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func TestAttestRefuses(t *testing.T) {
	store := &memory{}
	a := newAttester(t, newSigner(t), store, attest.LayoutBoth)
	for name, test := range map[string]struct{ predicateType, content, want string }{
		"a list":         {spdxType, `[]`, "want a JSON object, found an array"},
		"text":           {spdxType, `"{}"`, "want a JSON object, found a string"},
		"broken":         {spdxType, `{`, "byte"},
		"nothing":        {spdxType, ``, "is empty"},
		"equal names":    {spdxType, `{"a":1,"a":2}`, "appears twice"},
		"no type":        {"", `{}`, "neither a URI nor"},
		"a typo":         {"spdx-json", `{}`, "neither a URI nor"},
		"signature":      {"signature", `{}`, "sign the image"},
		"no URI":         {"https://example.com/my type", `{}`, "neither a URI nor"},
		"a control":      {"https://example.com/\x1b", `{}`, "neither a URI nor"},
		"signature type": {signType, `{}`, "sign the image"},
		"too deep":       {spdxType, strings.Repeat(`{"a":`, limit.JSONDepth) + "1" + strings.Repeat("}", limit.JSONDepth), "levels"},
		"wrong time":     {"https://cosign.sigstore.dev/attestation/vuln/v1", `{"metadata":{"scanFinishedOn":"yesterday"}}`, "no gate would accept"},
	} {
		if _, err := a.Attest(t.Context(), index, test.predicateType, json.RawMessage(test.content)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
	var over *limit.Error
	if _, err := a.Attest(t.Context(), index, spdxType, make([]byte, limit.Evidence+1)); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
	for _, image := range []attest.Image{{}, {Repository: repository}, {Digest: index.Digest}} {
		if _, err := a.Sign(t.Context(), image, nil); err == nil {
			t.Errorf("signed %+v", image)
		}
	}
	if _, err := a.Publish(t.Context(), []attest.Order{{Image: index}}); err == nil {
		t.Error("an order of nothing succeeded")
	}
	if _, err := a.Publish(t.Context(), nil); err == nil {
		t.Error("no order succeeded")
	}
	if len(store.kept) != 0 {
		t.Errorf("stored %v", store.order())
	}
}

func orders() []attest.Order {
	var list []attest.Order
	for _, image := range []attest.Image{index, platform} {
		list = append(list, attest.Order{Image: image, Sign: true, Predicates: []attest.Predicate{
			{Type: spdxType, Content: spdx}, {Type: "custom", Content: []byte("x")},
		}})
	}
	return list
}

var wholeRun = []string{
	"index bundle Document", "index envelope Document", "index bundle v1", "index envelope v1",
	"platform bundle Document", "platform envelope Document", "platform bundle v1", "platform envelope v1",
	"index bundle v1", "index simple-signing .", "platform bundle v1", "platform simple-signing .",
}

func TestPublish(t *testing.T) {
	signer, store := newSigner(t), &memory{}
	stored, err := newAttester(t, signer, store, attest.LayoutBoth).Publish(t.Context(), orders())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wholeRun, store.order()); diff != "" {
		t.Error(diff)
	}
	if len(stored) != len(wholeRun) {
		t.Errorf("reported %d pieces", len(stored))
	}
	for i, k := range store.kept {
		if claim := verify(t, signer, k); (claim.Type() == signType) != (i >= 8) {
			t.Errorf("piece %d is of type %s", i, claim.Type())
		}
	}
}

// TestPublishBreaksOff fails at each upload in turn: before the last
// attestation is stored, nothing is signed.
func TestPublishBreaksOff(t *testing.T) {
	signer := newSigner(t)
	for failing := 1; failing <= len(wholeRun); failing++ {
		store := &memory{failing: failing}
		stored, err := newAttester(t, signer, store, attest.LayoutBoth).Publish(t.Context(), orders())
		if !errors.Is(err, errFull) || !strings.Contains(err.Error(), fmt.Sprintf("%d of 12 pieces are stored", failing-1)) {
			t.Fatalf("failing %d: got %v", failing, err)
		}
		if len(stored) != failing-1 || len(store.kept) != failing-1 {
			t.Errorf("failing %d: reported %d, stored %d", failing, len(stored), len(store.kept))
		}
		signed := slices.ContainsFunc(stored, func(s attest.Stored) bool { return s.Type == signType })
		if signed != (failing > 9) || signed == strings.Contains(err.Error(), "no image signature among them") {
			t.Errorf("failing %d: signed %v: %v", failing, signed, err)
		}
	}
}

// flaky signs until its call number failing.
type flaky struct {
	signing.Signer
	failing int
	calls   *int
}

var errToken = errors.New("token was pulled out")

func (f flaky) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if *f.calls++; *f.calls == f.failing {
		return nil, errToken
	}
	return f.Signer.Sign(ctx, message)
}

// TestNothingHalfSigned: if one of many signatures cannot be made, nothing at
// all is stored.
func TestNothingHalfSigned(t *testing.T) {
	signer := newSigner(t)
	for failing := 1; failing <= 8; failing++ {
		store := &memory{}
		stored, err := newAttester(t, flaky{signer, failing, new(int)}, store, attest.LayoutBoth).Publish(t.Context(), orders())
		if !errors.Is(err, errToken) || stored != nil || len(store.kept) != 0 {
			t.Errorf("failing %d: stored %v, %v", failing, store.order(), err)
		}
	}
	store := &memory{}
	bad := orders()
	bad[1].Predicates = append(bad[1].Predicates, attest.Predicate{Type: spdxType, Content: []byte("[]")})
	if _, err := newAttester(t, signer, store, attest.LayoutBoth).Publish(t.Context(), bad); err == nil || len(store.kept) != 0 {
		t.Errorf("a bad predicate: stored %v, %v", store.order(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newAttester(t, signer, store, attest.LayoutBoth).Publish(ctx, orders()); !errors.Is(err, context.Canceled) || len(store.kept) != 0 {
		t.Errorf("a done context: stored %v, %v", store.order(), err)
	}
}

// liar says that it has another key than it signs with.
type liar struct {
	signing.Signer
	other signing.Signer
}

func (l liar) Public() crypto.PublicKey { return l.other.Public() }
func (l liar) KeyID() identity.Key      { return l.other.KeyID() }

// TestChecksItself: what the signer's own key does not verify is not stored.
func TestChecksItself(t *testing.T) {
	for _, layout := range []attest.Layout{attest.LayoutBoth, attest.LayoutBundle, attest.LayoutLegacy} {
		store := &memory{}
		a := newAttester(t, liar{newSigner(t), newSigner(t)}, store, layout)
		if _, err := a.Sign(t.Context(), index, nil); err == nil || !strings.Contains(err.Error(), "bad signature") {
			t.Errorf("sign: %v", err)
		}
		if _, err := a.Attest(t.Context(), index, spdxType, spdx); err == nil || !strings.Contains(err.Error(), "bad signature") {
			t.Errorf("attest: %v", err)
		}
		if len(store.kept) != 0 {
			t.Errorf("stored %v", store.order())
		}
	}
}

func TestConfig(t *testing.T) {
	whole := attest.Config{Signer: newSigner(t), Store: &memory{}, Now: func() time.Time { return now }}
	for name, change := range map[string]func(*attest.Config){
		"signer": func(c *attest.Config) { c.Signer = nil }, "store": func(c *attest.Config) { c.Store = nil },
		"clock": func(c *attest.Config) { c.Now = nil }, "layout": func(c *attest.Config) { c.Layout = 3 },
	} {
		config := whole
		change(&config)
		if _, err := attest.New(config); err == nil {
			t.Errorf("%s missing or wrong: no error", name)
		}
	}
	for word, want := range map[string]attest.Layout{"both": attest.LayoutBoth, "bundle": attest.LayoutBundle, "legacy": attest.LayoutLegacy} {
		if got, err := attest.ParseLayout(word); err != nil || got != want {
			t.Errorf("%s: %v, %v", word, got, err)
		}
	}
	if _, err := attest.ParseLayout("none"); err == nil {
		t.Error("layout none: no error")
	}
}
