// Package predicate holds the in-toto predicates that Assay writes and reads,
// and views over those that other tools write.
//
// Entry points are the type URIs, [TypeOf] for cosign's short names, [Time] and
// [Tool] for what every type says in its own place, and the readers
// [ReadVulnerabilities], [ReadComponents] and [ReadTestResult], which give one
// shape for what several tools write in several. A reader never takes what it
// does not understand for an empty list: that is an error.
//
// The package verifies nothing. What it reads is only as true as the signature
// that somebody else checked. It needs the standard library alone.
package predicate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Predicate types. No type is ours where a vetted one exists.
const (
	// TypeProvenanceV1 is SLSA provenance v1, TypeProvenanceV02 the older one.
	TypeProvenanceV1  = "https://slsa.dev/provenance/v1"
	TypeProvenanceV02 = "https://slsa.dev/provenance/v0.2"
	// TypeVulnsV02 is the in-toto vulnerability predicate; v0.1 is read too.
	TypeVulnsV02 = "https://in-toto.io/attestation/vulns/v0.2"
	TypeVulnsV01 = "https://in-toto.io/attestation/vulns/v0.1"
	// TypeCosignVuln is cosign's vulnerability predicate; some policies and
	// tools write its type without the scheme.
	TypeCosignVuln     = "https://cosign.sigstore.dev/attestation/vuln/v1"
	TypeCosignVulnBare = "cosign.sigstore.dev/attestation/vuln/v1"
	// TypeCycloneDX and TypeSPDX are SBOMs.
	TypeCycloneDX = "https://cyclonedx.org/bom"
	TypeSPDX      = "https://spdx.dev/Document"
	// TypeTestResult is the in-toto test result.
	TypeTestResult = "https://in-toto.io/attestation/test-result/v0.1"
	// TypeVSA is SLSA's verification summary.
	TypeVSA = "https://slsa.dev/verification_summary/v1"
	// TypeCosignSign is the statement that cosign 3 writes as an image
	// signature; simple signing counts as the same.
	TypeCosignSign = "https://sigstore.dev/cosign/sign/v1"
	// TypeCosignCustom wraps arbitrary text.
	TypeCosignCustom = "https://cosign.sigstore.dev/attestation/v1"
	// TypeOpenVEX and TypeLink are passed on, not read.
	TypeOpenVEX = "https://openvex.dev/ns"
	TypeLink    = "https://in-toto.io/Link/v1"
)

// SampleURI names, in evidence, the advisories that are built into Assay.
const SampleURI = "https://assay.sh/advisories/builtin-sample"

// TypeOf turns a short name into a type URI. The names are cosign's (where
// "slsaprovenance" is v0.2), and "provenance" (v1), "vulns" (in-toto v0.2),
// "test-result" and "signature". A URI is returned as it is; ok is false for
// any other word, and for "custom" see TypeCosignCustom.
func TypeOf(name string) (uri string, ok bool) {
	switch name {
	case "provenance", "slsaprovenance1":
		return TypeProvenanceV1, true
	case "slsaprovenance", "slsaprovenance02":
		return TypeProvenanceV02, true
	case "vuln":
		return TypeCosignVuln, true
	case "vulns":
		return TypeVulnsV02, true
	case "cyclonedx":
		return TypeCycloneDX, true
	case "spdx", "spdxjson":
		return TypeSPDX, true
	case "test-result":
		return TypeTestResult, true
	case "signature":
		return TypeCosignSign, true
	case "custom":
		return TypeCosignCustom, true
	case "openvex":
		return TypeOpenVEX, true
	case "link":
		return TypeLink, true
	case TypeCosignVulnBare:
		return TypeCosignVulnBare, true
	}
	if strings.Contains(name, "://") {
		return name, true
	}
	return "", false
}

// Family is the type that stands for all types that count as one in a policy:
// every vulnerability type is TypeCosignVuln, CycloneDX and SPDX types count
// without their version. Any other type is its own family.
func Family(uri string) string {
	switch {
	case uri == TypeVulnsV02 || uri == TypeVulnsV01 || uri == TypeCosignVuln || uri == TypeCosignVulnBare:
		return TypeCosignVuln
	case uri == TypeCycloneDX || strings.HasPrefix(uri, TypeCycloneDX+"/"):
		return TypeCycloneDX
	case uri == TypeSPDX || strings.HasPrefix(uri, TypeSPDX+"/"):
		return TypeSPDX
	}
	return uri
}

