package lint

import (
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/engine/policy/shape"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// Want is one kind of evidence that a policy asks for.
type Want struct {
	// Types are the predicate types that count.
	Types []string
	// At names the place in the policy; the rule and the message are empty.
	At remark.Remark
	// Reads are the places of the predicate that conditions look at, and may
	// not be missing for all that is known of the type.
	Reads []WantRead
}

// WantRead is one place of a predicate, and where the policy looks at it.
type WantRead struct {
	Path shape.Path
	// Spelled is the path as the policy writes it.
	Spelled string
	At      remark.Remark
}

// Wants are the kinds of evidence that a policy asks for, in the order in which
// it does.
func Wants(document strictyaml.Document) ([]Want, error) {
	root, err := read(document)
	if err != nil {
		return nil, err
	}
	l := &linter{document: document, object: document.Field("kind") + "/" + document.Field("metadata", "name"), gathers: true}
	if native(document) {
		l.evidencePolicy(root)
	} else if kyvernos(document) {
		l.kyvernoPolicy(root)
	}
	return l.wants, nil
}

// want notes that evidence of one of the types is asked for.
func (l *linter) want(at place, types ...string) {
	if l.gathers {
		l.wants = append(l.wants, Want{Types: types, At: l.remarkAt(at)})
	}
}

// wantRead notes that the evidence that was asked for last has to have a path.
func (l *linter) wantRead(at place, read shape.Read, prefix string, foreign bool) {
	if !l.gathers || len(l.wants) == 0 || read.Optional && !foreign {
		return
	}
	w := &l.wants[len(l.wants)-1]
	if !slices.ContainsFunc(w.Reads, func(r WantRead) bool { return slices.Equal(r.Path, read.Path) }) {
		w.Reads = append(w.Reads, WantRead{Path: read.Path, Spelled: prefix + read.Path.String(), At: l.remarkAt(at)})
	}
}

func (l *linter) remarkAt(at place) remark.Remark {
	line, column, _ := l.document.Position(at.path...)
	return remark.Remark{File: l.document.File, Line: line, Column: column, Object: l.object, Path: at.String()}
}
