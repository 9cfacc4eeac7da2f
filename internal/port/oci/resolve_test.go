package oci_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

var sameDigest = cmp.Comparer(func(a, b subject.Digest) bool { return a == b })

func TestResolve(t *testing.T) {
	h := newHouse(t, registry.Config{})
	content := h.imageManifest("one")
	one := h.put("v1", ociManifest, content)
	h.put("latest", ociManifest, content)
	// Docker's manifests of old say their type in the header only.
	docker := `{"schemaVersion":2,"config":{},"layers":[]}`
	old := h.put("docker", "application/vnd.docker.distribution.manifest.v2+json", docker)
	arm := h.put("", ociManifest, h.imageManifest("arm"))
	list := index(
		entry(ociManifest, len(content), one, `,"platform":{"os":"linux","architecture":"amd64"}`),
		entry(ociManifest, 7, arm, `,"platform":{"os":"linux","architecture":"arm","variant":"v7"}`),
		entry(ociManifest, 8, old, `,"platform":{"os":"unknown","architecture":"unknown"}`),
		entry("application/vnd.example.thing", 9, old),
		entry(ociManifest, 10, old),
	)
	all := h.put("all", ociIndex, list)
	platforms := []oci.Platform{
		{Name: "linux/amd64", Digest: one, MediaType: ociManifest, Size: int64(len(content))},
		{Name: "linux/arm/v7", Digest: arm, MediaType: ociManifest, Size: 7},
		{Name: old.Short(), Digest: old, MediaType: ociManifest, Size: 10},
	}

	for _, test := range []struct {
		suffix string
		want   oci.Resolved
		pinned string
	}{
		{":v1", oci.Resolved{Tag: "v1", Digest: one, MediaType: ociManifest, Size: int64(len(content))}, ":v1@" + one.String()},
		{"", oci.Resolved{Tag: "latest", Digest: one, MediaType: ociManifest, Size: int64(len(content))}, ":latest@" + one.String()},
		{"@" + one.String(), oci.Resolved{Digest: one, MediaType: ociManifest, Size: int64(len(content))}, "@" + one.String()},
		// The digest decides; the tag, which says something else, is a label.
		{":all@" + one.String(), oci.Resolved{Tag: "all", Digest: one, MediaType: ociManifest, Size: int64(len(content))}, ":all@" + one.String()},
		{":docker", oci.Resolved{Tag: "docker", Digest: old, MediaType: "application/vnd.docker.distribution.manifest.v2+json", Size: int64(len(docker))}, ":docker@" + old.String()},
		{":all", oci.Resolved{Tag: "all", Digest: all, MediaType: ociIndex, Size: int64(len(list)), Index: true, Platforms: platforms}, ":all@" + all.String()},
	} {
		t.Run(test.suffix, func(t *testing.T) {
			got, err := h.client.Resolve(t.Context(), h.repo+test.suffix)
			if err != nil {
				t.Fatal(err)
			}
			test.want.Reference, test.want.Registry, test.want.Repository = h.repo+test.suffix, h.server.Host, "team/app"
			if diff := cmp.Diff(test.want, got, sameDigest); diff != "" {
				t.Error(diff)
			}
			if got.Name() != h.repo || got.Pinned() != h.repo+test.pinned {
				t.Errorf("name %q, pinned %q", got.Name(), got.Pinned())
			}
		})
	}
}

func TestResolveAsksOnce(t *testing.T) {
	h := newHouse(t, registry.Config{})
	h.image("v1")
	for range 2 {
		if _, err := h.client.Resolve(t.Context(), h.repo+":v1"); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"GET /v2/team/app/manifests/v1", "GET /v2/team/app/manifests/v1"}
	if diff := cmp.Diff(want, h.server.Requests()); diff != "" {
		t.Errorf("one request each, and none before: %s", diff)
	}
}

func TestResolveNormalises(t *testing.T) {
	content := []byte(`{"schemaVersion":2,"mediaType":"` + ociManifest + `"}`)
	client := oci.New(oci.Config{Embedded: only("index.docker.io", content, nil)})
	got, err := client.Resolve(t.Context(), "python:3.11")
	if err != nil {
		t.Fatal(err)
	}
	want := "index.docker.io/library/python:3.11@" + subject.Of(content).String()
	if got.Pinned() != want {
		t.Errorf("pinned %s, want %s", got.Pinned(), want)
	}
}

