package kyverno_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
)

// TestProbesOfRules are whole policies that Kyverno 1.19.1 was seen to admit
// evidence by, and what decides here: what is signed is data. TestProbes has
// the conditions alone.
func TestProbesOfRules(t *testing.T) {
	ci := newSigner(t)
	honest, old := now.Add(-time.Hour).Format(time.RFC3339), now.Add(-90*24*time.Hour).Format(time.RFC3339)
	const fresh = `{key: "{{ time_since('','{{ metadata.t }}','') }}", operator: LessThanOrEquals, value: 168h}`
	for name, c := range map[string]struct {
		rule, condition, predicate string
		admitted                   bool
	}{
		"WildcardInPredicateAnyIn":      {"", `{key: "{{ reviewers }}", operator: AnyIn, value: [alice]}`, `{"reviewers":["*"]}`, false},
		"WildcardInPredicateEquals":     {"", `{key: alice, operator: Equals, value: "{{ reviewer }}"}`, `{"reviewer":"a*"}`, false},
		"TemplateInPredicate":           {"", `{key: "{{ namespace }}", operator: Equals, value: ml}`, `{"namespace":"{{ request.namespace }}"}`, false},
		"PredicateShadowsVariable":      {"context: [{name: allowed, variable: {value: [alice]}}]", `{key: "{{ reviewer }}", operator: AnyIn, value: "{{ allowed }}"}`, `{"reviewer":"mallory","allowed":["mallory"]}`, false},
		"PredicateShadowsHonest":        {"context: [{name: allowed, variable: {value: [alice]}}]", `{key: "{{ reviewer }}", operator: AnyIn, value: "{{ allowed }}"}`, `{"reviewer":"alice","allowed":["mallory"]}`, true},
		"PredicateShadowsNestedRequest": {"", `{key: "{{ allowed.{{ request.namespace }} }}", operator: Equals, value: yes}`, `{"request":{"namespace":"x"},"allowed":{"x":"yes"}}`, false},
		"QuotesInPredicate":             {"", fresh, `{"metadata":{"t":"` + old + `','') || '0s' || time_since('','2026-03-01T11:00:00Z"}}`, false},
		"FreshTimestamp":                {"", fresh, `{"metadata":{"t":"` + honest + `"}}`, true},
		"EmptyListNotIn":                {"", `{key: "{{ licences }}", operator: NotIn, value: [AGPL]}`, `{"licences":[]}`, false},
		"ListWithLicences":              {"", `{key: "{{ licences }}", operator: AllIn, value: [MIT]}`, `{"licences":["MIT"]}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustLoad(t, ruled{rule: c.rule, conditions: "[{all: [" + c.condition + "]}]"}.yaml(ci.pem))
			in := input(ci.image(t), ci.attest(t, "https://example.com/t", c.predicate))
			in.Request = asked()
			if c.admitted {
				allowed(t, p, in)
			} else {
				denied(t, p, in)
			}
		})
	}
	t.Run("EmptyAny", func(t *testing.T) {
		denied(t, mustLoad(t, ruled{conditions: "[{any: []}]"}.yaml(ci.pem)), input(ci.image(t), ci.attest(t, "https://example.com/t", "{}")), "an empty list of conditions")
	})
	t.Run("MessageWithVariable", func(t *testing.T) {
		p := mustLoad(t, ruled{conditions: "[{all: [{key: '{{ n }}', operator: Equals, value: 0, message: 'found {{ n }} of {{ request.namespace }}'}]}]"}.yaml(ci.pem))
		in := input(ci.image(t), ci.attest(t, "https://example.com/t", `{"n":3}`))
		in.Request = asked()
		denied(t, p, in, "found 3 of ml")
	})
}

// TestPredicateNeverHidesContext: not a name of the rule's context, of the
// request or of another attestation is answered for by what is signed, also
// where the policy's own value is missing.
func TestPredicateNeverHidesContext(t *testing.T) {
	ci := newSigner(t)
	forged := `{"allowed":["mallory"],"request":{"namespace":"prod"},"image":{"registry":"good.example.com"},"serviceAccountName":"admin","broken":"fine","reviewer":"mallory"}`
	for name, condition := range map[string]string{
		"variable":        `{key: "{{ reviewer }}", operator: AnyIn, value: "{{ allowed }}"}`,
		"broken variable": `{key: "{{ broken }}", operator: Equals, value: fine}`,
		"request":         `{key: "{{ request.namespace }}", operator: Equals, value: prod}`,
		"image":           `{key: "{{ image.registry }}", operator: Equals, value: good.example.com}`,
		"service account": `{key: "{{ serviceAccountName }}", operator: Equals, value: admin}`,
	} {
		for _, request := range []policy.Request{asked(), {}} {
			t.Run(fmt.Sprintf("%s, known %t", name, request.Known), func(t *testing.T) {
				p := mustLoad(t, ruled{rule: "context: [{name: allowed, variable: {value: [alice]}}, {name: broken, variable: {jmesPath: request.object.nothing}}]", conditions: "[{all: [" + condition + "]}]"}.yaml(ci.pem))
				in := input(ci.image(t), ci.attest(t, "https://example.com/t", forged))
				in.Request = request
				denied(t, p, in)
			})
		}
	}
}

// TestBypasses are ways around Kyverno's verifyImages that were published, as
// far as a policy engine has to do with them.
func TestBypasses(t *testing.T) {
	ci, other := newSigner(t), newSigner(t)
	const fine = `{"n":0}`
	p := mustLoad(t, ruled{conditions: "[{all: [{key: '{{ n }}', operator: Equals, value: 0}]}]"}.yaml(ci.pem))
	signature, attestation := ci.image(t), ci.attest(t, "https://example.com/t", fine)
	allowed(t, p, input(signature, attestation))
	t.Run("CVE-2022-35930 attestation of another type", func(t *testing.T) {
		denied(t, p, input(signature, ci.attest(t, "https://example.com/other", fine)))
	})
	t.Run("kyverno 4668 attestors and attestations", func(t *testing.T) {
		denied(t, p, input(other.image(t), attestation))
		denied(t, p, input(signature, other.attest(t, "https://example.com/t", fine)))
	})
	t.Run("CVE-2022-47633 another digest", func(t *testing.T) {
		in := input(signature, attestation)
		in.Scopes[0].Subjects = []subject.Digest{subject.Of([]byte("what runs instead"))}
		denied(t, p, in)
	})
	t.Run("kyverno 4116 an older failing scan", func(t *testing.T) {
		p := mustLoad(t, withKey(file(t, "pandas.yaml"), ci.pem))
		bad, good := ci.attest(t, vulnType, report(monday, "", critical)), ci.attest(t, vulnType, report(tuesday, ""))
		allowed(t, p, input(signature, bad, good))
		denied(t, p, input(signature, ci.attest(t, vulnType, report(tuesday, "", critical)), ci.attest(t, vulnType, report(monday, ""))))
	})
	t.Run("kyverno 4116 as in Kyverno", func(t *testing.T) {
		annotated := strings.Replace(withKey(file(t, "pandas.yaml"), ci.pem), "  annotations:\n", "  annotations:\n    assay.sh/every-attestation: \"true\"\n", 1)
		p := mustLoad(t, annotated)
		bad, good := ci.attest(t, vulnType, report(monday, "", critical)), ci.attest(t, vulnType, report(tuesday, ""))
		denied(t, p, input(signature, bad, good), "CVE-2023-47248")
		allowed(t, p, input(signature, ci.attest(t, vulnType, report(monday, "")), good))
	})
	t.Run("a pinned image escapes repo:*", func(t *testing.T) {
		tagged := mustLoad(t, strings.Replace(ruled{}.yaml(ci.pem), `["*"]`, `["registry.example.com/ml/pandas-processor:*"]`, 1))
		in := input()
		in.Image.Pinned = true
		if !tagged.Match(in.Image, policy.Request{}) {
			t.Error("a tag beside a digest escapes")
		}
		exempt := mustLoad(t, strings.Replace(ruled{}.yaml(ci.pem), `["*"]`, "[\"*\"]\n      skipImageReferences: [\"*:v1\"]", 1))
		denied(t, exempt, in)
	})
	t.Run("kyverno 16336 an annotation that says verified", func(t *testing.T) {
		in := input()
		in.Request = asked()
		in.Request.Object = map[string]any{"metadata": map[string]any{"name": "web-1", "annotations": map[string]any{
			"kyverno.io/verify-images": `{"registry.example.com/ml/pandas-processor:v1":"pass"}`}}}
		denied(t, p, in)
	})
	t.Run("kyverno 16275 ephemeral containers", func(t *testing.T) {
		in := asked()
		in.Operation, in.Path = "UPDATE", "spec.ephemeralContainers[0].image"
		if !p.Match(image, in) {
			t.Error("an image that is added later is not judged")
		}
	})
	t.Run("an update of what was verified", func(t *testing.T) {
		in := input()
		in.Request = asked()
		in.Request.Operation, in.Request.Old = "UPDATE", pod
		denied(t, p, in)
	})
	t.Run("kyverno 17173 freshness is asked each time", func(t *testing.T) {
		p := mustLoad(t, ruled{conditions: `[{all: [{key: "{{ time_since('','{{ t }}','') }}", operator: LessThan, value: 24h}]}]`}.yaml(ci.pem))
		in := input(signature, ci.attest(t, "https://example.com/t", `{"t":"`+now.Add(-23*time.Hour).Format(time.RFC3339)+`"}`))
		allowed(t, p, in)
		in.Now = now.Add(2 * time.Hour)
		denied(t, p, in)
	})
}

func TestDeny(t *testing.T) {
	ci, other := newSigner(t), newSigner(t)
	text := func(deny string) string {
		return fmt.Sprintf(`apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences: ["*"]
      attestations:
      - {name: built, type: https://example.com/built, attestors: [{entries: [%[1]s]}]}
      - {name: scanned, type: https://example.com/scanned, attestors: [{count: 1, entries: [%[1]s, %[2]s]}]}
      validate:
        message: "built from {{ built.commit }}, scanned {{ scanned.commit }}"
        deny: {conditions: %[3]s}
`, ci.entry(), other.entry(), deny)
	}
	p := mustLoad(t, text(`{any: [{key: "{{ built.commit }}", operator: NotEquals, value: "{{ scanned.commit }}"}]}`))
	built, scanned := ci.attest(t, "https://example.com/built", `{"commit":"a"}`), ci.attest(t, "https://example.com/scanned", `{"commit":"a"}`)
	allowed(t, p, input(built, scanned))
	denied(t, p, input(built, ci.attest(t, "https://example.com/scanned", `{"commit":"b"}`)), "built from a, scanned b", "validate.deny")
	denied(t, p, input(built), "an attestation of type https://example.com/scanned")
	denied(t, p, input(built, ci.attest(t, "https://example.com/scanned", `{}`)), "Outcome:broken")
	denied(t, p, input(built, ci.attest(t, "https://example.com/scanned", `{"built":{"commit":"a"},"commit":"b"}`)), "scanned b")
	// Each of two that have no time counts: none is newer.
	denied(t, p, input(built, scanned, ci.attest(t, "https://example.com/scanned", `{"commit":"c"}`)), "scanned c")

	// What cannot be told is denied, though Kyverno would find nothing to deny.
	for _, doubtful := range []string{
		`{all: [{key: "{{ scanned.licences }}", operator: AllNotIn, value: [MIT]}]}`,
		`{all: [{key: "{{ scanned.licences }}", operator: GreaterThan, value: 1}]}`,
		`[{key: "{{ scanned.nothing }}", operator: Equals, value: 1}]`,
	} {
		denied(t, mustLoad(t, text(doubtful)), input(built, ci.attest(t, "https://example.com/scanned", `{"licences":[]}`)))
	}
	allowed(t, mustLoad(t, text(`{all: [{key: "{{ scanned.nothing }}", operator: Equals, value: 1}, {key: a, operator: Equals, value: b}]}`)), input(built, scanned))
	for _, empty := range []string{"{any: []}", "[]"} {
		if _, err := load(text(empty)); err == nil || !strings.Contains(err.Error(), "a list without conditions") {
			t.Errorf("%s: %v", empty, err)
		}
	}
	t.Run("earlier attestations have names", func(t *testing.T) {
		content := strings.Replace(text(`{any: [{key: a, operator: Equals, value: b}]}`), "type: https://example.com/scanned,", `type: https://example.com/scanned, conditions: [{all: [{key: "{{ commit }}", operator: Equals, value: "{{ built.commit }}"}]}],`, 1)
		p := mustLoad(t, content)
		allowed(t, p, input(built, scanned))
		denied(t, p, input(built, ci.attest(t, "https://example.com/scanned", `{"commit":"b","built":{"commit":"b"}}`)))
		denied(t, p, input(scanned), "is not one attestation")
	})
	t.Run("only a record", func(t *testing.T) {
		audit := mustLoad(t, strings.Replace(text(`{any: [{key: "{{ built.commit }}", operator: NotEquals, value: "{{ scanned.commit }}"}]}`), "      validate:", "      failureAction: Audit\n      validate:", 1))
		for _, check := range judge(t, audit, input(built, ci.attest(t, "https://example.com/scanned", `{"commit":"b"}`))) {
			if check.Outcome == verdict.Failed && check.Action != verdict.AuditOnly {
				t.Errorf("%+v", check)
			}
		}
	})
}
