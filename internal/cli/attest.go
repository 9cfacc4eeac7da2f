package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/predicate"
)

const attestHelp = `Attest signs an in-toto statement about the digest that each IMAGE means now: --type
says what kind of statement, --predicate is the file with what it says. The file
holds the predicate alone; a whole statement is refused, because no policy would
find its fields.

Types: slsaprovenance1 (provenance), slsaprovenance (v0.2, as in cosign), vuln,
vulns (in-toto v0.2), cyclonedx, spdx, test-result, openvex, link, custom, or a URI.

A whole statement is what --statement takes, and signs as it is; the image must be
one of its subjects. Without an image, it goes into the file --bundle.

With --bundle, the statement is about a FILE (or a digest, sha256:…), and goes into
that Sigstore bundle.

With --refresh, what is signed is a new scan: the packages are those of the SBOMs
that the same signer (or --sbom-key) signed about the image, the advisories those of
--db, and both vulnerability types are written. No layer is pulled.`

// attestFlags say what an attestation says.
type attestFlags struct {
	signVerb
	refresh                                 refreshFlags
	predicateType, predicateFile, statement string
}

func newAttest(host *Host) *cobra.Command {
	flags := attestFlags{}
	command := &cobra.Command{
		Use: "attest IMAGE|FILE…", Short: "Sign a statement about images or files",
		Long: attestHelp + keylessHelp + batchHelp,
		Example: "  assay attest --key assay.key --type cyclonedx --predicate sbom.cdx.json registry.example.com/app@sha256:…\n" +
			"  assay attest --key assay.key --refresh registry.example.com/app:1.0\n" +
			"  assay attest --key assay.key --type slsaprovenance1 --predicate p.json --bundle app.sigstore.json app.tar.gz\n" +
			"  assay attest --key assay.key --statement statement.json registry.example.com/app:1.0",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd.Context(), host, args)
		},
	}
	flags.add(command)
	command.Flags().BoolVar(&flags.refresh.on, "refresh", false, "scan again from the signed SBOM, and sign the result")
	command.Flags().StringVar(&flags.refresh.db, "db", "", "advisory database for --refresh: a directory, or \"sample\" (default: the user's cache)")
	command.Flags().StringVar(&flags.refresh.sbomKey, "sbom-key", "", "public key file of who signed the SBOM for --refresh (default: --key's own)")
	command.Flags().StringVar(&flags.predicateType, "type", "", "predicate type")
	command.Flags().StringVar(&flags.predicateFile, "predicate", "", "file that holds the predicate; - is standard input")
	command.Flags().StringVar(&flags.statement, "statement", "", "file that holds a whole in-toto statement")
	return command
}

func (f *attestFlags) run(ctx context.Context, host *Host, args []string) error {
	switch {
	case f.refresh.on && (f.predicateType != "" || f.predicateFile != "" || f.statement != ""):
		return usage("--refresh makes the predicates itself; --type, --predicate and --statement do not go with it")
	case f.refresh.on && (f.files() || f.list != "" || f.recursive || len(args) != 1):
		return usage("--refresh is for one image; its manifests are refreshed with it")
	case f.refresh.on:
		return runRefresh(ctx, host, args[0], f.signFlags, f.refresh)
	case f.refresh.db != "" || f.refresh.sbomKey != "":
		return usage("--db and --sbom-key are for --refresh")
	case f.statement != "" && (f.predicateType != "" || f.predicateFile != ""):
		return usage("--statement has type and predicate in it; --type and --predicate do not go with it")
	case f.statement != "":
		return f.wholeStatement(ctx, host, args)
	}
	uri, ok := predicate.TypeOf(f.predicateType)
	switch {
	case f.predicateType == "":
		return usage("--type is missing").withHint("`assay attest --help` lists the types")
	case !ok:
		return usage("--type %s: no such type", f.predicateType).withHint("`assay attest --help` lists the types; any URI is one too")
	case f.predicateFile == "":
		return usage("--predicate is missing").withHint("name the file that holds the predicate")
	}
	if f.predicateFile == "-" && f.list == "-" {
		return usage("--predicate - and -f - both read standard input")
	}
	content, err := host.readInput(f.predicateFile, limit.Evidence)
	if err != nil {
		return err
	}
	if err := checkPredicate(uri, content); err != nil {
		return usage("--predicate %s: it is no predicate of type %s: %v", f.predicateFile, f.predicateType, err).
			withHint("policies would find nothing in it; name the type that it has, or another file")
	}
	said := attest.Predicate{Type: uri, Content: content}
	return f.signVerb.run(ctx, host, args, verbWork{
		done: "attested", source: f.predicateFile, order: attest.Order{Predicates: []attest.Predicate{said}},
		seal: func(ctx context.Context, sealer *attest.Sealer, name string) ([]byte, error) {
			artifact, err := host.artifact(name)
			if err != nil {
				return nil, err
			}
			sealed, err := sealer.Attest(ctx, host.subjectName(name), artifact.Digest, said)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.predicateFile, err)
			}
			return sealed, nil
		},
	})
}

// checkPredicate refuses what is not of the type that it is signed as, where the
// type says enough of its shape.
func checkPredicate(uri string, content []byte) error {
	if len(bytes.TrimSpace(content)) == 0 {
		return errors.New("it is empty")
	}
	var err error
	switch predicate.Family(uri) {
	case predicate.TypeCosignVuln:
		if _, err = predicate.ReadVulnerabilities(uri, content); errors.Is(err, predicate.ErrForeignReport) {
			err = nil
		}
	case predicate.TypeCycloneDX, predicate.TypeSPDX:
		_, err = predicate.ReadComponents(uri, content)
	case predicate.TypeTestResult:
		_, err = predicate.ReadTestResult(content)
	}
	return err
}

// subjectName is what a statement calls a file, the last part of its path, or
// what a digest was written behind.
func (h *Host) subjectName(name string) string {
	if _, digest := h.digestOf(name); digest {
		repository, _, found := strings.Cut(name, "@")
		if !found {
			return ""
		}
		return repository
	}
	return filepath.Base(name)
}

// wholeStatement signs --statement: about images, about a file, or about
// whatever it says that it is about.
func (f *attestFlags) wholeStatement(ctx context.Context, host *Host, args []string) error {
	content, err := host.readFile(f.statement, limit.Evidence)
	if err != nil {
		return err
	}
	if len(args) == 0 && f.list == "" {
		if f.bundle == "" {
			return usage("--statement needs an image that it is stored beside, or --bundle FILE").withHint("`assay attest --help` shows both")
		}
		args = []string{f.statement}
		return f.signVerb.run(ctx, host, args, verbWork{done: "signed", source: f.statement,
			seal: func(ctx context.Context, sealer *attest.Sealer, _ string) ([]byte, error) {
				return f.sealStatement(ctx, sealer, content, subject.Digest{})
			}})
	}
	return f.signVerb.run(ctx, host, args, verbWork{
		done: "attested", source: f.statement, order: attest.Order{Statements: [][]byte{content}},
		seal: func(ctx context.Context, sealer *attest.Sealer, name string) ([]byte, error) {
			artifact, err := host.artifact(name)
			if err != nil {
				return nil, err
			}
			return f.sealStatement(ctx, sealer, content, artifact.Digest)
		},
	})
}

func (f *attestFlags) sealStatement(ctx context.Context, sealer *attest.Sealer, content []byte, about subject.Digest) ([]byte, error) {
	sealed, err := sealer.Statement(ctx, content, about)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.statement, err)
	}
	return sealed, nil
}
