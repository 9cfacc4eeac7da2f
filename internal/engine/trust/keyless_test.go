package trust_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
)

var (
	// signTime is when the tests' signatures are made, within a certificate's
	// ten minutes from issueTime on.
	issueTime = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	signTime  = issueTime.Add(3 * time.Minute)

	release = identity.Certificate{
		Subject: "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main",
		Issuer:  "https://token.actions.githubusercontent.com",
		Extensions: map[string]string{
			"githubWorkflowTrigger": "push", "githubWorkflowSHA": "0123456789abcdef0123456789abcdef01234567", "githubWorkflowName": "release",
			"githubWorkflowRepository": "example/app", "githubWorkflowRef": "refs/heads/main",
			"buildTrigger": "push", "sourceRepositoryURI": "https://github.com/example/app", "sourceRepositoryRef": "refs/heads/main",
		},
	}
	person = identity.Certificate{Subject: "dev@example.com", Issuer: "https://accounts.example.com"}
)

func patternOf(c identity.Certificate) identity.Pattern {
	return identity.Pattern{Subject: c.Subject, Issuer: c.Issuer}
}

// world is a Sigstore, a certificate in it and the signer that a policy makes
// of that.
type world struct {
	*trusttest.Sigstore
	keyless *trusttest.Keyless
	signer  trust.Signer
}

func newWorld(t testing.TB) world {
	t.Helper()
	w := world{Sigstore: trusttest.New(t, signTime)}
	w.keyless = w.Keyless(release, issueTime)
	w.signer = trust.Signer{Name: "release", Identities: []identity.Pattern{patternOf(release)}, Root: rootOf(t, w.Sigstore)}
	return w
}

func rootOf(t testing.TB, s *trusttest.Sigstore) *trust.Root {
	t.Helper()
	root, err := trust.ParseRoot("test root", s.Root())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// certified makes a bundle that a keyless signer signed and nobody witnessed.
func certified(t testing.TB, k *trusttest.Keyless, payload []byte) bundle.Bundle {
	t.Helper()
	signature, err := k.Sign(context.Background(), dsse.PAE(dsse.InToto, payload))
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Bundle{
		Version: "0.3", Certificates: k.Certificates()[:1],
		Envelope: dsse.Envelope{PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: signature}}},
	}
}

// told is what a log is told of a bundle with an envelope.
func told(b bundle.Bundle, public crypto.PublicKey) trusttest.Signed {
	s := trusttest.Signed{
		Public: public, Signature: b.Envelope.Signatures[0].Sig, Envelope: &b.Envelope,
		Content: dsse.PAE(b.Envelope.PayloadType, b.Envelope.Payload),
	}
	if len(b.Certificates) > 0 {
		s.Certificate = b.Certificates[0]
	}
	return s
}

func encoded(t testing.TB, b bundle.Bundle) trust.Evidence {
	t.Helper()
	content, err := bundle.EncodeWith(b)
	if err != nil {
		t.Fatal(err)
	}
	return evidence(t, trust.Bundle, content, nil)
}

// logged is a bundle about the image with an entry in the first log, or in the
// second with a timestamp.
func (w world) logged(t testing.TB, v2 bool) bundle.Bundle {
	t.Helper()
	b := certified(t, w.keyless, statement(t, spdxType, spdx, image))
	if v2 {
		b.Entries = []bundle.LogEntry{w.V2.Add(told(b, w.keyless.Public()), signTime)}
		b.Timestamps = [][]byte{w.TSA.Stamp(b.Envelope.Signatures[0].Sig, signTime)}
	} else {
		b.Entries = []bundle.LogEntry{w.V1.Add(told(b, w.keyless.Public()), signTime)}
	}
	return b
}

// older is the same in cosign's older layout, as an attestation or signature.
func (w world) older(t testing.TB, form trust.Form) trust.Evidence {
	t.Helper()
	if form == trust.Envelope {
		b := w.logged(t, false)
		b.Timestamps = [][]byte{w.TSA.Stamp(b.Envelope.Signatures[0].Sig, signTime)}
		return beside(bare(t, b.Envelope), bundle.Split(b, w.CA.Chain()))
	}
	payload := simplesigning.Encode("registry.example.com/app", image, nil)
	signature, err := w.keyless.Sign(context.Background(), payload)
	if err != nil {
		t.Fatal(err)
	}
	b := bundle.Bundle{Certificates: w.keyless.Certificates()[:1], Timestamps: [][]byte{w.TSA.Stamp(signature, signTime)}}
	b.Entries = []bundle.LogEntry{w.V1.Add(trusttest.Signed{Certificate: b.Certificates[0], Public: w.keyless.Public(), Signature: signature, Content: payload}, signTime)}
	e := beside(evidence(t, trust.SimpleSigning, payload, nil), bundle.Split(b, w.CA.Chain()))
	e.Signature = base64.StdEncoding.EncodeToString(signature)
	return e
}

func beside(e trust.Evidence, l bundle.Legacy) trust.Evidence {
	e.Certificate, e.Chain, e.LogEntry, e.Timestamp = l.Certificate, l.Chain, l.LogEntry, l.Timestamp
	return e
}

func TestKeyless(t *testing.T) {
	w := newWorld(t)
	logV1 := []trust.LogEntry{{Authority: "https://rekor.test", Time: signTime}}
	stamped := []trust.Timestamp{{Authority: "https://timestamp.test", Time: signTime}}
	for name, test := range map[string]struct {
		evidence trust.Evidence
		want     trust.Witnesses
	}{
		"log v1":           {encoded(t, w.logged(t, false)), trust.Witnesses{Logs: logV1, SCTs: 1}},
		"log v2 and stamp": {encoded(t, w.logged(t, true)), trust.Witnesses{Logs: []trust.LogEntry{{Authority: "https://log2026.rekor.test"}}, Timestamps: stamped, SCTs: 1}},
		"older envelope":   {w.older(t, trust.Envelope), trust.Witnesses{Logs: logV1, Timestamps: stamped, SCTs: 1}},
		"older signature":  {w.older(t, trust.SimpleSigning), trust.Witnesses{Logs: logV1, Timestamps: stamped, SCTs: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			claim := accept(t, test.evidence, w.signer)
			got := claim.Witnesses()
			if len(got.Logs) != 1 || got.Logs[0].Index == 0 {
				t.Fatalf("logs %+v", got.Logs)
			}
			got.Logs = slices.Clone(got.Logs)
			got.Logs[0].Index = 0
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(release, claim.Certificate()); diff != "" {
				t.Error(diff)
			}
			if named := claim.Evidence(); named.Identity != fmt.Sprintf("%q of %q", release.Subject, release.Issuer) || named.KeyID != "" {
				t.Errorf("named as %+v", named)
			}
			if claim.Signer() != "release" || !claim.Key().IsZero() {
				t.Errorf("signer %q, key %s", claim.Signer(), claim.Key())
			}
		})
	}
}
