package predicate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Vulns is the in-toto vulnerability predicate v0.2
// (spec/predicates/vulns_02.md of in-toto/attestation).
type Vulns struct {
	Scanner  VulnsScanner  `json:"scanner"`
	Metadata VulnsMetadata `json:"metadata"`
}

// VulnsScanner is who scanned, with which advisories, and what was found.
type VulnsScanner struct {
	URI     string        `json:"uri"`
	Version string        `json:"version,omitempty"`
	DB      VulnsDatabase `json:"db"`
	// Result is never null: an empty list means that nothing was found.
	Result []VulnsResult `json:"result"`
}

// VulnsDatabase is the advisories that were matched.
type VulnsDatabase struct {
	URI        string    `json:"uri,omitempty"`
	Version    string    `json:"version,omitempty"`
	LastUpdate time.Time `json:"lastUpdate"`
}

// VulnsResult is one vulnerability. Annotations carry what the predicate has
// no field for: package, installed and healing version, place.
type VulnsResult struct {
	ID          string           `json:"id"`
	Severity    []VulnsSeverity  `json:"severity"`
	Annotations []map[string]any `json:"annotations,omitempty"`
}

// VulnsSeverity is one rating, in the words or numbers of a method.
type VulnsSeverity struct {
	Method string `json:"method"`
	Score  string `json:"score"`
}

// VulnsMetadata is when the scan ran. Annotations are ours: how many packages
// were tested and what could not be.
type VulnsMetadata struct {
	ScanStartedOn  time.Time        `json:"scanStartedOn"`
	ScanFinishedOn time.Time        `json:"scanFinishedOn"`
	Annotations    []map[string]any `json:"annotations,omitempty"`
}

// CosignVuln is cosign's vulnerability predicate v1
// (specs/COSIGN_VULN_ATTESTATION_SPEC.md of sigstore/cosign). Result is the
// scanner's own report; Assay's has Trivy's shape.
type CosignVuln struct {
	Invocation CosignInvocation `json:"invocation"`
	Scanner    CosignScanner    `json:"scanner"`
	Metadata   CosignMetadata   `json:"metadata"`
}

// CosignInvocation is who asked for the scan.
type CosignInvocation struct {
	Parameters []string `json:"parameters"`
	URI        string   `json:"uri"`
	EventID    string   `json:"event_id"`
	BuilderID  string   `json:"builder.id"`
}

// CosignScanner is the scanner and its report.
type CosignScanner struct {
	URI     string          `json:"uri"`
	Version string          `json:"version"`
	DB      VulnsDatabase   `json:"db"`
	Result  json.RawMessage `json:"result"`
}

// CosignMetadata is when the scan ran.
type CosignMetadata struct {
	ScanStartedOn  time.Time `json:"scanStartedOn"`
	ScanFinishedOn time.Time `json:"scanFinishedOn"`
}

// VulnerabilityReport is what any vulnerability predicate says, in one shape.
type VulnerabilityReport struct {
	Scanner        string
	ScannerVersion string
	Database       DatabaseInfo
	// Started and Finished are zero where the predicate does not say.
	Started, Finished time.Time
	// Packages is how many packages were tested; -1 where the predicate does
	// not say.
	Packages        int
	Unresolved      []UnresolvedPackage
	Vulnerabilities []Vulnerability
}

// DatabaseInfo is the advisories that were matched.
type DatabaseInfo struct {
	URI, Version string
	LastUpdate   time.Time
	// Current is when the oldest of the advisories were known to be current at
	// their source; KEV and EPSS are the dates of what is known of attacks. Each
	// is zero where the predicate does not say.
	Current, KEV, EPSS time.Time
	// Sample says that they were the sample that is built into Assay.
	Sample bool
}

// UnresolvedPackage could not be tested.
type UnresolvedPackage struct {
	Name   string `json:"name,omitempty"`
	Text   string `json:"text"`
	Reason string `json:"reason"`
	Path   string `json:"path,omitempty"`
	Line   int    `json:"line,omitempty"`
}

// Vulnerability is one finding of one package.
type Vulnerability struct {
	ID      string
	Aliases []string
	Package string
	PURL    string
	// Installed is the version found, Fixed one that heals it or "".
	Installed, Fixed string
	// Severity is UNKNOWN, LOW, MEDIUM, HIGH or CRITICAL; a word that is
	// none of them is UNKNOWN.
	Severity string
	// Score is a CVSS base score, 0 where there is none.
	Score float64
	// KnownExploited says that CISA's catalogue (KEV) lists it; EPSS is FIRST's
	// probability that it is exploited within 30 days, 0 where there is none.
	KnownExploited bool
	EPSS           float64
	Dependency     string
	Path           string
	Line           int
}

