//go:build interop

package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/interop/kube"
)

const evidencePolicies = "/apis/assay.sh/v1alpha1/evidencepolicies"

// fullPolicy uses every field there is.
const fullPolicy = `apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata: {name: full, labels: {team: platform}}
spec:
  match:
    images: ["registry.example.com/*"]
    excludeImages: [registry.example.com/debug/*]
    namespaces: ["prod-*"]
    namespaceSelector: {matchLabels: {tier: production}, matchExpressions: [{key: zone, operator: In, values: [a, b]}]}
    objectSelector: {matchExpressions: [{key: app, operator: Exists}]}
  action: Warn
  effectiveFrom: 2026-12-01T00:00:00Z
  effectiveUntil: "2027-12-01T00:00:00.5+02:00"
  allowSample: true
  signers:
  - name: ci
    keys:
    - {file: ci.pub, notBefore: 2026-01-01T00:00:00Z, notAfter: 2027-01-01T00:00:00Z}
    - {publicKey: "-----BEGIN PUBLIC KEY-----\n"}
    - {ref: k8s://assay/ci}
    - {certificate: "-----BEGIN CERTIFICATE-----\n"}
    identities:
    - {subject: ci@example.com, issuer: https://accounts.example.com, extensions: {sourceRepositoryRef: refs/heads/main}}
    - {subjectRegexp: .*@example\.com, issuerRegexp: https://.*, extensionRegexps: {buildTrigger: push|tag}}
    trustedRoot: root.json
    requireLog: true
    requireTimestamp: true
    insecureIgnoreLog: true
    insecureIgnoreSCT: true
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2027-01-01T00:00:00Z
  requirements:
  - name: scanned
    type: vuln
    signers: [ci]
    threshold: 1
    maxAge: 1h30m
    select: {which: All, tools: ["assay*"], expr: "true"}
    checks:
    - {name: none, expr: "findings.size() == 0", message: nothing may be found, remedy: upgrade}
    - {name: critical, deny: "findings.filter(f, f.severity == 'CRITICAL')"}
  exceptions:
  - {digests: ["sha256:00"], images: [registry.example.com/old], namespaces: [prod-old], requirements: [scanned/none], reason: moving, owner: platform, expires: 2027-01-01T00:00:00Z}
  onFault: {evidenceUnavailable: Warn}
`

// TestCRD: a real API server takes the definition and keeps what policies say;
// what has another shape it refuses, by the name of the field.
func TestCRD(t *testing.T) {
	definition, err := os.ReadFile("../../deploy/crd/assay.sh_evidencepolicies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := cluster(t)
	if err := c.Apply(t.Context(), definition); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var crd struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := c.Await(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/evidencepolicies.assay.sh", func(content []byte) bool {
		if err := json.Unmarshal(content, &crd); err != nil {
			return false
		}
		for _, condition := range crd.Status.Conditions {
			if condition.Type == "Established" && condition.Status == "True" {
				return true
			}
		}
		return false
	}); err != nil {
		t.Fatal(err)
	}
	for _, condition := range crd.Status.Conditions {
		if condition.Type == "NonStructuralSchema" && condition.Status == "True" {
			t.Fatalf("the schema is not structural: %s", condition.Message)
		}
	}
	if err := c.Await(ctx, evidencePolicies, func([]byte) bool { return true }); err != nil {
		t.Fatal(err)
	}
	t.Run("kept", func(t *testing.T) { policiesKept(t, c) })
	t.Run("refused", func(t *testing.T) { policiesRefused(t, c) })
}

