// Package apk reads the database of packages that apk installed, as Alpine,
// Wolfi and their like keep it.
//
// Entry point is [Parse], for lib/apk/db/installed and usr/lib/apk/db/installed.
// The format is apk-tools' own (apk-v2 and the index fields of its manual
// page): entries of "letter:value" lines with an empty line between, letters in
// which case counts. The package opens nothing and compares no versions.
package apk

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/licence"
)

// Package is one installed package.
type Package struct {
	Name, Version, Architecture string
	// Origin is the package whose build made it; its own name where the entry
	// gives none.
	Origin string
	// License is as written, Commit of the repository that it was built from;
	// either may be empty.
	License, Commit string
	// Provides are the names that it stands for ("so:libc.musl-x86_64.so.1=1",
	// "cmd:sh"), as written.
	Provides []string
	// Owned are the paths of its files that were asked for.
	Owned []string
	// Line is where its entry begins, from 1.
	Line int
}

// maxField bounds a line. The longest of real ones, what a package depends on
// or provides, have some tens of kilobytes.
const maxField = 1 << 20

// Parse lists the packages. owns asks for files of theirs by their path,
// relative to the root; nil asks for none. A line that is not "letter:value",
// an entry without a name or a version and a field that stands there twice are
// errors that give their line: the database is damaged, and packages could be
// missing from it.
func Parse(r io.Reader, where string, owns func(name string) bool) ([]Package, error) {
	lines := bufio.NewScanner(limit.Reader(r, where, limit.PackageDatabase))
	lines.Buffer(make([]byte, 0, 64<<10), maxField)
	p := parser{where: where, owns: owns}
	for lines.Scan() {
		p.line++
		if err := p.read(strings.TrimSuffix(lines.Text(), "\r")); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes", maxField)
		}
		return nil, fmt.Errorf("%s:%d: %w", where, p.line+1, err)
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	return p.packages, nil
}

// parser holds the entry that is being read.
type parser struct {
	where    string
	owns     func(string) bool
	line     int
	packages []Package
	current  Package
	begun    bool
	seen     [256]bool
	dir      string
}

func (p *parser) read(line string) error {
	if strings.TrimSpace(line) == "" {
		return p.end()
	}
	if len(line) < 2 || line[1] != ':' {
		return fmt.Errorf("%s:%d: %.60q is no field; the package database is damaged", p.where, p.line, line)
	}
	if !p.begun {
		p.begun, p.current.Line = true, p.line
	}
	letter, value := line[0], strings.TrimSpace(line[2:])
	var into *string
	switch letter {
	case 'P':
		into = &p.current.Name
	case 'V':
		into = &p.current.Version
	case 'A':
		into = &p.current.Architecture
	case 'o':
		into = &p.current.Origin
	case 'L':
		into = &p.current.License
	case 'c':
		into = &p.current.Commit
	case 'p':
		p.current.Provides = strings.Fields(value)
	case 'F':
		p.dir = value
		return nil
	case 'R':
		name := value
		if p.dir != "" {
			name = p.dir + "/" + value
		}
		if p.owns != nil && p.owns(name) {
			p.current.Owned = append(p.current.Owned, name)
		}
		return nil
	default:
		return nil
	}
	if p.seen[letter] {
		return fmt.Errorf("%s:%d: the field %c is given twice in one entry; the package database is damaged", p.where, p.line, letter)
	}
	p.seen[letter] = true
	if into != nil {
		*into = value
	}
	return nil
}

// end closes the entry.
func (p *parser) end() error {
	defer func() { p.current, p.begun, p.seen, p.dir = Package{}, false, [256]bool{}, "" }()
	if !p.begun {
		return nil
	}
	if p.current.Name == "" || p.current.Version == "" {
		return fmt.Errorf("%s:%d: an entry without a name (P) or a version (V); the package database is damaged", p.where, p.current.Line)
	}
	if len(p.packages) == limit.InstalledPackages {
		return &limit.Error{What: p.where, Bound: limit.InstalledPackages, Unit: "packages"}
	}
	p.current.Origin = cmp.Or(p.current.Origin, p.current.Name)
	p.packages = append(p.packages, p.current)
	return nil
}

// Component is a package of a distribution at a place.
func (p Package) Component(os component.OperatingSystem, where component.Location) component.Component {
	qualifiers := map[string]string{"distro": os.Distro()}
	if p.Architecture != "" {
		qualifiers["arch"] = p.Architecture
	}
	if p.Origin != p.Name {
		qualifiers["upstream"] = p.Origin
	}
	c := component.Component{
		Ecosystem: cmp.Or(os.Ecosystem(), os.ID), Name: p.Name, Version: p.Version, Architecture: p.Architecture,
		SourceName: p.Origin, SourceVersion: p.Version,
		PURL:       packageurl.NewPackageURL(packageurl.TypeApk, os.ID, p.Name, p.Version, packageurl.QualifiersFromMap(qualifiers), "").ToString(),
		Dependency: component.Installed, Locations: []component.Location{where},
	}
	if p.License != "" {
		c.Licenses, c.Expression = []string{p.License}, licence.Alpine(p.License)
	}
	return c
}

// IsDatabase says whether a slash-separated path is where apk keeps its
// database, relative to the root.
func IsDatabase(name string) bool {
	return name == "lib/apk/db/installed" || name == "usr/lib/apk/db/installed"
}
