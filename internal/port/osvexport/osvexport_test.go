package osvexport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/osvexport"
)

const content = "the whole export"

func googHash(content string) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte(content), crc32.MakeTable(crc32.Castagnoli)))
	return "crc32c=" + base64.StdEncoding.EncodeToString(sum)
}

// bucket is a server with one handler; asked counts its requests, and waited
// is what the client wanted to wait.
type bucket struct {
	*osvexport.Client
	url    string
	asked  atomic.Int32
	waited []time.Duration
}

func serve(t *testing.T, handler http.HandlerFunc) *bucket {
	t.Helper()
	b := &bucket{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL
	var err error
	b.Client, err = osvexport.New(osvexport.Config{Base: server.URL + "/mirror/", UserAgent: "assay/test", Stall: 200 * time.Millisecond,
		Wait: func(ctx context.Context, d time.Duration) error {
			b.waited = append(b.waited, d)
			return ctx.Err()
		}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// export is what Export writes.
func export(t *testing.T, c *osvexport.Client, tag string) (string, osvexport.Answer, error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "all.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	answer, err := c.Export(t.Context(), "PyPI", tag, file)
	got, readErr := os.ReadFile(file.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(got), answer, err
}

func TestExport(t *testing.T) {
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/mirror/PyPI/all.zip" || r.Header.Get("User-Agent") != "assay/test" || r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("asked for %s with %v", r.URL, r.Header)
		}
		w.Header().Set("ETag", `"v2"`)
		w.Header().Set("Last-Modified", "Tue, 26 Aug 2025 01:02:03 GMT")
		if r.Header.Get("If-None-Match") == `"v2"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header()["X-Goog-Hash"] = []string{googHash(content), "md5=xyz"}
		io.WriteString(w, content)
	})
	want := osvexport.Answer{Tag: `"v2"`, Modified: time.Date(2025, 8, 26, 1, 2, 3, 0, time.UTC)}
	for _, tag := range []string{"", `"v1"`} {
		if got, answer, err := export(t, b.Client, tag); err != nil || got != content || answer != want {
			t.Errorf("%q, %+v, %v", got, answer, err)
		}
	}
	want.Unchanged = true
	if got, answer, err := export(t, b.Client, `"v2"`); err != nil || got != "" || answer != want {
		t.Errorf("%q, %+v, %v", got, answer, err)
	}
}

// TestStumbles: a fault that passes is tried again from the beginning.
func TestStumbles(t *testing.T) {
	for name, fault := range map[string]http.HandlerFunc{
		"429": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a wrong checksum": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Goog-Hash", googHash("x"))
			io.WriteString(w, content)
		},
		"no checksum in it": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Goog-Hash", "crc32c=!")
			io.WriteString(w, content)
		},
		"truncated": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "the whole export and more")
		},
		"cut while chunked": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"silence":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"half of it": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		var times atomic.Int32
		b := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if times.Add(1) <= 2 {
				fault(w, r)
				return
			}
			io.WriteString(w, content)
		})
		if got, _, err := export(t, b.Client, ""); err != nil || got != content || fmt.Sprint(b.waited) != "[1s 2s]" {
			t.Errorf("%s: %q after %v, %v", name, got, b.waited, err)
		}
		b = serve(t, fault)
		if _, _, err := export(t, b.Client, ""); err == nil || b.asked.Load() < 5 || !strings.Contains(err.Error(), "all.zip") || !strings.Contains(err.Error(), "after 5 attempts") || fmt.Sprint(b.waited) != "[1s 2s 4s 8s]" {
			t.Errorf("%s for ever: asked %d times, waited %v, %v", name, b.asked.Load(), b.waited, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "3600": time.Minute, "-1": time.Second, "soon": time.Second, "99999999999999999999": time.Second} {
		b := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		if _, _, err := export(t, b.Client, ""); err == nil || len(b.waited) != 4 || b.waited[0] != want {
			t.Errorf("Retry-After %s: waited %v, %v", header, b.waited, err)
		}
	}
}

// TestRefuses: what does not pass is said at once.
func TestRefuses(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, content) }))
	defer other.Close()
	var bomb bytes.Buffer
	packed := gzip.NewWriter(&bomb)
	if _, err := packed.Write(make([]byte, 10<<20)); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	for words, handler := range map[string]http.HandlerFunc{
		"403":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"206":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent) },
		"304":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, // nobody asked whether
		"leads to":        func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"leads on and on": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"larger than the bound": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(limit.Export+1))
		},
		`sent it as "gzip"`: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		},
	} {
		b := serve(t, handler)
		got, _, err := export(t, b.Client, "")
		if err == nil || !strings.Contains(err.Error(), words) || got != "" || len(b.waited) > 0 {
			t.Errorf("want %q: %q after %v, %v", words, got, b.waited, err)
		}
	}
	b := serve(t, http.NotFound)
	var missing *osvexport.NotFoundError
	if _, _, err := export(t, b.Client, ""); !errors.As(err, &missing) || b.asked.Load() != 1 {
		t.Errorf("not there: %v", err)
	}
	// On the same host a redirect is followed.
	b = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/there" {
			http.Redirect(w, r, "/there", http.StatusFound)
			return
		}
		io.WriteString(w, content)
	})
	if got, _, err := export(t, b.Client, ""); err != nil || got != content {
		t.Errorf("redirected: %q, %v", got, err)
	}
	// A record or a feed has a bound of its own, also where no length is said.
	b = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range limit.Feed>>20 + 1 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	var over *limit.Error
	if _, err := b.Record(t.Context(), "PyPI", "A-1"); !errors.As(err, &over) || over.Bound != limit.Advisory {
		t.Errorf("a record without end: %v", err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := b.Feed(t.Context(), b.url+"/kev.json", "", file); !errors.As(err, &over) || over.Bound != limit.Feed {
		t.Errorf("a feed without end: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, _, err := b.Changes(ctx, "PyPI", ""); !errors.Is(err, context.Canceled) || len(b.waited) > 0 {
		t.Errorf("%v after %v", err, b.waited)
	}
}

func TestChangesAndRecords(t *testing.T) {
	files := map[string]string{
		"PyPI/modified_id.csv":        "2025-01-05T00:00:00Z,A-1\n",
		"PyPI/A-1.json":               `{"id":"A-1","modified":"2025-01-05T00:00:00Z"}`,
		"PyPI/A-2.json":               `{"id":"A-1"}`,
		"PyPI/A-3.json":               `{"id":`,
		"Rocky Linux/modified_id.csv": "<html>",
	}
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	web := serve(t, http.StripPrefix("/mirror/", http.FileServer(http.Dir(dir))).ServeHTTP)
	clients := map[string]*osvexport.Client{"http": web.Client}
	for name, base := range map[string]string{"directory": dir, "file": (&url.URL{Scheme: "file", Path: dir}).String()} {
		c, err := osvexport.New(osvexport.Config{Base: base})
		if err != nil {
			t.Fatal(err)
		}
		clients[name] = c
	}
	for name, c := range clients {
		changes, answer, err := c.Changes(t.Context(), "PyPI", "")
		if err != nil || len(changes.List) != 1 || (name == "http") == answer.Modified.IsZero() {
			t.Errorf("%s: %+v, %+v, %v", name, changes, answer, err)
		}
		if record, err := c.Record(t.Context(), "PyPI", "A-1"); err != nil || record.ID != "A-1" {
			t.Errorf("%s: %+v, %v", name, record, err)
		}
		var broken *osvexport.BrokenError
		if _, err := c.Record(t.Context(), "PyPI", "A-2"); err == nil || errors.As(err, &broken) || !strings.Contains(err.Error(), "it is A-1") {
			t.Errorf("%s: another record: %v", name, err)
		}
		if _, err := c.Record(t.Context(), "PyPI", "A-3"); !errors.As(err, &broken) {
			t.Errorf("%s: a broken record: %v", name, err)
		}
		var missing *osvexport.NotFoundError
		if _, err := c.Record(t.Context(), "PyPI", "A-4"); !errors.As(err, &missing) || !strings.Contains(err.Error(), "A-4.json") {
			t.Errorf("%s: a missing record: %v", name, err)
		}
		if _, _, err := c.Changes(t.Context(), "Rocky Linux", ""); err == nil || !strings.Contains(err.Error(), "modified_id.csv:1: ") {
			t.Errorf("%s: a page for a list: %v", name, err)
		}
		for _, ecosystem := range []string{"..", "", "a/b", "../PyPI", `a\b`, "a\x00", "."} {
			if _, _, err := c.Changes(t.Context(), ecosystem, ""); err == nil || !strings.Contains(err.Error(), "is no name") {
				t.Errorf("%s: ecosystem %q: %v", name, ecosystem, err)
			}
		}
	}
	for _, base := range []string{"ftp://x/y", "http://", "file://host/x", "https://%zz"} {
		if c, err := osvexport.New(osvexport.Config{Base: base}); err == nil {
			t.Errorf("base %s: %v", base, c)
		}
	}
}

// TestProgress: somebody is told what came.
func TestProgress(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, content) }))
	defer server.Close()
	var done, total int64
	c, err := osvexport.New(osvexport.Config{Base: server.URL, Progress: func(_ string, d, of int64) { done, total = d, of }})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := export(t, c, ""); err != nil || done != int64(len(content)) || total != done {
		t.Errorf("%d of %d, %v", done, total, err)
	}
}

// What a source's URL holds of secrets is kept nowhere and said nowhere.
func TestPublic(t *testing.T) {
	for location, want := range map[string]string{
		"https://example.com/osv":                 "https://example.com/osv",
		"https://bob:secret@example.com/osv":      "https://****@example.com/osv",
		"https://secret@example.com/osv":          "https://****@example.com/osv",
		"https://example.com/osv?sig=secret":      "https://example.com/osv?****",
		"https://example.com/osv#secret":          "https://example.com/osv",
		"http://bob:sec%ret@example.com/":         "http://****",
		"file:///srv/osv":                         "file:///srv/osv",
		"/srv/osv@1":                              "/srv/osv@1",
		"https://b:secret@example.com:8443/a%20b": "https://****@example.com:8443/a%20b",
	} {
		if got := osvexport.Public(location); got != want {
			t.Errorf("%s: %s, want %s", location, got, want)
		}
	}
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://u:secret@127.0.0.1:1/", http.StatusFound)
	})
	for _, base := range []string{"ftp://bob:secret@example.com", "https://bob:sec%ret@example.com/", strings.Replace(b.url, "://", "://bob:secret@", 1) + "?secret=1", "http://bob:secret@127.0.0.1:1/?sig=secret"} {
		c, err := osvexport.New(osvexport.Config{Base: base, Wait: func(context.Context, time.Duration) error { return nil }})
		if err == nil {
			if strings.Contains(c.Base(), "secret") {
				t.Errorf("%s: called %s", base, c.Base())
			}
			_, _, err = export(t, c, "")
		}
		if err == nil || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: %v", base, err)
		}
	}
}
