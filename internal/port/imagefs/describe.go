package imagefs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

func describe(image v1.Image, base []subject.Digest) (finding.Image, []string, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return finding.Image{}, nil, fmt.Errorf("reading the image's manifest: %w", err)
	}
	if manifest.Config.Size > limit.ImageConfig {
		return finding.Image{}, nil, &limit.Error{What: "the image's configuration", Bound: limit.ImageConfig, Unit: "bytes"}
	}
	file, err := image.ConfigFile()
	if err != nil {
		return finding.Image{}, nil, fmt.Errorf("reading the image's configuration: %w", err)
	}
	hash, err := image.ConfigName()
	if err != nil {
		return finding.Image{}, nil, fmt.Errorf("reading the image's configuration: %w", err)
	}
	description := finding.Image{Labels: file.Config.Labels}
	if platform := file.Platform(); platform != nil {
		description.Platform = platform.String()
	}
	if !file.Created.IsZero() {
		description.Created = file.Created.UTC()
	}
	if description.ConfigDigest, err = subject.Parse(hash.String()); err != nil {
		return finding.Image{}, nil, err
	}
	if description.DiffIDs, err = DiffIDs(file); err != nil {
		return finding.Image{}, nil, err
	}
	if err := describeBase(&description, base, file.History); err != nil {
		return finding.Image{}, nil, err
	}
	var declared []string
	for _, name := range strings.Split(file.Config.Labels[DeclaredLabel], ",") {
		if name = strings.TrimPrefix(path.Clean("/"+strings.TrimSpace(name)), "/"); name != "" {
			declared = append(declared, name)
		}
	}
	return description, declared, nil
}

// DiffIDs are the uncompressed layer digests of an image's configuration, the
// lowest layer first: what Config.BaseDiffIDs of an image built on it are.
func DiffIDs(file *v1.ConfigFile) ([]subject.Digest, error) {
	var list []subject.Digest
	for _, diff := range file.RootFS.DiffIDs {
		digest, err := subject.Parse(diff.String())
		if err != nil {
			return nil, fmt.Errorf("reading the image's configuration: %w", err)
		}
		list = append(list, digest)
	}
	return list, nil
}

// describeBase says how many layers come from the base image, and how that is
// known.
func describeBase(description *finding.Image, base []subject.Digest, history []v1.History) error {
	if len(base) > 0 {
		if len(base) > len(description.DiffIDs) || !slices.Equal(base, description.DiffIDs[:len(base)]) {
			return fmt.Errorf("the image was not built on the base image that was named: its layers do not begin with the %d of that one", len(base))
		}
		description.BaseLayers, description.Base = len(base), "the base image that was named has these layers"
		return nil
	}
	if n := guessBase(history, len(description.DiffIDs)); n > 0 {
		description.BaseLayers = n
		description.Base = "a guess: the image's history sets a command to run, as a finished image does, and then goes on"
	}
	return nil
}

// guessBase counts the layers before the last entry that sets a command and has
// layers behind it; 0 where there is none, or where the history does not fit
// the layers.
func guessBase(history []v1.History, layers int) int {
	before, base, counted := 0, 0, 0
	for _, h := range history {
		switch {
		case !h.EmptyLayer:
			counted++
			base = before
		case setsCommand(h.CreatedBy):
			before = counted
		}
	}
	if counted != layers {
		return 0
	}
	return base
}

// setsCommand knows CMD and ENTRYPOINT as BuildKit writes them, and as the
// builder before it did ("/bin/sh -c #(nop)  CMD …").
func setsCommand(created string) bool {
	if _, after, found := strings.Cut(created, "#(nop)"); found {
		created = after
	}
	created = strings.TrimSpace(created)
	return strings.HasPrefix(created, "CMD ") || strings.HasPrefix(created, "ENTRYPOINT ")
}
