//go:build interop

package interop_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-161fc314/assay/internal/interop/kube"
)

// cluster is a control plane of the test's own; a test that fails shows what its
// servers said last.
func cluster(t *testing.T) *kube.Cluster {
	t.Helper()
	binaries := filepath.Dir(peer(t, "kube-apiserver"))
	c, err := kube.Start(context.Background(), kube.Config{Dir: t.TempDir(), Binaries: binaries})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs(5))
		}
		c.Close()
	})
	return c
}

// kubeconfig writes how the cluster is reached, by a token.
func (s *stage) kubeconfig(c *kube.Cluster, token string) string {
	s.t.Helper()
	return s.write("kubeconfig-"+token, fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: it, user: it}}]
clusters: [{name: it, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: it, user: {token: %s}}]
`, c.URL, base64.StdEncoding.EncodeToString(c.Authority), token))
}

// TestKeysInKubernetes: a key pair that cosign keeps in a secret of a real API
// server signs and verifies here, and the other way round; who may not read the
// secret, and a secret that is not there, are told apart.
func TestKeysInKubernetes(t *testing.T) {
	c, cosign, s := cluster(t), peer(t, "cosign"), newStage(t)
	s.env = append(s.env, "KUBECONFIG="+s.kubeconfig(c, c.Token))
	// There is no controller, which makes the namespace at other places.
	if _, err := c.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/default", "", nil); err != nil {
		t.Fatal(err)
	}
	s.must(cosign, "generate-key-pair", "k8s://default/ci")
	image := s.image(registries(t)["embedded"](t), "kube")
	s.wants(0, []string{"signed"}, "sign", "--key", "k8s://default/ci", image)
	s.wants(0, []string{"VERIFIED"}, "verify", "--key", "k8s://default/ci", image)
	s.must(cosign, "verify", "--key", "k8s://default/ci", "--insecure-ignore-tlog", "--new-bundle-format=false", image)
	s.wants(1, []string{"NOT VERIFIED"}, "verify", "--key", s.other(), image)

	s.wants(3, []string{"there is no secret"}, "verify", "--key", "k8s://default/none", image)
	stranger := &stage{t: t, dir: s.dir, env: append(s.env[:len(s.env):len(s.env)], "KUBECONFIG="+s.kubeconfig(c, "nobody"))}
	stranger.wants(3, []string{"401"}, "verify", "--key", "k8s://default/ci", image)
	s.must(cosign, "generate-key-pair", "--output-key-prefix", "local")
	public, err := os.ReadFile(filepath.Join(s.dir, "local.pub"))
	if err != nil {
		t.Fatal(err)
	}
	secret := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: public}\ndata: {cosign.pub: %s}\n", base64.StdEncoding.EncodeToString(public))
	if err := c.Apply(t.Context(), []byte(secret)); err != nil {
		t.Fatal(err)
	}
	s.wants(0, nil, "sign", "--key", "local.key", image)
	s.wants(0, []string{"VERIFIED"}, "verify", "--key", "k8s://default/public", image)
	s.wants(3, nil, "sign", "--key", "k8s://default/public", image) // has no private key

	var refused *kube.StatusError
	err = c.Apply(t.Context(), []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: public}\ndatum: {}\n"))
	if !errors.As(err, &refused) || refused.Code != http.StatusBadRequest && refused.Code != http.StatusInternalServerError {
		t.Errorf("a field that no secret has: %v", err)
	}
}

// other makes a key pair and gives its public key.
func (s *stage) other() string {
	s.t.Helper()
	s.wants(0, nil, "key", "generate", "--output-key-prefix", "other")
	return "other.pub"
}
