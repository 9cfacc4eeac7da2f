package licence

import (
	"fmt"
	"slices"
	"strings"
)

// Allowed is a list of licences that somebody allows.
type Allowed struct {
	// as is the list as it was written, ids as the licence list spells it.
	as, ids []string
}

// Allow reads a list of SPDX identifiers, each with or without an exception. An
// entry that is none is an error that names it.
func Allow(list []string) (Allowed, error) {
	a := Allowed{as: list}
	for _, text := range list {
		id := identifier(strings.TrimSpace(text))
		if id == "" {
			return Allowed{}, fmt.Errorf("%.100q is no licence of the SPDX list", text)
		}
		a.ids = append(a.ids, id)
	}
	return a, nil
}

// Covers says whether a licence statement can be satisfied with what is allowed:
// all of what AND joins, any of what OR joins. An exception to a licence that is
// allowed only permits more, and is covered; "or later" is covered where the
// list says so itself. A statement that is no SPDX expression is not covered.
func (a Allowed) Covers(statement string) bool {
	if slices.Contains(a.as, statement) {
		return true
	}
	n, err := tree(statement, identifier)
	return err == nil && a.covers(n)
}

func (a Allowed) covers(n node) bool {
	switch n.operator {
	case "AND":
		return !slices.ContainsFunc(n.kids, func(kid node) bool { return !a.covers(kid) })
	case "OR":
		return slices.ContainsFunc(n.kids, a.covers)
	}
	bare, _, _ := strings.Cut(n.licence, " WITH ")
	return slices.Contains(a.ids, n.licence) || slices.Contains(a.ids, bare)
}

// Identifiers are the licences that an SPDX expression names, each once and in
// the order in which they stand, with their exceptions.
func Identifiers(expression string) ([]string, error) {
	n, err := tree(expression, identifier)
	if err != nil {
		return nil, err
	}
	var ids []string
	var walk func(node)
	walk = func(n node) {
		if n.operator == "" && !slices.Contains(ids, n.licence) {
			ids = append(ids, n.licence)
		}
		for _, kid := range n.kids {
			walk(kid)
		}
	}
	walk(n)
	return ids, nil
}
