package trust_test

import (
	"context"
	"crypto"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

// undatedType has no field that says when it was made.
const undatedType = "https://example.com/undated/v1"

// TestClaimTime: the earliest of the trusted times and the signed field.
func TestClaimTime(t *testing.T) {
	w, p := newWorld(t), newParty(t, "ci")
	signer := p.signer
	signer.Root = w.signer.Root
	at := func(predicateType, predicate string, stamps ...time.Time) trust.Claim {
		b := bundle.Bundle{Envelope: p.seal(t, dsse.InToto, statement(t, predicateType, json.RawMessage(predicate), image)), KeyHint: p.id.Hint()}
		for _, stamp := range stamps {
			b.Timestamps = append(b.Timestamps, w.TSA.Stamp(b.Envelope.Signatures[0].Sig, stamp))
		}
		return accept(t, encoded(t, b), signer)
	}
	field := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		claim trust.Claim
		want  time.Time
	}{
		"only the field":        {at(spdxType, string(spdx)), field},
		"the field is earlier":  {at(spdxType, string(spdx), signTime), field},
		"the field is later":    {at(vulnType, string(vulnerabilities("a", "2026-11-24T00:00:00Z")), signTime), signTime},
		"only a timestamp":      {at(undatedType, "{}", signTime), signTime},
		"the earliest of three": {at(undatedType, "{}", signTime.Add(time.Hour), signTime, signTime.Add(2*time.Hour)), signTime},
	} {
		if when, dated := test.claim.Time(); !dated || !when.Equal(test.want) || when.Location() != time.UTC {
			t.Errorf("%s: %s, %v", name, when, dated)
		}
		if named := test.claim.Evidence(); !named.Time.Equal(test.want) {
			t.Errorf("%s: named with %s", name, named.Time)
		}
	}
	if when, dated := at(undatedType, "{}").Time(); dated {
		t.Errorf("undated: %s", when)
	}
}

// TestNewestOfCopies: a copy that a stranger had timestamped later, or took the
// timestamp from, is the same claim at the earliest time.
func TestNewestOfCopies(t *testing.T) {
	w, p := newWorld(t), newParty(t, "ci")
	signer := p.signer
	signer.Root = w.signer.Root
	copies := func(predicate string) func(source string, stamps ...time.Time) trust.Claim {
		b := bundle.Bundle{Envelope: p.seal(t, dsse.InToto, statement(t, undatedType, json.RawMessage(predicate), image)), KeyHint: p.id.Hint()}
		return func(source string, stamps ...time.Time) trust.Claim {
			stamped := b
			for _, stamp := range stamps {
				stamped.Timestamps = append(stamped.Timestamps, w.TSA.Stamp(b.Envelope.Signatures[0].Sig, stamp))
			}
			e := encoded(t, stamped)
			e.Source = source
			return accept(t, e, signer)
		}
	}
	old, recent := copies(`{"n":1}`), copies(`{"n":2}`)
	hour := time.Hour
	for name, test := range map[string]struct {
		claims               []trust.Claim
		deciding, superseded []string
	}{
		"newer replaces":      {[]trust.Claim{old("old", signTime), recent("recent", signTime.Add(hour))}, []string{"recent"}, []string{"old"}},
		"stamped again later": {[]trust.Claim{old("again", signTime.Add(2*hour)), recent("recent", signTime.Add(hour)), old("old", signTime)}, []string{"recent"}, []string{"again"}},
		"stamp taken away":    {[]trust.Claim{old("bare"), recent("recent", signTime.Add(hour)), old("old", signTime)}, []string{"recent"}, []string{"bare"}},
		"never stamped":       {[]trust.Claim{old("bare"), recent("recent", signTime.Add(hour))}, []string{"bare", "recent"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			deciding, superseded, future := trust.Newest(test.claims, verifyTime)
			if diff := cmp.Diff([][]string{test.deciding, test.superseded, nil}, [][]string{sources(deciding), sources(superseded), sources(future)}); diff != "" {
				t.Error(diff)
			}
		})
	}
	deciding, _, _ := trust.Newest([]trust.Claim{old("again", signTime.Add(hour)), old("old", signTime)}, verifyTime)
	if when, _ := deciding[0].Time(); len(deciding) != 1 || !when.Equal(signTime) {
		t.Errorf("%d claims, the first at %s", len(deciding), when)
	}
}

