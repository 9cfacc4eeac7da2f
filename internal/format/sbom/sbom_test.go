package sbom_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/sbom/sbomtest"
)

func TestSniff(t *testing.T) {
	for text, want := range map[string]finding.TargetKind{
		`{"bomFormat":"CycloneDX"}`:                               finding.CycloneDX,
		"\xef\xbb\xbf \n{\"x\":[{}],\"bomFormat\":\"CycloneDX\"}": finding.CycloneDX,
		`{"spdxVersion":"SPDX-2.3","broken`:                       finding.SPDX,
		`{"spdxVersion":"SPDX-9"}`:                                finding.SPDX, // its reader says what is read
		`{"bomFormat":"other"}`:                                   "",
		`{"default":{"a":{"version":"==1"}}}`:                     "", // Pipfile.lock
		`{"broken`:                                                "",
		`torch==1.13`:                                             "",
		`<html>`:                                                  "",
		``:                                                        "",
	} {
		if got, err := sbom.Sniff([]byte(text)); got != want || err != nil {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"SPDXVersion: SPDX-2.3\n", `<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.6">`,
		`<rdf:RDF xmlns="http://spdx.org/rdf/terms#">`, `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`} {
		if got, err := sbom.Sniff([]byte(text)); got != "" || !errors.Is(err, sbom.ErrUnsupported) || !strings.Contains(err.Error(), "CycloneDX 1.2 to 1.7") {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

// TestGraphReachesAll holds that the target reaches every component, that roots
// are needed by nothing that is not below them, and that cycles end.
func TestGraphReachesAll(t *testing.T) {
	for seed := range uint64(500) {
		components := sbomtest.Document(seed).Inventory.Components
		needs, roots := sbom.Graph(components)
		reached := map[int]bool{}
		for queue := slices.Clone(roots); len(queue) > 0; queue = queue[1:] {
			if !reached[queue[0]] {
				reached[queue[0]] = true
				queue = append(queue, needs[queue[0]]...)
			}
		}
		if len(reached) != len(components) {
			t.Fatalf("seed %d: %d of %d components are reached from %v by %v", seed, len(reached), len(components), roots, needs)
		}
	}
	cycle := []component.Component{{PURL: "a", DependsOn: []string{"b"}}, {PURL: "b", DependsOn: []string{"a", "nowhere"}}, {PURL: "c", DependsOn: []string{"c"}}}
	needs, roots := sbom.Graph(cycle)
	if fmt.Sprint(needs, roots) != "[[1] [0] []] [0 2]" {
		t.Errorf("got %v %v", needs, roots)
	}
	twice := []component.Component{{PURL: "a", Dependency: component.Installed}, {PURL: "a", Dependency: component.Declared},
		{PURL: "b", Dependency: component.Declared, DependsOn: []string{"a"}}, {PURL: "c", Dependency: component.Packaged, DependsOn: []string{"a"}}}
	needs, roots = sbom.Graph(twice)
	if fmt.Sprint(needs, roots) != "[[] [] [1] [0]] [2 3]" {
		t.Errorf("got %v %v", needs, roots)
	}
}

func TestCollectorBounds(t *testing.T) {
	c := sbom.NewCollector("bom.json")
	var over *limit.Error
	for range limit.SBOMComponents {
		if err := c.Add(sbom.Entry{Type: "file"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Add(sbom.Entry{}); !errors.As(err, &over) || over.Bound != limit.SBOMComponents {
		t.Errorf("got %v", err)
	}
	for range limit.SBOMEdges {
		if err := c.Edge("a", "b"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Edge("a", "b"); !errors.As(err, &over) || over.Bound != limit.SBOMEdges {
		t.Errorf("got %v", err)
	}
	if inventory := c.Inventory(); len(inventory.Components)+len(inventory.Unresolved) != 0 {
		t.Errorf("files became %+v", inventory)
	}
}
