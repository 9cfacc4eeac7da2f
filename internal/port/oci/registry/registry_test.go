package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// store is a registry, asked in process.
type store struct {
	t   *testing.T
	dir string
	r   *registry.Registry
}

func open(t *testing.T, dir string, config registry.Config) store {
	t.Helper()
	r, err := registry.Open(dir, config)
	if err != nil {
		t.Fatal(err)
	}
	return store{t, dir, r}
}

// do sends a request below /v2; headers come as name, value.
func (s store) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	request := httptest.NewRequest(method, "/v2"+path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	s.r.ServeHTTP(recorder, request)
	return recorder
}

// want sends a request, and wants a status and words in the answer.
func (s store) want(status int, words string, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	got := s.do(method, path, body, headers...)
	if got.Code != status || !strings.Contains(got.Body.String(), words) {
		s.t.Errorf("%s %s: %d %q; want %d with %q", method, path, got.Code, got.Body, status, words)
	}
	return got
}

func of(content string) string { return subject.Of([]byte(content)).String() }

func TestBlob(t *testing.T) {
	s := open(t, t.TempDir(), registry.Config{})
	s.want(200, "{}", "GET", "/", "")
	content := "a blob of bytes"
	path := "/team/app/blobs/" + of(content)
	s.want(404, "BLOB_UNKNOWN", "GET", path, "")

	// The specification's three ways.
	s.want(201, "", "POST", "/team/app/blobs/uploads/?digest="+of("one"), "one")
	location := s.want(202, "", "POST", "/team/app/blobs/uploads/", "").Header().Get("Location")
	s.want(201, "", "PUT", strings.TrimPrefix(location, "/v2")+"?digest="+of("two"), "two")
	location = strings.TrimPrefix(s.want(202, "", "POST", "/team/app/blobs/uploads/", "").Header().Get("Location"), "/v2")
	if got := s.want(202, "", "PATCH", location, content[:6]).Header().Get("Range"); got != "0-5" {
		t.Errorf("range %q", got)
	}
	s.want(202, "", "PATCH", location, content[6:10])
	done := s.want(201, "", "PUT", location+"?digest="+of(content), content[10:])
	if diff := cmp.Diff([]string{"/v2" + path, of(content)}, []string{done.Header().Get("Location"), done.Header().Get("Docker-Content-Digest")}); diff != "" {
		t.Error(diff)
	}
	s.want(404, "BLOB_UPLOAD_UNKNOWN", "PUT", location+"?digest="+of(content), "")

	got := s.want(200, content, "GET", path, "")
	if got.Header().Get("Docker-Content-Digest") != of(content) || got.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("header %v", got.Header())
	}
	if head := s.want(200, "", "HEAD", path, ""); head.Body.Len() != 0 || head.Header().Get("Content-Length") != fmt.Sprint(len(content)) {
		t.Errorf("HEAD: %v %q", head.Header(), head.Body)
	}
	s.want(206, content[2:5], "GET", path, "", "Range", "bytes=2-4")
	for _, each := range []string{"one", "two"} {
		s.want(200, each, "GET", "/team/app/blobs/"+of(each), "")
	}
	s.want(201, "", "POST", "/other/blobs/uploads/?mount="+of(content)+"&from=team/app", "")
	s.want(202, "", "POST", "/other/blobs/uploads/?mount="+of("nothing")+"&from=team/app", "")
	s.want(405, "UNSUPPORTED", "DELETE", path, "")
}

