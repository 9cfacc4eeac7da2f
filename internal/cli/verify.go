package cli

import (
	"context"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/job/verify"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/predicate"
)

// verifyFlags are shared by verify and verify-attestation.
type verifyFlags struct {
	signerFlags
	batchFlags
	bundleFlags
	format    string
	recursive bool
	// annotations are of signatures alone: an attestation has none.
	annotations []string
}

func (f *verifyFlags) add(command *cobra.Command) {
	f.signerFlags.add(command)
	f.batchFlags.add(command, "images or files")
	f.bundleFlags.add(command, "Sigstore bundle about a file (or a digest, sha256:…), to be verified instead of what a registry has")
	command.Flags().BoolVarP(&f.recursive, "recursive", "r", false, "demand the same of every manifest in an image index")
	formatFlag(command, &f.format, "text", "text", "json")
}

const verifyHelp = `

Who may have signed is said by --key, which may be repeated, or by certificate
identities: --certificate-identity with --certificate-oidc-issuer, and the file
--trusted-root with the authorities that vouch for them. Both are always needed:
another provider can vouch for the same subject. Expressions (-regexp) must match
the whole value; they are anchored, whether or not they say so. Any one who is
named is enough; --threshold asks for several different ones.

What is checked, and what is not, is said of each signature that counts. With a
key, nothing but the registry is contacted, and no transparency log is looked at
unless --trusted-root says which. A certificate's signature needs a log entry, a
trusted time and a certificate log's promise (SCT); what the log signed is in the
evidence, and the log itself is never asked. No policy is applied; ` + "`assay check`" + `
does that.

Several images, or -f with a list of them, are worked on at once, and printed in
the order in which they were named. Exit code 3 says that there is no answer for
one of them, 1 that one is not verified.`

func newVerify(host *Host) *cobra.Command {
	flags := verifyFlags{}
	command := &cobra.Command{
		Use: "verify IMAGE|FILE…", Short: "Verify that images or files are signed",
		Long: "Verify looks for a signature of each IMAGE, in both of cosign's layouts, in its\n" +
			"registry or in an image layout (oci:DIR). With --bundle it looks at a file instead.\n" +
			"An attestation is not taken for a signature." + verifyHelp,
		Example: "  assay verify --key assay.pub registry.example.com/app:1.0\n" +
			"  assay verify --trusted-root trusted_root.json --certificate-identity ci@example.com \\\n" +
			"    --certificate-oidc-issuer https://accounts.example.com registry.example.com/app:1.0\n" +
			"  assay verify --key assay.pub --bundle model.bin.sigstore.json model.bin",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd.Context(), host, args, "signature", predicate.TypeCosignSign)
		},
	}
	flags.add(command)
	command.Flags().StringArrayVarP(&flags.annotations, "annotations", "a", nil, "key=value that must be signed along; may be repeated")
	return command
}

func newVerifyAttestation(host *Host) *cobra.Command {
	flags := verifyFlags{}
	var predicateType string
	command := &cobra.Command{
		Use: "verify-attestation IMAGE|FILE…", Short: "Verify that images or files have an attestation, and print what it says (-o json)",
		Long: "Verify-attestation looks for attestations of --type on each IMAGE, in both of\n" +
			"cosign's layouts, or with --bundle on a file. With -o json the predicates are printed." + verifyHelp,
		Example: "  assay verify-attestation --key assay.pub --type vuln -o json registry.example.com/app:1.0\n" +
			"  assay verify-attestation --key assay.pub --type slsaprovenance1 --bundle app.sigstore.json app.tar.gz",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			uri, ok := predicate.TypeOf(predicateType)
			if predicateType == "" || !ok {
				return usage("--type %q: no such type", predicateType).withHint("`assay attest --help` lists the types; any URI is one too")
			}
			return flags.run(cmd.Context(), host, args, "attestation of type "+uri, uri)
		},
	}
	flags.add(command)
	command.Flags().StringVar(&predicateType, "type", "", "predicate type")
	return command
}

