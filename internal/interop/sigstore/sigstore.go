// Package sigstore runs a whole private Sigstore on loopback, for the interop
// tests and the benchmarks: the real Fulcio, Rekor v2 and timestamp authority
// as processes, and, in this process, an OIDC issuer and a certificate
// transparency log.
//
// Start brings it up and waits until every part answers; Close ends it.
// [Stack.Email] and [Stack.Workflow] mint identity tokens, [Stack.TrustedRoot]
// and [Stack.SigningConfig] describe the stack in Sigstore's own files, as a
// whole or with parts left out, out of their time, or exchanged: what a test
// of a denial needs. What clients talk to is a [Service] that counts requests.
//
// It listens on 127.0.0.1 only, speaks plain HTTP, and forgets everything when
// it ends. It is no Sigstore to sign anything with that matters.
package sigstore

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-161fc314/assay/internal/interop/server"
)

// Config says where the stack works. Dir exists and is the stack's own; keys,
// logs and the log's tiles go there. Peers is the directory that .ci/peers
// filled. Checkpoint is how often Rekor publishes a checkpoint, which is what
// every signer waits for; 0 is 200 ms (Rekor's own default is 10 s).
type Config struct {
	Dir, Peers string
	Checkpoint time.Duration
}

// Stack is a running Sigstore.
type Stack struct {
	// Fulcio is the certificate authority that the trusted root names.
	// Stranger is another one, in no root unless a test puts it there.
	// Unlogged writes its certificates to no certificate transparency log.
	Fulcio, Stranger, Unlogged *Authority
	// Rekor is the transparency log; Timestamps the RFC 3161 authority, whose
	// URL is the whole address that requests are posted to.
	Rekor, Timestamps *Service
	// RootFile and ConfigFile hold the trusted root and the signing config of
	// the whole stack.
	RootFile, ConfigFile string

	issuer    *issuer
	ctlog     *ctlog
	rekorKey  ed25519.PublicKey
	timeChain [][]byte // DER, leaf first

	servers server.Group
	lock    sync.Mutex // of closers, while the parts start
	closers []func()
}

