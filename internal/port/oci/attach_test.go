package oci_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// emptyDigest is that of "{}", from the OCI image specification.
const emptyDigest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

// bundleWords is the manifest of a bundle as cosign's BUNDLE_SPEC and the OCI
// image specification 1.1 have it, with the fields in this order.
const bundleWords = `{
	"schemaVersion": 2,
	"mediaType": "application/vnd.oci.image.manifest.v1+json",
	"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
	"config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": %q},
	"layers": [{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "size": %d, "digest": %q}],
	"subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": %d, "digest": %q},
	"annotations": {
		"dev.sigstore.bundle.content": "dsse-envelope",
		"dev.sigstore.bundle.predicateType": "https://example.com/type",
		"org.opencontainers.image.created": "2026-06-01T12:00:00Z"
	}
}`

func TestAttachBundleLayout(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			h := newHouse(t, mode.config)
			image := h.image("v1")
			size := len(h.get("manifests/v1"))
			bundle := `{"a":"bundle"}`
			digest := attach(t.Context(), t, h.client, h.repo, image, bundle)
			want := compact(t, fmt.Sprintf(bundleWords, emptyDigest, len(bundle), subject.Of([]byte(bundle)), size, image))
			if got := h.get("manifests/" + digest.String()); got != want || subject.Of([]byte(want)) != digest {
				t.Errorf("the manifest %s:\n%s\nwant\n%s", digest, got, want)
			}
			if got := h.get("blobs/" + emptyDigest); got != "{}" {
				t.Errorf("the empty configuration is %q", got)
			}
			if got := h.get("blobs/" + subject.Of([]byte(bundle)).String()); got != bundle {
				t.Errorf("the bundle is %q", got)
			}

			listing := "referrers/" + image.String()
			if mode.config.WithoutReferrers {
				listing = "manifests/" + fallback(image)
			} else if got := h.ask("GET", "manifests/"+fallback(image), "", nil); got.Code != http.StatusNotFound {
				t.Errorf("a fallback tag beside the API: %d", got.Code)
			}
			wantList := compact(t, fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{
				"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": %d, "digest": %q,
				"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
				"annotations": {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": "https://example.com/type", "org.opencontainers.image.created": "2026-06-01T12:00:00Z"}}]}`, len(want), digest))
			if mode.config.WithoutReferrers {
				if got := h.get(listing); got != wantList {
					t.Errorf("the list:\n%s\nwant\n%s", got, wantList)
				}
				if got := h.ask("GET", listing, "", nil).Header().Get("Content-Type"); got != ociIndex {
					t.Errorf("the list is a %s", got)
				}
			}

			// The same once more is the same, and listed once.
			if again := attach(t.Context(), t, h.client, h.repo, image, bundle); again != digest || strings.Count(h.get(listing), digest.String()) != 1 {
				t.Errorf("attached again: %s, and the list %s", again, h.get(listing))
			}
		})
	}
}

// TestAttachToIndex describes the index that it is about as an index.
func TestAttachToIndex(t *testing.T) {
	h := newHouse(t, registry.Config{WithoutReferrers: true})
	list := h.put("all", ociIndex, index())
	digest := attach(t.Context(), t, h.client, h.repo, list, "bundle")
	if got, want := h.get("manifests/"+digest.String()), `"subject":`+entry(ociIndex, len(index()), list); !strings.Contains(got, want) {
		t.Errorf("%s\nwant %s in it", got, want)
	}
}

