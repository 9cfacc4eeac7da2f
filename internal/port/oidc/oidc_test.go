package oidc_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/oidc"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func clock() time.Time { return now }

// mint makes a token; nobody in these tests verifies its signature.
func mint(claims map[string]any) string {
	whole := map[string]any{"iss": "https://issuer.example.com", "sub": "workload-1", "aud": "sigstore", "exp": now.Add(5 * time.Minute).Unix()}
	for name, value := range claims {
		whole[name] = value
	}
	content, err := json.Marshal(whole)
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode(content) + "." + encode([]byte("sig"))
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ambient(t *testing.T, config oidc.Config) *oidc.Ambient {
	t.Helper()
	config.Now = clock
	if config.Wait == nil {
		config.Wait = func(context.Context, time.Duration) error { return nil }
	}
	a, err := oidc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const secret = "runner-secret"

// providers has each ambient provider with a fake of what it speaks, which
// answers what token says.
func providers(t *testing.T, answer func(w http.ResponseWriter, format string)) map[string]oidc.Config {
	t.Helper()
	check := func(request *http.Request, method, path, header, want string) {
		if request.Method != method || request.URL.Path != path || request.Header.Get(header) != want {
			t.Errorf("%s %s with %s %q; want %s %s with %q", request.Method, request.URL.Path, header, request.Header.Get(header), method, path, want)
		}
	}
	body := func(request *http.Request, want string) {
		content, err := io.ReadAll(request.Body)
		if err != nil || string(content) != want {
			t.Errorf("body %s (%v), want %s", content, err, want)
		}
	}
	github := serve(t, func(w http.ResponseWriter, request *http.Request) {
		check(request, "GET", "/token", "Authorization", "Bearer "+secret)
		if request.URL.RawQuery != "api-version=2.0&audience=sigstore" {
			t.Errorf("query %s", request.URL.RawQuery)
		}
		answer(w, `{"count":1,"value":%q}`)
	})
	buildkite := serve(t, func(w http.ResponseWriter, request *http.Request) {
		check(request, "POST", "/v3/jobs/job-1/oidc/tokens", "Authorization", "Token "+secret)
		body(request, `{"audience":"sigstore"}`)
		answer(w, `{"token":%q}`)
	})
	metadataServer := serve(t, func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		if strings.HasSuffix(request.URL.Path, "/token") {
			check(request, "GET", "/computeMetadata/v1/instance/service-accounts/default/token", "Metadata-Flavor", "Google")
			fmt.Fprintf(w, `{"access_token":%q,"expires_in":3600,"token_type":"Bearer"}`, secret)
			return
		}
		check(request, "GET", "/computeMetadata/v1/instance/service-accounts/default/identity", "Metadata-Flavor", "Google")
		if request.URL.RawQuery != "audience=sigstore&format=full" {
			t.Errorf("query %s", request.URL.RawQuery)
		}
		answer(w, "%s")
	})
	iam := serve(t, func(w http.ResponseWriter, request *http.Request) {
		check(request, "POST", "/v1/projects/-/serviceAccounts/ci@p.iam.gserviceaccount.com:generateIdToken", "Authorization", "Bearer "+secret)
		body(request, `{"audience":"sigstore","includeEmail":true}`)
		answer(w, `{"token":%q}`)
	})
	host := strings.TrimPrefix(metadataServer, "http://")
	return map[string]oidc.Config{
		oidc.GitHub:      {GitHubURL: github + "/token?api-version=2.0", GitHubToken: secret},
		oidc.Buildkite:   {BuildkiteToken: secret, BuildkiteEndpoint: buildkite + "/v3", BuildkiteJob: "job-1"},
		oidc.Google:      {MetadataHost: host},
		oidc.Impersonate: {ServiceAccount: "ci@p.iam.gserviceaccount.com", MetadataHost: host, IAMEndpoint: iam},
	}
}

func TestProviders(t *testing.T) {
	text := mint(nil)
	configs := providers(t, func(w http.ResponseWriter, format string) { fmt.Fprintf(w, format, text) })
	configs[oidc.Environment] = oidc.Config{Token: text + "\n"}
	configs[oidc.Filesystem] = oidc.Config{TokenFile: file(t, "\n"+text+"\n")}
	configs[oidc.SPIFFE] = oidc.Config{SPIFFESocket: agent(t, func() (string, error) {
		// The library holds the expiry against its own clock.
		return mint(map[string]any{"sub": "spiffe://example.org/ci", "exp": time.Now().Add(time.Hour).Unix()}), nil
	})}
	if len(configs) != len(oidc.Providers()) {
		t.Fatalf("tested are %d of %d providers", len(configs), len(oidc.Providers()))
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			token, err := ambient(t, config).Token(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			if token.Provider != name || token.Claims.Issuer != "https://issuer.example.com" || name != oidc.SPIFFE && token.Text() != text {
				t.Errorf("got %v", token)
			}
			for _, shown := range []string{token.String(), fmt.Sprintf("%v %+v %#v", token, token, token)} {
				if strings.Contains(shown, "eyJ") || !strings.Contains(shown, token.Claims.Subject) {
					t.Errorf("shown as %s", shown)
				}
			}
		})
	}
}

