// Package pydist reads what installed Python distributions and wheels say of
// themselves: METADATA and PKG-INFO, RECORD, direct_url.json, and wheels and
// eggs as files.
//
// Entry points are [ParseMetadata], [ParseRecord], [ParseWheelName] and
// [IsMetadata]; [ReadArchive] for wheels and eggs, [ArchiveName] where only
// their names are there; [Origin] and [Link] for what came from elsewhere than
// an index. It follows "Core metadata", "Recording installed projects",
// "Binary distribution format" and "Direct URL Origin of installed
// distributions" of the Python Packaging Authority. It unpacks and installs
// nothing.
package pydist

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/licence"
	"github.com/seed-161fc314/assay/internal/format/pep440"
)

// Ecosystem is OSV's name for the Python Package Index.
const Ecosystem = "PyPI"

// Normalise spells a project's name as PEP 503 compares it: in lower case, and
// every run of "-", "_" and "." as one "-".
func Normalise(name string) string {
	normal, run := true, false
	for i := 0; i < len(name); i++ {
		c := name[i]
		separator := c == '-' || c == '_' || c == '.'
		if c == '_' || c == '.' || separator && run || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf {
			normal = false
			break
		}
		run = separator
	}
	if normal {
		return name
	}
	var b strings.Builder
	run = false
	for _, r := range strings.ToLower(name) {
		if r == '-' || r == '_' || r == '.' {
			if !run {
				b.WriteByte('-')
			}
			run = true
			continue
		}
		b.WriteRune(r)
		run = false
	}
	return b.String()
}

var nameShape = regexp.MustCompile(`(?i)^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`)

// ValidName says whether text can be a project's name (PEP 508).
func ValidName(text string) bool { return len(text) <= 256 && nameShape.MatchString(text) }

// IsPublicIndex says whether a URL is that of the Python Package Index's simple
// API, or of the place that its files come from.
func IsPublicIndex(location string) bool {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return false
	}
	switch strings.ToLower(u.Hostname()) {
	case "pypi.org", "pypi.python.org", "www.pypi.org":
		return path.Clean(u.Path+"/") == "/simple" || strings.TrimSuffix(u.Path, "/") == ""
	case "files.pythonhosted.org":
		return true
	}
	return false
}

// PURL is the package URL of a normalised name and a version.
func PURL(name, version string) string {
	return packageurl.NewPackageURL(packageurl.TypePyPi, "", name, version, nil, "").ToString()
}

// Metadata is the part of core metadata that a scan needs.
type Metadata struct {
	// Name is as written; Normalise it before comparing.
	Name string
	// Version is normalised where PEP 440 can read it, else as written.
	Version string
	// Licenses are License-Expression, else License, else the licence
	// classifiers' last parts.
	Licenses []string
	// Expression is the SPDX expression that the first of these comes to that
	// comes to one: License-Expression, License, the classifiers.
	Expression string
	// Requires are the Requires-Dist lines, as written.
	Requires []string
}

// IsMetadata says whether a slash-separated path is where an installed
// distribution keeps its metadata.
func IsMetadata(name string) bool {
	dir, file := path.Split(name)
	dir = strings.ToLower(path.Base(strings.TrimSuffix(dir, "/"))) // importlib takes it in any case
	switch file {
	case "METADATA", "PKG-INFO": // importlib looks for both in either
		return strings.HasSuffix(dir, ".dist-info") || strings.HasSuffix(dir, ".egg-info") || dir == "egg-info"
	}
	return strings.HasSuffix(strings.ToLower(file), ".egg-info")
}

// ParseMetadata reads METADATA or PKG-INFO up to the empty line that ends its
// headers. A file without a name or a version is an error that starts with
// where.
func ParseMetadata(r io.Reader, where string) (Metadata, error) {
	reader := bufio.NewReader(limit.Reader(r, where, limit.PackageMetadata))
	var m Metadata
	var license, expression string
	var classifiers []string
	var last *string
	for {
		line, err := reader.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return Metadata{}, fmt.Errorf("%s: %w", where, err)
		}
		text := strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), "\r\n")
		if text == "" {
			break // the body begins, or the file is over
		}
		if text[0] == ' ' || text[0] == '\t' {
			if last != nil && len(*last) < 1<<12 {
				*last += "\n" + strings.TrimSpace(text)
			}
		} else {
			key, value, _ := strings.Cut(text, ":")
			value = strings.TrimSpace(value)
			last = nil
			switch strings.ToLower(key) {
			case "name": // of several the first counts, as for importlib.metadata
				m.Name = cmp.Or(m.Name, value)
			case "version":
				m.Version = cmp.Or(m.Version, value)
			case "license":
				license = value
				last = &license
			case "license-expression":
				expression = value
			case "classifier":
				if after, found := strings.CutPrefix(value, "License ::"); found {
					parts := strings.Split(after, "::")
					classifiers = append(classifiers, strings.TrimSpace(parts[len(parts)-1]))
				}
			case "requires-dist":
				m.Requires = append(m.Requires, value)
			}
		}
		if err != nil {
			break
		}
	}
	if !ValidName(m.Name) || m.Version == "" || !utf8.ValidString(m.Version) {
		return Metadata{}, fmt.Errorf("%s: no usable Name and Version in the package's metadata (found %.100q, %.100q)", where, m.Name, m.Version)
	}
	if v, err := pep440.Parse(m.Version); err == nil {
		m.Version = v.String()
	}
	m.Licenses = licenses(expression, license, classifiers)
	if m.Expression = licence.Expression(m.Licenses); m.Expression == "" && expression == "" {
		m.Expression = licence.Expression(classifiers)
	}
	return m, nil
}

