// Package evidence writes what a run found as in-toto predicates.
//
// Entry points are [Vulnerabilities], [Provenance], [Tests], [Analysis] and [Summary];
// each gives a [Document], a predicate with its type, that nobody has signed
// yet. Predicates have the vetted types of package predicate and no others.
// What shows nothing is an error and never a passed result: no test that ran,
// no report of an analysis. The package is pure: times come in as values, and
// the same input gives the same bytes.
package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/trivy"
	"github.com/seed-161fc314/assay/predicate"
)

// ScannerURI names Assay's scanner in evidence.
const ScannerURI = "https://assay.sh/scanner"

// Document is a predicate: the URI of its type, and its body as a compact JSON
// object.
type Document struct {
	Type string
	Body json.RawMessage
}

func document(uri string, body any) (Document, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return Document{}, fmt.Errorf("writing a predicate of type %s: %w", uri, err)
	}
	return Document{Type: uri, Body: bytes.TrimSpace(buffer.Bytes())}, nil
}

// What says, in each of the vulnerability predicates, that the packages were
// read from SBOMs and not from the image: an annotation of vulns v0.2 holds the
// report's SBOMs, and an invocation parameter of cosign's names each.
const (
	annotationSBOMs = "sboms"
	parameterSBOM   = "from-sbom="
)

// annotationPinned says, beside what could not be tested, that it counted.
const annotationPinned = "requirePinned"

// Vulnerabilities writes a report as both vulnerability predicates: in-toto's
// v0.2 with one result for each finding, and cosign's with the report in
// Trivy's format inside, which existing policies read. toolVersion is Assay's
// own, without a "v".
func Vulnerabilities(report finding.Report, toolVersion string) (vulns, cosign Document, err error) {
	db := predicate.VulnsDatabase{URI: report.Database.URI, Version: report.Database.Version, LastUpdate: report.Database.LastUpdate.UTC()}
	body := predicate.Vulns{
		Scanner:  predicate.VulnsScanner{URI: ScannerURI, Version: toolVersion, DB: db, Result: []predicate.VulnsResult{}},
		Metadata: predicate.VulnsMetadata{ScanStartedOn: report.Started.UTC(), ScanFinishedOn: report.Finished.UTC()},
	}
	var unresolved []predicate.UnresolvedPackage
	for _, u := range report.Inventory.Unresolved {
		unresolved = append(unresolved, predicate.UnresolvedPackage{Name: u.Name, Text: u.Text, Reason: u.Reason, Path: u.Location.Path, Line: u.Location.Line})
	}
	scan := predicate.ScanAnnotation(report.Tested(), unresolved)
	if report.RequirePinned {
		scan[annotationPinned] = true
	}
	body.Metadata.Annotations = []map[string]any{scan, predicate.DatabaseAnnotation(report.Database.Current, feeds(report.Database))}
	if suppressed := suppressed(report); len(suppressed) > 0 {
		body.Metadata.Annotations = append(body.Metadata.Annotations, predicate.SuppressionAnnotation(suppressed))
	}
	if expired := expired(report); len(expired) > 0 {
		body.Metadata.Annotations = append(body.Metadata.Annotations, predicate.ExpiredAnnotation(expired))
	}
	invocation := predicate.CosignInvocation{Parameters: []string{}, URI: report.Target}
	if len(report.SBOMs) > 0 {
		body.Metadata.Annotations = append(body.Metadata.Annotations, map[string]any{annotationSBOMs: report.SBOMs})
		for _, s := range report.SBOMs {
			invocation.Parameters = append(invocation.Parameters, parameterSBOM+s.String())
		}
	}
	for _, f := range report.Findings {
		body.Scanner.Result = append(body.Scanner.Result, result(f))
	}
	if vulns, err = document(predicate.TypeVulnsV02, body); err != nil {
		return Document{}, Document{}, err
	}
	inside, err := trivy.Report(report, toolVersion)
	if err != nil {
		return Document{}, Document{}, err
	}
	cosign, err = document(predicate.TypeCosignVuln, predicate.CosignVuln{
		Invocation: invocation,
		Scanner:    predicate.CosignScanner{URI: ScannerURI, Version: toolVersion, DB: db, Result: inside},
		Metadata:   predicate.CosignMetadata{ScanStartedOn: report.Started.UTC(), ScanFinishedOn: report.Finished.UTC()},
	})
	if err != nil {
		return Document{}, Document{}, err
	}
	return vulns, cosign, nil
}

