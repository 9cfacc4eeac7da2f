package trust

import (
	"fmt"
	"slices"
)

// Set is what a policy asks of several parties together: Required of its
// members, each a different key or certificate identity.
type Set struct {
	Required int
	Members  []Member
}

// Member is one party with the claims of it that count, any of which will do,
// or a set of parties.
type Member struct {
	Claims []Claim
	Set    *Set
}

// composing bounds how many ways Compose tries. Parties that have nothing in
// common need one way each; a policy that needs more than this is not met.
const composing = 100_000

// Compose gives one claim for each party that a set counts, or nil where too
// few of them signed. No key and no certificate identity (its subject and its
// issuer, as in Distinct) counts for two parties, in whichever sets within the
// set they stand and whatever they are called there. A set that requires nobody
// is never met.
func Compose(set Set) []Claim {
	c := &composition{ways: composing}
	if !c.set(set, 0, set.Required, func() bool { return true }) {
		return nil
	}
	return c.counted
}

// composition is a search for parties, one after another.
type composition struct {
	counted []Claim
	ways    int
}

// set finds needed of the members from a position on, and then what comes next.
func (c *composition) set(set Set, from, needed int, next func() bool) bool {
	switch {
	case set.Required <= 0:
		return false
	case needed == 0:
		return next()
	case len(set.Members)-from < needed:
		return false
	}
	found := c.member(set.Members[from], func() bool { return c.set(set, from+1, needed-1, next) })
	return found || c.set(set, from+1, needed, next)
}

func (c *composition) member(m Member, next func() bool) bool {
	if c.ways--; c.ways < 0 {
		return false
	}
	if m.Set != nil {
		return c.set(*m.Set, 0, m.Set.Required, next)
	}
	var tried []string
	for _, claim := range m.Claims {
		who := claim.party()
		same := func(other Claim) bool { return other.party() == who }
		if who == "" || slices.Contains(tried, who) || slices.ContainsFunc(c.counted, same) {
			continue
		}
		tried = append(tried, who)
		c.counted = append(c.counted, claim)
		if next() {
			return true
		}
		c.counted = c.counted[:len(c.counted)-1]
	}
	return false
}

// party is the key or the certificate identity that signed; "" for a claim
// that nobody did.
func (c Claim) party() string {
	switch {
	case !c.key.IsZero():
		return c.key.String()
	case !c.certificate.IsZero():
		return fmt.Sprintf("%q of %q", c.certificate.Subject, c.certificate.Issuer)
	}
	return ""
}
