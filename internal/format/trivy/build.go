package trivy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
)

func build(report finding.Report, toolVersion string) document {
	doc := document{
		SchemaVersion: 2, CreatedAt: report.Finished.UTC(),
		ArtifactName: report.Target, ArtifactType: string(report.Kind),
		Metadata: metadataOf(report),
		Results:  results(report),
		Assay: extension{
			Version: toolVersion, Digest: report.Digest.String(),
			Database: database{
				Sample: report.Database.Sample, URI: report.Database.URI, Version: report.Database.Version,
				LastUpdate: report.Database.LastUpdate.UTC(), Records: report.Database.Records,
			},
			Packages:   len(report.Inventory.Components),
			Unresolved: []unresolved{},
		},
	}
	for _, c := range report.Inventory.Components {
		if c.Dependency == component.Installed {
			doc.Assay.Dependencies.Installed++
		} else {
			doc.Assay.Dependencies.Declared++
		}
	}
	for _, u := range report.Inventory.Unresolved {
		doc.Assay.Unresolved = append(doc.Assay.Unresolved, unresolved{
			Name: u.Name, Text: u.Text, Reason: u.Reason, Path: u.Location.Path, Line: u.Location.Line})
	}
	for _, n := range report.Inventory.Notes {
		doc.Assay.Notes = append(doc.Assay.Notes, note{Text: n.Text, Path: n.Location.Path, Line: n.Location.Line})
	}
	return doc
}

func metadataOf(report finding.Report) metadata {
	var m metadata
	if os := report.Inventory.OperatingSystem; os != nil {
		m.OS = &operatingSystem{Family: os.ID, Name: os.VersionID}
	}
	if image := report.Image; image != nil {
		m.ImageID = image.ConfigDigest.String()
		for _, id := range image.DiffIDs {
			m.DiffIDs = append(m.DiffIDs, id.String())
		}
	}
	if repository := repositoryOf(report.Target); report.Kind == finding.Container && repository != "" && !report.Digest.IsZero() {
		m.RepoDigests = []string{repository + "@" + report.Digest.String()}
	}
	return m
}

// repositoryOf is a target without its tag and digest where the target names a
// repository in a registry, and "" for files: only a reference whose first
// part looks like a host is taken, as container tools do.
func repositoryOf(target string) string {
	name, _, _ := strings.Cut(target, "@")
	host, rest, found := strings.Cut(name, "/")
	if !found || strings.HasPrefix(host, ".") || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return ""
	}
	rest, _, _ = strings.Cut(rest, ":")
	return host + "/" + rest
}

// group is one entry of Results: what Trivy's users filter by.
type group struct {
	rank                int // OS packages, then installed, then declared ones
	target, class, kind string
}

func groupOf(report finding.Report, c component.Component) group {
	ecosystem, _, _ := strings.Cut(c.Ecosystem, ":")
	kind := strings.ToLower(ecosystem)
	switch {
	case kind == "pypi" && c.Dependency == component.Installed:
		return group{rank: 1, target: "Python", class: "lang-pkgs", kind: "python-pkg"}
	case kind == "pypi":
		return group{rank: 2, target: first(c).Path, class: "lang-pkgs", kind: "pip"}
	case kind == "debian" || kind == "ubuntu":
		release := strings.TrimSuffix(kind+" "+strings.TrimPrefix(c.Ecosystem, ecosystem+":"), " ")
		return group{target: report.Target + " (" + release + ")", class: "os-pkgs", kind: kind}
	}
	return group{rank: 3, target: first(c).Path, class: "lang-pkgs", kind: kind}
}

func first(c component.Component) component.Location {
	if len(c.Locations) == 0 {
		return component.Location{}
	}
	return c.Locations[0]
}

