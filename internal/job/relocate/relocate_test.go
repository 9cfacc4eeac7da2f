package relocate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/job/relocate"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	foreign     = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	sigLayer    = "application/vnd.dev.cosign.simplesigning.v1+json"
	attLayer    = "application/vnd.dsse.envelope.v1+json"
)

// shop is a registry with a repository, spoken to past its log and its faults.
type shop struct {
	t      *testing.T
	server *ocitest.Server
	name   string
	config registry.Config
}

func newShop(t *testing.T, config registry.Config) *shop {
	t.Helper()
	return &shop{t: t, server: ocitest.New(t, config), name: "team/app", config: config}
}

func (s *shop) ask(method, path, mediaType string, body []byte) *httptest.ResponseRecorder {
	s.t.Helper()
	request := httptest.NewRequest(method, "/v2/"+s.name+"/"+path, bytes.NewReader(body))
	request.Header.Set("Content-Type", mediaType)
	recorder := httptest.NewRecorder()
	s.server.Registry.ServeHTTP(recorder, request)
	return recorder
}

// get reads what must be there; want is "" for anything.
func (s *shop) get(path string) string {
	s.t.Helper()
	got := s.ask("GET", path, "", nil)
	if got.Code != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s", path, got.Code, got.Body)
	}
	return got.Body.String()
}

func (s *shop) lacks(path string) {
	s.t.Helper()
	if got := s.ask("GET", path, "", nil); got.Code != http.StatusNotFound {
		s.t.Errorf("GET %s: %d; want 404", path, got.Code)
	}
}

// blob stores a blob, and gives its descriptor.
func (s *shop) blob(mediaType, content string, more ...string) string {
	s.t.Helper()
	digest := subject.Of([]byte(content))
	if got := s.ask("POST", "blobs/uploads/?digest="+digest.String(), "", []byte(content)); got.Code != http.StatusCreated {
		s.t.Fatalf("putting a blob: %d %s", got.Code, got.Body)
	}
	return entry(mediaType, len(content), digest, more...)
}

// put stores a manifest under a tag or "" its digest, and gives its descriptor.
func (s *shop) put(tag, mediaType, content string, more ...string) string {
	s.t.Helper()
	digest := subject.Of([]byte(content))
	if tag == "" {
		tag = digest.String()
	}
	if got := s.ask("PUT", "manifests/"+tag, mediaType, []byte(content)); got.Code != http.StatusCreated {
		s.t.Fatalf("putting %s: %d %s", tag, got.Code, got.Body)
	}
	return entry(mediaType, len(content), digest, more...)
}

func entry(mediaType string, size int, digest subject.Digest, more ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q%s}`, mediaType, size, digest, strings.Join(more, ""))
}

// digestOf reads the digest of a descriptor.
func digestOf(t *testing.T, descriptor string) subject.Digest {
	t.Helper()
	var d struct{ Digest subject.Digest }
	if err := json.Unmarshal([]byte(descriptor), &d); err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

func manifest(config string, more string, layers ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, ociManifest, config, strings.Join(layers, ","), more)
}

func index(more string, entries ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]%s}`, ociIndex, strings.Join(entries, ","), more)
}

func about(descriptor string) string { return `,"subject":` + descriptor }

func fallback(d subject.Digest) string { return "sha256-" + d.Hex() }

func signature(text string) string {
	return fmt.Sprintf(`,"annotations":{"dev.cosignproject.cosign/signature":%q}`, text)
}

// image stores an image with one layer, and gives its descriptor.
func (s *shop) image(tag, salt string, more ...string) string {
	s.t.Helper()
	config := s.blob(ociConfig, fmt.Sprintf(`{"architecture":"amd64","os":"linux","author":%q}`, salt))
	return s.put(tag, ociManifest, manifest(config, "", s.blob(ociLayer, "layer of "+salt)), more...)
}

// refer stores a referrer with one layer; on a registry without the API it is
// listed as older cosigns did, with a wrong artifact type and no annotations.
func (s *shop) refer(on, artifactType, content string) string {
	s.t.Helper()
	empty := s.blob("application/vnd.oci.empty.v1+json", "{}")
	m := manifest(empty, fmt.Sprintf(`,"artifactType":%q,"annotations":{"for":%q}%s`, artifactType, content, about(on)), s.blob(artifactType, content))
	d := s.put("", ociManifest, m)
	s.list(digestOf(s.t, on), entry(ociManifest, len(m), subject.Of([]byte(m)), `,"artifactType":"application/vnd.oci.empty.v1+json"`))
	return d
}

