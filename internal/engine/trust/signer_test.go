package trust_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
)

// TestParseSignerWindow: the headers of a block bound its key, and no other.
func TestParseSignerWindow(t *testing.T) {
	retired, current := newParty(t, "retired"), newParty(t, "current")
	pem := func(p party, headers ...string) []byte {
		content, err := cosignkey.EncodePublic(p.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if len(headers) == 0 {
			return content
		}
		return bytes.Replace(content, []byte("KEY-----\n"), []byte("KEY-----\n"+strings.Join(headers, "\n")+"\n\n"), 1)
	}
	end := verifyTime.Add(time.Hour)
	signer, err := trust.ParseSigner("rotated", slices.Concat(pem(current), pem(retired, "Not-Before: 2020-01-01T00:00:00Z", "Not-After: "+end.Format(time.RFC3339Nano))))
	if err != nil {
		t.Fatal(err)
	}
	if k := signer.Keys[0]; !k.NotBefore.IsZero() || !k.NotAfter.IsZero() {
		t.Errorf("the current key: from %v to %v", k.NotBefore, k.NotAfter)
	}
	if k := signer.Keys[1]; k.NotBefore.Format(time.RFC3339) != "2020-01-01T00:00:00Z" || !k.NotAfter.Equal(end) {
		t.Errorf("the retired key: from %v to %v", k.NotBefore, k.NotAfter)
	}
	for _, test := range []struct {
		by   party
		now  time.Time
		want trust.Reason
	}{
		{current, end.Add(time.Hour), ""},
		{retired, end, ""},
		{retired, end.Add(time.Second), trust.KeyOutOfTime},
	} {
		for form, e := range test.by.forms(t) {
			_, rejection := trust.Verify(e, []trust.Signer{signer}, []subject.Digest{image}, test.now)
			got := trust.Reason("")
			if rejection != nil {
				got = rejection.Reason
			}
			if got != test.want {
				t.Errorf("%s at %v as %s: %q, want %q", test.by.signer.Name, test.now, form, got, test.want)
			}
		}
	}

	for name, set := range map[string][]byte{
		"the same key again":       slices.Concat(pem(current), pem(retired), pem(current)),
		"one key with two windows": slices.Concat(pem(retired, "Not-After: 2026-02-01T00:00:00Z"), pem(retired)),
	} {
		if _, err := trust.ParseSigner("twice", set); err == nil || !strings.Contains(err.Error(), "is given twice") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
