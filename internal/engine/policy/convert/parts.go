package convert

import (
	"encoding/pem"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/predicate"
)

// match converts what selects workloads; what has no place makes the policy
// apply to more, never to less.
func (c *converter) match(path []string, target *targetPolicy, r sourceRule) {
	m := &target.Spec.Match
	if r.Exclude != nil {
		c.note(append(path, "exclude"), "exclude is not converted: the policy judges what it left out")
	}
	filters := append(slices.Clone(r.Match.Any), r.Match.All...)
	everywhere := len(filters) == 0
	for _, f := range filters {
		resources := f.Resources
		everywhere = everywhere || len(resources.Namespaces) == 0
		m.Namespaces = append(m.Namespaces, resources.Namespaces...)
		if len(filters) == 1 && resources.NamespaceSelector != nil {
			m.NamespaceSelector = resources.NamespaceSelector
			resources.NamespaceSelector = nil
		}
		resources.Namespaces, resources.Kinds = nil, nil
		if !reflect.DeepEqual(resources, sourceResources{}) {
			c.note(append(path, "match"), "match by names, operations, labels, annotations or several selectors is not converted: the policy judges workloads whatever they say of themselves")
		}
	}
	if everywhere {
		m.Namespaces = nil
	}
	if c.source.Kind == "Policy" {
		m.Namespaces = []string{c.source.Metadata.Namespace}
	}
	slices.Sort(m.Namespaces)
	m.Namespaces = slices.Compact(m.Namespaces)
}

// images converts image patterns.
func (c *converter) images(path []string, target *targetPolicy, v sourceVerify) {
	m := &target.Spec.Match
	for i, pattern := range v.ImageReferences {
		host, _, _ := strings.Cut(pattern, "/")
		if !strings.HasPrefix(pattern, "*") && !strings.ContainsAny(host, ".:*?") && host != "localhost" {
			c.note(append(path, "imageReferences", strconv.Itoa(i)), "%q begins with no registry: it is docker.io's", pattern)
			pattern = "docker.io/" + pattern
		}
		m.Images = append(m.Images, pattern)
	}
	for i, pattern := range v.SkipImageReferences {
		name, _, _ := strings.Cut(pattern[strings.LastIndex(pattern, "/")+1:], "@")
		if strings.Contains(name, ":") {
			c.note(append(path, "skipImageReferences", strconv.Itoa(i)), "%q is not converted: a tag can stand before any digest, and exempts nothing", pattern)
			continue
		}
		m.ExcludeImages = append(m.ExcludeImages, pattern)
	}
	if v.MutateDigest != nil && !*v.MutateDigest || v.VerifyDigest != nil && !*v.VerifyDigest || v.Required != nil && !*v.Required {
		c.note(path, "mutateDigest, verifyDigest and required have no place: the door resolves a tag once and pins what it judged, and what is not verified is denied")
	}
	if v.ImageRegistryCredentials != nil {
		c.note(append(path, "imageRegistryCredentials"), "credentials are the door's, not the policy's")
	}
}

// action converts failureAction.
func (c *converter) action(path []string, target *targetPolicy, v sourceVerify) {
	action := v.FailureAction
	for _, written := range []string{c.source.Spec.FailureAction, c.source.Spec.ValidationFailureAction} {
		if action == "" {
			action = written
		}
	}
	switch strings.ToLower(action) {
	case "audit":
		target.Spec.Action = "Audit"
	case "":
		c.note(path, "failureAction is not set, which Kyverno takes for Audit; the converted policy enforces")
	}
}

// signers are the parties of one EvidencePolicy.
type signers struct {
	*converter
	list []targetSigner
}

// set converts a set of attestors: the names of its signers, and how many of
// them must have signed.
func (s *signers) set(path []string, set sourceAttestors) (names []string, threshold int, ok bool) {
	for i, entry := range set.Entries {
		at := append(path[:len(path):len(path)], "entries", strconv.Itoa(i))
		one := s.entry
		if entry.Attestor != nil {
			one = s.alone
		}
		made, why := one(at, entry)
		if why != "" {
			s.lose(at, "%s", why)
			return nil, 0, false
		}
		for _, party := range made {
			names = append(names, s.add(party))
		}
	}
	threshold = len(names)
	if set.Count != nil && *set.Count > 0 {
		threshold = *set.Count
	}
	if len(names) == 0 || threshold > len(names) {
		s.lose(path, "needs %d of %d signers", threshold, len(names))
		return nil, 0, false
	}
	if threshold == 1 {
		threshold = 0
	}
	return names, threshold, true
}

