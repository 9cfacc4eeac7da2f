package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

func newRegistry(host *Host) *cobra.Command {
	command := &cobra.Command{
		Use: "registry", Short: "The embedded registry", Args: cobra.NoArgs,
		Long: "Every command serves the registry " + EmbeddedHost + " itself, from a directory\n(ASSAY_REGISTRY, or the user's data directory).",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var address string
	serve := &cobra.Command{
		Use: "serve", Short: "Serve the embedded registry on a loopback port, for other tools to look at",
		Long:    "Serve puts the content of " + EmbeddedHost + " on a loopback port until it is\ninterrupted, so that cosign, crane and others can read and write it.",
		Example: "  assay registry serve --address 127.0.0.1:5000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveRegistry(cmd.Context(), host, address)
		},
	}
	serve.Flags().StringVar(&address, "address", "127.0.0.1:5000", "loopback address and port")
	command.AddCommand(serve)
	return command
}

func serveRegistry(ctx context.Context, host *Host, address string) error {
	name, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(name); err != nil || name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usage("--address %s: want a loopback address and a port, such as 127.0.0.1:5000", address).
			withHint("the embedded registry has no users; do not put it on a network")
	}
	dir, err := host.registryDir()
	if err != nil {
		return err
	}
	r, err := registry.Open(dir, registry.Config{})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	host.say("serving %s on http://%s until interrupted", dir, listener.Addr())
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// The interrupt is how serving ends, so it is no error.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