func suppressed(report finding.Report) []predicate.SuppressedVulnerability {
	var list []predicate.SuppressedVulnerability
	for _, s := range report.Suppressed {
		f := s.Finding
		list = append(list, predicate.SuppressedVulnerability{ID: f.ID, Package: f.Component.Name, PURL: f.Component.PURL, Installed: f.Component.Version,
			Severity: f.Severity.Level.String(), Status: s.Status, Justification: s.Justification, Statement: s.Statement, By: s.By, Source: s.Source.Path, Until: s.Until.UTC()})
	}
	return list
}

func feeds(db finding.Database) []predicate.Feed {
	var list []predicate.Feed
	for _, f := range db.Feeds {
		list = append(list, predicate.Feed{Name: f.Name, Version: f.Version, Date: f.Date.UTC()})
	}
	return list
}

func expired(report finding.Report) []predicate.ExpiredIgnore {
	var list []predicate.ExpiredIgnore
	for _, e := range report.Expired {
		list = append(list, predicate.ExpiredIgnore{ID: e.ID, Scope: e.Scope, Reason: e.Reason, Owner: e.Owner, Ended: e.Ended.UTC(), Source: e.Source.Path, Findings: e.Findings})
	}
	return list
}

func result(f finding.Finding) predicate.VulnsResult {
	c := f.Component
	v := predicate.Vulnerability{ID: f.ID, Aliases: f.Aliases, Package: c.Name, PURL: c.PURL, Installed: c.Version, Fixed: f.Fixed,
		Severity: f.Severity.Level.String(), Score: f.Severity.Score, Dependency: string(c.Dependency), KnownExploited: f.Threat.Exploited != nil}
	if f.Threat.EPSS != nil {
		v.EPSS = f.Threat.EPSS.Probability
	}
	if len(c.Locations) > 0 {
		v.Path, v.Line = c.Locations[0].Path, c.Locations[0].Line
	}
	r := predicate.VulnsResult{ID: f.ID, Severity: []predicate.VulnsSeverity{}, Annotations: []map[string]any{v.Annotation()}}
	ratings := f.Ratings
	if len(ratings) == 0 && f.Severity.Source != "" {
		ratings = []finding.Severity{f.Severity}
	}
	for _, rating := range ratings {
		if rating.Vector != "" {
			r.Severity = append(r.Severity, predicate.VulnsSeverity{Method: rating.Source + " CVSS score", Score: fmt.Sprintf("%.1f", rating.Score)},
				predicate.VulnsSeverity{Method: rating.Source + " CVSS vector", Score: rating.Vector})
		} else {
			r.Severity = append(r.Severity, predicate.VulnsSeverity{Method: rating.Source, Score: rating.Level.String()})
		}
	}
	return r
}

// Build is what provenance says.
type Build struct {
	// BuilderID names the trust base, BuildType says how to read External;
	// both are URIs and neither may be empty.
	BuilderID, BuildType string
	// InvocationID names the run; "" where it has no name.
	InvocationID string
	// Version is the builder's: Assay's own, "" where it is not known.
	Version string
	// External are all parameters that whoever asked for the build controls,
	// Internal what the builder set (nil for none). Each is a JSON object.
	External, Internal any
	// Dependencies are what the build read.
	Dependencies []predicate.ResourceDescriptor
	// Started and Finished are the builder's clock; zero is left out.
	Started, Finished time.Time
}

// Provenance writes SLSA provenance v1. A build without builder, build type or
// external parameters, and one that finished before it started, is an error.
func Provenance(b Build) (Document, error) {
	switch {
	case b.BuilderID == "" || b.BuildType == "":
		return Document{}, errors.New("provenance: a builder id and a build type are needed")
	case b.External == nil:
		return Document{}, errors.New("provenance: external parameters are needed; a build without any has an empty object")
	case !b.Finished.IsZero() && b.Finished.Before(b.Started):
		return Document{}, fmt.Errorf("provenance: the build finished at %s, before it started at %s", b.Finished.UTC().Format(time.RFC3339), b.Started.UTC().Format(time.RFC3339))
	}
	builder := predicate.Builder{ID: b.BuilderID}
	if b.Version != "" {
		builder.Version = map[string]string{"assay": b.Version}
	}
	return document(predicate.TypeProvenanceV1, predicate.Provenance{
		BuildDefinition: predicate.BuildDefinition{BuildType: b.BuildType, ExternalParameters: b.External,
			InternalParameters: b.Internal, ResolvedDependencies: b.Dependencies},
		RunDetails: predicate.RunDetails{
			Builder:  builder,
			Metadata: &predicate.BuildMetadata{InvocationID: b.InvocationID, StartedOn: b.Started.UTC(), FinishedOn: b.Finished.UTC()},
		},
	})
}
