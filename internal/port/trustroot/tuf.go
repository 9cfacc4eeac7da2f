package trustroot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	tufconfig "github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Public is the TUF repository of the public Sigstore.
const Public = tuf.DefaultMirror

// The targets that are fetched.
const (
	rootTarget          = "trusted_root.json"
	signingConfigTarget = "signing_config.v0.2.json"
)

const (
	attempts  = 3
	redirects = 5
	patience  = time.Minute
)

// Config is how a TUF repository is asked. Now must be there.
type Config struct {
	// Mirror is the repository: a URL, or a directory; "" is Public.
	Mirror string
	// Root is the repository's root.json that is trusted; nil for Public's
	// that is built in. Others need one.
	Root []byte
	// Replace takes the place of what is there, and forgets what its
	// repository said.
	Replace bool
	// Now is when metadata must not have expired.
	Now time.Time
	// Transport carries requests; nil is one with timeouts.
	Transport http.RoundTripper
	// UserAgent names the program.
	UserAgent string
	// Wait waits between two attempts; nil is a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// Fetch gets material from a TUF repository for the first time.
func Fetch(ctx context.Context, dir string, config Config) (Material, error) {
	if config.Mirror == "" {
		config.Mirror = Public
	}
	if config.Root == nil {
		if strings.TrimSuffix(config.Mirror, "/") != Public {
			return Material{}, fmt.Errorf("the TUF repository %s needs its root.json, had in a way that is trusted", config.Mirror)
		}
		config.Root = tuf.DefaultRoot()
	}
	unlock, err := lock(dir)
	if err != nil {
		return Material{}, err
	}
	defer unlock()
	if err := absent(dir, config.Replace); err != nil {
		return Material{}, err
	}
	return fetch(ctx, dir, config, false)
}

// Update gets newer material from where Fetch got it. An older answer than
// the last one is refused. old is what was there before.
func Update(ctx context.Context, dir string, config Config) (now, old Material, err error) {
	unlock, err := lock(dir)
	if err != nil {
		return Material{}, Material{}, err
	}
	defer unlock()
	old, source, err := Load(dir)
	if err != nil {
		return Material{}, Material{}, err
	}
	if source.Mirror == "" {
		return Material{}, Material{}, fmt.Errorf("%s holds files that were handed over; nobody is known to have newer ones", dir)
	}
	config.Mirror = source.Mirror
	if config.Root, err = read(filepath.Join(dir, metadataDir, "root.json")); err != nil {
		return Material{}, Material{}, fmt.Errorf("what the TUF repository %s said before is lost: %w", source.Mirror, err)
	}
	now, err = fetch(ctx, dir, config, true)
	return now, old, err
}

// fetch works on a copy of what the repository said before, and puts all in
// place at the end.
func fetch(ctx context.Context, dir string, config Config, known bool) (Material, error) {
	if config.Now.IsZero() {
		return Material{}, errors.New("trustroot: a clock is needed")
	}
	staging, err := os.MkdirTemp(dir, ".tuf.*")
	if err != nil {
		return Material{}, err
	}
	defer os.RemoveAll(staging)
	if known {
		if err := os.CopyFS(staging, os.DirFS(filepath.Join(dir, metadataDir))); err != nil {
			return Material{}, err
		}
		// A file that was damaged would count as none, and anything older as new.
		for _, role := range []string{metadata.TIMESTAMP, metadata.SNAPSHOT} {
			if err := intact(staging, role); err != nil {
				return Material{}, fmt.Errorf("what the TUF repository %s said before is damaged: %w", config.Mirror, err)
			}
		}
	}
	m, err := download(ctx, staging, config)
	if err != nil {
		return Material{}, fmt.Errorf("TUF repository %s: %w", config.Mirror, err)
	}
	if err := m.check(); err != nil {
		return Material{}, fmt.Errorf("TUF repository %s: %w", config.Mirror, err)
	}
	said := map[string][]byte{}
	for _, role := range []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS} {
		if said[role+".json"], err = read(filepath.Join(staging, role+".json")); err != nil {
			return Material{}, err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, metadataDir), 0o755); err != nil {
		return Material{}, err
	}
	source, err := json.Marshal(Source{Mirror: config.Mirror, Fetched: config.Now.UTC()})
	if err != nil {
		return Material{}, err
	}
	// Whatever is cut off here: what the repository said comes first, and the
	// next update fetches the rest.
	if err := place(filepath.Join(dir, metadataDir), said); err != nil {
		return Material{}, err
	}
	if err := store(dir, m); err != nil {
		return Material{}, err
	}
	return m, place(dir, map[string][]byte{sourceFile: source})
}

