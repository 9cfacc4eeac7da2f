package spdx

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

// Decode reads a document of any tool; where is what errors and records call
// it. A package is told by its external reference of type purl. The described
// package is the target and no part of the inventory, unless its package URL
// is that of a package ("pkg:pypi/…"); files and snippets are none either.
// Bounds are limit.SBOM and its siblings; a name that stands twice in one
// object is an error.
func Decode(r io.Reader, where string) (sbom.Document, error) {
	content, err := limit.ReadAll(r, where, limit.SBOM)
	if err != nil {
		return sbom.Document{}, err
	}
	document, err := decode(content, where)
	if err != nil {
		return sbom.Document{}, fmt.Errorf("reading SPDX: %w", err)
	}
	return document, nil
}

// decoder reads one document.
type decoder struct {
	where     string
	collector *sbom.Collector
	document  sbom.Document
	described map[string]bool
}

func decode(content []byte, where string) (sbom.Document, error) {
	members, err := strictjson.Object(content, where, strictjson.Bounds{})
	if err != nil {
		return sbom.Document{}, err
	}
	d := decoder{where: where, collector: sbom.NewCollector(where), described: map[string]bool{}}
	for _, read := range []func(strictjson.Members) error{d.head, d.notes, d.relationships, d.packages} {
		if err := read(members); err != nil {
			return sbom.Document{}, fmt.Errorf("%s: %w", where, err)
		}
	}
	d.document.Inventory = d.collector.Inventory()
	return d.document, nil
}

func (d *decoder) head(members strictjson.Members) error {
	t := strictjson.Texts{Members: members}
	version := t.Get("spdxVersion")
	if t.Err != nil || version != "SPDX-2.2" && version != "SPDX-2.3" {
		return fmt.Errorf("spdxVersion is %.100q; SPDX-2.2 and SPDX-2.3 are read", version)
	}
	d.document.Format = "SPDX " + strings.TrimPrefix(version, "SPDX-")
	d.document.Name, d.document.Kind = t.Get("name"), finding.Filesystem
	info, err := members.Object("creationInfo")
	if err != nil {
		return err
	}
	i := strictjson.Texts{Members: info}
	if created := i.Get("created"); created != "" {
		made, err := time.Parse(time.RFC3339, created)
		if err != nil {
			return fmt.Errorf("creationInfo.created: %.100q is no RFC 3339 time", created)
		}
		if made.Unix() != 0 { // SPDX demands a time, and this stands for none
			d.document.Created = made.UTC()
		}
	}
	creators, err := stringsOf(info, "creators")
	for _, creator := range creators {
		tool, found := strings.CutPrefix(creator, "Tool:")
		if tool = strings.TrimSpace(tool); !found || d.document.Tool != "" {
			continue
		}
		d.document.Tool = tool
		if version, ours := strings.CutPrefix(tool, "assay-"); ours {
			d.document.ToolVersion, d.document.Tool = version, "assay "+version
		}
	}
	if err == nil {
		err = t.Err
	}
	if err == nil {
		err = i.Err
	}
	return err
}

// notes reads the annotations of the document itself.
func (d *decoder) notes(members strictjson.Members) error {
	notes, err := annotationsOf(members)
	if err != nil {
		return err
	}
	for _, text := range notes.all(sbom.PropertyUnresolved + "=") {
		d.collector.Unresolved(text)
	}
	if text := notes.first(sbom.PropertyInventory + "="); text != "" {
		return d.collector.Rest(text)
	}
	return nil
}

// forward and backward are relationships that say that one package needs, or
// holds, the other.
var (
	forward  = []string{"DEPENDS_ON", "CONTAINS", "HAS_PREREQUISITE"}
	backward = []string{"DEPENDENCY_OF", "CONTAINED_BY", "PREREQUISITE_FOR", "RUNTIME_DEPENDENCY_OF", "DEV_DEPENDENCY_OF",
		"BUILD_DEPENDENCY_OF", "TEST_DEPENDENCY_OF", "OPTIONAL_DEPENDENCY_OF", "PROVIDED_DEPENDENCY_OF"}
)

const documentID = "SPDXRef-DOCUMENT"

