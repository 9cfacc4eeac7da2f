package triage

import (
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/vex"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// target is what the scan is about, as a product may be called.
type target struct {
	digests []subject.Digest
	// repository is host/path without tag and digest, "" where the target is
	// no image from a registry; tag is what the user named.
	repository, tag string
	os, arch        string
}

func targetOf(report finding.Report) target {
	var t target
	if report.Kind != finding.Container {
		return t
	}
	for _, digest := range []subject.Digest{report.Digest, report.Index} {
		if !digest.IsZero() {
			t.digests = append(t.digests, digest)
		}
	}
	if report.Image != nil {
		t.os, t.arch, _ = strings.Cut(report.Image.Platform, "/")
		t.arch, _, _ = strings.Cut(t.arch, "/")
	}
	name, digest, pinned := strings.Cut(report.Target, "@")
	if strings.HasPrefix(name, "oci:") || strings.HasPrefix(name, "docker-archive:") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") {
		return t
	}
	if pinned {
		// An index that the user named by digest is the product too.
		if parsed, err := subject.Parse(digest); err == nil && !slices.Contains(t.digests, parsed) {
			t.digests = append(t.digests, parsed)
		}
	}
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name, t.tag = name[:colon], name[colon+1:]
	} else if !pinned {
		t.tag = "latest"
	}
	t.repository = repository(name)
	return t
}

// repository spells a repository in one way: Docker Hub has several names, and
// is what a name without a host means.
func repository(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "/"))
	host, rest, found := strings.Cut(name, "/")
	switch {
	case !found || !strings.ContainsAny(host, ".:") && host != "localhost":
		host, rest = "docker.io", name
	case host == "index.docker.io" || host == "registry-1.docker.io":
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return host + "/" + rest
}

// isTarget says whether a reference is this scan's target; exact asks for a
// digest.
func (j *judge) isTarget(r vex.Reference, exact bool) bool {
	if slices.ContainsFunc(r.Digests, func(d subject.Digest) bool { return slices.Contains(j.target.digests, d) }) {
		return true
	}
	return slices.ContainsFunc(r.PURLs, func(text string) bool { return j.target.is(j.parse(text), exact) })
}

// is follows the purl types oci and docker.
func (t target) is(p *purl, exact bool) bool {
	if p == nil || p.Type != "oci" && p.Type != "docker" {
		return false
	}
	if p.Version != "" && (p.Type == "oci" || strings.HasPrefix(p.Version, "sha256:")) {
		// The digest says everything; the rest is where it may be found.
		digest, err := subject.Parse(p.Version)
		return err == nil && slices.Contains(t.digests, digest)
	}
	place := p.qualifiers["repository_url"]
	if exact || p.Type != "oci" || place == "" || t.repository == "" {
		return false
	}
	if place = repository(place); place != t.repository && place+"/"+strings.ToLower(p.Name) != t.repository {
		return false
	}
	for key, value := range p.qualifiers {
		if own, known := map[string]string{"repository_url": p.qualifiers["repository_url"], "tag": t.tag, "arch": t.arch, "os": t.os}[key]; !known || own != value {
			return false
		}
	}
	return true
}

// isComponent says whether a reference is the component; exact asks for a
// version.
func (j *judge) isComponent(r vex.Reference, c component.Component, exact bool) bool {
	return slices.ContainsFunc(r.PURLs, func(text string) bool {
		p := j.parse(text)
		return p != nil && (p.Version != "" || !exact) && p.names(c, j.parse(c.PURL))
	})
}

// purl is a package URL that was parsed.
type purl struct {
	packageurl.PackageURL
	qualifiers map[string]string
}

// parse gives nil for what is no package URL.
func (j *judge) parse(text string) *purl {
	if p, known := j.purls[text]; known {
		return p
	}
	var p *purl
	if parsed, err := packageurl.FromString(text); err == nil {
		p = &purl{PackageURL: parsed, qualifiers: parsed.Qualifiers.Map()}
	}
	j.purls[text] = p
	return p
}

// names says whether p, which somebody wrote, names the component, whose own
// package URL is found: the same type, namespace and name, the same version
// unless p has none, and p's qualifiers among its own. With arch=source (deb)
// or arch=src (rpm) it names the source package.
func (p *purl) names(c component.Component, found *purl) bool {
	if p == nil || found == nil || p.Type != found.Type || !strings.EqualFold(p.Namespace, found.Namespace) || p.Subpath != "" && p.Subpath != found.Subpath {
		return false
	}
	name, version, source := found.Name, found.Version, false
	if arch := p.qualifiers["arch"]; c.SourceName != "" && (arch == "source" || arch == "src") {
		source = true
		if name = c.SourceName; c.SourceVersion != "" {
			version = c.SourceVersion
		}
	}
	if normal(c.Ecosystem, p.Name) != normal(c.Ecosystem, name) || p.Version != "" && !sameVersion(c.Ecosystem, p.Version, version) {
		return false
	}
	for key, value := range p.qualifiers {
		if source && key == "arch" {
			continue
		}
		if own, has := found.qualifiers[key]; !has || own != value {
			return false
		}
	}
	return true
}

// normal spells a name as its ecosystem does, so that two spellings compare.
func normal(ecosystem, name string) string {
	if ecosystem == pydist.Ecosystem {
		return pydist.Normalise(name)
	}
	return strings.ToLower(name)
}

// sameVersion compares versions of one package: by PEP 440 for Python, local
// labels included, else by their text.
func sameVersion(ecosystem, a, b string) bool {
	if a == b {
		return true
	}
	if ecosystem != pydist.Ecosystem {
		return false
	}
	x, err := pep440.Parse(a)
	if err != nil {
		return false
	}
	y, err := pep440.Parse(b)
	return err == nil && x.Compare(y) == 0
}
