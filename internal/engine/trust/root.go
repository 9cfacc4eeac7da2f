package trust

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// Root is a set of authorities: certificate authorities, transparency logs,
// certificate logs and timestamp authorities, each with the time in which it
// is believed (protobuf-specs, sigstore_trustroot.proto). It may be used by
// several goroutines at once.
type Root struct {
	name string
	root *root.TrustedRoot
}

// ParseRoot reads a trusted root in JSON, as `cosign trusted-root create` and
// Sigstore's TUF repository have it. name is for people: a file or a host.
func ParseRoot(name string, content []byte) (*Root, error) {
	if len(content) > limit.TrustedRoot {
		return nil, &limit.Error{What: name, Bound: limit.TrustedRoot, Unit: "bytes"}
	}
	if _, err := strictjson.Object(content, name, strictjson.Bounds{Depth: 32, Values: 65_536}); err != nil {
		return nil, fmt.Errorf("%s is no trusted root: %w", name, err)
	}
	parsed, err := root.NewTrustedRootFromJSON(content)
	if err != nil {
		return nil, fmt.Errorf("%s is no trusted root: %w", name, err)
	}
	r := &Root{name: name, root: parsed}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func (r *Root) check() error {
	for what, n := range map[string]int{
		"certificate authorities": len(r.root.FulcioCertificateAuthorities()), "transparency logs": len(r.root.RekorLogs()),
		"certificate logs": len(r.root.CTLogs()), "timestamp authorities": len(r.root.TimestampingAuthorities()),
	} {
		if n > limit.Authorities {
			return &limit.Error{What: "trusted root", Bound: limit.Authorities, Unit: what}
		}
	}
	for i, ca := range r.root.FulcioCertificateAuthorities() {
		if fulcio, ok := ca.(*root.FulcioCertificateAuthority); !ok || fulcio.Root == nil {
			return fmt.Errorf("certificate authority %d has no root certificate", i)
		} else if len(fulcio.Intermediates) > limit.Chain {
			return &limit.Error{What: fmt.Sprintf("certificate authority %d", i), Bound: limit.Chain, Unit: "certificates"}
		}
	}
	for i, ta := range r.root.TimestampingAuthorities() {
		if tsa, ok := ta.(*root.SigstoreTimestampingAuthority); !ok || tsa.Root == nil {
			return fmt.Errorf("timestamp authority %d has no root certificate: its chain ends with a certificate that issues none", i)
		} else if len(tsa.Intermediates) > limit.Chain {
			return &limit.Error{What: fmt.Sprintf("timestamp authority %d", i), Bound: limit.Chain, Unit: "certificates"}
		}
	}
	return nil
}

// Name is what ParseRoot was told.
func (r *Root) Name() string { return r.name }

// Kind is what an authority vouches for.
type Kind string

// The kinds of authorities.
const (
	CertificateAuthority Kind = "certificate authority"
	CertificateLog       Kind = "certificate log"
	TransparencyLog      Kind = "transparency log"
	TimestampAuthority   Kind = "timestamp authority"
)

// Authority is one member of a Root, for people.
type Authority struct {
	Kind Kind `json:"kind"`
	// URL is where it is, as the root says; "" where it does not.
	URL string `json:"url,omitempty"`
	// Fingerprint is "sha256:…": of the PKIX key of a log, of the DER of an
	// authority's root certificate. Subject is that certificate's.
	Fingerprint string `json:"fingerprint"`
	Subject     string `json:"subject,omitempty"`
	// LogID is how entries name a log, in hex; "" for others.
	LogID string `json:"logID,omitempty"`
	// NotBefore and NotAfter bound when it is believed; zero does not. For
	// certificates they are the narrower of the root's and the certificate's.
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
}

// Authorities lists all members: certificate authorities, certificate logs,
// transparency logs, timestamp authorities; each kind by when it begins, then
// by URL.
func (r *Root) Authorities() []Authority {
	var list []Authority
	for _, ca := range r.root.FulcioCertificateAuthorities() {
		fulcio := ca.(*root.FulcioCertificateAuthority)
		list = append(list, authority(CertificateAuthority, fulcio.URI, fulcio.Root, fulcio.ValidityPeriodStart, fulcio.ValidityPeriodEnd))
	}
	list = append(list, logs(CertificateLog, r.root.CTLogs())...)
	list = append(list, logs(TransparencyLog, r.root.RekorLogs())...)
	for _, ta := range r.root.TimestampingAuthorities() {
		tsa := ta.(*root.SigstoreTimestampingAuthority)
		list = append(list, authority(TimestampAuthority, tsa.URI, tsa.Root, tsa.ValidityPeriodStart, tsa.ValidityPeriodEnd))
	}
	kinds := []Kind{CertificateAuthority, CertificateLog, TransparencyLog, TimestampAuthority}
	slices.SortStableFunc(list, func(a, b Authority) int {
		if a.Kind != b.Kind {
			return slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind)
		}
		if c := a.NotBefore.Compare(b.NotBefore); c != 0 {
			return c
		}
		return strings.Compare(a.URL+a.LogID, b.URL+b.LogID)
	})
	return list
}

func authority(kind Kind, url string, certificate *x509.Certificate, start, end time.Time) Authority {
	if start.Before(certificate.NotBefore) {
		start = certificate.NotBefore
	}
	if end.IsZero() || end.After(certificate.NotAfter) {
		end = certificate.NotAfter
	}
	return Authority{
		Kind: kind, URL: url, Fingerprint: subject.Of(certificate.Raw).String(), Subject: certificate.Subject.String(),
		NotBefore: start.UTC(), NotAfter: end.UTC(),
	}
}

func logs(kind Kind, members map[string]*root.TransparencyLog) []Authority {
	var list []Authority
	for id, log := range members {
		list = append(list, Authority{
			Kind: kind, URL: log.BaseURL, Fingerprint: fingerprint(log.PublicKey), LogID: id,
			NotBefore: log.ValidityPeriodStart, NotAfter: log.ValidityPeriodEnd,
		})
	}
	return list
}

// fingerprint is that of a key that the root's reader has parsed.
func fingerprint(public crypto.PublicKey) string {
	key, err := identity.KeyOf(public)
	if err != nil {
		return ""
	}
	return key.String()
}

// log finds a transparency log by what an entry calls it.
func (r *Root) log(id []byte) (*root.TransparencyLog, bool) {
	log, found := r.root.RekorLogs()[hex.EncodeToString(id)]
	return log, found
}
