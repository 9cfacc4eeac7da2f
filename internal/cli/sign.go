package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/predicate"
)

// signFlags are shared by sign and attest.
type signFlags struct {
	key, layout, format string
}

func (f *signFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&f.key, "key", "", "private key file")
	command.Flags().StringVar(&f.layout, "layout", "both", "how it is stored: bundle (OCI referrer, cosign 3), legacy (.sig and .att tags, cosign 1 and 2), both")
	formatFlag(command, &f.format, "text", "text", "json")
}

// attester opens the key and makes what signs and stores.
func (f *signFlags) attester(ctx context.Context, host *Host, client *oci.Client) (*attest.Attester, error) {
	if err := oneOf("-o", f.format, "text", "json"); err != nil {
		return nil, err
	}
	if f.key == "" {
		return nil, usage("--key is missing").withHint("`assay key generate` makes a key pair")
	}
	layout, err := attest.ParseLayout(f.layout)
	if err != nil {
		return nil, usage("--%v", err)
	}
	signer, err := host.signerOf(ctx, f.key, host.password)
	if err != nil {
		return nil, err
	}
	return attest.New(attest.Config{Signer: signer, Store: client, Now: host.Now, Layout: layout})
}

func newSign(host *Host) *cobra.Command {
	flags := signFlags{}
	var annotations []string
	command := &cobra.Command{
		Use: "sign IMAGE", Short: "Sign an image",
		Long: `Sign signs the digest that IMAGE means now, and stores the signature beside it, so
that cosign of any generation finds it. Nothing but the registry is contacted.`,
		Example: "  assay sign --key assay.key registry.example.com/app@sha256:…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			signed, err := parseAnnotations(annotations)
			if err != nil {
				return err
			}
			client := host.registries()
			attester, err := flags.attester(cmd.Context(), host, client)
			if err != nil {
				return err
			}
			image, err := host.subjectOf(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			stored, err := attester.Sign(cmd.Context(), image, signed)
			if err != nil {
				return err
			}
			return host.printStored(flags.format, "signed", image, stored)
		},
	}
	flags.add(command)
	command.Flags().StringArrayVarP(&annotations, "annotations", "a", nil, "key=value to sign along with the image; may be repeated")
	return command
}

func parseAnnotations(list []string) (map[string]string, error) {
	annotations := map[string]string{}
	for _, text := range list {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return nil, usage("--annotations %q: want key=value", text)
		}
		annotations[key] = value
	}
	if len(annotations) == 0 {
		return nil, nil
	}
	return annotations, nil
}

// subjectOf resolves the reference once; a tag is said to have been resolved.
func (h *Host) subjectOf(ctx context.Context, client *oci.Client, reference string) (attest.Image, error) {
	resolved, err := client.Resolve(ctx, reference)
	if err != nil {
		return attest.Image{}, err
	}
	if !strings.Contains(reference, "@") {
		h.say("%s is %s now; that digest is what counts", reference, resolved.Digest)
	}
	return attest.Image{Repository: resolved.Name(), Digest: resolved.Digest, MediaType: resolved.MediaType, Size: resolved.Size}, nil
}

func (h *Host) printStored(format, verb string, image attest.Image, stored []attest.Stored) error {
	if format == "json" {
		return writeJSON(h.Out, map[string]any{"image": image.String(), "stored": stored})
	}
	for _, s := range stored {
		fmt.Fprintf(h.Out, "%s %s  %s as %s %s\n", verb, image, s.Type, s.Form, s.Digest.Short())
	}
	return nil
}

func newAttest(host *Host) *cobra.Command {
	flags := signFlags{}
	refresh := refreshFlags{}
	var predicateType, predicateFile string
	command := &cobra.Command{
		Use: "attest IMAGE", Short: "Sign a statement about an image",
		Long: `Attest signs an in-toto statement about the digest that IMAGE means now: --type
says what kind of statement, --predicate is the file with what it says. The file
holds the predicate alone; a whole statement is refused, because no policy would
find its fields.

Types: slsaprovenance1 (provenance), slsaprovenance (v0.2, as in cosign), vuln,
vulns (in-toto v0.2), cyclonedx, spdx, test-result, openvex, link, custom, or a URI.

With --refresh, what is signed is a new scan: the packages are those of the SBOMs
that the same key (or --sbom-key) signed about the image, the advisories those of
--db, and both vulnerability types are written. No layer is pulled.`,
		Example: "  assay attest --key assay.key --type cyclonedx --predicate sbom.cdx.json registry.example.com/app@sha256:…\n  assay attest --key assay.key --refresh registry.example.com/app:1.0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if refresh.on {
				if predicateType != "" || predicateFile != "" {
					return usage("--refresh makes the predicates itself; --type and --predicate do not go with it")
				}
				return runRefresh(cmd.Context(), host, args[0], flags, refresh)
			}
			uri, ok := predicate.TypeOf(predicateType)
			switch {
			case refresh.db != "" || refresh.sbomKey != "":
				return usage("--db and --sbom-key are for --refresh")
			case predicateType == "":
				return usage("--type is missing").withHint("`assay attest --help` lists the types")
			case !ok:
				return usage("--type %s: no such type", predicateType).withHint("`assay attest --help` lists the types; any URI is one too")
			case predicateFile == "":
				return usage("--predicate is missing").withHint("name the file that holds the predicate")
			}
			content, err := host.readFile(predicateFile, limit.Evidence)
			if err != nil {
				return err
			}
			client := host.registries()
			attester, err := flags.attester(cmd.Context(), host, client)
			if err != nil {
				return err
			}
			image, err := host.subjectOf(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			stored, err := attester.Attest(cmd.Context(), image, uri, content)
			if err != nil {
				return fmt.Errorf("%s: %w", predicateFile, err)
			}
			return host.printStored(flags.format, "attested", image, stored)
		},
	}
	flags.add(command)
	command.Flags().BoolVar(&refresh.on, "refresh", false, "scan again from the signed SBOM, and sign the result")
	command.Flags().StringVar(&refresh.db, "db", "", "advisory database for --refresh: a directory, or \"sample\" (default: the user's cache)")
	command.Flags().StringVar(&refresh.sbomKey, "sbom-key", "", "public key file of who signed the SBOM for --refresh (default: --key's own)")
	command.Flags().StringVar(&predicateType, "type", "", "predicate type")
	command.Flags().StringVar(&predicateFile, "predicate", "", "file that holds the predicate")
	return command
}
