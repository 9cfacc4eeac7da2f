// Package cosignkey reads and writes keys as cosign keeps them in files.
//
// Entry points are [Generate], [GenerateType], [ReadPrivate], [ReadPublic] and
// [EncodeSet]. A private key
// is a PEM block "ENCRYPTED SIGSTORE PRIVATE KEY" ("ENCRYPTED COSIGN PRIVATE
// KEY" before cosign 2): JSON with PKCS#8 DER in it, sealed by NaCl secretbox
// under a key that scrypt makes of the password (securesystemslib,
// "encrypted"). Plain PKCS#8, PKCS#1 and SEC 1 PEM is read too. A public key
// is PKIX PEM, with headers Not-Before and Not-After where it does not speak
// for its owner at all times; see docs/adr/0012.
//
// The package opens no file and asks nobody for a password.
package cosignkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// The PEM types of encrypted private keys: what is written, and what cosign 1
// wrote.
const (
	sealedType    = "ENCRYPTED SIGSTORE PRIVATE KEY"
	oldSealedType = "ENCRYPTED COSIGN PRIVATE KEY"
)

const (
	// minRSA is the smallest RSA modulus read, in bits (NIST SP 800-131A).
	minRSA = 2048
	// maxRSA bounds what one verification may cost, as crypto/tls does.
	maxRSA = 8192
	// publicKeys bounds the PEM blocks of one file of public keys.
	publicKeys = 64
)

// ErrPassword says that a password does not open an encrypted key. A damaged
// file looks the same: the seal covers both.
var ErrPassword = errors.New("wrong password, or the key file is damaged")

func seal(key crypto.PrivateKey, password []byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding private key: %w", err)
	}
	sealed, err := encrypted.Encrypt(der, password)
	if err != nil {
		return nil, fmt.Errorf("encrypting private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: sealedType, Bytes: sealed}), nil
}

// EncodePublic writes a public key as PKIX PEM ("PUBLIC KEY").
func EncodePublic(public crypto.PublicKey) ([]byte, error) {
	if err := allowed(public); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// Encrypted says whether content holds a private key that needs a password.
func Encrypted(content []byte) bool {
	block, _ := pem.Decode(content)
	return block != nil && (block.Type == sealedType || block.Type == oldSealedType)
}

// ReadPrivate reads the first PEM block of content as a private key: ECDSA on
// P-256, P-384 or P-521, RSA from 2048 bits, or Ed25519. The password is used
// only where the key is Encrypted; errors.Is(err, ErrPassword) where it does
// not fit. An encrypted key whose scrypt parameters are none of the three
// that securesystemslib writes (at most 128 MiB of memory) is an error.
func ReadPrivate(content, password []byte) (crypto.Signer, error) {
	block, err := firstBlock(content)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	var key any
	switch block.Type {
	case sealedType, oldSealedType:
		key, err = unseal(block.Bytes, password)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("private key: encrypted PKCS#1 is not read; convert it with: openssl pkcs8 -topk8 -nocrypt")
		}
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("private key: encrypted PKCS#8 is not read; import it with: cosign import-key-pair")
	case "PUBLIC KEY":
		return nil, errors.New("private key: this is a public key; signing needs the private one (*.key)")
	default:
		return nil, fmt.Errorf("private key: PEM type %.60q is not read; want %q or \"PRIVATE KEY\"", block.Type, sealedType)
	}
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("private key: a %T cannot sign", key)
	}
	if err := allowed(signer.Public()); err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	return signer, nil
}

func unseal(sealed, password []byte) (any, error) {
	der, err := encrypted.Decrypt(sealed, password)
	if err != nil {
		// The library has no error value for a seal that does not open.
		if strings.Contains(err.Error(), "decryption failed") {
			return nil, ErrPassword
		}
		return nil, fmt.Errorf("encrypted key: %w", err)
	}
	return x509.ParsePKCS8PrivateKey(der)
}

func firstBlock(content []byte) (*pem.Block, error) {
	if len(content) > limit.KeyFile {
		return nil, &limit.Error{What: "key file", Bound: limit.KeyFile, Unit: "bytes"}
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("no PEM block found")
	}
	return block, nil
}

// allowed refuses keys that nothing should be trusted to.
func allowed(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("ECDSA curve %s is not accepted; want P-256, P-384 or P-521", key.Curve.Params().Name)
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("RSA key of %d bits is not accepted; want %d to %d", bits, minRSA, maxRSA)
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("a key of type %T is not accepted; want ECDSA, RSA or Ed25519", public)
}
