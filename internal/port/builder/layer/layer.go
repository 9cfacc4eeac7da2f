// Package layer builds images without a daemon: the app's files and its
// dependencies become reproducible layers on a base image or on nothing.
//
// Entry point is [New]. Dependencies are unpacked from wheels that are already
// there, each checked against the --hash of its pin and each file against the
// wheel's RECORD; nothing is downloaded and nothing is run, so there are no
// build scripts, no console_scripts launchers and no compiled byte code. The
// same request gives the same digest.
package layer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/port/builder"
)

// DeclaredLabel is the label of an image's configuration that names, comma
// separated, the requirements files whose packages were only declared. The
// image scanner reads it; port/imagefs has the same constant.
const DeclaredLabel = "sh.assay.dependencies.declared"

// DependenciesLabel says "installed" or "declared".
const DependenciesLabel = "sh.assay.dependencies"

// DefaultSitePackages is where the official Python images look for packages,
// by minor version.
const DefaultSitePackages = "/usr/local/lib/python%s/site-packages"

// Builder is the embedded builder.
type Builder struct{}

// New returns the embedded builder; it has no settings of its own.
func New() *Builder { return &Builder{} }

// excluded is never put into an image unless it is named in Files.
var excluded = []string{".git", ".hg", ".svn", ".assay", "__pycache__", ".venv", "venv", ".pytest_cache", ".mypy_cache"}

