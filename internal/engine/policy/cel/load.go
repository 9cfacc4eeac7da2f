package cel

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// requirement is one kind of evidence, compiled.
type requirement struct {
	name    string
	uri     string
	family  string
	signers []trust.Signer
	maxAge  time.Duration
	checks  []check
}

// who names the signers.
func (r requirement) who() string {
	var names []string
	for _, s := range r.signers {
		names = append(names, s.Name)
	}
	return strings.Join(names, " or ")
}

// Load compiles one document; material gives what it names. The error has one
// line for each thing that is wrong, with file, line and place.
func Load(document strictyaml.Document, material policy.Material) (policy.Policy, error) {
	var object v1alpha1.EvidencePolicy
	if err := document.Decode(&object); err != nil {
		return nil, err
	}
	l := &loader{document: document, material: material}
	p := l.policy(object)
	if err := errors.Join(l.wrong...); err != nil {
		return nil, err
	}
	return p, nil
}

// loader gathers what is wrong with a policy.
type loader struct {
	document strictyaml.Document
	material policy.Material
	wrong    []error
}

// place is a path in the document; numbers are positions in lists.
type place []string

func (p place) at(steps ...any) place {
	next := slices.Clone(p)
	for _, step := range steps {
		next = append(next, fmt.Sprint(step))
	}
	return next
}

func (p place) String() string {
	var b strings.Builder
	for i, step := range p {
		_, err := strconv.Atoi(step)
		switch {
		case err == nil:
			b.WriteString("[" + step + "]")
		case i > 0:
			b.WriteString("." + step)
		default:
			b.WriteString(step)
		}
	}
	return b.String()
}

// fail notes a mistake at a place, or at the nearest thing above it that is
// there.
func (l *loader) fail(where place, format string, arguments ...any) {
	l.wrong = append(l.wrong, fmt.Errorf("%s:%d: %s: %w", l.document.File, l.document.LineOf(where...), where, fmt.Errorf(format, arguments...)))
}

// names says which of the names in a list are missing or given twice.
func (l *loader) names(where place, list []string) {
	for i, name := range list {
		switch {
		case strings.TrimSpace(name) == "":
			l.fail(where.at(i), "the name is missing")
		case slices.Index(list, name) < i:
			l.fail(where.at(i), "the name %q is given twice", name)
		}
	}
}

func (l *loader) policy(object v1alpha1.EvidencePolicy) *evidencePolicy {
	spec, at := object.Spec, place{"spec"}
	if object.APIVersion != APIVersion || object.Kind != Kind {
		l.fail(place{"apiVersion"}, "want apiVersion %s and kind %s, found %q and %q", APIVersion, Kind, object.APIVersion, object.Kind)
	}
	if strings.TrimSpace(object.Name) == "" {
		l.fail(place{"metadata"}, "the name is missing")
	}
	l.match(at.at("match"), spec.Match)
	signers := l.signers(at.at("signers"), spec.Signers)
	p := &evidencePolicy{name: Kind + "/" + object.Name, match: spec.Match, allowSample: spec.AllowSample}
	where := at.at("requirements")
	if len(spec.Requirements) == 0 {
		l.fail(where, "the list is empty, so the policy would ask for nothing")
	}
	var names []string
	for i, r := range spec.Requirements {
		names = append(names, r.Name)
		p.requirements = append(p.requirements, l.requirement(where.at(i), r, signers))
	}
	l.names(where, names)
	return p
}

func (l *loader) match(where place, m v1alpha1.Match) {
	if len(m.Images) == 0 {
		l.fail(where.at("images"), "the list is empty, so the policy would judge nothing; \"*\" judges everything")
	}
	for i, pattern := range m.Images {
		if err := imagePattern(pattern); err != nil {
			l.fail(where.at("images", i), "%q %w", pattern, err)
		}
	}
	for i, pattern := range m.ExcludeImages {
		name, _, _ := strings.Cut(pattern[strings.LastIndex(pattern, "/")+1:], "@")
		if err := imagePattern(pattern); err != nil {
			l.fail(where.at("excludeImages", i), "%q %w", pattern, err)
		} else if strings.Contains(name, ":") {
			l.fail(where.at("excludeImages", i), "%q has a tag, which can stand before any digest; exclude a repository or a digest", pattern)
		}
	}
	for i, pattern := range m.Namespaces {
		if strings.TrimSpace(pattern) == "" {
			l.fail(where.at("namespaces", i), "the pattern is empty")
		}
	}
}

// imagePattern refuses patterns that no normalised reference can match, or
// that match a registry by the beginning of its name.
func imagePattern(pattern string) error {
	host, _, hasRepository := strings.Cut(pattern, "/")
	switch {
	case strings.TrimSpace(pattern) != pattern || pattern == "":
		return errors.New("is empty, or has spaces around it")
	case strings.HasPrefix(pattern, "*"):
		return nil
	case !hasRepository:
		return fmt.Errorf("names no repository in a registry; want such as docker.io/library/python:* or registry.example.com/%s", strings.TrimPrefix(pattern, "/"))
	case !strings.ContainsAny(host, ".:*?") && host != "localhost":
		return fmt.Errorf("does not begin with a registry; did you mean docker.io/%s?", pattern)
	}
	return nil
}

