// Package dsse reads and writes DSSE envelopes, the signed form of in-toto
// statements (secure-systems-lab/dsse, envelope.md and protocol.md, v1.0).
//
// Entry points are [Decode], [Encode] and [PAE], which gives the bytes that a
// signature of an envelope is over. Decode is strict: an envelope that two
// readers could take differently is an error.
//
// The package checks no signature; engine/trust does.
package dsse

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// InToto is the payload type of in-toto statements (in-toto/attestation,
// spec/v1/envelope.md).
const InToto = "application/vnd.in-toto+json"

// Envelope is a payload with signatures over PAE(PayloadType, Payload).
type Envelope struct {
	// PayloadType is a media type or URI; the signatures cover it.
	PayloadType string
	Payload     []byte
	// Signatures are one to limit.Signatures.
	Signatures []Signature
}

// Signature is one signature. KeyID is a hint that nothing signs, "" where
// there is none.
type Signature struct {
	KeyID string
	Sig   []byte
}

// PAE is the pre-authentication encoding: "DSSEv1", the lengths and the
// texts, as protocol.md defines it.
func PAE(payloadType string, payload []byte) []byte {
	out := make([]byte, 0, len(payloadType)+len(payload)+48)
	out = append(out, "DSSEv1 "...)
	out = strconv.AppendInt(out, int64(len(payloadType)), 10)
	out = append(out, ' ')
	out = append(out, payloadType...)
	out = append(out, ' ')
	out = strconv.AppendInt(out, int64(len(payload)), 10)
	out = append(out, ' ')
	return append(out, payload...)
}

// InTotoPayload says whether a payload type is that of an in-toto statement:
// application/vnd.in-toto+json, or application/vnd.in-toto.<predicate>+json
// of in-toto/attestation v1.2. What the middle says is never used: the
// predicate type inside decides.
func InTotoPayload(payloadType string) bool {
	if payloadType == InToto {
		return true
	}
	middle, hasHead := strings.CutPrefix(payloadType, "application/vnd.in-toto.")
	middle, hasTail := strings.CutSuffix(middle, "+json")
	if !hasHead || !hasTail || middle == "" {
		return false
	}
	// The characters of a media subtype (RFC 6838 section 4.2).
	return !strings.ContainsFunc(middle, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$&-^_.", r)
	})
}

// Check says what is missing for an envelope to be one: a payload type, a
// payload, and one to limit.Signatures signatures, none of them empty.
func (e Envelope) Check() error {
	switch {
	case e.PayloadType == "":
		return errors.New("DSSE envelope has no payloadType")
	case len(e.Payload) == 0:
		return errors.New("DSSE envelope has no payload")
	case len(e.Signatures) == 0:
		return errors.New("DSSE envelope has no signature")
	case len(e.Signatures) > limit.Signatures:
		return &limit.Error{What: "DSSE envelope", Bound: limit.Signatures, Unit: "signatures"}
	}
	for i, signature := range e.Signatures {
		if len(signature.Sig) == 0 {
			return fmt.Errorf("DSSE envelope: signature %d is empty", i)
		}
	}
	return nil
}

// Decode reads one envelope. Unknown members are ignored, as envelope.md
// asks; equal names, trailing data and what Check refuses are errors. Base64
// is read in the standard and the URL-safe alphabet, padded or not.
func Decode(content []byte) (Envelope, error) {
	if len(content) > limit.Evidence {
		return Envelope{}, &limit.Error{What: "DSSE envelope", Bound: limit.Evidence, Unit: "bytes"}
	}
	members, err := strictjson.Object(content, "DSSE envelope", strictjson.Bounds{})
	if err != nil {
		return Envelope{}, err
	}
	var e Envelope
	if e.PayloadType, err = members.String("payloadType"); err != nil {
		return Envelope{}, fmt.Errorf("DSSE envelope: %w", err)
	}
	if e.Payload, err = binary(members, "payload"); err != nil {
		return Envelope{}, fmt.Errorf("DSSE envelope: %w", err)
	}
	signatures, err := members.List("signatures", limit.Signatures)
	if err != nil {
		return Envelope{}, fmt.Errorf("DSSE envelope: %w", err)
	}
	for i, text := range signatures {
		signature, err := decodeSignature(text)
		if err != nil {
			return Envelope{}, fmt.Errorf("DSSE envelope: signature %d: %w", i, err)
		}
		e.Signatures = append(e.Signatures, signature)
	}
	if err := e.Check(); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

func decodeSignature(text []byte) (Signature, error) {
	members, err := strictjson.Object(text, "entry", strictjson.Bounds{})
	if err != nil {
		return Signature{}, err
	}
	var s Signature
	if s.KeyID, err = members.String("keyid"); err != nil {
		return Signature{}, err
	}
	s.Sig, err = binary(members, "sig")
	return s, err
}

func binary(members strictjson.Members, name string) ([]byte, error) {
	text, err := members.String(name)
	if err != nil {
		return nil, err
	}
	// Go's decoder passes over line ends; envelope.md knows none.
	if at := strings.IndexAny(text, "\r\n"); at >= 0 {
		return nil, fmt.Errorf("%q: line end at character %d of the base64", name, at)
	}
	text = strings.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	content, err := encoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return content, nil
}

// Encode writes an envelope as compact JSON in standard base64, the same
// bytes for the same envelope. An envelope that Check refuses, and one that
// Decode would find too large, is an error.
func Encode(e Envelope) ([]byte, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	type signature struct {
		KeyID string `json:"keyid,omitempty"`
		Sig   []byte `json:"sig"`
	}
	signatures := make([]signature, len(e.Signatures))
	for i, s := range e.Signatures {
		signatures[i] = signature(s)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Payload     []byte      `json:"payload"`
		PayloadType string      `json:"payloadType"`
		Signatures  []signature `json:"signatures"`
	}{e.Payload, e.PayloadType, signatures})
	if err != nil {
		return nil, fmt.Errorf("writing DSSE envelope: %w", err)
	}
	if content := bytes.TrimSuffix(out.Bytes(), []byte("\n")); len(content) <= limit.Evidence {
		return content, nil
	}
	return nil, &limit.Error{What: "DSSE envelope", Bound: limit.Evidence, Unit: "bytes"}
}
