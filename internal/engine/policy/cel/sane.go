package cel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/format/licence"
	"github.com/seed-161fc314/assay/internal/format/pep440"
)

// words are the fields that hold one of a few words.
func words(t, field string) []string {
	switch {
	case t == object[Finding]().TypeName() && field == "severity":
		return severities[:]
	case (t == object[Finding]().TypeName() || t == object[Component]().TypeName()) && field == "dependency":
		return []string{"installed", "declared", ""}
	}
	return nil
}

// sane refuses what is well-typed and never means what it says: comparing a
// severity with a word that no severity is, or by the alphabet; and what would
// make data a pattern or a template.
func sane(a *ast.AST) error {
	var wrong []error
	for _, e := range ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.CallKind)) {
		call := e.AsCall()
		children := e.Children()
		switch name := call.FunctionName(); {
		case (name == "matches" || name == "find" || name == "findAll") && !written(children[min(1, len(children)-1)]):
			wrong = append(wrong, fmt.Errorf("the pattern of %s() must be written in the policy: what evidence says is never a pattern", name))
		case name == "glob" && !written(children[0]):
			wrong = append(wrong, errors.New("the pattern of glob() must be written in the policy: what evidence says is never a pattern"))
		case name == "version.within" && !written(children[1]), name == "version.compare" && !written(children[0]):
			wrong = append(wrong, fmt.Errorf("what %s() holds versions against must be written in the policy", name))
		case name == "version.compare":
			if word, _ := children[0].AsLiteral().(types.String); !slices.Contains(ecosystems[:], string(word)) {
				wrong = append(wrong, fmt.Errorf("version.compare() knows no ecosystem %q; want one of %q", string(word), ecosystems))
			}
		case name == "version.within":
			if set, _ := children[1].AsLiteral().(types.String); set != "" {
				_, err := pep440.ParseSpecifiers(string(set))
				wrong = append(wrong, err)
			}
		case name == "atLeast":
			if word, ok := children[1].AsLiteral().(types.String); ok && written(children[1]) && !slices.Contains(severities[:], string(word)) {
				wrong = append(wrong, fmt.Errorf("%q is no severity; want one of %q", string(word), severities))
			}
		case name == "spdx.allows" || name == "among" || name == "purl.covers":
			wrong = append(wrong, entries(name, children))
		case name == "format" && children[0].Kind() != ast.LiteralKind:
			wrong = append(wrong, errors.New("the template of format() must be written in the policy: what evidence says is never a template"))
		case len(children) == 2:
			wrong = append(wrong, compares(name, children[0], children[1]), compares(name, children[1], children[0]))
		}
	}
	return errors.Join(wrong...)
}

// written says whether a text stands in the policy itself.
func written(e ast.NavigableExpr) bool { return e.Kind() == ast.LiteralKind }

// entries judges what a policy itself lists for a function: licences, or package
// URLs. What evidence says is judged when it is there.
func entries(function string, children []ast.NavigableExpr) error {
	list := children[0]
	if function == "among" {
		list = children[1]
	}
	literals := []ast.NavigableExpr{list}
	if list.Kind() == ast.ListKind {
		literals = list.Children()
	}
	for _, literal := range literals {
		text, ok := types.String(""), false
		if written(literal) {
			text, ok = literal.AsLiteral().(types.String)
		}
		if !ok {
			continue
		}
		var err error
		if function == "spdx.allows" {
			_, err = licence.Allow([]string{string(text)})
		} else if _, err = packageurl.FromString(string(text)); err != nil {
			err = fmt.Errorf("%q is no package URL: %w", string(text), err)
		}
		if err != nil {
			return fmt.Errorf("%s(): %w", function, err)
		}
	}
	return nil
}

// compares judges a comparison of a field, on one side, with what is on the
// other.
func compares(operator string, field, other ast.NavigableExpr) error {
	if field.Kind() != ast.SelectKind {
		return nil
	}
	known := words(field.Children()[0].Type().TypeName(), field.AsSelect().FieldName())
	if known == nil {
		return nil
	}
	name := field.AsSelect().FieldName()
	switch operator {
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return fmt.Errorf("%s is compared by the alphabet; list what you mean: %s in [%q, %q]", name, name, known[len(known)-2], known[len(known)-1])
	case operators.Equals, operators.NotEquals, operators.In:
	default:
		return nil
	}
	literals := []ast.NavigableExpr{other}
	if other.Kind() == ast.ListKind {
		literals = other.Children()
	}
	for _, literal := range literals {
		if literal.Kind() != ast.LiteralKind {
			continue
		}
		if word, ok := literal.AsLiteral().(types.String); !ok || !slices.Contains(known, string(word)) {
			return fmt.Errorf("%s is never %v; it is one of %q", name, literal.AsLiteral().Value(), known)
		}
	}
	return nil
}
