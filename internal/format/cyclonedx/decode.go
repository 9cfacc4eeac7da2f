package cyclonedx

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
	"github.com/seed-161fc314/assay/predicate"
)

// versions are those of the specification that are read.
var versions = []string{"1.2", "1.3", "1.4", "1.5", "1.6", "1.7"}

// Decode reads a document of any tool; where is what errors and records call
// it. Understood are the fields of the specification, and of the properties
// Assay's own, syft's "syft:location:…" and Trivy's "aquasecurity:trivy:…". The
// described component itself is no part of the inventory; nested components
// are. Bounds are limit.SBOM and its siblings; a name that stands twice in one
// object is an error.
func Decode(r io.Reader, where string) (sbom.Document, error) {
	content, err := limit.ReadAll(r, where, limit.SBOM)
	if err != nil {
		return sbom.Document{}, err
	}
	document, err := decode(content, where)
	if err != nil {
		return sbom.Document{}, fmt.Errorf("reading CycloneDX: %w", err)
	}
	return document, nil
}

// decoder reads one document.
type decoder struct {
	where     string
	collector *sbom.Collector
	document  sbom.Document
}

func decode(content []byte, where string) (sbom.Document, error) {
	bom, err := strictjson.Object(content, where, strictjson.Bounds{})
	if err != nil {
		return sbom.Document{}, err
	}
	d := decoder{where: where, collector: sbom.NewCollector(where)}
	for _, read := range []func(strictjson.Members) error{d.head, d.metadata, d.components, d.dependencies} {
		if err := read(bom); err != nil {
			return sbom.Document{}, fmt.Errorf("%s: %w", where, err)
		}
	}
	d.document.Inventory = d.collector.Inventory()
	return d.document, nil
}

func (d *decoder) head(bom strictjson.Members) error {
	format, err := bom.String("bomFormat")
	if err != nil || format != "CycloneDX" {
		return fmt.Errorf("bomFormat is %.100q, want \"CycloneDX\"", format)
	}
	version, err := bom.String("specVersion")
	if err != nil || !slices.Contains(versions, version) {
		return fmt.Errorf("specVersion is %.100q; %s are read", version, strings.Join(versions, ", "))
	}
	d.document.Format = "CycloneDX " + version
	return nil
}

func (d *decoder) metadata(bom strictjson.Members) error {
	metadata, err := bom.Object("metadata")
	if err != nil || metadata == nil {
		return err
	}
	stamp, err := metadata.String("timestamp")
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if stamp != "" {
		made, err := time.Parse(time.RFC3339, stamp)
		if err != nil {
			return fmt.Errorf("metadata.timestamp: %.100q is no RFC 3339 time", stamp)
		}
		d.document.Created = made.UTC()
	}
	d.tool(metadata)
	properties, err := propertiesOf(metadata)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	for _, text := range properties.all(sbom.PropertyUnresolved) {
		d.collector.Unresolved(text)
	}
	if text := properties.first(sbom.PropertyInventory); text != "" {
		if err := d.collector.Rest(text); err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
	}
	target, err := metadata.Object("component")
	if err != nil || target == nil {
		return err
	}
	return d.target(target)
}

// target reads the described component.
func (d *decoder) target(target strictjson.Members) error {
	t := strictjson.Texts{Members: target}
	d.document.Name = t.Get("name")
	d.document.Kind = finding.Filesystem
	if t.Get("type") == "container" {
		d.document.Kind = finding.Container
	}
	for _, text := range []string{t.Get("version"), digestOfPURL(t.Get("purl"))} {
		if digest, err := subject.Parse(text); err == nil && d.document.Digest.IsZero() {
			d.document.Digest = digest
		}
	}
	properties, err := propertiesOf(target)
	if err != nil {
		return fmt.Errorf("metadata.component: %w", err)
	}
	if text := properties.first(sbom.PropertyImage); text != "" {
		if d.document.Image, err = sbom.ReadImage(text); err != nil {
			return fmt.Errorf("metadata.component: %w", err)
		}
	}
	if t.Err != nil {
		return fmt.Errorf("metadata.component: %w", t.Err)
	}
	return d.walk(target, 1)
}

// digestOfPURL is the version of an OCI image's package URL.
func digestOfPURL(text string) string {
	rest, found := strings.CutPrefix(text, "pkg:oci/")
	_, rest, _ = strings.Cut(rest, "@")
	rest, _, _ = strings.Cut(rest, "?")
	if !found {
		return ""
	}
	return strings.Replace(rest, "%3A", ":", 1)
}

