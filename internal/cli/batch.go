package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// batchFlags say what a verb is about, and how much of it is done at once.
type batchFlags struct {
	list string
	// parallel is 0 until it is said.
	parallel int
	command  *cobra.Command
}

// defaultParallel is how many references are worked on at once. A log answers
// all that came in between two of its checkpoints together, so that a run which
// waits for one works on as many as may be.
const defaultParallel = 8

// atOnce is how many are worked on at once.
func (f *batchFlags) atOnce(waits bool) int {
	switch {
	case f.parallel > 0:
		return f.parallel
	case waits:
		return limit.Parallel
	}
	return defaultParallel
}

func (f *batchFlags) add(command *cobra.Command, what string) {
	f.command = command
	command.Flags().StringVarP(&f.list, "from", "f", "", "file with more "+what+", one a line; - is standard input")
	command.Flags().IntVar(&f.parallel, "parallel", 0, fmt.Sprintf("how many are worked on at once (default %d, or %d where a log is waited for)", defaultParallel, limit.Parallel))
}

// references are the arguments, then the lines of -f. Empty lines and those
// that start with # are passed over; one named twice is worked on once.
func (f *batchFlags) references(host *Host, args []string) ([]string, error) {
	if f.command.Flags().Changed("parallel") && f.parallel < 1 || f.parallel > limit.Parallel {
		return nil, usage("--parallel %d: want 1 to %d", f.parallel, limit.Parallel)
	}
	list := args
	if f.list != "" {
		content, err := host.readInput(f.list, limit.ReferenceList)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(bytes.NewReader(content))
		lines.Buffer(nil, limit.PathName+1)
		for number := 1; lines.Scan(); number++ {
			line := strings.TrimSpace(lines.Text())
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if strings.ContainsAny(line, " \t") {
				return nil, usage("-f %s: line %d: %q is more than one word", f.list, number, line).withHint("one reference a line; a comment begins with #, on a line of its own")
			}
			list = append(list, line)
		}
		if err := lines.Err(); err != nil {
			return nil, usage("-f %s: a line is longer than %d bytes", f.list, limit.PathName)
		}
	}
	seen := map[string]bool{}
	var once []string
	for _, reference := range list {
		if !seen[reference] {
			seen[reference] = true
			once = append(once, reference)
		}
	}
	switch {
	case len(once) == 0 && f.list != "":
		return nil, usage("-f %s names nothing", f.list).withHint("one reference a line")
	case len(once) == 0:
		return nil, usage("nothing is named").withHint("name one or more as arguments, or a list of them with -f FILE (-f - reads standard input)")
	case len(once) > limit.References:
		return nil, usage("%d references are named; the bound of one run is %d", len(once), limit.References)
	}
	return once, nil
}

// readInput reads a file, or with "-" standard input.
func (h *Host) readInput(name string, bound int64) ([]byte, error) {
	if name == "-" {
		return limit.ReadAll(h.In, "standard input", bound)
	}
	return h.readFile(name, bound)
}

// outcome is how the work on one of many ended.
type outcome[T any] struct {
	value T
	err   error
}

// inOrder does the work on every one of list, at most parallel at once, and
// hands each outcome to done in the order of the list, as soon as it and all
// before it are there. One that fails stops no other. done runs in one
// goroutine; its error ends the run.
func inOrder[T any](list []string, parallel int, work func(name string) (T, error), done func(name string, result outcome[T]) error) error {
	results := make([]chan outcome[T], len(list))
	for i := range results {
		results[i] = make(chan outcome[T], 1)
	}
	quit := make(chan struct{})
	defer close(quit)
	slots := make(chan struct{}, parallel)
	go func() {
		for i, name := range list {
			select {
			case slots <- struct{}{}:
			case <-quit:
				return
			}
			go func() {
				value, err := work(name)
				results[i] <- outcome[T]{value, err}
				<-slots
			}()
		}
	}()
	for i, name := range list {
		if err := done(name, <-results[i]); err != nil {
			return err
		}
	}
	return nil
}

// tally counts how the work on many ended, for the exit code.
type tally struct{ faults, denied int }

// end is the error for the whole run: a fault counts more than a denial.
func (t tally) end() error {
	switch {
	case t.faults > 0:
		return &exitError{exitFault}
	case t.denied > 0:
		return &exitError{exitDenied}
	}
	return nil
}

// fault prints what went wrong with one of many.
func (h *Host) fault(name string, err error) {
	io.WriteString(h.Err, "assay: error: "+clean(name)+": "+oneOrMany(err)+"\n")
	if hint := hintFor(err); hint != "" {
		io.WriteString(h.Err, "assay: hint: "+hint+"\n")
	}
}
