package oci_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// refer stores a bundle's manifest about an image, by the specification's
// words alone, and gives its descriptor with this artifact type.
func (h *house) refer(image subject.Digest, content, artifactType string) string {
	h.t.Helper()
	manifest := h.bundleManifest(image, entry(bundleV03, len(content), h.blob(content)))
	more := ""
	if artifactType != "" {
		more = fmt.Sprintf(`,"artifactType":%q`, artifactType)
	}
	return entry(ociManifest, len(manifest), h.put("", ociManifest, manifest), more)
}

func (h *house) bundleManifest(image subject.Digest, layers ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":%s,"layers":[%s],"subject":%s}`, ociManifest, bundleV03,
		entry(ociEmpty, 2, subject.Of([]byte("{}"))), strings.Join(layers, ","), entry(ociManifest, 1, image))
}

func TestEvidence(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			h := newHouse(t, mode.config)
			image, other := h.image("v1"), h.image("v2")
			first, second := attach(t.Context(), t, h.client, h.repo, image, "bundle one"), attach(t.Context(), t, h.client, h.repo, image, "bundle two")
			attach(t.Context(), t, h.client, h.repo, other, "of another image")
			for _, signature := range []string{"c2lnIG9uZQ==", "c2lnIHR3bw=="} {
				if _, err := h.client.Attach(t.Context(), signatureOf(h.repo, image, "payload", signature)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := h.client.Attach(t.Context(), envelopeOf(h.repo, image, "envelope")); err != nil {
				t.Fatal(err)
			}
			want := []trust.Evidence{
				{Digest: first, Source: "referrer " + first.String(), Attached: image, Form: trust.Bundle, Content: []byte("bundle one")},
				{Digest: second, Source: "referrer " + second.String(), Attached: image, Form: trust.Bundle, Content: []byte("bundle two")},
				{Digest: subject.Of([]byte("envelope")), Source: "tag " + fallback(image) + ".att layer 1", Attached: image, Form: trust.Envelope, Content: []byte("envelope")},
				{Digest: subject.Of([]byte("payload")), Source: "tag " + fallback(image) + ".sig layer 1", Attached: image, Form: trust.SimpleSigning, Content: []byte("payload"), Signature: "c2lnIG9uZQ=="},
				{Digest: subject.Of([]byte("payload")), Source: "tag " + fallback(image) + ".sig layer 2", Attached: image, Form: trust.SimpleSigning, Content: []byte("payload"), Signature: "c2lnIHR3bw=="},
			}
			slices.SortFunc(want[:2], func(a, b trust.Evidence) int { return strings.Compare(a.Source, b.Source) })
			for range 3 {
				got, err := oci.New(oci.Config{}).Evidence(t.Context(), h.repo, image)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, sameDigest); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}

func TestEvidenceOfNothing(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			h := newHouse(t, mode.config)
			got, err := h.client.Evidence(t.Context(), h.repo, h.image("v1"))
			if err != nil || len(got) != 0 {
				t.Errorf("%d pieces, %v", len(got), err)
			}
		})
	}
	_, err := oci.New(oci.Config{}).Evidence(t.Context(), "registry.example.com/team/../app", subject.Of(nil))
	wantError(t, err, "is no repository")
}

// TestEvidenceRequests counts: the listing and two tags, one more where the
// API is missing, two for each bundle, and one for each layer of a tag. cosign
// needs 1+2*(1+2N).
func TestEvidenceRequests(t *testing.T) {
	for _, config := range []registry.Config{{}, {WithoutReferrers: true}} {
		h := newHouse(t, config)
		image := h.image("v1")
		var want []string
		get := func(path string) { want = append(want, "GET /v2/team/app/"+path) }
		for i := range 5 {
			content := fmt.Sprint("bundle ", i)
			get("manifests/" + attach(t.Context(), t, h.client, h.repo, image, content).String())
			get("blobs/" + subject.Of([]byte(content)).String())
		}
		if _, err := h.client.Attach(t.Context(), signatureOf(h.repo, image, "payload", "c2ln")); err != nil {
			t.Fatal(err)
		}
		get("blobs/" + subject.Of([]byte("payload")).String())
		get("referrers/" + image.String())
		get("manifests/" + fallback(image) + ".sig")
		get("manifests/" + fallback(image) + ".att")
		if config.WithoutReferrers {
			get("manifests/" + fallback(image))
		}
		get("manifests/v1")
		slices.Sort(want)

		client := oci.New(oci.Config{})
		h.server.Requests()
		resolved, err := client.Resolve(t.Context(), h.repo+":v1")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := client.Evidence(t.Context(), resolved.Name(), resolved.Digest); err != nil || len(got) != 6 {
			t.Fatalf("%d pieces, %v", len(got), err)
		}
		got := h.server.Requests()
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: %s", config, diff)
		}
	}
}

