package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// signFlags are shared by sign and attest.
type signFlags struct {
	key, layout, format string
	keyless             keylessFlags
	replace             bool
	// waits says that what is signed is shown to logs; config sets it.
	waits bool
}

func (f *signFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&f.key, "key", "", "private key: a file, or a reference that assay key --help lists")
	f.keyless.add(command)
	command.Flags().BoolVar(&f.replace, "replace", false, "once stored, take away what the same signer said before, of the same types")
	command.Flags().StringVar(&f.layout, "layout", "both", "how it is stored: bundle (OCI referrer, cosign 3), legacy (.sig and .att tags, cosign 1 and 2), both")
	formatFlag(command, &f.format, "text", "text", "json")
}

// config opens the key, once for everything that is signed.
func (f *signFlags) config(ctx context.Context, host *Host) (attest.Config, error) {
	if err := oneOf("-o", f.format, "text", "json"); err != nil {
		return attest.Config{}, err
	}
	layout, err := attest.ParseLayout(f.layout)
	if err != nil {
		return attest.Config{}, usage("--%v", err)
	}
	if err := f.keyless.check(f.key != ""); err != nil {
		return attest.Config{}, err
	}
	var key signing.Signer
	if f.key != "" {
		if key, err = host.signerOf(ctx, f.key, host.password); err != nil {
			return attest.Config{}, err
		}
	}
	config := attest.Config{Now: host.Now, Layout: layout}
	err = f.keyless.witnessed(ctx, host, key, &config)
	f.waits = config.Notary != nil
	return config, err
}

// attester makes what signs and stores.
func (f *signFlags) attester(ctx context.Context, host *Host, client *oci.Client) (*attest.Attester, error) {
	config, err := f.config(ctx, host)
	if err != nil {
		return nil, err
	}
	config.Store, config.Replace, config.Listing = client, f.replace, client
	return attest.New(config)
}

// sealer makes what signs into bundles.
func (f *signFlags) sealer(ctx context.Context, host *Host) (*attest.Sealer, error) {
	if f.replace {
		return nil, usage("--replace is for images; a file's bundle is written anew each time")
	}
	if f.layout == "legacy" {
		return nil, usage("--layout legacy is for images; a file's evidence goes into a bundle")
	}
	f.layout = "bundle"
	config, err := f.config(ctx, host)
	if err != nil {
		return nil, err
	}
	return attest.NewSealer(config)
}

func newSign(host *Host) *cobra.Command {
	verb := signVerb{}
	var annotations []string
	command := &cobra.Command{
		Use: "sign IMAGE|FILE…", Short: "Sign images or files",
		Long: `Sign signs the digest that each IMAGE means now, and stores the signature beside
it, so that cosign of any generation finds it. With --key, nothing but the registry is
contacted.

With --recursive, every manifest in an image index is signed, and the index last.

With --bundle, a FILE is signed instead, and the signature goes into a Sigstore bundle.
Key files of ECDSA P-256 and RSA sign files of any size, other keys up to 1 GiB.` + keylessHelp + batchHelp,
		Example: "  assay sign --key assay.key registry.example.com/app@sha256:…\n" +
			"  assay sign --key assay.key --recursive -f images.txt\n" +
			"  assay sign --signing-config signing_config.json --trusted-root trusted_root.json registry.example.com/app:1.0\n" +
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
