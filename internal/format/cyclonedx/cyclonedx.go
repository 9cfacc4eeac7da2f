// Package cyclonedx writes and reads CycloneDX bills of materials in JSON
// (https://cyclonedx.org/docs/1.6/json/).
//
// Entry points are [Encode], which writes what was found in a target; its
// sibling [EncodeReport], which writes the vulnerabilities too; and [Decode],
// which reads versions 1.2 to 1.7, whoever wrote them. The same input always
// gives the same bytes: the serial number is made from the content, and the only
// time is the one that the caller gives.
//
// Where each component was found stands in its evidence (occurrences, with the
// layer as additional context). What CycloneDX has no field for stands in
// properties: "assay:dependency" says whether a component was found installed or
// only declared, "assay:component" holds the rest as JSON; in the metadata stands
// what could not be resolved to a version, because that is no component. Decode
// gives all of it back.
//
// Dependencies name only what an inventory says; a component without an entry
// has unknown ones. XML is not read. The package is the only importer of
// cyclonedx-go.
package cyclonedx

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/predicate"
)

// Version is the version of the specification that is written.
type Version string

// The versions that are written. The zero value is V16.
const (
	V16 Version = "1.6"
	V17 Version = "1.7"
)

// layerContext heads the additional context of an occurrence in an image.
const layerContext = "layer "

// Encode writes a document, indented, with a newline at its end. An empty name
// and a component without name or version are errors; so is a writer's.
func Encode(w io.Writer, document sbom.Document, version Version) error {
	b := builder{references: references{}}
	bom, err := b.build(document)
	if err != nil {
		return fmt.Errorf("writing CycloneDX for %q: %w", document.Name, err)
	}
	return write(w, bom, version, document.Name)
}

// write encodes what holds nothing that 1.6 lacks. The library's own conversion
// would leave out empty lists, and an empty list of vulnerabilities says much.
func write(w io.Writer, bom *cdx.BOM, version Version, name string) error {
	bom.SpecVersion = cdx.SpecVersion1_6
	switch version {
	case "", V16:
		version = V16
	case V17:
		bom.SpecVersion = cdx.SpecVersion1_7
	default:
		return fmt.Errorf("CycloneDX %s is not written; 1.6 and 1.7 are", version)
	}
	bom.JSONSchema = "http://cyclonedx.org/schema/bom-" + string(version) + ".schema.json"
	var content bytes.Buffer
	if err := encode(&content, bom); err != nil {
		return fmt.Errorf("writing CycloneDX for %q: %w", name, err)
	}
	bom.SerialNumber = "urn:uuid:" + uuid(content.Bytes())
	if err := encode(w, bom); err != nil {
		return fmt.Errorf("writing CycloneDX for %q: %w", name, err)
	}
	return nil
}

func encode(w io.Writer, bom *cdx.BOM) error {
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).Encode(bom)
}

// uuid is a version 8 UUID (RFC 9562, section 5.8) from a hash of content.
func uuid(content []byte) string {
	sum := sha256.Sum256(content)
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// builder makes one document.
type builder struct {
	references references
	// components are the bom-refs of the inventory's components, by position.
	components []string
}

func (b *builder) build(document sbom.Document) (*cdx.BOM, error) {
	if document.Name == "" {
		return nil, errors.New("the target has no name")
	}
	target, err := b.described(document)
	if err != nil {
		return nil, err
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{
			Type: cdx.ComponentTypeApplication, Name: "assay", Version: document.ToolVersion}}},
		Component: target,
	}
	if !document.Created.IsZero() {
		bom.Metadata.Timestamp = document.Created.UTC().Format(time.RFC3339Nano)
	}
	if bom.Metadata.Properties, err = beside(document.Inventory); err != nil {
		return nil, err
	}
	list := []cdx.Component{}
	var top []string // what the target itself stands on
	if os := document.Inventory.OperatingSystem; os != nil {
		entry, err := b.system(*os)
		if err != nil {
			return nil, err
		}
		top = append(top, entry.BOMRef)
		list = append(list, entry)
	}
	for i, c := range document.Inventory.Components {
		if c.Name == "" || c.Version == "" {
			return nil, fmt.Errorf("component %d (%q, version %q) lacks a name or a version", i, c.Name, c.Version)
		}
		entry, err := b.library(c)
		if err != nil {
			return nil, err
		}
		b.components = append(b.components, entry.BOMRef)
		list = append(list, entry)
	}
	bom.Components = &list
	bom.Dependencies = b.dependencies(target.BOMRef, top, document.Inventory.Components)
	return bom, nil
}

// beside is what an inventory holds that is no component.
func beside(inventory component.Inventory) (*[]cdx.Property, error) {
	var list []cdx.Property
	for _, u := range inventory.Unresolved {
		text, err := sbom.Compact(u)
		if err != nil {
			return nil, err
		}
		list = append(list, cdx.Property{Name: sbom.PropertyUnresolved, Value: text})
	}
	rest, err := sbom.Inventory(inventory)
	if rest != "" {
		list = append(list, cdx.Property{Name: sbom.PropertyInventory, Value: rest})
	}
	return optional(list), err
}

