package cel_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/predicate"
)

// asking writes a policy with one check of a type.
func asking(p party, kind, expr string) string {
	return document(p, fmt.Sprintf("type: %s\nsigners: [ci]\nchecks:\n- name: c\n  expr: >-\n    %s", kind, expr))
}

const sbom = `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"2026-03-01T11:00:00Z"},"components":[
	{"type":"library","name":"Flask_Login","version":"0.6.3","purl":"pkg:pypi/flask-login@0.6.3","licenses":[{"expression":"MIT OR GPL-3.0-only"}]},
	{"type":"library","name":"openssl","version":"3.0.11-1~deb12u2","purl":"pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64","licenses":[{"license":{"id":"Apache-2.0"}}]},
	{"type":"operating-system","name":"debian","version":"12"}]}`

// TestFunctions: what each function of ours says, and where it does not
// evaluate.
func TestFunctions(t *testing.T) {
	ci := newParty(t)
	evidence := ci.attest(t, predicate.TypeCycloneDX, sbom)
	for expr, want := range map[string]string{
		`days(7) == duration("168h")`:                                                        "",
		`now - claim.time < days(1)`:                                                         "",
		`now - claim.time > days(1)`:                                                         "does not hold",
		`days(100000) > days(1)`:                                                             "want -36500 to 36500",
		`glob("registry.example.com/*", image.reference)`:                                    "",
		`glob("other.example.com/*", image.reference)`:                                       "does not hold",
		`version.compare("pypi", "1.0rc1", "1.0") == -1`:                                     "",
		`version.compare("pypi", "1.0rc1", "1.0") >= 0`:                                      "does not hold",
		`version.compare("deb", "3.0.11-1~deb12u2", "3.0.11-1") < 0`:                         "",
		`version.compare("apk", "3.1.4-r5", "3.1.4-r10") < 0`:                                "",
		`version.compare("rpm", "1:1.0-1", "2.0-1") == 1`:                                    "",
		`version.compare("semver", "v1.10.0", "1.9.0") > 0`:                                  "",
		`version.compare("semver", "1.x", "1.9.0") > 0`:                                      "is no version of semver",
		`version.compare("pypi", components[0].name, "1") > 0`:                               "is no version of pypi",
		`version.within("2.31.0", ">=2.20,<3")`:                                              "",
		`version.within("3.0", ">=2.20,<3")`:                                                 "does not hold",
		`components.all(c, c.licenses.all(l, spdx.allows(["MIT", "Apache-2.0"], l)))`:        "",
		`components.all(c, c.licenses.all(l, spdx.allows(["MIT"], l)))`:                      "does not hold",
		`spdx.identifiers("MIT OR GPL-3.0+") == ["MIT", "GPL-3.0-or-later"]`:                 "",
		`spdx.identifiers("BSD") == []`:                                                      "is no licence of the SPDX list",
		`spdx.valid("MIT AND BSD-3-Clause") && !spdx.valid("BSD")`:                           "",
		`purl("pkg:pypi/torch@2.1?x=y").name == "torch" && purl("pkg:pypi/a").version == ""`: "",
		`purl("pkg:deb/debian/a@1?arch=amd64").qualifiers.arch == "amd64"`:                   "",
		`purl("torch").name == "torch"`:                                                      "is no package URL",
		`purl.valid("pkg:pypi/torch") && !purl.valid("torch")`:                               "",
		`purl.covers("pkg:pypi/Flask.Login", components[0].purl)`:                            "",
		`purl.covers("pkg:pypi/flask-login@0.6.3", components[0].purl)`:                      "",
		`purl.covers("pkg:pypi/flask-login@0.6.4", components[0].purl)`:                      "does not hold",
		`purl.covers("pkg:npm/flask-login", components[0].purl)`:                             "does not hold",
		`size(components.among(["pkg:pypi/flask-login", "pkg:deb/debian/telnet"])) == 1`:     "",
		`size(components.among(["pkg:deb/ubuntu/openssl"])) == 0`:                            "",
		// Kubernetes' libraries.
		`semver("1.20.3").isGreaterThan(semver("1.9.0"))`:                          "",
		`quantity("1Gi").isLessThan(quantity("2G"))`:                               "",
		`url("https://example.com:80/x").getHost() == "example.com:80"`:            "",
		`isIP("10.0.0.1") && cidr("10.0.0.0/8").containsIP("10.0.0.1")`:            "",
		`[1, 2, 3].sum() == 6 && [3, 1].max() == 3`:                                "",
		`"abc 123".find("[0-9]+") == "123"`:                                        "",
		`!format.dns1123Label().validate("my-name").hasValue()`:                    "",
		`components.exists(c, c.type == "operating-system" && c.name == "debian")`: "",
		`{"a": 1}.all(k, v, v == 1)`:                                               "",
	} {
		p, err := load(asking(ci, "cyclonedx", expr))
		if err != nil {
			t.Errorf("%s: %v", expr, err)
		} else if want == "" {
			t.Run(expr, func(t *testing.T) { allowed(t, p, input(evidence)) })
		} else {
			t.Run(expr, func(t *testing.T) { denied(t, p, input(evidence), want) })
		}
	}
}

