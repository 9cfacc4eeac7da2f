// Package ignorefile reads files that say which findings shall not count.
//
// Entry point is [Decode], which reads .assayignore.yaml, and, because people
// have them, .trivyignore and .trivyignore.yaml. In Assay's own file every
// entry gives a reason, and a field that is not known is an error with its
// line; the other two need no reason, and [File.Legacy] says so. What an entry
// fits, and whether its time is over, is engine/triage's to say.
//
// The package opens no file and knows no default path.
package ignorefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// DefaultName is the file that `assay scan` reads from the directory that it
// is called in.
const DefaultName = ".assayignore.yaml"

// File is one file.
type File struct {
	// Path is what the caller named.
	Path    string
	Entries []Entry
	// Legacy marks Trivy's formats, in which entries need no reason.
	Legacy bool
	// Notes say what the file holds that is not about vulnerabilities and was
	// passed over.
	Notes []string
}

// Entry takes findings out of what counts. Every condition that it has must
// fit.
type Entry struct {
	// ID is the id of the vulnerability, or any alias of it.
	ID string
	// Package is a package's name in any ecosystem, "" for all; PURLs are
	// package URLs of which one must fit, without a version for all versions.
	Package string
	PURLs   []string
	// Versions are PEP 440 specifiers for a PyPI package; empty contains all.
	Versions pep440.Specifiers
	// Paths are patterns, with * and ** and ?, of which one must fit each
	// place where the package was found.
	Paths []string
	// Reason is why, Owner who answers for it.
	Reason, Owner string
	// Expires is the moment from which it no longer holds, UTC; zero for
	// never.
	Expires time.Time
	// Line is where it stands, from 1.
	Line int
}

// Decode reads a file; name is its path, and says which format it has: a name
// that ends in .yaml or .yml is Assay's own or, where its top level has
// Trivy's keys, .trivyignore.yaml; any other is .trivyignore.
func Decode(name string, content []byte) (File, error) {
	if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" {
		return plain(name, content)
	}
	documents, err := strictyaml.Documents(name, content)
	switch {
	case err != nil:
		return File{}, err
	case len(documents) == 0:
		return File{Path: name}, nil
	case len(documents) > 1:
		return File{}, fmt.Errorf("%s: want one YAML document, found %d", name, len(documents))
	}
	top, err := keys(documents[0])
	if err != nil {
		return File{}, err
	}
	for _, key := range []string{"vulnerabilities", "misconfigurations", "secrets", "licenses"} {
		if top[key] {
			return trivy(name, documents[0])
		}
	}
	return own(name, documents[0])
}

// own is the schema of .assayignore.yaml.
func own(name string, document strictyaml.Document) (File, error) {
	var schema struct {
		Ignore []struct {
			ID       string `json:"id"`
			Package  string `json:"package"`
			PURL     string `json:"purl"`
			Versions string `json:"versions"`
			Path     string `json:"path"`
			Reason   string `json:"reason"`
			Owner    string `json:"owner"`
			Expires  string `json:"expires"`
		} `json:"ignore"`
	}
	if err := document.Decode(&schema); err != nil {
		return File{}, err
	}
	file := File{Path: name}
	if err := bounded(name, len(schema.Ignore)); err != nil {
		return File{}, err
	}
	var wrong []error
	for i, e := range schema.Ignore {
		line := document.LineOf("ignore", strconv.Itoa(i))
		bad := func(format string, arguments ...any) {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, line, fmt.Errorf(format, arguments...)))
		}
		entry := Entry{ID: strings.TrimSpace(e.ID), Package: strings.TrimSpace(e.Package), Reason: strings.TrimSpace(e.Reason), Owner: strings.TrimSpace(e.Owner), Line: line}
		if entry.ID == "" {
			bad("id is missing: the vulnerability's id or any alias of it")
		}
		if entry.Reason == "" {
			bad("reason is missing: %s may be ignored, but not without saying why", entry.ID)
		}
		if e.PURL != "" {
			entry.PURLs = []string{e.PURL}
		}
		if e.Path != "" {
			entry.Paths = []string{e.Path}
		}
		if entry.Package != "" && e.PURL != "" {
			bad("package and purl are both there; one is enough")
		}
		if e.Versions != "" && entry.Package == "" && e.PURL == "" {
			bad("versions is there, and neither package nor purl says of what")
		}
		var err error
		if entry.Versions, err = pep440.ParseSpecifiers(e.Versions); err != nil {
			bad("versions: %w", err)
		}
		if entry.Expires, err = day(e.Expires); err != nil {
			bad("expires: %w", err)
		}
		if err := entry.check(); err != nil {
			bad("%w", err)
		}
		file.Entries = append(file.Entries, entry)
	}
	return file, errors.Join(wrong...)
}

