package cel

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	kubernetes "k8s.io/apiserver/pkg/cel/library"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

const (
	// expressionSize bounds the text of one expression, in code points.
	expressionSize = 16 << 10
	// rangeSize bounds lists.range.
	rangeSize = 10_000
)

// environment declares what expressions of a family may name. The predicate is
// open data; everything else is typed, so that a misspelt field is an error
// when the policy is loaded. The libraries are CEL's and those of Kubernetes,
// without its authorizer and its patches.
func environment(family string) (*celgo.Env, error) {
	native := []any{ext.ParseStructTags(true)}
	for _, t := range objects() {
		native = append(native, t)
	}
	ours := &library{}
	options := []celgo.EnvOption{
		celgo.OptionalTypes(), ext.Strings(), ext.Lists(ext.ListsMaxRangeSize(rangeSize)), ext.Sets(), ext.Math(), ext.TwoVarComprehensions(),
		kubernetes.URLs(), kubernetes.Regex(), kubernetes.Lists(), kubernetes.Quantity(), kubernetes.IP(), kubernetes.CIDR(), kubernetes.Format(),
		kubernetes.SemverLib(kubernetes.SemverVersion(1)),
		// Native types come last of the types: their provider takes no more.
		ext.NativeTypes(native...),
		celgo.CrossTypeNumericComparisons(true), celgo.EnableMacroCallTracking(),
		celgo.ParserExpressionSizeLimit(expressionSize),
		celgo.ASTValidators(celgo.ValidateDurationLiterals(), celgo.ValidateTimestampLiterals(), celgo.ValidateRegexLiterals()),
	}
	options = append(options, ours.functions()...)
	for _, v := range variables() {
		if v.has(family) {
			options = append(options, celgo.Variable(v.name, v.kind))
		}
	}
	env, err := celgo.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("preparing CEL: %w", err)
	}
	ours.adapter = env.CELTypeAdapter()
	return env, nil
}

// check is a compiled expression.
type check struct {
	source v1alpha1.Check
	expression
	// operands and culprits say, when the check does not hold, what was found:
	// the values it looked at, and the things in lists that made it fail.
	operands, culprits []part
}

// expression is a program, and what it looks at.
type expression struct {
	program metric
	// each says that it is about one piece of evidence, and is made for each;
	// inspects that it looks at the configuration of the image.
	each, inspects bool
}

// part is a piece of an expression.
type part struct {
	text    string
	program metric
}

// compiler compiles the expressions of one family.
type compiler struct {
	env    *celgo.Env
	family string
}

// check compiles a check. The error says what is wrong with its expression and,
// where that can be guessed, what was meant.
func (k compiler) check(source v1alpha1.Check) (check, error) {
	compiled, err := k.compile(source.Expr + source.Deny)
	if err != nil {
		return check{}, err
	}
	output := compiled.OutputType()
	switch {
	case source.Expr != "" && !output.IsExactType(celgo.BoolType) && !output.IsExactType(celgo.DynType):
		return check{}, fmt.Errorf("it gives %s, want bool; a list that must be empty goes into deny", output)
	case source.Deny != "" && output.Kind() != types.ListKind && !output.IsExactType(celgo.DynType):
		return check{}, fmt.Errorf("it gives %s, want a list; a condition that must be true goes into expr", output)
	}
	c := check{source: source}
	if c.expression, err = k.expression(compiled); err != nil {
		return check{}, err
	}
	if source.Expr != "" {
		c.operands, c.culprits = operands(k.env, compiled), culprits(k.env, compiled)
	}
	return c, nil
}

// condition compiles an expression about one piece of evidence.
func (k compiler) condition(text string) (expression, error) {
	compiled, err := k.compile(text)
	if err != nil {
		return expression{}, err
	}
	if output := compiled.OutputType(); !output.IsExactType(celgo.BoolType) && !output.IsExactType(celgo.DynType) {
		return expression{}, fmt.Errorf("it gives %s, want bool", output)
	}
	if mentions(compiled, "evidence") || mentions(compiled, "predicates") {
		return expression{}, errors.New("it chooses what is in evidence and predicates, and cannot look into them")
	}
	return k.expression(compiled)
}

