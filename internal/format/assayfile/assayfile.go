// Package assayfile is the documented schema of assay.yaml, the file that
// drives `assay run`.
//
// Entry point is [Decode]. Unknown fields are errors with line and
// suggestion; what contradicts itself is an error that says which field to
// change. Paths are kept as written, relative to the file; nothing is opened
// here and no default path is known here.
package assayfile

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// APIVersion and Kind head every assay.yaml.
const (
	APIVersion = "assay.sh/v1alpha1"
	Kind       = "Journey"
)

// SampleAdvisories is the word in advisories: that asks for the built-in
// sample.
const SampleAdvisories = "sample"

// DevelopmentKey is the word in sign.key: that asks for a key pair that is
// made at the first run and protects nothing.
const DevelopmentKey = "development"

// File is assay.yaml.
type File struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Name is the workload's name, for people and for provenance.
	Name string `json:"name"`
	// Image is the repository to push to, without tag or digest. The host
	// assay.localhost is the embedded registry.
	Image string `json:"image"`
	// Tag is set once the policies allow the image; "" sets none.
	Tag string `json:"tag,omitempty"`
	// Advisories is "sample", a directory made by `assay db import`, or ""
	// for the default directory.
	Advisories string   `json:"advisories,omitempty"`
	Scan       Scan     `json:"scan,omitempty"`
	Build      Build    `json:"build"`
	Tests      Tests    `json:"tests,omitempty"`
	Sign       Sign     `json:"sign"`
	Policies   []string `json:"policies"`
	// Promote is nil where nothing is promoted.
	Promote *Promote `json:"promote,omitempty"`
	// BuilderID names, in provenance, the trust base that builds: who can
	// change what a build does.
	BuilderID string `json:"builderID,omitempty"`
}

// Scan says what makes a scan of the source fail, and what counts in every
// scan.
type Scan struct {
	// FailOn is what finding.ParseThreshold reads; empty means high and above.
	FailOn []string `json:"failOn,omitempty"`
	// IgnoreUnfixed leaves out what no version heals, but no malicious package.
	IgnoreUnfixed bool `json:"ignoreUnfixed,omitempty"`
	// VEX are OpenVEX and CSAF documents, Ignore are ignore files, as paths;
	// none are read that are not named here.
	VEX    []string `json:"vex,omitempty"`
	Ignore []string `json:"ignore,omitempty"`
	// RequirePinned stops the journey at the source where anything has no
	// single version.
	RequirePinned bool `json:"requirePinned,omitempty"`
}

