package oci_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// TestAnotherRegistry attaches to go-containerregistry's registry, with the API
// and without: 32 at once with a client each, and nothing is lost. It lists
// the configuration's media type as the artifact type.
func TestAnotherRegistry(t *testing.T) {
	for _, api := range []bool{true, false} {
		t.Run(fmt.Sprintf("API %v", api), func(t *testing.T) {
			t.Parallel()
			host := serve(t, ggcr.New(ggcr.WithReferrersSupport(api), ggcr.Logger(log.New(io.Discard, "", 0))))
			repo := host + "/team/app"
			pushed, err := oci.New(oci.Config{}).PushLayout(t.Context(), repo, ocitest.Layout(t))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			group, ctx := errgroup.WithContext(t.Context())
			for i := range 32 {
				for _, a := range []oci.Attachment{
					bundleOf(repo, pushed.Digest, fmt.Sprint("bundle ", i)),
					envelopeOf(repo, pushed.Digest, fmt.Sprint("envelope ", i)),
					signatureOf(repo, pushed.Digest, fmt.Sprint("payload ", i), "c2ln"),
				} {
					want = append(want, string(a.Evidence.Content))
					group.Go(func() error {
						_, err := oci.New(oci.Config{}).Attach(ctx, a)
						return err
					})
				}
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			evidence, err := oci.New(oci.Config{}).Evidence(t.Context(), repo, pushed.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sorted(want), contents(evidence)); diff != "" {
				t.Error(diff)
			}
			if err := oci.New(oci.Config{}).Remove(t.Context(), repo, pushed.Digest, evidence[:1]); err != nil {
				t.Error(err)
			}
			if got, err := oci.New(oci.Config{}).Evidence(t.Context(), repo, pushed.Digest); err != nil || len(got) != len(want)-1 {
				t.Errorf("one removed: %d pieces of %d, %v", len(got), len(want), err)
			}
		})
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func contents(evidence []trust.Evidence) (list []string) {
	for _, e := range evidence {
		list = append(list, string(e.Content))
	}
	return sorted(list)
}

const experimental = "application/vnd.dev.cosign.artifact.sig.v1+json"

// experimentalManifest is what cosign's experimental mode for OCI 1.1 writes:
// the layers of a ".sig" tag in a manifest with a subject, whose configuration
// has the type.
func experimentalManifest(image subject.Digest, layers ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s],"subject":%s}`, ociManifest,
		entry(experimental, 2, subject.Of([]byte("{}"))), strings.Join(layers, ","), entry(ociManifest, 1, image))
}

// TestEvidenceExperimental reads those signatures, however they are listed.
func TestEvidenceExperimental(t *testing.T) {
	layer := func(h *house, content, signature string) string {
		return entry(simple, len(content), h.blob(content), fmt.Sprintf(`,"annotations":{"dev.cosignproject.cosign/signature":%q,"dev.sigstore.cosign/certificate":"a certificate"}`, signature))
	}
	for _, test := range []struct {
		name, artifactType string
		api                bool
		manifest           func(h *house, image, other subject.Digest) string
		want               []string // content, signature, certificate
		words              string   // in the source of what has no content
		err                string
	}{
		{name: "native", api: true, want: []string{"one MQ== a certificate", "one Mg== a certificate"}},
		{name: "fallback", artifactType: experimental, want: []string{"one MQ== a certificate", "one Mg== a certificate"}},
		{name: "fallback without a type", want: []string{"one MQ== a certificate", "one Mg== a certificate"}},
		{name: "fallback with the empty type", artifactType: ociEmpty, want: []string{"one MQ== a certificate", "one Mg== a certificate"}},
		{name: "listed as something else", artifactType: "application/vnd.example.thing"},
		{name: "other layers", artifactType: experimental, manifest: func(h *house, image, _ subject.Digest) string {
			return experimentalManifest(image, entry(envelope, 3, h.blob("one")), entry("text/plain", 3, h.blob("two")))
		}},
		{name: "no layers", artifactType: experimental, manifest: func(_ *house, image, _ subject.Digest) string {
			return experimentalManifest(image)
		}},
		{name: "cannot be read", artifactType: experimental, words: "has no signatures in it", manifest: func(*house, subject.Digest, subject.Digest) string {
			return `{"mediaType":"` + ociManifest + `","layers":1}`
		}},
		{name: "too many layers", artifactType: experimental, words: fmt.Sprintf("(more than %d signatures refer to the image, not read)", limit.AttachmentLayers), manifest: func(_ *house, image, _ subject.Digest) string {
			return experimentalManifest(image, slices.Repeat([]string{entry(simple, 1, subject.Of(nil))}, limit.AttachmentLayers+1)...)
		}},
		{name: "a layer that is gone", artifactType: experimental, err: "is listed and gone", manifest: func(_ *house, image, _ subject.Digest) string {
			return experimentalManifest(image, entry(simple, 4, subject.Of([]byte("gone"))))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, registry.Config{WithoutReferrers: !test.api})
			image, other := h.image("v1"), h.image("v2")
			manifest := experimentalManifest(image, layer(h, "one", "MQ=="), layer(h, "one", "Mg=="))
			if test.manifest != nil {
				manifest = test.manifest(h, image, other)
			}
			digest := h.put("", ociManifest, manifest)
			if !test.api {
				more := ""
				if test.artifactType != "" {
					more = fmt.Sprintf(`,"artifactType":%q`, test.artifactType)
				}
				h.put(fallback(image), ociIndex, index(entry(ociManifest, len(manifest), digest, more)))
			}
			h.server.Requests()
			evidence, err := h.client.Evidence(t.Context(), h.repo, image)
			if test.err != "" {
				wantError(t, err, test.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range evidence {
				if test.words != "" {
					if !strings.Contains(e.Source, test.words) || e.Content != nil {
						t.Errorf("%q with %d bytes", e.Source, len(e.Content))
					}
					return
				}
				got = append(got, fmt.Sprint(string(e.Content), " ", e.Signature, " ", e.Certificate))
				if e.Form != trust.SimpleSigning || e.Attached != image || e.Digest != subject.Of(e.Content) || !strings.HasPrefix(e.Source, "referrer "+digest.String()) {
					t.Errorf("%+v", e)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || test.words != "" {
				t.Errorf("%s, %d pieces", diff, len(evidence))
			}
			if len(test.want) > 0 {
				asked := 0
				for _, line := range h.server.Requests() {
					if strings.Contains(line, "/blobs/") {
						asked++
					}
				}
				if asked != 1 {
					t.Errorf("the payload was asked for %d times", asked)
				}
				wantError(t, h.client.Remove(t.Context(), h.repo, image, evidence[:1]), "experimental mode", digest.String())
			}
		})
	}
}

// TestEvidenceElsewhereExperimental: a manifest that says that it is about
// another image says so in the evidence, for trust to compare.
func TestEvidenceElsewhereExperimental(t *testing.T) {
	h := newHouse(t, registry.Config{WithoutReferrers: true})
	image, other := h.image("v1"), h.image("v2")
	manifest := experimentalManifest(other, entry(simple, 3, h.blob("one")))
	h.put(fallback(image), ociIndex, index(entry(ociManifest, len(manifest), h.put("", ociManifest, manifest))))
	got, err := h.client.Evidence(t.Context(), h.repo, image)
	if err != nil || len(got) != 1 || got[0].Attached != other {
		t.Errorf("%+v, %v; want one piece attached to %s", got, err, other)
	}
}

// TestEvidenceAmongStrangers has 1,000 pieces that a stranger pushed, and a
// real one among them: it is found, and no more is asked than is said.
func TestEvidenceAmongStrangers(t *testing.T) {
	const strangers = 1000
	for _, test := range []struct {
		name    string
		config  registry.Config
		suffix  string
		junk    func(h *house, image subject.Digest, i int) string
		pieces  int
		perJunk int // requests
	}{
		{"bundles", registry.Config{}, "", func(h *house, image subject.Digest, i int) string {
			return h.refer(image, fmt.Sprint("junk ", i), bundleV03)
		}, strangers + 1, 2},
		{"referrers of another type", registry.Config{}, "", func(h *house, image subject.Digest, i int) string {
			h.put("", ociManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.example.%d","config":%s,"layers":[],"subject":%s}`,
				ociManifest, i, entry(ociEmpty, 2, subject.Of([]byte("{}"))), entry(ociManifest, 1, image)))
			return ""
		}, 1, 0},
		{"entries of a fallback tag without a type", registry.Config{WithoutReferrers: true, WithoutConditions: false}, "", func(h *house, image subject.Digest, i int) string {
			return h.refer(image, fmt.Sprint("junk ", i), "")
		}, strangers + 1, 2},
		{"the same entry again and again", registry.Config{WithoutReferrers: true}, "", func(h *house, image subject.Digest, _ int) string {
			return h.refer(image, "junk", bundleV03)
		}, 2, 0},
		{"layers", registry.Config{}, ".att", func(h *house, _ subject.Digest, i int) string {
			content := fmt.Sprint("junk ", i)
			return entry(envelope, len(content), h.blob(content))
		}, strangers + 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, test.config)
			image := h.image("v1")
			var entries []string
			for i := range strangers {
				entries = append(entries, test.junk(h, image, i))
			}
			switch {
			case test.suffix != "":
				h.put(fallback(image)+test.suffix, ociManifest, signed(entries...))
			case test.config.WithoutReferrers:
				h.put(fallback(image), ociIndex, index(entries...))
			}
			if err := h.attach(t.Context(), test.suffix, image); err != nil {
				t.Fatal(err)
			}
			h.server.Requests()
			got, err := h.client.Evidence(t.Context(), h.repo, image)
			if err != nil || len(got) != test.pieces {
				t.Fatalf("%d pieces, %v", len(got), err)
			}
			real := map[string]string{"": "bundle", ".att": "envelope"}[test.suffix]
			if !slices.Contains(contents(got), real) {
				t.Error("the real one is not among them")
			}
			if requests := len(h.server.Requests()); requests > strangers*test.perJunk+10 {
				t.Errorf("%d requests for %d strangers", requests, strangers)
			}
		})
	}
}

// TestEvidenceFiltered: a listing that is not whole is no listing.
func TestEvidenceFiltered(t *testing.T) {
	h, image := withEvidence(t, registry.Config{})
	h.server.Break(ocitest.Fault{Match: "/referrers/", Header: map[string]string{"OCI-Filters-Applied": "artifactType"}})
	_, err := h.client.Evidence(t.Context(), h.repo, image)
	wantError(t, err, "was filtered by", "artifactType", "may be missing")

	// In process nothing but the length says that an answer ends early.
	h, image = withEvidence(t, registry.Config{})
	short := around(h.server, func(w http.ResponseWriter, request *http.Request) bool {
		if !strings.Contains(request.URL.Path, "/referrers/") {
			return false
		}
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, index())
		return true
	})
	_, err = oci.New(oci.Config{Embedded: map[string]http.Handler{"registry.localhost": short}}).Evidence(t.Context(), "registry.localhost/team/app", image)
	wantError(t, err, "ends early")
}
