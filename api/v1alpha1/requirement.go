package v1alpha1

// Requirement is one kind of evidence that must be there and hold.
type Requirement struct {
	// Name is unique in the policy, and stands in denials.
	Name string `json:"name"`
	// Type is a predicate type's URI or short name: signature, provenance,
	// slsaprovenance, vuln, cyclonedx, spdx, test-result, openvex, link,
	// custom. All vulnerability types count as one.
	Type string `json:"type"`
	// Signers are names of signers. At least one.
	Signers []string `json:"signers"`
	// Threshold is how many of them must have signed, each with another key or
	// identity; 0 is one.
	Threshold int `json:"threshold,omitempty"`
	// MaxAge is how old the evidence may be, such as "168h", by the time that
	// the signed content gives. Evidence without a time does not hold then; on
	// a type that has no time for any evidence it is an error.
	MaxAge string `json:"maxAge,omitempty"`
	// Select says which of the evidence decides.
	Select Select `json:"select,omitzero"`
	// Checks are made on each piece of evidence that decides. Without checks it is
	// enough that there is one.
	Checks []Check `json:"checks,omitempty"`
}

// Select says which evidence decides, of what the signers made of the type.
// What Tools and Expr leave out is as if it were not there; of the rest Which
// chooses.
type Select struct {
	// Which is Newest (the default), for each signer and tool, or All.
	Which string `json:"which,omitempty"`
	// Tools are patterns of what made the evidence, as claim.tool has it.
	Tools []string `json:"tools,omitempty"`
	// Expr is CEL with the variables of a check about one piece of evidence. It
	// must be true for evidence that counts; where it cannot be evaluated, the
	// requirement does not hold.
	Expr string `json:"expr,omitempty"`
}

// The words of Select.Which; "" is Newest.
const (
	WhichNewest = "Newest"
	WhichAll    = "All"
)

// Check is a condition in CEL over what the evidence says. Exactly one of Expr
// and Deny is set.
//
// Variables: predicate (as it is), claim (type, signer, tool, time, digest,
// subjects, key, subject, issuer, extensions, annotations, logs, timestamps),
// image (reference, registry, repository, tag, digest, platform, labels,
// config), request (kind, namespace, name, user, …), object, oldObject and pod
// (open), now. By type: findings and scan for vulnerabilities, components for
// SBOMs, provenance for provenance, tests for test results. evidence is a list
// of all that decides, each with claim and the variables of its type, and
// predicates the list of what it says. A check that names no variable of one
// piece of evidence is made once, any other on each piece.
//
// Functions are CEL's, with its libraries of strings, lists, sets, math,
// comprehensions of two variables and optional values; those of Kubernetes for
// URLs, regular expressions, lists, quantities, IP addresses and networks, formats
// and semantic versions; and our own (docs/policies.md).
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
