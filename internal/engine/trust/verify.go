package trust

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
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

// Verify judges one piece of evidence, and gives either a claim or a
// rejection: the rejection is nil if and only if some key or certificate of
// signers signed the evidence, everything vouches for it that the signer
// demands, and what was signed is a statement with a predicate type about at
// least one of subjects; now is the door's clock. It looks at form and bounds
// first, then at what the evidence says of its signer, the signature, its
// witnesses, and only then at what is signed.
//
// An attestation is never an image signature: callers compare Claim.Type with
// what they want, predicate.TypeCosignSign for a signature.
func Verify(evidence Evidence, signers []Signer, subjects []subject.Digest, now time.Time) (Claim, *Rejection) {
	o, stop := open(evidence)
	if stop != nil {
		return Claim{}, reject(evidence, "", stop)
	}
	if o.blob != nil {
		return Claim{}, reject(evidence, TypeMessage, fail(Unreadable, "holds a message signature, as for a plain file; want a DSSE envelope with an in-toto statement"))
	}
	claim, stop := o.verify(evidence, signers, now)
	if stop == nil {
		if evidence.Form == SimpleSigning {
			stop = claim.fillSimple(evidence.Content, subjects)
		} else {
			stop = claim.fill(o, subjects)
		}
	}
	if stop != nil {
		return Claim{}, reject(evidence, o.claimedType(evidence.Form), stop)
	}
	return claim, nil
}

// verify gives a claim that says who signed, when and before whom, and not yet
// what.
func (o *opened) verify(evidence Evidence, signers []Signer, now time.Time) (Claim, *failure) {
	if stop := o.knows(signers); stop != nil {
		return Claim{}, stop
	}
	var v vouched
	var stop *failure
	if pinned := o.pinnedBy(signers); o.leaf == nil || pinned {
		v, stop = o.signedBy(signers, now)
		if stop != nil && pinned && slices.ContainsFunc(signers, func(s Signer) bool { return len(s.Identities) > 0 }) {
			v, stop = o.certifiedBy(signers, now)
		}
	} else {
		v, stop = o.certifiedBy(signers, now)
	}
	if stop != nil {
		return Claim{}, stop
	}
	claim := Claim{
		signer: v.signer, key: v.key, certificate: v.certificate, witnesses: v.witnesses.Witnesses,
		evidence: evidence.Digest, source: evidence.Source, form: evidence.Form,
	}
	for _, at := range v.witnesses.times {
		claim.dated(at)
	}
	return claim, nil
}

// dated notes a time at which the evidence is known to have been there, or
// says that it was made; the earliest stands.
func (c *Claim) dated(at time.Time) {
	if !c.hasTime || at.Before(c.time) {
		c.time, c.hasTime = at.UTC(), true
	}
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
	if dated {
		c.dated(when)
	}
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
	if len(o.payload) > limit.Told {
		return "" // a stranger's, and much work to say what it claims to be
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