// list adds to the fallback tag where that is needed.
func (s *shop) list(on subject.Digest, descriptor string) {
	s.t.Helper()
	if !s.config.WithoutReferrers {
		return
	}
	entries := []string{descriptor}
	if got := s.ask("GET", "manifests/"+fallback(on), "", nil); got.Code == http.StatusOK {
		for _, d := range decoded(s.t, got.Body.String()).Manifests {
			entries = append(entries, string(d))
		}
	}
	s.put(fallback(on), ociIndex, index("", entries...))
}

type document struct {
	MediaType string            `json:"mediaType"`
	Manifests []json.RawMessage `json:"manifests"`
	Layers    []json.RawMessage `json:"layers"`
}

func decoded(t *testing.T, text string) (d document) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return d
}

// estate is an index with everything that may be attached to it.
type estate struct {
	root subject.Digest
	// manifests are all that must arrive byte for byte, tags those of the older
	// layout; referrers lists, by what they are about, digests and types.
	manifests []subject.Digest
	tags      []string
	referrers map[subject.Digest][]string
	blobs     []string
}

func (s *shop) estate(tag string) estate {
	s.t.Helper()
	e := estate{referrers: map[subject.Digest][]string{}}
	add := func(d string) string {
		e.manifests = append(e.manifests, digestOf(s.t, d))
		return d
	}
	refer := func(on, artifactType, content string) string {
		d := add(s.refer(on, artifactType, content))
		key := digestOf(s.t, on)
		e.referrers[key] = append(e.referrers[key], digestOf(s.t, d).String()+" "+artifactType+" "+content)
		e.blobs = append(e.blobs, content)
		return d
	}
	amd := add(s.image("", "amd64", `,"platform":{"os":"linux","architecture":"amd64"}`))
	arm := add(s.image("", "arm64", `,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}`))
	nested := add(s.put("", ociIndex, index("", add(s.image("", "nested")))))
	root := add(s.put(tag, ociIndex, index(`,"annotations":{"a":"b"}`, amd, arm, nested)))
	e.root = digestOf(s.t, root)
	e.blobs = append(e.blobs, "layer of amd64", "layer of arm64", "layer of nested")

	refer(root, bundleType, "bundle on the index")
	refer(root, bundleType, "another bundle on the index")
	refer(amd, bundleType, "bundle on amd64")
	sbom := refer(amd, "application/vnd.cyclonedx+json", "an SBOM")
	refer(sbom, bundleType, "bundle on the SBOM")

	tagged := func(on string, suffix, layerType string, layers ...string) {
		var list []string
		for i, content := range layers {
			list = append(list, s.blob(layerType, content, signature(fmt.Sprint(i))))
			e.blobs = append(e.blobs, content)
		}
		name := fallback(digestOf(s.t, on)) + "." + suffix
		s.put(name, ociManifest, manifest(s.blob(ociConfig, `{"of":"`+name+`"}`), "", list...))
		e.tags = append(e.tags, name)
	}
	tagged(root, "sig", sigLayer, "payload", "payload")
	tagged(root, "att", attLayer, "envelope on the index")
	tagged(arm, "att", attLayer, "envelope one", "envelope two")
	tagged(amd, "sbom", "text/spdx", "spdx")
	document := entry(ociManifest, 1, subject.Of([]byte(s.get("manifests/"+fallback(digestOf(s.t, amd))+".sbom"))))
	tagged(document, "sig", sigLayer, "payload about the document")
	return e
}

// has holds a repository to everything of an estate.
func (s *shop) has(from *shop, e estate) {
	s.t.Helper()
	for _, d := range e.manifests {
		if got, want := s.get("manifests/"+d.String()), from.get("manifests/"+d.String()); got != want {
			s.t.Errorf("%s is\n%s\nwant\n%s", d, got, want)
		}
	}
	for _, tag := range e.tags {
		if got, want := s.get("manifests/"+tag), from.get("manifests/"+tag); got != want {
			s.t.Errorf("%s is\n%s\nwant\n%s", tag, got, want)
		}
	}
	for _, content := range e.blobs {
		if got := s.get("blobs/" + subject.Of([]byte(content)).String()); got != content {
			s.t.Errorf("a blob is %q; want %q", got, content)
		}
	}
	for on, want := range e.referrers {
		got := s.referrers(on)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			s.t.Errorf("what refers to %s: %s", on, diff)
		}
	}
}

