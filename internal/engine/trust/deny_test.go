package trust_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

// denied wants a reason and every one of some words in its detail.
func denied(t *testing.T, want trust.Reason, e trust.Evidence, signer trust.Signer, words ...string) {
	t.Helper()
	r := deny(t, want, e, signer)
	for _, word := range words {
		if !strings.Contains(r.Detail, word) {
			t.Errorf("%q is not in the detail: %s", word, r.Detail)
		}
	}
}

func TestIdentities(t *testing.T) {
	w := newWorld(t)
	e := encoded(t, w.logged(t, false))
	for name, test := range map[string]struct {
		patterns []identity.Pattern
		words    []string // of a denial; nil for a claim
	}{
		"by value":            {[]identity.Pattern{patternOf(release)}, nil},
		"by expressions":      {[]identity.Pattern{{SubjectRegexp: `https://github\.com/example/.*`, IssuerRegexp: `https://.*\.githubusercontent\.com`}}, nil},
		"any of several":      {[]identity.Pattern{patternOf(person), patternOf(release)}, nil},
		"another subject":     {[]identity.Pattern{{Subject: person.Subject, Issuer: release.Issuer}}, []string{person.Subject, release.Subject, "not verified"}},
		"another issuer":      {[]identity.Pattern{{Subject: release.Subject, Issuer: person.Issuer}}, []string{person.Issuer, release.Issuer}},
		"half an expression":  {[]identity.Pattern{{SubjectRegexp: `https://github\.com/example/app`, Issuer: release.Issuer}}, []string{"as a whole"}},
		"unanchored trick":    {[]identity.Pattern{{SubjectRegexp: `x)|(.*`, Issuer: release.Issuer}}, []string{"expression for the subject"}},
		"value and not regex": {[]identity.Pattern{{Subject: release.Subject, SubjectRegexp: "nobody", Issuer: release.Issuer}}, []string{"nobody"}},
		"without an issuer":   {[]identity.Pattern{{Subject: release.Subject}}, []string{"without an issuer"}},
		"without a subject":   {[]identity.Pattern{{Issuer: release.Issuer}}, []string{"without a subject"}},
		"extensions":          {[]identity.Pattern{{Subject: release.Subject, Issuer: release.Issuer, Extensions: map[string]string{"githubWorkflowRef": "refs/heads/main", "buildTrigger": "push"}}}, nil},
		"wrong extension":     {[]identity.Pattern{{Subject: release.Subject, Issuer: release.Issuer, Extensions: map[string]string{"githubWorkflowRef": "refs/heads/dev"}}}, []string{"githubWorkflowRef", "refs/heads/dev", "refs/heads/main"}},
		"absent extension":    {[]identity.Pattern{{Subject: release.Subject, Issuer: release.Issuer, Extensions: map[string]string{"runnerEnvironment": "github-hosted"}}}, []string{"runnerEnvironment"}},
		"unknown extension":   {[]identity.Pattern{{Subject: release.Subject, Issuer: release.Issuer, Extensions: map[string]string{"workflow": "x"}}}, []string{"is not known"}},
		"extension by regex":  {[]identity.Pattern{{Subject: release.Subject, Issuer: release.Issuer, ExtensionRegexps: map[string]string{"sourceRepositoryRef": "refs/heads/(main|release)"}}}, nil},
		"regex in part":       {[]identity.Pattern{{Subject: release.Subject, Issuer: release.Issuer, ExtensionRegexps: map[string]string{"sourceRepositoryRef": "main"}}}, []string{"as a whole"}},
		"absent by regex":     {[]identity.Pattern{{Subject: release.Subject, Issuer: release.Issuer, ExtensionRegexps: map[string]string{"runnerEnvironment": ".*"}}}, []string{"runnerEnvironment"}},
	} {
		t.Run(name, func(t *testing.T) {
			signer := w.signer
			signer.Identities = test.patterns
			if test.words == nil {
				accept(t, e, signer)
			} else {
				denied(t, trust.UnknownIdentity, e, signer, test.words...)
			}
		})
	}
	many := w.signer
	many.Identities = append(make([]identity.Pattern, limit.Identities), patternOf(release))
	denied(t, trust.UnknownIdentity, e, many, "bound of 64 identities")
	deny(t, trust.UnknownKey, e, newParty(t, "ci").signer)
	deny(t, trust.UnknownKey, newParty(t, "ci").forms(t)[trust.Bundle], w.signer)
}

