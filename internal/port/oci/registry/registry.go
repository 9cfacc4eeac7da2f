// Package registry is the embedded registry: the OCI distribution
// specification 1.1 over a directory, for trying things out and for tests.
//
// Entry point is [Open]; a [Registry] is an http.Handler. It has pull, push,
// tags, the referrers API, and conditional writes of tags (If-Match and
// If-None-Match, which the specification leaves open). Content survives a
// restart; files are written whole or not at all, and nothing is stored under
// a digest that it does not have.
//
// It has no users, no deletion of blobs and no garbage collection; do not
// expose it to a network.
package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Config changes what a registry can do.
type Config struct {
	// WithoutReferrers makes it behave as registries do that have no
	// referrers API.
	WithoutReferrers bool
	// WithoutConditions makes it ignore If-Match, as most registries do.
	WithoutConditions bool
	// WithoutWholeUploads makes it leave a blob that comes with the first
	// request, as many registries do.
	WithoutWholeUploads bool
}

// Registry serves one directory. Several processes may share the directory.
type Registry struct {
	dir    string
	config Config
	// mutex orders writes of tags within this process; a lock on the file
	// "lock" between processes.
	mutex sync.Mutex
}

// Open makes the directory where it is missing.
func Open(dir string, config Config) (*Registry, error) {
	for _, sub := range []string{"blobs/sha256", "uploads", "repositories"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(sub)), 0o755); err != nil {
			return nil, fmt.Errorf("opening the embedded registry: %w", err)
		}
	}
	return &Registry{dir: dir, config: config}, nil
}

