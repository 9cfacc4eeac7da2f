package cosignkey_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
)

type equaler interface{ Equal(crypto.PublicKey) bool }

func same(t *testing.T, a, b crypto.PublicKey) {
	t.Helper()
	if !a.(equaler).Equal(b) {
		t.Errorf("keys differ: %v, %v", a, b)
	}
}

func block(t *testing.T, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestGenerate(t *testing.T) {
	private, public, err := cosignkey.Generate([]byte("pass"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(private, []byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")) || !cosignkey.Encrypted(private) {
		t.Errorf("private key is %.60q", private)
	}
	signer, err := cosignkey.ReadPrivate(private, []byte("pass"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := cosignkey.ReadPublic(public)
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	same(t, signer.Public(), keys[0].Key)
	if key, ok := signer.Public().(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("want P-256, got %T", signer.Public())
	}
	for _, wrong := range []string{"Pass", "", "pass\n"} {
		if key, err := cosignkey.ReadPrivate(private, []byte(wrong)); !errors.Is(err, cosignkey.ErrPassword) || key != nil {
			t.Errorf("password %q: got %v, %v", wrong, key, err)
		}
	}
}

// TestReadsCosign has a key pair that cosign 3.1.3 generated, with the
// password "secret"; it opens nothing outside this test.
func TestReadsCosign(t *testing.T) {
	private := read(t, "cosign3.key")
	keys, err := cosignkey.ReadPublic(read(t, "cosign3.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"SIGSTORE", "COSIGN"} {
		signer, err := cosignkey.ReadPrivate(bytes.ReplaceAll(private, []byte("SIGSTORE"), []byte(kind)), []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		same(t, signer.Public(), keys[0].Key)
	}
}

func TestReadsPlain(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ed := ed25519.NewKeyFromSeed(make([]byte, 32))
	for _, key := range []crypto.Signer{p256, p521, rsa2048, ed} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		content := block(t, "PRIVATE KEY", der, err)
		if cosignkey.Encrypted(content) {
			t.Errorf("%T: said to be encrypted", key)
		}
		signer, err := cosignkey.ReadPrivate(content, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, key.Public(), signer.Public())
		public, err := cosignkey.EncodePublic(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		keys, err := cosignkey.ReadPublic(public)
		if err != nil {
			t.Fatal(err)
		}
		same(t, key.Public(), keys[0].Key)
	}
	der, err := x509.MarshalECPrivateKey(p256)
	signer, err := cosignkey.ReadPrivate(block(t, "EC PRIVATE KEY", der, err), nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, p256.Public(), signer.Public())
	signer, err = cosignkey.ReadPrivate(block(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsa2048), nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, rsa2048.Public(), signer.Public())
}

// sealed is an encrypted key whose scrypt parameters somebody chose.
func sealed(n, r, p int) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: fmt.Appendf(nil,
		`{"kdf":{"name":"scrypt","params":{"N":%d,"r":%d,"p":%d},"salt":"AAAA"},"cipher":{"name":"nacl/secretbox","nonce":"AAAA"},"ciphertext":"AAAA"}`, n, r, p)})
}

func TestReadPrivateRefuses(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(p224)
	p224PEM := block(t, "EC PRIVATE KEY", der, err)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.MarshalPKCS8PrivateKey(x25519)
	x25519PEM := block(t, "PRIVATE KEY", der, err)
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"scrypt of 1 TiB":    {sealed(1<<30, 8, 1), "unsupported scrypt parameters"},
		"scrypt wide":        {sealed(65536, 8, 1<<20), "unsupported scrypt parameters"},
		"scrypt weak":        {sealed(2, 1, 1), "unsupported scrypt parameters"},
		"scrypt negative":    {sealed(-1, 8, 1), "unsupported scrypt parameters"},
		"short nonce":        {sealed(65536, 8, 1), "nonce"},
		"seal no JSON":       {pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: []byte("x")}), "encrypted key"},
		"P-224":              {p224PEM, "P-224 is not accepted"},
		"X25519":             {x25519PEM, "cannot sign"},
		"public key":         {read(t, "cosign3.pub"), "this is a public key"},
		"certificate":        {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "not read"},
		"encrypted PKCS#8":   {pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}), "import-key-pair"},
		"encrypted PKCS#1":   {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES"}, Bytes: []byte("x")}), "openssl pkcs8"},
		"damaged":            {[]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "private key"},
		"no PEM":             {[]byte("hello"), "no PEM block"},
		"nothing":            {nil, "no PEM block"},
		"larger than a file": {make([]byte, limit.KeyFile+1), "bound"},
	} {
		key, err := cosignkey.ReadPrivate(test.content, nil)
		if err == nil || key != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v; want %q", name, key, err, test.want)
		}
		if errors.Is(err, cosignkey.ErrPassword) {
			t.Errorf("%s: said to be a wrong password: %v", name, err)
		}
	}
}