// TestKeysAndIdentities: a signer may have both, and either is enough.
func TestKeysAndIdentities(t *testing.T) {
	w, p := newWorld(t), newParty(t, "ci")
	both := w.signer
	both.Keys = p.signer.Keys
	if claim := accept(t, encoded(t, w.logged(t, false)), both); claim.Certificate().IsZero() || !claim.Key().IsZero() {
		t.Errorf("certificate %+v, key %s", claim.Certificate(), claim.Key())
	}
	for _, e := range p.forms(t) {
		if claim := accept(t, e, both); !claim.Certificate().IsZero() || claim.Key() != p.id {
			t.Errorf("certificate %+v, key %s", claim.Certificate(), claim.Key())
		}
	}
	// Of two signers, the one with the right root counts.
	elsewhere := w.signer
	elsewhere.Name, elsewhere.Root = "elsewhere", rootOf(t, trusttest.New(t, signTime))
	claim, rejection := trust.Verify(encoded(t, w.logged(t, false)), []trust.Signer{elsewhere, w.signer}, []subject.Digest{image}, verifyTime)
	if rejection != nil || claim.Signer() != "release" {
		t.Errorf("signer %q, %+v", claim.Signer(), rejection)
	}
}

// TestAuthorities has a twin of the good root for each authority that it could
// lack, or not believe at the time.
func TestAuthorities(t *testing.T) {
	w := newWorld(t)
	stranger := trusttest.New(t, signTime)
	v1, v2 := encoded(t, w.logged(t, false)), encoded(t, w.logged(t, true))
	before := trusttest.Period{Start: signTime.AddDate(-1, 0, 0), End: signTime.Add(-time.Hour)}
	after := trusttest.Period{Start: signTime.Add(time.Hour), End: signTime.AddDate(1, 0, 0)}
	late := func(period trusttest.Period) func(*trusttest.Sigstore) {
		return func(s *trusttest.Sigstore) { ca := *s.CA; ca.Period = period; s.CA = &ca }
	}
	lateLog := func(period trusttest.Period, which func(*trusttest.Sigstore) **trusttest.Log) func(*trusttest.Sigstore) {
		return func(s *trusttest.Sigstore) { log := **which(s); log.Period = period; *which(s) = &log }
	}
	firstLog := func(s *trusttest.Sigstore) **trusttest.Log { return &s.V1 }
	secondLog := func(s *trusttest.Sigstore) **trusttest.Log { return &s.V2 }
	certificateLog := func(s *trusttest.Sigstore) **trusttest.Log { return &s.CertificateLog }
	for name, test := range map[string]struct {
		change func(*trusttest.Sigstore)
		e      trust.Evidence
		want   trust.Reason
		words  []string
	}{
		"another CA":             {func(s *trusttest.Sigstore) { s.CA = stranger.CA }, v1, trust.UntrustedCertificate, []string{"test root", release.Subject}},
		"no CA":                  {func(s *trusttest.Sigstore) { s.CA = nil }, v1, trust.UntrustedCertificate, nil},
		"CA no longer trusted":   {late(before), v1, trust.CertificateOutOfTime, []string{"trusted until"}},
		"CA not yet trusted":     {late(after), v1, trust.CertificateOutOfTime, []string{"trusted from"}},
		"another log":            {func(s *trusttest.Sigstore) { s.V1 = stranger.V1 }, v1, trust.NoLogEntry, []string{"does not list"}},
		"no log":                 {func(s *trusttest.Sigstore) { s.V1, s.V2 = nil, nil }, v1, trust.NoLogEntry, []string{"does not list"}},
		"log no longer trusted":  {lateLog(before, firstLog), v1, trust.BadLogEntry, []string{"not valid at payload integrated time"}},
		"log not yet trusted":    {lateLog(after, firstLog), v1, trust.BadLogEntry, []string{"not valid at payload integrated time"}},
		"another v2 log":         {func(s *trusttest.Sigstore) { s.V2 = stranger.V2 }, v2, trust.NoLogEntry, nil},
		"v2 log retired":         {lateLog(before, secondLog), v2, trust.BadLogEntry, []string{"is trusted from"}},
		"v2 log not yet":         {lateLog(after, secondLog), v2, trust.BadLogEntry, []string{"is trusted from"}},
		"another TSA":            {func(s *trusttest.Sigstore) { s.TSA = stranger.TSA }, v2, trust.NoTimestamp, []string{"does not list"}},
		"no TSA":                 {func(s *trusttest.Sigstore) { s.TSA = nil }, v2, trust.NoTimestamp, []string{"does not list"}},
		"TSA no longer trusted":  {func(s *trusttest.Sigstore) { tsa := *s.TSA; tsa.Period = before; s.TSA = &tsa }, v2, trust.BadTimestamp, []string{"validity period end"}},
		"TSA not yet trusted":    {func(s *trusttest.Sigstore) { tsa := *s.TSA; tsa.Period = after; s.TSA = &tsa }, v2, trust.BadTimestamp, []string{"validity period start"}},
		"another CT log":         {func(s *trusttest.Sigstore) { s.CertificateLog = stranger.CertificateLog }, v1, trust.BadSCT, []string{release.Subject, "test root"}},
		"no CT log":              {func(s *trusttest.Sigstore) { s.CertificateLog = nil }, v1, trust.BadSCT, nil},
		"CT log no longer valid": {lateLog(before, certificateLog), v1, trust.BadSCT, nil},
		"CT log not yet valid":   {lateLog(after, certificateLog), v1, trust.BadSCT, nil},
	} {
		t.Run(name, func(t *testing.T) {
			changed := *w.Sigstore
			test.change(&changed)
			signer := w.signer
			signer.Root = rootOf(t, &changed)
			denied(t, test.want, test.e, signer, test.words...)
		})
	}
	none := w.signer
	none.Root = nil
	denied(t, trust.UntrustedCertificate, v1, none, "no trusted root")
}

