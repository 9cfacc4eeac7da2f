package sigstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"

	"github.com/seed-161fc314/assay/internal/interop/server"
)

// precertificate gives a precertificate and its issuer, as Fulcio offers them
// to a log.
func precertificate(t *testing.T) [][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: root.NotBefore, NotAfter: root.NotAfter, EmailAddresses: []string{"alice@example.com"},
		ExtraExtensions: []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: []byte{5, 0}}}}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{leafDER, rootDER}
}

// TestCTLogPromises: the log's timestamp verifies with its key for the
// precertificate it was given, and for no other.
func TestCTLogPromises(t *testing.T) {
	l, err := newCTLog()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	chain := precertificate(t)
	body, err := json.Marshal(ct.AddChainRequest{Chain: chain})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(l.url+"/ct/v1/add-pre-chain", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var promise ct.AddChainResponse
	if err := json.NewDecoder(response.Body).Decode(&promise); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", response.Status, err)
	}
	var signed ct.DigitallySigned
	if rest, err := tls.Unmarshal(promise.Signature, (*tls.DigitallySigned)(&signed)); err != nil || len(rest) != 0 {
		t.Fatalf("signature: %v, %d bytes left", err, len(rest))
	}
	verifier, err := ct.NewSignatureVerifier(l.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: l.id}, Timestamp: promise.Timestamp, Signature: signed}
	for _, about := range []struct {
		chain [][]byte
		fails bool
	}{{chain, false}, {precertificate(t), true}} {
		leaf, err := ct.MerkleTreeLeafFromRawChain([]ct.ASN1Cert{{Data: about.chain[0]}, {Data: about.chain[1]}}, ct.PrecertLogEntryType, promise.Timestamp)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.VerifySCTSignature(sct, ct.LogEntry{Leaf: *leaf}); (err != nil) != about.fails {
			t.Errorf("fails %v: %v", about.fails, err)
		}
	}
	for what, content := range map[string]string{"no JSON": "chain", "no issuer": `{"chain":["` + base64.StdEncoding.EncodeToString(chain[0]) + `"]}`, "no certificate": `{"chain":["AAAA","AAAA"]}`} {
		response, err := http.Post(l.url+"/ct/v1/add-pre-chain", "application/json", strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", what, response.Status)
		}
	}
}

// TestIssuerTokens: a token verifies with the keys that discovery leads to,
// and says who and for whom.
func TestIssuerTokens(t *testing.T) {
	i, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	defer i.close()
	s := &Stack{issuer: i}
	for name, mint := range map[string]func() (string, error){
		"email": func() (string, error) { return s.Email("alice@example.com") },
		"other": func() (string, error) { return s.OtherEmail("alice@example.com") },
		"workflow": func() (string, error) {
			return s.Workflow(Workflow{Repository: "acme/app", Path: "build.yml", Ref: "refs/heads/main"})
		},
	} {
		token, err := mint()
		if err != nil {
			t.Fatal(err)
		}
		var discovery struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		fetch(t, i.url+"/"+name+"/.well-known/openid-configuration", &discovery)
		var keys jose.JSONWebKeySet
		fetch(t, discovery.Keys, &keys)
		signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := signed.Verify(keys)
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Issuer   string `json:"iss"`
			Audience string `json:"aud"`
			Email    string `json:"email"`
			Ref      string `json:"job_workflow_ref"`
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		if claims.Issuer != discovery.Issuer || claims.Issuer != i.url+"/"+name || claims.Audience != "sigstore" {
			t.Errorf("%s: %+v, discovered %+v", name, claims, discovery)
		}
		if want := "acme/app/build.yml@refs/heads/main"; name == "workflow" && claims.Ref != want || name != "workflow" && claims.Email != "alice@example.com" {
			t.Errorf("%s: %+v", name, claims)
		}
	}
}

func fetch(t *testing.T, url string, into any) {
	t.Helper()
	content, err := (&server.Process{URL: url, Transport: &http.Transport{}}).Get(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

// TestStartSaysWhatIsMissing: without the servers there is no stack, and the
// error says which file and what makes it.
func TestStartSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	_, err := Start(t.Context(), Config{Dir: dir, Peers: filepath.Join(dir, "peers")})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "peers", "fulcio")) || !strings.Contains(err.Error(), ".ci/peers builds it") {
		t.Errorf("%v", err)
	}
}

// TestServerThatEnds: a server that ends before it answers is started again
// twice, and then what it said is shown.
func TestServerThatEnds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"fulcio", "rekor-server-posix", "timestamp-server"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho \"$0: the port is taken\"\nexit 1\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Start(t.Context(), Config{Dir: dir, Peers: dir})
	if err == nil || !strings.Contains(err.Error(), "it ended before it answered: exit status 1") {
		t.Fatalf("%v", err)
	}
	// The timestamp authority has a socket of its own, which nobody takes.
	for name, want := range map[string]int{"rekor-server-posix": 3, "timestamp-server": 1} {
		if said := strings.Count(err.Error(), name+": the port is taken"); said != want {
			t.Errorf("the log of %s shows %d attempts, want %d\n%v", name, said, want, err)
		}
	}
}

// TestLongDirectory: sockets have short paths.
func TestLongDirectory(t *testing.T) {
	_, err := Start(t.Context(), Config{Dir: "/" + strings.Repeat("a", 80), Peers: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "too long a path") {
		t.Errorf("%v", err)
	}
}
