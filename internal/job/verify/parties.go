package verify

import (
	"maps"
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// parties is how many different signers made claims. Certificate identities
// are told apart by trust.Distinct. Of keys, each counts once, whoever names
// it, and each signer once, whichever of its keys signed: they are one party's
// over time. Where signers share keys, it is the most that can be told apart
// so, whatever the order of the claims.
func parties(claims []trust.Claim) int {
	var certified []trust.Claim
	keys := map[string][]identity.Key{} // by signer
	for _, claim := range claims {
		if claim.Key().IsZero() {
			certified = append(certified, claim)
		} else {
			keys[claim.Signer()] = append(keys[claim.Signer()], claim.Key())
		}
	}
	taken := map[identity.Key]string{} // by which signer
	count := trust.Distinct(certified)
	for _, signer := range slices.Sorted(maps.Keys(keys)) {
		if assign(signer, keys, taken, map[identity.Key]bool{}) {
			count++
		}
	}
	return count
}

// assign finds a key for a signer, moving others to another of their keys
// where that frees one; seen are the keys that were tried.
func assign(signer string, keys map[string][]identity.Key, taken map[identity.Key]string, seen map[identity.Key]bool) (found bool) {
	for _, key := range keys[signer] {
		if seen[key] {
			continue
		}
		seen[key] = true
		if other, held := taken[key]; !held || assign(other, keys, taken, seen) {
			taken[key] = signer
			return true
		}
	}
	return false
}
