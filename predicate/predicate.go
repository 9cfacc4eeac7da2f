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

// timeField is where a type says when it was made, "" where it does not.
func timeField(family string) string {
	switch family {
	case TypeCosignVuln:
		return "metadata.scanFinishedOn"
	case TypeProvenanceV1:
		return "runDetails.metadata.finishedOn"
	case TypeProvenanceV02:
		return "metadata.buildFinishedOn"
	case TypeCycloneDX:
		return "metadata.timestamp"
	case TypeSPDX:
		return "creationInfo.created"
	case TypeVSA:
		return "timeVerified"
	}
	return ""
}

// TimeField is the field of a type's predicates that says when they were made,
// such as "metadata.scanFinishedOn"; "" where there is none.
func TimeField(uri string) string { return timeField(Family(uri)) }

// Time is when a predicate says that it was made: the end of a scan or build,
// the timestamp of an SBOM. has is false for types without such a field, and
// where an optional field is absent. A field that is there and is no RFC 3339
// time is an error. Names are matched exactly.
func Time(uri string, raw []byte) (t time.Time, has bool, err error) {
	field := timeField(Family(uri))
	if field == "" {
		return time.Time{}, false, nil
	}
	value, err := member(raw, field)
	if err != nil || value == nil {
		return time.Time{}, false, wrap(err, "reading the time of "+uri)
	}
	var text string
	if err := json.Unmarshal(value, &text); err == nil {
		t, err = time.Parse(time.RFC3339, text)
		if err == nil {
			return t.UTC(), true, nil
		}
	}
	return time.Time{}, false, fmt.Errorf("%s of %s: %.100s is no RFC 3339 time", field, uri, value)
}

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// member is the value at a dotted path of objects; nil where it is absent or
// null. Anything but an object on the way is an error.
func member(raw json.RawMessage, path string) (json.RawMessage, error) {
	where := ""
	for _, name := range strings.Split(path, ".") {
		list, err := members(raw, where)
		if err != nil {
			return nil, err
		}
		where = join(where, name)
		raw = list[name]
		if raw == nil || null(raw) {
			return nil, nil
		}
	}
	return raw, nil
}

// Tool names what made a predicate: the scanner's URI, the first tool of an
// SBOM without its version, the builder's id. "" where it does not say.
func Tool(uri string, raw []byte) string {
	text := func(path string) (text string) {
		value, err := member(raw, path)
		if err != nil || json.Unmarshal(value, &text) != nil {
			return "" // what cannot be read has no tool
		}
		return text
	}
	switch Family(uri) {
	case TypeCosignVuln:
		return text("scanner.uri")
	case TypeProvenanceV1:
		return text("runDetails.builder.id")
	case TypeProvenanceV02:
		return text("builder.id")
	case TypeCycloneDX:
		return cycloneDXTool(raw)
	case TypeSPDX:
		return spdxTool(raw)
	}
	return ""
}

func cycloneDXTool(raw []byte) string {
	tools, err := member(raw, "metadata.tools")
	if err != nil {
		return ""
	}
	type named struct {
		Name string `json:"name"`
	}
	var list []named // CycloneDX 1.4
	if tools == nil {
		return ""
	}
	if decode(tools, &list) == nil && len(list) > 0 {
		return list[0].Name
	}
	var object struct {
		Components []named `json:"components"`
		Services   []named `json:"services"`
	}
	_ = decode(tools, &object) // what cannot be read has no tool
	for _, tool := range append(object.Components, object.Services...) {
		return tool.Name
	}
	return ""
}

func spdxTool(raw []byte) string {
	value, err := member(raw, "creationInfo.creators")
	var creators []string
	if err != nil || json.Unmarshal(value, &creators) != nil {
		return ""
	}
	for _, creator := range creators {
		if tool, found := strings.CutPrefix(creator, "Tool:"); found {
			return unversioned(strings.TrimSpace(tool))
		}
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
