package trivy

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// builder holds what every part of a report needs.
type builder struct {
	report     finding.Report
	artifactID string
	digests    map[subject.Digest]subject.Digest // of stored layers, by diff ID
	ids        map[string]string                 // package IDs, by PURL
}

func build(report finding.Report, toolVersion string) document {
	b := builder{report: report, digests: map[subject.Digest]subject.Digest{}, ids: map[string]string{}}
	if image := report.Image; image != nil {
		b.artifactID = artifactID(image.ConfigDigest, repositoryOf(report.Target))
		for _, l := range image.Layers {
			b.digests[l.DiffID] = l.Digest
		}
	}
	for _, c := range report.Inventory.Components {
		b.ids[c.PURL] = packageID(c)
	}
	doc := document{
		head: head{SchemaVersion: 2, CreatedAt: report.Finished.UTC(), ArtifactID: b.artifactID,
			ArtifactName: report.Target, ArtifactType: string(report.Kind), Metadata: b.metadata()},
		Results: b.results(),
		Assay: extension{
			Version: toolVersion, Digest: report.Digest.String(),
			Database: database{
				Sample: report.Database.Sample, URI: report.Database.URI, Version: report.Database.Version,
				LastUpdate: report.Database.LastUpdate.UTC(), Current: report.Database.Current.UTC(), Records: report.Database.Records, Feeds: report.Database.Feeds,
			},
			Index:         report.Index.String(),
			Packages:      report.Tested(),
			Untested:      report.Untested,
			Unresolved:    []unresolved{},
			RequirePinned: report.RequirePinned,
			Expired:       report.Expired,
			SBOMs:         report.SBOMs,
		},
	}
	for _, c := range report.Inventory.Components {
		switch c.Dependency {
		case component.Installed:
			doc.Assay.Dependencies.Installed++
		case component.Packaged:
			doc.Assay.Dependencies.Packaged++
		default:
			doc.Assay.Dependencies.Declared++
		}
	}
	for _, n := range report.Inventory.Notes {
		doc.Assay.Notes = append(doc.Assay.Notes, note{Text: n.Text, Path: n.Location.Path, Line: n.Location.Line})
	}
	for _, text := range report.Notes {
		doc.Assay.Notes = append(doc.Assay.Notes, note{Text: text})
	}
	if image := report.Image; image != nil && image.BaseLayers > 0 {
		doc.Assay.Base = &base{Layers: image.BaseLayers, Known: image.Base}
	}
	for _, u := range report.Inventory.Unresolved {
		doc.Assay.Unresolved = append(doc.Assay.Unresolved, unresolved{
			Name: u.Name, Text: u.Text, Reason: u.Reason, Path: u.Location.Path, Line: u.Location.Line})
	}
	doc.ReportID = reportID(doc)
	return doc
}

// reportID is a UUID of version 8 (RFC 9562) made from what the report says:
// all around its results, and of them the packages and the fingerprints and
// fates of the findings.
func reportID(doc document) string {
	hash := sha256.New()
	encoder := json.NewEncoder(hash)
	results := doc.Results
	doc.Results = nil
	// What encodes here is encoded again by the caller, who reports the error.
	_ = encoder.Encode(doc)
	for _, r := range results {
		fmt.Fprintf(hash, "%q\n", r.Target)
		for _, p := range r.Packages {
			fmt.Fprintf(hash, "%q %q\n", p.Identifier.UID, p.Licenses)
		}
		for _, v := range r.Vulnerabilities {
			fmt.Fprintf(hash, "%s %q %q %s\n", v.Fingerprint, v.FixedVersion, v.Severity, v.Status)
		}
		for _, m := range r.ModifiedFindings {
			fmt.Fprintf(hash, "%s %q %q %q\n", m.Finding.Fingerprint, m.Status, m.Statement, m.Source)
		}
	}
	sum := []byte(hex.EncodeToString(hash.Sum(nil))[:32])
	sum[12] = '8'
	sum[16] = "89ab"[sum[16]%4]
	return fmt.Sprintf("%s-%s-%s-%s-%s", sum[:8], sum[8:12], sum[12:16], sum[16:20], sum[20:])
}

// artifactID names an image in a repository, as Trivy does: a digest of both,
// or the image's own where no repository is known.
func artifactID(config subject.Digest, repository string) string {
	if config.IsZero() || repository == "" {
		return config.String()
	}
	return subject.Of([]byte(config.String() + ":" + repository)).String()
}

