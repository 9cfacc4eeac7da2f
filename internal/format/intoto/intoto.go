// Package intoto reads and writes in-toto statements: which subjects, by
// digest, a predicate of which type is about (in-toto/attestation,
// spec/v1/statement.md, and v0.1 of it).
//
// Entry points are [New], [Encode] and [Decode]. Encode writes statements of
// v1; Decode reads v1 and v0.1, which cosign still writes.
//
// The package does not look into predicates and checks no signature.
package intoto

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// The statement types that are read; V1 is the one that is written.
const (
	V1  = "https://in-toto.io/Statement/v1"
	V01 = "https://in-toto.io/Statement/v0.1"
)

// subjectDigests bounds how many algorithms one subject's digest may name, as
// sigstore-go does.
const subjectDigests = 32

// Statement is a predicate of a type about subjects.
type Statement struct {
	// Type is V1 or V01.
	Type string
	// Subjects are one to limit.Subjects, each with a digest.
	Subjects []Subject
	// PredicateType is a type URI, never empty.
	PredicateType string
	// Predicate is a JSON object; "{}" where the statement has none, which
	// the specification calls the same.
	Predicate json.RawMessage
}

// Subject is what a statement is about. Only Digest identifies it; Name and
// URI are for people.
type Subject struct {
	Name string `json:"name,omitempty"`
	URI  string `json:"uri,omitempty"`
	// Digest maps an algorithm to the value in lower-case hex (in-toto's
	// DigestSet): {"sha256": "…"}.
	Digest map[string]string `json:"digest"`
	// Annotations say more of this subject; those that are no strings are
	// left out when read.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// SubjectOf is the subject with this digest; name may be "".
func SubjectOf(name string, digest subject.Digest) Subject {
	return Subject{Name: name, Digest: map[string]string{digest.Algorithm(): digest.Hex()}}
}

// Is says whether the subject's digest of the same algorithm is this one. It
// compares exactly: upper-case hex and another algorithm's name match nothing.
func (s Subject) Is(digest subject.Digest) bool {
	value, found := s.Digest[digest.Algorithm()]
	return found && !digest.IsZero() && value == digest.Hex()
}

// New is a statement of v1.
func New(subjects []Subject, predicateType string, predicate json.RawMessage) Statement {
	return Statement{Type: V1, Subjects: subjects, PredicateType: predicateType, Predicate: predicate}
}

// Encode writes a statement as compact JSON, the same bytes for the same
// statement. What Decode would refuse is an error.
func Encode(s Statement) ([]byte, error) {
	if s.Predicate == nil {
		s.Predicate = json.RawMessage("{}")
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Type          string          `json:"_type"`
		Subject       []Subject       `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}{s.Type, s.Subjects, s.PredicateType, s.Predicate})
	if err != nil {
		return nil, fmt.Errorf("writing statement: %w", err)
	}
	content := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if _, err := Decode(content); err != nil {
		return nil, fmt.Errorf("writing statement: %w", err)
	}
	return content, nil
}

// Decode reads one statement. Unknown members are ignored, as the
// specification asks; equal names, wrong types, a subject without a digest
// and anything over limit.Evidence, limit.JSONDepth or limit.Subjects are
// errors.
func Decode(payload []byte) (Statement, error) {
	if len(payload) > limit.Evidence {
		return Statement{}, &limit.Error{What: "statement", Bound: limit.Evidence, Unit: "bytes"}
	}
	members, err := strictjson.Object(payload, "statement", strictjson.Bounds{})
	if err != nil {
		return Statement{}, err
	}
	s, err := decode(members)
	if err != nil {
		return Statement{}, fmt.Errorf("statement: %w", err)
	}
	return s, nil
}

func decode(members strictjson.Members) (s Statement, err error) {
	if s.Type, err = members.String("_type"); err != nil {
		return s, err
	}
	if s.Type != V1 && s.Type != V01 {
		return s, fmt.Errorf("\"_type\": want %s or %s, found %.200q", V1, V01, s.Type)
	}
	if s.PredicateType, err = members.String("predicateType"); err != nil {
		return s, err
	}
	if s.PredicateType == "" {
		return s, errors.New("\"predicateType\" is missing")
	}
	subjects, err := members.List("subject", limit.Subjects)
	if err != nil {
		return s, err
	}
	if len(subjects) == 0 {
		return s, errors.New("\"subject\" is empty; a statement is about at least one")
	}
	for i, text := range subjects {
		one, err := decodeSubject(text)
		if err != nil {
			return s, fmt.Errorf("subject %d: %w", i, err)
		}
		s.Subjects = append(s.Subjects, one)
	}
	s.Predicate = json.RawMessage("{}")
	if members.Has("predicate") {
		s.Predicate = members["predicate"]
	}
	if kind := strictjson.Kind(s.Predicate); kind != "an object" {
		return s, fmt.Errorf("\"predicate\": want an object, found %s", kind)
	}
	return s, nil
}

func decodeSubject(text []byte) (s Subject, err error) {
	members, err := strictjson.Object(text, "entry", strictjson.Bounds{})
	if err != nil {
		return s, err
	}
	if s.Name, err = members.String("name"); err != nil {
		return s, err
	}
	if s.URI, err = members.String("uri"); err != nil {
		return s, err
	}
	digest, err := members.Object("digest")
	if err != nil {
		return s, err
	}
	if len(digest) == 0 {
		return s, errors.New("has no digest")
	}
	if len(digest) > subjectDigests {
		return s, &limit.Error{What: "digest", Bound: subjectDigests, Unit: "algorithms"}
	}
	s.Digest = map[string]string{}
	for algorithm := range digest {
		value, err := digest.String(algorithm)
		if err != nil {
			return s, fmt.Errorf("digest: %w", err)
		}
		if algorithm == "" || value == "" {
			return s, errors.New("digest with an empty algorithm or value")
		}
		s.Digest[algorithm] = value
	}
	s.Annotations, err = members.Strings("annotations")
	return s, err
}
