package lint_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/engine/policy/lint"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

var now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// key is a public key in PEM, indented by so many spaces.
func key(t *testing.T, spaces int) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return indent(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), spaces)
}

func indent(text string, spaces int) string {
	margin := strings.Repeat(" ", spaces)
	return margin + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+margin)
}

// certificate is one in PEM that ends at a time.
func certificate(t *testing.T, until time.Time, spaces int) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ci"}, NotBefore: until.Add(-time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	return indent(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), spaces)
}

// check lints all documents of a text.
func check(t *testing.T, text string, load func(strictyaml.Document) error) []lint.Finding {
	t.Helper()
	documents, err := strictyaml.Documents("p.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	var images []string
	for _, d := range documents {
		images = append(images, lint.Images(d)...)
	}
	var findings []lint.Finding
	for _, d := range documents {
		found, err := lint.Check(d, []byte(text), lint.Config{Now: now, Load: load, Images: images})
		if err != nil {
			t.Fatal(err)
		}
		findings = append(findings, found...)
	}
	return findings
}

func ids(findings []lint.Finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, f.Rule)
	}
	return list
}

// changed is a text with one part replaced, which must stand there once.
func changed(t *testing.T, text, was, now string) string {
	t.Helper()
	if strings.Count(text, was) != 1 {
		t.Fatalf("%q stands %d times in\n%s", was, strings.Count(text, was), text)
	}
	return strings.Replace(text, was, now, 1)
}

// kyvernoPolicy is one that no rule finds anything wrong in, but for notes.
func kyvernoPolicy(t *testing.T) string {
	return `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: images
  annotations:
    assay.sh/allow-sample: "false"
spec:
  webhookConfiguration:
    failurePolicy: Fail
  rules:
  - name: signed
    match:
      any:
      - resources:
          kinds:
          - Pod
    verifyImages:
    - imageReferences:
      - "*"
      skipImageReferences:
      - registry.example.com/trusted/*
      failureAction: Enforce
      attestors:
      - count: 1
        entries:
        - keys:
            publicKeys: |-
` + key(t, 14) + `
            rekor:
              ignoreTlog: true
      attestations:
      - type: https://cosign.sigstore.dev/attestation/vuln/v1
        attestors:
        - entries:
          - keyless:
              subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main
              issuer: https://token.actions.githubusercontent.com
        conditions:
        - all:
          - key: "{{ scanner.result.Results[].Vulnerabilities[?Severity=='CRITICAL'][] | length(@) }}"
            operator: Equals
            value: 0
          - key: "{{ time_since('', '{{ metadata.scanFinishedOn }}', '') }}"
            operator: LessThan
            value: 168h
`
}

func TestGoodKyvernoPolicy(t *testing.T) {
	for _, f := range check(t, kyvernoPolicy(t), nil) {
		if f.Level != remark.Note {
			t.Errorf("%d:%d: %s: %s", f.Line, f.Column, f.Rule, f.Message)
		}
	}
}

// change is one change of a good policy: what it becomes must be found by the
// rule, and the twin, a like change that is right, must not.
type change struct{ rule, was, bad, good string }

func run(t *testing.T, policy string, changes []change) {
	t.Helper()
	for _, c := range changes {
		bad := changed(t, policy, c.was, c.bad)
		if found := check(t, bad, nil); !slices.Contains(ids(found), c.rule) {
			t.Errorf("%s does not find %q; found are %q", c.rule, c.bad, ids(found))
		}
		good := policy
		if c.good != "" {
			good = changed(t, policy, c.was, c.good)
		}
		for _, f := range check(t, good, nil) {
			if f.Rule == c.rule {
				t.Errorf("%s finds something in %q at %d: %s", c.rule, c.good, f.Line, f.Message)
			}
		}
	}
}

