package kyverno

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// every is the annotation that has all attestations of a type satisfy the
// conditions, as in Kyverno, and not the newest alone.
const every = "assay.sh/every-attestation"

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
// file, line and field; material gives what it names. See the package comment
// for what is read and how.
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
			return nil, fmt.Errorf("%w: %s is no field of this kind of policy that is read here, and nothing in a policy is skipped", err, field.Path)
		}
		return nil, err
	}
	p, err := l.head(spec)
	if err != nil {
		return nil, err
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

// head compiles what a policy says of all of its rules.
func (l loader) head(spec documentSpec) (*verifier, error) {
	p := &verifier{allowSample: spec.Metadata.Annotations[allowSample] == "true", every: spec.Metadata.Annotations[every] == "true", one: spec.Spec.ApplyRules == "One"}
	top := []string{"spec"}
	switch {
	case spec.Metadata.Name == "":
		return nil, l.fail([]string{"metadata", "name"}, "is missing")
	case len(spec.Spec.Rules) == 0:
		return nil, l.fail(at(top, "rules"), "is empty: the policy asks for nothing")
	case spec.Spec.ApplyRules != "" && spec.Spec.ApplyRules != "One" && spec.Spec.ApplyRules != "All":
		return nil, l.fail(at(top, "applyRules"), "want One or All, found %q", spec.Spec.ApplyRules)
	}
	p.name = spec.Kind + "/" + spec.Metadata.Name
	if spec.Kind == "Policy" {
		if spec.Metadata.Namespace == "" {
			return nil, l.fail([]string{"metadata", "namespace"}, "is missing; a Policy applies to its own namespace, a ClusterPolicy to all")
		}
		p.namespace = spec.Metadata.Namespace
		p.name = spec.Kind + "/" + spec.Metadata.Namespace + "/" + spec.Metadata.Name
	}
	if listed, there := spec.Metadata.Annotations[autogen]; there {
		p.controllers = []string{}
		for _, kind := range strings.Split(listed, ",") {
			switch kind = strings.TrimSpace(kind); {
			case kind == "none" || kind == "":
			case !slices.Contains(controllers, kind):
				return nil, l.fail([]string{"metadata", "annotations", autogen}, "want none, or a list of %s; found %q", strings.Join(controllers, ", "), kind)
			default:
				p.controllers = append(p.controllers, kind)
			}
		}
	}
	failure := []struct {
		path []string
		text string
	}{{at(top, "failurePolicy"), spec.Spec.FailurePolicy}}
	if w := spec.Spec.WebhookConfiguration; w != nil {
		failure = append(failure, struct {
			path []string
			text string
		}{at(top, "webhookConfiguration", "failurePolicy"), w.FailurePolicy})
		if w.TimeoutSeconds != nil && (*w.TimeoutSeconds < 1 || *w.TimeoutSeconds > 30) {
			return nil, l.fail(at(top, "webhookConfiguration", "timeoutSeconds"), "want 1 to 30, found %d", *w.TimeoutSeconds)
		}
		if written(w.MatchConditions) {
			return nil, l.fail(at(top, "webhookConfiguration", "matchConditions"), errMatchConditions)
		}
	}
	if written(spec.Spec.MatchConditions) {
		return nil, l.fail(at(top, "matchConditions"), errMatchConditions)
	}
	for _, f := range failure {
		switch f.text {
		case "", "Fail":
		case "Ignore":
			p.tolerant = true
		default:
			return nil, l.fail(f.path, "want Fail or Ignore, found %q", f.text)
		}
	}
	return p, nil
}

const errMatchConditions = "are not supported: the API server evaluates them before it asks Kyverno, and here nobody would; say the same with match and preconditions"

// autogen is the annotation that says to which controllers a rule about pods is
// applied, besides pods.
const autogen = "pod-policies.kyverno.io/autogen-controllers"

// controllers are the kinds that it may name.
var controllers = []string{"DaemonSet", "Deployment", "Job", "StatefulSet", "ReplicaSet", "ReplicationController", "CronJob"}

func (l loader) rule(path []string, spec policySpec, r ruleSpec) (rule, error) {
	compiled := rule{name: r.Name}
	for _, other := range []struct {
		field string
		raw   json.RawMessage
		why   string
	}{
		{"validate", r.Validate, "is not judged here; only rules with verifyImages are read, so put it into a policy of its own"},
		{"mutate", r.Mutate, "is not done here; only rules with verifyImages are read, so put it into a policy of its own"},
		{"generate", r.Generate, "is not done here; only rules with verifyImages are read, so put it into a policy of its own"},
		{"celPreconditions", r.CELPreconditions, "are for rules that validate with CEL, and have no effect on verifyImages in Kyverno; use preconditions"},
	} {
		if written(other.raw) {
			return rule{}, l.fail(at(path, other.field), "%s", other.why)
		}
	}
	if len(r.VerifyImages) == 0 {
		return rule{}, l.fail(path, "has no verifyImages; only rules of that kind are read")
	}
	var err error
	if compiled.match, err = l.compileMatch(at(path, "match"), r.Match, false); err != nil {
		return rule{}, err
	}
	if r.Exclude != nil && !r.Exclude.empty() {
		if compiled.exclude, err = l.compileMatch(at(path, "exclude"), *r.Exclude, true); err != nil {
			return rule{}, err
		}
	}
	if compiled.variables, err = l.context(at(path, "context"), r.Context); err != nil {
		return rule{}, err
	}
	if compiled.preconditions, err = l.guard(at(path, "preconditions"), "preconditions", r.Preconditions); err != nil {
		return rule{}, err
	}
	if compiled.extractors, err = l.extractors(at(path, "imageExtractors"), r.ImageExtractors); err != nil {
		return rule{}, err
	}
	for i, v := range r.VerifyImages {
		b, err := l.verify(at(path, "verifyImages", strconv.Itoa(i)), spec, compiled, i, v)
		if err != nil {
			return rule{}, err
		}
		compiled.blocks = append(compiled.blocks, b)
	}
	return compiled, nil
}

func (l loader) verify(path []string, spec policySpec, r rule, index int, v verifySpec) (verifyBlock, error) {
	if err := l.fold(path, &v); err != nil {
		return verifyBlock{}, err
	}
	var b verifyBlock
	var err error
	switch v.Type {
	case "", "Cosign", "SigstoreBundle": // evidence of both layouts is read
	case "Notary":
		return b, l.fail(at(path, "type"), "Notary is not supported: Notary Project signatures are not verified here; sign with cosign or assay")
	default:
		return b, l.fail(at(path, "type"), "want Cosign or SigstoreBundle, found %q", v.Type)
	}
	if len(v.ImageReferences) == 0 {
		return b, l.fail(at(path, "imageReferences"), "is empty: no image matches")
	}
	for _, group := range []struct {
		name    string
		written []string
		into    *[]glob
	}{{"imageReferences", v.ImageReferences, &b.references}, {"skipImageReferences", v.SkipImageReferences, &b.skipped}} {
		for _, reference := range group.written {
			if reference == "" || strings.Contains(reference, "{{") {
				return b, l.fail(at(path, group.name), "%q: want static text with * and ? as wildcards", reference)
			}
			*group.into = append(*group.into, pattern(reference))
		}
	}
	if b.action, err = l.action(path, spec, v); err != nil {
		return b, err
	}
	b.pinned = v.MutateDigest != nil && !*v.MutateDigest && (v.VerifyDigest == nil || *v.VerifyDigest)
	if b.secrets, err = l.credentials(at(path, "imageRegistryCredentials"), v.ImageRegistryCredentials); err != nil {
		return b, err
	}
	if len(v.Attestors) == 0 && len(v.Attestations) == 0 {
		if v.Required == nil || *v.Required {
			return b, l.fail(path, "has neither attestors nor attestations: it would let every image through; a policy that only pins digests says required: false")
		}
		if v.Validate != nil {
			return b, l.fail(at(path, "validate"), "has no attestation to look at")
		}
		return b, nil
	}
	prefix := ""
	if index > 0 {
		prefix = fmt.Sprintf("verifyImages[%d].", index)
	}
	common := entries{rule: r.name, annotations: v.Annotations, repository: v.Repository, configMaps: r.configMaps()}
	for i, s := range v.Attestors {
		set, err := l.attestors(at(path, "attestors", strconv.Itoa(i)), common, fmt.Sprintf("%sattestors[%d]", prefix, i), s, 0)
		if err != nil {
			return b, err
		}
		b.attestors = append(b.attestors, set)
	}
	names := r.names()
	for i, s := range v.Attestations {
		place := at(path, "attestations", strconv.Itoa(i))
		if s.Name != "" {
			if err := free(s.Name, names); err != nil {
				return b, l.fail(at(place, "name"), "%w", err)
			}
			names = append(names, s.Name)
		}
		a, err := l.attestation(place, common, fmt.Sprintf("%sattestations[%d]", prefix, i), s)
		if err != nil {
			return b, err
		}
		b.attestations = append(b.attestations, a)
	}
	return b, l.deny(at(path, "validate"), prefix, v.Validate, &b)
}

// fold puts the fields of the first versions where Kyverno puts them.
func (l loader) fold(path []string, v *verifySpec) error {
	if v.Image != "" {
		v.ImageReferences = append([]string{v.Image}, v.ImageReferences...)
	}
	var e entrySpec
	switch {
	case v.Key != "" && v.Issuer+v.Subject+v.Roots != "":
		return l.fail(path, "key stands beside issuer, subject or roots, which Kyverno then ignores; leave one of them out")
	case v.Key != "":
		e.Keys = &keysSpec{PublicKeys: v.Key}
	case v.Issuer != "":
		e.Keyless = &keylessSpec{Issuer: v.Issuer, Subject: v.Subject, Roots: v.Roots, AdditionalExtensions: v.AdditionalExtensions}
	case v.Subject+v.Roots != "" || len(v.AdditionalExtensions) > 0:
		return l.fail(path, "subject, roots and additionalExtensions mean nothing here without issuer; write them into attestors, under keyless")
	default:
		return nil
	}
	set := attestorSpec{Entries: []entrySpec{e}}
	if len(v.Attestations) == 0 {
		v.Attestors = append(v.Attestors, set)
	}
	for i := range v.Attestations {
		v.Attestations[i].Attestors = append(v.Attestations[i].Attestors, set)
	}
	return nil
}

func (l loader) attestation(path []string, common entries, name string, s attestationSpec) (attestation, error) {
	a := attestation{name: name, variable: s.Name, predicateType: s.Type}
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
		compiled, err := l.attestors(at(path, "attestors", strconv.Itoa(i)), common, fmt.Sprintf("%s.attestors[%d]", name, i), set, 0)
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
		b, err := l.conditionBlock(place, fmt.Sprintf("%s.conditions[%d]", name, i), s, false)
		if err != nil {
			return a, err
		}
		a.blocks = append(a.blocks, b)
	}
	return a, nil
}

