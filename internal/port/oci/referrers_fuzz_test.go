package oci_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// FuzzReferrers has a registry answer anything for the list of referrers, by
// the API or the fallback tag, and for the manifest that is listed. What comes
// back as evidence is the bytes that were stored, or nothing. DIGEST in a list stands for the manifest's digest, BLOB in a
// manifest for the blob's.
func FuzzReferrers(f *testing.F) {
	blob := []byte("a bundle")
	image := subject.Of([]byte("the image"))
	manifest := `{"schemaVersion":2,"mediaType":"` + ociManifest + `","artifactType":"` + bundleV03 + `","config":{"mediaType":"` + ociEmpty + `","size":2,"digest":"` + subject.Of([]byte("{}")).String() +
		`"},"layers":[{"mediaType":"` + bundleV03 + `","size":8,"digest":"BLOB"}],"subject":{"mediaType":"` + ociManifest + `","size":1,"digest":"` + image.String() + `"}}`
	one := `{"mediaType":"` + ociManifest + `","size":1,"digest":"DIGEST","artifactType":"` + bundleV03 + `"}`
	for _, list := range []string{"", "{}", "[]", index(), index(one), index(one, one), index(strings.Replace(one, bundleV03, "", 1)), strings.Replace(index(one), "2", "1", 1), strings.Replace(index(one), `"DIGEST"`, `"sha256:"`, 1)} {
		f.Add([]byte(list), []byte(manifest), false)
		f.Add([]byte(list), []byte(manifest), true)
	}
	f.Add([]byte(index(one)), []byte(strings.Replace(manifest, image.String(), subject.Of(blob).String(), 1)), false)
	f.Add([]byte(index(one)), []byte(strings.Replace(manifest, `"size":8`, `"size":9`, 1)), true)
	f.Fuzz(func(t *testing.T, list, manifest []byte, tagged bool) {
		manifest = bytes.ReplaceAll(manifest, []byte("BLOB"), []byte(subject.Of(blob).String()))
		digest := subject.Of(manifest).String()
		list = bytes.ReplaceAll(list, []byte("DIGEST"), []byte(digest))
		registry := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			kind, content := "", []byte(nil)
			switch path := request.URL.Path; {
			case strings.Contains(path, "/referrers/") && !tagged, strings.HasSuffix(path, "/manifests/"+fallback(image)) && tagged:
				kind, content = ociIndex, list
			case strings.HasSuffix(path, "/manifests/"+digest):
				kind, content = ociManifest, manifest
			case strings.HasSuffix(path, "/blobs/"+subject.Of(blob).String()):
				kind, content = "application/octet-stream", blob
			default:
				http.NotFound(w, request)
				return
			}
			w.Header().Set("Content-Type", kind)
			w.Write(content)
		})
		client := oci.New(oci.Config{Embedded: map[string]http.Handler{"fuzz.localhost": registry}})
		got, err := client.Evidence(t.Context(), "fuzz.localhost/app", image)
		if err != nil && got != nil || len(got) > limit.Referrers {
			t.Errorf("%d pieces with the error %v", len(got), err)
		}
		for _, e := range got {
			// What cannot be read is kept, without content, to be rejected.
			if len(e.Content) > 0 && !bytes.Equal(e.Content, blob) {
				t.Errorf("evidence %s: %q", e.Digest, e.Content)
			}
		}
	})
}
