// Package attest signs evidence about images and stores it beside them.
//
// Entry points are [New], and of an [Attester] Sign (an image signature),
// Attest (one predicate) and Publish, which does many of both at once. All
// pieces are signed and checked before the first is stored, and image
// signatures are stored last: a run that fails half-way never looks signed.
//
// What is stored can be found by both generations of verifiers ([Layout]):
// in-toto statements in Sigstore bundles, attached as OCI referrers, and
// cosign's older ".att" and ".sig" tags. A transparency log is told only
// through a [Config]'s Notary.
//
// The package resolves no tag, makes no predicate and decides nothing.
package attest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/predicate"
)

// Store keeps evidence beside images; *oci.Client is one.
type Store interface {
	// Attach stores one piece and keeps what is stored already.
	Attach(ctx context.Context, a oci.Attachment) (oci.Attached, error)
	// Remove takes away pieces that were listed about an image in repository
	// ("registry.example.com/team/app").
	Remove(ctx context.Context, repository string, image subject.Digest, evidence []trust.Evidence) error
}

// Layout says in which forms evidence is stored. The zero value is LayoutBoth.
type Layout uint8

// The layouts: bundles as referrers (cosign 3), tags (cosign 1 and 2, and the
// admission controllers of their time), or both.
const (
	LayoutBoth Layout = iota
	LayoutBundle
	LayoutLegacy
)

// ParseLayout reads "both", "bundle" or "legacy".
func ParseLayout(word string) (Layout, error) {
	switch word {
	case "both":
		return LayoutBoth, nil
	case "bundle":
		return LayoutBundle, nil
	case "legacy":
		return LayoutLegacy, nil
	}
	return 0, fmt.Errorf("layout %q: want both, bundle or legacy", word)
}

// Config is what an Attester works with. Signer, Store and Now must be there.
type Config struct {
	Signer signing.Signer
	Store  Store
	// Now dates what is stored, and predicates of type "custom".
	Now    func() time.Time
	Layout Layout
	// Notary has logs and timestamp authorities witness what is signed; nil
	// tells nobody. With one, or with a signer that has certificates
	// (signing.Certified), Root is what all of it must verify with before
	// anything is stored, and Who is whom the certificates name.
	Notary signing.Notary
	Root   *trust.Root
	Who    identity.Pattern
	// Replace takes away, once the new pieces are stored, those of the same
	// types that the same signer signed about the image; Listing finds them.
	Replace bool
	Listing Listing
}

// Attester signs and stores evidence. It may be used by several goroutines if
// its signer and store may.
type Attester struct {
	config Config
	// key speaks for the key alone, self for who signs as doors know it.
	key, self trust.Signer
}

// New checks the configuration.
func New(config Config) (*Attester, error) {
	if config.Signer == nil || config.Store == nil || config.Now == nil {
		return nil, errors.New("attest: a signer, a store and a clock are needed")
	}
	if config.Layout > LayoutLegacy {
		return nil, fmt.Errorf("attest: layout %d is not known", config.Layout)
	}
	return newAttester(config)
}

// newAttester makes one that may have no store.
func newAttester(config Config) (*Attester, error) {
	if err := config.checkOutside(); err != nil {
		return nil, err
	}
	key := trust.Signer{Name: "this key", Keys: []trust.Key{{ID: config.Signer.KeyID(), Public: config.Signer.Public()}}, Root: config.Root}
	self := key
	if _, certified := config.Signer.(signing.Certified); certified {
		self = trust.Signer{Name: config.Who.Subject, Identities: []identity.Pattern{config.Who}, Root: config.Root}
	}
	return &Attester{config: config, key: key, self: self}, nil
}

// Self is the signer that the attester's own key, or certificate, speaks for.
func (a *Attester) Self() trust.Signer { return a.self }

// Image is what evidence is about: a manifest or an index, by digest, in the
// repository where its evidence is stored.
type Image struct {
	// Repository has the registry in it and neither tag nor digest.
	Repository string         `json:"repository"`
	Digest     subject.Digest `json:"digest"`
	// MediaType and Size are the manifest's, from oci.Client.Resolve; a zero
	// Size has the store look them up.
	MediaType string `json:"-"`
	Size      int64  `json:"-"`
}

// String is "repository@digest".
func (i Image) String() string { return i.Repository + "@" + i.Digest.String() }

// Order is what to sign about one image.
type Order struct {
	Image      Image
	Predicates []Predicate
	// Statements are whole in-toto statements in JSON, signed as they are; the
	// image must be one of their subjects.
	Statements [][]byte
	// Sign asks for an image signature, which carries the Annotations.
	Sign        bool
	Annotations map[string]string
}

