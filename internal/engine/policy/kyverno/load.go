package kyverno

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// The fields that are read, by the names of kyverno.io/v1. Whatever is not
// here is refused by strictyaml.
type (
	documentSpec struct {
		APIVersion string       `json:"apiVersion"`
		Kind       string       `json:"kind"`
		Metadata   metadataSpec `json:"metadata"`
		Spec       policySpec   `json:"spec"`
	}
	metadataSpec struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Annotations map[string]string `json:"annotations"`
		Labels      map[string]string `json:"labels"`
	}
	policySpec struct {
		ValidationFailureAction string     `json:"validationFailureAction"`
		FailureAction           string     `json:"failureAction"`
		Background              *bool      `json:"background"`
		Rules                   []ruleSpec `json:"rules"`
	}
	ruleSpec struct {
		Name         string       `json:"name"`
		Match        matchSpec    `json:"match"`
		VerifyImages []verifySpec `json:"verifyImages"`
	}
	matchSpec struct {
		Any []filterSpec `json:"any"`
		All []filterSpec `json:"all"`
	}
	filterSpec struct {
		Resources resourceSpec `json:"resources"`
	}
	resourceSpec struct {
		Kinds      []string `json:"kinds"`
		Namespaces []string `json:"namespaces"`
	}
	verifySpec struct {
		ImageReferences     []string          `json:"imageReferences"`
		SkipImageReferences []string          `json:"skipImageReferences"`
		FailureAction       string            `json:"failureAction"`
		Attestors           []attestorSpec    `json:"attestors"`
		Attestations        []attestationSpec `json:"attestations"`
		Required            *bool             `json:"required"`
		MutateDigest        *bool             `json:"mutateDigest"`
		VerifyDigest        *bool             `json:"verifyDigest"`
	}
	attestorSpec struct {
		Count   *int        `json:"count"`
		Entries []entrySpec `json:"entries"`
	}
	entrySpec struct {
		Keys *keysSpec `json:"keys"`
	}
	keysSpec struct {
		PublicKeys string `json:"publicKeys"`
		Rekor      *struct {
			IgnoreTlog bool `json:"ignoreTlog"`
		} `json:"rekor"`
		CTLog *struct {
			IgnoreSCT bool `json:"ignoreSCT"`
		} `json:"ctlog"`
	}
	attestationSpec struct {
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

// allowSample is the annotation that lets evidence from the built-in sample
// of advisories count, for demonstrations.
const allowSample = "assay.sh/allow-sample"

// versions are the API versions whose fields are those above.
var versions = []string{"kyverno.io/v1", "kyverno.io/v2beta1"}

// loader finds the line of what is wrong.
type loader struct {
	document strictyaml.Document
	material policy.Material
}

// fail names the place of an error: file, line as near as it is known, and
// the path of the field.
func (l loader) fail(path []string, format string, arguments ...any) error {
	line := l.document.Line
	for end := len(path); end > 0; end-- {
		if found := l.document.LineOf(path[:end]...); found != l.document.Line {
			line = found
			break
		}
	}
	spelled := ""
	for _, part := range path {
		if _, err := strconv.Atoi(part); err == nil {
			spelled += "[" + part + "]"
			continue
		}
		if spelled != "" {
			spelled += "."
		}
		spelled += part
	}
	return fmt.Errorf("%s:%d: %s: %w", l.document.File, line, spelled, fmt.Errorf(format, arguments...))
}

// at adds to a path without sharing its memory.
func at(path []string, parts ...string) []string {
	return append(slices.Clone(path), parts...)
}

// Load compiles one ClusterPolicy or Policy. What is wrong with it, and every
// field, operator and function that is not supported, is an error that names
// file, line and field; material gives what it names. See the package comment for what is read and how.
func Load(document strictyaml.Document, material policy.Material) (policy.Policy, error) {
	l := loader{document, material}
	var spec documentSpec
	if version := document.Field("apiVersion"); !slices.Contains(versions, version) {
		return nil, l.fail([]string{"apiVersion"}, "want %s, found %q", strings.Join(versions, " or "), version)
	}
	if kind := document.Field("kind"); kind != "ClusterPolicy" && kind != "Policy" {
		return nil, l.fail([]string{"kind"}, "want ClusterPolicy or Policy, found %q", kind)
	}
	if err := document.Decode(&spec); err != nil {
		var field *strictyaml.UnknownFieldError
		if errors.As(err, &field) {
			return nil, fmt.Errorf("%w: %s is not supported yet, and nothing in a policy is skipped", err, field.Path)
		}
		return nil, err
	}
	p := &verifier{allowSample: spec.Metadata.Annotations[allowSample] == "true"}
	if spec.Metadata.Name == "" {
		return nil, l.fail([]string{"metadata", "name"}, "is missing")
	}
	p.name = spec.Kind + "/" + spec.Metadata.Name
	if spec.Kind == "Policy" {
		if spec.Metadata.Namespace == "" {
			return nil, l.fail([]string{"metadata", "namespace"}, "is missing; a Policy applies to its own namespace, a ClusterPolicy to all")
		}
		p.namespace = spec.Metadata.Namespace
		p.name = spec.Kind + "/" + spec.Metadata.Namespace + "/" + spec.Metadata.Name
	}
	if len(spec.Spec.Rules) == 0 {
		return nil, l.fail([]string{"spec", "rules"}, "is empty: the policy asks for nothing")
	}
	names := map[string]bool{}
	for i, r := range spec.Spec.Rules {
		path := []string{"spec", "rules", strconv.Itoa(i)}
		if r.Name == "" || names[r.Name] {
			return nil, l.fail(at(path, "name"), "want a name of its own for each rule, found %q", r.Name)
		}
		names[r.Name] = true
		compiled, err := l.rule(path, spec.Spec, r)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, compiled)
	}
	return p, nil
}

