package vault_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/signing/signingtest"
	"github.com/seed-161fc314/assay/internal/port/signing/vault"
	"github.com/seed-161fc314/assay/internal/port/signing/vault/vaulttest"
)

func config(v *vaulttest.Vault) vault.Config {
	return vault.Config{Address: v.URL, Token: v.Token, Pause: time.Microsecond}
}

// refuses wants an error with words, and without the token.
func refuses(t *testing.T, v *vaulttest.Vault, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", want)
	}
	for _, words := range want {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("want %q in: %v", words, err)
		}
	}
	if v != nil && (strings.Contains(err.Error(), v.Token) || v.JWT != "" && strings.Contains(err.Error(), v.JWT)) {
		t.Errorf("a secret stands in: %v", err)
	}
}

func TestContract(t *testing.T) {
	v := vaulttest.New(t)
	for _, kind := range []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			v.Create(t, kind, kind)
			signer, err := vault.Open(t.Context(), config(v), "hashivault://"+kind)
			if err != nil {
				t.Fatal(err)
			}
			signingtest.Run(t, signer)
		})
	}
}

// TestRotation: a signer keeps to the version that was the latest when it was
// opened, and Public knows all versions.
func TestRotation(t *testing.T) {
	v := vaulttest.New(t)
	v.Create(t, "release", "ecdsa-p256")
	first, err := vault.Open(t.Context(), config(v), "openbao://release")
	if err != nil {
		t.Fatal(err)
	}
	v.Asked()
	keys, err := vault.Rotate(t.Context(), config(v), "hashivault://release")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"GET /v1/transit/keys/release", "POST /v1/transit/keys/release/rotate", "GET /v1/transit/keys/release"}; !slices.Equal(v.Asked(), want) {
		t.Errorf("asked for other things than %v", want)
	}
	second, err := vault.Open(t.Context(), config(v), "hashivault://release")
	if err != nil {
		t.Fatal(err)
	}
	if first.KeyID() == second.KeyID() || first.Version() != "1" || second.Version() != "2" {
		t.Errorf("versions %s and %s, keys %s and %s", first.Version(), second.Version(), first.KeyID(), second.KeyID())
	}
	wantKeys(t, keys, second.Public(), first.Public())
	signingtest.Run(t, first)
	signingtest.Run(t, second)
	keys, err = vault.Public(t.Context(), config(v), "hashivault://release")
	if err != nil {
		t.Fatal(err)
	}
	wantKeys(t, keys, second.Public(), first.Public())

	v.Archive("release", 2)
	if keys, err = vault.Public(t.Context(), config(v), "hashivault://release"); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, keys, second.Public())
	_, err = first.Sign(t.Context(), []byte("m"))
	refuses(t, v, err, "version 1 of key release", "does not sign with that version any more", "sign again")
	v.Delete("release")
	_, err = second.Sign(t.Context(), []byte("m"))
	refuses(t, v, err, "no such key any more")
	_, err = vault.Rotate(t.Context(), config(v), "hashivault://release")
	refuses(t, v, err, "has no key release at transit/")
}

