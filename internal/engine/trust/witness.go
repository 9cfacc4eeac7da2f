package trust

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	sigstorebundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/seed-161fc314/assay/internal/format/bundle"
)

// witnessed are the witnesses of a signature, and all times that they gave.
type witnessed struct {
	Witnesses
	times []time.Time
}

// witness verifies all log entries and timestamps of a signature. Those of
// logs and authorities that the root does not list are passed over, and are
// no witnesses; of the others all must hold. now is the clock of who judges.
func (r *Root) witness(o *opened, by party, signature []byte, now time.Time) (w witnessed, stop *failure) {
	var timeless []LogEntry
	var logs []*root.TransparencyLog
	for i, entry := range o.entries {
		for _, other := range o.entries[:i] {
			if bytes.Equal(entry.LogID, other.LogID) && entry.Index == other.Index {
				return witnessed{}, fail(BadLogEntry, "two entries with index %d of one log", entry.Index)
			}
		}
		log, listed := r.log(entry.LogID)
		if !listed {
			continue
		}
		verified, stop := r.logged(o, by, signature, entry, log)
		if stop != nil {
			return witnessed{}, stop
		}
		if verified.Time.IsZero() {
			timeless, logs = append(timeless, verified), append(logs, log)
			continue
		}
		w.times = append(w.times, verified.Time)
		w.Logs = addLog(w.Logs, verified)
	}
	for i, raw := range o.timestamps {
		stamped, listed, err := r.stamped(raw, signature)
		if err != nil {
			return witnessed{}, fail(BadTimestamp, "timestamp %d of %d: %s", i+1, len(o.timestamps), err)
		}
		if listed {
			w.times = append(w.times, stamped.Time)
			w.Timestamps = addTimestamp(w.Timestamps, stamped)
		}
	}
	// A log that signs no time is held to when the signature was made; where
	// nobody says when that was, one that is not trusted now is no witness.
	for i, log := range logs {
		for _, at := range w.times {
			if outside(log, at) {
				return witnessed{}, fail(BadLogEntry, "it was signed at %s, and %s is trusted %s", stamp(at), log.BaseURL, period(log))
			}
		}
		if len(w.times) > 0 || !outside(log, now) {
			w.Logs = addLog(w.Logs, timeless[i])
		}
	}
	return w, nil
}

func outside(log *root.TransparencyLog, at time.Time) bool {
	return at.Before(log.ValidityPeriodStart) || !log.ValidityPeriodEnd.IsZero() && at.After(log.ValidityPeriodEnd)
}

func period(log *root.TransparencyLog) string {
	text := "from " + stamp(log.ValidityPeriodStart)
	if log.ValidityPeriodEnd.IsZero() {
		return text + " on"
	}
	return text + " to " + stamp(log.ValidityPeriodEnd)
}

// addLog keeps the earliest entry of each log.
func addLog(list []LogEntry, entry LogEntry) []LogEntry {
	at := slices.IndexFunc(list, func(e LogEntry) bool { return e.Authority == entry.Authority })
	switch {
	case at < 0:
		return append(list, entry)
	case !entry.Time.IsZero() && (list[at].Time.IsZero() || entry.Time.Before(list[at].Time)):
		list[at] = entry
	}
	return list
}

func addTimestamp(list []Timestamp, stamped Timestamp) []Timestamp {
	at := slices.IndexFunc(list, func(t Timestamp) bool { return t.Authority == stamped.Authority })
	switch {
	case at < 0:
		return append(list, stamped)
	case stamped.Time.Before(list[at].Time):
		list[at] = stamped
	}
	return list
}

