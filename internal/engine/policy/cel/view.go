package cel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/predicate"
)

// view is a piece of evidence in the shape that its family has.
type view struct {
	claim      trust.Claim
	report     *predicate.VulnerabilityReport
	findings   []Finding
	scan       Scan
	components []Component
	build      Build
	tests      Tests
	// open is the predicate as it is, read when it is asked for.
	open any
}

// look reads a predicate; one that is not of its family's shape is an error,
// and no check is made on it.
func look(family string, claim trust.Claim) (*view, error) {
	v := &view{claim: claim}
	switch family {
	case predicate.TypeCosignVuln:
		report, err := predicate.ReadVulnerabilities(claim.Type(), claim.Predicate())
		if err != nil {
			return nil, err
		}
		v.report = &report
		v.findings, v.scan = findingsOf(report), scanOf(report)
	case predicate.TypeCycloneDX, predicate.TypeSPDX:
		list, err := predicate.ReadComponents(claim.Type(), claim.Predicate())
		if err != nil {
			return nil, err
		}
		v.components = componentsOf(list)
	case predicate.TypeProvenanceV1, predicate.TypeProvenanceV02:
		build, err := predicate.ReadBuild(claim.Type(), claim.Predicate())
		if err != nil {
			return nil, err
		}
		v.build = buildOf(build)
	case predicate.TypeTestResult:
		result, err := predicate.ReadTestResult(claim.Predicate())
		if err != nil {
			return nil, err
		}
		v.tests = testsOf(result)
	}
	return v, nil
}

// predicate is the predicate as it is.
func (v *view) predicate() any {
	if v.open == nil {
		open, err := decode(v.claim.Predicate())
		if err != nil {
			return types.WrapErr(err)
		}
		v.open = open
	}
	return v.open
}

func buildOf(b predicate.Build) Build {
	build := Build{Builder: b.Builder, Type: b.Type, Invocation: b.Invocation, Sources: []Source{}, Dependencies: []Resource{}, Started: b.Started, Finished: b.Finished}
	for _, s := range b.Sources {
		build.Sources = append(build.Sources, Source(s))
	}
	for _, d := range b.Dependencies {
		build.Dependencies = append(build.Dependencies, Resource{d.Name, d.URI, d.Digest})
	}
	return build
}

// testsOf reads the figures that reports have in their annotations: numbers of
// another kind count as none.
func testsOf(r predicate.TestResult) Tests {
	tests := Tests{Result: r.Result, Passed: r.PassedTests, Warned: r.WarnedTests, Failed: r.FailedTests, Count: -1, Coverage: -1}
	for _, report := range r.Configuration {
		if n, ok := report.Annotations["tests"].(float64); ok {
			tests.Count = max(0, tests.Count) + int64(n)
		}
		if percent, ok := report.Annotations["coverage"].(float64); ok && (tests.Coverage < 0 || percent < tests.Coverage) {
			tests.Coverage = percent
		}
		if tool, ok := report.Annotations["tool"].(string); ok {
			tests.Analysers = append(tests.Analysers, tool)
			errors, _ := report.Annotations["errors"].(float64)
			warnings, _ := report.Annotations["warnings"].(float64)
			tests.Errors, tests.Warnings = tests.Errors+int64(errors), tests.Warnings+int64(warnings)
		}
	}
	return tests
}

func findingsOf(report predicate.VulnerabilityReport) []Finding {
	list := []Finding{}
	for _, v := range report.Vulnerabilities {
		list = append(list, Finding{ID: v.ID, Aliases: v.Aliases, Package: v.Package, PURL: v.PURL, Installed: v.Installed, Fixed: v.Fixed,
			Severity: v.Severity, Score: v.Score, KnownExploited: v.KnownExploited, EPSS: v.EPSS, Dependency: v.Dependency, Path: v.Path, Line: int64(v.Line)})
	}
	return list
}

func scanOf(report predicate.VulnerabilityReport) Scan {
	scan := Scan{Scanner: report.Scanner, Packages: int64(report.Packages), Finished: report.Finished, Unresolved: []Unresolved{},
		Database: Database{URI: report.Database.URI, Version: report.Database.Version, Sample: report.Database.Sample,
			LastUpdate: report.Database.LastUpdate, Current: report.Database.Current, KEV: report.Database.KEV, EPSS: report.Database.EPSS}}
	for _, u := range report.Unresolved {
		scan.Unresolved = append(scan.Unresolved, Unresolved{Name: u.Name, Text: u.Text, Reason: u.Reason, Path: u.Path})
	}
	return scan
}

func componentsOf(list []predicate.Component) []Component {
	components := []Component{}
	for _, c := range list {
		components = append(components, Component{Name: c.Name, Version: c.Version, PURL: c.PURL, Type: c.Type, Dependency: c.Dependency, Licenses: c.Licenses})
	}
	return components
}

// decode reads a predicate into maps and lists. Whole numbers become int64, so
// that "x == 0" compares as people expect.
func decode(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("the predicate is not JSON: %w", err)
	}
	return numbers(value), nil
}

// numbers turns json.Number into int64 or float64. One that is neither stays a
// string, which no number equals.
func numbers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			v[key] = numbers(member)
		}
	case []any:
		for i, member := range v {
			v[i] = numbers(member)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	}
	return value
}

// upgrades bounds how many packages a remedy names.
const upgrades = 10

// upgrade says which packages to upgrade to what, of the findings among
// values; "" where nothing heals any of them.
func upgrade(values []ref.Val) string {
	fixes := map[string][]string{}
	for _, value := range values {
		f, ok := value.Value().(Finding)
		if ok && f.Fixed != "" && f.Package != "" && !slices.Contains(fixes[f.Package], f.Fixed) {
			fixes[f.Package] = append(fixes[f.Package], f.Fixed)
		}
	}
	var steps []string
	for _, name := range slices.Sorted(maps.Keys(fixes)) {
		if len(steps) == upgrades {
			steps = append(steps, fmt.Sprintf("and %d more", len(fixes)-upgrades))
			break
		}
		steps = append(steps, cut(name+" to "+highest(fixes[name])))
	}
	if len(steps) == 0 {
		return ""
	}
	return "upgrade " + strings.Join(steps, ", ") + "; then build, scan and attest again"
}

// highest is the version that heals all, where versions are Python's; or all
// of them, for people to choose.
func highest(versions []string) string {
	var best pep440.Version
	text := ""
	for _, v := range versions {
		parsed, err := pep440.Parse(v)
		if err != nil {
			return strings.Join(versions, " and ")
		}
		if text == "" || parsed.Compare(best) > 0 {
			best, text = parsed, v
		}
	}
	return text
}