// TestBlobRefused stores nothing under a digest that it does not have.
func TestBlobRefused(t *testing.T) {
	s := open(t, t.TempDir(), registry.Config{})
	for _, digest := range []string{of("other"), "sha256:00", "md5:00", "sha512:" + strings.Repeat("0", 128), "sha256:../../../../x", strings.ToUpper(of("content"))} {
		s.want(400, "DIGEST_INVALID", "POST", "/app/blobs/uploads/?digest="+digest, "content")
	}
	location := strings.TrimPrefix(s.do("POST", "/app/blobs/uploads/", "").Header().Get("Location"), "/v2")
	s.want(400, "DIGEST_INVALID", "PUT", location+"?digest="+of("other"), "content")
	location = strings.TrimPrefix(s.do("POST", "/app/blobs/uploads/", "").Header().Get("Location"), "/v2")
	s.want(400, "DIGEST_INVALID", "PUT", location, "content")
	for _, id := range []string{"x", "..", strings.Repeat("0", 32), "../blobs"} {
		s.want(404, "", "PUT", "/app/blobs/uploads/"+id+"?digest="+of("content"), "content")
	}
	s.want(405, "UNSUPPORTED", "GET", strings.TrimPrefix(s.do("POST", "/app/blobs/uploads/", "").Header().Get("Location"), "/v2"), "")
	entries, err := os.ReadDir(filepath.Join(s.dir, "blobs", "sha256"))
	if err != nil || len(entries) != 0 {
		t.Errorf("%d blobs, %v", len(entries), err)
	}
}

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, registry.Config{})
	one, two := `{"schemaVersion":2,"n":1}`, `{"schemaVersion":2,"n":2}`
	s.want(404, "NAME_UNKNOWN", "GET", "/team/app/tags/list", "")
	s.want(201, "", "PUT", "/team/app/manifests/v1", one, "Content-Type", manifestType)
	done := s.want(201, "", "PUT", "/team/app/manifests/"+of(two), two, "Content-Type", manifestType)
	if done.Header().Get("Location") != "/v2/team/app/manifests/"+of(two) || done.Header().Get("OCI-Subject") != "" {
		t.Errorf("header %v", done.Header())
	}
	s.want(200, `{"name":"team/app","tags":["v1"]}`, "GET", "/team/app/tags/list", "")
	s.want(201, "", "PUT", "/team/app/manifests/v1", two, "Content-Type", manifestType)

	// Another process finds the same.
	s = open(t, dir, registry.Config{})
	for path, want := range map[string]string{"v1": two, of(one): one, of(two): two} {
		got := s.want(200, want, "GET", "/team/app/manifests/"+path, "")
		if diff := cmp.Diff([]string{of(want), manifestType, fmt.Sprint(len(want))}, []string{got.Header().Get("Docker-Content-Digest"), got.Header().Get("Content-Type"), got.Header().Get("Content-Length")}); diff != "" {
			t.Error(diff)
		}
		if head := s.want(200, "", "HEAD", "/team/app/manifests/"+path, ""); head.Body.Len() != 0 || head.Header().Get("Content-Length") != fmt.Sprint(len(want)) {
			t.Errorf("HEAD: %v %q", head.Header(), head.Body)
		}
	}
	s.want(404, "MANIFEST_UNKNOWN", "GET", "/team/other/manifests/"+of(one), "")
	s.want(404, "MANIFEST_UNKNOWN", "GET", "/team/app/manifests/v2", "")
	s.want(404, "MANIFEST_UNKNOWN", "GET", "/team/app/manifests/sha512:"+strings.Repeat("0", 128), "")

	s.want(202, "", "DELETE", "/team/app/manifests/v1", "")
	s.want(404, "", "GET", "/team/app/manifests/v1", "")
	s.want(200, two, "GET", "/team/app/manifests/"+of(two), "")
	s.want(202, "", "DELETE", "/team/app/manifests/"+of(two), "")
	s.want(404, "", "GET", "/team/app/manifests/"+of(two), "")
	s.want(404, "", "DELETE", "/team/app/manifests/"+of(two), "")
	s.want(200, `"tags":[]`, "GET", "/team/app/tags/list", "")
	s.want(405, "UNSUPPORTED", "POST", "/team/app/manifests/v1", "")
}

func TestManifestRefused(t *testing.T) {
	s := open(t, t.TempDir(), registry.Config{})
	good := `{"schemaVersion":2}`
	for _, test := range []struct {
		which, content string
		status         int
		words          string
	}{
		{of("other"), good, 400, "DIGEST_INVALID"},
		{"v1", "<html>", 400, "MANIFEST_INVALID"},
		{"v1", "", 400, "MANIFEST_INVALID"},
		{"v1", `{"subject":{"digest":"sha256:../../../x"}}`, 400, "MANIFEST_INVALID"},
		{"v1", `{"subject":{"digest":""}}`, 400, "MANIFEST_INVALID"},
		{"v1", `{"subject":{}}`, 400, "MANIFEST_INVALID"},
		{"v1", `{"subject":"x"}`, 400, "MANIFEST_INVALID"},
		{"v1", good + strings.Repeat(" ", limit.Manifest), 413, "MANIFEST_INVALID"},
		{"..", good, 400, "TAG_INVALID"},
		{".hidden", good, 400, "TAG_INVALID"},
		{"-dash", good, 400, "TAG_INVALID"},
		{strings.Repeat("a", 129), good, 400, "TAG_INVALID"},
		{"a%2Fb", good, 404, "NOT_FOUND"},
		{"", good, 400, "TAG_INVALID"},
	} {
		s.want(test.status, test.words, "PUT", "/app/manifests/"+test.which, test.content, "Content-Type", manifestType)
	}
	s.want(201, "", "PUT", "/app/manifests/"+strings.Repeat("a", 128), good, "Content-Type", manifestType)
	s.want(200, `"tags":["`+strings.Repeat("a", 128)+`"]`, "GET", "/app/tags/list", "")
}

