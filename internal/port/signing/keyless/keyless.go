// Package keyless signs without a key that anybody keeps: it makes one for the
// run, has a certificate authority (Fulcio) vouch for who runs it, and
// transparency logs (Rekor v1 and v2) and timestamp authorities (RFC 3161)
// for when.
//
// Entry points are [Certify], which gives a signing.Certified, and
// [NewNotary], which gives a signing.Notary for any signer's signatures.
//
// What comes back is held against what was asked: a certificate for another
// key, an entry about another signature and a timestamp over other data are
// errors. Whether the authorities themselves are to be believed is
// engine/trust's to say, with a trusted root. Nothing is contacted but the
// URLs in a Config, no redirect to another host is followed, and an identity
// token goes to the certificate authority only, over https.
package keyless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

const (
	attempts  = 4
	redirects = 5
	// patience is how long one request may take: a log answers once it has
	// entered the signature, which takes some up to ten seconds.
	patience = time.Minute
)

// Outside is how services are reached. The zero value is good.
type Outside struct {
	// Transport carries requests; nil is one with timeouts.
	Transport http.RoundTripper
	// UserAgent names the program.
	UserAgent string
	// Wait waits between two attempts; nil is a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// caller sends requests.
type caller struct {
	http      *http.Client
	userAgent string
	wait      func(ctx context.Context, d time.Duration) error
}

func (o Outside) caller() caller {
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: parallel,
			IdleConnTimeout:     30 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second,
		}
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	return caller{http: &http.Client{Transport: o.Transport, Timeout: patience, CheckRedirect: sameHost}, userAgent: o.UserAgent, wait: o.Wait}
}

// refusedError is what no other attempt changes.
type refusedError string

func (e refusedError) Error() string { return string(e) }

func sameHost(request *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > redirects:
		return refusedError(fmt.Sprintf("more than %d redirects", redirects))
	case request.URL.Host != first.Host || request.URL.Scheme != first.Scheme:
		return refusedError(fmt.Sprintf("it redirects to another host, %.200s; refused", request.URL.Host))
	}
	return nil
}

// base checks a service's URL; secret says that a secret goes there.
func base(address string, secret bool) (*url.URL, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.User != nil {
		return nil, fmt.Errorf("%.200q is no URL of a service; want https://HOST/…", address)
	}
	if secret && parsed.Scheme == "http" && !local(parsed.Hostname()) {
		return nil, fmt.Errorf("%.200s is not https, and an identity token would be sent there", address)
	}
	return parsed, nil
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// call is one request that may be tried again.
type call struct {
	method, url, accept, contentType, authorization string
	body                                            []byte
}

// answer is what came back, of any status below 500 but 429.
type answer struct {
	status int
	text   string // the status in words, with the beginning of the body
	header http.Header
	body   []byte
}

// do sends a request until there is an answer, a few times.
func (c caller) do(ctx context.Context, what call) (answer, error) {
	for attempt := 1; ; attempt++ {
		got, again, err := c.once(ctx, what)
		if err == nil {
			return got, nil
		}
		if !again || attempt == attempts || ctx.Err() != nil {
			return answer{}, err
		}
		if err := c.wait(ctx, time.Second<<(attempt-1)); err != nil {
			return answer{}, err
		}
	}
}

func (c caller) once(ctx context.Context, what call) (got answer, again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, what.method, what.url, bytes.NewReader(what.body))
	if err != nil {
		return answer{}, false, err
	}
	for name, value := range map[string]string{
		"Accept": what.accept, "Content-Type": what.contentType, "Authorization": what.authorization, "User-Agent": c.userAgent,
	} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	response, err := c.http.Do(request)
	if err != nil {
		var refused refusedError
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return answer{}, !errors.As(err, &refused), fmt.Errorf("asking %s: %w", request.URL.Host, err)
	}
	defer response.Body.Close()
	body, err := limit.ReadAll(response.Body, "answer of "+request.URL.Host, limit.Answer)
	if err != nil {
		return answer{}, errors.Is(err, io.ErrUnexpectedEOF), err
	}
	_, token, _ := strings.Cut(what.authorization, " ")
	got = answer{status: response.StatusCode, text: response.Status + excerpt(body, token), header: response.Header, body: body}
	if got.status >= 500 || got.status == http.StatusTooManyRequests {
		return answer{}, true, fmt.Errorf("%s answered %s", request.URL.Host, got.text)
	}
	return got, false, nil
}

// excerpt shows the beginning of an answer in words that may stand in an
// error: one line, and no secret.
func excerpt(body []byte, secret string) string {
	text := strings.ToValidUTF8(string(body), "")
	if secret != "" {
		text = strings.ReplaceAll(text, secret, "…")
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	if text == "" || strings.Contains(text, "eyJ") { // what looks like a token
		return ""
	}
	return ": " + text
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
