package trustedroot

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrust "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// Authority is one that a trusted root names.
type Authority struct {
	Kind Kind `json:"kind"`
	// URL is where it is, Name its certificate's subject; either may be "".
	URL  string `json:"url,omitempty"`
	Name string `json:"name,omitempty"`
	// Fingerprint is "sha256:" and the hex of its root certificate, or of a
	// log's public key, in DER. Algorithm is that of the key.
	Fingerprint string `json:"fingerprint"`
	Algorithm   string `json:"algorithm,omitempty"`
	// From and Until are when what it vouches for is believed; zero for no
	// bound.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// CertificateUntil is when the first certificate of its chain expires;
	// zero for logs.
	CertificateUntil time.Time `json:"certificateUntil,omitzero"`
}

// Expired says whether an authority vouches for nothing new at a time: such
// roots stay, for the sake of what was signed before.
func (a Authority) Expired(now time.Time) bool {
	return !a.Until.IsZero() && now.After(a.Until) || !a.CertificateUntil.IsZero() && now.After(a.CertificateUntil)
}

// List reads whom a trusted root names: certificate authorities, logs,
// certificate logs and timestamp authorities, in that order and otherwise in
// the file's. name is for errors.
func List(name string, content []byte) ([]Authority, error) {
	if len(content) > limit.TrustedRoot {
		return nil, &limit.Error{What: name, Bound: limit.TrustedRoot, Unit: "bytes"}
	}
	if _, err := strictjson.Object(content, name, strictjson.Bounds{}); err != nil {
		return nil, err
	}
	var proto prototrust.TrustedRoot
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: limit.JSONDepth}).Unmarshal(content, &proto); err != nil {
		return nil, fmt.Errorf("%s is no trusted root: %w", name, err)
	}
	switch found := proto.GetMediaType(); found {
	case MediaType, "application/vnd.dev.sigstore.trustedroot.v0.1+json", "application/vnd.dev.sigstore.trustedroot.v0.2+json":
	default:
		return nil, fmt.Errorf("%s: mediaType: want %s, found %.100q", name, MediaType, found)
	}
	var authorities []Authority
	for _, list := range []struct {
		kind  Kind
		chain []*prototrust.CertificateAuthority
		logs  []*prototrust.TransparencyLogInstance
	}{
		{CertificateAuthority, proto.GetCertificateAuthorities(), nil}, {Log, nil, proto.GetTlogs()},
		{CertificateLog, nil, proto.GetCtlogs()}, {TimestampAuthority, proto.GetTimestampAuthorities(), nil},
	} {
		if len(list.chain) > limit.Authorities || len(list.logs) > limit.Authorities {
			return nil, &limit.Error{What: name, Bound: limit.Authorities, Unit: "authorities of one kind"}
		}
		for i, from := range list.chain {
			found, err := chained(list.kind, from)
			if err != nil {
				return nil, fmt.Errorf("%s: %s %d: %w", name, list.kind, i+1, err)
			}
			authorities = append(authorities, found)
		}
		for i, from := range list.logs {
			found, err := logged(list.kind, from)
			if err != nil {
				return nil, fmt.Errorf("%s: %s %d: %w", name, list.kind, i+1, err)
			}
			authorities = append(authorities, found)
		}
	}
	if len(authorities) == 0 {
		return nil, fmt.Errorf("%s names no authority at all", name)
	}
	return authorities, nil
}

func chained(kind Kind, from *prototrust.CertificateAuthority) (Authority, error) {
	chain := from.GetCertChain().GetCertificates()
	if len(chain) == 0 {
		return Authority{}, errors.New("it has no certificate")
	}
	if len(chain) > limit.CertificateChain {
		return Authority{}, &limit.Error{What: "its chain", Bound: limit.CertificateChain, Unit: "certificates"}
	}
	a := Authority{Kind: kind, URL: from.GetUri()}
	for i, member := range chain {
		certificate, err := x509.ParseCertificate(member.GetRawBytes())
		if err != nil {
			return Authority{}, fmt.Errorf("certificate %d of its chain: %w", i+1, err)
		}
		if a.CertificateUntil.IsZero() || certificate.NotAfter.Before(a.CertificateUntil) {
			a.CertificateUntil = certificate.NotAfter
		}
		if i == len(chain)-1 {
			a.Name = certificate.Subject.String()
			_, a.Algorithm, _ = keyDetails(certificate.PublicKey)
		}
	}
	a.Fingerprint = fingerprint(chain[len(chain)-1].GetRawBytes())
	return a, a.period(from.GetValidFor())
}

func logged(kind Kind, from *prototrust.TransparencyLogInstance) (Authority, error) {
	der := from.GetPublicKey().GetRawBytes()
	if len(der) == 0 {
		return Authority{}, errors.New("it has no key")
	}
	a := Authority{Kind: kind, URL: from.GetBaseUrl(), Fingerprint: fingerprint(der)}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		_, a.Algorithm, _ = keyDetails(key)
	} else if _, err := x509.ParsePKCS1PublicKey(der); err != nil { // some old logs have theirs so
		return Authority{}, errors.New("its key is neither PKIX nor PKCS #1")
	}
	return a, a.period(from.GetPublicKey().GetValidFor())
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (a *Authority) period(valid *protocommon.TimeRange) error {
	for at, into := range map[*timestamppb.Timestamp]*time.Time{valid.GetStart(): &a.From, valid.GetEnd(): &a.Until} {
		if at == nil {
			continue
		}
		if err := at.CheckValid(); err != nil {
			return fmt.Errorf("validFor: %w", err)
		}
		*into = at.AsTime()
	}
	return nil
}
