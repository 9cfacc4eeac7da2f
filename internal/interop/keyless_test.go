//go:build interop

package interop_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/interop/sigstore"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

const signType = "https://sigstore.dev/cosign/sign/v1"

// judged holds assay's verification to a verdict and to words. Words that begin
// with "!" must not be there.
func (s *stage) judged(assay string, allow bool, words []string, arguments ...string) {
	s.t.Helper()
	out, err := s.run(assay, arguments...)
	if (err == nil) != allow {
		s.t.Errorf("assay %q: %v, want allowed %v\n%s", arguments, err, allow, out)
	}
	if !allow && !strings.Contains(out, "NOT VERIFIED") {
		s.t.Errorf("assay %q: no denial\n%s", arguments, out)
	}
	for _, word := range words {
		absent, not := strings.CutPrefix(word, "!")
		if not && strings.Contains(out, absent) || !not && !strings.Contains(out, word) {
			s.t.Errorf("assay %q: %q in\n%s", arguments, word, out)
		}
	}
}

// keylessly are cosign's flags to sign as the holder of a token.
func keylessly(token, config, root string) []string {
	return []string{"--yes", "--identity-token", token, "--signing-config", config, "--trusted-root", root}
}

// identity are the flags, the same for both sides, that name who may have signed.
func identity(root, subject, issuer string) []string {
	return []string{"--trusted-root", root, "--certificate-identity", subject, "--certificate-oidc-issuer", issuer}
}

// bundles gives the bundles that are attached to an image.
func (s *stage) bundles(image string) [][]byte {
	s.t.Helper()
	client := oci.New(oci.Config{})
	resolved, err := client.Resolve(s.t.Context(), image)
	if err != nil {
		s.t.Fatal(err)
	}
	evidence, err := client.Evidence(s.t.Context(), resolved.Name(), resolved.Digest)
	if err != nil {
		s.t.Fatal(err)
	}
	var list [][]byte
	for _, piece := range evidence {
		if piece.Form == trust.Bundle {
			list = append(list, piece.Content)
		}
	}
	if len(list) == 0 {
		s.t.Fatalf("%s has no bundle", image)
	}
	return list
}

// again copies an image, without what is attached to it, to another
// repository, and attaches a bundle to it there.
func (s *stage) again(image, repository string, bundle []byte) string {
	s.t.Helper()
	from, err := name.NewDigest(image)
	if err != nil {
		s.t.Fatal(err)
	}
	content, err := remote.Image(from)
	if err != nil {
		s.t.Fatal(err)
	}
	to, err := name.NewTag(repository + ":one")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := remote.Write(to, content); err != nil {
		s.t.Fatal(err)
	}
	reference := repository + "@" + from.DigestStr()
	s.attach(reference, bundle)
	return reference
}

// attach attaches a bundle to an image, whatever is in it.
func (s *stage) attach(image string, bundle []byte) {
	s.t.Helper()
	client := oci.New(oci.Config{})
	resolved, err := client.Resolve(s.t.Context(), image)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := client.Attach(s.t.Context(), oci.Attachment{Repository: resolved.Name(), Image: resolved.Digest, PredicateType: signType, Created: time.Now(),
		Evidence: trust.Evidence{Form: trust.Bundle, Content: bundle}}); err != nil {
		s.t.Fatal(err)
	}
}

// edited changes a bundle as JSON.
func edited(t *testing.T, bundle []byte, edit func(material, envelope map[string]any)) []byte {
	t.Helper()
	var all map[string]any
	decoder := json.NewDecoder(bytes.NewReader(bundle))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}
	material, _ := all["verificationMaterial"].(map[string]any)
	envelope, _ := all["dsseEnvelope"].(map[string]any)
	if material == nil || envelope == nil {
		t.Fatalf("not a bundle with an envelope:\n%s", bundle)
	}
	edit(material, envelope)
	content, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestWeVerifyCosignsKeyless: what cosign signs with a certificate of a real