func TestResolveRefuses(t *testing.T) {
	h := newHouse(t, registry.Config{})
	one := h.image("v1")
	other := h.put("other", ociManifest, h.imageManifest("other"))
	nested := h.put("", ociIndex, index())
	h.put("nested", ociIndex, index(entry(ociIndex, 1, nested)))
	h.put("artifact", "application/vnd.example.thing", `{"schemaVersion":2}`)
	h.put("untyped", "", `{"schemaVersion":2,"layers":[]}`)
	h.put("manifests", ociIndex, `{"mediaType":"`+ociIndex+`","manifests":"many"}`)
	h.put("algorithm", ociIndex, index(`{"mediaType":"`+ociManifest+`","size":1,"digest":"md5:00"}`))
	full := slices.Repeat([]string{entry(ociManifest, 1, one)}, limit.Platforms+1)
	h.put("many", ociIndex, index(full...))
	h.put("full", ociIndex, index(full[1:]...))
	if got, err := h.client.Resolve(t.Context(), h.repo+":full"); err != nil || len(got.Platforms) != limit.Platforms {
		t.Errorf("an index just at the bound: %d platforms, %v", len(got.Platforms), err)
	}

	elsewhere := func(body []byte) []byte { return []byte(strings.Replace(string(body), "}", "} ", 1)) }
	for _, test := range []struct {
		name, reference string
		fault           ocitest.Fault
		words           []string
		missing         bool
	}{
		{name: "a tag that is not there", reference: h.repo + ":v9", words: []string{"v9", "404"}, missing: true},
		{name: "a digest that is not there", reference: h.repo + "@" + subject.Of(nil).String(), words: []string{subject.Of(nil).String(), "404"}, missing: true},
		{name: "other bytes than asked for", reference: h.repo + "@" + one.String(), fault: ocitest.Fault{Match: "manifests", Rewrite: elsewhere}, words: []string{"instead of " + one.String()}},
		{name: "another digest in the header", reference: h.repo + ":v1", fault: ocitest.Fault{Match: "manifests", Header: map[string]string{"Docker-Content-Digest": other.String()}}, words: []string{one.String(), "instead of " + other.String()}},
		{name: "not JSON", reference: h.repo + ":v1", fault: ocitest.Fault{Match: "manifests", Rewrite: func([]byte) []byte { return []byte("<html>") }}, words: []string{"not JSON"}},
		{name: "an empty answer", reference: h.repo + ":v1", fault: ocitest.Fault{Match: "manifests", Rewrite: func([]byte) []byte { return nil }}, words: []string{"not JSON"}},
		{name: "an index in an index", reference: h.repo + ":nested", words: []string{nested.String(), "an index itself"}},
		{name: "no image", reference: h.repo + ":artifact", words: []string{"application/vnd.example.thing is no image"}},
		{name: "no type", reference: h.repo + ":untyped", words: []string{"is no image"}},
		{name: "manifests that are no list", reference: h.repo + ":manifests", words: []string{"reading the image index"}},
		{name: "an unknown algorithm", reference: h.repo + ":algorithm", words: []string{"md5"}},
		{name: "too many platforms", reference: h.repo + ":many", words: []string{fmt.Sprintf("the bound of %d manifests", limit.Platforms)}},
		{name: "no reference", reference: "", words: []string{"no image reference"}},
		{name: "capitals", reference: h.server.Host + "/Team:v1", words: []string{"no image reference"}},
		{name: "a way up", reference: h.repo + "/../other:v1", words: []string{"no image reference", "team/app/../other"}},
		{name: "a doubled slash", reference: h.server.Host + "/team//app:v1", words: []string{"no image reference"}},
		{name: "a short digest", reference: h.repo + "@sha256:00", words: []string{"no image reference"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h.server.Mend()
			if test.fault.Match != "" {
				h.server.Break(test.fault)
			}
			got, err := h.client.Resolve(t.Context(), test.reference)
			wantError(t, err, test.words...)
			if oci.IsNotFound(err) != test.missing {
				t.Errorf("IsNotFound is %v for %q", !test.missing, err)
			}
			if diff := cmp.Diff(oci.Resolved{}, got, sameDigest); diff != "" {
				t.Errorf("a result beside the error: %s", diff)
			}
		})
	}
}

// TestResolveChecksWhatItCan has a registry that serves bytes under a digest
// of an algorithm that is not computed here.
func TestResolveChecksWhatItCan(t *testing.T) {
	client := oci.New(oci.Config{Embedded: only("registry.example.com", []byte(`{"schemaVersion":2}`), nil)})
	_, err := client.Resolve(t.Context(), "registry.example.com/app@sha512:"+strings.Repeat("0", 128))
	wantError(t, err, "only sha256 digests can be checked")
}

