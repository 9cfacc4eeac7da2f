package keyless

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// parallel is how many requests go to one service at once. A log answers all
// that came in between two of its checkpoints together, so that fewer would
// wait for it again and again.
const parallel = 128

// Log is a transparency log.
type Log struct {
	URL string
	// Version is the major version of its API: 1 (Rekor) or 2 (Rekor on tiles).
	Version int
}

// NotaryConfig says who is asked about each signature: all of them.
type NotaryConfig struct {
	Logs []Log
	// Timestamps are full URLs of RFC 3161 timestamp authorities.
	Timestamps []string
	Outside    Outside
}

// Notary has logs and timestamp authorities vouch for signatures. It may be
// used by several goroutines.
type Notary struct {
	config NotaryConfig
	caller caller
	slots  map[string]chan struct{}
}

var _ signing.Notary = (*Notary)(nil)

// NewNotary checks the configuration and contacts nobody.
func NewNotary(config NotaryConfig) (*Notary, error) {
	if len(config.Logs)+len(config.Timestamps) == 0 {
		return nil, errors.New("keyless: neither a log nor a timestamp authority is named")
	}
	n := &Notary{config: config, caller: config.Outside.caller(), slots: map[string]chan struct{}{}}
	for _, log := range config.Logs {
		if _, err := base(log.URL, false); err != nil {
			return nil, fmt.Errorf("transparency log: %w", err)
		}
		if log.Version != 1 && log.Version != 2 {
			return nil, fmt.Errorf("transparency log %s: API version %d is not known; want 1 or 2", log.URL, log.Version)
		}
		n.slots[log.URL] = make(chan struct{}, parallel)
	}
	for _, address := range config.Timestamps {
		if _, err := base(address, false); err != nil {
			return nil, fmt.Errorf("timestamp authority: %w", err)
		}
		n.slots[address] = make(chan struct{}, parallel)
	}
	return n, nil
}

// Older says why cosign's older layout cannot hold what this notary gives
// for signatures of a key; nil if it can.
func (n *Notary) Older(public crypto.PublicKey) error {
	first := 0
	for _, log := range n.config.Logs {
		if log.Version == 1 {
			first++
		}
	}
	switch _, pure := public.(ed25519.PublicKey); {
	case len(n.config.Logs) > first && first == 0:
		return errors.New("the older layout has no place for the entries of a Rekor v2 log, which prove themselves by a checkpoint")
	case pure && len(n.config.Logs) > 0:
		return errors.New("no log takes the older layout's signatures of Ed25519 keys, which are not made over a hash")
	}
	return nil
}

// signed is what is witnessed of a bundle.
type signed struct {
	// message is what was signed where the bundle has it (PAE), and digest its
	// hash by the key's algorithm; nil for pure Ed25519.
	message, digest []byte
	signature       []byte
	envelope        *dsse.Envelope
	// verifier is the key or the certificate in DER.
	verifier    []byte
	certificate bool
	public      crypto.PublicKey
}

// pem is the verifier as Rekor v1 has it.
func (s signed) pem() []byte {
	kind := "PUBLIC KEY"
	if s.certificate {
		kind = "CERTIFICATE"
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: s.verifier})
}

// Witness asks every log and every authority at once. Anything that one of
// them does not give is an error.
func (n *Notary) Witness(ctx context.Context, content []byte, public crypto.PublicKey) ([]byte, error) {
	if len(content) > limit.Evidence {
		return nil, &limit.Error{What: "bundle", Bound: limit.Evidence, Unit: "bytes"}
	}
	var proto protobundle.Bundle
	if err := (protojson.UnmarshalOptions{RecursionLimit: limit.JSONDepth}).Unmarshal(content, &proto); err != nil {
		return nil, fmt.Errorf("witnessing a bundle: %w", err)
	}
	what, err := read(&proto, public)
	if err != nil {
		return nil, fmt.Errorf("witnessing a bundle: %w", err)
	}
	entries := make([]*protorekor.TransparencyLogEntry, len(n.config.Logs))
	stamps := make([]*protocommon.RFC3161SignedTimestamp, len(n.config.Timestamps))
	group, ctx := errgroup.WithContext(ctx)
	for i, log := range n.config.Logs {
		group.Go(func() error {
			return n.slot(ctx, log.URL, func() (err error) {
				if entries[i], err = n.enter(ctx, log, what); err != nil {
					return fmt.Errorf("transparency log %s: %w", log.URL, err)
				}
				return nil
			})
		})
	}
	for i, address := range n.config.Timestamps {
		group.Go(func() error {
			return n.slot(ctx, address, func() error {
				stamp, err := n.stamp(ctx, address, what.signature)
				if err != nil {
					return fmt.Errorf("timestamp authority %s: %w", address, err)
				}
				stamps[i] = &protocommon.RFC3161SignedTimestamp{SignedTimestamp: stamp}
				return nil
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	material := proto.VerificationMaterial
	material.TlogEntries = append(material.TlogEntries, entries...)
	if len(stamps) > 0 {
		if material.TimestampVerificationData == nil {
			material.TimestampVerificationData = &protobundle.TimestampVerificationData{}
		}
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps, stamps...)
	}
	return compact(&proto)
}

// slot bounds how many ask one service at once.
func (n *Notary) slot(ctx context.Context, address string, ask func() error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case n.slots[address] <- struct{}{}:
	}
	defer func() { <-n.slots[address] }()
	return ask()
}

func compact(proto *protobundle.Bundle) ([]byte, error) {
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

// read finds what is witnessed, and that it was made by the key.
func read(proto *protobundle.Bundle, public crypto.PublicKey) (signed, error) {
	material := proto.GetVerificationMaterial()
	what := signed{public: public}
	var err error
	switch content := material.GetContent().(type) {
	case *protobundle.VerificationMaterial_PublicKey:
		if what.verifier, err = x509.MarshalPKIXPublicKey(public); err != nil {
			return signed{}, err
		}
	case *protobundle.VerificationMaterial_Certificate:
		what.verifier, what.certificate = content.Certificate.GetRawBytes(), true
	default:
		return signed{}, errors.New("it names neither a key nor a certificate")
	}
	if what.certificate {
		parsed, err := x509.ParseCertificate(what.verifier)
		if err != nil {
			return signed{}, fmt.Errorf("its certificate: %w", err)
		}
		if key, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(parsed.PublicKey) {
			return signed{}, errors.New("its certificate is for another key")
		}
	}
	if message := proto.GetMessageSignature(); message != nil {
		what.signature, what.digest = message.GetSignature(), message.GetMessageDigest().GetDigest()
		if len(what.signature) == 0 || len(what.digest) == 0 {
			return signed{}, errors.New("its message signature has no signature or no digest")
		}
		return what, nil
	}
	envelope := proto.GetDsseEnvelope()
	if envelope == nil || len(envelope.GetSignatures()) != 1 {
		return signed{}, errors.New("it has neither a message signature nor an envelope with one signature")
	}
	what.signature = envelope.GetSignatures()[0].GetSig()
	what.envelope = &dsse.Envelope{PayloadType: envelope.GetPayloadType(), Payload: envelope.GetPayload(),
		Signatures: []dsse.Signature{{Sig: what.signature, KeyID: envelope.GetSignatures()[0].GetKeyid()}}}
	what.message = dsse.PAE(envelope.GetPayloadType(), envelope.GetPayload())
	digest, options, err := signing.Digest(public, what.message)
	if err != nil {
		return signed{}, err
	}
	if options.HashFunc() != 0 {
		what.digest = digest
	}
	return what, nil
}
