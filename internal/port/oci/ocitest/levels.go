package ocitest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Levels is a door to the server at which requests wait for each other: none
// of a level is answered until all of it are there. A client that needs more
// steps than there are levels, or other requests, gets 418.
// The result is the door's host, and what tells whether every level was
// passed.
func (s *Server) Levels(t testing.TB, levels ...int) (host string, passed func() error) {
	t.Helper()
	door := &door{inner: s, levels: levels, open: make(chan struct{})}
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), func() error {
		door.mutex.Lock()
		defer door.mutex.Unlock()
		if door.late != nil || door.at != len(levels) {
			return fmt.Errorf("passed %d of the levels %v, and then %q came", door.at, levels, door.late)
		}
		return nil
	}
}

type door struct {
	inner  http.Handler
	levels []int

	mutex       sync.Mutex
	at, waiting int
	open        chan struct{}
	late        []string
}

// patience is how long a request waits for the others of its level.
const patience = 20 * time.Second

func (d *door) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	d.mutex.Lock()
	open := d.open
	if d.at == len(d.levels) {
		d.late = append(d.late, request.Method+" "+request.URL.Path)
		d.mutex.Unlock()
		w.WriteHeader(http.StatusTeapot)
		return
	}
	if d.waiting++; d.waiting == d.levels[d.at] {
		d.at, d.waiting, d.open = d.at+1, 0, make(chan struct{})
		close(open)
	}
	d.mutex.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-open:
		d.inner.ServeHTTP(w, request)
	case <-request.Context().Done():
	case <-timer.C:
		w.WriteHeader(http.StatusTeapot)
	}
}
