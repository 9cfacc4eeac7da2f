package kyverno

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/trustedroot"
)

// witnesses are who must vouch for the signature of a key: a transparency log,
// unless the policy ignores it, and a timestamp authority that it names.
func (l loader) witnesses(path []string, rekor *rekorSpec, ctlog *ctlogSpec) (*trust.Root, trust.Demand, error) {
	a := assembly{loader: l, from: map[trust.Kind]*trust.Root{}}
	demand := trust.Demand{Log: rekor == nil || !rekor.IgnoreTlog}
	if demand.Log {
		a.log(at(path, "rekor"), rekor)
	}
	demand.Timestamp = a.others(at(path, "ctlog"), ctlog, false)
	root, err := a.root(path)
	return root, demand, err
}

// authorities are who must vouch for a certificate and for its signature.
func (l loader) authorities(path []string, s keylessSpec) (*trust.Root, trust.Demand, error) {
	a := assembly{loader: l, from: map[trust.Kind]*trust.Root{}}
	demand := trust.Demand{WithoutLogUnsafe: s.Rekor != nil && s.Rekor.IgnoreTlog, WithoutSCTUnsafe: s.CTLog != nil && s.CTLog.IgnoreSCT}
	if s.Roots == "" {
		a.own(path, trust.CertificateAuthority, "roots")
	} else {
		chains, err := chains(s.Roots)
		if err != nil {
			a.fail(at(path, "roots"), err)
		}
		var pieces []trustedroot.Piece
		for _, chain := range chains {
			pieces = append(pieces, trustedroot.Piece{Kind: trustedroot.CertificateAuthority, Certificates: chain})
		}
		a.build(at(path, "roots"), trust.CertificateAuthority, pieces)
	}
	if !demand.WithoutLogUnsafe {
		a.log(at(path, "rekor"), s.Rekor)
	}
	demand.Timestamp = a.others(at(path, "ctlog"), s.CTLog, !demand.WithoutSCTUnsafe)
	root, err := a.root(path)
	return root, demand, err
}

// assembly gathers the authorities of one entry. The first error stands.
type assembly struct {
	loader
	from map[trust.Kind]*trust.Root
	// door is the door's own root, once it was asked for.
	door *trust.Root
	err  error
}

func (a *assembly) fail(path []string, err error) {
	if a.err == nil {
		a.err = a.loader.fail(path, "%w", err)
	}
}

// own takes the authorities of a kind from the door's root.
func (a *assembly) own(path []string, kind trust.Kind, field string) {
	if a.err != nil {
		return
	}
	if a.door == nil {
		root, err := a.material.Root("")
		if err != nil {
			a.fail(path, fmt.Errorf("a %s must vouch here, and which one is believed is not said: name it with %s, or keep a trusted root for this door; "+
				"where none is wanted, rekor: {ignoreTlog: true} and ctlog: {ignoreSCT: true} say so: %w", kind, field, err))
			return
		}
		a.door = root
	}
	a.from[kind] = a.door
}

// build makes a root of what the policy writes out.
func (a *assembly) build(path []string, kind trust.Kind, pieces []trustedroot.Piece) {
	if a.err != nil {
		return
	}
	content, err := trustedroot.Build(pieces)
	if err == nil {
		a.from[kind], err = trust.ParseRoot("the policy", content)
	}
	if err != nil {
		a.fail(path, err)
	}
}

// publicLog is the log that Kyverno means where the policy names none.
const publicLog = "https://rekor.sigstore.dev"

func (a *assembly) log(path []string, rekor *rekorSpec) {
	if rekor == nil || rekor.PubKey == "" {
		a.own(path, trust.TransparencyLog, "rekor.pubkey")
		return
	}
	url := rekor.URL
	if url == "" {
		url = publicLog
	}
	a.logKeys(at(path, "pubkey"), trust.TransparencyLog, trustedroot.Log, url, rekor.PubKey)
}

func (a *assembly) logKeys(path []string, kind trust.Kind, piece trustedroot.Kind, url, text string) {
	if err := a.static(path, text); err != nil {
		a.fail(path, err)
		return
	}
	keys, err := cosignkey.ReadPublic([]byte(text))
	if err != nil {
		a.fail(path, err)
		return
	}
	var pieces []trustedroot.Piece
	for _, key := range keys {
		pieces = append(pieces, trustedroot.Piece{Kind: piece, URL: url, Key: key.Key, From: key.NotBefore, Until: key.NotAfter})
	}
	a.build(path, kind, pieces)
}

// others takes the certificate logs, where they are wanted, and the timestamp
// authority: the policy's own is demanded, the door's may vouch.
func (a *assembly) others(path []string, ctlog *ctlogSpec, wanted bool) (timestamp bool) {
	switch {
	case ctlog != nil && ctlog.PubKey != "":
		a.logKeys(at(path, "pubkey"), trust.CertificateLog, trustedroot.CertificateLog, "", ctlog.PubKey)
	case wanted:
		a.own(path, trust.CertificateLog, "ctlog.pubkey")
	}
	if ctlog == nil || ctlog.TSACertChain == "" {
		if a.door != nil {
			a.from[trust.TimestampAuthority] = a.door
		}
		return false
	}
	certificates, err := readCertificates(ctlog.TSACertChain)
	if err != nil {
		a.fail(at(path, "tsaCertChain"), err)
	}
	a.build(at(path, "tsaCertChain"), trust.TimestampAuthority, []trustedroot.Piece{{Kind: trustedroot.TimestampAuthority, Certificates: certificates}})
	return true
}

