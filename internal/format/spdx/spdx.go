// Package spdx writes and reads SPDX 2.3 documents in JSON
// (https://spdx.github.io/spdx-spec/v2.3/).
//
// Entry points are [Encode], which writes what was found in a target, and
// [Decode], which reads versions 2.2 and 2.3, whoever wrote them. The same
// input always gives the same bytes: the namespace is made from the content, and
// the only time is the one that the caller gives.
//
// Where a package was found stands in its source information, for people. What
// SPDX has no field for stands in annotations: "assay:dependency=…" says whether
// a package was found installed or only declared, "assay:component=…" holds the
// rest as JSON; what could not be resolved to a version stands in annotations of
// the document, because it is no package. Decode gives all of it back.
//
// Licences are declared as packages state them and concluded by nobody.
// Tag-value, RDF and SPDX 3 are not read. The package is the only importer of
// tools-golang.
package spdx

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/indent"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/predicate"
)

const noAssertion = "NOASSERTION"

// Encode writes a document, indented, with a newline at its end. An empty name
// and a component without name or version are errors; so is a writer's.
func Encode(w io.Writer, document sbom.Document) error {
	b := builder{tool: "assay", taken: map[string]int{}, licenses: licenses{}}
	if document.ToolVersion != "" {
		b.tool += "-" + document.ToolVersion
	}
	b.created = "1970-01-01T00:00:00Z"
	if !document.Created.IsZero() {
		b.created = document.Created.UTC().Format("2006-01-02T15:04:05Z") // SPDX allows no fractions
	}
	doc, err := b.build(document)
	if err != nil {
		return fmt.Errorf("writing SPDX for %q: %w", document.Name, err)
	}
	content := sha256.New()
	if err := indent.Encode(content, doc); err != nil {
		return fmt.Errorf("writing SPDX for %q: %w", document.Name, err)
	}
	doc.DocumentNamespace = "https://assay.sh/spdx/" + uuid(content.Sum(nil))
	if err := indent.Encode(w, doc); err != nil {
		return fmt.Errorf("writing SPDX for %q: %w", document.Name, err)
	}
	return nil
}

