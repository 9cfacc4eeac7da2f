package keyless

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

// enter has a log take a signature up, and holds the entry to it.
func (n *Notary) enter(ctx context.Context, log Log, what signed) (bundle.LogEntry, error) {
	ask := n.first
	if log.Version == 2 {
		ask = n.second
	}
	entry, err := ask(ctx, log.URL, what)
	if err != nil {
		return bundle.LogEntry{}, err
	}
	switch {
	case entry.Proof == nil || entry.Proof.Checkpoint == "":
		return bundle.LogEntry{}, errors.New("its entry has no inclusion proof with a checkpoint")
	case log.Version == 1 && len(entry.Promise) == 0:
		return bundle.LogEntry{}, errors.New("its entry has no signed entry timestamp")
	}
	if err := about(entry.Body, what); err != nil {
		return bundle.LogEntry{}, fmt.Errorf("its entry %d is about something else: %w", entry.Index, err)
	}
	return entry, nil
}

// errPure says that a log cannot hold a signature that is not over a hash.
var errPure = errors.New("it holds signatures over hashes, and those of Ed25519 keys are over the message itself; another kind of key is needed")

// hashed are the members of an entry of kind hashedrekord 0.0.1, and of the
// request that asks for one.
type hashed struct {
	Data struct {
		Hash hash `json:"hash"`
	} `json:"data"`
	Signature struct {
		Content   []byte `json:"content"`
		PublicKey struct {
			Content []byte `json:"content"`
		} `json:"publicKey"`
	} `json:"signature"`
}

type hash struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}

// proposed is a request of kind dsse 0.0.1.
type proposed struct {
	Content struct {
		Envelope  string   `json:"envelope"`
		Verifiers [][]byte `json:"verifiers"`
	} `json:"proposedContent"`
}

