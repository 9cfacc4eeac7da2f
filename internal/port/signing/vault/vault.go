// Package vault signs with keys that HashiCorp Vault's transit engine keeps,
// or OpenBao's, which speaks the same.
//
// Entry points are [Open], [Public] and [Rotate]. A reference is
// hashivault://KEY or openbao://KEY. The API is that of Vault's "Transit
// secrets engine" documentation: GET keys/KEY, POST sign/KEY and POST
// keys/KEY/rotate below the engine's mount.
//
// Open asks for the key once, and keeps to the version that is the latest
// then: what is signed afterwards is signed by that version, whatever is
// rotated meanwhile. Vault signs what signing.Digest says of a message, RSA
// as PKCS#1 v1.5, and each signature is verified with the public key before
// it is handed out. Verification of evidence never asks Vault: Public gives
// the public keys of all versions, and engine/trust does the rest.
//
// The token goes to the configured address and nowhere else, and into no
// error. The package reads no environment.
package vault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// Config says how Vault is reached.
type Config struct {
	// Address is Vault's URL, such as https://vault.example.com:8200.
	Address string
	// Token authenticates; where it is empty, Login does.
	Token string
	Login Login
	// Namespace is Vault Enterprise's or OpenBao's; "" is the root.
	Namespace string
	// Mount is where the transit engine is; "" is "transit".
	Mount string
	// CA holds the authorities (PEM) that Vault's certificate may be of; nil
	// are the system's.
	CA []byte
	// ServerName is what Vault's certificate must be for, where that is not
	// the address's host.
	ServerName string
	// Certificate is the client's, where Vault asks for one.
	Certificate *tls.Certificate
	// SkipVerifyUnsafe believes any certificate.
	SkipVerifyUnsafe bool
	// Timeout bounds one request; 0 are 60 seconds, as in Vault's own client.
	Timeout time.Duration
	// Pause is what a first try again waits for; 0 are 250 milliseconds.
	Pause time.Duration
}

// Login is a login with a JSON web token, at the JWT, OIDC or Kubernetes
// method; Vault gives a token for it.
type Login struct {
	// Path is where the method is mounted below auth/; "" is "jwt".
	Path string
	// Role is the role to log in as, JWT the token.
	Role, JWT string
}

// PublicKey is the public key of one version of a key.
type PublicKey struct {
	Key crypto.PublicKey
	// Version is "1", "2", ….
	Version string
}

// Signer signs with one version of a key.
type Signer struct {
	client  *client
	key     string
	version int
	public  crypto.PublicKey
	id      identity.Key
}

var _ signing.Signer = (*Signer)(nil)

// Schemes are what references begin with.
func Schemes() []string { return []string{"hashivault", "openbao"} }

// keyName is what Vault takes for a key, in the spelling of Sigstore's
// references.
var keyName = regexp.MustCompile(`^\w(?:[\w.-]*\w)?$`)

func parse(reference string) (key string, err error) {
	scheme, key, found := strings.Cut(reference, "://")
	if !found || !slices.Contains(Schemes(), scheme) || !keyName.MatchString(key) {
		return "", fmt.Errorf("%.100q is no key in Vault; want hashivault://KEY or openbao://KEY, with letters, digits, dots, dashes and underscores", reference)
	}
	return key, nil
}

// Open asks Vault for the key that a reference names. The latest version
// signs. The errors name the reference and the address.
func Open(ctx context.Context, config Config, reference string) (*Signer, error) {
	key, err := parse(reference)
	if err != nil {
		return nil, err
	}
	c, answer, err := connect(ctx, config, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	public, err := answer.public(answer.Latest)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", reference, c.address, err)
	}
	id, err := identity.KeyOf(public)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	return &Signer{client: c, key: key, version: answer.Latest, public: public, id: id}, nil
}

// Public gives the public keys of all versions that Vault has not archived
// (min_decryption_version), the latest first.
func Public(ctx context.Context, config Config, reference string) ([]PublicKey, error) {
	key, err := parse(reference)
	if err != nil {
		return nil, err
	}
	c, answer, err := connect(ctx, config, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	keys, err := answer.all()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", reference, c.address, err)
	}
	return keys, nil
}

