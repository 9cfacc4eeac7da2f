package azurekms_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/azurekms"
	"github.com/seed-161fc314/assay/internal/port/signing/azurekms/azurekmstest"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice/keyservicetest"
	"github.com/seed-161fc314/assay/internal/port/signing/signingtest"
)

const name = "release"

// serve starts a vault over TLS, and a managed identity's endpoint; it gives
// the reference of the key.
func serve(t *testing.T) (*azurekmstest.Vault, azurekms.Config, string) {
	t.Helper()
	vault := azurekmstest.New()
	server, identity := httptest.NewTLSServer(vault), httptest.NewServer(vault.Identity())
	t.Cleanup(server.Close)
	t.Cleanup(identity.Close)
	t.Setenv("HOME", t.TempDir())
	for variable, value := range map[string]string{"IDENTITY_ENDPOINT": identity.URL, "IDENTITY_HEADER": azurekmstest.Header,
		"AZURE_TENANT_ID": "", "AZURE_CLIENT_SECRET": "", "AZURE_FEDERATED_TOKEN_FILE": "", "PATH": t.TempDir()} {
		t.Setenv(variable, value)
	}
	config := azurekms.Config{Reach: keyservice.Reach{Transport: server.Client().Transport, Backoff: time.Millisecond}}
	return vault, config, "azurekms://" + server.Listener.Addr().String() + "/" + name
}

func version(t *testing.T, id, kind string) azurekmstest.Version {
	return azurekmstest.Version{ID: id, Private: keyservicetest.Generate(t, kind)}
}

func same(a, b crypto.PublicKey) bool {
	return a.(interface{ Equal(crypto.PublicKey) bool }).Equal(b)
}

func TestContract(t *testing.T) {
	vault, config, reference := serve(t)
	for _, kind := range []string{"P-256", "P-384", "P-521", "RSA-2048", "RSA-3072", "RSA-4096"} {
		for _, suffix := range []string{"", "-HSM"} {
			t.Run(kind+suffix, func(t *testing.T) {
				v := version(t, "v1", kind)
				if suffix != "" {
					v.Type = map[bool]string{true: "EC", false: "RSA"}[kind[0] == 'P'] + suffix
				}
				vault.Put(name, v)
				signer, err := azurekms.Open(t.Context(), config, reference)
				if err != nil {
					t.Fatal(err)
				}
				signingtest.Run(t, signer)
			})
		}
	}
}

// TestRequests: one that is challenged and one that has the token, then one for
// each signature.
func TestRequests(t *testing.T) {
	vault, config, reference := serve(t)
	vault.Put(name, version(t, "old", "P-256"), version(t, "new", "P-256"))
	host := strings.TrimSuffix(strings.TrimPrefix(reference, "azurekms://"), "/"+name)
	_, domain, _ := strings.Cut(host, ".")
	tokens := 0
	for suffix, recorded := range map[string]string{"": "new", "/": "new", "/old": "old"} {
		signer, err := azurekms.Open(t.Context(), config, reference+suffix)
		if err != nil {
			t.Fatal(err)
		}
		if signer.Version() != "https://"+host+"/keys/"+name+"/"+recorded {
			t.Errorf("%q: recorded as %s", suffix, signer.Version())
		}
		for range 3 {
			if _, err := signer.Sign(t.Context(), []byte("m")); err != nil {
				t.Fatal(err)
			}
		}
		got := vault.Requests()
		if i := slices.Index(got, "token for https://"+domain); i >= 0 {
			// The SDK keeps a managed identity's token for the process.
			got, tokens = slices.Delete(got, i, i+1), tokens+1
		}
		if !slices.Equal(got, []string{"challenge", "get", "sign", "sign", "sign"}) {
			t.Errorf("%q: requests are %v", suffix, got)
		}
	}
	if tokens != 1 {
		t.Errorf("%d tokens were asked for", tokens)
	}
}