// TestPaths has names that would leave the directory, or reach what is not
// theirs in it.
func TestPaths(t *testing.T) {
	parent := t.TempDir()
	if err := os.WriteFile(filepath.Join(parent, "secret"), []byte(of("x")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(parent, "registry"), registry.Config{})
	s.want(201, "", "PUT", "/app/manifests/v1", "{}", "Content-Type", manifestType)
	for _, name := range []string{"..", "../..", "app/..", "app/../app", "./app", ".", "", "/", "APP", "_tags", "app/_tags", "app/_manifests", "a//b", "a/", "a b", "a\\b", "a\x00b", "-a", "a-", "a..b", strings.Repeat("a", 256), strings.Repeat("a/", 128) + "a"} {
		for _, rest := range []string{"/manifests/v1", "/manifests/secret", "/tags/list", "/referrers/" + of("x"), "/blobs/" + of("x"), "/blobs/uploads/"} {
			for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
				request := httptest.NewRequest(method, "/v2/", strings.NewReader("{}"))
				request.URL.Path = "/v2/" + name + rest
				recorder := httptest.NewRecorder()
				s.r.ServeHTTP(recorder, request)
				if recorder.Code < 400 || recorder.Code >= 500 {
					t.Errorf("%s %s: %d %s", method, request.URL.Path, recorder.Code, recorder.Body)
				}
			}
		}
	}
	for _, which := range []string{"../../../../secret", "..", "%2e%2e", "../v1"} {
		request := httptest.NewRequest("GET", "/v2/", nil)
		request.URL.Path = "/v2/app/manifests/" + which
		recorder := httptest.NewRecorder()
		s.r.ServeHTTP(recorder, request)
		if recorder.Code != 404 && recorder.Code != 400 {
			t.Errorf("%s: %d %s", which, recorder.Code, recorder.Body)
		}
	}
	for _, path := range []string{"/", "/v1/", "/v2x/", "/etc/passwd"} {
		recorder := httptest.NewRecorder()
		s.r.ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
		if recorder.Code != 404 {
			t.Errorf("%s: %d", path, recorder.Code)
		}
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the registry: %v, %v", entries, err)
	}
}

func asJSON(t *testing.T, text string) (value map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Errorf("%v in %s", err, text)
	}
	return value
}

