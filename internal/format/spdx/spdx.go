// Package spdx writes what was found in a target as an SPDX 2.3 document in
// JSON (https://spdx.github.io/spdx-spec/v2.3/).
//
// Entry point is [Encode]. The same [Document] always gives the same bytes: the
// namespace is made from the content, and the only time is the one that the
// caller gives. Each package says in an annotation "assay:dependency=..."
// whether it was found installed or only declared, and where; what could not be
// resolved to a version stands in annotations of the document, because it is no
// package.
//
// Licences are declared as packages state them and concluded by nobody. The
// package reads no documents: predicate.ReadComponents does. It is the only
// importer of tools-golang.
package spdx

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/predicate"
)

// The heads of annotations that are ours, besides predicate.DependencyProperty.
const (
	annotationLocation   = "assay:location="
	annotationLayer      = "assay:layer="
	annotationUnresolved = "assay:unresolved="
)

const noAssertion = "NOASSERTION"

// Document is a target and what was found in it.
type Document struct {
	// Name is the target as its user names it; it must not be empty.
	Name string
	// Digest is the image's manifest digest; zero for files.
	Digest subject.Digest
	// Kind makes the described package a container or an application.
	Kind finding.TargetKind
	// Inventory is what was found, sorted (Inventory.Sort).
	Inventory component.Inventory
	// Created is when the target was made. SPDX demands a time: zero is
	// written as 1970-01-01T00:00:00Z, so that the document stays
	// reproducible.
	Created time.Time
	// ToolVersion is Assay's own version, without a "v".
	ToolVersion string
}

// Encode writes a document, indented, with a newline at its end. An empty name
// and a component without name or version are errors; so is a writer's.
func Encode(w io.Writer, document Document) error {
	b := builder{tool: "assay", taken: map[string]int{}, licenses: licenses{}}
	if document.ToolVersion != "" {
		b.tool += "-" + document.ToolVersion
	}
	b.created = "1970-01-01T00:00:00Z"
	if !document.Created.IsZero() {
		b.created = document.Created.UTC().Format("2006-01-02T15:04:05Z")
	}
	doc, err := b.build(document)
	if err != nil {
		return fmt.Errorf("writing SPDX for %q: %w", document.Name, err)
	}
	var content bytes.Buffer
	if err := encode(&content, doc); err != nil {
		return fmt.Errorf("writing SPDX for %q: %w", document.Name, err)
	}
	doc.DocumentNamespace = "https://assay.sh/spdx/" + uuid(content.Bytes())
	if err := encode(w, doc); err != nil {
		return fmt.Errorf("writing SPDX for %q: %w", document.Name, err)
	}
	return nil
}

func encode(w io.Writer, doc *v2_3.Document) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(doc)
}

// uuid is a version 8 UUID (RFC 9562, section 5.8) from a hash of content.
func uuid(content []byte) string {
	sum := sha256.Sum256(content)
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

type builder struct {
	tool, created string
	taken         map[string]int
	licenses      licenses
}

func (b *builder) build(document Document) (*v2_3.Document, error) {
	if document.Name == "" {
		return nil, errors.New("the target has no name")
	}
	doc := &v2_3.Document{SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: document.Name,
		CreationInfo: &v2_3.CreationInfo{Creators: []common.Creator{{CreatorType: "Tool", Creator: b.tool}}, Created: b.created}}
	target := b.target(document)
	add := func(p *v2_3.Package, from common.ElementID, relationship string) {
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, &v2_3.Relationship{RefA: common.DocElementID{ElementRefID: from},
			RefB: common.DocElementID{ElementRefID: p.PackageSPDXIdentifier}, Relationship: relationship})
	}
	add(target, doc.SPDXIdentifier, common.TypeRelationshipDescribe)
	if os := document.Inventory.OperatingSystem; os != nil {
		p := b.pkg("OperatingSystem-"+os.ID+"-"+os.VersionID, os.ID, os.VersionID)
		p.PrimaryPackagePurpose, p.PackageDescription = "OPERATING_SYSTEM", os.PrettyName
		add(p, target.PackageSPDXIdentifier, common.TypeRelationshipContains)
	}
	for i, c := range document.Inventory.Components {
		if c.Name == "" || c.Version == "" {
			return nil, fmt.Errorf("component %d (%q, version %q) lacks a name or a version", i, c.Name, c.Version)
		}
		relationship := common.TypeRelationshipContains
		if c.Dependency == component.Declared {
			relationship = common.TypeRelationshipDependsOn
		}
		add(b.library(c), target.PackageSPDXIdentifier, relationship)
	}
	for _, u := range document.Inventory.Unresolved {
		note := b.annotation(annotationUnresolved + place(u.Location) + " " + u.Text + ": " + u.Reason)
		doc.Annotations = append(doc.Annotations, &note)
	}
	doc.OtherLicenses = b.licenses.extracted()
	return doc, nil
}

// pkg is a package of which nothing more is known.
func (b *builder) pkg(id, name, version string) *v2_3.Package {
	return &v2_3.Package{PackageName: name, PackageSPDXIdentifier: b.unique(id), PackageVersion: version,
		PackageDownloadLocation: noAssertion, IsFilesAnalyzedTagPresent: true,
		PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion}
}

func (b *builder) target(document Document) *v2_3.Package {
	p := b.pkg("Target", document.Name, document.Digest.String())
	p.PrimaryPackagePurpose = "APPLICATION"
	if document.Kind == finding.Container {
		p.PrimaryPackagePurpose = "CONTAINER"
	}
	if !document.Digest.IsZero() {
		p.PackageChecksums = checksums([]subject.Digest{document.Digest})
	}
	return p
}

func (b *builder) library(c component.Component) *v2_3.Package {
	ecosystem, _, _ := strings.Cut(c.Ecosystem, ":")
	p := b.pkg("Package-"+ecosystem+"-"+c.Name+"-"+c.Version, c.Name, c.Version)
	p.PrimaryPackagePurpose = "LIBRARY"
	p.PackageChecksums = checksums(c.Hashes)
	p.PackageLicenseDeclared = b.licenses.declare(c.Licenses)
	if c.PURL != "" {
		p.PackageExternalReferences = []*v2_3.PackageExternalReference{{Category: common.CategoryPackageManager,
			RefType: common.TypePackageManagerPURL, Locator: c.PURL}}
	}
	p.Annotations = append(p.Annotations, b.annotation(predicate.DependencyProperty+"="+string(c.Dependency)))
	for _, location := range c.Locations {
		p.Annotations = append(p.Annotations, b.annotation(annotationLocation+place(location)))
	}
	for _, location := range c.Locations {
		if !location.Layer.IsZero() {
			p.Annotations = append(p.Annotations, b.annotation(annotationLayer+location.Layer.String()))
			break
		}
	}
	return p
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

// place is "path" or "path:line".
func place(location component.Location) string {
	if location.Line > 0 {
		return location.Path + ":" + strconv.Itoa(location.Line)
	}
	return location.Path
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
