package trust

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// oidIssuer is the issuer as Fulcio wrote it first, and still writes it too.
var (
	oidIssuer  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	oidSubject = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidSCTs    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil
}

// identify reads what a certificate says of who it is for (Fulcio's
// oid-info.md). It must say one thing: sigstore-go takes the first of several
// subjects and the last of two issuers.
func identify(leaf *x509.Certificate) (identity.Certificate, error) {
	if leaf.IsCA {
		return identity.Certificate{}, errors.New("is a certificate authority's own, which signs no evidence")
	}
	if n := len(leaf.URIs) + len(leaf.EmailAddresses) + len(leaf.DNSNames) + len(leaf.IPAddresses); n > 1 {
		return identity.Certificate{}, fmt.Errorf("names %d subjects; want one", n)
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return identity.Certificate{}, err
	}
	var issuers []string
	for _, extension := range leaf.Extensions {
		switch issuer := ""; {
		case extension.Id.Equal(oidIssuer):
			issuers = append(issuers, string(extension.Value))
		case extension.Id.Equal(certificate.OIDIssuerV2):
			if err := certificate.ParseDERString(extension.Value, &issuer); err != nil {
				return identity.Certificate{}, err
			}
			issuers = append(issuers, issuer)
		}
	}
	if len(slices.Compact(issuers)) > 1 {
		return identity.Certificate{}, fmt.Errorf("names two issuers, %.200q and %.200q", issuers[0], issuers[1])
	}
	// Go does not read subjects that are an OtherName, and calls them
	// unhandled; the summary has them.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, oidSubject.Equal)
	return identity.Certificate{Subject: summary.SubjectAlternativeName, Issuer: summary.Issuer, Extensions: extensions(summary.Extensions)}, nil
}

// extensions are the members that have a value, by their names in JSON.
func extensions(all certificate.Extensions) map[string]string {
	values := reflect.ValueOf(all)
	out := map[string]string{}
	for i := range values.NumField() {
		name, _, _ := strings.Cut(values.Type().Field(i).Tag.Get("json"), ",")
		if value := values.Field(i).String(); value != "" && name != "issuer" {
			out[name] = value
		}
	}
	return out
}

// certifiedBy finds the first signer that means the certificate's identity,
// and for which everything holds that the signer demands.
func (o *opened) certifiedBy(signers []Signer, now time.Time) (vouched, *failure) {
	signature, stop := o.byLeaf()
	if stop != nil {
		return vouched{}, stop
	}
	var nearest *failure
	var differences []string
	for _, signer := range signers {
		difference, meant := o.meantBy(signer)
		if !meant {
			differences = append(differences, difference...)
			continue
		}
		witnesses, stop := o.certify(signer, signature, now)
		if stop == nil {
			return vouched{signer: signer.Name, certificate: o.identity, witnesses: witnesses}, nil
		}
		nearest = stop
	}
	if nearest != nil {
		return vouched{}, nearest
	}
	return vouched{}, fail(UnknownIdentity, "its certificate, which was not verified, says %s: %s", spell(o.identity), shorten(differences))
}

// byLeaf finds the signature that the certificate's key made.
func (o *opened) byLeaf() ([]byte, *failure) {
	for _, signature := range o.signatures {
		switch err := o.message.check(o.leaf.PublicKey, signature); {
		case err == nil:
			return signature, nil
		case errors.Is(err, errContent):
			return nil, fail(NeedsContent, "the certificate's key signs the file itself or a digest of it that was not given: verify with the file")
		}
	}
	return nil, fail(BadSignature, "no signature in it verifies with the key of its own certificate: it was made by another key, or changed since")
}

// meantBy says whether one of a signer's patterns is the certificate's
// identity, and otherwise how each differs. It comes before all that is
// expensive: a stranger's certificates cost nothing more.
func (o *opened) meantBy(signer Signer) (differences []string, meant bool) {
	if len(signer.Identities) > limit.Identities {
		return []string{(&limit.Error{What: "signer " + signer.Name, Bound: limit.Identities, Unit: "identities"}).Error()}, false
	}
	for _, pattern := range signer.Identities {
		difference := pattern.Differs(o.identity)
		if difference == "" {
			return nil, true
		}
		differences = append(differences, signer.Name+": "+difference)
	}
	return differences, false
}

func spell(c identity.Certificate) string {
	return fmt.Sprintf("%.200q of %.200q", c.Subject, c.Issuer)
}

