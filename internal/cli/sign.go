package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/oci"
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
	verb := signVerb{}
	var annotations []string
	command := &cobra.Command{
		Use: "sign IMAGE|FILE…", Short: "Sign images or files",
		Long: `Sign signs the digest that each IMAGE means now, and stores the signature beside
it, so that cosign of any generation finds it. Nothing but the registry is contacted.

With --recursive, every manifest in an image index is signed, and the index last.

With --bundle, a FILE is signed instead: its bytes, of any number where the key signs
SHA-256 digests (ECDSA P-256 and RSA, from a file), and up to 1 GiB with other keys.
The signature goes into a Sigstore bundle, and nothing is contacted.` + batchHelp,
		Example: "  assay sign --key assay.key registry.example.com/app@sha256:…\n" +
			"  assay sign --key assay.key --recursive -f images.txt\n" +
			"  assay sign --key assay.key --bundle model.bin.sigstore.json model.bin",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			signed, err := parseAnnotations(annotations)
			if err != nil {
				return err
			}
			if verb.files() && signed != nil {
				return usage("--annotations are signed along with images; a signature over a file has no room for them")
			}
			return verb.run(cmd.Context(), host, args, verbWork{
				done:  "signed",
				order: attest.Order{Sign: true, Annotations: signed},
				seal: func(ctx context.Context, sealer *attest.Sealer, name string) ([]byte, error) {
					return host.sealFile(ctx, sealer, name)
				},
			})
		},
	}
	verb.add(command)
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
