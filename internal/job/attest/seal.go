package attest

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/predicate"
)

// Sealer signs files and statements into Sigstore bundles and stores them
// nowhere. It may be used by several goroutines if its signer and notary may.
type Sealer struct{ a *Attester }

// NewSealer checks the configuration, of which Store, Layout, Replace and
// Listing mean nothing here.
func NewSealer(config Config) (*Sealer, error) {
	if config.Signer == nil || config.Now == nil {
		return nil, errors.New("attest: a signer and a clock are needed")
	}
	config.Store, config.Layout, config.Replace = nil, LayoutBundle, false
	a, err := newAttester(config)
	if err != nil {
		return nil, err
	}
	return &Sealer{a}, nil
}

// File signs a file's bytes: a bundle with a message signature. A signer that
// signs SHA-256 digests gets that, and the file may have any size; for others
// it is read whole, up to limit.FileContent.
func (s *Sealer) File(ctx context.Context, name string, file io.Reader) ([]byte, error) {
	_, options, err := signing.Digest(s.a.config.Signer.Public(), nil)
	if err != nil {
		return nil, err
	}
	hash := options.HashFunc()
	if digester, ok := s.a.config.Signer.(signing.DigestSigner); ok && hash == crypto.SHA256 {
		h := sha256.New()
		if _, err := io.Copy(h, file); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		sum := h.Sum(nil)
		signature, err := digester.SignDigest(ctx, sum, options)
		if err != nil {
			return nil, err
		}
		digest, err := subject.Parse("sha256:" + hex.EncodeToString(sum))
		if err != nil {
			return nil, err
		}
		return s.seal(ctx, bundle.Bundle{Message: &bundle.Message{Algorithm: "sha256", Digest: sum, Signature: signature}}, trust.Artifact{Digest: digest})
	}
	if sized, ok := file.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := sized.Stat(); err == nil && info.Size() > limit.FileContent {
			return nil, &limit.Error{What: name, Bound: limit.FileContent, Unit: "bytes"}
		}
	}
	content, err := limit.ReadAll(file, name, limit.FileContent)
	if err != nil {
		return nil, err
	}
	signature, err := s.a.config.Signer.Sign(ctx, content)
	if err != nil {
		return nil, err
	}
	message := &bundle.Message{Signature: signature}
	// Ed25519 signs no digest; what the bundle says of it is for people and logs.
	switch hash {
	case crypto.SHA384:
		message.Algorithm = "sha384"
	case crypto.SHA512:
		message.Algorithm = "sha512"
	default:
		message.Algorithm, hash = "sha256", crypto.SHA256
	}
	h := hash.New()
	h.Write(content)
	message.Digest = h.Sum(nil)
	return s.seal(ctx, bundle.Bundle{Message: message}, trust.Artifact{Content: content})
}

// Attest signs one predicate about a file, of which name is for people.
func (s *Sealer) Attest(ctx context.Context, name string, digest subject.Digest, p Predicate) ([]byte, error) {
	predicateType, content, err := prepare(p, s.a.config.Now())
	if err != nil {
		return nil, err
	}
	payload, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf(name, digest)}, predicateType, content))
	if err != nil {
		return nil, err
	}
	return s.envelope(ctx, payload, digest)
}

// Statement signs a whole in-toto statement, the bytes as they are. about must
// be one of its subjects; the zero digest asks for none of them.
func (s *Sealer) Statement(ctx context.Context, payload []byte, about subject.Digest) ([]byte, error) {
	_, about, err := checkStatement(payload, about)
	if err != nil {
		return nil, err
	}
	return s.envelope(ctx, payload, about)
}

// checkStatement reads a statement that is to be signed, and gives its type
// and the subject that it can be verified by.
func checkStatement(payload []byte, about subject.Digest) (predicateType string, _ subject.Digest, err error) {
	statement, err := intoto.Decode(payload)
	if err != nil {
		return "", subject.Digest{}, err
	}
	if statement.PredicateType == predicate.TypeCosignSign {
		return "", subject.Digest{}, fmt.Errorf("%s is the type of image signatures; sign the image instead", statement.PredicateType)
	}
	var digests []subject.Digest
	for _, one := range statement.Subjects {
		for algorithm, value := range one.Digest {
			if digest, err := subject.Parse(algorithm + ":" + value); err == nil {
				digests = append(digests, digest)
			}
		}
	}
	switch {
	case len(digests) == 0:
		return "", subject.Digest{}, errors.New("the statement has no subject with a sha256 or sha512 digest, so that nothing could be verified by it")
	case about.IsZero():
		about = slices.MinFunc(digests, func(a, b subject.Digest) int { return len(a.String()) - len(b.String()) })
	case !slices.Contains(digests, about):
		return "", subject.Digest{}, fmt.Errorf("the statement is not about %s: its subjects are %s%s", about, digests[0], more(len(digests)-1))
	}
	return statement.PredicateType, about, nil
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

func (s *Sealer) envelope(ctx context.Context, payload []byte, about subject.Digest) ([]byte, error) {
	signature, err := s.a.config.Signer.Sign(ctx, dsse.PAE(dsse.InToto, payload))
	if err != nil {
		return nil, err
	}
	return s.seal(ctx, bundle.Bundle{Envelope: dsse.Envelope{
		PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: signature}},
	}}, trust.Artifact{Digest: about})
}

// seal makes the bundle: it holds the signature to what a door will ask of it,
// and only then shows it to logs, which forget nothing.
func (s *Sealer) seal(ctx context.Context, b bundle.Bundle, artifact trust.Artifact) ([]byte, error) {
	b.KeyHint = s.a.config.Signer.KeyID().Hint()
	content, err := bundle.EncodeWith(b)
	if err != nil {
		return nil, err
	}
	if rejection := s.judge(content, artifact, s.a.key); rejection != nil {
		return nil, fmt.Errorf("no door would accept this: %s: %s", rejection.Reason, rejection.Detail)
	}
	if !s.a.config.outside() {
		return content, nil
	}
	v := &vouched{sealed: b}
	if err := s.a.seal(ctx, v); err != nil {
		return nil, err
	}
	by := s.a.self
	by.Demand = s.a.demand(v.sealed)
	if rejection := s.judge(v.content, artifact, by); rejection != nil {
		return nil, fmt.Errorf("no door that believes %s would accept this: %s: %s", s.a.config.Root.Name(), rejection.Reason, rejection.Detail)
	}
	return v.content, nil
}

func (s *Sealer) judge(content []byte, artifact trust.Artifact, by trust.Signer) *trust.Rejection {
	evidence := trust.Evidence{Digest: subject.Of(content), Form: trust.Bundle, Content: content}
	_, rejection := trust.VerifyBlob(evidence, artifact, []trust.Signer{by}, s.a.config.Now())
	return rejection
}
