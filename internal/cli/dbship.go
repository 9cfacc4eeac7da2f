package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/job/advisories"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

const layoutPrefix = "oci:"

// artifactStore is where `db export` puts what it ships.
type artifactStore interface {
	attest.Store
	PushArtifact(ctx context.Context, repository string, a oci.Artifact) (subject.Digest, error)
}

func newDBExport(host *Host) *cobra.Command {
	var dir, key, format string
	command := &cobra.Command{
		Use: "export REF|oci:DIR", Short: "Ship the database as a signed OCI artifact",
		Long: `Export checks every byte of the database and stores its files as one OCI artifact,
signed with --key: in a registry, or with oci:DIR in an OCI image layout that can
be carried to where there is no network. "assay db pull" takes it back.

The signature is on the artifact's digest, as "assay sign" makes it. A tag in REF
is set last, when artifact and signature are there.`,
		Example: "  assay db export --key assay.key registry.example.com/advisories:latest\n  assay db export --key assay.key oci:/media/usb/advisories",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDBExport(cmd.Context(), host, args[0], dir, key, format)
		},
	}
	command.Flags().StringVar(&dir, "db", "", "directory of the database (default: the user's cache)")
	command.Flags().StringVar(&key, "key", "", "private key file")
	formatFlag(command, &format, "text", "text", "json")
	return command
}

func runDBExport(ctx context.Context, host *Host, to, dir, key, format string) error {
	if err := oneOf("-o", format, "text", "json"); err != nil {
		return err
	}
	if key == "" {
		return usage("--key is missing").withHint("what is not signed could not be pulled; `assay key generate` makes a key pair")
	}
	signer, err := host.signerOf(ctx, key, host.password)
	if err != nil {
		return err
	}
	where, err := host.databaseDir(dir)
	if err != nil {
		return err
	}
	db, err := advisorydb.Open(where)
	if err != nil {
		return err
	}
	defer db.Close()
	files, err := db.Files(ctx)
	if err != nil {
		return err
	}
	// One layout on disk, or a registry, where both generations of verifiers
	// look for signatures.
	var store artifactStore
	repository, tag, layout := "", "", attest.LayoutBoth
	if path, found := strings.CutPrefix(to, layoutPrefix); found {
		repository, layout = to, attest.LayoutBundle
		if store, err = oci.NewArtifactLayout(host.path(path)); err != nil {
			return err
		}
	} else {
		reference, err := oci.Parse(to)
		if err != nil {
			return err
		}
		if !reference.Digest.IsZero() {
			return usage("%s names a digest; an export makes a new one", to)
		}
		store, repository, tag = host.registries(), reference.Name(), reference.Tag
	}
	attester, err := attest.New(attest.Config{Signer: signer, Store: store, Now: host.Now, Layout: layout})
	if err != nil {
		return err
	}
	digest, err := store.PushArtifact(ctx, repository, advisories.Pack(files))
	if err != nil {
		return err
	}
	if _, err := attester.Sign(ctx, attest.Image{Repository: repository, Digest: digest}, nil); err != nil {
		return err
	}
	if client, ok := store.(*oci.Client); ok && tag != "" {
		if err := client.Tag(ctx, repository, digest, tag); err != nil {
			return err
		}
	}
	if format == "json" {
		return writeJSON(host.Out, map[string]any{"to": to, "digest": digest, "files": len(files), "ecosystems": db.Ecosystems(), "feeds": db.Feeds()})
	}
	_, err = fmt.Fprintf(host.Out, "exported %s to %s  %s\n", explain.Count(len(files), "file", "files"), to, digest)
	return err
}

func newDBPull(host *Host) *cobra.Command {
	var dir, key, format string
	var force bool
	command := &cobra.Command{
		Use: "pull REF|oci:DIR", Short: "Take a signed database from a registry or a layout",
		Long: `Pull takes what "assay db export" shipped. The signature by --key is verified
before anything else is read; what is not signed by it is denied (exit code 1).
Then every byte is checked, and only then are index files replaced: those that
came, while others stay. What is older than what is there, or has less than half
of its advisories, is refused unless --force says so.`,
		Example: "  assay db pull --key assay.pub registry.example.com/advisories:latest\n  assay db pull --key assay.pub oci:/media/usb/advisories",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDBPull(cmd.Context(), host, args[0], dir, key, format, force)
		},
	}
	command.Flags().StringVar(&dir, "db", "", "directory of the database (default: the user's cache)")
	command.Flags().StringVar(&key, "key", "", "public key file")
	command.Flags().BoolVar(&force, "force", false, "replace also by what is older or much smaller")
	formatFlag(command, &format, "text", "text", "json")
	return command
}

func runDBPull(ctx context.Context, host *Host, from, dir, key, format string, force bool) error {
	if err := oneOf("-o", format, "text", "json"); err != nil {
		return err
	}
	if key == "" {
		return usage("--key is missing").withHint("name the public key that the database is signed with, such as --key assay.pub")
	}
	signer, err := host.trusted(ctx, "--key", key)
	if err != nil {
		return err
	}
	target, err := host.databaseDir(dir)
	if err != nil {
		return err
	}
	var shelf advisories.Shelf
	var repository string
	var digest subject.Digest
	if path, found := strings.CutPrefix(from, layoutPrefix); found {
		layout, err := oci.OpenArtifactLayout(host.path(path))
		if err != nil {
			return err
		}
		if digest, err = layout.Artifact(advisories.ArtifactType); err != nil {
			return err
		}
		shelf = layout
	} else {
		client := host.registries()
		resolved, err := client.Resolve(ctx, from)
		if err != nil {
			return err
		}
		shelf, repository, digest = client, resolved.Name(), resolved.Digest
	}
	summary, err := advisories.Pull(ctx, shelf, repository, digest, signer, target, advisorydb.Config{Now: host.Now(), Shrink: force})
	var unsigned *advisories.UnsignedError
	if errors.As(err, &unsigned) {
		fmt.Fprintf(host.Err, "NOT VERIFIED  %s\n  digest    %s\n  expected  a signature by %s (%s)\n  found     none that counts; nothing was replaced\n", from, digest, key, signer.Keys[0].ID)
		for _, r := range unsigned.Rejected {
			fmt.Fprintf(host.Err, "  evidence  %s\n", clean(explain.Evidence(r)))
		}
		return &deniedError{}
	}
	if err != nil {
		return err
	}
	if format == "json" {
		return writeJSON(host.Out, map[string]any{"from": from, "digest": digest, "dir": target, "ecosystems": summary.Ecosystems, "feeds": summary.Feeds})
	}
	fmt.Fprintf(host.Out, "VERIFIED  %s  %s, signed by %s\n", from, digest, key)
	return host.databaseTable(target, summary.Ecosystems, summary.Feeds)
}
