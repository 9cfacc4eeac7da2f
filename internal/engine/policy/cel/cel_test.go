package cel_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

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
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

var (
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	digest = subject.Of([]byte("image"))
	other  = subject.Of([]byte("another image"))
	image  = policy.Image{Registry: "registry.example.com", Repository: "ml/app", Tag: "v1", Digest: digest}
)

// party is a private key and its public PEM.
type party struct {
	key crypto.Signer
	id  identity.Key
	pem string
}

func newParty(t testing.TB) party {
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
	return party{key, id, string(pem)}
}

func (p party) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(message)
	signature, err := p.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func (p party) envelope(t testing.TB, about subject.Digest, uri, content string) dsse.Envelope {
	t.Helper()
	payload, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf("app", about)}, uri, []byte(content)))
	if err != nil {
		t.Fatal(err)
	}
	return dsse.Envelope{PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: p.sign(t, dsse.PAE(dsse.InToto, payload))}}}
}

// attest is an attestation about the image, as a bundle.
func (p party) attest(t testing.TB, uri, content string) trust.Evidence {
	t.Helper()
	return p.attestAbout(t, digest, uri, content)
}

func (p party) attestAbout(t testing.TB, about subject.Digest, uri, content string) trust.Evidence {
	t.Helper()
	encoded, err := bundle.Encode(p.envelope(t, about, uri, content), p.id)
	if err != nil {
		t.Fatal(err)
	}
	return trust.Evidence{Digest: subject.Of(encoded), Source: "referrer", Attached: digest, Form: trust.Bundle, Content: encoded}
}

// bare is an attestation in cosign's older layout, which names no key.
func (p party) bare(t testing.TB, uri, content string) trust.Evidence {
	t.Helper()
	encoded, err := dsse.Encode(p.envelope(t, digest, uri, content))
	if err != nil {
		t.Fatal(err)
	}
	return trust.Evidence{Digest: subject.Of(encoded), Source: "att", Attached: digest, Form: trust.Envelope, Content: encoded}
}

// image is a signature of the image.
func (p party) image(t testing.TB) trust.Evidence {
	t.Helper()
	payload := simplesigning.Encode("registry.example.com/ml/app", digest, nil)
	return trust.Evidence{Digest: subject.Of(payload), Source: "sig", Attached: digest, Form: trust.SimpleSigning, Content: payload,
		Signature: base64.StdEncoding.EncodeToString(p.sign(t, payload))}
}

const (
	critical = `{"VulnerabilityID":"CVE-2023-47248","PkgName":"pyarrow","InstalledVersion":"13.0.0","FixedVersion":"14.0.1","Severity":"CRITICAL","Assay":{"path":"requirements.txt","line":3}}`
	low      = `{"VulnerabilityID":"CVE-2021-34141","PkgName":"numpy","InstalledVersion":"1.21.0","FixedVersion":"1.22.0","Severity":"LOW"}`
	unfixed  = `{"VulnerabilityID":"CVE-2024-1","PkgName":"left","InstalledVersion":"1","Severity":"CRITICAL"}`
)

// scan is a cosign vulnerability predicate, made some time before now.
func scan(age time.Duration, extra string, vulnerabilities ...string) string {
	at := now.Add(-age).Format(time.RFC3339)
	if extra == "" {
		extra = `"Assay":{"packages":7,"database":{"uri":"https://osv.dev","version":"1"}}`
	}
	return fmt.Sprintf(`{"invocation":{"parameters":null,"uri":"","event_id":"","builder.id":""},
		"scanner":{"uri":"https://scanner.example.com","version":"1","db":{"uri":"u","version":"1","lastUpdate":%q},
		"result":{"SchemaVersion":2,"Results":[{"Target":"lib","Vulnerabilities":[%s]}],%s}},
		"metadata":{"scanStartedOn":%q,"scanFinishedOn":%q}}`, at, strings.Join(vulnerabilities, ","), extra, at, at)
}

// vulns02 is the in-toto type, with nothing found.
func vulns02(age time.Duration) string {
	at := now.Add(-age).Format(time.RFC3339)
	return fmt.Sprintf(`{"scanner":{"uri":"https://scanner.example.com","db":{"lastUpdate":%q},"result":[]},
		"metadata":{"scanStartedOn":%q,"scanFinishedOn":%q,"annotations":[{"packages":7}]}}`, at, at, at)
}