// TestRetiredLog: a log that signs no time, and is trusted no more, is no witness
// of what nobody says when it was signed.
func TestRetiredLog(t *testing.T) {
	w, p := newWorld(t), newParty(t, "ci")
	b := bundle.Bundle{Envelope: p.seal(t, dsse.InToto, statement(t, spdxType, spdx, image)), KeyHint: p.id.Hint()}
	b.Entries = []bundle.LogEntry{w.V2.Add(told(b, p.key.Public()), signTime)}
	alone := encoded(t, b)
	b.Timestamps = [][]byte{w.TSA.Stamp(b.Envelope.Signatures[0].Sig, signTime)}
	stamped := encoded(t, b)
	retired, log := *w.Sigstore, *w.V2
	log.Period = trusttest.Period{Start: signTime.AddDate(-1, 0, 0), End: signTime.Add(time.Minute)}
	retired.V2 = &log
	signer, demanding := p.signer, p.signer
	signer.Root = rootOf(t, &retired)
	demanding.Root, demanding.Demand.Log = signer.Root, true
	current := demanding
	current.Root = w.signer.Root

	if logs := accept(t, alone, signer).Witnesses().Logs; len(logs) != 0 {
		t.Errorf("witnessed by %+v", logs)
	}
	denied(t, trust.NoLogEntry, alone, demanding)
	for name, claim := range map[string]trust.Claim{"stamped in its time": accept(t, stamped, demanding), "trusted now": accept(t, alone, current)} {
		if len(claim.Witnesses().Logs) != 1 {
			t.Errorf("%s: %+v", name, claim.Witnesses())
		}
	}
}