func TestKyvernoRules(t *testing.T) {
	filter := "{{ scanner.result.Results[].Vulnerabilities[?Severity=='CRITICAL'][] | length(@) }}"
	run(t, kyvernoPolicy(t), []change{
		{"path-impossible", filter, "{{ scanner.Results[].Vulnerabilities[] | length(@) }}", "{{ scanner.result.Results[].Vulnerabilities[] | length(@) }}"},
		{"path-impossible", "?Severity=='CRITICAL'", "?severity=='CRITICAL'", ""},
		{"predicate-prefix", filter, "{{ predicate.scanner.uri }}", "{{ scanner.uri }}"},
		{"path-foreign", "?Severity=='CRITICAL'", "?CVSS.redhat.V3Score > `7`", "?CVSS.nvd.V3Score > `7`"},
		{"value-impossible", "=='CRITICAL'", "=='Critical'", "=='HIGH'"},
		{"type-unknown", "https://cosign.sigstore.dev/attestation/vuln/v1", "https://cosign.sigstore.dev/atestation/vuln/v1", "https://example.com/own/v1"},
		{"type-unknown", "https://cosign.sigstore.dev/attestation/vuln/v1", "vuln", ""},
		{"condition-always", "key: \"" + filter + "\"\n            operator: Equals\n            value: 0", "key: a\n            operator: Equals\n            value: a", "key: a\n            operator: Equals\n            value: b"},
		{"condition-always", "value: 0\n", "value: \"*\"\n", "value: \"0\"\n"},
		{"condition-always", "operator: Equals\n            value: 0", "operator: GreaterThanOrEquals\n            value: 0", "operator: GreaterThanOrEquals\n            value: 1"},
		{"condition-never", filter, "1", ""},
		{"condition-never", "        - all:\n", "        - any: []\n          all:\n", ""},
		{"age-unbounded", "time_since('', '{{ metadata.scanFinishedOn }}', '')", "metadata.scanFinishedOn", ""},
		{"signer-anybody", "              subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main\n", "", ""},
		{"signer-anybody", "              issuer: https://token.actions.githubusercontent.com\n", "", ""},
		{"signer-anybody", "issuer: https://token.actions.githubusercontent.com", "issuer: \"*\"", ""},
		{"signer-wide", "org/repo/.github/workflows/build.yml@refs/heads/main", "*", "org/*"},
		{"signer-wide", "subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main", "subjectRegExp: ^https://github\\.com/.*/release\\.yml|^https://github\\.com/[^/]+/.+$", "subjectRegExp: ^https://github\\.com/org/.+$"},
		{"signer-nobody", "count: 1", "count: 2", ""},
		{"signer-nobody", "issuer: https://token.actions.githubusercontent.com", "issuer: https://accounts.google.com", ""},
		{"signer-nobody", "issuer: https://token.actions.githubusercontent.com", "issuer: token.actions.githubusercontent.com", ""},
		{"signer-nobody", "issuer: https://token.actions.githubusercontent.com", "issuer: https://token.actions.githubusercontent.com/", ""},
		{"signer-nobody", "build.yml@refs/heads/main", "build.yml", "build.yml@refs/tags/v1"},
		{"signer-nobody", "https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main", "me@example.com", ""},
		{"attestors-missing", "        attestors:\n        - entries:\n          - keyless:\n              subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main\n              issuer: https://token.actions.githubusercontent.com\n", "", ""},
		{"public-good", "issuer: https://token.actions.githubusercontent.com", "issuer: https://login.corp.example", "issuer: https://login.corp.example\n              roots: |\n                a\n              rekor:\n                url: https://log.corp.example"},
		{"public-good", "            rekor:\n              ignoreTlog: true\n", "", "            rekor:\n              url: https://log.corp.example\n"},
		{"log-ignored", "issuer: https://token.actions.githubusercontent.com", "issuer: https://token.actions.githubusercontent.com\n              rekor:\n                ignoreTlog: true", ""},
		{"regexp-unanchored", "subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main", "subjectRegExp: https://github\\.com/org/.*", "subjectRegExp: ^https://github\\.com/org/.*"},
		{"regexp-unanchored", "subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main", "subjectRegExp: ^https://github\\.com/org/repo", "subjectRegExp: ^https://github\\.com/org/repo/"},
		{"regexp-unanchored", "subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main", "subjectRegExp: ^a$|b", "subjectRegExp: ^a$|^b$"},
		{"regexp-always", "subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main", "subjectRegExp: .*", "subjectRegExp: ^a.*$"},
		{"regexp-dot", "subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main", "subjectRegExp: ^https://github.com/org/.*", "subjectRegExp: ^https://github\\.com/org/.*"},
		{"regexp-broken", "subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main", "subjectRegExp: \"^(a\"", "subjectRegExp: \"^(a)$\""},
		{"regexp-unanchored", filter, "{{ regex_match('https://ci', '{{ scanner.uri }}') }}", "{{ regex_match('^https://ci$', '{{ scanner.uri }}') }}"},
		{"tag-pattern", "- \"*\"", "- registry.example.com/app:*", "- registry.example.com/app*"},
		{"tag-pattern", "- \"*\"", "- registry.example.com/app:v1", "- registry.example.com/app:v1\n      - registry.example.com/app@*"},
		{"skip-by-tag", "trusted/*", "trusted/app:v1", "trusted/app@sha256:*"},
		{"pattern-never", "- \"*\"", "- nginx:*", "- docker.io/library/nginx*"},
		{"pattern-never", "- \"*\"", "- org/app*", "- localhost/app*"},
		{"pattern-never", "- \"*\"", "- registry-1.docker.io/org/app*", "- docker.io/org/app*"},
		{"pattern-open", "registry.example.com/trusted/*", "registry.example.com*", "registry.example.com/*"},
		{"pattern-open", "registry.example.com/trusted/*", "\"*/trusted/*\"", ""},
		{"opt-in", "          - Pod\n", "          - Pod\n          annotations:\n            verify: \"true\"\n", "          - Pod\n          namespaces: [prod]\n"},
		{"opt-in", "          - Pod\n", "          - Pod\n          selector:\n            matchLabels:\n              verify: \"true\"\n", "          - Pod\n          namespaceSelector:\n            matchLabels:\n              verify: \"true\"\n"},
		{"opt-in", "          - Pod\n", "          - Pod\n    exclude:\n      any:\n      - resources:\n          annotations:\n            skip: \"true\"\n", "          - Pod\n    exclude:\n      any:\n      - resources:\n          namespaces: [kube-system]\n"},
		{"opt-in", "    verifyImages:\n", "    preconditions:\n      all:\n      - key: \"{{ request.object.metadata.labels.verify || '' }}\"\n        operator: Equals\n        value: \"true\"\n    verifyImages:\n", "    preconditions:\n      all:\n      - key: \"{{ request.namespace }}\"\n        operator: Equals\n        value: prod\n    verifyImages:\n"},
		{"workloads-unseen", "          - Pod\n", "          - Deployment\n", "          - Pod\n          - Deployment\n"},
		{"workloads-unseen", "          - Pod\n", "          - Pod\n          - tekton.dev/v1/Task\n", "          - Pod\n          - tekton.dev/v1/Task\n    imageExtractors:\n      Task:\n      - path: /spec/steps/*/image\n"},
		{"updates-unseen", "          - Pod\n", "          - Pod\n          operations: [CREATE]\n", "          - Pod\n          operations: [CREATE, UPDATE]\n"},
		{"path-impossible", "      attestations:\n      - type: https", "      validate:\n        deny:\n          conditions:\n            any:\n            - {key: \"{{ scan.scaner.uri }}\", operator: Equals, value: x}\n      attestations:\n      - name: scan\n        type: https",
			"      validate:\n        deny:\n          conditions:\n            any:\n            - {key: \"{{ scan.scanner.uri }}\", operator: Equals, value: x}\n      attestations:\n      - name: scan\n        type: https"},
		{"volumes-unseen", "    verifyImages:\n", "    verifyImages:\n", "    imageExtractors:\n      Pod:\n      - path: /spec/volumes/*/image/reference\n    verifyImages:\n"},
		{"images-elsewhere", "- \"*\"", "- registry.example.com/*", "- \"*/*\""},
		{"unreachable", "- registry.example.com/trusted/*", "- \"*\"", ""},
		{"unreachable", "          - Pod\n", "          - Pod\n    exclude:\n      any:\n      - resources:\n          kinds: [Pod]\n", "          - Pod\n    exclude:\n      any:\n      - resources:\n          kinds: [Pod]\n          namespaces: [kube-system]\n"},
		{"repeated", "value: 0\n", "value: 0\n          - key: \"" + filter + "\"\n            operator: Equals\n            value: 0\n", ""},
		{"never-enforced", "failureAction: Enforce", "failureAction: Audit", ""},
		{"never-enforced", "      failureAction: Enforce\n", "", ""},
		{"never-enforced", "  webhookConfiguration:\n", "  validationFailureActionOverrides:\n  - action: Audit\n    namespaces: [dev]\n  webhookConfiguration:\n", ""},
		{"fault-open", "failurePolicy: Fail", "failurePolicy: Ignore", ""},
		{"not-required", "failureAction: Enforce", "failureAction: Enforce\n      required: false", "failureAction: Enforce\n      required: true"},
		{"digest-optional", "failureAction: Enforce", "failureAction: Enforce\n      mutateDigest: false", "failureAction: Audit\n      mutateDigest: false"},
		{"digest-optional", "failureAction: Enforce", "failureAction: Enforce\n      verifyDigest: false", "failureAction: Enforce\n      verifyDigest: true"},
		{"registry-insecure", "failureAction: Enforce", "failureAction: Enforce\n      imageRegistryCredentials:\n        allowInsecureRegistry: true", "failureAction: Enforce\n      imageRegistryCredentials:\n        secrets: [a]"},
		{"sample-allowed", "allow-sample: \"false\"", "allow-sample: \"true\"", ""},
		{"field-deprecated", "- type: https", "- predicateType: https", ""},
		{"field-deprecated", "operator: LessThan", "operator: DurationLessThan", ""},
		{"field-deprecated", "failureAction: Enforce", "failureAction: Enforce\n      issuer: https://accounts.google.com", ""},
	})
}

