//go:build pkcs11 && cgo

package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/pkcs11uri"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// Constants of PKCS#11 v3.0 that the bindings lack.
const (
	keyEdwards = 0x40   // CKK_EC_EDWARDS
	signEdDSA  = 0x1057 // CKM_EDDSA
)

// candidates bounds how many keys with one name are looked at.
const candidates = 16

// session is a module with a session to one token.
type session struct {
	module *pkcs11.Ctx
	handle pkcs11.SessionHandle
	// turn is held by who uses the session: it does one thing at a time.
	turn chan struct{}
}

// Signer signs with one key in a token.
type Signer struct {
	session *session
	name    string
	key     pkcs11.ObjectHandle
	public  crypto.PublicKey
	id      identity.Key
}

var _ signing.Signer = (*Signer)(nil)

// Open loads the module, logs in to the token, and finds the one private key
// that a reference names, and its public key. The errors show the reference
// without its PIN.
func Open(ctx context.Context, config Config, reference string) (*Signer, error) {
	signer, err := open(ctx, config, reference)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pkcs11uri.Redact(reference), err)
	}
	return signer, nil
}

func open(ctx context.Context, config Config, reference string) (*Signer, error) {
	u, err := pkcs11uri.Parse(reference)
	if err != nil {
		return nil, err
	}
	pin, err := config.pin(u)
	if err != nil {
		return nil, err
	}
	if pin == "" {
		return nil, errors.New("signing needs the token's PIN; give pin-source=file:… or pin-value=…, or set PKCS11_PIN")
	}
	s, err := connect(ctx, config, u)
	if err != nil {
		return nil, err
	}
	signer, err := s.signer(u, pin)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return signer, nil
}

func (s *session) signer(u pkcs11uri.URI, pin string) (*Signer, error) {
	if err := s.login(pin); err != nil {
		return nil, err
	}
	key, err := s.find(pkcs11.CKO_PRIVATE_KEY, "private key", u.Object, u.ID)
	if err != nil {
		return nil, err
	}
	// The other half of the pair has the same id.
	object, id := u.Object, u.ID
	if own, err := s.attribute(key, pkcs11.CKA_ID); err == nil && len(own) > 0 {
		object, id = "", own
	}
	public, err := s.public(object, id)
	if err != nil {
		return nil, err
	}
	keyID, err := identity.KeyOf(public)
	if err != nil {
		return nil, err
	}
	return &Signer{session: s, name: u.String(), key: key, public: public, id: keyID}, nil
}

// Public gives the public key that a reference names. A token that shows it
// without a PIN is not logged in to.
func Public(ctx context.Context, config Config, reference string) ([]PublicKey, error) {
	key, err := public(ctx, config, reference)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pkcs11uri.Redact(reference), err)
	}
	return []PublicKey{{Key: key}}, nil
}

func public(ctx context.Context, config Config, reference string) (key crypto.PublicKey, err error) {
	u, err := pkcs11uri.Parse(reference)
	if err != nil {
		return nil, err
	}
	pin, err := config.pin(u)
	if err != nil {
		return nil, err
	}
	s, err := connect(ctx, config, u)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	key, err = s.public(u.Object, u.ID)
	if err == nil || pin == "" {
		return key, err
	}
	if err := s.login(pin); err != nil {
		return nil, err
	}
	return s.public(u.Object, u.ID)
}

// connect loads the module and opens a session to the one token that is meant.
func connect(ctx context.Context, config Config, u pkcs11uri.URI) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path := u.ModulePath
	if path == "" {
		path = config.Module
	}
	if path == "" {
		return nil, errors.New("no module is named; give module-path=/usr/lib/softhsm/libsofthsm2.so or another one, or set PKCS11_MODULE_PATH")
	}
	module := pkcs11.New(path)
	if module == nil {
		return nil, fmt.Errorf("%s cannot be loaded as a PKCS#11 module", path)
	}
	// A module is there once in a process, and stays: another signer may use it.
	if err := module.Initialize(); err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	slot, err := slotOf(module, u)
	if err != nil {
		return nil, err
	}
	handle, err := module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, fmt.Errorf("opening a session to the token: %w", err)
	}
	return &session{module: module, handle: handle, turn: make(chan struct{}, 1)}, nil
}

func slotOf(module *pkcs11.Ctx, u pkcs11uri.URI) (uint, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("listing tokens: %w", err)
	}
	var found []uint
	var names []string
	for _, slot := range slots {
		info, err := module.GetTokenInfo(slot)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		names = append(names, fmt.Sprintf("%q (serial %s)", padded(info.Label), padded(info.SerialNumber)))
		fits := true
		for _, pair := range [][2]string{{u.Token, info.Label}, {u.Serial, info.SerialNumber}, {u.Manufacturer, info.ManufacturerID}, {u.Model, info.Model}} {
			fits = fits && (pair[0] == "" || pair[0] == padded(pair[1]))
		}
		if fits && (u.Slot == nil || *u.Slot == slot) {
			found = append(found, slot)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(names) == 0:
		return 0, errors.New("the module has no token")
	case len(found) == 0:
		return 0, fmt.Errorf("no token fits; the module has %s", strings.Join(names, ", "))
	}
	return 0, fmt.Errorf("%d tokens fit; name one by token= or serial=: %s", len(found), strings.Join(names, ", "))
}