// TestFaults breaks each provider in each way: the error names the provider,
// repeats no secret, and no other provider is asked.
func TestFaults(t *testing.T) {
	for fault, test := range map[string]struct {
		answer   func(w http.ResponseWriter, format string)
		want     string
		attempts int32
	}{
		"down": {func(w http.ResponseWriter, format string) {
			if format == "%s" { // the metadata server knows no secret that it could repeat
				format = "…"
			}
			http.Error(w, "try later "+strings.Replace(format, "%q", secret, 1), http.StatusBadGateway)
		}, "502 Bad Gateway: try later ", 3},
		"refusing": {func(w http.ResponseWriter, _ string) {
			http.Error(w, "no id-token permission "+mint(nil), http.StatusForbidden)
		}, "403 Forbidden", 1},
		"half-written": {func(w http.ResponseWriter, _ string) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"value":"`)
		}, "unexpected EOF", 3},
		"not JSON and no token": {func(w http.ResponseWriter, _ string) { fmt.Fprint(w, "<html>") }, "", 1},
		"an expired token":      {func(w http.ResponseWriter, f string) { fmt.Fprintf(w, f, mint(map[string]any{"exp": now.Unix()})) }, "expired at", 1},
		"for another audience":  {func(w http.ResponseWriter, f string) { fmt.Fprintf(w, f, mint(map[string]any{"aud": "other"})) }, `for the audience "other", want "sigstore"`, 1},
		"over the bound":        {func(w http.ResponseWriter, _ string) { w.Write(make([]byte, limit.Answer+1)) }, "larger than the bound", 1},
		"redirecting the secret": {func(w http.ResponseWriter, _ string) {
			w.Header().Set("Location", "http://192.0.2.1/")
			w.WriteHeader(307)
		}, "redirects to another host, 192.0.2.1; refused", 1},
	} {
		var asked atomic.Int32
		for name, config := range providers(t, func(w http.ResponseWriter, format string) {
			asked.Add(1)
			test.answer(w, format)
		}) {
			// A provider that works, and stands further down the list.
			config.SPIFFESocket = "/nonexistent"
			asked.Store(0)
			_, err := ambient(t, config).Token(t.Context(), name)
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %s: got %v, want %q", name, fault, err, test.want)
				continue
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "eyJ") {
				t.Errorf("%s, %s: a secret is in the error: %v", name, fault, err)
			}
			if asked.Load() != test.attempts {
				t.Errorf("%s, %s: asked %d times, want %d", name, fault, asked.Load(), test.attempts)
			}
		}
	}
}

func TestRetryHeals(t *testing.T) {
	calls := 0
	configs := providers(t, func(w http.ResponseWriter, format string) {
		if calls++; calls < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, format, mint(nil))
	})
	config := configs[oidc.Buildkite]
	var waits []time.Duration
	config.Wait = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
	if _, err := ambient(t, config).Token(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]time.Duration{time.Second, 2 * time.Second}, waits); diff != "" {
		t.Error(diff)
	}
}

