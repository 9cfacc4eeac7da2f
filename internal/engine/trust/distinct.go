package trust

import "fmt"

// Distinct is how many different keys and certificate identities signed
// claims, for thresholds: none counts twice, whatever the signers that name it
// are called and however often it signed. A certificate identity is its
// subject and issuer; its extensions and its key, which every certificate has
// another of, make no other one.
func Distinct(claims []Claim) int {
	seen := map[string]bool{}
	for _, claim := range claims {
		switch {
		case !claim.key.IsZero():
			seen[claim.key.String()] = true
		case !claim.certificate.IsZero():
			seen[fmt.Sprintf("%q of %q", claim.certificate.Subject, claim.certificate.Issuer)] = true
		}
	}
	return len(seen)
}