func (b builder) metadata() metadata {
	var m metadata
	report := b.report
	if os := report.Inventory.OperatingSystem; os != nil {
		m.OS = &operatingSystem{Family: family(os.ID), Name: os.VersionID}
	}
	if image := report.Image; image != nil {
		m.ImageID = image.ConfigDigest.String()
		for _, id := range image.DiffIDs {
			m.DiffIDs = append(m.DiffIDs, id.String())
		}
		for _, l := range image.Layers {
			m.Layers = append(m.Layers, layer{Digest: l.Digest.String(), DiffID: l.DiffID.String()})
		}
		m.ImageConfig = configuration(image.Config)
	}
	repository := repositoryOf(report.Target)
	if report.Kind != finding.Container || repository == "" {
		return m
	}
	m.Reference = report.Target
	named, _, _ := strings.Cut(report.Target, "@")
	if strings.HasPrefix(named, repository+":") {
		m.RepoTags = []string{named}
	}
	if !report.Digest.IsZero() {
		m.RepoDigests = []string{repository + "@" + report.Digest.String()}
	}
	return m
}

// configuration is an image's configuration as values, so that what is written
// is well formed whatever was stored; nil where it is no JSON.
func configuration(raw json.RawMessage) any {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value map[string]any
	if len(raw) == 0 || decoder.Decode(&value) != nil {
		return nil
	}
	return value
}

// repositoryOf is a target without its tag and digest where the target names a
// repository in a registry, and "" for files: only a reference whose first
// part looks like a host is taken, as container tools do, and none with the
// prefix of a layout or an archive.
func repositoryOf(target string) string {
	name, _, _ := strings.Cut(target, "@")
	host, rest, found := strings.Cut(name, "/")
	scheme, port, _ := strings.Cut(host, ":")
	switch {
	case !found || strings.HasPrefix(host, ".") || !strings.ContainsAny(host, ".:") && host != "localhost":
		return ""
	case scheme == "oci" || scheme == "docker-archive" || strings.Contains(host, ":") && strings.Trim(port, "0123456789") != "":
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

// families are Trivy's words for distributions, by the ID of os-release, where
// they differ.
var families = map[string]string{"rhel": "redhat", "almalinux": "alma", "ol": "oracle", "amzn": "amazon", "mariner": "cbl-mariner",
	"sle-micro": "slem", "sl-micro": "slem", "sled": "sles"}

func family(id string) string { return cmp.Or(families[id], id) }

func (b builder) group(c component.Component) group {
	kind, _, _ := strings.Cut(strings.TrimPrefix(c.PURL, "pkg:"), "/")
	ecosystem, release, _ := strings.Cut(c.Ecosystem, ":")
	switch kind {
	case "deb", "apk", "rpm":
		name := strings.ToLower(ecosystem)
		if os := b.report.Inventory.OperatingSystem; os != nil {
			name, release = family(os.ID), os.VersionID
		}
		return group{target: fmt.Sprintf("%s (%s)", b.report.Target, strings.TrimSpace(name+" "+release)), class: "os-pkgs", kind: name}
	case "pypi":
		if c.Dependency != component.Declared {
			return group{rank: 1, target: "Python", class: "lang-pkgs", kind: "python-pkg"}
		}
		return group{rank: 2, target: first(c).Path, class: "lang-pkgs", kind: lockKind(first(c).Path)}
	case "conda":
		if c.Dependency != component.Declared {
			return group{rank: 1, target: "Conda", class: "lang-pkgs", kind: "conda-pkg"}
		}
		return group{rank: 2, target: first(c).Path, class: "lang-pkgs", kind: "conda-environment"}
	}
	return group{rank: 3, target: first(c).Path, class: "lang-pkgs", kind: strings.ToLower(cmp.Or(ecosystem, kind))}
}

// lockKind is Trivy's word for a file that declares Python packages. It has
// none for pdm.lock, which gets its own name, and reads pins elsewhere as pip.
func lockKind(file string) string {
	name := path.Base(file)
	switch {
	case name == "Pipfile.lock":
		return "pipenv"
	case name == "poetry.lock":
		return "poetry"
	case name == "uv.lock" || strings.HasSuffix(name, ".py.lock"):
		return "uv"
	case name == "pdm.lock":
		return "pdm"
	case strings.HasPrefix(name, "pylock.") && strings.HasSuffix(name, ".toml"):
		return "pylock"
	case strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".yaml"):
		return "conda-environment"
	}
	return "pip"
}

func first(c component.Component) component.Location {
	if len(c.Locations) == 0 {
		return component.Location{}
	}
	return c.Locations[0]
}

func (b builder) results() []result {
	grouped := map[group]*result{}
	of := func(c component.Component) *result {
		g := b.group(c)
		if grouped[g] == nil {
			grouped[g] = &result{resultHead: resultHead{Target: g.target, Class: g.class, Type: g.kind}}
		}
		return grouped[g]
	}
	for _, c := range b.report.Inventory.Components {
		r := of(c)
		r.Packages = append(r.Packages, b.pkg(c))
	}
	for _, f := range b.report.Findings {
		r := of(f.Component)
		v := b.vulnerability(f, r.Target)
		r.Vulnerabilities = append(r.Vulnerabilities, &v)
	}
	for _, s := range b.report.Suppressed {
		r := of(s.Finding.Component)
		v := b.vulnerability(s.Finding, r.Target)
		v.Assay.By, v.Assay.Justification, v.Assay.Until = s.By, s.Justification, s.Until.UTC()
		r.ModifiedFindings = append(r.ModifiedFindings, modifiedFinding{Type: "vulnerability", Status: s.Status,
			Statement: cmp.Or(s.Statement, s.Justification), Source: s.Source.String(), Finding: v})
	}
	order := slices.SortedFunc(maps.Keys(grouped), func(a, b group) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.target, b.target), cmp.Compare(a.kind, b.kind))
	})
	list := make([]result, 0, len(order))
	for _, g := range order {
		list = append(list, *grouped[g])
	}
	return list
}

