package kyverno_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var digest = subject.Of([]byte("an image"))

// signer signs as cosign does, with a fresh key.
type signer struct {
	key *ecdsa.PrivateKey
	pem string
}

func newSigner(t testing.TB) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

func (s signer) sign(t testing.TB, message []byte) string {
	t.Helper()
	sum := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// attest makes a DSSE envelope about the digest.
func (s signer) attest(t testing.TB, predicateType, predicate string) trust.Evidence {
	t.Helper()
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"i","digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`,
		digest.Hex(), predicateType, predicate)
	const payloadType = "application/vnd.in-toto+json"
	message := fmt.Sprintf("DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement)
	envelope, err := json.Marshal(map[string]any{
		"payloadType": payloadType, "payload": base64.StdEncoding.EncodeToString([]byte(statement)),
		"signatures": []any{map[string]any{"keyid": "", "sig": s.sign(t, []byte(message))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return trust.Evidence{Digest: subject.Of(envelope), Source: "test layer", Attached: digest, Form: trust.Envelope, Content: envelope}
}

// image makes an image signature in cosign's older layout.
func (s signer) image(t testing.TB) trust.Evidence {
	t.Helper()
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"r"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, digest)
	return trust.Evidence{Digest: subject.Of(payload), Source: "test sig", Attached: digest, Form: trust.SimpleSigning, Content: payload, Signature: s.sign(t, payload)}
}

// withKey puts PEM in place of @KEY@, with the indentation that stands there.
func withKey(content string, pems ...string) string {
	lines := strings.Split(content, "\n")
	var out []string
	for _, line := range lines {
		indent, found := strings.CutSuffix(line, "@KEY@")
		if !found {
			out = append(out, line)
			continue
		}
		for _, p := range pems {
			for l := range strings.Lines(p) {
				out = append(out, indent+strings.TrimSuffix(l, "\n"))
			}
		}
	}
	return strings.Join(out, "\n")
}

func load(content string) (policy.Policy, error) {
	documents, err := strictyaml.Documents("p.yaml", []byte(content))
	if err != nil {
		return nil, err
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("%d documents", len(documents))
	}
	return kyverno.Load(documents[0], policytest.Material{})
}

func mustLoad(t testing.TB, content string) policy.Policy {
	t.Helper()
	p, err := load(content)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func file(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var image = policy.Image{Registry: "registry.example.com", Repository: "ml/pandas-processor", Tag: "v1", Digest: digest}

func input(evidence ...trust.Evidence) policy.Input {
	return policy.Input{Image: image, Now: now, Scopes: []policy.Scope{{Subjects: []subject.Digest{digest}, Evidence: evidence}}}
}

func judge(t testing.TB, p policy.Policy, in policy.Input) []verdict.Check {
	t.Helper()
	checks, err := p.Judge(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(checks) == 0 {
		t.Fatal("no checks at all")
	}
	for _, c := range checks {
		if c.Policy != p.Name() || c.Rule == "" || c.Expected == "" || c.Found == "" {
			t.Errorf("a check with holes: %+v", c)
		}
	}
	return checks
}

func failures(checks []verdict.Check) []verdict.Check {
	return verdict.Verdict{Checks: checks}.Failures()
}

// allowed and denied judge and compare; denied wants each text somewhere in
// the failures.
func allowed(t testing.TB, p policy.Policy, in policy.Input) {
	t.Helper()
	if wrong := failures(judge(t, p, in)); len(wrong) > 0 {
		t.Errorf("denied: %+v", wrong)
	}
}

func denied(t testing.TB, p policy.Policy, in policy.Input, want ...string) {
	t.Helper()
	wrong := failures(judge(t, p, in))
	if len(wrong) == 0 {
		t.Error("allowed")
		return
	}
	text := fmt.Sprintf("%+v", wrong)
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("want %q in %s", w, text)
		}
	}
}
