package cel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
)

// errCost says that an expression went over its bound.
var errCost = errors.New("the expression takes more work than its bound allows")

// spent names the bound that an evaluation went over.
func spent(err error) error {
	if err != nil && strings.Contains(err.Error(), "cost limit") {
		return errCost
	}
	return err
}

// make makes the check, and fills result. What does not evaluate is broken,
// which denies; a done context is an error.
func (c check) make(ctx context.Context, s *scene, result verdict.Check) (verdict.Check, error) {
	result.Name, result.Message, result.Remedy = c.source.Name, c.source.Message, c.source.Remedy
	result.Expected = c.source.Expr
	if c.source.Deny != "" {
		result.Expected = "nothing in " + c.source.Deny
	}
	value, err := c.evaluate(ctx, s)
	if ctx.Err() != nil {
		return verdict.Check{}, ctx.Err()
	}
	if err != nil {
		return broken(result, err.Error()), nil
	}
	var items []ref.Val
	switch {
	case c.source.Expr != "" && value == types.True:
		result.Outcome, result.Found = verdict.Passed, "it holds"
		return result, nil
	case c.source.Expr != "" && value != types.False:
		return broken(result, fmt.Sprintf("the expression gives %v, and not true or false", value.Type())), nil
	case c.source.Expr != "":
		result.Found = "it does not hold" + c.values(ctx, s)
		for _, p := range c.culprits {
			if list, err := p.program.evaluate(ctx, s); err == nil {
				items = append(items, listed(list)...)
			}
		}
	default:
		if _, ok := value.(traits.Lister); !ok {
			return broken(result, fmt.Sprintf("the expression gives %v, and no list", value.Type())), nil
		}
		items = listed(value)
		if len(items) == 0 {
			result.Outcome, result.Found = verdict.Passed, "nothing found"
			return result, nil
		}
		result.Found = plural(len(items), "violation")
	}
	result.Items = render(items)
	if result.Remedy == "" {
		result.Remedy = upgrade(items)
	}
	return result, ctx.Err()
}

func broken(result verdict.Check, why string) verdict.Check {
	result.Outcome, result.Found = verdict.Broken, "the check cannot be made: "+cut(why)
	if result.Remedy == "" {
		result.Remedy = "correct the expression in the policy, or attest evidence that says what it asks for"
	}
	return result
}

func listed(value ref.Val) []ref.Val {
	list, ok := value.(traits.Lister)
	if !ok {
		return nil
	}
	var items []ref.Val
	for it := list.Iterator(); it.HasNext() == types.True; {
		items = append(items, it.Next())
	}
	return items
}

// values spells what the expression looked at.
func (c check) values(ctx context.Context, s *scene) string {
	var spelled []string
	for _, p := range c.operands {
		if value, err := p.program.evaluate(ctx, s); err == nil {
			spelled = append(spelled, p.text+" is "+compact(value))
		}
	}
	if len(spelled) == 0 {
		return ""
	}
	return ": " + strings.Join(spelled, ", ")
}

// render names things, each once, up to limit.DenialItems.
func render(values []ref.Val) []string {
	var items []string
	seen := map[string]bool{}
	more := 0
	for _, value := range values {
		if len(items) == limit.DenialItems {
			more++
			continue
		}
		if text := item(value); !seen[text] {
			seen[text] = true
			items = append(items, text)
		}
	}
	if more > 0 {
		items = append(items, fmt.Sprintf("and %d more", more))
	}
	return items
}

// item names one thing for people.
func item(value ref.Val) string {
	switch v := value.Value().(type) {
	case Finding:
		return cut(v.String())
	case Component:
		return cut(v.String())
	case Unresolved:
		return cut(v.String())
	case string:
		return cut(v)
	}
	return compact(value)
}

// compact spells a value in JSON where it has a spelling there.
func compact(value ref.Val) string {
	switch v := value.(type) {
	case types.Timestamp, types.Duration:
		if text, ok := v.ConvertToType(types.StringType).(types.String); ok {
			return string(text)
		}
	}
	native, err := value.ConvertToNative(types.JSONValueType)
	if err == nil {
		if text, err := json.Marshal(native); err == nil {
			return cut(string(text))
		}
	}
	return cut(fmt.Sprint(value.Value()))
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
	text := strings.TrimRight(fmt.Sprintf("%s (%s) %s %s", f.ID, f.Severity, f.Package, f.Installed), " ")
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
	return text
}

// String is a component in one line.
func (c Component) String() string {
	text := strings.TrimSpace(c.Name + " " + c.Version)
	if len(c.Licenses) > 0 {
		text += " (" + strings.Join(c.Licenses, ", ") + ")"
	}
	if c.Dependency != "" {
		text += ", " + c.Dependency
	}
	return text
}

// String is an unresolved package in one line.
func (u Unresolved) String() string {
	text := u.Text
	if text == "" {
		text = u.Name
	}
	return text + ": " + u.Reason
}

// plural counts things in words.
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
