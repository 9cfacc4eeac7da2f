package trusttest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
)

// CA issues certificates as Fulcio does, by an intermediate certificate.
type CA struct {
	t testing.TB
	// Period is that of the trusted root.
	Period             Period
	root, intermediate *x509.Certificate
	rootKey, key       *ecdsa.PrivateKey
}

// NewCA makes a certificate authority.
func NewCA(t testing.TB, period Period) *CA {
	t.Helper()
	ca := &CA{t: t, Period: period, rootKey: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "root", Organization: []string{"trusttest"}},
		NotBefore: period.Start, NotAfter: period.End,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
	}
	ca.root = create(t, template, template, ca.rootKey.Public(), ca.rootKey)
	return ca.Reissued(period)
}

// Reissued is the same authority with another intermediate certificate, valid
// in a period of its own.
func (ca *CA) Reissued(period Period) *CA {
	ca.t.Helper()
	next := *ca
	next.key = newKey(ca.t)
	next.intermediate = create(ca.t, &x509.Certificate{
		SerialNumber: serial(ca.t), Subject: pkix.Name{CommonName: "intermediate", Organization: []string{"trusttest"}},
		NotBefore: period.Start, NotAfter: period.End,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true, IsCA: true,
	}, ca.root, next.key.Public(), ca.rootKey)
	return &next
}

// Chain is the intermediate and the root certificate, in DER.
func (ca *CA) Chain() [][]byte { return [][]byte{ca.intermediate.Raw, ca.root.Raw} }

// Lifetime is how long certificates are valid, as Fulcio's.
const Lifetime = 10 * time.Minute

// oids are the extensions of Fulcio's oid-info.md, by the last number of their
// identifier; those under 7 are written without a type.
var oids = map[string]int{
	"githubWorkflowTrigger": 2, "githubWorkflowSHA": 3, "githubWorkflowName": 4, "githubWorkflowRepository": 5, "githubWorkflowRef": 6,
	"buildSignerURI": 9, "buildSignerDigest": 10, "runnerEnvironment": 11, "sourceRepositoryURI": 12, "sourceRepositoryDigest": 13,
	"sourceRepositoryRef": 14, "sourceRepositoryIdentifier": 15, "sourceRepositoryOwnerURI": 16, "sourceRepositoryOwnerIdentifier": 17,
	"buildConfigURI": 18, "buildConfigDigest": 19, "buildTrigger": 20, "runInvocationURI": 21, "sourceRepositoryVisibilityAtSigning": 22,
}

func oid(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, n} }

// Template is the certificate of somebody, valid from a time on, as Issue
// wants it; a test may change it before.
func Template(t testing.TB, who identity.Certificate, at time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(t), NotBefore: at.Truncate(time.Second), NotAfter: at.Truncate(time.Second).Add(Lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if strings.Contains(who.Subject, "://") {
		uri, err := url.Parse(who.Subject)
		must(t, err)
		template.URIs = []*url.URL{uri}
	} else {
		template.EmailAddresses = []string{who.Subject}
	}
	text := func(n int, value string) {
		content := []byte(value)
		if n > 6 {
			var err error
			content, err = asn1.MarshalWithParams(value, "utf8")
			must(t, err)
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oid(n), Value: content})
	}
	text(1, who.Issuer)
	text(8, who.Issuer)
	for name, value := range who.Extensions {
		text(oids[name], value)
	}
	return template
}

// Issue issues a certificate with a promise of the certificate log, where the
// Sigstore has one, and gives it in DER.
func (s *Sigstore) Issue(template *x509.Certificate, public crypto.PublicKey) []byte {
	s.t.Helper()
	bare := create(s.t, template, s.CA.intermediate, public, s.CA.key)
	if s.CertificateLog == nil {
		return bare.Raw
	}
	promised := *template
	promised.ExtraExtensions = append(promised.ExtraExtensions[:len(promised.ExtraExtensions):len(promised.ExtraExtensions)],
		s.CertificateLog.promise(bare, s.CA.intermediate))
	return create(s.t, &promised, s.CA.intermediate, public, s.CA.key).Raw
}

// promise is the extension with a signed certificate timestamp (RFC 6962
// sections 3.2 and 3.3) for a certificate that has none yet.
func (l *Log) promise(bare, issuer *x509.Certificate) pkix.Extension {
	l.t.Helper()
	at := binary.BigEndian.AppendUint64(nil, uint64(bare.NotBefore.UnixMilli()))
	issuerKey := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	signed := append([]byte{0, 0}, at...) // version 1, certificate timestamp
	signed = append(signed, 0, 1)         // of a precertificate
	signed = append(signed, issuerKey[:]...)
	signed = append(signed, vector(3, bare.RawTBSCertificate)...)
	signed = append(signed, 0, 0) // no extensions
	sum := sha256.Sum256(signed)
	signature, err := l.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	must(l.t, err)
	sct := append([]byte{0}, l.id...)
	sct = append(sct, at...)
	sct = append(sct, 0, 0, 4, 3) // no extensions, SHA-256, ECDSA
	sct = append(sct, vector(2, signature)...)
	value, err := asn1.Marshal(vector(2, vector(2, sct)))
	must(l.t, err)
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}
}

// Keyless is a signer with a certificate, as signing.Certified wants one.
type Keyless struct {
	key   crypto.Signer
	id    identity.Key
	chain [][]byte
}

// Keyless makes a key and a certificate for somebody, valid from a time on.
func (s *Sigstore) Keyless(who identity.Certificate, at time.Time) *Keyless {
	s.t.Helper()
	return s.KeylessWith(newKey(s.t), Template(s.t, who, at))
}

// KeylessWith is a signer with this key and certificate.
func (s *Sigstore) KeylessWith(key crypto.Signer, template *x509.Certificate) *Keyless {
	s.t.Helper()
	id, err := identity.KeyOf(key.Public())
	must(s.t, err)
	return &Keyless{key: key, id: id, chain: [][]byte{s.Issue(template, key.Public()), s.CA.intermediate.Raw}}
}

// Public is the key in the certificate, KeyID its fingerprint.
func (k *Keyless) Public() crypto.PublicKey { return k.key.Public() }
func (k *Keyless) KeyID() identity.Key      { return k.id }

// Certificates are in DER: the signer's, and the one that issued it.
func (k *Keyless) Certificates() [][]byte { return k.chain }

// Sign signs a message as signing.Digest says.
func (k *Keyless) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return sign(k.key, message)
}

func sign(key crypto.Signer, message []byte) ([]byte, error) {
	digest, hash := message, crypto.Hash(0)
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		hash = map[int]crypto.Hash{256: crypto.SHA256, 384: crypto.SHA384, 521: crypto.SHA512}[public.Params().BitSize]
	case *rsa.PublicKey:
		hash = crypto.SHA256
	}
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	return key.Sign(rand.Reader, digest, hash)
}
