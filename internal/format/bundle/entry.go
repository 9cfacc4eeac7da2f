package bundle

import (
	"errors"
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// LogEntry is what a transparency log says of one signature
// (sigstore_rekor.proto, TransparencyLogEntry).
type LogEntry struct {
	// LogID names the log: the fingerprint of its key (Rekor v1), or its
	// checkpoint key's (v2).
	LogID []byte
	// Index is the entry's place in the log; in Rekor v1, over all its shards.
	Index int64
	// IntegratedTime is when the log took it, in seconds since 1970; only
	// Promise signs it. 0 in Rekor v2.
	IntegratedTime int64
	// Kind and Version say how Body is written: "hashedrekord" "0.0.1", …
	Kind, Version string
	// Body is the entry as the log hashes it.
	Body []byte
	// Promise is the log's signature over body, index and time (Rekor v1's
	// signed entry timestamp); nil where there is none.
	Promise []byte
	// Proof is nil where there is none.
	Proof *Proof
}

// Proof shows that an entry is in the tree of a checkpoint.
type Proof struct {
	// Index and Size are the leaf's place in the tree and the tree's size.
	Index, Size int64
	// Root is the tree's hash, Hashes lead from the leaf to it.
	Root   []byte
	Hashes [][]byte
	// Checkpoint is a signed note over size and root.
	Checkpoint string
}

// check holds an entry to its bounds, and to a kind that its body names too.
func (e LogEntry) check() error {
	switch {
	case len(e.LogID) == 0:
		return errors.New("names no log (logId.keyId)")
	case len(e.LogID) > 64:
		return &limit.Error{What: "logId.keyId", Bound: 64, Unit: "bytes"}
	case e.Index < 0 || e.IntegratedTime < 0:
		return errors.New("has a negative index or time")
	case len(e.Body) > limit.LogEntry:
		return &limit.Error{What: "its body", Bound: limit.LogEntry, Unit: "bytes"}
	case len(e.Promise) > limit.LogSignature:
		return &limit.Error{What: "its inclusion promise", Bound: limit.LogSignature, Unit: "bytes"}
	case e.Promise == nil && e.Proof == nil:
		return errors.New("has neither an inclusion promise nor an inclusion proof")
	}
	if err := e.Proof.check(); err != nil {
		return err
	}
	kind, version, err := kindOf(e.Body)
	if err != nil {
		return err
	}
	if kind != e.Kind || version != e.Version {
		return fmt.Errorf("kindVersion says %.50q %.50q, and its body %.50q %.50q", e.Kind, e.Version, kind, version)
	}
	return nil
}

func (p *Proof) check() error {
	if p == nil {
		return nil
	}
	switch {
	case p.Index < 0 || p.Size < 0:
		return errors.New("its inclusion proof has a negative index or size")
	case p.Checkpoint == "":
		return errors.New("its inclusion proof has no checkpoint")
	case len(p.Checkpoint) > limit.LogSignature:
		return &limit.Error{What: "its checkpoint", Bound: limit.LogSignature, Unit: "bytes"}
	case len(p.Hashes) > limit.ProofHashes:
		return &limit.Error{What: "its inclusion proof", Bound: limit.ProofHashes, Unit: "hashes"}
	case len(p.Root) > 64:
		return &limit.Error{What: "its root hash", Bound: 64, Unit: "bytes"}
	}
	for _, hash := range p.Hashes {
		if len(hash) > 64 {
			return &limit.Error{What: "a hash of its inclusion proof", Bound: 64, Unit: "bytes"}
		}
	}
	return nil
}

// kindOf reads which kind of entry a body says that it is.
func kindOf(body []byte) (kind, version string, err error) {
	members, err := strictjson.Object(body, "its body", strictjson.Bounds{Depth: 32, Values: values})
	if err != nil {
		return "", "", err
	}
	if kind, err = members.String("kind"); err != nil {
		return "", "", fmt.Errorf("its body: %w", err)
	}
	if version, err = members.String("apiVersion"); err != nil {
		return "", "", fmt.Errorf("its body: %w", err)
	}
	return kind, version, nil
}
