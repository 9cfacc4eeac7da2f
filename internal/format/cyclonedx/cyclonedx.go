// Package cyclonedx writes what was found in a target as a CycloneDX 1.6 bill
// of materials in JSON (https://cyclonedx.org/docs/1.6/json/).
//
// Entry point is [Encode]. The same [Document] always gives the same bytes: the
// serial number is made from the content, and the only time is the one that
// the caller gives. Each component says in the property "assay:dependency"
// whether it was found installed or only declared, and in "assay:location"
// where; what could not be resolved to a version stands in the properties
// "assay:unresolved" of the metadata, because it is no component.
//
// The package states no dependency graph, which nobody measured, and reads no
// documents: predicate.ReadComponents does. It is the only importer of
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
	"github.com/seed-161fc314/assay/predicate"
)

// The properties that are ours, besides predicate.DependencyProperty.
const (
	propertyLocation   = "assay:location"
	propertyLayer      = "assay:layer"
	propertyUnresolved = "assay:unresolved"
)

// Document is a target and what was found in it.
type Document struct {
	// Name is the target as its user names it; it must not be empty.
	Name string
	// Digest is the image's manifest digest; zero for files.
	Digest subject.Digest
	// Kind makes the described component a container or an application.
	Kind finding.TargetKind
	// Inventory is what was found, sorted (Inventory.Sort).
	Inventory component.Inventory
	// Created is when the target was made; zero leaves the time out, so
	// that the document stays reproducible.
	Created time.Time
	// ToolVersion is Assay's own version, without a "v".
	ToolVersion string
}

// Encode writes a document, indented, with a newline at its end. An empty name
// and a component without name or version are errors; so is a writer's.
func Encode(w io.Writer, document Document) error {
	bom, err := build(document)
	if err != nil {
		return fmt.Errorf("writing CycloneDX for %q: %w", document.Name, err)
	}
	var content bytes.Buffer
	if err := encode(&content, bom); err != nil {
		return fmt.Errorf("writing CycloneDX for %q: %w", document.Name, err)
	}
	bom.SerialNumber = "urn:uuid:" + uuid(content.Bytes())
	if err := encode(w, bom); err != nil {
		return fmt.Errorf("writing CycloneDX for %q: %w", document.Name, err)
	}
	return nil
}

func encode(w io.Writer, bom *cdx.BOM) error {
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cdx.SpecVersion1_6)
}

// uuid is a version 8 UUID (RFC 9562, section 5.8) from a hash of content.
func uuid(content []byte) string {
	sum := sha256.Sum256(content)
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func build(document Document) (*cdx.BOM, error) {
	if document.Name == "" {
		return nil, errors.New("the target has no name")
	}
	refs := references{}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{
			Type: cdx.ComponentTypeApplication, Name: "assay", Version: document.ToolVersion}}},
		Component: described(document, refs),
	}
	if !document.Created.IsZero() {
		bom.Metadata.Timestamp = document.Created.UTC().Format(time.RFC3339)
	}
	var unresolved []cdx.Property
	for _, u := range document.Inventory.Unresolved {
		unresolved = append(unresolved, cdx.Property{Name: propertyUnresolved, Value: place(u.Location) + " " + u.Text + ": " + u.Reason})
	}
	if unresolved != nil {
		bom.Metadata.Properties = &unresolved
	}
	list := []cdx.Component{}
	if os := document.Inventory.OperatingSystem; os != nil {
		list = append(list, cdx.Component{BOMRef: refs.unique("os:" + os.ID + "@" + os.VersionID), Type: cdx.ComponentTypeOS,
			Name: os.ID, Version: os.VersionID, Description: os.PrettyName})
	}
	for i, c := range document.Inventory.Components {
		if c.Name == "" || c.Version == "" {
			return nil, fmt.Errorf("component %d (%q, version %q) lacks a name or a version", i, c.Name, c.Version)
		}
		list = append(list, library(c, refs))
	}
	bom.Components = &list
	return bom, nil
}

// described is the target itself.
func described(document Document, refs references) *cdx.Component {
	c := &cdx.Component{Type: cdx.ComponentTypeApplication, Name: document.Name, Version: document.Digest.String()}
	if document.Kind == finding.Container {
		c.Type = cdx.ComponentTypeContainer
	}
	ref := "target"
	if !document.Digest.IsZero() {
		ref = document.Digest.String()
		c.Hashes = hashes([]subject.Digest{document.Digest})
	}
	c.BOMRef = refs.unique(ref)
	return c
}

func library(c component.Component, refs references) cdx.Component {
	ref := c.PURL
	if ref == "" {
		ref = c.Ecosystem + ":" + c.Name + "@" + c.Version
	}
	properties := []cdx.Property{{Name: predicate.DependencyProperty, Value: string(c.Dependency)}}
	for _, location := range c.Locations {
		properties = append(properties, cdx.Property{Name: propertyLocation, Value: place(location)})
	}
	for _, location := range c.Locations {
		if !location.Layer.IsZero() {
			properties = append(properties, cdx.Property{Name: propertyLayer, Value: location.Layer.String()})
			break
		}
	}
	entry := cdx.Component{BOMRef: refs.unique(ref), Type: cdx.ComponentTypeLibrary, Name: c.Name, Version: c.Version,
		PackageURL: c.PURL, Hashes: hashes(c.Hashes), Properties: &properties}
	// A package's own words are names: "id" takes SPDX identifiers only, and
	// "expression" stands alone.
	var licenses cdx.Licenses
	for _, text := range c.Licenses {
		if text != "" {
			licenses = append(licenses, cdx.LicenseChoice{License: &cdx.License{Name: text}})
		}
	}
	if licenses != nil {
		entry.Licenses = &licenses
	}
	return entry
}

func hashes(digests []subject.Digest) *[]cdx.Hash {
	if len(digests) == 0 {
		return nil
	}
	list := make([]cdx.Hash, 0, len(digests))
	for _, d := range digests {
		algorithm := cdx.HashAlgoSHA256
		if d.Algorithm() == "sha512" {
			algorithm = cdx.HashAlgoSHA512
		}
		list = append(list, cdx.Hash{Algorithm: algorithm, Value: d.Hex()})
	}
	return &list
}

// place is "path" or "path:line".
func place(location component.Location) string {
	if location.Line > 0 {
		return location.Path + ":" + strconv.Itoa(location.Line)
	}
	return location.Path
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
