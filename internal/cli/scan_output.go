package cli

import (
	"context"
	"io"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/sarif"
	"github.com/seed-161fc314/assay/internal/format/trivy"
)

// scanFormats are the outputs of a scan; report writes each.
var scanFormats = []string{"table", "json", "sarif"}

// report writes the report of a scan in a format.
func (h *Host) report(ctx context.Context, w io.Writer, format string, report finding.Report, advisories advisory.Source) error {
	switch format {
	case "json":
		return trivy.Encode(w, report, versionString())
	case "sarif":
		return sarif.Encode(w, report, versionString())
	}
	return h.reportTable(ctx, w, report, advisories)
}
