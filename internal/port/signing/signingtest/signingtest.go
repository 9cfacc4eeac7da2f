// Package signingtest holds every signer to the contract of signing.Signer.
//
// Entry point is [Run], which the tests of each package below port/signing
// call with their own signer. It checks signatures with engine/trust, the
// code that judges them at a door.
package signingtest

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// Run tests one signer.
func Run(t *testing.T, signer signing.Signer) {
	t.Helper()
	t.Run("key id is the public key's fingerprint", func(t *testing.T) {
		want, err := identity.KeyOf(signer.Public())
		if err != nil {
			t.Fatal(err)
		}
		if got := signer.KeyID(); got != want {
			t.Errorf("KeyID is %s, want %s", got, want)
		}
	})
	t.Run("trust accepts what it signed", func(t *testing.T) {
		evidence, digest := sign(t, signer, "one")
		if _, rejection := verify(signer, evidence, digest); rejection != nil {
			t.Errorf("rejected: %s: %s", rejection.Reason, rejection.Detail)
		}
	})
	t.Run("trust refuses it under another statement", func(t *testing.T) {
		one, _ := sign(t, signer, "one")
		other, digest := sign(t, signer, "other")
		decoded, err := bundle.Decode(one.Content)
		if err != nil {
			t.Fatal(err)
		}
		swapped, err := bundle.Decode(other.Content)
		if err != nil {
			t.Fatal(err)
		}
		swapped.Envelope.Signatures = decoded.Envelope.Signatures
		if other.Content, err = bundle.Encode(swapped.Envelope, signer.KeyID()); err != nil {
			t.Fatal(err)
		}
		_, rejection := verify(signer, other, digest)
		if rejection == nil || rejection.Reason != trust.BadSignature {
			t.Errorf("want %s, got %+v", trust.BadSignature, rejection)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var group sync.WaitGroup
		for _, text := range []string{"a", "b", "c", "d"} {
			group.Go(func() {
				evidence, digest := sign(t, signer, text)
				if _, rejection := verify(signer, evidence, digest); rejection != nil {
					t.Errorf("rejected: %s: %s", rejection.Reason, rejection.Detail)
				}
			})
		}
		group.Wait()
	})
	t.Run("a done context signs nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if signature, err := signer.Sign(ctx, []byte("one")); !errors.Is(err, context.Canceled) || signature != nil {
			t.Errorf("got signature %x and error %v, want context.Canceled", signature, err)
		}
	})
}

func sign(t *testing.T, signer signing.Signer, text string) (trust.Evidence, subject.Digest) {
	digest := subject.Of([]byte(text))
	payload, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf("", digest)},
		"https://example.com/contract/v1", json.RawMessage(`{}`)))
	if err != nil {
		t.Error(err)
	}
	signature, err := signer.Sign(t.Context(), dsse.PAE(dsse.InToto, payload))
	if err != nil {
		t.Error(err)
	}
	content, err := bundle.Encode(dsse.Envelope{
		PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: signature}},
	}, signer.KeyID())
	if err != nil {
		t.Error(err)
	}
	return trust.Evidence{Digest: subject.Of(content), Attached: digest, Form: trust.Bundle, Content: content}, digest
}

func verify(signer signing.Signer, evidence trust.Evidence, digest subject.Digest) (trust.Claim, *trust.Rejection) {
	return trust.Verify(evidence, []trust.Signer{{
		Name: "under test", Keys: []trust.Key{{ID: signer.KeyID(), Public: signer.Public()}},
	}}, []subject.Digest{digest}, time.Now())
}
