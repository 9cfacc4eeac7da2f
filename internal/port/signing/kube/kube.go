// Package kube takes keys from secrets of a Kubernetes cluster, as cosign
// writes them there.
//
// Entry points are [Open], for signing, and [Public], for verifying.
// References are those of cosign: k8s://NAMESPACE/SECRET. The secret has the
// fields cosign.key (the private key, encrypted), cosign.password and
// cosign.pub.
//
// One request reads the secret; the key then stays in memory, as one of a file
// does. The cluster and the credentials are those of kubeconfig files, else of
// the pod that the program runs in. Nothing is contacted before Open or Public.
//
// The package watches nothing, and writes no secret.
package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
)

// Scheme starts a reference.
const Scheme = "k8s"

// The fields of a secret, as `cosign generate-key-pair k8s://…` writes them.
const (
	privateField  = "cosign.key"
	passwordField = "cosign.password"
	publicField   = "cosign.pub"
)

// Config says which cluster; the zero value is the one that the program runs
// in.
type Config struct {
	// Kubeconfig are files that are read where they are there, the first one
	// first, as kubectl merges them.
	Kubeconfig []string
	// Backoff bounds the pause before the request is sent again; zero is five
	// seconds.
	Backoff time.Duration
}

// Open reads the private key of a secret: one request. The public key beside
// it, if any, has to be its own.
func Open(ctx context.Context, config Config, reference string) (*file.Signer, error) {
	fields, err := read(ctx, config, reference)
	if err != nil {
		return nil, err
	}
	private, found := fields[privateField]
	if !found {
		return nil, fmt.Errorf("%s: the secret has no field %s: `cosign generate-key-pair %s` writes such secrets", reference, privateField, reference)
	}
	signer, err := file.Parse(reference+" "+privateField, private, func() ([]byte, error) {
		password, found := fields[passwordField]
		if !found {
			return nil, fmt.Errorf("the secret has no field %s", passwordField)
		}
		return password, nil
	})
	if err != nil {
		return nil, err
	}
	public, found := fields[publicField]
	if !found {
		return signer, nil
	}
	keys, err := cosignkey.ReadPublic(public)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", reference, publicField, err)
	}
	for _, key := range keys {
		if id, err := identity.KeyOf(key.Key); err == nil && id == signer.KeyID() {
			return signer, nil
		}
	}
	return nil, fmt.Errorf("%s: %s is not the public key of %s; nobody who trusts it would accept a signature", reference, publicField, privateField)
}

// Public reads the public keys of a secret, in PEM as trust.ParseSigner takes
// them, with the times in their headers: one request. The private key is not
// looked at.
func Public(ctx context.Context, config Config, reference string) ([]byte, error) {
	fields, err := read(ctx, config, reference)
	if err != nil {
		return nil, err
	}
	content, found := fields[publicField]
	if !found {
		return nil, fmt.Errorf("%s: the secret has no field %s", reference, publicField)
	}
	return content, nil
}

const reference = `^k8s://([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)/([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$`

// read fetches the fields of a secret.
func read(ctx context.Context, config Config, text string) (map[string][]byte, error) {
	found := regexp.MustCompile(reference).FindStringSubmatch(text) // compiled here: it would cost every start
	if found == nil {
		return nil, &keyservice.ReferenceError{Reference: text, Want: "k8s://NAMESPACE/SECRET"}
	}
	cluster, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{Precedence: config.Kubeconfig}, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("%s: no Kubernetes cluster is configured: %s (KUBECONFIG, or a pod's service account)", text, keyservice.Said(err.Error()))
	}
	cluster.GroupVersion = nil
	authenticated, err := rest.HTTPClientFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("%s: reading the cluster's configuration: %s", text, keyservice.Said(err.Error()))
	}
	server, _, err := rest.DefaultServerUrlFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("%s: reading the cluster's configuration: %s", text, keyservice.Said(err.Error()))
	}
	url := server.JoinPath("api", "v1", "namespaces", found[1], "secrets", found[2]).String()
	reach := keyservice.Reach{Backoff: config.Backoff}
	client := reach.Client(authenticated.Transport)
	var fields map[string][]byte
	err = reach.Retry(ctx, func() (time.Duration, error) {
		var wait time.Duration
		fields, wait, err = get(ctx, client, url, found[1], found[2])
		return wait, err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	return fields, nil
}

func get(ctx context.Context, client *http.Client, url, namespace, name string) (map[string][]byte, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, keyservice.Never, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	var redirect *keyservice.RedirectError
	switch {
	case ctx.Err() != nil:
		return nil, keyservice.Never, ctx.Err()
	case errors.As(err, &redirect):
		return nil, keyservice.Never, redirect
	case err != nil:
		return nil, 0, errors.New(keyservice.Said(err.Error()))
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, keyservice.Never, fmt.Errorf("reading the API server's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		wait, err := refusal(response.StatusCode, content, namespace, name)
		return nil, wait, err
	}
	var secret struct {
		Kind     string
		Metadata struct{ Namespace, Name string }
		Data     map[string][]byte
	}
	// What does not decode is a secret's content: it is not shown.
	if json.Unmarshal(content, &secret) != nil || secret.Kind != "Secret" || secret.Metadata.Namespace != namespace || secret.Metadata.Name != name {
		return nil, keyservice.Never, fmt.Errorf("the API server's answer is not the secret %s in the namespace %s", name, namespace)
	}
	return secret.Data, keyservice.Never, nil
}

// refusal says in words what the API server refused.
func refusal(status int, content []byte, namespace, name string) (time.Duration, error) {
	var answer struct{ Message string }
	words := ""
	if json.Unmarshal(content, &answer) == nil && answer.Message != "" {
		words = ": " + keyservice.Said(answer.Message)
	}
	switch {
	case status == http.StatusUnauthorized:
		return keyservice.Never, fmt.Errorf("the cluster does not accept the credentials (%d)%s", status, words)
	case status == http.StatusForbidden:
		return keyservice.Never, fmt.Errorf("reading the secret is not allowed (%d): the account needs the verb get on the resource secrets, name %s, in the namespace %s (Role and RoleBinding)%s", status, name, namespace, words)
	case status == http.StatusNotFound:
		return keyservice.Never, fmt.Errorf("there is no secret %s in the namespace %s (%d): `cosign generate-key-pair k8s://%s/%s` makes one%s", name, namespace, status, namespace, name, words)
	case status == http.StatusTooManyRequests || status >= 500:
		return 0, fmt.Errorf("the API server failed, %d attempts long (%d)%s", keyservice.Attempts, status, words)
	}
	return keyservice.Never, fmt.Errorf("the API server refused (%d)%s", status, words)
}
