package cel

import (
	"errors"
	"fmt"
	"math"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	kubernetes "k8s.io/apiserver/pkg/cel/library"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// What an estimate takes for the size of what it does not know: entries of a
// list, and code points of a text.
const (
	modestList = 32
	modestText = 128
)

// cost says what functions cost, before an expression runs (with modest sizes)
// and while it does (with the real ones). Kubernetes says it for its own.
type cost struct{ kubernetes kubernetes.CostEstimator }

func newCost() cost {
	return cost{kubernetes.CostEstimator{SizeEstimator: modest{}}}
}

// modest takes everything for small.
type modest struct{}

// EstimateSize is modest.
func (modest) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	if element.Type().Kind() == types.StringKind || element.Type().Kind() == types.BytesKind {
		return &checker.SizeEstimate{Max: modestText}
	}
	return &checker.SizeEstimate{Max: modestList}
}

// EstimateCallCost leaves it to the defaults.
func (modest) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// EstimateSize and EstimateCallCost are checker.CostEstimator.
func (c cost) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	return modest{}.EstimateSize(element)
}

// EstimateCallCost takes lists and texts of ours for modest ones.
func (c cost) EstimateCallCost(function, overload string, target *checker.AstNode, arguments []checker.AstNode) *checker.CallEstimate {
	switch overload {
	case "components_among", "findings_except", "findings_at_least", "findings_fixable":
		size := uint64(modestList)
		return &checker.CallEstimate{CostEstimate: checker.CostEstimate{Min: 1, Max: size * size}, ResultSize: &checker.SizeEstimate{Max: size}}
	case "version_compare", "version_within", "spdx_allows", "spdx_identifiers", "spdx_valid", "purl_string", "purl_valid", "purl_covers", "glob_string_string":
		return &checker.CallEstimate{CostEstimate: checker.CostEstimate{Min: 1, Max: modestText}}
	}
	switch function {
	case "lists.range", "distinct", "flatten", "sort", "@sortByAssociatedKeys", "slice", "reverse":
		size := uint64(modestList)
		return &checker.CallEstimate{CostEstimate: checker.CostEstimate{Min: 1, Max: size}, ResultSize: &checker.SizeEstimate{Max: size}}
	}
	return c.kubernetes.EstimateCallCost(function, overload, target, arguments)
}

// CallCost is interpreter.ActualCostEstimator.
func (c cost) CallCost(function, overload string, arguments []ref.Val, result ref.Val) *uint64 {
	total := uint64(1)
	switch overload {
	case "components_among", "findings_except":
		total += size(arguments[0]) * (1 + size(arguments[1]))
	case "findings_at_least", "findings_fixable":
		total += size(arguments[0])
	case "glob_string_string":
		total += size(arguments[0]) * size(arguments[1]) / 10
	case "version_compare", "version_within", "spdx_identifiers", "spdx_valid", "purl_string", "purl_valid", "purl_covers", "spdx_allows":
		for _, argument := range arguments {
			total += size(argument) / 10
		}
		if overload == "spdx_allows" {
			total += size(arguments[0])
		}
	default:
		return c.kubernetes.CallCost(function, overload, arguments, result)
	}
	return &total
}

func size(value ref.Val) uint64 {
	if sizer, ok := value.(traits.Sizer); ok {
		if n, ok := sizer.Size().(types.Int); ok {
			return uint64(n)
		}
	}
	return 1
}

// affordable refuses an expression that goes over its bound even where every
// list that it loops over is short: such a one would deny everything.
func affordable(env *celgo.Env, compiled *celgo.Ast) error {
	estimate, err := env.EstimateCost(compiled, newCost())
	if err != nil {
		return fmt.Errorf("estimating its cost: %w", err)
	}
	switch {
	case estimate.Max == math.MaxUint64:
		return errors.New("nothing bounds how many steps it takes (lists.range over what evidence says)")
	case estimate.Max > limit.PolicyCost:
		return fmt.Errorf("it takes up to %d steps with lists of %d entries, and %d are allowed: loop less often within loops", estimate.Max, modestList, uint64(limit.PolicyCost))
	}
	return nil
}
