package sigstore

import (
	"context"
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
	"syscall"
	"time"
)

// patience is how long a server may take until it answers; a machine that runs
// other tests needs most of it.
const patience = 60 * time.Second

// process is a running server. Its log is a file, url where transport finds it,
// port the one that it listens on; "" with a socket of its own.
type process struct {
	url, port, log string
	transport      *http.Transport
	command        *exec.Cmd
	ended          chan struct{} // closed when the process is gone
	err            error         // what Wait said; read after ended
}

// launch starts a server on free ports and waits until it answers at path of
// its first port. Somebody may take a port between its choice and its use:
// a server that ends before it answers gets new ones, twice, and what somebody
// else answers there counts for nothing.
func (s *Stack) launch(ctx context.Context, binary, log string, ports int, arguments func(ports []string) []string, path string) (*process, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("%w; .ci/peers builds it", err)
	}
	var failed error
	for range 3 {
		list, err := s.freePorts(ports)
		if err != nil {
			return nil, err
		}
		p, err := s.run(ctx, binary, log, arguments(list), 0)
		if err != nil {
			return nil, err
		}
		p.url, p.port, p.transport = "http://127.0.0.1:"+list[0], list[0], &http.Transport{MaxIdleConnsPerHost: 128}
		if failed = p.ready(ctx, path); failed == nil {
			return p, nil
		}
		if !errors.Is(failed, errEnded) {
			break
		}
	}
	return nil, failed
}

// launchApart starts a server that listens on the socket, and on ports that
// nobody may choose: it gets a network of its own, in which they are free.
// Where that is not allowed, it runs without, and only once on a machine.
func (s *Stack) launchApart(ctx context.Context, binary, log, socket string, arguments []string, path string) (*process, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("%w; .ci/peers builds it", err)
	}
	apart := uintptr(syscall.CLONE_NEWNET)
	if os.Getuid() != 0 {
		apart |= syscall.CLONE_NEWUSER
	}
	p, err := s.run(ctx, binary, log, arguments, apart)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		p, err = s.run(ctx, binary, log, arguments, 0)
	}
	if err != nil {
		return nil, err
	}
	p.url, p.transport = "http://"+filepath.Base(socket), &http.Transport{MaxIdleConnsPerHost: 128, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	return p, p.ready(ctx, path)
}

var errEnded = errors.New("it ended before it answered")

// run starts a process that dies with this one: the thread that starts it
// stays until it is gone, because the kernel looks at that thread. namespaces
// are flags of clone(2), of those that it gets for itself.
func (s *Stack) run(ctx context.Context, binary, log string, arguments []string, namespaces uintptr) (*process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{log: log, ended: make(chan struct{})}
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
	s.lock.Lock()
	s.processes = append(s.processes, p)
	s.lock.Unlock()
	return p, nil
}

func (p *process) end() {
	_ = p.command.Process.Kill() // it may have ended by itself
	<-p.ended
}

// ready polls path until this very server answers it with 200.
func (p *process) ready(ctx context.Context, path string) error {
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
			if _, last = p.get(ctx, path); last == nil {
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
func (p *process) listens() (bool, error) {
	if p.port == "" {
		return true, nil // nobody else knows its socket
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false, err
	}
	port, err := strconv.ParseUint(p.port, 10, 16)
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

// get fetches a small page; anything but 200 is an error.
func (p *process) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: p.transport}).Do(request)
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
func (s *Stack) freePorts(n int) ([]string, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
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
		if !s.given[port] {
			s.given[port] = true
			list = append(list, port)
		}
	}
	return list, nil
}
