// Command bench runs assay and its peers side by side, on the same machine, in
// one run, and prints medians and ratios: `make bench`.
//
// It measures whole processes (wall time, CPU time, peak memory) against a
// registry on loopback. The peers are the binaries that .ci/peers built; the
// directory comes from ASSAY_PEERS.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	runs := flag.Int("runs", 15, "how often each command runs")
	assay := flag.String("assay", "./assay", "the binary to measure")
	flag.Parse()
	if err := run(*runs, *assay, os.Getenv("ASSAY_PEERS")); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// sample is one process.
type sample struct {
	wall, cpu time.Duration
	memory    int64 // bytes, at its peak
}

// contest is one thing that both can do.
type contest struct {
	name        string
	assay, peer []string
}

type bench struct {
	dir   string
	env   []string
	assay string
	peers string
	host  string
}

func run(runs int, assay, peers string) error {
	if peers == "" {
		return errors.New("ASSAY_PEERS is not set; run `make bench`")
	}
	binary, err := filepath.Abs(assay)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "assay-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, assay: binary, peers: peers,
		env: append(os.Environ(), "HOME="+dir, "COSIGN_PASSWORD=bench", "ASSAY_PASSWORD=bench", "XDG_CACHE_HOME="+dir+"/cache", "XDG_DATA_HOME="+dir+"/data")}
	stop, err := b.registry()
	if err != nil {
		return err
	}
	defer stop()
	contests, err := b.prepare()
	if err != nil {
		return err
	}
	fmt.Printf("%d runs each, medians; %s\n\n", runs, machine())
	fmt.Printf("%-34s %10s %10s %7s %9s %9s %7s %9s %9s\n", "", "assay", "cosign", "ratio", "cpu", "cpu", "ratio", "memory", "memory")
	for _, c := range contests {
		ours, theirs, err := b.measure(c, runs)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Printf("%-34s %10s %10s %6.1fx %9s %9s %6.1fx %6d MiB %6d MiB\n", c.name,
			ours.wall.Round(100*time.Microsecond), theirs.wall.Round(100*time.Microsecond), float64(theirs.wall)/float64(ours.wall),
			ours.cpu.Round(100*time.Microsecond), theirs.cpu.Round(100*time.Microsecond), float64(theirs.cpu)/float64(ours.cpu),
			ours.memory>>20, theirs.memory>>20)
	}
	return nil
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

// registry starts crane's in-memory registry and waits until it answers.
func (b *bench) registry() (stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.host = listener.Addr().String()
	listener.Close()
	command := exec.Command(filepath.Join(b.peers, "crane"), "registry", "serve", "--address", b.host)
	command.Env = b.env
	if err := command.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		command.Process.Kill()
		command.Wait()
	}
	for range 100 {
		response, err := http.Get("http://" + b.host + "/v2/")
		if err == nil {
			response.Body.Close()
			return stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return nil, errors.New("the registry did not answer within five seconds")
}

// prepare pushes an image, makes a key pair that both read, and lists what is
// compared.
func (b *bench) prepare() ([]contest, error) {
	cosign, crane := filepath.Join(b.peers, "cosign"), filepath.Join(b.peers, "crane")
	image := b.host + "/bench/image"
	layer := filepath.Join(b.dir, "layer.tar")
	predicate := filepath.Join(b.dir, "predicate.json")
	if err := os.WriteFile(layer, make([]byte, 1024), 0o600); err != nil { // an empty tar
		return nil, err
	}
	if err := os.WriteFile(predicate, []byte(`{"builder":{"id":"https://example.com/bench"},"buildType":"bench"}`), 0o600); err != nil {
		return nil, err
	}
	for _, arguments := range [][]string{
		{b.assay, "key", "generate", "--output-key-prefix", "bench"},
		{crane, "append", "--new_layer", layer, "--new_tag", image + ":one"},
		{crane, "append", "--new_layer", layer, "--new_tag", b.host + "/bench/signed:one"},
		{cosign, "signing-config", "create", "--out", "signing-config.json"},
	} {
		if _, err := b.once(arguments); err != nil {
			return nil, err
		}
	}
	out, err := exec.Command(crane, "digest", image+":one").Output()
	if err != nil {
		return nil, err
	}
	digest := strings.TrimSpace(string(out))
	signed := b.host + "/bench/signed@" + digest
	image += "@" + digest
	for _, arguments := range [][]string{
		{b.assay, "sign", "--key", "bench.key", signed},
		{b.assay, "attest", "--key", "bench.key", "--type", "slsaprovenance", "--predicate", predicate, signed},
	} {
		if _, err := b.once(arguments); err != nil {
			return nil, err
		}
	}
	noLog := []string{"--signing-config", "signing-config.json"}
	return []contest{
		{"start and print the version", []string{b.assay, "version"}, []string{cosign, "version"}},
		{"verify, bundle", []string{b.assay, "verify", "--key", "bench.pub", signed},
			[]string{cosign, "verify", "--key", "bench.pub", "--insecure-ignore-tlog", "--offline", signed}},
		{"verify-attestation, bundle", []string{b.assay, "verify-attestation", "--key", "bench.pub", "--type", "slsaprovenance", signed},
			[]string{cosign, "verify-attestation", "--key", "bench.pub", "--type", "slsaprovenance", "--insecure-ignore-tlog", "--offline", signed}},
		{"sign, bundle", []string{b.assay, "sign", "--key", "bench.key", "--layout", "bundle", image},
			slices.Concat([]string{cosign, "sign", "--yes", "--key", "bench.key"}, noLog, []string{image})},
		{"attest, bundle", []string{b.assay, "attest", "--key", "bench.key", "--layout", "bundle", "--type", "slsaprovenance", "--predicate", predicate, image},
			slices.Concat([]string{cosign, "attest", "--yes", "--key", "bench.key", "--type", "slsaprovenance", "--predicate", predicate}, noLog, []string{image})},
	}, nil
}

// measure runs both in turn, so that a disturbance of the machine hits both.
func (b *bench) measure(c contest, runs int) (ours, theirs sample, err error) {
	var a, p []sample
	for range runs {
		one, err := b.once(c.assay)
		if err != nil {
			return sample{}, sample{}, err
		}
		other, err := b.once(c.peer)
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
		wall:   time.Duration(pick(func(s sample) int64 { return int64(s.wall) })),
		cpu:    time.Duration(pick(func(s sample) int64 { return int64(s.cpu) })),
		memory: pick(func(s sample) int64 { return s.memory }),
	}
}

func (b *bench) once(arguments []string) (sample, error) {
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Dir, command.Env = b.dir, b.env
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	start := time.Now()
	err := command.Run()
	wall := time.Since(start)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", strings.Join(arguments, " "), err, output.String())
	}
	state := command.ProcessState
	memory := int64(0)
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		memory = usage.Maxrss << 10
	}
	return sample{wall: wall, cpu: state.UserTime() + state.SystemTime(), memory: memory}, nil
}