// Predicate is what one attestation says.
type Predicate struct {
	// Type is the predicate type's URI, or a short name that
	// predicate.TypeOf knows. The Content of "custom" may be any text, and
	// is wrapped as cosign does.
	Type string
	// Content is the predicate alone, a JSON object: never a whole statement.
	Content []byte
}

// Stored is one piece that was stored.
type Stored struct {
	Image Image      `json:"image"`
	Type  string     `json:"type"`
	Form  trust.Form `json:"form"`
	// Digest is that of the manifest that holds it.
	Digest subject.Digest `json:"digest"`
	// Supersedes names the older pieces that were taken away for it.
	Supersedes []subject.Digest `json:"supersedes,omitempty"`
}

// Sign signs an image: a statement of type predicate.TypeCosignSign in a
// bundle, and cosign's simple-signing payload, as the layout says.
func (a *Attester) Sign(ctx context.Context, image Image, annotations map[string]string) ([]Stored, error) {
	return a.Publish(ctx, []Order{{Image: image, Sign: true, Annotations: annotations}})
}

// Attest signs one predicate about an image. A *StatementError says that the
// predicate is a whole statement.
func (a *Attester) Attest(ctx context.Context, image Image, predicateType string, content json.RawMessage) ([]Stored, error) {
	return a.Publish(ctx, []Order{{Image: image, Predicates: []Predicate{{predicateType, content}}}})
}

// Publish signs everything that is ordered, then stores it: all attestations
// first, in order, then all image signatures. If anything cannot be signed,
// nothing is stored. If storing fails, it stops, and what was stored until
// then comes back with an error that says how much is missing; ordering the
// same again adds the pieces once more, which does no harm.
func (a *Attester) Publish(ctx context.Context, orders []Order) ([]Stored, error) {
	attestations, signatures, err := a.sign(ctx, orders)
	if err != nil {
		return nil, err
	}
	if len(attestations)+len(signatures) == 0 {
		return nil, errors.New("attest: nothing was ordered to be signed")
	}
	pieces, err := a.vouch(ctx, append(attestations, signatures...))
	if err != nil {
		return nil, err
	}
	old, err := a.older(ctx, pieces)
	if err != nil {
		return nil, err
	}
	now := a.config.Now()
	var stored []Stored
	for _, p := range pieces {
		digest, err := p.store(ctx, a.config.Store, now)
		if err != nil {
			return stored, fmt.Errorf("storing %s (%s) of %s: %w (%d of %d pieces are stored%s; run it again)",
				p.what(), p.form, p.image, err, len(stored), len(pieces), unsigned(len(stored), len(attestations), len(signatures)))
		}
		stored = append(stored, Stored{Image: p.image, Type: p.predicateType, Form: p.form, Digest: digest})
	}
	return stored, a.supersede(ctx, pieces, stored, old)
}

func unsigned(stored, attestations, signatures int) string {
	if signatures > 0 && stored <= attestations {
		return ", no image signature among them"
	}
	return ""
}

// piece is one signed piece of evidence that is to be stored.
type piece struct {
	image         Image
	predicateType string
	form          trust.Form
	content       []byte
	// signature is in base64, for simple signing only.
	signature string
	// beside is what the older layout keeps beside it.
	beside bundle.Legacy
}

// evidence is the piece as a door will find it.
func (p piece) evidence() trust.Evidence {
	return trust.Evidence{
		Digest: subject.Of(p.content), Attached: p.image.Digest, Form: p.form, Content: p.content, Signature: p.signature,
		Certificate: p.beside.Certificate, Chain: p.beside.Chain, LogEntry: p.beside.LogEntry, Timestamp: p.beside.Timestamp,
	}
}

func (p piece) what() string {
	if p.predicateType == predicate.TypeCosignSign {
		return "image signature"
	}
	return "attestation " + p.predicateType
}

func (p piece) store(ctx context.Context, store Store, now time.Time) (subject.Digest, error) {
	attached, err := store.Attach(ctx, oci.Attachment{
		Repository: p.image.Repository, Image: p.image.Digest, MediaType: p.image.MediaType, Size: p.image.Size,
		Evidence:      p.evidence(),
		PredicateType: p.predicateType, Created: now,
	})
	return attached.Digest, err
}

