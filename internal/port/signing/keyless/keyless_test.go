package keyless_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/signing/keyless"
	"github.com/seed-161fc314/assay/internal/port/signing/keyless/keylesstest"
	"github.com/seed-161fc314/assay/internal/port/signing/signingtest"
)

// clock is a clock that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// start is now: the libraries below hold some times against their own clocks.
func start() *clock { return &clock{time.Now().UTC().Truncate(time.Second)} }

func noWait(context.Context, time.Duration) error { return nil }

const who = "robot@example.com"

func config(server *keylesstest.Server) keyless.Config {
	return keyless.Config{
		URL: server.URL(keylesstest.Fulcio), Now: server.Now, Outside: keyless.Outside{Wait: noWait},
		Token: func(context.Context) (string, error) { return server.Token(who), nil },
	}
}

func certify(t *testing.T, server *keylesstest.Server) *keyless.Signer {
	t.Helper()
	signer, err := keyless.Certify(t.Context(), config(server))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestContract(t *testing.T) {
	signingtest.Run(t, certify(t, keylesstest.New(t, start().now)))
}

func TestCertify(t *testing.T) {
	server := keylesstest.New(t, start().now)
	signer := certify(t, server)
	if diff := cmp.Diff(keyless.Identity{Subject: who, Issuer: keylesstest.Issuer}, signer.Identity()); diff != "" {
		t.Error(diff)
	}
	// The leaf and the intermediate; the root is for who trusts it to know.
	if n := len(signer.Certificates()); n != 2 {
		t.Errorf("%d certificates", n)
	}
	for range 64 {
		if _, err := signer.Sign(t.Context(), []byte("m")); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.Requests(keylesstest.Fulcio); n != 1 {
		t.Errorf("64 signatures took %d certificates", n)
	}
}

// TestRenew: a certificate that nears its end is replaced, for the same key
// and the same identity.
func TestRenew(t *testing.T) {
	c := start()
	server := keylesstest.New(t, c.now)
	subject := who
	settings := config(server)
	settings.Token = func(context.Context) (string, error) { return server.Token(subject), nil }
	signer, err := keyless.Certify(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	key, first := signer.KeyID(), string(signer.Certificates()[0])
	c.at = c.at.Add(8 * time.Minute)
	if _, err := signer.Sign(t.Context(), []byte("m")); err != nil || string(signer.Certificates()[0]) != first {
		t.Errorf("two minutes before its end: %v", err)
	}
	c.at = c.at.Add(90 * time.Second)
	if _, err := signer.Sign(t.Context(), []byte("m")); err != nil || string(signer.Certificates()[0]) == first || signer.KeyID() != key {
		t.Errorf("at its end: %v, key %s", err, signer.KeyID())
	}
	c.at = c.at.Add(time.Hour)
	subject = "another@example.com"
	if signature, err := signer.Sign(t.Context(), []byte("m")); err == nil || signature != nil || !strings.Contains(err.Error(), `for another identity, "another@example.com"`) {
		t.Errorf("another person came: %v", err)
	}
	failure := errors.New("no token any more")
	settings.Token = func(context.Context) (string, error) { return "", failure }
	if _, err := keyless.Certify(t.Context(), settings); !errors.Is(err, failure) {
		t.Errorf("no token: %v", err)
	}
}

func TestCertifyLies(t *testing.T) {
	for lie, want := range map[string]string{
		keylesstest.OtherKey:      "for another key than the one that was sent",
		keylesstest.OtherIdentity: `for another identity, "somebody@else.test"; the token is of "robot@example.com"`,
		keylesstest.ExpiredLeaf:   "it has to last for 1m0s",
	} {
		server := keylesstest.New(t, start().now)
		server.Lie(lie)
		if _, err := keyless.Certify(t.Context(), config(server)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), server.URL(keylesstest.Fulcio)) {
			t.Errorf("%s: got %v, want %q", lie, err, want)
		}
	}
}

// faults are what any service may do instead of answering.
var faults = map[string]struct {
	answer func(http.ResponseWriter, *http.Request)
	want   string
	times  int
}{
	"down": {func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "overloaded", http.StatusServiceUnavailable)
	}, "503 Service Unavailable: overloaded", 4},
	"too many": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, "429", 4},
	"refusing": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not you", http.StatusForbidden) }, "403 Forbidden: not you", 1},
	"cut off": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "99")
		fmt.Fprint(w, "{")
	}, "unexpected EOF", 4},
	"nonsense":     {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "answer", 1},
	"empty object": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }, "", 1},
	"endless":      {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, limit.Answer+1)) }, "larger than the bound", 1},
	"sending away": {func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/", http.StatusTemporaryRedirect)
	}, "redirects to another host, 192.0.2.1; refused", 1},
	"repeating the token": {func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "bad token "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), http.StatusUnauthorized)
	}, "401 Unauthorized: bad token", 1},
}

func TestCertifyFaults(t *testing.T) {
	for name, test := range faults {
		server := keylesstest.New(t, start().now)
		server.Fault = func(_ string, w http.ResponseWriter, request *http.Request) bool {
			test.answer(w, request)
			return true
		}
		_, err := keyless.Certify(t.Context(), config(server))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if n := server.Requests(keylesstest.Fulcio); n != test.times {
			t.Errorf("%s: asked %d times, want %d", name, n, test.times)
		}
	}
}

func TestCertifyRefuses(t *testing.T) {
	server := keylesstest.New(t, start().now)
	for name, test := range map[string]struct {
		change func(*keyless.Config)
		want   string
	}{
		"no clock":     {func(c *keyless.Config) { c.Now = nil }, "clock"},
		"no token":     {func(c *keyless.Config) { c.Token = nil }, "tokens"},
		"no URL":       {func(c *keyless.Config) { c.URL = "fulcio" }, "no URL of a service"},
		"in the clear": {func(c *keyless.Config) { c.URL = "http://fulcio.example.com" }, "is not https"},
		"a password":   {func(c *keyless.Config) { c.URL = "https://a:b@fulcio.example.com" }, "no URL of a service"},
		"no JWT":       {func(c *keyless.Config) { c.Token = func(context.Context) (string, error) { return "x", nil } }, "want a JWT"},
	} {
		settings := config(server)
		test.change(&settings)
		if _, err := keyless.Certify(t.Context(), settings); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if n := server.Requests(keylesstest.Fulcio); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestSlow(t *testing.T) {
	server := keylesstest.New(t, start().now)
	release := make(chan struct{})
	defer close(release)
	signer := certify(t, server)
	server.Fault = func(string, http.ResponseWriter, *http.Request) bool { <-release; return true }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := keyless.Certify(ctx, config(server)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("certificate: %v", err)
	}
	if _, err := notary(t, server, keylesstest.Rekor, keylesstest.Rekor2, keylesstest.TSA).Witness(ctx, envelope(t, signer), signer.Public()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("witness: %v", err)
	}
}
