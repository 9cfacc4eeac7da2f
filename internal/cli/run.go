package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/assayfile"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/job/journey"
	"github.com/seed-161fc314/assay/internal/job/promote"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/builder"
	"github.com/seed-161fc314/assay/internal/port/builder/dockerfile"
	"github.com/seed-161fc314/assay/internal/port/builder/layer"
	"github.com/seed-161fc314/assay/internal/port/gitrepo"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

// stateDir is where a workload keeps what runs leave behind.
const stateDir = ".assay"

// runFlags are the flags of `assay run`.
type runFlags struct {
	file, from, format, db string
	dryRun, verbose        bool
}

func newRun(host *Host) *cobra.Command {
	flags := runFlags{}
	var names []string
	for _, step := range journey.Steps() {
		names = append(names, string(step))
	}
	command := &cobra.Command{
		Use: "run [DIR]", Short: "The whole journey of assay.yaml: scan, build, attest, sign, decide, promote",
		Long: `Run takes the workload in DIR (default: here) through the steps of assay.yaml:
` + strings.Join(names, ", ") + `.

The source is scanned first, and nothing is built from one with findings over the
threshold. The image is pushed by digest; it gets its tag, and is promoted, only
if the policies allow it. Exit code 1 says that a step denied, 3 that one broke.

--dry-run does everything against a registry that is thrown away, and changes
neither the real registry nor the GitOps repository. docs/assayfile.md describes
assay.yaml; ` + "`assay init`" + ` writes one.`,
		Example: "  assay run examples/pandas\n  assay run --dry-run\n  assay run --from attest -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return runJourney(cmd.Context(), host, dir, flags)
		},
	}
	command.Flags().StringVar(&flags.file, "file", "assay.yaml", "the journey's file, relative to DIR")
	command.Flags().StringVar(&flags.from, "from", "", "begin with this step, with what an earlier run left: "+strings.Join(names, ", "))
	command.Flags().StringVar(&flags.db, "db", "", "advisory database, in place of advisories: in assay.yaml: a directory, or \"sample\"")
	command.Flags().BoolVar(&flags.dryRun, "dry-run", false, "change nothing outside the state directory")
	command.Flags().BoolVarP(&flags.verbose, "verbose", "v", false, "show what a builder prints")
	formatFlag(command, &flags.format, "text", "text", "json")
	return command
}

// workload is a directory with its assay.yaml read.
type workload struct {
	dir    string
	file   assayfile.File
	digest subject.Digest
	files  *os.Root
}

func (w *workload) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(w.dir, filepath.FromSlash(name))
}

func (h *Host) workload(dir, name string) (*workload, error) {
	absolute := h.path(dir)
	content, err := h.readFile(filepath.Join(absolute, name), limit.Policy)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("%s has no %s", dir, name).withHint("`assay init %s` writes one", dir)
	}
	if err != nil {
		return nil, err
	}
	file, err := assayfile.Decode(filepath.Join(dir, name), content)
	if err != nil {
		return nil, &usageError{text: err.Error(), hint: "docs/assayfile.md describes every field"}
	}
	root, err := os.OpenRoot(absolute)
	if err != nil {
		return nil, err
	}
	return &workload{dir: absolute, file: file, digest: subject.Of(content), files: root}, nil
}

func runJourney(ctx context.Context, host *Host, dir string, flags runFlags) error {
	if err := oneOf("-o", flags.format, "text", "json"); err != nil {
		return err
	}
	w, err := host.workload(dir, flags.file)
	if err != nil {
		return err
	}
	defer w.files.Close()
	name := flags.db
	if name == "" {
		if name = w.file.Advisories; name != "" && name != assayfile.SampleAdvisories {
			name = w.path(name)
		}
	}
	db, err := host.advisories(name)
	if err != nil {
		return err
	}
	defer db.Close()
	config, err := host.journey(ctx, w, db, flags)
	if err != nil {
		return err
	}
	if config.cleanup != nil {
		defer config.cleanup()
	}
	if db.Info().Sample {
		host.warn("the advisories are the built-in sample of %d; `assay db update` fetches real ones", db.Info().Records)
	}
	config.Progress = host.progress
	j, err := journey.New(config.Config)
	if err != nil {
		return err
	}
	began := host.Now()
	result, err := j.Run(ctx, journey.Step(flags.from))
	if flags.format == "json" {
		if writeErr := writeJSON(host.Out, result); writeErr != nil {
			return writeErr
		}
	} else if printErr := host.printJourney(ctx, w, result, db, began); printErr != nil {
		return printErr
	}
	var denied *journey.DeniedError
	if errors.As(err, &denied) {
		return &deniedError{text: "denied in step " + string(denied.Step) + ": " + denied.Reason}
	}
	if err == nil && flags.dryRun {
		host.say("dry run: nothing was pushed, tagged or promoted")
	}
	return err
}

