package shape_test

import (
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/engine/policy/shape"
	"github.com/seed-161fc314/assay/predicate"
)

// path reads a.b[].c; a step in quotes keeps its dots.
func path(text string) shape.Path {
	var p shape.Path
	for text != "" {
		switch {
		case strings.HasPrefix(text, "[]"):
			p, text = p.With(shape.Each()), text[2:]
		case strings.HasPrefix(text, ".*"):
			p, text = p.With(shape.Whichever()), text[2:]
		default:
			text = strings.TrimPrefix(text, ".")
			end := strings.IndexAny(text, ".[")
			if strings.HasPrefix(text, `"`) {
				end = strings.Index(text[1:], `"`) + 2
			}
			if end < 0 || end > len(text) {
				end = len(text)
			}
			p, text = p.With(shape.Field(strings.Trim(text[:end], `"`))), text[end:]
		}
	}
	return p
}

func TestFollow(t *testing.T) {
	for _, test := range []struct{ uri, path string }{
		{predicate.TypeProvenanceV02, "builder.id"},
		{predicate.TypeProvenanceV02, "materials[].digest.sha1"},
		{predicate.TypeProvenanceV02, "invocation.configSource.uri"},
		{predicate.TypeProvenanceV02, "invocation.environment.github.run_id"},
		{predicate.TypeProvenanceV02, `metadata."https://mobyproject.org/buildkit@v1#hermetic"`},
		{predicate.TypeProvenanceV1, "buildDefinition.externalParameters.workflow.ref"},
		{predicate.TypeProvenanceV1, "buildDefinition.resolvedDependencies[].digest.gitCommit"},
		{predicate.TypeCosignVuln, "scanner.result.Results[].Vulnerabilities[].PkgID"},
		{predicate.TypeCosignVuln, "scanner.result.Results[].Vulnerabilities[].CVSS.nvd.V3Score"},
		{predicate.TypeCosignVuln, "scanner.result.Results[].Vulnerabilities[].CVSS.somebody.V3Score"},
		{predicate.TypeCosignVulnBare, "metadata.scanFinishedOn"},
		{predicate.TypeVulnsV01, "scanner.result[].severity[].score"},
		{predicate.TypeCycloneDX, "components[].components[].components[].licenses[].license.id"},
		{predicate.TypeCycloneDX + "/v1.5", "metadata.tools.components"},
		{predicate.TypeSPDX, "packages[].licenseDeclared"},
		{predicate.TypeVSA, "policy.uri"},
		{predicate.TypeTestResult, "configuration[].annotations"},
		{predicate.TypeOpenVEX, `statements[].vulnerability."@id"`},
	} {
		s, known := shape.Of(test.uri)
		if !known {
			t.Errorf("%s is not known", test.uri)
			continue
		}
		if place := s.Follow(path(test.path)); !place.Found {
			t.Errorf("%s: %s is not found: %+v", test.uri, test.path, place)
		}
	}
}

func TestFollowRefuses(t *testing.T) {
	for _, test := range []struct{ uri, path, missing, near string }{
		{predicate.TypeProvenanceV02, "predicate.builder.id", "predicate", "builder.id"},
		{predicate.TypeProvenanceV02, "vulnerabilities_summary.critical", "vulnerabilities_summary", ""},
		{predicate.TypeProvenanceV02, "buildDefinition.buildType", "buildDefinition", "buildType"},
		{predicate.TypeProvenanceV02, "materials.uri", "materials.uri", "materials[].uri"},
		{predicate.TypeProvenanceV1, "builder.id", "builder", "runDetails.builder.id"},
		{predicate.TypeProvenanceV1, "runDetails.builder.name", "runDetails.builder.name", "buildDefinition.resolvedDependencies[].name"},
		{predicate.TypeCosignVuln, "scanner.result.Results[].Vulnerabilities[].pkgID", "scanner.result.Results[].Vulnerabilities[].pkgID", "scanner.result.Results[].Vulnerabilities[].PkgID"},
		{predicate.TypeCosignVuln, "Results[].Vulnerabilities", "Results", "scanner.result.Results[].Vulnerabilities"},
		{predicate.TypeCosignVuln, "scanner.result.Results[].Vulnerabilities[].CVSS.nvd.V5Score", "scanner.result.Results[].Vulnerabilities[].CVSS.nvd.V5Score", "scanner.result.Results[].Vulnerabilities[].CVSS.bitnami.V2Score"},
		{predicate.TypeCycloneDX, "component[].name", "component", "components[].name"},
		{predicate.TypeCycloneDX, "metadata.timestamps", "metadata.timestamps", "metadata.timestamp"},
		{predicate.TypeCycloneDX, "specVersion.major", "specVersion.major", ""},
		{predicate.TypeCycloneDX, "metadata[].timestamp", "metadata[]", "metadata.timestamp"},
		{predicate.TypeTestResult, "results", "results", "result"},
	} {
		s, _ := shape.Of(test.uri)
		place := s.Follow(path(test.path))
		if place.Found || place.Missing != test.missing {
			t.Errorf("%s: %s gives %+v, want that %s is missing", test.uri, test.path, place, test.missing)
		}
		if place.Near != test.near && test.missing != "runDetails.builder.name" && !strings.Contains(test.path, "V5") {
			t.Errorf("%s: near %s is %q, want %q", test.uri, test.path, place.Near, test.near)
		}
	}
}

