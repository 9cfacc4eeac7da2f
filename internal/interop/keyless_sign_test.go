//go:build interop

package interop_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/seed-161fc314/assay/internal/interop/sigstore"
)

// holding are assay's flags to sign as the holder of a token.
func holding(token string, stack *sigstore.Stack) []string {
	return []string{"--identity-token", token, "--signing-config", stack.ConfigFile, "--trusted-root", stack.RootFile}
}

// TestCosignVerifiesOursKeyless: what assay signs and attests with certificates,
// cosign and assay accept, on a registry with the referrers API and on one
// without, for who signed it and for no other.
func TestCosignVerifiesOursKeyless(t *testing.T) {
	cosign, assay, stack := peer(t, "cosign"), static(t), private(t)
	all := registries(t)
	for _, where := range []string{"embedded", "Debian's docker-registry"} {
		t.Run(where, func(t *testing.T) {
			s := newStage(t)
			s.write("predicate.json", slsa)
			image := s.push(all[where](t) + "/keyless/ours")
			by := func(who string) []string { return identity(stack.RootFile, who, stack.EmailIssuer()) }
			s.must(assay, slices.Concat([]string{"sign", "--layout", "bundle", "-a", "commit=abc"}, holding(token(t, stack.Email, alice), stack), []string{image})...)
			s.judged(assay, false, []string{"none that counts"}, slices.Concat(attestationOf, by(alice), []string{image})...)
			s.must(assay, slices.Concat([]string{"attest", "--layout", "bundle", "--type", "slsaprovenance", "--predicate", "predicate.json"}, holding(token(t, stack.Email, alice), stack), []string{image})...)
			for _, command := range [][]string{{"verify"}, {"verify", "-a", "commit=abc"}, attestationOf} {
				s.must(cosign, slices.Concat(command, by(alice), []string{image})...)
				s.judged(assay, true, []string{"by   " + alice, "the log's signed entry", "the timestamp", "the SCT"}, slices.Concat(command, by(alice), []string{image})...)
				if out, err := s.run(cosign, slices.Concat(command, by("eve@example.com"), []string{image})...); err == nil {
					t.Errorf("cosign %q takes alice for eve\n%s", command, out)
				}
				s.judged(assay, false, []string{"unknown identity", alice}, slices.Concat(command, by("eve@example.com"), []string{image})...)
			}
			s.judged(assay, false, nil, slices.Concat([]string{"verify", "-a", "commit=xyz"}, by(alice), []string{image})...)
		})
	}
}

// TestKeylessIsRefused: tokens that Fulcio does not take leave nothing behind,
// and the fault says whose answer it is.
func TestKeylessIsRefused(t *testing.T) {
	assay, stack := static(t), private(t)
	s := newStage(t)
	image := s.push(registries(t)["embedded"](t) + "/keyless/refused")
	ago := func(minutes int) int64 { return time.Now().Add(-time.Duration(minutes) * time.Minute).Unix() }
	for name, claims := range map[string]map[string]any{
		"expired":          {"email": alice, "sub": alice, "email_verified": true, "iat": ago(60), "nbf": ago(60), "exp": ago(30)},
		"another audience": {"email": alice, "sub": alice, "email_verified": true, "aud": "somebody"},
		"not verified":     {"email": alice, "sub": alice, "email_verified": false},
	} {
		t.Run(name, func(t *testing.T) {
			bad, err := stack.Token(claims)
			if err != nil {
				t.Fatal(err)
			}
			cell := &stage{t: t, dir: s.dir, env: s.env}
			out, err := cell.run(assay, slices.Concat([]string{"sign", "--layout", "bundle"}, holding(bad, stack), []string{image})...)
			if err == nil {
				t.Errorf("it is signed:\n%s", out)
			}
			if name == "not verified" && !strings.Contains(out, stack.Fulcio.URL) {
				t.Errorf("no word of %s in\n%s", stack.Fulcio.URL, out)
			}
			cell.judged(assay, false, []string{"there is no evidence at all"}, slices.Concat([]string{"verify"}, identity(stack.RootFile, alice, stack.EmailIssuer()), []string{image})...)
		})
	}
}

