package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

const (
	refNameKey = "org.opencontainers.image.ref.name"
	// kindKey and its values are what `cosign save` writes into index.json, and
	// `cosign load` looks for.
	kindKey   = "kind"
	kindImage = "dev.cosignproject.cosign/image"
	kindIndex = "dev.cosignproject.cosign/imageIndex"
	kindSigs  = "dev.cosignproject.cosign/sigs"
	kindAtts  = "dev.cosignproject.cosign/atts"
)

// shelf reads an image layout on disk that somebody else may have made. Links
// are not followed out of its directory; a blob is a regular file, and who
// reads it holds it to its digest. Nothing is written.
type shelf struct {
	dir   string
	index imageIndex
	// about lists, by what they refer to, the entries that refer to something;
	// refers is the other way round.
	about  map[subject.Digest][]descriptor
	refers map[subject.Digest]subject.Digest
}

// openShelf reads index.json, and of each entry what it refers to.
func openShelf(dir string) (*shelf, error) {
	s := &shelf{dir: dir, about: map[subject.Digest][]descriptor{}, refers: map[subject.Digest]subject.Digest{}}
	for name, into := range map[string]any{"oci-layout": &struct{}{}, "index.json": &s.index} {
		content, err := s.file(name, limit.Manifest)
		if err != nil {
			return nil, fmt.Errorf("image layout %s: %w", dir, err)
		}
		if err := json.Unmarshal(content, into); err != nil {
			return nil, fmt.Errorf("image layout %s: %s cannot be read: %w", dir, name, err)
		}
	}
	if len(s.index.Manifests) > limit.LayoutEntries {
		return nil, &limit.Error{What: "index.json of the image layout " + dir, Bound: limit.LayoutEntries, Unit: "entries"}
	}
	for _, d := range s.index.Manifests {
		if err := s.refer(d); err != nil {
			return nil, fmt.Errorf("image layout %s: index.json: %w", dir, err)
		}
	}
	return s, s.unlisted()
}

// refer notes what an entry refers to.
func (s *shelf) refer(d descriptor) error {
	if err := checkDescriptor(d); err != nil {
		return err
	}
	if kind := types.MediaType(d.MediaType); !kind.IsImage() && !kind.IsIndex() {
		return nil
	}
	content, err := s.manifest(d.Digest)
	if err != nil {
		return err
	}
	if int64(len(content)) != d.Size {
		return fmt.Errorf("%s has %d bytes, and %d are listed", d.Digest, len(content), d.Size)
	}
	var m imageManifest
	if err := json.Unmarshal(content, &m); err != nil {
		return fmt.Errorf("%s cannot be read: %w", d.Digest, err)
	}
	if m.Subject == nil || m.Subject.Digest.IsZero() {
		return nil
	}
	if _, known := s.refers[d.Digest]; known {
		return nil
	}
	s.refers[d.Digest] = m.Subject.Digest
	d.ArtifactType, d.Annotations, d.Platform = m.ArtifactType, m.Annotations, nil
	if d.ArtifactType == "" {
		d.ArtifactType = m.Config.MediaType
	}
	s.about[m.Subject.Digest] = append(s.about[m.Subject.Digest], d)
	return nil
}

// unlisted finds referrers in a layout by `cosign save`, which leaves them
// among the blobs and lists only the image.
func (s *shelf) unlisted() error {
	byCosign := func(d descriptor) bool { return d.Annotations[kindKey] != "" && d.Annotations[refNameKey] == "" }
	if !slices.ContainsFunc(s.index.Manifests, byCosign) {
		return nil
	}
	entries, err := fs.ReadDir(os.DirFS(s.dir), "blobs/sha256")
	if err != nil {
		return fmt.Errorf("image layout %s: %w", s.dir, err)
	}
	if len(entries) > limit.LayoutEntries {
		return &limit.Error{What: "blobs/sha256 of the image layout " + s.dir, Bound: limit.LayoutEntries, Unit: "entries"}
	}
	for _, entry := range entries {
		digest, err := subject.Parse("sha256:" + entry.Name())
		info, infoErr := entry.Info()
		if err != nil || infoErr != nil || !info.Mode().IsRegular() || info.Size() > limit.Manifest {
			continue // no manifest; if something refers to it, reading it fails
		}
		content, err := s.manifest(digest)
		if err != nil {
			return fmt.Errorf("image layout %s: %w", s.dir, err)
		}
		var m imageManifest
		if json.Unmarshal(content, &m) != nil || m.Subject == nil || !types.MediaType(m.MediaType).IsImage() {
			continue // some other JSON
		}
		if err := s.refer(descriptor{MediaType: m.MediaType, Size: int64(len(content)), Digest: digest}); err != nil {
			return fmt.Errorf("image layout %s: %w", s.dir, err)
		}
	}
	return nil
}