// wired is a journey's configuration with what has to be cleaned up after it.
type wired struct {
	journey.Config
	cleanup func()
}

// journey wires everything that assay.yaml names; it fails before the first
// step where something is missing.
func (h *Host) journey(ctx context.Context, w *workload, db scan.Advisories, flags runFlags) (wired, error) {
	state := filepath.Join(w.dir, stateDir)
	client := h.registries()
	var cleanup func()
	if flags.dryRun {
		dry, remove, err := h.throwaway(w.file.Image)
		if err != nil {
			return wired{}, err
		}
		client, cleanup = dry, remove
	}
	fail := func(err error) (wired, error) {
		if cleanup != nil {
			cleanup()
		}
		return wired{}, err
	}
	epoch, err := h.epoch()
	if err != nil {
		return fail(err)
	}
	key, err := h.developmentKey(w)
	if err != nil {
		return fail(err)
	}
	signer, err := h.signerOf(ctx, key, h.keyPassword(w))
	if err != nil {
		return fail(err)
	}
	layout := attest.LayoutBoth
	if w.file.Sign.Layout != "" {
		if layout, err = attest.ParseLayout(w.file.Sign.Layout); err != nil {
			return fail(err)
		}
	}
	publisher, err := attest.New(attest.Config{Signer: signer, Store: client, Now: h.Now, Layout: layout})
	if err != nil {
		return fail(err)
	}
	var policies []string
	for _, path := range w.file.Policies {
		policies = append(policies, w.path(path))
	}
	g, err := h.gate(ctx, policies, client)
	if err != nil {
		return fail(err)
	}
	var documents, ignores []string
	for _, path := range w.file.Scan.VEX {
		documents = append(documents, w.path(path))
	}
	for _, path := range w.file.Scan.Ignore {
		ignores = append(ignores, w.path(path))
	}
	rules, err := h.rules(documents, ignores)
	if err != nil {
		return fail(err)
	}
	scanner, err := scan.New(scan.Config{Advisories: db, Now: h.Now, Rules: rules, RequirePinned: w.file.Scan.RequirePinned})
	if err != nil {
		return fail(err)
	}
	made, err := h.builder(w, flags.verbose)
	if err != nil {
		return fail(err)
	}
	config := journey.Config{
		File: w.file, FileDigest: w.digest, Dir: w.dir, Files: w.files.FS(), State: filepath.Join(state, "run"),
		Scanner: scanner, Builder: made, Base: h.base(client, w), Registry: client, Evidence: publisher, Gate: asker{g},
		Describe: h.describe(w), Version: versionString(), Created: epoch, Now: h.Now,
	}
	if w.file.Promote != nil {
		promoter, err := h.promoter(ctx, w, g, flags.dryRun)
		if err != nil {
			return fail(err)
		}
		config.Promoter = promoter
	}
	return wired{Config: config, cleanup: cleanup}, nil
}

// asker lets jobs ask the gate about a reference, without a workload.
type asker struct{ gate *gate.Gate }

// Decide asks.
func (a asker) Decide(ctx context.Context, reference string) (verdict.Verdict, error) {
	return a.gate.Decide(ctx, gate.Question{Reference: reference})
}

// throwaway is a client that serves the image's host from a temporary
// directory.
func (h *Host) throwaway(image string) (*oci.Client, func(), error) {
	dir, err := os.MkdirTemp("", "assay-dry-run-")
	if err != nil {
		return nil, nil, err
	}
	r, err := registry.Open(dir, registry.Config{})
	if err != nil {
		return nil, nil, err
	}
	host, _, _ := strings.Cut(image, "/")
	return oci.New(oci.Config{UserAgent: "assay/" + versionString(), Embedded: map[string]http.Handler{host: r}}), func() { os.RemoveAll(dir) }, nil
}