func (l *loader) signers(where place, list []v1alpha1.Signer) map[string]trust.Signer {
	if len(list) == 0 {
		l.fail(where, "the list is empty: evidence that anybody could sign proves nothing")
	}
	signers := map[string]trust.Signer{}
	var names []string
	for i, s := range list {
		names = append(names, s.Name)
		if len(s.Keys) == 0 {
			l.fail(where.at(i, "keys"), "signer %q has no keys", s.Name)
		}
		signer := trust.Signer{Name: s.Name}
		for j, key := range s.Keys {
			signer.Keys = append(signer.Keys, l.key(where.at(i, "keys", j), s.Name, key)...)
		}
		signers[s.Name] = policy.Cast(l.material, signer)
	}
	l.names(where, names)
	return signers
}

func (l *loader) key(where place, name string, key v1alpha1.Key) []trust.Key {
	var signer trust.Signer
	var err error
	switch {
	case (key.File == "") == (key.PublicKey == ""):
		l.fail(where, "want exactly one of file and publicKey")
		return nil
	case key.File != "":
		if signer, err = l.material.Signer(key.File); err != nil {
			l.fail(where.at("file"), "signer %q: %w", name, err)
			return nil
		}
		signer.Keys = slices.Clone(signer.Keys)
	default:
		if signer, err = trust.ParseSigner(name, []byte(key.PublicKey)); err != nil {
			l.fail(where.at("publicKey"), "%w", err)
		}
	}
	notBefore, notAfter := l.moment(where.at("notBefore"), key.NotBefore), l.moment(where.at("notAfter"), key.NotAfter)
	if err := cosignkey.CheckWindow(notBefore, notAfter); err != nil {
		l.fail(where.at("notAfter"), "%w", err)
		return nil
	}
	for i := range signer.Keys {
		k := &signer.Keys[i]
		if notBefore.After(k.NotBefore) {
			k.NotBefore = notBefore
		}
		if !notAfter.IsZero() && (k.NotAfter.IsZero() || notAfter.Before(k.NotAfter)) {
			k.NotAfter = notAfter
		}
		if err := cosignkey.CheckWindow(k.NotBefore, k.NotAfter); err != nil {
			l.fail(where, "key %s, by its PEM headers and the policy together: %w", k.ID, err)
		}
	}
	return signer.Keys
}

// moment reads a bound of a key's validity; "" is none.
func (l *loader) moment(where place, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	moment, err := cosignkey.ParseTime(text)
	if err != nil {
		l.fail(where, "%w", err)
	}
	return moment
}

// timed are the families whose predicates say when they were made.
var timed = [...]string{predicate.TypeCosignVuln, predicate.TypeProvenanceV1, predicate.TypeProvenanceV02, predicate.TypeCycloneDX, predicate.TypeSPDX, predicate.TypeVSA}

func (l *loader) requirement(where place, r v1alpha1.Requirement, signers map[string]trust.Signer) requirement {
	uri, known := predicate.TypeOf(r.Type)
	compiled := requirement{name: r.Name, uri: uri, family: predicate.Family(uri)}
	if !known {
		l.fail(where.at("type"), "%q is no predicate type; want a URI, or one of %s%s", r.Type, strings.Join(shortNames[:], ", "), strictyaml.Suggest(r.Type, shortNames[:]))
	}
	if len(r.Signers) == 0 {
		l.fail(where.at("signers"), "the list is empty: evidence that anybody could sign proves nothing")
	}
	l.names(where.at("signers"), r.Signers)
	for i, name := range r.Signers {
		signer, known := signers[name]
		if !known {
			l.fail(where.at("signers", i), "%q is not among spec.signers%s", name, strictyaml.Suggest(name, keysOf(signers)))
		}
		compiled.signers = append(compiled.signers, signer)
	}
	if r.MaxAge != "" {
		age, err := time.ParseDuration(r.MaxAge)
		switch {
		case err != nil || age <= 0:
			l.fail(where.at("maxAge"), "%q: want a positive duration such as 168h or 90m", r.MaxAge)
		case known && !slices.Contains(timed[:], compiled.family):
			l.fail(where.at("maxAge"), "evidence of type %s does not say when it was made, so maxAge would deny all of it; leave it out", short(uri))
		}
		compiled.maxAge = age
	}
	var names []string
	for i, c := range r.Checks {
		names = append(names, c.Name)
		field := "expr"
		if c.Deny != "" {
			field = "deny"
		}
		if (c.Expr == "") == (c.Deny == "") {
			l.fail(where.at("checks", i), "want exactly one of expr (must be true) and deny (must be an empty list)")
		} else if known {
			check, err := compileCheck(c, compiled.family)
			if err != nil {
				l.fail(where.at("checks", i, field), "%w", err)
			}
			compiled.checks = append(compiled.checks, check)
		}
	}
	l.names(where.at("checks"), names)
	return compiled
}

func keysOf[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
