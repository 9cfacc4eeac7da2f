package trust_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
)

func BenchmarkVerify(b *testing.B) {
	w, p := newWorld(b), newParty(b, "ci")
	keyed := p.forms(b)
	rooted := p.signer
	rooted.Root = w.signer.Root
	witnessed := bundle.Bundle{Envelope: p.seal(b, dsse.InToto, statement(b, spdxType, spdx, image)), KeyHint: p.id.Hint()}
	witnessed.Entries = []bundle.LogEntry{w.V1.Add(told(witnessed, p.key.Public()), signTime)}
	stranger := w.signer
	stranger.Identities = []identity.Pattern{{SubjectRegexp: `https://github\.com/other/.*`, Issuer: release.Issuer}}
	for _, test := range []struct {
		name   string
		e      trust.Evidence
		signer trust.Signer
		denied bool
	}{
		{"key", keyed[trust.Bundle], p.signer, false},
		{"key older", keyed[trust.SimpleSigning], p.signer, false},
		{"key and log v1", encoded(b, witnessed), rooted, false},
		{"keyless log v1", encoded(b, w.logged(b, false)), w.signer, false},
		{"keyless log v2 and timestamp", encoded(b, w.logged(b, true)), w.signer, false},
		{"keyless older", w.older(b, trust.SimpleSigning), w.signer, false},
		{"keyless stranger", encoded(b, w.logged(b, true)), stranger, true},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, r := trust.Verify(test.e, []trust.Signer{test.signer}, []subject.Digest{image}, verifyTime); (r != nil) != test.denied {
					b.Fatalf("%+v", r)
				}
			}
		})
	}
}

// BenchmarkVerifyLarge has an SBOM of 16 MB.
func BenchmarkVerifyLarge(b *testing.B) {
	w, p := newWorld(b), newParty(b, "ci")
	var packages []string
	for i := range 100_000 {
		packages = append(packages, fmt.Sprintf(`{"SPDXID":"SPDXRef-%d","name":"package-%d","versionInfo":"1.2.3","downloadLocation":"NOASSERTION","licenseConcluded":"NOASSERTION","copyrightText":"x"}`, i, i))
	}
	predicate := json.RawMessage(strings.Replace(string(spdx), `{"spdx`, `{"packages":[`+strings.Join(packages, ",")+`],"spdx`, 1))
	payload := statement(b, spdxType, predicate, image)
	keyless := certified(b, w.keyless, payload)
	keyless.Entries = []bundle.LogEntry{w.V1.Add(told(keyless, w.keyless.Public()), signTime)}
	for _, test := range []struct {
		name   string
		e      trust.Evidence
		signer trust.Signer
	}{
		{"key", p.bundle(b, p.seal(b, dsse.InToto, payload)), p.signer},
		{"keyless", encoded(b, keyless), w.signer},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(predicate)))
			for b.Loop() {
				if _, r := trust.Verify(test.e, []trust.Signer{test.signer}, []subject.Digest{image}, verifyTime); r != nil {
					b.Fatal(r.Detail)
				}
			}
		})
	}
}
