package sbom

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/purl"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// Entry is one entry of a document, as it states it. What a document does not
// state is left zero.
type Entry struct {
	// Ref is its name within the document (bom-ref, SPDXID).
	Ref string
	// Type is CycloneDX's word: library, application, file. SPDX purposes are
	// mapped to it.
	Type                string
	Name, Version, PURL string
	// Stated is what ReadComponent gave; nil for entries of other tools.
	Stated                    *component.Component
	SourceName, SourceVersion string
	Dependency                component.Dependency
	Licenses                  []string
	Expression                string
	Hashes                    []subject.Digest
	Locations                 []component.Location
}

// Collector turns the entries of one document into an inventory.
type Collector struct {
	where   string
	os      *component.OperatingSystem
	entries []Entry
	added   int // with those that are not kept
	edges   []edge
	places  map[string]string
	extra   []component.Unresolved
	rest    component.Inventory
}

type edge struct{ from, to string }

// NewCollector makes one for a document that errors and records call where.
func NewCollector(where string) *Collector {
	return &Collector{where: where, places: map[string]string{}}
}

// Add takes an entry, and forgets files; more than limit.SBOMComponents are a *limit.Error.
func (c *Collector) Add(e Entry) error {
	if c.added++; c.added > limit.SBOMComponents {
		return &limit.Error{What: c.where, Bound: limit.SBOMComponents, Unit: "components"}
	}
	if e.Type == "file" && e.PURL == "" && e.Stated == nil {
		return nil
	}
	c.entries = append(c.entries, e)
	return nil
}

// Edge says that the entry from needs, or holds, the entry to. A reference that
// no entry has does nothing.
func (c *Collector) Edge(from, to string) error {
	if len(c.edges) >= limit.SBOMEdges {
		return &limit.Error{What: c.where, Bound: limit.SBOMEdges, Unit: "dependencies"}
	}
	c.edges = append(c.edges, edge{from, to})
	return nil
}

// Place says that an entry is a lockfile, so that what it leads to was found
// there.
func (c *Collector) Place(ref, path string) { c.places[ref] = path }

// System takes the operating system. A second one is an unresolved record.
func (c *Collector) System(os component.OperatingSystem) {
	if c.os != nil {
		c.extra = append(c.extra, component.Unresolved{Name: os.ID, Text: strings.TrimSpace(os.ID + " " + os.VersionID),
			Reason: "the document names a second operating system; packages are taken for those of the first", Location: c.here(os.Location)})
		return
	}
	c.os = &os
}

// Unresolved takes an unresolved record, as JSON. What is none is kept as it
// is: another version may write it in other words.
func (c *Collector) Unresolved(text string) {
	var u component.Unresolved
	if err := json.Unmarshal([]byte(text), &u); err != nil {
		u = component.Unresolved{Text: text, Reason: "it was not resolved when the document was made", Location: c.here(component.Location{})}
	}
	c.extra = append(c.extra, u)
}

// Rest takes what Inventory wrote.
func (c *Collector) Rest(text string) error {
	if err := json.Unmarshal([]byte(text), &c.rest); err != nil {
		return fmt.Errorf("%s: %w", PropertyInventory, err)
	}
	return nil
}

func (c *Collector) here(l component.Location) component.Location {
	if l.Path == "" {
		l.Path = c.where
	}
	return l
}

// Inventory is what the document lists, sorted.
func (c *Collector) Inventory() component.Inventory {
	inventory := c.rest
	inventory.Components, inventory.Unresolved, inventory.OperatingSystem = nil, c.extra, c.os
	found := c.foundAt()
	position := map[string]int{} // of an entry's component
	for _, e := range c.entries {
		if len(e.Locations) == 0 {
			e.Locations = found[e.Ref]
		}
		if e.PURL == "" && e.Stated == nil {
			if _, place := c.places[e.Ref]; place {
				continue
			}
			inventory.Unresolved = append(inventory.Unresolved, c.unresolved(e, e.Name, "it has no package URL (purl), so that nothing says which package it is"))
			continue
		}
		made, err := c.component(e)
		var reason *purl.Error
		if errors.As(err, &reason) {
			inventory.Unresolved = append(inventory.Unresolved, c.unresolved(e, reason.Name, reason.Reason))
			continue
		}
		if _, taken := position[e.Ref]; !taken {
			position[e.Ref] = len(inventory.Components)
		}
		inventory.Components = append(inventory.Components, made)
	}
	c.connect(inventory.Components, position)
	inventory.Sort()
	return inventory
}

