package cel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/predicate"
)

// Finding is a vulnerability as checks see it.
type Finding struct {
	ID         string   `cel:"id"`
	Aliases    []string `cel:"aliases"`
	Package    string   `cel:"package"`
	PURL       string   `cel:"purl"`
	Installed  string   `cel:"installed"`
	Fixed      string   `cel:"fixed"`
	Severity   string   `cel:"severity"`
	Score      float64  `cel:"score"`
	Dependency string   `cel:"dependency"`
	Path       string   `cel:"path"`
	Line       int64    `cel:"line"`
}

// Scan is a vulnerability scan as checks see it. Packages is -1 where the
// predicate does not say how many were tested.
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

// Database is the advisories of a scan.
type Database struct {
	URI        string    `cel:"uri"`
	Version    string    `cel:"version"`
	Sample     bool      `cel:"sample"`
	LastUpdate time.Time `cel:"lastUpdate"`
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

// Claim is the verified evidence, as checks see it. Time is the zero time
// where the type has none.
type Claim struct {
	Type   string    `cel:"type"`
	Signer string    `cel:"signer"`
	Tool   string    `cel:"tool"`
	Time   time.Time `cel:"time"`
}

// Request is the workload, as checks see it.
type Request struct {
	Kind      string `cel:"kind"`
	Namespace string `cel:"namespace"`
	Name      string `cel:"name"`
}

// check is a compiled expression.
type check struct {
	source  v1alpha1.Check
	program celgo.Program
}

// environment declares what expressions of a family may name. The predicate is
// open data; everything else is typed, so that a misspelt field is an error
// when the policy is loaded.
func environment(family string) (*celgo.Env, error) {
	object := func(v any) *celgo.Type { return celgo.ObjectType("cel." + reflect.TypeOf(v).Name()) }
	options := []celgo.EnvOption{
		ext.NativeTypes(reflect.TypeFor[Finding](), reflect.TypeFor[Scan](), reflect.TypeFor[Unresolved](), reflect.TypeFor[Database](),
			reflect.TypeFor[Component](), reflect.TypeFor[Image](), reflect.TypeFor[Claim](), reflect.TypeFor[Request](), ext.ParseStructTags(true)),
		ext.Strings(), ext.Lists(), ext.Sets(), ext.Math(),
		celgo.Variable("predicate", celgo.DynType),
		celgo.Variable("image", object(Image{})),
		celgo.Variable("claim", object(Claim{})),
		celgo.Variable("request", object(Request{})),
		celgo.Variable("now", celgo.TimestampType),
	}
	switch family {
	case predicate.TypeCosignVuln:
		options = append(options, celgo.Variable("findings", celgo.ListType(object(Finding{}))), celgo.Variable("scan", object(Scan{})))
	case predicate.TypeCycloneDX, predicate.TypeSPDX:
		options = append(options, celgo.Variable("components", celgo.ListType(object(Component{}))))
	}
	return celgo.NewEnv(options...)
}

func compileCheck(source v1alpha1.Check, family string) (check, error) {
	if (source.Expr == "") == (source.Deny == "") {
		return check{}, errors.New("want exactly one of expr (must be true) and deny (must be an empty list)")
	}
	env, err := environment(family)
	if err != nil {
		return check{}, fmt.Errorf("preparing CEL: %w", err)
	}
	text, field := source.Expr+source.Deny, "expr"
	if source.Deny != "" {
		field = "deny"
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return check{}, fmt.Errorf("%s: %s%s", field, strings.TrimSpace(err.Error()), hint(err, family))
	}
	output := ast.OutputType()
	switch {
	case field == "expr" && !output.IsExactType(celgo.BoolType) && !output.IsExactType(celgo.DynType):
		return check{}, fmt.Errorf("expr gives %s, want bool; a list that must be empty goes into deny", output)
	case field == "deny" && output.Kind() != types.ListKind && !output.IsExactType(celgo.DynType):
		return check{}, fmt.Errorf("deny gives %s, want a list; a condition that must be true goes into expr", output)
	}
	program, err := env.Program(ast, celgo.CostLimit(limit.PolicyCost), celgo.InterruptCheckFrequency(100), celgo.EvalOptions(celgo.OptOptimize))
	if err != nil {
		return check{}, fmt.Errorf("%s: %w", field, err)
	}
	return check{source: source, program: program}, nil
}

// hint explains the mistake that is made most: a variable of another family.
func hint(err error, family string) string {
	for name, families := range map[string]string{"findings": "vulnerability types (type: vuln)", "scan": "vulnerability types (type: vuln)", "components": "SBOM types (type: cyclonedx, spdx)"} {
		if strings.Contains(err.Error(), "undeclared reference to '"+name+"'") {
			return fmt.Sprintf("\n%s is there for %s; this requirement is of type %s", name, families, short(family))
		}
	}
	return ""
}

func (c check) variables(input policy.Input, scope policy.Scope, claim trust.Claim, v view) map[string]any {
	made, _ := claim.Time()
	variables := map[string]any{
		"predicate": v.predicate,
		"image": Image{Reference: input.Image.Registry + "/" + input.Image.Repository, Registry: input.Image.Registry, Repository: input.Image.Repository,
			Tag: input.Image.Tag, Digest: input.Image.Digest.String(), Platform: scope.Platform},
		"claim":   Claim{Type: claim.Type(), Signer: claim.Signer(), Tool: claim.Tool(), Time: made},
		"request": Request{Kind: input.Request.Kind, Namespace: input.Request.Namespace, Name: input.Request.Name},
		"now":     input.Now,
	}
	if v.report != nil {
		variables["findings"], variables["scan"] = v.findings, v.scan
	}
	if v.components != nil {
		variables["components"] = v.components
	}
	return variables
}

// make evaluates the check. What does not evaluate is broken, which denies; a
// done context is an error.
func (c check) make(ctx context.Context, variables map[string]any, result verdict.Check) (verdict.Check, error) {
	result.Name, result.Message, result.Remedy = c.source.Name, c.source.Message, c.source.Remedy
	result.Expected = c.source.Expr
	if c.source.Deny != "" {
		result.Expected = "nothing in " + c.source.Deny
	}
	value, _, err := c.program.ContextEval(ctx, variables)
	if ctx.Err() != nil {
		return verdict.Check{}, ctx.Err()
	}
	if err != nil {
		if strings.Contains(err.Error(), "cost limit") {
			err = errCost
		}
		result.Outcome, result.Found = verdict.Broken, "the check cannot be made: "+err.Error()
		return result, nil
	}
	if c.source.Expr != "" {
		if value == types.True {
			result.Outcome, result.Found = verdict.Passed, "it holds"
			return result, nil
		}
		if value != types.False {
			result.Outcome, result.Found = verdict.Broken, fmt.Sprintf("the expression gives %v, and not true or false", value.Type())
			return result, nil
		}
		result.Found = "it does not hold"
		return result, nil
	}
	list, ok := value.(traits.Lister)
	if !ok {
		result.Outcome, result.Found = verdict.Broken, fmt.Sprintf("the expression gives %v, and no list", value.Type())
		return result, nil
	}
	var items []string
	for it := list.Iterator(); it.HasNext() == types.True; {
		items = append(items, render(it.Next()))
	}
	if len(items) == 0 {
		result.Outcome, result.Found = verdict.Passed, "nothing"
		return result, nil
	}
	result.Found, result.Items = plural(len(items), "violation"), bounded(items)
	return result, nil
}

// render names a violation for people.
func render(value ref.Val) string {
	switch v := value.Value().(type) {
	case Finding:
		return v.String()
	case *Finding:
		return v.String()
	case Component:
		return strings.TrimSpace(v.Name+" "+v.Version) + licences(v.Licenses)
	case *Component:
		return strings.TrimSpace(v.Name+" "+v.Version) + licences(v.Licenses)
	case Unresolved:
		return v.Text + ": " + v.Reason
	case *Unresolved:
		return v.Text + ": " + v.Reason
	case string:
		return cut(v)
	}
	if native, err := value.ConvertToNative(reflect.TypeFor[map[string]any]()); err == nil {
		if text, err := json.Marshal(native); err == nil {
			return cut(string(text))
		}
	}
	return cut(fmt.Sprint(value.Value()))
}

func licences(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// cut keeps a denial readable, whatever a predicate holds.
func cut(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// String is a finding in one line.
func (f Finding) String() string {
	text := fmt.Sprintf("%s (%s) %s %s", f.ID, f.Severity, f.Package, f.Installed)
	if f.Fixed != "" {
		text += ", fixed in " + f.Fixed
	} else {
		text += ", no fix known"
	}
	if f.Path != "" {
		text += ", " + f.Path
		if f.Line > 0 {
			text += fmt.Sprintf(":%d", f.Line)
		}
	}
	return cut(text)
}

func findingsOf(report predicate.VulnerabilityReport) []Finding {
	list := []Finding{}
	for _, v := range report.Vulnerabilities {
		list = append(list, Finding{ID: v.ID, Aliases: v.Aliases, Package: v.Package, PURL: v.PURL, Installed: v.Installed, Fixed: v.Fixed,
			Severity: v.Severity, Score: v.Score, Dependency: v.Dependency, Path: v.Path, Line: int64(v.Line)})
	}
	return list
}

func scanOf(report predicate.VulnerabilityReport) Scan {
	scan := Scan{Scanner: report.Scanner, Packages: int64(report.Packages), Finished: report.Finished, Unresolved: []Unresolved{},
		Database: Database{URI: report.Database.URI, Version: report.Database.Version, Sample: report.Database.Sample, LastUpdate: report.Database.LastUpdate}}
	for _, u := range report.Unresolved {
		scan.Unresolved = append(scan.Unresolved, Unresolved{Name: u.Name, Text: u.Text, Reason: u.Reason, Path: u.Path})
	}
	return scan
}

func componentsOf(list []predicate.Component) []Component {
	components := []Component{}
	for _, c := range list {
		components = append(components, Component{Name: c.Name, Version: c.Version, PURL: c.PURL, Type: c.Type, Dependency: c.Dependency, Licenses: c.Licenses})
	}
	return components
}

// decode reads a predicate into maps and lists. Whole numbers become int64, so
// that "x == 0" compares as people expect.
func decode(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("the predicate is not JSON: %w", err)
	}
	return numbers(value), nil
}

func numbers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			v[key] = numbers(member)
		}
	case []any:
		for i, member := range v {
			v[i] = numbers(member)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	}
	return value
}
