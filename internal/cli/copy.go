package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/job/relocate"
)

func newCopy(host *Host) *cobra.Command {
	format, force := "text", false
	command := &cobra.Command{
		Use: "copy SOURCE DESTINATION", Short: "Copy an image with all of its evidence",
		Long: `Copy moves an image, or an index with all of its manifests, byte for byte, and the
evidence on each of them: whatever refers to it (signatures, attestations, SBOMs of
any kind), cosign's .sig, .att and .sbom tags, and the evidence on that evidence.
What the destination has is kept, and not sent again: a copy that was interrupted
goes on where it ended. The tag is set last, when everything else is there.

SOURCE and DESTINATION are ` + placeHelp + `.
A layout is how an image crosses to where there is no network; ` + "`cosign load`" + ` and
other tools read it too.

Nothing is verified but digests; ` + "`assay verify`" + ` and ` + "`assay check`" + ` do that, here and
at the destination. Layers that are not for distribution stay where they are. An
index of which a manifest is missing is not copied.`,
		Example: "  assay copy registry.example.com/app:1.0 mirror.example.com/app:1.0\n  assay copy registry.example.com/app:1.0 oci:app-1.0\n  assay copy oci:app-1.0 inside.example.com/app:1.0",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("-o", format, "text", "json"); err != nil {
				return err
			}
			return runCopy(cmd.Context(), host, args[0], args[1], force, format)
		},
	}
	command.Flags().BoolVar(&force, "force", false, "move a tag of the destination that means something else, and replace another .sbom")
	formatFlag(command, &format, "text", "text", "json")
	return command
}

// copied is a copy, as JSON.
type copied struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	relocate.Report
}

func runCopy(ctx context.Context, host *Host, source, destination string, force bool, format string) error {
	done := host.busy("copying " + source)
	defer done()
	client := host.registries()
	from, err := host.placeOf(ctx, client, source)
	if err != nil {
		return err
	}
	to, err := host.goalOf(client, destination, from)
	if err != nil {
		return err
	}
	report, err := relocate.Copy(ctx, relocate.Order{From: from, Image: from.digest, To: to, Tag: to.tag, Force: force})
	err = errors.Join(err, to.close())
	done()
	if err != nil {
		return fmt.Errorf("copying %s to %s: %w", source, destination, err)
	}
	if format == "json" {
		return writeJSON(host.Out, copied{from.pinned, to.name, report})
	}
	host.printCopied(from, to, report)
	return nil
}

func (h *Host) printCopied(from place, to goal, r relocate.Report) {
	fmt.Fprintf(h.Out, "COPIED  %s\n", clean(from.pinned))
	fmt.Fprintf(h.Out, "  to         %s, digest %s\n", clean(to.name), r.Digest)
	if !r.Moved.IsZero() {
		fmt.Fprintf(h.Out, "  tag        moved; it meant %s\n", r.Moved)
	}
	fmt.Fprintf(h.Out, "  manifests  %s\n", transfers(r.Manifests))
	fmt.Fprintf(h.Out, "  blobs      %s; %d bytes sent in all\n", transfers(r.Blobs), r.Bytes)
	if len(r.Evidence) == 0 {
		fmt.Fprintln(h.Out, "  evidence   none: nothing is attached to the image")
	}
	for i := 0; i < len(r.Evidence); {
		on, all, fresh := r.Evidence[i].On, 0, 0
		places := map[string]int{}
		for ; i < len(r.Evidence) && r.Evidence[i].On == on; i++ {
			n := max(1, r.Evidence[i].Layers)
			places[r.Evidence[i].Place] += n
			all, fresh = all+n, fresh+r.Evidence[i].New
		}
		fmt.Fprintf(h.Out, "  evidence   on %s: %d (%d new)", on, all, fresh)
		for _, p := range []struct{ place, words string }{{"referrer", "referrers"}, {"sig", "in .sig"}, {"att", "in .att"}, {"sbom", "in .sbom"}} {
			if n := places[p.place]; n > 0 {
				fmt.Fprintf(h.Out, ", %d %s", n, p.words)
			}
		}
		fmt.Fprintln(h.Out)
	}
	if len(r.Foreign) > 0 {
		h.warn("%d layers are not for distribution and were not copied, the first is %s: who runs the image must reach where they are", len(r.Foreign), r.Foreign[0])
	}
	for _, text := range r.Skipped {
		h.warn("%s: not copied", text)
	}
}

func transfers(c relocate.Count) string {
	text := fmt.Sprintf("%d sent, %d there already", c.Sent, c.There)
	if c.Mounted > 0 {
		text += fmt.Sprintf(", %d taken over inside the registry", c.Mounted)
	}
	return text
}