// developmentKey gives the path of the private key; for "development" it makes
// a key pair at the first run.
func (h *Host) developmentKey(w *workload) (string, error) {
	if keyScheme(w.file.Sign.Key) != "" {
		return w.file.Sign.Key, nil
	}
	if w.file.Sign.Key != assayfile.DevelopmentKey {
		return w.path(w.file.Sign.Key), nil
	}
	prefix := filepath.Join(w.dir, stateDir, "development")
	if _, err := os.Stat(prefix + ".key"); err == nil {
		return prefix + ".key", nil
	}
	private, public, err := cosignkey.Generate(nil)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(prefix), 0o755); err != nil {
		return "", err
	}
	path, _, err := file.Write(prefix, private, public)
	if err == nil {
		h.say("made a key pair for development, without a password: %s", path)
	}
	return path, err
}

func (h *Host) keyPassword(w *workload) func() ([]byte, error) {
	if w.file.Sign.Key == assayfile.DevelopmentKey {
		return func() ([]byte, error) { return nil, nil }
	}
	return h.password
}

func (h *Host) builder(w *workload, verbose bool) (builder.Builder, error) {
	b := w.file.Build
	if b.Builder == "layer" {
		return layer.New(), nil
	}
	config := dockerfile.Config{Tool: dockerfile.Tool(b.Builder), Program: b.Program, Arguments: b.ProgramArguments, Isolation: b.Isolation, Env: h.Env}
	if verbose {
		config.Log = h.Err
	}
	return dockerfile.New(config)
}

// base opens a base image: oci:DIR, relative to the workload, or a reference.
func (h *Host) base(client *oci.Client, w *workload) func(context.Context, string, []string) (*builder.Base, error) {
	return func(ctx context.Context, reference string, platforms []string) (*builder.Base, error) {
		base := &builder.Base{Reference: reference, Images: map[string]v1.Image{}}
		if dir, found := strings.CutPrefix(reference, "oci:"); found {
			path, which, _ := strings.Cut(dir, "@")
			local, err := oci.OpenLayout(w.path(path), which)
			if err != nil {
				return nil, err
			}
			base.Digest = local.Digest
			for _, image := range local.Images {
				if !local.Index && len(platforms) == 1 {
					image.Platform = platforms[0]
				}
				base.Images[image.Platform] = image.Image
			}
			return base, nil
		}
		resolved, err := client.Resolve(ctx, reference)
		if err != nil {
			return nil, err
		}
		base.Reference, base.Digest = resolved.Pinned(), resolved.Digest
		for _, platform := range platforms {
			if base.Images[platform], err = client.Image(ctx, resolved, platform); err != nil {
				return nil, err
			}
		}
		return base, nil
	}
}

// describe names the commit of a workload's directory; one outside any
// repository has none.
func (h *Host) describe(w *workload) func(context.Context) (*journey.Commit, error) {
	return func(ctx context.Context) (*journey.Commit, error) {
		source, err := gitrepo.Describe(ctx, w.dir, gitrepo.Config{Env: h.Env})
		if errors.Is(err, gitrepo.ErrNotRepository) || errors.Is(err, gitrepo.ErrNoCommit) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return &journey.Commit{URI: source.RemoteURL, ID: source.Commit, Dirty: source.Dirty}, nil
	}
}

