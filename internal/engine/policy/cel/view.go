package cel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types/ref"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/predicate"
)

// view is a predicate in the shape that its family has.
type view struct {
	predicate  any
	report     *predicate.VulnerabilityReport
	findings   []Finding
	scan       Scan
	components []Component
}

// look reads a predicate; a report, an SBOM or a test result that cannot be
// read is an error, and no check is made on it.
func look(family string, claim trust.Claim) (view, error) {
	var v view
	var err error
	if v.predicate, err = decode(claim.Predicate()); err != nil {
		return view{}, err
	}
	switch family {
	case predicate.TypeCosignVuln:
		report, err := predicate.ReadVulnerabilities(claim.Type(), claim.Predicate())
		if err != nil {
			return view{}, err
		}
		v.report = &report
		v.findings, v.scan = findingsOf(report), scanOf(report)
	case predicate.TypeCycloneDX, predicate.TypeSPDX:
		list, err := predicate.ReadComponents(claim.Type(), claim.Predicate())
		if err != nil {
			return view{}, err
		}
		v.components = componentsOf(list)
	case predicate.TypeTestResult:
		if _, err := predicate.ReadTestResult(claim.Predicate()); err != nil {
			return view{}, err
		}
	}
	return v, nil
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
