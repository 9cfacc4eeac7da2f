package gcpkms_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/gcpkms"
	"github.com/seed-161fc314/assay/internal/port/signing/gcpkms/gcpkmstest"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice/keyservicetest"
	"github.com/seed-161fc314/assay/internal/port/signing/signingtest"
)

const (
	name      = "projects/p/locations/global/keyRings/r/cryptoKeys/k"
	reference = "gcpkms://" + name
)

// serve starts a service over TLS, and a metadata server: what a pod on GKE
// with workload identity has, without a key file.
func serve(t *testing.T) (*gcpkmstest.Service, gcpkms.Config) {
	t.Helper()
	service := gcpkmstest.New()
	server, metadata := httptest.NewTLSServer(service), httptest.NewServer(service.Metadata())
	t.Cleanup(server.Close)
	t.Cleanup(metadata.Close)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("GCE_METADATA_HOST", metadata.Listener.Addr().String())
	return service, gcpkms.Config{Endpoint: server.URL + "/", Reach: keyservice.Reach{Transport: server.Client().Transport, Backoff: time.Millisecond}}
}

func version(t *testing.T, kind string) gcpkmstest.Version {
	return gcpkmstest.Version{Private: keyservicetest.Generate(t, kind), Algorithm: gcpkmstest.Algorithms[kind]}
}

func same(a, b crypto.PublicKey) bool {
	return a.(interface{ Equal(crypto.PublicKey) bool }).Equal(b)
}

func TestContract(t *testing.T) {
	service, config := serve(t)
	for kind := range gcpkmstest.Algorithms {
		t.Run(kind, func(t *testing.T) {
			service.Put(name, version(t, kind))
			signer, err := gcpkms.Open(t.Context(), config, reference)
			if err != nil {
				t.Fatal(err)
			}
			signingtest.Run(t, signer)
		})
	}
}

// TestRequests: the token once, a list only without a version, one request for
// the public key and for each signature.
func TestRequests(t *testing.T) {
	service, config := serve(t)
	service.Put(name, version(t, "P-256"), version(t, "P-256"))
	for suffix, want := range map[string][]string{
		"":                     {"metadata token", "list", "publicKey", "asymmetricSign", "asymmetricSign", "asymmetricSign"},
		"/cryptoKeyVersions/2": {"metadata token", "publicKey", "asymmetricSign", "asymmetricSign", "asymmetricSign"},
		"/versions/2":          {"metadata token", "publicKey", "asymmetricSign", "asymmetricSign", "asymmetricSign"},
	} {
		signer, err := gcpkms.Open(t.Context(), config, reference+suffix)
		if err != nil {
			t.Fatal(err)
		}
		if signer.Version() != name+"/cryptoKeyVersions/2" {
			t.Errorf("%q: recorded as %s", suffix, signer.Version())
		}
		for range 3 {
			if _, err := signer.Sign(t.Context(), []byte("m")); err != nil {
				t.Fatal(err)
			}
		}
		if got := service.Requests(); !slices.Equal(got, want) {
			t.Errorf("%q: requests are %v", suffix, got)
		}
	}
}

// TestRotation: a new version changes neither a signer that is open nor what
// the old version signed; a disabled one no longer counts.
func TestRotation(t *testing.T) {
	service, config := serve(t)
	first, second := version(t, "P-256"), version(t, "RSA-2048")
	service.Put(name, first)
	signer, err := gcpkms.Open(t.Context(), config, reference)
	if err != nil {
		t.Fatal(err)
	}
	raw := gcpkmstest.Version{Private: keyservicetest.Generate(t, "RSA-2048"), Algorithm: "RSA_SIGN_RAW_PKCS1_2048"}
	gone := version(t, "P-384")
	gone.State = "DISABLED"
	service.Put(name, first, raw, second, gone)
	signingtest.Run(t, signer)
	if signer.Version() != name+"/cryptoKeyVersions/1" {
		t.Errorf("recorded as %s", signer.Version())
	}
	newer, err := gcpkms.Open(t.Context(), config, reference)
	if err != nil || newer.Version() != name+"/cryptoKeyVersions/3" {
		t.Errorf("the newest enabled is %v, %v", newer, err)
	}
	keys, err := gcpkms.Public(t.Context(), config, reference)
	if err != nil || len(keys) != 2 || !same(keys[0].Key, second.Private.Public()) || !same(keys[1].Key, first.Private.Public()) {
		t.Errorf("all that can verify: %v, %v", keys, err)
	}
	keys, err = gcpkms.Public(t.Context(), config, reference+"/versions/1")
	if err != nil || len(keys) != 1 || !same(keys[0].Key, first.Private.Public()) || keys[0].Version != name+"/cryptoKeyVersions/1" {
		t.Errorf("one version: %v, %v", keys, err)
	}
}

