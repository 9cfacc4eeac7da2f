package lint

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/cosignkey"
)

// strangers are identities that anybody can have, at the providers that the
// public authority knows.
var strangers = []string{
	"https://github.com/stranger/anything/.github/workflows/any.yml@refs/heads/any",
	"https://gitlab.com/stranger/anything//.gitlab-ci.yml@refs/heads/any",
	"stranger@gmail.com", "https://buildkite.com/stranger/anything",
}

const (
	actionsIssuer = "https://token.actions.githubusercontent.com"
	gitlabIssuer  = "https://gitlab.com"
)

// publicIssuers are providers that the public Fulcio takes tokens of; a star
// stands for what a customer chooses.
var publicIssuers = []string{
	actionsIssuer, actionsIssuer + "/*", gitlabIssuer, "https://accounts.google.com", "https://github.com/login/oauth", "https://login.microsoftonline.com",
	"https://oauth2.sigstore.dev/auth", "https://agent.buildkite.com", "https://oidc.circleci.com/*", "https://oidc.codefresh.io", "https://ops.gitlab.net", "https://dev.gitlab.org",
	"https://issuer.enforce.dev", "https://allow.pub", "https://auth.eclipse.org/auth/realms/sigstore", "https://oidc.eks.*.amazonaws.com/id/*",
	"https://container.googleapis.com/v1/projects/*/locations/*/clusters/*", "https://*.oic.prod-aks.azure.com/*",
}

// identity is what certificates must say, however a policy spells it.
type identity struct {
	at                                      place
	subject, subjectRegexp, issuer, issuerR place
	// wildcards says that the plain fields are patterns with * and ?; unanchored
	// that the expressions may match a part.
	wildcards, unanchored bool
	// private says that the policy names an authority of its own.
	private bool
}

// identity looks for identities that nobody, anybody or strangers have.
func (l *linter) identity(i identity) {
	l.regexp(i.subjectRegexp, i.unanchored)
	l.regexp(i.issuerR, i.unanchored)
	subjects, issuers := !blank(i.subject) || !blank(i.subjectRegexp), !blank(i.issuer) || !blank(i.issuerR)
	open := func(p place) bool { return i.wildcards && strings.Trim(p.text(), "*") == "" && p.text() != "" }
	switch {
	case !subjects && !issuers:
		l.say("signer-anybody", i.at, "name subject and issuer", "no subject and no issuer is asked for: every certificate of the authority counts")
	case !subjects || open(i.subject):
		l.say("signer-anybody", i.at, "name the subject: the workflow or the person that signs", "no subject is asked for: everybody who can log in at %s counts", i.issuer.text()+i.issuerR.text())
	case !issuers || open(i.issuer):
		l.say("signer-anybody", i.at, "name the issuer", "no issuer is asked for: another provider can vouch for the same subject")
	default:
		l.wide(i)
		l.contradiction(i)
	}
	if text := i.issuer.text(); !i.private && text != "" && !strings.ContainsAny(text, "*?") && !publicIssuer(text) && strings.HasPrefix(text, "https://") {
		l.say("public-good", i.issuer, "name the authority that knows the issuer: roots in Kyverno, trustedRoot in an EvidencePolicy",
			"the public authority is asked, and takes no tokens of %s as far as is known", text)
	}
}

func blank(p place) bool { return strings.TrimSpace(p.text()) == "" }

func publicIssuer(issuer string) bool {
	return slices.ContainsFunc(publicIssuers, func(pattern string) bool { return glob(pattern, issuer) })
}

// wide says where a stranger has the identity.
func (l *linter) wide(i identity) {
	for _, stranger := range strangers {
		switch {
		case i.wildcards && !blank(i.subject) && glob(i.subject.text(), stranger):
			l.say("signer-wide", i.subject, "name the organisation, and better the repository and the workflow", "%s also matches %s", i.subject.text(), stranger)
			return
		case matchesWhole(i.subjectRegexp.text(), stranger, i.unanchored):
			if everything(i.subjectRegexp.text(), i.unanchored) {
				return // said already
			}
			l.say("signer-wide", i.subjectRegexp, "name the organisation, and better the repository and the workflow", "%s also matches %s", i.subjectRegexp.text(), stranger)
			return
		}
	}
}

