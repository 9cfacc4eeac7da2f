// Package bundle reads and writes Sigstore bundles in JSON
// (sigstore/protobuf-specs, sigstore_bundle.proto), and what cosign's older
// layout keeps in annotations instead of them.
//
// Entry points are [Encode], for an envelope that was signed with a key,
// [EncodeWith] for anything else that a bundle can hold, and [Decode];
// [Split] and [Legacy.Join] turn a bundle's certificate, log entry and
// timestamp into annotations and back. Decode reads versions 0.1 to 0.3 and
// holds a bundle to what the specification demands of readers: one signature,
// no unknown or repeated member, a key hint that agrees with the envelope's,
// and for log entries what the version demands of them.
//
// The package checks no signature, and looks into no certificate, log entry
// or timestamp: engine/trust does.
package bundle

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// MediaType is what is written.
const MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// versions are the media types that are read.
var versions = map[string]string{
	MediaType: "0.3",
	"application/vnd.dev.sigstore.bundle+json;version=0.3": "0.3",
	"application/vnd.dev.sigstore.bundle+json;version=0.2": "0.2",
	"application/vnd.dev.sigstore.bundle+json;version=0.1": "0.1",
}

// values bounds the JSON values of a bundle: 32 log entries with their proofs
// and 32 timestamps have some 3,000. Without it, a bundle of millions of
// empty entries would take many times its size in memory.
const values = 16384

// Bundle is what a bundle says. Nothing of it is verified.
type Bundle struct {
	// Version is "0.1", "0.2" or "0.3"; EncodeWith ignores it and writes 0.3.
	Version string
	// Envelope has exactly one signature; it is the zero value where Message
	// is not nil.
	Envelope dsse.Envelope
	// Message is a signature over a file, which is not in the bundle.
	Message *Message
	// KeyHint is verificationMaterial.publicKey.hint, "" where there is none.
	// cosign writes identity.Key.Hint there.
	KeyHint string
	// Certificates say that it was signed with a certificate, as keyless
	// signing does, and not with a key: in DER, the one of the key first.
	// Version 0.3 has one, older ones may have its issuers behind it.
	// EncodeWith writes the first.
	Certificates [][]byte
	// Entries are what transparency logs say of the signature.
	Entries []LogEntry
	// Timestamps are responses of RFC 3161 timestamp authorities, in DER.
	Timestamps [][]byte
}

// Message is a signature over a file's bytes.
type Message struct {
	// Algorithm is that of Digest: "sha256", "sha384" or "sha512". Digest is
	// the file's, as the bundle says, in bytes; nothing signs it. Both may be
	// empty, where the key signs no digest.
	Algorithm string
	Digest    []byte
	Signature []byte
}

// Encode writes an envelope, which must have one signature, with the hint of
// the key that made it: compact JSON, the same bytes for the same input. An
// envelope that Decode would refuse is an error.
func Encode(envelope dsse.Envelope, key identity.Key) ([]byte, error) {
	if key.IsZero() {
		return nil, errors.New("writing bundle: no key to name in the key hint")
	}
	return EncodeWith(Bundle{Envelope: envelope, KeyHint: key.Hint()})
}

// EncodeWith writes a bundle of version 0.3: an envelope or a message
// signature, a certificate or a key hint, log entries and timestamps. It is
// compact JSON, the same bytes for the same input; what Decode would refuse
// is an error.
func EncodeWith(b Bundle) ([]byte, error) {
	proto, err := b.proto()
	if err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	if _, err := decode(proto); err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	spaced, err := protojson.Marshal(proto)
	if err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	// protojson puts spaces in at random, so that nobody relies on its bytes.
	var out bytes.Buffer
	if err := json.Compact(&out, spaced); err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	if out.Len() > limit.Evidence {
		return nil, &limit.Error{What: "bundle", Bound: limit.Evidence, Unit: "bytes"}
	}
	return out.Bytes(), nil
}

// Decode reads one bundle. Unknown members are errors, as in Sigstore's own
// clients, and so is everything over a bound of domain/limit.
func Decode(content []byte) (Bundle, error) {
	if len(content) > limit.Evidence {
		return Bundle{}, &limit.Error{What: "bundle", Bound: limit.Evidence, Unit: "bytes"}
	}
	if bare(content) {
		return Bundle{}, errors.New("this is a signature alone, and no Sigstore bundle (`cosign bundle create --signature` makes one of it)")
	}
	members, err := strictjson.Object(content, "bundle", strictjson.Bounds{Values: values})
	if err != nil {
		return Bundle{}, err
	}
	if _, old := members["base64Signature"]; old {
		return Bundle{}, errors.New("this is what cosign called a bundle before there were Sigstore bundles (`cosign bundle create --bundle` makes one of it)")
	}
	var proto protobundle.Bundle
	if err := (protojson.UnmarshalOptions{RecursionLimit: limit.JSONDepth}).Unmarshal(content, &proto); err != nil {
		return Bundle{}, fmt.Errorf("bundle: %w", err)
	}
	b, err := decode(&proto)
	if err != nil {
		return Bundle{}, fmt.Errorf("bundle: %w", err)
	}
	return b, nil
}

// bare says whether content is a signature, in binary or in base64 on one line.
func bare(content []byte) bool {
	if len(content) > limit.KeyFile {
		return false
	}
	if len(content) > 1 && content[0] == 0x30 { // DER begins with a sequence
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(content, &value)
		return err == nil && len(rest) == 0
	}
	decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(content)))
	return err == nil && len(decoded) >= 64
}

func check(envelope dsse.Envelope) error {
	if err := envelope.Check(); err != nil {
		return err
	}
	if n := len(envelope.Signatures); n != 1 {
		return fmt.Errorf("DSSE envelope has %d signatures; in a bundle it must have exactly one", n)
	}
	return nil
}
