package relocate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/job/relocate"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// wantError wants an error with all of the words.
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

// TestSourceFaults: whatever the source does wrong, nothing is tagged, the
// error says what it was, and once it is mended the copy is completed.
func TestSourceFaults(t *testing.T) {
	flip := func(body []byte) []byte { body[len(body)-2] ^= 1; return body }
	for _, test := range []struct {
		name  string
		fault func(estate) ocitest.Fault
		words []string
	}{
		{"another blob", func(estate) ocitest.Fault { return ocitest.Fault{Match: "GET /v2/team/app/blobs/", Rewrite: flip} }, []string{"blob sha256:", "has the digest sha256:"}},
		{"half a blob", func(estate) ocitest.Fault { return ocitest.Fault{Match: "GET /v2/team/app/blobs/", Truncate: true} }, []string{"blob sha256:", "ends early"}},
		{"a longer blob", func(estate) ocitest.Fault {
			return ocitest.Fault{Match: "GET /v2/team/app/blobs/", Rewrite: func(b []byte) []byte { return append(b, '!') }}
		}, []string{"blob sha256:", "and its descriptor says"}},
		{"a blob that is gone", func(estate) ocitest.Fault {
			return ocitest.Fault{Match: "GET /v2/team/app/blobs/", Status: 404}
		}, []string{"blob sha256:", "404"}},
		{"another manifest", func(e estate) ocitest.Fault {
			return ocitest.Fault{Match: "manifests/" + e.manifests[0].String(), Rewrite: flip}
		}, []string{"instead of"}},
		{"a manifest that is gone", func(e estate) ocitest.Fault {
			return ocitest.Fault{Match: "GET /v2/team/app/manifests/" + e.manifests[0].String(), Status: 404}
		}, []string{"names sha256:", "linux/amd64", "without all of its manifests is not copied"}},
		{"a referrer that is gone", func(e estate) ocitest.Fault {
			referrer, _, _ := strings.Cut(e.referrers[e.root][0], " ")
			return ocitest.Fault{Match: "manifests/" + referrer, Status: 404}
		}, []string{"is listed as a referrer of sha256:", "and gone"}},
		{"no list of referrers", func(estate) ocitest.Fault { return ocitest.Fault{Match: "/referrers/", Status: 403} }, []string{"list of referrers", "403"}},
		{"no answer about a tag", func(estate) ocitest.Fault { return ocitest.Fault{Match: ".att", Status: 500} }, []string{".att", "500"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			from, to := newShop(t, registry.Config{}), newShop(t, registry.Config{WithoutReferrers: true})
			e := from.estate("v1")
			from.server.Break(test.fault(e))
			_, err := from.copyTo(to, e.root, "v1")
			wantError(t, err, test.words...)
			to.lacks("manifests/v1")
			dir := filepath.Join(t.TempDir(), "layout")
			_, err = toLayout(t.Context(), t, from.place(), e.root, dir, "v1")
			wantError(t, err, test.words...)
			if _, err := os.Stat(filepath.Join(dir, "index.json")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("half a layout looks whole: %v", err)
			}
			from.server.Mend()
			if _, err := toLayout(t.Context(), t, from.place(), e.root, dir, "v1"); err != nil {
				t.Error(err)
			}
			if _, err := from.copyTo(to, e.root, "v1"); err != nil {
				t.Fatal(err)
			}
			to.has(from, e)
		})
	}
}

// TestDestinationFaults: what the destination refuses ends the copy without a
// tag, and a second run completes it.
func TestDestinationFaults(t *testing.T) {
	for _, status := range []int{401, 403, 405, 412, 413, 500, 507} {
		for _, match := range []string{"POST /v2/team/app/blobs/uploads/", "PUT /v2/team/app/blobs/uploads/", "PUT /v2/team/app/manifests/sha256:", "PUT /v2/team/app/manifests/sha256-", "HEAD /v2/team/app/blobs/", "HEAD /v2/team/app/manifests/", "PUT /v2/team/app/manifests/v1"} {
			t.Run(fmt.Sprint(status, " ", match), func(t *testing.T) {
				t.Parallel()
				from, to := newShop(t, registry.Config{}), newShop(t, registry.Config{WithoutReferrers: true})
				e := from.estate("v1")
				to.server.Break(ocitest.Fault{Match: match, Status: status, Skip: 2 * (1 - strings.Count(match, "/v1"))})
				_, err := from.copyTo(to, e.root, "v1")
				wantError(t, err, fmt.Sprint(status))
				to.lacks("manifests/v1")
				to.server.Mend()
				if _, err := from.copyTo(to, e.root, "v1"); err != nil {
					t.Fatal(err)
				}
				to.has(from, e)
			})
		}
	}
}

