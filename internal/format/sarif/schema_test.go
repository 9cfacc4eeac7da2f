package sarif_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// schema is the official one, which the module of go-sarif carries as a
// constant.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	output, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(strings.TrimSpace(string(output)), "pkg", "report", "v210", "sarif", "schema.go")
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	ast.Inspect(parsed, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING && text == "" {
			text, err = strconv.Unquote(literal.Value)
		}
		return true
	})
	if err != nil || !strings.Contains(text, "Static Analysis Results Format (SARIF) Version 2.1.0") {
		t.Fatalf("%s holds no schema: %v", file, err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	const address = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	if err := compiler.AddResource(address, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(address)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// full has one of everything.
func full() finding.Report {
	report := sample()
	pillow := report.Findings[0].Component
	day := time.Date(2026, 3, 1, 12, 0, 5, 7, time.UTC)
	report.Started, report.Finished, report.Digest = day, day, subject.Of(nil)
	report.Findings[0].Aliases = []string{"GHSA-3f63-hfp8-52jq"}
	report.Findings[0].Details = "long " + strings.Repeat("é", 2000)
	report.Findings[0].Threat = finding.Threat{Exploited: &finding.Exploited{}, EPSS: &finding.EPSS{Probability: 0.5}}
	report.Upgrades = []finding.Upgrade{{Component: pillow, To: "10.3.0", All: true}}
	other := pillow
	other.Name, other.Version = "pillow-simd", "9.0"
	report.Findings = append(report.Findings, finding.Finding{ID: "CVE-2023-50447", Component: other, Severity: finding.Severity{Level: finding.Low, Source: "pypa"}},
		finding.Finding{ID: "CVE-2023-50447", Component: pillow})
	report.Suppressed = []finding.Suppressed{{Finding: finding.Finding{ID: "CVE-2020-9", Component: pillow, Severity: finding.Severity{Level: finding.Critical, Source: "ghsa"}},
		Status: "ignored", Statement: "not reachable", By: "us", Source: component.Location{Path: ".assayignore"}, Until: day}}
	return report.Below("services/a b")
}

func TestSchema(t *testing.T) {
	compiled := schema(t)
	check := func(content []byte) error {
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		return compiled.Validate(instance)
	}
	image := full()
	image.Kind, image.Image = finding.Container, &finding.Image{}
	for name, report := range map[string]finding.Report{"full": full(), "empty": {Target: "."}, "image": image} {
		if err := check(encode(t, report)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := check(bytes.Replace(encode(t, full()), []byte(`"level": "error"`), []byte(`"level": "fatal"`), 1)); err == nil {
		t.Error("a level that SARIF does not have passes the schema")
	}
}

type detailed struct {
	Runs []struct {
		OriginalURIBaseIDs map[string]any
		Invocations        []struct{ ExecutionSuccessful bool }
		Tool               struct {
			Driver struct {
				Rules []struct {
					ID                    string
					FullDescription, Help struct{ Text string }
					Properties            map[string]any
				}
			}
		}
		Results []struct {
			RuleID, Level       string
			PartialFingerprints map[string]string
			Message             struct{ Text string }
			Suppressions        []struct{ Kind, Status, Justification string }
			Locations           []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI, URIBaseID string }
				}
			}
		}
	}
}

func TestDetails(t *testing.T) {
	var log detailed
	if err := json.Unmarshal(encode(t, full()), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	var ids []string
	for _, r := range run.Tool.Driver.Rules {
		ids = append(ids, r.ID)
	}
	if want := []string{"CVE-2023-50447", "CVE-2022-1", "CVE-2022-2", "CVE-2020-9", "assay-not-tested"}; !cmp.Equal(ids, want) {
		t.Errorf("rules %v, want %v", ids, want)
	}
	rule := run.Tool.Driver.Rules[0]
	if rule.Properties["security-severity"] != "9.8" || len([]rune(rule.FullDescription.Text)) != 1000 {
		t.Errorf("rule %+v", rule)
	}
	want := "CVE-2023-50447, also GHSA-3f63-hfp8-52jq\nKnown to be exploited.\nUpgrade pillow 9.0.0 to 10.3.0, which heals all of its known vulnerabilities.\nNo version of pillow-simd is known to heal it."
	if rule.Help.Text != want {
		t.Errorf("help is %q", rule.Help.Text)
	}
	if at := run.Results[0].Locations[0].PhysicalLocation.ArtifactLocation; at.URI != "services/a%20b/requirements.txt" || at.URIBaseID != "ROOTPATH" || run.OriginalURIBaseIDs["ROOTPATH"] == nil {
		t.Errorf("location %+v", at)
	}
	prints := map[string]bool{}
	for _, r := range run.Results {
		if print := r.PartialFingerprints["assay/v1"]; prints[print] {
			t.Errorf("%s has a fingerprint that was given: %s", r.RuleID, print)
		} else {
			prints[print] = true
		}
		if suppressed := r.RuleID == "CVE-2020-9"; suppressed != (len(r.Suppressions) == 1) {
			t.Errorf("%s has the suppressions %+v", r.RuleID, r.Suppressions)
		} else if suppressed && (r.Level != "note" || r.Suppressions[0].Kind != "external" || r.Suppressions[0].Justification != "ignored: not reachable") {
			t.Errorf("suppression %+v of level %s", r.Suppressions[0], r.Level)
		}
	}
}

// TestHostileText: what a target or a database says is never a link.
func TestHostileText(t *testing.T) {
	report := sample()
	report.Findings[0].Component.Name = "x](http://evil)[y"
	report.Findings[0].Title = "[click](javascript:alert(1))\u202e"
	report.Inventory.Unresolved[0].Text = "celery[redis]>=5"
	content := string(encode(t, report))
	for _, bad := range []string{"[click](", "x](http", "\u202e"} {
		if strings.Contains(content, bad) {
			t.Errorf("%q is in the report", bad)
		}
	}
	if !strings.Contains(content, "Not tested: celery[redis]>=5") {
		t.Error("plain brackets are escaped")
	}
}
