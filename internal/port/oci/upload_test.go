package oci_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// TestUpload has registries that take a blob with the first request, do not,
// or do not know that there is such a way; asked once, they are known.
func TestUpload(t *testing.T) {
	for _, test := range []struct {
		name   string
		config registry.Config
		status int // of an upload with the first request
		want   [2]string
	}{
		{"with the first request", registry.Config{}, 0, [2]string{"POST", "POST"}},
		{"not with the first request", registry.Config{WithoutWholeUploads: true}, 0, [2]string{"POST PUT", "POST PUT"}},
		{"unknown way", registry.Config{}, http.StatusBadRequest, [2]string{"POST POST PUT", "POST PUT"}},
		{"another unknown way", registry.Config{}, http.StatusMethodNotAllowed, [2]string{"POST POST PUT", "POST PUT"}},
		{"too much for it", registry.Config{}, http.StatusRequestEntityTooLarge, [2]string{"POST POST PUT", "POST PUT"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, test.config)
			image := h.image("v1")
			var mutex sync.Mutex
			var log []string
			sent := 0
			host := serve(t, around(h.server, func(w http.ResponseWriter, request *http.Request) bool {
				if !strings.Contains(request.URL.Path, "/blobs/") {
					return false
				}
				mutex.Lock()
				defer mutex.Unlock()
				log = append(log, request.Method)
				if request.ContentLength > 0 {
					sent++
				}
				if test.status != 0 && request.URL.Query().Get("digest") != "" && request.Method == http.MethodPost {
					w.WriteHeader(test.status)
					return true
				}
				return false
			}))
			client := oci.New(oci.Config{})
			for i, want := range test.want {
				log = nil
				// A blob of the older layout alone, and then its configuration.
				if _, err := client.Attach(t.Context(), signatureOf(host+"/team/app", image, fmt.Sprint("payload ", i), "c2ln")); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(log, " "); !strings.HasPrefix(got, want) {
					t.Errorf("upload %d: %s, want %s", i, got, want)
				}
			}
			if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 2 {
				t.Errorf("%d pieces, %v", len(got), err)
			}
		})
	}
}

// TestUploadLarge sends 22 MB, a predicate of 16 MB in base64, in each form:
// never twice, and not at all when it is there.
func TestUploadLarge(t *testing.T) {
	content := string(bytes.Repeat([]byte("0123456789abcdef"), 22<<20/16))
	for _, config := range []registry.Config{{}, {WithoutWholeUploads: true}} {
		for _, form := range []string{"bundle", "envelope", "payload"} {
			t.Run(fmt.Sprintf("%s, %+v", form, config), func(t *testing.T) {
				h := newHouse(t, config)
				image := h.image("v1")
				a := map[string]oci.Attachment{"bundle": bundleOf(h.repo, image, content), "envelope": envelopeOf(h.repo, image, content), "payload": signatureOf(h.repo, image, content, "c2ln")}[form]
				var mutex sync.Mutex
				var sent int64
				host := serve(t, around(h.server, func(_ http.ResponseWriter, request *http.Request) bool {
					mutex.Lock()
					defer mutex.Unlock()
					sent += max(0, request.ContentLength)
					return false
				}))
				a.Repository = host + "/team/app"
				for try := range 2 {
					sent = 0
					client := oci.New(oci.Config{})
					if _, err := client.Attach(t.Context(), a); err != nil {
						t.Fatal(err)
					}
					if most := int64(len(content)*(1-try)) + 64<<10; sent > most {
						t.Errorf("time %d: %d bytes were sent", try, sent)
					}
				}
				got, err := h.client.Evidence(t.Context(), h.repo, image)
				if err != nil || len(got) != 1 || string(got[0].Content) != content {
					t.Errorf("%d pieces, %v", len(got), err)
				}
			})
		}
	}
}

