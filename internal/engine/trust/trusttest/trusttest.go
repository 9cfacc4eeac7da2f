// Package trusttest is a Sigstore in memory, for tests: it issues certificates
// with promises of a certificate log, logs signatures as Rekor v1 and v2 do,
// and stamps them with RFC 3161 timestamps, at any time that a test wants.
//
// Entry points are [New] and [Sigstore.Root], which gives its authorities as
// trust.ParseRoot reads them; [Sigstore.Keyless] signs, and [Notary] has
// bundles witnessed. A test that wants something wrong changes a copy of a
// Sigstore, or takes a part of another one.
//
// It is no server, and keeps nothing but its logs' leaves.
package trusttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"sync"
	"testing"
	"time"
)

// Sigstore is a set of authorities.
type Sigstore struct {
	t testing.TB
	// CA issues certificates, CertificateLog promises to list them.
	CA             *CA
	CertificateLog *Log
	// V1 and V2 are transparency logs, as Rekor's two generations.
	V1, V2 *Log
	TSA    *TSA
}

// Period is when an authority is believed; zero times do not bound it.
type Period struct{ Start, End time.Time }

// Log is a log of certificates or of signatures.
type Log struct {
	t testing.TB
	// URL is its base URL; its host is the origin of a v2 log's checkpoints.
	URL    string
	Period Period
	key    crypto.Signer
	id     []byte
	v2     bool
	leaves [][]byte
	// mu guards leaves, also those that a copy shares: several may be witnessed at once.
	mu *sync.Mutex
}

// New makes a Sigstore whose authorities are believed from a year before a
// time to a year after it.
func New(t testing.TB, at time.Time) *Sigstore {
	t.Helper()
	at = at.Truncate(time.Second)
	period := Period{at.AddDate(-1, 0, 0), at.AddDate(1, 0, 0)}
	return &Sigstore{
		t:  t,
		CA: NewCA(t, period), CertificateLog: NewLog(t, "https://ctfe.test", period, false),
		V1: NewLog(t, "https://rekor.test", period, false), V2: NewLog(t, "https://log2026.rekor.test", period, true),
		TSA: NewTSA(t, period),
	}
}

// NewLog makes a log, of Rekor's second generation or not.
func NewLog(t testing.TB, url string, period Period, v2 bool) *Log {
	t.Helper()
	l := &Log{mu: new(sync.Mutex), t: t, URL: url, Period: period, v2: v2}
	if v2 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		l.key = key
		sum := sha256.Sum256(append([]byte(l.host()+"\n\x01"), key.Public().(ed25519.PublicKey)...))
		l.id = sum[:]
		return l
	}
	l.key = newKey(t)
	sum := sha256.Sum256(spki(t, l.key.Public()))
	l.id = sum[:]
	return l
}

// Public is the key that the log signs with.
func (l *Log) Public() crypto.PublicKey { return l.key.Public() }

// ID is what entries call the log.
func (l *Log) ID() []byte { return l.id }

// Root is the trusted root of all authorities, in JSON; a part that is nil is
// left out.
func (s *Sigstore) Root() []byte {
	root := map[string]any{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
	var logs, certificateLogs []any
	for _, log := range []*Log{s.V1, s.V2} {
		if log != nil {
			logs = append(logs, log.entry())
		}
	}
	if s.CertificateLog != nil {
		certificateLogs = append(certificateLogs, s.CertificateLog.entry())
	}
	root["tlogs"], root["ctlogs"] = logs, certificateLogs
	if s.CA != nil {
		root["certificateAuthorities"] = []any{authority("https://fulcio.test", s.CA.Period, s.CA.intermediate, s.CA.root)}
	}
	if s.TSA != nil {
		chain := []*x509.Certificate{s.TSA.leaf, s.TSA.root}
		if s.TSA.Unnamed {
			chain = chain[1:]
		}
		root["timestampAuthorities"] = []any{authority(s.TSA.URL, s.TSA.Period, chain...)}
	}
	content, err := json.Marshal(root)
	must(s.t, err)
	return content
}

func (p Period) entry() map[string]any {
	out := map[string]any{"start": p.Start.UTC().Format(time.RFC3339)}
	if !p.End.IsZero() {
		out["end"] = p.End.UTC().Format(time.RFC3339)
	}
	return out
}

func (l *Log) entry() any {
	details := "PKIX_ECDSA_P256_SHA_256"
	if l.v2 {
		details = "PKIX_ED25519"
	}
	return map[string]any{
		"baseUrl": l.URL, "hashAlgorithm": "SHA2_256", "logId": map[string]any{"keyId": l.id},
		"publicKey": map[string]any{"rawBytes": spki(l.t, l.key.Public()), "keyDetails": details, "validFor": l.Period.entry()},
	}
}

func authority(url string, period Period, chain ...*x509.Certificate) any {
	var certificates []any
	for _, certificate := range chain {
		certificates = append(certificates, map[string]any{"rawBytes": certificate.Raw})
	}
	return map[string]any{"uri": url, "certChain": map[string]any{"certificates": certificates}, "validFor": period.entry()}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func spki(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	return der
}

func create(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(t, err)
	return number.Add(number, big.NewInt(1))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// vector is content behind its length in size bytes, as TLS writes it.
func vector(size int, content []byte) []byte {
	length := binary.BigEndian.AppendUint64(nil, uint64(len(content)))
	return append(length[8-size:], content...)
}