func TestSlow(t *testing.T) {
	release := make(chan struct{})
	configs := providers(t, func(http.ResponseWriter, string) { <-release })
	defer close(release)
	for name, config := range configs {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := ambient(t, config).Token(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestEnabledAndOrder(t *testing.T) {
	all := oidc.Config{
		GitHubURL: "u", GitHubToken: "t", BuildkiteToken: "t", Token: "t", TokenFile: file(t, "t"),
		ServiceAccount: "a", SPIFFESocket: "/s", ProductFile: file(t, "Google Compute Engine\n"),
	}
	if diff := cmp.Diff(oidc.Providers(), ambient(t, all).Enabled()); diff != "" {
		t.Error(diff)
	}
	none := ambient(t, oidc.Config{GitHubURL: "only one of two", TokenFile: "/nonexistent", ProductFile: file(t, "KVM\n"), BuildkiteJob: "j", IAMEndpoint: "x"})
	if enabled := none.Enabled(); len(enabled) != 0 {
		t.Errorf("enabled: %v", enabled)
	}
	if _, err := none.Token(t.Context(), ""); !errors.Is(err, oidc.ErrNone) {
		t.Errorf("no provider: %v", err)
	}
	// The first enabled one decides, also by failing.
	broken := oidc.Config{GitHubURL: "https://192.0.2.1/", GitHubToken: "t", Token: mint(nil), Transport: refuse{}}
	if _, err := ambient(t, broken).Token(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "identity provider github-actions: asking 192.0.2.1") {
		t.Errorf("a broken first provider: %v", err)
	}
	if token, err := ambient(t, broken).Token(t.Context(), oidc.Environment); err != nil || token.Provider != oidc.Environment {
		t.Errorf("the named provider: %v, %v", token, err)
	}
	for _, name := range append(slices.Clone(oidc.Providers()), "gitlab") {
		if _, err := ambient(t, oidc.Config{Transport: refuse{}}).Token(t.Context(), name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s, not set up: %v", name, err)
		}
	}
	if _, err := oidc.New(oidc.Config{}); err == nil {
		t.Error("no clock: no error")
	}
}

type refuse struct{}

func (refuse) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection refused")
}

// TestSecretsInTheClear: a secret is not sent over plain HTTP to another machine.
func TestSecretsInTheClear(t *testing.T) {
	for name, config := range map[string]oidc.Config{
		oidc.GitHub:      {GitHubURL: "http://192.0.2.1/t", GitHubToken: secret},
		oidc.Buildkite:   {BuildkiteEndpoint: "http://192.0.2.1/v3", BuildkiteToken: secret, BuildkiteJob: "j"},
		oidc.Impersonate: {ServiceAccount: "a", IAMEndpoint: "http://192.0.2.1", GoogleCredentials: "", MetadataHost: "m"},
	} {
		config.Transport = onlyMetadata{}
		if _, err := ambient(t, config).Token(t.Context(), name); err == nil || !strings.Contains(err.Error(), "is not https") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type onlyMetadata struct{}

func (onlyMetadata) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host != "m" {
		return nil, errors.New("asked " + request.URL.Host)
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Metadata-Flavor": {"Google"}}, Body: io.NopCloser(strings.NewReader(`{"access_token":"x"}`))}, nil
}

// TestNoMetadataServer: something else that answers at the address.
func TestNoMetadataServer(t *testing.T) {
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, mint(nil)) })
	_, err := ambient(t, oidc.Config{MetadataHost: strings.TrimPrefix(other, "http://")}).Token(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "no metadata server of Google's") {
		t.Error(err)
	}
}

// TestImpersonateWithCredentials uses a credentials file of a person's login.
func TestImpersonateWithCredentials(t *testing.T) {
	config := providers(t, func(w http.ResponseWriter, format string) { fmt.Fprintf(w, format, mint(nil)) })[oidc.Impersonate]
	for name, test := range map[string]struct{ content, want string }{
		"no JSON":      {"{", "has no type"},
		"unknown type": {`{"type":"other"}`, "cannot be read"},
	} {
		config.GoogleCredentials = file(t, test.content)
		if _, err := ambient(t, config).Token(t.Context(), ""); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), config.GoogleCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Google's library asks oauth2.googleapis.com; here that is this server.
	config.GoogleCredentials = file(t, `{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}`)
	refused := false
	config.Transport = transport(func(request *http.Request) (*http.Response, error) {
		if request.URL.Host != "oauth2.googleapis.com" {
			return http.DefaultTransport.RoundTrip(request)
		}
		status, body := 200, fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":60}`, secret)
		if refused {
			status, body = 400, `{"error":"invalid_grant","error_description":"r"}`
		}
		return &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Request: request,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	})
	if token, err := ambient(t, config).Token(t.Context(), ""); err != nil || token.Provider != oidc.Impersonate {
		t.Errorf("%v, %v", token, err)
	}
	refused = true
	if _, err := ambient(t, config).Token(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "oauth2.googleapis.com answered 400 Bad Request invalid_grant") {
		t.Errorf("refused: %v", err)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) { return t(request) }

// agent is a SPIFFE agent on a socket, with the real workload API.
func agent(t *testing.T, svid func() (string, error)) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "agent") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	socket := filepath.Join(directory, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, &workloadAPI{t: t, svid: svid})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return socket
}

