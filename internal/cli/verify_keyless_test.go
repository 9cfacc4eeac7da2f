package cli_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

const (
	issuer    = "https://token.actions.githubusercontent.com"
	workflow  = "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main"
	signType  = "https://sigstore.dev/cosign/sign/v1"
	otherType = "https://example.com/other/v1"
)

// mint is a Sigstore, and somebody who signs with it.
type mint struct {
	t *testing.T
	*trusttest.Sigstore
	who *trusttest.Keyless
	at  time.Time
}

func newMint(t *testing.T, h *house) mint {
	t.Helper()
	m := mint{t: t, at: time.Date(2026, 11, 20, 8, 3, 0, 0, time.UTC)}
	m.Sigstore = trusttest.New(t, m.at)
	m.who = m.Keyless(identity.Certificate{Subject: workflow, Issuer: issuer, Extensions: map[string]string{
		"githubWorkflowRef": "refs/heads/main", "githubWorkflowTrigger": "push", "sourceRepositoryURI": "https://github.com/example/app",
	}}, m.at.Add(-time.Minute))
	h.write("root.json", m.Root())
	return m
}

// blob is a bundle with a signature over a file; witnessed by notary, where
// there is one.
func (m mint) blob(signer signing.Signer, content []byte, notary signing.Notary) []byte {
	m.t.Helper()
	signature, err := signer.Sign(context.Background(), content)
	m.must(err)
	sum := sha256.Sum256(content)
	return m.finish(signer, bundle.Bundle{Message: &bundle.Message{Algorithm: "sha256", Digest: sum[:], Signature: signature}}, notary)
}

// statement is a bundle with a statement about a digest.
func (m mint) statement(signer signing.Signer, predicateType string, about subject.Digest, notary signing.Notary) []byte {
	m.t.Helper()
	payload, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf("", about)}, predicateType, json.RawMessage(`{}`)))
	m.must(err)
	return m.sealed(signer, payload, notary)
}

// sealed is a bundle with any payload.
func (m mint) sealed(signer signing.Signer, payload []byte, notary signing.Notary) []byte {
	m.t.Helper()
	signature, err := signer.Sign(context.Background(), dsse.PAE(dsse.InToto, payload))
	m.must(err)
	return m.finish(signer, bundle.Bundle{Envelope: dsse.Envelope{PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: signature}}}}, notary)
}

func (m mint) finish(signer signing.Signer, b bundle.Bundle, notary signing.Notary) []byte {
	m.t.Helper()
	b.KeyHint = signer.KeyID().Hint()
	if certified, ok := signer.(signing.Certified); ok {
		b.KeyHint, b.Certificates = "", certified.Certificates()[:1]
	}
	content, err := bundle.EncodeWith(b)
	m.must(err)
	if notary != nil {
		content, err = notary.Witness(context.Background(), content, signer.Public())
		m.must(err)
	}
	return content
}

func (m mint) v1() trusttest.Notary { return trusttest.Notary{Sigstore: m.Sigstore, At: m.at} }
func (m mint) v2() trusttest.Notary {
	return trusttest.Notary{Sigstore: m.Sigstore, At: m.at, V2: true, Stamped: true}
}

func (m mint) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// attach stores a bundle beside an image.
func (h *house) attach(image oci.Resolved, predicateType string, content []byte) {
	h.t.Helper()
	if _, err := oci.New(oci.Config{}).Attach(h.t.Context(), oci.Attachment{
		Repository: image.Name(), Image: image.Digest, PredicateType: predicateType, Created: h.now,
		Evidence: trust.Evidence{Form: trust.Bundle, Content: content},
	}); err != nil {
		h.t.Fatal(err)
	}
}

// asked are the flags for an identity.
func asked(subject, issuer string, more ...string) []string {
	return append([]string{"--certificate-identity", subject, "--certificate-oidc-issuer", issuer, "--trusted-root", "root.json"}, more...)
}

func verifying(image string, flags ...string) []string {
	return append(append([]string{"verify"}, flags...), image)
}

