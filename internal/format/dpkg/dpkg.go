// Package dpkg reads the database of packages that dpkg installed.
//
// Entry point is [Parse], for var/lib/dpkg/status and for the files below
// var/lib/dpkg/status.d that distroless images have instead. The format is
// Debian Policy's chapter 5, "Control files and their fields". The package
// opens nothing and compares no versions.
package dpkg

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Package is one installed package.
type Package struct {
	Name, Version, Architecture string
	// SourceName and SourceVersion are the source package's; the version is
	// the package's own where the entry gives none.
	SourceName, SourceVersion string
	// Line is where its entry begins, from 1.
	Line int
}

// maxField bounds one line of the fields that are kept.
const maxField = 4 << 10

// maxPackages bounds the entries; all of Debian has under 100,000 packages of
// an architecture.
const maxPackages = 200_000

// Parse lists the packages whose files are there: state "installed", and the
// states on the way to it and away from it (unpacked, half-configured,
// half-installed, triggers-*), since files of theirs are on disk. Removed
// packages are left out, and half-installed ones that never had a version. An
// entry with files but without a name or a version is an error that gives its
// line, as is a field that stands there twice: dpkg refuses it too.
func Parse(r io.Reader, where string) ([]Package, error) {
	reader := bufio.NewReaderSize(limit.Reader(r, where, limit.PackageDatabase), 64<<10)
	var packages []Package
	var current Package
	var status string
	begun, seen := false, map[string]bool{}
	flush := func() error {
		defer func() { current, status, begun, seen = Package{}, "", false, map[string]bool{} }()
		if !begun || !present(status) || current.Version == "" && strings.HasSuffix(status, "half-installed") {
			return nil
		}
		if current.Name == "" || current.Version == "" {
			return fmt.Errorf("%s:%d: an entry without Package or Version; the package database is damaged", where, current.Line)
		}
		if current.SourceName == "" {
			current.SourceName = current.Name
		}
		if current.SourceVersion == "" {
			current.SourceVersion = current.Version
		}
		if len(packages) == maxPackages {
			return &limit.Error{What: where, Bound: maxPackages, Unit: "packages"}
		}
		packages = append(packages, current)
		return nil
	}
	for number := 1; ; number++ {
		line, long, err := readLine(reader)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if strings.TrimSpace(line) == "" {
			if flushErr := flush(); flushErr != nil {
				return nil, flushErr
			}
		} else {
			if !begun {
				begun, current.Line = true, number
			}
			if key, value, found := strings.Cut(line, ":"); found && line[0] != ' ' && line[0] != '\t' {
				key = strings.ToLower(key)
				if kept := current.set(key, strings.TrimSpace(value), &status); kept {
					if long {
						return nil, fmt.Errorf("%s:%d: %s is longer than %d bytes", where, number, key, maxField)
					}
					if seen[key] {
						return nil, fmt.Errorf("%s:%d: %s is given twice in one entry; the package database is damaged", where, number, key)
					}
					seen[key] = true
				}
			}
		}
		if err != nil {
			if flushErr := flush(); flushErr != nil {
				return nil, flushErr
			}
			return packages, nil
		}
	}
}

// readLine reads a line and keeps its beginning.
func readLine(reader *bufio.Reader) (line string, long bool, err error) {
	var kept []byte
	for {
		part, err := reader.ReadSlice('\n')
		if room := maxField - len(kept); len(part) > room {
			long = true
			kept = append(kept, part[:max(0, room)]...)
		} else {
			kept = append(kept, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return strings.TrimRight(string(kept), "\r\n"), long, err
		}
	}
}

// set keeps the fields that matter.
func (p *Package) set(key, value string, status *string) bool {
	switch key {
	case "package":
		p.Name = value
	case "version":
		p.Version = value
	case "architecture":
		p.Architecture = value
	case "status":
		*status = value
	case "source":
		name, rest, versioned := strings.Cut(value, "(")
		p.SourceName = strings.TrimSpace(name)
		if versioned {
			p.SourceVersion = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), ")"))
		}
	default:
		return false
	}
	return true
}

// present reads dpkg's third status word; files of status.d have no Status.
func present(status string) bool {
	if status == "" {
		return true
	}
	words := strings.Fields(status)
	switch words[len(words)-1] {
	case "not-installed", "config-files":
		return false
	}
	return true
}

// Component is a package of a distribution at a place.
func (p Package) Component(os component.OperatingSystem, where component.Location) component.Component {
	distro := os.ID
	if os.VersionID != "" {
		distro += "-" + os.VersionID
	}
	qualifiers := packageurl.QualifiersFromMap(map[string]string{"arch": p.Architecture, "distro": distro})
	ecosystem := os.Ecosystem()
	if ecosystem == "" {
		ecosystem = os.ID // a distribution that nobody has advisories of, by its own name
	}
	return component.Component{
		Ecosystem: ecosystem, Name: p.Name, Version: p.Version, Architecture: p.Architecture,
		SourceName: p.SourceName, SourceVersion: p.SourceVersion,
		PURL:       packageurl.NewPackageURL(packageurl.TypeDebian, os.ID, p.Name, p.Version, qualifiers, "").ToString(),
		Dependency: component.Installed, Locations: []component.Location{where},
	}
}
