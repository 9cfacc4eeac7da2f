package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/predicate"
)

// verifyFlags are shared by verify and verify-attestation.
type verifyFlags struct {
	key, format string
	annotations []string
	uri         string
}

const verifyHelp = `

What is checked: that the signature is by --key, that what is signed is about the
digest that IMAGE means now, and that it is of the type asked for. A transparency
log is not asked, and no policy is applied; ` + "`assay check`" + ` does that.`

func newVerify(host *Host) *cobra.Command {
	flags := verifyFlags{uri: predicate.TypeCosignSign}
	command := &cobra.Command{
		Use: "verify IMAGE", Short: "Verify that an image is signed",
		Long:    "Verify looks for a signature of IMAGE in both of cosign's layouts. An attestation\nis not taken for a signature." + verifyHelp,
		Example: "  assay verify --key assay.pub registry.example.com/app:1.0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVerify(cmd.Context(), host, args[0], flags)
		},
	}
	command.Flags().StringVar(&flags.key, "key", "", "public key file")
	command.Flags().StringArrayVarP(&flags.annotations, "annotations", "a", nil, "key=value that must be signed along; may be repeated")
	formatFlag(command, &flags.format, "text", "text", "json")
	return command
}

func newVerifyAttestation(host *Host) *cobra.Command {
	flags := verifyFlags{}
	var predicateType string
	command := &cobra.Command{
		Use: "verify-attestation IMAGE", Short: "Verify that an image has an attestation, and print what it says",
		Long:    "Verify-attestation looks for attestations of --type on IMAGE in both of cosign's\nlayouts. With -o json the predicates are printed." + verifyHelp,
		Example: "  assay verify-attestation --key assay.pub --type vuln -o json registry.example.com/app:1.0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			uri, ok := predicate.TypeOf(predicateType)
			if predicateType == "" || !ok {
				return usage("--type %q: no such type", predicateType).withHint("`assay attest --help` lists the types; any URI is one too")
			}
			flags.uri = uri
			return runVerify(cmd.Context(), host, args[0], flags)
		},
	}
	command.Flags().StringVar(&flags.key, "key", "", "public key file")
	command.Flags().StringVar(&predicateType, "type", "", "predicate type")
	formatFlag(command, &flags.format, "text", "text", "json")
	return command
}

// verified is one claim, as JSON.
type verified struct {
	Type        string            `json:"predicateType"`
	Subject     []subject.Digest  `json:"subject"`
	Signer      string            `json:"keyID"`
	Source      string            `json:"source"`
	Time        time.Time         `json:"time,omitzero"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Predicate   json.RawMessage   `json:"predicate,omitempty"`
}

func runVerify(ctx context.Context, host *Host, reference string, flags verifyFlags) error {
	if err := oneOf("-o", flags.format, "text", "json"); err != nil {
		return err
	}
	if flags.key == "" {
		return usage("--key is missing").withHint("name the public key, such as --key assay.pub")
	}
	wanted, err := parseAnnotations(flags.annotations)
	if err != nil {
		return err
	}
	signer, err := host.trusted(ctx, "--key", flags.key)
	if err != nil {
		return err
	}
	client := host.registries()
	resolved, err := client.Resolve(ctx, reference)
	if err != nil {
		return err
	}
	evidence, err := client.Evidence(ctx, resolved.Name(), resolved.Digest)
	if err != nil {
		return err
	}
	var claims []trust.Claim
	var rejected []verdict.Evidence
	for _, piece := range evidence {
		claim, rejection := trust.Verify(piece, []trust.Signer{signer}, []subject.Digest{resolved.Digest}, host.Now())
		switch {
		case rejection != nil:
			if rejection.ClaimedType == "" || rejection.ClaimedType == flags.uri {
				rejected = append(rejected, rejection.Evidence)
			}
		case claim.Type() == flags.uri && contains(claim.Annotations(), wanted):
			claims = append(claims, claim)
		}
	}
	if flags.format == "json" && len(claims) > 0 {
		return writeJSON(host.Out, verifiedList(claims))
	}
	what := "signature"
	if flags.uri != predicate.TypeCosignSign {
		what = "attestation of type " + flags.uri
	}
	if len(claims) == 0 {
		fmt.Fprintf(host.Err, "NOT VERIFIED  %s\n  digest    %s\n  expected  a %s by %s (%s)\n  found     none that counts, among %d pieces of evidence\n", resolved.Pinned(), resolved.Digest, what, flags.key, signer.Keys[0].ID, len(evidence))
		for _, r := range rejected {
			fmt.Fprintf(host.Err, "  evidence  %s\n", clean(explain.Evidence(r)))
		}
		return &deniedError{}
	}
	fmt.Fprintf(host.Out, "VERIFIED  %s\n", resolved.Pinned())
	for _, claim := range claims {
		fmt.Fprintf(host.Out, "  %s\n", clean(explain.Evidence(claim.Evidence())))
	}
	fmt.Fprintf(host.Out, "  checked: the signature by %s, the digest, the type; no transparency log was asked\n", flags.key)
	return nil
}

func contains(have, want map[string]string) bool {
	for key, value := range want {
		if got, ok := have[key]; !ok || got != value {
			return false
		}
	}
	return true
}

func verifiedList(claims []trust.Claim) []verified {
	list := []verified{}
	for _, claim := range claims {
		made, _ := claim.Time()
		evidence := claim.Evidence()
		list = append(list, verified{Type: claim.Type(), Subject: slices.Clone(claim.Subjects()), Signer: claim.Key().String(),
			Source: evidence.Source, Time: made, Annotations: maps.Clone(claim.Annotations()), Predicate: claim.Predicate()})
	}
	return list
}
