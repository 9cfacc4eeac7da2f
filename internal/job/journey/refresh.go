package journey

import (
	"context"
	"errors"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/evidence"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// Refresh is a rescan of an image from its signed SBOMs, whose result is signed
// as new vulnerability evidence: what was not known when the image was built is
// known then, and no layer is pulled. All fields must be set.
type Refresh struct {
	Image oci.Resolved
	// SBOMs says whose SBOMs count; its Subjects are chosen by Run.
	SBOMs    scan.SignedConfig
	Scanner  *scan.Scanner
	Evidence Publisher
	// Version is Assay's own, for evidence.
	Version string
}

// Refreshed is what a refresh did.
type Refreshed struct {
	// Reports are the new scans, one for each manifest that has an SBOM: the
	// index itself first.
	Reports []finding.Report `json:"reports"`
	// Without are the manifests of an index that have none, so that their
	// evidence stays as old as it is.
	Without []subject.Digest `json:"without,omitempty"`
	Stored  []attest.Stored  `json:"stored"`
}

// Run scans every manifest of the image that has an SBOM of its own, signs both
// vulnerability predicates for each, and stores them. Nothing is stored unless
// all were signed. Where no manifest has an SBOM that counts, the error is the
// *scan.NoSBOMError of the image itself.
func (r Refresh) Run(ctx context.Context) (Refreshed, error) {
	if r.Scanner == nil || r.Evidence == nil || r.Image.Digest.IsZero() {
		return Refreshed{}, errors.New("refresh: an image, a scanner and a publisher are needed")
	}
	digests := []subject.Digest{r.Image.Digest}
	for _, p := range r.Image.Platforms {
		digests = append(digests, p.Digest)
	}
	var result Refreshed
	var orders []attest.Order
	var first error
	for _, digest := range digests {
		config := r.SBOMs
		config.Repository, config.Subjects = r.Image.Name(), []subject.Digest{digest}
		listed, err := scan.Signed(ctx, config)
		var missing *scan.NoSBOMError
		if errors.As(err, &missing) {
			result.Without = append(result.Without, digest)
			if first == nil {
				first = err
			}
			continue
		}
		if err != nil {
			return result, err
		}
		report, err := r.Scanner.Listed(ctx, listed)
		if err != nil {
			return result, err
		}
		vulns, cosign, err := evidence.Vulnerabilities(report, r.Version)
		if err != nil {
			return result, err
		}
		result.Reports = append(result.Reports, report)
		orders = append(orders, attest.Order{Image: attest.Image{Repository: r.Image.Name(), Digest: digest},
			Predicates: []attest.Predicate{{Type: vulns.Type, Content: vulns.Body}, {Type: cosign.Type, Content: cosign.Body}}})
	}
	if len(orders) == 0 {
		return result, first
	}
	stored, err := r.Evidence.Publish(ctx, orders)
	result.Stored = stored
	return result, err
}