// open opens a regular file of the layout.
func (s *shelf) open(name string) (*os.File, fs.FileInfo, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	// Looked at before it is opened: opening a pipe would wait for its writer.
	info, err := root.Lstat(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", name)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return file, info, nil
}

func (s *shelf) file(name string, bound int64) ([]byte, error) {
	file, _, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return limit.ReadAll(file, name, bound)
}

// blobName is where a blob lies.
func blobName(digest subject.Digest) string {
	return path.Join("blobs", digest.Algorithm(), digest.Hex())
}

// manifest reads a manifest and holds it to its digest.
func (s *shelf) manifest(digest subject.Digest) ([]byte, error) {
	content, err := s.file(blobName(digest), limit.Manifest)
	if err != nil {
		return nil, err
	}
	if got := subject.Of(content); got != digest {
		return nil, fmt.Errorf("%s holds %s", blobName(digest), got)
	}
	return content, nil
}

// find gives the digest that a tag of index.json means. cosign's own layouts
// have no tags: their signatures are those of the only image.
func (s *shelf) find(tag string) (subject.Digest, bool, error) {
	var found []subject.Digest
	for _, d := range s.index.Manifests {
		if d.Annotations[refNameKey] == tag && !slices.Contains(found, d.Digest) {
			found = append(found, d.Digest)
		}
	}
	if len(found) > 1 {
		return subject.Digest{}, false, fmt.Errorf("index.json gives the name %q to %d manifests", tag, len(found))
	}
	if len(found) == 1 {
		return found[0], true, nil
	}
	for kind, suffix := range map[string]string{kindSigs: "sig", kindAtts: "att"} {
		image, ok := s.ofKind(kindImage)
		if !ok {
			image, ok = s.ofKind(kindIndex)
		}
		if d, is := s.ofKind(kind); ok && is && tag == AttachmentTag(image, suffix) {
			return d, true, nil
		}
	}
	return subject.Digest{}, false, nil
}

// ofKind is the first entry of one of cosign's kinds; cosign looks no further.
func (s *shelf) ofKind(kind string) (subject.Digest, bool) {
	i := slices.IndexFunc(s.index.Manifests, func(d descriptor) bool { return d.Annotations[kindKey] == kind })
	if i < 0 {
		return subject.Digest{}, false
	}
	return s.index.Manifests[i].Digest, true
}

// isEvidence says whether an entry of index.json is there because it is about
// another.
func isEvidence(d descriptor) bool {
	switch d.Annotations[kindKey] {
	case kindSigs, kindAtts:
		return true
	}
	name := d.Annotations[refNameKey]
	stem := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, ".sig"), ".att"), ".sbom")
	_, err := subject.Parse(strings.Replace(stem, "-", ":", 1))
	return name != "" && err == nil
}

// subjects are the entries that are not evidence on what is in the layout.
func (s *shelf) subjects() []descriptor {
	var list []descriptor
	for _, d := range s.index.Manifests {
		if about, refers := s.refers[d.Digest]; refers {
			if _, err := os.Lstat(filepath.Join(s.dir, filepath.FromSlash(blobName(about)))); err == nil {
				continue
			}
		}
		if !isEvidence(d) {
			list = append(list, d)
		}
	}
	return list
}