func TestReadPublicMany(t *testing.T) {
	public := read(t, "cosign3.pub")
	content := join([]byte("# the key of 2025\n"), public, []byte("\n\n# and its successor\r\n"), public, []byte("  \n"))
	keys, err := cosignkey.ReadPublic(content)
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	same(t, keys[0].Key, keys[1].Key)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestReadPublicRefuses(t *testing.T) {
	public := read(t, "cosign3.pub")
	small := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	der, err := x509.MarshalPKIXPublicKey(small)
	smallPEM := block(t, "PUBLIC KEY", der, err)
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16383, 1), E: 65537}
	der, err = x509.MarshalPKIXPublicKey(huge)
	hugePEM := block(t, "PUBLIC KEY", der, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.MarshalPKIXPublicKey(p224.Public())
	p224PEM := block(t, "PUBLIC KEY", der, err)
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"private key":        {read(t, "cosign3.key"), "this is a private key"},
		"private key second": {join(public, read(t, "cosign3.key")), "block 2: this is a private key"},
		"certificate":        {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "certificate"},
		"PKCS#1":             {pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: []byte("x")}), "openssl rsa"},
		"other PEM":          {pem.EncodeToMemory(&pem.Block{Type: "SIGNATURE", Bytes: []byte("x")}), "not read"},
		"RSA 1024":           {smallPEM, "RSA key of 1024 bits"},
		"RSA 16384":          {hugePEM, "RSA key of 16384 bits"},
		"P-224":              {p224PEM, "P-224 is not accepted"},
		"damaged":            {bytes.Replace(public, []byte("M"), []byte("!"), 1), "damaged"},
		"damaged first":      {join(bytes.Replace(public, []byte("M"), []byte("!"), 1), public), "damaged"},
		"cut off":            {public[:len(public)-10], "damaged"},
		"text before":        {join([]byte("hello\n"), public), "neither PEM nor a comment"},
		"text after":         {join(public, []byte("hello")), "neither PEM nor a comment"},
		"only comments":      {[]byte("# later\n"), "no PEM block found"},
		"nothing":            {nil, "no PEM block found"},
		"too many":           {bytes.Repeat(public, 65), "bound of 64"},
		"too large":          {make([]byte, limit.KeyFile+1), "bound"},
	} {
		keys, err := cosignkey.ReadPublic(test.content)
		if err == nil || keys != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v; want %q", name, keys, err, test.want)
		}
	}
	if _, err := cosignkey.EncodePublic(small); err == nil {
		t.Error("wrote a public key that is not read")
	}
}

func FuzzReadPublic(f *testing.F) {
	public, err := os.ReadFile(filepath.Join("testdata", "cosign3.pub"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(public)
	f.Add(append([]byte("# two\n"), bytes.Repeat(public, 2)...))
	f.Add(headed(public, "Not-Before: 2026-01-01T00:00:00Z", "Not-After: 2027-01-01T00:00:00.5+02:00"))
	f.Add(headed(public, "Not-After: 2027-01-01T00:00:00Z", "Not-After: 2028-01-01T00:00:00Z"))
	f.Fuzz(func(t *testing.T, content []byte) {
		keys, err := cosignkey.ReadPublic(content)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and error %v", len(keys), err)
		}
		for _, key := range keys {
			if _, err := cosignkey.EncodePublic(key.Key); err != nil {
				t.Fatalf("read but cannot write: %v", err)
			}
		}
		if len(keys) == 0 {
			return
		}
		set, err := cosignkey.EncodeSet(keys)
		if err != nil {
			var over *limit.Error
			if errors.As(err, &over) {
				return // base64 in shorter lines than ours was just below the bound
			}
			t.Fatalf("read but cannot write: %v", err)
		}
		again, err := cosignkey.ReadPublic(set)
		if err != nil || len(again) != len(keys) {
			t.Fatalf("%d keys became %d: %v", len(keys), len(again), err)
		}
		for i := range keys {
			if !keys[i].Key.(equaler).Equal(again[i].Key) || !keys[i].NotBefore.Equal(again[i].NotBefore) || !keys[i].NotAfter.Equal(again[i].NotAfter) || keys[i].Comment != again[i].Comment {
				t.Fatalf("%+v became %+v", keys[i], again[i])
			}
		}
	})
}

func FuzzReadPrivate(f *testing.F) {
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	f.Add(sealed(1<<30, 8, 1))
	f.Fuzz(func(t *testing.T, content []byte) {
		if key, err := cosignkey.ReadPrivate(content, nil); (err == nil) != (key != nil) {
			t.Fatalf("key %v and error %v", key, err)
		}
	})
}