// Build writes the layout. Errors name the file or the pin that is wrong.
func (b *Builder) Build(ctx context.Context, request builder.Request) (builder.Result, error) {
	root, err := os.OpenRoot(request.Dir)
	if err != nil {
		return builder.Result{}, fmt.Errorf("opening source: %w", err)
	}
	defer root.Close()
	plan, err := newPlan(ctx, root, request)
	if err != nil {
		return builder.Result{}, err
	}
	defer plan.close()
	platforms := request.Platforms
	if len(platforms) == 0 {
		platforms = []string{"linux/amd64"}
	}
	var images []mutate.IndexAddendum
	for _, name := range platforms {
		platform, err := v1.ParsePlatform(name)
		if err != nil || platform.Architecture == "" {
			return builder.Result{}, fmt.Errorf("platform %q: want os/architecture, such as linux/amd64", name)
		}
		image, err := plan.image(ctx, name, *platform)
		if err != nil {
			return builder.Result{}, fmt.Errorf("building %s: %w", name, err)
		}
		images = append(images, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return plan.write(images)
}

// plan is a request whose inputs were all found.
type plan struct {
	request builder.Request
	root    *os.Root
	files   []entry
	pins    []component.Component
	wheels  []wheelFile
	// materials are the wheels used, by path, over all platforms.
	materials map[string]subject.Digest
	// open are the wheels' handles, closed when the image is written.
	open []io.Closer
}

func (p *plan) close() {
	for _, file := range p.open {
		file.Close()
	}
}

func newPlan(ctx context.Context, root *os.Root, request builder.Request) (*plan, error) {
	l := &request.Layer
	if l.Workdir == "" {
		l.Workdir = "/app"
	}
	if !path.IsAbs(l.Workdir) || path.Clean(l.Workdir) != l.Workdir {
		return nil, fmt.Errorf("workdir %q: want a clean absolute path, such as /app", l.Workdir)
	}
	if l.Python == "" {
		l.Python = "3.11"
	}
	if l.SitePackages == "" {
		l.SitePackages = fmt.Sprintf(DefaultSitePackages, l.Python)
	}
	p := &plan{request: request, root: root, materials: map[string]subject.Digest{}}
	if l.Requirements != "" {
		if err := p.readPins(); err != nil {
			return nil, err
		}
	}
	files, err := p.collect(ctx)
	if err != nil {
		return nil, err
	}
	p.files = files
	return p, nil
}

func (p *plan) readPins() error {
	l := p.request.Layer
	result, err := requirement.Read(p.root.FS(), l.Requirements, requirement.DefaultEnvironment())
	if err != nil {
		return err
	}
	switch l.Dependencies {
	case component.Declared:
		return nil
	case component.Installed:
	default:
		return fmt.Errorf("dependencies %q: want installed or declared", l.Dependencies)
	}
	for _, unresolved := range result.Unresolved {
		return fmt.Errorf("%s:%d: %q cannot be installed: %s; pin it, or say dependencies: declared",
			unresolved.Location.Path, unresolved.Location.Line, unresolved.Text, unresolved.Reason)
	}
	p.pins = result.Components
	if l.Wheels == "" {
		return fmt.Errorf("dependencies: installed needs wheels: the directory that holds a wheel for every pin of %s; or say dependencies: declared", l.Requirements)
	}
	p.wheels, err = listWheels(p.root.FS(), l.Wheels)
	return err
}

// collect lists the app's files in the order in which they go into the layer.
func (p *plan) collect(ctx context.Context) ([]entry, error) {
	l := p.request.Layer
	starts := l.Files
	named := len(starts) > 0
	if !named {
		starts = []string{"."}
	}
	if l.Requirements != "" && named && !slices.Contains(starts, l.Requirements) {
		starts = append(slices.Clone(starts), l.Requirements)
	}
	found := map[string]entry{}
	for _, start := range starts {
		clean := path.Clean(start)
		if !fs.ValidPath(clean) {
			return nil, fmt.Errorf("files: %q leaves the source directory", start)
		}
		err := fs.WalkDir(p.root.FS(), clean, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("files: %s is not in the source directory", name)
				}
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if name != clean && p.leftOut(name) || !named && name != "." && p.leftOut(name) {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if d.IsDir() {
				return nil
			}
			if !d.Type().IsRegular() {
				return fmt.Errorf("files: %s is a %s; only regular files go into an image (leave it out with exclude:)", name, kindOf(d.Type()))
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			target := strings.TrimPrefix(path.Join(l.Workdir, name), "/")
			found[target] = entry{name: target, size: info.Size(), executable: info.Mode()&0o111 != 0,
				open: func() (readCloser, error) { return p.root.Open(name) }}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return sorted(found), nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

func (p *plan) leftOut(name string) bool {
	l := p.request.Layer
	if slices.Contains(excluded, path.Base(name)) || strings.HasSuffix(name, ".key") || l.Wheels != "" && name == path.Clean(l.Wheels) {
		return true
	}
	return slices.ContainsFunc(l.Exclude, func(pattern string) bool {
		whole, _ := path.Match(pattern, name)
		base, _ := path.Match(pattern, path.Base(name))
		return whole || base
	})
}

func (p *plan) image(ctx context.Context, name string, platform v1.Platform) (v1.Image, error) {
	l := p.request.Layer
	image := v1.Image(mutate.MediaType(empty.Image, types.OCIManifestSchema1))
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	if l.Base != nil {
		base, ok := l.Base.Images[name]
		if !ok {
			return nil, fmt.Errorf("base image %s has no %s", l.Base.Reference, name)
		}
		image = base
	}
	layers, history, err := p.layers(ctx, platform)
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: p.created()}
	for i, layer := range layers {
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
			History: v1.History{CreatedBy: history[i], Created: created}})
		if err != nil {
			return nil, err
		}
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the base image's configuration: %w", err)
	}
	return mutate.ConfigFile(image, p.configure(file.DeepCopy(), platform, created))
}

func (p *plan) configure(file *v1.ConfigFile, platform v1.Platform, created v1.Time) *v1.ConfigFile {
	l := p.request.Layer
	file.OS, file.Architecture, file.Variant = platform.OS, platform.Architecture, platform.Variant
	file.Created = created
	file.Config.WorkingDir = l.Workdir
	if l.Entrypoint != nil {
		file.Config.Entrypoint, file.Config.Cmd = l.Entrypoint, nil
	}
	if l.Command != nil {
		file.Config.Cmd = l.Command
	}
	if l.User != "" {
		file.Config.User = l.User
	}
	for _, key := range sortedKeys(l.Env) {
		file.Config.Env = slices.DeleteFunc(file.Config.Env, func(e string) bool { return strings.HasPrefix(e, key+"=") })
		file.Config.Env = append(file.Config.Env, key+"="+l.Env[key])
	}
	labels := map[string]string{}
	for key, value := range file.Config.Labels {
		labels[key] = value
	}
	for key, value := range p.request.Labels {
		labels[key] = value
	}
	if l.Requirements != "" {
		labels[DependenciesLabel] = string(l.Dependencies)
		if l.Dependencies == component.Declared {
			labels[DeclaredLabel] = path.Join(l.Workdir, l.Requirements)
		}
	}
	file.Config.Labels = labels
	return file
}

func (p *plan) created() time.Time {
	if p.request.Created.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return p.request.Created.UTC().Truncate(time.Second)
}

// layers makes the dependency layer (where there is one) and the app layer, in
// this order: dependencies change less often.
func (p *plan) layers(ctx context.Context, platform v1.Platform) ([]v1.Layer, []string, error) {
	var layers []v1.Layer
	var history []string
	add := func(entries []entry, what string) error {
		layer, err := tarball.LayerFromOpener(opener(ctx, entries, p.created()), tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return fmt.Errorf("writing the layer of %s: %w", what, err)
		}
		layers, history = append(layers, layer), append(history, "assay layer: "+what)
		return nil
	}
	if len(p.pins) > 0 {
		entries, err := p.install(ctx, platform)
		if err != nil {
			return nil, nil, err
		}
		if err := add(entries, "dependencies of "+p.request.Layer.Requirements); err != nil {
			return nil, nil, err
		}
	}
	if err := add(p.files, "application files"); err != nil {
		return nil, nil, err
	}
	return layers, history, nil
}

func (p *plan) write(images []mutate.IndexAddendum) (builder.Result, error) {
	out, err := layout.Write(p.request.Out, empty.Index)
	if err != nil {
		return builder.Result{}, fmt.Errorf("writing the image layout: %w", err)
	}
	result := builder.Result{Dependencies: p.request.Layer.Dependencies}
	if p.request.Layer.Requirements == "" {
		result.Dependencies = ""
	}
	var hash v1.Hash
	if len(images) == 1 {
		image := images[0].Add.(v1.Image)
		if err := out.AppendImage(image); err != nil {
			return builder.Result{}, fmt.Errorf("writing the image layout: %w", err)
		}
		hash, err = image.Digest()
	} else {
		index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), images...)
		if err := out.AppendIndex(index); err != nil {
			return builder.Result{}, fmt.Errorf("writing the image layout: %w", err)
		}
		result.Index = true
		hash, err = index.Digest()
	}
	if err != nil {
		return builder.Result{}, err
	}
	if result.Digest, err = subject.Parse(hash.String()); err != nil {
		return builder.Result{}, err
	}
	if base := p.request.Layer.Base; base != nil {
		result.Materials = append(result.Materials, builder.Material{URI: base.Reference, Digest: base.Digest})
	}
	for _, name := range sortedKeys(p.materials) {
		result.Materials = append(result.Materials, builder.Material{URI: name, Digest: p.materials[name]})
	}
	return result, nil
}
