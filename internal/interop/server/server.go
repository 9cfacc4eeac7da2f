// Package server runs the servers that interop tests and benchmarks talk to, as
// processes on loopback.
//
// A [Group] starts them on free ports ([Group.Launch]), or in a network of their
// own ([Group.LaunchApart]), and gives a [Process] once the server itself
// answers. Close ends them all; they also end with this process. It downloads
// and builds nothing: .ci/peers does.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a server may take until it answers; a machine that runs
// other tests needs most of it.
const patience = 60 * time.Second

// Group is servers that are started, and ended, together.
type Group struct {
	lock      sync.Mutex
	given     map[string]bool // ports
	processes []*Process
}

// Process is a running server. Its log is a file, URL where Transport finds it,
// Ports are those that it was given; none with a socket of its own.
type Process struct {
	URL       string
	Ports     []string
	Transport *http.Transport

	log, token string
	command    *exec.Cmd
	ended      chan struct{} // closed when the process is gone
	err        error         // what Wait said; read after ended
}

// Command is how a server is started.
type Command struct {
	// Binary is its file, Log the file that its output goes to.
	Binary, Log string
	// Ports is how many it listens on, at least 1; Arguments are given as many.
	Ports     int
	Arguments func(ports []string) []string
	// Ready is the path that it answers with 200 once it is up, at its first port.
	Ready string
	// TLS is how it is spoken to over HTTPS; nil is plain HTTP.
	TLS *tls.Config
	// Token is shown as a bearer's; "" is none.
	Token string
}

// Launch starts a server on free ports and waits until it answers. Somebody may
// take a port between its choice and its use: a server that ends before it
// answers gets new ones, twice, and what somebody else answers there counts for
// nothing.
func (g *Group) Launch(ctx context.Context, c Command) (*Process, error) {
	if _, err := os.Stat(c.Binary); err != nil {
		return nil, fmt.Errorf("%w; .ci/peers builds it", err)
	}
	var failed error
	for range 3 {
		list, err := g.freePorts(c.Ports)
		if err != nil {
			return nil, err
		}
		p, err := g.run(ctx, c.Binary, c.Log, c.Arguments(list), 0)
		if err != nil {
			return nil, err
		}
		p.URL, p.Ports, p.token = "http://127.0.0.1:"+list[0], list, c.Token
		p.Transport = &http.Transport{MaxIdleConnsPerHost: 128, TLSClientConfig: c.TLS}
		if c.TLS != nil {
			p.URL = "https://127.0.0.1:" + list[0]
		}
		if failed = p.ready(ctx, c.Ready); failed == nil {
			return p, nil
		}
		if !errors.Is(failed, errEnded) {
			break
		}
	}
	return nil, failed
}

// LaunchApart starts a server that listens on the socket, and on ports that
// nobody may choose: it gets a network of its own, in which they are free.
// Where that is not allowed, it runs without, and only once on a machine.
func (g *Group) LaunchApart(ctx context.Context, binary, log, socket string, arguments []string, path string) (*Process, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("%w; .ci/peers builds it", err)
	}
	apart := uintptr(syscall.CLONE_NEWNET)
	if os.Getuid() != 0 {
		apart |= syscall.CLONE_NEWUSER
	}
	p, err := g.run(ctx, binary, log, arguments, apart)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		p, err = g.run(ctx, binary, log, arguments, 0)
	}
	if err != nil {
		return nil, err
	}
	p.URL, p.Transport = "http://"+filepath.Base(socket), &http.Transport{MaxIdleConnsPerHost: 128, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	return p, p.ready(ctx, path)
}

var errEnded = errors.New("it ended before it answered")

