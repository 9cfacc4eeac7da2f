package kyverno_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// attestors is a policy with the attestors of images and of attestations, as
// YAML in one line each; "" is none.
func attestors(images, attestations string) string {
	text := "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  rules:\n  - name: r\n    match: {any: [{resources: {kinds: [Pod]}}]}\n    verifyImages:\n    - imageReferences: [\"*\"]\n"
	if images != "" {
		text += "      attestors: [" + images + "]\n"
	}
	if attestations != "" {
		text += "      attestations: [{type: https://example.com/t, attestors: [" + attestations + "]}]\n"
	}
	return text
}

// quoted is text as YAML in one line.
func quoted(text string) string {
	return `"` + strings.NewReplacer("\\", `\\`, "\n", `\n`, `"`, `\"`).Replace(text) + `"`
}

// key is an entry for a public key without a log.
func (s signer) entry() string {
	return "{keys: {rekor: {ignoreTlog: true}, publicKeys: " + quoted(s.pem) + "}}"
}

func loadFrom(t testing.TB, content string, material policy.Material) (policy.Policy, error) {
	t.Helper()
	documents, err := strictyaml.Documents("p.yaml", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return kyverno.Load(documents[0], material)
}

func mustLoadFrom(t testing.TB, content string, material policy.Material) policy.Policy {
	t.Helper()
	p, err := loadFrom(t, content, material)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNestedAttestors(t *testing.T) {
	a, b, c := newSigner(t), newSigner(t), newSigner(t)
	nested := func(count string, entries ...signer) string {
		var list []string
		for _, e := range entries {
			list = append(list, e.entry())
		}
		return "{attestor: {" + count + "entries: [" + strings.Join(list, ", ") + "]}}"
	}
	set := func(count string, entries ...string) string {
		return "{" + count + "entries: [" + strings.Join(entries, ", ") + "]}"
	}
	for name, test := range map[string]struct {
		set    string
		enough [][]signer
		few    [][]signer
	}{
		"a and one of b and c": {set("", a.entry(), nested("count: 1, ", b, c)), [][]signer{{a, b}, {a, c}}, [][]signer{{a}, {b, c}, {}}},
		"a or both of b and c": {set("count: 1, ", a.entry(), nested("", b, c)), [][]signer{{a}, {b, c}}, [][]signer{{b}, {c}, {}}},
		// Kyverno lets a's one signature count twice here.
		"a and one of a and b":   {set("", a.entry(), nested("count: 1, ", a, b)), [][]signer{{a, b}}, [][]signer{{a}, {b}}},
		"two pairs":              {set("count: 1, ", nested("", a, b), nested("", a, c)), [][]signer{{a, b}, {a, c}}, [][]signer{{a}, {b, c}}},
		"one pair and one more":  {set("", nested("", a, b), nested("count: 1, ", b, c)), [][]signer{{a, b, c}}, [][]signer{{a, b}, {a, c}}},
		"a set in a set in one":  {set("", "{attestor: "+set("", nested("", a))+"}"), [][]signer{{a}}, [][]signer{{b}}},
		"a set of keys together": {set("count: 2, ", "{keys: {rekor: {ignoreTlog: true}, publicKeys: "+quoted(a.pem+b.pem+c.pem)+"}}"), [][]signer{{a, c}, {b, c}}, [][]signer{{a}, {c}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustLoad(t, attestors(test.set, test.set))
			by := func(signers []signer, attest bool) policy.Input {
				in := input()
				for _, s := range signers {
					in.Scopes[0].Evidence = append(in.Scopes[0].Evidence, s.image(t))
					if attest {
						in.Scopes[0].Evidence = append(in.Scopes[0].Evidence, s.attest(t, "https://example.com/t", `{}`))
					}
				}
				return in
			}
			for _, signers := range test.enough {
				allowed(t, p, by(signers, true))
				denied(t, p, by(signers, false))
			}
			for _, signers := range test.few {
				denied(t, p, by(signers, true))
			}
		})
	}
	deep := a.entry()
	for range 9 {
		deep = "{attestor: {entries: [" + deep + "]}}"
	}
	if _, err := load(attestors("{entries: ["+deep+"]}", "")); err == nil || !strings.Contains(err.Error(), "more than 8 deep") {
		t.Errorf("nine deep: %v", err)
	}
}

func TestSignedAnnotations(t *testing.T) {
	a := newSigner(t)
	entry := strings.TrimSuffix(a.entry(), "}") + `, annotations: {env: prod}}`
	p := mustLoad(t, attestors("{entries: ["+entry+"]}", ""))
	allowed(t, p, input(a.annotated(t, `{"env":"prod","by":"x"}`)))
	denied(t, p, input(a.image(t)), `its signed annotation "env" is "", want "prod"`)
	denied(t, p, input(a.annotated(t, `{"env":"dev"}`)), `is "dev", want "prod"`)
	allowed(t, p, input(a.annotated(t, `{"env":"dev"}`), a.annotated(t, `{"env":"prod"}`)))
	// Those of the block count for entries that have none.
	block := strings.Replace(attestors("{entries: ["+a.entry()+"]}", ""), "      attestors:", "      annotations: {env: prod}\n      attestors:", 1)
	p = mustLoad(t, block)
	allowed(t, p, input(a.annotated(t, `{"env":"prod"}`)))
	denied(t, p, input(a.image(t)))
	// One key with two annotations is one signer.
	other := strings.Replace(entry, "prod", "dev", 1)
	p = mustLoad(t, attestors("{entries: ["+entry+", "+other+"]}", ""))
	denied(t, p, input(a.annotated(t, `{"env":"prod"}`), a.annotated(t, `{"env":"dev"}`)), "1 of 2 signatures")
	allowed(t, mustLoad(t, attestors("{count: 1, entries: ["+entry+", "+other+"]}", "")), input(a.annotated(t, `{"env":"dev"}`)))
}

// annotated makes an image signature with signed annotations.
func (s signer) annotated(t testing.TB, optional string) trust.Evidence {
	t.Helper()
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"r"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":%s}`, digest, optional)
	return trust.Evidence{Digest: subject.Of(payload), Source: "test sig", Attached: digest, Form: trust.SimpleSigning, Content: payload, Signature: s.sign(t, payload)}
}

func TestRepository(t *testing.T) {
	a := newSigner(t)
	entry := strings.TrimSuffix(a.entry(), "}") + `, repository: registry.example.com/signatures}`
	p := mustLoad(t, attestors("{entries: ["+entry+"]}", "{entries: ["+a.entry()+"]}"))
	elsewhere, ok := p.(policy.Elsewhere)
	if !ok || fmt.Sprint(elsewhere.Elsewhere(image, policy.Request{})) != "[registry.example.com/signatures]" {
		t.Errorf("elsewhere: %v", ok)
	}
	in := input(a.attest(t, "https://example.com/t", "{}"))
	in.Scopes[0].Elsewhere = map[string][]trust.Evidence{"registry.example.com/signatures": {a.image(t)}}
	allowed(t, p, in)
	in.Scopes[0].Elsewhere = map[string][]trust.Evidence{"registry.example.com/others": {a.image(t)}}
	denied(t, p, in, "in registry.example.com/signatures")
	denied(t, p, input(a.image(t), a.attest(t, "https://example.com/t", "{}")), "0 of 1 signatures") // not beside the image
	block := strings.Replace(attestors("{entries: ["+a.entry()+"]}", ""), "      attestors:", "      repository: registry.example.com/signatures\n      attestors:", 1)
	if got := mustLoad(t, block).(policy.Elsewhere).Elsewhere(image, policy.Request{}); len(got) != 1 {
		t.Errorf("of the block: %q", got)
	}
}

func TestKeyReferences(t *testing.T) {
	a, b := newSigner(t), newSigner(t)
	material := policytest.Material{PEM: map[string][]byte{"k8s://ns/cosign": []byte(a.pem), "awskms:///alias/a": []byte(a.pem + b.pem)}}
	for reference, by := range map[string][]signer{
		"publicKeys: k8s://ns/cosign":           {a},
		"secret: {namespace: ns, name: cosign}": {a},
		"kms: awskms:///alias/a":                {a, b}, // versions of one key: any of them
	} {
		p := mustLoadFrom(t, attestors("{entries: [{keys: {rekor: {ignoreTlog: true}, "+reference+"}}]}", ""), material)
		for _, s := range by {
			allowed(t, p, input(s.image(t)))
		}
		denied(t, p, input(newSigner(t).image(t)))
	}
	if _, err := loadFrom(t, attestors("{entries: [{keys: {rekor: {ignoreTlog: true}, kms: 'gcpkms://a'}}]}", ""), material); err == nil || !strings.Contains(err.Error(), "keys.kms: ") {
		t.Errorf("a key that is not there: %v", err)
	}
}

func TestFirstVersions(t *testing.T) {
	a := newSigner(t)
	old := "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  rules:\n  - name: r\n    match: {resources: {kinds: [Pod]}}\n    verifyImages:\n    - image: \"registry.example.com/ml/*\"\n"
	world := trusttest.New(t, now)
	root, err := trust.ParseRoot("door", world.Root())
	if err != nil {
		t.Fatal(err)
	}
	material := policytest.Material{Roots: map[string]*trust.Root{"": root}}
	p := mustLoadFrom(t, old+"      key: "+quoted(a.pem)+"\n", material)
	denied(t, p, input(a.image(t)), "no log entry") // Kyverno demands one where rekor does not stand
	p = mustLoadFrom(t, old+"      issuer: https://accounts.example.com\n      subject: \"*@example.com\"\n      attestations: [{predicateType: https://example.com/t}]\n", material)
	who := identity.Certificate{Subject: "dev@example.com", Issuer: "https://accounts.example.com"}
	allowed(t, p, input(keyless(t, world, who, "https://example.com/t")))
	denied(t, p, input(), "an attestation of type")
	for text, want := range map[string]string{
		"      key: x\n      issuer: y\n": "which Kyverno then ignores",
		"      subject: x\n":              "mean nothing here without issuer",
	} {
		if _, err := loadFrom(t, old+text, material); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// keyless makes an attestation by somebody with a certificate, logged.
func keyless(t testing.TB, world *trusttest.Sigstore, who identity.Certificate, predicateType string) trust.Evidence {
	t.Helper()
	b, _ := certified(t, world, who, predicateType)
	return encode(t, b)
}

func certified(t testing.TB, world *trusttest.Sigstore, who identity.Certificate, predicateType string) (bundle.Bundle, trusttest.Signed) {
	t.Helper()
	k := world.Keyless(who, now.Add(-time.Minute))
	statement, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf("i", digest)}, predicateType, []byte(`{}`)))
	if err != nil {
		t.Fatal(err)
	}
	content := dsse.PAE(dsse.InToto, statement)
	signature, err := k.Sign(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	b := bundle.Bundle{Version: "0.3", Certificates: k.Certificates()[:1],
		Envelope: dsse.Envelope{PayloadType: dsse.InToto, Payload: statement, Signatures: []dsse.Signature{{Sig: signature}}}}
	signed := trusttest.Signed{Public: k.Public(), Certificate: b.Certificates[0], Signature: signature, Envelope: &b.Envelope, Content: content}
	b.Entries = []bundle.LogEntry{world.V1.Add(signed, now)}
	return b, signed
}

func encode(t testing.TB, b bundle.Bundle) trust.Evidence {
	t.Helper()
	encoded, err := bundle.EncodeWith(b)
	if err != nil {
		t.Fatal(err)
	}
	return trust.Evidence{Digest: subject.Of(encoded), Source: "test bundle", Attached: digest, Form: trust.Bundle, Content: encoded}
}

func TestKeyless(t *testing.T) {
	world, stranger := trusttest.New(t, now), trusttest.New(t, now)
	root, err := trust.ParseRoot("door", world.Root())
	if err != nil {
		t.Fatal(err)
	}
	material := policytest.Material{Roots: map[string]*trust.Root{"": root}}
	release := identity.Certificate{Subject: "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", Issuer: "https://token.actions.githubusercontent.com",
		Extensions: map[string]string{"githubWorkflowTrigger": "push", "githubWorkflowRepository": "acme/app", "githubWorkflowRef": "refs/heads/main"}}
	with := func(change func(*identity.Certificate)) identity.Certificate {
		c := release
		c.Extensions = map[string]string{"githubWorkflowTrigger": "push", "githubWorkflowRepository": "acme/app", "githubWorkflowRef": "refs/heads/main"}
		change(&c)
		return c
	}
	evil := with(func(c *identity.Certificate) { c.Subject = strings.Replace(c.Subject, "acme", "acme-evil", 1) })
	around := with(func(c *identity.Certificate) { c.Subject = "https://evil.example.com/?" + c.Subject })
	elsewhere := with(func(c *identity.Certificate) { c.Issuer = "https://token.evil.example.com" })
	pull := with(func(c *identity.Certificate) { c.Extensions["githubWorkflowTrigger"] = "pull_request" })
	const issuer = "issuer: https://token.actions.githubusercontent.com"
	for name, c := range map[string]struct {
		keyless string
		yes, no []identity.Certificate
	}{
		"exact":          {issuer + ", subject: '" + release.Subject + "'", []identity.Certificate{release}, []identity.Certificate{evil, around, elsewhere}},
		"wildcards":      {issuer + ", subject: 'https://github.com/acme/*'", []identity.Certificate{release}, []identity.Certificate{evil, around, elsewhere}},
		"question marks": {issuer + ", subject: 'https://github.com/acme/a??/*'", []identity.Certificate{release}, []identity.Certificate{evil}},
		// The expressions were not looked at.
		"CVE-2025-29778":   {issuer + `, subjectRegExp: 'https://github\.com/acme/.+'`, []identity.Certificate{release}, []identity.Certificate{evil, around, elsewhere}},
		"issuer's":         {`issuerRegExp: 'https://token\.actions\.githubusercontent\.com', subject: '*'`, []identity.Certificate{release, evil}, []identity.Certificate{elsewhere}},
		"extensions":       {issuer + ", subject: '*', additionalExtensions: {githubWorkflowTrigger: push, githubWorkflowRepository: 'acme/*'}", []identity.Certificate{release}, []identity.Certificate{pull}},
		"extension absent": {issuer + ", subject: '*', additionalExtensions: {githubWorkflowSha: '*'}", nil, []identity.Certificate{release}},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustLoadFrom(t, attestors("", "{entries: [{keyless: {"+c.keyless+"}}]}"), material)
			for _, who := range c.yes {
				allowed(t, p, input(keyless(t, world, who, "https://example.com/t")))
				denied(t, p, input(keyless(t, stranger, who, "https://example.com/t")))
				denied(t, p, input(keyless(t, world, who, "https://example.com/other")))
			}
			for _, who := range c.no {
				denied(t, p, input(keyless(t, world, who, "https://example.com/t")), "unknown identity")
			}
		})
	}
	t.Run("of images", func(t *testing.T) {
		p := mustLoadFrom(t, attestors("{entries: [{keyless: {"+issuer+", subject: '*'}}]}", ""), material)
		allowed(t, p, input(keyless(t, world, release, predicate.TypeCosignSign)))
		denied(t, p, input(keyless(t, world, release, "https://example.com/t")))
	})
	t.Run("own authorities", func(t *testing.T) {
		own := fmt.Sprintf(issuer+", subject: '*', roots: %s, rekor: {url: 'https://rekor.test', pubkey: %s}, ctlog: {pubkey: %s}",
			quoted(chainOf(t, stranger)), quoted(logKey(t, stranger, trust.TransparencyLog)), quoted(logKey(t, stranger, trust.CertificateLog)))
		p := mustLoadFrom(t, attestors("", "{entries: [{keyless: {"+own+"}}]}"), policytest.Material{})
		allowed(t, p, input(keyless(t, stranger, release, "https://example.com/t")))
		denied(t, p, input(keyless(t, world, release, "https://example.com/t")), "no log entry")
	})
	t.Run("without a log", func(t *testing.T) {
		b, _ := certified(t, world, release, "https://example.com/t")
		b.Entries = nil
		p := mustLoadFrom(t, attestors("", "{entries: [{keyless: {"+issuer+", subject: '*'}}]}"), material)
		denied(t, p, input(encode(t, b)), "no log entry")
		p = mustLoadFrom(t, attestors("", "{entries: [{keyless: {"+issuer+", subject: '*', rekor: {ignoreTlog: true}, ctlog: {ignoreSCT: true}}}]}"), material)
		allowed(t, p, input(encode(t, b)))
		late := input(encode(t, b))
		late.Now = now.Add(time.Hour)
		denied(t, p, late, "certificate out of time")
	})
	t.Run("with a timestamp", func(t *testing.T) {
		var chain string
		for _, der := range world.TSA.Chain() {
			chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		}
		p := mustLoadFrom(t, attestors("", "{entries: [{keyless: {"+issuer+", subject: '*', rekor: {ignoreTlog: true}, ctlog: {ignoreSCT: true, tsaCertChain: "+quoted(chain)+"}}}]}"), material)
		b, signed := certified(t, world, release, "https://example.com/t")
		b.Entries = nil
		denied(t, p, input(encode(t, b)), "no trusted time")
		b.Timestamps = [][]byte{world.TSA.Stamp(signed.Signature, now)}
		stamped := input(encode(t, b))
		stamped.Now = now.Add(time.Hour)
		allowed(t, p, stamped)
		b.Timestamps = [][]byte{stranger.TSA.Stamp(signed.Signature, now)}
		denied(t, p, input(encode(t, b)))
	})
}

