package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

const (
	// attempts is how often a request is sent at most: Vault throttles (429),
	// and a node that has just become a standby or is starting says 503.
	attempts = 4
	// timeout and pause are Config's where they are 0; longest bounds what a
	// Retry-After is followed for.
	timeout = 60 * time.Second
	pause   = 250 * time.Millisecond
	longest = 5 * time.Second
	// redirects bounds how often Vault may say that another path is meant.
	redirects = 3
)

// client speaks to one Vault.
type client struct {
	http      *http.Client
	address   string
	mount     string
	namespace string
	token     string
	// secrets must stand in no error, whatever Vault echoes.
	secrets []string
	timeout time.Duration
	pause   time.Duration
}

// segments is a path of plain names, such as team-a/transit.
var segments = regexp.MustCompile(`^[\w-][\w.-]*(?:/[\w-][\w.-]*)*$`)

func newClient(config Config) (*client, error) {
	if config.Address == "" {
		return nil, errors.New("the address of Vault is missing; set VAULT_ADDR, such as https://vault.example.com:8200")
	}
	address, err := url.Parse(config.Address)
	switch {
	case err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http":
		return nil, errors.New("the address of Vault is no URL such as https://vault.example.com:8200")
	case address.User != nil || address.RawQuery != "" || address.Fragment != "":
		return nil, errors.New("the address of Vault has a user name, a query or a fragment; want only such as https://vault.example.com:8200")
	}
	mount := strings.Trim(config.Mount, "/")
	if mount == "" {
		mount = "transit"
	}
	if !segments.MatchString(mount) {
		return nil, fmt.Errorf("%.100q is no mount of a transit engine (TRANSIT_SECRET_ENGINE_PATH)", config.Mount)
	}
	if !visible(config.Token) || !visible(config.Namespace) {
		return nil, errors.New("the token or the namespace for Vault has a blank, a line end or another character that no header takes")
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: config.ServerName, InsecureSkipVerify: config.SkipVerifyUnsafe}
	if config.CA != nil {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(config.CA) {
			return nil, errors.New("the authorities for Vault's certificate (VAULT_CACERT) hold no certificate in PEM")
		}
	}
	if config.Certificate != nil {
		trust.Certificates = []tls.Certificate{*config.Certificate}
	}
	c := &client{
		address: address.Scheme + "://" + address.Host + strings.TrimRight(address.EscapedPath(), "/"),
		mount:   mount, namespace: config.Namespace, token: config.Token, secrets: []string{config.Token, config.Login.JWT},
		timeout: config.Timeout, pause: config.Pause,
	}
	if c.timeout == 0 {
		c.timeout = timeout
	}
	if c.pause == 0 {
		c.pause = pause
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 8,
		},
		CheckRedirect: sameHost,
	}
	return c, nil
}

// visible says whether text may stand in a header.
func visible(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// redirectError says that Vault sent a request elsewhere.
type redirectError struct{ to string }

// Error names where to.
func (e *redirectError) Error() string {
	return fmt.Sprintf("it redirects to %q, and the token is not sent there; give the address of the active node, or of the load balancer, as VAULT_ADDR", said(e.to))
}

func sameHost(next *http.Request, via []*http.Request) error {
	if first := via[0].URL; next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		return &redirectError{next.URL.Scheme + "://" + next.URL.Host}
	}
	if len(via) > redirects {
		return fmt.Errorf("it redirects more than %d times", redirects)
	}
	return nil
}

// login gets a token where there is none.
func (c *client) login(ctx context.Context, login Login) error {
	if c.token != "" {
		return nil
	}
	if login.JWT == "" {
		return errors.New("there is no token for Vault; set VAULT_TOKEN, or run `vault login`")
	}
	path := strings.Trim(login.Path, "/")
	if path == "" {
		path = "jwt"
	}
	if !segments.MatchString(path) || login.Role == "" {
		return fmt.Errorf("logging in to Vault needs a role, and the path of a login method: found %.60q at %.60q", login.Role, login.Path)
	}
	var answer struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	body := map[string]string{"role": login.Role, "jwt": login.JWT}
	if err := c.call(ctx, request{method: http.MethodPost, path: "auth/" + path + "/login", body: body}, &answer); err != nil {
		return fmt.Errorf("logging in as %s: %w", login.Role, err)
	}
	if answer.Auth.Token == "" || !visible(answer.Auth.Token) {
		return fmt.Errorf("logging in as %s: %s gave no token", login.Role, c.address)
	}
	c.token = answer.Auth.Token
	c.secrets = append(c.secrets, c.token)
	return nil
}

// request is one call of the API.
type request struct {
	method, path string
	body         any
	// once: it must not be sent again.
	once bool
}

// refusal is an answer of Vault that is none of 2xx.
type refusal struct {
	address, path string
	status        int
	// words are Vault's own, one for each error; after is Retry-After.
	words []string
	after time.Duration
}

