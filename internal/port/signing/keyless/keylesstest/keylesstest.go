// Package keylesstest serves a Sigstore on loopback, for tests: a certificate
// authority with Fulcio's API v2, transparency logs with Rekor's APIs v1 and
// v2, and an RFC 3161 timestamp authority, whose answers verify with the
// trusted root of a trusttest.Sigstore.
//
// Entry point is [New]; [Server.Token] makes identity tokens. A test breaks a
// service with [Server.Fault], and has it lie with [Server.Lie].
//
// It believes every identity token; that real authorities do not is tested
// against the real ones.
package keylesstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/idtoken"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// The services, by the first part of their paths.
const (
	Fulcio = "fulcio"
	Rekor  = "rekor"  // API v1
	Rekor2 = "rekor2" // API v2
	TSA    = "tsa"
)

// The lies.
const (
	OtherKey       = "a certificate for another key"
	OtherIdentity  = "a certificate for another identity"
	ExpiredLeaf    = "a certificate that is over"
	NoSCT          = "a certificate without the promise of a certificate log"
	OtherEntry     = "an entry about another signature"
	OtherVerifier  = "an entry with another certificate"
	NoPromise      = "an entry that is not signed"
	NoProof        = "an entry without an inclusion proof"
	OtherTimestamp = "a timestamp over other data"
	OldTimestamp   = "a timestamp that answers another request"
)

// Server is a Sigstore that listens.
type Server struct {
	// Sigstore has the authorities; its Root is what to trust.
	Sigstore *trusttest.Sigstore
	// Now is the clock of all services.
	Now func() time.Time
	// Fault, if it is not nil, sees each request first; true says that it
	// answered.
	Fault func(service string, w http.ResponseWriter, request *http.Request) bool
	lie   atomic.Value // string

	t        testing.TB
	url      string
	mutex    sync.Mutex
	requests map[string]int
	entered  map[string]any // by the entry's text, of API v1
	stampKey *ecdsa.PrivateKey
	stamper  *x509.Certificate
}

