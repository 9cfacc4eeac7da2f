package attest

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// atOnce bounds how many signatures are witnessed at a time. A log answers all
// that came in between two of its checkpoints together.
const atOnce = 128

// outside says whether anybody vouches for this attester's signatures.
func (c Config) outside() bool {
	_, certified := c.Signer.(signing.Certified)
	return certified || c.Notary != nil
}

// vouched is one signature with what vouches for it.
type vouched struct {
	signature string // raw bytes
	sealed    bundle.Bundle
	content   []byte
}

// vouch has certificates, logs and timestamp authorities vouch for pieces that
// are signed, and holds what comes out to the trusted root. Each signature is
// shown to logs once, also where both layouts hold it.
func (a *Attester) vouch(ctx context.Context, pieces []piece) ([]piece, error) {
	if !a.config.outside() || len(pieces) == 0 {
		return pieces, nil
	}
	var list []*vouched
	known := map[string]*vouched{}
	of := make([]*vouched, len(pieces))
	for i, p := range pieces {
		b, err := a.unsealed(p)
		if err != nil {
			return nil, err
		}
		signature := ""
		if b.Message != nil {
			signature = string(b.Message.Signature)
		} else {
			signature = string(b.Envelope.Signatures[0].Sig)
		}
		if known[signature] == nil {
			known[signature] = &vouched{signature: signature, sealed: b}
			list = append(list, known[signature])
		}
		of[i] = known[signature]
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, v := range list {
		group.Go(func() error { return a.seal(ctx, v) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := slices.Clone(pieces)
	for i := range out {
		if err := a.fill(&out[i], of[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unsealed is the bundle of a piece's signature, before anybody vouches.
func (a *Attester) unsealed(p piece) (bundle.Bundle, error) {
	b := bundle.Bundle{KeyHint: a.config.Signer.KeyID().Hint()}
	switch p.form {
	case trust.Bundle:
		decoded, err := bundle.Decode(p.content)
		b.Envelope = decoded.Envelope
		return b, err
	case trust.Envelope:
		envelope, err := dsse.Decode(p.content)
		b.Envelope = envelope
		return b, err
	}
	signature, err := base64.StdEncoding.DecodeString(p.signature)
	if err != nil {
		return b, err
	}
	_, options, err := signing.Digest(a.config.Signer.Public(), nil)
	if err != nil {
		return b, err
	}
	hash := options.HashFunc()
	if hash == 0 { // Ed25519 signs no digest; the bundle names one all the same
		hash = crypto.SHA256
	}
	h := hash.New()
	h.Write(p.content)
	name := map[crypto.Hash]string{crypto.SHA256: "sha256", crypto.SHA384: "sha384", crypto.SHA512: "sha512"}[hash]
	b.Message = &bundle.Message{Algorithm: name, Digest: h.Sum(nil), Signature: signature}
	return b, nil
}

// seal puts the certificate into a bundle and has it witnessed.
func (a *Attester) seal(ctx context.Context, v *vouched) error {
	if certified, ok := a.config.Signer.(signing.Certified); ok {
		v.sealed.KeyHint, v.sealed.Certificates = "", certified.Certificates()[:1]
	}
	content, err := bundle.EncodeWith(v.sealed)
	if err != nil {
		return err
	}
	if a.config.Notary != nil {
		if content, err = a.config.Notary.Witness(ctx, content, a.config.Signer.Public()); err != nil {
			return err
		}
	}
	v.content = content
	v.sealed, err = bundle.Decode(content)
	return err
}

// fill puts into a piece what vouches for it, and judges it as a door will.
func (a *Attester) fill(p *piece, v *vouched) error {
	if p.form == trust.Bundle {
		p.content = v.content
	} else {
		var chain [][]byte
		if certified, ok := a.config.Signer.(signing.Certified); ok {
			chain = certified.Certificates()[1:]
		}
		p.beside = bundle.Split(v.sealed, chain)
		if len(v.sealed.Entries) > 0 && p.beside.LogEntry == "" {
			return fmt.Errorf("%s: the older layout has no place for what the log answered, an entry of Rekor v2; use the layout bundle", p.image)
		}
	}
	by := a.self
	by.Demand = a.demand(v.sealed)
	if _, rejection := trust.Verify(p.evidence(), []trust.Signer{by}, []subject.Digest{p.image.Digest}, a.config.Now()); rejection != nil {
		return fmt.Errorf("no gate that believes %s would accept this %s: %s: %s", a.config.Root.Name(), p.form, rejection.Reason, rejection.Detail)
	}
	return nil
}

// demand asks for all that should be there: a log entry and a timestamp where
// somebody gave them, and the promise of a certificate log where the root
// knows one.
func (a *Attester) demand(b bundle.Bundle) trust.Demand {
	promises := slices.ContainsFunc(a.config.Root.Authorities(), func(one trust.Authority) bool { return one.Kind == trust.CertificateLog })
	return trust.Demand{
		Log: len(b.Entries) > 0, Timestamp: len(b.Timestamps) > 0,
		// Somebody has to say when a certificate signed: it ends in minutes.
		WithoutLogUnsafe: len(b.Entries) == 0 && len(b.Timestamps) > 0, WithoutSCTUnsafe: !promises,
	}
}

// checkOutside holds a configuration to what vouching needs.
func (c Config) checkOutside() error {
	_, certified := c.Signer.(signing.Certified)
	switch {
	case c.outside() && c.Root == nil:
		return errors.New("attest: certificates and witnesses are held to a trusted root, and there is none")
	case certified && (c.Who.Subject == "" || c.Who.Issuer == ""):
		return errors.New("attest: a signer with certificates has an identity and an issuer")
	case c.Replace && c.Listing == nil:
		return errors.New("attest: to replace evidence, what is there has to be listed")
	}
	return nil
}
