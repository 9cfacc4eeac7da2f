package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

const (
	attempts  = 3
	redirects = 5
)

func client(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 30 * time.Second,
		}
	}
	return &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: sameHost}
}

// sameHost keeps secrets where they were sent: Go would take some headers
// along to subdomains, and a body anywhere.
func sameHost(request *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > redirects:
		return refusedError(fmt.Sprintf("more than %d redirects", redirects))
	case request.URL.Host != first.Host || request.URL.Scheme != first.Scheme:
		return refusedError(fmt.Sprintf("%s redirects to another host, %.200s; refused", first.Host, request.URL.Host))
	}
	return nil
}

// refusedError is what no other attempt changes.
type refusedError string

func (e refusedError) Error() string { return string(e) }

// secure refuses to send a secret in the clear over a network.
func secure(address string) (*url.URL, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" {
		return nil, errors.New("its address is no URL")
	}
	if parsed.Scheme != "https" && (parsed.Scheme != "http" || !local(parsed.Hostname())) {
		return nil, fmt.Errorf("its address %s://%s is not https", parsed.Scheme, parsed.Host)
	}
	return parsed, nil
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// answer sends one request and gives the body of a 200. secrets are left out
// of errors.
func (a *Ambient) answer(ctx context.Context, make func() (*http.Request, error), secrets ...string) ([]byte, http.Header, error) {
	for attempt := 1; ; attempt++ {
		request, err := make()
		if err != nil {
			return nil, nil, errors.New("its address is no URL")
		}
		body, header, again, err := once(a.http, request.WithContext(ctx), secrets)
		if err == nil {
			return body, header, nil
		}
		if !again || attempt == attempts || ctx.Err() != nil {
			return nil, nil, err
		}
		if err := a.config.Wait(ctx, time.Second<<(attempt-1)); err != nil {
			return nil, nil, err
		}
	}
}

// once says whether another attempt may help.
func once(client *http.Client, request *http.Request, secrets []string) (body []byte, header http.Header, again bool, err error) {
	response, err := client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) { // its text has the whole URL in it
			err = failed.Err
		}
		var refused refusedError
		return nil, nil, !errors.As(err, &refused), fmt.Errorf("asking %s: %w", request.URL.Host, err)
	}
	defer response.Body.Close()
	body, err = limit.ReadAll(response.Body, "answer of "+request.URL.Host, limit.Answer)
	var over *limit.Error
	switch {
	case errors.As(err, &over):
		return nil, nil, false, err
	case err != nil:
		return nil, nil, true, err
	case response.StatusCode == http.StatusOK:
		return body, response.Header, false, nil
	}
	again = response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests
	return nil, nil, again, fmt.Errorf("%s answered %s%s", request.URL.Host, response.Status, excerpt(body, secrets))
}

// excerpt shows the beginning of an answer in words that may stand in an
// error: one line, no secrets.
func excerpt(body []byte, secrets []string) string {
	text := strings.ToValidUTF8(string(body), "")
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	// What looks like a token is none of the reader's business.
	if text == "" || strings.Contains(text, "eyJ") {
		return ""
	}
	return ": " + text
}

// field reads one string out of a JSON answer.
func field(body []byte, name string) (string, error) {
	var members map[string]json.RawMessage
	var value string
	if json.Unmarshal(body, &members) != nil || json.Unmarshal(members[name], &value) != nil || value == "" {
		return "", fmt.Errorf("its answer has no %q in it", name)
	}
	return value, nil
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

// post makes a request with a JSON body.
func post(address string, body any, header string, value string) func() (*http.Request, error) {
	return func() (*http.Request, error) {
		content, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(content))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(header, value)
		return request, nil
	}
}
