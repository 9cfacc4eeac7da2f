package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// host is what was learnt of a registry. Nothing of it outlives the process.
type host struct {
	mutex sync.Mutex
	// scheme is "https" or "http", "" until one answered.
	scheme string
	// plainUploads says that it does not take a blob with the first request;
	// withoutAPI, that it answered 404 for the referrers API.
	plainUploads, wholeUploads, withoutAPI bool
	// conditions says what it makes of If-Match, created of If-None-Match.
	conditions, created conditions
}

// conditions is what a registry makes of a conditional write.
type conditions uint8

const (
	unknown conditions = iota
	honoured
	ignored
	// misread: refused for another reason than that it does not hold.
	misread
)

// know reads or changes what is known of a registry.
func (c *Client) know(repo name.Repository, f func(*host)) {
	h := c.host(repo.RegistryStr())
	h.mutex.Lock()
	defer h.mutex.Unlock()
	f(h)
}

func (c *Client) host(registry string) *host {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.hosts[registry] == nil {
		c.hosts[registry] = &host{}
	}
	return c.hosts[registry]
}

// visit is what a repository asked of its visitor.
type visit struct {
	mutex sync.Mutex
	// challenge is with what it asked for credentials, nil until it did, over
	// scheme.
	challenge http.Header
	scheme    string
	// authed are the ways in, by scope.
	authed map[string]http.RoundTripper
	// looked says that the keychain was asked, has what it said.
	looked, has bool
}

func (c *Client) visit(repo name.Repository) *visit {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.visits[repo.Name()] == nil {
		c.visits[repo.Name()] = &visit{authed: map[string]http.RoundTripper{}}
	}
	return c.visits[repo.Name()]
}

// entrance is the way in that is known for a scope; fresh says that no
// credentials were asked for until now. Who may push may pull.
func (c *Client) entrance(ctx context.Context, repo name.Repository, scope string, v *visit) (round http.RoundTripper, fresh bool, err error) {
	v.mutex.Lock()
	round, challenge, scheme := v.authed[scope], v.challenge, v.scheme
	if round == nil && scope == transport.PullScope {
		round = v.authed[transport.PushScope]
	}
	v.mutex.Unlock()
	switch {
	case round != nil:
		return round, false, nil
	case challenge != nil:
		round, err = c.login(ctx, repo, scope, v, scheme, challenge)
		return round, false, err
	}
	return c.plain(repo), true, nil
}

// plain is the way in without credentials.
func (c *Client) plain(repo name.Repository) http.RoundTripper {
	return transport.NewUserAgent(c.guarded(repo, &schemer{client: c, repo: repo}), c.config.UserAgent)
}

func (c *Client) credentials(ctx context.Context, repo name.Repository) (authn.Authenticator, error) {
	auth, err := authn.Resolve(ctx, c.config.Keychain, repo)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", repo.RegistryStr(), err)
	}
	return auth, nil
}

// hasCredentials asks the keychain once.
func (c *Client) hasCredentials(ctx context.Context, repo name.Repository, v *visit) (bool, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.looked {
		return v.has, nil
	}
	auth, err := c.credentials(ctx, repo)
	if err != nil {
		return false, err
	}
	v.looked, v.has = true, auth != authn.Anonymous
	return v.has, nil
}

// login shows credentials, where there are any, as a challenge has it; without
// a challenge the registry is asked for one. It happens once for each
// repository and scope, however many wait for it.
func (c *Client) login(ctx context.Context, repo name.Repository, scope string, v *visit, scheme string, challenge http.Header) (http.RoundTripper, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.authed[scope] != nil {
		return v.authed[scope], nil
	}
	auth, err := c.credentials(ctx, repo)
	if err != nil {
		return nil, err
	}
	way := c.plain(repo)
	if challenge != nil {
		way = &asked{registry: repo.RegistryStr(), scheme: scheme, challenge: challenge, inner: way}
	}
	round, err := transport.NewWithContext(ctx, repo.Registry, auth, transport.NewUserAgent(way, c.config.UserAgent), []string{repo.Scope(scope)})
	if err != nil {
		return nil, fmt.Errorf("logging in to %s: %w", repo.RegistryStr(), err)
	}
	v.authed[scope] = round
	if challenge != nil {
		v.challenge, v.scheme = challenge, scheme
	}
	return round, nil
}

// asked answers the question for a challenge with the one that is known, so
// that it is not put to the registry.
type asked struct {
	registry, scheme string
	challenge        http.Header
	inner            http.RoundTripper
}

