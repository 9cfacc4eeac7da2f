// Package dockerfile builds images by running a tool that reads Dockerfiles:
// buildah, BuildKit's buildctl, Kaniko's executor or docker buildx.
//
// Entry point is [New]. The tool runs as the user who runs assay, with the
// environment that it is given, and writes an OCI layout; its own output goes
// to Config.Log. What the tool does inside its build is not seen here, so
// Result.Dependencies stays empty and no base image is known: the scan of the
// finished image says what is in it.
package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/builder"
)

// Tool is a program that builds Dockerfiles.
type Tool string

// The tools.
const (
	Buildah  Tool = "buildah"
	BuildKit Tool = "buildkit"
	Kaniko   Tool = "kaniko"
	Docker   Tool = "docker"
)

// programs are the tools' own names for their executables.
var programs = map[Tool]string{Buildah: "buildah", BuildKit: "buildctl", Kaniko: "executor", Docker: "docker"}

// Config says which tool and how.
type Config struct {
	Tool Tool
	// Program is the executable, a path or a name on Env's PATH; "" is the
	// tool's own name (buildah, buildctl, executor, docker).
	Program string
	// Arguments come before the subcommand, such as buildah's
	// "--storage-driver vfs" or buildctl's "--addr …".
	Arguments []string
	// Isolation is buildah's --isolation; "" leaves it to buildah.
	Isolation string
	// Env is the environment, as os.Environ gives it.
	Env []string
	// Log takes what the tool prints; nil discards it, save for the last
	// lines, which an error quotes.
	Log io.Writer
}

// Builder runs one tool.
type Builder struct {
	config  Config
	program string
}

// New finds the tool's executable; a tool that is not installed is an error
// that says what to install.
func New(config Config) (*Builder, error) {
	name, known := programs[config.Tool]
	if !known {
		return nil, fmt.Errorf("builder %q: want layer, buildah, buildkit, kaniko or docker", config.Tool)
	}
	if config.Program != "" {
		name = config.Program
	}
	program, err := look(name, config.Env)
	if err != nil {
		return nil, fmt.Errorf("builder %s: %w; install it (Debian: apt-get install buildah), or use builder: layer, which needs nothing", config.Tool, err)
	}
	return &Builder{config: config, program: program}, nil
}