// document writes a policy with one signer, ci, and one requirement.
func document(p party, requirement string) string {
	return "apiVersion: assay.sh/v1alpha1\nkind: EvidencePolicy\nmetadata: {name: p}\nspec:\n  match:\n    images: [\"*\"]\n  signers:\n  - name: ci\n    keys:\n    - publicKey: |\n" +
		indent(p.pem, 8) + "  requirements:\n  - name: r\n" + indent(requirement, 4)
}

func indent(text string, by int) string {
	var b strings.Builder
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString(strings.Repeat(" ", by) + line + "\n")
	}
	return b.String()
}

func load(text string) (policy.Policy, error) {
	documents, err := strictyaml.Documents("policy.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("%d documents", len(documents))
	}
	return cel.Load(documents[0], policytest.Keys(func(path string) ([]byte, error) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}))
}

func mustLoad(t testing.TB, text string) policy.Policy {
	t.Helper()
	p, err := load(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

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
		t.Fatal("no check was made")
	}
	return checks
}

func allowed(t testing.TB, p policy.Policy, in policy.Input) []verdict.Check {
	t.Helper()
	checks := judge(t, p, in)
	for _, c := range checks {
		if c.Outcome != verdict.Passed {
			t.Errorf("not passed: %+v", c)
		}
		if len(c.Evidence) == 0 {
			t.Errorf("passed without evidence: %+v", c)
		}
	}
	return checks
}

// denied wants a failed or broken check with all the texts in it.
func denied(t testing.TB, p policy.Policy, in policy.Input, texts ...string) verdict.Check {
	t.Helper()
	checks := judge(t, p, in)
	var failures []string
	for _, c := range checks {
		if c.Outcome == verdict.Passed {
			continue
		}
		text := fmt.Sprintf("%+v", c)
		failures = append(failures, text)
		missing := ""
		for _, want := range texts {
			if !strings.Contains(text, want) {
				missing = want
			}
		}
		if missing == "" {
			if c.Expected == "" || c.Found == "" || c.Policy != p.Name() || c.Rule == "" {
				t.Errorf("says too little: %+v", c)
			}
			return c
		}
	}
	t.Errorf("no failure has all of %q; failures:\n%s", texts, strings.Join(failures, "\n"))
	return verdict.Check{}
}

