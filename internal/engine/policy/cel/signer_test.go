package cel_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// signed writes a policy that wants a signature, with the signers as given.
func signed(signers, requirement string) string {
	return "apiVersion: assay.sh/v1alpha1\nkind: EvidencePolicy\nmetadata: {name: p}\nspec:\n  match:\n    images: [\"*\"]\n  signers:\n" +
		indent(signers, 2) + "  requirements:\n  - name: r\n    type: " + predicate.TypeCosignSign + "\n" + indent(requirement, 4)
}

func loadFrom(t testing.TB, text string, m policy.Material) policy.Policy {
	t.Helper()
	documents, err := strictyaml.Documents("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := cel.Load(documents[0], m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func keyed(name string, p party) string {
	return "- name: " + name + "\n  keys:\n  - publicKey: |\n" + indent(p.pem, 6)
}

func TestThreshold(t *testing.T) {
	a, b, c, stranger := newParty(t), newParty(t), newParty(t), newParty(t)
	p := mustLoad(t, signed(keyed("a", a)+keyed("b", b)+keyed("c", c), "signers: [a, b, c]\nthreshold: 2"))
	allowed(t, p, input(a.image(t), b.image(t)))
	allowed(t, p, input(c.image(t), stranger.image(t), b.image(t)))
	denied(t, p, input(a.image(t)), "a signature of the image by 2 of a, b, c", "1 piece, signed by a")
	denied(t, p, input(a.image(t), a.image(t), stranger.image(t)), "2 of a, b, c")
	denied(t, p, input(a.image(t), stranger.image(t)), "2 of a, b, c")
	denied(t, p, input(stranger.image(t)), "none that counts")

	t.Run("signed together", func(t *testing.T) {
		envelope := a.envelope(t, digest, predicate.TypeCosignSign, "{}")
		both := envelope
		both.Signatures = append(both.Signatures, dsse.Signature{Sig: b.sign(t, dsse.PAE(dsse.InToto, envelope.Payload))})
		pack := func(e dsse.Envelope) trust.Evidence {
			content, err := dsse.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			return trust.Evidence{Digest: subject.Of(content), Form: trust.Envelope, Content: content}
		}
		allowed(t, p, input(pack(both)))
		denied(t, p, input(pack(envelope)), "2 of a, b, c")
	})
	t.Run("one key under two names", func(t *testing.T) {
		p := mustLoad(t, signed(keyed("a", a)+keyed("again", a)+keyed("c", c), "signers: [a, again, c]\nthreshold: 2"))
		denied(t, p, input(a.image(t)), "2 of a, again, c")
		allowed(t, p, input(a.image(t), c.image(t)))
	})
}

// pinned is a certificate for a party's key, in PEM.
func (p party) pinned(t testing.TB, from, to time.Time, ca bool) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ci"}, NotBefore: from, NotAfter: to, IsCA: ca, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestCertificateKey(t *testing.T) {
	ci, other := newParty(t), newParty(t)
	text := func(pem string) string {
		return signed("- name: ci\n  keys:\n  - certificate: |\n"+indent(pem, 6), "signers: [ci]")
	}
	p := mustLoad(t, text(ci.pinned(t, now.Add(-time.Hour), now.Add(time.Hour), false)))
	allowed(t, p, input(ci.image(t)))
	denied(t, p, input(other.image(t)), "bad signature")
	denied(t, mustLoad(t, text(ci.pinned(t, now.Add(-2*time.Hour), now.Add(-time.Hour), false))), input(ci.image(t)), "key out of time")
	for name, wrong := range map[string]string{
		"is a certificate authority's own": ci.pinned(t, now, now.Add(time.Hour), true),
		"several PEM blocks":               ci.pinned(t, now, now.Add(time.Hour), false) + other.pinned(t, now, now.Add(time.Hour), false),
		"want a certificate in PEM":        ci.pem,
	} {
		if _, err := load(text(wrong)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q: %v", name, err)
		}
	}
}

func TestKeyByReference(t *testing.T) {
	ci, other := newParty(t), newParty(t)
	text := signed("- name: ci\n  keys:\n  - ref: k8s://cosign/ci", "signers: [ci]")
	p := loadFrom(t, text, policytest.Material{PEM: map[string][]byte{"k8s://cosign/ci": []byte(ci.pem)}})
	allowed(t, p, input(ci.image(t)))
	denied(t, p, input(other.image(t)), "bad signature")
	if _, err := load(text); err == nil || !strings.Contains(err.Error(), "spec.signers[0].keys[0].ref") {
		t.Errorf("a reference that cannot be read: %v", err)
	}
}

// TestSignerWindow: what a signer's own times say bounds all of its keys.
func TestSignerWindow(t *testing.T) {
	ci := newParty(t)
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	with := func(from, until time.Duration) policy.Policy {
		return mustLoad(t, signed(keyed("ci", ci)+"  notBefore: "+at(from)+"\n  notAfter: "+at(until), "signers: [ci]"))
	}
	allowed(t, with(-time.Hour, time.Hour), input(ci.image(t)))
	denied(t, with(-2*time.Hour, -time.Hour), input(ci.image(t)), "key out of time")
	denied(t, with(time.Hour, 2*time.Hour), input(ci.image(t)), "key out of time")
}

