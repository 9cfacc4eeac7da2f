package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/signingconfig"
	"github.com/seed-161fc314/assay/internal/port/trustroot"
)

func newTrust(host *Host) *cobra.Command {
	command := &cobra.Command{
		Use: "trust", Short: "Keep trusted roots: whom to believe, and whom to ask",
		Long: `A trusted root lists the certificate authorities, transparency logs, certificate logs
and timestamp authorities that are believed, each with its time; a signing
configuration lists which of them a signer asks. Both are kept in a directory, the
user's own unless --dir or ASSAY_TRUST names another: sign, attest, verify and
verify-attestation use them where --trusted-root and --signing-config are not given.

Nothing but init and update contacts anybody, and they contact a TUF repository only.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newTrustInit(host), newTrustShow(host), newTrustUpdate(host))
	return command
}

// trustFlags are those of every command below trust.
type trustFlags struct{ dir, format string }

func (f *trustFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&f.dir, "dir", "", "directory that keeps it (default: ASSAY_TRUST, or the user's)")
	formatFlag(command, &f.format, "text", "text", "json")
}

// where checks the format, and finds the directory.
func (f *trustFlags) where(host *Host) (string, error) {
	if err := oneOf("-o", f.format, "text", "json"); err != nil {
		return "", err
	}
	if f.dir != "" {
		return host.path(f.dir), nil
	}
	return host.trustDir()
}

// trustInitFlags say where trust material comes from.
type trustInitFlags struct {
	trustFlags
	mirror, tufRoot string
	root, config    string
	pieces          trustPieces
	force           bool
}

func newTrustInit(host *Host) *cobra.Command {
	flags := trustInitFlags{}
	command := &cobra.Command{
		Use: "init", Short: "Keep a trusted root: from files, from its pieces, or from a TUF repository",
		Long: `Init keeps trust material that comes from one of three places:

  files        --trusted-root FILE, and --signing-config FILE for signers
  its pieces   --fulcio, --ctfe, --rekor and --tsa, each with commas between:
                 url=URL,certificate-chain=FILE       (fulcio, tsa: PEM, the root last)
                 url=URL,public-key=FILE              (ctfe, rekor: PEM)
                 start-time=RFC3339, end-time=RFC3339 (all)
                 origin=NAME                          (rekor: its API is version 2)
               as cosign's trusted-root create has them. A signing configuration is made
               of them too, with --oidc-issuer for people who log in.
  TUF          --mirror URL|DIR and --root FILE, its root.json had in a way that you
               trust. Without any flag: the public Sigstore, by the root.json that is
               built in.

What is there already is replaced only with --force.`,
		Example: "  assay trust init\n" +
			"  assay trust init --trusted-root trusted_root.json --signing-config signing_config.json\n" +
			"  assay trust init --fulcio url=https://fulcio.example.com,certificate-chain=fulcio.pem \\\n" +
			"    --ctfe url=https://ct.example.com,public-key=ct.pub \\\n" +
			"    --rekor url=https://rekor.example.com,public-key=rekor.pub,origin=rekor.example.com \\\n" +
			"    --tsa url=https://tsa.example.com/api/v1/timestamp,certificate-chain=tsa.pem \\\n" +
			"    --oidc-issuer https://login.example.com",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd.Context(), host) },
	}
	flags.add(command)
	command.Flags().StringVar(&flags.mirror, "mirror", "", "TUF repository: a URL or a directory (default: the public Sigstore's)")
	command.Flags().StringVar(&flags.tufRoot, "root", "", "the TUF repository's root.json that is trusted")
	command.Flags().StringVar(&flags.root, "trusted-root", "", "trusted root to keep")
	command.Flags().StringVar(&flags.config, "signing-config", "", "signing configuration to keep with it")
	flags.pieces.add(command)
	command.Flags().BoolVar(&flags.force, "force", false, "replace what is there")
	return command
}

func (f *trustInitFlags) run(ctx context.Context, host *Host) error {
	dir, err := f.where(host)
	if err != nil {
		return err
	}
	tuf, files, pieces := f.mirror != "" || f.tufRoot != "", f.root != "" || f.config != "", f.pieces.any()
	switch {
	case files && (tuf || pieces) || tuf && pieces:
		return usage("trust material comes from files, from its pieces or from a TUF repository: name one of them")
	case f.config != "" && f.root == "":
		return usage("--signing-config says whom to ask; --trusted-root, whom to believe, is missing")
	case f.mirror != "" && f.tufRoot == "" && strings.TrimSuffix(f.mirror, "/") != trustroot.Public:
		return usage("--mirror %s: --root is missing: a TUF repository is believed by a root.json that you have from elsewhere", f.mirror)
	case f.tufRoot != "" && f.mirror == "":
		return usage("--root is a TUF repository's, and --mirror does not say which")
	}
	var material trustroot.Material
	switch {
	case files:
		if material, err = f.given(host); err == nil {
			err = trustroot.Import(dir, material, f.force)
		}
	case pieces:
		if material, err = f.pieces.material(host); err == nil {
			err = trustroot.Import(dir, material, f.force)
		}
	default:
		material, err = f.fetch(ctx, host, dir)
	}
	if errors.Is(err, trustroot.ErrPresent) {
		return usage("%v", err).withHint("`assay trust show` prints it, `assay trust update` brings it up to date, --force replaces it")
	}
	if err != nil {
		return err
	}
	return host.printTrust(f.format, dir, material, f.source(dir))
}

// source is what is said of it afterwards.
func (f *trustInitFlags) source(dir string) trustroot.Source {
	_, source, err := trustroot.Load(dir)
	if err != nil {
		return trustroot.Source{}
	}
	return source
}

func (f *trustInitFlags) given(host *Host) (m trustroot.Material, err error) {
	if m.Root, err = host.readFile(f.root, limit.TrustedRoot); err != nil {
		return m, fmt.Errorf("--trusted-root: %w", err)
	}
	// Read here, so that what is wrong is said of the file that was named.
	if _, err := trust.ParseRoot(f.root, m.Root); err != nil {
		return m, err
	}
	if f.config == "" {
		return m, nil
	}
	if m.SigningConfig, err = host.readFile(f.config, limit.TrustedRoot); err != nil {
		return m, fmt.Errorf("--signing-config: %w", err)
	}
	_, err = signingconfig.Parse(f.config, m.SigningConfig)
	return m, err
}

func (f *trustInitFlags) fetch(ctx context.Context, host *Host, dir string) (trustroot.Material, error) {
	config := trustroot.Config{Mirror: f.mirror, Replace: f.force, Now: host.Now(), UserAgent: "assay/" + versionString()}
	if f.tufRoot != "" {
		content, err := host.readFile(f.tufRoot, limit.TrustedRoot)
		if err != nil {
			return trustroot.Material{}, fmt.Errorf("--root: %w", err)
		}
		config.Root = content
	}
	if config.Mirror != "" && !strings.Contains(config.Mirror, "://") {
		config.Mirror = host.path(config.Mirror)
	}
	asked := config.Mirror
	if asked == "" {
		asked = trustroot.Public
	}
	defer host.busy("asking " + asked)()
	return trustroot.Fetch(ctx, dir, config)
}

func newTrustShow(host *Host) *cobra.Command {
	flags := trustFlags{}
	command := &cobra.Command{
		Use: "show [FILE]", Short: "Show who is believed and who is asked, and until when",
		Long: `Show prints the trust material that is kept, or the trusted root in FILE. Nothing is
contacted.`,
		Example: "  assay trust show\n  assay trust show -o json trusted_root.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := flags.where(host)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				content, err := host.readFile(args[0], limit.TrustedRoot)
				if err != nil {
					return err
				}
				return host.printTrust(flags.format, args[0], trustroot.Material{Root: content}, trustroot.Source{})
			}
			material, source, err := trustroot.Load(dir)
			if errors.Is(err, trustroot.ErrMissing) {
				return usage("%v", err).withHint("`assay trust init` keeps some; `assay trust show FILE` prints a file")
			}
			if err != nil {
				return err
			}
			return host.printTrust(flags.format, dir, material, source)
		},
	}
	flags.add(command)
	return command
}

func newTrustUpdate(host *Host) *cobra.Command {
	flags := trustFlags{}
	command := &cobra.Command{
		Use: "update", Short: "Fetch newer trust material from the TUF repository it came from",
		Long: `Update asks the TUF repository that init asked. An answer that is older than the last
one, expired or signed by others is refused, and what is there stays.`,
		Example: "  assay trust update",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := flags.where(host)
			if err != nil {
				return err
			}
			done := host.busy("asking the TUF repository")
			material, old, err := trustroot.Update(cmd.Context(), dir, trustroot.Config{Now: host.Now(), UserAgent: "assay/" + versionString()})
			done()
			if errors.Is(err, trustroot.ErrMissing) {
				return usage("%v", err).withHint("`assay trust init` fetches some for the first time")
			}
			if err != nil {
				return err
			}
			if string(material.Root) == string(old.Root) && string(material.SigningConfig) == string(old.SigningConfig) {
				host.say("nothing has changed")
			} else {
				host.say("trust material has changed")
			}
			_, source, err := trustroot.Load(dir)
			if err != nil {
				return err
			}
			return host.printTrust(flags.format, dir, material, source)
		},
	}
	flags.add(command)
	return command
}

// shownAuthority is one authority as it is printed.
type shownAuthority struct {
	trust.Authority
	State string `json:"state"`
}

// shownTrust is trust material as it is printed.
type shownTrust struct {
	Path        string           `json:"path"`
	Source      trustroot.Source `json:"source,omitzero"`
	Authorities []shownAuthority `json:"authorities"`
	// Asked are the services that a signer would ask now; nil where there is
	// no signing configuration.
	Asked *shownServices `json:"asked,omitempty"`
}

type shownServices struct {
	Authority  string   `json:"certificateAuthority,omitempty"`
	Provider   string   `json:"identityProvider,omitempty"`
	Logs       []string `json:"transparencyLogs,omitempty"`
	Timestamps []string `json:"timestampAuthorities,omitempty"`
	// Problem is why nobody can be asked now.
	Problem string `json:"problem,omitempty"`
}

// stateOf says whether an authority vouches for what is signed now.
func stateOf(a trust.Authority, now time.Time) string {
	switch {
	case now.Before(a.NotBefore):
		return "not yet"
	case !a.NotAfter.IsZero() && now.After(a.NotAfter):
		return "ended"
	}
	return "valid"
}

// printTrust prints who is believed and who is asked.
func (h *Host) printTrust(format, path string, m trustroot.Material, source trustroot.Source) error {
	root, err := trust.ParseRoot(path, m.Root)
	if err != nil {
		return err
	}
	shown := shownTrust{Path: path, Source: source, Authorities: []shownAuthority{}}
	for _, a := range root.Authorities() {
		shown.Authorities = append(shown.Authorities, shownAuthority{a, stateOf(a, h.Now())})
	}
	if m.SigningConfig != nil {
		shown.Asked = &shownServices{}
		if o, err := h.chosen(filepath.Join(path, trustroot.SigningConfigFile), m.SigningConfig, false); err != nil {
			shown.Asked.Problem = err.Error()
		} else {
			shown.Asked.Authority, shown.Asked.Provider, shown.Asked.Timestamps = o.authority, o.provider, o.stamps
			for _, log := range o.logs {
				shown.Asked.Logs = append(shown.Asked.Logs, log.URL)
			}
		}
	}
	if format == "json" {
		return writeJSON(h.Out, shown)
	}
	return h.printTrustText(shown)
}

func (h *Host) printTrustText(shown shownTrust) error {
	from := "files that were handed over"
	if shown.Source.Mirror != "" {
		from = fmt.Sprintf("the TUF repository %s, %s", shown.Source.Mirror, shown.Source.Fetched.Format(time.RFC3339))
	}
	fmt.Fprintf(h.Out, "trust material  %s\nfrom            %s\n\n", clean(shown.Path), clean(from))
	day := func(at time.Time) string {
		if at.IsZero() || at.Year() <= 1970 {
			return ""
		}
		return at.UTC().Format(time.DateOnly)
	}
	var rows [][]string
	for _, a := range shown.Authorities {
		name := a.URL
		if name == "" {
			name = a.Subject
		}
		rows = append(rows, []string{string(a.Kind), clean(name), day(a.NotBefore), day(a.NotAfter), a.State, strings.TrimPrefix(a.Fingerprint, "sha256:")[:12]})
	}
	if err := h.table(h.Out, []string{"BELIEVED", "WHO", "FROM", "UNTIL", "NOW", "SHA-256"}, rows, nil); err != nil {
		return err
	}
	if shown.Asked == nil {
		fmt.Fprintln(h.Out, "\nThere is no signing configuration: it verifies, and signs nothing.")
		return nil
	}
	return shown.Asked.print(h.Out)
}

func (s *shownServices) print(w io.Writer) error {
	var b strings.Builder
	b.WriteString("\nA signer without a key asks now:\n")
	if s.Problem != "" {
		fmt.Fprintf(&b, "  nobody: %s\n", clean(s.Problem))
	}
	for _, line := range []struct {
		what string
		urls []string
	}{{"certificate", []string{s.Authority}}, {"login", []string{s.Provider}}, {"log", s.Logs}, {"timestamp", s.Timestamps}} {
		for _, url := range line.urls {
			if url != "" {
				fmt.Fprintf(&b, "  %-12s %s\n", line.what, clean(url))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
