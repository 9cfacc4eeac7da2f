// Package imagefs reads what is installed in an image from its layers.
//
// Entry point is [Read]. The layers are streamed once; nothing is unpacked to
// disk, and only what is wanted of the files stays in memory: the databases of
// dpkg, apk and rpm, the metadata of Python packages, and of the lists of files
// the lines that tell whose those are. Layers are applied as the OCI image
// specification's "Layer Filesystem Changeset" says, with whiteouts and opaque
// directories; every layer's bytes are held against the image's configuration.
// What is wanted and cannot be read is an unresolved record or an error, never
// nothing.
//
// It executes nothing and trusts no path in a layer: names are taken relative
// to the image's root, and none leads above it.
package imagefs

import (
	"cmp"
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// DeclaredLabel is the label of an image's configuration that names, comma
// separated, the requirements files in the image whose packages were only
// declared when it was built.
const DeclaredLabel = "sh.assay.dependencies.declared"

// Config says how to read. The zero value is safe.
type Config struct {
	// Environment is what markers in declared requirements mean; zero is
	// requirement.DefaultEnvironment.
	Environment requirement.Environment
	// BaseDiffIDs are the uncompressed layer digests of the image that this
	// one was built on. An image that does not begin with them is an error;
	// nil guesses from the image's history.
	BaseDiffIDs []subject.Digest
	// files bounds the entries, and bytes what is kept, over all layers; 0 is
	// limit.ImageFiles and limit.ImagePackages.
	files, bytes int64
}

// parallel is how many layers are read at once.
const parallel = 4

// Read lists the packages of an image, and describes the image itself.
func Read(ctx context.Context, image v1.Image, config Config) (component.Inventory, finding.Image, error) {
	if config.Environment == (requirement.Environment{}) {
		config.Environment = requirement.DefaultEnvironment()
	}
	total := &budget{files: cmp.Or(config.files, limit.ImageFiles), bytes: cmp.Or(config.bytes, limit.ImagePackages)}
	description, declared, err := describe(image, config.BaseDiffIDs)
	if err != nil {
		return component.Inventory{}, finding.Image{}, err
	}
	layers, err := image.Layers()
	if err != nil {
		return component.Inventory{}, finding.Image{}, fmt.Errorf("reading the image: %w", err)
	}
	if len(layers) > limit.Layers {
		return component.Inventory{}, finding.Image{}, &limit.Error{What: "the image", Bound: limit.Layers, Unit: "layers"}
	}
	if len(layers) != len(description.DiffIDs) {
		return component.Inventory{}, finding.Image{}, fmt.Errorf("reading the image: it has %d layers, and its configuration names %d", len(layers), len(description.DiffIDs))
	}
	want := wanted(declared)
	changes := make([][]change, len(layers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, layer := range layers {
		group.Go(func() (err error) {
			changes[i], err = readLayer(ctx, layer, description.DiffIDs[i], want, total)
			if err != nil {
				err = fmt.Errorf("reading layer %d (%s): %w", i+1, description.DiffIDs[i].Short(), err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return component.Inventory{}, finding.Image{}, err
	}
	e := newExtraction(apply(changes), description.DiffIDs)
	if err := e.packages(); err != nil {
		return component.Inventory{}, finding.Image{}, err
	}
	err = readDeclared(&e.inventory, e.files, declared, config.Environment)
	return e.inventory, description, err
}