// TestKeyless: an image that somebody signed with a certificate, and who counts.
func TestKeyless(t *testing.T) {
	h := newHouse(t)
	m := newMint(t, h)
	image, resolved := h.push("app")
	h.attach(resolved, signType, m.statement(m.who, signType, resolved.Digest, m.v1()))
	// The extensions are those of the certificate, the index is the log's.
	verified := []string{
		"VERIFIED", "image signature", "by   " + workflow, "from " + issuer, "githubWorkflowRef=refs/heads/main",
		"log  https://rekor.test entry 1001 at 2026-11-20T08:03:00Z", "SCT  1 certificate log lists it",
		"the certificate's identity and its chain to root.json", "the log's signed entry", "the SCT", "!no transparency log", "!time https://", "!the timestamp",
	}
	for name, test := range map[string]struct {
		flags []string
		code  int
		words []string
	}{
		"identity":      {asked(workflow, issuer), 0, verified},
		"offline":       {asked(workflow, issuer, "--offline"), 0, verified},
		"one of two":    {asked("a@example.com", issuer, "--certificate-identity", workflow), 0, verified},
		"paired":        {asked("a@example.com", "https://a", "--certificate-identity", workflow, "--certificate-oidc-issuer", issuer), 0, verified},
		"cross-paired":  {asked("a@example.com", issuer, "--certificate-identity", workflow, "--certificate-oidc-issuer", "https://a"), 1, []string{"unknown identity"}},
		"expression":    {[]string{"--certificate-identity-regexp", `https://github\.com/example/app/.+`, "--certificate-oidc-issuer-regexp", `https://token\.actions\..+`, "--trusted-root", "root.json"}, 0, verified},
		"anchored":      {[]string{"--certificate-identity-regexp", `github\.com/example/app`, "--certificate-oidc-issuer", issuer, "--trusted-root", "root.json"}, 1, []string{"unknown identity", "want one that", "matches as a whole", "--certificate-identity-regexp must match the whole of it: .*github\\.com/example/app.* would"}},
		"ref":           {asked(workflow, issuer, "--certificate-github-workflow-ref", "refs/heads/main", "--certificate-github-workflow-trigger", "push"), 0, verified},
		"other ref":     {asked(workflow, issuer, "--certificate-github-workflow-ref", "refs/heads/evil"), 1, []string{"unknown identity", `truly, whom you named, but githubWorkflowRef is "refs/heads/main", want "refs/heads/evil"`, "have it signed by a run that has what is asked for"}},
		"absent":        {asked(workflow, issuer, "--certificate-github-workflow-name", "release"), 1, []string{`githubWorkflowName is ""`}},
		"extension":     {asked(workflow, issuer, "--certificate-extension", "sourceRepositoryURI=https://github.com/example/app", "--certificate-extension-regexp", "githubWorkflowRef=refs/heads/(main|release)"), 0, verified},
		"not extension": {asked(workflow, issuer, "--certificate-extension-regexp", "githubWorkflowRef=heads"), 1, []string{"unknown identity"}},
		"timestamp":     {asked(workflow, issuer, "--require-timestamp"), 0, verified},
	} {
		t.Run(name, func(t *testing.T) {
			h.t = t
			h.want(test.code, test.words, verifying(image, test.flags...)...)
		})
	}
	h.t = t
	h.want(2, []string{"--certificate-identity-regexp", "larger than the bound of 4096 bytes"}, "verify", "--certificate-identity-regexp", strings.Repeat("a", 4097), "--certificate-oidc-issuer", issuer, image)
	h.key("ci")
	h.want(1, []string{"it is signed with a certificate, and no certificate identity was asked for"}, "verify", "--key", "ci.pub", image)
	h.want(1, []string{
		"NOT VERIFIED", `expected  a signature by "other@example.com" of "` + issuer + `"`, "found     none that counts, among 1 piece of evidence",
		"signed by", workflow + `" of issuer "` + issuer + `", truly, and is not among those named`,
		`--certificate-identity "` + workflow + `" --certificate-oidc-issuer "` + issuer + `"`,
	}, verifying(image, asked("other@example.com", issuer)...)...)
	h.want(1, []string{"unknown identity"}, verifying(image, asked(workflow, "https://issuer.example.com")...)...)
}

