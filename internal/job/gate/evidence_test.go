package gate_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	embedded "github.com/seed-161fc314/assay/internal/port/oci/registry"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
	"github.com/seed-161fc314/assay/predicate"
)

var dawn = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// house is a registry, two key pairs and a client: "ci" may sign, "eve" not.
type house struct {
	t      *testing.T
	server *ocitest.Server
	client *oci.Client
	keys   map[string]*file.Signer
	public map[string]string
}

func newHouse(t *testing.T, config embedded.Config) *house {
	t.Helper()
	h := &house{t: t, server: ocitest.New(t, config), client: oci.New(oci.Config{}), keys: map[string]*file.Signer{}, public: map[string]string{}}
	for _, name := range []string{"ci", "eve"} {
		private, public, err := cosignkey.Generate(nil)
		if err != nil {
			t.Fatal(err)
		}
		path, _, err := file.Write(filepath.Join(t.TempDir(), name), private, public)
		if err != nil {
			t.Fatal(err)
		}
		if h.keys[name], err = file.Open(path, func() ([]byte, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		h.public[name] = string(public)
	}
	return h
}

// push pushes a random image, or an index, and tags it.
func (h *house) push(tag string, platforms ...string) oci.Resolved {
	h.t.Helper()
	repository := h.server.Host + "/ml/app"
	resolved, err := h.client.PushLayout(context.Background(), repository, ocitest.Layout(h.t, platforms...))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.client.Tag(context.Background(), repository, resolved.Digest, tag); err != nil {
		h.t.Fatal(err)
	}
	return resolved
}

// attest signs predicates about a digest; none means an image signature.
func (h *house) attest(who string, digest subject.Digest, predicates ...attest.Predicate) {
	h.t.Helper()
	a, err := attest.New(attest.Config{Signer: h.keys[who], Store: h.client, Now: func() time.Time { return dawn }})
	if err != nil {
		h.t.Fatal(err)
	}
	order := attest.Order{Image: attest.Image{Repository: h.server.Host + "/ml/app", Digest: digest}, Predicates: predicates, Sign: len(predicates) == 0}
	if _, err := a.Publish(context.Background(), []attest.Order{order}); err != nil {
		h.t.Fatal(err)
	}
}

// vulns is a vulnerability predicate that was finished some time ago, with
// findings as "ID SEVERITY package installed fixed".
func scanned(ago time.Duration, findings ...string) attest.Predicate {
	body := predicate.Vulns{Scanner: predicate.VulnsScanner{URI: "https://example.com/scanner", Result: []predicate.VulnsResult{}},
		Metadata: predicate.VulnsMetadata{ScanStartedOn: dawn.Add(-ago), ScanFinishedOn: dawn.Add(-ago), Annotations: []map[string]any{predicate.ScanAnnotation(7, nil)}}}
	for _, line := range findings {
		f := strings.Fields(line + " ")
		v := predicate.Vulnerability{ID: f[0], Severity: f[1], Package: f[2], Installed: f[3]}
		if len(f) > 4 {
			v.Fixed = f[4]
		}
		body.Scanner.Result = append(body.Scanner.Result, predicate.VulnsResult{ID: f[0], Annotations: []map[string]any{v.Annotation()}})
	}
	return encode(predicate.TypeVulnsV02, body)
}

func encode(uri string, body any) attest.Predicate {
	content, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return attest.Predicate{Type: uri, Content: content}
}

// cosignVuln is a cosign predicate with a report of Trivy's.
func cosignVuln(ago time.Duration, severity string) attest.Predicate {
	stamp := dawn.Add(-ago).Format(time.RFC3339)
	return attest.Predicate{Type: predicate.TypeCosignVuln, Content: []byte(fmt.Sprintf(`{"scanner":{"uri":"https://example.com/scanner","result":{"SchemaVersion":2,"Results":[{"Target":"t","Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"p","Severity":%q}]}]}},"metadata":{"scanStartedOn":%q,"scanFinishedOn":%q}}`, severity, stamp, stamp))}
}

const scanPolicy = `
apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata: {name: scanned}
spec:
  match: {images: ["*/ml/app:*", "*/ml/app@*"]}
  signers:
  - name: ci
    keys: [{file: ci.pub}]
  requirements:
  - name: scan
    type: vuln
    signers: [ci]
    maxAge: 24h
    checks:
    - name: no-critical
      deny: findings.filter(f, f.severity == "CRITICAL")
      message: no critical vulnerability
`

const signedPolicy = `
apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata: {name: signed}
spec:
  match: {images: ["*/ml/app*"]}
  signers:
  - name: ci
    keys: [{file: ci.pub}]
  requirements:
  - {name: signature, type: signature, signers: [ci]}
`

func (h *house) gate(store gate.Registry, texts ...string) *gate.Gate {
	h.t.Helper()
	var policies []policy.Policy
	for _, text := range texts {
		documents, err := strictyaml.Documents("policy.yaml", []byte(text))
		if err != nil {
			h.t.Fatal(err)
		}
		p, err := cel.Load(documents[0], policytest.Keys(func(path string) ([]byte, error) {
			return []byte(h.public[strings.TrimSuffix(path, ".pub")]), nil
		}))
		if err != nil {
			h.t.Fatal(err)
		}
		policies = append(policies, p)
	}
	g, err := gate.New(gate.Config{Policies: policies, Registry: store, Now: func() time.Time { return dawn }})
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

// want decides about a tag and holds the answer to a decision and to words
// that its explanation must have.
func (h *house) want(g *gate.Gate, tag string, decision verdict.Decision, words ...string) verdict.Verdict {
	h.t.Helper()
	v, err := g.Decide(context.Background(), gate.Question{Reference: h.server.Host + "/ml/app:" + tag})
	if (err != nil) != (decision == verdict.Fault) {
		h.t.Errorf("error is %v", err)
	}
	var text bytes.Buffer
	if err := explain.Write(&text, v); err != nil {
		h.t.Fatal(err)
	}
	if v.Decision != decision {
		h.t.Errorf("decided %s, want %s:\n%s", v.Decision, decision, text.String())
	}
	for _, word := range words {
		if !strings.Contains(text.String(), word) {
			h.t.Errorf("the explanation does not say %q:\n%s", word, text.String())
		}
	}
	return v
}

func TestAllowAndDeny(t *testing.T) {
	for _, config := range []embedded.Config{{}, {WithoutReferrers: true}} {
		t.Run(fmt.Sprintf("%+v", config), func(t *testing.T) {
			h := newHouse(t, config)
			g := h.gate(h.client, scanPolicy, signedPolicy)
			image := h.push("v1")
			h.want(g, "v1", verdict.Deny, "1 of 2", "an attestation of type vuln by ci", "a signature of the image by ci", "found      none")
			h.attest("ci", image.Digest, scanned(time.Hour))
			h.want(g, "v1", verdict.Deny, "1 of 1", "a signature of the image by ci", "passed     scan")
			h.attest("ci", image.Digest)
			v := h.want(g, "v1", verdict.Allow)
			if v.Subject != image.Digest || v.Pinned != h.server.Host+"/ml/app:v1@"+image.Digest.String() {
				t.Errorf("verdict is about %s, pinned %s", v.Subject, v.Pinned)
			}
			h.attest("ci", image.Digest, scanned(time.Minute, "CVE-2023-47248 CRITICAL pyarrow 13.0.0 14.0.1", "CVE-9 LOW x 1"))
			h.want(g, "v1", verdict.Deny, "CVE-2023-47248 (CRITICAL) pyarrow 13.0.0, fixed in 14.0.1", "no critical vulnerability", "upgrade pyarrow to 14.0.1", "signed by ci")
		})
	}
}

func TestNewestDecides(t *testing.T) {
	h := newHouse(t, embedded.Config{})
	g := h.gate(h.client, scanPolicy)
	bad := "CVE-1 CRITICAL p 1 2"
	for name, c := range map[string]struct {
		predicates []attest.Predicate
		want       verdict.Decision
		word       string
	}{
		"a rescan heals":                  {[]attest.Predicate{scanned(2*time.Hour, bad), scanned(time.Hour)}, verdict.Allow, ""},
		"a worse rescan blocks":           {[]attest.Predicate{scanned(2 * time.Hour), scanned(time.Hour, bad)}, verdict.Deny, "CVE-1"},
		"both of the same time count":     {[]attest.Predicate{scanned(time.Hour), scanned(time.Hour, bad)}, verdict.Deny, "CVE-1"},
		"the types count as one":          {[]attest.Predicate{scanned(2*time.Hour, bad), cosignVuln(time.Hour, "LOW")}, verdict.Allow, ""},
		"the types count as one, worse":   {[]attest.Predicate{scanned(2 * time.Hour), cosignVuln(time.Hour, "CRITICAL")}, verdict.Deny, "CVE-1"},
		"too old":                         {[]attest.Predicate{scanned(25 * time.Hour)}, verdict.Deny, "not older than 24h"},
		"dated in the future":             {[]attest.Predicate{scanned(-time.Hour)}, verdict.Deny, "after this door's clock"},
		"the future does not heal":        {[]attest.Predicate{scanned(time.Hour, bad), scanned(-time.Hour)}, verdict.Deny, "CVE-1"},
		"of another type":                 {[]attest.Predicate{encode(predicate.TypeSPDX, map[string]any{"spdxVersion": "SPDX-2.3"})}, verdict.Deny, "type vuln by ci"},
		"no time, and an age is demanded": {[]attest.Predicate{{Type: predicate.TypeCosignVuln, Content: []byte(`{"scanner":{"result":{"SchemaVersion":2}}}`)}}, verdict.Deny, "does not say when"},
		"not a report":                    {[]attest.Predicate{{Type: predicate.TypeCosignVuln, Content: []byte(`{"scanner":{"result":{}},"metadata":{"scanFinishedOn":"2026-05-01T11:00:00Z"}}`)}}, verdict.Deny, "no report in Trivy's format"},
		"from the sample": {[]attest.Predicate{encode(predicate.TypeVulnsV02, predicate.Vulns{Scanner: predicate.VulnsScanner{DB: predicate.VulnsDatabase{URI: predicate.SampleURI}, Result: []predicate.VulnsResult{}},
			Metadata: predicate.VulnsMetadata{ScanFinishedOn: dawn.Add(-time.Hour)}})}, verdict.Deny, "the sample that is built into Assay"},
		"nothing was tested": {[]attest.Predicate{encode(predicate.TypeVulnsV02, predicate.Vulns{Scanner: predicate.VulnsScanner{Result: []predicate.VulnsResult{}},
			Metadata: predicate.VulnsMetadata{ScanFinishedOn: dawn.Add(-time.Hour), Annotations: []map[string]any{predicate.ScanAnnotation(0, nil)}}})}, verdict.Deny, "a scan that found no package"},
	} {
		t.Run(name, func(t *testing.T) {
			tag := strings.Map(func(r rune) rune {
				if r == ' ' || r == ',' {
					return '-'
				}
				return r
			}, name)
			image := h.push(tag)
			for _, p := range c.predicates {
				h.attest("ci", image.Digest, p)
			}
			h.want(g, tag, c.want, c.word)
		})
	}
}

func TestOthersDoNotCount(t *testing.T) {
	h := newHouse(t, embedded.Config{})
	g := h.gate(h.client, scanPolicy)
	image := h.push("v1")
	h.attest("eve", image.Digest, scanned(time.Hour))
	h.want(g, "v1", verdict.Deny, "none that counts", "does not count")
	// Eve can neither heal nor block what ci says.
	h.attest("ci", image.Digest, scanned(2*time.Hour))
	h.attest("eve", image.Digest, scanned(time.Minute, "CVE-1 CRITICAL p 1 2"))
	h.want(g, "v1", verdict.Allow)
	h.attest("ci", image.Digest, scanned(time.Hour, "CVE-2 CRITICAL p 1 2"))
	h.attest("eve", image.Digest, scanned(time.Minute))
	h.want(g, "v1", verdict.Deny, "CVE-2")
	if v := h.want(g, "v1", verdict.Deny); strings.Contains(fmt.Sprint(v.Checks), "CVE-1") {
		t.Error("an unverified finding is shown as fact")
	}
}

func TestDisappearedEvidenceIsAFault(t *testing.T) {
	h := newHouse(t, embedded.Config{})
	g := h.gate(h.client, scanPolicy)
	image := h.push("v1")
	h.attest("ci", image.Digest, scanned(time.Hour))
	h.server.Break(ocitest.Fault{Match: "GET /v2/ml/app/blobs/", Status: 404})
	h.want(g, "v1", verdict.Fault, "is listed and gone")
}

// TestFlippedBytes flips every kind of byte of stored evidence, one at a time,
// in the bundle that decides: no flip is allowed, and each denial says why.
func TestFlippedBytes(t *testing.T) {
	h := newHouse(t, embedded.Config{})
	g := h.gate(h.client, scanPolicy)
	good := h.push("good")
	h.attest("ci", good.Digest, scanned(time.Hour))
	repository := h.server.Host + "/ml/app"
	pieces, err := h.client.Evidence(context.Background(), repository, good.Digest)
	if err != nil {
		t.Fatal(err)
	}
	var bundle []byte
	for _, piece := range pieces {
		if piece.Form == trust.Bundle {
			bundle = piece.Content
		}
	}
	var parsed struct {
		Material struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Payload    string `json:"payload"`
			Signatures []struct {
				Sig string `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bundle, &parsed); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(parsed.Envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	inside := func(from, to string) func() []byte {
		return func() []byte {
			if !bytes.Contains(payload, []byte(from)) {
				t.Fatalf("the payload has no %q", from)
			}
			changed := bytes.Replace(payload, []byte(from), []byte(to), 1)
			return bytes.Replace(bundle, []byte(parsed.Envelope.Payload), []byte(base64.StdEncoding.EncodeToString(changed)), 1)
		}
	}
	whole := func(from, to string) func() []byte {
		return func() []byte {
			if !bytes.Contains(bundle, []byte(from)) {
				t.Fatalf("the bundle has no %q", from)
			}
			return bytes.Replace(bundle, []byte(from), []byte(to), 1)
		}
	}
	flip := func(text string) string {
		if text[9] == 'A' {
			return text[:9] + "B" + text[10:]
		}
		return text[:9] + "A" + text[10:]
	}
	hex := good.Digest.Hex()
	for name, c := range map[string]struct {
		change func() []byte
		word   string
	}{
		"payload":      {inside(`"packages":7`, `"packages":9`), "bad signature"},
		"subject":      {inside(hex, "0"+hex[1:63]+"0"), "bad signature"},
		"type":         {inside(predicate.TypeVulnsV02, predicate.TypeVulnsV01), "bad signature"},
		"signature":    {whole(parsed.Envelope.Signatures[0].Sig, flip(parsed.Envelope.Signatures[0].Sig)), "bad signature"},
		"key id":       {whole(parsed.Material.PublicKey.Hint, flip(parsed.Material.PublicKey.Hint)), "unknown key"},
		"payload type": {whole("application/vnd.in-toto+json", "application/vnd.in-tito+json"), "bad signature"},
		"media type":   {whole("bundle.v0.3+json", "bundle.v9.3+json"), "unreadable"},
		"cut off":      {func() []byte { return bundle[:len(bundle)-9] }, "unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			// The flipped bundle stands alone beside a copy of the good image.
			server := newHouseLike(h)
			image := copyImage(t, h, server, good)
			if _, err := server.client.Attach(context.Background(), oci.Attachment{Repository: server.server.Host + "/ml/app", Image: image,
				Evidence: trust.Evidence{Form: trust.Bundle, Content: c.change()}, PredicateType: predicate.TypeVulnsV02, Created: dawn}); err != nil {
				t.Fatal(err)
			}
			g := server.gate(server.client, scanPolicy)
			server.want(g, "good", verdict.Deny, "does not count", c.word)
		})
	}
	h.want(g, "good", verdict.Allow)
}

// newHouseLike is another registry with the same keys.
func newHouseLike(h *house) *house {
	other := &house{t: h.t, server: ocitest.New(h.t, embedded.Config{}), client: oci.New(oci.Config{}), keys: h.keys, public: h.public}
	return other
}

// copyImage pushes the image of one registry to another, without evidence.
func copyImage(t *testing.T, from, to *house, image oci.Resolved) subject.Digest {
	t.Helper()
	opened, err := from.client.Image(context.Background(), image, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := writeLayout(dir, opened); err != nil {
		t.Fatal(err)
	}
	pushed, err := to.client.PushLayout(context.Background(), to.server.Host+"/ml/app", dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.client.Tag(context.Background(), to.server.Host+"/ml/app", pushed.Digest, "good"); err != nil {
		t.Fatal(err)
	}
	if pushed.Digest != image.Digest {
		t.Fatalf("the copy is %s, the original %s", pushed.Digest, image.Digest)
	}
	return pushed.Digest
}

func writeLayout(dir string, image v1.Image) error {
	out, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return out.AppendImage(image)
}