// referrers lists what the repository says that refers to a digest.
func (s *shop) referrers(on subject.Digest) []string {
	s.t.Helper()
	path := "referrers/" + on.String()
	if s.config.WithoutReferrers {
		path = "manifests/" + fallback(on)
	} else {
		s.lacks("manifests/" + fallback(on)) // nothing extra
	}
	var got []string
	for _, raw := range decoded(s.t, s.get(path)).Manifests {
		var d struct {
			Digest, ArtifactType string
			Annotations          map[string]string
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			s.t.Fatal(err)
		}
		got = append(got, d.Digest+" "+d.ArtifactType+" "+d.Annotations["for"])
	}
	slices.Sort(got)
	return got
}

// place is the shop as a place to copy from and to.
func (s *shop) place() *oci.Repository {
	s.t.Helper()
	r, err := oci.New(oci.Config{}).Repository(s.server.Host + "/" + s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *shop) copyTo(to *shop, image subject.Digest, tag string) (relocate.Report, error) {
	s.t.Helper()
	return relocate.Copy(s.t.Context(), relocate.Order{From: s.place(), Image: image, To: to.place(), Tag: tag})
}

var modes = []struct {
	name   string
	config registry.Config
}{
	{"API", registry.Config{}},
	{"no API", registry.Config{WithoutReferrers: true}},
	{"no API, no conditions", registry.Config{WithoutReferrers: true, WithoutConditions: true}},
}

// toLayout copies into a layout, and gives the layout as a place.
func toLayout(ctx context.Context, t *testing.T, from relocate.Source, image subject.Digest, dir, name string) (relocate.Report, error) {
	t.Helper()
	stage, err := oci.StageLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	return relocate.Copy(ctx, relocate.Order{From: from, Image: image, To: stage, Tag: name})
}

func layoutAt(t *testing.T, dir string) *oci.Repository {
	t.Helper()
	layout, err := oci.OpenEvidenceLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := layout.Repository()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCopy: everything arrives, byte for byte, in every mode, directly and
// through a layout; a second copy sends nothing.
func TestCopy(t *testing.T) {
	for _, source := range modes[:2] {
		for _, destination := range modes {
			for _, layout := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s to %s, layout %v", source.name, destination.name, layout), func(t *testing.T) {
					t.Parallel()
					from, to := newShop(t, source.config), newShop(t, destination.config)
					e := from.estate("v1")
					var place relocate.Source = from.place()
					if layout {
						dir := filepath.Join(t.TempDir(), "layout")
						first, err := toLayout(t.Context(), t, place, e.root, dir, "v1")
						if err != nil {
							t.Fatal(err)
						}
						second, err := toLayout(t.Context(), t, place, e.root, dir, "v1")
						if err != nil {
							t.Fatal(err)
						}
						nothingNew(t, first, second)
						place = layoutAt(t, dir)
					}
					order := relocate.Order{From: place, Image: e.root, To: to.place(), Tag: "v2"}
					first, err := relocate.Copy(t.Context(), order)
					if err != nil {
						t.Fatal(err)
					}
					to.has(from, e)
					if got := subject.Of([]byte(to.get("manifests/v2"))); got != e.root {
						t.Errorf("the tag means %s; want %s", got, e.root)
					}
					if n := len(first.Evidence); n != 10 {
						t.Errorf("%d pieces of evidence; want 10: %v", n, first.Evidence)
					}
					if first.Manifests.Sent != len(e.manifests)+len(e.tags) || first.Manifests.There != 0 {
						t.Errorf("%+v; want %d manifests and %d tags sent", first.Manifests, len(e.manifests), len(e.tags))
					}
					to.server.Requests()
					second, err := relocate.Copy(t.Context(), order)
					if err != nil {
						t.Fatal(err)
					}
					nothingNew(t, first, second)
					to.has(from, e)
					for _, line := range to.server.Requests() {
						if strings.HasPrefix(line, "POST ") || strings.HasPrefix(line, "PUT ") && !strings.HasSuffix(line, "/v2") && !strings.Contains(line, fmt.Sprintf("manifests/sha256:%s", e.root.Hex())) {
							t.Errorf("the second copy writes: %s", line)
						}
					}
				})
			}
		}
	}
}