func TestLogOfKeys(t *testing.T) {
	a, world, stranger := newSigner(t), trusttest.New(t, now), trusttest.New(t, now)
	with := func(rekor string) policy.Policy {
		return mustLoadFrom(t, attestors("", "{entries: [{keys: {"+rekor+", publicKeys: "+quoted(a.pem)+"}}]}"), policytest.Material{})
	}
	logged := func(world *trusttest.Sigstore) trust.Evidence {
		statement, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf("i", digest)}, "https://example.com/t", []byte(`{}`)))
		if err != nil {
			t.Fatal(err)
		}
		content := dsse.PAE(dsse.InToto, statement)
		signature, err := base64.StdEncoding.DecodeString(a.sign(t, content))
		if err != nil {
			t.Fatal(err)
		}
		id, err := identity.KeyOf(a.public())
		if err != nil {
			t.Fatal(err)
		}
		b := bundle.Bundle{Version: "0.3", KeyHint: id.Hint(), Envelope: dsse.Envelope{PayloadType: dsse.InToto, Payload: statement, Signatures: []dsse.Signature{{Sig: signature}}}}
		if world != nil {
			b.Entries = []bundle.LogEntry{world.V1.Add(trusttest.Signed{Public: a.public(), Signature: signature, Envelope: &b.Envelope, Content: content}, now)}
		}
		return encode(t, b)
	}
	p := with("rekor: {url: 'https://rekor.test', pubkey: " + quoted(logKey(t, world, trust.TransparencyLog)) + "}")
	allowed(t, p, input(logged(world)))
	denied(t, p, input(logged(nil)), "no log entry")
	denied(t, p, input(logged(stranger)), "no log entry")
	allowed(t, with("rekor: {ignoreTlog: true}"), input(logged(nil)))
}