func TestFindingFunctions(t *testing.T) {
	ci := newParty(t)
	evidence := ci.attest(t, predicate.TypeCosignVuln, scan(time.Hour, "", low, critical, unfixed))
	for deny, want := range map[string]string{
		`findings.atLeast("HIGH").fixable().except(["cve-2023-47248"])`: "",
		`findings.atLeast("HIGH").fixable()`:                            "CVE-2023-47248 (CRITICAL) pyarrow",
		`findings.atLeast("HIGH").except(["CVE-2023-47248"])`:           "CVE-2024-1 (CRITICAL)",
		`findings.filter(f, f.is("CVE-2024-1") && f.fixed != "")`:       "",
		`findings.filter(f, f.is("cve-2024-1"))`:                        "CVE-2024-1",
	} {
		p := mustLoad(t, document(ci, "type: vuln\nsigners: [ci]\nchecks:\n- name: c\n  deny: "+deny))
		if want == "" {
			allowed(t, p, input(evidence))
		} else if c := denied(t, p, input(evidence), want); strings.Contains(deny, "fixable") != (c.Remedy != "") {
			t.Errorf("%s: remedy %q", deny, c.Remedy)
		}
	}
}

func TestProvenanceAndTests(t *testing.T) {
	ci := newParty(t)
	provenance := `{"buildDefinition":{"buildType":"https://example.com/t","externalParameters":{},"resolvedDependencies":[{"uri":"git+https://github.com/example/app@refs/heads/%s","digest":{"gitCommit":"abc"}}]},"runDetails":{"builder":{"id":"https://example.com/b"}}}`
	p := mustLoad(t, asking(ci, "provenance", `provenance.builder == "https://example.com/b" && size(provenance.sources) > 0 && provenance.sources.all(s, s.uri == "https://github.com/example/app" && s.ref == "refs/heads/main" && s.commit != "")`))
	allowed(t, p, input(ci.attest(t, predicate.TypeProvenanceV1, fmt.Sprintf(provenance, "main"))))
	denied(t, p, input(ci.attest(t, predicate.TypeProvenanceV1, fmt.Sprintf(provenance, "feature"))), "does not hold")
	denied(t, p, input(ci.attest(t, predicate.TypeProvenanceV1, `{"runDetails":{"builder":{"id":"https://example.com/b"}}}`)), "does not hold")
	denied(t, p, input(ci.attest(t, predicate.TypeProvenanceV1, `{"buildDefinition":{"resolvedDependencies":{}}}`)), "Name:readable")

	p = mustLoad(t, asking(ci, "test-result", `tests.result == "PASSED" && tests.count > 0 && tests.coverage >= 80.0`))
	result := `{"result":"PASSED","configuration":[{"name":"junit.xml","annotations":{"tests":12}},{"name":"a.xml","annotations":{"coverage":91.5}},{"name":"b.xml","annotations":{"coverage":%s}}]}`
	allowed(t, p, input(ci.attest(t, predicate.TypeTestResult, fmt.Sprintf(result, "80"))))
	denied(t, p, input(ci.attest(t, predicate.TypeTestResult, fmt.Sprintf(result, "79.9"))), "tests.coverage is 79.9")
	denied(t, p, input(ci.attest(t, predicate.TypeTestResult, `{"result":"PASSED","configuration":[]}`)), "tests.count is -1")
}