// TestWitnesses has bundles that are signed as they should be, and witnessed
// in one wrong way each.
func TestWitnesses(t *testing.T) {
	w := newWorld(t)
	stranger := trusttest.New(t, signTime)
	payload := statement(t, spdxType, spdx, image)
	for name, test := range map[string]struct {
		make  func(b *bundle.Bundle, s trusttest.Signed)
		want  trust.Reason
		words []string
	}{
		"log v1": {func(b *bundle.Bundle, s trusttest.Signed) { b.Entries = []bundle.LogEntry{w.V1.Add(s, signTime)} }, "", nil},
		"logged as intoto": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V1.AddIntoto(s, signTime)}
		}, "", nil},
		"logged by digest": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V1.AddHashed(s, signTime)}
		}, "", nil},
		"logged as intoto in a tree of a plain name": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V2.AddIntoto(s, signTime)}
			b.Timestamps = [][]byte{w.TSA.Stamp(s.Signature, signTime)}
		}, "", nil},
		"the same without a stamp": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V2.AddIntoto(s, signTime)}
		}, trust.NoTimestamp, nil},
		"the same with a time": {func(b *bundle.Bundle, s trusttest.Signed) {
			entry := w.V2.AddIntoto(s, signTime)
			entry.IntegratedTime = signTime.Unix()
			b.Entries = []bundle.LogEntry{entry}
		}, trust.BadLogEntry, []string{"signs no time and no promise"}},
		"the same of another signature": {func(b *bundle.Bundle, s trusttest.Signed) {
			s.Signature = append([]byte(nil), s.Signature...)
			s.Signature[len(s.Signature)-1] ^= 1
			b.Entries = []bundle.LogEntry{w.V2.AddIntoto(s, signTime)}
		}, trust.OtherLogEntry, []string{"another signature"}},
		"the same of another payload": {func(b *bundle.Bundle, s trusttest.Signed) {
			other := *s.Envelope
			other.Payload = append([]byte(" "), other.Payload...)
			s.Envelope = &other
			b.Entries = []bundle.LogEntry{w.V2.AddIntoto(s, signTime)}
		}, trust.OtherLogEntry, []string{"another payload"}},
		"the same, in no tree": {func(b *bundle.Bundle, s trusttest.Signed) {
			entry := w.V2.AddIntoto(s, signTime)
			entry.Proof.Hashes[0] = append([]byte(nil), entry.Proof.Hashes[0]...)
			entry.Proof.Hashes[0][0] ^= 1
			b.Entries = []bundle.LogEntry{entry}
		}, trust.BadLogEntry, nil},
		"the same, in a tree that the log did not sign": {func(b *bundle.Bundle, s trusttest.Signed) {
			entry := w.V2.AddIntoto(s, signTime)
			forged := trusttest.NewLog(t, w.V2.URL, w.V2.Period, true)
			entry.Proof.Checkpoint = forged.Checkpoint(entry.Proof.Size, entry.Proof.Root)
			b.Entries = []bundle.LogEntry{entry}
		}, trust.BadLogEntry, nil},
		"both logs and a stamp": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V1.Add(s, signTime), w.V2.Add(s, signTime)}
			b.Timestamps = [][]byte{w.TSA.Stamp(s.Signature, signTime)}
		}, "", nil},
		"beside a strange log": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{stranger.V1.Add(s, signTime), w.V1.Add(s, signTime)}
			b.Timestamps = [][]byte{stranger.TSA.Stamp(s.Signature, signTime)}
		}, "", nil},
		"nothing": {func(*bundle.Bundle, trusttest.Signed) {}, trust.NoLogEntry, []string{"it has none"}},
		"only a stamp": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Timestamps = [][]byte{w.TSA.Stamp(s.Signature, signTime)}
		}, trust.NoLogEntry, nil},
		"only a v2 log": {func(b *bundle.Bundle, s trusttest.Signed) { b.Entries = []bundle.LogEntry{w.V2.Add(s, signTime)} }, trust.NoTimestamp, []string{"no timestamp"}},
		"v1 without a promise": {func(b *bundle.Bundle, s trusttest.Signed) {
			entry := w.V1.Add(s, signTime)
			entry.Promise = nil
			b.Entries = []bundle.LogEntry{entry}
		}, trust.NoTimestamp, []string{"no time that their log signed"}},
		"signed before the certificate": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V1.Add(s, issueTime.Add(-time.Second))}
		}, trust.CertificateOutOfTime, []string{"valid from 2026-11-20T08:00:00Z to 2026-11-20T08:10:00Z", "2026-11-20T07:59:59Z"}},
		"signed after the certificate": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V1.Add(s, issueTime.Add(trusttest.Lifetime+time.Second))}
		}, trust.CertificateOutOfTime, []string{release.Subject}},
		"stamped after the certificate": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V2.Add(s, signTime)}
			b.Timestamps = [][]byte{w.TSA.Stamp(s.Signature, issueTime.Add(time.Hour))}
		}, trust.CertificateOutOfTime, nil},
		"one of two stamps outside": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V2.Add(s, signTime)}
			b.Timestamps = [][]byte{w.TSA.Stamp(s.Signature, signTime), w.TSA.Stamp(s.Signature, issueTime.Add(time.Hour))}
		}, trust.CertificateOutOfTime, nil},
		"unsigned time outside": {func(b *bundle.Bundle, s trusttest.Signed) {
			entry := w.V1.Add(s, signTime)
			entry.Promise, entry.IntegratedTime = nil, issueTime.Add(time.Hour).Unix()
			b.Entries = []bundle.LogEntry{entry}
			b.Timestamps = [][]byte{w.TSA.Stamp(s.Signature, signTime)}
		}, trust.BadLogEntry, []string{"outside certificate validity"}},
		"promise of another log": {func(b *bundle.Bundle, s trusttest.Signed) {
			entry := w.V1.Add(s, signTime)
			entry.Promise = stranger.V1.Promise(entry)
			b.Entries = []bundle.LogEntry{entry}
		}, trust.BadLogEntry, []string{"unable to verify SET"}},
		"proof of another log": {func(b *bundle.Bundle, s trusttest.Signed) {
			entry := w.V1.Add(s, signTime)
			entry.Proof.Checkpoint = stranger.V1.Checkpoint(entry.Proof.Size, entry.Proof.Root)
			b.Entries = []bundle.LogEntry{entry}
		}, trust.BadLogEntry, []string{"checkpoint"}},
		"v2 proof of another log": {func(b *bundle.Bundle, s trusttest.Signed) {
			entry := w.V2.Add(s, signTime)
			entry.Proof.Checkpoint = stranger.V2.Checkpoint(entry.Proof.Size, entry.Proof.Root)
			b.Entries = []bundle.LogEntry{entry}
		}, trust.BadLogEntry, []string{"checkpoint"}},
		"v2 entry with a time": {func(b *bundle.Bundle, s trusttest.Signed) {
			entry := w.V2.Add(s, signTime)
			entry.IntegratedTime = signTime.Unix()
			b.Entries = []bundle.LogEntry{entry}
		}, trust.BadLogEntry, []string{"no time"}},
		"a kind that nobody reads": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V1.AddBody([]byte(`{"apiVersion":"0.0.1","kind":"alpine","spec":{}}`), signTime)}
		}, trust.BadLogEntry, []string{"alpine"}},
		"stamp of another signature": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V1.Add(s, signTime)}
			b.Timestamps = [][]byte{w.TSA.Stamp([]byte("another"), signTime)}
		}, trust.BadTimestamp, []string{"hashed messages don't match"}},
		"stamp that is none": {func(b *bundle.Bundle, s trusttest.Signed) {
			b.Entries = []bundle.LogEntry{w.V1.Add(s, signTime)}
			b.Timestamps = [][]byte{[]byte("junk")}
		}, trust.BadTimestamp, []string{"is no RFC 3161 timestamp"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := certified(t, w.keyless, payload)
			test.make(&b, told(b, w.keyless.Public()))
			if test.want == "" {
				e := encoded(t, b)
				accept(t, e, w.signer)
				if err := sigstoreGo(t, w.Root(), e.Content); (err != nil) != (name == "logged by digest" || name == "logged as intoto in a tree of a plain name") {
					t.Errorf("sigstore-go: %v", err)
				}
			} else {
				denied(t, test.want, encoded(t, b), w.signer, test.words...)
			}
		})
	}
}

