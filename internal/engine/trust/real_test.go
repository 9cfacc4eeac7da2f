package trust_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// published reads a bundle and a trusted root that sigstore-go tests itself with.
func published(t *testing.T, bundleName, rootName string) (trust.Evidence, *trust.Root) {
	t.Helper()
	content, err := data.Bundle(t, bundleName).MarshalJSON()
	e := evidence(t, trust.Bundle, content, err)
	message, err := data.TrustedRoot(t, rootName).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.ParseRoot(rootName, message)
	if err != nil {
		t.Fatal(err)
	}
	return e, root
}

// provenance is what npm has of sigstore-js 2.0.0, signed on GitHub.
const (
	provenance       = "sigstore.js@2.0.0-provenance.sigstore.json"
	provenanceIssuer = "https://token.actions.githubusercontent.com"
	provenanceWho    = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
)

func provenanceSubject(t testing.TB) subject.Digest {
	t.Helper()
	digest, err := subject.Parse("sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c")
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestRealProvenance verifies what the public Sigstore witnessed in 2023.
func TestRealProvenance(t *testing.T) {
	e, root := published(t, provenance, "public-good.json")
	signer := trust.Signer{Name: "npm", Root: root, Identities: []identity.Pattern{{
		Subject: provenanceWho, Issuer: provenanceIssuer,
		Extensions: map[string]string{"githubWorkflowRepository": "sigstore/sigstore-js", "githubWorkflowTrigger": "push", "sourceRepositoryRef": "refs/heads/main", "runnerEnvironment": "github-hosted"},
	}}}
	about := []subject.Digest{provenanceSubject(t)}
	claim, rejection := trust.Verify(e, []trust.Signer{signer}, about, verifyTime)
	if rejection != nil {
		t.Fatalf("%s: %s", rejection.Reason, rejection.Detail)
	}
	if claim.Type() != "https://slsa.dev/provenance/v1" || claim.Certificate().Subject != provenanceWho || claim.Certificate().Extensions["sourceRepositoryIdentifier"] != "495574555" {
		t.Errorf("type %s, certificate %+v", claim.Type(), claim.Certificate())
	}
	logs := claim.Witnesses().Logs
	if len(logs) != 1 || logs[0].Authority != "https://rekor.sigstore.dev" || logs[0].Time.Year() != 2023 || claim.Witnesses().SCTs != 1 {
		t.Errorf("witnesses %+v", claim.Witnesses())
	}
	if when, dated := claim.Time(); !dated || !when.Equal(logs[0].Time) {
		t.Errorf("time %s, %v", when, dated)
	}
	signer.Identities[0].Extensions["sourceRepositoryRef"] = "refs/heads/dev"
	if _, r := trust.Verify(e, []trust.Signer{signer}, about, verifyTime); r == nil || r.Reason != trust.UnknownIdentity || !strings.Contains(r.Detail, "refs/heads/main") {
		t.Errorf("another branch: %+v", r)
	}
	_, private := published(t, provenance, "scaffolding.json")
	signer.Identities, signer.Root = []identity.Pattern{{Subject: provenanceWho, Issuer: provenanceIssuer}}, private
	if _, r := trust.Verify(e, []trust.Signer{signer}, about, verifyTime); r == nil || r.Reason != trust.NoLogEntry {
		t.Errorf("another root: %+v", r)
	}
}

// TestRealOlderBundle is of version 0.1, with its issuers' certificates and the
// root's.
func TestRealOlderBundle(t *testing.T) {
	e, root := published(t, "dsse.sigstore.json", "public-good.json")
	digest, err := subject.Parse("sha512:bbfd372fc9beeb777fe35d05bb10c0c70a9733d366a75fed7dd18866c7391de3ee7e88ba74dd47abf3e15c845e547fcf0e5c3da80854c751554224d3a6d4e55f")
	if err != nil {
		t.Fatal(err)
	}
	signer := trust.Signer{Name: "npm", Root: root, Identities: []identity.Pattern{{Subject: "brian@dehamer.com", Issuer: "https://github.com/login/oauth"}}}
	claim, rejection := trust.Verify(e, []trust.Signer{signer}, []subject.Digest{digest}, verifyTime)
	if rejection != nil {
		t.Fatalf("%s: %s", rejection.Reason, rejection.Detail)
	}
	if claim.Type() != "https://slsa.dev/provenance/v0.2" || len(claim.Witnesses().Logs) != 1 {
		t.Errorf("type %s, witnesses %+v", claim.Type(), claim.Witnesses())
	}
}

// TestRealOtherName: a subject that Go's certificates do not know.
func TestRealOtherName(t *testing.T) {
	e, root := published(t, "othername.sigstore.json", "scaffolding.json")
	digest, err := subject.Parse("sha256:bc103b4a84971ef6459b294a2b98568a2bfb72cded09d4acd1e16366a401f95b")
	if err != nil {
		t.Fatal(err)
	}
	signer := trust.Signer{
		Name: "foo", Root: root, Demand: trust.Demand{WithoutSCTUnsafe: true},
		Identities: []identity.Pattern{{Subject: "foo!oidc.local", Issuer: "http://oidc.local:8080"}},
	}
	claim := acceptBlob(t, e, trust.Artifact{Digest: digest}, signer)
	if claim.Certificate().Subject != "foo!oidc.local" || claim.Type() != trust.TypeMessage {
		t.Errorf("certificate %+v", claim.Certificate())
	}
	signer.Identities[0].Subject = "foo@oidc.local"
	denyBlob(t, trust.UnknownIdentity, e, trust.Artifact{Digest: digest}, signer, "foo!oidc.local")
	signer.Identities[0].Subject = "foo!oidc.local"
	denyBlob(t, trust.OtherSubject, e, trust.Artifact{Digest: image}, signer)
}

// TestRealKeyValidity is the bundle of CVE-2026-54787: signed by a key and
// timestamped.
func TestRealKeyValidity(t *testing.T) {
	e, root := published(t, "public-key-validity.sigstore.json", "public-key-validity.json")
	public := data.PublicKey(t, "public-key-validity.pem")
	id, err := identity.KeyOf(public)
	if err != nil {
		t.Fatal(err)
	}
	signer := trust.Signer{Name: "key", Root: root, Keys: []trust.Key{{ID: id, Public: public}}, Demand: trust.Demand{Timestamp: true}}
	about := trust.Artifact{Content: []byte("test content")}
	if stamps := acceptBlob(t, e, about, signer).Witnesses().Timestamps; len(stamps) != 1 {
		t.Errorf("timestamps %+v", stamps)
	}
	signer.Keys[0].NotAfter = time.Unix(1, 0)
	denyBlob(t, trust.KeyOutOfTime, e, about, signer, "was retired at 1970-01-01T00:00:01Z")
}

// TestRealTwoSignatures: a bundle has one.
func TestRealTwoSignatures(t *testing.T) {
	e, root := published(t, "dsse-2sigs.sigstore.json", "public-good.json")
	r := deny(t, trust.Unreadable, e, trust.Signer{Name: "x", Root: root, Identities: []identity.Pattern{{SubjectRegexp: ".*", IssuerRegexp: ".*"}}})
	if !strings.Contains(r.Detail, "2 signatures") {
		t.Error(r.Detail)
	}
}

// TestExtensionNames: the names that patterns know are those that sigstore-go
// reads; a certificate that has them all gives them all.
func TestExtensionNames(t *testing.T) {
	e, root := published(t, provenance, "public-good.json")
	claim, rejection := trust.Verify(e, []trust.Signer{{Name: "x", Root: root, Identities: []identity.Pattern{{SubjectRegexp: ".*", IssuerRegexp: ".*"}}}}, []subject.Digest{provenanceSubject(t)}, verifyTime)
	if rejection != nil {
		t.Fatal(rejection.Detail)
	}
	for _, name := range identity.ExtensionNames() {
		if claim.Certificate().Extensions[name] == "" {
			t.Errorf("%s is known and not read", name)
		}
	}
	if n := len(claim.Certificate().Extensions); n != len(identity.ExtensionNames()) {
		t.Errorf("%d extensions are read: %v", n, claim.Certificate().Extensions)
	}
}

func TestAuthoritiesOfRoot(t *testing.T) {
	_, root := published(t, provenance, "public-good.json")
	counts := map[trust.Kind]int{}
	for _, a := range root.Authorities() {
		counts[a.Kind]++
		if !strings.HasPrefix(a.Fingerprint, "sha256:") || a.NotBefore.IsZero() {
			t.Errorf("%+v", a)
		}
		isLog := a.Kind == trust.TransparencyLog || a.Kind == trust.CertificateLog
		if isLog != (a.LogID != "") || isLog == (a.Subject != "") {
			t.Errorf("%+v", a)
		}
	}
	if counts[trust.CertificateAuthority] != 2 || counts[trust.CertificateLog] != 2 || counts[trust.TransparencyLog] != 1 || counts[trust.TimestampAuthority] != 1 {
		t.Errorf("counts %v", counts)
	}
	if first := root.Authorities()[0]; first.URL != "https://fulcio.sigstore.dev" || first.Subject != "CN=sigstore,O=sigstore.dev" || first.NotAfter.Year() != 2022 {
		t.Errorf("first %+v", first)
	}
}
