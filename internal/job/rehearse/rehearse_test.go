package rehearse_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/rehearse"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

const evidencePolicy = `apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata: {name: p}
spec:
  match: {images: ["registry.example.com/*"]}
  signers:
  - {name: ci, keys: [{file: nowhere.pub}]}
  - {name: audit, keys: [{file: nowhere-else.pub}]}
  requirements:
  - {name: signed, type: signature, signers: [ci]}
  - {name: tested, type: "https://example.com/test", signers: [audit], checks: [{name: passed, expr: predicate.ok == true}]}
`

const clusterPolicy = `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: k}
spec:
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences: ["registry.example.com/*"]
      failureAction: Enforce
      attestors:
      - entries:
        - keys:
            rekor: {ignoreTlog: true}
            publicKeys: |
              -----BEGIN PUBLIC KEY-----
              MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFZNGfYwn7+b4uSdEYLKjxWi3xtP3
              UkR8hQvGrG25r0Ikoq0hI3/tr0m7ecvfM75TKh5jGAlLKSZUJpmCGaTToQ==
              -----END PUBLIC KEY-----
`

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func company(t *testing.T) *rehearse.Company {
	t.Helper()
	c, err := rehearse.New(policytest.Material{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func load(t *testing.T, text string, c *rehearse.Company) policy.Policy {
	t.Helper()
	documents, err := strictyaml.Documents("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	loader := cel.Load
	if strings.Contains(text, "kyverno.io") {
		loader = kyverno.Load
	}
	p, err := loader(documents[0], c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDecide(t *testing.T) {
	if _, err := rehearse.New(nil); err == nil {
		t.Error("made a company of nothing")
	}
	c, stranger := company(t), company(t)
	p := load(t, evidencePolicy, c)
	if got := c.Signers(); !slices.Equal(got, []string{"ci", "audit"}) {
		t.Errorf("signers %q", got)
	}
	image, err := rehearse.Image("registry.example.com/app:1")
	if err != nil {
		t.Fatal(err)
	}
	must := func(e trust.Evidence, err error) trust.Evidence {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	statement := func(about oci.Resolved, body string) []byte {
		t.Helper()
		text, err := rehearse.Statement(about, "https://example.com/test", []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	other := image
	other.Digest = subject.Of([]byte("other"))
	signed := must(c.Signature("ci", image.Name(), image.Digest, nil))
	good := must(c.Attestation("audit", statement(image, `{"ok": true}`)))
	for name, cas := range map[string]struct {
		evidence []trust.Evidence
		want     verdict.Decision
	}{
		"signed and tested":         {[]trust.Evidence{signed, good}, verdict.Allow},
		"nothing":                   {nil, verdict.Deny},
		"not tested":                {[]trust.Evidence{signed}, verdict.Deny},
		"condition does not hold":   {[]trust.Evidence{signed, must(c.Attestation("audit", statement(image, `{"ok": false}`)))}, verdict.Deny},
		"another signer of ours":    {[]trust.Evidence{signed, must(c.Attestation("ci", statement(image, `{"ok": true}`)))}, verdict.Deny},
		"a name that is not asked":  {[]trust.Evidence{signed, must(c.Attestation("mallory", statement(image, `{"ok": true}`)))}, verdict.Deny},
		"the same name, other keys": {[]trust.Evidence{signed, must(stranger.Attestation("audit", statement(image, `{"ok": true}`)))}, verdict.Deny},
		"about another image":       {[]trust.Evidence{signed, must(c.Attestation("audit", statement(other, `{"ok": true}`)))}, verdict.Deny},
		"signature of another":      {[]trust.Evidence{must(c.Signature("ci", image.Name(), other.Digest, nil)), good}, verdict.Deny},
	} {
		v, err := rehearse.Decide(t.Context(), rehearse.Scene{Policies: []policy.Policy{p}, Image: image, Evidence: cas.evidence, Now: now})
		if err != nil || v.Decision != cas.want {
			t.Errorf("%s: %s and %v, want %s", name, v.Decision, err, cas.want)
		}
	}
	if _, err := c.Attestation("ci", []byte(`{"_type":"x"}`)); err == nil {
		t.Error("signed what is no statement")
	}
}

// TestKyverno: entries of Kyverno's policies are played too, and what a company
// signs counts for nothing where no company plays.
func TestKyverno(t *testing.T) {
	c := company(t)
	played := load(t, clusterPolicy, c)
	documents, err := strictyaml.Documents("p.yaml", []byte(clusterPolicy))
	if err != nil {
		t.Fatal(err)
	}
	real, err := kyverno.Load(documents[0], policytest.Material{})
	if err != nil {
		t.Fatal(err)
	}
	image, err := rehearse.Image("registry.example.com/app@" + subject.Of([]byte("x")).String())
	if err != nil || len(c.Signers()) != 1 {
		t.Fatalf("%v, signers %q", err, c.Signers())
	}
	signed, err := c.Signature(c.Signers()[0], image.Name(), image.Digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cas := range []struct {
		policy policy.Policy
		want   verdict.Decision
	}{{played, verdict.Allow}, {real, verdict.Deny}} {
		v, err := rehearse.Decide(t.Context(), rehearse.Scene{Policies: []policy.Policy{cas.policy}, Image: image, Evidence: []trust.Evidence{signed}, Now: now})
		if err != nil || v.Decision != cas.want {
			t.Errorf("%s and %v, want %s", v.Decision, err, cas.want)
		}
	}
}

func TestDifferences(t *testing.T) {
	v := verdict.Verdict{Reference: "r", Decision: verdict.Deny, Checks: []verdict.Check{{Policy: "p", Rule: "scan", Name: "critical", Found: "1"}, {Policy: "p", Rule: "scan", Outcome: verdict.Passed},
		{Policy: "p", Rule: "signed", Found: "none"}, {Policy: "p", Rule: "age", Action: verdict.AuditOnly, Found: "old"}}}
	for name, c := range map[string]struct {
		want rehearse.Expectation
		say  []string
	}{
		"as wanted":         {rehearse.Expectation{Decision: "deny", Failed: []string{"scan/critical", "signed", "age"}, Message: "DENIED"}, nil},
		"decision alone":    {rehearse.Expectation{Decision: "deny"}, nil},
		"other decision":    {rehearse.Expectation{Decision: "allow"}, []string{"the decision is deny, want allow"}},
		"more failed":       {rehearse.Expectation{Decision: "deny", Failed: []string{"scan", "age"}}, []string{"signed failed and should not: found none"}},
		"less failed":       {rehearse.Expectation{Decision: "deny", Failed: []string{"scan", "signed", "age", "sbom"}}, []string{"sbom should fail and did not"}},
		"not in the answer": {rehearse.Expectation{Decision: "deny", Message: "CVE-1"}, []string{`the answer does not contain "CVE-1"`}},
	} {
		if got := rehearse.Differences(v, c.want); !slices.Equal(got, c.say) {
			t.Errorf("%s: %q, want %q", name, got, c.say)
		}
	}
	for rule, want := range map[string]string{"scan": "fail", "signed": "fail", "age": "warn", "none": "skip"} {
		if got := rehearse.Outcome(v, "p", rule); got != want {
			t.Errorf("rule %s says %s, want %s", rule, got, want)
		}
	}
	passed := verdict.Verdict{Checks: []verdict.Check{{Policy: "p", Rule: "r", Outcome: verdict.Skipped}, {Policy: "p", Rule: "r", Outcome: verdict.Passed}}}
	if got := rehearse.Outcome(passed, "p", "r") + rehearse.Outcome(passed, "q", "r"); got != "passskip" {
		t.Error(got)
	}
}

// TestKyvernoKinds: identities, certificates of nobody's root, key services and
// other repositories need nothing in a rehearsal.
func TestKyvernoKinds(t *testing.T) {
	const text = `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: kinds}
spec:
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences: ["*"]
      attestors:
      - entries:
        - keyless: {issuer: https://accounts.example.com, subject: "*@example.com"}
        - keys: {kms: "awskms:///alias/a"}
        - repository: registry.example.com/signatures
          keys: {publicKeys: k8s://a/b}
        - attestor: {count: 1, entries: [{keyless: {issuer: https://accounts.example.com, subject: a}}, {keyless: {issuer: https://accounts.example.com, subject: b}}]}
`
	c := company(t)
	p := load(t, text, c)
	image, err := rehearse.Image("registry.example.com/app:1")
	if err != nil {
		t.Fatal(err)
	}
	decide := func(signers ...string) verdict.Decision {
		var evidence []trust.Evidence
		for _, signer := range signers {
			e, err := c.Signature("r/attestors[0].entries["+signer, image.Name(), image.Digest, nil)
			if err != nil {
				t.Fatal(err)
			}
			evidence = append(evidence, e)
		}
		v, err := rehearse.Decide(t.Context(), rehearse.Scene{Policies: []policy.Policy{p}, Image: image, Evidence: evidence, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return v.Decision
	}
	if got := decide("0]", "1]", "2]", "3].attestor.entries[1]"); got != verdict.Allow {
		t.Errorf("all of them: %s", got)
	}
	for i := range 4 {
		signers := slices.Delete([]string{"0]", "1]", "2]", "3].attestor.entries[1]"}, i, i+1)
		if got := decide(signers...); got != verdict.Deny {
			t.Errorf("without %d: %s", i, got)
		}
	}
}
