// Package trivy writes the report of a scan in Trivy's JSON format.
//
// Entry points are [Encode], for a person's or a pipeline's file, and [Report],
// the same document for evidence. The shape is that of `trivy image --format
// json`, SchemaVersion 2 (pkg/types/report.go of aquasecurity/trivy), so that
// what reads Trivy's reports reads ours. What Trivy has no field for stands
// under the key "Assay": which advisories were matched, how many packages were
// tested and what could not be, and whether a package was found installed.
//
// The package reads no reports: predicate.ReadVulnerabilities does. The same
// report always gives the same bytes.
package trivy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
)

// Encode writes a report, indented by two spaces, with a newline at its end.
// toolVersion is Assay's own version, without a "v". An error is the writer's.
func Encode(w io.Writer, report finding.Report, toolVersion string) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(build(report, toolVersion)); err != nil {
		return fmt.Errorf("writing the report of %s: %w", report.Target, err)
	}
	return nil
}

// Report is what Encode writes, compact, for scanner.result of cosign's
// vulnerability predicate.
func Report(report finding.Report, toolVersion string) (json.RawMessage, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(build(report, toolVersion)); err != nil {
		return nil, fmt.Errorf("writing the report of %s: %w", report.Target, err)
	}
	return bytes.TrimSpace(buffer.Bytes()), nil
}

// document and what follows are Trivy's types, as far as they are written.
type document struct {
	SchemaVersion int
	CreatedAt     time.Time `json:",omitzero"`
	ArtifactName  string
	ArtifactType  string
	Metadata      metadata
	Results       []result
	Assay         extension
}

type metadata struct {
	OS          *operatingSystem `json:",omitempty"`
	ImageID     string           `json:",omitempty"`
	DiffIDs     []string         `json:",omitempty"`
	RepoDigests []string         `json:",omitempty"`
}

type operatingSystem struct {
	Family string
	Name   string
}

type result struct {
	Target          string
	Class           string
	Type            string
	Packages        []pkg           `json:",omitempty"`
	Vulnerabilities []vulnerability `json:",omitempty"`
}

type identifier struct {
	PURL string `json:",omitempty"`
}

type layer struct {
	DiffID string `json:",omitempty"`
}

type lines struct {
	StartLine int
	EndLine   int
}

type pkg struct {
	ID         string
	Name       string
	Identifier identifier `json:",omitzero"`
	Version    string
	Arch       string   `json:",omitempty"`
	SrcName    string   `json:",omitempty"`
	SrcVersion string   `json:",omitempty"`
	Licenses   []string `json:",omitempty"`
	Layer      layer    `json:",omitzero"`
	FilePath   string   `json:",omitempty"`
	Locations  []lines  `json:",omitempty"`
}

type dataSource struct {
	ID   string
	Name string
	URL  string
}

type cvss struct {
	V2Vector  string  `json:",omitempty"`
	V3Vector  string  `json:",omitempty"`
	V40Vector string  `json:",omitempty"`
	V2Score   float64 `json:",omitempty"`
	V3Score   float64 `json:",omitempty"`
	V40Score  float64 `json:",omitempty"`
}

type vulnerability struct {
	VulnerabilityID  string
	VendorIDs        []string `json:",omitempty"`
	PkgID            string
	PkgName          string
	PkgPath          string     `json:",omitempty"`
	PkgIdentifier    identifier `json:",omitzero"`
	InstalledVersion string
	FixedVersion     string `json:",omitempty"`
	Status           string
	Layer            layer  `json:",omitzero"`
	SeveritySource   string `json:",omitempty"`
	PrimaryURL       string
	DataSource       dataSource
	Title            string `json:",omitempty"`
	Description      string `json:",omitempty"`
	Severity         string
	CweIDs           []string        `json:",omitempty"`
	VendorSeverity   map[string]int  `json:",omitempty"`
	CVSS             map[string]cvss `json:",omitempty"`
	References       []string        `json:",omitempty"`
	PublishedDate    time.Time       `json:",omitzero"`
	LastModifiedDate time.Time       `json:",omitzero"`
	Assay            place           `json:",omitzero"`
}

// place says how a vulnerable package is known, and where it was found.
type place struct {
	Dependency string   `json:"dependency,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	Path       string   `json:"path,omitempty"`
	Line       int      `json:"line,omitempty"`
}

// extension is the top-level key "Assay"; predicate reads it back.
type extension struct {
	Version      string       `json:"version"`
	Digest       string       `json:"digest,omitempty"`
	Database     database     `json:"database"`
	Packages     int          `json:"packages"`
	Dependencies dependencies `json:"dependencies"`
	Unresolved   []unresolved `json:"unresolved"`
	Notes        []note       `json:"notes,omitempty"`
}

type note struct {
	Text string `json:"text"`
	Path string `json:"path,omitempty"`
	Line int    `json:"line,omitempty"`
}

type database struct {
	Sample     bool      `json:"sample"`
	URI        string    `json:"uri"`
	Version    string    `json:"version"`
	LastUpdate time.Time `json:"lastUpdate"`
	Records    int       `json:"records"`
}

type dependencies struct {
	Installed int `json:"installed"`
	Declared  int `json:"declared"`
}

type unresolved struct {
	Name   string `json:"name,omitempty"`
	Text   string `json:"text"`
	Reason string `json:"reason"`
	Path   string `json:"path,omitempty"`
	Line   int    `json:"line,omitempty"`
}
