package sigstore

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/seed-161fc314/assay/internal/interop/server"
)

// serve answers on a free port of 127.0.0.1, whose URL the handler may know,
// until close.
func serve(handler func(url string) http.Handler) (close func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	web := &http.Server{Handler: handler("http://" + listener.Addr().String()), ReadHeaderTimeout: time.Minute}
	go func() { _ = web.Serve(listener) }() // it ends when it is closed
	return func() { _ = web.Close() }, nil
}

// Service is a server as clients see it: URL leads through a proxy in this
// process that counts what is posted.
type Service struct {
	URL string

	posts, inFlight, peak atomic.Int64
}

// Authority is a Fulcio.
type Authority struct {
	*Service
	chain [][]byte // DER, up to the root
}

// Posts is how many POST requests have arrived: certificates asked for, entries
// offered, timestamps requested. Reading and looking up does not count.
func (s *Service) Posts() int { return int(s.posts.Load()) }

// Peak is how many POST requests were under way at once, at most.
func (s *Service) Peak() int { return int(s.peak.Load()) }

// Forget sets the counters to nothing. No request may be under way.
func (s *Service) Forget() {
	s.posts.Store(0)
	s.peak.Store(0)
}

// front puts a counting proxy before a server; path is what its URL ends with.
func (s *Stack) front(behind *server.Process, path string) (*Service, error) {
	target, err := url.Parse(behind.URL)
	if err != nil {
		return nil, err
	}
	service := &Service{}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: behind.Transport,
	}
	count := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			service.posts.Add(1)
			now := service.inFlight.Add(1)
			defer service.inFlight.Add(-1)
			for seen := service.peak.Load(); now > seen && !service.peak.CompareAndSwap(seen, now); {
				seen = service.peak.Load()
			}
		}
		proxy.ServeHTTP(w, r)
	})
	closer, err := serve(func(url string) http.Handler {
		service.URL = url + path
		return count
	})
	if err != nil {
		return nil, err
	}
	s.lock.Lock()
	s.closers = append(s.closers, closer)
	s.lock.Unlock()
	return service, nil
}
