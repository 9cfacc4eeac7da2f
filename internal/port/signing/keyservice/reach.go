package keyservice

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Reach is how a key service is reached. The zero value is what to use.
type Reach struct {
	// Transport carries the requests; nil is TLS by the system's authorities,
	// through the proxies of the environment.
	Transport http.RoundTripper
	// Backoff bounds the pause before a request is tried again; zero is five
	// seconds.
	Backoff time.Duration
}

const (
	// Attempts is how often a request is sent at most: a service that throttles
	// or fails is asked again.
	Attempts = 4
	// FirstPause is the pause before the second attempt; each next one is twice
	// as long.
	FirstPause = 200 * time.Millisecond
	// Never, for how long to wait, says that another attempt is of no use.
	Never = time.Duration(-1)
	// timeout bounds one attempt.
	timeout = 30 * time.Second
	// backoff is Reach.Backoff where it is not set.
	backoff = 5 * time.Second
)

// Pause is the longest pause between two attempts.
func (r Reach) Pause() time.Duration {
	if r.Backoff > 0 {
		return r.Backoff
	}
	return backoff
}

// Retry calls once until there is no error, it says Never, or there were
// Attempts; once says how long to wait at least. A done context is an error.
func (r Reach) Retry(ctx context.Context, once func() (wait time.Duration, err error)) error {
	pause := FirstPause
	for attempt := 1; ; attempt++ {
		wait, err := once()
		if err == nil || wait < 0 || attempt == Attempts {
			return err
		}
		timer := time.NewTimer(min(max(pause, wait), r.Pause()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		pause *= 2
	}
}

// Client is an HTTP client for a service: a request takes at most 30 seconds,
// an answer is bounded, and a redirect is an error, because the request has
// credentials in it. base is used where Transport is not set; nil is Go's own.
func (r Reach) Client(base http.RoundTripper) *http.Client {
	transport := r.Transport
	if transport == nil {
		transport = base
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &http.Client{Transport: guarded{transport}, Timeout: timeout}
}

// RedirectError says that a service sent a request elsewhere.
type RedirectError struct{ Host string }

// Error names where to.
func (e *RedirectError) Error() string {
	return fmt.Sprintf("the service redirects to %q, and a request with credentials in it is not sent elsewhere; correct the endpoint", Said(e.Host))
}

// NonRetriable tells Azure's client that trying again is of no use.
func (e *RedirectError) NonRetriable() {}

// guarded bounds what an answer may hold, and refuses redirects before any
// client sees them.
type guarded struct{ next http.RoundTripper }

// RoundTrip sends the request on.
func (g guarded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := g.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		response.Body.Close()
		elsewhere := &RedirectError{}
		if to, err := response.Location(); err == nil {
			elsewhere.Host = to.Host
		}
		return nil, elsewhere
	}
	response.Body = body{limit.Reader(response.Body, "the service's answer", limit.ServiceAnswer), response.Body}
	return response, nil
}

// body reads through one thing and closes another.
type body struct {
	io.Reader
	io.Closer
}