// Error says what Vault refused, and what would fix it.
func (r *refusal) Error() string {
	words := strings.Join(r.words, "; ")
	switch {
	case r.sealed():
		return fmt.Sprintf("%s is sealed; unseal it", r.address)
	case r.status == http.StatusForbidden:
		return fmt.Sprintf("%s denies %s (403: %s); the token is over, or its policy does not allow this path", r.address, r.path, words)
	case strings.Contains(words, "signing key not found") || strings.Contains(words, "key not found"):
		return fmt.Sprintf("%s has no such key any more (%s)", r.address, words)
	case strings.Contains(words, "no such key version") || strings.Contains(words, "requested version for signing"):
		return fmt.Sprintf("%s does not sign with that version any more (%s); sign again, and the latest version is taken", r.address, words)
	case r.status == http.StatusRequestEntityTooLarge:
		return fmt.Sprintf("%s does not take so long a message (413); Ed25519 sends it whole, ECDSA and RSA keys only a digest", r.address)
	case words == "":
		return fmt.Sprintf("%s answers %d to %s", r.address, r.status, r.path)
	}
	return fmt.Sprintf("%s answers %d to %s: %s", r.address, r.status, r.path, words)
}

func (r *refusal) sealed() bool {
	return r.status == http.StatusServiceUnavailable && strings.Contains(strings.Join(r.words, " "), "sealed")
}

// again says whether waiting may help.
func (r *refusal) again() bool {
	return r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable && !r.sealed()
}

// call sends a request, again where Vault is busy, and decodes the answer.
func (c *client) call(ctx context.Context, r request, into any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("encoding a request to Vault: %w", err)
		}
	}
	wait := c.pause
	for attempt := 1; ; attempt++ {
		err := c.try(ctx, r, body, into)
		var refused *refusal
		if err == nil || r.once || attempt == attempts || !errors.As(err, &refused) || !refused.again() {
			return err
		}
		timer := time.NewTimer(min(max(wait, refused.after), longest))
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w (and %w)", err, ctx.Err())
		case <-timer.C:
		}
		wait *= 2
	}
}

func (c *client) try(parent context.Context, r request, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(parent, c.timeout)
	defer cancel()
	asked, err := http.NewRequestWithContext(ctx, r.method, c.address+"/v1/"+r.path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking Vault: %w", err)
	}
	asked.Header.Set("X-Vault-Request", "true")
	if c.token != "" {
		asked.Header.Set("X-Vault-Token", c.token)
	}
	if c.namespace != "" {
		asked.Header.Set("X-Vault-Namespace", c.namespace)
	}
	if body != nil {
		asked.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(asked)
	if err != nil {
		return c.unreached(parent, err)
	}
	defer response.Body.Close()
	content, err := limit.ReadAll(response.Body, "the answer of "+c.address, limit.ServiceAnswer)
	if err != nil {
		return c.unreached(parent, err)
	}
	if response.StatusCode/100 != 2 {
		return c.refusal(r.path, response, content)
	}
	if into == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	if err = decoder.Decode(into); err == nil {
		if _, err = decoder.Token(); err == nil {
			err = errors.New("there is more behind it")
		} else if err == io.EOF {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("%s: the answer to %s is no JSON, or only half of it: %w", c.address, r.path, err)
	}
	return nil
}

// unreached explains why there is no answer.
func (c *client) unreached(parent context.Context, err error) error {
	var redirected *redirectError
	var address *url.Error
	switch {
	case errors.As(err, &redirected):
		return fmt.Errorf("%s: %w", c.address, redirected)
	case parent.Err() != nil:
		return fmt.Errorf("%s: %w", c.address, parent.Err())
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s gave no answer within %v: %w", c.address, c.timeout, context.DeadlineExceeded)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s broke off in the middle of its answer: %w", c.address, io.ErrUnexpectedEOF)
	case errors.As(err, &address):
		return fmt.Errorf("%s cannot be reached: %w", c.address, address.Err)
	}
	return err
}

func (c *client) refusal(path string, response *http.Response, content []byte) error {
	r := &refusal{address: c.address, path: path, status: response.StatusCode}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		r.after = min(time.Duration(seconds)*time.Second, longest)
	}
	var answer struct {
		Errors []string `json:"errors"`
	}
	if json.Unmarshal(content, &answer) != nil {
		// Something before Vault, such as a proxy.
		answer.Errors = []string{"not in Vault's words: is something else listening there?"}
	}
	for i, words := range answer.Errors {
		for _, secret := range c.secrets {
			if secret != "" {
				words = strings.ReplaceAll(words, secret, "[secret]")
			}
		}
		if i == 4 {
			break
		}
		r.words = append(r.words, said(words))
	}
	return r
}

// said is a stranger's words for an error message.
func said(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, text))
	if runes := []rune(text); len(runes) > limit.ServiceWords {
		text = string(runes[:limit.ServiceWords]) + "…"
	}
	return text
}
