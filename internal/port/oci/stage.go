package oci

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// LayoutStage writes an image and the evidence on it into an OCI image layout
// on disk, a new one or beside what is in it. Blobs are written whole or not at
// all, and lie there unlisted until Publish writes index.json: what is listed
// is complete. It may be used by several goroutines, and no other process
// writes the layout until Close.
type LayoutStage struct {
	dir  string
	lock *os.File
	have *EvidenceLayout // nil in a new layout

	mutex sync.Mutex
	// listed is what Publish adds to index.json.
	listed []descriptor
}

// StageLayout opens a layout that is there, or a directory that is new or
// empty.
func StageLayout(dir string) (*LayoutStage, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	s := &LayoutStage{dir: dir, lock: lock}
	if err := s.begin(); err != nil {
		lock.Close()
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

func (s *LayoutStage) begin() error {
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("image layout %s: another process writes it", s.dir)
	}
	_, err := os.Lstat(filepath.Join(s.dir, "index.json"))
	if err == nil {
		s.have, err = OpenEvidenceLayout(s.dir)
		return err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Blobs are there after a copy that was interrupted.
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "blobs" && name != "oci-layout" {
			return fmt.Errorf("%s is no OCI image layout and holds %q; name a new or an empty directory", s.dir, name)
		}
	}
	return nil
}

// Close ends the writing.
func (s *LayoutStage) Close() error { return s.lock.Close() }

// String names the place for people.
func (s *LayoutStage) String() string { return "oci:" + s.dir }

// Manifest reads what the layout holds by tag or digest, without what is
// staged; IsNotFound tells that there is none.
func (s *LayoutStage) Manifest(ctx context.Context, which string) (Manifest, error) {
	if s.have == nil {
		return Manifest{}, &notFound{what: s.String() + " manifest " + which}
	}
	r, err := s.have.Repository()
	if err != nil {
		return Manifest{}, err
	}
	return r.Manifest(ctx, which)
}

// Referrers lists what the layout's index.json has about a digest, without what
// is staged.
func (s *LayoutStage) Referrers(_ context.Context, digest subject.Digest) ([]Descriptor, error) {
	if s.have == nil {
		return nil, nil
	}
	return describe(s.have.shelf.about[digest]), nil
}

// PutBlob stores a blob that is not there yet, or not as it should be.
func (s *LayoutStage) PutBlob(_ context.Context, d Descriptor, from Origin) (Transfer, error) {
	there, err := s.holds(d)
	if err != nil || there {
		return There, err
	}
	content, err := from.Open()
	if err != nil {
		return 0, err
	}
	defer content.Close()
	return Sent, s.write(blobName(d.Digest), content)
}

// holds says whether a blob is there, byte for byte.
func (s *LayoutStage) holds(d Descriptor) (bool, error) {
	reader := &shelf{dir: s.dir}
	file, info, err := reader.open(blobName(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("image layout %s: %w", s.dir, err)
	}
	content := checkedBlob(file, "", d)
	defer content.Close()
	if info.Size() != d.Size {
		return false, nil
	}
	_, err = io.Copy(io.Discard, content)
	return err == nil, nil // what is not as it should be is written again
}

// write replaces a file of the layout whole.
func (s *LayoutStage) write(name string, content io.Reader) error {
	target := filepath.Join(s.dir, filepath.FromSlash(name))
	temporary, err := os.CreateTemp(filepath.Dir(target), ".new-*")
	if err != nil {
		return fmt.Errorf("image layout %s: %w", s.dir, err)
	}
	defer os.Remove(temporary.Name())
	_, err = io.Copy(temporary, content)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), target)
	}
	if err != nil {
		return fmt.Errorf("image layout %s: writing %s: %w", s.dir, name, err)
	}
	return nil
}

func (s *LayoutStage) put(content []byte) (Transfer, error) {
	digest := subject.Of(content)
	there, err := s.holds(Descriptor{Digest: digest, Size: int64(len(content))})
	if err != nil || there {
		return There, err
	}
	return Sent, s.write(blobName(digest), strings.NewReader(string(content)))
}

// stage has Publish list a manifest; one of the same name takes the place of
// another.
func (s *LayoutStage) stage(d descriptor) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.listed = enter(s.listed, d)
}

// PutManifest stores a manifest by its digest, byte for byte. One that refers
// to another will be listed.
func (s *LayoutStage) PutManifest(_ context.Context, m Manifest, _ bool) (how Transfer, listed bool, err error) {
	how, err = s.put(m.Content)
	if err != nil || m.Subject.IsZero() {
		return how, false, err
	}
	// What a stranger's manifest says of itself must not name it here.
	d := descriptor(m.Descriptor())
	d.Annotations = maps.Clone(d.Annotations)
	delete(d.Annotations, refNameKey)
	delete(d.Annotations, kindKey)
	s.stage(d)
	return how, true, nil
}

// List does nothing: PutManifest has listed what refers to another.
func (s *LayoutStage) List(context.Context, subject.Digest, []Descriptor) error { return nil }

