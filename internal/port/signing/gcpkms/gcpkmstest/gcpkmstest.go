// Package gcpkmstest is a key management service of Google Cloud for tests:
// its REST interface with real keys, versions and checksums, together with a
// metadata server and a token endpoint that give out what it accepts.
//
// Entry point is [New].
package gcpkmstest

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/seed-161fc314/assay/internal/port/signing/keyservice/keyservicetest"
)

// Token is what the service accepts; no error may show it.
const Token = "ya29.a-token-that-no-error-may-show"

// Version is one version of a key.
type Version struct {
	Private crypto.Signer
	// Algorithm is Google's word for what the version does.
	Algorithm string
	// State is ENABLED where it is not set; DISABLED, DESTROY_SCHEDULED.
	State string
	// Denied are permissions that the caller has not.
	Denied string
	// Forge signs instead of Private.
	Forge crypto.Signer
}

// Algorithms are Google's words for kinds of keys.
var Algorithms = map[string]string{
	"P-256": "EC_SIGN_P256_SHA256", "P-384": "EC_SIGN_P384_SHA384", "Ed25519": "EC_SIGN_ED25519",
	"RSA-2048": "RSA_SIGN_PKCS1_2048_SHA256", "RSA-3072": "RSA_SIGN_PKCS1_3072_SHA256", "RSA-4096": "RSA_SIGN_PKCS1_4096_SHA256",
}

// Service is the double.
type Service struct {
	keyservicetest.Door
	// Page is how many versions a page of a list has; zero is two.
	Page int
	mu   sync.Mutex
	keys map[string][]Version
}

// New makes a service without keys.
func New() *Service { return &Service{keys: map[string][]Version{}} }

// Put sets the versions of a key, from version 1 on. The name is a resource
// name: projects/P/locations/L/keyRings/R/cryptoKeys/K.
func (s *Service) Put(name string, versions ...Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[name] = versions
}

// Metadata is a metadata server, for GCE_METADATA_HOST.
func (s *Service) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		switch path := strings.TrimPrefix(r.URL.Path, "/computeMetadata/v1/"); {
		case r.Header.Get("Metadata-Flavor") != "Google":
			http.Error(w, "no Metadata-Flavor", http.StatusForbidden)
		case path == "project/project-id":
			io.WriteString(w, "p")
		case path == "instance/service-accounts/default/token":
			if !s.Enter(w, r, "metadata token") {
				s.token(w)
			}
		default:
			http.NotFound(w, r)
		}
	})
}

func (s *Service) token(w http.ResponseWriter) {
	answer(w, map[string]any{"access_token": Token, "token_type": "Bearer", "expires_in": 3599, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})
}

// Exchange is a token endpoint, for files of service accounts and of workload
// identity federation.
func (s *Service) Exchange() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Enter(w, r, "token of "+r.FormValue("grant_type")) {
			return
		}
		if r.FormValue("assertion") == "" && r.FormValue("subject_token") != "workload-token" {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]string{"error": "invalid_grant", "error_description": "echo: " + r.FormValue("subject_token")})
			return
		}
		s.token(w)
	})
}

func answer(w http.ResponseWriter, value any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	}
	json.NewEncoder(w).Encode(value)
}

// Fail answers as Google's services do.
func Fail(w http.ResponseWriter, code int, status, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(code)
	answer(w, map[string]any{"error": map[string]any{"code": code, "status": status, "message": message}})
}

// Sum is a checksum as the interface has it.
func Sum(content []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli))), 10)
}

