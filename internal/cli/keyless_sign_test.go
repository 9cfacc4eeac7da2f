package cli_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
	"github.com/seed-161fc314/assay/internal/format/signingconfig"
	"github.com/seed-161fc314/assay/internal/port/signing/keyless/keylesstest"
	"github.com/seed-161fc314/assay/internal/port/trustroot/trustroottest"
)

const alice = "alice@example.com"

// sky is a house with a Sigstore that listens.
type sky struct {
	*house
	server *keylesstest.Server
}

// newSky writes root.json and config.json, of the first or the second
// generation of logs, and alice.jwt.
func newSky(t *testing.T, v2 bool) sky {
	t.Helper()
	s := sky{house: newHouse(t)}
	s.server = keylesstest.New(t, func() time.Time { return s.now })
	s.write("root.json", s.server.Sigstore.Root())
	service := func(which string, version uint32) []signingconfig.Service {
		return []signingconfig.Service{{URL: s.server.URL(which), Version: version}}
	}
	anyOne := signingconfig.Rule{Selector: signingconfig.Any}
	config := signingconfig.Config{
		Authorities: service(keylesstest.Fulcio, 1), Providers: []signingconfig.Service{{URL: "https://login.example.com", Version: 1}},
		Logs: service(keylesstest.Rekor, 1), LogRule: anyOne, Timestamps: service(keylesstest.TSA, 1), TimestampRule: anyOne,
	}
	if v2 {
		config.Logs = service(keylesstest.Rekor2, 2)
	}
	content, err := config.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.json", content)
	s.write("alice.jwt", []byte(s.server.Token(alice)+"\n"))
	return s
}

func (s sky) requests() int {
	n := 0
	for _, service := range []string{keylesstest.Fulcio, keylesstest.Rekor, keylesstest.Rekor2, keylesstest.TSA} {
		n += s.server.Requests(service)
	}
	return n
}

func by(who string, more ...string) []string {
	return append([]string{"--certificate-identity", who, "--certificate-oidc-issuer", keylesstest.Issuer}, more...)
}

var given = []string{"--identity-token", "alice.jwt", "--signing-config", "config.json", "--trusted-root", "root.json"}

// TestKeylessVerbs signs and attests without a key and has it verified: by who
// signed, and by nobody else.
func TestKeylessVerbs(t *testing.T) {
	for _, v2 := range []bool{false, true} {
		s := newSky(t, v2)
		s.write("predicate.json", []byte(`{"said": "it"}`))
		s.write("model.bin", []byte("weights"))
		image, _ := s.push("app")
		words := []string{"signing as " + alice, "vouched for by " + keylesstest.Issuer, "certified by " + s.server.URL(keylesstest.Fulcio), "witnessed by ", "as bundle"}
		if v2 {
			words = append(words, "only bundles are written (--layout bundle): the older layout has no place", "!as simple-signing")
			s.want(2, []string{"--layout legacy", "hint: --layout bundle"}, slices.Concat([]string{"sign", "--layout", "legacy"}, given, []string{image})...)
		} else {
			words = append(words, "as simple-signing", "!only bundles")
		}
		s.want(0, words, slices.Concat([]string{"sign"}, given, []string{image})...)
		s.want(0, []string{"attested"}, slices.Concat([]string{"attest", "--type", "custom", "--predicate", "predicate.json"}, given, []string{image})...)
		s.want(0, []string{"signed model.bin  in model.sig", "!only bundles"}, slices.Concat([]string{"sign", "--bundle", "model.sig"}, given, []string{"model.bin"})...)

		root := []string{"--trusted-root", "root.json"}
		for _, verb := range [][]string{{"verify", image}, {"verify-attestation", "--type", "custom", image}, {"verify", "--bundle", "model.sig", "model.bin"}} {
			s.want(0, []string{"VERIFIED", "by   " + alice, "chain to root.json", "the log's signed entry", "the SCT"}, slices.Concat(verb, by(alice), root)...)
			s.want(1, []string{"NOT VERIFIED", "unknown identity"}, slices.Concat(verb, by("eve@example.com"), root)...)
			s.want(1, []string{"NOT VERIFIED", "unknown identity"}, slices.Concat(verb, []string{"--certificate-identity", alice, "--certificate-oidc-issuer", "https://issuer.example.com"}, root)...)
		}
		// Another Sigstore's root believes none of it.
		stranger := newSky(t, v2)
		s.write("other.json", stranger.server.Sigstore.Root())
		s.want(1, []string{"NOT VERIFIED"}, slices.Concat([]string{"verify", image}, by(alice), []string{"--trusted-root", "other.json"})...)
		s.want(3, nil, slices.Concat([]string{"sign", "--trusted-root", "other.json"}, given[:4], []string{image})...)
	}
}

