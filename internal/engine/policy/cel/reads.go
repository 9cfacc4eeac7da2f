package cel

import (
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/seed-161fc314/assay/internal/engine/policy/shape"
	"github.com/seed-161fc314/assay/predicate"
)

// Looked is what an expression of a check reads.
type Looked struct {
	// Reads are the paths of the predicate.
	Reads []shape.Read
	// Variables are the variables that it names, each once.
	Variables []string
	// Loops are the lists that all() goes through, as the expression names them:
	// an empty one satisfies it. Sized are those whose size it asks for.
	Loops, Sized []string
	// Patterns are the regular expressions that matches() is given.
	Patterns []string
	// Identical are comparisons of a thing with itself.
	Identical []string
}

// Reads says what an expression over evidence of a type reads. ok is false where
// it does not compile: Load says why.
func Reads(expression, uri string) (l Looked, ok bool) {
	env, err := environment(predicate.Family(uri))
	if err != nil {
		return Looked{}, false
	}
	compiled, issues := env.Compile(expression)
	if issues.Err() != nil {
		return Looked{}, false
	}
	r := &reader{names: map[string]found{"predicate": {known: true}, "predicates": {known: true, lists: 1}}}
	r.node(compiled.NativeRep().Expr())
	return r.looked, true
}

// reader gathers what an expression reads.
type reader struct {
	looked Looked
	// names are the variables that are known to be places of the predicate.
	names map[string]found
	// optional counts the places around that say what holds where nothing is.
	optional int
}

// found is what a part of an expression gives: a place of the predicate, in so
// many lists; or, where known is false, anything.
type found struct {
	known bool
	path  shape.Path
	lists int
}

func (r *reader) note(path shape.Path) {
	if len(path) == 0 {
		return
	}
	for i, read := range r.looked.Reads {
		if n := len(read.Path); n < len(path) && slices.Equal(read.Path, path[:n]) && read.Compared == nil {
			r.looked.Reads[i].Path, r.looked.Reads[i].Optional = path, r.optional > 0
			return
		}
	}
	if !slices.ContainsFunc(r.looked.Reads, func(read shape.Read) bool { return slices.Equal(read.Path, path) }) {
		r.looked.Reads = append(r.looked.Reads, shape.Read{Path: path, Optional: r.optional > 0})
	}
}

func (f found) element() found {
	switch {
	case !f.known:
		return found{}
	case f.lists > 0:
		return found{known: true, path: f.path, lists: f.lists - 1}
	}
	return found{known: true, path: f.path.With(shape.Each())}
}

func (r *reader) node(e ast.Expr) found {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		if _, local := r.names[name]; !local || name == "predicate" || name == "predicates" {
			if !slices.Contains(r.looked.Variables, name) {
				r.looked.Variables = append(r.looked.Variables, name)
			}
		}
		return r.names[name]
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			r.optional++
			defer func() { r.optional-- }()
		}
		return r.field(r.node(e.AsSelect().Operand()), e.AsSelect().FieldName())
	case ast.CallKind:
		return r.call(e)
	case ast.ComprehensionKind:
		return r.loop(e.AsComprehension())
	case ast.ListKind:
		for _, element := range e.AsList().Elements() {
			r.node(element)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			r.node(entry.AsMapEntry().Key())
			r.node(entry.AsMapEntry().Value())
		}
	}
	return found{}
}

func (r *reader) field(of found, name string) found {
	if !of.known || of.lists > 0 {
		return found{}
	}
	path := of.path.With(shape.Field(name))
	r.note(path)
	return found{known: true, path: path}
}

