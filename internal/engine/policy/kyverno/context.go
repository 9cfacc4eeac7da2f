package kyverno

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/engine/policy"
)

// variable is one entry of a rule's context.
type variable struct {
	name string
	// data is a config map's.
	data map[string]any
	// value and path make a variable; fallback is its default.
	value, fallback *tree
	path            *expression
}

// given are the names that expressions have without a rule's context.
var given = []string{"request", "image", "images", "serviceAccountName", "serviceAccountNamespace", "target", "element", "elementIndex"}

// variableName is what stands alone in an expression.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// free says why a name cannot be given to a variable.
func free(name string, taken []string) error {
	switch {
	case !variableName.MatchString(name):
		return fmt.Errorf("%q is no name of a variable", name)
	case slices.Contains(given, name):
		return fmt.Errorf("%q is what expressions know already; name it otherwise", name)
	case slices.Contains(taken, name):
		return fmt.Errorf("the name %q is given twice", name)
	}
	return nil
}

// context compiles a rule's context. What would have to be asked for while an
// image is judged is refused: what decides stands in the policy, in config maps
// and in the request.
func (l loader) context(path []string, specs []contextSpec) ([]variable, error) {
	var list []variable
	var names []string
	for i, s := range specs {
		place := at(path, strconv.Itoa(i))
		if err := free(s.Name, names); err != nil {
			return nil, l.fail(at(place, "name"), "%w", err)
		}
		names = append(names, s.Name)
		for field, raw := range map[string]json.RawMessage{"apiCall": s.APICall, "imageRegistry": s.ImageRegistry, "globalReference": s.GlobalReference} {
			if written(raw) {
				return nil, l.fail(at(place, field), "is not supported: nobody is asked while an image is judged; put what it would find into a config map")
			}
		}
		if (s.ConfigMap == nil) == (s.Variable == nil) {
			return nil, l.fail(place, "want either configMap or variable")
		}
		v := variable{name: s.Name}
		var err error
		if s.ConfigMap != nil {
			v.data, err = l.configMap(at(place, "configMap"), *s.ConfigMap)
		} else {
			err = l.variable(at(place, "variable"), *s.Variable, &v)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (l loader) configMap(path []string, s configMapSpec) (map[string]any, error) {
	namespace := s.Namespace
	if namespace == "" {
		namespace = "default"
	}
	if strings.Contains(s.Name+namespace, "{{") || s.Name == "" {
		return nil, l.fail(path, "want the name and the namespace as static text: config maps are read when the policy is loaded")
	}
	found, err := l.material.ConfigMap(namespace, s.Name)
	if err != nil {
		return nil, l.fail(path, "%w", err)
	}
	data := make(map[string]any, len(found))
	for key, text := range found {
		data[key] = text
	}
	return map[string]any{"data": data, "metadata": map[string]any{"name": s.Name, "namespace": namespace}}, nil
}

func (l loader) variable(path []string, s variableSpec, v *variable) error {
	for _, part := range []struct {
		field string
		raw   json.RawMessage
		into  **tree
	}{{"value", s.Value, &v.value}, {"default", s.Default, &v.fallback}} {
		if !written(part.raw) {
			continue
		}
		value, err := decode(part.raw)
		if err != nil {
			return l.fail(at(path, part.field), "%w", err)
		}
		t, err := parseTree(value)
		if err != nil {
			return l.fail(at(path, part.field), "%w", err)
		}
		*part.into = &t
	}
	if s.JMESPath != "" {
		e, err := parseExpression(s.JMESPath, 0)
		if err != nil {
			return l.fail(at(path, "jmesPath"), "%w", err)
		}
		v.path = e
	}
	if v.value == nil && v.path == nil {
		return l.fail(path, "want value, jmesPath or both")
	}
	return nil
}

// find gives the variable's value. What was found is data, as all data is.
func (v variable) find(env *environment) (any, error) {
	if v.data != nil {
		return v.data, nil
	}
	value, err := v.search(env)
	if (err != nil || value == nil) && v.fallback != nil {
		found, fallbackErr := v.fallback.evaluate(env)
		return found.plain(), fallbackErr
	}
	if err == nil && value == nil {
		err = errors.New("nothing was found")
	}
	if err != nil {
		return nil, fmt.Errorf("variable %s: %w", v.name, err)
	}
	return value, nil
}

func (v variable) search(env *environment) (any, error) {
	if v.value == nil {
		return v.path.evaluate(env)
	}
	value, err := v.value.evaluate(env)
	if err != nil || v.path == nil {
		return value.plain(), err
	}
	return v.path.apply(env, value.plain())
}

// facts are what expressions see beside a predicate: facts that are not known
// are errors, by name.
type facts struct {
	values  map[string]any
	missing map[string]error
}

var (
	errNoWorkload = errors.New("asks about the workload, and none is known here; judge its manifest instead of the image alone")
	errNoUser     = errors.New("asks who wants the workload, and that is not known here")
)

// gather finds what a rule's expressions may ask for.
func gather(variables []variable, image policy.Image, r policy.Request, v view, env environment) facts {
	f := facts{values: map[string]any{"image": describeImage(image)}, missing: map[string]error{}}
	if r.Known {
		f.values["request"] = describeRequest(r, v)
	} else {
		f.missing["request"] = errNoWorkload
	}
	if account, ok := strings.CutPrefix(r.User.Name, "system:serviceaccount:"); ok {
		f.values["serviceAccountNamespace"], f.values["serviceAccountName"], _ = strings.Cut(account, ":")
	} else if r.User.Name != "" {
		f.values["serviceAccountNamespace"], f.values["serviceAccountName"] = "", ""
	} else {
		f.missing["serviceAccountNamespace"], f.missing["serviceAccountName"] = errNoUser, errNoUser
	}
	env.root, env.missing = f.values, f.missing
	for _, variable := range variables {
		value, err := variable.find(&env)
		f.set(variable.name, value, err)
	}
	return f
}

func (f facts) set(name string, value any, err error) {
	delete(f.values, name)
	delete(f.missing, name)
	if err != nil {
		f.missing[name] = err
	} else {
		f.values[name] = value
	}
}

func describeImage(image policy.Image) map[string]any {
	registry := image.Registry
	if registry == "index.docker.io" {
		registry = "docker.io"
	}
	full := registry + "/" + image.Repository
	described := map[string]any{
		"registry": registry, "path": image.Repository, "name": image.Repository[strings.LastIndex(image.Repository, "/")+1:],
		"digest": image.Digest.String(), "reference": full + "@" + image.Digest.String(),
	}
	if image.Tag != "" {
		described["tag"] = image.Tag
		described["referenceWithTag"] = full + ":" + image.Tag
	}
	return described
}

// describeRequest is the request as expressions see it. What is not known is
// not there, and looking it up is an error.
func describeRequest(r policy.Request, v view) map[string]any {
	asked := map[string]any{"kind": map[string]any{"group": r.Group, "version": r.Version, "kind": r.Kind}, "name": r.Name, "operation": "CREATE"}
	if r.Operation != "" {
		asked["operation"] = r.Operation
	}
	if r.Namespace != "" {
		asked["namespace"] = r.Namespace
	}
	if v.object != nil {
		asked["object"] = v.object
	} else {
		metadata := map[string]any{"name": r.Name}
		if r.Namespace != "" {
			metadata["namespace"] = r.Namespace
		}
		asked["object"] = map[string]any{"kind": r.Kind, "metadata": metadata}
	}
	if r.Old != nil && !v.pod {
		asked["oldObject"] = r.Old
	}
	if r.User.Name != "" {
		asked["userInfo"] = map[string]any{"username": r.User.Name, "groups": list(r.User.Groups)}
	}
	if r.User.Roles != nil {
		asked["roles"] = list(r.User.Roles)
	}
	if r.User.ClusterRoles != nil {
		asked["clusterRoles"] = list(r.User.ClusterRoles)
	}
	return asked
}

func list(texts []string) []any {
	result := make([]any, 0, len(texts))
	for _, text := range texts {
		result = append(result, text)
	}
	return result
}

// guard is a block of conditions that keeps a rule from applying, or that
// denies: what cannot be told is not taken for no.
type guard struct{ block }

// holds gives the answer with what was found.
func (g guard) holds(env *environment) (known, []outcome) {
	outcomes, _ := g.evaluate(env)
	answer := func(o outcome) known {
		if o.broken != nil || o.doubt != nil {
			return unknown
		}
		return sure(o.holds)
	}
	all, one := yes, no
	for i, o := range outcomes {
		if i < len(g.all) {
			all = both(all, answer(o))
		} else {
			one = either(one, answer(o))
		}
	}
	if !g.hasAny {
		one = yes
	}
	return both(all, one), outcomes
}

// guard compiles preconditions or the conditions of deny.
func (l loader) guard(path []string, name string, s *conditionsSpec) (*guard, error) {
	if s == nil {
		return nil, nil
	}
	b, err := l.conditionBlock(path, name, s.block, s.list)
	if err != nil {
		return nil, err
	}
	if b.hasAny && len(b.any) == 0 || b.hasAll && len(b.all) == 0 {
		return nil, l.fail(path, "has a list without conditions, which is as good as none; leave it out")
	}
	return &guard{b}, nil
}