// Rotate has Vault make a new version of the key, which is the latest from
// then on, and gives the public keys as Public does. The request is sent
// once, never again: each makes a version. After an error nobody knows whether
// there is a new one; Public says so.
func Rotate(ctx context.Context, config Config, reference string) ([]PublicKey, error) {
	key, err := parse(reference)
	if err != nil {
		return nil, err
	}
	c, before, err := connect(ctx, config, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	if _, err := before.all(); err != nil {
		return nil, fmt.Errorf("%s: %s: %w; nothing was rotated", reference, c.address, err)
	}
	if err := c.call(ctx, request{method: http.MethodPost, path: c.mount + "/keys/" + key + "/rotate", once: true}, nil); err != nil {
		return nil, fmt.Errorf("%s: rotating: %w", reference, err)
	}
	answer, err := c.read(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("%s: after rotating: %w", reference, err)
	}
	if answer.Latest <= before.Latest {
		return nil, fmt.Errorf("%s: %s says that it rotated the key, and its latest version is %d as before", reference, c.address, answer.Latest)
	}
	keys, err := answer.all()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: after rotating: %w", reference, c.address, err)
	}
	return keys, nil
}

// connect makes a client, logs in, and reads the key.
func connect(ctx context.Context, config Config, key string) (*client, keyAnswer, error) {
	c, err := newClient(config)
	if err != nil {
		return nil, keyAnswer{}, err
	}
	if err := c.login(ctx, config.Login); err != nil {
		return nil, keyAnswer{}, err
	}
	answer, err := c.read(ctx, key)
	return c, answer, err
}

// keyAnswer is what Vault says of a key.
type keyAnswer struct {
	Type    string             `json:"type"`
	Derived bool               `json:"derived"`
	Signing bool               `json:"supports_signing"`
	Latest  int                `json:"latest_version"`
	Keys    map[string]version `json:"keys"`
}

type version struct {
	PublicKey string `json:"public_key"`
}

func (c *client) read(ctx context.Context, key string) (keyAnswer, error) {
	var answer struct {
		Data *struct {
			keyAnswer
			// A key without public parts has numbers here.
			Keys map[string]any `json:"keys"`
		} `json:"data"`
	}
	err := c.call(ctx, request{method: http.MethodGet, path: c.mount + "/keys/" + key}, &answer)
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.status == http.StatusNotFound && len(refused.words) == 0:
		return keyAnswer{}, fmt.Errorf("%s has no key %s at %s/", c.address, key, c.mount)
	case err != nil:
		return keyAnswer{}, err
	case answer.Data == nil || answer.Data.Latest < 1 || len(answer.Data.Keys) == 0:
		return keyAnswer{}, fmt.Errorf("%s answered about the key without saying what it is: is something else listening there?", c.address)
	case len(answer.Data.Keys) > limit.KeyVersions:
		return keyAnswer{}, &limit.Error{What: "the key", Bound: limit.KeyVersions, Unit: "versions"}
	}
	found := answer.Data.keyAnswer
	if !found.Signing || found.Derived {
		kind := found.Type
		if found.Derived {
			kind = "derived " + kind
		}
		return keyAnswer{}, fmt.Errorf("%s: key %s is of type %q, which does not sign here; want ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-2048, rsa-3072, rsa-4096 or ed25519", c.address, key, said(kind))
	}
	found.Keys = map[string]version{}
	for number, value := range answer.Data.Keys {
		fields, _ := value.(map[string]any)
		public, _ := fields["public_key"].(string)
		found.Keys[number] = version{PublicKey: public}
	}
	return found, nil
}

