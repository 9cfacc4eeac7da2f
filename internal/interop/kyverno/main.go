// Command kyverno is Kyverno's own evaluation of conditions and of JMESPath
// expressions behind lines of JSON, for the interop tests and the benchmarks:
// one request a line on the standard input, one answer a line on the standard
// output.
//
//	{"op":"condition","condition":{"key":…,"operator":…,"value":…},"data":{…}} → {"holds":true}
//	{"op":"search","expression":"…","data":…} → {"value":…}
//	{"op":"bench","conditions":[…],"data":{…},"n":1000} → {"holds":true,"ns":…}
//	{"op":"bench","expression":"…","data":…,"n":5} → {"ns":…}
//
// The fields of a condition's data are variables of its context; "file" names a
// file to read data from. Each answer has "error" instead where there is one.
//
// It is a module of its own, built for tests by .ci/peers and never linked
// into assay.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-logr/logr"
	kyvernov1 "github.com/kyverno/kyverno/api/kyverno/v1"
	"github.com/kyverno/kyverno/pkg/config"
	enginecontext "github.com/kyverno/kyverno/pkg/engine/context"
	"github.com/kyverno/kyverno/pkg/engine/jmespath"
	"github.com/kyverno/kyverno/pkg/engine/variables"
)

type request struct {
	Op         string                `json:"op"`
	Condition  kyvernov1.Condition   `json:"condition"`
	Conditions []kyvernov1.Condition `json:"conditions"`
	Expression string                `json:"expression"`
	Data       any                   `json:"data"`
	File       string                `json:"file"`
	N          int                   `json:"n"`
}

type answer struct {
	Holds bool   `json:"holds,omitempty"`
	Value any    `json:"value,omitempty"`
	NS    int64  `json:"ns,omitempty"`
	Error string `json:"error,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	reader := bufio.NewReaderSize(os.Stdin, 1<<20)
	writer := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(writer)
	e := evaluator{jmespath.New(config.NewDefaultConfiguration(false))}
	for {
		line, err := reader.ReadBytes('\n')
		if err == io.EOF {
			return writer.Flush()
		}
		if err != nil {
			return err
		}
		a, err := e.answer(line)
		if err == nil {
			err = encoder.Encode(a) // not everything that an expression gives is JSON
		}
		if err != nil {
			if err := encoder.Encode(answer{Error: err.Error()}); err != nil {
				return err
			}
		}
		if reader.Buffered() == 0 {
			if err := writer.Flush(); err != nil {
				return err
			}
		}
	}
}

type evaluator struct{ jmespath.Interface }

// answer turns a panic of Kyverno's into an error.
func (e evaluator) answer(line []byte) (a answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return a, err
	}
	if r.File != "" {
		content, err := os.ReadFile(r.File)
		if err != nil {
			return a, err
		}
		if err := json.Unmarshal(content, &r.Data); err != nil {
			return a, err
		}
	}
	switch r.Op {
	case "condition":
		a.Holds, err = e.hold([]kyvernov1.Condition{r.Condition}, r.Data)
		return a, err
	case "search":
		a.Value, err = e.Search(r.Expression, r.Data)
		return a, err
	case "bench":
		return e.bench(r)
	}
	return a, fmt.Errorf("op %q is not known", r.Op)
}

func (e evaluator) context(data any) (enginecontext.Interface, error) {
	context := enginecontext.NewContext(e.Interface)
	fields, _ := data.(map[string]any)
	for name, value := range fields {
		if err := context.AddVariable(name, value); err != nil {
			return nil, err
		}
	}
	return context, nil
}

func (e evaluator) hold(conditions []kyvernov1.Condition, data any) (bool, error) {
	context, err := e.context(data)
	if err != nil {
		return false, err
	}
	holds, _, err := variables.EvaluateConditions(logr.Discard(), context, conditions)
	return holds, err
}

// bench gives the time of one evaluation of n.
func (e evaluator) bench(r request) (a answer, err error) {
	if r.N < 1 {
		return a, errors.New("n must be positive")
	}
	if r.Expression != "" {
		query, err := e.Query(r.Expression)
		if err != nil {
			return a, err
		}
		start := time.Now()
		for range r.N {
			if _, err := query.Search(r.Data); err != nil {
				return a, err
			}
		}
		a.NS = time.Since(start).Nanoseconds() / int64(r.N)
		return a, nil
	}
	context, err := e.context(r.Data)
	if err != nil {
		return a, err
	}
	start := time.Now()
	for range r.N {
		if a.Holds, _, err = variables.EvaluateConditions(logr.Discard(), context, r.Conditions); err != nil {
			return a, err
		}
	}
	a.NS = time.Since(start).Nanoseconds() / int64(r.N)
	return a, nil
}
