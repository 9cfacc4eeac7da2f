// Package conda reads what conda environments ask for and hold.
//
// Entry points are [ReadEnvironment] (environment.yml with its pip part),
// [ReadSpecifications] (what stands in other files), [ReadMeta] (conda-meta/*.json, what is installed), [Lock] (conda-lock.yml)
// and [Explicit] (@EXPLICIT lists of URLs); [Settle] joins what conda-meta says
// with what the packages' own metadata says, and [Project] answers for SBOMs.
//
// There are no advisories of conda's packages under their own names: OSV has no
// such ecosystem. So a package that holds a Python project is a component of
// PyPI under the project's name, whose PURL (pkg:conda/...) says what it really
// is. Which ones do is taken from the record where it proves it (a dist-info
// directory among the files, a package URL, a dependency on python, a build for
// a Python version), else from the name. All other packages are components of
// [Ecosystem], which no source of advisories covers: whoever matches must say
// that they were not tested.
//
// "=1.26" means 1.26.* to conda and names no version. "=1.26.4", with three or
// more numbers, is what `conda env export --no-builds` writes, and is taken for
// that version; so is every "=" in a file with a prefix, which only an export
// has. Selectors in comments ("# [win]") are conda-build's; conda ignores them
// in an environment, and so does this package. It contacts no channel.
package conda

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// Ecosystem is the ecosystem of packages that hold no Python project. OSV has
// no advisories of it.
const Ecosystem = "conda"

// Untested is why components of Ecosystem have no findings, in words.
const Untested = "OSV has no advisories of conda packages that are no Python projects"

// record is one conda package at one version, as far as a file tells.
type record struct {
	name, version, build string
	// channel and subdir are where it comes from ("conda-forge", "linux-64"),
	// kind the type of its file ("conda", "tar.bz2"); empty where unknown.
	channel, subdir, kind string
	// projects are the Python projects that the record proves to be in it.
	projects []project
	// depends are the names that it needs, where dependsKnown.
	depends      []string
	dependsKnown bool
}

type project struct{ name, version string }

var (
	nameShape    = regexp.MustCompile(`^[a-z0-9_][a-z0-9_.-]*$`)
	versionShape = regexp.MustCompile(`^[A-Za-z0-9_.+!-]+$`)
)

// check refuses names and versions that conda could not have (CEP 26).
func (r record) check() error {
	if len(r.name) > 256 || !nameShape.MatchString(r.name) {
		return fmt.Errorf("%.100q is no name of a conda package", r.name)
	}
	if len(r.version) > 256 || !versionShape.MatchString(r.version) {
		return fmt.Errorf("%.100q is no version of a conda package", r.version)
	}
	return nil
}

// purl follows the definition of the type conda in the package URL
// specification.
func (r record) purl() string {
	var qualifiers packageurl.Qualifiers
	for _, q := range []packageurl.Qualifier{{Key: "build", Value: r.build}, {Key: "channel", Value: r.channel}, {Key: "subdir", Value: r.subdir}, {Key: "type", Value: r.kind}} {
		if q.Value != "" {
			qualifiers = append(qualifiers, q)
		}
	}
	return packageurl.NewPackageURL(packageurl.TypeConda, "", r.name, r.version, qualifiers, "").ToString()
}

// components are what the record holds: its Python projects, else the package
// itself.
func (r record) components(dependency component.Dependency, where component.Location) []component.Component {
	projects := r.projects
	if len(projects) == 0 {
		if name, python := r.project(); python {
			projects = []project{{name, r.version}}
		}
	}
	base := component.Component{Ecosystem: Ecosystem, Name: r.name, Version: r.version, PURL: r.purl(),
		Dependency: dependency, Locations: []component.Location{where}}
	if len(projects) == 0 {
		return []component.Component{base}
	}
	list := make([]component.Component, 0, len(projects))
	for _, p := range projects {
		c := base
		c.Ecosystem, c.Name, c.Version = pydist.Ecosystem, p.name, p.version
		if v, err := pep440.Parse(p.version); err == nil {
			c.Version = v.String()
		}
		list = append(list, c)
	}
	return list
}

// project is the Python project that the record's name and what else it says
// point to.
func (r record) project() (string, bool) {
	name := pydist.Normalise(strings.Trim(r.name, "_-."))
	if foreign(r.name) || !pydist.ValidName(name) {
		return "", false
	}
	if known, found := renamed[r.name]; found {
		return known, true
	}
	switch {
	case pythonBuild.MatchString(r.build):
		return name, true
	case r.dependsKnown:
		return name, slices.Contains(r.depends, "python") || slices.Contains(r.depends, "python_abi")
	case r.build != "":
		return "", false
	}
	return name, true
}

// pythonBuild is how conda-build marks packages for one Python ("py311h...",
// "cuda118py310_0") and for all (noarch: "pyhd8ed1ab_0", "py_0").
var pythonBuild = regexp.MustCompile(`(?:^|[^a-z])py(?:\d|_\d|h[0-9a-f]{6})|cuda\d+py\d`)

