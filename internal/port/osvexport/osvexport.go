// Package osvexport fetches OSV's exports, and what is known of attacks, from
// where they are published or from a mirror.
//
// Entry points are [New] and of a [Client] Changes, Export, Record and Feed. A
// mirror is an HTTP server, a file:// URL or a directory, laid out like
// OSV's bucket: <ecosystem>/all.zip, <ecosystem>/modified_id.csv and
// <ecosystem>/<id>.json (https://google.github.io/osv.dev/data/).
//
// What a server says of what it sends is held against it: Content-Length,
// and the CRC-32C of x-goog-hash. A download that ends early, stalls, or meets
// a server that stumbles is tried again a few times, from its beginning.
// Redirects are followed to the same host, or to https. Nothing is taken that
// is larger than its bound. The package decodes what it needs to check and
// keeps nothing.
package osvexport

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// Default is OSV's own bucket.
const Default = "https://osv-vulnerabilities.storage.googleapis.com"

const (
	attempts  = 5
	redirects = 5
	// longestWait bounds what a server may ask to be waited for.
	longestWait = time.Minute
)

// Config says where exports are. The zero value is OSV's bucket.
type Config struct {
	// Base is an http, https or file URL, or a directory.
	Base string
	// Transport carries requests; nil is one with timeouts.
	Transport http.RoundTripper
	// UserAgent names the program.
	UserAgent string
	// Wait waits between two attempts; nil is a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// Stall is how long a server may send nothing; 0 is a minute.
	Stall time.Duration
	// Progress is told how many bytes of what came; total is -1 where the
	// server did not say. nil tells nobody.
	Progress func(what string, done, total int64)
}

// Client fetches. It may be used by several goroutines if Config.Progress may.
type Client struct {
	config Config
	base   *url.URL // nil for a directory
	dir    string
	http   *http.Client
}

// Answer is what a source says of what it sent.
type Answer struct {
	// Tag is what it calls this version (ETag), "" for nothing.
	Tag string
	// Modified is when it changed last by the source's own word, UTC; zero
	// where there is none. A directory's dates say nothing: copying makes them.
	Modified time.Time
	// Unchanged says that it is what the tag asked about, and was not sent.
	Unchanged bool
}

// NotFoundError says that a source does not have something.
type NotFoundError struct{ What string }

// Error names it.
func (e *NotFoundError) Error() string { return e.What + " is not there" }

// BrokenError says that a record came whole and cannot be read.
type BrokenError struct{ Err error }

