package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/job/relocate"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

const placeHelp = "an image reference, or oci:DIR (an OCI image layout), where oci:DIR@NAME\n" +
	"picks one image by its name or digest"

// place is where an image with its evidence is.
type place struct {
	*oci.Repository
	digest subject.Digest
	// tag is "" where it has none, pinned how people name it.
	tag, pinned string
}

// localName refuses an argument that can only be meant as a file or a directory
// here, where an image in a registry is asked for: nobody is asked for an image
// of that name. instead says what to write.
func (h *Host) localName(argument, instead string) error {
	info, err := os.Stat(h.path(argument))
	path := strings.HasPrefix(argument, ".") || strings.HasPrefix(argument, "/")
	switch {
	case err == nil && info.IsDir():
		return usage("%s is a directory here, and no image in a registry", argument).withHint("%s", strings.ReplaceAll(instead, "FILE", argument))
	case err == nil:
		return usage("%s is a file here, and no image in a registry", argument).withHint("%s", strings.ReplaceAll(instead, "FILE", argument))
	case path:
		return usage("%s is a path, and there is nothing; an image in a registry has no such name", argument)
	}
	return nil
}

// placeOf finds the image that an argument names now.
func (h *Host) placeOf(ctx context.Context, client *oci.Client, argument string) (place, error) {
	if rest, found := strings.CutPrefix(argument, "oci:"); found {
		if err := h.present(argument); err != nil {
			return place{}, err
		}
		dir, which, _ := strings.Cut(rest, "@")
		layout, err := oci.OpenEvidenceLayout(h.path(dir))
		if err != nil {
			return place{}, err
		}
		digest, tag, err := layout.Which(which)
		if err != nil {
			return place{}, err
		}
		repository, err := layout.Repository()
		return place{repository, digest, tag, "oci:" + dir + "@" + digest.String()}, err
	}
	if err := h.localName(argument, "an OCI image layout is written oci:FILE"); err != nil {
		return place{}, err
	}
	parsed, err := oci.Parse(argument)
	if err != nil {
		return place{}, err
	}
	repository, err := client.Repository(parsed.Name())
	if err != nil {
		return place{}, err
	}
	which := parsed.Digest.String()
	if which == "" {
		which = parsed.Tag
	}
	m, err := repository.Manifest(ctx, which)
	if err != nil {
		return place{}, fmt.Errorf("resolving %s: %w", argument, err)
	}
	parsed.Digest = m.Digest
	return place{repository, m.Digest, parsed.Tag, parsed.Pinned()}, nil
}

// goal is where an image is to go.
type goal struct {
	relocate.Destination
	tag, name string
	close     func() error
}

// goalOf opens what an argument names as a destination for an image.
func (h *Host) goalOf(client *oci.Client, argument string, from place) (goal, error) {
	if rest, found := strings.CutPrefix(argument, "oci:"); found {
		dir, tag, named := strings.Cut(rest, "@")
		if dir == "" {
			return goal{}, usage("%q names no directory", argument)
		}
		if _, err := subject.Parse(tag); err == nil {
			return goal{}, usage("%s: a layout keeps an image under a name, and its digest by itself", argument).withHint("say oci:%s or oci:%s@NAME", dir, dir)
		}
		if !named {
			tag = from.tag
		}
		stage, err := oci.StageLayout(h.path(dir))
		if err != nil {
			return goal{}, err
		}
		return goal{stage, tag, strings.TrimSuffix("oci:"+dir+"@"+tag, "@"), stage.Close}, nil
	}
	if err := h.localName(argument, "an OCI image layout is written oci:FILE"); err != nil {
		return goal{}, err
	}
	parsed, err := oci.Parse(argument)
	if err != nil {
		return goal{}, err
	}
	if !parsed.Digest.IsZero() && parsed.Digest != from.digest {
		return goal{}, usage("%s has another digest than the image, which is %s", argument, from.digest).withHint("a copy has the digest of what it is a copy of; name a tag, or that digest")
	}
	repository, err := client.Repository(parsed.Name())
	if err != nil {
		return goal{}, err
	}
	name := parsed.Name()
	if parsed.Tag != "" {
		name += ":" + parsed.Tag
	}
	return goal{repository, parsed.Tag, name, func() error { return nil }}, nil
}
