package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// counted is a registry in this process, with the referrers API, that counts
// requests and answers each of them late by delay.
type counted struct {
	registry http.Handler
	delay    time.Duration
	requests atomic.Int64
}

// ServeHTTP waits, and lets the registry answer.
func (c *counted) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	c.requests.Add(1)
	if c.delay > 0 {
		timer := time.NewTimer(c.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-request.Context().Done():
			return
		}
	}
	c.registry.ServeHTTP(w, request)
}

// serve starts the counted registry in dir.
func (b *bench) serve(dir string) (stop func(), err error) {
	r, err := registry.Open(dir, registry.Config{})
	if err != nil {
		return nil, err
	}
	b.counted = &counted{registry: r}
	server := httptest.NewServer(b.counted)
	b.host = strings.TrimPrefix(server.URL, "http://")
	return func() {
		server.Close()
		b.counted = nil
	}, nil
}
