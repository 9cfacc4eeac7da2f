//go:build tools

// Package kubernetes pins the API server and the etcd that tests run against.
// .ci/peers builds them; nothing is linked into assay.
package kubernetes

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
