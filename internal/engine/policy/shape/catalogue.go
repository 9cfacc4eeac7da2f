package shape

import (
	"slices"

	"github.com/seed-161fc314/assay/predicate"
)

// Of gives the shape of a predicate type; known is false for types whose
// predicates this package has not read about.
func Of(uri string) (s Shape, known bool) {
	family := canonical(uri)
	text, known := texts()[family]
	if !known {
		return Shape{}, false
	}
	s = Shape{Type: family}
	s.root, s.definitions = parse(text)
	return s, true
}

// Types are the known types, sorted.
func Types() []string {
	var types []string
	for uri := range texts() {
		types = append(types, uri)
	}
	slices.Sort(types)
	return types
}

// canonical drops the versions of SBOM types, and gives the vulnerability types
// the one spelling that stands for each of them here.
func canonical(uri string) string {
	switch uri {
	case predicate.TypeCosignVulnBare:
		return predicate.TypeCosignVuln
	case predicate.TypeVulnsV01:
		return predicate.TypeVulnsV02
	}
	switch family := predicate.Family(uri); family {
	case predicate.TypeCycloneDX, predicate.TypeSPDX:
		return family
	}
	return uri
}

// Types that package predicate has no name for.
const (
	typeProvenanceV01 = "https://slsa.dev/provenance/v0.1"
	typeRelease       = "https://in-toto.io/attestation/release/v0.1"
	typeSCAI          = "https://in-toto.io/attestation/scai/attribute-report/v0.2"
	typeModel         = "https://model_signing/signature/v1.0"
)

func texts() map[string]string {
	return map[string]string{
		predicate.TypeProvenanceV1:  provenanceV1,
		predicate.TypeProvenanceV02: provenanceV02,
		typeProvenanceV01:           provenanceV01,
		predicate.TypeVSA:           summary,
		predicate.TypeCosignVuln:    cosignVuln,
		predicate.TypeVulnsV02:      vulns,
		predicate.TypeTestResult:    testResult,
		predicate.TypeCycloneDX:     cycloneDX,
		predicate.TypeSPDX:          spdx,
		predicate.TypeOpenVEX:       openVEX,
		predicate.TypeCosignCustom:  `Data* Timestamp`,
		predicate.TypeLink:          `name command[] materials[&resource] byproducts* environment*` + resource,
		typeRelease:                 `purl releaseId`,
		typeSCAI:                    `attributes[attribute target&resource conditions* evidence&resource] producer&resource` + resource,
		typeModel:                   `serialization{method hash_type allow_symlinks ignore_paths[]} resources[name algorithm digest]`,
	}
}

// resource is in-toto's resource descriptor.
const resource = `
@resource = name uri digest{*:} content downloadLocation mediaType annotations*
`

// https://slsa.dev/spec/v1.0/provenance, with what BuildKit adds.
const provenanceV1 = `
buildDefinition{buildType externalParameters* internalParameters* resolvedDependencies[&resource]}
runDetails{
  builder{id builderDependencies[&resource] version{*:}}
  metadata{invocationId invocationID startedOn finishedOn !buildkit_metadata* !buildkit_hermetic !buildkit_completeness* !buildkit_reproducible}
  byproducts[&resource]
}` + resource

// https://slsa.dev/spec/v0.2/provenance; the invocation's id is spelled in two
// ways.
const provenanceV02 = `
builder{id} buildType
invocation{configSource{uri digest{*:} entryPoint} parameters* environment*}
buildConfig*
metadata{buildInvocationId buildInvocationID buildStartedOn buildFinishedOn completeness{parameters environment materials} reproducible}
materials[uri digest{*:}]
`

// https://slsa.dev/spec/v0.1/provenance
const provenanceV01 = `
builder{id}
recipe{type definedInMaterial entryPoint arguments* environment*}
metadata{buildInvocationId buildStartedOn buildFinishedOn completeness{arguments environment materials} reproducible}
materials[uri digest{*:}]
`

// https://slsa.dev/spec/v1.1/verification_summary
const summary = `
verifier{id version{*:}} timeVerified resourceUri policy&resource inputAttestations[&resource]
verificationResult=PASSED|FAILED verifiedLevels[] dependencyLevels{*:} slsaVersion` + resource

const testResult = `
result=PASSED|WARNED|FAILED configuration[&resource] url passedTests[] warnedTests[] failedTests[]` + resource

