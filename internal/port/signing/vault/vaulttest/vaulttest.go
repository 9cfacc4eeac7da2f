// Package vaulttest is a small Vault for tests: the part of the transit
// engine's API that port/signing/vault uses, with real keys, on loopback.
//
// Entry point is [New]. Its answers have the form that Vault's API
// documentation ("Transit secrets engine") gives. The engine itself is what
// the interop tests run against.
package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Vault is a running fake.
type Vault struct {
	// URL is its address, Token the one that it takes.
	URL, Token string
	// Server is what listens.
	Server *httptest.Server
	// Role and JWT, where they are set, log in at auth/jwt.
	Role, JWT string
	// Namespace, where it is set, must stand in each request.
	Namespace string

	mutex sync.Mutex
	keys  map[string]*key
	asked []string
	fault func(http.ResponseWriter, *http.Request) bool
}

type key struct {
	kind     string
	versions []crypto.Signer
	oldest   int
}

// New starts a fake that ends with the test.
func New(t testing.TB) *Vault {
	t.Helper()
	v := &Vault{Token: "hvs.test-token", keys: map[string]*key{}}
	v.Server = httptest.NewServer(v)
	v.URL = v.Server.URL
	t.Cleanup(v.Server.Close)
	return v
}

// NewTLS is New with a certificate, which v.Server.Certificate gives.
func NewTLS(t testing.TB) *Vault {
	t.Helper()
	v := &Vault{Token: "hvs.test-token", keys: map[string]*key{}}
	v.Server = httptest.NewUnstartedServer(v)
	v.Server.Config.ErrorLog = nil
	v.Server.StartTLS()
	v.URL = v.Server.URL
	t.Cleanup(v.Server.Close)
	return v
}

// Create makes a key of one of Vault's types.
func (v *Vault) Create(t testing.TB, name, kind string) {
	t.Helper()
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.keys[name] = &key{kind: kind, oldest: 1}
	if err := v.keys[name].rotate(); err != nil {
		t.Fatal(err)
	}
}

// Archive sets min_decryption_version: older versions are neither listed nor
// sign.
func (v *Vault) Archive(name string, oldest int) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.keys[name].oldest = oldest
}

// Delete takes a key away.
func (v *Vault) Delete(name string) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	delete(v.keys, name)
}

// Break has fault look at each request first; where it returns true it has
// answered.
func (v *Vault) Break(fault func(http.ResponseWriter, *http.Request) bool) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.fault = fault
}

// Asked are the requests so far, as "METHOD PATH", and forgets them.
func (v *Vault) Asked() []string {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	asked := v.asked
	v.asked = nil
	return asked
}

func (k *key) rotate() error {
	var private crypto.Signer
	var err error
	switch k.kind {
	case "ecdsa-p256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ecdsa-p521":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "rsa-2048":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "aes256-gcm96":
	default:
		return fmt.Errorf("type %s is not known to this fake", k.kind)
	}
	k.versions = append(k.versions, private)
	return err
}

// ServeHTTP answers as Vault does.
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mutex.Lock()
	fault := v.fault
	v.asked = append(v.asked, r.Method+" "+r.URL.Path)
	v.mutex.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	if r.Header.Get("X-Vault-Namespace") != v.Namespace {
		Refuse(w, http.StatusNotFound, "no handler for route \""+path+"\". route entry not found.")
		return
	}
	if path == "auth/jwt/login" {
		v.login(w, r)
		return
	}
	if r.Header.Get("X-Vault-Token") != v.Token {
		Refuse(w, http.StatusForbidden, "permission denied")
		return
	}
	parts := strings.Split(path, "/")
	switch {
	case len(parts) == 3 && parts[0] == "transit" && parts[1] == "keys" && r.Method == http.MethodGet:
		v.read(w, parts[2])
	case len(parts) == 4 && parts[0] == "transit" && parts[1] == "keys" && parts[3] == "rotate" && r.Method == http.MethodPost:
		if v.keys[parts[2]] == nil {
			Refuse(w, http.StatusBadRequest, "key not found")
		} else if err := v.keys[parts[2]].rotate(); err != nil {
			Refuse(w, http.StatusInternalServerError, err.Error())
		} else {
			v.read(w, parts[2])
		}
	case len(parts) == 3 && parts[0] == "transit" && parts[1] == "sign" && r.Method == http.MethodPost:
		v.sign(w, r, parts[2])
	default:
		Refuse(w, http.StatusNotFound, "no handler for route \""+path+"\". route entry not found.")
	}
}