func TestVulnerabilities(t *testing.T) {
	ci, stranger := newParty(t), newParty(t)
	p := mustLoad(t, document(ci, `type: vuln
signers: [ci]
maxAge: 168h
checks:
- name: no-critical
  deny: findings.filter(f, f.severity == "CRITICAL")
  message: no critical vulnerability may run`))
	clean, bad := ci.attest(t, predicate.TypeCosignVuln, scan(time.Hour, "", low)), ci.attest(t, predicate.TypeCosignVuln, scan(time.Hour, "", low, critical, unfixed))

	t.Run("clean", func(t *testing.T) {
		checks := allowed(t, p, input(clean))
		if len(checks) != 5 { // present, max-age, advisory-sample, something-tested, no-critical
			t.Errorf("%d checks: %+v", len(checks), checks)
		}
	})
	t.Run("critical", func(t *testing.T) {
		c := denied(t, p, input(bad), "CVE-2023-47248 (CRITICAL) pyarrow 13.0.0, fixed in 14.0.1, requirements.txt:3",
			"CVE-2024-1 (CRITICAL) left 1, no fix known", "2 violations", "upgrade pyarrow to 14.0.1;", "no critical vulnerability may run", "Signer:ci")
		if strings.Contains(fmt.Sprint(c.Items), "CVE-2021-34141") {
			t.Errorf("names what is no violation: %q", c.Items)
		}
	})
	t.Run("rescan heals", func(t *testing.T) {
		allowed(t, p, input(bad, ci.attest(t, predicate.TypeCosignVuln, scan(0, "", low))))
	})
	t.Run("worse rescan blocks", func(t *testing.T) {
		denied(t, p, input(clean, ci.attest(t, predicate.TypeCosignVuln, scan(0, "", critical))), "CVE-2023-47248")
	})
	t.Run("both types count as one", func(t *testing.T) {
		allowed(t, p, input(bad, ci.attest(t, predicate.TypeVulnsV02, vulns02(0))))
		denied(t, p, input(bad, ci.attest(t, predicate.TypeVulnsV02, vulns02(2*time.Hour))), "CVE-2023-47248")
	})
	t.Run("equal times must all pass", func(t *testing.T) {
		denied(t, p, input(clean, bad), "CVE-2023-47248")
		denied(t, p, input(bad, clean), "CVE-2023-47248")
	})
	t.Run("too old", func(t *testing.T) {
		denied(t, p, input(ci.attest(t, predicate.TypeCosignVuln, scan(169*time.Hour, ""))), "Name:max-age", "not older than 168h", "169h0m0s old")
		allowed(t, p, input(ci.attest(t, predicate.TypeCosignVuln, scan(168*time.Hour, ""))))
	})
	t.Run("without a time", func(t *testing.T) {
		undated := `{"scanner":{"uri":"s","db":{"lastUpdate":"2026-01-01T00:00:00Z"},"result":[]},"metadata":{"annotations":[{"packages":7}]}}`
		denied(t, p, input(ci.attest(t, predicate.TypeVulnsV02, undated)), "Name:max-age", "does not say when")
	})
	t.Run("future", func(t *testing.T) {
		future := ci.attest(t, predicate.TypeCosignVuln, scan(-time.Hour, ""))
		denied(t, p, input(future), "future date", "after this door's clock")
		denied(t, p, input(future, bad), "CVE-2023-47248")
		checks := allowed(t, p, input(future, clean))
		if e := checks[0].Evidence; len(e) != 2 || e[1].Rejected == "" {
			t.Errorf("the refused piece is not named: %+v", e)
		}
	})
	t.Run("another key", func(t *testing.T) {
		denied(t, p, input(stranger.attest(t, predicate.TypeCosignVuln, scan(0, ""))), "1 attestation of this type, and none that counts",
			"signed by key "+stranger.id.String()+", as it says, which is not ci ("+ci.id.String()+")", "an attestation of type vuln by ci", "assay run")
		denied(t, p, input(stranger.bare(t, predicate.TypeCosignVuln, scan(0, ""))), "bad signature", ci.id.String())
	})
	t.Run("a stranger's clean scan heals nothing", func(t *testing.T) {
		denied(t, p, input(bad, stranger.attest(t, predicate.TypeCosignVuln, scan(0, ""))), "CVE-2023-47248")
	})
	t.Run("tampered", func(t *testing.T) {
		e := ci.bare(t, predicate.TypeCosignVuln, scan(0, ""))
		e.Content = []byte(strings.Replace(string(e.Content), `"payload":"e`, `"payload":"f`, 1))
		denied(t, p, input(e), "bad signature")
	})
	t.Run("about another image", func(t *testing.T) {
		denied(t, p, input(ci.attestAbout(t, other, predicate.TypeCosignVuln, scan(0, ""))), "other subject", other.String())
	})
	t.Run("of another type", func(t *testing.T) {
		c := denied(t, p, input(ci.attest(t, "https://example.com/other", scan(0, ""))), "Found:none")
		if len(c.Evidence) != 0 {
			t.Errorf("names evidence of another type: %+v", c.Evidence)
		}
	})
	t.Run("a signature of the image is no attestation", func(t *testing.T) { denied(t, p, input(ci.image(t)), "Found:none") })
	t.Run("nothing", func(t *testing.T) { denied(t, p, input(), "Found:none", "assay run") })
	t.Run("no package", func(t *testing.T) {
		denied(t, p, input(ci.attest(t, predicate.TypeCosignVuln, scan(0, `"Assay":{"packages":0}`))), "something-tested", "found no package is unresolved")
		denied(t, p, input(ci.attest(t, predicate.TypeCosignVuln, scan(0, `"Assay":{"packages":-2}`))), "something-tested")
	})
	t.Run("no result", func(t *testing.T) {
		trivy := func(results string) trust.Evidence {
			return ci.attest(t, predicate.TypeCosignVuln, fmt.Sprintf(`{"scanner":{"uri":"trivy","result":{"SchemaVersion":2%s}},"metadata":{"scanFinishedOn":%q}}`, results, now.Format(time.RFC3339)))
		}
		for _, nothing := range []string{``, `,"Results":null`, `,"Results":[]`} {
			denied(t, p, input(trivy(nothing)), "something-tested")
		}
		allowed(t, p, input(trivy(`,"Results":[{"Target":"debian 12","Class":"os-pkgs"}]`)))
		quoted := ci.attest(t, predicate.TypeCosignVuln, fmt.Sprintf(`{"scanner":{"uri":"trivy","result":"{\"SchemaVersion\":2,\"Results\":[]}"},"metadata":{"scanFinishedOn":%q}}`, now.Format(time.RFC3339)))
		denied(t, p, input(quoted), "something-tested")
	})
	t.Run("unreadable report", func(t *testing.T) {
		for _, content := range []string{`{}`, `{"scanner":{"result":{}}}`, `{"scanner":{"result":{"matches":[]}},"metadata":{"scanFinishedOn":"2026-03-01T00:00:00Z"}}`} {
			denied(t, p, input(ci.attest(t, predicate.TypeCosignVuln, content)))
		}
	})
	t.Run("many rejected", func(t *testing.T) {
		var pieces []trust.Evidence
		for range 25 {
			pieces = append(pieces, stranger.bare(t, predicate.TypeCosignVuln, scan(0, "")))
		}
		c := denied(t, p, input(pieces...), "25 attestations of this type", "15 more are not named")
		if len(c.Evidence) != 10 {
			t.Errorf("%d pieces named", len(c.Evidence))
		}
	})
}