// TestRotation: a new version changes neither a signer that is open nor what
// the old version signed; a disabled one no longer counts.
func TestRotation(t *testing.T) {
	vault, config, reference := serve(t)
	first, second := version(t, "v1", "P-256"), version(t, "v2", "RSA-2048")
	vault.Put(name, first)
	signer, err := azurekms.Open(t.Context(), config, reference)
	if err != nil {
		t.Fatal(err)
	}
	gone, koblitz := version(t, "v3", "P-384"), version(t, "v4", "P-256")
	gone.Disabled, koblitz.Curve = true, "P-256K"
	vault.Put(name, first, gone, koblitz, second)
	signingtest.Run(t, signer)
	if !strings.HasSuffix(signer.Version(), "/v1") {
		t.Errorf("recorded as %s", signer.Version())
	}
	keys, err := azurekms.Public(t.Context(), config, reference)
	if err != nil || len(keys) != 2 || !same(keys[0].Key, second.Private.Public()) || !same(keys[1].Key, first.Private.Public()) {
		t.Errorf("all that can verify: %v, %v", keys, err)
	}
	keys, err = azurekms.Public(t.Context(), config, reference+"/v1")
	if err != nil || len(keys) != 1 || !same(keys[0].Key, first.Private.Public()) || !strings.HasSuffix(keys[0].Version, "/v1") {
		t.Errorf("one version: %v, %v", keys, err)
	}
}

func TestListBounds(t *testing.T) {
	vault, config, reference := serve(t)
	v := version(t, "v", "P-256")
	vault.Put(name, slices.Repeat([]azurekmstest.Version{v}, limit.KeyVersions)...)
	var over *limit.Error
	if _, err := azurekms.Public(t.Context(), config, reference); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
	v.Disabled = true
	vault.Put(name, v)
	if _, err := azurekms.Public(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "no version that is enabled") {
		t.Errorf("none enabled: %v", err)
	}
	// A page that leads to another host is not followed there: the SDK would
	// send the token along.
	vault.Break(func(w http.ResponseWriter, _ *http.Request, operation string, _ int) bool {
		if operation == "list" {
			fmt.Fprint(w, `{"value":[],"nextLink":"https://elsewhere.example/keys"}`)
		}
		return operation == "list"
	})
	if _, err := azurekms.Public(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), `leads to "elsewhere.example", which is sent no token`) {
		t.Errorf("a foreign page: %v", err)
	}
}

func TestKeysRefused(t *testing.T) {
	vault, config, reference := serve(t)
	for want, change := range map[string]func(*azurekmstest.Version){
		"the version v1 is disabled":      func(v *azurekmstest.Version) { v.Disabled = true },
		"keys/get is not allowed (403":    func(v *azurekmstest.Version) { v.Denied = "get" },
		`type "oct-HSM": signing needs`:   func(v *azurekmstest.Version) { v.Type = "oct-HSM" },
		`curve "P-256K": signing needs`:   func(v *azurekmstest.Version) { v.Curve = "P-256K" },
		"coordinates are of 48 and 48":    func(v *azurekmstest.Version) { *v = version(t, "v1", "P-384"); v.Curve = "P-256" },
		"point not on curve":              func(v *azurekmstest.Version) { v.Curve = "P-384" },
		"there is no such key or version": func(v *azurekmstest.Version) { v.ID = "other" },
	} {
		v := version(t, "v1", "P-256")
		change(&v)
		vault.Put(name, v)
		for what, open := range map[string]func() (any, error){
			"open":   func() (any, error) { return azurekms.Open(t.Context(), config, reference+"/v1") },
			"public": func() (any, error) { return azurekms.Public(t.Context(), config, reference+"/v1") },
		} {
			if _, err := open(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), reference) {
				t.Errorf("%s: %v; want %q", what, err, want)
			}
		}
	}
	v := version(t, "v1", "P-256")
	v.Operations = []string{"verify"}
	vault.Put(name, v)
	if _, err := azurekms.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "without sign") {
		t.Errorf("not for signing: %v", err)
	}
	v.Denied = "list"
	vault.Put(name, v)
	if _, err := azurekms.Public(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "keys/list is not allowed (403 Forbidden)") {
		t.Errorf("may not list: %v", err)
	}
}