// paged serves a listing of referrers in pages of some size.
func paged(h *house, image subject.Digest, size int, link func(next int) string, entries ...string) http.Handler {
	return around(h.server, func(w http.ResponseWriter, request *http.Request) bool {
		if request.URL.Path != "/v2/team/app/referrers/"+image.String() {
			return false
		}
		from := 0
		_, _ = fmt.Sscan(request.URL.Query().Get("from"), &from) // the first page has none
		to := min(from+size, len(entries))
		if to < len(entries) {
			w.Header().Set("Link", link(to))
		}
		fmt.Fprint(w, index(entries[from:to]...))
		return true
	})
}

func TestEvidencePages(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	var entries []string
	for i := range 7 {
		entries = append(entries, h.refer(image, fmt.Sprint("bundle ", i), bundleV03))
	}
	path := "/v2/team/app/referrers/" + image.String()
	host := ""
	for name, link := range map[string]func(int) string{
		"a query":        func(next int) string { return fmt.Sprintf(`<?from=%d>; rel="next"`, next) },
		"a path":         func(next int) string { return fmt.Sprintf(`<%s?from=%d>; rel="next"`, path, next) },
		"an address":     func(next int) string { return fmt.Sprintf(`<http://%s%s?from=%d>; rel="next"`, host, path, next) },
		"without quotes": func(next int) string { return fmt.Sprintf(`<%s?from=%d>;rel=next`, path, next) },
	} {
		t.Run(name, func(t *testing.T) {
			host = serve(t, paged(h, image, 3, link, entries...))
			h.server.Requests()
			got, err := h.client.Evidence(t.Context(), host+"/team/app", image)
			if err != nil || len(got) != len(entries) {
				t.Errorf("%d of %d pieces: %v", len(got), len(entries), err)
			}
		})
	}

	// A page that fails is no end of the list.
	host = serve(t, around(paged(h, image, 3, func(next int) string { return fmt.Sprintf(`<?from=%d>; rel="next"`, next) }, entries...),
		func(w http.ResponseWriter, request *http.Request) bool {
			if !strings.HasPrefix(request.URL.RawQuery, "from=6") {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			return true
		}))
	_, err := h.client.Evidence(t.Context(), host+"/team/app", image)
	wantError(t, err, "the list of referrers", "404")
}

func TestEvidenceLinkElsewhere(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	var strangers atomic.Int32
	stranger := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		strangers.Add(1)
		fmt.Fprint(w, index())
	}))
	host := ""
	for name, link := range map[string]func() string{
		"another host":               func() string { return `<http://` + stranger + `/v2/team/app/referrers/x>; rel="next"` },
		"another host, no scheme":    func() string { return `<//` + stranger + `/v2/>; rel="next"` },
		"another scheme":             func() string { return `<https://` + host + `/v2/team/app/referrers/x>; rel="next"` },
		"no relation":                func() string { return `</v2/team/app/referrers/x>` },
		"another relation":           func() string { return `</v2/team/app/referrers/x>; rel="last"` },
		"no brackets":                func() string { return `/v2/team/app/referrers/x; rel="next"` },
		"an open bracket":            func() string { return `</v2/team/app/referrers/x; rel="next"` },
		"nothing that is an address": func() string { return `<http://[::1>; rel="next"` },
	} {
		t.Run(name, func(t *testing.T) {
			host = serve(t, paged(h, image, 1, func(int) string { return link() }, h.refer(image, "one", bundleV03), h.refer(image, "two", bundleV03)))
			got, err := h.client.Evidence(t.Context(), host+"/team/app", image)
			wantError(t, err, "Link")
			if got != nil {
				t.Errorf("%d pieces beside the error", len(got))
			}
		})
	}
	if n := strangers.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