// TestKeylessDefects: each thing that a certificate's signature needs, taken
// away, and the flag that does without it.
func TestKeylessDefects(t *testing.T) {
	h := newHouse(t)
	m := newMint(t, h)
	other := newMint(t, &house{t: t, dir: t.TempDir()})
	unpromised := *m.Sigstore
	unpromised.CertificateLog = nil
	bare := unpromised.Keyless(identity.Certificate{Subject: workflow, Issuer: issuer}, m.at.Add(-time.Minute))
	for name, test := range map[string]struct {
		make    func(about subject.Digest) []byte
		reason  string
		without []string // flags that accept it
		shown   []string // what is said then
	}{
		"no log entry": {func(d subject.Digest) []byte { return m.statement(m.who, signType, d, nil) },
			"no log entry", []string{"--insecure-ignore-tlog"}, []string{"no transparency log was asked", "!    log ", "!the log's signed entry", "!rekor"}},
		"no SCT": {func(d subject.Digest) []byte { return m.statement(bare, signType, d, m.v1()) },
			"no certificate timestamp", []string{"--insecure-ignore-sct"}, []string{"no SCT was checked", "!SCT  ", "the log's signed entry"}},
		"of another root":  {func(d subject.Digest) []byte { return other.statement(other.who, signType, d, other.v1()) }, "no log entry", nil, nil},
		"of another image": {func(subject.Digest) []byte { return m.statement(m.who, signType, subject.Of([]byte("x")), m.v1()) }, "other subject", nil, nil},
		"entry of another": {func(d subject.Digest) []byte { return m.swapped(d) }, "log entry of another signature", nil, nil},
		"signed too late": {func(d subject.Digest) []byte {
			return m.statement(m.who, signType, d, trusttest.Notary{Sigstore: m.Sigstore, At: m.at.Add(time.Hour)})
		}, "certificate out of time", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h.t = t
			image, resolved := h.push(strings.ReplaceAll(strings.ToLower(name), " ", "-"))
			h.attach(resolved, signType, test.make(resolved.Digest))
			h.now = m.at // so that without a log, the certificate is valid
			h.want(1, []string{"NOT VERIFIED", "does not count: " + test.reason + ": ", "fix "}, verifying(image, asked(workflow, issuer)...)...)
			if test.without != nil {
				h.want(0, test.shown, verifying(image, asked(workflow, issuer, test.without...)...)...)
			}
		})
	}
}

// swapped has the log entry of another signature by the same signer.
func (m mint) swapped(about subject.Digest) []byte {
	m.t.Helper()
	one, err := bundle.Decode(m.statement(m.who, signType, about, m.v1()))
	m.must(err)
	other, err := bundle.Decode(m.statement(m.who, otherType, about, m.v1()))
	m.must(err)
	one.Entries = other.Entries
	content, err := bundle.EncodeWith(one)
	m.must(err)
	return content
}

// TestKeyWithLog: with a trusted root, what a log signed of a key's signature
// is verified and said; without one, nothing of the kind is claimed.
func TestKeyWithLog(t *testing.T) {
	h := newHouse(t)
	m := newMint(t, h)
	h.key("ci")
	h.write("a.txt", []byte("hello"))
	h.want(0, nil, "sign", "--key", "ci.key", "--bundle", "bare.json", "a.txt")
	content, err := os.ReadFile(filepath.Join(h.dir, "bare.json"))
	m.must(err)
	public, err := os.ReadFile(filepath.Join(h.dir, "ci.pub"))
	m.must(err)
	signer, err := trust.ParseSigner("ci", public)
	m.must(err)
	witnessed, err := m.v2().Witness(t.Context(), content, signer.Keys[0].Public)
	m.must(err)
	h.write("logged.json", witnessed)
	log := "https://log2026.rekor.test entry 1"
	h.want(0, []string{"no transparency log was asked", "!rekor", "!the log's"}, "verify", "--key", "ci.pub", "--bundle", "logged.json", "a.txt")
	h.want(0, []string{"log  " + log, "time 2026-11-20T08:03:00Z by ", "the log's signed entry", "the timestamp", "!no transparency log"},
		"verify", "--key", "ci.pub", "--trusted-root", "root.json", "--require-tlog", "--require-timestamp", "--bundle", "logged.json", "a.txt")
	h.want(0, []string{"no transparency log was asked", "!rekor"}, "verify", "--key", "ci.pub", "--trusted-root", "root.json", "--bundle", "bare.json", "a.txt")
	h.want(1, []string{"no log entry: ", "or leave --require-tlog out"}, "verify", "--key", "ci.pub", "--trusted-root", "root.json", "--require-tlog", "--bundle", "bare.json", "a.txt")
	h.want(1, []string{"no trusted time: "}, "verify", "--key", "ci.pub", "--trusted-root", "root.json", "--require-timestamp", "--bundle", "bare.json", "a.txt")
}