func TestKyvernoKinds(t *testing.T) {
	policy := changed(t, changed(t, kyvernoPolicy(t), "kind: ClusterPolicy", "kind: Policy"), "  name: images\n", "  name: images\n  namespace: prod\n")
	run(t, policy, []change{
		{"unreachable", "          - Pod\n", "          - Pod\n          namespaces: [dev]\n", "          - Pod\n          namespaces: [prod]\n"},
		{"kind-removed", "kind: Policy", "kind: ClusterPolicy", ""},
	}[:1])
	if found := ids(check(t, policy, nil)); !slices.Contains(found, "kind-removed") {
		t.Errorf("a Policy is removed too; found are %q", found)
	}
	if found := ids(check(t, nativePolicy(t), nil)); slices.Contains(found, "kind-removed") {
		t.Error("nobody removes EvidencePolicy")
	}
}

func TestKeysOfKyverno(t *testing.T) {
	policy := kyvernoPolicy(t)
	start := strings.Index(policy, "        - keys:")
	end := strings.Index(policy, "      attestations:")
	entry := policy[start:end]
	other := changed(t, entry, strings.TrimSpace(entry[strings.Index(entry, "-----BEGIN"):strings.Index(entry, "            rekor")]), strings.TrimSpace(key(t, 14)))
	run(t, policy, []change{{"key-twice", entry, entry + entry, entry + other}})
	// How many keys are in a secret nobody knows here.
	run(t, policy, []change{{"signer-nobody", "count: 1\n        entries:\n" + entry, "count: 2\n        entries:\n" + entry,
		"count: 2\n        entries:\n        - keys:\n            publicKeys: k8s://ns/keys\n            rekor: {ignoreTlog: true}\n"}})
	run(t, policy, []change{{"key-expired", entry,
		"        - certificates:\n            cert: |-\n" + certificate(t, now.Add(-time.Hour), 14) + "\n            rekor:\n              ignoreTlog: true\n",
		"        - certificates:\n            cert: |-\n" + certificate(t, now.Add(time.Hour), 14) + "\n            rekor:\n              ignoreTlog: true\n"}})
}