func optional[T any](list []T) *[]T {
	if len(list) == 0 {
		return nil
	}
	return &list
}

// described is the target itself.
func (b *builder) described(document sbom.Document) (*cdx.Component, error) {
	c := &cdx.Component{Type: cdx.ComponentTypeApplication, Name: document.Name, Version: document.Digest.String()}
	if document.Kind == finding.Container {
		c.Type = cdx.ComponentTypeContainer
	}
	ref := "target"
	if !document.Digest.IsZero() {
		ref = document.Digest.String()
		c.Hashes = hashes([]subject.Digest{document.Digest})
	}
	c.BOMRef = b.references.unique(ref)
	if document.Image != nil {
		text, err := sbom.Image(*document.Image)
		if err != nil {
			return nil, err
		}
		c.Properties = &[]cdx.Property{{Name: sbom.PropertyImage, Value: text}}
	}
	return c, nil
}

func (b *builder) system(os component.OperatingSystem) (cdx.Component, error) {
	text, err := sbom.Compact(os)
	entry := cdx.Component{BOMRef: b.references.unique("os:" + os.ID + "@" + os.VersionID), Type: cdx.ComponentTypeOS,
		Name: os.ID, Version: os.VersionID, Description: os.PrettyName, Properties: &[]cdx.Property{{Name: sbom.PropertySystem, Value: text}}}
	if os.Location.Path != "" {
		entry.Evidence = occurrences([]component.Location{os.Location})
	}
	return entry, err
}

func (b *builder) library(c component.Component) (cdx.Component, error) {
	ref := c.PURL
	if ref == "" {
		ref = c.Ecosystem + ":" + c.Name + "@" + c.Version
	}
	text, err := sbom.Component(c, true)
	entry := cdx.Component{BOMRef: b.references.unique(ref), Type: cdx.ComponentTypeLibrary, Name: c.Name, Version: c.Version,
		PackageURL: c.PURL, Hashes: hashes(c.Hashes), Evidence: occurrences(c.Locations), Properties: &[]cdx.Property{
			{Name: predicate.DependencyProperty, Value: string(c.Dependency)}, {Name: sbom.PropertyComponent, Value: text}}}
	if len(c.Groups) > 0 {
		entry.Scope = cdx.ScopeOptional
	}
	// A package's own words are names: "id" takes SPDX identifiers only, and
	// "expression" stands alone.
	var licenses cdx.Licenses
	for _, text := range c.Licenses {
		if text != "" {
			licenses = append(licenses, cdx.LicenseChoice{License: &cdx.License{Name: text}})
		}
	}
	if c.Expression != "" {
		licenses = cdx.Licenses{{Expression: c.Expression}}
	}
	if licenses != nil {
		entry.Licenses = &licenses
	}
	return entry, err
}

func occurrences(locations []component.Location) *cdx.Evidence {
	var list []cdx.EvidenceOccurrence
	for _, l := range locations {
		o := cdx.EvidenceOccurrence{Location: l.Path}
		if l.Line > 0 {
			o.Line = &l.Line
		}
		if !l.Layer.IsZero() {
			o.AdditionalContext = layerContext + l.Layer.String()
		}
		list = append(list, o)
	}
	if list == nil {
		return nil
	}
	return &cdx.Evidence{Occurrences: &list}
}

// dependencies are the edges that are known.
func (b *builder) dependencies(target string, top []string, components []component.Component) *[]cdx.Dependency {
	needs, roots := sbom.Graph(components)
	for _, i := range roots {
		top = append(top, b.components[i])
	}
	list := []cdx.Dependency{{Ref: target, Dependencies: optional(top)}}
	for i := range components {
		if len(needs[i]) == 0 {
			continue
		}
		var refs []string
		for _, to := range needs[i] {
			refs = append(refs, b.components[to])
		}
		list = append(list, cdx.Dependency{Ref: b.components[i], Dependencies: &refs})
	}
	return &list
}

func hashes(digests []subject.Digest) *[]cdx.Hash {
	var list []cdx.Hash
	for _, d := range digests {
		algorithm := cdx.HashAlgoSHA256
		if d.Algorithm() == "sha512" {
			algorithm = cdx.HashAlgoSHA512
		}
		list = append(list, cdx.Hash{Algorithm: algorithm, Value: d.Hex()})
	}
	return optional(list)
}

// references hands out each bom-ref once: one package may be installed twice,
// and a bom-ref is unique in its document.
type references map[string]int

func (r references) unique(ref string) string {
	name := ref
	for r[name] > 0 {
		r[ref]++
		name = ref + "#" + strconv.Itoa(r[ref])
	}
	r[name] = 1
	return name
}
