// Package awskmstest is a key management service of AWS for tests: GetPublicKey
// and Sign over its JSON protocol (TrentService), with real keys, and with
// every request's signature (version 4) verified.
//
// Entry point is [New].
package awskmstest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/seed-161fc314/assay/internal/port/signing/keyservice/keyservicetest"
)

// The credentials and the region that the service wants.
const (
	AccessKey = "AKIDASSAYTEST"
	Secret    = "a-secret-that-no-error-may-show"
	Region    = "eu-central-1"
	Account   = "111122223333"
)

// Key is one key of the service.
type Key struct {
	Private crypto.Signer
	// Spec is AWS's word for the kind of key.
	Spec string
	// Usage is SIGN_VERIFY where it is not set.
	Usage string
	// State is Enabled where it is not set; Disabled, PendingDeletion.
	State string
	// Denied are actions that the caller may not do, such as "Sign".
	Denied string
	// Forge signs instead of Private.
	Forge crypto.Signer
}

// Service is the double.
type Service struct {
	keyservicetest.Door
	mu      sync.Mutex
	keys    map[string]*Key
	aliases map[string]string
}

// New makes a service without keys.
func New() *Service {
	return &Service{keys: map[string]*Key{}, aliases: map[string]string{}}
}

// ARN is the name of the key with an id.
func ARN(id string) string { return "arn:aws:kms:" + Region + ":" + Account + ":key/" + id }

// Put adds or replaces a key.
func (s *Service) Put(id string, key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = &key
}

// Point makes alias/name mean a key.
func (s *Service) Point(name, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aliases["alias/"+name] = id
}

func (s *Service) find(name string) (string, *Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rest, found := strings.CutPrefix(name, "arn:aws:kms:"+Region+":"+Account+":"); found {
		name = strings.TrimPrefix(rest, "key/")
	}
	if id, found := s.aliases[name]; found {
		name = id
	}
	return name, s.keys[name]
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

// ServeHTTP answers one request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if s.Enter(w, r, operation) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, http.StatusBadRequest, "SerializationException", err.Error())
		return
	}
	if err := authentic(r, body); err != nil {
		// The real service echoes what was signed, token and all.
		fail(w, http.StatusBadRequest, "InvalidSignatureException", "The request signature we calculated does not match: "+Secret+"\n"+err.Error())
		return
	}
	var input struct {
		KeyId, MessageType, SigningAlgorithm string
		Message                              []byte
	}
	if err := json.Unmarshal(body, &input); err != nil {
		fail(w, http.StatusBadRequest, "SerializationException", err.Error())
		return
	}
	id, key := s.find(input.KeyId)
	switch {
	case key == nil:
		fail(w, http.StatusBadRequest, "NotFoundException", "Key "+input.KeyId+" does not exist")
	case strings.Contains(key.Denied, operation):
		fail(w, http.StatusBadRequest, "AccessDeniedException", "User: arn:aws:iam::"+Account+":user/ci is not authorized to perform: kms:"+operation)
	case key.State == "Disabled":
		fail(w, http.StatusBadRequest, "DisabledException", ARN(id)+" is disabled.")
	case key.State == "PendingDeletion":
		fail(w, http.StatusBadRequest, "KMSInvalidStateException", ARN(id)+" is pending deletion.")
	case operation == "GetPublicKey":
		usage := key.Usage
		if usage == "" {
			usage = "SIGN_VERIFY"
		}
		answer(w, map[string]any{"KeyId": ARN(id), "KeySpec": key.Spec, "KeyUsage": usage, "PublicKey": keyservicetest.DER(key.Private.Public())})
	case operation == "Sign":
		private := key.Private
		if key.Forge != nil {
			private = key.Forge
		}
		signature, err := sign(private, input.SigningAlgorithm, input.MessageType, input.Message)
		if err != nil {
			fail(w, http.StatusBadRequest, "ValidationException", err.Error())
			return
		}
		answer(w, map[string]any{"KeyId": ARN(id), "Signature": signature, "SigningAlgorithm": input.SigningAlgorithm})
	default:
		fail(w, http.StatusBadRequest, "UnknownOperationException", operation)
	}
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(value)
}

func sign(private crypto.Signer, algorithm, kind string, message []byte) ([]byte, error) {
	hashes := map[string]crypto.Hash{
		"ECDSA_SHA_256": crypto.SHA256, "ECDSA_SHA_384": crypto.SHA384, "ECDSA_SHA_512": crypto.SHA512,
		"RSASSA_PKCS1_V1_5_SHA_256": crypto.SHA256, "ED25519_PH_SHA_512": crypto.SHA512, "ED25519_SHA_512": 0,
	}
	hash, known := hashes[algorithm]
	if len(message) > 4096 {
		return nil, fmt.Errorf("message of %d bytes, at most 4096", len(message))
	}
	if !known || (hash == 0) != (kind == "RAW") || hash != 0 && (kind != "DIGEST" || len(message) != hash.Size()) {
		return nil, fmt.Errorf("%s with a %s of %d bytes", algorithm, kind, len(message))
	}
	family := "ECDSA"
	var options crypto.SignerOpts = hash
	switch private.(type) {
	case *rsa.PrivateKey:
		family = "RSASSA"
	case ed25519.PrivateKey:
		family, options = "ED25519", &ed25519.Options{Hash: hash}
	}
	if !strings.HasPrefix(algorithm, family+"_") {
		return nil, fmt.Errorf("%s with a key for %s", algorithm, family)
	}
	return private.Sign(rand.Reader, message, options)
}

// authentic verifies a request's signature, as AWS documents version 4.
func authentic(r *http.Request, body []byte) error {
	fields := map[string]string{}
	header, found := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	for field := range strings.SplitSeq(header, ", ") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	if !found || len(date) != len("20060102T150405Z") {
		return fmt.Errorf("no signature of version 4 in %q", r.Header.Get("Authorization"))
	}
	scope := date[:8] + "/" + Region + "/kms/aws4_request"
	if fields["Credential"] != AccessKey+"/"+scope {
		return fmt.Errorf("credential %q, want %s", fields["Credential"], AccessKey+"/"+scope)
	}
	var headers strings.Builder
	for name := range strings.SplitSeq(fields["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.TrimSpace(value))
	}
	sum := sha256.Sum256(body)
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), fields["SignedHeaders"], hex.EncodeToString(sum[:])}, "\n")
	hashed := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, hex.EncodeToString(hashed[:])}, "\n")
	key := []byte("AWS4" + Secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	if want := hex.EncodeToString(mac(key, text)); !hmac.Equal([]byte(want), []byte(fields["Signature"])) {
		return fmt.Errorf("the signature is not over\n%s", canonical)
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
