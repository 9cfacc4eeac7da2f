package verify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/job/verify"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

const (
	signType = "https://sigstore.dev/cosign/sign/v1"
	spdxType = "https://spdx.dev/Document"
)

var (
	now   = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	index = subject.Of([]byte("index"))
	amd64 = subject.Of([]byte("amd64"))
	arm64 = subject.Of([]byte("arm64"))
)

func clock() time.Time { return now }

// party is a key and the signer that it speaks for.
type party struct {
	key    *ecdsa.PrivateKey
	id     identity.Key
	signer trust.Signer
}

func newParty(t *testing.T, name string) party {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	id, err := identity.KeyOf(key.Public())
	must(t, err)
	return party{key, id, trust.Signer{Name: name, Keys: []trust.Key{{ID: id, Public: key.Public()}}}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func payload(t *testing.T, predicateType string, about subject.Digest) []byte {
	t.Helper()
	content, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf("", about)}, predicateType, json.RawMessage(`{}`)))
	must(t, err)
	return content
}

func (p party) sign(t *testing.T, payload []byte) dsse.Signature {
	t.Helper()
	sum := sha256.Sum256(dsse.PAE(dsse.InToto, payload))
	signature, err := ecdsa.SignASN1(rand.Reader, p.key, sum[:])
	must(t, err)
	return dsse.Signature{Sig: signature}
}

// piece is a bundle by p about a digest.
func (p party) piece(t *testing.T, predicateType string, about subject.Digest) trust.Evidence {
	t.Helper()
	body := payload(t, predicateType, about)
	content, err := bundle.Encode(dsse.Envelope{PayloadType: dsse.InToto, Payload: body, Signatures: []dsse.Signature{p.sign(t, body)}}, p.id)
	must(t, err)
	return trust.Evidence{Form: trust.Bundle, Content: content, Digest: subject.Of(content), Source: "bundle of " + p.signer.Name}
}

// shelf is a source that has what a test puts there.
type shelf struct {
	mutex    sync.Mutex
	resolved oci.Resolved
	evidence map[subject.Digest][]trust.Evidence
	fault    map[subject.Digest]error
	resolves int
}

func (s *shelf) Resolve(context.Context, string) (oci.Resolved, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.resolves++
	return s.resolved, s.fault[subject.Digest{}]
}

func (s *shelf) Evidence(_ context.Context, _ string, digest subject.Digest) ([]trust.Evidence, error) {
	return s.evidence[digest], s.fault[digest]
}

func newShelf(platforms ...oci.Platform) *shelf {
	return &shelf{evidence: map[subject.Digest][]trust.Evidence{}, fault: map[subject.Digest]error{}, resolved: oci.Resolved{
		Registry: "registry.example.com", Repository: "app", Tag: "1.0", Digest: index, Index: len(platforms) > 0, Platforms: platforms,
	}}
}

func image(t *testing.T, want verify.Want, s *shelf) (verify.Result, error) {
	t.Helper()
	v, err := verify.New(want, clock)
	must(t, err)
	return v.Image(t.Context(), s, "registry.example.com/app:1.0")
}

func decided(t *testing.T, want verify.Want, s *shelf, decision verdict.Decision) verify.Result {
	t.Helper()
	result, err := image(t, want, s)
	must(t, err)
	if result.Decision != decision {
		t.Errorf("decision %s, want %s: %+v", result.Decision, decision, result)
	}
	return result
}

func TestZeroDenies(t *testing.T) {
	if (verify.Result{}).Decision != verdict.Deny || (verify.Part{}).Decision != verdict.Deny {
		t.Error("a zero value does not deny")
	}
}

