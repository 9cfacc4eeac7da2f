package lint_test

import (
	"testing"

	"github.com/seed-161fc314/assay/internal/engine/policy/lint"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// FuzzCheck holds the package to reading whatever is written, and to edits that
// leave a file that is read.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(broken))
	f.Add([]byte(healed))
	f.Add([]byte("apiVersion: assay.sh/v1alpha1\nkind: EvidencePolicy\nspec:\n  match: {images: [nginx, 1, {}], excludeImages: ['a*']}\n  signers: [1, {name: a, keys: [{publicKey: x}], identities: [{subjectRegexp: '('}]}]\n" +
		"  requirements: [{type: vuln, signers: [a], threshold: 2, checks: [{expr: 'predicate.a'}]}]\n  exceptions: [{expires: x}]\n"))
	f.Add([]byte("apiVersion: kyverno.io/v1\nkind: Policy\nspec:\n  rules:\n  - match: {ANY: [1]}\n    verifyImages: [{imageReferences: ['é:*'], attestations: [{conditions: [{ANY: [{key: a}], all: [1, null]}, 2]}], validate: {deny: {conditions: {Any: [1]}}}}, 3]\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		documents, err := strictyaml.Documents("p.yaml", content)
		if err != nil {
			return
		}
		for _, d := range documents {
			lint.Images(d)
			if !lint.IsPolicy(d) {
				continue
			}
			findings, err := lint.Check(d, content, lint.Config{Now: now, Images: []string{"a"}})
			if err != nil {
				continue
			}
			if _, err := lint.Wants(d); err != nil {
				t.Errorf("checked, but: %v", err)
			}
			findings, _ = lint.Ignored("p.yaml", content, findings)
			if _, _, err := lint.Fix("p.yaml", content, findings); err != nil {
				t.Logf("not fixed: %v", err)
			}
		}
	})
}
