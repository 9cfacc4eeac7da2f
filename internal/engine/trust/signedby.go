package trust

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
)

// vouched is who signed, and who else vouches for it.
type vouched struct {
	signer      string
	key         identity.Key
	certificate identity.Certificate
	witnesses   witnessed
}

// knows stops where the evidence itself says that none of the signers made it.
func (o *opened) knows(signers []Signer) *failure {
	names, hinted := make([]string, 0, len(signers)), false
	keys, identities, pinned := 0, 0, o.pinnedBy(signers)
	for _, signer := range signers {
		names = append(names, signer.Name)
		keys += len(signer.Keys)
		identities += len(signer.Identities)
		for _, key := range signer.Keys {
			hinted = hinted || o.hint != "" && key.ID.Hint() == o.hint
		}
	}
	switch {
	case keys == 0 && identities == 0:
		return fail(UnknownKey, "no signer with a key or a certificate identity was asked for")
	case o.leaf != nil && identities == 0 && !pinned:
		return fail(UnknownKey, "it is signed with a certificate, and no certificate identity was asked for, only keys of %s", strings.Join(names, ", "))
	case o.leaf == nil && keys == 0:
		return fail(UnknownKey, "it is signed with a key, and no key was asked for, only certificate identities of %s", strings.Join(names, ", "))
	case o.leaf == nil && o.hint != "" && !hinted:
		return fail(UnknownKey, "its key hint %.100q names no key of %s", o.hint, strings.Join(names, ", "))
	}
	return nil
}

// pinnedBy says that the certificate in the evidence is for a key that one of
// the signers has: then the key speaks for itself, and its certificate says
// nothing that anybody asks for.
func (o *opened) pinnedBy(signers []Signer) bool {
	if o.leaf == nil {
		return false
	}
	id, err := identity.KeyOf(o.leaf.PublicKey)
	return err == nil && slices.ContainsFunc(signers, func(s Signer) bool {
		return slices.ContainsFunc(s.Keys, func(k Key) bool { return k.ID == id })
	})
}

// signedBy finds the first signer with a key that made one of the signatures
// and for which everything holds that the signer demands.
func (o *opened) signedBy(signers []Signer, now time.Time) (vouched, *failure) {
	var names []string
	var nearest *failure
	unknown := false
	for _, signer := range signers {
		for _, key := range signer.Keys {
			for _, signature := range o.signatures {
				if err := o.message.checkWith(key, signature); err != nil {
					unknown = unknown || errors.Is(err, errContent)
					continue
				}
				witnesses, stop := o.witnessedFor(signer, key, signature, now)
				if stop != nil {
					nearest = stop
					continue
				}
				return vouched{signer: signer.Name, key: key.ID, witnesses: witnesses}, nil
			}
			names = append(names, fmt.Sprintf("%s (%s)", signer.Name, key.ID))
		}
	}
	switch {
	case nearest != nil:
		return vouched{}, nearest
	case unknown:
		return vouched{}, fail(NeedsContent, "a key of %s signs the file itself or a digest of it that was not given: verify with the file", strings.Join(names, ", "))
	}
	return vouched{}, fail(BadSignature, "no signature in it verifies with a key of %s: it was made by another key, or changed since", strings.Join(names, ", "))
}

// witnessedFor looks at what vouches for a signature of a key. Without a root
// nothing is looked at, and nothing claimed.
func (o *opened) witnessedFor(signer Signer, key Key, signature []byte, now time.Time) (w witnessed, _ *failure) {
	if signer.Root != nil && len(o.entries)+len(o.timestamps) > 0 {
		var stop *failure
		by := party{public: key.Public}
		if o.leaf != nil { // of this key: who signs with a certificate has that logged
			by = party{leaf: o.leaf}
		}
		if w, stop = signer.Root.witness(o, by, signature, now); stop != nil {
			return witnessed{}, stop
		}
	}
	if signer.Demand.Log && len(w.Logs) == 0 {
		return witnessed{}, fail(NoLogEntry, "%s demands an entry in a transparency log, and %s", signer.Name, o.unlogged(signer.Root))
	}
	if signer.Demand.Timestamp && len(w.times) == 0 {
		return witnessed{}, fail(NoTimestamp, "%s demands a trusted time, and %s", signer.Name, o.untimed(signer.Root))
	}
	if len(w.times) == 0 {
		return w, key.valid(now, false)
	}
	for _, at := range w.times {
		if stop := key.valid(at, true); stop != nil {
			return witnessed{}, stop
		}
	}
	return w, nil
}

// valid stops where a key does not speak for its signer at a time, which a
// witness gave or the door's clock.
func (k Key) valid(at time.Time, trusted bool) *failure {
	when := "and no trusted timestamp says when this was signed"
	if trusted {
		when = "and a trusted timestamp says " + stamp(at)
	}
	switch {
	case !k.NotBefore.IsZero() && at.Before(k.NotBefore):
		return fail(KeyOutOfTime, "key %s signs from %s on, %s", k.ID, stamp(k.NotBefore), when)
	case !k.NotAfter.IsZero() && at.After(k.NotAfter):
		return fail(KeyOutOfTime, "key %s was retired at %s, %s", k.ID, stamp(k.NotAfter), when)
	}
	return nil
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }
