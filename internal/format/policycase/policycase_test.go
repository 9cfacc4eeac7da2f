package policycase_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/format/policycase"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

func document(t testing.TB, text string) strictyaml.Document {
	t.Helper()
	documents, err := strictyaml.Documents("t.yaml", []byte(text))
	if err != nil || len(documents) != 1 {
		t.Fatalf("%d documents, %v", len(documents), err)
	}
	return documents[0]
}

const whole = `apiVersion: assay.sh/v1alpha1
kind: PolicyTest
metadata: {name: n}
policies: [p.yaml]
now: 2026-03-01T12:00:00Z
configMaps: [c.yaml]
cases:
- name: a
  image: registry.example.com/app:1
  evidence:
  - {signer: ci, type: vuln, predicate: {x: 1}}
  - {signer: ci, type: signature, annotations: {a: b}}
  - {signer: ci, statement: s.json}
  - {signer: ci, type: https://example.com/t, predicateFile: f.json, about: "sha256:0"}
  want: deny
  failed: [r/c]
  message: no
- name: b
  resource: pod.yaml
  want: allow
`

func TestDecode(t *testing.T) {
	test, err := policycase.Decode(document(t, whole))
	if err != nil {
		t.Fatal(err)
	}
	if !test.Clock.Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) || test.Cases[0].Line != 8 || test.Cases[1].Line != 18 {
		t.Errorf("%+v", test)
	}
	if e := test.Cases[0].Evidence; e[0].URI != predicate.TypeCosignVuln || string(e[0].Predicate) != `{"x":1}` || e[1].URI != predicate.TypeCosignSign || e[3].URI != "https://example.com/t" {
		t.Errorf("%+v", e)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"version":             {"assay.sh/v1alpha1", "assay.sh/v1", "t.yaml:1: apiVersion: want assay.sh/v1alpha1"},
		"no policies":         {"policies: [p.yaml]", "policies: []", "t.yaml:4: policies: is empty"},
		"time":                {"2026-03-01T12:00:00Z", "yesterday", `t.yaml:5: now: "yesterday" is no time`},
		"field":               {"want: allow", "wants: allow", "t.yaml:20: "},
		"decision":            {"want: allow", "want: pass", `t.yaml:20: cases[1].want: "pass": want one of allow, warn, deny, fault`},
		"name twice":          {"name: b", "name: a", "t.yaml:18: cases[1].name: want a name of its own"},
		"no image":            {"resource: pod.yaml", "message: x", "t.yaml:18: cases[1]: want an image or a resource"},
		"no signer":           {"{signer: ci, statement: s.json}", "{statement: s.json}", "t.yaml:13: cases[0].evidence[2]: the signer is missing"},
		"two bodies":          {"predicateFile: f.json", "predicateFile: f.json, predicate: {}", "want one of predicate, predicateFile and statement"},
		"type of a statement": {"statement: s.json", "statement: s.json, type: vuln", "a statement says its type"},
		"type":                {"type: vuln", "type: vlun", `type "vlun" is no predicate type`},
		"signed predicate":    {"type: signature,", "type: signature, predicate: {},", "a signature has no predicate"},
		"annotated":           {"predicate: {x: 1}", "annotations: {a: b}", "annotations are of signatures"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(whole, c.old, c.new, 1)
			if _, err := policycase.Decode(document(t, text)); text == whole || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := policycase.Decode(document(t, whole[:strings.Index(whole, "cases:")]+"cases: []\n")); err == nil || !strings.Contains(err.Error(), "a test without cases tests nothing") {
		t.Error(err)
	}
}

const kyvernoTest = `apiVersion: cli.kyverno.io/v1alpha1
kind: Test
metadata: {name: n}
policies: [p.yaml]
resources: [r.yaml]
results:
- {policy: p, rule: r, resources: [good, ns/other], kind: Pod, result: pass}
- {policy: p, rule: r, resource: bad, kind: Pod, status: fail}
`

func TestDecodeKyverno(t *testing.T) {
	d := document(t, kyvernoTest)
	test, err := policycase.DecodeKyverno(d)
	if err != nil || !policycase.IsKyverno(d) || policycase.Is(d) {
		t.Fatal(err)
	}
	if test.Name != "n" || test.Results[1].Result != "fail" || test.Results[1].Resources[0] != "bad" || test.Results[1].Line != 8 {
		t.Errorf("%+v", test)
	}
	old := document(t, strings.Replace(kyvernoTest, "apiVersion: cli.kyverno.io/v1alpha1\nkind: Test\nmetadata: {name: n}", "name: n", 1))
	if _, err := policycase.DecodeKyverno(old); err != nil || !policycase.IsKyverno(old) {
		t.Error(err)
	}
	for old, changed := range map[string][2]string{
		"result: pass":        {"result: fine", `t.yaml:7: results[0].result: "fine"`},
		"rule: r, resource:":  {"resource:", "t.yaml:8: results[1]: want policy, rule and resources"},
		"resources: [r.yaml]": {"resources: []", "t.yaml:5: resources: is empty"},
		"kind: Test":          {"kind: Tests", "t.yaml:1: apiVersion: want"},
		"policies: [p.yaml]":  {"policies: [p.yaml]\nvariables: v.yaml", "variables"},
	} {
		if _, err := policycase.DecodeKyverno(document(t, strings.Replace(kyvernoTest, old, changed[0], 1))); err == nil || !strings.Contains(err.Error(), changed[1]) {
			t.Errorf("%s: got %v, want %s", changed[0], err, changed[1])
		}
	}
}

const scenery = `apiVersion: assay.sh/v1alpha1
kind: PolicyEvidence
metadata: {name: n}
now: 2026-03-01T12:00:00Z
images:
- image: registry.example.com/app:1
  evidence: [{signer: ci, type: signature}]
`

func TestDecodeScenery(t *testing.T) {
	s, err := policycase.DecodeScenery(document(t, scenery))
	if err != nil || s.Clock.IsZero() || s.Images[0].Evidence[0].URI != predicate.TypeCosignSign {
		t.Fatalf("%+v, %v", s, err)
	}
	for old, changed := range map[string][2]string{
		"PolicyEvidence":                    {"PolicyTest", "want assay.sh/v1alpha1 and kind PolicyEvidence"},
		"2026-03-01T12:00:00Z":              {"now", "t.yaml:4: now:"},
		"image: registry.example.com/app:1": {"image: ''", "t.yaml:6: images[0]: the image is missing"},
		"signer: ci, ":                      {"", "t.yaml:7: images[0].evidence[0]: the signer is missing"},
	} {
		if _, err := policycase.DecodeScenery(document(t, strings.Replace(scenery, old, changed[0], 1))); err == nil || !strings.Contains(err.Error(), changed[1]) {
			t.Errorf("%s: got %v, want %s", changed[0], err, changed[1])
		}
	}
}

// FuzzDecode: what is read has what the runner relies on.
func FuzzDecode(f *testing.F) {
	f.Add(whole)
	f.Add(kyvernoTest)
	f.Add(scenery)
	f.Fuzz(func(t *testing.T, text string) {
		documents, err := strictyaml.Documents("t.yaml", []byte(text))
		if err != nil {
			return
		}
		for _, d := range documents {
			if test, err := policycase.Decode(d); err == nil {
				for _, c := range test.Cases {
					if c.Name == "" || c.Want == "" || c.Image == "" && c.Resource == "" {
						t.Errorf("accepted %+v", c)
					}
				}
			}
			if test, err := policycase.DecodeKyverno(d); err == nil && (len(test.Policies) == 0 || len(test.Results) == 0 || len(test.Results[0].Resources) == 0) {
				t.Errorf("accepted %+v", test)
			}
			if s, err := policycase.DecodeScenery(d); err == nil && len(s.Images) > 0 && s.Images[0].Image == "" {
				t.Errorf("accepted %+v", s)
			}
		}
	})
}
