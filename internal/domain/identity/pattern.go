package identity

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Pattern says which certificate identities speak for a signer: what a Fulcio
// certificate must have. What is empty is not asked for, except that a subject
// and an issuer must be asked for, each by a value or an expression.
//
// Expressions are RE2 and must match the whole value. The extensions are those
// of Fulcio's oid-info.md; the GitHub fields are its older spelling, as
// cosign's --certificate-github-workflow flags name them.
type Pattern struct {
	// Subject is the subject alternative name: an email address or a URI.
	Subject, SubjectRegexp string
	// Issuer is the URL of the OpenID provider.
	Issuer, IssuerRegexp string
	// Extensions are values that the certificate must have, by their names in
	// oid-info.md in lower camel case: "sourceRepositoryURI", "buildTrigger",
	// "githubWorkflowRef", ….
	Extensions map[string]string
	// ExtensionRegexps are expressions for extensions, by the same names.
	ExtensionRegexps map[string]string
}

// Certificate is the identity in a certificate that was verified.
type Certificate struct {
	// Subject is the subject alternative name, Issuer the OpenID provider.
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	// Extensions are all that the certificate has, by the names of Pattern.
	Extensions map[string]string `json:"extensions,omitempty"`
}

// IsZero says that there is no certificate.
func (c Certificate) IsZero() bool { return c.Subject == "" && c.Issuer == "" }

// extensions are the names of oid-info.md that Pattern knows, besides the
// issuer and what the subject says.
var extensions = []string{
	"githubWorkflowTrigger", "githubWorkflowSHA", "githubWorkflowName", "githubWorkflowRepository", "githubWorkflowRef",
	"buildSignerURI", "buildSignerDigest", "runnerEnvironment",
	"sourceRepositoryURI", "sourceRepositoryDigest", "sourceRepositoryRef", "sourceRepositoryIdentifier",
	"sourceRepositoryOwnerURI", "sourceRepositoryOwnerIdentifier",
	"buildConfigURI", "buildConfigDigest", "buildTrigger", "runInvocationURI", "sourceRepositoryVisibilityAtSigning",
}

// ExtensionNames are the extensions that a Pattern may ask for.
func ExtensionNames() []string { return slices.Clone(extensions) }

// Check says what is wrong with a pattern, in words for whoever wrote it: no
// subject or no issuer, an extension that is not known, an expression that is
// none or too long. A pattern that it refuses matches nothing.
func (p Pattern) Check() error {
	if p.Subject == "" && p.SubjectRegexp == "" {
		return errors.New("certificate identity without a subject: name the email address or URI that may sign, or an expression for it")
	}
	if p.Issuer == "" && p.IssuerRegexp == "" {
		return errors.New("certificate identity without an issuer: name the OpenID provider's URL, or an expression for it; another provider can vouch for the same subject")
	}
	for what, expression := range map[string]string{"subject": p.SubjectRegexp, "issuer": p.IssuerRegexp} {
		if _, err := whole(expression); err != nil {
			return fmt.Errorf("certificate identity: expression for the %s: %w", what, err)
		}
	}
	for _, values := range []map[string]string{p.Extensions, p.ExtensionRegexps} {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if !slices.Contains(extensions, name) {
				return fmt.Errorf("certificate identity: extension %.60q is not known; known are %s", name, strings.Join(extensions, ", "))
			}
			if values[name] == "" {
				return fmt.Errorf("certificate identity: extension %s without a value", name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.ExtensionRegexps)) {
		if _, err := whole(p.ExtensionRegexps[name]); err != nil {
			return fmt.Errorf("certificate identity: expression for %s: %w", name, err)
		}
	}
	return nil
}

// whole compiles an expression so that it matches whole values only; nil for
// an empty one.
func whole(expression string) (*regexp.Regexp, error) {
	if expression == "" {
		return nil, nil
	}
	if len(expression) > limit.Expression {
		return nil, &limit.Error{What: "it", Bound: limit.Expression, Unit: "bytes"}
	}
	// By itself first: "a)|(b" would only be one between our parentheses.
	if _, err := regexp.Compile(expression); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + expression + `)\z`)
}

// Differs says in which way a certificate is not what the pattern asks for,
// as "subject is "a", want "b"", or "" where it is. A pattern that Check
// refuses differs from every certificate.
func (p Pattern) Differs(c Certificate) string {
	if err := p.Check(); err != nil {
		return err.Error()
	}
	if d := differs("subject", c.Subject, p.Subject, p.SubjectRegexp); d != "" {
		return d
	}
	if d := differs("issuer", c.Issuer, p.Issuer, p.IssuerRegexp); d != "" {
		return d
	}
	for _, name := range slices.Sorted(maps.Keys(p.Extensions)) {
		if found, has := c.Extensions[name]; !has || found != p.Extensions[name] {
			return fmt.Sprintf("%s is %.200q, want %.200q", name, found, p.Extensions[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.ExtensionRegexps)) {
		found, has := c.Extensions[name]
		expression, err := whole(p.ExtensionRegexps[name])
		if err != nil || expression == nil || !has || len(found) > limit.Expression || !expression.MatchString(found) {
			return fmt.Sprintf("%s is %.200q, want one that %.200q matches as a whole", name, found, p.ExtensionRegexps[name])
		}
	}
	return ""
}

// differs holds one value to what is asked of it; both, where both are.
func differs(what, found, value, text string) string {
	if value != "" && found != value {
		return fmt.Sprintf("%s is %.200q, want %.200q", what, found, value)
	}
	expression, err := whole(text)
	if err != nil || expression != nil && (found == "" || len(found) > limit.Expression || !expression.MatchString(found)) {
		return fmt.Sprintf("%s is %.200q, want one that %.200q matches as a whole", what, found, text)
	}
	return ""
}

// String is the pattern in a few words, for people.
func (p Pattern) String() string {
	text := fmt.Sprintf("%s of %s", asked(p.Subject, p.SubjectRegexp), asked(p.Issuer, p.IssuerRegexp))
	if n := len(p.Extensions) + len(p.ExtensionRegexps); n > 0 {
		text += fmt.Sprintf(" with %d extensions", n)
	}
	return text
}

func asked(value, expression string) string {
	if value != "" {
		return fmt.Sprintf("%.200q", value)
	}
	return fmt.Sprintf("/%.200s/", expression)
}