func nothingNew(t *testing.T, first, second relocate.Report) {
	t.Helper()
	if second.Manifests.Sent+second.Blobs.Sent+second.Blobs.Mounted != 0 || second.Bytes != 0 || second.Manifests.There != first.Manifests.Sent || len(second.Evidence) != len(first.Evidence) {
		t.Errorf("again: %+v; first: %+v", second, first)
	}
	for _, p := range second.Evidence {
		if p.New != 0 {
			t.Errorf("again, and new: %+v", p)
		}
	}
}

// TestCopyMerges: what the destination has about the image stays, and nothing
// is there twice.
func TestCopyMerges(t *testing.T) {
	for _, mode := range modes {
		for _, layout := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, layout %v", mode.name, layout), func(t *testing.T) {
				from, to := newShop(t, registry.Config{}), newShop(t, mode.config)
				image := from.image("v1", "it")
				if to.image("old", "it") != image {
					t.Fatal("two images")
				}
				digest := digestOf(t, image)
				from.refer(image, bundleType, "of both")
				from.refer(image, bundleType, "of the source")
				to.refer(image, bundleType, "of both")
				to.refer(image, bundleType, "of the destination")
				tag := fallback(digest) + ".sig"
				sign := func(s *shop, signatures ...string) {
					var layers []string
					for _, text := range signatures {
						layers = append(layers, s.blob(sigLayer, "payload", signature(text)))
					}
					s.put(tag, ociManifest, manifest(s.blob(ociConfig, "{}"), "", layers...))
				}
				sign(from, "both", "source")
				sign(to, "destination", "both")
				goal := to.place()
				var report relocate.Report
				var err error
				if layout {
					// The destination's goes into a layout, the source's is added to
					// it, and all comes back to an empty place.
					dir := filepath.Join(t.TempDir(), "layout")
					if _, err := toLayout(t.Context(), t, goal, digest, dir, "old"); err != nil {
						t.Fatal(err)
					}
					if report, err = toLayout(t.Context(), t, from.place(), digest, dir, "v1"); err != nil {
						t.Fatal(err)
					}
					to = newShop(t, mode.config)
					if _, err := relocate.Copy(t.Context(), relocate.Order{From: layoutAt(t, dir), Image: digest, To: to.place(), Tag: "v1"}); err != nil {
						t.Fatal(err)
					}
				} else if report, err = from.copyTo(to, digest, "v1"); err != nil {
					t.Fatal(err)
				}
				var names []string
				for _, line := range to.referrers(digest) {
					_, after, _ := strings.Cut(line, bundleType)
					if after != "" { // the destination's own list is not corrected
						names = append(names, strings.TrimSpace(after))
					}
				}
				if want := 3; len(to.referrers(digest)) != want || !slices.Contains(names, "of the source") {
					t.Errorf("referrers %q", to.referrers(digest))
				}
				var got []string
				for _, raw := range decoded(t, to.get("manifests/"+tag)).Layers {
					var d struct{ Annotations map[string]string }
					if err := json.Unmarshal(raw, &d); err != nil {
						t.Fatal(err)
					}
					got = append(got, d.Annotations["dev.cosignproject.cosign/signature"])
				}
				if diff := cmp.Diff([]string{"destination", "both", "source"}, got); diff != "" {
					t.Error(diff)
				}
				fresh := 0
				for _, p := range report.Evidence {
					fresh += p.New
				}
				if fresh != 2 {
					t.Errorf("%d are new, want 2: %+v", fresh, report.Evidence)
				}
			})
		}
	}
}

