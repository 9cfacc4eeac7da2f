package requirement

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// parsed is one requirement by PEP 508, with pip's options after it.
type parsed struct {
	name       string
	text       string
	extras     []string
	specifiers pep440.Specifiers
	url        string
	marker     marker
	markerText string
	hashes     []subject.Digest
}

// parseError is a line that names no version, with what is known of it.
type parseError struct {
	name, reason string
}

// Error is the reason.
func (e *parseError) Error() string { return e.reason }

var namePart = regexp.MustCompile(`(?i)^([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)\s*(?:\[([^\]]*)\])?\s*`)

// parse reads a requirement and the options that pip allows after it; others
// that pip knows count for nothing there, as for pip.
func parse(body string, flags []flag) (parsed, error) {
	q := parsed{text: Mask(body)}
	if reason := notNamed(body); reason != "" {
		if wheel := wheelOf(body); wheel != "" { // its file name says all
			if w, err := pydist.ParseWheelName(wheel); err == nil {
				q.name, q.url = w.Name, body
				return q, q.setHashes(flags)
			}
		}
		return parsed{}, &parseError{name: eggName(body), reason: reason}
	}
	m := namePart.FindStringSubmatch(body)
	if m == nil {
		return parsed{}, &parseError{reason: "this is no requirement that pip could read"}
	}
	q.name = pydist.Normalise(m[1])
	if err := q.setHashes(flags); err != nil {
		return parsed{}, err
	}
	for _, extra := range strings.Split(m[2], ",") {
		if extra = strings.TrimSpace(extra); extra != "" {
			if !pydist.ValidName(extra) {
				return parsed{}, &parseError{name: q.name, reason: fmt.Sprintf("%q is no extra's name", extra)}
			}
			q.extras = append(q.extras, extra)
		}
	}
	rest := body[len(m[0]):]
	if location, found := strings.CutPrefix(rest, "@"); found {
		// In "name @ url ; marker" the semicolon stands after white space.
		q.url = strings.TrimSpace(location)
		markerText := ""
		if i := strings.Index(q.url, " ;"); i >= 0 {
			q.url, markerText = strings.TrimSpace(q.url[:i]), q.url[i+2:]
		}
		if q.url == "" {
			return parsed{}, &parseError{name: q.name, reason: "a URL is wanted after @"}
		}
		if err := q.setHashes(nil); err != nil || markerText == "" {
			return q, err
		}
		return q, q.setMarker(markerText)
	}
	specifiers, markerText, hasMarker := strings.Cut(rest, ";")
	var err error
	if q.specifiers, err = pep440.ParseSpecifiers(specifiers); err != nil {
		return parsed{}, &parseError{name: q.name, reason: err.Error()}
	}
	if hasMarker {
		return q, q.setMarker(markerText)
	}
	return q, nil
}

// setHashes keeps the values of --hash, and with a URL that of its fragment.
func (q *parsed) setHashes(flags []flag) error {
	for _, f := range flags {
		if f.name != "--hash" {
			continue
		}
		digest, err := subject.Parse(strings.ToLower(f.value))
		if err != nil {
			if algorithm, _, found := strings.Cut(f.value, ":"); found && algorithm == "sha384" {
				continue // pip takes it; nothing here compares it
			}
			return &parseError{name: q.name, reason: "its hash cannot be read: " + err.Error()}
		}
		q.hashes = append(q.hashes, digest)
	}
	q.hashes = once(q.hashes)
	if m := fragmentHash.FindStringSubmatch(q.url); m != nil {
		if digest, err := subject.Parse(strings.ToLower(m[1] + ":" + m[2])); err == nil {
			q.hashes = append(q.hashes, digest)
		}
	}
	return nil
}

var fragmentHash = regexp.MustCompile(`(?i)[#&](sha256|sha512)=([0-9a-f]+)`)

// wheelOf is the file name of the wheel that a URL or path leads to, "" where
// it leads to something else.
func wheelOf(location string) string {
	location, _, _ = strings.Cut(location, "#")
	location, _, _ = strings.Cut(location, "?")
	base := path.Base(strings.TrimSpace(location))
	if unescaped, err := url.PathUnescape(base); err == nil {
		base = unescaped
	}
	if !strings.HasSuffix(base, ".whl") || isVersionControl(location) {
		return ""
	}
	return base
}

func isVersionControl(location string) bool {
	scheme, _, found := strings.Cut(location, "://")
	return found && strings.Contains(scheme, "+") || strings.HasPrefix(location, "git@")
}

// WheelVersion is the version in the file name of a wheel at a URL: installers
// refuse a wheel whose metadata says another. What is at any other URL has no
// version that could be known without fetching it.
func WheelVersion(name, location string) (version, reason string) {
	switch wheel := wheelOf(location); {
	case isVersionControl(location):
		return "", "a version control URL names no version that could be checked"
	case wheel == "":
		return "", "a URL names no version that could be checked"
	default:
		w, err := pydist.ParseWheelName(wheel)
		if err != nil {
			return "", "a URL names no version that could be checked: " + err.Error()
		}
		if w.Name != name {
			return "", fmt.Sprintf("the wheel at its URL is one of %s", w.Name)
		}
		return w.Version, ""
	}
}

func (q *parsed) setMarker(text string) error {
	q.markerText = strings.TrimSpace(text)
	m, err := parseMarker(q.markerText, false)
	if err != nil {
		return &parseError{name: q.name, reason: "its marker cannot be read: " + err.Error()}
	}
	q.marker = m
	return nil
}

var scheme = regexp.MustCompile(`(?i)^[a-z][a-z0-9+.-]*://|^git@|^file:`)

// notNamed says why a line is something other than a requirement with a name.
func notNamed(body string) string {
	first, _, _ := strings.Cut(body, " ")
	lower := strings.ToLower(first)
	switch {
	case scheme.MatchString(body) && isVersionControl(lower):
		return "a version control URL names no version that could be checked"
	case scheme.MatchString(body):
		return "a URL names no version that could be checked"
	case strings.HasPrefix(first, ".") || strings.HasPrefix(first, "/") || strings.HasPrefix(first, "~") || strings.Contains(first, "\\"):
		return "a local path has no fixed version"
	case strings.HasSuffix(lower, ".whl") || strings.HasSuffix(lower, ".tar.gz") || strings.HasSuffix(lower, ".zip"):
		return "a local file has no fixed version"
	case strings.Contains(first, "/") && !strings.Contains(first, "@") && !strings.Contains(first, "["):
		return "a local path has no fixed version"
	}
	return ""
}
