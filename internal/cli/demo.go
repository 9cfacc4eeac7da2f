package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/examples"
	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/builder"
	"github.com/seed-161fc314/assay/internal/port/builder/layer"
	"github.com/seed-161fc314/assay/internal/port/gitrepo"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/predicate"
)

func newDemo(host *Host) *cobra.Command {
	var keep bool
	command := &cobra.Command{
		Use: "demo", Short: "The story in one command, in a temporary directory",
		Long: `Demo plays what Assay is for, with real parts: a registry on disk, a git repository,
a key pair. A workload with a vulnerable pin is denied; the healed one is built,
signed, allowed and promoted; somebody overwrites the tag, and somebody edits
evidence, and the gate holds. It ends with exit code 0 only if every act ended as
it should. Nothing is written outside a temporary directory, which is removed
unless --keep.`,
		Example: "  assay demo\n  assay demo --keep",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), host, keep)
		},
	}
	command.Flags().BoolVar(&keep, "keep", false, "keep the directory, and say where it is")
	return command
}

// demo is one performance.
type demo struct {
	host *Host // the audience
	dir  string
	// inner is the host that the commands run on.
	inner    Host
	workload string
	client   *oci.Client
	image    string
	act      int
}

func runDemo(ctx context.Context, host *Host, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "assay-demo-")
	if err != nil {
		return err
	}
	if keep {
		defer func() {
			host.say("")
			host.say("kept: %s", dir)
		}()
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	d := &demo{host: host, dir: dir, workload: filepath.Join(dir, "workload"), image: EmbeddedHost + "/pandas-processor:v1.0.0"}
	d.inner = *host
	d.inner.Dir, d.inner.OutTerminal, d.inner.ErrTerminal = d.workload, false, false
	d.inner.Env = []string{"HOME=" + dir, "PATH=" + host.env("PATH"), "TMPDIR=" + dir, "ASSAY_REGISTRY=" + filepath.Join(dir, "registry"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Assay demo", "GIT_AUTHOR_EMAIL=demo@assay.localhost",
		"GIT_COMMITTER_NAME=Assay demo", "GIT_COMMITTER_EMAIL=demo@assay.localhost"}
	d.client = d.inner.registries()
	began := host.Now()
	if err := d.copyExample(); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{d.denied, d.healed, d.overwritten, d.forged} {
		if err := act(ctx); err != nil {
			return fmt.Errorf("act %d did not end as it should: %w", d.act, err)
		}
	}
	fmt.Fprintf(host.Out, "\nEvery act ended as it should, in %s. Next: assay init, in a workload of yours.\n", host.Now().Sub(began).Round(10*time.Millisecond))
	return nil
}

func (d *demo) copyExample() error {
	files, err := examples.Pandas()
	if err != nil {
		return err
	}
	return os.CopyFS(d.workload, files)
}

// tell begins an act.
func (d *demo) tell(format string, arguments ...any) {
	d.act++
	fmt.Fprintf(d.host.Out, "\n%s\n", d.host.colour("1", fmt.Sprintf("%d. ", d.act)+fmt.Sprintf(format, arguments...)))
}

// run runs a command as a user would, shows it, and wants an exit code and
// words in what it prints.
func (d *demo) run(ctx context.Context, want int, words []string, arguments ...string) error {
	var printed bytes.Buffer
	inner := d.inner
	inner.Out, inner.Err, inner.In = &printed, &printed, strings.NewReader("")
	fmt.Fprintf(d.host.Out, "\n   $ assay %s\n", strings.Join(arguments, " "))
	code := Run(ctx, arguments, inner)
	text := strings.ReplaceAll(printed.String(), d.workload+string(filepath.Separator), "")
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		fmt.Fprintf(d.host.Out, "     %s", line)
	}
	fmt.Fprintf(d.host.Out, "   exit code %d\n", code)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if code != want {
		return fmt.Errorf("assay %s ended with exit code %d, want %d", strings.Join(arguments, " "), code, want)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			return fmt.Errorf("assay %s does not say %q", strings.Join(arguments, " "), word)
		}
	}
	return nil
}

// denied: a vulnerable pin stops the journey before anything is built.
func (d *demo) denied(ctx context.Context) error {
	d.tell("A data scientist pins pyarrow 13.0.0, which runs code from a data file.")
	return d.run(ctx, exitDenied, []string{"CVE-2023-47248", "requirements.txt:4", "14.0.1"}, "run")
}

// healed: the proposed edit makes the journey succeed.
func (d *demo) healed(ctx context.Context) error {
	d.tell("They make the edit that was proposed, and run it again.")
	path := filepath.Join(d.workload, "requirements.txt")
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	edited := bytes.Replace(content, []byte("pyarrow==13.0.0"), []byte("pyarrow==14.0.1"), 1)
	if bytes.Equal(content, edited) {
		return errors.New("the example does not pin pyarrow 13.0.0")
	}
	if err := os.WriteFile(path, edited, 0o644); err != nil {
		return err
	}
	if err := d.run(ctx, exitOK, []string{"ALLOWED", "promoted"}, "run"); err != nil {
		return err
	}
	line, err := d.deployed(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.host.Out, "\n   the GitOps repository says now:\n     %s\n", line)
	if !strings.Contains(line, "@sha256:") {
		return errors.New("the GitOps repository does not hold the digest")
	}
	return nil
}