// Error names the record and what is wrong with it.
func (e *BrokenError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

// New checks the base; it contacts nothing.
func New(config Config) (*Client, error) {
	if config.Base == "" {
		config.Base = Default
	}
	if config.Wait == nil {
		config.Wait = wait
	}
	if config.Stall == 0 {
		config.Stall = time.Minute
	}
	if config.Progress == nil {
		config.Progress = func(string, int64, int64) {}
	}
	if config.Transport == nil {
		config.Transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       30 * time.Second,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: time.Minute,
		}
	}
	c := &Client{config: config, http: &http.Client{Transport: config.Transport, CheckRedirect: checkRedirect}}
	if !strings.Contains(config.Base, "://") {
		c.dir = config.Base
		return c, nil
	}
	base, err := url.Parse(strings.TrimSuffix(config.Base, "/"))
	if err != nil {
		return nil, fmt.Errorf("the source of advisories %s: this is no URL", Public(config.Base))
	}
	switch {
	case base.Scheme == "file" && (base.Host == "" || base.Host == "localhost"):
		c.dir = base.Path
	case (base.Scheme == "https" || base.Scheme == "http") && base.Host != "":
		c.base = base
	default:
		return nil, fmt.Errorf("the source of advisories %s: want an http, https or file URL, or a directory", Public(config.Base))
	}
	return c, nil
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

// checkRedirect lets nobody lead to another host without encryption, or away
// from it.
func checkRedirect(request *http.Request, via []*http.Request) error {
	from := via[0].URL
	same := strings.EqualFold(request.URL.Host, from.Host) && request.URL.Scheme == from.Scheme
	switch {
	case len(via) > redirects:
		return fmt.Errorf("%s leads on and on", from.Host)
	case request.URL.Scheme != "https" && !same:
		return fmt.Errorf("%s leads to %s without encryption, which is not followed", from.Host, request.URL.Host)
	}
	return nil
}

// Base is the source's name, without secrets.
func (c *Client) Base() string { return Public(c.config.Base) }

// Public is a location as it may be printed, kept and shipped: a URL's password
// and user, and its query, which may be a signature, are "****".
func Public(location string) string {
	if !strings.Contains(location, "://") {
		return location
	}
	u, err := url.Parse(location)
	if err != nil {
		scheme, _, _ := strings.Cut(location, "://")
		return scheme + "://****"
	}
	if u.User != nil {
		u.User = url.User("****")
	}
	if u.RawQuery != "" {
		u.RawQuery = "****"
	}
	u.Fragment, u.RawFragment = "", ""
	return strings.Replace(u.String(), "%2A%2A%2A%2A@", "****@", 1)
}

// Changes lists what changed in an ecosystem. tag asks only whether that is
// another version than the tag's; "" asks for it.
func (c *Client) Changes(ctx context.Context, ecosystem, tag string) (osv.Changes, Answer, error) {
	content, answer, err := c.small(ctx, []string{ecosystem, "modified_id.csv"}, tag, limit.ExportChanges)
	if err != nil || answer.Unchanged {
		return osv.Changes{}, answer, err
	}
	changes, err := osv.DecodeChanges(bytes.NewReader(content), c.where(ecosystem, "modified_id.csv"))
	return changes, answer, err
}

// Export writes the zip of all of an ecosystem's records to a file, which is
// emptied first.
func (c *Client) Export(ctx context.Context, ecosystem, tag string, file *os.File) (Answer, error) {
	return c.into(ctx, []string{ecosystem, "all.zip"}, tag, limit.Export, file)
}

// Record fetches one record.
func (c *Client) Record(ctx context.Context, ecosystem, id string) (osv.Record, error) {
	content, _, err := c.small(ctx, []string{ecosystem, id + ".json"}, "", limit.Advisory)
	if err != nil {
		return osv.Record{}, err
	}
	where := c.where(ecosystem, id+".json")
	record, err := osv.Decode(bytes.NewReader(content), where)
	if err != nil {
		return osv.Record{}, &BrokenError{err}
	}
	if record.ID != id {
		return osv.Record{}, fmt.Errorf("%s: it is %s", where, record.ID)
	}
	return record, nil
}

// Feed writes what is at a URL, or in a file, to a file.
func (c *Client) Feed(ctx context.Context, source, tag string, file *os.File) (Answer, error) {
	other, err := New(Config{Base: source, Transport: c.config.Transport, UserAgent: c.config.UserAgent, Wait: c.config.Wait, Stall: c.config.Stall, Progress: c.config.Progress})
	if err != nil {
		return Answer{}, err
	}
	return other.into(ctx, nil, tag, limit.Feed, file)
}

func (c *Client) into(ctx context.Context, name []string, tag string, bound int64, file *os.File) (Answer, error) {
	return c.fetch(ctx, name, tag, bound, func() (io.Writer, error) {
		_, err := file.Seek(0, io.SeekStart)
		return file, errors.Join(file.Truncate(0), err)
	})
}

func (c *Client) small(ctx context.Context, name []string, tag string, bound int64) ([]byte, Answer, error) {
	var buffer bytes.Buffer
	answer, err := c.fetch(ctx, name, tag, bound, func() (io.Writer, error) {
		buffer.Reset()
		return &buffer, nil
	})
	return buffer.Bytes(), answer, err
}

// where is a thing's name in errors.
func (c *Client) where(name ...string) string {
	if c.base == nil {
		return filepath.Join(append([]string{c.dir}, name...)...)
	}
	return Public(c.base.JoinPath(name...).String())
}

// fetch writes to what begin gives, which is asked again for every attempt.
func (c *Client) fetch(ctx context.Context, name []string, tag string, bound int64, begin func() (io.Writer, error)) (Answer, error) {
	for _, part := range name {
		if part != path.Base(part) || strings.Trim(part, ".") == "" || strings.ContainsAny(part, "\\\x00") {
			return Answer{}, fmt.Errorf("%.100q is no name of an ecosystem or advisory", part)
		}
	}
	if c.base == nil {
		return c.local(name, bound, begin)
	}
	backoff := time.Second
	for attempt := 1; ; attempt++ {
		answer, err := c.once(ctx, name, tag, bound, begin)
		var passing *passingError
		if err == nil || !errors.As(err, &passing) || ctx.Err() != nil {
			return answer, err
		}
		if attempt == attempts {
			return Answer{}, fmt.Errorf("%w (after %d attempts)", err, attempts)
		}
		if err := c.config.Wait(ctx, min(max(backoff, passing.after), longestWait)); err != nil {
			return Answer{}, err
		}
		backoff *= 2
	}
}

func (c *Client) local(name []string, bound int64, begin func() (io.Writer, error)) (Answer, error) {
	where := c.where(name...)
	info, err := os.Stat(where)
	if errors.Is(err, os.ErrNotExist) {
		return Answer{}, &NotFoundError{where}
	}
	if err != nil {
		return Answer{}, err
	}
	if !info.Mode().IsRegular() {
		return Answer{}, fmt.Errorf("%s is no file", where)
	}
	file, err := os.Open(where)
	if err != nil {
		return Answer{}, err
	}
	defer file.Close()
	w, err := begin()
	if err != nil {
		return Answer{}, err
	}
	_, err = io.Copy(w, limit.Reader(file, where, bound))
	return Answer{}, err
}

// passingError is a fault that may be gone at the next attempt.
type passingError struct {
	err   error
	after time.Duration
}

// Error is the fault's text.
func (e *passingError) Error() string { return e.err.Error() }

// Unwrap gives the fault.
func (e *passingError) Unwrap() error { return e.err }

func (c *Client) once(ctx context.Context, name []string, tag string, bound int64, begin func() (io.Writer, error)) (Answer, error) {
	where := c.where(name...)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := fmt.Errorf("%s: nothing came for %s", where, c.config.Stall)
	timer := time.AfterFunc(c.config.Stall, func() { cancel(stalled) })
	defer timer.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath(name...).String(), nil)
	if err != nil {
		return Answer{}, err
	}
	// Packed on the way, the checksum would be of something else.
	request.Header.Set("Accept-Encoding", "identity")
	if c.config.UserAgent != "" {
		request.Header.Set("User-Agent", c.config.UserAgent)
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if wrong := (*url.Error)(nil); errors.As(err, &wrong) {
			wrong.URL = Public(wrong.URL)
		}
		return Answer{}, c.fault(ctx, err, stalled)
	}
	defer response.Body.Close()
	answer := Answer{Tag: response.Header.Get("ETag")}
	if at, err := http.ParseTime(response.Header.Get("Last-Modified")); err == nil {
		answer.Modified = at.UTC()
	}
	switch status := response.StatusCode; {
	case status == http.StatusNotModified && tag != "":
		answer.Unchanged, answer.Tag = true, tag
		return answer, nil
	case status == http.StatusNotFound:
		return Answer{}, &NotFoundError{where}
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500:
		return Answer{}, &passingError{err: fmt.Errorf("%s: the server answered %s", where, response.Status), after: retryAfter(response)}
	case status != http.StatusOK:
		return Answer{}, fmt.Errorf("%s: the server answered %s", where, response.Status)
	}
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return Answer{}, fmt.Errorf("%s: the server sent it as %.40q, which was not asked for", where, encoding)
	}
	if response.ContentLength > bound {
		return Answer{}, &limit.Error{What: where, Bound: bound, Unit: "bytes"}
	}
	w, err := begin()
	if err != nil {
		return Answer{}, err
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	body := &watched{r: limit.Reader(response.Body, where, bound), seen: func(done int64) {
		timer.Reset(c.config.Stall)
		c.config.Progress(where, done, response.ContentLength)
	}}
	if _, err := io.Copy(io.MultiWriter(w, sum), body); err != nil {
		var over *limit.Error
		if errors.As(err, &over) || body.err == nil { // the disk's fault, not the server's
			return Answer{}, fmt.Errorf("%s: %w", where, err)
		}
		return Answer{}, c.fault(ctx, fmt.Errorf("%s: the download ended early: %w", where, err), stalled)
	}
	if want, said := crc32c(response.Header); said && want != sum.Sum32() {
		return Answer{}, &passingError{err: fmt.Errorf("%s: its checksum is not what the server says (CRC-32C)", where)}
	}
	return answer, nil
}

