// Package sbomtest makes documents for tests of SBOM formats.
//
// Entry point is [Document]. Only tests import it.
package sbomtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/sbom"
)

// Document is a document with everything that one can hold; the same seed
// always gives the same one. It keeps to what the domain promises (sorted
// lists, a location for every component) and to nothing else: texts hold
// quotes, line ends and commas.
func Document(seed uint64) sbom.Document {
	r := rand.New(rand.NewPCG(seed, 1))
	d := sbom.Document{Name: fmt.Sprintf("registry.example.com/ml/model-%d", seed), Kind: finding.Filesystem, ToolVersion: "1.2.3",
		Created: time.Date(2026, 3, 1, 12, 0, int(seed%60), 0, time.UTC)}
	layers := []subject.Digest{{}}
	if r.IntN(2) == 0 {
		layers = []subject.Digest{subject.Of([]byte("base")), subject.Of([]byte("app"))}
		d.Kind, d.Digest = finding.Container, subject.Of(fmt.Append(nil, seed))
		d.Image = &finding.Image{ConfigDigest: subject.Of([]byte("config")), DiffIDs: layers, BaseLayers: 1, Base: "it is the first layer of \"python\"",
			Platform: "linux/amd64", Created: d.Created}
		d.Inventory.OperatingSystem = &component.OperatingSystem{ID: "debian", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)",
			Location: component.Location{Path: "usr/lib/os-release", Layer: layers[0]}}
	}
	g := generator{r, layers}
	for i := range r.IntN(12) {
		d.Inventory.Components = append(d.Inventory.Components, g.component(i, d.Image != nil))
	}
	g.connect(d.Inventory.Components)
	for i := range r.IntN(4) {
		d.Inventory.Unresolved = append(d.Inventory.Unresolved, component.Unresolved{Name: pick(r, "", "numpy"),
			Text: pick(r, "numpy>=1; python_version < \"3.9\"", "git+https://example.com/x.git#egg=x=1", "a: b\nc"), Reason: pick(r, "a range", "a URL: no \"version\""),
			Location: g.location(i)})
	}
	for i := range r.IntN(3) {
		d.Inventory.Sources = append(d.Inventory.Sources, component.Source{Path: fmt.Sprintf("dir %d/requirements.txt", i), Digest: subject.Of(fmt.Append(nil, i))})
	}
	d.Inventory.Sort()
	return d
}

type generator struct {
	r      *rand.Rand
	layers []subject.Digest
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func (g generator) location(i int) component.Location {
	return component.Location{Path: fmt.Sprintf("opt/a b, c/%d/%s", i, pick(g.r, "requirements.txt", "x.dist-info/METADATA")), Line: pick(g.r, 0, 7), Layer: pick(g.r, g.layers...)}
}

func (g generator) component(i int, image bool) component.Component {
	c := component.Component{Ecosystem: "PyPI", Name: fmt.Sprintf("project-%d", g.r.IntN(6)), Version: pick(g.r, "1.13.0+cpu", "2!1.0rc1", "2004d"),
		Dependency: pick(g.r, component.Installed, component.Declared, component.Packaged)}
	c.PURL = pydist.PURL(c.Name, c.Version)
	if image && g.r.IntN(2) == 0 {
		c = component.Component{Ecosystem: "Debian:12", Name: fmt.Sprintf("libstdc++%d", i), Version: "1:12.2.0-14+deb12u1~bpo", Architecture: "amd64",
			SourceName: "gcc-12", SourceVersion: "12.2.0-14", Dependency: component.Installed}
		c.PURL = packageurl.NewPackageURL("deb", "debian", c.Name, c.Version, packageurl.QualifiersFromMap(map[string]string{"arch": "amd64", "distro": "debian-12"}), "").ToString()
	}
	for n := range 1 + g.r.IntN(2) {
		c.Locations = append(c.Locations, g.location(10*i+n))
	}
	if g.r.IntN(2) == 0 {
		c.Licenses = pick(g.r, []string{"BSD-3-Clause"}, []string{"MIT OR Apache-2.0", "see <LICENSE> & \"NOTICE\""})
		c.Expression = pick(g.r, "", "MIT", "Apache-2.0 AND LicenseRef-own")
	}
	if c.Dependency == component.Declared && g.r.IntN(2) == 0 {
		c.Groups = []string{"dev", "extra: x"}
		c.Hashes = []subject.Digest{subject.Of([]byte("b")), subject.Of([]byte("a"))}
	}
	return c
}

// connect adds edges, cycles among them.
func (g generator) connect(list []component.Component) {
	for i := range list {
		for range g.r.IntN(3) {
			if to := pick(g.r, list...); to.PURL != list[i].PURL && !slices.Contains(list[i].DependsOn, to.PURL) {
				list[i].DependsOn = append(list[i].DependsOn, to.PURL)
			}
		}
		slices.Sort(list[i].DependsOn)
	}
}