func TestSample(t *testing.T) {
	ci := newParty(t)
	text := document(ci, "type: vuln\nsigners: [ci]")
	strict, lenient := mustLoad(t, text), mustLoad(t, strings.Replace(text, "  signers:\n  - name: ci", "  allowSample: true\n  signers:\n  - name: ci", 1))
	for _, e := range []trust.Evidence{
		ci.attest(t, predicate.TypeCosignVuln, scan(0, `"Assay":{"packages":7,"database":{"sample":true}}`)),
		ci.attest(t, predicate.TypeCosignVuln, scan(0, `"Assay":{"packages":7,"database":{"uri":"`+predicate.SampleURI+`"}}`)),
		ci.attest(t, predicate.TypeCosignVuln, strings.Replace(scan(0, `"Assay":{"packages":7}`), `"uri":"u"`, `"uri":"`+predicate.SampleURI+`"`, 1)),
		ci.attest(t, predicate.TypeVulnsV02, strings.Replace(vulns02(0), `"lastUpdate"`, `"uri":"`+predicate.SampleURI+`","lastUpdate"`, 1)),
	} {
		denied(t, strict, input(e), "Name:advisory-sample", "assay db import")
		allowed(t, lenient, input(e))
	}
	allowed(t, strict, input(ci.attest(t, predicate.TypeCosignVuln, scan(0, ""))))
}

func TestSignersAndTools(t *testing.T) {
	ci, qa, stranger := newParty(t), newParty(t), newParty(t)
	text := strings.Replace(document(ci, "type: vuln\nsigners: [ci, qa]\nchecks:\n- {name: c, deny: findings}"),
		"  requirements:", "  - name: qa\n    keys:\n    - publicKey: |\n"+indent(qa.pem, 8)+"  requirements:", 1)
	p := mustLoad(t, text)
	vuln := func(by party, age time.Duration, found ...string) trust.Evidence {
		return by.attest(t, predicate.TypeCosignVuln, scan(age, "", found...))
	}
	allowed(t, p, input(vuln(ci, 0)))
	allowed(t, p, input(vuln(qa, 0)))
	denied(t, p, input(vuln(stranger, 0)), "ci or qa")
	// One signer's newer word does not replace another's.
	denied(t, p, input(vuln(ci, time.Hour, critical), vuln(qa, 0)), "CVE-2023-47248", "Signer:ci")
	allowed(t, p, input(vuln(ci, time.Hour, critical), vuln(ci, 0), vuln(qa, 0)))
	// Nor does one tool's.
	other := ci.attest(t, predicate.TypeCosignVuln, strings.Replace(scan(0, ""), "https://scanner.example.com", "https://another.example.com", 1))
	denied(t, p, input(vuln(ci, time.Hour, critical), other), "CVE-2023-47248")
}

func TestSignature(t *testing.T) {
	ci, stranger := newParty(t), newParty(t)
	p := mustLoad(t, document(ci, "type: signature\nsigners: [ci]"))
	allowed(t, p, input(ci.image(t)))
	allowed(t, p, input(ci.attest(t, predicate.TypeCosignSign, `{}`)))
	denied(t, p, input(stranger.image(t)), "a signature of the image by ci", "bad signature", "assay sign")
	denied(t, p, input(ci.attest(t, predicate.TypeSPDX, `{"spdxVersion":"SPDX-2.3"}`)), "Found:none")
	moved := ci.image(t)
	in := input(moved)
	in.Scopes[0].Subjects = []subject.Digest{other}
	denied(t, p, in, "other subject")
}