func (l loader) rule(path []string, spec policySpec, r ruleSpec) (rule, error) {
	compiled := rule{name: r.Name}
	var err error
	if compiled.match, err = l.match(at(path, "match"), r.Match); err != nil {
		return rule{}, err
	}
	if len(r.VerifyImages) == 0 {
		return rule{}, l.fail(path, "has no verifyImages; only rules of that kind are read")
	}
	for i, v := range r.VerifyImages {
		place := at(path, "verifyImages", strconv.Itoa(i))
		action := v.FailureAction
		for _, written := range []string{spec.FailureAction, spec.ValidationFailureAction} {
			if action == "" {
				action = written
			}
		}
		if action != "" && !strings.EqualFold(action, "Enforce") {
			return rule{}, l.fail(place, "failureAction %s is not supported yet, only Enforce", action)
		}
		b, err := l.verify(place, r.Name, i, v)
		if err != nil {
			return rule{}, err
		}
		compiled.blocks = append(compiled.blocks, b)
	}
	return compiled, nil
}

// controllers are the kinds whose pods Kyverno's autogen covers, and Pod.
var controllers = []string{"Pod", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"}

func (l loader) match(path []string, s matchSpec) (match, error) {
	if (s.Any == nil) == (s.All == nil) {
		return match{}, l.fail(path, "want either any or all")
	}
	m := match{all: s.All != nil}
	key := "any"
	if m.all {
		key = "all"
	}
	for i, f := range append(s.Any, s.All...) {
		place := at(path, key, strconv.Itoa(i), "resources")
		if len(f.Resources.Kinds) == 0 {
			return match{}, l.fail(at(place, "kinds"), "is empty")
		}
		var compiled filter
		for _, written := range f.Resources.Kinds {
			kind := written[strings.LastIndex(written, "/")+1:]
			if !slices.Contains(controllers, kind) {
				return match{}, l.fail(at(place, "kinds"), "kind %q is not supported yet; want one of %s", written, strings.Join(controllers, ", "))
			}
			compiled.kinds = append(compiled.kinds, kind)
		}
		for _, namespace := range f.Resources.Namespaces {
			compiled.namespaces = append(compiled.namespaces, pattern(namespace))
		}
		m.filters = append(m.filters, compiled)
	}
	if len(m.filters) == 0 {
		return match{}, l.fail(at(path, key), "is empty: the rule matches nothing")
	}
	return m, nil
}

func (l loader) verify(path []string, ruleName string, index int, v verifySpec) (verifyBlock, error) {
	if len(v.ImageReferences) == 0 {
		return verifyBlock{}, l.fail(at(path, "imageReferences"), "is empty: no image matches")
	}
	var b verifyBlock
	for _, group := range []struct {
		name    string
		written []string
		into    *[]glob
	}{{"imageReferences", v.ImageReferences, &b.references}, {"skipImageReferences", v.SkipImageReferences, &b.skipped}} {
		for _, reference := range group.written {
			if reference == "" || strings.Contains(reference, "{{") {
				return verifyBlock{}, l.fail(at(path, group.name), "%q: want static text with * and ? as wildcards", reference)
			}
			*group.into = append(*group.into, pattern(reference))
		}
	}
	if len(v.Attestors) == 0 && len(v.Attestations) == 0 {
		return verifyBlock{}, l.fail(path, "has neither attestors nor attestations: it would let every image through")
	}
	prefix := ""
	if index > 0 {
		prefix = fmt.Sprintf("verifyImages[%d].", index)
	}
	for i, s := range v.Attestors {
		set, err := l.attestors(at(path, "attestors", strconv.Itoa(i)), ruleName, fmt.Sprintf("%sattestors[%d]", prefix, i), s)
		if err != nil {
			return verifyBlock{}, err
		}
		b.attestors = append(b.attestors, set)
	}
	for i, s := range v.Attestations {
		a, err := l.attestation(at(path, "attestations", strconv.Itoa(i)), ruleName, fmt.Sprintf("%sattestations[%d]", prefix, i), s)
		if err != nil {
			return verifyBlock{}, err
		}
		b.attestations = append(b.attestations, a)
	}
	return b, nil
}

func (l loader) attestation(path []string, ruleName, name string, s attestationSpec) (attestation, error) {
	a := attestation{name: name, predicateType: s.Type}
	switch {
	case s.Type != "" && s.PredicateType != "":
		return a, l.fail(path, "type and predicateType both stand here; they mean the same, leave one out")
	case s.Type == "" && s.PredicateType == "":
		return a, l.fail(at(path, "type"), "is missing")
	case s.Type == "":
		a.predicateType = s.PredicateType
	}
	if strings.Contains(a.predicateType, "{{") {
		return a, l.fail(at(path, "type"), "%q: want static text", a.predicateType)
	}
	if a.predicateType == predicate.TypeCosignSign {
		return a, l.fail(at(path, "type"), "%s is an image signature; ask for it with attestors", a.predicateType)
	}
	if len(s.Attestors) == 0 {
		return a, l.fail(path, "has no attestors: Kyverno would take an attestation that anybody signed with a public certificate; "+
			"name the keys here, also where they are those of the image's own attestors")
	}
	for i, set := range s.Attestors {
		compiled, err := l.attestors(at(path, "attestors", strconv.Itoa(i)), ruleName, fmt.Sprintf("%s.attestors[%d]", name, i), set)
		if err != nil {
			return a, err
		}
		a.attestors = append(a.attestors, compiled)
	}
	for i, s := range s.Conditions {
		place := at(path, "conditions", strconv.Itoa(i))
		if s.Any == nil && s.All == nil {
			return a, l.fail(place, "want any or all")
		}
		b := block{hasAny: s.Any != nil, hasAll: s.All != nil}
		var err error
		if b.hasAny {
			b.any, err = l.conditions(at(place, "any"), fmt.Sprintf("%s.conditions[%d].any", name, i), *s.Any)
		}
		if err == nil && b.hasAll {
			b.all, err = l.conditions(at(place, "all"), fmt.Sprintf("%s.conditions[%d].all", name, i), *s.All)
		}
		if err != nil {
			return a, err
		}
		a.blocks = append(a.blocks, b)
	}
	return a, nil
}

func (l loader) conditions(path []string, name string, specs []conditionSpec) ([]condition, error) {
	var conditions []condition
	for i, s := range specs {
		c, err := parseCondition(fmt.Sprintf("%s[%d]", name, i), s)
		if err != nil {
			return nil, l.fail(at(path, strconv.Itoa(i)), "%w", err)
		}
		conditions = append(conditions, c)
	}
	return conditions, nil
}

func (l loader) attestors(path []string, ruleName, name string, s attestorSpec) (attestorSet, error) {
	set := attestorSet{name: name}
	seen := map[identity.Key]string{}
	for i, e := range s.Entries {
		place := at(path, "entries", strconv.Itoa(i))
		if e.Keys == nil {
			return set, l.fail(at(place, "keys"), "is missing; only keys are read yet")
		}
		signers, err := l.keys(at(place, "keys"), fmt.Sprintf("%s/%s.entries[%d]", ruleName, name, i), *e.Keys)
		if err != nil {
			return set, err
		}
		for _, signer := range signers {
			if first, twice := seen[signer.Keys[0].ID]; twice {
				return set, l.fail(place, "the key %s stands twice in this set (first in %s); it would be counted twice", signer.Keys[0].ID, first)
			}
			seen[signer.Keys[0].ID] = signer.Name
			set.signers = append(set.signers, signer)
		}
	}
	if len(set.signers) == 0 {
		return set, l.fail(at(path, "entries"), "is empty: anybody's signature would do")
	}
	set.required = len(set.signers)
	if s.Count != nil && *s.Count != 0 {
		set.required = *s.Count
	}
	if set.required < 1 || set.required > len(set.signers) {
		return set, l.fail(at(path, "count"), "want 1 to %d, the number of keys in the set, found %d", len(set.signers), set.required)
	}
	return set, nil
}

// keys makes one signer of each PEM block: in Kyverno several blocks are
// several entries when they are counted.
func (l loader) keys(path []string, name string, s keysSpec) ([]trust.Signer, error) {
	if s.Rekor == nil || !s.Rekor.IgnoreTlog {
		return nil, l.fail(at(path, "rekor"), "want ignoreTlog: true: without it Kyverno demands an entry in the public Rekor log, "+
			"and transparency logs are not checked here yet")
	}
	if s.CTLog != nil && !s.CTLog.IgnoreSCT {
		return nil, l.fail(at(path, "ctlog"), "want ignoreSCT: true, or no ctlog: a key has no certificate, and certificate logs are not checked here yet")
	}
	if !strings.Contains(s.PublicKeys, "-----BEGIN") {
		return nil, l.fail(at(path, "publicKeys"), "want public keys in PEM; references such as k8s://, KMS URIs and variables are not supported yet")
	}
	signer, err := trust.ParseSigner(name, []byte(s.PublicKeys))
	if err != nil {
		return nil, l.fail(at(path, "publicKeys"), "%w", err)
	}
	var signers []trust.Signer
	for i, key := range signer.Keys {
		one := trust.Signer{Name: name, Keys: []trust.Key{key}}
		if len(signer.Keys) > 1 {
			one.Name = fmt.Sprintf("%s key %d", name, i+1)
		}
		signers = append(signers, policy.Cast(l.material, one))
	}
	return signers, nil
}
