// Package oci speaks to registries: it resolves tags, moves images, and reads
// and stores the evidence beside them.
//
// Entry points are [New], and of a [Client] Resolve, Image, PushLayout, Tag,
// Evidence, Attach and Remove; [OpenLayout] and [OpenArchive] read images
// from disk. It follows the OCI distribution specification 1.1, and cosign's
// two layouts: Sigstore bundles as referrers, and the ".sig" and ".att" tags.
//
// A tag is resolved once, by Resolve; everything after it names digests, and
// every byte that was asked for by digest is checked against it. An answer
// that is not understood is an error, never "no evidence". Evidence comes back
// as engine/trust wants it: unbelieved.
//
// Plain HTTP is spoken only to loopback and private addresses and to names
// under .local and .localhost, as go-containerregistry has it. Credentials go
// only to the registry that they are for, and to a token service under its own
// registered domain, also after a redirect. No link-local address is dialled,
// and a registry outside cannot lead to an address inside or away from
// encryption. Hosts in Config.Embedded are served in process, without a socket.
//
// Nobody is asked whether he wants credentials: the first request goes without,
// and what was learnt from its answer is kept as long as the Client.
//
// Reading the evidence on a digest takes one request for the listing (two
// where the registry lacks the referrers API), one for each of the two tags,
// two for each bundle and one for each layer of a tag, in three steps (four)
// that each have their requests at once. Storing a bundle about a manifest that
// was resolved takes three, where the registry has the API and takes blobs
// with the first request.
//
// Any number of writers of this package, in one process or many, lose nothing
// of each other's, with and without the API and conditional writes: update
// says how, and what it cannot do about others.
package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Config says how to reach registries. The zero value works for any registry
// with the user's own credentials.
type Config struct {
	// Transport carries requests; nil is one with timeouts.
	Transport http.RoundTripper
	// Embedded maps hosts to handlers that serve them in process.
	Embedded map[string]http.Handler
	// Keychain has the credentials; nil is the Docker configuration's.
	Keychain authn.Keychain
	// UserAgent names the program.
	UserAgent string
}

// Client speaks to registries. It may be used by several goroutines.
type Client struct {
	config    Config
	transport http.RoundTripper

	mutex   sync.Mutex
	hosts   map[string]*host       // by registry
	visits  map[string]*visit      // by repository
	tagLock map[string]*sync.Mutex // by repository and tag
}

// New makes a client; it contacts nothing.
func New(config Config) *Client {
	if config.Keychain == nil {
		config.Keychain = authn.DefaultKeychain
	}
	if config.UserAgent == "" {
		config.UserAgent = "assay"
	}
	inner := config.Transport
	if inner == nil {
		inner = defaultTransport()
	}
	return &Client{config: config, transport: &embedded{inner: inner, hosts: config.Embedded},
		hosts: map[string]*host{}, visits: map[string]*visit{}, tagLock: map[string]*sync.Mutex{}}
}

func defaultTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: refuseLinkLocal}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   2 * parallel,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
	}
}

// Platform is one manifest of an image index.
type Platform struct {
	// Name is "linux/amd64", or with a variant "linux/arm/v7".
	Name      string
	Digest    subject.Digest
	MediaType string
	Size      int64
}

// Resolved is a reference whose tag was looked up, once.
type Resolved struct {
	// Reference is what was asked for.
	Reference string
	// Registry and Repository are normalised ("index.docker.io",
	// "library/python"), Tag is "" where the reference had none.
	Registry, Repository, Tag string
	Digest                    subject.Digest
	MediaType                 string
	Size                      int64
	// Index says that this is an image index; Platforms are its manifests,
	// without those that hold a builder's attestations.
	Index     bool
	Platforms []Platform
}

// Name is the repository with its registry: "registry.example.com/team/app".
func (r Resolved) Name() string { return r.Registry + "/" + r.Repository }

// Pinned is the reference with the digest that was found.
func (r Resolved) Pinned() string {
	if r.Tag != "" {
		return r.Name() + ":" + r.Tag + "@" + r.Digest.String()
	}
	return r.Name() + "@" + r.Digest.String()
}

// parsed is a reference in its parts.
type parsed struct {
	repository name.Repository
	tag        string
	digest     subject.Digest
}

// Parse splits a reference without asking anybody: Digest is zero where it has
// none, and nothing is known of the manifest. Spellings of one host become one:
// capital letters, the port 443, and Docker Hub's other names.
func Parse(reference string) (Resolved, error) {
	p, err := parse(reference)
	if err != nil {
		return Resolved{}, err
	}
	return Resolved{Reference: reference, Registry: p.repository.RegistryStr(), Repository: p.repository.RepositoryStr(), Tag: p.tag, Digest: p.digest}, nil
}