// Fulcio, a real log's entry and a real timestamp, assay accepts for who signed
// it; and everything that is short of that, for its own reason, not.
func TestWeVerifyCosignsKeyless(t *testing.T) {
	cosign, assay, stack := peer(t, "cosign"), static(t), private(t)
	s := newStage(t)
	host := registries(t)["embedded"](t)
	issuer := stack.EmailIssuer()
	mine := identity(stack.RootFile, alice, issuer)
	image, other := s.push(host+"/keyless/alice"), s.push(host+"/keyless/other")
	for _, about := range []string{image, other} {
		s.must(cosign, slices.Concat([]string{"sign"}, keylessly(token(t, stack.Email, alice), stack.ConfigFile, stack.RootFile), []string{about})...)
	}
	s.judged(assay, true, []string{"VERIFIED", "by   " + alice, "from " + issuer, "the log's signed entry", "the timestamp", "the SCT"}, slices.Concat([]string{"verify"}, mine, []string{image})...)

	regexps := func(subject, issuer string) []string {
		return []string{"--trusted-root", stack.RootFile, "--certificate-identity-regexp", subject, "--certificate-oidc-issuer-regexp", issuer}
	}
	past := s.root(stack, "past.json", sigstore.Root{Since: time.Now().Add(-48 * time.Hour), Until: time.Now().Add(-24 * time.Hour)})
	closed := s.root(stack, "closed.json", sigstore.Root{AuthoritiesUntil: time.Now().Add(-time.Hour)})
	strangers := s.root(stack, "strangers.json", sigstore.Root{Authorities: []*sigstore.Authority{stack.Stranger}})
	logless := s.root(stack, "logless.json", sigstore.Root{WithoutLog: true})
	timeless := s.root(stack, "timeless.json", sigstore.Root{WithoutTimestamps: true})
	unpromised := s.root(stack, "unpromised.json", sigstore.Root{WithoutCTLog: true})
	for name, test := range map[string]struct {
		allow bool
		words []string
		flags []string
	}{
		"regexps":                   {true, []string{alice}, regexps(`alice@.*`, `http://127\.0\.0\.1:\d+/email`)},
		"one of two identities":     {true, []string{alice}, append(slices.Clone(mine), "--certificate-identity", "bob@example.com")},
		"wrong identity":            {false, []string{"unknown identity", alice}, identity(stack.RootFile, "eve@example.com", issuer)},
		"wrong issuer":              {false, []string{"unknown identity", issuer}, identity(stack.RootFile, alice, stack.OtherIssuer())},
		"identity in part":          {false, []string{"unknown identity"}, regexps(`alice@example`, `.*`)},
		"identity in another":       {false, []string{"unknown identity"}, regexps(`ice@example\.com`, `.*`)},
		"issuer in part":            {false, []string{"unknown identity"}, regexps(`.*`, `http://127\.0\.0\.1:\d+/em`)},
		"alternatives in part":      {false, []string{"unknown identity"}, regexps(`alice|eve@example\.com`, `.*`)},
		"two, and only she signed":  {false, []string{alice}, append(slices.Clone(mine), "--certificate-identity", "bob@example.com", "--threshold", "2")},
		"root out of its time":      {false, []string{"bad timestamp", "after the validity period"}, identity(past, alice, issuer)},
		"authority out of its time": {false, []string{"certificate out of time", "is trusted until"}, identity(closed, alice, issuer)},
		"root of strangers":         {false, []string{"untrusted certificate"}, identity(strangers, alice, issuer)},
		"root without the log":      {false, []string{"no log entry", "does not list"}, identity(logless, alice, issuer)},
		"root without timestamps":   {false, []string{"no trusted time", "does not list"}, identity(timeless, alice, issuer)},
		"root without CT log":       {false, []string{"bad certificate timestamp"}, identity(unpromised, alice, issuer)},
		"which SCTs may be without": {true, []string{"no SCT was checked"}, append(identity(unpromised, alice, issuer), "--insecure-ignore-sct")},
	} {
		t.Run(name, func(t *testing.T) {
			cell := &stage{t: t, dir: s.dir, env: s.env}
			cell.judged(assay, test.allow, test.words, slices.Concat([]string{"verify"}, test.flags, []string{image})...)
		})
	}

	signed, others := s.bundles(image)[0], s.bundles(other)[0]
	take := func(bundle []byte, field string) (value any) {
		edited(t, bundle, func(material, _ map[string]any) { value = material[field] })
		return value
	}
	for name, test := range map[string]struct {
		words  []string
		bundle []byte
	}{
		"unchanged":          {nil, signed},
		"without log entry":  {[]string{"no log entry"}, edited(t, signed, func(m, _ map[string]any) { delete(m, "tlogEntries") })},
		"another's entry":    {[]string{"log entry of another signature"}, edited(t, signed, func(m, _ map[string]any) { m["tlogEntries"] = take(others, "tlogEntries") })},
		"without timestamp":  {[]string{"no trusted time"}, edited(t, signed, func(m, _ map[string]any) { delete(m, "timestampVerificationData") })},
		"another's time":     {[]string{"bad timestamp"}, edited(t, signed, func(m, _ map[string]any) { m["timestampVerificationData"] = take(others, "timestampVerificationData") })},
		"another's identity": {[]string{"bad signature"}, edited(t, signed, func(m, _ map[string]any) { m["certificate"] = take(others, "certificate") })},
		"another's payload": {[]string{"bad signature"}, edited(t, signed, func(_, e map[string]any) {
			edited(t, others, func(_, o map[string]any) { e["payload"] = o["payload"] })
		})},
		"another image's": {[]string{"other subject"}, others},
	} {
		t.Run(name, func(t *testing.T) {
			cell := &stage{t: t, dir: s.dir, env: s.env}
			about := cell.again(image, host+"/keyless/"+strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "'", ""), test.bundle)
			cell.judged(assay, test.words == nil, test.words, slices.Concat([]string{"verify"}, mine, []string{about})...)
		})
	}
}

