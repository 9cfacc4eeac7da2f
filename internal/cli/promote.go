package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/job/promote"
)

func newPromote(host *Host) *cobra.Command {
	var repository, base, branch, name, format string
	var policies, kustomizations, manifests, helm []string
	var signCommit, dryRun bool
	command := &cobra.Command{
		Use: "promote IMAGE --repository URL --policy FILES", Short: "Pin an image by digest in a GitOps repository",
		Long: `Promote asks the gate about the digest that IMAGE means now. If the policies allow
it, every place in the repository's files that names the image gets the digest, in
one commit whose message carries the verdict; comments and formatting are kept. If
they deny it, nothing is touched (exit code 1).

The commit is pushed to --base, on top of what others pushed meanwhile; with
--branch it is pushed to that new branch, for a pull request.`,
		Example: `  assay promote registry.example.com/app:1.0 --repository https://git.example.com/deploy.git \
    --kustomization overlays/prod/kustomization.yaml --policy policy.yaml
  assay promote registry.example.com/app:1.0 --repository ../deploy.git --helm values.yaml:image.digest=digest --policy policy.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("-o", format, "text", "json"); err != nil {
				return err
			}
			if repository == "" {
				return usage("--repository is missing").withHint("name the GitOps repository, a URL or a path")
			}
			values, err := parseHelm(helm)
			if err != nil {
				return err
			}
			g, err := host.gate(cmd.Context(), policies, host.registries())
			if err != nil {
				return err
			}
			scratch, err := host.scratch()
			if err != nil {
				return err
			}
			if !strings.Contains(repository, "://") && !strings.Contains(repository, "@") {
				repository = host.path(repository)
			}
			p, err := promote.New(promote.Config{Gate: asker{g}, Git: host.git(signCommit), Repository: repository, Branch: base, PullRequest: branch,
				Kustomizations: kustomizations, Helm: values, Manifests: manifests, Name: name, Scratch: scratch, DryRun: dryRun})
			if err != nil {
				return usage("%s", err).withHint("--kustomization, --helm or --manifest says where the digest goes")
			}
			result, err := p.Promote(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if format == "json" {
				if err := writeJSON(host.Out, result); err != nil {
					return err
				}
			} else if err := host.printPromotion(result, dryRun); err != nil {
				return err
			}
			if result.Denied {
				return &deniedError{text: "denied; the repository is as it was"}
			}
			return nil
		},
	}
	command.Flags().StringVar(&repository, "repository", "", "GitOps repository: a URL or a path")
	command.Flags().StringVar(&base, "base", "", "branch to read, and to push to (default: the repository's own)")
	command.Flags().StringVar(&branch, "branch", "", "push to this new branch instead, for a pull request")
	command.Flags().StringSliceVar(&kustomizations, "kustomization", nil, "kustomization.yaml files whose images: names the image")
	command.Flags().StringSliceVar(&manifests, "manifest", nil, "files with Kubernetes objects that name the image")
	command.Flags().StringSliceVar(&helm, "helm", nil, "FILE:FIELD=image (whole reference), =digest or =tag")
	command.Flags().StringVar(&name, "name", "", "what the files call the image, where that is not its repository")
	command.Flags().StringSliceVar(&policies, "policy", nil, "policy files")
	command.Flags().BoolVar(&signCommit, "sign-commit", false, "sign the commit as git is configured to")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "decide and show the changes, and push nothing")
	formatFlag(command, &format, "text", "text", "json")
	return command
}

// parseHelm reads FILE:FIELD=KIND.
func parseHelm(list []string) ([]promote.Helm, error) {
	var values []promote.Helm
	for _, text := range list {
		place, kind, found := strings.Cut(text, "=")
		file, field, split := strings.Cut(place, ":")
		wrong := usage("--helm %s: want FILE:FIELD=image, =digest or =tag, such as values.yaml:image.digest=digest", text)
		if !found || !split || file == "" || field == "" {
			return nil, wrong
		}
		value := promote.Helm{Path: file}
		switch kind {
		case "image":
			value.Image = field
		case "digest":
			value.Digest = field
		case "tag":
			value.Tag = field
		default:
			return nil, wrong
		}
		values = append(values, value)
	}
	return values, nil
}

func (h *Host) printPromotion(result promote.Result, dryRun bool) error {
	if err := h.explain(result.Verdict); err != nil {
		return err
	}
	if result.Denied {
		return nil
	}
	fmt.Fprintln(h.Out)
	if !result.Changed {
		_, err := fmt.Fprintln(h.Out, "pinned already; nothing was changed")
		return err
	}
	for _, c := range result.Changes {
		fmt.Fprintf(h.Out, "%s: %s -> %s\n", clean(c.Place), clean(c.From), clean(c.To))
	}
	if dryRun {
		_, err := fmt.Fprintln(h.Out, "dry run: nothing was pushed")
		return err
	}
	_, err := fmt.Fprintf(h.Out, "pushed commit %.12s to %s\n", result.Commit, result.Branch)
	return err
}
