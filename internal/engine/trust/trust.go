// Package trust turns evidence into claims, and is the only place that can.
//
// Evidence is bytes that a registry or a file handed over: nothing in it is
// believed. [Verify] checks one piece against the signers that a policy
// names and the digests that are being judged, and returns a [Claim] if and
// only if signature, subject and type all hold; otherwise a [Rejection] says
// in words which of them did not. [VerifyBlob] does the same for a file. A
// signer is known by keys or by the identities that certificates name; what
// vouches for certificates, log entries and timestamps is a [Root]. [Newest]
// says which claims decide, [Distinct] how many signed, [Compose] whether enough
// parties of a set did. Nothing here answers "verified" with a bool, and a Claim cannot be made outside this package.
//
// The package is the only one that asks sigstore-go to verify, and accepts
// nothing that sigstore-go refuses, with two exceptions: an envelope that a
// Rekor v1 log lists by the digest of what is signed, and Rekor v1's kinds of
// entries in a log that signs its tree by a plain name. It fetches nothing and
// asks no log or authority: what they signed is in the evidence. It reads no
// clock, and applies no policy.
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
	// BareSignature is a signature over a file, in Evidence.Signature, with
	// what older cosigns keep beside it; only VerifyBlob takes it.
	BareSignature Form = "signature"
)

// TypeMessage is the Claim.Type of a signature over a file's bytes, which says
// nothing of the file but that somebody signed it.
const TypeMessage = "message-signature"

// Evidence is one piece as a port found it. Every field is a stranger's word.
type Evidence struct {
	// Digest names the piece, and was computed when it was read: of a
	// referrer it is its manifest's, of anything else that of Content.
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
	// Signature is the base64 signature over Content (SimpleSigning) or over
	// the file (BareSignature).
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
	// Digest is the one algorithm that the key signs digests of; 0 is those of
	// its type that cosign uses. It says nothing of Ed25519, which has its own.
	Digest crypto.Hash
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

// Artifact is a file that evidence may be about.
type Artifact struct {
	// Digest is the file's; VerifyBlob computes it where there is Content and
	// Digest is the zero value.
	Digest subject.Digest
	// Content is the file, nil where only its digest is known. Some keys sign
	// the file itself, or a digest of another algorithm.
	Content []byte
}

// Witnesses is who vouched for a signature besides its key: what was really
// verified, and nothing else.
type Witnesses struct {
	// Logs has one entry for each transparency log, the earliest of it.
	Logs []LogEntry
	// Timestamps has one for each timestamp authority, the earliest of it.
	Timestamps []Timestamp
	// SCTs is how many certificate logs are known to list the certificate: as
	// many as were asked for, which is one.
	SCTs int
}

// LogEntry is a verified place in a transparency log.
type LogEntry struct {
	// Authority is the log's URL, as the trusted root has it.
	Authority string
	// Index is the entry's, as the log signed it.
	Index int64
	// Time is when the log took the entry, if the log signed that: zero in
	// Rekor v2.
	Time time.Time
}

// Timestamp is a verified statement of a timestamp authority that the
// signature existed at a time.
type Timestamp struct {
	// Authority is its URL, as the trusted root has it.
	Authority string
	Time      time.Time
}

// Claim is evidence after its signature, its subject and its type were
// verified. Only Verify and VerifyBlob make one.
type Claim struct {
	predicateType string
	predicate     json.RawMessage
	subjects      []subject.Digest
	annotations   map[string]string
	signer        string
	key           identity.Key
	certificate   identity.Certificate
	witnesses     Witnesses
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

// Signer is the name of the Signer that verified; Key is its key, the zero
// value where a certificate signed.
func (c Claim) Signer() string    { return c.signer }
func (c Claim) Key() identity.Key { return c.key }

// Certificate is the identity in the certificate that signed, verified; the
// zero value where a key did.
func (c Claim) Certificate() identity.Certificate { return c.certificate }

// Witnesses is who else vouched for the signature. It is empty where the
// signer has no Root.
func (c Claim) Witnesses() Witnesses { return c.witnesses }

// Time is the earliest of what the signed content says of when it was made and
// of the trusted times, and whether there is any. A stranger can have an old
// signature timestamped again, but cannot make it older.
func (c Claim) Time() (time.Time, bool) { return c.time, c.hasTime }

// Tool names what made the predicate (a scanner, an SBOM tool), so that the
// newest per tool can decide; "" where the type does not say.
func (c Claim) Tool() string { return c.tool }

// Evidence names the claim in a verdict.
func (c Claim) Evidence() verdict.Evidence {
	named := verdict.Evidence{
		Digest: c.evidence, Type: c.predicateType, Source: c.source,
		Signer: c.signer, KeyID: c.key.String(), Time: c.time,
	}
	if !c.certificate.IsZero() {
		named.Identity = spell(c.certificate)
	}
	return named
}

// Reason is why evidence did not become a claim.
type Reason string

// The reasons, in the order in which evidence is looked at.
const (
	// Unreadable evidence is not of the form that it says, or over a bound.
	Unreadable Reason = "unreadable"
	// UnknownKey evidence is signed by a key, or with a certificate, where
	// none of the signers asked for has such: as it says itself.
	UnknownKey Reason = "unknown key"
	// BadSignature evidence verifies with no key of the signers asked for, or
	// not with the key of its own certificate.
	BadSignature Reason = "bad signature"
	// NeedsContent evidence cannot be verified by a file's digest alone.
	NeedsContent Reason = "needs the content"
	// UnknownIdentity evidence is signed with a certificate for somebody whom
	// no signer asked for names.
	UnknownIdentity Reason = "unknown identity"
	// BadLogEntry evidence has a log entry that its log did not make.
	BadLogEntry Reason = "bad log entry"
	// OtherLogEntry evidence has a log entry of another signature, key or
	// content.
	OtherLogEntry Reason = "log entry of another signature"
	// NoLogEntry evidence has no entry of a log that the root lists, and needs
	// one.
	NoLogEntry Reason = "no log entry"
	// BadTimestamp evidence has a timestamp that no authority of the root made
	// of this signature.
	BadTimestamp Reason = "bad timestamp"
	// NoTimestamp evidence has no trusted time, and needs one.
	NoTimestamp Reason = "no trusted time"
	// KeyOutOfTime evidence is truly signed, by a key that does not, or no
	// longer, speak for its signer.
	KeyOutOfTime Reason = "key out of time"
	// UntrustedCertificate evidence has a certificate that no authority of the
	// root issued.
	UntrustedCertificate Reason = "untrusted certificate"
	// CertificateOutOfTime evidence has a certificate that was not valid when
	// it signed, or whose authority was not.
	CertificateOutOfTime Reason = "certificate out of time"
	// NoSCT evidence has a certificate that no certificate log promised to
	// list, BadSCT one whose promise is of no log of the root.
	NoSCT  Reason = "no certificate timestamp"
	BadSCT Reason = "bad certificate timestamp"
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
