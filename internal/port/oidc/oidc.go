// Package oidc gets identity tokens: from the machine that a run is on, or
// from a person at a terminal.
//
// Entry points are [New], of an [Ambient] Token and Enabled, [Given] for a
// token that was handed over, and [Browser] and [Device] for people. Ambient
// providers are those that cosign knows, in the order of [Providers]: what
// somebody set up for this run comes before what the machine looks like. The
// first enabled one decides; if it fails, that is an error that names it,
// and the next one is not asked.
//
// A token appears in no error and no message: [Token] prints as its
// provider, subject and expiry. Requests that carry a secret go over https
// (or to this machine), and follow redirects to the same host only. The
// package does not verify signatures of tokens; whoever takes them does.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/idtoken"
)

// Audience is whom Sigstore's certificate authorities want a token to be for.
const Audience = "sigstore"

// The ambient providers, by cosign's names for them.
const (
	GitHub      = "github-actions"
	Buildkite   = "buildkite-agent"
	Environment = "envvar"
	Filesystem  = "filesystem"
	Impersonate = "google-impersonate"
	SPIFFE      = "spiffe"
	Google      = "google-workload-identity"
)

// Providers lists the ambient providers in the order in which they are asked.
func Providers() []string {
	return []string{GitHub, Buildkite, Environment, Filesystem, Impersonate, SPIFFE, Google}
}

// TokenFile is where cosign's filesystem provider looks.
const TokenFile = "/var/run/sigstore/cosign/oidc-token"

// ErrNone says that nothing on this machine gives identity tokens.
var ErrNone = errors.New("no identity provider is found on this machine")

// Config is what the machine offers; the caller reads it from the
// environment, whose variables are named. What is empty is not enabled.
type Config struct {
	// Audience is whom tokens are for; "" is Audience.
	Audience string
	// Now is the clock that expiry is held against.
	Now func() time.Time
	// Transport carries requests; nil is one with timeouts.
	Transport http.RoundTripper
	// Wait waits between two attempts; nil is a timer.
	Wait func(ctx context.Context, d time.Duration) error

	// GitHubURL and GitHubToken are ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN.
	GitHubURL, GitHubToken string
	// BuildkiteToken, BuildkiteEndpoint and BuildkiteJob are
	// BUILDKITE_AGENT_ACCESS_TOKEN, BUILDKITE_AGENT_ENDPOINT and
	// BUILDKITE_JOB_ID.
	BuildkiteToken, BuildkiteEndpoint, BuildkiteJob string
	// Token is SIGSTORE_ID_TOKEN.
	Token string
	// TokenFile is a file that holds a token; enabled if it is there.
	TokenFile string
	// ServiceAccount is GOOGLE_SERVICE_ACCOUNT_NAME, whom to impersonate with
	// the credentials in the file GoogleCredentials, or, where that is "",
	// with the machine's own. IAMEndpoint is "" for Google's.
	ServiceAccount, GoogleCredentials, IAMEndpoint string
	// MetadataHost is GCE_METADATA_HOST, "" for Google's own.
	MetadataHost string
	// ProductFile holds the machine's product name, which begins with
	// "Google" on Google's machines (/sys/class/dmi/id/product_name).
	ProductFile string
	// SPIFFESocket is SPIFFE_ENDPOINT_SOCKET: a path, or a unix or tcp URL.
	SPIFFESocket string
}

// Token is an identity token and who gave it.
type Token struct {
	// Provider is one of Providers, "given", "browser" or "device".
	Provider string
	Claims   idtoken.Claims
	text     string
}

// Text is the token itself: a secret.
func (t Token) Text() string { return t.text }

// String says whose token it is, and not what it is.
func (t Token) String() string {
	return fmt.Sprintf("identity token of %s, issued by %s, from %s, until %s",
		t.Claims.Who(), t.Claims.Issuer, t.Provider, t.Claims.Expiry.Format(time.RFC3339))
}

// GoString is String, so that %#v shows no secret either.
func (t Token) GoString() string { return t.String() }

