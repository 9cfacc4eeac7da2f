package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/policycase"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// TestDocumentedPolicy: the policy of docs/policies.md that has all fields loads
// and decides as it says.
func TestDocumentedPolicy(t *testing.T) {
	content, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(content), "## All fields\n\n")
	if !found {
		t.Fatal("docs/policies.md has no section on all fields")
	}
	var document strings.Builder
	for line := range strings.Lines(after) {
		text, inside := strings.CutPrefix(line, "    ")
		if !inside {
			break
		}
		document.WriteString(text)
	}
	h := newHouse(t)
	h.write("policy.yaml", []byte(document.String()))
	h.write("policy-test.yaml", []byte(`apiVersion: assay.sh/v1alpha1
kind: PolicyTest
metadata: {name: documented}
policies: [policy.yaml]
now: 2026-12-24T12:00:00Z
cases:
- {name: nothing, image: registry.example.com/app:1, want: deny, failed: [scanned]}
- {name: excepted in part, image: registry.example.com/legacy/app:1, want: deny, failed: [scanned]}
- {name: another registry, image: example.org/app:1, want: deny, message: no policy judges}
`))
	h.want(0, []string{"3 passed, 0 failed"}, "policy", "test", "policy-test.yaml")
}

// TestReadyPolicies: the policies that people copy pass their own tests and lint,
// and each has a test that it allows, one without evidence and one by a stranger.
func TestReadyPolicies(t *testing.T) {
	dir, err := filepath.Abs("../../policies")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	h.want(0, []string{" passed, 0 failed", "!FAIL"}, "policy", "test", dir)
	h.want(0, []string{"nothing found"}, "policy", "lint", dir)
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		base, isTest := strings.CutSuffix(file, "-test.yaml")
		if !isTest {
			continue
		}
		if _, err := os.Stat(base + ".yaml"); err != nil {
			t.Error(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents, err := strictyaml.Documents(file, content)
		if err != nil || len(documents) != 1 {
			t.Fatalf("%s: %d documents, %v", file, len(documents), err)
		}
		test, err := policycase.Decode(documents[0])
		if err != nil {
			t.Fatal(err)
		}
		allow, bare, stranger := false, false, false
		for _, c := range test.Cases {
			allow = allow || c.Want == "allow"
			bare = bare || c.Want == "deny" && len(c.Evidence) == 0
			stranger = stranger || c.Want == "deny" && len(c.Evidence) == 1 && c.Evidence[0].Signer == "mallory"
		}
		if !allow || !bare || !stranger {
			t.Errorf("%s: allows: %v, without evidence: %v, by a stranger: %v", file, allow, bare, stranger)
		}
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "-test.yaml") && filepath.Base(file) != "model-pod.yaml" {
			if _, err := os.Stat(strings.TrimSuffix(file, ".yaml") + "-test.yaml"); err != nil {
				t.Error(err)
			}
		}
	}
}
