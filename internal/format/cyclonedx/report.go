package cyclonedx

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/sbom"
)

// The properties of a report that are ours. Those about all of it hold the JSON
// of the domain's own types.
const (
	propertyDatabase  = "assay:database"
	propertySBOMs     = "assay:sboms"
	propertyExploited = "assay:exploited"
	propertyEPSS      = "assay:epss"
	propertyExpired   = "assay:expired"
	propertyPinned    = "assay:require-pinned"
	propertyUntested  = "assay:untested"
	propertyNotes     = "assay:notes"
)

// EncodeReport writes a scan as a bill of materials with vulnerabilities. Its
// list is there and empty where nothing was found. Entries of one id that end
// in the same way are one, which affects all their components; a suppressed
// finding has an analysis. The time is when the scan finished. A finding whose
// component is not in the inventory is an error.
func EncodeReport(w io.Writer, report finding.Report, toolVersion string, version Version) error {
	b := builder{references: references{}}
	bom, err := b.build(sbom.Document{Name: report.Target, Digest: report.Digest, Kind: report.Kind, Image: report.Image,
		Inventory: report.Inventory, Created: report.Finished, ToolVersion: toolVersion})
	if err == nil {
		err = b.vulnerabilities(bom, report)
	}
	if err != nil {
		return fmt.Errorf("writing CycloneDX for %q: %w", report.Target, err)
	}
	return write(w, bom, version, report.Target)
}

func (b *builder) vulnerabilities(bom *cdx.BOM, report finding.Report) error {
	var properties []cdx.Property
	if bom.Metadata.Properties != nil {
		properties = *bom.Metadata.Properties
	}
	for _, p := range []struct {
		name  string
		there bool
		value any
	}{{propertyDatabase, true, report.Database}, {propertySBOMs, report.SBOMs != nil, report.SBOMs}, {propertyExpired, report.Expired != nil, report.Expired},
		{propertyPinned, report.RequirePinned, true}, {propertyUntested, len(report.Untested) > 0, report.Untested}, {propertyNotes, report.Notes != nil, report.Notes}} {
		if !p.there {
			continue
		}
		text, err := sbom.Compact(p.value)
		if err != nil {
			return err
		}
		properties = append(properties, cdx.Property{Name: p.name, Value: text})
	}
	slices.SortStableFunc(properties, func(x, y cdx.Property) int { return cmp.Compare(x.Name, y.Name) })
	bom.Metadata.Properties = &properties

	list := []cdx.Vulnerability{}
	place := map[string]int{}
	add := func(f finding.Finding, analysis *cdx.VulnerabilityAnalysis, status cdx.VulnerabilityStatus) error {
		ref, err := b.refOf(f.Component, report.Inventory.Components)
		if err != nil {
			return fmt.Errorf("%s: %w", f.ID, err)
		}
		key := f.ID + "\x00" + ended(analysis)
		i, known := place[key]
		if !known {
			i, place[key] = len(list), len(list)
			v := vulnerability(f, report.Database)
			v.BOMRef, v.Analysis = b.references.unique("vulnerability:"+f.ID), analysis
			list = append(list, v)
		}
		to := f.Fixed
		if u := report.Upgrade(f.Component); u != nil && u.All && analysis == nil {
			to = u.To
		}
		affect(&list[i], f, to, ref, status)
		return nil
	}
	for _, f := range report.Findings {
		if err := add(f, nil, cdx.VulnerabilityStatusAffected); err != nil {
			return err
		}
	}
	for _, s := range report.Suppressed {
		status := cdx.VulnerabilityStatusAffected
		if s.Status == "not_affected" || s.Status == "fixed" {
			status = cdx.VulnerabilityStatusNotAffected
		}
		if err := add(s.Finding, analysisOf(s), status); err != nil {
			return err
		}
	}
	bom.Vulnerabilities = &list
	return nil
}

// ended tells analyses apart.
func ended(a *cdx.VulnerabilityAnalysis) string {
	if a == nil {
		return ""
	}
	return fmt.Sprintf("%q %q %v %q", a.State, a.Justification, a.Response, a.Detail)
}

// refOf finds a finding's component in the inventory.
func (b *builder) refOf(c component.Component, components []component.Component) (string, error) {
	same := func(k component.Component) bool {
		return k.PURL == c.PURL && k.Ecosystem == c.Ecosystem && k.Name == c.Name && k.Version == c.Version &&
			k.Architecture == c.Architecture && k.Dependency == c.Dependency && slices.Equal(k.Locations, c.Locations)
	}
	i := slices.IndexFunc(components, same)
	if i < 0 {
		return "", fmt.Errorf("its component %s %s is not in the inventory", c.Name, c.Version)
	}
	return b.components[i], nil
}

// affect adds a component to an entry, and the version to upgrade to ("" for
// none) to the recommendation.
func affect(v *cdx.Vulnerability, f finding.Finding, to, ref string, status cdx.VulnerabilityStatus) {
	if v.Affects == nil {
		v.Affects = &[]cdx.Affects{}
	}
	entry := cdx.Affects{Ref: ref, Range: &[]cdx.AffectedVersions{{Version: f.Component.Version, Status: status}}}
	if !slices.ContainsFunc(*v.Affects, func(a cdx.Affects) bool { return a.Ref == ref }) {
		*v.Affects = append(*v.Affects, entry)
	}
	if to == "" {
		return
	}
	upgrade := "upgrade " + f.Component.Name + " to " + to
	if f.Fixed != "" && to != f.Fixed {
		upgrade += " (this one is fixed in " + f.Fixed + ")"
	}
	if v.Recommendation == "" {
		v.Recommendation = upgrade
	} else if !slices.Contains(strings.Split(v.Recommendation, "; "), upgrade) {
		v.Recommendation += "; " + upgrade
	}
}

