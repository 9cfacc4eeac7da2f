//go:build interop

package interop_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// insideVariable says that this process runs in a network of its own.
const insideVariable = "ASSAY_INTEROP_ISOLATED"

// isolated runs the calling test again in a process with a network namespace
// of its own, where only loopback is up, and says whether this is that
// process. The other one has nothing left to do when it returns.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		return true
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	command.Env = append(os.Environ(), insideVariable+"=1", binaryVariable+"="+static(t))
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("in a network of its own: %v (without root, user namespaces must be allowed)\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Fatalf("the test did not run in a network of its own:\n%s", out)
	}
	if testing.Verbose() {
		t.Logf("in a network of its own:\n%s", out)
	}
	return false
}

// wire sees everything that any program in the namespace sends: every address
// there is leads to loopback, a socket on loopback hears the first packet of
// every connection and every datagram, and a name server answers for every
// name. What is tried is seen even where nothing listens.
type wire struct {
	t      *testing.T
	socket int
	mutex  sync.Mutex
	names  map[string]bool
}

// elsewhere is where every name leads to (a documentation address, RFC 5737);
// proxy is a proxy that a test names in the environment.
const (
	elsewhere  = "192.0.2.1"
	proxy      = "198.51.100.7:3128"
	nameServer = "127.0.0.53:53"
)

// tap sets up the namespace of this process and listens in it.
func tap(t *testing.T) *wire {
	t.Helper()
	must := func(err error, what string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	ip := program(t, "ip", "iproute2")
	for _, arguments := range [][]string{
		{"link", "set", "lo", "up"},
		{"route", "add", "local", "0.0.0.0/0", "dev", "lo"},
		{"-6", "route", "add", "local", "::/0", "dev", "lo"},
	} {
		out, err := exec.Command(ip, arguments...).CombinedOutput()
		must(err, "ip "+strings.Join(arguments, " ")+": "+string(out))
	}
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	must(os.WriteFile(resolv, []byte("nameserver 127.0.0.53\noptions timeout:1 attempts:1\n"), 0o644), "resolv.conf")
	must(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), "making mounts private")
	must(syscall.Mount(resolv, "/etc/resolv.conf", "", syscall.MS_BIND, ""), "mounting resolv.conf")

	w := &wire{t: t, names: map[string]bool{}}
	loopback, err := net.InterfaceByName("lo")
	must(err, "lo")
	all := uint16(syscall.ETH_P_ALL>>8 | syscall.ETH_P_ALL<<8&0xff00) // in network order
	w.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(all))
	must(err, "packet socket")
	t.Cleanup(func() { _ = unix.Close(w.socket) })
	// Without root outside the namespace, the queue stays as it is: some hundred
	// packets. What does not go into it is counted, and fails the test.
	_ = unix.SetsockoptInt(w.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	must(unix.SetsockoptSockFprog(w.socket, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, beginnings(t)), "packet filter")
	must(unix.Bind(w.socket, &unix.SockaddrLinklayer{Protocol: all, Ifindex: loopback.Index}), "packet socket on lo")

	server, err := net.ListenPacket("udp", nameServer)
	must(err, "name server")
	t.Cleanup(func() { server.Close() })
	go w.answer(server)
	for _, port := range []string{"80", "443"} { // so that nobody waits for an answer in vain
		listener, err := net.Listen("tcp", "0.0.0.0:"+port)
		must(err, "listener")
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				connection.Close()
			}
		}()
	}
	return w
}

