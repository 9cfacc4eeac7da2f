package shape

import (
	"slices"
	"strings"
)

type stepKind uint8

const (
	field stepKind = iota
	each
	merge
	whichever
)

// Step is one step into a predicate: [Field], [Each], [Merge] or [Whichever].
type Step struct {
	kind stepKind
	name string
}

// Field is the step to a field of an object.
func Field(name string) Step { return Step{kind: field, name: name} }

// Each is the step to the elements of a list, Merge to the elements of what is
// a list and to anything else itself (JMESPath's [] on lists of lists), and
// Whichever to the value of any field of an object.
func Each() Step { return Step{kind: each} }

// Merge is described with Each.
func Merge() Step { return Step{kind: merge} }

// Whichever is described with Each.
func Whichever() Step { return Step{kind: whichever} }

// Path leads from the top of a predicate to a place in it.
type Path []Step

// With is the path and more steps, in memory of its own.
func (p Path) With(steps ...Step) Path { return append(slices.Clone(p), steps...) }

// Name is the field that the first step names, "" where it names none.
func (p Path) Name() string {
	if len(p) == 0 {
		return ""
	}
	return p[0].name
}

// String is the path as people write it: scanner.result.Results[].Target.
func (p Path) String() string {
	var b strings.Builder
	for i, step := range p {
		switch {
		case step.kind == each || step.kind == merge && i > 0 && p[i-1].kind != each:
			b.WriteString("[]")
		case step.kind == whichever:
			b.WriteString(".*")
		case step.kind == merge:
		case !plainName(step.name):
			b.WriteString(`."` + step.name + `"`)
		default:
			b.WriteString("." + step.name)
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

func plainName(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// Read is one place of a predicate that a policy looks at.
type Read struct {
	Path Path
	// Optional says that the policy says what holds where nothing is there.
	Optional bool
	// Compared are the texts that what stands there is compared with for being
	// equal.
	Compared []string
}