// fault tells what may pass from what does not: redirects that are not
// followed, names that cannot be, and whoever gave up.
func (c *Client) fault(ctx context.Context, err error, stalled error) error {
	if context.Cause(ctx) == stalled {
		return &passingError{err: stalled}
	}
	var wrong *url.Error
	if ctx.Err() != nil || errors.As(err, &wrong) && strings.Contains(err.Error(), " leads ") {
		return err
	}
	return &passingError{err: err}
}

// watched tells of every read.
type watched struct {
	r    io.Reader
	done int64
	seen func(done int64)
	err  error
}

// Read passes on what comes.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if w.done += int64(n); n > 0 {
		w.seen(w.done)
	}
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func retryAfter(response *http.Response) time.Duration {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}

// crc32c is what Google's storage says of what it stores
// (https://cloud.google.com/storage/docs/xml-api/reference-headers#xgooghash).
func crc32c(header http.Header) (sum uint32, said bool) {
	if stored := header.Get("X-Goog-Stored-Content-Encoding"); stored != "" && stored != "identity" {
		return 0, false // it was unpacked on the way
	}
	for _, line := range header.Values("X-Goog-Hash") {
		for _, part := range strings.Split(line, ",") {
			text, found := strings.CutPrefix(strings.TrimSpace(part), "crc32c=")
			raw, err := base64.StdEncoding.DecodeString(text)
			if !found {
				continue
			}
			if err != nil || len(raw) != 4 {
				return 0, true // a checksum that nothing has but nothing
			}
			return binary.BigEndian.Uint32(raw), true
		}
	}
	return 0, false
}
