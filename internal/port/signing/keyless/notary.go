package keyless

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/format/bundle"
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
	// digest is the hash of what was signed, by the key's algorithm; nil for
	// pure Ed25519.
	digest, signature []byte
	// envelope is nil for message signatures.
	envelope *dsse.Envelope
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
	b, err := bundle.Decode(content)
	if err != nil {
		return nil, fmt.Errorf("witnessing: %w", err)
	}
	what, err := read(b, public)
	if err != nil {
		return nil, fmt.Errorf("witnessing a bundle: %w", err)
	}
	entries := make([]bundle.LogEntry, len(n.config.Logs))
	stamps := make([][]byte, len(n.config.Timestamps))
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
			return n.slot(ctx, address, func() (err error) {
				if stamps[i], err = n.stamp(ctx, address, what.signature); err != nil {
					return fmt.Errorf("timestamp authority %s: %w", address, err)
				}
				return nil
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	b.Entries, b.Timestamps = append(b.Entries, entries...), append(b.Timestamps, stamps...)
	witnessed, err := bundle.EncodeWith(b)
	if err != nil {
		return nil, fmt.Errorf("what logs and timestamp authorities answered makes no bundle: %w", err)
	}
	return witnessed, nil
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

// read finds what is witnessed, and that it is the key's.
func read(b bundle.Bundle, public crypto.PublicKey) (signed, error) {
	what := signed{public: public, certificate: len(b.Certificates) > 0}
	if what.certificate {
		what.verifier = b.Certificates[0]
		parsed, err := x509.ParseCertificate(what.verifier)
		if err != nil {
			return signed{}, fmt.Errorf("its certificate: %w", err)
		}
		if key, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(parsed.PublicKey) {
			return signed{}, errors.New("its certificate is for another key")
		}
	} else {
		var err error
		if what.verifier, err = x509.MarshalPKIXPublicKey(public); err != nil {
			return signed{}, err
		}
	}
	if b.Message != nil {
		what.signature, what.digest = b.Message.Signature, b.Message.Digest
		return what, nil
	}
	what.signature, what.envelope = b.Envelope.Signatures[0].Sig, &b.Envelope
	digest, options, err := signing.Digest(public, dsse.PAE(b.Envelope.PayloadType, b.Envelope.Payload))
	if err != nil {
		return signed{}, err
	}
	if options.HashFunc() != 0 {
		what.digest = digest
	}
	return what, nil
}
