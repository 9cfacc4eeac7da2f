package kube_test

import (
	"context"
	"errors"
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
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice/keyservicetest"
	"github.com/seed-161fc314/assay/internal/port/signing/kube"
	"github.com/seed-161fc314/assay/internal/port/signing/kube/kubetest"
	"github.com/seed-161fc314/assay/internal/port/signing/signingtest"
)

const (
	reference = "k8s://ci/signing-key"
	request   = "GET /api/v1/namespaces/ci/secrets/signing-key"
	password  = "a-password-that-no-error-may-show"
)

// serve starts an API server over TLS with one secret, as cosign writes it.
func serve(t *testing.T) (*kubetest.Server, kube.Config, map[string][]byte) {
	t.Helper()
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	api := kubetest.New()
	server := httptest.NewTLSServer(api)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, kubetest.Config(server, kubetest.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	private, public, err := cosignkey.Generate([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string][]byte{"cosign.key": private, "cosign.password": []byte(password), "cosign.pub": public}
	api.Put("ci/signing-key", fields)
	return api, kube.Config{Kubeconfig: []string{filepath.Join(t.TempDir(), "none"), path}, Backoff: time.Millisecond}, fields
}

func TestContract(t *testing.T) {
	api, config, _ := serve(t)
	signer, err := kube.Open(t.Context(), config, reference)
	if err != nil {
		t.Fatal(err)
	}
	signingtest.Run(t, signer)
	if got := api.Requests(); !slices.Equal(got, []string{request}) {
		t.Errorf("requests are %v", got)
	}
	content, err := kube.Public(t.Context(), config, reference)
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := trust.ParseSigner("secret", content); err != nil || len(parsed.Keys) != 1 || parsed.Keys[0].ID != signer.KeyID() {
		t.Errorf("the public keys are %v, %v", parsed, err)
	}
	if got := api.Requests(); !slices.Equal(got, []string{request}) {
		t.Errorf("requests are %v", got)
	}
}

func TestFields(t *testing.T) {
	api, config, fields := serve(t)
	other := []byte(keyservicetest.PEM(keyservicetest.Generate(t, "P-256").Public()))
	for want, test := range map[string]struct {
		field        string
		content      []byte
		open, public bool // whether each is to succeed
	}{
		"the secret has no field cosign.key":      {field: "cosign.key", public: true},
		"the secret has no field cosign.password": {field: "cosign.password", public: true},
		"the secret has no field cosign.pub":      {field: "cosign.pub", open: true},
		"wrong password":                          {field: "cosign.password", content: []byte("another-secret"), public: true},
		"cosign.key: private key: no PEM block":   {field: "cosign.key", content: []byte("another-secret"), public: true},
		"is not the public key of cosign.key":     {field: "cosign.pub", content: other, public: true},
		"cosign.pub: public key:":                 {field: "cosign.pub", content: []byte("x"), public: true},
	} {
		changed := map[string][]byte{}
		for field, content := range fields {
			changed[field] = content
		}
		changed[test.field] = test.content
		if test.content == nil {
			delete(changed, test.field)
		}
		api.Put("ci/signing-key", changed)
		_, openErr := kube.Open(t.Context(), config, reference)
		_, publicErr := kube.Public(t.Context(), config, reference)
		for what, err := range map[string]error{"open": openErr, "public": publicErr} {
			good := what == "open" && test.open || what == "public" && test.public
			if good && err != nil || !good && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), reference) ||
				strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "another-secret")) {
				t.Errorf("%s: %v; want %q", what, err, want)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	api, config, _ := serve(t)
	if _, err := kube.Open(t.Context(), config, "k8s://forbidden/key"); err == nil || !strings.Contains(err.Error(), "needs the verb get on the resource secrets, name key, in the namespace forbidden") {
		t.Errorf("forbidden: %v", err)
	}
	if _, err := kube.Open(t.Context(), config, "k8s://ci/none"); err == nil || !strings.Contains(err.Error(), "there is no secret none in the namespace ci (404)") {
		t.Errorf("not found: %v", err)
	}
	for want, fault := range map[string]struct {
		answer   func(w http.ResponseWriter, r *http.Request)
		attempts int
	}{
		"the API server failed, 4 attempts long (429)": {func(w http.ResponseWriter, _ *http.Request) { kubetest.Fail(w, 429, "TooManyRequests", "slow") }, keyservice.Attempts},
		"the API server failed, 4 attempts long (500)": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, keyservice.Attempts},
		"does not accept the credentials (401)":        {func(w http.ResponseWriter, _ *http.Request) { kubetest.Fail(w, 401, "Unauthorized", "Unauthorized") }, 1},
		`redirects to "elsewhere.example"`: {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}, 1},
		"larger than the bound": {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, limit.ServiceAnswer+1)) }, 1},
		"is not the secret signing-key": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"kind":"Secret","data":{"cosign.key":"pass`)
		}, 1},
		"is not the secret signing-key in": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"kind":"Secret","metadata":{"namespace":"ci","name":"other"}}`)
		}, 1},
		"unexpected EOF": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{`)
		}, 1},
	} {
		api.Break(func(w http.ResponseWriter, r *http.Request, _ string, _ int) bool {
			fault.answer(w, r)
			return true
		})
		signer, err := kube.Open(t.Context(), config, reference)
		if err == nil || signer != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), kubetest.Token) {
			t.Errorf("%v, %v; want %q", signer, err, want)
		}
		if got := len(api.Requests()); got != fault.attempts {
			t.Errorf("%s: %d requests, want %d", want, got, fault.attempts)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	api.Break(func(_ http.ResponseWriter, r *http.Request, _ string, _ int) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	if _, err := kube.Open(ctx, config, reference); !errors.Is(err, context.Canceled) {
		t.Errorf("silent: %v", err)
	}
}

// TestAuthority: a server whose certificate the kubeconfig does not vouch for
// is sent no token.
func TestAuthority(t *testing.T) {
	api, config, _ := serve(t)
	other := httptest.NewUnstartedServer(api)
	other.StartTLS()
	defer other.Close()
	content := string(kubetest.Config(other, kubetest.Token))
	start := strings.Index(content, ", certificate-authority-data")
	content = content[:start] + content[start+strings.Index(content[start:], "}"):]
	if err := os.WriteFile(config.Kubeconfig[1], []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kube.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("unknown authority: %v", err)
	}
	if got := api.Requests(); len(got) != 0 {
		t.Errorf("requests are %v", got)
	}
}

func TestNoCluster(t *testing.T) {
	_, config, _ := serve(t)
	config.Kubeconfig = config.Kubeconfig[:1]
	if _, err := kube.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "no Kubernetes cluster is configured") {
		t.Errorf("no kubeconfig: %v", err)
	}
	for _, text := range []string{"", "k8s://", "k8s://ci", "k8s://ci/", "k8s://ci/a/b", "k8s://CI/key", "k8s://ci/..", "k8s://ci/a?x", "k8s:///key"} {
		if _, err := kube.Open(t.Context(), kube.Config{}, text); err == nil || !strings.Contains(err.Error(), "want k8s://NAMESPACE/SECRET") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