func TestTag(t *testing.T) {
	h := newHouse(t, registry.Config{})
	one, two := h.image("one"), h.image("two")
	for _, digest := range []subject.Digest{one, two} {
		if err := h.client.Tag(t.Context(), h.repo, digest, "prod"); err != nil {
			t.Fatal(err)
		}
		got, err := h.client.Resolve(t.Context(), h.repo+":prod")
		if err != nil || got.Digest != digest || got.MediaType != ociManifest {
			t.Errorf("prod is %s %s, want %s: %v", got.Digest, got.MediaType, digest, err)
		}
	}
	for _, test := range []struct {
		repo   string
		digest subject.Digest
		tag    string
		words  string
	}{
		{h.repo, subject.Of(nil), "prod", "404"},
		{h.repo, one, "../prod", "is no tag"},
		{h.repo, one, "", "is no tag"},
		{h.server.Host + "/UP", one, "prod", "is no repository"},
		{h.repo + "/../other", one, "prod", "is no repository"},
	} {
		wantError(t, h.client.Tag(t.Context(), test.repo, test.digest, test.tag), test.words)
	}
	if got, err := h.client.Resolve(t.Context(), h.repo+":prod"); err != nil || got.Digest != two {
		t.Errorf("after refusals prod is %s, want %s: %v", got.Digest, two, err)
	}
}

func TestImage(t *testing.T) {
	h := newHouse(t, registry.Config{})
	resolved, err := h.client.PushLayout(t.Context(), h.repo, ocitest.Layout(t, "linux/amd64", "linux/arm64"))
	if err != nil {
		t.Fatal(err)
	}
	image, err := h.client.Image(t.Context(), resolved, "linux/arm64")
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := image.Digest(); err != nil || digest.String() != resolved.Platforms[1].Digest.String() {
		t.Errorf("linux/arm64 is %s, want %s: %v", digest, resolved.Platforms[1].Digest, err)
	}
	_, err = h.client.Image(t.Context(), resolved, "linux/s390x")
	wantError(t, err, "has no linux/s390x", "it has linux/amd64, linux/arm64")

	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	read := func() error {
		stream, err := layers[0].Compressed()
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = io.Copy(io.Discard, stream)
		return err
	}
	if err := read(); err != nil {
		t.Errorf("a layer as it is: %v", err)
	}
	h.server.Break(ocitest.Fault{Match: "blobs", Rewrite: func(body []byte) []byte { body[len(body)/2] ^= 1; return body }})
	if read() == nil {
		t.Error("a flipped byte in a layer went through")
	}
	h.server.Mend()
	h.server.Break(ocitest.Fault{Match: "manifests", Rewrite: func(body []byte) []byte { return append(body, ' ') }})
	if _, err := h.client.Image(t.Context(), resolved, "linux/amd64"); err == nil {
		t.Error("a manifest with other bytes than its digest says went through")
	}
}

// TestParseSpellings: however a host is spelled, policies see one name.
func TestParseSpellings(t *testing.T) {
	digest := subject.Of(nil)
	for reference, want := range map[string]string{
		"registry.example.com/a:v1":           "registry.example.com/a v1",
		"REGISTRY.Example.com/a:v1":           "registry.example.com/a v1",
		"registry.example.com:443/a:v1":       "registry.example.com/a v1",
		"registry.example.com:4430/a:v1":      "registry.example.com:4430/a v1",
		"registry-1.docker.io/library/a":      "index.docker.io/library/a latest",
		"docker.io/a":                         "index.docker.io/library/a latest",
		"a":                                   "index.docker.io/library/a latest",
		"team/a":                              "index.docker.io/team/a latest",
		"LOCALHOST:5000/a@" + digest.String(): "localhost:5000/a  " + digest.String(),
		"[::1]:5000/a:v1@" + digest.String():  "[::1]:5000/a v1 " + digest.String(),
	} {
		got, err := oci.Parse(reference)
		if text := strings.TrimSuffix(got.Name()+" "+got.Tag+" "+got.Digest.String(), " "); err != nil || text != want {
			t.Errorf("%s: %q, %v; want %q", reference, text, err, want)
		}
	}
	for _, reference := range []string{"", "registry.example.com/", "Team/A", "registry.example.com/team/../a", "registry.example.com/a:v1@sha256:0", "a b"} {
		if got, err := oci.Parse(reference); err == nil {
			t.Errorf("%q: %+v, want an error", reference, got)
		}
	}
}