var (
	repositoryShape = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagShape        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*$`)
	uploadShape     = regexp.MustCompile(`^[a-f0-9]{32}$`)
)

// problem is an answer that is an error by the specification.
type problem struct {
	status        int
	code, message string
}

// isTag says whether a text has the form of a tag. Its length is counted here: as
// a repetition it would be compiled 128 times over at every start.
func isTag(text string) bool { return len(text) <= 128 && tagShape.MatchString(text) }

// Error is the message.
func (p *problem) Error() string { return p.message }

func fail(status int, code, format string, arguments ...any) error {
	return &problem{status, code, fmt.Sprintf(format, arguments...)}
}

// ServeHTTP answers one request.
func (r *Registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	err := r.serve(w, request)
	if err == nil {
		return
	}
	var p *problem
	if !errors.As(err, &p) {
		p = &problem{http.StatusInternalServerError, "UNKNOWN", err.Error()}
		if errors.Is(err, fs.ErrNotExist) {
			p = &problem{http.StatusNotFound, "NOT_FOUND", "it is not here"}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	if request.Method != http.MethodHead {
		body, _ := json.Marshal(map[string]any{"errors": []map[string]string{{"code": p.code, "message": p.message}}}) // strings marshal
		_, _ = w.Write(body)                                                                                           // the client is gone, or not
	}
}

func (r *Registry) serve(w http.ResponseWriter, request *http.Request) error {
	rest, found := strings.CutPrefix(request.URL.Path, "/v2/")
	if !found && request.URL.Path != "/v2" {
		return fail(http.StatusNotFound, "NOT_FOUND", "this is a registry; its paths begin with /v2/")
	}
	if rest == "" {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		_, err := io.WriteString(w, "{}")
		return err
	}
	parts := strings.Split(rest, "/")
	n := len(parts)
	at := func(i int) string {
		if n-i < 0 {
			return ""
		}
		return parts[n-i]
	}
	name := func(i int) string { return strings.Join(parts[:max(0, n-i)], "/") }
	var repository string
	var handle func(http.ResponseWriter, *http.Request, string) error
	switch {
	case at(3) == "blobs" && at(2) == "uploads":
		repository, handle = name(3), func(w http.ResponseWriter, q *http.Request, repo string) error { return r.upload(w, q, repo, at(1)) }
	case at(2) == "blobs":
		repository, handle = name(2), func(w http.ResponseWriter, q *http.Request, repo string) error { return r.blob(w, q, at(1)) }
	case at(2) == "manifests":
		repository, handle = name(2), func(w http.ResponseWriter, q *http.Request, repo string) error { return r.manifest(w, q, repo, at(1)) }
	case at(2) == "tags" && at(1) == "list":
		repository, handle = name(2), r.tags
	case at(2) == "referrers" && !r.config.WithoutReferrers:
		repository, handle = name(2), func(w http.ResponseWriter, q *http.Request, repo string) error { return r.referrers(w, q, repo, at(1)) }
	default:
		return fail(http.StatusNotFound, "NOT_FOUND", "no such path")
	}
	if !repositoryShape.MatchString(repository) || len(repository) > 255 {
		return fail(http.StatusBadRequest, "NAME_INVALID", "%q is no repository name", repository)
	}
	return handle(w, request, repository)
}

func (r *Registry) repo(repository string, elements ...string) string {
	return filepath.Join(append([]string{r.dir, "repositories", filepath.FromSlash(repository)}, elements...)...)
}

func (r *Registry) blobPath(digest subject.Digest) string {
	return filepath.Join(r.dir, "blobs", "sha256", digest.Hex())
}

func parseDigest(text string) (subject.Digest, error) {
	digest, err := subject.Parse(text)
	if err != nil || digest.Algorithm() != "sha256" {
		return subject.Digest{}, fail(http.StatusBadRequest, "DIGEST_INVALID", "%q is no sha256 digest", text)
	}
	return digest, nil
}

func (r *Registry) blob(w http.ResponseWriter, request *http.Request, text string) error {
	digest, err := parseDigest(text)
	if err != nil {
		return err
	}
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		return fail(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s on a blob", request.Method)
	}
	file, err := os.Open(r.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return fail(http.StatusNotFound, "BLOB_UNKNOWN", "blob %s is not here", digest)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, request, "", info.ModTime(), file)
	return nil
}

// upload has the specification's three ways: POST with a digest, POST then
// PUT, POST then PATCH then PUT; and mounting, since blobs are shared.
func (r *Registry) upload(w http.ResponseWriter, request *http.Request, repository, id string) error {
	if request.Method == http.MethodPost && id == "" {
		return r.beginUpload(w, request, repository)
	}
	if !uploadShape.MatchString(id) {
		return fail(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload")
	}
	file, err := os.OpenFile(filepath.Join(r.dir, "uploads", id), os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload")
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, request.Body); err != nil {
		return err
	}
	switch request.Method {
	case http.MethodPatch:
		info, err := file.Stat()
		if err != nil {
			return err
		}
		w.Header().Set("Location", path.Join("/v2", repository, "blobs/uploads", id))
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, info.Size()-1)))
		w.WriteHeader(http.StatusAccepted)
		return nil
	case http.MethodPut:
		return r.finishUpload(w, repository, file.Name(), request.URL.Query().Get("digest"))
	}
	return fail(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s on an upload", request.Method)
}

func (r *Registry) beginUpload(w http.ResponseWriter, request *http.Request, repository string) error {
	if mount := request.URL.Query().Get("mount"); mount != "" {
		if digest, err := parseDigest(mount); err == nil {
			if _, err := os.Stat(r.blobPath(digest)); err == nil {
				return created(w, path.Join("/v2", repository, "blobs", digest.String()), digest)
			}
		}
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	id := hex.EncodeToString(random[:])
	file, err := os.OpenFile(filepath.Join(r.dir, "uploads", id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if digest := request.URL.Query().Get("digest"); digest != "" && !r.config.WithoutWholeUploads {
		if _, err := io.Copy(file, request.Body); err != nil {
			return err
		}
		return r.finishUpload(w, repository, file.Name(), digest)
	}
	w.Header().Set("Location", path.Join("/v2", repository, "blobs/uploads", id))
	w.Header().Set("Range", "0-0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (r *Registry) finishUpload(w http.ResponseWriter, repository, file, text string) error {
	defer os.Remove(file)
	digest, err := parseDigest(text)
	if err != nil {
		return err
	}
	handle, err := os.Open(file)
	if err != nil {
		return err
	}
	defer handle.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, handle); err != nil {
		return err
	}
	if actual := hex.EncodeToString(hash.Sum(nil)); actual != digest.Hex() {
		return fail(http.StatusBadRequest, "DIGEST_INVALID", "the content is sha256:%s, not %s", actual, digest)
	}
	if err := os.Rename(file, r.blobPath(digest)); err != nil {
		return err
	}
	return created(w, path.Join("/v2", repository, "blobs", digest.String()), digest)
}

func created(w http.ResponseWriter, location string, digest subject.Digest) error {
	w.Header().Set("Location", location)
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// stored is a manifest as it lies in a repository.
type stored struct {
	MediaType string `json:"mediaType"`
	Content   []byte `json:"content"`
}

func (r *Registry) manifest(w http.ResponseWriter, request *http.Request, repository, which string) error {
	switch request.Method {
	case http.MethodGet, http.MethodHead:
		m, digest, err := r.load(repository, which)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", m.MediaType)
		w.Header().Set("Docker-Content-Digest", digest.String())
		w.Header().Set("ETag", `"`+digest.String()+`"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(m.Content)))
		if request.Method == http.MethodGet {
			_, err = w.Write(m.Content)
		}
		return err
	case http.MethodPut:
		return r.putManifest(w, request, repository, which)
	case http.MethodDelete:
		return r.deleteManifest(w, repository, which)
	}
	return fail(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s on a manifest", request.Method)
}