// deployed is the image line of the deployment in the GitOps repository, which
// is checked out into the demo's directory.
func (d *demo) deployed(ctx context.Context) (string, error) {
	clone := filepath.Join(d.dir, fmt.Sprintf("gitops-%d", d.act))
	if _, err := gitrepo.Clone(ctx, filepath.Join(d.workload, stateDir, "gitops.git"), clone, "main", gitrepo.Config{Env: d.inner.Env}); err != nil {
		return "", err
	}
	content, err := os.ReadFile(filepath.Join(clone, "deployment.yaml"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, "image:") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", errors.New("deployment.yaml names no image")
}

// overwritten: the tag is pointed at another image, without evidence.
func (d *demo) overwritten(ctx context.Context) error {
	d.tell("Somebody with push rights points the tag at an image that nobody tested.")
	evil := filepath.Join(d.dir, "evil")
	if err := os.CopyFS(evil, os.DirFS(d.workload)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(evil, "process.py"), []byte("import os\nos.system('id')\n"), 0o644); err != nil {
		return err
	}
	out := filepath.Join(d.dir, "evil-image")
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	built, err := layer.New().Build(ctx, builder.Request{Dir: evil, Out: out, Layer: builder.Layer{Files: []string{"process.py"},
		Requirements: "requirements.txt", Dependencies: component.Declared}})
	if err != nil {
		return err
	}
	repository, tag, _ := strings.Cut(d.image, ":")
	if _, err := d.client.PushLayout(ctx, repository, out); err != nil {
		return err
	}
	if err := d.client.Tag(ctx, repository, built.Digest, tag); err != nil {
		return err
	}
	fmt.Fprintf(d.host.Out, "\n   %s is %s now\n", d.image, built.Digest.Short())
	if err := d.run(ctx, exitDenied, []string{"DENIED", "a signature of the image by ci"}, "check", d.image, "--policy", "policy.yaml"); err != nil {
		return err
	}
	fmt.Fprintln(d.host.Out, "\n   What is deployed is pinned by digest, and still what was judged:")
	clone := filepath.Join("..", "gitops-2", "deployment.yaml")
	return d.run(ctx, exitOK, []string{"ALLOWED"}, "check", "-f", clone, "--policy", "policy.yaml")
}

// forged: the good image's evidence is rewritten to speak of the bad one.
func (d *demo) forged(ctx context.Context) error {
	d.tell("They copy the good image's evidence, and edit it to speak of theirs.")
	repository, _, _ := strings.Cut(d.image, ":")
	line, err := d.deployed(ctx)
	if err != nil {
		return err
	}
	_, reference, _ := strings.Cut(line, "image: ")
	reference, _, _ = strings.Cut(reference, " ")
	good, err := d.client.Resolve(ctx, reference)
	if err != nil {
		return err
	}
	bad, err := d.client.Resolve(ctx, d.image)
	if err != nil {
		return err
	}
	pieces, err := d.client.Evidence(ctx, repository, good.Digest)
	if err != nil {
		return err
	}
	forged := 0
	for _, piece := range pieces {
		if piece.Form != trust.Bundle {
			continue
		}
		content, err := rewrite(piece.Content, good.Digest.Hex(), bad.Digest.Hex())
		if err != nil {
			return err
		}
		if _, err := d.client.Attach(ctx, oci.Attachment{Repository: repository, Image: bad.Digest, MediaType: bad.MediaType, Size: bad.Size,
			Evidence: trust.Evidence{Form: trust.Bundle, Content: content}, PredicateType: predicate.TypeVulnsV02, Created: d.inner.Now()}); err != nil {
			return err
		}
		forged++
	}
	fmt.Fprintf(d.host.Out, "\n   %d forged pieces of evidence are stored beside %s\n", forged, d.image)
	return d.run(ctx, exitDenied, []string{"DENIED", "does not count"}, "check", d.image, "--policy", "policy.yaml")
}

// rewrite replaces a digest inside the signed payload of a bundle.
func rewrite(bundle []byte, from, to string) ([]byte, error) {
	var parsed map[string]json.RawMessage
	if err := json.Unmarshal(bundle, &parsed); err != nil {
		return nil, err
	}
	var envelope map[string]json.RawMessage
	if err := json.Unmarshal(parsed["dsseEnvelope"], &envelope); err != nil {
		return nil, err
	}
	var encoded string
	if err := json.Unmarshal(envelope["payload"], &encoded); err != nil {
		return nil, err
	}
	payload, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, strings.NewReader(encoded)))
	if err != nil {
		return nil, err
	}
	payload = bytes.ReplaceAll(payload, []byte(from), []byte(to))
	if envelope["payload"], err = json.Marshal(base64.StdEncoding.EncodeToString(payload)); err != nil {
		return nil, err
	}
	if parsed["dsseEnvelope"], err = json.Marshal(envelope); err != nil {
		return nil, err
	}
	return json.Marshal(parsed)
}
