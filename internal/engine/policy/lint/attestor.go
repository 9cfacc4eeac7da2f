package lint

import (
	"slices"
	"strings"
)

// attestors looks into a set of attestors.
func (l *linter) attestors(set place) {
	entries := set.at("entries").list()
	count := set.at("count")
	if set.at("entries").there() && len(entries) == 0 || !set.at("entries").there() && set.there() {
		l.say("signer-nobody", set, "name keys, certificates or keyless in entries", "the set has no entries")
		return
	}
	var places []place
	var names [][]string
	total := 0
	for _, entry := range entries {
		keys := l.entry(entry)
		total += max(1, len(keys))
		places, names = append(places, entry), append(names, keys)
	}
	l.twice(places, names)
	if n := int(count.number()); n > total && !slices.ContainsFunc(entries, several) {
		l.say("signer-nobody", count, "name more entries, or ask for fewer", "%d of %d are asked for, which can never be", n, total)
	}
}

// several says whether an entry names keys that are somewhere else, where there
// may be more than one.
func several(entry place) bool {
	text := entry.at("keys", "publicKeys").text()
	return entry.at("keys", "secret").there() || text != "" && !strings.Contains(text, "-----BEGIN") || entry.at("attestor").there()
}

// entry looks into one entry, and names its keys.
func (l *linter) entry(entry place) []string {
	kinds := 0
	for _, kind := range []string{"keys", "certificates", "keyless", "attestor"} {
		if entry.at(kind).there() {
			kinds++
		}
	}
	if kinds == 0 {
		l.say("signer-nobody", entry, "name one of keys, certificates, keyless and attestor", "the entry names nobody")
	}
	if nested := entry.at("attestor"); nested.there() {
		if nested.has("entries") {
			l.attestors(nested)
		} else {
			l.entry(nested)
		}
	}
	if keyless := entry.at("keyless"); keyless.there() {
		l.keyless(keyless)
	}
	if certificates := entry.at("certificates"); certificates.there() {
		l.pemKeys(certificates.at("cert"))
		l.pemKeys(certificates.at("certChain"))
		l.publicLog(certificates, false)
	}
	keys := entry.at("keys")
	if !keys.there() {
		return nil
	}
	l.publicLog(keys, false)
	var names []string
	for _, field := range []string{"publicKeys", "kms"} {
		names = append(names, l.pemKeys(keys.at(field))...)
	}
	if secret := keys.at("secret"); secret.there() {
		names = append(names, "k8s://"+secret.at("namespace").text()+"/"+secret.at("name").text())
	}
	if at := entry.at("signatureAlgorithm"); slices.Contains([]string{"sha1", "md5"}, strings.ToLower(at.text())) {
		l.say("signer-nobody", at, "write sha256", "no signature with %s counts", at.text())
	}
	return names
}

// keyless looks into an identity.
func (l *linter) keyless(keyless place) {
	private := keyless.at("roots").there()
	l.pemKeys(keyless.at("roots"))
	l.identity(identity{at: keyless, subject: keyless.at("subject"), subjectRegexp: keyless.at("subjectRegExp"), issuer: keyless.at("issuer"), issuerR: keyless.at("issuerRegExp"),
		wildcards: true, unanchored: true, private: private})
	l.publicLog(keyless, true)
	for _, at := range []place{keyless.at("rekor", "ignoreTlog"), keyless.at("ctlog", "ignoreSCT")} {
		if at.is(true) {
			l.say("log-ignored", at, "leave it out, and name your own log where there is one", "nothing says when the short-lived certificate was used")
		}
	}
}

// publicRekor is what Kyverno takes where no log is named.
const publicRekor = "https://rekor.sigstore.dev"

// publicLog says where the public log is asked beside something private.
func (l *linter) publicLog(at place, keyless bool) {
	rekor := at.at("rekor")
	url := rekor.at("url")
	public := !url.there() || strings.TrimRight(url.text(), "/") == publicRekor
	if !public || rekor.at("ignoreTlog").is(true) || rekor.at("pubkey").there() {
		if !public && keyless && !at.at("roots").there() {
			l.say("public-good", at, "name roots, the certificates of your own authority", "the log %s is private and the authority is the public one", url.text())
		}
		return
	}
	switch {
	case keyless && at.at("roots").there():
		where := at
		if url.there() {
			where = url
		}
		l.say("public-good", where, "name the log in rekor.url, or ignoreTlog where a timestamp authority vouches (ctlog.tsaCertChain)",
			"the authority is a private one, and the entry is looked for in the public log, %s", publicRekor)
	case !keyless && !rekor.there():
		l.say("public-good", at, "write rekor: {ignoreTlog: true}, or name your log in rekor.url",
			"without rekor Kyverno demands an entry in the public log, %s, for a signature by a key of your own", publicRekor)
	}
}