// ReadVulnerabilities reads any of the vulnerability types. Where a predicate
// is not of its type's shape, or a cosign predicate holds a report that is not
// in Trivy's format, that is an error: an unreadable report is not an empty one.
func ReadVulnerabilities(uri string, raw []byte) (VulnerabilityReport, error) {
	var report VulnerabilityReport
	var err error
	switch uri {
	case TypeVulnsV02:
		report, err = readVulnsV02(raw)
	case TypeVulnsV01:
		report, err = readVulnsV01(raw)
	case TypeCosignVuln, TypeCosignVulnBare:
		report, err = readCosignVuln(raw)
	default:
		return VulnerabilityReport{}, fmt.Errorf("%s is no vulnerability type", uri)
	}
	if err != nil {
		return VulnerabilityReport{}, fmt.Errorf("reading %s: %w", uri, err)
	}
	report.Database.Sample = report.Database.Sample || report.Database.URI == SampleURI
	return report, nil
}

// severities are the words from unrated to worst.
var severities = []string{"UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"}

func worse(a, b string) string {
	if slices.Index(severities, b) > slices.Index(severities, a) {
		return b
	}
	return a
}

func severityWord(word string) string {
	switch upper := strings.ToUpper(strings.TrimSpace(word)); upper {
	case "LOW", "MEDIUM", "HIGH", "CRITICAL":
		return upper
	case "MODERATE":
		return "MEDIUM"
	case "IMPORTANT": // Red Hat's and Microsoft's word
		return "HIGH"
	case "NEGLIGIBLE", "MINIMAL":
		return "LOW"
	}
	return "UNKNOWN"
}

// vulnsEntry is a result with our annotations, and with the fields that v0.1's
// text nests differently from its example.
type vulnsEntry struct {
	ID            string          `json:"id"`
	Severity      []VulnsSeverity `json:"severity"`
	Vulnerability struct {
		ID       string          `json:"id"`
		Severity []VulnsSeverity `json:"severity"`
	} `json:"vulnerability"`
	Annotations []struct {
		Package    string   `json:"package"`
		PURL       string   `json:"purl"`
		Installed  string   `json:"installedVersion"`
		Fixed      string   `json:"fixedVersion"`
		Severity   string   `json:"severity"`
		Score      float64  `json:"score"`
		Aliases    []string `json:"aliases"`
		Dependency string   `json:"dependency"`
		Path       string   `json:"path"`
		Line       int      `json:"line"`
		Exploited  bool     `json:"knownExploited"`
		EPSS       float64  `json:"epss"`
	} `json:"annotations"`
}

func (e vulnsEntry) vulnerabilities() ([]Vulnerability, error) {
	if e.ID == "" {
		e.ID, e.Severity = e.Vulnerability.ID, e.Vulnerability.Severity
	}
	if e.ID == "" {
		return nil, errors.New("a result has no id")
	}
	word := "UNKNOWN" // the worst of what the methods say
	for _, s := range e.Severity {
		word = worse(word, worse(severityWord(s.Score), wordOfScore(s.Score)))
	}
	if len(e.Annotations) == 0 {
		return []Vulnerability{{ID: e.ID, Severity: word}}, nil
	}
	var list []Vulnerability
	for _, a := range e.Annotations {
		v := Vulnerability{ID: e.ID, Aliases: a.Aliases, Package: a.Package, PURL: a.PURL, Installed: a.Installed, Fixed: a.Fixed,
			Severity: worse(severityWord(a.Severity), word), Score: a.Score, Dependency: a.Dependency, Path: a.Path, Line: a.Line,
			KnownExploited: a.Exploited, EPSS: a.EPSS}
		list = append(list, v)
	}
	return list, nil
}

// wordOfScore rates a CVSS base score written as a number, or as a vector of
// version 3. A vector of another version is rated by nobody here.
func wordOfScore(text string) string {
	score, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		score = scoreOfVector(text)
	}
	switch {
	case score >= 9:
		return "CRITICAL"
	case score >= 7:
		return "HIGH"
	case score >= 4:
		return "MEDIUM"
	case score > 0:
		return "LOW"
	}
	return "UNKNOWN"
}