// first speaks Rekor's API v1 (POST /api/v1/log/entries).
func (n *Notary) first(ctx context.Context, url string, what signed) (bundle.LogEntry, error) {
	kind, spec := "dsse", any(nil)
	if what.envelope != nil {
		text, err := dsse.Encode(*what.envelope)
		if err != nil {
			return bundle.LogEntry{}, err
		}
		var p proposed
		p.Content.Envelope, p.Content.Verifiers = string(text), [][]byte{what.pem()}
		spec = p
	} else {
		name, err := hashName(what)
		if err != nil {
			return bundle.LogEntry{}, err
		}
		var h hashed
		h.Data.Hash = hash{strings.ToLower(name), hex.EncodeToString(what.digest)}
		h.Signature.Content, h.Signature.PublicKey.Content = what.signature, what.pem()
		kind, spec = "hashedrekord", h
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": kind, "spec": spec})
	if err != nil {
		return bundle.LogEntry{}, err
	}
	address, err := base(url, false)
	if err != nil {
		return bundle.LogEntry{}, err
	}
	entries := address.JoinPath("api/v1/log/entries")
	got, err := n.caller.do(ctx, call{method: http.MethodPost, url: entries.String(), contentType: "application/json", accept: "application/json", body: body})
	if err != nil {
		return bundle.LogEntry{}, err
	}
	if got.status == http.StatusConflict { // the same signature is in it already
		id := path.Base(got.header.Get("Location"))
		if raw, err := hex.DecodeString(id); err != nil || len(raw) < 32 {
			return bundle.LogEntry{}, fmt.Errorf("it has the entry already, and does not say where: %s", got.text)
		}
		if got, err = n.caller.do(ctx, call{method: http.MethodGet, url: entries.JoinPath(id).String(), accept: "application/json"}); err != nil {
			return bundle.LogEntry{}, err
		}
	}
	if got.status != http.StatusOK && got.status != http.StatusCreated {
		return bundle.LogEntry{}, fmt.Errorf("it answered %s", got.text)
	}
	return readFirst(got.body)
}

// logEntry is an entry as API v1 has it.
type logEntry struct {
	Body           []byte `json:"body"`
	IntegratedTime int64  `json:"integratedTime"`
	LogID          string `json:"logID"`
	LogIndex       int64  `json:"logIndex"`
	Verification   struct {
		Promise []byte `json:"signedEntryTimestamp"`
		Proof   *struct {
			Checkpoint string   `json:"checkpoint"`
			Hashes     []string `json:"hashes"`
			LogIndex   int64    `json:"logIndex"`
			RootHash   string   `json:"rootHash"`
			TreeSize   int64    `json:"treeSize"`
		} `json:"inclusionProof"`
	} `json:"verification"`
}

func readFirst(content []byte) (bundle.LogEntry, error) {
	var answer map[string]logEntry
	if err := json.Unmarshal(content, &answer); err != nil || len(answer) != 1 {
		return bundle.LogEntry{}, errors.New("its answer is not one log entry in JSON")
	}
	var e logEntry
	for _, e = range answer { // the only one
	}
	var kind struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := json.Unmarshal(e.Body, &kind); err != nil {
		return bundle.LogEntry{}, errors.New("its entry has no readable body")
	}
	id, err := hex.DecodeString(e.LogID)
	if err != nil {
		return bundle.LogEntry{}, errors.New("its entry's logID is not in hex")
	}
	entry := bundle.LogEntry{
		LogID: id, Index: e.LogIndex, IntegratedTime: e.IntegratedTime, Kind: kind.Kind, Version: kind.Version,
		Body: e.Body, Promise: e.Verification.Promise,
	}
	proof := e.Verification.Proof
	if proof == nil {
		return entry, nil
	}
	entry.Proof = &bundle.Proof{Index: proof.LogIndex, Size: proof.TreeSize, Checkpoint: proof.Checkpoint}
	for i, text := range append([]string{proof.RootHash}, proof.Hashes...) {
		raw, err := hex.DecodeString(text)
		if err != nil {
			return bundle.LogEntry{}, errors.New("its inclusion proof is not in hex")
		}
		if i == 0 {
			entry.Proof.Root = raw
		} else {
			entry.Proof.Hashes = append(entry.Proof.Hashes, raw)
		}
	}
	return entry, nil
}

// second speaks Rekor's API v2 (POST /api/v2/log/entries), which takes the
// hashes of what was signed, of envelopes too, and answers with a proof.
func (n *Notary) second(ctx context.Context, url string, what signed) (bundle.LogEntry, error) {
	if _, err := hashName(what); err != nil {
		return bundle.LogEntry{}, err
	}
	details, err := details(what.public)
	if err != nil {
		return bundle.LogEntry{}, err
	}
	verifier := map[string]any{"keyDetails": details.String()}
	verifier[map[bool]string{true: "x509Certificate", false: "publicKey"}[what.certificate]] = map[string]any{"rawBytes": what.verifier}
	body, err := json.Marshal(map[string]any{"hashedRekordRequestV002": map[string]any{
		"digest": what.digest, "signature": map[string]any{"content": what.signature, "verifier": verifier},
	}})
	if err != nil {
		return bundle.LogEntry{}, err
	}
	address, err := base(url, false)
	if err != nil {
		return bundle.LogEntry{}, err
	}
	got, err := n.caller.do(ctx, call{method: http.MethodPost, url: address.JoinPath("api/v2/log/entries").String(), contentType: "application/json", accept: "application/json", body: body})
	if err != nil {
		return bundle.LogEntry{}, err
	}
	if got.status != http.StatusCreated && got.status != http.StatusOK {
		return bundle.LogEntry{}, fmt.Errorf("it answered %s", got.text)
	}
	var proto protorekor.TransparencyLogEntry
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(got.body, &proto); err != nil {
		return bundle.LogEntry{}, errors.New("its answer is no log entry in JSON")
	}
	entry := bundle.LogEntry{
		LogID: proto.GetLogId().GetKeyId(), Index: proto.GetLogIndex(), IntegratedTime: proto.GetIntegratedTime(),
		Kind: proto.GetKindVersion().GetKind(), Version: proto.GetKindVersion().GetVersion(), Body: proto.GetCanonicalizedBody(),
		Promise: proto.GetInclusionPromise().GetSignedEntryTimestamp(),
	}
	if proof := proto.GetInclusionProof(); proof != nil {
		entry.Proof = &bundle.Proof{Index: proof.GetLogIndex(), Size: proof.GetTreeSize(), Root: proof.GetRootHash(),
			Hashes: proof.GetHashes(), Checkpoint: proof.GetCheckpoint().GetEnvelope()}
	}
	return entry, nil
}

// hashName is the algorithm that what was signed was hashed with.
func hashName(what signed) (string, error) {
	if _, pure := what.public.(ed25519.PublicKey); pure {
		return "", errPure
	}
	name, known := map[int]string{32: "SHA256", 48: "SHA384", 64: "SHA512"}[len(what.digest)]
	if !known {
		return "", fmt.Errorf("the signature is over a digest of %d bytes", len(what.digest))
	}
	return name, nil
}

// details is a key's algorithm in Sigstore's registry.
func details(public crypto.PublicKey) (protocommon.PublicKeyDetails, error) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, nil
		case elliptic.P384():
			return protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384, nil
		case elliptic.P521():
			return protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512, nil
		}
	case *rsa.PublicKey:
		switch key.N.BitLen() {
		case 2048:
			return protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256, nil
		case 3072:
			return protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256, nil
		case 4096:
			return protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256, nil
		}
	}
	return 0, errors.New("it knows no algorithm for keys of this kind and size")
}

