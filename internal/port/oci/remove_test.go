package oci_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// TestVouched stores what vouches for a layer beside it, under cosign's names,
// and reads it back; what is not there has no annotation.
func TestVouched(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	signature, envelope := signatureOf(h.repo, image, "payload", "c2ln"), envelopeOf(h.repo, image, "envelope")
	for _, a := range []*oci.Attachment{&signature, &envelope} {
		a.Evidence.Certificate, a.Evidence.Chain = "a certificate", "a chain"
		a.Evidence.LogEntry, a.Evidence.Timestamp = `{"a":"log entry"}`, `{"a":"timestamp"}`
		if _, err := h.client.Attach(t.Context(), *a); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.client.Attach(t.Context(), envelopeOf(h.repo, image, "bare")); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"dev.cosignproject.cosign/signature": "c2ln",
		"dev.sigstore.cosign/certificate": "a certificate", "dev.sigstore.cosign/chain": "a chain",
		"dev.sigstore.cosign/bundle": `{"a":"log entry"}`, "dev.sigstore.cosign/rfc3161timestamp": `{"a":"timestamp"}`}
	if diff := cmp.Diff(want, firstOf(t, h.get("manifests/"+fallback(image)+".sig"))["annotations"]); diff != "" {
		t.Error(diff)
	}
	got, err := h.client.Evidence(t.Context(), h.repo, image)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d pieces, %v", len(got), err)
	}
	for _, e := range got {
		vouched := []string{e.Certificate, e.Chain, e.LogEntry, e.Timestamp}
		want := []string{"a certificate", "a chain", `{"a":"log entry"}`, `{"a":"timestamp"}`}
		if string(e.Content) == "bare" {
			want = []string{"", "", "", ""}
		}
		if diff := cmp.Diff(want, vouched); diff != "" {
			t.Errorf("%s: %s", e.Source, diff)
		}
	}
}

// stock attaches one piece of each form twice, and gives the list.
func (h *house) stock(image subject.Digest) []trust.Evidence {
	h.t.Helper()
	group, ctx := errgroup.WithContext(h.t.Context())
	for _, a := range []oci.Attachment{
		bundleOf(h.repo, image, "bundle 1"), envelopeOf(h.repo, image, "envelope 1"), signatureOf(h.repo, image, "payload", "MQ=="),
		bundleOf(h.repo, image, "bundle 2"), envelopeOf(h.repo, image, "envelope 2"), signatureOf(h.repo, image, "payload", "Mg=="),
	} {
		group.Go(func() error {
			_, err := h.client.Attach(ctx, a)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		h.t.Fatal(err)
	}
	list, err := h.client.Evidence(h.t.Context(), h.repo, image)
	if err != nil || len(list) != 6 {
		h.t.Fatalf("%d pieces, %v", len(list), err)
	}
	return list
}

// TestRemove takes away any one piece, then the rest; nothing else goes.
func TestRemove(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, mode.config)
			image, other := h.image("v1"), h.image("v2")
			h.stock(other)
			for i := range 6 {
				list := h.stock(image)
				gone := list[i]
				if err := h.client.Remove(t.Context(), h.repo, image, list[i:i+1]); err != nil {
					t.Fatalf("%s: %v", gone.Source, err)
				}
				got, err := h.client.Evidence(t.Context(), h.repo, image)
				if err != nil || len(got) != 5 {
					t.Fatalf("%s removed: %d pieces, %v", gone.Source, len(got), err)
				}
				for _, e := range got {
					if e.Digest == gone.Digest && e.Signature == gone.Signature {
						t.Errorf("%s is still there", gone.Source)
					}
				}
				// Whoever comes second finds the work done.
				if err := h.client.Remove(t.Context(), h.repo, image, list[i:i+1]); err != nil {
					t.Errorf("%s again: %v", gone.Source, err)
				}
			}
			list := h.stock(image)
			if err := h.client.Remove(t.Context(), h.repo, image, list); err != nil {
				t.Fatal(err)
			}
			if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 0 {
				t.Errorf("all removed: %d pieces, %v", len(got), err)
			}
			if got, err := h.client.Evidence(t.Context(), h.repo, other); err != nil || len(got) != 6 {
				t.Errorf("of another image: %d pieces, %v", len(got), err)
			}
		})
	}
}

// TestRemoveRefused has registries that do not delete, that say so or lie.
// Native referrers stay, and the error says which; a fallback tag can be
// rewritten without any deletion.
func TestRemoveRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusMethodNotAllowed, http.StatusNotFound, http.StatusForbidden, http.StatusAccepted} {
		h := newHouse(t, registry.Config{})
		image := h.image("v1")
		list := h.stock(image)
		h.server.Break(ocitest.Fault{Match: "DELETE ", Status: status})
		err := h.client.Remove(t.Context(), h.repo, image, list[:1])
		wantError(t, err, "still lists", list[0].Digest.String(), http.StatusText(status))
		if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 6 {
			t.Errorf("%d: %d pieces, %v", status, len(got), err)
		}

		h = newHouse(t, registry.Config{WithoutReferrers: true})
		image = h.image("v1")
		list = h.stock(image)
		h.server.Break(ocitest.Fault{Match: "DELETE ", Status: status})
		if err := h.client.Remove(t.Context(), h.repo, image, list[:1]); err != nil {
			t.Errorf("%d, fallback tag: %v", status, err)
		}
		if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 5 {
			t.Errorf("%d, fallback tag: %d pieces, %v", status, len(got), err)
		}
	}
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	wantError(t, h.client.Remove(t.Context(), h.repo, image, []trust.Evidence{{Source: "somewhere", Form: "odd"}}), "somewhere", `"odd"`)
	wantError(t, h.client.Remove(t.Context(), "team/../app", image, nil), "is no repository")
	if _, err := h.client.Attach(t.Context(), oci.Attachment{Repository: h.repo, Image: image, Evidence: trust.Evidence{Form: "odd"}}); err == nil || !strings.Contains(err.Error(), `"odd"`) {
		t.Errorf("attached %v", err)
	}
}
