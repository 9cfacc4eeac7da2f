package bundle

import (
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

// algorithms are the digests of messages, by their names in bundles.
var algorithms = map[protocommon.HashAlgorithm]string{
	protocommon.HashAlgorithm_SHA2_256: "sha256",
	protocommon.HashAlgorithm_SHA2_384: "sha384",
	protocommon.HashAlgorithm_SHA2_512: "sha512",
}

func decode(proto *protobundle.Bundle) (Bundle, error) {
	version, known := versions[proto.GetMediaType()]
	if !known {
		return Bundle{}, fmt.Errorf("mediaType: want %s, found %.200q", MediaType, proto.GetMediaType())
	}
	b := Bundle{Version: version}
	material := proto.GetVerificationMaterial()
	if err := b.signedBy(material); err != nil {
		return Bundle{}, err
	}
	if err := b.witnessed(material); err != nil {
		return Bundle{}, err
	}
	if message := proto.GetMessageSignature(); message != nil {
		return b, b.message(message)
	}
	envelope := proto.GetDsseEnvelope()
	if envelope == nil {
		return Bundle{}, errors.New("holds neither a DSSE envelope nor a message signature")
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

func (b *Bundle) signedBy(material *protobundle.VerificationMaterial) error {
	switch content := material.GetContent().(type) {
	case *protobundle.VerificationMaterial_PublicKey:
		b.KeyHint = content.PublicKey.GetHint()
		return nil
	case *protobundle.VerificationMaterial_Certificate:
		b.Certificates = [][]byte{content.Certificate.GetRawBytes()}
	case *protobundle.VerificationMaterial_X509CertificateChain:
		for _, certificate := range content.X509CertificateChain.GetCertificates() {
			b.Certificates = append(b.Certificates, certificate.GetRawBytes())
		}
	default:
		return errors.New("verificationMaterial names neither a public key nor a certificate")
	}
	return checkCertificates(b.Certificates)
}

func checkCertificates(certificates [][]byte) error {
	if len(certificates) == 0 {
		return errors.New("certificate chain is empty")
	}
	if len(certificates) > limit.Certificates {
		return &limit.Error{What: "certificate chain", Bound: limit.Certificates, Unit: "certificates"}
	}
	for i, certificate := range certificates {
		if len(certificate) == 0 {
			return fmt.Errorf("certificate %d is empty", i)
		}
		if len(certificate) > limit.Certificate {
			return &limit.Error{What: fmt.Sprintf("certificate %d", i), Bound: limit.Certificate, Unit: "bytes"}
		}
	}
	return nil
}

func (b *Bundle) witnessed(material *protobundle.VerificationMaterial) error {
	if len(material.GetTlogEntries()) > limit.LogEntries {
		return &limit.Error{What: "verification material", Bound: limit.LogEntries, Unit: "log entries"}
	}
	promises, proofs := 0, 0
	for i, entry := range material.GetTlogEntries() {
		read := entryOf(entry)
		if err := read.check(); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
		if read.Promise != nil {
			promises++
		}
		if read.Proof != nil {
			proofs++
		}
		b.Entries = append(b.Entries, read)
	}
	// As the specification has it, and sigstore-go.
	switch {
	case len(b.Entries) == 0:
	case b.Version == "0.1" && promises == 0:
		return errors.New("version 0.1 wants log entries with a signed timestamp (inclusionPromise)")
	case b.Version != "0.1" && proofs == 0:
		return fmt.Errorf("version %s wants log entries with an inclusion proof", b.Version)
	}
	timestamps := material.GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(timestamps) > limit.Timestamps {
		return &limit.Error{What: "verification material", Bound: limit.Timestamps, Unit: "timestamps"}
	}
	for i, timestamp := range timestamps {
		content := timestamp.GetSignedTimestamp()
		if err := checkTimestamp(content); err != nil {
			return fmt.Errorf("timestamp %d: %w", i, err)
		}
		b.Timestamps = append(b.Timestamps, content)
	}
	return nil
}

func checkTimestamp(content []byte) error {
	if len(content) == 0 {
		return errors.New("is empty")
	}
	if len(content) > limit.Timestamp {
		return &limit.Error{What: "it", Bound: limit.Timestamp, Unit: "bytes"}
	}
	return nil
}

func (b *Bundle) message(proto *protocommon.MessageSignature) error {
	digest := proto.GetMessageDigest()
	algorithm, known := algorithms[digest.GetAlgorithm()]
	switch {
	case digest == nil:
		return errors.New("message signature names no digest")
	case digest.GetAlgorithm() == 0 && len(digest.GetDigest()) == 0:
		// cosign writes an empty one for Ed25519 keys, which sign no digest.
		algorithm = ""
	case !known:
		return fmt.Errorf("message signature: digest algorithm %s is not known; want SHA2_256, SHA2_384 or SHA2_512", digest.GetAlgorithm())
	case len(digest.GetDigest()) == 0:
		return errors.New("message signature: its digest is empty")
	}
	if len(proto.GetSignature()) == 0 {
		return errors.New("message signature is empty")
	}
	b.Message = &Message{Algorithm: algorithm, Digest: digest.GetDigest(), Signature: proto.GetSignature()}
	return nil
}

func (b Bundle) proto() (*protobundle.Bundle, error) {
	material := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: b.KeyHint}},
	}
	if len(b.Certificates) > 0 {
		material.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: b.Certificates[0]}}
	}
	for _, entry := range b.Entries {
		material.TlogEntries = append(material.TlogEntries, entry.Proto())
	}
	if len(b.Timestamps) > 0 {
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{}
	}
	for _, timestamp := range b.Timestamps {
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps,
			&protocommon.RFC3161SignedTimestamp{SignedTimestamp: timestamp})
	}
	out := &protobundle.Bundle{MediaType: MediaType, VerificationMaterial: material}
	if b.Message != nil && b.Message.Algorithm == "" && len(b.Message.Digest) == 0 {
		out.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{}, Signature: b.Message.Signature,
		}}
		return out, nil
	}
	if b.Message != nil {
		for proto, name := range algorithms {
			if name == b.Message.Algorithm {
				out.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
					MessageDigest: &protocommon.HashOutput{Algorithm: proto, Digest: b.Message.Digest}, Signature: b.Message.Signature,
				}}
				return out, nil
			}
		}
		return nil, fmt.Errorf("digest algorithm %q is not known; want sha256, sha384 or sha512", b.Message.Algorithm)
	}
	envelope := &protodsse.Envelope{Payload: b.Envelope.Payload, PayloadType: b.Envelope.PayloadType}
	for _, signature := range b.Envelope.Signatures {
		envelope.Signatures = append(envelope.Signatures, &protodsse.Signature{Sig: signature.Sig, Keyid: signature.KeyID})
	}
	out.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: envelope}
	return out, nil
}