// contradiction says where subject and issuer cannot stand in one certificate.
func (l *linter) contradiction(i identity) {
	subject, issuer := i.subject.text(), i.issuer.text()
	nobody := func(at place, fix, format string, arguments ...any) {
		l.say("signer-nobody", at, fix, format, arguments...)
	}
	parsed, err := url.Parse(issuer)
	switch {
	case issuer == "" || strings.ContainsAny(issuer, "*?"):
	case err != nil || parsed.Scheme == "" || parsed.Host == "":
		f := "write https://" + issuer
		nobody(i.issuer, f, "the issuer is no URL, and certificates have one")
		return
	case strings.HasSuffix(issuer, "/") && publicIssuer(strings.TrimRight(issuer, "/")):
		f := l.say("signer-nobody", i.issuer, "leave out the slash at the end", "certificates have %s, without a slash at the end", strings.TrimRight(issuer, "/"))
		l.edit(f, i.issuer, issuer, strings.TrimRight(issuer, "/"))
		return
	}
	switch {
	case subject == "" || issuer == "":
	case strings.HasPrefix(subject, "https://github.com/") && !glob(issuer, actionsIssuer) && !strings.HasPrefix(issuer, actionsIssuer) && publicIssuer(issuer):
		nobody(i.issuer, "write "+actionsIssuer, "workflows of GitHub are vouched for by %s and not by %s", actionsIssuer, issuer)
	case strings.HasPrefix(subject, "https://gitlab.com/") && !glob(issuer, gitlabIssuer) && publicIssuer(issuer):
		nobody(i.issuer, "write "+gitlabIssuer, "pipelines of gitlab.com are vouched for by %s and not by %s", gitlabIssuer, issuer)
	case strings.Contains(subject, "@") && !strings.Contains(subject, "://") && !strings.ContainsAny(subject, "*?") && (strings.HasPrefix(issuer, actionsIssuer) || issuer == gitlabIssuer):
		nobody(i.subject, "write the URI of the workflow, or the provider that the person logs in with", "%s vouches for workflows, which have no email address", issuer)
	}
	if strings.HasPrefix(issuer, actionsIssuer) && strings.HasPrefix(subject, "https://github.com/") && !strings.ContainsAny(subject, "*?") && !strings.Contains(subject, "@") {
		nobody(i.subject, "add @ and the reference, such as @refs/heads/main", "the subject of a workflow ends with @ and the branch or tag that it ran for, and this one does not")
	}
}

// pemKeys looks for keys and certificates that are over, and gives a name for
// each that is the same for the same key.
func (l *linter) pemKeys(at place) []string {
	text := at.text()
	if !strings.Contains(text, "-----BEGIN") {
		if text == "" || strings.Contains(text, "{{") {
			return nil
		}
		return []string{text}
	}
	var names []string
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		sum := sha256.Sum256(block.Bytes)
		names = append(names, string(sum[:]))
		if block.Type == "CERTIFICATE" {
			l.certificate(at, block.Bytes)
		}
	}
	if keys, err := cosignkey.ReadPublic(bytes.TrimSpace([]byte(text))); err == nil {
		for _, key := range keys {
			if !key.NotAfter.IsZero() && key.NotAfter.Before(l.config.Now) {
				l.say("key-expired", at, "name the key that is used now", "the key speaks for its signer until %s only", key.NotAfter.UTC().Format("2006-01-02"))
			}
		}
	}
	return names
}

func (l *linter) certificate(at place, der []byte) {
	certificate, err := x509.ParseCertificate(der)
	if err == nil && certificate.NotAfter.Before(l.config.Now) {
		l.say("key-expired", at, "name the certificate that is used now", "the certificate of %s is over since %s", certificate.Subject, certificate.NotAfter.UTC().Format("2006-01-02"))
	}
}

// twice says which of the keys of a set stands there again.
func (l *linter) twice(at []place, names [][]string) {
	seen := map[string]bool{}
	for i, list := range names {
		for _, name := range list {
			if seen[name] {
				l.say("key-twice", at[i], "name another key, or leave this one out", "the same key already stands in this set, and one party could be counted twice")
			}
			seen[name] = true
		}
	}
}

// matchesWhole says whether an expression matches a text, or a part of it.
func matchesWhole(expression, text string, part bool) bool {
	if expression == "" {
		return false
	}
	if !part {
		expression = `\A(?:` + expression + `)\z`
	}
	compiled, err := regexp.Compile(expression)
	return err == nil && compiled.MatchString(text)
}

// everything says whether an expression matches all texts that are not empty.
func everything(expression string, part bool) bool {
	for _, text := range []string{"x", "https://example.com/a/b@c?d", "\x00 \U0001F600"} {
		if !matchesWhole(expression, text, part) {
			return false
		}
	}
	return true
}
