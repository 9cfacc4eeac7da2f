package trust

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// VerifyBlob judges one piece of evidence about a file, as Verify does about
// images. A signature over the file itself gives a claim of TypeMessage; an
// envelope must hold a statement about the file's digest, and gives a claim of
// the statement's type. Callers compare Claim.Type with what they want: a
// statement about a file is no signature of it.
func VerifyBlob(evidence Evidence, artifact Artifact, signers []Signer, now time.Time) (Claim, *Rejection) {
	o, stop := open(evidence)
	if stop != nil {
		return Claim{}, reject(evidence, "", stop)
	}
	claim, stop := o.verifyBlob(evidence, artifact, signers, now)
	if stop != nil {
		claimed := o.claimedType(evidence.Form)
		if o.blob != nil {
			claimed = TypeMessage
		}
		return Claim{}, reject(evidence, claimed, stop)
	}
	return claim, nil
}

func (o *opened) verifyBlob(evidence Evidence, artifact Artifact, signers []Signer, now time.Time) (Claim, *failure) {
	if evidence.Form == SimpleSigning {
		return Claim{}, fail(Unreadable, "it signs an image in cosign's older way, and is about no file")
	}
	digest, stop := artifact.digest()
	if stop != nil {
		return Claim{}, stop
	}
	if o.blob == nil {
		claim, stop := o.verify(evidence, signers, now)
		if stop == nil {
			stop = claim.fill(o, []subject.Digest{digest})
		}
		return claim, stop
	}
	o.message.content, o.message.absent = artifact.Content, artifact.Content == nil
	// Signatures over files are made in both of Ed25519's ways by keys, and in
	// one by certificates.
	o.message.prehashed, o.message.pure = true, o.leaf == nil
	o.message.sums = map[crypto.Hash][]byte{}
	if sum, err := hex.DecodeString(digest.Hex()); err == nil {
		o.message.sums[hashes[digest.Algorithm()]] = sum
	}
	if o.blob.Digest != nil {
		// What the bundle says of the digest proves nothing, but must be true.
		sum := o.message.sum(hashes[o.blob.Algorithm])
		switch {
		case sum == nil:
			return Claim{}, fail(NeedsContent, "it names the %s digest of the file, and only %s is known: verify with the file", o.blob.Algorithm, digest)
		case !bytes.Equal(sum, o.blob.Digest):
			return Claim{}, fail(OtherSubject, "it signs a file with the digest %s:%x, not %s:%x", o.blob.Algorithm, o.blob.Digest, o.blob.Algorithm, sum)
		}
	}
	claim, stop := o.verify(evidence, signers, now)
	if stop != nil {
		return Claim{}, stop
	}
	claim.predicateType, claim.predicate = TypeMessage, json.RawMessage("{}")
	claim.subjects = []subject.Digest{digest}
	return claim, nil
}

// digest is the file's, computed where that is possible.
func (a Artifact) digest() (subject.Digest, *failure) {
	switch {
	case a.Content == nil && a.Digest.IsZero():
		return subject.Digest{}, fail(OtherSubject, "no file and no digest was given that it could be about")
	case a.Content == nil:
		return a.Digest, nil
	}
	m := message{content: a.Content}
	if a.Digest.IsZero() {
		return subject.Of(a.Content), nil
	}
	if found := hex.EncodeToString(m.sum(hashes[a.Digest.Algorithm()])); found != a.Digest.Hex() {
		return subject.Digest{}, fail(OtherSubject, "the file has the digest %s:%s, not %s", a.Digest.Algorithm(), found, a.Digest)
	}
	return a.Digest, nil
}
