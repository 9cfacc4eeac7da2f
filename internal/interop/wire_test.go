//go:build interop

package interop_test

import (
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// sends runs a program in the namespace, and gives what it printed and what it
// sent to anywhere but the allowed addresses. One that sent nothing to one of
// them proves nothing, and fails the test.
func (s *stage) sends(w *wire, allowed []string, path string, arguments ...string) (out string, sent []string, err error) {
	s.t.Helper()
	w.forget()
	command := exec.Command(path, arguments...)
	command.Dir, command.Env = s.dir, s.env
	content, err := command.CombinedOutput()
	sent = w.take()
	for _, address := range allowed {
		if !slices.Contains(sent, "tcp "+address) {
			s.t.Errorf("%s %s: not seen to talk to %s, only %q\n%s", path, strings.Join(arguments, " "), address, sent, content)
		}
	}
	sent = slices.DeleteFunc(sent, func(what string) bool {
		protocol, address, _ := strings.Cut(what, " ")
		return protocol == "tcp" && slices.Contains(allowed, address)
	})
	return string(content), sent, err
}

// hears tries the tap on every kind of traffic.
func (w *wire) hears() {
	w.t.Helper()
	w.forget()
	var want []string
	for _, address := range []string{"tcp 169.254.169.254:80", "tcp 203.0.113.5:4711", "tcp [2001:db8::1]:443", "udp 203.0.113.5:123", "udp [2001:db8::1]:53"} {
		network, where, _ := strings.Cut(address, " ")
		connection, err := net.Dial(network, where)
		if err == nil {
			_, _ = connection.Write([]byte("hello")) // nobody may listen
			connection.Close()
		}
		want = append(want, address)
	}
	if _, err := net.LookupHost("example.com"); err != nil {
		w.t.Errorf("the name server does not answer: %v", err)
	}
	want = append(want, "name example.com", "udp "+nameServer)
	slices.Sort(want)
	if got := w.take(); !slices.Equal(got, want) {
		w.t.Fatalf("the tap heard\n %q, want\n %q", got, want)
	}
}

// TestNothingUnasked: with a key and a registry, no other host is contacted:
// no name is looked up, no connection begun, no datagram sent, with and without
// proxies in the environment. That the tap would see it is proven by cosign,
// which looks for its TUF repository.
func TestNothingUnasked(t *testing.T) {
	if !isolated(t) {
		return
	}
	w := tap(t)
	w.hears()
	assay, cosign := static(t), peer(t, "cosign")
	for name, proxies := range map[string][]string{"no proxies": nil, "proxies": {"HTTP_PROXY=http://" + proxy, "HTTPS_PROXY=http://" + proxy, "http_proxy=http://" + proxy, "https_proxy=http://" + proxy}} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.env = append(s.env, proxies...)
			all := registries(t)
			host, mirror := all["embedded"](t), all["go-containerregistry"](t)
			image := s.image(host, "wire/image")
			s.write("predicate.json", slsa)
			for _, step := range []struct {
				contacts  []string // these and nobody else
				arguments []string
			}{
				{nil, []string{"key", "generate", "--output-key-prefix", "ci"}},
				{nil, []string{"key", "public", "--key", "ci.key"}},
				{[]string{host}, []string{"sign", "--key", "ci.key", image}},
				{[]string{host}, []string{"attest", "--key", "ci.key", "--type", "slsaprovenance", "--predicate", "predicate.json", image}},
				{[]string{host}, []string{"verify", "--key", "ci.pub", image}},
				{[]string{host}, []string{"verify-attestation", "--key", "ci.pub", "--type", "slsaprovenance", image}},
				{[]string{host}, []string{"tree", image}},
				{[]string{host, mirror}, []string{"copy", image, mirror + "/wire/copy:one"}},
				{[]string{mirror}, []string{"verify", "--key", "ci.pub", mirror + "/wire/copy:one"}},
				{[]string{mirror}, []string{"copy", mirror + "/wire/copy:one", "oci:layout"}},
				{nil, []string{"tree", "oci:layout"}},
				{[]string{host}, []string{"copy", "oci:layout", host + "/wire/back:one"}},
			} {
				out, sent, err := s.sends(w, step.contacts, assay, step.arguments...)
				if err != nil {
					t.Fatalf("assay %s: %v\n%s", strings.Join(step.arguments, " "), err, out)
				}
				if len(sent) > 0 {
					t.Errorf("assay %s contacts %q", strings.Join(step.arguments, " "), sent)
				}
			}
			// The control. cosign cannot sign without its TUF repository, or
			// can and says so: that it looked is what counts.
			_, sent, _ := s.sends(w, nil, cosign, "sign", "--yes", "--key", "ci.key", image)
			want := "name tuf-repo-cdn.sigstore.dev"
			if proxies != nil {
				want = "tcp " + proxy
			}
			if !slices.Contains(sent, want) {
				t.Errorf("the tap does not see cosign's look-up: %q, want %q among it", sent, want)
			}
			t.Logf("cosign sign --key contacts %q", sent)
		})
	}
}
