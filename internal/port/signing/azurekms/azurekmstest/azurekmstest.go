// Package azurekmstest is an Azure key vault for tests: its REST interface with
// real keys, versions and the challenge that asks for a token, together with a
// managed identity's endpoint that gives one out.
//
// Entry point is [New]. The vault is to be served over TLS at a name or an
// address with a dot in it, since a challenge names the domain above.
package azurekmstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/seed-161fc314/assay/internal/port/signing/keyservice/keyservicetest"
)

// Token is what the vault accepts, Header what the identity's endpoint wants;
// no error may show them.
const (
	Token  = "eyJ0.a-token-that-no-error-may-show"
	Header = "a-header-that-no-error-may-show"
)

// Version is one version of a key.
type Version struct {
	ID      string
	Private crypto.Signer
	// Type is EC or RSA as the key is, where it is not set.
	Type string
	// Curve is the curve's name, where it is not the key's own.
	Curve string
	// Operations are sign and verify where they are not set.
	Operations []string
	// Disabled versions are listed and shown, and sign nothing.
	Disabled bool
	// Denied are operations that the caller may not do.
	Denied string
	// Forge signs instead of Private.
	Forge crypto.Signer
}

// Vault is the double.
type Vault struct {
	keyservicetest.Door
	mu   sync.Mutex
	keys map[string][]Version
}

// New makes a vault without keys.
func New() *Vault { return &Vault{keys: map[string][]Version{}} }

// Put sets the versions of a key; the last one is the current one.
func (v *Vault) Put(name string, versions ...Version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[name] = versions
}

// Identity is the endpoint of a managed identity as App Service has it, for
// IDENTITY_ENDPOINT and IDENTITY_HEADER.
func (v *Vault) Identity() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v.Enter(w, r, "token for "+r.FormValue("resource")) {
			return
		}
		if r.Header.Get("X-IDENTITY-HEADER") != Header {
			http.Error(w, "no identity for "+r.Header.Get("X-IDENTITY-HEADER"), http.StatusUnauthorized)
			return
		}
		answer(w, map[string]string{"access_token": Token, "token_type": "Bearer", "expires_on": "4000000000", "resource": r.FormValue("resource")})
	})
}

func answer(w http.ResponseWriter, value any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	json.NewEncoder(w).Encode(value)
}

// Fail answers as vaults do.
func Fail(w http.ResponseWriter, status int, code, inner, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	failure := map[string]any{"code": code, "message": message}
	if inner != "" {
		failure["innererror"] = map[string]string{"code": inner}
	}
	answer(w, map[string]any{"error": failure})
}

// ServeHTTP answers one request.
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	operation := "get"
	switch {
	case len(parts) == 3 && parts[2] == "versions":
		operation = "list"
	case len(parts) == 4 && parts[3] == "sign":
		operation = "sign"
	}
	if r.Header.Get("Authorization") == "" {
		operation = "challenge"
	}
	if v.Enter(w, r, operation) {
		return
	}
	_, domain, _ := strings.Cut(r.Host, ".")
	switch {
	case operation == "challenge":
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000", resource="https://`+domain+`"`)
		Fail(w, http.StatusUnauthorized, "Unauthorized", "", "AKV10000: Request is missing a Bearer or PoP token.")
		return
	case r.Header.Get("Authorization") != "Bearer "+Token:
		Fail(w, http.StatusUnauthorized, "Unauthorized", "", "AKV10032: Invalid issuer.")
		return
	case r.FormValue("api-version") == "" || len(parts) < 2 || parts[0] != "keys":
		Fail(w, http.StatusBadRequest, "BadParameter", "", r.URL.String())
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	versions := v.keys[parts[1]]
	base := "https://" + r.Host + "/keys/" + parts[1] + "/"
	if operation == "list" {
		v.list(w, r, versions, base)
		return
	}
	at := len(versions) - 1
	for i, version := range versions {
		if len(parts) > 2 && version.ID == parts[2] {
			at = i
			break
		} else if len(parts) > 2 {
			at = -1
		}
	}
	if at < 0 {
		Fail(w, http.StatusNotFound, "KeyNotFound", "", "A key with (name/id) "+parts[1]+" was not found in this key vault.")
		return
	}
	version := versions[at]
	switch {
	case strings.Contains(version.Denied, operation):
		Fail(w, http.StatusForbidden, "Forbidden", "ForbiddenByRbac", "Caller is not authorized to perform action on resource.")
	case operation == "get":
		answer(w, map[string]any{"key": web(version, base+version.ID), "attributes": map[string]any{"enabled": !version.Disabled, "created": 1700000000 + at}})
	case version.Disabled:
		Fail(w, http.StatusForbidden, "Forbidden", "KeyDisabled", "Operation sign is not allowed on a disabled key.")
	default:
		sign(w, r, version, base+version.ID)
	}
}