// tool reads who made the document: a list up to version 1.4, an object since.
// What cannot be read there is only a name for people.
func (d *decoder) tool(metadata strictjson.Members) {
	list, err := metadata.List("tools", limit.SBOMComponents)
	if err != nil {
		object, err := metadata.Object("tools")
		if err != nil {
			return
		}
		if list, err = object.List("components", limit.SBOMComponents); err != nil {
			return
		}
	}
	if len(list) == 0 {
		return
	}
	tool, err := strictjson.Object(list[0], "tool", strictjson.Bounds{})
	if err != nil {
		return
	}
	t := strictjson.Texts{Members: tool}
	name, version := t.Get("name"), t.Get("version")
	if name == "assay" {
		d.document.ToolVersion = version
	}
	d.document.Tool = strings.TrimSpace(name + " " + version)
}

func (d *decoder) components(bom strictjson.Members) error { return d.walk(bom, 0) }

// walk reads the components of an object, and those in them.
func (d *decoder) walk(parent strictjson.Members, depth int) error {
	list, err := parent.List("components", limit.SBOMComponents)
	if err != nil {
		return err
	}
	if depth > limit.SBOMDepth && len(list) > 0 {
		return &limit.Error{What: "the nesting of components", Bound: limit.SBOMDepth, Unit: "levels"}
	}
	for i, raw := range list {
		members, err := strictjson.Object(raw, fmt.Sprintf("component %d", i), strictjson.Bounds{})
		if err != nil {
			return err
		}
		if err := d.component(members); err != nil {
			return fmt.Errorf("component %d: %w", i, err)
		}
		if err := d.walk(members, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) component(members strictjson.Members) error {
	t := strictjson.Texts{Members: members}
	properties, err := propertiesOf(members)
	if err != nil {
		return err
	}
	e := sbom.Entry{Ref: t.Get("bom-ref"), Type: t.Get("type"), Name: t.Get("name"), Version: t.Get("version"), PURL: t.Get("purl"),
		Dependency: component.Dependency(properties.first(predicate.DependencyProperty))}
	if e.Stated, err = sbom.ReadComponent(properties.first(sbom.PropertyComponent)); err != nil {
		return err
	}
	if group := t.Get("group"); group != "" && e.PURL == "" && e.Stated == nil {
		e.Name = group + "/" + e.Name
	}
	if e.Locations, err = locationsOf(members, properties); err != nil {
		return err
	}
	if e.Hashes, err = hashesOf(members); err != nil {
		return err
	}
	if e.Licenses, e.Expression, err = licensesOf(members); err != nil {
		return err
	}
	description := t.Get("description")
	if t.Err != nil {
		return t.Err
	}
	if e.Type == "operating-system" {
		os, err := sbom.ReadSystem(properties.first(sbom.PropertySystem), component.OperatingSystem{ID: e.Name, VersionID: e.Version, PrettyName: description})
		if err != nil {
			return err
		}
		d.collector.System(os)
		return nil
	}
	if e.Type == "application" && e.PURL == "" && properties.first(trivy+"Class") != "" {
		d.collector.Place(e.Ref, e.Name) // a lockfile, to which Trivy joins what it lists
	}
	fromTrivy(&e, properties)
	return d.collector.Add(e)
}

func (d *decoder) dependencies(bom strictjson.Members) error {
	list, err := bom.List("dependencies", limit.SBOMEdges)
	if err != nil {
		return err
	}
	for i, raw := range list {
		members, err := strictjson.Object(raw, fmt.Sprintf("dependency %d", i), strictjson.Bounds{})
		if err != nil {
			return err
		}
		from, err := members.String("ref")
		if err != nil {
			return fmt.Errorf("dependency %d: %w", i, err)
		}
		targets, err := members.List("dependsOn", limit.SBOMEdges)
		if err != nil {
			return fmt.Errorf("dependency %d: %w", i, err)
		}
		for _, raw := range targets {
			var to string
			if err := json.Unmarshal(raw, &to); err != nil {
				return fmt.Errorf("dependency %d: dependsOn: want strings, found %s", i, strictjson.Kind(raw))
			}
			if err := d.collector.Edge(from, to); err != nil {
				return err
			}
		}
	}
	return nil
}
