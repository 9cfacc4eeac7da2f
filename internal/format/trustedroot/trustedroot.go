// Package trustedroot writes Sigstore trusted roots from their pieces
// (sigstore/protobuf-specs, sigstore_trustroot.proto: TrustedRoot).
//
// Entry point is [Build]. What is built is what `cosign trusted-root create`
// makes of the same pieces, the id of a log by C2SP's signed notes included
// ([LogID]).
//
// The package reads no roots and judges no evidence; engine/trust does.
package trustedroot

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrust "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
)

// MediaType is what is written.
const MediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"

// Kind is what an authority vouches for.
type Kind string

// The kinds.
const (
	CertificateAuthority Kind = "certificate authority"
	Log                  Kind = "transparency log"
	CertificateLog       Kind = "certificate log"
	TimestampAuthority   Kind = "timestamp authority"
)

// Piece is one authority to build a root of.
type Piece struct {
	Kind Kind
	URL  string
	// Certificates are the chain of a certificate or timestamp authority,
	// the root last. A timestamp authority's begins with its own certificate.
	Certificates []*x509.Certificate
	// Key is a log's. Origin is the name in its checkpoints: newer logs
	// (Rekor v2, static CT) have one, and are known by it and their key.
	Key    crypto.PublicKey
	Origin string
	// From and Until bound when it is believed. A zero From is when the
	// authority's certificate begins, or for a log 1970; a zero Until is no end.
	From, Until time.Time
}