// nativePolicy is an EvidencePolicy that no rule finds anything wrong in.
func nativePolicy(t *testing.T) string {
	return `apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata:
  name: images
spec:
  match:
    images: ["*"]
    excludeImages: [registry.example.com/trusted/*]
  action: Enforce
  signers:
  - name: ci
    keys:
    - publicKey: |
` + key(t, 8) + `
      notAfter: "2027-01-01T00:00:00Z"
  - name: release
    identities:
    - subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main
      issuer: https://token.actions.githubusercontent.com
  requirements:
  - name: scan
    type: vuln
    signers: [ci]
    maxAge: 168h
    checks:
    - name: no-critical
      expr: findings.all(f, f.severity != "CRITICAL")
  - name: provenance
    type: provenance
    signers: [ci, release]
    threshold: 2
    checks:
    - name: builder
      expr: predicate.runDetails.builder.id == "https://ci.example.com"
  - name: contents
    type: cyclonedx
    signers: [ci]
    checks:
    - name: licences
      expr: size(components) > 0 && components.all(c, c.name.matches("^a$"))
  exceptions:
  - images: [registry.example.com/old/*]
    reason: it is being replaced
    owner: team
    expires: "2026-06-01T00:00:00Z"
`
}

func TestGoodEvidencePolicy(t *testing.T) {
	for _, f := range check(t, nativePolicy(t), nil) {
		t.Errorf("%d:%d: %s: %s", f.Line, f.Column, f.Rule, f.Message)
	}
}

