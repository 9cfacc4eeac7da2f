// Package builder owns what every image builder is given and gives back.
//
// Entry points are [Builder], [Request] and [Result]. port/builder/layer builds
// without a daemon; port/builder/dockerfile runs buildah, BuildKit, Kaniko or
// docker. Every builder writes an OCI image layout into a directory and pushes
// nothing: what was built is scanned before it goes anywhere.
package builder

import (
	"context"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Builder makes an image from a directory.
type Builder interface {
	// Build writes an OCI image layout into request.Out, which is an empty
	// directory, and says what went into it. A failed build may leave files
	// in request.Out and nowhere else.
	Build(ctx context.Context, request Request) (Result, error)
}

// Base is an image to build on, already resolved.
type Base struct {
	// Reference is what the user named, Digest what it was resolved to
	// (the index where it is one, else the manifest).
	Reference string
	Digest    subject.Digest
	// Images holds the image for each platform asked for.
	Images map[string]v1.Image
}

// Request is what to build.
type Request struct {
	// Dir is the source directory, Out the empty directory for the layout.
	Dir, Out string
	// Platforms are "os/architecture"; more than one makes an image index.
	// Empty means linux/amd64.
	Platforms []string
	// Created is written into the image; equal requests with an equal time
	// give equal digests. Zero is 1970-01-01.
	Created time.Time
	// Labels are added to the image's configuration.
	Labels map[string]string
	// Layer is read by port/builder/layer, Dockerfile by the others.
	Layer      Layer
	Dockerfile Dockerfile
}

// Layer says what the embedded builder puts on the base image.
type Layer struct {
	// Base is nil for an image from scratch.
	Base *Base
	// Files are slash-separated paths below Dir, files or directories;
	// empty means everything but what Exclude and the builder's own list
	// (version control, caches, private keys, the wheels) leave out.
	Files   []string
	Exclude []string
	// Workdir is where the files go in the image and where it starts.
	Workdir    string
	Entrypoint []string
	Command    []string
	Env        map[string]string
	User       string
	// Requirements is the lockfile below Dir, "" where there is none.
	Requirements string
	// Dependencies says whether the lockfile's pins are unpacked from
	// wheels (Installed) or only declared (Declared).
	Dependencies component.Dependency
	// Wheels is the directory below Dir that holds them.
	Wheels string
	// Python is the interpreter's version, "3.11"; SitePackages where
	// packages go in the image.
	Python       string
	SitePackages string
}

// Dockerfile says what a Dockerfile builder runs.
type Dockerfile struct {
	// Path is below Dir; "" is "Dockerfile".
	Path string
	// Arguments are build arguments.
	Arguments map[string]string
}

// Material is something that went into the image, for provenance.
type Material struct {
	// URI names it: "pkg:oci/…" or an image reference, or a file's path.
	URI string
	// Digest is zero where the builder does not know it.
	Digest subject.Digest
}

// Result is what was built.
type Result struct {
	// Digest is the image manifest's or, for several platforms, the index's.
	Digest subject.Digest
	// Index says that the layout holds an image index.
	Index bool
	// Materials are the base image and the wheels, sorted by URI.
	Materials []Material
	// Dependencies is Installed only if the builder itself put every pin
	// in; "" where it cannot know.
	Dependencies component.Dependency
}