// compile reads and checks an expression.
func (k compiler) compile(text string) (*celgo.Ast, error) {
	compiled, issues := k.env.Compile(text)
	if err := issues.Err(); err != nil {
		text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "ERROR: <input>:", "at ")
		return nil, fmt.Errorf("%s%s", text, hint(err.Error(), k.family))
	}
	if err := sane(compiled.NativeRep()); err != nil {
		return nil, err
	}
	return compiled, affordable(k.env, compiled)
}

func (k compiler) expression(compiled *celgo.Ast) (expression, error) {
	var e expression
	var err error
	for _, v := range variables() {
		e.each = e.each || v.one && mentions(compiled, v.name)
	}
	e.inspects = mentions(compiled, "image") && len(ast.MatchDescendants(ast.NavigateAST(compiled.NativeRep()), func(n ast.NavigableExpr) bool {
		return n.Kind() == ast.SelectKind && (n.AsSelect().FieldName() == "labels" || n.AsSelect().FieldName() == "config") || n.Kind() == ast.CallKind && n.AsCall().FunctionName() == "dyn"
	})) > 0
	e.program, err = program(k.env, compiled)
	return e, err
}

// mentions says whether an expression has a word as a variable.
func mentions(compiled *celgo.Ast, word string) bool {
	return len(ast.MatchDescendants(ast.NavigateAST(compiled.NativeRep()), func(n ast.NavigableExpr) bool {
		return n.Kind() == ast.IdentKind && n.AsIdent() == word
	})) > 0
}

// program plans an expression, which a meter bounds.
func program(env *celgo.Env, compiled *celgo.Ast) (metric, error) {
	planned, err := env.Program(compiled, metered(), celgo.InterruptCheckFrequency(100), celgo.EvalOptions(celgo.OptOptimize))
	m := metric{Program: planned, nodes: 1, dearness: 1, adapter: env.CELTypeAdapter()}
	for _, n := range ast.MatchDescendants(ast.NavigateAST(compiled.NativeRep()), func(ast.NavigableExpr) bool { return true }) {
		m.nodes = max(m.nodes, n.ID()+1)
		if n.Kind() != ast.CallKind {
			continue
		}
		switch n.AsCall().FunctionName() {
		case "matches", "find", "findAll":
			for _, child := range n.Children() {
				if pattern, ok := child.AsLiteral().(types.String); ok && child.Kind() == ast.LiteralKind {
					m.dearness = max(m.dearness, uint64(len(pattern))/4)
				}
			}
		}
	}
	return m, err
}

// metric is a program with what its meter needs to know.
type metric struct {
	celgo.Program
	// nodes is over the ids of all nodes; dearness is how much more than once
	// each character that is read may be looked at: regular expressions do that.
	nodes    int64
	dearness uint64
	adapter  types.Adapter
}

// hint explains the mistakes that are made most: a variable of another family,
// a misspelt field, variable or function.
func hint(message, family string) string {
	if _, rest, found := strings.Cut(message, "undefined field '"); found {
		field, _, _ := strings.Cut(rest, "'")
		var fields []string
		for _, t := range objects() {
			for i := range t.NumField() {
				fields = append(fields, t.Field(i).Tag.Get("cel"))
			}
		}
		return ownLine(strictyaml.Suggest(field, fields))
	}
	_, rest, found := strings.Cut(message, "undeclared reference to '")
	if !found {
		return ""
	}
	name, rest, _ := strings.Cut(rest, "'")
	if _, method, found := strings.Cut(rest, "undeclared reference to '"); found && slices.ContainsFunc(functionNames(), func(f string) bool { return strings.HasPrefix(f, name+".") }) {
		method, _, _ = strings.Cut(method, "'")
		name += "." + method // a namespace is no variable
	}
	var names []string
	for _, v := range variables() {
		switch {
		case v.has(family):
			names = append(names, v.name)
		case v.name == name:
			return fmt.Sprintf("\n%s is there for %s; this requirement is of type %s", name, v.of, short(family))
		}
	}
	return ownLine(strictyaml.Suggest(name, append(names, functionNames()...)))
}

// ownLine puts a suggestion below CEL's drawing of the place.
func ownLine(suggestion string) string {
	return strings.Replace(suggestion, "; ", "\n", 1)
}