// resolve finds the digest of a tag, or checks that of a digest.
func (r *Registry) resolve(repository, which string) (subject.Digest, error) {
	unknown := fail(http.StatusNotFound, "MANIFEST_UNKNOWN", "%s has no manifest %q", repository, which)
	if digest, err := subject.Parse(which); err == nil {
		if digest.Algorithm() != "sha256" {
			return subject.Digest{}, unknown
		}
		return digest, nil
	}
	if !isTag(which) {
		return subject.Digest{}, unknown
	}
	content, err := os.ReadFile(r.repo(repository, "_tags", which))
	if errors.Is(err, fs.ErrNotExist) {
		return subject.Digest{}, unknown
	}
	if err != nil {
		return subject.Digest{}, err
	}
	return subject.Parse(string(content))
}

func (r *Registry) load(repository, which string) (stored, subject.Digest, error) {
	digest, err := r.resolve(repository, which)
	if err != nil {
		return stored{}, subject.Digest{}, err
	}
	content, err := os.ReadFile(r.repo(repository, "_manifests", digest.Hex()))
	if errors.Is(err, fs.ErrNotExist) {
		return stored{}, subject.Digest{}, fail(http.StatusNotFound, "MANIFEST_UNKNOWN", "%s has no manifest %s", repository, which)
	}
	if err != nil {
		return stored{}, subject.Digest{}, err
	}
	var m stored
	return m, digest, errors.Join(json.Unmarshal(content, &m))
}