// licenses prefers what is meant for machines. A License field of more than a
// line is a licence's text, and then the classifiers say more.
func licenses(expression, license string, classifiers []string) []string {
	switch {
	case expression != "":
		return []string{expression}
	case license != "" && license != "UNKNOWN" && !strings.Contains(license, "\n") && len(license) < 256:
		return []string{license}
	}
	return classifiers
}

// Component is an installed distribution at a place.
func Component(m Metadata, where component.Location) component.Component {
	name := Normalise(m.Name)
	return component.Component{
		Ecosystem: Ecosystem, Name: name, Version: m.Version, PURL: PURL(name, m.Version),
		Dependency: component.Installed, Licenses: m.Licenses, Expression: m.Expression, Locations: []component.Location{where},
	}
}

// RecordEntry is one line of RECORD.
type RecordEntry struct {
	Path string
	// Algorithm and Hex are the file's hash; both empty for RECORD itself.
	Algorithm, Hex string
	// Size is in bytes, -1 where it is not said.
	Size int64
}

// ParseRecord reads a RECORD file; a line that is not of its form is an error
// with its number.
func ParseRecord(r io.Reader) ([]RecordEntry, error) {
	reader := csv.NewReader(limit.Reader(r, "RECORD", limit.PackageMetadata))
	reader.FieldsPerRecord = -1
	var entries []RecordEntry
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, fmt.Errorf("RECORD: %w", err)
		}
		line, _ := reader.FieldPos(0)
		if len(fields) != 3 || fields[0] == "" {
			return nil, fmt.Errorf("RECORD:%d: want path,hash,size", line)
		}
		entry := RecordEntry{Path: fields[0], Size: -1}
		if fields[1] != "" {
			algorithm, encoded, found := strings.Cut(fields[1], "=")
			sum, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
			if !found || err != nil {
				return nil, fmt.Errorf("RECORD:%d: hash %q: want algorithm=base64", line, fields[1])
			}
			entry.Algorithm, entry.Hex = algorithm, hex.EncodeToString(sum)
		}
		if fields[2] != "" {
			if entry.Size, err = strconv.ParseInt(fields[2], 10, 64); err != nil || entry.Size < 0 {
				return nil, fmt.Errorf("RECORD:%d: size %q: want a number of bytes", line, fields[2])
			}
		}
		entries = append(entries, entry)
	}
}

// WheelName is what the name of a wheel file says.
type WheelName struct {
	// Name and Version are normalised; Build is "" where there is none.
	Name, Version, Build              string
	PythonTags, ABITags, PlatformTags []string
}

// ParseWheelName reads "name-version(-build)?-python-abi-platform.whl".
func ParseWheelName(file string) (WheelName, error) {
	stem, found := strings.CutSuffix(file, ".whl")
	parts := strings.Split(stem, "-")
	if !found || len(parts) < 5 || len(parts) > 6 {
		return WheelName{}, fmt.Errorf("%s: want name-version-python-abi-platform.whl", file)
	}
	version, err := pep440.Parse(strings.ReplaceAll(parts[1], "_", "-"))
	if err != nil {
		if version, err = pep440.Parse(parts[1]); err != nil {
			return WheelName{}, fmt.Errorf("%s: %w", file, err)
		}
	}
	if !ValidName(parts[0]) {
		return WheelName{}, fmt.Errorf("%s: %q is no project name", file, parts[0])
	}
	w := WheelName{Name: Normalise(parts[0]), Version: version.String()}
	if len(parts) == 6 {
		w.Build = parts[2]
		if w.Build == "" || w.Build[0] < '0' || w.Build[0] > '9' {
			return WheelName{}, fmt.Errorf("%s: build tag %q does not begin with a digit", file, w.Build)
		}
	}
	tags := parts[len(parts)-3:]
	for _, tag := range tags {
		if tag == "" {
			return WheelName{}, fmt.Errorf("%s: a compatibility tag is empty", file)
		}
	}
	w.PythonTags, w.ABITags, w.PlatformTags = strings.Split(tags[0], "."), strings.Split(tags[1], "."), strings.Split(tags[2], ".")
	return w, nil
}
