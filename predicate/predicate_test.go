package predicate_test

import (
	"testing"
	"time"

	"github.com/seed-161fc314/assay/predicate"
)

func TestTypeOf(t *testing.T) {
	for name, want := range map[string]string{
		"provenance": predicate.TypeProvenanceV1, "slsaprovenance1": predicate.TypeProvenanceV1,
		"slsaprovenance": predicate.TypeProvenanceV02, "slsaprovenance02": predicate.TypeProvenanceV02,
		"vuln": predicate.TypeCosignVuln, "vulns": predicate.TypeVulnsV02,
		"cyclonedx": predicate.TypeCycloneDX, "spdx": predicate.TypeSPDX, "spdxjson": predicate.TypeSPDX,
		"test-result": predicate.TypeTestResult, "signature": predicate.TypeCosignSign, "custom": predicate.TypeCosignCustom,
		"openvex": predicate.TypeOpenVEX, "link": predicate.TypeLink,
		predicate.TypeCosignVulnBare: predicate.TypeCosignVulnBare,
		"https://example.com/own/v1": "https://example.com/own/v1",
	} {
		if got, ok := predicate.TypeOf(name); !ok || got != want {
			t.Errorf("TypeOf(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "Vuln", "sbom", "example.com/own/v1"} {
		if got, ok := predicate.TypeOf(name); ok {
			t.Errorf("TypeOf(%q) = %q, want that it is not known", name, got)
		}
	}
}

func TestFamily(t *testing.T) {
	for uri, want := range map[string]string{
		predicate.TypeVulnsV02: predicate.TypeCosignVuln, predicate.TypeVulnsV01: predicate.TypeCosignVuln,
		predicate.TypeCosignVuln: predicate.TypeCosignVuln, predicate.TypeCosignVulnBare: predicate.TypeCosignVuln,
		"https://cyclonedx.org/bom/v1.5": predicate.TypeCycloneDX, predicate.TypeCycloneDX: predicate.TypeCycloneDX,
		"https://spdx.dev/Document/v2.3": predicate.TypeSPDX, predicate.TypeSPDX: predicate.TypeSPDX,
		// A longer host or word is another type.
		"https://cyclonedx.org/bomb":     "https://cyclonedx.org/bomb",
		"https://spdx.dev/DocumentOther": "https://spdx.dev/DocumentOther",
		predicate.TypeProvenanceV1:       predicate.TypeProvenanceV1, predicate.TypeProvenanceV02: predicate.TypeProvenanceV02,
		"": "",
	} {
		if got := predicate.Family(uri); got != want {
			t.Errorf("Family(%q) = %q, want %q", uri, got, want)
		}
	}
}

func TestTime(t *testing.T) {
	const at = "2026-03-04T05:06:07Z"
	for _, test := range []struct {
		uri, raw string
		has, bad bool
	}{
		{uri: predicate.TypeCosignVuln, raw: `{"metadata":{"scanFinishedOn":"` + at + `"}}`, has: true},
		{uri: predicate.TypeVulnsV02, raw: `{"metadata":{"scanFinishedOn":"2026-03-04T06:06:07+01:00"}}`, has: true},
		{uri: predicate.TypeProvenanceV1, raw: `{"runDetails":{"metadata":{"finishedOn":"` + at + `"}}}`, has: true},
		{uri: predicate.TypeProvenanceV02, raw: `{"metadata":{"buildFinishedOn":"` + at + `"}}`, has: true},
		{uri: predicate.TypeCycloneDX, raw: `{"metadata":{"timestamp":"` + at + `"}}`, has: true},
		{uri: "https://cyclonedx.org/bom/v1.6", raw: `{"metadata":{"timestamp":"` + at + `"}}`, has: true},
		{uri: predicate.TypeSPDX, raw: `{"creationInfo":{"created":"` + at + `"}}`, has: true},
		{uri: predicate.TypeVSA, raw: `{"timeVerified":"` + at + `"}`, has: true},

		{uri: predicate.TypeCosignVuln, raw: `{}`},
		{uri: predicate.TypeCosignVuln, raw: `{"metadata":null}`},
		{uri: predicate.TypeCosignVuln, raw: `{"metadata":{"scanFinishedOn":null}}`},
		{uri: predicate.TypeProvenanceV1, raw: `{"runDetails":{}}`},
		// Another spelling is another member.
		{uri: predicate.TypeCosignVuln, raw: `{"metadata":{"ScanFinishedOn":"` + at + `"}}`},
		{uri: predicate.TypeTestResult, raw: `{"metadata":{"scanFinishedOn":"` + at + `"}}`},
		{uri: "https://example.com/own/v1", raw: `not even JSON`},

		{uri: predicate.TypeCosignVuln, raw: `{"metadata":{"scanFinishedOn":"yesterday"}}`, bad: true},
		{uri: predicate.TypeCosignVuln, raw: `{"metadata":{"scanFinishedOn":1772600767}}`, bad: true},
		{uri: predicate.TypeCosignVuln, raw: `{"metadata":{"scanFinishedOn":""}}`, bad: true},
		{uri: predicate.TypeCosignVuln, raw: `{"metadata":[]}`, bad: true},
		{uri: predicate.TypeCosignVuln, raw: `[]`, bad: true},
		{uri: predicate.TypeCosignVuln, raw: ``, bad: true},
		{uri: predicate.TypeCosignVuln, raw: `{"metadata":`, bad: true},
	} {
		got, has, err := predicate.Time(test.uri, []byte(test.raw))
		if (err != nil) != test.bad || has != test.has {
			t.Errorf("Time(%s, %s) = %v, %v, %v", test.uri, test.raw, got, has, err)
		}
		if test.has && (got.Format(time.RFC3339) != at || got.Location() != time.UTC) {
			t.Errorf("Time(%s, %s) = %v, want %s in UTC", test.uri, test.raw, got, at)
		}
	}
}

func TestTool(t *testing.T) {
	for _, test := range []struct{ uri, raw, want string }{
		{predicate.TypeCosignVuln, `{"scanner":{"uri":"https://assay.sh"}}`, "https://assay.sh"},
		{predicate.TypeVulnsV02, `{"scanner":{"uri":"pkg:github/aquasecurity/trivy"}}`, "pkg:github/aquasecurity/trivy"},
		{predicate.TypeProvenanceV1, `{"runDetails":{"builder":{"id":"https://ci.example.com"}}}`, "https://ci.example.com"},
		{predicate.TypeProvenanceV02, `{"builder":{"id":"https://ci.example.com"}}`, "https://ci.example.com"},
		{predicate.TypeCycloneDX, `{"metadata":{"tools":[{"vendor":"x","name":"syft","version":"1"}]}}`, "syft"},
		{predicate.TypeCycloneDX, `{"metadata":{"tools":{"components":[{"name":"trivy"}]}}}`, "trivy"},
		{predicate.TypeCycloneDX, `{"metadata":{"tools":{"services":[{"name":"cloud"}]}}}`, "cloud"},
		{predicate.TypeSPDX, `{"creationInfo":{"creators":["Organization: x","Tool: syft-1.2.3"]}}`, "syft"},
		{predicate.TypeSPDX, `{"creationInfo":{"creators":["Tool: my-tool"]}}`, "my-tool"},
		{predicate.TypeSPDX, `{"creationInfo":{"creators":["Tool: my-tool-v2"]}}`, "my-tool"},
		{predicate.TypeSPDX, `{"creationInfo":{"creators":["Tool: -1"]}}`, "-1"},
		{predicate.TypeSPDX, `{"creationInfo":{"creators":["Person: x"]}}`, ""},
		{predicate.TypeSPDX, `{"creationInfo":{"creators":"Tool: x"}}`, ""},
		{predicate.TypeCycloneDX, `{"metadata":{"tools":"syft"}}`, ""},
		{predicate.TypeCycloneDX, `{"metadata":{"tools":[]}}`, ""},
		{predicate.TypeCycloneDX, `[]`, ""},
		{predicate.TypeCosignVuln, `{"scanner":{"URI":"https://assay.sh"}}`, ""},
		{predicate.TypeCosignVuln, `{"scanner":{"uri":7}}`, ""},
		{predicate.TypeTestResult, `{"scanner":{"uri":"x"}}`, ""},
	} {
		if got := predicate.Tool(test.uri, []byte(test.raw)); got != test.want {
			t.Errorf("Tool(%s, %s) = %q, want %q", test.uri, test.raw, got, test.want)
		}
	}
}

func TestReadTestResult(t *testing.T) {
	for _, word := range []string{predicate.ResultPassed, predicate.ResultWarned, predicate.ResultFailed} {
		got, err := predicate.ReadTestResult([]byte(`{"result":"` + word + `","configuration":[{"name":"junit.xml","annotations":{"coverage":81.5}}],"passedTests":["a"]}`))
		if err != nil || got.Result != word || len(got.PassedTests) != 1 || got.Configuration[0].Annotations["coverage"] != 81.5 {
			t.Errorf("%s: %+v, %v", word, got, err)
		}
	}
	for _, raw := range []string{``, `{}`, `[]`, `null`, `{"result":"passed"}`, `{"result":"OK"}`, `{"result":null}`, `{"result":"PASSED"`, `{"result":"PASSED","passedTests":"all"}`} {
		if got, err := predicate.ReadTestResult([]byte(raw)); err == nil {
			t.Errorf("%s: read as %+v, want an error", raw, got)
		}
	}
}
