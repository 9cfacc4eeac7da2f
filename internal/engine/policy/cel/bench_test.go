package cel_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/predicate"
)

// BenchmarkJudge is a decision with three attestations and ten checks. With
// verifying, each run verifies the three signatures too; what judging adds is the
// difference to a policy without checks.
func BenchmarkJudge(b *testing.B) {
	p := newParty(b)
	bom := `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"numpy","version":"1.26.4","purl":"pkg:pypi/numpy@1.26.4","licenses":[{"license":{"id":"BSD-3-Clause"}}]}]}`
	in := input(p.attest(b, predicate.TypeCosignVuln, scan(time.Hour, "")), p.attest(b, predicate.TypeCycloneDX, bom), p.attest(b, predicate.TypeTestResult,
		`{"result":"PASSED","configuration":[{"name":"r","digest":{"sha256":"`+strings.Repeat("a", 64)+`"},"annotations":{"tests":12,"coverage":91.5}}]}`))
	requirement := func(kind string, checks ...string) string {
		text := "type: " + kind + "\nsigners: [ci]\n"
		if len(checks) > 0 {
			text += "checks:\n"
		}
		for i, c := range checks {
			text += fmt.Sprintf("- name: c%d\n  %s\n", i, c)
		}
		return text
	}
	all := func(vuln, sbom, tests []string) string {
		text := document(p, requirement("vuln", vuln...))
		text += "  - name: s\n" + indent(requirement("cyclonedx", sbom...), 4)
		return text + "  - name: t\n" + indent(requirement("test-result", tests...), 4)
	}
	for name, text := range map[string]string{
		"verify three": all(nil, nil, nil),
		"verify three and make ten checks": all(
			[]string{`deny: findings.atLeast("CRITICAL")`, `deny: findings.filter(f, f.severity == "HIGH").fixable()`, `expr: scan.scanner != ""`, `expr: claim.time > now - days(7)`},
			[]string{`deny: components.filter(c, !c.licenses.all(l, spdx.allows(["MIT", "BSD-3-Clause"], l)))`, `expr: components.size() > 0`, `deny: components.among(["pkg:pypi/colourama"])`},
			[]string{`expr: tests.result == "PASSED"`, `expr: tests.coverage >= 80.0`, `expr: tests.failed.size() == 0`}),
	} {
		policy := mustLoad(b, text)
		allowed(b, policy, in)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := policy.Judge(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