func TestReferrers(t *testing.T) {
	s := open(t, t.TempDir(), registry.Config{})
	image := of("image") // it need not be there
	listing := "/app/referrers/" + image
	if got := s.want(200, `"manifests":[]`, "GET", listing, ""); asJSON(t, got.Body.String())["schemaVersion"] != 2.0 || got.Header().Get("Content-Type") != "application/vnd.oci.image.index.v1+json" {
		t.Errorf("a list of nothing: %v %s", got.Header(), got.Body)
	}
	sbom := fmt.Sprintf(`{"schemaVersion":2,"artifactType":"application/vnd.example.sbom","config":{"mediaType":"application/vnd.oci.empty.v1+json"},"subject":{"digest":%q},"annotations":{"a":"b"}}`, image)
	old := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.example.config"},"subject":{"digest":%q}}`, image)
	for _, m := range []string{sbom, old, sbom} {
		if got := s.want(201, "", "PUT", "/app/manifests/"+of(m), m, "Content-Type", manifestType).Header().Get("OCI-Subject"); got != image {
			t.Errorf("OCI-Subject %q", got)
		}
	}
	both := []string{
		fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q,"artifactType":"application/vnd.example.sbom","annotations":{"a":"b"}}`, manifestType, len(sbom), of(sbom)),
		fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q,"artifactType":"application/vnd.example.config"}`, manifestType, len(old), of(old)),
	}
	filtered := s.want(200, both[0], "GET", listing+"?artifactType=application/vnd.example.sbom", "")
	if filtered.Header().Get("OCI-Filters-Applied") != "artifactType" || strings.Contains(filtered.Body.String(), of(old)) {
		t.Errorf("filtered: %v %s", filtered.Header(), filtered.Body)
	}
	all := s.want(200, both[0], "GET", listing, "")
	if !strings.Contains(all.Body.String(), both[1]) || strings.Count(all.Body.String(), `"digest"`) != 2 || all.Header().Get("OCI-Filters-Applied") != "" {
		t.Errorf("all: %v %s", all.Header(), all.Body)
	}
	s.want(200, `"manifests":[]`, "GET", "/other/referrers/"+image, "")
	s.want(200, `"manifests":[]`, "GET", "/app/referrers/"+of(sbom), "")
	s.want(400, "DIGEST_INVALID", "GET", "/app/referrers/v1", "")
	s.want(202, "", "DELETE", "/app/manifests/"+of(sbom), "")
	if got := s.do("GET", listing, "").Body.String(); strings.Contains(got, of(sbom)) || !strings.Contains(got, both[1]) {
		t.Errorf("after a deletion: %s", got)
	}

	without := open(t, t.TempDir(), registry.Config{WithoutReferrers: true})
	if got := without.want(201, "", "PUT", "/app/manifests/"+of(old), old, "Content-Type", manifestType).Header(); got["Oci-Subject"] != nil {
		t.Errorf("without the API: %v", got)
	}
	without.want(404, "", "GET", listing, "")
}

// TestConditions holds a tag to what its writer believes that it is.
func TestConditions(t *testing.T) {
	one, two, three := `{"n":1}`, `{"n":2}`, `{"n":3}`
	for _, test := range []struct {
		header, value string
		status        int
	}{
		{"If-None-Match", "*", 412},
		{"If-Match", `"` + of(one) + `"`, 412},
		{"If-Match", `"` + of(two) + `"`, 201},
		{"If-Match", "nonsense", 412},
	} {
		for _, ignored := range []bool{false, true} {
			s := open(t, t.TempDir(), registry.Config{WithoutConditions: ignored})
			s.want(201, "", "PUT", "/app/manifests/v1", one, "If-None-Match", "*")
			s.want(201, "", "PUT", "/app/manifests/v1", two, "If-Match", `"`+of(one)+`"`)
			if got := s.do("GET", "/app/manifests/v1", "").Header().Get("ETag"); got != `"`+of(two)+`"` {
				t.Errorf("ETag %s", got)
			}
			status, want := test.status, two
			if ignored {
				status = 201
			}
			if status == 201 {
				want = three
			}
			s.want(status, "", "PUT", "/app/manifests/v1", three, test.header, test.value)
			s.want(200, want, "GET", "/app/manifests/v1", "")
		}
	}
	s := open(t, t.TempDir(), registry.Config{})
	s.want(412, "DENIED", "PUT", "/app/manifests/v1", one, "If-Match", `"`+of(one)+`"`)
	s.want(404, "", "GET", "/app/manifests/v1", "")
}

// TestConditionsHoldForOne has many writers with the same belief: one is
// right.
func TestConditionsHoldForOne(t *testing.T) {
	s := open(t, t.TempDir(), registry.Config{})
	var group sync.WaitGroup
	var created, refused atomic.Int32
	for i := range 16 {
		group.Go(func() {
			request := httptest.NewRequest("PUT", "/v2/app/manifests/v1", strings.NewReader(fmt.Sprintf(`{"n":%d}`, i)))
			request.Header.Set("If-None-Match", "*")
			recorder := httptest.NewRecorder()
			s.r.ServeHTTP(recorder, request)
			switch recorder.Code {
			case http.StatusCreated:
				created.Add(1)
			case http.StatusPreconditionFailed:
				refused.Add(1)
			}
		})
	}
	group.Wait()
	if created.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d created, %d refused", created.Load(), refused.Load())
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Open(file, registry.Config{}); err == nil || !strings.Contains(err.Error(), "embedded registry") {
		t.Errorf("error %v", err)
	}
}
