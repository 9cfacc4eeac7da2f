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
