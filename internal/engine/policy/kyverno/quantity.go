package kyverno

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// quantityText bounds and splits a Kubernetes quantity (API reference,
// "Quantity"): a signed decimal and a binary suffix, a decimal suffix or an
// exponent. The exponent has two digits at most: nothing that is counted
// needs more, and longer ones would make numbers of any size. Bounded
// repetitions compile slowly, so this waits until a policy needs it.
var quantityText = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([+-]?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32}))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?[0-9]{1,2})?$`)
})

// binary and decimal are the suffixes, smallest first.
var (
	binary  = []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	decimal = []string{"n", "u", "m", "", "k", "M", "G", "T", "P", "E"}
)

// quantity is an exact number and whether it was written with a binary suffix.
type quantity struct {
	amount *big.Rat
	binary bool
}

func parseQuantity(text string) (quantity, bool) {
	parts := quantityText().FindStringSubmatch(text)
	if parts == nil {
		return quantity{}, false
	}
	amount, ok := new(big.Rat).SetString(strings.TrimSuffix(parts[1], "."))
	if !ok {
		return quantity{}, false
	}
	suffix := parts[2]
	for i, name := range binary[1:] {
		if suffix == name {
			return quantity{amount.Mul(amount, power(1024, i+1)), true}, true
		}
	}
	for i, name := range decimal {
		if suffix == name {
			return quantity{amount.Mul(amount, power(1000, i-3)), false}, true
		}
	}
	exponent, err := strconv.Atoi(strings.TrimLeft(suffix, "eE"))
	if err != nil {
		return quantity{}, false
	}
	return quantity{amount.Mul(amount, power(10, exponent)), false}, true
}

func power(base int64, exponent int) *big.Rat {
	whole := new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(max(exponent, -exponent))), nil)
	if exponent < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), whole)
	}
	return new(big.Rat).SetInt(whole)
}

// String writes the quantity in Kubernetes' canonical form: the largest
// suffix that leaves a whole number. Below one thousandth of a millionth it
// is rounded up, as Kubernetes does.
func (q quantity) String() string {
	if q.binary && new(big.Rat).Abs(q.amount).Cmp(power(1024, 1)) >= 0 && q.amount.IsInt() {
		for i := len(binary) - 1; i >= 0; i-- {
			if scaled := new(big.Rat).Quo(q.amount, power(1024, i)); scaled.IsInt() {
				return scaled.Num().String() + binary[i]
			}
		}
	}
	for i := len(decimal) - 1; i >= 0; i-- {
		if scaled := new(big.Rat).Quo(q.amount, power(1000, i-3)); scaled.IsInt() && (scaled.Sign() != 0 || i == 3) {
			return scaled.Num().String() + decimal[i]
		}
	}
	nano := new(big.Rat).Quo(q.amount, power(1000, -3))
	up, remainder := new(big.Int).QuoRem(nano.Num(), nano.Denom(), new(big.Int))
	if remainder.Sign() > 0 {
		up.Add(up, big.NewInt(1))
	}
	if remainder.Sign() < 0 {
		up.Sub(up, big.NewInt(1))
	}
	return up.String() + "n"
}
