package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// Legacy is what cosign's older layout keeps beside a layer, each "" where
// there is none (cosign, specs/SIGNATURE_SPEC.md).
type Legacy struct {
	// Certificate and Chain are PEM: dev.sigstore.cosign/certificate and
	// /chain, the chain without the certificate.
	Certificate, Chain string
	// LogEntry and Timestamp are JSON: dev.sigstore.cosign/bundle and
	// /rfc3161timestamp.
	LogEntry, Timestamp string
}

// Split gives what the older layout keeps of a bundle. Of several log entries
// and timestamps it is the first; it holds no entry without a signed
// timestamp, as those of Rekor v2 are. chain is what issued the certificate,
// in DER; a bundle has it not.
func Split(b Bundle, chain [][]byte) Legacy {
	var l Legacy
	if len(b.Certificates) > 0 {
		l.Certificate = encodePEM(b.Certificates[:1])
		l.Chain = encodePEM(chain)
	}
	for _, entry := range b.Entries {
		if entry.Promise == nil {
			continue
		}
		l.LogEntry = encodeJSON(setJSON{
			Set:     entry.Promise,
			Payload: setPayload{Body: entry.Body, Time: entry.IntegratedTime, Index: entry.Index, LogID: hex.EncodeToString(entry.LogID)},
		})
		break
	}
	if len(b.Timestamps) > 0 {
		l.Timestamp = encodeJSON(timestampJSON{b.Timestamps[0]})
	}
	return l
}

type setJSON struct {
	Set     []byte     `json:"SignedEntryTimestamp"`
	Payload setPayload `json:"Payload"`
}

type setPayload struct {
	Body  []byte `json:"body"`
	Time  int64  `json:"integratedTime"`
	Index int64  `json:"logIndex"`
	LogID string `json:"logID"`
}

type timestampJSON struct {
	Timestamp []byte `json:"SignedRFC3161Timestamp"`
}

func encodeJSON(value any) string {
	// Bytes, numbers and hex always encode.
	content, _ := json.Marshal(value)
	return string(content)
}

func encodePEM(certificates [][]byte) string {
	var out bytes.Buffer
	for _, certificate := range certificates {
		// Writing to a buffer cannot fail.
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	}
	return out.String()
}

// Join reads the annotations into the places that a bundle has for them. The
// errors name the annotation. Certificates has the chain behind the
// certificate.
func (l Legacy) Join() (b Bundle, err error) {
	for name, text := range map[string]string{"certificate": l.Certificate, "chain": l.Chain, "bundle": l.LogEntry, "rfc3161timestamp": l.Timestamp} {
		if len(text) > limit.Annotation {
			return Bundle{}, &limit.Error{What: "annotation dev.sigstore.cosign/" + name, Bound: limit.Annotation, Unit: "bytes"}
		}
	}
	if l.Certificate != "" {
		if b.Certificates, err = decodePEM(l.Certificate); err != nil {
			return Bundle{}, fmt.Errorf("annotation dev.sigstore.cosign/certificate: %w", err)
		}
		if len(b.Certificates) != 1 {
			return Bundle{}, fmt.Errorf("annotation dev.sigstore.cosign/certificate: want one certificate, found %d", len(b.Certificates))
		}
		chain, err := decodePEM(l.Chain)
		if err != nil {
			return Bundle{}, fmt.Errorf("annotation dev.sigstore.cosign/chain: %w", err)
		}
		b.Certificates = append(b.Certificates, chain...)
		if err := checkCertificates(b.Certificates); err != nil {
			return Bundle{}, err
		}
	}
	if l.LogEntry != "" {
		entry, err := decodeSet([]byte(l.LogEntry))
		if err != nil {
			return Bundle{}, fmt.Errorf("annotation dev.sigstore.cosign/bundle: %w", err)
		}
		b.Entries = []LogEntry{entry}
	}
	if l.Timestamp != "" {
		timestamp, err := decodeTimestamp([]byte(l.Timestamp))
		if err != nil {
			return Bundle{}, fmt.Errorf("annotation dev.sigstore.cosign/rfc3161timestamp: %w", err)
		}
		b.Timestamps = [][]byte{timestamp}
	}
	return b, nil
}

func decodePEM(text string) (certificates [][]byte, err error) {
	rest := bytes.TrimSpace([]byte(text))
	for len(rest) > 0 {
		// pem.Decode passes over what is before a block.
		if !bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
			return nil, errors.New("is no PEM, or has something between its blocks")
		}
		block, after := pem.Decode(rest)
		switch {
		case block == nil:
			return nil, errors.New("is no PEM")
		case block.Type != "CERTIFICATE":
			return nil, fmt.Errorf("PEM block is %.40q, want CERTIFICATE", block.Type)
		case len(block.Headers) > 0:
			return nil, errors.New("PEM block has headers")
		case len(certificates) == limit.Certificates:
			return nil, &limit.Error{What: "it", Bound: limit.Certificates, Unit: "certificates"}
		}
		certificates = append(certificates, block.Bytes)
		rest = bytes.TrimSpace(after)
	}
	return certificates, nil
}

func decodeSet(content []byte) (LogEntry, error) {
	members, err := strictjson.Object(content, "log entry", strictjson.Bounds{Depth: 8, Values: 64})
	if err != nil {
		return LogEntry{}, err
	}
	var e LogEntry
	if e.Promise, err = binary(members, "SignedEntryTimestamp"); err != nil {
		return LogEntry{}, err
	}
	payload, err := members.Object("Payload")
	if err != nil {
		return LogEntry{}, err
	}
	if e.Body, err = binary(payload, "body"); err != nil {
		return LogEntry{}, fmt.Errorf("member Payload: %w", err)
	}
	for name, into := range map[string]*int64{"integratedTime": &e.IntegratedTime, "logIndex": &e.Index} {
		if err := json.Unmarshal(payload[name], into); err != nil {
			return LogEntry{}, fmt.Errorf("member Payload: %q is no whole number", name)
		}
	}
	id, err := payload.String("logID")
	if err != nil {
		return LogEntry{}, fmt.Errorf("member Payload: %w", err)
	}
	if e.LogID, err = hex.DecodeString(id); err != nil {
		return LogEntry{}, fmt.Errorf("member Payload: logID: %w", err)
	}
	if e.Kind, e.Version, err = kindOf(e.Body); err != nil {
		return LogEntry{}, err
	}
	return e, e.check()
}

func decodeTimestamp(content []byte) ([]byte, error) {
	members, err := strictjson.Object(content, "timestamp", strictjson.Bounds{Depth: 8, Values: 64})
	if err != nil {
		return nil, err
	}
	timestamp, err := binary(members, "SignedRFC3161Timestamp")
	if err != nil {
		return nil, err
	}
	return timestamp, checkTimestamp(timestamp)
}

func binary(members strictjson.Members, name string) ([]byte, error) {
	text, err := members.String(name)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, fmt.Errorf("%q is missing or empty", name)
	}
	content, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return content, nil
}