// oneSpelling writes the host of a reference as it is compared with policies.
func oneSpelling(reference string) string {
	host, rest, found := strings.Cut(reference, "/")
	if !found || !strings.ContainsAny(host, ".:") && !strings.EqualFold(host, "localhost") {
		return reference // no host; Docker Hub's
	}
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	switch host {
	case "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com":
		host = "docker.io"
	}
	return host + "/" + rest
}

func parse(written string) (parsed, error) {
	reference := oneSpelling(written)
	ref, err := name.ParseReference(reference)
	if err != nil {
		return parsed{}, fmt.Errorf("%q is no image reference: %w", written, err)
	}
	if err := checkName(ref.Context()); err != nil {
		return parsed{}, fmt.Errorf("%q is no image reference: %w", written, err)
	}
	p := parsed{repository: ref.Context()}
	switch ref := ref.(type) {
	case name.Digest:
		if p.digest, err = subject.Parse(ref.DigestStr()); err != nil {
			return parsed{}, fmt.Errorf("%q: %w", written, err)
		}
		base, _, _ := strings.Cut(reference, "@")
		if tag, err := name.NewTag(base); err == nil && strings.HasSuffix(base, ":"+tag.TagStr()) {
			p.tag = tag.TagStr()
		}
	case name.Tag:
		p.tag = ref.TagStr()
	}
	return p, nil
}

func parseRepository(repository string) (name.Repository, error) {
	repo, err := name.NewRepository(oneSpelling(repository))
	if err == nil {
		err = checkName(repo)
	}
	if err != nil {
		return name.Repository{}, fmt.Errorf("%q is no repository: %w", repository, err)
	}
	return repo, nil
}

// repositoryName is the distribution specification's grammar.
var repositoryName = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)

// checkName refuses what go-containerregistry lets through: "team/../other"
// matches a policy's "team/*", and a registry may take it for "other".
func checkName(repo name.Repository) error {
	if !repositoryName.MatchString(repo.RepositoryStr()) {
		return fmt.Errorf("%q is not a name by the distribution specification", repo.RepositoryStr())
	}
	return nil
}

// manifestTypes are what a manifest request accepts.
const manifestTypes = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

// Resolve finds the digest that a reference means now, and for an index its
// platforms. A reference with a digest is fetched by it, its tag is kept as a
// label. The manifest's bytes are hashed here; what the registry says of their
// digest must agree.
func (c *Client) Resolve(ctx context.Context, reference string) (Resolved, error) {
	p, err := parse(reference)
	if err != nil {
		return Resolved{}, err
	}
	resolved := Resolved{Reference: reference, Registry: p.repository.RegistryStr(), Repository: p.repository.RepositoryStr(), Tag: p.tag}
	which := p.tag
	if !p.digest.IsZero() {
		which = p.digest.String()
	}
	manifest, err := c.manifest(ctx, p.repository, which)
	if err != nil {
		return Resolved{}, fmt.Errorf("resolving %s: %w", reference, err)
	}
	resolved.Digest, resolved.MediaType, resolved.Size = manifest.digest, manifest.mediaType, int64(len(manifest.content))
	if !types.MediaType(manifest.mediaType).IsIndex() {
		if !types.MediaType(manifest.mediaType).IsImage() {
			return Resolved{}, fmt.Errorf("resolving %s: %s is no image", reference, manifest.mediaType)
		}
		return resolved, nil
	}
	resolved.Index = true
	if resolved.Platforms, err = platforms(manifest.content); err != nil {
		return Resolved{}, fmt.Errorf("resolving %s: %w", reference, err)
	}
	return resolved, nil
}

func platforms(content []byte) ([]Platform, error) {
	index, err := v1.ParseIndexManifest(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("reading the image index: %w", err)
	}
	if len(index.Manifests) > limit.Platforms {
		return nil, &limit.Error{What: "the image index", Bound: limit.Platforms, Unit: "manifests"}
	}
	var list []Platform
	for _, m := range index.Manifests {
		if m.MediaType.IsIndex() {
			// A runtime may follow it, to something that was never judged.
			return nil, fmt.Errorf("reading the image index: %s in it is an index itself, which is not followed", m.Digest)
		}
		if !m.MediaType.IsImage() || m.Platform != nil && m.Platform.OS == "unknown" && m.Platform.Architecture == "unknown" {
			continue // a builder's attestations are no image that could run
		}
		digest, err := subject.Parse(m.Digest.String())
		if err != nil {
			return nil, fmt.Errorf("reading the image index: %w", err)
		}
		p := Platform{Digest: digest, MediaType: string(m.MediaType), Size: m.Size, Name: digest.Short()}
		if m.Platform != nil {
			p.Name = strings.TrimSuffix(strings.Join([]string{m.Platform.OS, m.Platform.Architecture, m.Platform.Variant}, "/"), "/")
		}
		list = append(list, p)
	}
	return list, nil
}

