package kyverno

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"
)

// amount is an operand of add, subtract, multiply, divide and modulo: a
// number, a quantity ("128Mi") or a duration ("30m"), as Kyverno reads them.
type amount struct {
	kind     amountKind
	number   float64
	quantity quantity
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

func add(a, b amount) (amount, error) { return plus(a, b, 1) }

func subtract(a, b amount) (amount, error) { return plus(a, b, -1) }

func plus(a, b amount, sign int64) (amount, error) {
	if a.kind != b.kind {
		return amount{}, errOperands
	}
	switch a.kind {
	case isQuantity:
		second := new(big.Rat).Mul(b.quantity.amount, new(big.Rat).SetInt64(sign))
		a.quantity.amount = new(big.Rat).Add(a.quantity.amount, second)
		return a, nil
	case isDuration:
		return durationOf(a.duration.Seconds()+float64(sign)*b.duration.Seconds(), a.duration+time.Duration(sign)*b.duration)
	}
	a.number += float64(sign) * b.number
	return a, nil
}

// durationOf refuses a result that time.Duration cannot hold.
func durationOf(seconds float64, d time.Duration) (amount, error) {
	if math.Abs(seconds) >= math.MaxInt64/float64(time.Second) {
		return amount{}, errRange
	}
	return amount{kind: isDuration, duration: d}, nil
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
		factor, err := rational(b.number)
		if err != nil {
			return amount{}, err
		}
		a.quantity.amount = new(big.Rat).Mul(a.quantity.amount, factor)
		return a, nil
	case isDuration:
		seconds := a.duration.Seconds() * b.number
		return durationOf(seconds, time.Duration(seconds*float64(time.Second)))
	}
	a.number *= b.number
	return a, nil
}

// factors bounds what a quantity is multiplied with or divided by.
const factors = 1e18

func rational(number float64) (*big.Rat, error) {
	if math.Abs(number) > factors || number != 0 && math.Abs(number) < 1/factors {
		return nil, errRange
	}
	return new(big.Rat).SetFloat64(number), nil
}

func divide(a, b amount) (amount, error) {
	switch {
	case a.kind == b.kind && a.kind == isQuantity:
		if b.quantity.amount.Sign() == 0 {
			return amount{}, errZero
		}
		quotient, _ := new(big.Rat).Quo(a.quantity.amount, b.quantity.amount).Float64()
		return amount{number: quotient}, nil
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
		divisor, err := rational(b.number)
		if err != nil {
			return amount{}, err
		}
		a.quantity.amount = new(big.Rat).Quo(a.quantity.amount, divisor)
		return a, nil
	case a.kind == isDuration:
		seconds := a.duration.Seconds() / b.number
		return durationOf(seconds, time.Duration(seconds*float64(time.Second)))
	}
	a.number /= b.number
	return a, nil
}

func modulo(a, b amount) (amount, error) {
	if a.kind != b.kind {
		return amount{}, errOperands
	}
	switch a.kind {
	case isQuantity:
		if !a.quantity.amount.IsInt() || !b.quantity.amount.IsInt() {
			return amount{}, errWhole
		}
		if b.quantity.amount.Sign() == 0 {
			return amount{}, errZero
		}
		remainder := new(big.Int).Rem(a.quantity.amount.Num(), b.quantity.amount.Num())
		a.quantity.amount = new(big.Rat).SetInt(remainder)
		return a, nil
	case isDuration:
		if b.duration == 0 {
			return amount{}, errZero
		}
		a.duration %= b.duration
		return a, nil
	}
	if a.number != math.Trunc(a.number) || b.number != math.Trunc(b.number) {
		return amount{}, errWhole
	}
	if b.number == 0 {
		return amount{}, errZero
	}
	a.number = math.Mod(a.number, b.number)
	return a, nil
}

// sum adds up a list, which may not be empty.
func sum(arguments []any) (any, error) {
	list, ok := arguments[0].([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("sum wants a list with at least one element")
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
