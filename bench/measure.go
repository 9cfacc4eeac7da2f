package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sample is one process.
type sample struct {
	wall, cpu time.Duration
	memory    int64 // bytes, at its peak
	requests  int64 // that the counted registry was asked meanwhile
}

// contest is one thing that both can do. codes are the exit codes that both
// end with when they worked; none means 0.
type contest struct {
	name        string
	assay, peer []string
	codes       []int
	// runs is how often; 0 is the bench's.
	runs int
}

func machine() string {
	content, _ := os.ReadFile("/proc/cpuinfo")
	model, cores := "unknown processor", 0
	for line := range strings.Lines(string(content)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			model, cores = strings.TrimSpace(value), cores+1
		}
	}
	return fmt.Sprintf("%s, %d cores, %s", model, cores, time.Now().Format(time.DateOnly))
}

// table measures every contest and prints a row for each.
func (b *bench) table(peer string, contests []contest) error {
	fmt.Printf("%-52s %10s %10s %7s %9s %9s %7s %9s %9s", "", "assay", peer, "ratio", "cpu", "cpu", "ratio", "memory", "memory")
	if b.counted != nil {
		fmt.Printf(" %9s", "requests")
	}
	fmt.Println()
	for _, c := range contests {
		ours, theirs, err := b.measure(c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Printf("%-52s %10s %10s %6.1fx %9s %9s %6.1fx %6.1f MiB %6.1f MiB", c.name,
			ours.wall.Round(100*time.Microsecond), theirs.wall.Round(100*time.Microsecond), float64(theirs.wall)/float64(ours.wall),
			ours.cpu.Round(100*time.Microsecond), theirs.cpu.Round(100*time.Microsecond), float64(theirs.cpu)/float64(ours.cpu),
			float64(ours.memory)/(1<<20), float64(theirs.memory)/(1<<20))
		if b.counted != nil {
			fmt.Printf(" %4d %4d", ours.requests, theirs.requests)
		}
		fmt.Println()
	}
	fmt.Println()
	return nil
}

// measure runs both in turn, so that a disturbance of the machine hits both.
func (b *bench) measure(c contest) (ours, theirs sample, err error) {
	var a, p []sample
	runs := c.runs
	if runs == 0 {
		runs = b.runs
	}
	for range runs {
		one, err := b.once(c.assay, c.codes...)
		if err != nil {
			return sample{}, sample{}, err
		}
		other, err := b.once(c.peer, c.codes...)
		if err != nil {
			return sample{}, sample{}, err
		}
		a, p = append(a, one), append(p, other)
	}
	return median(a), median(p), nil
}

func median(samples []sample) sample {
	pick := func(value func(sample) int64) int64 {
		var values []int64
		for _, s := range samples {
			values = append(values, value(s))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return sample{
		wall:     time.Duration(pick(func(s sample) int64 { return int64(s.wall) })),
		cpu:      time.Duration(pick(func(s sample) int64 { return int64(s.cpu) })),
		memory:   pick(func(s sample) int64 { return s.memory }),
		requests: pick(func(s sample) int64 { return s.requests }),
	}
}

// once runs a command in the bench's directory. An exit code that is not among
// codes (none: 0) is an error with what it printed.
func (b *bench) once(arguments []string, codes ...int) (sample, error) {
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Dir, command.Env = b.dir, b.env
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if b.counted != nil {
		b.counted.requests.Store(0)
	}
	start := time.Now()
	err := command.Run()
	wall := time.Since(start)
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && slices.Contains(codes, exit.ExitCode())) {
		return sample{}, fmt.Errorf("%s: %w\n%s", strings.Join(arguments, " "), err, output.String())
	}
	state := command.ProcessState
	memory := int64(0)
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		memory = usage.Maxrss << 10
	}
	s := sample{wall: wall, cpu: state.UserTime() + state.SystemTime(), memory: memory}
	if b.counted != nil {
		s.requests = b.counted.requests.Load()
	}
	return s, nil
}
