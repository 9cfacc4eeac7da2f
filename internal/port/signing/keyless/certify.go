package keyless

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/idtoken"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// margin is how long before its certificate ends a signer gets a new one: the
// log and the timestamp authority have to come to know of the signature while
// the certificate is valid.
const margin = time.Minute

// Config is where a certificate comes from. URL, Token and Now must be there.
type Config struct {
	// URL is the certificate authority's, which speaks Fulcio's API v2.
	URL string
	// Token gets an identity token; it is asked again when the certificate
	// nears its end.
	Token func(ctx context.Context) (string, error)
	// Now is the clock that certificates are held against.
	Now     func() time.Time
	Outside Outside
}

// Identity is whom a certificate names, by its own word.
type Identity struct {
	// Subject is its one subject alternative name, Issuer who said so.
	Subject, Issuer string
}

// Signer signs with a key of this run. It may be used by several goroutines.
type Signer struct {
	config Config
	caller caller
	key    *ecdsa.PrivateKey
	id     identity.Key
	public []byte // PEM

	mutex sync.Mutex
	chain [][]byte
	until time.Time
	whose Identity
}

var _ signing.Certified = (*Signer)(nil)

// Certify makes a key and has it certified.
func Certify(ctx context.Context, config Config) (*Signer, error) {
	if config.Token == nil || config.Now == nil {
		return nil, errors.New("keyless: a source of identity tokens and a clock are needed")
	}
	if _, err := base(config.URL, true); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := identity.KeyOf(key.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	s := &Signer{config: config, caller: config.Outside.caller(), key: key, id: id,
		public: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
	return s, s.renew(ctx)
}

// Public is the run's key.
func (s *Signer) Public() crypto.PublicKey { return s.key.Public() }

// KeyID is its fingerprint.
func (s *Signer) KeyID() identity.Key { return s.id }

// Certificates are the newest ones in DER: the leaf, then what it was issued
// by, without the root. They are all for the same key and the same identity.
func (s *Signer) Certificates() [][]byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.chain
}

// Identity is whom the certificates name.
func (s *Signer) Identity() Identity {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.whose
}

// Sign signs a message. Where the certificate is about to end, a new one is
// had first, for the same key.
func (s *Signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	return s.sign(message)
}

func (s *Signer) sign(message []byte) ([]byte, error) {
	digest, options, err := signing.Digest(s.key.Public(), message)
	if err != nil {
		return nil, err
	}
	return s.key.Sign(rand.Reader, digest, options)
}

// renew gets a certificate where there is none that lasts.
func (s *Signer) renew(ctx context.Context) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.config.Now().Add(margin).Before(s.until) {
		return nil
	}
	token, err := s.config.Token(ctx)
	if err != nil {
		return err
	}
	chain, err := s.ask(ctx, token)
	if err != nil {
		return fmt.Errorf("certificate from %s: %w", s.config.URL, err)
	}
	whose, err := s.check(chain, token)
	if err != nil {
		return fmt.Errorf("certificate from %s: %w", s.config.URL, err)
	}
	s.chain, s.until, s.whose = nil, chain[0].NotAfter, whose
	for _, member := range chain {
		if !slices.Equal(member.RawIssuer, member.RawSubject) {
			s.chain = append(s.chain, member.Raw)
		}
	}
	return nil
}

type certificateRequest struct {
	Key struct {
		Public struct {
			Algorithm string `json:"algorithm"`
			Content   string `json:"content"`
		} `json:"publicKey"`
		Proof []byte `json:"proofOfPossession"`
	} `json:"publicKeyRequest"`
}

type certificateAnswer struct {
	Embedded, Detached *struct {
		Chain struct {
			Certificates []string `json:"certificates"`
		} `json:"chain"`
	}
}

