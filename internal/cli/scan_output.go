package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/engine/evidence"
	"github.com/seed-161fc314/assay/internal/format/actions"
	"github.com/seed-161fc314/assay/internal/format/cyclonedx"
	"github.com/seed-161fc314/assay/internal/format/junit"
	"github.com/seed-161fc314/assay/internal/format/sarif"
	"github.com/seed-161fc314/assay/internal/format/trivy"
)

// scanFormats are the outputs of a scan; report writes each.
var scanFormats = []string{"table", "json", "sarif", "github", "markdown", "junit", "cyclonedx", "cosign-vuln", "vulns"}

// isPredicate says whether a format is the body of evidence.
func isPredicate(format string) bool { return format == "cosign-vuln" || format == "vulns" }

// proposes says whether a format says what heals a package: Trivy's has no
// place for it, and evidence says what is, not what to do.
func proposes(format string) bool { return format != "json" && !isPredicate(format) }

// view is a report with what was left out of it, and how it ends.
type view struct {
	finding.Report
	// root is where the target's paths begin, for what is read there.
	root string
	// hidden is how many findings --severity and --ignore-unfixed left out,
	// counted how many end with the exit code.
	hidden, counted int
	threshold       finding.Threshold
}

// report writes the report of a scan in a format.
func (h *Host) report(w io.Writer, format string, v view) error {
	report := v.Below(v.root)
	switch format {
	case "json":
		return trivy.Encode(w, v.Report, versionString())
	case "sarif":
		return sarif.Encode(w, report, versionString())
	case "github":
		return actions.Annotate(w, report)
	case "markdown":
		return actions.Summarise(w, report)
	case "junit":
		return junit.Write(w, report)
	case "cyclonedx":
		return cyclonedx.EncodeReport(w, v.Report, versionString(), cyclonedx.V16)
	case "cosign-vuln", "vulns":
		vulns, cosign, err := evidence.Vulnerabilities(v.Report, versionString())
		if err != nil {
			return err
		}
		if format == "cosign-vuln" {
			vulns = cosign
		}
		_, err = fmt.Fprintf(w, "%s\n", vulns.Body)
		return err
	}
	v.Report = report
	return h.reportTable(w, v)
}

// to is the host that prints to --output: a file is no terminal.
func (h *Host) to(output string) *Host {
	if output == "" || output == "-" {
		return h
	}
	plain := *h
	plain.OutTerminal = false
	return &plain
}

// stepSummary appends a report to the file that GitHub Actions shows beside a
// step. Not being able to is no reason to fail a scan, and is said.
func (h *Host) stepSummary(v view) {
	name := h.env("GITHUB_STEP_SUMMARY")
	if name == "" {
		return
	}
	file, err := os.OpenFile(h.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		err = actions.Summarise(file, v.Below(v.root))
		if closed := file.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		h.warn("GITHUB_STEP_SUMMARY: %v", err)
	}
}