// trivy is the schema of .trivyignore.yaml; only vulnerabilities are ours.
func trivy(name string, document strictyaml.Document) (File, error) {
	var schema struct {
		Vulnerabilities []struct {
			ID        string   `json:"id"`
			Paths     []string `json:"paths"`
			PURLs     []string `json:"purls"`
			Expires   string   `json:"expired_at"`
			Statement string   `json:"statement"`
		} `json:"vulnerabilities"`
		Misconfigurations []any `json:"misconfigurations"`
		Secrets           []any `json:"secrets"`
		Licenses          []any `json:"licenses"`
	}
	if err := document.Decode(&schema); err != nil {
		return File{}, err
	}
	file := File{Path: name, Legacy: true}
	if err := bounded(name, len(schema.Vulnerabilities)); err != nil {
		return File{}, err
	}
	if others := len(schema.Misconfigurations) + len(schema.Secrets) + len(schema.Licenses); others > 0 {
		file.Notes = append(file.Notes, fmt.Sprintf("%s: %d entries are not about vulnerabilities and were passed over", name, others))
	}
	for i, v := range schema.Vulnerabilities {
		entry := Entry{ID: strings.TrimSpace(v.ID), PURLs: v.PURLs, Paths: v.Paths, Reason: strings.TrimSpace(v.Statement), Line: document.LineOf("vulnerabilities", strconv.Itoa(i))}
		var err error
		if entry.Expires, err = day(v.Expires); err == nil {
			err = entry.check()
		}
		if err == nil && entry.ID == "" {
			err = errors.New("id is missing")
		}
		if err != nil {
			return File{}, fmt.Errorf("%s:%d: %w", name, entry.Line, err)
		}
		file.Entries = append(file.Entries, entry)
	}
	return file, nil
}

// plain is .trivyignore: an id on each line, "exp:" and a date behind it, and
// comments.
func plain(name string, content []byte) (File, error) {
	if int64(len(content)) > limit.Policy {
		return File{}, &limit.Error{What: name, Bound: limit.Policy, Unit: "bytes"}
	}
	file := File{Path: name, Legacy: true}
	number := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(string(content), "\ufeff"), "\n") {
		number++
		text, _, _ := strings.Cut(line, "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		entry := Entry{ID: words[0], Line: number}
		for _, word := range words[1:] {
			date, found := strings.CutPrefix(word, "exp:")
			if !found || !entry.Expires.IsZero() {
				return File{}, fmt.Errorf("%s:%d: %.100q: want an id, and at most exp: with a date", name, number, word)
			}
			var err error
			if entry.Expires, err = day(date); err != nil || date == "" {
				return File{}, fmt.Errorf("%s:%d: exp:%.100s: want a date like 2026-12-31", name, number, date)
			}
		}
		if err := bounded(name, len(file.Entries)+1); err != nil {
			return File{}, err
		}
		file.Entries = append(file.Entries, entry)
	}
	return file, nil
}

func bounded(name string, entries int) error {
	if entries > limit.IgnoreEntries {
		return &limit.Error{What: name, Bound: limit.IgnoreEntries, Unit: "entries"}
	}
	return nil
}

// check looks at what both YAML schemas have.
func (e Entry) check() error {
	for _, purl := range e.PURLs {
		if _, err := packageurl.FromString(purl); err != nil {
			return fmt.Errorf("package URL %.200q: %w", purl, err)
		}
	}
	for _, pattern := range e.Paths {
		if pattern == "" || strings.HasPrefix(pattern, "/") || strings.Contains(pattern, "\\") {
			return fmt.Errorf("path %.200q: want a pattern with forward slashes, relative to the scanned target", pattern)
		}
	}
	return nil
}

// day reads a date; "" is no date. A whole RFC 3339 time is read too.
func day(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.100q: want a date like 2026-12-31", text)
	}
	return at.UTC(), nil
}

// keys are the keys of the document's top level.
func keys(document strictyaml.Document) (map[string]bool, error) {
	content, err := document.JSON()
	if err != nil {
		return nil, err
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(content, &top); err != nil {
		return nil, fmt.Errorf("%s:%d: want a mapping with the key ignore", document.File, document.Line)
	}
	found := map[string]bool{}
	for key := range top {
		found[key] = true
	}
	return found, nil
}
