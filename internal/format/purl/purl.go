// Package purl reads package URLs as components that advisories can be matched
// against (https://github.com/package-url/purl-spec).
//
// Entry points are [Parse], which gives the component that a URL names, and
// [Agree], which says whether a URL and what else a document states are about
// one package. Types read are pypi, deb, apk, rpm and conda, whose packages are
// components of PyPI where they hold a Python project; any other type,
// and a URL without a usable version, is an [Error] that says why nothing can be
// matched. Nothing is guessed: a distribution's package needs its release.
package purl

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/conda"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// Error says why a package URL gives no component. It is a reason for an
// unresolved record, not a fault.
type Error struct {
	// Name is the package's name as far as the URL could be read.
	Name   string
	Reason string
}

// Error is the reason alone.
func (e *Error) Error() string { return e.Reason }

func refuse(name, format string, arguments ...any) (component.Component, error) {
	return component.Component{}, &Error{Name: name, Reason: fmt.Sprintf(format, arguments...)}
}

// Parse reads a package URL. Filled are Ecosystem, Name, Version, Architecture,
// SourceName, SourceVersion and PURL (in its canonical spelling). os is the
// distribution that the document names, for URLs without a "distro" qualifier;
// nil where it names none. Every error is an *Error.
func Parse(text string, os *component.OperatingSystem) (component.Component, error) {
	if len(text) > limit.PURL {
		return refuse("", "%s", &limit.Error{What: "its package URL", Bound: limit.PURL, Unit: "bytes"})
	}
	u, err := packageurl.FromString(text)
	if err != nil {
		return refuse("", "%.200q is no package URL", text)
	}
	if u.Version == "" {
		return refuse(u.Name, "its package URL names no version")
	}
	if reason := badVersion(u.Version); reason != "" {
		return refuse(u.Name, "%s", reason)
	}
	switch u.Type {
	case packageurl.TypePyPi:
		return python(u)
	case packageurl.TypeDebian, packageurl.TypeApk, packageurl.TypeRPM:
		return distribution(u, os)
	case packageurl.TypeConda:
		return condaPackage(u), nil
	}
	return refuse(u.Name, "packages of type %s are not matched by this version", u.Type)
}

// badVersion finds what is a range or no version at all.
func badVersion(version string) string {
	switch {
	case len(version) > 256:
		return "its version is longer than 256 bytes"
	case strings.ContainsFunc(version, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }):
		return fmt.Sprintf("%.100q is no version", version)
	case strings.ContainsAny(version, "<>=!*,|"):
		return fmt.Sprintf("%.100q is a range and names no single version", version)
	}
	return ""
}

func python(u packageurl.PackageURL) (component.Component, error) {
	if u.Namespace != "" || !pydist.ValidName(u.Name) {
		return refuse(u.Name, "%.200q is no name of a Python project", strings.TrimPrefix(u.Namespace+"/"+u.Name, "/"))
	}
	version := u.Version
	// Versions from before PEP 440 are kept as they are, as for packages that
	// were found installed.
	if v, err := pep440.Parse(version); err == nil {
		version = v.String()
	}
	name := pydist.Normalise(u.Name)
	return component.Component{Ecosystem: pydist.Ecosystem, Name: name, Version: version, PURL: pydist.PURL(name, version)}, nil
}

// condaPackage is a component of PyPI where the package holds a Python project,
// and else one of conda.Ecosystem, which nobody has advisories of.
func condaPackage(u packageurl.PackageURL) component.Component {
	c := component.Component{Ecosystem: conda.Ecosystem, Name: u.Name, Version: u.Version, PURL: u.ToString()}
	if name, python := conda.Project(u.Name, u.Qualifiers.Map()["build"]); python {
		c.Ecosystem, c.Name = pydist.Ecosystem, name
		if v, err := pep440.Parse(u.Version); err == nil {
			c.Version = v.String()
		}
	}
	return c
}

