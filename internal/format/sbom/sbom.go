// Package sbom is what CycloneDX and SPDX documents have in common: a target,
// and the inventory of what is in it.
//
// Entry points are [Document], which both formats write and read; [Sniff],
// which tells a document's format from its content; and [Collector], with
// which a format's reader turns entries into an inventory. What an entry does
// not put down to one package at one version becomes an unresolved record with
// the reason. Files are places and no packages: they become no record.
//
// The package knows no syntax; format/cyclonedx and format/spdx do.
package sbom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Document is a target and what was found in it. Writing it and reading it back
// gives the same Document, but for Format and Tool, which readers fill.
type Document struct {
	// Name is the target as its user names it; it must not be empty.
	Name string
	// Digest is the image's manifest digest; zero for files.
	Digest subject.Digest
	// Kind makes the described component a container or an application.
	Kind finding.TargetKind
	// Image is what is known of an image's layers; nil for files. Its labels
	// are not written.
	Image *finding.Image
	// Inventory is what was found, sorted (Inventory.Sort).
	Inventory component.Inventory
	// Created is when the target was made. SPDX demands a time: zero is
	// written there as 1970-01-01T00:00:00Z, and otherwise left out, so that
	// the document stays reproducible.
	Created time.Time
	// ToolVersion is Assay's own version, without a "v"; on reading it is ""
	// for documents of others.
	ToolVersion string
	// Format is "CycloneDX 1.6" or "SPDX 2.3", Tool what made the document,
	// such as "syft 1.51.0". Only readers fill them.
	Format, Tool string
}

// The names of properties (CycloneDX) and annotations (SPDX) that are ours,
// besides predicate.DependencyProperty. All hold JSON: of a component and an
// inventory what the format has no fields for, of an operating system, an
// unresolved record and an image the whole.
const (
	PropertyComponent  = "assay:component"
	PropertyInventory  = "assay:inventory"
	PropertySystem     = "assay:system"
	PropertyUnresolved = "assay:unresolved"
	PropertyImage      = "assay:image"
)

// ErrUnsupported says that a document is an SBOM in a form that is not read.
var ErrUnsupported = errors.New("this kind of SBOM is not read; CycloneDX 1.2 to 1.7 and SPDX 2.2 and 2.3 are, both in JSON")

// Sniff tells the format of a document from its content: finding.CycloneDX,
// finding.SPDX, or "" for what is no SBOM. An SBOM in another form (XML,
// tag-value, SPDX 3) is an error that wraps ErrUnsupported.
func Sniff(content []byte) (finding.TargetKind, error) {
	text := bytes.TrimLeft(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		return sniffJSON(text)
	case bytes.HasPrefix(text, []byte("SPDXVersion:")):
		return "", fmt.Errorf("SPDX tag-value: %w", ErrUnsupported)
	case bytes.HasPrefix(text, []byte("<")):
		head := text[:min(len(text), 4096)]
		if bytes.Contains(head, []byte("http://cyclonedx.org/schema/bom")) {
			return "", fmt.Errorf("CycloneDX in XML: %w", ErrUnsupported)
		}
		if bytes.Contains(head, []byte("http://spdx.org/rdf/terms")) {
			return "", fmt.Errorf("SPDX in RDF/XML: %w", ErrUnsupported)
		}
	}
	return "", nil
}

// sniffJSON looks at the outermost names until one tells the format. Broken
// JSON is no SBOM here; the reader of whatever it is will say what is wrong.
func sniffJSON(content []byte) (finding.TargetKind, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	if _, err := decoder.Token(); err != nil {
		return "", nil
	}
	for decoder.More() {
		name, err := decoder.Token()
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			return "", nil
		}
		switch name {
		case "bomFormat":
			if string(value) == `"CycloneDX"` {
				return finding.CycloneDX, nil
			}
		case "spdxVersion":
			return finding.SPDX, nil
		case "@context":
			if strings.Contains(string(value), "spdx.org/rdf/3") {
				return "", fmt.Errorf("SPDX 3: %w", ErrUnsupported)
			}
		}
	}
	return "", nil
}

// Compact is value as JSON in one line, for a property or an annotation.
func Compact(value any) (string, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	return strings.TrimSpace(buffer.String()), nil
}
