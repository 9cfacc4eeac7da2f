package trust

// Distinct is how many different keys and certificate identities signed
// claims, for thresholds: none counts twice, whatever the signers that name it
// are called and however often it signed. A certificate identity is its
// subject and issuer; its extensions and its key, which every certificate has
// another of, make no other one.
func Distinct(claims []Claim) int {
	seen := map[string]bool{}
	for _, claim := range claims {
		if who := claim.party(); who != "" {
			seen[who] = true
		}
	}
	return len(seen)
}
