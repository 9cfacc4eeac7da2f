// Command vault is the real transit engine of HashiCorp Vault behind HTTP, for
// the interop tests: its keys, signatures and rotation, with a comparison of
// one token in the place of Vault's core. It listens on a port of loopback
// that it prints, and forgets everything when it ends.
//
// It is a module of its own, built for tests by .ci/peers and never linked
// into assay: the engine's licence is the Business Source License 1.1
// (github.com/hashicorp/vault, LICENSE), which allows this use. Nothing of
// the engine is copied here.
package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/logical"
)

func main() {
	if err := run(os.Getenv("VAULT_TOKEN")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(token string) error {
	if token == "" {
		return errors.New("VAULT_TOKEN is not set: it is the one token that is accepted")
	}
	storage := &logical.InmemStorage{}
	backend, err := transit.Factory(context.Background(), &logical.BackendConfig{
		StorageView: storage,
		Logger:      hclog.NewNullLogger(),
		System:      &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: time.Hour},
		BackendUUID: "interop",
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	return http.Serve(listener, &engine{backend, storage, token})
}

// engine is the transit engine at /v1/transit/.
type engine struct {
	backend logical.Backend
	storage logical.Storage
	token   string
}

// ServeHTTP turns a request into the engine's own, as Vault's core does.
func (e *engine) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if subtle.ConstantTimeCompare([]byte(request.Header.Get("X-Vault-Token")), []byte(e.token)) != 1 {
		answer(w, http.StatusForbidden, map[string]any{"errors": []string{"permission denied"}})
		return
	}
	path, found := strings.CutPrefix(request.URL.Path, "/v1/transit/")
	if !found {
		answer(w, http.StatusNotFound, map[string]any{"errors": []string{"no handler for route " + request.URL.Path}})
		return
	}
	ask := &logical.Request{Path: path, Storage: e.storage, MountPoint: "transit/", Data: map[string]any{}}
	switch request.Method {
	case http.MethodGet:
		ask.Operation = logical.ReadOperation
	case http.MethodDelete:
		ask.Operation = logical.DeleteOperation
	case http.MethodPost, http.MethodPut:
		ask.Operation = logical.UpdateOperation
		if err := json.NewDecoder(request.Body).Decode(&ask.Data); err != nil && !errors.Is(err, io.EOF) {
			answer(w, http.StatusBadRequest, map[string]any{"errors": []string{"failed to parse JSON input: " + err.Error()}})
			return
		}
		checked, exists, err := e.backend.HandleExistenceCheck(request.Context(), ask)
		if err != nil && !errors.Is(err, logical.ErrUnsupportedPath) {
			answer(w, http.StatusInternalServerError, map[string]any{"errors": []string{err.Error()}})
			return
		}
		if checked && !exists {
			ask.Operation = logical.CreateOperation
		}
	default:
		answer(w, http.StatusMethodNotAllowed, map[string]any{"errors": []string{}})
		return
	}
	response, err := e.backend.HandleRequest(request.Context(), ask)
	if status, err := logical.RespondErrorCommon(ask, response, err); err != nil || status >= 400 {
		words := []string{}
		if err != nil {
			words = append(words, err.Error())
		}
		answer(w, status, map[string]any{"errors": words})
		return
	}
	if response == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, http.StatusOK, map[string]any{"data": response.Data, "warnings": response.Warnings})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever is gone does not need the rest.
	_ = json.NewEncoder(w).Encode(body)
}