func (a *assembly) root(path []string) (*trust.Root, error) {
	if a.err != nil || len(a.from) == 0 {
		return nil, a.err
	}
	root, err := trust.Assemble("the policy's trusted root", a.from)
	if err != nil {
		return nil, a.loader.fail(path, "%w", err)
	}
	return root, nil
}

// readCertificates reads PEM, or base64 of PEM, as Kyverno does.
func readCertificates(text string) ([]*x509.Certificate, error) {
	if strings.Contains(text, "{{") {
		return nil, errors.New("want certificates in PEM; expressions are read in publicKeys alone")
	}
	content := []byte(text)
	if decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil {
		content = decoded
	}
	var list []*x509.Certificate
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if left := bytes.TrimSpace(rest); len(left) > 0 {
				return nil, errors.New("there is text beside the certificates, or one of them is damaged")
			}
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a block is a %.40q; want certificates and nothing else", block.Type)
		}
		if len(list) == limit.Chain {
			return nil, &limit.Error{What: "certificates", Bound: limit.Chain, Unit: "certificates"}
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		list = append(list, certificate)
	}
	if len(list) == 0 {
		return nil, errors.New("want certificates in PEM, found none")
	}
	return list, nil
}

// chains leads each certificate that issued itself back to the others of the
// text that it vouches for; where none did, each certificate is trusted as it
// stands.
func chains(text string) ([][]*x509.Certificate, error) {
	certificates, err := readCertificates(text)
	if err != nil {
		return nil, err
	}
	var tops, others []*x509.Certificate
	for _, c := range certificates {
		if bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil {
			tops = append(tops, c)
		} else {
			others = append(others, c)
		}
	}
	if len(tops) == 0 {
		tops, others = others, nil
	}
	var list [][]*x509.Certificate
	for _, top := range tops {
		list = append(list, []*x509.Certificate{top})
	}
	for i, c := range others {
		chain := climb(c, others, tops)
		if chain == nil {
			return nil, fmt.Errorf("certificate %q (%d of those that others issued) leads to no certificate that issued itself; add its issuer, or leave it out", c.Subject, i+1)
		}
		list = append(list, chain)
	}
	return list, nil
}

// climb leads a certificate to one of the tops; nil where no way does.
func climb(c *x509.Certificate, others, tops []*x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{c}
	for range limit.Chain {
		issuer := func(o *x509.Certificate) bool { return c.CheckSignatureFrom(o) == nil }
		if i := slices.IndexFunc(tops, issuer); i >= 0 {
			return append(chain, tops[i])
		}
		i := slices.IndexFunc(others, issuer)
		if i < 0 {
			return nil
		}
		c = others[i]
		chain = append(chain, c)
	}
	return nil
}

// certificates compiles a certificate that stands in the policy: its key signs,
// while it is valid, and its chain is verified here, once.
func (l loader) certificates(path []string, name, algorithm string, s certificatesSpec) ([]party, error) {
	if s.Cert == "" {
		return nil, l.fail(at(path, "cert"), "is missing: with certChain alone anybody to whom this authority gave a certificate could sign; "+
			"write out the certificate, or use keyless with roots, issuer and subject")
	}
	list, err := readCertificates(s.Cert)
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("want one certificate, found %d; its issuers belong into certChain", len(list))
	}
	if err != nil {
		return nil, l.fail(at(path, "cert"), "%w", err)
	}
	leaf := list[0]
	if leaf.IsCA {
		return nil, l.fail(at(path, "cert"), "is a certificate authority's own, which signs no evidence")
	}
	if s.CertChain != "" {
		if err := issued(leaf, s.CertChain); err != nil {
			return nil, l.fail(at(path, "certChain"), "%w", err)
		}
	}
	id, err := identity.KeyOf(leaf.PublicKey)
	if err != nil {
		return nil, l.fail(at(path, "cert"), "%w", err)
	}
	digest, err := l.digest(path, algorithm)
	if err != nil {
		return nil, err
	}
	signer := trust.Signer{Name: name, Keys: []trust.Key{{ID: id, Public: leaf.PublicKey, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Digest: digest}}}
	if signer.Root, signer.Demand, err = l.witnesses(path, s.Rekor, s.CTLog); err != nil {
		return nil, err
	}
	return l.cast([]trust.Signer{signer}), nil
}

// issued says why a certificate does not lead to the chain that stands beside it.
func issued(leaf *x509.Certificate, text string) error {
	chain, err := readCertificates(text)
	if err != nil {
		return err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for i, c := range chain {
		if i == len(chain)-1 {
			roots.AddCert(c)
		} else {
			intermediates.AddCert(c)
		}
	}
	// At any time at which it is valid: when it signed is seen by the evidence.
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("the certificate does not lead to the last one of the chain: %w", err)
	}
	return nil
}