// TestKeylessBatch: one certificate for a run, one entry for each signature.
func TestKeylessBatch(t *testing.T) {
	s := newSky(t, true)
	var list []string
	for i := range 12 {
		image, _ := s.push(fmt.Sprintf("app%d", i))
		list = append(list, image)
	}
	s.write("images.txt", []byte(strings.Join(list, "\n")))
	s.want(0, nil, slices.Concat([]string{"sign", "-f", "images.txt"}, given)...)
	if c, e, ts := s.server.Requests(keylesstest.Fulcio), s.server.Requests(keylesstest.Rekor2), s.server.Requests(keylesstest.TSA); c != 1 || e != 12 || ts != 12 {
		t.Errorf("%d certificates, %d entries, %d timestamps", c, e, ts)
	}
	s.want(0, nil, slices.Concat([]string{"verify", "-f", "images.txt", "--trusted-root", "root.json"}, by(alice))...)
}

// TestBatchWaitsOnce: a run that waits for a log works on more than eight at
// once: the log here answers none before it has all of them.
func TestBatchWaitsOnce(t *testing.T) {
	s := newSky(t, true)
	const images = 20
	var list []string
	for i := range images {
		image, _ := s.push(fmt.Sprintf("app%d", i))
		list = append(list, image)
	}
	s.write("images.txt", []byte(strings.Join(list, "\n")))
	came, all := make(chan struct{}, images), make(chan struct{})
	go func() {
		for range images {
			<-came
		}
		close(all)
	}()
	s.server.Fault = func(service string, _ http.ResponseWriter, request *http.Request) bool {
		if service == keylesstest.Rekor2 {
			came <- struct{}{}
			select {
			case <-all:
			case <-request.Context().Done():
			}
		}
		return false
	}
	s.want(0, nil, slices.Concat([]string{"sign", "-f", "images.txt"}, given)...)
}

// TestReplaceVerb: --replace takes away what the same signer said, and names it.
func TestReplaceVerb(t *testing.T) {
	s := newSky(t, false)
	s.key("ci")
	image, _ := s.push("app")
	for _, signer := range [][]string{given, {"--key", "ci.key"}} {
		for i := range 2 {
			s.write("predicate.json", fmt.Appendf(nil, `{"said": %d}`, i))
			word := "!in place of"
			if i == 1 {
				word = "in place of sha256:"
			}
			s.want(0, []string{word}, slices.Concat([]string{"attest", "--replace", "--type", "https://example.com/said", "--predicate", "predicate.json"}, signer, []string{image})...)
		}
	}
	for _, signer := range [][]string{by(alice, "--trusted-root", "root.json"), {"--key", "ci.pub"}} {
		got := s.want(0, nil, slices.Concat([]string{"verify-attestation", "-o", "json", "--type", "https://example.com/said"}, signer, []string{image})...)
		if strings.Contains(got.out, `"said": 0`) || !strings.Contains(got.out, `"said": 1`) {
			t.Errorf("%q:\n%s", signer, got.out)
		}
	}
	s.want(2, []string{"--replace is for images"}, "sign", "--replace", "--key", "ci.key", "--bundle", "x", "predicate.json")
}

