package gate_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	store "github.com/seed-161fc314/assay/internal/port/oci/registry"
	"github.com/seed-161fc314/assay/predicate"
)

// stage is a real registry, a real policy and the key that it trusts.
type stage struct {
	*testing.T
	server *ocitest.Server
	client *oci.Client
	repo   string
	key    crypto.Signer
	id     identity.Key
	policy policy.Policy
}

func newStage(t *testing.T) *stage {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.KeyOf(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := cosignkey.EncodePublic(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	const text = `apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata: {name: ml}
spec:
  match: {images: ["*/ml/app:*"]}
  signers:
  - {name: ci, keys: [{file: ci.pub}]}
  requirements:
  - name: scanned
    type: vuln
    signers: [ci]
    maxAge: 24h
    checks:
    - {name: no-critical, deny: 'findings.filter(f, f.severity == "CRITICAL")'}
`
	documents, err := strictyaml.Documents("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := cel.Load(documents[0], policytest.Keys(func(string) ([]byte, error) { return pem, nil }))
	if err != nil {
		t.Fatal(err)
	}
	server := ocitest.New(t, store.Config{})
	return &stage{t, server, oci.New(oci.Config{Keychain: authn.NewMultiKeychain()}), server.Host + "/ml/app", key, id, p}
}

// push pushes an image and points the tag v1 at it.
func (s *stage) push(platforms ...string) oci.Resolved {
	s.Helper()
	resolved, err := s.client.PushLayout(s.Context(), s.repo, ocitest.Layout(s.T, platforms...))
	if err != nil {
		s.Fatal(err)
	}
	s.tag(resolved.Digest)
	return resolved
}

func (s *stage) tag(digest subject.Digest) {
	s.Helper()
	if err := s.client.Tag(s.Context(), s.repo, digest, "v1"); err != nil {
		s.Fatal(err)
	}
}

// attest stores a scan, made some time before now; the vulnerabilities are
// critical ones.
func (s *stage) attest(about subject.Digest, age time.Duration, vulnerabilities ...string) {
	s.Helper()
	var found []string
	for _, id := range vulnerabilities {
		found = append(found, fmt.Sprintf(`{"id":%q,"severity":[{"method":"x","score":"9.8"}],"annotations":[{"package":"pyarrow","installedVersion":"13.0.0","fixedVersion":"14.0.1","severity":"CRITICAL"}]}`, id))
	}
	at := now.Add(-age).Format(time.RFC3339)
	scan := fmt.Sprintf(`{"scanner":{"uri":"s","db":{"lastUpdate":%q},"result":[%s]},"metadata":{"scanStartedOn":%q,"scanFinishedOn":%q,"annotations":[{"packages":3}]}}`,
		at, strings.Join(found, ","), at, at)
	payload, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf("app", about)}, predicate.TypeVulnsV02, []byte(scan)))
	if err != nil {
		s.Fatal(err)
	}
	sum := sha256.Sum256(dsse.PAE(dsse.InToto, payload))
	signature, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		s.Fatal(err)
	}
	content, err := bundle.Encode(dsse.Envelope{PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: signature}}}, s.id)
	if err != nil {
		s.Fatal(err)
	}
	s.store(about, content)
}

func (s *stage) store(about subject.Digest, content []byte) {
	s.Helper()
	if _, err := s.client.Attach(s.Context(), oci.Attachment{Repository: s.repo, Image: about, Evidence: trust.Evidence{Form: trust.Bundle, Content: content},
		PredicateType: predicate.TypeVulnsV02, Created: now}); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) decide(r gate.Registry) verdict.Verdict {
	s.Helper()
	return decide(s.T, newGate(s.T, r, s.policy), s.repo+":v1")
}

func (s *stage) wants(v verdict.Verdict, decision verdict.Decision, texts ...string) {
	s.Helper()
	if v.Decision != decision {
		s.Errorf("got %s, want %s: %+v", v.Decision, decision, v)
	}
	for _, want := range texts {
		if text := fmt.Sprintf("%+v", v.Failures()); !strings.Contains(text, want) {
			s.Errorf("want %q in %s", want, text)
		}
	}
}

func TestRealRegistry(t *testing.T) {
	s := newStage(t)
	image := s.push()
	s.wants(s.decide(s.client), verdict.Deny, "Found:none")
	s.attest(image.Digest, 2*time.Hour, "CVE-2023-47248")
	s.wants(s.decide(s.client), verdict.Deny, "CVE-2023-47248 (CRITICAL) pyarrow 13.0.0, fixed in 14.0.1", "upgrade pyarrow to 14.0.1")
	s.attest(image.Digest, time.Hour) // a rescan heals
	v := s.decide(s.client)
	s.wants(v, verdict.Allow)
	if v.Pinned != s.repo+":v1@"+image.Digest.String() {
		t.Errorf("pinned %s", v.Pinned)
	}
	s.attest(image.Digest, 0, "CVE-2024-0001") // a worse rescan blocks
	s.wants(s.decide(s.client), verdict.Deny, "CVE-2024-0001")
}

