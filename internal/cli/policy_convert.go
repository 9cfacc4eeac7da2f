package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/policy/convert"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/rehearse"
)

func newPolicyConvert(host *Host) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use: "convert FILE…", Short: "Write Kyverno's policies for images as EvidencePolicies",
		Long: `Convert writes an EvidencePolicy for each element of verifyImages. What is different
is said on standard error, and in comments at the head of each policy. A condition
that has no translation becomes a check that never holds, until somebody writes it
in CEL; what cannot be converted at all is named, nothing is written for it, and
the exit code is 1.

Kyverno's policies work as they are, too: assay check --policy FILE.`,
		Example: "  assay policy convert kyverno.yaml --output policy.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConvert(cmd.Context(), host, args, output)
		},
	}
	command.Flags().StringVar(&output, "output", "", "file to write (default: standard output)")
	return command
}

func runConvert(ctx context.Context, host *Host, paths []string, output string) error {
	var converted []byte
	lost := 0
	for _, path := range paths {
		content, err := host.readFile(path, limit.Policy)
		if err != nil {
			return err
		}
		documents, err := strictyaml.Documents(path, content)
		if err != nil {
			return err
		}
		for _, document := range documents {
			result, err := convert.Kyverno(document)
			if err != nil {
				return err
			}
			for _, n := range result.Notes {
				host.say("%s:%d: %s", path, n.Line, n.Text)
			}
			for _, n := range result.Lost {
				host.say("%s:%d: not converted: %s", path, n.Line, n.Text)
			}
			lost += len(result.Lost)
			if len(converted) > 0 && len(result.YAML) > 0 {
				converted = append(converted, "---\n"...)
			}
			converted = append(converted, result.YAML...)
		}
	}
	if err := host.loads(ctx, converted); err != nil {
		return err
	}
	if len(converted) > 0 {
		if err := host.write(output, func(w io.Writer) error { _, err := w.Write(converted); return err }); err != nil {
			return err
		}
	}
	if lost > 0 {
		return &deniedError{text: explain.Count(lost, "rule was", "rules were") + " not converted"}
	}
	return nil
}

// loads says whether what was converted is a policy: what does not load is never
// written.
func (h *Host) loads(ctx context.Context, converted []byte) error {
	documents, err := strictyaml.Documents("the converted policy", converted)
	if err != nil {
		return err
	}
	company, err := rehearse.New(&material{ctx: ctx, host: h})
	if err != nil {
		return err
	}
	for _, document := range documents {
		if _, err := loadPolicy(document, company); err != nil {
			return fmt.Errorf("what this policy says cannot be written as an EvidencePolicy: %w", err)
		}
	}
	return nil
}