// scan is what the vulnerability types have in common.
type scan struct {
	Scanner *struct {
		URI     string `json:"uri"`
		Version string `json:"version"`
		DB      struct {
			URI        string `json:"uri"`
			Version    string `json:"version"`
			LastUpdate string `json:"lastUpdate"`
		} `json:"db"`
		Result json.RawMessage `json:"result"`
	} `json:"scanner"`
	Metadata struct {
		ScanStartedOn  time.Time `json:"scanStartedOn"`
		ScanFinishedOn time.Time `json:"scanFinishedOn"`
		Annotations    []struct {
			Packages   *int                `json:"packages"`
			Unresolved []UnresolvedPackage `json:"unresolved"`
			Database   *currency           `json:"database"`
		} `json:"annotations"`
	} `json:"metadata"`
}

// readScan reads what the types have in common; the result is still to be read.
func readScan(raw []byte) (scan, VulnerabilityReport, error) {
	var s scan
	if err := decode(raw, &s); err != nil {
		return s, VulnerabilityReport{}, err
	}
	if s.Scanner == nil {
		return s, VulnerabilityReport{}, errors.New("scanner is missing")
	}
	report := VulnerabilityReport{Scanner: s.Scanner.URI, ScannerVersion: s.Scanner.Version, Packages: -1,
		Database: DatabaseInfo{URI: s.Scanner.DB.URI, Version: s.Scanner.DB.Version},
		Started:  s.Metadata.ScanStartedOn, Finished: s.Metadata.ScanFinishedOn}
	if text := s.Scanner.DB.LastUpdate; text != "" { // cosign's example leaves it empty
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return s, VulnerabilityReport{}, fmt.Errorf("scanner.db.lastUpdate: %.100q is no RFC 3339 time", text)
		}
		report.Database.LastUpdate = t
	}
	return s, report, nil
}

func readVulnsV02(raw []byte) (VulnerabilityReport, error) {
	s, report, err := readScan(raw)
	if err != nil {
		return VulnerabilityReport{}, err
	}
	for _, a := range s.Metadata.Annotations {
		if a.Packages != nil {
			report.Packages = *a.Packages
		}
		report.Unresolved = append(report.Unresolved, a.Unresolved...)
		if a.Database != nil {
			a.Database.into(&report.Database)
		}
	}
	err = readEntries(s.Scanner.Result, &report)
	return report, err
}

// readEntries reads a result list. A list that is missing or null, and anything
// that is no list, is an error.
func readEntries(raw json.RawMessage, report *VulnerabilityReport) error {
	if raw == nil || null(raw) {
		return errors.New("scanner.result is missing or null; a scan that found nothing has an empty list")
	}
	var entries []vulnsEntry
	if err := decode(raw, &entries); err != nil {
		return fmt.Errorf("scanner.result: %w", err)
	}
	for _, e := range entries {
		list, err := e.vulnerabilities()
		if err != nil {
			return fmt.Errorf("scanner.result: %w", err)
		}
		report.Vulnerabilities = append(report.Vulnerabilities, list...)
	}
	return nil
}

// readVulnsV01 reads the three shapes that text, example and protobuf of v0.1
// have: result[].vulnerability.id, result[].id, result.vulnerabilities[].
func readVulnsV01(raw []byte) (VulnerabilityReport, error) {
	s, report, err := readScan(raw)
	if err != nil {
		return VulnerabilityReport{}, err
	}
	entries := s.Scanner.Result
	var nested struct {
		Vulnerabilities json.RawMessage `json:"vulnerabilities"`
	}
	if decode(entries, &nested) == nil && nested.Vulnerabilities != nil {
		entries = nested.Vulnerabilities
	}
	err = readEntries(entries, &report)
	return report, err
}

// trivyReport is what is read of a report in Trivy's format.
type trivyReport struct {
	SchemaVersion *int            `json:"SchemaVersion"`
	Results       json.RawMessage `json:"Results"`
	Assay         *struct {
		Database struct {
			Sample     bool      `json:"sample"`
			URI        string    `json:"uri"`
			Version    string    `json:"version"`
			LastUpdate time.Time `json:"lastUpdate"`
			Current    time.Time `json:"current"`
			Feeds      []Feed    `json:"feeds"`
		} `json:"database"`
		Packages   int                 `json:"packages"`
		Unresolved []UnresolvedPackage `json:"unresolved"`
	} `json:"Assay"`
}

