// Package cosignkey reads and writes keys as cosign keeps them in files.
//
// Entry points are [Generate], [ReadPrivate] and [ReadPublic]. A private key
// is a PEM block "ENCRYPTED SIGSTORE PRIVATE KEY" ("ENCRYPTED COSIGN PRIVATE
// KEY" before cosign 2): JSON with PKCS#8 DER in it, sealed by NaCl secretbox
// under a key that scrypt makes of the password (securesystemslib,
// "encrypted"). Plain PKCS#8, PKCS#1 and SEC 1 PEM is read too. A public key
// is PKIX PEM.
//
// The package opens no file and asks nobody for a password.
package cosignkey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
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

// Generate makes a P-256 key pair in cosign's format: the private key sealed
// with password, which may be empty, and the public key as PKIX PEM.
func Generate(password []byte) (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generating key: %w", err)
	}
	if private, err = seal(key, password); err != nil {
		return nil, nil, err
	}
	public, err = EncodePublic(key.Public())
	return private, public, err
}

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

// ReadPublic reads every PEM block of content as a public key in PKIX form,
// in order; at least one. ECDSA on P-256, P-384 or P-521, RSA from 2048 bits,
// and Ed25519. A private key or a certificate is an error that says so, and
// so is text outside the blocks that is not a comment line ("#").
func ReadPublic(content []byte) ([]crypto.PublicKey, error) {
	if len(content) > limit.KeyFile {
		return nil, &limit.Error{What: "public key", Bound: limit.KeyFile, Unit: "bytes"}
	}
	var keys []crypto.PublicKey
	rest := content
	for len(bytes.TrimSpace(rest)) > 0 {
		at := bytes.Index(rest, []byte("-----BEGIN "))
		before := rest
		if at >= 0 {
			before = rest[:at]
		}
		if err := onlyComments(before); err != nil {
			return nil, err
		}
		if at < 0 {
			break
		}
		block, after := pem.Decode(rest[at:])
		// A damaged block would otherwise be passed over in silence.
		if block == nil || bytes.Count(rest[at:len(rest)-len(after)], []byte("-----BEGIN ")) != 1 {
			return nil, fmt.Errorf("public key: PEM block %d is damaged", len(keys)+1)
		}
		rest = after
		key, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("public key: block %d: %w", len(keys)+1, err)
		}
		if keys = append(keys, key); len(keys) > publicKeys {
			return nil, &limit.Error{What: "public key", Bound: publicKeys, Unit: "PEM blocks"}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("public key: no PEM block found; want -----BEGIN PUBLIC KEY-----")
	}
	return keys, nil
}

func publicKey(block *pem.Block) (crypto.PublicKey, error) {
	switch {
	case block.Type == "PUBLIC KEY":
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("this is a private key; keep it secret, and give the public one (*.pub) here")
	case block.Type == "CERTIFICATE":
		return nil, errors.New("this is a certificate, not a public key")
	case block.Type == "RSA PUBLIC KEY":
		return nil, errors.New("PKCS#1 public keys are not read; convert it with: openssl rsa -RSAPublicKey_in -pubout")
	default:
		return nil, fmt.Errorf("PEM type %.60q is not read; want \"PUBLIC KEY\"", block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key, allowed(key)
}

func onlyComments(text []byte) error {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return fmt.Errorf("public key: %.40q is neither PEM nor a comment", line)
		}
	}
	return nil
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