// Merge makes a ".sig" or ".att" entry hold the layers of m, whose blobs are
// there, and keeps what it holds already. It gives how many layers are new.
func (s *LayoutStage) Merge(ctx context.Context, tag string, m Manifest) (added int, err error) {
	added = len(m.Layers())
	merged := fetched{content: m.Content, mediaType: m.MediaType, digest: m.Digest}
	switch before, err := s.Manifest(ctx, tag); {
	case IsNotFound(err):
	case err != nil:
		return 0, err
	case before.Digest == m.Digest:
		added = 0
	default:
		var have imageManifest
		if err := json.Unmarshal(before.Content, &have); err != nil {
			return 0, fmt.Errorf("%s: %s cannot be read: %w", s, tag, err)
		}
		missing := missingLayers(have.Layers, m.Layers())
		if len(missing) == 0 {
			return 0, nil
		}
		var config []byte
		if merged, config, err = withLayers(have, missing, tag); err != nil {
			return 0, err
		}
		added = len(missing)
		if _, err := s.put(config); err != nil {
			return 0, err
		}
	}
	if _, err := s.put(merged.content); err != nil {
		return 0, err
	}
	s.stage(descriptor{MediaType: merged.mediaType, Size: int64(len(merged.content)), Digest: merged.digest, Annotations: map[string]string{refNameKey: tag}})
	return added, nil
}

// Name stores a manifest, and has Publish list it under a name.
func (s *LayoutStage) Name(_ context.Context, m Manifest, tag string, _ subject.Digest) error {
	if _, err := s.put(m.Content); err != nil {
		return err
	}
	s.stage(descriptor{MediaType: m.MediaType, Size: int64(len(m.Content)), Digest: m.Digest, Annotations: map[string]string{refNameKey: tag}})
	return nil
}

// Publish writes index.json with everything that was staged, and with m under a
// name; "" gives it none. An entry of that name that was there is no longer
// listed.
func (s *LayoutStage) Publish(_ context.Context, m Manifest, tag string, _ subject.Digest) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	index := imageIndex{SchemaVersion: 2, MediaType: ociIndexType}
	if s.have != nil {
		index = s.have.shelf.index
	}
	list := slices.Clone(index.Manifests)
	root := descriptor{MediaType: m.MediaType, Size: int64(len(m.Content)), Digest: m.Digest}
	if tag != "" {
		root.Annotations = map[string]string{refNameKey: tag}
	}
	slices.SortFunc(s.listed, func(a, b descriptor) int {
		return cmp.Or(cmp.Compare(a.Annotations[refNameKey], b.Annotations[refNameKey]), cmp.Compare(a.Digest.String(), b.Digest.String()))
	})
	for _, d := range append([]descriptor{root}, s.listed...) {
		if name := d.Annotations[refNameKey]; name != "" && s.have != nil {
			// In cosign's layouts it had this place without the name.
			if was, found, err := s.have.shelf.find(name); err == nil && found {
				list = slices.DeleteFunc(list, func(o descriptor) bool {
					return o.Digest == was && o.Annotations[refNameKey] == "" && o.Annotations[kindKey] != ""
				})
			}
		}
		list = enter(list, d)
	}
	if len(list) > limit.LayoutEntries {
		return &limit.Error{What: "index.json of " + s.String(), Bound: limit.LayoutEntries, Unit: "entries"}
	}
	index.Manifests = markForCosign(list, m)
	content, err := encodeBounded(index, "index.json of "+s.String())
	if err != nil {
		return err
	}
	if err := s.write("oci-layout", strings.NewReader(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	return s.write("index.json", strings.NewReader(string(content)))
}

// enter adds an entry to a list that has at most one of each name, and none
// without a name beside one with it.
func enter(list []descriptor, d descriptor) []descriptor {
	name := d.Annotations[refNameKey]
	same := func(o descriptor) bool {
		other := o.Annotations[refNameKey]
		return name != "" && other == name || o.Digest == d.Digest && (other == "" || other == name)
	}
	if name == "" && slices.ContainsFunc(list, func(o descriptor) bool { return o.Digest == d.Digest }) {
		return list
	}
	return append(slices.DeleteFunc(slices.Clone(list), same), d)
}

// markForCosign gives the image, its signatures and its attestations the words
// that `cosign load` looks for. cosign knows one image in a layout, so the
// first that was marked keeps them.
func markForCosign(list []descriptor, m Manifest) []descriptor {
	kind := kindImage
	if types.MediaType(m.MediaType).IsIndex() {
		kind = kindIndex
	}
	for _, d := range list {
		if k := d.Annotations[kindKey]; (k == kindImage || k == kindIndex) && d.Digest != m.Digest {
			return list
		}
	}
	kinds := map[string]string{AttachmentTag(m.Digest, "sig"): kindSigs, AttachmentTag(m.Digest, "att"): kindAtts}
	for i, d := range list {
		word := kinds[d.Annotations[refNameKey]]
		if d.Digest == m.Digest {
			word = kind
		}
		if word != "" {
			annotations := map[string]string{kindKey: word}
			maps.Copy(annotations, d.Annotations)
			list[i].Annotations = annotations
		}
	}
	return list
}
