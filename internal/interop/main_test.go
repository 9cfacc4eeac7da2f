//go:build interop

package interop_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-161fc314/assay/internal/interop/sigstore"
)

// shared holds what all tests of this binary use and what TestMain takes away.
var shared struct {
	dir   string
	stack struct {
		once sync.Once
		*sigstore.Stack
		err error
	}
	binary struct {
		once sync.Once
		path string
		err  error
	}
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "assay-interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared.dir = dir
	defer os.RemoveAll(dir)
	defer func() {
		if shared.stack.Stack != nil {
			shared.stack.Close()
		}
	}()
	return m.Run()
}

// private is the Sigstore that all tests of this binary share; a test that
// fails shows what its servers said last.
func private(t *testing.T) *sigstore.Stack {
	t.Helper()
	peers := filepath.Dir(peer(t, "fulcio"))
	shared.stack.once.Do(func() {
		dir := filepath.Join(shared.dir, "sigstore")
		if shared.stack.err = os.Mkdir(dir, 0o700); shared.stack.err == nil {
			shared.stack.Stack, shared.stack.err = sigstore.Start(context.Background(), sigstore.Config{Dir: dir, Peers: peers})
		}
	})
	if shared.stack.err != nil {
		t.Fatal(shared.stack.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(shared.stack.Logs(5))
		}
	})
	return shared.stack.Stack
}

// binaryVariable names the binary that a test's first process built.
const binaryVariable = "ASSAY_INTEROP_BINARY"

// static is the path of assay as it is shipped: a static binary, without cgo.
func static(t *testing.T) string {
	t.Helper()
	shared.binary.once.Do(func() {
		if shared.binary.path = os.Getenv(binaryVariable); shared.binary.path != "" {
			return
		}
		shared.binary.path = filepath.Join(shared.dir, "assay")
		command := exec.Command(program(t, "go", "golang"), "build", "-trimpath", "-o", shared.binary.path, "github.com/seed-161fc314/assay/cmd/assay")
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := command.CombinedOutput(); err != nil {
			shared.binary.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if shared.binary.err != nil {
		t.Fatal(shared.binary.err)
	}
	return shared.binary.path
}
