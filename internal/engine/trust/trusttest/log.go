package trusttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

// Signed is a signature that a log is told of.
type Signed struct {
	// Certificate is in DER, nil where only a key signed; Public is its key.
	Certificate []byte
	Public      crypto.PublicKey
	Signature   []byte
	// Content is what was signed; for an envelope its PAE, and Envelope that.
	// Digest is its digest as the log wants it, where Content is not known.
	Content, Digest []byte
	Envelope        *dsse.Envelope
	// Hash is that of Digest; 0 means what keys of its type sign with.
	Hash crypto.Hash
}

// first is the index of a v1 log's first entry over all its shards.
const first = 1000

func (l *Log) host() string {
	at, err := url.Parse(l.URL)
	must(l.t, err)
	return at.Hostname()
}

// Add logs a signature: hashedrekord for a file in a v1 log, dsse for an
// envelope there, and hashedrekord 0.0.2 for both in a v2 log. A v1 log signs
// at as the time.
func (l *Log) Add(s Signed, at time.Time) bundle.LogEntry {
	l.t.Helper()
	switch {
	case l.v2:
		return l.AddBody(l.hashedV2(s), at)
	case s.Envelope != nil:
		return l.AddBody(l.dsse(s), at)
	}
	return l.AddBody(l.hashed(s), at)
}

// AddIntoto logs an envelope as cosign 2 did, as intoto 0.0.2.
func (l *Log) AddIntoto(s Signed, at time.Time) bundle.LogEntry {
	l.t.Helper()
	return l.AddBody(body("intoto", "0.0.2", map[string]any{"content": map[string]any{
		"envelope": map[string]any{"payloadType": s.Envelope.PayloadType, "signatures": []any{map[string]any{
			"publicKey": []byte(s.verifier()), "sig": []byte(base64.StdEncoding.EncodeToString(s.Signature)),
		}}},
		"hash": hash([]byte("the envelope")), "payloadHash": hash(s.Envelope.Payload),
	}}), at)
}

// AddHashed logs an envelope in a v1 log by the digest of what is signed.
func (l *Log) AddHashed(s Signed, at time.Time) bundle.LogEntry {
	l.t.Helper()
	return l.AddBody(l.hashed(s), at)
}

func (s Signed) verifier() string {
	if s.Certificate != nil {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate}))
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.der()}))
}

// der is the key as PKIX writes it; keys of tests always have that form.
func (s Signed) der() []byte {
	der, _ := x509.MarshalPKIXPublicKey(s.Public)
	return der
}

// digest is what a log keeps of what was signed, and its algorithm.
func (s Signed) digest() (crypto.Hash, []byte) {
	algorithm := s.Hash
	if algorithm == 0 {
		algorithm = crypto.SHA256
		switch public := s.Public.(type) {
		case ed25519.PublicKey:
			algorithm = crypto.SHA512
		case *ecdsa.PublicKey:
			algorithm = map[int]crypto.Hash{256: crypto.SHA256, 384: crypto.SHA384, 521: crypto.SHA512}[public.Params().BitSize]
		}
	}
	if s.Content == nil {
		return algorithm, s.Digest
	}
	h := algorithm.New()
	h.Write(s.Content)
	return algorithm, h.Sum(nil)
}

func hash(content []byte) any {
	sum := sha256.Sum256(content)
	return map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
}

// body writes an entry as the log hashes it: members sorted, no spaces.
func body(kind, version string, spec any) []byte {
	// Maps of texts and bytes always encode, sorted.
	content, _ := json.Marshal(map[string]any{"apiVersion": version, "kind": kind, "spec": spec})
	return content
}

func (l *Log) hashed(s Signed) []byte {
	algorithm, digest := s.digest()
	name := strings.ToLower(strings.ReplaceAll(algorithm.String(), "-", ""))
	return body("hashedrekord", "0.0.1", map[string]any{
		"data":      map[string]any{"hash": map[string]any{"algorithm": name, "value": hex.EncodeToString(digest)}},
		"signature": map[string]any{"content": s.Signature, "publicKey": map[string]any{"content": []byte(s.verifier())}},
	})
}

func (l *Log) dsse(s Signed) []byte {
	return body("dsse", "0.0.1", map[string]any{
		"envelopeHash": hash([]byte("the envelope")), "payloadHash": hash(s.Envelope.Payload),
		"signatures": []any{map[string]any{"signature": base64.StdEncoding.EncodeToString(s.Signature), "verifier": []byte(s.verifier())}},
	})
}

