package trust

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/predicate"
)

// skew is how far ahead of ours a signer's clock may run: what NTP keeps far
// below, and a virtual machine that has just been woken up does not.
const skew = 5 * time.Minute

// group is within what newer evidence replaces older.
type group struct {
	family, signer, tool string
	about                subject.Digest
}

// Newest sorts claims about one subject into those that decide, those that
// newer ones replace, and those that are refused because they are dated after
// now (by more than five minutes). Per type family, signer, tool and digest
// (the first of the asked ones that a claim is about) the newest decide, all of them where several have the same time; where any of
// such a group has no time, all decide. The order of claims is kept.
//
// The same thing stored twice, as in a bundle and in cosign's older layout,
// appears once, as the first of the two with the earliest time of both: a copy
// that was timestamped again later, or whose timestamp was taken away, changes
// nothing.
func Newest(claims []Claim, now time.Time) (deciding, superseded, future []Claim) {
	latest := map[group]time.Time{}
	undated := map[group]bool{}
	var current []Claim
	for _, claim := range once(claims) {
		if claim.hasTime && claim.time.After(now.Add(skew)) {
			future = append(future, claim)
			continue
		}
		current = append(current, claim)
		g := claim.group()
		undated[g] = undated[g] || !claim.hasTime
		if newest, known := latest[g]; !known || claim.time.After(newest) {
			latest[g] = claim.time
		}
	}
	for _, claim := range current {
		if g := claim.group(); undated[g] || claim.time.Equal(latest[g]) {
			deciding = append(deciding, claim)
		} else {
			superseded = append(superseded, claim)
		}
	}
	return deciding, superseded, future
}

// once merges claims of the same content.
func once(claims []Claim) []Claim {
	first := map[string]int{}
	var merged []Claim
	for _, claim := range claims {
		content := claim.content()
		at, again := first[content]
		if !again {
			first[content] = len(merged)
			merged = append(merged, claim)
		} else if claim.hasTime {
			merged[at].dated(claim.time)
		}
	}
	return merged
}

func (c Claim) group() group {
	// What is known of one platform is not replaced by newer evidence on the
	// index, which may come from a look at another platform.
	g := group{family: predicate.Family(c.predicateType), signer: c.signer, tool: c.tool}
	if len(c.subjects) > 0 {
		g.about = c.subjects[0]
	}
	return g
}

// content spells out what is claimed and by whom; claims of the same content
// are the same claim, wherever they were stored.
func (c Claim) content() string {
	subjects := make([]string, 0, len(c.subjects))
	for _, digest := range c.subjects {
		subjects = append(subjects, digest.String())
	}
	slices.Sort(subjects)
	var annotations strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.annotations)) {
		fmt.Fprintf(&annotations, "%q=%q ", name, c.annotations[name])
	}
	return fmt.Sprintf("%q %q %q %q %q %q %q %s", c.predicateType, c.signer, c.key, c.certificate.Subject, c.certificate.Issuer,
		subjects, annotations.String(), c.predicate)
}
