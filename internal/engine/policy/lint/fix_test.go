package lint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/engine/policy/lint"
)

// broken has one thing wrong for each change that Fix makes, and comments that
// must stay.
const broken = `# head
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  rules:
  - name: r   # the rule
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences:
      - "registry.example.com/app:*" # all tags
      - nginx*
      failureAction: Enforce
      attestations:
      - predicateType: https://slsa.dev/provenance/v0.2 # old
        attestors:
        - entries:
          - keyless:
              issuer: https://token.actions.githubusercontent.com/
              subjectRegExp: "https://github.com/org/.*"
        conditions:
        - all:
          - key: "{{ predicate.builder.id }}"
            operator: Equals
            value: https://ci.example.com
          - {key: "{{ metadata.reproducible }}", operator: NotIn, value: [a]}
`

const healed = `# head
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  rules:
  - name: r   # the rule
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences:
      - "registry.example.com/app:*" # all tags
      - "registry.example.com/app@*"
      - docker.io/nginx*
      failureAction: Enforce
      attestations:
      - type: https://slsa.dev/provenance/v0.2 # old
        attestors:
        - entries:
          - keyless:
              issuer: https://token.actions.githubusercontent.com
              subjectRegExp: "^https://github\\.com/org/.*"
        conditions:
        - all:
          - key: "{{ builder.id }}"
            operator: Equals
            value: https://ci.example.com
          - {key: "{{ metadata.reproducible }}", operator: NotIn, value: [a]}
`

func TestFix(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		text := strings.ReplaceAll(broken, "\n", end)
		for range 3 {
			fixed, done, err := lint.Fix("p.yaml", []byte(text), check(t, text, nil))
			if err != nil {
				t.Fatal(err)
			}
			if len(done) == 0 && string(fixed) != text {
				t.Error("a text was changed and nothing healed")
			}
			text = string(fixed)
		}
		if want := strings.ReplaceAll(healed, "\n", end); text != want {
			t.Errorf("fixed is\n%s, want\n%s", text, want)
		}
	}
}

func TestFixLeavesWhatIsRight(t *testing.T) {
	for _, text := range []string{kyvernoPolicy(t), nativePolicy(t)} {
		fixed, done, err := lint.Fix("p.yaml", []byte(text), check(t, text, nil))
		if err != nil || len(done) > 0 || string(fixed) != text {
			t.Errorf("a good policy was changed: %v, %d", err, len(done))
		}
	}
}

func TestFixRefuses(t *testing.T) {
	for name, edit := range map[string]lint.Edit{
		"another text":    {Line: 2, Column: 1, Old: "nothing", New: "x"},
		"no line":         {Line: 99, Column: 1, Old: "a", New: "x"},
		"not YAML":        {Line: 2, Column: 1, Old: "apiVersion", New: "{"},
		"two documents":   {Line: 2, New: "---"},
		"before a column": {Line: 2, Column: 99, Old: "apiVersion", New: "x"},
	} {
		if fixed, _, err := lint.Fix("p.yaml", []byte(healed), []lint.Finding{{Edits: []lint.Edit{edit}}}); err == nil {
			t.Errorf("%s: no error, but\n%s", name, fixed)
		}
	}
}

func TestIgnored(t *testing.T) {
	good := kyvernoPolicy(t)
	for name, test := range map[string]struct{ comment, want string }{
		"at the line": {"failureAction: Audit # assay:ignore never-enforced a trial until June", ""},
		"above":       {"# assay:ignore never-enforced a trial until June\n      failureAction: Audit", ""},
		"no reason":   {"failureAction: Audit # assay:ignore never-enforced", "ignore-reason"},
		"no rule":     {"failureAction: Audit # assay:ignore never-ever because", "ignore-reason"},
		"another":     {"failureAction: Audit # assay:ignore opt-in because", "ignore-unused"},
		"elsewhere":   {"failureAction: Audit\n      # assay:ignore never-enforced because", "ignore-unused"},
	} {
		text := changed(t, good, "failureAction: Enforce", test.comment)
		findings, ignored := lint.Ignored("p.yaml", []byte(text), check(t, text, nil))
		found := ids(findings)
		if (ignored == 1) != (test.want == "") || slices.Contains(found, "never-enforced") != (test.want != "") {
			t.Errorf("%s: %d are ignored, and left are %q", name, ignored, found)
		}
		if test.want != "" && !slices.Contains(found, test.want) {
			t.Errorf("%s: found are %q, want %s", name, found, test.want)
		}
	}
}

func TestFixGoesOnUntilNothingIsLeft(t *testing.T) {
	text := changed(t, changed(t, kyvernoPolicy(t), "?Severity=='CRITICAL'", "?Severity=='Critical'"), "{{ scanner.result", "{{ predicate.scanner.result")
	text = changed(t, text, "https://cosign.sigstore.dev/attestation/vuln/v1", "vuln")
	for range 4 {
		fixed, _, err := lint.Fix("p.yaml", []byte(text), check(t, text, nil))
		if err != nil {
			t.Fatal(err)
		}
		text = string(fixed)
	}
	for _, want := range []string{"{{ scanner.result.Results[].Vulnerabilities[?Severity=='CRITICAL'][]", "type: https://cosign.sigstore.dev/attestation/vuln/v1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
}
