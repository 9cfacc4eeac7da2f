// Package v1alpha1 holds the policy types of assay.sh/v1alpha1.
//
// Entry point is [EvidencePolicy]: which evidence an image needs, from whom,
// how fresh, saying what. The types are shared by files and clusters. The
// package holds words only; internal/engine/policy/cel compiles and judges.
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GroupVersion and KindEvidencePolicy head every policy.
const (
	GroupVersion       = "assay.sh/v1alpha1"
	KindEvidencePolicy = "EvidencePolicy"
)

// EvidencePolicy says what images must prove before they may run.
type EvidencePolicy struct {
	// TypeMeta is apiVersion (GroupVersion) and kind (KindEvidencePolicy).
	metav1.TypeMeta `json:",inline"`
	// ObjectMeta is Kubernetes' metadata; the name stands in denials.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the policy asks for.
	Spec EvidencePolicySpec `json:"spec"`
}

// EvidencePolicySpec is what a policy asks for.
type EvidencePolicySpec struct {
	// Match says which images the policy judges.
	Match Match `json:"match"`
	// AllowSample accepts evidence that was made from the sample of advisories
	// that is built into Assay. For trying things out only.
	AllowSample bool `json:"allowSample,omitempty"`
	// Signers are the parties that requirements name. At least one; names are
	// unique.
	Signers []Signer `json:"signers"`
	// Requirements must all hold. At least one; names are unique.
	Requirements []Requirement `json:"requirements"`
}

// Match picks images and workloads. What is empty does not restrict, except
// Images, which may not be empty.
//
// In every pattern * stands for any text, slashes included (as in Kyverno), and
// ? for one character; everything else stands for itself, and the whole text
// must match. A pattern of images is compared with the normalised reference:
// the registry is always part of it (docker.io/library/python, and not python).
type Match struct {
	// Images are patterns. One matches if it fits the reference as
	// REGISTRY/REPOSITORY, with its tag, with its digest, or with both;
	// "REPOSITORY:*" also fits a reference that has a digest and no tag.
	Images []string `json:"images"`
	// ExcludeImages are patterns of images that the policy leaves alone, by
	// repository or by digest. A tag is refused here: anybody who can write a
	// manifest could write it before any digest.
	ExcludeImages []string `json:"excludeImages,omitempty"`
	// Namespaces are patterns of the workload's namespace. An image that is
	// judged without a workload, or a workload whose namespace is not known
	// yet, matches.
	Namespaces []string `json:"namespaces,omitempty"`
}

// Signer is a party whose signature counts.
type Signer struct {
	// Name is what requirements call it.
	Name string `json:"name"`
	// Keys speak for the signer; any one is enough. At least one.
	Keys []Key `json:"keys"`
}

// Key is one or more public keys in PEM (PKIX); exactly one of File and
// PublicKey is set. The PEM headers Not-Before and Not-After bound one key,
// NotBefore and NotAfter here all of them; where both say something, the
// narrower counts.
type Key struct {
	// File is a PEM file, relative to the policy's own file.
	File string `json:"file,omitempty"`
	// PublicKey is the PEM text.
	PublicKey string `json:"publicKey,omitempty"`
	// NotBefore and NotAfter (RFC 3339) bound when the key speaks for its
	// signer. Evidence outside of them counts only by a trusted timestamp
	// inside; without one, the clock of who judges decides.
	NotBefore string `json:"notBefore,omitempty"`
	NotAfter  string `json:"notAfter,omitempty"`
}

// Requirement is one kind of evidence that must be there and hold.
type Requirement struct {
	// Name is unique in the policy, and stands in denials.
	Name string `json:"name"`
	// Type is a predicate type's URI or short name: signature, provenance,
	// slsaprovenance, vuln, cyclonedx, spdx, test-result, openvex, link,
	// custom. All vulnerability types count as one.
	Type string `json:"type"`
	// Signers are names of signers; any one is enough. At least one.
	Signers []string `json:"signers"`
	// MaxAge is how old the evidence may be, such as "168h", by the time that
	// the signed content gives. Evidence without a time does not hold then; on
	// a type that has no time for any evidence it is an error.
	MaxAge string `json:"maxAge,omitempty"`
	// Checks are made on each piece of evidence that decides: the newest for
	// each signer and tool. Without checks it is enough that there is one.
	Checks []Check `json:"checks,omitempty"`
}

// Check is a condition in CEL over what the evidence says. Exactly one of Expr
// and Deny is set.
//
// Variables: predicate (the predicate as it is), claim (type, signer, time,
// tool), image (reference, registry, repository, tag, digest, platform),
// request (kind, namespace, name), now. For vulnerability types also findings
// (id, aliases, package, purl, installed, fixed, severity, score, dependency,
// path, line) and scan (scanner, packages, unresolved, database, finished); for
// SBOM types components (name, version, purl, type, dependency, licenses).
// The functions are CEL's own, with its libraries of strings, lists, sets, math
// and optional values.
type Check struct {
	// Name is unique in the requirement, and stands in denials.
	Name string `json:"name"`
	// Expr must be true.
	Expr string `json:"expr,omitempty"`
	// Deny gives a list that must be empty; what is in it is named in the
	// denial.
	Deny string `json:"deny,omitempty"`
	// Message says what the check is about, in the author's words.
	Message string `json:"message,omitempty"`
	// Remedy says what to do when the check fails. For vulnerabilities one is
	// derived where there is none: which package to upgrade to what.
	Remedy string `json:"remedy,omitempty"`
}
