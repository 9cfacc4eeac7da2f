// Package bundle reads and writes Sigstore bundles v0.3 in JSON that hold a
// DSSE envelope (sigstore/protobuf-specs, sigstore_bundle.proto).
//
// Entry points are [Encode], for a bundle that was signed with a key, and
// [Decode]. Decode holds a bundle to what the specification demands of
// readers: one signature, no unknown member, a key hint that agrees with the
// envelope's.
//
// The package checks no signature, and does not look into certificates, log
// entries and timestamps. Bundles with a message signature, which is what
// files have and images do not, are refused with an error that says so.
package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// MediaType is what is written; Decode also reads the older spelling
// "application/vnd.dev.sigstore.bundle+json;version=0.3".
const MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

const oldMediaType = "application/vnd.dev.sigstore.bundle+json;version=0.3"

const (
	// values bounds the JSON values of a bundle: 32 log entries with their
	// proofs and 32 timestamps have some 3,000. Without it, a bundle of
	// millions of empty entries would take many times its size in memory.
	values = 16384
	// entries bounds log entries and timestamps, each, as sigstore-go does.
	entries = 32
)

// Bundle is what a bundle says. Nothing of it is verified.
type Bundle struct {
	// Envelope has exactly one signature.
	Envelope dsse.Envelope
	// KeyHint is verificationMaterial.publicKey.hint, "" where there is none.
	// cosign writes identity.Key.Hint there.
	KeyHint string
	// HasCertificate says that it was signed with a certificate, as keyless
	// signing does, and not with a key.
	HasCertificate bool
}

// Encode writes an envelope, which must have one signature, with the hint of
// the key that made it: compact JSON, the same bytes for the same input. An
// envelope that Decode would refuse is an error.
func Encode(envelope dsse.Envelope, key identity.Key) ([]byte, error) {
	if err := check(envelope); err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	if key.IsZero() {
		return nil, errors.New("writing bundle: no key to name in the key hint")
	}
	signature := envelope.Signatures[0]
	spaced, err := protojson.Marshal(&protobundle.Bundle{
		MediaType: MediaType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{
				PublicKey: &protocommon.PublicKeyIdentifier{Hint: key.Hint()},
			},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: envelope.Payload, PayloadType: envelope.PayloadType,
			Signatures: []*protodsse.Signature{{Sig: signature.Sig, Keyid: signature.KeyID}},
		}},
	})
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

// Decode reads one bundle of v0.3 with a DSSE envelope. Unknown members are
// errors, as in Sigstore's own clients.
func Decode(content []byte) (Bundle, error) {
	if len(content) > limit.Evidence {
		return Bundle{}, &limit.Error{What: "bundle", Bound: limit.Evidence, Unit: "bytes"}
	}
	if _, err := strictjson.Object(content, "bundle", strictjson.Bounds{Values: values}); err != nil {
		return Bundle{}, err
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

func decode(proto *protobundle.Bundle) (Bundle, error) {
	if found := proto.GetMediaType(); found != MediaType && found != oldMediaType {
		return Bundle{}, fmt.Errorf("mediaType: want %s, found %.200q", MediaType, found)
	}
	if proto.GetMessageSignature() != nil {
		return Bundle{}, errors.New("holds a message signature, as for a plain file; want a DSSE envelope with an in-toto statement")
	}
	material := proto.GetVerificationMaterial()
	if n := len(material.GetTlogEntries()); n > entries {
		return Bundle{}, &limit.Error{What: "verification material", Bound: entries, Unit: "log entries"}
	}
	if n := len(material.GetTimestampVerificationData().GetRfc3161Timestamps()); n > entries {
		return Bundle{}, &limit.Error{What: "verification material", Bound: entries, Unit: "timestamps"}
	}
	var b Bundle
	switch content := material.GetContent().(type) {
	case *protobundle.VerificationMaterial_PublicKey:
		b.KeyHint = content.PublicKey.GetHint()
	case *protobundle.VerificationMaterial_Certificate, *protobundle.VerificationMaterial_X509CertificateChain:
		b.HasCertificate = true
	default:
		return Bundle{}, errors.New("verificationMaterial names neither a public key nor a certificate")
	}
	envelope := proto.GetDsseEnvelope()
	if envelope == nil {
		return Bundle{}, errors.New("holds no DSSE envelope")
	}
	b.Envelope = dsse.Envelope{PayloadType: envelope.GetPayloadType(), Payload: envelope.GetPayload()}
	for _, signature := range envelope.GetSignatures() {
		b.Envelope.Signatures = append(b.Envelope.Signatures, dsse.Signature{KeyID: signature.GetKeyid(), Sig: signature.GetSig()})
	}
	if err := check(b.Envelope); err != nil {
		return Bundle{}, err
	}
	// The specification wants the two hints equal; cosign leaves the
	// envelope's out.
	if id := b.Envelope.Signatures[0].KeyID; id != "" && b.KeyHint != "" && id != b.KeyHint {
		return Bundle{}, fmt.Errorf("key hint %.100q and the envelope's keyid %.100q differ", b.KeyHint, id)
	}
	return b, nil
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
