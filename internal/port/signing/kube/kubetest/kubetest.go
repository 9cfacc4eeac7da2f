// Package kubetest is an API server of Kubernetes for tests that knows one
// thing: to give out secrets to who has a token for them.
//
// Entry point is [New]; [Config] is a kubeconfig file for it.
package kubetest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/seed-161fc314/assay/internal/port/signing/keyservice/keyservicetest"
)

// Token is what the server accepts; no error may show it.
const Token = "a-token-that-no-error-may-show"

// Server is the double.
type Server struct {
	keyservicetest.Door
	mu      sync.Mutex
	secrets map[string]map[string][]byte
}

// New makes a server without secrets.
func New() *Server { return &Server{secrets: map[string]map[string][]byte{}} }

// Put sets a secret, NAMESPACE/NAME. Those in the namespace "forbidden" are
// not given out.
func (s *Server) Put(name string, fields map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[name] = fields
}

// Fail answers as API servers do.
func Fail(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Enter(w, r, r.Method+" "+r.URL.Path) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+Token {
		Fail(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
		return
	}
	rest, found := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/")
	namespace, name, both := strings.Cut(rest, "/secrets/")
	if !found || !both || r.Method != http.MethodGet {
		Fail(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
		return
	}
	if namespace == "forbidden" {
		Fail(w, http.StatusForbidden, "Forbidden", fmt.Sprintf("secrets %q is forbidden: User \"system:serviceaccount:ci:signer\" cannot get resource \"secrets\" in API group \"\" in the namespace %q", name, namespace))
		return
	}
	s.mu.Lock()
	fields, found := s.secrets[namespace+"/"+name]
	s.mu.Unlock()
	if !found {
		Fail(w, http.StatusNotFound, "NotFound", fmt.Sprintf("secrets %q not found", name))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"kind": "Secret", "apiVersion": "v1", "type": "Opaque",
		"metadata": map[string]string{"namespace": namespace, "name": name, "resourceVersion": "7"}, "data": fields})
}

// Config is a kubeconfig file for a server that was started over TLS.
func Config(server *httptest.Server, token string) []byte {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: %q, certificate-authority-data: %s}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
users: [{name: test, user: {token: %s}}]
`, server.URL, base64.StdEncoding.EncodeToString(authority), token)
}
