package kyverno

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/engine/policy"
)

// known is an answer that may be missing. What is not known makes a rule apply,
// and never exempts.
type known uint8

const (
	no known = iota
	unknown
	yes
)

func sure(b bool) known {
	if b {
		return yes
	}
	return no
}

// both and either are and and or.
func both(list ...known) known   { return slices.Min(append(list, yes)) }
func either(list ...known) known { return slices.Max(append(list, no)) }

// view is what a rule looks at: the object of a request, or the pod that it
// makes.
type view struct {
	group, version, kind string
	// object is nil where it is not known.
	object map[string]any
	// pod says that this is the pod of another object.
	pod bool
}

type match struct {
	all     bool
	filters []filter
}

// filter holds where everything does that it asks for.
type filter struct {
	kinds                   []kindPattern
	names, namespaces       []glob
	annotations             [][2]glob
	labels, namespaceLabels *selector
	operations              []string
	subjects                []subjectSpec
	roles, clusterRoles     []string
}

type kindPattern struct{ group, version, kind glob }

// holds says whether all, or any, of the filters do.
func (m match) holds(v view, r policy.Request) known {
	if m.all {
		answer := yes
		for _, f := range m.filters {
			answer = both(answer, f.holds(v, r))
		}
		return answer
	}
	answer := no
	for _, f := range m.filters {
		answer = either(answer, f.holds(v, r))
	}
	return answer
}

func (f filter) holds(v view, r policy.Request) known {
	answer := both(f.ofKind(v), f.named(v), f.in(r), f.annotated(v), f.operated(r), f.asked(r))
	if f.labels != nil {
		labels, there := texts(v.object, "labels")
		answer = both(answer, f.labels.holds(labels, there))
	}
	if f.namespaceLabels != nil {
		answer = both(answer, f.namespaceLabels.holds(r.NamespaceLabels, r.NamespaceLabels != nil))
	}
	return answer
}

func (f filter) ofKind(v view) known {
	if len(f.kinds) == 0 {
		return yes
	}
	for _, k := range f.kinds {
		if k.kind.match(v.kind) && (v.version == "" || k.group.match(v.group) && k.version.match(v.version)) {
			return yes
		}
	}
	return no
}

// named compares the name, or what a name is generated from.
func (f filter) named(v view) known {
	if len(f.names) == 0 {
		return yes
	}
	metadata, ok := v.object["metadata"].(map[string]any)
	if !ok {
		return unknown
	}
	for _, field := range []string{"name", "generateName"} {
		if name, _ := metadata[field].(string); name != "" {
			return sure(matchAny(f.names, []string{name}))
		}
	}
	return unknown
}

func (f filter) in(r policy.Request) known {
	namespace := r.Namespace
	if r.Kind == "Namespace" && r.Group == "" {
		namespace = r.Name
	}
	switch {
	case len(f.namespaces) == 0:
		return yes
	case namespace == "":
		return unknown
	}
	return sure(matchAny(f.namespaces, []string{namespace}))
}

func (f filter) annotated(v view) known {
	if len(f.annotations) == 0 {
		return yes
	}
	annotations, there := texts(v.object, "annotations")
	if !there {
		return unknown
	}
	for _, wanted := range f.annotations {
		found := false
		for key, value := range annotations {
			found = found || wanted[0].match(key) && wanted[1].match(value)
		}
		if !found {
			return no
		}
	}
	return yes
}

func (f filter) operated(r policy.Request) known {
	operation := r.Operation
	if operation == "" {
		operation = "CREATE"
	}
	return sure(len(f.operations) == 0 || slices.Contains(f.operations, operation))
}

// asked compares who asks: each of roles, cluster roles and subjects that the
// filter has must name the user.
func (f filter) asked(r policy.Request) known {
	answer := yes
	if len(f.roles) > 0 {
		answer = both(answer, holder(r.User.Roles, f.roles))
	}
	if len(f.clusterRoles) > 0 {
		answer = both(answer, holder(r.User.ClusterRoles, f.clusterRoles))
	}
	if len(f.subjects) == 0 {
		return answer
	}
	if r.User.Name == "" {
		return both(answer, unknown)
	}
	return both(answer, sure(slices.ContainsFunc(f.subjects, func(s subjectSpec) bool { return s.is(r.User) })))
}

