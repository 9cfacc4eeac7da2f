package awskms_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/awskms"
	"github.com/seed-161fc314/assay/internal/port/signing/awskms/awskmstest"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice/keyservicetest"
	"github.com/seed-161fc314/assay/internal/port/signing/signingtest"
)

const id = "1234abcd-12ab-34cd-56ef-1234567890ab"

var specs = map[string]string{
	"P-256": "ECC_NIST_P256", "P-384": "ECC_NIST_P384", "P-521": "ECC_NIST_P521", "Ed25519": "ECC_NIST_EDWARDS25519",
	"RSA-2048": "RSA_2048", "RSA-3072": "RSA_3072", "RSA-4096": "RSA_4096",
}

// serve starts a service over TLS, and gives the part of a reference before
// the key.
func serve(t *testing.T) (*awskmstest.Service, awskms.Config, string) {
	t.Helper()
	credentials(t)
	service := awskmstest.New()
	server := httptest.NewTLSServer(service)
	t.Cleanup(server.Close)
	config := awskms.Config{Reach: keyservice.Reach{Transport: server.Client().Transport, Backoff: time.Millisecond}}
	return service, config, "awskms://" + server.Listener.Addr().String() + "/"
}

// credentials leaves the SDK only the double's.
func credentials(t *testing.T) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": awskmstest.AccessKey, "AWS_SECRET_ACCESS_KEY": awskmstest.Secret, "AWS_REGION": awskmstest.Region,
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": "", "AWS_SHARED_CREDENTIALS_FILE": "", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}

func TestContract(t *testing.T) {
	service, config, prefix := serve(t)
	for _, kind := range keyservicetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			service.Put(id, awskmstest.Key{Private: keyservicetest.Generate(t, kind), Spec: specs[kind]})
			signer, err := awskms.Open(t.Context(), config, prefix+id)
			if err != nil {
				t.Fatal(err)
			}
			signingtest.Run(t, signer)
		})
	}
}

// TestRequests: one to open, one for each signature, and none to verify.
func TestRequests(t *testing.T) {
	service, config, prefix := serve(t)
	key := keyservicetest.Generate(t, "P-256")
	service.Put(id, awskmstest.Key{Private: key, Spec: specs["P-256"]})
	service.Point("release", id)
	for _, name := range []string{id, awskmstest.ARN(id), "alias/release", "arn:aws:kms:" + awskmstest.Region + ":" + awskmstest.Account + ":alias/release"} {
		signer, err := awskms.Open(t.Context(), config, prefix+name)
		if err != nil {
			t.Fatal(err)
		}
		if signer.Version() != awskmstest.ARN(id) {
			t.Errorf("%s: recorded as %s", name, signer.Version())
		}
		for range 3 {
			if _, err := signer.Sign(t.Context(), []byte("m")); err != nil {
				t.Fatal(err)
			}
		}
		if got := service.Requests(); !slices.Equal(got, []string{"GetPublicKey", "Sign", "Sign", "Sign"}) {
			t.Errorf("%s: requests are %v", name, got)
		}
		keys, err := awskms.Public(t.Context(), config, prefix+name)
		if err != nil || len(keys) != 1 || keys[0].Version != awskmstest.ARN(id) || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(keys[0].Key) {
			t.Errorf("%s: public keys %v, %v", name, keys, err)
		}
		if got := service.Requests(); !slices.Equal(got, []string{"GetPublicKey"}) {
			t.Errorf("%s: requests are %v", name, got)
		}
	}
}

// TestAliasMovesOn: a signer keeps to the key that it was opened with.
func TestAliasMovesOn(t *testing.T) {
	service, config, prefix := serve(t)
	const other = "1234abcd-12ab-34cd-56ef-1234567890ff"
	service.Put(id, awskmstest.Key{Private: keyservicetest.Generate(t, "P-256"), Spec: specs["P-256"]})
	service.Put(other, awskmstest.Key{Private: keyservicetest.Generate(t, "P-256"), Spec: specs["P-256"]})
	service.Point("release", id)
	signer, err := awskms.Open(t.Context(), config, prefix+"alias/release")
	if err != nil {
		t.Fatal(err)
	}
	service.Point("release", other)
	signingtest.Run(t, signer)
	if signer.Version() != awskmstest.ARN(id) {
		t.Errorf("recorded as %s", signer.Version())
	}
}

