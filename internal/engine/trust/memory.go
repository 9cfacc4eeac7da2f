package trust

import (
	"strings"
	"time"
	"unsafe"

	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Memory verifies as Verify does, and remembers what it rejected whatever it is
// about: the evidence on an image index is judged again for each of its
// platforms, and anybody may push much of it. It is for one decision, at one
// time, by signers of which no two have the same name. It is not for use by
// several goroutines.
type Memory struct{ rejected map[remembered]*Rejection }

// remembered names evidence, as it lies in memory, and signers.
type remembered struct {
	content                                                                         *byte
	size                                                                            int
	source, form, attached, signature, certificate, chain, entry, timestamp, digest string
	signers                                                                         string
}

// Verify is the function of that name.
func (m *Memory) Verify(evidence Evidence, signers []Signer, subjects []subject.Digest, now time.Time) (Claim, *Rejection) {
	names := make([]string, len(signers))
	for i, s := range signers {
		names[i] = s.Name
	}
	key := remembered{unsafe.SliceData(evidence.Content), len(evidence.Content), evidence.Source, string(evidence.Form), evidence.Attached.String(),
		evidence.Signature, evidence.Certificate, evidence.Chain, evidence.LogEntry, evidence.Timestamp, evidence.Digest.String(), strings.Join(names, "\x00")}
	if known, done := m.rejected[key]; done {
		return Claim{}, known
	}
	claim, rejection := Verify(evidence, signers, subjects, now)
	if rejection != nil && rejection.Reason != OtherSubject {
		if m.rejected == nil {
			m.rejected = map[remembered]*Rejection{}
		}
		m.rejected[key] = rejection
	}
	return claim, rejection
}
