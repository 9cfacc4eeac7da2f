package cli

import (
	"context"
	"path/filepath"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/kube"
)

// kubeKeys are keys in secrets of the cluster that KUBECONFIG names, else
// ~/.kube/config, else of the one that this runs in.
func (h *Host) kubeKeys() keyKind {
	config := kube.Config{Kubeconfig: filepath.SplitList(h.env("KUBECONFIG"))}
	if home := h.env("HOME"); len(config.Kubeconfig) == 0 && home != "" {
		config.Kubeconfig = []string{filepath.Join(home, ".kube", "config")}
	}
	return keyKind{
		scheme: kube.Scheme, form: "k8s://NAMESPACE/SECRET",
		open: func(ctx context.Context, reference string, _ func() ([]byte, error)) (signing.Signer, error) {
			return kube.Open(ctx, config, reference)
		},
		public: func(ctx context.Context, reference string) (trust.Signer, error) {
			content, err := kube.Public(ctx, config, reference)
			if err != nil {
				return trust.Signer{}, err
			}
			return trust.ParseSigner(reference, content)
		},
	}
}