func holder(has, wanted []string) known {
	if has == nil {
		return unknown
	}
	return sure(slices.ContainsFunc(wanted, func(role string) bool { return slices.Contains(has, role) }))
}

func (s subjectSpec) is(u policy.User) bool {
	switch s.Kind {
	case "ServiceAccount":
		return pattern("system:serviceaccount:" + s.Namespace + ":" + s.Name).match(u.Name)
	case "Group":
		return matchAny([]glob{pattern(s.Name)}, u.Groups)
	}
	return pattern(s.Name).match(u.Name)
}

// texts are the labels or annotations of an object, and whether it is known
// what it has. Values that are no text are not there.
func texts(object map[string]any, field string) (map[string]string, bool) {
	if object == nil {
		return nil, false
	}
	list := map[string]string{}
	metadata, _ := object["metadata"].(map[string]any)
	written, _ := metadata[field].(map[string]any)
	for key, value := range written {
		if text, ok := value.(string); ok {
			list[key] = text
		}
	}
	return list, true
}

// empty says that a filter excludes nothing, as Kyverno takes it.
func (s matchSpec) empty() bool {
	return len(s.Any)+len(s.All)+len(s.Subjects)+len(s.Roles)+len(s.ClusterRoles) == 0 && s.Resources == nil
}

// compileMatch compiles match or exclude.
func (l loader) compileMatch(path []string, s matchSpec, exclude bool) (match, error) {
	direct := s.Resources != nil || len(s.Subjects)+len(s.Roles)+len(s.ClusterRoles) > 0
	forms := 0
	for _, there := range []bool{s.Any != nil, s.All != nil, direct} {
		if there {
			forms++
		}
	}
	if forms != 1 {
		return match{}, l.fail(path, "want either any or all, or resources directly")
	}
	m := match{all: s.All != nil}
	filters, key := s.Any, "any"
	if m.all {
		filters, key = s.All, "all"
	}
	if direct {
		f, err := l.filter(path, filterSpec{s.Resources, s.Subjects, s.Roles, s.ClusterRoles}, exclude)
		m.filters = append(m.filters, f)
		return m, err
	}
	for i, f := range filters {
		compiled, err := l.filter(at(path, key, strconv.Itoa(i)), f, exclude)
		if err != nil {
			return match{}, err
		}
		m.filters = append(m.filters, compiled)
	}
	if len(m.filters) == 0 {
		return match{}, l.fail(at(path, key), "is empty: the rule matches nothing")
	}
	return m, nil
}

// operations that ask for a workload.
var operations = []string{"CREATE", "UPDATE", "DELETE", "CONNECT"}