func TestSelect(t *testing.T) {
	ci := newParty(t)
	trivy := func(age time.Duration, vulnerabilities ...string) trust.Evidence {
		return ci.attest(t, predicate.TypeCosignVuln, strings.Replace(scan(age, "", vulnerabilities...), "scanner.example.com", "trivy.dev", 1))
	}
	mine := func(age time.Duration, vulnerabilities ...string) trust.Evidence {
		return ci.attest(t, predicate.TypeCosignVuln, scan(age, "", vulnerabilities...))
	}
	with := func(selection string) policy.Policy {
		return mustLoad(t, document(ci, "type: vuln\nsigners: [ci]\nselect: "+selection+"\nchecks:\n- {name: c, deny: findings}"))
	}
	t.Run("newest for each tool", func(t *testing.T) {
		allowed(t, with("{}"), input(mine(time.Hour, low), mine(0), trivy(0)))
		denied(t, with("{}"), input(mine(0), trivy(time.Hour, low)), "CVE-2021-34141")
	})
	t.Run("all", func(t *testing.T) {
		denied(t, with("{which: All}"), input(mine(time.Hour, low), mine(0)), "CVE-2021-34141")
		allowed(t, with("{which: All}"), input(mine(time.Hour), mine(0)))
	})
	t.Run("by tool", func(t *testing.T) {
		allowed(t, with("{tools: ['https://scanner.*']}"), input(mine(0), trivy(0, low)))
		denied(t, with("{tools: ['https://trivy.*']}"), input(mine(0), trivy(0, low)), "CVE-2021-34141")
		denied(t, with("{tools: ['https://other.*']}"), input(mine(0), trivy(0)), "Found:none; select leaves out 2 pieces of this type")
	})
	t.Run("by expression", func(t *testing.T) {
		p := with(`{expr: 'scan.packages >= 7 && claim.tool.startsWith("https://scanner")'}`)
		allowed(t, p, input(mine(0), trivy(0, low)))
		denied(t, p, input(mine(0, low), trivy(0)), "CVE-2021-34141")
		denied(t, p, input(trivy(0)), "Found:none; select leaves out 1 piece")
	})
	t.Run("what cannot be evaluated is not left out", func(t *testing.T) {
		c := denied(t, with("{expr: 'predicate.metadata.team == \"a\"'}"), input(mine(0)), "Name:select", "no such key: team")
		if c.Outcome != verdict.Broken {
			t.Errorf("outcome %s", c.Outcome)
		}
		denied(t, with("{expr: predicate.scanner.uri}"), input(mine(0)), "Name:select", "not true or false")
		denied(t, with("{expr: 'scan.packages > 0'}"), input(ci.attest(t, predicate.TypeCosignVuln, `{"scanner":{}}`)), "Name:select")
	})
	t.Run("the old one is chosen before the newest", func(t *testing.T) {
		old := ci.attest(t, predicate.TypeCosignVuln, strings.Replace(scan(time.Hour, "", low), `"uri":""`, `"uri":"release"`, 1))
		p := with(`{expr: 'predicate.invocation.uri == "release"'}`)
		denied(t, p, input(old, mine(0)), "CVE-2021-34141")
	})
}

// TestAllEvidence: a check that is about all evidence is made once.
func TestAllEvidence(t *testing.T) {
	ci := newParty(t)
	mine := ci.attest(t, predicate.TypeCosignVuln, scan(0, ""))
	trivy := ci.attest(t, predicate.TypeCosignVuln, strings.Replace(scan(0, "", low), "scanner.example.com", "trivy.dev", 1))
	p := mustLoad(t, asking(ci, "vuln", `size(evidence.map(e, e.claim.tool).distinct()) >= 2 && evidence.all(e, size(e.findings) < 2) && predicates.all(p, has(p.scanner))`))
	checks := allowed(t, p, input(mine, trivy))
	last := checks[len(checks)-1]
	if last.Name != "c" || len(last.Evidence) != 2 {
		t.Errorf("the check has %d pieces of evidence: %+v", len(last.Evidence), last)
	}
	denied(t, p, input(mine), "does not hold")
	denied(t, p, input(mine, ci.attest(t, predicate.TypeCosignVuln, `{"scanner":{"uri":"https://trivy.dev"}}`)), "Name:readable")
	if p, err := load(asking(ci, "vuln", "evidence.all(e, e.claim.tol != '')")); err == nil {
		t.Errorf("a misspelt field loads: %s", p.Name())
	}
}

