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
	// Ecosystem is set for entries that Assay wrote; then Name, Version and
	// Architecture are the component's own.
	Ecosystem, Architecture   string
	SourceName, SourceVersion string
	Dependency                component.Dependency
	Licenses                  []string
	Expression                string
	Groups                    []string
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
	sources []component.Source
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
	if e.Type == "file" && e.PURL == "" && e.Ecosystem == "" {
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

// System is an operating system: what Assay wrote of it, as JSON, where that
// names the same one as the document's own fields, else these.
func System(ours string, stated component.OperatingSystem) (component.OperatingSystem, error) {
	stated.ID = strings.ToLower(stated.ID)
	if ours == "" {
		return stated, nil
	}
	var os component.OperatingSystem
	if err := json.Unmarshal([]byte(ours), &os); err != nil {
		return os, fmt.Errorf("%s: %w", PropertySystem, err)
	}
	if os.ID != stated.ID || os.VersionID != stated.VersionID {
		return os, fmt.Errorf("it is called %s %s, and %s says %s %s", stated.ID, stated.VersionID, PropertySystem, os.ID, os.VersionID)
	}
	return os, nil
}

// System takes the operating system. A second one is an unresolved record.
func (c *Collector) System(os component.OperatingSystem) {
	if c.os != nil {
		c.extra = append(c.extra, component.Unresolved{Name: os.ID, Text: strings.TrimSpace(os.ID + " " + os.VersionID),
			Reason: "the document names a second operating system; packages are taken for those of the first", Location: c.here(os.Location)})
		return
	}
	c.os = &os
}

// Unresolved and Source take what Assay's own documents keep beside their
// components.
func (c *Collector) Unresolved(u component.Unresolved) { c.extra = append(c.extra, u) }
func (c *Collector) Source(s component.Source)         { c.sources = append(c.sources, s) }

func (c *Collector) here(l component.Location) component.Location {
	if l.Path == "" {
		l.Path = c.where
	}
	return l
}

// Inventory is what the document lists, sorted.
func (c *Collector) Inventory() component.Inventory {
	inventory := component.Inventory{OperatingSystem: c.os, Unresolved: c.extra, Sources: c.sources}
	found := c.foundAt()
	position := map[string]int{} // of an entry's component
	for _, e := range c.entries {
		if len(e.Locations) == 0 {
			e.Locations = found[e.Ref]
		}
		if e.PURL == "" && e.Ecosystem == "" {
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
	made := component.Component{Ecosystem: e.Ecosystem, Name: e.Name, Version: e.Version, Architecture: e.Architecture,
		SourceName: e.SourceName, SourceVersion: e.SourceVersion, PURL: e.PURL}
	if e.Ecosystem != "" {
		if e.Name == "" || e.Version == "" {
			return made, &purl.Error{Name: e.Name, Reason: "it lacks a name or a version"}
		}
		if err := purl.Agree(made); err != nil {
			return made, err
		}
	} else {
		var err error
		if made, err = purl.Parse(e.PURL, c.os); err != nil {
			return made, err
		}
		made.SourceName, made.SourceVersion = cmp.Or(e.SourceName, made.SourceName), cmp.Or(e.SourceVersion, made.SourceVersion)
	}
	made.Licenses, made.Expression, made.Groups, made.Hashes = e.Licenses, e.Expression, e.Groups, e.Hashes
	made.Locations = e.Locations
	if len(made.Locations) == 0 {
		made.Locations = []component.Location{{Path: c.where}}
	}
	made.Dependency = cmp.Or(e.Dependency, known(made))
	return made, nil
}

// known says how a package is known where the document does not say it: those
// of distributions and of conda are listed by their own databases, a Python
// package where its own metadata was found. All else was only asked for.
func known(c component.Component) component.Dependency {
	if c.Ecosystem != "PyPI" {
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