// public is the public key of a version: PEM, and for Ed25519 32 bytes in
// base64.
func (a keyAnswer) public(number int) (crypto.PublicKey, error) {
	v, found := a.Keys[strconv.Itoa(number)]
	if !found {
		return nil, fmt.Errorf("version %d of the key is not there", number)
	}
	if a.Type == "ed25519" {
		raw, err := base64.StdEncoding.DecodeString(v.PublicKey)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("version %d of the key: the public key is not 32 bytes in base64", number)
		}
		return ed25519.PublicKey(raw), nil
	}
	keys, err := cosignkey.ReadPublic([]byte(v.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("version %d of the key, of type %q: %w", number, said(a.Type), err)
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("version %d of the key: %d PEM blocks, want one", number, len(keys))
	}
	return keys[0].Key, nil
}

func (a keyAnswer) all() ([]PublicKey, error) {
	var numbers []int
	for text := range a.Keys {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 || strconv.Itoa(number) != text {
			return nil, fmt.Errorf("the key has a version %.20q, which is no number", text)
		}
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	if numbers[0] != a.Latest {
		return nil, fmt.Errorf("the latest version is said to be %d, and the newest one listed is %d", a.Latest, numbers[0])
	}
	var keys []PublicKey
	for _, number := range numbers {
		public, err := a.public(number)
		if err != nil {
			return nil, err
		}
		keys = append(keys, PublicKey{Key: public, Version: strconv.Itoa(number)})
	}
	return keys, nil
}

// Public is the key that verifies: that of the version that signs.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// KeyID is the fingerprint of Public.
func (s *Signer) KeyID() identity.Key { return s.id }

// Version is the version that signs, "1" and up.
func (s *Signer) Version() string { return strconv.Itoa(s.version) }

// signRequest is what sign/KEY takes.
type signRequest struct {
	Input      []byte `json:"input"` // in base64
	KeyVersion int    `json:"key_version"`
	Prehashed  bool   `json:"prehashed"`
	Hash       string `json:"hash_algorithm,omitempty"`
	// Algorithm is for RSA, Marshaling for ECDSA.
	Algorithm  string `json:"signature_algorithm,omitempty"`
	Marshaling string `json:"marshaling_algorithm,omitempty"`
}

// hashName is Vault's name for what signing.Digest uses; "" for no hash.
func hashName(hash crypto.Hash) string {
	switch hash {
	case crypto.SHA256:
		return "sha2-256"
	case crypto.SHA384:
		return "sha2-384"
	case crypto.SHA512:
		return "sha2-512"
	}
	return ""
}

// Sign has Vault sign message as signing.Signer says. For Ed25519 the whole
// message travels to Vault, which takes some 24 MiB; else only its digest.
func (s *Signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	digest, options, err := signing.Digest(s.public, message)
	if err != nil {
		return nil, err
	}
	ask := signRequest{Input: digest, KeyVersion: s.version, Hash: hashName(options.HashFunc()), Prehashed: options.HashFunc() != 0}
	switch s.public.(type) {
	case *rsa.PublicKey:
		ask.Algorithm = "pkcs1v15"
	case *ecdsa.PublicKey:
		ask.Marshaling = "asn1"
	}
	var answer struct {
		Data struct {
			Signature string `json:"signature"`
		} `json:"data"`
	}
	if err := s.client.call(ctx, request{method: http.MethodPost, path: s.client.mount + "/sign/" + s.key, body: ask}, &answer); err != nil {
		return nil, fmt.Errorf("signing with version %d of key %s: %w", s.version, s.key, err)
	}
	signature, err := s.unwrap(answer.Data.Signature)
	if err == nil {
		err = signing.Check(s.public, message, signature)
	}
	if err != nil {
		return nil, fmt.Errorf("signing with version %d of key %s: %s: %w", s.version, s.key, s.client.address, err)
	}
	return signature, nil
}

// unwrap takes a signature out of vault:vVERSION:BASE64.
func (s *Signer) unwrap(text string) ([]byte, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] != "vault" || !strings.HasPrefix(parts[1], "v") {
		return nil, fmt.Errorf("the signature %.60q is not vault:vVERSION:BASE64", text)
	}
	if parts[1] != "v"+s.Version() {
		return nil, fmt.Errorf("version %.20q of the key signed; asked for was v%d", parts[1], s.version)
	}
	signature, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, fmt.Errorf("the signature is no base64: %w", err)
	}
	return signature, nil
}