// Start brings the stack up. Its processes end with ctx, with Close, and with
// this process.
func Start(ctx context.Context, config Config) (*Stack, error) {
	s := &Stack{}
	if err := s.start(ctx, config); err != nil {
		logs := s.Logs(20)
		s.Close()
		return nil, fmt.Errorf("starting Sigstore on loopback: %w\n%s", err, logs)
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, config Config) error {
	if longest := 80; len(config.Dir) > longest {
		return fmt.Errorf("%s is too long a path: there will be sockets in it, and %d bytes is what their paths have room for", config.Dir, longest)
	}
	if config.Checkpoint == 0 {
		config.Checkpoint = 200 * time.Millisecond
	}
	var err error
	if s.issuer, err = newIssuer(); err != nil {
		return err
	}
	s.closers = append(s.closers, s.issuer.close)
	if s.ctlog, err = newCTLog(); err != nil {
		return err
	}
	s.closers = append(s.closers, s.ctlog.close)
	private, err := s.rekorSigner(config.Dir)
	if err != nil {
		return err
	}
	fulcioConfig := filepath.Join(config.Dir, "fulcio.yaml")
	if err := os.WriteFile(fulcioConfig, s.issuer.fulcioConfig(), 0o600); err != nil {
		return err
	}
	// All at once: each takes its time to start.
	var group sync.WaitGroup
	errs := make([]error, 5)
	for i, authority := range []struct {
		into        **Authority
		name, ctlog string
	}{{&s.Fulcio, "fulcio", s.ctlog.url}, {&s.Stranger, "stranger", s.ctlog.url}, {&s.Unlogged, "unlogged", ""}} {
		group.Go(func() {
			*authority.into, errs[i] = s.fulcio(ctx, config, authority.name, fulcioConfig, authority.ctlog)
		})
	}
	group.Go(func() { errs[3] = s.rekor(ctx, config, private) })
	group.Go(func() { errs[4] = s.timestamps(ctx, config) })
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.describe(config.Dir)
}

// rekorSigner makes the log's key and gives the file of its private half.
func (s *Stack) rekorSigner(dir string) (string, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", err
	}
	s.rekorKey = public
	path := filepath.Join(dir, "rekor.pem")
	return path, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func (s *Stack) fulcio(ctx context.Context, config Config, name, configFile, ctlog string) (*Authority, error) {
	p, err := s.servers.Launch(ctx, server.Command{Binary: filepath.Join(config.Peers, "fulcio"), Log: filepath.Join(config.Dir, name+".log"), Ready: "/healthz", Ports: 3, Arguments: func(ports []string) []string {
		return []string{"serve", "--host=127.0.0.1", "--port=" + ports[0], "--grpc-host=127.0.0.1", "--grpc-port=" + ports[1], "--metrics-port=" + ports[2],
			"--ca=ephemeralca", "--ct-log-url=" + ctlog, "--config-path=" + configFile, "--legacy-unix-domain-socket=@assay-fulcio-" + ports[0],
			"--log_type=prod"}
	}})
	if err != nil {
		return nil, err
	}
	content, err := p.Get(ctx, "/api/v1/rootCert")
	if err != nil {
		return nil, err
	}
	chain, err := certificates(content)
	if err != nil {
		return nil, fmt.Errorf("%s: its root: %w", name, err)
	}
	service, err := s.front(p, "")
	if err != nil {
		return nil, err
	}
	return &Authority{Service: service, chain: chain}, nil
}

func (s *Stack) rekor(ctx context.Context, config Config, private string) error {
	tiles := filepath.Join(config.Dir, "tiles")
	if err := os.MkdirAll(tiles, 0o700); err != nil {
		return err
	}
	p, err := s.servers.Launch(ctx, server.Command{Binary: filepath.Join(config.Peers, "rekor-server-posix"), Log: filepath.Join(config.Dir, "rekor.log"), Ready: "/healthz", Ports: 3, Arguments: func(ports []string) []string {
		return []string{"serve", "--http-address=127.0.0.1", "--http-port=" + ports[0], "--grpc-address=127.0.0.1", "--grpc-port=" + ports[1], "--http-metrics-port=" + ports[2],
			// Clients look for a checkpoint of the log URL's host, without the port.
			"--hostname=" + origin, "--storage-dir=" + tiles, "--signer-filepath=" + private,
			"--checkpoint-interval=" + config.Checkpoint.String(), "--batch-max-age=50ms"}
	}})
	if err != nil {
		return err
	}
	s.Rekor, err = s.front(p, "")
	return err
}

func (s *Stack) timestamps(ctx context.Context, config Config) error {
	// Its metrics listen on port 2112 of every address, whatever it is told.
	socket := filepath.Join(config.Dir, "timestamps.sock")
	p, err := s.servers.LaunchApart(ctx, filepath.Join(config.Peers, "timestamp-server"), filepath.Join(config.Dir, "timestamps.log"), socket,
		[]string{"serve", "--scheme=unix", "--socket-path=" + socket, "--timestamp-signer=memory", "--disable-ntp-monitoring", "--log-type=prod"}, "/ping")
	if err != nil {
		return err
	}
	content, err := p.Get(ctx, "/api/v1/timestamp/certchain")
	if err != nil {
		return err
	}
	if s.timeChain, err = certificates(content); err != nil {
		return fmt.Errorf("timestamp authority: its chain: %w", err)
	}
	s.Timestamps, err = s.front(p, "/api/v1/timestamp")
	return err
}

// Close ends every process of the stack and waits for it.
func (s *Stack) Close() {
	s.servers.Close()
	for _, closer := range s.closers {
		closer()
	}
	s.closers = nil
}

// Logs gives the last lines of what every process printed.
func (s *Stack) Logs(lines int) string { return s.servers.Logs(lines) }

// certificates reads a chain of PEM certificates as DER, in its order.
func certificates(content []byte) ([][]byte, error) {
	var chain [][]byte
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, err
		}
		chain = append(chain, block.Bytes)
	}
	if len(chain) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return chain, nil
}