// padded takes the blanks away that fill a field of a token.
func padded(field string) string { return strings.TrimRight(field, " \x00") }

func (s *session) close() error { return s.module.CloseSession(s.handle) }

func (s *session) login(pin string) error {
	err := s.module.Login(s.handle, pkcs11.CKU_USER, pin)
	switch {
	case err == nil || errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)):
		return nil
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_INCORRECT)):
		return errors.New("the token does not take this PIN; some lock up after a few wrong ones")
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_LOCKED)):
		return errors.New("the token's PIN is locked")
	}
	return fmt.Errorf("logging in to the token: %w", err)
}

// find is the one object of a class with a label and an id.
func (s *session) find(class uint, what, label string, id []byte) (pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}
	if label != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	}
	if len(id) > 0 {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, id))
	}
	if err := s.module.FindObjectsInit(s.handle, template); err != nil {
		return 0, fmt.Errorf("looking for the %s: %w", what, err)
	}
	found, _, err := s.module.FindObjects(s.handle, candidates)
	if err = errors.Join(err, s.module.FindObjectsFinal(s.handle)); err != nil {
		return 0, fmt.Errorf("looking for the %s: %w", what, err)
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("the token has no such %s", what)
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("the token has %d such %ss; name one by object= and id=", len(found), what)
}

func (s *session) attribute(object pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	attributes, err := s.module.GetAttributeValue(s.handle, object, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if err != nil {
		return nil, err
	}
	if len(attributes) != 1 {
		return nil, fmt.Errorf("the token gave %d attributes, want one", len(attributes))
	}
	return attributes[0].Value, nil
}

// public reads a public key object.
func (s *session) public(label string, id []byte) (crypto.PublicKey, error) {
	object, err := s.find(pkcs11.CKO_PUBLIC_KEY, "public key", label, id)
	if err != nil {
		return nil, err
	}
	kind, err := s.attribute(object, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	wanted := func(number uint) bool {
		return bytes.Equal(kind, pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, number).Value)
	}
	var fields [2]uint
	var make func(a, b []byte) (crypto.PublicKey, error)
	switch {
	case wanted(pkcs11.CKK_RSA):
		fields, make = [2]uint{pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT}, rsaKey
	case wanted(pkcs11.CKK_EC):
		fields, make = [2]uint{pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT}, ecKey
	case wanted(keyEdwards):
		fields, make = [2]uint{pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT}, edwardsKey
	default:
		return nil, errors.New("the key is of a type that does not sign here; want ECDSA, RSA or Ed25519")
	}
	var values [2][]byte
	for i, field := range fields {
		if values[i], err = s.attribute(object, field); err != nil {
			return nil, fmt.Errorf("reading the public key: %w", err)
		}
	}
	key, err := make(values[0], values[1])
	if err != nil {
		return nil, fmt.Errorf("the token's public key: %w", err)
	}
	// What is accepted of a key file is accepted of a token.
	if _, err := cosignkey.EncodePublic(key); err != nil {
		return nil, fmt.Errorf("the token's public key: %w", err)
	}
	return key, nil
}

func rsaKey(modulus, exponent []byte) (crypto.PublicKey, error) {
	e := new(big.Int).SetBytes(exponent)
	if !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
		return nil, errors.New("the exponent is out of bounds")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e.Int64())}, nil
}

// point takes the octet string off an EC point; some tokens have none on it.
func point(der []byte) []byte {
	var inner []byte
	if rest, err := asn1.Unmarshal(der, &inner); err == nil && len(rest) == 0 {
		return inner
	}
	return der
}

func ecKey(parameters, der []byte) (crypto.PublicKey, error) {
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(parameters, &oid); err != nil {
		return nil, errors.New("the curve is not a named one")
	}
	curves := map[string]elliptic.Curve{"1.2.840.10045.3.1.7": elliptic.P256(), "1.3.132.0.34": elliptic.P384(), "1.3.132.0.35": elliptic.P521()}
	curve, found := curves[oid.String()]
	if !found {
		return nil, fmt.Errorf("curve %s is not accepted; want P-256, P-384 or P-521", oid)
	}
	return ecdsa.ParseUncompressedPublicKey(curve, point(der))
}

// edwardsKey takes the point alone: the signature that is checked says whether
// the curve is Ed25519.
func edwardsKey(_, der []byte) (crypto.PublicKey, error) {
	raw := point(der)
	if len(raw) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("an Edwards key of %d bytes is not accepted; want Ed25519, of 32", len(raw))
	}
	return ed25519.PublicKey(raw), nil
}
