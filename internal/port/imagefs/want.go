package imagefs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/apk"
	"github.com/seed-161fc314/assay/internal/format/conda"
	"github.com/seed-161fc314/assay/internal/format/licence"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/rpmdb"
)

const (
	statusFile = "var/lib/dpkg/status"
	statusDir  = "var/lib/dpkg/status.d/"
	listDir    = "var/lib/dpkg/info/"
	walSuffix  = "-wal"
	journal    = "-journal"
)

// wish is what is wanted of a file: nothing of it is the zero value.
type wish struct {
	// bound is the most bytes that may be read.
	bound int64
	// read takes what is to be kept. It runs while the layer streams by, so
	// that what is not kept takes no memory.
	read func(r io.Reader, name string, bound int64) (node, error)
}

func (w wish) zero() bool { return w.read == nil }

// wanted tells what is wanted of a path.
func wanted(declared []string) func(name string) wish {
	var dirs []string
	for _, name := range declared {
		dirs = append(dirs, path.Dir(name)+"/")
	}
	return func(name string) wish {
		switch {
		case name == statusFile, apk.IsDatabase(name), rpmdb.IsDatabase(besideDatabase(name)):
			return wish{limit.PackageDatabase, whole}
		case isFileList(name):
			return wish{limit.PackageDatabase, ownableLines}
		case isCopyright(name):
			return wish{limit.PackageMetadata, copyright}
		case conda.IsMeta(name):
			return wish{limit.PackageMetadata, condaMeta}
		case pydist.IsArchive(name):
			return wish{0, nameOnly}
		case strings.HasPrefix(name, statusDir), name == "etc/os-release", name == "usr/lib/os-release",
			pydist.IsMetadata(name), pydist.IsOrigin(name), pydist.IsLink(name):
			return wish{limit.PackageMetadata, whole}
		case slices.Contains(declared, name):
			return wish{limit.Lockfile, whole}
		}
		// What a declared file may include by -r or -c lies beside it or below.
		if ext := path.Ext(name); ext == ".txt" || ext == ".in" {
			for _, dir := range dirs {
				if dir == "./" || strings.HasPrefix(name, dir) {
					return wish{limit.Lockfile, whole}
				}
			}
		}
		return wish{}
	}
}

func whole(r io.Reader, name string, bound int64) (node, error) {
	content, err := limit.ReadAll(r, name, bound)
	return node{content: content}, err
}

func nameOnly(io.Reader, string, int64) (node, error) { return node{}, nil }

// ownableLines keeps of a list of files those that tell of Python packages.
func ownableLines(r io.Reader, name string, bound int64) (node, error) {
	kept := []byte{}
	lines := bufio.NewScanner(limit.Reader(r, name, bound))
	for lines.Scan() {
		if ownable(clean(listedFile(lines.Text()))) {
			kept = append(append(kept, lines.Bytes()...), '\n')
		}
	}
	if err := lines.Err(); err != nil {
		return node{}, fmt.Errorf("reading %s: %w", name, err)
	}
	return node{content: kept}, nil
}

// copyright keeps the licences. A file that cannot be read as one leaves its
// package without, which is what its licences then are: unknown.
func copyright(r io.Reader, name string, bound int64) (node, error) {
	statements, expression, err := licence.Debian(r, name)
	var over *limit.Error
	if errors.As(err, &over) {
		return node{}, err
	}
	return node{licences: statements, expression: expression}, nil
}

// condaMeta keeps the packages: the lists of their files are long.
func condaMeta(r io.Reader, name string, bound int64) (node, error) {
	list, err := conda.ReadMeta(r, name)
	var over *limit.Error
	switch {
	case errors.As(err, &over):
		return node{}, err
	case err != nil:
		return node{missing: err.Error()}, nil
	}
	return node{components: list}, nil
}

// besideDatabase takes off what SQLite adds to a database's name for its log
// and its journal.
func besideDatabase(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, walSuffix), journal)
}

// isFileList says whether a path lists the files of one of dpkg's packages.
func isFileList(name string) bool {
	return strings.HasPrefix(name, listDir) && strings.HasSuffix(name, ".list") || strings.HasPrefix(name, statusDir) && strings.HasSuffix(name, ".md5sums")
}

// isStatus says whether a path is a database of dpkg, or one entry of it.
func isStatus(name string) bool {
	return name == statusFile || strings.HasPrefix(name, statusDir) && !strings.HasSuffix(name, ".md5sums")
}

// ownable says whether a file tells that a Python package is there: what a
// distribution's package that has it among its files owns.
func ownable(name string) bool { return pydist.IsMetadata(name) || pydist.IsArchive(name) }

const docDir = "usr/share/doc"

// isCopyright says whether a path holds the licences of a package of Debian's.
func isCopyright(name string) bool {
	return strings.HasPrefix(name, docDir+"/") && path.Base(name) == "copyright" && path.Dir(path.Dir(name)) == docDir
}

// isDoc says whether a path is a package's directory of documents; it may be a
// link to another package's.
func isDoc(name string) bool { return path.Dir(name) == docDir }

// distribution says whether a path is a directory of metadata by its name.
func distribution(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".dist-info" || ext == ".egg-info"
}

// replaced is a file that nobody wants. Only where it has the name of a
// directory that could hold wanted files does it change anything.
func replaced(name string) change {
	switch path.Base(name) {
	case "var", "lib", "dpkg", "status.d", "info", "etc", "usr", "apk", "db", "rpm", "sysimage", "share", "doc", "conda-meta":
		return change{name: name, removed: true}
	}
	if distribution(name) || path.Base(name) == "site-packages" || path.Base(name) == "dist-packages" {
		return change{name: name, removed: true}
	}
	return change{}
}

// packages says whether what lies at a path lists packages.
func packages(name string) bool {
	return isStatus(name) || apk.IsDatabase(name) || rpmdb.IsDatabase(name) || conda.IsMeta(name) || pydist.IsArchive(name) || pydist.IsMetadata(name) || distribution(name)
}
