package trust

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
	"github.com/seed-161fc314/assay/predicate"
)

// failure is why a step of Verify stopped.
type failure struct {
	reason Reason
	detail string
}

func fail(reason Reason, format string, arguments ...any) *failure {
	return &failure{reason, fmt.Sprintf(format, arguments...)}
}

// opened is evidence after it was read, with nothing of it verified.
type opened struct {
	message    message
	signatures [][]byte
	hint       string
	keyless    bool
	// payloadType and payload are those of the envelope; empty for simple
	// signing.
	payloadType string
	payload     []byte
}

// Verify judges one piece of evidence, and gives either a claim or a
// rejection: the rejection is nil if and only if some key of signers signed
// the evidence, and what it signed is a statement with a predicate type about
// at least one of subjects; now is the door's clock. It looks at form and bounds first, then at the
// key hint, the signature, and only then at what is signed.
//
// An attestation is never an image signature: callers compare Claim.Type with
// what they want, predicate.TypeCosignSign for a signature.
func Verify(evidence Evidence, signers []Signer, subjects []subject.Digest, now time.Time) (Claim, *Rejection) {
	o, stop := open(evidence)
	if stop != nil {
		return Claim{}, reject(evidence, "", stop)
	}
	claim, stop := o.verify(evidence, signers, subjects, now)
	if stop != nil {
		return Claim{}, reject(evidence, o.claimedType(evidence.Form), stop)
	}
	return claim, nil
}

func (o *opened) verify(evidence Evidence, signers []Signer, subjects []subject.Digest, now time.Time) (Claim, *failure) {
	if stop := o.knows(signers); stop != nil {
		return Claim{}, stop
	}
	signer, key, stop := o.signedBy(signers, now)
	if stop != nil {
		return Claim{}, stop
	}
	claim := Claim{
		signer: signer, key: key,
		evidence: evidence.Digest, source: evidence.Source, form: evidence.Form,
	}
	if evidence.Form == SimpleSigning {
		stop = claim.fillSimple(evidence.Content, subjects)
	} else {
		stop = claim.fill(o, subjects)
	}
	return claim, stop
}

func open(evidence Evidence) (*opened, *failure) {
	if len(evidence.Content) > limit.Evidence {
		return nil, fail(Unreadable, "%s", &limit.Error{What: "evidence", Bound: limit.Evidence, Unit: "bytes"})
	}
	switch evidence.Form {
	case Bundle:
		decoded, err := bundle.Decode(evidence.Content)
		if err != nil {
			return nil, fail(Unreadable, "%s", err)
		}
		o := openEnvelope(decoded.Envelope)
		o.hint, o.keyless = decoded.KeyHint, decoded.HasCertificate
		return o, nil
	case Envelope:
		envelope, err := dsse.Decode(evidence.Content)
		if err != nil {
			return nil, fail(Unreadable, "%s", err)
		}
		return openEnvelope(envelope), nil
	case SimpleSigning:
		signature, err := decodeSignature(evidence.Signature)
		if err != nil {
			return nil, fail(Unreadable, "signature beside the payload: %s", err)
		}
		return &opened{message: message{content: evidence.Content}, signatures: [][]byte{signature}}, nil
	}
	return nil, fail(Unreadable, "form %.60q is not known; want %s, %s or %s", evidence.Form, Bundle, Envelope, SimpleSigning)
}

// signatureBytes bounds a signature of simple signing in base64; RSA of 8192
// bits takes 1,368.
const signatureBytes = 4096

func decodeSignature(text string) ([]byte, error) {
	if len(text) > signatureBytes {
		return nil, &limit.Error{What: "signature", Bound: signatureBytes, Unit: "bytes of base64"}
	}
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("line end in the base64")
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && len(signature) == 0 {
		err = errors.New("is empty")
	}
	return signature, err
}

func openEnvelope(envelope dsse.Envelope) *opened {
	o := &opened{
		message:     message{content: dsse.PAE(envelope.PayloadType, envelope.Payload)},
		payloadType: envelope.PayloadType, payload: envelope.Payload,
	}
	for _, signature := range envelope.Signatures {
		o.signatures = append(o.signatures, signature.Sig)
	}
	return o
}

// knows stops where the evidence itself says that none of the signers made it.
func (o *opened) knows(signers []Signer) *failure {
	names, hinted := make([]string, 0, len(signers)), false
	keys := 0
	for _, signer := range signers {
		names = append(names, signer.Name)
		keys += len(signer.Keys)
		for _, key := range signer.Keys {
			hinted = hinted || o.hint != "" && key.ID.Hint() == o.hint
		}
	}
	switch {
	case keys == 0:
		return fail(UnknownKey, "no signer with a key was asked for")
	case o.keyless:
		return fail(UnknownKey, "it is signed with a certificate, and no certificate identity was asked for, only keys of %s", strings.Join(names, ", "))
	case o.hint != "" && !hinted:
		return fail(UnknownKey, "its key hint %.100q names no key of %s", o.hint, strings.Join(names, ", "))
	}
	return nil
}