func TestAttachTagLayout(t *testing.T) {
	for _, test := range []struct {
		suffix, layer string
		attach        func(*house, subject.Digest, string) oci.Attachment
	}{
		{".sig", `{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "size": %d, "digest": %q,
			"annotations": {"dev.cosignproject.cosign/signature": "c2ln"}}`, func(h *house, image subject.Digest, content string) oci.Attachment {
			return signatureOf(h.repo, image, content, "c2ln")
		}},
		{".att", `{"mediaType": "application/vnd.dsse.envelope.v1+json", "size": %d, "digest": %q,
			"annotations": {"dev.cosignproject.cosign/signature": "", "predicateType": "https://example.com/type"}}`, func(h *house, image subject.Digest, content string) oci.Attachment {
			return envelopeOf(h.repo, image, content)
		}},
	} {
		t.Run(test.suffix, func(t *testing.T) {
			h := newHouse(t, registry.Config{})
			image := h.image("v1")
			var layers, diffs []string
			for _, content := range []string{"one", "another", "one"} {
				attached, err := h.client.Attach(t.Context(), test.attach(h, image, content))
				digest := attached.Digest
				if err != nil || digest != subject.Of([]byte(content)) {
					t.Fatalf("%s, %v", digest, err)
				}
				if got := h.get("blobs/" + digest.String()); got != content {
					t.Errorf("the blob is %q", got)
				}
				layers, diffs = append(layers, fmt.Sprintf(test.layer, len(content), digest)), append(diffs, fmt.Sprintf("%q", digest))
			}
			layers, diffs = layers[:2], diffs[:2] // the third was there
			config := compact(t, fmt.Sprintf(`{"architecture": "", "config": {}, "created": "0001-01-01T00:00:00Z", "history": [], "os": "",
				"rootfs": {"diff_ids": [%s], "type": "layers"}}`, strings.Join(diffs, ",")))
			want := compact(t, fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
				"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": %d, "digest": %q}, "layers": [%s]}`,
				len(config), subject.Of([]byte(config)), strings.Join(layers, ",")))
			if got := h.get("manifests/" + fallback(image) + test.suffix); got != want {
				t.Errorf("the manifest:\n%s\nwant\n%s", got, want)
			}
			if got := h.get("blobs/" + subject.Of([]byte(config)).String()); got != config {
				t.Errorf("the configuration is\n%s\nwant\n%s", got, config)
			}
		})
	}
}

// TestAttachConcurrently has 32 attachers of each form at once, in one process
// with one client and as 32 processes would, with a client each. Nothing is
// lost, whatever the registry knows. cosign 3.1.3 keeps 4 of 8 in ".att", and 6
// of 8 in the fallback tag.
func TestAttachConcurrently(t *testing.T) {
	const attachers = 32
	for _, mode := range modes {
		for _, clients := range []int{1, attachers} {
			t.Run(fmt.Sprintf("%s, %d clients", mode.name, clients), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, mode.config)
				image := h.image("v1")
				client := make([]*oci.Client, clients)
				for i := range client {
					client[i] = oci.New(oci.Config{})
				}
				var want []string
				group, ctx := errgroup.WithContext(t.Context())
				for i := range attachers {
					client := client[i%clients]
					bundle, signature, envelope := fmt.Sprint("bundle ", i), fmt.Sprint("payload ", i), fmt.Sprint("envelope ", i)
					want = append(want, bundle, signature, envelope)
					group.Go(func() error {
						_, err := client.Attach(ctx, bundleOf(h.repo, image, bundle))
						return err
					})
					group.Go(func() error {
						_, err := client.Attach(ctx, signatureOf(h.repo, image, signature, "c2ln"))
						return err
					})
					group.Go(func() error {
						_, err := client.Attach(ctx, envelopeOf(h.repo, image, envelope))
						return err
					})
				}
				if err := group.Wait(); err != nil {
					t.Fatal(err)
				}
				evidence, err := h.client.Evidence(t.Context(), h.repo, image)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, e := range evidence {
					got = append(got, string(e.Content))
				}
				slices.Sort(got)
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestAttachKeepsTheOthers has lists that others wrote, with fields that are
// not ours to lose.
func TestAttachKeepsTheOthers(t *testing.T) {
	foreign := entry(ociManifest, 7, subject.Of([]byte("foreign")), `,"urls":["https://example.com/x"],"annotations":{"a":"b"},"data":"e30=","platform":{"architecture":"arm","os":"linux","variant":"v7"},"artifactType":"application/vnd.example.thing"`)
	h := newHouse(t, registry.Config{WithoutReferrers: true})
	image := h.image("v1")
	h.put(fallback(image), ociIndex, strings.TrimSuffix(index(foreign), "}")+`,"annotations":{"kept":"yes"}}`)
	layer := entry(simple, 3, h.blob("one"), `,"urls":["https://example.com/x"],"annotations":{"dev.cosignproject.cosign/signature":"MQ==","dev.sigstore.cosign/bundle":"{}","dev.sigstore.cosign/certificate":"PEM"}`)
	h.put(fallback(image)+".sig", ociManifest, strings.TrimSuffix(signed(layer), "}")+`,"annotations":{"kept":"yes"}}`)

	attach(t.Context(), t, h.client, h.repo, image, "bundle")
	if _, err := h.client.Attach(t.Context(), signatureOf(h.repo, image, "two", "Mg==")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"manifests/" + fallback(image): foreign, "manifests/" + fallback(image) + ".sig": layer} {
		got := h.get(path)
		if words := `"annotations":{"kept":"yes"}`; !strings.Contains(got, words) {
			t.Errorf("%s lost %s:\n%s", path, words, got)
		}
		if diff := cmp.Diff(asJSON(t, want), firstOf(t, got)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 3 {
		t.Errorf("%d pieces, %v", len(got), err)
	}
}

func TestAttachRefuses(t *testing.T) {
	foreign := entry(ociManifest, 7, subject.Of([]byte("foreign")), `,"artifactType":"application/vnd.example.thing"`)
	for _, test := range []struct {
		name, suffix, mediaType, content, words string
	}{
		{"a full fallback tag", "", ociIndex, index(slices.Repeat([]string{foreign}, limit.Referrers)...), fmt.Sprintf("the bound of %d entries", limit.Referrers)},
		{"a fallback tag that is an image", "", ociManifest, signed(), "should list referrers"},
		{"a fallback tag that cannot be read", "", ociIndex, `{"mediaType":"` + ociIndex + `","manifests":1}`, "cannot be read"},
		{"a full .sig tag", ".sig", ociManifest, signed(slices.Repeat([]string{foreign}, limit.AttachmentLayers)...), fmt.Sprintf("the bound of %d layers", limit.AttachmentLayers)},
		{"a .sig tag that is an index", ".sig", ociIndex, index(foreign), "is a " + ociIndex},
		{"a full .att tag", ".att", ociManifest, signed(slices.Repeat([]string{foreign}, limit.AttachmentLayers)...), fmt.Sprintf("the bound of %d layers", limit.AttachmentLayers)},
		{"an .att tag that is an index", ".att", ociIndex, index(foreign), "is a " + ociIndex},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, registry.Config{WithoutReferrers: true})
			image := h.image("v1")
			h.put(fallback(image)+test.suffix, test.mediaType, test.content)
			wantError(t, h.attach(t.Context(), test.suffix, image), test.words)
			if got := h.get("manifests/" + fallback(image) + test.suffix); got != test.content {
				t.Errorf("the tag was overwritten with %s", got)
			}
		})
	}

	h := newHouse(t, registry.Config{})
	for _, suffix := range []string{"", ".sig", ".att"} {
		h := &house{t: t, server: h.server, client: h.client, repo: h.server.Host + "/team/../app"}
		wantError(t, h.attach(t.Context(), suffix, subject.Of(nil)), "is no repository")
	}
	h.server.Requests()
	wantError(t, h.attach(t.Context(), "", subject.Of(nil)), "404")
	for _, line := range h.server.Requests() {
		if !strings.HasPrefix(line, "GET ") {
			t.Errorf("attaching to what is not there wrote: %s", line)
		}
	}
}

// TestAttachOnePast fills a list to its bound.
func TestAttachOnePast(t *testing.T) {
	foreign := entry(ociManifest, 7, subject.Of([]byte("foreign")), `,"artifactType":"application/vnd.example.thing"`)
	h := newHouse(t, registry.Config{WithoutReferrers: true})
	image := h.image("v1")
	h.put(fallback(image), ociIndex, index(slices.Repeat([]string{foreign}, limit.Referrers-1)...))
	h.put(fallback(image)+".sig", ociManifest, signed(slices.Repeat([]string{foreign}, limit.AttachmentLayers-1)...))
	for _, suffix := range []string{"", ".sig"} {
		if err := h.attach(t.Context(), suffix, image); err != nil {
			t.Errorf("the last place of the tag %q: %v", suffix, err)
		}
	}
	if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 2 {
		t.Errorf("%d pieces, %v", len(got), err)
	}
}

func (h *house) attach(ctx context.Context, suffix string, image subject.Digest) (err error) {
	switch suffix {
	case "":
		_, err = h.client.Attach(ctx, bundleOf(h.repo, image, "bundle"))
	case ".sig":
		_, err = h.client.Attach(ctx, signatureOf(h.repo, image, "payload", "c2ln"))
	case ".att":
		_, err = h.client.Attach(ctx, envelopeOf(h.repo, image, "envelope"))
	}
	return err
}

// TestAttachLosesARace has another writer between our read and our write,
// with conditional writes and without, once and for ever.
func TestAttachLosesARace(t *testing.T) {
	for _, config := range []registry.Config{{WithoutReferrers: true}, {WithoutReferrers: true, WithoutConditions: true}} {
		for _, suffix := range []string{"", ".sig", ".att"} {
			t.Run(fmt.Sprintf("%+v %s", config, suffix), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, config)
				image := h.image("v1")
				once := sync.Once{}
				host := serve(t, around(h.server, func(_ http.ResponseWriter, request *http.Request) bool {
					if request.Method == http.MethodPut && strings.HasSuffix(request.URL.Path, fallback(image)+suffix) {
						once.Do(func() { h.theirs(suffix, image, "theirs") })
					}
					return false
				}))
				ours := &house{t: t, server: h.server, client: h.client, repo: host + "/team/app"}
				if err := ours.attach(t.Context(), suffix, image); err != nil {
					t.Fatal(err)
				}
				got, err := h.client.Evidence(t.Context(), h.repo, image)
				if err != nil {
					t.Fatal(err)
				}
				var contents []string
				for _, piece := range got {
					contents = append(contents, string(piece.Content))
				}
				if !slices.Contains(contents, map[string]string{"": "bundle", ".sig": "payload", ".att": "envelope"}[suffix]) {
					t.Errorf("%q; ours is not there", contents)
				}
				// Where conditions are ignored nothing here can save theirs,
				// who looked before we wrote over it.
				if !config.WithoutConditions && !slices.Contains(contents, "theirs") {
					t.Errorf("%q; theirs was lost", contents)
				}
			})
		}
	}
}

// theirs writes an entry as another program does.
func (h *house) theirs(suffix string, image subject.Digest, content string) {
	switch suffix {
	case "":
		h.put(fallback(image), ociIndex, index(h.refer(image, content, bundleV03)))
	case ".sig":
		h.put(fallback(image)+suffix, ociManifest, signed(entry(simple, len(content), h.blob(content))))
	case ".att":
		h.put(fallback(image)+suffix, ociManifest, signed(entry(envelope, len(content), h.blob(content))))
	}
}

// TestAttachIsOverwritten has another writer who read before our write and
// writes after it: ours is gone, is seen to be gone, and written again.
func TestAttachIsOverwritten(t *testing.T) {
	for _, suffix := range []string{"", ".sig", ".att"} {
		t.Run(suffix, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, registry.Config{WithoutReferrers: true, WithoutConditions: true})
			image := h.image("v1")
			puts := 0
			var mutex sync.Mutex
			host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				h.server.ServeHTTP(w, request)
				mutex.Lock()
				defer mutex.Unlock()
				if request.Method == http.MethodPut && strings.HasSuffix(request.URL.Path, fallback(image)+suffix) {
					if puts++; puts == 1 {
						h.theirs(suffix, image, "theirs")
					}
				}
			}))
			ours := &house{t: t, server: h.server, client: h.client, repo: host + "/team/app"}
			if err := ours.attach(t.Context(), suffix, image); err != nil {
				t.Fatal(err)
			}
			got, err := h.client.Evidence(t.Context(), h.repo, image)
			if err != nil || len(got) != 2 || puts != 2 {
				t.Errorf("%d pieces after %d writes, %v; want theirs and ours after 2", len(got), puts, err)
			}
		})
	}
}

func TestAttachGivesUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, registry.Config{WithoutReferrers: true})
	image := h.image("v1")
	var writes atomic.Int32
	busy := serve(t, around(h.server, func(_ http.ResponseWriter, request *http.Request) bool {
		if request.Method == http.MethodPut && strings.HasSuffix(request.URL.Path, fallback(image)+".sig") {
			h.theirs(".sig", image, fmt.Sprint("theirs ", writes.Add(1)))
		}
		return false
	}))
	wantError(t, (&house{t: t, server: h.server, client: h.client, repo: busy + "/team/app"}).attach(t.Context(), ".sig", image), fallback(image)+".sig", "written by others all the time", "64 tries")
	if n := writes.Load(); n != 65 { // and one that asks whether conditions are honoured
		t.Errorf("%d writes", n)
	}

	// A registry that refuses whatever the condition is asked without one,
	// and if it refuses that, is believed.
	h = newHouse(t, registry.Config{WithoutReferrers: true})
	image = h.image("v1")
	refuses := serve(t, around(h.server, func(w http.ResponseWriter, request *http.Request) bool {
		if request.Header.Get("If-Match")+request.Header.Get("If-None-Match") == "" {
			return false
		}
		w.WriteHeader(http.StatusPreconditionFailed)
		return true
	}))
	ours := &house{t: t, server: h.server, client: h.client, repo: refuses + "/team/app"}
	if err := ours.attach(t.Context(), ".sig", image); err != nil {
		t.Error(err)
	}
	if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 1 {
		t.Errorf("%d pieces, %v", len(got), err)
	}
	h.server.Break(ocitest.Fault{Match: "PUT /v2/team/app/manifests/" + fallback(image), Status: http.StatusPreconditionFailed})
	wantError(t, h.attach(t.Context(), ".att", image), "412")

	// Somebody who no longer waits does not wait out the tries.
	ctx, cancel := context.WithCancel(t.Context())
	host := serve(t, around(h.server, func(_ http.ResponseWriter, request *http.Request) bool {
		if request.Method == http.MethodPut && strings.HasSuffix(request.URL.Path, ".att") {
			cancel()
		}
		return false
	}))
	ours = &house{t: t, server: h.server, client: h.client, repo: host + "/team/app"}
	if err := ours.attach(ctx, ".att", image); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want %v", err, context.Canceled)
	}
}

// TestAttachAsksWhereItIsListed has registries with the API that do not say
// OCI-Subject, as the specification's version 1.1 asks of them.
func TestAttachAsksWhereItIsListed(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	forgetful := false
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if forgetful && strings.Contains(request.URL.Path, "/referrers/") {
			fmt.Fprint(w, index())
			return
		}
		h.server.ServeHTTP(&mute{ResponseWriter: w}, request)
	}))
	ours := &house{t: t, server: h.server, client: h.client, repo: host + "/team/app"}
	if err := ours.attach(t.Context(), "", image); err != nil {
		t.Error(err)
	}
	if got := h.ask("GET", "manifests/"+fallback(image), "", nil); got.Code != http.StatusNotFound {
		t.Errorf("a fallback tag beside the API: %d", got.Code)
	}
	forgetful = true
	wantError(t, ours.attach(t.Context(), "", image), "does not list what was just pushed")
}

// mute sends no OCI-Subject.
type mute struct{ http.ResponseWriter }

func (m *mute) WriteHeader(status int) {
	m.Header().Del("OCI-Subject")
	m.ResponseWriter.WriteHeader(status)
}

// TestAttachFails has each of the writes fail.
func TestAttachFails(t *testing.T) {
	for _, match := range []string{"POST /v2/team/app/blobs/uploads/", "PUT /v2/team/app/blobs/uploads/", "PUT /v2/team/app/manifests/"} {
		for _, suffix := range []string{"", ".sig", ".att"} {
			for _, status := range []int{http.StatusForbidden, http.StatusInsufficientStorage} {
				t.Run(fmt.Sprint(match, suffix, status), func(t *testing.T) {
					h := newHouse(t, registry.Config{WithoutWholeUploads: true})
					image := h.image("v1")
					h.server.Break(ocitest.Fault{Match: match, Status: status})
					wantError(t, h.attach(t.Context(), suffix, image), fmt.Sprint(status), "INJECTED")
					if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 0 {
						t.Errorf("%d pieces after a failure, %v", len(got), err)
					}
				})
			}
		}
	}
	for name, location := range map[string]string{"nothing": "", "no address": "http://[::1"} {
		t.Run("Location with "+name, func(t *testing.T) {
			h := newHouse(t, registry.Config{})
			image := h.image("v1")
			host := serve(t, around(h.server, func(w http.ResponseWriter, request *http.Request) bool {
				if request.Method != http.MethodPost {
					return false
				}
				w.Header()["Location"] = []string{location}
				w.WriteHeader(http.StatusAccepted)
				return true
			}))
			ours := &house{t: t, server: h.server, client: h.client, repo: host + "/team/app"}
			wantError(t, ours.attach(t.Context(), "", image), "no usable Location")
		})
	}
}