// entryOf reads an entry; what is there and empty is as if it were not.
func entryOf(proto *protorekor.TransparencyLogEntry) LogEntry {
	entry := LogEntry{
		LogID: proto.GetLogId().GetKeyId(), Index: proto.GetLogIndex(), IntegratedTime: proto.GetIntegratedTime(),
		Kind: proto.GetKindVersion().GetKind(), Version: proto.GetKindVersion().GetVersion(), Body: proto.GetCanonicalizedBody(),
	}
	if promise := proto.GetInclusionPromise().GetSignedEntryTimestamp(); len(promise) > 0 {
		entry.Promise = promise
	}
	if proof := proto.GetInclusionProof(); proof != nil {
		entry.Proof = &Proof{
			Index: proof.GetLogIndex(), Size: proof.GetTreeSize(), Root: proof.GetRootHash(), Hashes: proof.GetHashes(),
			Checkpoint: proof.GetCheckpoint().GetEnvelope(),
		}
	}
	return entry
}

// Proto is the entry in the form of protobuf-specs, which sigstore-go reads.
func (e LogEntry) Proto() *protorekor.TransparencyLogEntry {
	out := &protorekor.TransparencyLogEntry{
		LogIndex: e.Index, LogId: &protocommon.LogId{KeyId: e.LogID},
		KindVersion:    &protorekor.KindVersion{Kind: e.Kind, Version: e.Version},
		IntegratedTime: e.IntegratedTime, CanonicalizedBody: e.Body,
	}
	if e.Promise != nil {
		out.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: e.Promise}
	}
	if p := e.Proof; p != nil {
		out.InclusionProof = &protorekor.InclusionProof{
			LogIndex: p.Index, TreeSize: p.Size, RootHash: p.Root, Hashes: p.Hashes,
			Checkpoint: &protorekor.Checkpoint{Envelope: p.Checkpoint},
		}
	}
	return out
}
