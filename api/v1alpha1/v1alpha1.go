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
	// Action is what a check that does not pass does: Enforce (the default)
	// denies, Warn admits with a warning, Audit admits and keeps a record.
	Action string `json:"action,omitempty"`
	// EffectiveFrom and EffectiveUntil (RFC 3339) are when the action counts.
	// Outside of them it is one step milder: Enforce warns, Warn keeps a record.
	// Neither may be set with Audit, than which nothing is milder.
	EffectiveFrom  string `json:"effectiveFrom,omitempty"`
	EffectiveUntil string `json:"effectiveUntil,omitempty"`
	// AllowSample accepts evidence that was made from the sample of advisories
	// that is built into Assay. For trying things out only.
	AllowSample bool `json:"allowSample,omitempty"`
	// Signers are the parties that requirements name. At least one; names are
	// unique.
	Signers []Signer `json:"signers"`
	// Requirements must all hold. At least one; names are unique.
	Requirements []Requirement `json:"requirements"`
	// Exceptions say for which images a check that does not pass does not deny.
	Exceptions []Exception `json:"exceptions,omitempty"`
	// OnFault says what faults mean.
	OnFault OnFault `json:"onFault,omitzero"`
}

// The actions of a policy; "" is Enforce.
const (
	ActionEnforce = "Enforce"
	ActionWarn    = "Warn"
	ActionAudit   = "Audit"
)

// Match picks images and workloads. What is empty does not restrict, except
// Images, which may not be empty.
//
// In every pattern * stands for any text, slashes included (as in Kyverno), and
// ? for one character; everything else stands for itself, and the whole text
// must match. A pattern of images is compared with the normalised reference:
// the registry is always part of it (docker.io/library/python, and not python).
//
// What is not known matches: an image that is judged without a workload, a
// namespace that is not known yet, or whose labels are not.
type Match struct {
	// Images are patterns. One matches if it fits the reference as
	// REGISTRY/REPOSITORY, with its tag, with its digest, or with both;
	// "REPOSITORY:*" also fits a reference that has a digest and no tag.
	Images []string `json:"images"`
	// ExcludeImages are patterns of images that the policy leaves alone, by
	// repository or by digest. A tag is refused here: anybody who can write a
	// manifest could write it before any digest.
	ExcludeImages []string `json:"excludeImages,omitempty"`
	// Namespaces are patterns of the workload's namespace.
	Namespaces []string `json:"namespaces,omitempty"`
	// NamespaceSelector is about the labels of the namespace.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// ObjectSelector is about the labels of the workload, of which whoever makes
	// it decides. Before an update, those of the old or of the new one match.
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`
}

// Exception says for which images a check that does not pass warns. It holds
// where all of Digests, Images and Namespaces that are set fit; at least one
// must be.
type Exception struct {
	// Digests are of images or of their manifests for one platform,
	// "sha256:…".
	Digests []string `json:"digests,omitempty"`
	// Images are patterns as in Match.ExcludeImages: no tags.
	Images []string `json:"images,omitempty"`
	// Namespaces are patterns of the workload's namespace. One that is not known
	// is in none.
	Namespaces []string `json:"namespaces,omitempty"`
	// Requirements are what is excepted, as REQUIREMENT or REQUIREMENT/CHECK;
	// without any it is everything.
	Requirements []string `json:"requirements,omitempty"`
	// Reason, Owner and Expires (RFC 3339) must be given, and stand in the
	// answer.
	Reason  string `json:"reason"`
	Owner   string `json:"owner"`
	Expires string `json:"expires"`
}

// OnFault says what a fault means for the images that the policy judges. An
// image is admitted by fault only where every policy that judges it says so.
type OnFault struct {
	// EvidenceUnavailable is a registry that does not say what evidence there is
	// about a digest that is known: Enforce (the default) closes the door, Warn
	// admits with a warning.
	EvidenceUnavailable string `json:"evidenceUnavailable,omitempty"`
}