// RoundTrip passes on what is no such question.
func (a *asked) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet || request.URL.Host != a.registry || request.URL.Path != "/v2/" || request.URL.RawQuery != "" || request.Header.Get("Authorization") != "" {
		return a.inner.RoundTrip(request)
	}
	answered := request.Clone(request.Context())
	answered.URL.Scheme = a.scheme
	return &http.Response{Status: "401 Unauthorized", StatusCode: http.StatusUnauthorized, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.challenge.Clone(), Body: http.NoBody, Request: answered}, nil
}

// schemer finds out whether a registry on a private address or a local name
// speaks HTTPS or HTTP, by the first request to it. Every other registry
// speaks HTTPS.
type schemer struct {
	client *Client
	repo   name.Repository
}

// headStart is HTTPS's over HTTP, as go-containerregistry has it.
const headStart = 300 * time.Millisecond

// RoundTrip sends a request as the registry was found to want it.
func (s *schemer) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host != s.repo.RegistryStr() || s.repo.Scheme() == "https" {
		return s.client.transport.RoundTrip(request)
	}
	scheme := ""
	s.client.know(s.repo, func(h *host) { scheme = h.scheme })
	if scheme != "" {
		return s.by(request.Context(), request, scheme)
	}
	response, scheme, err := s.first(request)
	if err == nil {
		s.client.know(s.repo, func(h *host) { h.scheme = scheme })
	}
	return response, err
}

// by sends a request over a scheme, with a body of its own.
func (s *schemer) by(ctx context.Context, request *http.Request, scheme string) (*http.Response, error) {
	sent := request.Clone(ctx)
	sent.URL.Scheme = scheme
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		sent.Body = body
	}
	return s.client.transport.RoundTrip(sent)
}

// first tries HTTPS, and HTTP when that fails. A request that only reads does
// not wait long for the failure: some servers of HTTP are silent when they are
// spoken to in HTTPS.
func (s *schemer) first(request *http.Request) (*http.Response, string, error) {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		response, secure := s.by(request.Context(), request, "https")
		if secure == nil {
			return response, "https", nil
		}
		response, err := s.by(request.Context(), request, "http")
		if err != nil {
			return nil, "", errors.Join(secure, err)
		}
		return response, "http", nil
	}
	outcomes := make(chan outcome, 2)
	cancels := map[string]context.CancelFunc{}
	start := func(scheme string) {
		ctx, cancel := context.WithCancel(request.Context())
		cancels[scheme] = cancel
		go func() { outcomes <- s.try(ctx, request, scheme) }()
	}
	start("https")
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	var failures []error
	for {
		select {
		case <-timer.C:
		case o := <-outcomes:
			if o.err == nil {
				if len(cancels)-len(failures) > 1 {
					go o.dismiss(cancels, outcomes)
				}
				o.response.Body = &cancelling{ReadCloser: o.response.Body, cancel: cancels[o.scheme]}
				return o.response, o.scheme, nil
			}
			cancels[o.scheme]()
			if failures = append(failures, o.err); len(failures) == 2 {
				return nil, "", errors.Join(failures...)
			}
		}
		if cancels["http"] == nil {
			start("http")
		}
	}
}

// outcome is what came of a first request over a scheme.
type outcome struct {
	response *http.Response
	err      error
	scheme   string
}

func (s *schemer) try(ctx context.Context, request *http.Request, scheme string) outcome {
	response, err := s.by(ctx, request, scheme)
	if err == nil && scheme == "http" && response.StatusCode == http.StatusBadRequest {
		drain(response) // what a server of HTTPS says to HTTP
		err = fmt.Errorf("%s answered %s over HTTP", request.URL.Host, response.Status)
	}
	return outcome{response, err, scheme}
}

// dismiss ends the other request.
func (o outcome) dismiss(cancels map[string]context.CancelFunc, outcomes <-chan outcome) {
	for scheme, cancel := range cancels {
		if scheme != o.scheme {
			cancel()
		}
	}
	if other := <-outcomes; other.err == nil {
		other.response.Body.Close()
	}
}

// cancelling ends a request's context with its body.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body.
func (c *cancelling) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

// guarded is a way to what a repository's registry is asked.
func (c *Client) guarded(repo name.Repository, inner http.RoundTripper) http.RoundTripper {
	return &guard{registry: repo.RegistryStr(), scheme: repo.Scheme(), inner: inner}
}
