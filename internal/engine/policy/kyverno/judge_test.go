package kyverno_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
)

const (
	vulnType = "https://cosign.sigstore.dev/attestation/vuln/v1"
	bomType  = "https://cyclonedx.org/bom"
	vulns2   = "https://in-toto.io/attestation/vulns/v0.2"
)

// report is a cosign vulnerability predicate with a report in Trivy's shape.
func report(finished, extra string, vulnerabilities ...string) string {
	return fmt.Sprintf(`{"scanner":{"uri":"https://scanner.example.com","version":"1","db":{"uri":"u","version":"1","lastUpdate":"2026-02-01T00:00:00Z"},
		"result":{"SchemaVersion":2,"Results":[{"Target":"requirements.txt","Class":"lang-pkgs","Vulnerabilities":[%s]}]%s}},
		"metadata":{"scanStartedOn":%q,"scanFinishedOn":%q}}`, strings.Join(vulnerabilities, ","), extra, finished, finished)
}

const (
	critical = `{"VulnerabilityID":"CVE-2023-47248","PkgName":"pyarrow","InstalledVersion":"13.0.0","FixedVersion":"14.0.1","Severity":"CRITICAL"}`
	low      = `{"VulnerabilityID":"CVE-2021-34141","PkgName":"numpy","InstalledVersion":"1.21.0","FixedVersion":"1.22.0","Severity":"LOW"}`
	monday   = "2026-02-23T00:00:00Z"
	tuesday  = "2026-02-24T00:00:00Z"
)