// choose gives the digest that which means: a digest, a name of index.json, or
// with "" the only image.
func (s *shelf) choose(which string) (subject.Digest, string, error) {
	if digest, err := subject.Parse(which); err == nil {
		return digest, "", nil
	}
	if which != "" {
		digest, ok, err := s.find(which)
		if err == nil && !ok {
			err = fmt.Errorf("it holds no %q; it holds %s", which, s.names())
		}
		return digest, which, err
	}
	list := s.subjects()
	switch {
	case len(list) == 0:
		return subject.Digest{}, "", errors.New("it holds no image")
	case len(list) > 1 && slices.ContainsFunc(list, func(d descriptor) bool { return d.Digest != list[0].Digest }):
		return subject.Digest{}, "", fmt.Errorf("it holds %d images; name one as oci:DIR@NAME: %s", len(list), s.names())
	}
	return list[0].Digest, list[0].Annotations[refNameKey], nil
}

func (s *shelf) names() string {
	var names []string
	for _, d := range s.subjects() {
		names = append(names, strings.TrimSpace(d.Annotations[refNameKey]+" "+d.Digest.String()))
	}
	return strings.Join(names, ", ")
}

// ServeHTTP answers what a registry is asked when it is read, so that one
// reader of evidence is enough.
func (s *shelf) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	rest, _ := strings.CutPrefix(request.URL.Path, "/v2/")
	kind, which := path.Split(strings.TrimPrefix(rest, shelfName+"/"))
	var err error
	switch {
	case rest == "":
	case request.Method != http.MethodGet && request.Method != http.MethodHead:
		http.Error(w, "an image layout is only read", http.StatusMethodNotAllowed)
	case kind == "manifests/":
		err = s.serveManifest(w, which)
	case kind == "blobs/":
		err = s.serveBlob(w, which)
	case kind == "referrers/":
		err = s.serveReferrers(w, which)
	default:
		http.NotFound(w, request)
	}
	if err == nil {
		return
	}
	status := http.StatusInternalServerError
	if errors.Is(err, fs.ErrNotExist) {
		status = http.StatusNotFound
	}
	body, _ := json.Marshal(map[string]any{"errors": []map[string]string{{"code": "LAYOUT", "message": err.Error()}}}) // strings marshal
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // it is read in this process
}

func (s *shelf) serveManifest(w http.ResponseWriter, which string) error {
	digest, err := subject.Parse(which)
	if err != nil {
		found := false
		if digest, found, err = s.find(which); err != nil {
			return err
		} else if !found {
			return fs.ErrNotExist
		}
	}
	content, err := s.manifest(digest)
	if err != nil {
		return err
	}
	kind := string(types.OCIManifestSchema1)
	var index struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if json.Unmarshal(content, &index) == nil && index.Manifests != nil {
		kind = ociIndexType
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Docker-Content-Digest", digest.String())
	_, err = w.Write(content)
	return ignoreGone(err)
}

func (s *shelf) serveBlob(w http.ResponseWriter, which string) error {
	digest, err := subject.Parse(which)
	if err != nil {
		return fs.ErrNotExist
	}
	file, info, err := s.open(blobName(digest))
	if err != nil {
		return err
	}
	defer file.Close()
	w.Header().Set("Content-Length", fmt.Sprint(info.Size()))
	_, err = io.Copy(w, file)
	return ignoreGone(err)
}

func (s *shelf) serveReferrers(w http.ResponseWriter, which string) error {
	digest, err := subject.Parse(which)
	if err != nil {
		return fs.ErrNotExist
	}
	list := s.about[digest]
	if list == nil {
		list = []descriptor{}
	}
	content, err := json.Marshal(imageIndex{SchemaVersion: 2, MediaType: ociIndexType, Manifests: list})
	if err != nil {
		return err
	}
	if len(content) > limit.Manifest {
		return &limit.Error{What: "the list of referrers of " + digest.String(), Bound: limit.Manifest, Unit: "bytes"}
	}
	w.Header().Set("Content-Type", ociIndexType)
	_, err = w.Write(content)
	return ignoreGone(err)
}

// ignoreGone drops the error of a reader that has left; it knows why.
func ignoreGone(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// shelfName is the repository that a layout is served as.
const shelfName = "image"