func (l loader) filter(path []string, s filterSpec, exclude bool) (filter, error) {
	f := filter{roles: s.Roles, clusterRoles: s.ClusterRoles, subjects: s.Subjects}
	for i, subject := range s.Subjects {
		place := at(path, "subjects", strconv.Itoa(i))
		switch {
		case subject.Kind != "User" && subject.Kind != "Group" && subject.Kind != "ServiceAccount":
			return f, l.fail(at(place, "kind"), "want User, Group or ServiceAccount, found %q", subject.Kind)
		case subject.Name == "" || subject.Kind == "ServiceAccount" && subject.Namespace == "":
			return f, l.fail(place, "want a name, and of a ServiceAccount its namespace")
		}
	}
	users := len(s.Subjects)+len(s.Roles)+len(s.ClusterRoles) > 0
	if s.Resources == nil {
		if !users {
			return f, l.fail(path, "is empty: want resources, subjects, roles or clusterRoles")
		}
		return f, nil
	}
	place, r := at(path, "resources"), *s.Resources
	if len(r.Kinds) == 0 && !exclude {
		return f, l.fail(at(place, "kinds"), "is empty")
	}
	for i, kind := range r.Kinds {
		compiled, err := l.kind(at(place, "kinds", strconv.Itoa(i)), kind)
		if err != nil {
			return f, err
		}
		f.kinds = append(f.kinds, compiled)
	}
	if r.Name != "" && len(r.Names) > 0 {
		return f, l.fail(place, "name and names both stand here; leave one out")
	}
	names := r.Names
	if r.Name != "" {
		names = []string{r.Name}
	}
	for _, group := range []struct {
		field   string
		written []string
		into    *[]glob
	}{{"names", names, &f.names}, {"namespaces", r.Namespaces, &f.namespaces}} {
		for i, text := range group.written {
			if text == "" {
				return f, l.fail(at(place, group.field, strconv.Itoa(i)), "is empty")
			}
			if err := l.static(at(place, group.field, strconv.Itoa(i)), text); err != nil {
				return f, err
			}
			*group.into = append(*group.into, pattern(text))
		}
	}
	for key, value := range r.Annotations {
		if err := l.static(at(place, "annotations", key), key, value); err != nil {
			return f, err
		}
		f.annotations = append(f.annotations, [2]glob{pattern(key), pattern(value)})
	}
	for i, operation := range r.Operations {
		if !slices.Contains(operations, operation) {
			return f, l.fail(at(place, "operations", strconv.Itoa(i)), "want one of %s, found %q", strings.Join(operations, ", "), operation)
		}
	}
	f.operations = r.Operations
	var err error
	if f.labels, err = l.selector(at(place, "selector"), r.Selector); err != nil {
		return f, err
	}
	if f.namespaceLabels, err = l.selector(at(place, "namespaceSelector"), r.NamespaceSelector); err != nil {
		return f, err
	}
	if exclude && !users && len(f.kinds)+len(f.names)+len(f.namespaces)+len(f.annotations)+len(f.operations) == 0 && f.labels == nil && f.namespaceLabels == nil {
		return f, l.fail(place, "is empty: it would exclude everything")
	}
	return f, nil
}

// apiVersion is how a version, and not a group or a kind, is written.
var apiVersion = regexp.MustCompile(`^(v\d+((alpha|beta)\d+)?|\*)$`)

// kind reads KIND, VERSION/KIND, GROUP/VERSION/KIND and each with /SUBRESOURCE
// (or .SUBRESOURCE). Of subresources only a pod's ephemeralcontainers names
// images, and what it asks for is the pod with them.
func (l loader) kind(path []string, text string) (kindPattern, error) {
	if err := l.static(path, text); err != nil {
		return kindPattern{}, err
	}
	parts := strings.Split(text, "/")
	last, sub, hasSub := strings.Cut(parts[len(parts)-1], ".")
	parts[len(parts)-1] = last
	if hasSub {
		parts = append(parts, sub)
	}
	group, version, kind, subresource := "*", "*", "", ""
	switch {
	case len(parts) == 1:
		kind = parts[0]
	case len(parts) == 2 && (text == "*/*" || parts[0] == "*" && strings.ToLower(parts[1]) == parts[1]):
		kind, subresource = parts[0], parts[1]
	case len(parts) == 2 && apiVersion.MatchString(parts[0]):
		version, kind = parts[0], parts[1]
	case len(parts) == 2:
		kind, subresource = parts[0], parts[1]
	case len(parts) == 3 && apiVersion.MatchString(parts[0]):
		version, kind, subresource = parts[0], parts[1], parts[2]
	case len(parts) == 3:
		group, version, kind = parts[0], parts[1], parts[2]
	case len(parts) == 4:
		group, version, kind, subresource = parts[0], parts[1], parts[2], parts[3]
	}
	switch {
	case kind == "" || group == "" || version == "":
		return kindPattern{}, l.fail(path, "want [GROUP/][VERSION/]KIND, found %q", text)
	case subresource != "" && subresource != "*" && subresource != "ephemeralcontainers":
		return kindPattern{}, l.fail(path, "%q: of subresources only ephemeralcontainers names images", text)
	}
	return kindPattern{pattern(group), pattern(version), pattern(kind)}, nil
}
