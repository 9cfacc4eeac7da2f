package gate_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
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
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
	"github.com/seed-161fc314/assay/predicate"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// house is a registry, two key pairs and a client: "ci" may sign, "eve" not.
type house struct {
	t      *testing.T
	server *ocitest.Server
	client *oci.Client
	keys   map[string]*file.Signer
	public map[string]string
}

func newHouse(t *testing.T, config registry.Config) *house {
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
	a, err := attest.New(attest.Config{Signer: h.keys[who], Store: h.client, Now: func() time.Time { return now }})
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
func vulns(ago time.Duration, findings ...string) attest.Predicate {
	body := predicate.Vulns{Scanner: predicate.VulnsScanner{URI: "https://example.com/scanner", Result: []predicate.VulnsResult{}},
		Metadata: predicate.VulnsMetadata{ScanStartedOn: now.Add(-ago), ScanFinishedOn: now.Add(-ago), Annotations: []map[string]any{predicate.ScanAnnotation(7, nil)}}}
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
	stamp := now.Add(-ago).Format(time.RFC3339)
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

func (h *house) gate(registry gate.Registry, texts ...string) *gate.Gate {
	h.t.Helper()
	var policies []policy.Policy
	for _, text := range texts {
		documents, err := strictyaml.Documents("policy.yaml", []byte(text))
		if err != nil {
			h.t.Fatal(err)
		}
		p, err := cel.Load(documents[0], func(path string) ([]byte, error) {
			return []byte(h.public[strings.TrimSuffix(path, ".pub")]), nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
		policies = append(policies, p)
	}
	g, err := gate.New(gate.Config{Policies: policies, Registry: registry, Now: func() time.Time { return now }})
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
	for _, config := range []registry.Config{{}, {WithoutReferrers: true}} {
		t.Run(fmt.Sprintf("%+v", config), func(t *testing.T) {
			h := newHouse(t, config)
			g := h.gate(h.client, scanPolicy, signedPolicy)
			image := h.push("v1")
			h.want(g, "v1", verdict.Deny, "1 of 2", "an attestation of type vuln by ci", "a signature of the image by ci", "found      none")
			h.attest("ci", image.Digest, vulns(time.Hour))
			h.want(g, "v1", verdict.Deny, "1 of 1", "a signature of the image by ci", "passed     scan")
			h.attest("ci", image.Digest)
			v := h.want(g, "v1", verdict.Allow)
			if v.Subject != image.Digest || v.Pinned != h.server.Host+"/ml/app:v1@"+image.Digest.String() {
				t.Errorf("verdict is about %s, pinned %s", v.Subject, v.Pinned)
			}
			h.attest("ci", image.Digest, vulns(time.Minute, "CVE-2023-47248 CRITICAL pyarrow 13.0.0 14.0.1", "CVE-9 LOW x 1"))
			h.want(g, "v1", verdict.Deny, "CVE-2023-47248 (CRITICAL) pyarrow 13.0.0, fixed in 14.0.1", "no critical vulnerability", "upgrade pyarrow to 14.0.1", "signed by ci")
		})
	}
}

func TestNewestDecides(t *testing.T) {
	h := newHouse(t, registry.Config{})
	g := h.gate(h.client, scanPolicy)
	bad := "CVE-1 CRITICAL p 1 2"
	for name, c := range map[string]struct {
		predicates []attest.Predicate
		want       verdict.Decision
		word       string
	}{
		"a rescan heals":                  {[]attest.Predicate{vulns(2*time.Hour, bad), vulns(time.Hour)}, verdict.Allow, ""},
		"a worse rescan blocks":           {[]attest.Predicate{vulns(2 * time.Hour), vulns(time.Hour, bad)}, verdict.Deny, "CVE-1"},
		"both of the same time count":     {[]attest.Predicate{vulns(time.Hour), vulns(time.Hour, bad)}, verdict.Deny, "CVE-1"},
		"the types count as one":          {[]attest.Predicate{vulns(2*time.Hour, bad), cosignVuln(time.Hour, "LOW")}, verdict.Allow, ""},
		"the types count as one, worse":   {[]attest.Predicate{vulns(2 * time.Hour), cosignVuln(time.Hour, "CRITICAL")}, verdict.Deny, "CVE-1"},
		"too old":                         {[]attest.Predicate{vulns(25 * time.Hour)}, verdict.Deny, "not older than 24h"},
		"dated in the future":             {[]attest.Predicate{vulns(-time.Hour)}, verdict.Deny, "after this door's clock"},
		"the future does not heal":        {[]attest.Predicate{vulns(time.Hour, bad), vulns(-time.Hour)}, verdict.Deny, "CVE-1"},
		"of another type":                 {[]attest.Predicate{encode(predicate.TypeSPDX, map[string]any{"spdxVersion": "SPDX-2.3"})}, verdict.Deny, "type vuln by ci"},
		"no time, and an age is demanded": {[]attest.Predicate{{Type: predicate.TypeCosignVuln, Content: []byte(`{"scanner":{"result":{"SchemaVersion":2}}}`)}}, verdict.Deny, "does not say when"},
		"not a report":                    {[]attest.Predicate{{Type: predicate.TypeCosignVuln, Content: []byte(`{"scanner":{"result":{}},"metadata":{"scanFinishedOn":"2026-05-01T11:00:00Z"}}`)}}, verdict.Deny, "no report in Trivy's format"},
		"from the sample": {[]attest.Predicate{encode(predicate.TypeVulnsV02, predicate.Vulns{Scanner: predicate.VulnsScanner{DB: predicate.VulnsDatabase{URI: predicate.SampleURI}, Result: []predicate.VulnsResult{}},
			Metadata: predicate.VulnsMetadata{ScanFinishedOn: now.Add(-time.Hour)}})}, verdict.Deny, "the sample that is built into Assay"},
		"nothing was tested": {[]attest.Predicate{encode(predicate.TypeVulnsV02, predicate.Vulns{Scanner: predicate.VulnsScanner{Result: []predicate.VulnsResult{}},
			Metadata: predicate.VulnsMetadata{ScanFinishedOn: now.Add(-time.Hour), Annotations: []map[string]any{predicate.ScanAnnotation(0, nil)}}})}, verdict.Deny, "a scan that found no package"},
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
	h := newHouse(t, registry.Config{})
	g := h.gate(h.client, scanPolicy)
	image := h.push("v1")
	h.attest("eve", image.Digest, vulns(time.Hour))
	h.want(g, "v1", verdict.Deny, "none that counts", "does not count")
	// Eve can neither heal nor block what ci says.
	h.attest("ci", image.Digest, vulns(2*time.Hour))
	h.attest("eve", image.Digest, vulns(time.Minute, "CVE-1 CRITICAL p 1 2"))
	h.want(g, "v1", verdict.Allow)
	h.attest("ci", image.Digest, vulns(time.Hour, "CVE-2 CRITICAL p 1 2"))
	h.attest("eve", image.Digest, vulns(time.Minute))
	h.want(g, "v1", verdict.Deny, "CVE-2")
	if v := h.want(g, "v1", verdict.Deny); strings.Contains(fmt.Sprint(v.Checks), "CVE-1") {
		t.Error("an unverified finding is shown as fact")
	}
}

func TestCopiedEvidence(t *testing.T) {
	h := newHouse(t, registry.Config{})
	g := h.gate(h.client, scanPolicy)
	good, bad := h.push("good"), h.push("bad")
	h.attest("ci", good.Digest, vulns(time.Hour))
	repository := h.server.Host + "/ml/app"
	pieces, err := h.client.Evidence(context.Background(), repository, good.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range pieces {
		switch piece.Form {
		case trust.Bundle:
			_, err = h.client.AttachBundle(context.Background(), repository, bad.Digest, piece.Content, predicate.TypeVulnsV02, now)
		case trust.Envelope:
			_, err = h.client.AttachAttestation(context.Background(), repository, bad.Digest, piece.Content, predicate.TypeVulnsV02)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h.want(g, "bad", verdict.Deny, "none that counts", good.Digest.Short()[:10])
	h.want(g, "good", verdict.Allow)
}

func TestIndexIsJudgedPerPlatform(t *testing.T) {
	h := newHouse(t, registry.Config{})
	g := h.gate(h.client, scanPolicy)
	index := h.push("multi", "linux/amd64", "linux/arm64")
	amd, arm := index.Platforms[0].Digest, index.Platforms[1].Digest
	h.attest("ci", amd, vulns(2*time.Hour))
	h.want(g, "multi", verdict.Deny, "(linux/arm64)")
	h.attest("ci", index.Digest, vulns(2*time.Hour))
	h.want(g, "multi", verdict.Allow)
	h.attest("ci", arm, vulns(time.Hour, "CVE-3 CRITICAL p 1 2"))
	h.want(g, "multi", verdict.Deny, "(linux/arm64)", "CVE-3")
	h.attest("ci", index.Digest, vulns(time.Minute))
	h.want(g, "multi", verdict.Allow)
}

func TestNoPolicyMatches(t *testing.T) {
	h := newHouse(t, registry.Config{})
	g := h.gate(h.client, strings.ReplaceAll(scanPolicy, "/ml/app", "/ml/other"))
	h.push("v1")
	h.want(g, "v1", verdict.Deny, "no policy judges", "EvidencePolicy/scanned")
}

// TestFaultsNeverAdmit breaks every request that a decision makes, in turn and
// in every way: whatever happens, the gate does not allow.
func TestFaultsNeverAdmit(t *testing.T) {
	h := newHouse(t, registry.Config{})
	g := h.gate(h.client, scanPolicy, signedPolicy)
	image := h.push("v1")
	h.attest("ci", image.Digest, vulns(time.Hour))
	h.attest("ci", image.Digest)
	h.server.Requests()
	h.want(g, "v1", verdict.Allow)
	requests := h.server.Requests()
	if len(requests) < 8 {
		t.Fatalf("only %d requests: %v", len(requests), requests)
	}
	broken := 0
	for _, request := range requests {
		for name, fault := range map[string]ocitest.Fault{
			"500":       {Status: 500},
			"403":       {Status: 403},
			"429":       {Status: 429},
			"truncated": {Truncate: true},
			"garbage":   {Rewrite: func([]byte) []byte { return []byte("{") }},
			"lying":     {Rewrite: func(b []byte) []byte { return append(b, ' ') }},
		} {
			if strings.HasSuffix(request, "/v2/") {
				continue // the client logged in before
			}
			fault.Match = request
			h.server.Break(fault)
			v, err := g.Decide(context.Background(), gate.Question{Reference: h.server.Host + "/ml/app:v1"})
			h.server.Mend()
			// What is asked for by tag, or listed, has no digest to hold it
			// against; a space more says nothing else.
			harmless := name == "lying" && (strings.Contains(request, "/referrers/") || strings.HasSuffix(request, ".att") || strings.HasSuffix(request, ".sig"))
			if v.Decision.Admits() && !harmless {
				t.Errorf("%s on %s: allowed (%v)", name, request, err)
			}
			broken++
		}
	}
	if broken < 40 {
		t.Fatalf("only %d faults were injected", broken)
	}
	h.want(g, "v1", verdict.Allow)
}

func TestDisappearedEvidenceIsAFault(t *testing.T) {
	h := newHouse(t, registry.Config{})
	g := h.gate(h.client, scanPolicy)
	image := h.push("v1")
	h.attest("ci", image.Digest, vulns(time.Hour))
	h.server.Break(ocitest.Fault{Match: "GET /v2/ml/app/blobs/", Status: 404})
	h.want(g, "v1", verdict.Fault, "is listed and gone")
}

// flipping answers one digest for a tag, and another one for the next request.
type flipping struct {
	*oci.Client
	answers []string
}

// Resolve answers as a lying registry would.
func (f *flipping) Resolve(ctx context.Context, reference string) (oci.Resolved, error) {
	answer := f.answers[0]
	f.answers = f.answers[1:]
	resolved, err := f.Client.Resolve(ctx, answer)
	resolved.Reference = reference
	return resolved, err
}

func TestTagIsResolvedOnce(t *testing.T) {
	h := newHouse(t, registry.Config{})
	good, bad := h.push("v1"), h.push("v2")
	h.attest("ci", good.Digest, vulns(time.Hour))
	g := h.gate(&flipping{Client: h.client, answers: []string{good.Pinned(), bad.Pinned()}}, scanPolicy)
	v, err := g.Decide(context.Background(), gate.Question{Reference: h.server.Host + "/ml/app:v1"})
	if err != nil || v.Decision != verdict.Allow || v.Subject != good.Digest || !strings.HasSuffix(v.Pinned, good.Digest.String()) {
		t.Errorf("verdict %+v, %v", v, err)
	}
}

func TestCancelled(t *testing.T) {
	h := newHouse(t, registry.Config{})
	g := h.gate(h.client, scanPolicy)
	image := h.push("v1")
	h.attest("ci", image.Digest, vulns(time.Hour))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	v, err := g.Decide(ctx, gate.Question{Reference: h.server.Host + "/ml/app:v1"})
	var fault *gate.FaultError
	if !errors.As(err, &fault) || v.Decision != verdict.Fault {
		t.Errorf("decided %s, %v", v.Decision, err)
	}
}

// odd is a policy that misbehaves.
type odd struct {
	checks []verdict.Check
	err    error
	panics bool
}

// The methods of policy.Policy.
func (odd) Name() string                            { return "odd" }
func (odd) Match(policy.Image, policy.Request) bool { return true }
func (o odd) Judge(context.Context, policy.Input) ([]verdict.Check, error) {
	if o.panics {
		panic("bug")
	}
	return o.checks, o.err
}

func TestOddPolicies(t *testing.T) {
	h := newHouse(t, registry.Config{})
	h.push("v1")
	for name, c := range map[string]struct {
		policy odd
		want   verdict.Decision
	}{
		"panics":           {odd{panics: true}, verdict.Fault},
		"fails":            {odd{err: errors.New("x")}, verdict.Fault},
		"makes no check":   {odd{}, verdict.Fault},
		"skips everything": {odd{checks: []verdict.Check{{Outcome: verdict.Skipped}}}, verdict.Deny},
		"unknown outcome":  {odd{checks: []verdict.Check{{Outcome: verdict.Passed}, {Outcome: 17}}}, verdict.Deny},
		"broken":           {odd{checks: []verdict.Check{{Outcome: verdict.Passed}, {Outcome: verdict.Broken}}}, verdict.Deny},
		"zero check":       {odd{checks: []verdict.Check{{}}}, verdict.Deny},
		"passes":           {odd{checks: []verdict.Check{{Outcome: verdict.Passed}, {Outcome: verdict.Skipped}}}, verdict.Allow},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := gate.New(gate.Config{Policies: []policy.Policy{c.policy}, Registry: h.client, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			v, _ := g.Decide(context.Background(), gate.Question{Reference: h.server.Host + "/ml/app:v1"})
			if v.Decision != c.want {
				t.Errorf("decided %s, want %s (%s)", v.Decision, c.want, v.Reason)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	h := newHouse(t, registry.Config{})
	clock := func() time.Time { return now }
	for name, config := range map[string]gate.Config{
		"no policy":   {Registry: h.client, Now: clock},
		"no registry": {Policies: []policy.Policy{odd{}}, Now: clock},
		"no clock":    {Policies: []policy.Policy{odd{}}, Registry: h.client},
		"twice":       {Policies: []policy.Policy{odd{}, odd{}}, Registry: h.client, Now: clock},
	} {
		if _, err := gate.New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestFlippedBytes flips every kind of byte of stored evidence, one at a time,
// in the bundle that decides: no flip is allowed, and each denial says why.
func TestFlippedBytes(t *testing.T) {
	h := newHouse(t, registry.Config{})
	g := h.gate(h.client, scanPolicy)
	good := h.push("good")
	h.attest("ci", good.Digest, vulns(time.Hour))
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
			if _, err := server.client.AttachBundle(context.Background(), server.server.Host+"/ml/app", image, c.change(), predicate.TypeVulnsV02, now); err != nil {
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
	other := &house{t: h.t, server: ocitest.New(h.t, registry.Config{}), client: oci.New(oci.Config{}), keys: h.keys, public: h.public}
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
