package promote

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/manifest"
	"github.com/seed-161fc314/assay/internal/format/yamledit"
)

// tree is the working tree of a clone. Files are changed in memory, and
// written when all changes are known to be possible.
type tree struct {
	root *os.Root
	// contents by path, as they are and as they were.
	contents map[string][]byte
	changed  map[string]bool
	changes  []Change
}

func openTree(dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &tree{root: root, contents: map[string][]byte{}, changed: map[string]bool{}}, nil
}

// read reads a file of the repository. Symbolic links are refused: whoever
// writes the repository could point them at git's own files.
func (t *tree) read(file string) ([]byte, error) {
	file = filepath.Clean(file)
	if content, done := t.contents[file]; done {
		return content, nil
	}
	parts := strings.Split(filepath.ToSlash(file), "/")
	for i := range parts {
		part := filepath.Join(parts[:i+1]...)
		info, err := t.root.Lstat(part)
		if err != nil {
			return nil, err
		}
		if info.Mode()&os.ModeSymlink != 0 {
			return nil, fmt.Errorf("%s is a symbolic link; name the file itself", part)
		}
	}
	opened, err := t.root.Open(file)
	if err != nil {
		return nil, err
	}
	content, err := limit.ReadAll(opened, file, limit.Policy)
	if err := errors.Join(err, opened.Close()); err != nil {
		return nil, err
	}
	t.contents[file] = content
	return content, nil
}

// apply makes one change with an edit of yamledit.
func (t *tree) apply(file string, document int, path yamledit.Path, from, to string,
	edit func(content []byte, document int, path yamledit.Path) ([]byte, error)) error {
	if from == to {
		return nil
	}
	file = filepath.Clean(file)
	content, err := edit(t.contents[file], document, path)
	if err != nil {
		return err
	}
	t.contents[file], t.changed[file] = content, true
	t.changes = append(t.changes, Change{File: file, Place: fmt.Sprintf("document %d, %s", document, path), From: from, To: to})
	return nil
}

func set(value string) func([]byte, int, yamledit.Path) ([]byte, error) {
	return func(content []byte, document int, path yamledit.Path) ([]byte, error) {
		return yamledit.SetScalar(content, document, path, value)
	}
}

func ensure(value string) func([]byte, int, yamledit.Path) ([]byte, error) {
	return func(content []byte, document int, path yamledit.Path) ([]byte, error) {
		return yamledit.EnsureScalar(content, document, path, value)
	}
}

// files are those that changed, sorted.
func (t *tree) files() []string {
	var files []string
	for file := range t.changed {
		files = append(files, file)
	}
	slices.Sort(files)
	return files
}

func (t *tree) write() error {
	for _, file := range t.files() {
		opened, err := t.root.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = opened.Write(t.contents[file])
		if err := errors.Join(err, opened.Close()); err != nil {
			return err
		}
	}
	return nil
}

// kustomize pins the entries of images: that are about the image. The
// transformer prefers a digest to a tag; the tag is taken out all the same,
// so that nobody reads the wrong one.
func (t *tree) kustomize(file string, image image) error {
	content, err := t.read(file)
	if err != nil {
		return err
	}
	images := yamledit.Path{yamledit.Key("images")}
	count, err := yamledit.Len(content, 0, images)
	if err != nil {
		return err
	}
	found := false
	for i := range count {
		at := func(key string) yamledit.Path {
			return append(slices.Clone(images), yamledit.Index(i), yamledit.Key(key))
		}
		old := map[string]string{}
		for _, key := range []string{"name", "newName", "newTag", "digest", "tagSuffix"} {
			if old[key], _, err = yamledit.Scalar(content, 0, at(key)); err != nil {
				return err
			}
		}
		if !image.named(old["name"]) {
			continue
		}
		found = true
		if old["tagSuffix"] != "" {
			return fmt.Errorf("%s: tagSuffix cannot be combined with a digest; take it out", at("tagSuffix"))
		}
		written := old["newName"]
		if written == "" {
			written = old["name"]
		}
		if !sameRepository(written, image.repository) {
			if err := t.apply(file, 0, at("newName"), old["newName"], image.repository, ensure(image.repository)); err != nil {
				return err
			}
		}
		if err := t.apply(file, 0, at("digest"), old["digest"], image.digest, ensure(image.digest)); err != nil {
			return err
		}
		if err := t.apply(file, 0, at("newTag"), old["newTag"], "", yamledit.Remove); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("images: has no entry for %s; add one:\nimages:\n- name: %s\n  digest: %s", image.name, image.name, image.digest)
	}
	return nil
}

// helm pins the field that a values file has for the image.
func (t *tree) helm(h Helm, image image) error {
	content, err := t.read(h.Path)
	if err != nil {
		return err
	}
	path, err := yamledit.ParsePath(h.Image + h.Digest + h.Tag)
	if err != nil {
		return err
	}
	old, found, err := yamledit.Scalar(content, 0, path)
	if err != nil {
		return err
	}
	if h.Digest != "" {
		return t.apply(h.Path, 0, path, old, image.digest, ensure(image.digest))
	}
	if !found {
		return fmt.Errorf("%s is not there; write it into the file first", path)
	}
	to := image.repository + "@" + image.digest
	switch {
	case h.Tag != "":
		tag, _, _ := strings.Cut(old, "@")
		if tag == "" {
			return fmt.Errorf("%s is empty; want a tag, to put the digest behind", path)
		}
		to = tag + "@" + image.digest
	case old != "" && !image.used(repositoryOf(old)):
		return fmt.Errorf("%s is %q, which is not %s", path, old, image.name)
	case old != "":
		to = image.pin(old)
	}
	return t.apply(h.Path, 0, path, old, to, set(to))
}

// manifest pins every container and volume that uses the image.
func (t *tree) manifest(file string, image image) error {
	content, err := t.read(file)
	if err != nil {
		return err
	}
	workloads, err := manifest.Read(filepath.Base(file), content)
	if err != nil {
		return err
	}
	found := false
	var others []string
	for _, w := range workloads {
		for _, use := range w.Images {
			if !image.used(repositoryOf(use.Reference)) {
				others = append(others, use.Reference)
				continue
			}
			found = true
			path, err := yamledit.ParsePath(use.Path)
			if err != nil {
				return err
			}
			to := image.pin(use.Reference)
			if err := t.apply(file, w.Document, path, use.Reference, to, set(to)); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("nothing in it uses %s; it uses: %s", image.name, strings.Join(others, ", "))
	}
	return nil
}