func TestEvidencePolicyRules(t *testing.T) {
	policy := nativePolicy(t)
	subject := "subject: https://github.com/org/repo/.github/workflows/build.yml@refs/heads/main"
	run(t, policy, []change{
		{"path-impossible", "predicate.runDetails.builder.id", "predicate.builder.id", ""},
		{"path-impossible", "predicate.runDetails.builder.id == \"https://ci.example.com\"", "predicate.buildDefinition.resolvedDependencies.exists(d, d.url == \"x\")", "predicate.buildDefinition.resolvedDependencies.exists(d, d.uri == \"x\")"},
		{"path-foreign", "findings.all(f, f.severity != \"CRITICAL\")", "predicate.scanner.result.Results.all(r, r.Vulnerabilities.all(v, v.CVSS.redhat.V3Score < 7))", ""},
		{"value-impossible", "findings.all(f, f.severity != \"CRITICAL\")", "predicate.scanner.result.Results.all(r, r.Vulnerabilities.all(v, v.Severity != \"Critical\"))", "predicate.scanner.result.Results.all(r, r.Vulnerabilities.all(v, v.Severity != \"CRITICAL\"))"},
		{"type-unknown", "type: provenance", "type: https://slsa.dev/provenence/v1", "type: https://slsa.dev/provenance/v1"},
		{"condition-always", "predicate.runDetails.builder.id == \"https://ci.example.com\"", "1 < 2", ""},
		{"opt-in", "predicate.runDetails.builder.id == \"https://ci.example.com\"", "has(object.metadata.labels.trusted)", "request.namespace == 'prod'"},
		{"path-impossible", "    maxAge: 168h\n", "    maxAge: 168h\n    select: {expr: predicate.scaner.uri == 'x'}\n", "    maxAge: 168h\n    select: {expr: predicate.scanner.uri == 'x'}\n"},
		{"condition-always", "predicate.runDetails.builder.id == \"https://ci.example.com\"", "claim.signer == claim.signer", "claim.signer == claim.type"},
		{"loop-vacuous", "size(components) > 0 && ", "", ""},
		{"age-unbounded", "    maxAge: 168h\n", "", ""},
		{"signer-anybody", "    - " + subject + "\n      issuer:", "    - issuer:", ""},
		{"signer-wide", subject, "subjectRegexp: https://github\\.com/.*", "subjectRegexp: https://github\\.com/org/.*"},
		{"signer-nobody", "threshold: 2", "threshold: 3", ""},
		{"signer-nobody", "issuer: https://token.actions.githubusercontent.com", "issuer: https://accounts.google.com", ""},
		{"signer-unused", "signers: [ci, release]", "signers: [ci]", ""},
		{"key-expired", "notAfter: \"2027-01-01T00:00:00Z\"", "notAfter: \"2025-01-01T00:00:00Z\"", ""},
		{"public-good", "issuer: https://token.actions.githubusercontent.com", "issuer: https://login.corp.example", "issuer: https://login.corp.example\n    trustedRoot: root.json"},
		{"log-ignored", "  - name: release\n", "  - name: release\n    insecureIgnoreLog: true\n", ""},
		{"regexp-unanchored", "matches(\"^a$\")", "matches(\"a\")", ""},
		{"regexp-always", subject, "subjectRegexp: .*", ""},
		{"regexp-dot", subject, "subjectRegexp: https://github.com/org/.*", ""},
		{"tag-pattern", "images: [\"*\"]", "images: [registry.example.com/app:v1]", "images: [registry.example.com/app:*]"},
		{"pattern-never", "images: [\"*\"]", "images: [nginx]", "images: [docker.io/library/nginx]"},
		{"pattern-open", "registry.example.com/trusted/*", "registry.example.com*", ""},
		{"opt-in", "  action: Enforce", "    objectSelector:\n      matchLabels: {verify: \"true\"}\n  action: Enforce", "    namespaceSelector:\n      matchLabels: {verify: \"true\"}\n  action: Enforce"},
		{"unreachable", "[registry.example.com/trusted/*]", "[\"*\"]", ""},
		{"unreachable", "[registry.example.com/old/*]", "[\"*\"]", ""},
		{"never-enforced", "action: Enforce", "action: Warn", ""},
		{"never-enforced", "action: Enforce", "effectiveUntil: \"2025-01-01T00:00:00Z\"", "effectiveUntil: \"2027-01-01T00:00:00Z\""},
		{"fault-open", "action: Enforce", "onFault: {evidenceUnavailable: Warn}", "onFault: {evidenceUnavailable: Enforce}"},
		{"sample-allowed", "action: Enforce", "allowSample: true", "allowSample: false"},
		{"exception-expired", "2026-06-01T00:00:00Z", "2026-02-01T00:00:00Z", ""},
		{"exception-unbounded", "2026-06-01T00:00:00Z", "2036-06-01T00:00:00Z", ""},
		{"exception-unbounded", "    expires: \"2026-06-01T00:00:00Z\"\n", "", ""},
		{"repeated", "    - name: builder\n", "    - name: again\n      expr: predicate.runDetails.builder.id == \"https://ci.example.com\"\n    - name: builder\n", ""},
	})
}