func results(report finding.Report) []result {
	grouped := map[group]*result{}
	of := func(c component.Component) *result {
		g := groupOf(report, c)
		if grouped[g] == nil {
			grouped[g] = &result{Target: g.target, Class: g.class, Type: g.kind}
		}
		return grouped[g]
	}
	for _, c := range report.Inventory.Components {
		r := of(c)
		r.Packages = append(r.Packages, packageOf(c))
	}
	for _, f := range report.Findings {
		r := of(f.Component)
		r.Vulnerabilities = append(r.Vulnerabilities, vulnerabilityOf(f, report.Database))
	}
	order := make([]group, 0, len(grouped))
	for g := range grouped {
		order = append(order, g)
	}
	slices.SortFunc(order, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.target, b.target), cmp.Compare(a.kind, b.kind))
	})
	list := make([]result, 0, len(order))
	for _, g := range order {
		list = append(list, *grouped[g])
	}
	return list
}

func packageOf(c component.Component) pkg {
	p := pkg{
		ID: c.Name + "@" + c.Version, Name: c.Name, Identifier: identifier{PURL: c.PURL}, Version: c.Version,
		Arch: c.Architecture, SrcName: c.SourceName, SrcVersion: c.SourceVersion,
		Licenses: c.Licenses, Layer: layer{DiffID: first(c).Layer.String()}, FilePath: packagePath(c),
	}
	for _, location := range c.Locations {
		if location.Line > 0 {
			p.Locations = append(p.Locations, lines{StartLine: location.Line, EndLine: location.Line})
		}
	}
	return p
}

// packagePath is the file of one package alone; a requirements file and the
// dpkg database hold many, and Trivy names those in Target.
func packagePath(c component.Component) string {
	if c.Dependency == component.Installed && strings.EqualFold(c.Ecosystem, "PyPI") {
		return first(c).Path
	}
	return ""
}

func vulnerabilityOf(f finding.Finding, db finding.Database) vulnerability {
	c, at := f.Component, first(f.Component)
	v := vulnerability{
		VulnerabilityID: f.ID, VendorIDs: f.Aliases,
		PkgID: c.Name + "@" + c.Version, PkgName: c.Name, PkgPath: packagePath(c),
		PkgIdentifier: identifier{PURL: c.PURL}, InstalledVersion: c.Version,
		FixedVersion: f.Fixed, Status: "affected", Layer: layer{DiffID: at.Layer.String()},
		SeveritySource: f.Severity.Source, PrimaryURL: "https://osv.dev/vulnerability/" + f.ID,
		DataSource: dataSource{ID: "osv", Name: "OSV", URL: db.URI},
		Title:      f.Title, Description: f.Details, Severity: f.Severity.Level.String(),
		CweIDs: f.Weaknesses, References: f.References,
		PublishedDate: f.Published.UTC(), LastModifiedDate: f.Modified.UTC(),
		Assay: place{Dependency: string(c.Dependency), Groups: c.Groups, Path: at.Path, Line: at.Line},
	}
	if f.Fixed != "" {
		v.Status = "fixed"
	}
	if db.Sample {
		v.DataSource = dataSource{ID: "assay-sample", Name: "advisories built into assay", URL: db.URI}
	}
	// The rating that counts comes last: where its source rated twice in one
	// version of CVSS, its score is the one that readers find.
	for _, rating := range append(slices.Clone(f.Ratings), f.Severity) {
		if rating.Source == "" {
			continue
		}
		if v.VendorSeverity == nil {
			v.VendorSeverity = map[string]int{}
		}
		v.VendorSeverity[rating.Source] = int(rating.Level)
		if rating.Score <= 0 && rating.Vector == "" {
			continue
		}
		if v.CVSS == nil {
			v.CVSS = map[string]cvss{}
		}
		v.CVSS[rating.Source] = v.CVSS[rating.Source].with(rating)
	}
	return v
}

// with adds a rating under the version of CVSS that its vector names; a score
// without a vector counts as version 3, which readers look for.
func (c cvss) with(rating finding.Severity) cvss {
	switch {
	case strings.HasPrefix(rating.Vector, "CVSS:4."):
		c.V40Vector, c.V40Score = rating.Vector, rating.Score
	case rating.Vector == "" || strings.HasPrefix(rating.Vector, "CVSS:3."):
		c.V3Vector, c.V3Score = cmp.Or(rating.Vector, c.V3Vector), rating.Score
	default:
		c.V2Vector, c.V2Score = rating.Vector, rating.Score
	}
	return c
}