// Time is when a predicate says that it was made: the end of a scan or build,
// the timestamp of an SBOM. has is false for types without such a field, and
// where an optional field is absent. A field that is there and is no RFC 3339
// time is an error.
func Time(uri string, raw []byte) (t time.Time, has bool, err error) {
	var text, field string
	switch Family(uri) {
	case TypeCosignVuln:
		var p struct {
			Metadata struct {
				ScanFinishedOn string `json:"scanFinishedOn"`
			} `json:"metadata"`
		}
		err = json.Unmarshal(raw, &p)
		text, field = p.Metadata.ScanFinishedOn, "metadata.scanFinishedOn"
	case TypeProvenanceV1:
		var p struct {
			RunDetails struct {
				Metadata struct {
					FinishedOn string `json:"finishedOn"`
				} `json:"metadata"`
			} `json:"runDetails"`
		}
		err = json.Unmarshal(raw, &p)
		text, field = p.RunDetails.Metadata.FinishedOn, "runDetails.metadata.finishedOn"
	case TypeProvenanceV02:
		var p struct {
			Metadata struct {
				BuildFinishedOn string `json:"buildFinishedOn"`
			} `json:"metadata"`
		}
		err = json.Unmarshal(raw, &p)
		text, field = p.Metadata.BuildFinishedOn, "metadata.buildFinishedOn"
	case TypeCycloneDX:
		var p struct {
			Metadata struct {
				Timestamp string `json:"timestamp"`
			} `json:"metadata"`
		}
		err = json.Unmarshal(raw, &p)
		text, field = p.Metadata.Timestamp, "metadata.timestamp"
	case TypeSPDX:
		var p struct {
			CreationInfo struct {
				Created string `json:"created"`
			} `json:"creationInfo"`
		}
		err = json.Unmarshal(raw, &p)
		text, field = p.CreationInfo.Created, "creationInfo.created"
	case TypeVSA:
		var p struct {
			TimeVerified string `json:"timeVerified"`
		}
		err = json.Unmarshal(raw, &p)
		text, field = p.TimeVerified, "timeVerified"
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("reading the time of %s: %w", uri, err)
	}
	if text == "" {
		return time.Time{}, false, nil
	}
	t, err = time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("%s of %s: %q is no RFC 3339 time", field, uri, text)
	}
	return t.UTC(), true, nil
}

// Tool names what made a predicate: the scanner's URI, the first tool of an
// SBOM without its version, the builder's id. "" where it does not say.
func Tool(uri string, raw []byte) string {
	switch Family(uri) {
	case TypeCosignVuln:
		var p struct {
			Scanner struct {
				URI string `json:"uri"`
			} `json:"scanner"`
		}
		_ = json.Unmarshal(raw, &p) // what cannot be read has no tool
		return p.Scanner.URI
	case TypeProvenanceV1:
		var p Provenance
		_ = json.Unmarshal(raw, &p)
		return p.RunDetails.Builder.ID
	case TypeProvenanceV02:
		var p struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
		}
		_ = json.Unmarshal(raw, &p)
		return p.Builder.ID
	case TypeCycloneDX:
		return cycloneDXTool(raw)
	case TypeSPDX:
		var p struct {
			CreationInfo struct {
				Creators []string `json:"creators"`
			} `json:"creationInfo"`
		}
		_ = json.Unmarshal(raw, &p)
		for _, creator := range p.CreationInfo.Creators {
			if tool, found := strings.CutPrefix(creator, "Tool:"); found {
				return unversioned(strings.TrimSpace(tool))
			}
		}
	}
	return ""
}

func cycloneDXTool(raw []byte) string {
	var p struct {
		Metadata struct {
			Tools json.RawMessage `json:"tools"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(raw, &p)
	type named struct {
		Name string `json:"name"`
	}
	var list []named
	if json.Unmarshal(p.Metadata.Tools, &list) == nil && len(list) > 0 {
		return list[0].Name
	}
	var object struct {
		Components []named `json:"components"`
		Services   []named `json:"services"`
	}
	_ = json.Unmarshal(p.Metadata.Tools, &object)
	for _, tool := range append(object.Components, object.Services...) {
		return tool.Name
	}
	return ""
}

// unversioned drops a trailing "-1.2.3" from an SPDX tool.
func unversioned(tool string) string {
	i := strings.LastIndex(tool, "-")
	if i <= 0 || i+1 >= len(tool) {
		return tool
	}
	if c := strings.TrimPrefix(tool[i+1:], "v"); c != "" && c[0] >= '0' && c[0] <= '9' {
		return tool[:i]
	}
	return tool
}

var errNotObject = errors.New("the predicate is no JSON object")

// object unmarshals a predicate, which must be a JSON object.
func object(raw []byte, into any) error {
	trimmed := strings.TrimLeft(string(raw[:min(len(raw), 64)]), " \t\r\n")
	if !strings.HasPrefix(trimmed, "{") {
		return errNotObject
	}
	return json.Unmarshal(raw, into)
}