// TestLongEd25519: the service takes no message over 4096 bytes, so a longer
// one is signed as Ed25519ph.
func TestLongEd25519(t *testing.T) {
	service, config, prefix := serve(t)
	key := keyservicetest.Generate(t, "Ed25519")
	service.Put(id, awskmstest.Key{Private: key, Spec: specs["Ed25519"]})
	signer, err := awskms.Open(t.Context(), config, prefix+id)
	if err != nil {
		t.Fatal(err)
	}
	for size, prehashed := range map[int]bool{4096: false, 4097: true} {
		message := bytes.Repeat([]byte("x"), size)
		signature, err := signer.Sign(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		public := key.Public().(ed25519.PublicKey)
		sum := sha512.Sum512(message)
		ph := ed25519.VerifyWithOptions(public, sum[:], signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
		if plain := ed25519.Verify(public, message, signature); plain == prehashed || ph != prehashed {
			t.Errorf("%d bytes: plain %v, prehashed %v", size, plain, ph)
		}
	}
}

func TestKeysRefused(t *testing.T) {
	service, config, prefix := serve(t)
	good := keyservicetest.Generate(t, "P-256")
	for name, test := range map[string]struct {
		key  awskmstest.Key
		want string
	}{
		"disabled":         {awskmstest.Key{State: "Disabled"}, "the key is disabled (DisabledException): enable it"},
		"pending deletion": {awskmstest.Key{State: "PendingDeletion"}, "pending deletion (KMSInvalidStateException)"},
		"no permission":    {awskmstest.Key{Denied: "GetPublicKey"}, "kms:GetPublicKey is not allowed"},
		"for encryption":   {awskmstest.Key{Usage: "ENCRYPT_DECRYPT"}, `usage is "ENCRYPT_DECRYPT"`},
		"another curve":    {awskmstest.Key{Spec: "ECC_SECG_P256K1"}, `kind "ECC_SECG_P256K1"`},
		"a lying spec":     {awskmstest.Key{Private: keyservicetest.Generate(t, "P-224")}, "ECDSA curve P-224 is not accepted"},
	} {
		if test.key.Private == nil {
			test.key.Private = good
		}
		if test.key.Spec == "" {
			test.key.Spec = specs["P-256"]
		}
		service.Put(id, test.key)
		if signer, err := awskms.Open(t.Context(), config, prefix+id); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), prefix+id) || signer != nil {
			t.Errorf("%s: opened %v, %v; want %q", name, signer, err, test.want)
		}
		if keys, err := awskms.Public(t.Context(), config, prefix+id); err == nil || !strings.Contains(err.Error(), test.want) || keys != nil {
			t.Errorf("%s: public %v, %v", name, keys, err)
		}
	}
	if _, err := awskms.Open(t.Context(), config, prefix+"alias/none"); err == nil || !strings.Contains(err.Error(), "no such key or alias") {
		t.Errorf("no such alias: %v", err)
	}
}

// TestSigningFaults: whatever goes wrong after Open, there is no signature.
func TestSigningFaults(t *testing.T) {
	service, config, prefix := serve(t)
	key := awskmstest.Key{Private: keyservicetest.Generate(t, "P-256"), Spec: specs["P-256"]}
	service.Put(id, key)
	signer, err := awskms.Open(t.Context(), config, prefix+id)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(want string) {
		t.Helper()
		if signature, err := signer.Sign(t.Context(), []byte("m")); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), prefix+id) || signature != nil {
			t.Errorf("signed %x, %v; want %q", signature, err, want)
		}
	}
	for want, changed := range map[string]awskmstest.Key{
		"does not verify":          {Private: key.Private, Spec: key.Spec, Forge: keyservicetest.Generate(t, "P-256")},
		"kms:Sign is not allowed":  {Private: key.Private, Spec: key.Spec, Denied: "Sign"},
		"the key is disabled":      {Private: key.Private, Spec: key.Spec, State: "Disabled"},
		"KMSInvalidStateException": {Private: key.Private, Spec: key.Spec, State: "PendingDeletion"},
	} {
		service.Put(id, changed)
		refuse(want)
	}
	service.Put(id, awskmstest.Key{Private: key.Private, Spec: key.Spec, Forge: keyservicetest.Generate(t, "P-256")})
	if _, err := signer.Sign(t.Context(), []byte("m")); !errors.Is(err, signing.ErrOtherSignature) {
		t.Errorf("forged: %v", err)
	}
	service.Put(id, key)
	say := func(status int, content string) func(http.ResponseWriter, *http.Request, string, int) bool {
		return func(w http.ResponseWriter, _ *http.Request, _ string, _ int) bool {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(status)
			w.Write([]byte(content))
			return true
		}
	}
	service.Break(say(200, `{"KeyId":"`+awskmstest.ARN("other")+`","Signature":"AAAA"}`))
	refuse("instead of " + awskmstest.ARN(id))
	service.Break(say(200, `{"KeyId":"`+awskmstest.ARN(id)+`"}`))
	refuse("does not verify")
	service.Break(say(200, `{"KeyId":"`+awskmstest.ARN(id)+`","Signa`))
	refuse("kms:Sign")
	service.Break(say(200, `{"x":"`+strings.Repeat("x", limit.ServiceAnswer)+`"}`))
	refuse("kms:Sign")
	service.Break(say(400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`))
	refuse("still throttled after 4 attempts")
	if got := len(service.Requests()); got != keyservice.Attempts {
		t.Errorf("a throttling service got %d requests", got)
	}
	service.Break(say(503, ``))
	refuse("kms:Sign")
	service.Break(func(w http.ResponseWriter, r *http.Request, _ string, _ int) bool {
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
		return true
	})
	refuse(`redirects to "elsewhere.example"`)
	// Half an answer: the connection ends inside the body.
	service.Break(func(w http.ResponseWriter, _ *http.Request, _ string, _ int) bool {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte(`{"KeyId":"`))
		return true
	})
	refuse("kms:Sign")
	// A service that throttles and then recovers has signed.
	service.Break(func(w http.ResponseWriter, r *http.Request, op string, n int) bool {
		return n <= 2 && say(400, `{"__type":"ThrottlingException"}`)(w, r, op, n)
	})
	if _, err := signer.Sign(t.Context(), []byte("m")); err != nil || len(service.Requests()) != 3 {
		t.Errorf("recovered: %v", err)
	}
}

