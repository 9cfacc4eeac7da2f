package pydist

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/pep440"
)

// IsArchive says whether a slash-separated path is a wheel or an egg by its
// name. An egg can also be a directory, whose metadata [IsMetadata] finds.
func IsArchive(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, ".whl") || strings.HasSuffix(base, ".egg")
}

// ArchiveName is what the name of a wheel or egg says: its project and version.
// For wheels the name is normative ("Binary distribution format"); eggs are
// "name-version(-pyX.Y(-platform)).egg".
func ArchiveName(base string) (Metadata, error) {
	stem, found := strings.CutSuffix(base, ".egg")
	if !found {
		w, err := ParseWheelName(base)
		if err != nil {
			return Metadata{}, err
		}
		return Metadata{Name: w.Name, Version: w.Version}, nil
	}
	parts := strings.SplitN(stem, "-", 4)
	if len(parts) < 2 || !ValidName(parts[0]) {
		return Metadata{}, fmt.Errorf("%.200s: want name-version-pyX.Y.egg", base)
	}
	// Setuptools writes "-" of a version as "_".
	v, err := pep440.Parse(strings.ReplaceAll(parts[1], "_", "-"))
	if err != nil {
		return Metadata{}, fmt.Errorf("%.200s: %w", base, err)
	}
	return Metadata{Name: parts[0], Version: v.String()}, nil
}

// Packaged is a wheel or egg at a place, which is there to be installed.
func Packaged(m Metadata, where component.Location) component.Component {
	c := Component(m, where)
	c.Dependency = component.Packaged
	return c
}

// Contents are what a wheel or egg holds.
type Contents struct {
	// Components are Packaged: the project itself, and those whose metadata it
	// carries along.
	Components []component.Component
	Unresolved []component.Unresolved
}

// NamedArchive is what can be said of a wheel or egg whose content is not at
// hand: one component, or an unresolved record for a name that says nothing.
func NamedArchive(where component.Location) Contents {
	m, err := ArchiveName(path.Base(where.Path))
	if err != nil {
		return Contents{Unresolved: []component.Unresolved{{Text: where.Path, Reason: err.Error(), Location: where}}}
	}
	return Contents{Components: []component.Component{Packaged(m, where)}}
}

// ReadArchive looks into a wheel or a zipped egg of size bytes, whose name is
// where.Path's. It reads the list of files and the metadata, nothing else. A
// file that is no such archive, or whose metadata cannot be read or
// contradicts its name, is known by its name and an unresolved record besides.
// One that goes over limit.WheelDirectory, limit.WheelMetadata or
// limit.PackageMetadata (for all metadata together) is an error.
func ReadArchive(r io.ReaderAt, size int64, where component.Location) (Contents, error) {
	var contents Contents
	unresolved := func(text, reason string) {
		contents.Unresolved = append(contents.Unresolved, component.Unresolved{Text: text, Reason: reason, Location: where})
	}
	own, found, err := contents.read(r, size, where, unresolved)
	var over *limit.Error
	if errors.As(err, &over) {
		return Contents{}, err
	}
	named, nameErr := ArchiveName(path.Base(where.Path))
	switch {
	case err != nil:
		unresolved(where.Path, "it cannot be read: "+err.Error())
	case !found:
		unresolved(where.Path, "it holds no metadata of its own")
	case nameErr == nil && (Normalise(named.Name) != Normalise(own.Name) || named.Version != own.Version):
		unresolved(where.Path, fmt.Sprintf("its metadata says %.100s %.100s, and its name something else", own.Name, own.Version))
	}
	if !found || err != nil {
		byName := NamedArchive(where)
		contents.Components = append(contents.Components, byName.Components...)
		contents.Unresolved = append(contents.Unresolved, byName.Unresolved...)
	}
	return contents, nil
}

// read adds what the archive's metadata says, and gives its own.
func (contents *Contents) read(r io.ReaderAt, size int64, where component.Location, unresolved func(text, reason string)) (own Metadata, found bool, err error) {
	directory := &counted{r: r, what: where.Path + " (its list of files)", left: limit.WheelDirectory}
	archive, err := zip.NewReader(directory, size)
	if err != nil {
		if directory.over != nil {
			err = directory.over
		}
		return Metadata{}, false, err
	}
	directory.off = true // files are read under their own bound
	left, count := int64(limit.PackageMetadata), 0
	for _, file := range archive.File {
		if !IsMetadata(file.Name) || strings.HasSuffix(file.Name, "/") {
			continue
		}
		if count++; count > limit.WheelMetadata {
			return own, found, &limit.Error{What: where.Path, Bound: limit.WheelMetadata, Unit: "files of metadata"}
		}
		text := fmt.Sprintf("%s/%.300s", where.Path, strings.ToValidUTF8(file.Name, "?"))
		opened, err := file.Open()
		if err != nil {
			unresolved(text, "it cannot be read: "+err.Error())
			continue
		}
		metered := &meter{r: opened, what: where.Path + " (its metadata)", left: &left}
		m, err := ParseMetadata(metered, text)
		opened.Close()
		if err != nil {
			var over *limit.Error
			if errors.As(err, &over) {
				return own, found, err
			}
			unresolved(text, err.Error())
			continue
		}
		contents.Components = append(contents.Components, Packaged(m, where))
		if strings.Count(file.Name, "/") == 1 && !found { // directly below the root
			own, found = m, true
		}
	}
	return own, found, nil
}

// counted bounds what is read through an io.ReaderAt, until it is off.
type counted struct {
	r    io.ReaderAt
	what string
	left int64
	off  bool
	over *limit.Error
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	if c.off {
		return c.r.ReadAt(p, at)
	}
	// The end of the archive is looked for before, in a kilobyte and then 65.
	if c.left -= int64(len(p)); c.left < -(128 << 10) {
		c.over = &limit.Error{What: c.what, Bound: limit.WheelDirectory, Unit: "bytes"}
		return 0, c.over
	}
	return c.r.ReadAt(p, at)
}

// meter bounds what several readers give together, whatever sizes an archive
// claims.
type meter struct {
	r    io.Reader
	what string
	left *int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if *m.left -= int64(n); *m.left < 0 {
		return 0, &limit.Error{What: m.what, Bound: limit.PackageMetadata, Unit: "bytes"}
	}
	return n, err
}
