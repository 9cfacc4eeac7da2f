package imagefs

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/apk"
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
	// lines keeps only the lines that name metadata of Python packages.
	lines bool
	// name says that the file's name is all that counts.
	name bool
}

func (w wish) zero() bool { return w == wish{} }

// read takes what is wanted of a file.
func (w wish) read(r io.Reader, name string) ([]byte, error) {
	if !w.lines {
		return limit.ReadAll(r, name, w.bound)
	}
	var kept []string
	lines := bufio.NewScanner(limit.Reader(r, name, w.bound))
	for lines.Scan() {
		if ownable(clean(listedFile(lines.Text()))) {
			kept = append(kept, lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return []byte(strings.Join(kept, "\n")), nil
}

// wanted tells what is wanted of a path.
func wanted(declared []string) func(name string) wish {
	var dirs []string
	for _, name := range declared {
		dirs = append(dirs, path.Dir(name)+"/")
	}
	return func(name string) wish {
		switch {
		case name == statusFile, apk.IsDatabase(name), rpmdb.IsDatabase(besideDatabase(name)):
			return wish{bound: limit.PackageDatabase}
		case isFileList(name):
			return wish{bound: limit.PackageDatabase, lines: true}
		case strings.HasPrefix(name, statusDir):
			return wish{bound: limit.PackageMetadata}
		case name == "etc/os-release" || name == "usr/lib/os-release":
			return wish{bound: limit.PackageMetadata}
		case pydist.IsMetadata(name):
			return wish{bound: limit.PackageMetadata}
		case strings.HasSuffix(name, ".whl"):
			return wish{name: true}
		case slices.Contains(declared, name):
			return wish{bound: limit.Lockfile}
		}
		// What a declared file may include by -r or -c lies beside it or below.
		if ext := path.Ext(name); ext == ".txt" || ext == ".in" {
			for _, dir := range dirs {
				if dir == "./" || strings.HasPrefix(name, dir) {
					return wish{bound: limit.Lockfile}
				}
			}
		}
		return wish{}
	}
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
func ownable(name string) bool {
	return pydist.IsMetadata(name) || strings.HasSuffix(name, ".whl")
}

// distribution says whether a path is a directory of metadata by its name.
func distribution(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".dist-info" || ext == ".egg-info"
}

// unread names the package manager whose database a path is, where this
// version cannot read it: what is in it must not look tested.
func unread(name string) string {
	switch {
	case strings.HasSuffix(name, "/conda-meta/history") || name == "conda-meta/history":
		return "conda"
	case strings.HasSuffix(name, ".egg"):
		return "a zipped egg"
	}
	return ""
}

// replaced is a file that nobody wants. Only where it has the name of a
// directory that could hold wanted files does it change anything.
func replaced(name string) change {
	switch path.Base(name) {
	case "var", "lib", "dpkg", "status.d", "info", "etc", "usr", "apk", "db", "rpm", "sysimage", "share":
		return change{name: name, removed: true}
	}
	if distribution(name) || path.Base(name) == "site-packages" || path.Base(name) == "dist-packages" {
		return change{name: name, removed: true}
	}
	return change{}
}

// packages says whether what lies at a path lists packages.
func packages(name string) bool {
	return isStatus(name) || apk.IsDatabase(name) || rpmdb.IsDatabase(name) || strings.HasSuffix(name, ".whl") || pydist.IsMetadata(name) || distribution(name)
}
