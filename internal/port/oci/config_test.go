package oci_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
)

// TestImageConfig: what an image says of itself is read under its digest, and
// nothing else is taken for it.
func TestImageConfig(t *testing.T) {
	h := newHouse(t, registry.Config{})
	manifest := func(config string, size int) subject.Digest {
		return h.put("", manifestType, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
			manifestType, configType, h.blob(config), size))
	}
	const good = `{"os":"linux","architecture":"arm64","variant":"v8","created":"2026-03-01T12:00:00Z","config":{"Labels":{"a":"b"},"Env":["X=1"],"User":"1000","Entrypoint":["/app"],"Cmd":["run"]}}`
	digest := manifest(good, len(good))
	want := oci.ImageConfig{OS: "linux", Architecture: "arm64", Variant: "v8", Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Labels: map[string]string{"a": "b"},
		Env: []string{"X=1"}, User: "1000", Entrypoint: []string{"/app"}, Cmd: []string{"run"}}
	got, err := h.client.ImageConfig(t.Context(), h.repo, digest)
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}

	index := h.put("", indexType, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, indexType, manifestType, digest))
	for name, c := range map[string]struct {
		digest subject.Digest
		want   string
	}{
		"an index":      {index, "is an index, and has no configuration"},
		"no JSON":       {manifest("x", 1), "the configuration of"},
		"another shape": {manifest(`{"config":[]}`, 13), "the configuration of"},
		"another size":  {manifest(`{}`, 3), "and its descriptor says 3"},
		"not there":     {subject.Of([]byte("nothing")), "is not there"},
	} {
		if got, err := h.client.ImageConfig(t.Context(), h.repo, c.digest); err == nil || !strings.Contains(err.Error(), c.want) || cmp.Diff(oci.ImageConfig{}, got) != "" {
			t.Errorf("%s: %+v and %v, want %s", name, got, err, c.want)
		}
	}
	var over *limit.Error
	if _, err := h.client.ImageConfig(t.Context(), h.repo, manifest(`{ }`, limit.ImageConfig+1)); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
	h.server.Break(ocitest.Fault{Match: "GET /v2/team/app/blobs/", Rewrite: func(body []byte) []byte { return bytes.Replace(body, []byte("1000"), []byte("0000"), 1) }})
	if got, err := h.client.ImageConfig(t.Context(), h.repo, digest); err == nil || got.User != "" {
		t.Errorf("a registry that lies: %+v, %v", got, err)
	}
}
