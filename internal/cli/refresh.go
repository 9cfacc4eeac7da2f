package cli

import (
	"context"
	"fmt"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/job/journey"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// refreshFlags are the flags of `assay attest --refresh`.
type refreshFlags struct {
	on          bool
	db, sbomKey string
}

func runRefresh(ctx context.Context, host *Host, reference string, flags signFlags, refresh refreshFlags) error {
	ctx = oci.Together(ctx)
	client := host.registries()
	attester, err := flags.attester(ctx, host, client)
	if err != nil {
		return err
	}
	signer := attester.Self()
	signer.Name = flags.key
	if refresh.sbomKey != "" {
		if signer, err = host.trusted(ctx, "--sbom-key", refresh.sbomKey); err != nil {
			return err
		}
	}
	db, err := host.advisories(refresh.db)
	if err != nil {
		return err
	}
	defer db.Close()
	scanner, err := scan.New(scan.Config{Advisories: db, Now: host.Now})
	if err != nil {
		return err
	}
	image, err := client.Resolve(ctx, reference)
	if err != nil {
		return err
	}
	result, err := journey.Refresh{Image: image, Scanner: scanner, Evidence: attester, Version: versionString(),
		SBOMs: scan.SignedConfig{Evidence: client, Signers: []trust.Signer{signer}, Now: host.Now()}}.Run(ctx)
	if err != nil {
		return err
	}
	if len(result.Without) > 0 {
		host.warn("%s: %d of its manifests have no SBOM of their own that counts, and were not refreshed: %v", reference, len(result.Without), result.Without)
	}
	if db.Info().Sample {
		host.warn("matched against the built-in sample of %d advisories; evidence made from it is denied unless a policy says allowSample", db.Info().Records)
	}
	if flags.format == "json" {
		return writeJSON(host.Out, result)
	}
	for _, report := range result.Reports {
		fmt.Fprintf(host.Out, "refreshed %s: %s, %s; %d not tested\n", clean(report.Target), explain.Count(report.Tested(), "package", "packages"), counts(report.Findings), len(report.Inventory.Unresolved))
		for _, s := range report.SBOMs {
			fmt.Fprintf(host.Out, "  packages as listed by: %s\n", clean(s.String()))
		}
	}
	for _, s := range result.Stored {
		fmt.Fprintf(host.Out, "attested %s  %s as %s %s\n", s.Image, s.Type, s.Form, s.Digest.Short())
	}
	return nil
}