func (a *Attester) sign(ctx context.Context, orders []Order) (attestations, signatures []piece, err error) {
	for _, order := range orders {
		if order.Image.Repository == "" || order.Image.Digest.IsZero() {
			return nil, nil, fmt.Errorf("attest: image %q: a repository and a digest are needed", order.Image)
		}
		for _, p := range order.Predicates {
			pieces, err := a.attestation(ctx, order.Image, p)
			if err != nil {
				return nil, nil, fmt.Errorf("attesting %s of %s: %w", p.Type, order.Image, err)
			}
			attestations = append(attestations, pieces...)
		}
		for _, payload := range order.Statements {
			pieces, err := a.statement(ctx, order.Image, payload)
			if err != nil {
				return nil, nil, fmt.Errorf("attesting a statement about %s: %w", order.Image, err)
			}
			attestations = append(attestations, pieces...)
		}
		if !order.Sign {
			continue
		}
		pieces, err := a.signature(ctx, order.Image, order.Annotations)
		if err != nil {
			return nil, nil, fmt.Errorf("signing %s: %w", order.Image, err)
		}
		signatures = append(signatures, pieces...)
	}
	return attestations, signatures, nil
}

func (a *Attester) attestation(ctx context.Context, image Image, p Predicate) ([]piece, error) {
	predicateType, content, err := prepare(p, a.config.Now())
	if err != nil {
		return nil, err
	}
	about := intoto.SubjectOf(image.Repository, image.Digest)
	payload, err := intoto.Encode(intoto.New([]intoto.Subject{about}, predicateType, content))
	if err != nil {
		return nil, err
	}
	return a.signed(ctx, image, predicateType, payload)
}

// statement signs a whole statement as it is.
func (a *Attester) statement(ctx context.Context, image Image, payload []byte) ([]piece, error) {
	predicateType, _, err := checkStatement(payload, image.Digest)
	if err != nil {
		return nil, err
	}
	return a.signed(ctx, image, predicateType, payload)
}

// signed signs a statement about an image, in the forms of the layout.
func (a *Attester) signed(ctx context.Context, image Image, predicateType string, payload []byte) ([]piece, error) {
	envelope, err := a.envelope(ctx, payload)
	if err != nil {
		return nil, err
	}
	var pieces []piece
	if a.config.Layout != LayoutLegacy {
		content, err := bundle.Encode(envelope, a.config.Signer.KeyID())
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, piece{image: image, predicateType: predicateType, form: trust.Bundle, content: content})
	}
	if a.config.Layout != LayoutBundle {
		content, err := dsse.Encode(envelope)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, piece{image: image, predicateType: predicateType, form: trust.Envelope, content: content})
	}
	return pieces, a.check(pieces)
}

func (a *Attester) signature(ctx context.Context, image Image, annotations map[string]string) ([]piece, error) {
	var pieces []piece
	if a.config.Layout != LayoutLegacy {
		// As cosign does, the subject has no name: a signature is about the
		// digest, wherever the image is copied to.
		about := intoto.SubjectOf("", image.Digest)
		about.Annotations = annotations
		statement, err := intoto.Encode(intoto.New([]intoto.Subject{about}, predicate.TypeCosignSign, nil))
		if err != nil {
			return nil, err
		}
		envelope, err := a.envelope(ctx, statement)
		if err != nil {
			return nil, err
		}
		content, err := bundle.Encode(envelope, a.config.Signer.KeyID())
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, piece{image: image, predicateType: predicate.TypeCosignSign, form: trust.Bundle, content: content})
	}
	if a.config.Layout != LayoutBundle {
		payload := simplesigning.Encode(image.Repository, image.Digest, annotations)
		signature, err := a.config.Signer.Sign(ctx, payload)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, piece{
			image: image, predicateType: predicate.TypeCosignSign, form: trust.SimpleSigning,
			content: payload, signature: base64.StdEncoding.EncodeToString(signature),
		})
	}
	return pieces, a.check(pieces)
}

func (a *Attester) envelope(ctx context.Context, payload []byte) (dsse.Envelope, error) {
	signature, err := a.config.Signer.Sign(ctx, dsse.PAE(dsse.InToto, payload))
	if err != nil {
		return dsse.Envelope{}, err
	}
	return dsse.Envelope{
		PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: signature}},
	}, nil
}

// check holds each piece to what a gate will ask of it, before anybody sees
// it: evidence that no door would accept is not worth storing.
func (a *Attester) check(pieces []piece) error {
	for _, p := range pieces {
		_, rejection := trust.Verify(p.evidence(), []trust.Signer{a.key}, []subject.Digest{p.image.Digest}, a.config.Now())
		if rejection != nil {
			return fmt.Errorf("no gate would accept this %s: %s: %s", p.form, rejection.Reason, rejection.Detail)
		}
	}
	return nil
}