// fetched is a manifest whose digest was computed here.
type fetched struct {
	content   []byte
	mediaType string
	digest    subject.Digest
}

func (c *Client) manifest(ctx context.Context, repo name.Repository, which string) (fetched, error) {
	response, err := c.do(ctx, repo, transport.PullScope, http.MethodGet, "manifests/"+which, map[string]string{"Accept": manifestTypes}, nil)
	if err != nil {
		return fetched{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fetched{}, answer(response, repo.Name()+" manifest "+which)
	}
	content, err := limit.ReadAll(response.Body, "the manifest of "+repo.Name()+" "+which, limit.Manifest)
	if err != nil {
		return fetched{}, err
	}
	if response.ContentLength >= 0 && int64(len(content)) != response.ContentLength {
		return fetched{}, fmt.Errorf("the manifest of %s %s ends early", repo.Name(), which)
	}
	m := fetched{content: content, digest: subject.Of(content)}
	for _, want := range []string{response.Header.Get("Docker-Content-Digest"), which} {
		digest, err := subject.Parse(want)
		if err != nil || digest.Algorithm() != m.digest.Algorithm() {
			if want == which && err == nil {
				return fetched{}, fmt.Errorf("%s: only sha256 digests can be checked here", want)
			}
			continue
		}
		if digest != m.digest {
			return fetched{}, fmt.Errorf("%s %s: the registry sent %s instead of %s", repo.Name(), which, m.digest, digest)
		}
	}
	if m.mediaType, err = mediaType(content, response.Header.Get("Content-Type")); err != nil {
		return fetched{}, fmt.Errorf("%s manifest %s: %w", repo.Name(), which, err)
	}
	return m, nil
}

// mediaType is what the manifest says of itself, or else the registry's word.
func mediaType(content []byte, header string) (string, error) {
	var m struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return "", fmt.Errorf("it is not JSON: %w", err)
	}
	if m.MediaType != "" {
		return m.MediaType, nil
	}
	header, _, _ = strings.Cut(header, ";")
	return strings.TrimSpace(header), nil
}

func (c *Client) options(ctx context.Context, repo name.Repository) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithTransport(c.guarded(repo, c.transport)),
		remote.WithAuthFromKeychain(c.config.Keychain), remote.WithUserAgent(c.config.UserAgent)}
}

// Image opens the image with this digest in the reference's repository; its
// layers are fetched when they are read, and checked. platform picks from an
// index ("linux/amd64").
func (c *Client) Image(ctx context.Context, resolved Resolved, platform string) (v1.Image, error) {
	repo, err := parseRepository(resolved.Name())
	if err != nil {
		return nil, err
	}
	digest := resolved.Digest
	if resolved.Index {
		i := slices.IndexFunc(resolved.Platforms, func(p Platform) bool { return p.Name == platform })
		if i < 0 {
			var names []string
			for _, p := range resolved.Platforms {
				names = append(names, p.Name)
			}
			return nil, fmt.Errorf("%s has no %s; it has %s", resolved.Pinned(), platform, strings.Join(names, ", "))
		}
		digest = resolved.Platforms[i].Digest
	}
	image, err := remote.Image(repo.Digest(digest.String()), c.options(ctx, repo)...)
	if err != nil {
		return nil, fmt.Errorf("opening %s@%s: %w", repo, digest, err)
	}
	return image, nil
}

// Tag points a tag at a manifest that is in the repository.
func (c *Client) Tag(ctx context.Context, repository string, digest subject.Digest, tag string) error {
	repo, err := parseRepository(repository)
	if err != nil {
		return err
	}
	if _, err := name.NewTag(repository + ":" + tag); err != nil {
		return fmt.Errorf("%q is no tag: %w", tag, err)
	}
	manifest, err := c.manifest(ctx, repo, digest.String())
	if err != nil {
		return fmt.Errorf("tagging %s: %w", repository, err)
	}
	if _, err := c.putManifest(ctx, repo, tag, manifest.mediaType, manifest.content, ""); err != nil {
		return fmt.Errorf("tagging %s: %w", repository, err)
	}
	return nil
}
