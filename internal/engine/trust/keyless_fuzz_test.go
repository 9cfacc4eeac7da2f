package trust_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
)

var update = flag.Bool("update", false, "write testdata/minted.json anew")

// minted is what one run of the double made, kept so that all of a fuzzer's
// processes see the same keys.
type minted struct {
	Root json.RawMessage
	// Bundles are of the first log, of the second with a timestamp, of both;
	// Older an attestation and a signature. Issuer is a certificate authority's
	// certificate.
	Bundles [3]trust.Evidence
	Older   [2]trust.Evidence
	Issuer  []byte
}

func mint(t testing.TB) minted {
	t.Helper()
	w := newWorld(t)
	both := w.logged(t, true)
	both.Entries = append(both.Entries, w.V1.Add(told(both, w.keyless.Public()), signTime))
	return minted{
		Root:    w.Root(),
		Bundles: [3]trust.Evidence{encoded(t, w.logged(t, false)), encoded(t, w.logged(t, true)), encoded(t, both)},
		Older:   [2]trust.Evidence{w.older(t, trust.Envelope), w.older(t, trust.SimpleSigning)},
		Issuer:  w.CA.Chain()[0],
	}
}

func readMinted(t testing.TB) (minted, trust.Signer) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "minted.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m minted
	if err := json.Unmarshal(content, &m); err != nil {
		t.Fatal(err)
	}
	root, err := trust.ParseRoot("minted", m.Root)
	if err != nil {
		t.Fatal(err)
	}
	return m, trust.Signer{Name: "release", Identities: []identity.Pattern{patternOf(release)}, Root: root}
}

// TestMinted: what was made once still verifies; -update makes it anew.
func TestMinted(t *testing.T) {
	if *update {
		content, err := json.MarshalIndent(mint(t), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", "minted.json"), append(content, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, signer := readMinted(t)
	for _, e := range append(m.Bundles[:], m.Older[:]...) {
		if claim := accept(t, e, signer); claim.Certificate().Subject != release.Subject || len(claim.Witnesses().Logs) == 0 {
			t.Errorf("claim %+v", claim)
		}
	}
}

// FuzzKeyless: what makes a claim says the same as the bundle that was signed,
// and sigstore-go accepts it too.
func FuzzKeyless(f *testing.F) {
	m, signer := readMinted(f)
	for _, e := range m.Bundles {
		f.Add(e.Content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		e := trust.Evidence{Form: trust.Bundle, Content: content}
		claim, rejection := trust.Verify(e, []trust.Signer{signer}, []subject.Digest{image}, verifyTime)
		if rejection != nil {
			return
		}
		if claim.Certificate().Subject != release.Subject || claim.Type() != spdxType || string(claim.Predicate()) != string(spdx) || len(claim.Witnesses().Logs) == 0 || claim.Witnesses().SCTs != 1 {
			t.Fatalf("another claim: %+v", claim)
		}
		if err := sigstoreGo(t, m.Root, content); err != nil {
			t.Fatalf("sigstore-go refuses it: %v", err)
		}
	})
}

// FuzzOlderLayout: annotations beside a layer.
func FuzzOlderLayout(f *testing.F) {
	m, signer := readMinted(f)
	for _, e := range m.Older {
		f.Add(string(e.Form), e.Content, e.Signature, e.Certificate, e.Chain, e.LogEntry, e.Timestamp)
		f.Add(string(e.Form), e.Content, e.Signature, e.Certificate, "", "", e.Timestamp)
	}
	f.Fuzz(func(t *testing.T, form string, content []byte, signature, certificate, chain, entry, timestamp string) {
		e := trust.Evidence{Form: trust.Form(form), Content: content, Signature: signature, Certificate: certificate, Chain: chain, LogEntry: entry, Timestamp: timestamp}
		if e.Form == trust.Bundle {
			return
		}
		claim, rejection := trust.Verify(e, []trust.Signer{signer}, []subject.Digest{image}, verifyTime)
		if rejection == nil && (claim.Certificate().Subject != release.Subject || len(claim.Witnesses().Logs) != 1 || claim.Witnesses().SCTs != 1) {
			t.Fatalf("another claim: %+v", claim)
		}
	})
}

// FuzzCertificate: certificates with any content, in place of the one that
// signed.
func FuzzCertificate(f *testing.F) {
	m, signer := readMinted(f)
	good, err := bundle.Decode(m.Bundles[0].Content)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Certificates[0])
	f.Add(m.Issuer)
	w := newWorld(f)
	two := trusttest.Template(f, release, issueTime)
	two.EmailAddresses = []string{person.Subject}
	f.Add(w.Issue(two, w.keyless.Public()))
	f.Add(w.TSA.Leaf().Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		b := good
		b.Certificates = [][]byte{der}
		content, err := bundle.EncodeWith(b)
		if err != nil {
			return
		}
		claim, rejection := trust.Verify(trust.Evidence{Form: trust.Bundle, Content: content}, []trust.Signer{signer}, []subject.Digest{image}, verifyTime)
		if rejection == nil && string(der) != string(good.Certificates[0]) {
			t.Fatalf("another certificate makes a claim: %+v", claim)
		}
	})
}
