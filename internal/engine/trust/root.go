package trust

import (
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Root is a set of authorities: certificate authorities, transparency logs,
// certificate logs and timestamp authorities, each with the time in which it
// is believed (protobuf-specs, sigstore_trustroot.proto).
type Root struct {
	name string
	root *root.TrustedRoot
}

// ParseRoot reads a trusted root in JSON, as `cosign trusted-root create` and
// Sigstore's TUF repository have it. name is for people: a file or a host.
func ParseRoot(name string, content []byte) (*Root, error) {
	if len(content) > limit.TrustedRoot {
		return nil, &limit.Error{What: name, Bound: limit.TrustedRoot, Unit: "bytes"}
	}
	parsed, err := root.NewTrustedRootFromJSON(content)
	if err != nil {
		return nil, fmt.Errorf("%s is no trusted root: %w", name, err)
	}
	return &Root{name: name, root: parsed}, nil
}

// Name is what ParseRoot was told.
func (r *Root) Name() string { return r.name }