// TestKeylessReplace: --replace leaves one attestation of the signer's, the
// last; another signer's stays.
func TestKeylessReplace(t *testing.T) {
	assay, stack := static(t), private(t)
	all := registries(t)
	for _, where := range []string{"embedded", "go-containerregistry", "Debian's docker-registry"} {
		t.Run(where, func(t *testing.T) {
			s := newStage(t)
			image := s.push(all[where](t) + "/keyless/replace")
			for n, who := range []string{"bob@example.com", alice, alice} {
				s.write("predicate.json", fmt.Sprintf(`{"builder":{"id":"https://example.com/builder/%d"},"buildType":"https://example.com/type"}`, n))
				s.must(assay, slices.Concat([]string{"attest", "--replace", "--layout", "bundle", "--type", "slsaprovenance", "--predicate", "predicate.json"}, holding(token(t, stack.Email, who), stack), []string{image})...)
			}
			for who, want := range map[string]string{"bob@example.com": "https://example.com/builder/0", alice: "https://example.com/builder/2"} {
				out := s.must(assay, slices.Concat(attestationOf, []string{"-o", "json"}, identity(stack.RootFile, who, stack.EmailIssuer()), []string{image})...)
				if strings.Count(out, "https://example.com/builder/") != 1 || !strings.Contains(out, want) {
					t.Errorf("%s: want %s and no other in\n%s", who, want, out)
				}
			}
		})
	}
}

// TestKeylessRecursive: an index and its manifests, signed in one run with one
// certificate, verify one by one and together; one that is signed alone does
// not stand for its manifests.
func TestKeylessRecursive(t *testing.T) {
	cosign, assay, stack := peer(t, "cosign"), static(t), private(t)
	s := newStage(t)
	host := registries(t)["embedded"](t)
	by := identity(stack.RootFile, alice, stack.EmailIssuer())
	index, manifests := s.pushIndex(host + "/keyless/index")
	alone, _ := s.pushIndex(host + "/keyless/alone")
	stack.Fulcio.Forget()
	s.must(assay, slices.Concat([]string{"sign", "--recursive", "--layout", "bundle"}, holding(token(t, stack.Email, alice), stack), []string{index})...)
	if got := stack.Fulcio.Posts(); got != 1 {
		t.Errorf("%d certificates for an index with its manifests, want 1", got)
	}
	for _, image := range append(manifests, index) {
		s.must(cosign, slices.Concat([]string{"verify"}, by, []string{image})...)
		s.judged(assay, true, []string{alice}, slices.Concat([]string{"verify"}, by, []string{image})...)
	}
	s.judged(assay, true, []string{alice}, slices.Concat([]string{"verify", "--recursive"}, by, []string{index})...)
	s.must(assay, slices.Concat([]string{"sign", "--layout", "bundle"}, holding(token(t, stack.Email, alice), stack), []string{alone})...)
	s.judged(assay, true, []string{alice}, slices.Concat([]string{"verify"}, by, []string{alone})...)
	s.judged(assay, false, []string{"none"}, slices.Concat([]string{"verify", "--recursive"}, by, []string{alone})...)
	// And what cosign signs with its manifests.
	theirs, _ := s.pushIndex(host + "/keyless/theirs")
	s.must(cosign, slices.Concat([]string{"sign", "--recursive"}, keylessly(token(t, stack.Email, alice), stack.ConfigFile, stack.RootFile), []string{theirs})...)
	s.judged(assay, true, []string{alice}, slices.Concat([]string{"verify", "--recursive"}, by, []string{theirs})...)
}

// pushIndex pushes an index of two images, and gives the references of it and
// of them, by digest.
func (s *stage) pushIndex(repository string) (index string, manifests []string) {
	s.t.Helper()
	content, err := random.Index(64, 1, 2)
	if err != nil {
		s.t.Fatal(err)
	}
	tag, err := name.NewTag(repository + ":one")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, content); err != nil {
		s.t.Fatal(err)
	}
	digest, err := content.Digest()
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := content.IndexManifest()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range list.Manifests {
		manifests = append(manifests, repository+"@"+m.Digest.String())
	}
	return repository + "@" + digest.String(), manifests
}