func TestComponents(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, document(ci, `type: cyclonedx
signers: [ci]
checks:
- name: licences
  expr: components.all(c, c.licenses.size() > 0 && c.licenses.all(l, l in ["MIT", "Apache-2.0"]))`))
	bom := func(components string) policy.Input {
		return input(ci.attest(t, predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[`+components+`]}`))
	}
	mit := `{"type":"library","name":"a","version":"1","licenses":[{"license":{"id":"MIT"}}]}`
	allowed(t, p, bom(mit))
	denied(t, p, bom(mit+`,{"type":"library","name":"b","version":"2","licenses":[{"license":{"id":"AGPL-3.0"}}]},{"type":"library","name":"c","version":"3"}`),
		"b 2 (AGPL-3.0)", "c 3")
	denied(t, p, bom(""), "something-listed", "an SBOM without a component")
	denied(t, p, input(ci.attest(t, predicate.TypeCycloneDX, `{}`)), "Name:readable")
	allowed(t, p, input(ci.attest(t, predicate.TypeCycloneDX+"/v1.6", `{"bomFormat":"CycloneDX","components":[`+mit+`]}`)))
}

// A policy may deny what is known to be exploited, and demand that somebody
// looked.
func TestThreat(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, document(ci, `type: vuln
signers: [ci]
checks:
- {name: not-exploited, deny: "findings.filter(f, f.knownExploited || f.epss > 0.5)"}
- {name: looked, expr: "scan.database.kev > timestamp('2026-01-01T00:00:00Z') && scan.database.current >= scan.database.epss"}`))
	attest := func(annotation, database string) policy.Input {
		return input(ci.attest(t, predicate.TypeVulnsV02, `{"scanner":{"uri":"s","db":{"lastUpdate":"2026-01-01T00:00:00Z"},"result":[{"id":"CVE-1","severity":[],
			"annotations":[{"package":"a","installedVersion":"1","severity":"LOW"`+annotation+`}]}]},
			"metadata":{"scanFinishedOn":"2026-03-01T11:00:00Z","annotations":[{"packages":7},{"database":`+database+`}]}}`))
	}
	const looked = `{"current":"2026-02-01T00:00:00Z","feeds":[{"name":"KEV","date":"2026-02-01T00:00:00Z"},{"name":"EPSS","date":"2026-02-01T00:00:00Z"}]}`
	allowed(t, p, attest("", looked))
	allowed(t, p, attest(`,"knownExploited":false,"epss":0.5`, looked))
	denied(t, p, attest(`,"knownExploited":true`, looked), "Name:not-exploited", "CVE-1")
	denied(t, p, attest(`,"epss":0.51`, looked), "Name:not-exploited", "CVE-1")
	denied(t, p, attest("", `{"current":"2026-02-01T00:00:00Z"}`), "Name:looked", "scan.database.kev is 1970-01-01T00:00:00Z")
}

func TestExpressions(t *testing.T) {
	ci := newParty(t)
	const build = `{"buildDefinition":{"buildType":"https://example.com/b","externalParameters":{"n":2,"score":6.5,"hostile":"{{ request.namespace }}","pattern":".*","reviewers":["*"]}},
		"runDetails":{"builder":{"id":"https://builder.example.com"},"metadata":{"finishedOn":"2026-03-01T11:00:00Z"}},"request":{"namespace":"prod"},"long":"@"}`
	in := input(ci.attest(t, predicate.TypeProvenanceV1, strings.Replace(build, "@", strings.Repeat("x", 100_000), 1)))
	in.Request = policy.Request{Known: true, Kind: "Pod", Namespace: "dev", Name: "x"}
	in.Scopes[0].Platform = "linux/amd64"
	made := func(expression string) policy.Policy {
		return mustLoad(t, document(ci, "type: provenance\nsigners: [ci]\nchecks:\n- name: c\n  expr: '"+expression+"'"))
	}
	for _, expression := range []string{
		`predicate.runDetails.builder.id == "https://builder.example.com"`,
		`predicate.buildDefinition.externalParameters.n == 2`,
		`predicate.buildDefinition.externalParameters.score < 7`,
		`predicate.buildDefinition.externalParameters.score >= 6.5`,
		`image.registry == "registry.example.com" && image.repository == "ml/app" && image.tag == "v1" && image.digest.startsWith("sha256:") && image.platform == "linux/amd64"`,
		`image.reference == "registry.example.com/ml/app"`,
		`claim.signer == "ci" && claim.tool == "https://builder.example.com" && now - claim.time < duration("2h")`,
		`claim.type.startsWith("https://slsa.dev/provenance/")`,
		`request.kind == "Pod" && request.namespace == "dev" && request.name == "x"`,
		`predicate.?nothing.?at.all.orValue("none") == "none"`,
		`image.repository.matches("^ml/[a-z]+$")`,
		`sets.contains(["a", "b"], ["a"]) && [3, 1].sort() == [1, 3] && math.greatest(1, 2) == 2`,
	} {
		allowed(t, made(expression), in)
	}
	for expression, want := range map[string]string{
		`predicate.runDetails.builder.id == "https://evil.example.com"`:    `predicate.runDetails.builder.id is "https://builder.example.com"`,
		`size(predicate.buildDefinition.externalParameters.reviewers) > 1`: `is 1`,
		`predicate.nothing == "x"`:                                         "no such key: nothing",
		`predicate.buildDefinition.nothing.deeper == "x"`:                  "no such key: nothing",
		`predicate.runDetails.builder.id`:                                  "not true or false",
		`predicate.buildDefinition.externalParameters.n < "7"`:             "no such overload",
		`predicate.buildDefinition.externalParameters.n == 3`:              "is 2",
		`predicate.long.matches("` + strings.Repeat("(a|b)*", 200) + `")`:  "more work than its bound",
		`lists.range(10001).size() > 0`:                                    "exceeds maximum",
		// What evidence says is data (admission.md 1.7): no template, no
		// wildcard, no shadow.
		`predicate.buildDefinition.externalParameters.hostile == "dev"`:        "does not hold",
		`"alice" in predicate.buildDefinition.externalParameters.reviewers`:    "does not hold",
		`request.namespace == "prod"`:                                          `request.namespace is "dev"`,
		`has(image.tag) && image.tag == "v2"`:                                  `image.tag is "v1"`,
		`now - claim.time < duration("1m")`:                                    "claim.time is 2026-03-01T11:00:00Z",
		`predicate.buildDefinition.externalParameters.reviewers.all(r, false)`: "does not hold",
	} {
		denied(t, made(expression), in, want)
	}
	// A claim of a type without a time is as old as can be.
	custom := mustLoad(t, document(ci, "type: https://example.com/t\nsigners: [ci]\nchecks:\n- {name: c, expr: 'now - claim.time < duration(\"24h\")'}"))
	denied(t, custom, input(ci.attest(t, "https://example.com/t", `{}`)), "claim.time is 1970-01-01T00:00:00Z")
}

func TestDeny(t *testing.T) {
	ci := newParty(t)
	made := func(expression string) policy.Policy {
		return mustLoad(t, document(ci, "type: https://example.com/t\nsigners: [ci]\nchecks:\n- name: c\n  deny: '"+expression+"'\n  remedy: ask the author"))
	}
	in := input(ci.attest(t, "https://example.com/t", `{"words":["b","a","a"],"none":[],"text":"x","objects":[{"k":1,"l":[true,null]}],"numbers":[1,2.5]}`))
	allowed(t, made("predicate.none"), in)
	for expression, want := range map[string]string{
		"predicate.words":   "Items:[b a]",
		"predicate.objects": `Items:[{"k":1,"l":[true,null]}]`,
		"predicate.numbers": "Items:[1 2.5]",
		"predicate.text":    "no list",
		"predicate.missing": "no such key: missing",
		`[duration("90s"), timestamp("2026-01-02T03:04:05Z")].map(x, dyn(x))`: "Items:[90s 2026-01-02T03:04:05Z]",
	} {
		denied(t, made(expression), in, want, "Remedy:ask the author")
	}
	long := `"` + strings.Repeat("é", 5000) + `"`
	c := denied(t, made("predicate.words"), input(ci.attest(t, "https://example.com/t", `{"words":[`+long+`]}`)))
	if len(c.Items) != 1 || len(c.Items[0]) > 310 || !strings.HasSuffix(c.Items[0], "é…") {
		t.Errorf("a long item: %d bytes", len(c.Items[0]))
	}
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf(`"n%d"`, i))
	}
	c = denied(t, made("predicate.words"), input(ci.attest(t, "https://example.com/t", `{"words":[`+strings.Join(many, ",")+`]}`)), "51 violations")
	if len(c.Items) != 51 || c.Items[49] != "n49" || c.Items[50] != "and 1 more" {
		t.Errorf("%d items, the last %q", len(c.Items), c.Items[len(c.Items)-1])
	}
}

// TestCulprits: an expression that is false says which entries made it so.
func TestCulprits(t *testing.T) {
	ci := newParty(t)
	in := input(ci.attest(t, predicate.TypeCosignVuln, scan(0, "", low, critical)))
	for _, expression := range []string{
		`findings.all(f, f.severity != "CRITICAL")`,
		`!findings.exists(f, f.severity == "CRITICAL" && f.aliases.size() == 0)`,
		`findings.filter(f, f.severity == "CRITICAL").size() == 0`,
		`size(findings.filter(f, !(f.severity in ["LOW", "UNKNOWN"]))) == 0`,
	} {
		p := mustLoad(t, document(ci, "type: vuln\nsigners: [ci]\nchecks:\n- name: c\n  expr: '"+expression+"'"))
		c := denied(t, p, in, "CVE-2023-47248 (CRITICAL) pyarrow 13.0.0", "upgrade pyarrow to 14.0.1;")
		if len(c.Items) != 1 {
			t.Errorf("%s: %q", expression, c.Items)
		}
		allowed(t, p, input(ci.attest(t, predicate.TypeCosignVuln, scan(0, "", low))))
	}
}

func TestRemedy(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, document(ci, "type: vuln\nsigners: [ci]\nchecks:\n- {name: c, deny: findings}"))
	second := strings.NewReplacer("CVE-2023-47248", "CVE-2", "14.0.1", "14.0.10").Replace(critical)
	odd := strings.NewReplacer("CVE-2023-47248", "CVE-3", "pyarrow", "libx", "14.0.1", "1:2.3-4+deb12u1").Replace(critical)
	odd2 := strings.NewReplacer("CVE-3", "CVE-4", "u1", "u2").Replace(odd)
	denied(t, p, input(ci.attest(t, predicate.TypeCosignVuln, scan(0, "", second, critical, odd, odd2))),
		"upgrade libx to 1:2.3-4+deb12u1 and 1:2.3-4+deb12u2, pyarrow to 14.0.10;")
	c := denied(t, p, input(ci.attest(t, predicate.TypeCosignVuln, scan(0, "", unfixed))))
	if c.Remedy != "" {
		t.Errorf("heals what nothing heals: %s", c.Remedy)
	}
	var many []string
	for i := range 14 {
		many = append(many, strings.ReplaceAll(critical, "pyarrow", fmt.Sprintf("p%02d", i)))
	}
	denied(t, p, input(ci.attest(t, predicate.TypeCosignVuln, scan(0, "", many...))), "p09 to 14.0.1, and 4 more;")
}

func TestScopes(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, document(ci, "type: vuln\nsigners: [ci]\nchecks:\n- {name: c, deny: findings}"))
	index := subject.Of([]byte("index"))
	scope := func(platform string, about subject.Digest, evidence ...trust.Evidence) policy.Scope {
		return policy.Scope{Platform: platform, Subjects: []subject.Digest{about, index}, Evidence: evidence}
	}
	onIndex := ci.attestAbout(t, index, predicate.TypeCosignVuln, scan(0, ""))
	good, bad := ci.attest(t, predicate.TypeCosignVuln, scan(0, "")), ci.attestAbout(t, other, predicate.TypeCosignVuln, scan(0, "", critical))
	in := policy.Input{Image: image, Now: now}

	in.Scopes = []policy.Scope{scope("linux/amd64", digest, good), scope("linux/arm64", other, bad)}
	denied(t, p, in, "Platform:linux/arm64", "CVE-2023-47248")
	in.Scopes = []policy.Scope{scope("linux/amd64", digest, good), scope("linux/arm64", other)}
	denied(t, p, in, "Platform:linux/arm64", "Found:none")
	in.Scopes = []policy.Scope{scope("linux/amd64", digest, good), scope("linux/arm64", other, good)}
	denied(t, p, in, "Platform:linux/arm64", "other subject")
	in.Scopes = []policy.Scope{scope("linux/amd64", digest, onIndex), scope("linux/arm64", other, onIndex)}
	allowed(t, p, in)
	in.Scopes = []policy.Scope{scope("linux/amd64", digest, onIndex), scope("linux/arm64", other, onIndex, bad)}
	denied(t, p, in, "Platform:linux/arm64", "CVE-2023-47248") // equal times
	in.Scopes = nil
	if checks, err := p.Judge(t.Context(), in); err == nil {
		t.Errorf("judged nothing: %+v", checks)
	}
}

// TestSameTwice: what two pieces of evidence say alike is said once, with both.
func TestSameTwice(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, document(ci, "type: vuln\nsigners: [ci]\nchecks:\n- {name: c, deny: 'findings.map(f, f.id)'}"))
	both := `"result":[{"id":"CVE-2023-47248","severity":[]}]`
	first := ci.attest(t, predicate.TypeCosignVuln, scan(0, "", critical))
	second := ci.attest(t, predicate.TypeVulnsV02, strings.Replace(vulns02(0), `"result":[]`, both, 1))
	checks := judge(t, p, input(first, second))
	if last := checks[len(checks)-1]; len(checks) != 4 || last.Name != "c" || len(last.Evidence) != 2 || len(last.Items) != 1 {
		t.Errorf("%+v", checks)
	}
	checks = judge(t, p, input(first, ci.attest(t, predicate.TypeVulnsV02, vulns02(0))))
	if failed := checks[3]; len(checks) != 5 || failed.Outcome != verdict.Failed || checks[4].Outcome != verdict.Passed || len(failed.Evidence) != 1 {
		t.Errorf("%+v", checks)
	}
}

// TestAllFailures: one answer carries everything that is wrong.
func TestAllFailures(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, document(ci, "type: vuln\nsigners: [ci]\nmaxAge: 1h\nchecks:\n- {name: a, deny: findings}\n- {name: b, expr: 'predicate.nothing'}\n- {name: d, expr: 'scan.packages > 100'}")+
		"  - name: s\n    type: signature\n    signers: [ci]\n  - name: t\n    type: test-result\n    signers: [ci]\n")
	var names []string
	for _, c := range judge(t, p, input(ci.attest(t, predicate.TypeCosignVuln, scan(2*time.Hour, `"Assay":{"packages":0,"database":{"sample":true}}`, critical)))) {
		if c.Outcome != verdict.Passed {
			names = append(names, c.Rule+"/"+c.Name)
		}
	}
	if got := strings.Join(names, " "); got != "r/max-age r/advisory-sample r/something-tested r/a r/b r/d s/ t/" {
		t.Error(got)
	}
}

func TestTestResult(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, document(ci, "type: test-result\nsigners: [ci]\nchecks:\n- {name: c, expr: 'predicate.result == \"PASSED\"'}"))
	allowed(t, p, input(ci.attest(t, predicate.TypeTestResult, `{"result":"PASSED","configuration":[]}`)))
	denied(t, p, input(ci.attest(t, predicate.TypeTestResult, `{"result":"FAILED","configuration":[]}`)), `predicate.result is "FAILED"`)
	denied(t, p, input(ci.attest(t, predicate.TypeTestResult, `{"result":"passed"}`)), "Name:readable")
	// Two results without a time: both must pass.
	denied(t, p, input(ci.attest(t, predicate.TypeTestResult, `{"result":"PASSED"}`), ci.attest(t, predicate.TypeTestResult, `{"result":"FAILED"}`)), "FAILED")
}

func TestStopped(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, document(ci, "type: vuln\nsigners: [ci]"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if checks, err := p.Judge(ctx, input(ci.attest(t, predicate.TypeCosignVuln, scan(0, "")))); err == nil {
		t.Errorf("judged after the stop: %+v", checks)
	}
	slow := mustLoad(t, document(ci, "type: test-result\nsigners: [ci]\nchecks:\n- {name: c, expr: 'predicate.n.all(a, predicate.n.all(b, b >= 0))'}"))
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	in := input(ci.attest(t, predicate.TypeTestResult, `{"result":"PASSED","n":[0`+strings.Repeat(",0", 2000)+`]}`))
	time.AfterFunc(time.Millisecond, cancel)
	checks, err := slow.Judge(ctx, in)
	if err == nil && (len(checks) != 2 || checks[1].Outcome != verdict.Broken) {
		t.Errorf("a stopped check counts: %+v", checks)
	}
	if err != nil && !errors.Is(err, ctx.Err()) {
		t.Error(err)
	}
}