// TestOtherAuthorities: certificates of a Fulcio that the root does not name,
// and of one that promises its certificates to no log; each counts where the
// root, or a flag, says so.
func TestOtherAuthorities(t *testing.T) {
	cosign, assay, stack := peer(t, "cosign"), static(t), private(t)
	s := newStage(t)
	host := registries(t)["embedded"](t)
	for name, test := range map[string]struct {
		authority *sigstore.Authority
		reason    string   // under the root of the whole stack, and, for SCTs, its own
		own       []string // what accepts it under a root that names it
	}{
		"stranger": {stack.Stranger, "untrusted certificate", nil},
		"unlogged": {stack.Unlogged, "untrusted certificate", []string{"--insecure-ignore-sct"}},
	} {
		t.Run(name, func(t *testing.T) {
			cell := &stage{t: t, dir: s.dir, env: s.env}
			config := cell.config(stack, name+"-config.json", sigstore.Signing{Authority: test.authority})
			root := cell.root(stack, name+"-root.json", sigstore.Root{Authorities: []*sigstore.Authority{stack.Fulcio, test.authority}})
			image := cell.push(host + "/authority/" + name)
			if out, err := cell.run(cosign, slices.Concat([]string{"sign"}, keylessly(token(t, stack.Email, alice), config, root), []string{image})...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			cell.judged(assay, false, []string{test.reason}, slices.Concat([]string{"verify"}, identity(stack.RootFile, alice, stack.EmailIssuer()), []string{image})...)
			own := slices.Concat([]string{"verify"}, identity(root, alice, stack.EmailIssuer()))
			if test.own != nil {
				cell.judged(assay, false, []string{"no certificate timestamp"}, append(slices.Clone(own), image)...)
			}
			cell.judged(assay, true, []string{alice}, slices.Concat(own, test.own, []string{image})...)
		})
	}
}

// TestWorkflowIdentity: a certificate as Fulcio gives it to GitHub's jobs, and
// everything that is in it demanded, one at a time.
func TestWorkflowIdentity(t *testing.T) {
	cosign, assay, stack := peer(t, "cosign"), static(t), private(t)
	s := newStage(t)
	s.write("predicate.json", slsa)
	image := s.push(registries(t)["embedded"](t) + "/keyless/workflow")
	job := sigstore.Workflow{Repository: "acme/app", Path: ".github/workflows/release.yml", Ref: "refs/heads/main", SHA: strings.Repeat("ab", 20), Trigger: "push", Name: "release"}
	by, err := stack.Workflow(job)
	if err != nil {
		t.Fatal(err)
	}
	s.must(cosign, slices.Concat([]string{"attest", "--type", "slsaprovenance", "--predicate", "predicate.json"}, keylessly(by, stack.ConfigFile, stack.RootFile), []string{image})...)
	base := slices.Concat([]string{"verify-attestation", "--type", "slsaprovenance"}, identity(stack.RootFile, job.Subject(), stack.WorkflowIssuer()))
	for name, test := range map[string]struct {
		allow bool
		words []string
		flags []string
	}{
		"subject": {true, []string{job.Subject()}, nil},
		"all of GitHub's": {true, nil, []string{"--certificate-github-workflow-trigger", "push", "--certificate-github-workflow-sha", job.SHA, "--certificate-github-workflow-name", "release",
			"--certificate-github-workflow-repository", "acme/app", "--certificate-github-workflow-ref", "refs/heads/main"}},
		"another ref":          {false, []string{"unknown identity", "refs/heads/evil"}, []string{"--certificate-github-workflow-ref", "refs/heads/evil"}},
		"another SHA":          {false, []string{"unknown identity", job.SHA}, []string{"--certificate-github-workflow-sha", strings.Repeat("cd", 20)}},
		"another trigger":      {false, []string{"unknown identity", "pull_request"}, []string{"--certificate-github-workflow-trigger", "pull_request"}},
		"another repository":   {false, []string{"unknown identity", "acme/app"}, []string{"--certificate-github-workflow-repository", "acme/app2"}},
		"extension":            {true, nil, []string{"--certificate-extension", "runnerEnvironment=github-hosted"}},
		"another extension":    {false, []string{"unknown identity"}, []string{"--certificate-extension", "runnerEnvironment=self-hosted"}},
		"extension regexp":     {true, nil, []string{"--certificate-extension-regexp", "sourceRepositoryURI=https://github\\.com/acme/.*"}},
		"extension in part":    {false, []string{"unknown identity"}, []string{"--certificate-extension-regexp", "sourceRepositoryURI=acme"}},
		"cosign's own verdict": {true, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cell := &stage{t: t, dir: s.dir, env: s.env}
			if name == "cosign's own verdict" {
				cell.must(cosign, append(slices.Clone(base), image)...)
				return
			}
			cell.judged(assay, test.allow, test.words, slices.Concat(base, test.flags, []string{image})...)
		})
	}
	s.judged(assay, false, []string{"none that counts"}, slices.Concat([]string{"verify-attestation", "--type", "spdx"}, identity(stack.RootFile, job.Subject(), stack.WorkflowIssuer()), []string{image})...)
	s.judged(assay, false, []string{"an attestation is no signature"}, slices.Concat([]string{"verify"}, identity(stack.RootFile, job.Subject(), stack.WorkflowIssuer()), []string{image})...)
}