// TestNoAnswer: a context that ends while the service is silent ends the call.
func TestNoAnswer(t *testing.T) {
	service, config, prefix := serve(t)
	service.Put(id, awskmstest.Key{Private: keyservicetest.Generate(t, "P-256"), Spec: specs["P-256"]})
	signer, err := awskms.Open(t.Context(), config, prefix+id)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	service.Break(func(_ http.ResponseWriter, r *http.Request, _ string, _ int) bool {
		io.Copy(io.Discard, r.Body) // the server sees a caller leave only then
		cancel()
		<-r.Context().Done()
		return true
	})
	if signature, err := signer.Sign(ctx, []byte("m")); !errors.Is(err, context.Canceled) || signature != nil {
		t.Errorf("signed %x, %v", signature, err)
	}
}

// TestSecrets: what the service echoes of the credentials is not shown.
func TestSecrets(t *testing.T) {
	service, config, prefix := serve(t)
	service.Put(id, awskmstest.Key{Private: keyservicetest.Generate(t, "P-256"), Spec: specs["P-256"]})
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
	_, err := awskms.Open(t.Context(), config, prefix+id)
	if err == nil || !strings.Contains(err.Error(), "credentials are not accepted (InvalidSignatureException)") || strings.Contains(err.Error(), awskmstest.Secret) || strings.Contains(err.Error(), "another-secret") {
		t.Errorf("wrong secret: %v", err)
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	service.Requests()
	if _, err := awskms.Open(t.Context(), config, prefix+id); err == nil || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("no credentials: %v", err)
	}
	if got := service.Requests(); len(got) != 0 {
		t.Errorf("without credentials the service was sent %v", got)
	}
}

// TestRegion: an ARN brings its own; a reference without one needs AWS_REGION.
func TestRegion(t *testing.T) {
	service, config, prefix := serve(t)
	service.Put(id, awskmstest.Key{Private: keyservicetest.Generate(t, "P-256"), Spec: specs["P-256"]})
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	if _, err := awskms.Open(t.Context(), config, prefix+awskmstest.ARN(id)); err != nil {
		t.Errorf("the ARN names the region: %v", err)
	}
	if _, err := awskms.Open(t.Context(), config, prefix+id); err == nil || !strings.Contains(err.Error(), "set AWS_REGION") {
		t.Errorf("no region: %v", err)
	}
}

func TestReferencesRefused(t *testing.T) {
	credentials(t)
	for _, reference := range []string{
		"", "awskms://", "awskms:///", "awskms:///key", "awskms://alias/x", "awskms:///alias/", "awskms:///alias/a b", "awskms:///" + id + "?x",
		"awskms:///arn:aws:s3:eu-central-1:111122223333:key/" + id, "awskms:///arn:aws:kms:eu-central-1:1:key/" + id,
		"awskms://user@host/" + id, "awskms://host/path/" + id, "gcpkms://" + id, "awskms:///alias/x\n",
	} {
		// A reference that is wrong contacts nobody: there is no transport.
		config := awskms.Config{Reach: keyservice.Reach{Transport: nowhere{t}}}
		if _, err := awskms.Open(t.Context(), config, reference); err == nil || !strings.Contains(err.Error(), "want awskms://[ENDPOINT]/KEY") {
			t.Errorf("%q: %v", reference, err)
		}
	}
}

type nowhere struct{ t *testing.T }

func (n nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("%s was contacted", r.URL)
	return nil, errors.New("nobody is to be contacted")
}