// logged verifies one entry of a listed log.
func (r *Root) logged(o *opened, by party, signed []byte, read bundle.LogEntry, log *root.TransparencyLog) (LogEntry, *failure) {
	bad := func(err error) (LogEntry, *failure) {
		return LogEntry{}, fail(BadLogEntry, "entry %d of %s: %s", read.Index, log.BaseURL, err)
	}
	entry, err := tlog.ParseTransparencyLogEntry(read.Proto())
	if err != nil {
		return bad(err)
	}
	if err := tlog.ValidateEntry(entry); err != nil {
		return bad(err)
	}
	content, stop := o.logs(entry, by, signed, log)
	if stop != nil {
		return LogEntry{}, stop
	}
	// A log of the newer kind signs its tree by a plain name, and no times; it
	// may hold Rekor v1's kinds of entries all the same.
	plain := entry.IsRekorV2() || !entry.HasInclusionPromise() && read.Proof != nil && !treed(read.Proof.Checkpoint)
	if err := consistent(read, plain); err != nil {
		return bad(err)
	}
	if plain {
		// sigstore-go hashes what the entry should be; what is shown as its
		// body must be that too.
		if err := included(entry, log); err != nil {
			return bad(err)
		}
	}
	if plain && !entry.IsRekorV2() {
		// sigstore-go takes each entry under a plain name for one of Rekor v2.
		// What it would hold this one to has been looked at, in logs and here.
		return LogEntry{Authority: log.BaseURL, Index: read.Proof.Index}, nil
	}
	one := &entity{party: by, entry: entry, content: content}
	times, err := verify.VerifyTlogEntry(one, material{r.root, by.public}, 1, true)
	if err != nil {
		if entry.HasInclusionPromise() {
			// It passes over entries with a bad promise; this says why.
			err = errors.Join(tlog.VerifySET(entry, r.root.RekorLogs()), err)
		}
		return bad(err)
	}
	verified := LogEntry{Authority: log.BaseURL, Index: read.Index}
	if len(times) > 0 {
		verified.Time = times[0].Time.UTC()
	} else {
		// Without a promise, only the place in the tree is signed.
		verified.Index = read.Proof.Index
	}
	return verified, nil
}

// logs holds an entry to what was verified: signature, key and digest must be
// the same (CVE-2022-23649, CVE-2026-22703). It gives the signature as that
// kind of entry has it.
func (o *opened) logs(entry *tlog.Entry, by party, signed []byte, log *root.TransparencyLog) (verify.SignatureContent, *failure) {
	where := fmt.Sprintf("entry %d of %s", entry.LogIndex(), log.BaseURL)
	if !bytes.Equal(entry.Signature(), signed) {
		return nil, fail(OtherLogEntry, "%s is of another signature", where)
	}
	if !by.is(entry.PublicKey()) {
		return nil, fail(OtherLogEntry, "%s is of a signature by another key or certificate", where)
	}
	if digest, found := entry.GetDssePayloadHash(); found {
		if o.payloadType == "" {
			return nil, fail(OtherLogEntry, "%s is of a DSSE envelope, and this is none", where)
		}
		if sum := sha256.Sum256(o.payload); !bytes.Equal(digest, sum[:]) {
			return nil, fail(OtherLogEntry, "%s is of another payload, sha256:%x", where, digest)
		}
		return newEnvelopeContent(o, signed), nil
	}
	digest, name, found := entry.GetHashedRekordDigest()
	hash, known := hashes[name]
	if !found || !known {
		return nil, fail(BadLogEntry, "%s has no digest that is known", where)
	}
	sum := o.message.sum(hash)
	if sum == nil {
		return nil, fail(NeedsContent, "%s has a digest of the file by %s, which was not given: verify with the file", where, hash)
	}
	if !bytes.Equal(digest, sum) {
		return nil, fail(OtherLogEntry, "%s is of other content, %s:%x", where, strings.ToLower(name), digest)
	}
	if entry.IsRekorV2() && o.payloadType != "" {
		return newEnvelopeContent(o, signed), nil
	}
	// A digest of what a signature of an envelope is over says the same as the
	// envelope's own kinds of entries.
	return sigstorebundle.NewMessageSignature(sum, name, signed), nil
}

// hashes are the digests of hashedrekord entries, by their names in Rekor v1
// and v2.
var hashes = map[string]crypto.Hash{
	"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
	"SHA2_256": crypto.SHA256, "SHA2_384": crypto.SHA384, "SHA2_512": crypto.SHA512,
}

// treed says whether a checkpoint names a tree, as Rekor v1's do: "NAME - NUMBER".
func treed(checkpoint string) bool {
	line, _, _ := strings.Cut(checkpoint, "\n")
	at := strings.LastIndex(line, " - ")
	return at >= 0 && len(line) > at+3 && strings.Trim(line[at+3:], "0123456789") == ""
}

// consistent holds the parts of an inclusion proof that nothing signs to its
// checkpoint, and says no to a time that nothing signs.
func consistent(read bundle.LogEntry, plain bool) error {
	if plain && (read.IntegratedTime != 0 || read.Promise != nil) {
		return errors.New("a log that signs its tree by a plain name, as Rekor v2, signs no time and no promise, and it has one")
	}
	if read.Proof == nil {
		return nil
	}
	if plain && read.Proof.Index != read.Index {
		return fmt.Errorf("its inclusion proof is of index %d", read.Proof.Index)
	}
	return noted(*read.Proof)
}