func packageID(c component.Component) string { return c.Name + "@" + c.Version }

// identify gives a package its PURL and an id of its own: the same package in
// another file, or of another architecture, has another one.
func identify(c component.Component) identifier {
	parts := []string{c.PURL, c.Name, c.Version, c.Architecture, string(c.Dependency), first(c).Path}
	return identifier{PURL: c.PURL, UID: subject.Of([]byte(strings.Join(parts, "\x00"))).Hex()[:16]}
}

func (b builder) layer(c component.Component) layer {
	id := first(c).Layer
	return layer{Digest: b.digests[id].String(), DiffID: id.String()}
}

func (b builder) pkg(c component.Component) pkg {
	p := pkg{
		ID: packageID(c), Name: c.Name, Identifier: identify(c), Version: c.Version,
		Arch: c.Architecture, Dev: slices.Contains(c.Groups, "dev"), SrcName: c.SourceName, SrcVersion: c.SourceVersion,
		Licenses: c.Licenses, Layer: b.layer(c), FilePath: packagePath(c),
		Assay: origin{BaseImage: b.report.Image.InBase(c), Owner: c.Owner},
	}
	if c.Expression != "" {
		p.Licenses = []string{c.Expression}
	}
	for _, purl := range c.DependsOn {
		if id := b.ids[purl]; id != "" {
			p.DependsOn = append(p.DependsOn, id)
		}
	}
	for _, location := range c.Locations {
		// Lines are those of the file that Target names.
		if location.Line > 0 && location.Path == first(c).Path {
			p.Locations = append(p.Locations, lines{StartLine: location.Line, EndLine: location.Line})
		}
	}
	return p
}

// packagePath is the file of one package alone; a requirements file and the
// dpkg database hold many, and Trivy names those in Target.
func packagePath(c component.Component) string {
	if c.Dependency != component.Declared && (strings.HasPrefix(c.PURL, "pkg:pypi/") || strings.HasPrefix(c.PURL, "pkg:conda/")) {
		return first(c).Path
	}
	return ""
}

// fingerprint is Trivy's: it stays the same from scan to scan.
func (b builder) fingerprint(target string, f finding.Finding) string {
	return subject.Of([]byte(strings.Join([]string{b.artifactID, target, packageID(f.Component), f.ID}, ":"))).String()
}

func (b builder) place(f finding.Finding) place {
	c, at := f.Component, first(f.Component)
	p := place{Dependency: string(c.Dependency), Groups: c.Groups, Path: at.Path, Line: at.Line, BaseImage: b.report.Image.InBase(c), Owner: c.Owner, Threat: f.Threat}
	for _, l := range c.Locations[min(1, len(c.Locations)):] {
		p.Also = append(p.Also, l.String())
	}
	return p
}

func (b builder) vulnerability(f finding.Finding, target string) vulnerability {
	c, db := f.Component, b.report.Database
	v := vulnerability{
		VulnerabilityID: f.ID, VendorIDs: f.Aliases,
		PkgID: packageID(c), PkgName: c.Name, PkgPath: packagePath(c),
		PkgIdentifier: identify(c), InstalledVersion: c.Version,
		FixedVersion: f.Fixed, Status: "affected", Layer: b.layer(c),
		SeveritySource: f.Severity.Source, PrimaryURL: "https://osv.dev/vulnerability/" + f.ID,
		DataSource: dataSource{ID: "osv", Name: "OSV", URL: db.URI}, Fingerprint: b.fingerprint(target, f),
		Title: f.Title, Description: f.Details, Severity: f.Severity.Level.String(),
		CweIDs: f.Weaknesses, References: f.References,
		PublishedDate: f.Published.UTC(), LastModifiedDate: f.Modified.UTC(),
		Assay: b.place(f),
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
