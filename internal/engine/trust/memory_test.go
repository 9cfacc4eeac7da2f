package trust_test

import (
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// TestMemory: what is rejected for its signature is verified once, what is about
// something else for each question, and what counts every time.
func TestMemory(t *testing.T) {
	p, stranger := newParty(t, "ci"), newParty(t, "stranger")
	other := subject.Of([]byte("another image"))
	m := &trust.Memory{}
	ask := func(e trust.Evidence, signer trust.Signer, about subject.Digest) *trust.Rejection {
		t.Helper()
		_, rejection := m.Verify(e, []trust.Signer{signer}, []subject.Digest{about}, verifyTime)
		_, want := trust.Verify(e, []trust.Signer{signer}, []subject.Digest{about}, verifyTime)
		if (rejection == nil) != (want == nil) || want != nil && (rejection.Reason != want.Reason || rejection.Detail != want.Detail) {
			t.Errorf("%+v, want %+v", rejection, want)
		}
		return rejection
	}
	mine, theirs := p.forms(t)[trust.Bundle], stranger.forms(t)[trust.Bundle]
	first := ask(theirs, p.signer, image)
	if again := ask(theirs, p.signer, other); first == nil || again != first {
		t.Errorf("verified again: %+v", again)
	}
	if rejection := ask(theirs, stranger.signer, image); rejection != nil {
		t.Errorf("for another signer: %+v", rejection)
	}
	if rejection := ask(mine, p.signer, other); rejection == nil || rejection.Reason != trust.OtherSubject {
		t.Errorf("about something else: %+v", rejection)
	}
	if rejection := ask(mine, p.signer, image); rejection != nil {
		t.Errorf("after it was asked about something else: %+v", rejection)
	}
	changed := theirs
	changed.Content = append([]byte(nil), mine.Content...)
	if rejection := ask(changed, p.signer, image); rejection != nil {
		t.Errorf("with other content: %+v", rejection)
	}
}