// TestCertificates has certificates that say or are what they must not.
func TestCertificates(t *testing.T) {
	w := newWorld(t)
	payload := statement(t, spdxType, spdx, image)
	logged := func(k *trusttest.Keyless) trust.Evidence {
		b := certified(t, k, payload)
		b.Entries = []bundle.LogEntry{w.V1.Add(told(b, k.Public()), signTime)}
		return encoded(t, b)
	}
	p := newParty(t, "key")
	template := trusttest.Template(t, release, issueTime)
	accept(t, logged(w.KeylessWith(p.key, template)), w.signer)

	two := *template
	two.EmailAddresses = []string{person.Subject}
	denied(t, trust.Unreadable, logged(w.KeylessWith(p.key, &two)), w.signer, "names 2 subjects")

	issuers := *template
	issuers.ExtraExtensions = append([]pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte("https://other.example.com")}}, issuers.ExtraExtensions[1:]...)
	denied(t, trust.Unreadable, logged(w.KeylessWith(p.key, &issuers)), w.signer, "names two issuers")

	authority := *template
	authority.IsCA, authority.BasicConstraintsValid = true, true
	denied(t, trust.Unreadable, logged(w.KeylessWith(p.key, &authority)), w.signer, "certificate authority's own")

	nobody := *template
	nobody.URIs = nil
	denied(t, trust.Unreadable, logged(w.KeylessWith(p.key, &nobody)), w.signer, "no Subject Alternative Name")

	server := *template
	server.ExtKeyUsage = server.ExtKeyUsage[:0]
	server.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}}
	denied(t, trust.UntrustedCertificate, logged(w.KeylessWith(p.key, &server)), w.signer, release.Subject)

	silent := *w.Sigstore
	silent.CertificateLog = nil
	denied(t, trust.NoSCT, logged(silent.KeylessWith(p.key, template)), w.signer, release.Subject)
	without := w.signer
	without.Demand.WithoutSCTUnsafe = true
	if claim := accept(t, logged(silent.KeylessWith(p.key, template)), without); claim.Witnesses().SCTs != 0 {
		t.Error("an SCT is claimed that nobody looked at")
	}

	// The certificate of one key, and the signature of another.
	b := certified(t, w.Keyless(release, issueTime), payload)
	b.Certificates = w.keyless.Certificates()[:1]
	b.Entries = []bundle.LogEntry{w.V1.Add(told(b, w.keyless.Public()), signTime)}
	denied(t, trust.BadSignature, encoded(t, b), w.signer, "its own certificate")
}