// list gives two versions on a page, the oldest first.
func (v *Vault) list(w http.ResponseWriter, r *http.Request, versions []Version, base string) {
	if len(versions) > 0 && strings.Contains(versions[0].Denied, "list") {
		Fail(w, http.StatusForbidden, "Forbidden", "ForbiddenByPolicy", "The user does not have keys list permission.")
		return
	}
	page := []map[string]any{}
	at, _ := strconv.Atoi(r.FormValue("skip"))
	for ; at < len(versions) && len(page) < 2; at++ {
		page = append(page, map[string]any{"kid": base + versions[at].ID, "attributes": map[string]any{"enabled": !versions[at].Disabled, "created": 1700000000 + at}})
	}
	next := any(nil)
	if at < len(versions) {
		next = fmt.Sprintf("%sversions?api-version=%s&skip=%d", base, r.FormValue("api-version"), at)
	}
	answer(w, map[string]any{"value": page, "nextLink": next})
}

// web is a public key as a JSON web key.
func web(version Version, id string) map[string]any {
	key := map[string]any{"kid": id, "key_ops": version.Operations}
	if version.Operations == nil {
		key["key_ops"] = []string{"sign", "verify"}
	}
	encode := base64.RawURLEncoding.EncodeToString
	switch public := version.Private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		size := (len(point) - 1) / 2
		key["kty"], key["crv"], key["x"], key["y"] = "EC", public.Params().Name, encode(point[1:1+size]), encode(point[1+size:])
	case *rsa.PublicKey:
		key["kty"], key["n"], key["e"] = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	}
	if version.Type != "" {
		key["kty"] = version.Type
	}
	if version.Curve != "" {
		key["crv"] = version.Curve
	}
	return key
}

func sign(w http.ResponseWriter, r *http.Request, version Version, id string) {
	var input struct{ Alg, Value string }
	if err := json.NewDecoder(r.Body).Decode(&input); err != nil {
		Fail(w, http.StatusBadRequest, "BadParameter", "", err.Error())
		return
	}
	digest, err := base64.RawURLEncoding.DecodeString(input.Value)
	hash := map[string]crypto.Hash{"RS256": crypto.SHA256, "ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512}[input.Alg]
	bits := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[input.Alg]
	curve, elliptical := version.Private.Public().(*ecdsa.PublicKey)
	if err != nil || hash == 0 || len(digest) != hash.Size() || elliptical != (bits != 0) || elliptical && curve.Params().BitSize != bits {
		Fail(w, http.StatusBadRequest, "BadParameter", "", "Key and signing algorithm are incompatible: "+input.Alg)
		return
	}
	private := version.Private
	if version.Forge != nil {
		private = version.Forge
	}
	signature, err := private.Sign(rand.Reader, digest, hash)
	if err != nil {
		Fail(w, http.StatusInternalServerError, "InternalServerError", "", err.Error())
		return
	}
	if elliptical {
		var pair struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(signature, &pair); err != nil {
			panic(err)
		}
		size := (bits + 7) / 8
		signature = append(pair.R.FillBytes(make([]byte, size)), pair.S.FillBytes(make([]byte, size))...)
	}
	answer(w, map[string]string{"kid": id, "value": base64.RawURLEncoding.EncodeToString(signature)})
}
