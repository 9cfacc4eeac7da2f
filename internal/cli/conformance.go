package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/oidc"
)

// newVerifyBundle is the verb of sigstore-conformance's command line protocol
// (docs/cli_protocol.md there), which is why its flags are what they are.
func newVerifyBundle(host *Host) *cobra.Command {
	flags := signerFlags{threshold: 1}
	var bundle string
	var staging bool
	command := &cobra.Command{
		Use: "verify-bundle --bundle FILE FILE_OR_DIGEST", Short: "Verify a Sigstore bundle, as sigstore-conformance asks", Hidden: true,
		Long: `Verify-bundle is for Sigstore's conformance tests; ` + "`assay verify --bundle`" + ` and
` + "`assay verify-attestation --bundle`" + ` are for people. A signature over the file counts, and
a statement of any type about it. A certificate needs a log entry, a trusted time
and an SCT; a key needs a log entry where the trusted root lists a log.`,
		Example: "  assay verify-bundle --bundle a.sigstore.json --certificate-identity ci@example.com --certificate-oidc-issuer https://accounts.example.com --trusted-root root.json a.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.conforming(bundle, staging); err != nil {
				return err
			}
			signers, err := flags.signers(cmd.Context(), host)
			if err != nil {
				return err
			}
			if root := signers[0].Root; len(flags.keys) > 0 && root != nil {
				signers[0].Demand.Log = slices.ContainsFunc(root.Authorities(), func(a trust.Authority) bool { return a.Kind == trust.TransparencyLog })
			}
			return host.verifyBundle(bundle, args[0], signers)
		},
	}
	command.Flags().StringVar(&bundle, "bundle", "", "Sigstore bundle")
	command.Flags().StringArrayVar(&flags.keys, "key", nil, "public key file")
	command.Flags().BoolVar(&staging, "staging", false, "verify by Sigstore's staging instance; needs --trusted-root")
	flags.addIdentity(command)
	return command
}

// conforming holds the flags to the protocol.
func (f *signerFlags) conforming(bundle string, staging bool) error {
	switch {
	case bundle == "":
		return usage("--bundle is missing")
	case len(f.keys) > 1:
		return usage("--key: one key")
	case len(f.keys) > 0 && len(f.subjects)+len(f.issuers) > 0:
		return usage("--key and a certificate identity exclude each other: a signature is by one of them")
	case f.root == "" && (staging || len(f.keys) == 0):
		return usage("--trusted-root is missing: nothing is fetched from Sigstore unasked").
			withHint("give the trusted_root.json of the instance, --staging or not, with --trusted-root")
	}
	return nil
}

func (h *Host) verifyBundle(bundle, name string, signers []trust.Signer) error {
	evidence, err := h.bundleEvidence(bundle)
	if err != nil {
		return err
	}
	var claim trust.Claim
	var rejection *trust.Rejection
	err = h.judged(name, func(artifact trust.Artifact) bool {
		claim, rejection = trust.VerifyBlob(evidence, artifact, signers, h.Now())
		return rejection != nil && rejection.Reason == trust.NeedsContent
	})
	if err != nil {
		return err
	}
	if rejection != nil {
		fmt.Fprintf(h.Err, "NOT VERIFIED  %s\n  %s\n", clean(name), clean(explain.Evidence(rejection.Evidence)))
		return &deniedError{}
	}
	_, err = fmt.Fprintf(h.Out, "VERIFIED  %s\n  %s\n", clean(name), clean(kindOf(claim.Type())))
	return err
}

// signBundleFlags are those of sign-bundle.
type signBundleFlags struct {
	bundle, token, root, config string
	staging, inToto             bool
}

func newSignBundle(host *Host) *cobra.Command {
	flags := signBundleFlags{}
	command := &cobra.Command{
		Use: "sign-bundle --bundle FILE FILE", Short: "Sign into a Sigstore bundle, as sigstore-conformance asks", Hidden: true,
		Long: `Sign-bundle is for Sigstore's conformance tests; ` + "`assay sign --bundle`" + ` is for people.
Whom it asks is what --signing-config says, and nobody else.`,
		Example: "  assay sign-bundle --identity-token TOKEN --bundle a.sigstore.json --signing-config config.json a.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd.Context(), host, args[0])
		},
	}
	command.Flags().StringVar(&flags.bundle, "bundle", "", "where the Sigstore bundle is written")
	command.Flags().StringVar(&flags.token, "identity-token", "", "identity token, or a file that holds one")
	command.Flags().StringVar(&flags.root, "trusted-root", "", "trusted root that the bundle is held to before it is written")
	command.Flags().StringVar(&flags.config, "signing-config", "", "which services are asked")
	command.Flags().BoolVar(&flags.staging, "staging", false, "sign with Sigstore's staging instance; needs --signing-config")
	command.Flags().BoolVar(&flags.inToto, "in-toto", false, "FILE is an in-toto statement, which is signed as it is")
	return command
}

func (f *signBundleFlags) run(ctx context.Context, host *Host, name string) error {
	switch {
	case f.bundle == "":
		return usage("--bundle is missing")
	case f.token == "":
		return usage("--identity-token is missing")
	case f.config == "":
		return usage("--signing-config is missing: nobody is asked for a certificate unasked").
			withHint("give the signing_config.v0.2.json of the instance, --staging or not, with --signing-config")
	case f.root == "":
		return usage("--trusted-root is missing: what is signed is held to it before it is written").
			withHint("give the trusted_root.json of the instance, --staging or not, with --trusted-root")
	}
	config := attest.Config{Now: host.Now}
	given := keylessFlags{token: f.token, config: f.config, root: f.root, client: oidc.Audience, logVersion: 1}
	if err := given.witnessed(ctx, host, nil, &config); err != nil {
		return err
	}
	sealer, err := attest.NewSealer(config)
	if err != nil {
		return err
	}
	var sealed []byte
	if f.inToto {
		content, err := host.readFile(name, limit.Evidence)
		if err != nil {
			return err
		}
		if sealed, err = sealer.Statement(ctx, content, subject.Digest{}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	} else if sealed, err = host.sealFile(ctx, sealer, name); err != nil {
		return err
	}
	return host.replace("--bundle", f.bundle, func(w io.Writer) error {
		_, err := w.Write(sealed)
		return err
	})
}