func TestSameKeyForTwoSigners(t *testing.T) {
	policy := nativePolicy(t)
	start, end := strings.Index(policy, "    keys:"), strings.Index(policy, "  - name: release")
	keys := policy[start:end]
	other := "    keys:\n    - publicKey: |\n" + key(t, 8) + "\n"
	was := policy[strings.Index(policy, "    identities:"):strings.Index(policy, "  requirements:")]
	run(t, policy, []change{{"key-twice", was, keys, other}})
}

func TestLoadErrorsAreFindings(t *testing.T) {
	policy := nativePolicy(t)
	load := func(strictyaml.Document) error {
		return errors.New("p.yaml:9: spec.action: is wrong\np.yaml:5: spec: is odd\n  with a second line")
	}
	found := check(t, policy, load)
	if len(found) != 2 || found[0].Line != 5 || found[1].Line != 9 || found[0].Rule != "not-loadable" || !strings.Contains(found[0].Message, "second line") {
		t.Errorf("found %+v", found)
	}
	// What was not given is no mistake of the policy's.
	found = check(t, policy, func(strictyaml.Document) error {
		return &lint.IncompleteError{What: "config map a/b", Err: errors.New("p.yaml:9: config map a/b is not there")}
	})
	if len(found) != 1 || found[0].Level != remark.Note || !strings.Contains(found[0].Message, "config map a/b") {
		t.Errorf("found %+v", found)
	}
	// What a rule says better is not said again.
	bad := changed(t, policy, "action: Enforce", "action: Warn")
	if found := check(t, changed(t, bad, "images: [\"*\"]", "images: [nginx]"), func(strictyaml.Document) error { return errors.New("p.yaml:7: nginx is wrong") }); slices.Contains(ids(found), "not-loadable") {
		t.Errorf("found %q", ids(found))
	}
}

func TestEveryRuleIsListedOnceAndTested(t *testing.T) {
	rules := lint.Rules()
	for i, r := range rules {
		if r.Title == "" || r.Help == "" || i > 0 && rules[i-1].ID == r.ID {
			t.Errorf("%+v", r)
		}
	}
}

func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/policy-lint.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range lint.Rules() {
		if row := "| `" + r.ID + "` | " + r.Level.String() + " | "; strings.Count(string(page), row) != 1 {
			t.Errorf("docs/policy-lint.md does not have one row %q", row)
		}
	}
}

func TestRulesForOtherThingsAreNotLookedAt(t *testing.T) {
	text := "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  rules:\n  - {name: r, %s: []}\n"
	for rule, want := range map[string]bool{"verifyImages": true, "validate": false} {
		documents, err := strictyaml.Documents("p.yaml", []byte(strings.Replace(text, "%s", rule, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if got := lint.IsPolicy(documents[0]); got != want {
			t.Errorf("a policy with %s is looked at: %v", rule, got)
		}
	}
}

func TestOtherKindsAreNoPolicies(t *testing.T) {
	documents, err := strictyaml.Documents("p.yaml", []byte("apiVersion: v1\nkind: ConfigMap\n"))
	if err != nil {
		t.Fatal(err)
	}
	if lint.IsPolicy(documents[0]) {
		t.Error("a config map is a policy")
	}
	if _, err := lint.Check(documents[0], nil, lint.Config{Now: now}); err == nil || !strings.Contains(err.Error(), "p.yaml:1") {
		t.Errorf("a config map is read: %v", err)
	}
}