// ServeHTTP answers one request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, found := strings.CutPrefix(r.URL.Path, "/v1/")
	operation := "?"
	switch {
	case strings.HasSuffix(name, "/cryptoKeyVersions"):
		name, operation = strings.TrimSuffix(name, "/cryptoKeyVersions"), "list"
	case strings.HasSuffix(name, "/publicKey"):
		name, operation = strings.TrimSuffix(name, "/publicKey"), "publicKey"
	case strings.HasSuffix(name, ":asymmetricSign"):
		name, operation = strings.TrimSuffix(name, ":asymmetricSign"), "asymmetricSign"
	}
	if s.Enter(w, r, operation) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+Token {
		Fail(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
		return
	}
	if operation == "list" {
		s.list(w, r, name)
		return
	}
	version := s.version(name)
	switch {
	case !found || version == nil:
		Fail(w, http.StatusNotFound, "NOT_FOUND", "CryptoKeyVersion "+name+" not found.")
	case strings.Contains(version.Denied, operation):
		Fail(w, http.StatusForbidden, "PERMISSION_DENIED", "Permission denied on resource '"+name+"' (or it may not exist).")
	case version.State != "" && version.State != "ENABLED":
		Fail(w, http.StatusBadRequest, "FAILED_PRECONDITION", name+" is not enabled, current state is: "+version.State+".")
	case operation == "publicKey":
		pem := keyservicetest.PEM(version.Private.Public())
		answer(w, map[string]string{"name": name, "algorithm": version.Algorithm, "pem": pem, "pemCrc32c": Sum([]byte(pem))})
	case operation == "asymmetricSign" && r.Method == http.MethodPost:
		s.sign(w, r, name, version)
	default:
		Fail(w, http.StatusBadRequest, "INVALID_ARGUMENT", r.Method+" "+r.URL.Path)
	}
}

func (s *Service) version(name string) *Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, number, _ := strings.Cut(name, "/cryptoKeyVersions/")
	n, _ := strconv.Atoi(number)
	if versions := s.keys[key]; n >= 1 && n <= len(versions) {
		return &versions[n-1]
	}
	return nil
}

// list gives the versions in no helpful order: the oldest first, in pages.
func (s *Service) list(w http.ResponseWriter, r *http.Request, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions, found := s.keys[key]
	if !found {
		Fail(w, http.StatusNotFound, "NOT_FOUND", "CryptoKey "+key+" not found.")
		return
	}
	if len(versions) > 0 && strings.Contains(versions[0].Denied, "list") {
		Fail(w, http.StatusForbidden, "PERMISSION_DENIED", "Permission denied on resource '"+key+"' (or it may not exist).")
		return
	}
	page := []map[string]string{}
	at, _ := strconv.Atoi(r.FormValue("pageToken"))
	size := s.Page
	if size == 0 {
		size = 2
	}
	for ; at < len(versions) && len(page) < size; at++ {
		state := versions[at].State
		if state == "" {
			state = "ENABLED"
		}
		if r.FormValue("filter") != "state=ENABLED" || state == "ENABLED" {
			page = append(page, map[string]string{"name": fmt.Sprintf("%s/cryptoKeyVersions/%d", key, at+1), "state": state, "algorithm": versions[at].Algorithm})
		}
	}
	next := ""
	if at < len(versions) {
		next = strconv.Itoa(at)
	}
	answer(w, map[string]any{"cryptoKeyVersions": page, "nextPageToken": next, "totalSize": len(versions)})
}

func (s *Service) sign(w http.ResponseWriter, r *http.Request, name string, version *Version) {
	var input struct {
		Digest                   map[string][]byte
		Data                     []byte
		DigestCrc32c, DataCrc32c string
	}
	if err := json.NewDecoder(r.Body).Decode(&input); err != nil {
		Fail(w, http.StatusBadRequest, "INVALID_ARGUMENT", err.Error())
		return
	}
	hashes := map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}
	content, sum, hash := input.Data, input.DataCrc32c, crypto.Hash(0)
	for kind, digest := range input.Digest {
		content, sum, hash = digest, input.DigestCrc32c, hashes[kind]
	}
	wants := crypto.SHA256
	switch {
	case strings.HasSuffix(version.Algorithm, "SHA384"):
		wants = crypto.SHA384
	case version.Algorithm == "EC_SIGN_ED25519":
		wants = 0
	}
	if hash != wants || len(input.Digest) > 1 || hash != 0 && len(content) != hash.Size() {
		Fail(w, http.StatusBadRequest, "INVALID_ARGUMENT", fmt.Sprintf("%s does not sign a digest by %v of %d bytes", version.Algorithm, hash, len(content)))
		return
	}
	if sum != Sum(content) {
		Fail(w, http.StatusBadRequest, "INVALID_ARGUMENT", "The checksum does not match.")
		return
	}
	private := version.Private
	if version.Forge != nil {
		private = version.Forge
	}
	signature, err := private.Sign(rand.Reader, content, hash)
	if err != nil {
		Fail(w, http.StatusInternalServerError, "INTERNAL", err.Error())
		return
	}
	answer(w, map[string]any{"name": name, "signature": signature, "signatureCrc32c": Sum(signature),
		"verifiedDigestCrc32c": hash != 0, "verifiedDataCrc32c": hash == 0})
}
