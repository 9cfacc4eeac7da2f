package attest_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

var robot = identity.Certificate{Subject: "robot@example.com", Issuer: "https://issuer.test"}

func rootOf(t *testing.T, s *trusttest.Sigstore) *trust.Root {
	t.Helper()
	root, err := trust.ParseRoot("the test's root", s.Root())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func keyless(t *testing.T, s *trusttest.Sigstore, store *memory) attest.Config {
	t.Helper()
	return attest.Config{
		Signer: s.Keyless(robot, now), Store: store, Now: func() time.Time { return now.Add(time.Second) },
		Notary: trusttest.Notary{Sigstore: s, At: now, Stamped: true}, Root: rootOf(t, s),
		Who: identity.Pattern{Subject: robot.Subject, Issuer: robot.Issuer},
	}
}

func publish(t *testing.T, config attest.Config, orders []attest.Order) []attest.Stored {
	t.Helper()
	a, err := attest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := a.Publish(t.Context(), orders)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// counting counts what logs are shown.
type counting struct {
	signing.Notary
	calls *atomic.Int32
}

func (c counting) Witness(ctx context.Context, content []byte, public crypto.PublicKey) ([]byte, error) {
	c.calls.Add(1)
	return c.Notary.Witness(ctx, content, public)
}

// TestKeyless: certificates, entries and timestamps are where each layout has
// them, and a door that asks for all of them accepts every piece.
func TestKeyless(t *testing.T) {
	s, store := trusttest.New(t, now), &memory{}
	config := keyless(t, s, store)
	var calls atomic.Int32
	// The double's log is for one at a time.
	config.Notary = counting{locked{config.Notary, make(chan struct{}, 1)}, &calls}
	publish(t, config, orders())
	if diff := cmp.Diff(wholeRun, store.order()); diff != "" {
		t.Error(diff)
	}
	by := trust.Signer{Name: "robot", Root: config.Root, Demand: trust.Demand{Log: true, Timestamp: true},
		Identities: []identity.Pattern{{Subject: robot.Subject, Issuer: robot.Issuer}}}
	for _, k := range store.kept {
		claim, rejection := trust.Verify(k.Evidence, []trust.Signer{by}, []subject.Digest{k.Image.Digest}, now.Add(time.Hour))
		if rejection != nil {
			t.Errorf("%s: %s: %s", k.Evidence.Form, rejection.Reason, rejection.Detail)
			continue
		}
		if w := claim.Witnesses(); claim.Certificate().Subject != robot.Subject || len(w.Logs) != 1 || len(w.Timestamps) != 1 || w.SCTs != 1 {
			t.Errorf("%s: %+v, %+v", k.Evidence.Form, claim.Certificate(), w)
		}
		if k.Evidence.Form == trust.Bundle {
			if b, err := bundle.Decode(k.Evidence.Content); err != nil || b.KeyHint != "" || len(b.Certificates) != 1 {
				t.Errorf("bundle with hint %q, %d certificates, %v", b.KeyHint, len(b.Certificates), err)
			}
		} else if k.Evidence.Certificate == "" || k.Evidence.Chain == "" || k.Evidence.LogEntry == "" || k.Evidence.Timestamp == "" {
			t.Errorf("%s lacks an annotation: %+v", k.Evidence.Form, k.Evidence)
		}
		// The twin: another identity, and a root that knows none of this.
		other := by
		other.Identities = []identity.Pattern{{Subject: "other@example.com", Issuer: robot.Issuer}}
		if _, rejection := trust.Verify(k.Evidence, []trust.Signer{other}, []subject.Digest{k.Image.Digest}, now); rejection == nil || rejection.Reason != trust.UnknownIdentity {
			t.Errorf("%s for another identity: %+v", k.Evidence.Form, rejection)
		}
	}
	// Of each image two attestations and a signature, in two layouts: an
	// envelope's signature serves both, a simple-signing payload has its own.
	if n := calls.Load(); n != 2*(2+2) {
		t.Errorf("logs were shown %d signatures", n)
	}
}

type locked struct {
	signing.Notary
	slot chan struct{}
}

func (l locked) Witness(ctx context.Context, content []byte, public crypto.PublicKey) ([]byte, error) {
	l.slot <- struct{}{}
	defer func() { <-l.slot }()
	return l.Notary.Witness(ctx, content, public)
}

// TestWitnessedKey: a plain key's signatures are witnessed as well.
func TestWitnessedKey(t *testing.T) {
	s, store := trusttest.New(t, now), &memory{}
	config := keyless(t, s, store)
	config.Signer, config.Who = newSigner(t), identity.Pattern{}
	publish(t, config, []attest.Order{{Image: index, Sign: true}})
	by := trust.Signer{Name: "key", Root: config.Root, Demand: trust.Demand{Log: true, Timestamp: true},
		Keys: []trust.Key{{ID: config.Signer.KeyID(), Public: config.Signer.Public()}}}
	for _, k := range store.kept {
		if _, rejection := trust.Verify(k.Evidence, []trust.Signer{by}, []subject.Digest{index.Digest}, now); rejection != nil {
			t.Errorf("%s: %s: %s", k.Evidence.Form, rejection.Reason, rejection.Detail)
		}
	}
}

// lost fails as a log that is away.
type lost struct{ err error }

func (l lost) Witness(context.Context, []byte, crypto.PublicKey) ([]byte, error) { return nil, l.err }

// TestVouchingRefuses: what a door would not accept is not stored, and says why.
func TestVouchingRefuses(t *testing.T) {
	s, stranger := trusttest.New(t, now), trusttest.New(t, now)
	away := errors.New("log is away")
	noSCT := *s
	noSCT.CertificateLog = nil
	for name, test := range map[string]struct {
		change func(*attest.Config)
		want   string
	}{
		"the log is away":        {func(c *attest.Config) { c.Notary = lost{away} }, "log is away"},
		"a stranger's log":       {func(c *attest.Config) { c.Notary = trusttest.Notary{Sigstore: stranger, At: now} }, "no gate that believes the test's root would accept"},
		"a stranger's root":      {func(c *attest.Config) { c.Root = rootOf(t, stranger) }, "no gate that believes the test's root would accept"},
		"no promise of a CT log": {func(c *attest.Config) { c.Signer = noSCT.Keyless(robot, now) }, "SCT"},
		"witnessed too late":     {func(c *attest.Config) { c.Notary = trusttest.Notary{Sigstore: s, At: now.Add(time.Hour)} }, "certificate"},
		"another identity":       {func(c *attest.Config) { c.Who.Subject = "other@example.com" }, "other@example.com"},
		"nobody knows the time": {func(c *attest.Config) {
			c.Notary = trusttest.Notary{Sigstore: s, At: now, V2: true}
			c.Layout = attest.LayoutBundle
		}, "no gate"},
		"Rekor v2, older layout": {func(c *attest.Config) {
			c.Notary = trusttest.Notary{Sigstore: s, At: now, V2: true, Stamped: true}
			c.Layout = attest.LayoutLegacy
		}, "no place for what the log answered"},
		"Rekor v2 and both":         {func(c *attest.Config) { c.Notary = trusttest.Notary{Sigstore: s, At: now, V2: true, Stamped: true} }, "use the layout bundle"},
		"a certificate, no witness": {func(c *attest.Config) { c.Notary = nil }, "no gate"},
	} {
		store := &memory{}
		config := keyless(t, s, store)
		test.change(&config)
		a, err := attest.New(config)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if stored, err := a.Sign(t.Context(), index, nil); err == nil || stored != nil || len(store.kept) != 0 || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: stored %v, got %v, want %q", name, store.order(), err, test.want)
		}
	}
	// Rekor v2 in bundles is good.
	store := &memory{}
	config := keyless(t, s, store)
	config.Notary, config.Layout = trusttest.Notary{Sigstore: s, At: now, V2: true, Stamped: true}, attest.LayoutBundle
	if stored := publish(t, config, []attest.Order{{Image: index, Sign: true}}); len(stored) != 1 {
		t.Errorf("stored %+v", stored)
	}
	for name, change := range map[string]func(*attest.Config){
		"no root": func(c *attest.Config) { c.Root = nil }, "nobody": func(c *attest.Config) { c.Who = identity.Pattern{} },
		"no listing": func(c *attest.Config) { c.Replace = true },
	} {
		config := keyless(t, s, &memory{})
		change(&config)
		if _, err := attest.New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Evidence lists what is kept.
func (m *memory) Evidence(_ context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error) {
	if m.blind != nil {
		return nil, m.blind
	}
	var list []trust.Evidence
	for _, k := range m.kept {
		if k.Image.Repository == repository && k.Image.Digest == digest {
			e := k.Evidence
			e.Digest = known(e)
			list = append(list, e)
		}
	}
	return list, nil
}

func pure(t *testing.T) signing.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := file.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// TestReplace: new evidence takes the place of the same signer's of the same
// type, in both layouts, and of nothing else. Ed25519 signs alike twice, so
// that the older layout's piece is the same one.
func TestReplace(t *testing.T) {
	s := trusttest.New(t, now)
	for name, signer := range map[string]signing.Signer{"ECDSA": newSigner(t), "Ed25519": pure(t), "keyless": nil} {
		store := &memory{}
		config := attest.Config{Signer: signer, Store: store, Now: func() time.Time { return now }}
		if signer == nil {
			config = keyless(t, s, store)
			config.Notary = locked{config.Notary, make(chan struct{}, 1)}
		}
		other := attest.Config{Signer: newSigner(t), Store: store, Now: config.Now}
		publish(t, config, orders())
		publish(t, other, orders())
		config.Replace, config.Listing = true, store
		if signer == nil { // another run has another key and the same identity
			config.Signer = s.Keyless(robot, now)
		}
		stored := publish(t, config, []attest.Order{{Image: index, Sign: true}, {Image: platform, Predicates: []attest.Predicate{{Type: spdxType, Content: []byte(`{"n":2}`)}}}})
		count := map[string]int{}
		for _, o := range append(append([]string{}, wholeRun...), wholeRun...) {
			count[o]++
		}
		got := map[string]int{}
		for _, o := range store.order() {
			got[o]++
		}
		if diff := cmp.Diff(count, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		superseded := 0
		for _, piece := range stored {
			superseded += len(piece.Supersedes)
		}
		if want := map[string]int{"ECDSA": 4, "Ed25519": 2, "keyless": 4}[name]; superseded != want {
			t.Errorf("%s: %d pieces are named as superseded, want %d: %+v", name, superseded, want, stored)
		}
	}
}

// TestReplaceFaults: what cannot be listed stops the run before anything is
// stored; what cannot be removed is said after the new pieces are stored.
func TestReplaceFaults(t *testing.T) {
	store := &memory{}
	config := attest.Config{Signer: newSigner(t), Store: store, Now: func() time.Time { return now }, Layout: attest.LayoutBundle}
	publish(t, config, []attest.Order{{Image: index, Sign: true}})
	config.Replace, config.Listing = true, store
	a, err := attest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	store.blind = errors.New("listing is cut off")
	if stored, err := a.Sign(t.Context(), index, nil); !errors.Is(err, store.blind) || stored != nil || len(store.kept) != 1 {
		t.Errorf("not listed: %v, kept %d", err, len(store.kept))
	}
	store.blind, store.sticky = nil, errors.New("DELETE is not allowed")
	stored, err := a.Sign(t.Context(), index, nil)
	if !errors.Is(err, store.sticky) || len(stored) != 1 || len(stored[0].Supersedes) != 0 || len(store.kept) != 2 || !strings.Contains(err.Error(), "the new evidence is stored, but 1 older") {
		t.Errorf("not removed: %v, stored %+v", err, stored)
	}
}
