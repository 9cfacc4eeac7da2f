package azurekms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
)

// public fetches the public key of one version, "" for the current one, and
// what the key may be used for.
func (v *vault) public(ctx context.Context, version string) (keyservice.PublicKey, []azkeys.KeyOperation, error) {
	answer, err := v.client.GetKey(ctx, v.name, version, nil)
	if err != nil {
		return keyservice.PublicKey{}, nil, explain(ctx, "keys/get", err)
	}
	if answer.Key == nil || answer.Key.KID == nil || answer.Key.Kty == nil {
		return keyservice.PublicKey{}, nil, errors.New("the vault's answer has no key in it")
	}
	identifier := string(*answer.Key.KID)
	got, err := v.versionOf(identifier)
	if err != nil {
		return keyservice.PublicKey{}, nil, err
	}
	if version != "" && !strings.EqualFold(got, version) {
		return keyservice.PublicKey{}, nil, fmt.Errorf("asked for the version %s, the vault answered with %q", version, keyservice.Said(got))
	}
	if a := answer.Attributes; a == nil || a.Enabled == nil || !*a.Enabled {
		return keyservice.PublicKey{}, nil, fmt.Errorf("the version %s is disabled: enable it, or name another", keyservice.Said(got))
	}
	key, err := read(answer.Key)
	if err != nil {
		return keyservice.PublicKey{}, nil, err
	}
	var operations []azkeys.KeyOperation
	for _, operation := range answer.Key.KeyOps {
		if operation != nil {
			operations = append(operations, *operation)
		}
	}
	return keyservice.PublicKey{Key: key, Version: identifier}, operations, nil
}

// errKind says that a key cannot make signatures that anybody here verifies.
var errKind = errors.New("signing needs EC on P-256, P-384 or P-521, or RSA")

// read turns a JSON web key into a public key.
func read(key *azkeys.JSONWebKey) (crypto.PublicKey, error) {
	switch *key.Kty {
	case azkeys.KeyTypeEC, azkeys.KeyTypeECHSM:
		if key.Crv == nil {
			return nil, errors.New("the vault's answer has no curve in it")
		}
		curve := curveOf(*key.Crv)
		if curve == nil {
			return nil, fmt.Errorf("the key is on the curve %q: %w", keyservice.Said(string(*key.Crv)), errKind)
		}
		size := (curve.Params().BitSize + 7) / 8
		if len(key.X) > size || len(key.Y) > size {
			return nil, fmt.Errorf("the vault's coordinates are of %d and %d bytes, want %d", len(key.X), len(key.Y), size)
		}
		point := make([]byte, 1+2*size)
		point[0] = 4
		copy(point[1+size-len(key.X):], key.X)
		copy(point[1+2*size-len(key.Y):], key.Y)
		return ecdsa.ParseUncompressedPublicKey(curve, point)
	case azkeys.KeyTypeRSA, azkeys.KeyTypeRSAHSM:
		e := new(big.Int).SetBytes(key.E)
		if e.BitLen() > 31 || len(key.N) == 0 {
			return nil, errors.New("the vault's modulus or exponent is none of an RSA key")
		}
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(key.N), E: int(e.Int64())})
		if err != nil {
			return nil, err
		}
		return keyservice.ParseDER(der)
	}
	return nil, fmt.Errorf("the key is of the type %q: %w", keyservice.Said(string(*key.Kty)), errKind)
}

func curveOf(name azkeys.CurveName) elliptic.Curve {
	switch name {
	case azkeys.CurveNameP256:
		return elliptic.P256()
	case azkeys.CurveNameP384:
		return elliptic.P384()
	case azkeys.CurveNameP521:
		return elliptic.P521()
	}
	return nil
}

// sign has one signature made.
func (v *vault) sign(ctx context.Context, request keyservice.Request) ([]byte, error) {
	version, err := v.versionOf(request.Version)
	if err != nil {
		return nil, err
	}
	algorithm := azkeys.SignatureAlgorithmRS256
	curve, elliptical := request.Public.(*ecdsa.PublicKey)
	if elliptical {
		algorithm = map[crypto.Hash]azkeys.SignatureAlgorithm{crypto.SHA256: azkeys.SignatureAlgorithmES256,
			crypto.SHA384: azkeys.SignatureAlgorithmES384, crypto.SHA512: azkeys.SignatureAlgorithmES512}[request.Hash]
	}
	answer, err := v.client.Sign(ctx, v.name, version, azkeys.SignParameters{Algorithm: &algorithm, Value: request.Digest}, nil)
	if err != nil {
		return nil, explain(ctx, "keys/sign", err)
	}
	if answer.KID == nil || !strings.EqualFold(string(*answer.KID), request.Version) {
		return nil, fmt.Errorf("the vault signed with another key than %s", request.Version)
	}
	if !elliptical {
		return answer.Result, nil
	}
	return encode(curve.Curve, answer.Result)
}

// encode turns r and s of fixed length, as RFC 7518 has them, into ASN.1.
func encode(curve elliptic.Curve, raw []byte) ([]byte, error) {
	size := (curve.Params().BitSize + 7) / 8
	if len(raw) != 2*size {
		return nil, fmt.Errorf("the vault's signature has %d bytes, want %d", len(raw), 2*size)
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])})
}
