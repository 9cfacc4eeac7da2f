package requirement

import (
	"fmt"
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

// perRequirement are the options that pip allows after a requirement.
var perRequirement = regexp.MustCompile(`\s+(--(?:hash|global-option|config-settings?|install-option))[=\s]\s*("[^"]*"|'[^']*'|\S+)`)

var namePart = regexp.MustCompile(`(?i)^([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)\s*(?:\[([^\]]*)\])?\s*`)

func parse(line string) (parsed, error) {
	q := parsed{text: mask(line)}
	options := perRequirement.FindAllStringSubmatch(line, -1)
	body := strings.TrimSpace(perRequirement.ReplaceAllString(line, ""))
	q.text = mask(body)
	if reason := notNamed(body); reason != "" {
		return parsed{}, &parseError{name: eggName(body), reason: reason}
	}
	m := namePart.FindStringSubmatch(body)
	if m == nil {
		return parsed{}, &parseError{reason: "this is no requirement that pip could read"}
	}
	q.name = pydist.Normalise(m[1])
	for _, option := range options {
		if option[1] != "--hash" {
			continue
		}
		digest, err := subject.Parse(strings.ToLower(strings.Trim(option[2], `"'`)))
		if err != nil {
			if algorithm, _, found := strings.Cut(option[2], ":"); found && algorithm == "sha384" {
				continue // pip takes it; nothing here compares it
			}
			return parsed{}, &parseError{name: q.name, reason: "its hash cannot be read: " + err.Error()}
		}
		q.hashes = append(q.hashes, digest)
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
	if url, found := strings.CutPrefix(rest, "@"); found {
		// In "name @ url ; marker" the semicolon stands after white space.
		q.url = strings.TrimSpace(url)
		if i := strings.Index(q.url, " ;"); i >= 0 {
			return q, q.setMarker(q.url[i+2:])
		}
		return q, nil
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

func (q *parsed) setMarker(text string) error {
	q.markerText = strings.TrimSpace(text)
	m, err := parseMarker(q.markerText)
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
	case scheme.MatchString(body) && (strings.Contains(lower, "+") || strings.HasPrefix(lower, "git@")):
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