func distribution(u packageurl.PackageURL, os *component.OperatingSystem) (component.Component, error) {
	qualifiers := u.Qualifiers.Map()
	id, release := distro(u.Namespace, qualifiers["distro"], os)
	rolling := slices.Contains([]string{"wolfi", "chainguard", "minimos"}, id)
	if id == "" || !rolling && (release == "" || release[0] < '0' || release[0] > '9') {
		return refuse(u.Name, "neither its package URL nor the document names the distribution's release")
	}
	if id == "debian" {
		release, _, _ = strings.Cut(release, ".") // advisories are for 12, not for 12.5
	}
	system := component.OperatingSystem{ID: id, VersionID: release}
	if os != nil && os.ID == id {
		system.PrettyName = os.PrettyName // by which OSV names some products
	}
	c := component.Component{Name: u.Name, Version: u.Version, Architecture: qualifiers["arch"], PURL: u.ToString()}
	if c.Ecosystem = system.Ecosystem(); c.Ecosystem == "" {
		c.Ecosystem = id // nobody's advisories, by its own name
	}
	if u.Type == packageurl.TypeRPM {
		epoch := ""
		if e := qualifiers["epoch"]; e != "" && e != "0" {
			epoch = e + ":"
		}
		c.Version = epoch + c.Version
		// The source package's file is name-version-release.src.rpm; its epoch
		// is the package's own.
		file := strings.TrimSuffix(strings.TrimSuffix(qualifiers["upstream"], ".rpm"), ".src")
		if at := strings.LastIndex(file[:max(0, strings.LastIndex(file, "-"))], "-"); at > 0 {
			c.SourceName, c.SourceVersion = file[:at], epoch+file[at+1:]
		}
		return c, nil
	}
	source, version, versioned := strings.Cut(qualifiers["upstream"], "@")
	if source == "" {
		source = c.Name
	}
	if !versioned || version == "" {
		version = c.Version
	}
	c.SourceName, c.SourceVersion = source, version
	return c, nil
}

// distro is the distribution and its release. The qualifier is "debian-12", or
// the release alone; the namespace may be a vendor's name.
func distro(namespace, qualifier string, os *component.OperatingSystem) (id, release string) {
	id, release = strings.ToLower(namespace), qualifier
	if at := strings.LastIndex(qualifier, "-"); at > 0 {
		id, release = strings.ToLower(qualifier[:at]), qualifier[at+1:]
	}
	if id == "redhat" {
		id = "rhel"
	}
	if os != nil && id == "" {
		id = os.ID
	}
	if os != nil && os.ID == id && (release == "" || release[0] < '0' || release[0] > '9') {
		release = os.VersionID // no qualifier, or a code name
	}
	return id, release
}

// Agree says, in an *Error, where a component's package URL is about something
// else than the component: another name or version, or a type that is not of
// its ecosystem. A component without a URL agrees.
func Agree(c component.Component) error {
	if c.PURL == "" {
		return nil
	}
	u, err := packageurl.FromString(c.PURL)
	if err != nil {
		return &Error{Name: c.Name, Reason: fmt.Sprintf("%.200q is no package URL", c.PURL)}
	}
	name, version := u.Name, u.Version
	switch epoch := u.Qualifiers.Map()["epoch"]; {
	case u.Type == packageurl.TypePyPi:
		name = pydist.Normalise(name)
	case u.Type == packageurl.TypeRPM && epoch != "" && c.Version != version:
		version = epoch + ":" + version
	case u.Type == packageurl.TypeConda:
		name, version = c.Name, c.Version // the Python project in it may have others
	}
	if name != c.Name || version != c.Version {
		return &Error{Name: c.Name, Reason: fmt.Sprintf("it is called %s %s, and its package URL names %s %s", c.Name, c.Version, name, version)}
	}
	base, _, _ := strings.Cut(c.Ecosystem, ":")
	right := true
	switch u.Type {
	case packageurl.TypePyPi:
		right = base == pydist.Ecosystem
	case packageurl.TypeConda:
		right = slices.Contains([]string{conda.Ecosystem, pydist.Ecosystem}, base)
	case packageurl.TypeDebian:
		right = base != pydist.Ecosystem && base != conda.Ecosystem
		if ns := strings.ToLower(u.Namespace); ns == "debian" || ns == "ubuntu" {
			right = strings.EqualFold(base, ns)
		}
	case packageurl.TypeApk, packageurl.TypeRPM:
		right = base != pydist.Ecosystem && base != conda.Ecosystem
	}
	if !right {
		return &Error{Name: c.Name, Reason: fmt.Sprintf("it is said to be of %s, and its package URL is of type %s", c.Ecosystem, u.Type)}
	}
	return nil
}