// run starts a process that dies with this one: the thread that starts it
// stays until it is gone, because the kernel looks at that thread. namespaces
// are flags of clone(2), of those that it gets for itself.
func (g *Group) run(ctx context.Context, binary, log string, arguments []string, namespaces uintptr) (*Process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &Process{log: log, ended: make(chan struct{})}
	p.command = exec.CommandContext(ctx, binary, arguments...)
	p.command.Dir = filepath.Dir(log)
	p.command.Env = []string{"HOME=" + filepath.Dir(log), "PATH=/usr/bin:/bin", "TMPDIR=" + filepath.Dir(log)}
	p.command.Stdout, p.command.Stderr = output, output
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: namespaces}
	started := make(chan error)
	go func() {
		defer output.Close()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.command.Start()
		started <- err
		if err == nil {
			p.err = p.command.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	g.lock.Lock()
	g.processes = append(g.processes, p)
	g.lock.Unlock()
	return p, nil
}

// Close ends every process of the group and waits for it.
func (g *Group) Close() {
	for _, p := range g.processes {
		p.End()
	}
	g.processes = nil
}

// Logs gives the last lines of what every process printed.
func (g *Group) Logs(lines int) string {
	var b strings.Builder
	seen := map[string]bool{} // a server that was started again has one log
	for _, p := range g.processes {
		if seen[p.log] {
			continue
		}
		seen[p.log] = true
		content, err := os.ReadFile(p.log)
		if err != nil {
			fmt.Fprintf(&b, "--- %s: %v\n", filepath.Base(p.log), err)
			continue
		}
		list := strings.Split(strings.TrimSpace(string(content)), "\n")
		fmt.Fprintf(&b, "--- %s\n%s\n", filepath.Base(p.log), strings.Join(list[max(0, len(list)-lines):], "\n"))
	}
	return b.String()
}

// End ends the process at once, and waits for it.
func (p *Process) End() {
	_ = p.command.Process.Kill() // it may have ended by itself
	<-p.ended
}

// ready polls path until this very server answers it with 200.
func (p *Process) ready(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("it does not listen")
	for {
		own, err := p.listens()
		if err != nil {
			return err
		}
		if own {
			if _, last = p.Get(ctx, path); last == nil {
				return nil
			}
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s: %w: %v", filepath.Base(p.command.Path), errEnded, p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s did not answer within %s: %w", filepath.Base(p.command.Path), patience, last)
		case <-tick.C:
		}
	}
}

// listens says whether it is this process that listens on its port: the
// listening socket of the kernel's table is among the process's open files.
func (p *Process) listens() (bool, error) {
	if len(p.Ports) == 0 {
		return true, nil // nobody else knows its socket
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false, err
	}
	port, err := strconv.ParseUint(p.Ports[0], 10, 16)
	if err != nil {
		return false, err
	}
	const local, state, inode, listening = 1, 3, 9, "0A" // fields, see proc(5)
	address := fmt.Sprintf("0100007F:%04X", port)        // 127.0.0.1, in the machine's order
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) <= inode || fields[local] != address || fields[state] != listening {
			continue
		}
		dir := fmt.Sprintf("/proc/%d/fd", p.command.Process.Pid)
		files, err := os.ReadDir(dir)
		if err != nil {
			return false, nil // the process is gone
		}
		return slices.ContainsFunc(files, func(file os.DirEntry) bool {
			to, err := os.Readlink(filepath.Join(dir, file.Name()))
			return err == nil && to == "socket:["+fields[inode]+"]"
		}), nil
	}
	return false, nil
}

// Get fetches a small page; anything but 200 is an error.
func (p *Process) Get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, nil)
	if err != nil {
		return nil, err
	}
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	response, err := (&http.Client{Transport: p.Transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", request.URL, response.Status, content)
	}
	return content, err
}

// freePorts finds ports on 127.0.0.1 that nothing listens on now, and that no
// other part of the stack was given.
func (g *Group) freePorts(n int) ([]string, error) {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.given == nil {
		g.given = map[string]bool{}
	}
	var list []string
	for len(list) < n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // all are held until all are chosen
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return nil, err
		}
		if !g.given[port] {
			g.given[port] = true
			list = append(list, port)
		}
	}
	return list, nil
}