func TestClaimAndRequest(t *testing.T) {
	ci := newParty(t)
	in := input(ci.attest(t, predicate.TypeCosignVuln, scan(0, "")))
	in.Request = policy.Request{Known: true, Operation: "CREATE", Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "prod", Name: "web", Path: "spec.containers[0].image",
		NamespaceLabels: map[string]string{"env": "prod"}, User: policy.User{Name: "argocd", Groups: []string{"system:serviceaccounts"}},
		Object: map[string]any{"spec": map[string]any{"replicas": 2.0}}, Pod: map[string]any{"spec": map[string]any{"serviceAccountName": "web"}}}
	holds := fmt.Sprintf(`claim.signer == "ci" && claim.key == %q && claim.subjects == [image.digest] && claim.digest != "" && claim.subject == "" && claim.logs == [] && has(claim.time)`, ci.id.String())
	for expr, want := range map[string]bool{
		holds: true, "!(" + holds + ")": false,
		`request.user.name == "argocd" && "system:serviceaccounts" in request.user.groups && request.namespaceLabels["env"] == "prod"`: true,
		`request.user.name == "somebody"`: false,
		`request.group == "apps" && request.kind == "Deployment" && request.operation == "CREATE" && request.path.startsWith("spec.")`: true,
		`object.spec.replicas == 2 && pod.spec.serviceAccountName == "web" && oldObject == {}`:                                         true,
		`has(object.spec.template)`: false,
	} {
		p := mustLoad(t, asking(ci, "vuln", expr))
		if want {
			allowed(t, p, in)
		} else {
			denied(t, p, in, "does not hold")
		}
	}
	denied(t, mustLoad(t, asking(ci, "vuln", `object.spec.replicas == 2`)), input(ci.attest(t, predicate.TypeCosignVuln, scan(0, ""))), "no such key: spec")
}

// TestImageConfig: the configuration of the image is asked for where a check
// looks at it, and nowhere else; without it nothing is judged.
func TestImageConfig(t *testing.T) {
	ci := newParty(t)
	config := func(user string, labels map[string]string) policy.Input {
		return policy.Input{Image: image, Now: now, Scopes: []policy.Scope{{Platform: "linux/amd64", Subjects: []subject.Digest{digest},
			Evidence: []trust.Evidence{ci.image(t)}, Config: &policy.ImageConfig{OS: "linux", User: user, Labels: labels}}}}
	}
	p := mustLoad(t, asking(ci, "signature", `!(image.config.user in ["", "0", "root"]) && image.labels["team"] == "ml" && image.config.os == "linux" && image.platform == "linux/amd64"`))
	if !p.(policy.Inspector).Inspects() {
		t.Error("a policy that looks at the configuration does not say so")
	}
	allowed(t, p, config("app", map[string]string{"team": "ml"}))
	denied(t, p, config("root", map[string]string{"team": "ml"}), `image.config.user is "root"`)
	denied(t, p, config("app", map[string]string{"team": "web"}), "does not hold")
	denied(t, p, config("app", nil), "no such key: team")
	if checks, err := p.Judge(t.Context(), input(ci.image(t))); err == nil {
		t.Errorf("judged without the configuration: %+v", checks)
	}
	for expr, want := range map[string]bool{`image.registry == "registry.example.com"`: false, `image.labels.size() >= 0`: true, `dyn(image).config.user == ""`: true,
		`[image].all(i, i.config.user == "")`: true, `claim.annotations.size() == 0`: false} {
		if got := mustLoad(t, asking(ci, "signature", expr)).(policy.Inspector).Inspects(); got != want {
			t.Errorf("%s: inspects %v", expr, got)
		}
	}
	other := mustLoad(t, document(ci, "type: signature\nsigners: [ci]\nselect: {expr: 'image.config.user == claim.signer'}"))
	if !other.(policy.Inspector).Inspects() {
		t.Error("select that looks at the configuration does not say so")
	}
}

// TestRuntimeCost: a predicate that makes an expression expensive does not stall
// a door, and does not open it.
func TestRuntimeCost(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, asking(ci, "test-result", `predicate.n.all(a, predicate.n.all(b, a + b >= 0))`))
	list := func(n int) trust.Evidence {
		return ci.attest(t, predicate.TypeTestResult, `{"result":"PASSED","n":[0`+strings.Repeat(",0", n)+`]}`)
	}
	allowed(t, p, input(list(10)))
	denied(t, p, input(list(5000)), "more work than its bound")
	for _, expr := range []string{"lists.range(3).all(a, a >= 0)", "predicate.n.distinct().all(a, a >= 0)", "predicate.n.sort().reverse().all(a, a >= 0)", "predicate.n.map(a, string(a)).join(',').split(',').all(a, a != '')"} {
		allowed(t, mustLoad(t, asking(ci, "test-result", expr)), input(list(10)))
	}
	components := `{"bomFormat":"CycloneDX","components":[{"name":"a","purl":"pkg:pypi/a"}` + strings.Repeat(`,{"name":"b","purl":"pkg:pypi/b"}`, 3000) + `]}`
	p = mustLoad(t, asking(ci, "cyclonedx", `components.all(c, components.all(d, c.name != "" && d.name != ""))`))
	denied(t, p, input(ci.attest(t, predicate.TypeCycloneDX, components)), "more work than its bound")
	allowed(t, mustLoad(t, asking(ci, "cyclonedx", `size(components.among(["pkg:pypi/c"])) == 0`)), input(ci.attest(t, predicate.TypeCycloneDX, components)))
}