// Build writes a trusted root, indented; the same bytes for the same pieces.
func Build(pieces []Piece) ([]byte, error) {
	if len(pieces) == 0 {
		return nil, errors.New("a trusted root of no authority at all trusts nobody")
	}
	proto := &prototrust.TrustedRoot{MediaType: MediaType}
	for _, piece := range pieces {
		if err := add(proto, piece); err != nil {
			return nil, fmt.Errorf("%s %s: %w", piece.Kind, piece.URL, err)
		}
	}
	spaced, err := protojson.Marshal(proto)
	if err != nil {
		return nil, fmt.Errorf("writing trusted root: %w", err)
	}
	// protojson puts spaces in at random, so that nobody relies on its bytes.
	var compact, out bytes.Buffer
	if err := errors.Join(json.Compact(&compact, spaced), json.Indent(&out, compact.Bytes(), "", "  ")); err != nil {
		return nil, fmt.Errorf("writing trusted root: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func add(proto *prototrust.TrustedRoot, piece Piece) error {
	if !piece.Until.IsZero() && piece.Until.Before(piece.From) {
		return errors.New("it ends before it begins")
	}
	switch piece.Kind {
	case CertificateAuthority, TimestampAuthority:
		authority, err := authority(piece)
		if err != nil {
			return err
		}
		if piece.Kind == TimestampAuthority {
			proto.TimestampAuthorities = append(proto.TimestampAuthorities, authority)
		} else {
			proto.CertificateAuthorities = append(proto.CertificateAuthorities, authority)
		}
	case Log, CertificateLog:
		instance, err := instance(piece)
		if err != nil {
			return err
		}
		if piece.Kind == Log {
			proto.Tlogs = append(proto.Tlogs, instance)
		} else {
			proto.Ctlogs = append(proto.Ctlogs, instance)
		}
	default:
		return fmt.Errorf("kind %q is not known", piece.Kind)
	}
	return nil
}

func authority(piece Piece) (*prototrust.CertificateAuthority, error) {
	chain := piece.Certificates
	if len(chain) == 0 {
		return nil, errors.New("it has no certificate")
	}
	top := chain[len(chain)-1]
	from := piece.From
	if from.IsZero() {
		from = top.NotBefore
	}
	if piece.Kind == TimestampAuthority {
		if len(chain) < 2 || chain[0].IsCA {
			return nil, errors.New("its chain has to begin with its own certificate, and to end with a root")
		}
		if piece.From.IsZero() {
			from = chain[0].NotBefore
		}
	}
	for i, certificate := range chain {
		if (i > 0 || piece.Kind == CertificateAuthority) && !certificate.IsCA {
			return nil, fmt.Errorf("certificate %d of its chain, %q, is not one of a certificate authority", i+1, certificate.Subject)
		}
		if i > 0 {
			if err := chain[i-1].CheckSignatureFrom(certificate); err != nil {
				return nil, fmt.Errorf("certificate %d of its chain, %q, was not issued by the next one: %w", i, chain[i-1].Subject, err)
			}
		}
	}
	list := &protocommon.X509CertificateChain{}
	for _, certificate := range chain {
		list.Certificates = append(list.Certificates, &protocommon.X509Certificate{RawBytes: certificate.Raw})
	}
	return &prototrust.CertificateAuthority{
		Uri: piece.URL, CertChain: list, ValidFor: validity(from, piece.Until),
		Subject: &protocommon.DistinguishedName{Organization: strings.Join(top.Subject.Organization[:min(1, len(top.Subject.Organization))], ""), CommonName: top.Subject.CommonName},
	}, nil
}

func instance(piece Piece) (*prototrust.TransparencyLogInstance, error) {
	details, err := keyDetails(piece.Key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(piece.Key)
	if err != nil {
		return nil, err
	}
	id, err := LogID(piece.Origin, piece.Key)
	if err != nil {
		return nil, err
	}
	from := piece.From
	if from.IsZero() {
		from = time.Unix(0, 0)
	}
	return &prototrust.TransparencyLogInstance{
		BaseUrl: piece.URL, HashAlgorithm: protocommon.HashAlgorithm_SHA2_256, LogId: &protocommon.LogId{KeyId: id},
		PublicKey: &protocommon.PublicKey{RawBytes: der, KeyDetails: details, ValidFor: validity(from, piece.Until)},
	}, nil
}

func validity(from, until time.Time) *protocommon.TimeRange {
	valid := &protocommon.TimeRange{Start: timestamppb.New(from)}
	if !until.IsZero() {
		valid.End = timestamppb.New(until)
	}
	return valid
}

// LogID is what a log is known by: without an origin, the SHA-256 of its key
// (RFC 6962, Rekor v1); with one, C2SP's hash of the checkpoints' key, whole
// (c2sp.org/signed-note; for ECDSA that is the same).
func LogID(origin string, key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(origin, unicode.IsSpace) || strings.Contains(origin, "+") {
		return nil, fmt.Errorf("origin %.100q: no name of a checkpoint's signer has spaces or a plus", origin)
	}
	var signed []byte
	switch key := key.(type) {
	case ed25519.PublicKey:
		signed = append([]byte{1}, key...)
	case *rsa.PublicKey:
		signed = append([]byte("\xffPKIX-RSA-PKCS#1v1.5"), der...)
	}
	if origin == "" || signed == nil {
		sum := sha256.Sum256(der)
		return sum[:], nil
	}
	sum := sha256.Sum256(append([]byte(origin+"\n"), signed...))
	return sum[:], nil
}

// keyDetails names a key's algorithm.
func keyDetails(key crypto.PublicKey) (protocommon.PublicKeyDetails, error) {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return protocommon.PublicKeyDetails_PKIX_ED25519, nil
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, nil
		case elliptic.P384():
			return protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384, nil
		case elliptic.P521():
			return protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512, nil
		}
		return 0, fmt.Errorf("its key is ECDSA on %s; want P-256, P-384 or P-521", key.Curve.Params().Name)
	case *rsa.PublicKey:
		switch bits := key.N.BitLen(); bits {
		case 2048:
			return protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256, nil
		case 3072:
			return protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256, nil
		case 4096:
			return protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256, nil
		default:
			return 0, fmt.Errorf("its key is RSA of %d bits; want 2048, 3072 or 4096", bits)
		}
	}
	return 0, fmt.Errorf("its key is a %T; want ECDSA, RSA or Ed25519", key)
}
