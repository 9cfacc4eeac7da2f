package cli

import "github.com/spf13/cobra"

func newPolicy(host *Host) *cobra.Command {
	command := &cobra.Command{
		Use: "policy", Short: "Lint, test, evaluate and convert policies",
		Long:    "Policy works on policies before they are trusted.",
		Example: "  assay policy lint policies/\n  assay policy test policies/\n  assay policy eval --policy policy.yaml --statement statement.json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newPolicyLint(host), newPolicyTest(host), newPolicyEval(host), newPolicyConvert(host))
	return command
}