// foundAt maps entries to the lockfiles that lead to them.
func (c *Collector) foundAt() map[string][]component.Location {
	found := map[string][]component.Location{}
	if len(c.places) == 0 {
		return found
	}
	for _, e := range c.edges {
		if place, known := c.places[e.from]; known && len(found[e.to]) < 16 {
			if l := (component.Location{Path: place}); !slices.Contains(found[e.to], l) {
				found[e.to] = append(found[e.to], l)
			}
		}
	}
	return found
}

func (c *Collector) component(e Entry) (component.Component, error) {
	var made component.Component
	var err error
	if e.Stated != nil {
		made, err = stated(e)
	} else if made, err = purl.Parse(e.PURL, c.os); err == nil {
		made.SourceName, made.SourceVersion = cmp.Or(e.SourceName, made.SourceName), cmp.Or(e.SourceVersion, made.SourceVersion)
		made.Licenses, made.Expression, made.Dependency = e.Licenses, e.Expression, e.Dependency
	}
	if err != nil {
		return made, err
	}
	made.Hashes = e.Hashes
	if len(made.Locations) == 0 {
		made.Locations = e.Locations
	}
	if len(made.Locations) == 0 {
		made.Locations = []component.Location{{Path: c.where}}
	}
	made.Dependency = cmp.Or(made.Dependency, known(made))
	return made, nil
}

// stated is what Assay wrote of a component, where it is about the same package
// as the format's own fields, which other tools read.
func stated(e Entry) (component.Component, error) {
	made := *e.Stated
	switch {
	case e.Name == "" || e.Version == "" || made.Ecosystem == "":
		return made, &purl.Error{Name: e.Name, Reason: "it lacks a name, a version or an ecosystem"}
	case made.Name != e.Name || made.Version != e.Version || made.PURL != e.PURL || made.Dependency != e.Dependency:
		return made, &purl.Error{Name: e.Name, Reason: fmt.Sprintf("it is called %s %s (%s, %s), and %s says %s %s (%s, %s)", e.Name, e.Version, e.PURL, e.Dependency,
			PropertyComponent, made.Name, made.Version, made.PURL, made.Dependency)}
	}
	if made.Licenses == nil {
		made.Licenses = e.Licenses
	}
	return made, purl.Agree(made)
}

// known says how a package is known where the document does not say it: those
// of distributions and of conda are listed by their own databases, a Python
// package where its own metadata was found. All else was only asked for.
func known(c component.Component) component.Dependency {
	if c.Ecosystem != pydist.Ecosystem || strings.HasPrefix(c.PURL, "pkg:conda/") {
		return component.Installed
	}
	for _, l := range c.Locations {
		if base := path.Base(l.Path); base == "METADATA" || base == "PKG-INFO" || strings.HasSuffix(base, ".egg-info") {
			return component.Installed
		}
	}
	return component.Declared
}

func (c *Collector) unresolved(e Entry, name, reason string) component.Unresolved {
	text := e.PURL
	if text == "" {
		text = strings.TrimSpace(e.Name + " " + e.Version)
	}
	if text == "" {
		text = e.Ref
	}
	location := c.here(component.Location{})
	if len(e.Locations) > 0 {
		location = e.Locations[0]
	}
	if e.Type != "" && e.Type != "library" {
		reason = fmt.Sprintf("%s (it is listed as %s)", reason, e.Type)
	}
	return component.Unresolved{Name: cmp.Or(name, e.Name), Text: text, Reason: reason, Location: location}
}

func (c *Collector) connect(components []component.Component, position map[string]int) {
	for _, e := range c.edges {
		from, known := position[e.from]
		to, leads := position[e.to]
		if !known || !leads {
			continue
		}
		if url := components[to].PURL; url != "" && url != components[from].PURL {
			components[from].DependsOn = append(components[from].DependsOn, url)
		}
	}
	for i := range components {
		slices.Sort(components[i].DependsOn)
		components[i].DependsOn = slices.Compact(components[i].DependsOn)
	}
}
