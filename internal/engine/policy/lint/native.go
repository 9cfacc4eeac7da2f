package lint

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/predicate"
)

// evidencePolicy looks into an EvidencePolicy.
func (l *linter) evidencePolicy(root place) {
	spec := root.at("spec")
	match := spec.at("match")
	images, excluded := match.at("images"), match.at("excludeImages")
	for _, at := range images.list() {
		l.imagePattern(at, images.texts(), false)
	}
	for _, at := range excluded.list() {
		l.exemption(at)
	}
	if covered(images.texts(), excluded.texts()) {
		l.say("unreachable", excluded, "exclude less", "every image that is matched is excluded")
	}
	if at := match.at("objectSelector"); at.there() && len(at.keys()) > 0 {
		l.say("opt-in", at, "match by namespace: its labels are written by its owner (namespaceSelector)", "whoever makes the workload decides on its labels, and so whether the policy applies")
	}
	if at := spec.at("allowSample"); at.is(true) {
		l.say("sample-allowed", at, "leave it out, and scan with real advisories", "evidence from the built-in sample of advisories counts")
	}
	l.action(spec)
	signers := map[string]place{}
	for _, s := range spec.at("signers").list() {
		signers[s.at("name").text()] = s
		l.signer(s)
	}
	var used []string
	for _, r := range spec.at("requirements").list() {
		used = append(used, r.at("signers").texts()...)
		l.requirement(r, signers)
	}
	for _, s := range spec.at("signers").list() {
		if name := s.at("name"); name.text() != "" && len(used) > 0 && !slices.Contains(used, name.text()) {
			l.say("signer-unused", name, "name it in a requirement, or leave it out", "no requirement names the signer %q", name.text())
		}
	}
	for _, e := range spec.at("exceptions").list() {
		l.exception(spec, e)
	}
}

// action looks at what a check that does not pass leads to.
func (l *linter) action(spec place) {
	if at := spec.at("action"); at.text() == "Warn" || at.text() == "Audit" {
		l.say("never-enforced", at, "write Enforce, or leave it out, when the trial is over", "the policy admits everything, with a word or a record at most")
	}
	if at := spec.at("effectiveUntil"); l.past(at) {
		l.say("never-enforced", at, "leave it out, or name a later day", "the policy took effect until %s, and is milder now", at.text())
	}
	if at := spec.at("onFault", "evidenceUnavailable"); at.text() == "Warn" || at.text() == "Audit" {
		l.say("fault-open", at, "leave it out: the door is closed then", "a registry that does not answer admits the image; whoever can make it fail is through")
	}
}

// past says whether a time stands there and is over.
func (l *linter) past(at place) bool {
	moment, err := time.Parse(time.RFC3339, at.text())
	return err == nil && moment.Before(l.config.Now)
}

// signer looks into a signer.
func (l *linter) signer(s place) {
	keys, identities := s.at("keys").list(), s.at("identities").list()
	if len(keys)+len(identities) == 0 {
		l.say("signer-nobody", s, "name keys or identities", "the signer %q has neither keys nor identities", s.at("name").text())
	}
	if at := s.at("notAfter"); l.past(at) {
		l.say("key-expired", at, "name a later day, or another signer", "the signer is one until %s only", at.text())
	}
	for _, key := range keys {
		l.pemKeys(key.at("publicKey"))
		l.pemKeys(key.at("certificate"))
		if at := key.at("notAfter"); l.past(at) {
			l.say("key-expired", at, "name the key that is used now", "the key speaks for its signer until %s only", at.text())
		}
	}
	for _, i := range identities {
		l.identity(identity{at: i, subject: i.at("subject"), subjectRegexp: i.at("subjectRegexp"), issuer: i.at("issuer"), issuerR: i.at("issuerRegexp"),
			private: s.at("trustedRoot").there()})
		for _, name := range i.at("extensionRegexps").keys() {
			l.regexp(i.at("extensionRegexps", name), false)
		}
	}
	for _, field := range []string{"insecureIgnoreLog", "insecureIgnoreSCT"} {
		if at := s.at(field); at.is(true) {
			l.say("log-ignored", at, "leave it out", "nothing says when the short-lived certificate was used")
		}
	}
}

