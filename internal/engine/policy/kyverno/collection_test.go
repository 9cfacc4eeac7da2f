package kyverno_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/predicate"
)

// TestCollection: policies of every kind that is published for verifyImages
// load and judge, or are refused with the reason.
func TestCollection(t *testing.T) {
	a, b, c := newSigner(t), newSigner(t), newSigner(t)
	world := trusttest.New(t, now)
	root, err := trust.ParseRoot("door", world.Root())
	if err != nil {
		t.Fatal(err)
	}
	material := policytest.Material{
		Roots:      map[string]*trust.Root{"": root},
		PEM:        map[string][]byte{"gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k/versions/1": []byte(a.pem)},
		ConfigMaps: map[string]map[string]string{"security/keys": {"ml": a.pem, "web": b.pem}},
	}
	at := func(age time.Duration) string { return now.Add(-age).UTC().Format(time.RFC3339) }
	workflow := func(tag string) identity.Certificate {
		return identity.Certificate{Subject: "https://github.com/acme/app/.github/workflows/release.yml@" + tag, Issuer: "https://token.actions.githubusercontent.com",
			Extensions: map[string]string{"githubWorkflowTrigger": "push"}}
	}
	provenance := func(builder, uri string) trust.Evidence {
		return a.attest(t, "https://slsa.dev/provenance/v0.2", fmt.Sprintf(`{"builder":{"id":%q},"buildType":"t","invocation":{"configSource":{"uri":%q}},"materials":[{"uri":%q}]}`, builder, uri, uri))
	}
	const main = "git+https://git.example.com/acme/app@refs/heads/main"
	bom := func(version string) trust.Evidence {
		return a.attest(t, bomType, fmt.Sprintf(`{"components":[{"type":"library","name":"log4j-core","version":%q}]}`, version))
	}
	commit := func(kind, sha string) trust.Evidence {
		return a.attest(t, "https://example.com/"+kind, fmt.Sprintf(`{"commit":%q,"reviewers":["alice"]}`, sha))
	}
	list := func(evidence ...trust.Evidence) []trust.Evidence { return evidence }
	for name, test := range map[string]struct {
		keys    []signer
		allowed []trust.Evidence
		denied  [][]trust.Evidence
		refused string
	}{
		"cosign-key":           {[]signer{a}, list(a.image(t)), [][]trust.Evidence{nil, list(b.image(t))}, ""},
		"cosign-several-keys":  {[]signer{a, b, c}, list(a.image(t), c.image(t)), [][]trust.Evidence{list(a.image(t)), list(b.image(t), b.image(t))}, ""},
		"key-in-configmap":     {nil, list(a.image(t)), [][]trust.Evidence{nil, list(b.image(t))}, ""},
		"kms":                  {nil, list(a.image(t)), [][]trust.Evidence{nil, list(b.image(t))}, ""},
		"keyless-workflow":     {nil, list(keyless(t, world, workflow("refs/tags/v1"), predicate.TypeCosignSign)), [][]trust.Evidence{nil, list(keyless(t, world, workflow("refs/heads/main"), predicate.TypeCosignSign))}, ""},
		"provenance":           {[]signer{a}, list(provenance("https://ci.example.com/builders/release@v1", main)), [][]trust.Evidence{nil, list(provenance("https://ci.example.com/builders/release@v1x", main)), list(provenance("https://ci.example.com/builders/main@v1", main+"-evil"))}, ""},
		"recent-scan":          {[]signer{a}, list(a.attest(t, vulnType, report(at(time.Hour), ""))), [][]trust.Evidence{nil, list(a.attest(t, vulnType, report(at(200*time.Hour), "")))}, ""},
		"named-vulnerability":  {[]signer{a}, list(bom("2.17.1")), [][]trust.Evidence{nil, list(bom("2.14.1"))}, ""},
		"review-and-deny":      {[]signer{a}, list(commit("built", "1"), commit("reviewed", "1")), [][]trust.Evidence{nil, list(commit("built", "1")), list(commit("built", "1"), commit("reviewed", "2"))}, ""},
		"tekton-bundle":        {[]signer{a}, list(a.image(t)), [][]trust.Evidence{nil}, ""},
		"signature-repository": {[]signer{a}, list(a.image(t)), [][]trust.Evidence{nil, list(b.image(t))}, ""},
		"audit-first":          {[]signer{a}, list(a.image(t)), [][]trust.Evidence{nil}, ""},
		"only-digests":         {},
		"notary":               {refused: "Notary is not supported"},
		"anybodys-attestation": {refused: "has no attestors"},
		"replace-registry":     {refused: "mutate: is not done here"},
		"block-stale":          {keys: []signer{a}, refused: "imageRegistry: is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			var pems []string
			for _, k := range test.keys {
				pems = append(pems, k.pem)
			}
			p, err := loadFrom(t, withKey(file(t, "collection/"+name+".yaml"), pems...), material)
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("want %q, got %v", test.refused, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			in := func(evidence []trust.Evidence) policy.Input {
				made := input(evidence...)
				made.Request = asked()
				switch name {
				case "tekton-bundle":
					made.Request = policy.Request{Known: true, Group: "tekton.dev", Version: "v1", Kind: "PipelineRun", Namespace: "ml", Name: "r"}
				case "audit-first":
					made.Request.Namespace = "prod-ml"
				case "signature-repository":
					made.Scopes[0].Evidence, made.Scopes[0].Elsewhere = nil, map[string][]trust.Evidence{"registry.example.com/signatures": evidence}
				}
				return made
			}
			if name == "only-digests" {
				if checks := judge(t, p, in(nil)); len(checks) != 1 || checks[0].Outcome != verdict.Skipped {
					t.Errorf("%+v", checks)
				}
				return
			}
			allowed(t, p, in(test.allowed))
			for _, evidence := range test.denied {
				denied(t, p, in(evidence))
			}
		})
	}
	files, err := os.ReadDir("testdata/collection")
	if err != nil || len(files) != 17 {
		t.Errorf("%d policies are there, %v: each needs a line in this test", len(files), err)
	}
}
