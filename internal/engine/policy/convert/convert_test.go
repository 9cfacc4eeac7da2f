package convert_test

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
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/internal/engine/policy/convert"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

var (
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	digest = subject.Of([]byte("an image"))
)

// signer signs as cosign does, with a key of its own.
type signer struct {
	key *ecdsa.PrivateKey
	pem string
}

func newSigner(t *testing.T) signer {
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

func (s signer) sign(t *testing.T, message []byte) string {
	t.Helper()
	sum := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

func (s signer) image(t *testing.T) trust.Evidence {
	t.Helper()
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"r"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, digest)
	return trust.Evidence{Digest: subject.Of(payload), Source: "test sig", Attached: digest, Form: trust.SimpleSigning, Content: payload, Signature: s.sign(t, payload)}
}

func (s signer) attest(t *testing.T, predicateType, predicate string) trust.Evidence {
	t.Helper()
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"i","digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`,
		digest.Hex(), predicateType, predicate)
	const payloadType = "application/vnd.in-toto+json"
	envelope, err := json.Marshal(map[string]any{
		"payloadType": payloadType, "payload": base64.StdEncoding.EncodeToString([]byte(statement)),
		"signatures": []any{map[string]any{"sig": s.sign(t, fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return trust.Evidence{Digest: subject.Of(envelope), Source: "test layer", Attached: digest, Form: trust.Envelope, Content: envelope}
}

func document(t *testing.T, content string) strictyaml.Document {
	t.Helper()
	documents, err := strictyaml.Documents("kyverno.yaml", []byte(content))
	if err != nil || len(documents) != 1 {
		t.Fatalf("%d documents, %v\n%s", len(documents), err, content)
	}
	return documents[0]
}

// pair is a policy of Kyverno's, and what it was converted into.
type pair struct {
	before policy.Policy
	after  []policy.Policy
	result convert.Result
}

func converted(t *testing.T, content string) pair {
	t.Helper()
	d := document(t, content)
	before, err := kyverno.Load(d, policytest.Material{})
	if err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	result, err := convert.Kyverno(d)
	if err != nil {
		t.Fatal(err)
	}
	p := pair{before: before, result: result}
	documents, err := strictyaml.Documents("converted.yaml", result.YAML)
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents {
		after, err := cel.Load(document, policytest.Material{})
		if err != nil {
			t.Fatalf("what was written does not load: %v\n%s", err, result.YAML)
		}
		p.after = append(p.after, after)
	}
	return p
}

var image = policy.Image{Registry: "registry.example.com", Repository: "ml/app", Tag: "v1", Digest: digest}

func allows(t *testing.T, p policy.Policy, image policy.Image, evidence ...trust.Evidence) bool {
	t.Helper()
	in := policy.Input{Image: image, Now: now, Scopes: []policy.Scope{{Subjects: []subject.Digest{digest}, Evidence: evidence}}}
	checks, err := p.Judge(t.Context(), in)
	if err != nil {
		return false
	}
	for _, c := range checks {
		if c.Outcome != verdict.Passed {
			return false
		}
	}
	return true
}

// both says what the two decide; every policy that was written must allow.
func (p pair) both(t *testing.T, image policy.Image, evidence ...trust.Evidence) (before, after bool) {
	t.Helper()
	before, after = allows(t, p.before, image, evidence...), true
	for _, one := range p.after {
		after = after && allows(t, one, image, evidence...)
	}
	return before, after
}

const (
	slsa = "https://slsa.dev/provenance/v1"
	bom  = "https://cyclonedx.org/bom"
)

// verifying is a policy with one element of verifyImages, whose fields are
// written in YAML's flow style. Keys are put in by name: KEY-a.
func verifying(signers map[string]signer, fields string) string {
	for name, s := range signers {
		fields = strings.ReplaceAll(fields, "KEY-"+name, "{publicKeys: "+fmt.Sprintf("%q", s.pem)+", rekor: {ignoreTlog: true}}")
	}
	return `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - {imageReferences: ["registry.example.com/*"], failureAction: Enforce, ` + fields + `}
`
}

// TestSameDecisions: a policy and what it was converted into decide alike about
// every combination of evidence.
func TestSameDecisions(t *testing.T) {
	a, b, mallory := newSigner(t), newSigner(t), newSigner(t)
	signers := map[string]signer{"a": a, "b": b}
	evidence := []trust.Evidence{
		a.image(t), b.image(t), mallory.image(t),
		a.attest(t, bom, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"numpy"}]}`),
		b.attest(t, bom, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"scipy"}]}`),
		mallory.attest(t, bom, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"numpy"}]}`),
	}
	for name, fields := range map[string]string{
		"one key":                `attestors: [{entries: [{keys: KEY-a}]}]`,
		"both keys":              `attestors: [{entries: [{keys: KEY-a}, {keys: KEY-b}]}]`,
		"one of two":             `attestors: [{count: 1, entries: [{keys: KEY-a}, {keys: KEY-b}]}]`,
		"two of two":             `attestors: [{count: 2, entries: [{keys: KEY-a}, {keys: KEY-b}]}]`,
		"two sets":               `attestors: [{entries: [{keys: KEY-a}]}, {entries: [{keys: KEY-b}]}]`,
		"a set in a set":         `attestors: [{entries: [{attestor: {entries: [{keys: KEY-a}]}}]}]`,
		"attested":               `attestations: [{type: "` + bom + `", attestors: [{entries: [{keys: KEY-a}]}]}]`,
		"attested by both":       `attestations: [{type: "` + bom + `", attestors: [{entries: [{keys: KEY-a}]}, {entries: [{keys: KEY-b}]}]}]`,
		"signed and attested":    `attestors: [{entries: [{keys: KEY-b}]}], attestations: [{type: "` + bom + `", attestors: [{entries: [{keys: KEY-a}]}]}]`,
		"attested with contents": `attestations: [{type: "` + bom + `", attestors: [{count: 1, entries: [{keys: KEY-a}, {keys: KEY-b}]}], conditions: [{all: [{key: "{{ components[].name }}", operator: AnyIn, value: [numpy]}]}]}]`,
	} {
		t.Run(name, func(t *testing.T) {
			p := converted(t, verifying(signers, fields))
			if len(p.result.Lost) > 0 || len(p.after) != 1 {
				t.Fatalf("%+v", p.result)
			}
			allowed := 0
			for set := range 1 << len(evidence) {
				var some []trust.Evidence
				for i, e := range evidence {
					if set>>i&1 == 1 {
						some = append(some, e)
					}
				}
				before, after := p.both(t, image, some...)
				if before != after && (after || name != "attested with contents") { // of which a note says that it is stricter
					t.Errorf("evidence %06b: Kyverno's policy allows: %v, the converted one: %v\n%s", set, before, after, p.result.YAML)
				}
				if after {
					allowed++
				}
			}
			if allowed == 0 || allowed == 1<<len(evidence) {
				t.Errorf("%d of %d are allowed, so that nothing was compared", allowed, 1<<len(evidence))
			}
		})
	}
}

// TestNeverWeaker: whatever the predicate has, a condition that was converted
// holds only where Kyverno's does; and for each there is a predicate for which
// both hold, and one for which neither does.
func TestNeverWeaker(t *testing.T) {
	a := newSigner(t)
	values := []string{`0`, `1`, `2`, `-1`, `2.5`, `true`, `false`, `null`, `""`, `"x"`, `"y"`, `"1"`, `"2"`, `"abc"`, `"true"`, `"1Ki"`, `"1h"`, `"1.2.3"`, `"*"`, `"x*"`,
		`[]`, `["x"]`, `["y"]`, `["x","y"]`, `["x","z"]`, `[1]`, `[1,2]`, `[null]`, `[["x"]]`, `{}`, `{"b":"x"}`, `{"b":1}`, `{"b":["x"]}`, `[{"b":"x"}]`, `[{"b":"y"},{"b":"x"}]`, `[{}]`, `[{"b":null}]`, `[{"b":"x","c":"y"}]`}
	for _, condition := range []string{
		`{key: "{{ a }}", operator: Equals, value: x}`,
		`{key: "{{ a }}", operator: NotEquals, value: x}`,
		`{key: "{{ a }}", operator: Equals, value: 1}`,
		`{key: "{{ a }}", operator: NotEquals, value: 1}`,
		`{key: "{{ a }}", operator: Equals, value: true}`,
		`{key: "{{ a }}", operator: GreaterThan, value: 1}`,
		`{key: "{{ a }}", operator: GreaterThanOrEquals, value: 2}`,
		`{key: "{{ a }}", operator: LessThan, value: 1}`,
		`{key: "{{ a }}", operator: LessThanOrEquals, value: 1}`,
		`{key: "{{ a }}", operator: AnyIn, value: [x, y]}`,
		`{key: "{{ a }}", operator: AllIn, value: [x, y]}`,
		`{key: "{{ a }}", operator: AnyNotIn, value: [x, y]}`,
		`{key: "{{ a }}", operator: AllNotIn, value: [x, y]}`,
		`{key: "{{ a.b }}", operator: Equals, value: x}`,
		`{key: "{{ a[].b }}", operator: AllIn, value: [x]}`,
		`{key: "{{ a[].b }}", operator: AnyIn, value: [x]}`,
		`{key: "{{ a[].b }}", operator: AllNotIn, value: [y]}`,
		`{key: "{{ length(a) }}", operator: GreaterThan, value: 0}`,
		`{key: "{{ length(a) }}", operator: Equals, value: 0}`,
		`{key: "{{ a[?b == 'x'] | length(@) }}", operator: Equals, value: 0}`,
		`{key: "{{ a[?b != 'x'] | length(@) }}", operator: Equals, value: 0}`,
		`{key: "{{ a[?b == 'x' && c == 'y'] | length(@) }}", operator: Equals, value: 0}`,
		`{key: "{{ regex_match('^a.c$', a) }}", operator: Equals, value: true}`,
		`{key: "{{ regex_match('^a.c$', a) }}", operator: NotEquals, value: true}`,
		`{key: "{{ a }}", operator: Equals, value: null}`,
		`{key: "{{ a }}", operator: NotEquals, value: null}`,
		`{key: "{{ a }}", operator: NotEquals, value: true}`,
		`{key: "{{ a }}", operator: AllIn, value: x}`,
		`{key: "{{ a }}", operator: AllNotIn, value: x}`,
		`{key: "{{ a }}", operator: AnyNotIn, value: [1, 2]}`,
		`{key: "{{ a[0] }}", operator: NotEquals, value: x}`,
		`{key: "{{ a[0].b }}", operator: AllNotIn, value: [x]}`,
		`{key: "{{ a[].b }}", operator: AnyNotIn, value: [x]}`,
		`{key: "{{ a[*].b[] }}", operator: AllNotIn, value: [y]}`,
		`{key: "{{ a[?starts_with(b, 'x')] | length(@) }}", operator: Equals, value: 0}`,
		`{key: "{{ a[?!(b == 'x')] | length(@) }}", operator: Equals, value: 0}`,
		`{key: "{{ a[?b == 'x' || b == 'y'].c }}", operator: AnyIn, value: [y]}`,
		`{key: "{{ length(a) }}", operator: NotEquals, value: 0}`,
		`{key: "{{ to_upper(a) }}", operator: NotEquals, value: X}`,
		`{key: "{{ length(a) }}", operator: AnyNotIn, value: [0, 1]}`,
		`{key: "{{ length(a) }}", operator: AnyIn, value: ["1"]}`,
		`{key: "{{ length(a) }}", operator: NotEquals, value: x}`,
		`{key: "{{ a }}", operator: AllNotIn, value: []}`,
		`{key: "{{ a }}", operator: AllNotIn, value: [x, 1]}`,
		`{key: "{{ a }}", operator: In, value: [x, y]}`,
		`{key: "{{ a }}", operator: NotIn, value: [x, y]}`,
		`{key: "{{ a }}", operator: In, value: x}`,
		`{key: "{{ a }}", operator: NotIn, value: x}`,
		`{key: "{{ a }}", operator: AnyIn, value: '["x"]'}`,
		`{key: "{{ a }}", operator: AnyNotIn, value: '["x"]'}`,
		`{key: "{{ to_upper(a) }}", operator: AnyNotIn, value: [X]}`,
	} {
		t.Run(condition, func(t *testing.T) {
			p := converted(t, verifying(map[string]signer{"a": a}, `attestations: [{type: "https://example.com/t", attestors: [{entries: [{keys: KEY-a}]}], conditions: [{all: [`+condition+`]}]}]`))
			if len(p.after) != 1 {
				t.Fatalf("%+v", p.result)
			}
			held, failed := 0, 0
			for _, value := range append(values, "") {
				predicate := `{"a":` + value + `}`
				if value == "" {
					predicate = `{}`
				}
				before, after := p.both(t, image, a.attest(t, "https://example.com/t", predicate))
				switch {
				case after && !before:
					t.Errorf("%s: the converted condition holds, Kyverno's does not\n%s", predicate, p.result.YAML)
				case after:
					held++
				case !before:
					failed++
				}
			}
			if len(p.result.Notes) == 0 && (held == 0 || failed == 0) {
				t.Errorf("both hold for %d predicates, neither for %d", held, failed)
			}
		})
	}
}

// TestNotes: what is different is said, with its line, and stands at the head of
// what was written.
func TestNotes(t *testing.T) {
	a, b := newSigner(t), newSigner(t)
	signers := map[string]signer{"a": a, "b": b}
	signed := `attestors: [{entries: [{keys: KEY-a}]}]`
	for name, test := range map[string]struct{ fields, note string }{
		"a tag left out": {strings.Replace(signed, "attestors", `skipImageReferences: ["*/base:*"], attestors`, 1), "a tag can stand before any digest"},
		"not required":   {signed + `, required: false`, "what is not verified is denied"},
		"logged":         {strings.ReplaceAll(signed, "KEY-a", `{publicKeys: "`+strings.ReplaceAll(a.pem, "\n", `\n`)+`"}`), "an entry of the transparency log is demanded"},
		"one of several": {`attestations: [{type: "https://example.com/t", attestors: [{count: 1, entries: [{keys: KEY-a}, {keys: KEY-b}]}]}]`, "what any of the 2 signers says"},
		"a scan":         {`attestations: [{type: "https://cosign.sigstore.dev/attestation/vuln/v1", attestors: [{entries: [{keys: KEY-a}]}], conditions: [{all: [{key: "{{ scanner.uri }}", operator: Equals, value: x}]}]}]`, "write it with findings"},
		"an SBOM":        {`attestations: [{type: "` + bom + `", attestors: [{entries: [{keys: KEY-a}]}]}]`, "lists no component"},
		"a range":        {`attestations: [{type: "https://example.com/t", attestors: [{entries: [{keys: KEY-a}]}], conditions: [{all: [{key: "{{ a }}", operator: AnyIn, value: "1-10"}]}]}]`, "is not converted, and never holds"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := convert.Kyverno(document(t, verifying(signers, test.fields)))
			if err != nil || len(result.Lost) > 0 {
				t.Fatalf("%v %v", err, result.Lost)
			}
			if len(result.Notes) != 1 || !strings.Contains(result.Notes[0].Text, test.note) || result.Notes[0].Line < 9 {
				t.Errorf("%+v, want %q", result.Notes, test.note)
			}
			if head := fmt.Sprintf("# - line %d: ", result.Notes[0].Line); !strings.Contains(string(result.YAML), head) {
				t.Errorf("no %q in\n%s", head, result.YAML)
			}
		})
	}
	p := converted(t, verifying(signers, `attestations: [{type: "https://example.com/t", attestors: [{entries: [{keys: KEY-a}]}], conditions: [{all: [{key: "{{ a }}", operator: AnyIn, value: "1-10"}]}]}]`))
	if before, after := p.both(t, image, a.attest(t, "https://example.com/t", `{"a":5}`)); !before || after {
		t.Errorf("what was not converted holds: %v, %v", before, after)
	}
}

// TestLost: what cannot be converted is named with its line, and nothing is
// written for it.
func TestLost(t *testing.T) {
	a, b := newSigner(t), newSigner(t)
	signers := map[string]signer{"a": a, "b": b}
	for name, test := range map[string]struct{ fields, lost string }{
		"annotations":  {`attestors: [{entries: [{keys: KEY-a, annotations: {a: b}}]}]`, "annotations of signatures"},
		"repository":   {`attestors: [{entries: [{keys: KEY-a, repository: registry.example.com/signatures}]}]`, "a repository for signatures"},
		"anybody":      {`attestors: [{entries: [{keyless: {subject: "x"}}]}]`, "means anybody"},
		"roots":        {`attestors: [{entries: [{keyless: {subject: "x", issuer: "y", roots: "z"}}]}]`, "put them into a trusted root"},
		"nobody":       {`attestations: [{type: "` + slsa + `"}]`, "anybody could have made it"},
		"nothing":      {`required: true`, "asks for neither"},
		"too many":     {`attestors: [{count: 3, entries: [{keys: KEY-a}, {keys: KEY-b}]}]`, "needs 3 of 2 signers"},
		"nested":       {`attestors: [{entries: [{attestor: {count: 1, entries: [{keys: KEY-a}, {keys: KEY-b}]}}]}]`, "a set of attestors within another"},
		"an authority": {`attestors: [{entries: [{certificates: {certChain: "x"}}]}]`, "put authorities into a trusted root"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := convert.Kyverno(document(t, verifying(signers, test.fields)))
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Lost) != 1 || !strings.Contains(result.Lost[0].Text, test.lost) || result.Lost[0].Line < 9 || len(result.YAML) > 0 {
				t.Errorf("%+v, want %q\n%s", result.Lost, test.lost, result.YAML)
			}
		})
	}
	for content, want := range map[string]string{
		"{apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {name: p}, spec: {rules: [], schemaValidation: false}}": "spec.schemaValidation has no place",
		"{apiVersion: v1, kind: Pod, metadata: {name: p}}":                                                                  "is no ClusterPolicy or Policy",
	} {
		if _, err := convert.Kyverno(document(t, content)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "kyverno.yaml:1") {
			t.Errorf("%s: %v", content, err)
		}
	}
}