// TestManyVersions: numbers are numbers, over several pages.
func TestManyVersions(t *testing.T) {
	service, config := serve(t)
	var versions []gcpkmstest.Version
	for range 11 {
		versions = append(versions, version(t, "P-256"))
	}
	service.Put(name, versions...)
	signer, err := gcpkms.Open(t.Context(), config, reference)
	if err != nil || signer.Version() != name+"/cryptoKeyVersions/11" {
		t.Errorf("the newest is %v, %v", signer, err)
	}
	service.Page = 1000
	one := version(t, "P-256")
	one.State = "DISABLED"
	service.Put(name, slices.Repeat([]gcpkmstest.Version{one}, 3)...)
	if _, err := gcpkms.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "no version that is enabled") {
		t.Errorf("none enabled: %v", err)
	}
	one.State = ""
	service.Put(name, slices.Repeat([]gcpkmstest.Version{one}, limit.KeyVersions)...)
	var over *limit.Error
	if _, err := gcpkms.Open(t.Context(), config, reference); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
	// Pages without an end, and without a version on them.
	service.Break(func(w http.ResponseWriter, _ *http.Request, operation string, _ int) bool {
		if operation == "list" {
			fmt.Fprint(w, `{"nextPageToken":"again"}`)
		}
		return operation == "list"
	})
	if _, err := gcpkms.Open(t.Context(), config, reference); !errors.As(err, &over) {
		t.Errorf("endless pages: %v", err)
	}
}

func TestKeysRefused(t *testing.T) {
	service, config := serve(t)
	for want, change := range map[string]func(*gcpkmstest.Version){
		"current state is: DISABLED.":                           func(v *gcpkmstest.Version) { v.State = "DISABLED" },
		"current state is: DESTROY_SCHEDULED.":                  func(v *gcpkmstest.Version) { v.State = "DESTROY_SCHEDULED" },
		"cloudkms.cryptoKeyVersions.viewPublicKey is not allow": func(v *gcpkmstest.Version) { v.Denied = "publicKey" },
		`"RSA_SIGN_PSS_2048_SHA256": signing needs`:             func(v *gcpkmstest.Version) { v.Algorithm = "RSA_SIGN_PSS_2048_SHA256" },
		`"RSA_SIGN_PKCS1_4096_SHA512": signing needs`:           func(v *gcpkmstest.Version) { v.Algorithm = "RSA_SIGN_PKCS1_4096_SHA512" },
		`"EC_SIGN_SECP256K1_SHA256": signing needs`:             func(v *gcpkmstest.Version) { v.Algorithm = "EC_SIGN_SECP256K1_SHA256" },
		"ECDSA curve P-224 is not accepted":                     func(v *gcpkmstest.Version) { v.Private = keyservicetest.Generate(t, "P-224") },
	} {
		v := version(t, "P-256")
		change(&v)
		service.Put(name, v)
		for what, open := range map[string]func() (any, error){
			"open":   func() (any, error) { return gcpkms.Open(t.Context(), config, reference+"/versions/1") },
			"public": func() (any, error) { return gcpkms.Public(t.Context(), config, reference+"/versions/1") },
		} {
			if _, err := open(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), reference) {
				t.Errorf("%s: %v; want %q", what, err, want)
			}
		}
	}
	// The only enabled version cannot sign: its reason, not an empty list.
	v := version(t, "P-256")
	v.Algorithm = "RSA_DECRYPT_OAEP_2048_SHA256"
	service.Put(name, v)
	if keys, err := gcpkms.Public(t.Context(), config, reference); err == nil || keys != nil || !strings.Contains(err.Error(), "signing needs") {
		t.Errorf("public keys %v, %v", keys, err)
	}
	v.Denied = "list"
	service.Put(name, v)
	if _, err := gcpkms.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "cloudkms.cryptoKeyVersions.list is not allowed (403 PERMISSION_DENIED)") {
		t.Errorf("may not list: %v", err)
	}
	for _, missing := range []string{"gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/none", reference + "/versions/7"} {
		if _, err := gcpkms.Open(t.Context(), config, missing); err == nil || !strings.Contains(err.Error(), "there is no such key or version (404 NOT_FOUND)") {
			t.Errorf("%s: %v", missing, err)
		}
	}
}