// TestLyingVault: another key's identifier, half a signature or another key's
// signature is an error.
func TestLyingVault(t *testing.T) {
	vault, config, reference := serve(t)
	v := version(t, "v1", "P-256")
	vault.Put(name, v)
	signer, err := azurekms.Open(t.Context(), config, reference)
	if err != nil {
		t.Fatal(err)
	}
	tell := func(operation string, value any) {
		vault.Break(func(w http.ResponseWriter, _ *http.Request, asked string, _ int) bool {
			if asked == operation {
				json.NewEncoder(w).Encode(value)
			}
			return asked == operation
		})
	}
	for want, value := range map[string]any{
		"signed with another key": map[string]string{"kid": signer.Version() + "2", "value": "AAAA"},
		"signature has 3 bytes":   map[string]string{"kid": signer.Version(), "value": "AAAA"},
		"does not verify":         map[string]string{"kid": signer.Version(), "value": strings.Repeat("A", 85) + "A"},
	} {
		tell("sign", value)
		if signature, err := signer.Sign(t.Context(), []byte("m")); err == nil || signature != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x, %v; want %q", signature, err, want)
		}
	}
	for want, value := range map[string]any{
		"no key in it":         map[string]any{},
		"answered about":       map[string]any{"key": map[string]string{"kid": "https://other.vault.azure.net/keys/release/v1", "kty": "EC"}},
		"answered with \"v2\"": map[string]any{"key": map[string]string{"kid": strings.TrimSuffix(signer.Version(), "1") + "2", "kty": "EC"}, "attributes": map[string]bool{"enabled": true}},
		"is disabled":          map[string]any{"key": map[string]string{"kid": signer.Version(), "kty": "EC"}},
		"no curve in it":       map[string]any{"key": map[string]string{"kid": signer.Version(), "kty": "EC"}, "attributes": map[string]bool{"enabled": true}},
		"modulus or exponent":  map[string]any{"key": map[string]string{"kid": signer.Version(), "kty": "RSA"}, "attributes": map[string]bool{"enabled": true}},
		"RSA key of 24 bits":   map[string]any{"key": map[string]string{"kid": signer.Version(), "kty": "RSA", "n": "__8B", "e": "AQAB"}, "attributes": map[string]bool{"enabled": true}},
	} {
		tell("get", value)
		if signer, err := azurekms.Open(t.Context(), config, reference+"/v1"); err == nil || signer != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want %q", signer, err, want)
		}
	}
	vault.Break(nil)
	v.Forge = keyservicetest.Generate(t, "P-256")
	vault.Put(name, v)
	if signature, err := signer.Sign(t.Context(), []byte("m")); !errors.Is(err, signing.ErrOtherSignature) || signature != nil {
		t.Errorf("forged: %x, %v", signature, err)
	}
}

