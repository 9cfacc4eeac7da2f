package convert_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/internal/engine/policy/convert"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// kyverno writes a ClusterPolicy with one verifyImages block.
func kyverno(verify string) string {
	return `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: check-images}
spec:
  rules:
  - name: check
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences: ["registry.example.com/*"]
      failureAction: Enforce
` + indent(verify, 6)
}

func indent(text string, by int) string {
	pad := strings.Repeat(" ", by)
	return pad + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+pad) + "\n"
}

// keyAndCertificate are a public key and a certificate of it, in PEM.
func keyAndCertificate(t *testing.T) (key, certificate string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := cosignkey.EncodePublic(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return string(public), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func convertOne(t *testing.T, text string) convert.Result {
	t.Helper()
	documents, err := strictyaml.Documents("kyverno.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	result, err := convert.Kyverno(documents[0])
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// loaded loads what was converted, as it will be.
func loaded(t *testing.T, result convert.Result, material policy.Material) []policy.Policy {
	t.Helper()
	documents, err := strictyaml.Documents("converted.yaml", result.YAML)
	if err != nil {
		t.Fatalf("%v\n%s", err, result.YAML)
	}
	var policies []policy.Policy
	for _, document := range documents {
		p, err := cel.Load(document, material)
		if err != nil {
			t.Fatalf("%v\n%s", err, result.YAML)
		}
		policies = append(policies, p)
	}
	return policies
}

// TestConvertedLoads: what is written for every kind of attestor loads, and
// says what the original said.
func TestConvertedLoads(t *testing.T) {
	key, certificate := keyAndCertificate(t)
	second, _ := keyAndCertificate(t)
	root, err := trust.ParseRoot("root", trusttest.New(t, time.Unix(1<<31, 0)).Root())
	if err != nil {
		t.Fatal(err)
	}
	material := policytest.Material{Roots: map[string]*trust.Root{"": root}, PEM: map[string][]byte{
		"k8s://cosign/keys": []byte(key), "awskms:///alias/ci": []byte(key), "ci.pub": []byte(key)}}
	unlogged := "rekor: {ignoreTlog: true}\n"
	for name, test := range map[string]struct {
		verify string
		want   []string
	}{
		"key":         {"attestors:\n- entries:\n  - keys:\n" + indent(unlogged+"publicKeys: |\n"+indent(key, 2), 6), []string{"publicKey: |", "type: signature"}},
		"logged key":  {"attestors:\n- entries:\n  - keys:\n" + indent("publicKeys: |\n"+indent(key, 2), 6), []string{"requireLog: true"}},
		"two of two":  {"attestors:\n- entries:\n  - keys:\n" + indent(unlogged+"publicKeys: |\n"+indent(key, 2), 6) + "  - keys:\n" + indent(unlogged+"publicKeys: |\n"+indent(second, 2), 6), []string{"threshold: 2", "signers: [signer-1, signer-2]"}},
		"one of two":  {"attestors:\n- count: 1\n  entries:\n  - keys:\n" + indent(unlogged+"publicKeys: |\n"+indent(key+second, 2), 6), []string{"signers: [signer-1, signer-2]"}},
		"secret":      {"attestors:\n- entries:\n  - keys: {secret: {name: keys, namespace: cosign}, rekor: {ignoreTlog: true}}", []string{"ref: k8s://cosign/keys"}},
		"key service": {"attestors:\n- entries:\n  - keys: {kms: 'awskms:///alias/ci', rekor: {ignoreTlog: true}}", []string{"ref: awskms:///alias/ci"}},
		"file":        {"attestors:\n- entries:\n  - keys: {publicKeys: ci.pub, rekor: {ignoreTlog: true}}", []string{"ref: ci.pub"}},
		"certificate": {"attestors:\n- entries:\n  - certificates:\n" + indent(unlogged+"cert: |\n"+indent(certificate, 2), 6), []string{"certificate: |"}},
		"keyless":     {"attestors:\n- entries:\n  - keyless: {subject: 'https://github.com/example/*', issuer: 'https://token.actions.githubusercontent.com', additionalExtensions: {githubWorkflowSha: abc}}", []string{"subjectRegexp: https://github\\.com/example/.*", "githubWorkflowSHA: abc"}},
		"regexps":     {"attestors:\n- entries:\n  - keyless: {subjectRegExp: '^a@example.com$', issuerRegExp: 'accounts.example.com', rekor: {ignoreTlog: true}, ctlog: {ignoreSCT: true}}", []string{"subjectRegexp: a@example.com", "issuerRegexp: .*accounts.example.com.*", "insecureIgnoreLog: true", "insecureIgnoreSCT: true"}},
		"audit":       {"failureAction: Audit\nattestors:\n- entries:\n  - keys: {publicKeys: ci.pub, rekor: {ignoreTlog: true}}", []string{"action: Audit"}},
		"attestation": {"attestations:\n- type: https://slsa.dev/provenance/v1\n  attestors:\n  - entries:\n    - keys: {publicKeys: ci.pub, rekor: {ignoreTlog: true}}\n  conditions:\n  - all:\n    - {key: '{{ buildDefinition.buildType }}', operator: Equals, value: https://example.com/build}", []string{"type: https://slsa.dev/provenance/v1", "checks:", "https://example.com/build"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := kyverno(test.verify)
			if name == "audit" {
				text = strings.Replace(text, "      failureAction: Enforce\n", "", 1)
			}
			result := convertOne(t, text)
			if len(result.Lost) > 0 {
				t.Fatalf("lost: %+v", result.Lost)
			}
			for _, want := range test.want {
				if !bytes.Contains(result.YAML, []byte(want)) {
					t.Errorf("want %q in\n%s", want, result.YAML)
				}
			}
			policies := loaded(t, result, material)
			ours := policy.Image{Registry: "registry.example.com", Repository: "app", Digest: subject.Of([]byte("image"))}
			theirs := policy.Image{Registry: "other.example.com", Repository: "app", Digest: ours.Digest}
			if !policies[0].Match(ours, policy.Request{}) || policies[0].Match(theirs, policy.Request{}) {
				t.Error("the converted policy judges other images than the original")
			}
		})
	}
}

// TestConvertedMatch: selectors of namespaces load and select.
func TestConvertedMatch(t *testing.T) {
	text := strings.Replace(kyverno("attestors:\n- entries:\n  - keys: {publicKeys: ci.pub, rekor: {ignoreTlog: true}}"),
		"{kinds: [Pod]}", "{kinds: [Pod], namespaceSelector: {matchLabels: {env: prod}}}", 1)
	key, _ := keyAndCertificate(t)
	p := loaded(t, convertOne(t, text), policytest.Material{PEM: map[string][]byte{"ci.pub": []byte(key)}})[0]
	image := policy.Image{Registry: "registry.example.com", Repository: "app", Digest: subject.Of([]byte("image"))}
	for env, want := range map[string]bool{"prod": true, "dev": false} {
		if got := p.Match(image, policy.Request{Known: true, NamespaceLabels: map[string]string{"env": env}}); got != want {
			t.Errorf("%s: match %v", env, got)
		}
	}
}

// TestNotConverted: what has no place is named, and nothing is written for it.
func TestNotConverted(t *testing.T) {
	key, certificate := keyAndCertificate(t)
	for name, test := range map[string]struct{ verify, want string }{
		"authority":       {"attestors:\n- entries:\n  - certificates:\n" + indent("certChain: |\n"+indent(certificate, 2), 6), "put authorities into a trusted root"},
		"anybody":         {"attestors:\n- entries:\n  - keyless: {issuer: 'https://accounts.example.com'}", "means anybody"},
		"own log":         {"attestors:\n- entries:\n  - keys:\n" + indent("rekor: {pubkey: x}\npublicKeys: |\n"+indent(key, 2), 6), "put them into a trusted root"},
		"unsigned":        {"attestations:\n- type: https://slsa.dev/provenance/v1\n", "has no attestors"},
		"asks nothing":    {"required: true", "asks for neither"},
		"too many wanted": {"attestors:\n- count: 2\n  entries:\n  - keys: {publicKeys: ci.pub, rekor: {ignoreTlog: true}}", "needs 2 of 1 signers"},
	} {
		t.Run(name, func(t *testing.T) {
			result := convertOne(t, kyverno(test.verify))
			if len(result.YAML) > 0 {
				t.Errorf("written:\n%s", result.YAML)
			}
			if text := fmt.Sprint(result.Lost); !strings.Contains(text, test.want) {
				t.Errorf("want %q in %s", test.want, text)
			}
		})
	}
}
