package oci

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// embedded serves some hosts by a handler in this process.
type embedded struct {
	inner http.RoundTripper
	hosts map[string]http.Handler
}

// RoundTrip asks the handler of the host where there is one. The body of its
// answer is streamed.
func (e *embedded) RoundTrip(request *http.Request) (*http.Response, error) {
	handler, ok := e.hosts[request.URL.Host]
	if !ok {
		return e.inner.RoundTrip(request)
	}
	served := request.Clone(request.Context())
	served.RequestURI, served.Host = request.URL.RequestURI(), request.URL.Host
	if served.Body == nil {
		served.Body = http.NoBody
	}
	reader, writer := io.Pipe()
	w := &streamed{header: http.Header{}, body: writer, began: make(chan struct{})}
	go func() {
		defer func() {
			if r := recover(); r != nil {
				writer.CloseWithError(fmt.Errorf("the embedded registry failed: %v", r))
			}
			w.WriteHeader(http.StatusOK)
			writer.Close()
			if request.Body != nil {
				request.Body.Close()
			}
		}()
		handler.ServeHTTP(w, served)
	}()
	select {
	case <-w.began:
	case <-request.Context().Done():
		reader.CloseWithError(request.Context().Err())
		return nil, request.Context().Err()
	}
	length := int64(-1)
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: reader, ContentLength: length, Request: request}, nil
}

// streamed is a response that is read while it is written.
type streamed struct {
	header, sent http.Header
	status       int
	body         *io.PipeWriter
	began        chan struct{}
	once         sync.Once
}

// Header is the header to be sent.
func (s *streamed) Header() http.Header { return s.header }

// WriteHeader lets the client go on with the header as it is now.
func (s *streamed) WriteHeader(status int) {
	s.once.Do(func() {
		s.status, s.sent = status, s.header.Clone()
		close(s.began)
	})
}

// Write passes the body on.
func (s *streamed) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return s.body.Write(p)
}