// Project is the PyPI project that a conda package holds, normalised; false for
// a package that is no Python project. build is the build string, "" where it
// is not known. Without one, a name that is not known to be something else is
// taken for the project of the same name.
func Project(name, build string) (string, bool) {
	return record{name: strings.ToLower(name), build: build}.project()
}

// fileName reads "name-version-build.conda" or ".tar.bz2".
func fileName(base string) (record, error) {
	for _, kind := range []string{"conda", "tar.bz2"} {
		stem, found := strings.CutSuffix(base, "."+kind)
		if !found {
			continue
		}
		b := strings.LastIndexByte(stem, '-')
		if b <= 0 {
			break
		}
		v := strings.LastIndexByte(stem[:b], '-')
		if v <= 0 {
			break
		}
		r := record{name: strings.ToLower(stem[:v]), version: stem[v+1 : b], build: stem[b+1:], kind: kind}
		return r, r.check()
	}
	return record{}, fmt.Errorf("%.200q is no file name of a conda package (name-version-build.conda)", base)
}

// location reads the URL of a package: .../channel/subdir/file. The file name
// may be followed by "#" and a hash.
func location(text string) (record, error) {
	u, err := url.Parse(text)
	if err != nil || u.Path == "" {
		return record{}, errors.New("this is no URL of a conda package")
	}
	r, err := fileName(path.Base(u.Path))
	if err != nil {
		return record{}, err
	}
	r.place(strings.TrimSuffix(u.Path, "/"+path.Base(u.Path)))
	return r, nil
}

// place takes channel and subdir from a path or URL that ends in them.
func (r *record) place(channel string) {
	channel = strings.TrimSuffix(channel, "/")
	if isSubdir(path.Base(channel)) {
		r.subdir, channel = path.Base(channel), path.Dir(channel)
	}
	if base := path.Base(channel); base != "." && base != "/" && !strings.Contains(base, ":") {
		r.channel = base
	}
}

var subdirShape = regexp.MustCompile(`^(noarch|(linux|osx|win|freebsd|emscripten|wasi|zos)-[a-z0-9]+)$`)

func isSubdir(text string) bool { return subdirShape.MatchString(text) }

// platform is conda's word for an environment: "linux-64"; "" for one that it
// has no word for.
func platform(e requirement.Environment) string {
	system := map[string]string{"linux": "linux", "darwin": "osx", "win32": "win"}[e.SysPlatform]
	machine := map[string]string{"x86_64": "64", "amd64": "64", "i386": "32", "i686": "32", "x86": "32"}[strings.ToLower(e.PlatformMachine)]
	if machine == "" {
		machine = strings.ToLower(e.PlatformMachine)
	}
	if machine == "aarch64" && system == "osx" || machine == "aarch64" && system == "win" {
		machine = "arm64"
	}
	if system == "" || machine == "" {
		return ""
	}
	return system + "-" + machine
}

// digest reads a hash that a file pins to; md5 and broken ones are left out.
func digest(text string) []subject.Digest {
	d, err := subject.Parse(strings.ToLower(text))
	if err != nil {
		return nil
	}
	return []subject.Digest{d}
}

// Settle joins what conda-meta says of installed Python projects with what
// their own metadata in the same environment says, so that none is counted
// twice: the latter stays, with one more location.
func Settle(inventory *component.Inventory) {
	prefixes := map[string]bool{}
	for _, c := range inventory.Components {
		if prefix, recorded := recordOf(c); recorded {
			prefixes[prefix] = true
		}
	}
	if len(prefixes) == 0 {
		return
	}
	type installation struct{ name, version, prefix string }
	own := map[installation]int{}
	for i, c := range inventory.Components {
		if _, recorded := recordOf(c); recorded || c.Ecosystem != pydist.Ecosystem || c.Dependency != component.Installed {
			continue
		}
		for _, location := range c.Locations {
			// The innermost environment is the one that it is installed in.
			dir := path.Dir(location.Path)
			for !prefixes[dir] && dir != "." && dir != "/" {
				dir = path.Dir(dir)
			}
			own[installation{c.Name, c.Version, dir}] = i
		}
	}
	list := inventory.Components
	kept := make([]bool, len(list))
	for i, c := range list {
		prefix, recorded := recordOf(c)
		twin, found := own[installation{c.Name, c.Version, prefix}]
		if kept[i] = !recorded || !found; !kept[i] {
			list[twin].Locations = append(slices.Clip(list[twin].Locations), c.Locations[0])
		}
	}
	at := -1
	inventory.Components = slices.DeleteFunc(list, func(component.Component) bool {
		at++
		return !kept[at]
	})
}

// recordOf says whether a component is a Python project that conda-meta tells
// of, and in which environment.
func recordOf(c component.Component) (prefix string, recorded bool) {
	if c.Ecosystem != pydist.Ecosystem || c.Dependency != component.Installed || !strings.HasPrefix(c.PURL, "pkg:conda/") || len(c.Locations) != 1 {
		return "", false
	}
	return path.Dir(path.Dir(c.Locations[0].Path)), true
}
