package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/signingconfig"
	"github.com/seed-161fc314/assay/internal/port/signing/keyless/keylesstest"
)

// services starts a Sigstore, and writes what a client must know of it.
func (h *house) services() *keylesstest.Server {
	h.t.Helper()
	h.now = h.now.Truncate(time.Second)
	server := keylesstest.New(h.t, func() time.Time { return h.now })
	of := func(service string, version uint32) []signingconfig.Service {
		return []signingconfig.Service{{URL: server.URL(service), Version: version, Operator: "test", From: h.now.AddDate(-1, 0, 0)}}
	}
	for name, rekor := range map[string]struct {
		service string
		version uint32
	}{"v1.json": {keylesstest.Rekor, 1}, "v2.json": {keylesstest.Rekor2, 2}} {
		content, err := signingconfig.Config{
			Authorities: of(keylesstest.Fulcio, 1), Logs: of(rekor.service, rekor.version), Timestamps: of(keylesstest.TSA, 1),
			LogRule: signingconfig.Rule{Selector: signingconfig.Any}, TimestampRule: signingconfig.Rule{Selector: signingconfig.Any},
		}.Encode()
		if err != nil {
			h.t.Fatal(err)
		}
		h.write(name, content)
	}
	h.write("root.json", server.Sigstore.Root())
	h.write("token", []byte(server.Token("dev@example.com")))
	h.write("a.txt", []byte("hello"))
	return server
}

// TestSignBundle signs as the conformance suite asks, and verifies so too.
func TestSignBundle(t *testing.T) {
	h := newHouse(t)
	server := h.services()
	who := []string{"--certificate-identity", "dev@example.com", "--certificate-oidc-issuer", keylesstest.Issuer, "--trusted-root", "root.json"}
	verify := func(code int, words []string, artifact string) {
		t.Helper()
		h.want(code, words, append(append([]string{"verify-bundle", "--bundle", "out.json"}, who...), artifact)...)
	}
	about := subject.Of([]byte("hello"))
	h.write("statement.json", []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a.txt","digest":{"sha256":"`+about.Hex()+`"}}],"predicateType":"https://example.com/x/v1","predicate":{}}`))
	sign := func(token, config string, more ...string) []string {
		return append([]string{"sign-bundle", "--identity-token", token, "--bundle", "out.json", "--trusted-root", "root.json", "--signing-config", config}, more...)
	}
	for _, config := range []string{"v1.json", "v2.json"} {
		h.want(0, nil, sign(server.Token("dev@example.com"), config, "a.txt")...)
		verify(0, nil, "a.txt")
		verify(0, nil, about.String())
		verify(1, []string{"other subject"}, subject.Of([]byte("hullo")).String())
		h.want(0, nil, sign("token", config, "--in-toto", "statement.json")...)
		verify(0, []string{"attestation https://example.com/x/v1"}, "a.txt")
		content, err := os.ReadFile(filepath.Join(h.dir, "out.json"))
		if err != nil || strings.Count(string(content), "rawBytes") != 1 {
			t.Errorf("want one certificate and no root in the bundle: %s, %v", content, err)
		}
	}
	h.want(0, []string{"by   dev@example.com", "the timestamp"}, append(append([]string{"verify-attestation", "--type", "https://example.com/x/v1", "--bundle", "out.json"}, who...), "a.txt")...)

	// What the services get wrong is never written.
	for lie, reason := range map[string]string{
		keylesstest.NoSCT: "no certificate timestamp", keylesstest.OtherKey: "another key", keylesstest.OtherEntry: "another",
		keylesstest.OtherTimestamp: "other data",
	} {
		server.Lie(lie)
		os.Remove(filepath.Join(h.dir, "out.json"))
		got := h.run(sign("token", "v1.json", "a.txt")...)
		if got.code != 3 || !strings.Contains(got.err, reason) {
			t.Errorf("%s: exit code %d, want 3 and %q\n%s", lie, got.code, reason, got.err)
		}
		if _, err := os.Stat(filepath.Join(h.dir, "out.json")); err == nil {
			t.Errorf("%s: a bundle was written", lie)
		}
	}
	server.Lie("")
	h.write("root.json", trusttest.New(t, h.now).Root())
	h.want(3, []string{"no door that believes root.json would accept this"}, sign("token", "v1.json", "a.txt")...)
	h.want(3, []string{"neither a JWT nor a file"}, sign("nosuch", "v1.json", "a.txt")...)
	h.want(2, []string{"--trusted-root is missing"}, "sign-bundle", "--identity-token", "token", "--bundle", "o", "--signing-config", "v1.json", "a.txt")
}