// TestDistinct counts who signed, for thresholds.
func TestDistinct(t *testing.T) {
	w, a, b := newWorld(t), newParty(t, "a"), newParty(t, "b")
	renamed := a.signer
	renamed.Name = "another name"
	keyed := func(p party, signer trust.Signer, form trust.Form) trust.Claim {
		return accept(t, p.forms(t)[form], signer)
	}
	certified := func(who identity.Certificate, k *trusttest.Keyless) trust.Claim {
		c := certified(t, k, statement(t, spdxType, spdx, image))
		c.Entries = []bundle.LogEntry{w.V1.Add(told(c, k.Public()), signTime)}
		signer := w.signer
		signer.Identities = []identity.Pattern{patternOf(who)}
		return accept(t, encoded(t, c), signer)
	}
	branch := release
	branch.Extensions = map[string]string{"githubWorkflowRef": "refs/heads/dev"}
	elsewhere := release
	elsewhere.Issuer = person.Issuer
	for name, test := range map[string]struct {
		claims []trust.Claim
		want   int
	}{
		"nobody":                 {nil, 0},
		"no claim":               {[]trust.Claim{{}}, 0},
		"two keys":               {[]trust.Claim{keyed(a, a.signer, trust.Bundle), keyed(b, b.signer, trust.Bundle)}, 2},
		"one key twice":          {[]trust.Claim{keyed(a, a.signer, trust.Bundle), keyed(a, a.signer, trust.SimpleSigning)}, 1},
		"one key, two names":     {[]trust.Claim{keyed(a, a.signer, trust.Bundle), keyed(a, renamed, trust.Bundle)}, 1},
		"a key and a person":     {[]trust.Claim{keyed(a, a.signer, trust.Bundle), certified(person, w.Keyless(person, issueTime))}, 2},
		"one person, two keys":   {[]trust.Claim{certified(person, w.Keyless(person, issueTime)), certified(person, w.Keyless(person, issueTime))}, 1},
		"two people":             {[]trust.Claim{certified(person, w.Keyless(person, issueTime)), certified(release, w.keyless)}, 2},
		"one from two branches":  {[]trust.Claim{certified(release, w.keyless), certified(release, w.Keyless(branch, issueTime))}, 1},
		"one name, two vouchers": {[]trust.Claim{certified(release, w.keyless), certified(elsewhere, w.Keyless(elsewhere, issueTime))}, 2},
	} {
		if got := trust.Distinct(test.claims); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// TestNotary: what a notary of the double witnesses is what is claimed.
func TestNotary(t *testing.T) {
	w := newWorld(t)
	signature, err := w.keyless.Sign(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	blob := message(t, signature)
	blob.Certificates = w.keyless.Certificates()
	for name, b := range map[string]bundle.Bundle{"envelope": certified(t, w.keyless, statement(t, spdxType, spdx, image)), "file": blob} {
		for _, notary := range []trusttest.Notary{{Sigstore: w.Sigstore, At: signTime}, {Sigstore: w.Sigstore, At: signTime, V2: true, Stamped: true}} {
			e := encoded(t, b)
			var public crypto.PublicKey = w.keyless.Public()
			if e.Content, err = notary.Witness(context.Background(), e.Content, public); err != nil {
				t.Fatal(err)
			}
			if name == "file" {
				acceptBlob(t, e, artifact, w.signer)
			} else {
				accept(t, e, w.signer)
			}
		}
	}
}