func intact(dir, role string) error {
	content, err := read(filepath.Join(dir, role+".json"))
	if err != nil {
		return err
	}
	var signed struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	if err := json.Unmarshal(content, &signed); err != nil || signed.Signed.Version < 1 {
		return fmt.Errorf("%s.json is no TUF metadata", role)
	}
	return nil
}

func download(ctx context.Context, staging string, config Config) (Material, error) {
	settings, err := tufconfig.New(config.Mirror, config.Root)
	if err != nil {
		return Material{}, err
	}
	source, err := newFetcher(ctx, config)
	if err != nil {
		return Material{}, err
	}
	settings.LocalMetadataDir, settings.LocalTargetsDir = staging, filepath.Join(staging, "targets")
	settings.RemoteTargetsURL = strings.TrimSuffix(config.Mirror, "/") + "/targets"
	settings.Fetcher = source
	client, err := updater.New(settings)
	if err != nil {
		return Material{}, fmt.Errorf("its root.json: %w", err)
	}
	client.UnsafeSetRefTime(config.Now)
	if err := client.Refresh(); err != nil {
		return Material{}, err
	}
	var m Material
	if m.Root, err = target(client, rootTarget); err != nil {
		return Material{}, err
	}
	top := client.GetTrustedMetadataSet().Targets[metadata.TARGETS].Signed
	if _, listed := top.Targets[signingConfigTarget]; listed || top.Delegations != nil && len(top.Delegations.Roles) > 0 {
		if m.SigningConfig, err = target(client, signingConfigTarget); err != nil {
			return Material{}, err
		}
	}
	return m, nil
}

func target(client *updater.Updater, name string) ([]byte, error) {
	info, err := client.GetTargetInfo(name)
	if err != nil {
		return nil, err
	}
	if info.Length > limit.TrustedRoot {
		return nil, &limit.Error{What: name, Bound: limit.TrustedRoot, Unit: "bytes"}
	}
	_, content, err := client.DownloadTarget(info, "", "")
	return content, err
}

// fetcher reads a repository for one run of the updater, which has no context
// of its own.
type fetcher struct {
	ctx    context.Context
	config Config
	http   *http.Client
}

func newFetcher(ctx context.Context, config Config) (*fetcher, error) {
	f := &fetcher{ctx: ctx, config: config}
	if f.config.Wait == nil {
		f.config.Wait = wait
	}
	if !strings.Contains(config.Mirror, "://") {
		return f, nil
	}
	base, err := url.Parse(config.Mirror)
	if err != nil || base.Host == "" || base.User != nil || base.Scheme != "https" && base.Scheme != "http" {
		return nil, errors.New("want https://HOST/… without a password, or a directory")
	}
	if config.Transport == nil {
		config.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 30 * time.Second,
		}
	}
	f.http = &http.Client{Transport: config.Transport, Timeout: patience, CheckRedirect: func(request *http.Request, via []*http.Request) error {
		if len(via) > redirects || request.URL.Host != base.Host {
			return fmt.Errorf("it redirects to another host, %.200s, or too often; refused", request.URL.Host)
		}
		return nil
	}}
	return f, nil
}

// DownloadFile reads one file of at most max bytes.
func (f *fetcher) DownloadFile(name string, max int64, _ time.Duration) ([]byte, error) {
	if f.http == nil {
		return f.local(name, max)
	}
	for attempt := 1; ; attempt++ {
		content, again, err := f.once(name, max)
		if err == nil || !again || attempt == attempts || f.ctx.Err() != nil {
			return content, err
		}
		if err := f.config.Wait(f.ctx, time.Second<<(attempt-1)); err != nil {
			return nil, err
		}
	}
}

func (f *fetcher) local(name string, max int64) ([]byte, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) { // the updater knows only HTTP's word for it
		return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: name}
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return limit.ReadAll(file, name, max)
}

func (f *fetcher) once(name string, max int64) (content []byte, again bool, err error) {
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, false, err
	}
	if f.config.UserAgent != "" {
		request.Header.Set("User-Agent", f.config.UserAgent)
	}
	response, err := f.http.Do(request)
	if err != nil {
		return nil, true, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests,
			&metadata.ErrDownloadHTTP{StatusCode: response.StatusCode, URL: name}
	}
	content, err = limit.ReadAll(response.Body, name, max)
	var over *limit.Error
	return content, err != nil && !errors.As(err, &over), err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
