package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociEmpty    = "application/vnd.oci.empty.v1+json"
	bundleV03   = "application/vnd.dev.sigstore.bundle.v0.3+json"
	simple      = "application/vnd.dev.cosign.simplesigning.v1+json"
	envelope    = "application/vnd.dsse.envelope.v1+json"
)

// modes are the registries that there are: with the referrers API and
// without, with conditional writes of tags and without.
var modes = []struct {
	name   string
	config registry.Config
}{
	{"referrers API, conditions", registry.Config{}},
	{"referrers API", registry.Config{WithoutConditions: true}},
	{"conditions", registry.Config{WithoutReferrers: true}},
	{"neither", registry.Config{WithoutReferrers: true, WithoutConditions: true}},
}

var noon = time.Date(2026, 6, 1, 14, 0, 0, 0, time.FixedZone("", 2*60*60))

// house is a registry with a repository, and a client.
type house struct {
	t      *testing.T
	server *ocitest.Server
	client *oci.Client
	repo   string
}

func newHouse(t *testing.T, config registry.Config) *house {
	t.Helper()
	server := ocitest.New(t, config)
	return &house{t: t, server: server, client: oci.New(oci.Config{}), repo: server.Host + "/team/app"}
}

// ask speaks to the registry directly: past faults and past the log.
func (h *house) ask(method, path, mediaType string, body []byte) *httptest.ResponseRecorder {
	h.t.Helper()
	request := httptest.NewRequest(method, "/v2/team/app/"+path, bytes.NewReader(body))
	request.Header.Set("Content-Type", mediaType)
	recorder := httptest.NewRecorder()
	h.server.Registry.ServeHTTP(recorder, request)
	return recorder
}

// put stores a manifest; which is a tag, or "" for its own digest.
func (h *house) put(which, mediaType, content string) subject.Digest {
	h.t.Helper()
	digest := subject.Of([]byte(content))
	if which == "" {
		which = digest.String()
	}
	if got := h.ask("PUT", "manifests/"+which, mediaType, []byte(content)); got.Code != http.StatusCreated {
		h.t.Fatalf("putting %s: %d %s", which, got.Code, got.Body)
	}
	return digest
}

func (h *house) blob(content string) subject.Digest {
	h.t.Helper()
	digest := subject.Of([]byte(content))
	got := h.ask("POST", "blobs/uploads/?digest="+digest.String(), "application/octet-stream", []byte(content))
	if got.Code == http.StatusAccepted {
		_, upload, _ := strings.Cut(got.Header().Get("Location"), "/v2/team/app/")
		got = h.ask("PUT", upload+"?digest="+digest.String(), "application/octet-stream", []byte(content))
	}
	if got.Code != http.StatusCreated {
		h.t.Fatalf("putting a blob: %d %s", got.Code, got.Body)
	}
	return digest
}

// get reads a manifest or a blob that must be there.
func (h *house) get(path string) string {
	h.t.Helper()
	got := h.ask("GET", path, "", nil)
	if got.Code != http.StatusOK {
		h.t.Fatalf("GET %s: %d %s", path, got.Code, got.Body)
	}
	return got.Body.String()
}

// image stores a small image under a tag.
func (h *house) image(tag string) subject.Digest {
	h.t.Helper()
	return h.put(tag, ociManifest, h.imageManifest(tag))
}

// imageManifest stores the parts of an image that salt makes different.
func (h *house) imageManifest(salt string) string {
	h.t.Helper()
	config := fmt.Sprintf(`{"architecture":"amd64","os":"linux","author":%q,"config":{},"rootfs":{"type":"layers","diff_ids":[]}}`, salt)
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":%d,"digest":%q},"layers":[]}`,
		ociManifest, len(config), h.blob(config))
}

// entry is a descriptor as JSON.
func entry(mediaType string, size int, digest subject.Digest, more ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q%s}`, mediaType, size, digest, strings.Join(more, ""))
}

func index(entries ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ociIndex, strings.Join(entries, ","))
}

// signed is an image manifest in cosign's older layout.
func signed(layers ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ociManifest,
		entry("application/vnd.oci.image.config.v1+json", 2, subject.Of([]byte("{}"))), strings.Join(layers, ","))
}

// fallback is the tag of the referrers tag schema.
func fallback(digest subject.Digest) string { return "sha256-" + digest.Hex() }

// around puts a handler of the test's before a registry: it answers, or says
// false. The embedded host is served in process, without a socket.
func around(inner http.Handler, first func(http.ResponseWriter, *http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !first(w, request) {
			inner.ServeHTTP(w, request)
		}
	})
}

// serve listens on loopback, and returns the host.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// wantError wants an error that holds all of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q; want %q in it", err, word)
		}
	}
}

// compact removes the space from JSON that a test spelled readably.
func compact(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return b.String()
}

func attach(ctx context.Context, t *testing.T, client *oci.Client, repo string, image subject.Digest, bundle string) subject.Digest {
	t.Helper()
	attached, err := client.Attach(ctx, bundleOf(repo, image, bundle))
	if err != nil {
		t.Fatal(err)
	}
	return attached.Digest
}

func bundleOf(repo string, image subject.Digest, content string) oci.Attachment {
	return oci.Attachment{Repository: repo, Image: image, Evidence: trust.Evidence{Form: trust.Bundle, Content: []byte(content)}, PredicateType: "https://example.com/type", Created: noon}
}

func envelopeOf(repo string, image subject.Digest, content string) oci.Attachment {
	return oci.Attachment{Repository: repo, Image: image, Evidence: trust.Evidence{Form: trust.Envelope, Content: []byte(content)}, PredicateType: "https://example.com/type", Created: noon}
}

func signatureOf(repo string, image subject.Digest, content, signature string) oci.Attachment {
	return oci.Attachment{Repository: repo, Image: image, Evidence: trust.Evidence{Form: trust.SimpleSigning, Content: []byte(content), Signature: signature}, Created: noon}
}

// only serves one manifest, whatever is asked for, on a host in process.
func only(host string, content []byte, header map[string]string) map[string]http.Handler {
	return map[string]http.Handler{host: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/v2/" {
			return
		}
		for key, value := range header {
			w.Header().Set(key, value)
		}
		_, _ = w.Write(content) // the client is gone, or not
	})}
}

func asJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

// firstOf gives the first manifest or layer that a manifest lists.
func firstOf(t *testing.T, manifest string) map[string]any {
	t.Helper()
	value := asJSON(t, manifest)
	for _, field := range []string{"manifests", "layers"} {
		if list, ok := value[field].([]any); ok && len(list) > 0 {
			first, _ := list[0].(map[string]any)
			return first
		}
	}
	t.Fatalf("nothing is listed in %s", manifest)
	return nil
}
