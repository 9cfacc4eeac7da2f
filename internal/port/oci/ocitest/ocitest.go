// Package ocitest is a real registry for tests, with the faults that registries
// have.
//
// Entry point is [New]: the embedded registry on a loopback port, every request
// logged, and a [Fault] for requests that match. Only tests import it.
package ocitest

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// Fault changes the answer to some requests.
type Fault struct {
	// Match picks requests: its text is looked for in "METHOD /path". Skip
	// lets that many matching requests through first; Times bounds how often
	// it strikes, 0 is always.
	Match string
	Skip  int
	Times int
	// Status answers with an error instead, of the code Code ("INJECTED").
	Status int
	Code   string
	// Rewrite changes the body of a good answer.
	Rewrite func(body []byte) []byte
	// Truncate sends half of the body under the full Content-Length.
	Truncate bool
	// Hang waits until the client gives up.
	Hang bool
	// Header is set on the answer.
	Header map[string]string
}

// Server is a registry for one test.
type Server struct {
	// Host is "127.0.0.1:port"; Registry is what serves it.
	Host     string
	Registry *registry.Registry

	mutex  sync.Mutex
	log    []string
	faults []*Fault
}

// New starts a registry that ends with the test.
func New(t testing.TB, config registry.Config) *Server {
	t.Helper()
	r, err := registry.Open(t.TempDir(), config)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Registry: r}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.Host = strings.TrimPrefix(server.URL, "http://")
	return s
}

// Break adds a fault.
func (s *Server) Break(fault Fault) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.faults = append(s.faults, &fault)
}

// Mend removes all faults.
func (s *Server) Mend() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.faults = nil
}

// Requests gives the requests since the last call, as "METHOD /path".
func (s *Server) Requests() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	log := s.log
	s.log = nil
	return log
}

func (s *Server) fault(line string) *Fault {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.log = append(s.log, line)
	for i, f := range s.faults {
		if !strings.Contains(line, f.Match) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		struck := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		return &struck
	}
	return nil
}

// ServeHTTP answers as the registry would, or as a fault has it.
func (s *Server) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	fault := s.fault(request.Method + " " + request.URL.Path)
	if fault == nil {
		s.Registry.ServeHTTP(w, request)
		return
	}
	if fault.Hang {
		<-request.Context().Done()
		return
	}
	for key, value := range fault.Header {
		w.Header().Set(key, value)
	}
	if fault.Status != 0 {
		w.WriteHeader(fault.Status)
		fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"status %d"}]}`, cmp.Or(fault.Code, "INJECTED"), fault.Status)
		return
	}
	recorder := httptest.NewRecorder()
	s.Registry.ServeHTTP(recorder, request)
	body := recorder.Body.Bytes()
	if fault.Rewrite != nil {
		body = fault.Rewrite(bytes.Clone(body))
	}
	for key, values := range recorder.Header() {
		if key != "Content-Length" && (key != "Docker-Content-Digest" || fault.Rewrite == nil) && w.Header().Get(key) == "" {
			w.Header()[key] = values
		}
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(recorder.Code)
	if fault.Truncate {
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body)
}

// Layout writes an image with one random layer into an OCI layout on disk, or
// with more than one platform an index, and returns the directory.
func Layout(t testing.TB, platforms ...string) string {
	t.Helper()
	dir := t.TempDir()
	out, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	one := func() v1.Image {
		image, err := random.Image(256, 1)
		if err != nil {
			t.Fatal(err)
		}
		return image
	}
	if len(platforms) < 2 {
		if err := out.AppendImage(one()); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	var images []mutate.IndexAddendum
	for _, name := range platforms {
		platform, err := v1.ParsePlatform(name)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, mutate.IndexAddendum{Add: one(), Descriptor: v1.Descriptor{Platform: platform}})
	}
	if err := out.AppendIndex(mutate.AppendManifests(empty.Index, images...)); err != nil {
		t.Fatal(err)
	}
	return dir
}
