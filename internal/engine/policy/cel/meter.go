package cel

import (
	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// meter counts what one evaluation costs. cel-go has one of its own, which
// searches all steps of a loop at each step: the time of a loop grows with the
// square of its list.
type meter struct {
	cost     cost
	spent    uint64
	dearness uint64
	// values are what nodes gave last, by the node's id.
	values []ref.Val
	// arguments are those of the call that is charged.
	arguments [4]ref.Val
}

// meterName is the name by which nodes find the meter; no expression can say it.
const meterName = "#meter"

// charge adds what a node cost that gave a value. Reading a text costs more,
// the longer it is.
func (m *meter) charge(id int64, value ref.Val, more uint64) {
	if id >= 0 && id < int64(len(m.values)) {
		m.values[id] = value
	}
	m.spent += 1 + more
	if text, ok := value.(types.String); ok {
		m.spent += uint64(len(text)) / 10 * m.dearness
	}
	if m.spent > limit.PolicyCost {
		panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "actual cost limit exceeded"})
	}
}

// call is what a call costs, by its arguments where those are known.
func (m *meter) call(c meteredCall, result ref.Val) uint64 {
	arguments := m.arguments[:0]
	for _, argument := range c.arguments {
		var value ref.Val
		if constant, ok := argument.(interpreter.InterpretableConst); ok {
			value = constant.Value()
		} else if id := argument.ID(); id >= 0 && id < int64(len(m.values)) {
			value = m.values[id]
		}
		if value == nil {
			return 0
		}
		arguments = append(arguments, value)
	}
	switch known := m.cost.CallCost(c.function, c.overload, arguments, result); {
	case known != nil:
		return *known
	case len(arguments) == 2 && dear(c.function):
		return size(arguments[0])/10 + size(arguments[1])/10
	}
	return 0
}

// dear says whether an operator may take time that grows with its operands.
func dear(function string) bool {
	switch function {
	case "_==_", "_!=_", "@in", "_<_", "_<=_", "_>_", "_>=_", "contains", "startsWith", "endsWith":
		return true
	}
	return false
}

// metered has every node of a plan that reads data or calls a function charged.
// What cel-go replaces afterwards costs no more than it reads: membership in a
// list of constants, and regular expressions, for which dearness stands.
func metered() celgo.ProgramOption {
	return celgo.CustomDecoratorV2(func(node interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		switch n := node.(type) {
		case meteredAttribute, meteredCall:
		case interpreter.InterpretableAttribute:
			return meteredAttribute{n}, nil
		case interpreter.InterpretableCall:
			return meteredCall{n, n.Function(), n.OverloadID(), n.Args()}, nil
		}
		return node, nil
	})
}

// meteredAttribute is a variable with what is selected of it.
type meteredAttribute struct {
	interpreter.InterpretableAttribute
}

// Exec evaluates it.
func (a meteredAttribute) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	value := a.InterpretableAttribute.Exec(frame)
	if m, has := meterOf(frame); has {
		m.charge(a.ID(), value, 0)
	}
	return value
}

// meteredCall is a call of a function or an operator.
type meteredCall struct {
	interpreter.InterpretableCall
	function, overload string
	arguments          []interpreter.InterpretableV2
}

// Exec evaluates it.
func (c meteredCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	value := c.InterpretableCall.Exec(frame)
	if m, has := meterOf(frame); has {
		m.charge(c.ID(), value, m.call(c, value))
	}
	return value
}

func meterOf(frame *interpreter.ExecutionFrame) (*meter, bool) {
	found, _ := frame.ResolveName(meterName)
	m, ok := found.(*meter)
	return m, ok
}
