package fit_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/policy/lint"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/fit"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

var digest, platform = subject.Of([]byte("index")), subject.Of([]byte("manifest"))

// shelf is a registry in memory.
type shelf struct {
	evidence map[subject.Digest][]trust.Evidence
	err      error
}

func (s shelf) Resolve(_ context.Context, reference string) (oci.Resolved, error) {
	return oci.Resolved{Reference: reference, Registry: "registry.example.com", Repository: "app", Tag: "v1", Digest: digest,
		Platforms: []oci.Platform{{Name: "linux/amd64", Digest: platform}, {Name: "linux/arm64", Digest: platform}}}, nil
}

func (s shelf) Evidence(_ context.Context, _ string, of subject.Digest) ([]trust.Evidence, error) {
	return s.evidence[of], s.err
}

// attestation is a piece in cosign's older layout, with a signature that nobody
// made.
func attestation(predicateType, predicate string) trust.Evidence {
	statement := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":"` + digest.Hex() + `"}}],"predicateType":"` + predicateType + `","predicate":` + predicate + `}`
	return trust.Evidence{Form: trust.Envelope, Source: "a tag", Content: []byte(`{"payloadType":"application/vnd.in-toto+json","payload":"` +
		base64.StdEncoding.EncodeToString([]byte(statement)) + `","signatures":[{"sig":"AAAA"}]}`)}
}

const policy = `apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata: {name: p}
spec:
  match: {images: ["*"]}
  signers: [{name: ci, keys: [{file: ci.pub}]}]
  requirements:
  - {name: signed, type: signature, signers: [ci]}
  - {name: scan, type: vuln, signers: [ci]}
  - name: own
    type: https://example.com/own/v1
    signers: [ci]
    checks: [{name: a, expr: "predicate.grade.level == 'good'"}]
`

func against(t *testing.T, pieces map[subject.Digest][]trust.Evidence) []remark.Remark {
	t.Helper()
	found, err := fit.Look(context.Background(), shelf{evidence: pieces}, "registry.example.com/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	documents, err := strictyaml.Documents("p.yaml", []byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	wants, err := lint.Wants(documents[0])
	if err != nil {
		t.Fatal(err)
	}
	return found.Against(wants)
}

func TestAllIsThere(t *testing.T) {
	// The signature is on the index, the rest on the manifest of a platform; any
	// vulnerability type counts.
	remarks := against(t, map[subject.Digest][]trust.Evidence{
		digest: {{Form: trust.SimpleSigning, Content: []byte("{}")}},
		platform: {attestation("https://in-toto.io/attestation/vulns/v0.2", "{}"), attestation("https://example.com/own/v1", `{"grade":{"level":"bad"}}`),
			attestation("https://example.com/own/v1", `{}`)},
	})
	if len(remarks) > 0 {
		t.Errorf("found %+v", remarks)
	}
}

func TestNothingIsThere(t *testing.T) {
	remarks := against(t, nil)
	if len(remarks) != 3 {
		t.Fatalf("found %+v", remarks)
	}
	for i, line := range []int{8, 9, 11} {
		if r := remarks[i]; r.Rule != "evidence-missing" || r.Line != line || r.Level != remark.Error || !strings.Contains(r.Message, "nothing is there") {
			t.Errorf("found %+v, want what is missing for line %d", r, line)
		}
	}
}

func TestAnotherThingIsThere(t *testing.T) {
	remarks := against(t, map[subject.Digest][]trust.Evidence{digest: {
		attestation("https://sigstore.dev/cosign/sign/v1", "{}"), attestation("https://example.com/own/v2", "{}"), attestation("https://example.com/own/v1", `{"grade":"good"}`),
		{Form: trust.Envelope, Source: "a broken tag", Content: []byte("{")},
	}})
	if len(remarks) != 2 || remarks[0].Rule != "evidence-missing" || !strings.Contains(remarks[0].Message, "https://example.com/own/v2") || !strings.Contains(remarks[0].Message, "a broken tag") {
		t.Fatalf("found %+v", remarks)
	}
	if r := remarks[1]; r.Rule != "evidence-lacks" || r.Line != 13 || !strings.Contains(r.Message, "predicate.grade.level") {
		t.Errorf("found %+v", r)
	}
}

func TestLookFails(t *testing.T) {
	if _, err := fit.Look(context.Background(), nil, "a"); err == nil {
		t.Error("no registry is no error")
	}
	away := errors.New("away")
	if _, err := fit.Look(context.Background(), shelf{err: away}, "a"); !errors.Is(err, away) {
		t.Errorf("found %v", err)
	}
}