// TestEvidenceBounds lists as much as the bounds allow, and one more. The
// entries are of other kinds, so that nothing has to be fetched.
func TestEvidenceBounds(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	foreign := entry(ociManifest, 1, subject.Of(nil), `,"artifactType":"application/vnd.example.thing"`)
	link := func(next int) string { return fmt.Sprintf(`<?from=%d>; rel="next"`, next) }
	inFallback := func(n int) http.Handler {
		other := newHouse(t, registry.Config{WithoutReferrers: true})
		other.put(fallback(image), ociIndex, index(slices.Repeat([]string{foreign}, n)...))
		return other.server
	}
	inTag := func(suffix string, n int) http.Handler {
		other := newHouse(t, registry.Config{})
		other.put(fallback(image)+suffix, ociManifest, signed(slices.Repeat([]string{entry("application/vnd.example.thing", 1, subject.Of(nil))}, n)...))
		return other.server
	}
	entries := func(n int) []string { return slices.Repeat([]string{foreign}, n) }
	for _, test := range []struct {
		name    string
		handler http.Handler
		words   string
	}{
		{"one full page", paged(h, image, limit.Referrers, link, entries(limit.Referrers)...), ""},
		{"one over in one page", paged(h, image, limit.Referrers+1, link, entries(limit.Referrers+1)...), fmt.Sprintf("the bound of %d entries", limit.Referrers)},
		{"one over in the last page", paged(h, image, limit.Referrers/2, link, entries(limit.Referrers+1)...), fmt.Sprintf("the bound of %d entries", limit.Referrers)},
		{"as many pages as may be", paged(h, image, 1, link, entries(limit.ReferrerPages)...), ""},
		{"a page more", paged(h, image, 1, link, entries(limit.ReferrerPages+1)...), fmt.Sprintf("the bound of %d pages", limit.ReferrerPages)},
		{"pages without end", paged(h, image, 0, func(int) string { return `<?from=0>; rel="next"` }, foreign), fmt.Sprintf("the bound of %d pages", limit.ReferrerPages)},
		{"a full fallback tag", inFallback(limit.Referrers), ""},
		{"a fallback tag over", inFallback(limit.Referrers + 1), fmt.Sprintf("the bound of %d entries", limit.Referrers)},
		{"a full .sig tag", inTag(".sig", limit.AttachmentLayers), ""},
		{"a .sig tag over", inTag(".sig", limit.AttachmentLayers+1), fmt.Sprintf("the bound of %d layers", limit.AttachmentLayers)},
		{"a full .att tag", inTag(".att", limit.AttachmentLayers), ""},
		{"an .att tag over", inTag(".att", limit.AttachmentLayers+1), fmt.Sprintf("the bound of %d layers", limit.AttachmentLayers)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := h.client.Evidence(t.Context(), serve(t, test.handler)+"/team/app", image)
			if len(got) != 0 {
				t.Errorf("%d pieces of nothing that is evidence", len(got))
			}
			if test.words != "" {
				wantError(t, err, test.words)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEvidenceSizes(t *testing.T) {
	content := "what was signed"
	digest := subject.Of([]byte(content))
	for _, test := range []struct {
		name   string
		size   int
		source string // what the one piece's source says; it has no content
		words  string // or what the error says
		asked  bool
	}{
		{name: "as it is", size: len(content), asked: true},
		{name: "larger than evidence may be", size: limit.Evidence + 1, source: "over the bound of 67108864 bytes"},
		{name: "less than nothing", size: -1, source: "over the bound"},
		{name: "smaller than the blob", size: len(content) - 1, source: "another size than its manifest says", asked: true},
		{name: "larger than the blob", size: len(content) + 1, source: "another size than its manifest says", asked: true},
	} {
		for _, where := range []string{"referrer", ".sig", ".att"} {
			t.Run(test.name+" in "+where, func(t *testing.T) {
				h := newHouse(t, registry.Config{})
				image := h.image("v1")
				h.blob(content)
				switch where {
				case "referrer":
					h.put("", ociManifest, h.bundleManifest(image, entry(bundleV03, test.size, digest)))
				case ".sig":
					h.put(fallback(image)+where, ociManifest, signed(entry(simple, test.size, digest)))
				case ".att":
					h.put(fallback(image)+where, ociManifest, signed(entry(envelope, test.size, digest)))
				}
				h.server.Requests()
				got, err := h.client.Evidence(t.Context(), h.repo, image)
				asked := slices.Contains(h.server.Requests(), "GET /v2/team/app/blobs/"+digest.String())
				if asked != test.asked {
					t.Errorf("the blob was asked for: %v", asked)
				}
				switch {
				case test.words != "":
					wantError(t, err, test.words)
				case err != nil || len(got) != 1:
					t.Errorf("%d pieces, %v", len(got), err)
				case test.source != "" && (got[0].Content != nil || !strings.Contains(got[0].Source, test.source)):
					t.Errorf("%q with %d bytes; want %q without", got[0].Source, len(got[0].Content), test.source)
				case test.source == "" && string(got[0].Content) != content:
					t.Errorf("content %q", got[0].Content)
				}
			})
		}
	}
}

// largest lists n blobs of the largest size that evidence may have.
func largest(mediaType string, n int) (layers []string) {
	for i := range n {
		layers = append(layers, entry(mediaType, limit.Evidence, subject.Of([]byte(fmt.Sprint(mediaType, i)))))
	}
	return layers
}

// stalling is a client of h's registry that sends the head of every blob, as long
// as it may be, and nothing else until the client goes away.
func (h *house) stalling(t *testing.T) (client *oci.Client, repository string) {
	t.Helper()
	handler := around(h.server, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(limit.Evidence))
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	return oci.New(oci.Config{}), serve(t, handler) + "/team/app"
}

// TestEvidenceTotal has blobs that take for ever, so that nothing but the sum
// of what they hold can end the listing.
func TestEvidenceTotal(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	half := limit.EvidenceTotal / limit.Evidence / 2
	for suffix, mediaType := range map[string]string{".sig": simple, ".att": envelope} {
		h.put(fallback(image)+suffix, ociManifest, signed(largest(mediaType, half+1)...))
	}
	client, repository := h.stalling(t)
	_, err := client.Evidence(t.Context(), repository, image)
	wantError(t, err, fmt.Sprintf("all evidence together is larger than the bound of %d bytes", limit.EvidenceTotal))
}

// TestEvidenceOfStrangers: what somebody pushes beside real evidence, and what can
// be no evidence, is told of and hides nothing.
func TestEvidenceOfStrangers(t *testing.T) {
	for name, test := range map[string]struct {
		layers func(h *house) []string
		told   string
		pieces int
	}{
		"many that claim to be large": {func(h *house) []string {
			var list []string
			for i := range 3 * limit.EvidenceTotal / limit.Evidence {
				list = append(list, entry(envelope, limit.Evidence, h.blob(fmt.Sprint("tiny", i))))
			}
			return list
		}, "has another size than its manifest says, not read", 24},
		"one far larger than it claims": {func(h *house) []string {
			return []string{entry(envelope, 100, h.blob(strings.Repeat("x", 1<<20)))}
		}, "has another size than its manifest says, not read", 1},
		"one with another digest": {func(*house) []string {
			return []string{fmt.Sprintf(`{"mediaType":%q,"size":3,"digest":"sha512:%s"}`, envelope, strings.Repeat("0", 128))}
		}, "named by another digest than SHA-256, not read", 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, registry.Config{})
			image := h.image("v1")
			real := entry(envelope, len("real"), h.blob("real"))
			h.put(fallback(image)+".att", ociManifest, signed(append(test.layers(h), real)...))
			got, err := h.client.Evidence(t.Context(), h.repo, image)
			if err != nil {
				t.Fatal(err)
			}
			found, told := 0, 0
			for _, piece := range got {
				if string(piece.Content) == "real" {
					found++
				}
				if piece.Content == nil && strings.Contains(piece.Source, test.told) {
					told++
				}
			}
			if found != 1 || told != test.pieces || len(got) != test.pieces+1 {
				t.Errorf("%d pieces, %d real, %d told of", len(got), found, told)
			}
		})
	}
}

// TestEvidenceListedAgain: a layer that is listed many times is one piece; one
// whose annotations differ is another, and each counts.
func TestEvidenceListedAgain(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	same := entry(envelope, len("real"), h.blob("real"))
	layers := slices.Repeat([]string{same}, limit.AttachmentLayers-1)
	other := entry(envelope, len("real"), h.blob("real"), `,"annotations":{"dev.sigstore.cosign/certificate":"x"}`)
	h.put(fallback(image)+".att", ociManifest, signed(append(layers, other)...))
	got, err := h.client.Evidence(t.Context(), h.repo, image)
	if err != nil || len(got) != 2 || got[0].Certificate != "" || got[1].Certificate != "x" {
		t.Errorf("%d pieces, %v", len(got), err)
	}
}

// TestEvidenceTogether: what many listings of one decision hold has one bound.
func TestEvidenceTogether(t *testing.T) {
	h := newHouse(t, registry.Config{})
	half := limit.EvidenceTotal / limit.Evidence / 2
	var images []subject.Digest
	for _, tag := range []string{"v1", "v2", "v3"} {
		image := h.image(tag)
		h.put(fallback(image)+".att", ociManifest, signed(largest(envelope, half)...))
		images = append(images, image)
	}
	h.server.Break(ocitest.Fault{Match: "/blobs/", Status: http.StatusNotFound})
	list := func(ctx context.Context) (errs []string) {
		for _, image := range images {
			_, err := h.client.Evidence(ctx, h.repo, image)
			errs = append(errs, fmt.Sprint(err))
		}
		return errs
	}
	for _, text := range list(t.Context()) {
		if !strings.Contains(text, "listed and gone") {
			t.Errorf("each on its own: %s", text)
		}
	}
	client, repository := h.stalling(t)
	ctx, cancel := context.WithCancel(oci.Together(t.Context()))
	defer cancel()
	errs := make(chan error, len(images))
	for _, image := range images {
		go func() {
			_, err := client.Evidence(ctx, repository, image)
			errs <- err
		}()
	}
	wantError(t, <-errs, "all evidence together is larger than the bound") // the others stall
}

// TestEvidenceOfOtherKinds has what registries, and those who may write to
// them, list among the referrers.
func TestEvidenceOfOtherKinds(t *testing.T) {
	type piece struct {
		Source, Content string
	}
	for _, test := range []struct {
		name string
		list func(*house, subject.Digest) []string
		want []piece
		err  string
	}{
		{name: "no artifact type, as older cosigns write", list: func(h *house, image subject.Digest) []string { return []string{h.refer(image, "one", "")} }, want: []piece{{"", "one"}}},
		{name: "the empty artifact type, as others write", list: func(h *house, image subject.Digest) []string { return []string{h.refer(image, "one", ociEmpty)} }, want: []piece{{"", "one"}}},
		{name: "a later bundle", list: func(h *house, image subject.Digest) []string {
			return []string{h.refer(image, "one", "application/vnd.dev.sigstore.bundle.v0.9+json")}
		}, want: []piece{{"", "one"}}},
		{name: "another artifact", list: func(h *house, image subject.Digest) []string {
			return []string{h.refer(image, "one", "application/vnd.example.thing")}
		}},
		{name: "an image without a type", list: func(h *house, image subject.Digest) []string { return []string{entry(ociManifest, 1, h.image("v2"))} }},
		{name: "an index without a type", list: func(h *house, image subject.Digest) []string {
			return []string{entry(ociIndex, 1, h.put("", ociIndex, index()))}
		}},
		{name: "two layers", list: func(h *house, image subject.Digest) []string {
			layer := entry(bundleV03, 3, h.blob("one"))
			return []string{entry(ociManifest, 1, h.put("", ociManifest, h.bundleManifest(image, layer, layer)), `,"artifactType":"`+bundleV03+`"`)}
		}, want: []piece{{"has no bundle in it", ""}}},
		{name: "a layer of another type", list: func(h *house, image subject.Digest) []string {
			return []string{entry(ociManifest, 1, h.put("", ociManifest, h.bundleManifest(image, entry(envelope, 3, h.blob("one")))), `,"artifactType":"`+bundleV03+`"`)}
		}, want: []piece{{"has no bundle in it", ""}}},
		{name: "layers that are no list", list: func(h *house, image subject.Digest) []string {
			return []string{entry(ociManifest, 1, h.put("", ociManifest, `{"artifactType":"`+bundleV03+`","layers":"one"}`), `,"artifactType":"`+bundleV03+`"`)}
		}, want: []piece{{"has no bundle in it", ""}}},
		{name: "a layer with no digest that can be", list: func(h *house, image subject.Digest) []string {
			return []string{entry(ociManifest, 1, h.put("", ociManifest, `{"artifactType":"`+bundleV03+`","layers":[{"mediaType":"`+bundleV03+`","size":1,"digest":"sha256:zz"}]}`))}
		}, want: []piece{{"has no bundle in it", ""}}},
		{name: "listed as a bundle, and is an image", list: func(h *house, image subject.Digest) []string {
			return []string{entry(ociManifest, 1, h.image("v2"), `,"artifactType":"`+bundleV03+`"`)}
		}, want: []piece{{"has no bundle in it", ""}}},
		{name: "listed, and the manifest is gone", list: func(h *house, image subject.Digest) []string {
			return []string{entry(ociManifest, 1, subject.Of([]byte("gone")), `,"artifactType":"`+bundleV03+`"`)}
		}, err: "is listed and gone"},
		{name: "listed, and the blob is gone", list: func(h *house, image subject.Digest) []string {
			manifest := h.bundleManifest(image, entry(bundleV03, 4, subject.Of([]byte("gone"))))
			return []string{entry(ociManifest, 1, h.put("", ociManifest, manifest), `,"artifactType":"`+bundleV03+`"`)}
		}, err: "is listed and gone"},
		{name: "a digest of another algorithm", list: func(h *house, image subject.Digest) []string {
			return []string{`{"mediaType":"` + ociManifest + `","size":1,"digest":"md5:00"}`}
		}, err: "cannot be read"},
		{name: "no digest", list: func(h *house, image subject.Digest) []string {
			return []string{`{"mediaType":"` + ociManifest + `","size":1}`}
		}, err: "digest"},
	} {
		for _, api := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, API %v", test.name, api), func(t *testing.T) {
				h := newHouse(t, registry.Config{WithoutReferrers: true})
				image := h.image("v1")
				list := test.list(h, image)
				repo := h.repo
				if api {
					repo = serve(t, paged(h, image, 1024, nil, list...)) + "/team/app"
				} else {
					h.put(fallback(image), ociIndex, index(list...))
				}
				got, err := h.client.Evidence(t.Context(), repo, image)
				if test.err != "" {
					wantError(t, err, test.err)
					return
				}
				if err != nil || len(got) != len(test.want) {
					t.Fatalf("%d pieces of %d, %v", len(got), len(test.want), err)
				}
				for i, want := range test.want {
					if !strings.Contains(got[i].Source, want.Source) || string(got[i].Content) != want.Content || got[i].Form != trust.Bundle {
						t.Errorf("%q of form %v with content %q; want %+v", got[i].Source, got[i].Form, got[i].Content, want)
					}
				}
			})
		}
	}
}