// look finds an executable on the PATH of env, which may not be ours.
func look(name string, env []string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		return exec.LookPath(name)
	}
	for _, variable := range env {
		list, found := strings.CutPrefix(variable, "PATH=")
		if !found {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(found) {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not on the PATH", name)
}

// Build runs the tool and reads back the digest of what it wrote.
func (b *Builder) Build(ctx context.Context, request builder.Request) (builder.Result, error) {
	if request.Dockerfile.Path == "" {
		request.Dockerfile.Path = "Dockerfile"
	}
	if clean := path.Clean(request.Dockerfile.Path); !filepath.IsLocal(clean) {
		return builder.Result{}, fmt.Errorf("dockerfile %q leaves the source directory", request.Dockerfile.Path)
	}
	file := filepath.Join(request.Dir, filepath.FromSlash(request.Dockerfile.Path))
	if _, err := os.Stat(file); err != nil {
		return builder.Result{}, fmt.Errorf("builder %s: %w", b.config.Tool, err)
	}
	for _, platform := range request.Platforms {
		if strings.HasPrefix(platform, "-") {
			return builder.Result{}, fmt.Errorf("platform %q: want os/architecture, such as linux/amd64", platform)
		}
	}
	if len(request.Platforms) > 1 && (b.config.Tool == Buildah || b.config.Tool == Kaniko) {
		return builder.Result{}, fmt.Errorf("builder %s builds one platform at a time here, and %d were asked for; use layer, buildkit or docker", b.config.Tool, len(request.Platforms))
	}
	var err error
	switch b.config.Tool {
	case Buildah:
		err = b.buildah(ctx, request, file)
	case BuildKit:
		err = b.run(ctx, request.Dir, buildkit(request, file)...)
	case Kaniko:
		err = b.run(ctx, request.Dir, kaniko(request, file)...)
	case Docker:
		err = b.run(ctx, request.Dir, docker(request, file)...)
	}
	if err != nil {
		return builder.Result{}, err
	}
	return b.result(request.Out)
}

func (b *Builder) buildah(ctx context.Context, request builder.Request, file string) error {
	scratch, err := os.MkdirTemp("", "assay-buildah-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	id := filepath.Join(scratch, "image-id")
	arguments := []string{"build", "--format", "oci", "--iidfile", id, "--file", file,
		"--timestamp", fmt.Sprint(max(0, request.Created.Unix()))}
	if b.config.Isolation != "" {
		arguments = append(arguments, "--isolation", b.config.Isolation)
	}
	for _, platform := range request.Platforms {
		arguments = append(arguments, "--platform", platform)
	}
	arguments = append(arguments, pairs("--build-arg", request.Dockerfile.Arguments)...)
	arguments = append(arguments, pairs("--label", request.Labels)...)
	if err := b.run(ctx, request.Dir, append(arguments, request.Dir)...); err != nil {
		return err
	}
	image, err := os.ReadFile(id)
	if err != nil {
		return fmt.Errorf("builder buildah wrote no image id: %w", err)
	}
	name := strings.TrimSpace(string(image))
	if _, err := subject.Parse(name); err != nil {
		return fmt.Errorf("builder buildah wrote an image id that is none: %w", err)
	}
	defer b.forget(ctx, request.Dir, name)
	return b.run(ctx, request.Dir, "push", "--quiet", name, "oci:"+request.Out)
}

// forget removes the image from buildah's own storage, which nobody asked to
// keep; that it cannot be removed is no reason to fail a build.
func (b *Builder) forget(ctx context.Context, dir, image string) {
	if err := b.run(ctx, dir, "rmi", image); err != nil && b.config.Log != nil {
		fmt.Fprintf(b.config.Log, "warning: the image stays in buildah's storage: %v\n", err)
	}
}

func buildkit(request builder.Request, file string) []string {
	arguments := []string{"build", "--frontend", "dockerfile.v0",
		"--local", "context=" + request.Dir, "--local", "dockerfile=" + filepath.Dir(file),
		"--opt", "filename=" + filepath.Base(file),
		"--opt", "build-arg:SOURCE_DATE_EPOCH=" + fmt.Sprint(max(0, request.Created.Unix()))}
	if len(request.Platforms) > 0 {
		arguments = append(arguments, "--opt", "platform="+strings.Join(request.Platforms, ","))
	}
	for _, key := range keys(request.Dockerfile.Arguments) {
		arguments = append(arguments, "--opt", "build-arg:"+key+"="+request.Dockerfile.Arguments[key])
	}
	for _, key := range keys(request.Labels) {
		arguments = append(arguments, "--opt", "label:"+key+"="+request.Labels[key])
	}
	return append(arguments, "--output", "type=oci,tar=false,rewrite-timestamp=true,dest="+request.Out)
}

func kaniko(request builder.Request, file string) []string {
	arguments := []string{"--context", "dir://" + request.Dir, "--dockerfile", file,
		"--no-push", "--reproducible", "--oci-layout-path", request.Out}
	for _, platform := range request.Platforms {
		arguments = append(arguments, "--custom-platform", platform)
	}
	arguments = append(arguments, pairs("--build-arg", request.Dockerfile.Arguments)...)
	return append(arguments, pairs("--label", request.Labels)...)
}

func docker(request builder.Request, file string) []string {
	arguments := []string{"buildx", "build", "--file", file, "--provenance=false", "--sbom=false",
		"--build-arg", "SOURCE_DATE_EPOCH=" + fmt.Sprint(max(0, request.Created.Unix()))}
	if len(request.Platforms) > 0 {
		arguments = append(arguments, "--platform", strings.Join(request.Platforms, ","))
	}
	arguments = append(arguments, pairs("--build-arg", request.Dockerfile.Arguments)...)
	arguments = append(arguments, pairs("--label", request.Labels)...)
	return append(arguments, "--output", "type=oci,tar=false,rewrite-timestamp=true,dest="+request.Out, request.Dir)
}

func keys(m map[string]string) []string {
	list := make([]string, 0, len(m))
	for key := range m {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}

func pairs(flag string, m map[string]string) []string {
	var arguments []string
	for _, key := range keys(m) {
		arguments = append(arguments, flag, key+"="+m[key])
	}
	return arguments
}

// run runs the tool; an error quotes the end of what it printed.
func (b *Builder) run(ctx context.Context, dir string, arguments ...string) error {
	command := exec.CommandContext(ctx, b.program, append(slices.Clone(b.config.Arguments), arguments...)...)
	command.Dir, command.Env = dir, b.config.Env
	last := &tail{}
	var log io.Writer = last
	if b.config.Log != nil {
		log = io.MultiWriter(b.config.Log, last)
	}
	command.Stdout, command.Stderr = log, log
	err := command.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("builder %s was stopped: %w", b.config.Tool, context.Cause(ctx))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("builder %s: %s ended with status %d; it last said:\n%s", b.config.Tool, filepath.Base(b.program), exit.ExitCode(), last)
	}
	return fmt.Errorf("builder %s: %w", b.config.Tool, err)
}

// tail keeps the last 4 KiB that were written.
type tail struct{ kept []byte }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	const most = 4 << 10
	t.kept = append(t.kept, p...)
	if len(t.kept) > most {
		t.kept = slices.Clone(t.kept[len(t.kept)-most:])
	}
	return len(p), nil
}

// String is what was kept.
func (t *tail) String() string { return strings.TrimRight(string(t.kept), "\n") }

func (b *Builder) result(dir string) (builder.Result, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return builder.Result{}, fmt.Errorf("builder %s left no readable image layout: %w", b.config.Tool, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return builder.Result{}, fmt.Errorf("builder %s left no readable image layout: %w", b.config.Tool, err)
	}
	if len(manifest.Manifests) != 1 {
		return builder.Result{}, fmt.Errorf("builder %s left %d images in its layout, want 1", b.config.Tool, len(manifest.Manifests))
	}
	descriptor := manifest.Manifests[0]
	digest, err := subject.Parse(descriptor.Digest.String())
	if err != nil {
		return builder.Result{}, err
	}
	return builder.Result{Digest: digest, Index: descriptor.MediaType.IsIndex()}, nil
}