// deny compiles what must not be so of all attestations together.
func (l loader) deny(path []string, prefix string, s *validateSpec, b *verifyBlock) error {
	if s == nil {
		return nil
	}
	if s.Deny == nil || s.Deny.Conditions == nil {
		return l.fail(at(path, "deny"), "wants conditions; nothing else of validate is read in verifyImages")
	}
	var err error
	if b.deny, err = l.guard(at(path, "deny", "conditions"), prefix+"validate.deny", s.Deny.Conditions); err != nil {
		return err
	}
	if s.Message != "" {
		if b.message, err = parseTemplate(s.Message); err != nil {
			return l.fail(at(path, "message"), "%w", err)
		}
	}
	return nil
}

// conditionBlock compiles any and all; list says that all stands there as a
// list of its own.
func (l loader) conditionBlock(path []string, name string, s blockSpec, list bool) (block, error) {
	b := block{hasAny: s.Any != nil, hasAll: s.All != nil}
	var err error
	if b.hasAll {
		place, called := at(path, "all"), name+".all"
		if list {
			place, called = path, name
		}
		if b.all, err = l.conditions(place, called, *s.All); err != nil {
			return b, err
		}
	}
	if b.hasAny {
		b.any, err = l.conditions(at(path, "any"), name+".any", *s.Any)
	}
	return b, err
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
