package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// signing measures against cosign, over a registry on loopback.
func (b *bench) signing() error {
	stop, err := b.registry()
	if err != nil {
		return err
	}
	defer stop()
	contests, err := b.prepareSigning()
	if err != nil {
		return err
	}
	return b.table("cosign", contests)
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

// prepareSigning pushes an image, makes a key pair that both read, and lists what is
// compared.
func (b *bench) prepareSigning() ([]contest, error) {
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
		{name: "start and print the version", assay: []string{b.assay, "version"}, peer: []string{cosign, "version"}},
		{name: "verify, bundle", assay: []string{b.assay, "verify", "--key", "bench.pub", signed},
			peer: []string{cosign, "verify", "--key", "bench.pub", "--insecure-ignore-tlog", "--offline", signed}},
		{name: "verify-attestation, bundle", assay: []string{b.assay, "verify-attestation", "--key", "bench.pub", "--type", "slsaprovenance", signed},
			peer: []string{cosign, "verify-attestation", "--key", "bench.pub", "--type", "slsaprovenance", "--insecure-ignore-tlog", "--offline", signed}},
		{name: "sign, bundle", assay: []string{b.assay, "sign", "--key", "bench.key", "--layout", "bundle", image},
			peer: slices.Concat([]string{cosign, "sign", "--yes", "--key", "bench.key"}, noLog, []string{image})},
		{name: "attest, bundle", assay: []string{b.assay, "attest", "--key", "bench.key", "--layout", "bundle", "--type", "slsaprovenance", "--predicate", predicate, image},
			peer: slices.Concat([]string{cosign, "attest", "--yes", "--key", "bench.key", "--type", "slsaprovenance", "--predicate", predicate}, noLog, []string{image})},
	}, nil
}
