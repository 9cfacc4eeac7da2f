package gcpkms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
)

const (
	// home is where the service is.
	home = "https://cloudkms.googleapis.com"
	// scope is what the token is asked for: this service and no other.
	scope = "https://www.googleapis.com/auth/cloudkms"
)

// client speaks to the service.
type client struct {
	reach    keyservice.Reach
	http     *http.Client
	endpoint string
	tokens   oauth2.TokenSource
}

func dial(ctx context.Context, config Config, text string) (target, *client, error) {
	target, err := parse(text)
	if err != nil {
		return target, nil, err
	}
	c := &client{reach: config.Reach, http: config.Reach.Client(nil)}
	if c.endpoint, err = endpoint(config.Endpoint); err != nil {
		return target, nil, fmt.Errorf("%s: %w", text, err)
	}
	// The tokens outlive this call, so the context that they keep must not end
	// with it; each call bounds its own wait.
	ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, c.http)
	credentials, err := google.FindDefaultCredentials(ctx, scope)
	if err != nil {
		return target, nil, fmt.Errorf("%s: no Google credentials: %s (gcloud auth application-default login, GOOGLE_APPLICATION_CREDENTIALS, or workload identity)", text, keyservice.Said(err.Error()))
	}
	c.tokens = credentials.TokenSource
	return target, c, nil
}

// endpoint checks where requests with a token in them are sent.
func endpoint(text string) (string, error) {
	if text == "" {
		return home, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("endpoint %q: want https://HOST", keyservice.Said(text))
	}
	loopback := u.Hostname() == "localhost"
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		loopback = ip.IsLoopback()
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return "", fmt.Errorf("endpoint %q: want https://, a token is not sent in the clear", keyservice.Said(text))
	}
	return strings.TrimSuffix(text, "/"), nil
}

// token gives a token; the library waits for the metadata server without
// looking at a context.
func (c *client) token(ctx context.Context) (*oauth2.Token, error) {
	type result struct {
		token *oauth2.Token
		err   error
	}
	done := make(chan result, 1)
	go func() {
		token, err := c.tokens.Token()
		done <- result{token, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		if r.err == nil {
			return r.token, nil
		}
		var refused *oauth2.RetrieveError
		if errors.As(r.err, &refused) && refused.Response != nil {
			// Its own text is the whole answer.
			return nil, fmt.Errorf("the token service refused the credentials: %s %s", refused.Response.Status, keyservice.Said(refused.ErrorCode))
		}
		// What follows a brace is an answer, which may echo the credentials.
		words, _, _ := strings.Cut(r.err.Error(), "{")
		return nil, fmt.Errorf("getting a token from Google: %s", keyservice.Said(words))
	}
}

// call sends one request, again where the service throttles or fails.
// permission is what it needs, for errors.
func (c *client) call(ctx context.Context, permission, method, path string, in, out any) error {
	var content []byte
	if in != nil {
		var err error
		if content, err = json.Marshal(in); err != nil {
			return err
		}
	}
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	return c.reach.Retry(ctx, func() (time.Duration, error) {
		return c.once(ctx, token, permission, method, path, content, out)
	})
}

// once sends a request, and says how long to wait before the next attempt.
func (c *client) once(ctx context.Context, token *oauth2.Token, permission, method, path string, content []byte, out any) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.endpoint+"/v1/"+path, bytes.NewReader(content))
	if err != nil {
		return keyservice.Never, err
	}
	token.SetAuthHeader(request)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	var redirect *keyservice.RedirectError
	switch {
	case ctx.Err() != nil:
		return keyservice.Never, ctx.Err()
	case errors.As(err, &redirect):
		return keyservice.Never, redirect
	case err != nil:
		return 0, errors.New(keyservice.Said(err.Error()))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return keyservice.Never, fmt.Errorf("reading the service's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return refusal(permission, response.StatusCode, body, time.Duration(max(seconds, 0))*time.Second)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return keyservice.Never, fmt.Errorf("the service's answer is no JSON of the kind that was asked for: %s", keyservice.Said(err.Error()))
	}
	return keyservice.Never, nil
}

// refusal says in words what the service refused.
func refusal(permission string, status int, body []byte, wait time.Duration) (time.Duration, error) {
	var answer struct {
		Error struct{ Message, Status string }
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error.Status == "" {
		answer.Error.Status = http.StatusText(status)
	}
	code := fmt.Sprintf("%d %s", status, keyservice.Said(answer.Error.Status))
	words := ""
	if answer.Error.Message != "" {
		words = ": " + keyservice.Said(answer.Error.Message)
	}
	switch {
	case status == http.StatusUnauthorized:
		return keyservice.Never, fmt.Errorf("the credentials are not accepted (%s)", code)
	case status == http.StatusForbidden:
		return keyservice.Never, fmt.Errorf("%s is not allowed (%s): a role with it, such as roles/cloudkms.signerVerifier or roles/cloudkms.viewer, grants it%s", permission, code, words)
	case status == http.StatusNotFound:
		return keyservice.Never, fmt.Errorf("there is no such key or version (%s): check its name, and the project%s", code, words)
	case status == http.StatusBadRequest && answer.Error.Status == "FAILED_PRECONDITION":
		return keyservice.Never, fmt.Errorf("the key version cannot be used in its state, such as disabled or scheduled for destruction (%s)%s", code, words)
	case status == http.StatusTooManyRequests:
		return wait, fmt.Errorf("the service still throttled after %d attempts (%s): try again later, or ask for a higher quota%s", keyservice.Attempts, code, words)
	case status >= 500:
		return wait, fmt.Errorf("the service failed (%s)%s", code, words)
	}
	return keyservice.Never, fmt.Errorf("the service refused (%s)%s", code, words)
}

// newestFirst names versions by their numbers, the highest first.
func newestFirst(key string, numbers map[int]bool) []string {
	sorted := slices.Sorted(maps.Keys(numbers))
	slices.Reverse(sorted)
	var names []string
	for _, number := range sorted {
		names = append(names, key+"/cryptoKeyVersions/"+strconv.Itoa(number))
	}
	return names
}
