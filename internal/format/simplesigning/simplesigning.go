// Package simplesigning reads and writes the payload of cosign's older image
// signatures (cosign, specs/SIGNATURE_SPEC.md; Red Hat's "simple signing").
// The signature of such a payload is over its exact bytes.
//
// Entry points are [Encode] and [Decode].
//
// The package checks no signature, and the repository inside a payload is
// for people only: what counts is the digest.
package simplesigning

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// Type is the only critical.type that is read and written.
const Type = "cosign container image signature"

// payloadBytes bounds a payload, in bytes; real ones have some hundreds.
const payloadBytes = 1 << 20

// Payload is what one signature says.
type Payload struct {
	// Repository is critical.identity.docker-reference.
	Repository string
	// Digest is critical.image.docker-manifest-digest.
	Digest subject.Digest
	// Annotations are the string members of "optional"; others are left out.
	Annotations map[string]string
}

// Encode writes a payload as cosign does: compact JSON, "optional" null
// without annotations, the same bytes for the same input.
func Encode(repository string, digest subject.Digest, annotations map[string]string) []byte {
	type identity struct {
		Reference string `json:"docker-reference"`
	}
	type image struct {
		Digest string `json:"docker-manifest-digest"`
	}
	type critical struct {
		Identity identity `json:"identity"`
		Image    image    `json:"image"`
		Type     string   `json:"type"`
	}
	if len(annotations) == 0 {
		annotations = nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	// Strings and a map of them always encode.
	_ = encoder.Encode(struct {
		Critical critical          `json:"critical"`
		Optional map[string]string `json:"optional"`
	}{critical{identity{repository}, image{digest.String()}, Type}, annotations})
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// Decode reads one payload. Equal names, another type, a digest that is none
// and more than 1 MiB are errors.
func Decode(content []byte) (Payload, error) {
	if len(content) > payloadBytes {
		return Payload{}, &limit.Error{What: "signature payload", Bound: payloadBytes, Unit: "bytes"}
	}
	members, err := strictjson.Object(content, "signature payload", strictjson.Bounds{})
	if err != nil {
		return Payload{}, err
	}
	payload, err := decode(members)
	if err != nil {
		return Payload{}, fmt.Errorf("signature payload: %w", err)
	}
	return payload, nil
}

func decode(members strictjson.Members) (p Payload, err error) {
	critical, err := members.Object("critical")
	if err != nil {
		return p, err
	}
	found, err := critical.String("type")
	if err != nil {
		return p, fmt.Errorf("critical: %w", err)
	}
	if found != Type {
		return p, fmt.Errorf("critical.type: want %q, found %.100q", Type, found)
	}
	identity, err := critical.Object("identity")
	if err != nil {
		return p, fmt.Errorf("critical: %w", err)
	}
	if p.Repository, err = identity.String("docker-reference"); err != nil {
		return p, fmt.Errorf("critical.identity: %w", err)
	}
	image, err := critical.Object("image")
	if err != nil {
		return p, fmt.Errorf("critical: %w", err)
	}
	digest, err := image.String("docker-manifest-digest")
	if err != nil {
		return p, fmt.Errorf("critical.image: %w", err)
	}
	if p.Digest, err = subject.Parse(digest); err != nil {
		return p, fmt.Errorf("critical.image.docker-manifest-digest: %w", err)
	}
	p.Annotations, err = members.Strings("optional")
	return p, err
}