// Build says how the image is made.
type Build struct {
	// Builder is layer, buildah, buildkit, kaniko or docker.
	Builder string `json:"builder"`
	// Platforms are os/architecture; more than one makes an index.
	Platforms []string `json:"platforms,omitempty"`
	// Base is scratch, an image reference, or oci:DIR. Layer only.
	Base string `json:"base,omitempty"`
	// Dependencies is installed or declared. Layer only.
	Dependencies string `json:"dependencies,omitempty"`
	// Requirements is the lockfile, Wheels the directory with its wheels.
	Requirements string `json:"requirements,omitempty"`
	Wheels       string `json:"wheels,omitempty"`
	// Python is the interpreter's version ("3.11"), SitePackages where
	// packages go in the image.
	Python       string `json:"python,omitempty"`
	SitePackages string `json:"sitePackages,omitempty"`
	// Files go into the image, all but Exclude; empty means everything.
	Files   []string `json:"files,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// Workdir, Entrypoint, Command, Env and User configure the image.
	Workdir    string            `json:"workdir,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Command    []string          `json:"command,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	User       string            `json:"user,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	// Dockerfile, Arguments (build arguments), Program, ProgramArguments
	// and Isolation are for the builders that read Dockerfiles.
	Dockerfile       string            `json:"dockerfile,omitempty"`
	Arguments        map[string]string `json:"arguments,omitempty"`
	Program          string            `json:"program,omitempty"`
	ProgramArguments []string          `json:"programArguments,omitempty"`
	Isolation        string            `json:"isolation,omitempty"`
}

// Tests are reports that other tools wrote before the run.
type Tests struct {
	// JUnit, Coverage (Cobertura XML or coverage.py JSON) and SARIF are
	// paths; a report that is named and missing is an error.
	JUnit    []string `json:"junit,omitempty"`
	Coverage []string `json:"coverage,omitempty"`
	SARIF    []string `json:"sarif,omitempty"`
}

// Sign says with which key.
type Sign struct {
	// Key is a private key file, whose password comes from the environment, a
	// reference to a key elsewhere (SCHEME://…; whoever opens it knows which
	// there are), or "development": a key pair that is made at the first run.
	Key string `json:"key"`
	// Layout is both (default), bundle or legacy.
	Layout string `json:"layout,omitempty"`
}

// Promote says where the digest is written. Exactly one of Kustomize, Helm and
// Manifests is set.
type Promote struct {
	// Repository is a path or a URL that git understands.
	Repository string `json:"repository"`
	// Template is a directory: where Repository is a path at which nothing
	// is, a bare repository is made there from it. For trying things out.
	Template string `json:"template,omitempty"`
	// Branch is the branch to read, and to push to unless PullRequest
	// names another, new one.
	Branch      string     `json:"branch,omitempty"`
	PullRequest string     `json:"pullRequest,omitempty"`
	Kustomize   *Kustomize `json:"kustomize,omitempty"`
	Helm        *Helm      `json:"helm,omitempty"`
	Manifests   []string   `json:"manifests,omitempty"`
	// Name is what manifests call the image where that is not Image.
	Name string `json:"name,omitempty"`
	// SignCommit signs the commit as the user's git is configured to.
	SignCommit bool `json:"signCommit,omitempty"`
}

// Kustomize is a kustomization file whose images: entry is set.
type Kustomize struct {
	Path string `json:"path"`
}

// Helm is a values file and the dotted path of the field to set.
type Helm struct {
	Path string `json:"path"`
	// Image is the path of a field that holds the whole reference; or
	// Digest is the path of one that holds the digest alone.
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
}

// Decode reads one assay.yaml. The name is used in errors.
func Decode(name string, content []byte) (File, error) {
	var file File
	if err := strictyaml.Decode(name, content, &file); err != nil {
		return File{}, err
	}
	if err := file.check(); err != nil {
		return File{}, fmt.Errorf("%s: %w", name, err)
	}
	return file, nil
}

var word = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

func (f *File) check() error {
	var wrong []error
	add := func(ok bool, format string, arguments ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, arguments...))
		}
	}
	add(f.APIVersion == APIVersion, "apiVersion: want %s, found %q", APIVersion, f.APIVersion)
	add(f.Kind == Kind, "kind: want %s, found %q", Kind, f.Kind)
	add(word.MatchString(f.Name), "name: want lower-case letters, digits, dots and dashes, found %q", f.Name)
	add(f.Image != "", "image: is missing: the repository to push to, such as assay.localhost/%s", f.Name)
	last := f.Image[strings.LastIndex(f.Image, "/")+1:]
	add(!strings.ContainsAny(last, ":@"), "image: %q has a tag or a digest; the tag goes into tag:", f.Image)
	add(f.Sign.Key != "", "sign.key: is missing: `assay key generate` makes one")
	add(slices.Contains([]string{"", "both", "bundle", "legacy"}, f.Sign.Layout), "sign.layout: want both, bundle or legacy, found %q", f.Sign.Layout)
	add(len(f.Policies) > 0, "policies: is empty: without a policy every image is denied")
	if len(f.Scan.FailOn) > 0 {
		_, err := finding.ParseThreshold(f.Scan.FailOn)
		add(err == nil, "scan.failOn: %v", err)
	}
	wrong = append(wrong, f.Build.check(), f.Promote.check())
	return errors.Join(wrong...)
}

// builders that read a Dockerfile.
var builders = []string{"buildah", "buildkit", "kaniko", "docker"}

func (b *Build) check() error {
	var wrong []error
	add := func(ok bool, format string, arguments ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, arguments...))
		}
	}
	isLayer := b.Builder == "layer"
	add(isLayer || slices.Contains(builders, b.Builder), "build.builder: want layer, %s, found %q", strings.Join(builders, ", "), b.Builder)
	if isLayer {
		add(b.Base != "", "build.base: is missing: scratch, an image reference, or oci:DIR")
		add(b.Dockerfile == "" && b.Arguments == nil && b.Program == "" && b.ProgramArguments == nil && b.Isolation == "",
			"build: dockerfile, arguments, program, programArguments and isolation are for the builders that read Dockerfiles, and builder is layer")
		installed, declared := string(component.Installed), string(component.Declared)
		if b.Requirements != "" {
			add(b.Dependencies == installed || b.Dependencies == declared, "build.dependencies: want installed (unpacked from wheels) or declared, found %q", b.Dependencies)
			add(b.Dependencies != installed || b.Wheels != "", "build.wheels: is missing, and dependencies is installed")
		} else {
			add(b.Dependencies == "" && b.Wheels == "", "build.requirements: is missing, and dependencies or wheels is set")
		}
	} else {
		add(b.Base == "" && b.Dependencies == "" && b.Wheels == "" && b.Files == nil && b.Exclude == nil && b.Workdir == "" && b.Entrypoint == nil && b.Command == nil && b.Env == nil && b.User == "" && b.Python == "" && b.SitePackages == "" && b.Requirements == "",
			"build: base, dependencies, requirements, wheels, python, sitePackages, files, exclude, workdir, entrypoint, command, env and user are for builder layer; with %s the Dockerfile says them", b.Builder)
	}
	return errors.Join(wrong...)
}

func (p *Promote) check() error {
	if p == nil {
		return nil
	}
	var wrong []error
	ways := 0
	for _, set := range []bool{p.Kustomize != nil, p.Helm != nil, len(p.Manifests) > 0} {
		if set {
			ways++
		}
	}
	if p.Repository == "" {
		wrong = append(wrong, errors.New("promote.repository: is missing: the GitOps repository, a path or a URL"))
	}
	if ways != 1 {
		wrong = append(wrong, fmt.Errorf("promote: want exactly one of kustomize, helm and manifests, found %d", ways))
	}
	if p.Helm != nil && (p.Helm.Image == "") == (p.Helm.Digest == "") {
		wrong = append(wrong, errors.New("promote.helm: want exactly one of image and digest"))
	}
	paths := slices.Clone(p.Manifests)
	if p.Kustomize != nil {
		paths = append(paths, p.Kustomize.Path)
	}
	if p.Helm != nil {
		paths = append(paths, p.Helm.Path)
	}
	for _, file := range paths {
		if clean := path.Clean(file); file == "" || path.IsAbs(file) || clean == ".." || strings.HasPrefix(clean, "../") {
			wrong = append(wrong, fmt.Errorf("promote: %q is no path inside the GitOps repository", file))
		}
	}
	return errors.Join(wrong...)
}
