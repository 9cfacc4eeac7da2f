package cel

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// Finding is a vulnerability as checks see it, in the list findings.
type Finding struct {
	ID        string   `cel:"id"`
	Aliases   []string `cel:"aliases"`
	Package   string   `cel:"package"`
	PURL      string   `cel:"purl"`
	Installed string   `cel:"installed"`
	Fixed     string   `cel:"fixed"`
	Severity  string   `cel:"severity"`
	Score     float64  `cel:"score"`
	// KnownExploited is false and EPSS 0 where nothing is known; Database says
	// whether anybody looked.
	KnownExploited bool    `cel:"knownExploited"`
	EPSS           float64 `cel:"epss"`
	Dependency     string  `cel:"dependency"`
	Path           string  `cel:"path"`
	Line           int64   `cel:"line"`
}

// Scan is a vulnerability scan as checks see it. Packages is -1 where the
// predicate does not say how many were tested; times that it does not say are
// 1970-01-01.
type Scan struct {
	Scanner    string       `cel:"scanner"`
	Packages   int64        `cel:"packages"`
	Unresolved []Unresolved `cel:"unresolved"`
	Database   Database     `cel:"database"`
	Finished   time.Time    `cel:"finished"`
}

// Unresolved is a package that a scan could not test.
type Unresolved struct {
	Name   string `cel:"name"`
	Text   string `cel:"text"`
	Reason string `cel:"reason"`
	Path   string `cel:"path"`
}

// Database is the advisories of a scan; KEV and EPSS are the dates of what was
// known of attacks.
type Database struct {
	URI        string    `cel:"uri"`
	Version    string    `cel:"version"`
	Sample     bool      `cel:"sample"`
	LastUpdate time.Time `cel:"lastUpdate"`
	Current    time.Time `cel:"current"`
	KEV        time.Time `cel:"kev"`
	EPSS       time.Time `cel:"epss"`
}

// Component is an entry of an SBOM as checks see it.
type Component struct {
	Name       string   `cel:"name"`
	Version    string   `cel:"version"`
	PURL       string   `cel:"purl"`
	Type       string   `cel:"type"`
	Dependency string   `cel:"dependency"`
	Licenses   []string `cel:"licenses"`
}

// Image is what is being judged, as checks see it.
type Image struct {
	Reference  string `cel:"reference"`
	Registry   string `cel:"registry"`
	Repository string `cel:"repository"`
	Tag        string `cel:"tag"`
	Digest     string `cel:"digest"`
	Platform   string `cel:"platform"`
}

// Claim is the verified evidence, as checks see it. Time is 1970-01-01 where
// the type has none, and has(claim.time) is false.
type Claim struct {
	Type   string    `cel:"type"`
	Signer string    `cel:"signer"`
	Tool   string    `cel:"tool"`
	Time   time.Time `cel:"time"`
}

// Request is the workload, as checks see it; all empty where none is known.
type Request struct {
	Kind      string `cel:"kind"`
	Namespace string `cel:"namespace"`
	Name      string `cel:"name"`
}

// objects are the types of variables.
func objects() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[Finding](), reflect.TypeFor[Scan](), reflect.TypeFor[Unresolved](), reflect.TypeFor[Database](),
		reflect.TypeFor[Component](), reflect.TypeFor[Image](), reflect.TypeFor[Claim](), reflect.TypeFor[Request]()}
}

func object[T any]() *celgo.Type { return celgo.ObjectType("cel." + reflect.TypeFor[T]().Name()) }

const (
	// expressionSize bounds the text of one expression, in code points.
	expressionSize = 16 << 10
	// rangeSize bounds lists.range.
	rangeSize = 10_000
)

// environment declares what expressions of a family may name. The predicate is
// open data; everything else is typed, so that a misspelt field is an error
// when the policy is loaded.
func environment(family string) (*celgo.Env, error) {
	native := []any{ext.ParseStructTags(true)}
	for _, t := range objects() {
		native = append(native, t)
	}
	options := []celgo.EnvOption{
		// Native types come last of the types: their provider takes no more.
		celgo.OptionalTypes(), ext.Strings(), ext.Lists(ext.ListsMaxRangeSize(rangeSize)), ext.Sets(), ext.Math(), ext.NativeTypes(native...),
		celgo.CrossTypeNumericComparisons(true), celgo.EnableMacroCallTracking(),
		celgo.ParserExpressionSizeLimit(expressionSize),
		celgo.ASTValidators(celgo.ValidateDurationLiterals(), celgo.ValidateTimestampLiterals(), celgo.ValidateRegexLiterals()),
		celgo.Variable("predicate", celgo.DynType),
		celgo.Variable("image", object[Image]()),
		celgo.Variable("claim", object[Claim]()),
		celgo.Variable("request", object[Request]()),
		celgo.Variable("now", celgo.TimestampType),
	}
	switch family {
	case predicate.TypeCosignVuln:
		options = append(options, celgo.Variable("findings", celgo.ListType(object[Finding]())), celgo.Variable("scan", object[Scan]()))
	case predicate.TypeCycloneDX, predicate.TypeSPDX:
		options = append(options, celgo.Variable("components", celgo.ListType(object[Component]())))
	}
	return celgo.NewEnv(options...)
}

