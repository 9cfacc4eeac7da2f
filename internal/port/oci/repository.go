package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Repository is one repository of a registry as a place to copy from and to.
// It may be used by several goroutines.
type Repository struct {
	client *Client
	repo   name.Repository
	label  string
}

// Repository gives a place by its name with the registry in it and neither tag
// nor digest; it contacts nothing.
func (c *Client) Repository(repository string) (*Repository, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return nil, err
	}
	return &Repository{client: c, repo: repo, label: repo.Name()}, nil
}

// String names the place for people.
func (r *Repository) String() string { return r.label }

// Manifest reads a manifest or an index by tag or digest; IsNotFound tells that
// there is none.
func (r *Repository) Manifest(ctx context.Context, which string) (Manifest, error) {
	f, err := r.client.manifest(ctx, r.repo, which)
	if err != nil {
		return Manifest{}, err
	}
	m, err := parseManifest(f)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", r, &ContentError{err})
	}
	return m, nil
}

// ContentError says that what a place has is not what it should be: a manifest
// that cannot be read, a blob of another size or digest than is listed.
type ContentError struct{ err error }

// Error says what is wrong.
func (e *ContentError) Error() string { return fmt.Sprint(e.err) }

// Unwrap gives the cause.
func (e *ContentError) Unwrap() error { return e.err }

// Referrers lists what says that it refers to a digest, by the referrers API or
// else the fallback tag. Nothing in the list was checked.
func (r *Repository) Referrers(ctx context.Context, digest subject.Digest) ([]Descriptor, error) {
	list, err := r.client.referrers(ctx, r.repo, digest)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if err := checkDescriptor(d); err != nil {
			return nil, fmt.Errorf("the list of referrers of %s@%s: %w", r, digest, err)
		}
	}
	return describe(list), nil
}

// Blob reads a blob; its last bytes come only if all were those of its digest
// and size, and otherwise an error.
func (r *Repository) Blob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	response, err := r.client.do(ctx, r.repo, transport.PullScope, http.MethodGet, "blobs/"+d.Digest.String(), nil, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, answer(response, r.label+" blob "+d.Digest.String())
	}
	if n := response.ContentLength; n >= 0 && n != d.Size {
		response.Body.Close()
		return nil, &ContentError{fmt.Errorf("%s blob %s has %d bytes, and its descriptor says %d", r.label, d.Digest, n, d.Size)}
	}
	return checkedBlob(response.Body, r.label, d), nil
}

// checked is a reader of content that is known by digest and size.
type checked struct {
	io.Closer
	r    io.Reader
	hash hash.Hash
	left int64
	what string
	want Descriptor
}

func checkedBlob(r io.ReadCloser, place string, d Descriptor) io.ReadCloser {
	return &checked{Closer: r, r: r, hash: sha256.New(), left: d.Size, what: place + " blob " + d.Digest.String(), want: d}
}

// Read passes on what was read, the last of it once the digest was compared.
func (c *checked) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	var err error
	if c.left > 0 {
		n, err = c.r.Read(p[:min(int64(len(p)), c.left)])
		c.hash.Write(p[:n])
		c.left -= int64(n)
		if c.left > 0 {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return 0, fmt.Errorf("%s ends early: %d of its %d bytes are missing", c.what, c.left, c.want.Size)
			}
			if err != nil {
				return 0, fmt.Errorf("%s: %w", c.what, err)
			}
			return n, nil
		}
	}
	if n == 0 && c.want.Size > 0 {
		return 0, io.EOF // the end was checked
	}
	var more [1]byte
	switch extra, err := io.ReadFull(c.r, more[:]); {
	case extra > 0:
		return 0, &ContentError{fmt.Errorf("%s is longer than the %d bytes that its descriptor says", c.what, c.want.Size)}
	case !errors.Is(err, io.EOF):
		return 0, fmt.Errorf("%s: %w", c.what, err)
	}
	if sum := hex.EncodeToString(c.hash.Sum(nil)); sum != c.want.Digest.Hex() {
		return 0, &ContentError{fmt.Errorf("%s: what was sent has the digest sha256:%s", c.what, sum)}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Transfer says how content came to its destination.
type Transfer uint8

// The ways: it was there, the registry took it over from another of its
// repositories, or its bytes were sent.
const (
	There Transfer = iota
	Mounted
	Sent
)

// Origin is where the bytes of a blob come from. Repository is set where that
// is a registry's: one registry can take a blob over by itself.
type Origin struct {
	Repository string
	Open       func() (io.ReadCloser, error)
}

// Origin is this place as a blob's origin.
func (r *Repository) Origin(ctx context.Context, d Descriptor) Origin {
	return Origin{Repository: r.label, Open: func() (io.ReadCloser, error) { return r.Blob(ctx, d) }}
}

// PutBlob stores a blob that is not there yet. Nothing is held in memory; an
// upload that breaks because the registry stumbles is begun anew.
func (r *Repository) PutBlob(ctx context.Context, d Descriptor, from Origin) (Transfer, error) {
	response, err := r.client.do(ctx, r.repo, transport.PushScope, http.MethodHead, "blobs/"+d.Digest.String(), nil, nil)
	if err != nil {
		return 0, err
	}
	response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return There, nil
	case http.StatusNotFound:
	default:
		return 0, answer(response, "asking "+r.label+" for the blob "+d.Digest.String())
	}
	for try := 1; ; try++ {
		how, err := r.send(ctx, d, from)
		if err == nil || !mayPass(err) || try == tries || ctx.Err() != nil {
			return how, err
		}
	}
}