type workloadAPI struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	t    *testing.T
	svid func() (string, error)
}

func (w *workloadAPI) FetchJWTSVID(ctx context.Context, request *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	if incoming, _ := metadata.FromIncomingContext(ctx); len(incoming.Get("workload.spiffe.io")) == 0 || !slices.Equal(request.Audience, []string{"sigstore"}) {
		w.t.Errorf("asked with %v for %v", incoming, request.Audience)
	}
	text, err := w.svid()
	if err != nil {
		return nil, err
	}
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{{SpiffeId: "spiffe://example.org/ci", Svid: text}}}, nil
}

func TestSPIFFEFaults(t *testing.T) {
	for name, test := range map[string]struct {
		config oidc.Config
		want   string
	}{
		"no agent":   {oidc.Config{SPIFFESocket: "/nonexistent/agent.sock"}, "spiffe"},
		"no address": {oidc.Config{SPIFFESocket: "http://example.com"}, "spiffe"},
		"refusing":   {oidc.Config{SPIFFESocket: agent(t, func() (string, error) { return "", errors.New("no identity issued") })}, "no identity issued"},
		"expired": {oidc.Config{SPIFFESocket: "unix://" + agent(t, func() (string, error) {
			return mint(map[string]any{"sub": "spiffe://example.org/ci", "exp": now.Add(-time.Hour).Unix()}), nil
		})}, "expired"},
	} {
		if _, err := ambient(t, test.config).Token(t.Context(), ""); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGiven(t *testing.T) {
	same := func(name string) string { return name }
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		text := mint(nil)
		text = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+algorithm+`"}`)) + text[strings.Index(text, "."):]
		for _, given := range []string{text, " " + text + "\n", file(t, text+"\n")} {
			if token, err := oidc.Given(given, "sigstore", now, same); err != nil || token.Text() != text || token.Provider != "given" {
				t.Errorf("%s: %v, %v", algorithm, token, err)
			}
		}
	}
	for name, test := range map[string]struct{ given, want string }{
		"nothing":      {" \n", "is empty"},
		"no file":      {"/nonexistent/token", "/nonexistent/token: no such file"},
		"expired":      {mint(map[string]any{"exp": now.Unix()}), "given: identity token of \"workload-1\" expired"},
		"expired file": {file(t, mint(map[string]any{"exp": now.Unix()})), "expired"},
		"audience":     {mint(map[string]any{"aud": "x"}), "audience"},
		"no token in":  {file(t, "hello"), "want a JWT"},
		"large file":   {file(t, strings.Repeat("a", limit.IdentityToken+1)), "larger than the bound"},
		"mangled":      {mint(map[string]any{"exp": "never"}), "claim \"exp\""},
		"cut":          {strings.Repeat("eyJ", 60), "neither a JWT nor a file that can be read: no such file or directory"},
	} {
		_, err := oidc.Given(test.given, "sigstore", now, same)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
