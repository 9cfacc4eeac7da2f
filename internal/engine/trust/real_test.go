package trust_test

import (
	"encoding/json"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/intoto"
)

// publicGood reads a bundle that the public Sigstore witnessed, and its root.
func publicGood(t *testing.T, name string) (trust.Evidence, *trust.Root) {
	t.Helper()
	content, err := data.Bundle(t, name).MarshalJSON()
	e := evidence(t, trust.Bundle, content, err)
	rootJSON, err := json.Marshal(rootMessage(t, "public-good.json"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.ParseRoot("public good", rootJSON)
	if err != nil {
		t.Fatal(err)
	}
	return e, root
}

func rootMessage(t *testing.T, name string) json.RawMessage {
	t.Helper()
	content, err := data.TrustedRoot(t, name).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestX(t *testing.T) {
	for _, name := range []string{"sigstore.js@2.0.0-provenance.sigstore.json", "dsse.sigstore.json", "othername.sigstore.json", "dsse-2sigs.sigstore.json", "public-key-validity.sigstore.json"} {
		e, root := publicGood(t, name)
		b, err := bundle.Decode(e.Content)
		t.Log(name, err, b.Version, len(b.Certificates), len(b.Entries), len(b.Timestamps), b.KeyHint)
		if err != nil || b.Message != nil {
			continue
		}
		s, err := intoto.Decode(b.Envelope.Payload)
		t.Log(string(b.Envelope.Payload)[:min(300, len(b.Envelope.Payload))], err)
		var about []subject.Digest
		for _, one := range s.Subjects {
			for alg, v := range one.Digest {
				d, err := subject.Parse(alg + ":" + v)
				if err == nil {
					about = append(about, d)
				}
			}
		}
		c, r := trust.Verify(e, []trust.Signer{{Name: "x", Root: root, Identities: []identity.Pattern{{SubjectRegexp: ".*", IssuerRegexp: ".*"}}}}, about, verifyTime)
		t.Logf("%+v %+v", c, r)
	}
	r, err := trust.ParseRoot("x", rootMessage(t, "public-good.json"))
	t.Logf("%+v %v", r.Authorities(), err)
}