// TestChallenges: a challenge that is none of a vault's is an error, and gets
// no token.
func TestChallenges(t *testing.T) {
	vault, config, reference := serve(t)
	vault.Put(name, version(t, "v1", "P-256"))
	for challenge, want := range map[string]string{
		"":                         "this is no vault's answer",
		`Bearer authorization="x"`: "this is no vault's answer",
		`Basic realm="x"`:          "this is no vault's answer",
		`Bearer authorization="https://login.example/t", resource="https://vault.azure.net"`: "doesn't match the requested domain",
	} {
		vault.Break(func(w http.ResponseWriter, _ *http.Request, operation string, _ int) bool {
			if operation == "challenge" {
				w.Header().Set("WWW-Authenticate", challenge)
				w.WriteHeader(http.StatusUnauthorized)
			}
			return operation == "challenge"
		})
		if _, err := azurekms.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", challenge, err)
		}
		for _, request := range vault.Requests() {
			if request != "challenge" {
				t.Errorf("%q: then %s was asked for", challenge, request)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	vault, config, reference := serve(t)
	v := version(t, "v1", "P-256")
	vault.Put(name, v)
	signer, err := azurekms.Open(t.Context(), config, reference)
	if err != nil {
		t.Fatal(err)
	}
	for want, fault := range map[string]struct {
		answer   func(w http.ResponseWriter, r *http.Request)
		attempts int
	}{
		"still throttled after 4 attempts": {func(w http.ResponseWriter, _ *http.Request) { azurekmstest.Fail(w, 429, "Throttled", "", "slow") }, keyservice.Attempts},
		"the vault refused (503":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, keyservice.Attempts},
		"EOF":                              {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, keyservice.Attempts},
		"keys/sign is not allowed (403":    {func(w http.ResponseWriter, _ *http.Request) { azurekmstest.Fail(w, 403, "Forbidden", "", "no") }, 1},
		"disabled, or outside of its dates": {func(w http.ResponseWriter, _ *http.Request) {
			azurekmstest.Fail(w, 403, "Forbidden", "KeyDisabled", "no")
		}, 1},
		"being deleted": {func(w http.ResponseWriter, _ *http.Request) {
			azurekmstest.Fail(w, 409, "Conflict", "ObjectIsBeingDeleted", "no")
		}, 1},
		`redirects to "elsewhere.example"`: {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
		}, 1},
		"keys/sign: unmarshalling": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"ki`) }, 1},
	} {
		vault.Break(func(w http.ResponseWriter, r *http.Request, _ string, _ int) bool {
			fault.answer(w, r)
			return true
		})
		signature, err := signer.Sign(t.Context(), []byte("m"))
		if err == nil || signature != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), reference) || strings.Contains(err.Error(), azurekmstest.Token) {
			t.Errorf("%x, %v; want %q", signature, err, want)
		}
		if got := len(vault.Requests()); got != fault.attempts {
			t.Errorf("%s: %d requests, want %d", want, got, fault.attempts)
		}
	}
	for want, content := range map[string]string{"unexpected EOF": `{"kid":`, "larger than the bound": strings.Repeat("x", limit.ServiceAnswer+1)} {
		vault.Break(func(w http.ResponseWriter, _ *http.Request, _ string, _ int) bool {
			if want == "unexpected EOF" {
				w.Header().Set("Content-Length", "100")
			}
			io.WriteString(w, content)
			return true
		})
		if signature, err := signer.Sign(t.Context(), []byte("m")); err == nil || signature != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x, %v; want %q", signature, err, want)
		}
	}
	vault.Break(func(w http.ResponseWriter, _ *http.Request, _ string, n int) bool {
		if n <= 2 {
			azurekmstest.Fail(w, 429, "Throttled", "", "slow")
		}
		return n <= 2
	})
	if _, err := signer.Sign(t.Context(), []byte("m")); err != nil || len(vault.Requests()) != 3 {
		t.Errorf("recovered: %v", err)
	}
	vault.Break(nil)
	v.Disabled = true
	vault.Put(name, v)
	if _, err := signer.Sign(t.Context(), []byte("m")); err == nil || !strings.Contains(err.Error(), "the key is disabled") {
		t.Errorf("disabled: %v", err)
	}
}

// TestNoAnswer: a context that ends while the vault is silent ends the call.
func TestNoAnswer(t *testing.T) {
	vault, config, reference := serve(t)
	vault.Put(name, version(t, "v1", "P-256"))
	for _, silent := range []string{"challenge", "get", "sign"} {
		ctx, cancel := context.WithCancel(t.Context())
		vault.Break(func(_ http.ResponseWriter, r *http.Request, operation string, _ int) bool {
			if operation == silent {
				io.Copy(io.Discard, r.Body)
				cancel()
				<-r.Context().Done()
			}
			return operation == silent
		})
		signer, err := azurekms.Open(ctx, config, reference)
		if err == nil {
			_, err = signer.Sign(ctx, []byte("m"))
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", silent, err)
		}
	}
}

// TestCredentials: what the identity's endpoint echoes is not shown, and a
// method that is not there is said to be missing.
func TestCredentials(t *testing.T) {
	vault, config, reference := serve(t)
	vault.Put(name, version(t, "v1", "P-256"))
	t.Setenv("IDENTITY_HEADER", "a-stale-header")
	if _, err := azurekms.Open(t.Context(), config, reference); err == nil || strings.Contains(err.Error(), "stale") || !strings.Contains(err.Error(), reference) {
		t.Errorf("refused: %v", err)
	}
	for method, want := range map[azurekms.Method]string{"environment": "no Azure credentials: missing environment variable AZURE_TENANT_ID", "cli": "AzureCLICredential: executable not found", "magic": `no method is called "magic"`} {
		config.Method = method
		if _, err := azurekms.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestReferencesRefused(t *testing.T) {
	for _, text := range []string{"", "azurekms://", "azurekms://v.vault.azure.net", "azurekms://v.vault.azure.net/", "azurekms://v.vault.azure.net/a_b",
		"azurekms://v.vault.azure.net/k/v/x", "azurekms://user@v.vault.azure.net/k", "azurekms://v.vault.azure.net/k?x", "awskms:///alias/x"} {
		if _, err := azurekms.Open(t.Context(), azurekms.Config{}, text); err == nil || !strings.Contains(err.Error(), "want azurekms://") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