// send has the registry take a blob over from another repository, or sends it.
func (r *Repository) send(ctx context.Context, d Descriptor, from Origin) (Transfer, error) {
	path := "blobs/uploads/"
	if other, err := name.NewRepository(from.Repository); err == nil && other.RegistryStr() == r.repo.RegistryStr() && other != r.repo {
		path += "?" + url.Values{"mount": {d.Digest.String()}, "from": {other.RepositoryStr()}}.Encode()
	}
	response, err := r.client.do(ctx, r.repo, transport.PushScope, http.MethodPost, path, nil, nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusCreated:
		return Mounted, stored(response, r.repo, d.Digest)
	case http.StatusAccepted:
	default:
		return 0, answer(response, "beginning an upload to "+r.label)
	}
	location, err := uploadLocation(response, r.repo)
	if err != nil {
		return 0, err
	}
	query := location.Query()
	query.Set("digest", d.Digest.String())
	location.RawQuery = query.Encode()
	return Sent, r.stream(ctx, location.String(), d, from)
}

// stream sends a blob's bytes as they are read.
func (r *Repository) stream(ctx context.Context, target string, d Descriptor, from Origin) error {
	source := &failing{}
	defer source.Close()
	response, err := r.client.sendOnce(ctx, r.repo, transport.PushScope, func() (*http.Request, error) {
		if err := source.open(from); err != nil {
			return nil, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, target, source)
		if err != nil {
			return nil, err
		}
		if request.ContentLength = d.Size; d.Size == 0 {
			request.Body = http.NoBody
		}
		request.Header.Set("Content-Type", "application/octet-stream")
		return request, nil
	})
	if source.err != nil { // what went wrong first
		if err == nil {
			response.Body.Close()
		}
		return source.err
	}
	if err != nil {
		return fmt.Errorf("uploading %s to %s: %w", d.Digest, r, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return answer(response, "uploading "+d.Digest.String()+" to "+r.label)
	}
	return stored(response, r.repo, d.Digest)
}

// failing keeps the error that reading ended with.
type failing struct {
	io.ReadCloser
	err error
}

// open begins to read, anew where it was begun.
func (f *failing) open(from Origin) error {
	if err := f.Close(); err != nil {
		return err
	}
	content, err := from.Open()
	if err != nil {
		f.err = err
		return err
	}
	f.ReadCloser = content
	return nil
}

// Close ends the reading; more than once does no harm.
func (f *failing) Close() error {
	if f.ReadCloser == nil {
		return nil
	}
	content := f.ReadCloser
	f.ReadCloser = nil
	return content.Close()
}

// Read keeps an error that is not the end.
func (f *failing) Read(p []byte) (int, error) {
	content := f.ReadCloser
	if content == nil {
		return 0, fs.ErrClosed
	}
	n, err := content.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// PutManifest stores a manifest by its digest, byte for byte. again writes it
// also where it is there: a registry lists a referrer when it is written.
// listed says that the registry said that it does.
func (r *Repository) PutManifest(ctx context.Context, m Manifest, again bool) (how Transfer, listed bool, err error) {
	response, err := r.client.do(ctx, r.repo, transport.PushScope, http.MethodHead, "manifests/"+m.Digest.String(), map[string]string{"Accept": manifestTypes}, nil)
	if err != nil {
		return 0, false, err
	}
	response.Body.Close()
	how = Sent
	switch response.StatusCode {
	case http.StatusOK:
		if how = There; !again {
			return There, false, nil
		}
	case http.StatusNotFound:
	default:
		return 0, false, answer(response, "asking "+r.label+" for the manifest "+m.Digest.String())
	}
	said, err := r.client.putManifest(ctx, r.repo, m.Digest.String(), m.MediaType, m.Content, "")
	return how, !m.Subject.IsZero() && said == m.Subject.String(), err
}

// List makes referrers findable that the registry did not say that it lists
// itself, and keeps what is listed already.
func (r *Repository) List(ctx context.Context, about subject.Digest, referrers []Descriptor) error {
	list, supported, err := r.client.referrersAPI(ctx, r.repo, about)
	if err != nil {
		return err
	}
	if supported {
		if missing := missingFrom(list, referrers); len(missing) > 0 {
			return fmt.Errorf("%s has a referrers API and does not list %s, which was just pushed", r, missing[0].Digest)
		}
		return nil
	}
	return r.client.updateIndex(ctx, r.repo, fallbackTag(about), func(list []descriptor) ([]descriptor, error) {
		list = append(slices.Clip(list), missingFrom(list, referrers)...)
		if len(list) > limit.Referrers {
			return nil, &limit.Error{What: "the list of referrers with those that are copied", Bound: limit.Referrers, Unit: "entries"}
		}
		return list, nil
	})
}

// Merge makes a ".sig" or ".att" tag hold the layers of m, whose blobs are
// there, and keeps what it holds already. Where there is none, m is stored byte
// for byte. It gives how many layers are new.
func (r *Repository) Merge(ctx context.Context, tag string, m Manifest) (added int, err error) {
	err = r.client.update(ctx, r.repo, tag, func(ctx context.Context) (revision, error) {
		have, before, err := r.client.attachments(ctx, r.repo, tag)
		switch {
		case err != nil:
			return revision{}, err
		case before == m.Digest:
			return revision{before: before, done: true}, nil
		case before.IsZero():
			added = len(m.Layers())
			return revision{mediaType: m.MediaType, content: m.Content}, nil
		}
		missing := missingLayers(have.Layers, m.Layers())
		if len(missing) == 0 {
			return revision{before: before, done: true}, nil
		}
		added = len(missing)
		merged, config, err := withLayers(have, missing, tag)
		if err == nil {
			err = r.client.upload(ctx, r.repo, config)
		}
		return revision{mediaType: merged.mediaType, content: merged.content, before: before}, err
	})
	if err != nil {
		return 0, fmt.Errorf("%s:%s: %w", r, tag, err)
	}
	return added, nil
}

// Publish does the same as Name, and nothing for the tag "".
func (r *Repository) Publish(ctx context.Context, m Manifest, tag string, was subject.Digest) error {
	if tag == "" {
		return nil
	}
	return r.Name(ctx, m, tag, was)
}

// Name points a tag at a manifest whose content is there. was is what the tag
// pointed to when it was looked at, zero where it was not there: a registry
// that knows conditional writes refuses if that changed.
func (r *Repository) Name(ctx context.Context, m Manifest, tag string, was subject.Digest) error {
	if _, err := name.NewTag(r.repo.Name() + ":" + tag); err != nil {
		return fmt.Errorf("%q is no tag: %w", tag, err)
	}
	condition := "*"
	if !was.IsZero() {
		condition = was.String()
	}
	put := func(condition string) error {
		_, err := r.client.putManifest(ctx, r.repo, tag, m.MediaType, m.Content, condition)
		return err
	}
	err := put(condition)
	if errors.Is(err, errLost) {
		// Some refuse every condition; then what is there now says whether it held.
		now, readErr := r.client.manifest(ctx, r.repo, tag)
		switch {
		case readErr == nil && now.digest == m.Digest:
			return nil
		case readErr == nil && now.digest == was || IsNotFound(readErr) && was.IsZero():
			err = put("")
		default:
			return fmt.Errorf("%s:%s was moved by somebody else meanwhile, and was left alone", r, tag)
		}
	}
	if err != nil {
		return fmt.Errorf("tagging %s:%s: %w", r, tag, err)
	}
	return nil
}

// ociIndexType is the media type of a fallback list.
const ociIndexType = "application/vnd.oci.image.index.v1+json"
