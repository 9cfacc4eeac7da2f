package server

import (
	"net"
	"os"
	"os/exec"
	"testing"
)

// TestListens: that something listens on a process's port is not enough; the
// process must be who listens.
func TestListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command("cat")
	input, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		input.Close()
		if err := other.Wait(); err != nil {
			t.Error(err)
		}
	}()
	self := &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}
	for name, test := range map[string]struct {
		process Process
		want    bool
	}{
		"itself":       {Process{Ports: []string{port}, command: self}, true},
		"another":      {Process{Ports: []string{port}, command: other}, false},
		"another port": {Process{Ports: []string{"1"}, command: self}, false},
	} {
		if got, err := test.process.listens(); err != nil || got != test.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
