package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// handmade is a layout that a test writes by hand, with no more than the image
// specification says.
type handmade struct {
	t       *testing.T
	dir     string
	entries []string
}

func newHandmade(t *testing.T) *handmade {
	t.Helper()
	h := &handmade{t: t, dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(h.dir, "blobs", "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	h.file("index.json", index())
	return h
}

func (h *handmade) file(name, content string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *handmade) path(content string) string {
	return filepath.Join(h.dir, "blobs", "sha256", subject.Of([]byte(content)).Hex())
}

func (h *handmade) blob(mediaType, content string, more ...string) string {
	h.t.Helper()
	if err := os.WriteFile(h.path(content), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return entry(mediaType, len(content), subject.Of([]byte(content)), more...)
}

// list adds an entry to index.json, and gives its digest.
func (h *handmade) list(content, mediaType string, more ...string) subject.Digest {
	h.t.Helper()
	h.entries = append(h.entries, h.blob(mediaType, content, more...))
	h.file("index.json", index(h.entries...))
	return subject.Of([]byte(content))
}

func named(name string) string {
	return fmt.Sprintf(`,"annotations":{"org.opencontainers.image.ref.name":%q}`, name)
}

const plainConfig = "application/vnd.oci.image.config.v1+json"

func (h *handmade) image(salt string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[]}`, ociManifest, h.blob(plainConfig, `{"author":"`+salt+`"}`))
}

func (h *handmade) bundle(about subject.Digest, content string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":%s,"layers":[%s],"subject":%s}`, ociManifest, bundleV03,
		h.blob(ociEmpty, "{}"), h.blob(bundleV03, content), entry(ociManifest, 1, about))
}

// readAll resolves a reference and reads the evidence on it, as verifying does.
func readAll(t *testing.T, dir, reference string) (oci.Resolved, []string, error) {
	t.Helper()
	layout, err := oci.OpenEvidenceLayout(dir)
	if err != nil {
		return oci.Resolved{}, nil, err
	}
	resolved, err := layout.Resolve(t.Context(), reference)
	if err != nil {
		return oci.Resolved{}, nil, err
	}
	evidence, err := layout.Evidence(t.Context(), resolved.Name(), resolved.Digest)
	var got []string
	for _, piece := range evidence {
		got = append(got, string(piece.Form)+" "+string(piece.Content))
	}
	return resolved, got, err
}

func TestEvidenceLayout(t *testing.T) {
	h := newHandmade(t)
	one := h.list(h.image("one"), ociManifest, named("v1"))
	if resolved, got, err := readAll(t, h.dir, ""); err != nil || len(got) != 0 || resolved.Digest != one || resolved.Tag != "v1" {
		t.Errorf("%+v, %q, %v", resolved, got, err)
	}
	h.list(h.bundle(one, "bundle"), ociManifest)
	h.list(signed(h.blob(simple, "payload", `,"annotations":{"dev.cosignproject.cosign/signature":"c2ln"}`)), ociManifest, named(fallback(one)+".sig"))
	h.list(signed(h.blob(envelope, "envelope")), ociManifest, named(fallback(one)+".att"))
	want := []string{"bundle bundle", "envelope envelope", "simple-signing payload"}
	for _, reference := range []string{"", "v1", one.String(), "oci:" + h.dir, "oci:" + h.dir + "@v1", "oci:x@" + one.String()} {
		resolved, got, err := readAll(t, h.dir, reference)
		if diff := cmp.Diff(want, got); err != nil || diff != "" || resolved.Digest != one || resolved.Name() != "oci:"+h.dir {
			t.Errorf("%q: %+v, %v %s", reference, resolved, err, diff)
		}
	}
	// What is scanned is the image, whatever lies beside it.
	if local, err := oci.OpenLayout(h.dir, ""); err != nil || local.Digest != one {
		t.Errorf("%v, %v", local.Digest, err)
	}
	two := h.list(h.image("two"), ociManifest, named("v2"))
	_, _, err := readAll(t, h.dir, "")
	wantError(t, err, h.dir, "it holds 2 images", "v1 "+one.String(), "v2 "+two.String())
	_, _, err = readAll(t, h.dir, "v3")
	wantError(t, err, `it holds no "v3"`, "v1")
	_, _, err = readAll(t, h.dir, subject.Of([]byte("nothing")).String())
	wantError(t, err, "is not there")
	if _, got, err := readAll(t, h.dir, "v2"); err != nil || len(got) != 0 {
		t.Errorf("the other image has %q, %v", got, err)
	}
	h.list(h.image("three"), ociManifest, named("v2"))
	_, _, err = readAll(t, h.dir, "v2")
	wantError(t, err, `the name "v2" to 2 manifests`)
}

// TestEvidenceLayoutByCosign reads what `cosign save` writes: kinds and no
// names, and referrers that no list has.
func TestEvidenceLayoutByCosign(t *testing.T) {
	h := newHandmade(t)
	kind := func(word string) string {
		return `,"annotations":{"kind":"dev.cosignproject.cosign/` + word + `"}`
	}
	one := h.list(h.image("one"), ociManifest, kind("image"))
	h.list(signed(h.blob(simple, "payload", `,"annotations":{"dev.cosignproject.cosign/signature":"c2ln"}`)), ociManifest, kind("sigs"))
	h.list(signed(h.blob(envelope, "envelope")), ociManifest, kind("atts"))
	h.blob(ociManifest, h.bundle(one, "bundle"))
	h.blob("application/json", `{"not":"a manifest"}`)
	resolved, got, err := readAll(t, h.dir, "")
	if diff := cmp.Diff([]string{"bundle bundle", "envelope envelope", "simple-signing payload"}, got); err != nil || diff != "" || resolved.Digest != one {
		t.Errorf("%+v, %v %s", resolved, err, diff)
	}
}

// TestEvidenceLayoutTricks has files that are not what their names say.
func TestEvidenceLayoutTricks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	replace := func(h *handmade, content string, with func(path string) error) {
		if err := errors.Join(os.Remove(h.path(content)), with(h.path(content))); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, what := range []string{"image", "referrer", "bundle", "tag"} {
		for _, trick := range []struct {
			name string
			do   func(content string) func(path string) error
			word string
		}{
			{"missing", func(string) func(string) error { return func(string) error { return nil } }, ""},
			{"a link out", func(content string) func(string) error {
				return func(path string) error {
					return errors.Join(os.WriteFile(outside, []byte(content), 0o600), os.Symlink(outside, path))
				}
			}, "no regular file"},
			{"a directory", func(string) func(string) error { return func(path string) error { return os.Mkdir(path, 0o755) } }, "no regular file"},
			{"a pipe", func(string) func(string) error {
				return func(path string) error { return syscall.Mkfifo(path, 0o600) }
			}, "no regular file"},
			{"other content", func(content string) func(string) error {
				return func(path string) error { return os.WriteFile(path, []byte(" "+content[1:]), 0o600) }
			}, ""},
			{"half", func(content string) func(string) error {
				return func(path string) error { return os.WriteFile(path, []byte(content[:len(content)/2]), 0o600) }
			}, ""},
			{"longer", func(content string) func(string) error {
				return func(path string) error { return os.WriteFile(path, []byte(content+" "), 0o600) }
			}, ""},
		} {
			t.Run(what+", "+trick.name, func(t *testing.T) {
				h := newHandmade(t)
				image := h.image("one")
				one := h.list(image, ociManifest, named("v1"))
				referrer := h.bundle(one, "bundle content")
				h.list(referrer, ociManifest)
				tag := signed(h.blob(envelope, "envelope"))
				h.list(tag, ociManifest, named(fallback(one)+".att"))
				if _, got, err := readAll(t, h.dir, ""); err != nil || len(got) != 2 {
					t.Fatalf("%q, %v", got, err)
				}
				content := map[string]string{"image": image, "referrer": referrer, "bundle": "bundle content", "tag": tag}[what]
				replace(h, content, trick.do(content))
				_, got, err := readAll(t, h.dir, "")
				wantError(t, err, "image layout "+h.dir, subject.Of([]byte(content)).Hex(), trick.word)
				if got != nil {
					t.Errorf("%q beside an error", got)
				}
			})
		}
	}
}

// TestEvidenceLayoutLies has an index.json that is not as it should be.
func TestEvidenceLayoutLies(t *testing.T) {
	h := newHandmade(t)
	image := h.image("one")
	h.list(image, ociManifest, named("v1"))
	d := subject.Of([]byte(image))
	for content, words := range map[string][]string{
		"":      {"index.json cannot be read"},
		"[]":    {"index.json cannot be read"},
		index(): {"it holds no image"},
		index(entry(ociManifest, len(image)+1, d)):                                                       {fmt.Sprint(len(image), " bytes, and "), "are listed"},
		index(`{"mediaType":"x","size":1}`):                                                              {"without a digest"},
		index(entry(ociManifest, -1, d)):                                                                 {"size below zero"},
		index(entry(ociManifest, 5, subject.Of([]byte("../../etc/passwd")))):                             {"blobs/sha256/"},
		strings.Replace(index(entry(ociManifest, 1, d)), d.String(), "sha256:../../../../etc/passwd", 1): {"index.json cannot be read"},
		index(strings.Split(strings.Repeat(entry(ociManifest, len(image), d)+"\n", limit.LayoutEntries)+entry(ociManifest, len(image), d), "\n")...): {fmt.Sprint(limit.LayoutEntries, " entries")},
		index() + strings.Repeat(" ", limit.Manifest): {fmt.Sprint(limit.Manifest, " bytes")},
	} {
		h.file("index.json", content)
		_, _, err := readAll(t, h.dir, "")
		wantError(t, err, append(words, h.dir)...)
	}
	if err := os.Remove(filepath.Join(h.dir, "oci-layout")); err != nil {
		t.Fatal(err)
	}
	_, err := oci.OpenEvidenceLayout(h.dir)
	wantError(t, err, h.dir, "no OCI image layout")
}

// TestStage: a layout has the names that its writer gave, and no others.
func TestStage(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	repository, err := h.client.Repository(h.repo)
	if err != nil {
		t.Fatal(err)
	}
	// A referrer that would like to be found as the image.
	bad := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":%s,"layers":[],"subject":%s,"annotations":{"org.opencontainers.image.ref.name":"v1","kind":"dev.cosignproject.cosign/image","x":"y"}}`,
		ociManifest, bundleV03, entry(ociEmpty, 2, h.blob("{}")), entry(ociManifest, 1, image))
	h.put("", ociManifest, bad)
	dir := filepath.Join(t.TempDir(), "new", "layout")
	stage, err := oci.StageLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = oci.StageLayout(dir)
	wantError(t, err, dir, "another process writes it")
	var root oci.Manifest
	for _, digest := range []subject.Digest{image, subject.Of([]byte(bad))} {
		m, err := repository.Manifest(t.Context(), digest.String())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range m.Blobs {
			if _, err := stage.PutBlob(t.Context(), d, repository.Origin(t.Context(), d)); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := stage.PutManifest(t.Context(), m, false); err != nil {
			t.Fatal(err)
		}
		if digest == image {
			root = m
		}
	}
	if oci.IsLayout(dir) {
		t.Error("what is half written looks like a layout")
	}
	if err := stage.Publish(t.Context(), root, "v1", subject.Digest{}); err != nil {
		t.Fatal(err)
	}
	if err := stage.Close(); err != nil {
		t.Fatal(err)
	}
	resolved, _, err := readAll(t, dir, "v1")
	if err != nil || resolved.Digest != image {
		t.Errorf("%v, %v", resolved.Digest, err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	if err := json.Unmarshal(content, &list); err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{
		image.String():                   {"org.opencontainers.image.ref.name": "v1", "kind": "dev.cosignproject.cosign/image"},
		subject.Of([]byte(bad)).String(): {"x": "y"},
	}
	got := map[string]map[string]string{}
	for _, d := range list.Manifests {
		got[d.Digest] = d.Annotations
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestStageRefuses writes into no directory that holds something else, and
// leaves it as it is.
func TestStageRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := oci.StageLayout(dir)
	wantError(t, err, dir, `holds "notes.txt"`, "name a new or an empty directory")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	_, err = oci.StageLayout(filepath.Join(dir, "notes.txt"))
	wantError(t, err, "not a directory")

	// A disk that does not take it: the blobs' place is a file.
	h := newHandmade(t)
	if err := errors.Join(os.RemoveAll(filepath.Join(h.dir, "blobs")), os.WriteFile(filepath.Join(h.dir, "blobs"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err = oci.StageLayout(h.dir)
	wantError(t, err, "not a directory")
}

// TestStageHeals: a blob that is there and is not what its name says is written
// again; one that is no file is an error.
func TestStageHeals(t *testing.T) {
	h := newHandmade(t)
	stage, err := oci.StageLayout(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	content := "content"
	d := oci.Descriptor{Size: int64(len(content)), Digest: subject.Of([]byte(content))}
	from := oci.Origin{Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
	for _, before := range []string{"", "cont", "cOntent", "content and more"} {
		if err := os.WriteFile(h.path(content), []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		how, err := stage.PutBlob(t.Context(), d, from)
		if got, readErr := os.ReadFile(h.path(content)); err != nil || readErr != nil || how != oci.Sent || string(got) != content {
			t.Errorf("%q became %q: %v, %v, %v", before, got, how, err, readErr)
		}
	}
	if how, err := stage.PutBlob(t.Context(), d, oci.Origin{}); err != nil || how != oci.There {
		t.Errorf("%v, %v", how, err)
	}
	if err := errors.Join(os.Remove(h.path(content)), os.Mkdir(h.path(content), 0o755)); err != nil {
		t.Fatal(err)
	}
	_, err = stage.PutBlob(t.Context(), d, from)
	wantError(t, err, h.dir, "no regular file")
}

func FuzzEvidenceLayout(f *testing.F) {
	for _, seed := range []string{"", "{}", index(), index(entry(ociManifest, 2, subject.Of([]byte("{}")))), index(entry(ociManifest, 2, subject.Of([]byte("{}")), named("v1")))} {
		f.Add([]byte(seed), []byte("{}"))
	}
	f.Add([]byte(index(entry(ociManifest, 9, subject.Of([]byte("manifests"))))), []byte(`{"subject":{"digest":""}}`))
	f.Fuzz(func(t *testing.T, list, blob []byte) {
		h := newHandmade(t)
		h.blob(ociManifest, string(blob))
		h.file("index.json", string(list))
		resolved, _, err := readAll(t, h.dir, "")
		if err == nil && resolved.Digest != subject.Of(blob) {
			t.Errorf("resolved %s, which is not there", resolved.Digest)
		}
	})
}