func (s signer) public() crypto.PublicKey { return s.key.Public() }

// chainOf is the certificate authority in PEM; logKey is a log's key.
func chainOf(t testing.TB, world *trusttest.Sigstore) string {
	t.Helper()
	var text string
	for _, der := range world.CA.Chain() {
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return text
}

func logKey(t testing.TB, world *trusttest.Sigstore, kind trust.Kind) string {
	t.Helper()
	log := world.V1
	if kind == trust.CertificateLog {
		log = world.CertificateLog
	}
	der, err := x509.MarshalPKIXPublicKey(log.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestSignatureAlgorithm(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	key := quoted(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	payload := newSigner(t).image(t)
	sum := sha512.Sum512(payload.Content)
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA512, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	payload.Signature = base64.StdEncoding.EncodeToString(signature)
	allowed(t, mustLoad(t, attestors("{entries: [{keys: {rekor: {ignoreTlog: true}, signatureAlgorithm: sha512, publicKeys: "+key+"}}]}", "")), input(payload))
	allowed(t, mustLoad(t, attestors("{entries: [{signatureAlgorithm: sha512, keys: {rekor: {ignoreTlog: true}, publicKeys: "+key+"}}]}", "")), input(payload))
	denied(t, mustLoad(t, attestors("{entries: [{keys: {rekor: {ignoreTlog: true}, signatureAlgorithm: sha384, publicKeys: "+key+"}}]}", "")), input(payload))
	denied(t, mustLoad(t, attestors("{entries: [{keys: {rekor: {ignoreTlog: true}, publicKeys: "+key+"}}]}", "")), input(payload))
}

func TestCertificates(t *testing.T) {
	a := newSigner(t)
	issue := func(name string, authority bool, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer, from, until time.Time) (*x509.Certificate, string) {
		template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until,
			IsCA: authority, BasicConstraintsValid: true, EmailAddresses: []string{"ci@example.com"}}
		if authority {
			template.KeyUsage = x509.KeyUsageCertSign
		}
		if parent == nil {
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	year := 365 * 24 * time.Hour
	top, topPEM := issue("top", true, nil, authority.Public(), authority, now.Add(-year), now.Add(year))
	_, leafPEM := issue("ci", false, top, a.public(), authority, now.Add(-time.Hour), now.Add(time.Hour))
	_, otherTop := issue("other", true, nil, a.public(), a.key, now.Add(-year), now.Add(year))
	entry := func(more string) string {
		return "{entries: [{certificates: {rekor: {ignoreTlog: true}, " + more + "}}]}"
	}
	p := mustLoad(t, attestors(entry("cert: "+quoted(leafPEM)+", certChain: "+quoted(topPEM)), ""))
	allowed(t, p, input(a.image(t)))
	withCertificate := a.image(t)
	withCertificate.Certificate = leafPEM
	allowed(t, p, input(withCertificate))
	denied(t, p, input(newSigner(t).image(t)))
	late := input(a.image(t))
	late.Now = now.Add(2 * time.Hour)
	denied(t, p, late, "key out of time")
	allowed(t, mustLoad(t, attestors(entry("cert: "+quoted(base64.StdEncoding.EncodeToString([]byte(leafPEM)))), "")), input(a.image(t)))
	for text, want := range map[string]string{
		"cert: " + quoted(leafPEM) + ", certChain: " + quoted(otherTop): "does not lead to the last one of the chain",
		"cert: " + quoted(topPEM):         "is a certificate authority's own",
		"cert: " + quoted(leafPEM+topPEM): "want one certificate, found 2",
		// CVE-2026-32280: chains as long as whoever writes them likes.
		"cert: " + quoted(leafPEM) + ", certChain: " + quoted(strings.Repeat(topPEM, limit.Chain+1)): "bound of 16 certificates",
		"certChain: " + quoted(topPEM): "anybody to whom this authority gave a certificate could sign",
		"cert: " + quoted(a.pem):       `a block is a "PUBLIC KEY"`,
	} {
		if _, err := load(attestors(entry(text), "")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
