package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// referrers is how many bundles the verified image has: a signature and
	// attestations of five types.
	referrers = 6
	// batch is how many images one run verifies.
	batch = 100
	// away is how far the slow registry is.
	away = 20 * time.Millisecond
)

// verifying measures signatures against cosign over a registry that counts its
// requests, on loopback and 20 ms away.
func (b *bench) verifying() error {
	stop, err := b.serve(filepath.Join(b.dir, "registry"))
	if err != nil {
		return err
	}
	defer stop()
	tag, digest, list, err := b.prepareVerifying()
	if err != nil {
		return err
	}
	cosign := func(reference string) []string {
		return []string{filepath.Join(b.peers, "cosign"), "verify", "--key", "bench.pub", "--insecure-ignore-tlog", "--offline", reference}
	}
	assay := func(arguments ...string) []string {
		return slices.Concat([]string{b.assay, "verify", "--key", "bench.pub"}, arguments)
	}
	all := filepath.Join(b.dir, "cosign-batch")
	if err := os.WriteFile(all, []byte("#!/bin/sh\nwhile read -r image; do "+strings.Join(cosign(`"$image"`), " ")+" || exit 1; done < "+list+"\n"), 0o700); err != nil {
		return err
	}
	fmt.Printf("an image with %d bundles; %s away where it says so\n", referrers, away)
	for _, delay := range []time.Duration{0, away} {
		b.counted.delay = delay
		where := ""
		if delay > 0 {
			where = fmt.Sprintf(", %s away", delay)
		}
		if err := b.table("cosign", []contest{
			{name: "verify a tag" + where, assay: assay(tag), peer: cosign(tag)},
			{name: "verify a digest" + where, assay: assay(digest), peer: cosign(digest)},
			{name: fmt.Sprintf("verify %d images%s", batch, where), assay: assay("-f", list), peer: []string{all}, runs: 1},
			{name: "sign a digest, bundle" + where, assay: []string{b.assay, "sign", "--key", "bench.key", "--layout", "bundle", b.host + "/bench/fresh@" + after(digest)},
				peer: []string{filepath.Join(b.peers, "cosign"), "sign", "--yes", "--key", "bench.key", "--signing-config", "signing-config.json", b.host + "/bench/fresh@" + after(digest)}},
		}); err != nil {
			return err
		}
	}
	return nil
}

func after(reference string) string {
	_, digest, _ := strings.Cut(reference, "@")
	return digest
}

// prepareVerifying pushes an image with its evidence, and a hundred others with
// one signature each.
func (b *bench) prepareVerifying() (tag, digest, list string, err error) {
	crane := filepath.Join(b.peers, "crane")
	layer, predicate := filepath.Join(b.dir, "layer.tar"), filepath.Join(b.dir, "predicate.json")
	if err := os.WriteFile(layer, make([]byte, 1024), 0o600); err != nil { // an empty tar
		return "", "", "", err
	}
	if err := os.WriteFile(predicate, []byte(`{"made":"for the bench"}`), 0o600); err != nil {
		return "", "", "", err
	}
	commands := [][]string{
		{filepath.Join(b.peers, "cosign"), "signing-config", "create", "--out", "signing-config.json"},
		{crane, "append", "--new_layer", layer, "--new_tag", b.host + "/bench/image:one"},
		{crane, "append", "--new_layer", layer, "--new_tag", b.host + "/bench/fresh:one"},
	}
	if _, err := os.Stat(filepath.Join(b.dir, "bench.key")); err != nil {
		commands = append(commands, []string{b.assay, "key", "generate", "--output-key-prefix", "bench"})
	}
	for _, arguments := range commands {
		if _, err := b.once(arguments); err != nil {
			return "", "", "", err
		}
	}
	tag = b.host + "/bench/image:one"
	out, err := exec.Command(crane, "digest", tag).Output()
	if err != nil {
		return "", "", "", err
	}
	digest = b.host + "/bench/image@" + strings.TrimSpace(string(out))
	if _, err := b.once([]string{b.assay, "sign", "--key", "bench.key", "--layout", "bundle", digest}); err != nil {
		return "", "", "", err
	}
	for i := range referrers - 1 {
		if _, err := b.once([]string{b.assay, "attest", "--key", "bench.key", "--layout", "bundle", "--type", fmt.Sprintf("https://example.com/bench/%d", i), "--predicate", predicate, digest}); err != nil {
			return "", "", "", err
		}
	}
	var lines []string
	for i := range batch {
		image := fmt.Sprintf("%s/bench/batch:%d", b.host, i)
		// Another label is another digest.
		if _, err := b.once([]string{crane, "mutate", "--label", fmt.Sprintf("n=%d", i), "--tag", image, tag}); err != nil {
			return "", "", "", err
		}
		lines = append(lines, image)
	}
	list = filepath.Join(b.dir, "images")
	if err := os.WriteFile(list, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return "", "", "", err
	}
	_, err = b.once([]string{b.assay, "sign", "--key", "bench.key", "--layout", "bundle", "-f", list})
	return tag, digest, list, err
}