func wantKeys(t *testing.T, keys []vault.PublicKey, want ...crypto.PublicKey) {
	t.Helper()
	if len(keys) != len(want) {
		t.Fatalf("%d keys, want %d", len(keys), len(want))
	}
	for i := range keys {
		got, err := identity.KeyOf(keys[i].Key)
		if err != nil {
			t.Fatal(err)
		}
		if wanted, err := identity.KeyOf(want[i]); err != nil || got != wanted {
			t.Errorf("key %d (version %s) is %s, want %s, %v", i, keys[i].Version, got, wanted, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	v := vaulttest.New(t)
	v.Create(t, "release", "ecdsa-p256")
	v.Create(t, "secret", "aes256-gcm96")
	for name, test := range map[string]struct {
		reference string
		change    func(*vault.Config)
		want      []string
	}{
		"no such key":     {"hashivault://other", nil, []string{"hashivault://other", v.URL, "has no key other at transit/"}},
		"cannot sign":     {"hashivault://secret", nil, []string{`type "aes256-gcm96", which does not sign`, "ecdsa-p256"}},
		"other scheme":    {"awskms://release", nil, []string{"is no key in Vault"}},
		"path in the key": {"hashivault://../sys/seal", nil, []string{"is no key in Vault"}},
		"no key":          {"hashivault://", nil, []string{"is no key in Vault"}},
		"wrong token":     {"hashivault://release", func(c *vault.Config) { c.Token = "hvs.other" }, []string{"denies transit/keys/release (403: permission denied)"}},
		"no token":        {"hashivault://release", func(c *vault.Config) { c.Token = "" }, []string{"set VAULT_TOKEN"}},
		"torn token":      {"hashivault://release", func(c *vault.Config) { c.Token += "\n" }, []string{"no header takes"}},
		"no address":      {"hashivault://release", func(c *vault.Config) { c.Address = "" }, []string{"set VAULT_ADDR"}},
		"address no URL":  {"hashivault://release", func(c *vault.Config) { c.Address = "vault:8200" }, []string{"is no URL"}},
		"user in address": {"hashivault://release", func(c *vault.Config) { c.Address = "http://me:hvs.test-token@localhost" }, []string{"has a user name"}},
		"other mount":     {"hashivault://release", func(c *vault.Config) { c.Mount = "team/transit" }, []string{"404", "no handler for route"}},
		"mount goes up":   {"hashivault://release", func(c *vault.Config) { c.Mount = "../sys" }, []string{"is no mount"}},
		"other namespace": {"hashivault://release", func(c *vault.Config) { c.Namespace = "team" }, []string{"404"}},
		"no authorities":  {"hashivault://release", func(c *vault.Config) { c.CA = []byte("x") }, []string{"hold no certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(v)
			if test.change != nil {
				test.change(&c)
			}
			signer, err := vault.Open(t.Context(), c, test.reference)
			if signer != nil {
				t.Error("a signer came beside the error")
			}
			refuses(t, v, err, test.want...)
			keys, err := vault.Public(t.Context(), c, test.reference)
			if keys != nil {
				t.Error("keys came beside the error")
			}
			refuses(t, v, err, test.want...)
		})
	}
	// A trailing slash and a namespace are no other address.
	v.Namespace = "team/ml"
	c := config(v)
	c.Address, c.Namespace, c.Mount = v.URL+"/", "team/ml", "/transit/"
	if _, err := vault.Open(t.Context(), c, "hashivault://release"); err != nil {
		t.Error(err)
	}
}

func TestLogin(t *testing.T) {
	v := vaulttest.New(t)
	v.Create(t, "release", "ecdsa-p256")
	v.Role, v.JWT = "ci", "eyJ.secret.jwt"
	c := config(v)
	c.Token, c.Login = "", vault.Login{Role: "ci", JWT: v.JWT}
	signer, err := vault.Open(t.Context(), c, "hashivault://release")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign(t.Context(), []byte("m")); err != nil {
		t.Error(err)
	}
	if asked := v.Asked(); !slices.Equal(asked, []string{"POST /v1/auth/jwt/login", "GET /v1/transit/keys/release", "POST /v1/transit/sign/release"}) {
		t.Errorf("asked %v", asked)
	}
	for name, test := range map[string]struct {
		login vault.Login
		want  string
	}{
		"wrong role": {vault.Login{Role: "admin", JWT: v.JWT}, "[secret]: no known key"},
		"no role":    {vault.Login{JWT: v.JWT}, "needs a role"},
		"no path":    {vault.Login{Role: "ci", JWT: v.JWT, Path: "kubernetes"}, "denies auth/kubernetes/login"},
		"goes up":    {vault.Login{Role: "ci", JWT: v.JWT, Path: "../sys"}, "the path of a login method"},
	} {
		c.Login = test.login
		_, err := vault.Open(t.Context(), c, "hashivault://release")
		t.Log(name)
		refuses(t, v, err, test.want)
	}
}

// TestFaults breaks each of the two questions, and wants no signature.
func TestFaults(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s reached another host, with token %q", r.Method, r.URL, r.Header.Get("X-Vault-Token"))
	}))
	defer elsewhere.Close()
	release := make(chan struct{})
	defer close(release)
	whole := func(status int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		fault   func(http.ResponseWriter, *http.Request)
		timeout time.Duration
		tries   int
		want    string
	}{
		"sealed":        {func(w http.ResponseWriter, _ *http.Request) { vaulttest.Refuse(w, 503, "Vault is sealed") }, 0, 1, "is sealed; unseal it"},
		"standby":       {func(w http.ResponseWriter, _ *http.Request) { vaulttest.Refuse(w, 503) }, 0, 4, "answers 503"},
		"throttled":     {func(w http.ResponseWriter, _ *http.Request) { vaulttest.Refuse(w, 429, "too many") }, 0, 4, "answers 429"},
		"broken inside": {func(w http.ResponseWriter, _ *http.Request) { vaulttest.Refuse(w, 500, "1 error occurred") }, 0, 1, "answers 500"},
		"bad gateway":   {whole(502, "<html>"), 0, 1, "not in Vault's words"},
		"denied": {func(w http.ResponseWriter, _ *http.Request) {
			vaulttest.Refuse(w, 403, "permission denied hvs.test-token")
		}, 0, 1, "403: permission denied [secret]"},
		"long words":     {func(w http.ResponseWriter, _ *http.Request) { vaulttest.Refuse(w, 400, strings.Repeat("x", 1000)) }, 0, 1, "xxx…"},
		"too long":       {whole(413, ""), 0, 1, "413"},
		"half an answer": {whole(200, `{"data": {"signature": "vault:v1:`), 0, 1, "only half of it"},
		"two answers":    {whole(200, `{} {}`), 0, 1, "only half of it"},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"data":`)
		}, 0, 1, "broke off in the middle"},
		"nothing in it":  {whole(200, `{"data": {}}`), 0, 1, ""},
		"over the bound": {whole(200, `{"data": "`+strings.Repeat("x", limit.ServiceAnswer)+`"}`), 0, 1, "bound of"},
		"silent":         {func(_ http.ResponseWriter, r *http.Request) { wait(r, release) }, 20 * time.Millisecond, 1, "gave no answer within 20ms"},
		"another host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}, 0, 1, "redirects to"},
		"round and round": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, 0, 4, "redirects more than 3 times"},
		"an empty success": {whole(204, ""), 0, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := vaulttest.New(t)
			v.Create(t, "release", "ecdsa-p256")
			c := config(v)
			c.Timeout = test.timeout
			signer, err := vault.Open(t.Context(), config(v), "hashivault://release")
			if err != nil {
				t.Fatal(err)
			}
			if test.timeout > 0 {
				if signer, err = vault.Open(t.Context(), vault.Config{Address: v.URL, Token: v.Token, Timeout: time.Minute}, "hashivault://release"); err != nil {
					t.Fatal(err)
				}
			}
			v.Break(func(w http.ResponseWriter, r *http.Request) bool { test.fault(w, r); return true })
			v.Asked()
			_, err = vault.Open(t.Context(), c, "hashivault://release")
			refuses(t, v, err, test.want, v.URL)
			if asked := v.Asked(); len(asked) != test.tries {
				t.Errorf("asked %d times, want %d", len(asked), test.tries)
			}
			ctx := t.Context()
			if test.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.timeout)
				defer cancel()
				test.want = "deadline exceeded"
			}
			signature, err := signer.Sign(ctx, []byte("m"))
			if signature != nil {
				t.Errorf("a signature came beside the error: %x", signature)
			}
			refuses(t, v, err, test.want, v.URL)
			if asked := v.Asked(); len(asked) != test.tries {
				t.Errorf("signing asked %d times, want %d", len(asked), test.tries)
			}
		})
	}
}

// wait reads the request first: a server sees that the client is gone only
// then.
func wait(r *http.Request, release chan struct{}) {
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case <-r.Context().Done():
	case <-release:
	}
}

func TestBusyOnce(t *testing.T) {
	v := vaulttest.New(t)
	v.Create(t, "release", "ecdsa-p256")
	busy := func(times, status int) {
		v.Break(func(w http.ResponseWriter, _ *http.Request) bool {
			if times--; times < 0 {
				return false
			}
			vaulttest.Refuse(w, status)
			return true
		})
	}
	for _, status := range []int{429, 503} {
		busy(3, status)
		signer, err := vault.Open(t.Context(), config(v), "hashivault://release")
		if err != nil {
			t.Fatal(err)
		}
		busy(3, status)
		if _, err := signer.Sign(t.Context(), []byte("m")); err != nil {
			t.Error(err)
		}
	}
	// Rotating is asked for once: each time makes a version.
	v.Break(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/rotate") {
			return false
		}
		vaulttest.Refuse(w, 503)
		return true
	})
	v.Asked()
	_, err := vault.Rotate(t.Context(), config(v), "hashivault://release")
	refuses(t, v, err, "rotating", "503")
	if asked := v.Asked(); len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
	// A Vault that only says that it rotated.
	v.Break(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/rotate") {
			w.WriteHeader(http.StatusNoContent)
			return true
		}
		return false
	})
	_, err = vault.Rotate(t.Context(), config(v), "hashivault://release")
	refuses(t, v, err, "its latest version is 1 as before")
	// The pause ends with the context.
	v.Break(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "3600")
		vaulttest.Refuse(w, 429)
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := vault.Open(ctx, config(v), "hashivault://release"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestLyingVault: what does not verify is not handed out.
func TestLyingVault(t *testing.T) {
	for _, kind := range []string{"ecdsa-p256", "rsa-2048", "ed25519"} {
		v := vaulttest.New(t)
		v.Create(t, "release", kind)
		v.Create(t, "thief", kind)
		signer, err := vault.Open(t.Context(), config(v), "hashivault://release")
		if err != nil {
			t.Fatal(err)
		}
		other, err := vault.Open(t.Context(), config(v), "hashivault://thief")
		if err != nil {
			t.Fatal(err)
		}
		good, err := signer.Sign(t.Context(), []byte("m"))
		if err != nil {
			t.Fatal(err)
		}
		stolen, err := other.Sign(t.Context(), []byte("m"))
		if err != nil {
			t.Fatal(err)
		}
		base := base64.StdEncoding.EncodeToString
		for name, test := range map[string]struct{ signature, want string }{
			"another key":     {"vault:v1:" + base(stolen), "does not verify"},
			"another version": {"vault:v2:" + base(good), "asked for was v1"},
			"another text":    {"vault:v1:" + base(good[:len(good)-1]), "does not verify"},
			"nothing":         {"", "is not vault:vVERSION:BASE64"},
			"no signature":    {"vault:v1:", "does not verify"},
			"no base64":       {"vault:v1:***", "no base64"},
			"no prefix":       {base(good), "is not vault:vVERSION:BASE64"},
			"more behind":     {"vault:v1:" + base(good) + ":x", "is not vault:vVERSION:BASE64"},
		} {
			v.Break(func(w http.ResponseWriter, _ *http.Request) bool {
				vaulttest.Answer(w, map[string]any{"data": map[string]any{"signature": test.signature}})
				return true
			})
			signature, err := signer.Sign(t.Context(), []byte("m"))
			if signature != nil {
				t.Errorf("%s, %s: a signature came", kind, name)
			}
			refuses(t, v, err, test.want)
		}
	}
}

// TestPublicRefuses has keys that Vault would not answer with.
func TestPublicRefuses(t *testing.T) {
	v := vaulttest.New(t)
	v.Create(t, "release", "ecdsa-p256")
	many := map[string]any{}
	for i := range limit.KeyVersions + 1 {
		many[strings.Repeat("x", i+1)] = 1
	}
	weak := "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK\n-----END PUBLIC KEY-----\n"
	for name, test := range map[string]struct {
		data map[string]any
		want string
	}{
		"no keys":           {map[string]any{"type": "ed25519", "latest_version": 1, "supports_signing": true}, "without saying what it is"},
		"no version":        {map[string]any{"type": "ed25519", "supports_signing": true, "keys": map[string]any{"1": 1}}, "without saying what it is"},
		"latest is missing": {map[string]any{"type": "ed25519", "latest_version": 2, "supports_signing": true, "keys": map[string]any{"1": map[string]any{}}}, "version"},
		"no public key":     {map[string]any{"type": "ed25519", "latest_version": 1, "supports_signing": true, "keys": map[string]any{"1": map[string]any{}}}, "not 32 bytes in base64"},
		"only a number":     {map[string]any{"type": "ecdsa-p256", "latest_version": 1, "supports_signing": true, "keys": map[string]any{"1": 1442851412}}, "no PEM block"},
		"broken PEM":        {map[string]any{"type": "rsa-2048", "latest_version": 1, "supports_signing": true, "keys": map[string]any{"1": map[string]any{"public_key": weak}}}, "version 1 of the key"},
		"derived":           {map[string]any{"type": "ed25519", "derived": true, "latest_version": 1, "supports_signing": true, "keys": map[string]any{"1": map[string]any{"public_key": ""}}}, "derived ed25519"},
		"too many":          {map[string]any{"type": "ed25519", "latest_version": 1, "supports_signing": true, "keys": many}, "bound of 1000 versions"},
		"keys is a list":    {map[string]any{"type": "ed25519", "latest_version": 1, "supports_signing": true, "keys": []int{1}}, "is no JSON, or only half of it"},
	} {
		v.Break(func(w http.ResponseWriter, _ *http.Request) bool {
			vaulttest.Answer(w, map[string]any{"data": test.data})
			return true
		})
		t.Log(name)
		_, err := vault.Public(t.Context(), config(v), "hashivault://release")
		refuses(t, v, err, test.want)
		_, err = vault.Open(t.Context(), config(v), "hashivault://release")
		refuses(t, v, err, test.want)
	}
	v.Break(func(w http.ResponseWriter, _ *http.Request) bool {
		vaulttest.Answer(w, map[string]any{"data": map[string]any{"type": "ed25519", "latest_version": 1, "supports_signing": true,
			"keys": map[string]any{"1": map[string]any{"public_key": base64.StdEncoding.EncodeToString(make([]byte, 32))}, "01": map[string]any{}}}})
		return true
	})
	_, err := vault.Public(t.Context(), config(v), "hashivault://release")
	refuses(t, v, err, `version "01", which is no number`)
}

func TestTLS(t *testing.T) {
	v := vaulttest.NewTLS(t)
	v.Create(t, "release", "ecdsa-p256")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.Server.Certificate().Raw})
	open := func(change func(*vault.Config)) error {
		c := config(v)
		change(&c)
		_, err := vault.Open(t.Context(), c, "hashivault://release")
		return err
	}
	if err := open(func(c *vault.Config) { c.CA = ca }); err != nil {
		t.Error(err)
	}
	if err := open(func(c *vault.Config) { c.SkipVerifyUnsafe = true }); err != nil {
		t.Error(err)
	}
	if err := open(func(c *vault.Config) { c.CA, c.ServerName = ca, "example.com" }); err != nil {
		t.Error(err)
	}
	refuses(t, v, open(func(*vault.Config) {}), "cannot be reached", "certificate")
	refuses(t, v, open(func(c *vault.Config) { c.CA, c.ServerName = ca, "vault.other" }), "certificate is valid for", "vault.other")
	if asked := v.Asked(); len(asked) != 3 {
		t.Errorf("asked %v", asked)
	}
	v.Server.Close()
	refuses(t, v, open(func(c *vault.Config) { c.CA = ca }), "cannot be reached")
}

// TestEd25519SendsTheMessage: and the others only its digest.
func TestEd25519SendsTheMessage(t *testing.T) {
	v := vaulttest.New(t)
	for kind, want := range map[string]int{"ed25519": 1000, "ecdsa-p256": 32, "ecdsa-p384": 48, "ecdsa-p521": 64, "rsa-2048": 32} {
		v.Create(t, kind, kind)
		signer, err := vault.Open(t.Context(), config(v), "hashivault://"+kind)
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		v.Break(func(w http.ResponseWriter, r *http.Request) bool {
			var ask struct{ Input []byte }
			if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
				t.Error(err)
			}
			sent = len(ask.Input)
			vaulttest.Refuse(w, 400)
			return true
		})
		if _, err := signer.Sign(t.Context(), make([]byte, 1000)); err == nil || sent != want {
			t.Errorf("%s: sent %d bytes, want %d; %v", kind, sent, want, err)
		}
		v.Break(nil)
	}
}