// mover points the tag at another image as soon as it was resolved.
type mover struct {
	*stage
	to subject.Digest
}

func (m mover) Resolve(ctx context.Context, reference string) (oci.Resolved, error) {
	resolved, err := m.client.Resolve(ctx, reference)
	m.tag(m.to)
	return resolved, err
}

func (m mover) Evidence(ctx context.Context, repository string, digest subject.Digest) (list []trust.Evidence, err error) {
	return m.client.Evidence(ctx, repository, digest)
}

func (m mover) ImageConfig(ctx context.Context, repository string, digest subject.Digest) (oci.ImageConfig, error) {
	return m.client.ImageConfig(ctx, repository, digest)
}

// TestTagMoves: a tag that moves while it is judged does not change what is
// judged and pinned (CVE-2022-47633, GHSA-2r43-6962-xcw5).
func TestTagMoves(t *testing.T) {
	s := newStage(t)
	evil, good := s.push(), s.push()
	s.attest(good.Digest, 0)
	v := s.decide(mover{s, evil.Digest})
	s.wants(v, verdict.Allow)
	if v.Subject != good.Digest || !strings.HasSuffix(v.Pinned, "@"+good.Digest.String()) {
		t.Errorf("judged %s, pinned %s; evil is %s", v.Subject, v.Pinned, evil.Digest)
	}
	// The tag is at evil now.
	s.wants(s.decide(mover{s, good.Digest}), verdict.Deny, "Found:none")
}

// TestCopiedEvidence: evidence about another image, stored beside this one,
// proves nothing about it.
func TestCopiedEvidence(t *testing.T) {
	s := newStage(t)
	good := s.push()
	s.attest(good.Digest, 0)
	s.wants(s.decide(s.client), verdict.Allow)
	stored, err := s.client.Evidence(t.Context(), s.repo, good.Digest)
	if err != nil || len(stored) != 1 {
		t.Fatal(len(stored), err)
	}
	evil := s.push()
	s.store(evil.Digest, stored[0].Content)
	s.wants(s.decide(s.client), verdict.Deny, "other subject", good.Digest.String())
}

func TestRealIndex(t *testing.T) {
	s := newStage(t)
	index := s.push("linux/amd64", "linux/arm64")
	s.attest(index.Platforms[0].Digest, 0)
	s.wants(s.decide(s.client), verdict.Deny, "Platform:linux/arm64", "Found:none")
	s.attest(index.Platforms[1].Digest, 0, "CVE-2023-47248")
	s.wants(s.decide(s.client), verdict.Deny, "Platform:linux/arm64", "CVE-2023-47248")

	other := s.push("linux/amd64", "linux/arm64")
	s.attest(other.Digest, 0) // on the index, for both
	v := s.decide(s.client)
	s.wants(v, verdict.Allow)
	if v.Subject != other.Digest {
		t.Errorf("judged %s", v.Subject)
	}
	s.attest(other.Platforms[1].Digest, 0, "CVE-2023-47248") // as new as that on the index
	s.wants(s.decide(s.client), verdict.Deny, "Platform:linux/arm64", "CVE-2023-47248")
}

// TestEveryRequestFails: whichever request of a decision fails, or is cut off,
// nothing is admitted.
func TestEveryRequestFails(t *testing.T) {
	s := newStage(t)
	index := s.push("linux/amd64", "linux/arm64")
	s.attest(index.Digest, time.Hour)
	s.server.Requests()
	s.wants(s.decide(s.client), verdict.Allow)
	requests := map[string]bool{}
	for _, line := range s.server.Requests() {
		requests[line] = true
	}
	if len(requests) < 6 {
		t.Fatalf("only %d kinds of requests", len(requests))
	}
	for line := range requests {
		for _, fault := range []ocitest.Fault{{Match: line, Status: 403}, {Match: line, Rewrite: func([]byte) []byte { return []byte("<html>") }}} {
			s.server.Break(fault)
			v, err := newGate(t, oci.New(oci.Config{Keychain: authn.NewMultiKeychain()}), s.policy).Decide(t.Context(), gate.Question{Reference: s.repo + ":v1"})
			s.server.Mend()
			if fault.Rewrite != nil && (strings.HasSuffix(line, ".sig") || strings.HasSuffix(line, ".att")) {
				continue // these are not there: the body of a 404 says nothing
			}
			var asFault *gate.FaultError
			if v.Decision != verdict.Fault || !errors.As(err, &asFault) {
				t.Errorf("%s with status %d: %s, %v", line, fault.Status, v.Decision, err)
			}
		}
	}
	s.wants(s.decide(s.client), verdict.Allow)
}