func (d *decoder) relationships(members strictjson.Members) error {
	described, err := stringsOf(members, "documentDescribes")
	if err != nil {
		return err
	}
	for _, id := range described {
		d.described[id] = true
	}
	list, err := members.List("relationships", limit.SBOMEdges)
	if err != nil {
		return err
	}
	for i, raw := range list {
		relationship, err := strictjson.Object(raw, fmt.Sprintf("relationship %d", i), strictjson.Bounds{})
		if err != nil {
			return err
		}
		t := strictjson.Texts{Members: relationship}
		from, kind, to := t.Get("spdxElementId"), t.Get("relationshipType"), t.Get("relatedSpdxElement")
		if t.Err != nil {
			return fmt.Errorf("relationship %d: %w", i, t.Err)
		}
		switch {
		case kind == "DESCRIBES" && from == documentID:
			d.described[to] = true
		case kind == "DESCRIBED_BY" && to == documentID:
			d.described[from] = true
		case slices.Contains(forward, kind):
			err = d.collector.Edge(from, to)
		case slices.Contains(backward, kind):
			err = d.collector.Edge(to, from)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) packages(members strictjson.Members) error {
	list, err := members.List("packages", limit.SBOMComponents)
	if err != nil {
		return err
	}
	for i, raw := range list {
		p, err := strictjson.Object(raw, fmt.Sprintf("package %d", i), strictjson.Bounds{})
		if err != nil {
			return err
		}
		if err := d.pkg(p); err != nil {
			return fmt.Errorf("package %d: %w", i, err)
		}
	}
	return nil
}

func (d *decoder) pkg(p strictjson.Members) error {
	t := strictjson.Texts{Members: p}
	e := sbom.Entry{Ref: t.Get("SPDXID"), Name: t.Get("name"), Version: t.Get("versionInfo"),
		Type: strings.ToLower(strings.ReplaceAll(t.Get("primaryPackagePurpose"), "_", "-"))}
	source, description := t.Get("sourceInfo"), t.Get("description")
	if t.Err != nil {
		return t.Err
	}
	notes, err := annotationsOf(p)
	if err != nil {
		return err
	}
	if e.PURL, err = purlOf(p); err != nil {
		return err
	}
	if d.described[e.Ref] && (e.PURL == "" || strings.HasPrefix(e.PURL, "pkg:oci/") || e.Type == "container" || len(d.described) == 1 && !matched(e.PURL)) {
		return d.target(e, notes)
	}
	if e.Type == "operating-system" {
		os, err := sbom.ReadSystem(notes.first(sbom.PropertySystem+"="), component.OperatingSystem{ID: e.Name, VersionID: e.Version, PrettyName: description})
		if err != nil {
			return err
		}
		d.collector.System(os)
		return nil
	}
	e.Dependency = component.Dependency(notes.first(predicate.DependencyProperty + "="))
	if e.Hashes, err = checksumsOf(p); err != nil {
		return err
	}
	if e.Stated, err = sbom.ReadComponent(notes.first(sbom.PropertyComponent + "=")); err != nil || e.Stated != nil {
		if err == nil {
			err = d.collector.Add(e)
		}
		return err
	}
	if err := foreign(&e, p, notes, source); err != nil {
		return err
	}
	if e.Type == "application" && e.PURL == "" && notes.first("Class: ") != "" {
		d.collector.Place(e.Ref, e.Name) // a lockfile, to which Trivy joins what it lists
	}
	return d.collector.Add(e)
}

// matched says whether a package URL is of a type that advisories are matched
// for, so that what it names is a package and no workload.
func matched(url string) bool {
	return slices.ContainsFunc([]string{"pypi", "deb", "apk", "rpm", "conda"}, func(kind string) bool {
		return strings.HasPrefix(url, "pkg:"+kind+"/")
	})
}

// target reads the described package.
func (d *decoder) target(e sbom.Entry, notes annotations) error {
	if e.Name != "" {
		d.document.Name = e.Name
	}
	if e.Type == "container" {
		d.document.Kind = finding.Container
	}
	if digest, err := subject.Parse(e.Version); err == nil {
		d.document.Digest = digest
	}
	text := notes.first(sbom.PropertyImage + "=")
	if text == "" {
		return nil
	}
	var err error
	d.document.Image, err = sbom.ReadImage(text)
	return err
}

// foreign takes what other tools say in their own ways: the declared licence,
// syft's "acquired package info from …: PATH, PATH", Trivy's "LayerDiffID: …",
// "PkgType: …" and "built package from: NAME VERSION".
func foreign(e *sbom.Entry, p strictjson.Members, notes annotations, source string) error {
	t := strictjson.Texts{Members: p}
	for _, text := range []string{t.Get("licenseConcluded"), t.Get("licenseDeclared")} {
		if text != "" && text != "NOASSERTION" && text != "NONE" {
			e.Expression = text
			break
		}
	}
	if t.Err != nil {
		return t.Err
	}
	layer, _ := subject.Parse(notes.first("LayerDiffID: ")) // none, where it is no digest
	if _, places, found := strings.Cut(source, ": "); found && strings.HasPrefix(source, "acquired package info from") {
		for _, place := range strings.Split(places, ", ") {
			if place = strings.TrimPrefix(strings.TrimSpace(place), "/"); place != "" {
				e.Locations = append(e.Locations, component.Location{Path: place, Layer: layer})
			}
		}
	}
	if built, found := strings.CutPrefix(source, "built package from: "); found {
		e.SourceName, e.SourceVersion, _ = strings.Cut(built, " ")
	}
	if strings.HasSuffix(notes.first("PkgType: "), "python-pkg") {
		e.Dependency = component.Installed
	}
	return nil
}

func stringsOf(members strictjson.Members, name string) ([]string, error) {
	list, err := members.List(name, limit.SBOMComponents)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, raw := range list {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, fmt.Errorf("%q: want strings, found %s", name, strictjson.Kind(raw))
		}
		all = append(all, text)
	}
	return all, nil
}

// annotations are the comments of an element, and its attribution texts, where
// older versions of Trivy put the same.
type annotations []string

func annotationsOf(members strictjson.Members) (annotations, error) {
	list, err := members.List("annotations", limit.SBOMComponents)
	if err != nil {
		return nil, err
	}
	var all annotations
	for _, raw := range list {
		annotation, err := strictjson.Object(raw, "annotation", strictjson.Bounds{})
		if err != nil {
			return nil, err
		}
		comment, err := annotation.String("comment")
		if err != nil {
			return nil, fmt.Errorf("annotation: %w", err)
		}
		all = append(all, comment)
	}
	texts, err := stringsOf(members, "attributionTexts")
	return append(all, texts...), err
}

func (a annotations) first(head string) string {
	for _, text := range a {
		if rest, found := strings.CutPrefix(text, head); found {
			return rest
		}
	}
	return ""
}

func (a annotations) all(head string) []string {
	var list []string
	for _, text := range a {
		if rest, found := strings.CutPrefix(text, head); found {
			list = append(list, rest)
		}
	}
	return list
}

// purlOf is the first external reference that is a package URL.
func purlOf(p strictjson.Members) (string, error) {
	list, err := p.List("externalRefs", limit.SBOMComponents)
	if err != nil {
		return "", err
	}
	for _, raw := range list {
		ref, err := strictjson.Object(raw, "externalRef", strictjson.Bounds{})
		if err != nil {
			return "", err
		}
		t := strictjson.Texts{Members: ref}
		kind, locator := t.Get("referenceType"), t.Get("referenceLocator")
		if t.Err != nil {
			return "", fmt.Errorf("externalRef: %w", t.Err)
		}
		if kind == "purl" {
			return locator, nil
		}
	}
	return "", nil
}

// checksumsOf keeps the digests of the algorithms that count here.
func checksumsOf(p strictjson.Members) ([]subject.Digest, error) {
	list, err := p.List("checksums", limit.SBOMComponents)
	if err != nil {
		return nil, err
	}
	var digests []subject.Digest
	for _, raw := range list {
		checksum, err := strictjson.Object(raw, "checksum", strictjson.Bounds{})
		if err != nil {
			return nil, err
		}
		t := strictjson.Texts{Members: checksum}
		digest, err := subject.Parse(strings.ToLower(t.Get("algorithm") + ":" + t.Get("checksumValue")))
		if err == nil && t.Err == nil {
			digests = append(digests, digest)
		}
		if t.Err != nil {
			return nil, fmt.Errorf("checksum: %w", t.Err)
		}
	}
	return digests, nil
}