// about holds an entry's body to the signature that was sent.
func about(body []byte, what signed) error {
	var entry struct {
		Version string          `json:"apiVersion"`
		Kind    string          `json:"kind"`
		Spec    json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(body, &entry); err != nil {
		return errors.New("its body is no JSON object")
	}
	var signature, verifier, digest []byte
	var err error
	switch kind := entry.Kind + " " + entry.Version; kind {
	case "hashedrekord 0.0.1":
		var h hashed
		if err = json.Unmarshal(entry.Spec, &h); err == nil {
			signature, verifier = h.Signature.Content, unwrap(h.Signature.PublicKey.Content)
			digest, err = hex.DecodeString(h.Data.Hash.Value)
		}
	case "hashedrekord 0.0.2":
		signature, verifier, digest, err = hashedSecond(entry.Spec)
	case "dsse 0.0.1":
		return aboutEnvelope(entry.Spec, what)
	default:
		return fmt.Errorf("its kind is %.60q", kind)
	}
	switch {
	case err != nil:
		return errors.New("its body cannot be read")
	case !bytes.Equal(digest, what.digest):
		return errors.New("its digest is another one")
	}
	return match(signature, verifier, what)
}

// hashedSecond reads the members of an entry of kind hashedrekord 0.0.2.
func hashedSecond(spec []byte) (signature, verifier, digest []byte, err error) {
	type raw struct {
		Bytes []byte `json:"rawBytes"`
	}
	var h struct {
		Hashed struct {
			Data struct {
				Digest []byte `json:"digest"`
			} `json:"data"`
			Signature struct {
				Content  []byte `json:"content"`
				Verifier struct {
					Certificate *raw `json:"x509Certificate"`
					Key         *raw `json:"publicKey"`
				} `json:"verifier"`
			} `json:"signature"`
		} `json:"hashedRekordV002"`
	}
	err = json.Unmarshal(spec, &h)
	s := h.Hashed.Signature
	if s.Verifier.Certificate != nil {
		verifier = s.Verifier.Certificate.Bytes
	} else if s.Verifier.Key != nil {
		verifier = s.Verifier.Key.Bytes
	}
	return s.Content, verifier, h.Hashed.Data.Digest, err
}

// aboutEnvelope is about, for entries of kind dsse 0.0.1. The hash of the
// envelope is over the log's own spelling of it, and is not compared.
func aboutEnvelope(spec []byte, what signed) error {
	var d struct {
		Payload    hash `json:"payloadHash"`
		Signatures []struct {
			Signature []byte `json:"signature"`
			Verifier  []byte `json:"verifier"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(spec, &d); err != nil || len(d.Signatures) != 1 {
		return errors.New("its body is not of one signature")
	}
	if what.envelope == nil {
		return errors.New("it is about an envelope")
	}
	sum := crypto.SHA256.New()
	sum.Write(what.envelope.Payload)
	if d.Payload.Algorithm != "sha256" || d.Payload.Value != hex.EncodeToString(sum.Sum(nil)) {
		return errors.New("its payload is another one")
	}
	return match(d.Signatures[0].Signature, unwrap(d.Signatures[0].Verifier), what)
}

func match(signature, verifier []byte, what signed) error {
	switch {
	case !bytes.Equal(signature, what.signature):
		return errors.New("its signature is another one")
	case !bytes.Equal(verifier, what.verifier):
		return errors.New("its key or certificate is another one")
	}
	return nil
}

// unwrap is the DER inside of PEM, nil for anything else.
func unwrap(text []byte) []byte {
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil
	}
	return block.Bytes
}