func TestWhoWritesIt(t *testing.T) {
	s, _ := shape.Of(predicate.TypeCosignVuln)
	if place := s.Follow(path("scanner.result.Results[].Vulnerabilities[].CVSS.redhat.V3Score")); !place.Found || place.Foreign != "scanner.result.Results[].Vulnerabilities[].CVSS.redhat" {
		t.Errorf("Red Hat's score is %+v, want that other tools write it", place)
	}
	if place := s.Follow(path("scanner.result.Results[].Vulnerabilities[].CVSS.nvd.V3Score")); place.Foreign != "" {
		t.Errorf("NVD's score is %+v, want that Assay writes it", place)
	}
	if place := s.Follow(path("scanner.result.summary.critical")); place.Found || !place.Loose {
		t.Errorf("a path in the scanner's own report is %+v, want that the type leaves it to the scanner", place)
	}
	if place := s.Follow(path("scanner.url")); place.Found || place.Loose {
		t.Errorf("a path of the type itself is %+v, want that the type does not have it", place)
	}
}

func TestWords(t *testing.T) {
	s, _ := shape.Of(predicate.TypeCosignVuln)
	if place := s.Follow(path("scanner.result.Results[].Vulnerabilities[].Severity")); strings.Join(place.Words, " ") != "UNKNOWN LOW MEDIUM HIGH CRITICAL" {
		t.Errorf("a severity is one of %v", place.Words)
	}
	if place := s.Follow(path("scanner.uri")); place.Words != nil {
		t.Errorf("a URI is one of %v, want any text", place.Words)
	}
}

func TestElsewhere(t *testing.T) {
	other, place, ok := shape.Elsewhere(predicate.TypeProvenanceV02, path("vulnerabilities_summary.critical"))
	if !ok || other != predicate.TypeCosignVuln || place != "scanner.result.Results[].Vulnerabilities[].Severity" {
		t.Errorf("critical vulnerabilities are in %s at %s, %v", other, place, ok)
	}
	if other, place, ok := shape.Elsewhere(predicate.TypeVulnsV02, path("vulnerabilities.severity")); !ok || other != predicate.TypeVulnsV02 {
		t.Errorf("severities are in %s at %s, want the type itself", other, place)
	}
	if other, place, ok := shape.Elsewhere(predicate.TypeProvenanceV02, path("favourite.colour")); ok {
		t.Errorf("a favourite colour is in %s at %s, want nowhere", other, place)
	}
}

func TestMergeAndLists(t *testing.T) {
	s, _ := shape.Of(predicate.TypeCycloneDX)
	for _, p := range []shape.Path{
		path("components").With(shape.Each(), shape.Merge(), shape.Field("name")),
		path("components[].licenses").With(shape.Merge(), shape.Field("license")),
	} {
		if place := s.Follow(p); !place.Found {
			t.Errorf("%s is %+v", p, place)
		}
	}
	if !s.Lists(path("components")) || s.Lists(path("metadata")) || s.Lists(path("nothing")) {
		t.Error("only components is a list")
	}
}

func TestEveryShapeReads(t *testing.T) {
	for _, uri := range shape.Types() {
		s, known := shape.Of(uri)
		if !known || len(s.Fields()) == 0 {
			t.Errorf("%s has no fields", uri)
		}
		// Every link must lead somewhere; near walks all of them.
		s.Follow(path("nothing.that.is.there"))
	}
	if _, known := shape.Of("https://example.com/own/v1"); known {
		t.Error("a type of somebody's own is known")
	}
}