// TestInterrupted: a copy that is given up sets no tag and goes on later.
func TestInterrupted(t *testing.T) {
	from, to := newShop(t, registry.Config{}), newShop(t, registry.Config{})
	e := from.estate("v1")
	ctx, cancel := context.WithCancel(t.Context())
	// It ends when the first blob is there.
	to.server.Break(ocitest.Fault{Match: "PUT /v2/team/app/blobs/", Rewrite: func(body []byte) []byte { cancel(); return body }})
	_, err := relocate.Copy(ctx, relocate.Order{From: from.place(), Image: e.root, To: to.place(), Tag: "v1"})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	to.lacks("manifests/v1")
	to.server.Mend()
	report, err := from.copyTo(to, e.root, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if report.Blobs.There == 0 {
		t.Errorf("nothing was kept of the first run: %+v", report.Blobs)
	}
	to.has(from, e)
}

// TestTagMoves: a tag that somebody sets while the copy runs is theirs.
func TestTagMoves(t *testing.T) {
	from, to := newShop(t, registry.Config{}), newShop(t, registry.Config{})
	image := digestOf(t, from.image("v1", "it"))
	theirs := ""
	to.server.Break(ocitest.Fault{Match: "HEAD /v2/team/app/manifests/", Times: 1, Rewrite: func(body []byte) []byte {
		theirs = to.image("v1", "theirs")
		return body
	}})
	_, err := from.copyTo(to, image, "v1")
	wantError(t, err, "v1 was moved by somebody else meanwhile")
	if got := subject.Of([]byte(to.get("manifests/v1"))); got != digestOf(t, theirs) {
		t.Errorf("the tag means %s", got)
	}
}

// TestClaimedReferrers: a fallback tag may say anything; what does not refer to
// the image is not copied, and said.
func TestClaimedReferrers(t *testing.T) {
	from, to := newShop(t, registry.Config{WithoutReferrers: true}), newShop(t, registry.Config{})
	image, other := from.image("v1", "it"), from.image("v2", "other")
	real := digestOf(t, from.refer(image, bundleType, "real"))
	// The image itself, another image, and the evidence as its own subject.
	from.list(digestOf(t, image), image)
	from.list(digestOf(t, image), other)
	from.list(digestOf(t, image), other)
	from.list(real, entry(ociManifest, len(from.get("manifests/"+real.String())), real))
	report, err := from.copyTo(to, digestOf(t, image), "v1")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Skipped) != 3 || !strings.Contains(strings.Join(report.Skipped, "\n"), digestOf(t, other).String()+" is listed as a referrer of "+digestOf(t, image).String()+", and does not refer to it") {
		t.Errorf("skipped %q", report.Skipped)
	}
	if got := to.referrers(digestOf(t, image)); len(got) != 1 || !strings.HasPrefix(got[0], real.String()) {
		t.Errorf("referrers %q", got)
	}
	to.lacks("manifests/" + digestOf(t, other).String())
}

