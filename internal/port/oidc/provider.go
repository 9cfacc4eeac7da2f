package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// github asks the runner's own service (docs.github.com, "About security
// hardening with OpenID Connect").
func (a *Ambient) github(ctx context.Context) (string, error) {
	c := a.config
	if c.GitHubURL == "" || c.GitHubToken == "" {
		return "", errors.New(`ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN are not set; the job needs "permissions: id-token: write"`)
	}
	address, err := secure(c.GitHubURL)
	if err != nil {
		return "", fmt.Errorf("ACTIONS_ID_TOKEN_REQUEST_URL: %w", err)
	}
	query := address.Query()
	query.Set("audience", c.Audience)
	address.RawQuery = query.Encode()
	body, _, err := a.answer(ctx, func() (*http.Request, error) {
		request, err := http.NewRequest(http.MethodGet, address.String(), nil)
		if err == nil {
			request.Header.Set("Authorization", "Bearer "+c.GitHubToken)
			request.Header.Set("Accept", "application/json")
		}
		return request, err
	}, c.GitHubToken)
	if err != nil {
		return "", err
	}
	return field(body, "value")
}

// buildkiteEndpoint is where the agent's API is, unless it says otherwise.
const buildkiteEndpoint = "https://agent.buildkite.com/v3"

// buildkite asks the agent API (POST /jobs/{job}/oidc/tokens).
func (a *Ambient) buildkite(ctx context.Context) (string, error) {
	c := a.config
	if c.BuildkiteToken == "" || c.BuildkiteJob == "" {
		return "", errors.New("BUILDKITE_AGENT_ACCESS_TOKEN and BUILDKITE_JOB_ID are not both set")
	}
	endpoint := c.BuildkiteEndpoint
	if endpoint == "" {
		endpoint = buildkiteEndpoint
	}
	address, err := secure(endpoint)
	if err != nil {
		return "", fmt.Errorf("BUILDKITE_AGENT_ENDPOINT: %w", err)
	}
	body, _, err := a.answer(ctx, post(address.JoinPath("jobs", url.PathEscape(c.BuildkiteJob), "oidc", "tokens").String(),
		map[string]string{"audience": c.Audience}, "Authorization", "Token "+c.BuildkiteToken), c.BuildkiteToken)
	if err != nil {
		return "", err
	}
	return field(body, "token")
}

// metadataHost is Google's metadata server; it speaks plain HTTP on the
// machine's own link.
const metadataHost = "metadata.google.internal"

// metadata asks for one path below the machine's service account.
func (a *Ambient) metadata(ctx context.Context, path string, query url.Values) ([]byte, error) {
	host := a.config.MetadataHost
	if host == "" {
		host = metadataHost
	}
	address := url.URL{Scheme: "http", Host: host, Path: "/computeMetadata/v1/instance/service-accounts/default/" + path, RawQuery: query.Encode()}
	body, header, err := a.answer(ctx, func() (*http.Request, error) {
		request, err := http.NewRequest(http.MethodGet, address.String(), nil)
		if err == nil {
			request.Header.Set("Metadata-Flavor", "Google")
		}
		return request, err
	})
	if err != nil {
		return nil, err
	}
	if header.Get("Metadata-Flavor") != "Google" {
		return nil, fmt.Errorf("%s is no metadata server of Google's: its answer lacks the header Metadata-Flavor", host)
	}
	return body, nil
}

func (a *Ambient) google(ctx context.Context) (string, error) {
	body, err := a.metadata(ctx, "identity", url.Values{"audience": {a.config.Audience}, "format": {"full"}})
	return strings.TrimSpace(string(body)), err
}

// scope is what impersonation needs of the credentials.
const scope = "https://www.googleapis.com/auth/cloud-platform"

// impersonate asks IAM Credentials for another account's identity token
// (projects.serviceAccounts.generateIdToken).
func (a *Ambient) impersonate(ctx context.Context) (string, error) {
	c := a.config
	if c.ServiceAccount == "" {
		return "", errors.New("GOOGLE_SERVICE_ACCOUNT_NAME is not set")
	}
	access, err := a.access(ctx)
	if err != nil {
		return "", fmt.Errorf("credentials for impersonating %s: %w", c.ServiceAccount, err)
	}
	endpoint := c.IAMEndpoint
	if endpoint == "" {
		endpoint = "https://iamcredentials.googleapis.com"
	}
	address, err := secure(endpoint)
	if err != nil {
		return "", err
	}
	body, _, err := a.answer(ctx, post(
		address.JoinPath("v1/projects/-/serviceAccounts", url.PathEscape(c.ServiceAccount)+":generateIdToken").String(),
		map[string]any{"audience": c.Audience, "includeEmail": true}, "Authorization", "Bearer "+access), access)
	if err != nil {
		return "", err
	}
	return field(body, "token")
}

// access gets an access token: from a credentials file, or the machine's.
func (a *Ambient) access(ctx context.Context) (string, error) {
	if a.config.GoogleCredentials == "" {
		body, err := a.metadata(ctx, "token", url.Values{"scopes": {scope}})
		if err != nil {
			return "", err
		}
		return field(body, "access_token")
	}
	file, err := os.Open(a.config.GoogleCredentials)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := limit.ReadAll(file, a.config.GoogleCredentials, limit.KeyFile)
	if err != nil {
		return "", err
	}
	kind, err := field(content, "type")
	if err != nil {
		return "", fmt.Errorf("%s: it has no type", a.config.GoogleCredentials)
	}
	credentials, err := google.CredentialsFromJSONWithType(context.WithValue(ctx, oauth2.HTTPClient, a.http), content, google.CredentialsType(kind), scope)
	if err != nil {
		return "", fmt.Errorf("%s: credentials of type %.60q cannot be read", a.config.GoogleCredentials, kind)
	}
	token, err := credentials.TokenSource.Token()
	if err != nil {
		return "", quiet(err)
	}
	return token.AccessToken, nil
}

// quiet leaves out of an error of the oauth2 library what a server sent
// back, but for the code of RFC 6749.
func quiet(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s answered %s %s", refused.Response.Request.URL.Host, refused.Response.Status, refused.ErrorCode)
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// spiffe asks the workload API of an agent for a JWT-SVID.
func (a *Ambient) spiffe(ctx context.Context) (string, error) {
	socket := a.config.SPIFFESocket
	if socket == "" {
		return "", errors.New("SPIFFE_ENDPOINT_SOCKET is not set")
	}
	if !strings.Contains(socket, "://") {
		socket = "unix://" + socket
	}
	svid, err := workloadapi.FetchJWTSVID(ctx, jwtsvid.Params{Audience: a.config.Audience}, workloadapi.WithAddr(socket))
	if err != nil {
		return "", err
	}
	return svid.Marshal(), nil
}
