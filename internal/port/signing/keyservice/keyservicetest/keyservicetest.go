// Package keyservicetest is what the doubles of key services share: private
// keys of every kind, how they sign, a count of the requests, and the faults
// that a test asks for.
//
// Entry points are [Generate] and [Door]. Only tests import it.
package keyservicetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// Kinds are the keys that Generate makes.
var Kinds = []string{"P-256", "P-384", "P-521", "RSA-2048", "RSA-3072", "RSA-4096", "Ed25519"}

// Generate makes a key of a kind; "P-224" is one that nothing accepts.
func Generate(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "P-224":
		key, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case "P-256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "RSA-2048":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "RSA-3072":
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	case "RSA-4096":
		key, err = rsa.GenerateKey(rand.Reader, 4096)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no kind of key is called %s", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// DER is a public key in PKIX form.
func DER(public crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return der
}

// PEM is a public key in PKIX form, as text.
func PEM(public crypto.PublicKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: DER(public)}))
}

// PKCS8 is a private key without a password, as text.
func PKCS8(private crypto.Signer) string {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Door stands before a double: it counts requests, and lets a test answer in
// the double's place.
type Door struct {
	mu       sync.Mutex
	requests []string
	// Fault answers the nth request (from 1) for an operation itself, and says
	// so with true; nil and false leave it to the double.
	Fault func(w http.ResponseWriter, r *http.Request, operation string, n int) bool
}

// Enter counts a request, and says whether it was answered already.
func (d *Door) Enter(w http.ResponseWriter, r *http.Request, operation string) bool {
	d.mu.Lock()
	d.requests = append(d.requests, operation)
	n, fault := 0, d.Fault
	for _, seen := range d.requests {
		if seen == operation {
			n++
		}
	}
	d.mu.Unlock()
	return fault != nil && fault(w, r, operation, n)
}

// Requests are the operations that were asked for, in order, since it was last
// called.
func (d *Door) Requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	requests := slices.Clone(d.requests)
	d.requests = nil
	return requests
}

// Break sets the fault for what comes.
func (d *Door) Break(fault func(w http.ResponseWriter, r *http.Request, operation string, n int) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests, d.Fault = nil, fault
}