type trivyResult struct {
	Target          string            `json:"Target"`
	Class           string            `json:"Class"`
	Packages        []json.RawMessage `json:"Packages"`
	Vulnerabilities []struct {
		VulnerabilityID  string   `json:"VulnerabilityID"`
		VendorIDs        []string `json:"VendorIDs"`
		PkgName          string   `json:"PkgName"`
		InstalledVersion string   `json:"InstalledVersion"`
		FixedVersion     string   `json:"FixedVersion"`
		Severity         string   `json:"Severity"`
		SeveritySource   string   `json:"SeveritySource"`
		PkgIdentifier    struct {
			PURL string `json:"PURL"`
		} `json:"PkgIdentifier"`
		CVSS map[string]struct {
			V3Score  float64 `json:"V3Score"`
			V40Score float64 `json:"V40Score"`
		} `json:"CVSS"`
		Assay struct {
			Dependency string `json:"dependency"`
			Path       string `json:"path"`
			Line       int    `json:"line"`
			Threat     struct {
				Exploited *struct{} `json:"exploited"`
				EPSS      struct {
					Probability float64 `json:"probability"`
				} `json:"epss"`
			} `json:"threat"`
		} `json:"Assay"`
	} `json:"Vulnerabilities"`
}

// lookedAtPackages says whether a result is of packages at all: Trivy writes
// one for whatever it looked into, a Dockerfile's configuration too.
func (r trivyResult) lookedAtPackages() bool {
	return r.Class == "os-pkgs" || r.Class == "lang-pkgs" || len(r.Vulnerabilities) > 0 || len(r.Packages) > 0
}

func readCosignVuln(raw []byte) (VulnerabilityReport, error) {
	s, report, err := readScan(raw)
	if err != nil {
		return VulnerabilityReport{}, err
	}
	result := s.Scanner.Result
	var quoted string // some pipelines put the report in as a string
	if json.Unmarshal(result, &quoted) == nil {
		result = json.RawMessage(quoted)
	}
	err = readTrivy(result, &report)
	return report, err
}

// ErrForeignReport says that a cosign predicate holds another scanner's report:
// an object with nothing in it that Trivy's format has. Whoever gets it knows
// neither packages nor findings.
var ErrForeignReport = errors.New("scanner.result is no report in Trivy's format")

func readTrivy(raw json.RawMessage, report *VulnerabilityReport) error {
	list, err := members(raw, "scanner.result")
	if err != nil {
		return err
	}
	if list["SchemaVersion"] == nil && list["Results"] == nil && list["Assay"] == nil {
		return ErrForeignReport
	}
	var trivy trivyReport
	if err := decode(raw, &trivy); err != nil {
		return fmt.Errorf("scanner.result: %w", err)
	}
	if trivy.SchemaVersion == nil || *trivy.SchemaVersion != 2 {
		return errors.New("scanner.result: SchemaVersion is not 2")
	}
	var results []trivyResult
	if trivy.Results != nil {
		if err := decode(trivy.Results, &results); err != nil {
			return fmt.Errorf("scanner.result.Results: %w", err)
		}
	}
	if ours := trivy.Assay; ours != nil {
		report.Packages, report.Unresolved = ours.Packages, ours.Unresolved
		sample := ours.Database.Sample || report.Database.URI == SampleURI // either place is enough
		report.Database = DatabaseInfo{URI: ours.Database.URI, Version: ours.Database.Version, LastUpdate: ours.Database.LastUpdate, Sample: sample}
		currency{Current: ours.Database.Current, Feeds: ours.Database.Feeds}.into(&report.Database)
	} else if !slices.ContainsFunc(results, trivyResult.lookedAtPackages) {
		report.Packages = 0
	}
	for _, result := range results {
		for _, v := range result.Vulnerabilities {
			if v.VulnerabilityID == "" {
				return fmt.Errorf("scanner.result: a vulnerability of %s has no VulnerabilityID", result.Target)
			}
			found := Vulnerability{ID: v.VulnerabilityID, Aliases: v.VendorIDs, Package: v.PkgName, PURL: v.PkgIdentifier.PURL,
				Installed: v.InstalledVersion, Fixed: v.FixedVersion, Severity: severityWord(v.Severity),
				KnownExploited: v.Assay.Threat.Exploited != nil, EPSS: v.Assay.Threat.EPSS.Probability,
				Dependency: v.Assay.Dependency, Path: v.Assay.Path, Line: v.Assay.Line}
			if found.Path == "" {
				found.Path = result.Target
			}
			if cvss, ok := v.CVSS[v.SeveritySource]; ok {
				found.Score = max(cvss.V3Score, cvss.V40Score)
			}
			if found.Score == 0 { // a source that rates in words: the highest that another gives
				for _, cvss := range v.CVSS {
					found.Score = max(found.Score, cvss.V3Score, cvss.V40Score)
				}
			}
			report.Vulnerabilities = append(report.Vulnerabilities, found)
		}
	}
	return nil
}
