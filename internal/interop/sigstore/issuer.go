package sigstore

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is three OpenID Connect issuers on one server, with one key: email
// and other vouch for people, workflow for CI jobs as GitHub does.
type issuer struct {
	url    string
	key    *rsa.PrivateKey
	signer jose.Signer
	close  func()
}

const keyID = "loopback"

func newIssuer() (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key, signer: signer}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{name}/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		own := i.url + "/" + r.PathValue("name")
		answer(w, map[string]any{"issuer": own, "jwks_uri": i.url + "/keys",
			"authorization_endpoint": own + "/authorize", "token_endpoint": own + "/token",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: keyID, Algorithm: "RS256", Use: "sig"}}})
	})
	i.close, err = serve(func(url string) http.Handler {
		i.url = url
		return mux
	})
	return i, err
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the client is gone
}

// mint signs claims as the issuer of that name; what the claims do not say of
// audience and times is Sigstore's, from a minute ago for ten minutes.
func (i *issuer) mint(name string, claims map[string]any) (string, error) {
	now := time.Now()
	all := map[string]any{"iss": i.url + "/" + name, "aud": "sigstore", "iat": now.Add(-time.Minute).Unix(),
		"nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	maps.Copy(all, claims)
	payload, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	signed, err := i.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// fulcioConfig tells Fulcio whose tokens count, and what a workflow's claims
// become in its certificate: the names of the public instance.
func (i *issuer) fulcioConfig() []byte {
	person := `
  %[1]s/%[2]s:
    issuer-url: %[1]s/%[2]s
    client-id: sigstore
    type: email`
	return []byte("oidc-issuers:" + fmt.Sprintf(person, i.url, "email") + fmt.Sprintf(person, i.url, "other") + fmt.Sprintf(`
  %[1]s/workflow:
    issuer-url: %[1]s/workflow
    client-id: sigstore
    type: ci-provider
    ci-provider: github-workflow
ci-issuer-metadata:
  github-workflow:
    default-template-values: {url: "https://github.com"}
    extension-templates:
      github-workflow-trigger: event_name
      github-workflow-sha: sha
      github-workflow-name: workflow
      github-workflow-repository: repository
      github-workflow-ref: ref
      build-signer-uri: "{{ .url }}/{{ .job_workflow_ref }}"
      build-signer-digest: job_workflow_sha
      runner-environment: runner_environment
      source-repository-uri: "{{ .url }}/{{ .repository }}"
      source-repository-digest: sha
      source-repository-ref: ref
      source-repository-identifier: repository_id
      source-repository-owner-uri: "{{ .url }}/{{ .repository_owner }}"
      source-repository-owner-identifier: repository_owner_id
      build-config-uri: "{{ .url }}/{{ .workflow_ref }}"
      build-config-digest: workflow_sha
      build-trigger: event_name
      run-invocation-uri: "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}"
      source-repository-visibility-at-signing: repository_visibility
    subject-alternative-name-template: "{{ .url }}/{{ .job_workflow_ref }}"
`, i.url))
}

// Workflow is a CI job as GitHub's tokens describe it: Repository is
// "owner/name", Path the workflow's file in it, Ref and SHA what it ran at,
// Trigger the event, Name the workflow's own name.
type Workflow struct {
	Repository, Path, Ref, SHA, Trigger, Name string
}

// Subject is the name that a certificate of this workflow carries.
func (w Workflow) Subject() string {
	return "https://github.com/" + w.reference()
}

func (w Workflow) reference() string { return w.Repository + "/" + w.Path + "@" + w.Ref }

// EmailIssuer, OtherIssuer and WorkflowIssuer are the issuers' URLs.
func (s *Stack) EmailIssuer() string    { return s.issuer.url + "/email" }
func (s *Stack) OtherIssuer() string    { return s.issuer.url + "/other" }
func (s *Stack) WorkflowIssuer() string { return s.issuer.url + "/workflow" }

// Email mints the token of a person whose address was verified.
func (s *Stack) Email(address string) (string, error) {
	return s.issuer.mint("email", map[string]any{"sub": address, "email": address, "email_verified": true})
}

// OtherEmail is Email by another issuer.
func (s *Stack) OtherEmail(address string) (string, error) {
	return s.issuer.mint("other", map[string]any{"sub": address, "email": address, "email_verified": true})
}

// Workflow mints the token of a CI job.
func (s *Stack) Workflow(w Workflow) (string, error) {
	owner, _, _ := strings.Cut(w.Repository, "/")
	return s.issuer.mint("workflow", map[string]any{
		"sub": "repo:" + w.Repository + ":ref:" + w.Ref, "event_name": w.Trigger, "sha": w.SHA, "workflow": w.Name,
		"repository": w.Repository, "ref": w.Ref, "job_workflow_ref": w.reference(), "job_workflow_sha": w.SHA,
		"runner_environment": "github-hosted", "repository_id": "11", "repository_owner": owner, "repository_owner_id": "7",
		"workflow_ref": w.reference(), "workflow_sha": w.SHA, "run_id": "5", "run_attempt": "1", "repository_visibility": "public",
	})
}

// Token mints a token with any claims by the issuer of people; claims may
// replace the times ("iat", "nbf", "exp", in seconds) and the audience.
func (s *Stack) Token(claims map[string]any) (string, error) { return s.issuer.mint("email", claims) }
