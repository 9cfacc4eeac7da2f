// Package vex holds what somebody says about whether a product is affected by
// a vulnerability (VEX), whatever format it was said in.
//
// Entry point is [Document], which format/openvex and format/csaf read and
// engine/triage judges. A document is a stranger's word: nothing here says
// that a statement holds, or that it is about what was scanned.
package vex

import (
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Status is what a statement says, in OpenVEX's spelling.
type Status string

// The statuses of "Minimum Requirements for VEX" (CISA, April 2023).
const (
	NotAffected        Status = "not_affected"
	Affected           Status = "affected"
	Fixed              Status = "fixed"
	UnderInvestigation Status = "under_investigation"
)

// Known says whether a status is one of the four.
func (s Status) Known() bool {
	return s == NotAffected || s == Affected || s == Fixed || s == UnderInvestigation
}

// Justified says whether a word is one of the five justifications that VEX
// has for "not affected".
func Justified(word string) bool {
	switch word {
	case "component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
		"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist":
		return true
	}
	return false
}

// Document is one VEX document.
type Document struct {
	// Path is the file it was read from, Format "OpenVEX" or "CSAF".
	Path, Format string
	// ID names the document and not its version; Author is who says so.
	ID, Author string
	// Time is when this version of the document was made, UTC.
	Time       time.Time
	Statements []Statement
}

// Statement says one thing about one or more products.
type Statement struct {
	// Place is where it stands in the document: "statements[3]".
	Place string
	// Vulnerability are the ids that it goes by; at least one.
	Vulnerability []string
	Products      []Product
	Status        Status
	// Justification is one of VEX's five words, or ""; Impact is the
	// author's sentence, or "".
	Justification, Impact string
	// Time is when it was said, UTC.
	Time time.Time
}

// Product is what a statement is about.
type Product struct {
	Reference
	// Subcomponents are the parts of the product that the vulnerability is
	// in; none means the product as a whole.
	Subcomponents []Reference
}

// Reference names a product or a part of one. The names are alternatives: one
// that fits is enough.
type Reference struct {
	// PURLs are valid package URLs.
	PURLs []string
	// Digests are of the thing's content.
	Digests []subject.Digest
	// Label is for people: the first name that the document gives it.
	Label string
}

// Usable says whether a scan could tell what is meant.
func (r Reference) Usable() bool { return len(r.PURLs)+len(r.Digests) > 0 }