// ask speaks Fulcio's API v2 (POST /api/v2/signingCert).
func (s *Signer) ask(ctx context.Context, token string) ([]*x509.Certificate, error) {
	claims, err := idtoken.Parse(token)
	if err != nil {
		return nil, err
	}
	proof, err := claims.Proof()
	if err != nil {
		return nil, err
	}
	var request certificateRequest
	request.Key.Public.Algorithm, request.Key.Public.Content = "ECDSA", string(s.public)
	if request.Key.Proof, err = s.sign([]byte(proof)); err != nil {
		return nil, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	address, err := base(s.config.URL, true)
	if err != nil {
		return nil, err
	}
	got, err := s.caller.do(ctx, call{method: http.MethodPost, url: address.JoinPath("api/v2/signingCert").String(),
		contentType: "application/json", accept: "application/json", authorization: "Bearer " + token, body: body})
	if err != nil {
		return nil, err
	}
	if got.status != http.StatusOK {
		return nil, fmt.Errorf("it refused the identity of %.200q (issuer %.200s): %s", claims.Who(), claims.Issuer, got.text)
	}
	return parseChain(got.body)
}

func parseChain(body []byte) ([]*x509.Certificate, error) {
	var found map[string]json.RawMessage
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, errors.New("its answer is no JSON object")
	}
	var answer certificateAnswer
	for name, into := range map[string]any{"signedCertificateEmbeddedSct": &answer.Embedded, "signedCertificateDetachedSct": &answer.Detached} {
		if text, there := found[name]; there && json.Unmarshal(text, into) != nil {
			return nil, fmt.Errorf("its answer's %s is of another form", name)
		}
	}
	chosen := answer.Embedded
	if chosen == nil { // where no certificate log is asked
		chosen = answer.Detached
	}
	if chosen == nil || len(chosen.Chain.Certificates) == 0 {
		return nil, errors.New("its answer has no certificate in it")
	}
	if len(chosen.Chain.Certificates) > limit.Certificates {
		return nil, &limit.Error{What: "its chain", Bound: limit.Certificates, Unit: "certificates"}
	}
	var chain []*x509.Certificate
	for i, text := range chosen.Chain.Certificates {
		block, _ := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("certificate %d of its answer is not in PEM", i+1)
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of its answer: %w", i+1, err)
		}
		chain = append(chain, parsed)
	}
	return chain, nil
}

// check holds a certificate to what was asked for.
func (s *Signer) check(chain []*x509.Certificate, token string) (Identity, error) {
	leaf := chain[0]
	now := s.config.Now()
	switch {
	case !s.key.PublicKey.Equal(leaf.PublicKey):
		return Identity{}, errors.New("it is for another key than the one that was sent")
	case leaf.IsCA:
		return Identity{}, errors.New("it is one of a certificate authority")
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning):
		return Identity{}, errors.New("it is not for code signing")
	case now.Add(skew).Before(leaf.NotBefore) || !now.Add(margin).Before(leaf.NotAfter):
		return Identity{}, fmt.Errorf("it is valid from %s to %s, and it is %s now (it has to last for %s)",
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), margin)
	}
	for i := range chain[:len(chain)-1] {
		if err := chain[i].CheckSignatureFrom(chain[i+1]); err != nil {
			return Identity{}, fmt.Errorf("certificate %d of its chain was not issued by the next one: %w", i+1, err)
		}
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return Identity{}, fmt.Errorf("whom it names cannot be read: %w", err)
	}
	whose := Identity{Subject: summary.SubjectAlternativeName, Issuer: summary.Issuer}
	claims, err := idtoken.Parse(token)
	if err != nil {
		return Identity{}, err
	}
	switch {
	case whose.Subject == "" || whose.Issuer == "":
		return Identity{}, errors.New("it names no identity or no issuer")
	case claims.Email != "" && claims.Email != whose.Subject:
		return Identity{}, fmt.Errorf("it is for another identity, %.200q; the token is of %.200q", whose.Subject, claims.Email)
	case s.whose != Identity{} && s.whose != whose:
		return Identity{}, fmt.Errorf("it is for another identity, %.200q of %.200s, than the one before, %.200q of %.200s", whose.Subject, whose.Issuer, s.whose.Subject, s.whose.Issuer)
	}
	return whose, nil
}

// skew is how far an authority's clock may run ahead of ours.
const skew = time.Minute