// cosign's COSIGN_VULN_ATTESTATION_SPEC. The result is the scanner's own report:
// Trivy's, or Grype's or SARIF.
const cosignVuln = `
invocation{parameters* uri event_id "builder.id"}
scanner{uri version db{uri version lastUpdate name} ~result&report}
metadata{scanStartedOn scanFinishedOn}
@report = SchemaVersion ReportID CreatedAt ArtifactName ArtifactID ArtifactType Trivy{Version}
  Metadata{Size OS{Family Name EOSL Extended} ImageID DiffIDs[] RepoTags[] RepoDigests[] Reference ImageConfig* Layers[*] RepoURL Branch Tags[] Commit CommitMsg Author Committer}
  Results[
    Target Class=os-pkgs|lang-pkgs|config|secret|license|license-file|custom Type Packages[*] Vulnerabilities[&vulnerability]
    !MisconfSummary{Successes Failures Exceptions} !Misconfigurations[*] !Secrets[*] !Licenses[*] !CustomResources[*]
    ExperimentalModifiedFindings[*]
  ]
  Assay*
  !matches[
    vulnerability{id dataSource namespace severity=Unknown|Negligible|Low|Medium|High|Critical urls[] description cvss[*] fix{versions[] state} advisories[*] risk epss[*] knownExploited[*]}
    relatedVulnerabilities[*] matchDetails[*]
    artifact{id name version type locations[*] language licenses[] cpes[] purl upstreams[*] metadata*}
  ]
  !source* !distro* !descriptor* !runs[*]
@vulnerability = VulnerabilityID VendorIDs[] PkgID PkgName PkgPath PkgIdentifier{PURL UID BOMRef}
  InstalledVersion FixedVersion Status Layer{Digest DiffID !CreatedBy} SeveritySource PrimaryURL DataSource{ID Name URL !BaseID}
  !Custom* Fingerprint Title Description Severity=UNKNOWN|LOW|MEDIUM|HIGH|CRITICAL CweIDs[] VendorSeverity{*:}
  CVSS{
    ghsa&cvss nvd&cvss osv&cvss !redhat&cvss !bitnami&cvss !ghsa-v2&cvss !amazon&cvss !julia&cvss *{V2Vector V3Vector V40Vector V2Score V3Score V40Score}
  }
  References[] PublishedDate LastModifiedDate Assay*
@cvss = V2Vector V3Vector V40Vector V2Score V3Score V40Score
`

// https://in-toto.io/attestation/vulns/v0.2, and v0.1.
const vulns = `
invocation{parameters[] uri event_id "builder.id" producer_id}
scanner{uri version db{uri name version lastUpdate} result[id severity[method score] annotations[*] vulnerability{id severity[method score]}]}
metadata{scanStartedOn scanFinishedOn annotations[*]}
`

// https://cyclonedx.org/docs/1.6/json/; "Data" is what cosign 1 wrote around it.
const cycloneDX = `
bomFormat specVersion serialNumber version
metadata{
  timestamp lifecycles[phase name description] tools* authors[name email phone bom-ref] component&component manufacturer* manufacture* supplier*
  licenses[&licence] properties[name value]
}
components[&component] services[*] externalReferences[&reference]
dependencies[ref dependsOn[] provides[]] compositions[*] vulnerabilities[&vulnerability] annotations[*] formulation[*]
declarations* definitions* properties[name value] signature* "$schema" !Data* !Timestamp
@component = type=application|framework|library|container|platform|operating-system|device|device-driver|firmware|file|machine-learning-model|data|cryptographic-asset
  mime-type bom-ref supplier* manufacturer* authors[name email phone] author publisher group name version description
  scope=required|optional|excluded hashes[alg content] licenses[&licence] copyright cpe purl omniborId[] swhid[] swid* modified pedigree*
  externalReferences[&reference] components[&component] evidence* releaseNotes* modelCard* data[*] cryptoProperties* properties[name value] tags[] signature*
@licence = license{id name bom-ref text* url licensing* properties[name value] acknowledgement} expression bom-ref acknowledgement
@reference = url comment type hashes[alg content]
@vulnerability = bom-ref id source{name url} references[*]
  ratings[source{name url} score severity=critical|high|medium|low|info|none|unknown method vector justification]
  cwes[] description detail recommendation workaround proofOfConcept* advisories[title url] created published updated rejected credits* tools*
  analysis{state=resolved|resolved_with_pedigree|exploitable|in_triage|false_positive|not_affected justification response[] detail firstIssued lastUpdated}
  affects[ref versions[*]] properties[name value]
`

// https://spdx.github.io/spdx-spec/v2.3/
const spdx = `
spdxVersion SPDXID name dataLicense documentNamespace comment creationInfo{created creators[] licenseListVersion comment}
documentDescribes[] externalDocumentRefs[*] files[*] snippets[*] annotations[*] revieweds[*] !Data* !Timestamp
packages[
  SPDXID name versionInfo packageFileName supplier originator downloadLocation filesAnalyzed packageVerificationCode* checksums[algorithm checksumValue]
  homepage sourceInfo licenseConcluded licenseDeclared licenseInfoFromFiles[] licenseComments copyrightText summary description comment
  externalRefs[referenceCategory referenceType referenceLocator comment] attributionTexts[] primaryPackagePurpose
  releaseDate builtDate validUntilDate annotations[*] hasFiles[]
]
relationships[spdxElementId relatedSpdxElement relationshipType comment]
hasExtractedLicensingInfos[licenseId extractedText name comment seeAlsos[]]
`

// https://github.com/openvex/spec, 0.2.0.
const openVEX = `
"@context" "@id" author role timestamp last_updated version tooling
statements[
  "@id" version timestamp last_updated vulnerability{"@id" name description aliases[]} products[&product] supplier
  status=not_affected|affected|fixed|under_investigation status_notes justification impact_statement action_statement action_statement_timestamp
]
@product = "@id" identifiers{*:} hashes{*:} subcomponents[*]
`