// TestKeyWithWitnesses: a key's signature is shown to those who are named, and
// to nobody otherwise.
func TestKeyWithWitnesses(t *testing.T) {
	s := newSky(t, false)
	s.key("ci")
	image, _ := s.push("app")
	verify := []string{"verify", "--key", "ci.pub", "--trusted-root", "root.json", "--require-tlog", "--require-timestamp", image}
	s.want(0, []string{"!witnessed"}, "sign", "--key", "ci.key", image)
	if n := s.requests(); n != 0 {
		t.Fatalf("%d requests with a key", n)
	}
	s.want(1, []string{"no log entry"}, verify...)
	s.want(0, []string{"witnessed by", "!signing as"}, "sign", "--key", "ci.key", "--rekor-url", s.server.URL(keylesstest.Rekor),
		"--timestamp-server-url", s.server.URL(keylesstest.TSA), "--trusted-root", "root.json", image)
	s.want(0, []string{"the log's signed entry", "the timestamp"}, verify...)
	before := s.server.Requests(keylesstest.Fulcio)
	s.want(0, []string{"witnessed by"}, "sign", "--key", "ci.key", "--signing-config", "config.json", "--trusted-root", "root.json", image)
	if s.server.Requests(keylesstest.Fulcio) != before {
		t.Error("a certificate was asked for")
	}
}

// TestKeylessUsage: what contradicts itself or is missing is said before
// anybody is contacted.
func TestKeylessUsage(t *testing.T) {
	s := newSky(t, false)
	s.key("ci")
	image, _ := s.push("app")
	key := []string{"--key", "ci.key"}
	fulcio, rekor := s.server.URL(keylesstest.Fulcio), s.server.URL(keylesstest.Rekor)
	for _, test := range []struct {
		flags []string
		want  string
	}{
		{nil, "neither a key is named, nor who would certify one"},
		{[]string{"--identity-token", "alice.jwt"}, "neither a key is named, nor who would certify one"},
		{given[:4], "--trusted-root is missing"},
		{given[2:], "nobody says who signs"},
		{slices.Concat(given[2:], []string{"--oidc-disable-ambient-providers"}), "nobody is at the terminal"},
		{slices.Concat(key, given[:2]), "exclude each other"},
		{slices.Concat(key, []string{"--fulcio-url", fulcio}), "exclude each other"},
		{slices.Concat(key, []string{"--trusted-root", "root.json"}), "none are asked for"},
		{slices.Concat(given, []string{"--rekor-url", rekor}), "do not go with it"},
		{[]string{"--rekor-url", rekor}, "--fulcio-url is missing"},
		{[]string{"--fulcio-url", fulcio}, "nobody would say when"},
		{[]string{"--fulcio-url", fulcio, "--rekor-url", rekor, "--rekor-version", "2"}, "needs --timestamp-server-url"},
		{[]string{"--rekor-version", "3"}, "want 1 or 2"},
		{[]string{"--rekor-version", "2"}, "is of --rekor-url"},
		{slices.Concat(given, []string{"--oidc-provider", "spiffe"}), "--identity-token is who signs"},
		{[]string{"--oidc-provider", "spiffe", "--oidc-issuer", "https://i"}, "--oidc-provider is who is asked"},
		{[]string{"--fulcio-auth-flow", "token"}, "want one of normal, device"},
	} {
		s.want(2, []string{test.want}, slices.Concat([]string{"sign"}, test.flags, []string{image})...)
	}
	for _, bad := range []string{"", "none.jwt", "eyJ.x.y"} {
		s.want(3-boolean(bad == ""), nil, slices.Concat([]string{"sign", "--identity-token", bad}, given[2:], []string{image})...)
	}
	if n := s.requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestAmbientIdentity: a token of the environment signs without a flag about
// it; one for somebody else does not, and the next provider is not asked.
func TestAmbientIdentity(t *testing.T) {
	s := newSky(t, false)
	image, _ := s.push("app")
	kept := []string{"trust", "init", "--trusted-root", "root.json", "--signing-config", "config.json"}
	s.want(0, []string{"certificate authority", s.server.URL(keylesstest.Fulcio), "https://login.example.com"}, kept...)
	s.want(2, []string{"already", "--force"}, kept...)
	s.env = []string{"SIGSTORE_ID_TOKEN=" + s.server.Token(alice)}
	s.want(0, []string{"signing as " + alice}, "sign", image)
	s.want(0, []string{"chain to ", "trusted_root.json"}, slices.Concat([]string{"verify"}, by(alice), []string{image})...)
	s.want(1, []string{"unknown identity"}, slices.Concat([]string{"verify"}, by("eve@example.com"), []string{image})...)
	s.want(3, []string{"filesystem"}, "sign", "--oidc-provider", "filesystem", image)
	before := s.requests()
	s.env = []string{"SIGSTORE_ID_TOKEN=" + unsigned(map[string]any{"iss": keylesstest.Issuer, "aud": "somebody", "sub": alice, "exp": s.now.Add(time.Hour).Unix()})}
	s.want(3, []string{"envvar", "somebody"}, "sign", image)
	s.env = []string{"SIGSTORE_ID_TOKEN=" + unsigned(map[string]any{"iss": keylesstest.Issuer, "aud": "sigstore", "sub": alice, "exp": s.now.Add(-time.Hour).Unix()})}
	s.want(3, []string{"envvar", "expired"}, "sign", image)
	if s.requests() != before {
		t.Error("the authority was asked")
	}
}

// unsigned is an identity token as far as this program looks into one.
func unsigned(claims map[string]any) string {
	part := func(v any) string {
		content, _ := json.Marshal(v) // maps of strings and numbers
		return base64.RawURLEncoding.EncodeToString(content)
	}
	return part(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." + part(claims) + "." + part("signature")
}

// TestDeviceLogin: a person logs in at another machine's browser; one who
// refuses leaves nothing behind.
func TestDeviceLogin(t *testing.T) {
	s := newSky(t, false)
	image, _ := s.push("app")
	refused := false
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case request.URL.Path == "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%[1]s/auth","token_endpoint":"%[1]s/token","device_authorization_endpoint":"%[1]s/device"}`, issuer.URL)
		case request.URL.Path == "/device":
			fmt.Fprintf(w, `{"device_code":"d","user_code":"ABCD-EFGH","verification_uri":"%s/login","expires_in":60,"interval":1}`, issuer.URL)
		case refused:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"access_denied"}`)
		default:
			if request.FormValue("client_secret") != "hush" {
				t.Errorf("secret %q", request.FormValue("client_secret"))
			}
			fmt.Fprintf(w, `{"access_token":"a","token_type":"Bearer","id_token":%q}`, unsigned(map[string]any{
				"iss": issuer.URL, "aud": "cli", "sub": alice, "email": alice, "email_verified": true, "iat": s.now.Unix(), "exp": s.now.Add(time.Hour).Unix()}))
		}
	}))
	defer issuer.Close()
	s.write("secret", []byte("hush\n"))
	sign := slices.Concat([]string{"sign", "--fulcio-auth-flow", "device", "--oidc-issuer", issuer.URL, "--oidc-client-id", "cli", "--oidc-client-secret-file", "secret"}, given[2:], []string{image})
	refused = true
	s.want(3, []string{"the code there must be ABCD-EFGH", "access_denied", "!signed"}, sign...)
	s.want(1, []string{"there is no evidence at all"}, slices.Concat([]string{"verify", "--trusted-root", "root.json"}, by(alice), []string{image})...)
	refused = false
	s.want(0, []string{"log in with a browser", issuer.URL + "/login", "signing as " + alice}, sign...)
}