func vulnerability(f finding.Finding, db finding.Database) cdx.Vulnerability {
	v := cdx.Vulnerability{ID: f.ID, Source: source(f.ID, db), Description: f.Title, Detail: f.Details, Ratings: ratings(f)}
	var references []cdx.VulnerabilityReference
	for _, alias := range f.Aliases {
		references = append(references, cdx.VulnerabilityReference{ID: alias, Source: source(alias, db)})
	}
	var cwes []int
	for _, weakness := range f.Weaknesses {
		if number, err := strconv.Atoi(strings.TrimPrefix(weakness, "CWE-")); err == nil && number > 0 {
			cwes = append(cwes, number)
		}
	}
	var advisories []cdx.Advisory
	for _, url := range f.References {
		if url != "" {
			advisories = append(advisories, cdx.Advisory{URL: url})
		}
	}
	v.References, v.CWEs, v.Advisories = optional(references), optional(cwes), optional(advisories)
	v.Published, v.Updated = stamp(f.Published), stamp(f.Modified)
	var properties []cdx.Property
	if e := f.Threat.Exploited; e != nil {
		text := "known to be exploited"
		if !e.Added.IsZero() {
			text += " since " + e.Added.UTC().Format(time.DateOnly)
		}
		if e.Ransomware {
			text += ", by ransomware too"
		}
		properties = append(properties, cdx.Property{Name: propertyExploited, Value: text})
	}
	if e := f.Threat.EPSS; e != nil {
		properties = append(properties, cdx.Property{Name: propertyEPSS,
			Value: fmt.Sprintf("%g (percentile %g) of %s", e.Probability, e.Percentile, e.Date.UTC().Format(time.DateOnly))})
	}
	v.Properties = optional(properties)
	return v
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// source is where a record is looked up.
func source(id string, db finding.Database) *cdx.Source {
	if db.Sample {
		return &cdx.Source{Name: "advisories built into assay", URL: db.URI}
	}
	return &cdx.Source{Name: "OSV", URL: "https://osv.dev/vulnerability/" + id}
}

// ratings puts the one that counts first.
func ratings(f finding.Finding) *[]cdx.VulnerabilityRating {
	var list []cdx.VulnerabilityRating
	for i, rating := range append([]finding.Severity{f.Severity}, f.Ratings...) {
		if i > 0 && rating == f.Severity {
			continue
		}
		r := cdx.VulnerabilityRating{Severity: cdx.Severity(strings.ToLower(rating.Level.String())), Method: method(rating.Vector), Vector: rating.Vector}
		if rating.Source != "" {
			r.Source = &cdx.Source{Name: rating.Source}
		}
		if rating.Score > 0 {
			r.Score = &rating.Score
		}
		list = append(list, r)
	}
	return &list
}

// method is the version of CVSS that a vector is of; 2 has no head.
func method(vector string) cdx.ScoringMethod {
	switch {
	case vector == "":
		return cdx.ScoringMethodOther
	case strings.HasPrefix(vector, "CVSS:4."):
		return cdx.ScoringMethodCVSSv4
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		return cdx.ScoringMethodCVSSv31
	case strings.HasPrefix(vector, "CVSS:3."):
		return cdx.ScoringMethodCVSSv3
	case strings.HasPrefix(vector, "AV:"):
		return cdx.ScoringMethodCVSSv2
	}
	return cdx.ScoringMethodOther
}

// analysisOf says why a finding does not count. An ignore file's entry is what
// somebody does about it, and says nothing of whether the product is affected.
func analysisOf(s finding.Suppressed) *cdx.VulnerabilityAnalysis {
	a := &cdx.VulnerabilityAnalysis{Justification: justification(s.Justification)}
	switch s.Status {
	case "not_affected":
		a.State = cdx.IASNotAffected
	case "fixed":
		a.State = cdx.IASResolved
	default:
		a.Response = &[]cdx.ImpactAnalysisResponse{cdx.IARWillNotFix}
	}
	var parts []string
	if s.Statement != "" {
		parts = append(parts, s.Statement)
	}
	if s.Justification != "" && string(a.Justification) != s.Justification {
		parts = append(parts, "justification: "+s.Justification)
	}
	if s.By != "" {
		parts = append(parts, "by "+s.By)
	}
	if s.Source.Path != "" {
		parts = append(parts, "in "+s.Source.String())
	}
	if !s.Until.IsZero() {
		parts = append(parts, "until "+s.Until.UTC().Format(time.RFC3339))
	}
	a.Detail = strings.Join(parts, "; ")
	return a
}

// justification is CycloneDX's word for a VEX justification; "" where it has
// none that says the same.
func justification(word string) cdx.ImpactAnalysisJustification {
	switch word {
	case "component_not_present", "vulnerable_code_not_present":
		return cdx.IAJCodeNotPresent
	case "vulnerable_code_not_in_execute_path":
		return cdx.IAJCodeNotReachable
	case "inline_mitigations_already_exist":
		return cdx.IAJProtectedByMitigatingControl
	}
	own := cdx.ImpactAnalysisJustification(word)
	if slices.Contains([]cdx.ImpactAnalysisJustification{cdx.IAJCodeNotPresent, cdx.IAJCodeNotReachable, cdx.IAJRequiresConfiguration,
		cdx.IAJRequiresDependency, cdx.IAJRequiresEnvironment, cdx.IAJProtectedByCompiler, cdx.IAJProtectedAtRuntime,
		cdx.IAJProtectedAtPerimeter, cdx.IAJProtectedByMitigatingControl}, own) {
		return own
	}
	return ""
}
