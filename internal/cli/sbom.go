package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/cyclonedx"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/spdx"
	"github.com/seed-161fc314/assay/internal/job/scan"
)

// sbomFlags are the flags of `assay sbom` besides the format.
type sbomFlags struct {
	output, platform, python, baseImage string
}

func newSBOM(host *Host) *cobra.Command {
	var format string
	var flags sbomFlags
	command := &cobra.Command{
		Use: "sbom TARGET", Short: "List what is in it, as CycloneDX or SPDX",
		Long: `SBOM lists the packages of a target as CycloneDX 1.6 or 1.7 or SPDX 2.3 JSON, with
what needs what where that is known, where each was found, and what could not be
put down to one version. The target is ` + targetHelp + `.
An SBOM as the target is written again in the format that is asked for.

The same input gives the same bytes: the document's time is SOURCE_DATE_EPOCH, or
else when the image or the document says that it was made, or else 1970-01-01.`,
		Example: "  assay sbom registry.example.com/app:1.0 --output sbom.cdx.json\n  assay sbom . -o spdx\n  syft -o cyclonedx-json app:1.0 | assay sbom sbom:- -o spdx",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("-o", format, sbomFormats...); err != nil {
				return err
			}
			return runSBOM(cmd.Context(), host, args[0], format, flags)
		},
	}
	formatFlag(command, &format, "cyclonedx", sbomFormats...)
	command.Flags().StringVar(&flags.output, "output", "", "write to this file instead of standard output")
	command.Flags().StringVar(&flags.platform, "platform", "", platformHelp)
	command.Flags().StringVar(&flags.python, "python-version", "", pythonHelp)
	command.Flags().StringVar(&flags.baseImage, "base-image", "", baseHelp)
	return command
}

func runSBOM(ctx context.Context, host *Host, name, format string, flags sbomFlags) error {
	environment, err := environmentOf(flags.python, flags.platform)
	if err != nil {
		return err
	}
	base, err := host.baseLayers(ctx, flags.baseImage, flags.platform)
	if err != nil {
		return err
	}
	target, err := host.open(ctx, name, flags.platform)
	if err != nil {
		return err
	}
	defer target.close()
	if target.image == nil && flags.baseImage != "" {
		return usage("--base-image goes with an image, and %s is none", name)
	}
	epoch, err := host.epoch()
	if err != nil {
		return err
	}
	document, err := documentOf(ctx, target, environment, base)
	if err != nil {
		return fmt.Errorf("listing %s: %w", name, err)
	}
	if len(document.Inventory.Components)+len(document.Inventory.Unresolved) == 0 {
		host.warn("%s: no package was found; the SBOM is empty", name)
	}
	if document.Image != nil && flags.baseImage != "" {
		document.Image.Base = named(flags.baseImage)
	}
	if !epoch.IsZero() {
		document.Created = epoch
	}
	document.ToolVersion = versionString()
	return host.write(flags.output, func(w io.Writer) error { return encodeSBOM(w, format, document) })
}

// sbomFormats are the words for -o; those of syft's users are among them.
var sbomFormats = []string{"cyclonedx", "cyclonedx@1.6", "cyclonedx@1.7", "spdx", "cyclonedx-json", "cyclonedx-json@1.6", "cyclonedx-json@1.7", "spdx-json", "spdx-json@2.3"}

func encodeSBOM(w io.Writer, format string, document sbom.Document) error {
	base, version, _ := strings.Cut(format, "@")
	if strings.HasPrefix(base, "spdx") {
		return spdx.Encode(w, document)
	}
	return cyclonedx.Encode(w, document, cyclonedx.Version(version))
}

// documentOf lists what is in a target.
func documentOf(ctx context.Context, t target, environment requirement.Environment, base []subject.Digest) (sbom.Document, error) {
	document := sbom.Document{Name: t.name, Digest: t.digest, Kind: t.kind}
	var err error
	switch {
	case t.document != nil:
		document = *t.document
		if document.Name == "" {
			document.Name = t.name
		}
	case t.image != nil:
		document.Image = &finding.Image{}
		document.Inventory, *document.Image, err = scan.ImageInventory(ctx, t.image, environment, base)
		document.Created = document.Image.Created
	case t.file != "":
		document.Inventory, err = scan.FileInventory(t.files, t.file, environment)
	default:
		document.Inventory, err = scan.DirectoryInventory(ctx, t.files, environment)
	}
	return document, err
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
