package verdict

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// ToDo is a list of checks in the order in which a person would set about them:
// first what is missing, without which nothing can be judged, then what could
// not be made, then what failed and says what heals it. Checks that ended alike
// on several platforms are one, with the platforms in Platform.
func ToDo(checks []Check) []Check {
	var list []Check
	for _, c := range checks {
		i := slices.IndexFunc(list, func(known Check) bool { return alike(known, c) })
		if i < 0 {
			list = append(list, c)
			continue
		}
		if !slices.Contains(strings.Split(list[i].Platform, ", "), c.Platform) {
			list[i].Platform += ", " + c.Platform
		}
		for _, e := range c.Evidence {
			if !slices.Contains(list[i].Evidence, e) {
				list[i].Evidence = append(slices.Clip(list[i].Evidence), e)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Check) int { return cmp.Compare(urgency(a), urgency(b)) })
	return list
}

// alike says whether two checks differ in their platform and evidence only.
func alike(a, b Check) bool {
	if a.Platform == "" || b.Platform == "" {
		return false
	}
	a.Platform, b.Platform, a.Evidence, b.Evidence = "", "", nil, nil
	return reflect.DeepEqual(a, b)
}

func urgency(c Check) int {
	verified := slices.ContainsFunc(c.Evidence, func(e Evidence) bool { return e.Rejected == "" })
	switch {
	case c.Outcome == Failed && !verified:
		return 0
	case c.Outcome == Broken:
		return 1
	case c.Remedy != "":
		return 2
	}
	return 3
}