// TestUploadFaults has uploads that break, and registries that lie about what
// they took.
func TestUploadFaults(t *testing.T) {
	other := subject.Of([]byte("other")).String()
	for _, test := range []struct {
		name   string
		config registry.Config
		fault  ocitest.Fault
		want   string // of the error; "" is none
	}{
		{"other digest at once", registry.Config{}, ocitest.Fault{Match: "POST /v2/team/app/blobs/", Header: map[string]string{"Docker-Content-Digest": other}}, "stored " + other},
		{"other digest in the end", registry.Config{WithoutWholeUploads: true}, ocitest.Fault{Match: "PUT /v2/team/app/blobs/", Header: map[string]string{"Docker-Content-Digest": other}}, "stored " + other},
		{"other manifest", registry.Config{}, ocitest.Fault{Match: "PUT /v2/team/app/manifests/", Header: map[string]string{"Docker-Content-Digest": other}}, "stored " + other},
		{"breaks once", registry.Config{WithoutWholeUploads: true}, ocitest.Fault{Match: "PUT /v2/team/app/blobs/", Status: 500, Times: 2}, ""},
		{"breaks always", registry.Config{WithoutWholeUploads: true}, ocitest.Fault{Match: "PUT /v2/team/app/blobs/", Status: 500}, "500"},
		{"busy once", registry.Config{}, ocitest.Fault{Match: "POST /v2/team/app/blobs/", Status: 503, Times: 2}, ""},
		{"busy always", registry.Config{}, ocitest.Fault{Match: "POST /v2/team/app/blobs/", Status: 503}, "503"},
		{"manifest busy once", registry.Config{}, ocitest.Fault{Match: "PUT /v2/team/app/manifests/sha256:", Status: 503, Times: 2}, ""},
		{"manifest taken for another once", registry.Config{}, ocitest.Fault{Match: "PUT /v2/team/app/manifests/sha256:", Status: 400, Times: 2, Code: "DIGEST_INVALID"}, ""},
		{"manifest taken for another", registry.Config{}, ocitest.Fault{Match: "PUT /v2/team/app/manifests/sha256:", Status: 400, Code: "DIGEST_INVALID"}, "DIGEST_INVALID"},
		{"manifest refused", registry.Config{}, ocitest.Fault{Match: "PUT /v2/team/app/manifests/sha256:", Status: 400}, "INJECTED"},
		{"upload forgotten", registry.Config{WithoutWholeUploads: true}, ocitest.Fault{Match: "PUT /v2/team/app/blobs/", Status: 404}, "404"},
		{"401 without end", registry.Config{}, ocitest.Fault{Match: "POST ", Status: 401}, "401"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, test.config)
			image := h.image("v1")
			h.server.Break(test.fault)
			err := h.attach(t.Context(), "", image)
			requests := len(h.server.Requests())
			h.server.Mend()
			got, listErr := h.client.Evidence(t.Context(), h.repo, image)
			if listErr != nil {
				t.Fatal(listErr)
			}
			if test.want == "" {
				if err != nil || len(got) != 1 {
					t.Errorf("%d pieces, %v", len(got), err)
				}
				return
			}
			wantError(t, err, test.want)
			if requests > 20 {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

// TestSubjectLies: a registry that says that it lists the referrer of another
// image has not said that it lists this one.
func TestSubjectLies(t *testing.T) {
	other := subject.Of([]byte("other")).String()
	for _, api := range []bool{true, false} {
		h := newHouse(t, registry.Config{WithoutReferrers: !api})
		image := h.image("v1")
		h.server.Break(ocitest.Fault{Match: "PUT /v2/team/app/manifests/sha256:", Header: map[string]string{"OCI-Subject": other}})
		if err := h.attach(t.Context(), "", image); err != nil {
			t.Error(err)
		}
		asked := slices.Contains(h.server.Requests(), "GET /v2/team/app/referrers/"+image.String())
		h.server.Mend()
		if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 1 || !asked {
			t.Errorf("API %v: %d pieces, %v; asked whether it is listed: %v", api, len(got), err, asked)
		}
	}
}

// TestBrokenTag has registries that fail while another writer sets the tag:
// the change is made all the same, and a registry that fails for ever is
// believed.
func TestBrokenTag(t *testing.T) {
	for _, config := range []registry.Config{{WithoutReferrers: true}, {WithoutReferrers: true, WithoutConditions: true}} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			t.Run(fmt.Sprintf("%s %+v", method, config), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, config)
				image := h.image("v1")
				h.server.Break(ocitest.Fault{Match: method + " /v2/team/app/manifests/" + fallback(image), Status: 500, Times: 3})
				if err := h.attach(t.Context(), ".att", image); err != nil {
					t.Error(err)
				}
				if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 1 {
					t.Errorf("%d pieces, %v", len(got), err)
				}
				h.server.Break(ocitest.Fault{Match: method + " /v2/team/app/manifests/" + fallback(image), Status: 500})
				wantError(t, h.attach(t.Context(), ".sig", image), "500")
			})
		}
	}
	// Written, and said to have failed: it is there once.
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	failed := false
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if failed || request.Method != http.MethodPut || !strings.HasSuffix(request.URL.Path, ".att") || request.Header.Get("If-None-Match") == "" {
			h.server.ServeHTTP(w, request)
			return
		}
		failed = true
		h.server.ServeHTTP(httptest.NewRecorder(), request)
		w.WriteHeader(http.StatusBadGateway)
	}))
	if _, err := oci.New(oci.Config{}).Attach(t.Context(), envelopeOf(host+"/team/app", image, "envelope")); err != nil || !failed {
		t.Error(err)
	}
	if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 1 {
		t.Errorf("%d pieces, %v", len(got), err)
	}
}
