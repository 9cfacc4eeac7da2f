package sigstore

import (
	"crypto/sha256"
	"crypto/x509"
	"os"
	"path/filepath"
	"time"

	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// origin is the name under which the log signs its checkpoints.
const origin = "127.0.0.1"

const operator = "loopback.example"

// Root says what a trusted root leaves out or has otherwise. The zero value is
// the whole stack, valid since yesterday.
type Root struct {
	// Authorities are whose certificates count; none is the stack's own Fulcio.
	Authorities []*Authority
	// Since and Until bound the validity of every part; zero is yesterday, and
	// no end.
	Since, Until time.Time
	// AuthoritiesUntil is Until for the certificate authorities alone.
	AuthoritiesUntil time.Time
	// Without the transparency log, the certificate transparency log, or the
	// timestamp authority.
	WithoutLog, WithoutCTLog, WithoutTimestamps bool
}

// TrustedRoot gives a trusted_root.json.
func (s *Stack) TrustedRoot(r Root) ([]byte, error) {
	if len(r.Authorities) == 0 {
		r.Authorities = []*Authority{s.Fulcio}
	}
	valid := period(r.Since, r.Until)
	root := &trustroot.TrustedRoot{MediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
	authoritiesValid := valid
	if !r.AuthoritiesUntil.IsZero() {
		authoritiesValid = period(r.Since, r.AuthoritiesUntil)
	}
	for _, authority := range r.Authorities {
		root.CertificateAuthorities = append(root.CertificateAuthorities, certificateAuthority(authority.URL, authority.chain, authoritiesValid))
	}
	if !r.WithoutTimestamps {
		root.TimestampAuthorities = append(root.TimestampAuthorities, certificateAuthority(s.Timestamps.URL, s.timeChain, valid))
	}
	if !r.WithoutCTLog {
		root.Ctlogs = append(root.Ctlogs, &trustroot.TransparencyLogInstance{BaseUrl: s.ctlog.url, HashAlgorithm: common.HashAlgorithm_SHA2_256,
			PublicKey: publicKey(s.ctlog.public, common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, valid), LogId: &common.LogId{KeyId: s.ctlog.id[:]}, Operator: operator})
	}
	if !r.WithoutLog {
		der, err := x509.MarshalPKIXPublicKey(s.rekorKey)
		if err != nil {
			return nil, err
		}
		root.Tlogs = append(root.Tlogs, &trustroot.TransparencyLogInstance{BaseUrl: s.Rekor.URL, HashAlgorithm: common.HashAlgorithm_SHA2_256,
			PublicKey: publicKey(der, common.PublicKeyDetails_PKIX_ED25519, valid), LogId: &common.LogId{KeyId: s.noteKeyID()}, Operator: operator})
	}
	return marshal(root)
}

// noteKeyID names the log's key as checkpoints do (C2SP signed-note, "Signatures"):
// over the origin, a newline, the algorithm's byte and the key.
func (s *Stack) noteKeyID() []byte {
	const ed25519Algorithm = 1
	sum := sha256.Sum256(append(append([]byte(origin+"\n"), ed25519Algorithm), s.rekorKey...))
	return sum[:]
}

func certificateAuthority(url string, chain [][]byte, valid *common.TimeRange) *trustroot.CertificateAuthority {
	list := &common.X509CertificateChain{}
	for _, der := range chain {
		list.Certificates = append(list.Certificates, &common.X509Certificate{RawBytes: der})
	}
	return &trustroot.CertificateAuthority{Uri: url, CertChain: list, ValidFor: valid, Operator: operator,
		Subject: &common.DistinguishedName{Organization: operator, CommonName: "loopback"}}
}

func publicKey(der []byte, details common.PublicKeyDetails, valid *common.TimeRange) *common.PublicKey {
	return &common.PublicKey{RawBytes: der, KeyDetails: details, ValidFor: valid}
}

func period(since, until time.Time) *common.TimeRange {
	if since.IsZero() {
		since = time.Now().Add(-24 * time.Hour)
	}
	valid := &common.TimeRange{Start: timestamppb.New(since)}
	if !until.IsZero() {
		valid.End = timestamppb.New(until)
	}
	return valid
}

// Signing says what a signing config leaves out or has otherwise. The zero
// value is the whole stack.
type Signing struct {
	Authority                     *Authority // nil is the stack's own Fulcio
	WithoutLog, WithoutTimestamps bool
}

// SigningConfig gives a signing_config.json (version 0.2).
func (s *Stack) SigningConfig(c Signing) ([]byte, error) {
	if c.Authority == nil {
		c.Authority = s.Fulcio
	}
	service := func(url string, version uint32) []*trustroot.Service {
		return []*trustroot.Service{{Url: url, MajorApiVersion: version, Operator: operator, ValidFor: period(time.Time{}, time.Time{})}}
	}
	anyOne := func() *trustroot.ServiceConfiguration {
		return &trustroot.ServiceConfiguration{Selector: trustroot.ServiceSelector_ANY}
	}
	config := &trustroot.SigningConfig{MediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		CaUrls: service(c.Authority.URL, 1), OidcUrls: service(s.EmailIssuer(), 1)}
	if !c.WithoutLog {
		config.RekorTlogUrls, config.RekorTlogConfig = service(s.Rekor.URL, 2), anyOne()
	}
	if !c.WithoutTimestamps {
		config.TsaUrls, config.TsaConfig = service(s.Timestamps.URL, 1), anyOne()
	}
	return marshal(config)
}

func marshal(message proto.Message) ([]byte, error) {
	return protojson.MarshalOptions{Multiline: true}.Marshal(message)
}

// describe writes the files of the whole stack.
func (s *Stack) describe(dir string) error {
	root, err := s.TrustedRoot(Root{})
	if err != nil {
		return err
	}
	config, err := s.SigningConfig(Signing{})
	if err != nil {
		return err
	}
	s.RootFile, s.ConfigFile = filepath.Join(dir, "trusted_root.json"), filepath.Join(dir, "signing_config.json")
	if err := os.WriteFile(s.RootFile, root, 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.ConfigFile, config, 0o600)
}
