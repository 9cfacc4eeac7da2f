package cel

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
)

// signer is a party, and when it is one. The keys' own times have those of
// the signer in them; certificates are held against them here.
type signer struct {
	trust.Signer
	validity window
}

// window is a time with open ends; zero is none.
type window struct{ notBefore, notAfter time.Time }

// outside says how a time is not in the window, or "".
func (w window) outside(at time.Time) string {
	switch {
	case !w.notBefore.IsZero() && at.Before(w.notBefore):
		return "only from " + w.notBefore.UTC().Format(time.RFC3339) + " on"
	case !w.notAfter.IsZero() && at.After(w.notAfter):
		return "only until " + w.notAfter.UTC().Format(time.RFC3339)
	}
	return ""
}

// within is the narrower of two windows.
func (w window) within(o window) window {
	if o.notBefore.After(w.notBefore) {
		w.notBefore = o.notBefore
	}
	if !o.notAfter.IsZero() && (w.notAfter.IsZero() || o.notAfter.Before(w.notAfter)) {
		w.notAfter = o.notAfter
	}
	return w
}

// window reads notBefore and notAfter.
func (l *loader) window(where place, notBefore, notAfter string) (w window, ok bool) {
	w = window{l.moment(where.at("notBefore"), notBefore), l.moment(where.at("notAfter"), notAfter)}
	if err := cosignkey.CheckWindow(w.notBefore, w.notAfter); err != nil {
		l.fail(where.at("notAfter"), "%w", err)
		return w, false
	}
	return w, true
}

func (l *loader) signers(where place, list []v1alpha1.Signer) map[string]signer {
	if len(list) == 0 {
		l.fail(where, "the list is empty: evidence that anybody could sign proves nothing")
	}
	signers := map[string]signer{}
	var names []string
	for i, s := range list {
		names = append(names, s.Name)
		signers[s.Name] = l.signer(where.at(i), s)
	}
	l.names(where, names)
	return signers
}

func (l *loader) signer(where place, s v1alpha1.Signer) signer {
	if len(s.Keys)+len(s.Identities) == 0 {
		l.fail(where, "signer %q has no keys and no identities", s.Name)
	}
	made := signer{Signer: trust.Signer{Name: s.Name, Demand: trust.Demand{Log: s.RequireLog, Timestamp: s.RequireTimestamp,
		WithoutLogUnsafe: s.InsecureIgnoreLog, WithoutSCTUnsafe: s.InsecureIgnoreSCT}}}
	made.validity, _ = l.window(where, s.NotBefore, s.NotAfter)
	for i, key := range s.Keys {
		made.Keys = append(made.Keys, l.key(where.at("keys", i), s.Name, key, made.validity)...)
	}
	for i, identity := range s.Identities {
		made.Identities = append(made.Identities, l.identity(where.at("identities", i), identity))
	}
	switch {
	case s.RequireLog && s.InsecureIgnoreLog:
		l.fail(where.at("insecureIgnoreLog"), "contradicts requireLog")
	case len(s.Identities) == 0 && (s.InsecureIgnoreLog || s.InsecureIgnoreSCT):
		l.fail(where, "insecureIgnoreLog and insecureIgnoreSCT are about certificates, and signer %q has no identities", s.Name)
	}
	if len(s.Identities) > 0 || s.RequireLog || s.RequireTimestamp || s.TrustedRoot != "" {
		made.Root = l.root(where, s)
	}
	made.Signer = policy.Cast(l.material, made.Signer)
	return made
}

// root gives a signer's authorities.
func (l *loader) root(where place, s v1alpha1.Signer) *trust.Root {
	var root *trust.Root
	var err error
	if strings.HasPrefix(strings.TrimSpace(s.TrustedRoot), "{") {
		root, err = trust.ParseRoot("trustedRoot of signer "+s.Name, []byte(s.TrustedRoot))
	} else {
		root, err = l.material.Root(s.TrustedRoot)
	}
	if err != nil {
		if s.TrustedRoot != "" {
			where = where.at("trustedRoot")
		}
		l.fail(where, "signer %q: %w", s.Name, err)
	}
	return root
}

func (l *loader) identity(where place, i v1alpha1.Identity) identity.Pattern {
	pattern := identity.Pattern{Subject: i.Subject, SubjectRegexp: i.SubjectRegexp, Issuer: i.Issuer, IssuerRegexp: i.IssuerRegexp,
		Extensions: i.Extensions, ExtensionRegexps: i.ExtensionRegexps}
	if err := pattern.Check(); err != nil {
		l.fail(where, "%w", err)
	}
	return pattern
}

// key gives the keys that one entry names.
func (l *loader) key(where place, name string, key v1alpha1.Key, validity window) []trust.Key {
	var found trust.Signer
	var err error
	field := ""
	for _, f := range []struct{ name, text string }{{"file", key.File}, {"publicKey", key.PublicKey}, {"ref", key.Ref}, {"certificate", key.Certificate}} {
		if f.text != "" && field != "" {
			field = "two"
		} else if f.text != "" {
			field = f.name
		}
	}
	switch field {
	case "file":
		found, err = l.material.Signer(key.File)
	case "ref":
		found, err = l.material.Signer(key.Ref)
	case "publicKey":
		found, err = trust.ParseSigner(name, []byte(key.PublicKey))
	case "certificate":
		found, err = certified(key.Certificate)
	default:
		l.fail(where, "want exactly one of file, publicKey, ref and certificate")
		return nil
	}
	if err != nil {
		if !strings.Contains(err.Error(), name) {
			err = fmt.Errorf("signer %q: %w", name, err)
		}
		l.fail(where.at(field), "%w", err)
		return nil
	}
	own, ok := l.window(where, key.NotBefore, key.NotAfter)
	if !ok {
		return nil
	}
	keys := slices.Clone(found.Keys)
	for i := range keys {
		k := &keys[i]
		w := window{k.NotBefore, k.NotAfter}.within(own).within(validity)
		k.NotBefore, k.NotAfter = w.notBefore, w.notAfter
		if err := cosignkey.CheckWindow(k.NotBefore, k.NotAfter); err != nil {
			l.fail(where, "key %s, by its own times and the policy together: %w", k.ID, err)
		}
	}
	return keys
}

// certified is the key of a certificate, for the time in which that is valid.
func certified(text string) (trust.Signer, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return trust.Signer{}, errors.New("want a certificate in PEM (-----BEGIN CERTIFICATE-----)")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return trust.Signer{}, errors.New("holds several PEM blocks; want the one certificate of who signs, without those that issued it")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return trust.Signer{}, err
	}
	if certificate.IsCA {
		return trust.Signer{}, errors.New("is a certificate authority's own, which signs no evidence; put authorities into a trusted root")
	}
	public, err := cosignkey.EncodePublic(certificate.PublicKey)
	if err != nil {
		return trust.Signer{}, err
	}
	made, err := trust.ParseSigner("certificate of "+certificate.Subject.String(), public)
	for i := range made.Keys {
		made.Keys[i].NotBefore, made.Keys[i].NotAfter = certificate.NotBefore, certificate.NotAfter
	}
	return made, err
}