// Given takes a token that was handed over: a JWT, or else the name of a
// file that holds one, which path makes absolute. One that cannot be used
// now, for the audience, is an error; an audience of "" is not looked at.
func Given(text, audience string, now time.Time, path func(string) string) (Token, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Token{}, errors.New("the identity token is empty")
	}
	if _, err := idtoken.Parse(text); err == nil || strings.Count(text, ".") == 2 && strings.HasPrefix(text, "eyJ") {
		return accept("given", text, audience, now)
	}
	content, err := readToken(path(text))
	if err != nil {
		return Token{}, fmt.Errorf("the identity token is neither a JWT nor a file that can be read: %w", pathless(err, text))
	}
	return accept("given", content, audience, now)
}

// pathless leaves a long name out of an error: it may be a mangled token.
func pathless(err error, name string) error {
	var failed *os.PathError
	if errors.As(err, &failed) && len(name) > 128 {
		return failed.Err
	}
	return err
}

func readToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := limit.ReadAll(file, path, limit.IdentityToken)
	return strings.TrimSpace(string(content)), err
}

// accept is the only maker of a Token.
func accept(provider, text, audience string, now time.Time) (Token, error) {
	claims, err := idtoken.Parse(text)
	if err == nil {
		err = claims.Usable(now, audience)
	}
	if err != nil {
		return Token{}, fmt.Errorf("%s: %w", provider, err)
	}
	return Token{Provider: provider, Claims: claims, text: text}, nil
}

// Ambient gets tokens from the machine. It may be used by several goroutines.
type Ambient struct {
	config Config
	http   *http.Client
}

// New contacts nothing. Config.Now must be there.
func New(config Config) (*Ambient, error) {
	if config.Now == nil {
		return nil, errors.New("oidc: a clock is needed")
	}
	if config.Audience == "" {
		config.Audience = Audience
	}
	if config.Wait == nil {
		config.Wait = wait
	}
	return &Ambient{config: config, http: client(config.Transport)}, nil
}

// Enabled lists the providers that this machine has, in order; it looks at
// the configuration and at files, and asks nobody.
func (a *Ambient) Enabled() []string {
	c := a.config
	var enabled []string
	for name, on := range map[string]bool{
		GitHub: c.GitHubURL != "" && c.GitHubToken != "", Buildkite: c.BuildkiteToken != "",
		Environment: c.Token != "", Filesystem: c.TokenFile != "" && exists(c.TokenFile),
		Impersonate: c.ServiceAccount != "", SPIFFE: c.SPIFFESocket != "",
		Google: c.MetadataHost != "" || a.onGoogle(),
	} {
		if on {
			enabled = append(enabled, name)
		}
	}
	slices.SortFunc(enabled, func(x, y string) int {
		return slices.Index(Providers(), x) - slices.Index(Providers(), y)
	})
	return enabled
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (a *Ambient) onGoogle() bool {
	if a.config.ProductFile == "" {
		return false
	}
	content, err := os.ReadFile(a.config.ProductFile)
	return err == nil && strings.HasPrefix(string(content), "Google")
}

// Token asks one provider: the named one, or with "" the first that is
// enabled. ErrNone says that none is. A token that is expired, or for another
// audience, is an error.
func (a *Ambient) Token(ctx context.Context, provider string) (Token, error) {
	if provider == "" {
		enabled := a.Enabled()
		if len(enabled) == 0 {
			return Token{}, ErrNone
		}
		provider = enabled[0]
	}
	provide, known := map[string]func(context.Context) (string, error){
		GitHub: a.github, Buildkite: a.buildkite, Impersonate: a.impersonate, SPIFFE: a.spiffe, Google: a.google,
		Environment: func(context.Context) (string, error) {
			if a.config.Token == "" {
				return "", errors.New("SIGSTORE_ID_TOKEN is not set")
			}
			return strings.TrimSpace(a.config.Token), nil
		},
		Filesystem: func(context.Context) (string, error) { return readToken(a.config.TokenFile) },
	}[provider]
	if !known {
		return Token{}, fmt.Errorf("identity provider %.60q is not known; want one of %s", provider, strings.Join(Providers(), ", "))
	}
	text, err := provide(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("identity provider %s: %w", provider, err)
	}
	token, err := accept(provider, text, a.config.Audience, a.config.Now())
	if err != nil {
		return Token{}, fmt.Errorf("identity provider %w", err)
	}
	return token, nil
}