// noted holds a proof to its checkpoint, a signed note: a line each for name,
// size and hash, perhaps more, an empty one, and a line for each signature.
func noted(proof bundle.Proof) error {
	text, signatures, found := strings.Cut(proof.Checkpoint, "\n\n")
	lines := strings.Split(text, "\n")
	if !found || len(lines) < 3 {
		return errors.New("its checkpoint has fewer than three lines, or no signature")
	}
	if size, err := strconv.ParseInt(lines[1], 10, 64); err != nil || size != proof.Size {
		return fmt.Errorf("its inclusion proof is of a tree of %d, and its checkpoint of %.30q", proof.Size, lines[1])
	}
	if hash, err := base64.StdEncoding.Strict().DecodeString(lines[2]); err != nil || !bytes.Equal(hash, proof.Root) {
		return fmt.Errorf("its inclusion proof is of the tree %x, and its checkpoint of another", proof.Root)
	}
	// Rekor v1 signs checkpoints by the name that their first line has.
	name, _, v1 := strings.Cut(lines[0], " - ")
	named := !v1
	for line := range strings.Lines(signatures) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(parts) != 3 || parts[0] != "\u2014" {
			return fmt.Errorf("its checkpoint has a line %.40q for a signature", line)
		}
		if _, err := base64.StdEncoding.Strict().DecodeString(parts[2]); err != nil {
			return fmt.Errorf("a signature of its checkpoint: %w", err)
		}
		named = named || parts[1] == name
	}
	if !named {
		return fmt.Errorf("its checkpoint is of %.100q, and signed by another name", name)
	}
	return nil
}

// included looks for an entry's body in its log's tree.
func included(entry *tlog.Entry, log *root.TransparencyLog) error {
	at, err := url.Parse(log.BaseURL)
	if err != nil {
		return err
	}
	verifier, err := signature.LoadVerifier(log.PublicKey, log.SignatureHashFunc)
	if err != nil {
		return err
	}
	return tlog.VerifyCheckpointAndInclusion(entry, verifier, at.Hostname())
}

// stamped verifies one timestamp of a signature. listed is false where it is
// of no authority of the root, as its own certificates say.
func (r *Root) stamped(raw, signed []byte) (_ Timestamp, listed bool, _ error) {
	var errs []error
	for _, authority := range r.root.TimestampingAuthorities() {
		verified, err := authority.Verify(raw, signed)
		if err == nil {
			return Timestamp{Authority: verified.URI, Time: verified.Time.UTC()}, true, nil
		}
		errs = append(errs, err)
	}
	parsed, err := timestamp.ParseResponse(raw)
	if err != nil {
		return Timestamp{}, false, fmt.Errorf("is no RFC 3161 timestamp: %w", err)
	}
	if r.foreign(parsed) {
		return Timestamp{}, false, nil
	}
	return Timestamp{}, false, fmt.Errorf("says %s, and no timestamp authority of %s made it so: %w", stamp(parsed.Time), r.name, errors.Join(errs...))
}

// foreign says whether a timestamp brings certificates, and none of them was
// issued by an authority of the root.
func (r *Root) foreign(parsed *timestamp.Timestamp) bool {
	for _, found := range parsed.Certificates {
		for _, authority := range r.root.TimestampingAuthorities() {
			tsa, ok := authority.(*root.SigstoreTimestampingAuthority)
			if !ok {
				return false
			}
			for _, own := range append(slices.Clone(tsa.Intermediates), tsa.Root) {
				if bytes.Equal(found.RawIssuer, own.RawSubject) {
					return false
				}
			}
		}
	}
	return len(parsed.Certificates) > 0 || len(r.root.TimestampingAuthorities()) == 0
}

// unlogged says why evidence has no verified log entry.
func (o *opened) unlogged(r *Root) string {
	switch {
	case r == nil:
		return "there is no trusted root that names a log"
	case len(o.entries) == 0:
		return "it has none"
	}
	var ids []string
	for _, entry := range o.entries {
		ids = append(ids, hex.EncodeToString(entry.LogID))
	}
	return fmt.Sprintf("its entries are of logs that %s does not list: %s", r.name, shorten(ids))
}

// untimed says why evidence has no trusted time.
func (o *opened) untimed(r *Root) string {
	switch {
	case r == nil:
		return "there is no trusted root that names an authority for it"
	case len(o.timestamps) > 0:
		return fmt.Sprintf("its timestamps are of authorities that %s does not list", r.name)
	case len(o.entries) > 0:
		return "its log entries have no time that their log signed, and it has no timestamp"
	}
	return "it has neither a timestamp nor a log entry with one"
}
