package trust_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
)

func TestCompose(t *testing.T) {
	by := func(name string, p party) trust.Member {
		signer := p.signer
		signer.Name = name
		return trust.Member{Claims: []trust.Claim{accept(t, p.forms(t)[trust.SimpleSigning], signer)}}
	}
	p, q, r := newParty(t, "p"), newParty(t, "q"), newParty(t, "r")
	a, b, c := by("a", p), by("b", q), by("c", r)
	again, nobody := by("a again", p), trust.Member{}
	either := trust.Member{Claims: append(by("either", p).Claims, b.Claims...)}
	set := func(required int, members ...trust.Member) trust.Member {
		return trust.Member{Set: &trust.Set{Required: required, Members: members}}
	}
	for name, test := range map[string]struct {
		set  trust.Member
		want int
	}{
		"one":                                    {set(1, a), 1},
		"nobody is required":                     {set(0, a), 0},
		"fewer than nobody":                      {set(-1, a), 0},
		"nobody is required in a set within":     {set(1, set(0)), 0},
		"no member":                              {set(1), 0},
		"a member without a claim":               {set(1, nobody), 0},
		"two of three":                           {set(2, nobody, a, b), 2},
		"two of one":                             {set(2, a), 0},
		"one key under two names":                {set(2, a, again), 0},
		"one key under two names, and another":   {set(2, a, again, b), 2},
		"one key in a set and in one within":     {set(2, a, set(1, again)), 0},
		"the other key in the set within":        {set(2, a, set(1, again, b)), 2},
		"whoever comes first takes the other":    {set(2, either, a), 2},
		"whoever comes first, in sets within":    {set(2, set(1, either), set(1, a)), 2},
		"three keys in two sets":                 {set(2, set(2, a, b), set(1, again, c)), 3},
		"two keys where three are needed":        {set(2, set(2, a, b), set(1, again, either)), 0},
		"all of an either and both of it":        {set(3, either, a, b), 0},
		"one of two sets, the first of them not": {set(1, set(2, a, again), set(2, b, c)), 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := trust.Compose(*test.set.Set); len(got) != test.want || trust.Distinct(got) != test.want {
				t.Errorf("counted %d, want %d", len(got), test.want)
			}
		})
	}
	t.Run("too many ways", func(t *testing.T) {
		many := trust.Set{Required: 17}
		for range 40 {
			many.Members = append(many.Members, either)
		}
		if got := trust.Compose(many); got != nil {
			t.Errorf("two keys counted as %d", len(got))
		}
	})
}

// TestKeyOfCertificate: evidence that carries a certificate for a key that a
// signer has is that key's; for any other key it is not.
func TestKeyOfCertificate(t *testing.T) {
	w, other := newWorld(t), newParty(t, "other")
	payload := statement(t, spdxType, spdx, image)
	e := encoded(t, certified(t, w.keyless, payload))
	pinned := trust.Signer{Name: "pinned", Keys: []trust.Key{{ID: w.keyless.KeyID(), Public: w.keyless.Public()}}}
	if claim := accept(t, e, pinned); claim.Key() != w.keyless.KeyID() || !claim.Certificate().IsZero() {
		t.Errorf("signed by key %s and %+v", claim.Key(), claim.Certificate())
	}
	deny(t, trust.UnknownKey, e, other.signer)
	retired := pinned
	retired.Keys = []trust.Key{{ID: w.keyless.KeyID(), Public: w.keyless.Public(), NotAfter: verifyTime.Add(-time.Hour)}}
	deny(t, trust.KeyOutOfTime, e, retired)

	// The certificate of somebody's key, put beside a stranger's signature.
	envelope := other.seal(t, dsse.InToto, payload)
	forged := bundle.Bundle{Version: "0.3", Certificates: w.keyless.Certificates()[:1], Envelope: envelope}
	deny(t, trust.BadSignature, encoded(t, forged), pinned)
}

// TestDigestOfKey: a key that a policy holds to one digest algorithm verifies
// nothing that was signed by another.
func TestDigestOfKey(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := partyOf(t, "rsa", private)
	payload := simplesigning.Encode("registry.example.com/app", image, nil)
	sum := sha512.Sum512(payload)
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA512, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	long := evidence(t, trust.SimpleSigning, payload, nil)
	long.Signature = base64.StdEncoding.EncodeToString(signature)
	short := p.simple(t, payload)
	held := p.signer
	held.Keys = []trust.Key{held.Keys[0]}
	held.Keys[0].Digest = crypto.SHA512

	accept(t, long, held)
	deny(t, trust.BadSignature, short, held)
	accept(t, short, p.signer)
	deny(t, trust.BadSignature, long, p.signer)
	held.Keys[0].Digest = crypto.MD4
	deny(t, trust.BadSignature, long, held)
}

func TestAssemble(t *testing.T) {
	s, stranger := trusttest.New(t, signTime), trusttest.New(t, signTime)
	mine, theirs := rootOf(t, s), rootOf(t, stranger)
	whole := map[trust.Kind]*trust.Root{trust.CertificateAuthority: mine, trust.CertificateLog: mine, trust.TransparencyLog: mine, trust.TimestampAuthority: mine}
	assembled, err := trust.Assemble("assembled", whole)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(assembled.Authorities()), len(mine.Authorities()); got != want || assembled.Name() != "assembled" {
		t.Errorf("%d authorities, want %d", got, want)
	}
	k := s.Keyless(person, issueTime)
	b := certified(t, k, statement(t, spdxType, spdx, image))
	b.Entries = []bundle.LogEntry{s.V1.Add(told(b, k.Public()), signTime)}
	e := encoded(t, b)
	signer := trust.Signer{Name: "person", Identities: []identity.Pattern{patternOf(person)}, Root: assembled}
	accept(t, e, signer)
	for kind, want := range map[trust.Kind]trust.Reason{
		trust.CertificateAuthority: trust.UntrustedCertificate, trust.CertificateLog: trust.BadSCT, trust.TransparencyLog: trust.NoLogEntry,
	} {
		whole[kind] = theirs
		if signer.Root, err = trust.Assemble("mixed", whole); err != nil {
			t.Fatal(err)
		}
		deny(t, want, e, signer)
		delete(whole, kind)
		if signer.Root, err = trust.Assemble("without", whole); err != nil {
			t.Fatal(err)
		}
		deny(t, want, e, signer)
		whole[kind] = mine
	}
	if _, err := trust.Assemble("unknown", map[trust.Kind]*trust.Root{"astrologer": mine}); err == nil {
		t.Error("assembled authorities of a kind that is not known")
	}
}
