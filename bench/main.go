// Command bench runs assay and its peers side by side, on the same machine, in
// one run, and prints medians and ratios: `make bench`.
//
// It measures whole processes: wall time, CPU time and peak memory. The peers
// are the binaries that .ci/peers built; their directory comes from
// ASSAY_PEERS. Inputs are made here, the same at every run, below a temporary
// directory; -osv names a real OSV export to match against instead.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	runs := flag.Int("runs", 15, "how often each command runs")
	assay := flag.String("assay", "./assay", "the binary to measure")
	suite := flag.String("suite", "all", "what to measure: scan, signing, verifying or all")
	export := flag.String("osv", "", "an all.zip of OSV's PyPI export to match against (default: made up)")
	flag.Parse()
	if err := run(*runs, *assay, *suite, *export, os.Getenv("ASSAY_PEERS")); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	dir    string
	env    []string
	assay  string
	peers  string
	host   string
	export string
	runs   int
	// counted is the registry in this process, where a suite has one.
	counted *counted
}

func run(runs int, assay, suite, export, peers string) error {
	suites := map[string]func(*bench) error{"signing": (*bench).signing, "verifying": (*bench).verifying, "scan": (*bench).scan}
	if suite != "all" && suites[suite] == nil {
		return fmt.Errorf("-suite %s: want scan, signing, verifying or all", suite)
	}
	if peers == "" {
		return errors.New("ASSAY_PEERS is not set; run `make bench`")
	}
	binary, err := filepath.Abs(assay)
	if err != nil {
		return err
	}
	if export != "" {
		if export, err = filepath.Abs(export); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "assay-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, assay: binary, peers: peers, runs: runs, export: export,
		env: append(os.Environ(), "HOME="+dir, "COSIGN_PASSWORD=bench", "ASSAY_PASSWORD=bench", "XDG_CACHE_HOME="+dir+"/cache", "XDG_DATA_HOME="+dir+"/data")}
	fmt.Printf("%d runs each, medians; %s\n\n", runs, machine())
	for _, name := range []string{"scan", "signing", "verifying"} {
		if suite == name || suite == "all" {
			if err := suites[name](b); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}