// beginnings is a packet filter: the first packet of a TCP connection (SYN
// without ACK), and everything that is not TCP.
func beginnings(t *testing.T) *unix.SockFprog {
	t.Helper()
	const tcp, syn, ack = 6, 2, 16
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1}, // version and, in IPv4, the header's length
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 5},
		bpf.LoadAbsolute{Off: 9, Size: 1}, // IPv4: protocol
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: tcp, SkipTrue: 9},
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 13, Size: 1}, // TCP flags
		bpf.Jump{Skip: 3},
		bpf.LoadAbsolute{Off: 6, Size: 1}, // IPv6: next header
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: tcp, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 40 + 13, Size: 1}, // TCP flags
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: syn | ack},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: syn, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 128},
	})
	if err != nil {
		t.Fatal(err)
	}
	var filter []unix.SockFilter
	for _, i := range raw {
		filter = append(filter, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
}

// answer says of every name that it is elsewhere, and keeps what was asked.
func (w *wire) answer(server net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := server.ReadFrom(buffer)
		if err != nil {
			return
		}
		var message dnsmessage.Message
		if message.Unpack(buffer[:n]) != nil || len(message.Questions) != 1 {
			continue
		}
		question := message.Questions[0]
		w.mutex.Lock()
		w.names[strings.TrimSuffix(question.Name.String(), ".")] = true
		w.mutex.Unlock()
		message.Header = dnsmessage.Header{ID: message.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}
		message.Additionals = nil
		if question.Type == dnsmessage.TypeA {
			message.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 1},
				Body: &dnsmessage.AResource{A: netip.MustParseAddr(elsewhere).As4()}}}
		}
		if packed, err := message.Pack(); err == nil {
			_, _ = server.WriteTo(packed, from) // whoever asked is gone
		}
	}
}

// forget lets what was sent until now count for nothing.
func (w *wire) forget() {
	w.t.Helper()
	w.heard()
}

// take gives what was sent since forget, or since the last call: "tcp ADDRESS:PORT" of every
// connection that was begun, "udp ADDRESS:PORT" of every datagram but a name
// server's answers, "name NAME" of every name that was asked for; once each,
// sorted.
func (w *wire) take() []string {
	w.t.Helper()
	seen, dropped := w.heard()
	if dropped > 0 {
		w.t.Fatalf("%d packets were not looked at: the socket's queue was full", dropped)
	}
	return slices.Sorted(maps.Keys(seen))
}

// heard empties the socket's queue and the list of names; dropped is how many
// packets found no place in the queue.
func (w *wire) heard() (seen map[string]bool, dropped uint32) {
	w.t.Helper()
	seen = map[string]bool{}
	buffer := make([]byte, 128)
	for {
		n, _, err := unix.Recvfrom(w.socket, buffer, 0)
		if err == unix.EAGAIN {
			break
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if what := destination(buffer[:n]); what != "" {
			seen[what] = true
		}
	}
	counts, err := unix.GetsockoptTpacketStats(w.socket, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for name := range w.names {
		seen["name "+name] = true
	}
	clear(w.names)
	return seen, counts.Drops
}

// destination says where a packet goes. Answers of the name server, and ICMP
// about packets that were seen before, give "".
func destination(packet []byte) string {
	var protocol byte
	var from, to netip.Addr
	var payload []byte
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		protocol, payload = packet[9], packet[min(int(packet[0]&15)*4, len(packet)):]
		from, to = netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20]))
	case len(packet) >= 40 && packet[0]>>4 == 6:
		protocol, payload = packet[6], packet[40:]
		from, to = netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40]))
	default:
		return fmt.Sprintf("a packet that is not IP: %x", packet)
	}
	const icmp, tcp, udp, icmpv6 = 1, 6, 17, 58
	if protocol == icmp || protocol == icmpv6 {
		return ""
	}
	if protocol != tcp && protocol != udp || len(payload) < 4 {
		return fmt.Sprintf("protocol %d to %s", protocol, to)
	}
	if source := netip.AddrPortFrom(from, binary.BigEndian.Uint16(payload)); source.String() == nameServer {
		return ""
	}
	name := map[byte]string{tcp: "tcp", udp: "udp"}[protocol]
	return name + " " + netip.AddrPortFrom(to, binary.BigEndian.Uint16(payload[2:])).String()
}