// TestTrustShow prints what is kept, until when, and what a signer asks.
func TestTrustShow(t *testing.T) {
	s := newSky(t, true)
	s.want(2, []string{"no trust material is there", "assay trust init"}, "trust", "show")
	s.want(2, []string{"no trust material is there"}, "trust", "update")
	s.want(0, []string{"signs nothing"}, "trust", "init", "--trusted-root", "root.json")
	s.want(2, []string{"no signing configuration"}, "sign", "--identity-token", "alice.jwt", "registry.example.com/app:1")
	s.want(0, []string{"valid", "timestamp authority", "transparency log"}, "trust", "show")
	s.want(0, []string{`"state": "valid"`, `"kind": "timestamp authority"`}, "trust", "show", "-o", "json", "root.json")
	s.want(3, []string{"files that were handed over"}, "trust", "update")
	s.want(0, nil, "trust", "init", "--force", "--trusted-root", "root.json", "--signing-config", "config.json")
	s.want(0, []string{s.server.URL(keylesstest.Rekor2)}, "trust", "show")
	s.now = s.now.AddDate(3, 0, 0)
	s.want(0, []string{"ended"}, "trust", "show")
	s.write("broken.json", []byte(`{"mediaType": "x"}`))
	s.want(3, []string{"broken.json is no trusted root"}, "trust", "init", "--force", "--trusted-root", "broken.json")
	s.want(3, []string{"broken.json"}, "trust", "init", "--force", "--trusted-root", "root.json", "--signing-config", "broken.json")
	s.want(0, []string{s.server.URL(keylesstest.Rekor2)}, "trust", "show") // it is still there
	if left, err := filepath.Glob(filepath.Join(s.dir, ".local/share/assay/trust/.*.json*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestTrustPieces makes a root of certificates and keys, as cosign's
// trusted-root create is told of them, which verifies what is signed.
func TestTrustPieces(t *testing.T) {
	for _, v2 := range []bool{false, true} {
		s := newSky(t, v2)
		if v2 { // its checkpoints bear the name of the host where it listens
			s.server.Sigstore.V2 = trusttest.NewLog(t, s.server.URL(keylesstest.Rekor2), s.server.Sigstore.V2.Period, true)
		}
		var root struct {
			CertificateAuthorities, TimestampAuthorities []struct {
				CertChain struct{ Certificates []struct{ RawBytes []byte } }
			}
			Tlogs, Ctlogs []struct {
				BaseURL   string
				PublicKey struct{ RawBytes []byte }
			}
		}
		if err := json.Unmarshal(s.server.Sigstore.Root(), &root); err != nil {
			t.Fatal(err)
		}
		chain := func(name string, certificates []struct{ RawBytes []byte }) {
			var content []byte
			for _, c := range certificates {
				content = append(content, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.RawBytes})...)
			}
			s.write(name, content)
		}
		key := func(name string, der []byte) {
			s.write(name, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		}
		chain("fulcio.pem", root.CertificateAuthorities[0].CertChain.Certificates)
		chain("tsa.pem", append([]struct{ RawBytes []byte }{{s.server.Stamper().Raw}}, root.TimestampAuthorities[0].CertChain.Certificates...))
		key("ct.pub", root.Ctlogs[0].PublicKey.RawBytes)
		for _, log := range root.Tlogs {
			if (log.BaseURL == s.server.Sigstore.V2.URL) == v2 {
				key("rekor.pub", log.PublicKey.RawBytes)
			}
		}
		rekor := "url=" + s.server.URL(keylesstest.Rekor) + ",public-key=rekor.pub"
		if v2 {
			rekor = "url=" + s.server.URL(keylesstest.Rekor2) + ",public-key=rekor.pub,origin=127.0.0.1"
		}
		init := []string{"trust", "init", "--force", "--fulcio", "url=" + s.server.URL(keylesstest.Fulcio) + ",certificate-chain=fulcio.pem",
			"--ctfe", "url=https://ct.example.com,public-key=ct.pub,start-time=2020-01-01T00:00:00Z",
			"--tsa", "url=" + s.server.URL(keylesstest.TSA) + ",certificate-chain=tsa.pem", "--rekor"}
		s.want(0, []string{"transparency log", "A signer without a key asks now"}, append(init, rekor)...)
		image, _ := s.push("app")
		s.want(0, []string{"signing as"}, "sign", "--identity-token", "alice.jwt", image)
		s.want(0, []string{"VERIFIED"}, slices.Concat([]string{"verify"}, by(alice), []string{image})...)

		for text, want := range map[string]string{
			"url=https://r.example.com": "public-key= is missing",
			"public-key=rekor.pub":      "url= is missing",
			"url=https://r.example.com,public-key=rekor.pub,url=https://r.example.com":                                     "url is there twice",
			"url=https://r.example.com,public-key=rekor.pub,color=red":                                                     `"color=red" is not one of`,
			"url=https://r.example.com,public-key=rekor.pub,start-time=now":                                                "want a time such as",
			"url=https://r.example.com,public-key=rekor.pub,origin=q.example.com":                                          "the URL's host",
			"url=https://r.example.com,certificate-chain=fulcio.pem,public-key=rekor.pub":                                  "is not one of",
			"url=https://r.example.com,public-key=rekor.pub,start-time=2020-01-01T00:00:00Z,end-time=1960-01-01T00:00:00Z": "ends before it begins",
			"url=https://r.example.com,public-key=fulcio.pem":                                                              "fulcio.pem",
			"url=https://r.example.com,public-key=none.pub":                                                                "none.pub",
			"url=r.example.com,public-key=rekor.pub":                                                                       "want https://HOST/",
		} {
			got := s.run(append(init, text)...)
			if got.code < 2 || !strings.Contains(got.err, want) {
				t.Errorf("--rekor %s: exit code %d, want %q in\n%s", text, got.code, want, got.err)
			}
		}
		only := []string{"no transparency log is named", "no certificate log is named", "nothing says when it was signed"}
		s.want(0, only, append(slices.Clone(init[:5]), "--dir", "only")...)
		s.want(0, only[1:2], append(slices.Clone(init[:5]), "--dir", "logged", "--rekor", rekor)...)
		s.want(3, []string{"ct.pub"}, "trust", "init", "--force", "--fulcio", "url=https://f.example.com,certificate-chain=ct.pub")
		s.want(2, []string{"nobody is named who is believed"}, "trust", "init", "--force", "--oidc-issuer", "https://i.example.com")
		s.want(2, []string{"name one of them"}, "trust", "init", "--force", "--oidc-issuer", "https://i.example.com", "--trusted-root", "root.json")
		s.want(2, []string{"--root is missing"}, "trust", "init", "--force", "--mirror", "https://tuf.example.com")
		s.want(2, []string{"--mirror does not say which"}, "trust", "init", "--force", "--root", "root.json")
		s.want(0, []string{"VERIFIED"}, slices.Concat([]string{"verify"}, by(alice), []string{image})...) // what was there still is
		if _, err := os.Stat(filepath.Join(s.dir, ".local/share/assay/trust/trusted_root.json")); err != nil {
			t.Error(err)
		}
	}
}

// TestTrustTUF fetches trust material from a TUF repository, signs and verifies
// by it, and follows it; one that goes back or stands still is refused.
func TestTrustTUF(t *testing.T) {
	s := newSky(t, true)
	repository := trustroottest.New(t, s.now)
	config, err := os.ReadFile(filepath.Join(s.dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	old := newSky(t, true).server.Sigstore.Root()
	publish := func(version int64, root []byte, days int) {
		repository.Publish(version, map[string][]byte{"trusted_root.json": root, "signing_config.v0.2.json": config}, s.now.AddDate(0, 0, days))
	}
	publish(1, old, 9)
	s.write("tuf-root.json", repository.Files["1.root.json"])
	mirror := repository.Serve()
	s.want(0, []string{"the TUF repository " + mirror, s.server.URL(keylesstest.Rekor2)}, "trust", "init", "--mirror", mirror, "--root", "tuf-root.json")
	image, _ := s.push("app")
	sign := []string{"sign", "--identity-token", "alice.jwt", image}
	s.want(3, []string{"no gate that believes"}, sign...) // by a root of another instance
	s.want(0, []string{"nothing has changed"}, "trust", "update")

	before := maps.Clone(repository.Files)
	publish(2, s.server.Sigstore.Root(), 9)
	s.want(0, []string{"trust material has changed"}, "trust", "update")
	s.want(0, []string{"signing as"}, sign...)
	s.want(0, []string{"VERIFIED"}, slices.Concat([]string{"verify"}, by(alice), []string{image})...)

	now := repository.Files
	repository.Files = before
	s.want(3, []string{"version"}, "trust", "update")
	repository.Files = now
	publish(3, old, -1)
	s.want(3, []string{"expired"}, "trust", "update")
	s.want(0, []string{"VERIFIED"}, slices.Concat([]string{"verify"}, by(alice), []string{image})...)

	dir := t.TempDir()
	publish(4, old, 9)
	repository.Write(dir)
	s.want(0, []string{dir}, "trust", "init", "--force", "--mirror", dir, "--root", "tuf-root.json")
	s.want(3, []string{"its root.json"}, "trust", "init", "--force", "--mirror", dir, "--root", "root.json")
}