// alone converts a set within a set, which has a place where it is one signer.
func (s *signers) alone(path []string, e sourceEntry) (made []targetSigner, why string) {
	const no = "a set of attestors within another is not converted, unless it is one signer"
	if len(e.Attestor.Entries) != 1 || e.Attestor.Entries[0].Attestor != nil || e.Attestor.Count != nil && *e.Attestor.Count > 1 {
		return nil, no
	}
	made, why = s.entry(append(path[:len(path):len(path)], "attestor", "entries", "0"), e.Attestor.Entries[0])
	if why == "" && len(made) != 1 {
		why = no
	}
	return made, why
}

// add gives the name of a signer, the same for the same.
func (s *signers) add(one targetSigner) string {
	for _, known := range s.list {
		one.Name = known.Name
		if reflect.DeepEqual(known, one) {
			return known.Name
		}
	}
	one.Name = "signer-" + strconv.Itoa(len(s.list)+1)
	s.list = append(s.list, one)
	return one.Name
}

// entry converts one attestor; why says why it cannot be.
func (s *signers) entry(path []string, e sourceEntry) (made []targetSigner, why string) {
	switch {
	case e.Certificates != nil:
		return s.certificate(path, *e.Certificates)
	case len(e.Annotations) > 0:
		return nil, "annotations of signatures are not converted"
	case e.Repository != "":
		return nil, "a repository for signatures is not converted"
	case e.Keys != nil:
		return s.keys(path, *e.Keys)
	case e.Keyless != nil:
		return s.keyless(path, *e.Keyless)
	}
	return nil, "names no key and no identity"
}

func (s *signers) keys(path []string, k sourceKeys) (made []targetSigner, why string) {
	log := k.Rekor == nil || !k.Rekor.IgnoreTlog
	if log {
		s.note(path, "an entry of the transparency log is demanded, of a log that the door's trusted root lists")
	}
	if k.Rekor != nil && k.Rekor.PubKey != "" || k.CTLog != nil && (k.CTLog.PubKey != "" || k.CTLog.TSACertChain != "") {
		return nil, "keys of logs and timestamp authorities are not converted: put them into a trusted root (assay trust init)"
	}
	if k.Algorithm != "" && k.Algorithm != "sha256" {
		return nil, fmt.Sprintf("signatureAlgorithm %s is not converted", k.Algorithm)
	}
	add := func(key targetKey) { made = append(made, targetSigner{Keys: []targetKey{key}, RequireLog: log}) }
	switch {
	case k.KMS != "":
		add(targetKey{Ref: k.KMS})
	case k.Secret != nil:
		add(targetKey{Ref: "k8s://" + k.Secret.Namespace + "/" + k.Secret.Name})
	case strings.Contains(k.PublicKeys, "-----BEGIN"):
		rest := []byte(k.PublicKeys)
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			add(targetKey{PublicKey: string(pem.EncodeToMemory(block))})
		}
	case strings.Contains(k.PublicKeys, "{{"):
		return nil, "a key that is computed is not converted"
	case k.PublicKeys != "":
		add(targetKey{Ref: k.PublicKeys})
	}
	if len(made) == 0 {
		return nil, "has no public key that can be read"
	}
	return made, ""
}

// certificate converts a certificate that is named itself. One that is only
// known by its issuer has no place: whoever that issues to could sign.
func (s *signers) certificate(path []string, c sourceCertificate) (made []targetSigner, why string) {
	log := c.Rekor == nil || !c.Rekor.IgnoreTlog
	switch {
	case !strings.Contains(c.Cert, "-----BEGIN"):
		return nil, "certificates are converted where cert has one in PEM: put authorities into a trusted root, and name identities"
	case c.Rekor != nil && c.Rekor.PubKey != "" || c.CTLog != nil && (c.CTLog.PubKey != "" || c.CTLog.TSACertChain != ""):
		return nil, "keys of logs and timestamp authorities are not converted: put them into a trusted root (assay trust init)"
	}
	if c.CertChain != "" {
		s.note(append(path, "certificates", "certChain"), "certChain is left out: the policy names the certificate itself, which counts while it is valid")
	}
	if log {
		s.note(path, "an entry of the transparency log is demanded, of a log that the door's trusted root lists")
	}
	return []targetSigner{{Keys: []targetKey{{Certificate: c.Cert}}, RequireLog: log}}, ""
}

