package oidc_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/port/oidc"
)

// issuer is an OpenID Connect issuer for one login; its fields break it.
type issuer struct {
	t                         *testing.T
	url                       string
	metadataIssuer, tokenHost string
	claims                    map[string]any
	refusal                   string
	noDevice                  bool
	pending                   int

	challenge, nonce, redirect string
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t, claims: map[string]any{"sub": "42", "email": "a@example.com", "email_verified": true}}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url, i.metadataIssuer, i.tokenHost = server.URL, server.URL, server.URL
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch request.URL.Path {
	case "/.well-known/openid-configuration":
		device := fmt.Sprintf(`,"device_authorization_endpoint":"%s/device"`, i.url)
		if i.noDevice {
			device = ""
		}
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%s/auth","token_endpoint":"%s/token"%s}`, i.metadataIssuer, i.url, i.tokenHost, device)
	case "/device":
		i.challenge = request.FormValue("code_challenge")
		fmt.Fprintf(w, `{"device_code":"d","user_code":"ABCD-EFGH","verification_uri":"%s/login","expires_in":60,"interval":1}`, i.url)
	case "/token":
		if i.pending > 0 {
			i.pending--
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"authorization_pending"}`)
			return
		}
		if i.refusal != "" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":%q,"error_description":"secret-text"}`, i.refusal)
			return
		}
		sum := sha256.Sum256([]byte(request.FormValue("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != i.challenge || request.FormValue("client_id") != "sigstore" || request.FormValue("redirect_uri") != i.redirect {
			i.t.Errorf("token request %v for challenge %s", request.Form, i.challenge)
		}
		claims := map[string]any{"iss": i.url}
		if i.nonce != "" {
			claims["nonce"] = i.nonce
		}
		for name, value := range i.claims {
			claims[name] = value
		}
		fmt.Fprintf(w, `{"access_token":"x","token_type":"Bearer","id_token":%q}`, mint(claims))
	default:
		i.t.Errorf("asked for %s", request.URL.Path)
	}
}

// login is what a browser does with the address: it changes the answer's
// query as the test wants, and gives the status of the page.
func (i *issuer) login(change func(url.Values)) func(string) error {
	return func(address string) error {
		asked, err := url.Parse(address)
		if err != nil {
			return err
		}
		query := asked.Query()
		if query.Get("response_type") != "code" || query.Get("code_challenge_method") != "S256" || query.Get("scope") != "openid email" ||
			query.Get("client_id") != "sigstore" || query.Get("state") == "" || query.Get("nonce") == "" {
			i.t.Errorf("asked with %s", asked.RawQuery)
		}
		i.challenge, i.nonce, i.redirect = query.Get("code_challenge"), query.Get("nonce"), query.Get("redirect_uri")
		answer := url.Values{"code": {"c"}, "state": {query.Get("state")}}
		if change != nil {
			change(answer)
		}
		response, err := http.Get(i.redirect + "?" + answer.Encode())
		if err != nil {
			return err
		}
		defer response.Body.Close()
		page, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("page: %s", page)
		}
		return nil
	}
}

func (i *issuer) person(open func(string) error) oidc.Person {
	return oidc.Person{Issuer: i.url, ClientID: "sigstore", Now: clock, Show: func(string, string) {}, Open: open}
}

func TestBrowser(t *testing.T) {
	i := newIssuer(t)
	var shown string
	p := i.person(i.login(nil))
	p.Show = func(address, code string) { shown = address + code }
	token, err := oidc.Browser(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if token.Provider != "browser" || token.Claims.Who() != "a@example.com" || !strings.HasPrefix(shown, i.url+"/auth?") {
		t.Errorf("%v, shown %s", token, shown)
	}
}

// TestBrowserStrangers: an answer with another state, as any page can send
// one, is refused and does not end the login.
func TestBrowserStrangers(t *testing.T) {
	i := newIssuer(t)
	p := i.person(func(address string) error {
		if err := i.login(func(v url.Values) { v.Set("state", "guess"); v.Set("code", "evil") })(address); err == nil || !strings.Contains(err.Error(), "belongs to no login") {
			t.Errorf("a stranger's answer: %v", err)
		}
		return i.login(nil)(address)
	})
	if _, err := oidc.Browser(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func TestBrowserRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		fault  func(*issuer)
		change func(url.Values)
		want   string
	}{
		"denied":           {nil, func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }, `"access_denied"`},
		"another nonce":    {func(i *issuer) { i.claims["nonce"] = "replayed" }, nil, "nonce differs"},
		"another audience": {func(i *issuer) { i.claims["aud"] = "other" }, nil, "audience"},
		"expired":          {func(i *issuer) { i.claims["exp"] = now.Unix() }, nil, "expired"},
		"another issuer":   {func(i *issuer) { i.claims["iss"] = "https://evil.example.com" }, nil, "issued by another"},
		"other metadata":   {func(i *issuer) { i.metadataIssuer = "https://evil.example.com" }, nil, "metadata is of another issuer"},
		"token in clear":   {func(i *issuer) { i.tokenHost = "http://192.0.2.1" }, nil, "token_endpoint: its address http://192.0.2.1 is not https"},
		"code refused":     {func(i *issuer) { i.refusal = "invalid_grant" }, nil, "400 Bad Request invalid_grant"},
	} {
		i := newIssuer(t)
		if test.fault != nil {
			test.fault(i)
		}
		_, err := oidc.Browser(t.Context(), i.person(i.login(test.change)))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), i.url) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		} else if strings.Contains(err.Error(), "secret-text") || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: the error repeats what is secret: %v", name, err)
		}
	}
	i := newIssuer(t)
	failure := errors.New("no browser")
	if _, err := oidc.Browser(t.Context(), i.person(func(string) error { return failure })); !errors.Is(err, failure) {
		t.Errorf("no browser: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := oidc.Browser(ctx, i.person(func(string) error { return nil })); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody comes: %v", err)
	}
	for name, p := range map[string]oidc.Person{"plain http": {Issuer: "http://192.0.2.1", ClientID: "c", Now: clock, Show: func(string, string) {}}, "nothing": {}} {
		if _, err := oidc.Browser(t.Context(), p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDevice(t *testing.T) {
	i := newIssuer(t)
	i.pending = 1
	var shown string
	p := i.person(nil)
	p.Show = func(address, code string) { shown = address + " " + code }
	token, err := oidc.Device(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if token.Provider != "device" || token.Claims.Who() != "a@example.com" || shown != i.url+"/login ABCD-EFGH" {
		t.Errorf("%v, shown %s", token, shown)
	}
	i.refusal = "access_denied"
	if _, err := oidc.Device(t.Context(), p); err == nil || !strings.Contains(err.Error(), "access_denied") || strings.Contains(err.Error(), "secret-text") {
		t.Errorf("refused: %v", err)
	}
	i.noDevice = true
	if _, err := oidc.Device(t.Context(), p); err == nil || !strings.Contains(err.Error(), "has no device flow") {
		t.Errorf("no device flow: %v", err)
	}
}