// TestBounds: what is over a bound is an error that names it, and no tag.
func TestBounds(t *testing.T) {
	for _, test := range []struct {
		name  string
		build func(*shop) string
		word  string
	}{
		{"referrers", func(s *shop) string {
			image := s.image("v1", "it")
			d := entry(ociManifest, 2, subject.Of([]byte("{}")))
			s.put(fallback(digestOf(t, image)), ociIndex, index("", strings.Split(strings.Repeat(d+"\n", limit.Referrers)+d, "\n")...))
			return image
		}, fmt.Sprint(limit.Referrers, " entries")},
		{"layers of a tag", func(s *shop) string {
			image := s.image("v1", "it")
			d := s.blob(sigLayer, "payload")
			s.put(fallback(digestOf(t, image))+".sig", ociManifest, manifest(s.blob(ociConfig, "{}"), "", strings.Split(strings.Repeat(d+"\n", limit.AttachmentLayers)+d, "\n")...))
			return image
		}, fmt.Sprint(limit.AttachmentLayers, " layers")},
		{"layers", func(s *shop) string {
			d := s.blob(ociLayer, "layer")
			return s.put("v1", ociManifest, manifest(s.blob(ociConfig, "{}"), "", strings.Split(strings.Repeat(d+"\n", limit.Layers)+d, "\n")...))
		}, fmt.Sprint(limit.Layers, " layers")},
		{"platforms", func(s *shop) string {
			d := s.image("", "it")
			return s.put("v1", ociIndex, index("", strings.Split(strings.Repeat(d+"\n", limit.Platforms)+d, "\n")...))
		}, fmt.Sprint(limit.Platforms, " manifests")},
		{"nested indexes", func(s *shop) string {
			d := s.image("", "it")
			for range limit.EvidenceDepth + 1 {
				d = s.put("v1", ociIndex, index("", d))
			}
			return d
		}, fmt.Sprint(limit.EvidenceDepth, " levels")},
		{"evidence on evidence", func(s *shop) string {
			image := s.image("v1", "it")
			for d, i := image, 0; i <= limit.EvidenceDepth; i++ {
				d = s.refer(d, bundleType, fmt.Sprint("on ", i))
			}
			return image
		}, fmt.Sprint(limit.EvidenceDepth, " levels")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			from, to := newShop(t, registry.Config{WithoutReferrers: true}), newShop(t, registry.Config{})
			_, err := from.copyTo(to, digestOf(t, test.build(from)), "v1")
			var over *limit.Error
			if !errors.As(err, &over) {
				t.Fatalf("error %v; want a bound", err)
			}
			wantError(t, err, test.word)
			to.lacks("manifests/v1")
		})
	}
}

// TestOrder: what must not be forgotten is an error.
func TestOrder(t *testing.T) {
	_, err := relocate.Copy(t.Context(), relocate.Order{From: newShop(t, registry.Config{}).place()})
	wantError(t, err, "are needed")
}

// TestNotImages: what is neither an image manifest nor an index, or could be
// taken for both, is an error and not a part that is left out.
func TestNotImages(t *testing.T) {
	from, to := newShop(t, registry.Config{}), newShop(t, registry.Config{})
	config, layer := from.blob(ociConfig, "{}"), from.blob(ociLayer, "layer")
	image := from.image("", "it")
	for name, test := range map[string]struct{ mediaType, content, word string }{
		"schema 1":           {"application/vnd.docker.distribution.manifest.v1+json", `{"schemaVersion":1}`, "neither an image manifest nor an index"},
		"both":               {ociManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s],"manifests":[%s]}`, ociManifest, config, layer, image), "taken for either"},
		"both, as an index":  {ociIndex, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s],"manifests":[%s]}`, ociIndex, config, layer, image), "taken for either"},
		"no configuration":   {ociManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"layers":[%s]}`, ociManifest, layer), "no configuration"},
		"a negative size":    {ociManifest, manifest(config, "", strings.Replace(layer, `"size":`, `"size":-`, 1)), "size below zero"},
		"a sha512 layer":     {ociManifest, manifest(config, "", fmt.Sprintf(`{"mediaType":%q,"size":1,"digest":"sha512:%s"}`, ociLayer, strings.Repeat("0", 128))), "only sha256"},
		"an index of a blob": {ociIndex, index("", layer), "names sha256:"},
	} {
		d := digestOf(t, from.put("", test.mediaType, test.content))
		_, err := from.copyTo(to, d, "v1")
		if err == nil || !strings.Contains(err.Error(), test.word) {
			t.Errorf("%s: %v; want %q", name, err, test.word)
		}
		to.lacks("manifests/v1")
	}
}