func TestNewRefuses(t *testing.T) {
	signers := []trust.Signer{newParty(t, "ci").signer}
	for name, want := range map[string]verify.Want{
		"nobody":          {Types: []string{signType}},
		"no type":         {Signers: signers},
		"an empty type":   {Signers: signers, Types: []string{signType, ""}},
		"fewer than none": {Signers: signers, Types: []string{signType}, Threshold: -1},
	} {
		if v, err := verify.New(want, clock); err == nil || v != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := verify.New(verify.Want{Signers: signers, Types: []string{signType}}, nil); err == nil {
		t.Error("no clock: no error")
	}
}

// TestImage: by the right signer, of the right type, about the digest that the
// tag was resolved to, once.
func TestImage(t *testing.T) {
	ci, stranger := newParty(t, "ci"), newParty(t, "stranger")
	want := verify.Want{Signers: []trust.Signer{ci.signer}, Types: []string{signType}}
	s := newShelf()
	s.evidence[index] = []trust.Evidence{stranger.piece(t, signType, index), ci.piece(t, spdxType, index), ci.piece(t, signType, amd64)}
	part := decided(t, want, s, verdict.Deny).Parts[0]
	if part.Pieces != 3 || len(part.Claims) != 0 || len(part.Others) != 1 || part.Others[0].Why != "it is of type "+spdxType || len(part.Rejections) != 2 {
		t.Errorf("%+v", part)
	}
	// The nearest first: truly signed comes before a stranger's.
	if part.Rejections[0].Reason != trust.OtherSubject || part.Rejections[1].Reason != trust.UnknownKey {
		t.Errorf("rejections %s, %s", part.Rejections[0].Reason, part.Rejections[1].Reason)
	}
	s.evidence[index] = append(s.evidence[index], ci.piece(t, signType, index))
	if part := decided(t, want, s, verdict.Allow).Parts[0]; len(part.Claims) != 1 || part.Signers != 1 || part.Claims[0].Type() != signType {
		t.Errorf("%+v", part)
	}
	if s.resolves != 2 {
		t.Errorf("resolved %d times for two answers", s.resolves)
	}
}

// TestFaults: what could not be read is no answer, and never a denial.
func TestFaults(t *testing.T) {
	ci := newParty(t, "ci")
	away := errors.New("the registry is away")
	platforms := []oci.Platform{{Name: "linux/amd64", Digest: amd64}, {Name: "linux/arm64", Digest: arm64}}
	want := verify.Want{Signers: []trust.Signer{ci.signer}, Types: []string{signType}, Recursive: true}
	for _, broken := range []subject.Digest{{}, index, arm64} {
		s := newShelf(platforms...)
		for _, digest := range []subject.Digest{index, amd64, arm64} {
			s.evidence[digest] = []trust.Evidence{ci.piece(t, signType, digest)}
		}
		decided(t, want, s, verdict.Allow)
		s.fault[broken] = away
		if result, err := image(t, want, s); !errors.Is(err, away) || result.Decision != verdict.Deny || result.Parts != nil {
			t.Errorf("%s broken: %+v, %v", broken, result, err)
		}
	}
	s := newShelf()
	s.resolved.Index = true
	if _, err := image(t, want, s); err == nil || !strings.Contains(err.Error(), "an index of nothing that could run") {
		t.Errorf("an empty index: %v", err)
	}
}

// TestRecursive: what an index has does not count for its manifests, nor the
// reverse.
func TestRecursive(t *testing.T) {
	ci := newParty(t, "ci")
	s := newShelf(oci.Platform{Name: "linux/amd64", Digest: amd64}, oci.Platform{Name: "linux/arm64", Digest: arm64})
	want := verify.Want{Signers: []trust.Signer{ci.signer}, Types: []string{signType}, Recursive: true}
	good := func(digest subject.Digest) []trust.Evidence { return []trust.Evidence{ci.piece(t, signType, digest)} }
	for _, lacking := range []subject.Digest{index, amd64, arm64} {
		for _, digest := range []subject.Digest{index, amd64, arm64} {
			s.evidence[digest] = good(digest)
		}
		decided(t, want, s, verdict.Allow)
		// The signature of another one of the three, attached here.
		s.evidence[lacking] = slices.Concat(good(index), good(amd64), good(arm64))
		s.evidence[lacking] = slices.DeleteFunc(s.evidence[lacking], func(e trust.Evidence) bool {
			_, rejection := trust.Verify(e, want.Signers, []subject.Digest{lacking}, now)
			return rejection == nil
		})
		result := decided(t, want, s, verdict.Deny)
		for _, part := range result.Parts {
			if (part.Decision == verdict.Allow) == (part.Digest == lacking) {
				t.Errorf("without %s: %s is %s", lacking.Short(), part.Name, part.Decision)
			}
		}
	}
	names := func(r verify.Result) (list []string) {
		for _, part := range r.Parts {
			list = append(list, part.Name)
		}
		return list
	}
	s.evidence[arm64] = good(arm64)
	if got := names(decided(t, want, s, verdict.Allow)); !slices.Equal(got, []string{"index", "linux/amd64", "linux/arm64"}) {
		t.Errorf("parts %v", got)
	}
	want.Recursive = false
	if got := names(decided(t, want, s, verdict.Allow)); !slices.Equal(got, []string{""}) {
		t.Errorf("parts %v", got)
	}
}

// TestSeveralInOneEnvelope: an envelope of the older layout may have several
// signatures, and each party's counts once.
func TestSeveralInOneEnvelope(t *testing.T) {
	a, b, c := newParty(t, "a"), newParty(t, "b"), newParty(t, "c")
	body := payload(t, spdxType, index)
	envelope := func(parties ...party) trust.Evidence {
		e := dsse.Envelope{PayloadType: dsse.InToto, Payload: body}
		for _, p := range parties {
			e.Signatures = append(e.Signatures, p.sign(t, body))
		}
		content, err := dsse.Encode(e)
		must(t, err)
		return trust.Evidence{Form: trust.Envelope, Content: content, Digest: subject.Of(content)}
	}
	want := verify.Want{Signers: []trust.Signer{a.signer, b.signer, c.signer}, Types: []string{spdxType}, Threshold: 2}
	for name, test := range map[string]struct {
		pieces   []trust.Evidence
		signers  int
		decision verdict.Decision
	}{
		"two in one":         {[]trust.Evidence{envelope(a, b)}, 2, verdict.Allow},
		"one twice in one":   {[]trust.Evidence{envelope(a, a)}, 1, verdict.Deny},
		"one in two":         {[]trust.Evidence{envelope(a), envelope(a)}, 1, verdict.Deny},
		"two in two":         {[]trust.Evidence{envelope(a), envelope(c)}, 2, verdict.Allow},
		"with a stranger":    {[]trust.Evidence{envelope(a, newParty(t, "x"))}, 1, verdict.Deny},
		"three, overlapping": {[]trust.Evidence{envelope(a, b), envelope(b, c)}, 3, verdict.Allow},
	} {
		s := newShelf()
		s.evidence[index] = test.pieces
		if part := decided(t, want, s, test.decision).Parts[0]; part.Signers != test.signers {
			t.Errorf("%s: %d signers, want %d", name, part.Signers, test.signers)
		}
	}
	// A rotated key: two keys of one signer are one party.
	rotated := trust.Signer{Name: "rotated", Keys: slices.Concat(a.signer.Keys, b.signer.Keys)}
	s := newShelf()
	s.evidence[index] = []trust.Evidence{envelope(a), envelope(b)}
	want.Signers = []trust.Signer{rotated}
	if part := decided(t, want, s, verdict.Deny).Parts[0]; part.Signers != 1 {
		t.Errorf("a rotated key counts %d times", part.Signers)
	}
}

// TestSharedKeys: where signers share keys, the order of the evidence changes
// nothing, and no key counts for two.
func TestSharedKeys(t *testing.T) {
	a, b, c := newParty(t, "a"), newParty(t, "b"), newParty(t, "c")
	several := func(name string, parties ...party) trust.Signer {
		s := trust.Signer{Name: name}
		for _, p := range parties {
			s.Keys = append(s.Keys, p.signer.Keys...)
		}
		return s
	}
	for name, test := range map[string]struct {
		signers []trust.Signer
		by      []party
		want    int
	}{
		"one of two in common":  {[]trust.Signer{several("ab", a, b), several("a", a)}, []party{a, b}, 2},
		"only the common one":   {[]trust.Signer{several("ab", a, b), several("a", a)}, []party{a}, 1},
		"three name one":        {[]trust.Signer{several("abc", a, b, c), several("a", a), several("a again", a)}, []party{a, b, c}, 2},
		"in a ring":             {[]trust.Signer{several("ab", a, b), several("bc", b, c), several("ca", c, a)}, []party{a, b, c}, 3},
		"a ring with a gap":     {[]trust.Signer{several("ab", a, b), several("bc", b, c), several("ca", c, a)}, []party{a, c}, 2},
		"one with all the keys": {[]trust.Signer{several("abc", a, b, c)}, []party{a, b, c}, 1},
	} {
		for turn := range len(test.by) {
			s := newShelf()
			for _, p := range slices.Concat(test.by[turn:], test.by[:turn]) {
				s.evidence[index] = append(s.evidence[index], p.piece(t, signType, index))
			}
			result, err := image(t, verify.Want{Signers: test.signers, Types: []string{signType}, Threshold: 2}, s)
			must(t, err)
			if got := result.Parts[0].Signers; got != test.want || (result.Decision == verdict.Allow) != (test.want >= 2) {
				t.Errorf("%s, turn %d: %d signers, want %d, %s", name, turn, got, test.want, result.Decision)
			}
		}
	}
}

// TestStrangers: a denial names who truly signed, and nothing that only says so.
func TestStrangers(t *testing.T) {
	store := trusttest.New(t, now)
	root, err := trust.ParseRoot("root", store.Root())
	must(t, err)
	who := identity.Certificate{Subject: "dev@example.com", Issuer: "https://accounts.example.com"}
	piece := func(sigstore *trusttest.Sigstore, predicateType string) trust.Evidence {
		signer := sigstore.Keyless(who, now.Add(-time.Minute))
		body := payload(t, predicateType, index)
		signature, err := signer.Sign(t.Context(), dsse.PAE(dsse.InToto, body))
		must(t, err)
		content, err := bundle.EncodeWith(bundle.Bundle{Certificates: signer.Certificates()[:1],
			Envelope: dsse.Envelope{PayloadType: dsse.InToto, Payload: body, Signatures: []dsse.Signature{{Sig: signature}}}})
		must(t, err)
		content, err = trusttest.Notary{Sigstore: sigstore, At: now}.Witness(t.Context(), content, signer.Public())
		must(t, err)
		return trust.Evidence{Form: trust.Bundle, Content: content, Digest: subject.Of(content), Source: "it"}
	}
	want := verify.Want{Types: []string{signType}, Signers: []trust.Signer{{Name: "us", Root: root, Identities: []identity.Pattern{{Subject: "us@example.com", Issuer: who.Issuer}}}}}
	s := newShelf()
	s.evidence[index] = []trust.Evidence{piece(store, signType)}
	part := decided(t, want, s, verdict.Deny).Parts[0]
	if len(part.Claims) != 0 || len(part.Strangers) != 1 || part.Strangers[0].Certificate().Subject != who.Subject {
		t.Errorf("%+v", part)
	}
	s.evidence[index] = []trust.Evidence{piece(trusttest.New(t, now), signType)}
	if part := decided(t, want, s, verdict.Deny).Parts[0]; len(part.Strangers) != 0 {
		t.Errorf("a forged certificate is believed: %+v", part.Strangers)
	}
}

// TestBlob: files, by content and by digest.
func TestBlob(t *testing.T) {
	ci := newParty(t, "ci")
	v, err := verify.New(verify.Want{Signers: []trust.Signer{ci.signer}, Types: []string{spdxType}}, clock)
	must(t, err)
	evidence := []trust.Evidence{ci.piece(t, spdxType, subject.Of([]byte("file")))}
	for name, test := range map[string]struct {
		artifact trust.Artifact
		decision verdict.Decision
	}{
		"content":       {trust.Artifact{Content: []byte("file")}, verdict.Allow},
		"digest":        {trust.Artifact{Digest: subject.Of([]byte("file"))}, verdict.Allow},
		"other content": {trust.Artifact{Content: []byte("filed")}, verdict.Deny},
		"other digest":  {trust.Artifact{Digest: subject.Of([]byte("filed"))}, verdict.Deny},
		"nothing":       {trust.Artifact{}, verdict.Deny},
	} {
		result, err := v.Blob(t.Context(), "file", test.artifact, evidence)
		if err != nil {
			t.Fatal(err)
		}
		if result.Decision != test.decision || len(result.Parts) != 1 {
			t.Errorf("%s: %+v", name, result)
		}
	}
	if result, err := v.Blob(t.Context(), "file", trust.Artifact{Content: []byte("file")}, nil); err != nil || result.Decision != verdict.Deny {
		t.Errorf("no evidence is enough: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if result, err := v.Blob(ended, "file", trust.Artifact{Content: []byte("file")}, evidence); !errors.Is(err, context.Canceled) || result.Decision == verdict.Allow {
		t.Errorf("nobody waits for it: %+v, %v", result, err)
	}
}