// TestTwoWho: identities and keys count together to a threshold.
func TestTwoWho(t *testing.T) {
	h := newHouse(t)
	m := newMint(t, h)
	h.key("ci")
	image, resolved := h.push("app")
	h.attach(resolved, signType, m.statement(m.who, signType, resolved.Digest, m.v1()))
	// The same identity once more, with another certificate.
	again := m.Keyless(identity.Certificate{Subject: workflow, Issuer: issuer}, m.at.Add(-time.Minute))
	h.attach(resolved, signType, m.statement(again, signType, resolved.Digest, m.v2()))
	flags := asked(workflow, issuer, "--key", "ci.pub", "--threshold", "2", "--certificate-identity-regexp", ".+release.+")
	h.want(1, []string{"1 different signer, of 2 demanded"}, verifying(image, flags...)...)
	h.want(0, nil, "sign", "--key", "ci.key", image)
	h.want(0, []string{"signed by 2 different signers"}, verifying(image, flags...)...)
}

// TestColumns: on a terminal of 80 columns, a line is longer only where its
// last word leaves no other choice.
func TestColumns(t *testing.T) {
	h := newHouse(t)
	m := newMint(t, h)
	h.key("ci")
	h.width = 80
	image, resolved := h.push("app")
	h.attach(resolved, signType, m.statement(m.who, signType, resolved.Digest, m.v2()))
	h.want(0, nil, "sign", "--key", "ci.key", image)
	for _, flags := range [][]string{asked(workflow, issuer), {"--key", "ci.pub"}, asked("other@example.com", issuer), asked(workflow, issuer, "--threshold", "2", "--key", "ci.pub")} {
		got := h.run(verifying(image, flags...)...)
		for line := range strings.Lines(got.out + got.err) {
			words := strings.Fields(line)
			if utf8.RuneCountInString(strings.TrimSpace(line)) > 80 && utf8.RuneCountInString(words[len(words)-1]) < 66 {
				t.Errorf("%v: longer than 80 columns: %s", flags, line)
			}
		}
	}
	got := h.want(0, nil, verifying(image, "--key", "ci.pub")...)
	for line := range strings.Lines(got.out) {
		if strings.Contains(line, "sha256:") && strings.HasPrefix(line, " ") && utf8.RuneCountInString(line) > 81 {
			t.Errorf("a digest does not fit: %s", line)
		}
	}
}

// TestStrangersTold: a thousand pieces by strangers, hostile ones, are told of
// in a few lines, and what is real among them is found.
func TestStrangersTold(t *testing.T) {
	h := newHouse(t)
	m := newMint(t, h)
	image, resolved := h.push("app")
	for i := range 20 {
		who := m.Keyless(identity.Certificate{Subject: fmt.Sprintf("s%d@example.com", i), Issuer: issuer}, m.at.Add(-time.Minute))
		h.attach(resolved, signType, m.statement(who, signType, resolved.Digest, m.v1()))
	}
	got := h.want(1, []string{"12 more pieces do not count", "among 20 pieces"}, verifying(image, asked(workflow, issuer)...)...)
	if n := strings.Count(got.err, "\n"); n > 30 {
		t.Errorf("%d lines\n%s", n, got.err)
	}
	h.attach(resolved, signType, m.statement(m.who, signType, resolved.Digest, m.v1()))
	h.want(0, []string{"!s1@example.com"}, verifying(image, asked(workflow, issuer)...)...)
}
