package cel_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/predicate"
)

// three is a policy of three requirements with ten checks.
func three(p party) string {
	return document(p, `type: vuln
signers: [ci]
maxAge: 168h
checks:
- {name: critical, deny: 'findings.atLeast("CRITICAL")'}
- {name: fixable, deny: 'findings.atLeast("HIGH").fixable().except(["CVE-2020-1"])'}
- {name: kev, expr: '!findings.exists(f, f.knownExploited)'}
- {name: tested, expr: 'scan.packages > 5 && size(scan.unresolved) == 0'}`) + `  - name: sbom
    type: cyclonedx
    signers: [ci]
    checks:
    - {name: banned, deny: 'components.among(["pkg:pypi/pycrypto", "pkg:deb/debian/telnet"])'}
    - {name: licences, expr: 'components.all(c, c.licenses.all(l, spdx.allows(["MIT", "Apache-2.0"], l)))'}
    - {name: distribution, expr: 'components.exists(c, c.type == "operating-system" && c.name == "debian")'}
  - name: built
    type: provenance
    signers: [ci]
    checks:
    - {name: builder, expr: 'provenance.builder == "https://example.com/b"'}
    - {name: source, expr: 'provenance.sources.all(s, s.uri == "https://github.com/example/app" && s.ref == "refs/heads/main")'}
    - {name: recent, expr: 'now - claim.time < days(30)'}
`
}

func threePieces(t testing.TB, p party, components int) policy.Input {
	more := strings.Repeat(`,{"type":"library","name":"numpy","version":"1.26.4","purl":"pkg:pypi/numpy@1.26.4","licenses":[{"license":{"id":"MIT"}}]}`, components)
	return input(p.attest(t, predicate.TypeCosignVuln, scan(time.Hour, "", low)),
		p.attest(t, predicate.TypeCycloneDX, strings.TrimSuffix(sbom, "]}")+more+"]}"),
		p.attest(t, predicate.TypeProvenanceV1, `{"buildDefinition":{"buildType":"t","externalParameters":{},"resolvedDependencies":[{"uri":"git+https://github.com/example/app@refs/heads/main","digest":{"gitCommit":"abc"}}]},
			"runDetails":{"builder":{"id":"https://example.com/b"},"metadata":{"finishedOn":"`+now.Add(-time.Hour).Format(time.RFC3339)+`"}}}`))
}

// BenchmarkComponents judges an SBOM by three checks, with everything that a
// door does for it once it has the evidence.
func BenchmarkComponents(b *testing.B) {
	ci := newParty(b)
	p := mustLoad(b, three(ci))
	for _, components := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(components), func(b *testing.B) {
			in := threePieces(b, ci, components)
			allowed(b, p, in)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Judge(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecide makes the ten checks on evidence that is verified and read.
func BenchmarkDecide(b *testing.B) {
	ci := newParty(b)
	p := mustLoad(b, three(ci))
	decide := cel.Decide(b, p, threePieces(b, ci, 0))
	made := decide()
	for _, c := range made {
		if c.Outcome != verdict.Passed {
			b.Fatalf("%+v", c)
		}
	}
	if len(made) != 10 {
		b.Fatalf("%d checks", len(made))
	}
	b.ReportAllocs()
	for b.Loop() {
		decide()
	}
}

// BenchmarkLoad loads the policy: what a door does once.
func BenchmarkLoad(b *testing.B) {
	ci := newParty(b)
	text := three(ci)
	for b.Loop() {
		mustLoad(b, text)
	}
}
