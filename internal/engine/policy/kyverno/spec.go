package kyverno

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// The fields that are read, by the names of kyverno.io/v1. Whatever is not
// here is refused by strictyaml; what is here and cannot be judged is refused by
// the loader, with the reason.
type (
	documentSpec struct {
		APIVersion string          `json:"apiVersion"`
		Kind       string          `json:"kind"`
		Metadata   metadataSpec    `json:"metadata"`
		Spec       policySpec      `json:"spec"`
		Status     json.RawMessage `json:"status"`
	}
	metadataSpec struct {
		Name              string            `json:"name"`
		Namespace         string            `json:"namespace"`
		Annotations       map[string]string `json:"annotations"`
		Labels            map[string]string `json:"labels"`
		Generation        json.RawMessage   `json:"generation"`
		ResourceVersion   string            `json:"resourceVersion"`
		UID               string            `json:"uid"`
		CreationTimestamp json.RawMessage   `json:"creationTimestamp"`
		ManagedFields     json.RawMessage   `json:"managedFields"`
		OwnerReferences   json.RawMessage   `json:"ownerReferences"`
		Finalizers        []string          `json:"finalizers"`
	}
	policySpec struct {
		Rules                            []ruleSpec      `json:"rules"`
		ApplyRules                       string          `json:"applyRules"`
		ValidationFailureAction          string          `json:"validationFailureAction"`
		ValidationFailureActionOverrides []overrideSpec  `json:"validationFailureActionOverrides"`
		FailureAction                    string          `json:"failureAction"`
		FailureActionOverrides           []overrideSpec  `json:"failureActionOverrides"`
		EmitWarning                      bool            `json:"emitWarning"`
		FailurePolicy                    string          `json:"failurePolicy"`
		WebhookTimeoutSeconds            *int            `json:"webhookTimeoutSeconds"`
		WebhookConfiguration             *webhookSpec    `json:"webhookConfiguration"`
		Admission                        *bool           `json:"admission"`
		Background                       *bool           `json:"background"`
		SchemaValidation                 *bool           `json:"schemaValidation"`
		MutateExistingOnPolicyUpdate     bool            `json:"mutateExistingOnPolicyUpdate"`
		GenerateExisting                 bool            `json:"generateExisting"`
		GenerateExistingOnPolicyUpdate   *bool           `json:"generateExistingOnPolicyUpdate"`
		UseServerSideApply               bool            `json:"useServerSideApply"`
		MatchConditions                  json.RawMessage `json:"matchConditions"`
	}
	webhookSpec struct {
		FailurePolicy   string          `json:"failurePolicy"`
		TimeoutSeconds  *int            `json:"timeoutSeconds"`
		MatchConditions json.RawMessage `json:"matchConditions"`
	}
	overrideSpec struct {
		Action            string        `json:"action"`
		Namespaces        []string      `json:"namespaces"`
		NamespaceSelector *selectorSpec `json:"namespaceSelector"`
	}
	ruleSpec struct {
		Name                   string                     `json:"name"`
		Match                  matchSpec                  `json:"match"`
		Exclude                *matchSpec                 `json:"exclude"`
		Context                []contextSpec              `json:"context"`
		Preconditions          *conditionsSpec            `json:"preconditions"`
		CELPreconditions       json.RawMessage            `json:"celPreconditions"`
		ImageExtractors        map[string][]extractorSpec `json:"imageExtractors"`
		VerifyImages           []verifySpec               `json:"verifyImages"`
		Validate               json.RawMessage            `json:"validate"`
		Mutate                 json.RawMessage            `json:"mutate"`
		Generate               json.RawMessage            `json:"generate"`
		ReportProperties       map[string]string          `json:"reportProperties"`
		SkipBackgroundRequests *bool                      `json:"skipBackgroundRequests"`
	}
	matchSpec struct {
		Any []filterSpec `json:"any"`
		All []filterSpec `json:"all"`
		// Older policies say one filter directly.
		Resources    *resourceSpec `json:"resources"`
		Subjects     []subjectSpec `json:"subjects"`
		Roles        []string      `json:"roles"`
		ClusterRoles []string      `json:"clusterRoles"`
	}
	filterSpec struct {
		Resources    *resourceSpec `json:"resources"`
		Subjects     []subjectSpec `json:"subjects"`
		Roles        []string      `json:"roles"`
		ClusterRoles []string      `json:"clusterRoles"`
	}
	subjectSpec struct {
		Kind      string `json:"kind"`
		APIGroup  string `json:"apiGroup"`
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	}
	resourceSpec struct {
		Kinds             []string          `json:"kinds"`
		Name              string            `json:"name"`
		Names             []string          `json:"names"`
		Namespaces        []string          `json:"namespaces"`
		Annotations       map[string]string `json:"annotations"`
		Selector          *selectorSpec     `json:"selector"`
		NamespaceSelector *selectorSpec     `json:"namespaceSelector"`
		Operations        []string          `json:"operations"`
	}
	selectorSpec struct {
		MatchLabels      map[string]string `json:"matchLabels"`
		MatchExpressions []requirementSpec `json:"matchExpressions"`
	}
	requirementSpec struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	}
	contextSpec struct {
		Name            string          `json:"name"`
		ConfigMap       *configMapSpec  `json:"configMap"`
		Variable        *variableSpec   `json:"variable"`
		APICall         json.RawMessage `json:"apiCall"`
		ImageRegistry   json.RawMessage `json:"imageRegistry"`
		GlobalReference json.RawMessage `json:"globalReference"`
	}
	configMapSpec struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	}
	variableSpec struct {
		Value    json.RawMessage `json:"value"`
		JMESPath string          `json:"jmesPath"`
		Default  json.RawMessage `json:"default"`
	}
	extractorSpec struct {
		Path     string `json:"path"`
		Value    string `json:"value"`
		Name     string `json:"name"`
		Key      string `json:"key"`
		JMESPath string `json:"jmesPath"`
	}
	verifySpec struct {
		Type                     string            `json:"type"`
		ImageReferences          []string          `json:"imageReferences"`
		SkipImageReferences      []string          `json:"skipImageReferences"`
		FailureAction            string            `json:"failureAction"`
		FailureActionOverrides   []overrideSpec    `json:"failureActionOverrides"`
		Attestors                []attestorSpec    `json:"attestors"`
		Attestations             []attestationSpec `json:"attestations"`
		Annotations              map[string]string `json:"annotations"`
		Repository               string            `json:"repository"`
		CosignOCI11              bool              `json:"cosignOCI11"`
		Required                 *bool             `json:"required"`
		MutateDigest             *bool             `json:"mutateDigest"`
		VerifyDigest             *bool             `json:"verifyDigest"`
		Validate                 *validateSpec     `json:"validate"`
		ImageRegistryCredentials *credentialsSpec  `json:"imageRegistryCredentials"`
		UseCache                 *bool             `json:"useCache"`
		// Fields of the first versions, which Kyverno folds into the others.
		Image                string            `json:"image"`
		Key                  string            `json:"key"`
		Roots                string            `json:"roots"`
		Subject              string            `json:"subject"`
		Issuer               string            `json:"issuer"`
		AdditionalExtensions map[string]string `json:"additionalExtensions"`
	}
	validateSpec struct {
		Message string `json:"message"`
		Deny    *struct {
			Conditions *conditionsSpec `json:"conditions"`
		} `json:"deny"`
	}
	credentialsSpec struct {
		AllowInsecureRegistry bool     `json:"allowInsecureRegistry"`
		Providers             []string `json:"providers"`
		Secrets               []string `json:"secrets"`
	}
	attestorSpec struct {
		Count   *int        `json:"count"`
		Entries []entrySpec `json:"entries"`
	}
	entrySpec struct {
		Keys               *keysSpec         `json:"keys"`
		Certificates       *certificatesSpec `json:"certificates"`
		Keyless            *keylessSpec      `json:"keyless"`
		Attestor           *attestorSpec     `json:"attestor"`
		Annotations        map[string]string `json:"annotations"`
		Repository         string            `json:"repository"`
		SignatureAlgorithm string            `json:"signatureAlgorithm"`
	}
	keysSpec struct {
		PublicKeys string `json:"publicKeys"`
		KMS        string `json:"kms"`
		Secret     *struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"secret"`
		SignatureAlgorithm string     `json:"signatureAlgorithm"`
		Rekor              *rekorSpec `json:"rekor"`
		CTLog              *ctlogSpec `json:"ctlog"`
	}
	certificatesSpec struct {
		Cert      string     `json:"cert"`
		CertChain string     `json:"certChain"`
		Rekor     *rekorSpec `json:"rekor"`
		CTLog     *ctlogSpec `json:"ctlog"`
	}
	keylessSpec struct {
		Issuer               string            `json:"issuer"`
		IssuerRegExp         string            `json:"issuerRegExp"`
		Subject              string            `json:"subject"`
		SubjectRegExp        string            `json:"subjectRegExp"`
		Roots                string            `json:"roots"`
		AdditionalExtensions map[string]string `json:"additionalExtensions"`
		Rekor                *rekorSpec        `json:"rekor"`
		CTLog                *ctlogSpec        `json:"ctlog"`
	}
	rekorSpec struct {
		URL        string `json:"url"`
		PubKey     string `json:"pubkey"`
		IgnoreTlog bool   `json:"ignoreTlog"`
	}
	ctlogSpec struct {
		IgnoreSCT    bool   `json:"ignoreSCT"`
		PubKey       string `json:"pubkey"`
		TSACertChain string `json:"tsaCertChain"`
	}
	attestationSpec struct {
		Name          string         `json:"name"`
		Type          string         `json:"type"`
		PredicateType string         `json:"predicateType"`
		Attestors     []attestorSpec `json:"attestors"`
		Conditions    []blockSpec    `json:"conditions"`
	}
	blockSpec struct {
		Any *[]conditionSpec `json:"any"`
		All *[]conditionSpec `json:"all"`
	}
	conditionSpec struct {
		Key      json.RawMessage `json:"key"`
		Operator string          `json:"operator"`
		Value    json.RawMessage `json:"value"`
		Message  string          `json:"message"`
	}
)

// conditionsSpec is any and all, or what older policies say: a list of
// conditions that must all hold.
type conditionsSpec struct {
	block blockSpec
	// list says that it is the older form.
	list bool
}

// UnmarshalJSON reads either form.
func (s *conditionsSpec) UnmarshalJSON(content []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if trimmed := bytes.TrimSpace(content); len(trimmed) > 0 && trimmed[0] == '[' {
		s.list = true
		s.block.All = new([]conditionSpec)
		if err := decoder.Decode(s.block.All); err != nil {
			return fmt.Errorf("conditions: %w", err)
		}
		return nil
	}
	if err := decoder.Decode(&s.block); err != nil {
		return fmt.Errorf("conditions: %w", err)
	}
	if s.block.Any == nil && s.block.All == nil {
		return errors.New("conditions: want any or all")
	}
	return nil
}

// written says whether a field that is not read stands in a policy.
func written(raw json.RawMessage) bool { return len(raw) > 0 && !bytes.Equal(raw, []byte("null")) }