// signedBy finds the first signer with a key that made one of the signatures.
func (o *opened) signedBy(signers []Signer, now time.Time) (string, identity.Key, *failure) {
	var names []string
	var outside *failure
	for _, signer := range signers {
		for _, key := range signer.Keys {
			for _, signature := range o.signatures {
				if o.message.check(key.Public, signature) != nil {
					continue
				}
				if stop := key.valid(now); stop != nil {
					outside = stop
					continue
				}
				return signer.Name, key.ID, nil
			}
			names = append(names, fmt.Sprintf("%s (%s)", signer.Name, key.ID))
		}
	}
	if outside != nil {
		return "", identity.Key{}, outside
	}
	return "", identity.Key{}, fail(BadSignature, "no signature in it verifies with a key of %s: it was made by another key, or changed since", strings.Join(names, ", "))
}

// valid stops where a key does not speak for its signer at a time.
func (k Key) valid(at time.Time) *failure {
	switch {
	case !k.NotBefore.IsZero() && at.Before(k.NotBefore):
		return fail(KeyOutOfTime, "key %s signs from %s on", k.ID, k.NotBefore.UTC().Format(time.RFC3339))
	case !k.NotAfter.IsZero() && at.After(k.NotAfter):
		return fail(KeyOutOfTime, "key %s was retired at %s, and no trusted timestamp shows that it signed before", k.ID, k.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// fill reads the signed statement into the claim.
func (c *Claim) fill(o *opened, subjects []subject.Digest) *failure {
	if !dsse.InTotoPayload(o.payloadType) {
		return fail(BadStatement, "payload type is %.100q, want %s", o.payloadType, dsse.InToto)
	}
	statement, err := intoto.Decode(o.payload)
	if err != nil {
		return fail(BadStatement, "%s", err)
	}
	for _, digest := range subjects {
		found := false
		for _, s := range statement.Subjects {
			if s.Is(digest) {
				found = true
				c.annotate(s.Annotations)
			}
		}
		if found {
			c.subjects = append(c.subjects, digest)
		}
	}
	if len(c.subjects) == 0 {
		return fail(OtherSubject, "its statement is about %s, not about %s", describe(statement.Subjects), list(subjects))
	}
	c.predicateType, c.predicate = statement.PredicateType, statement.Predicate
	when, dated, err := predicate.Time(c.predicateType, c.predicate)
	if err != nil {
		return fail(BadStatement, "predicate of type %.200q: %s", c.predicateType, err)
	}
	c.time, c.hasTime = when, dated
	c.tool = predicate.Tool(c.predicateType, c.predicate)
	return nil
}

// annotate adds the annotations of one subject. The first word on a name
// stands; a statement that contradicts itself gains nothing by it.
func (c *Claim) annotate(annotations map[string]string) {
	if len(annotations) == 0 {
		return
	}
	merged := maps.Clone(annotations)
	maps.Copy(merged, c.annotations)
	c.annotations = merged
}

// fillSimple reads the signed payload of simple signing into the claim.
func (c *Claim) fillSimple(content []byte, subjects []subject.Digest) *failure {
	payload, err := simplesigning.Decode(content)
	if err != nil {
		return fail(BadStatement, "%s", err)
	}
	for _, digest := range subjects {
		if !digest.IsZero() && digest == payload.Digest {
			c.subjects = []subject.Digest{digest}
		}
	}
	if len(c.subjects) == 0 {
		return fail(OtherSubject, "its payload is about %s, not about %s", payload.Digest, list(subjects))
	}
	c.predicateType, c.predicate = predicate.TypeCosignSign, json.RawMessage("{}")
	c.annotations = payload.Annotations
	return nil
}

// named bounds how many digests a rejection spells out.
const named = 3

func list(digests []subject.Digest) string {
	texts := []string{}
	for _, digest := range digests {
		texts = append(texts, digest.String())
	}
	return shorten(texts)
}

func describe(subjects []intoto.Subject) string {
	var texts []string
	for _, s := range subjects[:min(len(subjects), named+1)] {
		algorithm := slices.Min(slices.Collect(maps.Keys(s.Digest)))
		if _, found := s.Digest["sha256"]; found {
			algorithm = "sha256"
		}
		texts = append(texts, fmt.Sprintf("%.150q", algorithm+":"+s.Digest[algorithm]))
	}
	return shorten(texts)
}

func shorten(texts []string) string {
	if len(texts) == 0 {
		return "nothing"
	}
	if len(texts) > named {
		return strings.Join(texts[:named], ", ") + " and more"
	}
	return strings.Join(texts, ", ")
}

// claimedType is what unverified evidence says of its type. It may end up in
// front of people, so that only a plain short word passes.
func (o *opened) claimedType(form Form) string {
	if form == SimpleSigning {
		return predicate.TypeCosignSign
	}
	statement, err := intoto.Decode(o.payload)
	claimed := statement.PredicateType
	if err != nil || len(claimed) > 256 || strings.ContainsFunc(claimed, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return ""
	}
	return claimed
}

func reject(evidence Evidence, claimed string, stop *failure) *Rejection {
	return &Rejection{
		Reason: stop.reason, Detail: stop.detail, ClaimedType: claimed,
		Evidence: verdict.Evidence{
			Digest: evidence.Digest, Type: claimed, Source: evidence.Source,
			Rejected: string(stop.reason) + ": " + stop.detail,
		},
	}
}