// certify verifies a signature's witnesses and its certificate by the root of
// one signer.
func (o *opened) certify(signer Signer, signature []byte, now time.Time) (witnessed, *failure) {
	if signer.Root == nil {
		return witnessed{}, fail(UntrustedCertificate, "%s has certificate identities and no trusted root that vouches for certificates", signer.Name)
	}
	w, stop := signer.Root.witness(o, party{leaf: o.leaf}, signature, now)
	if stop != nil {
		return witnessed{}, stop
	}
	if len(w.Logs) == 0 && !signer.Demand.WithoutLogUnsafe {
		return witnessed{}, fail(NoLogEntry, "a signature with a certificate needs an entry in a transparency log, and %s", o.unlogged(signer.Root))
	}
	times := w.times
	switch {
	case len(times) > 0:
	case signer.Demand.WithoutLogUnsafe && !signer.Demand.Timestamp:
		// Nobody says when it was signed: the whole chain must be valid now.
		times = []time.Time{now}
	default:
		return witnessed{}, fail(NoTimestamp, "a signature with a certificate needs a trusted time, and %s", o.untimed(signer.Root))
	}
	var chains [][]*x509.Certificate
	for _, at := range times {
		if chains, stop = signer.Root.chain(o, at, len(w.times) > 0); stop != nil {
			return witnessed{}, stop
		}
	}
	if signer.Demand.WithoutSCTUnsafe {
		return w, nil
	}
	if err := verify.VerifySignedCertificateTimestamp(chains, 1, signer.Root.root); err != nil {
		if !slices.ContainsFunc(o.leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSCTs) }) {
			return witnessed{}, fail(NoSCT, "the certificate for %s carries no promise of a certificate log to list it (SCT)", spell(o.identity))
		}
		return witnessed{}, fail(BadSCT, "no promise in the certificate for %s is of a certificate log of %s: %s", spell(o.identity), signer.Root.name, err)
	}
	w.SCTs = 1
	return w, nil
}

// chain leads the certificate to a certificate authority of the root, all of
// it valid at a time.
func (r *Root) chain(o *opened, at time.Time, trusted bool) ([][]*x509.Certificate, *failure) {
	var late error
	for _, ca := range r.root.FulcioCertificateAuthorities() {
		fulcio, ok := ca.(*root.FulcioCertificateAuthority)
		if !ok {
			continue
		}
		extended := *fulcio
		extended.Intermediates = append(slices.Clone(fulcio.Intermediates), o.issuers...)
		chains, err := extended.Verify(o.leaf, at)
		if err == nil {
			return chains, nil
		}
		if late == nil {
			late = outOfTime(&extended, o.leaf, at)
		}
	}
	if late != nil {
		when := "and nothing says when it signed; now it is " + stamp(at)
		if trusted {
			when = "and a trusted timestamp says that it signed at " + stamp(at)
		}
		return nil, fail(CertificateOutOfTime, "the certificate says %s; %s, %s", spell(o.identity), late, when)
	}
	return nil, fail(UntrustedCertificate, "its certificate, which says %s and was issued by %.200q, leads to no certificate authority of %s", spell(o.identity), o.leaf.Issuer, r.name)
}

// outOfTime looks for the certificate, or the period of an authority, that
// would make a chain but for its time. It only explains what was refused.
func outOfTime(ca *root.FulcioCertificateAuthority, leaf *x509.Certificate, at time.Time) error {
	path, current := []*x509.Certificate{leaf}, leaf
	for range limit.Chain {
		issuers := append([]*x509.Certificate{ca.Root}, ca.Intermediates...)
		next := slices.IndexFunc(issuers, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, current.RawIssuer) && current.CheckSignatureFrom(c) == nil
		})
		if next < 0 {
			return nil
		}
		current = issuers[next]
		path = append(path, current)
		if next == 0 {
			break
		}
	}
	if current != ca.Root {
		return nil
	}
	for i, c := range path {
		if at.Before(c.NotBefore) || at.After(c.NotAfter) {
			what := "it"
			if i > 0 {
				what = fmt.Sprintf("the certificate of its authority %.200q", c.Subject)
			}
			return fmt.Errorf("%s is valid from %s to %s", what, stamp(c.NotBefore), stamp(c.NotAfter))
		}
	}
	if !ca.ValidityPeriodStart.IsZero() && at.Before(ca.ValidityPeriodStart) {
		return fmt.Errorf("its authority %s is trusted from %s on", ca.URI, stamp(ca.ValidityPeriodStart))
	}
	if !ca.ValidityPeriodEnd.IsZero() && at.After(ca.ValidityPeriodEnd) {
		return fmt.Errorf("its authority %s is trusted until %s", ca.URI, stamp(ca.ValidityPeriodEnd))
	}
	return nil
}
