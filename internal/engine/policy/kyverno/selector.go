package kyverno

import (
	"slices"
	"strconv"
)

// selector is a label selector; the values and keys of matchLabels may have
// wildcards.
type selector struct {
	labels       [][2]glob
	requirements []requirementSpec
}

func (s *selector) holds(labels map[string]string, there bool) known {
	if !there {
		return unknown
	}
	for _, wanted := range s.labels {
		found := false
		for key, value := range labels {
			found = found || wanted[0].match(key) && wanted[1].match(value)
		}
		if !found {
			return no
		}
	}
	for _, r := range s.requirements {
		value, has := labels[r.Key]
		holds := false
		switch r.Operator {
		case "In":
			holds = has && slices.Contains(r.Values, value)
		case "NotIn":
			holds = !has || !slices.Contains(r.Values, value)
		case "Exists":
			holds = has
		case "DoesNotExist":
			holds = !has
		}
		if !holds {
			return no
		}
	}
	return yes
}

func (l loader) selector(path []string, s *selectorSpec) (*selector, error) {
	if s == nil {
		return nil, nil
	}
	compiled := &selector{requirements: s.MatchExpressions}
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return nil, l.fail(path, "is empty; want matchLabels or matchExpressions")
	}
	for key, value := range s.MatchLabels {
		if err := l.static(at(path, "matchLabels", key), key, value); err != nil {
			return nil, err
		}
		compiled.labels = append(compiled.labels, [2]glob{pattern(key), pattern(value)})
	}
	for i, r := range s.MatchExpressions {
		place := at(path, "matchExpressions", strconv.Itoa(i))
		lists := r.Operator == "In" || r.Operator == "NotIn"
		switch {
		case !lists && r.Operator != "Exists" && r.Operator != "DoesNotExist":
			return nil, l.fail(at(place, "operator"), "want In, NotIn, Exists or DoesNotExist, found %q", r.Operator)
		case r.Key == "":
			return nil, l.fail(at(place, "key"), "is missing")
		case lists != (len(r.Values) > 0):
			return nil, l.fail(at(place, "values"), "In and NotIn want values, the other operators none")
		}
	}
	return compiled, nil
}
