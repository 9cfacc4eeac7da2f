// Package rpmdb reads the database of packages that rpm installed, in each of
// the three forms that rpm has given it: a Berkeley DB hash table
// (var/lib/rpm/Packages), rpm's own NDB (Packages.db) and SQLite
// (rpmdb.sqlite).
//
// Entry point is [Parse], which tells the forms apart by their first bytes. It
// works on bytes in memory: nothing is written to disk, no SQL is run, no rpm
// is asked. The formats are those of rpm's lib/backend, of rpm's "header"
// format, of "Database File Format" and "WAL-mode File Format" at sqlite.org,
// and of Berkeley DB's page layout (db_page.h). What is not understood is an
// error: a page that cannot be read may hold packages.
package rpmdb

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/licence"
)

// Package is one installed package, as its header says.
type Package struct {
	Name, Version, Release string
	// Epoch is 0 where the header has none; rpm compares both alike.
	Epoch uint32
	// Architecture is rpm's word ("x86_64", "noarch").
	Architecture string
	// SourceRPM is the file name of the source package
	// ("bash-5.1.8-9.el9.src.rpm"), empty where there is none.
	SourceRPM string
	// License, Vendor and Modularity ("nodejs:18:…") are as written.
	License, Vendor, Modularity string
	// Owned are the paths of its files that Config.Owns asked for, relative
	// to the root.
	Owned []string
}

// Config says how to read. The zero value is safe.
type Config struct {
	// WAL is the content of the write-ahead log beside an SQLite database
	// (rpmdb.sqlite-wal); what it holds counts.
	WAL []byte
	// Owns asks for files of the packages by their path, relative to the
	// root; nil asks for none.
	Owns func(name string) bool
}

// Parse lists the installed packages of a database in the order in which it
// holds them. The keys that rpm keeps there as packages (gpg-pubkey) are left
// out. Errors start with where; none of what was read is returned with one.
func Parse(content []byte, where string, config Config) ([]Package, error) {
	if len(content) > limit.PackageDatabase {
		return nil, &limit.Error{What: where, Bound: limit.PackageDatabase, Unit: "bytes"}
	}
	var packages []Package
	each := func(blob []byte) error {
		p, err := parseHeader(blob, config.Owns)
		if err != nil {
			return fmt.Errorf("package %d: %w", len(packages)+1, err)
		}
		if p.Name == "gpg-pubkey" {
			return nil
		}
		if len(packages) == limit.InstalledPackages {
			return &limit.Error{What: where, Bound: limit.InstalledPackages, Unit: "packages"}
		}
		packages = append(packages, p)
		return nil
	}
	var err error
	switch {
	case bytes.HasPrefix(content, []byte(sqliteMagic)):
		err = eachSQLite(content, config.WAL, each)
	case bytes.HasPrefix(content, []byte(ndbMagic)):
		err = eachNDB(content, each)
	case isBerkeley(content):
		err = eachBerkeley(content, each)
	default:
		err = fmt.Errorf("neither an SQLite, nor an NDB, nor a Berkeley DB hash file of rpm")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return packages, nil
}

// EVR is the version as advisories write it: "epoch:version-release", without
// an epoch of 0.
func (p Package) EVR() string { return evr(p.Epoch, p.Version+"-"+p.Release) }

func evr(epoch uint32, rest string) string {
	if epoch == 0 {
		return rest
	}
	return strconv.FormatUint(uint64(epoch), 10) + ":" + rest
}

// source splits the source package's file name into its name and
// "version-release"; ok is false where it has not that form.
func (p Package) source() (name, version string, ok bool) {
	stem, found := strings.CutSuffix(p.SourceRPM, ".src.rpm")
	if !found {
		if stem, found = strings.CutSuffix(p.SourceRPM, ".nosrc.rpm"); !found {
			return "", "", false
		}
	}
	release := strings.LastIndexByte(stem, '-')
	if release <= 0 {
		return "", "", false
	}
	at := strings.LastIndexByte(stem[:release], '-')
	if at <= 0 || at+1 == release || release+1 == len(stem) {
		return "", "", false
	}
	return stem[:at], stem[at+1:], true
}

// Components are the packages of a database at a place, in their order.
//
// A source package's file name does not tell its epoch. It is that of a package
// built from it at the same version, or else the package's own.
func Components(packages []Package, os component.OperatingSystem, where component.Location) []component.Component {
	epochs := map[string]uint32{}
	for _, p := range packages {
		if _, version, ok := p.source(); ok && version == p.Version+"-"+p.Release {
			epochs[p.SourceRPM] = p.Epoch
		}
	}
	list := make([]component.Component, 0, len(packages))
	for _, p := range packages {
		c := p.component(os, where)
		if name, version, ok := p.source(); ok {
			epoch, known := epochs[p.SourceRPM]
			if !known {
				epoch = p.Epoch
			}
			c.SourceName, c.SourceVersion = name, evr(epoch, version)
		}
		list = append(list, c)
	}
	return list
}

func (p Package) component(os component.OperatingSystem, where component.Location) component.Component {
	qualifiers := map[string]string{"arch": p.Architecture, "distro": os.Distro(), "upstream": p.SourceRPM}
	if p.Epoch != 0 {
		qualifiers["epoch"] = strconv.FormatUint(uint64(p.Epoch), 10)
	}
	for key, value := range qualifiers {
		if value == "" {
			delete(qualifiers, key)
		}
	}
	namespace := os.ID
	if namespace == "rhel" {
		namespace = "redhat"
	}
	c := component.Component{
		Ecosystem: cmp.Or(os.Ecosystem(), os.ID), Name: p.Name, Version: p.EVR(), Architecture: p.Architecture,
		PURL:       packageurl.NewPackageURL(packageurl.TypeRPM, namespace, p.Name, p.Version+"-"+p.Release, packageurl.QualifiersFromMap(qualifiers), "").ToString(),
		Dependency: component.Installed, Locations: []component.Location{where},
	}
	if p.License != "" {
		c.Licenses, c.Expression = []string{p.License}, licence.RPM(p.License)
	}
	return c
}

// IsDatabase says whether a slash-separated path is where rpm keeps its
// database, relative to the root: in any of its forms, in the directory of old
// and the one of new.
func IsDatabase(name string) bool {
	switch dir, file := path.Split(name); dir {
	case "var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/":
		return file == "Packages" || file == "Packages.db" || file == "rpmdb.sqlite"
	}
	return false
}