// TestCopyTag: a tag that means something else is left alone, before anything
// is written; it moves when that is asked for.
func TestCopyTag(t *testing.T) {
	from, to := newShop(t, registry.Config{}), newShop(t, registry.Config{})
	image, other := digestOf(t, from.image("v1", "one")), digestOf(t, to.image("v1", "other"))
	to.server.Requests()
	_, err := from.copyTo(to, image, "v1")
	var taken *relocate.TakenError
	if !errors.As(err, &taken) || taken.Was != other || taken.Want != image || !strings.Contains(err.Error(), other.String()) {
		t.Fatalf("error %v", err)
	}
	for _, line := range to.server.Requests() {
		if !strings.HasPrefix(line, "GET ") {
			t.Errorf("%s before the refusal", line)
		}
	}
	to.lacks("manifests/" + image.String())
	report, err := relocate.Copy(t.Context(), relocate.Order{From: from.place(), Image: image, To: to.place(), Tag: "v1", Force: true})
	if err != nil || report.Moved != other || subject.Of([]byte(to.get("manifests/v1"))) != image {
		t.Errorf("moved from %s, %v", report.Moved, err)
	}
	// By digest alone nothing is tagged.
	third := digestOf(t, from.image("v3", "three"))
	if _, err := from.copyTo(to, third, ""); err != nil {
		t.Error(err)
	}
	if got := to.get("tags/list"); strings.Contains(got, "v3") || !strings.Contains(got, `"v1"`) {
		t.Errorf("tags %s", got)
	}
}

// TestCopyDocument: two documents in ".sbom" cannot both be kept.
func TestCopyDocument(t *testing.T) {
	from, to := newShop(t, registry.Config{}), newShop(t, registry.Config{})
	image := digestOf(t, from.image("v1", "it"))
	tag := fallback(image) + ".sbom"
	for _, s := range []*shop{from, to} {
		s.put(tag, ociManifest, manifest(s.blob(ociConfig, "{}"), "", s.blob("text/spdx", "of "+s.server.Host)))
	}
	before := to.get("manifests/" + tag)
	_, err := from.copyTo(to, image, "v1")
	var taken *relocate.TakenError
	if !errors.As(err, &taken) || taken.Tag != tag || to.get("manifests/"+tag) != before {
		t.Fatalf("error %v", err)
	}
	to.lacks("manifests/v1")
	if _, err := relocate.Copy(t.Context(), relocate.Order{From: from.place(), Image: image, To: to.place(), Tag: "v1", Force: true}); err != nil {
		t.Fatal(err)
	}
	if got, want := to.get("manifests/"+tag), from.get("manifests/"+tag); got != want {
		t.Errorf("%s is %s", tag, got)
	}
}

// TestCopyMounts: inside a registry no layer is pulled.
func TestCopyMounts(t *testing.T) {
	from := newShop(t, registry.Config{})
	e := from.estate("v1")
	// The embedded registry shares blobs between repositories; others do not.
	from.server.Break(ocitest.Fault{Match: "HEAD /v2/team/other/blobs/", Status: http.StatusNotFound})
	r, err := oci.New(oci.Config{}).Repository(from.server.Host + "/team/other")
	if err != nil {
		t.Fatal(err)
	}
	from.server.Requests()
	report, err := relocate.Copy(t.Context(), relocate.Order{From: from.place(), Image: e.root, To: r, Tag: "v1"})
	if err != nil || report.Blobs.Mounted == 0 || report.Blobs.Sent+report.Blobs.There != 0 {
		t.Errorf("%+v, %v", report.Blobs, err)
	}
	for _, line := range from.server.Requests() {
		if strings.HasPrefix(line, "GET ") && strings.Contains(line, "/blobs/") {
			t.Errorf("a blob was pulled: %s", line)
		}
	}
	from.server.Mend()
	(&shop{t, from.server, "team/other", from.config}).has(from, e)
}

// TestCopyForeign: a layer that is not for distribution stays where it is.
func TestCopyForeign(t *testing.T) {
	for _, layout := range []bool{false, true} {
		from, to := newShop(t, registry.Config{}), newShop(t, registry.Config{})
		away := subject.Of([]byte("elsewhere"))
		m := manifest(from.blob(ociConfig, "{}"), "", from.blob(ociLayer, "here"), entry(foreign, 9, away, `,"urls":["https://example.com/layer"]`))
		image := digestOf(t, from.put("v1", ociManifest, m))
		var place relocate.Source = from.place()
		if layout {
			dir := filepath.Join(t.TempDir(), "layout")
			if _, err := toLayout(t.Context(), t, place, image, dir, "v1"); err != nil {
				t.Fatal(err)
			}
			place = layoutAt(t, dir)
		}
		report, err := relocate.Copy(t.Context(), relocate.Order{From: place, Image: image, To: to.place(), Tag: "v1"})
		if err != nil || !slices.Equal(report.Foreign, []subject.Digest{away}) || to.get("manifests/v1") != m {
			t.Errorf("%+v, %v", report, err)
		}
		to.lacks("blobs/" + away.String())
	}
}