// New starts the services; they stop with the test.
func New(t testing.TB, now func() time.Time) *Server {
	t.Helper()
	s := &Server{t: t, Now: now, Sigstore: trusttest.New(t, now()), requests: map[string]int{}, entered: map[string]any{}}
	// A leaf of the authority's that makes timestamps with a nonce.
	var err error
	if s.stampKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	s.Sigstore.TSA.Unnamed = true
	s.stamper = s.Sigstore.TSA.Issue(s.stampKey.Public(), pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// URL is that of a service, as a signing configuration has it.
func (s *Server) URL(service string) string {
	if service == TSA {
		return s.url + "/" + TSA + "/api/v1/timestamp"
	}
	return s.url + "/" + service
}

// Stamper is the certificate of the timestamp authority itself; Sigstore's root
// has the one that issued it only.
func (s *Server) Stamper() *x509.Certificate { return s.stamper }

// Lie has the services lie from now on, in one of the ways; "" is the truth.
// An answer that is under way may be given either way.
func (s *Server) Lie(lie string) { s.lie.Store(lie) }

func (s *Server) told() string {
	lie, _ := s.lie.Load().(string)
	return lie
}

// Requests is how many came to a service.
func (s *Server) Requests(service string) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.requests[service]
}

// Issuer is who issued the tokens.
const Issuer = "https://issuer.test"

// Token makes an identity token for an email address or a URI.
func (s *Server) Token(subject string) string {
	claims := map[string]any{"iss": Issuer, "sub": subject, "aud": "sigstore", "exp": s.Now().Add(time.Hour).Unix()}
	if strings.Contains(subject, "@") {
		claims["sub"], claims["email"], claims["email_verified"] = "42", subject, true
	}
	content, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256"}`)) + "." + encode(content) + "." + encode([]byte("sig"))
}

// ServeHTTP answers for all services.
func (s *Server) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	service, path, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
	s.mutex.Lock()
	s.requests[service]++
	s.mutex.Unlock()
	if s.Fault != nil && s.Fault(service, w, request) {
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	status, answer := http.StatusCreated, []byte(nil)
	switch service + " " + request.Method + " /" + path {
	case Fulcio + " POST /api/v2/signingCert":
		status = http.StatusOK
		answer, err = s.certify(request.Header.Get("Authorization"), body)
	case Rekor + " POST /api/v1/log/entries":
		var location string
		answer, location, err = s.first(body)
		if location != "" {
			w.Header().Set("Location", "/api/v1/log/entries/"+location)
			status = http.StatusConflict
		}
	case Rekor2 + " POST /api/v2/log/entries":
		answer, err = s.second(body)
	case TSA + " POST /api/v1/timestamp":
		answer, err = s.stamp(body)
	default:
		id, found := strings.CutPrefix(path, "api/v1/log/entries/")
		if service != Rekor || request.Method != http.MethodGet || !found {
			http.NotFound(w, request)
			return
		}
		status = http.StatusOK
		answer, err = json.Marshal(s.entered[id])
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(status)
	// The client may be gone.
	_, _ = w.Write(answer)
}

// certify issues a certificate by Fulcio's API v2.
func (s *Server) certify(authorization string, body []byte) ([]byte, error) {
	token, found := strings.CutPrefix(authorization, "Bearer ")
	claims, err := idtoken.Parse(token)
	if !found || err != nil {
		return nil, fmt.Errorf("there was an error processing the identity token: %w", err)
	}
	proof, err := claims.Proof()
	if err != nil {
		return nil, err
	}
	var asked struct {
		Request struct {
			Key struct{ Algorithm, Content string } `json:"publicKey"`
			Of  []byte                              `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(asked.Request.Key.Content))
	if block == nil || asked.Request.Key.Algorithm != "ECDSA" {
		return nil, errors.New("the public key supplied in the request could not be parsed")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if err := verify(public, []byte(proof), nil, asked.Request.Of); err != nil {
		return nil, errors.New("the signature supplied in the request could not be verified")
	}
	who := identity.Certificate{Subject: proof, Issuer: claims.Issuer}
	sigstore, at := *s.Sigstore, s.Now()
	switch s.told() {
	case OtherKey:
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		public = other.Public()
	case OtherIdentity:
		who.Subject = "somebody@else.test"
	case ExpiredLeaf:
		at = at.Add(-trusttest.Lifetime)
	case NoSCT:
		sigstore.CertificateLog = nil
	}
	var chain []string
	for _, der := range append([][]byte{sigstore.Issue(trusttest.Template(s.t, who, at), public)}, sigstore.CA.Chain()...) {
		chain = append(chain, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
	kind := "signedCertificateEmbeddedSct"
	if sigstore.CertificateLog == nil {
		kind = "signedCertificateDetachedSct"
	}
	return json.Marshal(map[string]any{kind: map[string]any{"chain": map[string]any{"certificates": chain}}})
}

// signed reads whose key or certificate, in DER, made a signature over a
// message or a digest, and has it lie.
func (s *Server) signed(certificate, key, message, digest, signature []byte) (trusttest.Signed, error) {
	out := trusttest.Signed{Certificate: certificate, Content: message, Digest: digest, Signature: signature}
	if certificate != nil {
		parsed, err := x509.ParseCertificate(certificate)
		if err != nil {
			return out, err
		}
		out.Public = parsed.PublicKey
	} else {
		public, err := x509.ParsePKIXPublicKey(key)
		if err != nil {
			return out, err
		}
		out.Public = public
	}
	if err := verify(out.Public, message, digest, signature); err != nil {
		return out, errors.New("error processing entry: verifying signature: invalid signature")
	}
	switch s.told() {
	case OtherEntry:
		out.Signature = append([]byte{}, signature...)
		out.Signature[len(out.Signature)-1] ^= 1
	case OtherVerifier:
		out.Certificate, out.Public = nil, s.stampKey.Public()
	}
	return out, nil
}

func fromPEM(text []byte) (certificate, key []byte) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil
	}
	if block.Type == "CERTIFICATE" {
		return block.Bytes, nil
	}
	return nil, block.Bytes
}

// first logs by Rekor's API v1. location is where an entry is that was logged
// before.
func (s *Server) first(body []byte) (answer []byte, location string, err error) {
	var asked struct {
		Kind string
		Spec struct {
			Proposed struct {
				Envelope  string
				Verifiers [][]byte
			} `json:"proposedContent"`
			Data struct {
				Hash struct{ Value string }
			}
			Signature struct {
				Content   []byte
				PublicKey struct{ Content []byte }
			}
		}
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, "", err
	}
	var signed trusttest.Signed
	switch asked.Kind {
	case "dsse":
		envelope, err := dsse.Decode([]byte(asked.Spec.Proposed.Envelope))
		if err != nil {
			return nil, "", err
		}
		certificate, key := fromPEM(asked.Spec.Proposed.Verifiers[0])
		if signed, err = s.signed(certificate, key, dsse.PAE(envelope.PayloadType, envelope.Payload), nil, envelope.Signatures[0].Sig); err != nil {
			return nil, "", err
		}
		signed.Envelope = &envelope
	case "hashedrekord":
		digest, err := hex.DecodeString(asked.Spec.Data.Hash.Value)
		if err != nil {
			return nil, "", err
		}
		certificate, key := fromPEM(asked.Spec.Signature.PublicKey.Content)
		if signed, err = s.signed(certificate, key, nil, digest, asked.Spec.Signature.Content); err != nil {
			return nil, "", err
		}
	default:
		return nil, "", fmt.Errorf("entry kind %q not supported", asked.Kind)
	}
	sum := sha256.Sum256(body)
	id := hex.EncodeToString(sum[:])
	if _, there := s.entered[id]; there {
		return []byte(`{"code":409,"message":"an equivalent entry already exists in the transparency log"}`), id, nil
	}
	entry := s.Sigstore.V1.Add(signed, s.Now())
	s.entered[id] = map[string]any{id: s.spell(entry)}
	answer, err = json.Marshal(s.entered[id])
	return answer, "", err
}

// spell writes an entry as API v1 does.
func (s *Server) spell(entry bundle.LogEntry) any {
	hashes := []string{}
	for _, h := range entry.Proof.Hashes {
		hashes = append(hashes, hex.EncodeToString(h))
	}
	verification := map[string]any{"signedEntryTimestamp": entry.Promise, "inclusionProof": map[string]any{
		"checkpoint": entry.Proof.Checkpoint, "hashes": hashes, "logIndex": entry.Proof.Index,
		"rootHash": hex.EncodeToString(entry.Proof.Root), "treeSize": entry.Proof.Size,
	}}
	switch s.told() {
	case NoPromise:
		delete(verification, "signedEntryTimestamp")
	case NoProof:
		delete(verification, "inclusionProof")
	}
	return map[string]any{"body": entry.Body, "integratedTime": entry.IntegratedTime, "logID": hex.EncodeToString(entry.LogID),
		"logIndex": entry.Index, "verification": verification}
}

// second logs by Rekor's API v2.
func (s *Server) second(body []byte) ([]byte, error) {
	type raw struct {
		Bytes []byte `json:"rawBytes"`
	}
	var asked struct {
		Request struct {
			Digest    []byte
			Signature struct {
				Content  []byte
				Verifier struct {
					Details     string `json:"keyDetails"`
					Certificate raw    `json:"x509Certificate"`
					Key         raw    `json:"publicKey"`
				}
			}
		} `json:"hashedRekordRequestV002"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	sent := asked.Request.Signature
	signed, err := s.signed(sent.Verifier.Certificate.Bytes, sent.Verifier.Key.Bytes, nil, asked.Request.Digest, sent.Content)
	if err != nil {
		return nil, err
	}
	entry := s.Sigstore.V2.Add(signed, s.Now())
	if s.told() != OtherVerifier && !strings.Contains(string(entry.Body), sent.Verifier.Details) {
		return nil, fmt.Errorf("key details %s are not those of the key", sent.Verifier.Details)
	}
	proof := map[string]any{"logIndex": fmt.Sprint(entry.Proof.Index), "rootHash": entry.Proof.Root, "treeSize": fmt.Sprint(entry.Proof.Size),
		"hashes": entry.Proof.Hashes, "checkpoint": map[string]any{"envelope": entry.Proof.Checkpoint}}
	answer := map[string]any{"logIndex": fmt.Sprint(entry.Index), "logId": map[string]any{"keyId": entry.LogID},
		"kindVersion": map[string]any{"kind": entry.Kind, "version": entry.Version}, "integratedTime": "0",
		"inclusionProof": proof, "canonicalizedBody": entry.Body}
	if s.told() == NoProof {
		delete(answer, "inclusionProof")
	}
	return json.Marshal(answer)
}

// verify is what a log does with a signature, over a message or a digest.
func verify(public crypto.PublicKey, message, digest, signature []byte) error {
	hash := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(digest)]
	if message != nil {
		sum, options, err := signing.Digest(public, message)
		if err != nil {
			return err
		}
		digest, hash = sum, options.HashFunc()
	}
	valid := false
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		valid = ecdsa.VerifyASN1(key, digest, signature)
	case *rsa.PublicKey:
		valid = rsa.VerifyPKCS1v15(key, hash, digest, signature) == nil
	case ed25519.PublicKey:
		valid = message != nil && ed25519.Verify(key, message, signature)
	}
	if !valid {
		return errors.New("invalid signature")
	}
	return nil
}

// stamp makes a timestamp as it was asked for.
func (s *Server) stamp(body []byte) ([]byte, error) {
	asked, err := timestamp.ParseRequest(body)
	if err != nil {
		return nil, err
	}
	switch s.told() {
	case OtherTimestamp:
		asked.HashedMessage[0] ^= 1
	case OldTimestamp:
		asked.Nonce.Add(asked.Nonce, asked.Nonce)
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Nonce: asked.Nonce, Time: s.Now(),
		SerialNumber: s.stamper.SerialNumber, Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: asked.Certificates,
	}
	return stamp.CreateResponseWithOpts(s.stamper, s.stampKey, crypto.SHA256)
}
