package kyverno

import (
	"crypto"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// attestorSet is satisfied when required of its parties, each by a key or an
// identity of its own, vouch.
type attestorSet struct {
	name     string
	parties  []party
	required int
	// count is the policy's, 0 for all: keys that a config map has are counted
	// when they are known.
	count int
}

// party is one entry of a set: a signer, keys that a config map has, or a set
// within the set.
type party struct {
	name   string
	signer trust.Signer
	keys   *keyTemplate
	set    *attestorSet
	// annotations must be in what was signed.
	annotations map[string]string
	// repository is where the evidence is, "" for the image's own.
	repository string
}

// keyTemplate is publicKeys with an expression, and what else the entry says.
type keyTemplate struct {
	text   *template
	signer trust.Signer
	digest crypto.Hash
}

// setDepth is how deeply sets may stand within sets.
const setDepth = 8

// entries is what entries of one verifyImages have in common.
type entries struct {
	rule        string
	annotations map[string]string
	repository  string
	// configMaps are the names that publicKeys may look up.
	configMaps []string
}

func (l loader) attestors(path []string, common entries, name string, s attestorSpec, depth int) (attestorSet, error) {
	set := attestorSet{name: name}
	if depth == setDepth {
		return set, l.fail(path, "sets of attestors stand more than %d deep in each other", setDepth)
	}
	later := false
	for i, e := range s.Entries {
		parties, err := l.entry(at(path, "entries", strconv.Itoa(i)), common, fmt.Sprintf("%s.entries[%d]", name, i), e, depth)
		if err != nil {
			return set, err
		}
		for _, p := range parties {
			later = later || p.keys != nil
		}
		set.parties = append(set.parties, parties...)
	}
	if len(set.parties) == 0 {
		return set, l.fail(at(path, "entries"), "is empty: anybody's signature would do")
	}
	if s.Count != nil {
		set.count = *s.Count
	}
	if set.count < 0 {
		return set, l.fail(at(path, "count"), "want 1 to %d, the number of entries in the set, found %d", len(set.parties), set.count)
	}
	if later { // how many keys there are is known when a workload asks
		return set, nil
	}
	if err := set.close(); err != nil {
		return set, l.fail(at(path, "count"), "%w", err)
	}
	return set, nil
}

// close works out how many parties are required, and refuses a set that cannot
// be satisfied, or in which one party stands twice.
func (s *attestorSet) close() error {
	s.required = s.count
	if s.required == 0 {
		s.required = len(s.parties)
	}
	if s.required > len(s.parties) {
		return fmt.Errorf("want 1 to %d, the number of entries in the set, found %d", len(s.parties), s.required)
	}
	seen := map[identity.Key]party{}
	for _, p := range s.parties {
		for _, key := range p.signer.Keys {
			first, twice := seen[key.ID]
			if twice && maps.Equal(first.annotations, p.annotations) && first.repository == p.repository {
				return fmt.Errorf("the key %s stands twice in this set (first in %s); it would be counted twice", key.ID, first.signer.Name)
			}
			seen[key.ID] = p
		}
	}
	return nil
}

// all are the parties of a set and of the sets within it.
func (s attestorSet) all() []party {
	var list []party
	for _, p := range s.parties {
		if p.set != nil {
			list = append(list, p.set.all()...)
		} else {
			list = append(list, p)
		}
	}
	return list
}

// entry compiles one entry: several keys in one are several parties, as they
// are in Kyverno when they are counted.
func (l loader) entry(path []string, common entries, name string, e entrySpec, depth int) ([]party, error) {
	kinds := 0
	for _, there := range []bool{e.Keys != nil, e.Certificates != nil, e.Keyless != nil, e.Attestor != nil} {
		if there {
			kinds++
		}
	}
	if kinds != 1 {
		return nil, l.fail(path, "want exactly one of keys, certificates, keyless and attestor, found %d", kinds)
	}
	if e.Attestor != nil {
		if e.Annotations != nil || e.Repository != "" || e.SignatureAlgorithm != "" {
			return nil, l.fail(path, "annotations, repository and signatureAlgorithm beside a nested attestor have no effect in Kyverno; put them into its entries")
		}
		set, err := l.attestors(at(path, "attestor"), common, name+".attestor", *e.Attestor, depth+1)
		return []party{{name: set.name, set: &set}}, err
	}
	base := party{annotations: common.annotations, repository: common.repository}
	if e.Annotations != nil {
		base.annotations = e.Annotations
	}
	if e.Repository != "" {
		base.repository = e.Repository
	}
	if err := l.static(at(path, "repository"), base.repository); err != nil {
		return nil, err
	}
	for key, value := range base.annotations {
		if err := l.static(at(path, "annotations", key), value); err != nil {
			return nil, err
		}
	}
	var made []party
	var err error
	signer := common.rule + "/" + name
	switch {
	case e.Keys != nil:
		made, err = l.keys(at(path, "keys"), common, signer, e.SignatureAlgorithm, *e.Keys)
		base.name = name + ".keys"
	case e.Certificates != nil:
		made, err = l.certificates(at(path, "certificates"), signer, e.SignatureAlgorithm, *e.Certificates)
		base.name = name + ".certificates"
	default:
		made, err = l.keyless(at(path, "keyless"), signer, *e.Keyless)
		base.name = name + ".keyless"
	}
	for i := range made {
		made[i].name, made[i].annotations, made[i].repository = base.name, base.annotations, base.repository
	}
	return made, err
}

// static refuses expressions where a policy is not evaluated for each workload.
func (l loader) static(path []string, texts ...string) error {
	for _, text := range texts {
		if strings.Contains(text, "{{") {
			return l.fail(path, "%q: want static text; expressions are read in publicKeys, context, preconditions, conditions and messages", shorten(text, briefBytes))
		}
	}
	return nil
}

// digests are the values of signatureAlgorithm. SHA-256 is what keys verify by
// when nothing is said, beside the digest of their own curve.
var digests = map[string]crypto.Hash{"": 0, "sha256": 0, "sha224": crypto.SHA224, "sha384": crypto.SHA384, "sha512": crypto.SHA512}

func (l loader) digest(path []string, algorithm string) (crypto.Hash, error) {
	digest, known := digests[algorithm]
	if !known {
		return 0, l.fail(at(path, "signatureAlgorithm"), "want sha224, sha256, sha384 or sha512, found %q", algorithm)
	}
	return digest, nil
}

func (l loader) keys(path []string, common entries, name, algorithm string, s keysSpec) ([]party, error) {
	if s.SignatureAlgorithm != "" {
		algorithm = s.SignatureAlgorithm
	}
	digest, err := l.digest(path, algorithm)
	if err != nil {
		return nil, err
	}
	base := trust.Signer{Name: name}
	if base.Root, base.Demand, err = l.witnesses(path, s.Rekor, s.CTLog); err != nil {
		return nil, err
	}
	given := 0
	reference, field := "", "publicKeys"
	if s.PublicKeys != "" {
		given++
		reference = s.PublicKeys
	}
	if s.KMS != "" {
		given++
		reference, field = s.KMS, "kms"
	}
	if s.Secret != nil {
		given++
		reference, field = "k8s://"+s.Secret.Namespace+"/"+s.Secret.Name, "secret"
		if s.Secret.Name == "" || s.Secret.Namespace == "" {
			return nil, l.fail(at(path, field), "want name and namespace")
		}
	}
	if given != 1 {
		return nil, l.fail(path, "want exactly one of publicKeys, kms and secret, found %d", given)
	}
	if field == "publicKeys" && strings.Contains(reference, "{{") {
		return l.keysLater(at(path, field), common, keyTemplate{signer: base, digest: digest}, reference)
	}
	if err := l.static(at(path, field), reference); err != nil {
		return nil, err
	}
	if strings.Contains(reference, "-----BEGIN") {
		signers, err := parseKeys(base, digest, reference)
		if err != nil {
			return nil, l.fail(at(path, field), "%w", err)
		}
		return l.cast(signers), nil
	}
	if !strings.Contains(reference, "://") || strings.ContainsAny(reference, " \t\r\n") {
		return nil, l.fail(at(path, field), "want public keys in PEM, k8s://NAMESPACE/SECRET or the URI of a key service, found %q", shorten(reference, briefBytes))
	}
	signer, err := l.material.Signer(reference)
	if err != nil {
		return nil, l.fail(at(path, field), "%w", err)
	}
	for _, key := range signer.Keys {
		key.Digest = digest
		base.Keys = append(base.Keys, key)
	}
	return l.cast([]trust.Signer{base}), nil
}

// parseKeys makes one signer of each block of PEM.
func parseKeys(base trust.Signer, digest crypto.Hash, pem string) ([]trust.Signer, error) {
	parsed, err := trust.ParseSigner(base.Name, []byte(pem))
	if err != nil {
		return nil, err
	}
	var signers []trust.Signer
	for i, key := range parsed.Keys {
		one := base
		key.Digest = digest
		one.Keys = []trust.Key{key}
		if len(parsed.Keys) > 1 {
			one.Name = fmt.Sprintf("%s key %d", base.Name, i+1)
		}
		signers = append(signers, one)
	}
	return signers, nil
}

// cast lets a rehearsal play the signers.
func (l loader) cast(signers []trust.Signer) []party {
	var made []party
	for _, signer := range signers {
		made = append(made, party{signer: policy.Cast(l.material, signer)})
	}
	return made
}

// keysLater compiles publicKeys with an expression. What it looks up must be a
// config map: of anything else whoever asks for a workload could choose it. In
// a rehearsal one key plays whatever is found.
func (l loader) keysLater(path []string, common entries, k keyTemplate, text string) ([]party, error) {
	parsed, err := parseTemplate(strings.TrimSpace(text))
	if err != nil {
		return nil, l.fail(path, "%w", err)
	}
	for _, p := range parsed.parts {
		if p.expression == nil {
			continue
		}
		for _, root := range roots(p.expression.ast, nil) {
			if !slices.Contains(common.configMaps, root) {
				return nil, l.fail(path, "{{ %s }} looks up %s, which is no config map of the rule's context; whoever asks for a workload must not choose the key", p.expression.source, root)
			}
		}
	}
	if _, plays := l.material.(policy.Rehearsal); plays {
		return l.cast([]trust.Signer{k.signer}), nil
	}
	k.text = parsed
	return []party{{keys: &k, signer: trust.Signer{Name: k.signer.Name}}}, nil
}

// keyless compiles an identity. Kyverno's wildcards become an expression; an
// expression must match the whole value.
func (l loader) keyless(path []string, name string, s keylessSpec) ([]party, error) {
	for field, text := range map[string]string{"issuer": s.Issuer, "issuerRegExp": s.IssuerRegExp, "subject": s.Subject, "subjectRegExp": s.SubjectRegExp, "roots": s.Roots} {
		if err := l.static(at(path, field), text); err != nil {
			return nil, err
		}
	}
	if s.Issuer+s.IssuerRegExp == "" || s.Subject+s.SubjectRegExp == "" {
		return nil, l.fail(path, "want an issuer and a subject, each as text or as an expression (issuerRegExp, subjectRegExp): "+
			"without them anybody's certificate would do")
	}
	p := identity.Pattern{SubjectRegexp: s.SubjectRegExp, IssuerRegexp: s.IssuerRegExp}
	var err error
	if p.Subject, p.SubjectRegexp, err = wildcards(s.Subject, s.SubjectRegExp); err != nil {
		return nil, l.fail(at(path, "subject"), "%w", err)
	}
	if p.Issuer, p.IssuerRegexp, err = wildcards(s.Issuer, s.IssuerRegExp); err != nil {
		return nil, l.fail(at(path, "issuer"), "%w", err)
	}
	for extension, value := range s.AdditionalExtensions {
		if err := l.static(at(path, "additionalExtensions", extension), value); err != nil {
			return nil, err
		}
		if extension == "githubWorkflowSha" {
			extension = "githubWorkflowSHA"
		}
		exact, expression, err := wildcards(value, "")
		switch {
		case err != nil:
			return nil, l.fail(at(path, "additionalExtensions", extension), "%w", err)
		case expression != "":
			p.ExtensionRegexps = put(p.ExtensionRegexps, extension, expression)
		default:
			p.Extensions = put(p.Extensions, extension, exact)
		}
	}
	if err := p.Check(); err != nil {
		return nil, l.fail(path, "%w", err)
	}
	signer := trust.Signer{Name: name, Identities: []identity.Pattern{p}}
	if signer.Root, signer.Demand, err = l.authorities(path, s); err != nil {
		return nil, err
	}
	return l.cast([]trust.Signer{signer}), nil
}

func put(into map[string]string, key, value string) map[string]string {
	if into == nil {
		into = map[string]string{}
	}
	into[key] = value
	return into
}

// wildcards turns text with * and ? into an expression. Where there is an
// expression already, the text must be exact: both then hold.
func wildcards(text, expression string) (exact, either string, err error) {
	if !strings.ContainsAny(text, "*?") {
		return text, expression, nil
	}
	if expression != "" {
		return "", "", fmt.Errorf("%q has wildcards, and an expression stands beside it; say one of them", text)
	}
	quoted := strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*")
	return "", strings.ReplaceAll(quoted, `\?`, "."), nil
}