// TestWithoutLog: what needs no log may have a timestamp, and if it has none,
// everything must be valid now.
func TestWithoutLog(t *testing.T) {
	w := newWorld(t)
	lax := w.signer
	lax.Demand.WithoutLogUnsafe = true
	b := certified(t, w.keyless, statement(t, spdxType, spdx, image))
	e := encoded(t, b)
	deny(t, trust.NoLogEntry, e, w.signer)
	denied(t, trust.CertificateOutOfTime, e, lax, "nothing says when it signed")
	if _, r := trust.Verify(e, []trust.Signer{lax}, []subject.Digest{image}, signTime); r != nil {
		t.Errorf("within the certificate's time: %s", r.Detail)
	}
	b.Timestamps = [][]byte{w.TSA.Stamp(b.Envelope.Signatures[0].Sig, signTime)}
	if claim := accept(t, encoded(t, b), lax); len(claim.Witnesses().Logs) != 0 {
		t.Error("a log entry is claimed that is not there")
	}
	stamped := lax
	stamped.Demand.Timestamp = true
	deny(t, trust.NoTimestamp, e, stamped)
	// What is there must hold all the same.
	b.Entries = []bundle.LogEntry{w.V1.Add(trusttest.Signed{Certificate: b.Certificates[0], Signature: []byte("another"), Content: []byte("x"), Envelope: &dsse.Envelope{}}, signTime)}
	deny(t, trust.OtherLogEntry, encoded(t, b), lax)
}