// TestLyingService: a name, a checksum or a signature that is not what was
// asked for is an error.
func TestLyingService(t *testing.T) {
	service, config := serve(t)
	v := version(t, "P-256")
	service.Put(name, v)
	full := name + "/cryptoKeyVersions/1"
	pem := keyservicetest.PEM(v.Private.Public())
	tell := func(operation string, value map[string]any) {
		service.Break(func(w http.ResponseWriter, _ *http.Request, asked string, _ int) bool {
			if asked == operation {
				json.NewEncoder(w).Encode(value)
			}
			return asked == operation
		})
	}
	for want, value := range map[string]map[string]any{
		"answered with that of":      {"name": name + "/cryptoKeyVersions/2", "algorithm": v.Algorithm, "pem": pem, "pemCrc32c": gcpkmstest.Sum([]byte(pem))},
		"the public key was damaged": {"name": full, "algorithm": v.Algorithm, "pem": pem, "pemCrc32c": "1"},
		`the service says ""`:        {"name": full, "algorithm": v.Algorithm, "pem": pem},
		"no PEM block found":         {"name": full, "algorithm": v.Algorithm, "pem": "", "pemCrc32c": "0"},
		"no JSON of the kind":        {"name": 7},
	} {
		tell("publicKey", value)
		if signer, err := gcpkms.Open(t.Context(), config, reference); err == nil || signer != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want %q", signer, err, want)
		}
	}
	tell("list", map[string]any{"cryptoKeyVersions": []map[string]string{{"name": "projects/other/cryptoKeyVersions/1", "state": "ENABLED"}}})
	if _, err := gcpkms.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), `lists "projects/other`) {
		t.Errorf("a version of another key: %v", err)
	}
	service.Break(nil)
	signer, err := gcpkms.Open(t.Context(), config, reference)
	if err != nil {
		t.Fatal(err)
	}
	good := base64.StdEncoding.EncodeToString([]byte("sig"))
	for want, value := range map[string]map[string]any{
		"instead of " + full:             {"name": "other", "signature": good, "signatureCrc32c": gcpkmstest.Sum([]byte("sig")), "verifiedDigestCrc32c": true},
		"did not verify the checksum":    {"name": full, "signature": good, "signatureCrc32c": gcpkmstest.Sum([]byte("sig")), "verifiedDataCrc32c": true},
		"the signature was damaged":      {"name": full, "signature": good, "signatureCrc32c": "9", "verifiedDigestCrc32c": true},
		"does not verify with the key's": {"name": full, "signature": good, "signatureCrc32c": gcpkmstest.Sum([]byte("sig")), "verifiedDigestCrc32c": true},
	} {
		tell("asymmetricSign", value)
		if signature, err := signer.Sign(t.Context(), []byte("m")); err == nil || signature != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x, %v; want %q", signature, err, want)
		}
	}
	service.Break(nil)
	v.Forge = keyservicetest.Generate(t, "P-256")
	service.Put(name, v)
	if signature, err := signer.Sign(t.Context(), []byte("m")); !errors.Is(err, signing.ErrOtherSignature) || signature != nil {
		t.Errorf("forged: %x, %v", signature, err)
	}
}

func TestFaults(t *testing.T) {
	service, config := serve(t)
	service.Put(name, version(t, "P-256"))
	signer, err := gcpkms.Open(t.Context(), config, reference)
	if err != nil {
		t.Fatal(err)
	}
	for want, fault := range map[string]struct {
		answer   func(w http.ResponseWriter, r *http.Request)
		attempts int
	}{
		"still throttled after 4 attempts (429 RESOURCE_EXHAUSTED)": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "100000")
			gcpkmstest.Fail(w, 429, "RESOURCE_EXHAUSTED", "Quota exceeded")
		}, keyservice.Attempts},
		"the service failed (503 Service Unavailable)": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, keyservice.Attempts},
		"EOF":                                   {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, keyservice.Attempts},
		"the credentials are not accepted (401": {func(w http.ResponseWriter, _ *http.Request) { gcpkmstest.Fail(w, 401, "UNAUTHENTICATED", "no") }, 1},
		"useToSign is not allowed (403":         {func(w http.ResponseWriter, _ *http.Request) { gcpkmstest.Fail(w, 403, "PERMISSION_DENIED", "no") }, 1},
		`redirects to "elsewhere.example"`: {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
		}, 1},
		"unexpected EOF": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"na`)
		}, 1},
		"larger than the bound": {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, limit.ServiceAnswer+1)) }, 1},
		"no JSON of the kind":   {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"na`) }, 1},
	} {
		service.Break(func(w http.ResponseWriter, r *http.Request, _ string, _ int) bool {
			fault.answer(w, r)
			return true
		})
		signature, err := signer.Sign(t.Context(), []byte("m"))
		if err == nil || signature != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), reference) || strings.Contains(err.Error(), gcpkmstest.Token) {
			t.Errorf("%x, %v; want %q", signature, err, want)
		}
		if got := len(service.Requests()); got != fault.attempts {
			t.Errorf("%s: %d requests, want %d", want, got, fault.attempts)
		}
	}
	service.Break(func(w http.ResponseWriter, _ *http.Request, _ string, n int) bool {
		if n <= 2 {
			gcpkmstest.Fail(w, 429, "RESOURCE_EXHAUSTED", "Quota exceeded")
		}
		return n <= 2
	})
	if _, err := signer.Sign(t.Context(), []byte("m")); err != nil || len(service.Requests()) != 3 {
		t.Errorf("recovered: %v", err)
	}
}

