package azurekms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
)

// only lets requests pass to one host: the links from page to page in a
// vault's answers are followed with the token, wherever they lead.
type only struct {
	host string
	next *http.Client
}

// elsewhereError says that a vault's answer leads to another host.
type elsewhereError struct{ host string }

// Error names it.
func (e *elsewhereError) Error() string {
	return fmt.Sprintf("the vault's answer leads to %q, which is sent no token", keyservice.Said(e.host))
}

// NonRetriable tells the SDK that trying again is of no use.
func (e *elsewhereError) NonRetriable() {}

// challengeError says that a vault asks for a token in a way that is not its
// protocol's.
type challengeError struct{ challenge string }

// Error shows what it asked.
func (e *challengeError) Error() string {
	return fmt.Sprintf("this is no vault's answer: its challenge is %q", keyservice.Said(e.challenge))
}

// NonRetriable tells the SDK that trying again is of no use.
func (e *challengeError) NonRetriable() {}

// authority is the part of a challenge that names the tenant; the SDK takes
// the path apart without looking.
var authority = regexp.MustCompile(`\bauthorization="?(https://[^/"\s]+/[^/"\s,]+)`)

// Do sends a request.
func (o only) Do(request *http.Request) (*http.Response, error) {
	if !strings.EqualFold(request.URL.Host, o.host) || request.URL.Scheme != "https" {
		return nil, &elsewhereError{request.URL.Host}
	}
	response, err := o.next.Do(request)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	challenge := response.Header.Get("WWW-Authenticate")
	if found := authority.FindStringSubmatch(challenge); found == nil {
		response.Body.Close()
		return nil, &challengeError{challenge}
	}
	return response, nil
}

// explain says in words what the SDK's error is, and what to do about it. The
// SDK's own text about credentials is cut to its first line: what follows is
// whole answers.
func explain(ctx context.Context, action string, err error) error {
	if done := ctx.Err(); done != nil {
		return done
	}
	var redirect *keyservice.RedirectError
	var elsewhere *elsewhereError
	var challenge *challengeError
	var refused *azidentity.AuthenticationFailedError
	var answer *azcore.ResponseError
	var transport *url.Error
	switch {
	case errors.As(err, &redirect):
		return redirect
	case errors.As(err, &elsewhere):
		return elsewhere
	case errors.As(err, &challenge):
		return challenge
	case errors.As(err, &refused):
		return fmt.Errorf("getting a token from Azure: %s", keyservice.Said(err.Error()))
	case errors.As(err, &answer):
		return refusal(action, answer)
	case errors.As(err, &transport):
		return fmt.Errorf("%s: %s", action, keyservice.Said(transport.Err.Error()))
	}
	return fmt.Errorf("%s: %s", action, keyservice.Said(err.Error()))
}

func refusal(action string, answer *azcore.ResponseError) error {
	var body struct {
		Error struct {
			Message    string
			InnerError struct{ Code string }
		}
	}
	if content, err := runtime.Payload(answer.RawResponse); err == nil && json.Unmarshal(content, &body) != nil {
		body.Error.Message = ""
	}
	code := keyservice.Said(fmt.Sprintf("%d %s", answer.StatusCode, answer.ErrorCode))
	words := ""
	if body.Error.Message != "" {
		words = ": " + keyservice.Said(body.Error.Message)
	}
	switch {
	case body.Error.InnerError.Code == "KeyDisabled":
		return fmt.Errorf("%s: the key is disabled, or outside of its dates (%s): enable it, or name another version%s", action, code, words)
	case answer.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%s: the credentials are not accepted (%s)", action, code)
	case answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s is not allowed (%s): a role such as Key Vault Crypto User, or an access policy, allows it%s", action, code, words)
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: there is no such key or version (%s): check its name, and the vault's; a deleted one has to be recovered%s", action, code, words)
	case answer.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%s: the vault still throttled after %d attempts (%s): try again later", action, keyservice.Attempts, code)
	case answer.StatusCode == http.StatusConflict:
		return fmt.Errorf("%s: the key cannot be used in its state, such as being deleted (%s)%s", action, code, words)
	}
	return fmt.Errorf("%s: the vault refused (%s)%s", action, code, words)
}
