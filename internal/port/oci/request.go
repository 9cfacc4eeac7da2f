package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// notFound says that a registry answered 404.
type notFound struct{ what string }

// Error names what is not there.
func (e *notFound) Error() string { return e.what + " is not there (404)" }

// IsNotFound says whether a registry answered that something is not there.
func IsNotFound(err error) bool {
	var missing *notFound
	return errors.As(err, &missing)
}

// answer turns an unexpected status into an error with the registry's words.
func answer(response *http.Response, what string) error {
	if response.StatusCode == http.StatusNotFound {
		return &notFound{what: what}
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, 2<<10)) // for people; a broken body says nothing
	var said struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	detail, again := "", response.StatusCode >= http.StatusInternalServerError || stumbled(response, nil)
	if json.Unmarshal(body, &said) == nil && len(said.Errors) > 0 {
		detail = fmt.Sprintf(": %.100s: %.300s", oneLine(said.Errors[0].Code), oneLine(said.Errors[0].Message))
		// Every digest is computed from what is sent. Debian's docker-registry
		// says so of a blob that another writer is writing.
		again = again || said.Errors[0].Code == "DIGEST_INVALID"
	}
	err := fmt.Errorf("%s: the registry answered %s%s", what, response.Status, detail)
	switch {
	case again:
		return &stumble{err}
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return &refusal{err}
	}
	return err
}

// refusal is an answer to somebody else than who may have what was asked for.
type refusal struct{ error }

// IsRefused says whether a registry answered that the caller may not have what
// was asked for (401 or 403).
func IsRefused(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// oneLine is a text of a stranger's without line breaks: errors that are joined
// have a line each.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// stumble is an answer that says nothing about what was asked: the registry
// may do better in a moment.
type stumble struct{ error }

// Unwrap gives what the registry said.
func (s *stumble) Unwrap() error { return s.error }

// mayPass says whether an error may be gone in a moment.
func mayPass(err error) bool {
	var s *stumble
	return err != nil && (errors.As(err, &s) || stumbled(nil, err))
}

// IsUnavailable says whether an error means that a registry could not be asked,
// or could not answer for now: no connection, a timeout, an overload. A refusal
// is none, nor is an answer that is wrong or too long.
func IsUnavailable(err error) bool {
	var broken *net.OpError
	return err != nil && (mayPass(err) || errors.As(err, &broken) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded))
}

// do sends one request below /v2/<repository>/.
func (c *Client) do(ctx context.Context, repo name.Repository, scope, method, path string, header map[string]string, body []byte) (*http.Response, error) {
	url := fmt.Sprintf("%s://%s/v2/%s/%s", repo.Scheme(), repo.RegistryStr(), repo.RepositoryStr(), path)
	return c.send(ctx, repo, scope, method, url, header, body)
}

// tries is how often a request is sent to a registry that stumbles.
const tries = 3

// send sends one request to a repository's registry, with what it was found to
// ask for. When the registry stumbles, it is sent again a few times, unless it
// sets a tag or is the second half of an upload: then who asked must look first
// what became of it.
func (c *Client) send(ctx context.Context, repo name.Repository, scope, method, url string, header map[string]string, body []byte) (*http.Response, error) {
	once := method == http.MethodPut && !strings.Contains(url, "/manifests/sha256:")
	pause := 100 * time.Millisecond
	for try := 1; ; try++ {
		response, err := c.sendOnce(ctx, repo, scope, func() (*http.Request, error) {
			var reader io.Reader
			if body != nil {
				reader = bytes.NewReader(body)
			}
			request, err := http.NewRequestWithContext(ctx, method, url, reader)
			if err != nil {
				return nil, err
			}
			for key, value := range header {
				request.Header.Set(key, value)
			}
			return request, nil
		})
		if try == tries || once || !stumbled(response, err) || ctx.Err() != nil {
			return response, err
		}
		if response != nil {
			drain(response)
		}
		if err := sleep(ctx, pause+time.Duration(rand.Int64N(int64(pause)/4))); err != nil {
			return nil, err
		}
		pause *= 3
	}
}

// stumbled says whether the same request may well succeed in a moment.
func stumbled(response *http.Response, err error) bool {
	if err != nil {
		return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	}
	switch response.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// sendOnce sends a request without credentials first, and logs in where that
// is refused. Registries also say that something is not there, or forbidden,
// to who has not said who he is: with credentials at hand, that is believed
// only after they were shown. What another host answers, to which the registry
// led, is no reason to log in.
func (c *Client) sendOnce(ctx context.Context, repo name.Repository, scope string, build func() (*http.Request, error)) (*http.Response, error) {
	v := c.visit(repo)
	round, fresh, err := c.entrance(ctx, repo, scope, v)
	if err != nil {
		return nil, err
	}
	request, err := build()
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: round}).Do(request)
	if err != nil || !fresh || response.Request == nil || !strings.EqualFold(response.Request.URL.Host, repo.RegistryStr()) {
		return response, err
	}
	var challenge http.Header
	switch response.StatusCode {
	case http.StatusUnauthorized:
		challenge = response.Header
	case http.StatusForbidden, http.StatusNotFound:
		has, err := c.hasCredentials(ctx, repo, v)
		if err != nil {
			drain(response)
			return nil, err
		}
		if !has {
			return response, nil
		}
	default:
		return response, nil
	}
	scheme := response.Request.URL.Scheme
	drain(response)
	if round, err = c.login(ctx, repo, scope, v, scheme, challenge); err != nil {
		return nil, err
	}
	if request, err = build(); err != nil {
		return nil, err
	}
	return (&http.Client{Transport: round}).Do(request)
}

// drain ends a response of which nothing is wanted, so that its connection can
// be used again.
func drain(response *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // what is left closes the connection
	response.Body.Close()
}

// sleep waits, unless nobody waits for it any more.
func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
