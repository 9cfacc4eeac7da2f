package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/cyclonedx"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/spdx"
	"github.com/seed-161fc314/assay/internal/job/scan"
)

func newSBOM(host *Host) *cobra.Command {
	var format, output, platform, python string
	command := &cobra.Command{
		Use: "sbom TARGET", Short: "List what is in it, as CycloneDX or SPDX",
		Long: `SBOM lists the packages of a target as CycloneDX 1.6 or SPDX 2.3 JSON. The target
is ` + targetHelp + `.

The same input gives the same bytes: the document's time is SOURCE_DATE_EPOCH, or
else when the image says that it was made, or else 1970-01-01.`,
		Example: "  assay sbom registry.example.com/app:1.0 --output sbom.cdx.json\n  assay sbom . -o spdx",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("-o", format, "cyclonedx", "spdx", "cyclonedx-json", "spdx-json"); err != nil {
				return err
			}
			return runSBOM(cmd.Context(), host, args[0], format, output, platform, python)
		},
	}
	formatFlag(command, &format, "cyclonedx", "cyclonedx", "spdx")
	command.Flags().StringVar(&output, "output", "", "write to this file instead of standard output")
	command.Flags().StringVar(&platform, "platform", "", platformHelp)
	command.Flags().StringVar(&python, "python-version", "", pythonHelp)
	return command
}

func runSBOM(ctx context.Context, host *Host, name, format, output, platform, python string) error {
	environment, err := environmentOf(python, platform)
	if err != nil {
		return err
	}
	target, err := host.open(ctx, name, platform)
	if err != nil {
		return err
	}
	defer target.close()
	epoch, err := host.epoch()
	if err != nil {
		return err
	}
	inventory, created, err := inventoryOf(ctx, target, environment)
	if err != nil {
		return fmt.Errorf("listing %s: %w", name, err)
	}
	if len(inventory.Components)+len(inventory.Unresolved) == 0 {
		host.warn("%s: no package was found; the SBOM is empty", name)
	}
	if !epoch.IsZero() {
		created = epoch
	}
	return host.write(output, func(w io.Writer) error {
		return encodeSBOM(w, format, sbomDocument{name: name, digest: target.digest, target: target, inventory: inventory, created: created})
	})
}

// sbomDocument is what both formats are written from.
type sbomDocument struct {
	name      string
	digest    subject.Digest
	target    target
	inventory component.Inventory
	created   time.Time
}

func encodeSBOM(w io.Writer, format string, d sbomDocument) error {
	if format == "spdx" || format == "spdx-json" {
		return spdx.Encode(w, spdx.Document{Name: d.name, Digest: d.digest, Kind: d.target.kind, Inventory: d.inventory, Created: d.created, ToolVersion: versionString()})
	}
	return cyclonedx.Encode(w, cyclonedx.Document{Name: d.name, Digest: d.digest, Kind: d.target.kind, Inventory: d.inventory, Created: d.created, ToolVersion: versionString()})
}

func inventoryOf(ctx context.Context, t target, environment requirement.Environment) (component.Inventory, time.Time, error) {
	switch {
	case t.image != nil:
		inventory, description, err := scan.ImageInventory(ctx, t.image, environment)
		return inventory, description.Created, err
	case t.file != "":
		inventory, err := scan.FileInventory(t.files, t.file, environment)
		return inventory, time.Time{}, err
	}
	inventory, err := scan.DirectoryInventory(ctx, t.files, environment)
	return inventory, time.Time{}, err
}

// epoch is SOURCE_DATE_EPOCH (reproducible-builds.org), zero where it is not set.
func (h *Host) epoch() (time.Time, error) {
	text := h.env("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, usage("SOURCE_DATE_EPOCH is %q, want seconds since 1970", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
