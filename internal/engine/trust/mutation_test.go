package trust_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
)

// TestFlipEveryByte changes every stored byte in several ways. Whatever
// still gives a claim must say the very same thing.
func TestFlipEveryByte(t *testing.T) {
	p := newParty(t, "ci")
	for form, e := range p.forms(t) {
		reasons := map[trust.Reason]int{}
		check := func(changed trust.Evidence, at int) {
			claim, rejection := trust.Verify(changed, []trust.Signer{p.signer}, []subject.Digest{image}, verifyTime)
			if rejection != nil {
				reasons[rejection.Reason]++
				return
			}
			reasons["claim"]++
			if same(t, claim, p); t.Failed() {
				t.Fatalf("%s: byte %d: %s", form, at, changed.Content)
			}
			if form == trust.SimpleSigning {
				t.Fatalf("%s: byte %d changed, and it verifies: %s", form, at, changed.Content)
			}
			unchanged(t, e, changed)
		}
		for at := range e.Content {
			for _, mask := range []byte{0x01, 0x20, 0x80} {
				changed := e
				changed.Content = slices.Clone(e.Content)
				changed.Content[at] ^= mask
				check(changed, at)
			}
			cut := e
			cut.Content = e.Content[:at]
			check(cut, at)
		}
		for at := range e.Signature {
			changed := e
			signature := []byte(e.Signature)
			signature[at] ^= 0x01
			changed.Signature = string(signature)
			check(changed, at)
		}
		for _, want := range map[trust.Form][]trust.Reason{
			trust.Bundle:        {trust.Unreadable, trust.UnknownKey, trust.BadSignature},
			trust.Envelope:      {trust.Unreadable, trust.BadSignature},
			trust.SimpleSigning: {trust.Unreadable, trust.BadSignature},
		}[form] {
			if reasons[want] == 0 {
				t.Errorf("%s: no change was refused as %q: %v", form, want, reasons)
			}
		}
	}
}

// unchanged wants the envelopes in two pieces of evidence to say the same.
func unchanged(t *testing.T, a, b trust.Evidence) {
	t.Helper()
	read := func(e trust.Evidence) dsse.Envelope {
		if e.Form == trust.Bundle {
			decoded, err := bundle.Decode(e.Content)
			if err != nil {
				t.Fatal(err)
			}
			return decoded.Envelope
		}
		envelope, err := dsse.Decode(e.Content)
		if err != nil {
			t.Fatal(err)
		}
		return envelope
	}
	one, two := read(a), read(b)
	if one.PayloadType != two.PayloadType || !bytes.Equal(one.Payload, two.Payload) || !bytes.Equal(one.Signatures[0].Sig, two.Signatures[0].Sig) {
		t.Fatalf("verifies although it was changed: %s", b.Content)
	}
}

// TestFlipEveryField changes what the fields mean, byte by byte, and wants
// the right reason each time.
func TestFlipEveryField(t *testing.T) {
	p := newParty(t, "ci")
	payload := statement(t, spdxType, spdx, image)
	envelope := p.seal(t, dsse.InToto, payload)
	flip := func(content []byte, at int) []byte {
		content = slices.Clone(content)
		content[at] ^= 0x01
		return content
	}
	both := func(changed dsse.Envelope, want trust.Reason) {
		t.Helper()
		deny(t, want, p.bundle(t, changed), p.signer)
		deny(t, want, bare(t, changed), p.signer)
	}
	for at := range payload {
		changed := envelope
		changed.Payload = flip(payload, at)
		both(changed, trust.BadSignature)
	}
	for at := range envelope.Signatures[0].Sig {
		changed := envelope
		changed.Signatures = []dsse.Signature{{Sig: flip(envelope.Signatures[0].Sig, at)}}
		both(changed, trust.BadSignature)
	}
	for at := range dsse.InToto {
		changed := envelope
		changed.PayloadType = string(flip([]byte(dsse.InToto), at))
		both(changed, trust.BadSignature)
	}

	// The key hint: another key, and no key at all.
	good := p.bundle(t, envelope)
	hint := p.id.Hint()
	for at := range hint {
		changed := good
		next := map[bool]string{true: "A", false: "B"}[hint[at] != 'A']
		changed.Content = bytes.Replace(good.Content, []byte(hint), []byte(hint[:at]+next+hint[at+1:]), 1)
		deny(t, trust.UnknownKey, changed, p.signer)
	}
	for at := range bundle.MediaType {
		changed := good
		changed.Content = bytes.Replace(good.Content, []byte(bundle.MediaType), flip([]byte(bundle.MediaType), at), 1)
		deny(t, trust.Unreadable, changed, p.signer)
	}
	// A key id that contradicts the hint; in a bare envelope it is a hint
	// that nobody needs.
	named := envelope
	named.Signatures = []dsse.Signature{{KeyID: "another", Sig: envelope.Signatures[0].Sig}}
	accept(t, bare(t, named), p.signer)
	contradicting := good
	contradicting.Content = bytes.Replace(good.Content, []byte(`{"sig"`), []byte(`{"keyid":"another","sig"`), 1)
	deny(t, trust.Unreadable, contradicting, p.signer)

	// Simple signing: payload, digest in it, signature.
	simple := simplesigning.Encode("registry.example.com/app", image, nil)
	signed := p.simple(t, simple)
	for at := range simple {
		changed := signed
		changed.Content = flip(simple, at)
		deny(t, trust.BadSignature, changed, p.signer)
	}
	raw, err := base64.StdEncoding.DecodeString(signed.Signature)
	if err != nil {
		t.Fatal(err)
	}
	for at := range raw {
		changed := signed
		changed.Signature = base64.StdEncoding.EncodeToString(flip(raw, at))
		deny(t, trust.BadSignature, changed, p.signer)
	}
}

// TestEditedAndSignedAgain: whoever edits evidence and signs it with another
// key is told apart from one who edits it and does not.
func TestEditedAndSignedAgain(t *testing.T) {
	p, thief := newParty(t, "ci"), newParty(t, "thief")
	edited := bytes.Replace(statement(t, spdxType, spdx, other), []byte(other.Hex()), []byte(image.Hex()), 1)
	for _, test := range []struct {
		e    trust.Evidence
		want trust.Reason
	}{
		{thief.bundle(t, thief.seal(t, dsse.InToto, edited)), trust.UnknownKey},
		{p.bundle(t, thief.seal(t, dsse.InToto, edited)), trust.BadSignature},
		{bare(t, thief.seal(t, dsse.InToto, edited)), trust.BadSignature},
		{thief.simple(t, simplesigning.Encode("r", image, nil)), trust.BadSignature},
		{p.bundle(t, p.seal(t, dsse.InToto, statement(t, spdxType, spdx, other))), trust.OtherSubject},
	} {
		r := deny(t, test.want, test.e, p.signer)
		if !strings.HasPrefix(r.Evidence.Rejected, fmt.Sprintf("%s: ", test.want)) {
			t.Errorf("rejected as %q", r.Evidence.Rejected)
		}
	}
}
