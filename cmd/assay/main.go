// Command assay tests what goes into an image, signs what it found, and lets
// nothing run whose evidence does not satisfy the policy.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-161fc314/assay/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], cli.System())
	stop()
	os.Exit(code)
}
