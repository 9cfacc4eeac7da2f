package kyverno

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amount is an operand of add, subtract, multiply, divide and modulo: a
// number, a quantity ("128Mi") or a duration ("30m"), read in this order as
// Kyverno does (pkg/engine/jmespath/arithmetic.go).
type amount struct {
	kind     amountKind
	number   float64
	quantity resource.Quantity
	duration time.Duration
}

type amountKind uint8

const (
	isNumber amountKind = iota
	isQuantity
	isDuration
)

var (
	errOperands = errors.New("the operands do not fit together")
	errZero     = errors.New("division by zero")
	errRange    = errors.New("the result is too large")
	errWhole    = errors.New("modulo wants whole numbers")
)

func amountOf(value any) (amount, error) {
	switch typed := value.(type) {
	case float64:
		return amount{kind: isNumber, number: typed}, nil
	case string:
		if q, ok := parseQuantity(typed); ok {
			return amount{kind: isQuantity, quantity: q}, nil
		}
		if d, err := time.ParseDuration(typed); err == nil {
			return amount{kind: isDuration, duration: d}, nil
		}
	}
	return amount{}, fmt.Errorf("%s is neither a number, a quantity nor a duration", brief(value))
}

// value is what an expression gets: a number, or a string that spells it.
func (a amount) value() (any, error) {
	switch a.kind {
	case isQuantity:
		return a.quantity.String(), nil
	case isDuration:
		return a.duration.String(), nil
	}
	if math.IsNaN(a.number) || math.IsInf(a.number, 0) {
		return nil, errRange
	}
	return a.number, nil
}

// arithmetic makes a function of two arguments.
func arithmetic(f func(a, b amount) (amount, error)) func([]any) (any, error) {
	return func(arguments []any) (any, error) {
		a, err := amountOf(arguments[0])
		if err != nil {
			return nil, err
		}
		b, err := amountOf(arguments[1])
		if err != nil {
			return nil, err
		}
		result, err := f(a, b)
		if err != nil {
			return nil, err
		}
		return result.value()
	}
}

func add(a, b amount) (amount, error) {
	if a.kind != b.kind {
		return amount{}, errOperands
	}
	switch a.kind {
	case isQuantity:
		a.quantity.Add(b.quantity)
		return a, nil
	case isDuration:
		return durationOf(a.duration.Seconds()+b.duration.Seconds(), a.duration+b.duration)
	}
	a.number += b.number
	return a, nil
}

func subtract(a, b amount) (amount, error) {
	if a.kind != b.kind {
		return amount{}, errOperands
	}
	switch a.kind {
	case isQuantity:
		a.quantity.Sub(b.quantity)
		return a, nil
	case isDuration:
		return durationOf(a.duration.Seconds()-b.duration.Seconds(), a.duration-b.duration)
	}
	a.number -= b.number
	return a, nil
}

// durationOf refuses a result that time.Duration cannot hold.
func durationOf(seconds float64, d time.Duration) (amount, error) {
	if math.IsNaN(seconds) || math.Abs(seconds) >= math.MaxInt64/float64(time.Second) {
		return amount{}, errRange
	}
	return amount{kind: isDuration, duration: d}, nil
}

func scaled(seconds float64) (amount, error) {
	return durationOf(seconds, time.Duration(seconds*float64(time.Second)))
}

func multiply(a, b amount) (amount, error) {
	if a.kind == isNumber {
		a, b = b, a
	}
	if b.kind != isNumber {
		return amount{}, errOperands
	}
	switch a.kind {
	case isQuantity:
		factor, err := decimal(b.number)
		if err != nil {
			return amount{}, err
		}
		product := new(inf.Dec).Mul(a.quantity.AsDec(), factor)
		return amount{kind: isQuantity, quantity: *resource.NewDecimalQuantity(*product, a.quantity.Format)}, nil
	case isDuration:
		return scaled(a.duration.Seconds() * b.number)
	}
	a.number *= b.number
	return a, nil
}

// decimal is a number as a quantity has it: in billionths.
func decimal(number float64) (*inf.Dec, error) {
	quantity, ok := parseQuantity(strconv.FormatFloat(number, 'g', -1, 64))
	if !ok {
		return nil, errRange
	}
	return quantity.AsDec(), nil
}

// wholePart says that the number is whole, and fits into 64 bits.
func wholePart(number float64) (int64, bool) {
	if math.Abs(number) >= 1<<63 || number != math.Trunc(number) {
		return 0, false
	}
	return int64(number), true
}

func divide(a, b amount) (amount, error) {
	switch {
	case a.kind == b.kind && a.kind == isQuantity:
		divisor := b.quantity.AsApproximateFloat64()
		if divisor == 0 {
			return amount{}, errZero
		}
		return amount{number: a.quantity.AsApproximateFloat64() / divisor}, nil
	case a.kind == b.kind && a.kind == isDuration:
		if b.duration == 0 {
			return amount{}, errZero
		}
		return amount{number: a.duration.Seconds() / b.duration.Seconds()}, nil
	case b.kind != isNumber:
		return amount{}, errOperands
	case b.number == 0:
		return amount{}, errZero
	case a.kind == isQuantity:
		divisor, err := decimal(b.number)
		if err != nil {
			return amount{}, err
		}
		dividend := a.quantity.AsDec()
		// No more digits after the point than the longer of the two has.
		quotient := new(inf.Dec).QuoRound(dividend, divisor, max(dividend.Scale(), divisor.Scale()), inf.RoundDown)
		return amount{kind: isQuantity, quantity: *resource.NewDecimalQuantity(*quotient, a.quantity.Format)}, nil
	case a.kind == isDuration:
		return scaled(a.duration.Seconds() / b.number)
	}
	a.number /= b.number
	return a, nil
}

func modulo(a, b amount) (amount, error) {
	if a.kind != b.kind {
		return amount{}, errOperands
	}
	if a.kind == isDuration {
		if b.duration == 0 {
			return amount{}, errZero
		}
		a.duration %= b.duration
		return a, nil
	}
	first, second := a.number, b.number
	if a.kind == isQuantity {
		first, second = a.quantity.AsApproximateFloat64(), b.quantity.AsApproximateFloat64()
	}
	dividend, ok := wholePart(first)
	divisor, ok2 := wholePart(second)
	switch {
	case !ok || !ok2:
		return amount{}, errWhole
	case divisor == 0:
		return amount{}, errZero
	case a.kind == isQuantity:
		return amount{kind: isQuantity, quantity: *resource.NewQuantity(dividend%divisor, a.quantity.Format)}, nil
	}
	return amount{number: float64(dividend % divisor)}, nil
}

// sum adds up a list, which may not be empty. One element stays as it is.
func sum(arguments []any) (any, error) {
	list, ok := arguments[0].([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("sum wants a list with at least one element")
	}
	if len(list) == 1 {
		return list[0], nil
	}
	total, err := amountOf(list[0])
	if err != nil {
		return nil, err
	}
	for _, element := range list[1:] {
		next, err := amountOf(element)
		if err != nil {
			return nil, err
		}
		if total, err = add(total, next); err != nil {
			return nil, err
		}
	}
	return total.value()
}

func round(arguments []any) (any, error) {
	number, places := arguments[0].(float64), arguments[1].(float64)
	if places != math.Trunc(places) || places < 0 || places > 300 {
		return nil, fmt.Errorf("round: want a whole number of places of at least 0, found %s", brief(places))
	}
	shift := math.Pow(10, places)
	if rounded := math.Round(number*shift) / shift; !math.IsNaN(rounded) && !math.IsInf(rounded, 0) {
		return rounded, nil
	}
	return nil, errRange
}