// uuid is a version 8 UUID (RFC 9562, section 5.8) from a hash.
func uuid(sum []byte) string {
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

type builder struct {
	tool, created string
	taken         map[string]int
	licenses      licenses
}

func (b *builder) build(document sbom.Document) (*v2_3.Document, error) {
	if document.Name == "" {
		return nil, errors.New("the target has no name")
	}
	doc := &v2_3.Document{SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: document.Name,
		CreationInfo: &v2_3.CreationInfo{Creators: []common.Creator{{CreatorType: "Tool", Creator: b.tool}}, Created: b.created}}
	target, err := b.target(document)
	if err != nil {
		return nil, err
	}
	relate := func(from common.ElementID, relationship string, to common.ElementID) {
		doc.Relationships = append(doc.Relationships, &v2_3.Relationship{RefA: common.DocElementID{ElementRefID: from},
			RefB: common.DocElementID{ElementRefID: to}, Relationship: relationship})
	}
	add := func(p *v2_3.Package, from common.ElementID, relationship string) {
		doc.Packages = append(doc.Packages, p)
		relate(from, relationship, p.PackageSPDXIdentifier)
	}
	add(target, doc.SPDXIdentifier, common.TypeRelationshipDescribe)
	if os := document.Inventory.OperatingSystem; os != nil {
		p := b.pkg("OperatingSystem-"+os.ID+"-"+os.VersionID, os.ID, os.VersionID)
		p.PrimaryPackagePurpose, p.PackageDescription, p.PackageSourceInfo = "OPERATING_SYSTEM", os.PrettyName, sourceInfo([]component.Location{os.Location})
		text, err := sbom.Compact(os)
		if err != nil {
			return nil, err
		}
		p.Annotations = append(p.Annotations, b.annotation(sbom.PropertySystem+"="+text))
		add(p, target.PackageSPDXIdentifier, common.TypeRelationshipContains)
	}
	components := document.Inventory.Components
	needs, roots := sbom.Graph(components)
	first := len(doc.Packages)
	for i, c := range components {
		if c.Name == "" || c.Version == "" {
			return nil, fmt.Errorf("component %d (%q, version %q) lacks a name or a version", i, c.Name, c.Version)
		}
		p, err := b.library(c)
		if err != nil {
			return nil, err
		}
		// What is there is contained, whatever needs it; what is only declared
		// is needed, by the target itself where by nothing else.
		switch _, root := slices.BinarySearch(roots, i); {
		case c.Dependency != component.Declared:
			add(p, target.PackageSPDXIdentifier, common.TypeRelationshipContains)
		case root:
			add(p, target.PackageSPDXIdentifier, common.TypeRelationshipDependsOn)
		default:
			doc.Packages = append(doc.Packages, p)
		}
	}
	for i, list := range needs {
		for _, to := range list {
			relate(doc.Packages[first+i].PackageSPDXIdentifier, common.TypeRelationshipDependsOn, doc.Packages[first+to].PackageSPDXIdentifier)
		}
	}
	doc.OtherLicenses = b.licenses.extracted()
	return doc, b.beside(doc, document.Inventory)
}

// beside writes what an inventory holds that is no package.
func (b *builder) beside(doc *v2_3.Document, inventory component.Inventory) error {
	note := func(name, text string) {
		annotation := b.annotation(name + "=" + text)
		doc.Annotations = append(doc.Annotations, &annotation)
	}
	for _, u := range inventory.Unresolved {
		text, err := sbom.Compact(u)
		if err != nil {
			return err
		}
		note(sbom.PropertyUnresolved, text)
	}
	rest, err := sbom.Inventory(inventory)
	if rest != "" {
		note(sbom.PropertyInventory, rest)
	}
	return err
}

// sourceInfo says for people where a package was found.
func sourceInfo(locations []component.Location) string {
	var places []string
	for _, l := range locations {
		if l.Path == "" {
			continue
		}
		place := l.String()
		if !l.Layer.IsZero() {
			place += " (layer " + l.Layer.String() + ")"
		}
		places = append(places, place)
	}
	if places == nil {
		return ""
	}
	return "found in: " + strings.Join(places, ", ")
}

// pkg is a package of which nothing more is known.
func (b *builder) pkg(id, name, version string) *v2_3.Package {
	return &v2_3.Package{PackageName: name, PackageSPDXIdentifier: b.unique(id), PackageVersion: version,
		PackageDownloadLocation: noAssertion, IsFilesAnalyzedTagPresent: true,
		PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion}
}

func (b *builder) target(document sbom.Document) (*v2_3.Package, error) {
	p := b.pkg("Target", document.Name, document.Digest.String())
	p.PrimaryPackagePurpose = "APPLICATION"
	if document.Kind == finding.Container {
		p.PrimaryPackagePurpose = "CONTAINER"
	}
	if !document.Digest.IsZero() {
		p.PackageChecksums = checksums([]subject.Digest{document.Digest})
	}
	if document.Image == nil {
		return p, nil
	}
	text, err := sbom.Image(*document.Image)
	p.Annotations = append(p.Annotations, b.annotation(sbom.PropertyImage+"="+text))
	return p, err
}

func (b *builder) library(c component.Component) (*v2_3.Package, error) {
	ecosystem, _, _ := strings.Cut(c.Ecosystem, ":")
	p := b.pkg("Package-"+ecosystem+"-"+c.Name+"-"+c.Version, c.Name, c.Version)
	p.PrimaryPackagePurpose = "LIBRARY"
	p.PackageChecksums = checksums(c.Hashes)
	p.PackageLicenseDeclared = b.licenses.expression(c)
	p.PackageSourceInfo = sourceInfo(c.Locations)
	if c.PURL != "" {
		p.PackageExternalReferences = []*v2_3.PackageExternalReference{{Category: common.CategoryPackageManager,
			RefType: common.TypePackageManagerPURL, Locator: c.PURL}}
	}
	text, err := sbom.Component(c, false)
	p.Annotations = append(p.Annotations, b.annotation(predicate.DependencyProperty+"="+string(c.Dependency)), b.annotation(sbom.PropertyComponent+"="+text))
	return p, err
}

func (b *builder) annotation(comment string) v2_3.Annotation {
	return v2_3.Annotation{Annotator: common.Annotator{AnnotatorType: "Tool", Annotator: b.tool}, AnnotationDate: b.created,
		AnnotationType: "OTHER", AnnotationComment: comment}
}

func checksums(digests []subject.Digest) []common.Checksum {
	var list []common.Checksum
	for _, d := range digests {
		list = append(list, common.Checksum{Algorithm: common.ChecksumAlgorithm(strings.ToUpper(d.Algorithm())), Value: d.Hex()})
	}
	return list
}

// unique makes an identifier of the letters that SPDX allows (clause 7.2) and
// hands it out once: one package may be installed twice.
func (b *builder) unique(text string) common.ElementID {
	id := []byte(text)
	for i, c := range id {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			id[i] = '-'
		}
	}
	base := string(id)
	name := base
	for b.taken[name] > 0 {
		b.taken[base]++
		name = base + "-" + strconv.Itoa(b.taken[base])
	}
	b.taken[name] = 1
	return common.ElementID(name)
}
