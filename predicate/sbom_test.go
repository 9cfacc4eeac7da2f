package predicate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/predicate"
)

func TestReadCycloneDX(t *testing.T) {
	got, err := predicate.ReadComponents("https://cyclonedx.org/bom/v1.5", []byte(`{
		"bomFormat": "CycloneDX", "specVersion": "1.5",
		"metadata": {"component": {"type": "container", "name": "the image itself"}},
		"components": [
			{"type": "library", "name": "torch", "version": "2.1.0", "purl": "pkg:pypi/torch@2.1.0",
			 "licenses": [{"license": {"id": "BSD-3-Clause"}}, {"license": {"name": "own"}}, {"expression": "MIT OR Apache-2.0"}, {}],
			 "properties": [{"name": "other", "value": "x"}, {"name": "assay:dependency", "value": "installed"}],
			 "components": [{"type": "library", "name": "inner", "version": "1"}]},
			{"type": "operating-system", "name": "debian", "version": "12"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]predicate.Component{
		{Name: "torch", Version: "2.1.0", PURL: "pkg:pypi/torch@2.1.0", Type: "library", Dependency: "installed", Licenses: []string{"BSD-3-Clause", "own", "MIT OR Apache-2.0"}},
		{Name: "inner", Version: "1", Type: "library", Licenses: []string{}},
		{Name: "debian", Version: "12", Type: "operating-system", Licenses: []string{}},
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReadSPDX(t *testing.T) {
	got, err := predicate.ReadComponents(predicate.TypeSPDX, []byte(`{
		"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT",
		"packages": [
			{"SPDXID": "SPDXRef-image", "name": "the image itself", "primaryPackagePurpose": "CONTAINER",
			 "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:oci/x"}]},
			{"SPDXID": "SPDXRef-torch", "name": "torch", "versionInfo": "2.1.0", "primaryPackagePurpose": "LIBRARY",
			 "licenseConcluded": "NOASSERTION", "licenseDeclared": "BSD-3-Clause",
			 "externalRefs": [{"referenceType": "cpe23Type", "referenceLocator": "cpe:x"}, {"referenceType": "purl", "referenceLocator": "pkg:pypi/torch@2.1.0"}],
			 "annotations": [{"comment": "assay:dependency=declared"}]},
			{"SPDXID": "SPDXRef-os", "name": "debian", "versionInfo": "12", "primaryPackagePurpose": "OPERATING-SYSTEM", "licenseDeclared": "NONE"}],
		"relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]predicate.Component{
		{Name: "torch", Version: "2.1.0", PURL: "pkg:pypi/torch@2.1.0", Type: "library", Dependency: "declared", Licenses: []string{"BSD-3-Clause"}},
		{Name: "debian", Version: "12", Type: "operating-system", Licenses: []string{}},
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A package that is described, but is a package all the same, is not left out:
// the SBOM of a wheel describes the wheel.
func TestDescribedPackageStays(t *testing.T) {
	got, err := predicate.ReadComponents(predicate.TypeSPDX, []byte(`{"spdxVersion": "SPDX-2.2", "documentDescribes": ["SPDXRef-w"],
		"packages": [{"SPDXID": "SPDXRef-w", "name": "torch", "versionInfo": "2.1.0", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:pypi/torch@2.1.0"}]}]}`))
	if err != nil || len(got) != 1 || got[0].Name != "torch" {
		t.Errorf("read %v, %v; want torch", got, err)
	}
}

func TestEmptySBOM(t *testing.T) {
	for uri, raw := range map[string]string{
		predicate.TypeCycloneDX: `{"bomFormat":"CycloneDX","specVersion":"1.6"}`,
		predicate.TypeSPDX:      `{"spdxVersion":"SPDX-2.3"}`,
	} {
		got, err := predicate.ReadComponents(uri, []byte(raw))
		if err != nil || got == nil || len(got) != 0 {
			t.Errorf("%s: %v, %v; want an empty list", uri, got, err)
		}
	}
}

func TestUnreadableSBOMsAreErrors(t *testing.T) {
	for name, test := range map[string]struct{ uri, raw string }{
		"another type":                    {predicate.TypeVulnsV02, `{"bomFormat":"CycloneDX"}`},
		"SPDX under CycloneDX's type":     {predicate.TypeCycloneDX, `{"spdxVersion":"SPDX-2.3","packages":[]}`},
		"CycloneDX under SPDX's type":     {predicate.TypeSPDX, `{"bomFormat":"CycloneDX","components":[]}`},
		"SPDX 3":                          {predicate.TypeSPDX, `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`},
		"no JSON":                         {predicate.TypeCycloneDX, `<bom/>`},
		"a list":                          {predicate.TypeCycloneDX, `[]`},
		"text, as cosign's spdx has it":   {predicate.TypeSPDX, `"SPDXVersion: SPDX-2.3"`},
		"null":                            {predicate.TypeSPDX, `null`},
		"components of another shape":     {predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","components":{"a":1}}`},
		"packages of another shape":       {predicate.TypeSPDX, `{"spdxVersion":"SPDX-2.3","packages":"all"}`},
		"components nested without bound": {predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","components":` + strings.Repeat(`[{"name":"x","components":`, 80) + `[]` + strings.Repeat(`}]`, 80) + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := predicate.ReadComponents(test.uri, []byte(test.raw)); err == nil {
				t.Errorf("read as %v, want an error", got)
			}
		})
	}
}

func FuzzReadComponents(f *testing.F) {
	f.Add(`{"bomFormat":"CycloneDX","components":[{"type":"library","name":"torch","components":[{"name":"x"}],"licenses":[{"expression":"MIT"}]}]}`)
	f.Add(`{"spdxVersion":"SPDX-2.3","packages":[{"SPDXID":"SPDXRef-x","name":"torch"}],"relationships":[]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		for _, uri := range []string{predicate.TypeCycloneDX, predicate.TypeSPDX} {
			if got, err := predicate.ReadComponents(uri, []byte(raw)); err == nil && got == nil {
				t.Errorf("%s: neither a list nor an error", uri)
			}
		}
	})
}