func TestPandasPolicy(t *testing.T) {
	ci, other := newSigner(t), newSigner(t)
	p := mustLoad(t, withKey(file(t, "pandas.yaml"), ci.pem))
	if p.Name() != "ClusterPolicy/check-pandas-workload-attestation" {
		t.Errorf("name %q", p.Name())
	}
	signature, clean := ci.image(t), ci.attest(t, vulnType, report(monday, "", low))
	bad := ci.attest(t, vulnType, report(monday, "", low, critical))

	t.Run("clean", func(t *testing.T) { allowed(t, p, input(signature, clean)) })
	t.Run("critical", func(t *testing.T) {
		denied(t, p, input(signature, bad), `critical vulnerabilities: ["CVE-2023-47248"]`, "Equals 0", "Found:1",
			"CVE-2023-47248 CRITICAL pyarrow 13.0.0, fixed in 14.0.1", "update pyarrow to 14.0.1", "Signer:verify-image-attestation/attestations[0]")
	})
	t.Run("names what the condition is about", func(t *testing.T) {
		many := []string{low, critical}
		for i := range 60 {
			many = append(many, strings.Replace(critical, "CVE-2023-47248", fmt.Sprintf("CVE-2000-%04d", i), 1))
		}
		in := input(signature, ci.attest(t, vulnType, report(monday, "", many...)))
		denied(t, p, in, "and 11 more")
		for _, check := range failures(judge(t, p, in)) {
			if len(check.Items) != 51 || strings.Contains(fmt.Sprint(check.Items, check.Remedy), "numpy") || check.Remedy != "update pyarrow to 14.0.1; then build, scan and attest again" {
				t.Errorf("%d items, %q, %q", len(check.Items), check.Items, check.Remedy)
			}
		}
	})
	t.Run("no signature", func(t *testing.T) { denied(t, p, input(clean), "a signature of the image", "assay sign") })
	t.Run("no attestation", func(t *testing.T) { denied(t, p, input(signature), "an attestation of type "+vulnType, "assay attest") })
	t.Run("nothing", func(t *testing.T) { denied(t, p, input(), "a signature of the image", "an attestation of type") })
	t.Run("signature by another key", func(t *testing.T) { denied(t, p, input(other.image(t), clean), "bad signature") })
	t.Run("attestation by another key", func(t *testing.T) {
		denied(t, p, input(signature, other.attest(t, vulnType, report(monday, ""))), "bad signature")
	})
	t.Run("attestation is no image signature", func(t *testing.T) { denied(t, p, input(clean, clean), "a signature of the image") })
	t.Run("another subject", func(t *testing.T) {
		in := input(signature, clean)
		in.Scopes[0].Subjects = []subject.Digest{subject.Of([]byte("another image"))}
		denied(t, p, in, "other subject")
	})
	t.Run("another type", func(t *testing.T) {
		denied(t, p, input(signature, ci.attest(t, bomType, report(monday, ""))), "an attestation of type")
	})
	t.Run("bare spelling of the type", func(t *testing.T) {
		allowed(t, p, input(signature, ci.attest(t, strings.TrimPrefix(vulnType, "https://"), report(monday, ""))))
	})
	t.Run("no scanner at all", func(t *testing.T) { denied(t, p, input(signature, ci.attest(t, vulnType, `{}`))) })
	t.Run("predicate that is a list", func(t *testing.T) { denied(t, p, input(signature, ci.attest(t, vulnType, `[]`))) })
	t.Run("rescan heals", func(t *testing.T) {
		allowed(t, p, input(signature, bad, ci.attest(t, vulnType, report(tuesday, "", low))))
	})
	t.Run("worse rescan blocks", func(t *testing.T) {
		denied(t, p, input(signature, clean, ci.attest(t, vulnType, report(tuesday, "", critical))), "CVE-2023-47248")
	})
	t.Run("newer scan of the other type replaces", func(t *testing.T) {
		newer := ci.attest(t, vulns2, fmt.Sprintf(`{"scanner":{"uri":"https://scanner.example.com","db":{"lastUpdate":%q},"result":[]},"metadata":{"scanStartedOn":%q,"scanFinishedOn":%q}}`, tuesday, tuesday, tuesday))
		denied(t, p, input(signature, clean, newer), "replaced by newer evidence")
	})
	t.Run("future", func(t *testing.T) {
		denied(t, p, input(signature, ci.attest(t, vulnType, report("2027-01-01T00:00:00Z", ""))), "dated in the future")
	})
	t.Run("sample", func(t *testing.T) {
		sample := ci.attest(t, vulnType, report(monday, `,"Assay":{"database":{"sample":true},"packages":3}`))
		denied(t, p, input(signature, sample), "sample of advisories", "assay db import")
		annotated := strings.Replace(withKey(file(t, "pandas.yaml"), ci.pem), "  annotations:\n", "  annotations:\n    assay.sh/allow-sample: \"true\"\n", 1)
		allowed(t, mustLoad(t, annotated), input(signature, sample))
	})
	t.Run("sample named in a report of another format", func(t *testing.T) {
		denied(t, p, input(signature, ci.attest(t, vulnType, `{"scanner":{"result":{"matches":[]},"db":{"uri":"https://assay.sh/advisories/builtin-sample"}}}`)), "sample of advisories")
	})
	t.Run("report that cannot be read", func(t *testing.T) {
		for _, unreadable := range []string{
			`{"scanner":{"result":{"Results":[]}}}`,
			`{"scanner":{"result":{"SchemaVersion":2,"Results":{"a":1}}}}`,
			`{"scanner":{"db":{"lastUpdate":"yesterday"},"result":{"SchemaVersion":2,"Results":[]}}}`,
			`{"scanner":{"result":{"SchemaVersion":2,"Results":[null]}}}`,
			`{"scanner":{"result":{"SchemaVersion":2,"Results":[],"Results":[]}}}`,
		} {
			denied(t, p, input(signature, ci.attest(t, vulnType, unreadable)))
		}
	})
	t.Run("report of a configuration", func(t *testing.T) {
		denied(t, p, input(signature, ci.attest(t, vulnType, strings.Replace(report(monday, ""), `"lang-pkgs"`, `"config"`, 1))), "found no package")
	})
	t.Run("scan of nothing", func(t *testing.T) {
		denied(t, p, input(signature, ci.attest(t, vulnType, report(monday, `,"Assay":{"database":{},"packages":0}`))), "found no package")
	})
	t.Run("every platform", func(t *testing.T) {
		in := input(signature, clean)
		in.Scopes[0].Platform = "linux/amd64"
		second := policy.Scope{Platform: "linux/arm64", Subjects: []subject.Digest{digest}, Evidence: input(signature, bad).Scopes[0].Evidence}
		in.Scopes = append(in.Scopes, second)
		denied(t, p, in, "Platform:linux/arm64")
		in.Scopes[1].Evidence = in.Scopes[0].Evidence
		allowed(t, p, in)
	})
	t.Run("no scopes", func(t *testing.T) {
		if checks, err := p.Judge(t.Context(), policy.Input{Image: image, Now: now}); err == nil {
			t.Errorf("judged nothing: %+v", checks)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if checks, err := p.Judge(ctx, input(signature, clean)); err == nil {
			t.Errorf("judged after the stop: %+v", checks)
		}
	})
}

func TestBaseImagePolicy(t *testing.T) {
	ci := newSigner(t)
	p := mustLoad(t, withKey(file(t, "base-image.yaml"), ci.pem))
	system := func(name, version string) policy.Input {
		return input(ci.attest(t, bomType, fmt.Sprintf(`{"components":[{"type":"library","name":"ubuntu","version":"24.04"},{"type":"operating-system","name":%q,"version":%q}]}`, name, version)))
	}
	allowed(t, p, system("ubuntu", "24.04"))
	allowed(t, p, system("alpine", "3.20"))
	denied(t, p, system("alpine", "3.19"), `the operating system must be Ubuntu 22.04 or 24.04, not ["alpine"] ["3.19"]`,
		`the operating system must be Alpine 3.18 or 3.20, not ["alpine"] ["3.19"]`, "one of several")
	denied(t, p, system("debian", "24.04"))
	denied(t, p, input(ci.attest(t, bomType, `{"components":[]}`)))
	denied(t, p, input(ci.attest(t, bomType, `{}`)))
	denied(t, p, input(), "an attestation of type") // required: false does not let it through

	skipped := policy.Image{Registry: "ghcr.io", Repository: "trusted/app", Digest: digest}
	in := input()
	in.Image = skipped
	checks := judge(t, p, in)
	if len(checks) != 1 || checks[0].Outcome != verdict.Skipped {
		t.Errorf("an exempted image: %+v", checks)
	}
	in.Image.Registry = "registry.example.com"
	denied(t, p, in)

	// A tag exempts only where the registry was asked for it.
	byTag := mustLoad(t, strings.Replace(withKey(file(t, "base-image.yaml"), ci.pem), "ghcr.io/trusted/*", "ghcr.io/trusted/app:dev-*", 1))
	in.Image = policy.Image{Registry: "ghcr.io", Repository: "trusted/app", Tag: "dev-1", Digest: digest}
	if checks := judge(t, byTag, in); len(checks) != 1 || checks[0].Outcome != verdict.Skipped {
		t.Errorf("a tag that is exempted: %+v", checks)
	}
	in.Image.Pinned = true
	denied(t, byTag, in)
}

func TestMatch(t *testing.T) {
	ci := newSigner(t)
	const head = "apiVersion: kyverno.io/v1\nkind: %s\nmetadata: {name: p%s}\nspec:\n  rules:\n  - name: r\n    match: {%s}\n    verifyImages:\n    - imageReferences: [%s]\n      attestors:\n      - entries:\n        - keys:\n            rekor: {ignoreTlog: true}\n            publicKeys: |-\n              @KEY@\n"
	any := `any: [{resources: {kinds: [Pod], namespaces: ["ml-*"]}}]`
	hub := policy.Image{Registry: "index.docker.io", Repository: "library/python", Tag: "3.12", Digest: digest}
	pod := func(kind, namespace string) policy.Request {
		return policy.Request{Known: true, Kind: kind, Namespace: namespace}
	}
	for name, c := range map[string]struct {
		kind, namespace, match, references string
		image                              policy.Image
		request                            policy.Request
		want                               bool
	}{
		"image and pod":                 {"ClusterPolicy", "", any, `"registry.example.com/*"`, image, pod("Pod", "ml-a"), true},
		"other namespace":               {"ClusterPolicy", "", any, `"registry.example.com/*"`, image, pod("Pod", "web"), false},
		"unknown namespace":             {"ClusterPolicy", "", any, `"registry.example.com/*"`, image, pod("Pod", ""), true},
		"unknown workload":              {"ClusterPolicy", "", any, `"registry.example.com/*"`, image, policy.Request{}, true},
		"controller of pods":            {"ClusterPolicy", "", any, `"*"`, image, pod("CronJob", "ml-a"), true},
		"custom kind that makes pods":   {"ClusterPolicy", "", any, `"*"`, image, pod("InferenceService", "ml-a"), true},
		"named controller":              {"ClusterPolicy", "", "any: [{resources: {kinds: [apps/v1/Deployment]}}]", `"*"`, image, pod("Deployment", "x"), true},
		"not the named controller":      {"ClusterPolicy", "", "any: [{resources: {kinds: [Deployment]}}]", `"*"`, image, pod("Job", "x"), false},
		"all, one fails":                {"ClusterPolicy", "", `all: [{resources: {kinds: [Pod]}}, {resources: {kinds: [Pod], namespaces: [a]}}]`, `"*"`, image, pod("Pod", "b"), false},
		"all":                           {"ClusterPolicy", "", `all: [{resources: {kinds: [Pod]}}, {resources: {kinds: [Pod], namespaces: [a]}}]`, `"*"`, image, pod("Pod", "a"), true},
		"policy of its namespace":       {"Policy", ", namespace: a", "any: [{resources: {kinds: [Pod]}}]", `"*"`, image, pod("Pod", "a"), true},
		"policy of another namespace":   {"Policy", ", namespace: a", "any: [{resources: {kinds: [Pod]}}]", `"*"`, image, pod("Pod", "b"), false},
		"by tag":                        {"ClusterPolicy", "", any, `"*:v1"`, image, policy.Request{}, true},
		"by digest":                     {"ClusterPolicy", "", any, `"*@sha256:*"`, image, policy.Request{}, true},
		"another tag":                   {"ClusterPolicy", "", any, `"*:v2"`, image, policy.Request{}, false},
		"dot is a dot":                  {"ClusterPolicy", "", any, `"registry-example.com/*", "registryXexample.com/*"`, image, policy.Request{}, false},
		"question mark is one":          {"ClusterPolicy", "", any, `"registry.example.co?/*"`, image, policy.Request{}, true},
		"question mark is not none":     {"ClusterPolicy", "", any, `"registry.example.com?/*"`, image, policy.Request{}, false},
		"docker.io":                     {"ClusterPolicy", "", any, `"docker.io/library/python:*"`, hub, policy.Request{}, true},
		"docker.io, short":              {"ClusterPolicy", "", any, `"docker.io/python:3.12"`, hub, policy.Request{}, true},
		"docker.io, another repository": {"ClusterPolicy", "", any, `"docker.io/pythons:*"`, hub, policy.Request{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustLoad(t, withKey(fmt.Sprintf(head, c.kind, c.namespace, c.match, c.references), ci.pem))
			if got := p.Match(c.image, c.request); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestCount(t *testing.T) {
	a, b, c := newSigner(t), newSigner(t), newSigner(t)
	const text = `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences: ["*"]
      attestors:
      - %s
        entries:
        - keys:
            rekor: {ignoreTlog: true}
            publicKeys: |-
              @KEY@
      attestations:
      - type: https://example.com/t
        attestors:
        - %s
          entries:
          - keys:
              rekor: {ignoreTlog: true}
              publicKeys: |-
                @KEY@
`
	attested := func(s signer) string { return "https://example.com/t" }
	two := mustLoad(t, withKey(fmt.Sprintf(text, "count: 2", "count: 2"), a.pem, b.pem, c.pem))
	all := mustLoad(t, withKey(fmt.Sprintf(text, "count: 0", "count: 0"), a.pem, b.pem))
	by := func(signers ...signer) policy.Input {
		in := input()
		for _, s := range signers {
			in.Scopes[0].Evidence = append(in.Scopes[0].Evidence, s.image(t), s.attest(t, attested(s), `{}`))
		}
		return in
	}
	allowed(t, two, by(a, c))
	denied(t, two, by(b), "1 of 2 signatures")
	denied(t, two, by(b, b), "1 of 2 signatures") // the same key twice is one
	allowed(t, all, by(a, b))
	denied(t, all, by(a), "1 of 2 signatures")
	denied(t, all, by(a, c), "1 of 2 signatures")

	mixed := by(a)
	mixed.Scopes[0].Evidence = append(mixed.Scopes[0].Evidence, c.image(t))
	denied(t, two, mixed, "an attestation of type https://example.com/t by the key")
}
