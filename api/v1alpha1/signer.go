package v1alpha1

// Signer is a party whose signature counts: it has Keys or Identities, or both,
// and any one of them is enough.
type Signer struct {
	// Name is what requirements call it.
	Name string `json:"name"`
	// Keys speak for the signer.
	Keys []Key `json:"keys,omitempty"`
	// Identities are what certificates must say (keyless signing).
	Identities []Identity `json:"identities,omitempty"`
	// TrustedRoot has the authorities that vouch for certificates, log entries
	// and timestamps: a file in Sigstore's JSON, relative to the policy's own
	// file, or the JSON itself. "" is the door's own where one is needed, which
	// it is for identities, RequireLog and RequireTimestamp.
	TrustedRoot string `json:"trustedRoot,omitempty"`
	// RequireLog asks for an entry in a transparency log also where a key
	// signed; certificates need one anyway. RequireTimestamp asks for a trusted
	// time.
	RequireLog       bool `json:"requireLog,omitempty"`
	RequireTimestamp bool `json:"requireTimestamp,omitempty"`
	// InsecureIgnoreLog accepts a certificate's signature that no log has,
	// InsecureIgnoreSCT a certificate that no certificate log promised to list.
	InsecureIgnoreLog bool `json:"insecureIgnoreLog,omitempty"`
	InsecureIgnoreSCT bool `json:"insecureIgnoreSCT,omitempty"`
	// NotBefore and NotAfter (RFC 3339) bound when the signer is one. Evidence
	// outside of them counts only by a trusted time inside; without one, the
	// clock of who judges decides.
	NotBefore string `json:"notBefore,omitempty"`
	NotAfter  string `json:"notAfter,omitempty"`
}

// Key is one or more public keys; exactly one of File, PublicKey, Ref and
// Certificate is set. The PEM headers Not-Before and Not-After bound one key,
// a certificate its own, NotBefore and NotAfter here all of them; where several
// say something, the narrowest counts.
type Key struct {
	// File is a file of public keys in PEM (PKIX), relative to the policy's own.
	File string `json:"file,omitempty"`
	// PublicKey is the PEM text.
	PublicKey string `json:"publicKey,omitempty"`
	// Ref is where the key is: k8s://NAMESPACE/SECRET, env://NAME, or the URI of
	// a key service (awskms://, gcpkms://, azurekms://, hashivault://). It is
	// asked once, when the policy is loaded.
	Ref string `json:"ref,omitempty"`
	// Certificate is an X.509 certificate in PEM, whose key speaks for the signer
	// while it is valid. Who issued it is not asked: the policy names it itself.
	Certificate string `json:"certificate,omitempty"`
	// NotBefore and NotAfter (RFC 3339) bound when the key speaks for its
	// signer, as those of the signer do.
	NotBefore string `json:"notBefore,omitempty"`
	NotAfter  string `json:"notAfter,omitempty"`
}

// Identity is what a certificate must say. A subject and an issuer are needed,
// each as a value or as an expression; expressions are RE2 and must match the
// whole value.
type Identity struct {
	// Subject is the subject alternative name: an email address or a URI.
	Subject string `json:"subject,omitempty"`
	// SubjectRegexp is an expression for the subject alternative name.
	SubjectRegexp string `json:"subjectRegexp,omitempty"`
	// Issuer is the URL of the OpenID provider.
	Issuer string `json:"issuer,omitempty"`
	// IssuerRegexp is an expression for the URL of the OpenID provider.
	IssuerRegexp string `json:"issuerRegexp,omitempty"`
	// Extensions are values that the certificate must have, ExtensionRegexps
	// expressions for them, by the names in Fulcio's oid-info.md in lower camel
	// case, such as sourceRepositoryURI, sourceRepositoryRef and buildTrigger.
	Extensions       map[string]string `json:"extensions,omitempty"`
	ExtensionRegexps map[string]string `json:"extensionRegexps,omitempty"`
}