func (s *signers) keyless(path []string, k sourceKeyless) (made []targetSigner, why string) {
	if k.Roots != "" || k.Rekor != nil && k.Rekor.PubKey != "" || k.CTLog != nil && (k.CTLog.PubKey != "" || k.CTLog.TSACertChain != "") {
		return nil, "roots and keys of logs are not converted: put them into a trusted root (assay trust init)"
	}
	i := targetIdentity{SubjectRegexp: anchored(k.SubjectRegExp), IssuerRegexp: anchored(k.IssuerRegExp)}
	i.Subject, i.SubjectRegexp = wildcard(k.Subject, i.SubjectRegexp)
	i.Issuer, i.IssuerRegexp = wildcard(k.Issuer, i.IssuerRegexp)
	if i.Subject+i.SubjectRegexp == "" || i.Issuer+i.IssuerRegexp == "" {
		return nil, "keyless without a subject or without an issuer means anybody"
	}
	for name, value := range k.AdditionalExtensions {
		exact, expression := wildcard(value, "")
		target := &i.Extensions
		if exact == "" {
			target, exact = &i.ExtensionRegexps, expression
		}
		if *target == nil {
			*target = map[string]string{}
		}
		if name == "githubWorkflowSha" {
			name = "githubWorkflowSHA"
		}
		(*target)[name] = exact
	}
	signer := targetSigner{Identities: []targetIdentity{i}, InsecureIgnoreLog: k.Rekor != nil && k.Rekor.IgnoreTlog, InsecureIgnoreSCT: k.CTLog != nil && k.CTLog.IgnoreSCT}
	s.note(path, "certificates are verified with the door's trusted root")
	return []targetSigner{signer}, ""
}

// anchored is an expression of Kyverno's, which matches any part of a text, as
// one that matches all of it.
func anchored(expression string) string {
	if expression == "" {
		return ""
	}
	if rest, found := strings.CutPrefix(expression, "^"); found {
		expression = rest
	} else if !strings.HasPrefix(expression, ".*") {
		expression = ".*" + expression
	}
	if rest, found := strings.CutSuffix(expression, "$"); found && !strings.HasSuffix(rest, `\`) {
		return rest
	}
	if !strings.HasSuffix(expression, ".*") {
		expression += ".*"
	}
	return expression
}

// wildcard is a text with Kyverno's wildcards: as it is where it has none, and
// as an expression where it does. One that is given already stays.
func wildcard(text, expression string) (exact, regexpText string) {
	if !strings.ContainsAny(text, "*?") {
		return text, expression
	}
	quoted := regexp.QuoteMeta(text)
	return "", strings.ReplaceAll(strings.ReplaceAll(quoted, `\*`, ".*"), `\?`, ".")
}

// conditions converts the conditions of an attestation: what has no translation
// becomes a check that never holds.
func (c *converter) conditions(path []string, uri string, conditions raw) (checks []targetCheck, age time.Duration) {
	translated, err := kyverno.Translate(conditions, predicate.TimeField(uri))
	if err != nil {
		translated = []kyverno.Translated{{Lost: err}}
	}
	for i, t := range translated {
		name := "condition-" + strconv.Itoa(i+1)
		switch {
		case t.Lost != nil:
			c.note(append(path, "conditions"), "%s of %s is not converted, and never holds: %v", name, uri, t.Lost)
			checks = append(checks, targetCheck{Name: name, Expr: "false", Message: "this condition could not be converted; write it in CEL"})
		case t.MaxAge > 0:
			if age == 0 || t.MaxAge < age {
				age = t.MaxAge
			}
		default:
			checks = append(checks, targetCheck{Name: name, Expr: t.Expr, Message: t.Message})
		}
	}
	return checks, age
}