// check is a compiled expression.
type check struct {
	source  v1alpha1.Check
	program celgo.Program
	// operands and culprits say, when the check does not hold, what was found:
	// the values it looked at, and the things in lists that made it fail.
	operands, culprits []part
}

// part is a piece of an expression.
type part struct {
	text    string
	program celgo.Program
}

// compileCheck compiles an expression. The error says what is wrong with it
// and, where that can be guessed, what was meant.
func compileCheck(source v1alpha1.Check, family string) (check, error) {
	env, err := environment(family)
	if err != nil {
		return check{}, fmt.Errorf("preparing CEL: %w", err)
	}
	compiled, issues := env.Compile(source.Expr + source.Deny)
	if err := issues.Err(); err != nil {
		text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "ERROR: <input>:", "at ")
		return check{}, fmt.Errorf("%s%s", text, hint(err.Error(), family))
	}
	output := compiled.OutputType()
	switch {
	case source.Expr != "" && !output.IsExactType(celgo.BoolType) && !output.IsExactType(celgo.DynType):
		return check{}, fmt.Errorf("it gives %s, want bool; a list that must be empty goes into deny", output)
	case source.Deny != "" && output.Kind() != types.ListKind && !output.IsExactType(celgo.DynType):
		return check{}, fmt.Errorf("it gives %s, want a list; a condition that must be true goes into expr", output)
	}
	if err := sane(compiled.NativeRep()); err != nil {
		return check{}, err
	}
	c := check{source: source}
	if c.program, err = program(env, compiled); err != nil {
		return check{}, err
	}
	if source.Expr != "" {
		c.operands, c.culprits = operands(env, compiled), culprits(env, compiled)
	}
	return c, nil
}

func program(env *celgo.Env, compiled *celgo.Ast) (celgo.Program, error) {
	return env.Program(compiled, celgo.CostLimit(limit.PolicyCost), celgo.InterruptCheckFrequency(100), celgo.EvalOptions(celgo.OptOptimize))
}

// hint explains the mistakes that are made most: a variable of another family,
// a misspelt field or variable.
func hint(message, family string) string {
	for name, families := range map[string]string{"findings": "vulnerability types (type: vuln)", "scan": "vulnerability types (type: vuln)", "components": "SBOM types (type: cyclonedx, spdx)"} {
		if strings.Contains(message, "undeclared reference to '"+name+"'") {
			return fmt.Sprintf("\n%s is there for %s; this requirement is of type %s", name, families, short(family))
		}
	}
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
	if _, rest, found := strings.Cut(message, "undeclared reference to '"); found {
		name, _, _ := strings.Cut(rest, "'")
		return ownLine(strictyaml.Suggest(name, []string{"predicate", "image", "claim", "request", "now", "findings", "scan", "components"}))
	}
	return ""
}

// ownLine puts a suggestion below CEL's drawing of the place.
func ownLine(suggestion string) string {
	return strings.Replace(suggestion, "; ", "\n", 1)
}

// words are the fields that hold one of a few words.
func words(t, field string) []string {
	switch {
	case t == object[Finding]().TypeName() && field == "severity":
		return []string{"UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"}
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
		case name == "matches" && children[len(children)-1].Kind() != ast.LiteralKind:
			wrong = append(wrong, errors.New("the pattern of matches() must be written in the policy: what evidence says is never a pattern"))
		case name == "format" && children[0].Kind() != ast.LiteralKind:
			wrong = append(wrong, errors.New("the template of format() must be written in the policy: what evidence says is never a template"))
		case len(children) == 2:
			wrong = append(wrong, compares(name, children[0], children[1]), compares(name, children[1], children[0]))
		}
	}
	return errors.Join(wrong...)
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
