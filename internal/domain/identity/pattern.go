package identity

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