// TestEvidenceAttachedElsewhere keeps the digest that a bundle says that it is
// about, for trust to compare.
func TestEvidenceAttachedElsewhere(t *testing.T) {
	h := newHouse(t, registry.Config{WithoutReferrers: true})
	image, other := h.image("v1"), h.image("v2")
	h.put(fallback(image), ociIndex, index(h.refer(other, "one", bundleV03)))
	got, err := h.client.Evidence(t.Context(), h.repo, image)
	if err != nil || len(got) != 1 || got[0].Attached != other {
		t.Errorf("%+v, %v; want one piece attached to %s", got, err, other)
	}
}

// TestEvidenceTags has what may lie under the tags: cosign's layout as cosign
// 3.1.3 writes it, and what is none.
func TestEvidenceTags(t *testing.T) {
	const certificate = `"dev.sigstore.cosign/certificate":"-----BEGIN CERTIFICATE-----"`
	for _, test := range []struct {
		name, suffix, mediaType string
		content                 func(*house) string
		want                    []string // content and signature
		err                     string
	}{
		{name: "signatures", suffix: ".sig", mediaType: ociManifest, content: func(h *house) string {
			return signed(entry(simple, 3, h.blob("one"), `,"annotations":{"dev.cosignproject.cosign/signature":"MQ==",`+certificate+`}`), entry(simple, 3, h.blob("two"), `,"annotations":{"dev.cosignproject.cosign/signature":"Mg=="}`))
		}, want: []string{"one MQ==", "two Mg=="}},
		{name: "attestations", suffix: ".att", mediaType: ociManifest, content: func(h *house) string {
			return signed(entry(envelope, 3, h.blob("one"), `,"annotations":{"dev.cosignproject.cosign/signature":"","predicateType":"https://example.com/type"}`))
		}, want: []string{"one "}},
		{name: "layers of other types between", suffix: ".sig", mediaType: ociManifest, content: func(h *house) string {
			return signed(entry(envelope, 3, h.blob("one")), entry(simple, 3, h.blob("two")), entry("text/plain", 3, h.blob("six")))
		}, want: []string{"two "}},
		{name: "the other tag's type", suffix: ".att", mediaType: ociManifest, content: func(h *house) string { return signed(entry(simple, 3, h.blob("one"))) }},
		{name: "Docker's media types", suffix: ".sig", mediaType: "application/vnd.docker.distribution.manifest.v2+json", content: func(h *house) string {
			return strings.Replace(signed(entry(simple, 3, h.blob("one"))), ociManifest, "application/vnd.docker.distribution.manifest.v2+json", 1)
		}, want: []string{"one "}},
		{name: "an index", suffix: ".sig", mediaType: ociIndex, content: func(*house) string { return index() }, err: "is a " + ociIndex},
		{name: "an index", suffix: ".att", mediaType: ociIndex, content: func(*house) string { return index() }, err: "is a " + ociIndex},
		{name: "an image manifest", suffix: "", mediaType: ociManifest, content: func(*house) string { return signed() }, err: "should list referrers"},
		{name: "layers that are no list", suffix: ".sig", mediaType: ociManifest, content: func(*house) string { return `{"mediaType":"` + ociManifest + `","layers":1}` }, err: "cannot be read"},
		{name: "manifests that are no list", suffix: "", mediaType: ociIndex, content: func(*house) string { return `{"mediaType":"` + ociIndex + `","manifests":1}` }, err: "cannot be read"},
		{name: "a blob that is gone", suffix: ".att", mediaType: ociManifest, content: func(*house) string { return signed(entry(envelope, 4, subject.Of([]byte("gone")))) }, err: "is listed and gone"},
	} {
		t.Run(test.name+test.suffix, func(t *testing.T) {
			h := newHouse(t, registry.Config{WithoutReferrers: true})
			image := h.image("v1")
			h.put(fallback(image)+test.suffix, test.mediaType, test.content(h))
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
				got = append(got, string(e.Content)+" "+e.Signature)
				if e.Attached != image || e.Digest != subject.Of(e.Content) {
					t.Errorf("%s attached to %s with digest %s", e.Source, e.Attached, e.Digest)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
