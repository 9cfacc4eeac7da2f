// Package trivy writes the report of a scan in Trivy's JSON format.
//
// Entry points are [Encode], for a person's or a pipeline's file, and [Report],
// the same document for evidence. The shape is that of `trivy image --format
// json`, SchemaVersion 2 (pkg/types/report.go of aquasecurity/trivy), so that
// what reads Trivy's reports reads ours. Missing are the key "Trivy", because
// Trivy did not scan, and Size, because Trivy counts unpacked bytes. What Trivy
// has no field for stands under the key "Assay": which advisories were matched,
// how many packages were tested and what could not be, whether a package was
// found installed, every place of it, and what is known of attacks.
//
// A package that stands in several files is one entry, under the first of
// them. Suppressed findings stand in ExperimentalModifiedFindings, and a result
// without vulnerabilities has no such key.
//
// The package reads no reports: predicate.ReadVulnerabilities does. The same
// report always gives the same bytes: ids are digests of what they name.
package trivy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/indent"
)

// Encode writes a report, indented by two spaces, with a newline at its end.
// toolVersion is Assay's own version, without a "v". An error is the writer's.
func Encode(w io.Writer, report finding.Report, toolVersion string) error {
	doc := build(report, toolVersion)
	out := indent.NewWriter(w)
	out.Object(func() {
		out.Members(doc.head)
		out.Name("Results")
		if doc.Results == nil {
			out.Value(nil)
		} else {
			out.Array(func() {
				for _, r := range doc.Results {
					r.write(out)
				}
			})
		}
		out.Name("Assay")
		out.Value(doc.Assay)
	})
	if err := out.Close(); err != nil {
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
	head
	Results []result
	Assay   extension
}

type head struct {
	SchemaVersion int
	ReportID      string
	CreatedAt     time.Time `json:",omitzero"`
	ArtifactID    string    `json:",omitempty"`
	ArtifactName  string
	ArtifactType  string
	Metadata      metadata
}

type metadata struct {
	OS          *operatingSystem `json:",omitempty"`
	ImageID     string           `json:",omitempty"`
	DiffIDs     []string         `json:",omitempty"`
	RepoTags    []string         `json:",omitempty"`
	RepoDigests []string         `json:",omitempty"`
	Reference   string           `json:",omitempty"`
	ImageConfig any              `json:",omitempty"`
	Layers      []layer          `json:",omitempty"`
}

type operatingSystem struct {
	Family string
	Name   string
}

type result struct {
	resultHead
	Packages         []pkg             `json:",omitempty"`
	Vulnerabilities  []*vulnerability  `json:",omitempty"`
	ModifiedFindings []modifiedFinding `json:"ExperimentalModifiedFindings,omitempty"`
}

type resultHead struct {
	Target string
	Class  string
	Type   string
}

// write is what encoding/json would write, one list item at a time: a report of
// thousands of findings is not held once more as text.
func (r result) write(out *indent.Writer) {
	out.Object(func() {
		out.Members(r.resultHead)
		list(out, "Packages", r.Packages)
		list(out, "Vulnerabilities", r.Vulnerabilities)
		list(out, "ExperimentalModifiedFindings", r.ModifiedFindings)
	})
}

// list writes a list that is left out when it is empty.
func list[T any](out *indent.Writer, name string, items []T) {
	if len(items) == 0 {
		return
	}
	out.Name(name)
	out.Array(func() {
		for _, item := range items {
			out.Value(item)
		}
	})
}

// modifiedFinding is a finding that does not count.
type modifiedFinding struct {
	Type      string
	Status    string
	Statement string
	Source    string
	Finding   vulnerability
}

type identifier struct {
	PURL string `json:",omitempty"`
	UID  string `json:",omitempty"`
}

type layer struct {
	Digest string `json:",omitempty"`
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
	Dev        bool     `json:",omitempty"`
	SrcName    string   `json:",omitempty"`
	SrcVersion string   `json:",omitempty"`
	Licenses   []string `json:",omitempty"`
	DependsOn  []string `json:",omitempty"`
	Layer      layer    `json:",omitzero"`
	FilePath   string   `json:",omitempty"`
	Locations  []lines  `json:",omitempty"`
	Assay      origin   `json:",omitzero"`
}

// origin says how a package came to be there: with the base image, and by which
// package of the distribution (its PURL).
type origin struct {
	BaseImage bool   `json:"baseImage,omitempty"`
	Owner     string `json:"owner,omitempty"`
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
	Fingerprint      string
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

// note is something to know of the inventory, or of the rules about what counts,
// that leaves nothing untested.
type note struct {
	Text string `json:"text"`
	Path string `json:"path,omitempty"`
	Line int    `json:"line,omitempty"`
}

// place says how a vulnerable package is known and where it was found, and
// what is known of attacks.
type place struct {
	Dependency string   `json:"dependency,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	Path       string   `json:"path,omitempty"`
	Line       int      `json:"line,omitempty"`
	// Also are the further places, "path:line".
	Also      []string       `json:"also,omitempty"`
	BaseImage bool           `json:"baseImage,omitempty"`
	Owner     string         `json:"owner,omitempty"`
	Threat    finding.Threat `json:"threat,omitzero"`
	// By, Justification and Until are of a suppression.
	By            string    `json:"by,omitempty"`
	Justification string    `json:"justification,omitempty"`
	Until         time.Time `json:"until,omitzero"`
}

// extension is the top-level key "Assay"; predicate reads it back.
type extension struct {
	Version string `json:"version"`
	Digest  string `json:"digest,omitempty"`
	// Index is the digest of the index that the image was chosen from.
	Index    string   `json:"index,omitempty"`
	Base     *base    `json:"baseImage,omitempty"`
	Database database `json:"database"`
	// Packages counts what was tested, Dependencies all that was found; Untested
	// are the ecosystems of the difference.
	Packages     int          `json:"packages"`
	Dependencies dependencies `json:"dependencies"`
	Untested     []string     `json:"untested,omitempty"`
	Unresolved   []unresolved `json:"unresolved"`
	// RequirePinned says that each of Unresolved counts; each of Expired does.
	RequirePinned bool              `json:"requirePinned,omitempty"`
	Expired       []finding.Expired `json:"expired,omitempty"`
	Notes         []note            `json:"notes,omitempty"`
	// SBOMs are what the packages were read from, where not from the target.
	SBOMs []finding.SBOM `json:"sboms,omitempty"`
}

type database struct {
	Sample     bool      `json:"sample"`
	URI        string    `json:"uri"`
	Version    string    `json:"version"`
	LastUpdate time.Time `json:"lastUpdate"`
	// Current is when the source of the oldest ecosystem was known to be current.
	Current time.Time      `json:"current,omitzero"`
	Records int            `json:"records"`
	Feeds   []finding.Feed `json:"feeds,omitempty"`
}

// base says which layers came with the base image, and how that is known.
type base struct {
	Layers int    `json:"layers"`
	Known  string `json:"known,omitempty"`
}

type dependencies struct {
	Installed int `json:"installed"`
	Declared  int `json:"declared"`
	Packaged  int `json:"packaged,omitempty"`
}

type unresolved struct {
	Name   string `json:"name,omitempty"`
	Text   string `json:"text"`
	Reason string `json:"reason"`
	Path   string `json:"path,omitempty"`
	Line   int    `json:"line,omitempty"`
}