// requirement looks into a requirement.
func (l *linter) requirement(r place, signers map[string]place) {
	typeAt := r.at("type")
	uri, known := predicate.TypeOf(typeAt.text())
	if known {
		l.predicateType(typeAt, uri, true)
		l.want(typeAt, family(uri)...)
	}
	l.threshold(r, signers)
	aged := r.at("maxAge").there()
	if at := r.at("select", "expr"); at.text() != "" {
		aged = l.check(at, uri) || aged
	}
	seen := map[string]bool{}
	for _, c := range r.at("checks").list() {
		for _, field := range []string{"expr", "deny"} {
			at := c.at(field)
			if at.text() == "" {
				continue
			}
			if seen[field+at.text()] {
				l.say("repeated", at, "leave it out, or write what was meant", "an equal check stands above")
			}
			seen[field+at.text()] = true
			aged = l.check(at, uri) || aged
		}
	}
	if predicate.Family(uri) == predicate.TypeCosignVuln && !aged {
		l.say("age-unbounded", typeAt, "add maxAge: 168h to the requirement", "a scan of any age satisfies the requirement")
	}
}

// family are the types that count as one with a type.
func family(uri string) []string {
	if predicate.Family(uri) == predicate.TypeCosignVuln {
		return []string{predicate.TypeCosignVuln, predicate.TypeVulnsV02}
	}
	return []string{uri}
}

// threshold says where too few can sign, or one can sign for two.
func (l *linter) threshold(r place, signers map[string]place) {
	at, names := r.at("threshold"), r.at("signers")
	if n := int(at.number()); n > len(names.list()) {
		l.say("signer-nobody", at, "name more signers, or ask for fewer", "%d of %d signers are asked for, which can never be", n, len(names.list()))
	}
	if at.number() < 2 {
		return
	}
	var places []place
	var keys [][]string
	for _, name := range names.list() {
		var list []string
		for _, key := range signers[name.text()].at("keys").list() {
			quiet := &linter{document: l.document, config: l.config, lines: l.lines}
			for _, field := range []string{"publicKey", "file", "ref", "certificate"} {
				list = append(list, quiet.pemKeys(key.at(field))...)
			}
		}
		places, keys = append(places, name), append(keys, list)
	}
	l.twice(places, keys)
}

// objectWords are what a workload says of itself.
var objectWords = regexp.MustCompile(`\b(object|oldObject|pod)\.metadata\.(annotations|labels)`)

// check looks into an expression, and says whether it asks how old the evidence
// is.
func (l *linter) check(at place, uri string) (aged bool) {
	looked, ok := cel.Reads(at.text(), uri)
	if !ok {
		return strings.Contains(at.text(), "now")
	}
	if words := objectWords.FindString(at.text()); words != "" {
		l.say("opt-in", at, "ask about the namespace, or about who asks", "whoever makes the workload writes %s, and so decides what the check says", words)
	}
	if len(looked.Variables) == 0 {
		l.say("condition-always", at, "compare something that the evidence says", "the expression looks at nothing outside of itself")
	}
	for _, name := range looked.Identical {
		l.say("condition-always", at, "compare it with what is meant", "%s is compared with itself", name)
	}
	l.reads(at, family(uri), looked.Reads, "predicate.")
	for _, list := range looked.Loops {
		if slices.Contains(looked.Sized, list) || list != "components" && !strings.HasPrefix(list, "predicate.") {
			continue
		}
		l.say("loop-vacuous", at, "add size("+list+") > 0 &&", "%s without elements satisfies the check", list)
	}
	for _, pattern := range looked.Patterns {
		l.expression(at, pattern, true, false)
	}
	return slices.Contains(looked.Variables, "now")
}

// longest is how far the end of an exception may be before it is one for ever.
const longest = 366 * 24 * time.Hour

// exception looks into an exception.
func (l *linter) exception(spec, e place) {
	at := e.at("expires")
	moment, err := time.Parse(time.RFC3339, at.text())
	switch {
	case !at.there():
		l.say("exception-unbounded", e, "add expires, such as the last day of the quarter", "the exception has no end")
	case err != nil:
	case moment.Before(l.config.Now):
		l.say("exception-expired", at, "leave the exception out, or name a later day and the reason", "the exception ended on %s", moment.UTC().Format("2006-01-02"))
	case moment.Sub(l.config.Now) > longest:
		l.say("exception-unbounded", at, "name a day within a year, and look again then", "the exception holds until %s", moment.UTC().Format("2006-01-02"))
	}
	images := e.at("images")
	for _, pattern := range images.list() {
		l.exemption(pattern)
	}
	everything := len(e.at("digests").list()) == 0 && len(e.at("namespaces").list()) == 0 && len(e.at("requirements").list()) == 0
	if everything && (len(images.list()) == 0 || covered(spec.at("match", "images").texts(), images.texts())) {
		l.say("unreachable", e, "name the images or the requirements that are excepted", "everything that the policy judges is excepted")
	}
}
