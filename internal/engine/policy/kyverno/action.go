package kyverno

import (
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
)

// action is what a check that does not hold does to the decision.
type action struct {
	base      verdict.Action
	overrides []override
}

type override struct {
	action     verdict.Action
	namespaces []glob
	labels     *selector
}

// in is the action for a request: that of the first override that covers its
// namespace. Where that is not known, the strictest of those that may.
func (a action) in(r policy.Request) verdict.Action {
	may := []verdict.Action{}
	for _, o := range a.overrides {
		covers := yes
		if len(o.namespaces) > 0 {
			covers = filter{namespaces: o.namespaces}.in(r)
		}
		if o.labels != nil {
			covers = both(covers, o.labels.holds(r.NamespaceLabels, r.NamespaceLabels != nil))
		}
		if covers != no {
			may = append(may, o.action)
		}
		if covers == yes {
			return slices.Min(may)
		}
	}
	return slices.Min(append(may, a.base))
}

// action compiles failureAction of one verifyImages, or else of the policy.
// Where neither says one it is Enforce.
func (l loader) action(path []string, spec policySpec, v verifySpec) (action, error) {
	audit := verdict.AuditOnly
	if spec.EmitWarning {
		audit = verdict.WarnOnly
	}
	read := func(place []string, text string) (verdict.Action, error) {
		switch strings.ToLower(text) {
		case "enforce":
			return verdict.Enforce, nil
		case "audit":
			return audit, nil
		}
		return verdict.Enforce, l.fail(place, "want Enforce or Audit, found %q", text)
	}
	var a action
	var err error
	type list struct {
		path      []string
		overrides []overrideSpec
	}
	lists := []list{{at(path, "failureActionOverrides"), v.FailureActionOverrides}}
	top := []string{"spec"}
	switch {
	case v.FailureAction != "":
		a.base, err = read(at(path, "failureAction"), v.FailureAction)
	case spec.FailureAction != "":
		a.base, err = read(at(top, "failureAction"), spec.FailureAction)
	case spec.ValidationFailureAction != "":
		a.base, err = read(at(top, "validationFailureAction"), spec.ValidationFailureAction)
	}
	if err != nil {
		return a, err
	}
	if v.FailureAction == "" {
		lists = append(lists, list{at(top, "failureActionOverrides"), spec.FailureActionOverrides},
			list{at(top, "validationFailureActionOverrides"), spec.ValidationFailureActionOverrides})
	}
	for _, group := range lists {
		for i, o := range group.overrides {
			place := at(group.path, strconv.Itoa(i))
			compiled := override{}
			if compiled.action, err = read(at(place, "action"), o.Action); err != nil {
				return a, err
			}
			for n, namespace := range o.Namespaces {
				if err := l.static(at(place, "namespaces", strconv.Itoa(n)), namespace); err != nil {
					return a, err
				}
				compiled.namespaces = append(compiled.namespaces, pattern(namespace))
			}
			if compiled.labels, err = l.selector(at(place, "namespaceSelector"), o.NamespaceSelector); err != nil {
				return a, err
			}
			if len(compiled.namespaces) == 0 && compiled.labels == nil {
				return a, l.fail(place, "covers nothing: want namespaces or a namespaceSelector")
			}
			a.overrides = append(a.overrides, compiled)
		}
	}
	if spec.Admission != nil && !*spec.Admission {
		// A policy that is not applied at admission keeps a record.
		return action{base: audit}, nil
	}
	return a, nil
}