func (l *Log) hashedV2(s Signed) []byte {
	algorithm, digest := s.digest()
	details := "PKIX_ECDSA_P256_SHA_256"
	switch public := s.Public.(type) {
	case ed25519.PublicKey:
		details = "PKIX_ED25519_PH"
	case *rsa.PublicKey:
		details = fmt.Sprintf("PKIX_RSA_PKCS1V15_%d_SHA256", public.N.BitLen())
	case *ecdsa.PublicKey:
		details = fmt.Sprintf("PKIX_ECDSA_P%d_SHA_%d", public.Params().BitSize, 8*algorithm.Size())
	}
	verifier := map[string]any{"keyDetails": details}
	if s.Certificate != nil {
		verifier["x509Certificate"] = map[string]any{"rawBytes": s.Certificate}
	} else {
		verifier["publicKey"] = map[string]any{"rawBytes": s.der()}
	}
	return body("hashedrekord", "0.0.2", map[string]any{"hashedRekordV002": map[string]any{
		"data":      map[string]any{"algorithm": fmt.Sprintf("SHA2_%d", 8*algorithm.Size()), "digest": digest},
		"signature": map[string]any{"content": s.Signature, "verifier": verifier},
	}})
}

// AddBody logs an entry as it is.
func (l *Log) AddBody(body []byte, at time.Time) bundle.LogEntry {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	leaf := sha256.Sum256(append([]byte{0}, body...))
	if len(l.leaves) == 0 {
		// Every tree has a neighbour in it.
		other := sha256.Sum256([]byte("\x00another entry"))
		l.leaves = append(l.leaves, other[:])
	}
	l.leaves = append(l.leaves, leaf[:])
	index := len(l.leaves) - 1
	root, hashes := prove(l.leaves, index)
	entry := bundle.LogEntry{
		LogID: l.id, Index: int64(index), Body: body,
		Proof: &bundle.Proof{Index: int64(index), Size: int64(len(l.leaves)), Root: root, Hashes: hashes},
	}
	var kind struct{ Kind, APIVersion string }
	must(l.t, json.Unmarshal(body, &kind))
	entry.Kind, entry.Version = kind.Kind, kind.APIVersion
	entry.Proof.Checkpoint = l.Checkpoint(entry.Proof.Size, root)
	if !l.v2 {
		entry.Index += first
		entry.IntegratedTime = at.Unix()
		entry.Promise = l.Promise(entry)
	}
	return entry
}

// Promise signs a v1 entry's body, index and time.
func (l *Log) Promise(e bundle.LogEntry) []byte {
	l.t.Helper()
	content, err := json.Marshal(map[string]any{
		"body": e.Body, "integratedTime": e.IntegratedTime, "logID": hex.EncodeToString(e.LogID), "logIndex": e.Index,
	})
	must(l.t, err)
	sum := sha256.Sum256(content)
	signature, err := l.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	must(l.t, err)
	return signature
}

// Checkpoint signs a tree.
func (l *Log) Checkpoint(size int64, root []byte) string {
	l.t.Helper()
	origin := l.host()
	if !l.v2 {
		origin += " - 1234567890"
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root))
	signature, err := sign(l.key, []byte(text))
	must(l.t, err)
	named := append(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(l.id)), signature...)
	return fmt.Sprintf("%s\n— %s %s\n", text, l.host(), base64.StdEncoding.EncodeToString(named))
}

// prove gives a tree's hash and the hashes from a leaf to it (RFC 6962 section
// 2.1).
func prove(leaves [][]byte, index int) (root []byte, path [][]byte) {
	if len(leaves) == 1 {
		return leaves[0], nil
	}
	split := 1
	for split*2 < len(leaves) {
		split *= 2
	}
	left, right := leaves[:split], leaves[split:]
	if index < split {
		inner, path := prove(left, index)
		other, _ := prove(right, 0)
		return node(inner, other), append(path, other)
	}
	inner, path := prove(right, index-split)
	other, _ := prove(left, 0)
	return node(other, inner), append(path, other)
}

func node(left, right []byte) []byte {
	sum := sha256.Sum256(append(append([]byte{1}, left...), right...))
	return sum[:]
}
