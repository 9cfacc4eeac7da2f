package cli

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/verify"
)

// verifiedImage is the answer about one reference, as JSON.
type verifiedImage struct {
	Reference string `json:"reference"`
	Image     string `json:"image,omitempty"`
	// Result is "allow", "deny" or "fault".
	Result  string           `json:"result"`
	Error   string           `json:"error,omitempty"`
	Digests []verifiedDigest `json:"digests,omitempty"`
}

// verifiedDigest is the answer about one digest.
type verifiedDigest struct {
	Digest    subject.Digest `json:"digest,omitzero"`
	Name      string         `json:"name,omitempty"`
	Result    string         `json:"result"`
	Signers   int            `json:"signers"`
	Threshold int            `json:"threshold"`
	// Pieces is how many pieces of evidence were looked at.
	Pieces   int             `json:"pieces"`
	Claims   []verifiedClaim `json:"claims"`
	Rejected []rejectedPiece `json:"rejected,omitempty"`
}

// verifiedClaim is one claim that counts. Log, Timestamps and SCTs are there
// only where they were verified.
type verifiedClaim struct {
	Type        string                `json:"predicateType"`
	Subject     []subject.Digest      `json:"subject"`
	Signer      string                `json:"signer"`
	Key         string                `json:"keyID,omitempty"`
	Certificate *identity.Certificate `json:"certificate,omitempty"`
	Source      string                `json:"source"`
	Time        time.Time             `json:"time,omitzero"`
	Annotations map[string]string     `json:"annotations,omitempty"`
	Log         []verifiedLog         `json:"log,omitempty"`
	Timestamps  []verifiedTime        `json:"timestamps,omitempty"`
	SCTs        int                   `json:"scts,omitempty"`
	Checked     []string              `json:"checked"`
	NotChecked  []string              `json:"notChecked,omitempty"`
	Predicate   json.RawMessage       `json:"predicate,omitempty"`
}

type verifiedLog struct {
	Authority string    `json:"authority"`
	Index     int64     `json:"index"`
	Time      time.Time `json:"time,omitzero"`
}

type verifiedTime struct {
	Authority string    `json:"authority"`
	Time      time.Time `json:"time"`
}

// rejectedPiece is evidence that does not count.
type rejectedPiece struct {
	Source string `json:"source"`
	// Reason is a word of engine/trust, or "not what was asked for" for a true
	// claim of another type or with other annotations.
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	// ClaimedType is unverified, but for true claims.
	ClaimedType string `json:"claimedType,omitempty"`
	// Certificate is who truly signed, where that is known.
	Certificate *identity.Certificate `json:"certificate,omitempty"`
}

// document is a result as JSON.
func (r *verifyReport) document(result verify.Result) verifiedImage {
	image := verifiedImage{Reference: result.Reference, Image: result.Pinned, Result: result.Decision.String()}
	for _, part := range result.Parts {
		digest := verifiedDigest{
			Digest: part.Digest, Name: part.Name, Result: part.Decision.String(),
			Signers: part.Signers, Threshold: r.flags.threshold, Pieces: part.Pieces, Claims: []verifiedClaim{},
		}
		for _, claim := range part.Claims {
			digest.Claims = append(digest.Claims, r.claimDocument(claim))
		}
		if part.Decision != verdict.Allow {
			digest.Rejected = rejectedPieces(part)
		}
		image.Digests = append(image.Digests, digest)
	}
	return image
}

func (r *verifyReport) claimDocument(claim trust.Claim) verifiedClaim {
	made, _ := claim.Time()
	done, left := r.checks(claim)
	document := verifiedClaim{
		Type: claim.Type(), Subject: slices.Clone(claim.Subjects()), Signer: claim.Signer(), Key: claim.Key().String(),
		Source: claim.Evidence().Source, Time: made, Annotations: maps.Clone(claim.Annotations()),
		SCTs: claim.Witnesses().SCTs, Checked: done, NotChecked: left, Predicate: claim.Predicate(),
	}
	if certificate := claim.Certificate(); !certificate.IsZero() {
		document.Certificate = &certificate
	}
	for _, log := range claim.Witnesses().Logs {
		document.Log = append(document.Log, verifiedLog(log))
	}
	for _, stamped := range claim.Witnesses().Timestamps {
		document.Timestamps = append(document.Timestamps, verifiedTime(stamped))
	}
	return document
}

func rejectedPieces(part verify.Part) []rejectedPiece {
	var list []rejectedPiece
	for _, other := range part.Others {
		list = append(list, rejectedPiece{Source: other.Claim.Evidence().Source, Reason: "not what was asked for", Detail: other.Why, ClaimedType: other.Claim.Type()})
	}
	for _, rejection := range part.Rejections {
		piece := rejectedPiece{Source: rejection.Evidence.Source, Reason: string(rejection.Reason), Detail: rejection.Detail, ClaimedType: rejection.ClaimedType}
		for _, stranger := range part.Strangers {
			if stranger.Evidence().Source == rejection.Evidence.Source {
				certificate := stranger.Certificate()
				piece.Certificate = &certificate
			}
		}
		list = append(list, piece)
	}
	return list
}
