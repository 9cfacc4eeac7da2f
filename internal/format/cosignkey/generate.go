package cosignkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
)

// Types are the names of the keys that GenerateType makes, as Vault's transit
// engine spells them; the first is what Generate makes.
func Types() []string {
	return []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"}
}

// TypeOf names the type of a public key as Types does; "" for any other.
func TypeOf(public crypto.PublicKey) string {
	name := ""
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		name = "ecdsa-" + strings.ToLower(strings.ReplaceAll(key.Curve.Params().Name, "-", ""))
	case *rsa.PublicKey:
		name = fmt.Sprintf("rsa-%d", key.N.BitLen())
	case ed25519.PublicKey:
		name = "ed25519"
	}
	if !slices.Contains(Types(), name) {
		return ""
	}
	return name
}

// Generate makes a P-256 key pair in cosign's format: the private key sealed
// with password, which may be empty, and the public key as PKIX PEM.
func Generate(password []byte) (private, public []byte, err error) {
	return GenerateType(Types()[0], password)
}

// GenerateType makes a key pair of one of Types, as Generate does.
func GenerateType(name string, password []byte) (private, public []byte, err error) {
	key, err := generate(name)
	if err != nil {
		return nil, nil, fmt.Errorf("generating key: %w", err)
	}
	if private, err = seal(key, password); err != nil {
		return nil, nil, err
	}
	public, err = EncodePublic(key.Public())
	return private, public, err
}

func generate(name string) (crypto.Signer, error) {
	switch name {
	case "ecdsa-p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ecdsa-p521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "rsa-2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa-3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "rsa-4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("type %q is not known; want one of %s", name, strings.Join(Types(), ", "))
}