// TestKeysWithRoot: a key's evidence may be witnessed too.
func TestKeysWithRoot(t *testing.T) {
	w, p := newWorld(t), newParty(t, "ci")
	envelope := p.seal(t, dsse.InToto, statement(t, spdxType, spdx, image))
	b := bundle.Bundle{Envelope: envelope, KeyHint: p.id.Hint()}
	said := told(b, p.key.Public())
	plain := encoded(t, b)
	b.Entries = []bundle.LogEntry{w.V1.Add(said, signTime), w.V2.Add(said, signTime)}
	b.Timestamps = [][]byte{w.TSA.Stamp(said.Signature, signTime.Add(time.Minute))}
	witnessed := encoded(t, b)

	rooted := p.signer
	rooted.Root = w.signer.Root
	demanding := rooted
	demanding.Demand = trust.Demand{Log: true, Timestamp: true}
	for _, signer := range []trust.Signer{rooted, demanding} {
		claim := accept(t, witnessed, signer)
		if diff := cmp.Diff([]int{2, 1, 0}, []int{len(claim.Witnesses().Logs), len(claim.Witnesses().Timestamps), claim.Witnesses().SCTs}); diff != "" {
			t.Error(diff)
		}
	}
	if claim := accept(t, witnessed, p.signer); len(claim.Witnesses().Logs)+len(claim.Witnesses().Timestamps) != 0 {
		t.Error("without a root, nothing is witnessed")
	}
	accept(t, plain, rooted)
	denied(t, trust.NoLogEntry, plain, demanding, "it has none")
	demanding.Demand.Log = false
	denied(t, trust.NoTimestamp, plain, demanding, "neither a timestamp")
	rootless := p.signer
	rootless.Demand.Log = true
	denied(t, trust.NoLogEntry, witnessed, rootless, "no trusted root")

	// The log entry of another's signature, and of the same by another key.
	q := newParty(t, "other")
	other := bundle.Bundle{Envelope: q.seal(t, dsse.InToto, envelope.Payload)}
	b.Timestamps, b.Entries = nil, []bundle.LogEntry{w.V1.Add(told(other, q.key.Public()), signTime)}
	denied(t, trust.OtherLogEntry, encoded(t, b), rooted, "another signature")
	accept(t, encoded(t, b), p.signer)
	said.Public = q.key.Public()
	b.Entries = []bundle.LogEntry{w.V1.Add(said, signTime)}
	denied(t, trust.OtherLogEntry, encoded(t, b), rooted, "another key")
	b.Entries = []bundle.LogEntry{w.V2.Add(said, signTime)}
	denied(t, trust.OtherLogEntry, encoded(t, b), rooted, "another key")
}

// TestKeyPeriod holds keys to their time, by trusted timestamps or the clock.
func TestKeyPeriod(t *testing.T) {
	w, p := newWorld(t), newParty(t, "ci")
	envelope := p.seal(t, dsse.InToto, statement(t, spdxType, spdx, image))
	stamped := func(at ...time.Time) trust.Evidence {
		b := bundle.Bundle{Envelope: envelope, KeyHint: p.id.Hint()}
		for _, one := range at {
			b.Timestamps = append(b.Timestamps, w.TSA.Stamp(envelope.Signatures[0].Sig, one))
		}
		return encoded(t, b)
	}
	during := func(from, to time.Time) trust.Signer {
		signer := p.signer
		signer.Root = w.signer.Root
		signer.Keys = []trust.Key{{ID: p.id, Public: p.key.Public(), NotBefore: from, NotAfter: to}}
		return signer
	}
	day := 24 * time.Hour
	retired := during(time.Time{}, signTime.Add(day))
	denied(t, trust.KeyOutOfTime, stamped(), retired, "was retired at", "no trusted timestamp")
	accept(t, stamped(signTime), retired)
	denied(t, trust.KeyOutOfTime, stamped(signTime.Add(2*day)), retired, "a trusted timestamp says 2026-11-22")
	denied(t, trust.KeyOutOfTime, stamped(signTime, signTime.Add(2*day)), retired, "a trusted timestamp says 2026-11-22")
	accept(t, stamped(), during(time.Time{}, verifyTime))
	// The retired key's time counts for nothing without a root.
	rootless := retired
	rootless.Root = nil
	deny(t, trust.KeyOutOfTime, stamped(signTime), rootless)

	later := during(signTime.Add(day), time.Time{})
	accept(t, stamped(), later)
	denied(t, trust.KeyOutOfTime, stamped(signTime), later, "signs from 2026-11-21")
	denied(t, trust.KeyOutOfTime, stamped(), during(verifyTime.Add(time.Second), time.Time{}), "signs from")
}