// TestNoAnswer: a context that ends while the service or the metadata server
// is silent ends the call.
func TestNoAnswer(t *testing.T) {
	service, config := serve(t)
	service.Put(name, version(t, "P-256"))
	for _, silent := range []string{"metadata token", "list", "publicKey", "asymmetricSign"} {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		service.Break(func(_ http.ResponseWriter, r *http.Request, operation string, _ int) bool {
			if operation != silent {
				return false
			}
			io.Copy(io.Discard, r.Body)
			cancel()
			select {
			case <-r.Context().Done():
			case <-release:
			}
			return true
		})
		signer, err := gcpkms.Open(ctx, config, reference)
		if err == nil {
			_, err = signer.Sign(ctx, []byte("m"))
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", silent, err)
		}
		close(release)
		cancel()
	}
}

// TestCredentialFiles: a service account's file, and workload identity
// federation's, whose token comes from a file of the workload's.
func TestCredentialFiles(t *testing.T) {
	service, config := serve(t)
	service.Put(name, version(t, "P-256"))
	exchange := httptest.NewServer(service.Exchange())
	defer exchange.Close()
	dir := t.TempDir()
	write := func(file, content string) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := keyservicetest.PKCS8(keyservicetest.Generate(t, "RSA-2048"))
	account, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "ci@p.iam.gserviceaccount.com", "private_key": key, "private_key_id": "1", "token_uri": exchange.URL})
	if err != nil {
		t.Fatal(err)
	}
	subject := write("subject", "workload-token")
	federated, err := json.Marshal(map[string]any{"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/b",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": exchange.URL, "credential_source": map[string]string{"file": subject}})
	if err != nil {
		t.Fatal(err)
	}
	for file, grant := range map[string]string{
		write("account.json", string(account)):     "urn:ietf:params:oauth:grant-type:jwt-bearer",
		write("federated.json", string(federated)): "urn:ietf:params:oauth:grant-type:token-exchange",
	} {
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
		service.Requests()
		if _, err := gcpkms.Open(t.Context(), config, reference); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if got := service.Requests(); !slices.Equal(got, []string{"token of " + grant, "list", "publicKey"}) {
			t.Errorf("%s: requests are %v", file, got)
		}
	}
	// A token service that refuses echoes what it was sent; the error does not.
	write("subject", "a-stale-workload-token")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(dir, "federated.json"))
	if _, err := gcpkms.Open(t.Context(), config, reference); err == nil || strings.Contains(err.Error(), "stale") || !strings.Contains(err.Error(), "getting a token from Google: oauth2/google: status code 400") {
		t.Errorf("refused: %v", err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(dir, "none.json"))
	if _, err := gcpkms.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "no Google credentials") || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("no file: %v", err)
	}
}

func TestReferencesRefused(t *testing.T) {
	_, config := serve(t)
	for _, text := range []string{"", "gcpkms://", "gcpkms://" + name + "/", reference + "/cryptoKeyVersions/", reference + "/versions/0", reference + "/versions/latest",
		reference + "/cryptoKeyVersions/1/x", "gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k?x", "gcpkms://projects/../locations/global/keyRings/r/cryptoKeys/k", "awskms:///alias/x"} {
		if _, err := gcpkms.Open(t.Context(), config, text); err == nil || !strings.Contains(err.Error(), "want gcpkms://") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, endpoint := range []string{"http://cloudkms.example.com", "cloudkms.example.com", "https://user:secret@host", "https://", "https://host/?x=1"} {
		config.Endpoint = endpoint
		if _, err := gcpkms.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "want https://") {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
	}
}
