// Package trust turns evidence into claims, and is the only place that can.
//
// Evidence is bytes that a registry or a file handed over: nothing in it is
// believed. [Verify] checks one piece against the signers that a policy
// names and the digests that are being judged, and returns a [Claim] if and
// only if signature, subject and type all hold; otherwise a [Rejection] says
// in words which of them did not. Nothing here answers "verified" with a
// bool, and a Claim cannot be made outside this package.
//
// The package does not fetch evidence, choose the newest claim or apply a
// policy; it reads no clock and checks no transparency log.
package trust

import (
	"crypto"
	"encoding/json"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
)

// Form is how a piece of evidence was stored.
type Form string

// The forms of evidence.
const (
	// Bundle is a Sigstore bundle (protobuf-specs, media type
	// application/vnd.dev.sigstore.bundle.v0.3+json) with a DSSE envelope.
	Bundle Form = "bundle"
	// Envelope is a bare DSSE envelope, as in a layer of cosign's ".att" tag.
	Envelope Form = "envelope"
	// SimpleSigning is a payload of cosign's ".sig" tag with its signature
	// beside it.
	SimpleSigning Form = "simple-signing"
)

// Evidence is one piece as a port found it. Every field is a stranger's word.
type Evidence struct {
	// Digest is the digest of Content, computed when it was read.
	Digest subject.Digest
	// Source says where it was found, for people: "referrer
	// sha256:…" or "sha256-….att layer 2".
	Source string
	// Attached is the digest that it was found attached to. It proves
	// nothing: what is signed decides.
	Attached subject.Digest
	Form     Form
	// Content is the bundle, the envelope or the simple-signing payload.
	Content []byte
	// Signature is the base64 signature over Content; SimpleSigning only.
	Signature string
	// Certificate and Chain (PEM), LogEntry and Timestamp (JSON) are what
	// cosign's older layout keeps in annotations beside a layer:
	// dev.sigstore.cosign/certificate, /chain, /bundle and /rfc3161timestamp.
	// A Bundle has them inside.
	Certificate, Chain, LogEntry, Timestamp string
}

// Key is one public key, its fingerprint, and when it spoke for its signer.
type Key struct {
	ID     identity.Key
	Public crypto.PublicKey
	// NotBefore and NotAfter bound when the key signs for its signer; a zero
	// time does not. Evidence outside of them counts only by a trusted
	// timestamp inside; without one, the door's clock decides.
	NotBefore, NotAfter time.Time
}

// Signer is a party that a policy names, with the keys and the certificate
// identities that speak for it. Any one of them is enough.
type Signer struct {
	Name       string
	Keys       []Key
	Identities []identity.Pattern
	// Root holds the authorities that vouch for certificates, log entries and
	// timestamps. Without one, no certificate is believed and no log entry or
	// timestamp counts.
	Root *Root
	// Demand says what must vouch for a signature besides its key.
	Demand Demand
}

// Demand is what must vouch for a signature. The zero value asks for what is
// safe: for a certificate, a log entry, a certificate timestamp (SCT) and a
// trusted time; for a key, nothing more.
type Demand struct {
	// Log asks for an entry in a transparency log also where a key signed,
	// Timestamp for a trusted time.
	Log, Timestamp bool
	// WithoutLogUnsafe accepts a certificate's signature that no log has, and
	// WithoutSCTUnsafe a certificate that no certificate log promised to list.
	WithoutLogUnsafe, WithoutSCTUnsafe bool
}

// Claim is evidence after its signature, its subject and its type were
// verified. Only Verify makes one.
type Claim struct {
	predicateType string
	predicate     json.RawMessage
	subjects      []subject.Digest
	annotations   map[string]string
	signer        string
	key           identity.Key
	evidence      subject.Digest
	source        string
	form          Form
	time          time.Time
	hasTime       bool
	tool          string
}

// Type is the predicate type of the signed statement. Image signatures of
// both layouts have predicate.TypeCosignSign.
func (c Claim) Type() string { return c.predicateType }

// Predicate is the signed predicate, as JSON; "{}" for image signatures. The
// caller must not change it.
func (c Claim) Predicate() json.RawMessage { return c.predicate }

// Subjects are the digests, of those that were asked for, that the signed
// statement is about.
func (c Claim) Subjects() []subject.Digest { return c.subjects }

// Annotations are the signed annotations of an image signature.
func (c Claim) Annotations() map[string]string { return c.annotations }

// Signer is the name of the Signer whose key verified; Key is that key.
func (c Claim) Signer() string    { return c.signer }
func (c Claim) Key() identity.Key { return c.key }

// Time is when the signed content says it was made, and whether its type
// says so at all. No transparency log or timestamp backs it here.
func (c Claim) Time() (time.Time, bool) { return c.time, c.hasTime }

// Tool names what made the predicate (a scanner, an SBOM tool), so that the
// newest per tool can decide; "" where the type does not say.
func (c Claim) Tool() string { return c.tool }

// Evidence names the claim in a verdict.
func (c Claim) Evidence() verdict.Evidence {
	return verdict.Evidence{
		Digest: c.evidence, Type: c.predicateType, Source: c.source,
		Signer: c.signer, KeyID: c.key.String(), Time: c.time,
	}
}

// Reason is why evidence did not become a claim.
type Reason string

// The reasons.
const (
	// Unreadable evidence is not of the form that it says, or over a bound.
	Unreadable Reason = "unreadable"
	// UnknownKey evidence names, in its key hint, a key of no signer asked for.
	UnknownKey Reason = "unknown key"
	// BadSignature evidence verifies with no key of the signers asked for.
	BadSignature Reason = "bad signature"
	// KeyOutOfTime evidence is truly signed, by a key that does not, or no
	// longer, speak for its signer.
	KeyOutOfTime Reason = "key out of time"
	// OtherSubject evidence is truly signed, but about something else.
	OtherSubject Reason = "other subject"
	// BadStatement evidence is truly signed, but is no in-toto statement, has
	// no type, or a predicate that its type does not allow.
	BadStatement Reason = "bad statement"
)

// Rejection is why one piece of evidence did not become a claim.
type Rejection struct {
	Reason Reason
	// Detail is one sentence for people, with what was expected and found.
	Detail string
	// ClaimedType is the predicate type that the evidence says it has,
	// unverified; "" where it could not be read. It is good for a hint in a
	// denial and for nothing else.
	ClaimedType string
	// Evidence names the piece, with Rejected filled and no signer.
	Evidence verdict.Evidence
}
