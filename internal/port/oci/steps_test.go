package oci_test

import (
	"fmt"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// TestSteps counts the steps that reading and storing take, each with all its
// requests at once: a request waits until all of its step are there, and none
// comes after the last. So the sum is the number of requests.
func TestSteps(t *testing.T) {
	six := func(h *house, image subject.Digest) {
		for i := range 6 {
			attach(t.Context(), t, h.client, h.repo, image, fmt.Sprint("bundle ", i))
		}
	}
	legacy := func(h *house, image subject.Digest) {
		for _, a := range []oci.Attachment{envelopeOf(h.repo, image, "envelope"), signatureOf(h.repo, image, "payload", "c2ln")} {
			if _, err := h.client.Attach(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
	}
	both := func(h *house, image subject.Digest) { six(h, image); legacy(h, image) }
	for _, test := range []struct {
		name    string
		config  registry.Config
		prepare func(*house, subject.Digest)
		tag     bool
		pieces  int
		levels  []int
	}{
		// The listing with the two tags, the manifests, the bundles.
		{"six referrers by tag", registry.Config{}, six, true, 6, []int{1, 3, 6, 6}},
		{"six referrers by digest", registry.Config{}, six, false, 6, []int{3, 6, 6}},
		{"the older layout by tag", registry.Config{}, legacy, true, 2, []int{1, 3, 2}},
		{"the older layout by digest", registry.Config{}, legacy, false, 2, []int{3, 2}},
		{"both layouts by tag", registry.Config{}, both, true, 8, []int{1, 3, 8, 6}},
		{"nothing", registry.Config{}, func(*house, subject.Digest) {}, true, 0, []int{1, 3}},
		// Without the API it takes one step to learn that.
		{"fallback tag", registry.Config{WithoutReferrers: true}, six, false, 6, []int{3, 1, 6, 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, test.config)
			image := h.image("v1")
			test.prepare(h, image)
			host, passed := h.server.Levels(t, test.levels...)
			client, repo := oci.New(oci.Config{}), host+"/team/app"
			if test.tag {
				resolved, err := client.Resolve(t.Context(), repo+":v1")
				if err != nil || resolved.Digest != image {
					t.Fatalf("%+v, %v", resolved, err)
				}
			}
			if got, err := client.Evidence(t.Context(), repo, image); err != nil || len(got) != test.pieces {
				t.Errorf("%d pieces, %v", len(got), err)
			}
			if err := passed(); err != nil {
				t.Error(err)
			}
		})
	}

	t.Run("known to be without the API", func(t *testing.T) {
		h := newHouse(t, registry.Config{WithoutReferrers: true})
		image, other := h.image("v1"), h.image("v2")
		six(h, other)
		host, passed := h.server.Levels(t, 3, 1, 4, 6, 6)
		client := oci.New(oci.Config{})
		if got, err := client.Evidence(t.Context(), host+"/team/app", image); err != nil || len(got) != 0 {
			t.Errorf("%d pieces, %v", len(got), err)
		}
		if got, err := client.Evidence(t.Context(), host+"/team/app", other); err != nil || len(got) != 6 {
			t.Errorf("%d pieces, %v", len(got), err)
		}
		if err := passed(); err != nil {
			t.Error(err)
		}
	})

	t.Run("sign", func(t *testing.T) {
		h := newHouse(t, registry.Config{})
		h.image("v1")
		// The image, two blobs, the manifest.
		host, passed := h.server.Levels(t, 1, 2, 1)
		client := oci.New(oci.Config{})
		resolved, err := client.Resolve(t.Context(), host+"/team/app:v1")
		if err != nil {
			t.Fatal(err)
		}
		a := bundleOf(resolved.Name(), resolved.Digest, "bundle")
		a.MediaType, a.Size = resolved.MediaType, resolved.Size
		if _, err := client.Attach(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if err := passed(); err != nil {
			t.Error(err)
		}
	})
}