// TestKeylessBatch: 64 images in one run: one certificate, 64 entries and
// timestamps, all of the log's waits at the same time.
func TestKeylessBatch(t *testing.T) {
	const images = 64
	assay, stack := static(t), private(t)
	s := newStage(t)
	host := registries(t)["embedded"](t)
	var list []string
	for n := range images {
		list = append(list, s.push(fmt.Sprintf("%s/batch/image%d", host, n)))
	}
	s.write("images.txt", strings.Join(list, "\n")+"\n")
	for _, service := range []*sigstore.Service{stack.Fulcio.Service, stack.Rekor, stack.Timestamps} {
		service.Forget()
	}
	start := time.Now()
	s.must(assay, slices.Concat([]string{"sign", "--layout", "bundle", "-f", "images.txt"}, holding(token(t, stack.Email, alice), stack))...)
	t.Logf("%d images signed in %s; at most %d entries awaited at once", images, time.Since(start).Round(time.Millisecond), stack.Rekor.Peak())
	if certificates, entries, timestamps := stack.Fulcio.Posts(), stack.Rekor.Posts(), stack.Timestamps.Posts(); certificates != 1 || entries != images || timestamps != images {
		t.Errorf("%d certificates, %d entries, %d timestamps; want 1, %d, %[4]d", certificates, entries, timestamps, images)
	}
	// How many are under way at once depends on the machine; one after the
	// other, or eight at a time, they would wait for the log many times.
	if peak := stack.Rekor.Peak(); peak < images/2 {
		t.Errorf("at most %d entries were awaited at once", peak)
	}
	start = time.Now()
	out := s.must(assay, slices.Concat([]string{"verify", "-o", "json", "-f", "images.txt"}, identity(stack.RootFile, alice, stack.EmailIssuer()))...)
	t.Logf("and verified in %s", time.Since(start).Round(time.Millisecond))
	var verified []struct{ Result string }
	if err := json.Unmarshal([]byte(out), &verified); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	allowed := 0
	for _, v := range verified {
		if v.Result == "allow" {
			allowed++
		}
	}
	if allowed != images {
		t.Errorf("%d of %d are verified\n%s", allowed, images, out)
	}
	out, err := s.run(assay, slices.Concat([]string{"verify", "-f", "images.txt"}, identity(stack.RootFile, "eve@example.com", stack.EmailIssuer()))...)
	if denied := strings.Count(out, "NOT VERIFIED"); err == nil || denied != images {
		t.Errorf("for eve: %v, %d denials\n%s", err, denied, out)
	}
}

// TestKeylessUnasked: signing with a certificate contacts the registry and the
// three services of the signing config, verifying only the registry, with the
// whole Sigstore in a network of its own.
func TestKeylessUnasked(t *testing.T) {
	if !isolated(t) {
		return
	}
	w := tap(t)
	assay, stack := static(t), private(t)
	s := newStage(t)
	host := registries(t)["embedded"](t)
	image := s.push(host + "/wire/keyless")
	services := []string{host}
	for _, url := range []string{stack.Fulcio.URL, stack.Rekor.URL, stack.Timestamps.URL} {
		address, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
		services = append(services, address)
	}
	out, sent, err := s.sends(w, services, assay, slices.Concat([]string{"sign", "--layout", "bundle"}, holding(token(t, stack.Email, alice), stack), []string{image})...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// What the services say among themselves: they talk on 127.0.0.1, and their
	// gRPC looks for its configuration under the name localhost. Every name that
	// is asked for is in the list by itself, so no other hides behind that.
	sent = slices.DeleteFunc(sent, func(what string) bool {
		return strings.HasPrefix(what, "tcp 127.0.0.1:") || what == "udp "+nameServer || strings.HasPrefix(what, "name _grpc") && strings.HasSuffix(what, ".localhost")
	})
	if len(sent) > 0 {
		t.Errorf("assay sign contacts %q", sent)
	}
	out, sent, err = s.sends(w, []string{host}, assay, slices.Concat([]string{"verify"}, identity(stack.RootFile, alice, stack.EmailIssuer()), []string{image})...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(sent) > 0 {
		t.Errorf("assay verify contacts %q", sent)
	}
}
