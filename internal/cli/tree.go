package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/job/holdings"
)

func newTree(host *Host) *cobra.Command {
	format := "text"
	command := &cobra.Command{
		Use: "tree IMAGE", Short: "Show the evidence that is attached to an image",
		Long: `Tree lists what is attached to IMAGE and to the manifests of an index: referrers
of every kind, cosign's .sig, .att and .sbom tags, and what is attached to those.
Nothing is verified: what a piece says of its type and of who signed it is what
whoever pushed it wrote. ` + "`assay verify`" + ` and ` + "`assay verify-attestation`" + ` verify.

IMAGE is ` + placeHelp + `.`,
		Example: "  assay tree registry.example.com/app:1.0\n  assay tree -o json oci:app-1.0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("-o", format, "text", "json"); err != nil {
				return err
			}
			done := host.busy("looking at " + args[0])
			defer done()
			at, err := host.placeOf(cmd.Context(), host.registries(), args[0])
			if err != nil {
				return err
			}
			root, err := holdings.Of(cmd.Context(), at, at.digest)
			done()
			if err != nil {
				return fmt.Errorf("listing what is attached to %s: %w", args[0], err)
			}
			if format == "json" {
				return writeJSON(host.Out, struct {
					Image    string `json:"image"`
					Verified string `json:"verified"`
					holdings.Node
				}{at.pinned, "nothing", root})
			}
			fmt.Fprintf(host.Out, "%s\n", clean(at.pinned))
			host.printNode(root, "")
			fmt.Fprintln(host.Out, "Nothing here was verified: every claim is the word of whoever pushed it. `assay verify` verifies.")
			return nil
		},
	}
	formatFlag(command, &format, "text", "text", "json")
	return command
}

// printNode prints what is below a manifest.
func (h *Host) printNode(n holdings.Node, indent string) {
	last := len(n.Evidence) + len(n.Manifests)
	if last == 0 {
		fmt.Fprintln(h.Out, indent+"└─ nothing is attached")
	}
	h.printPieces(n.Evidence, indent, len(n.Manifests) > 0)
	for i, child := range n.Manifests {
		branch, below := branches(i == len(n.Manifests)-1)
		name := child.Platform
		if name == "" {
			name = child.MediaType
		}
		fmt.Fprintf(h.Out, "%s%s%s  %s\n", indent, branch, clean(name), child.Digest)
		if child.Missing {
			fmt.Fprintln(h.Out, indent+below+"└─ PROBLEM  the index names it and it is not there")
			continue
		}
		h.printNode(child, indent+below)
	}
}

func (h *Host) printPieces(pieces []holdings.Piece, indent string, more bool) {
	for i, p := range pieces {
		branch, below := branches(i == len(pieces)-1 && !more)
		place := p.Place
		if place != "referrer" {
			place = "." + place
		}
		kind := string(p.Form)
		if kind == "" {
			kind = p.ArtifactType
		}
		fmt.Fprintf(h.Out, "%s%s%s  %s  %s  %d bytes\n", indent, branch, place, clean(kind), p.Digest, p.Size)
		if text := claimed(p.Claims); text != "" {
			fmt.Fprintf(h.Out, "%s%s   claims, unverified: %s\n", indent, below, clean(text))
		}
		if p.Problem != "" {
			fmt.Fprintf(h.Out, "%s%s   PROBLEM  %s\n", indent, below, clean(p.Problem))
		}
		h.printPieces(p.Evidence, indent+below, false)
	}
}

func branches(last bool) (branch, below string) {
	if last {
		return "└─ ", "   "
	}
	return "├─ ", "│  "
}

func claimed(c holdings.Claims) string {
	var words []string
	for _, claim := range []struct{ name, value string }{{"type", c.PredicateType}, {"key hint", c.KeyHint}, {"certificate of", c.Subject}, {"issued by", c.Issuer}} {
		if claim.value != "" {
			words = append(words, claim.name+" "+claim.value)
		}
	}
	return strings.Join(words, ", ")
}
