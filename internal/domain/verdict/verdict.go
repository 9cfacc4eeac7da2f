// Package verdict is the answer of the gate: may this subject run, and why.
//
// Entry points are [Verdict] and [Check]. The zero value of a Verdict denies.
// A verdict carries every check that was made, passed or failed, so that one
// answer names all that is wrong.
package verdict

import (
	"fmt"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Decision is the answer in one word. The zero value is Deny.
type Decision uint8

// The decisions. Fault means that no verdict was possible: a registry was
// away, a policy could not be evaluated. A door treats it as closed.
const (
	Deny Decision = iota
	Fault
	Warn
	Allow
)

var decisionNames = [...]string{"deny", "fault", "warn", "allow"}

// String is the lower-case word.
func (d Decision) String() string {
	if int(d) < len(decisionNames) {
		return decisionNames[d]
	}
	return fmt.Sprintf("Decision(%d)", uint8(d))
}

// MarshalText writes String.
func (d Decision) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Admits says whether the subject may run.
func (d Decision) Admits() bool { return d == Allow || d == Warn }

// Outcome is how one check ended. The zero value is Failed.
type Outcome uint8

// The outcomes of a check. Broken means that the check could not be made
// (an expression that does not evaluate, evidence that cannot be read).
const (
	Failed Outcome = iota
	Broken
	Passed
	Skipped
)

var outcomeNames = [...]string{"failed", "broken", "passed", "skipped"}

// String is the lower-case word.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// MarshalText writes String.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Action is what a check does to the decision when it does not pass. The zero
// value is Enforce.
type Action uint8

// The actions: Enforce denies, WarnOnly admits with a warning, AuditOnly admits
// and leaves a record in the answer.
const (
	Enforce Action = iota
	WarnOnly
	AuditOnly
)

var actionNames = [...]string{"enforce", "warn", "audit"}

// String is the lower-case word.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// MarshalText writes String.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Check is one thing that a policy asked for, and what was found.
type Check struct {
	// Policy and Rule name where it is asked for; Name the single check
	// inside the rule, "" for the rule itself.
	Policy string `json:"policy"`
	Rule   string `json:"rule"`
	Name   string `json:"name,omitempty"`
	// Platform is set where an image index is judged per platform.
	Platform string  `json:"platform,omitempty"`
	Outcome  Outcome `json:"outcome"`
	// Action is what the check does to the decision when it does not pass.
	Action Action `json:"action,omitzero"`
	// Exception says by which exception of the policy a check that did not
	// pass does not deny: why, whose it is, and until when; or that the policy
	// is not in effect at this time.
	Exception string `json:"exception,omitempty"`
	// Message is the policy author's sentence, Expected and Found what the
	// check wanted and saw; Items are the things found, one by one (CVEs with
	// package, installed and healing version).
	Message  string   `json:"message,omitempty"`
	Expected string   `json:"expected"`
	Found    string   `json:"found"`
	Items    []string `json:"items,omitempty"`
	// Evidence is what the check looked at, verified or, where its State
	// says so, rejected.
	Evidence []Evidence `json:"evidence,omitempty"`
	// Remedy says what would make the check pass.
	Remedy string `json:"remedy,omitempty"`
}

// Evidence names one piece of evidence in an answer.
type Evidence struct {
	// Digest is the digest of the stored envelope or bundle.
	Digest subject.Digest `json:"digest"`
	// Type is the predicate type; Source says where it was stored.
	Type   string `json:"type"`
	Source string `json:"source,omitempty"`
	// Signer is the policy's name for whoever signed, "" where nobody did. KeyID
	// is the fingerprint of the key that verified; where a certificate did,
	// Identity is the subject that it names, "of" and the issuer.
	Signer   string `json:"signer,omitempty"`
	KeyID    string `json:"keyID,omitempty"`
	Identity string `json:"identity,omitempty"`
	// Time is the earliest of what the signed content says of when it was made
	// and of the trusted times; zero where there is none.
	Time time.Time `json:"time,omitzero"`
	// Rejected is why it did not count; "" for verified evidence.
	Rejected string `json:"rejected,omitempty"`
}

// Verdict is the gate's answer about one image or file.
type Verdict struct {
	// Reference is what was asked about, Subject the digest it was resolved
	// to, once; Pinned is the reference with that digest.
	Reference string         `json:"reference"`
	Subject   subject.Digest `json:"subject"`
	Pinned    string         `json:"pinned"`
	Decision  Decision       `json:"decision"`
	// Reason says in one sentence why, where no check does: no policy
	// matches, the registry is away.
	Reason string `json:"reason,omitempty"`
	// Policies are the names of those that judged the subject, in order.
	Policies []string `json:"policies"`
	Checks   []Check  `json:"checks"`
	// Time is the door's clock at the decision, UTC.
	Time time.Time `json:"time"`
}

// Failures are the checks that did not pass and deny for it, in the order they
// were made.
func (v Verdict) Failures() []Check {
	return v.unmet(func(c Check) bool { return c.Action == Enforce })
}

// Warnings are the checks that did not pass and do not deny, in the order they
// were made.
func (v Verdict) Warnings() []Check {
	return v.unmet(func(c Check) bool { return c.Action != Enforce })
}

func (v Verdict) unmet(wanted func(Check) bool) []Check {
	var list []Check
	for _, check := range v.Checks {
		if (check.Outcome == Failed || check.Outcome == Broken) && wanted(check) {
			list = append(list, check)
		}
	}
	return list
}
