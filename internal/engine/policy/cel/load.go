package cel

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// Load compiles one document; material gives what it names. The error has one
// line for each thing that is wrong, with file, line and place.
func Load(document strictyaml.Document, material policy.Material) (policy.Policy, error) {
	var object v1alpha1.EvidencePolicy
	if err := document.Decode(&object); err != nil {
		return nil, err
	}
	l := &loader{document: document, material: material, compilers: map[string]compiler{}}
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
	// compilers are by family.
	compilers map[string]compiler
	wrong     []error
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
	p := &evidencePolicy{name: Kind + "/" + object.Name, match: spec.Match, allowSample: spec.AllowSample}
	l.match(at.at("match"), p)
	p.action = l.action(at, spec)
	signers := l.signers(at.at("signers"), spec.Signers)
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
	for i, e := range spec.Exceptions {
		p.exceptions = append(p.exceptions, l.exception(at.at("exceptions", i), e, p.requirements))
	}
	return p
}

func (l *loader) match(where place, p *evidencePolicy) {
	m := p.match
	if len(m.Images) == 0 {
		l.fail(where.at("images"), "the list is empty, so the policy would judge nothing; \"*\" judges everything")
	}
	for i, pattern := range m.Images {
		if err := imagePattern(pattern); err != nil {
			l.fail(where.at("images", i), "%q %w", pattern, err)
		}
	}
	l.untagged(where.at("excludeImages"), m.ExcludeImages)
	l.patterns(where.at("namespaces"), m.Namespaces)
	p.namespaces = l.selector(where.at("namespaceSelector"), m.NamespaceSelector)
	p.objects = l.selector(where.at("objectSelector"), m.ObjectSelector)
}

// untagged refuses patterns of images that a tag could fit.
func (l *loader) untagged(where place, patterns []string) {
	for i, pattern := range patterns {
		name, _, _ := strings.Cut(pattern[strings.LastIndex(pattern, "/")+1:], "@")
		if err := imagePattern(pattern); err != nil {
			l.fail(where.at(i), "%q %w", pattern, err)
		} else if strings.Contains(name, ":") {
			l.fail(where.at(i), "%q has a tag, which can stand before any digest; name a repository or a digest", pattern)
		}
	}
}

func (l *loader) patterns(where place, patterns []string) {
	for i, pattern := range patterns {
		if strings.TrimSpace(pattern) == "" {
			l.fail(where.at(i), "the pattern is empty")
		}
	}
}

// selector compiles a selector of labels; nil selects everything. One that is
// there and empty would too, and does not say what was meant.
func (l *loader) selector(where place, selector *metav1.LabelSelector) labels.Selector {
	if selector == nil {
		return nil
	}
	if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		l.fail(where, "the selector is empty; want matchLabels or matchExpressions, or no selector")
	}
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		l.fail(where, "%w", err)
	}
	return compiled
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

// moment reads a point in time; "" is none.
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

func keysOf[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