// promoter wires promote: of assay.yaml. In a dry run it works on a copy of
// the repository that is thrown away.
func (h *Host) promoter(ctx context.Context, w *workload, g *gate.Gate, dryRun bool) (*promote.Promoter, error) {
	p := w.file.Promote
	repository := p.Repository
	if !strings.Contains(repository, "://") && !strings.Contains(repository, "@") {
		repository = w.path(repository)
		if _, err := os.Stat(repository); errors.Is(err, fs.ErrNotExist) && p.Template != "" {
			branch := p.Branch
			if branch == "" {
				branch = "main"
			}
			if err := gitrepo.Create(ctx, repository, w.path(p.Template), branch, "Begin with the manifests of "+w.file.Name, h.git(false)); err != nil {
				return nil, fmt.Errorf("making the GitOps repository: %w", err)
			}
			h.say("made a GitOps repository to try with: %s", repository)
		}
	}
	config := promote.Config{Gate: asker{g}, Git: h.git(p.SignCommit), Repository: repository, Branch: p.Branch, PullRequest: p.PullRequest,
		Manifests: p.Manifests, Name: p.Name, DryRun: dryRun}
	if p.Kustomize != nil {
		config.Kustomizations = []string{p.Kustomize.Path}
	}
	if p.Helm != nil {
		config.Helm = []promote.Helm{{Path: p.Helm.Path, Image: p.Helm.Image, Digest: p.Helm.Digest}}
	}
	scratch, err := h.scratch()
	if err != nil {
		return nil, err
	}
	config.Scratch = scratch
	return promote.New(config)
}

// scratch is the directory for clones.
func (h *Host) scratch() (string, error) {
	if dir := h.env("TMPDIR"); dir != "" {
		return h.path(dir), nil
	}
	return os.TempDir(), nil
}

// git runs git with the user's environment. Where git knows no name to commit
// as, the commits are Assay's own.
func (h *Host) git(sign bool) gitrepo.Config {
	return gitrepo.Config{Env: h.Env, Sign: sign, Name: h.env("GIT_AUTHOR_NAME"), Email: h.env("GIT_AUTHOR_EMAIL")}
}

// progress prints a step when it ends; on a terminal also when it begins.
func (h *Host) progress(s journey.StepResult) {
	took := (time.Duration(s.Milliseconds) * time.Millisecond).Round(time.Millisecond)
	switch s.Outcome {
	case "":
		if h.ErrTerminal {
			fmt.Fprintf(h.Err, "%-8s …\r", s.Step)
		}
	case journey.Skipped:
		fmt.Fprintf(h.Err, "%-8s skipped  %s\n", s.Step, clean(s.Detail))
	case journey.Done:
		fmt.Fprintf(h.Err, "%-8s ok       %s (%s)\n", s.Step, clean(s.Detail), took)
	default:
		fmt.Fprintf(h.Err, "%-8s %-8s %s\n", s.Step, strings.ToUpper(string(s.Outcome)), clean(firstLine(s.Detail)))
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// printJourney prints what a person needs after a run: why it was denied and
// what heals it, or where the image is now.
func (h *Host) printJourney(ctx context.Context, w *workload, result journey.Result, advisories advisory.Source, began time.Time) error {
	if len(result.Over) > 0 {
		fmt.Fprintln(h.Out)
		if err := h.findingTable(h.Out, result.Over); err != nil {
			return err
		}
		upgrades, err := advisory.Upgrades(ctx, result.Over, advisories)
		if err != nil {
			return err
		}
		heal(h.Out, finding.Report{Findings: result.Over, Upgrades: upgrades})
		return nil
	}
	if v := result.Verdict; v != nil && !v.Decision.Admits() {
		fmt.Fprintln(h.Out)
		return h.explain(*v)
	}
	done := len(result.Steps) > 0 && !slices.ContainsFunc(result.Steps, func(s journey.StepResult) bool {
		return s.Outcome == journey.Faulted || s.Outcome == journey.Denied
	})
	if !done {
		return nil
	}
	fmt.Fprintf(h.Out, "\nALLOWED  %s\n", result.Image)
	if len(result.Stored) > 0 {
		fmt.Fprintf(h.Out, "  evidence  %s, signed and stored beside the image\n", explain.Count(len(result.Stored), "piece", "pieces"))
	}
	if p := result.Promotion; p != nil && p.Changed {
		fmt.Fprintf(h.Out, "  promoted  commit %.12s on %s: %s\n", p.Commit, p.Branch, strings.Join(p.Files, ", "))
	} else if p != nil {
		fmt.Fprintln(h.Out, "  promoted  the digest was pinned already")
	}
	fmt.Fprintf(h.Out, "  took      %s\n", h.Now().Sub(began).Round(time.Millisecond))
	return nil
}
