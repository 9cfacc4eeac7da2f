package convert

// The fields of Kyverno's policies that have a meaning in an EvidencePolicy, or
// whose loss is said.
type (
	sourcePolicy struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   sourceMetadata `json:"metadata"`
		Spec       sourceSpec     `json:"spec"`
	}
	sourceMetadata struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Annotations map[string]string `json:"annotations"`
		Labels      map[string]string `json:"labels"`
	}
	sourceSpec struct {
		ValidationFailureAction string       `json:"validationFailureAction"`
		FailureAction           string       `json:"failureAction"`
		Background              *bool        `json:"background"`
		FailurePolicy           string       `json:"failurePolicy"`
		WebhookTimeoutSeconds   *int         `json:"webhookTimeoutSeconds"`
		WebhookConfiguration    any          `json:"webhookConfiguration"`
		Rules                   []sourceRule `json:"rules"`
	}
	sourceRule struct {
		Name         string         `json:"name"`
		Match        sourceMatch    `json:"match"`
		Exclude      any            `json:"exclude"`
		VerifyImages []sourceVerify `json:"verifyImages"`
	}
	sourceMatch struct {
		Any []sourceFilter `json:"any"`
		All []sourceFilter `json:"all"`
	}
	sourceFilter struct {
		Resources sourceResources `json:"resources"`
	}
	sourceResources struct {
		Kinds             []string          `json:"kinds"`
		Namespaces        []string          `json:"namespaces"`
		Operations        []string          `json:"operations"`
		Names             []string          `json:"names"`
		Name              string            `json:"name"`
		Annotations       map[string]string `json:"annotations"`
		Selector          any               `json:"selector"`
		NamespaceSelector any               `json:"namespaceSelector"`
	}
	sourceVerify struct {
		Type                     string              `json:"type"`
		ImageReferences          []string            `json:"imageReferences"`
		SkipImageReferences      []string            `json:"skipImageReferences"`
		FailureAction            string              `json:"failureAction"`
		Attestors                []sourceAttestors   `json:"attestors"`
		Attestations             []sourceAttestation `json:"attestations"`
		Required                 *bool               `json:"required"`
		MutateDigest             *bool               `json:"mutateDigest"`
		VerifyDigest             *bool               `json:"verifyDigest"`
		UseCache                 *bool               `json:"useCache"`
		CosignOCI11              *bool               `json:"cosignOCI11"`
		ImageRegistryCredentials any                 `json:"imageRegistryCredentials"`
	}
	sourceAttestors struct {
		Count   *int          `json:"count"`
		Entries []sourceEntry `json:"entries"`
	}
	sourceEntry struct {
		Keys         *sourceKeys        `json:"keys"`
		Keyless      *sourceKeyless     `json:"keyless"`
		Certificates *sourceCertificate `json:"certificates"`
		Attestor     *sourceAttestors   `json:"attestor"`
		Annotations  map[string]string  `json:"annotations"`
		Repository   string             `json:"repository"`
	}
	sourceKeys struct {
		PublicKeys string        `json:"publicKeys"`
		KMS        string        `json:"kms"`
		Secret     *sourceSecret `json:"secret"`
		Rekor      *sourceRekor  `json:"rekor"`
		CTLog      *sourceCTLog  `json:"ctlog"`
		Algorithm  string        `json:"signatureAlgorithm"`
	}
	sourceCertificate struct {
		Cert      string       `json:"cert"`
		CertChain string       `json:"certChain"`
		Rekor     *sourceRekor `json:"rekor"`
		CTLog     *sourceCTLog `json:"ctlog"`
	}
	sourceSecret struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	}
	sourceRekor struct {
		URL        string `json:"url"`
		PubKey     string `json:"pubkey"`
		IgnoreTlog bool   `json:"ignoreTlog"`
	}
	sourceCTLog struct {
		IgnoreSCT    bool   `json:"ignoreSCT"`
		PubKey       string `json:"pubkey"`
		TSACertChain string `json:"tsaCertChain"`
	}
	sourceKeyless struct {
		Issuer               string            `json:"issuer"`
		IssuerRegExp         string            `json:"issuerRegExp"`
		Subject              string            `json:"subject"`
		SubjectRegExp        string            `json:"subjectRegExp"`
		Roots                string            `json:"roots"`
		AdditionalExtensions map[string]string `json:"additionalExtensions"`
		Rekor                *sourceRekor      `json:"rekor"`
		CTLog                *sourceCTLog      `json:"ctlog"`
	}
	sourceAttestation struct {
		Name          string            `json:"name"`
		Type          string            `json:"type"`
		PredicateType string            `json:"predicateType"`
		Attestors     []sourceAttestors `json:"attestors"`
		Conditions    raw               `json:"conditions"`
	}
)

// An EvidencePolicy as it is written, in the order in which people read it.
type (
	targetPolicy struct {
		APIVersion string         `yaml:"apiVersion"`
		Kind       string         `yaml:"kind"`
		Metadata   targetMetadata `yaml:"metadata"`
		Spec       targetSpec     `yaml:"spec"`
	}
	targetMetadata struct {
		Name string `yaml:"name"`
	}
	targetSpec struct {
		Match        targetMatch         `yaml:"match"`
		Action       string              `yaml:"action,omitempty"`
		AllowSample  bool                `yaml:"allowSample,omitempty"`
		Signers      []targetSigner      `yaml:"signers"`
		Requirements []targetRequirement `yaml:"requirements"`
	}
	targetMatch struct {
		Images            []string `yaml:"images"`
		ExcludeImages     []string `yaml:"excludeImages,omitempty"`
		Namespaces        []string `yaml:"namespaces,omitempty"`
		NamespaceSelector any      `yaml:"namespaceSelector,omitempty"`
	}
	targetSigner struct {
		Name              string           `yaml:"name"`
		Keys              []targetKey      `yaml:"keys,omitempty"`
		Identities        []targetIdentity `yaml:"identities,omitempty"`
		RequireLog        bool             `yaml:"requireLog,omitempty"`
		InsecureIgnoreLog bool             `yaml:"insecureIgnoreLog,omitempty"`
		InsecureIgnoreSCT bool             `yaml:"insecureIgnoreSCT,omitempty"`
	}
	targetKey struct {
		PublicKey   string `yaml:"publicKey,omitempty"`
		Ref         string `yaml:"ref,omitempty"`
		Certificate string `yaml:"certificate,omitempty"`
	}
	targetIdentity struct {
		Subject          string            `yaml:"subject,omitempty"`
		SubjectRegexp    string            `yaml:"subjectRegexp,omitempty"`
		Issuer           string            `yaml:"issuer,omitempty"`
		IssuerRegexp     string            `yaml:"issuerRegexp,omitempty"`
		Extensions       map[string]string `yaml:"extensions,omitempty"`
		ExtensionRegexps map[string]string `yaml:"extensionRegexps,omitempty"`
	}
	targetRequirement struct {
		Name      string        `yaml:"name"`
		Type      string        `yaml:"type"`
		Signers   []string      `yaml:"signers,flow"`
		Threshold int           `yaml:"threshold,omitempty"`
		MaxAge    string        `yaml:"maxAge,omitempty"`
		Checks    []targetCheck `yaml:"checks,omitempty"`
	}
	targetCheck struct {
		Name    string `yaml:"name"`
		Expr    string `yaml:"expr"`
		Message string `yaml:"message,omitempty"`
	}
)