func (r *reader) call(e ast.Expr) found {
	call := e.AsCall()
	name := call.FunctionName()
	var given []found
	if call.IsMemberFunction() {
		given = append(given, r.node(call.Target()))
	}
	for _, argument := range call.Args() {
		given = append(given, r.node(argument))
	}
	switch name {
	case operators.Index, operators.OptIndex:
		if key, ok := text(call.Args()[1]); ok {
			return r.field(given[0], key)
		}
		return given[0].element()
	case operators.OptSelect:
		if key, ok := text(call.Args()[1]); ok {
			r.optional++
			defer func() { r.optional-- }()
			return r.field(given[0], key)
		}
	case "orValue", "value", "hasValue", "optional.of", "reverse", "sort", "distinct":
		return given[0]
	case "flatten":
		if given[0].known && given[0].lists == 0 {
			return found{known: true, path: given[0].path.With(shape.Each(), shape.Merge()), lists: 1}
		}
	case operators.Conditional:
		return given[1]
	case operators.Equals, operators.NotEquals:
		r.compare(given[0], call.Args()[1])
		r.compare(given[1], call.Args()[0])
		if r.same(call.Args()[0], call.Args()[1]) {
			r.looked.Identical = append(r.looked.Identical, spelled(call.Args()[0]))
		}
	case operators.In:
		if call.Args()[1].Kind() == ast.ListKind {
			for _, element := range call.Args()[1].AsList().Elements() {
				r.compare(given[0], element)
			}
		}
	case "size":
		if call.IsMemberFunction() {
			r.looked.Sized = append(r.looked.Sized, spelled(call.Target()))
		} else if len(call.Args()) == 1 {
			r.looked.Sized = append(r.looked.Sized, spelled(call.Args()[0]))
		}
	case "matches":
		if pattern, ok := text(call.Args()[len(call.Args())-1]); ok {
			r.looked.Patterns = append(r.looked.Patterns, pattern)
		}
	}
	return found{}
}

func text(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

func (r *reader) compare(f found, other ast.Expr) {
	word, ok := text(other)
	if !ok || !f.known || f.lists > 0 {
		return
	}
	for i, read := range r.looked.Reads {
		if slices.Equal(read.Path, f.path) {
			r.looked.Reads[i].Compared = append(r.looked.Reads[i].Compared, word)
		}
	}
}

// spelled names a thing that is a variable, and fields of it; "" for others.
func spelled(e ast.Expr) string {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent()
	case ast.SelectKind:
		if of := spelled(e.AsSelect().Operand()); of != "" && !e.AsSelect().IsTestOnly() {
			return of + "." + e.AsSelect().FieldName()
		}
	}
	return ""
}

func (r *reader) same(a, b ast.Expr) bool { return spelled(a) != "" && spelled(a) == spelled(b) }

// loop follows all, exists, filter and map: the variable is an element of the
// list, and what a filter or map appends is what it gives a list of.
func (r *reader) loop(c ast.ComprehensionExpr) found {
	over := r.node(c.IterRange())
	r.isAll(c)
	variable := over.element()
	if variable.known && over.lists == 0 {
		r.note(variable.path)
	}
	outer, hidden := r.names[c.IterVar()]
	r.names[c.IterVar()] = variable
	r.names[c.AccuVar()] = found{}
	defer func() {
		delete(r.names, c.IterVar())
		delete(r.names, c.AccuVar())
		if hidden {
			r.names[c.IterVar()] = outer
		}
	}()
	r.node(c.LoopCondition())
	step := c.LoopStep()
	r.node(step)
	if step.Kind() == ast.CallKind && step.AsCall().FunctionName() == operators.Conditional {
		step = step.AsCall().Args()[1]
	}
	if step.Kind() == ast.CallKind && step.AsCall().FunctionName() == operators.Add {
		if added := step.AsCall().Args()[1]; added.Kind() == ast.ListKind && added.AsList().Size() == 1 {
			made := r.node(added.AsList().Elements()[0])
			made.lists++
			return made
		}
	}
	return found{}
}

// isAll notes a loop whose step is "accumulator and condition", which is all().
func (r *reader) isAll(c ast.ComprehensionExpr) {
	step := c.LoopStep()
	list := spelled(c.IterRange())
	if list != "" && step.Kind() == ast.CallKind && step.AsCall().FunctionName() == operators.LogicalAnd {
		r.looked.Loops = append(r.looked.Loops, list)
	}
}