func (r *Registry) putManifest(w http.ResponseWriter, request *http.Request, repository, which string) error {
	content, err := limit.ReadAll(request.Body, "the manifest", limit.Manifest)
	if err != nil {
		return fail(http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "%v", err)
	}
	var m struct {
		Subject *struct {
			Digest subject.Digest `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return fail(http.StatusBadRequest, "MANIFEST_INVALID", "the manifest cannot be read: %v", err)
	}
	if m.Subject != nil && m.Subject.Digest.IsZero() {
		return fail(http.StatusBadRequest, "MANIFEST_INVALID", "the manifest's subject has no digest")
	}
	digest := subject.Of(content)
	named, err := subject.Parse(which)
	byDigest := err == nil
	if byDigest && named != digest {
		return fail(http.StatusBadRequest, "DIGEST_INVALID", "the manifest is %s, not %s", digest, which)
	}
	if !byDigest && !isTag(which) {
		return fail(http.StatusBadRequest, "TAG_INVALID", "%q is no tag", which)
	}
	if byDigest && !r.config.WithoutConditions && request.Header.Get("If-None-Match") == "*" {
		if _, err := os.Stat(r.repo(repository, "_manifests", digest.Hex())); err == nil {
			return fail(http.StatusPreconditionFailed, "DENIED", "the manifest %s is here", digest)
		}
	}
	file, err := json.Marshal(stored{MediaType: request.Header.Get("Content-Type"), Content: content})
	if err != nil {
		return err
	}
	if err := write(r.repo(repository, "_manifests", digest.Hex()), file); err != nil {
		return err
	}
	if m.Subject != nil && !r.config.WithoutReferrers {
		if err := write(r.repo(repository, "_referrers", m.Subject.Digest.Hex(), digest.Hex()), nil); err != nil {
			return err
		}
		w.Header().Set("OCI-Subject", m.Subject.Digest.String())
	}
	if !byDigest {
		if err := r.setTag(repository, which, digest, request.Header); err != nil {
			return err
		}
	}
	return created(w, path.Join("/v2", repository, "manifests", digest.String()), digest)
}

// setTag points a tag at a manifest, if the request's conditions hold.
func (r *Registry) setTag(repository, tag string, digest subject.Digest, header http.Header) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	// Other processes may serve the same directory.
	lock, err := os.OpenFile(filepath.Join(r.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if !r.config.WithoutConditions {
		now, err := r.resolve(repository, tag)
		missing := err != nil
		match, none := strings.Trim(header.Get("If-Match"), `"`), header.Get("If-None-Match")
		if match != "" && (missing || now.String() != match) || none == "*" && !missing {
			return fail(http.StatusPreconditionFailed, "DENIED", "the tag %s was changed meanwhile", tag)
		}
	}
	return write(r.repo(repository, "_tags", tag), []byte(digest.String()))
}

func (r *Registry) deleteManifest(w http.ResponseWriter, repository, which string) error {
	m, digest, err := r.load(repository, which)
	if err != nil {
		return err
	}
	if _, err := subject.Parse(which); err != nil {
		if err := os.Remove(r.repo(repository, "_tags", which)); err != nil {
			return err
		}
	} else {
		var parsed struct {
			Subject *struct {
				Digest subject.Digest `json:"digest"`
			} `json:"subject"`
		}
		if json.Unmarshal(m.Content, &parsed) == nil && parsed.Subject != nil {
			if err := os.Remove(r.repo(repository, "_referrers", parsed.Subject.Digest.Hex(), digest.Hex())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := os.Remove(r.repo(repository, "_manifests", digest.Hex())); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (r *Registry) tags(w http.ResponseWriter, _ *http.Request, repository string) error {
	entries, err := os.ReadDir(r.repo(repository, "_tags"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(r.repo(repository, "_manifests")); err != nil {
			return fail(http.StatusNotFound, "NAME_UNKNOWN", "no repository %s", repository)
		}
	} else if err != nil {
		return err
	}
	tags := []string{}
	for _, e := range entries {
		if isTag(e.Name()) {
			tags = append(tags, e.Name())
		}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]any{"name": repository, "tags": tags})
}

// descriptor is an entry of the referrers API.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Size         int64             `json:"size"`
	Digest       string            `json:"digest"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

func (r *Registry) referrers(w http.ResponseWriter, request *http.Request, repository, text string) error {
	digest, err := parseDigest(text)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(r.repo(repository, "_referrers", digest.Hex()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	filter := request.URL.Query().Get("artifactType")
	list := []descriptor{}
	for _, e := range entries {
		m, found, err := r.load(repository, "sha256:"+e.Name())
		if err != nil {
			return err
		}
		var parsed struct {
			ArtifactType string `json:"artifactType"`
			Config       struct {
				MediaType string `json:"mediaType"`
			} `json:"config"`
			Annotations map[string]string `json:"annotations"`
		}
		if err := json.Unmarshal(m.Content, &parsed); err != nil {
			return err
		}
		if parsed.ArtifactType == "" {
			parsed.ArtifactType = parsed.Config.MediaType
		}
		if filter != "" && parsed.ArtifactType != filter {
			continue
		}
		list = append(list, descriptor{MediaType: m.MediaType, Size: int64(len(m.Content)), Digest: found.String(),
			ArtifactType: parsed.ArtifactType, Annotations: parsed.Annotations})
	}
	slices.SortFunc(list, func(a, b descriptor) int { return strings.Compare(a.Digest, b.Digest) })
	if filter != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	return json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list})
}

// write replaces a file whole.
func write(target string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(target), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if _, err := temporary.Write(content); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), target)
}