var release = identity.Certificate{
	Subject: "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main", Issuer: "https://token.actions.githubusercontent.com",
	Extensions: map[string]string{"sourceRepositoryURI": "https://github.com/example/app", "buildTrigger": "push"},
}

// keyless is a signature of the image with a certificate, witnessed at now.
func keyless(t testing.TB, s *trusttest.Sigstore, who identity.Certificate) trust.Evidence {
	t.Helper()
	k := s.Keyless(who, now.Add(-time.Minute))
	payload, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf("app", digest)}, predicate.TypeCosignSign, []byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := k.Sign(context.Background(), dsse.PAE(dsse.InToto, payload))
	if err != nil {
		t.Fatal(err)
	}
	content, err := bundle.EncodeWith(bundle.Bundle{Version: "0.3", Certificates: k.Certificates()[:1],
		Envelope: dsse.Envelope{PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: signature}}}})
	if err != nil {
		t.Fatal(err)
	}
	if content, err = (trusttest.Notary{Sigstore: s, At: now, Stamped: true}).Witness(context.Background(), content, k.Public()); err != nil {
		t.Fatal(err)
	}
	return trust.Evidence{Digest: subject.Of(content), Source: "referrer", Form: trust.Bundle, Content: content}
}

func TestKeyless(t *testing.T) {
	sigstore, elsewhere := trusttest.New(t, now), trusttest.New(t, now)
	root, err := trust.ParseRoot("root", sigstore.Root())
	if err != nil {
		t.Fatal(err)
	}
	material := policytest.Material{Roots: map[string]*trust.Root{"": root}}
	exact := "- name: ci\n  identities:\n  - subject: " + release.Subject + "\n    issuer: " + release.Issuer + "\n"
	byRegexp := "- name: ci\n  identities:\n  - subjectRegexp: https://github\\.com/example/.*@refs/heads/main\n    issuerRegexp: https://token\\.actions\\..*\n    extensions: {buildTrigger: push}\n    extensionRegexps: {sourceRepositoryURI: 'https://github\\.com/example/.*'}\n"
	good := keyless(t, sigstore, release)
	person := keyless(t, sigstore, identity.Certificate{Subject: "dev@example.com", Issuer: release.Issuer})
	fork := release
	fork.Extensions = map[string]string{"sourceRepositoryURI": "https://github.com/fork/app", "buildTrigger": "push"}
	for name, signer := range map[string]string{"exact": exact, "expressions": byRegexp} {
		t.Run(name, func(t *testing.T) {
			p := loadFrom(t, signed(signer, "signers: [ci]"), material)
			c := allowed(t, p, input(good))[0]
			if want := fmt.Sprintf("%q of %q", release.Subject, release.Issuer); c.Evidence[0].Identity != want {
				t.Errorf("identity %q, want %q", c.Evidence[0].Identity, want)
			}
			denied(t, p, input(person), "unknown identity", "assay sign IMAGE")
			denied(t, p, input(keyless(t, elsewhere, release)), "none that counts")
		})
	}
	t.Run("extension of a fork", func(t *testing.T) {
		denied(t, loadFrom(t, signed(byRegexp, "signers: [ci]"), material), input(keyless(t, sigstore, fork)), "unknown identity")
		allowed(t, loadFrom(t, signed(exact, "signers: [ci]"), material), input(keyless(t, sigstore, fork)))
	})
	t.Run("an expression matches the whole value", func(t *testing.T) {
		part := "- name: ci\n  identities:\n  - {subjectRegexp: github.com/example, issuer: " + release.Issuer + "}\n"
		denied(t, loadFrom(t, signed(part, "signers: [ci]"), material), input(good), "unknown identity")
	})
	t.Run("a root of its own", func(t *testing.T) {
		own := func(s *trusttest.Sigstore) string { return exact + "  trustedRoot: |\n" + indent(string(s.Root()), 4) }
		allowed(t, loadFrom(t, signed(own(sigstore), "signers: [ci]"), policytest.Material{}), input(good))
		denied(t, loadFrom(t, signed(own(elsewhere), "signers: [ci]"), material), input(good), "none that counts")
	})
	t.Run("while it is a signer", func(t *testing.T) {
		with := func(from, until time.Duration) string {
			return exact + fmt.Sprintf("  notBefore: %s\n  notAfter: %s\n", now.Add(from).Format(time.RFC3339), now.Add(until).Format(time.RFC3339))
		}
		later := input(good)
		later.Now = now.Add(24 * time.Hour) // the signer has ended since, and its signature was witnessed before
		allowed(t, loadFrom(t, signed(with(-time.Hour, time.Hour), "signers: [ci]"), material), later)
		denied(t, loadFrom(t, signed(with(-2*time.Hour, -time.Hour), "signers: [ci]"), material), later, "key out of time", "only until")
		denied(t, loadFrom(t, signed(with(time.Hour, 48*time.Hour), "signers: [ci]"), material), later, "key out of time", "only from")
	})
	t.Run("a log for keys", func(t *testing.T) {
		ci := newParty(t)
		denied(t, loadFrom(t, signed(keyed("ci", ci)+"  requireLog: true\n", "signers: [ci]"), material), input(ci.image(t)), "no log entry")
		denied(t, loadFrom(t, signed(keyed("ci", ci)+"  requireTimestamp: true\n", "signers: [ci]"), material), input(ci.image(t)), "no trusted time")
	})
}
