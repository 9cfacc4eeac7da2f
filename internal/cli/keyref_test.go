package cli_test

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/cli"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/port/signing/awskms/awskmstest"
	"github.com/seed-161fc314/assay/internal/port/signing/azurekms/azurekmstest"
	"github.com/seed-161fc314/assay/internal/port/signing/gcpkms/gcpkmstest"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice/keyservicetest"
	"github.com/seed-161fc314/assay/internal/port/signing/kube/kubetest"
)

// assay runs one command line in this process, in dir, with this process's
// environment.
func assay(t *testing.T, dir string, arguments ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(t.Context(), arguments, cli.Host{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Env: os.Environ(), Dir: dir, Now: time.Now, Width: 100})
	return code, stdout.String(), stderr.String()
}

// elsewhere starts a double of the places that keys are in, and gives a
// reference to a key of each with what counts its requests.
func elsewhere(t *testing.T) map[string]*keyservicetest.Door {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, public, err := cosignkey.Generate([]byte("pw"))
	if err != nil {
		t.Fatal(err)
	}

	aws := awskmstest.New()
	aws.Put("1234abcd-12ab-34cd-56ef-1234567890ab", awskmstest.Key{Private: keyservicetest.Generate(t, "P-256"), Spec: "ECC_NIST_P256"})
	aws.Point("release", "1234abcd-12ab-34cd-56ef-1234567890ab")
	awsServer := httptest.NewServer(aws)
	t.Cleanup(awsServer.Close)

	gcp := gcpkmstest.New()
	gcp.Put("projects/p/locations/global/keyRings/r/cryptoKeys/k", gcpkmstest.Version{Private: keyservicetest.Generate(t, "P-256"), Algorithm: "EC_SIGN_P256_SHA256"})
	gcpServer, metadata := httptest.NewServer(gcp), httptest.NewServer(gcp.Metadata())
	t.Cleanup(gcpServer.Close)
	t.Cleanup(metadata.Close)

	api := kubetest.New()
	api.Put("ci/signing", map[string][]byte{"cosign.key": private, "cosign.password": []byte("pw"), "cosign.pub": public})
	apiServer := httptest.NewTLSServer(api)
	t.Cleanup(apiServer.Close)

	for name, value := range map[string]string{
		"HOME": dir, "ASSAY_REGISTRY": filepath.Join(dir, "registry"), "ASSAY_PASSWORD": "pw", "PRIVATE": string(private), "PUBLIC": string(public),
		"AWS_ACCESS_KEY_ID": awskmstest.AccessKey, "AWS_SECRET_ACCESS_KEY": awskmstest.Secret, "AWS_REGION": awskmstest.Region, "AWS_ENDPOINT_URL_KMS": awsServer.URL,
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS": gcpServer.URL + "/", "GCE_METADATA_HOST": metadata.Listener.Addr().String(), "GOOGLE_APPLICATION_CREDENTIALS": "",
		"GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.com", "GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@example.com", "GIT_CONFIG_NOSYSTEM": "1",
		"KUBECONFIG": write("kubeconfig", kubetest.Config(apiServer, kubetest.Token)),
	} {
		t.Setenv(name, value)
	}
	return map[string]*keyservicetest.Door{
		"awskms:///alias/release":                                      &aws.Door,
		"gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k": &gcp.Door,
		"k8s://ci/signing":                                             &api.Door,
	}
}

