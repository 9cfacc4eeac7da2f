package cel

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// operandCount bounds how many values, and how many lists, a failed check
// looks into.
const operandCount = 4

// operands are the values that an expression looks at, outside of loops:
// fields, and sizes.
func operands(env *celgo.Env, compiled *celgo.Ast) []part {
	var found []part
	var walk func(e ast.NavigableExpr)
	walk = func(e ast.NavigableExpr) {
		if len(found) == operandCount {
			return
		}
		whole := e.Kind() == ast.SelectKind && !e.AsSelect().IsTestOnly() || e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "size"
		if whole {
			if text, err := celgo.ExprToString(e, compiled.NativeRep().SourceInfo()); err == nil {
				found = addPart(found, env, text, nil)
			}
			return
		}
		if e.Kind() == ast.ComprehensionKind || e.Kind() == ast.SelectKind {
			return
		}
		for _, child := range e.Children() {
			walk(child)
		}
	}
	walk(ast.NavigateAST(compiled.NativeRep()))
	return found
}

// culprits are, for all and exists over a list of findings, components or
// unresolved packages, the entries that decide: those that all should have
// excluded, and those that exists or filter found.
func culprits(env *celgo.Env, compiled *celgo.Ast) []part {
	info := compiled.NativeRep().SourceInfo()
	calls := info.MacroCalls()
	var found []part
	for _, id := range slices.Sorted(maps.Keys(calls)) {
		if calls[id].Kind() != ast.CallKind || len(found) == operandCount {
			continue
		}
		call := calls[id].AsCall()
		if !call.IsMemberFunction() || len(call.Args()) != 2 {
			continue
		}
		list, err := celgo.ExprToString(call.Target(), info)
		variable, err2 := celgo.ExprToString(call.Args()[0], info)
		condition, err3 := celgo.ExprToString(call.Args()[1], info)
		if errors.Join(err, err2, err3) != nil {
			continue
		}
		switch call.FunctionName() {
		case operators.All:
			condition = "!(" + condition + ")"
		case operators.Exists, operators.ExistsOne, operators.Filter:
		default:
			continue
		}
		found = addPart(found, env, fmt.Sprintf("%s.filter(%s, %s)", list, variable, condition),
			func(t *celgo.Type) bool {
				return t.Kind() == types.ListKind && slices.Contains([]string{object[Finding]().TypeName(), object[Component]().TypeName(), object[Unresolved]().TypeName()}, t.Parameters()[0].TypeName())
			})
	}
	return found
}

// addPart compiles a piece of an expression, where it stands alone and has a
// wanted type; nil wants any.
func addPart(list []part, env *celgo.Env, text string, wanted func(*celgo.Type) bool) []part {
	if slices.ContainsFunc(list, func(p part) bool { return p.text == text }) {
		return list
	}
	compiled, issues := env.Compile(text)
	if issues.Err() != nil || wanted != nil && !wanted(compiled.OutputType()) {
		return list
	}
	p, err := program(env, compiled)
	if err != nil {
		return list
	}
	return append(list, part{text, p})
}