// run verifies everything that is named. what is the kind that is looked for,
// in words, and uri its claim type.
func (f *verifyFlags) run(ctx context.Context, host *Host, args []string, what, uri string) error {
	if err := oneOf("-o", f.format, "text", "json"); err != nil {
		return err
	}
	wanted, err := parseAnnotations(f.annotations)
	if err != nil {
		return err
	}
	references, err := f.references(host, args)
	if err != nil {
		return err
	}
	if err := f.bundleFlags.check(len(references)); err != nil {
		return err
	}
	if f.files() && f.recursive {
		return usage("--recursive is for images; a file has no manifests in it")
	}
	for _, reference := range references {
		if f.files() || strings.HasPrefix(reference, "oci:") {
			continue
		}
		if err := host.localName(reference, "a file's evidence is in a bundle: --bundle FILE.sigstore.json; an image layout is written oci:FILE"); err != nil {
			return err
		}
	}
	signers, err := f.signers(ctx, host)
	if err != nil {
		return err
	}
	if parties := parties(signers); f.threshold > parties {
		return usage("--threshold %d: only %s named, so that no evidence could satisfy it", f.threshold, explain.Count(parties, "signer is", "signers are"))
	}
	types := []string{uri}
	if f.files() && uri == predicate.TypeCosignSign {
		types = append(types, trust.TypeMessage)
	}
	verifier, err := verify.New(verify.Want{Signers: signers, Types: types, Annotations: wanted, Threshold: f.threshold, Recursive: f.recursive}, host.Now)
	if err != nil {
		return err
	}
	report := &verifyReport{host: host, what: what, signers: signers, flags: f}
	client := host.registries()
	err = inOrder(references, f.atOnce(false), func(reference string) (verify.Result, error) {
		if f.files() {
			return f.blob(ctx, host, verifier, reference)
		}
		source, err := host.evidenceIn(client, reference)
		if err != nil {
			return verify.Result{}, err
		}
		return verifier.Image(ctx, source, reference)
	}, func(reference string, result outcome[verify.Result]) error {
		if result.err != nil && len(references) == 1 {
			return result.err
		}
		return report.add(reference, result)
	})
	if err != nil {
		return err
	}
	return report.end()
}

// parties is how many different parties signers can be at most: an expression
// can match any number.
func parties(signers []trust.Signer) int {
	keys := map[identity.Key]bool{}
	identities := 0
	for _, s := range signers {
		for _, k := range s.Keys {
			keys[k.ID] = true
		}
		for _, p := range s.Identities {
			if p.SubjectRegexp != "" || p.IssuerRegexp != "" {
				return math.MaxInt
			}
			identities++
		}
	}
	return len(keys) + identities
}

// evidenceIn is where the evidence on what a reference names is looked for: in
// its registry, or in the image layout oci:DIR.
func (h *Host) evidenceIn(client *oci.Client, reference string) (verify.Source, error) {
	layout, found := strings.CutPrefix(reference, "oci:")
	if !found {
		return client, nil
	}
	dir, _, _ := strings.Cut(layout, "@")
	return oci.OpenEvidenceLayout(h.path(dir))
}

// verifyReport prints results as they come.
type verifyReport struct {
	host    *Host
	what    string
	signers []trust.Signer
	flags   *verifyFlags
	tally   tally
	list    []verifiedImage
}

func (r *verifyReport) add(reference string, result outcome[verify.Result]) error {
	asJSON := r.flags.format == "json"
	if result.err != nil {
		r.tally.faults++
		r.host.fault(reference, result.err)
		if asJSON {
			r.list = append(r.list, verifiedImage{Reference: reference, Result: verdict.Fault.String(), Error: result.err.Error()})
		}
		return nil
	}
	if result.value.Decision != verdict.Allow {
		r.tally.denied++
	}
	if asJSON {
		r.list = append(r.list, r.document(result.value))
	}
	if result.value.Decision != verdict.Allow {
		return r.denial(result.value)
	}
	if asJSON {
		return nil
	}
	return r.verified(result.value)
}

func (r *verifyReport) end() error {
	if r.flags.format == "json" {
		if err := writeJSON(r.host.Out, r.list); err != nil {
			return err
		}
	}
	return r.tally.end()
}