func (v *Vault) login(w http.ResponseWriter, r *http.Request) {
	var ask struct{ Role, JWT string }
	if json.NewDecoder(r.Body).Decode(&ask) != nil || v.JWT == "" || ask.JWT != v.JWT || ask.Role != v.Role {
		Refuse(w, http.StatusBadRequest, "error validating token "+ask.JWT+": no known key successfully validated the token signature")
		return
	}
	Answer(w, map[string]any{"auth": map[string]any{"client_token": v.Token, "policies": []string{"default"}}})
}

func (v *Vault) read(w http.ResponseWriter, name string) {
	k := v.keys[name]
	if k == nil {
		Refuse(w, http.StatusNotFound)
		return
	}
	versions := map[string]any{}
	for i, private := range k.versions {
		number := strconv.Itoa(i + 1)
		switch {
		case i+1 < k.oldest:
		case private == nil:
			versions[number] = 1442851412
		default:
			versions[number] = map[string]any{"creation_time": "2026-01-01T00:00:00Z", "name": k.kind, "public_key": public(private)}
		}
	}
	Answer(w, map[string]any{"data": map[string]any{
		"name": name, "type": k.kind, "derived": false, "deletion_allowed": false, "exportable": false,
		"min_available_version": 0, "min_decryption_version": k.oldest, "min_encryption_version": 0, "latest_version": len(k.versions),
		"supports_signing": k.versions[0] != nil, "supports_encryption": k.versions[0] == nil, "keys": versions,
	}})
}

func public(private crypto.Signer) string {
	if key, ok := private.Public().(ed25519.PublicKey); ok {
		return base64.StdEncoding.EncodeToString(key)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return err.Error()
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (v *Vault) sign(w http.ResponseWriter, r *http.Request, name string) {
	var ask struct {
		Input      string `json:"input"`
		Version    int    `json:"key_version"`
		Prehashed  bool   `json:"prehashed"`
		Hash       string `json:"hash_algorithm"`
		Algorithm  string `json:"signature_algorithm"`
		Marshaling string `json:"marshaling_algorithm"`
	}
	err := json.NewDecoder(r.Body).Decode(&ask)
	input, inputErr := base64.StdEncoding.DecodeString(ask.Input)
	k := v.keys[name]
	switch {
	case err != nil || inputErr != nil:
		Refuse(w, http.StatusBadRequest, "failed to parse JSON input")
		return
	case k == nil:
		Refuse(w, http.StatusBadRequest, "signing key not found")
		return
	case ask.Version > len(k.versions):
		Refuse(w, http.StatusBadRequest, "requested version for signing is higher than the latest key version")
		return
	}
	if ask.Version == 0 {
		ask.Version = len(k.versions)
	}
	if ask.Version < k.oldest {
		Refuse(w, http.StatusBadRequest, "no such key version")
		return
	}
	private := k.versions[ask.Version-1]
	hashes := map[string]crypto.Hash{"sha2-256": crypto.SHA256, "sha2-384": crypto.SHA384, "sha2-512": crypto.SHA512}
	hash := hashes[ask.Hash]
	_, isRSA := private.(*rsa.PrivateKey)
	_, isEd25519 := private.(ed25519.PrivateKey)
	switch {
	case isEd25519:
		hash = 0
	case !ask.Prehashed || hash == 0:
		Refuse(w, http.StatusBadRequest, "this fake signs digests only")
		return
	case isRSA && ask.Algorithm != "pkcs1v15", !isRSA && !slices.Contains([]string{"", "asn1"}, ask.Marshaling):
		Refuse(w, http.StatusBadRequest, "this fake signs PKCS#1 v1.5 and ASN.1 only")
		return
	}
	signature, err := private.Sign(rand.Reader, input, hash)
	if err != nil {
		Refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	Answer(w, map[string]any{"data": map[string]any{
		"signature": fmt.Sprintf("vault:v%d:%s", ask.Version, base64.StdEncoding.EncodeToString(signature)), "key_version": ask.Version,
	}})
}

// Answer writes JSON, as Vault answers what it did.
func Answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	// Whoever is gone does not need the rest.
	_ = json.NewEncoder(w).Encode(body)
}

// Refuse answers as Vault refuses.
func Refuse(w http.ResponseWriter, status int, words ...string) {
	if words == nil {
		words = []string{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": words})
}
