// Package shape knows which paths the predicates of known types can have.
//
// Entry points are [Of], the shape of a predicate type; [Shape.Follow], whether
// a path can be there and, where it cannot, what is near; and [Elsewhere], which
// other type says such a thing. [Read] is what the engines say that a policy
// reads. The shapes are written from the specifications (SLSA provenance and
// VSA, in-toto attestation predicates, cosign's vulnerability type with Trivy's
// report in it, CycloneDX 1.6, SPDX 2.3, OpenVEX) and from what package predicate
// writes.
//
// The package looks at no predicate and judges nothing: a path that can be there
// need not be there.
package shape

import (
	"maps"
	"slices"
	"strings"
)

// kind is what stands at a place of a predicate.
type kind uint8

const (
	scalar kind = iota
	object
	list
	anything
)

// node is one place of a predicate.
type node struct {
	kind   kind
	fields map[string]*node
	// rest is the value of every other field of an object, nil where there is
	// none; element is that of a list.
	rest, element *node
	// words are all that a text can be, where that is known.
	words []string
	// foreign says that other tools write this and Assay does not; loose that
	// the type leaves the content to the tool, and that what is listed is what
	// known tools write.
	foreign, loose bool
	// link is the name of the definition that stands here.
	link string
}

// Shape is what the predicates of a type look like.
type Shape struct {
	// Type is the predicate type, without the version of CycloneDX and SPDX.
	Type        string
	root        *node
	definitions map[string]*node
}

// follow gives the definition that a node links to.
func (s Shape) follow(n *node) *node {
	if n != nil && n.link != "" {
		target := *s.definitions[n.link]
		target.foreign, target.loose = target.foreign || n.foreign, target.loose || n.loose
		return &target
	}
	return n
}

// Place is what Follow found.
type Place struct {
	// Found says that the path can be there, or that the type leaves it open.
	Found bool
	// Open says that the type says nothing about what stands there.
	Open bool
	// Foreign is the part of the path that other tools write and Assay does
	// not, "" where there is none.
	Foreign string
	// Loose says that the type leaves the content to the tool, so that the path
	// is missing in what known tools write.
	Loose bool
	// Words are all that the text there can be; nil where that is not known.
	Words []string
	// Missing is the path up to the first step that cannot be there, Reason says
	// in words why, and Near is the nearest path that can be there, "" for none.
	Missing, Reason, Near string
}

// Follow says whether a path can be there.
func (s Shape) Follow(path Path) Place {
	current := s.follow(s.root)
	place := Place{Found: true}
	for i, step := range path {
		if current.foreign && place.Foreign == "" {
			place.Foreign = path[:i].String()
		}
		place.Loose = place.Loose || current.loose
		if current.kind == anything {
			place.Open = true
			return place
		}
		next, reason := s.step(current, step)
		if next == nil {
			place.Found, place.Missing, place.Reason = false, path[:i+1].String(), reason
			place.Near = s.near(path, i)
			return place
		}
		current = s.follow(next)
	}
	if current.foreign && place.Foreign == "" {
		place.Foreign = path.String()
	}
	place.Open = current.kind == anything
	place.Words = current.words
	return place
}

// leads says whether a path can be there.
func (s Shape) leads(path Path) bool {
	current := s.follow(s.root)
	for _, step := range path {
		next, _ := s.step(current, step)
		if next == nil {
			return current.kind == anything
		}
		current = s.follow(next)
	}
	return true
}

// step gives what one step leads to, or why it leads nowhere.
func (s Shape) step(from *node, step Step) (*node, string) {
	switch step.kind {
	case field:
		switch {
		case from.kind == list && s.has(from.element, step.name):
			return nil, "is a field of each element of a list, and not of the list; write [] before it"
		case from.kind == list:
			return nil, "is looked up in a list"
		case from.kind == scalar:
			return nil, "is looked up in a plain value, which has no fields"
		case from.fields[step.name] != nil:
			return from.fields[step.name], ""
		case from.rest != nil:
			return from.rest, ""
		case strings.Contains(step.name, "://"):
			return &node{kind: anything}, "" // an extension, named by a URI
		}
		return nil, ""
	case each:
		switch {
		case from.kind == list:
			return from.element, ""
		case from.kind == object && from.rest != nil && len(from.fields) == 0:
			return from.rest, ""
		case from.kind == object:
			return nil, "is an object and no list"
		}
		return nil, "is a plain value and no list"
	case merge:
		if from.kind == list {
			return from.element, ""
		}
		return from, ""
	}
	// Any value of an object.
	if from.kind == object {
		return &node{kind: anything}, ""
	}
	return nil, "has no fields"
}

func (s Shape) has(n *node, name string) bool {
	n = s.follow(n)
	return n != nil && (n.fields[name] != nil || n.kind == anything)
}

// Fields are the names at the top level, sorted.
func (s Shape) Fields() []string {
	return slices.Sorted(maps.Keys(s.follow(s.root).fields))
}

// Lists says whether a list stands at a path.
func (s Shape) Lists(path Path) bool {
	current := s.follow(s.root)
	for _, step := range path {
		next, _ := s.step(current, step)
		if next == nil {
			return false
		}
		current = s.follow(next)
	}
	return current.kind == list
}