// TestKeysElsewhere signs and verifies an image with a key of every kind, and
// counts what each command asked of the key's place.
func TestKeysElsewhere(t *testing.T) {
	doors := elsewhere(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", "pandas"))); err != nil {
		t.Fatal(err)
	}
	requirements := filepath.Join(dir, "requirements.txt")
	content, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(requirements, bytes.ReplaceAll(content, []byte("pyarrow==13.0.0"), []byte("pyarrow==14.0.1")), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := assay(t, dir, "run"); code != 0 {
		t.Fatalf("run: %d\n%s", code, errs)
	}
	for _, door := range doors {
		if got := door.Requests(); len(got) != 0 {
			t.Errorf("no reference named it, and it was asked for %v", got)
		}
	}
	const image = "assay.localhost/pandas-processor:v1.0.0"
	signing := map[string][]string{
		"awskms:///alias/release":                                      {"GetPublicKey", "Sign", "Sign"}, // one for each layout
		"gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k": {"metadata token", "list", "publicKey", "asymmetricSign", "asymmetricSign"},
		"k8s://ci/signing":                                             {"GET /api/v1/namespaces/ci/secrets/signing"},
	}
	verifying := map[string][]string{
		"awskms:///alias/release":                                      {"GetPublicKey"},
		"gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k": {"metadata token", "list", "publicKey"},
		"k8s://ci/signing":                                             {"GET /api/v1/namespaces/ci/secrets/signing"},
	}
	for reference, door := range doors {
		if code, out, _ := assay(t, dir, "verify", "--key", reference, image); code != 1 {
			t.Errorf("%s: before it signed, verify ends with %d\n%s", reference, code, out)
		}
		if got := door.Requests(); !slices.Equal(got, verifying[reference]) {
			t.Errorf("%s: verifying nothing asked for %v", reference, got)
		}
		if code, _, errs := assay(t, dir, "sign", "--key", reference, image); code != 0 {
			t.Errorf("%s: sign ends with %d\n%s", reference, code, errs)
		}
		if got := door.Requests(); !slices.Equal(got, signing[reference]) {
			t.Errorf("%s: signing asked for %v", reference, got)
		}
		if code, out, errs := assay(t, dir, "verify", "--key", reference, image); code != 0 || !strings.Contains(out, "VERIFIED") {
			t.Errorf("%s: verify ends with %d\n%s%s", reference, code, out, errs)
		}
		if got := door.Requests(); !slices.Equal(got, verifying[reference]) {
			t.Errorf("%s: verifying asked for %v", reference, got)
		}
		// The exported key verifies without its place.
		_, pem, _ := assay(t, dir, "key", "public", "--key", reference)
		door.Requests()
		t.Setenv("EXPORTED", pem)
		if code, _, errs := assay(t, dir, "verify", "--key", "env://EXPORTED", image); code != 0 || len(door.Requests()) != 0 {
			t.Errorf("%s: by the exported key, verify ends with %d\n%s", reference, code, errs)
		}
	}
	if code, _, errs := assay(t, dir, "sign", "--key", "env://PRIVATE", image); code != 0 {
		t.Errorf("env: sign ends with %d\n%s", code, errs)
	}
	if code, _, errs := assay(t, dir, "verify", "--key", "env://PUBLIC", image); code != 0 {
		t.Errorf("env: verify ends with %d\n%s", code, errs)
	}
}

// TestKeyReferencesRefused: what a reference cannot be is wrong usage, and no
// key is shown.
func TestKeyReferencesRefused(t *testing.T) {
	elsewhere(t)
	t.Setenv("AZURE_AUTH_METHOD", "magic")
	t.Setenv("SECRET_TEXT", "a-key-that-no-error-may-show")
	for _, test := range []struct {
		key  string
		code int
		want string
	}{
		{"https://example.com/key.pub", 2, "keys of kind https:// are not known"},
		{"nosuch://key", 2, "a key is a file, env://VARIABLE, k8s://NAMESPACE/SECRET, awskms://"},
		{"awskms://key", 2, "want awskms://[ENDPOINT]/KEY"},
		{"gcpkms://key", 2, "want gcpkms://projects/"},
		{"azurekms://key", 2, "want azurekms://VAULT"},
		{"k8s://key", 2, "want k8s://NAMESPACE/SECRET"},
		{"env://a b", 2, "want env://VARIABLE"},
		{"env://NOT_SET", 2, "the variable NOT_SET is not set"},
		{"env://SECRET_TEXT", 3, `"env://SECRET_TEXT": public key: text outside of the blocks`},
		{"env://PRIVATE", 3, "this is a private key"},
		{"awskms:///alias/none", 3, "there is no such key or alias"},
		{"azurekms://v.vault.azure.net/k", 3, `no method is called "magic"`},
		{"nosuch.pub", 3, "nosuch.pub"},
	} {
		code, out, errs := assay(t, t.TempDir(), "verify", "--key", test.key, "assay.localhost/x:1")
		if code != test.code || !strings.Contains(errs, test.want) || strings.Contains(out+errs, "no-error-may-show") {
			t.Errorf("%s: exit code %d, want %d\n%s", test.key, code, test.code, errs)
		}
	}
	vault := azurekmstest.New()
	server := httptest.NewTLSServer(vault)
	defer server.Close()
	t.Setenv("AZURE_AUTH_METHOD", "environment")
	// A vault whose certificate nobody vouches for is told nothing.
	t.Setenv("AZURE_TENANT_ID", "t")
	t.Setenv("AZURE_CLIENT_ID", "c")
	t.Setenv("AZURE_CLIENT_SECRET", "a-secret-that-no-error-may-show")
	code, _, errs := assay(t, t.TempDir(), "verify", "--key", "azurekms://"+server.Listener.Addr().String()+"/k", "assay.localhost/x:1")
	if code != 3 || !strings.Contains(errs, "certificate") || strings.Contains(errs, "no-error-may-show") || len(vault.Requests()) != 0 {
		t.Errorf("unknown authority: %d\n%s", code, errs)
	}
}

// TestJourneyKeyReference: sign.key in assay.yaml is opened before the first
// step, and a reference in it is not a path.
func TestJourneyKeyReference(t *testing.T) {
	doors := elsewhere(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", "pandas"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "assay.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for key, test := range map[string]struct {
		code int
		want string
	}{
		"nosuch://key":            {2, "keys of kind nosuch:// are not known"},
		"awskms:///alias/none":    {3, "there is no such key or alias"},
		"awskms:///alias/release": {3, ".assay/development.pub"}, // the key opens; the policy's file is the example's own
	} {
		if err := os.WriteFile(file, bytes.Replace(content, []byte("key: development"), []byte("key: "+key), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, errs := assay(t, dir, "run")
		if code != test.code || !strings.Contains(errs, test.want) || strings.Contains(errs, "build ") {
			t.Errorf("%s: exit code %d\n%s", key, code, errs)
		}
	}
	if got := doors["awskms:///alias/release"].Requests(); !slices.Equal(slices.Compact(got), []string{"GetPublicKey"}) {
		t.Errorf("AWS was asked for %v", got)
	}
}
