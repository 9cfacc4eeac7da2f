// Package pkcs11 signs with keys in PKCS#11 tokens: smart cards, hardware
// security modules, SoftHSM.
//
// Entry points are [Open] and [Public]. A reference is a URI as RFC 7512 has
// it; format/pkcs11uri says what is read of it. The module is a shared library
// that is loaded into the process, so this needs cgo and stands behind the
// build tag pkcs11: the default binary is static, and both functions say how
// to build one that is not ([ErrAbsent]).
//
// ECDSA on P-256, P-384 and P-521, RSA (PKCS#1 v1.5) and, where the token has
// CKM_EDDSA, Ed25519 sign what signing.Digest says. Each signature is verified
// with the token's public key before it is handed out. The PIN stands in no
// error. The package makes no key and changes no token.
package pkcs11

import (
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/pkcs11uri"
)

// ErrAbsent says that this program was built without PKCS#11.
var ErrAbsent = errors.New("this program was built without PKCS#11, which needs cgo; build one with: CGO_ENABLED=1 go build -tags pkcs11 ./cmd/assay")

// Config is what a reference may leave out.
type Config struct {
	// Module is the path of the module where the reference has no module-path.
	Module string
	// PIN is the user's, where the reference has neither pin-value nor
	// pin-source.
	PIN string
	// ReadFile reads the file of a pin-source, bounded; nil refuses those.
	ReadFile func(path string) ([]byte, error)
}

// PublicKey is the public key of a key in a token. Tokens have no versions.
type PublicKey struct {
	Key crypto.PublicKey
}

// pin is the PIN for a URI; "" where there is none.
func (c Config) pin(u pkcs11uri.URI) (string, error) {
	switch {
	case u.PINValue != "":
		return u.PINValue, nil
	case u.PINSource == "":
		return c.PIN, nil
	case c.ReadFile == nil:
		return "", errors.New("pin-source is not read here")
	}
	path := u.PINSource
	if strings.HasPrefix(path, "file:") {
		parsed, err := url.Parse(path)
		if err != nil || parsed.Host != "" && parsed.Host != "localhost" {
			return "", errors.New("pin-source is no file such as file:/run/pin")
		}
		if path = parsed.Path; path == "" {
			path = parsed.Opaque
		}
	}
	content, err := c.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the PIN: %w", err)
	}
	pin := strings.TrimRight(string(content), "\r\n")
	if pin == "" {
		return "", fmt.Errorf("%s, the pin-source, is empty", path)
	}
	return pin, nil
}
