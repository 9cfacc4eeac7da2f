// Package kube runs the control plane that interop tests talk to: a real etcd and
// a real kube-apiserver on loopback.
//
// Start brings it up; [Cluster.Apply], [Cluster.Await] and [Cluster.Do] talk to it
// as its administrator. Nothing runs in it: there is no controller, no scheduler and no
// node. It forgets everything when it ends.
package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/seed-161fc314/assay/internal/interop/server"
)

// Config says where the cluster works. Dir exists and is the cluster's own.
// Binaries is the directory that has etcd and kube-apiserver, as .ci/peers fills
// it.
type Config struct{ Dir, Binaries string }

// Cluster is a running control plane.
type Cluster struct {
	// URL is the API server's, Token its administrator's.
	URL, Token string
	// Authority is the certificate authority of its certificate, in PEM.
	Authority []byte

	servers server.Group
	client  *http.Client
	// plurals are the resources of kinds, by "GROUP/VERSION KIND".
	plurals map[string]resource
}

// resource is where the objects of a kind are.
type resource struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Namespaced bool   `json:"namespaced"`
}

// Start brings the cluster up, and waits until it is ready. Its processes end with
// ctx, with Close, and with this process.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	c := &Cluster{plurals: map[string]resource{}}
	if err := c.start(ctx, config); err != nil {
		logs := c.servers.Logs(20)
		c.Close()
		return nil, fmt.Errorf("starting Kubernetes on loopback: %w\n%s", err, logs)
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, config Config) error {
	file := func(name string) string { return filepath.Join(config.Dir, name) }
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	c.Token = hex.EncodeToString(random)
	key, certificate, err := credentials()
	if err != nil {
		return err
	}
	c.Authority = certificate
	for name, content := range map[string][]byte{
		"server.key": key, "server.crt": certificate,
		"tokens.csv": fmt.Appendf(nil, "%s,administrator,administrator,system:masters\n", c.Token),
	} {
		if err := os.WriteFile(file(name), content, 0o600); err != nil {
			return err
		}
	}
	etcd, err := c.servers.Launch(ctx, server.Command{Binary: filepath.Join(config.Binaries, "etcd"), Log: file("etcd.log"), Ports: 2, Ready: "/readyz",
		Arguments: func(ports []string) []string {
			client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
			return []string{"--name=one", "--data-dir=" + file("etcd-"+ports[0]), "--unsafe-no-fsync", "--log-level=warn",
				"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
				"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=one=" + peer}
		}})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	api, err := c.servers.Launch(ctx, server.Command{Binary: filepath.Join(config.Binaries, "kube-apiserver"), Log: file("kube-apiserver.log"), Ports: 1, Ready: "/readyz",
		TLS: &tls.Config{RootCAs: roots}, Token: c.Token,
		Arguments: func(ports []string) []string {
			return []string{"--etcd-servers=" + etcd.URL, "--bind-address=127.0.0.1", "--secure-port=" + ports[0], "--service-cluster-ip-range=10.96.0.0/16",
				"--tls-cert-file=" + file("server.crt"), "--tls-private-key-file=" + file("server.key"), "--token-auth-file=" + file("tokens.csv"),
				"--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
				"--service-account-key-file=" + file("server.key"), "--service-account-signing-key-file=" + file("server.key"),
				// No controller makes service accounts.
				"--disable-admission-plugins=ServiceAccount"}
		}})
	if err != nil {
		return err
	}
	c.URL, c.client = api.URL, &http.Client{Transport: api.Transport}
	return nil
}

// credentials makes a key and a certificate of its own for 127.0.0.1.
func credentials() (key, certificate []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// Close ends the servers and waits for them.
func (c *Cluster) Close() { c.servers.Close() }

// Logs gives the last lines of what the servers printed.
func (c *Cluster) Logs(lines int) string { return c.servers.Logs(lines) }

// A StatusError is what the API server refused.
type StatusError struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Error is what kubectl prints of it.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s (%d): %s", e.Reason, e.Code, e.Message)
}

// Do sends a request to the API server as its administrator, and gives the body of
// its answer. A *StatusError says that it refused.
func (c *Cluster) Do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.Token)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		status := &StatusError{}
		if err := json.Unmarshal(content, status); err != nil || status.Code == 0 {
			status.Code, status.Reason, status.Message = response.StatusCode, response.Status, string(content)
		}
		return nil, status
	}
	return content, nil
}

// Apply applies one manifest in YAML as `kubectl apply --server-side` does, with
// strict validation of its fields. A namespaced object that names no namespace
// goes into "default". What it asked for is not awaited.
func (c *Cluster) Apply(ctx context.Context, manifest []byte) error {
	var object struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(manifest, &object); err != nil {
		return err
	}
	root := "/api/" + object.APIVersion
	if strings.Contains(object.APIVersion, "/") {
		root = "/apis/" + object.APIVersion
	}
	r, err := c.resource(ctx, root, object.Kind)
	if err != nil {
		return err
	}
	if r.Namespaced {
		if object.Metadata.Namespace == "" {
			object.Metadata.Namespace = "default"
		}
		root += "/namespaces/" + object.Metadata.Namespace
	}
	_, err = c.Do(ctx, http.MethodPatch, root+"/"+r.Name+"/"+object.Metadata.Name+"?fieldManager=assay&fieldValidation=Strict&force=true", "application/apply-patch+yaml", manifest)
	return err
}

// Await asks for a path until what it gives holds, or ctx ends. What is not there
// yet, and what the API server asks to be asked again, does not hold; whatever else
// it refuses is an error.
func (c *Cluster) Await(ctx context.Context, path string, holds func([]byte) bool) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		content, err := c.Do(ctx, http.MethodGet, path, "", nil)
		var refused *StatusError
		switch {
		case err == nil && holds(content):
			return nil
		case err != nil && !(errors.As(err, &refused) && (refused.Code == http.StatusNotFound || refused.Code == http.StatusTooManyRequests)):
			return fmt.Errorf("waiting for %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; last was %.2000s", path, ctx.Err(), content)
		case <-ticker.C:
		}
	}
}

func (c *Cluster) resource(ctx context.Context, root, kind string) (resource, error) {
	if r, known := c.plurals[root+" "+kind]; known {
		return r, nil
	}
	content, err := c.Do(ctx, http.MethodGet, root, "", nil)
	if err != nil {
		return resource{}, err
	}
	var list struct {
		Resources []resource `json:"resources"`
	}
	if err := json.Unmarshal(content, &list); err != nil {
		return resource{}, err
	}
	for _, r := range list.Resources {
		if r.Kind == kind && !strings.Contains(r.Name, "/") {
			c.plurals[root+" "+kind] = r
			return r, nil
		}
	}
	return resource{}, fmt.Errorf("%s has no kind %s", root, kind)
}