func policiesKept(t *testing.T, c *kube.Cluster) {
	policies := map[string][]byte{"full": []byte(fullPolicy)}
	files, err := filepath.Glob("../../policies/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no policies (%v)", err)
	}
	for _, file := range files {
		if policies[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	applied := 0
	for name, content := range policies {
		documents, err := strictyaml.Documents(name, content)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range documents {
			if document.Field("kind") != v1alpha1.KindEvidencePolicy {
				continue
			}
			var wrote, read v1alpha1.EvidencePolicy
			if err := document.Decode(&wrote); err != nil {
				t.Fatal(err)
			}
			text, err := document.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if len(documents) == 1 {
				text = content
			}
			if err := c.Apply(t.Context(), text); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			kept, err := c.Do(t.Context(), http.MethodGet, evidencePolicies+"/"+wrote.Name, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := strictyaml.Decode(name, kept, &read); err != nil {
				t.Errorf("%s: what the server kept does not load: %v", name, err)
			}
			if diff := cmp.Diff(wrote.Spec, read.Spec); diff != "" || read.APIVersion != wrote.APIVersion || read.Kind != wrote.Kind {
				t.Errorf("%s: what the server kept is not what was applied:\n%s", name, diff)
			}
			if name == "full" {
				everyField(t, "spec", reflect.ValueOf(read.Spec))
			}
			applied++
		}
	}
	if applied < 2 {
		t.Errorf("only %d policies were applied", applied)
	}
}

// everyField says which fields nothing in the values sets.
func everyField(t *testing.T, at string, values ...reflect.Value) {
	var inside []reflect.Value
	for _, v := range values {
		switch {
		case v.Kind() == reflect.Pointer && !v.IsNil():
			inside = append(inside, v.Elem())
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				inside = append(inside, v.Index(i))
			}
		case v.Kind() == reflect.Struct:
			inside = append(inside, v)
		}
	}
	if len(inside) == 0 {
		return
	}
	if inside[0].Kind() != reflect.Struct {
		return
	}
	for i := range inside[0].NumField() {
		field, set := inside[0].Type().Field(i), []reflect.Value(nil)
		for _, v := range inside {
			if !v.Field(i).IsZero() {
				set = append(set, v.Field(i))
			}
		}
		if len(set) == 0 && !strings.HasPrefix(at, "spec.Match.ObjectSelector") {
			t.Errorf("the policy that uses every field does not use %s.%s", at, field.Name)
		}
		everyField(t, at+"."+field.Name, set...)
	}
}

func policiesRefused(t *testing.T, c *kube.Cluster) {
	twin := strings.Replace(fullPolicy, "name: full", "name: bad", 1)
	for name, bad := range map[string]struct{ old, new, want string }{
		"unknown field":           {"allowSample: true", "allowSamples: true", "spec.allowSamples"},
		"unknown field in a list": {"maxAge: 1h30m", "maxage: 1h30m", "spec.requirements[0].maxage"},
		"no such action":          {"action: Warn", "action: Deny", "spec.action"},
		"action in lower case":    {"action: Warn", "action: warn", "spec.action"},
		"no such selection":       {"which: All", "which: Oldest", "spec.requirements[0].select.which"},
		"a fault cannot be audit": {"evidenceUnavailable: Warn", "evidenceUnavailable: Audit", "spec.onFault.evidenceUnavailable"},
		"no such operator":        {"operator: In", "operator: Is", "spec.match.namespaceSelector.matchExpressions[0].operator"},
		"missing images":          {"    images: [\"registry.example.com/*\"]\n", "", "spec.match.images"},
		"empty images":            {`images: ["registry.example.com/*"]`, "images: []", "spec.match.images"},
		"missing owner":           {"owner: platform, ", "", "spec.exceptions[0].owner"},
		"missing type":            {"    type: vuln\n", "", "spec.requirements[0].type"},
		"empty signers":           {"signers: [ci]", "signers: []", "spec.requirements[0].signers"},
		"text for a number":       {"threshold: 1", `threshold: "1"`, "spec.requirements[0].threshold"},
		"negative number":         {"threshold: 1", "threshold: -1", "spec.requirements[0].threshold"},
		"text for a truth":        {"requireLog: true", `requireLog: "true"`, "spec.signers[0].requireLog"},
		"text for a list":         {"namespaces: [\"prod-*\"]", "namespaces: prod", "spec.match.namespaces"},
		"number in a map":         {"sourceRepositoryRef: refs/heads/main", "sourceRepositoryRef: 1", "spec.signers[0].identities[0].extensions.sourceRepositoryRef"},
		"duration in days":        {"maxAge: 1h30m", "maxAge: 7d", "spec.requirements[0].maxAge"},
		"negative duration":       {"maxAge: 1h30m", "maxAge: -1h", "spec.requirements[0].maxAge"},
		"date without a time":     {"effectiveFrom: 2026-12-01T00:00:00Z", `effectiveFrom: "2026-12-01"`, "spec.effectiveFrom"},
		"no date":                 {"expires: 2027-01-01T00:00:00Z", "expires: never", "spec.exceptions[0].expires"},
		"no date of a key":        {"{file: ci.pub, notBefore: 2026-01-01T00:00:00Z", "{file: ci.pub, notBefore: soon", "spec.signers[0].keys[0].notBefore"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(twin, bad.old, bad.new, 1)
			if text == twin {
				t.Fatalf("the policy does not have %q", bad.old)
			}
			err := c.Apply(t.Context(), []byte(text))
			var refused *kube.StatusError
			if !errors.As(err, &refused) || !strings.Contains(refused.Message, bad.want) {
				t.Errorf("want a refusal that names %s, found %v", bad.want, err)
			}
			if _, err := c.Do(t.Context(), http.MethodGet, evidencePolicies+"/bad", "", nil); !errors.As(err, &refused) || refused.Code != http.StatusNotFound {
				t.Errorf("the policy was kept: %v", err)
			}
		})
	}
	if err := c.Apply(t.Context(), []byte(twin)); err != nil {
		t.Errorf("what all of them differ from is refused, too: %v", err)
	}
	if _, err := c.Do(t.Context(), http.MethodDelete, evidencePolicies+"/bad", "", nil); err != nil {
		t.Error(err)
	}
}
